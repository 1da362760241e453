"""Exceptions of the HTTP library and below, as ConnectionFailed errors that say what is wrong."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Callable, Iterator

from builder.registry.certificate_errors import Complaint
from builder.registry.errors import ConnectionFailed, Kind
from builder.registry.exchange import Request
from builder.registry.explain import PROXY_LOGIN

_CLIENT_CERTIFICATE = re.compile("ALERT_(CERTIFICATE_REQUIRED|BAD_CERTIFICATE|UNKNOWN_CA)")
_PLAIN_HTTP = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")


Complain = Callable[[ssl.SSLCertVerificationError], Complaint]


def connection_failed(
    error: BaseException, request: Request, proxy: str | None, complain: Complain | None = None
) -> ConnectionFailed:
    """The error for `error`.

    Args:
        proxy: the host of the proxy that the request goes through, if any.
        complain: explains a certificate that is not accepted.
    """
    causes = list(_causes(error))
    kind = _kind(causes, proxy)
    text, hint = _text(kind, request, causes, proxy), _hint(kind, request, causes, proxy)
    refused = [cause for cause in causes if isinstance(cause, ssl.SSLCertVerificationError)]
    if kind == "tls" and refused and complain:
        found = complain(refused[0])
        text, hint = f"the TLS connection to {_way(request, proxy)} failed: {found.message}", found.hint
    return ConnectionFailed(text, kind=kind, hint=hint, host=request.host, request=str(request))


def _way(request: Request, proxy: str | None) -> str:
    return request.host + (f" through the proxy {proxy}" if proxy else "")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """`error` and all that it wraps; the libraries wrap by cause, by context, as `reason` and as argument."""
    pending, seen = [error], set[int]()
    while pending:
        current = pending.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        wrapped = [current.__cause__, getattr(current, "reason", None), *current.args, current.__context__]
        pending += [each for each in wrapped if isinstance(each, BaseException)]


def _kind(causes: list[BaseException], proxy: str | None) -> Kind:
    if proxy and any(type(cause).__name__ == "ProxyError" for cause in causes):
        # the library blames the proxy for a connection, too, that was kept open and that the proxy has closed
        if any(isinstance(cause, ConnectionResetError | BrokenPipeError) for cause in causes):
            return "broken"
        return "timeout" if any("Timeout" in type(cause).__name__ for cause in causes) else "proxy"
    for cause in causes:
        if isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return "plain-http" if (cause.reason or "") in _PLAIN_HTTP else "tls"
        if isinstance(cause, socket.gaierror):
            return "dns"
        if isinstance(cause, ConnectionRefusedError):
            return "refused"
        if isinstance(cause, TimeoutError) or "Timeout" in type(cause).__name__:
            return "timeout"
    if any(isinstance(cause, OSError) and type(cause) is OSError and cause.errno for cause in causes):
        return "unreachable"
    return "broken"


def _text(kind: Kind, request: Request, causes: list[BaseException], proxy: str | None) -> str:
    host = request.host
    via = f" through the proxy {proxy}" if proxy else ""
    texts: dict[Kind, str] = {
        "refused": f"cannot connect to {proxy or host}: connection refused",
        "dns": f"cannot find the host {proxy or host}: {_os_text(causes, socket.gaierror)}",
        "tls": f"the TLS connection to {_way(request, proxy)} failed: {_tls_text(causes)}",
        "plain-http": f"{host} answers in plain HTTP where HTTPS was expected",
        "timeout": f"{host} did not answer in time{via} ({request})",
        "proxy": f"the proxy {proxy} does not connect to {host}{_proxy_text(causes)}",
        "unreachable": f"cannot connect to {proxy or host}: {_os_text(causes, OSError)}",
        "broken": f"the connection to {host}{via} broke off ({request})",
    }
    return texts[kind]


def _hint(kind: Kind, request: Request, causes: list[BaseException], proxy: str | None) -> str | None:
    host = request.host
    if kind == "plain-http":
        return f"add --insecure-registry {host}"
    if kind == "tls" and any(_wants_certificate(cause) for cause in causes):
        return f"give your certificate and key: --registry-client-cert {host}=CERT,KEY"
    if kind == "tls" and any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return (
            f"give the CA of {host} with --registry-certificate {host}=FILE or in SSL_CERT_DIR; "
            f"--skip-tls-verify-registry {host} trusts any certificate"
        )
    if kind in ("dns", "refused", "timeout", "unreachable") and not proxy:
        return f"check the name {host}, the network, and whether a proxy is needed (https_proxy)"
    if kind == "proxy" and " 407 " in f"{_proxy_text(causes)} ":
        return PROXY_LOGIN
    if proxy:
        return "check http_proxy, https_proxy and no_proxy"
    return None


def _os_text(causes: list[BaseException], kind: type[OSError]) -> str:
    for cause in causes:
        if isinstance(cause, kind) and cause.strerror:
            return cause.strerror
    return "unknown error"


def _tls_text(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {cause.verify_message}"
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            return (cause.reason or "handshake failure").replace("_", " ").lower()
    return "handshake failure"


def _wants_certificate(cause: BaseException) -> bool:
    """The server's alert that the client has shown no certificate, or not a good one."""
    return isinstance(cause, ssl.SSLError) and bool(_CLIENT_CERTIFICATE.search(cause.reason or ""))


def _proxy_text(causes: list[BaseException]) -> str:
    """What a proxy answered to CONNECT; of everything else only the kind is known to hold no secret."""
    for cause in causes:
        found = re.fullmatch(r"Tunnel connection failed: (\d{3})\b.*", str(cause), re.DOTALL)
        if found:
            meaning = {"407": " (it wants a user and password)", "403": " (it forbids this host)"}.get(found[1], "")
            return f": it answered {found[1]}{meaning}"
        if isinstance(cause, ConnectionRefusedError):
            return ": connection refused"
        if isinstance(cause, socket.gaierror):
            return ": its name is not known"
    return ""
