"""Where credentials are found, by builds against registries that want them; and that they are never shown."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from support.builder import Builder
from support.contexts import MakeContext
from support.http_proxy import tinyproxy
from support.registry import PASSWORD, USER, LoopbackRegistry

ENCODED = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


@pytest.fixture(scope="module")
def closed() -> Iterator[LoopbackRegistry]:
    """A registry that wants a user and password."""
    with LoopbackRegistry(htpasswd=True) as running:
        yield running


@pytest.fixture
def context(make_context: MakeContext) -> Path:
    return make_context({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "x"})


def name_of(host: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in host.upper())


def ways(registry: LoopbackRegistry, repository: str, home: Path) -> dict[str, dict[str, str]]:
    """Environments that hold the registry's credentials."""
    host, group = registry.host, repository.rpartition("/")[0]
    variables = {"USER": USER, "PASSWORD": PASSWORD}
    programs = home / "programs"
    programs.mkdir()
    answer = json.dumps({"ServerURL": host, "Username": USER, "Secret": PASSWORD})
    (programs / "docker-credential-tests").write_text(f"#!/bin/sh\ntest $(cat) = {host} && echo '{answer}'\n")
    (programs / "docker-credential-tests").chmod(0o755)
    helped = json.dumps({"credHelpers": {host: "tests"}})
    return {
        "auth": {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {host: {"auth": ENCODED}}})},
        "path": {
            "DOCKER_AUTH_CONFIG": json.dumps({"auths": {f"{host}/{group}": {"auth": ENCODED}, host: {"auth": "eDp5"}}})
        },
        "helper": {"DOCKER_AUTH_CONFIG": helped, "PATH": f"{programs}:/usr/bin:/bin"},
        "env": {f"KANIKO_{name_of(host)}_{key}": value for key, value in variables.items()},
        "gitlab": {"CI_REGISTRY": host} | {f"CI_REGISTRY_{key}": value for key, value in variables.items()},
        "dependency proxy": {"CI_DEPENDENCY_PROXY_SERVER": host}
        | {f"CI_DEPENDENCY_PROXY_{key}": value for key, value in variables.items()},
    }


@pytest.mark.parametrize(
    "way",
    ["path", "helper", "gitlab"]
    + [pytest.param(way, marks=pytest.mark.exhaustive) for way in ("auth", "env", "dependency proxy")],
)
def test_ways_to_give_credentials(
    user_builder: Builder, context: Path, closed: LoopbackRegistry, repository: str, scratch: Path, way: str
) -> None:
    builder = user_builder.with_environment(**ways(closed, repository, scratch)[way])
    built = builder.run("--context", context, "--destination", closed.reference(f"{repository}:1"), "-vtrace")
    built.ok()
    assert closed.tags(repository) == ["1"]
    assert PASSWORD not in built.output
    assert ENCODED not in built.output


def test_helpers_can_be_turned_off(
    user_builder: Builder, context: Path, closed: LoopbackRegistry, repository: str, scratch: Path
) -> None:
    found = ways(closed, repository, scratch)
    builder = user_builder.with_environment(**found["gitlab"], **found["env"])
    push = ("--context", context, "--destination", closed.reference(f"{repository}:1"))
    builder.run(*push, "--credential-helpers", "").failed(
        "401 Unauthorized(?s:.*)no credentials for .* were found in DOCKER"
    )
    refused = builder.run(*push, "--credential-helpers", "gitlab,google").ok()
    assert PASSWORD not in refused.output
    builder = user_builder.with_environment(**found["env"], CI_REGISTRY="other.example.com", CI_JOB_TOKEN="x" * 20)
    refused = builder.run(*push, "--credential-helpers=gitlab")
    refused.failed(rf"the helper gitlab \(CI_REGISTRY is other\.example\.com, not {closed.host}\)")


def test_credentials_that_are_refused(
    user_builder: Builder, context: Path, closed: LoopbackRegistry, repository: str
) -> None:
    wrong = {"CI_REGISTRY": closed.host, "CI_REGISTRY_USER": "me", "CI_REGISTRY_PASSWORD": "not-the-password"}
    push = ("--context", context, "--destination", closed.reference(f"{repository}:1"))
    refused = user_builder.with_environment(**wrong).run(*push)
    refused.failed("401(?s:.*)the credentials in CI_REGISTRY_USER and CI_REGISTRY_PASSWORD were used, and were refused")
    assert "not-the-password" not in refused.output


