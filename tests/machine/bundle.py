#!/usr/bin/env python3
"""An MCPB bundle of a built program, and server.json for the registry beside it.

    bundle.py --program target/release/landfall --output target/bundle [--url https://…/landfall-0.1.0-linux-x86_64.mcpb]

Everything in the manifest is asked of the program itself: its version, its tools with their descriptions, its prompts. The same program gives the same bytes.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = {"Linux": "linux", "Darwin": "darwin"}


def asked(program: Path, *methods: str) -> list[Any]:
    """Answers of the program over stdio, the opening first."""
    opening = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bundle", "version": "1"}}
    lines = [{"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": opening}, {"jsonrpc": "2.0", "method": "notifications/initialized"}]
    lines += [{"jsonrpc": "2.0", "id": number + 1, "method": method} for number, method in enumerate(methods)]
    with tempfile.TemporaryDirectory() as home:
        environment = {"PATH": os.environ["PATH"], "HOME": home, "LANDFALL_STATE": f"{home}/state"}
        with subprocess.Popen([program, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as server:
            answers: dict[int, Any] = {}
            for line in lines:
                server.stdin.write(json.dumps(line) + "\n")
                server.stdin.flush()
                if "id" in line:
                    answer = json.loads(server.stdout.readline())
                    answers[answer["id"]] = answer["result"]
            server.stdin.close()
    return [answers[number] for number in sorted(answers)]


def manifest(program: Path) -> dict[str, Any]:
    hello, tools, prompts = asked(program, "tools/list", "prompts/list")
    about = hello["serverInfo"]
    return {
        "manifest_version": "0.3",
        "name": about["name"],
        "display_name": about["title"],
        "version": about["version"],
        "description": about["description"],
        "author": {"name": "The Landfall authors"},
        "license": "MIT OR Apache-2.0",
        "keywords": ["minikube", "helm", "kubernetes", "deploy", "docker"],
        "server": {
            "type": "binary",
            "entry_point": "server/landfall",
            "mcp_config": {
                "command": "${__dirname}/server/landfall",
                "args": ["serve", "--approval", "${user_config.approval}", "--root", "${user_config.workspaces}"],
                "env": {},
            },
        },
        "user_config": {
            "workspaces": {
                "type": "directory",
                "title": "Folder of your code",
                "description": "Only workspaces inside this folder are ever read or written",
                "required": True,
                "multiple": True,
            },
            "approval": {
                "type": "string",
                "title": "Whose word counts",
                "description": "client: what your client asks you, or a token it hands back; human: only your own answer counts",
                "default": "client",
                "required": False,
            },
        },
        "tools": [{"name": tool["name"], "description": tool["description"]} for tool in tools["tools"]],
        "prompts": [
            {
                "name": prompt["name"],
                "description": prompt["description"],
                "arguments": [argument["name"] for argument in prompt["arguments"]],
                "text": f"Use the prompt {prompt['name']} of this server.",
            }
            for prompt in prompts["prompts"]
        ],
        "compatibility": {"platforms": [PLATFORMS[platform.system()]]},
    }


def write(path: Path, program: Path, about: dict[str, Any]) -> None:
    files = [("manifest.json", json.dumps(about, indent=2).encode() + b"\n", 0o644), ("server/landfall", program.read_bytes(), 0o755)]
    files += [(name, (ROOT / name).read_bytes(), 0o644) for name in ("LICENSE-MIT", "LICENSE-APACHE")]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bundle:
        for name, content, mode in files:
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o100000 | mode) << 16
            entry.create_system = 3
            bundle.writestr(entry, content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--url", help="where the bundle will lie; server.json then names it with its checksum")
    options = parser.parse_args()
    program = options.program.resolve()
    about = manifest(program)
    options.output.mkdir(parents=True, exist_ok=True)
    bundle = options.output / f"landfall-{about['version']}-{platform.system().lower()}-{platform.machine()}.mcpb"
    write(bundle, program, about)
    entry = json.loads((ROOT / "server.json").read_text())
    entry["version"] = about["version"]
    if options.url:
        digest = hashlib.sha256(bundle.read_bytes()).hexdigest()
        entry["packages"] = [{"registryType": "mcpb", "identifier": options.url, "fileSha256": digest, "transport": {"type": "stdio"}}]
    (options.output / "server.json").write_text(json.dumps(entry, indent=2) + "\n")
    print(bundle)


if __name__ == "__main__":
    main()
