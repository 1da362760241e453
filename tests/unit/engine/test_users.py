"""USER and --chown: names looked up in the image's own passwd and group files."""

from __future__ import annotations

import pytest
from trees import tree_of

from builder.engine.users import Process, UnknownUser, file_owner, process_user
from builder.layer.entry import BytesContent, Entry, Kind
from builder.rootfs.tree import FileTree

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
# a comment:x:7:7::/:
app:x:1000:1001:The App\u2028of us,,,:/home/app:/bin/sh

  spaced:x:1002:1003::/home/spaced:
noshell:x:1004:1005
short:x:1006
bad:x:many:1:::
worse:x:1:-5:::
huge:x:4294967295:1:::
app:x:2000:2000:a second one:/other:
123:x:3000:3000:::
twin:x:1000:9:::
+nis
"""
GROUP = """\
root:x:0:
users:x:100:app,root
app:x:1001:
wheel:x:10:root,app,,other
malformed
also:x
bad:x:many:app
members:x:101
docker:x:999:application
"""


@pytest.fixture
def image() -> FileTree:
    return _image(PASSWD, GROUP)


def _image(passwd: str | None, group: str | None) -> FileTree:
    tree = FileTree()
    for path, text in (("etc/passwd", passwd), ("etc/group", group)):
        if text is not None:
            data = text.encode("utf-8", "surrogateescape")
            tree.put(path, Entry(Kind.FILE, 0o644, size=len(data), content=BytesContent(data)))
    return tree


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        ("", Process(uid=0, gid=0, groups=(10, 100), home="/root")),
        ("root", Process(uid=0, gid=0, groups=(10, 100), home="/root")),
        ("0", Process(uid=0, gid=0, groups=(10, 100), home="/root")),
        ("app", Process(uid=1000, gid=1001, groups=(10, 100), home="/home/app")),
        ("1000", Process(uid=1000, gid=1001, groups=(10, 100), home="/home/app")),
        ("app:", Process(uid=1000, gid=1001, groups=(10, 100), home="/home/app")),
        ("app:wheel", Process(uid=1000, gid=10, home="/home/app")),
        ("app:4242", Process(uid=1000, gid=4242, home="/home/app")),
        ("1000:wheel", Process(uid=1000, gid=10, home="/home/app")),
        ("5555", Process(uid=5555, gid=0)),
        ("5555:6666", Process(uid=5555, gid=6666)),
        ("5555:users", Process(uid=5555, gid=100)),
        (":users", Process(uid=0, gid=100, home="/root")),
        (":", Process(uid=0, gid=0, groups=(10, 100), home="/root")),
        ("spaced", Process(uid=1002, gid=1003, home="/home/spaced")),
        ("noshell", Process(uid=1004, gid=1005)),
        ("123", Process(uid=3000, gid=3000, home="")),
    ],
)
def test_processes(image: FileTree, user: str, expected: Process) -> None:
    assert process_user(image, user) == expected


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        ("root", (0, 0)), ("app", (1000, 1001)), ("app:wheel", (1000, 10)), ("app:5", (1000, 5)), ("5", (5, 5)),
        ("1000", (1000, 1000)), ("5:6", (5, 6)), ("5:users", (5, 100)), ("app:", (1000, 1001)), (":users", (0, 100)),
        (":7", (0, 7)), ("0:0", (0, 0)),
    ],
)  # fmt: skip
def test_owners_of_files(image: FileTree, owner: str, expected: tuple[int, int]) -> None:
    assert file_owner(image, owner) == expected


@pytest.mark.parametrize(
    "name", ["nobody", "short", "bad", "worse", "huge", "+nis", "# a comment", "APP", "-1", "1x", "4294967295"]
)
def test_users_that_are_not_there(image: FileTree, name: str) -> None:
    for look_up in (process_user, file_owner):
        with pytest.raises(UnknownUser, match="the image has no user") as caught:
            look_up(image, name)
        assert name in caught.value.message
        assert caught.value.hint


@pytest.mark.parametrize("name", ["nobody", "malformed", "also", "bad", "Wheel", "-1"])
def test_groups_that_are_not_there(image: FileTree, name: str) -> None:
    for look_up in (process_user, file_owner):
        with pytest.raises(UnknownUser, match="the image has no group"):
            look_up(image, f"app:{name}")


def test_an_image_without_the_files() -> None:
    empty = FileTree()
    assert process_user(empty, "") == Process(uid=0, gid=0)
    assert process_user(empty, "7:8") == Process(uid=7, gid=8)
    assert file_owner(empty, "7") == (7, 7)
    for name in ("root", "7:root"):
        with pytest.raises(UnknownUser):
            process_user(empty, name)


def test_the_files_behind_links() -> None:
    tree = _image(PASSWD, GROUP)
    tree.put("usr/etc/passwd", tree.entry("etc/passwd"))
    tree.put("etc/passwd", Entry(Kind.SYMLINK, 0o777, link="../../usr/etc/passwd"))
    assert process_user(tree, "app").uid == 1000


def test_files_that_are_none() -> None:
    tree = tree_of({"etc": "d", "etc/passwd": "d", "etc/group": "l>nowhere"})
    assert process_user(tree, "0") == Process(uid=0, gid=0)
    with pytest.raises(UnknownUser):
        process_user(tree, "root")


def test_names_that_are_no_utf8() -> None:
    tree = _image("caf\udce9:x:5:6::/home/caf\udce9:\n", None)
    assert process_user(tree, "caf\udce9") == Process(uid=5, gid=6, home="/home/caf\udce9")
