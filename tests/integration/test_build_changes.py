"""What commands change, as layers: with overlayfs and with the walking snapshotter, by root and by an ordinary user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from support.builder import Builder, MakeBuilder
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import FileListing, Image, diff_listings, list_image
from support.registry import LoopbackRegistry

LONG = "/".join(f"directory-with-a-long-name-{number}" for number in range(12))

# Each line changes something of the busybox base in another way. No file with several names is changed under one of
# them: overlayfs then splits the group, which no snapshotter can undo.
DOCKERFILE = f"""
FROM BASE
RUN umask 022 && echo new > /etc/new && chmod 0600 /etc/new && chown 1000:50 /etc/new
RUN rm /usr/lib/dangling "/usr/share/n\N{LATIN SMALL LETTER A WITH DIAERESIS}me with spaces"
RUN rm -rf /usr/share/old && mkdir -m 0700 /usr/share/old && echo fresh > /usr/share/old/fresh
RUN rm -r /usr/share/becomes-directory && echo file > /usr/share/becomes-directory
RUN rm /usr/share/becomes-file && mkdir /usr/share/becomes-file && touch /usr/share/becomes-file/inner
RUN rm -r /home/app && ln -s /root /home/app
RUN rm /lib && mkdir /lib && touch /lib/real
RUN echo pair > /srv/one && ln /srv/one /srv/two && mkdir /srv/sub && ln /srv/one /srv/sub/three
RUN mkfifo /srv/pipe && chmod 4711 /usr/bin/setuid && touch -d '2001-02-03 04:05:06' /etc/group
RUN chmod 0600 /etc/shadow && chmod 0640 /etc/shadow
RUN echo x > /tmp/x && rm /tmp/x
RUN true
RUN mkdir -p /srv/{LONG} && echo deep > /srv/{LONG}/file
RUN mv /usr/share/old /usr/share/moved && rm -rf /var/tmp
"""


@pytest.fixture(scope="module")
def images(
    registry: LoopbackRegistry, busybox: dict[str, str], make_builder: MakeBuilder, session_directory: Path
) -> Mapping[str, Image]:
    """The image of each way of building it, by ``<who>-<snapshotter>``."""
    context = session_directory / "context-changes"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE.replace("BASE", busybox["oci"]))
    found = {}
    for who in ("root", "user"):
        for snapshotter in ("overlay", "walk"):
            name = f"{who}-{snapshotter}"
            builder = make_builder(who, session_directory).with_environment(BUILDER_SNAPSHOTTER=snapshotter)
            with nothing_left(builder.state, context):
                builder.build(context, f"--destination={registry.reference('test/changes')}:{name}").ok()
            found[name] = list_image(registry, "test/changes", name)
    return found


@pytest.fixture(params=["root-overlay", "root-walk", "user-overlay", "user-walk"])
def image(request: pytest.FixtureRequest, images: Mapping[str, Image]) -> Image:
    return images[request.param]


@pytest.mark.parametrize("other", ["root-walk", "user-overlay", "user-walk"])
def test_every_way_gives_the_same_layers(images: Mapping[str, Image], other: str) -> None:
    for number, (expected, found) in enumerate(zip(images["root-overlay"].layers, images[other].layers, strict=True)):
        assert [path for path, _ in found] == [path for path, _ in expected], f"layer {number}"
        assert diff_listings(dict(expected), dict(found)) == "", f"layer {number}"


def test_files(image: Image) -> None:
    expected = {
        "etc/new": ("file", 0o600, 1000, 50),
        "usr/share/moved": ("directory", 0o700, 0, 0),
        "usr/share/moved/fresh": ("file", 0o644, 0, 0),
        "usr/share/becomes-directory": ("file", 0o644, 0, 0),
        "usr/share/becomes-file": ("directory", 0o755, 0, 0),
        "usr/share/becomes-file/inner": ("file", 0o644, 0, 0),
        "home/app": ("symlink", 0o777, 0, 0),
        "lib": ("directory", 0o755, 0, 0),
        "lib/real": ("file", 0o644, 0, 0),
        "srv/pipe": ("fifo", 0o644, 0, 50),
        "usr/bin/setuid": ("file", 0o4711, 0, 0),
        "etc/shadow": ("file", 0o640, 0, 50),
        f"srv/{LONG}/file": ("file", 0o644, 0, 50),
    }
    found = {path: image.files[path] for path in expected}
    assert {path: (f.type, f.mode, f.uid, f.gid) for path, f in found.items()} == expected


def test_removed(image: Image) -> None:
    gone = [
        "usr/lib/dangling",
        "usr/share/n\N{LATIN SMALL LETTER A WITH DIAERESIS}me with spaces",
        "usr/share/old",
        "usr/share/old/new",
        "usr/share/becomes-directory/inner",
        "tmp/x",
        "var/tmp",
    ]
    assert [path for path in gone if path in image.files] == []
    assert [path for path in image.files if path.rpartition("/")[2].startswith(".wh.")] == []


def test_untouched_files_stay(image: Image, registry: LoopbackRegistry) -> None:
    base = list_image(registry, "base/busybox", "oci")
    touched = (
        "usr/share",
        "usr/lib/dangling",
        "usr/bin/setuid",
        "home/app",
        "lib",
        "var/tmp",
        "etc/new",
        "srv",
        "tmp",
        "etc/group",
    )

    def kept(files: Mapping[str, FileListing]) -> dict[str, FileListing]:
        return {path: listing for path, listing in files.items() if not path.startswith(touched)}

    assert diff_listings(kept(base.files), kept(image.files)) == ""


def test_hardlinks(image: Image) -> None:
    assert image.files["srv/one"].hardlinks == ("srv/one", "srv/sub/three", "srv/two")
    assert image.files["usr/lib/first"].hardlinks == ("usr/lib/first", "usr/lib/second")


def test_times(image: Image) -> None:
    assert image.files["etc/group"].mtime == 981173106


def test_what_is_restored_is_in_no_layer(image: Image) -> None:
    restored, temporary, nothing = (dict(layer) for layer in image.layers[12:15])
    assert "etc/shadow" not in restored
    assert [path for path in temporary if path not in ("tmp", "tmp/")] == []
    assert nothing == {}


def test_walk_and_overlay_agree_on_links_to_files_of_the_base(
    builder: Builder, registry: LoopbackRegistry, busybox: dict[str, str], make_context: MakeContext, repository: str
) -> None:
    """Whatever overlayfs does to the group of a hardlink, names and contents are right."""
    dockerfile = f"FROM {busybox['oci']}\nRUN ln /usr/lib/first /usr/lib/third && echo more >> /usr/lib/third\n"
    context = make_context({"Dockerfile": dockerfile})
    for snapshotter in ("overlay", "walk"):
        running = builder.with_environment(BUILDER_SNAPSHOTTER=snapshotter)
        running = replace(running, state=running.home / snapshotter)
        running.build(context, f"--destination={registry.reference(repository)}:{snapshotter}").ok()
        image = list_image(registry, repository, snapshotter)
        assert image.text("usr/lib/third") == "one file of two names\nmore\n"
        assert image.files["usr/lib/first"].sha256 == image.files["usr/lib/third"].sha256
