FROM node:{{VERSION}}-slim AS base
ENV NEXT_TELEMETRY_DISABLED=1 \
    PATH={{WORKDIR}}/node_modules/.bin:/app/node_modules/.bin:$PATH
WORKDIR /app

# One lockfile serves several packages, which build each other: the whole tree is installed.
FROM base AS build
{{TOOL}}
{{ARGUMENTS}}
COPY . .
RUN --mount=type=cache,target={{CACHE}},sharing=locked \
    {{INSTALL}}
WORKDIR {{WORKDIR}}
{{RUN_BUILD}}

FROM base AS runtime
{{LABELS}}
ENV HOME=/tmp \
    NODE_ENV=production
COPY --from=build /app ./
WORKDIR {{WORKDIR}}
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
