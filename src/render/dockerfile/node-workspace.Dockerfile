FROM {{NODE_IMAGE}} AS base
ENV NEXT_TELEMETRY_DISABLED=1 \
    PATH={{WORKDIR}}/node_modules/.bin:/app/node_modules/.bin:$PATH
WORKDIR /app

# One lockfile serves several packages. What an installation reads of them: a change of anything else installs nothing again.
FROM base AS manifests
COPY . .
RUN {{KEEP_MANIFESTS}}

FROM base AS deps
{{TOOL}}
COPY --from=manifests /app ./
RUN --mount=type=cache,target={{CACHE}},sharing=locked \
    {{INSTALL}}

FROM base AS production
{{TOOL}}
COPY --from=manifests /app ./
RUN --mount=type=cache,target={{CACHE}},sharing=locked \
    {{INSTALL_MEMBER}}

FROM deps AS build
{{ARGUMENTS}}
COPY . .
WORKDIR {{WORKDIR}}
{{RUN_BUILD}}
WORKDIR /app
RUN {{LEAVE}}

FROM base AS runtime
{{LABELS}}
ENV HOME=/tmp \
    NODE_ENV=production
COPY --from=production /app ./
COPY --from=build /app ./
WORKDIR {{WORKDIR}}
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
