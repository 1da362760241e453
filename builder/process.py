"""The only place that starts ordinary programs: no shell, no inherited descriptors, a bounded time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builder.errors import BuilderError


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """How a program ended: `status` is its exit status, 128 + number if a signal ended it."""

    status: int
    stdout: bytes
    stderr: bytes


def run(
    argv: Sequence[str],
    *,
    input: bytes = b"",  # noqa: A002  (the name that subprocess gives it)
    env: Mapping[str, str] | None = None,
    timeout: float | None = None,
    cwd: str | Path | None = None,
) -> Completed:
    """Run a program to its end and collect what it writes.

    Args:
        argv: the program, looked up in PATH, and its arguments; never a shell line.
        input: its standard input.
        env: its whole environment; None for the builder's own.
        timeout: seconds until it is killed.
        cwd: its working directory; None for the builder's own.

    Raises:
        BuilderError: the program is missing, may not be executed, or takes longer than `timeout`.
    """
    import subprocess

    name = argv[0]
    try:
        done = subprocess.run(
            list(argv), input=input, env=env, timeout=timeout, cwd=cwd, capture_output=True, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuilderError(f"{name} did not finish within {timeout:g} seconds") from None
    except FileNotFoundError as error:
        if cwd is not None and error.filename == str(cwd):
            raise BuilderError(f"{name} cannot be started in {cwd}: there is no such directory") from None
        raise BuilderError(f"{name} is not installed", hint=f"install {name}, or put it into PATH") from None
    except OSError as error:
        raise BuilderError(f"{name} cannot be started: {error.strerror}") from None
    status = done.returncode if done.returncode >= 0 else 128 - done.returncode
    return Completed(status=status, stdout=done.stdout, stderr=done.stderr)
