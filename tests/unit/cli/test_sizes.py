from __future__ import annotations

import pytest

from builder.cli.sizes import age, shown, size
from builder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("0", 0),
        ("1234", 1234),
        ("1k", 1000),
        ("10GB", 10**10),
        ("1.5gb", 1_500_000_000),
        ("2MiB", 2 << 20),
        ("1 TB", 10**12),
    ],
)
def test_sizes(text: str, found: int) -> None:
    assert size(text, "--keep-storage") == found


@pytest.mark.parametrize("text", ["", "GB", "-1", "1XB", "1e3", "ten"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match=r"--keep-storage: .* is not a size"):
        size(text, "--keep-storage")


@pytest.mark.parametrize(
    ("text", "seconds"), [("24h", 86400), ("1h30m", 5400), ("7d", 604800), ("1day", 86400), ("0", 0)]
)
def test_ages(text: str, seconds: float) -> None:
    assert age(text, "--older-than") == seconds


@pytest.mark.parametrize("text", ["", "7", "-1h", "1 week", "2006-01-02"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(UsageError, match="--older-than"):
        age(text, "--older-than")


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1kB"),
        (1536, "1.536kB"),
        (10**6, "1MB"),
        (1234567890, "1.235GB"),
        (10**19, "1e+04PB"),
    ],
)
def test_sizes_as_people_read_them(count: int, text: str) -> None:
    assert shown(count) == text
