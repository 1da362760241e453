"""What commands do to files, as data: so that a sequence of it can be made up, and done in several places."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterable

from hypothesis import strategies as st

Operation = tuple

PATHS = ["a", "b", "c", "d", "d/f", "d/g", "d/e", "d/e/x", "d/e/y", "l", "l/f", "n", "n/m", "n/m/o", "z"]
CAPABILITY = bytes.fromhex("0100000200200000000000000000000000000000")

paths = st.sampled_from(PATHS)
operations = st.one_of(
    st.tuples(st.just("create"), paths, st.integers(0, 3000)),
    st.tuples(st.just("append"), paths, st.integers(0, 3000)),
    st.tuples(st.just("rewrite_keeping_time"), paths),
    st.tuples(st.just("truncate"), paths, st.integers(0, 20)),
    st.tuples(st.just("chmod"), paths, st.integers(0, 0o7777)),
    st.tuples(st.just("chown"), paths, st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("touch"), paths, st.integers(0, 2_000_000_000)),
    st.tuples(st.just("touch_and_restore"), paths),
    st.tuples(st.just("chmod_and_restore"), paths),
    st.tuples(st.just("copy_over_itself"), paths),
    st.tuples(st.just("symlink"), paths, st.sampled_from(["d", "nothing", "../d/f", "/a"])),
    st.tuples(st.just("hardlink"), paths, paths),
    st.tuples(st.just("rename"), paths, paths),
    st.tuples(st.just("remove"), paths),
    st.tuples(st.just("mkdir"), paths, st.integers(0, 0o7777)),
    st.tuples(st.just("make_again"), paths, st.integers(0, 3000)),
    st.tuples(st.just("replace_by_directory"), paths),
    st.tuples(st.just("replace_by_file"), paths, st.integers(0, 3000)),
    st.tuples(st.just("pipe"), paths),
    st.tuples(st.just("device"), paths),
    st.tuples(st.just("socket"), paths),
    st.tuples(st.just("capability"), paths),
    st.tuples(st.just("no_capability"), paths),
)
commands = st.lists(operations, max_size=8)


def perform(root: str, todo: Iterable[Operation]) -> None:
    """Do it all below `root`; what is not possible is left out, as ``|| true`` would."""
    old = os.umask(0)
    for name, path, *arguments in todo:
        with contextlib.suppress(OSError):
            # The path itself may end in a link, but none of the operations leads out of the root through one.
            globals()[f"_{name}"](os.path.join(root, path), *arguments, **_roots(root, name))
    os.umask(old)


def _roots(root: str, name: str) -> dict[str, str]:
    return {"root": root} if name in ("hardlink", "rename") else {}


def _data(number: int) -> bytes:
    return b"%d\n" % number * (number % 7)


def _regular(place: str) -> os.stat_result:
    status = os.lstat(place)
    if not stat.S_ISREG(status.st_mode):
        raise OSError("not a regular file")
    return status


def _create(place: str, number: int) -> None:
    with open(place, "xb") as file:
        file.write(_data(number))


def _append(place: str, number: int) -> None:
    _regular(place)
    with open(place, "ab") as file:
        file.write(_data(number))


def _rewrite_keeping_time(place: str) -> None:
    status = _regular(place)
    with open(place, "r+b") as file:
        data = file.read()
        file.seek(0)
        file.write(bytes(byte ^ 1 for byte in data))
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns))


def _truncate(place: str, size: int) -> None:
    _regular(place)
    os.truncate(place, size)


def _chmod(place: str, mode: int) -> None:
    if stat.S_ISLNK(os.lstat(place).st_mode):
        raise OSError("links have no mode")
    os.chmod(place, mode | 0o700 if os.path.isdir(place) else mode)


def _chown(place: str, uid: int, gid: int) -> None:
    os.chown(place, uid, gid, follow_symlinks=False)


def _touch(place: str, time: int) -> None:
    os.utime(place, (time, time), follow_symlinks=False)


def _touch_and_restore(place: str) -> None:
    status = os.lstat(place)
    os.utime(place, (1, 1), follow_symlinks=False)
    os.utime(place, ns=(status.st_atime_ns, status.st_mtime_ns), follow_symlinks=False)


def _chmod_and_restore(place: str) -> None:
    status = os.lstat(place)
    _chmod(place, 0o700)
    os.chmod(place, stat.S_IMODE(status.st_mode))


def _copy_over_itself(place: str) -> None:
    """As ``cp -p f t && mv t f`` does: another inode, and nothing else is new."""
    status = _regular(place)
    if status.st_nlink > 1 or "security.capability" in os.listxattr(place):
        return
    shutil.copy2(place, f"{place}.new")
    os.chown(f"{place}.new", status.st_uid, status.st_gid)
    os.chmod(f"{place}.new", stat.S_IMODE(status.st_mode))
    os.replace(f"{place}.new", place)


def _symlink(place: str, target: str) -> None:
    os.symlink(target, place)


def _hardlink(place: str, other: str, *, root: str) -> None:
    os.link(place, os.path.join(root, other), follow_symlinks=False)


def _rename(place: str, other: str, *, root: str) -> None:
    os.rename(place, os.path.join(root, other))


def _remove(place: str) -> None:
    if os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    else:
        os.unlink(place)


def _mkdir(place: str, mode: int) -> None:
    os.mkdir(place)
    os.chmod(place, mode | 0o700)


def _make_again(place: str, number: int) -> None:
    """Remove a directory and make it again with something else in it: overlayfs makes it opaque."""
    if not stat.S_ISDIR(os.lstat(place).st_mode):
        raise OSError("not a directory")
    shutil.rmtree(place)
    os.mkdir(place, 0o755)
    _create(f"{place}/new", number)


def _replace_by_directory(place: str) -> None:
    os.unlink(place)
    os.mkdir(place, 0o755)
    _create(f"{place}/inside", 5)


def _replace_by_file(place: str, number: int) -> None:
    _remove(place)
    _create(place, number)


def _pipe(place: str) -> None:
    os.mkfifo(place, 0o640)


def _device(place: str) -> None:
    os.mknod(place, 0o20640, os.makedev(1, 7))


def _socket(place: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place)
    os.mknod(place, stat.S_IFSOCK | 0o777)


def _capability(place: str) -> None:
    _regular(place)
    os.setxattr(place, "security.capability", CAPABILITY)


def _no_capability(place: str) -> None:
    os.removexattr(place, "security.capability")
