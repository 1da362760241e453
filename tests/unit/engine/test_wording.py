"""Values as Go prints them."""

from __future__ import annotations

import pytest

from builder.engine.wording import duration, healthcheck, plain_list, quoted, quoted_list
from builder.image.config import Healthcheck


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", '""'),
        ("plain words", '"plain words"'),
        ('a "quote" and \\', '"a \\"quote\\" and \\\\"'),
        ("\a\b\f\n\r\t\v", '"\\a\\b\\f\\n\\r\\t\\v"'),
        ("\0\x1b\x7f", '"\\x00\\x1b\\x7f"'),
        ("'$`", '"\'$`"'),
        ("äö日本☺", '"äö日本☺"'),
        ("\xa0\x85", '"\\u00a0\\u0085"'),
        ("\u2028\u200b\ufeff", '"\\u2028\\u200b\\ufeff"'),
        ("\U0001f600\U000e0001", '"\U0001f600\\U000e0001"'),
        ("\udcff\udc80", '"\\xff\\x80"'),
    ],
)
def test_quoted(text: str, expected: str) -> None:
    assert quoted(text) == expected


def test_lists() -> None:
    assert quoted_list([]) == plain_list([]) == "[]"
    assert quoted_list(["/bin/sh", "-c", 'echo "x"']) == '["/bin/sh" "-c" "echo \\"x\\""]'
    assert plain_list(["80/tcp", "443/tcp"]) == "[80/tcp 443/tcp]"


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (245_000_000_000, "4m5s"),
        (245_001_000_000, "4m5.001s"),
        (18_367_001_000_000, "5h6m7.001s"),
        (480_000_000_001, "8m0.000000001s"),
        (2**63 - 1, "2562047h47m16.854775807s"),
        (-(2**63), "-2562047h47m16.854775808s"),
        (1_000_000_000, "1s"),
        (60_000_000_000, "1m0s"),
        (3_600_000_000_000, "1h0m0s"),
        (999_999_999, "999.999999ms"),
        (999_999, "999.999µs"),
        (-1_500_000_000, "-1.5s"),
    ],
)
def test_durations(nanoseconds: int, expected: str) -> None:
    assert duration(nanoseconds) == expected


def test_a_health_check() -> None:
    check = Healthcheck(test=("CMD-SHELL", "curl -f localhost"), interval=30_000_000_000, retries=3)
    assert healthcheck(check) == (
        "{Test:[CMD-SHELL curl -f localhost] Interval:30s Timeout:0s StartPeriod:0s StartInterval:0s Retries:3}"
    )
