"""What routes may ask for."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlmodel import Session

from app.config import Settings


def _settings(request: Request) -> Settings:
    return request.app.state.settings


def _engine(request: Request) -> Engine:
    return request.app.state.engine


AppSettings = Annotated[Settings, Depends(_settings)]
DatabaseEngine = Annotated[Engine, Depends(_engine)]


def _session(engine: DatabaseEngine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


DatabaseSession = Annotated[Session, Depends(_session)]
