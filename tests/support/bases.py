"""Base images made on this machine, so that no test needs a public registry.

- `busybox`: a few hundred names for one static program; three layers with links, a setuid file, a capability, a
  whiteout and an opaque directory.
- `debian`: a bookworm by debootstrap (half a minute), kept in a cache directory between runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from support.images import (
    Blob,
    Compression,
    Item,
    OciLayout,
    capability,
    directory,
    hardlink,
    layer,
    symlink,
    whiteout,
)
from support.listing import host_architecture
from support.registry import LoopbackRegistry

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n"
_GROUP = "root:x:0:\nstaff:x:50:app\napp:x:1000:\nnogroup:x:65534:\n"
_DEBIAN_VERSION = "3"  # goes up when what is in the cached base changes
_CAP_NET_BIND_SERVICE = 1 << 10


def cache_directory() -> Path:
    """Where what takes long to make is kept between runs; BUILDER_TEST_CACHE, else below XDG_CACHE_HOME."""
    own = os.environ.get("BUILDER_TEST_CACHE")
    shared = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    path = Path(own) if own else Path(shared) / "builder-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path


def push_layout(layout: Path, tag: str, registry: LoopbackRegistry, name: str, *options: str) -> str:
    """Copy `tag` of an OCI layout to `name` (``repository:tag``) with skopeo; returns the full reference."""
    reference = registry.reference(name)
    copy = ["skopeo", "--insecure-policy", "copy", "--quiet", "--dest-tls-verify=false", *options]
    subprocess.run([*copy, f"oci:{layout}:{tag}", f"docker://{reference}"], check=True, stdin=subprocess.DEVNULL)
    return reference


def push_busybox(registry: LoopbackRegistry, scratch: Path) -> dict[str, str]:
    """Push every variant of the busybox base. Their references by name:

    - ``oci``, ``zstd``: OCI, layers by gzip and by zstd; ``docker``: Docker v2 schema 2.
    - ``index``: an OCI index of this machine's architecture and of ``s390x`` (whose files are not the same).
    """
    layout = OciLayout(scratch / "busybox-layout")
    oci = layout.image([Blob.of(tar) for tar in busybox_layers()], busybox_config(), host_architecture())
    zstd = layout.image(_blobs("zstd"), busybox_config(), host_architecture())
    foreign = layout.image([Blob.of(layer([Item(path="foreign")]))], busybox_config(), "s390x")
    layout.tag(oci, "oci")
    layout.tag(zstd, "zstd")
    layout.tag(layout.index([foreign, oci]), "index")
    return {
        "oci": push_layout(layout.path, "oci", registry, "base/busybox:oci"),
        "zstd": push_layout(layout.path, "zstd", registry, "base/busybox:zstd"),
        "docker": push_layout(layout.path, "oci", registry, "base/busybox:docker", "--format=v2s2"),
        "index": push_layout(layout.path, "index", registry, "base/busybox:index", "--all"),
    }


def _blobs(compression: Compression) -> list[Blob]:
    return [Blob.of(tar, compression) for tar in busybox_layers()]


def busybox_config() -> Mapping[str, Any]:
    return {"Env": [_PATH], "Cmd": ["sh"], "WorkingDir": "/", "Labels": {"base": "busybox"}}


def busybox_layers(program: bytes = b"") -> list[bytes]:
    """The uncompressed layers: the programs; accounts and odd files; what takes some of it away again.

    `program` is the busybox to take, this machine's by default; its applets are named as those of this machine's.
    """
    program = program or Path("/bin/busybox").read_bytes()
    names = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
    programs = [
        directory("bin"),
        Item(path="bin/busybox", mode=0o755, data=program),
        *(hardlink(f"bin/{name}", "bin/busybox", 0o755) for name in names if name not in ("busybox", "ping")),
    ]
    return [layer(programs), layer(_busybox_files()), layer(_busybox_changes())]


def _busybox_files() -> list[Item]:
    return [
        *(directory(path) for path in ("dev", "etc", "home", "proc", "sys", "usr", "usr/bin", "usr/lib", "var")),
        directory("root", 0o700),
        directory("tmp", 0o1777),
        directory("var/tmp", 0o1777),
        directory("home/app", 0o750, uid=1000, gid=1000),
        directory("srv", 0o2775, gid=50),
        symlink("var/run", "/run"),
        symlink("lib", "usr/lib"),
        directory("run"),
        Item(path="etc/passwd", data=_PASSWD.encode()),
        Item(path="etc/group", data=_GROUP.encode()),
        Item(path="etc/shadow", mode=0o640, gid=50, data=b"root:*:::::::\n"),
        Item(path="usr/bin/setuid", mode=0o4755, data=b"#!/bin/sh\n"),
        Item(path="usr/bin/capable", mode=0o755, data=b"#!/bin/sh\n", pax=capability(_CAP_NET_BIND_SERVICE)),
        Item(path="usr/lib/first", data=b"one file of two names\n"),
        hardlink("usr/lib/second", "usr/lib/first"),
        symlink("usr/lib/absolute", "/etc/passwd"),
        symlink("usr/lib/dangling", "nowhere"),
        directory("usr/share"),
        directory("usr/share/old"),
        Item(path="usr/share/old/gone", data=b"hidden by an opaque directory\n"),
        Item(path="usr/share/removed", data=b"hidden by a whiteout\n"),
        Item(path="usr/share/becomes-directory", data=b"a file first\n"),
        directory("usr/share/becomes-file"),
        Item(path="usr/share/becomes-file/inner", data=b"inside\n"),
    ]


def _busybox_changes() -> list[Item]:
    return [
        whiteout("usr/share/removed"),
        directory("usr/share/old", 0o750),
        Item(path="usr/share/old/.wh..wh..opq"),
        Item(path="usr/share/old/new", data=b"after the opaque marker\n"),
        directory("usr/share/becomes-directory"),
        Item(path="usr/share/becomes-directory/inner", data=b"inside\n"),
        Item(path="usr/share/becomes-file", data=b"a file now\n"),
        Item(path="usr/share/n\N{LATIN SMALL LETTER A WITH DIAERESIS}me with spaces", data=b"name\n"),
    ]


def push_debian(registry: LoopbackRegistry) -> str:
    """Push the Debian base as ``base/debian:bookworm``, made first where the cache has none."""
    return push_layout(debian_layout(), "bookworm", registry, "base/debian:bookworm")


def debian_layout() -> Path:
    """An OCI layout with the Debian base under the name ``bookworm``, from the cache or made now (needs root)."""
    finished = cache_directory() / f"debian-bookworm-{host_architecture()}-{_DEBIAN_VERSION}"
    return made_once(finished, _make_debian_layout)


def _make_debian_layout(path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="debootstrap-", dir="/var/tmp") as scratch:
        root = Path(scratch) / "root"
        debootstrap(root, "--variant=minbase", "--include=ca-certificates,libcap2-bin")
        tidy(root)
        tar = Path(scratch) / "layer.tar"
        tar_of(root, tar)
        layout = OciLayout(path)
        config = {"Env": [_PATH], "Cmd": ["bash"]}
        blobs = [Blob.of(tar.read_bytes()), Blob.of(layer(_debian_changes()))]
        layout.tag(layout.image(blobs, config, host_architecture()), "bookworm")


def tar_of(root: Path, tar: Path) -> None:
    """Pack a root filesystem, with owners and xattrs."""
    pack = ["tar", "--create", "--sort=name", "--numeric-owner", "--format=pax", "--xattrs", "--xattrs-include=*"]
    pax = "--pax-option=delete=atime,delete=ctime"
    subprocess.run([*pack, pax, f"--file={tar}", f"--directory={root}", "."], check=True)


def debootstrap(root: Path, *options: str) -> None:
    """Make a bookworm in `root`."""
    command = ["debootstrap", *options, "bookworm", str(root)]
    for attempt in range(3):
        result = subprocess.run(
            [*command, _mirror()], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if result.returncode == 0:
            break
        if attempt == 2:
            raise RuntimeError(f"debootstrap failed:\n{result.stdout[-4000:]}")
        shutil.rmtree(root, ignore_errors=True)


def tidy(root: Path) -> None:
    """Remove what is the machine's own, and the packages."""
    for leftover in ("etc/resolv.conf", "etc/hostname"):
        (root / leftover).unlink(missing_ok=True)
    for archive in (root / "var/cache/apt/archives").glob("*.deb"):
        archive.unlink()


