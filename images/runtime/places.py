"""Paths that are compiled into the C library, its loader and other libraries, and where they lead in the image.

In place, the files of another system are unpacked around the runtime. Nothing of that may be loaded into it: no
library that another loader's cache names, no module of another OpenSSL, no name service of another C library.
"""

from __future__ import annotations

from pathlib import Path

# Beginnings of paths. Both are of the same length, as the text is replaced where it stands.
_MOVED = {
    b"/etc/ld.so.": b"/kaniko/ld.",  # .cache and .preload: files that are not there
    b"/etc/nsswitch.conf": b"/kaniko/nss-config",
    b"/usr/lib/": b"/kaniko//",  # of OpenSSL: /kaniko/ssl is its directory; of all others: nothing is there
    b"/usr/share/": b"/kaniko////",  # names of locales
}
NAME_SERVICES = "nss-config"


def move_places(library: Path) -> None:
    """Replace every path in `library` that begins with one of those above; each is a string after a zero."""
    old = library.read_bytes()
    new = old
    for place, moved in _MOVED.items():
        new = new.replace(b"\0" + place, b"\0" + moved)
    if len(new) != len(old):
        raise RuntimeError(f"{library}: a path was replaced by one of another length")
    if new != old:
        library.write_bytes(new)
