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
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError, InvalidReference) as error:
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
        created=document.get("created"),
        author=document.get("author") or "",
        os_version=document.get("os.version") or "",
        os_features=tuple(document.get("os.features") or ()),
        config=_container(document.get("config") or {}),
        diff_ids=tuple(Digest.parse(each) for each in rootfs.get("diff_ids") or ()),
        history=tuple(_history(each) for each in document.get("history") or ()),
    )


def _container(document: Any) -> ContainerConfig:
    return ContainerConfig(
        user=document.get("User") or "",
        exposed_ports=tuple(document.get("ExposedPorts") or ()),
        env=tuple(document.get("Env") or ()),
        entrypoint=_optional(document.get("Entrypoint")),
        cmd=_optional(document.get("Cmd")),
        volumes=tuple(document.get("Volumes") or ()),
        working_dir=document.get("WorkingDir") or "",
        labels=dict(document.get("Labels") or {}),
        stop_signal=document.get("StopSignal") or "",
        healthcheck=_healthcheck(document.get("Healthcheck")),
        on_build=tuple(document.get("OnBuild") or ()),
        shell=_optional(document.get("Shell")),
        args_escaped=bool(document.get("ArgsEscaped")),
    )


def _optional(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(value)


def _healthcheck(document: Any) -> Healthcheck | None:
    if not document:
        return None
    return Healthcheck(
        test=tuple(document.get("Test") or ()),
        interval=int(document.get("Interval") or 0),
        timeout=int(document.get("Timeout") or 0),
        start_period=int(document.get("StartPeriod") or 0),
        start_interval=int(document.get("StartInterval") or 0),
        retries=int(document.get("Retries") or 0),
    )


def _history(document: Any) -> History:
    return History(
        created=document.get("created"),
        created_by=document.get("created_by") or "",
        author=document.get("author") or "",
        comment=document.get("comment") or "",
        empty_layer=bool(document.get("empty_layer")),
    )


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value}


def _container_json(config: ContainerConfig) -> dict[str, Any]:
    document = _present(
        {
            "User": config.user,
            "ExposedPorts": {port: {} for port in sorted(config.exposed_ports)},
            "Env": list(config.env),
        }
    )
    for key, words in (("Entrypoint", config.entrypoint), ("Cmd", config.cmd)):
        if words is not None:
            document[key] = list(words)
    healthcheck = config.healthcheck
    return document | _present(
        {
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
