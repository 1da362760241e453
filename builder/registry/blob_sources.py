"""Where a blob can be downloaded from: a repository of a registry, or the URL of a layer that no registry may have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from builder.digest import Digest
from builder.image.reference import Reference
from builder.registry.endpoint import Endpoint
from builder.registry.errors import RegistryError
from builder.registry.exchange import Response, host_of
from builder.registry.redaction import shown_url


class BlobPlace(Protocol):
    """One place that has a blob, or may have it.

    Attributes:
        host: for messages.
        what: the blob there, for messages.
    """

    @property
    def host(self) -> str: ...

    @property
    def what(self) -> str: ...

    def get(self, headers: Mapping[str, str], /) -> Response:
        """Ask for it, or for a range of it. Raises RegistryError, not for a status that is an error."""
        ...

    def refusal(self, response: Response, /) -> RegistryError:
        """The error for a response that is not the blob."""
        ...


@dataclass(frozen=True, slots=True)
class InRepository:
    """A blob of a repository (OCI distribution-spec, "Pulling blobs")."""

    endpoint: Endpoint
    repository: Reference
    digest: Digest

    @property
    def host(self) -> str:
        return self.endpoint.host

    @property
    def what(self) -> str:
        return f"blob {self.digest} of {self.repository.name}"

    def get(self, headers: Mapping[str, str], /) -> Response:
        return self.endpoint.send("GET", f"blobs/{self.digest}", self.repository, headers=headers)

    def refusal(self, response: Response, /) -> RegistryError:
        missing = "the registry does not have this blob"
        return self.endpoint.refusal(response, f"pull {self.what}", self.repository, missing)


@dataclass(frozen=True, slots=True)
class AtUrl:
    """A layer that its descriptor's `urls` lead to (image-spec, descriptor.md); it is asked for without credentials.

    Attributes:
        endpoint: the registry's that has the manifest.
    """

    endpoint: Endpoint
    repository: Reference
    digest: Digest
    url: str

    @property
    def host(self) -> str:
        return host_of(self.url)

    @property
    def what(self) -> str:
        return f"blob {self.digest} at {shown_url(self.url)}"

    def get(self, headers: Mapping[str, str], /) -> Response:
        return self.endpoint.fetch(self.url, headers)

    def refusal(self, response: Response, /) -> RegistryError:
        missing = f"what the manifest of {self.repository.name} names is not there any more"
        return self.endpoint.refusal(response, f"pull {self.what}", self.repository, missing)
