"""AWS Signature Version 4 ("Create a signed AWS API request")."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlsplit

from builder.registry.credential_helpers.api import Call

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Keys of AWS; `token` goes with temporary ones. `source` says where they were found."""

    identifier: str
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    source: str


def signed(call: Call, keys: Keys, region: str, service: str, now: datetime | None = None) -> Call:
    """`call` with the headers that prove who sends it. Every header that it has is signed."""
    moment = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
    parts = urlsplit(call.url)
    headers = {**call.headers, "Host": parts.netloc, "X-Amz-Date": moment}
    headers |= {"X-Amz-Security-Token": keys.token} if keys.token else {}
    canonical = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
    names = ";".join(sorted(canonical))
    request = "\n".join(
        (
            call.method,
            quote(parts.path or "/", safe="/~"),
            "&".join(sorted(f"{_quoted(key)}={_quoted(value)}" for key, value in parse_qsl(parts.query, True))),
            "".join(f"{name}:{canonical[name]}\n" for name in sorted(canonical)),
            names,
            hashlib.sha256(call.body or b"").hexdigest(),
        )
    )
    scope = f"{moment[:8]}/{region}/{service}/aws4_request"
    to_sign = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
    key = f"AWS4{keys.secret}".encode()
    for part in (*scope.split("/"), to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    headers["Authorization"] = (
        f"{_ALGORITHM} Credential={keys.identifier}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
    )
    return replace(call, headers=headers)


def _quoted(text: str) -> str:
    return quote(text, safe="-_.~")
