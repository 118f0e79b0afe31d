"""Runs each linter once over the generated tree and holds its findings against the one list of accepted ones: judge.py TREE SCHEMAS TOOLS."""
import json
import os
import pathlib
import re
import subprocess
import sys

tree, schemas, tools = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
os.chdir(tree)
dockerfiles = sorted(str(path.relative_to(tree)) for path in tree.rglob("Dockerfile*") if not path.name.endswith(".dockerignore"))
manifests = sorted(str(path.relative_to(tree)) for path in tree.glob("*/manifests/*.yaml"))
if not dockerfiles or not manifests:
    sys.exit(f"there is nothing to lint in {tree}: {len(dockerfiles)} Dockerfiles, {len(manifests)} manifests")
# The manifests of workloads that open no port.
PORTLESS = "|".join(re.escape(path) for path in manifests if "containerPort:" not in pathlib.Path(path).read_text()) or "(?!)"

# checks (one question may have a name in each linter), where it may be found, why. At most six; one that nothing needs any more is a failure too.
ACCEPTED = [
    # Debian keeps only the newest version of a package in a release: a pinned one makes the build fail after the next fix. The base image's tag pins the release.
    (("DL3008",), r"Dockerfile", "the base's release is what pins Debian packages"),
    # Programs read their settings from the environment, and the survey says which; a file would be read by none of them.
    (("CKV_K8S_35",), r"", "the program reads a variable"),
    # Two pods must not write to one claim: what keeps data stands still for an update and is one pod; so is what keeps sessions in memory.
    (("deployment-strategy", "deployment-replicas"), r"", "a claim, or sessions in memory, have one owner"),
    # The public images of databases have users of their own, below 10000, to whom their files belong.
    (("CKV_K8S_40", "container-security-context-user-group-id"), r"(postgres|mysql|redis|mongodb|rabbitmq)(-instance)?(-test|\.yaml|$)", "the image's files belong to its user"),
    # A worker that offers no port can be asked nothing: when its process ends, the kubelet starts it again.
    (("CKV_K8S_8", "CKV_K8S_9"), PORTLESS, "there is nothing to ask"),
    # Without a health route an open port is all that can be asked for; it depends on nothing else, so liveness may ask for it too.
    (("pod-probes-identical",), r"", "an open port has no dependency"),
]


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
        row = next((row for row in ACCEPTED if check in row[0] and re.search(row[1], where)), None)
        used.add(row) if row else kept.append((check, where, text))
    open_findings += kept
    print(f"{name:12} {seen:6} looked at, {len(findings) - len(kept):4} accepted, {len(kept):4} findings", flush=True)
    for check, where, text in kept:
        print(f"  {check:28} {where}: {text}")
stale = [row for row in ACCEPTED if row not in used] if os.environ.get("LANDFALL_TEST_TIER") == "full" else []
for row in stale:
    print(f"  accepted, but nothing needs it any more: {', '.join(row[0])}")
sys.exit(1 if open_findings or stale or len(ACCEPTED) > 6 else 0)
