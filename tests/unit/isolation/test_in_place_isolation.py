"""Mounts and hidden files of in-place isolation, in a directory that stands in for the root of the container."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from builder.errors import IsolationError
from builder.isolation.command import Bind, SecretFile, Tmpfs
from builder.isolation.in_place import credentials, surroundings
from builder.isolation.in_place.credentials import HiddenFiles
from builder.isolation.in_place.devices import cleaned
from builder.isolation.in_place.keeper import Kept, is_running, start_keeper
from builder.isolation.in_place.memory import linked, written
from builder.isolation.in_place.mounts import EmulatedMounts

pytestmark = pytest.mark.usefixtures("as_root")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for directory in ("etc", "srv/data", "dev", "kaniko", "usr/lib"):
        (root / directory).mkdir(parents=True)
    (root / "etc/old").write_text("of the image")
    (root / "srv/data/old").write_text("of the image")
    (root / "lib").symlink_to("usr/lib")
    (root / "absolute").symlink_to("/srv/data")
    for directory in ("etc", "srv/data", "srv", "usr/lib", "usr"):
        os.utime(root / directory, (1, 1))
    os.utime(root, (1, 1))
    return root


@pytest.fixture
def mounts(root: Path, tmp_path: Path) -> EmulatedMounts:
    for name in ("state", "aside"):
        (tmp_path / name).mkdir()
    protected = re.compile("kaniko(/|$)|dev(/|$)")
    return EmulatedMounts(
        (tmp_path / "state",), tmp_path / "aside", lambda path: bool(protected.match(path)), str(root)
    )


def listing(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, owner, time and content of everything below `directory`, and of itself."""
    found = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_uid, status.st_mtime_ns, content)
    return found


MOUNTS = {
    "a new directory": (Tmpfs(target="/new/deep"), "new/deep"),
    "over a directory": (Tmpfs(target="/srv/data"), "srv/data"),
    "through a link": (Tmpfs(target="/lib/inner"), "usr/lib/inner"),
    "over an absolute link": (Tmpfs(target="/absolute"), "srv/data"),
    "below /dev": (Tmpfs(target="/dev/pipes"), "dev/pipes"),
    "a secret": (SecretFile(target="/run/secrets/s", content=b"hush", uid=3, gid=4, mode=0o440), "run/secrets/s"),
    "a secret over a file": (SecretFile(target="/etc/old", content=b"hush"), "etc/old"),
}


@pytest.mark.parametrize("what", MOUNTS)
def test_a_mount_leaves_no_trace(what: str, root: Path, mounts: EmulatedMounts) -> None:
    wish, place = MOUNTS[what]
    before = listing(root)
    with mounts.made([wish]) as unwritten, ExitStack() as stack:
        if isinstance(wish, SecretFile):
            (secret,) = unwritten
            stack.enter_context(written(secret))
            status = (root / place).stat()
            assert (root / place).read_bytes() == b"hush"
            assert (status.st_mode & 0o777, status.st_uid, status.st_gid) == (wish.mode, wish.uid, wish.gid)
            assert b"hush" not in b"".join(content for *_, content in listing(root).values())
        else:
            assert os.listdir(root / place) == []
            assert (root / place).stat().st_mode & 0o7777 == 0o1777
            (root / place / "made").write_text("by the command")
    assert listing(root) == before


def test_a_secret_is_gone_from_memory_afterwards(tmp_path: Path) -> None:
    with ExitStack() as stack:
        wish = SecretFile(target="/s", content=b"hush")
        secret = linked(wish, str(tmp_path / "s"), stack, new_parent=False)
        directory = Path(secret.target).parent
        assert directory.stat().st_mode & 0o777 == 0o711
        with pytest.raises(ValueError, match="x"), written(secret):
            assert (tmp_path / "s").read_bytes() == b"hush"
            raise ValueError("x")
        assert not directory.exists()
    assert os.listdir(tmp_path) == []


