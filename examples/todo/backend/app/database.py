"""The engine, and what start-up and readiness ask of it."""

import logging
import time

from sqlalchemy import URL, Engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlmodel import Session, SQLModel, create_engine

log = logging.getLogger(__name__)

ATTEMPTS = 3
PAUSE_SECONDS = 1.0

# Any constant works, as long as every service that creates tables uses the same one.
SCHEMA_LOCK = 7_461_001


class DatabaseUnavailable(Exception):
    """The database did not answer within the attempts that start-up allows."""


def connect(url: URL) -> Engine:
    is_postgres = url.get_backend_name() == "postgresql"
    # libpq's own timeout; without it a host that drops packets blocks for minutes.
    return create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 2} if is_postgres else {})


def prepare(engine: Engine) -> None:
    """Creates the missing tables. Gives up early: restarting is the orchestrator's business."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return _create_tables(engine)
        except OperationalError as error:
            problem = error.orig
            log.error("database at %s: attempt %d of %d: %s", place(engine.url), attempt, ATTEMPTS, problem)
        if attempt < ATTEMPTS:
            time.sleep(PAUSE_SECONDS)
    raise DatabaseUnavailable(f"cannot connect to the database at {place(engine.url)}: {problem}")


def is_reachable(engine: Engine) -> bool:
    try:
        with Session(engine) as session:
            session.execute(text("SELECT 1"))
        return True
    except SQLAlchemyError as error:
        log.warning("database at %s is not reachable: %s", place(engine.url), error)
        return False


def place(url: URL) -> str:
    """Host and database, never the credentials."""
    if not url.host:
        return url.database or "memory"
    return f"{url.host}:{url.port or 5432}/{url.database}"


def _create_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            # Two pods that start together would both find a table missing and both create it.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": SCHEMA_LOCK})
        SQLModel.metadata.create_all(connection)
