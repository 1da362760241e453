"""google, ecr and acr against a stand-in for the clouds' services."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from stand_in import Answer, Asked, StandIn

from builder.errors import BuilderError
from builder.progress import Silent
from builder.registry.credential_helpers.acr import AcrHelper
from builder.registry.credential_helpers.api import Call, NetworkServices
from builder.registry.credential_helpers.aws_signature import Keys, signed
from builder.registry.credential_helpers.ecr import EcrHelper
from builder.registry.credential_helpers.google import GoogleHelper
from builder.registry.credential_helpers.helper import CredentialHelper, Environment, Unavailable
from builder.registry.exchange import Request, Response, Transport
from builder.registry.network import Network
from builder.registry.policy import RegistryPolicy

SECRET = "s3cr3t-value"
ECR = "123456789012.dkr.ecr.eu-west-1.amazonaws.com"


class Clouds(StandIn):
    """Answers for every host, by ``host/path``; what nobody knows is 404."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[str, Answer] = {}

    def __enter__(self) -> Clouds:
        super().__enter__()
        return self

    def answer(self, asked: Asked) -> Answer:
        return self.answers.get(asked.path.lstrip("/"), Answer(status=404))

    def says(self, where: str, document: object, status: int = 200) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        self.answers[where] = Answer(status=status, body=body)

    def form(self, number: int = 0) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.asked[number].body.decode()).items()}


class _ToStandIn:
    """Sends everything to the stand-in, with the host in the path."""

    def __init__(self, inner: Transport, host: str) -> None:
        self._inner, self._host = inner, host

    def send(self, request: Request, /) -> Response:
        parts = urlsplit(request.url)
        query = f"?{parts.query}" if parts.query else ""
        return self._inner.send(replace(request, url=f"http://{self._host}/{parts.netloc}{parts.path}{query}"))


class _Redirected(Network):
    def __init__(self, environment: Environment, host: str) -> None:
        super().__init__(RegistryPolicy(), environment, Silent())
        self._host = host

    def downloads(self) -> Transport:
        return _ToStandIn(super().downloads(), self._host)

    def metadata(self) -> Transport:
        return _ToStandIn(super().metadata(), self._host)


@pytest.fixture
def clouds() -> Iterator[Clouds]:
    with Clouds() as running:
        yield running


def services(clouds: Clouds, environment: Environment) -> NetworkServices:
    return NetworkServices(_Redirected(environment, clouds.host))


def google(clouds: Clouds, **environment: str) -> GoogleHelper:
    return GoogleHelper(environment, services(clouds, environment))


def ecr(clouds: Clouds, **environment: str) -> EcrHelper:
    return EcrHelper(environment, services(clouds, environment))


def acr(clouds: Clouds, **environment: str) -> AcrHelper:
    return AcrHelper(environment, services(clouds, environment))


@pytest.mark.parametrize(
    ("registry", "helper"),
    [
        ("gcr.io", "google"),
        ("eu.gcr.io", "google"),
        ("europe-west1-docker.pkg.dev", "google"),
        ("notgcr.io", None),
        ("gcr.io.example.com", None),
        ("gcr.io:5000", None),
        (ECR, "ecr"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "ecr"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "ecr"),
        ("public.ecr.aws", "ecr"),
        (f"{ECR}.example.com", None),
        (f"{ECR}:5000", None),
        ("12345.dkr.ecr.eu-west-1.amazonaws.com", None),
        ("example.azurecr.io", "acr"),
        ("example.azurecr.cn", "acr"),
        ("azurecr.io", None),
        ("example.azurecr.io.evil.org", None),
        ("registry.example.com", None),
    ],
)
def test_which_registries_are_whose(clouds: Clouds, registry: str, helper: str | None) -> None:
    every: list[CredentialHelper] = [google(clouds), ecr(clouds), acr(clouds)]
    assert [each.name for each in every if each.covers(registry)] == ([helper] if helper else [])


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def test_google_by_a_service_account(clouds: Clouds, tmp_path: Path, key: rsa.RSAPrivateKey) -> None:
    file = tmp_path / "account.json"
    account = {"type": "service_account", "client_email": "me@project", "private_key": pem(key), "private_key_id": "7"}
    file.write_text(json.dumps(account))
    clouds.says("oauth2.googleapis.com/token", {"access_token": SECRET, "expires_in": 3600})
    found = google(clouds, GOOGLE_APPLICATION_CREDENTIALS=str(file)).find("gcr.io")
    assert found is not None
    assert (found.credentials.username, found.credentials.password) == ("oauth2accesstoken", SECRET)
    assert (found.seconds, str(file) in found.credentials.source) == (3540.0, True)
    assertion = clouds.form()["assertion"]
    head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in assertion.split("."))
    assert json.loads(head) == {"alg": "RS256", "typ": "JWT", "kid": "7"}
    assert json.loads(claims)["iss"] == "me@project"
    assert json.loads(claims)["aud"] == "https://oauth2.googleapis.com/token"
    key.public_key().verify(
        signature, assertion.rpartition(".")[0].encode(), padding.PKCS1v15(), hashes.SHA256()
    )  # raises if it is not the key's


