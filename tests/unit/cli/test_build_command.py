"""``builder build`` as a process, on Dockerfiles that need no registry."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

_DOCKERFILE = 'FROM scratch\nARG NAME=nobody\nCOPY hello /hello\nLABEL name=$NAME\nCMD ["/hello"]\n'


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    directory.mkdir()
    (directory / "Dockerfile").write_text(_DOCKERFILE)
    (directory / "hello").write_text("hello\n")
    return directory


def run(directory: Path, *argv: str, program: str = "", stdin: bytes = b"", **environment: str) -> tuple[int, str, str]:
    command = [program] if program else [sys.executable, "-m", "builder"]
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("KANIKO_", "FF_", "SOURCE_DATE"))
    }
    state = {"BUILDER_STATE_DIR": str(directory.parent / "state"), "DOCKER_CONFIG": str(directory.parent)}
    done = subprocess.run(
        [*command, *argv], cwd=directory, env=clean | state | environment, input=stdin, capture_output=True, timeout=120
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def config_of(archive: Path) -> dict:
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        return json.load(tar.extractfile(manifest[0]["Config"]))  # type: ignore[arg-type]


def test_a_build(context: Path, tmp_path: Path) -> None:
    status, output, error = run(
        context, "--no-push", f"--tar-path={tmp_path}/x.tar", "--digest-file=../digest", "--build-arg=NAME", NAME="me"
    )
    assert (status, output) == (0, "")
    assert error.startswith("[1/1] COPY hello /hello\n[1/1] DONE ")
    digest = (tmp_path / "digest").read_text()
    *_, wrote, built, times = error.splitlines()
    assert (wrote, built) == (f"wrote {tmp_path}/x.tar", f"built {digest}")
    assert re.fullmatch(r"compress [0-9.]+s, total [0-9.]+s", times)
    assert config_of(tmp_path / "x.tar")["config"]["Labels"] == {"name": "me"}
    assert os.listdir(tmp_path / "state/builds") == []


def test_a_context_on_standard_input(context: Path, tmp_path: Path) -> None:
    packed = subprocess.run(["tar", "-cz", "."], cwd=context, capture_output=True, check=True).stdout
    status, _, error = run(tmp_path / "context", "-c", "tar://stdin", "--no-push", "-vwarn", stdin=packed)
    assert (status, error) == (0, "")
    assert os.listdir(tmp_path / "state/tmp") == []


@pytest.mark.parametrize("name", ["executor", "builder"])
def test_the_names_of_the_program(name: str, context: Path, tmp_path: Path) -> None:
    program = tmp_path / name
    program.symlink_to(Path(sys.executable).parent / "builder")
    status, output, _ = run(context, "--dryrun", program=str(program))
    assert status == 0
    assert "COPY hello /hello" in output


def test_the_warmer(context: Path, tmp_path: Path) -> None:
    (tmp_path / "warmer").symlink_to(Path(sys.executable).parent / "builder")
    status, _, error = run(context, "--image", program=str(tmp_path / "warmer"))
    assert (status, error) == (1, "error: --image needs a value: --image IMAGE\n")


def test_json_is_all_that_is_written(context: Path) -> None:
    status, output, error = run(context, "--no-push", "--log-format=json", "-vtrace", FF_KANIKO_X="1")
    assert (status, output) == (0, "")
    documents = [json.loads(line) for line in error.splitlines()]
    assert documents[0]["msg"] == "FF_KANIKO_X has no effect"
    assert {"event": "step-started", "step": "1/1", "line": 3}.items() <= documents[1].items()


def test_an_error_in_the_dockerfile_is_one_message(context: Path) -> None:
    (context / "Dockerfile").write_text("FROM scratch\nCOPPY a b\n")
    status, _, error = run(context, "--no-push")
    assert status == 1
    assert error.startswith("error: ")
    assert "Dockerfile:2" in error
    assert "did you mean COPY?" in error
    assert "Traceback" not in error


def test_a_secret_is_in_nothing_that_is_said(context: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2-hunter2\n")
    (context / "Dockerfile").write_text("FROM scratch\nLABEL a=hunter2-hunter2\nCOPY hunter2-hunter2 /\n")
    flags = ("--no-push", f"--secret=id=s,src={tmp_path}/secret", "-vtrace")
    status, _, error = run(context, *flags)
    assert status == 1
    assert "***" in error
    assert "hunter2" not in error
