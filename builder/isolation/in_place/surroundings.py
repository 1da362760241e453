"""Whether this process is in a container, and what building in place would lack here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from builder.errors import IsolationError
from builder.linux import mountinfo
from builder.linux.capabilities import Capability, effective

_MARKS = ("/.dockerenv", "/run/.containerenv")
_VARIABLES = ("KUBERNETES_SERVICE_HOST", "container")
_NO_FILES = ("/dev/", "/memfd:", "/SYSV")
_SHARED_PREFIXES = frozenset(("/", "/usr", "/usr/local"))
_NEEDED = (
    Capability.CHOWN,
    Capability.DAC_OVERRIDE,
    Capability.FOWNER,
    Capability.SETGID,
    Capability.SETUID,
)
NOT_IN_CONTAINER = (
    "commands cannot be run in place: this is not a container, and the files of this machine would be replaced",
    "run the builder's image in a container; --force overrides, and moves all files of this machine away",
)


def in_container(environment: Mapping[str, str]) -> bool:
    """Whether this is a container, as far as that can be told from inside."""
    if any(os.path.exists(mark) for mark in _MARKS) or any(environment.get(name) for name in _VARIABLES):
        return True
    return any(mount.target == "/" and mount.filesystem == "overlay" for mount in mountinfo.read())


def own_prefixes() -> frozenset[str]:
    """Directories that this interpreter is in, unless images have files of theirs there."""
    prefixes = {os.path.realpath(sys.prefix), os.path.realpath(sys.base_prefix)}
    return frozenset(prefixes - _SHARED_PREFIXES)


def runs_from(directory: Path) -> bool:
    """Whether this interpreter, with every library that it has loaded, survives a base.

    It does if all of that is in `directory`, or in a directory that it has to itself.
    """
    own = tuple(each.rstrip("/") + "/" for each in (os.path.realpath(directory), *own_prefixes()))
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as file:
        mapped = {line.rstrip("\n").split(maxsplit=5)[5] for line in file if line.count("/")}
    mapped.add(os.path.realpath(sys.prefix) + "/")
    return all(path.startswith(own) for path in mapped if path.startswith("/") and not path.startswith(_NO_FILES))


def refusal(environment: Mapping[str, str], directory: Path, *, force: bool) -> IsolationError | None:
    """Why commands cannot be run in place here; None if they can.

    Args:
        directory: the builder's own.
        force: it need not be a container, nor the builder run from its own directory.
    """
    lacks = next(_lacks(environment, directory, force=force), None)
    return None if lacks is None else IsolationError(lacks[0], hint=lacks[1])


def _lacks(environment: Mapping[str, str], directory: Path, *, force: bool) -> Iterator[tuple[str, str]]:
    if not force and not in_container(environment):
        yield NOT_IN_CONTAINER
    if not force and not runs_from(directory):
        yield (
            f"commands cannot be run in place: this Python ({sys.prefix}) is not the builder's own in {directory}, "
            "so that the base image would overwrite it",
            "use the builder's image, whose interpreter is its own, or allow namespaces: "
            "docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined",
        )
    if os.geteuid() != 0:
        yield (
            f"commands cannot be run in place as user {os.geteuid()}: chown, setuid and writing to / need root",
            "run the container as root (docker run --user 0; in Kubernetes securityContext.runAsUser: 0; "
            "in OpenShift a service account with the SCC anyuid)",
        )
    missing = [f"CAP_{each.name}" for each in _NEEDED if each not in effective()]
    if missing:
        yield (
            f"commands cannot be run in place: chown and setuid need the capabilities {', '.join(missing)}",
            "grant them: docker run --cap-add; in Kubernetes securityContext.capabilities.add",
        )
