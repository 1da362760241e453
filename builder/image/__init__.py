"""What an image is made of: references, platforms, descriptors, manifests, configs."""
