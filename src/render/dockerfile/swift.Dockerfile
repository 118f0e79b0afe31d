FROM swift:{{VERSION}} AS build
WORKDIR /src
COPY Package.* ./
RUN --mount=type=cache,target=/src/.build,sharing=locked \
    swift package resolve
COPY . .
RUN --mount=type=cache,target=/src/.build,sharing=locked \
    swift build -c release --product {{NAME}} && \
    install -D .build/release/{{NAME}} /out/{{NAME}} && \
    # Pages and templates stay beside the program.
    find .build/release/ -maxdepth 1 -name '*.resources' -exec cp -R {} /out/ \; && \
    find . -maxdepth 1 -type d \( -name Public -o -name Resources \) -exec cp -R {} /out/ \;

FROM swift:{{VERSION}}-slim AS runtime
{{LABELS}}
ENV HOME=/tmp
WORKDIR /app
COPY --from=build /out ./
USER 10001:10001
{{EXPOSE}}
{{HEALTHCHECK}}
CMD {{COMMAND}}
