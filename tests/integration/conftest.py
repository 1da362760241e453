"""Fixtures of the tests in this folder."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
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
