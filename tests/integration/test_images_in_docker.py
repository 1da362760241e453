"""The builder's images in a real Docker Engine, with what it gives to an ordinary container."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from conformance.servers import web_server
from support.builder_images import BuilderImage
from support.certificates import certificate, tls_front
from support.contexts import MakeContext
from support.docker_daemon import DockerDaemon
from support.listing import list_image
from support.name_server import name_server
from support.registry import LoopbackRegistry

# An image is built first, by pip and apt, and an engine started: minutes that `make test` does not have.
pytestmark = pytest.mark.exhaustive

CONTEXT = "/workspace/context"
UNPRIVILEGED = ("--cap-drop=ALL", "--security-opt=no-new-privileges")


@pytest.fixture(scope="module")
def executor(docker: DockerDaemon, executor_image: BuilderImage) -> str:
    return docker.load(executor_image.archive)


@pytest.fixture(scope="module")
def debug(docker: DockerDaemon, debug_image: BuilderImage) -> str:
    return docker.load(debug_image.archive)


@pytest.fixture
def context(make_context: MakeContext, debian: str) -> Path:
    made = make_context({"Dockerfile": f"FROM {debian}\nCOPY --chown=games file /srv/\nWORKDIR /w\n", "file": "here\n"})
    made.chmod(0o755)
    return made


def test_version(docker: DockerDaemon, executor: str) -> None:
    assert docker.run(executor, "version").ok().stdout.startswith("builder ")


@pytest.mark.parametrize(
    ("options", "flags"),
    [
        ((), ()),
        (UNPRIVILEGED, ()),
        ((*UNPRIVILEGED, "--user=1234567"), ()),  # as on OpenShift: the group is root's
        ((*UNPRIVILEGED, "--user=1234567:1234567"), ()),
        (("--read-only", "--tmpfs=/state"), ("--state-dir=/state/builder",)),
    ],
    ids=["root", "root without capabilities", "any user", "any user and group", "read-only"],
)
def test_a_build_without_run(
    options: tuple[str, ...],
    flags: tuple[str, ...],
    docker: DockerDaemon,
    executor: str,
    context: Path,
    registry: LoopbackRegistry,
    repository: str,
) -> None:
    destination = f"--destination={registry.reference(repository)}:v1"
    docker.run(
        executor, f"--context=dir://{CONTEXT}", destination, *flags, options=options, files={context: CONTEXT}
    ).ok()
    built = list_image(registry, repository, "v1")
    assert built.text("srv/file") == "here\n"
    assert built.files["srv/file"].uid == 5  # games of the base


def test_a_state_directory_that_cannot_be_written(docker: DockerDaemon, executor: str, context: Path) -> None:
    options = ["--read-only"]
    outcome = docker.run(executor, f"--context=dir://{CONTEXT}", "--no-push", options=options, files={context: CONTEXT})
    outcome.failed("cannot write /kaniko/state(?s:.)*hint: .*--state-dir")


def test_the_shell_of_the_debug_image(
    docker: DockerDaemon, debug: str, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    """As GitLab's runner uses it: no entry point, lines for a shell."""
    lines = f"""
        set -e
        grep -q here {CONTEXT}/file
        printf '{{}}' > /kaniko/.docker/config.json
        executor --context {CONTEXT} --destination {registry.reference(repository)}:v1
        /kaniko/executor version
        cat /workspace/context/file | sed s/here/there/
    """
    outcome = docker.run(debug, "sh", "-c", lines, options=["--entrypoint="], files={context: CONTEXT}).ok()
    assert outcome.stdout.endswith("there\n")
    assert registry.tags(repository) == ["v1"]


def test_the_debug_image_is_used_like_the_other(docker: DockerDaemon, debug: str) -> None:
    assert docker.run(debug, "version").ok().stdout.startswith("builder ")


def test_names_of_a_name_server(
    docker: DockerDaemon, executor: str, registry: LoopbackRegistry, repository: str, make_context: MakeContext
) -> None:
    made = make_context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    with name_server() as resolv_conf:
        files = {made: CONTEXT, resolv_conf: "/etc/resolv.conf"}
        destination = f"--destination=registry.example.test:{registry.port}/{repository}:v1"
        docker.run(executor, f"--context={CONTEXT}", "--insecure", destination, files=files).ok()
    assert registry.tags(repository) == ["v1"]


@pytest.fixture
def git_host(scratch: Path) -> Iterator[str]:
    """``host:port`` of a server with /git/project.git."""
    with web_server({}, scratch / "web") as host:
        yield host


def test_a_git_context_by_https(
    docker: DockerDaemon, executor: str, git_host: str, scratch: Path, make_context: MakeContext
) -> None:
    """git's own TLS, and the file that a job appends its authority to; no shell is there for git to run."""
    shown = certificate(scratch)
    made = make_context({"Dockerfile": "FROM scratch\nCOPY readme /\n"})
    with tls_front(shown, int(git_host.rpartition(":")[2])) as host:
        flags = [f"--context=https://{host}/git/project.git", "--dockerfile=/dockerfile/Dockerfile", "--no-push"]
        refused = docker.run(executor, *flags, files={made: "/dockerfile"})
        refused.failed("(?i)certificate")
        known = {made: "/dockerfile", shown.authority: "/kaniko/ssl/certs/authorities.crt"}
        docker.run(executor, *flags, files=known).ok()
