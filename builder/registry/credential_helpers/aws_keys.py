"""Where keys of AWS come from, in the order of the SDKs ("Standardized credential providers")."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from builder.errors import BuilderError
from builder.registry.credential_helpers.api import Call, Services, ask_json, form, read_text, text_of
from builder.registry.credential_helpers.aws_signature import Keys
from builder.registry.credential_helpers.helper import Environment

_CONTAINER = "http://169.254.170.2"
_INSTANCE = "http://169.254.169.254"
_SESSION = "builder"


def find_keys(environment: Environment, services: Services, region: str) -> Keys:
    """The first keys that there are: of the environment, web identity, files, the container, the instance.

    Raises BuilderError if there are none, or if those that there should be cannot be had.
    """
    providers: tuple[Callable[[], Keys | None], ...] = (
        lambda: _of_environment(environment),
        lambda: _of_web_identity(environment, services, region),
        lambda: _of_files(environment),
        lambda: _of_container(environment, services),
        lambda: _of_instance(environment, services),
    )
    for provider in providers:
        if found := provider():
            return found
    raise BuilderError("there are no keys of AWS (AWS_EC2_METADATA_DISABLED is set)")


def _of_environment(environment: Environment) -> Keys | None:
    identifier, secret = environment.get("AWS_ACCESS_KEY_ID", ""), environment.get("AWS_SECRET_ACCESS_KEY", "")
    if not identifier or not secret:
        return None
    token = environment.get("AWS_SESSION_TOKEN", "")
    return Keys(identifier=identifier, secret=secret, token=token, source="AWS_ACCESS_KEY_ID")


def _of_web_identity(environment: Environment, services: Services, region: str) -> Keys | None:
    """A role for a token of somebody else's: Kubernetes' service accounts, GitLab's ID tokens."""
    file, role = environment.get("AWS_WEB_IDENTITY_TOKEN_FILE", ""), environment.get("AWS_ROLE_ARN", "")
    if not file or not role:
        return None
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    url = environment.get("AWS_ENDPOINT_URL_STS") or environment.get("AWS_ENDPOINT_URL")
    call = form(
        "Amazon STS",
        (url or f"https://sts.{region}.{domain}").rstrip("/") + "/",
        Action="AssumeRoleWithWebIdentity",
        Version="2011-06-15",
        RoleArn=role,
        RoleSessionName=environment.get("AWS_ROLE_SESSION_NAME") or _SESSION,
        WebIdentityToken=read_text(file, "AWS_WEB_IDENTITY_TOKEN_FILE"),
    )
    text = services.ask(call).decode("utf-8", "replace")
    found = {key: _element(text, key) for key in ("AccessKeyId", "SecretAccessKey", "SessionToken")}
    return Keys(
        identifier=found["AccessKeyId"],
        secret=found["SecretAccessKey"],
        token=found["SessionToken"],
        source=f"AWS_WEB_IDENTITY_TOKEN_FILE as {role}",
    )


def _element(text: str, name: str) -> str:
    found = re.search(rf"<{name}>\s*([A-Za-z0-9+/=_.-]+)\s*</{name}>", text)
    if found is None:
        raise BuilderError(f"Amazon STS answered without {name}")
    return found[1]


def _of_files(environment: Environment) -> Keys | None:
    import configparser  # slow to import, and hardly ever needed

    profile = environment.get("AWS_PROFILE") or "default"
    for file, section in _files(environment, profile):
        parser = configparser.RawConfigParser()
        try:
            with open(file, encoding="utf-8") as stream:
                parser.read_file(stream)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise BuilderError(f"cannot read {file}: {error.strerror}") from None
        except (configparser.Error, ValueError):
            raise BuilderError(f"{file} is not a file of profiles") from None
        found = parser[section] if parser.has_section(section) else {}
        identifier, secret = found.get("aws_access_key_id", ""), found.get("aws_secret_access_key", "")
        if identifier and secret:
            token = found.get("aws_session_token", "")
            return Keys(identifier=identifier, secret=secret, token=token, source=f"{file} ({profile})")
    return None


def _files(environment: Environment, profile: str) -> Iterator[tuple[str, str]]:
    directory = os.path.join(environment.get("HOME") or "/", ".aws")
    yield environment.get("AWS_SHARED_CREDENTIALS_FILE") or os.path.join(directory, "credentials"), profile
    section = profile if profile == "default" else f"profile {profile}"
    yield environment.get("AWS_CONFIG_FILE") or os.path.join(directory, "config"), section


def _of_container(environment: Environment, services: Services) -> Keys | None:
    """ECS tasks and EKS pod identities."""
    relative = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    url = f"{_CONTAINER}{relative}" if relative else environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    if not url:
        return None
    file = environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "")
    token = read_text(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") if file else ""
    token = token or environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    headers = {"Authorization": token} if token else {}
    service = "the credentials of this container (AWS)"
    return _keys(ask_json(services, Call(service=service, url=url, headers=headers, local=True)), service)


def _of_instance(environment: Environment, services: Services) -> Keys | None:
    """The role of an EC2 instance (IMDSv2)."""
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    base = (environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT") or _INSTANCE).rstrip("/")
    service = "the metadata service of this instance (AWS)"

    def ask(path: str, method: str = "GET", **headers: str) -> Call:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = b"" if method == "PUT" else None
        return Call(service=service, url=f"{base}{path}", method=method, headers=named, body=body, local=True)

    token = services.ask(ask("/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="300")).decode().strip()
    roles = "/latest/meta-data/iam/security-credentials/"
    names = services.ask(ask(roles, X_aws_ec2_metadata_token=token)).decode("utf-8", "replace").split()
    if not names:
        raise BuilderError(f"{service} knows no role")
    return _keys(ask_json(services, ask(f"{roles}{quote(names[0])}", X_aws_ec2_metadata_token=token)), service)


def _keys(document: Mapping[str, Any], service: str) -> Keys:
    return Keys(
        identifier=text_of(document, "AccessKeyId", service),
        secret=text_of(document, "SecretAccessKey", service),
        token=str(document.get("Token") or ""),
        source=service,
    )
