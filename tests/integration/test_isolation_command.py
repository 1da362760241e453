"""As whom and how a command runs, and how its end is told."""

from __future__ import annotations

from typing import Any

import pytest
from support.isolation import PATH, Sandbox

CONTAINER_DEFAULT = 0x00000000A80425FB  # Docker's 14


def test_root_runs_with_the_default_capabilities(sandbox: Sandbox) -> None:
    result = sandbox.shell("id -u; id -g; grep Cap /proc/self/status")
    uid, gid, *capabilities = result.out.splitlines()
    assert (uid, gid) == ("0", "0")
    sets = {line.split()[0]: int(line.split()[1], 16) for line in capabilities}
    assert sets == {
        "CapInh:": 0,
        "CapPrm:": CONTAINER_DEFAULT,
        "CapEff:": CONTAINER_DEFAULT,
        "CapBnd:": CONTAINER_DEFAULT,
        "CapAmb:": 0,
    }


def test_user_has_no_capability_but_may_gain_the_default_ones(sandbox: Sandbox) -> None:
    result = sandbox.shell("grep -E 'Uid|Gid|Groups|Cap' /proc/self/status", uid=1000, gid=1001, groups=(4, 27))
    fields = {line.split()[0]: line.split()[1:] for line in result.out.splitlines()}
    assert fields["Uid:"] == ["1000"] * 4
    assert fields["Gid:"] == ["1001"] * 4
    assert fields["Groups:"] == ["4", "27"]
    assert {int(fields[name][0], 16) for name in ("CapInh:", "CapPrm:", "CapEff:", "CapAmb:")} == {0}
    assert int(fields["CapBnd:"][0], 16) == CONTAINER_DEFAULT


def test_root_may_give_files_away_and_change_user(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    result = sandbox.shell("touch /a; chown 33:44 /a; chmod 4755 /a; stat -c %u:%g:%a /a", root=root)
    assert result.out == "33:44:4755"
    assert sandbox.tree(root.upper)["a"] == "-rwsr-xr-x 33 44"


def test_environment_is_the_commands_alone(sandbox: Sandbox) -> None:
    result = sandbox.run("env", env=(f"PATH={PATH}", "A=1=2", "E=", "U=ü"))
    assert sorted(result.out.splitlines()) == ["A=1=2", "E=", f"PATH={PATH}", "U=ü"]


def test_builder_cannot_be_looked_at_from_inside(sandbox: Sandbox) -> None:
    result = sandbox.shell(
        "tr '\\0' ' ' </proc/1/cmdline; cat /proc/1/environ; readlink /proc/1/fd/0; ls /proc/1/root/; echo end"
    )
    assert "unseen" not in result.out and "SERVER" not in result.out and "-c" not in result.out.split()
    assert result.out.split() == ["builder:", "sandbox", "end"]
    assert result.err.count("ermission denied") >= 2


@pytest.mark.parametrize(
    ("field", "script", "printed"),
    [
        ({"cwd": "/home"}, "pwd; cat file", "/home\ntext"),
        ({"cwd": "/made/for/it"}, "pwd; stat -c '%u %g %a' . ..", "/made/for/it\n0 0 755\n0 0 755"),
        ({"cwd": "home"}, "pwd", "/home"),
        ({"cwd": "/tmp", "uid": 1000, "gid": 1000}, "pwd; touch x && stat -c %u x", "/tmp\n1000"),
        ({}, "hostname", "buildkitsandbox"),
        ({"hostname": "other"}, "hostname", "other"),
        ({}, "umask", "0022"),
        ({}, "cat; echo end", "end"),
        ({}, "ls /proc/self/fd | wc -l", "4"),  # 0, 1, 2, and the directory that ls reads
        ({}, "grep -E 'Sig(Ign|Blk)' /proc/self/status | tr -d '\\t0\\n'", "SigBlk:SigIgn:"),
        ({"env": ()}, "echo $PATH | grep -c /bin", "1"),
        ({"uid": 1000, "gid": 1000}, "echo on stdout >/dev/stdout", "on stdout"),
        ({}, "echo $$ $PPID", "2 1"),
    ],
)
def test_surroundings_of_the_process(sandbox: Sandbox, field: dict[str, Any], script: str, printed: str) -> None:
    result = sandbox.shell(script, **field)
    assert (result.status, result.err, result.error) == (0, "", "")
    assert result.out.rstrip("\n") == printed


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
        ("kill -PIPE $$", 141),
    ],
)
def test_status(sandbox: Sandbox, script: str, status: int) -> None:
    assert sandbox.shell(script).status == status


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (("nope",), 127, 'exec: "nope": executable file not found in $PATH'),
        (("/nope",), 127, 'exec: "/nope": stat /nope: no such file or directory'),
        (("/etc",), 126, 'exec: "/etc": is a directory'),
        (("/etc/passwd",), 126, 'exec: "/etc/passwd": permission denied'),
        (("/home/garbage",), 126, "exec /home/garbage: exec format error"),
        (
            ("/home/script",),
            127,
            "exec /home/script: no such file or directory (the interpreter that it needs is missing)",
        ),
    ],
)
def test_program_that_cannot_be_executed(sandbox: Sandbox, argv: tuple[str, ...], status: int, message: str) -> None:
    root = sandbox.overlay()
    made = sandbox.shell(
        "printf '\\1\\2\\3' >/home/garbage; echo '#!/none' >/home/script; chmod +x /home/garbage /home/script",
        root=root,
    )
    assert made.status == 0
    result = sandbox.run(*argv, root=root)
    assert (result.status, result.lines) == (status, [(2, message)])


