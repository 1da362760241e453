"""Where a build's files come from: the context, the Dockerfile and the .dockerignore."""
