"""``RUN --mount``: where caches are kept and how they are shared, and what of secrets and other mounts is seen."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.builder import Builder, Outcome
from support.contexts import MakeContext
from support.leftovers import nothing_left
from support.listing import list_archive


class Mounts:
    """Runs Dockerfiles of a base and some lines, and gives what the last build has written to ``/seen``."""

    def __init__(self, builder: Builder, make_context: MakeContext, base: str, scratch: Path) -> None:
        self.builder, self._make_context, self._base, self.scratch = builder, make_context, base, scratch

    def context(self, *lines: str) -> Path:
        return self._make_context(
            {"Dockerfile": "\n".join([f"FROM {self._base}", *lines]) + "\n", "file": "of the context\n"}
        )

    def seen(self, *lines: str, flags: Sequence[str | Path] = ()) -> str:
        archive = self.scratch / "image.tar"
        self.builder.build(self.context(*lines), "--no-push", "--no-cache", f"--tar-path={archive}", *flags).ok()
        return list_archive(archive).text("seen")

    def refused(self, *lines: str, flags: Sequence[str | Path] = ()) -> Outcome:
        return self.builder.build(self.context(*lines), "--no-push", "--no-cache", *flags)


@pytest.fixture
def mounts(user_builder: Builder, make_context: MakeContext, busybox: dict[str, str], scratch: Path) -> Mounts:
    return Mounts(user_builder, make_context, busybox["oci"], scratch)


COUNT = "cd /c && echo x >> count && wc -l < count > /seen"


def test_a_cache_outlives_the_build_and_is_known_by_its_target_or_id(mounts: Mounts) -> None:
    assert mounts.seen(f"RUN --mount=type=cache,target=/c {COUNT}") == "1\n"
    assert mounts.seen(f"RUN --mount=type=cache,target=/c {COUNT}") == "2\n"
    assert mounts.seen(f"RUN --mount=type=cache,target=/c,id=other {COUNT}") == "1\n"
    assert mounts.seen(f"RUN --mount=type=cache,id=/c,target=/d ln -s /d /c && {COUNT}") == "3\n"


def test_a_relative_target(mounts: Mounts) -> None:
    seen = mounts.seen(
        "WORKDIR /some/where", "RUN --mount=type=cache,target=c touch /some/where/c/x && find /some > /seen"
    )
    assert "/some/where/c/x" in seen


def test_owner_and_mode_of_a_new_cache(mounts: Mounts) -> None:
    """Another owner makes another cache, else a command would meet one that it cannot write to."""
    stat = "stat -c %u:%g:%a /c > /seen"
    assert mounts.seen(f"RUN --mount=type=cache,target=/c {stat}") == "0:0:755\n"
    assert mounts.seen(f"RUN --mount=type=cache,target=/c,uid=12,gid=34,mode=0700 {stat}") == "12:34:700\n"
    assert mounts.seen(f"RUN --mount=type=cache,target=/c {stat}") == "0:0:755\n"


def test_what_a_cache_begins_with(mounts: Mounts) -> None:
    made = "RUN mkdir -p /made/sub && echo first > /made/sub/file"
    context = mounts.context(made)
    base = (context / "Dockerfile").read_text().splitlines()[0]
    mount = "--mount=type=cache,from=stage,source=/made,target=/c"
    use = f"RUN {mount} cat /c/sub/file > /seen; echo more >> /c/sub/file"
    (context / "Dockerfile").write_text(f"{base} AS stage\n{made}\n{base}\n{use}\n")
    archive = mounts.scratch / "image.tar"
    for expected in ("first\n", "first\nmore\n"):
        mounts.builder.build(context, "--no-push", "--no-cache", f"--tar-path={archive}").ok()
        assert list_archive(archive).text("seen") == expected


def test_a_cache_for_reading_only(mounts: Mounts) -> None:
    mounts.seen("RUN --mount=type=cache,target=/c echo there > /c/file; touch /seen")
    line = "RUN --mount=type=cache,target=/c,ro cat /c/file > /seen; ! touch /c/new 2>> /seen"
    assert mounts.seen(line).startswith("there\ntouch: /c/new: Read-only file system")


def test_caches_are_kept_in_the_directory_of_the_cache_if_there_is_one(
    builder: Builder, make_context: MakeContext, busybox: dict[str, str], scratch: Path
) -> None:
    """So that a CI system can carry them from one machine to the next."""
    mounts = Mounts(builder, make_context, busybox["oci"], scratch)
    carried = scratch / "carried"
    flags = (f"--cache-dir={carried}",)
    assert mounts.seen(f"RUN --mount=type=cache,target=/c {COUNT}", flags=flags) == "1\n"
    assert mounts.seen(f"RUN --mount=type=cache,target=/c {COUNT}", flags=flags) == "2\n"
    assert not (builder.state / "mounts").exists()
    assert list(carried.glob("mounts/*/*/root/count"))


def test_a_directory_that_cannot_be_written_is_told_and_the_state_directory_used(mounts: Mounts) -> None:
    outcome = mounts.refused(f"RUN --mount=type=cache,target=/c {COUNT}", flags=("--cache-dir=/proc/nowhere",)).ok()
    assert re.search(
        r"warning: cache mounts are kept in .*, since /proc/nowhere/mounts cannot be written", outcome.stderr
    )


def overlapping(mounts: Mounts, sharing: str) -> tuple[str, str]:
    """What two stages see that are built side by side, each waiting a while for the other in the same cache."""
    wait = "for i in 1 2 3 4 5 6 7 8 9 10; do test $(ls /c | wc -l) = 2 && break; sleep 0.2; done"
    line = f"RUN --mount=type=cache,target=/c,sharing={sharing} touch /c/NAME; {wait}; ls /c > /NAME; rm -f /c/NAME"
    context = mounts.context(line.replace("NAME", "a"))
    base = (context / "Dockerfile").read_text().splitlines()[0]
    stages = [f"{base} AS a\n{line.replace('NAME', 'a')}\n", f"{base} AS b\n{line.replace('NAME', 'b')}\n"]
    last = f"{base}\nCOPY --from=a /a /a\nCOPY --from=b /b /b\n"
    (context / "Dockerfile").write_text("".join([*stages, last]))
    archive = mounts.scratch / "image.tar"
    mounts.builder.build(context, "--no-push", "--no-cache", f"--tar-path={archive}").ok()
    image = list_archive(archive)
    return image.text("a"), image.text("b")


def test_a_shared_cache_is_used_side_by_side(mounts: Mounts) -> None:
    assert "a\nb\n" in overlapping(mounts, "shared")


@pytest.mark.parametrize("sharing", ["locked", "private"])
def test_a_locked_cache_is_used_in_turn_and_a_private_one_alone(mounts: Mounts, sharing: str) -> None:
    assert overlapping(mounts, sharing) == ("a\n", "b\n")


def test_a_locked_cache_of_two_builds(mounts: Mounts) -> None:
    line = (
        "RUN --mount=type=cache,target=/c,sharing=locked test ! -e /c/busy && touch /c/busy && sleep 0.3 && rm /c/busy"
    )
    outcomes: list[Outcome] = []
    contexts = [mounts.context(line), mounts.context(line)]

    def build(context: Path) -> None:
        outcomes.append(mounts.builder.build(context, "--no-push", "--no-cache"))

    threads = [threading.Thread(target=build, args=(context,)) for context in contexts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(200)
    assert [outcome.ok().status for outcome in outcomes] == [0, 0]


def test_a_link_in_a_cache_does_not_lead_out_of_it(mounts: Mounts) -> None:
    """A command has put it there; the next one asks for what it points to."""
    mounts.seen("RUN --mount=type=cache,target=/c,id=x mkdir /c/etc && ln -s /etc /c/link && touch /seen")
    line = "RUN --mount=type=cache,target=/c,id=x,source=link ls -A /c > /seen"
    assert mounts.seen(line) == ""
    outcome = mounts.refused("RUN --mount=type=cache,target=/c,id=x,source=/no/where true")
    outcome.failed(re.escape('"/no/where" not found in the cache'))


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("id=token", "0:0:400 the secret of token in /run/secrets/token"),
        ("source=token", "0:0:400 the secret of token in /run/secrets/token"),
        ("target=/x/token", "0:0:400 the secret of token in /x/token"),
        ("id=token,target=/y,uid=5,gid=6,mode=0444", "5:6:444 the secret of token in /y"),
        ("id=token,target=rel", "0:0:400 the secret of token in /run/secrets/rel"),
    ],
)
def test_where_a_secret_is(mounts: Mounts, scratch: Path, option: str, expected: str) -> None:
    place = expected.rpartition(" ")[2]
    (scratch / "token").write_text("the secret of token in ")
    show = f"stat -c '%u:%g:%a' {place} > /o; echo $(cat /o) $(cat {place}) {place} > /seen"
    line = f"RUN --mount=type=secret,{option} {show}"
    flags = (f"--secret=id=token,src={scratch}/token",)
    assert mounts.seen(line, flags=flags) == f"{expected}\n"


def test_a_secret_as_a_variable_and_one_that_is_not_there(mounts: Mounts, scratch: Path) -> None:
    (scratch / "token").write_text("abc")
    flags = (f"--secret=id=token,src={scratch}/token",)
    mount = "--mount=type=secret,id=token,env=T --mount=type=secret,id=none"
    line = f"RUN {mount} ls /run/secrets 2>&1 | wc -l > /seen; echo $T | rev >> /seen"
    assert mounts.seen(line, flags=flags).endswith("\ncba\n")


def test_the_size_of_a_tmpfs(mounts: Mounts) -> None:
    fill = "! dd if=/dev/zero of=/t/x bs=1k count=100 2> /seen"
    line = f"RUN --mount=type=tmpfs,target=/t,size=64k {fill}; df -k /t | tail -1 | awk '{{print $2}}' > /seen"
    assert mounts.seen(line) == "64\n"


REFUSED = {
    "an unknown option": ("type=cache,target=/c,colour=red", "unexpected key 'colour'"),
    "an unknown type": ("type=volume,target=/c", "unsupported mount type 'volume'"),
    "an unknown sharing": ("type=cache,target=/c,sharing=all", "unsupported sharing value 'all'"),
    "a required secret": ("type=secret,id=token,required", "the secret 'token' is required"),
    "a required agent": ("type=ssh,required", "the SSH agent 'default' is required"),
    "a mode that is none": ("type=cache,target=/c,mode=rwx", "invalid value rwx for mode"),
    "the root": ("type=cache,target=/", 'invalid mount target "/"'),
    "the root, by dots": ("type=cache,target=/a/../..", "invalid mount target"),
    "a file in the way": ("type=cache,target=/etc/passwd", "/etc/passwd"),
    "a file as directory": ("type=tmpfs,target=/etc/passwd/x", "/etc/passwd"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_mounted_is_told_with_its_place(mounts: Mounts, case: str) -> None:
    options, message = REFUSED[case]
    with nothing_left(mounts.builder.state):
        outcome = mounts.refused(f"RUN --mount={options} true")
    outcome.failed(re.escape(message))
    assert "Dockerfile:2" in outcome.stderr


def test_a_target_that_is_a_link_stays_inside(mounts: Mounts, scratch: Path) -> None:
    """It leads to a directory of the image, however far up it points."""
    (scratch / "victim").mkdir()
    (scratch / "victim").chmod(0o777)
    up = "/.." * 20
    link = f"RUN mkdir -p {scratch}/victim && ln -s {up}{scratch}/victim /link"
    line = f"RUN --mount=type=cache,target=/link touch /link/x && ls {scratch}/victim > /seen"
    assert mounts.seen(link, line) == "x\n"
    assert list((scratch / "victim").iterdir()) == []


def test_a_mount_is_in_no_layer(mounts: Mounts, scratch: Path) -> None:
    archive = scratch / "image.tar"
    line = "RUN --mount=type=cache,target=/new/c --mount=type=tmpfs,target=/new/t touch /new/c/x /new/t/x"
    mounts.builder.build(mounts.context(line), "--no-push", f"--tar-path={archive}").ok()
    image = list_archive(archive)
    assert not [path for path in image.files if path.startswith("new")]
    assert json.dumps(image.config).count("/new/c") <= 2  # the history alone has the instruction
