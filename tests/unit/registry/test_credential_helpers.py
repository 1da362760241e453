"""``--credential-helpers`` that need nothing but the environment: env and gitlab; and all helpers as one keychain."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from builder.errors import BuilderError
from builder.image.reference import Reference
from builder.progress import Message, Recorded
from builder.registry.credential_helpers.env import EnvHelper
from builder.registry.credential_helpers.gitlab import GitlabHelper
from builder.registry.credential_helpers.helper import CredentialHelper, Lease, Unavailable
from builder.registry.credential_helpers.keychain import HelperKeychain, helper_keychain
from builder.registry.credentials import Credentials
from builder.registry.keychain import DockerKeychain, Keychains
from builder.registry.network import Network
from builder.registry.policy import RegistryPolicy


def asked(helper: CredentialHelper, registry: str) -> tuple[str, str] | None:
    lease = helper.find(registry)
    return (lease.credentials.username, lease.credentials.password) if lease else None


@pytest.mark.parametrize(
    ("variable", "registry", "covered"),
    [
        ("REGISTRY_EXAMPLE_COM", "registry.example.com", True),
        ("REGISTRY_EXAMPLE_COM", "registry.example.com:443", True),
        ("REGISTRY_EXAMPLE_COM", "registry.example.com:5000", False),
        ("REGISTRY_EXAMPLE_COM_5000", "registry.example.com:5000", True),
        ("REGISTRY_EXAMPLE_COM_5000", "registry.example.com", False),
        ("EXAMPLE_COM", "registry.example.com", True),
        ("COM", "registry.example.com", False),
        ("REGISTRY_EXAMPLE_COM", "example.com", False),
        ("REGISTRY_EXAMPLE_COM", "registry.example.com.evil.org", False),
        ("EVIL_ORG", "registry.example.com.evil.org", True),
        ("MY_REGISTRY_EXAMPLE_COM", "my-registry.example.com", True),
        ("LOCALHOST_5000", "localhost:5000", True),
        ("10_0_0_1_5000", "10.0.0.1:5000", True),
        ("0_1", "10.0.0.1", False),
        ("DOCKER_IO", "index.docker.io", True),
    ],
)
def test_which_variable_covers_what(variable: str, registry: str, covered: bool) -> None:
    helper = EnvHelper({f"KANIKO_{variable}_USER": "u", f"KANIKO_{variable}_PASSWORD": "p"})
    assert asked(helper, registry) == (("u", "p") if covered else None)


def test_the_longest_name_wins_and_half_a_pair_is_none() -> None:
    environment = {"KANIKO_EXAMPLE_COM_USER": "u", "KANIKO_EXAMPLE_COM_PASSWORD": "domain"}
    environment |= {"KANIKO_A_EXAMPLE_COM_USER": "u", "KANIKO_A_EXAMPLE_COM_PASSWORD": "host"}
    environment |= {"KANIKO_B_EXAMPLE_COM_USER": "u"}
    helper = EnvHelper(environment)
    assert [asked(helper, f"{name}.example.com") for name in "abc"] == [("u", "host"), ("u", "domain"), ("u", "domain")]
    assert "KANIKO_X_ORG_USER" in helper.missing("x.org")


GITLAB = {
    "CI_REGISTRY": "registry.example.com:5050",
    "CI_REGISTRY_USER": "gitlab-ci-token",
    "CI_REGISTRY_PASSWORD": "for the registry",
    "CI_DEPENDENCY_PROXY_SERVER": "gitlab.example.com:443",
    "CI_DEPENDENCY_PROXY_USER": "proxy-user",
    "CI_DEPENDENCY_PROXY_PASSWORD": "for the proxy",
    "CI_JOB_TOKEN": "of the job",
}


@pytest.mark.parametrize(
    ("without", "registry", "expected"),
    [
        ((), "registry.example.com:5050", ("gitlab-ci-token", "for the registry")),
        ((), "registry.example.com", None),
        ((), "other.example.com:5050", None),
        ((), "gitlab.example.com", ("proxy-user", "for the proxy")),
        ((), "gitlab.example.com:443", ("proxy-user", "for the proxy")),
        ((), "gitlab.example.com:8443", None),
        (("CI_REGISTRY_PASSWORD",), "registry.example.com:5050", ("gitlab-ci-token", "of the job")),
        (("CI_DEPENDENCY_PROXY_USER",), "gitlab.example.com", ("gitlab-ci-token", "of the job")),
        (("CI_REGISTRY_PASSWORD", "CI_JOB_TOKEN"), "registry.example.com:5050", None),
        (("CI_REGISTRY",), "registry.example.com:5050", None),
    ],
)
def test_gitlab(without: tuple[str, ...], registry: str, expected: tuple[str, str] | None) -> None:
    helper = GitlabHelper({name: value for name, value in GITLAB.items() if name not in without})
    assert asked(helper, registry) == expected


def test_gitlab_says_what_it_was_given() -> None:
    missing = GitlabHelper(GITLAB).missing("docker.io")
    assert "CI_REGISTRY is registry.example.com:5050" in missing
    assert not GitlabHelper({}).covers("docker.io")


@dataclass
class FakeHelper:
    """Answers what it is told to, in turn."""

    answers: list[Lease | BuilderError | None]
    name: str = "fake"
    asked: list[str] = field(default_factory=list)

    def covers(self, registry: str, /) -> bool:
        return registry != "elsewhere.example"

    def find(self, registry: str, /) -> Lease | None:
        self.asked.append(registry)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BuilderError):
            raise answer
        return answer

    def missing(self, registry: str, /) -> str:
        return "nothing is set"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def lease(password: str, seconds: float) -> Lease:
    return Lease(Credentials(username="u", password=password, source="the fake"), seconds)


IMAGE = Reference.parse("r.example/a/b")


def test_what_is_known_is_kept_as_long_as_it_is_good() -> None:
    clock, helper = Clock(), FakeHelper([lease("one", 100.0), lease("two", 100.0)])
    keychain = HelperKeychain(lambda: [helper], Recorded(), clock)
    passwords = []
    for clock.now in (0.0, 99.0, 100.0):
        found = keychain.credentials(IMAGE)
        passwords.append(found.password if found else "")
    assert passwords == ["one", "one", "two"]
    assert helper.asked == ["r.example"] * 2


@pytest.mark.parametrize(("kind", "level"), [(BuilderError, "warning"), (Unavailable, "debug")])
def test_a_failure_is_told_and_the_next_one_is_asked(kind: type[BuilderError], level: str) -> None:
    progress = Recorded()
    broken, good = FakeHelper([kind("it is broken")], "broken"), FakeHelper([lease("x", 100.0)])
    keychain = HelperKeychain(lambda: [broken, good], progress)
    assert keychain.credentials(IMAGE) is not None
    assert keychain.credentials(IMAGE) is not None
    (message,) = progress.events
    assert isinstance(message, Message)
    assert (message.level, "it is broken" in message.text) == (level, True)
    assert len(broken.asked) == 1
    assert "the helper broken (it is broken)" in " ".join(keychain.places(IMAGE))


def test_only_what_covers_a_registry_is_asked() -> None:
    helper = FakeHelper([lease("x", 1.0)])
    keychain = HelperKeychain(lambda: [helper], Recorded())
    assert keychain.credentials(Reference.parse("elsewhere.example/a")) is None
    assert keychain.places(Reference.parse("elsewhere.example/a")) == []
    assert helper.asked == []


def test_files_go_before_helpers_and_all_places_are_told() -> None:
    config = '{"auths": {"a.example": {"username": "file", "password": "x"}}}'
    environment = {"DOCKER_AUTH_CONFIG": config, "HOME": "/nonexistent"}
    environment |= {f"KANIKO_{name}_EXAMPLE_{part}": "env" for name in "AB" for part in ("USER", "PASSWORD")}
    network = Network(RegistryPolicy(), environment, Recorded())
    chain = Keychains(DockerKeychain(environment), helper_keychain(None, environment, network, Recorded()))
    found = [chain.credentials(Reference.parse(f"{host}.example/x")) for host in "abc"]
    assert [each and each.username for each in found] == ["file", "env", None]
    told = chain.describe(Reference.parse("c.example/x"))
    assert "DOCKER_AUTH_CONFIG, /nonexistent/.docker/config.json or /kaniko/.docker/config.json (no such file)" in told
    assert "the helper env (KANIKO_C_EXAMPLE_USER and ..._PASSWORD are not set)" in told
    assert chain.describe(Reference.parse("b.example/x")).startswith("the credentials in KANIKO_B_EXAMPLE_USER and")


def test_only_named_helpers_are_used() -> None:
    environment = {"KANIKO_B_EXAMPLE_USER": "u", "KANIKO_B_EXAMPLE_PASSWORD": "p"}
    network = Network(RegistryPolicy(), environment, Recorded())
    chain = helper_keychain(("gitlab", "google"), environment, network, Recorded())
    assert chain.credentials(Reference.parse("b.example/x")) is None
