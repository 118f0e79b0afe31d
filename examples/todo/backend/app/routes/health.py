"""Liveness asks nothing of anybody; readiness asks the database."""

from fastapi import APIRouter, Response, status

from app.database import is_reachable
from app.dependencies import DatabaseEngine

router = APIRouter(tags=["health"])


@router.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@router.get("/ready")
def ready(engine: DatabaseEngine, response: Response) -> dict[str, str]:
    if is_reachable(engine):
        return {"status": "ready", "database": "reachable"}
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return {"status": "not ready", "database": "unreachable"}
