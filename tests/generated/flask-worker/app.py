import os

import redis
from flask import Flask

app = Flask(__name__)
queue = redis.Redis.from_url(os.environ["REDIS_URL"])


@app.get("/health")
def health():
    return {"status": "ok"}


@app.get("/")
def hello():
    queue.rpush("work", "one")
    return {"done": int(queue.get("done") or 0)}
