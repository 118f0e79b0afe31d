import os

import psycopg

if __name__ == "__main__":
    with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
        connection.execute("create table if not exists notes (text text)")
        connection.execute("insert into notes values ('first')")
