"""The application that uvicorn serves."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.middleware.cors import CORSMiddleware

from app.config import load_settings
from app.database import connect, prepare
from app.routes import auth, chat, health, tasks

settings = load_settings()
logging.basicConfig(level=settings.log_level.upper(), format="%(levelname)s %(name)s: %(message)s")


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    engine = connect(settings.database)
    await run_in_threadpool(prepare, engine)
    app.state.engine = engine
    yield
    engine.dispose()


app = FastAPI(title="Todo API", lifespan=lifespan)
app.state.settings = settings

if settings.allowed_origins:
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.allowed_origins,
        allow_methods=["*"],
        allow_headers=["Authorization", "Content-Type"],
    )

for routes in (health, auth, tasks, chat):
    app.include_router(routes.router)
