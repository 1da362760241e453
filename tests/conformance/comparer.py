"""What an image has otherwise than its case says, for people: path by path, and field by field."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from support.listing import FileListing, Image, diff_listings

from conformance.attributes import Attributes
from conformance.case import Expected

COMMENT = "buildkit.dockerfile.v0"
_SHOWN = 2000
_OWN_FIELDS = ("created", "rootfs", "history", "config")  # of the image config; what is compared in another way


def differences(expected: Expected, image: Image, base: Image | None) -> str:
    """All differences, a line each; "" if there are none. `base` is None for scratch."""
    return "\n".join(
        [
            *_files(expected, image, base),
            *_fields("config", expected_config(expected, base), image.config.get("config", {})),
            *_fields("image", _image_fields(expected, image, base), _own(image)),
            *_layers(expected, image, base),
            *_history(expected, image, base),
        ]
    )


def expected_files(expected: Expected, image: Image, base: Image | None) -> dict[str, FileListing]:
    """Every path of the merged filesystem. What is not said is not compared: it is taken from `image`."""
    there = dict(base.files) if base else {}
    files = {path: listing for path, listing in there.items() if not _below(path, expected.removed)}
    for path, attributes in expected.files.items():
        files[path] = _listing(path, attributes, there, image.files.get(path))
    return _with_groups(files, expected)


def _files(expected: Expected, image: Image, base: Image | None) -> Iterator[str]:
    wanted = expected_files(expected, image, base)
    missing = [path for path in expected.removed if base is None or path not in base.files]
    yield from (f"? {path}: the case has it removed, but the base has no such path" for path in missing)
    said_times = {path for path, attributes in expected.files.items() if attributes.mtime is not None}
    found = {
        path: listing if path in said_times or _is_file_of_base(path, expected, base) else replace(listing, mtime=None)
        for path, listing in image.files.items()
    }
    wanted = {
        path: listing if path in said_times or _is_file_of_base(path, expected, base) else replace(listing, mtime=None)
        for path, listing in wanted.items()
    }
    for line in filter(None, diff_listings(wanted, found, ignore=()).split("\n")):
        yield line + _text_of(line, expected, image)


def _is_file_of_base(path: str, expected: Expected, base: Image | None) -> bool:
    """Untouched files keep their time; a directory's changes with what is in it."""
    return bool(base and path in base.files and path not in expected.files and base.files[path].type != "directory")


def _text_of(line: str, expected: Expected, image: Image) -> str:
    """The two texts, where their digests differ."""
    head, _, tail = line.partition(": sha256 is ")
    path = head[2:]
    attributes = expected.files.get(path)
    if not tail or attributes is None:
        return ""
    have = image.contents.get(image.files[path].sha256, b"")
    return f"\n    is       {have[:_SHOWN]!r}\n    expected {(attributes.data or b'')[:_SHOWN]!r}"


def _below(path: str, removed: Any) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in removed)


def _listing(
    path: str, attributes: Attributes, there: Mapping[str, FileListing], found: FileListing | None
) -> FileListing:
    like = there[attributes.like] if attributes.like is not None else None
    default = {"directory": 0o755, "symlink": 0o777}.get(attributes.type, 0o644)
    listing = replace(like, hardlinks=()) if like else FileListing(type=attributes.type, mode=default)
    if attributes.type == "file" and not like:
        data = attributes.data or b""
        listing = replace(listing, size=len(data), sha256=hashlib.sha256(data).hexdigest())
    if attributes.type == "symlink":
        listing = replace(listing, link=attributes.link)
    if attributes.any_content and found is not None:
        listing = replace(listing, size=found.size, sha256=found.sha256)
    changes: dict[str, Any] = {"mtime": attributes.mtime, "device": attributes.device}
    if attributes.mode is not None:
        changes["mode"] = attributes.mode
    if attributes.owner is not None:
        changes["uid"], changes["gid"] = attributes.owner
    if attributes.xattrs is not None:
        changes["xattrs"] = dict(attributes.xattrs)
    if attributes.hardlinks is not None:
        changes["hardlinks"] = attributes.hardlinks
    return replace(listing, **changes)


def _with_groups(files: dict[str, FileListing], expected: Expected) -> dict[str, FileListing]:
    """The groups of hardlinks of the base, less those of their paths that are gone or are other files now."""
    kept = {}
    for path, listing in files.items():
        if listing.hardlinks and path not in expected.files:
            group = tuple(other for other in listing.hardlinks if other in files and other not in expected.files)
            listing = replace(listing, hardlinks=group if len(group) > 1 else ())
        kept[path] = listing
    return kept


def expected_config(expected: Expected, base: Image | None) -> dict[str, Any]:
    config = dict(base.config["config"]) if base else {}
    return {name: value for name, value in {**config, **expected.config}.items() if value is not None}


def _own(image: Image) -> dict[str, Any]:
    return {name: value for name, value in image.config.items() if name not in _OWN_FIELDS}


def _image_fields(expected: Expected, image: Image, base: Image | None) -> dict[str, Any]:
    """All but the config: as the base has it; for scratch, the platform is the machine's."""
    own = (
        _own(base)
        if base
        else {name: image.config[name] for name in ("architecture", "os", "variant") if name in image.config}
    )
    return {**own, **expected.image}


def _fields(title: str, expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(expected.keys() | found.keys()):
        if name not in found:
            yield f"- {title}.{name}: missing, {expected[name]!r} expected"
        elif name not in expected:
            yield f"+ {title}.{name}: not expected: {found[name]!r}"
        elif found[name] != expected[name]:
            yield f"~ {title}.{name} is {found[name]!r}, {expected[name]!r} expected"


def _layers(expected: Expected, image: Image, base: Image | None) -> Iterator[str]:
    below = len(base.layers) if base else 0
    if base and image.config["rootfs"]["diff_ids"][:below] != base.config["rootfs"]["diff_ids"]:
        yield "~ layers: those of the base are not the first ones"
    if expected.layers is None:
        return
    found = [("files" if layer else "empty") for layer in image.layers[below:]]
    if found != list(expected.layers):
        yield f"~ layers above the base are {found}, {list(expected.layers)} expected"


def _history(expected: Expected, image: Image, base: Image | None) -> Iterator[str]:
    history = image.config.get("history", [])
    with_layer = [entry for entry in history if not entry.get("empty_layer")]
    if len(with_layer) != len(image.layers):
        yield f"~ history: {len(with_layer)} entries have a layer, but there are {len(image.layers)} layers"
    below = len(base.config.get("history", [])) if base else 0
    for entry in history[below:]:
        if entry.get("comment") != COMMENT:
            yield f"~ history: the comment of {entry.get('created_by')!r} is {entry.get('comment')!r}"
    if expected.history is None:
        return
    wanted = [(entry.created_by, entry.empty_layer) for entry in expected.history]
    found = [(entry.get("created_by", ""), bool(entry.get("empty_layer"))) for entry in history[below:]]
    if wanted != found:
        yield "~ history:"
        yield from (f"    is       {_entry(*each)}" for each in found if each not in wanted or found != wanted)
        yield from (f"    expected {_entry(*each)}" for each in wanted)


def _entry(created_by: str, empty_layer: bool) -> str:
    return f"{created_by}{'   (empty layer)' if empty_layer else ''}"
