from fastapi import APIRouter, Depends

router = APIRouter(prefix="/health")


@router.get("/live")
def live():
    return {"ok": True}


@router.get("/ready")
async def ready(db=Depends(get_db)):
    await db.execute("SELECT 1")
    return {"ok": True}
