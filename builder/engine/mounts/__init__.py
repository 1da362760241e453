"""``RUN --mount``: what a command sees besides its root filesystem, and what never reaches the image."""
