from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from entries import KEY, NOW, OTHER, result, warnings

from builder.cache.base import CacheKey
from builder.cache.garbage import Collected, Policy, collect
from builder.cache.inventory import Inventory, Item, take_inventory
from builder.cache.local import LocalCache
from builder.digest import Digest
from builder.engine.services import scratch_directory
from builder.progress import Recorded
from builder.storage.blobs import BlobStore
from builder.storage.locks import exclusive, shared

DAY = 86400.0


class State:
    """A state directory in which things were last used when a test says, `NOW` being now."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.blobs = BlobStore(directory)
        self.cache = LocalCache(directory / "cache", self.blobs, Recorded())

    def blob(self, data: bytes, age: float) -> Path:
        path = self.blobs.path(self.blobs.put(data))
        return self.used(path, age)

    def cached(self, key: CacheKey, data: bytes, age: float) -> Path:
        made = result(data)
        with made.blob.source.open() as stream:
            packed = stream.read()
        self.blob(packed, age)
        self.cache.store(key, made)
        return self.used(self.directory / "cache/layers" / key.hex[:2] / f"{key.hex}.json", age)

    def layer(self, name: str, size: int, age: float) -> Path:
        path = self.directory / "layers" / Digest.of(name.encode()).hex
        (path / "root/etc").mkdir(parents=True)
        (path / "root/etc/file").write_bytes(os.urandom(size))
        (path / "root/etc/link").hardlink_to(path / "root/etc/file")
        return self.used(path, age)

    def mount(self, name: str, age: float) -> Path:
        path = self.directory / "mounts/root" / name
        (path / "root").mkdir(parents=True)
        (path / "root/file").write_bytes(bytes(5000))
        self.used(path, age)
        lock = path.with_name(f"{name}.lock")
        lock.touch()
        self.used(lock, age)
        return path

    @staticmethod
    def used(path: Path, age: float) -> Path:
        os.utime(path, (NOW - age, NOW - age))
        return path

    def inventory(self) -> Inventory:
        return take_inventory(self.directory, NOW)

    def items(self, kind: str) -> list[Item]:
        return [item for item in self.inventory().items if item.kind == kind]

    def collect(self, policy: Policy, progress: Recorded | None = None) -> Collected:
        with scratch_directory(self.directory) as scratch:
            os.utime(scratch / "started", (NOW, NOW))
            return collect(self.directory, scratch, policy, NOW, progress or Recorded())


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    directory = tmp_path / "state"
    directory.mkdir()
    yield State(directory)


def running_build(state: State, stack: ExitStack, started: float) -> Path:
    """A build that began so many seconds ago and is still running."""
    scratch = stack.enter_context(scratch_directory(state.directory))
    os.utime(scratch / "started", (NOW - started, NOW - started))
    return scratch


def test_nothing_is_in_an_empty_directory(state: State) -> None:
    assert state.inventory().items == ()
    assert state.collect(Policy(everything=True)) == Collected(count=0, size=0)


def test_the_inventory(state: State) -> None:
    state.blob(b"config", 0.5 * DAY)
    state.cached(KEY, b"layer", DAY)
    layer = state.layer("base", 100_000, 2 * DAY)
    state.mount("cache", DAY)
    found = {item.kind: item for item in state.inventory().items}
    assert sorted(found) == ["blobs", "layers", "mounts"]
    assert found["layers"].path == layer
    assert found["layers"].last_used == NOW - 2 * DAY
    assert 100_000 < found["layers"].size < 150_000, "a file with two names counts once"
    blobs = state.items("blobs")
    assert sorted(len(item.records) for item in blobs) == [0, 1]
    assert not any(item.in_use for item in state.inventory().items)


def test_without_anything_said_what_was_not_used_for_a_week_goes(state: State) -> None:
    old, new = state.layer("old", 10, 8 * DAY), state.layer("new", 10, 6 * DAY)
    old_mount, new_mount = state.mount("old", 8 * DAY), state.mount("new", 6 * DAY)
    record, kept = state.cached(KEY, b"old", 8 * DAY), state.cached(OTHER, b"new", 6 * DAY)
    assert state.collect(Policy()).count == 3
    assert not any(path.exists() for path in (old, old_mount, record))
    assert all(path.exists() for path in (new, new_mount, kept))
    assert not old_mount.with_name("old.lock").exists()
    assert state.cache.lookup(KEY) is None
    assert state.cache.lookup(OTHER) is not None


def test_an_age(state: State) -> None:
    old, new = state.layer("old", 10, 3 * DAY), state.layer("new", 10, DAY)
    state.collect(Policy(older_than=2 * DAY))
    assert (old.exists(), new.exists()) == (False, True)


def test_everything(state: State) -> None:
    state.blob(b"config", 1)
    state.cached(KEY, b"layer", 1)
    state.layer("base", 10, 1)
    state.mount("cache", 1)
    before = state.inventory()
    assert state.collect(Policy(everything=True)) == Collected(count=4, size=sum(item.size for item in before.items))
    assert state.inventory().items == ()


def test_everything_of_an_age(state: State) -> None:
    old, new = state.layer("old", 10, 3 * DAY), state.layer("new", 10, DAY)
    state.collect(Policy(everything=True, older_than=2 * DAY))
    assert (old.exists(), new.exists()) == (False, True)


def test_what_was_used_least_recently_goes_first(state: State) -> None:
    layers = [state.layer(str(age), 100_000, age * DAY) for age in (5, 1, 4, 2, 3)]
    size = state.items("layers")[0].size
    state.collect(Policy(keep=2 * size + 1000))
    assert [path.exists() for path in layers] == [False, True, False, True, False]


@pytest.mark.parametrize("keep", [10**9, 200_000])
def test_no_more_goes_than_must(state: State, keep: int) -> None:
    layer = state.layer("base", 100_000, 9 * DAY)
    assert state.collect(Policy(keep=keep)).count == 0
    assert layer.exists()


def test_a_blob_lives_as_long_as_a_record_of_it_is_used(state: State) -> None:
    record = state.cached(KEY, b"layer", 9 * DAY)
    state.used(record, DAY)
    state.collect(Policy())
    assert state.cache.lookup(KEY) is not None


def test_a_blob_that_goes_takes_its_records_with_it(state: State) -> None:
    records = [state.cached(key, b"the same", DAY) for key in (KEY, OTHER)]
    state.collect(Policy(everything=True))
    assert not any(record.exists() for record in records)


def test_a_record_whose_blob_is_gone_goes_when_it_is_old(state: State) -> None:
    record = state.cached(KEY, b"layer", 8 * DAY)
    state.blobs.remove(result(b"layer").blob.descriptor.digest)
    assert [item.path for item in state.items("records")] == [record]
    state.collect(Policy())
    assert not record.exists()


def test_what_a_running_build_has_used_stays(state: State) -> None:
    with ExitStack() as stack:
        running_build(state, stack, started=100)
        used, unused = state.layer("used", 10, 50), state.layer("unused", 10, 200)
        kept, gone = state.cached(KEY, b"used", 50), state.cached(OTHER, b"unused", 200)
        assert {item.path for item in state.items("layers") if item.in_use} == {used}
        state.collect(Policy(everything=True))
        assert (used.exists(), unused.exists(), kept.exists(), gone.exists()) == (True, False, True, False)
        assert state.cache.lookup(KEY) is not None
    state.collect(Policy(everything=True))
    assert not used.exists()


def test_the_oldest_of_several_builds_counts(state: State) -> None:
    with ExitStack() as stack:
        running_build(state, stack, started=10)
        running_build(state, stack, started=100)
        layer = state.layer("used", 10, 50)
        state.collect(Policy(everything=True))
        assert layer.exists()


def test_where_the_clock_was_put_back_everything_may_be_in_use(state: State) -> None:
    with ExitStack() as stack:
        running_build(state, stack, started=-1000)
        layer = state.layer("used", 10, 9 * DAY)
        state.collect(Policy(everything=True))
        assert layer.exists()


def test_a_layer_that_is_used_in_the_last_moment_stays(state: State) -> None:
    """Between the look at the time and the removal a build comes: it holds the lock, and touches the layer."""
    layer = state.layer("base", 10, 9 * DAY)
    done = threading.Event()

    def prune() -> None:
        state.collect(Policy(everything=True))
        done.set()

    with shared(state.directory / "layers/lock"):
        thread = threading.Thread(target=prune)
        thread.start()
        _wait_for_lock(state.directory / "layers/lock")
        os.utime(layer, (NOW + 1, NOW + 1))
    thread.join(20)
    assert done.is_set()
    assert layer.exists()


def _wait_for_lock(path: Path) -> None:
    """Until somebody waits for the lock of `path`."""
    inode = os.stat(path).st_ino
    deadline = threading.Event()
    for _ in range(2000):
        waiting = [
            line for line in Path("/proc/locks").read_text().splitlines() if "->" in line and f":{inode} " in line
        ]
        if waiting:
            return
        deadline.wait(0.01)
    raise AssertionError("nobody waits for the lock")


def test_a_cache_mount_that_a_command_uses_stays(state: State) -> None:
    mount, other = state.mount("used", 9 * DAY), state.mount("unused", 9 * DAY)
    with shared(mount.with_name("used.lock")):
        assert [item.in_use for item in state.items("mounts")] == [False, True]
        state.collect(Policy(everything=True))
    assert (mount.exists(), other.exists()) == (True, False)
    with exclusive(mount.with_name("used.lock")):
        state.collect(Policy(everything=True))
    assert mount.exists()


def test_what_killed_builds_have_left_goes_in_any_case(state: State) -> None:
    killed = state.directory / "builds/123-abc"
    killed.mkdir(parents=True)
    (killed / "file").write_bytes(bytes(10_000))
    ingest = state.directory / "ingest/tmpabc"
    ingest.parent.mkdir()
    state.used(_written(ingest), 100)
    old, new = state.directory / "tmp/context-old", state.directory / "tmp/context-new"
    for path in (old, new):
        path.mkdir(parents=True)
    state.used(old, 2 * DAY)
    state.used(new, 100)
    state.layer("new", 10, DAY)
    state.collect(Policy())
    assert not killed.exists()
    assert not ingest.exists()
    assert (old.exists(), new.exists()) == (False, True), "a context is fetched before the build begins"
    assert len(state.items("layers")) == 1


def _written(path: Path) -> Path:
    path.write_bytes(b"x")
    return path


def test_what_a_running_build_writes_stays(state: State) -> None:
    with ExitStack() as stack:
        scratch = running_build(state, stack, started=100)
        (scratch / "file").write_bytes(b"x")
        ingest = state.directory / "ingest/tmpabc"
        ingest.parent.mkdir()
        state.used(_written(ingest), 50)
        state.collect(Policy(everything=True))
        assert (scratch / "file").exists()
        assert ingest.exists()


def test_directories_that_nobody_may_write_to_are_removed(state: State) -> None:
    layer = state.layer("base", 10, 9 * DAY)
    (layer / "root/etc").chmod(0o500)
    state.used(layer, 9 * DAY)
    state.collect(Policy())
    assert not layer.exists()


def test_links_are_removed_and_not_followed(state: State, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("x")
    layer = state.layer("base", 10, DAY)
    (layer / "root/link").symlink_to(outside)
    state.used(layer, 9 * DAY)
    (state.directory / "layers" / ("f" * 64)).symlink_to(outside)
    state.collect(Policy(everything=True))
    assert (outside / "file").exists()
    assert not layer.exists()


def test_the_record_of_another_version_does_no_harm(state: State) -> None:
    record = state.cached(KEY, b"layer", 8 * DAY)
    record.write_text('{"version": 99}')
    state.used(record, 8 * DAY)
    progress = Recorded()
    state.collect(Policy(), progress)
    assert not record.exists()
    assert warnings(progress) == []


def test_the_lock_is_given_back(state: State) -> None:
    state.layer("base", 10, 9 * DAY)
    state.collect(Policy(everything=True))
    descriptor = os.open(state.directory / "layers/lock", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)
