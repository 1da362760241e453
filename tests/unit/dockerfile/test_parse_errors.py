"""Every parse error names file, line and column, shows the line and has carets under what is wrong."""

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.parse import parse


def error(text: str | bytes) -> DockerfileError:
    with pytest.raises(DockerfileError) as caught:
        parse(text, "Dockerfile")
    return caught.value


def marked(found: DockerfileError) -> str:
    """The characters above the carets."""
    _, line, carets = found.message.split("\n")
    return line[carets.index("^") : carets.index("^") + carets.count("^")]


def test_the_whole_message():
    assert str(error("FROM a\n\nCOPPY . /\n")) == (
        "Dockerfile:3:1: unknown instruction: COPPY\n  COPPY . /\n  ^^^^^\nhint: did you mean COPY?"
    )


@pytest.mark.parametrize(
    ("text", "place", "reason", "fragment"),
    [
        ("FROM a\nNOPE", (2, 1), "unknown instruction: NOPE", "NOPE"),
        ("FROM a\nRUN x \\\n  y\nnope z", (4, 1), "unknown instruction: nope", "nope"),
        ("RUN a\nFROM b", (1, 1), "RUN before the first FROM", "RUN"),
        ("ARG a\n  ENV a=b\nFROM b", (2, 3), "ENV before the first FROM", "ENV"),
        # FROM
        ("FROM", (1, 1), "FROM requires either one or three arguments", "FROM"),
        ("FROM a b", (1, 8), "FROM requires either one or three arguments", "b"),
        ("FROM a is b", (1, 8), "FROM requires either one or three arguments", "is"),
        ("FROM a AS b c", (1, 8), "FROM requires either one or three arguments", "AS"),
        ("FROM a AS 1x", (1, 11), "invalid name for build stage: '1x'", "1x"),
        ("FROM a AS x/y", (1, 11), "invalid name for build stage: 'x/y'", "x/y"),
        ("FROM --platfrom=x a", (1, 6), "unknown flag: --platfrom", "--platfrom=x"),
        # directives
        ("# escape=x\nFROM a", (1, 1), "invalid escape character 'x'", "# escape=x"),
        ("# syntax=a\n#SYNTAX=b\nFROM a", (2, 1), "only one syntax parser directive can be used", "#SYNTAX=b"),
        # flags
        ("FROM a\nCOPY --lnk a b", (2, 6), "unknown flag: --lnk", "--lnk"),
        ("FROM a\nCOPY --chown=a \\\n  --chown=b a b", (3, 3), "flag --chown is there twice", "--chown=b"),
        ("FROM a\nCOPY --link --link=false a b", (2, 13), "flag --link is there twice", "--link=false"),
        ("FROM a\nCOPY --from a b", (2, 6), "flag --from needs a value", "--from"),
        ("FROM a\nCOPY --link= a b", (2, 6), "flag --link needs a value behind =", "--link="),
        ("FROM a\nCOPY --link=1 a b", (2, 6), "flag --link is true or false, not '1'", "--link=1"),
        ("FROM a\nCMD --x y", (2, 5), "unknown flag: --x", "--x"),
        ("FROM a\nADD --from=x a b", (2, 5), "unknown flag: --from", "--from=x"),
        ("FROM a\nCOPY --checksum=x a b", (2, 6), "unknown flag: --checksum", "--checksum=x"),
        # arguments
        ("FROM a\nCOPY a", (2, 6), "COPY requires at least two arguments", "a"),
        ("FROM a\nADD", (2, 1), "ADD requires at least two arguments", "ADD"),
        ("FROM a\nCOPY a <<b\nb", (2, 8), "COPY cannot accept a heredoc as a destination", "<<b"),
        ("FROM a\nCOPY --from=$x a b", (2, 13), "--from doesn't support variable expansion", "$x"),
        ("FROM a\nENV", (2, 1), "ENV requires at least one argument", "ENV"),
        ("FROM a\nENV a", (2, 5), "ENV must have two arguments", "a"),
        ("FROM a\nENV a=b c", (2, 9), "can't find = in 'c'", "c"),
        ("FROM a\nENV a=b \\\n\n # c\n   cd e=f", (5, 4), "can't find = in 'cd'", "cd"),
        ("FROM a\nENV =b", (2, 5), "ENV names can not be blank", "=b"),
        ("FROM a\nLABEL a=b =c", (2, 11), "LABEL names can not be blank", "=c"),
        ("FROM a\nARG", (2, 1), "ARG requires at least one argument", "ARG"),
        ("FROM a\nARG a =b", (2, 7), "ARG names can not be blank", "=b"),
        ("FROM a\nUSER", (2, 1), "USER requires exactly one argument", "USER"),
        ("FROM a\nWORKDIR  ", (2, 1), "WORKDIR requires exactly one argument", "WORKDIR"),
        ("FROM a\nSTOPSIGNAL", (2, 1), "STOPSIGNAL requires exactly one argument", "STOPSIGNAL"),
        ("FROM a\nMAINTAINER", (2, 1), "MAINTAINER requires exactly one argument", "MAINTAINER"),
        ("FROM a\nEXPOSE", (2, 1), "EXPOSE requires at least one argument", "EXPOSE"),
        ("FROM a\nVOLUME", (2, 1), "VOLUME requires at least one argument", "VOLUME"),
        ("FROM a\nVOLUME []", (2, 1), "VOLUME requires at least one argument", "VOLUME"),
        ('FROM a\nVOLUME ["/a", " "]', (2, 8), "a path of VOLUME can not be empty", '["/a", " "]'),
        ("FROM a\nSHELL /bin/sh -c", (2, 7), "SHELL requires the arguments to be in JSON form", "/bin/sh -c"),
        ("FROM a\nSHELL []", (2, 1), "SHELL requires at least one argument", "SHELL"),
        ("FROM a\nSHELL", (2, 1), "SHELL requires at least one argument", "SHELL"),
        ("FROM a\nCMD [1]", (2, 5), "the JSON form of CMD takes strings only", "[1]"),
        ('FROM a\nRUN ["a", null]', (2, 5), "the JSON form of RUN takes strings only", '["a", null]'),
        ("FROM a\nRUN []", (2, 5), "RUN requires at least one argument", "[]"),
        # HEALTHCHECK
        ("FROM a\nHEALTHCHECK", (2, 1), "HEALTHCHECK requires at least one argument", "HEALTHCHECK"),
        ("FROM a\nHEALTHCHECK NONE x y", (2, 18), "HEALTHCHECK NONE takes no arguments", "x y"),
        ("FROM a\nHEALTHCHECK CMD", (2, 13), "missing command after HEALTHCHECK CMD", "CMD"),
        ("FROM a\nHEALTHCHECK CMD []", (2, 13), "missing command after HEALTHCHECK CMD", "CMD"),
        ("FROM a\nHEALTHCHECK curl x", (2, 13), "unknown type 'curl' in HEALTHCHECK", "curl"),
        ("FROM a\nHEALTHCHECK --interval=5 CMD x", (2, 24), "--interval: invalid duration '5'", "5"),
        ("FROM a\nHEALTHCHECK --timeout=1us CMD x", (2, 23), "--timeout: a duration of 1us is less than 1ms", "1us"),
        ("FROM a\nHEALTHCHECK --retries=-1 CMD x", (2, 23), "--retries cannot be negative (-1)", "-1"),
        ("FROM a\nHEALTHCHECK --retries=x CMD x", (2, 23), "--retries: 'x' is not a number", "x"),
        ("FROM a\nHEALTHCHECK --retries=2147483648 CMD x", (2, 23), "--retries: '2147483648' is not a number",
         "2147483648"),
        # ONBUILD
        ("FROM a\nONBUILD", (2, 1), "ONBUILD requires at least one argument", "ONBUILD"),
        ("FROM a\nONBUILD ONBUILD RUN x", (2, 9), "chaining ONBUILD via ONBUILD ONBUILD isn't allowed", "ONBUILD"),
        ("FROM a\nONBUILD from x", (2, 9), "FROM isn't allowed as an ONBUILD trigger", "from"),
        ("FROM a\nONBUILD MAINTAINER x", (2, 9), "MAINTAINER isn't allowed as an ONBUILD trigger", "MAINTAINER"),
        ("FROM a\nONBUILD RNU x", (2, 9), "unknown instruction: RNU", "RNU"),
        ("FROM a\nONBUILD \\\n  COPY --frm=x a b", (3, 8), "unknown flag: --frm", "--frm=x"),
        # RUN
        ("FROM a\nRUN --network=hots x", (2, 15), "--network: unsupported value 'hots'", "hots"),
        ("FROM a\nRUN --security=x y", (2, 16), "--security: unsupported value 'x'", "x"),
        ("FROM a\nRUN --mount=typ=cache x", (2, 13), "--mount: unexpected key 'typ'", "typ=cache"),
        ("FROM a\nRUN --mount=from=$x,target=/y z", (2, 13), "--mount: from doesn't support variable expansion",
         "from=$x"),
        ("FROM a\nRUN <<EOF\nx", (2, 5), "unterminated heredoc: no line is 'EOF'", "<<EOF"),
        # characters
        ("FROM a\nRUN x\0y", (2, 6), "a NUL character", "?"),
        (b"FROM a\nRUN x \\\n  \xe9", (3, 3), "this is not UTF-8", "?"),
        (b"FROM a\nRUN <<E\n\xe9\nE", (2, 1), "the heredoc E is not UTF-8 text", "RUN <<E"),
    ],
)  # fmt: skip
def test_errors_point_at_what_is_wrong(text, place, reason, fragment):
    found = error(text)
    assert (found.line, found.column) == place
    assert found.reason == reason
    assert marked(found) == fragment


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "\\\n", "\ufeff"])
def test_a_file_without_instructions(text):
    assert str(error(text)) == "Dockerfile:1:1: file with no instructions"


def test_a_file_without_stages():
    assert error("ARG a\n").reason == "no FROM, so there is no stage to build"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("FROM a\nRNU x", "did you mean RUN?"),
        ("FROM a\nwrkdir x", "did you mean WORKDIR?"),
        ("FROM a\nXYZZY", None),
        ("FROM a\nCOPY --form=x a b", "did you mean --from?"),
        ("FROM a\nUSER --x y", "USER has no flags"),
        ("FROM a\nRUN --xyz y", "RUN has --mount, --network, --security"),
        ("FROM a\nRUN --network=hots x", "did you mean host?"),
        ("FROM a\nRUN --mount=type=cahce x", "did you mean cache?"),
        ("FROM a\nRUN --mount=tarrget=/x x", "did you mean target?"),
    ],
)
def test_hints(text, hint):
    assert error(text).hint == hint


def test_a_long_line_is_shown_in_part():
    found = error("FROM a\nENV a=" + "x" * 500 + " bad e=f")
    assert found.column == 508
    assert marked(found) == "bad"
    assert max(map(len, found.message.split("\n"))) < 130


def test_tabs_do_not_move_the_carets():
    assert marked(error("FROM a\n\tENV\ta=b\tc")) == "c"
