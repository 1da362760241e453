"""Build checks, grouped by what they look at; `builder.dockerfile.lint` runs them."""
