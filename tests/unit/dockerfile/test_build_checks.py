"""Build checks: each one on a Dockerfile that has it and on one that has not."""

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.ignore import IgnoreRules
from builder.dockerfile.lint import check, check_options
from builder.dockerfile.parse import parse


def found(text: str, **inputs) -> list[tuple[str, int]]:
    return [(finding.name, finding.location.line) for finding in check(parse(text, "Dockerfile"), **inputs)]


@pytest.mark.parametrize(
    ("text", "name", "line", "message"),
    [
        ("FROM a AS Build", "StageNameCasing", 1, "Stage name 'Build' should be lowercase"),
        ("FROM a as b", "FromAsCasing", 1, "'as' and 'FROM' keywords' casing do not match"),
        ("from a AS b", "FromAsCasing", 1, "'AS' and 'from' keywords' casing do not match"),
        ("FROM a\nRUN b \\\n\n c", "NoEmptyContinuation", 3, "Empty continuation line"),
        ("FROM a\nrun b", "ConsistentInstructionCasing", 2,
         "Command 'run' should match the case of the command majority (uppercase)"),
        ("from a\nrun b\nUser c", "ConsistentInstructionCasing", 3,
         "Command 'User' should match the case of the command majority (lowercase)"),
        ("FROM a AS b\nFROM c AS b", "DuplicateStageName", 2,
         'Duplicate stage name "b", stage names should be unique'),
        ("FROM a AS scratch", "ReservedStageName", 1,
         'Stage name should not use the same name as reserved stage "scratch"'),
        ("FROM a\nCMD b", "JSONArgsRecommended", 2,
         "JSON arguments recommended for CMD to prevent unintended behavior related to OS signals"),
        ("FROM a\nENTRYPOINT b", "JSONArgsRecommended", 2,
         "JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals"),
        ("FROM a\nMAINTAINER b", "MaintainerDeprecated", 2,
         "Maintainer instruction is deprecated in favor of using label"),
        ("ARG TAG=1\nFROM a:${TGA}x", "UndefinedArgInFrom", 2,
         "FROM argument 'TGA' is not declared (did you mean TAG?)"),
        ("FROM --platform=$nope a", "UndefinedArgInFrom", 1, "FROM argument 'nope' is not declared"),
        ("FROM scratch\nWORKDIR a", "WorkdirRelativePath", 2,
         'Relative workdir "a" can have unexpected results if the base image changes'),
        ("FROM scratch\nENV dir=/x\nCOPY a $dri", "UndefinedVar", 3,
         "Usage of undefined variable '$dri' (did you mean $dir?)"),
        ('FROM a\nCMD ["b"]\nCMD ["c"]', "MultipleInstructionsDisallowed", 2,
         "Multiple CMD instructions should not be used in the same stage because only the last one will be used"),
        ("FROM a\nENV b c", "LegacyKeyValueFormat", 2,
         '"ENV key=value" should be used instead of legacy "ENV key value" format'),
        ("FROM a\nLABEL b c", "LegacyKeyValueFormat", 2,
         '"LABEL key=value" should be used instead of legacy "LABEL key value" format'),
        ("FROM --platform=${TARGETPLATFORM} a", "RedundantTargetPlatform", 1,
         "Setting platform to predefined ${TARGETPLATFORM} in FROM is redundant as this is the default behavior"),
        ("FROM --platform=linux/amd64 a", "FromPlatformFlagConstDisallowed", 1,
         'FROM --platform flag should not use constant value "linux/amd64"'),
        ("FROM a\nARG API_TOKEN", "SecretsUsedInArgOrEnv", 2,
         'Do not use ARG or ENV instructions for sensitive data (ARG "API_TOKEN")'),
        ("FROM a\nENV x=1 password=2", "SecretsUsedInArgOrEnv", 2,
         'Do not use ARG or ENV instructions for sensitive data (ENV "password")'),
        ("ARG TAG\nFROM a:$TAG", "InvalidDefaultArgInFrom", 2,
         "Default value for ARG a:$TAG results in empty or invalid base image name"),
        ("FROM a\nEXPOSE 80/TCP", "ExposeProtoCasing", 2,
         "Defined protocol '80/TCP' in EXPOSE instruction should be lowercase"),
        ("FROM a\nEXPOSE 127.0.0.1:80:80", "ExposeInvalidFormat", 2,
         "EXPOSE instruction should not define an IP address or host-port mapping, found '127.0.0.1:80:80'"),
        ("# check=experimental=all\n# words\nFROM a AS b", "InvalidDefinitionDescription", 3,
         "Comment for FROM should follow the format: `# b <description>`"),
        ("# check=experimental=InvalidDefinitionDescription\n# words\nARG b c\nFROM a", "InvalidDefinitionDescription",
         3, "Comment for ARG should follow the format: `# <arg_key> <description>`"),
    ],
)  # fmt: skip
def test_findings(text, name, line, message):
    (finding,) = check(parse(text, "Dockerfile"))
    assert (finding.name, finding.location.line, finding.message) == (name, line, message)