def test_a_failed_command_leaves_no_trace_either(root: Path, mounts: EmulatedMounts) -> None:
    before = listing(root)
    with (
        pytest.raises(KeyboardInterrupt),
        mounts.made([wish for wish, _ in MOUNTS.values() if wish.target != "/absolute"]),
    ):
        raise KeyboardInterrupt
    assert listing(root) == before


def test_a_context_is_copied(root: Path, mounts: EmulatedMounts, tmp_path: Path) -> None:
    context = tmp_path / "context"
    (context / "sub").mkdir(parents=True)
    (context / "sub/file").write_text("x")
    (context / "link").symlink_to("sub")
    os.chown(context / "sub/file", 7, 8)
    before = listing(context)
    with mounts.made([Bind(target="/srv/context", source=str(context), read_only=True)]):
        assert listing(root / "srv/context") == before
        (root / "srv/context/sub/file").write_text("changed")
    assert listing(context) == before
    assert not (root / "srv/context").exists()


def test_a_cache_keeps_what_the_command_writes(root: Path, mounts: EmulatedMounts, tmp_path: Path) -> None:
    cache = tmp_path / "state/cache"
    cache.mkdir()
    inode = cache.stat().st_ino
    with mounts.made([Bind(target="/var/cache", source=str(cache))]):
        (root / "var/cache/kept").write_text("x")
        assert not cache.exists()
    assert (cache / "kept").read_text() == "x"
    assert cache.stat().st_ino == inode
    with mounts.made([Bind(target="/var/cache", source=str(cache))]):
        (root / "var/cache/kept").unlink()
        (root / "var/cache").rmdir()
    assert os.listdir(cache) == []


def test_a_cache_that_a_killed_build_had_is_empty(root: Path, mounts: EmulatedMounts, tmp_path: Path) -> None:
    with mounts.made([Bind(target="/var/cache", source=str(tmp_path / "state/cache"))]):
        (root / "var/cache/kept").write_text("x")
    assert (tmp_path / "state/cache/kept").read_text() == "x"


def test_a_stub_that_was_filled_stays(root: Path, mounts: EmulatedMounts) -> None:
    with mounts.made([Tmpfs(target="/new/deep")]):
        (root / "new/made").write_text("by the command")
    assert os.listdir(root / "new") == ["made"]


@pytest.mark.parametrize(
    ("target", "message"),
    [("/kaniko", "belongs to the container"), ("/kaniko/x", "belongs to the container"), ("/etc/old/x", "/etc/old/x")],
)
def test_targets_that_cannot_be(target: str, message: str, root: Path, mounts: EmulatedMounts) -> None:
    before = listing(root)
    with pytest.raises(IsolationError, match=message), mounts.made([Tmpfs(target=target)]):
        pass
    assert listing(root) == before


class RecordingKeeper:
    """Notes what it is to put back; `dead` if it cannot be reached any more."""

    pid = 2**22 + 1  # larger than any process id

    def __init__(self, *, dead: bool = False) -> None:
        self.dead = dead
        self.told: list[Sequence[Kept]] = []

    def keep(self, files: Sequence[Kept]) -> None:
        if self.dead:
            raise BrokenPipeError
        self.told.append(files)


