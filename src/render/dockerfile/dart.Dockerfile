FROM dart:{{VERSION}} AS build
WORKDIR /src
COPY pubspec.* ./
RUN --mount=type=cache,target=/root/.pub-cache,sharing=locked \
    dart pub get
COPY . .
RUN --mount=type=cache,target=/root/.pub-cache,sharing=locked \
    dart pub get --offline && \
    {{BUILD}} && \
    install -D {{PROGRAM}} /out/{{NAME}}

FROM scratch AS runtime
COPY --from=build /runtime/ /
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
