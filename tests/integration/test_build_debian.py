"""A whole image, from a Debian base to a container that runs: as root and as an ordinary user."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.builder import MakeBuilder, Outcome
from support.containers import Podman, buildah_pull, skopeo_inspect
from support.contexts import readable_copy
from support.leftovers import nothing_left
from support.listing import FileListing, Image, list_image
from support.registry import LoopbackRegistry

CONTEXT = Path(__file__).parent / "debian"
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
CAP_NET_RAW, CAP_NET_ADMIN = 13, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The image, as read from the registry, and the base it stands on."""

    reference: str
    outcome: Outcome
    base: Image
    image: Image

    @property
    def files(self) -> Mapping[str, FileListing]:
        return self.image.files


@pytest.fixture(scope="module", params=["root", "user"])
def built(
    request: pytest.FixtureRequest,
    registry: LoopbackRegistry,
    debian: str,
    make_builder: MakeBuilder,
    session_directory: Path,
) -> Iterator[Built]:
    builder = make_builder(request.param, session_directory)
    name = f"test/debian-{request.param}"
    context = readable_copy(CONTEXT, session_directory / f"context-{request.param}")
    proxies = [f"--build-arg={name}={os.environ[name]}" for name in _PROXIES if name in os.environ]
    with nothing_left(builder.state, context):
        destination = f"--destination={registry.reference(name)}:1"
        outcome = builder.build(context, f"--build-arg=BASE={debian}", *proxies, destination).ok()
    yield Built(
        reference=f"{registry.reference(name)}:1",
        outcome=outcome,
        base=list_image(registry, "base/debian", "bookworm"),
        image=list_image(registry, name, "1"),
    )


def capability(number: int) -> dict[str, str]:
    """``security.capability`` as setcap writes it: revision 2, effective and permitted."""
    permitted = (1 << number).to_bytes(4, "little").hex()
    return {"security.capability": f"01000002{permitted}{'00' * 12}"}


def test_podman_runs_it(built: Built, containers: Podman) -> None:
    assert json.loads(containers.run(built.reference)) == {
        "user": "app",
        "directory": "/srv/app/work",
        "greeting": "hello there",
        "made": "by app",
        "capabilities": ["/artifacts/capable", "cap_net_raw=ep", "/usr/local/bin/net", "cap_net_admin=ep"],
        "same file": True,
    }


def test_skopeo_and_buildah_read_it(built: Built) -> None:
    inspected = skopeo_inspect(f"docker://{built.reference}")
    assert inspected["Labels"] == {"org.example.title": "a real image"}
    assert len(inspected["Layers"]) == len(built.image.layers)
    assert buildah_pull(built.reference) == built.image.manifest["config"]["digest"].removeprefix("sha256:")


def test_config(built: Built) -> None:
    config = built.image.config["config"]
    assert config["User"] == "app"
    assert config["WorkingDir"] == "/srv/app/work"
    assert config["Cmd"] == ["python3", "/srv/app/main.py"]
    assert config["ExposedPorts"] == {"8080/tcp": {}}
    assert config["Env"][1:] == ["GREETING=hello there", "PYTHONDONTWRITEBYTECODE=1"]
    assert config["Env"][0].startswith("PATH=")


def test_history_and_layers_agree(built: Built) -> None:
    history = built.image.config["history"][len(built.base.config["history"]) :]
    # LABEL, 3 RUN, WORKDIR, 3 COPY, USER, WORKDIR, RUN, ENV, EXPOSE, CMD
    empty = [bool(entry.get("empty_layer")) for entry in history]
    assert empty == [True, *[False] * 7, True, False, False, True, True, True]
    assert len(built.image.layers) == len(built.base.layers) + empty.count(False)


def test_base_layers_pass_through(built: Built) -> None:
    ours, theirs = built.image.manifest["layers"], built.base.manifest["layers"]
    assert ours[: len(theirs)] == theirs
    assert built.image.manifest["mediaType"] == built.base.manifest["mediaType"]


def test_packages_are_installed(built: Built) -> None:
    assert built.files["usr/bin/python3"].link == "python3.11"
    assert "var/lib/dpkg/info/python3-minimal.list" in built.files
    assert not [path for path in built.files if path.startswith("var/lib/apt/lists/") and path.endswith("Packages")]


