"""The options of RUN --mount, before and after expansion."""

import pytest

from builder.dockerfile.errors import DockerfileError
from builder.dockerfile.expand import expanded
from builder.dockerfile.mounts import InvalidMount, parse_mount, size_in_bytes
from builder.dockerfile.parse import parse
from builder.dockerfile.syntax import Mount


def without_options(mount: Mount) -> dict:
    defaults = {name: getattr(Mount(type="bind"), name) for name in Mount.__slots__}
    found = {name: getattr(mount, name) for name in Mount.__slots__ if name != "options"}
    return {name: value for name, value in found.items() if value != defaults[name]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/x", {"target": "/x"}),
        ("type=bind,source=a,target=/x,from=stage", {"source": "a", "target": "/x", "from_": "stage"}),
        ("TYPE=Bind,src=a,dst=/x,rw", {"source": "a", "target": "/x", "read_only": False}),
        ("destination=/x,readwrite=true", {"target": "/x", "read_only": False}),
        ("target=/x,ro=false", {"target": "/x", "read_only": False}),
        ("target=/x,readwrite=0,ro=1", {"target": "/x"}),
        ("type=cache,target=/x", {"type": "cache", "target": "/x", "read_only": False}),
        ("type=cache,target=/x,ro,id=a,sharing=LOCKED,mode=0755,uid=1,gid=2",
         {"type": "cache", "target": "/x", "id": "a", "sharing": "locked", "mode": "0755", "uid": "1", "gid": "2"}),
        ("type=tmpfs,target=/x,size=64m", {"type": "tmpfs", "target": "/x", "size": "64m", "read_only": False}),
        ("type=secret,id=a,required,env=A", {"type": "secret", "id": "a", "required": True, "env": "A"}),
        ("required=true,type=secret,id=a,mode=400", {"type": "secret", "id": "a", "required": True, "mode": "400"}),
        ("type=ssh", {"type": "ssh"}),
        ("type=ssh,id=a,target=/s,required=false", {"type": "ssh", "id": "a", "target": "/s"}),
        ('"source=a,b",target=/x', {"source": "a,b", "target": "/x"}),
        # what holds a variable is not looked at yet
        ("type=$t,sharing=$s,mode=$m", {"type": "$t", "sharing": "$s", "mode": "$m"}),
        ("type=$t,size=1", {"type": "$t", "size": "1"}),
    ],
)  # fmt: skip
def test_options(text, expected):
    assert without_options(parse_mount(text)) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is empty"),
        ("type", "'type' must be a key=value pair"),
        ("type=cache,,target=/x", "'' must be a key=value pair"),
        ("nope=1", "unexpected key 'nope'"),
        ("type=nope", "unsupported mount type 'nope'"),
        ("type=", "unsupported mount type ''"),
        ("type=cache,sharing=nope", "unsupported sharing value 'nope'"),
        ("type=cache,mode=8", "invalid value 8 for mode"),
        ("type=cache,mode=77777777777777", "invalid value"),
        ("type=cache,uid=-1", "invalid value -1 for uid"),
        ("type=cache,gid=4294967296", "invalid value 4294967296 for gid"),
        ("ro=maybe", "invalid value for readonly: maybe"),
        ("type=ssh,required=maybe", "invalid value for required: maybe"),
        ("type=tmpfs,size=x", "invalid value for size: x"),
        ("from=a$b", "from doesn't support variable expansion"),
        ("mode=0755", "mode is not allowed for mounts of type bind"),
        ("type=tmpfs,uid=1", "uid is not allowed for mounts of type tmpfs"),
        ("gid=1", "gid is not allowed"),
        ("sharing=shared", "sharing is not allowed for mounts of type bind"),
        ("type=secret,id=a,sharing=shared", "sharing is not allowed for mounts of type secret"),
        ("required", "required is not allowed for mounts of type bind"),
        ("type=cache,size=1", "size is not allowed"),
        ("type=cache,env=A", "env is not allowed"),
        ("type=secret", "needs an id, a source, a target or an env"),
        ("type=secret,id=a,from=b", "should not have a from"),
        ("type=secret,id=a,source=b", "can't both be set"),
        ('"a', "no list of comma-separated values"),
    ],
)
def test_options_that_cannot_be(text, message):
    with pytest.raises(InvalidMount, match=message.replace("(", r"\(")):
        parse_mount(text)


def run(mount: str):
    return parse(f"FROM a\nRUN --mount={mount} x", "D").stages[0].instructions[0]


VALUES = {"t": "cache", "d": "/x y", "m": "0750", "yes": "true", "bad": "nope"}


def test_values_are_expanded_and_then_checked():
    instruction, unmatched = expanded(run("type=$t,target=${d},mode=$m,ro=$yes,id=$unset"), VALUES.get, "\\")
    assert without_options(instruction.mounts[0]) == {"type": "cache", "target": "/x y", "mode": "0750", "id": ""}
    assert unmatched == {"unset"}


@pytest.mark.parametrize(
    ("mount", "reason"),
    [
        ("type=$bad", "--mount: unsupported mount type 'nope'"),
        ("type=$t,size=1", "--mount: size is not allowed for mounts of type cache"),
        ("target=/x,ro=$bad", "--mount: invalid value for readonly: nope"),
        ("type=cache,mode=$bad", "--mount: invalid value nope for mode"),
    ],
)
def test_an_expanded_value_that_cannot_be(mount, reason):
    with pytest.raises(DockerfileError) as caught:
        expanded(run(mount), VALUES.get, "\\")
    assert (caught.value.reason, caught.value.line) == (reason, 2)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1", 1),
        ("1k", 1024),
        ("1KB", 1024),
        ("2MiB", 2 << 20),
        ("1.5g", 3 << 29),
        ("1 t", 1 << 40),
        ("7b", 7),
    ],
)
def test_sizes(text, size):
    assert size_in_bytes(text) == size
