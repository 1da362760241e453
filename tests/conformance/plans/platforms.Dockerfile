FROM --platform=$BUILDPLATFORM scratch AS build
ARG TARGETPLATFORM
LABEL for=$TARGETPLATFORM
FROM --platform=linux/s390x platforms
COPY --from=build / /
