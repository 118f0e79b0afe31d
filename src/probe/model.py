# A language model that follows a script: it calls one of the tools that it is offered, with the text of the user's message, then answers.
# It speaks OpenAI's chat completions and responses. What it was offered, what it called and what came back is printed, a line of JSON each.
import json, re, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = int(sys.argv[1])
ADDS = re.compile(r"(^|[_.-])(add|create|new|insert|save|make)([_.-]|[A-Z]|$)")
THIS_RUN = re.compile(r"landfall-[0-9a-f]{12}")
USER = re.compile(r"user[_ ]?id\s*(?:is|=|:)\s*[\"'`]?([\w-]+)", re.I)


def tell(**what):
    print(json.dumps(what), flush=True)


def text(content):
    if isinstance(content, list):
        return " ".join(text(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


class Conversation:
    """A request of either interface, in the same terms."""

    def __init__(self, path, request):
        self.responses = path.endswith("/responses")
        self.request = request
        self.tools = {}
        for tool in request.get("tools") or []:
            function = tool.get("function") or tool
            if function.get("name"):
                self.tools[function["name"]] = function.get("parameters") or {}
        if self.responses:
            asked = request.get("input") or []
            self.messages = [{"role": "user", "content": asked}] if isinstance(asked, str) else asked
            self.messages = [{"role": "system", "content": request.get("instructions") or ""}] + self.messages
            last = self.messages[-1]
            self.result = text(last.get("output")) or "nothing" if last.get("type") == "function_call_output" else None
        else:
            self.messages = request["messages"]
            last = self.messages[-1]
            self.result = text(last.get("content")) or "nothing" if last.get("role") in ("tool", "function") else None
        said = [text(message.get("content")) for message in self.messages if message.get("role") == "user"]
        self.said = said[-1] if said else ""
        self.everything = " ".join(text(message.get("content")) for message in self.messages)

    def chosen(self):
        return next((name for name in self.tools if ADDS.search(name)), None)

    def arguments(self, name):
        schema = self.tools[name]
        found = THIS_RUN.search(self.said)
        word = found.group(0) if found else self.said[:80]
        return {key: self.value(key, schema.get("properties", {}).get(key, {}), word) for key in schema.get("required", [])}

    def value(self, key, about, word):
        kinds = [about.get("type")] + [one.get("type") for one in about.get("anyOf", [])]
        kinds = [kind for each in kinds for kind in (each if isinstance(each, list) else [each])]
        users = USER.findall(self.everything)
        if re.search(r"user_?id$", key, re.I) and users:
            return int(users[-1]) if "integer" in kinds and users[-1].isdigit() else users[-1]
        if "null" in kinds:
            return None
        if about.get("enum"):
            return about["enum"][0]
        plain = {"integer": about.get("minimum", 1), "number": 1, "boolean": False, "array": [], "object": {}}
        return next((plain[kind] for kind in kinds if kind in plain), word)


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send(200, "application/json", json.dumps({"object": "list", "data": [{"id": "scripted", "object": "model"}]}))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.endswith(("/chat/completions", "/responses")):
            tell(unknown=self.path)
            return self.send(404, "application/json", json.dumps({"error": {"message": "no such path: " + self.path}}))
        try:
            talk = Conversation(self.path, json.loads(body))
            answer = self.answer(talk)
        except Exception as error:
            tell(error=type(error).__name__ + ": " + str(error))
            return self.send(400, "application/json", json.dumps({"error": {"message": str(error)}}))
        kind = "text/event-stream" if talk.request.get("stream") else "application/json"
        self.send(200, kind, answer)

    def answer(self, talk):
        call, say = None, None
        if talk.result is not None:
            tell(result=talk.result[:400])
            say = "It is done: " + talk.result[:200]
        else:
            name = talk.chosen()
            tell(offered=sorted(talk.tools), called=name, arguments=talk.arguments(name) if name else None)
            if name:
                call = {"name": name, "arguments": json.dumps(talk.arguments(name))}
            else:
                say = "I was offered no tool that adds something."
        return (self.responded if talk.responses else self.completed)(talk.request, call, say)

    def completed(self, request, call, say):
        mark = {"id": "chatcmpl-scripted", "created": int(time.time()), "model": request.get("model", "scripted")}
        calls = [{"id": "call_scripted", "type": "function", "function": call}] if call else None
        message = {"role": "assistant", "content": say, **({"tool_calls": calls} if calls else {})}
        end = "tool_calls" if calls else "stop"
        usage = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        if not request.get("stream"):
            choice = {"index": 0, "message": message, "finish_reason": end}
            return json.dumps({**mark, "object": "chat.completion", "choices": [choice], "usage": usage})
        for place, one in enumerate(calls or []):
            one["index"] = place
        chunk = {**mark, "object": "chat.completion.chunk"}
        chunks = [{"index": 0, "delta": message, "finish_reason": None}, {"index": 0, "delta": {}, "finish_reason": end}]
        lines = [json.dumps({**chunk, "choices": [one]}) for one in chunks] + ["[DONE]"]
        return "".join("data: " + line + "\n\n" for line in lines)

    def responded(self, request, call, say):
        if call:
            item = {"type": "function_call", "id": "fc_scripted", "call_id": "call_scripted", "status": "completed", **call}
        else:
            part = {"type": "output_text", "text": say, "annotations": []}
            item = {"type": "message", "id": "msg_scripted", "role": "assistant", "status": "completed", "content": [part]}
        details = {"input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}
        usage = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0, **details}
        whole = {
            "id": "resp_scripted", "object": "response", "created_at": int(time.time()), "status": "completed",
            "model": request.get("model", "scripted"), "output": [item], "usage": usage, "error": None,
            "incomplete_details": None, "instructions": None, "metadata": {}, "parallel_tool_calls": True,
            "temperature": 0, "top_p": 1, "tool_choice": "auto", "tools": request.get("tools") or [],
        }
        if not request.get("stream"):
            return json.dumps(whole)
        begun = {**whole, "status": "in_progress", "output": []}
        events = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        lines = [(event["type"], json.dumps({**event, "sequence_number": place})) for place, event in enumerate(events)]
        return "".join("event: " + kind + "\ndata: " + line + "\n\n" for kind, line in lines)

    def send(self, status, kind, body):
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


ThreadingHTTPServer(("127.0.0.1", PORT), Endpoint).serve_forever()
