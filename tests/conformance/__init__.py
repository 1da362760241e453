"""The conformance suite: Dockerfiles, each with the image that is right for it. README.md says how to write one."""
