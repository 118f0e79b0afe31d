from fastapi import FastAPI

from mcp_tools.tasks import add_task

app = FastAPI()


@app.post("/tools/add_task")
def call(body: dict):
    return add_task(**body)
