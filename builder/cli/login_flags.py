"""The flags of ``builder login``."""

from __future__ import annotations

from builder.cli.flags import OUTPUT_OF_LOGS, REGISTRY, STATE, group, switch, text

_TLS = ("insecure", "insecure-registry", "skip-tls-verify", "skip-tls-verify-registry", "registry-certificate",
        "registry-client-cert")  # fmt: skip

LOGIN_FLAGS = (
    *group(
        "Login",
        text("username", "NAME", "The user.", short="u"),
        text("password", "PASSWORD", "The password or token; others can see it in the list of processes.", short="p"),
        switch("password-stdin", "Read the password from standard input."),
    ),
    *(flag for flag in REGISTRY if flag.name in _TLS),
    STATE._replace(group="State"),
    *OUTPUT_OF_LOGS,
)
