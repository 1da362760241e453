FROM busybox
ARG V=1
COPY --chmod=600 <<one <<"two" plain /d/
$V
one
$V
two
RUN <<EOF
echo $V
EOF
