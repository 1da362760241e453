"""Whether overlayfs works in a directory: it is mounted there, and what the builder relies on is looked at."""

from __future__ import annotations

import os
import stat

from builder.isolation.advice import describe
from builder.isolation.command import OverlayRoot
from builder.isolation.sandbox.namespaces import enter_mount_namespace
from builder.isolation.sandbox.root import mount_overlay
from builder.linux.mount import MNT_DETACH, umount2


def probe_overlay(directory: str, *, user_xattr: bool) -> str | None:
    """Why overlayfs cannot be used with an upper directory below `directory`, None if it can.

    Enters a mount namespace. Raises OSError if the directory cannot be written.
    """
    from tempfile import TemporaryDirectory

    enter_mount_namespace()
    with TemporaryDirectory(prefix=".overlay-probe-", dir=directory) as scratch:
        root = OverlayRoot(lowers=(f"{scratch}/lower",), upper=f"{scratch}/upper", work=f"{scratch}/work")
        merged = f"{scratch}/merged"
        for path in (f"{scratch}/lower/replaced", root.upper, root.work, merged):
            os.makedirs(path)
        open(f"{scratch}/lower/deleted", "w").close()
        try:
            mount_overlay(root, merged, user_xattr=user_xattr)
        except OSError as error:
            return describe(error)
        try:
            return _try(merged, root.upper, user_xattr=user_xattr)
        except OSError as error:
            return describe(error)
        finally:
            umount2(merged, MNT_DETACH)


def _try(merged: str, upper: str, *, user_xattr: bool) -> str | None:
    """Delete a file and replace a directory, and see whether the upper directory tells so."""
    os.unlink(f"{merged}/deleted")
    os.rmdir(f"{merged}/replaced")
    os.mkdir(f"{merged}/replaced")
    whiteout = os.lstat(f"{upper}/deleted")
    if not stat.S_ISCHR(whiteout.st_mode) or whiteout.st_rdev:
        return "overlayfs made no whiteout for a deleted file"
    mark = os.getxattr(f"{upper}/replaced", f"{'user' if user_xattr else 'trusted'}.overlay.opaque")
    return None if mark == b"y" else "overlayfs did not mark a replaced directory as opaque"
