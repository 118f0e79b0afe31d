FROM gradle:8-jdk{{VERSION}} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/home/gradle/.gradle/caches,sharing=locked \
    gradle --no-daemon -q --project-dir {{MEMBER}} assemble && \
    mkdir /out && \
    find {{MEMBER}}/build/libs -maxdepth 1 -name '*.jar' ! -name '*-plain.jar' ! -name '*-sources.jar' -exec cp {} /out/app.jar \;
{{LAYERS}}

FROM eclipse-temurin:{{VERSION}}-jre AS runtime
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
{{COPY_LAYERS}}
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
