FROM scratch AS one
ENV V=env
ARG V=arg
LABEL v=$V
FROM one
LABEL v=$V
