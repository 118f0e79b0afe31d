# A project is built with others of its repository. What a restore reads of them: a change of anything else restores nothing again.
FROM mcr.microsoft.com/dotnet/sdk:{{VERSION}} AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name '*.??proj' ! -name '*.props' ! -name '*.targets' ! -iname 'nuget.config' ! -name 'global.json' ! -name 'packages.lock.json' -delete && \
    find . -mindepth 1 -type d -empty -delete

FROM mcr.microsoft.com/dotnet/sdk:{{VERSION}} AS build
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1
WORKDIR /src
COPY --from=manifests /src ./
WORKDIR /src/{{MEMBER}}
RUN --mount=type=cache,target=/root/.nuget/packages,sharing=locked \
    dotnet restore{{PROJECT}}
COPY . /src/
RUN --mount=type=cache,target=/root/.nuget/packages,sharing=locked \
    dotnet publish{{PROJECT}} --configuration Release --no-restore --output /out -p:UseAppHost=false

FROM mcr.microsoft.com/dotnet/{{RUNTIME}}:{{VERSION}} AS runtime
{{LABELS}}
ENV {{LISTEN}} \
    DOTNET_EnableDiagnostics=0 \
    HOME=/tmp
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
