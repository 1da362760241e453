"""A context that is a git repository, fetched by the ``git`` program."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from builder.context.spec import ContextSpec, without_password
from builder.errors import ContextError
from builder.registry.network import Network

_TIMEOUT = 3600.0


def check_out(spec: ContextSpec, target: Path, environment: Mapping[str, str], network: Network) -> None:
    """Clone the repository into the existing empty directory `target` and check out what `spec` asks for.

    The whole history is fetched unless ``--git depth`` says otherwise, and ``.git`` stays, as with kaniko. Credentials
    (of the URL, or GIT_TOKEN, or GIT_USERNAME and GIT_PASSWORD) are handed over in the environment, never as an
    argument. Raises ContextError.
    """
    from builder.context.git_network import git_surroundings

    url, skip = _remote(spec, environment), spec.git.insecure_skip_tls
    with git_surroundings(url, environment, network, target.parent, insecure_skip_tls=skip) as surroundings:
        git = _Git(target, surroundings, spec.description)
        git.run("clone", "--no-checkout", *_clone_flags(spec), "--", without_password(url), ".")
        git.run("checkout", "--detach", "--quiet", _revision(spec, git))
        if spec.git.recurse_submodules:
            git.run("submodule", "update", "--init", "--recursive")


class _Git:
    def __init__(self, directory: Path, environment: Mapping[str, str], what: str) -> None:
        self._directory, self._environment, self._what = directory, environment, what

    def succeeds(self, *arguments: str) -> bool:
        return self._run(arguments)[0] == 0

    def run(self, *arguments: str) -> None:
        status, message = self._run(arguments)
        if status:
            message = without_passwords(message)
            what = f"git {arguments[0]} of {self._what} failed: {message or f'status {status}'}"
            raise ContextError(what, hint=git_hint(message))

    def _run(self, arguments: Sequence[str]) -> tuple[int, str]:
        from builder.process import run

        done = run(["git", *arguments], env=self._environment, timeout=_TIMEOUT, cwd=self._directory)
        return done.status, done.stderr.decode(errors="replace").strip()


def _remote(spec: ContextSpec, environment: Mapping[str, str]) -> str:
    """kaniko's ``git://`` means https, or what GIT_PULL_METHOD says."""
    if not spec.location.startswith("git://"):
        return spec.location
    method = environment.get("GIT_PULL_METHOD", "https")
    if method not in ("https", "http"):
        raise ContextError(f"GIT_PULL_METHOD is https or http, not {method!r}")
    return f"{method}://" + spec.location.removeprefix("git://")


def _clone_flags(spec: ContextSpec) -> list[str]:
    flags = [f"--depth={spec.git.depth}"] if spec.git.depth else []
    flags += ["--single-branch"] if spec.git.single_branch else ["--no-single-branch"]
    branch = spec.git.branch or (spec.reference.removeprefix("refs/heads/") if _is_branch(spec.reference) else "")
    return [*flags, f"--branch={branch}"] if branch else flags


def _is_branch(reference: str) -> bool:
    return reference.startswith("refs/heads/")


def _revision(spec: ContextSpec, git: _Git) -> str:
    """What to check out, fetched if the clone did not bring it."""
    if spec.commit:
        if not git.succeeds("cat-file", "-e", f"{spec.commit}^{{commit}}"):
            git.run("fetch", "origin", spec.commit)
        return spec.commit
    if spec.reference and not _is_branch(spec.reference):
        git.run("fetch", *([f"--depth={spec.git.depth}"] if spec.git.depth else []), "origin", spec.reference)
        return "FETCH_HEAD"
    return "HEAD"


def git_environment(
    url: str,
    environment: Mapping[str, str],
    *,
    insecure_skip_tls: bool = False,
    settings: Sequence[tuple[str, str]] = (),
) -> dict[str, str]:
    """What git is run with: nothing asks, no protocol reads local files, credentials for the host of `url` alone.

    Args:
        settings: more of git's configuration.
    """
    settings = list(settings)
    header = authorization(url, environment)
    if header:
        parts = urlsplit(url)
        origin = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], "/", "", ""))
        settings.append((f"http.{origin}.extraHeader", header))
    if insecure_skip_tls:
        settings.append(("http.sslVerify", "false"))
    result = {"GIT_ALLOW_PROTOCOL": "http:https:git:ssh"} | dict(environment)
    result |= {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings):
        result |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return result


def authorization(url: str, environment: Mapping[str, str]) -> str:
    """The header with the credentials of `url` or of the environment; "" without any, or for other protocols."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        return ""
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not user and not password:
        user, password = environment.get("GIT_USERNAME", ""), environment.get("GIT_PASSWORD", "")
        if environment.get("GIT_TOKEN"):
            user, password = environment["GIT_TOKEN"], ""
    if not user and not password:
        return ""
    return "Authorization: Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def git_hint(message: str) -> str | None:
    """What to do about an error that git reports about the way to a host."""
    if "certificate" in message.lower():
        return (
            "give the certificate authority as a file in SSL_CERT_DIR (/kaniko/ssl/certs in the builder's image), by "
            "SSL_CERT_FILE or --registry-certificate HOST=FILE; --skip-tls-verify-registry HOST accepts any certificate"
        )
    if re.search(r"(response|error:) 407", message):
        return "the proxy wants a user and password: in http_proxy and https_proxy, user:password@ before its host"
    if "proxy" in message.lower():
        return "check http_proxy, https_proxy and no_proxy"
    return None


def without_passwords(text: str) -> str:
    """`text` without the users and passwords of all URLs in it."""
    return re.sub(r"(\w+://)[^\s/@\"']+@", r"\1", text)
