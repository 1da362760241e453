FROM busybox AS first
RUN echo 1
FROM first AS second
RUN echo 2
FROM second AS third
RUN echo 3
