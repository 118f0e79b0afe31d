FROM debian:bookworm-slim AS build
WORKDIR /src
{{SYSTEM_BUILD}}
COPY . .
RUN {{BUILD}} && \
    install -D {{PROGRAM}} /out/{{NAME}}

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
