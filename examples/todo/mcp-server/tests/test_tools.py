"""The server as a client in another pod sees it: JSON-RPC over HTTP, with the Service's name as Host."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import make_url
from starlette.testclient import TestClient

from todo_mcp.database import connect, prepare
from todo_mcp.server import build_app

Call = Callable[..., dict[str, Any]]

TOOLS = {"add_task", "list_tasks", "complete_task", "delete_task", "update_task"}


def make_client(tmp_path, allowed_hosts: list[str]) -> TestClient:
    engine = connect(make_url(f"sqlite:///{tmp_path}/test.db"))
    prepare(engine)
    return TestClient(build_app(engine, allowed_hosts), base_url="http://mcp-server:8001")


@pytest.fixture
def client(tmp_path) -> Iterator[TestClient]:
    with make_client(tmp_path, []) as client:
        yield client


def post(client: TestClient, method: str, params: dict[str, Any]):
    return client.post(
        "/mcp",
        json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
        headers={"Accept": "application/json, text/event-stream", "MCP-Protocol-Version": "2025-06-18"},
    )


def result(client: TestClient, method: str, params: dict[str, Any]) -> dict[str, Any]:
    answer = post(client, method, params)
    assert answer.status_code == 200, answer.text
    data = [line.removeprefix("data:") for line in answer.text.splitlines() if line.startswith("data:")]
    return json.loads(data[-1] if data else answer.text)["result"]


@pytest.fixture
def call(client: TestClient) -> Call:
    return lambda name, **arguments: result(client, "tools/call", {"name": name, "arguments": arguments})


def test_the_service_name_is_an_accepted_host(client):
    initialize = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    }
    assert result(client, "initialize", initialize)["serverInfo"]["name"] == "todo"


def test_a_host_that_is_not_listed_is_refused(tmp_path):
    with make_client(tmp_path, ["another-name:*"]) as client:
        assert post(client, "tools/list", {}).status_code == 421


def test_five_tools_are_listed_and_only_reading_is_read_only(client):
    tools = {tool["name"]: tool for tool in result(client, "tools/list", {})["tools"]}
    assert set(tools) == TOOLS
    assert [name for name, tool in tools.items() if tool["annotations"]["readOnlyHint"]] == ["list_tasks"]
    assert all("user_id" in tool["inputSchema"]["required"] for tool in tools.values())
    assert all("outputSchema" in tool for tool in tools.values())


def test_a_task_lives_and_dies(call):
    added = call("add_task", user_id="ada", title="buy milk")["structuredContent"]
    assert added == {"id": added["id"], "title": "buy milk", "description": None, "completed": False}

    renamed = call("update_task", user_id="ada", task_id=added["id"], title="buy oat milk")
    assert renamed["structuredContent"]["title"] == "buy oat milk"

    assert call("complete_task", user_id="ada", task_id=added["id"])["structuredContent"]["completed"]
    assert call("list_tasks", user_id="ada", status="pending")["structuredContent"]["count"] == 0
    assert call("list_tasks", user_id="ada", status="completed")["structuredContent"]["count"] == 1

    assert call("delete_task", user_id="ada", task_id=added["id"])["structuredContent"]["deleted"]
    assert call("list_tasks", user_id="ada")["structuredContent"]["tasks"] == []


def test_another_users_task_does_not_exist(call):
    task_id = call("add_task", user_id="ada", title="private")["structuredContent"]["id"]
    for name in ("complete_task", "delete_task"):
        refused = call(name, user_id="eve", task_id=task_id)
        assert refused["isError"]
        assert f"there is no task {task_id}" in refused["content"][0]["text"]
    assert call("list_tasks", user_id="eve")["structuredContent"]["count"] == 0


def test_liveness_and_readiness_answer(client):
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json() == {"status": "ready", "database": "reachable"}