class _Amazon(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        known = "Credential=AKIAEXAMPLE/" in self.headers.get("Authorization", "")
        token = {"authorizationToken": ENCODED, "expiresAt": time.time() + 3600}
        body = json.dumps({"authorizationData": [token]} if known else {"__type": "AccessDenied"}).encode()
        self.send_response(200 if known else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_ecr(user_builder: Builder, context: Path, closed: LoopbackRegistry, repository: str, scratch: Path) -> None:
    """Its registry is behind a proxy that knows its name, its API a stand-in."""
    keys = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "the-secret-key"}
    push = ("--context", context, "--destination", f"{ECR}/{repository}:1", "--insecure-registry", ECR, "-vtrace")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Amazon) as api, tinyproxy(scratch, {ECR: closed.host}) as proxy:
        Thread(target=api.serve_forever, args=(0.02,), daemon=True).start()
        around = {"http_proxy": proxy.url, "AWS_ENDPOINT_URL_ECR": f"http://127.0.0.1:{api.server_port}"}
        refused = user_builder.with_environment(**around, **keys | {"AWS_ACCESS_KEY_ID": "AKIAOTHER"}).run(*push)
        refused.failed(r"401(?s:.*)the helper ecr \(Amazon ECR answered 400 AccessDenied\)")
        pushed = user_builder.with_environment(**around, **keys).run(*push).ok()
        api.shutdown()
    assert closed.tags(repository) == ["1"]
    for secret in ("the-secret-key", PASSWORD, ENCODED):
        assert secret not in refused.output + pushed.output


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 7", "failed with status 7 when asked for HOST"),
        ("echo {", "answered no credentials when asked for HOST"),
        ("exec yes", r"printed more than 1048576 bytes \(asked for HOST\)"),
    ],
)
def test_helpers_that_are_broken(
    user_builder: Builder, context: Path, closed: LoopbackRegistry, scratch: Path, script: str, message: str
) -> None:
    program = scratch / "docker-credential-broken"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    environment = {"PATH": f"{scratch}:/usr/bin:/bin", "DOCKER_AUTH_CONFIG": '{"credsStore": "broken"}'}
    push = ("--context", context, "--destination", closed.reference("broken:1"))
    refused = user_builder.with_environment(**environment).run(*push)
    refused.failed(f"docker-credential-broken {message.replace('HOST', closed.host)}")
    assert closed.tags("broken") == []


LEVELS = ("panic", "fatal", "error", "warn", "info", "debug", "trace")


@pytest.mark.parametrize(
    ("level", "form"),
    [
        pytest.param(level, form, marks=() if (level, form) == ("trace", "json") else pytest.mark.exhaustive)
        for level in LEVELS
        for form in ("text", "color", "json")
    ],
)
def test_no_secret_is_shown_or_kept(
    user_builder: Builder,
    make_context: MakeContext,
    closed: LoopbackRegistry,
    repository: str,
    scratch: Path,
    level: str,
    form: str,
) -> None:
    """Whatever is said, written or left behind is searched for all that was secret."""
    proxy_password, job_token, key = "proxy-pass-8842", "job-token-773-long", "kaniko-password-553"
    host = closed.host
    builder = user_builder.with_environment(
        DOCKER_AUTH_CONFIG=json.dumps(
            {"auths": {host: {"auth": ENCODED}, "other.example": {"password": "other-pass-1"}}}
        ),
        CI_REGISTRY=host,
        CI_JOB_TOKEN=job_token,
        KANIKO_ELSEWHERE_EXAMPLE_USER="someone",
        KANIKO_ELSEWHERE_EXAMPLE_PASSWORD=key,
        https_proxy=f"http://proxy-user:{proxy_password}@127.0.0.1:1",
    )
    output = scratch / "output"
    output.mkdir(mode=0o777)
    output.chmod(0o777)
    context = make_context({"Dockerfile": f"FROM {host}/{repository}:1\nCOPY a /a\n", "a": "x"})
    first = make_context({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "x"})
    said = ("--verbosity", level, "--log-format", form)
    files = [f"--{name}={output / name}" for name in ("digest-file", "metadata-file", "tar-path")]
    runs = [builder.run("--context", first, "--destination", f"{host}/{repository}:1", *said, *files).ok()]
    runs.append(builder.run("--context", context, "--destination", f"{host}/{repository}:2", *said, *files).ok())
    runs.append(builder.run("--context", context, "--destination", "elsewhere.example/x:2", *said))
    wrong = json.dumps({"auths": {host: {"username": USER, "password": "wrong-pass-9"}}})
    runs.append(builder.with_environment(DOCKER_AUTH_CONFIG=wrong).run("--context", context, "--no-push", *said))
    assert [run.status for run in runs] == [0, 0, 1, 1]
    secrets = [PASSWORD, ENCODED, proxy_password, job_token, key, "other-pass-1", "wrong-pass-9"]
    secrets += [base64.b64encode(f"{user}:{word}".encode()).decode() for user, word in
                ((USER, "wrong-pass-9"), ("proxy-user", proxy_password), ("someone", key))]  # fmt: skip
    kept = [path for root in (output, builder.home) for path in root.rglob("*") if path.is_file()]
    assert kept
    for secret in secrets:
        assert not [run.output for run in runs if secret in run.output]
        assert not [path for path in kept if secret.encode() in path.read_bytes()]
