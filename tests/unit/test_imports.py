"""The direction of the imports: to a lower level, or within a package. And what starting up must not load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "builder"

LEVELS = {
    "errors": 0,
    "digest": 0,
    "progress": 0,
    "process": 0,
    "linux": 0,
    "image": 1,
    "dockerfile": 1,
    "layer": 2,
    "storage": 2,
    "rootfs": 3,
    "isolation": 3,
    "registry": 3,
    "cache": 4,
    "context": 4,
    "engine": 5,
    "cli": 6,
    "__main__": 7,
}
# The single modules of level 0 may use one another, and linux/ may use them.
SHARED = {"errors", "digest", "progress", "process"}
HEAVY = {"requests", "urllib3", "cryptography", "zstandard", "yaml", "dockerfile_parse", "isal", "asyncio"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full name of each module of the builder that `path` imports, anywhere in it."""
    package = ("builder", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join((*base, *([node.module] if node.module else [])))
            # `from builder import digest` names a module, `from builder.digest import Digest` does not
            names = [f"{module}.{alias.name}" for alias in node.names] if module == "builder" else [module]
            yield from ((node.lineno, name) for name in names)


def allowed(importer: str, target: str) -> bool:
    if importer == target or LEVELS[target] < LEVELS[importer]:
        return True
    return LEVELS[importer] == 0 and target in SHARED


def test_every_package_has_a_level() -> None:
    found = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in MODULES} - {"__init__"}
    assert found <= LEVELS.keys(), "a new package: give it a level here and in CONTRIBUTING.md"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    importer = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    wrong = []
    for line, name in imported(path):
        if name.partition(".")[0] != "builder" or name in ("builder", "builder.__version__"):
            continue
        target = name.split(".")[1]
        if importer == "__init__" or not allowed(importer, target):
            wrong.append(f"{path}:{line}: {importer} (level {LEVELS.get(importer)}) imports {name}")
    assert wrong == []


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("import builder.cli.main", ["builder.cli.main"]),
        ("from builder.engine import plan", ["builder.engine"]),
        ("from builder import digest, errors", ["builder.digest", "builder.errors"]),
        ("def f():\n    from builder.cli import main", ["builder.cli"]),
        ("from . import tree", ["builder.rootfs"]),
        ("from ..registry.pull import pull", ["builder.registry.pull"]),
    ],
)
def test_imports_are_found(source: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", lambda _: source)
    assert [name for _, name in imported(PACKAGE / "rootfs/overlay.py")] == names


@pytest.mark.parametrize(
    ("importer", "target", "right"),
    [
        ("engine", "registry", True),
        ("registry", "registry", True),
        ("registry", "engine", False),
        ("rootfs", "isolation", False),
        ("digest", "errors", True),
        ("linux", "errors", True),
        ("errors", "linux", False),
        ("storage", "layer", False),
    ],
)
def test_levels(importer: str, target: str, right: bool) -> None:
    assert allowed(importer, target) is right


PROBE = """
import json, runpy, sys
sys.argv = ["builder", *sys.argv[1:]]
try:
    runpy.run_module("builder", run_name="__main__")
except SystemExit as ended:
    print(json.dumps([ended.code or 0, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize(("argument", "most"), [("version", 12), ("--help", 60)])
def test_starting_up_loads_little(argument: str, most: int, tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, "-c", PROBE, argument], cwd=tmp_path, capture_output=True, text=True)
    status, modules = json.loads(result.stderr.splitlines()[-1])
    assert status == 0, result.stderr
    assert HEAVY.isdisjoint(modules)
    bare = subprocess.run([sys.executable, "-c", "import sys; print(len(sys.modules))"], capture_output=True, text=True)
    assert len(modules) - int(bare.stdout) <= most, "the start-up imports more modules than it should"
