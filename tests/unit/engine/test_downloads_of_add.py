"""ADD of what is elsewhere: it is fetched once, and while it is on its way nobody else is held up."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from test_stage import make_stage
from trees import tree_of

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.parse import parse
from builder.dockerfile.syntax import Add, Copy
from builder.engine.instructions import remote
from builder.engine.instructions.files import transfer
from builder.engine.instructions.remote import Surroundings
from builder.progress import Silent
from builder.registry.network import Network
from builder.registry.policy import RegistryPolicy
from builder.rootfs.tree import SourceTree

URL = "https://host.example/file"


class Watched:
    """Stands for the download of a file, and notes whether the lock of the context was held."""

    def __init__(self, lock: threading.Lock) -> None:
        self.lock = lock
        self.held: list[bool] = []

    def download(self, url: str, instruction: Add, around: Surroundings) -> tuple[SourceTree, str]:
        self.held.append(self.lock.locked())
        return tree_of({"file": "f>content"}), "file"


def surroundings(scratch: Path) -> Surroundings:
    network = Network(RegistryPolicy(), {}, Silent())
    return Surroundings(sources=tree_of({"own": "f>own"}), time=None, scratch=scratch, environment={}, network=network)


def instruction(line: str) -> Add | Copy:
    (found,) = parse(f"FROM scratch\n{line}\n".encode(), "Dockerfile").stages[0].instructions
    assert isinstance(found, (Add, Copy))
    return found


def test_the_lock_is_not_held_while_something_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = threading.Lock()
    watched = Watched(lock)
    monkeypatch.setattr(remote, "_downloaded", watched.download)
    changes = transfer(make_stage(), instruction(f"ADD own {URL} /d/"), surroundings(tmp_path), lock)
    assert {"d/own", "d/file"} <= set(changes)
    assert watched.held == [False]
    assert not lock.locked()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"COPY {URL} /d/", "the source of COPY can't be a URL"),
        (f"ADD own {URL} /d", "must be a directory"),
        (f"ADD --checksum=sha256:{64 * '0'} own {URL} /d/", "--checksum takes a single source"),
    ],
)
def test_nothing_is_fetched_for_what_makes_no_sense(
    line: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(threading.Lock())
    monkeypatch.setattr(remote, "_downloaded", watched.download)
    with pytest.raises(DockerfileError, match=message):
        transfer(make_stage(), instruction(line), surroundings(tmp_path), watched.lock)
    assert watched.held == []
