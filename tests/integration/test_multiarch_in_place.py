"""Several platforms in place: one after another in the container's own filesystem, with Docker's defaults."""

from __future__ import annotations

import pytest
from support.binfmt import nothing_registered, registered
from support.in_place import LIST, InShell
from support.listing import host_architecture, list_image
from support.multiarch import SHARED, Bases
from support.registry import LoopbackRegistry

# An image is built first, by pip and apt, and an engine started: minutes that `make test` does not have.
pytestmark = [
    pytest.mark.exhaustive,
    pytest.mark.skipif(host_architecture() == "arm64", reason="arm64 is not foreign here"),
]

SCRIPT = f"""{LIST}
$BUILD $OPTIONS
echo "status $?"
list > /workspace/after
diff /workspace/before /workspace/after && echo unchanged
"""
QEMU = "/usr/bin/qemu-aarch64-static"


@pytest.mark.parametrize(("flags", "where"), [("F", ""), ("", "its own"), ("", "mounted")])
def test_commands_of_another_processor(
    flags: str,
    where: str,
    in_shell: InShell,
    binfmt: None,
    registry: LoopbackRegistry,
    arm64_busybox: str,
    repository: str,
) -> None:
    """Without the flag F commands need the interpreter, which is among the container's files, or mounted there."""
    base = f"FROM {arm64_busybox}\n"
    dockerfile = f"{base}RUN uname -m > /machine\nRUN ls -d {QEMU} > /seen; uname -m > /again\n"
    target = f"{registry.reference(repository)}:1"
    options = f"--destination={target} --platform=linux/{host_architecture()},linux/arm64"
    volumes = {"": (), "its own": (f"--volume={QEMU}:/mnt/qemu:ro",), "mounted": (f"--volume={QEMU}:{QEMU}:ro",)}
    install = f"mkdir -p /usr/bin; cp /mnt/qemu {QEMU}; chmod 755 {QEMU}\n" if where == "its own" else ""
    with registered("arm64", flags=flags):
        script = install + SCRIPT
        done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}, options=volumes[where], OPTIONS=options).ok()
    assert "status 0\n" in done.stdout, done.output
    assert "unchanged" in done.stdout, done.output
    image = list_image(registry, repository, "1", "arm64")
    assert image.text("machine") == image.text("again") == "aarch64\n"
    assert not [path for path in image.files if "qemu" in path]


def test_no_emulator(in_shell: InShell, binfmt: None, arm64_busybox: str) -> None:
    with nothing_registered():
        done = in_shell(
            SCRIPT,
            dockerfiles={"Dockerfile": f"FROM {arm64_busybox}\nRUN true\n"},
            OPTIONS="--no-push --platform=linux/arm64",
        ).ok()
    assert "status 1\n" in done.stdout, done.output
    assert "RUN cannot be executed for linux/arm64" in done.stderr, done.output


def test_what_is_done_once(
    in_shell: InShell, registry: LoopbackRegistry, multiarch: Bases, repository: str, busybox: dict[str, str]
) -> None:
    """Stages in two parts take turns in the container's filesystem, and the first part goes on for each platform."""
    wanted = ("linux/arm64", "linux/s390x")
    base = multiarch.files("base/in-place:1", wanted)
    target = f"{registry.reference(repository)}:1"
    arguments = f"--build-arg=BASE={base} --build-arg=TOOLS={busybox['oci']} --destination={target}"
    options = f"{arguments} --platform={','.join(wanted)}"
    done = in_shell(SCRIPT, dockerfiles={"Dockerfile": SHARED}, OPTIONS=options).ok()
    assert "status 0\n" in done.stdout, done.output
    assert "unchanged" in done.stdout, done.output
    images = [
        list_image(registry, repository, child["digest"]) for child in registry.manifest(repository, "1")["manifests"]
    ]
    assert [image.text("for") for image in images] == [f"{each}\n" for each in wanted]
    for name, times in (("once", 1), ("each", 2), ("more", 2), ("same", 1)):
        assert len({image.text(name) for image in images}) == times, name
    assert [image.text("seen") for image in images] == ["yes nobody arm64\n", "yes nobody s390x\n"]
