FROM busybox AS tools
RUN make tools
FROM scratch AS files
COPY a /
COPY --from=small /data /data
FROM tools AS unused
RUN false
FROM tools
COPY --from=files /a /b
COPY --from=0 /tools /tools
RUN --mount=from=files,target=/f cat /f/a
