"""The HTTP application: MCP at /mcp, and the two health routes beside it."""

from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from sqlalchemy import Engine
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse

from todo_mcp.database import is_reachable
from todo_mcp.tools import register_tools

INSTRUCTIONS = "A todo list. Every tool takes the user_id of the person whose tasks it works on."


def build_app(engine: Engine, allowed_hosts: list[str]) -> Starlette:
    server = MCPServer("todo", version="0.1.0", instructions=INSTRUCTIONS)
    register_tools(server, engine)
    _register_health(server, engine)
    return server.streamable_http_app(
        streamable_http_path="/mcp",
        # Any replica may answer any request.
        stateless_http=True,
        transport_security=TransportSecuritySettings(
            enable_dns_rebinding_protection=bool(allowed_hosts),
            allowed_hosts=allowed_hosts,
        ),
    )


def _register_health(server: MCPServer, engine: Engine) -> None:
    @server.custom_route("/health", methods=["GET"])
    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @server.custom_route("/ready", methods=["GET"])
    async def ready(request: Request) -> JSONResponse:
        if await run_in_threadpool(is_reachable, engine):
            return JSONResponse({"status": "ready", "database": "reachable"})
        return JSONResponse({"status": "not ready", "database": "unreachable"}, status_code=503)
