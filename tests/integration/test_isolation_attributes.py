"""Mount attributes, also by the older call that knows one mount at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest

SOURCE = """
import os, sys
from builder.isolation.sandbox import attributes
from builder.isolation.sandbox.namespaces import enter_mount_namespace
from builder.linux.mount import MOUNT_ATTR_NOEXEC, MOUNT_ATTR_RDONLY, MS_NOATIME, MS_NOSUID, mount
enter_mount_namespace()
top = sys.argv[1]
mount("tmpfs", top, "tmpfs", MS_NOSUID)
os.mkdir(top + "/below")
mount("tmpfs", top + "/below", "tmpfs", MS_NOATIME)
descriptor = os.open(top, os.O_PATH)
getattr(attributes, sys.argv[2])(descriptor, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOEXEC)
for path in (top, top + "/below"):
    flags = os.statvfs(path).f_flag
    names = ("ST_RDONLY", "ST_NOEXEC", "ST_NOSUID", "ST_NOATIME", "ST_NODEV")
    print(*(name for name in names if flags & getattr(os, name)))
"""


@pytest.mark.parametrize("function", ["set_attributes", "remount_with"])
def test_attributes_are_added_to_all_mounts(as_root: None, tmp_path: object, function: str) -> None:
    argv = [sys.executable, "-c", SOURCE, str(tmp_path), function]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "ST_RDONLY ST_NOEXEC ST_NOSUID\nST_RDONLY ST_NOEXEC ST_NOATIME\n"
