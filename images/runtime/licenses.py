"""The licenses of what the runtime is made of: Debian's copyright files, and Python's own."""

from __future__ import annotations

import shutil
import subprocess
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

_DOCUMENTS = Path("/usr/share/doc")


def copy_licenses(files: Iterable[Path], target: Path) -> None:
    """Copy the copyright file of every Debian package that one of `files` belongs to, to `target`/PACKAGE.

    Files of no package (a Python that was compiled) are passed over.
    """
    target.mkdir(parents=True)
    for package in sorted({package for file in files for package in _packages(file)}):
        copyright_file = _DOCUMENTS / package / "copyright"
        if copyright_file.is_file():
            shutil.copyfile(copyright_file, target / package)
    own = Path(sysconfig.get_path("stdlib")) / "LICENSE.txt"
    if own.is_file():
        shutil.copyfile(own, target / "python")


def _packages(file: Path) -> Iterator[str]:
    """The package that has the file; dpkg may know it by the path that it had before /lib moved to /usr/lib."""
    real = str(file.resolve())
    names = {str(file), real, real.removeprefix("/usr")}
    done = subprocess.run(["dpkg", "--search", *sorted(names)], capture_output=True, text=True)
    for line in done.stdout.splitlines():
        package, colon, _ = line.partition(": ")
        if colon and not package.startswith("diversion "):
            yield package.partition(":")[0]
