"""GitLab's Container Registry: docker-registry with GitLab's tokens, behind nginx with a private CA's certificate."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builder import Builder
from support.contexts import MakeContext
from support.gitlab_registry import GitLab, gitlab
from support.token_server import PASSWORD, REFRESH_TOKEN, USER, TokenServer

GROUP = "group/project"
BASE = f"{GROUP}/base:1"


@pytest.fixture(scope="module")
def running(session_directory: Path, busybox: dict[str, str]) -> Iterator[GitLab]:
    """A GitLab that has the busybox base, copied there by skopeo, which so vouches for the token endpoint."""
    directory = session_directory / "gitlab"
    directory.mkdir(mode=0o755)
    allowed = {USER: {GROUP: "pull,push,delete"}, "reader": {GROUP: "pull"}}
    with gitlab(directory, TokenServer(allowed=allowed)) as found:
        trust(found, directory / "ca")
        copy(f"docker://{busybox['oci']}", f"docker://{found.host}/{BASE}", found, directory / "ca")
        yield found


def trust(found: GitLab, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / "ca.crt").write_bytes(found.shown.authority.read_bytes())


def copy(source: str, target: str, found: GitLab, certificates: Path) -> None:
    command = ["skopeo", "--insecure-policy", "copy", "--quiet", "--src-tls-verify=false", source, target]
    command += [f"--dest-creds={USER}:{PASSWORD}", f"--dest-cert-dir={certificates}"]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def job(running: GitLab, user_builder: Builder) -> Builder:
    """The builder in a job: it has credentials and the CA in its environment, and no flag that says so."""
    return user_builder.with_environment(**running.environment())


def test_a_job_builds_pushes_and_builds_on_the_result(
    running: GitLab, job: Builder, make_context: MakeContext, repository: str
) -> None:
    name = f"{GROUP}/{repository}"
    files = {"Dockerfile": f"FROM {running.host}/{BASE}\nRUN echo built > /built\nCOPY file /\n", "file": "content"}
    job.run("--context", make_context(files), f"--destination={running.host}/{name}:1").ok()
    assert running.registry.tags(name) == ["1"]
    assert not [path for path in running.registry.uploads() if (path / "startedat").exists()]
    pulling = {"Dockerfile": f"FROM {running.host}/{name}:1\nRUN cat /built /file > /both && test -s /both\n"}
    job.run("--context", make_context(pulling), f"--destination={running.host}/{name}:2").ok()
    assert running.registry.tags(name) == ["1", "2"]
    base, first = (running.registry.manifest(each, "1")["layers"] for each in (f"{GROUP}/base", name))
    assert [layer["digest"] for layer in first[: len(base)]] == [layer["digest"] for layer in base]


def test_the_layers_of_the_base_are_mounted_with_a_token_for_both(
    running: GitLab, job: Builder, make_context: MakeContext, repository: str
) -> None:
    name, before = f"{GROUP}/{repository}", len(running.tokens.asked)
    context = make_context({"Dockerfile": f"FROM {running.host}/{BASE}\nLABEL a=b\n"})
    outcome = job.run("--context", context, f"--destination={running.host}/{name}:1", "-v", "debug").ok()
    asked = [question.scopes for question in running.tokens.asked[before:]]
    assert (f"repository:{name}:pull,push", f"repository:{GROUP}/base:pull") in asked
    uploads = [line for line in outcome.stderr.splitlines() if "/blobs/uploads/" in line and " PUT " in f" {line}"]
    assert len(uploads) == 1, outcome.output  # the config


def test_no_secret_is_shown(running: GitLab, job: Builder, make_context: MakeContext, repository: str) -> None:
    context = make_context({"Dockerfile": f"FROM {running.host}/{BASE}\nRUN true\n"})
    destination = f"--destination={running.host}/{GROUP}/{repository}:1"
    outcome = job.run("--context", context, destination, "-v", "trace").ok()
    assert "/jwt/auth" in outcome.stderr
    assert PASSWORD not in outcome.output
    assert not [token for token in running.tokens.tokens if token.rpartition(".")[2] in outcome.output]


def test_a_wrong_password(running: GitLab, job: Builder, make_context: MakeContext) -> None:
    wrong = job.with_environment(DOCKER_AUTH_CONFIG=running.auth_config(password="not the password"))
    context = make_context({"Dockerfile": "FROM scratch\nLABEL a=b\n"})
    outcome = wrong.run("--context", context, f"--destination={running.host}/{GROUP}/x:1")
    outcome.failed("401 Unauthorized: UNAUTHORIZED: HTTP Basic: Access denied")
    assert "DOCKER_AUTH_CONFIG" in outcome.stderr
    assert "not the password" not in outcome.output


@pytest.mark.parametrize("name", [f"{GROUP}/x", "another/project"])
def test_whoever_may_only_read_learns_it_before_the_build(
    running: GitLab, job: Builder, make_context: MakeContext, name: str
) -> None:
    reader = job.with_environment(DOCKER_AUTH_CONFIG=running.auth_config(user="reader"))
    context = make_context({"Dockerfile": f"FROM {running.host}/{BASE}\nRUN echo this must not run\n"})
    outcome = reader.run("--context", context, f"--destination={running.host}/{name}:1")
    outcome.failed(f"cannot push to {running.host}/{name}.*401")
    assert outcome.stderr.count("the user needs permission to push to this repository (in GitLab the role Dev") == 1
    assert "this must not run" not in outcome.stderr


def test_nobody_gets_nothing(running: GitLab, job: Builder, make_context: MakeContext) -> None:
    context = make_context({"Dockerfile": f"FROM {running.host}/{BASE}\n"})
    outcome = job.with_environment(DOCKER_AUTH_CONFIG="").run("--context", context, "--no-push")
    outcome.failed("403 Forbidden: DENIED: access forbidden")


@pytest.mark.exhaustive
def test_a_refresh_token_is_exchanged(
    running: GitLab, job: Builder, make_context: MakeContext, repository: str
) -> None:
    config = {"auths": {running.host: {"identitytoken": REFRESH_TOKEN}}}
    refreshing = job.with_environment(DOCKER_AUTH_CONFIG=json.dumps(config))
    before = len(running.tokens.asked)
    context = make_context({"Dockerfile": f"FROM {running.host}/{BASE}\nLABEL a=b\n"})
    refreshing.run("--context", context, f"--destination={running.host}/{GROUP}/{repository}:1").ok()
    assert {question.method for question in running.tokens.asked[before:]} == {"POST"}


def test_what_nginx_does_not_let_through_goes_in_pieces(
    running: GitLab, session_directory: Path, user_builder: Builder, make_context: MakeContext, repository: str
) -> None:
    directory = session_directory / "gitlab-small"
    directory.mkdir(mode=0o755)
    context = make_context({"Dockerfile": "FROM scratch\nCOPY random /\n", "random": random_bytes(3_000_000)})
    with gitlab(directory, body_size="1m") as found:
        job = user_builder.with_environment(**found.environment())
        outcome = job.run("--context", context, f"--destination={found.host}/{repository}:1").ok()
        assert "sending blobs in pieces of 1024 KiB" in outcome.stderr
        assert found.registry.tags(repository) == ["1"]


@pytest.mark.exhaustive
def test_what_nginx_does_not_let_through_at_all(
    session_directory: Path, user_builder: Builder, make_context: MakeContext, repository: str
) -> None:
    directory = session_directory / "gitlab-tiny"
    directory.mkdir(mode=0o755)
    context = make_context({"Dockerfile": "FROM scratch\nCOPY random /\n", "random": random_bytes(3_000_000)})
    with gitlab(directory, body_size="1000") as found:
        job = user_builder.with_environment(**found.environment())
        outcome = job.run("--context", context, f"--destination={found.host}/{repository}:1")
        outcome.failed("413 Request Entity Too Large")
        assert "client_max_body_size" in outcome.stderr
        assert found.registry.tags(repository) == []


def random_bytes(size: int) -> bytes:
    import random

    return random.Random(size).randbytes(size)
