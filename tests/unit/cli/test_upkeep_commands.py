"""``warm``, ``prune`` and ``du`` as their arguments have them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from builder.cache.garbage import Policy
from builder.cli.arguments import parse
from builder.cli.main import main, main_as
from builder.cli.prune import prune_policy
from builder.cli.upkeep_flags import PRUNE_FLAGS, WARM_FLAGS
from builder.cli.warm import WarmOptions, warm_options
from builder.errors import UsageError
from builder.image.platform import Platform

DIGEST = "sha256:" + "a" * 64


def warm(*argv: str) -> WarmOptions:
    return warm_options(parse(WARM_FLAGS, argv, {}), {"FROM_HERE": "value"})


def policy(*argv: str) -> Policy:
    return prune_policy(parse(PRUNE_FLAGS, argv, {}))


def test_every_flag_of_kanikos_warmer_is_there() -> None:
    kaniko = """image cache-dir cache-ttl dockerfile build-arg force insecure-pull insecure-registry
        skip-tls-verify-pull skip-tls-verify-registry registry-mirror registry-map
        skip-default-registry-fallback registry-certificate registry-client-cert custom-platform customPlatform
        verbosity log-format log-timestamp help"""
    assert set(kaniko.split()) <= {spelling for flag in WARM_FLAGS for spelling in (flag.name, *flag.old)}


def test_the_images_to_warm() -> None:
    options = warm("-i", "debian:12", f"--image=example.com/a@{DIGEST}", "-c", "x", "-f", "--cache-ttl=6h")
    assert [str(each) for each in options.images] == ["index.docker.io/library/debian:12", f"example.com/a@{DIGEST}"]
    assert options.directory == Path.cwd() / "x"
    assert options.force
    assert options.ttl == 6 * 3600 * 10**9
    assert options.platforms == (Platform.host(),)
    assert warm("-i", "a").directory == Path("/cache")


def test_platforms_and_build_args_to_warm() -> None:
    options = warm(
        "-d", "a", "-d", "b", "--build-arg=A=1", "--build-arg", "FROM_HERE", "--build-arg=NOT", "--platform=arm64,amd64"
    )
    assert options.dockerfiles == ("a", "b")
    assert options.build_args == {"A": "1", "FROM_HERE": "value"}
    assert [str(each) for each in options.platforms] == ["linux/arm64", "linux/amd64"]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "error: You must select at least one image with --image, or a Dockerfile with --dockerfile\n"),
        (["debian"], "error: unexpected argument 'debian'\nhint: images are named with --image (-i)\n"),
        (["-i", "UPPER:x"], "error: invalid image reference 'UPPER:x'"),
        (["-i", "a", "--platform", "x/y/z/w"], "error: invalid platform 'x/y/z/w'"),
        (["-d", "nowhere"], "error: Dockerfile not found: tried "),
        (["-i", "a", "-c", "/dev/null/x"], "error: cannot write to /dev/null/x: Not a directory"),
        (["-i", "a", "--cache-ttl", "soon"], "is a duration, not 'soon'"),
    ],
)
def test_what_cannot_be_warmed(argv: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main_as("/kaniko/warmer", argv) == main(["warm", *argv]) == 1
    shown = capsys.readouterr().err
    assert shown.count(text) == 2, shown


@pytest.mark.parametrize(
    ("argv", "found"),
    [
        ([], Policy()),
        (["--all"], Policy(everything=True)),
        (["-a", "-f"], Policy(everything=True)),
        (["--keep-storage=10GB"], Policy(keep=10**10)),
        (["--filter", "until=24h"], Policy(older_than=86400)),
        (["--older-than", "2d"], Policy(older_than=2 * 86400)),
        (["--keep-storage", "0", "--filter=until=1h"], Policy(keep=0, older_than=3600)),
    ],
)
def test_what_to_prune(argv: list[str], found: Policy) -> None:
    assert policy(*argv) == found


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--filter", "24h"], "KEY=VALUE"),
        (["--filter", "label=x"], "--filter is one of until, not 'label'"),
        (["--filter", "until=x"], "--filter until"),
        (["--filter=until=1h", "--older-than=1h"], "are the same"),
        (["--keep-storage", "much"], "is not a size"),
    ],
)
def test_what_cannot_be_pruned(argv: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        policy(*argv)


@pytest.mark.parametrize("command", ["prune", "du"])
def test_a_state_directory_that_is_not_there(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--state-dir", str(tmp_path / "state")]) == 0
    assert "0B" in capsys.readouterr().out
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("command", ["prune", "du"])
def test_unexpected_arguments(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "x"]) == 1
    assert capsys.readouterr().err == "error: unexpected argument 'x'\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user enters a user namespace, which pytest must not")
def test_prune_and_du(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    layer = tmp_path / "layers" / ("a" * 64)
    layer.mkdir(parents=True)
    (layer / "file").write_bytes(bytes(100_000))
    os.utime(layer, (0, 0))
    state = f"--state-dir={tmp_path}"
    assert main(["du", state]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["KIND", "COUNT", "SIZE", "IN", "USE"]
    assert rows[2][:3] == ["unpacked", "layers", "1"]
    assert rows[-1][0] == "total"
    assert main(["du", state, "--format=json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["kind"], found["path"], found["last_used"]) == ("layers", f"layers/{'a' * 64}", 0)
    assert main(["prune", state]) == 0
    assert capsys.readouterr().out.startswith("Total reclaimed space: 1")
    assert not layer.exists()


@pytest.mark.parametrize("command", ["warm", "prune", "du"])
def test_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == main(["help", command]) == 0
    assert capsys.readouterr().out.count(f"Usage: builder {command} ") == 2
