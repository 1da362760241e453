"""Every job of examples/gitlab-ci.yml, run as GitLab's runner runs it, against real registries."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conformance.attributes import Attributes
from conformance.servers import web_server
from support.bases import debian_layout, push_layout
from support.binfmt import registered
from support.certificates import certificate
from support.docker_daemon import DockerDaemon
from support.gitlab_ci import UTILITY_IMAGE, GitlabProject, make_project
from support.http_proxy import tinyproxy
from support.listing import list_image
from support.registry import PASSWORD, USER, LoopbackRegistry
from support.tls_registry import TlsRegistry

EXAMPLE = Path(__file__).parents[2] / "examples/gitlab-ci.yml"
MakeProject = Callable[..., GitlabProject]
DOCKERFILE = "FROM BUSYBOX\nCOPY greeting /greeting\nRUN sed s/hello/bye/ /greeting > /farewell\n"
JOBS = (
    "build",
    "build behind a proxy",
    "build with an own CA",
    "build through the dependency proxy",
    "build for several platforms",
    "build a platform",
    "join the platforms",
    "build with a cache",
    "build with GitLab's cache",
)


@pytest.fixture(scope="module")
def image(docker: DockerDaemon, debug_in_docker: str, busybox: dict[str, str]) -> str:
    """The builder's image in the engine, beside the one that gitlab-ci-local works with."""
    docker.docker("pull", busybox["oci"]).ok()
    docker.docker("tag", busybox["oci"], UTILITY_IMAGE).ok()
    return debug_in_docker


@pytest.fixture(scope="module")
def private_registry() -> Iterator[LoopbackRegistry]:
    """A registry with authentication, as that of a GitLab project."""
    with LoopbackRegistry(htpasswd=True) as running:
        yield running


@pytest.fixture
def make(scratch: Path, docker: DockerDaemon, busybox: dict[str, str]) -> MakeProject:
    """A function that makes a project with the example's jobs; ``BUSYBOX`` in its Dockerfile is a base."""

    def project(dockerfile: str, more_jobs: str = "", ignore: str = "") -> GitlabProject:
        dockerfile = dockerfile.replace("BUSYBOX", busybox["oci"])
        files = {".gitlab-ci.yml": EXAMPLE.read_text() + more_jobs, "Dockerfile": dockerfile, "greeting": "hello\n"}
        if ignore:
            files[".dockerignore"] = ignore
        return make_project(scratch / "project", files, docker)

    return project


def variables(image: str, registry: LoopbackRegistry, **more: str | Path) -> dict[str, str | Path]:
    return {
        "BUILDER_IMAGE": image,
        "CI_COMMIT_TAG": "v1",
        "CI_REGISTRY": registry.host,
        "CI_REGISTRY_IMAGE": registry.reference("group/project"),
        "CI_REGISTRY_USER": USER,
        "CI_REGISTRY_PASSWORD": PASSWORD,
        **more,
    }


def test_every_job_has_its_test_here() -> None:
    assert tuple(name for name in jobs() if not name.startswith(".")) == JOBS


def jobs() -> list[str]:
    class Loader(yaml.SafeLoader):
        """Knows GitLab's own tag."""

    Loader.add_constructor("!reference", lambda loader, node: loader.construct_sequence(node))
    document = yaml.load(EXAMPLE.read_text(), Loader)
    return [name for name in document if name not in ("stages", "variables")]


@pytest.mark.exhaustive
def test_a_job_builds_and_pushes(make: MakeProject, image: str, private_registry: LoopbackRegistry) -> None:
    project = make(DOCKERFILE)
    outcome = project.run(JOBS[0], variables(image, private_registry)).ok()
    assert private_registry.tags("group/project") == ["v1"]
    assert PASSWORD not in outcome.output


