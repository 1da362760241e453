"""Messages between the builder and a supervisor."""

from __future__ import annotations

import socket

import pytest

from builder.isolation.command import Command, OverlayRoot, Tmpfs
from builder.isolation.sandbox import protocol
from builder.isolation.sandbox.protocol import Exited, Failed

COMMAND = Command(
    argv=("sh", "\udcff" * 500_000),  # more than a socket holds
    env=("A=1",),
    cwd="/",
    uid=1,
    gid=2,
    groups=(3,),
    root=OverlayRoot(lowers=("/a",), upper="/u", work="/w"),
    mounts=(Tmpfs(target="/t", size=5),),
)


def test_messages_of_any_size_and_bytes() -> None:
    data = protocol.pack(Exited(3)) + protocol.pack(COMMAND)
    assert list(protocol.unpack(data)) == [Exited(3), COMMAND]


@pytest.mark.parametrize("missing", [1, 100])
def test_incomplete_message_is_left_out(missing: int) -> None:
    data = protocol.pack(Exited(3)) + protocol.pack(COMMAND)
    assert list(protocol.unpack(data[:-missing])) == [Exited(3)]


def test_end_before_a_message() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(protocol.pack(Failed("no"))[:-1])
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(EOFError):
            protocol.receive(ours)
