"""Files in memory alone: where that is, and a secret there for the time of a command."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace

from builder.isolation.command import SecretFile
from builder.linux import mountinfo

_PLACES = ("/dev/shm", "/dev")
_PREFIX = ".secrets-"
_IN_MEMORY = frozenset(("tmpfs", "ramfs"))


def memory_directory() -> str | None:
    """A directory of the container that is in memory and can be written; None if there is none."""
    mounts = {mount.target: mount for mount in mountinfo.read()}  # the last one on a target is what is seen there
    for place in _PLACES:
        mount = mounts.get(place)
        if mount is not None and mount.filesystem in _IN_MEMORY and "ro" not in mount.options:
            return place
    return None


def linked(secret: SecretFile, place: str, stack: ExitStack, *, new_parent: bool) -> SecretFile:
    """Make the path `place`, where nothing is, lead into memory until `stack` is closed.

    Returns the secret with the target at which it is to be written. That is done by whoever starts the command, so that
    it is gone with the command even if the builder is killed. Raises OSError.

    Args:
        new_parent: the directory of `place` is empty and there for this secret alone: it is that which becomes a link,
            so that the secret itself is an ordinary file.
    """
    memory = memory_directory()
    if memory is None or _is_ours(os.path.dirname(place)):
        return replace(secret, target=place)
    directory = f"{memory}/{_PREFIX}{secrets.token_hex(8)}"
    os.mkdir(directory)
    stack.callback(_remove_directory, directory)
    os.chmod(directory, 0o711)  # anybody may pass through, nobody but root may list it
    if new_parent:
        parent = os.path.dirname(place)
        os.rmdir(parent)
        stack.callback(_make_directory, parent)
        os.symlink(directory, parent)
    else:
        os.symlink(f"{directory}/secret", place)
        stack.callback(_unlink, place)
        os.chown(place, secret.uid, secret.gid, follow_symlinks=False)
    return replace(secret, target=f"{directory}/{os.path.basename(place) if new_parent else 'secret'}")


def _is_ours(directory: str) -> bool:
    return os.path.basename(directory).startswith(_PREFIX)


def _make_directory(link: str) -> None:
    _unlink(link)
    with suppress(FileExistsError):  # what the command has made of it
        os.mkdir(link)


def _unlink(path: str) -> None:
    with suppress(OSError):
        os.unlink(path)


def _remove_directory(path: str) -> None:
    with suppress(OSError):
        os.rmdir(path)


@contextmanager
def written(secret: SecretFile) -> Iterator[None]:
    """Have the file at the very path `secret.target` while the block lasts. Raises OSError."""
    try:
        _write(secret)
        yield
    finally:
        _unlink(secret.target)
        if _is_ours(os.path.dirname(secret.target)):
            _remove_directory(os.path.dirname(secret.target))  # unless another one is in it


def _write(secret: SecretFile) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(secret.target, flags, 0o400), "wb") as file:
        file.write(secret.content)
        os.fchown(file.fileno(), secret.uid, secret.gid)
        os.fchmod(file.fileno(), secret.mode)
