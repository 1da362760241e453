"""A case: a Dockerfile, what is around it, and the image (or the error) that is right for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from conformance.attributes import Attributes, parse_files

CASES = Path(__file__).parent / "cases"
DEFAULT_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KNOWN = {
    "about", "sample", "only", "without", "flags", "environment", "context", "also", "served", "base", "dockerfile",
    "files", "removed", "config", "image", "history", "layers", "error", "status", "output", "absent_output",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedHistory:
    created_by: str
    empty_layer: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The image of a case, as its difference to the base.

    Attributes:
        base: of the exported stage.
        files: every path that is new or changed.
        removed: paths of the base that are gone, with all below them.
        config: fields of the ``config`` member that are not as the base has them; None: it is gone.
        image: further fields beside ``config``.
        history: all entries that come after the base's; None: not compared.
        layers: for each layer above the base's whether it is ``empty`` or has ``files``; None: not compared.
    """

    base: str
    files: Mapping[str, Attributes]
    removed: Sequence[str]
    config: Mapping[str, Any]
    image: Mapping[str, Any]
    history: Sequence[ExpectedHistory] | None
    layers: Sequence[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One folder of `cases/`.

    Attributes:
        sample: built in every combination by ``make test``; the others in one.
        only: the combinations in which it makes sense; empty: all.
        without: other builders that cannot build it, see `differences.yaml`.
        also: files beside the context, for flags that name them (``@BESIDE@``).
        served: what the web server answers (``@SERVER@`` is its host and port), below the case's own path.
        error: what the one error must say; empty: the build succeeds.
        status: the exit status then.
        output: texts that the build must print, and `absent_output`: may not print.
    """

    directory: Path
    dockerfile: str
    about: str
    sample: bool
    only: Sequence[str]
    flags: Sequence[str]
    environment: Mapping[str, str]
    context: Mapping[str, Attributes]
    also: Mapping[str, Attributes]
    served: Mapping[str, Attributes]
    expected: Expected
    error: Sequence[str]
    status: int
    output: Sequence[str]
    absent_output: Sequence[str]

    @property
    def row(self) -> str:
        return self.directory.parent.name

    @property
    def name(self) -> str:
        return f"{self.row}/{self.directory.name}"


def load_case(directory: Path) -> Case:
    """Read `directory`. Raises ValueError for what is not understood, so that nothing written is overlooked."""
    text = (directory / "case.yaml").read_text().replace("@PATH@", DEFAULT_PATH)
    said: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader) or {}
    if unknown := said.keys() - _KNOWN:
        raise ValueError(f"{directory}: unknown keys: {', '.join(sorted(unknown))}")
    if bool(said.get("error")) == bool(said.keys() & {"files", "removed", "config", "history", "layers"}):
        raise ValueError(f"{directory}: either an error or an image is expected")
    return Case(
        directory=directory,
        dockerfile=(directory / "Dockerfile").read_bytes().decode(),
        about=said.get("about", ""),
        sample=said.get("sample") == "true",
        only=_words(said, "only"),
        flags=_words(said, "flags"),
        environment=said.get("environment", {}),
        context=parse_files(said.get("context", {})),
        also=parse_files(said.get("also", {})),
        served=parse_files(said.get("served", {})),
        expected=_expected(said),
        error=_words(said, "error"),
        status=int(said.get("status", 1)),
        output=_words(said, "output"),
        absent_output=_words(said, "absent_output"),
    )


def all_cases() -> Iterator[Case]:
    """Every case, by name."""
    for dockerfile in sorted(CASES.glob("*/*/Dockerfile")):
        yield load_case(dockerfile.parent)


def _expected(said: Mapping[str, Any]) -> Expected:
    return Expected(
        base=said.get("base", "busybox"),
        files=parse_files(said.get("files", {})),
        removed=_words(said, "removed"),
        config={name: _value(name, value) for name, value in (said.get("config") or {}).items()},
        image=said.get("image") or {},
        history=[_history(entry) for entry in said["history"]] if "history" in said else None,
        layers=_words(said, "layers") if "layers" in said else None,
    )


def _history(entry: str | Mapping[str, str]) -> ExpectedHistory:
    """A text, or ``empty: text`` for an entry without a layer."""
    if isinstance(entry, str):
        return ExpectedHistory(created_by=entry, empty_layer=False)
    return ExpectedHistory(created_by=entry["empty"], empty_layer=True)


def _value(name: str, value: Any) -> Any:
    """A field of the config; yaml's BaseLoader leaves numbers and booleans as texts."""
    if value == "null":
        return None
    if name == "ArgsEscaped":
        return value == "true"
    if name in ("Volumes", "ExposedPorts"):
        return {key: {} for key in value}
    if name == "Healthcheck":
        return {key: inner if key == "Test" else int(inner) for key, inner in value.items()}
    return value


def _words(said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = said.get(key, ())
    return (value,) if isinstance(value, str) else tuple(value)
