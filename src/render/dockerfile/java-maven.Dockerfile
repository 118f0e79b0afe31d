FROM maven:3.9-eclipse-temurin-{{VERSION}} AS build
WORKDIR /src
COPY pom.xml ./
RUN --mount=type=cache,target=/root/.m2,sharing=locked \
    mvn -B -q dependency:go-offline
COPY . .
RUN --mount=type=cache,target=/root/.m2,sharing=locked \
    mvn -B -q -DskipTests {{GOALS}} && \
    {{PACK}}
{{LAYERS}}

FROM eclipse-temurin:{{VERSION}}-jre AS runtime
{{LABELS}}
ENV HOME=/tmp
{{SETTINGS}}
WORKDIR /app
COPY --from=build /out/dependencies/ ./
COPY --from=build /out/application/ ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
