"""An OpenAI-compatible server that answers from a script, for tests that need everything real but the model.

It serves GET /v1/models and POST /v1/chat/completions (not streamed), with the standard library only:

    python3 scripted_model.py --port 9100 [--host 0.0.0.0] [--script rules.json]

A script is a JSON list of rules, tried in order against the last user message:

    [{"match": "add a task to (?P<title>.+)", "tool": "add_task", "reply": "Added {title}."},
     {"match": "hello", "reply": "Hello."}]

A rule with a tool first answers with a call of it, whose arguments are the named groups of the match, the rule's own
"arguments", and the user_id last mentioned in the conversation; after the tool's result it answers with the reply.
"""

import argparse
import json
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

Json = dict[str, Any]

USER_ID = re.compile(r"user[_ ]?id\s*(?:is|=|:)\s*[\"'`]?([\w-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Rule:
    match: str
    reply: str
    tool: str | None = None
    arguments: Json = field(default_factory=dict)


BUILT_IN_RULES = [
    Rule(r"add (?:a )?(?:new )?task:? (?:to |called )?(?P<title>.+?)[.!]?$", "I added the task: {title}.", "add_task"),
    Rule(r"(?:rename|update|change) task (?P<task_id>\d+) to (?P<title>.+?)[.!]?$", "Task {task_id} is now: {title}.", "update_task"),
    Rule(r"(?:complete|finish|tick off) task (?P<task_id>\d+)", "Task {task_id} is completed.", "complete_task"),
    Rule(r"(?:delete|remove) task (?P<task_id>\d+)", "Task {task_id} is deleted.", "delete_task"),
    Rule(r"(?:list|show|what).*\btasks?\b", "Your tasks: {tool_result}", "list_tasks"),
    Rule(r"", "I can add, list, rename, complete and delete tasks."),
]


class BadRequest(Exception):
    """The request is not one this server answers; the text says why."""


def load_rules(path: Path) -> list[Rule]:
    return [Rule(**entry) for entry in json.loads(path.read_text())]


def answer(request: Json, rules: list[Rule]) -> Json:
    """The assistant's next message for a chat-completions request."""
    if request.get("stream"):
        raise BadRequest("this server does not stream")
    messages: list[Json] = request["messages"]
    asked = last_user_text(messages)
    rule, groups = first_match(rules, asked)
    arguments = tool_arguments(rule, groups, messages)

    if messages[-1]["role"] == "tool":
        return text_message(after_tool(rule, arguments, text_of(messages[-1])))
    if rule.tool is None:
        return text_message(rule.reply.format_map(groups))
    # Saying so, instead of calling it anyway: a test then shows that the tools never reached the model.
    if rule.tool not in offered_tools(request):
        return text_message(f"The tool {rule.tool} was not offered to me.")
    return tool_call_message(rule.tool, arguments)


def first_match(rules: list[Rule], text: str) -> tuple[Rule, dict[str, str]]:
    for rule in rules:
        found = re.search(rule.match, text, re.IGNORECASE)
        if found:
            return rule, found.groupdict()
    return Rule(match="", reply="I have no answer to that in my script."), {}


def tool_arguments(rule: Rule, groups: dict[str, str], messages: list[Json]) -> Json:
    spoken: Json = {name: int(value) if value.isdigit() else value for name, value in groups.items()}
    # The last mention wins: this model is as easily talked round as a real one.
    mentioned = [user_id for message in messages for user_id in USER_ID.findall(text_of(message))]
    user = {"user_id": mentioned[-1]} if mentioned else {}
    return {**user, **spoken, **rule.arguments}


def after_tool(rule: Rule, arguments: Json, tool_result: str) -> str:
    if re.search(r"\berror\b|there is no task", tool_result, re.IGNORECASE):
        return f"That did not work: {tool_result}"
    return rule.reply.format_map({**arguments, "tool_result": tool_result})


def last_user_text(messages: list[Json]) -> str:
    return next((text_of(message) for message in reversed(messages) if message["role"] == "user"), "")


def text_of(message: Json) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def offered_tools(request: Json) -> set[str]:
    return {tool["function"]["name"] for tool in request.get("tools") or []}


def text_message(text: str) -> Json:
    return {"role": "assistant", "content": text}


def tool_call_message(name: str, arguments: Json) -> Json:
    call = {
        "id": f"call_{uuid4().hex[:12]}",
        "type": "function",
        "function": {"name": name, "arguments": json.dumps(arguments)},
    }
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def completion(request: Json, message: Json) -> Json:
    return {
        "id": f"chatcmpl-{uuid4().hex[:12]}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": request.get("model", "scripted"),
        "choices": [
            {"index": 0, "message": message, "finish_reason": "tool_calls" if "tool_calls" in message else "stop"}
        ],
        "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
    }


class ScriptedModel(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], rules: list[Rule]) -> None:
        super().__init__(address, Endpoint)
        self.rules = rules


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedModel

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self._fail(404, f"no such path: {self.path}")
        self._send(200, {"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "script"}]})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/v1/chat/completions":
            return self._fail(404, f"no such path: {self.path}")
        try:
            request = json.loads(body)
            self._send(200, completion(request, answer(request, self.server.rules)))
        except (BadRequest, KeyError, IndexError, ValueError) as error:
            self._fail(400, f"{type(error).__name__}: {error}")

    def _fail(self, status: int, message: str) -> None:
        self._send(status, {"error": {"message": message, "type": "invalid_request_error"}})

    def _send(self, status: int, payload: Json) -> None:
        body = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    parser = argparse.ArgumentParser(description="An OpenAI-compatible server that answers from a script.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--script", type=Path, help="rules as JSON; without it, built-in rules for a todo list")
    options = parser.parse_args()

    # As a container's first process it would otherwise ignore the signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    rules = load_rules(options.script) if options.script else BUILT_IN_RULES
    with ScriptedModel((options.host, options.port), rules) as server:
        print(f"scripted model on http://{options.host}:{server.server_port}/v1", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
