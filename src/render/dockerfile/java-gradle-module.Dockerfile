FROM gradle:{{GRADLE}}-jdk{{VERSION}} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/home/gradle/.gradle/caches,sharing=locked \
    gradle --no-daemon -q --project-dir {{MEMBER}} {{TASK}} && \
    {{PACK}}
{{LAYERS}}

FROM eclipse-temurin:{{VERSION}}-jre AS runtime
{{LABELS}}
ENV HOME=/tmp{{SETTINGS}}
WORKDIR /app
COPY --from=build /out/dependencies/ ./
COPY --from=build /out/application/ ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
