"""A directory stands in for the container: its files give way to stages, and are back at the end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from disk import ROOT, on_disk
from layers import Row, blob, image_files

from builder.errors import StorageError
from builder.layer.entry import Entry, FileContent, Kind
from builder.rootfs.directory import Ownership
from builder.rootfs.image_files import ImageFiles
from builder.rootfs.in_place.container import Container, recover
from builder.rootfs.in_place.context import PreservedContext
from builder.rootfs.in_place.protected import ProtectedPaths, of_container
from builder.rootfs.in_place.rootfs import InPlaceRootFs
from builder.rootfs.tree import FileTree

pytestmark = pytest.mark.usefixtures("as_root")

PLAIN = Ownership(owners=True, overlay=False)
BASE: list[Row] = [
    ("dir", "etc"),
    ("file", "etc/passwd", "root of the image"),
    ("file", "etc/hosts", "hosts of the image"),
    ("dir", "usr"),
    ("dir", "usr/bin"),
    ("file", "usr/bin/new", "program", "4755"),
    ("hard", "usr/bin/other-name", "usr/bin/new"),
    ("link", "bin", "usr/bin"),
    ("file", "gone", "in the lower layer"),
]
UPPER: list[Row] = [("gone", "gone"), ("dir", "opt"), ("file", "opt/tool", "tool")]


@dataclass
class Stand:
    """A container of its own, with a state directory in it."""

    root: Path
    protected: ProtectedPaths
    warnings: list[str] = field(default_factory=list)
    stages: int = 0

    def __post_init__(self) -> None:
        self.container = self.new_container()

    @property
    def home(self) -> Path:
        return self.root / "kaniko/in-place"

    def new_container(self, context: PreservedContext | None = None) -> Container:
        self.container = Container(
            self.protected, self.home, self.warnings.append, root=str(self.root), context=context
        )
        return self.container

    def image(self, *layers: list[Row]) -> ImageFiles:
        self.stages += 1
        store = self.root / f"kaniko/state{self.stages}"
        return image_files(store, *(blob(*rows) for rows in layers), ownership=PLAIN)

    def stage(self, image: ImageFiles | None = None) -> tuple[InPlaceRootFs, FileTree]:
        self.stages += 1
        scratch = self.root / f"kaniko/scratch{self.stages}"
        scratch.mkdir()
        tree = image.tree() if image else FileTree()
        return InPlaceRootFs(self.container, scratch, tree.fork(), PLAIN, image), tree

    def listing(self) -> dict[str, object]:
        """All of the container but what the builder keeps for itself."""
        found = on_disk(self.root)
        times = {path: (self.root / path).lstat().st_mtime_ns for path in found}
        return {path: (each, times[path]) for path, each in found.items() if not path.startswith("kaniko")}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    root = tmp_path / "container"
    for directory in ("kaniko", "etc/ssl", "usr/lib", "workspace", "run/secrets/token", "proc", "sys", "dev"):
        (root / directory).mkdir(parents=True)
    for name in ("etc/hosts", "etc/ssl/old", "usr/lib/libold.so", "workspace/source", "run/secrets/token/ca", "old"):
        (root / name).write_text(f"{name} of the container")
    os.chmod(root / "usr", 0o750)
    os.chown(root / "old", 5, 6)
    os.symlink("usr/lib", root / "lib")
    return Stand(
        root, ProtectedPaths(("kaniko", "workspace", "proc", "sys", "dev"), ("etc/hosts", "run/secrets/token"))
    )


def written(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def read(entry: Entry | None) -> str:
    assert entry is not None
    assert entry.content is not None
    with entry.content.open() as stream:
        return stream.read().decode()


def test_a_stage_takes_the_root_and_the_container_gets_it_back(stand: Stand) -> None:
    before = stand.listing()
    rootfs, tree = stand.stage(stand.image(BASE, UPPER))
    assert rootfs.prepare().path == str(stand.root)
    assert sorted(os.listdir(stand.root)) == [
        *("bin", "dev", "etc", "kaniko", "opt", "proc", "run", "sys", "usr", "workspace")
    ]
    assert sorted(os.listdir(stand.root / "etc")) == ["hosts", "passwd"]
    assert (stand.root / "etc/hosts").read_text() == "etc/hosts of the container"
    assert (stand.root / "usr/bin/new").stat().st_mode & 0o7777 == 0o4755
    assert (stand.root / "usr/bin/new").samefile(stand.root / "usr/bin/other-name")
    written(stand.root, "srv/made", "by a command")
    (stand.root / "opt/tool").unlink()
    changes = rootfs.snapshot(tree)
    assert sorted(changes) == ["dev", "opt", "opt/tool", "proc", "srv", "srv/made", "sys"]
    assert changes["opt/tool"] is None
    stand.container.restore()
    assert stand.listing() == before
    assert not stand.home.exists()


def test_what_the_image_has_under_protected_paths_is_neither_written_nor_removed(stand: Stand) -> None:
    rows: list[Row] = [
        ("dir", "kaniko"),
        ("file", "kaniko/executor", "of the image"),
        ("link", "opt", "kaniko"),
        ("file", "workspace", "a file"),
        ("dir", "proc"),
    ]
    rootfs, tree = stand.stage(stand.image(rows))
    rootfs.prepare()
    assert not (stand.root / "kaniko/executor").exists()
    assert (stand.root / "workspace/source").exists()
    assert os.readlink(stand.root / "opt") == "kaniko"
    assert sorted(rootfs.snapshot(tree)) == ["dev", "sys"]
    assert len(stand.warnings) == 2
    assert "files below /kaniko" in stand.warnings[0]
    assert "a file at /workspace" in stand.warnings[1]


def test_an_image_cannot_write_through_its_own_links(stand: Stand) -> None:
    first: list[Row] = [("link", "way", "kaniko"), ("link", "to", "/workspace")]
    second: list[Row] = [("file", "way/planted", "planted"), ("file", "to/planted", "planted")]
    rootfs, _ = stand.stage(stand.image(first, second))
    rootfs.prepare()
    assert not (stand.root / "kaniko/planted").exists()
    assert not (stand.root / "workspace/planted").exists()


CROSSING: list[Row] = [("dir", "var"), ("link", "run", "var"), ("file", "var/here", "x")]
"""An image with a link where the container has a directory with a mount in it."""


def test_a_link_of_the_image_on_the_way_to_a_mount(stand: Stand) -> None:
    before = stand.listing()
    rootfs, tree = stand.stage(stand.image(CROSSING))
    rootfs.prepare()
    assert os.readlink(stand.root / "run") == "var"
    written(stand.root, "run/kept", "x")
    changes = rootfs.snapshot(tree)
    assert sorted(changes) == ["dev", "proc", "sys", "var", "var/kept"]
    tree.apply(changes)
    other, _ = stand.stage()
    other.prepare()
    assert (stand.root / "run/secrets/token/ca").exists()
    other.close()
    rootfs.prepare()
    assert sorted(os.listdir(stand.root / "run")) == ["here", "kept"]
    stand.container.restore()
    assert stand.listing() == before
    assert stand.warnings == []


def test_a_link_of_the_image_on_the_way_to_what_the_builder_needs(stand: Stand) -> None:
    stand.protected = ProtectedPaths((*stand.protected.named, "run/secrets/token/ca"), stand.protected.mounts)
    stand.new_container()
    rootfs, tree = stand.stage(stand.image(CROSSING))
    rootfs.prepare()
    assert (stand.root / "run/secrets/token/ca").exists()
    assert not (stand.root / "run").is_symlink()
    written(stand.root, "run/lost", "x")
    assert sorted(rootfs.snapshot(tree)) == ["dev", "proc", "sys"]
    assert "a symlink at /run, on the way to /run/secrets/token" in stand.warnings[0]
    stand.container.restore()
    assert not (stand.root / "run/lost").exists()


def test_borrowed_directories_are_no_change_until_something_is_in_them(stand: Stand) -> None:
    rootfs, tree = stand.stage()
    rootfs.prepare()
    changes = rootfs.snapshot(tree)
    assert sorted(changes) == ["dev", "proc", "sys"]
    tree.apply(changes)
    rootfs.prepare()
    written(stand.root, "etc/made", "x")
    assert sorted(rootfs.snapshot(tree)) == ["etc", "etc/made"]


def test_a_second_stage_does_not_see_the_first_whose_contents_stay(stand: Stand) -> None:
    first, tree = stand.stage(stand.image(BASE))
    first.prepare()
    written(stand.root, "made", "by the first")
    written(stand.root, "etc/deep/made", "by the first, too")
    os.link(stand.root / "made", stand.root / "etc/linked")
    changes = first.snapshot(tree)
    tree.apply(changes)
    second, other_tree = stand.stage(stand.image([("file", "alone")]))
    second.prepare()
    assert not (stand.root / "made").exists()
    assert not (stand.root / "etc/passwd").exists()
    assert sorted(second.snapshot(other_tree)) == ["dev", "proc", "sys"]
    assert read(tree.entry("made")) == "by the first"
    assert read(tree.entry("etc/deep/made")) == "by the first, too"
    assert tree.entry("made") is tree.entry("etc/linked")
    first.prepare()
    assert (stand.root / "made").read_text() == "by the first"
    assert first.snapshot(tree) == {}


def test_contents_of_the_base_are_read_where_they_are_until_a_command_changes_them(stand: Stand) -> None:
    image = stand.image(BASE)
    rootfs, tree = stand.stage(image)
    rootfs.prepare()
    content = tree.entry("usr/bin/new")
    assert content is not None
    for layer in stand.root.glob("kaniko/state*/layers/*/*"):
        assert layer.name == "index.json", "the unpacked layer is still there"
    assert read(content) == "program"
    assert not list(stand.root.glob("kaniko/state*/layers/*/test"))
    written(stand.root, "usr/bin/new", "PROGRAM")
    os.utime(stand.root / "usr/bin/new", (content.mtime, content.mtime))
    changes = rootfs.snapshot(tree)
    assert read(changes["usr/bin/new"]) == "PROGRAM"
    assert read(content) == "program"


def test_a_rewritten_file_with_the_same_bytes_is_no_change(stand: Stand) -> None:
    rootfs, tree = stand.stage(stand.image(BASE))
    rootfs.prepare()
    entry = tree.entry("etc/passwd")
    assert entry is not None
    written(stand.root, "etc/passwd", "root of the image")
    os.utime(stand.root / "etc/passwd", (entry.mtime, entry.mtime))
    assert sorted(rootfs.snapshot(tree)) == ["dev", "proc", "sys"]


def test_changes_of_a_second_command_with_the_same_size_and_time(stand: Stand) -> None:
    rootfs, tree = stand.stage()
    for text in ("one", "two"):
        rootfs.prepare()
        written(stand.root, "file", text)
        os.utime(stand.root / "file", (1, 1))
        changes = rootfs.snapshot(tree)
        assert read(changes["file"]) == text
        tree.apply(changes)


def test_what_copy_adds_is_written_before_the_next_command(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "source").write_text("copied")
    rootfs, tree = stand.stage(stand.image(BASE))
    changes = {
        "etc": Entry(Kind.DIRECTORY, 0o755),
        "etc/copied": Entry(Kind.FILE, 0o640, size=6, mtime=7, content=FileContent(str(tmp_path / "source"))),
        "workspace": Entry(Kind.DIRECTORY, 0o755),
        "workspace/copied": Entry(Kind.FILE, 0o640, size=6, mtime=7, content=FileContent(str(tmp_path / "source"))),
        "gone": None,
    }
    tree.apply(changes)
    rootfs.add(changes)
    rootfs.prepare()
    assert (stand.root / "etc/copied").read_text() == "copied"
    assert not (stand.root / "workspace/copied").exists()
    assert not (stand.root / "gone").exists()
    assert sorted(rootfs.snapshot(tree)) == ["dev", "proc", "sys"]


@pytest.mark.parametrize("last", [False, True])
def test_a_stage_from_another(stand: Stand, last: bool) -> None:
    first, tree = stand.stage(stand.image(BASE))
    first.prepare()
    written(stand.root, "made", "by the first")
    tree.apply(first.snapshot(tree))
    second = first.fork(tree, last=last)
    second_tree = tree.fork()
    second.prepare()
    assert (stand.root / "made").read_text() == "by the first"
    assert (stand.root / "usr/bin/new").samefile(stand.root / "usr/bin/other-name")
    written(stand.root, "made", "by the child")
    os.remove(stand.root / "etc/passwd")
    changes = second.snapshot(second_tree)
    assert sorted(changes) == ["etc", "etc/passwd", "made"]
    assert read(changes["made"]) == "by the child"
    if not last:
        assert read(tree.entry("made")) == "by the first"


def test_an_outputs_directory_is_there_for_it(stand: Stand) -> None:
    stand.protected = stand.protected.joined(("out/deep/image.tar",))
    stand.new_container()
    rootfs, tree = stand.stage(stand.image([("dir", "elsewhere"), ("link", "out", "elsewhere")]))
    rootfs.prepare()
    written(stand.root, "out/deep/image.tar", "image")
    assert not (stand.root / "elsewhere/deep").exists()
    rootfs.snapshot(tree)
    stand.container.restore()
    assert (stand.root / "out/deep/image.tar").read_text() == "image"


def test_commands_cannot_change_a_preserved_context(stand: Stand) -> None:
    workspace = stand.root / "workspace"
    before = on_disk(workspace)
    stand.new_container(PreservedContext(workspace, stand.home, ProtectedPaths(())))
    rootfs, _ = stand.stage()
    rootfs.prepare()
    (workspace / "source").write_text("changed")
    (workspace / "more").mkdir()
    second, _ = stand.stage()
    second.prepare()
    assert on_disk(workspace) == before
    (workspace / "source").unlink()
    stand.container.restore()
    assert on_disk(workspace) == before


def test_nothing_is_written_once_the_container_is_being_restored(stand: Stand) -> None:
    rootfs, _ = stand.stage(stand.image(BASE))
    stand.container.restore()
    with pytest.raises(StorageError, match="stopped"):
        rootfs.prepare()
    assert (stand.root / "old").exists()


def test_two_builds_at_once(stand: Stand) -> None:
    rootfs, _ = stand.stage(stand.image(BASE))
    rootfs.prepare()
    stand.new_container()
    second, _ = stand.stage(stand.image(BASE))
    with pytest.raises(StorageError, match="another build"):
        second.prepare()
    assert not recover(stand.home, stand.protected, stand.warnings.append, str(stand.root))
    assert not (stand.root / "old").exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_in_the_middle_of_unpacking(small_disk: Path) -> None:
    root = small_disk
    (root / "kaniko").mkdir()
    (root / "old").write_text("of the container")
    stand = Stand(root, ProtectedPaths(("kaniko",)))
    rows: list[Row] = [("file", f"file{number}", "x" * 20_000) for number in range(20)]
    rootfs, _ = stand.stage()
    rootfs = InPlaceRootFs(
        stand.container, root / "kaniko/scratch1", FileTree(), ROOT, image_files(root / "kaniko/s", blob(*rows))
    )
    with pytest.raises(StorageError, match="No space left"):
        rootfs.prepare()
    stand.container.restore()
    assert sorted(os.listdir(root)) == ["kaniko", "old"]


@pytest.mark.parametrize("calls", [*range(18), 1000])
def test_a_killed_build_is_undone_by_the_next_start(stand: Stand, calls: int) -> None:
    before = kinds_and_contents(stand)
    if (pid := os.fork()) == 0:
        try:
            _die_after(calls)
            rootfs, _ = stand.stage(stand.image(BASE, UPPER, CROSSING))
            rootfs.prepare()
            written(stand.root, "made/by/a/command", "x")
            stand.container.restore()
        finally:
            os._exit(1)
    os.waitpid(pid, 0)
    recover(stand.home, stand.protected, stand.warnings.append, str(stand.root))
    assert kinds_and_contents(stand) == before
    assert not recover(stand.home, stand.protected, stand.warnings.append, str(stand.root))


@pytest.mark.parametrize("calls", range(7))
def test_a_killed_recovery_is_completed_by_the_next_start(stand: Stand, calls: int) -> None:
    before = kinds_and_contents(stand)
    for action in ("build", "recover"):
        if (pid := os.fork()) == 0:
            try:
                if action == "recover":
                    _die_after(calls)
                    recover(stand.home, stand.protected, stand.warnings.append, str(stand.root))
                else:
                    stand.stage(stand.image(BASE, UPPER, CROSSING))[0].prepare()
            finally:
                os._exit(1)
        os.waitpid(pid, 0)
    recover(stand.home, stand.protected, stand.warnings.append, str(stand.root))
    assert kinds_and_contents(stand) == before


def kinds_and_contents(stand: Stand) -> dict[str, object]:
    """All but the times of directories, in which something may have been made before the process was killed."""
    return {path: each[0] for path, each in stand.listing().items()}  # type: ignore[index]


def _die_after(calls: int) -> None:
    """End this process at the call of rename after so many."""
    real, left = os.rename, [calls]

    def rename(*arguments: str, **keywords: int) -> None:
        if not left[0]:
            os._exit(9)
        left[0] -= 1
        real(*arguments, **keywords)  # type: ignore[arg-type]

    os.rename = rename  # type: ignore[assignment]


def test_links_to_protected_places_are_protected(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    found = of_container([tmp_path / "link/file"])
    inside = str(tmp_path).strip("/")
    assert {f"{inside}/link", f"{inside}/real/file"} <= found.paths
    assert found.covers("proc/self")
    assert found.covers(f"{inside}/real/file/below")
    assert not found.covers(f"{inside}/real/other")
    assert f"{inside}/real" in found.above
