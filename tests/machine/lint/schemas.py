"""JSON schemas for kubeconform from the API server's own description: schemas.py SWAGGER FOLDER. Strict: a field that is not described is refused."""
import json
import pathlib
import sys

swagger, folder = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
folder.mkdir(parents=True, exist_ok=True)
QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"


def strict(node):
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("format") == "int-or-string":
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    out = {key: strict(value) for key, value in node.items() if not key.startswith("x-")}
    if isinstance(out.get("$ref"), str):
        out["$ref"] = out["$ref"].replace("#/definitions/", "_definitions.json#/definitions/")
    if isinstance(out.get("properties"), dict) and not node.get("x-kubernetes-preserve-unknown-fields"):
        out.setdefault("additionalProperties", False)
    return out


definitions = {name: strict(body) for name, body in swagger["definitions"].items()}
definitions[QUANTITY] = {"oneOf": [{"type": "string"}, {"type": "number"}]}
(folder / "_definitions.json").write_text(json.dumps({"definitions": definitions}))
for name, body in swagger["definitions"].items():
    for kind in body.get("x-kubernetes-group-version-kind", []):
        group = kind["group"].split(".")[0]
        file = "-".join(part for part in (kind["kind"].lower(), group, kind["version"]) if part)
        (folder / f"{file}.json").write_text(json.dumps(definitions[name]))
