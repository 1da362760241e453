"""Runs the builder as people do: a process of its own, as root or as an ordinary user."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from support.account import Account

_CONFINE = Path(__file__).with_name("confine.py")
_PEAK = re.compile(rb"builder-test-peak (\d+)\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes:
        status: the exit status; negative for the number of a signal that killed it.
        peak_kib: the largest resident set of the process or of one of its children, where that was asked for.
    """

    status: int
    stdout: str
    stderr: str
    peak_kib: int = 0

    def ok(self) -> Outcome:
        """Itself, if it succeeded; else AssertionError with what it wrote."""
        assert self.status == 0, f"exit status {self.status}\n{self.output}"
        return self

    def failed(self, message: str, *, status: int = 1) -> Outcome:
        """Itself, if it ended with `status` and one error that matches the regular expression `message`.

        `message` may match anywhere in the error: its ``error:`` line and what follows, up to the end.
        """
        assert self.status == status, f"exit status {self.status}, {status} expected\n{self.output}"
        assert "Traceback" not in self.output, self.output
        assert "internal error" not in self.output, self.output
        errors = re.findall(r"(?ms)^error: .*", self.stderr)
        assert len(re.findall(r"(?m)^error: ", self.stderr)) == 1, f"one error expected\n{self.output}"
        assert re.search(message, errors[0]), f"no {message!r} in the error\n{self.output}"
        return self

    @property
    def output(self) -> str:
        return f"--- stdout\n{self.stdout}\n--- stderr\n{self.stderr}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """The builder's command line for one user with one state directory.

    Attributes:
        python: an interpreter with the builder installed that the account can execute.
        account: who runs it; the one that runs the tests if None.
        home: the account's home for these runs; `state` is BUILDER_STATE_DIR.
        environment: more variables. Nothing else is inherited but PATH.
        no_user_namespaces: run where no user namespace can be made, and without any capability.
    """

    python: Path
    home: Path
    state: Path
    account: Account | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    no_user_namespaces: bool = False

    def with_environment(self, **variables: str) -> Builder:
        return replace(self, environment={**self.environment, **variables})

    def run(self, *arguments: str | Path, timeout: float = 240, stdin: bytes = b"", peak: bool = False) -> Outcome:
        """Run ``builder ARGUMENTS`` to its end.

        Args:
            timeout: seconds; more is an error.
            peak: measure the memory with GNU time.
        """
        prefix = ["/usr/bin/time", "--quiet", "--format=builder-test-peak %M"] if peak else []
        result = subprocess.run(
            [*self.prefix(), *prefix, *self._command(arguments)],
            input=stdin,
            capture_output=True,
            timeout=timeout,
            cwd=self.home,
            env=self.variables(),
            **self.identity(),
        )
        found = _PEAK.search(result.stderr)
        return Outcome(
            status=result.returncode,
            stdout=result.stdout.decode(errors="replace"),
            stderr=_PEAK.sub(b"", result.stderr).decode(errors="replace"),
            peak_kib=int(found[1]) if found else 0,
        )

    def build(self, context: Path, *arguments: str | Path, timeout: float = 240) -> Outcome:
        """``builder --context CONTEXT ARGUMENTS`` with plain HTTP allowed both ways."""
        return self.run(*self.build_arguments(context), *arguments, timeout=timeout)

    @staticmethod
    def build_arguments(context: Path) -> tuple[str | Path, ...]:
        return ("--context", context, "--insecure", "--insecure-pull")

    def start(self, *arguments: str | Path) -> RunningBuilder:
        """Start ``builder ARGUMENTS`` as the leader of a process group of its own."""
        # files, not pipes: nobody reads while it runs, and a leftover child would hold a pipe open
        stdout, stderr = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        process = subprocess.Popen(
            [*self.prefix(), *self._command(arguments)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd=self.home,
            env=self.variables(),
            start_new_session=True,
            preexec_fn=_heed_interrupts,
            **self.identity(),
        )
        return RunningBuilder(process, stdout, stderr)

    def _command(self, arguments: tuple[str | Path, ...]) -> list[str]:
        return [str(self.python), "-P", "-m", "builder", *map(str, arguments)]

    def prefix(self) -> list[str]:
        if not self.no_user_namespaces:
            return []
        account = self.account or Account.current()
        return [sys.executable, str(_CONFINE), str(account.uid), str(account.gid)]

    def identity(self) -> dict[str, Any]:
        return {} if self.no_user_namespaces or self.account is None else self.account.switch()

    def variables(self) -> dict[str, str]:
        account = self.account or Account.current()
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.home),
            "USER": account.name,
            "LANG": "C.UTF-8",
            "DOCKER_CONFIG": str(self.home / ".docker"),
            "BUILDER_STATE_DIR": str(self.state),
            "CI": "true",  # no local cache: what is tested is to be built
            **self.environment,
        }


def _heed_interrupts() -> None:
    """Undo what a shell does to the programs that it puts into the background, the tests among them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


MakeBuilder = Callable[[str, Path], Builder]
"""Makes the builder of ``root`` or of an ordinary ``user``, with its home in a directory."""


class RunningBuilder:
    """A builder that is still at work."""

    def __init__(self, process: subprocess.Popen[bytes], stdout: IO[bytes], stderr: IO[bytes]) -> None:
        self.process, self._stdout, self._stderr = process, stdout, stderr

    @property
    def pid(self) -> int:
        return self.process.pid

    def interrupt(self, number: signal.Signals, *, group: bool) -> None:
        """Send a signal to the process alone (as a service manager does) or its group (as a terminal does)."""
        if group:
            os.killpg(self.pid, number)
        else:
            self.process.send_signal(number)

    def said(self) -> str:
        """What it has written to its standard error so far."""
        # not by seeking: the builder's descriptor has the same position
        return os.pread(self._stderr.fileno(), 1 << 20, 0).decode(errors="replace")

    def wait_until(self, condition: Callable[[], bool], what: str, timeout: float = 60) -> None:
        """Wait until `condition` holds; AssertionError if the process ends or `timeout` seconds pass before."""
        deadline = time.monotonic() + timeout
        while not condition():
            if self.process.poll() is not None:
                raise AssertionError(f"the builder ended before {what}\n{self.finish().output}")
            if time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"not within {timeout} s: {what}\n{self.finish().output}")
            time.sleep(0.02)

    def finish(self, timeout: float = 60) -> Outcome:
        """Wait for its end; it and its group are killed if that takes more than `timeout` seconds."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"still running after {timeout} s\n{self._outcome().output}") from None
        return self._outcome()

    def kill(self) -> None:
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def _outcome(self) -> Outcome:
        texts = []
        for file in (self._stdout, self._stderr):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return Outcome(status=self.process.returncode, stdout=texts[0], stderr=texts[1])


def remove_tree(path: Path) -> None:
    """Remove a directory, also where files in it belong to subordinate ids of an ordinary user."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        subprocess.run(["unshare", "--map-root-user", "--map-auto", "rm", "-rf", str(path)], check=True)