def test_the_shell_of_the_job_goes_on(make: MakeProject, image: str, registry: LoopbackRegistry) -> None:
    """Later lines of the script, a second build in the same container, and after_script, after a failure too."""
    more = """
go on:
  extends: build
  script:
    - /kaniko/executor --destination "${CI_REGISTRY_IMAGE}:first" --context "${CI_PROJECT_DIR}"
    - grep hello greeting && test ! -e /farewell && test ! -e /etc/passwd
    - /kaniko/executor --destination "${CI_REGISTRY_IMAGE}:second" --context "${CI_PROJECT_DIR}"
    - printf 'FROM %s\\nRUN touch /never && exit 7\\n' "$BASE" > Dockerfile.failing
    - /kaniko/executor --dockerfile Dockerfile.failing --no-push --context "${CI_PROJECT_DIR}"
  after_script:
    - test ! -e /never && echo "still here, $(cat greeting)"
"""
    project = make(DOCKERFILE, more)
    base = (project.directory / "Dockerfile").read_text().split()[1]
    outcome = project.run("go on", variables(image, registry, BASE=base))
    assert outcome.status != 0
    assert "still here, hello" in outcome.stdout
    assert {"first", "second"} <= set(registry.tags("group/project"))
    built = list_image(registry, "group/project", "second")
    assert built.text("farewell") == "bye\n"
    assert not [path for path in built.files if path.startswith(("kaniko", "busybox", "gcl-builds", "workspace"))]


@pytest.mark.exhaustive
def test_a_job_with_a_wrong_login_fails(make: MakeProject, image: str, private_registry: LoopbackRegistry) -> None:
    project = make(DOCKERFILE)
    wrong = variables(image, private_registry, CI_REGISTRY_PASSWORD="wrong", CI_COMMIT_TAG="never")
    outcome = project.run(JOBS[0], wrong)
    assert outcome.status != 0
    assert "error: " in outcome.output
    assert "never" not in private_registry.tags("group/project")


@pytest.mark.exhaustive
def test_behind_a_proxy(make: MakeProject, image: str, registry: LoopbackRegistry, scratch: Path) -> None:
    """What only the proxy reaches is fetched by it; the registry, which no_proxy names, is not."""
    served = {"file": Attributes(type="file", data=b"from far away\n", mtime=1400000000)}
    lines = [
        "FROM BUSYBOX",
        "ADD http://far.example.test/file /file",
        "RUN wget -q -O /again http://far.example.test/file",
    ]
    project = make("\n".join(lines))
    with web_server(served, scratch / "web") as web, tinyproxy(scratch, {"far.example.test": web}) as proxy:
        project.run(JOBS[1], variables(image, registry, PROXY=proxy.url)).ok()
        assert proxy.log().count("http://far.example.test/file") >= 2
        assert registry.host not in proxy.log()
    built = list_image(registry, "group/project", "v1")
    assert built.text("file") == built.text("again") == "from far away\n"
    assert proxy.url not in json.dumps(built.config)


@pytest.mark.exhaustive
def test_an_own_certificate_authority(make: MakeProject, image: str, scratch: Path) -> None:
    shown = certificate(scratch)
    project = make(DOCKERFILE)
    with TlsRegistry(shown) as registry:
        given = variables(image, registry, REGISTRY_CA=shown.authority)
        refused = project.run(JOBS[0], given)
        assert refused.status != 0
        assert "certificate" in refused.output
        assert registry.tags("group/project") == []
        project.run(JOBS[2], given).ok()
        assert registry.tags("group/project") == ["v1"]


