from __future__ import annotations

import pytest

from builder.registry.policy import Direction, RegistryPolicy, is_local


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("registry.local", True),
        ("a.localhost:1", True),
        ("registry.example.com", False),
        ("128.0.0.1", False),
        ("127.0.0.1.example.com", False),
        ("localhost.example.com:5000", False),
        ("[2001:db8::1]:5000", False),
    ],
)
def test_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local


@pytest.mark.parametrize(
    ("policy", "host", "direction", "http"),
    [
        (RegistryPolicy(), "registry.example.com", "push", False),
        (RegistryPolicy(), "localhost:5000", "push", True),
        (RegistryPolicy(insecure=frozenset({"registry.example.com:5000"})), "registry.example.com:5000", "pull", True),
        (RegistryPolicy(insecure=frozenset({"registry.example.com:5000"})), "registry.example.com", "pull", False),
        (RegistryPolicy(insecure=frozenset({"registry.example.com"})), "registry.example.com:5000", "pull", True),
        (RegistryPolicy(insecure_push=True), "registry.example.com", "push", True),
        (RegistryPolicy(insecure_push=True), "registry.example.com", "pull", False),
        (RegistryPolicy(insecure_pull=True), "registry.example.com", "pull", True),
        (RegistryPolicy(skip_tls_push=True), "registry.example.com", "push", False),
    ],
)
def test_schemes(policy: RegistryPolicy, host: str, direction: Direction, http: bool) -> None:
    assert set(policy.schemes(host, direction)) == ({"https", "http"} if http else {"https"})


def test_plain_http_comes_first_on_this_machine_alone() -> None:
    policy = RegistryPolicy(insecure=frozenset({"registry.example.com"}))
    assert policy.schemes("localhost:5000", "pull")[0] == "http"
    assert policy.schemes("registry.example.com", "pull")[0] == "https"


@pytest.mark.parametrize(
    ("policy", "host", "direction", "verified"),
    [
        (RegistryPolicy(), "a.example", "push", True),
        (RegistryPolicy(), "localhost:5000", "push", True),
        (RegistryPolicy(skip_tls=frozenset({"a.example"})), "a.example:5000", "pull", False),
        (RegistryPolicy(skip_tls=frozenset({"a.example"})), "b.example", "pull", True),
        (RegistryPolicy(skip_tls_pull=True), "a.example", "pull", False),
        (RegistryPolicy(skip_tls_pull=True), "a.example", "push", True),
        (RegistryPolicy(insecure=frozenset({"a.example"})), "a.example", "push", False),
    ],
)
def test_verifies(policy: RegistryPolicy, host: str, direction: Direction, verified: bool) -> None:
    assert policy.verifies(host, direction) is verified


def test_retries_are_added_to_the_tries_there_are_anyway() -> None:
    policy = RegistryPolicy(push_retries=3)
    assert policy.attempts("push") == policy.attempts("pull") + 3
