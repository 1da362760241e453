"""Directories that ext4 spreads over the disk."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from builder.linux.inode_flags import spread_directories


def test_the_flag_is_set_once_and_others_are_kept(tmp_path: Path) -> None:
    if subprocess.run(["chattr", "+Ad", tmp_path], capture_output=True).returncode:
        pytest.skip(f"the filesystem of {tmp_path} has no such flags")
    spread_directories(tmp_path)
    spread_directories(tmp_path)
    assert {"A", "d", "T"} <= set(_flags(tmp_path))


@pytest.mark.parametrize("name", ["missing", "file"])
def test_what_cannot_have_it_stays_as_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("text")
    spread_directories(tmp_path / name)
    assert (tmp_path / "file").read_text() == "text"


def _flags(path: Path) -> str:
    return subprocess.run(["lsattr", "-d", path], capture_output=True, text=True, check=True).stdout.split()[0]