def test_google_by_a_users_refresh_token(clouds: Clouds, tmp_path: Path) -> None:
    (tmp_path / ".config/gcloud").mkdir(parents=True)
    user = {"type": "authorized_user", "client_id": "i", "client_secret": "c", "refresh_token": "r"}
    (tmp_path / ".config/gcloud/application_default_credentials.json").write_text(json.dumps(user))
    clouds.says("oauth2.googleapis.com/token", {"access_token": SECRET})
    found = google(clouds, HOME=str(tmp_path)).find("gcr.io")
    assert found is not None
    assert found.credentials.password == SECRET
    assert clouds.form() == {
        "grant_type": "refresh_token",
        "client_id": "i",
        "client_secret": "c",
        "refresh_token": "r",
    }


@pytest.mark.parametrize("json_format", [False, True])
def test_google_by_federation(clouds: Clouds, tmp_path: Path, json_format: bool) -> None:
    (tmp_path / "token").write_text(json.dumps({"field": "the job's"}) if json_format else "the job's\n")
    form = {"format": {"type": "json", "subject_token_field_name": "field"}} if json_format else {}
    account = {
        "type": "external_account",
        "audience": "//iam/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": "https://sts.googleapis.com/v1/token",
        "service_account_impersonation_url": "https://iam.example/account:generateAccessToken",
        "credential_source": {"file": str(tmp_path / "token"), **form},
    }
    (tmp_path / "federation.json").write_text(json.dumps(account))
    clouds.says("sts.googleapis.com/v1/token", {"access_token": "federated", "expires_in": 3600})
    clouds.says("iam.example/account:generateAccessToken", {"accessToken": SECRET})
    found = google(clouds, GOOGLE_APPLICATION_CREDENTIALS=str(tmp_path / "federation.json")).find("gcr.io")
    assert found is not None
    assert found.credentials.password == SECRET
    assert (clouds.form()["subject_token"], clouds.form()["audience"]) == ("the job's", "//iam/pool")
    assert clouds.asked[1].headers["authorization"] == "Bearer federated"


def test_google_by_the_metadata_server(clouds: Clouds, tmp_path: Path) -> None:
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    clouds.says(f"metadata.google.internal{path}", {"access_token": SECRET, "expires_in": 600})
    found = google(clouds, HOME=str(tmp_path)).find("gcr.io")
    assert found is not None
    assert (found.credentials.password, found.seconds) == (SECRET, 540.0)
    assert clouds.asked[0].headers["metadata-flavor"] == "Google"
    clouds.says(f"169.254.169.254{path}", {"access_token": "other", "expires_in": 600})
    found = google(clouds, HOME=str(tmp_path), GCE_METADATA_HOST="169.254.169.254").find("gcr.io")
    assert found is not None
    assert found.credentials.password == "other"


def test_no_cloud_here_is_no_failure(clouds: Clouds, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="Google's metadata server answered 404"):
        google(clouds, HOME=str(tmp_path)).find("gcr.io")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not a JSON object"),
        ('{"type": "other"}', "a type of credentials that is not known; service_account, authorized_user"),
        ('{"type": "service_account", "client_email": "a"}', "no private_key in what the service account"),
        (f'{{"type": "service_account", "client_email": "a", "private_key": "{SECRET}"}}', "is not an RSA key"),
        (None, "No such file"),
    ],
)
def test_a_google_file_that_cannot_be_used(clouds: Clouds, tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "account.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(BuilderError, match=message) as caught:
        google(clouds, GOOGLE_APPLICATION_CREDENTIALS=str(file)).find("gcr.io")
    assert SECRET not in str(caught.value)


# the example of AWS's documentation of Signature Version 4
def test_a_request_is_signed_as_aws_documents_it() -> None:
    keys = Keys(identifier="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", source="")
    call = Call(
        service="iam",
        url="https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
        headers={"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
    )
    headers = signed(call, keys, "us-east-1", "iam", datetime(2015, 8, 30, 12, 36, 0, tzinfo=UTC)).headers
    assert headers["Authorization"] == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
    )


def authorization(password: str = SECRET, user: str = "AWS") -> dict[str, object]:
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"authorizationData": [{"authorizationToken": token, "expiresAt": time.time() + 12 * 3600}]}


