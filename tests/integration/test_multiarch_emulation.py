"""RUN for a processor that this machine does not have, by QEMU and binfmt_misc."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.binfmt import nothing_registered, registered
from support.builder import Builder
from support.containers import Podman, buildah_pull
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import host_architecture, list_image
from support.multiarch import Bases
from support.registry import LoopbackRegistry

pytestmark = pytest.mark.skipif(host_architecture() == "arm64", reason="arm64 is not foreign here")

HERE = f"linux/{host_architecture()}"
DOCKERFILE = """\
FROM {base}
RUN uname -m > /machine && ls -d /proc/self/fd /dev/null > /surroundings && find / -xdev -name '*qemu*' > /found
USER app
WORKDIR /home/app
RUN id -un > /tmp/user; echo "$0" > shell
RUN exit 0 && false || exit 0
"""


@pytest.mark.parametrize("flags", ["OPF", pytest.param("P", marks=pytest.mark.exhaustive)])
def test_commands_of_another_processor(
    flags: str,
    builder: Builder,
    binfmt: None,
    arm64_busybox: str,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
) -> None:
    """With the flag F nothing is to be seen of the emulator; without, commands see it, and the image has it not."""
    context = make_context({"Dockerfile": DOCKERFILE.format(base=arm64_busybox)})
    target = registry.reference(repository)
    with registered("arm64", flags=flags), nothing_left(builder.state, context):
        builder.build(context, f"--platform={HERE},linux/arm64", f"--destination={target}:1").ok()
    arm64 = list_image(registry, repository, "1", "arm64")
    assert arm64.text("machine") == "aarch64\n"
    assert arm64.text("surroundings").split() == ["/dev/null", "/proc/self/fd"]
    assert arm64.text("tmp/user") == "app\n"
    assert ("qemu" in arm64.text("found")) == ("F" not in flags)
    assert not [path for path in arm64.files if "qemu" in path]
    here = list_image(registry, repository, "1", host_architecture())
    assert here.text("machine") == f"{os.uname().machine}\n"
    assert here.text("found") == ""
    assert set(here.files) == set(arm64.files)


def test_no_emulator_is_an_error_before_any_work(
    user_builder: Builder, binfmt: None, arm64_busybox: str, make_context: MakeContext
) -> None:
    lines = ["FROM --platform=$BUILDPLATFORM scratch AS first", "COPY file /", f"FROM {arm64_busybox} AS second"]
    context = make_context({"Dockerfile": "\n".join([*lines, "COPY --from=first / /", "RUN true"]), "file": ""})
    with nothing_registered(), nothing_left(user_builder.state, context):
        outcome = user_builder.build(context, f"--platform={HERE},linux/arm64", "--no-push")
        outcome.failed(
            r"Dockerfile:5 \(stage linux/arm64 second\): RUN cannot be executed for linux/arm64(?s:.*)"
            r"qemu-user-static(?s:.*)tonistiigi/binfmt"
        )
        assert "COPY" not in outcome.stderr.partition("error:")[0]


def test_commands_on_the_build_platform_need_no_emulator(
    user_builder: Builder,
    binfmt: None,
    arm64_busybox: str,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
) -> None:
    lines = [
        f"FROM --platform=$BUILDPLATFORM {arm64_busybox} AS build",
        "ARG TARGETARCH",
        "RUN echo built for $TARGETARCH on $(uname -m) > /result",
        f"FROM {arm64_busybox}",
        "COPY --from=build /result /",
    ]
    context = make_context({"Dockerfile": "\n".join(lines)})
    with nothing_registered():
        target = registry.reference(repository)
        user_builder.build(context, "--platform=linux/arm64", f"--destination={target}:1").ok()
    built = list_image(registry, repository, "1")
    assert built.text("result") == f"built for arm64 on {os.uname().machine}\n"
    assert built.config["architecture"] == "arm64"


def test_an_interpreter_that_is_not_there(
    user_builder: Builder, binfmt: None, arm64_busybox: str, make_context: MakeContext, scratch: Path
) -> None:
    gone = scratch / "qemu"
    shutil.copy("/usr/bin/qemu-aarch64-static", gone)
    context = make_context({"Dockerfile": f"FROM {arm64_busybox}\nRUN true\n"})
    with registered("arm64", flags="", interpreter=str(gone)):
        gone.unlink()
        outcome = user_builder.build(context, "--platform=linux/arm64", "--no-push")
    outcome.failed(rf"Dockerfile:2(?s:.*){gone}(?s:.*)flag F")


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_one_command_for_two_architectures(
    root_builder: Builder,
    binfmt: None,
    multiarch: Bases,
    registry: LoopbackRegistry,
    repository: str,
    make_context: MakeContext,
    containers: Podman,
) -> None:
    """Debian's own packages are installed on both; podman runs both, and buildah reads the index."""
    text = (
        "FROM {base}\nARG TARGETARCH\nRUN useradd --create-home someone && dpkg --print-architecture > /architecture\n"
        "COPY --chown=someone file /home/someone/$TARGETARCH\nUSER someone\n"
        'CMD ["sh", "-c", "cat /architecture; uname -m; id -un; ls ~"]\n'
    )
    with registered("arm64"):
        base = multiarch.debian("base/debian:multiarch")
        context = make_context({"Dockerfile": text.format(base=base), "file": "content\n"})
        target = f"{registry.reference(repository)}:1"
        with nothing_left(root_builder.state, context):
            root_builder.build(context, f"--platform={HERE},linux/arm64", f"--destination={target}", timeout=480).ok()
        machines = {host_architecture(): os.uname().machine, "arm64": "aarch64"}
        for (architecture, machine), option in zip(machines.items(), ("--platform=linux/", "--arch="), strict=True):
            said = containers.run(target, options=[f"{option}{architecture}"])
            assert said.split() == [architecture, machine, "someone", architecture]
    inspected = containers.manifest(target)
    assert {child["platform"]["architecture"] for child in inspected["manifests"]} == set(machines)
    assert buildah_pull(target)


