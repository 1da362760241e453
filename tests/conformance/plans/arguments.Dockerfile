ARG IMAGE=scratch
ARG V=global
FROM $IMAGE AS one
ARG V
ARG W=${V}-w
ENV V=env
LABEL v=$V w=$W
FROM one
LABEL v=$V w=$W
ARG V=again
LABEL v=$V
