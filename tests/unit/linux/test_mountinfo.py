"""Parsing /proc/PID/mountinfo."""

from __future__ import annotations

from builder.linux import mountinfo
from builder.linux.mountinfo import MountPoint


def test_fields() -> None:
    line = rb"36 35 98:0 /mnt1 /mnt\0402\134x rw,noatime master:1 shared:2 - ext3 /dev/r\040oot rw,errors=continue"
    assert mountinfo.parse(line + b"\n") == [
        MountPoint(
            id=36,
            parent=35,
            root="/mnt1",
            target="/mnt 2\\x",
            options=frozenset({"rw", "noatime"}),
            filesystem="ext3",
            source="/dev/r oot",
            super_options=frozenset({"rw", "errors=continue"}),
        )
    ]


def test_line_without_optional_fields_and_with_an_empty_source() -> None:
    (point,) = mountinfo.parse(b"1 2 0:5 / /t ro - tmpfs  rw")
    assert (point.filesystem, point.source, point.super_options) == ("tmpfs", "", frozenset({"rw"}))


def test_names_that_are_no_text_are_kept() -> None:
    (point,) = mountinfo.parse(b"1 2 0:5 / /\xff rw - tmpfs none rw")
    assert point.target == "/\udcff"


def test_own_mounts_have_a_proc() -> None:
    assert any(point.target == "/proc" and point.filesystem == "proc" for point in mountinfo.read())
