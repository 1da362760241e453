"""Image configs: what is read and written again, what is dropped, what is not valid."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder.digest import Digest
from builder.errors import ManifestError
from builder.image.config import ContainerConfig, Healthcheck, History, ImageConfig
from builder.image.platform import Platform

FULL = ImageConfig(
    platform=Platform("linux", "arm", "v7"),
    created="2024-01-02T03:04:05.678Z",
    author="somebody",
    os_version="1.2",
    os_features=("f",),
    config=ContainerConfig(
        user="app:app",
        exposed_ports=("443/tcp", "80/tcp"),
        env=("PATH=/bin", "EMPTY=", "Ä=ö"),
        entrypoint=("/entry",),
        cmd=("a", "b"),
        volumes=("/data",),
        working_dir="/srv",
        labels={"a": "1", "b": ""},
        stop_signal="SIGINT",
        healthcheck=Healthcheck(test=("CMD", "x"), interval=1, timeout=2, start_period=3, start_interval=4, retries=5),
        on_build=("RUN x",),
        shell=("/bin/bash", "-c"),
        args_escaped=True,
    ),
    diff_ids=(Digest.of(b"1"), Digest.of(b"2")),
    history=(
        History(created="2024-01-02T03:04:05Z", created_by="RUN x", author="me", comment="c"),
        History(created_by="ENV x", empty_layer=True),
        History(),
    ),
)


@pytest.mark.parametrize("config", [FULL, ImageConfig(platform=Platform("linux", "amd64"))])
def test_what_is_written_is_read_again(config: ImageConfig) -> None:
    assert ImageConfig.from_bytes(config.to_bytes(), "x") == config


def test_the_names_of_the_fields() -> None:
    document = json.loads(FULL.to_bytes())
    assert document["config"]["Healthcheck"] == {
        "Test": ["CMD", "x"], "Interval": 1, "Timeout": 2, "StartPeriod": 3, "StartInterval": 4, "Retries": 5,
    }  # fmt: skip
    assert document["config"]["ExposedPorts"] == {"443/tcp": {}, "80/tcp": {}}
    assert document["config"]["Volumes"] == {"/data": {}}
    assert document["rootfs"] == {"type": "layers", "diff_ids": [str(Digest.of(b"1")), str(Digest.of(b"2"))]}
    assert document["history"][1] == {"created_by": "ENV x", "empty_layer": True}
    assert document["history"][2] == {}
    assert (document["architecture"], document["variant"], document["os"]) == ("arm", "v7", "linux")
    assert (document["os.version"], document["os.features"]) == ("1.2", ["f"])


def test_what_is_not_set_is_not_there() -> None:
    document = json.loads(ImageConfig(platform=Platform("linux", "amd64")).to_bytes())
    assert document == {
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": {"type": "layers", "diff_ids": []},
        "history": [],
    }


def test_the_same_config_gives_the_same_bytes() -> None:
    def config(labels: dict[str, str], ports: tuple[str, ...]) -> bytes:
        inner = ContainerConfig(labels=labels, exposed_ports=ports)
        return ImageConfig(platform=Platform("linux", "amd64"), config=inner).to_bytes()

    assert config({"a": "1", "b": "2"}, ("1", "2")) == config({"b": "2", "a": "1"}, ("2", "1"))


@pytest.mark.parametrize(("words", "expected"), [(None, None), ([], ()), (["x"], ("x",))])
def test_no_command_and_an_empty_one(words: list[str] | None, expected: tuple[str, ...] | None) -> None:
    data = json.dumps({"config": {"Cmd": words, "Entrypoint": words}}).encode()
    config = ImageConfig.from_bytes(data, "x").config
    assert (config.cmd, config.entrypoint) == (expected, expected)


def test_what_other_tools_leave_out_or_put_in() -> None:
    data = {
        "architecture": "arm64", "os": "linux", "variant": "v8", "container": "abc", "docker_version": "20",
        "config": {"Env": None, "Labels": None, "Volumes": None, "Healthcheck": {}, "Hostname": "x", "Domainname": ""},
        "container_config": {}, "history": None, "rootfs": {"type": "layers"},
    }  # fmt: skip
    assert ImageConfig.from_bytes(json.dumps(data).encode(), "x") == ImageConfig(platform=Platform("linux", "arm64"))
    assert ImageConfig.from_bytes(b"{}", "x").platform == Platform("linux", "amd64")


@pytest.mark.parametrize(
    "document",
    [
        b"", b"no", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000,
        {"config": 5}, {"config": ["x"]}, {"config": {"Env": [1]}}, {"config": {"Env": "A=1"}},
        {"config": {"Env": {"A": "1"}}},
        {"config": {"Cmd": "sh"}}, {"config": {"Cmd": [None]}}, {"config": {"User": 5}}, {"config": {"Labels": ["a"]}},
        {"config": {"Labels": {"a": 1}}}, {"config": {"ExposedPorts": [80]}}, {"config": {"Volumes": "x"}},
        {"config": {"WorkingDir": []}}, {"config": {"WorkingDir": ["x"]}}, {"config": {"Healthcheck": "x"}},
        {"config": {"Healthcheck": {"Interval": "often"}}}, {"config": {"Healthcheck": {"Test": "x"}}},
        {"config": {"OnBuild": [5]}}, {"config": {"Shell": "sh"}}, {"rootfs": "x"}, {"rootfs": {"diff_ids": ["x"]}},
        {"rootfs": {"diff_ids": [5]}}, {"history": [5]}, {"history": {"a": 1}}, {"history": [{"created_by": 5}]},
        {"created": 5}, {"os": 5}, {"architecture": ["x"]}, {"author": {"a": 1}},
    ],
)  # fmt: skip
def test_what_is_not_valid(document: Any) -> None:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ManifestError, match="the image config of x is not valid"):
        ImageConfig.from_bytes(data, "x")


FIELDS = [
    "config", "rootfs", "history", "diff_ids", "os", "architecture", "variant", "created", "author", "Env", "Cmd",
    "Labels", "ExposedPorts", "Healthcheck", "Test", "Interval", "created_by", "empty_layer", "User", "os.features",
]  # fmt: skip
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.just(str(Digest.of(b"")))),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(json_values)
def test_any_json_is_a_config_or_a_clear_error(document: Any) -> None:
    try:
        config = ImageConfig.from_bytes(json.dumps(document).encode(), "x")
    except ManifestError:
        return
    assert ImageConfig.from_bytes(config.to_bytes(), "x") == config
