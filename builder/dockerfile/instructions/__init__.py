"""The instructions, a module for each kind: their text to the classes of builder.dockerfile.syntax."""
