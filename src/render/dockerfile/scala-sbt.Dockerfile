FROM maven:3.9-eclipse-temurin-{{VERSION}} AS build
WORKDIR /src
RUN --mount=type=cache,target=/root/.m2,sharing=locked \
    mvn -B -q dependency:copy -Dartifact=org.scala-sbt:sbt-launch:1.11.7 -Dmdep.stripVersion=true -DoutputDirectory=/opt/sbt
COPY . .
RUN --mount=type=cache,target=/root/.sbt,sharing=locked \
    --mount=type=cache,target=/root/.cache/coursier,sharing=locked \
    java -jar /opt/sbt/sbt-launch.jar stage && \
    cp -R target/universal/stage /out

FROM eclipse-temurin:{{VERSION}}-jre AS runtime
{{LABELS}}
ENV HOME=/tmp \
    JAVA_OPTS=-XX:MaxRAMPercentage=75
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
