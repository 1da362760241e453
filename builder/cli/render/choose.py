"""Which renderer the flags and the terminal ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from builder.cli.options import MessageOptions
from builder.cli.redaction import Redactor
from builder.cli.render.sink import Renderer, Sink


def choose(options: MessageOptions, stream: TextIO, redact: Redactor, environment: Mapping[str, str]) -> Renderer:
    """``--log-format=json`` and ``--progress=json`` give JSON; a terminal an updating display, unless
    ``--progress=plain`` or ``--log-format=text``; everything else lines of text, coloured on a terminal (NO_COLOR is
    honoured) or by ``--log-format=color``.
    """
    sink = Sink(stream, redact)
    if options.progress == "json" or options.log_format == "json":
        from builder.cli.render.json_lines import JsonRenderer

        return JsonRenderer(sink, options.verbosity)
    from builder.cli.render.plain import PlainRenderer, Style

    terminal = sink.is_terminal
    automatic = terminal and not environment.get("NO_COLOR")
    color = options.log_format == "color" or (options.log_format is None and automatic)
    style = Style(color=color, timestamps=options.log_timestamp)
    if terminal and (options.progress == "tty" or (options.progress == "auto" and options.log_format != "text")):
        from builder.cli.render.tty import TerminalRenderer

        return TerminalRenderer(sink, options.verbosity, style)
    return PlainRenderer(sink, options.verbosity, style)
