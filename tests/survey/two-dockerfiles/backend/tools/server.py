import os

from mcp.server.fastmcp import FastMCP

server = FastMCP("tools", host="0.0.0.0", port=int(os.getenv("TOOLS_PORT", "8001")))


@server.tool()
def add(a: int, b: int) -> int:
    return a + b


if __name__ == "__main__":
    server.run(transport="streamable-http")
