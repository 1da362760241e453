"""Which fields of which instruction are expanded, and how."""

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.expand import expanded, expanded_default
from builder.dockerfile.parse import parse

VALUES = {"a": "1", "list": "80 443/udp", "dir": "/x y", "empty": "", "who": "jo:staff", "sig": "SIGINT"}


def instruction(text: str, header: str = ""):
    stage = parse(f"{header}FROM base\n{text}", "Dockerfile").stages[0]
    return stage.instructions[0] if stage.instructions else stage.base


def expand(text: str, header: str = "", escape: str = "\\"):
    return expanded(instruction(text, header), VALUES.get, escape)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("ENV x=$a '$a'=\"$a b\" z=a\\ b", "pairs", (("x", "1"), ("$a", "1 b"), ("z", "a b"))),
        ("ENV $a=x", "pairs", (("1", "x"),)),
        ('ENV a "b c" $a', "pairs", (("a", "b c 1"),)),
        ("ENV a=2 b=$a", "pairs", (("a", "2"), ("b", "1"))),  # the environment from before the instruction
        ("LABEL x=$a $a=y", "pairs", (("x", "1"), ("1", "y"))),
        ("ARG x=$a y=$x z", "pairs", (("x", "1"), ("y", "1"), ("z", None))),  # one after the other
        ("ARG a=2 b=$a", "pairs", (("a", "2"), ("b", "2"))),
        ("USER ${who}", "user", "jo:staff"),
        ("WORKDIR $dir/'z w'", "path", "/x y/z w"),
        ("STOPSIGNAL $sig", "signal", "SIGINT"),
        ("STOPSIGNAL 9", "signal", "9"),
        ("VOLUME /$a $dir", "paths", ("/1", "/x y")),
        ('VOLUME ["$dir"]', "paths", ("/x y",)),
        ("EXPOSE $list 8000-8001/TCP", "ports", ("80/tcp", "443/udp", "8000/tcp", "8001/tcp")),
        ("EXPOSE $a", "ports", ("1/tcp",)),
        ("EXPOSE $empty", "ports", ()),
        ("COPY $a ${dir}/b $dir/", "sources", ("1", "/x y/b")),
        ("COPY $a ${dir}/b $dir/", "destination", "/x y/"),
        ("COPY --chown=$who x y", "chown", "jo:staff"),
        ("COPY --chmod=${a}755 x y", "chmod", "1755"),
        ("COPY --exclude=$a x y", "excludes", ("$a",)),
        ("COPY x\\ y /", "sources", ("x", "y")),
        ('COPY ["x\\\\ y", "/"]', "sources", ("x y",)),
        ("ADD --checksum=sha256:$a x y", "checksum", "sha256:1"),
        ("ADD --chmod=$a --chown=$who x$a y", "sources", ("x1",)),
    ],
)
def test_fields_are_expanded(text, field, value):
    assert getattr(expand(text)[0], field) == value


@pytest.mark.parametrize(
    "text",
    [
        "RUN echo $a '$a'",
        'CMD ["$a"]',
        "ENTRYPOINT $a",
        'SHELL ["$a"]',
        "HEALTHCHECK CMD $a",
        "ONBUILD RUN $a",
        "MAINTAINER $a",
    ],
)
def test_commands_are_not_expanded(text):
    found = instruction(text)
    assert expanded(found, VALUES.get, "\\") == (found, frozenset())


def test_from_is_expanded():
    base, unmatched = expanded(
        parse("FROM --platform=linux/$a image:${a:-latest}$nope", "D").stages[0].base, VALUES.get, "\\"
    )
    assert (base.image, base.platform, unmatched) == ("image:1", "linux/1", {"nope"})


def test_names_without_a_value_are_told():
    assert expand("COPY --chown=$u1 $u2 '$u3' $u4 $a $empty /$u4")[1] == {"u1", "u2", "u4"}


def test_the_escape_of_the_file_counts():
    assert expand("ENV x=`$a y=\\$a", "# escape=`\n", "`")[0].pairs == (("x", "$a"), ("y", "\\1"))


def test_documents_are_expanded_unless_their_name_is_quoted():
    copy, unmatched = expand("COPY <<x <<-'y' <<-z /\n'$a' \\$a $no\\\\\nx\n\t$a\ny\n\t$dir\nz\n")
    assert [doc.content() for doc in copy.heredocs] == ["'1' $a \\\n", "$a\n", "/x y\n"]
    assert unmatched == {"no"}
    assert expanded(copy, VALUES.get, "\\")[0] == copy


def test_documents_of_run_are_left_alone():
    assert expand("RUN <<x\n$a\nx")[0].heredocs[0].content() == "$a\n"


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ('ENV x="${nope:?not given}"', (2, 7), "nope: not given"),
        ("COPY 'a b", (2, 6), "missing closing single quote"),
        ("WORKDIR ${a", (2, 9), "missing '}'"),
        ("USER ${a!x}", (2, 6), "unsupported modifier (!) in substitution"),
        ("COPY <<x /\n${a\nx", (2, 6), "bad substitution"),
        ("EXPOSE 80 x$a", (2, 11), "invalid port 'x1': 'x1' is not a number"),
        ("EXPOSE 80/${a}", (2, 8), "invalid port '80/1': unknown protocol '1'"),
        ("STOPSIGNAL $who", (2, 12), "invalid signal: jo:staff"),
        ("VOLUME /a $empty", (2, 11), "a path of VOLUME can not be empty"),
        ("ADD x \\\n  ${a:?} '", (2, 16), "missing closing single quote"),
    ],
)
def test_errors_have_a_place(text, place, reason):
    with pytest.raises(DockerfileError) as caught:
        expand(text)
    assert (caught.value.line, caught.value.column) == place
    assert caught.value.reason == reason
    assert caught.value.path == "Dockerfile"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("FROM $nope", "base name ($nope) should not be blank"),
        ("FROM --platform=$nope a", "empty platform value from expression $nope"),
    ],
)
def test_a_from_that_is_blank(text, reason):
    with pytest.raises(DockerfileError) as caught:
        expanded(parse(text, "D").stages[0].base, VALUES.get, "\\")
    assert caught.value.reason == reason


def test_one_default_can_be_expanded_by_itself():
    arg = instruction("ARG x=$a y=${x:?} z=$no w")
    assert expanded_default(arg, 0, VALUES.get, "\\") == ("1", frozenset())
    assert expanded_default(arg, 2, VALUES.get, "\\") == ("", {"no"})
    assert expanded_default(arg, 3, VALUES.get, "\\") == (None, frozenset())
