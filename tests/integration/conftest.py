"""Fixtures of the tests in this folder."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builder import Outcome
from support.docker_daemon import DockerDaemon
from support.in_place import EXECUTOR, InShell
from support.isolation import Sandbox


@pytest.fixture(scope="session")
def root_sandbox(as_root: None, session_directory: Path) -> Iterator[Sandbox]:
    """A sandbox of real root, without a user namespace."""
    running = Sandbox(Path(sys.executable), _directory(session_directory, 0))
    yield running
    running.close()


@pytest.fixture(scope="session")
def user_sandbox(request: pytest.FixtureRequest, session_directory: Path) -> Iterator[Sandbox]:
    """A sandbox of an ordinary user with subordinate ids."""
    account, python = request.getfixturevalue("account"), request.getfixturevalue("user_python")
    running = Sandbox(python, _directory(session_directory, account.uid), account)
    yield running
    running.close()


@pytest.fixture(params=["root", "user"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """The sandbox of root, and again that of an ordinary user."""
    running: Sandbox = request.getfixturevalue(f"{request.param}_sandbox")
    return running


def _directory(parent: Path, uid: int) -> Path:
    directory = Path(tempfile.mkdtemp(prefix="sandbox-", dir=parent))
    os.chown(directory, uid, -1)
    return directory


@pytest.fixture
def in_shell(docker: DockerDaemon, debug_in_docker: str, scratch: Path, busybox: dict[str, str]) -> InShell:
    """Run a script in a container of the debug image; ``$BUILD`` begins a build, files are in /workspace.

    In `dockerfiles`, which are written there, ``BUSYBOX`` is a base.
    """
    workspace = scratch / "workspace"
    workspace.mkdir()

    def run(
        script: str, *, dockerfiles: dict[str, str] | None = None, options: tuple[str, ...] = (), **environment: str
    ) -> Outcome:
        for name, text in (dockerfiles or {}).items():
            (workspace / name).write_text(text.replace("BUSYBOX", busybox["oci"]))
        return docker.run(
            debug_in_docker,
            "-c",
            f"BUILD='{EXECUTOR}'\n{script}",
            options=("--entrypoint=/busybox/sh", *options),
            files={workspace: "/workspace"},
            environment=environment,
        )

    return run
