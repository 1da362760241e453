"""The base that the workloads are FROM: Debian with a compiler, Python and git, about 670 MB in two layers.

The first layer is the tests' own Debian, the second what apt installs on it, with the packages that it fetched. Made
once and kept in the tests' cache directory.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from support.bases import cache_directory, debian_layout, made_once, push_layout
from support.images import Blob, OciLayout
from support.listing import host_architecture
from support.registry import LoopbackRegistry

_PACKAGES = ("build-essential", "git", "python3")
_VERSION = "2"  # goes up when what is in the base changes
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
}


def push_base(registry: LoopbackRegistry) -> str:
    """Push the base as ``base/tools:bookworm``, made first where the cache has none (needs root, a minute)."""
    return push_layout(base_layout(), "bookworm", registry, "base/tools:bookworm")


def base_layout() -> Path:
    """An OCI layout with the base under the name ``bookworm``."""
    finished = cache_directory() / f"tools-bookworm-{host_architecture()}-{_VERSION}"
    return made_once(finished, _make_layout)


def _make_layout(path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="tools-", dir="/var/tmp") as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        blobs = [_blob(path) for path in _layers(debian_layout())]
        for blob in blobs:
            subprocess.run(["tar", "-xzf", "-", "-C", root], input=blob.data, check=True)
        for marker in root.rglob(".wh.*"):  # the second layer of the tests' own Debian removes a log
            marker.unlink()
        before = _signatures(root)
        _install(root)
        layout = OciLayout(path)
        config = {"Env": [f"PATH={_ENVIRONMENT['PATH']}"], "Cmd": ["bash"]}
        blobs = [blobs[0], Blob.of(_pack(root, before))]
        layout.tag(layout.image(blobs, config, host_architecture()), "bookworm")


def _layers(layout: Path) -> list[Path]:
    """The blobs of the one image that a layout has, lowest layer first."""
    index = _document(layout / "index.json")
    manifest = _document(_path(layout, index["manifests"][0]["digest"]))
    return [_path(layout, each["digest"]) for each in manifest["layers"]]


def _document(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def _path(layout: Path, digest: str) -> Path:
    return layout / "blobs/sha256" / digest.removeprefix("sha256:")


def _blob(path: Path) -> Blob:
    data = path.read_bytes()
    diff_id = f"sha256:{hashlib.sha256(gzip.decompress(data)).hexdigest()}"
    return Blob(data=data, diff_id=diff_id, compression="gzip")


def _install(root: Path) -> None:
    """Let the root's own apt install the packages, with this machine's resolver."""
    resolver = root / "etc/resolv.conf"
    shutil.copyfile("/etc/resolv.conf", resolver)
    chroot = ["unshare", "--mount", "--pid", "--fork", "chroot", str(root), "sh", "-c"]
    mounts = "mount -t proc proc /proc; mount -t tmpfs tmpfs /dev; mknod -m 666 /dev/null c 1 3;"
    install = f"apt-get update -q && apt-get install -y -q --no-install-recommends {' '.join(_PACKAGES)}"
    environment = _ENVIRONMENT | {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    done = subprocess.run(
        [*chroot, mounts + install], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"apt-get failed:\n{(done.stdout + done.stderr)[-4000:]}")
    resolver.unlink()


def _signatures(root: Path) -> dict[str, tuple[int, int]]:
    """Inode and change time of every path below `root`."""
    found = {}
    for folder, folders, names in os.walk(root):
        for name in [*folders, *names]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            found[path] = (status.st_ino, status.st_ctime_ns)
    return found


def _pack(root: Path, before: dict[str, tuple[int, int]]) -> bytes:
    """A tar of what is not as it was before, with the directories above it, as Docker and BuildKit write them."""
    new = {
        os.path.relpath(path, root) for path, signature in _signatures(root).items() if before.get(path) != signature
    }
    parents = {str(parent) for path in new for parent in Path(path).parents if parent != Path()}
    names = "".join(f"{path}\0" for path in sorted(new | parents))
    pack = ["tar", "--create", "--no-recursion", "--numeric-owner", "--format=pax", "--xattrs", "--xattrs-include=*"]
    chosen = [f"--directory={root}", "--pax-option=delete=atime,delete=ctime", "--null", "--files-from=-"]
    return subprocess.run([*pack, *chosen], input=names.encode(), check=True, stdout=subprocess.PIPE).stdout
