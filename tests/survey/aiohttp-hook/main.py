import os

from aiohttp import web

SECRET = os.getenv("HOOK_SECRET")
if not SECRET:
    raise SystemExit("HOOK_SECRET is missing")


async def healthz(request):
    return web.Response(text="ok")


app = web.Application()
app.router.add_get("/healthz", healthz)

if __name__ == "__main__":
    web.run_app(app, host="0.0.0.0", port=8600)
