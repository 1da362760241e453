"""Whatever the layers of an image are, their files end up in the container's root as the tree has them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from disk import in_tree, on_disk
from hypothesis import HealthCheck, assume, given, settings
from layers import Row, Unclear, blob, extract, image_files, tar_of_rows
from test_assemble import CASES, random_layers

from builder.rootfs.directory import Ownership
from builder.rootfs.in_place.container import Container
from builder.rootfs.in_place.protected import ProtectedPaths
from builder.rootfs.in_place.rootfs import InPlaceRootFs

pytestmark = pytest.mark.usefixtures("as_root")

PLAIN = Ownership(owners=True, overlay=False)


def check(root: Path, layers: list[list[Row]]) -> None:
    (root / "kaniko/scratch").mkdir(parents=True)
    image = image_files(root / "kaniko/state", *(blob(*rows) for rows in layers), ownership=PLAIN)
    tree = image.tree()
    container = Container(ProtectedPaths(("kaniko",)), root / "kaniko/in-place", pytest.fail, root=str(root))
    rootfs = InPlaceRootFs(container, root / "kaniko/scratch", tree.fork(), PLAIN, image)
    rootfs.prepare()
    found = {path: each for path, each in on_disk(root).items() if path.partition("/")[0] != "kaniko"}
    assert found == in_tree(tree)
    assert sorted(rootfs.snapshot(tree)) == sorted({"dev", "proc", "sys"} - set(os.listdir(root)))
    container.restore()
    assert os.listdir(root) == ["kaniko"]


@pytest.mark.parametrize("name", CASES)
def test_layers_upon_one_another(name: str, tmp_path: Path) -> None:
    check(tmp_path, CASES[name][0])


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(random_layers)
def test_random_layers(tmp_path_factory: pytest.TempPathFactory, layers: list[list[Row]]) -> None:
    root = tmp_path_factory.mktemp("container")
    try:
        (root / "trial").mkdir()
        extract(root / "trial", [tar_of_rows(*rows) for rows in layers])
    except (Unclear, OSError):
        assume(False)
    shutil.rmtree(root / "trial")
    check(root, layers)
