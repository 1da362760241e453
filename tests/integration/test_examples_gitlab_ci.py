"""Every job of examples/gitlab-ci.yml, run as GitLab's runner runs it, against real registries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conformance.attributes import Attributes
from conformance.servers import web_server
from support.bases import debian_layout, push_layout
from support.builder_images import BuilderImage
from support.certificates import certificate
from support.docker_daemon import DockerDaemon
from support.gitlab_ci import UTILITY_IMAGE, GitlabProject, make_project
from support.http_proxy import tinyproxy
from support.listing import list_image
from support.registry import PASSWORD, USER, LoopbackRegistry
from support.tls_registry import TlsRegistry

EXAMPLE = Path(__file__).parents[2] / "examples/gitlab-ci.yml"
MakeProject = Callable[[str], GitlabProject]
JOBS = ("build", "build behind a proxy", "build with an own CA", "build through the dependency proxy")


@pytest.fixture(scope="module")
def image(docker: DockerDaemon, debug_image: BuilderImage, busybox: dict[str, str]) -> str:
    """The builder's image in the engine, beside the one that gitlab-ci-local works with."""
    docker.docker("pull", busybox["oci"]).ok()
    docker.docker("tag", busybox["oci"], UTILITY_IMAGE).ok()
    return docker.load(debug_image.archive)


@pytest.fixture(scope="module")
def private_registry() -> Iterator[LoopbackRegistry]:
    """A registry with authentication, as that of a GitLab project."""
    with LoopbackRegistry(htpasswd=True) as running:
        yield running


@pytest.fixture
def make(scratch: Path, docker: DockerDaemon) -> MakeProject:
    def project(dockerfile: str) -> GitlabProject:
        files = {".gitlab-ci.yml": EXAMPLE.read_text(), "Dockerfile": dockerfile, "greeting": "hello\n"}
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


def test_a_job_builds_and_pushes(make: MakeProject, image: str, private_registry: LoopbackRegistry) -> None:
    project = make("FROM scratch\nCOPY greeting /greeting\n")
    outcome = project.run(JOBS[0], variables(image, private_registry)).ok()
    assert private_registry.tags("group/project") == ["v1"]
    assert PASSWORD not in outcome.output


def test_a_job_with_a_wrong_login_fails(make: MakeProject, image: str, private_registry: LoopbackRegistry) -> None:
    project = make("FROM scratch\nCOPY greeting /greeting\n")
    wrong = variables(image, private_registry, CI_REGISTRY_PASSWORD="wrong", CI_COMMIT_TAG="never")
    outcome = project.run(JOBS[0], wrong)
    assert outcome.status != 0
    assert "error: " in outcome.output
    assert "never" not in private_registry.tags("group/project")


def test_behind_a_proxy(make: MakeProject, image: str, registry: LoopbackRegistry, scratch: Path) -> None:
    """What only the proxy reaches is fetched by it; the registry, which no_proxy names, is not."""
    served = {"file": Attributes(type="file", data=b"from far away\n", mtime=1400000000)}
    project = make("FROM scratch\nARG http_proxy\nLABEL proxy=${http_proxy}\nADD http://far.example.test/file /file\n")
    with web_server(served, scratch / "web") as web, tinyproxy(scratch, {"far.example.test": web}) as proxy:
        project.run(JOBS[1], variables(image, registry, PROXY=proxy.url)).ok()
        assert "far.example.test" in proxy.log()
        assert registry.host not in proxy.log()
        url = proxy.url
    built = list_image(registry, "group/project", "v1")
    assert built.text("file") == "from far away\n"
    assert built.config["config"]["Labels"]["proxy"] == url


def test_an_own_certificate_authority(make: MakeProject, image: str, scratch: Path) -> None:
    shown = certificate(scratch)
    project = make("FROM scratch\nCOPY greeting /greeting\n")
    with TlsRegistry(shown) as registry:
        given = variables(image, registry, REGISTRY_CA=shown.authority)
        refused = project.run(JOBS[0], given)
        assert refused.status != 0
        assert "certificate" in refused.output
        assert registry.tags("group/project") == []
        project.run(JOBS[2], given).ok()
        assert registry.tags("group/project") == ["v1"]


def test_the_dependency_proxy(make: MakeProject, image: str, private_registry: LoopbackRegistry) -> None:
    """Both registries want a login of their own."""
    project = make("ARG PREFIX\nFROM ${PREFIX}/debian:bookworm\nCOPY greeting /greeting\n")
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
