"""Image references: Docker's familiar names, hosts, tags, digests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import InvalidReference
from builder.image.reference import Reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"
HUB = "index.docker.io"


@pytest.mark.parametrize(
    ("text", "registry", "repository", "tag", "digest"),
    [
        ("debian", HUB, "library/debian", "latest", None),
        ("debian:12", HUB, "library/debian", "12", None),
        (f"debian@{DIGEST}", HUB, "library/debian", None, DIGEST),
        (f"debian:12@{DIGEST}", HUB, "library/debian", "12", DIGEST),
        ("user/app", HUB, "user/app", "latest", None),
        ("docker.io/debian", HUB, "library/debian", "latest", None),
        ("docker.io/user/app", HUB, "user/app", "latest", None),
        ("index.docker.io/debian", HUB, "library/debian", "latest", None),
        ("registry-1.docker.io/debian", HUB, "library/debian", "latest", None),
        ("library/debian", HUB, "library/debian", "latest", None),
        ("docker.io", HUB, "library/docker.io", "latest", None),
        ("ghcr.io/a/b/c:v1.0-rc.1", "ghcr.io", "a/b/c", "v1.0-rc.1", None),
        ("localhost/x", "localhost", "x", "latest", None),
        ("localhost:5000/x", "localhost:5000", "x", "latest", None),
        ("localhost:5000/x:y", "localhost:5000", "x", "y", None),
        (f"localhost:5000/x:y@{DIGEST}", "localhost:5000", "x", "y", DIGEST),
        ("127.0.0.1:5000/x", "127.0.0.1:5000", "x", "latest", None),
        ("[::1]:5000/x:y", "[::1]:5000", "x", "y", None),
        ("[2001:db8::1]/x", "[2001:db8::1]", "x", "latest", None),
        ("host:80/x", "host:80", "x", "latest", None),
        ("host/x", HUB, "host/x", "latest", None),
        ("HOST/x", "HOST", "x", "latest", None),
        ("a.b/x", "a.b", "x", "latest", None),
        ("xn--n3h.example/x", "xn--n3h.example", "x", "latest", None),
        ("a.b/c-d_e.f__g--h", "a.b", "c-d_e.f__g--h", "latest", None),
        ("x:_UPPER.Tag-1", HUB, "library/x", "_UPPER.Tag-1", None),
        (f"x:{'t' * 128}", HUB, "library/x", "t" * 128, None),
    ],
)
def test_parsing(text: str, registry: str, repository: str, tag: str | None, digest: str | None) -> None:
    expected = Digest.parse(digest) if digest else None
    assert Reference.parse(text) == Reference(registry=registry, repository=repository, tag=tag, digest=expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a repository name"),
        ("UPPER", "repository names are lower-case"),
        ("a/UPPER", "repository names are lower-case"),
        ("x:", "'' is not a tag"),
        ("x:-a", "'-a' is not a tag"),
        (f"x:{'t' * 129}", "is not a tag"),
        ("x:a b", "is not a tag"),
        ("x y", "is not a repository name"),
        ("/x", "is not a"),
        ("x/", "is not a repository name"),
        ("a//b", "is not a repository name"),
        ("a/../b", "is not a repository name"),
        ("-a/x", "is not a repository name"),
        ("a..b/x", "is not a host"),
        ("host:port/x", "is not a host"),
        ("-host.example/x", "is not a host"),
        ("[::1/x", "is not a host"),
        ("under_score.example/x", "is not a host"),
        ("a__b/x:y:z", "is not a"),
        ("x@", "invalid digest"),
        (f"x@{HEX}", "invalid digest"),
        ("x@sha256:abc", "64 lower-case hexadecimal digits"),
        (f"x@sha256:{HEX.upper()}", "64 lower-case hexadecimal digits"),
        (f"x@md5:{HEX}", "invalid digest"),
        ("x\n", "is not a repository name"),
        ("ä", "is not a repository name"),
        (f"a.b/{'x' * 256}", "longer than 255"),
        ("https://example.com/x", "is not a"),
    ],
)
def test_what_is_no_reference(text: str, problem: str) -> None:
    with pytest.raises(InvalidReference) as caught:
        Reference.parse(text)
    assert problem in caught.value.message


def test_names_and_identifiers() -> None:
    tagged, pinned = Reference.parse("a.b/x:1"), Reference.parse(f"a.b/x:1@{DIGEST}")
    assert (tagged.name, tagged.identifier, str(tagged)) == ("a.b/x", "1", "a.b/x:1")
    assert (pinned.identifier, str(pinned)) == (DIGEST, f"a.b/x:1@{DIGEST}")
    assert tagged.with_digest(Digest.parse(DIGEST)) == pinned
    assert str(Reference.parse(f"a.b/x@{DIGEST}")) == f"a.b/x@{DIGEST}"
    assert Reference(registry="a.b", repository="x").identifier == "latest"


component = st.from_regex(r"[a-z0-9]{1,5}([._-][a-z0-9]{1,5})?", fullmatch=True)
references = st.builds(
    lambda host, path, tag, digest: (f"{host}/" if host else "") + "/".join(path) + tag + digest,
    st.sampled_from(["", "localhost", "a.b", "host:5000", "[::1]:5000"]),
    st.lists(component, min_size=1, max_size=4),
    st.sampled_from(["", ":latest", ":1.2_3-x"]),
    st.sampled_from(["", f"@{DIGEST}"]),
)


@given(references)
def test_what_is_written_is_read_again(text: str) -> None:
    reference = Reference.parse(text)
    assert Reference.parse(str(reference)) == reference


@given(st.text(max_size=40))
def test_anything_is_a_reference_or_a_clear_error(text: str) -> None:
    try:
        reference = Reference.parse(text)
    except InvalidReference:
        return
    assert Reference.parse(str(reference)) == reference
