"""The image config (OCI image-spec config.md, with Docker's additions: Healthcheck, OnBuild, Shell)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from builder.digest import Digest
from builder.errors import InvalidReference, ManifestError
from builder.image.manifest import encode
from builder.image.platform import Platform

_INVALID = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError, InvalidReference)
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck:
    """Docker's health check; durations in nanoseconds, 0 for the engine's default.

    Attributes:
        test: ``("CMD", ...)``, ``("CMD-SHELL", command)`` or ``("NONE",)``.
    """

    test: tuple[str, ...] = ()
    interval: int = 0
    timeout: int = 0
    start_period: int = 0
    start_interval: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerConfig:
    """What a container of the image is started with; None and empty mean that the field is absent."""

    user: str = ""
    exposed_ports: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    volumes: tuple[str, ...] = ()
    working_dir: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str = ""
    healthcheck: Healthcheck | None = None
    on_build: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    args_escaped: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One instruction in the history; `created` is RFC 3339, `empty_layer` that it made no layer."""

    created: str | None = None
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageConfig:
    """An image's config document.

    Attributes:
        created: RFC 3339, or None.
        diff_ids: digests of the uncompressed layers, lowest first.
    """

    platform: Platform
    created: str | None = None
    author: str = ""
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    config: ContainerConfig = field(default_factory=ContainerConfig)
    diff_ids: tuple[Digest, ...] = ()
    history: tuple[History, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes, what: str) -> ImageConfig:
        """Read a config blob; fields that no builder carries on (container, docker_version ...) are dropped.

        Raises ManifestError.
        """
        try:
            document = json.loads(data)
            return _image_config(document)
        except _INVALID as error:
            raise ManifestError(f"the image config of {what} is not valid: {error!r}") from None

    def to_bytes(self) -> bytes:
        """The config blob. The same config gives the same bytes."""
        document: dict[str, Any] = {"architecture": self.platform.architecture}
        if self.platform.variant:
            document["variant"] = self.platform.variant
        document["os"] = self.platform.os
        document |= _present(
            {
                "os.version": self.os_version,
                "os.features": list(self.os_features),
                "created": self.created,
                "author": self.author,
            }
        )
        document["config"] = _container_json(self.config)
        document["rootfs"] = {"type": "layers", "diff_ids": [str(each) for each in self.diff_ids]}
        document["history"] = [_history_json(each) for each in self.history]
        return encode(document)


def _image_config(document: Any) -> ImageConfig:
    rootfs = document.get("rootfs") or {}
    return ImageConfig(
        platform=Platform.normalised(
            document.get("os") or "linux", document.get("architecture") or "amd64", document.get("variant") or ""
        ),
        created=_text(document, "created") or None,
        author=_text(document, "author"),
        os_version=_text(document, "os.version"),
        os_features=_texts(document, "os.features") or (),
        config=_container(document.get("config") or {}),
        diff_ids=tuple(Digest.parse(each) for each in rootfs.get("diff_ids") or ()),
        history=tuple(_history(each) for each in document.get("history") or ()),
    )


def _container(document: Any) -> ContainerConfig:
    return ContainerConfig(
        user=_text(document, "User"),
        exposed_ports=tuple((document.get("ExposedPorts") or {}).keys()),
        env=_texts(document, "Env") or (),
        entrypoint=_texts(document, "Entrypoint"),
        cmd=_texts(document, "Cmd"),
        volumes=tuple((document.get("Volumes") or {}).keys()),
        working_dir=_text(document, "WorkingDir"),
        labels={name: _text(document["Labels"], name) for name in document.get("Labels") or ()},
        stop_signal=_text(document, "StopSignal"),
        healthcheck=_healthcheck(document.get("Healthcheck")),
        on_build=_texts(document, "OnBuild") or (),
        shell=_texts(document, "Shell"),
        args_escaped=bool(document.get("ArgsEscaped")),
    )


def _text(document: Any, key: str) -> str:
    value = document.get(key)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}")
    return value or ""


def _texts(document: Any, key: str) -> tuple[str, ...] | None:
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError(f"{key} is {value!r}")
    return tuple(value)


def _healthcheck(document: Any) -> Healthcheck | None:
    if not document:
        return None
    return Healthcheck(
        test=_texts(document, "Test") or (),
        interval=int(document.get("Interval") or 0),
        timeout=int(document.get("Timeout") or 0),
        start_period=int(document.get("StartPeriod") or 0),
        start_interval=int(document.get("StartInterval") or 0),
        retries=int(document.get("Retries") or 0),
    )


def _history(document: Any) -> History:
    return History(
        created=_text(document, "created") or None,
        created_by=_text(document, "created_by"),
        author=_text(document, "author"),
        comment=_text(document, "comment"),
        empty_layer=bool(document.get("empty_layer")),
    )


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


def _container_json(config: ContainerConfig) -> dict[str, Any]:
    healthcheck = config.healthcheck
    return _present(
        {
            "User": config.user,
            "ExposedPorts": {port: {} for port in sorted(config.exposed_ports)},
            "Env": list(config.env),
            "Entrypoint": list(config.entrypoint or ()),
            "Cmd": list(config.cmd or ()),
            "Volumes": {volume: {} for volume in sorted(config.volumes)},
            "WorkingDir": config.working_dir,
            "Labels": dict(sorted(config.labels.items())),
            "StopSignal": config.stop_signal,
            "ArgsEscaped": config.args_escaped,
            "Healthcheck": _healthcheck_json(healthcheck) if healthcheck else None,
            "OnBuild": list(config.on_build),
            "Shell": list(config.shell or ()),
        }
    )


def _healthcheck_json(healthcheck: Healthcheck) -> dict[str, Any]:
    return _present(
        {
            "Test": list(healthcheck.test),
            "Interval": healthcheck.interval,
            "Timeout": healthcheck.timeout,
            "StartPeriod": healthcheck.start_period,
            "StartInterval": healthcheck.start_interval,
            "Retries": healthcheck.retries,
        }
    )


def _history_json(entry: History) -> dict[str, Any]:
    return _present(
        {
            "created": entry.created,
            "created_by": entry.created_by,
            "author": entry.author,
            "comment": entry.comment,
            "empty_layer": entry.empty_layer,
        }
    )
