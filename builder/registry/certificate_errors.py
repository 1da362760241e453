"""A server's certificate that is not accepted, in words: whose it is, what is wrong with it, what to do."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.client
import ssl
from base64 import b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from cryptography import x509

_TIMEOUT = 5.0
_MOST_NAMES = 8
# OpenSSL's X509_V_ERR_...
_NOT_YET_VALID, _EXPIRED, _SELF_SIGNED, _MISMATCH = 9, 10, 18, (62, 64)
_UNKNOWN_ISSUER = (2, 19, 20, 21)


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What to tell about a certificate."""

    message: str
    hint: str


def complaint(host: str, proxy: str | None, error: ssl.SSLCertVerificationError, unreadable: list[str]) -> Complaint:
    """Explain why the certificate of ``host:port`` is not accepted.

    The TLS library does not hand out a certificate that it has refused, so that it is asked for once more.

    Args:
        proxy: the URL of the proxy on the way there.
        unreadable: variables that should name certificate authorities, and do not.
    """
    found = _fetched(host, proxy)
    lines = [f"its certificate is not accepted: {error.verify_message}{_meaning(error.verify_code, found)}"]
    lines += _details(found) if found else []
    lines += [f"  {each}: there is no certificate in that file" for each in unreadable]
    return Complaint(message="\n".join(lines), hint=_hint(host, error.verify_code, found))


def _meaning(code: int, found: x509.Certificate | None) -> str:
    now = dt.datetime.now(dt.UTC)
    if code == _EXPIRED and found:
        if found.not_valid_after_utc < now:
            return f" (on {_day(found.not_valid_after_utc)}; today is {_day(now)})"
        return " (one of the authorities that vouch for it, not this one itself)"
    if code == _NOT_YET_VALID and found:
        return f" (before {_day(found.not_valid_before_utc)}; today is {_day(now)})"
    if code == _SELF_SIGNED:
        return " (it vouches for itself, and is not trusted here)"
    if code in _UNKNOWN_ISSUER:
        return " (the authority that vouches for it is not trusted here)"
    return ""


def _details(found: x509.Certificate) -> list[str]:
    names = _names(found)
    shown = ", ".join(names[:_MOST_NAMES]) + (", ..." if len(names) > _MOST_NAMES else "")
    return [
        f"  subject: {_line(found.subject.rfc4514_string())}",
        f"  issuer: {_line(found.issuer.rfc4514_string())}",
        f"  valid: {_day(found.not_valid_before_utc)} to {_day(found.not_valid_after_utc)}",
        f"  names: {shown or 'none'}",
    ]


def _hint(host: str, code: int, found: x509.Certificate | None) -> str:
    skip = f"--skip-tls-verify-registry {host} accepts any certificate"
    if code == _EXPIRED:
        return f"the server needs a new certificate, or this machine's clock is wrong; {skip}"
    if code == _NOT_YET_VALID:
        return f"the clock of this machine or of the authority is wrong; {skip}"
    if code in _MISMATCH:
        return f"use a name that the certificate is for, or have it issued for this one, too; {skip}"
    authority = f" ({_line(found.issuer.rfc4514_string())})" if found else ""
    return (
        f"give the certificate of the authority{authority}: --registry-certificate {host}=FILE, a file in "
        f"SSL_CERT_DIR (/kaniko/ssl/certs in the builder's image), SSL_CERT_FILE=FILE, "
        f"or /etc/docker/certs.d/{host}/ca.crt; {skip}"
    )


def _names(found: x509.Certificate) -> list[str]:
    from cryptography import x509

    try:
        names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [_line(str(name.value)) for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]


def _fetched(host: str, proxy: str | None) -> x509.Certificate | None:
    """The certificate that a server shows, whoever it is; None if it shows none any more."""
    from cryptography import x509

    parts = urlsplit(f"//{host}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        connection = _connection(parts.hostname or "", parts.port or 443, proxy, context)
        with contextlib.closing(connection):
            connection.connect()
            data = connection.sock.getpeercert(binary_form=True)
            return x509.load_der_x509_certificate(data) if data else None
    return None


def _connection(name: str, port: int, proxy: str | None, context: ssl.SSLContext) -> http.client.HTTPSConnection:
    if proxy is None:
        return http.client.HTTPSConnection(name, port, timeout=_TIMEOUT, context=context)
    parts = urlsplit(proxy)
    if parts.scheme != "http":
        raise ValueError("only a proxy that is spoken to in plain HTTP is gone through")
    connection = http.client.HTTPSConnection(parts.hostname or "", parts.port or 80, timeout=_TIMEOUT, context=context)
    headers = {}
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Proxy-Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    connection.set_tunnel(name, port, headers)
    return connection


def _day(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def _line(text: str) -> str:
    """Printable, and not too long: the certificate is anybody's."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text)
    return shown if len(shown) <= 200 else f"{shown[:200]}..."
