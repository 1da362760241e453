"""Changes: what an instruction did to a tree, by path."""

from __future__ import annotations

from collections.abc import Mapping

from builder.layer.entry import Entry

Changes = Mapping[str, Entry | None]
"""Path to the entry that is there now, or None where something was removed.

Where an entry that is no directory takes the place of a directory, or the other way round, what was there before is
gone with all below it. Hardlinks are one Entry object under several paths.
"""
