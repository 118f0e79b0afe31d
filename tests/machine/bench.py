#!/usr/bin/env python3
"""Measures an MCP server on stdio, beside a bare one: bench.py LANDFALL BARE. Prints a table; exits 1 when a figure misses its limit."""
import json, os, subprocess, sys, tempfile, time

ROUNDS, PINGS = 40, 1000
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


class Server:
    """One run of a server; the clock starts before it is spawned."""

    def __init__(self, command):
        self.number, self.began = 0, time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, cwd=tempfile.gettempdir())
        self.reader = os.fdopen(os.dup(self.process.stdout.fileno()), "rb")
        self.ask("initialize", INITIALIZE)
        self.answered_after = time.perf_counter() - self.began
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def ask(self, method, params=None):
        """The raw line that answers; notifications in between are passed over."""
        self.number += 1
        self.send({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params or {}})
        while line := self.reader.readline():
            if json.loads(line).get("id") == self.number:
                return line
        raise SystemExit(f"bench: the server ended while {method} was asked")

    def resident_megabytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    def end(self):
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def starts(command):
    times = []
    for _ in range(ROUNDS):
        server = Server(command)
        times.append(server.answered_after * 1000)
        server.end()
    return percentile(times, 0.5)


def settled(command):
    server = Server(command)
    tools = server.ask("tools/list")
    memory = server.resident_megabytes()
    pings = []
    for _ in range(PINGS):
        began = time.perf_counter()
        server.ask("ping")
        pings.append((time.perf_counter() - began) * 1000)
    server.end()
    return len(tools) / 1024, memory, percentile(pings, 0.99)


def main(landfall, bare):
    ours, floor = [landfall, "serve"], [bare]
    start, floor_start = starts(ours), starts(floor)
    (tools, memory, ping), (_, floor_memory, floor_ping) = settled(ours), settled(floor)
    size, floor_size = (os.path.getsize(path) / 1e6 for path in (landfall, bare))
    rows = [
        ("spawn to initialize answered, median", start, floor_start, min(10, 1.5 * floor_start), "ms"),
        ("resident after tools/list", memory, floor_memory, 15, "MB"),
        ("tools/list", tools, None, 24, "KB"),
        ("ping, 99th percentile, idle", ping, floor_ping, 5, "ms"),
        ("release program", size, floor_size, 25, "MB"),
    ]
    print(f"{'figure':<40}{'landfall':>10}{'bare rmcp':>11}{'ratio':>8}{'limit':>9}")
    missed = 0
    for name, value, other, limit, unit in rows:
        beside, ratio = (f"{other:.2f}", f"{value / other:.2f}") if other else ("-", "-")
        missed += value > limit
        print(f"{name:<40}{value:>10.2f}{beside:>11}{ratio:>8}{limit:>9.2f} {unit}{'   MISSED' if value > limit else ''}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:3])))
