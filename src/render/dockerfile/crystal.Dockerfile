FROM crystallang/crystal:{{VERSION}}-alpine AS build
WORKDIR /src
COPY shard.* ./
RUN shards install --production
COPY . .
RUN shards build --production --release --static --no-debug {{NAME}} && \
    install -D {{PROGRAM}} /out/{{NAME}} && \
    # Pages and templates stay beside the program.
    find . -maxdepth 1 -type d \( -name public -o -name views \) -exec cp -R {} /out/ \;

FROM scratch AS runtime
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