def test_account_and_home(built: Built) -> None:
    assert "app:x:1234:1234:" in built.image.text("etc/passwd")
    home = built.files["home/app"]
    assert (home.type, home.uid, home.gid) == ("directory", 1234, 1234)
    assert (built.files["home/app/.bashrc"].uid, built.files["home/app/.bashrc"].gid) == (1234, 1234)
    shadow = built.files["etc/shadow"]
    assert (shadow.mode, shadow.uid, shadow.gid) == (0o640, 0, 42)


@pytest.mark.parametrize(
    ("path", "mode", "uid", "gid"),
    [
        ("srv/app", 0o755, 0, 0),
        ("srv/app/main.py", 0o644, 1234, 1234),
        ("srv/app/data", 0o755, 1234, 1234),
        ("srv/app/data/file", 0o600, 1234, 60),
        ("srv/app/work", 0o755, 1234, 1234),
        ("srv/app/work/made", 0o644, 1234, 1234),
        ("artifacts", 0o755, 0, 0),
        ("artifacts/setuid", 0o4755, 0, 0),
        ("artifacts/tree", 0o755, 5, 60),
        ("artifacts/tree/deep/file", 0o640, 5, 60),
        ("usr/share/doc", 0o750, 0, 0),
        ("usr/bin/passwd", 0o4755, 0, 0),
        ("usr/bin/chage", 0o2755, 0, 42),
        ("tmp", 0o1777, 0, 0),
    ],
)
def test_owners_and_modes(built: Built, path: str, mode: int, uid: int, gid: int) -> None:
    found = built.files[path]
    assert (oct(found.mode), found.uid, found.gid) == (oct(mode), uid, gid)


def test_capabilities(built: Built) -> None:
    assert built.files["artifacts/capable"].xattrs == capability(CAP_NET_RAW)
    assert built.files["usr/local/bin/net"].xattrs == capability(CAP_NET_ADMIN)


def test_links(built: Built) -> None:
    assert built.files["artifacts/first"].hardlinks == ("artifacts/first", "artifacts/second")
    assert built.files["srv/pair"].hardlinks == ("srv/other", "srv/pair")
    assert built.files["artifacts/link"].link == "first"
    assert built.files["srv/app/work/here"].link == "../main.py"


def test_times(built: Built) -> None:
    assert built.files["artifacts/tree/deep/file"].mtime == 981173106


def test_what_was_removed_is_gone(built: Built) -> None:
    assert "opt/second" not in built.files
    assert built.files["opt/first"].hardlinks == ()
    assert built.files["opt/capable"].type == "directory"
    assert [path for path in built.files if path.startswith("usr/share/doc/")] == ["usr/share/doc/only"]
    assert not [path for path in built.files if "/.wh." in f"/{path}"]
    third_run = len(built.base.layers) + 2
    assert "opt/.wh.second" in built.image.whiteouts(third_run)


def test_nothing_of_the_runs_surroundings_stays(built: Built) -> None:
    """The base has no resolv.conf; /proc, /sys and /dev of a RUN are not the image's."""
    assert "etc/resolv.conf" not in built.files
    for directory in ("proc", "sys", "dev"):
        below = {path for path in built.files if path.startswith(f"{directory}/")}
        assert below == {path for path in built.base.files if path.startswith(f"{directory}/")}


def test_untouched_files_are_in_no_new_layer(built: Built) -> None:
    new = built.image.layers[len(built.base.layers) :]
    repeated = {
        path
        for layer in new
        for path, listing in layer
        if listing.type == "file" and listing == built.base.files.get(path.rstrip("/"))
    }
    assert repeated == set()


def test_layers_are_in_order(built: Built) -> None:
    """Each path once, parents first."""
    for layer in built.image.layers[len(built.base.layers) :]:
        position = {path.rstrip("/"): number for number, (path, _) in enumerate(layer)}
        assert len(position) == len(layer), "a path stands in a layer twice"
        assert [path for path in position if position.get(path.rpartition("/")[0], -1) > position[path]] == []


def test_steps_and_output_are_shown(built: Built) -> None:
    assert "apt-get install -y --no-install-recommends python3" in built.outcome.stderr
    assert "Setting up python3" in built.outcome.stderr
