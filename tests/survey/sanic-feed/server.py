import os

from sanic import Sanic, text

app = Sanic("feed")


@app.get("/ping")
async def ping(request):
    return text("pong")


if __name__ == "__main__":
    app.run(host="0.0.0.0", port=int(os.getenv("FEED_PORT", "9100")))
