"""A real registry (Debian's docker-registry) on the loopback interface, for as long as a `with` block lasts."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

USER, PASSWORD = "tester", "open sesame"
_HTPASSWD = f"{USER}:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n"
_MANIFESTS = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)


class LoopbackRegistry:
    """`docker-registry serve` with filesystem storage on a free port of 127.0.0.1.

    Reads of its content go through urllib, not through the client under test.

    Args:
        htpasswd: ask for basic authentication by `USER` and `PASSWORD`.
        delete: allow manifests and blobs to be deleted.
        access_log: keep what is asked for, for `requests`.
    """

    def __init__(self, *, htpasswd: bool = False, delete: bool = False, access_log: bool = False) -> None:
        self._htpasswd, self._delete, self._access_log = htpasswd, delete, access_log
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        self.directory = Path()

    def __enter__(self) -> LoopbackRegistry:
        self.directory = Path(tempfile.mkdtemp(prefix="registry-", dir="/var/tmp"))
        for _ in range(3):  # the free port may be taken by the time the registry binds it
            self._port = free_port()
            if self._start():
                return self
            self._stop()
        log = (self.directory / "log").read_text(errors="replace")
        shutil.rmtree(self.directory)
        raise RuntimeError(f"docker-registry does not answer:\n{log}")

    def __exit__(self, *_: object) -> None:
        self._stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def port(self) -> int:
        return self._port

    def reference(self, name: str) -> str:
        """The full reference of ``name``, ``name:tag`` or ``name@digest`` in this registry."""
        return f"{self.host}/{name}"

    def repositories(self) -> list[str]:
        """Every repository that has been pushed to, sorted."""
        return sorted(self._json("_catalog?n=1000")["repositories"])

    def tags(self, name: str) -> list[str]:
        """The tags of repository `name`, sorted; none if there is no such repository."""
        try:
            return sorted(self._json(f"{name}/tags/list").get("tags") or [])
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise

    def manifest(self, name: str, reference: str) -> dict[str, Any]:
        """The manifest or index `reference` (a tag or digest) of repository `name`."""
        manifest: dict[str, Any] = json.loads(self.get(f"{name}/manifests/{reference}", accept=_MANIFESTS)[0])
        return manifest

    def digest(self, name: str, reference: str) -> str:
        """The digest of that manifest as the registry says it."""
        return self.get(f"{name}/manifests/{reference}", accept=_MANIFESTS)[1]["Docker-Content-Digest"]

    def blob(self, name: str, digest: str) -> bytes:
        return self.get(f"{name}/blobs/{digest}")[0]

    def get(self, path: str, accept: str = "*/*") -> tuple[bytes, http.client.HTTPMessage]:
        """GET ``/v2/<path>``; the body and the headers. Raises urllib's HTTPError."""
        request = urllib.request.Request(f"http://{self.host}/v2/{path}", headers={"Accept": accept} | self.login())
        with _direct().open(request, timeout=60) as answer:
            return answer.read(), answer.headers

    def login(self) -> dict[str, str]:
        """The header with `USER` and `PASSWORD`, if they are asked for."""
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return {"Authorization": f"Basic {token}"} if self._htpasswd else {}

    def docker_config(self, directory: Path) -> Path:
        """Write a ``config.json`` with this registry's credentials; returns `directory`, for DOCKER_CONFIG."""
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": token}}}))
        return directory

    def blob_file(self, digest: str) -> Path:
        """Where the registry keeps a blob, for tests that damage it."""
        value = digest.removeprefix("sha256:")
        return self.directory / "data/docker/registry/v2/blobs/sha256" / value[:2] / value / "data"

    def requests(self, method: str) -> list[str]:
        """The paths below ``/v2/`` that were asked for by `method` so far, with queries."""
        log = (self.directory / "log").read_text(errors="replace")
        return re.findall(rf'"{method} /v2/([^ "]*) HTTP', log)

    def uploads(self) -> list[Path]:
        """The upload sessions that have been opened and neither finished nor cancelled."""
        return sorted(self.directory.glob("data/docker/registry/v2/repositories/**/_uploads/*"))

    def _json(self, path: str) -> Any:
        return json.loads(self.get(path)[0])

    def _start(self) -> bool:
        (self.directory / "config.yml").write_text(json.dumps(self._configuration()))
        (self.directory / "htpasswd").write_text(_HTPASSWD)
        with open(self.directory / "log", "wb") as log:
            self._process = subprocess.Popen(
                ["docker-registry", "serve", str(self.directory / "config.yml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError):
                self.get("")
                return True
            time.sleep(0.05)
        return False

    def _stop(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _configuration(self) -> dict[str, Any]:
        configuration: dict[str, Any] = {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": not self._access_log}},
            "storage": {
                "filesystem": {"rootdirectory": str(self.directory / "data")},
                "delete": {"enabled": self._delete},
            },
            "http": {"addr": self.host},
        }
        if self._htpasswd:
            configuration["auth"] = {"htpasswd": {"realm": "tests", "path": str(self.directory / "htpasswd")}}
        return configuration


def free_port() -> int:
    """A port of 127.0.0.1 that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def unused_port() -> Iterator[int]:
    """A port that refuses connections, and that nobody else can take meanwhile: bound, but not listening."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def _direct() -> urllib.request.OpenerDirector:
    """An opener that no proxy of the environment applies to."""
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))
