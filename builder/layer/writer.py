"""Changes to a layer blob: a tar, hashed and compressed while it is written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from builder.digest import Digest
from builder.errors import ContextError
from builder.layer import tar_writer
from builder.layer.changes import Changes
from builder.layer.compression import Algorithm, Compressor, compressor
from builder.layer.entry import Entry, FileContent, Kind
from builder.layer.pipeline import Channel, ChannelClosed, Stage
from builder.layer.whiteouts import whiteout_name

_CHUNK = 1 << 20
_SMALL = 1 << 18


class Sink(Protocol):
    """Where the compressed bytes go."""

    def write(self, data: bytes, /) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenLayer:
    """What was written.

    Attributes:
        digest: of the compressed bytes, `size` of which there are.
        diff_id: of the uncompressed tar, `unpacked_size` bytes of it.
    """

    digest: Digest
    size: int
    diff_id: Digest
    unpacked_size: int


def write_layer(
    changes: Changes, sink: Sink, algorithm: Algorithm, level: int = -1, *, deterministic: bool = False
) -> WrittenLayer:
    """Write `changes` as a layer; the tar depends on nothing else (design.md, invariant 2).

    Reading and hashing, compressing, and hashing again and writing go on at the same time once the layer exceeds
    1 MiB. Memory does not grow with the size of files.

    Raises:
        ContextError: a file cannot be read, or became shorter or longer, or vanished, while it was.
        OSError, StorageError: from `sink`.
    """
    packing = compressor(algorithm, level, deterministic=deterministic)
    tar = hashlib.sha256()
    total = 0
    output: _Output = _Inline(packing, sink)
    try:
        for chunk in tar_chunks(changes):
            tar.update(chunk)
            total += len(chunk)
            if total > _CHUNK and isinstance(output, _Inline):
                output = _Threaded(output)
            output.write(chunk)
    except ChannelClosed:
        pass  # the thread's own error comes out of finish
    except BaseException as error:
        output.abandon(error)
        raise
    digest, size = output.finish()
    return WrittenLayer(digest=digest, size=size, diff_id=Digest("sha256", tar.hexdigest()), unpacked_size=total)


def tar_chunks(changes: Changes) -> Iterator[bytes]:
    """The tar as chunks of about 1 MiB."""
    parts: list[bytes] = []
    size = 0
    for part in _tar_parts(changes):
        parts.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield b"".join(parts) if len(parts) > 1 else part
            parts, size = [], 0
    parts.append(tar_writer.END)
    yield b"".join(parts)


def _tar_parts(changes: Changes) -> Iterator[bytes]:
    first_names: dict[int, str] = {}
    for path in sorted(changes):
        entry = changes[path]
        if entry is None:
            yield tar_writer.whiteout(whiteout_name(path))
        elif entry.kind is Kind.DIRECTORY:
            # The root has a member of its own only where its metadata changed; its name is then "./".
            yield tar_writer.header(path or ".", entry)
        elif (first := first_names.setdefault(id(entry), path)) is not path:
            yield tar_writer.header(path, entry, hardlink=first)
        else:
            yield tar_writer.header(path, entry)
            if entry.size:
                yield from _data(path, entry)
                yield tar_writer.padding(entry.size)


def _data(path: str, entry: Entry) -> Iterator[bytes]:
    assert entry.content is not None, path
    left = entry.size
    try:
        if left < _SMALL and isinstance(entry.content, FileContent):
            chunk = entry.content.read(left + 1)
            if len(chunk) == left:
                yield chunk
                return
        with entry.content.open() as stream:
            while left and (chunk := stream.read(min(left, _CHUNK))):
                left -= len(chunk)
                yield chunk
            grown = not left and stream.read(1)
    except FileNotFoundError:
        raise ContextError(f"/{path} vanished while it was copied") from None
    except OSError as error:
        raise ContextError(f"cannot read what becomes /{path}: {error.strerror}") from None
    if left or grown:
        raise ContextError(
            f"/{path} changed while it was copied", hint="let nothing write to the context during a build"
        )


class _Output(Protocol):
    def write(self, chunk: bytes) -> None: ...

    def finish(self) -> tuple[Digest, int]: ...

    def abandon(self, error: BaseException) -> None: ...


class _Inline:
    """Compresses and writes in the caller's thread: what small layers want."""

    def __init__(self, packing: Compressor, sink: Sink) -> None:
        self.packing, self.sink = packing, sink
        self.hash, self.size = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> None:
        self.put(self.packing.compress(chunk))

    def put(self, compressed: bytes) -> None:
        if compressed:
            self.hash.update(compressed)
            self.size += len(compressed)
            self.sink.write(compressed)

    def finish(self) -> tuple[Digest, int]:
        self.put(self.packing.flush())
        return Digest("sha256", self.hash.hexdigest()), self.size

    def abandon(self, error: BaseException) -> None:
        return


class _Threaded:
    """Goes on where an _Inline stopped, with a thread that compresses and one that hashes and writes."""

    def __init__(self, inline: _Inline) -> None:
        self._inline = inline
        self._writing = Stage("write-layer", self._write)
        self._compressing = Stage("compress-layer", self._compress)

    def _compress(self, chunks: Channel) -> None:
        output = self._writing.channel
        try:
            for chunk in chunks:
                if compressed := self._inline.packing.compress(chunk):
                    output.put(compressed)
            output.put(self._inline.packing.flush())
            output.close()
        except BaseException as error:
            output.fail(error)
            raise

    def _write(self, chunks: Channel) -> None:
        for chunk in chunks:
            self._inline.put(chunk)

    def write(self, chunk: bytes) -> None:
        self._compressing.channel.put(chunk)

    def finish(self) -> tuple[Digest, int]:
        self._compressing.channel.close()
        try:
            self._compressing.join()
        finally:
            self._writing.join()
        return Digest("sha256", self._inline.hash.hexdigest()), self._inline.size

    def abandon(self, error: BaseException) -> None:
        self._compressing.channel.fail(error)
        for stage in (self._compressing, self._writing):
            try:
                stage.join()
            except BaseException:  # the same error, which the caller raises
                continue
