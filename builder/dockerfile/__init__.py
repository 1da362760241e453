"""The Dockerfile front end: text to syntax tree to stage graph."""
