"""For how many projects of a corpus a Dockerfile is written: corpora.py ROWS.json MIRRORS PROGRAM [SOURCE…].

ROWS.json holds {source, repo: owner/name, commit, path} per project; MIRRORS holds a git directory for each repository that is at hand, owner+name/….
Each project is copied at its commit, and the program asked for its files alone: no engine, no cluster, nothing built.
"""
import collections
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile

rows_file, mirrors, program, *sources = sys.argv[1:]


def mirror(repo):
    """The git directory of a repository, where there is one."""
    folder = pathlib.Path(mirrors, repo.replace("/", "+"))
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


def written(folder, state):
    """How many Dockerfiles were written or found, and the failure's code and message where there is none."""
    words = [program, "containerize", folder, "--until", "files", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "LANDFALL_STATE": state}, stdin=subprocess.DEVNULL, timeout=120)
    try:
        said = json.loads(done.stdout)
    except json.JSONDecodeError:
        return 0, f"exit code {done.returncode}: {done.stderr[-200:]}"
    count = sum(1 for path in pathlib.Path(folder).rglob("*Dockerfile*") if not path.name.endswith("ignore") and path.is_file())
    return count, f'{said.get("code", said.get("status"))}: {said.get("message", said.get("summary"))}'


counts, reasons = collections.defaultdict(collections.Counter), []
for row in json.loads(pathlib.Path(rows_file).read_text()):
    if sources and row["source"] not in sources:
        continue
    if not row["services"]:
        # Images of other people alone: there is nothing to write a Dockerfile for.
        counts[row["source"]]["nothing to build"] += 1
        continue
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as state:
        name = pathlib.Path(folder, pathlib.PurePath(row["path"]).name or "project")
        name.mkdir()
        if not project(row, name):
            counts[row["source"]]["not at hand"] += 1
            continue
        count, why = written(str(name), state)
        counts[row["source"]]["with" if count else "without"] += 1
        if not count:
            reasons.append(f'{row["source"]} {row["path"]}: {why}')
print("| source | projects | with a Dockerfile | share | nothing to build | not at hand |\n|---|---|---|---|---|---|")
for source, count in sorted(counts.items()):
    seen = count["with"] + count["without"]
    print(f'| {source} | {seen} | {count["with"]} | {100 * count["with"] // max(seen, 1)} % | {count["nothing to build"]} | {count["not at hand"]} |')
print("\n" + "\n".join(sorted(reasons)))
