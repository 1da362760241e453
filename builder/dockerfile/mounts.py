"""The options of ``RUN --mount``.

The Dockerfile reference, "RUN --mount". Values may hold variables, so an option is checked as soon as it holds none,
and the mount as a whole when none of its options does.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from builder.dockerfile.errors import did_you_mean
from builder.dockerfile.syntax import Mount
from builder.errors import BuilderError

Options = Sequence[tuple[str, str | None]]
_TYPES = ("bind", "cache", "tmpfs", "secret", "ssh")
_SHARING = ("shared", "private", "locked")
_SHORT = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly", "rw": "readwrite"}
_KEYS = ("type", "from", "source", "target", "readonly", "readwrite", "id", "sharing", "required", "mode", "uid", "gid")
_ALL_KEYS = (*_KEYS, "env", "size", *_SHORT)
_WITHOUT_VALUE = ("readonly", "readwrite", "required")
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
_VARIABLE = re.compile(r"\$.", re.DOTALL)
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_NUMBER = {"uid": re.compile("[0-9]+"), "gid": re.compile("[0-9]+"), "mode": re.compile("[0-7]+")}
_TYPES_OF = {
    "mode": ("secret", "ssh", "cache"),
    "uid": ("secret", "ssh", "cache"),
    "gid": ("secret", "ssh", "cache"),
    "sharing": ("cache",),
    "required": ("secret", "ssh"),
    "size": ("tmpfs",),
    "env": ("secret",),
}
"""Options that only some types have."""


class InvalidMount(BuilderError):
    """A mount that cannot be; `fragment` is the text to point at."""

    def __init__(self, message: str, fragment: str = "", hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.fragment = fragment


def parse_mount(text: str) -> Mount:
    """A mount of ``key=value,key=value``, one record of comma-separated values. Raises InvalidMount."""
    options: list[tuple[str, str | None]] = []
    for field in _fields(text):
        key, equals, value = field.partition("=")
        key = _SHORT.get(key.lower(), key.lower())
        if not equals and key not in _WITHOUT_VALUE:
            raise InvalidMount(f"{field!r} must be a key=value pair", field, did_you_mean(field, _ALL_KEYS))
        if key not in _ALL_KEYS:
            raise InvalidMount(f"unexpected key {key!r}", field, did_you_mean(key, _ALL_KEYS))
        if key == "from" and _VARIABLE.search(value):
            hint = "give the image a stage of its own: FROM $IMAGE AS name, then from=name"
            raise InvalidMount("from doesn't support variable expansion", field, hint)
        options.append((key, value if equals else None))
    return mount_of(options)


def mount_of(options: Options, *, final: bool = False) -> Mount:
    """The mount that the options make; `final` where they are expanded and all is checked. Raises InvalidMount."""
    values: dict[str, str] = {}
    read_only: bool | None = None
    for key, value in options:
        if key in ("readonly", "readwrite"):
            read_only = _boolean(key, value, final=final) == (key == "readonly")
        else:
            values[key] = "true" if value is None else _checked(key, value, final=final)
    kind = values.get("type", "bind")
    mount = Mount(
        type=kind,
        source=values.get("source"),
        target=values.get("target"),
        from_=values.get("from"),
        id=values.get("id"),
        sharing=values.get("sharing"),
        uid=values.get("uid"),
        gid=values.get("gid"),
        mode=values.get("mode"),
        read_only=kind not in ("cache", "tmpfs") if read_only is None else read_only,
        required=_boolean("required", values.get("required", "false"), final=final),
        env=values.get("env"),
        size=values.get("size"),
        options=tuple(options),
    )
    if final or not any(_is_open(value) for _, value in options if value):
        _check_whole(mount, values)
    return mount


def size_in_bytes(text: str) -> int:
    """Bytes of a size such as ``64m`` or ``1.5GiB``; units are powers of 1024. Raises InvalidMount."""
    match = _SIZE.fullmatch(text)
    if not match:
        raise InvalidMount(f"invalid value for size: {text}", text, "a size is a number with k, m, g or t behind it")
    return int(float(match[1]) * 1024 ** ("kmgtp".index(match[2].lower()) + 1 if match[2] else 0))


def _fields(text: str) -> list[str]:
    if not text:
        raise InvalidMount("it is empty")
    if '"' not in text:
        return text.split(",")
    import csv

    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidMount(f"{text!r} is no list of comma-separated values: {error}", text) from None


def _is_open(value: str) -> bool:
    """Whether expansion can still change the value."""
    return any(character in value for character in "$'\"\\`")


def _boolean(key: str, value: str | None, *, final: bool) -> bool:
    if value is None or value in _TRUE:
        return True
    if value not in _FALSE and (final or not _is_open(value)):
        raise InvalidMount(f"invalid value for {key}: {value}", value, "it is true or false")
    return False


def _checked(key: str, value: str, *, final: bool) -> str:
    if not final and _is_open(value):
        return value
    if key == "type":
        return _one_of(value, "mount type", _TYPES)
    if key == "sharing":
        return _one_of(value, "sharing value", _SHARING)
    if key == "size":
        size_in_bytes(value)
    if key in _NUMBER and (not _NUMBER[key].fullmatch(value) or int(value, 8 if key == "mode" else 10) >= 1 << 32):
        kind = "an octal number" if key == "mode" else "a number"
        raise InvalidMount(f"invalid value {value} for {key}", value, f"{key} is {kind}")
    return value


def _one_of(value: str, what: str, values: tuple[str, ...]) -> str:
    if value.lower() not in values:
        hint = did_you_mean(value, values) or f"it is one of {', '.join(values)}"
        raise InvalidMount(f"unsupported {what} {value!r}", value, hint)
    return value.lower()


def _check_whole(mount: Mount, values: dict[str, str]) -> None:
    for key in values:
        if mount.type not in _TYPES_OF.get(key, _TYPES):
            raise InvalidMount(f"{key} is not allowed for mounts of type {mount.type}", key)
    if mount.type != "secret":
        return
    if mount.from_:
        raise InvalidMount("a secret mount should not have a from", "from")
    if not (mount.source or mount.target or mount.id or mount.env):
        raise InvalidMount("a secret mount needs an id, a source, a target or an env")
    if mount.source and mount.id:
        raise InvalidMount("source and id of a secret mount can't both be set", "source")
