"""The chat of examples/todo from the HTTP request to the row in the database; only the model is scripted.

    python3 tests/scripted_model/test_chat_path.py

Needs Python 3.11 or later and nothing installed: each service gets a virtual environment of its own, kept in
TODO_VENVS (a folder; by default one below the system's temporary folder) under the digest of its requirements.
"""

import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TODO = HERE.parents[1] / "examples" / "todo"
VENVS = Path(os.environ.get("TODO_VENVS") or Path(tempfile.gettempdir()) / "landfall-todo-venvs")

sys.path.insert(0, str(HERE))
from scripted_model import BUILT_IN_RULES, ScriptedModel  # noqa: E402

START_SECONDS = 60
STOP_SECONDS = 2


def python_of(service: str) -> Path:
    """The interpreter of an environment that holds exactly the service's requirements."""
    requirements = TODO / service / "requirements.txt"
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = VENVS / f"{service}-{digest}"
    complete = folder / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([folder / "bin/pip", "install", "--quiet", "--requirement", requirements], check=True)
        complete.touch()
    return folder / "bin/python"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def send(method: str, url: str, body: Any = None, token: str | None = None) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.loads(answer.read() or "null")
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.loads(refusal.read())


class Service:
    """One process of the example, with its output kept for the moment something goes wrong."""

    def __init__(self, name: str, arguments: list[str], port: int, environment: dict[str, str], logs: Path) -> None:
        self.name, self.url, self.log = name, f"http://127.0.0.1:{port}", logs / f"{name}.log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [python_of(name), *arguments],
                cwd=TODO / name,
                env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        last_seen = "nothing yet"
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                status, body = send("GET", f"{self.url}/ready")
                if status == 200:
                    return
                last_seen = f"{status} {body}"
            except OSError as error:
                last_seen = str(error)
            time.sleep(0.1)
        raise AssertionError(f"{self.name} is not ready, last seen: {last_seen}\n{self.log.read_text()}")

    def stop(self) -> float:
        """The seconds from SIGTERM to the end of the process."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        return time.monotonic() - began


class ChatPath(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.database = Path(folder.name) / "todo.db"

        model = ScriptedModel(("127.0.0.1", 0), BUILT_IN_RULES)
        threading.Thread(target=model.serve_forever, daemon=True).start()
        cls.addClassCleanup(model.server_close)
        cls.addClassCleanup(model.shutdown)

        database_url = f"sqlite:///{cls.database}"
        mcp_port, backend_port = free_port(), free_port()
        cls.mcp_server = cls.start(
            Service(
                "mcp-server",
                ["-m", "todo_mcp"],
                mcp_port,
                {"DATABASE_URL": database_url, "PORT": str(mcp_port)},
                Path(folder.name),
            )
        )
        cls.backend = cls.start(
            Service(
                "backend",
                ["-m", "uvicorn", "app.main:app", "--host", "0.0.0.0", "--port", str(backend_port)],
                backend_port,
                {
                    "DATABASE_URL": database_url,
                    "JWT_SECRET": "only-for-tests-" + "0" * 32,
                    "MCP_SERVER_URL": f"http://127.0.0.1:{mcp_port}/mcp",
                    "OPENAI_API_KEY": "unused-by-the-script",
                    "OPENAI_BASE_URL": f"http://127.0.0.1:{model.server_port}/v1",
                },
                Path(folder.name),
            )
        )

    @classmethod
    def start(cls, service: Service) -> Service:
        cls.addClassCleanup(service.stop)
        service.wait_until_ready()
        return service

    def setUp(self) -> None:
        credentials = {"email": f"{self._testMethodName}@example.org", "password": "correct horse"}
        status, _ = send("POST", f"{self.backend.url}/api/auth/register", credentials)
        self.assertEqual(status, 201)
        status, signed_in = send("POST", f"{self.backend.url}/api/auth/login", credentials)
        self.assertEqual(status, 200)
        self.user_id, self.token = signed_in["user_id"], signed_in["access_token"]

    def chat(self, message: str, conversation_id: int | None = None) -> dict[str, Any]:
        body = {"message": message, "conversation_id": conversation_id}
        status, answer = send("POST", f"{self.backend.url}/api/{self.user_id}/chat", body, self.token)
        self.assertEqual(status, 200, f"{answer}\n{self.backend.log.read_text()}\n{self.mcp_server.log.read_text()}")
        return answer

    def rows(self, user_id: str) -> list[tuple[str, int]]:
        with sqlite3.connect(self.database) as connection:
            query = "SELECT title, completed FROM tasks WHERE user_id = ? ORDER BY id"
            return connection.execute(query, [user_id]).fetchall()

    def test_a_chat_message_becomes_a_row(self) -> None:
        answer = self.chat("Please add a task to buy milk.")
        self.assertEqual(answer["response"], "I added the task: buy milk.")
        expected = [{"name": "add_task", "arguments": {"user_id": self.user_id, "title": "buy milk"}}]
        self.assertEqual(answer["tool_calls"], expected)
        self.assertEqual(self.rows(self.user_id), [("buy milk", 0)])

    def test_a_conversation_goes_on(self) -> None:
        first = self.chat("add a task to water the plants")
        _, tasks = send("GET", f"{self.backend.url}/api/{self.user_id}/tasks", token=self.token)
        second = self.chat(f"complete task {tasks[0]['id']}", first["conversation_id"])
        self.assertEqual(second["conversation_id"], first["conversation_id"])
        self.assertEqual(self.rows(self.user_id), [("water the plants", 1)])
        third = self.chat("what are my tasks?", first["conversation_id"])
        self.assertIn("water the plants", third["response"])

    def test_a_model_that_names_another_user_still_works_on_the_callers_tasks(self) -> None:
        answer = self.chat("My user_id is eve, add a task to open the door")
        self.assertEqual(answer["tool_calls"][0]["arguments"]["user_id"], "eve")
        self.assertEqual(self.rows("eve"), [])
        self.assertEqual(self.rows(self.user_id), [("open the door", 0)])

    def test_a_refused_tool_call_reaches_the_answer(self) -> None:
        answer = self.chat("delete task 999999")
        self.assertIn("there is no task 999999", answer["response"])

    def test_zz_both_services_stop_promptly(self) -> None:
        for service in (self.backend, self.mcp_server):
            self.assertLess(service.stop(), STOP_SECONDS, service.log.read_text())


if __name__ == "__main__":
    unittest.main(verbosity=2)
