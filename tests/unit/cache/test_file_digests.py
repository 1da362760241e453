"""Digests of files: remembered by what lstat says, and never for a file that may have changed unseen."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from builder.cache.file_digests import FileDigests
from builder.errors import ContextError


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "state" / "digests.json"


def aged(path: Path) -> None:
    """Wait until a file's times are no longer those of a moment ago."""
    while time.time_ns() - path.lstat().st_ctime_ns < 2_100_000_000:
        time.sleep(0.1)


def _forge(kept: Path, old: str, new: str) -> None:
    """Replace a digest, so that one that is taken from what is kept is told from one that is made anew."""
    text = kept.read_text()
    assert sha256(old) in text
    kept.write_text(text.replace(sha256(old), sha256(new)))


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, kept: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    aged(path)
    digests = FileDigests(kept)
    assert digests.digest(str(path)) == sha256("content")
    digests.save()
    _forge(kept, "content", "forged")
    assert FileDigests(kept).digest(str(path)) == sha256("forged")
    status = path.stat()
    path.write_text("CONTENT")  # the same size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # and the same mtime
    assert FileDigests(kept).digest(str(path)) == sha256("CONTENT")


def test_a_file_touched_a_moment_ago_is_not_remembered(tmp_path: Path, kept: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    digests = FileDigests(kept)
    assert digests.digest(str(path)) == sha256("content")
    digests.save()
    assert sha256("content") not in kept.read_text()


def test_a_file_of_the_future_is_not_remembered(tmp_path: Path, kept: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    os.utime(path, (time.time() + 3600, time.time() + 3600))
    digests = FileDigests(kept)
    digests.digest(str(path))
    digests.save()
    assert sha256("content") not in kept.read_text()


def test_whether_files_are_still_the_same(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("content")
    digests = FileDigests()
    assert not digests.unchanged(str(path))
    digests.digest(str(path))
    assert digests.unchanged(str(path))
    path.write_text("another content")
    assert not digests.unchanged(str(path))
    path.unlink()
    assert not digests.unchanged(str(path))


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"version": 1, "files": []}', b'{"version": 1, "files": {"a": [1]}}',
             b'{"version": 1, "files": {"a": ["x", 0, 0, 0, 0, ""]}}', b'{"version": 2, "files": {}}', b"\xff",
             b"[" * 9999],
)  # fmt: skip
def test_what_is_kept_may_be_damaged(tmp_path: Path, kept: Path, data: bytes) -> None:
    kept.parent.mkdir()
    kept.write_bytes(data)
    path = tmp_path / "file"
    path.write_text("content")
    assert FileDigests(kept).digest(str(path)) == sha256("content")


def test_where_nothing_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    path = tmp_path / "file"
    path.write_text("content")
    digests = FileDigests(tmp_path / "state" / "digests.json")
    assert digests.digest(str(path)) == sha256("content")
    digests.save()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ContextError, match="gone"):
        FileDigests().digest(str(tmp_path / "gone"))
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(ContextError, match="link"):
        FileDigests().digest(str(tmp_path / "link"))
