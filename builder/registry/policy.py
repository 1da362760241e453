"""How each registry may be spoken to: plain HTTP, TLS, certificates, mirrors, retries."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

Direction = Literal["pull", "push", "download"]
"""What is done with a host: images come or go, or something else is fetched (ADD of URLs, contexts, git)."""
Scheme = Literal["https", "http"]
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How often a request is tried, and the pauses between (exponential, with full jitter).

    Attributes:
        attempts: tries in all, at least 1.
        base: seconds that the first pause takes at most; each next one up to twice as long.
        longest: seconds that no pause exceeds. A server that asks for more (Retry-After) is not waited for.
    """

    attempts: int = 5
    base: float = 0.5
    longest: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryPolicy:
    """The flags about registries. Hosts are as in a reference: ``host`` or ``host:port``.

    Attributes:
        insecure: hosts that may be spoken to in plain HTTP (``--insecure-registry``).
        skip_tls: hosts whose certificates are not verified (``--skip-tls-verify-registry``).
        insecure_push, insecure_pull: plain HTTP allowed with every host, when pushing or pulling.
        skip_tls_push, skip_tls_pull: no host's certificate is verified, when pushing or pulling.
        certificates: CA files by host, besides the system's (``--registry-certificate``).
        client_certificates: (certificate, key) files by host (``--registry-client-cert``).
        mirrors: tried in order before Docker Hub (``--registry-mirror``); ``host`` or ``host/path``.
        maps: registry (``host`` or ``host/path``) to what is tried in order before it (``--registry-map``).
        default_fallback: whether a mirrored registry is itself tried at the end.
        ignore_immutable_tags: whether a tag that exists and may not be moved is left as it is
            (``--push-ignore-immutable-tag-errors``).
        push_retries, pull_retries: tries of a request besides those of `backoff`.
        connect_timeout, read_timeout: seconds without a connection, or without a byte.
    """

    insecure: frozenset[str] = frozenset()
    skip_tls: frozenset[str] = frozenset()
    insecure_push: bool = False
    insecure_pull: bool = False
    skip_tls_push: bool = False
    skip_tls_pull: bool = False
    certificates: Mapping[str, Path] = field(default_factory=dict)
    client_certificates: Mapping[str, tuple[Path, Path]] = field(default_factory=dict)
    mirrors: tuple[str, ...] = ()
    maps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    default_fallback: bool = True
    ignore_immutable_tags: bool = False
    push_retries: int = 0
    pull_retries: int = 0
    backoff: Backoff = field(default_factory=Backoff)
    connect_timeout: float = 30.0
    read_timeout: float = 60.0

    def is_insecure(self, host: str, direction: Direction) -> bool:
        """True if the user allowed plain HTTP with `host`."""
        everywhere = {"push": self.insecure_push, "pull": self.insecure_pull}.get(direction, False)
        return everywhere or _names(self.insecure, host)

    def schemes(self, host: str, direction: Direction) -> tuple[Scheme, ...]:
        """What to try, in this order: plain HTTP only where it is allowed, or where nothing leaves the machine."""
        named = for_host(self.certificates, host) or for_host(self.client_certificates, host)
        if is_loopback(host) and not named:
            # Nothing can listen in, and reading all CAs for a handshake that fails takes longer than many a pull.
            return ("http", "https")
        if self.is_insecure(host, direction) or is_local(host):
            return ("https", "http")
        return ("https",)

    def verifies(self, host: str, direction: Direction) -> bool:
        """True if the certificate of `host` must be valid. Where plain HTTP is allowed it need not."""
        everywhere = {"push": self.skip_tls_push, "pull": self.skip_tls_pull}.get(direction, False)
        return not (everywhere or _names(self.skip_tls, host) or self.is_insecure(host, direction))

    def attempts(self, direction: Direction) -> int:
        """How often a request is tried in all."""
        return self.backoff.attempts + (self.push_retries if direction == "push" else self.pull_retries)


def is_local(host: str) -> bool:
    """True for this machine and the local network's own names: localhost, 127.0.0.0/8, ::1, ``*.local``."""
    return is_loopback(host) or host_name(host).endswith(".local")


def is_loopback(host: str) -> bool:
    """True for this machine: localhost, 127.0.0.0/8, ::1."""
    name = host_name(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """``host:port`` without its port, and without an IPv6 address's brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()


def for_host(table: Mapping[str, Value], host: str) -> Value | None:
    """What `table` has for ``host:port``, else for the host on any port."""
    found = table.get(host)
    return found if found is not None else table.get(host.rpartition(":")[0] or host)


def _names(hosts: frozenset[str], host: str) -> bool:
    return host in hosts or (host.rpartition(":")[0] or host) in hosts
