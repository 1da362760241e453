"""The /etc/hosts of a command."""

from __future__ import annotations

import pytest

from builder.isolation.sandbox.kernel_files import hosts

LOCALHOST = b"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        (b"", LOCALHOST + b"127.0.0.1\tname\n"),
        (b"127.0.0.1 localhost", b"127.0.0.1 localhost\n127.0.0.1\tname\n"),
        (b"127.0.0.1 localhost name\n", b"127.0.0.1 localhost name\n"),
        (b"10.0.0.1 db # localhost name\n", b"10.0.0.1 db # localhost name\n" + LOCALHOST + b"127.0.0.1\tname\n"),
    ],
)
def test_missing_names_are_added(machine: bytes, expected: bytes) -> None:
    assert hosts(machine, "name") == expected
