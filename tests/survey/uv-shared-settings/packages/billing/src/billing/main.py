from fastapi import FastAPI

from billing_core.settings import get_settings

app = FastAPI()


@app.get("/health")
def health():
    return {"invoices": get_settings().currency}
