"""Images from and to OCI-distribution registries."""
