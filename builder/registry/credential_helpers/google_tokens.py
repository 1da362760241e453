"""Google's access tokens, from each kind of credentials file (Google's AIP-4110 and following)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from builder.errors import BuilderError
from builder.registry.credential_helpers.api import Call, Services, ask_json, form, read_text, text_of

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_TOKEN_URL = "https://oauth2.googleapis.com/token"
_SECONDS = 3600
_DEFAULT_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token that lives for so many seconds."""

    value: str = field(repr=False)
    seconds: float


def access_token(document: Mapping[str, Any], service: str) -> AccessToken:
    """The token in an OAuth2 answer. Raises BuilderError."""
    seconds = document.get("expires_in")
    lasts = float(seconds) if isinstance(seconds, int | float) else _DEFAULT_SECONDS
    return AccessToken(text_of(document, "access_token", service), lasts)


def of_service_account(file: Mapping[str, Any], services: Services) -> AccessToken:
    """By a JWT that the account's key signs (RFC 7523)."""
    what = "the service account's file"
    url = str(file.get("token_uri") or _TOKEN_URL)
    now = int(time.time())
    claims = {
        "iss": text_of(file, "client_email", what),
        "scope": _SCOPE,
        "aud": url,
        "iat": now,
        "exp": now + _SECONDS,
    }
    assertion = _signed(claims, text_of(file, "private_key", what), str(file.get("private_key_id") or ""))
    service = "Google's token service"
    grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
    return access_token(ask_json(services, form(service, url, grant_type=grant, assertion=assertion)), service)


def of_user(file: Mapping[str, Any], services: Services) -> AccessToken:
    """By the refresh token that ``gcloud auth application-default login`` has kept."""
    what, service = "the user's file", "Google's token service"
    fields = {key: text_of(file, key, what) for key in ("client_id", "client_secret", "refresh_token")}
    call = form(service, str(file.get("token_uri") or _TOKEN_URL), grant_type="refresh_token", **fields)
    return access_token(ask_json(services, call), service)


def of_federation(file: Mapping[str, Any], services: Services) -> AccessToken:
    """By a token of somebody else's, such as GitLab's ID tokens (RFC 8693), and then as a service account."""
    what, service = "the federation's file", "Google's token exchange"
    call = form(
        service,
        text_of(file, "token_url", what),
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        requested_token_type="urn:ietf:params:oauth:token-type:access_token",
        audience=text_of(file, "audience", what),
        subject_token_type=text_of(file, "subject_token_type", what),
        subject_token=_subject(file.get("credential_source"), services),
        scope=_SCOPE,
    )
    token = access_token(ask_json(services, call), service)
    url = file.get("service_account_impersonation_url")
    return _impersonated(str(url), token, services) if url else token


def _impersonated(url: str, token: AccessToken, services: Services) -> AccessToken:
    service = "Google's service account credentials"
    headers = {"Authorization": f"Bearer {token.value}", "Content-Type": "application/json"}
    body = json.dumps({"scope": [_SCOPE], "lifetime": f"{_SECONDS}s"}).encode()
    answer = ask_json(services, Call(service=service, url=url, method="POST", headers=headers, body=body))
    return AccessToken(text_of(answer, "accessToken", service), float(_SECONDS))


def _subject(source: Any, services: Services) -> str:
    """The other's token: in a file, or from a URL; as it is, or in a field of a JSON object."""
    source = source if isinstance(source, dict) else {}
    what = "the federation's credential_source"
    if source.get("file"):
        text = read_text(str(source["file"]), what)
    elif source.get("url"):
        given = source.get("headers")
        headers = {str(name): str(value) for name, value in given.items()} if isinstance(given, dict) else {}
        text = services.ask(Call(service=what, url=str(source["url"]), headers=headers)).decode("utf-8", "replace")
    else:
        raise BuilderError(f"{what} names no file and no url; nothing else is supported")
    form_ = source.get("format")
    if not isinstance(form_, dict) or form_.get("type") != "json":
        return text.strip()
    try:
        return str(json.loads(text)[form_["subject_token_field_name"]])
    except (KeyError, TypeError, ValueError, RecursionError):
        raise BuilderError(f"{what} gives no token in the field that it names") from None


def _signed(claims: Mapping[str, Any], key: str, key_id: str) -> str:
    """A JWT by RS256 (RFC 7519, RFC 7518 3.3)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    try:
        private = serialization.load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, rsa.RSAPrivateKey):
        raise BuilderError("the service account's private_key is not an RSA key in PEM form")
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    text = f"{_encoded(json.dumps(header).encode())}.{_encoded(json.dumps(claims).encode())}"
    return f"{text}.{_encoded(private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
