"""`python -m todo_mcp`: connect to the database, then serve until SIGTERM."""

import logging

import uvicorn

from todo_mcp.config import load_settings
from todo_mcp.database import DatabaseUnavailable, connect, prepare
from todo_mcp.server import build_app


def main() -> None:
    settings = load_settings()
    logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")

    engine = connect(settings.database)
    try:
        prepare(engine)
    except DatabaseUnavailable as error:
        raise SystemExit(str(error)) from None

    uvicorn.run(
        build_app(engine, settings.hosts),
        host="0.0.0.0",
        port=settings.port,
        log_level=settings.log_level,
        # A client may hold a stream open for as long as it likes.
        timeout_graceful_shutdown=1,
    )


if __name__ == "__main__":
    main()
