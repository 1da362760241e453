from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from builder.errors import StorageError
from builder.storage import locks

Lock = Callable[[Path], AbstractContextManager[None]]


@pytest.mark.parametrize(("held", "free"), [(locks.shared, False), (locks.exclusive, False), (None, True)])
@pytest.mark.parametrize("directory", [False, True])
def test_try_exclusive(tmp_path: Path, held: Lock | None, free: bool, directory: bool) -> None:
    path = tmp_path if directory else tmp_path / "below/lock"
    if held is None:
        with locks.try_exclusive(path) as got:
            assert got is free
        return
    with held(path), locks.try_exclusive(path) as got:
        assert got is free
    with locks.try_exclusive(path) as got:
        assert got


def test_sharers_share(tmp_path: Path) -> None:
    with locks.shared(tmp_path / "lock"), locks.shared(tmp_path / "lock"):
        pass


def test_waiting_for_another(tmp_path: Path) -> None:
    path, order = tmp_path / "lock", list[str]()
    waiting = threading.Event()

    def wait() -> None:
        waiting.set()
        with locks.exclusive(path):
            order.append("second")

    thread = threading.Thread(target=wait)
    with locks.exclusive(path):
        thread.start()
        assert waiting.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]


def _hold(path: Path, ready: object) -> None:
    with locks.exclusive(path):
        ready.set()  # type: ignore[attr-defined]
        threading.Event().wait(60)


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "lock", ready))
    process.start()
    assert ready.wait(30)
    with locks.try_exclusive(tmp_path / "lock") as got:
        assert not got
    process.kill()
    process.join()
    with locks.try_exclusive(tmp_path / "lock") as got:
        assert got


def test_a_lock_file_that_was_removed_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.exclusive(path):
        path.unlink()
        with locks.exclusive(path):
            assert path.exists()


def test_an_error_inside_is_not_swallowed(tmp_path: Path) -> None:
    with pytest.raises(KeyError), locks.try_exclusive(tmp_path / "lock"):
        raise KeyError


def test_a_place_that_cannot_be_locked(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot lock"), locks.exclusive(tmp_path / "file/lock"):
        pass
