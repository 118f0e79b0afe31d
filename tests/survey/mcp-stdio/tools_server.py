from mcp.server.fastmcp import FastMCP

mcp = FastMCP("notes")


@mcp.tool()
def add_note(text: str) -> str:
    return text


@mcp.tool(name="list_notes")
def all_notes() -> list[str]:
    return []


if __name__ == "__main__":
    mcp.run()
