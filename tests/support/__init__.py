"""What the tests stand on: a real registry, base images made on the spot, an independent reader of images.

Nothing here uses the builder's own code, so that a mistake there cannot hide itself.
"""
