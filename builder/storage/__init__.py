"""Blobs by digest and the on-disk forms of images."""
