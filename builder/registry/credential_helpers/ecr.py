"""``ecr``: Amazon's Elastic Container Registry, private and public."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from builder.errors import BuilderError
from builder.registry.credential_helpers.api import Call, Services, ask_json, text_of
from builder.registry.credential_helpers.aws_keys import find_keys
from builder.registry.credential_helpers.aws_signature import signed
from builder.registry.credential_helpers.helper import Environment, Lease
from builder.registry.credential_helpers.vendor import ask_vendor
from builder.registry.credentials import Credentials

_PROGRAMS = ("ecr-login",)
_MARGIN = 300.0
_PUBLIC = "public.ecr.aws"
_PRIVATE = re.compile(
    r"(?P<account>\d{12})\.dkr[.-]ecr(?P<fips>-fips)?\.(?P<region>[a-z0-9-]+)\."
    r"(?P<domain>amazonaws\.com(?:\.cn)?|amazonaws\.eu|on\.aws|on\.amazonwebservices\.com\.cn|sc2s\.sgov\.gov|c2s\.ic\.gov)"
)
_API_DOMAINS = {"on.aws": "amazonaws.com", "on.amazonwebservices.com.cn": "amazonaws.com.cn"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Api:
    """One of the two services that give tokens."""

    service: str
    region: str
    endpoint: str
    target: str
    override: str


@dataclass(frozen=True, slots=True)
class EcrHelper:
    """By ``docker-credential-ecr-login``, else by ``GetAuthorizationToken`` with the keys that the AWS SDKs would use.

    ``AWS_ENDPOINT_URL_ECR`` and ``AWS_ENDPOINT_URL`` name another endpoint, as for the SDKs.
    """

    environment: Environment
    services: Services
    name: str = "ecr"

    def covers(self, registry: str, /) -> bool:
        return _api(registry) is not None

    def find(self, registry: str, /) -> Lease | None:
        api = _api(registry)
        if api is None:
            return None
        if found := ask_vendor(_PROGRAMS, registry, self.environment):
            return found
        keys = find_keys(self.environment, self.services, api.region)
        url = self.environment.get(api.override) or self.environment.get("AWS_ENDPOINT_URL") or api.endpoint
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": api.target}
        call = Call(service="Amazon ECR", url=url.rstrip("/") + "/", method="POST", headers=headers, body=b"{}")
        answer = ask_json(self.services, signed(call, keys, api.region, api.service))
        return _lease(answer, keys.source)

    def missing(self, registry: str, /) -> str:
        return "there is no docker-credential-ecr-login, and there are no keys of AWS"


def _api(registry: str) -> _Api | None:
    host = registry.lower().removesuffix(":443")
    if host == _PUBLIC:
        return _Api(
            service="ecr-public",
            region="us-east-1",
            endpoint="https://api.ecr-public.us-east-1.amazonaws.com",
            target="SpencerFrontendService.GetAuthorizationToken",
            override="AWS_ENDPOINT_URL_ECR_PUBLIC",
        )
    found = _PRIVATE.fullmatch(host)
    if found is None:
        return None
    region, domain = found["region"], _API_DOMAINS.get(found["domain"], found["domain"])
    return _Api(
        service="ecr",
        region=region,
        endpoint=f"https://{'ecr-fips' if found['fips'] else 'api.ecr'}.{region}.{domain}",
        target="AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken",
        override="AWS_ENDPOINT_URL_ECR",
    )


def _lease(answer: Mapping[str, Any], source: str) -> Lease:
    """The private service answers a list of tokens, the public one a token."""
    data = answer.get("authorizationData")
    data = data[0] if isinstance(data, list) and data else data
    if not isinstance(data, dict):
        raise BuilderError("Amazon ECR answered without authorizationData")
    token = text_of(data, "authorizationToken", "Amazon ECR")
    try:
        user, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise BuilderError("Amazon ECR answered a token that is not user:password in base64")
    expires = data.get("expiresAt")
    seconds = float(expires) - time.time() if isinstance(expires, int | float) else _MARGIN
    return Lease(Credentials(username=user, password=password, source=source), max(0.0, seconds - _MARGIN))
