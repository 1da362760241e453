"""How time and memory grow with what is built: files, the size of a layer, commands."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.builders import Ours
from benchmarks.contexts import modules
from benchmarks.report import Report
from benchmarks.section_growth import AMOUNTS, KINDS, row
from benchmarks.workloads import BLOCK
from benchmarks.yard import Yard

pytestmark = pytest.mark.timeout(3600)


def _context(directory: Path, base: str, kind: str, amount: int) -> Path:
    directory.mkdir()
    dockerfile = f"FROM {base}\n"
    if kind == "files":
        modules(directory / "src", amount, 1000)
        dockerfile += "COPY src /src\n"
    elif kind == "bytes":
        megabytes = amount // 10**6
        copies = f"for i in $(seq {max(1, megabytes // 100)}); do head -c {min(megabytes, 100)}000000 /tmp/block"
        dockerfile += f"RUN {BLOCK} && ({copies}; done) > /data && rm /tmp/block\n"
    else:
        dockerfile += "".join(f"RUN echo {n} > /srv/{n}\n" for n in range(amount))
    (directory / "Dockerfile").write_text(dockerfile)
    return directory


@pytest.mark.parametrize("kind", KINDS)
def test_growth(kind: str, yard: Yard, ours: Ours, report: Report) -> None:
    for amount in AMOUNTS[kind]:
        context = _context(yard.directory / f"{kind}-{amount}", yard.base, kind, amount)
        report.add("growth", row(kind, amount), ours.name, yard.cold(ours, context))
