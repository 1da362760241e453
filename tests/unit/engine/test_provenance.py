"""Package URLs, and what of a build's names an attestation tells."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from builder.engine.bases import Bases
from builder.engine.plan import Plan
from builder.engine.provenance import Record, attestation, package_url
from builder.engine.request import BuildRequest, Outputs, Provenance
from builder.image.config import ImageConfig
from builder.image.descriptor import Descriptor
from builder.image.manifest import Manifest
from builder.image.media_types import Family
from builder.image.platform import Platform
from builder.image.reference import Reference
from builder.storage.image import Image

ARM = Platform("linux", "arm", "v7")


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("debian:bookworm", "pkg:docker/debian@bookworm?platform=linux%2Farm%2Fv7"),
        ("docker.io/me/app", "pkg:docker/me/app@latest?platform=linux%2Farm%2Fv7"),
        ("reg.example.com:5000/a/b:1", "pkg:docker/reg.example.com%3A5000/a/b@1?platform=linux%2Farm%2Fv7"),
        ("r.io/a@sha256:" + 64 * "0", "pkg:docker/r.io/a?platform=linux%2Farm%2Fv7"),
    ],
)
def test_package_urls(reference: str, expected: str) -> None:
    assert package_url(Reference.parse(reference), ARM) == expected


def statement(**request: Any) -> dict[str, Any]:
    config = ImageConfig(platform=ARM).to_bytes()
    manifest = Manifest(family=Family.OCI, config=Descriptor.of(Family.OCI.config, config), layers=())
    record = Record(
        request=BuildRequest(
            context=Path("/x"), dockerfile=b"", platform=ARM, provenance=Provenance(builder_id="id"), **request
        ),
        plan=cast(Plan, SimpleNamespace(stages=(), platform=ARM)),
        bases=cast(Bases, SimpleNamespace(used=list)),
        started=1700000000.5,
        finished=1700000009.9,
    )
    made = attestation(Image(manifest=manifest, config=config, layers=()), record)
    (layer,) = made.layers
    with layer.source.open() as stream:
        data = stream.read()
    assert json.loads(made.config)["rootfs"]["diff_ids"] == [str(layer.descriptor.digest)]
    found: dict[str, Any] = json.loads(data)
    return found


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("docker/Dockerfile", "docker/Dockerfile"),
        ("/home/me/secret-project/Dockerfile.x", "Dockerfile.x"),
        ("https://me:token@example.com/a/Dockerfile?private_token=abc", "Dockerfile"),
    ],
)
def test_the_dockerfile(path: str, told: str) -> None:
    found = statement(dockerfile_path=path)["predicate"]
    assert found["invocation"]["configSource"]["entryPoint"] == told
    assert (found["builder"]["id"], found["materials"]) == ("id", [])


def test_times_and_names() -> None:
    found = statement(outputs=Outputs(destinations=(Reference.parse("r.io/a:1"), Reference.parse("r.io/a:2"))))
    assert [each["name"].partition("?")[0] for each in found["subject"]] == [
        "pkg:docker/r.io/a@1",
        "pkg:docker/r.io/a@2",
    ]
    metadata = found["predicate"]["metadata"]
    assert (metadata["buildStartedOn"], metadata["buildFinishedOn"]) == ("2023-11-14T22:13:20Z", "2023-11-14T22:13:29Z")
    assert [each["name"] for each in statement()["subject"]] == ["_"]
