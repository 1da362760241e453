"""More layers than an overlay can be mounted from."""

from __future__ import annotations

from pathlib import Path

import pytest
from layers import blob, image_files

from builder.rootfs.directory import Ownership
from builder.rootfs.overlay import OverlayRootFs, most_lowers


@pytest.mark.parametrize(
    ("release", "most"),
    [("6.1.0-18-amd64", 200), ("6.4", 200), ("6.5.0", 490), ("6.18.44-x", 490), ("7.0-rc1", 490), ("5.10.0", 200)],
)
def test_how_many_the_kernel_takes(release: str, most: int) -> None:
    assert most_lowers(release) == most


@pytest.mark.parametrize(("layers", "full"), [(3, False), (150, False), (491, True)])
def test_when_it_is_full(tmp_path: Path, layers: int, full: bool) -> None:
    rootfs = OverlayRootFs(tmp_path, tuple(f"/{n}" for n in range(layers)), Ownership(owners=False))
    assert rootfs.full is full


def test_the_files_as_one_directory(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    image = image_files(tmp_path / "store", blob(("dir", "d"), ("file", "d/a", "alpha")), blob(("file", "b", "beta")))
    tree = image.tree()
    overlay = OverlayRootFs(tmp_path / "scratch", image.lowers(), Ownership(owners=False))
    flat = overlay.flattened(tree)
    root = Path(flat.prepare().path)
    assert ((root / "d/a").read_text(), (root / "b").read_text()) == ("alpha", "beta")
    (root / "b").unlink()
    assert flat.snapshot(tree) == {"b": None}
    flat.close()
    overlay.close()
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
