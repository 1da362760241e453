"""COPY and ADD upon the FileTree: what ends up where, with which owner and mode."""