KEYS = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret key"}


def test_ecr_by_keys_of_the_environment(clouds: Clouds) -> None:
    clouds.says("api.ecr.eu-west-1.amazonaws.com/", authorization())
    found = ecr(clouds, **KEYS, AWS_SESSION_TOKEN="session").find(ECR)
    assert found is not None
    assert (found.credentials.username, found.credentials.password) == ("AWS", SECRET)
    assert 11 * 3600 < found.seconds < 12 * 3600
    headers = clouds.asked[0].headers
    assert headers["x-amz-target"] == "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    assert headers["host"] == "api.ecr.eu-west-1.amazonaws.com"
    assert headers["x-amz-security-token"] == "session"
    assert "Credential=AKIAEXAMPLE/" in headers["authorization"]
    assert "/eu-west-1/ecr/aws4_request" in headers["authorization"]


@pytest.mark.parametrize(
    ("registry", "api"),
    [
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "ecr-fips.us-gov-west-1.amazonaws.com"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "api.ecr.cn-north-1.amazonaws.com.cn"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "api.ecr.eu-west-1.amazonaws.com"),
    ],
)
def test_ecr_of_other_partitions(clouds: Clouds, registry: str, api: str) -> None:
    clouds.says(f"{api}/", authorization())
    assert ecr(clouds, **KEYS).find(registry) is not None


def test_the_public_ecr_and_another_endpoint(clouds: Clouds) -> None:
    data = authorization()["authorizationData"]
    assert isinstance(data, list)
    clouds.says("api.ecr-public.us-east-1.amazonaws.com/", {"authorizationData": data[0]})
    assert ecr(clouds, **KEYS).find("public.ecr.aws") is not None
    clouds.says("vpce.example/", authorization("other"))
    found = ecr(clouds, **KEYS, AWS_ENDPOINT_URL_ECR="https://vpce.example").find(ECR)
    assert found is not None
    assert found.credentials.password == "other"


