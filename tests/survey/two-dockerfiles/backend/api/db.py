import os

import psycopg

URL = os.environ["DATABASE_URL"]
