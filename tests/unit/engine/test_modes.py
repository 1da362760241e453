"""``--chmod`` values, against the real chmod of coreutils."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder.engine.copying.modes import octal_mode, parse_mode
from builder.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("7", 7), ("644", 0o644), ("0755", 0o755), ("4755", 0o4755), ("07777", 0o7777), ("0000000644", 0o644)],
)
def test_octal(text: str, value: int) -> None:
    assert octal_mode(text) == value
    for is_directory in (True, False):
        assert parse_mode(text)(0o1234, is_directory) == value


@pytest.mark.parametrize(
    "text",
    [
        "", "8", "0o755", "755x", "10000", "77777", "-1", " 755", "u", "u=rwz", "x+r", "u+r,", ",u+r", "u+r g+r", "u=8",
        "7u+r", "+ r",
    ],
)  # fmt: skip
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(UsageError, match="invalid chmod parameter") as caught:
        parse_mode(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "mode", "of_file", "of_directory"),
    [
        ("u=rwX,go=rX", 0o600, 0o644, 0o755),
        ("u=rwX,go=rX", 0o700, 0o755, 0o755),
        ("+x", 0o644, 0o755, 0o755),
        ("a+X", 0o644, 0o644, 0o755),
        ("go-rwx", 0o777, 0o700, 0o700),
        ("u+s,g+s", 0o755, 0o6755, 0o6755),
        ("+t", 0o755, 0o1755, 0o1755),
        ("g=u", 0o750, 0o770, 0o770),
        ("u=g,g=o", 0o751, 0o511, 0o511),
        ("a=", 0o7777, 0o0, 0o6000),
        ("u+r-w", 0o200, 0o400, 0o400),
    ],
)
def test_symbols(text: str, mode: int, of_file: int, of_directory: int) -> None:
    assert (parse_mode(text)(mode, False), parse_mode(text)(mode, True)) == (of_file, of_directory)


who = st.text("ugoa", max_size=3)
permissions = st.one_of(st.text("rwxXst", max_size=4), st.sampled_from("ugo"))
action = st.builds("{}{}".format, st.sampled_from("+-="), permissions)
clause = st.builds(lambda classes, actions: classes + "".join(actions), who, st.lists(action, min_size=1, max_size=3))
expressions = st.lists(clause, min_size=1, max_size=3).map(",".join)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(expressions, st.integers(0, 0o7777), st.booleans())
def test_what_chmod_does(tmp_path: Path, expression: str, mode: int, is_directory: bool) -> None:
    place = tmp_path / ("d" if is_directory else "f")
    if not place.exists():
        place.mkdir() if is_directory else place.touch()
    os.chmod(place, mode)
    old = os.umask(0)
    try:
        subprocess.run(["chmod", "--", expression, str(place)], check=True, capture_output=True, timeout=30)
    finally:
        os.umask(old)
    assert oct(parse_mode(expression)(mode, is_directory)) == oct(stat.S_IMODE(place.stat().st_mode))
