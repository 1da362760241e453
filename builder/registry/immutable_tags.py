"""Tags that exist and may not be moved: what registries answer to an attempt, each in its own way."""

from __future__ import annotations

import re

from builder.registry.errors import RegistryError

# ECR's (the code, and the name of its exception), and what others have made up; compared without underscores
_CODES = ("TAGINVALID", "TAGALREADYEXISTS", "TAGIMMUTABLE", "IMMUTABLETAG", "TAGPROTECTED", "IMAGETAGALREADYEXISTS")
_STATUSES = (400, 403, 405, 409, 412, 422)
_WORDS = re.compile(
    r"immutab"  # Artifact Registry, Docker Hub, ECR, Harbor, Quay
    r"|protected (container )?tag|tag\b.* is protected|protection rule"  # GitLab
    r"|operation is disallowed"  # Azure's, for a locked tag
    r"|does not allow updating assets|cannot be overwritten|not allowed to overwrite",  # Nexus and others
    re.IGNORECASE,
)


def is_immutable_tag(error: RegistryError) -> bool:
    """True if the refusal of a manifest may mean that its tag cannot be moved; whether there is one has to be asked."""
    if error.status not in _STATUSES:
        return False
    codes = {re.sub(r"[^A-Z]", "", code.upper()).removesuffix("EXCEPTION") for code in error.codes}
    return bool(codes & set(_CODES)) or _WORDS.search(error.message) is not None
