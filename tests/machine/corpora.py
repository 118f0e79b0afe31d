"""What is written for the projects of a corpus, and whether it works: corpora.py ROWS.json MIRRORS PROGRAM [--runs FILE] [--only WORD]… [SOURCE…]

ROWS.json holds {source, repo: owner/name, commit, path, services} per project; MIRRORS holds a git directory for each repository that is at hand, owner+name/….
Each project is copied at its commit. Without --runs the program is asked for its files alone: no engine, no cluster, nothing built.

With --runs each project whose base images lie in the engine of the profile LANDFALL_TEST_PROFILE is also built and deployed there, one after another, and taken
away again. Dockerfiles of the project itself are left out of its copy: what is measured is what is written. FILE gets a line of JSON per project and is what the
table is made from. A project that stands in it is not run again, unless --only names it: part of its `source path`.
"""
import argparse
import collections
import functools
import io
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

asked = argparse.ArgumentParser()
for word in ("rows", "mirrors", "program"):
    asked.add_argument(word)
asked.add_argument("--runs", type=pathlib.Path)
asked.add_argument("--only", action="append", default=[])
asked.add_argument("sources", nargs="*")
asked = asked.parse_args()

LEAST_FREE = 12e9
"""Bytes that must be free before another project is built."""


def mirror(repo):
    """The git directory of a repository, where there is one."""
    folder = pathlib.Path(asked.mirrors, repo.replace("/", "+"))
    return next((head.parent for head in [*folder.glob("HEAD"), *folder.glob("*/HEAD"), *folder.glob("*/.git/HEAD")]), None)


def project(row, folder):
    """Copies the project as it was committed; False where the commit is not at hand."""
    git = mirror(row["repo"])
    where = row["commit"] + ("" if row["path"] in ("", ".") else f':{row["path"]}')
    done = git and subprocess.run(["git", "--git-dir", git, "archive", where], capture_output=True)
    if not done or done.returncode:
        return False
    tarfile.open(fileobj=io.BytesIO(done.stdout)).extractall(folder, filter="tar")
    return True


def land(folder, state, words):
    """The program's reply to `words` about a project: its JSON, or what it said instead."""
    env = {**os.environ, "LANDFALL_STATE": str(state), "CORPUS_PLACEHOLDER": "http://127.0.0.1:9/"}
    command = [asked.program, words[0], str(folder), "--json", *words[1:]]
    done = subprocess.run(command, capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, timeout=600)
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        return {"code": f"exit code {done.returncode}", "message": done.stderr[-400:]}


def said(reply):
    return f'{reply.get("code") or reply.get("status")}: {reply.get("message") or reply.get("summary")}'


def dockerfiles(folder):
    return [path for path in folder.rglob("*Dockerfile*") if not path.name.endswith("ignore") and path.is_file() and ".landfall" not in path.parts]


@functools.cache
def bases():
    """The images of the profile's engine, as a FROM line names them."""
    done = subprocess.run(["minikube", "image", "ls", "-p", PROFILE], capture_output=True, text=True, check=True)
    return {line.removeprefix("docker.io/").removeprefix("library/") for line in done.stdout.splitlines()}


def missing(files):
    """The base images of these Dockerfiles that are neither in the engine nor a stage of their own."""
    lines = [line.split() for path in files for line in path.read_text().splitlines() if line.startswith("FROM ")]
    stages = {words[3] for words in lines if len(words) > 3}
    return sorted({words[1] for words in lines} - stages - bases() - {"scratch"})


def gates(folder, reply):
    """The checks that were judged in the operation of a reply."""
    journal = folder / ".landfall/operations" / ((reply.get("operation") or {}).get("id") or "-") / "journal.jsonl"
    events = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    return [check for event in events if event.get("event") == "gate_judged" for check in event["data"]["gate"]["checks"]]


def carried_out(folder, state, words):
    """The last reply of an operation whose questions are answered: instances in the cluster, generated secrets, a placeholder for what nobody knows."""
    words = [*words, "--profile", PROFILE, "--deadline-s", "500"]
    reply = land(folder, state, words)
    for _ in range(4):
        if reply.get("status") != "value_needed":
            break
        first = {value["name"]: next(iter(value["accepts"]), "") for value in reply["values_needed"]}
        stores = [way.removeprefix("backing: ") for way in first.values() if way.startswith("backing: ")]
        # An instance in the cluster brings its own host, user and password: the rest is asked again.
        words += [word for store in stores for word in ("--backing", store)]
        for value in [] if stores else reply["values_needed"]:
            generated = value["secret"] and any("generate" in way for way in value["accepts"])
            words += ["--secrets", value["name"] + ("=generate" if generated else "=env:CORPUS_PLACEHOLDER")]
        reply = land(folder, state, words)
    if reply.get("code") == "CLUSTER_UNREACHABLE":
        sys.exit(f'{reply["message"]}: without a cluster nothing is measured; the same command goes on where this one ended')
    token = (reply.get("approval") or {}).get("token")
    return land(folder, state, [*words, "--approval", token]) if token else reply


