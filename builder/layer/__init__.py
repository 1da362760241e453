"""Filesystem entries and the tar layers that carry them."""
