FROM python:{{VERSION}}-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app

FROM base AS build
ENV POETRY_NO_INTERACTION=1 \
    VIRTUAL_ENV=/opt/venv
{{SYSTEM_BUILD}}
RUN --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    python -m venv /opt/venv && \
    /usr/local/bin/python -m venv /opt/poetry && \
    /opt/poetry/bin/pip install poetry=={{POETRY}}
{{MANIFESTS}}
RUN --mount=type=cache,target=/root/.cache/pypoetry,sharing=locked \
    {{SECRETS}}/opt/poetry/bin/poetry install --only main --no-root

FROM base AS runtime
{{LABELS}}
{{SYSTEM_RUN}}
ENV HOME=/tmp \
    USER=app
COPY --from=build /opt/venv /opt/venv
COPY . .
{{ASSETS}}
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
