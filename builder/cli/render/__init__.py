"""Renderers: what people and log collectors see of the progress events."""
