"""What a command leaves in the root filesystem: its changes, and nothing of the sandbox's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.isolation import Sandbox

from builder.isolation.command import Bind, OverlayRoot, Tmpfs

MADE_AT = 1_000_000_000  # every directory of the busybox root


def mtime(path: str) -> int:
    return int(os.lstat(path).st_mtime)


def test_upper_directory_is_the_difference(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    script = "rm /etc/passwd; rm -r /home; mkdir /home; echo x >/home/new; mv /usr/lib /usr/moved; ln /home/new /hard"
    assert sandbox.shell(script, root=root).status == 0
    assert sandbox.tree(root.upper) == {
        "etc": "drwxr-xr-x 0 0",
        "etc/passwd": "whiteout 0 0",
        "hard": "-rw-r--r-- 0 0",
        "home": "drwxr-xr-x opaque 0 0",
        "home/new": "-rw-r--r-- 0 0",
        "usr": "drwxr-xr-x 0 0",
        "usr/lib": "whiteout 0 0",
        "usr/moved": "drwxr-xr-x 0 0",
        "usr/moved/deep": "drwxr-xr-x 0 0",
    }


def test_command_that_changes_nothing_leaves_nothing(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    mounts = (Tmpfs(target="/usr/lib/deep/er/mount"), Tmpfs(target="/home/sub"))
    before = os.stat(root.upper).st_mtime_ns
    assert sandbox.run("true", root=root, mounts=mounts).status == 0
    assert sandbox.tree(root.upper) == {}
    assert os.stat(root.upper).st_mtime_ns == before


def test_mount_points_of_the_kernels_filesystems_stay(sandbox: Sandbox) -> None:
    """BuildKit's images have them."""
    bare = sandbox.new_directory("bare")
    sandbox.do(f"import subprocess; subprocess.run(['cp', '-a', {sandbox.busybox()!r} + '/bin', {bare!r}], check=True)")
    root = OverlayRoot(lowers=(bare,), upper=sandbox.new_directory("upper"), work=sandbox.new_directory("work"))
    assert sandbox.shell("test -c /dev/null -a -d /proc/1 -a -f /etc/hosts", root=root).status == 0
    assert sandbox.tree(root.upper) == dict.fromkeys(("dev", "proc", "sys"), "drwxr-xr-x 0 0")


def test_root_filesystem_without_layers(sandbox: Sandbox) -> None:
    """FROM scratch with a mount that brings the program."""
    root = OverlayRoot(lowers=(), upper=sandbox.new_directory("upper"), work=sandbox.new_directory("work"))
    mounts = (Bind(target="/bin/busybox", source=sandbox.busybox() + "/bin/busybox", read_only=True),)
    assert sandbox.run("/bin/busybox", "touch", "/made", root=root, mounts=mounts).status == 0
    assert sorted(sandbox.tree(root.upper)) == ["dev", "made", "proc", "sys"]


@pytest.mark.parametrize("kind", ["overlay", "directory"])
def test_times_of_the_stubs_directories_are_restored(sandbox: Sandbox, kind: str) -> None:
    root = sandbox.overlay() if kind == "overlay" else sandbox.directory_root()
    changed = root.upper if isinstance(root, OverlayRoot) else root.path
    source = sandbox.new_directory("source")
    mounts = (Bind(target="/usr/lib/deep/a/b/c", source=source), Tmpfs(target="/usr/lib/deep/t"))
    assert sandbox.shell("chmod 711 /usr/lib/deep", root=root, mounts=mounts).status == 0
    assert mtime(f"{changed}/usr/lib/deep") == mtime(f"{changed}/usr/lib") == MADE_AT
    assert os.listdir(f"{changed}/usr/lib/deep") == []


def test_directory_that_the_command_changed_keeps_its_new_times(sandbox: Sandbox) -> None:
    root, source = sandbox.overlay(), sandbox.new_directory("source")
    mounts = (Bind(target="/usr/lib/deep/a/b", source=source),)
    script = "sleep 0.1; touch /usr/lib/deep/x /usr/lib/deep/a/y; touch -d @1500000000 /usr/lib/deep"
    sandbox.shell(script, root=root, mounts=mounts)
    tree = sandbox.tree(root.upper)
    assert {"usr/lib/deep/x", "usr/lib/deep/a", "usr/lib/deep/a/y"} <= tree.keys()
    assert "usr/lib/deep/a/b" not in tree
    assert mtime(f"{root.upper}/usr/lib/deep") == 1_500_000_000


