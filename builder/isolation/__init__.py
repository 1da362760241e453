"""How a command runs on a root filesystem."""
