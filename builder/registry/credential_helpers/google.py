"""``google``: Google's Container Registry and Artifact Registry."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builder.errors import BuilderError
from builder.registry.credential_helpers import google_tokens
from builder.registry.credential_helpers.api import Call, Services, ask_json, read_text
from builder.registry.credential_helpers.google_tokens import AccessToken
from builder.registry.credential_helpers.helper import Environment, Lease
from builder.registry.credential_helpers.vendor import ask_vendor
from builder.registry.credentials import Credentials

_PROGRAMS = ("gcr", "gcloud")
_USER = "oauth2accesstoken"
_MARGIN = 60.0
_METADATA = "metadata.google.internal"
_TOKEN_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"


@dataclass(frozen=True, slots=True)
class GoogleHelper:
    """By ``docker-credential-gcr`` or ``docker-credential-gcloud``, else as Application Default Credentials are found.

    These are the file of ``GOOGLE_APPLICATION_CREDENTIALS`` (a service account, a user, or workload identity
    federation), then the one that ``gcloud auth application-default login`` writes, then the metadata server
    (``GCE_METADATA_HOST``).
    """

    environment: Environment
    services: Services
    name: str = "google"

    def covers(self, registry: str, /) -> bool:
        host = registry.lower().removesuffix(":443")
        return host == "gcr.io" or host.endswith((".gcr.io", ".pkg.dev"))

    def find(self, registry: str, /) -> Lease | None:
        if found := ask_vendor(_PROGRAMS, registry, self.environment):
            return found
        token, source = self._token()
        credentials = Credentials(username=_USER, password=token.value, source=source)
        return Lease(credentials, max(0.0, token.seconds - _MARGIN))

    def missing(self, registry: str, /) -> str:
        return "there is no docker-credential-gcr, GOOGLE_APPLICATION_CREDENTIALS or metadata server"

    def _token(self) -> tuple[AccessToken, str]:
        named = self.environment.get("GOOGLE_APPLICATION_CREDENTIALS", "")
        if named:
            return self._of_file(named, "GOOGLE_APPLICATION_CREDENTIALS"), f"GOOGLE_APPLICATION_CREDENTIALS ({named})"
        own = _default_file(self.environment)
        if own.is_file():
            return self._of_file(str(own), "gcloud's default credentials"), str(own)
        return self._of_metadata(), "Google's metadata server"

    def _of_file(self, file: str, variable: str) -> AccessToken:
        try:
            document = json.loads(read_text(file, variable))
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise BuilderError(f"{file} ({variable}) is not a JSON object")
        kind = document.get("type")
        exchange = _KINDS.get(kind) if isinstance(kind, str) else None
        if exchange is None:
            raise BuilderError(f"{file} ({variable}) has a type of credentials that is not known; {_KNOWN}")
        return exchange(document, self.services)

    def _of_metadata(self) -> AccessToken:
        host = self.environment.get("GCE_METADATA_HOST") or _METADATA
        service = "Google's metadata server"
        call = Call(
            service=service, url=f"http://{host}{_TOKEN_PATH}", headers={"Metadata-Flavor": "Google"}, local=True
        )
        return google_tokens.access_token(ask_json(self.services, call), service)


_KINDS: Mapping[str, Callable[[Mapping[str, Any], Services], AccessToken]] = {
    "service_account": google_tokens.of_service_account,
    "authorized_user": google_tokens.of_user,
    "external_account": google_tokens.of_federation,
}
_KNOWN = f"{', '.join(_KINDS)} are"


def _default_file(environment: Environment) -> Path:
    directory = environment.get("CLOUDSDK_CONFIG") or os.path.join(environment.get("HOME") or "/", ".config", "gcloud")
    return Path(directory) / "application_default_credentials.json"
