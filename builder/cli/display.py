"""Errors as people see them, and the exit code that goes with each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from pathlib import Path

from builder.cli.redaction import Redactor
from builder.cli.render.sink import Renderer
from builder.errors import BuilderError

_HINTS = {
    errno.ENOSPC: "free some space, or name another place with --state-dir",
    errno.EDQUOT: "the disk quota is used up; name another place with --state-dir",
    errno.EROFS: "name a place that can be written with --state-dir",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "the system has too many open files",
}


def show(error: BaseException, renderer: Renderer, redact: Redactor, *, state_dir: Path, debugging: bool) -> int:
    """Show the error that ends the command, and return the exit code.

    What is no BuilderError is a bug, but for a machine that has run out of something: its traceback goes to a file, or
    with `debugging` to the renderer.
    """
    known = error if isinstance(error, BuilderError) else _of_machine(error)
    if known is None:
        known = _bug(error, redact, state_dir, debugging)
    renderer.error(known.message, known.hint)
    return known.exit_code


def _of_machine(error: BaseException) -> BuilderError | None:
    if isinstance(error, MemoryError):
        return BuilderError("out of memory")
    if isinstance(error, OSError) and error.errno in _HINTS:
        what = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
        return BuilderError(f"{what}{error.strerror}", hint=_HINTS[error.errno])
    return None


def _bug(error: BaseException, redact: Redactor, state_dir: Path, debugging: bool) -> BuilderError:
    import tempfile
    import traceback

    text = "".join(traceback.format_exception(error))
    summary = traceback.format_exception_only(error)[-1].strip()
    message = f"internal error: {summary}"
    if debugging:
        return BuilderError(f"{message}\n{text}", hint=_REPORT)
    file = _write(redact(text), (state_dir, Path(tempfile.gettempdir())))
    where = f"the traceback is in {file}" if file else "run it again with --verbosity=debug for the traceback"
    return BuilderError(message, hint=f"{_REPORT}; {where}")


_REPORT = "this is a bug of builder; please report it"


def _write(text: str, directories: Iterable[Path]) -> Path | None:
    """Write to a new private file in the first of the directories that takes it."""
    import tempfile
    import time

    name = time.strftime("builder-error-%Y%m%d-%H%M%S-", time.gmtime())
    for directory in directories:
        try:
            descriptor, path = tempfile.mkstemp(prefix=name, suffix=".txt", dir=directory)
            with open(descriptor, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            return Path(path)
        except OSError:
            continue
    return None
