FROM ruby:{{VERSION}}-slim AS base
ENV APP_ENV=production \
    BUNDLE_DEPLOYMENT={{LOCKED}} \
    BUNDLE_PATH=/usr/local/bundle \
    BUNDLE_WITHOUT=development:test \
    RACK_ENV=production \
    RAILS_ENV=production \
    RAILS_LOG_TO_STDOUT=1 \
    RAILS_SERVE_STATIC_FILES=1
WORKDIR /app

FROM base AS build
{{SYSTEM_BUILD}}
COPY {{MANIFESTS}} ./
RUN {{INSTALL}}
{{SOURCES}}
{{ASSETS}}

FROM base AS runtime
{{LABELS}}
{{SYSTEM_RUN}}
ENV HOME=/tmp
COPY --from=build /usr/local/bundle /usr/local/bundle
COPY --from=build /app ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
