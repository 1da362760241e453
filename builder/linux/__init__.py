"""System calls and kernel interfaces that Python's os module lacks."""
