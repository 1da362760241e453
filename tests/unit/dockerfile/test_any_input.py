"""Whatever the text, the front end gives a result or a message with a place: never a traceback."""

from hypothesis import given
from hypothesis import strategies as st

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.expand import expanded
from builder.dockerfile.lint import check
from builder.dockerfile.parse import parse
from builder.dockerfile.stages import StageGraph

_PIECES = st.sampled_from(
    [
        *("FROM ", "RUN ", "COPY ", "ADD ", "ENV ", "ARG ", "LABEL ", "CMD ", "EXPOSE ", "VOLUME ", "ONBUILD "),
        *("HEALTHCHECK ", "SHELL ", "USER ", "WORKDIR ", "STOPSIGNAL ", "ENTRYPOINT ", "MAINTAINER "),
        *("--mount=", "type=cache,", "target=/x,", "from=a ", "--from=", "--chown=", "--link ", "--platform="),
        *("# escape=`\n", "# check=skip=all\n", "<<EOF ", "<<-'X' ", "EOF\n", "\tX\n", '["a", "b"]', "[1]", " AS "),
        *(
            "a",
            "b",
            "0",
            "1",
            "=",
            "$",
            "${",
            "}",
            ":-",
            "'",
            '"',
            "\\",
            "`",
            " ",
            "\t",
            "\n",
            "#",
            "é",
            "\0",
            "\ud800",
        ),
    ]
)


@given(st.lists(_PIECES, max_size=25).map("".join), st.booleans())
def test_any_text(text, headed):
    text = f"FROM x\n{text}" if headed else text
    try:
        dockerfile = parse(text, "Dockerfile")
        for node in StageGraph(dockerfile, {"a": "b"}.get).nodes:
            for instruction in node.instructions:
                expanded(instruction, {"a": "b"}.get, dockerfile.escape)
    except DockerfileError as error:
        assert error.message.startswith(f"Dockerfile:{error.line}:{error.column}: {error.reason}")
        assert 1 <= error.line <= text.count("\n") + 1
    else:
        check(dockerfile)


@given(st.binary(max_size=60))
def test_any_bytes(data):
    try:
        parse(b"FROM x\n" + data, "Dockerfile")
    except DockerfileError as error:
        assert str(error).encode()
