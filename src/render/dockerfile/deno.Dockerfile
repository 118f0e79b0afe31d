FROM denoland/deno:{{VERSION}} AS base
ENV DENO_DIR=/deno \
    DENO_NO_PROMPT=1 \
    DENO_NO_UPDATE_CHECK=1
WORKDIR /app

FROM base AS build
COPY deno.json* deno.lock* package.json* ./
RUN deno install
COPY . .
RUN deno cache {{ENTRY}}

FROM base AS runtime
{{LABELS}}
ENV HOME=/tmp
COPY --from=build /deno /deno
COPY --from=build /app ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
