"""Plans as text."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import cast

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.engine.bases import Bases
from builder.engine.named_contexts import NamedContexts
from builder.engine.outline import outline
from builder.engine.plan import make_plan
from builder.engine.request import BuildRequest
from builder.engine.services import Services
from builder.image.platform import Platform
from builder.progress import Silent


def plan_of(text: str, targets: tuple[str, ...] = (), **build_args: str) -> str:
    request = BuildRequest(
        context=Path("/nowhere"),
        dockerfile=text.encode(),
        build_args=build_args,
        targets=targets,
        platform=Platform("linux", "amd64"),
    )
    with ExitStack() as stack:
        contexts = NamedContexts({}, stack, Path("/nowhere"), {}, Silent())
        # Nothing is FROM an image here, so no service is asked for.
        return outline(make_plan(request, Bases(cast(Services, None), contexts)), build_args)


MULTI = """\
FROM scratch AS files
COPY a /a

FROM scratch AS unused
COPY b /b

FROM files AS app
ARG WHERE=/srv
COPY --from=0 /a ${WHERE}/a
COPY --from=registry.example/tool /bin/tool /bin/

FROM scratch
COPY --from=app / /
"""


def test_needed_stages_in_the_order_in_which_they_are_built() -> None:
    text = plan_of(MULTI)
    assert [line for line in text.splitlines() if not line.startswith("    ")] == [
        "stage 0 files",
        "  from scratch for linux/amd64",
        "  2: COPY a /a",
        "stage 2 app",
        "  from stage 0 for linux/amd64",
        "  needs stage 0",
        "  copies from registry.example/tool",
        "  8: ARG WHERE=/srv",
        "  9: COPY --from=0 /a /srv/a",
        "  10: COPY --from=registry.example/tool /bin/tool /bin/",
        "stage 3 stage-3 (target)",
        "  from scratch for linux/amd64",
        "  needs stage 2",
        "  13: COPY --from=app / /",
    ]


def test_another_target_and_another_argument() -> None:
    text = plan_of(MULTI, ("app",), WHERE="/opt")
    assert "stage 3" not in text and "unused" not in text
    assert "stage 2 app (target)" in text
    assert "  9: COPY --from=0 /a /opt/a" in text


def test_an_expansion_that_fails() -> None:
    with pytest.raises(DockerfileError):
        plan_of("FROM scratch\nCOPY a ${B:?is needed}\n")
