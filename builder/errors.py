"""The exception tree of the builder.

Everything that a user can cause or must act on is a `BuilderError`: one message, an optional hint that says what to
do, and the exit code of the process. Packages above derive their own (``RegistryError``, ``DockerfileError`` ...).
Whatever else reaches the command line is a bug and is shown as one.
"""

from __future__ import annotations


class BuilderError(Exception):
    """An error with a text for people.

    Args:
        message: what is wrong, one sentence or a few lines, without a trailing newline; never holds a secret.
        hint: what to do about it, or None.
        exit_code: the exit code of the process, 1 unless a signal ended it (128 + number).
    """

    def __init__(self, message: str, *, hint: str | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.exit_code = exit_code

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(BuilderError):
    """A flag, argument or environment variable that cannot be understood."""


class NotSupportedYet(UsageError):
    """A documented flag or feature whose part of the builder does not exist yet."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} is not supported yet")


class InvalidReference(UsageError):
    """An image reference or digest that is not well formed."""


class DigestMismatch(BuilderError):
    """Content whose digest or size is not the one it was asked for by."""


class StorageError(BuilderError):
    """The state directory or an output cannot be read or written."""


class ContextError(BuilderError):
    """The build context is missing or cannot be read."""


class LayerError(BuilderError):
    """A layer or archive that is damaged, or of a form that is not understood."""


class UnusableLayer(LayerError):
    """A cached layer that cannot be read, or is not what its cache says; it can be built instead."""


class ManifestError(BuilderError):
    """A manifest, index or image config that is not valid, or of a kind that is not understood."""


class IsolationError(BuilderError):
    """A command cannot be run here; the hint names the system call and the setting."""


class RunFailed(BuilderError):
    """A command of the Dockerfile ended with a status other than 0.

    Attributes:
        status: its exit status, 128 + number if a signal ended it.
    """

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Interrupted(BuilderError):
    """A signal (SIGINT, SIGTERM, SIGHUP) asked the build to stop."""

    def __init__(self, signal_number: int, name: str) -> None:
        super().__init__(f"stopped by {name}", exit_code=128 + signal_number)
