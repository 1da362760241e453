"""Maps of user and group ids."""

from __future__ import annotations

from pathlib import Path

import pytest

from builder.isolation import idmap
from builder.isolation.idmap import IdMap, IdRange

SUBUID = """
# a comment
other:1000000:65536
name:100000:65536
1000:300000:10
name:400000:5
name:broken
name:-5:10
name:1:0
"""


def test_subordinate_ids_by_name_and_number(tmp_path: Path) -> None:
    file = tmp_path / "subuid"
    file.write_text(SUBUID)
    assert idmap.subordinate(str(file), "name", 1000) == (
        IdRange(1, 100000, 65536),
        IdRange(65537, 300000, 10),
        IdRange(65547, 400000, 5),
    )
    assert idmap.subordinate(str(file), "nobody", 65534) == ()


def test_missing_file_grants_nothing(tmp_path: Path) -> None:
    assert idmap.subordinate(str(tmp_path / "none"), "name", 1000) == ()


@pytest.mark.parametrize(("number", "known"), [(0, True), (1, True), (65536, True), (65537, False), (2**31, False)])
def test_mapped_ids(number: int, known: bool) -> None:
    ids = IdMap(uids=(IdRange(0, 1000, 1), IdRange(1, 100000, 65536)), gids=(IdRange(0, 1000, 1),))
    assert ids.has_uid(number) is known
    assert (ids.single, ids.single_group) == (False, True)
    assert ids.has_gid(number) is (number == 0)


def test_single_map() -> None:
    ids = idmap.single(1000, 1001, explanation="why")
    assert (ids.single, ids.single_group, ids.explanation) == (True, True, "why")
    assert [str(part) for part in ids.uids + ids.gids] == ["0 1000 1", "0 1001 1"]


def test_identity_keeps_what_is_mapped_here() -> None:
    assert idmap.identity((IdRange(0, 1000, 1), IdRange(1, 100000, 65536))) == (IdRange(0, 0, 1), IdRange(1, 1, 65536))


def test_current_map_is_the_kernels() -> None:
    rows = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    assert [[part.inside, part.outside, part.count] for part in idmap.current().uids] == [
        [int(field) for field in row] for row in rows
    ]
