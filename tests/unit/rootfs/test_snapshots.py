"""Snapshots by walking and by overlayfs: whatever a command does to files, the tree and the layer say the same."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from disk import ROOT, Listing, in_tree, on_disk, on_overlay
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from layers import blob, blob_of, image_files
from operations import Operation, commands, perform

from builder.layer.changes import Changes
from builder.layer.entry import Entry, Kind
from builder.layer.writer import write_layer
from builder.rootfs.base import OverlayDirectories
from builder.rootfs.overlay import OverlayRootFs
from builder.rootfs.tree import FileTree
from builder.rootfs.walk import WalkRootFs

pytestmark = pytest.mark.usefixtures("as_root")

BASE = blob(
    ("file", "a", "alpha"),
    ("hard", "b", "a"),
    ("dir", "d", "1750"),
    ("dir", "d/e"),
    ("file", "d/e/x", "deep"),
    ("file", "d/f", "some text", "4755"),
    ("link", "l", "d"),
    ("file", "z", ""),
)


class Stage:
    """A stage of a build, as far as its files go."""

    def __init__(self, snapshotter: str, directory: Path) -> None:
        self.directory = directory
        self.base = image_files(directory / "store", BASE)
        self.tree = self.base.tree()
        (directory / "scratch").mkdir()
        self.rootfs: WalkRootFs | OverlayRootFs
        if snapshotter == "walk":
            self.rootfs = WalkRootFs(directory / "scratch", self.tree.fork(), ROOT)
        else:
            self.rootfs = OverlayRootFs(directory / "scratch", self.base.lowers(), ROOT)
        self.layers = [BASE]

    def run(self, command: Callable[[str], object]) -> tuple[Changes, Listing]:
        """What the command changed, and all files after it."""
        where = self.rootfs.prepare()
        if isinstance(where, OverlayDirectories):
            listing = on_overlay(where, self.directory / "mounted", lambda root: (command(root), on_disk(root))[1])
        else:
            command(where.path)
            listing = on_disk(where.path)
        changes = self.rootfs.snapshot(self.tree)
        self.tree.apply(changes)
        sink = io.BytesIO()
        write_layer(changes, sink, "none")
        self.layers.append(blob_of(sink.getvalue()))
        return changes, listing

    def from_layers(self) -> FileTree:
        """The tree as a reader of the layers has it."""
        return image_files(self.directory / "reader", *self.layers).tree()


@contextmanager
def stage(snapshotter: str) -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="stage-", dir="/var/tmp") as directory:
        made = Stage(snapshotter, Path(directory))
        yield made
        made.rootfs.close()


def _check(snapshotter: str, todo: list[list[Operation]]) -> None:
    with stage(snapshotter) as running:
        for command in todo:
            _, listing = running.run(lambda root, command=command: perform(root, command))
            found = in_tree(running.tree)
            if snapshotter == "walk":
                assert found == listing
            else:
                _assert_same_but_separated(found, listing)
        assert in_tree(running.from_layers()) == found


def _assert_same_but_separated(found: Listing, listing: Listing) -> None:
    """Overlayfs separates the names of a file when it copies one up, even if nothing about the file changes then."""
    assert {path: fields[:-1] for path, fields in found.items()} == {path: each[:-1] for path, each in listing.items()}
    for path, fields in listing.items():
        assert set(fields[-1]) <= set(found[path][-1])


RANDOM = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


@RANDOM
@given(st.lists(commands, min_size=1, max_size=3))
def test_random_commands_walking(todo: list[list[Operation]]) -> None:
    _check("walk", todo)


@RANDOM
@given(st.lists(commands, min_size=1, max_size=3))
def test_random_commands_on_overlays(todo: list[list[Operation]]) -> None:
    _check("overlay", todo)


def _write(path: str, data: bytes = b"new") -> Callable[[str], None]:
    def command(root: str) -> None:
        Path(root, path).write_bytes(data)

    return command


def _shell(script: str | list[Operation]) -> Callable[[str], None]:
    def command(root: str) -> None:
        if not isinstance(script, str):
            perform(root, script)
            return
        status = os.spawnvp(os.P_WAIT, "sh", ["sh", "-ec", f"cd '{root}'; {script}"])
        assert status == 0, script

    return command


SCENARIOS: dict[str, tuple[str | list[Operation], str]] = {
    # what is done, and the changed paths with - before what was removed
    "nothing": ("true", ""),
    "reading": ("cat a d/f d/e/x > /dev/null; ls -laR . > /dev/null", ""),
    "a new file": ("echo 1 > d/e/new", "d d/e d/e/new"),
    "a new directory": ("mkdir -p n/m", "n n/m"),
    "content": ("echo more >> d/f", "d d/f"),
    "content of the same size and time": ("cp -p d/f t; printf 'SOME TEXT' > d/f; touch -r t d/f; rm t", "d d/f"),
    "mode": ("chmod 600 d/e/x", "d d/e d/e/x"),
    "owner": ("chown 5:6 z", "z"),
    "owner of a link": ("chown -h 5:6 l", "l"),
    "time": ("touch -d @5 z", "z"),
    "a directory's mode": ("chmod 755 d", "d"),
    "a directory's time alone": ("touch -d @5 d d/e; touch .", ""),
    "a file made and removed": ("echo 1 > d/new; rm d/new", ""),
    "touched and restored": ("touch d/f; touch -d @1600000005 d/f", ""),
    "mode changed and restored": ("chmod 1 d/f; chmod 4755 d/f; chmod 700 d; chmod 1750 d", ""),
    "owner set to what it was": ("chown -R 0:0 d; chmod 4755 d/f; chmod 1750 d", ""),
    "moved and moved back": ("mv z y; mv y z", ""),
    "copied over itself": ("cp -p d/f t; cat t > d/f; touch -r t d/f; rm t", ""),
    "replaced by a copy of itself": ("cp -p d/f t; mv t d/f", ""),
    "rewritten with the same bytes": ("cp -p d/f t; cat t > t2; touch -r t t2; chmod 4755 t2; mv t2 d/f; rm t", ""),
    "a file removed": ("rm d/e/x", "d d/e -d/e/x"),
    "a tree removed": ("rm -r d", "-d"),
    "a tree made again": ("rm -r d; mkdir -m 1750 d; echo 1 > d/new", "d -d/e -d/f d/new"),
    "a tree made again, empty": ("rm -r d/e; mkdir d/e", "d d/e -d/e/x"),
    "a tree made again as it was": (
        "cp -a d t; rm -r d; mkdir -m 1750 d; cp -p t/f d/f; chmod 4755 d/f; cp -rp t/e d/e; rm -r t",
        "",
    ),
    "a file by a directory": ("rm z; mkdir z; echo 1 > z/new", "z z/new"),
    "a link by a directory": ("rm l; mkdir l; echo 1 > l/new", "l l/new"),
    "a directory by a link": ("rm -r d; ln -s a d", "d"),
    "a directory by a file": ("rm -r d; echo 1 > d", "d"),
    "a directory by a file and back": ("rm -r d; echo 1 > d; rm d; mkdir -m 1750 d", "d -d/e -d/f"),
    "a link retargeted": ("ln -sfn d/e l", "l"),
    "a link made again as it was": ("rm l; ln -s d l; touch -h -d @1600000006 l", ""),
    "a file moved": ("mv z d/e/z", "d d/e d/e/z -z"),
    "a hardlink to a new file": ("echo 1 > n; ln n m", "m n"),
    "a hardlink to an old file": ("ln z y", "y z"),
    "a hardlink removed": ("rm a", "-a"),
    "a pipe": ("mkfifo p", "p"),
    "a device": ("mknod null c 1 3", "null"),
    "a socket leaves nothing": ([("socket", "s")], ""),
    "a socket in place of a file": ([("socket", "z")], "-z"),
    "a capability": ("setcap cap_net_raw+ep d/e/x", "d d/e d/e/x"),
    "a capability set and removed": ("setcap cap_net_raw+ep d/e/x; setcap -r d/e/x", ""),
    "another attribute": ("setfattr -n user.x -v 1 d/f", ""),
    "sparse": ("truncate -s 3M big", "big"),
    "names that are no UTF-8": ("printf 1 > \"$(printf 'caf\\351')\"", "caf\udce9"),
    "var/run": ("mkdir -p var/run; echo 1 > var/run/pid", "var var/run var/run/pid"),
}  # fmt: skip


def _words(changes: Changes) -> str:
    return " ".join(path if changes[path] is not None else f"-{path}" for path in sorted(changes))


@pytest.mark.parametrize("name", SCENARIOS)
def test_both_snapshotters_see_the_same_changes(name: str) -> None:
    script, expected = SCENARIOS[name]
    tars = []
    for snapshotter in ("walk", "overlay"):
        with stage(snapshotter) as running:
            changes, listing = running.run(_shell(script))
            assert _words(changes) == expected, snapshotter
            assert in_tree(running.tree) == listing
            assert in_tree(running.from_layers()) == listing
            # What is new has the time of this run: equal within the second, so compare with times set to one.
            sink = io.BytesIO()
            write_layer(_at_one_time(changes), sink, "none")
            tars.append(sink.getvalue())
    assert tars[0] == tars[1], "the layers differ"


def _at_one_time(changes: Changes) -> Changes:
    made: dict[int, Entry] = {}
    return {
        path: None if entry is None else made.setdefault(id(entry), entry._replace(mtime=0))
        for path, entry in changes.items()
    }


LATER: dict[str, tuple[str, str, str]] = {
    # a first command, a second one, and what the second one changed
    "nothing": ("mkdir n; echo 1 > n/f; ln n/f n/g", "true", ""),
    "content": ("echo 1 > n", "echo 2 >> n", "n"),
    "content of the same size and time": ("echo 1 > n", "cp -p n t; echo 2 > n; touch -r t n; rm t", "n"),
    "content of the same size and a whole second": ("echo 1 > n; touch -d @7 n", "echo 2 > n; touch -d @7 n", "n"),
    "touched and restored": ("echo 1 > n; touch -d @7 n", "touch n; touch -d @7 n", ""),
    "rewritten with the same bytes": ("echo 1 > n; touch -d @7 n", "echo 1 > n; touch -d @7 n", ""),
    "owner set to what it was": ("mkdir n; echo 1 > n/f; ln -s f n/l", "chown -R 0:0 n; chown -h 0:0 n/l", ""),
    "mode changed and restored": ("echo 1 > n; chmod 600 n", "chmod 777 n; chmod 600 n", ""),
    "removed": ("mkdir n; echo 1 > n/f", "rm -r n", "-n"),
    "removed and made again": ("mkdir n; echo 1 > n/f", "rm -r n; mkdir n; echo 2 > n/g", "n -n/f n/g"),
    "one name of two removed": ("echo 1 > n; ln n m", "rm m", "-m"),
    "the first name of two removed": ("echo 1 > m; ln m n", "rm m", "-m"),
    "the first name of two given to another file": ("echo 1 > m; ln m n", "rm m; echo 22 > m", "m"),
    "a third name": ("echo 1 > n", "ln n m; ln n o", "m n o"),
    "a file of the base removed": ("rm z", "true", ""),
    "a file of the base removed and made again": ("rm z", "echo 1 > z", "z"),
    "a directory of the base made again": ("rm -r d", "mkdir d; echo 1 > d/f", "d d/f"),
    "a file where a directory was": ("rm -r d; echo 1 > d", "rm d; mkdir d", "d"),
}


@pytest.mark.parametrize("snapshotter", ["walk", "overlay"])
@pytest.mark.parametrize("name", LATER)
def test_a_later_command_changes_what_an_earlier_one_made(name: str, snapshotter: str) -> None:
    first, second, expected = LATER[name]
    with stage(snapshotter) as running:
        running.run(_shell(first))
        changes, listing = running.run(_shell(second))
        assert _words(changes) == expected
        assert in_tree(running.tree) == listing
        assert in_tree(running.from_layers()) == listing


def test_a_directory_renamed_with_a_hardlink_outside_of_it() -> None:
    """Walking, both names still are one file; the one that did not move must be in the layer too."""
    with stage("walk") as running:
        running.run(_shell("mkdir n; echo 1 > n/f; ln n/f o"))
        changes, listing = running.run(_shell("mv n m"))
        assert _words(changes) == "m m/f -n o"
        assert changes["m/f"] is changes["o"]
        assert in_tree(running.tree) == in_tree(running.from_layers()) == listing


@pytest.mark.parametrize("snapshotter", ["walk", "overlay"])
def test_files_that_instructions_add_in_between(snapshotter: str) -> None:
    from builder.layer.entry import BytesContent

    def file(data: bytes) -> Entry:
        return Entry(Kind.FILE, 0o644, size=len(data), mtime=9, content=BytesContent(data))

    with stage(snapshotter) as running:
        copied: Changes = {
            "d": running.tree.entry("d"),
            "d/copied": file(b"copied"),
            "d/f": file(b"overwritten"),
            "opt": Entry(Kind.DIRECTORY, 0o755, 7, 8, mtime=9),
            "opt/l": Entry(Kind.SYMLINK, 0o777, mtime=9, link="../d"),
        }
        running.tree.apply(copied)
        running.rootfs.add(copied)
        changes, listing = running.run(lambda root: None)
        assert changes == {}
        assert in_tree(running.tree) == listing
        again = {"d/copied": file(b"again!"), "gone": None}
        running.tree.apply(again)
        running.rootfs.add(again)
        changes, listing = running.run(_shell("echo 1 >> d/copied; rm d/f; touch -d @9 opt/l -h"))
        assert _words(changes) == "d d/copied -d/f"
        assert in_tree(running.tree) == listing


@pytest.mark.parametrize("snapshotter", ["walk", "overlay"])
def test_forks_go_their_own_ways(snapshotter: str) -> None:
    with stage(snapshotter) as running:
        running.run(_shell("mkdir n; echo 1 > n/f; ln n/f n/g; rm -r d"))
        for text in ("left", "right"):
            fork, tree = running.rootfs.fork(running.tree), running.tree.fork()
            parent, running.rootfs, running.tree = (running.rootfs, running.tree), fork, tree
            changes, listing = running.run(_shell(f"echo {text} > n/f; echo {text} > {text}"))
            # Overlayfs separates the names of a file of the layers below when one is written to.
            names = ["n", "n/f", "n/g", text] if snapshotter == "walk" else ["n", "n/f", text]
            assert _words(changes) == " ".join(sorted(names))
            assert in_tree(running.tree) == listing
            running.rootfs.close()
            running.rootfs, running.tree = parent
        _, listing = running.run(lambda root: None)
        assert in_tree(running.tree) == listing
        assert "left" not in listing and listing["n/f"][4] == b"1\n"


@pytest.mark.parametrize("snapshotter", ["walk", "overlay"])
def test_from_nothing(snapshotter: str, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    tree = FileTree()
    rootfs: WalkRootFs | OverlayRootFs
    if snapshotter == "walk":
        rootfs = WalkRootFs(tmp_path / "scratch", tree.fork(), ROOT)
    else:
        rootfs = OverlayRootFs(tmp_path / "scratch", (), ROOT)
    where = rootfs.prepare()
    if isinstance(where, OverlayDirectories):
        on_overlay(where, tmp_path / "mounted", _write("f"))
    else:
        _write("f")(where.path)
    tree.apply(rootfs.snapshot(tree))
    assert list(in_tree(tree)) == ["f"]
    rootfs.close()
    assert not (tmp_path / "scratch").exists()


@pytest.mark.parametrize("snapshotter", ["walk", "overlay"])
def test_the_root_directory_is_open_whatever_the_umask(snapshotter: str) -> None:
    old = os.umask(0o077)
    try:
        with stage(snapshotter) as running:
            seen: list[int] = []
            _, listing = running.run(lambda root: seen.append(os.stat(root).st_mode & 0o777) or _assert_open(root))
            assert in_tree(running.tree) == listing
    finally:
        os.umask(old)


def _assert_open(root: str) -> None:
    assert os.stat(root).st_mode & 0o777 == 0o755


@pytest.mark.parametrize("snapshotter", ["walk", "overlay"])
def test_without_owners_on_disk_the_trees_are_kept(snapshotter: str, tmp_path: Path) -> None:
    """Where a single id is mapped, all files on disk are of one owner, and the tree knows better."""
    from builder.rootfs.directory import Ownership

    ownership = Ownership(owners=False)
    tree = FileTree()
    tree.put("theirs", Entry(Kind.DIRECTORY, 0o755, 33, 33))
    (tmp_path / "scratch").mkdir()
    rootfs: WalkRootFs | OverlayRootFs
    if snapshotter == "walk":
        rootfs = WalkRootFs(tmp_path / "scratch", tree.fork(), ownership)
    else:
        (tmp_path / "lower").mkdir()
        (tmp_path / "lower/theirs").mkdir()
        rootfs = OverlayRootFs(tmp_path / "scratch", (str(tmp_path / "lower"),), ownership)
    where = rootfs.prepare()
    if isinstance(where, OverlayDirectories):
        on_overlay(where, tmp_path / "mounted", _write("theirs/new"))
    else:
        _write("theirs/new")(where.path)
    changes = rootfs.snapshot(tree)
    assert {path: (entry.uid, entry.gid) for path, entry in changes.items()} == {
        "theirs": (33, 33),
        "theirs/new": (0, 0),
    }
    rootfs.close()
