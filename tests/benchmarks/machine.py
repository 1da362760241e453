"""What the figures were measured on, in words that name no machine."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from benchmarks.builders import version_of_buildah
from builder import __version__


def machine(directory: Path) -> str:
    """``2 cores (AMD EPYC), 24 GB of memory, Linux 6.1, ext4 ...``; `directory` is where the runs took place."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    parts = [
        f"{os.cpu_count()} cores ({_processor()})",
        f"{round(pages * size / 1e9)} GB of memory",
        f"Linux {'.'.join(platform.release().split('.')[:2])}",
        f"{_filesystem(directory)}",
        f"Python {platform.python_version()}",
    ]
    return ", ".join(parts)


def versions() -> str:
    return f"builder {__version__}, Buildah {version_of_buildah()}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _filesystem(directory: Path) -> str:
    """The type of the filesystem that `directory` is on."""
    found, length = "", -1
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind = line.split()[:3]
        if directory.is_relative_to(place) and len(place) >= length:
            found, length = kind, len(place)
    return found
