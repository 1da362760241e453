"""Port specifications of EXPOSE: ``80``, ``8000-8010/udp``, ``53/UDP``.

As in BuildKit the forms of ``docker run --publish`` are taken too (``8080:80``, ``127.0.0.1:8080:80``); only the
container's port counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from builder.errors import BuilderError

_PROTOCOLS = ("tcp", "udp", "sctp")
_NUMBER = re.compile(r"\+?[0-9]{1,9}", re.ASCII)


class InvalidPort(BuilderError):
    """A port specification that is not well formed."""

    def __init__(self, spec: str, reason: str) -> None:
        super().__init__(
            f"invalid port {spec!r}: {reason}",
            hint="a port is NUMBER or FIRST-LAST from 0 to 65535, with /tcp, /udp or /sctp behind it or nothing",
        )


def exposed_ports(specs: Iterable[str]) -> tuple[str, ...]:
    """Every port as ``number/protocol``, in the order of the specifications. Raises InvalidPort."""
    return tuple(port for spec in specs for port in _ports(spec))


def split_port(spec: str) -> tuple[str, str, str, str]:
    """Host address, host port, container port and protocol, as written; "" for what is not there."""
    host, _, container = spec.rpartition(":")
    address, _, host_port = host.rpartition(":")
    port, _, protocol = container.partition("/")
    return address, host_port, port, protocol


def _ports(spec: str) -> list[str]:
    address, host_port, port, protocol = split_port(spec)
    if not port:
        raise InvalidPort(spec, "no port specified")
    if (protocol.lower() or "tcp") not in _PROTOCOLS:
        raise InvalidPort(spec, f"unknown protocol {protocol!r}")
    _check_address(spec, address)
    first, last = _range(spec, port)
    if host_port:
        host_first, host_last = _range(spec, host_port)
        if host_last - host_first != last - first and last != first:
            raise InvalidPort(spec, "the ranges of container and host are not of the same length")
    return [f"{number}/{protocol.lower() or 'tcp'}" for number in range(first, last + 1)]


def _range(spec: str, text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    numbers = _number(spec, first), _number(spec, last if dash else first)
    if numbers[1] < numbers[0]:
        raise InvalidPort(spec, "the range ends before it begins")
    return numbers


def _number(spec: str, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidPort(spec, f"{text!r} is not a number" if text else "a number is missing")
    if int(text) > 65535:
        raise InvalidPort(spec, f"{text} is out of range")
    return int(text)


def _check_address(spec: str, address: str) -> None:
    if not address:
        return
    from ipaddress import ip_address

    try:
        ip_address(address.removeprefix("[").removesuffix("]"))
    except ValueError:
        raise InvalidPort(spec, f"{address!r} is not an IP address") from None
