import os

from fastapi import FastAPI

app = FastAPI()
LEDGER = os.environ["LEDGER_URL"]


@app.get("/livez")
def livez():
    return {}
