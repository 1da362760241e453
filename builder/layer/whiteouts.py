"""Whiteout names (OCI image-spec layer.md, "Whiteouts")."""

from __future__ import annotations

from builder.layer.paths import join, split

PREFIX = ".wh."
OPAQUE_NAME = ".wh..wh..opq"
_RESERVED = ".wh..wh."


def whiteout_name(path: str) -> str:
    """The name of the member that removes `path`."""
    parent, name = split(path)
    return join(parent, PREFIX + name)


def whited_out(path: str) -> str | None:
    """What the member `path` removes, None if it is no plain whiteout."""
    parent, name = split(path)
    if not name.startswith(PREFIX) or is_reserved(path):
        return None
    return join(parent, name[len(PREFIX) :])


def opaque_directory(path: str) -> str | None:
    """The directory that the member `path` makes opaque, None if it does not."""
    parent, name = split(path)
    return parent if name == OPAQUE_NAME else None


def is_reserved(path: str) -> bool:
    """Whether `path` is, or is below, one of AUFS' bookkeeping names, which carry nothing."""
    return _RESERVED in path and any(part.startswith(_RESERVED) for part in path.split("/"))
