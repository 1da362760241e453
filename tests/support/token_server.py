"""GitLab's token endpoint (``/jwt/auth``): it signs what its users may do, for as long as a test says."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import math
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

from support.http_server import QuietHandler, Server

ISSUER, SERVICE = "gitlab-issuer", "container_registry"
USER, PASSWORD = "gitlab-ci-token", "glcbt-64_secretOfTheJob"
REFRESH_TOKEN = "refresh-token-of-the-job"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for a token: by whom ("" for nobody), for what, and how."""

    user: str
    scopes: tuple[str, ...]
    method: str


@dataclass(slots=True)
class TokenServer:
    """Runs on a free port of 127.0.0.1 for as long as a ``with`` block lasts.

    Attributes:
        allowed: for each user, repositories' prefixes and the actions that are allowed there. What is asked for beyond
            that is left out of the token, as GitLab does.
        lifetime: of a token, in seconds.
        expires_in: whether the answer says so.
        clock: seconds that the server's clock is ahead.
        hangs: it takes the question, and never answers.
        asked: all questions that were answered with a token.
    """

    allowed: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {USER: {"": "pull,push,delete"}})
    lifetime: float = 300.0
    expires_in: bool = True
    clock: float = 0.0
    hangs: bool = False
    asked: list[Asked] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))
    closing: threading.Event = field(default_factory=threading.Event)
    _server: Any = None

    def __enter__(self) -> TokenServer:
        self._server = Server(self, _Handler)
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.stop()

    @property
    def port(self) -> int:
        return self._server.port

    def write_bundle(self, file: Path) -> None:
        """The certificate that a registry checks the tokens with (``rootcertbundle``)."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ISSUER)])
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def token(self, user: str, *scopes: str) -> str:
        """A token for what `user` may do of the scopes."""
        now = time.time() + self.clock
        claims = {
            "iss": ISSUER,
            "sub": user,
            "aud": SERVICE,
            "iat": int(now),
            "nbf": int(now - 5),
            "exp": math.ceil(now + self.lifetime),
            "jti": secrets.token_hex(8),
            "access": [access for scope in scopes if (access := self._access(user, scope))],
        }
        header = {"typ": "JWT", "alg": "RS256", "kid": self._key_id()}
        text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
        signature = self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_encoded(signature)}"

    def _access(self, user: str, scope: str) -> dict[str, Any] | None:
        kind, _, rest = scope.partition(":")
        name, _, actions = rest.rpartition(":")
        rights = self.allowed.get(user, {})
        allowed = next((rights[prefix] for prefix in rights if name.startswith(prefix)), "")
        granted = [action for action in actions.split(",") if action in allowed.split(",")]
        return {"type": kind, "name": name, "actions": granted} if granted else None

    def _key_id(self) -> str:
        """libtrust's fingerprint, by which docker-registry finds the key."""
        public = self.key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        text = base64.b32encode(hashlib.sha256(public).digest()[:30]).decode()
        return ":".join(text[start : start + 4] for start in range(0, 48, 4))


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class _Handler(QuietHandler):
    server: Server[TokenServer]

    def do_GET(self) -> None:  # noqa: N802
        query = parse_qs(urlsplit(self.path).query)
        given = self.headers.get("Authorization", "").removeprefix("Basic ")
        user, _, password = base64.b64decode(given).decode().partition(":")
        known = not given or (user in self.server.owner.allowed and password == PASSWORD)
        scopes = tuple(scope for value in query.get("scope", []) for scope in value.split())
        self._answer("token", user if known else None, scopes)

    def do_POST(self) -> None:  # noqa: N802
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        known = form.get("grant_type") == ["refresh_token"] and form.get("refresh_token") == [REFRESH_TOKEN]
        self._answer("access_token", USER if known else None, tuple(form.get("scope", [""])[0].split()))

    def _answer(self, name: str, user: str | None, scopes: tuple[str, ...]) -> None:
        tokens = self.server.owner
        if tokens.hangs:
            tokens.closing.wait()
            return
        if user is None:
            message = "HTTP Basic: Access denied. If a password was provided for Git authentication, it was incorrect"
            self._send(401, {"errors": [{"code": "UNAUTHORIZED", "message": message}]})
            return
        if user not in tokens.allowed:
            self._send(403, {"errors": [{"code": "DENIED", "message": "access forbidden"}]})
            return
        token = tokens.token(user, *scopes)
        tokens.asked.append(Asked(user, scopes, self.command))
        tokens.tokens.append(token)
        self._send(200, {name: token} | ({"expires_in": int(tokens.lifetime)} if tokens.expires_in else {}))

    def _send(self, status: int, document: Mapping[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
