"""A response that is an error, in words: what the registry said (bounded), and what to do about it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from builder.registry.errors import ConnectionFailed, RegistryError
from builder.registry.exchange import Response
from builder.registry.redaction import Redaction
from builder.registry.retry_after import retry_after

PROXY_LOGIN = "the proxy wants a user and password: in http_proxy and https_proxy, user:password@ before its host"
_BODY_LIMIT = 64 * 1024
_SHOWN_LIMIT = 300
# of nginx: "No required SSL certificate was sent", "The SSL certificate error"
_CLIENT_CERTIFICATE = re.compile("required SSL certificate|SSL certificate error", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What was tried when the registry refused.

    Attributes:
        what: completes "cannot ...": ``pull host/repository:tag``.
        credentials: says which credentials were used, or where none were found; asked only when needed.
        push: whether it would have written to the registry.
        missing: what a 404 means here, e.g. ``the image does not exist``.
    """

    what: str
    credentials: Callable[[], str]
    push: bool = False
    missing: str = "it does not exist"


def explain(response: Response, attempt: Attempt, redaction: Redaction) -> RegistryError:
    """The error for a response that was not expected; reads (a bounded part of) its body and closes it."""
    try:
        body = response.start(_BODY_LIMIT)
    except ConnectionFailed:
        body = b""
    codes, text = _said(body, response.headers.get("content-type", ""))
    said = redaction.clean(text)
    host = response.request.host
    who = _who(response, codes)
    message = f"cannot {attempt.what}: {who} answered {_status(response.status)}" + (f": {said}" if said else "")
    return RegistryError(
        message,
        hint=_hint(response, attempt, codes, body.decode("utf-8", "replace")),
        host=host,
        request=str(response.request),
        status=response.status,
        codes=codes,
    )


def _who(response: Response, codes: tuple[str, ...]) -> str:
    """The registry, or a proxy that may have answered in its place."""
    host, proxy = response.request.host, response.proxy
    if proxy is None or codes or _is_registry(response):
        return host
    return f"the proxy {proxy}" if response.status == 407 else f"{host} (or the proxy {proxy} on the way there)"


def _is_registry(response: Response) -> bool:
    """Registries say that they are one (distribution-spec 1.0, "Legacy Docker support HTTP headers"), or speak JSON."""
    return "docker-distribution-api-version" in response.headers or "json" in response.headers.get("content-type", "")


def _status(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _said(body: bytes, content_type: str) -> tuple[tuple[str, ...], str]:
    """The error codes of a body, and its message in one short printable line; of a page for browsers only its title."""
    text = body.decode("utf-8", "replace")
    try:
        codes, messages = _parse(json.loads(text))
    except (ValueError, RecursionError):
        return (), _line(_title(text) if "html" in content_type or text.lstrip().startswith("<") else text)
    return codes, _line("; ".join(messages))


def _title(page: str) -> str:
    """What a page of a proxy is about, unless that is just its status."""
    from html import unescape  # here: errors are rare, and its table of entities is large

    found = re.search(r"<title[^>]*>([^<]*)", page, re.IGNORECASE)
    title = unescape(found.group(1)).strip() if found else ""
    return "" if re.match(r"(error\W*)?\d{3}\b", title, re.IGNORECASE) else title


def _parse(document: Any) -> tuple[tuple[str, ...], list[str]]:
    """Codes and messages: the distribution-spec's list of errors, or what token servers and others write."""
    if not isinstance(document, dict):
        return (), []
    errors = document.get("errors")
    entries = [entry for entry in errors if isinstance(entry, dict)] if isinstance(errors, list) else []
    if entries:
        codes = tuple(str(entry.get("code", "")) for entry in entries[:10])
        return codes, [_entry(entry) for entry in entries[:10]]
    for key in ("details", "error_description", "message", "error"):
        if isinstance(document.get(key), str):
            return (), [document[key]]
    return (), []


def _entry(entry: dict[str, Any]) -> str:
    code, message, detail = entry.get("code"), entry.get("message"), entry.get("detail")
    parts = [str(part) for part in (code, message) if part]
    if isinstance(detail, str) and detail and detail != message:
        parts.append(detail)
    return ": ".join(parts)


def _line(text: str) -> str:
    line = " ".join(re.sub(r"[^\x20-\x7e\xa0-\uffff]+", " ", text).split())
    return line if len(line) <= _SHOWN_LIMIT else f"{line[:_SHOWN_LIMIT]}..."


def _hint(response: Response, attempt: Attempt, codes: tuple[str, ...], text: str) -> str | None:
    status = response.status
    if status == 401:
        return _unauthorized(response, attempt)
    if status == 403:
        return _forbidden(response, attempt, codes)
    if status == 404:
        return f"{attempt.missing}, or these credentials may not see it: {attempt.credentials()}"
    if status == 429:
        return _too_many(response, attempt)
    if status == 400 and "HTTP request" in text and "HTTPS" in text:
        return f"{response.request.host} wants HTTPS; leave out the insecure flags for it"
    if status in (400, 403, 495, 496) and _CLIENT_CERTIFICATE.search(text):
        host = response.request.host
        return f"{host} wants a client certificate that it knows: --registry-client-cert {host}=CERT,KEY"
    if status >= 500:
        return _HINTS.get(
            status, "the registry (or a proxy before it) is in trouble; its log says more, try again later"
        )
    return _HINTS.get(status)


_HINTS = {
    405: "the registry is read-only, or this is no registry",
    407: PROXY_LOGIN,
    413: "the registry, or a proxy before it, limits the size of an upload (nginx: client_max_body_size)",
    507: "the registry has no space left",
}


def _unauthorized(response: Response, attempt: Attempt) -> str:
    used = attempt.credentials()
    if "insufficient_scope" in response.headers.get("www-authenticate", ""):
        # whoever it is has got a token, but not one for this: no other password would help
        return (
            _permission(attempt, used) if used.endswith("were used") else f"without a login it may not be done: {used}"
        )
    said = f"{used}, and were refused" if used.endswith("were used") else used
    if response.proxy and not _is_registry(response):
        return f"the proxy {response.proxy} may have refused the user and password in http_proxy; else: {said}"
    return said


def _forbidden(response: Response, attempt: Attempt, codes: tuple[str, ...]) -> str:
    if not codes and not _is_registry(response):
        proxy = f"the answer of the proxy {response.proxy}" if response.proxy else "a proxy's answer"
        return (
            f"this may be {proxy} and not the registry's (see http_proxy, https_proxy and no_proxy); "
            f"else: {attempt.credentials()}"
        )
    return _permission(attempt, attempt.credentials())


def _permission(attempt: Attempt, credentials: str) -> str:
    needed = "push to" if attempt.push else "pull from"
    role = "the role Developer" if attempt.push else "the role Reporter"
    gitlab = f"in GitLab {role}, or for a job's token the job token permissions of that project"
    return f"the user needs permission to {needed} this repository ({gitlab}): {credentials}"


def _too_many(response: Response, attempt: Attempt) -> str:
    wait = retry_after(response)
    later = f"try again in {wait:.0f} s" if wait else "try again later"
    advice = "" if attempt.push else ", log in, or pull through --registry-mirror"
    return f"the registry limits how often it is asked: {later}{advice}"
