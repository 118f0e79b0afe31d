FROM rust:{{VERSION}}-slim-bookworm AS build
WORKDIR /src
{{SYSTEM_BUILD}}
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release {{LOCKED}}{{PACKAGE}}--bin {{BINARY}} && \
    mkdir /out && cp target/release/{{BINARY}} /out/server

FROM debian:bookworm-slim AS runtime
{{LABELS}}
{{SYSTEM_RUN}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/server ./server
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
