"""Getting ready to run commands in namespaces: done once, at start-up, before any thread exists."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from builder.errors import IsolationError
from builder.isolation import idmap, user_namespace
from builder.isolation.advice import isolation_error
from builder.isolation.idmap import IdMap
from builder.isolation.sandbox.settings import Settings
from builder.isolation.sandboxed import NamespaceIsolation
from builder.linux.namespaces import in_initial_user_namespace


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What this process may do from now on.

    Attributes:
        isolation: runs commands in namespaces; None if that is not possible here.
        reason: why not: which system call failed, and which setting to change.
        id_map: the owners that files can be given, and the users that commands can run as.
        privileged: real root with CAP_SYS_ADMIN; no user namespace was made.
        in_user_namespace: this is not the initial user namespace (whether by `prepare` or before): device nodes other
            than whiteouts cannot be made, and overlayfs keeps its marks in ``user.overlay.`` xattrs, else ``trusted.``.
    """

    isolation: NamespaceIsolation | None
    reason: IsolationError | None
    id_map: IdMap
    privileged: bool
    in_user_namespace: bool


def prepare() -> Prepared:
    """Enter a user namespace unless this is real root, and fork the helper inside it. To be called once.

    Where namespaces cannot be made the process stays as it was. Raises RuntimeError if there are threads already: the
    kernel lets no threaded process into a user namespace, and the helper must not inherit their locks.
    """
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("prepare() was called after threads had been started")
    wanted = user_namespace.plan()
    privileged, initial = wanted.how == "none", in_initial_user_namespace()
    try:
        user_namespace.probe(wanted)
        id_map = user_namespace.enter(wanted)
    except OSError as error:
        reason = isolation_error(error, "commands cannot be run in namespaces here")
        ids = idmap.current() if os.geteuid() == 0 else idmap.own(explanation=reason.hint)
        return Prepared(isolation=None, reason=reason, id_map=ids, privileged=privileged, in_user_namespace=not initial)
    entered = not (privileged and initial)
    isolation = _fork_helper(Settings(id_map=id_map, user_xattr=entered))
    return Prepared(isolation=isolation, reason=None, id_map=id_map, privileged=privileged, in_user_namespace=entered)


def _fork_helper(settings: Settings) -> NamespaceIsolation:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    builder = os.getpid()
    helper = os.fork()
    if helper == 0:
        try:
            ours.close()
            # Only the helper needs what it imports; the builder has other things to do meanwhile.
            from builder.isolation.sandbox.helper import serve

            serve(theirs, builder, settings)
        finally:
            os._exit(1)
    theirs.close()
    return NamespaceIsolation(ours, helper)
