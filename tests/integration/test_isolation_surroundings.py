"""/proc, /dev, /sys, the network and its files, and the mounts that a command asks for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.isolation import Sandbox

from builder.isolation.command import Bind, Tmpfs


def test_proc_is_that_of_the_command(sandbox: Sandbox) -> None:
    result = sandbox.shell("ls -d /proc/[0-9]* | wc -l; readlink /proc/self; echo x >/proc/sys/kernel/hostname")
    assert int(result.out.split()[0]) <= 5  # init, the shell, and the programs that it runs
    assert "Read-only" in result.err


@pytest.mark.parametrize("path", ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts"])
def test_masked_files_are_empty(sandbox: Sandbox, path: str) -> None:
    assert sandbox.shell(f"test ! -e {path} || cat {path} | wc -c").out in ("", "0")


@pytest.mark.parametrize("script", ["echo 0 >/proc/sys/kernel/panic", "mkdir /sys/x", "mkdir /sys/fs/cgroup/x"])
def test_kernel_cannot_be_written(sandbox: Sandbox, script: str) -> None:
    result = sandbox.shell(script)
    assert result.status == 1 and "Read-only file system" in result.err


@pytest.mark.parametrize("path", ["/sys", "/sys/kernel"])
def test_sys_is_the_machines(sandbox: Sandbox, path: str) -> None:
    assert sorted(sandbox.shell(f"ls {path}").out.split()) == sorted(os.listdir(path))


def test_devices_work(sandbox: Sandbox) -> None:
    script = """
        head -c 3 /dev/zero | wc -c; head -c 4 /dev/urandom | wc -c; echo gone >/dev/null; echo full >/dev/full
        echo b >/dev/fd/1; echo a | cat /dev/stdin; echo c >/dev/stderr; readlink /dev/ptmx; touch /dev/shm/x /dev/y
        ls /dev/mqueue"""
    result = sandbox.shell(script, root=sandbox.overlay())
    assert result.out.split() == ["3", "4", "b", "a", "pts/ptmx"]
    assert "No space left" in result.err and result.err.endswith("c")


def test_made_device_nodes_do_not_work(root_sandbox: Sandbox) -> None:
    """Real root may make them, but must not reach the machine's disks and memory by them."""
    root = root_sandbox.overlay()
    script = (
        "mknod /null c 1 3 && mknod /dev/shm/null c 1 3 && mknod /dev/nodes c 1 3; cat /null /dev/shm/null /dev/nodes"
    )
    result = root_sandbox.shell(script, root=root)
    assert result.err.count("Permission denied") == 3
    assert root_sandbox.tree(root.upper)["null"].startswith("crw")


def test_pseudo_terminals_work(sandbox: Sandbox) -> None:
    result = sandbox.shell("exec 3<>/dev/ptmx && test -t 3 && ls /dev/pts && stat -c %a /dev/pts/0")
    assert (result.status, result.out.split()) == (0, ["0", "ptmx", "620"])


