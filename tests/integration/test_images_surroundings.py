"""The runtime does not care what is unpacked around it: in place, that is another system, or nothing."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builder_images import BuilderImage
from support.image_root import ImageRoot, unpack_image

# An image is built first, by pip and apt, and an engine started: minutes that `make test` does not have.
pytestmark = pytest.mark.exhaustive

TRIPLET = "x86_64-linux-gnu" if os.uname().machine == "x86_64" else "aarch64-linux-gnu"
LIBRARIES = ("libc.so.6", "libm.so.6", "libz.so.1", "libssl.so.3", "libcrypto.so.3", "libcurl-gnutls.so.4")
TRAP = "#!/kaniko/runtime/bin/python3\nraise SystemExit(99)\n"
# What a process is given by the kernel, and what a container runtime mounts; where people mount warmed base images.
ALLOWED = re.compile(
    r"/(?:$|proc/|dev/|sys/|cache/oci-layout$|\.dockerenv$|run/\.containerenv$|root/\.docker/config\.json$"
    r"|etc/(?:resolv\.conf|hosts|host\.conf|gai\.conf|localtime|passwd|group|subuid|subgid)$)"
)


@pytest.fixture
def root(executor_image: BuilderImage, scratch: Path) -> Iterator[ImageRoot]:
    with unpack_image(executor_image.archive, scratch) as unpacked:
        context = unpacked.path / "workspace/context"
        context.mkdir()
        (context / "Dockerfile").write_text("FROM scratch\nCOPY file /\n")
        (context / "file").write_text("content\n")
        yield unpacked


def set_traps(root: Path) -> None:
    """Everything that another system could have where a Python program looks: broken, or ending the process."""
    for directory in ("lib", "lib64", f"lib/{TRIPLET}", "usr/lib", f"usr/lib/{TRIPLET}", "usr/local/lib"):
        (root / directory).mkdir(parents=True, exist_ok=True)
        for name in (*LIBRARIES, "libnss_broken.so.2", "broken.so", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"):
            (root / directory / name).write_bytes(b"\x7fELFbroken")
    texts = {
        "etc/ld.so.preload": "/lib/broken.so\n",
        "etc/ld.so.cache": "glibc-ld.so.cache1.1broken",
        "etc/nsswitch.conf": "passwd: broken\nhosts: broken\n",
        "etc/hosts": "127.0.0.1 localhost elsewhere.test\n",
        "etc/ssl/openssl.cnf": "openssl_conf = [\n",
        "usr/lib/ssl/openssl.cnf": "openssl_conf = [\n",
        "etc/gitconfig": "[broken\n",
        "root/.gitconfig": "[broken\n",
        "etc/python3/sitecustomize.py": "raise SystemExit(99)\n",
        "usr/lib/locale/locale-archive": "broken",
        "pyvenv.cfg": "home = /nowhere\n",
    }
    for version in ("3.11", "3.13"):
        texts |= {f"{prefix}/lib/python{version}/os.py": "raise SystemExit(99)\n" for prefix in ("usr", "usr/local")}
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for directory in ("bin", "usr/bin", "usr/local/bin"):
        (root / directory).mkdir(parents=True, exist_ok=True)
        for name in ("sh", "git", "python3", "env", "ldconfig"):
            (root / directory / name).write_text(TRAP)
            (root / directory / name).chmod(0o755)


@pytest.fixture(params=["nothing", "broken files"])
def surrounded(request: pytest.FixtureRequest, root: ImageRoot) -> ImageRoot:
    """The image's own directory in an otherwise empty system, and in one in which every other file is a trap."""
    (root.path / "tmp").rmdir()
    if request.param == "broken files":
        set_traps(root.path)
    return root


ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/kaniko",
    "HOME": "/root",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "tr_TR.ISO-8859-9",
    "PYTHONHOME": "/usr",
    "PYTHONPATH": "/usr/lib/python3.11",
    "PYTHONSTARTUP": "/usr/lib/python3.11/os.py",
}


def test_a_build(surrounded: ImageRoot) -> None:
    arguments = ["--context=dir:///workspace/context", "--no-push", "--tar-path=/workspace/image.tar"]
    surrounded.run("/kaniko/executor", *arguments, environment=ENVIRONMENT).ok()
    assert (surrounded.path / "workspace/image.tar").stat().st_size > 0


def test_git(surrounded: ImageRoot) -> None:
    """Its programs find one another, and no configuration of the system."""
    (surrounded.path / "workspace/repository").mkdir()
    for command in (["init", "--quiet"], ["config", "user.name", "A"], ["config", "user.email", "a@example.test"]):
        surrounded.run("/kaniko/git", "-C", "/workspace/repository", *command, environment=ENVIRONMENT).ok()
    commit = ["commit", "--quiet", "--allow-empty", "--message=first"]
    surrounded.run("/kaniko/git", "-C", "/workspace/repository", *commit, environment=ENVIRONMENT).ok()
    log = surrounded.run("/kaniko/git", "-C", "/workspace/repository", "log", "--format=%s", environment=ENVIRONMENT)
    assert log.ok().stdout == "first\n"


def test_names_are_looked_up_in_the_hosts_file(root: ImageRoot) -> None:
    """With the image's own list of name services, as the base's may name services of another C library."""
    set_traps(root.path)
    code = "import socket; print(socket.getaddrinfo('elsewhere.test', 80)[0][4][0])"
    assert root.run("/kaniko/runtime/bin/python3", "-IS", "-c", code).ok().stdout == "127.0.0.1\n"


def test_tls_is_set_up_from_the_own_certificates(surrounded: ImageRoot) -> None:
    load = "ssl.create_default_context().load_verify_locations('/kaniko/ssl/certs/ca-certificates.crt')"
    code = f"import ssl; {load}; print(ssl.get_default_verify_paths().openssl_capath)"
    found = surrounded.run("/kaniko/runtime/bin/python3", "-IS", "-c", code).ok()
    assert found.stdout.replace("//", "/") == "/kaniko/ssl/certs\n"


def test_nothing_else_is_opened(surrounded: ImageRoot, scratch: Path) -> None:
    log = scratch / "trace"
    trace = [shutil.which("strace") or "strace", "--follow-forks", f"--output={log}", "--trace=%file"]
    arguments = ["--context=dir:///workspace/context", "--no-push", "--tar-path=/workspace/image.tar"]
    surrounded.run("/kaniko/executor", *arguments, environment=ENVIRONMENT, trace=trace).ok()
    calls = log.read_text().partition('execve("/kaniko/executor"')[2].splitlines()
    assert len(calls) > 100
    paths = {path for call in calls for path in re.findall(r'"(/[^"]*)"', call)}
    own = ("/kaniko", "/workspace")
    strange = sorted(path for path in paths if not path.startswith(own) and not ALLOWED.match(path))
    assert strange == []
