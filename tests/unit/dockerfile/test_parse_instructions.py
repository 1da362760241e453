"""Every instruction's own syntax: what its fields hold."""

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.parse import parse, parse_instruction
from builder.dockerfile.syntax import Command, Location, Warning_

SECOND = 1_000_000_000


def instruction(text: str):
    return parse(f"FROM base\n{text}", "Dockerfile").stages[0].instructions[0]


def fields(text: str) -> dict:
    found = instruction(text)
    return {
        name: getattr(found, name)
        for cls in type(found).__mro__
        for name in getattr(cls, "__slots__", ())
        if name not in ("location", "text")
    }


def shell(line: str) -> Command:
    return Command(words=(line,), shell=True)


def words(*items: str) -> Command:
    return Command(words=items, shell=False)


COPY = {
    "sources": ("a",),
    "heredocs": (),
    "destination": "b",
    "chown": None,
    "chmod": None,
    "link": False,
    "excludes": (),
    "from_": None,
    "parents": False,
}
ADD = {key: value for key, value in COPY.items() if key not in ("from_", "parents")} | {
    "checksum": None,
    "keep_git_dir": False,
    "unpack": None,
}
HEALTHCHECK = {"interval": 0, "timeout": 0, "start_period": 0, "start_interval": 0, "retries": 0}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CMD echo  $x ", {"command": shell("echo  $x")}),
        ('CMD ["a", "b c"]', {"command": words("a", "b c")}),
        ('cmd   [ "a" ]  ', {"command": words("a")}),
        ("CMD []", {"command": words()}),
        ("CMD", {"command": shell("")}),
        ('CMD ["a", ]', {"command": shell('["a", ]')}),
        ("CMD ['a']", {"command": shell("['a']")}),
        ('CMD ["a"] b', {"command": shell('["a"] b')}),
        ('CMD ["a\\u00e9\\n"]', {"command": words("aé\n")}),
        ('CMD ["\\ud800"]', {"command": words("\ufffd")}),
        ("CMD [NaN]", {"command": shell("[NaN]")}),
        ("CMD " + "[" * 100_000, {"command": shell("[" * 100_000)}),
        ("CMD [ -f x ] && y", {"command": shell("[ -f x ] && y")}),
        ('ENTRYPOINT ["a"]', {"command": words("a")}),
        ("ENTRYPOINT a b", {"command": shell("a b")}),
        ('SHELL ["/bin/bash", "-c"]', {"words": ("/bin/bash", "-c")}),
        ("EXPOSE 80 8000-8010/udp 443/TCP $x", {"ports": ("$x", "443/TCP", "80", "8000-8010/udp")}),
        ("VOLUME /a  /b", {"paths": ("/a", "/b")}),
        ('VOLUME ["/a b", "/c"]', {"paths": ("/a b", "/c")}),
        ("USER a b", {"user": "a b"}),
        ("USER 1:2", {"user": "1:2"}),
        ("WORKDIR /a b", {"path": "/a b"}),
        ("STOPSIGNAL $sig", {"signal": "$sig"}),
        ("MAINTAINER Jane <j@x>", {"name": "Jane <j@x>"}),
        # ARG, ENV, LABEL
        ("ARG a", {"pairs": (("a", None),)}),
        ("ARG a= b=1 c='x y' d", {"pairs": (("a", ""), ("b", "1"), ("c", "'x y'"), ("d", None))}),
        ("ARG a=b=c", {"pairs": (("a", "b=c"),)}),
        ("ENV a=1 b=\"x y\" c=x\\ y 'd e'=f", {
            "pairs": (("a", "1"), ("b", '"x y"'), ("c", "x\\ y"), ("'d e'", "f")), "legacy": False}),
        ("ENV a=", {"pairs": (("a", ""),), "legacy": False}),
        ('ENV a="x\\"y z" b=1', {"pairs": (("a", '"x\\"y z"'), ("b", "1")), "legacy": False}),
        ("ENV a='x\\' b=1", {"pairs": (("a", "'x\\'"), ("b", "1")), "legacy": False}),
        ('ENV a="open b=1', {"pairs": (("a", '"open b=1'),), "legacy": False}),
        ("ENV a b  c=d", {"pairs": (("a", "b  c=d"),), "legacy": True}),
        ('ENV a "b c"', {"pairs": (("a", '"b c"'),), "legacy": True}),
        ("LABEL a.b=c 'd'=\"e\"", {"pairs": (("a.b", "c"), ("'d'", '"e"')), "legacy": False}),
        ("LABEL a b c", {"pairs": (("a", "b c"),), "legacy": True}),
        # HEALTHCHECK
        ("HEALTHCHECK NONE", {"command": None, **HEALTHCHECK}),
        ("healthcheck none", {"command": None, **HEALTHCHECK}),
        ("HEALTHCHECK --interval=5s NONE", {"command": None, **HEALTHCHECK}),
        ("HEALTHCHECK CMD curl  x", {"command": shell("curl  x"), **HEALTHCHECK}),
        ('HEALTHCHECK --interval=1m30s --timeout=1.5s --start-period=2h --start-interval=5ms --retries=4 cmd ["a"]', {
            "command": words("a"), "interval": 90 * SECOND, "timeout": 3 * SECOND // 2, "start_period": 7200 * SECOND,
            "start_interval": SECOND // 200, "retries": 4}),
        ("HEALTHCHECK --interval=0s --timeout=0 --retries=0 CMD a", {"command": shell("a"), **HEALTHCHECK}),
        # COPY and ADD
        ("COPY a b", COPY),
        ("COPY --link a b", COPY | {"link": True}),
        ("COPY --link=false --parents=TRUE a b", COPY | {"parents": True}),
        ("COPY --from=x --chown=1:2 --chmod=u=rwX,go=rX a b",
         COPY | {"from_": "x", "chown": "1:2", "chmod": "u=rwX,go=rX"}),
        ("COPY --chown= a b", COPY),
        ("COPY --exclude=*.md --exclude=!x a b", COPY | {"excludes": ("*.md", "!x")}),
        ('COPY --chown="a b" --chmod=\'7\'55 a b', COPY | {"chown": "a b", "chmod": "755"}),
        ("COPY a\tc   b", COPY | {"sources": ("a", "c")}),
        ('COPY ["a", "c d", "b"]', COPY | {"sources": ("a", "c d")}),
        ('COPY ["a" "b"]', COPY | {"sources": ('["a"',), "destination": '"b"]'}),
        ("COPY -- --a b", COPY | {"sources": ("--a",)}),
        ("COPY '<<a' b", COPY | {"sources": ("'<<a'",)}),
        ('COPY ["<<a", "b"]', COPY | {"sources": ("<<a",)}),
        ("ADD a b", ADD),
        ("ADD --checksum=sha256:1 --keep-git-dir --unpack=false --exclude=x --link a b",
         ADD | {"checksum": "sha256:1", "keep_git_dir": True, "unpack": False, "excludes": ("x",), "link": True}),
        ("ADD --unpack a b", ADD | {"unpack": True}),
        # ONBUILD
        ("ONBUILD  RUN a  b", {"trigger": "RUN a  b"}),
        ("onbuild copy --from=$x a b".replace("$x", "y"), {"trigger": "copy --from=y a b"}),
        ("ONBUILD RUN a \\\n  b", {"trigger": "RUN a   b"}),
        ("ONBUILD COPY <<-E <<F /x/\n\ta\n\tE\nb\nF", {"trigger": "COPY <<-E <<F /x/\n\ta\nE\nb\nF"}),
        # RUN
        ("RUN a  b", {"command": shell("a  b"), "heredocs": (), "mounts": (), "network": None, "security": None}),
        ("RUN", {"command": shell(""), "heredocs": (), "mounts": (), "network": None, "security": None}),
        ('RUN --network=none --security=insecure ["a"]', {
            "command": words("a"), "heredocs": (), "mounts": (), "network": "none", "security": "insecure"}),
    ],
)  # fmt: skip
def test_fields(text, expected):
    assert fields(text) == expected


