import os
import time

import redis

queue = redis.Redis.from_url(os.environ["REDIS_URL"])

while True:
    try:
        if queue.blpop(["work"], timeout=5):
            queue.incr("done")
    except redis.ConnectionError as error:
        print("waiting for the queue:", error, flush=True)
        time.sleep(2)