def test_network_files_are_the_machines_while_it_runs(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    result = sandbox.shell("cat /etc/resolv.conf; echo ---; cat /etc/hosts; echo x >>/etc/hosts", root=root)
    resolver, _, hosts = result.out.partition("---\n")
    assert resolver == Path("/etc/resolv.conf").read_text()
    assert hosts.startswith(Path("/etc/hosts").read_text()) and hosts.rstrip().endswith("127.0.0.1\tbuildkitsandbox")
    assert "Read-only" in result.err
    assert sandbox.tree(root.upper) == {}


def test_symlinked_resolver_is_resolved_inside(sandbox: Sandbox) -> None:
    layer = sandbox.new_directory("layer")
    link = f"os.symlink('../../run/systemd/resolve/stub.conf', {layer!r} + '/etc/resolv.conf')"
    sandbox.do(f"import os; os.mkdir({layer!r} + '/etc', 0o755); {link}")
    root = sandbox.overlay(layer)
    result = sandbox.shell("cat /etc/resolv.conf; ls /run/systemd/resolve", root=root)
    assert result.out.endswith("stub.conf") and result.out.startswith(Path("/etc/resolv.conf").read_text())
    assert sandbox.tree(root.upper) == {}
    assert not Path("/run/systemd/resolve/stub.conf").exists()


def test_network_none_has_a_loopback_alone(sandbox: Sandbox) -> None:
    script = (
        "cat /proc/net/dev | tail -n +3 | cut -d: -f1; ping -c 1 -W 1 127.0.0.1 >/dev/null && echo up; cat /etc/hosts"
    )
    result = sandbox.shell(script, network="none")
    assert result.out.split()[:2] == ["lo", "up"]
    assert "localhost" in result.out


def test_network_host_is_the_builders(sandbox: Sandbox) -> None:
    assert sandbox.shell("cat /proc/net/dev").out.count(":") == Path("/proc/net/dev").read_text().count(":")


def test_bind_mounts(sandbox: Sandbox) -> None:
    root, source = sandbox.overlay(), sandbox.new_directory("source")
    sandbox.do(f"open({source!r} + '/file', 'w').write('secret')")
    mounts = (
        Bind(target="/run/secrets/token", source=f"{source}/file", read_only=True),
        Bind(target="/cache/dir", source=source),
        Bind(target="/home", source=source, read_only=True),
    )
    script = (
        "cat /run/secrets/token; echo; echo x >/run/secrets/token; echo kept >/cache/dir/new; touch /home/y; ls /home"
    )
    result = sandbox.shell(script, root=root, mounts=mounts)
    assert result.out.split() == ["secret", "file", "new"]
    assert result.err.count("Read-only") == 2
    assert sandbox.tree(root.upper) == {}
    assert sorted(sandbox.tree(source)) == ["file", "new"]


def test_tmpfs_mounts(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    mounts = (Tmpfs(target="/small", size=65536, mode=0o700), Tmpfs(target="/tmp"))
    script = "stat -c %a /small /tmp; head -c 100000 /dev/zero >/small/x; stat -c %s /small/x; touch /tmp/y"
    result = sandbox.shell(script, root=root, mounts=mounts)
    assert result.out.split() == ["700", "1777", "65536"]
    assert sandbox.tree(root.upper) == {}


def test_mounts_in_mounts(sandbox: Sandbox) -> None:
    root, outer, inner = sandbox.overlay(), sandbox.new_directory("outer"), sandbox.new_directory("inner")
    sandbox.do(f"open({inner!r} + '/file', 'w').close()")
    mounts = (Bind(target="/m", source=outer), Bind(target="/m/inner", source=inner), Tmpfs(target="/dev/shm/t"))
    assert sandbox.shell("ls /m/inner", root=root, mounts=mounts).out == "file"
    assert sandbox.tree(root.upper) == {}


def test_targets_are_resolved_inside_the_root(sandbox: Sandbox, scratch: Path) -> None:
    (scratch / "outside").mkdir(mode=0o777)
    (scratch / "outside").chmod(0o777)
    root, source = sandbox.overlay(), sandbox.new_directory("source")
    sandbox.shell(f"ln -s ../../../..{scratch} /up; ln -s {scratch}/outside /absolute", root=root)
    before = sandbox.tree(root.upper)
    mounts = (Bind(target="/up/outside/x", source=source), Bind(target="/absolute/y", source=source))
    result = sandbox.shell(f"ls {scratch}/outside", root=root, mounts=mounts)
    assert result.out.split() == ["x", "y"]
    assert list((scratch / "outside").iterdir()) == []
    assert sandbox.tree(root.upper) == before


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("/etc/passwd", "cannot mount a directory on /etc/passwd: it is a file in the image"),
        ("/etc/passwd/x", "cannot mount on /etc/passwd/x: a part of the path is not a directory"),
        ("/", "cannot mount on /: / belongs to the sandbox"),
        ("/proc/self/cwd/x", "cannot mount on /proc/self/cwd/x: /proc/self/cwd/x belongs to the sandbox"),
    ],
)
def test_targets_of_the_wrong_kind(sandbox: Sandbox, target: str, message: str) -> None:
    source = sandbox.new_directory("source")
    root = sandbox.overlay()
    result = sandbox.run("true", root=root, mounts=(Bind(target=target, source=source),))
    assert (result.status, result.error) == (None, message)
    assert sandbox.tree(root.upper) == {}


def test_file_on_a_directory(sandbox: Sandbox) -> None:
    mounts = (Bind(target="/home", source=sandbox.busybox() + "/etc/passwd"),)
    assert sandbox.run("true", mounts=mounts).error == "cannot mount a file on /home: it is a directory in the image"
