"""A stage's root filesystem, as metadata and as real files."""
