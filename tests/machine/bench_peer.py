#!/usr/bin/env python3
"""Measures Landfall beside kubernetes-mcp-server: bench_peer.py LANDFALL PEER.

Prints a table; exits 1 where a figure falls behind the peer's, or memory grows with use. No cluster: an API server that refuses stands in,
and for the long calls one that accepts connections and never answers, which is what both have to live with on a bad day.
"""
import json, os, re, shutil, socket, subprocess, sys, tempfile, threading, time, urllib.request
from pathlib import Path

ROUNDS, PINGS, CALLS, SESSIONS = 40, 1000, 1000, 100
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


class Machine:
    """A home for one server, with a kubeconfig whose API server refuses, or (hard) never answers, and then with a helm that takes a while."""

    def __init__(self, hard=False):
        self.home = Path(tempfile.mkdtemp(prefix="landfall-bench-"))
        self.silent = socket.create_server(("127.0.0.1", 0), backlog=1024)
        port = self.silent.getsockname()[1]
        if hard:
            self.slow_helm()
        else:
            self.silent.close()
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "silent",
            "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "silent"}}],
            "clusters": [{"name": "silent", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "silent", "user": {}}],
        }
        (self.home / "kubeconfig").write_text(json.dumps(config))
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.home), "LANDFALL_STATE": str(self.home / "state"),
                            "MINIKUBE_HOME": str(self.home / "minikube"), "KUBECONFIG": str(self.home / "kubeconfig")}

    def slow_helm(self):
        helm = self.home / ".local/bin/helm"
        helm.parent.mkdir(parents=True)
        helm.write_text('#!/bin/sh\ncase "$1" in version) echo v3.16.4;; template) ;; lint) sleep 20; exit 1;; *) exit 1;; esac\n')
        helm.chmod(0o755)

    def workspace(self, name):
        folder = self.home / "code" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "requirements.txt").write_text("fastapi==0.115.0\nuvicorn==0.32.0\n")
        (folder / "main.py").write_text("from fastapi import FastAPI\napp = FastAPI()\n")
        return str(folder)

    def end(self):
        self.silent.close()
        shutil.rmtree(self.home, ignore_errors=True)


