"""A chatbot that deploys: its model calls Landfall's tools, and the person at the keyboard, not the model, agrees to every change.

    pip install -r requirements.txt
    python chatbot.py ~/code/todo                                  # starts landfall itself, over stdio
    python chatbot.py ~/code/todo --url http://127.0.0.1:7878/mcp  # a running `landfall serve --http`
    python chatbot.py ~/code/todo --url http://127.0.0.1:7878/sse  # the same, for older servers and proxies

OPENAI_API_KEY and, for another provider, OPENAI_BASE_URL are read as the SDK reads them; LANDFALL_TOKEN holds the bearer token of a running server.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from agents import Agent, Runner, SQLiteSession, set_default_openai_api, set_tracing_disabled
from agents.mcp import MCPServer, MCPServerSse, MCPServerStdio, MCPServerStreamableHttp
from mcp.types import CallToolResult, TextContent

Json = dict[str, Any]
Ask = Callable[[str], Awaitable[bool]]
Tell = Callable[[str], None]

INSTRUCTIONS = """You help a developer to run the application in {workspace} on the local Minikube, with Landfall's tools.
The five stages are containerize, chart, deploy, validate and rollback. Take one step for each wish, follow `next`, and say in a few lines what was
seen: the verdict, what failed with its evidence, what was not run. Never call anything done that no gate has passed.
The program asks the person for every approval; you never do, and you never see a token."""


class Guard:
    """Stands between model and server: approvals are the person's, progress is shown to the person, and a token never reaches the model."""

    ask: Ask
    tell: Tell

    async def call_tool(self, tool_name: str, arguments: Json | None, meta: Json | None = None) -> CallToolResult:
        # A token that a model brings along was not given by the person.
        wanted = {name: value for name, value in (arguments or {}).items() if name != "approval"}
        result = await self._call(tool_name, wanted)
        reply = structure(result)
        if reply.get("status") == "approval_needed":
            approval = reply["approval"]
            lines = [f"  - {line}" for line in approval["summary"]]
            question = "\n".join([f"Landfall asks to change {approval['app']}:", *lines, f"(plan {approval['digest'][:12]})"])
            token = approval.get("token")
            if token is None:
                return text_result("\n".join(["Only a person at a terminal can agree to this.", *approval["how"]]))
            if not await self.ask(question):
                return text_result("The person declined: nothing was changed.")
            result = await self._call(tool_name, {**wanted, "approval": token})
            reply = structure(result)
        return await self._follow(result, reply)

    async def _call(self, tool_name: str, arguments: Json) -> CallToolResult:
        return await super().call_tool(tool_name, arguments)  # type: ignore[misc]

    async def _follow(self, result: CallToolResult, reply: Json) -> CallToolResult:
        """Shows a running operation's events until it has settled; the model sees the end alone."""
        workspace = (reply.get("target") or {}).get("workspace")
        after = 0
        while reply.get("status") == "running" and "operation" in reply:
            question = {"operation": reply["operation"]["id"], "after": after, "wait_s": 2.5}
            result = await self._call("operation_status", question | ({"workspace": workspace} if workspace else {}))
            reply = structure(result)
            for event in reply.get("events", []):
                after = max(after, event["n"])
                self.tell(f"  {event['text']}")
        return result


class Stdio(Guard, MCPServerStdio):
    """Landfall as a child process."""


class Sse(Guard, MCPServerSse):
    """A running Landfall, over HTTP+SSE."""


class StreamableHttp(Guard, MCPServerStreamableHttp):
    """A running Landfall, over streamable HTTP."""


def structure(result: CallToolResult) -> Json:
    """The reply as data, whichever generation of the SDK names it."""
    found = getattr(result, "structured_content", None) or getattr(result, "structuredContent", None)
    return found or {}


def text_result(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def landfall(workspace: str, url: str | None, ask: Ask, tell: Tell) -> MCPServer:
    """The way to Landfall. A first call may start a cluster's checks: the SDK's own limit of five seconds is too short for people."""
    common = {"cache_tools_list": True, "client_session_timeout_seconds": 60, "use_structured_content": False}
    if url is None:
        program = {"command": os.environ.get("LANDFALL", "landfall"), "args": ["serve", "--root", workspace], "env": dict(os.environ)}
        server: Any = Stdio(params=program, **common)
    else:
        headers = {"Authorization": f"Bearer {os.environ['LANDFALL_TOKEN']}"}
        kind = Sse if url.rstrip("/").endswith("/sse") else StreamableHttp
        server = kind(params={"url": url, "headers": headers, "timeout": 60}, **common)
    server.ask, server.tell = ask, tell
    return server


async def ask_at_keyboard(question: str) -> bool:
    print(question)
    answer = await asyncio.to_thread(input, "Agreed? [y/N] ")
    return answer.strip().lower() in {"y", "yes"}


async def converse(server: MCPServer, workspace: str, wishes: Any) -> list[str]:
    """One conversation; what was said to each wish."""
    agent = Agent(name="Deployer", instructions=INSTRUCTIONS.format(workspace=workspace), mcp_servers=[server], model=os.environ.get("OPENAI_MODEL"))
    session = SQLiteSession("conversation")
    said = []
    async for wish in wishes:
        result = await Runner.run(agent, wish, session=session, max_turns=30)
        said.append(str(result.final_output))
        print(said[-1], flush=True)
    return said


async def typed() -> Any:
    while True:
        try:
            wish = await asyncio.to_thread(input, "> ")
        except EOFError:
            return
        if wish.strip():
            yield wish


async def main() -> None:
    parser = argparse.ArgumentParser(description="Deploy an application by talking about it.")
    parser.add_argument("workspace", help="folder of the application")
    parser.add_argument("--url", help="a running landfall serve --http: .../mcp or .../sse")
    options = parser.parse_args()
    workspace = os.path.abspath(options.workspace)
    # Most providers that speak OpenAI's protocol speak this part of it.
    set_default_openai_api("chat_completions")
    set_tracing_disabled(True)
    async with landfall(workspace, options.url, ask_at_keyboard, lambda line: print(line, flush=True)) as server:
        await converse(server, workspace, typed())


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        sys.exit(130)
