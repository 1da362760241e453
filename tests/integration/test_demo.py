"""``make demo`` as a newcomer runs it, in a machine that has what it installs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from support.containers import Podman

PROJECT = Path(__file__).parents[2]


def _demo(**variables: str) -> str:
    result = subprocess.run(
        [PROJECT / "scripts/demo"],
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"
    return result.stdout


def test_demo(tmp_path: Path) -> None:
    said = _demo(TMPDIR=str(tmp_path))
    assert re.search(r"hello:latest is sha256:[0-9a-f]{64}", said)
    assert "make demo KEEP=1" in said
    assert list(tmp_path.iterdir()) == []


def test_demo_that_keeps_its_registry(tmp_path: Path, containers: Podman) -> None:
    said = _demo(TMPDIR=str(tmp_path), KEEP="1")
    stop = re.search(r"kill (\d+); rm -rf", said)
    assert stop, said
    try:
        reference = re.search(r"Done: (\S+) is", said)
        assert reference, said
        assert containers.run(reference[1]).startswith("Hello, world!\nmade on ")
    finally:
        os.kill(int(stop[1]), signal.SIGTERM)


@pytest.mark.parametrize("script", ["demo", "packages", "venv"])
def test_scripts_are_well_formed(script: str) -> None:
    subprocess.run(["bash", "-n", PROJECT / "scripts" / script], check=True)
