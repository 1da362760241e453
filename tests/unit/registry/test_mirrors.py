from __future__ import annotations

import pytest

from builder.image.reference import Reference
from builder.registry.mirrors import candidates
from builder.registry.policy import RegistryPolicy


@pytest.mark.parametrize(
    ("policy", "reference", "expected"),
    [
        (RegistryPolicy(), "alpine", ["index.docker.io/library/alpine:latest"]),
        (
            RegistryPolicy(mirrors=("m1.example", "https://m2.example/hub/")),
            "alpine:3",
            ["m1.example/library/alpine:3", "m2.example/hub/library/alpine:3", "index.docker.io/library/alpine:3"],
        ),
        (RegistryPolicy(mirrors=("m1.example",)), "quay.io/a/b:1", ["quay.io/a/b:1"]),
        (
            RegistryPolicy(maps={"quay.io": ("m.example/quay",)}, default_fallback=False),
            "quay.io/a/b:1",
            ["m.example/quay/a/b:1"],
        ),
        (RegistryPolicy(maps={"quay.io/a": ("m.example/x",)}), "quay.io/a/b:1", ["m.example/x/b:1", "quay.io/a/b:1"]),
        (RegistryPolicy(maps={"quay.io/a": ("m.example/x",)}), "quay.io/ab/b:1", ["quay.io/ab/b:1"]),
        (
            RegistryPolicy(maps={"docker.io": ("m.example",)}),
            "x/y",
            ["m.example/x/y:latest", "index.docker.io/x/y:latest"],
        ),
        (RegistryPolicy(default_fallback=False), "quay.io/a/b:1", ["quay.io/a/b:1"]),
    ],
)
def test_candidates(policy: RegistryPolicy, reference: str, expected: list[str]) -> None:
    assert [str(each) for each in candidates(policy, Reference.parse(reference))] == expected


def test_a_digest_goes_along() -> None:
    digest = f"sha256:{'a' * 64}"
    policy = RegistryPolicy(mirrors=("m.example",), default_fallback=False)
    (found,) = candidates(policy, Reference.parse(f"alpine@{digest}"))
    assert str(found) == f"m.example/library/alpine@{digest}"
