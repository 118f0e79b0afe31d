"""examples/chatbot and the fifteen lines of README.md, talked through with a scripted model: everything is real but the model and the cluster.

Counts what holds and ends with a "test result:" line, which test.sh adds up.
"""

import asyncio
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("LANDFALL_TARGET", ROOT / "target/debug")) / "landfall"
MINE = "# mine\n"


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


scripted_model = load(ROOT / "tests/scripted_model/scripted_model.py")
chatbot = load(ROOT / "examples/chatbot/chatbot.py")

RULES = [
    scripted_model.Rule("what is in", "{tool_result}", "analyze_project"),
    scripted_model.Rule("what would you do", "{tool_result}", "plan_deployment"),
    scripted_model.Rule("write the dockerfiles", "{tool_result}", "containerize", {"until": "files"}),
    scripted_model.Rule("write the charts", "{tool_result}", "generate_chart"),
    scripted_model.Rule("replace my chart", "{tool_result}", "generate_chart", {"on_conflict": "replace"}),
    # A model that tries to agree in the person's place.
    scripted_model.Rule("just replace it", "{tool_result}", "generate_chart", {"on_conflict": "replace", "approval": "lf-" + "0" * 32}),
    scripted_model.Rule("deploy", "{tool_result}", "deploy"),
    scripted_model.Rule("does it work", "{tool_result}", "validate_env", {"when": "after"}),
    scripted_model.Rule("roll back", "{tool_result}", "rollback"),
    scripted_model.Rule("verdict", "{tool_result}", "deployment_report", {"kind": "verdict"}),
]

passed = 0
failures: list[str] = []


def holds(name: str, truth: bool, why: object = "") -> None:
    global passed
    if truth:
        passed += 1
    else:
        failures.append(f"{name}: {str(why)[:1500]}")


class Model:
    """The scripted model, with everything that it was ever told."""

    def __enter__(self) -> "Model":
        self.told: list[str] = []
        answer = scripted_model.answer

        def recorded(request: Any, rules: Any) -> Any:
            self.told.append(json.dumps(request))
            return answer(request, rules)

        scripted_model.Endpoint.log_message = lambda *_: None
        scripted_model.answer = recorded
        self.server = scripted_model.ScriptedModel(("127.0.0.1", 0), RULES)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        os.environ["OPENAI_BASE_URL"] = f"http://127.0.0.1:{self.server.server_port}/v1"
        os.environ["OPENAI_API_KEY"] = "scripted"
        os.environ["OPENAI_MODEL"] = "scripted"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()


