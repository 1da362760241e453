"""The cache on this machine: when it is used, what it never holds, and what it does not break."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from support.builder import Builder
from support.caching import records, told, with_cache
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import diff_listings, list_image
from support.registry import LoopbackRegistry

DOCKERFILE = """
FROM BASE AS build
COPY a /a
RUN cat /a > /b
FROM BASE
COPY --from=build /b /b
RUN cat /b > /c
"""
STEPS = 4


@pytest.fixture
def cached(user_builder: Builder) -> Builder:
    """The builder of an ordinary user, as it is outside of CI."""
    return with_cache(user_builder)


@pytest.fixture
def context(make_context: MakeContext, busybox: Mapping[str, str]) -> Path:
    return make_context({"Dockerfile": DOCKERFILE.replace("BASE", busybox["oci"]), "a": "a\n"})


@pytest.mark.parametrize("value", ["true", "1", "yes"])
def test_continuous_integration_does_without(user_builder: Builder, context: Path, value: str) -> None:
    builder = user_builder.with_environment(CI=value)
    for _ in range(2):
        found = told(builder.build(context, "--no-push"))
        assert (len(found.built), set(found.built.values())) == (STEPS, {""})
    assert not (builder.state / "cache").exists()


@pytest.mark.parametrize("value", ["", "false", "0"])
def test_anywhere_else_it_is_on(user_builder: Builder, context: Path, value: str) -> None:
    builder = user_builder.with_environment(CI=value)
    assert len(told(builder.build(context, "--no-push")).built) == STEPS
    assert len(told(builder.build(context, "--no-push")).cached) == STEPS


def test_it_can_be_turned_off(cached: Builder, context: Path) -> None:
    told(cached.build(context, "--no-push", "--cache=false"))
    assert not (cached.state / "cache").exists()
    told(cached.build(context, "--no-push"))
    assert not told(cached.build(context, "--no-push", "--cache=false")).cached


def test_nothing_is_read_or_made_if_everything_is_cached(cached: Builder, context: Path) -> None:
    with (context / "Dockerfile").open("a") as file:
        file.write("WORKDIR /\nENV A=1\n")  # neither makes a layer
    told(cached.build(context, "--no-push"))
    shutil.rmtree(cached.state / "layers")
    found = told(cached.build(context, "--no-push"))
    assert found.built == {"WORKDIR /": ""}
    assert "pulled" not in found.outcome.output
    assert not [path for path in (cached.state / "layers").rglob("*") if path.name != "lock"]


def test_only_what_runs_is_unpacked_for(
    cached: Builder, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    """The last step alone is built again, on layers that nobody has unpacked."""
    told(cached.build(context, f"--destination={registry.reference(repository)}:one"))
    shutil.rmtree(cached.state / "layers")
    dockerfile = context / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text().replace("> /c", "> /d"))
    found = told(cached.build(context, f"--destination={registry.reference(repository)}:two"))
    assert found.built == {"RUN cat /b > /d": "instruction changed"}
    one, two = (list_image(registry, repository, tag) for tag in ("one", "two"))
    assert one.text("c") == two.text("d") == "a\n"
    kept = {path: each for path, each in one.files.items() if path != "c"}
    assert not diff_listings(kept, {path: each for path, each in two.files.items() if path != "d"})


def test_no_secret_is_kept(cached: Builder, make_context: MakeContext, busybox: Mapping[str, str]) -> None:
    secrets = ["first-secret-of-a-file", "second-secret-of-a-variable", "third-secret-of-a-url"]
    context = make_context(
        {
            "Dockerfile": f"FROM {busybox['oci']}\n"
            "RUN --mount=type=secret,id=file --mount=type=secret,id=variable,env=GIVEN \\\n"
            "  test -s /run/secrets/file && test -n $GIVEN\n"
            f"RUN echo http://user:{secrets[2]}@host.invalid/ > /dev/null\n",
            "file": secrets[0],
        }
    )
    builder = cached.with_environment(VARIABLE=secrets[1])
    flags = (f"--secret=id=file,src={context / 'file'}", "--secret=id=variable,env=VARIABLE")
    assert len(told(builder.build(context, "--no-push", *flags)).built) == 2
    for path in (cached.state / "cache").rglob("*"):
        if path.is_file():
            assert not [each for each in secrets if each.encode() in path.read_bytes()], path
    assert len(told(builder.build(context, "--no-push", *flags)).cached) == 2


def test_a_failed_build_keeps_what_it_has_done(cached: Builder, context: Path) -> None:
    dockerfile = context / "Dockerfile"
    text = dockerfile.read_text()
    dockerfile.write_text(text + "RUN false\n")
    cached.build(context, "--no-push").failed("failed with exit code 1")
    dockerfile.write_text(text)
    assert len(told(cached.build(context, "--no-push")).cached) == STEPS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_leaves_a_cache_that_is_whole(
    cached: Builder, context: Path, number: signal.Signals
) -> None:
    dockerfile = context / "Dockerfile"
    text = dockerfile.read_text()
    dockerfile.write_text(text + "RUN head -c 300000000 /dev/urandom > /random\nRUN sleep 60\n")
    running = cached.start(*cached.build_arguments(context), "--no-push")
    with nothing_left(cached.state, context):
        running.wait_until(lambda: len(records(cached)) > STEPS, "all steps were stored, one of them under two keys")
        running.interrupt(number, group=True)
        assert running.finish().status == 128 + number
    assert not [path for path in (cached.state / "cache").rglob(".*") if path.is_file()]
    dockerfile.write_text(text)
    assert len(told(cached.build(context, "--no-push")).cached) == STEPS


def test_two_builds_that_fill_the_same_cache(
    cached: Builder, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    def build(tag: str) -> None:
        told(cached.build(context, f"--destination={registry.reference(repository)}:{tag}"))

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(build, ("one", "two", "three")))
    found = told(cached.build(context, f"--destination={registry.reference(repository)}:four"))
    assert "warning" not in found.outcome.stderr
    assert not found.built
    images = [list_image(registry, repository, tag) for tag in ("one", "two", "three", "four")]
    for image in images[1:]:
        assert not diff_listings(images[0].files, image.files)


@pytest.mark.parametrize(
    "how",
    [
        "overwritten",
        pytest.param("cut off", marks=pytest.mark.exhaustive),
        pytest.param("removed", marks=pytest.mark.exhaustive),
    ],
)
def test_a_damaged_layer_is_built_again(
    cached: Builder, context: Path, registry: LoopbackRegistry, repository: str, how: str
) -> None:
    flag = f"--destination={registry.reference(repository)}"
    told(cached.build(context, f"{flag}:one"))
    record = next(path for path in records(cached) if json.loads(path.read_text())["instruction"].startswith("RUN cat"))
    document = json.loads(record.read_text())
    blob = cached.state / "blobs" / document["layer"]["digest"].replace(":", "/")
    data = blob.read_bytes()
    blob.unlink()
    if how != "removed":
        blob.write_bytes(data[: len(data) // 2] if how == "cut off" else b"x" * len(data))
    found = told(cached.build(context, f"{flag}:two"))
    assert document["instruction"] in found.built
    assert ("warning" in found.outcome.stderr) == (how != "removed")
    images = [list_image(registry, repository, tag) for tag in ("one", "two")]
    assert not diff_listings(images[0].files, images[1].files)
    assert not told(cached.build(context, "--no-push")).built


def test_a_cache_directory_that_cannot_be_written(cached: Builder, context: Path) -> None:
    cached.state.mkdir(mode=0o777)
    cached.state.chmod(0o777)
    (cached.state / "cache").write_text("a file where the directory should be")
    found = told(cached.build(context, "--no-push"))
    assert len(found.built) == STEPS
    assert found.outcome.stderr.count("warning: the local cache") == 1


@pytest.mark.usefixtures("as_root")
def test_a_disk_that_is_full(root_builder: Builder, context: Path) -> None:
    builder = with_cache(root_builder)
    cache = builder.state / "cache"
    cache.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", cache], check=True)
    try:
        with (cache / "filling").open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4096)
        found = told(builder.build(context, "--no-push"))
        assert len(found.built) == STEPS
        assert found.outcome.stderr.count("warning: the local cache takes nothing more") == 1
        assert "No space left" in found.outcome.stderr
    finally:
        subprocess.run(["umount", cache], check=True)


@pytest.fixture
def served(scratch: Path) -> Iterator[tuple[Path, str]]:
    """A directory, and the URL at which it is served."""
    directory = scratch / "served"
    directory.mkdir()
    handler: Callable[..., SimpleHTTPRequestHandler] = partial(_Quiet, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield directory, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_arguments: object) -> None:
        return


def test_a_url_is_the_file_behind_it(
    cached: Builder, make_context: MakeContext, busybox: Mapping[str, str], served: tuple[Path, str]
) -> None:
    directory, url = served
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nADD {url}/file /file\nRUN cat /file\n"})
    (directory / "file").write_text("one\n")
    assert len(told(cached.build(context, "--no-push")).built) == 2
    assert len(told(cached.build(context, "--no-push")).cached) == 2
    (directory / "file").write_text("two\n")
    found = told(cached.build(context, "--no-push"))
    assert found.built == {
        f"ADD {url}/file /file": f"file file of {url}/file changed",
        "RUN cat /file": "earlier step changed",
    }


def test_one_file_of_many_is_read_again(cached: Builder, make_context: MakeContext, busybox: Mapping[str, str]) -> None:
    """What is remembered of files is right after each way of changing one."""
    files = {f"dir/{number}": f"{number}\n" for number in range(50)}
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nCOPY dir /dir\n", **files})
    step = "COPY dir /dir"
    told(cached.build(context, "--no-push"))
    for text in ("x\n", "y\n"):
        (context / "dir/7").write_text(text)
        assert told(cached.build(context, "--no-push")).built == {step: "context file dir/7 changed"}
        assert told(cached.build(context, "--no-push")).cached == {step: "local cache"}
    (context / "dir/7").write_text("x\n")
    assert told(cached.build(context, "--no-push")).cached == {step: "local cache"}


def test_a_large_layer_is_kept_although_the_next_step_fails(
    cached: Builder, make_context: MakeContext, busybox: Mapping[str, str]
) -> None:
    """It is still being written at that moment."""
    step = "RUN head -c 100000000 /dev/urandom > /random"
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\n{step}\nRUN false\n"})
    cached.build(context, "--no-push").failed("failed with exit code 1")
    (context / "Dockerfile").write_text(f"FROM {busybox['oci']}\n{step}\n")
    assert told(cached.build(context, "--no-push")).cached == {step: "local cache"}
