"""Where commands run: in namespaces, or in place; and what a build in place has around it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from builder.cli.options import BuildOptions
from builder.cli.read_options import state_dir
from builder.cli.session import Session
from builder.context.dockerfile import DockerfileSource
from builder.errors import IsolationError
from builder.isolation import idmap
from builder.isolation.advice import IN_PLACE
from builder.isolation.namespace import Prepared, prepare
from builder.isolation.sandboxed import NamespaceIsolation
from builder.linux.capabilities import Capability, effective
from builder.linux.namespaces import in_initial_user_namespace
from builder.progress import log
from builder.registry.certificate_files import certs_d
from builder.registry.keychain import config_directory

if TYPE_CHECKING:
    from builder.isolation.in_place.keeper import Keeper

_CREDENTIALS = re.compile(rb"TOKEN|PASSW|SECRET|CREDENTIAL|AUTH|_KEY|_JWT|_PAT$", re.IGNORECASE)
_FILE_VARIABLES = (
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CI_SERVER_TLS_CA_FILE",
    "SSH_AUTH_SOCK",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AZURE_FEDERATED_TOKEN_FILE",
)
"""Variables that name files, or directories separated by colons, which registries are reached with."""
_DEBUG_SHELL = "/busybox"


@dataclass(frozen=True, slots=True, kw_only=True)
class InPlaceProcesses:
    """Processes that were forked before there were threads.

    Attributes:
        helper: starts commands.
        keeper: puts hidden files back if this process is killed.
    """

    helper: NamespaceIsolation
    keeper: Keeper


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """How commands are isolated.

    Attributes:
        prepared: what this process may do; its isolation is that of namespaces, if that was chosen.
        in_place: the processes that commands in place need, if that was chosen.
    """

    prepared: Prepared
    in_place: InPlaceProcesses | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a build has beside its options: paths that in-place isolation leaves alone."""

    context: Path
    dockerfile: DockerfileSource


def choose(options: BuildOptions, session: Session) -> Chosen:
    """Namespaces if they work, else in place if that is possible, as far as ``--isolation`` leaves the choice.

    To be called once, before any thread exists. Raises IsolationError for ``in-place`` outside of a container.
    """
    wanted, environment = options.isolation, session.environment
    if wanted != "in-place":
        prepared = prepare()
        if prepared.isolation is not None or wanted == "namespace":
            return Chosen(prepared=prepared)
    else:
        prepared = _unchanged()
    from builder.isolation.in_place import surroundings

    if wanted == "in-place" and not options.in_place.force and not surroundings.in_container(environment):
        message, hint = surroundings.NOT_IN_CONTAINER
        raise IsolationError(message, hint=hint)
    refused = surroundings.refusal(environment, options.in_place.directory, force=options.in_place.force)
    if refused is not None:
        return Chosen(prepared=_refused(prepared, refused))
    return Chosen(prepared=prepared, in_place=_in_place_processes())


def _unchanged() -> Prepared:
    """This process as it is."""
    return Prepared(
        isolation=None,
        reason=None,
        id_map=idmap.current() if os.geteuid() == 0 else idmap.own(),
        privileged=os.geteuid() == 0 and Capability.SYS_ADMIN in effective(),
        in_user_namespace=not in_initial_user_namespace(),
    )


def _refused(prepared: Prepared, refused: IsolationError) -> Prepared:
    from dataclasses import replace

    if prepared.reason is None:
        return replace(prepared, reason=refused)
    reason = IsolationError(
        f"{prepared.reason.message}, and {refused.message}",
        hint=f"for namespaces: {_without_in_place(prepared.reason)}\nfor in-place isolation: {refused.hint}",
    )
    return replace(prepared, reason=reason)


def _without_in_place(reason: IsolationError) -> str:
    return (reason.hint or "they cannot be had").removesuffix(f"; {IN_PLACE}")


def _in_place_processes() -> InPlaceProcesses:
    from builder.isolation.in_place.helper import start_helper
    from builder.isolation.in_place.keeper import start_keeper
    from builder.linux.processes import erase_variables, forbid_inspection

    forbid_inspection()
    erase_variables(_CREDENTIALS)
    helper, pid = start_helper()
    return InPlaceProcesses(helper=helper, keeper=start_keeper(pid))


def home(directory: Path, state: Path) -> Path:
    """Where builds in place keep what they have moved aside, `directory` being the builder's own."""
    return (directory if directory.is_dir() else state) / "in-place"


def recover_credentials(session: Session) -> None:
    """Put back the config.json that a build in place, which was killed, had moved away. Raises StorageError."""
    arguments = session.arguments
    directory = Path(os.path.abspath(arguments.text("kaniko-dir") or "/kaniko"))
    place = home(directory, state_dir(arguments, session.environment)) / "hidden"
    if place.is_dir():
        from builder.isolation.in_place import credentials

        for lost in credentials.recover(place):
            log(
                session.progress,
                "warning",
                f"{lost} is lost: it was in the memory of a build all of whose processes were killed; log in again",
            )


def recover(options: BuildOptions, session: Session) -> None:
    """Put the container's files back if the last build in place was killed. Raises StorageError."""
    place = home(options.in_place.directory, options.state_dir)
    if not place.is_dir():
        return
    from builder.rootfs.in_place.container import recover
    from builder.rootfs.in_place.protected import of_container

    if recover(place, of_container(_own_paths(options)), partial(log, session.progress, "warning")):
        log(session.progress, "info", "put back the container's files, which an earlier build had moved aside")


def own_paths(options: BuildOptions, session: Session, around: Surroundings) -> Iterator[str | Path]:
    """All that a build reads and writes and that is not the image's."""
    yield from _own_paths(options)
    yield around.context
    if around.dockerfile.path is not None:
        yield around.dockerfile.path
    yield config_directory(session.environment) / "config.json"
    for name in _FILE_VARIABLES:
        if session.environment.get(name):
            yield from session.environment[name].split(":")
    yield from filter(os.path.isdir, certs_d(session.environment))
    for directory in filter(None, session.environment.get("PATH", "").split(":")):
        yield from Path(directory).glob("docker-credential-*")


def _own_paths(options: BuildOptions) -> Iterator[str | Path]:
    yield from (options.in_place.directory, options.state_dir, _DEBUG_SHELL)
    if options.cache.directory.is_dir():
        yield options.cache.directory
    if options.cache.repository.startswith("oci:"):
        yield options.cache.repository.removeprefix("oci:")
    output = options.output
    for file in (
        output.tar_path,
        output.oci_layout_path,
        output.digest_file,
        output.image_name_with_digest_file,
        output.image_name_tag_with_digest_file,
        output.metadata_file,
    ):
        if file is not None:
            yield file
    if options.context.spec.kind in ("directory", "tar"):
        yield options.context.spec.location
    yield from (source.file for source in options.confidential.secrets.values() if source.file is not None)
    yield from options.confidential.agents.values()
    policy = options.registry.policy
    yield from policy.certificates.values()
    yield from (file for pair in policy.client_certificates.values() for file in pair)
    yield from (source for source in options.contexts.values() if os.path.isdir(source))
    from builder.isolation.in_place.surroundings import own_prefixes

    yield from own_prefixes()
