"""The command line as a whole: subcommands, help, exit codes, what is shown of errors."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from builder import __version__
from builder.cli import main as entry
from builder.cli.flags import BUILD_FLAGS, PUSH_FLAGS
from builder.cli.main import main
from builder.cli.session import Session, run
from builder.errors import BuilderError, Interrupted, RunFailed
from builder.progress import Message


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("KANIKO_", "CI_", "GIT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BUILDER_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def python(*argv: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, timeout=60, **keywords)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    ("argv", "program", "expected"),
    [
        ([], "builder", ("build", [])),
        (["--no-push"], "/usr/bin/builder", ("build", ["--no-push"])),
        (["build", "-d", "x"], "", ("build", ["-d", "x"])),
        (["-d", "push"], "/kaniko/executor", ("build", ["-d", "push"])),
        (["version"], "/kaniko/executor", ("version", [])),
        (["--version"], "builder", ("version", [])),
        (["push", "x"], "builder", ("push", ["x"])),
        (["--help"], "builder", ("help", [])),
        (["help", "push"], "builder", ("help", ["push"])),
        (["-i", "debian"], "/kaniko/warmer", ("warm", ["-i", "debian"])),
    ],
)
def test_split(argv: list[str], program: str, expected: tuple[str, list[str]]) -> None:
    assert entry.split(argv, program) == expected


@pytest.mark.parametrize("argv", [["version"], ["--version"]])
def test_version(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert capsys.readouterr().out == f"builder {__version__}\n"


def test_version_imports_next_to_nothing() -> None:
    code = "import sys; from builder.cli.main import main; main(['version']); print(*sys.modules)"
    loaded = set(python("-c", code).stdout.split())
    assert not loaded & {"requests", "yaml", "cryptography", "zstandard", "argparse", "json", "dataclasses", "inspect"}


def test_a_build_loads_heavy_modules_only_when_it_needs_them() -> None:
    code = "import sys; import builder.cli.build, builder.cli.session, builder.cli.push; print(*sys.modules)"
    loaded = set(python("-c", code).stdout.split())
    assert not loaded & {"requests", "yaml", "cryptography", "zstandard", "isal", "dockerfile_parse", "argparse"}


@pytest.mark.parametrize(
    ("argv", "flags"),
    [
        (["--help"], BUILD_FLAGS),
        (["help"], BUILD_FLAGS),
        (["build", "--help"], BUILD_FLAGS),
        (["build", "-h"], BUILD_FLAGS),
        (["help", "build"], BUILD_FLAGS),
        (["push", "--help"], PUSH_FLAGS),
    ],
)
def test_help(argv: list[str], flags: tuple, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    for flag in flags:
        assert (f"--{flag.name}" in text) == bool(flag.help)


def test_help_survives_a_reader_that_has_seen_enough() -> None:
    done = subprocess.run(f"{sys.executable} -m builder --help | true", shell=True, capture_output=True, timeout=60)
    assert done.stderr == b""


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "error: You must provide --destination, or use --no-push\n"),
        (["--nopush"], "error: unknown flag --nopush\nhint: did you mean --no-push?\n"),
        (["--no-push", "-v", "loud"], "error: --verbosity is one of panic, fatal, error, warn, info, debug, trace"),
        (["bild"], "error: unexpected argument 'bild'\nhint: the context is named with --context (-c)\n"),
        (["--no-push", "-c", "nowhere"], "nowhere does not exist\nhint: name it with --context\n"),
        (["--no-push"], "error: Dockerfile not found: tried "),
        (["--no-push", "--cache"], "error: --cache needs --cache-repo if there is no --destination to infer it from\n"),
        (["--no-push", "--cache", "--cache-repo=a/b:c"], "error: --cache-repo a/b:c: a repository is wanted, without"),
        (["--no-push", "--cache", "--cache-repo=oci:"], "error: --cache-repo=oci: needs the path of a directory"),
        (["push"], "error: push needs the path of a docker archive or of an OCI layout\n"),
        (["push", "x"], "error: You must provide --destination\n"),
        (["push", "x", "-d", "localhost/x"], "x does not exist\n"),
    ],
)
def test_errors(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 1
    shown = capsys.readouterr()
    assert text in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_json_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--no-push", "--log-format=json", "-c", "nowhere"]) == 1
    error = capsys.readouterr().err
    assert error.startswith('{"level": "error", "time": "')
    assert '"hint": "name it with --context"' in error


def _run(body: object, *argv: str) -> int:
    return run("build", BUILD_FLAGS, argv, body)  # type: ignore[arg-type]


def _raising(error: BaseException) -> object:
    def body(session: Session) -> int:
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (BuilderError("no"), 1, "error: no\n"),
        (BuilderError("no", hint="yes"), 1, "error: no\nhint: yes\n"),
        (RunFailed("RUN false failed", status=42), 1, "error: RUN false failed\n"),
        (Interrupted(15, "SIGTERM"), 143, "error: stopped by SIGTERM\n"),
        (Interrupted(2, "SIGINT"), 130, "error: stopped by SIGINT\n"),
        (MemoryError(), 1, "error: out of memory\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), 1, "error: /x: No space left on device\nhint: free "),
        (BuilderError("https://me:pass@host failed"), 1, "error: https://me:***@host failed\n"),
    ],
)
def test_exit_codes(error: Exception, status: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_raising(error)) == status
    assert capsys.readouterr().err.startswith(text)


def test_a_bug_is_one_paragraph_and_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "state").mkdir()
    assert _run(_raising(KeyError("https://me:pass@host"))) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: internal error: KeyError: 'https://me:***@host'\nhint: this is a bug of builder")
    assert "Traceback" not in error
    (file,) = (tmp_path / "state").iterdir()
    assert str(file) in error
    assert "Traceback" in file.read_text()
    assert "pass@" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_bug_shows_its_traceback_to_who_debugs(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(_raising(KeyError("x")), "-v", "debug") == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_what_the_environment_keeps_secret_is_masked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_JOB_TOKEN", "token-of-this-job")

    def body(session: Session) -> int:
        session.progress.emit(Message("info", "it is token-of-this-job"))
        session.redactor.add(["another one"])
        session.progress.emit(Message("info", "and another one"))
        return 0

    assert _run(body) == 0
    assert capsys.readouterr().err == "it is ***\nand ***\n"


def test_the_status_of_the_body_is_returned(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(lambda session: 7) == 7
    assert capsys.readouterr().err == ""


def test_module_can_be_run() -> None:
    done = python("-m", "builder", "version")
    assert (done.returncode, done.stdout) == (0, f"builder {__version__}\n")


@pytest.mark.parametrize("redirection", ["2>&-", ">&-", ">/dev/full", "2>/dev/full"])
@pytest.mark.parametrize(("argv", "status"), [("--no-push -c nowhere", 1), ("version", 0)])
def test_closed_and_full_streams(redirection: str, argv: str, status: int) -> None:
    done = subprocess.run(
        f"{sys.executable} -m builder {argv} {redirection}", shell=True, capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    if redirection == ">/dev/full" and argv == "version":
        assert done.returncode == 1
    else:
        assert done.returncode == status
