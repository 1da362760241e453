"""Layers and bases that were made before."""
