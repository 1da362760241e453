"""Build checks: what is allowed in a Dockerfile and yet likely wrong, by the names that Docker gave the checks.

The reference's "Build checks" and the directive ``# check=``. InvalidBaseImagePlatform is not here: it needs the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from builder.dockerfile.checks.casing import check_casing
from builder.dockerfile.checks.finding import Finding
from builder.dockerfile.checks.forms import check_forms, check_ignored
from builder.dockerfile.checks.names import check_names
from builder.dockerfile.checks.variables import check_variables
from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.ignore import IgnoreRules
from builder.dockerfile.syntax import Dockerfile, Location

EXPERIMENTAL = frozenset({"InvalidDefinitionDescription"})
"""Checks that are made only where the directive asks for them."""

_ALL = "all"
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """``# check=skip=A,B;error=true;experimental=C``; "all" stands for every name.

    Attributes:
        skip: checks that are not made.
        experimental: experimental checks that are made.
        error: findings stop the build.
    """

    skip: frozenset[str] = frozenset()
    experimental: frozenset[str] = frozenset()
    error: bool = False

    def wants(self, name: str) -> bool:
        if name in EXPERIMENTAL and not self.experimental & {name, _ALL}:
            return False
        return not self.skip & {name, _ALL}


def check_options(dockerfile: Dockerfile) -> CheckOptions:
    """What the file's ``# check=`` says. Raises DockerfileError."""
    text = dockerfile.directives.get("check", "").split(" ")[0]
    values: dict[str, str] = {}
    for option in text.split(";") if text else ():
        name, equals, value = option.partition("=")
        if not equals or name not in ("skip", "error", "experimental"):
            raise _invalid(dockerfile, option)
        values[name] = value
    error = values.get("error", "false")
    if error not in (*_TRUE, *_FALSE):
        raise _invalid(dockerfile, f"error={error}")
    return CheckOptions(
        skip=frozenset(values.get("skip", "").split(",")),
        experimental=frozenset(values.get("experimental", "").split(",")),
        error=error in _TRUE,
    )


def check(
    dockerfile: Dockerfile,
    *,
    environments: Mapping[int, Mapping[str, str]] | None = None,
    ignore: IgnoreRules | None = None,
) -> list[Finding]:
    """All findings that the file's directive does not skip, by line. Raises DockerfileError for the directive.

    Args:
        dockerfile: what to look at.
        environments: the Env of base images by stage index; a stage whose base is not in it is not asked for undefined
            variables (one on scratch always is).
        ignore: the rules of .dockerignore, for CopyIgnoredFile.
    """
    options = check_options(dockerfile)
    findings = [
        *(Finding(name=item.name, location=item.location, message=item.message) for item in dockerfile.warnings),
        *check_casing(dockerfile),
        *check_names(dockerfile),
        *check_forms(dockerfile),
        *check_variables(dockerfile, environments or {}),
        *(check_ignored(dockerfile, ignore) if ignore else ()),
    ]
    return sorted(
        (finding for finding in findings if options.wants(finding.name)),
        key=lambda finding: (finding.location.line, finding.name),
    )


def _invalid(dockerfile: Dockerfile, option: str) -> DockerfileError:
    location = Location(path=dockerfile.path, line=1, end_line=1)
    hint = "it is skip=NAME,NAME;error=true;experimental=NAME"
    return DockerfileError.in_file(location, f"invalid check option {option!r}", hint)