class Machine:
    """A home without a cluster, a small application, and a stand-in for helm that refuses every chart after three seconds."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="landfall-chatbot-"))
        self.workspace = self.home / "shop"
        self.workspace.mkdir()
        (self.workspace / "requirements.txt").write_text("fastapi==0.115.0\nuvicorn==0.32.0\n")
        (self.workspace / "main.py").write_text('from fastapi import FastAPI\napp = FastAPI()\n\n@app.get("/health")\ndef health():\n    return {"ok": True}\n')
        helm = self.home / ".local/bin/helm"
        helm.parent.mkdir(parents=True)
        helm.write_text('#!/bin/sh\ncase "$1" in version) echo v3.16.4;; template) ;; lint) sleep 3; exit 1;; *) exit 1;; esac\n')
        helm.chmod(0o755)
        self.environment = {
            "HOME": str(self.home),
            "LANDFALL_STATE": str(self.home / "state"),
            "MINIKUBE_HOME": str(self.home / "minikube"),
            "LANDFALL": str(PROGRAM),
        }

    def __enter__(self) -> "Machine":
        self.before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        return self

    def __exit__(self, *_: object) -> None:
        for name, value in self.before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        shutil.rmtree(self.home, ignore_errors=True)

    def chart_values(self) -> Path:
        return next((self.workspace / "deploy/charts").glob("*/values.yaml"))

    def conflict(self) -> None:
        """A person changes the chart, and the application changes so that it would be written anew."""
        values = self.chart_values()
        values.write_text(values.read_text() + MINE)
        service = values.parent.name
        (self.workspace / "landfall.toml").write_text(f"schema = 1\n[service.{service}]\nreplicas = 2\n")

    def kept(self) -> bool:
        return MINE in self.chart_values().read_text()


@contextmanager
def served(machine: Machine) -> Any:
    """landfall serve --http; its address without the path."""
    command = [str(PROGRAM), "serve", "--http", "127.0.0.1:0", "--root", str(machine.workspace)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stderr.readline() + process.stderr.readline()
            address = re.search(r"serves (http://[^/]+)/mcp", said).group(1)
            os.environ["LANDFALL_TOKEN"] = Path(re.search(r"bearer token: (.+)", said).group(1)).read_text().strip()
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield address
        finally:
            process.terminate()


async def wishes(*texts: str) -> Any:
    for text in texts:
        yield text


async def talk(way: str, machine: Machine, url: str | None, model: Model) -> None:
    asked: list[str] = []
    told: list[str] = []
    answers: list[bool] = []

    async def ask(question: str) -> bool:
        asked.append(question)
        return answers.pop(0)

    def check(name: str, truth: bool, why: object = "") -> None:
        holds(f"{way}: {name}", truth, why)

    workspace = str(machine.workspace)
    async with chatbot.landfall(workspace, url, ask, told.append) as server:
        said = await chatbot.converse(server, workspace, wishes("What is in my app?", "What would you do?", "Write the Dockerfiles", "Write the charts"))
        check("the survey names the service", "1 service" in said[0], said[0])
        check("the plan names its digest", "plan" in said[1] and "digest" in said[1] or "Stages" in said[1], said[1])
        check("the Dockerfile is there", (machine.workspace / "Dockerfile").is_file(), said[2])
        check("the refused gate is told", "refused" in said[3], said[3])
        check("progress was shown", any("ended refused" in line for line in told) and len(told) > 5, told)
        check("nobody was asked", asked == [], asked)

        machine.conflict()
        answers[:] = [False]
        said = await chatbot.converse(server, workspace, wishes("Replace my chart"))
        check("a no changes nothing", machine.kept() and "declined" in said[0], said[0])
        check("the person saw what it is about", len(asked) == 1 and "values.yaml" in asked[0], asked)
        answers[:] = [False]
        said = await chatbot.converse(server, workspace, wishes("Just replace it"))
        check("the model's own word counts for nothing", machine.kept() and len(asked) == 2, said[0])
        answers[:] = [True]
        said = await chatbot.converse(server, workspace, wishes("Replace my chart"))
        check("a yes is carried out", not machine.kept() and len(asked) == 3, said[0])

        said = await chatbot.converse(server, workspace, wishes("Deploy it", "Does it work?", "Roll back", "Show me the verdict"))
        for text in said[:3]:
            check("without a cluster, the reason is told", "CLUSTER_STOPPED" in text or "PROGRAM_MISSING" in text, text)
        check("nothing is called complete", "Phase IV" in said[3] and "❌" in said[3] or "⏳" in said[3], said[3])
    leaked = [line for line in model.told if re.search(r"lf-(?!0{32})[0-9a-f]{32}", line)]
    check("the model never saw a token", leaked == [], leaked[:1])


def fifteen_lines(machine: Machine) -> None:
    """The program in README.md, as it stands there."""
    block = next(block for block in re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S) if "MCPServerStdio" in block)
    lines = [line for line in block.splitlines() if line.strip()]
    holds("README: about fifteen lines", len(lines) <= 17, len(lines))
    file = machine.home / "readme.py"
    file.write_text("from agents import set_default_openai_api, set_tracing_disabled\nset_default_openai_api('chat_completions'); set_tracing_disabled(True)\n" + block)
    path = f"{PROGRAM.parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OPENAI_DEFAULT_MODEL": "scripted"}
    done = subprocess.run([sys.executable, str(file), str(machine.workspace), "What is in my app?"], env=environment, capture_output=True, text=True, timeout=120)
    holds("README: it runs", done.returncode == 0 and "1 service" in done.stdout, done.stdout + done.stderr)


async def main() -> None:
    from agents import set_default_openai_api, set_tracing_disabled

    set_default_openai_api("chat_completions")
    set_tracing_disabled(True)
    with Model() as model:
        for way, path in [("stdio", None), ("streamable HTTP", "/mcp"), ("HTTP+SSE", "/sse")]:
            with Machine() as machine:
                try:
                    if path is None:
                        await talk(way, machine, None, model)
                    else:
                        with served(machine) as address:
                            await talk(way, machine, address + path, model)
                except Exception:
                    failures.append(f"{way}: {traceback.format_exc()}")
        with Machine() as machine:
            await asyncio.to_thread(fifteen_lines, machine)


asyncio.run(main())
for failure in failures:
    print(f"FAILED {failure}")
if passed + len(failures) == 0:
    failures.append("nothing was checked")
print(f"test result: {'FAILED' if failures else 'ok'}. {passed} passed; {len(failures)} failed; 0 ignored")
sys.exit(1 if failures else 0)
