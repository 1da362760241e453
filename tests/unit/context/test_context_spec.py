"""What ``--context`` takes."""

from __future__ import annotations

import pytest

from builder.context.spec import ContextSpec, GitOptions, without_password
from builder.errors import BuilderError, NotSupportedYet


@pytest.mark.parametrize(
    ("text", "kind", "location", "reference", "commit", "sub_path"),
    [
        (".", "directory", ".", "", "", ""),
        ("/workspace/", "directory", "/workspace/", "", "", ""),
        ("dir:///workspace", "directory", "/workspace", "", "", ""),
        ("a#b", "directory", "a#b", "", "", ""),
        ("tar://x.tar.gz", "tar", "x.tar.gz", "", "", ""),
        ("tar:///a/x.tar", "tar", "/a/x.tar", "", "", ""),
        ("tar://stdin", "stdin", "", "", "", ""),
        ("git://github.com/o/r", "git", "git://github.com/o/r", "", "", ""),
        ("git://github.com/o/r.git#refs/heads/main", "git", "git://github.com/o/r.git", "refs/heads/main", "", ""),
        (
            "git://h/r.git#refs/heads/main#0123456789abcdef",
            "git",
            "git://h/r.git",
            "refs/heads/main",
            "0123456789abcdef",
            "",
        ),
        ("https://h/g/r.git#v1:docker/app", "git", "https://h/g/r.git", "v1", "", "docker/app"),
        ("https://h/g/r.git#:docker", "git", "https://h/g/r.git", "", "", "docker"),
        ("https://github.com/o/r", "git", "https://github.com/o/r", "", "", ""),
        ("ssh://git@h/r.git", "git", "ssh://git@h/r.git", "", "", ""),
        ("https://h/context.tar.gz", "archive-url", "https://h/context.tar.gz", "", "", ""),
        ("https://github.com/o/r/x.tgz", "archive-url", "https://github.com/o/r/x.tgz", "", "", ""),
    ],
)  # fmt: skip
def test_kinds(text: str, kind: str, location: str, reference: str, commit: str, sub_path: str) -> None:
    found = ContextSpec.parse(text)
    assert (found.kind, found.location, found.reference, found.commit, found.sub_path) == (
        kind,
        location,
        reference,
        commit,
        sub_path,
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "--context is empty"),
        ("tar://", "names no file"),
        ("ftp://h/x.tar", "ftp:// is not a kind of context"),
        ("git://h/r.git#-x", "'-x' is not a git reference"),
        ("git://h/r.git#a b", "'a b' is not a git reference"),
        ("git://h/r.git#main#--upload-pack=x", "'--upload-pack=x' is not a git commit"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(BuilderError) as caught:
        ContextSpec.parse(text)
    assert message in caught.value.message


@pytest.mark.parametrize("text", ["s3://b/k", "gs://b/k", "https://acc.blob.core.windows.net/c/x.tar.gz"])
def test_object_stores_are_not_there_yet(text: str) -> None:
    with pytest.raises(NotSupportedYet):
        ContextSpec.parse(text)


def test_two_directories_are_one_too_many() -> None:
    with pytest.raises(BuilderError, match="use one of them"):
        ContextSpec.parse("https://h/r.git#main:a", sub_path="b")


def test_descriptions_hold_no_password() -> None:
    spec = ContextSpec.parse("https://me:secret@h:8443/r.git#main", git=GitOptions(depth=1))
    assert spec.description == "https://h:8443/r.git#main"
    assert without_password("http://[bad:secret@x") == "http://x"
