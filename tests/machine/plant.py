#!/usr/bin/env python3
"""Plants a large workspace, the same bytes every time: plant.py FOLDER FILES."""
import pathlib, random, sys


def plant(root, files):
    """A monorepo of this many files: sources, components, tests, documents, assets; the same bytes every time."""
    chance = random.Random(15000)
    words = "order user price ticket stock basket invoice street ledger client session queue event".split()
    def body(template, lines):
        return "".join(template.format(a=chance.choice(words), b=chance.choice(words), n=number) for number in range(lines))
    kinds = [
        (24, "web/src/components/{g}/{a}{n}.tsx", lambda: "import React from 'react';\n\nexport function View(props: {{ id: string }}) {{\n".replace('{{','{').replace('}}','}') + body("  const {a}{n} = useMemo(() => props.id + '{b}', [props.id]);\n", 25) + "  return <section className=\"card\"><h2>{props.id}</h2></section>;\n}\n"),
        (16, "web/src/lib/{g}/{a}{n}.ts", lambda: "import { api } from '@/lib/api';\n\n" + body("export async function {a}{n}(id: string): Promise<string> {{\n  return `${{id}}:{b}`;\n}}\n\n", 15)),
        (6, "web/src/lib/{g}/{a}{n}.test.ts", lambda: body("test('{a} {n}', () => {{ expect('{b}').toBe('{b}'); }});\n", 20)),
        (16, "backend/app/{g}/{a}{n}.py", lambda: "from __future__ import annotations\n\nfrom app.core import base\n\n\n" + body("def {a}_{n}(value: int) -> int:\n    \"\"\"{b}.\"\"\"\n    return value + {n}\n\n\n", 15)),
        (4, "backend/tests/{g}/test_{a}{n}.py", lambda: body("def test_{a}_{n}():\n    assert {n} == {n}\n\n", 20)),
        (8, "gateway/internal/{g}/{a}{n}.go", lambda: "package internal\n\n" + body("func {a}{n}(value int) int {{\n\treturn value + {n}\n}}\n\n", 15)),
        (8, "docs/{g}/{a}{n}.md", lambda: "# Notes\n\n" + body("The {a} of the {b} is described in section {n}.\n", 30)),
        (6, "web/src/locales/{g}/{a}{n}.json", lambda: "{\n" + body("  \"{a}{n}\": \"{b}\",\n", 30) + "  \"end\": 1\n}\n"),
        (2, "deploy/{g}/{a}{n}.yaml", lambda: "kind: ConfigMap\ndata:\n" + body("  {a}{n}: \"{b}\"\n", 15)),
        (10, "web/public/{g}/{a}{n}.svg", lambda: "<svg/>\n"),
    ]
    made = {
        "web/package.json": '{"name":"web","scripts":{"build":"next build","start":"next start"},"dependencies":{"next":"15.1.0","react":"19.0.0"}}',
        "backend/requirements.txt": "fastapi==0.115.0\nuvicorn==0.34.0\n",
        "backend/app/main.py": "import os\nfrom fastapi import FastAPI\n\napp = FastAPI()\nDSN = os.environ['DATABASE_URL']\n\n\n@app.get('/health')\ndef health():\n    return {}\n",
        "gateway/go.mod": "module example.org/gateway\n\ngo 1.24\n",
        "gateway/main.go": "package main\n\nimport \"net/http\"\n\nfunc main() {\n\t_ = http.ListenAndServe(\":8080\", nil)\n}\n",
    }
    number = 0
    total = sum(share for share, *_ in kinds)
    for share, shape, text in kinds:
        for _ in range(share * (files - len(made)) // total):
            number += 1
            made[shape.format(g=f"{chance.choice(words)}{number % 40}", a=chance.choice(words), n=number)] = text()
    while len(made) < files:
        made[f"web/public/more/{len(made)}.svg"] = "<svg/>\n"
    for path, text in made.items():
        place = pathlib.Path(root, path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)


if __name__ == "__main__":
    plant(sys.argv[1], int(sys.argv[2]))
