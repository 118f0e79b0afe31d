import os

import pymysql
from decouple import config
from flask import Flask

app = Flask(__name__)
DB = config("DATABASE_URL")
LIMIT = config("PAGE_LIMIT", default=20, cast=int)


def setting(name, default=None):
    return os.environ.get(name, default)


SENTRY = setting("SENTRY_DSN")


@app.route("/ping")
def ping():
    return "pong"
