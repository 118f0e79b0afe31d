"""The todo list as MCP tools over streamable HTTP."""
