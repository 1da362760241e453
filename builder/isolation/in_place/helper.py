"""Starting the helper process for commands in place."""

from __future__ import annotations

import os
import socket

from builder.isolation import idmap
from builder.isolation.sandbox.settings import Settings
from builder.isolation.sandboxed import NamespaceIsolation


def start_helper() -> tuple[NamespaceIsolation, int]:
    """Fork the helper: a process without threads that starts commands where it is. To be called before threads exist.

    What it is made of is loaded now, for all commands. Also gives the id of that process.
    """
    from builder.isolation.in_place.supervisor import supervise
    from builder.isolation.sandbox.helper import serve

    settings = Settings(id_map=idmap.current(), user_xattr=False, pid_namespace=False)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    builder = os.getpid()
    helper = os.fork()
    if helper == 0:
        try:
            ours.close()
            serve(theirs, builder, settings, supervise)
        finally:
            os._exit(1)
    theirs.close()
    return NamespaceIsolation(ours, helper), helper
