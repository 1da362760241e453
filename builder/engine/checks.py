"""Build checks: findings of the Dockerfile's linter, and of the one check that needs the base images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from builder.dockerfile.checks.finding import Finding
from builder.dockerfile.ignore import IgnoreRules
from builder.dockerfile.lint import check, check_options
from builder.dockerfile.syntax import Dockerfile
from builder.engine.bases import BaseImage
from builder.engine.plan import Plan
from builder.errors import BuilderError
from builder.progress import Progress, log


class ChecksFailed(BuilderError):
    """Findings that stop the build (``# check=error=true``, or ``--check``)."""


def findings(plans: Sequence[Plan], ignore: IgnoreRules | None) -> list[Finding]:
    """All findings that ``# check=skip=`` leaves, by line, each once; `plans` are of one Dockerfile.

    Raises DockerfileError for a directive that is not valid.
    """
    found = dict.fromkeys(finding for plan in plans for finding in _findings(plan, ignore))
    return sorted(found, key=lambda finding: (finding.location.line, finding.name))


def _findings(plan: Plan, ignore: IgnoreRules | None) -> list[Finding]:
    environments = {stage.index: _environment(stage.base) for stage in plan.stages if isinstance(stage.base, BaseImage)}
    found = check(plan.dockerfile, environments=environments, ignore=ignore)
    if check_options(plan.dockerfile).wants("InvalidBaseImagePlatform"):
        found += _platforms(plan)
    return found


def report(found: list[Finding], dockerfile: Dockerfile, progress: Progress) -> None:
    """Warn of the findings. Raises ChecksFailed if there are any and the directive calls them errors."""
    for finding in found:
        where = f"{finding.location.path}:{finding.location.line}"
        log(progress, "warning", f"{finding.name}: {finding.message} ({where})")
    if found and check_options(dockerfile).error:
        raise ChecksFailed(f"{_count(found)}, and the Dockerfile says check=error=true", hint="mend or skip them")


def conclude(found: list[Finding], progress: Progress) -> None:
    """End a ``--check``: say that there is nothing, or raise ChecksFailed."""
    if found:
        raise ChecksFailed(f"check complete: {_count(found)}")
    log(progress, "info", "check complete, no warnings found")


def _count(found: list[Finding]) -> str:
    return "1 warning has been found" if len(found) == 1 else f"{len(found)} warnings have been found"


def _environment(base: BaseImage) -> Mapping[str, str]:
    return dict(each.partition("=")[::2] for each in base.config.config.env)


def _platforms(plan: Plan) -> list[Finding]:
    found = []
    for stage in plan.stages:
        if isinstance(stage.base, BaseImage):
            has, wanted = stage.base.config.platform, stage.platform
            if (has.os, has.architecture) != (wanted.os, wanted.architecture):
                message = (
                    f'Base image {stage.from_.image} was pulled with platform "{has}", '
                    f'expected "{wanted}" for current build'
                )
                location = stage.from_.location
                found.append(Finding(name="InvalidBaseImagePlatform", location=location, message=message))
    return found
