"""What was found out about this machine once, for all commands."""

from __future__ import annotations

from typing import NamedTuple

from builder.isolation.idmap import IdMap


class Settings(NamedTuple):
    """How commands are isolated here.

    Attributes:
        id_map: the ids that commands can run as.
        user_xattr: overlayfs keeps its marks in ``user.`` xattrs, since this is not the initial user namespace.
        pid_namespace: commands get their own. It needs a /proc of its own, which a container may not allow.
    """

    id_map: IdMap
    user_xattr: bool
    pid_namespace: bool = True
