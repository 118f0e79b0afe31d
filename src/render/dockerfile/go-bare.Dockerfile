FROM golang:{{VERSION}}-bookworm AS build
ENV CGO_ENABLED={{CGO}}
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod,sharing=locked \
    --mount=type=cache,target=/root/.cache/go-build,sharing=locked \
    # Nothing pins what it needs: the newest of each package is taken.
    go mod init service && go mod tidy && \
    go build -mod=mod -trimpath -ldflags "-s -w" -o /out/server {{PACKAGE}} && \
    find . -type f \( -name '*.go' -o -name 'go.*' -o -name '*.md' -o -name Makefile \) -delete && \
    find . -mindepth 1 -type d -empty -delete

FROM {{RUNTIME}} AS runtime
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src ./
COPY --from=build /out/server ./server
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
