#!/usr/bin/env python3
"""Health of many pods on many nodes, on a real API server: KWOK plays the kubelets; the scheduler and the controllers are the profile's own.

    crowd.py LANDFALL PROFILE NODES RELEASES REPLICAS    prints a table; exits 1 when a figure misses its limit

A kubelet renews its Lease every ten seconds; for a thousand that is more than a small machine can write beside ten thousand pods. Beyond a hundred nodes nobody renews
one, and the profile's node controller has to be patient (crowd.sh): otherwise it calls nodes lost after a minute, and their pods not ready.

The proof of the cluster knows no exception for simulated nodes: a node that the profile does not list is a stranger. So they are entered in the list of a copy
of the profile, as `minikube node add` would enter them, and the program is run with that copy. While the nodes are there, the real profile is refused; they go when this ends.
"""
import concurrent.futures, contextlib, json, os, shutil, signal, subprocess, sys, tempfile, time

LABEL = "landfall.dev/simulated"
MARK = {LABEL: "true"}
CLIENTS = 4


def run(*words, **more):
    return subprocess.run(words, check=True, capture_output=True, text=True, **more).stdout


def node(name):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {**MARK, "kubernetes.io/hostname": name}, "annotations": {"kwok.x-k8s.io/node": "fake"}},
            "spec": {"taints": [{"key": LABEL, "effect": "NoSchedule"}]},
            "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Simulated"}], "allocatable": {"cpu": "8", "memory": "32Gi", "pods": "110"}, "capacity": {"cpu": "8", "memory": "32Gi", "pods": "110"}}}


def create(objects, *words):
    """Makes these objects by several clients at once: each waits for every answer."""
    lists = [json.dumps({"apiVersion": "v1", "kind": "List", "items": objects[n::CLIENTS]}) for n in range(CLIENTS)]
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda text: run("kubectl", "create", *words, "-f", "-", input=text), lists))


