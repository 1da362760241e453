"""Opening contexts of every kind, and cleaning up after them."""

from __future__ import annotations

import functools
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from builder.context.directory import default_context
from builder.context.open import BuildContext, open_context
from builder.context.spec import ContextSpec, GitOptions
from builder.errors import BuilderError, ContextError, StorageError
from builder.progress import Silent

Opener = Callable[..., BuildContext]


@pytest.fixture
def opened(tmp_path: Path) -> Opener:
    def open_it(text: str, *, sub_path: str = "", git: GitOptions | None = None, **environment: str) -> BuildContext:
        spec = ContextSpec.parse(text, sub_path=sub_path, git=git)
        return open_context(
            spec, state_dir=tmp_path / "state", environment={**os.environ, **environment}, progress=Silent()
        )

    return open_it


def archive(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"hello"))
    return path


def leftovers(tmp_path: Path) -> list[str]:
    return os.listdir(tmp_path / "state/tmp")


def test_a_directory_is_used_as_it_is(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    with opened(f"dir://{tmp_path}/files") as context:
        assert context.root == tmp_path / "files"
    assert context.root.is_dir()
    assert not (tmp_path / "state").exists()


def test_sub_path(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    assert opened(str(tmp_path), sub_path="a/b").root == tmp_path / "a/b"
    assert opened(str(tmp_path), sub_path="/a/").root == tmp_path / "a"


def test_sub_path_errors(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner/out").symlink_to("..")
    for sub_path in ("..", "out", "a/../.."):
        with pytest.raises(ContextError, match="is outside of the context"):
            opened(str(tmp_path / "inner"), sub_path=sub_path)
    with pytest.raises(ContextError, match="has no directory 'missing'"):
        opened(str(tmp_path), sub_path="missing")


def test_directory_errors(opened: Opener, tmp_path: Path) -> None:
    archive(tmp_path / "x.tar.gz", "Dockerfile")
    with pytest.raises(ContextError, match="does not exist"):
        opened(str(tmp_path / "nope"))
    with pytest.raises(ContextError, match="is not a directory") as caught:
        opened(str(tmp_path / "x.tar.gz"))
    assert caught.value.hint == f"an archive is written tar://{tmp_path}/x.tar.gz"


def test_an_archive_is_unpacked_in_private_and_removed(opened: Opener, tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar.gz", "a/Dockerfile")
    with opened(f"tar://{file}", sub_path="a") as context:
        assert (context.root / "Dockerfile").read_bytes() == b"hello"
        assert context.root.parent.stat().st_mode & 0o777 == 0o700
        (context.root / "sealed").mkdir()
        (context.root / "sealed/file").touch()
        (context.root / "sealed").chmod(0)
    assert leftovers(tmp_path) == []
    context.cleanup()


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_an_ordinary_user_can_remove_what_nobody_may_write(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from builder.context.temporary import TemporaryDirectory\n"
        "os.setuid(65534); directory = TemporaryDirectory.create(Path(sys.argv[1]))\n"
        "inner = directory.path / 'a/b'; inner.mkdir(parents=True); (inner / 'file').touch()\n"
        "inner.chmod(0); inner.parent.chmod(0o500); directory.remove(); print(os.listdir(directory.path.parent))"
    )
    with tempfile.TemporaryDirectory(dir="/var/tmp") as shared:
        os.chmod(shared, 0o777)
        done = subprocess.run([sys.executable, "-c", code, shared], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_broken_archive_leaves_nothing(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_bytes(b"broken" * 200)
    with pytest.raises(ContextError):
        opened(f"tar://{tmp_path}/x.tar")
    assert leftovers(tmp_path) == []


def test_standard_input(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from builder.context.open import open_context\n"
        "from builder.context.spec import ContextSpec; from builder.progress import Silent\n"
        "with open_context(ContextSpec.parse('tar://stdin'), state_dir=Path(sys.argv[1]), environment={},\n"
        "                  progress=Silent()) as context:\n"
        "    print((context.root / 'Dockerfile').read_text())"
    )
    data = archive(tmp_path / "x.tar.gz", "Dockerfile").read_bytes()
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], input=data, capture_output=True, timeout=60)
    assert (done.stdout, done.stderr) == (b"hello\n", b"")


def test_a_state_directory_that_cannot_be_written(opened: Opener, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    file = archive(tmp_path / "x.tar.gz", "Dockerfile")
    with pytest.raises(StorageError, match="cannot write to the state directory") as caught:
        opened(f"tar://{file}")
    assert caught.value.hint == "name another one with --state-dir"


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, "."), ({"KANIKO_DIR": "/kaniko"}, "/workspace/" if os.path.isdir("/workspace") else ".")],
)
def test_default_context(environment: dict[str, str], expected: str) -> None:
    if not os.path.isdir("/kaniko"):
        assert default_context(environment) == expected


class _Handler(SimpleHTTPRequestHandler):
    """Serves files; with a password for what is below ``/private/``, and remembers the request lines."""

    requests: list[str]

    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        if self.path.startswith("/private/"):
            if self.headers["Authorization"] != "Basic dTpzZWNyZXQ=":  # u:secret
                self.send_error(401)
                return
            self.path = self.path.removeprefix("/private")
        super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        return


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "www").mkdir()
    handler = functools.partial(_Handler, directory=str(tmp_path / "www"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        http.requests = []  # type: ignore[attr-defined]
        threading.Thread(target=http.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{http.server_port}"
        http.shutdown()


def git(directory: Path, *arguments: str) -> str:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    names = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *names, *arguments], cwd=directory, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, server: str) -> dict[str, str]:
    """A repository behind the server with the branches main and other; commits by the names of what they hold."""
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "--quiet")
    commits = {}
    for name in ("first", "second", "third"):
        if name == "third":
            git(work, "checkout", "--quiet", "-b", "other")
        (work / "file").write_text(name)
        (work / "sub").mkdir(exist_ok=True)
        (work / "sub/file").write_text(name)
        git(work, "add", ".")
        git(work, "commit", "--quiet", "-m", name)
        commits[name] = git(work, "rev-parse", "HEAD")
    git(work, "tag", "v1", commits["first"])
    git(work, "checkout", "--quiet", "main")
    git(tmp_path, "clone", "--quiet", "--bare", str(work), "www/repo.git")
    git(tmp_path / "www/repo.git", "update-server-info")
    return commits


@pytest.mark.parametrize(
    ("fragment", "sub_path", "options", "content"),
    [
        ("", "", GitOptions(), "second"),
        ("#refs/heads/other", "", GitOptions(), "third"),
        ("#other", "", GitOptions(), "third"),
        ("#refs/tags/v1", "", GitOptions(), "first"),
        ("#v1", "", GitOptions(), "first"),
        ("#v1:sub", "", GitOptions(), "first"),
        ("#refs/heads/main#{first}", "", GitOptions(), "first"),
        ("##{third}", "", GitOptions(), "third"),
        ("", "sub", GitOptions(branch="other"), "third"),
        ("", "", GitOptions(branch="other", single_branch=True), "third"),
    ],
)
def test_git(
    fragment: str,
    sub_path: str,
    options: GitOptions,
    content: str,
    opened: Opener,
    server: str,
    repository: dict[str, str],
    tmp_path: Path,
) -> None:
    url = f"http://{server}/repo.git{fragment.format(**repository)}"
    with opened(url, sub_path=sub_path, git=options) as context:
        assert (context.root / "file").read_text() == content
    assert leftovers(tmp_path) == []


def test_git_scheme_and_credentials(opened: Opener, server: str, repository: dict[str, str]) -> None:
    url = f"git://{server}/private/repo.git"
    with opened(url, GIT_PULL_METHOD="http", GIT_USERNAME="u", GIT_PASSWORD="secret") as context:
        assert (context.root / "file").read_text() == "second"
        assert "secret" not in (context.root / ".git/config").read_text()
    with opened(f"http://u:secret@{server}/private/repo.git") as context:
        assert "secret" not in (context.root / ".git/config").read_text()


@pytest.mark.parametrize(
    ("url", "environment", "message"),
    [
        (
            "git://{server}/private/repo.git",
            {"GIT_PULL_METHOD": "http"},
            "git clone of git://{server}/private/repo.git",
        ),
        ("http://x:wrong@{server}/private/repo.git", {}, "git clone of http://{server}/private/repo.git failed"),
        ("http://{server}/missing.git", {}, "git clone of http://{server}/missing.git failed"),
        ("http://{server}/repo.git#nobranch", {}, "git fetch of http://{server}/repo.git#nobranch failed"),
        ("http://{server}/repo.git##0123456789", {}, "failed"),
        ("git://h/r.git", {"GIT_PULL_METHOD": "ftp"}, "GIT_PULL_METHOD is https or http, not 'ftp'"),
    ],
)
def test_git_errors(
    url: str,
    environment: dict[str, str],
    message: str,
    opened: Opener,
    server: str,
    repository: dict[str, str],
    tmp_path: Path,
) -> None:
    with pytest.raises(BuilderError) as caught:
        opened(url.format(server=server), **environment)
    assert message.format(server=server) in caught.value.message
    assert "wrong" not in str(caught.value)
    assert leftovers(tmp_path) == []


def test_an_archive_behind_a_url(opened: Opener, server: str, tmp_path: Path) -> None:
    archive(tmp_path / "www/context.tar.gz", "Dockerfile")
    with opened(f"http://{server}/context.tar.gz") as context:
        assert (context.root / "Dockerfile").read_bytes() == b"hello"
    with pytest.raises(ContextError, match=r"/none\.tar\.gz answered 404"):
        opened(f"http://u:pw@{server}/none.tar.gz")
    with pytest.raises(ContextError, match=r"cannot fetch http://127\.0\.0\.1:1/x: "):
        opened("http://u:pw@127.0.0.1:1/x")