def test_heredocs_are_sources_behind_the_files():
    copy = instruction("COPY <<a x <<-'b' y /z/\n1\na\n\t2\nb\n")
    assert copy.sources == ("x", "y")
    assert [(doc.name, doc.content(), doc.expand) for doc in copy.heredocs] == [("a", "1\n", True), ("b", "2\n", False)]
    assert copy.destination == "/z/"


def test_a_run_keeps_its_heredocs():
    run = instruction("RUN <<EOF cat - 4<<-X\na\nEOF\n\tb\n\tX")
    assert run.command == shell("<<EOF cat - 4<<-X")
    assert [(doc.name, doc.data, doc.content(), doc.file_descriptor) for doc in run.heredocs] == [
        ("EOF", "a\n", "a\n", 0),
        ("X", "\tb\n", "b\n", 4),
    ]


def test_text_is_the_instruction_on_one_line():
    run = instruction("  run --network=none  a \\\n  # c\n   b <<E\nx\nE\n")
    assert run.text == "run --network=none  a    b <<E"
    assert run.location == Location(path="Dockerfile", line=2, end_line=6)
    assert run.keyword == "RUN"


def test_stages():
    dockerfile = parse(
        "ARG V=1 W\nARG X\nFROM --platform=$P image:$V AS Build-1\nUSER a\nARG y\n"
        "\nfrom build-1\nFROM scratch as x.y_z",
        "D",
    )
    assert [arg.pairs for arg in dockerfile.global_args] == [(("V", "1"), ("W", None)), (("X", None),)]
    assert [(stage.index, stage.name, stage.base.image, stage.base.platform) for stage in dockerfile.stages] == [
        (0, "build-1", "image:$V", "$P"),
        (1, None, "build-1", None),
        (2, "x.y_z", "scratch", None),
    ]
    assert [item.keyword for item in dockerfile.stages[0].instructions] == ["USER", "ARG"]