def _mirror() -> str:
    """The archive that this machine's own apt takes bookworm from, else Debian's."""
    form = ["--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.run(["apt-get", "indextargets", *form], capture_output=True, text=True).stdout
    for line in listed.splitlines():
        codename, component, uri = line.split(" ", 2)
        if (codename, component) == ("bookworm", "main"):
            return uri
    return "http://deb.debian.org/debian"


def _debian_changes() -> list[Item]:
    """apt that asks for little and tries again; a whiteout; links and a capability for the tests to find."""
    apt = 'Acquire::Languages "none";\nAcquire::Retries "3";\nAcquire::Check-Valid-Until "false";\n'
    return [
        Item(path="etc/apt/apt.conf.d/80tests", data=apt.encode()),
        whiteout("var/log/bootstrap.log"),
        directory("opt"),
        Item(path="opt/first", data=b"one file of two names\n"),
        hardlink("opt/second", "opt/first"),
        Item(path="opt/capable", mode=0o755, data=b"#!/bin/sh\n", pax=capability(_CAP_NET_BIND_SERVICE)),
    ]


def made_once(finished: Path, make: Callable[[Path], None]) -> Path:
    """`finished`, made by `make` in a temporary place and renamed, so that half of it is never seen."""
    with _locked(finished.with_name(f"{finished.name}.lock")):
        if not finished.exists():
            unfinished = Path(tempfile.mkdtemp(prefix=f"{finished.name}.part-", dir=finished.parent))
            try:
                make(unfinished)
                unfinished.rename(finished)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
    return finished


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with open(path, "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
