"""Builds in place: in containers of the real Docker Engine, with Docker's own seccomp filter and capabilities."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.in_place import LIST, InShell
from support.listing import list_image
from support.registry import LoopbackRegistry

pytestmark = pytest.mark.usefixtures("as_root")

FAILING = {
    "a success": ("FROM BUSYBOX\nRUN echo x > /made; rm -rf /opt /root\n", "", 0),
    "a failed command": ("FROM BUSYBOX\nRUN rm -rf /opt; exit 7\n", "", 1),
    "a base that is not there": ("FROM BUSYBOX-not-there\nRUN true\n", "", 1),
    "two stages": ("FROM BUSYBOX AS a\nRUN echo x > /x\nFROM BUSYBOX\nCOPY --from=a /x /y\nRUN cat /y\n", "", 0),
    "SIGTERM": ("FROM BUSYBOX\nRUN touch /workspace/started; sleep 600\n", "-TERM", 143),
    "SIGHUP": ("FROM BUSYBOX\nRUN touch /workspace/started; sleep 600\n", "-HUP", 129),
}


@pytest.mark.parametrize("what", FAILING)
def test_the_containers_files_are_back_afterwards(what: str, in_shell: InShell) -> None:
    dockerfile, signal, status = FAILING[what]
    stop = (
        f"while [ ! -e /workspace/started ]; do sleep 0.1; done; rm /workspace/started; kill {signal} $!"
        if signal
        else ""
    )
    script = f"""{LIST}
    $BUILD --no-push & {stop}
    wait $!
    echo "status $?"
    list > /workspace/after
    diff /workspace/before /workspace/after && echo unchanged; ls /kaniko/in-place; ps | grep '[s]leep 600'; true
    """
    done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}).ok()
    assert f"status {status}\n" in done.stdout, done.output
    assert "unchanged" in done.stdout, done.output
    assert "No such file" in done.stderr, "something is left aside"


def test_after_a_kill_the_next_build_puts_the_files_back(in_shell: InShell) -> None:
    script = f"""{LIST}
    echo '{{"auths": {{}}}}' > /kaniko/.docker/config.json
    $BUILD -f Dockerfile.long --no-push &
    while [ ! -e /workspace/started ]; do sleep 0.1; done; rm /workspace/started
    kill -KILL $!; wait $!
    test -e /opt && echo not moved; test -e /kaniko/.docker/config.json && echo not hidden
    sleep 1; ps | grep -q '[s]leep 600' && echo still running
    $BUILD --no-push || exit 1
    list > /workspace/after
    diff /workspace/before /workspace/after && echo unchanged; cat /kaniko/.docker/config.json
    """
    dockerfiles = {
        "Dockerfile.long": "FROM BUSYBOX\nRUN touch /workspace/started; sleep 600\n",
        "Dockerfile": "FROM BUSYBOX\nRUN test ! -e /opt\n",
    }
    done = in_shell(script, dockerfiles=dockerfiles).ok()
    assert done.stdout.splitlines() == ["unchanged", '{"auths": {}}'], done.output
    assert "put back the container's files" in done.stderr


def test_materialize_leaves_the_image_until_the_next_build(in_shell: InShell) -> None:
    script = f"""{LIST}
    $BUILD --no-push --materialize || exit 1
    cat /copied /usr/lib/second; test -e /opt && echo old
    $BUILD --no-push --materialize --cleanup || exit 1
    list > /workspace/after; diff /workspace/before /workspace/after && echo unchanged
    """
    dockerfile = "FROM BUSYBOX\nCOPY Dockerfile /copied\n"
    done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}).ok()
    assert done.stdout.splitlines()[1:] == ["COPY Dockerfile /copied", "one file of two names", "unchanged"]


def test_what_a_command_sees(in_shell: InShell, registry: LoopbackRegistry) -> None:
    dockerfile = """FROM BUSYBOX
USER app
WORKDIR /home/app/deep
RUN id -u; id -g; pwd; umask; env | grep -c -i -e secret -e python -e ssl; \\
    ls -l /proc/self/fd 2> /dev/null | grep -c -e '->'
RUN cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | grep -c TOKEN=; ls /kaniko/.docker
USER root
RUN trap '' HUP TERM; (sleep 700 & sleep 700 &); echo $$ > /pid
RUN ps | grep -c 'sleep [7]00'; ls /dev/left /dev/shm/left; touch /dev/left /dev/shm/left
RUN ls /dev/left /dev/shm/left 2>&1 | grep -c 'No such'
RUN cat /proc/[0-9]*/stat | grep -c ' Z '; true
"""
    script = """
    echo '{"auths": {}}' > /kaniko/.docker/config.json
    $BUILD --no-push
    """
    done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}, CI_JOB_TOKEN="hidden-from-commands").ok()
    said = re.findall(r"(?m)^\[\d/\d\] \| (.*)", done.stderr)
    assert said[:6] == ["1000", "1000", "/home/app/deep", "0022", "0", "3"], done.output
    assert said[6:8] == ["0", "0"], "credentials that can be read, or processes of the command before"
    assert said[10:] == ["2", "0"], done.output
    assert "hidden-from-commands" not in done.output
    assert "can read credentials in the environment of sh (process 1)" in done.stderr


def test_secrets_and_other_mounts_leave_no_trace(in_shell: InShell, registry: LoopbackRegistry) -> None:
    dockerfile = """FROM BUSYBOX
