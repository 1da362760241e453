"""builder: a Dockerfile to an OCI image, with no daemon and no privileges."""

__version__ = "0.1.0"
