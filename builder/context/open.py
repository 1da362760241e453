"""Opening a context: whatever its source, the result is a directory on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from builder.context.paths import inside
from builder.context.spec import ContextSpec
from builder.context.temporary import TemporaryDirectory
from builder.errors import ContextError
from builder.progress import Progress, log
from builder.registry.network import Network
from builder.registry.policy import RegistryPolicy


@dataclass(frozen=True, slots=True)
class BuildContext:
    """An open context; also a context manager that cleans up.

    Attributes:
        root: the directory that COPY and ADD read from.
        description: what messages call it; without credentials.
    """

    root: Path
    description: str
    _temporary: TemporaryDirectory | None = None

    def cleanup(self) -> None:
        """Remove what opening it has put on disk. May be called more than once."""
        if self._temporary:
            self._temporary.remove()

    def __enter__(self) -> BuildContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cleanup()


def open_context(
    spec: ContextSpec,
    *,
    state_dir: Path,
    environment: Mapping[str, str],
    progress: Progress,
    network: Network | None = None,
) -> BuildContext:
    """Make the context's files available.

    Archives and repositories are unpacked to a private directory below `state_dir`, gone after `cleanup`.

    Args:
        environment: for git's credentials (GIT_TOKEN, GIT_USERNAME, GIT_PASSWORD, GIT_PULL_METHOD).
        network: how other hosts are reached, None for what the environment says.

    Raises ContextError.
    """
    if spec.kind == "directory":
        from builder.context.directory import directory

        return BuildContext(_root(directory(spec.location), spec), spec.description)
    temporary = TemporaryDirectory.create(state_dir)
    try:
        log(progress, "info", f"fetching the context: {spec.description}")
        network = network or Network(RegistryPolicy(), environment, progress)
        _FETCHERS[spec.kind](spec, temporary.path, network)
        return BuildContext(_root(temporary.path, spec), spec.description, temporary)
    except BaseException:
        temporary.remove()
        raise


def _root(directory: Path, spec: ContextSpec) -> Path:
    root = inside(directory, spec.sub_path) if spec.sub_path else directory
    if not root.is_dir():
        raise ContextError(f"the context ({spec.description}) has no directory {spec.sub_path!r}")
    return root


def _tar(spec: ContextSpec, target: Path, network: Network) -> None:
    from builder.context.archive import unpack_file

    unpack_file(Path(spec.location), target)


def _stdin(spec: ContextSpec, target: Path, network: Network) -> None:
    import sys

    from builder.context.archive import unpack

    unpack(sys.stdin.buffer, target, "standard input")


def _git(spec: ContextSpec, target: Path, network: Network) -> None:
    from builder.context.git import check_out

    check_out(spec, target, network.environment, network)


def _archive_url(spec: ContextSpec, target: Path, network: Network) -> None:
    from builder.context.archive import unpack
    from builder.context.http import download

    with download(spec.location, network) as stream:
        unpack(stream, target, spec.description)


_FETCHERS: Mapping[str, Callable[[ContextSpec, Path, Network], None]] = {
    "tar": _tar,
    "stdin": _stdin,
    "git": _git,
    "archive-url": _archive_url,
}
