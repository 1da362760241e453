"""The variables of a stage: ENV and ARG in one scope, where the later declaration wins (as BuildKit has it)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

PROXY_NAMES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
"""Build arguments, in either case, that RUN sees without a declaration and no history or cache key shows."""
_NOT_IN_ENVIRONMENT = ("BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE")


class Scope:
    """The variables that instructions of one stage see, and that its RUNs get.

    Args:
        build_args: ``--build-arg``.
        global_args: ARGs before the first FROM, and the platform ARGs, with their values.
    """

    def __init__(self, build_args: Mapping[str, str], global_args: Mapping[str, str]) -> None:
        self._build_args, self._global_args = build_args, global_args
        self._values: dict[str, str] = {}
        self._env: dict[str, str] = {}
        self._declared: list[tuple[str, str]] = []

    def inherit(self, base: Scope) -> None:
        """Take over everything of the stage that this one is built FROM; its ENV goes over its ARGs again."""
        self._env = dict(base._env)
        self._values = base._values | base._env
        self._declared = list(base._declared)

    def carry_on(self, earlier: Scope) -> None:
        """Take over everything as it is, of the first part of the same stage."""
        self._env, self._values, self._declared = dict(earlier._env), dict(earlier._values), list(earlier._declared)

    def copied(self) -> Scope:
        """A scope of its own with the same variables."""
        other = Scope(self._build_args, self._global_args)
        other.carry_on(self)
        return other

    def get(self, name: str) -> str | None:
        """The value of a variable, None if it is not set."""
        return self._values.get(name)

    def set_env(self, name: str, value: str) -> None:
        self._values[name] = self._env[name] = value

    def declare(self, name: str, default: str | None) -> str | None:
        """An ARG, its default already expanded; its value, None if it has none."""
        value = self._build_args.get(name, default)
        if value is None:
            value = self._global_args.get(name)
        if value is not None and name not in _NOT_IN_ENVIRONMENT:
            self._values[name] = value
        self._declared.append((name, value or ""))
        return value

    def overrides(self, name: str) -> bool:
        """Whether ``--build-arg`` gives `name` a value, so that an ARG's default does not count."""
        return name in self._build_args

    def environment(self) -> dict[str, str]:
        """What a RUN gets; proxies given from outside go before what the Dockerfile says."""
        return self._values | proxy_environment(self._build_args)

    def declared(self) -> list[tuple[str, str, str]]:
        """What the Dockerfile has set, sorted: ``ENV`` or ``ARG``, name, value. Proxies from outside are not in it."""
        return sorted(
            ("ENV" if self._env.get(name) == value else "ARG", name, value) for name, value in self._values.items()
        )

    def run_prefix(self) -> list[str]:
        """The words ``|2 A=1 B=2`` that a RUN's history begins with; none without ARGs."""
        last = {name: self._values.get(name, value) for name, value in self._declared}
        return [f"|{len(last)}", *(f"{name}={value}" for name, value in last.items())] if last else []


def proxy_environment(build_args: Mapping[str, str]) -> dict[str, str]:
    """The proxy variables among the build arguments, each in both cases."""
    found = {}
    for name in sorted(build_args):
        if name.lower() in PROXY_NAMES and build_args[name]:
            found[name.upper()] = found[name.lower()] = build_args[name]
    return found


def updated_env(env: Sequence[str], name: str, value: str) -> tuple[str, ...]:
    """A config's Env with `name` set, in its old place if it was there."""
    pair = f"{name}={value}"
    replaced = [pair if each.partition("=")[0] == name else each for each in env]
    return tuple(replaced) if pair in replaced else (*replaced, pair)
