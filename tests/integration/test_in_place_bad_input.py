"""Builds in place that go wrong, or meet what the container has: clear messages, and everything is put back."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.in_place import LIST, InShell
from support.listing import list_image
from support.registry import LoopbackRegistry

pytestmark = pytest.mark.usefixtures("as_root")

PASSWORD = "only-known-to-the-registry"
LOGIN = f"""
printf '{{"auths": {{"registry.example.com": {{"username": "robot", "password": "{PASSWORD}"}}}}}}' \
    > /kaniko/.docker/config.json
md5sum /kaniko/.docker/config.json > /workspace/login
"""
UNCHANGED = """
list > /workspace/after; diff /workspace/before /workspace/after && echo files unchanged
md5sum -c -s /workspace/login && echo login unchanged
"""


@pytest.mark.exhaustive
def test_no_space_left_while_the_base_is_unpacked(in_shell: InShell, debian: str) -> None:
    script = f"""{LIST.replace("-xdev", "-xdev ! -path '/small*'")}{LOGIN}
    $BUILD --no-push --state-dir /small/state; echo "status $?"
    {UNCHANGED} du -s /small | cut -f 1
    """
    dockerfile = f"FROM {debian}\nRUN touch /never\n"
    done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}, options=("--tmpfs=/small:size=30m",)).ok()
    assert "status 1\n" in done.stdout, done.output
    assert "No space left on device" in done.stderr
    assert "--state-dir" in done.stderr
    assert "Traceback" not in done.output
    assert "files unchanged\nlogin unchanged\n" in done.stdout, done.output
    assert int(done.stdout.split()[-1]) < 10_000, "what was unpacked is still there"


@pytest.mark.parametrize("signal", ["TERM", "KILL"])
def test_the_login_is_on_no_disk_while_a_command_runs_and_back_afterwards(signal: str, in_shell: InShell) -> None:
    """RUN is root, and may read everything but the memory of the builder."""
    dockerfile = f"""FROM BUSYBOX
RUN if grep -rq {PASSWORD[:-1]}[y] /kaniko /root /tmp /dev/shm /proc/[0-9]*/environ; \
    then touch /workspace/found; fi 2> /dev/null; touch /workspace/started; sleep 600
"""
    script = f"""{LIST}{LOGIN}
    $BUILD --no-push & while [ ! -e /workspace/started ]; do sleep 0.1; done; rm /workspace/started
    kill -{signal} $!; wait $!
    for i in $(seq 100); do test -e /kaniko/.docker/config.json && break; sleep 0.1; done
    $BUILD --no-push --dockerfile Dockerfile.next || exit 1
    {UNCHANGED} ls /dev/shm; ls /workspace | grep found || true
    """
    dockerfiles = {
        "Dockerfile": dockerfile,
        "Dockerfile.next": "FROM BUSYBOX\nRUN test ! -e /kaniko/.docker/config.json\n",
    }
    done = in_shell(script, dockerfiles=dockerfiles).ok()
    assert done.stdout == "files unchanged\nlogin unchanged\n", done.output
    assert PASSWORD not in done.output


@pytest.mark.exhaustive
def test_a_login_that_died_with_all_processes_is_named(in_shell: InShell) -> None:
    script = f"""{LIST}{LOGIN}
    $BUILD --no-push & while [ ! -e /workspace/started ]; do sleep 0.1; done; rm /workspace/started
    kill -KILL $(ls /proc | grep -E '^[0-9]+$' | grep -v -x -e 1 -e $$)
    $BUILD --no-push --dockerfile Dockerfile.next
    """
    dockerfiles = {
        "Dockerfile": "FROM BUSYBOX\nRUN touch /workspace/started; sleep 600\n",
        "Dockerfile.next": "FROM BUSYBOX\nRUN true\n",
    }
    done = in_shell(script, dockerfiles=dockerfiles).ok()
    assert "/kaniko/.docker/config.json is lost" in done.stderr
    assert "log in again" in done.stderr


def test_a_secret_is_in_memory_and_gone_after_a_kill(in_shell: InShell) -> None:
    dockerfile = """FROM BUSYBOX
RUN --mount=type=secret,id=one --mount=type=secret,id=two,target=/etc/two,mode=0444 \\
    stat -L -f -c %T /run/secrets/one /etc/two > /workspace/where; cat /run/secrets/one /etc/two > /workspace/what; \\
    touch /workspace/started; sleep 600
"""
    script = """
    cd /workspace
    echo first > one; echo second > two
    $BUILD --no-push --secret id=one,src=/workspace/one --secret id=two,src=/workspace/two &
    while [ ! -e /workspace/started ]; do sleep 0.1; done
    find /dev -name '.secrets-*' | wc -l; kill -KILL $!; wait $!
    for i in $(seq 100); do test -z "$(find /dev -name '.secrets-*')" && break; sleep 0.1; done
    find /dev -name '.secrets-*'; cat where what
    """
    done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}).ok()
    assert done.stdout.split() == ["2", "tmpfs", "tmpfs", "first", "second"], done.output


def test_what_a_base_has_where_the_container_has_mounts(
    in_shell: InShell, registry: LoopbackRegistry, scratch: Path
) -> None:
    """The image has what its base has, and nothing of the mounts; commands see the mounts, but behind no link."""
    given, shared = scratch / "given", scratch / "shared"
    for directory in (given, shared):
        directory.mkdir()
        (directory / "token").write_text("of the container")
    base, reference = registry.reference("in-place/crossing:base"), registry.reference("in-place/crossing:1")
    options = (
        f"--volume={given}:/directory:ro",
        f"--volume={given}/token:/file:ro",
        f"--volume={given}:/var/run/secrets/kubernetes.io/serviceaccount:ro",
        f"--volume={shared}:/same/directory",
    )
    dockerfiles = {
        "Dockerfile.base": """FROM BUSYBOX
COPY Dockerfile.base /directory
COPY Dockerfile.base /file/inside
COPY Dockerfile.base /same/directory/of-the-base
""",
        "Dockerfile": f"""FROM {base}
RUN cat /directory/token /file /same/directory/token > /seen; ls /var/run/secrets || echo pid > /var/run/pid
RUN echo x > /same/directory/new; rm -rf /same /directory /file 2> /dev/null; echo y > /made
""",
    }
    script = f"""
    /kaniko/executor --insecure --context /workspace -f Dockerfile.base --destination {base} || exit 1
    {LIST.replace("-xdev", "-xdev ! -path '/var*' ! -path '/same*'")}
    $BUILD --destination {reference} || exit 1
    list > /workspace/after; diff /workspace/before /workspace/after && echo unchanged
    cat /directory/token /file /var/run/secrets/kubernetes.io/serviceaccount/token
    """
    done = in_shell(script, dockerfiles=dockerfiles, options=options).ok()
    assert done.stdout == "unchanged\n" + "of the container" * 3, done.output
    for path in ("/directory", "/file", "/same/directory"):
        assert done.stderr.count(f"and {path} is a mount of this container") == 1, done.output
    image = list_image(registry, "in-place/crossing", "1")
    assert image.text("seen") == "of the container" * 3
    assert image.text("directory").startswith("FROM")
    assert image.text("file/inside").startswith("FROM")
    assert image.text("same/directory/of-the-base").startswith("FROM")
    assert image.files["var/run"].type == "symlink"
    assert [sorted(path for path, _ in layer) for layer in image.layers[-2:]] == [
        ["run", "run/pid", "seen"],
        ["made"],
    ]
    assert (given / "token").read_text() == "of the container"
