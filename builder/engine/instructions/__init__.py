"""One module for each family of instructions."""
