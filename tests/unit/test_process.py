"""Running ordinary programs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from builder import process
from builder.errors import BuilderError


def test_output_status_and_input() -> None:
    done = process.run(
        [sys.executable, "-c", "import sys; print(input()); print(1, file=sys.stderr); exit(3)"], input=b"x"
    )
    assert (done.status, done.stdout, done.stderr) == (3, b"x\n", b"1\n")


def test_status_of_a_signal() -> None:
    assert process.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]).status == 137


def test_environment_and_directory(tmp_path: Path) -> None:
    source = "import os; print(sorted(os.environ)[0], os.getcwd())"
    done = process.run([sys.executable, "-c", source], env={"A": "b"}, cwd=tmp_path)
    assert done.stdout.decode() == f"A {tmp_path}\n"


def test_no_shell() -> None:
    assert process.run(["echo", "$HOME; x"]).stdout == b"$HOME; x\n"


@pytest.mark.parametrize(
    ("argv", "fields", "message"),
    [
        (["not-a-program"], {}, "not-a-program is not installed"),
        (["/etc/passwd"], {}, "/etc/passwd cannot be started: Permission denied"),
        (["true"], {"cwd": "/nonexistent"}, "true cannot be started in /nonexistent: there is no such directory"),
        (["sleep", "100"], {"timeout": 0.05}, "sleep did not finish within 0.05 seconds"),
    ],
)
def test_errors(argv: list[str], fields: dict[str, object], message: str) -> None:
    with pytest.raises(BuilderError) as caught:
        process.run(argv, **fields)  # type: ignore[arg-type]
    assert caught.value.message == message


def test_arguments_are_not_in_errors() -> None:
    with pytest.raises(BuilderError) as caught:
        process.run(["not-a-program", "https://user:password@host"])
    assert "password" not in str(caught.value)
