# One go.work serves several modules. What a download reads of them: a change of anything else downloads nothing again.
FROM golang:{{VERSION}}-bookworm AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name 'go.mod' ! -name 'go.sum' ! -name 'go.work*' -delete && \
    find . -mindepth 1 -type d -empty -delete

FROM golang:{{VERSION}}-bookworm AS build
ENV CGO_ENABLED={{CGO}}
WORKDIR /src
COPY --from=manifests /src ./
RUN --mount=type=cache,target=/go/pkg/mod,sharing=locked \
    go mod download
COPY . .
WORKDIR /src/{{MEMBER}}
RUN --mount=type=cache,target=/go/pkg/mod,sharing=locked \
    --mount=type=cache,target=/root/.cache/go-build,sharing=locked \
    go build -trimpath -ldflags "-s -w" -o /out/server {{PACKAGE}} && \
    # Templates, pages and migrations stay beside the program; its source does not.
    find . -type f \( -name '*.go' -o -name 'go.*' -o -name '*.md' -o -name Makefile \) -delete && \
    find . -mindepth 1 -type d -empty -delete

FROM {{RUNTIME}} AS runtime
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/{{MEMBER}} ./
COPY --from=build /out/server ./server
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
