"""Wrong input: one clear message, exit code 1, no traceback, nothing pushed, nothing left behind."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import pytest
from support.bases import push_busybox
from support.builder import Builder
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.registry import LoopbackRegistry, unused_port

# Each case: the Dockerfile (BASE is replaced), what the message must say, as a regular expression over all of it.
CASES = {
    "unknown instruction": ("FROM BASE\nCOPPY a b\n", r"(?s)Dockerfile.*2.*COPPY.*hint: .*COPY"),
    "bad JSON form": ('FROM BASE\nSHELL ["sh", "-c"\n', r"(?s)Dockerfile.*2.*SHELL"),
    "no FROM": ("RUN true\n", r"(?s)Dockerfile.*1.*FROM"),
    "empty": ("# nothing\n", r"(?s)Dockerfile"),
    "COPY source missing": ("FROM BASE\nCOPY missing.txt /\n", r"(?s)Dockerfile.*2.*missing\.txt"),
    "COPY source outside of the context": ("FROM BASE\nCOPY ../../etc/passwd /\n", r"(?s)2.*etc/passwd"),
    "COPY --from a stage or image that is not there": (
        "FROM BASE\nCOPY --from=HOST/no/such:1 /a /\n",
        r"(?s)no/such.*(not found|no such|does not exist|unknown)",
    ),
    "COPY --from without the file": ("FROM BASE AS a\nFROM BASE\nCOPY --from=a /nothing /\n", r"(?s)3.*/?nothing"),
    "FROM an image that is not there": (
        "FROM HOST/no/such:1\nRUN true\n",
        r"(?s)no/such.*(not found|no such|does not exist|unknown)",
    ),
    "unknown user": ("FROM BASE\nUSER nobody-knows\nRUN true\n", r"(?s)nobody-knows"),
    "unknown --chown": ("FROM BASE\nCOPY --chown=nobody-knows Dockerfile /\n", r"(?s)2.*nobody-knows"),
    "unknown flag": ("FROM BASE\nCOPY --chwon=1 Dockerfile /\n", r"(?s)2.*--?chwon"),
    "failing RUN": ("FROM BASE\n\nRUN echo before && \\\n    exit 42\n", r"(?s)Dockerfile:3.*exit 42.*42"),
    "RUN of a program that is not there": (
        'FROM BASE\nRUN ["/no/such/program"]\n',
        r"(?s)Dockerfile:2.*/no/such/program",
    ),
    "RUN killed by a signal": ("FROM BASE\nRUN kill -9 $$\n", r"(?s)Dockerfile:2.*(137|SIGKILL)"),
}


@pytest.mark.parametrize("case", CASES)
def test_dockerfile(
    user_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
    case: str,
) -> None:
    dockerfile, message = CASES[case]
    dockerfile = dockerfile.replace("BASE", busybox["oci"]).replace("HOST", registry.host)
    context = make_context({"Dockerfile": dockerfile})
    _fails(user_builder, registry, repository, context, message)


def _fails(
    builder: Builder, registry: LoopbackRegistry, repository: str, context: Path, message: str, *arguments: str
) -> None:
    with nothing_left(builder.state, context):
        builder.build(context, f"--destination={registry.reference(repository)}:1", *arguments).failed(message)
    assert registry.tags(repository) == []
    assert repository not in registry.repositories()


def test_failing_run_as_root(
    root_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
) -> None:
    context = make_context({"Dockerfile": f"FROM {busybox['oci']}\nRUN sleep 1000 & exit 3\n"})
    _fails(root_builder, registry, repository, context, r"(?s)Dockerfile:2.*exit 3.*3")


def test_missing_dockerfile(
    user_builder: Builder, registry: LoopbackRegistry, make_context: MakeContext, repository: str
) -> None:
    context = make_context({"other": ""})
    _fails(user_builder, registry, repository, context, "Dockerfile")
    _fails(user_builder, registry, repository, context, "no-such-file", "--dockerfile=no-such-file")


def test_missing_context(user_builder: Builder, registry: LoopbackRegistry, scratch: Path, repository: str) -> None:
    with nothing_left(user_builder.state):
        destination = f"--destination={registry.reference(repository)}:1"
        user_builder.build(scratch / "no-such-directory", destination).failed("no-such-directory")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--destinaton=x"], r"(?s)--destinaton.*--destination"),
        (["--destination=localhost/UPPER/case:1"], "UPPER/case"),
        (["--target=nowhere", "--no-push"], "nowhere"),
        (["--isolation=magic", "--no-push"], "magic"),
        (["--no-push=perhaps"], "perhaps"),
        (["--custom-platform=a/b/c/d/e", "--no-push"], "a/b/c/d/e"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_flags(user_builder: Builder, make_context: MakeContext, arguments: list[str], message: str) -> None:
    context = make_context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    with nothing_left(user_builder.state, context):
        user_builder.build(context, *arguments).failed(message)


def test_unreachable_registry_to_pull_from(user_builder: Builder, make_context: MakeContext) -> None:
    with unused_port() as port:
        context = make_context({"Dockerfile": f"FROM 127.0.0.1:{port}/base:1\nCOPY Dockerfile /\n"})
        with nothing_left(user_builder.state, context):
            user_builder.build(context, "--no-push").failed(f"127.0.0.1:{port}")


def test_unreachable_registry_to_push_to(user_builder: Builder, make_context: MakeContext) -> None:
    """Found out before the first command runs, not after a long build."""
    with unused_port() as port:
        context = make_context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
        with nothing_left(user_builder.state, context):
            user_builder.build(context, f"--destination=127.0.0.1:{port}/image:1").failed(f"127.0.0.1:{port}")


# The time in a gzip header says nothing of the content: only the digest tells that this byte is another one.
@pytest.mark.parametrize(
    ("what", "offset", "message"),
    [("layers", 4, "digest"), ("layers", 300, "digest|damaged"), ("config", -2, "digest")],
    ids=["layer of the same content", "damaged layer", "config"],
)
def test_wrong_digest(
    user_builder: Builder,
    make_context: MakeContext,
    tmp_path_factory: pytest.TempPathFactory,
    what: str,
    offset: int,
    message: str,
) -> None:
    """A registry that serves other bytes than the manifest says, as many of them."""
    with LoopbackRegistry() as registry:
        base = push_busybox(registry, tmp_path_factory.mktemp("layout"))["oci"]
        manifest = registry.manifest("base/busybox", "oci")
        damaged = manifest["config"] if what == "config" else manifest["layers"][1]
        file = registry.blob_file(damaged["digest"])
        data = bytearray(file.read_bytes())
        data[offset] ^= 1
        file.write_bytes(data)
        context = make_context({"Dockerfile": f"FROM {base}\nRUN true\n"})
        short = damaged["digest"].removeprefix("sha256:")[:12]
        _fails(user_builder, registry, "image", context, f"(?s){short}.*({message})")
        assert _kept(user_builder.state, damaged["digest"]) == []


def _kept(state: Path, digest: str) -> list[Path]:
    return [path for path in state.rglob("*") if digest.removeprefix("sha256:") in path.name and path.is_file()]


def test_wrong_digest_of_a_manifest(
    user_builder: Builder,
    registry: LoopbackRegistry,
    busybox: dict[str, str],
    make_context: MakeContext,
    repository: str,
) -> None:
    wrong = f"sha256:{'0' * 64}"
    context = make_context({"Dockerfile": f"FROM {registry.reference('base/busybox')}@{wrong}\nRUN true\n"})
    _fails(
        user_builder, registry, repository, context, "(?s)base/busybox@sha256:000.*(not found|unknown|does not exist)"
    )


@pytest.mark.parametrize("direction", ["pull", "push"])
def test_unauthorized(user_builder: Builder, make_context: MakeContext, direction: str) -> None:
    with LoopbackRegistry(htpasswd=True) as closed:
        base = closed.reference("base:1") if direction == "pull" else "scratch"
        context = make_context({"Dockerfile": f"FROM {base}\nCOPY Dockerfile /\n"})
        arguments = ["--no-push"] if direction == "pull" else [f"--destination={closed.reference('image:1')}"]
        with nothing_left(user_builder.state, context):
            user_builder.build(context, *arguments).failed(f"(?is){re.escape(closed.host)}.*(unauthorized|401|log ?in)")
        assert closed.repositories() == []


def test_wrong_password_is_not_shown(user_builder: Builder, make_context: MakeContext) -> None:
    with LoopbackRegistry(htpasswd=True) as closed:
        token = base64.b64encode(b"tester:hunter2-very-secret").decode()
        config = user_builder.home / ".docker/config.json"
        config.parent.mkdir()
        config.write_text(json.dumps({"auths": {closed.host: {"auth": token}}}))
        context = make_context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
        destination = f"--destination={closed.reference('image:1')}"
        for verbosity in ("info", "trace"):
            outcome = user_builder.build(context, destination, f"--verbosity={verbosity}").failed(
                "(?i)unauthorized|401"
            )
            assert "hunter2" not in outcome.output
            assert token not in outcome.output


@pytest.mark.parametrize("content", [b"", b"not a tar", b"\x1f\x8b\x08\x00broken"], ids=["empty", "text", "half gzip"])
def test_push_of_what_is_no_image(
    user_builder: Builder, registry: LoopbackRegistry, scratch: Path, repository: str, content: bytes
) -> None:
    (scratch / "image.tar").write_bytes(content)
    destination = f"--destination={registry.reference(repository)}:1"
    with nothing_left(user_builder.state):
        user_builder.run("push", scratch / "image.tar", destination, "--insecure").failed(r"image\.tar")
        user_builder.run("push", scratch / "nothing.tar", destination, "--insecure").failed(r"nothing\.tar")
    assert registry.tags(repository) == []


@pytest.mark.parametrize("output", ["--tar-path", "--oci-layout-path", "--digest-file"])
def test_output_that_cannot_be_written(user_builder: Builder, make_context: MakeContext, output: str) -> None:
    context = make_context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    with nothing_left(user_builder.state, context):
        user_builder.build(context, "--no-push", f"{output}=/proc/no/such/place").failed("/proc/no/such")


def test_state_directory_that_cannot_be_written(user_builder: Builder, make_context: MakeContext) -> None:
    context = make_context({"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"})
    user_builder.build(context, "--no-push", "--state-dir=/proc/no/such/place").failed("/proc/no/such")
