"""The tests' own instruments: what they are to find, they find."""

from __future__ import annotations

import fcntl
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from support.builder import Builder, MakeBuilder
from support.containers import Podman
from support.images import Blob, Item, OciLayout, directory, hardlink, layer, symlink, whiteout
from support.leftovers import held_locks, nothing_left, processes_using, unfinished
from support.listing import FileListing, Image, diff_listings, list_image, list_layout
from support.registry import LoopbackRegistry
from support.stalling_proxy import StallingProxy


def _image(*tars: bytes, scratch: Path) -> Image:
    layout = OciLayout(scratch / "layout")
    layout.tag(layout.image([Blob.of(tar) for tar in tars], {}, "amd64"), "image")
    return list_layout(layout.path)


def test_listing_of_the_busybox_base(registry: LoopbackRegistry, busybox: dict[str, str]) -> None:
    files = list_image(registry, "base/busybox", "oci").files
    assert "usr/share/removed" not in files
    assert [path for path in files if path.startswith("usr/share/old/")] == ["usr/share/old/new"]
    assert (files["usr/share/old"].mode, files["tmp"].mode) == (0o750, 0o1777)
    assert files["usr/share/becomes-directory"].type == "directory"
    assert files["usr/share/becomes-file"].type == "file"
    assert "usr/share/becomes-file/inner" not in files
    assert files["usr/lib/first"].hardlinks == ("usr/lib/first", "usr/lib/second")
    assert files["usr/bin/capable"].xattrs == {"security.capability": f"0100000200040000{'00' * 12}"}
    assert files["bin/sh"].sha256 == files["bin/busybox"].sha256 != ""


@pytest.mark.parametrize("variant", ["docker", "zstd", "index"])
def test_listing_is_the_same_in_every_form(registry: LoopbackRegistry, busybox: dict[str, str], variant: str) -> None:
    first, second = (list_image(registry, "base/busybox", tag) for tag in ("oci", variant))
    assert diff_listings(first.files, second.files, ignore=()) == ""


def test_podman_sees_what_the_listing_says(
    registry: LoopbackRegistry, busybox: dict[str, str], containers: Podman
) -> None:
    """The reader agrees with an implementation that has nothing to do with it."""
    files = list_image(registry, "base/busybox", "oci").files
    said = containers.run(busybox["oci"], "sh", "-c", "find /usr /srv /home /root -exec stat -c '%a %u %g %h %n' {} +")
    found = {line.split(" ", 4)[4]: tuple(line.split(" ", 4)[:3]) for line in said.splitlines()}
    expected = {
        f"/{path}": (f"{listing.mode:o}", str(listing.uid), str(listing.gid))
        for path, listing in files.items()
        if path.split("/")[0] in ("usr", "srv", "home", "root")
    }
    assert found == expected


def test_listing_resolves_links_on_the_way(scratch: Path) -> None:
    lower = layer(
        [directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"), Item(path="usr/lib/a", data=b"a")]
    )
    upper = layer([Item(path="lib/b", data=b"b"), whiteout("lib/a"), hardlink("lib/c", "lib/b")])
    assert _image(lower, upper, scratch=scratch).files.keys() == {"usr", "usr/lib", "lib", "usr/lib/b", "usr/lib/c"}


def test_whiteouts_do_not_concern_their_own_layer(scratch: Path) -> None:
    lower = layer([directory("d"), Item(path="d/a", data=b"old"), Item(path="d/b")])
    upper = layer([Item(path="d/a", data=b"new"), whiteout("d/a"), Item(path="d/.wh..wh..opq")])
    image = _image(lower, upper, scratch=scratch)
    assert list(image.files) == ["d", "d/a"]
    assert image.text("d/a") == "new"


def test_differences_are_readable() -> None:
    expected = {"a": FileListing(type="file", mode=0o644), "b": FileListing(type="file", mode=0o644)}
    found = {"a": FileListing(type="file", mode=0o600, uid=5), "c": FileListing(type="fifo", mode=0o600)}
    assert diff_listings(expected, found).splitlines() == [
        "~ a: mode is 0o600, 0o644 expected",
        "~ a: uid is 5, 0 expected",
        "- b: missing (file)",
        "+ c: not expected (fifo, mode 0600)",
    ]
    assert diff_listings(expected, expected) == ""


def test_registry_with_a_password() -> None:
    with LoopbackRegistry(htpasswd=True) as closed:
        assert closed.repositories() == []
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{closed.host}/v2/")


def test_stalling_proxy(registry: LoopbackRegistry, busybox: dict[str, str]) -> None:
    with StallingProxy(registry.port, "download", after=100_000) as proxy:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{proxy.host}/v2/_catalog", timeout=10) as answer:
            assert b"base/busybox" in answer.read()
        assert not proxy.stalled.is_set()
        large = registry.manifest("base/busybox", "oci")["layers"][0]["digest"]
        with pytest.raises(TimeoutError):
            opener.open(f"http://{proxy.host}/v2/base/busybox/blobs/{large}", timeout=1).read()
        assert proxy.stalled.is_set()


def _probe(builder: Builder, *command: str) -> subprocess.CompletedProcess[str]:
    """Run another program the way the builder is run."""
    return subprocess.run(
        [*builder.prefix(), *command],
        cwd=builder.home,
        env=builder.variables(),
        capture_output=True,
        text=True,
        **builder.identity(),
    )


def test_without_user_namespaces(user_builder: Builder) -> None:
    confined = replace(user_builder, no_user_namespaces=True)
    refused = _probe(confined, "unshare", "--user", "true")
    assert refused.returncode != 0, "a user namespace can be made where none should be possible"
    status = _probe(confined, "cat", "/proc/self/status").stdout
    assert "CapEff:\t0000000000000000\n" in status
    assert f"Uid:\t{user_builder.account.uid}\t" in status if user_builder.account else True


def test_with_user_namespaces(user_builder: Builder) -> None:
    """The control: the same user, not confined, can make them."""
    assert _probe(user_builder, "unshare", "--user", "true").returncode == 0
    assert _probe(user_builder, "id", "-u").stdout.strip() != "0"


def test_the_user_can_run_the_builder(make_builder: MakeBuilder, scratch: Path) -> None:
    outputs = {make_builder(who, scratch).run("version").ok().stdout for who in ("root", "user")}
    assert len(outputs) == 1


def test_a_process_left_behind_is_found(scratch: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=scratch) as process:
        try:
            assert len(processes_using(scratch)) == 1
            with pytest.raises(AssertionError, match="processes are left behind"), nothing_left(scratch, patience=0.2):
                pass
        finally:
            process.kill()


def test_a_lock_left_behind_is_found(scratch: Path) -> None:
    with open(scratch / "lock", "w") as lock:
        assert held_locks(scratch) == []
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert held_locks(scratch) == [str(scratch / "lock")]


def test_a_file_left_behind_is_found(scratch: Path) -> None:
    (scratch / "state").mkdir()
    (scratch / "state" / "blob.part").touch()
    assert unfinished(scratch / "state") == [str(scratch / "state/blob.part")]
    with pytest.raises(AssertionError, match="new in"), nothing_left(scratch / "nothing", scratch):
        (scratch / "forgotten").touch()


def test_a_mount_left_behind_is_found(as_root: None, scratch: Path) -> None:
    place = scratch / "mount"
    place.mkdir()
    try:
        with pytest.raises(AssertionError, match="mounts are left behind"), nothing_left(scratch / "nothing"):
            subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    finally:
        subprocess.run(["umount", place], check=True)
