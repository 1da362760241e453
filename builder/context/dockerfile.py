"""Finding and reading the Dockerfile."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from builder.digest import Readable
from builder.errors import ContextError
from builder.progress import Silent
from builder.registry.network import Network
from builder.registry.policy import RegistryPolicy

MAX_SIZE = 16 << 20
"""Bytes; a Dockerfile that is longer is a mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileSource:
    """A Dockerfile as it was found.

    Attributes:
        text: its bytes.
        name: what messages call it.
        path: where it is on disk, None for standard input and URLs.
    """

    text: bytes
    name: str
    path: Path | None = None


def read_dockerfile(name: str, context: Path, network: Network | None = None) -> DockerfileSource:
    """Read the Dockerfile that ``--dockerfile`` names.

    A relative name is looked up in the context, then in the working directory; ``-`` is standard input; ``http://`` and
    ``https://`` are fetched by `network` (None: as the environment of the process says). Raises ContextError; the
    message says which paths were tried.
    """
    if name == "-":
        import sys

        return DockerfileSource(text=_bounded(sys.stdin.buffer, "standard input"), name="Dockerfile (standard input)")
    if name.startswith(("https://", "http://")):
        return _from_url(name, network or Network(RegistryPolicy(), dict(os.environ), Silent()))
    tried = list(dict.fromkeys((Path(os.path.join(context, name)), Path(os.path.abspath(name)))))
    for path in tried:
        if path.exists():
            return DockerfileSource(text=_read(path), name=name, path=path)
    raise ContextError(
        f"Dockerfile not found: tried {' and '.join(str(path) for path in tried)}", hint=_near(tried[0]) or _HINT
    )


_HINT = "name the Dockerfile with --dockerfile and the directory of its files with --context"


def _from_url(url: str, network: Network) -> DockerfileSource:
    from builder.context.http import download
    from builder.context.spec import without_password

    with download(url, network) as stream:
        return DockerfileSource(text=_bounded(stream, without_password(url)), name=without_password(url))


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode) and not path.is_fifo():
                raise ContextError(f"the Dockerfile {path} is not a file")
            return _bounded(file, str(path))
    except IsADirectoryError:
        raise ContextError(f"the Dockerfile {path} is a directory", hint=_near(path / "Dockerfile")) from None
    except OSError as error:
        raise ContextError(f"cannot read the Dockerfile {path}: {error.strerror}") from None


def _bounded(stream: Readable, what: str) -> bytes:
    data = bytearray()
    while len(data) <= MAX_SIZE and (chunk := stream.read(1 << 16)):
        data += chunk
    if len(data) > MAX_SIZE:
        raise ContextError(f"the Dockerfile ({what}) is longer than {MAX_SIZE >> 20} MiB")
    return bytes(data)


def _near(wanted: Path) -> str | None:
    """What the user may have meant, among the files where it was looked for."""
    from difflib import get_close_matches

    try:
        names = sorted(entry.name for entry in os.scandir(wanted.parent) if entry.is_file())
    except OSError:
        return None
    same = [name for name in names if name.lower() == wanted.name.lower() or name in ("Containerfile", "Dockerfile")]
    similar = [name for name in names if name.lower().startswith("dockerfile.")]
    found = same or similar or get_close_matches(wanted.name, names, n=1)
    return f"there is {found[0]} in {wanted.parent}; name it with --dockerfile" if found else None
