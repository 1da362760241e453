FROM scratch AS parent
ONBUILD COPY --from=source a /a
ONBUILD ENV X=1
FROM scratch AS source
FROM parent
LABEL x=$X
