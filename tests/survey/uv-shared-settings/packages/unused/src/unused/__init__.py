import os

TOKEN = os.environ["NOBODY_ASKS_FOR_THIS"]