@pytest.mark.exhaustive
def test_the_dependency_proxy(make: MakeProject, image: str, private_registry: LoopbackRegistry) -> None:
    """Both registries want a login of their own."""
    project = make("ARG PREFIX\nFROM ${PREFIX}/debian:bookworm\nRUN useradd someone\nCOPY --chown=someone greeting /\n")
    with LoopbackRegistry(htpasswd=True) as dependency_proxy:
        push = ["--dest-creds", f"{USER}:{PASSWORD}"]
        push_layout(debian_layout(), "bookworm", dependency_proxy, "group/dependency_proxy/debian:bookworm", *push)
        given = variables(
            image,
            private_registry,
            CI_COMMIT_TAG="v2",
            CI_DEPENDENCY_PROXY_SERVER=dependency_proxy.host,
            CI_DEPENDENCY_PROXY_USER=USER,
            CI_DEPENDENCY_PROXY_PASSWORD=PASSWORD,
            CI_DEPENDENCY_PROXY_GROUP_IMAGE_PREFIX=dependency_proxy.reference("group/dependency_proxy"),
        )
        project.run(JOBS[3], given).ok()
    assert "v2" in private_registry.tags("group/project")


@pytest.mark.exhaustive
def test_several_platforms(
    make: MakeProject, image: str, private_registry: LoopbackRegistry, binfmt: None, arm64_busybox: str
) -> None:
    """One command, and a job for each platform with one that joins them, make the same index."""
    run = "RUN uname -m > /machine && touch -d '2023-01-01 00:00:00' /machine"
    project = make(f"FROM {arm64_busybox}\nARG TARGETARCH\nCOPY greeting /$TARGETARCH\n{run}\n")
    same = {"SOURCE_DATE_EPOCH": "1700000000"}
    with registered("arm64"):
        project.run(JOBS[4], variables(image, private_registry, CI_COMMIT_TAG="at-once", **same)).ok()
        parts = variables(image, private_registry, CI_COMMIT_TAG="joined", **same)
        project.run(JOBS[5], parts).ok()
    assert {"joined-amd64", "joined-arm64"} <= set(private_registry.tags("group/project"))
    outcome = project.run(JOBS[6], parts).ok()
    assert PASSWORD not in outcome.output
    for architecture, machine in (("amd64", "x86_64"), ("arm64", "aarch64")):
        built = list_image(private_registry, "group/project", "joined", architecture)
        assert built.text("machine") == f"{machine}\n"
        assert built.text(architecture) == "hello\n"
    assert private_registry.digest("group/project", "joined") == private_registry.digest("group/project", "at-once")


@pytest.mark.exhaustive
def test_layers_in_the_registry(make: MakeProject, image: str, private_registry: LoopbackRegistry) -> None:
    """The second job is in a new container, and builds nothing."""
    project = make(DOCKERFILE + "RUN date +%s%N > /when\n")
    first, second = (
        project.run(JOBS[7], variables(image, private_registry, CI_COMMIT_TAG=tag)).ok()
        for tag in ("cached-1", "cached-2")
    )
    assert first.output.count("CACHED") == 0
    assert second.output.count("CACHED") == 3
    assert len(private_registry.tags("group/project/cache")) == 3
    one, other = (list_image(private_registry, "group/project", tag) for tag in ("cached-1", "cached-2"))
    assert one.text("when") == other.text("when")
    assert PASSWORD not in first.output + second.output


@pytest.mark.exhaustive
def test_what_gitlabs_cache_carries(make: MakeProject, image: str, registry: LoopbackRegistry) -> None:
    """Base images, and cache mounts; nothing of either is in the image."""
    count = "RUN --mount=type=cache,target=/c echo x >> /c/count && wc -l < /c/count > /number\n"
    project = make(f"FROM BUSYBOX\nCOPY . /all\n{count}", ignore=".builder-cache\n.git*\n")
    for number in ("1", "2"):
        tag = f"carried-{number}"
        given = variables(image, registry, CI_COMMIT_TAG=tag)
        outcome = project.run(JOBS[8], given, "--mount-cache").ok()  # else it wants bash and rsync to copy them
        built = list_image(registry, "group/project", tag)
        assert built.text("number") == f"{number}\n"
        assert not [path for path in built.files if "builder-cache" in path or path.startswith("c/")]
    assert "all of it was there" in outcome.output
