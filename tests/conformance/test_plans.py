"""Golden plans: what ``--dryrun`` says would be done, instructions after expansion."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.builder import Builder

from conformance.builds import Workshop

_PLANS = Path(__file__).with_name("plans")


@pytest.mark.parametrize("name", sorted(path.stem for path in _PLANS.glob("*.Dockerfile")))
def test_plan(name: str, workshop: Workshop, builders: Callable[[str], Builder], make_context: Callable) -> None:
    context = make_context({"Dockerfile": (_PLANS / f"{name}.Dockerfile").read_bytes()})
    extra = _PLANS / f"{name}.flags"
    flags = extra.read_text().split() if extra.exists() else []
    if not any(flag.startswith("--custom-platform") for flag in flags):
        flags.append("--custom-platform=linux/amd64")
    builder = builders("root-overlay")
    outcome = builder.build(context, "--dryrun", "--no-push", *workshop.of_docker_hub(), *flags).ok()
    assert outcome.stdout == workshop.filled((_PLANS / f"{name}.plan").read_text())
