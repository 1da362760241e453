"""``--secret`` and ``--ssh``."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from builder.cli.arguments import parse
from builder.cli.confidential import confidential, values
from builder.cli.flags import BUILD_FLAGS
from builder.engine.secret_sources import Confidential, SecretSource
from builder.errors import UsageError


def parsed(*argv: str, **environment: str) -> Confidential:
    return confidential(parse(BUILD_FLAGS, argv, environment), environment)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("id=a,src=/f", SecretSource(file=Path("/f"))),
        ("id=a,source=f", SecretSource(file=Path.cwd() / "f")),
        ("id=a,type=file,src=/f", SecretSource(file=Path("/f"))),
        ("id=a,env=B", SecretSource(variable="B")),
        ("id=a,type=env,src=B", SecretSource(variable="B")),
        ("type=env,id=SET", SecretSource(variable="SET")),
        ("id=SET", SecretSource(variable="SET")),
        ("id=SET,type=file", SecretSource(file=Path.cwd() / "SET")),
        ("id=unset", SecretSource(file=Path.cwd() / "unset")),
    ],
)
def test_secrets(text: str, source: SecretSource) -> None:
    assert list(parsed(f"--secret={text}", SET="x").secrets.values()) == [source]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--secret=src=/f"], "--secret needs an id"),
        (["--secret=a"], "--secret takes KEY=VALUE, not 'a'"),
        (["--secret=id=a,mode=1"], "--secret is one of id, src, source, env, type, not 'mode'"),
        (["--secret=id=a,type=vault"], "--secret type is one of file, env, not 'vault'"),
        (["--secret=id=a,src=/f,env=B"], "'a' has both a file and a variable"),
        (["--secret=id=a,type=file,env=B"], "'a' has type=file and a variable"),
        (["--secret=id=a,env=B", "--secret=id=a,env=C"], "'a' is given twice"),
        (["--ssh=default"], "--ssh default: SSH_AUTH_SOCK is not set"),
        (["--ssh=a=/dev/null"], "--ssh a: /dev/null is not a socket"),
        (["--ssh==x"], "--ssh takes ID or ID=SOCKET, not '=x'"),
    ],
)
def test_errors(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parsed(*argv)
    assert message in caught.value.message


def test_agents(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        first.bind(str(one))
        second.bind(str(two))
        found = parsed("--ssh=default", f"--ssh=other={two}", SSH_AUTH_SOCK=str(one))
    assert found.agents == {"default": one, "other": two}


def test_values_are_known_before_the_build(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"from a file \xff")
    environment = {"B": "from a variable"}
    found = parsed(f"--secret=id=a,src={tmp_path}/f", "--secret=id=b,env=B", "--secret=id=c,env=UNSET")
    assert values(found, environment) == ["from a file \N{REPLACEMENT CHARACTER}", "from a variable"]
    with pytest.raises(UsageError, match="the secret 'a' cannot be read from /no/such"):
        values(parsed("--secret=id=a,src=/no/such"), {})
