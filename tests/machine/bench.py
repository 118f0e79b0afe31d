#!/usr/bin/env python3
"""Measures an MCP server on stdio, beside a bare one, and the watch over rollouts: bench.py LANDFALL BARE GUARD. Prints a table; exits 1 when a figure misses its limit."""
import datetime, json, os, shutil, socket, subprocess, sys, tempfile, threading, time
import crowd
from plant import plant

ROUNDS, PINGS, FILES = 40, 1000, 15000
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHOP = os.path.join(ROOT, "tests", "apps", "shop")
SMALL = os.path.join(ROOT, "tests", "survey", "fastapi-postgres")
INITIALIZE = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


class Server:
    """One run of a server; the clock starts before it is spawned."""

    def __init__(self, command, env=None):
        self.number, self.answers, self.began = 0, {}, time.perf_counter()
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0, cwd=tempfile.gettempdir(), env=env
        )
        self.reader = os.fdopen(os.dup(self.process.stdout.fileno()), "rb")
        self.ask("initialize", INITIALIZE)
        self.answered_after = time.perf_counter() - self.began
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def send(self, message):
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def begin(self, method, params=None):
        """Asks without waiting; `answer` takes the line, `answered` tells whether it came."""
        self.number += 1
        self.send({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params or {}})
        return self.number

    def answered(self, number):
        return number in self.answers

    def answer(self, number):
        """The raw line that answers; other answers are kept, notifications passed over."""
        while number not in self.answers:
            line = self.reader.readline()
            if not line:
                raise SystemExit("bench: the server ended before it answered")
            if (other := json.loads(line).get("id")) is not None:
                self.answers[other] = line
        return self.answers.pop(number)

    def ask(self, method, params=None):
        return self.answer(self.begin(method, params))

    def call(self, tool, **arguments):
        return json.loads(self.ask("tools/call", {"name": tool, "arguments": arguments}))["result"]

    def ping(self):
        """How long one ping took, ms."""
        began = time.perf_counter()
        self.ask("ping")
        return (time.perf_counter() - began) * 1000

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
    pings = [server.ping() for _ in range(PINGS)]
    server.end()
    return len(tools) / 1024, memory, percentile(pings, 0.99)


def surroundings(folder, port):
    """A machine of its own whose only profile's API server listens on this port; programs are this machine's."""
    home = os.path.join(folder, "mini", ".minikube")
    profile = os.path.join(home, "profiles", "hung")
    os.makedirs(profile)
    given = os.path.join(ROOT, "tests", "refusals")
    shutil.copy(os.path.join(given, "ca.crt"), home)
    for name in ("client.crt", "client.key"):
        shutil.copy(os.path.join(given, name), profile)
    node = {"Name": "", "IP": "127.0.0.1", "Port": port, "ControlPlane": True}
    kubernetes = {"KubernetesVersion": "v1.34.0", "ContainerRuntime": "docker"}
    with open(os.path.join(profile, "config.json"), "w") as file:
        json.dump({"Name": "hung", "Driver": "kvm2", "APIServerPort": port, "KubernetesConfig": kubernetes, "Nodes": [node]}, file)
    os.chmod(home, 0o755)
    nothing = os.path.join(folder, "nothing")
    return os.environ | {"MINIKUBE_HOME": os.path.join(folder, "mini"), "KUBECONFIG": nothing, "DOCKER_HOST": f"unix://{nothing}", "LANDFALL_STATE": os.path.join(folder, "state")}


