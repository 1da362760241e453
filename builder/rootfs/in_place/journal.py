"""What an in-place build is doing to the container, on disk, for the next start after one that was killed.

A file of JSON lines, one for each step that is complete (or, `begun`, about to be taken):

- ``begun``: the container's files are being moved aside; ``left`` lists the paths that are protected.
- ``lent``: all of them are aside; what is in the root now belongs to stages.
- ``cleared``: what belonged to stages is gone; the container's files are being moved back.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from builder.errors import StorageError
from builder.rootfs.in_place.protected import ProtectedPaths
from builder.storage.failure import explained

Step = Literal["begun", "lent", "cleared"]


class Journal:
    """The journal of the container whose aside directory is `directory`."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "journal"

    def begin(self, protected: ProtectedPaths) -> None:
        """Raises StorageError."""
        self._append("begun", left=sorted(protected.paths), mounts=sorted(protected.mounts))

    def note(self, step: Step) -> None:
        """Raises StorageError."""
        self._append(step)

    def end(self) -> None:
        """Everything is as it was."""
        self._path.unlink(missing_ok=True)

    def read(self) -> tuple[Step, ProtectedPaths] | None:
        """The last step, and what was protected; None if nothing is under way. Raises StorageError."""
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}") from error
        rows: list[dict[str, Any]] = []
        for line in lines:
            with suppress(ValueError):  # the last one may be cut off
                rows.append(json.loads(line))
        if not rows:
            return None
        return rows[-1]["step"], ProtectedPaths(rows[0]["left"], rows[0]["mounts"])

    def _append(self, step: Step, **fields: object) -> None:
        with explained("write", self._path):
            with open(self._path, "ab", buffering=0) as file:
                # Not flushed to the disk: that outlives a kill, and a container does not outlive a power failure.
                file.write(json.dumps({"step": step, **fields}).encode() + b"\n")
