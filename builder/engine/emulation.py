"""RUN for processors that this machine does not have: found out before the build, by running a tiny program."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from builder.dockerfile.stages import StageBase
from builder.dockerfile.syntax import Instruction, Run
from builder.engine.bases import BaseImage
from builder.engine.located import place
from builder.engine.plan import Plan, PlannedStage
from builder.engine.platforms import PlatformPlan
from builder.engine.services import Services
from builder.errors import IsolationError
from builder.image.platform import Platform
from builder.isolation.base import Isolation
from builder.isolation.command import Bind, Command, DirectoryRoot
from builder.linux import binfmt
from builder.storage.failure import explained

_PROGRAM = "probe"
_NOT_FOUND = 127


class _Need(NamedTuple):
    """The first RUN of a platform, and the stage that it is in."""

    platform: Platform
    instruction: Instruction
    stage: str


def with_emulators(plans: Sequence[PlatformPlan], services: Services) -> Services:
    """The services, with what RUN needs for every platform that it is wanted on.

    Raises IsolationError if programs of one of them cannot be run here. Where nothing can be run at all, the RUN itself
    says why.
    """
    if services.isolation is None:
        return services
    emulators = {}
    for need in _needs(plans):
        found = _emulator(need, services, services.isolation)
        if found is not None:
            emulators[need.platform.architecture] = found
    return replace(services, emulators=emulators) if emulators else services


def _needs(plans: Sequence[PlatformPlan]) -> Iterator[_Need]:
    """What this machine is not, each architecture once."""
    host, seen = Platform.host(), {Platform.host().architecture}
    for plan in (each.plan for each in plans):
        for stage in plan.stages:
            platform = _runs_on(plan, stage)
            run = next((each for each in stage.instructions if isinstance(each, Run)), None)
            if run is None or stage.index in plan.borrowed:
                continue
            if platform.os != host.os:
                raise IsolationError(
                    f"{place(run, stage.name)}: RUN cannot be executed for {platform}: this machine runs {host.os}"
                )
            if platform.architecture not in seen:
                seen.add(platform.architecture)
                yield _Need(platform, run, stage.name)


def _runs_on(plan: Plan, stage: PlannedStage) -> Platform:
    """What the programs of a stage are for, which a base of another platform than was asked for decides."""
    while isinstance(stage.base, StageBase):
        stage = plan.stage(stage.base.index)
    return stage.base.config.platform if isinstance(stage.base, BaseImage) else stage.platform


def _emulator(need: _Need, services: Services, isolation: Isolation) -> Bind | None:
    """What must be visible where programs for the platform run; None if nothing: the kernel has what it needs.

    Raises IsolationError if there is nothing by which they run.
    """
    architecture = need.platform.architecture
    registered = binfmt.handlers()
    if not binfmt.is_known(architecture):
        if registered is not None and not any("qemu" in each.name for each in registered):
            raise _missing(need, "")
        return None  # nothing to try it with
    status, said = _try(architecture, services, isolation)
    if status == 0:
        return None
    for interpreter in _interpreters(architecture, registered):
        bind = _interpreter_bind(interpreter, services.scratch)
        if _try(architecture, services, isolation, bind)[0] == 0:
            return None if _stays(interpreter, services) else bind
    raise _unusable(need, registered) if status == _NOT_FOUND else _missing(need, said)


def _try(
    architecture: str, services: Services, isolation: Isolation, interpreter: Bind | None = None
) -> tuple[int, str]:
    """Run a program for `architecture` in a directory with nothing else in it; its status and what it said."""
    directory = services.scratch / f"{_PROGRAM}-{secrets.token_hex(4)}"
    lines: list[bytes] = []
    with explained("write", directory):
        directory.mkdir(mode=0o755)
        (directory / _PROGRAM).write_bytes(binfmt.program(architecture))
        (directory / _PROGRAM).chmod(0o755)
        (directory / "dev").mkdir()
        (directory / "dev/null").touch()  # a standard input, where /dev is not mounted
        if interpreter is not None:
            target = directory / interpreter.target.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(interpreter.source, target)
    command = Command(
        argv=(f"/{_PROGRAM}",),
        env=(),
        cwd="/",
        uid=0,
        gid=0,
        groups=(),
        root=DirectoryRoot(path=str(directory)),
    )
    try:
        status = isolation.run(command, lambda _stream, line: lines.append(line))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return status, b"\n".join(lines).decode("utf-8", "replace")


def _interpreters(architecture: str, registered: list[binfmt.Handler] | None) -> Iterator[str]:
    """Where the interpreter may be that the kernel would start: where the handler says, or else where it is usual."""
    if registered is not None:
        handler = binfmt.handler_for(architecture, registered)
        names = [handler.interpreter] if handler is not None else []
    else:
        qemu = binfmt.QEMU_NAMES.get(architecture, architecture)
        names = [
            f"/usr/bin/qemu-{qemu}-static",
            f"/usr/libexec/qemu-binfmt/{qemu}-binfmt-P",
            f"/usr/bin/qemu-{qemu}",
            f"/usr/local/bin/qemu-{qemu}-static",
        ]
    yield from (name for name in names if os.path.isfile(name))


def _stays(interpreter: str, services: Services) -> bool:
    """Whether a build in place leaves the interpreter where it is: it is mounted into the container."""
    return services.container is not None and services.container.protected.covers(interpreter.strip("/"))


def _interpreter_bind(interpreter: str, scratch: Path) -> Bind:
    """A copy: in place, the machine's own file is gone by the time that a command runs."""
    copy = scratch / f"interpreter-{secrets.token_hex(4)}"
    with explained("read", Path(interpreter)):
        shutil.copy(interpreter, copy)
        copy.chmod(0o755)
    return Bind(target=interpreter, source=str(copy), read_only=True)


def _missing(need: _Need, said: str) -> IsolationError:
    detail = f" ({said.removeprefix(f'exec /{_PROGRAM}: ')})" if said and "exec format error" not in said else ""
    return IsolationError(
        f"{place(need.instruction, need.stage)}: RUN cannot be executed for {need.platform} here, on "
        f"{Platform.host()}: the kernel has no interpreter for it{detail}",
        hint=f"install the package qemu-user-static on the machine (with binfmt-support), or run once "
        f"`docker run --privileged --rm tonistiigi/binfmt --install {need.platform.architecture}`; "
        "or let the commands run on this platform: FROM --platform=$BUILDPLATFORM",
    )


def _unusable(need: _Need, registered: list[binfmt.Handler] | None) -> IsolationError:
    handler = binfmt.handler_for(need.platform.architecture, registered or [])
    which = f", {handler.interpreter}," if handler else ""
    return IsolationError(
        f"{place(need.instruction, need.stage)}: RUN cannot be executed for {need.platform} here: the kernel has an "
        f"interpreter for it{which} which cannot be used from inside of an image",
        hint="it is registered without the flag F, and is not a static program that is visible here: install the "
        "package qemu-user-static, or run once "
        f"`docker run --privileged --rm tonistiigi/binfmt --install {need.platform.architecture}`",
    )
