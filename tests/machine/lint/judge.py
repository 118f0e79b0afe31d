"""Runs each linter once over the generated tree and holds its findings against the one list of accepted ones: judge.py TREE SCHEMAS TOOLS."""
import json
import os
import pathlib
import re
import subprocess
import sys

# linter, check, where it may be found, why. At most six; one that nothing needs any more is a failure too.
ACCEPTED = [
    # Debian keeps only the newest version of a package in a release: a pinned one makes the build fail after the next fix. The base image's tag pins the release.
    ("hadolint", "DL3008", r"", "the base's release is what pins Debian packages"),
    # Kubernetes ignores HEALTHCHECK. It is written where the image holds a program that can ask; scratch, nginx and JRE images hold none.
    ("checkov", "CKV_DOCKER_2", r"", "Kubernetes asks by probes"),
    # Programs read their settings from the environment, and the survey says which; a file would be read by none of them.
    ("checkov", "CKV_K8S_35", r"", "the program reads a variable"),
    # Two pods must not write to one claim: what keeps data stands still for an update ...
    ("kube-score", "deployment-strategy", r"persistence|backing", "a claim has one writer"),
    # ... and is one pod; so is what keeps sessions in memory.
    ("kube-score", "deployment-replicas", r"", "a claim, or sessions in memory, have one owner"),
]

tree, schemas, tools = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
os.chdir(tree)
dockerfiles = sorted(str(path.relative_to(tree)) for path in tree.rglob("Dockerfile*") if not path.name.endswith(".dockerignore"))
manifests = sorted(str(path.relative_to(tree)) for path in tree.glob("*/manifests/*.yaml"))
if not dockerfiles or not manifests:
    sys.exit(f"there is nothing to lint in {tree}: {len(dockerfiles)} Dockerfiles, {len(manifests)} manifests")


def run(*command):
    """Output of a linter as JSON; findings are no failure of the program, silence is."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, "BC_SKIP_MAPPING": "TRUE", "LOG_LEVEL": "ERROR"})
    try:
        return json.loads(done.stdout)
    except json.JSONDecodeError:
        sys.exit(f"{command[0]} gave no JSON (exit code {done.returncode}): {done.stdout[-2000:]}{done.stderr[-2000:]}")


def hadolint():
    # Remarks in a file that switch a rule off are passed over here: the list above alone decides.
    findings = run(tools / "bin/hadolint", "--no-fail", "--disable-ignore-pragma", "--format", "json", *dockerfiles)
    return len(dockerfiles), [(item["code"], f'{item["file"]}:{item["line"]}', item["message"]) for item in findings]


def checkov():
    files = [word for file in dockerfiles + manifests for word in ("--file", file)]
    reports = run(tools / "bin/checkov", "--skip-download", "--compact", "--framework", "dockerfile", "kubernetes", "--output", "json", *files)
    reports = reports if isinstance(reports, list) else [reports]
    seen, findings = 0, []
    for report in reports:
        seen += report["summary"]["passed"]
        if report["summary"]["parsing_errors"]:
            findings.append(("parse", str(report["results"]["parsing_errors"]), "checkov cannot read it"))
        findings += [(item["check_id"], f'{item["file_path"]} {item["resource"]}', item["check_name"]) for item in report["results"]["failed_checks"]]
    return seen, findings


def kube_score():
    objects = run(tools / "bin/kube-score", "score", "--output-format", "json", "--kubernetes-version", "v1.34", *manifests)
    seen, findings = 0, []
    for item in objects:
        for check in item["checks"]:
            seen += 1
            if not check["skipped"] and check["grade"] < 10:
                said = "; ".join(f'{comment["path"]} {comment["summary"]}' for comment in check["comments"] or [])
                findings.append((check["check"]["id"], f'{item["file_name"]} {item["object_name"]}', said))
    return seen, findings


def kubeconform():
    report = run(tools / "bin/kubeconform", "-strict", "-output", "json", "-summary", "-schema-location", f"{schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", *manifests)
    return report["summary"]["valid"], [("schema", item["filename"], item["msg"]) for item in report["resources"]]


open_findings, used = [], set()
for name, linter in (("hadolint", hadolint), ("kubeconform", kubeconform), ("kube-score", kube_score), ("checkov", checkov)):
    seen, findings = linter()
    if not seen:
        sys.exit(f"{name} looked at nothing")
    kept = []
    for check, where, text in findings:
        row = next((row for row in ACCEPTED if row[0] == name and row[1] == check and re.search(row[2], where)), None)
        used.add(row) if row else kept.append((check, where, text))
    open_findings += kept
    print(f"{name:12} {seen:6} looked at, {len(findings) - len(kept):4} accepted, {len(kept):4} findings", flush=True)
    for check, where, text in kept:
        print(f"  {check:28} {where}: {text}")
stale = [row for row in ACCEPTED if row not in used] if os.environ.get("LANDFALL_TEST_TIER") == "full" else []
for row in stale:
    print(f"  accepted, but nothing needs it any more: {row[0]} {row[1]}")
sys.exit(1 if open_findings or stale or len(ACCEPTED) > 6 else 0)
