import os
import sys

from agents.mcp import MCPServerStdio
from fastapi import FastAPI

app = FastAPI()
server = MCPServerStdio(params={"command": sys.executable, "args": ["-m", "tools_server"]})


@app.get("/health")
def health():
    return {"status": "ok"}