def everything_below(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


@pytest.mark.parametrize("dead", [False, True])
def test_files_are_hidden_and_back(dead: bool, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text("secret")
    os.utime(config, (5, 5))
    before, keeper = config.stat(), RecordingKeeper(dead=dead)
    hidden = HiddenFiles((config, tmp_path / "not there"), tmp_path / "home", keeper, pytest.fail)
    for _ in range(2):
        with pytest.raises(ValueError, match="x"), hidden.hidden():
            assert not config.exists()
            assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700
            assert b"secret" not in everything_below(tmp_path)
            raise ValueError("x")
        assert config.read_text() == "secret"
        after = config.stat()
        assert (after.st_ino, after.st_mode, after.st_mtime) == (before.st_ino, before.st_mode, before.st_mtime)
        assert not (tmp_path / "home").exists()
    assert [[kept.content for kept in files] for files in keeper.told] == ([] if dead else [[b"secret"], []] * 2)


def in_a_killed_process(body: Callable[[], None]) -> None:
    if (pid := os.fork()) == 0:
        with suppress(BaseException):
            body()
        os.kill(os.getpid(), 9)
    os.waitpid(pid, 0)


def test_the_keeper_puts_files_back_when_the_builder_is_killed(tmp_path: Path) -> None:
    config, home = tmp_path / "config.json", tmp_path / "home"
    config.write_text("secret")

    def build() -> None:
        with HiddenFiles((config,), home, start_keeper(os.getpid()), pytest.fail).hidden():
            os.kill(os.getpid(), 9)

    in_a_killed_process(build)
    assert credentials.recover(home) == []
    assert config.read_text() == "secret"
    assert not home.exists()


def test_the_keeper_does_not_put_back_what_is_in_place(tmp_path: Path) -> None:
    config, home = tmp_path / "config.json", tmp_path / "home"
    config.write_text("secret")
    keeper = start_keeper(os.getpid())
    with HiddenFiles((config,), home, keeper, pytest.fail).hidden():
        pass
    config.write_text("new")
    keeper.close()
    assert config.read_text() == "new"
    assert not is_running(keeper.pid)


def test_files_whose_content_died_with_all_processes_are_named(tmp_path: Path) -> None:
    config, home = tmp_path / "config.json", tmp_path / "home"
    config.write_text("secret")

    def build() -> None:
        with HiddenFiles((config,), home, RecordingKeeper(), pytest.fail).hidden():
            os.kill(os.getpid(), 9)

    in_a_killed_process(build)
    assert not config.exists()
    assert credentials.recover(home) == [str(config)]
    assert not config.exists()
    assert not home.exists()


def test_a_file_that_was_not_blanked_yet_is_put_back(tmp_path: Path) -> None:
    config, home = tmp_path / "config.json", tmp_path / "home"
    home.mkdir()
    (home / "0").write_text("secret")
    (home / "0.note").write_text(json.dumps({"path": str(config), "keeper": RecordingKeeper.pid}))
    assert credentials.recover(home) == []
    assert config.read_text() == "secret"


def test_what_is_new_in_dev_is_removed(tmp_path: Path) -> None:
    (tmp_path / "shm").mkdir()
    (tmp_path / "shm/kept").touch()
    with cleaned(str(tmp_path)):
        (tmp_path / "shm/new").touch()
        (tmp_path / "pipes/deep").mkdir(parents=True)
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["shm", "shm/kept"]


def test_credentials_in_other_processes_are_noticed() -> None:
    value = "a-value-that-nobody-else-has"
    if (pid := os.fork()) == 0:
        os.execve("/bin/sleep", ["sleep", "30"], {"CI_JOB_TOKEN": value})
    try:
        for _ in range(500):
            if found := credentials.exposed_in([value]):
                break
            os.sched_yield()
        assert found == [f"sleep (process {pid})"]
        assert credentials.exposed_in(["another-value-that-is-nowhere"]) == []
        assert credentials.exposed_in([]) == []
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def test_this_python_is_not_the_builders_own(tmp_path: Path) -> None:
    assert not surroundings.runs_from(tmp_path)
    refused = surroundings.refusal({"container": "lxc"}, tmp_path, force=False)
    assert refused is not None
    assert "is not the builder's own" in refused.message
    assert surroundings.refusal({}, tmp_path, force=True) is None


@pytest.mark.parametrize("environment", [{"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, {"container": "podman"}])
def test_containers_are_told_by_variables(environment: dict[str, str]) -> None:
    assert surroundings.in_container(environment)
