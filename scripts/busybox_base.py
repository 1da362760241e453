"""Write a small base image as an OCI layout: Debian's static busybox and the few files that a Linux expects.

    busybox_base.py DIRECTORY

For machines that cannot reach a public registry. Needs the package busybox-static.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import subprocess
import sys
import tarfile
from pathlib import Path

_BUSYBOX = Path("/bin/busybox")
_MODES = {"bin": 0o755, "dev": 0o755, "etc": 0o755, "home": 0o755, "proc": 0o755, "root": 0o700, "tmp": 0o1777}
_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def main(directory: Path) -> None:
    blobs = directory / "blobs/sha256"
    blobs.mkdir(parents=True)

    def add(media_type: str, data: bytes) -> dict[str, object]:
        value = hashlib.sha256(data).hexdigest()
        (blobs / value).write_bytes(data)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": f"sha256:{value}", "size": len(data)}

    tar = _filesystem()
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(tar).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": add("config.v1+json", json.dumps(config).encode()),
        "layers": [add("layer.v1.tar+gzip", gzip.compress(tar, mtime=0))],
    }
    index = {"schemaVersion": 2, "manifests": [add("manifest.v1+json", json.dumps(manifest).encode())]}
    (directory / "index.json").write_text(json.dumps(index))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def _filesystem() -> bytes:
    names = subprocess.run([_BUSYBOX, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, mode in _MODES.items():
            _add(archive, path, tarfile.DIRTYPE, mode)
        for path, text in _FILES.items():
            _add(archive, path, tarfile.REGTYPE, 0o644, text.encode())
        _add(archive, "bin/busybox", tarfile.REGTYPE, 0o755, _BUSYBOX.read_bytes())
        for name in names:
            if name != "busybox":
                _add(archive, f"bin/{name}", tarfile.SYMTYPE, 0o777, link="busybox")
    return buffer.getvalue()


def _add(archive: tarfile.TarFile, path: str, kind: bytes, mode: int, data: bytes = b"", link: str = "") -> None:
    header = tarfile.TarInfo(path)
    header.type, header.mode, header.size, header.linkname = kind, mode, len(data), link
    archive.addfile(header, io.BytesIO(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
