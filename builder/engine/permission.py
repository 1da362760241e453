"""Whether the result may be pushed, asked while the build is being planned."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from builder.image.reference import Reference
from builder.registry.push import Pusher


class AskedPermission:
    """Asks for the permission to push to each repository of `destinations`, in a thread of its own."""

    def __init__(self, pusher: Pusher, destinations: Sequence[Reference]) -> None:
        self._pusher = pusher
        self._repositories = list({each.name: each for each in destinations}.values())
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="push-permission", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for repository in self._repositories:
                self._pusher.check_permission(repository)
        except BaseException as error:
            self._error = error

    def join(self) -> None:
        """Raises RegistryError if the answer is no."""
        self._thread.join()
        if self._error is not None:
            raise self._error
