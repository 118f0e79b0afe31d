FROM elixir:{{VERSION}}-slim AS build
ENV MIX_ENV=prod
WORKDIR /src
{{SYSTEM_BUILD}}
RUN mix local.hex --force && mix local.rebar --force
COPY mix.exs mix.lock* ./
{{DEPENDENCIES}}
COPY . .
{{ASSETS}}
RUN mix release --path /out

FROM elixir:{{VERSION}}-slim AS runtime
{{LABELS}}
ENV HOME=/tmp \
    LANG=C.UTF-8 \
    PHX_SERVER=true \
    PORT={{PORT}} \
    RELEASE_DISTRIBUTION=none \
    RELEASE_TMP=/tmp
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
