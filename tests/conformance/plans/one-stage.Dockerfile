FROM busybox
# a comment
ENV A=1 \
    B=two
RUN echo $A
COPY "a" $B /${A}/
EXPOSE 80 81/udp
CMD ["echo", "$A"]
