import os

from fastapi import FastAPI
from mcp.client.streamable_http import streamablehttp_client

app = FastAPI()
URL = os.environ["NOTES_MCP_URL"]


@app.post("/ask")
async def ask():
    async with streamablehttp_client(URL) as streams:
        return {}
