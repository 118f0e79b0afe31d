from fastmcp import FastMCP

mcp = FastMCP("notes")


@mcp.tool
def add_note(text: str) -> str:
    return text


if __name__ == "__main__":
    mcp.run(transport="http", host="0.0.0.0", port=9001, path="/tools/mcp")
