"""The arguments of ``builder manifest``, and the file of from-spec."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.cli.arguments import parse
from builder.cli.main import main
from builder.cli.manifest.command import run
from builder.cli.manifest.create import create_options
from builder.cli.manifest.flags import CREATE_FLAGS, PUSH_FLAGS
from builder.cli.manifest.push import push_options
from builder.cli.manifest.spec import read_spec
from builder.cli.manifest.template import names
from builder.errors import UsageError
from builder.image.media_types import Family
from builder.registry.join import Join


def options(*arguments: str) -> Join:
    command, *rest = arguments
    if command == "create":
        return create_options(parse(CREATE_FLAGS, rest, {}))
    return push_options(parse(PUSH_FLAGS, rest, {}))


FROM_ARGS = ("push", "from-args", "--platforms=linux/amd64", "--template=r.io/a:ARCH", "--target=r.io/a:1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["create"], "manifest create needs"),
        (["create", "r.io/a:1"], "manifest create needs"),
        (["create", "r.io/a:1", "r.io/a:b=linux/foo"], "unknown platform 'linux/foo'"),
        (["create", "r.io/a:1", "r.io/a:b="], "a platform is wanted behind the ="),
        (["create", "r.io/a:1", "r.io/UPPER:a"], "lower-case"),
        (["create", "r.io/a@sha256:" + 64 * "0", "r.io/a:b"], "to a tag, not to a digest"),
        ([*FROM_ARGS, "--tags=2,r.io/a:3"], "'r.io/a:3' is not a tag"),
        (["create", "r.io/a:1", "r.io/a:b", "--format=zip"], "--format is one of docker, oci"),
        (["create", "r.io/a:1", "r.io/a:b", "--annotation=a"], "--annotation takes KEY=VALUE"),
        (["push"], "needs to know from what"),
        (["push", "from-space"], "from-args or from-spec is wanted"),
        (["push", "from-args", "--template=r.io/a:ARCH", "--target=r.io/a:1"], "needs --platforms"),
        (["push", "from-args", "--template=r.io/a:ARCH", "--platforms=linux/arm64"], "needs --target"),
        ([*FROM_ARGS, "--platforms=,"], None),
        ([*FROM_ARGS, "x"], "unexpected argument 'x'"),
        ([*FROM_ARGS, "--template=r.io/a:latest"], "has none of OS, ARCH and VARIANT"),
        ([*FROM_ARGS, "--template=r.io/a:BOSSARCH"], "has none of OS, ARCH and VARIANT"),
        ([*FROM_ARGS, "--platforms=linux/x86"], "unknown platform 'linux/x86'"),
        ([*FROM_ARGS, "--platforms=linux/x86_64"], "linux/amd64 is named twice"),
        ([*FROM_ARGS, "--platforms=linux/arm/v6,linux/arm/v7"], "for both linux/arm/v6 and linux/arm/v7"),
        ([*FROM_ARGS, "--tags=a b"], "is not a tag"),
        ([*FROM_ARGS, "--target=r.io/a@sha256:" + 64 * "0"], "to a tag, not to a digest"),
        (["push", "from-spec"], "the path of one YAML file"),
        (["push", "from-spec", "a.yaml", "b.yaml"], "the path of one YAML file"),
        (["push", "from-spec", "/nowhere.yaml"], "cannot read /nowhere.yaml"),
        (["push", "from-spec", "x.yaml", "--tags=a"], "--tags is for from-args"),
    ],
)
def test_what_makes_no_sense(arguments: list[str], message: str | None) -> None:
    if message is None:
        assert len(options(*arguments).parts) == 1
        return
    with pytest.raises(UsageError, match=message):
        options(*arguments)


def test_creating() -> None:
    given = [
        "r.io/a:1",
        "r.io/a:x",
        "r.io/b@sha256:" + 64 * "1",
        "r.io/a:y=linux/arm",
        "--amend",
        "--annotation=index:k=v",
    ]
    wanted = options("create", *given, "--type=docker")
    assert str(wanted.target) == "r.io/a:1"
    assert [str(part.references[0]) for part in wanted.parts] == ["r.io/a:x", "r.io/b@sha256:" + 64 * "1", "r.io/a:y"]
    assert [part.platform for part in wanted.parts] == [
        None,
        None,
        {"architecture": "arm", "os": "linux", "variant": "v7"},
    ]
    assert (wanted.amend, wanted.family, wanted.annotations) == (True, Family.DOCKER, {"k": "v"})


def test_flags_before_the_kind_as_manifest_tool_wants_them() -> None:
    wanted = options("push", "--type", "oci", *FROM_ARGS[1:], "--tags", "1,b,b", "--tags", "c", "--ignore-missing")
    assert wanted.family is Family.OCI
    assert wanted.ignore_missing
    assert [str(each) for each in wanted.destinations] == ["r.io/a:1", "r.io/a:b", "r.io/a:c"]


@pytest.mark.parametrize(
    ("template", "platform", "expected"),
    [
        ("a:OS-ARCH", "linux/arm64", ["a:linux-arm64"]),
        ("a:OS-ARCH-VARIANT", "linux/arm64", ["a:linux-arm64", "a:linux-arm64-"]),
        ("a:OS-ARCH-VARIANT", "linux/arm/v7", ["a:linux-arm-v7"]),
        ("a:OS-ARCH-VARIANT", "linux/arm64/v8", ["a:linux-arm64-v8"]),
        ("a-ARCHVARIANT:1", "linux/arm/v5", ["a-armv5:1"]),
        ("a-ARCHVARIANT:1", "linux/amd64", ["a-amd64:1"]),
        ("OS/a:ARCH-ARCH", "linux/amd64", ["linux/a:amd64-amd64"]),
        ("a:BOSS-ARCH", "linux/amd64", ["a:BOSS-amd64"]),
        ("a:v1_VARIANT.x", "linux/amd64", ["a:v1.x", "a:v1_.x"]),
    ],
)
def test_templates(template: str, platform: str, expected: list[str]) -> None:
    assert list(names(template, platform)) == expected


SPEC = """\
image: r.io/a:1
tags: [1.0, latest]
annotations:
  k: v
