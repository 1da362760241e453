"""Adding up transfers, so that a pull of forty blobs is one line."""

from __future__ import annotations

from dataclasses import dataclass, field

from builder.cli.render import wording
from builder.progress import Transfer


@dataclass(slots=True)
class _Group:
    """Transfers of one action since the last summary; times in seconds of the renderer's clock."""

    started: float
    reported: float
    active: dict[str, Transfer] = field(default_factory=dict)
    ended: int = 0
    avoided: int = 0
    moved: int = 0


class Traffic:
    """Collects Transfer events by action. Not thread-safe: its renderer's lock holds."""

    INTERVAL = 10.0
    """Seconds between lines about transfers that take long."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def add(self, event: Transfer, now: float) -> str | None:
        """Take an event; the line to show if it is time for one."""
        group = self._groups.setdefault(event.action, _Group(now, now))
        if event.note or (event.total is not None and event.done >= event.total and event.what in group.active):
            self._end(group, event)
        elif event.total is None or event.done < event.total or event.done == 0:
            group.active[event.what] = event
        if now - group.reported < self.INTERVAL or not group.active:
            return None
        group.reported = now
        return self._running(event.action, group)

    def running(self) -> list[str]:
        """A line for each action with transfers going on."""
        return [self._running(action, group) for action, group in self._groups.items() if group.active]

    def finished(self, now: float) -> list[str]:
        """A summary of each action that has nothing going on any more; they are forgotten."""
        done = [action for action, group in self._groups.items() if not group.active]
        return [self._summary(action, self._groups.pop(action), now) for action in done]

    def _end(self, group: _Group, event: Transfer) -> None:
        group.active.pop(event.what, None)
        group.ended += 1
        group.avoided += bool(event.note)
        group.moved += 0 if event.note else event.done

    def _running(self, action: str, group: _Group) -> str:
        done = group.moved + sum(each.done for each in group.active.values())
        totals = [each.total for each in group.active.values()]
        known = [total for total in totals if total is not None]
        total = group.moved + sum(known) if len(known) == len(totals) else None
        return wording.running(action, len(group.active), done, total)

    def _summary(self, action: str, group: _Group, now: float) -> str:
        return wording.transfers(action, group.ended, group.moved, group.avoided, now - group.started)
