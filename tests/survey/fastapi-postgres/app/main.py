import os

from fastapi import APIRouter, Depends, FastAPI

from app.health import router as health_router

app = FastAPI()
app.include_router(health_router, prefix="/api/v1")

STRIPE = os.getenv("STRIPE_SECRET_KEY")
if not STRIPE:
    raise RuntimeError("STRIPE_SECRET_KEY is not set")

debug = os.environ.get("DEBUG", "false").lower() == "true"
region = os.environ["REGION"]
