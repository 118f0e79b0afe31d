import os

from fastapi import FastAPI
from sqlalchemy import create_engine, text

engine = create_engine(os.environ.get("DATABASE_URL", "sqlite:///./notes.db"))
app = FastAPI()


@app.on_event("startup")
def prepare() -> None:
    with engine.begin() as connection:
        connection.execute(text("create table if not exists notes (words text)"))


@app.get("/")
def edition() -> str:
    return "first edition"


@app.get("/add")
def add() -> dict[str, int]:
    with engine.begin() as connection:
        connection.execute(text("insert into notes values ('a note')"))
        return {"notes": connection.execute(text("select count(*) from notes")).scalar_one()}


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
