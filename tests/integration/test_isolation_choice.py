"""What `--isolation=auto` takes in each kind of surroundings, and what it says where commands cannot run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builder import Builder
from support.builder_images import PROJECT, PYTHON_BASE, BuilderImage, wheels
from support.containers import Podman
from support.contexts import MakeContext
from support.docker_daemon import DockerDaemon
from support.image_root import ImageRoot, unpack_image
from support.listing import list_image
from support.registry import LoopbackRegistry

pytestmark = pytest.mark.usefixtures("as_root")

# The files of the builder are there in place, and cannot be seen in namespaces.
TELL = "RUN if test -e /kaniko/executor; then echo in place; else echo in namespaces; fi > /how"
UNCONFINED = ("--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined")
PLAIN_HTTP = ("--insecure", "--insecure-pull")


@pytest.fixture
def context(make_context: MakeContext, busybox: dict[str, str]) -> Path:
    made = make_context({"Dockerfile": f"FROM {busybox['oci']}\n{TELL}\n"})
    made.chmod(0o755)
    return made


def how(registry: LoopbackRegistry, repository: str) -> str:
    return list_image(registry, repository, "1").text("how").strip()


@pytest.mark.parametrize(
    ("options", "expected"),
    [((), "in place"), (UNCONFINED, "in namespaces")],
    ids=["defaults", "unconfined"],
)
def test_docker(
    options: tuple[str, ...],
    expected: str,
    docker: DockerDaemon,
    debug_in_docker: str,
    context: Path,
    registry: LoopbackRegistry,
    repository: str,
) -> None:
    command = [*PLAIN_HTTP, f"--destination={registry.reference(repository)}:1"]
    docker.run(debug_in_docker, *command, options=options, files={context: "/workspace"}).ok()
    assert how(registry, repository) == expected


@pytest.mark.exhaustive
def test_podman(
    containers: Podman, debug_image: BuilderImage, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    """Its default profile lets everyone make namespaces."""
    command = [*PLAIN_HTTP, f"--destination={registry.reference(repository)}:1"]
    containers.run(debug_image.reference, *command, options=[f"--volume={context}:/workspace"])
    assert how(registry, repository) == "in namespaces"


def test_the_host(builder: Builder, context: Path, registry: LoopbackRegistry, repository: str) -> None:
    """As root and as an ordinary user."""
    builder.build(context, f"--destination={registry.reference(repository)}:1").ok()
    assert how(registry, repository) == "in namespaces"


@pytest.mark.exhaustive
def test_a_python_image_with_the_builder_from_pip(
    docker: DockerDaemon, debug_image: BuilderImage, context: Path, registry: LoopbackRegistry, repository: str
) -> None:
    """The base would take that Python's files away. Builds without RUN work, and all do once namespaces are allowed."""
    image = registry.reference(PYTHON_BASE)
    docker.docker("pull", image).ok()
    (context / "Dockerfile.copy").write_text("FROM scratch\nCOPY Dockerfile /how\n")
    script = f"""
    cp -r /project/builder /project/pyproject.toml /project/README.md /project/LICENSE /tmp/
    python3 -m venv /venv && /venv/bin/pip --quiet install --no-index --find-links /wheels /tmp || exit 99
    /venv/bin/builder --no-push --dockerfile Dockerfile.copy || exit 98
    exec /venv/bin/builder {" ".join(PLAIN_HTTP)} --destination {registry.reference(repository)}:1
    """
    files = {context: "/workspace", PROJECT: "/project:ro", wheels(): "/wheels:ro"}
    run = ["sh", "-c", script]
    refused = docker.run(image, *run, options=["--workdir=/workspace"], files=files)
    refused.failed(
        r"(?s)namespaces.*unshare CLONE_NEWUSER.*this Python \(/venv\) is not the builder's own"
        r".*use the builder's image.*seccomp=unconfined"
    )
    docker.run(image, *run, options=["--workdir=/workspace", *UNCONFINED], files=files).ok()
    assert how(registry, repository) == "in namespaces"


@pytest.mark.parametrize("user", ["12345", "12345:12345"])
def test_an_arbitrary_user_without_capabilities(
    user: str,
    docker: DockerDaemon,
    debug_in_docker: str,
    context: Path,
    registry: LoopbackRegistry,
    repository: str,
) -> None:
    """As on OpenShift: builds without RUN work, a RUN gets the system call that failed and the settings that help."""
    options = [f"--user={user}", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    (context / "Dockerfile.copy").write_text("FROM scratch\nCOPY Dockerfile /how\n")
    copy = ["--insecure", "--dockerfile=Dockerfile.copy", f"--destination={registry.reference(repository)}:1"]
    docker.run(debug_in_docker, *copy, options=options, files={context: "/workspace"}).ok()
    assert how(registry, repository).startswith("FROM")
    refused = docker.run(debug_in_docker, *PLAIN_HTTP, "--no-push", options=options, files={context: "/workspace"})
    refused.failed(
        r"(?s)unshare CLONE_NEWUSER.*in place as user 12345.*hint: .*seccomp=unconfined"
        r".*--user 0.*runAsUser: 0.*OpenShift.*anyuid"
    )


@pytest.fixture
def root(debug_image: BuilderImage, context: Path, scratch: Path) -> Iterator[ImageRoot]:
    """The image's files as the root of a process, without anything that tells of a container."""
    with unpack_image(debug_image.archive, scratch) as unpacked:
        (unpacked.path / "workspace/Dockerfile").write_bytes((context / "Dockerfile").read_bytes())
        yield unpacked


def test_in_place_is_refused_outside_of_a_container_unless_it_is_forced(
    root: ImageRoot, registry: LoopbackRegistry, repository: str
) -> None:
    command = ["/kaniko/executor", "--isolation=in-place", "--context=/workspace", *PLAIN_HTTP]
    command.append(f"--destination={registry.reference(repository)}:1")
    before = own_files(root)
    root.run(*command).failed(r"this is not a container(?s:.)*--force")
    assert registry.tags(repository) == []
    root.run(*command, "--force").ok()
    assert how(registry, repository) == "in place"
    assert own_files(root) == before


def own_files(root: ImageRoot) -> set[Path]:
    """All but what the builder keeps, and the directories that are mounted on."""
    not_own = [root.path / name for name in ("kaniko/state", "dev", "proc")]
    return {path for path in root.path.rglob("*") if not any(path.is_relative_to(each) for each in not_own)}
