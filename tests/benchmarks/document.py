"""Parts of a page that a program writes, between markers: ``<!-- begin: NAME -->`` and ``<!-- end: NAME -->``."""

from __future__ import annotations

import re
from pathlib import Path


def replace_section(page: Path, name: str, text: str) -> None:
    """Put `text` between the markers of `name`. Raises ValueError if the page has no such markers."""
    begin, end = f"<!-- begin: {name} -->", f"<!-- end: {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    content = page.read_text()
    if not pattern.search(content):
        raise ValueError(f"{page} has no markers for {name}")
    page.write_text(pattern.sub(lambda _: f"{begin}\n{text}\n{end}", content))
