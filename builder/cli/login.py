"""``builder login``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from builder.cli.arguments import Arguments
from builder.cli.options import RegistryOptions
from builder.cli.read_options import registry_options
from builder.cli.registries import network_of
from builder.cli.session import Session
from builder.errors import BuilderError, UsageError
from builder.image.reference import Reference
from builder.progress import log
from builder.registry.credentials import Credentials
from builder.registry.docker_config_file import store_credentials
from builder.registry.keychain import config_directory, variable_keychain
from builder.registry.login import Server, check_login

_MAX_PASSWORD = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginOptions:
    """All of ``builder login``."""

    server: Server
    username: str
    password: str = field(repr=False)
    registry: RegistryOptions
    password_shown: bool


def login(session: Session) -> int:
    """Try a user and password, and keep them in ``config.json``. Raises BuilderError."""
    options = login_options(session.arguments)
    credentials = Credentials(username=options.username, password=options.password)
    session.redactor.add(credentials.secrets)
    if options.password_shown:
        log(session.progress, "warning", "others can see --password in the list of processes; use --password-stdin")
    check_login(options.server, credentials, network_of(options.registry, session), session.progress)
    key = f"{options.server.registry}/{options.server.path}".rstrip("/")
    file = config_directory(session.environment) / "config.json"
    kept = store_credentials(file, key, options.username, options.password, session.environment)
    log(session.progress, "info", f"logged in to {options.server} as {options.username}; the credentials are in {kept}")
    _warn_of_variable(options.server, session)
    return 0


def login_options(arguments: Arguments) -> LoginOptions:
    """Raises UsageError."""
    if len(arguments.positional) != 1:
        given = f", not also {arguments.positional[1]!r}" if arguments.positional else ""
        raise UsageError(f"login needs a registry{given}", hint="builder login HOST[:PORT][/PATH] --username NAME")
    server = Server.parse(arguments.positional[0])
    if arguments.switch("password-stdin") and arguments.text("password"):
        raise UsageError("--password and --password-stdin are two ways for the same; use one of them")
    username = arguments.text("username") or _asked("--username", "Username: ", arguments)
    password = arguments.text("password")
    if arguments.switch("password-stdin"):
        password = _read_password()
    password = password or _asked("--password-stdin", "Password: ", arguments)
    if ":" in username:
        raise UsageError("a user's name has no colon")
    return LoginOptions(
        server=server,
        username=username,
        password=password,
        registry=registry_options(arguments),
        password_shown=bool(arguments.text("password")),
    )


def _read_password() -> str:
    """Standard input without the line's end, as ``docker login`` takes it."""
    try:
        data = sys.stdin.buffer.read(_MAX_PASSWORD + 1)
        password = data.decode().removesuffix("\n").removesuffix("\r")
    except (OSError, ValueError):
        raise UsageError("the password on standard input cannot be read as UTF-8") from None
    if not password or len(data) > _MAX_PASSWORD:
        raise UsageError("there is no password on standard input" if not password else "the password is too long")
    return password


def _asked(flag: str, prompt: str, arguments: Arguments) -> str:
    """What somebody at a terminal answers. Raises UsageError if there is nobody, or no answer."""
    answer = ""
    if sys.stdin is not None and sys.stdin.isatty() and not arguments.switch("password-stdin"):
        import getpass

        answer = getpass.getpass(prompt) if "assword" in prompt else input(prompt).strip()
    if not answer:
        raise UsageError(f"login needs {flag}", hint="builder login REGISTRY --username NAME --password-stdin < FILE")
    return answer


def _warn_of_variable(server: Server, session: Session) -> None:
    """DOCKER_AUTH_CONFIG goes before the file."""
    reference = Reference(registry=server.registry, repository=server.path or "any")
    try:
        other = variable_keychain(session.environment).credentials(reference)
    except BuilderError:
        return
    if other:
        log(session.progress, "warning", f"{other.source} has credentials for {server}, too, and is asked first")
