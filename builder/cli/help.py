"""The text of ``--help``, at most 100 columns wide."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from builder.cli.flags import Flag

_COLUMN = 36
_WIDTH = 98

COMMANDS = {
    "build": "Build an image from a Dockerfile (what happens when no command is named).",
    "push": "Push a docker archive or an OCI layout.",
    "login": "Store credentials for a registry.",
    "warm": "Fetch base images into a cache directory.",
    "manifest": "Create, push and inspect multi-platform indexes.",
    "prune": "Remove what no build needs any more from the state directory.",
    "du": "Tell what the state directory holds.",
    "version": "Print the version.",
    "help": "Show the help of a command.",
}
_USAGE = {
    "build": "builder [build] [--context SOURCE] --destination IMAGE [flags]",
    "login": "builder login REGISTRY --username NAME --password-stdin [flags]",
    "push": "builder push PATH[:NAME] --destination IMAGE [flags]",
    "warm": "builder warm --image IMAGE [--cache-dir DIR] [flags]",
    "prune": "builder prune [--all] [--keep-storage SIZE] [--filter until=AGE] [flags]",
    "du": "builder du [flags]",
    "manifest create": "builder manifest create IMAGE CHILD[=OS/ARCH[/VARIANT]]... [--amend] [flags]",
    "manifest push": "builder manifest push from-args --platforms LIST --template NAME --target IMAGE [flags]\n"
    "       builder manifest push from-spec FILE.yaml [flags]",
    "manifest inspect": "builder manifest inspect IMAGE [--raw] [flags]",
}


def usage(command: str) -> str:
    """How a command is written."""
    return _USAGE[command]


def overview() -> str:
    """What ``builder help`` says before the flags of ``build``."""
    lines = ["A Dockerfile to an OCI image, with no daemon and no privileges.", "", "Commands:"]
    return "\n".join([*lines, *(_entry(f"  {name}", text) for name, text in COMMANDS.items())]) + "\n"


def command_help(command: str, flags: Sequence[Flag]) -> str:
    """The usage and the flags of one command, by group."""
    blocks = [f"Usage: {_USAGE[command]}\n"]
    for title in dict.fromkeys(flag.group for flag in flags):
        rows = [_entry(_spelling(flag), _text(flag)) for flag in flags if flag.group == title and flag.help]
        blocks.append("\n".join([f"{title}:", *rows]) + "\n")
    return "\n".join(blocks)


def _spelling(flag: Flag) -> str:
    short = f"-{flag.short}, " if flag.short else "    "
    return f"  {short}--{flag.name}" + (f" {flag.metavar}" if flag.metavar else "")


def _text(flag: Flag) -> str:
    notes = []
    if flag.default and flag.kind != "duration":
        notes.append(f"default: {str(flag.default).lower() if flag.kind == 'boolean' else flag.default}")
    if flag.kind == "duration":
        notes.append(f"default: {int(flag.default) // (3600 * 10**9)}h")  # type: ignore[arg-type]
    notes += ["repeatable"] if flag.kind == "repeatable" else []
    notes += [f"${flag.environment}"] if flag.environment else []
    notes += ["not supported yet"] if flag.status == "later" else []
    return flag.help + (f" ({', '.join(notes)})" if notes else "")


def _entry(left: str, text: str) -> str:
    indent = " " * _COLUMN
    separate = len(left) > _COLUMN - 2
    lines = textwrap.wrap(text, _WIDTH - _COLUMN, break_on_hyphens=False)
    if not separate:
        lines[0] = left.ljust(_COLUMN) + lines[0]
    return "\n".join([*([left] if separate else [lines.pop(0)]), *(indent + line for line in lines)])
