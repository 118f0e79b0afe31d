FROM {{NODE_IMAGE}} AS base
ENV NEXT_TELEMETRY_DISABLED=1 \
    PATH=/app/node_modules/.bin:$PATH
WORKDIR /app

FROM base AS deps
{{TOOL}}
COPY {{MANIFESTS}} ./
RUN --mount=type=cache,target={{CACHE}},sharing=locked \
    {{INSTALL}}

FROM base AS build
{{TOOL}}
{{ARGUMENTS}}
COPY --from=deps /app/node_modules ./node_modules
COPY . .
RUN --mount=type=cache,target=/app/.next/cache,sharing=locked \
    {{BUILD}} && mkdir -p public

FROM base AS runtime
{{LABELS}}
ENV HOME=/tmp \
    HOSTNAME=0.0.0.0 \
    NODE_ENV=production \
    PORT={{PORT}}
COPY --from=build /app/.next/standalone ./
COPY --from=build /app/.next/static ./.next/static
COPY --from=build /app/public ./public
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
