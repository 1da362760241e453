"""``builder prune`` and ``builder du``: what the state directory holds, and what of it can go."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from builder.cache.garbage import Policy
from builder.cache.inventory import KINDS, STARTED, Item, Kind
from builder.cli.arguments import Arguments
from builder.cli.option_values import choice, pairs
from builder.cli.read_options import state_dir
from builder.cli.session import Session
from builder.cli.sizes import age, shown, size
from builder.errors import UsageError
from builder.progress import log

_NAMES: dict[Kind, str] = {
    "blobs": "blobs",
    "layers": "unpacked layers",
    "records": "cache records",
    "mounts": "cache mounts",
    "scratch": "scratch",
}


def prune(session: Session) -> int:
    """Remove what the session's arguments say. Raises UsageError, StorageError."""
    from builder.cache.garbage import collect
    from builder.engine.services import scratch_directory

    _no_positional(session.arguments)
    policy = prune_policy(session.arguments)
    state = state_dir(session.arguments, session.environment)
    if not state.is_dir():
        print("Total reclaimed space: 0B", flush=True)
        return 0
    own_all_files(session)
    with scratch_directory(state) as scratch:
        collected = collect(state, scratch, policy, os.stat(scratch / STARTED).st_mtime, session.progress)
    log(session.progress, "info", f"removed {collected.count} things from {state}")
    print(f"Total reclaimed space: {shown(collected.size)}", flush=True)
    return 0


def du(session: Session) -> int:
    """Print how much of what there is. Raises UsageError, StorageError."""
    from builder.cache.inventory import take_inventory
    from builder.engine.services import scratch_directory

    _no_positional(session.arguments)
    form = choice("format", session.arguments.text("format"), ("table", "json"))
    state = state_dir(session.arguments, session.environment)
    items: tuple[Item, ...] = ()
    if state.is_dir():
        own_all_files(session)
        with scratch_directory(state) as scratch:
            found = take_inventory(state, os.stat(scratch / STARTED).st_mtime)
            items = tuple(item for item in found.items if item.path != scratch)
    print(_json(items, state) if form == "json" else table(items), flush=True)
    return 0


def prune_policy(arguments: Arguments) -> Policy:
    """Raises UsageError."""
    keep, older = arguments.text("keep-storage"), arguments.text("older-than")
    filters = pairs("filter", arguments.many("filter"))
    for name in filters:
        choice("filter", name, ("until",))
    if older and filters:
        raise UsageError("--older-than and --filter until= are the same; use one of them")
    until = filters.get("until", older)
    return Policy(
        everything=arguments.switch("all"),
        keep=size(keep, "--keep-storage") if keep else None,
        older_than=age(until, "--filter until" if filters else "--older-than") if until else None,
    )


def own_all_files(session: Session) -> None:
    """Enter the user namespace whose ids the unpacked files belong to. Where there is none, they have no other ids."""
    from builder.isolation import user_namespace

    wanted = user_namespace.plan()
    if wanted.how in ("none", "single"):
        return
    with suppress(OSError):
        user_namespace.probe(wanted)
        explanation = user_namespace.enter(wanted).explanation
        if explanation:
            log(session.progress, "debug", explanation)


def table(items: Iterable[Item]) -> str:
    """One line a kind: how many, how large, and how much of it running builds may use."""
    rows = [("KIND", "COUNT", "SIZE", "IN USE"), *_rows(items)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _rows(items: Iterable[Item]) -> Iterable[tuple[str, str, str, str]]:
    by_kind = {kind: [item for item in items if item.kind == kind] for kind in KINDS}
    for kind, found in by_kind.items():
        yield _NAMES[kind], str(_count(found)), shown(_size(found)), shown(_size(each for each in found if each.in_use))
    everything = [item for found in by_kind.values() for item in found]
    in_use = _size(each for each in everything if each.in_use)
    yield "total", str(_count(everything)), shown(_size(everything)), shown(in_use)


def _count(items: Iterable[Item]) -> int:
    return sum(1 + len(item.records) for item in items)


def _size(items: Iterable[Item]) -> int:
    return sum(item.size for item in items)


def _json(items: Iterable[Item], state: Path) -> str:
    import json

    rows = [
        {
            "kind": item.kind,
            "path": str(item.path.relative_to(state)),
            "size": item.size,
            "last_used": int(item.last_used),
            "in_use": item.in_use,
        }
        for item in items
    ]
    return json.dumps(rows, indent=1)


def _no_positional(arguments: Arguments) -> None:
    if arguments.positional:
        raise UsageError(f"unexpected argument {arguments.positional[0]!r}")
