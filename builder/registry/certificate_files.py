"""Where certificates are looked for: what variables name, the builder's own directory, and ``certs.d``."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

AUTHORITY_FILES = ("SSL_CERT_FILE", "CI_SERVER_TLS_CA_FILE")
"""Variables that name a file with certificate authorities."""

SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
"""Where distributions have all certificates of the system in one file."""

_KANIKO_CERTIFICATES = "/kaniko/ssl/certs"
_SYSTEM_DIRECTORIES = ("/etc/docker/certs.d", "/etc/containers/certs.d")
_MAX_BYTES = 16 << 20
_PEM = re.compile(r"-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----(.+?)-----END \1-----", re.DOTALL)


def authority_files(environment: Mapping[str, str]) -> Iterator[str]:
    """Every file that the environment names: OpenSSL itself reads only the hashed names of a directory."""
    for name in AUTHORITY_FILES:
        if environment.get(name):
            yield environment[name]
    for directory in authority_directories(environment):
        with contextlib.suppress(OSError):
            yield from sorted(entry.path for entry in os.scandir(directory) if entry.is_file())


def authority_directories(environment: Mapping[str, str]) -> list[str]:
    """The directories of ``SSL_CERT_DIR``, separated by colons, and that of the builder's image."""
    named = [each for each in environment.get("SSL_CERT_DIR", "").split(":") if each]
    return list(dict.fromkeys([*named, _KANIKO_CERTIFICATES]))


def certs_d(environment: Mapping[str, str]) -> list[Path]:
    """The directories with a directory for each host: Docker's and Podman's of the system, then those of the user."""
    home = environment.get("HOME") or "/"
    configuration = environment.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    users = [
        os.path.join(environment.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "certs.d"),
        os.path.join(configuration, "docker", "certs.d"),
        os.path.join(configuration, "containers", "certs.d"),
    ]
    return [Path(each) for each in (*_SYSTEM_DIRECTORIES, *users)]


def host_directories(host: str, environment: Mapping[str, str]) -> list[Path]:
    """The directories of ``certs.d`` that are for ``host:port``; HTTPS's own port may be left out."""
    names = list(dict.fromkeys((host, host.removesuffix(":443"))))
    return [found for base in certs_d(environment) for name in names if (found := base / name).is_dir()]


def read_authorities(file: str) -> list[str]:
    """The certificates in a file, in PEM; none if it cannot be read or holds none."""
    try:
        with open(file, "rb") as stream:
            data = stream.read(_MAX_BYTES)
    except OSError:
        return []
    found = [
        f"-----BEGIN {kind}-----\n{content.strip()}\n-----END {kind}-----\n"
        for kind, content in _PEM.findall(data.decode("ascii", "replace"))
    ]
    if not found and data.startswith(b"\x30"):
        import ssl  # here: this module is imported by every build

        return [ssl.DER_cert_to_PEM_cert(data)]
    return found
