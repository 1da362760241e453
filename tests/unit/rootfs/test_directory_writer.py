"""Entries as real files: nothing outside the root is touched, special bits and holes are kept."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from disk import ROOT

from builder.errors import LayerError
from builder.layer.entry import Entry, Kind
from builder.rootfs.directory import DirectoryWriter, NotSelfContained, Ownership

DIRECTORY = Entry(Kind.DIRECTORY, 0o755)
BYTES_ONLY = Ownership(owners=False, modes=False)


def link(target: str) -> Entry:
    return Entry(Kind.SYMLINK, 0o777, link=target)


def write_file(writer: DirectoryWriter, path: str, data: bytes = b"data", mode: int = 0o644, **fields: object) -> None:
    writer.put(path, Entry(Kind.FILE, mode, size=len(data))._replace(**fields), io.BytesIO(data))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that links of a layer may point to, and that must stay as it is."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_bytes(b"untouched")
    (tmp_path / "outside/directory").mkdir(mode=0o711)
    return tmp_path / "outside"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root").mkdir()
    return tmp_path / "root"


@pytest.fixture
def writer(root: Path) -> DirectoryWriter:
    return DirectoryWriter(str(root), ROOT if os.getuid() == 0 else Ownership(owners=False))


def unchanged(outside: Path) -> bool:
    return (
        sorted(os.listdir(outside)) == ["directory", "file"]
        and (outside / "file").read_bytes() == b"untouched"
        and (outside / "file").stat().st_nlink == 1
        and os.listdir(outside / "directory") == []
        and stat.S_IMODE((outside / "directory").stat().st_mode) == 0o711
    )


def test_every_kind(writer: DirectoryWriter, root: Path) -> None:
    writer.put("d", Entry(Kind.DIRECTORY, 0o1750, mtime=1_000))
    write_file(writer, "d/f", b"content", 0o640, mtime=2_000)
    writer.put("d/l", link("../anywhere")._replace(mtime=3_000))
    writer.put("d/p", Entry(Kind.FIFO, 0o622, mtime=4_000))
    writer.link("d/h", "d/f")
    write_file(writer, "d/old", mtime=-5_000)
    writer.finish()
    assert (root / "d/f").read_bytes() == b"content"
    assert (root / "d/h").stat().st_ino == (root / "d/f").stat().st_ino
    assert os.readlink(root / "d/l") == "../anywhere"
    assert stat.S_ISFIFO((root / "d/p").stat().st_mode)
    modes = {name: stat.S_IMODE((root / name).lstat().st_mode) for name in ("d", "d/f", "d/p")}
    assert modes == {"d": 0o1750, "d/f": 0o640, "d/p": 0o622}
    times = {name: (root / name).lstat().st_mtime for name in ("d", "d/f", "d/l", "d/p", "d/old")}
    assert times == {"d": 1_000, "d/f": 2_000, "d/l": 3_000, "d/p": 4_000, "d/old": -5_000}


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_the_umask_plays_no_part(root: Path, umask: int) -> None:
    old = os.umask(umask)
    try:
        writer = DirectoryWriter(str(root), Ownership(owners=False))
        writer.put("d", Entry(Kind.DIRECTORY, 0o777))
        write_file(writer, "d/f", mode=0o666)
        write_file(writer, "d/x", mode=0o000)
        writer.put("d/p", Entry(Kind.FIFO, 0o666))
        write_file(writer, "implied/f", mode=0o777)
        writer.finish()
    finally:
        os.umask(old)
    modes = [stat.S_IMODE((root / name).stat().st_mode) for name in ("d", "d/f", "d/x", "d/p", "implied", "implied/f")]
    assert modes == [0o777, 0o666, 0o000, 0o666, 0o755, 0o777]


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o6711, 0o1644])
def test_special_bits_survive_the_change_of_the_owner(writer: DirectoryWriter, root: Path, mode: int) -> None:
    write_file(writer, "f", mode=mode, uid=1000, gid=1001)
    writer.put("d", Entry(Kind.DIRECTORY, mode, 1000, 1001))
    writer.finish()
    for name in ("f", "d"):
        status = (root / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, 1000, 1001)


@pytest.mark.usefixtures("as_root")
def test_owners_of_links_pipes_and_devices(writer: DirectoryWriter, root: Path) -> None:
    writer.put("l", link("x")._replace(uid=7, gid=8))
    writer.put("p", Entry(Kind.FIFO, 0o600, 7, 8))
    writer.put("c", Entry(Kind.CHAR, 0o666, 7, 8, device=(1, 3)))
    writer.put("b", Entry(Kind.BLOCK, 0o660, 7, 8, device=(7, 300)))
    writer.finish()
    for name in ("l", "p", "c", "b"):
        status = (root / name).lstat()
        assert (status.st_uid, status.st_gid) == (7, 8)
    assert (root / "b").stat().st_rdev == os.makedev(7, 300)
    assert stat.S_IMODE((root / "c").stat().st_mode) == 0o666


@pytest.mark.usefixtures("as_root")
def test_capabilities_and_other_xattrs(writer: DirectoryWriter, root: Path) -> None:
    capability = bytes.fromhex("0100000200200000000000000000000000000000")
    write_file(writer, "f", uid=5, xattrs={"security.capability": capability, "user.x": b"\0\1"})
    writer.put("d", DIRECTORY._replace(xattrs={"user.y": b"z"}))
    writer.finish()
    assert os.getxattr(root / "f", "security.capability") == capability
    assert os.getxattr(root / "f", "user.x") == b"\0\1"
    assert os.getxattr(root / "d", "user.y") == b"z"


@pytest.mark.usefixtures("as_root")
@pytest.mark.parametrize("name", ["trusted.overlay.opaque", "trusted.overlay.redirect", "user.overlay.opaque"])
def test_a_layer_cannot_speak_to_overlayfs(writer: DirectoryWriter, root: Path, name: str) -> None:
    write_file(writer, "f", xattrs={name: b"y"})
    writer.put("d", DIRECTORY._replace(xattrs={name: b"y"}))
    writer.finish()
    assert os.listxattr(root / "f") == os.listxattr(root / "d") == []


def test_xattrs_that_cannot_be_set_are_left_out(writer: DirectoryWriter, root: Path) -> None:
    write_file(writer, "f", xattrs={"nonsense": b"1", "user.ok": b"2"})
    assert os.listxattr(root / "f") == ["user.ok"]


PLANTED: list[Callable[[DirectoryWriter, str], None]] = [
    lambda writer, name: write_file(writer, f"{name}/file", b"overwritten"),
    lambda writer, name: write_file(writer, f"{name}/new"),
    lambda writer, name: write_file(writer, f"{name}/directory/new"),
    lambda writer, name: writer.put(f"{name}/directory", Entry(Kind.DIRECTORY, 0o777)),
    lambda writer, name: writer.put(f"{name}/l", link("x")),
    lambda writer, name: writer.put(f"{name}/p", Entry(Kind.FIFO, 0o600)),
    lambda writer, name: writer.link(f"{name}/hard", "mine"),
    lambda writer, name: writer.link("stolen", f"{name}/file"),
    lambda writer, name: writer.remove(f"{name}/file"),
    lambda writer, name: writer.remove(f"{name}/directory"),
    lambda writer, name: writer.whiteout(f"{name}/file"),
    lambda writer, name: writer.opaque(name),
    lambda writer, name: writer.opaque(f"{name}/directory"),
]


@pytest.mark.parametrize("target", ["absolute", "relative", "through another"])
@pytest.mark.parametrize("attack", PLANTED, ids=range(len(PLANTED)))
def test_planted_links_are_never_followed(
    writer: DirectoryWriter, root: Path, outside: Path, target: str, attack: Callable[[DirectoryWriter, str], None]
) -> None:
    write_file(writer, "mine")
    if target == "through another":
        writer.put("step", link(str(outside.parent)))
    writer.put(
        "trap", link({"absolute": str(outside), "relative": "../outside", "through another": "step/outside"}[target])
    )
    try:
        attack(writer, "trap")
        writer.finish()
    except (NotSelfContained, OSError):
        pass
    assert unchanged(outside)
    assert not (root / "stolen").exists()


def test_a_file_over_a_planted_link_replaces_the_link(writer: DirectoryWriter, root: Path, outside: Path) -> None:
    for name, target in (("f", "file"), ("d", "directory"), ("m", "missing")):
        writer.put(name, link(str(outside / target)))
    write_file(writer, "f", b"new")
    writer.put("d", DIRECTORY)
    write_file(writer, "m", b"new")
    writer.finish()
    assert unchanged(outside)
    assert (root / "f").read_bytes() == (root / "m").read_bytes() == b"new"
    assert not (root / "f").is_symlink() and not (root / "d").is_symlink()


def test_a_directory_that_was_replaced_by_a_link_is_not_known_any_more(
    writer: DirectoryWriter, root: Path, outside: Path
) -> None:
    writer.put("d", DIRECTORY)
    writer.put("d/directory", DIRECTORY)
    writer.put("d", link(str(outside)))
    with pytest.raises(NotSelfContained):
        write_file(writer, "d/directory/new")
    with pytest.raises(NotSelfContained):
        write_file(writer, "d/new")
    writer.finish()
    assert unchanged(outside)


def test_links_that_were_there_before_are_not_followed_either(root: Path, outside: Path) -> None:
    """What a command left in a plain directory is as hostile as a layer."""
    (root / "trap").symlink_to(outside)
    for attack in PLANTED:
        writer = DirectoryWriter(str(root), Ownership(owners=False))
        write_file(writer, "mine")
        try:
            attack(writer, "trap")
            writer.finish()
        except (NotSelfContained, OSError):
            pass
        assert unchanged(outside)


@pytest.mark.parametrize("first", ["file", "directory", "link", "pipe"])
@pytest.mark.parametrize("second", ["file", "directory", "link", "pipe", "hardlink"])
def test_replacing_anything_by_anything(writer: DirectoryWriter, root: Path, first: str, second: str) -> None:
    def put(kind: str) -> None:
        if kind == "file":
            write_file(writer, "x")
        elif kind == "hardlink":
            writer.link("x", "other")
        else:
            entries = {"directory": DIRECTORY, "link": link("other"), "pipe": Entry(Kind.FIFO, 0o600)}
            writer.put("x", entries[kind])

    write_file(writer, "other")
    put(first)
    if first == "directory":
        write_file(writer, "x/below")
    put(second)
    writer.finish()
    mode = (root / "x").lstat().st_mode
    expected = {"file": stat.S_IFREG, "hardlink": stat.S_IFREG, "directory": stat.S_IFDIR}
    assert stat.S_IFMT(mode) == expected.get(second, {"link": stat.S_IFLNK, "pipe": stat.S_IFIFO}.get(second))
    assert (root / "x/below").exists() == (first == second == "directory")


def test_a_directory_put_again_takes_the_later_metadata(writer: DirectoryWriter, root: Path) -> None:
    writer.put("d", Entry(Kind.DIRECTORY, 0o700))
    write_file(writer, "d/f")
    writer.put("d", Entry(Kind.DIRECTORY, 0o750, mtime=77))
    writer.finish()
    assert ((root / "d").stat().st_mode & 0o7777, (root / "d").stat().st_mtime) == (0o750, 77)
    assert (root / "d/f").exists()


def test_directories_that_nobody_may_write_to_are_filled_all_the_same(writer: DirectoryWriter, root: Path) -> None:
    writer.put("d", Entry(Kind.DIRECTORY, 0o555))
    write_file(writer, "d/f")
    writer.finish()
    assert (root / "d").stat().st_mode & 0o777 == 0o555


def test_implied_directories_are_told(writer: DirectoryWriter) -> None:
    write_file(writer, "a/b/f")
    assert writer.implied == {"a", "a/b"}
    writer.put("a", DIRECTORY)
    assert writer.implied == {"a/b"}


@pytest.mark.parametrize("target", ["nothing", "nothing/below", "directory", "directory/nothing"])
def test_hardlinks_to_what_is_not_a_file_here(writer: DirectoryWriter, target: str) -> None:
    writer.put("directory", DIRECTORY)
    with pytest.raises(NotSelfContained):
        writer.link("h", target)


def test_a_hardlink_to_a_link_is_one_more_name_of_the_link(writer: DirectoryWriter, root: Path, outside: Path) -> None:
    writer.put("l", link(str(outside / "file")))
    writer.link("h", "l")
    assert os.readlink(root / "h") == str(outside / "file")
    assert unchanged(outside)


def test_a_hardlink_to_itself(writer: DirectoryWriter, root: Path) -> None:
    write_file(writer, "f", b"kept")
    writer.link("f", "f")
    assert (root / "f").read_bytes() == b"kept"


@pytest.mark.parametrize("size", [1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 5 << 20])
def test_zeros_become_holes(writer: DirectoryWriter, root: Path, size: int) -> None:
    write_file(writer, "zeros", bytes(size))
    write_file(writer, "mixed", b"head" + bytes(size) + b"tail")
    status = (root / "zeros").stat()
    assert status.st_size == size
    assert (root / "zeros").read_bytes() == bytes(size)
    assert (root / "mixed").read_bytes() == b"head" + bytes(size) + b"tail"
    assert status.st_blocks * 512 <= size % (1 << 20) + 4096


def test_data_that_ends_early(writer: DirectoryWriter) -> None:
    with pytest.raises(LayerError, match="ends 6 bytes early"):
        writer.put("f", Entry(Kind.FILE, 0o644, size=10), io.BytesIO(b"four"))


@pytest.mark.usefixtures("as_root")
def test_a_whiteout_is_a_device_and_never_comes_from_a_layer(writer: DirectoryWriter, root: Path) -> None:
    writer.put("d", DIRECTORY)
    writer.whiteout("d/gone")
    writer.put("d/planted", Entry(Kind.CHAR, 0o600, device=(0, 0)))
    writer.finish()
    status = (root / "d/gone").lstat()
    assert stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
    assert not (root / "d/planted").exists()
    assert writer.skipped == {"d/planted"}


@pytest.mark.usefixtures("as_root")
def test_whiteouts_beside_what_is_made_again(writer: DirectoryWriter, root: Path) -> None:
    opaque = "trusted.overlay.opaque"
    write_file(writer, "file")
    writer.whiteout("file")  # the one of this layer stays
    writer.put("before", DIRECTORY)
    writer.whiteout("before")
    writer.whiteout("after")
    writer.put("after", DIRECTORY)
    writer.whiteout("replaced")
    write_file(writer, "replaced")
    writer.put("plain", DIRECTORY)
    writer.opaque("plain")
    writer.finish()
    assert (root / "file").is_file() and (root / "replaced").is_file()
    assert [os.getxattr(root / name, opaque) for name in ("before", "after", "plain")] == [b"y"] * 3


@pytest.mark.usefixtures("as_root")
def test_the_opaque_mark_of_a_user_namespace(root: Path) -> None:
    writer = DirectoryWriter(str(root), Ownership(owners=True, opaque="user.overlay.opaque"))
    writer.put("d", DIRECTORY)
    writer.opaque("d")
    writer.finish()
    assert os.listxattr(root / "d") == ["user.overlay.opaque"]


def _as_user(action: Callable[[], None]) -> None:
    """Call it in a child process that is an ordinary user."""
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setresgid(65534, 65534, 65534)
                os.setresuid(65534, 65534, 65534)
            action()
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.usefixtures("as_root")
def test_an_ordinary_user_keeps_the_bytes_and_can_remove_everything(scratch: Path) -> None:
    def write() -> None:
        writer = DirectoryWriter(str(scratch), BYTES_ONLY)
        writer.put("", Entry(Kind.DIRECTORY, 0o000, 0, 0))
        writer.put("closed", Entry(Kind.DIRECTORY, 0o000, 0, 0))
        write_file(writer, "closed/shadow", b"secret", 0o4000, uid=0, gid=42)
        writer.put("closed/null", Entry(Kind.CHAR, 0o666, device=(1, 3)))
        writer.link("closed/null-too", "closed/null")
        writer.put("closed/disk", Entry(Kind.BLOCK, 0o666, device=(8, 0)))
        writer.put("closed/pipe", Entry(Kind.FIFO, 0o000))
        writer.finish()
        assert writer.skipped == {"closed/null", "closed/null-too", "closed/disk"}
        assert (scratch / "closed/shadow").read_bytes() == b"secret"
        assert (scratch / "closed/shadow").stat().st_mode & 0o7777 == 0o600
        (scratch / "closed/shadow").unlink()

    os.chown(scratch, 65534, 65534)
    _as_user(write)


@pytest.mark.usefixtures("as_root")
def test_devices_without_the_privilege_are_skipped(scratch: Path) -> None:
    def write() -> None:
        writer = DirectoryWriter(str(scratch), Ownership(owners=False))
        writer.put("null", Entry(Kind.CHAR, 0o666, device=(1, 3)))
        assert writer.skipped == {"null"}
        assert not (scratch / "null").exists()

    os.chown(scratch, 65534, 65534)
    _as_user(write)


def test_removing(writer: DirectoryWriter, root: Path) -> None:
    writer.put("d", DIRECTORY)
    write_file(writer, "d/e/f")
    write_file(writer, "f")
    for path in ("d/e", "f", "nothing", "nothing/below", "d/nothing"):
        writer.remove(path)
    write_file(writer, "d/e/new")
    writer.finish()
    assert sorted(str(path.relative_to(root)) for path in root.rglob("*")) == ["d", "d/e", "d/e/new"]
