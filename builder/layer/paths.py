"""Paths as layers and trees have them: relative, without ``.``, ``..`` and empty parts; "" is the root."""

from __future__ import annotations

import posixpath

from builder.errors import LayerError


def normalised(name: str) -> str:
    """The path that a tar member's name means. Raises LayerError if it leads out of the root."""
    # Nearly every name of a real layer is normal already, and normpath costs more than the rest of a header.
    if name and name[0] not in "./" and name[-1] != "/" and "//" not in name and "/." not in name:
        return name
    path = posixpath.normpath(name.lstrip("/")) if name.strip("/") else ""
    if path == ".." or path.startswith("../"):
        raise LayerError(f"the archive has a member outside of its root: {name!r}")
    return "" if path == "." else path


def inside(path: str) -> str:
    """The path that a user's absolute or relative one means below the root: ``..`` stops at the root."""
    return posixpath.normpath("/" + path).lstrip("/")


def join(directory: str, name: str) -> str:
    """`name` in `directory`, either of which may be the root."""
    return f"{directory}/{name}" if directory and name else directory or name


def split(path: str) -> tuple[str, str]:
    """The parent and the last part of `path`; ("", "") for the root."""
    parent, _, name = path.rpartition("/")
    return parent, name


def parents(path: str) -> list[str]:
    """The directories above `path`, outermost first, without the root."""
    parts = path.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]
