"""What an in-place build leaves alone."""

from __future__ import annotations

import pytest

from builder.rootfs.in_place.protected import ProtectedPaths


@pytest.mark.parametrize(
    ("path", "covering"),
    [
        ("data", "data"),
        ("data/deep/file", "data"),
        ("kaniko/executor", "kaniko"),
        ("var", None),
        ("var/run", None),
        ("var/run/secrets/token", "var/run/secrets"),
        ("database", None),
    ],
)
def test_what_covers_a_path(path: str, covering: str | None) -> None:
    protected = ProtectedPaths(["kaniko", "data/inner", ""], iter(["data", "var/run/secrets", ""]))
    assert protected.covering(path) == covering
    assert protected.covers(path) == (covering is not None)


def test_mounts_are_told_from_what_is_kept() -> None:
    protected = ProtectedPaths(["kaniko"], iter(["kaniko/mount", "data"]))
    assert protected.mounts == {"data"}
    assert protected.paths == {"kaniko", "data"}
    assert protected.joined(["more"]).mounts == {"data"}


def test_the_way_to_what_is_protected() -> None:
    assert ProtectedPaths(["a/b/c", "d"]).above == {"a", "a/b"}
