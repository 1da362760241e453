"""From command lines to options: kaniko's from the wild, and what makes no sense."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from builder.cli.arguments import parse
from builder.cli.build_options import build_options
from builder.cli.flags import BUILD_FLAGS
from builder.cli.options import BuildOptions
from builder.cli.read_options import registry_options
from builder.errors import BuilderError, NotSupportedYet, UsageError
from builder.image.media_types import Family
from builder.image.platform import Platform


def options(line: str, environment: dict[str, str] | None = None) -> BuildOptions:
    environment = {"DOCKER_CONFIG": "/nowhere"} | (environment or {})
    return build_options(parse(BUILD_FLAGS, shlex.split(line), environment), environment)


@pytest.mark.parametrize(
    ("line", "destinations"),
    [
        # GitLab's documentation, "Use kaniko to build Docker images"
        (
            '--context "/builds/group/project" --dockerfile "/builds/group/project/Dockerfile" '
            '--destination "registry.example.com/group/project:v1.2.3"',
            ["registry.example.com/group/project:v1.2.3"],
        ),
        # the same behind a proxy
        (
            '--context "/b" --build-arg http_proxy=http://p:3128 --build-arg https_proxy=http://p:3128 '
            '--build-arg no_proxy=localhost --dockerfile "/b/Dockerfile" --destination "r.example.com/g/p:v1"',
            ["r.example.com/g/p:v1"],
        ),
        # kaniko's README: Kubernetes pod
        (
            "--dockerfile=/workspace/dockerfile --context=dir:///workspace --destination=user/repo",
            ["index.docker.io/user/repo:latest"],
        ),
        # kaniko's README: standard input
        (
            "--context tar://stdin --destination=gcr.io/project/image:tag",
            ["gcr.io/project/image:tag"],
        ),
        # Tekton catalog, task kaniko
        (
            "--dockerfile=./Dockerfile --context=/workspace/source/./ --destination=docker.io/team/app:latest "
            "--digest-file=/tekton/results/IMAGE_DIGEST",
            ["index.docker.io/team/app:latest"],
        ),
        # Jenkins with several tags
        (
            "-f `pwd`/Dockerfile -c `pwd` --insecure --skip-tls-verify --cache=false -d=reg:5000/a:1 "
            "-d reg:5000/a:latest",
            ["reg:5000/a:1", "reg:5000/a:latest"],
        ),
        # Skaffold
        (
            "--destination gcr.io/p/i:t --dockerfile Dockerfile --context dir:///kaniko/buildcontext -v info "
            "--label a=b --snapshotMode time --skip-unused-stages --use-new-run --cleanup=false --log-format text",
            ["gcr.io/p/i:t"],
        ),
    ],
)
def test_command_lines_written_for_kaniko(line: str, destinations: list[str]) -> None:
    assert [str(each) for each in options(line).output.destinations] == destinations


def test_groups() -> None:
    found = options(
        "-c /src --context-sub-path app -f docker/Dockerfile --no-push --tar-path out.tar --oci-layout-path /o "
        "--label a=b --label a=c --annotation x=y=z --target final --target test --platform linux/arm64 "
        "--single-snapshot --snapshot-mode=redo --ignore-path /a --ignore-var-run --reproducible --force "
        "--image-format=oci --compression=zstd --compression-level=19 --state-dir /s --isolation=namespace"
    )
    assert (found.context.spec.kind, found.context.spec.location, found.context.spec.sub_path) == (
        "directory",
        "/src",
        "app",
    )
    assert found.dockerfile.name == "docker/Dockerfile"
    assert (found.output.tar_path, found.output.oci_layout_path) == (Path.cwd() / "out.tar", Path("/o"))
    assert (found.labels, found.annotations) == ({"a": "c"}, {"x": "y=z"})
    assert found.targets == ("final", "test")
    assert found.platforms == (Platform("linux", "arm64"),)
    assert (found.single_snapshot, found.snapshot_mode) == (True, "redo")
    assert found.ignore_paths == ("/a", "/var/run")
    assert (found.output.family, found.output.compression, found.output.compression_level) == (Family.OCI, "zstd", 19)
    assert (found.state_dir, found.isolation, found.in_place.force) == (Path("/s"), "namespace", True)


@pytest.mark.parametrize(
    "line",
    [
        "--platform linux/arm64,linux/arm/v7,linux/amd64",
        "--platform linux/arm64/v8 --platform=linux/arm --platform linux/x86_64",
        "--platform 'linux/arm64, linux/arm' --platform linux/amd64",
        "--custom-platform linux/arm64,linux/arm,linux/amd64",
        "--customPlatform=arm64 --custom-platform linux/armhf,amd64",
    ],
)
def test_platforms(line: str) -> None:
    found = [str(each) for each in options(f"--no-push {line}").platforms]
    assert found == ["linux/arm64", "linux/arm/v7", "linux/amd64"]


def test_defaults() -> None:
    found = options("--no-push")
    assert found.platforms == (Platform.host(),)
    assert (found.output.family, found.output.compression, found.output.compression_level) == (None, "gzip", -1)
    assert found.ignore_paths == ()
    assert found.registry.credential_helpers is None
    assert found.registry.check_permission
    assert found.build_args == {}


def test_zstd_alone_means_oci() -> None:
    assert options("--no-push --compression zstd").output.family is Family.OCI


def test_build_args_come_from_the_environment_or_are_not_set() -> None:
    found = options("--no-push --build-arg A --build-arg B --build-arg C= --build-arg D=x=y", {"A": "1"})
    assert found.build_args == {"A": "1", "C": "", "D": "x=y"}


def test_proxies_of_config_json_become_build_args(tmp_path: Path) -> None:
    config = {"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "localhost", "ftpProxy": ""}}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = options("--no-push --build-arg http_proxy=http://mine", {"DOCKER_CONFIG": str(tmp_path)})
    assert found.build_args == {
        "HTTP_PROXY": "http://p:1",
        "http_proxy": "http://mine",
        "NO_PROXY": "localhost",
        "no_proxy": "localhost",
    }


@pytest.mark.parametrize("text", ["[]", "{}", "", '{"proxies": []}', '{"proxies": {"default": 1}}'])
def test_a_config_json_without_proxies(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text)
    assert options("--no-push", {"DOCKER_CONFIG": str(tmp_path)}).build_args == {}


def test_registry_flags(tmp_path: Path) -> None:
    for name in ("ca.crt", "client.crt", "client.key"):
        (tmp_path / name).touch()
    line = (
        f"--no-push --insecure-registry a:5000 --insecure-registry b --skip-tls-verify-registry c --insecure-pull "
        f"--registry-certificate r={tmp_path}/ca.crt "
        f"--registry-client-cert r={tmp_path}/client.crt,{tmp_path}/client.key "
        f"--registry-map 'index.docker.io=m1;gcr.io=m2/x;index.docker.io=m3' --registry-mirror m4 --push-retry 2 "
        f"--image-download-retry 3 --image-fs-extract-retry 1 --skip-default-registry-fallback "
        f"--credential-helpers env,google --credential-helpers ecr "
        f"--push-ignore-immutable-tag-errors --skip-push-permission-check"
    )
    found = registry_options(parse(BUILD_FLAGS, shlex.split(line), {"KANIKO_REGISTRY_MIRROR": "m5"}))
    policy = found.policy
    assert policy.insecure == {"a:5000", "b"}
    assert policy.skip_tls == {"c"}
    assert (policy.insecure_pull, policy.insecure_push) == (True, False)
    assert policy.certificates == {"r": tmp_path / "ca.crt"}
    assert policy.client_certificates == {"r": (tmp_path / "client.crt", tmp_path / "client.key")}
    assert policy.maps == {"index.docker.io": ("m1", "m3"), "gcr.io": ("m2/x",)}
    assert policy.mirrors == ("m4", "m5")
    assert (policy.push_retries, policy.pull_retries, policy.default_fallback) == (2, 4, False)
    assert found.credential_helpers == ("env", "google", "ecr")
    assert found.ignore_immutable_tags
    assert not found.check_permission


def test_credential_helpers_can_be_turned_off() -> None:
    assert options('--no-push --credential-helpers ""').registry.credential_helpers == ()


def test_git_options() -> None:
    git = options("--no-push -c git://h/r.git --git branch=b,depth=3 --git single-branch=true").context.spec.git
    assert (git.branch, git.depth, git.single_branch, git.recurse_submodules) == ("b", 3, True, False)


@pytest.mark.parametrize(
    ("line", "environment", "epoch"),
    [
        ("", {}, None),
        ("", {"SOURCE_DATE_EPOCH": "1700000000"}, 1700000000),
        ("--build-arg SOURCE_DATE_EPOCH=5", {"SOURCE_DATE_EPOCH": "1700000000"}, 5),
    ],
)
def test_source_date_epoch(line: str, environment: dict[str, str], epoch: int | None) -> None:
    assert options(f"--no-push {line}", environment).output.epoch == epoch


def test_what_has_no_effect_is_noted() -> None:
    found = options("--no-push --use-new-run", {"FF_KANIKO_B": "1", "FF_KANIKO_A": "0", "PATH": "/"})
    assert found.notes == ("--use-new-run has no effect", "FF_KANIKO_A has no effect", "FF_KANIKO_B has no effect")


def test_a_dry_run_needs_no_destination() -> None:
    assert options("--dryrun").dry_run


@pytest.mark.parametrize(
    ("line", "environment", "expected"),
    [
        ("--state-dir /a", {"KANIKO_DIR": "/k"}, Path("/a")),
        ("", {"BUILDER_STATE_DIR": "/b"}, Path("/b")),
        ("", {"KANIKO_DIR": "/k"}, Path("/k/state")),
        ("--kaniko-dir /k2", {"KANIKO_DIR": "/k"}, Path("/k2/state")),
    ],
)
def test_state_dir(line: str, environment: dict[str, str], expected: Path) -> None:
    assert options(f"--no-push {line}", environment).state_dir == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("", "You must provide --destination, or use --no-push"),
        ("-d x .", "unexpected argument '.'"),
        ("-d A/b:tag:x", "--destination: invalid image reference"),
        ("-d final=reg.example.com/x", "--destination: invalid image reference"),
        (f"-d a@sha256:{'0' * 64}", "an image is pushed to a tag, not to a digest"),
        ("--no-push --label a", "--label takes KEY=VALUE, not 'a'"),
        ("--no-push --annotation =a", "--annotation takes KEY=VALUE, not '=a'"),
        ("--no-push --build-arg =a", "--build-arg takes NAME or NAME=VALUE, not '=a'"),
        ("--no-push --compression xz", "--compression is one of gzip, zstd, not 'xz'"),
        ("--no-push --compression-level 10", "--compression-level of gzip is between -1 and 9, not 10"),
        ("--no-push --compression zstd --image-format docker", "cannot be combined with --image-format=docker"),
        ("--no-push --image-format tar", "--image-format is one of docker, oci, not 'tar'"),
        ("--no-push --snapshot-mode fast", "--snapshot-mode is one of full, redo, time, not 'fast'"),
        ("--no-push --isolation chroot", "--isolation is one of auto, namespace, in-place, not 'chroot'"),
        ("--no-push --custom-platform a/b/c/d", "invalid platform 'a/b/c/d'"),
        ("--no-push --platform linux/arm64 --custom-platform linux/arm64", "are the same; use one of them"),
        ("--no-push --platform linux/arm64,linux/aarch64", "the platform linux/arm64 is named twice"),
        ("--no-push --platform linux/arm46", "unknown platform 'linux/arm46'"),
        ("--no-push --platform linux/arm64,linux/arm --tar-path x", "--tar-path cannot be combined with more than one"),
        ("--no-push --platform linux/arm64,linux/arm --materialize", "--materialize takes one --platform"),
        ("--no-push --image-name-with-digest-file x", "--image-name-with-digest-file needs a --destination"),
        ("--no-push --image-name-tag-with-digest-file x", "--image-name-tag-with-digest-file needs a --destination"),
        ("--no-push --registry-certificate r=/no/such", "--registry-certificate: there is no file '/no/such'"),
        ("--no-push --registry-client-cert r=/a", "--registry-client-cert takes HOST=CERTIFICATE,KEY"),
        ("--no-push --registry-map a", "--registry-map takes KEY=VALUE, not 'a'"),
        ("--no-push --push-retry -1", "--push-retry is a number of attempts, not -1"),
        ("--no-push --git branch", "--git takes KEY=VALUE, not 'branch'"),
        ("--no-push --git tag=x", "--git is one of branch,"),
        ("--no-push --git depth=all", "--git depth is a whole number, not 'all'"),
        ("--no-push --build-arg SOURCE_DATE_EPOCH=now", "SOURCE_DATE_EPOCH is a whole number, not 'now'"),
        ("--no-push -f ''", "--dockerfile is empty"),
        ("--no-push -c ''", "--context is empty"),
    ],
)
def test_what_makes_no_sense(line: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        options(line)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("--no-push -c s3://bucket/context.tar.gz", "object store"),
        ("--no-push --bucket b", "object store"),
    ],
)
def test_not_yet(line: str, what: str) -> None:
    with pytest.raises(NotSupportedYet) as caught:
        options(line)
    assert what in caught.value.message


def test_a_broken_config_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(BuilderError, match=r"config.json is not JSON"):
        options("--no-push", {"DOCKER_CONFIG": str(tmp_path)})
