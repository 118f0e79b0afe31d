import os

from fastapi import FastAPI

from api import db

app = FastAPI()
tools = os.environ["TOOLS_URL"]


@app.get("/health")
def health():
    return {}
