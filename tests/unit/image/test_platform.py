"""Platforms: normalisation, and the choice among those of an index."""

from __future__ import annotations

import pytest

from builder.errors import UsageError
from builder.image.platform import Platform, best_match


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linux/amd64", "linux/amd64"), ("linux/x86_64", "linux/amd64"), ("linux/x86-64/v1", "linux/amd64"),
        ("linux/amd64/v2", "linux/amd64/v2"), ("linux/aarch64", "linux/arm64"), ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/v9", "linux/arm64/v9"), ("linux/arm64/8", "linux/arm64"), ("linux/arm", "linux/arm/v7"),
        ("linux/arm/7", "linux/arm/v7"), ("linux/arm/v6", "linux/arm/v6"), ("linux/armhf", "linux/arm/v7"),
        ("linux/armel", "linux/arm/v6"), ("linux/i386", "linux/386"), ("linux/i686", "linux/386"),
        ("LINUX/AMD64", "linux/amd64"), ("amd64", "linux/amd64"), ("arm64", "linux/arm64"), ("armhf", "linux/arm/v7"),
        ("linux/riscv64", "linux/riscv64"), ("linux/s390x", "linux/s390x"), ("linux/ppc64le", "linux/ppc64le"),
        ("windows/amd64", "windows/amd64"), (" linux/amd64 ", "linux/amd64"), ("linux/loongarch64", "linux/loong64"),
    ],
)  # fmt: skip
def test_parsing(text: str, expected: str) -> None:
    platform = Platform.parse(text)
    assert str(platform) == expected
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize(
    "text", ["", "/", "linux/", "/amd64", "linux//v7", "a/b/c/d", "linux/amd 64", "linux/ä", "linux,amd64"]
)
def test_what_is_no_platform(text: str) -> None:
    with pytest.raises(UsageError, match="invalid platform") as caught:
        Platform.parse(text)
    assert "os/arch" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("linux/amd46", "amd64"), ("linus/amd64", "linux"), ("quantum", "architectures: "), ("linux/x86", None),
        ("plan10/amd64", "plan9"),
    ],
)  # fmt: skip
def test_what_nobody_has_heard_of(text: str, hint: str | None) -> None:
    with pytest.raises(UsageError, match="unknown platform") as caught:
        Platform.parse(text)
    assert hint is None or hint in str(caught.value.hint)


def test_a_single_word() -> None:
    assert Platform.parse("local") == Platform.host()
    assert Platform.parse("linux") == Platform.host()
    assert Platform.parse("windows") == Platform("windows", Platform.host().architecture)
    assert Platform.parse("macos/arm64") == Platform("darwin", "arm64")


def test_several() -> None:
    assert Platform.parse_all(["linux/arm64/v8", "arm"]) == (Platform("linux", "arm64"), Platform("linux", "arm", "v7"))
    assert Platform.parse_all([]) == ()
    with pytest.raises(UsageError, match=r"linux/arm64 is named twice \(as arm64 and as linux/arm64/v8\)"):
        Platform.parse_all(["arm64", "linux/arm64/v8"])
    with pytest.raises(UsageError, match=r"linux/arm64 is named twice$"):
        Platform.parse_all(["linux/arm64", "linux/arm64"])


def test_the_hosts() -> None:
    host = Platform.host()
    assert host.os == "linux"
    assert Platform.parse(str(host)) == host


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        ("linux/amd64", ["linux/arm64", "linux/amd64"], "linux/amd64"),
        ("linux/amd64", ["linux/arm64", "windows/amd64"], None),
        ("linux/amd64", [], None),
        ("linux/amd64", ["linux/amd64/v2"], None),
        ("linux/amd64", ["linux/amd64/v2", "linux/amd64"], "linux/amd64"),
        ("linux/amd64/v3", ["linux/amd64", "linux/amd64/v2", "linux/amd64/v4"], "linux/amd64/v2"),
        ("linux/amd64/v3", ["linux/amd64"], "linux/amd64"),
        ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm64"], "linux/arm/v6"),
        ("linux/arm/v7", ["linux/arm/v7", "linux/arm/v6"], "linux/arm/v7"),
        ("linux/arm/v6", ["linux/arm/v7"], None),
        ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5"], "linux/arm/v5"),
        ("linux/arm64", ["linux/arm64/v8"], "linux/arm64"),
        ("linux/arm64", ["linux/arm64/v9"], None),
        ("linux/arm64/v9", ["linux/arm64"], "linux/arm64"),
        ("linux/arm64", ["linux/arm/v7"], None),
    ],
)
def test_the_best_of_several(wanted: str, available: list[str], expected: str | None) -> None:
    found = best_match(Platform.parse(wanted), [Platform.parse(each) for each in available])
    assert (str(found) if found else None) == expected


def test_variants_that_are_no_numbers() -> None:
    odd = Platform("linux", "mips", "softfloat")
    assert best_match(odd, [Platform("linux", "amd64"), odd]) == odd
    assert best_match(odd, [Platform("linux", "mips")]) == Platform("linux", "mips")
