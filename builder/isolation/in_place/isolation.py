"""The in-place isolation: commands run in the builder's own container."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

from builder.errors import IsolationError
from builder.isolation.base import Output
from builder.isolation.command import Command
from builder.isolation.in_place.credentials import HiddenFiles
from builder.isolation.in_place.devices import cleaned
from builder.isolation.in_place.mounts import EmulatedMounts
from builder.isolation.sandboxed import NamespaceIsolation

_PATIENCE = 15.0
"""Seconds that `close` waits for a command which was cancelled: its mounts are taken away before it is over."""


class InPlaceIsolation:
    """An Isolation (base.py) without namespaces; commands run one at a time.

    Args:
        helper: starts them.
    """

    name = "in-place"

    def __init__(self, helper: NamespaceIsolation, mounts: EmulatedMounts, hidden: HiddenFiles) -> None:
        self._helper, self._mounts, self._hidden = helper, mounts, hidden
        self._turn = threading.Lock()

    def supports_overlay(self, directory: Path) -> bool:
        return False

    def run(self, command: Command, output: Output) -> int:
        if command.network == "none":
            raise IsolationError(
                "--network=none cannot be had in place: the command is in the builder's own network namespace",
                hint="leave it out, or build where --isolation=namespace works",
            )
        with self._turn, self._hidden.hidden(), cleaned("/dev"), self._mounts.made(command.mounts) as secrets:
            return self._helper.run(replace(command, mounts=secrets), output)

    def cancel_all(self) -> None:
        self._helper.cancel_all()

    def resume(self) -> None:
        self._helper.resume()

    def close(self) -> None:
        done = self._turn.acquire(timeout=_PATIENCE)
        self._helper.close()
        if done:
            self._turn.release()