def test_program_is_found_by_the_path_of_its_own_environment(sandbox: Sandbox) -> None:
    root = sandbox.overlay()
    sandbox.shell("mkdir /own; cp /bin/busybox /own/ls; ln -s busybox /bin/special; rm /bin/ls", root=root)
    assert sandbox.run("ls", "/own", root=root, env=("PATH=/nowhere:/own",)).out == "ls"


def test_output_comes_by_stream_in_lines(sandbox: Sandbox) -> None:
    result = sandbox.shell("echo one; echo two >&2; printf 'three\\n\\n'; printf four")
    assert [line for stream, line in result.lines if stream == 1] == ["one", "three", "", "four"]
    assert result.err == "two"


def test_long_lines_come_in_pieces(sandbox: Sandbox) -> None:
    result = sandbox.shell("head -c 200000 /dev/zero | tr '\\0' x; echo; echo end")
    lengths = [len(line) for _, line in result.lines]
    assert lengths[-1] == 3 and sum(lengths) == 200_003 and max(lengths) <= 64 * 1024


def test_much_output_is_complete(sandbox: Sandbox) -> None:
    result = sandbox.shell("seq 100000; seq 100000 >&2")
    assert result.out.split() == result.err.split() == [str(number) for number in range(1, 100_001)]


def test_output_comes_while_the_command_runs(sandbox: Sandbox) -> None:
    shared = sandbox.new_directory("shared")
    source = f"""
import os
os.mkfifo({shared!r} + "/fifo")
def answer(stream, line):
    with open({shared!r} + "/fifo", "w") as fifo:  # only who has seen the line lets the command go on
        fifo.write("on\\n")
command = Command(argv=("sh", "-c", "echo asked; read answer </shared/fifo; exit 5"), env=(), cwd="/", uid=0, gid=0,
    groups=(), root={sandbox.overlay()!r}, mounts=(Bind(target="/shared", source={shared!r}),))
result = isolation.run(command, answer)
"""
    assert sandbox.do(source) == 5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cwd": "/etc/passwd"}, "cannot run in the working directory /etc/passwd: it is not a directory"),
        ({"argv": ("echo", "a\0b")}, "cannot start 'echo': embedded null byte"),
    ],
)
def test_impossible_commands(sandbox: Sandbox, fields: dict[str, Any], message: str) -> None:
    result = sandbox.run("true", **fields)
    assert (result.status, result.error) == (None, message)


def test_user_that_is_not_mapped(user_sandbox: Sandbox) -> None:
    result = user_sandbox.run("true", uid=4_000_000)
    assert (result.status, result.error) == (None, "cannot run as user 4000000: the id is not mapped here")


def test_layer_that_is_missing_is_named(sandbox: Sandbox) -> None:
    result = sandbox.run("true", root=sandbox.overlay("/nonexistent/layer"))
    assert (
        result.error
        == "cannot prepare the sandbox of the command: /nonexistent/layer: No such file or directory (ENOENT)"
    )