def cause(folder, stage, reply):
    """Why an operation was refused, in a line."""
    refusing = [check for check in gates(folder, reply) if check["outcome"] == "fail" or check["required"] and check["outcome"] == "not_run"]
    checks = [f'{check["id"]} {check.get("reason")}: {" ".join(piece.get("text", "")[-300:] for piece in check.get("evidence", []))}' for check in refusing]
    # Its beginning names the step, its end the error.
    words = said(reply) if len(said(reply)) < 600 else f"{said(reply)[:180]} … {said(reply)[-400:]}"
    return re.sub(r"\s+", " ", f"{stage}: {words} {' '.join(checks)}")


def run(folder, state, app):
    """Builds and deploys a project: what came of it, and why."""
    try:
        reply = carried_out(folder, state, ["containerize"])
        if reply.get("verdict") != "pass":
            return "fails", cause(folder, "build", reply)
        starts = [check for check in gates(folder, reply) if check["id"] == "docker.starts"]
        if starts and all("ended with 0" in json.dumps(check.get("evidence")) for check in starts):
            return "ends with 0", ""
        reply = carried_out(folder, state, ["deploy"])
        if any(diagnosis["code"] == "APP_EXIT0_LOOP" for diagnosis in reply.get("diagnoses") or []):
            return "ends with 0", ""
        return ("answers", "") if reply.get("verdict") == "pass" else ("fails", cause(folder, "deploy", reply))
    except subprocess.TimeoutExpired as late:
        return "fails", f"no end within {late.timeout:.0f} s"
    finally:
        subprocess.run(["kubectl", "delete", "namespace", app, "--timeout=90s", "--ignore-not-found"], capture_output=True)
        images = subprocess.run(["minikube", "image", "ls", "-p", PROFILE], capture_output=True, text=True).stdout.splitlines()
        ours = [image for image in images if f"/{app}/" in image]
        if ours:
            subprocess.run(["minikube", "image", "rm", "-p", PROFILE, *ours], capture_output=True)


def tried(row):
    """What comes of a project: (outcome, why)."""
    if not row["services"]:
        # Images of other people alone: there is nothing to write a Dockerfile for.
        return "nothing to build", ""
    with tempfile.TemporaryDirectory() as place, tempfile.TemporaryDirectory() as state:
        folder = pathlib.Path(place, pathlib.PurePath(row["path"]).name or "project")
        folder.mkdir()
        if not project(row, folder):
            return "not at hand", ""
        app = "corpus-" + re.sub("[^a-z0-9]+", "-", folder.name.lower())[:20].strip("-")
        if asked.runs:
            for path in dockerfiles(folder):
                path.unlink()
            folder.joinpath("landfall.toml").write_text(f'schema = 1\n[app]\nname = "{app}"\n[gates]\nwindow_s = 2\nimage_budget_mb = 2000\n')
        reply = land(folder, state, ["containerize", "--until", "files"])
        files = dockerfiles(folder)
        if not files:
            return "nothing written", said(reply)
        if not asked.runs:
            return "written", ""
        lacking = missing(files)
        return ("no base here", " ".join(lacking)) if lacking else run(folder, state, app)


PROFILE = os.environ["LANDFALL_TEST_PROFILE"] if asked.runs else None
known = [json.loads(line) for line in asked.runs.read_text().splitlines()] if asked.runs and asked.runs.exists() else []
results = {(line["source"], line["path"]): line for line in known}
for row in json.loads(pathlib.Path(asked.rows).read_text()):
    key = row["source"], row["path"] if row["path"] != "." else row["repo"]
    named = any(word in " ".join(key) for word in asked.only)
    if asked.sources and row["source"] not in asked.sources or asked.only and not named or key in results and not named:
        continue
    if asked.runs and shutil.disk_usage("/").free < LEAST_FREE:
        sys.exit("too little disk is free to build another project")
    began = time.monotonic()
    outcome, why = tried(row)
    results[key] = {"source": key[0], "path": key[1], "outcome": outcome, "why": why, "seconds": round(time.monotonic() - began)}
    if asked.runs:
        with asked.runs.open("a") as file:
            file.write(json.dumps(results[key]) + "\n")
        print(*key, outcome, why[:200], file=sys.stderr, flush=True)

counts = collections.defaultdict(collections.Counter)
for line in results.values():
    counts[line["source"]][line["outcome"]] += 1
if asked.runs:
    print("| source | projects | can be built here | answer | end with 0 | share |\n|---|---|---|---|---|---|")
    for source, count in sorted(counts.items()):
        works, here = count["answers"] + count["ends with 0"], count["answers"] + count["ends with 0"] + count["fails"]
        print(f'| {source} | {sum(count.values())} | {here} | {count["answers"]} | {count["ends with 0"]} | {100 * works // max(here, 1)} % |')
else:
    print("| source | projects | with a Dockerfile | share | nothing to build | not at hand |\n|---|---|---|---|---|---|")
    for source, count in sorted(counts.items()):
        seen = count["written"] + count["nothing written"]
        print(f'| {source} | {seen} | {count["written"]} | {100 * count["written"] // max(seen, 1)} % | {count["nothing to build"]} | {count["not at hand"]} |')
print("\n" + "\n".join(sorted(f'{line["source"]} {line["path"]}: {line["outcome"]}: {line["why"]}' for line in results.values() if line["why"])))
