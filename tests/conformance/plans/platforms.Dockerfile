FROM --platform=$BUILDPLATFORM scratch AS build
ARG TARGETPLATFORM
LABEL for=$TARGETPLATFORM
FROM --platform=linux/s390x scratch
COPY --from=build / /
