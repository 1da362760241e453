"""The files that the workloads copy: the same ones on every machine."""

from __future__ import annotations

import random
from pathlib import Path

_WORDS = [f"{a}{b}{c}" for a in ("re", "un", "co", "de", "pro") for b in ("lat", "fer", "mit", "duc") for c in "aeiou"]
_NAMES = "abcdefghijklmnopqrstuvwxyz"


def modules(directory: Path, count: int, size: int) -> None:
    """`count` Python modules of about `size` bytes each, a hundred to a package; text that compresses as sources do."""
    generator = random.Random(1)
    for number in range(count):
        package = directory / f"package{number // 100:03}"
        if number % 100 == 0:
            package.mkdir(parents=True)
        (package / f"module{number:05}.py").write_text(_module(generator, number, size))


def _module(generator: random.Random, number: int, size: int) -> str:
    """A long comment, as licences and documentation are, and a few definitions."""
    code = "".join(f"def function{n}(value):\n    return value * {number} + {n}\n\n\n" for n in range(8))
    lines, length = [], len(code)
    while length < size:
        line = f"# {' '.join(generator.choices(_WORDS, k=8))} {generator.getrandbits(64):016x}\n"
        lines.append(line)
        length += len(line)
    return "".join(lines) + "\n" + code


def sources(directory: Path, count: int) -> None:
    """`count` small C files and one with ``main``."""
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (directory / f"part{number}.c").write_text(f"int part{number}(int x) {{ return x * {number} + 1; }}\n")
    declared = "".join(f"int part{number}(int);\n" for number in range(count))
    summed = " + ".join(f"part{number}(1)" for number in range(count))
    (directory / "main.c").write_text(
        f'#include <stdio.h>\n{declared}int main(void) {{ printf("%d\\n", {summed}); }}\n'
    )
