FROM mcr.microsoft.com/dotnet/sdk:{{VERSION}} AS build
ENV DOTNET_CLI_TELEMETRY_OPTOUT=1
WORKDIR /src
COPY *.??proj *.props* *.targets* [Nn]u[Gg]et.[Cc]onfig* global.json* packages.lock.json* ./
RUN --mount=type=cache,target=/root/.nuget/packages,sharing=locked \
    dotnet restore{{PROJECT}}
COPY . .
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