def pings_while_the_api_hangs(landfall):
    """Milliseconds of pings sent while a call waits for an API server that took its connection and never answers."""
    silent = socket.create_server(("127.0.0.1", 0))
    kept = []
    threading.Thread(target=lambda: [kept.append(silent.accept()) for _ in iter(int, 1)], daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # Without minikube, which would know that there is no such machine.
        server = Server(landfall, surroundings(folder, silent.getsockname()[1]) | {"PATH": folder})
        pings = []
        for _ in range(3):
            waiting = server.begin("tools/call", {"name": "cluster_health", "arguments": {"workspace": os.path.join(ROOT, "examples", "todo"), "profile": "hung"}})
            while not server.answered(waiting):
                pings.append(server.ping())
            said = json.loads(server.answer(waiting))["result"]
            if "CLUSTER_UNREACHABLE" not in json.dumps(said):
                raise SystemExit(f"bench: the API server was not waited for: {said}")
        server.end()
    return pings


def pings_while_an_operation_runs(landfall):
    """Milliseconds of pings sent while a worker writes and judges charts and a call waits for its news."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        server = Server(landfall, surroundings(folder, 1))
        pings = []
        for turn in range(3):
            workspace = os.path.join(folder, f"app{turn}")
            shutil.copytree(os.path.join(ROOT, "examples", "todo"), workspace, ignore=shutil.ignore_patterns("node_modules", ".next", ".landfall"))
            begun = server.begin("tools/call", {"name": "generate_chart", "arguments": {"workspace": workspace}})
            while not server.answered(begun):
                pings.append(server.ping())
            answer = json.loads(server.answer(begun))["result"]
            said = answer.get("structuredContent", {})
            if "operation" not in said:
                raise SystemExit(f"bench: no operation was begun: {answer}")
            state = "running"
            while state == "running":
                waiting = server.begin("tools/call", {"name": "operation_status", "arguments": {"workspace": workspace, "operation": said["operation"]["id"], "wait_s": 1}})
                while not server.answered(waiting):
                    pings.append(server.ping())
                said = json.loads(server.answer(waiting))["result"]["structuredContent"]
                state = said["operation"]["state"]
            if state != "succeeded":
                raise SystemExit(f"bench: the operation is {state}: {said.get('summary')}")
        server.end()
    return pings


def ran(command, rounds, env=None, code=0):
    """Median time of a whole process in ms, and the most memory that any run took in MB; it has to end with this code."""
    times, most = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
        _, status, usage = os.wait4(process.pid, 0)
        times.append((time.perf_counter() - began) * 1000)
        if os.waitstatus_to_exitcode(status) != code:
            raise SystemExit(f"bench: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
        most = max(most, usage.ru_maxrss / 1024)
    return percentile(times, 0.5), most


def surveys(landfall):
    """Rows about surveys, beside `nixpacks plan` where that is at hand."""
    nixpacks = shutil.which("nixpacks")
    plan = lambda folder, rounds: ran([nixpacks, "plan", folder], rounds)[0] if nixpacks else None
    with tempfile.TemporaryDirectory() as large:
        plant(large, FILES)
        time.sleep(0.2)  # what changed a moment ago is never answered from memory
        analyze = [landfall, "analyze", "--json"]
        small, _ = ran([*analyze, SMALL], ROUNDS)
        ran([*analyze, large], 2)
        whole, memory = ran([*analyze, large], 10)
        server = Server([landfall, "serve"])
        again = []
        for _ in range(6):
            began = time.perf_counter()
            server.call("analyze_project", workspace=large)
            again.append((time.perf_counter() - began) * 1000)
        server.end()
        return [
            ("survey of a small project, whole process", small, plan(SMALL, 10), 10, "ms"),
            (f"survey of {FILES} files, whole process", whole, plan(large, 3), 100, "ms"),
            ("most memory of that", memory, None, 60, "MB"),
            ("the same once more, in a running server", percentile(again[1:], 0.5), None, 60, "ms"),
        ]


def second_build(landfall, profile):
    """Rows about a project whose image is there already: what its operation takes from its first event to its last, and how many images are built for it."""
    with tempfile.TemporaryDirectory() as folder:
        workspace = os.path.join(folder, "again")
        shutil.copytree(os.path.join(ROOT, "tests", "generated", "express"), workspace)
        env = os.environ | {"LANDFALL_STATE": os.path.join(folder, "state")}

        def built():
            """Milliseconds between the first and the last event of one run, and its builds."""
            words = [landfall, "containerize", workspace, "--json", "--profile", profile]
            call = lambda *more: json.loads(subprocess.run([*words, *more], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL).stdout)
            said = call()
            if token := (said.get("approval") or {}).get("token"):
                said = call("--approval", token)
            if said.get("verdict") != "pass":
                raise SystemExit(f"bench: the image is not built: {said.get('summary')}")
            with open(os.path.join(workspace, ".landfall", "operations", said["operation"]["id"], "journal.jsonl")) as lines:
                events = [json.loads(line) for line in lines]
            at = lambda event: datetime.datetime.fromisoformat(event["at"]).timestamp() * 1000
            begun = [event for event in events if event["event"] == "effect_intended" and "image/" in json.dumps(event)]
            return at(events[-1]) - at(events[0]), len(begun)

        built()
        rounds = [built() for _ in range(5)]
        listed = subprocess.run(["minikube", "image", "ls", "-p", profile], capture_output=True, text=True).stdout.split()
        subprocess.run(["minikube", "image", "rm", "-p", profile, *[image for image in listed if "/again/express-hello:" in image]], capture_output=True)
        return [
            ("second build of an unchanged project", percentile([time for time, _ in rounds], 0.5), None, 1000, "ms"),
            ("images that are built again for it", max(count for _, count in rounds), None, 0, ""),
        ]


def unreachable(landfall):
    """Median ms of a look where nobody listens, and where somebody does who never answers."""
    silent = socket.create_server(("127.0.0.1", 0), backlog=64)
    gone = socket.create_server(("127.0.0.1", 0))
    closed = gone.getsockname()[1]
    gone.close()
    times = []
    for port in (closed, silent.getsockname()[1]):
        with tempfile.TemporaryDirectory() as folder:
            times.append(ran([landfall, "status", SHOP, "--profile", "hung", "--json"], 7, surroundings(folder, port) | {"PATH": folder}, code=7)[0])
    silent.close()
    return times


def guarding(landfall, guard):
    """Rows about looking at an app and following its rollout. What `helm --wait` takes for the same failures is measured on the cluster."""
    told = json.loads(subprocess.run([guard, "measure"], check=True, capture_output=True).stdout)
    closed, silent = unreachable(landfall)
    return [
        ("first definitive sign to the diagnosis", told["diagnosis_ms"], None, 300, "ms"),
        ("last pod ready to the verdict", told["verdict_ms"], None, 100, "ms"),
        ("a journal's line on disk, median", told["append_ms"], None, 2, "ms"),
        ("unreachable cluster told, nobody listens", closed, None, 1000, "ms"),
        ("unreachable cluster told, never an answer", silent, None, 1000, "ms"),
    ]


def table(beside, rows):
    """Prints rows of (name, value, other value, limit, unit); answers how many missed their limit."""
    print(f"{'figure':<44}{'landfall':>10}{beside:>15}{'ratio':>8}{'limit':>9}")
    missed = 0
    for name, value, other, limit, unit in rows:
        shown, ratio = (f"{other:.2f}", f"{value / other:.2f}") if other else ("-", "-")
        missed += value > limit
        print(f"{name:<44}{value:>10.2f}{shown:>15}{ratio:>8}{limit:>9.2f} {unit}{'   MISSED' if value > limit else ''}")
    return missed


def main(landfall, bare, guard):
    ours, floor = [landfall, "serve"], [bare]
    start, floor_start = starts(ours), starts(floor)
    (tools, memory, ping), (_, floor_memory, floor_ping) = settled(ours), settled(floor)
    hung, busy = pings_while_the_api_hangs(ours), pings_while_an_operation_runs(ours)
    size, floor_size = (os.path.getsize(path) / 1e6 for path in (landfall, bare))
    rows = [
        ("spawn to initialize answered, median", start, floor_start, min(10, 1.5 * floor_start), "ms"),
        ("resident after tools/list", memory, floor_memory, 15, "MB"),
        ("tools/list", tools, None, 24, "KB"),
        ("ping, 99th percentile, idle", ping, floor_ping, 5, "ms"),
        (f"ping, 99th, API server hangs ({len(hung)})", percentile(hung, 0.99), floor_ping, 5, "ms"),
        (f"ping, 99th, operation runs ({len(busy)})", percentile(busy, 0.99), floor_ping, 5, "ms"),
        ("release program", size, floor_size, 25, "MB"),
    ]
    missed = table("bare rmcp", rows)
    print()
    missed += table("nixpacks plan", surveys(landfall))
    profile = os.environ.get("LANDFALL_TEST_PROFILE")
    if profile:
        print()
        missed += table("-", second_build(landfall, profile))
    print()
    missed += table("-", guarding(landfall, guard))
    if profile and shutil.which("kwok"):
        print()
        missed += table("-", crowd.figures(landfall, profile, 10, 10, 50))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(*map(os.path.abspath, sys.argv[1:4])))
