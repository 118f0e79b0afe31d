FROM {{NODE_IMAGE}} AS base
ENV PATH=/app/node_modules/.bin:$PATH
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
RUN {{BUILD}}

FROM nginx:stable AS runtime
{{LABELS}}
WORKDIR /srv/www
COPY {{SERVER}} /etc/nginx/landfall.conf
COPY --from=build /app/{{SITE}} ./
USER 10001:10001
{{EXPOSE}}
STOPSIGNAL SIGQUIT
{{HEALTHCHECK}}
CMD {{COMMAND}}
