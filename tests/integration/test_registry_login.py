"""``builder login`` against real registries; and other people's tools with what it has written."""

from __future__ import annotations

import base64
import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.builder import Builder
from support.certificates import certificate
from support.containers import skopeo_inspect
from support.contexts import MakeContext
from support.registry import PASSWORD, USER, LoopbackRegistry
from support.tls_registry import TlsRegistry

STDIN = ("--username", USER, "--password-stdin")


@pytest.fixture(scope="module")
def closed() -> Iterator[LoopbackRegistry]:
    """A registry that wants a user and password."""
    with LoopbackRegistry(htpasswd=True) as running:
        yield running


def config_of(builder: Builder) -> Path:
    return builder.home / ".docker/config.json"


def test_log_in_and_push(
    user_builder: Builder, closed: LoopbackRegistry, repository: str, make_context: MakeContext
) -> None:
    done = user_builder.run("login", closed.host, *STDIN, stdin=f"{PASSWORD}\n".encode()).ok()
    assert f"logged in to {closed.host} as {USER}" in done.stderr
    assert PASSWORD not in done.output
    file = config_of(user_builder)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    entry = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert json.loads(file.read_text()) == {"auths": {closed.host: {"auth": entry}}}
    context = make_context({"Dockerfile": "FROM scratch\nCOPY a /\n", "a": "x"})
    name = closed.reference(f"{repository}:1")
    user_builder.run("--context", context, "--destination", name).ok()
    assert skopeo_inspect(f"docker://{name}", f"--authfile={file}")["Layers"]


def test_what_is_there_stays_and_an_older_entry_goes(user_builder: Builder, closed: LoopbackRegistry) -> None:
    file = config_of(user_builder)
    file.parent.mkdir()
    before = {
        "proxies": {"default": {"httpProxy": "http://p:1"}},
        "auths": {f"https://{closed.host}/v2/": {"auth": "b2xkOm9sZA=="}, "other.example": {"auth": "eDp5"}},
    }
    (file.parent / "real.json").write_text(json.dumps(before))
    file.symlink_to("real.json")
    for path in (file.parent, file.parent / "real.json"):
        path.chmod(0o777)
    user_builder.run("login", f"https://{closed.host}", *STDIN, stdin=PASSWORD.encode()).ok()
    after = json.loads(file.read_text())
    assert file.is_symlink()
    assert after["proxies"] == before["proxies"]
    assert sorted(after["auths"]) == sorted([closed.host, "other.example"])
    assert sorted(path.name for path in file.parent.iterdir()) == ["config.json", "real.json"]


def test_a_path(user_builder: Builder, closed: LoopbackRegistry) -> None:
    user_builder.run("login", f"{closed.host}/group", "-u", USER, "-p", PASSWORD).ok()
    warned = user_builder.run("login", f"{closed.host}/group/project", "-u", USER, f"-p{PASSWORD}").ok()
    assert "use --password-stdin" in warned.stderr
    found = json.loads(config_of(user_builder).read_text())["auths"]
    assert sorted(found) == [f"{closed.host}/group", f"{closed.host}/group/project"]


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (STDIN, b"wrong-password", f"refuses the user '{USER}' and the password: 401 Unauthorized"),
        (STDIN, b"\n", "there is no password on standard input"),
        (("--username", USER), b"", "login needs --password-stdin"),
        (("--password-stdin",), b"x", "login needs --username"),
        ((*STDIN, "-p", "x"), b"x", "two ways for the same"),
        ((*STDIN, "second"), b"x", "not also 'second'"),
    ],
)
def test_what_is_refused(
    user_builder: Builder, closed: LoopbackRegistry, arguments: tuple[str, ...], stdin: bytes, message: str
) -> None:
    refused = user_builder.run("login", closed.host, *arguments, stdin=stdin)
    refused.failed(message)
    assert "wrong-password" not in refused.output
    assert not config_of(user_builder).exists()


def test_by_tls(user_builder: Builder, scratch: Path) -> None:
    shown, client = certificate(scratch), certificate(scratch, "client")
    client.key.chmod(0o644)
    with TlsRegistry(shown, htpasswd=True, client=client) as registry:
        flags = (f"--registry-certificate={registry.host}={shown.authority}",
                 f"--registry-client-cert={registry.host}={client.file},{client.key}")  # fmt: skip
        arguments = ("login", registry.host, *STDIN)
        user_builder.run(*arguments, stdin=PASSWORD.encode()).failed("certificate is not accepted")
        user_builder.run(*arguments, *flags, stdin=PASSWORD.encode()).ok()
        assert registry.host in json.loads(config_of(user_builder).read_text())["auths"]


def test_a_credential_store(user_builder: Builder, closed: LoopbackRegistry, scratch: Path) -> None:
    kept = scratch / "kept"
    kept.touch()
    kept.chmod(0o666)
    program = scratch / "docker-credential-tests"
    program.write_text(f"#!/bin/sh\ncase $1 in store) cat > {kept};; get) cat {kept};; esac\n")
    program.chmod(0o755)
    file = config_of(user_builder)
    file.parent.mkdir()
    file.write_text('{"credsStore": "tests"}')
    for path in (file.parent, file):
        path.chmod(0o777)
    builder = user_builder.with_environment(PATH=f"{scratch}:/usr/bin:/bin")
    done = builder.run("login", closed.host, *STDIN, stdin=PASSWORD.encode()).ok()
    assert "docker-credential-tests" in done.stderr
    assert json.loads(kept.read_text()) == {"ServerURL": closed.host, "Username": USER, "Secret": PASSWORD}
    assert json.loads(file.read_text()) == {"credsStore": "tests", "auths": {closed.host: {}}}


def test_a_variable_that_goes_first_is_told(user_builder: Builder, closed: LoopbackRegistry) -> None:
    variable = json.dumps({"auths": {closed.host: {"auth": "eDp5"}}})
    builder = user_builder.with_environment(DOCKER_AUTH_CONFIG=variable)
    done = builder.run("login", closed.host, *STDIN, stdin=PASSWORD.encode()).ok()
    assert (
        f"DOCKER_AUTH_CONFIG ({closed.host}) has credentials for {closed.host}, too, and is asked first" in done.stderr
    )
