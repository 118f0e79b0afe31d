FROM maven:3.9-eclipse-temurin-{{VERSION}} AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/root/.m2,sharing=locked \
    mvn -B -q -DskipTests --projects {{MEMBER}} --also-make package && \
    mkdir /out && \
    find {{MEMBER}}/target -maxdepth 1 -name '*.jar' ! -name '*-plain.jar' ! -name '*-sources.jar' ! -name 'original-*.jar' -exec cp {} /out/app.jar \;
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