@pytest.mark.parametrize(
    "text",
    [
        "FROM a AS b\nFROM b",
        "from a as b\nrun c",
        'FROM a\nSHELL ["/bin/bash", "-c"]\nCMD b',
        'FROM a AS x\nSHELL ["/bin/bash", "-c"]\nFROM x\nCMD b',
        "FROM a\nRUN b",
        "FROM scratch\nWORKDIR /a\nWORKDIR b",
        "FROM scratch AS x\nWORKDIR /a\nFROM x\nWORKDIR b",
        "FROM scratch\nARG d=/a\nWORKDIR $d",
        "FROM a\nWORKDIR $SET_BY_THE_BASE",
        "FROM a\nCOPY b $SET_BY_THE_BASE",
        "FROM scratch\nARG x\nCOPY $x $PATH /",
        "FROM scratch AS x\nENV y=1\nFROM x\nUSER $y",
        "ARG y=1\nFROM scratch\nARG y TARGETARCH\nUSER $y$TARGETARCH",
        "FROM scratch\nARG x=1 y=$x\nUSER $y",
        "FROM scratch\nUSER ${x",
        'FROM a AS x\nCMD ["b"]\nFROM x\nCMD ["c"]',
        "FROM --platform=linux/amd64 a AS build-amd64",
        "FROM --platform=$BUILDPLATFORM a",
        "FROM a\nARG PUBLIC_KEY KEYBOARD TOKEN_FILE",
        "ARG PASSWORD\nFROM a",
        "ARG TAG=1\nFROM a:$TAG",
        "FROM host:5000/a/b_c:1.2@sha256:" + "0" * 64,
        "FROM img-$TARGETARCH",
        "FROM a\nEXPOSE 80/udp",
        "# words\nFROM a AS b",
        "# check=experimental=all\n# b is it\nFROM a AS b\n# words\nRUN x\n# c the c\nARG c",
        "# check=experimental=all\n# words\n\nFROM a AS b",
    ],
)
def test_nothing_to_find(text):
    assert found(text) == []


def test_undefined_variables_where_the_base_is_known():
    text = "FROM a\nUSER $HOME_OF_BASE\nWORKDIR /$nope"
    assert found(text, environments={0: {"HOME_OF_BASE": "x"}}) == [("UndefinedVar", 3)]


@pytest.mark.parametrize(
    ("rules", "names"),
    [
        ("*.md", ["CopyIgnoredFile", "CopyIgnoredFile"]),
        ("*.md\n!x", []),
        ("other", []),
    ],
)
def test_copied_files_that_are_ignored(rules, names):
    text = (
        "FROM a AS b\nCOPY /x.md c.txt /\nADD d.md https://host/e.md /\nFROM c\nCOPY --from=b x.md /\nCOPY $y.md . /\n"
    )
    assert [name for name, _ in found(text, ignore=IgnoreRules.parse(rules))] == names


def test_the_message_of_a_copied_file():
    (finding,) = check(parse("FROM a\nCOPY ./x.md /", "Dockerfile"), ignore=IgnoreRules.parse("*.md"))
    assert str(finding) == (
        'CopyIgnoredFile: Attempting to Copy file "./x.md" that is excluded by .dockerignore (Dockerfile:2)'
    )
    assert finding.url == "https://docs.docker.com/go/dockerfile/rule/copy-ignored-file/"


@pytest.mark.parametrize(
    ("directive", "names"),
    [
        ("skip=none", ["FromAsCasing", "JSONArgsRecommended"]),
        ("skip=FromAsCasing", ["JSONArgsRecommended"]),
        ("skip=FromAsCasing,JSONArgsRecommended;error=true", []),
        ("error=true;skip=all", []),
    ],
)
def test_checks_can_be_skipped(directive, names):
    assert [name for name, _ in found(f"# check={directive}\nFROM a as b\nCMD c")] == names


def test_options():
    assert check_options(parse("# check=error=true;skip=A,B\nFROM a", "D")).error
    assert not check_options(parse("# check=error=false\nFROM a", "D")).error
    assert not check_options(parse("FROM a", "D")).error


@pytest.mark.parametrize("directive", ["nope", "nope=1", "error=maybe", "skip=a;"])
def test_options_that_cannot_be(directive):
    with pytest.raises(DockerfileError, match="invalid check option"):
        check(parse(f"# check={directive}\nFROM a", "D"))


def test_findings_are_in_the_order_of_the_lines():
    assert found("FROM a as B\nENV c d\nCMD e") == [
        ("FromAsCasing", 1),
        ("StageNameCasing", 1),
        ("LegacyKeyValueFormat", 2),
        ("JSONArgsRecommended", 3),
    ]
