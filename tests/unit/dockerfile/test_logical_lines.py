"""Physical lines to logical ones: directives, continuations, comments, heredocs."""

import io

import pytest
from dockerfile_parse import DockerfileParser
from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.lines import read_source
from builder.dockerfile.parse import parse


def texts(source: str) -> list[tuple[str, int, int]]:
    return [(line.text, line.location.line, line.location.end_line) for line in read_source(source, "D").lines]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("FROM a", [("FROM a", 1, 1)]),
        ("FROM a\n", [("FROM a", 1, 1)]),
        ("\ufeffFROM a\r\nUSER b\r\n", [("FROM a", 1, 1), ("USER b", 2, 2)]),
        ("\n \t\n  FROM a  \n", [("FROM a", 3, 3)]),
        ("# c\n  # d\nFROM a\n", [("FROM a", 3, 3)]),
        ("RUN a \\\n  b\n", [("RUN a   b", 1, 2)]),
        ("RUN a\\\nb\n", [("RUN ab", 1, 2)]),
        ("RUN a \\  \t\n  b\n", [("RUN a   b", 1, 2)]),
        ("RUN a \\\r\n  b\r\n", [("RUN a   b", 1, 2)]),
        ("RUN a \\\n# c\n   # d\n b\n", [("RUN a  b", 1, 4)]),
        ("RUN a \\\n\n \t\n b\nUSER c", [("RUN a  b", 1, 4), ("USER c", 5, 5)]),
        ("RUN a \\\n # c \\\n b\n", [("RUN a  b", 1, 3)]),
        ("RUN a # b\n", [("RUN a # b", 1, 1)]),
        ("RUN a \\\\\nUSER b", [("RUN a \\\\", 1, 1), ("USER b", 2, 2)]),
        ("RUN a \\", [("RUN a", 1, 1)]),
        ("RUN a \\\n", [("RUN a", 1, 1)]),
        ("RUN a \\\n# c\n\n", [("RUN a", 1, 1)]),
        ("RUN\\\n a", [("RUN a", 1, 2)]),
        ("RU\\\nN a", [("RUN a", 1, 2)]),
        ("\\\nRUN a", [("RUN a", 1, 2)]),
        ("\\\n", []),
        ("CMD\nUSER a", [("CMD", 1, 1), ("USER a", 2, 2)]),
        ("COMMENT a\nUSER b", [("COMMENT a", 1, 1), ("USER b", 2, 2)]),
        ("# escape=`\nRUN a `\n b\nRUN c \\\nUSER d", [("RUN a  b", 2, 3), ("RUN c \\", 4, 4), ("USER d", 5, 5)]),
        ("# check=skip=all\n# escape=`\nRUN a `\n b", [("RUN a  b", 3, 4)]),
        ("# escape=\\\nRUN a \\\n b", [("RUN a  b", 2, 3)]),
        ("# a comment\n# escape=`\nRUN a \\\n b", [("RUN a  b", 3, 4)]),
        ("\n# escape=`\nRUN a \\\n b", [("RUN a  b", 3, 4)]),
        ("FROM\ta", [("FROM\ta", 1, 1)]),
        ("RUN a\fb\\\nc", [("RUN a\fbc", 1, 2)]),
    ],
)
def test_logical_lines(source, expected):
    assert texts(source) == expected


@pytest.mark.parametrize(
    ("source", "directives"),
    [
        ("# syntax=docker/dockerfile:1\n#ESCAPE = `\n# check=skip=A,B;error=true \nFROM a",
         {"syntax": "docker/dockerfile:1", "escape": "`", "check": "skip=A,B;error=true"}),
        ("#syntax=a b\nFROM a", {"syntax": "a b"}),
        ("# unknown=1\n# syntax=a\nFROM a", {}),
        ("# words\n# syntax=a\nFROM a", {}),
        ("FROM a\n# syntax=b", {}),
        ("\n# syntax=a\nFROM a", {}),
        ("# syntax=\nFROM a", {}),
        ("\ufeff# syntax=a\r\nFROM a\r\n", {"syntax": "a"}),
        ("#!/usr/bin/env docker\n# syntax=a\n# escape=`\nFROM a", {"syntax": "a"}),
    ],
)  # fmt: skip
def test_directives(source, directives):
    assert parse(source, "D").directives == directives


def test_a_blank_line_in_an_instruction_is_a_warning_of_its_own_line():
    warnings = parse("FROM a\nRUN b \\\n\n\n c\nRUN d", "D").warnings
    assert [(warning.name, warning.location.line) for warning in warnings] == [("NoEmptyContinuation", 3)]


