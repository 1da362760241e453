"""Arguments by pflag's rules: tables of command lines, environment variables and errors."""

from __future__ import annotations

import pytest

from builder.cli.arguments import Arguments, parse, refuse_later
from builder.cli.flags import BUILD_FLAGS, PUSH_FLAGS, switch, text
from builder.errors import NotSupportedYet, UsageError

_HOUR = 3600 * 10**9


def build(*argv: str, **environment: str) -> Arguments:
    return parse(BUILD_FLAGS, argv, environment)


@pytest.mark.parametrize(
    ("argv", "name", "value"),
    [
        (["--context", "dir"], "context", "dir"),
        (["--context=dir"], "context", "dir"),
        (["-c", "dir"], "context", "dir"),
        (["-cdir"], "context", "dir"),
        (["-c=dir"], "context", "dir"),
        (["--context", "--no-push"], "context", "--no-push"),
        (["--context", "-"], "context", "-"),
        (["--context="], "context", ""),
        (["--context=a", "-c", "b"], "context", "b"),
        (["--context=a=b"], "context", "a=b"),
        (["-f", "Dockerfile.prod"], "dockerfile", "Dockerfile.prod"),
        (["--no-push"], "no-push", True),
        (["--no-push=true"], "no-push", True),
        (["--no-push=1"], "no-push", True),
        (["--no-push=T"], "no-push", True),
        (["--no-push=False"], "no-push", False),
        (["--no-push=0"], "no-push", False),
        (["--no-push", "--no-push=f"], "no-push", False),
        (["--cache-run-layers=false"], "cache-run-layers", False),
        ([], "cache-run-layers", True),
        (["--push-retry", "3"], "push-retry", 3),
        (["--compression-level=-1"], "compression-level", -1),
        (["--compression-level", "-1"], "compression-level", -1),
        ([], "cache-ttl", 336 * _HOUR),
        (["--cache-ttl=6h"], "cache-ttl", 6 * _HOUR),
        (["--cache-ttl=1h30m"], "cache-ttl", _HOUR * 3 // 2),
        (["--cache-ttl=1.5h"], "cache-ttl", _HOUR * 3 // 2),
        (["--cache-ttl=0"], "cache-ttl", 0),
        (["--cache-ttl=-5ms"], "cache-ttl", -5_000_000),
        (["-d", "a", "--destination=b", "-dc"], "destination", ("a", "b", "c")),
        (["--build-arg", "A=1,2", "--build-arg=B="], "build-arg", ("A=1,2", "B=")),
        (["--tarPath=x"], "tar-path", "x"),
        (["--snapshotMode", "redo"], "snapshot-mode", "redo"),
        (["--customPlatform=linux/arm64"], "custom-platform", ("linux/arm64",)),
        (["--whitelist-var-run=false"], "ignore-var-run", False),
        (["-b", "bucket"], "bucket", "bucket"),
        (["-vdebug"], "verbosity", "debug"),
    ],
)
def test_value(argv: list[str], name: str, value: object) -> None:
    assert build(*argv).values[name] == value


def test_a_boolean_never_takes_the_next_argument() -> None:
    found = build("--no-push", "false")
    assert found.switch("no-push") is True
    assert found.positional == ("false",)


def test_two_dashes_end_the_flags() -> None:
    found = build("--no-push", "--", "--cache", "x")
    assert found.positional == ("--cache", "x")
    assert found.switch("cache") is False


def test_combined_letters_of_booleans() -> None:
    from builder.cli.flags import many, switch

    flags = (switch("all", "", short="a"), switch("brief", "", short="b"), many("destination", "X", "", short="d"))
    found = parse(flags, ["-abdx", "-ab=false"], {})
    assert (found.switch("all"), found.switch("brief"), found.many("destination")) == (True, False, ("x",))


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        (["--destinaton=x"], "unknown flag --destinaton", "did you mean --destination?"),
        (["--nopush"], "unknown flag --nopush", "did you mean --no-push?"),
        (["--dockerfiles=x"], "unknown flag --dockerfiles", "did you mean --dockerfile?"),
        (["--zzz"], "unknown flag --zzz", "`builder help` lists the flags"),
        (["-x"], "unknown flag -x", "`builder help` lists the flags"),
        (["--destination"], "--destination needs a value: --destination IMAGE", None),
        (["-d"], "-d needs a value: -d IMAGE", None),
        (["--no-push=yes"], "--no-push is true or false, not 'yes'", None),
        (["--push-retry=three"], "--push-retry is a whole number, not 'three'", None),
        (["--cache-ttl=6"], "--cache-ttl is a duration, not '6'", "a duration is e.g. 6h, 90m or 1h30m"),
        (["--cache-ttl=6d"], "--cache-ttl is a duration, not '6d'", "a duration is e.g. 6h, 90m or 1h30m"),
    ],
)
def test_error(argv: list[str], message: str, hint: str | None) -> None:
    with pytest.raises(UsageError) as caught:
        build(*argv)
    assert (caught.value.message, caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("environment", "argv", "name", "value"),
    [
        ({"KANIKO_NO_PUSH": "true"}, [], "no-push", True),
        ({"KANIKO_NO_PUSH": "true"}, ["--no-push=false"], "no-push", False),
        ({"KANIKO_NO_PUSH": ""}, [], "no-push", False),
        ({"KANIKO_REGISTRY_MIRROR": "b"}, ["--registry-mirror=a"], "registry-mirror", ("a", "b")),
        ({"KANIKO_REGISTRY_MAP": "a=b;c=d"}, [], "registry-map", ("a=b;c=d",)),
        ({"KANIKO_DIR": "/elsewhere"}, [], "kaniko-dir", "/elsewhere"),
        ({"KANIKO_DIR": "/elsewhere"}, ["--kaniko-dir=/here"], "kaniko-dir", "/here"),
        ({"BUILDER_STATE_DIR": "/state"}, [], "state-dir", "/state"),
        ({"KANIKO_CLEANUP": "1"}, [], "cleanup", True),
        ({"KANIKO_PRE_CLEANUP": "t"}, [], "pre-cleanup", True),
        ({"KANIKO_PRESERVE_CONTEXT": "True"}, [], "preserve-context", True),
        ({"KANIKO_MATERIALIZE": "false"}, [], "materialize", False),
        ({"FF_KANIKO_RUN_MOUNT_CACHE": "whatever"}, [], "no-push", False),
    ],
)
def test_environment(environment: dict[str, str], argv: list[str], name: str, value: object) -> None:
    assert build(*argv, **environment).values[name] == value


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(UsageError, match="KANIKO_NO_PUSH is true or false, not 'perhaps'"):
        build(KANIKO_NO_PUSH="perhaps")


