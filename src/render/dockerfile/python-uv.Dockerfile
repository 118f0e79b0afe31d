FROM python:{{VERSION}}-slim AS base
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /app

FROM base AS build
ENV UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_PYTHON=/usr/local/bin/python \
    UV_PYTHON_DOWNLOADS=0
{{SYSTEM_BUILD}}
RUN --mount=type=cache,target=/root/.cache/pip,sharing=locked \
    python -m venv /opt/uv && /opt/uv/bin/pip install uv=={{UV}}
{{MANIFESTS}}
RUN --mount=type=cache,target=/root/.cache/uv,sharing=locked \
    {{SECRETS}}/opt/uv/bin/uv sync {{LOCKED}}--no-dev --no-install-project
COPY . .
RUN --mount=type=cache,target=/root/.cache/uv,sharing=locked \
    {{SECRETS}}/opt/uv/bin/uv sync {{LOCKED}}--no-dev

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
