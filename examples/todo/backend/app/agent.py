"""One turn of the assistant: a language model with the MCP server's task tools."""

import json
from dataclasses import dataclass
from typing import Any

from agents import (
    Agent,
    AgentsException,
    ModelSettings,
    OpenAIChatCompletionsModel,
    RunConfig,
    Runner,
    TResponseInputItem,
)
from agents.items import ToolCallItem
from agents.mcp import MCPServerStreamableHttp
from openai import AsyncOpenAI, OpenAIError

from app.config import Settings

MAX_TURNS = 8
MODEL_TIMEOUT_SECONDS = 30
MCP_TIMEOUT_SECONDS = 5

INSTRUCTIONS = """\
You manage a todo list with the tools you are given.
The current user's user_id is {user_id}. Pass it to every tool.
Look tasks up with list_tasks before you refer to one by its id.
Answer in one or two sentences, and say what you changed."""


class AssistantUnavailable(Exception):
    """The model or the MCP server did not do its part; the text says which."""


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    text: str
    tool_calls: list[ToolCall]


class UserTools(MCPServerStreamableHttp):
    """The task tools, bound to one user: a model can be talked into naming somebody else."""

    def __init__(self, url: str, user_id: str) -> None:
        super().__init__(
            params={"url": url, "timeout": MCP_TIMEOUT_SECONDS, "sse_read_timeout": MCP_TIMEOUT_SECONDS},
            name="todo",
            cache_tools_list=True,
            client_session_timeout_seconds=MCP_TIMEOUT_SECONDS,
        )
        self._user_id = user_id

    async def call_tool(
        self, tool_name: str, arguments: dict[str, Any] | None, meta: dict[str, Any] | None = None
    ):
        return await super().call_tool(tool_name, {**(arguments or {}), "user_id": self._user_id}, meta)


async def answer(settings: Settings, user_id: str, history: list[TResponseInputItem]) -> Answer:
    """`history` ends with the user's new message. The caller has checked that there is an API key."""
    tools = UserTools(settings.mcp_server_url, user_id)
    try:
        await tools.connect()
    except Exception as error:  # the transport raises its own types, and groups of them
        raise AssistantUnavailable(f"the MCP server at {settings.mcp_server_url} did not answer: {error}") from error
    try:
        return await _run(settings, user_id, history, tools)
    finally:
        await tools.cleanup()


async def _run(
    settings: Settings, user_id: str, history: list[TResponseInputItem], tools: UserTools
) -> Answer:
    assert settings.openai_api_key is not None
    async with AsyncOpenAI(
        api_key=settings.openai_api_key.get_secret_value(),
        base_url=settings.openai_base_url,
        timeout=MODEL_TIMEOUT_SECONDS,
        max_retries=1,
    ) as client:
        agent = Agent(
            name="Todo assistant",
            instructions=INSTRUCTIONS.format(user_id=user_id),
            # Chat completions, not responses: every compatible server has the former.
            model=OpenAIChatCompletionsModel(model=settings.openai_model, openai_client=client),
            model_settings=ModelSettings(temperature=0),
            mcp_servers=[tools],
        )
        try:
            result = await Runner.run(
                agent, history, max_turns=MAX_TURNS, run_config=RunConfig(tracing_disabled=True)
            )
        except OpenAIError as error:
            raise AssistantUnavailable(f"the language model did not answer: {error}") from error
        except AgentsException as error:
            raise AssistantUnavailable(f"the assistant gave up: {error}") from error

    calls = [item.raw_item for item in result.new_items if isinstance(item, ToolCallItem)]
    return Answer(
        text=str(result.final_output),
        tool_calls=[ToolCall(call.name, json.loads(call.arguments or "{}")) for call in calls],
    )
