FROM haskell:{{VERSION}}-slim AS build
WORKDIR /src
COPY stack.yaml* *.cabal package.yaml* ./
RUN --mount=type=cache,target=/root/.stack,sharing=locked \
    stack build --only-dependencies
COPY . .
RUN --mount=type=cache,target=/root/.stack,sharing=locked \
    stack install --local-bin-path /out

FROM debian:bookworm-slim AS runtime
{{SYSTEM_RUN}}
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
