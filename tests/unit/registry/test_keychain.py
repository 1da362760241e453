from __future__ import annotations

import base64
import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from builder.errors import BuilderError
from builder.image.reference import Reference
from builder.registry.credentials import Credentials
from builder.registry.keychain import DockerKeychain, config_directory

SECRET = "s3cr3t-value"


def encoded(username: str, password: str) -> dict[str, str]:
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def keychain(tmp_path: Path, config: Any, **environment: str) -> DockerKeychain:
    (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    return DockerKeychain({"DOCKER_CONFIG": str(tmp_path), **environment})


def found(chain: DockerKeychain, reference: str) -> tuple[str, str] | None:
    credentials = chain.credentials(Reference.parse(reference))
    return (credentials.username, credentials.password) if credentials else None


@pytest.mark.parametrize(
    ("key", "reference", "fits"),
    [
        ("registry.example.com", "registry.example.com/a/b", True),
        ("registry.example.com/a", "registry.example.com/a/b", True),
        ("registry.example.com/a/b", "registry.example.com/a/b", True),
        ("registry.example.com/a", "registry.example.com/ab/c", False),
        ("registry.example.com/a/b/c", "registry.example.com/a/b", False),
        ("registry.example.com", "registry.example.com:5000/a", False),
        ("registry.example.com:5000", "registry.example.com:5000/a", True),
        ("registry.example.com:5000", "registry.example.com/a", False),
        ("registry.example.com", "registry.example.com:443/a", True),
        ("registry.example.com:443", "registry.example.com/a", True),
        ("https://registry.example.com/v2/", "registry.example.com/a", True),
        ("http://registry.example.com/v1/", "registry.example.com/a", True),
        ("REGISTRY.example.com", "registry.example.com/a", True),
        ("HTTPS://Registry.example.com/v2/", "registry.example.com/a", True),
        ("example.com", "registry.example.com/a", False),
        ("https://index.docker.io/v1/", "alpine", True),
        ("docker.io", "alpine", True),
        ("registry-1.docker.io", "team/app", True),
        ("docker.io/team", "team/app", True),
        ("docker.io/team", "other/app", False),
    ],
)
def test_which_entry_covers_what(tmp_path: Path, key: str, reference: str, fits: bool) -> None:
    chain = keychain(tmp_path, {"auths": {key: encoded("user", "pass")}})
    assert found(chain, reference) == (("user", "pass") if fits else None)


def test_the_longest_path_wins(tmp_path: Path) -> None:
    auths = {"h.example": encoded("host", "1"), "h.example/a/b": encoded("ab", "2"), "h.example/a": encoded("a", "3")}
    chain = keychain(tmp_path, {"auths": auths})
    names = [found(chain, f"h.example/{path}") for path in ("x", "a/x", "a/b", "a/b/c")]
    assert names == [("host", "1"), ("a", "3"), ("ab", "2"), ("ab", "2")]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (encoded("user", "pa:ss"), Credentials(username="user", password="pa:ss")),
        (encoded("user", "pass\0\0"), Credentials(username="user", password="pass")),
        ({"username": "user", "password": "pass"}, Credentials(username="user", password="pass")),
        ({"auth": "", "identitytoken": "id"}, Credentials(identity_token="id")),
        (encoded("<token>", "id"), Credentials(identity_token="id")),
        ({"registrytoken": "reg"}, Credentials(registry_token="reg")),
        ({}, None),
        ({"email": "x@example.com"}, None),
    ],
)
def test_forms_of_an_entry(tmp_path: Path, entry: dict[str, str], expected: Credentials | None) -> None:
    got = keychain(tmp_path, {"auths": {"h.example": entry}}).credentials(Reference.parse("h.example/a"))
    assert (got and (got.username, got.password, got.identity_token, got.registry_token)) == (
        expected and (expected.username, expected.password, expected.identity_token, expected.registry_token)
    )


def test_the_variable_goes_before_the_file(tmp_path: Path) -> None:
    variable = json.dumps({"auths": {"h.example": encoded("variable", "x")}})
    file = {"auths": {"h.example": encoded("file", "x"), "other.example": encoded("file", "x")}}
    chain = keychain(tmp_path, file, DOCKER_AUTH_CONFIG=variable)
    assert (found(chain, "h.example/a"), found(chain, "other.example/a")) == (("variable", "x"), ("file", "x"))


def test_the_home_directory_is_used_without_docker_config(tmp_path: Path) -> None:
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker/config.json").write_text(json.dumps({"auths": {"h.example": encoded("home", "x")}}))
    assert found(DockerKeychain({"HOME": str(tmp_path)}), "h.example/a") == ("home", "x")
    assert config_directory({"HOME": str(tmp_path)}) == tmp_path / ".docker"