class Server:
    """One run of a server on stdio; the clock starts before it is spawned."""

    def __init__(self, command, machine):
        self.number, self.answers, self.heard = 0, {}, threading.Condition()
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0,
                                        cwd=machine.home, env=machine.environment)
        self.reader = os.fdopen(os.dup(self.process.stdout.fileno()), "rb")
        threading.Thread(target=self.listen, daemon=True).start()
        self.ask("initialize", INITIALIZE)
        self.answered_after = time.perf_counter() - began
        self.write({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def listen(self):
        for line in self.reader:
            message = json.loads(line)
            if "id" in message and "method" not in message:
                with self.heard:
                    self.answers[message["id"]] = (time.perf_counter(), line)
                    self.heard.notify_all()
        with self.heard:
            self.answers[None] = True
            self.heard.notify_all()

    def write(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def send(self, method, params=None):
        self.number += 1
        self.write({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params or {}})
        return self.number

    def wait(self, number, limit=60):
        """When it was answered, and the raw line."""
        with self.heard:
            if not self.heard.wait_for(lambda: number in self.answers or None in self.answers, limit) or number not in self.answers:
                raise SystemExit("bench: a request was not answered")
            return self.answers.pop(number)

    def ask(self, method, params=None):
        return self.wait(self.send(method, params))[1]

    def resident_megabytes(self):
        return resident(self.process.pid)

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def resident(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def starts(command):
    machine, times = Machine(), []
    for _ in range(ROUNDS):
        server = Server(command, machine)
        times.append(server.answered_after * 1000)
        server.end()
    machine.end()
    return percentile(times, 0.5)


def pings(server, count, pause=0.0):
    times = []
    for _ in range(count):
        began = time.perf_counter()
        times.append((server.wait(server.send("ping"))[0] - began) * 1000)
        time.sleep(pause)
    return percentile(times, 0.99)


def calls(server, call, at_once):
    """Calls per second with this many open all the time."""
    began, open_now, sent = time.perf_counter(), [], 0
    while sent < CALLS or open_now:
        while sent < CALLS and len(open_now) < at_once:
            open_now.append(server.send("tools/call", call))
            sent += 1
        server.wait(open_now.pop(0))
    return CALLS / (time.perf_counter() - began)


def again(call, answer):
    """The same question as one asks it who knows the answer: what came after the newest event."""
    events = answer["result"].get("structuredContent", {}).get("events")
    return {**call, "arguments": {**call["arguments"], "after": events[-1]["n"]}} if events else call


def settled(command, call, before=None):
    """Everything that one server on stdio shows, as a table of figures."""
    machine = Machine()
    workspace = machine.workspace("one")
    fill = lambda value: json.loads(json.dumps(value).replace("{workspace}", workspace))
    server = Server(command, machine)
    figures = {"list": len(server.ask("tools/list")) / 1024, "memory": server.resident_megabytes(), "ping": pings(server, PINGS)}
    if before:
        server.ask("tools/call", fill(before))
        while b'"status":"running"' in server.ask("tools/call", fill(call)):
            pass
    if call:
        answer = json.loads(server.ask("tools/call", fill(call)))
        if answer.get("result", {"isError": True}).get("isError"):
            raise SystemExit(f"bench: {command[0]} does not answer {call}: {answer}")
        call = again(call, answer)
        for at_once in (1, 10, 100):
            figures[f"calls {at_once}"] = calls(server, fill(call), at_once)
            figures.setdefault("memory after calls", server.resident_megabytes())
        figures["memory after more calls"] = server.resident_megabytes()
    server.end()
    machine.end()
    return figures


def busy(command, work):
    """The 99th percentile of ping while eight long pieces of work are open."""
    machine = Machine(hard=True)
    server = Server(command, machine)
    for number in range(8):
        call = json.loads(json.dumps(work).replace("{workspace}", machine.workspace(f"busy-{number}")))
        server.send("tools/call", call)
    time.sleep(4)
    figure = pings(server, 300, 0.01)
    server.end()
    machine.end()
    return figure


def post(url, message, headers):
    request = urllib.request.Request(url, json.dumps(message).encode(), headers | {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as answer:
        answer.read()
        return answer.headers.get("Mcp-Session-Id")


def sessions(process, url, headers):
    """Memory before and after a hundred sessions of ten requests each."""
    deadline = time.monotonic() + 20
    while True:
        try:
            post(url, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}, headers)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    before = resident(process.pid)
    for _ in range(SESSIONS):
        session = post(url, {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": INITIALIZE}, headers)
        own = headers | {"Mcp-Session-Id": session, "MCP-Protocol-Version": INITIALIZE["protocolVersion"]}
        post(url, {"jsonrpc": "2.0", "method": "notifications/initialized"}, own)
        for number in range(10):
            post(url, {"jsonrpc": "2.0", "id": number + 2, "method": "tools/list"}, own)
    return before, resident(process.pid)


def over_http(program, peer):
    machine = Machine()
    if peer:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        command, url, headers = [program, "--port", str(port), "--bind-address", "127.0.0.1", "--log-level", "0"], f"http://127.0.0.1:{port}/mcp", {}
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=machine.environment)
    else:
        process = subprocess.Popen([program, "serve", "--http", "127.0.0.1:0"], stderr=subprocess.PIPE, text=True, env=machine.environment)
        said = process.stderr.readline() + process.stderr.readline()
        url = re.search(r"serves (\S+)", said).group(1)
        headers = {"Authorization": "Bearer " + Path(re.search(r"bearer token: (.+)", said).group(1)).read_text().strip()}
    try:
        return sessions(process, url, headers)
    finally:
        process.terminate()
        process.wait()
        machine.end()


# The smallest real question that each can be asked without a cluster: how an operation ended and what came since, and what the kubeconfig says.
OUR_LOOK = {"name": "operation_status", "arguments": {"workspace": "{workspace}", "wait_s": 2.5}}
OUR_WORK = {"name": "generate_chart", "arguments": {"workspace": "{workspace}"}}
PEERS_LOOK = {"name": "configuration_view", "arguments": {"minified": True}}
PEERS_WORK = {"name": "pods_list", "arguments": {}}


def main(landfall, peer):
    ours, theirs = (
        {"start": starts(command)} | settled(command, look, before) | {"busy": busy(command, work)}
        for command, look, before, work in [([landfall, "serve"], OUR_LOOK, OUR_WORK, OUR_WORK), ([peer], PEERS_LOOK, None, PEERS_WORK)]
    )
    for figures, program in (ours, landfall), (theirs, peer):
        figures["sessions before"], figures["sessions"] = over_http(program, program == peer)
    grown = {"memory after more calls": ours["memory after calls"] + 5, "sessions": ours["sessions before"] + 15}
    rows = [
        ("start", "spawn to initialize answered, median", "ms"),
        ("memory", "resident after tools/list", "MB"),
        ("memory after calls", "resident after 1,000 calls", "MB"),
        ("memory after more calls", "resident after 3,000 calls", "MB"),
        ("sessions before", "resident over HTTP, one session", "MB"),
        ("sessions", "resident after 100 sessions", "MB"),
        ("list", "tools/list", "KB"),
        ("calls 1", "calls a second, 1 at once", "/s"),
        ("calls 10", "calls a second, 10 at once", "/s"),
        ("calls 100", "calls a second, 100 at once", "/s"),
        ("ping", "ping, 99th percentile, idle", "ms"),
        ("busy", "ping, 99th percentile, 8 long calls", "ms"),
    ]
    print(f"{'figure':<40}{'landfall':>10}{'kubernetes-mcp':>16}{'limit':>9}")
    missed = 0
    for key, name, unit in rows:
        value, beside, most = ours[key], theirs[key], grown.get(key)
        behind = value < beside if unit == "/s" else value > beside
        over = most is not None and value > most
        missed += behind or over
        limit = "-" if most is None else f"{most:.2f}"
        print(f"{name:<40}{value:>10.2f}{beside:>16.2f}{limit:>9} {unit}{'   MISSED' if over else ''}{'   BEHIND' if behind else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:3])))