def heredocs(source: str) -> list[tuple[str, str, bool, bool, int]]:
    line = read_source(source, "D").lines[0]
    return [(doc.name, doc.data, doc.expand, doc.chomp, doc.file_descriptor) for doc in line.heredocs]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("RUN <<EOF\na\n\n# b\nEOF\n", [("EOF", "a\n\n# b\n", True, False, 0)]),
        ("RUN <<EOF\nEOF", [("EOF", "", True, False, 0)]),
        ("run <<'EOF'\n$a\nEOF", [("EOF", "$a\n", False, False, 0)]),
        ('COPY <<"EOF" /x\n$a\nEOF', [("EOF", "$a\n", False, False, 0)]),
        ("COPY <<E'O'F /x\n$a\nEOF", [("EOF", "$a\n", False, False, 0)]),
        ("RUN <<-EOF\n\ta\n\tEOF\n", [("EOF", "\ta\n", True, True, 0)]),
        ("RUN <<EOF\n\tEOF\n EOF\nEOF \nEOF", [("EOF", "\tEOF\n EOF\nEOF \n", True, False, 0)]),
        ("RUN cat 3<<EOF\na\nEOF", [("EOF", "a\n", True, False, 3)]),
        ("ADD <<a <<-'b' /x/\n1\na\n\t2\n\tb\n", [("a", "1\n", True, False, 0), ("b", "\t2\n", False, True, 0)]),
        ("RUN <<EOF\r\na\r\nEOF\r\n", [("EOF", "a\r\n", True, False, 0)]),
        ("RUN <<EOF cat \\\n  | sort\nb\nEOF", [("EOF", "b\n", True, False, 0)]),
        ("RUN <<EOF\na \\\nEOF", [("EOF", "a \\\n", True, False, 0)]),
        ("RUN <<EOF\nRUN <<X\nEOF", [("EOF", "RUN <<X\n", True, False, 0)]),
        ("ONBUILD RUN <<EOF\na\nEOF", [("EOF", "a\n", True, False, 0)]),
        ("RUN --mount=type=cache,target=/c <<EOF\na\nEOF", [("EOF", "a\n", True, False, 0)]),
        ("RUN <<$x\na\n$x", [("$x", "a\n", True, False, 0)]),
        ("RUN cat <<EOF>/x\na\nEOF>/x", [("EOF>/x", "a\n", True, False, 0)]),
        ("# escape=`\nRUN <<EOF\na`\nEOF", [("EOF", "a`\n", True, False, 0)]),
        # what is no heredoc
        ("RUN echo '<<EOF'", []),
        ('RUN echo "a <<EOF"', []),
        ("RUN echo \\<<EOF", []),
        ("RUN cat <<<EOF", []),
        ("RUN echo $((1<<2))", []),
        ("RUN a << b", []),
        ("RUN a<<b", []),
        ("RUN it's <<EOF", []),
        ('RUN ["a", "<<EOF"]', []),
        ("CMD <<EOF", []),
        ("ENV a=<<EOF", []),
        ("ENTRYPOINT cat <<EOF", []),
        ("ONBUILD CMD <<EOF", []),
    ],
)
def test_heredocs(source, expected):
    assert heredocs(source) == expected


def test_what_follows_a_heredoc_is_an_instruction_again():
    assert texts("FROM a\nRUN <<A <<B\nx\nA\ny\nB\nUSER c\n") == [
        ("FROM a", 1, 1),
        ("RUN <<A <<B", 2, 6),
        ("USER c", 7, 7),
    ]


@pytest.mark.parametrize("source", ["RUN <<EOF", "RUN <<EOF\n EOF\n", "RUN <<A <<B\nA\n", "RUN <<-E\n  E\n"])
def test_an_open_heredoc_is_an_error(source):
    with pytest.raises(DockerfileError, match="unterminated heredoc"):
        read_source(source, "D")


_LINES = st.lists(
    st.sampled_from(["FROM a", "RUN b \\", "  c", "d \\", "# e", "RUN f  g", "COPY h /i", "\tUSER j", "ENV k=l\\"]),
    max_size=12,
)


@given(_LINES)
def test_dockerfile_parse_sees_the_same_instructions_where_it_is_right(lines):
    """Without heredocs, blank continuation lines and other things that it gets wrong."""
    text = "\n".join([*lines, "FROM last", ""])
    entries = DockerfileParser(fileobj=io.BytesIO(text.encode())).structure
    theirs = [(entry["startline"] + 1, entry["endline"] + 1) for entry in entries if entry["instruction"] != "COMMENT"]
    assert [(start, end) for _, start, end in texts(text)] == theirs


@given(st.text("RUN<EOF\\#\n \t'\"-`", max_size=40))
def test_no_line_is_lost(text):
    """Every line that is neither blank nor a comment is in an instruction, or the text is refused."""
    try:
        source = read_source(text, "D")
    except DockerfileError:
        return
    covered = {n for line in source.lines for n in range(line.location.line, line.location.end_line + 1)}
    escape = source.escape
    for number, line in enumerate(text.split("\n"), 1):
        bare = line.strip()
        if bare and not bare.startswith("#") and bare.strip(escape + " \t"):
            assert number in covered
