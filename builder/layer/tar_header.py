"""The fields of a tar header and of the pax records before it (POSIX pax, "ustar Interchange Format"; GNU tar)."""

from __future__ import annotations

from zlib import adler32

from builder.errors import LayerError
from builder.layer.entry import Entry, Kind
from builder.layer.paths import normalised

BLOCK = 512
_XATTR = "SCHILY.xattr."
_SPARSE_PAIR = ("GNU.sparse.offset", "GNU.sparse.numbytes")
_ADLER_MODULUS = 65521
_IDS, _DEVICES, _SIZES, _TIMES = range(2**32), range(1 << 21), range(2**63), range(-(2**63), 2**63)
_EMPTY: dict[str, bytes] = {}


def checksum_fits(header: bytes) -> bool:
    """Whether `header` (512 bytes) carries its own checksum (pax, "ustar Interchange Format", chksum)."""
    try:
        told = number(header, 148, 156)
    except LayerError:
        return False
    # The lower half of Adler-32 is the sum of all bytes and 1, which takes a twentieth of the time of sum().
    counted_as_spaces = told + sum(header[148:156]) - 8 * 0x20
    if adler32(header) & 0xFFFF == (counted_as_spaces + 1) % _ADLER_MODULUS:
        return True
    # Some old programs took bytes for signed numbers.
    rest = header[:148] + header[156:]
    return told == sum(byte - 256 if byte & 0x80 else byte for byte in rest) + 8 * 0x20


def number(header: bytes, start: int, end: int, allowed: range = _SIZES) -> int:
    """A numeric field: octal digits, or GNU's base-256 for what does not fit. Raises LayerError."""
    digits = header[start:end].rstrip(b"\0 ")
    if digits.isdigit():
        try:
            return int(digits, 8)  # the fields have no room for a number that is not allowed
        except ValueError:
            pass
    return _unusual_number(header[start:end], allowed)


def _unusual_number(field: bytes, allowed: range) -> int:
    if field[0] & 0x80:
        bits = len(field) * 8 - 1
        value = int.from_bytes(field, "big") & ((1 << bits) - 1)
        value -= (value >> bits - 1) << bits
        if value not in allowed:
            raise LayerError(f"a damaged tar header: {value} in a field of {len(field)} bytes")
        return value
    digits = field.lstrip(b"\0 ").partition(b"\0")[0].rstrip(b" ")
    if digits and (not digits.isdigit() or b"8" in digits or b"9" in digits):
        raise LayerError(f"a damaged tar header: {field!r} is not a number")
    return int(digits or b"0", 8)


def name_of(header: bytes) -> bytes:
    """The name as the header alone has it."""
    name = header[:100].partition(b"\0")[0]
    if header[345] and header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
        return prefix + b"/" + name
    return name


def text(name: bytes) -> str:
    """A name as paths have it."""
    return name.decode("utf-8", "surrogateescape")


def pax_records(data: bytes, what: str) -> dict[str, bytes]:
    """The records of a pax header ("pax Extended Header"). Raises LayerError."""
    records: dict[str, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        end = at + int(data[at:space]) if space > at and data[at:space].isdigit() else -1
        if end <= space or end > len(data) or data[end - 1] != 0x0A:
            raise LayerError(f"{what} has a damaged pax header")
        key, _, value = data[space + 1 : end - 1].partition(b"=")
        _add_record(records, text(key), value)
        at = end
    return records


def size_of(header: bytes, extra: dict[str, bytes]) -> int:
    """The bytes of data behind the header, if it is one of a file. Raises LayerError."""
    return _pax_int(extra, "size", header, 124, 136, _SIZES)


def _add_record(records: dict[str, bytes], key: str, value: bytes) -> None:
    """Note a pax record; the many records of a sparse map of form 0.0 become the one that 0.1 has."""
    if key in _SPARSE_PAIR:
        known = records.get("GNU.sparse.map")
        key, value = "GNU.sparse.map", value if known is None else known + b"," + value
    elif "\0" in key or (key in ("path", "linkpath") and b"\0" in value):
        raise LayerError(f"a damaged pax header: {key}={value!r}")
    records[key] = value


def _pax_int(extra: dict[str, bytes], key: str, header: bytes, start: int, end: int, allowed: range) -> int:
    """A number of the pax header, else of the header; fractions are cut off towards the past, as stat has it."""
    text = extra.get(key) if extra else None
    if not text:
        return number(header, start, end, allowed)
    value = _decimal(key, text)
    if value not in allowed:
        raise LayerError(f"a damaged pax header: {key} is {value}")
    return value


def _decimal(key: str, text: bytes) -> int:
    sign, digits = (-1, text[1:]) if text.startswith(b"-") else (1, text)
    whole, _, fraction = digits.partition(b".")
    if not (whole + fraction).isdigit() or len(whole) > 20:
        raise LayerError(f"a damaged pax header: {key}={text!r}")
    value = sign * int(whole or b"0")
    return value - 1 if sign < 0 and fraction.strip(b"0") else value


def _device(header: bytes) -> tuple[int, int]:
    major, minor = number(header, 329, 337), number(header, 337, 345)
    if major not in _DEVICES or minor not in _DEVICES:
        raise LayerError(f"a damaged tar header: there is no device {major}:{minor}")
    return major, minor


def entry_of(header: bytes, extra: dict[str, bytes], kind: Kind, size: int) -> Entry:
    """What the header says, `extra` being the pax records that go before it. Raises LayerError."""
    link = ""
    if kind is Kind.SYMLINK or kind is Kind.HARDLINK:
        link = text(extra.get("linkpath") or header[157:257].partition(b"\0")[0])
        if kind is Kind.HARDLINK:
            link = normalised(link)
        if not link:
            raise LayerError("a damaged tar header: a link to nothing")
    device = _device(header) if kind is Kind.CHAR or kind is Kind.BLOCK else None
    xattrs = {key[len(_XATTR) :]: value for key, value in extra.items() if key.startswith(_XATTR)} if extra else _EMPTY
    return Entry(
        kind,
        number(header, 100, 108) & 0o7777,
        _pax_int(extra, "uid", header, 108, 116, _IDS),
        _pax_int(extra, "gid", header, 116, 124, _IDS),
        size,
        _pax_int(extra, "mtime", header, 136, 148, _TIMES),
        link,
        device,
        xattrs or None,
    )
