FROM ghcr.io/gleam-lang/gleam:v{{VERSION}}-erlang-alpine AS build
WORKDIR /src
COPY gleam.toml manifest.toml* ./
RUN gleam deps download
COPY . .
RUN gleam export erlang-shipment && \
    mkdir -p /out/build && cp -R build/erlang-shipment /out/build/

FROM erlang:28-alpine AS runtime
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
