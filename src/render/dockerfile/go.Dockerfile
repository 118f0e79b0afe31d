FROM golang:{{VERSION}}-bookworm AS build
ENV CGO_ENABLED=0
WORKDIR /src
COPY {{MANIFESTS}} ./
RUN --mount=type=cache,target=/go/pkg/mod,sharing=locked \
    go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod,sharing=locked \
    --mount=type=cache,target=/root/.cache/go-build,sharing=locked \
    go build -trimpath -ldflags "-s -w" -o /out/server {{PACKAGE}}

FROM scratch AS runtime
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src ./
COPY --from=build /out/server ./server
USER 10001:10001
{{EXPOSE}}
CMD {{COMMAND}}
