"""Everything that is needed once the files of the container are gone, loaded before."""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import suppress

_LIBRARIES = (
    "asyncio",
    "certifi",
    "charset_normalizer",
    "cryptography.x509",
    "cryptography.hazmat.primitives.serialization",
    "dockerfile_parse",
    "dulwich.client",
    "dulwich.porcelain",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.utf_8",
    "encodings.utf_8_sig",
    "idna",
    "isal.igzip",
    "isal.igzip_lib",
    "isal.igzip_threaded",
    "isal.isal_zlib",
    "netrc",
    "requests",
    "stringprep",
    "traceback",
    "unicodedata",
    "urllib3",
    "urllib3.contrib.socks",
    "yaml",
    "zstandard",
)


def preload() -> None:
    """Import the whole builder and its libraries, and have the C library load what it looks names up with."""
    import builder

    for module in pkgutil.walk_packages(builder.__path__, "builder."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    "".encode("idna")
    _resolve()
    _verify()


def _resolve() -> None:
    """Look up names that need no network: the C library reads its configuration and loads its modules."""
    import grp
    import pwd
    import socket

    with suppress(OSError):
        socket.getaddrinfo("localhost", 443, type=socket.SOCK_STREAM)
    with suppress(KeyError):
        pwd.getpwuid(0)
    with suppress(KeyError):
        grp.getgrgid(0)


def _verify() -> None:
    """Have OpenSSL read its configuration."""
    import ssl

    with suppress(ssl.SSLError, OSError):
        ssl.create_default_context()
