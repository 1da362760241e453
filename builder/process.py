"""The only place that starts ordinary programs: no shell, no inherited descriptors, a bounded time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from builder.errors import BuilderError

if TYPE_CHECKING:
    from subprocess import Popen

_LINGERING = 0.5
"""Seconds that output is waited for after a program has ended, where something it started holds it open."""


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


def run_untrusted(
    argv: Sequence[str],
    *,
    input: bytes,  # noqa: A002  (the name that subprocess gives it)
    env: Mapping[str, str],
    timeout: float,
    limit: int,
) -> Completed:
    """Run a program that may hang, or print without end: it and all that it has started are ended then.

    Args:
        input: its standard input, at most 4 KiB (what a pipe takes at once).
        limit: bytes that it may write to each of standard output and standard error.

    Raises:
        BuilderError: as `run`, and if it writes more than `limit` bytes.
    """
    import subprocess

    name = argv[0]
    try:
        process = subprocess.Popen(_found(argv, env), env=env, start_new_session=True, stdin=-1, stdout=-1, stderr=-1)
    except FileNotFoundError:
        raise BuilderError(f"{name} is not installed", hint=f"install {name}, or put it into PATH") from None
    except OSError as error:
        raise BuilderError(f"{name} cannot be started: {error.strerror}") from None
    try:
        stdout, stderr = _talk(process, name, input, timeout, limit)
        status = process.wait(_LINGERING)
    except subprocess.TimeoutExpired:
        raise BuilderError(f"{name} did not finish within {timeout:g} seconds") from None
    finally:
        _end(process)
    return Completed(status=status if status >= 0 else 128 - status, stdout=stdout, stderr=stderr)


def _found(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """`argv` with the program's path, by the PATH that it is given: subprocess itself would look in ours."""
    import os
    import shutil

    path = shutil.which(argv[0], path=env.get("PATH", os.defpath))
    if path is None:
        raise FileNotFoundError(argv[0])
    return [path, *argv[1:]]


def _talk(process: Popen[bytes], name: str, data: bytes, timeout: float, limit: int) -> tuple[bytes, bytes]:
    import selectors
    import time

    assert process.stdin and process.stdout and process.stderr
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(data)
    collected = {process.stdout: bytearray(), process.stderr: bytearray()}
    end = time.monotonic() + timeout
    with selectors.DefaultSelector() as selector:
        for stream in collected:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            ended = process.poll() is not None
            ready = selector.select(min(_LINGERING, max(0.0, end - time.monotonic())))
            if time.monotonic() >= end:
                raise BuilderError(f"{name} did not finish within {timeout:g} seconds")
            if ended and not ready:
                break
            for key, _ in ready:
                chunk = key.fileobj.read1(1 << 16)  # type: ignore[union-attr]
                if not chunk:
                    selector.unregister(key.fileobj)
                gathered = collected[key.fileobj]  # type: ignore[index]
                gathered += chunk
                if len(gathered) > limit:
                    raise BuilderError(f"{name} printed more than {limit} bytes")
    # a program may close its output and go on
    process.wait(max(0.0, end - time.monotonic()))
    return bytes(collected[process.stdout]), bytes(collected[process.stderr])


def _end(process: Popen[bytes]) -> None:
    """End what is left of the program's process group, and close its pipes."""
    import os
    import signal

    with suppress(OSError):  # nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            with suppress(OSError):
                stream.close()
