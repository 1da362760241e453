"""Files as components of keys: everything of them that enters an image, but their times."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator

from builder.cache.file_digests import FileDigests
from builder.cache.keys import Component, component
from builder.errors import ContextError
from builder.layer.changes import Changes
from builder.layer.entry import Entry, FileContent, Kind
from builder.rootfs.layer_files import extract_contents

_CHUNK = 1 << 20
NameOf = Callable[[str, Entry], str]
"""What people call the file at a path."""


def components_of(changes: Changes, files: FileDigests, name_of: NameOf) -> Iterator[Component]:
    """A component for each entry, in the order of their paths, which are part of it.

    Raises ContextError, and what reading a layer raises.
    """
    extract_contents(changes.values())
    first_paths: dict[int, str] = {}
    for path in sorted(changes):
        entry = changes[path]
        assert entry is not None, path
        linked = None
        if entry.kind is not Kind.DIRECTORY:
            first = first_paths.setdefault(id(entry), path)
            linked = first if first is not path else None
        yield component(
            name_of(path, entry),
            [
                path,
                int(entry.kind),
                entry.mode,
                entry.uid,
                entry.gid,
                entry.link,
                list(entry.device) if entry.device else None,
                [[name, value] for name, value in sorted((entry.xattrs or {}).items())],
                content_digest(entry, files) if linked is None else "",
                linked,
            ],
        )


def content_digest(entry: Entry, files: FileDigests) -> str:
    """The SHA-256 of the bytes of an entry, hexadecimal; "" if it has none."""
    content = entry.content
    if content is None or not entry.size:
        return ""
    if isinstance(content, FileContent):
        return files.digest(content.path)
    found = hashlib.sha256()
    try:
        with content.open() as stream:
            while chunk := stream.read(_CHUNK):
                found.update(chunk)
    except OSError as error:
        raise ContextError(f"a file cannot be read: {error.strerror}") from None
    return found.hexdigest()


def paths_of(changes: Changes) -> list[str]:
    """Where on disk the contents of `changes` are, as far as they are files of their own."""
    return [
        entry.content.path
        for entry in changes.values()
        if entry is not None and entry.size and isinstance(entry.content, FileContent)
    ]