RUN --mount=type=secret,id=password,target=/run/secrets/password \\
    --mount=type=cache,target=/var/cache/kept --mount=type=tmpfs,target=/usr/share \\
    --mount=type=bind,source=Dockerfile,target=/etc/dockerfile \\
    grep -q hunter /run/secrets/password && cp /etc/dockerfile /var/cache/kept/ && ls /usr/share | wc -l > /count
RUN --mount=type=cache,target=/var/cache/kept ls /var/cache/kept > /kept
"""
    reference = registry.reference("in-place/mounts:1")
    script = f"""
    echo hunter22 > /workspace/secret
    $BUILD --secret id=password,src=/workspace/secret --destination {reference} && find / -xdev -name 'password*'
    """
    done = in_shell(script, dockerfiles={"Dockerfile": dockerfile}).ok()
    assert done.stdout == "", done.output
    image = list_image(registry, "in-place/mounts", "1")
    assert [sorted(path for path, _ in layer) for layer in image.layers[-2:]] == [["count"], ["kept"]]


def test_a_base_with_its_own_kaniko(in_shell: InShell, registry: LoopbackRegistry) -> None:
    base, reference = registry.reference("in-place/kaniko:base"), registry.reference("in-place/kaniko:1")
    script = f"""
    $BUILD -f Dockerfile.base --destination {base} && $BUILD --destination {reference}
    """
    dockerfiles = {
        "Dockerfile.base": "FROM BUSYBOX\nCOPY Dockerfile /kaniko/executor\nCOPY Dockerfile /workspace/of-the-image\n",
        "Dockerfile": f"FROM {base}\nRUN test -s /kaniko/executor && rm -f /kaniko/nothing && echo x > /made\n",
    }
    done = in_shell(script, dockerfiles=dockerfiles).ok()
    assert done.stderr.count("the image has files below /kaniko") == 1, done.output
    image = list_image(registry, "in-place/kaniko", "1")
    assert sorted(path for path, _ in image.layers[-1]) == ["made"]


def test_a_read_only_config_is_told_of_once(in_shell: InShell, scratch: Path) -> None:
    config = scratch / "config.json"
    config.write_text("{}")
    dockerfile = "FROM BUSYBOX\nRUN true\nRUN true\n"
    options = (f"--volume={config}:/kaniko/.docker/config.json:ro",)
    done = in_shell("$BUILD --no-push", dockerfiles={"Dockerfile": dockerfile}, options=options).ok()
    assert done.stderr.count("commands of the Dockerfile can read /kaniko/.docker/config.json") == 1, done.output


REFUSED = {
    "a root that cannot be written": (
        ("--read-only", "--tmpfs=/kaniko/state", "--tmpfs=/kaniko/in-place"),
        "root directory cannot be written: Read-only file system",
    ),
    "no capabilities as another user": (
        ("--user=1234:0", "--cap-drop=ALL", "--env=BUILDER_STATE_DIR=/tmp/state", "--tmpfs=/tmp:mode=1777"),
        r"(?s)unshare CLONE_NEWUSER.*in place as user 1234.*runAsUser: 0",
    ),
    "root without capabilities": (
        ("--cap-drop=ALL",),
        r"in place: chown and setuid need the capabilities CAP_CHOWN.*\n.*\n.*capabilities\.add",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_where_commands_cannot_run_the_rest_still_builds(why: str, in_shell: InShell) -> None:
    options, message = REFUSED[why]
    dockerfiles = {
        "Dockerfile": "FROM BUSYBOX\nCOPY Dockerfile /\n",
        "Dockerfile.run": "FROM BUSYBOX\nRUN true\n",
    }
    in_shell("$BUILD --no-push", dockerfiles=dockerfiles, options=options).ok()
    in_shell("exec $BUILD --no-push -f Dockerfile.run", options=options).failed(message)


def test_network_none(in_shell: InShell) -> None:
    dockerfiles = {"Dockerfile": "FROM BUSYBOX\nRUN --network=none true\n"}
    in_shell("exec $BUILD --no-push", dockerfiles=dockerfiles).failed("network=none cannot be had in place")