def test_directory_root_is_changed_in_place(sandbox: Sandbox) -> None:
    root = sandbox.directory_root()
    before = sandbox.tree(root.path)
    mounts = (Tmpfs(target="/mnt/x/y"),)
    assert sandbox.shell("rm /etc/passwd; echo x >/new; cat /etc/resolv.conf", root=root, mounts=mounts).status == 0
    after = sandbox.tree(root.path)
    assert before.keys() - after.keys() == {"etc/passwd"}
    assert after.keys() - before.keys() == {"new"}
    assert Path(root.path, "etc/hosts").read_text() == "of the image\n"


def test_stub_of_a_mount_follows_no_link_of_the_command(sandbox: Sandbox, scratch: Path) -> None:
    """The place of a stub may be a link when it is removed; what it names outside must live."""
    outside = scratch / "stubs"
    outside.mkdir()
    (outside / "x").touch()
    scratch.chmod(0o777)
    outside.chmod(0o777)
    root, source = sandbox.overlay(), sandbox.new_directory("source")
    sandbox.do(f"open({source!r} + '/file', 'w').close()")
    mounts = (Bind(target="/a/b/x", source=f"{source}/file"),)
    result = sandbox.shell(f"mv /a /moved; mkdir /a; ln -s {outside} /a/b", root=root, mounts=mounts)
    assert result.status == 0
    assert (outside / "x").exists()


def test_upper_directory_can_be_used_again(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    sandbox.shell("echo one >/one; rm /etc/hosts", root=root)
    result = sandbox.shell("cat /one; rm /one; echo two >/two", root=root)
    assert (result.out, sandbox.tree(root.upper)) == ("one", {"two": "-rw-r--r-- 0 0"})


def test_stub_in_the_place_of_a_deleted_file_leaves_its_whiteout(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    sandbox.shell("rm /home/file", root=root)
    before = sandbox.tree(root.upper)
    source = sandbox.busybox() + "/etc/passwd"
    assert sandbox.shell("cat /home/file", root=root, mounts=(Bind(target="/home/file", source=source),)).out
    assert sandbox.tree(root.upper) == before == {"home": "drwxr-xr-x 0 0", "home/file": "whiteout 0 0"}


def test_many_layers_and_the_same_twice(sandbox: Sandbox) -> None:
    """More than a page of mount options; an empty layer may be listed again and again."""
    layers = [sandbox.new_directory("layer") for _ in range(250)]
    sandbox.do(f"[open(layer + '/number', 'w').write(layer) for layer in {layers!r}]; result = None")
    result = sandbox.shell("cat /number; ls /home", root=sandbox.overlay(*layers, layers[0], layers[7]))
    assert result.out == f"{layers[0]}file\nsub"


def test_names_that_mount_options_would_need_to_escape(sandbox: Sandbox) -> None:
    strange = sandbox.new_directory("a:b,c=d\\e")
    sandbox.do(f"open({strange!r} + '/there', 'w').close()")
    root = OverlayRoot(
        lowers=(strange, sandbox.busybox()),
        upper=sandbox.new_directory("u:,\\"),
        work=sandbox.new_directory("w:,\\"),
    )
    assert sandbox.run("cat", "/there", root=root).status == 0


@pytest.mark.parametrize(("where", "works"), [("directory", True), ("/proc", False)])
def test_overlay_support_is_found_out(sandbox: Sandbox, where: str, works: bool) -> None:
    path = str(sandbox.directory) if where == "directory" else where
    source = f"""
from pathlib import Path
try:
    result = isolation.supports_overlay(Path({path!r}))
except IsolationError as error:
    result = "write" in error.message or "probe" in error.message
"""
    before = sorted(os.listdir(sandbox.directory))
    assert sandbox.do(source) is works or not works
    assert sorted(os.listdir(sandbox.directory)) == before
