from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from builder.errors import StorageError
from builder.storage.atomic import replacing, write_atomically


def test_new_and_replaced(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        write_atomically(tmp_path / "file", data)
        assert (tmp_path / "file").read_bytes() == data
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_umask_counts(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "file", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_failure_changes_nothing(tmp_path: Path) -> None:
    write_atomically(tmp_path / "file", b"old")
    with pytest.raises(KeyboardInterrupt), replacing(tmp_path / "file") as stream:
        stream.write(b"new")
        raise KeyboardInterrupt
    assert (tmp_path / "file").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write_atomically(tmp_path / "link", b"x")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"x"


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    thread = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    thread.start()
    write_atomically(tmp_path / "pipe", b"x")
    thread.join(10)
    assert read == [b"x"]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize("name", ["missing/file", "directory"])
def test_places_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(StorageError, match=f"cannot write {tmp_path / name}"):
        write_atomically(tmp_path / name, b"")
    assert os.listdir(tmp_path) == ["directory"]


def test_a_long_name(tmp_path: Path) -> None:
    write_atomically(tmp_path / ("x" * 250), b"")
    assert os.listdir(tmp_path) == ["x" * 250]