@pytest.mark.parametrize(
    "config",
    [
        f'{{"auths": {{"h.example": {{"auth": "{SECRET}"',
        json.dumps({"auths": {"h.example": {"auth": f"!{SECRET}!"}}}),
        json.dumps({"auths": {"h.example": {"auth": base64.b64encode(SECRET.encode()).decode()}}}),
        json.dumps({"auths": SECRET}),
        json.dumps([SECRET]),
        "[" * 100_000,
    ],
)
def test_damaged_configs_name_the_file_and_show_nothing(tmp_path: Path, config: str) -> None:
    with pytest.raises(BuilderError, match=str(tmp_path / "config.json")) as caught:
        found(keychain(tmp_path, config), "h.example/a")
    assert SECRET not in str(caught.value)


def test_where_was_looked(tmp_path: Path) -> None:
    chain = keychain(tmp_path, {"auths": {"h.example": encoded("user", SECRET)}})
    without, with_entry = (chain.describe(Reference.parse(f"{host}/a")) for host in ("other.example", "h.example"))
    assert "DOCKER_AUTH_CONFIG (not set)" in without
    assert str(tmp_path / "config.json") in without
    assert "builder login other.example" in without
    assert f"{tmp_path / 'config.json'} (h.example)" in with_entry
    assert SECRET not in with_entry


def helper(tmp_path: Path, name: str, script: str) -> dict[str, str]:
    """A credential helper in PATH; returns the environment to use it."""
    program = tmp_path / f"docker-credential-{name}"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def test_helpers_get_the_server_and_answer(tmp_path: Path) -> None:
    script = 'read server; printf \'{"ServerURL":"%s","Username":"%s","Secret":"x"}\' "$server" "$1-$server"'
    environment = helper(tmp_path, "named", script)
    config = {"credHelpers": {"h.example:5000": "named"}, "auths": {"h.example:5000": encoded("auths", "y")}}
    chain = keychain(tmp_path, config, **environment)
    assert found(chain, "h.example:5000/a") == ("get-h.example:5000", "x")


def test_the_store_comes_last_and_docker_hub_has_its_old_name(tmp_path: Path) -> None:
    environment = helper(tmp_path, "all", 'read s; printf \'{"Username":"<token>","Secret":"%s"}\' "$s"')
    chain = keychain(tmp_path, {"credsStore": "all", "auths": {"h.example": encoded("auths", "y")}}, **environment)
    assert found(chain, "h.example/a") == ("auths", "y")
    hub = chain.credentials(Reference.parse("alpine"))
    assert hub is not None
    assert hub.identity_token == "https://index.docker.io/v1/"


def test_a_helper_that_finds_nothing_means_anonymous(tmp_path: Path) -> None:
    environment = helper(tmp_path, "none", "echo 'credentials not found in native keychain'; exit 1")
    assert found(keychain(tmp_path, {"credsStore": "none"}, **environment), "h.example/a") is None


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (f"echo {SECRET}; exit 3", "failed with status 3"),
        (f"echo {SECRET}", "answered no credentials"),
        (f"echo '[\"{SECRET}\"]'", "answered no credentials"),
        ("kill -SEGV $$", "failed with status 139"),
    ],
)
def test_broken_helpers(tmp_path: Path, script: str, message: str) -> None:
    chain = keychain(tmp_path, {"credsStore": "bad"}, **helper(tmp_path, "bad", script))
    with pytest.raises(BuilderError, match=message) as caught:
        found(chain, "h.example/a")
    assert SECRET not in str(caught.value)


def test_a_helper_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="docker-credential-absent is not installed"):
        found(keychain(tmp_path, {"credsStore": "absent"}, PATH=str(tmp_path)), "h.example/a")


def test_a_helper_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(BuilderError, match="not valid"):
        found(keychain(tmp_path, {"credsStore": "../../bin/sh"}), "h.example/a")


def test_credentials_hide_their_secrets() -> None:
    credentials = Credentials(username=SECRET, password=SECRET, identity_token=SECRET, registry_token=SECRET)
    assert SECRET not in repr(credentials)


def test_a_path_goes_before_the_helper_of_the_host(tmp_path: Path) -> None:
    environment = helper(tmp_path, "named", 'read s; printf \'{"Username":"helper","Secret":"x"}\'')
    auths = {"h.example": encoded("host", "1"), "h.example/group/project": encoded("path", "2")}
    chain = keychain(tmp_path, {"credHelpers": {"h.example": "named"}, "auths": auths}, **environment)
    names = [found(chain, f"h.example/group/{path}") for path in ("project", "project/x", "projects", "other")]
    assert names == [("path", "2"), ("path", "2"), ("helper", "x"), ("helper", "x")]


def test_the_helper_of_a_host_is_not_asked_for_others(tmp_path: Path) -> None:
    environment = helper(tmp_path, "named", f"echo asked >> {tmp_path}/log; echo 'credentials not found'; exit 1")
    chain = keychain(tmp_path, {"credHelpers": {"h.example": "named"}}, **environment)
    for name in ("other.example/a", "h.example:5000/a", "sub.h.example/a"):
        assert found(chain, name) is None
    assert not (tmp_path / "log").exists()


