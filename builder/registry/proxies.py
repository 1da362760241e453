"""Which proxy a URL goes through: ``http_proxy``, ``https_proxy`` and ``no_proxy`` as Go programs read them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from builder.registry.policy import is_local

_PORTS = {"http": 80, "https": 443}


class Proxies:
    """The proxies that the environment names; small letters go before capitals."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._proxies = {scheme: _variable(environment, f"{scheme}_proxy") for scheme in _PORTS}
        if "REQUEST_METHOD" in environment:  # a CGI program's HTTP_PROXY comes from the client's Proxy header
            self._proxies["http"] = environment.get("http_proxy", "")
        exceptions = _variable(environment, "no_proxy")
        self._exceptions = [entry for entry in re.split(r"[,\s]+", exceptions.lower()) if entry]

    def for_url(self, url: str) -> str | None:
        """The proxy's URL, or None to connect directly. This machine itself is never reached through one."""
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme)
        host = (parts.hostname or "").lower()
        if not proxy or _is_this_machine(host) or self._is_exception(host, parts.port or _PORTS[parts.scheme]):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    @property
    def any(self) -> bool:
        """Whether there is one at all."""
        return any(self._proxies.values())

    @property
    def secrets(self) -> list[str]:
        """The passwords in the proxies' URLs, as they are written there and as they are sent."""
        found = []
        for proxy in self._proxies.values():
            try:
                password = urlsplit(proxy if "://" in proxy else f"http://{proxy}").password
            except ValueError:
                continue
            found += [password, unquote(password)] if password else []
        return found

    def _is_exception(self, host: str, port: int) -> bool:
        return any(_matches(entry, host, port) for entry in self._exceptions)


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name) or environment.get(name.upper()) or ""


def _is_this_machine(host: str) -> bool:
    return is_local(f"[{host}]" if ":" in host else host) and not host.endswith(".local")


def _matches(entry: str, host: str, port: int) -> bool:
    if entry == "*":
        return True
    name, wanted_port = _split_port(entry)
    if wanted_port is not None and wanted_port != port:
        return False
    address = _address(host)
    if address is not None:
        return _covers(name, address)
    if name.startswith((".", "*.")):
        return host.endswith(name.removeprefix("*"))
    return host == name or host.endswith(f".{name}")


def _split_port(entry: str) -> tuple[str, int | None]:
    found = re.fullmatch(r"(\[[^]]*\]|[^:]*):(\d+)", entry)
    name, port = (found.group(1), int(found.group(2))) if found else (entry, None)
    return name.removeprefix("[").removesuffix("]"), port


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _covers(entry: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return False
