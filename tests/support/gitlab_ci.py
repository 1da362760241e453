"""Runs jobs of a .gitlab-ci.yml by npm's gitlab-ci-local in a real Docker Engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from support.bases import cache_directory, made_once
from support.builder import Outcome
from support.docker_daemon import DockerDaemon

_VERSION = "4.56.0"
# The image in which gitlab-ci-local copies files; any with a shell.
UTILITY_IMAGE = "docker.io/firecow/gitlab-ci-local-util"
_PATH = "/usr/bin:/bin:/usr/sbin:/sbin"  # Debian's docker before any other
# The only native dependency has to be compiled for minutes; it is for regular expressions in rules.
_RE2 = {
    "package.json": '{"name": "re2", "version": "1.24.0", "main": "index.js"}',
    "index.js": "module.exports = RegExp",
}
_MANIFEST = {"private": True, "dependencies": {"gitlab-ci-local": _VERSION}, "overrides": {"re2": "file:./re2"}}


@dataclass(frozen=True, slots=True)
class GitlabProject:
    """A repository of a GitLab project on this machine, with its .gitlab-ci.yml."""

    directory: Path
    docker: DockerDaemon

    def run(self, job: str, variables: Mapping[str, str | Path], *options: str) -> Outcome:
        """Run one job of the pipeline with CI/CD variables.

        Args:
            variables: a path stands for a variable of the type "file" with that file's content.
            options: of gitlab-ci-local.
        """
        values = "".join(f"{name}: {_value(value)}\n" for name, value in variables.items())
        (self.directory / ".gitlab-ci-local-variables.yml").write_text(values)
        command = [str(_program()), "--network=host", "--pull-policy=if-not-present", *options, job]
        environment = {"PATH": _PATH, "DOCKER_HOST": self.docker.address, "HOME": str(self.directory.parent)}
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Outcome(status=done.returncode, stdout=done.stdout, stderr=done.stderr)


def make_project(directory: Path, files: Mapping[str, str], docker: DockerDaemon) -> GitlabProject:
    """Commit `files` to a new repository in the new directory `directory`."""
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (directory / ".gitignore").write_text(".gitlab-ci-local*\n")
    for command in (
        ["init", "--quiet", "--initial-branch=main"],
        ["remote", "add", "origin", "https://gitlab.example.com/group/project.git"],
        ["add", "--all"],
        ["-c", "user.name=A", "-c", "user.email=a@example.test", "commit", "--quiet", "--message=first"],
    ):
        environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
        subprocess.run(["git", *command], cwd=directory, env=environment, check=True)
    return GitlabProject(directory, docker)


def _value(value: str | Path) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    return json.dumps({"type": "file", "values": {"*": value.read_text()}})


def _program() -> Path:
    """gitlab-ci-local, fetched from npm once."""
    installed = made_once(cache_directory() / f"gitlab-ci-local-{_VERSION}", _install)
    return installed / "node_modules/.bin/gitlab-ci-local"


def _install(directory: Path) -> None:
    (directory / "package.json").write_text(json.dumps(_MANIFEST))
    (directory / "re2").mkdir()
    for name, content in _RE2.items():
        (directory / "re2" / name).write_text(content)
    subprocess.run(["npm", "install", "--silent", "--ignore-scripts"], cwd=directory, check=True)
