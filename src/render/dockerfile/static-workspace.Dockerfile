FROM {{NODE_IMAGE}} AS base
ENV PATH={{WORKDIR}}/node_modules/.bin:/app/node_modules/.bin:$PATH
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

FROM deps AS build
{{ARGUMENTS}}
COPY . .
WORKDIR {{WORKDIR}}
RUN {{BUILD}}

FROM nginx:stable AS runtime
{{LABELS}}
WORKDIR /srv/www
COPY {{SERVER}} /etc/nginx/landfall.conf
COPY --from=build {{WORKDIR}}/{{SITE}} ./
USER 10001:10001
{{EXPOSE}}
STOPSIGNAL SIGQUIT
{{HEALTHCHECK}}
CMD {{COMMAND}}
