"""Keeping secrets out of everything that is printed."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterable, Mapping

MASK = "***"

_URL_PASSWORD = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s/:@\"']*):[^\s/\"']+@")
_URL_TOKEN = re.compile(r"(https?://)[^\s/:@\"']+@")
_URL_QUERY = re.compile(
    r"([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|X-Goog-(?:Signature|Credential)|sig|signature|token|access_token"
    r"|private_token|password)=)[^&\s\"']+",
    re.IGNORECASE,
)
_HEADER = re.compile(
    r"((?:proxy-)?authorization[\"']?\s*[:=]\s*[\"']?(?:(?:basic|bearer|negotiate)\s+)?)[^\s\"']+", re.IGNORECASE
)
_BEARER = re.compile(r"\b(bearer\s+)[A-Za-z0-9._~+/-]{16,}=*", re.IGNORECASE)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*")

_SECRET_VARIABLE = re.compile(
    r"GIT_TOKEN|GIT_PASSWORD|CI_JOB_TOKEN|CI_REGISTRY_PASSWORD|CI_DEPLOY_PASSWORD|CI_DEPENDENCY_PROXY_PASSWORD"
    r"|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|AWS_CONTAINER_AUTHORIZATION_TOKEN|AZURE_CLIENT_SECRET|IDENTITY_HEADER"
    r"|KANIKO_[A-Z0-9_]+_PASSWORD"
)
_MINIMUM = 8
"""Characters of a value of the environment, or of a line of a secret, below which it is too common to be masked."""


class Redactor:
    """Masks known secrets, and what looks like one by its surroundings: passwords in URLs, tokens, signatures.

    Thread-safe.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._known: re.Pattern[str] | None = None
        self._secrets: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self.add(secrets)

    def add(self, secrets: Iterable[str]) -> None:
        """Mask these values from now on: as a whole, their longer lines, and their base64 form."""
        forms = frozenset(form for secret in secrets for form in _forms(secret))
        with self._lock:
            if forms <= self._secrets:
                return
            self._secrets |= forms
            longest_first = sorted(self._secrets, key=lambda each: (-len(each), each))
            self._known = re.compile("|".join(map(re.escape, longest_first)))

    def add_found(self, secrets: Iterable[str]) -> None:
        """Mask values that were found somewhere, unless they are so short that they would mask ordinary words."""
        self.add(secret for secret in secrets if len(secret) >= _MINIMUM and secret not in self._secrets)

    def __call__(self, text: str) -> str:
        """`text` with every secret replaced by ``***``."""
        if self._known:
            text = self._known.sub(MASK, text)
        if "://" in text:
            text = _URL_PASSWORD.sub(rf"\1:{MASK}@", text)
            text = _URL_TOKEN.sub(rf"\1{MASK}@", text)
            text = _URL_QUERY.sub(rf"\1{MASK}", text)
        lower = text.lower()
        if "authorization" in lower:
            text = _HEADER.sub(rf"\1{MASK}", text)
        if "bearer" in lower:
            text = _BEARER.sub(rf"\1{MASK}", text)
        return _JWT.sub(MASK, text) if "eyJ" in text else text


def secrets_of(environment: Mapping[str, str]) -> list[str]:
    """Values of the variables that are known to hold a password or a token."""
    return [value for name, value in environment.items() if _SECRET_VARIABLE.fullmatch(name) and len(value) >= _MINIMUM]


def _forms(secret: str) -> Iterable[str]:
    stripped = secret.strip()
    if not stripped:
        return
    yield stripped
    lines = [line.strip() for line in stripped.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _MINIMUM)
    if len(stripped) >= _MINIMUM:
        yield base64.b64encode(stripped.encode(errors="surrogateescape")).decode().rstrip("=")