@pytest.mark.parametrize("flags", ["F", ""])
def test_where_the_list_of_handlers_cannot_be_read(
    flags: str, root_builder: Builder, binfmt: None, arm64_busybox: str, make_context: MakeContext
) -> None:
    """As in a container, where binfmt_misc is not mounted: it is tried, and interpreters are where they are usual."""
    context = make_context({"Dockerfile": f"FROM {arm64_busybox}\nRUN uname -m\n"})
    hidden = ["unshare", "--mount", "sh", "-c", 'umount --all --types binfmt_misc; exec "$@"', "sh"]
    build = [root_builder.python, "-m", "builder", *root_builder.build_arguments(context)]
    command = [*hidden, *build, "--platform=linux/arm64", "--no-push", "--progress=plain"]
    with registered("arm64", flags=flags):
        done = subprocess.run(command, env=root_builder.variables(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "aarch64" in done.stderr


def test_one_platform_that_fails(
    user_builder: Builder, registry: LoopbackRegistry, repository: str, make_context: MakeContext, arm64_busybox: str
) -> None:
    """The message says which, and nothing is pushed."""
    lines = [
        f"FROM --platform=$BUILDPLATFORM {arm64_busybox} AS check",
        "ARG TARGETARCH",
        "RUN sleep 1; test $TARGETARCH = arm64 && touch /ok",
        f"FROM {arm64_busybox}",
        "COPY --from=check /ok /",
    ]
    context = make_context({"Dockerfile": "\n".join(lines)})
    target = registry.reference(repository)
    with nothing_left(user_builder.state, context):
        outcome = user_builder.build(context, f"--platform=linux/arm64,{HERE}", f"--destination={target}:1")
    outcome.failed(rf"Dockerfile:3 \(stage {HERE} check\)(?s:.*)exit code 1")
    assert registry.tags(repository) == []