def release(name, replicas):
    """A Deployment with its Service, and a record with the labels that Helm gives its own: they are all that is read of one."""
    instance = {"app.kubernetes.io/instance": name}
    container = {
        "name": "app", "image": f"localhost/crowd/{name}:1", "ports": [{"containerPort": 8000, "name": "http"}],
        "env": [{"name": "GREETING", "value": "hello"}, {"name": "PORT", "value": "8000"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}}, "livenessProbe": {"tcpSocket": {"port": "http"}},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "runAsNonRoot": True, "runAsUser": 10001, "capabilities": {"drop": ["ALL"]}},
    }
    pod = {"nodeSelector": MARK, "tolerations": [{"key": LABEL, "operator": "Exists"}], "terminationGracePeriodSeconds": 0, "containers": [container]}
    template = {"metadata": {"labels": {**instance, "app.kubernetes.io/part-of": "crowd"}}, "spec": pod}
    record = {"name": name, "owner": "helm", "status": "deployed", "version": "1"}
    return [
        {"apiVersion": "v1", "kind": "Secret", "type": "helm.sh/release.v1", "metadata": {"name": f"sh.helm.release.v1.{name}.v1", "labels": record}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": instance}, "spec": {"selector": instance, "ports": [{"port": 8000, "name": "http"}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "labels": instance}, "spec": {"replicas": replicas, "selector": {"matchLabels": instance}, "template": template}},
    ]


def copy_of_profile(folder, profile, nodes):
    """A minikube home with the profile's own files, whose list of nodes has these too."""
    there = os.environ.get("MINIKUBE_HOME", os.path.expanduser("~/.minikube"))
    there = there if there.endswith(".minikube") else os.path.join(there, ".minikube")
    own, new = os.path.join(there, "profiles", profile), os.path.join(folder, ".minikube", "profiles", profile)
    os.makedirs(new)
    shutil.copy(os.path.join(there, "ca.crt"), os.path.join(folder, ".minikube"))
    for name in ("client.crt", "client.key", "apiserver.crt"):
        shutil.copy(os.path.join(own, name), new)
    with open(os.path.join(own, "config.json")) as file:
        config = json.load(file)
    like = config["Nodes"][0]
    config["Nodes"] += [{**like, "Name": name.removeprefix(f"{profile}-"), "IP": "127.0.0.1", "Port": 0, "ControlPlane": False} for name in nodes]
    with open(os.path.join(new, "config.json"), "w") as file:
        json.dump(config, file)
    return os.path.join(folder, ".minikube")


def until(what, seconds, look):
    end = time.monotonic() + seconds
    while not look():
        if time.monotonic() > end:
            raise SystemExit(f"crowd: {what} is not so after {seconds} s")
        time.sleep(1)


def clear(namespace):
    """Takes away what a run leaves, an earlier one that was ended included. Asked until it is so: a busy API server breaks off the deletion of ten thousand objects."""
    deletions = [
        ("delete", "namespace", namespace, "--ignore-not-found", "--wait=false"),
        # All at once, and without a kubelet's word, which there may be none to give.
        ("delete", "--raw", f"/api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0"),
        ("delete", "--raw", f"/api/v1/nodes?labelSelector={LABEL}"),
    ]
    looks = [("get", "namespace", namespace, "--ignore-not-found", "-o", "name"), ("get", "nodes", "-l", LABEL, "-o", "name")]

    def gone():
        for words in deletions:
            subprocess.run(["kubectl", *words], capture_output=True)
        seen = [subprocess.run(["kubectl", *words], capture_output=True) for words in looks]
        return all(look.returncode == 0 and not look.stdout for look in seen)

    until("that the namespace and the simulated nodes are gone", 600, gone)


@contextlib.contextmanager
def crowd(profile, nodes, releases, replicas, namespace="crowd"):
    """The environment in which the program sees `releases` of `replicas` ready pods each in the namespace."""
    with tempfile.TemporaryDirectory() as folder, open(os.path.join(folder, "kwok.log"), "w") as log:
        clear(namespace)
        leases = [] if nodes > 100 else ["--node-lease-duration-seconds", "40"]
        played = ["--manage-all-nodes=false", "--manage-nodes-with-label-selector", LABEL, "--cidr", "10.64.0.0/14", *leases]
        kwok = subprocess.Popen(["kwok", "--kubeconfig", os.environ["KUBECONFIG"], *played], stdout=log, stderr=log)
        try:
            everyone = [f"{profile}-simulated{number}" for number in range(nodes)]
            create([node(name) for name in everyone])
            condition = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
            until(f"that {nodes} nodes are ready", 300, lambda: run("kubectl", "get", "nodes", "-l", LABEL, "-o", f"jsonpath={condition}").split() == ["True"] * nodes)
            run("kubectl", "create", "namespace", namespace)
            create([made for number in range(releases) for made in release(f"part-{number}", replicas)], "-n", namespace)
            wanted = [str(replicas)] * releases
            ready = lambda: run("kubectl", "get", "deployments", "-n", namespace, "-o", "jsonpath={.items[*].status.readyReplicas}").split() == wanted
            until(f"that {releases * replicas} pods are ready", 1200, ready)
            home = copy_of_profile(folder, profile, everyone)
            yield {**os.environ, "MINIKUBE_HOME": home, "LANDFALL_STATE": os.path.join(folder, "state")}
        finally:
            try:
                clear(namespace)
            finally:
                kwok.send_signal(signal.SIGTERM)
                kwok.wait(timeout=30)


def figures(landfall, profile, nodes, releases, replicas, rounds=7):
    """Rows: how long the health of all of them takes, and the most memory of the server that told it."""
    import bench
    pods = releases * replicas
    with crowd(profile, nodes, releases, replicas) as env:
        server = bench.Server([landfall, "serve"], env)
        times = []
        for _ in range(rounds):
            began = time.perf_counter()
            said = server.call("cluster_health", workspace=bench.SHOP, profile=profile, namespace="crowd")
            times.append((time.perf_counter() - began) * 1000)
            told = said["structuredContent"].get("counts", {}).get("pods")
            if told != {"ready": pods, "total": pods}:
                raise SystemExit(f"crowd: {pods} pods are ready, and told are {told}: {json.dumps(said)[:2000]}")
        with open(f"/proc/{server.process.pid}/status") as status:
            most = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
        server.end()
    what = f"{pods} pods on {nodes} simulated nodes"
    return [(f"health of {what}", bench.percentile(times, 0.5), None, 2000, "ms"), ("most memory of the server that told it", most, None, 60, "MB")]


def main(landfall, profile, *numbers):
    import bench
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return 1 if bench.table("-", figures(landfall, profile, *map(int, numbers))) else 0


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1]), *sys.argv[2:]))
