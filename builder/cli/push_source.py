"""What ``builder push`` is given: a path, and where it holds several images, which of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import StorageError
from builder.storage.image import Image
from builder.storage.stored import Stored, joined, stored

_REF_NAME = "org.opencontainers.image.ref.name"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushSource:
    """``PATH`` or ``PATH:NAME``, as skopeo has them after ``oci:`` and ``docker-archive:``."""

    path: Path
    name: str | None = None

    @classmethod
    def parse(cls, text: str) -> PushSource:
        """The longest part before a colon that exists is the path. Raises StorageError if none does."""
        ends = [len(text), *(at for at, letter in reversed(list(enumerate(text))) if letter == ":")]
        for end in ends:
            path = Path(text[:end]).absolute()
            if end and path.exists():
                return cls(path=path, name=text[end + 1 :] or None)
        raise StorageError(f"{Path(text).absolute()} does not exist")

    def read(self) -> Image | Stored:
        """The image or index. Raises BuilderError."""
        if not self.path.is_dir():
            from builder.storage.docker_archive_reader import read_docker_archive

            return read_docker_archive(self.path, self.name)[0]
        from builder.storage.oci_layout import is_oci_layout, layout_entries

        if not is_oci_layout(self.path):
            raise StorageError(f"{self.path} is a directory, but no OCI layout: it has no oci-layout and index.json")
        return self._of_layout(layout_entries(self.path))

    def _of_layout(self, entries: list[dict[str, Any]]) -> Stored:
        found = [entry for entry in entries if self.name in (None, _name(entry))]
        distinct = list({entry.get("digest"): entry for entry in found}.values())
        if len(distinct) == 1:
            return stored(self.path, distinct[0])
        if distinct and _is_one_image(distinct):
            return joined(self.path, distinct)
        names = ", ".join(dict.fromkeys(_name(entry) or str(entry.get("digest")) for entry in entries)) or "nothing"
        if not found:
            raise StorageError(f"{self.path} has no image {self.name or ''}".rstrip() + f"; it has {names}")
        hint = next((f"say which one is meant: {self.path}:{name}" for name in map(_name, distinct) if name), None)
        raise StorageError(f"{self.path} holds {len(distinct)} images: {names}", hint=hint)


def _is_one_image(entries: list[dict[str, Any]]) -> bool:
    """Whether the entries are one image for several platforms, of which no index was made."""
    platforms = [_platform(entry) for entry in entries]
    return None not in platforms and len(set(platforms)) == len(platforms) and len({*map(_name, entries)}) == 1


def _platform(entry: Mapping[str, Any]) -> tuple[str, ...] | None:
    platform = entry.get("platform")
    if not isinstance(platform, dict):
        return None
    return tuple(str(platform.get(key) or "") for key in ("os", "architecture", "variant", "os.version"))


def _name(entry: Mapping[str, Any]) -> str | None:
    annotations = entry.get("annotations")
    name = annotations.get(_REF_NAME) if isinstance(annotations, dict) else None
    return name if isinstance(name, str) else None