def test_notes_are_said_once() -> None:
    found = build("--use-new-run", "--use-new-run=false", "--tarPath=x", "--skip-unused-stages", "--tarPath=y")
    assert found.notes == (
        "--use-new-run has no effect",
        "--tarPath is an old spelling of --tar-path",
        "--skip-unused-stages has no effect",
    )


def test_help_is_found_before_anything_else_is_wrong() -> None:
    assert build("--help", KANIKO_NO_PUSH="perhaps").switch("help")


@pytest.mark.parametrize("flags", [BUILD_FLAGS, PUSH_FLAGS])
def test_the_table_has_no_two_rows_of_one_spelling(flags: tuple) -> None:
    spellings = [spelling for flag in flags for spelling in (flag.name, *flag.old)]
    letters = [flag.short for flag in flags if flag.short]
    assert len(spellings) == len(set(spellings))
    assert len(letters) == len(set(letters))
    assert all(flag.group for flag in flags)


def test_every_flag_of_kanikos_executor_is_there() -> None:
    kaniko = """verbosity log-format log-timestamp force dockerfile context context-sub-path bucket destination
        snapshot-mode custom-platform build-arg insecure skip-tls-verify insecure-pull skip-tls-verify-pull push-retry
        push-ignore-immutable-tag-errors image-fs-extract-retry image-download-retry kaniko-dir tar-path single-snapshot
        reproducible target no-push no-push-cache cache-repo cache-dir digest-file image-name-with-digest-file
        image-name-tag-with-digest-file oci-layout-path compression compression-level cache compressed-caching
        pre-cleanup cleanup cache-ttl insecure-registry skip-tls-verify-registry registry-certificate
        registry-client-cert registry-map registry-mirror skip-default-registry-fallback ignore-var-run
        whitelist-var-run label skip-unused-stages use-new-run git cache-copy-layers cache-run-layers ignore-path
        skip-push-permission-check annotation preserve-context materialize credential-helpers snapshotMode
        customPlatform tarPath force-build-metadata secret dryrun azure-container-registry-config help"""
    known = {spelling for flag in BUILD_FLAGS for spelling in (flag.name, *flag.old)}
    assert set(kaniko.split()) <= known


LATER = (
    switch("ahead", "Comes later.", status="later"),
    text("mode", "MODE", "Of its values only the default is there.", "plain", status="later"),
)


@pytest.mark.parametrize(("argv", "refused"), [(["--ahead"], "--ahead"), (["--mode=fancy"], "--mode")])
def test_what_does_not_exist_yet_is_refused(argv: list[str], refused: str) -> None:
    with pytest.raises(NotSupportedYet, match=f"{refused} is not supported yet"):
        refuse_later(LATER, parse(LATER, argv, {}))


@pytest.mark.parametrize("argv", [["--ahead=false"], ["--mode=plain"], []])
def test_a_later_flag_that_asks_for_nothing_is_fine(argv: list[str]) -> None:
    refuse_later(LATER, parse(LATER, argv, {}))
