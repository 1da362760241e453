"""What is measured: Dockerfiles on the large base, each with its context."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.contexts import modules, sources

FILES, FILE_SIZE = 5000, 6600  # 33 MB


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """One build.

    Attributes:
        says: what it does, for people.
        dockerfile: ``BASE`` stands for the base.
        fill: makes the context, apart from the Dockerfile.
    """

    name: str
    says: str
    dockerfile: str
    fill: Callable[[Path], None] = lambda _: None

    def make(self, context: Path, base: str) -> Path:
        """Make the context; returns it."""
        context.mkdir()
        (context / "Dockerfile").write_text(self.dockerfile.replace("BASE", base))
        self.fill(context)
        return context


def _modules(context: Path) -> None:
    modules(context / "src", FILES, FILE_SIZE)


def _program(context: Path) -> None:
    sources(context / "c", 20)
    modules(context / "src", 500, 2000)


_RUNS = "".join(
    f"RUN echo {n} > /srv/{n} && mkdir -p /opt/step{n} && cp /etc/passwd /opt/step{n}/\n" for n in range(15)
)

# Programs and libraries as they come, so that what compressors make of it is what they make of real layers.
BLOCK = "cat /usr/lib/gcc/*/*/* /usr/bin/git /usr/lib/*/*.a 2>/dev/null | head -c 125000000 > /tmp/block"
_BIG = f"""RUN {BLOCK}; \\
 mkdir /data; for i in 0 1 2 3 4 5 6 7; do cat /tmp/block > /data/$i; done; rm /tmp/block
"""

COLD = (
    Workload(
        name="copyonly",
        says="COPY 5,000 files (33 MB) on a 670 MB base",
        dockerfile="FROM BASE\nCOPY src /app/src\n",
        fill=_modules,
    ),
    Workload(name="runs", says="15 small RUNs on the same base", dockerfile=f"FROM BASE\n{_RUNS}"),
    Workload(
        name="many",
        says="COPY 5,000 files, compile them, delete some",
        dockerfile="FROM BASE\nCOPY src /app/src\nRUN python3 -m compileall -q /app/src\n"
        "RUN rm -r /app/src/package00*\n",
        fill=_modules,
    ),
    Workload(
        name="stages",
        says="three stages, COPY --from both",
        dockerfile="FROM BASE AS program\nCOPY c /c\nRUN gcc -O1 -o /program /c/*.c\n"
        "FROM BASE AS library\nCOPY src /src\nRUN python3 -m compileall -q /src\n"
        "FROM BASE\nCOPY --from=program /program /usr/local/bin/\nCOPY --from=library /src /app/src\nRUN program\n",
        fill=_program,
    ),
    Workload(name="big", says="a RUN that writes 1 GB", dockerfile=f"FROM BASE\n{_BIG}"),
)
RUNS = COLD[1]

TWENTY = Workload(
    name="twenty",
    says="20 steps, copies and commands by turns",
    dockerfile="FROM BASE\n"
    + "".join(f"COPY src/package{n:03} /app/{n}\nRUN ls /app/{n} > /app/{n}.txt\n" for n in range(10)),
    fill=lambda context: modules(context / "src", 1000, 2000),
)
