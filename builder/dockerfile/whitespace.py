"""What counts as white space in a Dockerfile: Unicode's White_Space, which is less than `str.isspace` takes."""

from __future__ import annotations

import re

WHITESPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
BLANKS = re.compile(r"[\t\v\f\r ]+")
"""What separates an instruction from its arguments, and plain arguments from each other."""


def is_space(character: str) -> bool:
    return character in WHITESPACE
