"""``acr``: Azure Container Registry."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from builder.registry.credential_helpers.api import Call, Services, ask_json, form, read_text, text_of
from builder.registry.credential_helpers.helper import Environment, Lease
from builder.registry.credential_helpers.vendor import ask_vendor
from builder.registry.credentials import Credentials

_PROGRAMS = ("acr-env", "acr-linux", "acr-login", "acr")
_DOMAINS = (".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de")
_AUTHORITIES = {".azurecr.cn": "https://login.chinacloudapi.cn", ".azurecr.us": "https://login.microsoftonline.us"}
_AUTHORITY = "https://login.microsoftonline.com"
_AUDIENCE = "https://containerregistry.azure.net"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_IDENTITY = "http://169.254.169.254/metadata/identity/oauth2/token"
# a registry's refresh token lives for three hours
_SECONDS = 2.5 * 3600


@dataclass(frozen=True, slots=True)
class AcrHelper:
    """By a vendor's helper, else with a token of Microsoft Entra that the registry exchanges for its own.

    That token is for a service principal (``AZURE_CLIENT_ID``, ``AZURE_TENANT_ID`` and ``AZURE_CLIENT_SECRET``), a
    workload identity (``AZURE_FEDERATED_TOKEN_FILE`` in place of the secret), or the managed identity of the machine.
    """

    environment: Environment
    services: Services
    name: str = "acr"

    def covers(self, registry: str, /) -> bool:
        return registry.lower().removesuffix(":443").endswith(_DOMAINS)

    def find(self, registry: str, /) -> Lease | None:
        if found := ask_vendor(_PROGRAMS, registry, self.environment):
            return found
        host = registry.lower().removesuffix(":443")
        token, source = self._entra(host)
        service = f"{host}/oauth2/exchange"
        fields = {"grant_type": "access_token", "service": host, "access_token": token}
        if tenant := self.environment.get("AZURE_TENANT_ID"):
            fields["tenant"] = tenant
        answer = ask_json(self.services, form(service, f"https://{host}/oauth2/exchange", **fields))
        refresh = text_of(answer, "refresh_token", service)
        return Lease(Credentials(identity_token=refresh, source=source), _SECONDS)

    def missing(self, registry: str, /) -> str:
        return "there is no docker-credential-acr-env, AZURE_CLIENT_ID or managed identity"

    def _entra(self, host: str) -> tuple[str, str]:
        """A token of Microsoft Entra for registries, and where it comes from."""
        values = self.environment
        client, tenant = values.get("AZURE_CLIENT_ID", ""), values.get("AZURE_TENANT_ID", "")
        file, secret = values.get("AZURE_FEDERATED_TOKEN_FILE", ""), values.get("AZURE_CLIENT_SECRET", "")
        if not client or not tenant or not (secret or file):
            return self._managed(client), "the managed identity of this machine (Azure)"
        fields = {"grant_type": "client_credentials", "client_id": client, "scope": f"{_AUDIENCE}/.default"}
        if secret:
            fields["client_secret"], source = secret, "AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
        else:
            fields["client_assertion_type"] = _ASSERTION
            fields["client_assertion"] = read_text(file, "AZURE_FEDERATED_TOKEN_FILE")
            source = "AZURE_CLIENT_ID and AZURE_FEDERATED_TOKEN_FILE"
        service = "Microsoft Entra"
        call = form(service, f"{self._authority(host)}/{tenant}/oauth2/v2.0/token", **fields)
        return text_of(ask_json(self.services, call), "access_token", service), source

    def _authority(self, host: str) -> str:
        given = self.environment.get("AZURE_AUTHORITY_HOST", "")
        usual = next((url for domain, url in _AUTHORITIES.items() if host.endswith(domain)), _AUTHORITY)
        return (given or usual).rstrip("/")

    def _managed(self, client: str) -> str:
        """App Service and Container Instances name their endpoint; virtual machines have theirs at a fixed address."""
        service = "the managed identity of this machine (Azure)"
        endpoint, header = self.environment.get("IDENTITY_ENDPOINT", ""), self.environment.get("IDENTITY_HEADER", "")
        query = {"api-version": "2019-08-01" if endpoint else "2018-02-01", "resource": _AUDIENCE}
        query |= {"client_id": client} if client else {}
        url = f"{endpoint or _IDENTITY}?{urlencode(query)}"
        headers = {"X-IDENTITY-HEADER": header} if endpoint else {"Metadata": "true"}
        answer = ask_json(self.services, Call(service=service, url=url, headers=headers, local=True))
        return text_of(answer, "access_token", service)
