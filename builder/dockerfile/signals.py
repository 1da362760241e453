"""Names of signals, for STOPSIGNAL (signal(7) on Linux; glibc's real-time signals)."""

from __future__ import annotations

import re

_NAME = re.compile(
    r"ABRT|ALRM|BUS|CHLD|CLD|CONT|FPE|HUP|ILL|INT|IO|IOT|KILL|PIPE|POLL|PROF|PWR|QUIT|SEGV|STKFLT|STOP|SYS|TERM|TRAP"
    r"|TSTP|TTIN|TTOU|URG|USR1|USR2|VTALRM|WINCH|XCPU|XFSZ|RTMIN(?:\+(?:[1-9]|1[0-5]))?|RTMAX(?:-(?:[1-9]|1[0-4]))?"
)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)


def is_signal(text: str) -> bool:
    """Whether `text` names a signal: a number other than 0, or a name with or without SIG in any case."""
    if _NUMBER.fullmatch(text):
        return int(text) != 0
    return _NAME.fullmatch(text.upper().removeprefix("SIG")) is not None
