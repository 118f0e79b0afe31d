FROM {{NODE_IMAGE}} AS base
ENV PATH=/app/node_modules/.bin:$PATH
WORKDIR /app

FROM base AS production
{{TOOL}}
COPY {{MANIFESTS}} ./
RUN --mount=type=cache,target={{CACHE}},sharing=locked \
    {{INSTALL_PRODUCTION}} && mkdir -p node_modules

FROM base AS runtime
{{LABELS}}
ENV HOME=/tmp \
    NODE_ENV=production
COPY --from=production /app/node_modules ./node_modules
COPY . .
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
