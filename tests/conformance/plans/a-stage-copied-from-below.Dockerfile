FROM busybox AS early
COPY --from=late /x /y
FROM busybox AS late
RUN echo x > /x
FROM early