manifests:
  - image: r.io/a:x
    platform:
      os: linux
      architecture: arm64
      variant: v8
  - image: r.io/a:w
    platform: {os: windows, architecture: amd64, osversion: 10.0.1, osfeatures: [win32k]}
  - image: r.io/a:z
"""


def test_a_spec(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    spec = read_spec(str(file))
    assert (str(spec.target), spec.tags, dict(spec.annotations)) == ("r.io/a:1", ("1.0", "latest"), {"k": "v"})
    assert [part.platform for part in spec.parts] == [
        {"architecture": "arm64", "os": "linux"},
        {"architecture": "amd64", "os": "windows", "os.version": "10.0.1", "os.features": ["win32k"]},
        None,
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("image: r.io/a:1", "imagge: r.io/a:1", ":1: unknown key 'imagge' in the file"),
        ("      variant: v8", "      varient: v8", ":10: unknown key 'varient' in platform"),
        ("  - image: r.io/a:z", "  - img: r.io/a:z", ":13: unknown key 'img' in an entry of manifests"),
        ("  - image: r.io/a:z", "  - image: r.io/A:z", ":13: invalid image reference"),
        ("  - image: r.io/a:z", "  - r.io/a:z", ":13: an entry of manifests is not a mapping"),
        ("  - image: r.io/a:z", "  - platform: {os: linux, architecture: arm}", ":13: .* no key 'image'"),
        ("      os: linux\n", "", ":8: the platform has no key 'os'"),
        ("architecture: arm64", "architecture: arm46", ":8: unknown platform"),
        ("architecture: arm64", "architecture: [arm64]", ":9: architecture is not a text"),
        ("tags: [1.0, latest]", "tags: latest", ":2: tags is not a list"),
        ("tags: [1.0, latest]", "image: r.io/a:2", ":2: the key 'image' is there twice"),
        ("  k: v", "  - k", ":4: annotations is not a mapping"),
        ("image: r.io/a:1", "image: r.io/a@sha256:" + 64 * "0", ":1: an index is pushed to a tag"),
        ("image: r.io/a:1\n", "", ":1: there is no key 'image'"),
        (SPEC, "image: r.io/a:1\nmanifests: []\n", ":2: manifests is empty"),
        (SPEC, "", "is empty"),
        (SPEC, "- a\n", ":1: the file is not a mapping"),
        ("tags: [1.0, latest]", "tags: [1.0, latest", ":3: this is not YAML"),
    ],
)
def test_what_is_wrong_in_a_spec(old: str, new: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    assert old in SPEC
    file.write_text(SPEC.replace(old, new, 1))
    with pytest.raises(UsageError, match=f"spec.yaml.*{message}"):
        read_spec(str(file))


def test_anchors_and_merges_in_a_spec(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        "image: r.io/a:1\ntags:\nmanifests:\n"
        "- image: r.io/a:amd64\n  platform: &one {os: linux, architecture: amd64}\n"
        "- image: r.io/a:arm64\n  platform:\n    <<: *one\n    architecture: arm64\n"
        "- image: r.io/a:arm\n  platform:\n    architecture: arm\n    <<: [{variant: v6}, {variant: v7}, *one]\n"
    )
    spec = read_spec(str(file))
    assert spec.tags == ()
    assert [part.platform for part in spec.parts] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64"},
        {"os": "linux", "architecture": "arm", "variant": "v6"},
    ]


@pytest.mark.parametrize(
    ("platform", "message"),
    [
        ("{os: linux, <<: {architekture: arm}}", "unknown key 'architekture' in platform"),
        ("&a {os: linux, <<: *a}", "platform is merged into itself"),
        ("&a {os: linux, <<: [{<<: *a}]}", "platform is merged into itself"),
        ("{os: linux, <<: text}", "platform is not a mapping"),
    ],
)
def test_merges_that_are_wrong(platform: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(f"image: r.io/a:1\nmanifests:\n- image: r.io/a:b\n  platform: {platform}\n")
    with pytest.raises(UsageError, match=rf"spec\.yaml:4: {message}"):
        read_spec(str(file))


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["annotate"]) == 1
    assert "there is no command `manifest annotate`" in capsys.readouterr().err
    assert run([]) == run(["create", "--help"]) == 0
    assert "manifest push from-args --platforms" in capsys.readouterr().out


def test_help_of_one_of_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["help", "manifest", "push"]) == main(["manifest", "push", "--help"]) == 0
    one, other = capsys.readouterr().out.split("Usage: ")[1:]
    assert one.strip() == other.strip()
    assert "--template" in one
