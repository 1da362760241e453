"""An image as a directory, and its programs run in it: no container, and nothing else in the root filesystem."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from support.builder import Outcome, remove_tree

_MOUNTS = 'mount -t proc proc "$1/proc" && mount --rbind /dev "$1/dev" && shift && exec "$@"'


@dataclass(frozen=True, slots=True)
class ImageRoot:
    """An unpacked image. A program runs with /proc and /dev, in a mount namespace of its own."""

    path: Path

    def run(self, *command: str, environment: Mapping[str, str] | None = None, trace: Sequence[str] = ()) -> Outcome:
        """Run a program with no environment but `environment`.

        Args:
            trace: a program that observes it, and its arguments.
        """
        for name in ("proc", "dev"):
            (self.path / name).mkdir(exist_ok=True)
        variables = [f"{name}={value}" for name, value in (environment or {}).items()]
        inside = [*trace, "env", "-i", *variables, shutil.which("chroot") or "chroot", str(self.path), *command]
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", _MOUNTS, "sh", str(self.path), *inside],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return Outcome(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


@contextlib.contextmanager
def unpack_image(archive: Path, parent: Path) -> Iterator[ImageRoot]:
    """Unpack a docker archive whose layers remove nothing; gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="root-", dir=parent))
    directory.chmod(0o755)
    try:
        with tarfile.open(archive) as image:
            manifest = json.load(_member(image, "manifest.json"))[0]
            for name in manifest["Layers"]:
                with tarfile.open(fileobj=_member(image, name)) as layer:
                    layer.extractall(directory, filter="fully_trusted")
        yield ImageRoot(directory)
    finally:
        remove_tree(directory)


def _member(archive: tarfile.TarFile, name: str) -> tarfile.ExFileObject:
    member = archive.extractfile(name)
    assert isinstance(member, tarfile.ExFileObject), f"{name} is not a file of {archive.name}"
    return member
