"""What never appears in output."""

from __future__ import annotations

import base64

import pytest

from builder.cli.redaction import Redactor, secrets_of


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("cloning https://user:pa55@host/x.git", "cloning https://user:***@host/x.git"),
        ("https://user:p@ss@host/x", "https://user:***@host/x"),
        ("proxy http://:pw@p:3128", "proxy http://:***@p:3128"),
        ("https://glpat-abcdef@host/x", "https://***@host/x"),
        ("git clone ssh://git@host/x", "git clone ssh://git@host/x"),
        ("see https://host/a@b", "see https://host/a@b"),
        ("https://host/x:y mail a@b.c", "https://host/x:y mail a@b.c"),
        ("Authorization: Basic dXNlcjpwdw==", "Authorization: Basic ***"),
        ('"authorization": "Bearer abc"', '"authorization": "Bearer ***"'),
        ("Proxy-Authorization: Basic dXNlcjpwdw==", "Proxy-Authorization: Basic ***"),
        ("sent Bearer abcdefghijklmnopqrstuvwxyz012345", "sent Bearer ***"),
        ("the bearer token was refused", "the bearer token was refused"),
        ("token eyJhbGciOiJSUzI1NiJ9.eyJhY2Nlc3MiOltdfQ.c2ln here", "token *** here"),
        ("GET https://s3/x?X-Amz-Signature=abc&part=1", "GET https://s3/x?X-Amz-Signature=***&part=1"),
        ("https://blob/x?sv=1&sig=abc%3D", "https://blob/x?sv=1&sig=***"),
        ("nothing here", "nothing here"),
    ],
)
def test_what_looks_like_a_secret(text: str, shown: str) -> None:
    assert Redactor()(text) == shown


def test_known_values() -> None:
    redact = Redactor(["hunter2 and more\n", ""])
    redact.add(["other"])
    assert redact("x hunter2 and more y other") == "x *** y ***"


def test_the_longest_value_goes_first() -> None:
    assert Redactor(["abc", "abcdef"])("abcdef") == "***"


def test_lines_of_a_secret_with_several() -> None:
    redact = Redactor(["-----BEGIN KEY-----\nMIIEvQIBADAN\n=x\n-----END KEY-----\n"])
    assert redact("MIIEvQIBADAN") == "***"
    assert redact("a=x") == "a=x"


def test_base64_of_a_secret() -> None:
    encoded = base64.b64encode(b"hunter2-hunter2").decode()
    assert "hunter" not in Redactor(["hunter2-hunter2"])("hunter2-hunter2")
    assert Redactor(["hunter2-hunter2"])(f"auth {encoded}").startswith("auth ***")


def test_variables_that_hold_secrets() -> None:
    environment = {
        "GIT_TOKEN": "token-of-git",
        "CI_JOB_TOKEN": "token-of-job",
        "CI_REGISTRY_PASSWORD": "short",
        "KANIKO_REGISTRY_EXAMPLE_COM_PASSWORD": "password-of-kaniko",
        "PATH": "/usr/local/bin",
    }
    assert secrets_of(environment) == ["token-of-git", "token-of-job", "password-of-kaniko"]
