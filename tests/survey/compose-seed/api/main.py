import os

import psycopg
from fastapi import FastAPI

app = FastAPI()


@app.get("/notes")
def notes() -> list[str]:
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        return [text for (text,) in connection.execute("select text from notes")]


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "ok"}
