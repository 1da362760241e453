"""Digests, and readers that verify them."""

from __future__ import annotations

import hashlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest, VerifyingReader
from builder.errors import DigestMismatch, InvalidReference

HEX = "0123456789abcdef" * 4


def test_parsing() -> None:
    assert Digest.parse(f"sha256:{HEX}") == Digest("sha256", HEX)
    assert Digest.parse(f"sha512:{HEX * 2}") == Digest("sha512", HEX * 2)
    assert str(Digest.parse(f"sha256:{HEX}")) == f"sha256:{HEX}"


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "sha256", "sha256:", f"sha256:{HEX[:-1]}", f"sha256:{HEX}0", f"sha256:{HEX.upper()}", f"sha512:{HEX}",
        f"md5:{HEX[:32]}", f"sha256:{'g' * 64}", f"sha256:{HEX}\n", f" sha256:{HEX}", f"sha256:sha256:{HEX}", HEX,
        f"SHA256:{HEX}", f"sha256:{'../' * 21}x",
    ],
)  # fmt: skip
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(InvalidReference, match="invalid digest"):
        Digest.parse(text)


@given(st.binary(max_size=100))
def test_the_digest_of_data(data: bytes) -> None:
    assert Digest.of(data) == Digest.parse(f"sha256:{hashlib.sha256(data).hexdigest()}")


def reader(data: bytes, of: bytes | None = None, size: int | None = None, algorithm: str = "sha256") -> VerifyingReader:
    expected = data if of is None else of
    digest = Digest(algorithm, hashlib.new(algorithm, expected).hexdigest())
    return VerifyingReader(io.BytesIO(data), digest, size, "blob x")


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
@pytest.mark.parametrize("size", [None, 6])
@pytest.mark.parametrize("step", [1, 4, 6, 7, -1])
def test_content_that_is_right(algorithm: str, size: int | None, step: int) -> None:
    stream = reader(b"abcdef", size=size, algorithm=algorithm)
    assert b"".join(iter(lambda: stream.read(step), b"")) == b"abcdef"
    assert stream.read(step) == stream.read() == b""


@pytest.mark.parametrize("step", [1, 4, 100, -1])
def test_content_that_is_wrong(step: int) -> None:
    stream = reader(b"abcdef", of=b"abcdeX")
    with pytest.raises(
        DigestMismatch, match=f"blob x has the wrong content: its digest is sha256:{Digest.of(b'abcdef').hex}"
    ):
        for _ in range(10):
            stream.read(step)


@pytest.mark.parametrize("step", [1, 4, 100, -1])
def test_content_that_is_too_short(step: int) -> None:
    with pytest.raises(DigestMismatch, match="blob x ends after 3 of 6 bytes"):
        stream = reader(b"abc", of=b"abcdef", size=6)
        for _ in range(10):
            stream.read(step)


@pytest.mark.parametrize("step", [1, 4, 100, -1])
def test_content_that_is_too_long_is_found_at_the_first_byte_too_many(step: int) -> None:
    stream = reader(b"abcdefgh" * 100, of=b"abc", size=3)
    with pytest.raises(DigestMismatch, match="blob x is longer than the 3 bytes it should have"):
        for _ in range(10):
            stream.read(step)


def test_reading_nothing_is_not_the_end() -> None:
    stream = reader(b"abc", of=b"other")
    assert stream.read(0) == b""


def test_who_stops_early_has_verified_nothing() -> None:
    assert reader(b"abc", of=b"other").read(2) == b"ab"
