"""The YAML file of ``manifest push from-spec``, which is manifest-tool's.

::

    image: registry.example.com/group/name:latest
    tags: ["1.0", "1"]
    annotations: {key: value}
    manifests:
      - image: registry.example.com/group/name:arm64
        platform: {os: linux, architecture: arm64, variant: v8}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from builder.errors import InvalidReference, UsageError
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.registry.children import platform_entry
from builder.registry.join import Part

_MERGE = "tag:yaml.org,2002:merge"  # <<: *another
_NOTHING = "tag:yaml.org,2002:null"
_TOP = ("image", "tags", "annotations", "manifests")
_MANIFEST = ("image", "platform")
_OS_VERSION, _OS_FEATURES = ("osversion", "os.version"), ("osfeatures", "os.features", "features")
_PLATFORM = ("architecture", "os", "variant", *_OS_VERSION, *_OS_FEATURES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What the file says."""

    target: Reference
    tags: tuple[str, ...]
    annotations: Mapping[str, str]
    parts: tuple[Part, ...]


def read_spec(path: str) -> Spec:
    """Read the file. Raises UsageError, with file, line and key."""
    import yaml

    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    try:
        root = yaml.compose(text, yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        raise UsageError(f"{where}: this is not YAML: {getattr(error, 'problem', None) or error}") from None
    if root is None:
        raise UsageError(f"{path} is empty")
    return _Reader(path).spec(root)


class _Reader:
    """Reads nodes, which know their lines."""

    def __init__(self, path: str) -> None:
        self._path = path

    def spec(self, root: Any) -> Spec:
        keys = self._mapping(root, "the file", _TOP)
        for needed in ("image", "manifests"):
            if needed not in keys:
                self._fail(root, f"there is no key {needed!r}")
        target = self._reference(keys["image"], "image")
        if target.digest:
            self._fail(keys["image"], "an index is pushed to a tag, not to a digest")
        parts = tuple(self._part(node) for node in self._items(keys["manifests"], "manifests"))
        if not parts:
            self._fail(keys["manifests"], "manifests is empty")
        tags = self._items(keys["tags"], "tags") if "tags" in keys else ()
        return Spec(
            target=target,
            tags=tuple(self._text(node, "tags") for node in tags),
            annotations=self._annotations(keys.get("annotations")),
            parts=parts,
        )

    def _part(self, node: Any) -> Part:
        keys = self._mapping(node, "an entry of manifests", _MANIFEST)
        if "image" not in keys:
            self._fail(node, "an entry of manifests has no key 'image'")
        platform = self._platform(keys["platform"]) if "platform" in keys else None
        return Part(references=(self._reference(keys["image"], "image"),), platform=platform)

    def _platform(self, node: Any) -> dict[str, Any]:
        keys = self._mapping(node, "platform", _PLATFORM)
        for needed in ("os", "architecture"):
            if needed not in keys:
                self._fail(node, f"the platform has no key {needed!r}")
        parts = [self._text(keys[key], key) for key in ("os", "architecture", "variant") if key in keys]
        try:
            platform = Platform.parse("/".join(part for part in parts if part))
        except UsageError as error:
            self._fail(node, error.message, error.hint)
        version = [self._text(keys[key], key) for key in _OS_VERSION if key in keys]
        features = [
            self._text(each, key) for key in _OS_FEATURES if key in keys for each in self._items(keys[key], key)
        ]
        return platform_entry(platform, {"os.version": version[0] if version else "", "os.features": features})

    def _annotations(self, node: Any) -> dict[str, str]:
        return {} if node is None else {key: self._text(value, key) for key, value in self._pairs(node, "annotations")}

    def _mapping(self, node: Any, what: str, known: tuple[str, ...]) -> dict[str, Any]:
        """The keys of a mapping, which must be `known`, and each there once."""
        found: dict[str, Any] = {}
        for key, value in self._pairs(node, what, known):
            if key in found:
                self._fail(value, f"the key {key!r} is there twice")
            found[key] = value
        return found

    def _pairs(
        self, node: Any, what: str, known: tuple[str, ...] | None = None, merged_into: tuple[int, ...] = ()
    ) -> Iterator[tuple[str, Any]]:
        """Keys and values: the mapping's own, and then what is merged into it and is not among them."""
        if node.id != "mapping":
            self._fail(node, f"{what} is not a mapping of keys to values")
        if id(node) in merged_into:
            self._fail(node, f"{what} is merged into itself")
        own = [(key, value) for key, value in node.value if key.tag != _MERGE]
        for key, value in own:
            name = key.value if key.id == "scalar" else "?"
            if known is not None and name not in known:
                self._unknown(key, name, what, known)
            yield name, value
        names = {key.value for key, _ in own if key.id == "scalar"}
        for other in _merged(node):
            inner = self._pairs(other, what, known, (*merged_into, id(node)))
            pairs = [pair for pair in inner if pair[0] not in names]
            names.update(name for name, _ in pairs)
            yield from pairs

    def _unknown(self, node: Any, name: str, what: str, known: tuple[str, ...]) -> NoReturn:
        from difflib import get_close_matches

        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}"
        self._fail(node, f"unknown key {name!r} in {what}", hint)

    def _items(self, node: Any, what: str) -> list[Any]:
        if node.tag == _NOTHING:
            return []
        if node.id != "sequence":
            self._fail(node, f"{what} is not a list")
        return list(node.value)

    def _text(self, node: Any, what: str) -> str:
        if node.id != "scalar":
            self._fail(node, f"{what} is not a text")
        return str(node.value)

    def _reference(self, node: Any, what: str) -> Reference:
        try:
            return Reference.parse(self._text(node, what))
        except InvalidReference as error:
            self._fail(node, error.message, error.hint)

    def _fail(self, node: Any, problem: str, hint: str | None = None) -> NoReturn:
        raise UsageError(f"{self._path}:{node.start_mark.line + 1}: {problem}", hint=hint)


def _merged(node: Any) -> Iterator[Any]:
    """The mappings that ``<<`` names in another one (YAML's "Merge Key" type)."""
    for key, value in node.value:
        if key.tag == _MERGE:
            yield from value.value if value.id == "sequence" else [value]
