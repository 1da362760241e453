"""A renderer for what is asked in passing: small transfers are not told."""

from __future__ import annotations

from dataclasses import dataclass

from builder.cli.render.sink import Renderer
from builder.progress import Event, Transfer

_SMALL = 64 * 1024


@dataclass(frozen=True, slots=True)
class Discreet:
    """Passes everything on but transfers of less than 64 KiB: the records that a cache is asked for at each step."""

    renderer: Renderer

    def emit(self, event: Event, /) -> None:
        if not isinstance(event, Transfer) or (event.total or 0) >= _SMALL:
            self.renderer.emit(event)

    def error(self, message: str, hint: str | None) -> None:
        self.renderer.error(message, hint)

    def close(self) -> None:
        self.renderer.close()
