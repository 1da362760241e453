"""Small trees written as text, for tests of what instructions do to files."""

from __future__ import annotations

import re
from collections.abc import Mapping

from builder.layer.entry import BytesContent, Entry, Kind
from builder.rootfs.tree import FileTree

_SPEC = re.compile(
    r"(?P<kind>[dflpc])(?P<mode>[0-7]*)(?:=(?P<uid>\d+):(?P<gid>\d+))?(?:@(?P<time>-?\d+))?(?:>(?P<rest>.*))?"
)
_KINDS = {"d": Kind.DIRECTORY, "f": Kind.FILE, "l": Kind.SYMLINK, "p": Kind.FIFO, "c": Kind.CHAR}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}
_DEFAULT_MODES = {"d": 0o755, "f": 0o644, "l": 0o777, "p": 0o644, "c": 0o644}


def entry(spec: str) -> Entry:
    """``d755=1:2@5``: a directory of 0755, owner 1:2, time 5; ``f>text`` a file, ``l>target`` a link; ``p``, ``c``."""
    match = _SPEC.fullmatch(spec)
    assert match, spec
    kind, rest = match["kind"], match["rest"] or ""
    made = Entry(
        _KINDS[kind],
        int(match["mode"], 8) if match["mode"] else _DEFAULT_MODES[kind],
        int(match["uid"] or 0),
        int(match["gid"] or 0),
        mtime=int(match["time"] or 0),
    )
    if kind == "f":
        return made._replace(size=len(rest), content=BytesContent(rest.encode()))
    if kind == "c":
        return made._replace(device=(1, 3))
    return made._replace(link=rest) if kind == "l" else made


def tree_of(specs: Mapping[str, str]) -> FileTree:
    """A tree; ``=path`` as a spec is one more name of that path, which comes before it."""
    tree = FileTree()
    for path, spec in specs.items():
        if spec.startswith("="):
            linked = tree.entry(spec[1:])
            assert linked is not None
            tree.put(path, linked)
        else:
            tree.put(path, entry(spec))
    return tree


def spec_of(found: Entry | None) -> str | None:
    """What `entry` would take, without what is at its default."""
    if found is None:
        return None
    letter = _LETTERS[found.kind]
    text = letter
    if found.mode != _DEFAULT_MODES[letter]:
        text += f"{found.mode:o}"
    if (found.uid, found.gid) != (0, 0):
        text += f"={found.uid}:{found.gid}"
    if found.mtime:
        text += f"@{found.mtime}"
    if found.kind is Kind.FILE and found.content is not None and found.size:
        with found.content.open() as stream:
            text += f">{stream.read().decode()}"
    elif found.kind is Kind.SYMLINK:
        text += f">{found.link}"
    return text


def specs_of(tree: FileTree) -> dict[str, str | None]:
    return {path: spec_of(each) for path, each in tree.walk()}
