"""The variables of a stage: ENV, ARG, proxies, and what histories show of them."""

from __future__ import annotations

import pytest

from builder.engine.scope import PROXY_NAMES, Scope, proxy_environment, updated_env


def test_the_later_declaration_wins() -> None:
    scope = Scope({}, {})
    scope.set_env("A", "env")
    assert scope.declare("A", "arg") == "arg"
    assert scope.get("A") == "arg"
    scope.set_env("A", "again")
    assert (scope.get("A"), scope.environment()) == ("again", {"A": "again"})


def test_where_an_args_value_comes_from() -> None:
    scope = Scope({"GIVEN": "flag", "BOTH": "flag"}, {"GLOBAL": "global", "BOTH": "global", "DEFAULTED": "global"})
    assert scope.declare("GIVEN", "default") == "flag"
    assert scope.declare("BOTH", None) == "flag"
    assert scope.declare("GLOBAL", None) == "global"
    assert scope.declare("DEFAULTED", "default") == "default"
    assert scope.declare("NOTHING", None) is None
    assert scope.get("NOTHING") is None
    assert scope.environment() == {"GIVEN": "flag", "BOTH": "flag", "GLOBAL": "global", "DEFAULTED": "default"}
    assert scope.overrides("GIVEN") and not scope.overrides("GLOBAL")


def test_what_is_not_declared_is_not_seen() -> None:
    scope = Scope({"FLAG": "1"}, {"TARGETARCH": "arm64"})
    assert scope.get("FLAG") is scope.get("TARGETARCH") is None
    assert scope.environment() == {}


def test_an_arg_without_a_value_keeps_an_env() -> None:
    scope = Scope({}, {})
    scope.set_env("A", "env")
    assert scope.declare("A", None) is None
    assert scope.get("A") == "env"


def test_the_words_before_a_run() -> None:
    scope = Scope({"B": "flag"}, {})
    assert scope.run_prefix() == []
    scope.declare("A", "1")
    scope.declare("B", None)
    scope.declare("C", None)
    assert scope.run_prefix() == ["|3", "A=1", "B=flag", "C="]
    scope.declare("A", "2")
    scope.set_env("C", "env")
    assert scope.run_prefix() == ["|3", "A=2", "B=flag", "C=env"]


def test_a_stage_from_another_one() -> None:
    below = Scope({"F": "flag"}, {})
    below.set_env("E", "env")
    below.declare("E", "arg")
    below.declare("A", "below")
    above = Scope({"F": "flag"}, {})
    above.inherit(below)
    assert above.get("A") == "below"
    assert above.get("E") == "env", "the ENV of the base goes over its ARG"
    assert above.run_prefix() == ["|2", "E=env", "A=below"]
    above.set_env("A", "above")
    assert below.get("A") == "below"


@pytest.mark.parametrize("name", PROXY_NAMES)
def test_proxies_need_no_declaration_and_show_nowhere(name: str) -> None:
    for given in (name, name.upper()):
        scope = Scope({given: "http://proxy"}, {})
        assert scope.environment() == {name: "http://proxy", name.upper(): "http://proxy"}
        assert scope.run_prefix() == []
        assert scope.get(given) is None
    assert proxy_environment({name: ""}) == {}
    assert proxy_environment({"other": "x"}) == {}


def test_what_is_for_the_builder_alone_is_not_in_the_environment() -> None:
    scope = Scope({"BUILDKIT_SBOM_SCAN_STAGE": "true"}, {})
    scope.declare("BUILDKIT_SBOM_SCAN_STAGE", None)
    assert scope.environment() == {}


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ((), ("A=2",)),
        (("B=1",), ("B=1", "A=2")),
        (("A=1", "B=1"), ("A=2", "B=1")),
        (("A=2",), ("A=2",)),
        (("AB=1", "A"), ("AB=1", "A=2")),
    ],
)
def test_the_env_of_a_config(env: tuple[str, ...], expected: tuple[str, ...]) -> None:
    assert updated_env(env, "A", "2") == expected