def test_ecr_by_web_identity(clouds: Clouds, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("the job's\n")
    answer = (
        b"<AssumeRoleWithWebIdentityResponse><Credentials><AccessKeyId>ASIA1</AccessKeyId>"
        b"<SecretAccessKey>k/e+y</SecretAccessKey><SessionToken>s=</SessionToken></Credentials>"
        b"</AssumeRoleWithWebIdentityResponse>"
    )
    clouds.says("sts.eu-west-1.amazonaws.com/", answer)
    clouds.says("api.ecr.eu-west-1.amazonaws.com/", authorization())
    role = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"), "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"}
    assert ecr(clouds, **role).find(ECR) is not None
    assert clouds.form()["WebIdentityToken"] == "the job's"
    assert "Credential=ASIA1/" in clouds.asked[1].headers["authorization"]
    assert clouds.asked[1].headers["x-amz-security-token"] == "s="


def test_ecr_by_a_file_of_profiles(clouds: Clouds, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[default]\naws_access_key_id = D\naws_secret_access_key = %(x)\n")
    (tmp_path / ".aws/config").write_text("[profile ci]\naws_access_key_id = C\naws_secret_access_key = y\n")
    clouds.says("api.ecr.eu-west-1.amazonaws.com/", authorization())
    for environment in ({}, {"AWS_PROFILE": "ci"}):
        assert ecr(clouds, HOME=str(tmp_path), **environment).find(ECR) is not None
    assert ["Credential=D/" in clouds.asked[0].headers["authorization"],
            "Credential=C/" in clouds.asked[1].headers["authorization"]] == [True, True]  # fmt: skip


def test_ecr_by_the_container_and_by_the_instance(clouds: Clouds, tmp_path: Path) -> None:
    clouds.says("api.ecr.eu-west-1.amazonaws.com/", authorization())
    role = {"AccessKeyId": "ASIA2", "SecretAccessKey": "k", "Token": "t"}
    clouds.says("169.254.170.2/v2/credentials/7", role)
    assert ecr(clouds, HOME="/nowhere", AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/v2/credentials/7").find(ECR)
    (tmp_path / "token").write_text("pod")
    clouds.says("169.254.170.23/v1/credentials", role)
    pod = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }
    assert ecr(clouds, HOME="/nowhere", **pod).find(ECR)
    assert clouds.asked[2].headers["authorization"] == "pod"
    clouds.says("169.254.169.254/latest/api/token", b"imds")
    clouds.says("169.254.169.254/latest/meta-data/iam/security-credentials/", b"the-role\n")
    clouds.says("169.254.169.254/latest/meta-data/iam/security-credentials/the-role", role)
    assert ecr(clouds, HOME="/nowhere").find(ECR)
    assert clouds.asked[-2].headers["x-aws-ec2-metadata-token"] == "imds"
    with pytest.raises(BuilderError, match="there are no keys of AWS"):
        ecr(clouds, HOME="/nowhere", AWS_EC2_METADATA_DISABLED="true").find(ECR)


@pytest.mark.parametrize(
    ("answer", "status", "message"),
    [
        ({"__type": "UnrecognizedClientException", "message": SECRET}, 400, "400 UnrecognizedClientException"),
        ({"error": f"with spaces {SECRET}"}, 403, "answered 403$"),
        ({}, 200, "without authorizationData"),
        ({"authorizationData": [{"authorizationToken": SECRET}]}, 200, "not user:password in base64"),
        (b"<html>", 200, "no JSON object"),
    ],
)
def test_what_amazon_may_answer(clouds: Clouds, answer: object, status: int, message: str) -> None:
    clouds.says("api.ecr.eu-west-1.amazonaws.com/", answer, status)
    with pytest.raises(BuilderError, match=message) as caught:
        ecr(clouds, **KEYS).find(ECR)
    assert SECRET not in str(caught.value)


PRINCIPAL = {"AZURE_CLIENT_ID": "client", "AZURE_TENANT_ID": "tenant"}


@pytest.mark.parametrize(("registry", "authority"), [
    ("example.azurecr.io", "login.microsoftonline.com"),
    ("example.azurecr.cn", "login.chinacloudapi.cn"),
])  # fmt: skip
def test_acr_by_a_service_principal(clouds: Clouds, registry: str, authority: str) -> None:
    clouds.says(f"{authority}/tenant/oauth2/v2.0/token", {"access_token": "entra"})
    clouds.says(f"{registry}/oauth2/exchange", {"refresh_token": SECRET})
    found = acr(clouds, **PRINCIPAL, AZURE_CLIENT_SECRET="hidden").find(registry)
    assert found is not None
    assert found.credentials.identity_token == SECRET
    assert clouds.form(0)["client_secret"] == "hidden"
    assert clouds.form(0)["scope"] == "https://containerregistry.azure.net/.default"
    exchange = {"grant_type": "access_token", "service": registry, "access_token": "entra", "tenant": "tenant"}
    assert clouds.form(1) == exchange


def test_acr_by_a_workload_identity_and_a_managed_one(clouds: Clouds, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of kubernetes")
    clouds.says("login.example/tenant/oauth2/v2.0/token", {"access_token": "entra"})
    clouds.says("example.azurecr.io/oauth2/exchange", {"refresh_token": SECRET})
    workload = {"AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"), "AZURE_AUTHORITY_HOST": "https://login.example/"}
    assert acr(clouds, **PRINCIPAL, **workload).find("example.azurecr.io")
    assert clouds.form()["client_assertion"] == "of kubernetes"
    clouds.says("169.254.169.254/metadata/identity/oauth2/token", {"access_token": "of the machine"})
    assert acr(clouds, AZURE_CLIENT_ID="assigned").find("example.azurecr.io")
    assert clouds.asked[2].headers["metadata"] == "true"
    assert clouds.asked[2].query["client_id"] == "assigned"
    assert clouds.form(3)["access_token"] == "of the machine"


def test_a_vendors_program_goes_first(clouds: Clouds, tmp_path: Path) -> None:
    for name, answer in {"gcr": "gcr", "ecr-login": "ecr", "acr-env": "acr"}.items():
        program = tmp_path / f"docker-credential-{name}"
        program.write_text(f'#!/bin/sh\nread s; printf \'{{"Username":"{answer}","Secret":"%s"}}\' "$s"\n')
        program.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    for helper, registry in ((google, "gcr.io"), (ecr, ECR), (acr, "example.azurecr.io")):
        found = helper(clouds, PATH=path).find(registry)
        assert found is not None
        assert (found.credentials.username, found.credentials.password) == (
            helper.__name__.replace("google", "gcr"),
            registry,
        )
    assert clouds.asked == []