def test_maintainer_is_deprecated():
    location = Location(path="D", line=2, end_line=2)
    message = "Maintainer instruction is deprecated in favor of using label"
    assert parse("FROM a\nMAINTAINER x", "D").warnings == (
        Warning_(name="MaintainerDeprecated", location=location, message=message),
    )


def test_bytes_that_are_no_text_are_kept_in_comments_and_copied_documents():
    copy = parse(b"FROM a\n# caf\xe9\nCOPY <<x /y\n\xff\nx\n", "D").stages[0].instructions[0]
    assert copy.heredocs[0].data.encode("utf-8", "surrogateescape") == b"\xff\n"


FROM = Location(path="D", line=7, end_line=7)


@pytest.mark.parametrize(
    ("text", "escape", "keyword", "written"),
    [
        ("RUN a \\\n b", "\\", "RUN", "RUN a  b"),
        ("COPY <<E /x\na\nE", "\\", "COPY", "COPY <<E /x"),
        ("run a `\n b", "`", "RUN", "run a  b"),
    ],
)
def test_triggers_of_an_image(text, escape, keyword, written):
    trigger = parse_instruction(text, FROM, escape)
    assert (trigger.keyword, trigger.text, trigger.location) == (keyword, written, FROM)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ONBUILD RUN a", "D:7:1: chaining ONBUILD"),
        ("FROM a", "D:7:1: FROM isn't allowed as an ONBUILD trigger"),
        ("MAINTAINER a", "D:7:1: MAINTAINER isn't allowed"),
        ("RUN a\nRUN b", "should be a single instruction"),
        ("", "should be a single instruction"),
        ("NOPE", "D:7:1: unknown instruction: NOPE"),
        ("COPY --nope a b", "D:7:6: unknown flag: --nope"),
        ("RUN <<E\n", "D:7:1: the ONBUILD trigger .* unterminated heredoc"),
    ],
)
def test_what_may_not_be_a_trigger(text, message):
    with pytest.raises(DockerfileError, match=message):
        parse_instruction(text, FROM, "\\")
