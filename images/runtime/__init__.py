"""Makes the directory that the builder runs from in its images: nothing in it needs a file outside of it.

It runs while the image is built, by the Python that it copies, with no more than the standard library.
"""