def test_a_helper_is_asked_once_and_then_again_when_tokens_are_old(tmp_path: Path) -> None:
    script = (
        f'echo x >> {tmp_path}/log; read s; printf \'{{"Username":"u","Secret":"%s"}}\' "$(wc -l < {tmp_path}/log)"'
    )
    environment = helper(tmp_path, "ecr-login", script)
    (tmp_path / "config.json").write_text(json.dumps({"credHelpers": {"h.example": "ecr-login"}}))
    times = iter((0.0, 0.0, 599.0, 601.0, 601.0))
    chain = DockerKeychain({"DOCKER_CONFIG": str(tmp_path), **environment}, lambda: next(times))
    secrets = [found(chain, "h.example/a") for _ in range(3)]
    assert secrets == [("u", "1"), ("u", "1"), ("u", "2")]


def test_the_default_port_is_left_out(tmp_path: Path) -> None:
    """As GitLab documents it for its dependency proxy, whose images have the port in their names."""
    environment = helper(tmp_path, "all", 'read s; printf \'{"Username":"u","Secret":"%s"}\' "$s"')
    chain = keychain(tmp_path, {"credsStore": "all"}, **environment)
    assert found(chain, "gitlab.example.com:443/group/dependency_proxy/containers/alpine") == (
        "u",
        "gitlab.example.com",
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exec yes", "printed more than 1048576 bytes"),
        ("exec yes >&2", "printed more than 1048576 bytes"),
        ("sleep 1000 & wait", "did not finish within 1 seconds"),
        ("exec >&- 2>&-; sleep 1000", "did not finish within 1 seconds"),
    ],
)
def test_helpers_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str) -> None:
    if "sleep" in script:
        monkeypatch.setattr("builder.registry.credential_helper._TIMEOUT", 1.0)
    environment = helper(tmp_path, "bad", f"echo $$ > {tmp_path}/pid\n{script}")
    with pytest.raises(BuilderError, match=rf"docker-credential-bad {message} \(asked for h\.example\)"):
        found(keychain(tmp_path, {"credsStore": "bad"}, **environment), "h.example/a")
    started = tmp_path / "pid"  # on a busy machine it may not even have come to that
    deadline = time.monotonic() + 60
    while started.exists() and living(started.read_text().strip()) and time.monotonic() < deadline:
        time.sleep(0.01)  # those that were killed are on their way
    assert not started.exists() or living(started.read_text().strip()) == []


def living(group: str) -> list[str]:
    """The names of the processes of a group that have not ended (the dead may wait for whoever adopted them)."""
    names = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = file.read_text().rpartition(") ")
            state, _, its_group = rest.split()[:3]
            names += [name] if its_group == group and state != "Z" else []
    return names


def test_a_helper_that_leaves_somebody_behind(tmp_path: Path) -> None:
    environment = helper(tmp_path, "all", 'sleep 1000 & printf \'{"Username":"u","Secret":"s"}\'')
    assert found(keychain(tmp_path, {"credsStore": "all"}, **environment), "h.example/a") == ("u", "s")


@pytest.mark.parametrize("content", ["", " \n", "null", "{}", '{"auths": null}'])
def test_a_file_with_nothing_in_it(tmp_path: Path, content: str) -> None:
    """A job's `touch config.json`, and what ``docker logout`` leaves."""
    assert found(keychain(tmp_path, content), "h.example/a") is None


@pytest.mark.parametrize("content", ["[]", '"text"', "5", '{"auths": [1]}'])
def test_a_file_that_is_no_config(tmp_path: Path, content: str) -> None:
    with pytest.raises(BuilderError, match="auths is not an object"):
        found(keychain(tmp_path, content), "h.example/a")


@pytest.mark.parametrize("mark", ["\ufeff", ""])
def test_a_byte_order_mark(tmp_path: Path, mark: str) -> None:
    text = mark + json.dumps({"auths": {"h.example": encoded("user", "pass")}})
    assert found(keychain(tmp_path, text), "h.example/a") == ("user", "pass")
    assert found(DockerKeychain({"DOCKER_AUTH_CONFIG": text}), "h.example/a") == ("user", "pass")


@pytest.mark.parametrize("end", ["\n", "", "\r\n"])
def test_base64_as_programs_write_it(tmp_path: Path, end: str) -> None:
    """In lines of 76 letters, or without what fills it up at its end."""
    password = "p" * 101
    text = base64.b64encode(f"user:{password}".encode()).decode()
    broken = end.join(text[at : at + 76] for at in range(0, len(text), 76)) + end
    entry = {"auth": broken.rstrip("=") if not end else broken}
    assert found(keychain(tmp_path, {"auths": {"h.example": entry}}), "h.example/a") == ("user", password)


def test_a_path_in_place_of_the_content() -> None:
    """What a variable of GitLab's type File is."""
    with pytest.raises(BuilderError, match="DOCKER_AUTH_CONFIG is not valid JSON") as caught:
        found(DockerKeychain({"DOCKER_AUTH_CONFIG": "/builds/group/project.tmp/DOCKER_AUTH_CONFIG"}), "h.example/a")
    assert "the type Variable, not File" in (caught.value.hint or "")
