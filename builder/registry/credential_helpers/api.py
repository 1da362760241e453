"""JSON over HTTP from the services that give out credentials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode

from builder.errors import BuilderError
from builder.registry.credential_helpers.helper import Unavailable
from builder.registry.errors import RegistryError
from builder.registry.exchange import Request, Transport
from builder.registry.network import Network
from builder.registry.tokens import BytesBody

_LIMIT = 1 << 20
_MAX_FILE = 1 << 20
_PATIENCE = 15.0
_LOCAL_PATIENCE = 3.0


class Services(Protocol):
    """Answers requests of the helpers; raises BuilderError if there is no answer, or a refusal."""

    def ask(self, call: Call, /) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request to a service.

    Attributes:
        service: what messages call it.
        local: whether it is on the machine's own link: a metadata service.
    """

    service: str
    url: str
    method: str = "GET"
    headers: Mapping[str, str]
    body: bytes | None = None
    local: bool = False


class NetworkServices:
    """Services as they are, by the same certificates and proxies as registries."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def ask(self, call: Call, /) -> bytes:
        request = Request(
            method=call.method,
            url=call.url,
            headers=call.headers,
            body=BytesBody(call.body) if call.body is not None else None,
            patience=_LOCAL_PATIENCE if call.local else _PATIENCE,
        )
        try:
            response = self._transport(call).send(request)
            data = response.content(_LIMIT)
        except RegistryError as error:
            raise _kind(call)(f"{call.service}: {error.message}", hint=error.hint) from None
        if response.status != 200:
            raise _kind(call)(f"{call.service} answered {response.status}{_said(data)}")
        return data

    def _transport(self, call: Call) -> Transport:
        return self._network.metadata() if call.local else self._network.downloads()


def ask_json(services: Services, call: Call) -> dict[str, Any]:
    """The JSON object that a service answers. Raises BuilderError."""
    try:
        document = json.loads(services.ask(call))
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise BuilderError(f"{call.service} answered no JSON object")
    return document


def form(service: str, url: str, /, **fields: str) -> Call:
    """A form to be posted."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Call(service=service, url=url, method="POST", headers=headers, body=urlencode(fields).encode())


def text_of(document: Mapping[str, Any], key: str, service: str) -> str:
    """A text in an answer. Raises BuilderError if it is not there."""
    value = document.get(key)
    if not isinstance(value, str) or not value:
        raise BuilderError(f"there is no {key} in what {service} gives")
    return value


def read_text(file: str, variable: str) -> str:
    """The content of a file that a variable names. Raises BuilderError."""
    try:
        with Path(file).open("rb") as stream:
            return stream.read(_MAX_FILE).decode().strip()
    except OSError as error:
        raise BuilderError(f"cannot read {file} ({variable}): {error.strerror}") from None
    except ValueError:
        raise BuilderError(f"{file} ({variable}) is not a text") from None


def _kind(call: Call) -> type[BuilderError]:
    return Unavailable if call.local else BuilderError


def _said(data: bytes) -> str:
    """The error's name alone: what else is in an answer may repeat what was sent."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(document, dict):
        return ""
    for key in ("error", "__type", "code", "Code"):
        value = document.get(key)
        if isinstance(value, str) and value.replace("_", "").replace(".", "").replace("#", "").isalnum():
            return f" {value[:80]}"
    return ""
