"""Which caches a command line asks for."""

from __future__ import annotations

import shlex

import pytest

from builder.cli.arguments import parse
from builder.cli.build_options import build_options
from builder.cli.flags import BUILD_FLAGS
from builder.cli.options import CacheOptions


def options(line: str, **environment: str) -> CacheOptions:
    environment = {"DOCKER_CONFIG": "/nowhere"} | environment
    arguments = parse(BUILD_FLAGS, shlex.split(f"--destination=registry.example.com/app {line}"), environment)
    return build_options(arguments, environment).cache


@pytest.mark.parametrize(
    ("line", "ci", "local", "shared"),
    [
        ("", None, True, False),
        ("", "", True, False),
        ("", "false", True, False),
        ("", "False", True, False),
        ("", "true", False, False),
        ("", "1", False, False),
        ("", "woodpecker", False, False),
        ("--cache=true", None, True, True),
        ("--cache=true", "true", False, True),
        ("--cache", "true", False, True),
        ("--cache=false", None, False, False),
        ("--cache=false", "true", False, False),
        ("--no-cache", None, True, False),
    ],
)
def test_caches(line: str, ci: str | None, local: bool, shared: bool) -> None:
    found = options(line, **({} if ci is None else {"CI": ci}))
    assert (found.local, found.enabled) == (local, shared)


def test_what_is_not_taken_from_caches() -> None:
    assert (options("").unasked, options("").unasked_stages) == (False, frozenset())
    assert options("--no-cache").unasked
    assert not options("--no-cache=false").unasked
    found = options("--no-cache-filter=Build,test --no-cache-filter= --no-cache-filter=' last '")
    assert found.unasked_stages == {"build", "test", "last"}
    assert not found.unasked
