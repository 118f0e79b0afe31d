"""Real failures of package managers and compilers, recorded: record.py OUTPUT.json. Each command is run in a folder of its own, as a build's step runs it.

What a program said is kept as a step's last lines, with the cause that a person reads from it; hosts of registries and folders of this machine are taken out.
A program that is not on this machine is passed over, and its rows stay as they were.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

LOCK, MISSING, SUM = "the lock file is missing or does not match the manifest", "a dependency was not found", "a package is not the one that the lock file names"
COMPILE, VERSION = "the application does not compile", "the project or a dependency asks for another version of the language"
TOOLS, NETWORK = "a dependency is compiled here, and a compiler or system library is missing", "the network or a package registry could not be reached from the build"
IMPORT, VARIABLE = "the application's own code stops while it is built", "the build needs an environment variable that it was not given"
POM = "<project><modelVersion>4.0.0</modelVersion><groupId>a</groupId><artifactId>a</artifactId><version>1</version>{}</project>"
COMPILER = "<build><plugins><plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-compiler-plugin</artifactId><version>3.14.1</version></plugin></plugins></build>"
RELEASE = "<properties><maven.compiler.release>{}</maven.compiler.release></properties>"
NOWHERE = "<dependencies><dependency><groupId>org.landfall.nobody</groupId><artifactId>nothing</artifactId><version>1</version></dependency></dependencies>"
# What is said of this machine's own settings.
OWN = re.compile(r"Looking in links|Unknown user config|A complete log of this run")
CARGO = '[package]\nname = "a"\nversion = "1.0.0"\nedition = "2021"\n'

# name, files, command, cause
ROWS = [
    ("npm without a lockfile", {"package.json": '{"name":"a","version":"1.0.0"}'}, "npm ci", LOCK),
    (
        "npm with an old lockfile",
        {
            "package.json": '{"name":"a","version":"1.0.0","dependencies":{"is-odd":"3.0.1"}}',
            "package-lock.json": '{"name":"a","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"a","version":"1.0.0"}}}',
        },
        "npm ci",
        LOCK,
    ),
    ("npm and an unknown package", {}, "npm install @landfall-nobody/nothing", MISSING),
    ("npm and an unknown version", {}, "npm install is-odd@999.0.0", MISSING),
    ("npm and a registry that is not there", {}, "npm install --fetch-retries 0 --registry http://registry.invalid is-odd", NETWORK),
    (
        "npm and another sum",
        {
            "package.json": '{"name":"a","version":"1.0.0","dependencies":{"is-odd":"3.0.1"}}',
            "package-lock.json": '{"name":"a","version":"1.0.0","lockfileVersion":3,"requires":true,"packages":{"":{"name":"a","version":"1.0.0","dependencies":{"is-odd":"3.0.1"}},'
            '"node_modules/is-odd":{"version":"3.0.1","integrity":"sha512-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==","dependencies":{"is-number":"^6.0.0"}},'
            '"node_modules/is-number":{"version":"6.0.0"}}}',
        },
        "npm ci",
        SUM,
    ),
    ("node and its heap", {}, "node --max-old-space-size=20 -e 'const a = []; for (;;) a.push(new Array(1e5).fill({}))'", "the build ran out of memory"),
    ("node and a database", {}, "node -e \"require('net').connect(5, '127.0.0.1')\"", "the build connects to a service that does not run during a build"),
    ("node and an unknown module", {}, "node -e \"require('landfall-nobody')\"", IMPORT),
    ("pip and an unknown package", {}, "python3 -m venv v && v/bin/pip install landfall-nobody==9.9.9", MISSING),
    ("pip and another sum", {"r.txt": "six==1.17.0 --hash=sha256:" + "0" * 64 + "\n"}, "python3 -m venv v && v/bin/pip install --require-hashes -r r.txt", SUM),
    ("pip and another Python", {"pyproject.toml": '[project]\nname = "a"\nversion = "1"\nrequires-python = ">=3.99"\n'}, "python3 -m venv v && v/bin/pip install .", VERSION),
    ("pip and a library of the system", {}, "python3 -m venv v && CC=/nowhere/cc v/bin/pip install --no-cache-dir --no-binary :all: psycopg2==2.9.11", TOOLS),
    ("python and a wrong line", {"main.py": "def broken(:\n"}, "python3 -m py_compile main.py", COMPILE),
    ("python and an unknown module", {}, "python3 -c 'import landfall_nobody'", IMPORT),
    ("python and a variable", {}, "python3 -c \"import os; os.environ['NEEDED']\"", VARIABLE),
    ("go and an unknown name", {"go.mod": "module a\n", "main.go": "package main\n\nfunc main() { missing() }\n"}, "go build .", COMPILE),
    ("go and an unknown package", {"go.mod": "module a\n", "main.go": 'package main\n\nimport _ "example.org/nothing"\n\nfunc main() {}\n'}, "go build .", MISSING),
    (
        "go without sums",
        {"go.mod": "module a\n\nrequire golang.org/x/text v0.14.0\n", "main.go": 'package main\n\nimport _ "golang.org/x/text/language"\n\nfunc main() {}\n'},
        "go build .",
        LOCK,
    ),
    ("cargo and a type", {"Cargo.toml": CARGO, "src/main.rs": "fn main() { let a: u8 = \"\"; }\n"}, "cargo build --offline", COMPILE),
    ("cargo without a lockfile", {"Cargo.toml": CARGO + '[dependencies]\nitoa = "1"\n', "src/main.rs": "fn main() {}\n"}, "cargo build --locked", LOCK),
    ("cargo and an unknown crate", {"Cargo.toml": CARGO + '[dependencies]\nlandfall-nobody = "1"\n', "src/main.rs": "fn main() {}\n"}, "cargo build", MISSING),
    ("maven and an unknown artifact", {"pom.xml": POM.format(COMPILER + NOWHERE)}, "mvn -B -q package", MISSING),
    ("maven and a type", {"pom.xml": POM.format(RELEASE.format(11) + COMPILER), "src/main/java/A.java": "class A { int a = \"\"; }\n"}, "mvn -B -q package", COMPILE),
    ("maven and another Java", {"pom.xml": POM.format(RELEASE.format(99) + COMPILER), "src/main/java/A.java": "class A {}\n"}, "mvn -B -q package", VERSION),
    ("a disk that is full", {}, "dd if=/dev/zero of=/dev/full count=1", "there is no space left"),
    ("a program that is not there", {}, "make-it-so", "a program is missing in the image"),
    ("a command without words", {}, "exit 3", "the command did not end well"),
]


def record(name, files, command, cause):
    """One row; None where its program is not on this machine."""
    program = command.split()[0]
    if program not in ("make-it-so", "exit") and not shutil.which(program):
        return None
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            path = pathlib.Path(folder, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run(["sh", "-c", command], cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
        said = done.stdout.replace(folder, "/src").replace(sys.base_prefix, "/usr/local").replace(os.path.expanduser("~"), "/root")
    if not done.returncode:
        sys.exit(f"{name}: the command ended well: {said}")
    # A step keeps its last 200 lines; colours are no words.
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line)[:300] for line in said.splitlines() if line.strip() and not OWN.search(line)][-200:]
    lines = [re.sub(r"https?://(?!registry\.invalid)[^/\s)>\"']+", "https://registry.example", line) for line in lines]
    code = done.returncode if done.returncode > 0 else 128 - done.returncode
    return {"name": name, "step": f"[2/3] RUN {command}", "error": f'process "/bin/sh -c {command}" did not complete successfully: exit code: {code}', "lines": lines, "cause": cause}


output = pathlib.Path(sys.argv[1])
kept = {row["name"]: row for row in json.loads(output.read_text())} if output.exists() else {}
rows = [record(*row) or kept.get(row[0]) for row in ROWS]
output.write_text(json.dumps([row for row in rows if row], indent=1, ensure_ascii=False) + "\n")
