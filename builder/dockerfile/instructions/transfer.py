"""COPY and ADD."""

from __future__ import annotations

from typing import NamedTuple

from builder.dockerfile.heredocs import heredoc_of
from builder.dockerfile.instructions.flags import Flags
from builder.dockerfile.instructions.parts import Parts
from builder.dockerfile.syntax import Add, Copy, Heredoc
from builder.dockerfile.tokens import Token, plain_words


class _Paths(NamedTuple):
    sources: tuple[str, ...]
    heredocs: tuple[Heredoc, ...]
    destination: str


def parse_copy(parts: Parts) -> Copy:
    flags = Flags(parts, texts=("from", "chown", "chmod"), lists=("exclude",), booleans=("link", "parents"))
    paths = _paths(parts)
    from_ = flags.token("from")
    if from_ and "$" in from_.text:
        raise parts.error(
            "--from doesn't support variable expansion",
            from_,
            "give the image a stage of its own: FROM $IMAGE AS name, then --from=name",
        )
    return Copy(
        sources=paths.sources,
        heredocs=paths.heredocs,
        destination=paths.destination,
        from_=from_.text if from_ else None,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.boolean("link")),
        parents=bool(flags.boolean("parents")),
        excludes=tuple(token.text for token in flags.list("exclude")),
        **parts.place,
    )


def parse_add(parts: Parts) -> Add:
    flags = Flags(
        parts,
        texts=("chown", "chmod", "checksum"),
        lists=("exclude",),
        booleans=("link", "keep-git-dir", "unpack"),
    )
    paths = _paths(parts)
    return Add(
        sources=paths.sources,
        heredocs=paths.heredocs,
        destination=paths.destination,
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        link=bool(flags.boolean("link")),
        excludes=tuple(token.text for token in flags.list("exclude")),
        checksum=flags.text("checksum"),
        keep_git_dir=bool(flags.boolean("keep-git-dir")),
        unpack=flags.boolean("unpack"),
        **parts.place,
    )


def _paths(parts: Parts) -> _Paths:
    strings = parts.strings()
    words = [Token(string, *parts.rest[1:]) for string in strings] if strings else plain_words(parts.rest)
    if len(words) < 2:
        raise parts.error(
            f"{parts.keyword} requires at least two arguments",
            words[0] if words else None,
            f"write {parts.keyword} SOURCE DESTINATION",
        )
    *sources, destination = words
    if strings is None and heredoc_of(destination.text):
        raise parts.error(f"{parts.keyword} cannot accept a heredoc as a destination", destination)
    bodies = {heredoc.name: heredoc for heredoc in parts.line.heredocs}
    documents = [_document(word, bodies) for word in sources]
    return _Paths(
        sources=tuple(word.text for word, document in zip(sources, documents, strict=True) if not document),
        heredocs=tuple(document for document in documents if document),
        destination=destination.text,
    )


def _document(word: Token, bodies: dict[str, Heredoc]) -> Heredoc | None:
    opened = heredoc_of(word.text) if bodies else None
    return bodies.get(opened.name) if opened else None
