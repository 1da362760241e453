"""Arguments to the option groups that several commands share.

Everything here raises UsageError for what makes no sense.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from builder.cli.arguments import Arguments
from builder.cli.option_values import choice, lists, pairs, path
from builder.cli.options import LogFormat, MessageOptions, OutputOptions, RegistryOptions, Verbosity
from builder.cli.provenance import provenance
from builder.cli.state import default_state_dir
from builder.engine.request import Provenance
from builder.errors import InvalidReference, UsageError
from builder.image.media_types import Family
from builder.image.reference import Reference
from builder.registry.policy import RegistryPolicy

_VERBOSITIES: tuple[Verbosity, ...] = ("panic", "fatal", "error", "warn", "info", "debug", "trace")
_FORMATS: tuple[LogFormat, ...] = ("text", "color", "json")


def message_options(arguments: Arguments) -> MessageOptions:
    verbosity = arguments.text("verbosity").lower().replace("warning", "warn")
    log_format = arguments.text("log-format").lower()
    return MessageOptions(
        verbosity=choice("verbosity", verbosity, _VERBOSITIES),
        log_format=choice("log-format", log_format, _FORMATS) if log_format else None,
        log_timestamp=arguments.switch("log-timestamp"),
        progress=choice("progress", arguments.text("progress"), ("auto", "tty", "plain", "json")),
    )


def state_dir(arguments: Arguments, environment: Mapping[str, str]) -> Path:
    given = path(arguments.text("state-dir"))
    if given:
        return given
    if "kaniko-dir" in arguments.given:
        return Path(os.path.abspath(arguments.text("kaniko-dir"))) / "state"
    return default_state_dir(environment)


def destinations(arguments: Arguments) -> tuple[Reference, ...]:
    """The references of ``--destination``, each once, in order."""
    return tuple(dict.fromkeys(_destination(text) for text in arguments.many("destination")))


def _destination(text: str) -> Reference:
    try:
        reference = Reference.parse(text)
    except InvalidReference as error:
        hint = "several targets with a destination each are not supported yet" if "=" in text else error.hint
        raise UsageError(f"--destination: {error.message}", hint=hint) from None
    if reference.digest:
        raise UsageError(f"--destination {text}: an image is pushed to a tag, not to a digest")
    return reference


def cache_place(repository: str, destinations: tuple[Reference, ...]) -> Reference | Path | None:
    """What ``--cache-repo`` names: a repository, or the directory of ``oci:PATH``; else ``<destination>/cache``.

    None if there is nothing to infer it from. Raises InvalidReference, UsageError.
    """
    if repository.startswith("oci:"):
        path = repository.removeprefix("oci:")
        if not path:
            raise UsageError("--cache-repo=oci: needs the path of a directory behind it")
        return Path(os.path.abspath(path))
    if not repository and not destinations:
        return None
    if not repository:
        return Reference.parse(f"{destinations[0].name}/cache")
    found = Reference.parse(repository)
    if found.digest or found.tag != "latest" or repository.endswith(":latest"):
        raise UsageError(f"--cache-repo {repository}: a repository is wanted, without tag and digest")
    return found


def output_options(arguments: Arguments, *, epoch: int | None = None) -> OutputOptions:
    """``push`` has the flags about destinations and digests alone; the others stay at their defaults."""
    family, compression, level = _image_format(arguments)
    options = OutputOptions(
        destinations=destinations(arguments),
        no_push=_switch(arguments, "no-push"),
        tar_path=_path(arguments, "tar-path"),
        oci_layout_path=_path(arguments, "oci-layout-path"),
        digest_file=_path(arguments, "digest-file"),
        image_name_with_digest_file=_path(arguments, "image-name-with-digest-file"),
        image_name_tag_with_digest_file=_path(arguments, "image-name-tag-with-digest-file"),
        metadata_file=_path(arguments, "metadata-file"),
        provenance=_provenance(arguments, family),
        family=family,
        compression=compression,
        compression_level=level,
        reproducible=_switch(arguments, "reproducible"),
        epoch=epoch,
    )
    for flag in ("image-name-with-digest-file", "image-name-tag-with-digest-file"):
        if arguments.text(flag) and not options.destinations:
            raise UsageError(f"--{flag} needs a --destination")
    return options


def _provenance(arguments: Arguments, family: Family | None) -> Provenance | None:
    wanted = provenance(arguments.text("provenance")) if "provenance" in arguments.values else None
    if wanted is not None and family is Family.DOCKER:
        raise UsageError(
            "--provenance cannot be combined with --image-format=docker: only OCI images have attestations",
            hint="use --image-format=oci, or leave it out",
        )
    return wanted


def _image_format(arguments: Arguments) -> tuple[Family | None, Literal["gzip", "zstd"], int]:
    if "compression" not in arguments.values:
        return None, "gzip", -1
    wanted = arguments.text("image-format")
    family = Family(choice("image-format", wanted, ("docker", "oci"))) if wanted else None
    compression = choice("compression", arguments.text("compression"), _COMPRESSIONS)
    level = arguments.number("compression-level")
    highest = 22 if compression == "zstd" else 9
    if not -1 <= level <= highest:
        raise UsageError(f"--compression-level of {compression} is between -1 and {highest}, not {level}")
    if compression == "zstd" and family is Family.DOCKER:
        raise UsageError(
            "--compression=zstd cannot be combined with --image-format=docker: only OCI images have zstd layers",
            hint="use --image-format=oci, or leave it out",
        )
    return Family.OCI if compression == "zstd" else family, compression, level


_COMPRESSIONS: tuple[Literal["gzip", "zstd"], ...] = ("gzip", "zstd")


def registry_options(arguments: Arguments) -> RegistryOptions:
    """``push`` has no flags about pulling; those stay at their defaults."""
    return RegistryOptions(
        policy=_policy(arguments),
        credential_helpers=_helpers(arguments),
        ignore_immutable_tags=_switch(arguments, "push-ignore-immutable-tag-errors"),
        check_permission=not _switch(arguments, "skip-push-permission-check"),
    )


def _policy(arguments: Arguments) -> RegistryPolicy:
    return RegistryPolicy(
        insecure=frozenset(arguments.many("insecure-registry")),
        skip_tls=frozenset(arguments.many("skip-tls-verify-registry")),
        insecure_push=_switch(arguments, "insecure"),
        insecure_pull=_switch(arguments, "insecure-pull"),
        skip_tls_push=_switch(arguments, "skip-tls-verify"),
        skip_tls_pull=_switch(arguments, "skip-tls-verify-pull"),
        certificates=_certificates(arguments),
        client_certificates=_client_certificates(arguments),
        mirrors=tuple(text.strip() for text in _many(arguments, "registry-mirror") if text.strip()),
        maps=lists("registry-map", _many(arguments, "registry-map")),
        default_fallback=not _switch(arguments, "skip-default-registry-fallback"),
        ignore_immutable_tags=_switch(arguments, "push-ignore-immutable-tag-errors"),
        push_retries=_count(arguments, "push-retry"),
        # layers are unpacked while they are downloaded, so a new attempt at one is a new attempt at the other
        pull_retries=_count(arguments, "image-download-retry") + _count(arguments, "image-fs-extract-retry"),
    )


def _certificates(arguments: Arguments) -> dict[str, Path]:
    flag = "registry-certificate"
    return {host: _file(flag, name) for host, name in pairs(flag, arguments.many(flag)).items()}


def _client_certificates(arguments: Arguments) -> dict[str, tuple[Path, Path]]:
    flag = "registry-client-cert"
    result = {}
    for host, names in pairs(flag, arguments.many(flag)).items():
        certificate, comma, key = names.partition(",")
        if not comma or "," in key:
            raise UsageError(f"--{flag} takes HOST=CERTIFICATE,KEY, not {host}={names}")
        result[host] = (_file(flag, certificate), _file(flag, key))
    return result


def _file(flag: str, name: str) -> Path:
    found = Path(os.path.abspath(name))
    if not name or not found.is_file():
        raise UsageError(f"--{flag}: there is no file {name!r}")
    return found


def _helpers(arguments: Arguments) -> tuple[str, ...] | None:
    if "credential-helpers" not in arguments.given:
        return None
    names = [name.strip() for text in arguments.many("credential-helpers") for name in text.split(",")]
    from builder.registry.credential_helpers.keychain import NAMES

    return tuple(choice("credential-helpers", name, NAMES) for name in dict.fromkeys(names) if name)


def _count(arguments: Arguments, flag: str) -> int:
    value = arguments.number(flag) if flag in arguments.values else 0
    if value < 0:
        raise UsageError(f"--{flag} is a number of attempts, not {value}")
    return value


def _switch(arguments: Arguments, flag: str) -> bool:
    return flag in arguments.values and arguments.switch(flag)


def _many(arguments: Arguments, flag: str) -> tuple[str, ...]:
    return arguments.many(flag) if flag in arguments.values else ()


def _path(arguments: Arguments, flag: str) -> Path | None:
    return path(arguments.text(flag)) if flag in arguments.values else None
