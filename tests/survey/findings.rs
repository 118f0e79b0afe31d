//! The rules of the table: each with the smallest workspace that shows it, and a near miss.

use super::{look, made};

const FASTAPI: &[(&str, &str)] = &[
    ("requirements.txt", "fastapi==0.115.0\nuvicorn==0.30.0\n"),
    ("main.py", "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef health():\n    return {}\n"),
];
const NEXT: &str = "{\"name\":\"web\",\"scripts\":{\"build\":\"next build\",\"start\":\"next start\"},\"dependencies\":{\"next\":\"15.0.0\"}}";

fn has(base: &[(&str, &str)], more: &[(&str, &str)], code: &str, expect: bool) {
    let files: Vec<(&str, &str)> = base.iter().chain(more).copied().collect();
    let survey = look(made(&files).path());
    let codes: Vec<&str> = survey.findings.iter().map(|finding| finding.code.as_str()).collect();
    assert_eq!(codes.contains(&code), expect, "{code} in {codes:?}");
}

fn pair(base: &[(&str, &str)], code: &str, bad: &[(&str, &str)], near: &[(&str, &str)]) {
    has(base, bad, code, true);
    has(base, near, code, false);
}

#[test]
fn lockfiles() {
    let package = [("package.json", NEXT)];
    pair(&package, "lockfile_missing", &[], &[("package-lock.json", "{}")]);
    pair(
        &package,
        "lockfile_gitignored",
        &[(".gitignore", "package-lock.json\n"), ("package-lock.json", "{}")],
        &[(".gitignore", "yarn.lock\n"), ("package-lock.json", "{}")],
    );
    // A clone that lacks the file still has the line that says why.
    has(&package, &[(".gitignore", "package-lock.json\n")], "lockfile_gitignored", true);
}

#[test]
fn next_output() {
    let base = [("package.json", NEXT), ("package-lock.json", "{}")];
    let copies = (
        "Dockerfile",
        "FROM node:22-slim\nWORKDIR /app\nCOPY . .\nRUN npm ci && npm run build\nFROM node:22-slim\nCOPY --from=0 /app/.next/standalone ./\nUSER 10001\nCMD [\"node\", \"server.js\"]\n",
    );
    pair(
        &base,
        "standalone_missing_in_config",
        &[copies, ("next.config.js", "module.exports = {};\n")],
        &[copies, ("next.config.js", "module.exports = { output: 'standalone' };\n")],
    );
    pair(&base, "next_standalone_off", &[], &[("next.config.ts", "export default { output: \"standalone\" };\n")]);
    pair(
        &base,
        "export_with_server_start",
        &[("next.config.js", "module.exports = { output: 'export' };\n")],
        &[("next.config.js", "module.exports = { /* no output: export */ };\n")],
    );
}

#[test]
fn exported_pages_are_served_whatever_starts_them() {
    let files = [("package.json", NEXT), ("package-lock.json", "{}"), ("next.config.js", "module.exports = { output: 'export' };\n")];
    let dockerfile = ("Dockerfile", "FROM node:22-slim\nWORKDIR /app\nCOPY . .\nRUN npm ci && npm run build\nUSER 10001\nCMD [\"npx\", \"next\", \"start\"]\n");
    let ready = |files: &[(&str, &str)]| look(made(files).path()).ready.first().map(|ready| ready.containerizable);
    assert_eq!(ready(&files), Some(true));
    assert_eq!(ready(&[&files[..], &[dockerfile]].concat()), Some(false), "a person's Dockerfile starts the server that refuses");
}

#[test]
fn what_a_fresh_clone_lacks() {
    let docker = |copy: &str| format!("FROM python:3.13-slim\nCOPY {copy} /app/\nUSER 10001\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\"]\n");
    let (missing, ignored, glob, there) = (docker("setup.cfg"), docker("local.txt"), docker("requirements*.txt"), docker("requirements.txt main.py"));
    pair(FASTAPI, "copy_source_missing", &[("Dockerfile", &missing)], &[("Dockerfile", &there)]);
    pair(FASTAPI, "copy_source_missing", &[("Dockerfile", &ignored), ("local.txt", ""), (".gitignore", "local.txt\n")], &[("Dockerfile", &glob)]);
    let web = [("package.json", NEXT), ("package-lock.json", "{}"), ("next.config.js", "module.exports = { output: 'standalone' };\n")];
    let file = (
        "Dockerfile",
        "FROM node:22-slim AS builder\nWORKDIR /app\nCOPY . .\nRUN npm ci && npm run build\nFROM node:22-slim\nCOPY --from=builder /app/public ./public\nUSER 10001\nCMD [\"node\", \"server.js\"]\n",
    );
    pair(&web, "copies_missing_public", &[file], &[file, ("public/robots.txt", "")]);
}

#[test]
fn secrets_in_tracked_files() {
    let key = "the key AKIAQ3EGRZ7TLWPV5XNM is in here\n";
    pair(FASTAPI, "secret_in_tracked_file", &[("STATUS.md", key)], &[("STATUS.md", key), (".gitignore", "STATUS.md\n")]);
    pair(
        FASTAPI,
        "secret_like_value_in_tracked_file",
        &[(".env", "JWT_SECRET=9f8Ze2Kq71LmVx0aPw4RtYb6\n")],
        &[(".env.example", "JWT_SECRET=change-me-please-to-32-characters\n")],
    );
    let code = |default: &str| {
        format!("import os\nfrom fastapi import FastAPI\napp = FastAPI()\nA = os.getenv('JWT_SECRET'{default})\nB = os.getenv('JWT_ALGORITHM', 'HS256')\n")
    };
    let (open, none) = (code(", 'change-me'"), code(""));
    pair(&[("requirements.txt", "fastapi\n")], "secret_default_in_code", &[("main.py", &open)], &[("main.py", &none)]);
    let switch = code(", 'change-me'").replace("JWT_SECRET", "CORS_CREDENTIALS");
    pair(&[("requirements.txt", "fastapi\n")], "secret_default_in_code", &[("main.py", &open)], &[("main.py", &switch)]);
    let chart = ("chart/Chart.yaml", "name: x\n");
    pair(
        FASTAPI,
        "secret_value_in_values_yaml",
        &[chart, ("chart/values.yaml", "secrets:\n  jwtSecret: abc\n")],
        &[chart, ("chart/values.yaml", "secrets:\n  jwtSecret: \"\"\n  existingSecret: \"\"\n")],
    );
}

#[test]
fn loopback() {
    pair(
        FASTAPI,
        "listens_on_loopback",
        &[("Procfile", "web: uvicorn main:app --port 8000\n")],
        &[("Procfile", "web: uvicorn main:app --host 0.0.0.0 --port 8000\n")],
    );
    // Gunicorn listens on every address once PORT is set, and whoever runs a Procfile sets it.
    let flask = [("app.py", "from flask import Flask\napp = Flask(__name__)\n"), ("requirements.txt", "flask==3.1.0\ngunicorn==23.0.0\n")];
    let image = "FROM python:3.13-slim\nCOPY . .\nRUN pip install -r requirements.txt\nCMD [\"gunicorn\", \"app:app\"]\n";
    pair(&flask, "listens_on_loopback", &[("Dockerfile", image)], &[("Procfile", "web: gunicorn app:app\n")]);
    let run = |host: &str| {
        format!("from fastapi import FastAPI\nimport uvicorn\napp = FastAPI()\nif __name__ == '__main__':\n    uvicorn.run(app{host}, port=8000)\n")
    };
    let (none, open) = (run(""), run(", host='0.0.0.0'"));
    let base = [("requirements.txt", "fastapi\nuvicorn\n"), ("Procfile", "web: python main.py\n")];
    pair(&base, "listens_on_loopback", &[("main.py", &none)], &[("main.py", &open)]);
    let express = [("package.json", "{\"scripts\":{\"start\":\"node index.js\"},\"dependencies\":{\"express\":\"4\"}}"), ("package-lock.json", "{}")];
    let script = |listen: &str| format!("const express = require('express');\nconst app = express();\napp.listen({listen});\n");
    let (closed, open) = (script("3000, '127.0.0.1'"), script("process.env.PORT || 3000"));
    pair(&express, "listens_on_loopback", &[("index.js", &closed)], &[("index.js", &open)]);
}

#[test]
fn addresses_for_browsers() {
    let base = [
        ("web/package.json", NEXT),
        ("web/package-lock.json", "{}"),
        ("backend/requirements.txt", "fastapi\nuvicorn\n"),
        ("backend/main.py", "from fastapi import FastAPI\napp = FastAPI()\n"),
    ];
    let code = |url: &str| format!("export const api = process.env.NEXT_PUBLIC_API_URL || '{url}';\n");
    let (local, dns, public, server) = (
        code("http://localhost:8000"),
        code("http://backend:8000"),
        code("https://api.example.com"),
        "export const api = process.env.BACKEND_URL || 'http://localhost:8000';\n",
    );
    pair(&base, "localhost_baked", &[("web/lib/api.ts", &local)], &[("web/lib/api.ts", &public)]);
    has(&base, &[("web/lib/api.ts", server)], "localhost_baked", false);
    pair(&base, "cluster_dns_baked_for_browser", &[("web/lib/api.ts", &dns)], &[("web/lib/api.ts", &local)]);
    let chart = ("chart/Chart.yaml", "name: x\n");
    pair(
        &base,
        "next_public_set_at_runtime",
        &[chart, ("chart/templates/web.yaml", "env:\n  - name: NEXT_PUBLIC_API_URL\n    value: \"http://backend:8000\"\n")],
        &[chart, ("chart/templates/web.yaml", "env:\n  - name: BACKEND_URL\n    value: \"http://backend:8000\"\n")],
    );
    pair(
        &base,
        "browser_var_points_to_cluster_dns",
        &[chart, ("chart/values.yaml", "env:\n  NEXT_PUBLIC_API_URL: http://backend:8000\n")],
        &[chart, ("chart/values.yaml", "env:\n  NEXT_PUBLIC_API_URL: https://todo.example.com\n")],
    );
}

#[test]
fn mcp() {
    let server = |arguments: &str| {
        format!(
            "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('x'{arguments})\n@mcp.tool()\ndef a() -> int:\n    return 1\nif __name__ == '__main__':\n    mcp.run(transport='streamable-http')\n"
        )
    };
    let (guarded, open) = (server(", port=8001"), server(", host='0.0.0.0', port=8001"));
    let base = [("requirements.txt", "mcp==1.25.0\n")];
    pair(&base, "mcp_host_check_refuses_service_names", &[("server.py", &guarded)], &[("server.py", &open)]);
    pair(FASTAPI, "mcp_name_only", &[("mcp_server.py", "def add_task():\n    return 1\n")], &[("tools.py", "def add_task():\n    return 1\n")]);
    pair(FASTAPI, "mcp_package_name_shadowed", &[("requirements.txt", "fastapi\nuvicorn\nmcp\n"), ("mcp/__init__.py", "")], &[("mcp/__init__.py", "")]);
}

#[test]
fn entry_points() {
    pair(
        FASTAPI,
        "entry_point_cannot_import",
        &[("Procfile", "web: uvicorn app.main:app --host 0.0.0.0\n")],
        &[("Procfile", "web: uvicorn main:app --host 0.0.0.0\n")],
    );
    let node = [("index.js", "require('http').createServer().listen(3000)\n"), ("package-lock.json", "{}")];
    pair(
        &node,
        "entry_point_cannot_import",
        &[("package.json", "{\"scripts\":{\"start\":\"node server.js\"}}")],
        &[("package.json", "{\"scripts\":{\"start\":\"node index.js\"}}")],
    );
}

#[test]
fn images() {
    let docker = |base: &str, more: &str| format!("FROM {base}\nCOPY . .\n{more}\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\"]\n");
    let ignore = (".dockerignore", ".git\n");
    let good = docker("python:3.13-slim", "USER 10001");
    let (floating, root, compiler) = (
        docker("python", "USER 10001"),
        docker("python:3.13-slim", ""),
        docker("python:3.13-slim", "RUN apt-get update && apt-get install -y gcc\nUSER 10001"),
    );
    pair(FASTAPI, "latest_base", &[("Dockerfile", &floating), ignore], &[("Dockerfile", &good), ignore]);
    pair(FASTAPI, "root_user", &[("Dockerfile", &root), ignore], &[("Dockerfile", &good), ignore]);
    pair(FASTAPI, "no_dockerignore", &[("Dockerfile", &good)], &[("Dockerfile", &good), ignore]);
    pair(FASTAPI, "compiler_in_final", &[("Dockerfile", &compiler), ignore], &[("Dockerfile", &good), ignore]);
    let (wrong, right) = (
        docker("python:3.13-slim", "USER 10001\nHEALTHCHECK CMD curl -f http://localhost:8000/healthz"),
        docker("python:3.13-slim", "USER 10001\nHEALTHCHECK CMD python -c \"from urllib.request import urlopen; urlopen('http://localhost:8000/health')\""),
    );
    pair(FASTAPI, "healthcheck_path_missing", &[("Dockerfile", &wrong), ignore], &[("Dockerfile", &right), ignore]);
    let asks = docker("python:3.13-slim", "USER 10001\nHEALTHCHECK CMD python -c \"import requests; requests.get('http://localhost:8000/health')\"");
    pair(FASTAPI, "healthcheck_needs_missing_module", &[("Dockerfile", &asks), ignore], &[("Dockerfile", &right), ignore]);
    pair(
        FASTAPI,
        "latest_tag",
        &[("compose.yaml", "services:\n  db:\n    image: postgres\n")],
        &[("compose.yaml", "services:\n  db:\n    image: postgres:17\n")],
    );
}

#[test]
fn builds_of_frontends() {
    let base = [
        ("package.json", NEXT),
        ("package-lock.json", "{}"),
        ("lib/api.ts", "export const api = process.env.NEXT_PUBLIC_API_URL;\n"),
        (".dockerignore", "x\n"),
    ];
    let docker = |install: &str, argument: &str| {
        format!("FROM node:22-slim\nWORKDIR /app\nCOPY . .\nRUN {install}\n{argument}\nRUN npm run build\nUSER 10001\nCMD [\"npx\", \"next\", \"start\"]\n")
    };
    let (bare, argued, omits) = (docker("npm ci", ""), docker("npm ci", "ARG NEXT_PUBLIC_API_URL"), docker("npm ci --omit=dev", "ARG NEXT_PUBLIC_API_URL"));
    pair(&base, "next_public_not_build_arg", &[("Dockerfile", &bare)], &[("Dockerfile", &argued)]);
    let typed = (
        "package.json",
        "{\"name\":\"web\",\"scripts\":{\"build\":\"next build\",\"start\":\"next start\"},\"dependencies\":{\"next\":\"15.0.0\"},\"devDependencies\":{\"typescript\":\"5.9.0\"}}",
    );
    pair(&base, "devdeps_omitted_before_build", &[typed, ("Dockerfile", &omits)], &[typed, ("Dockerfile", &argued)]);
    // Nothing that builds is among what is left out.
    has(&base, &[("Dockerfile", &omits)], "devdeps_omitted_before_build", false);
}

#[test]
fn charts() {
    let chart = ("chart/Chart.yaml", "name: x\n");
    let deployment = |more: &str| {
        format!("kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: a\n          ports: [{{containerPort: 80}}]\n{more}")
    };
    let full = deployment("          resources: {limits: {cpu: 1}}\n          readinessProbe: {tcpSocket: {port: 80}}\n");
    let bare = deployment("");
    let claim = deployment(
        "          resources: {limits: {cpu: 1}}\n          readinessProbe: {tcpSocket: {port: 80}}\n      volumes:\n        - persistentVolumeClaim: {claimName: a}\n",
    );
    let recreate = claim.replacen("spec:\n", "spec:\n  strategy: {type: Recreate}\n", 1);
    pair(FASTAPI, "no_resources", &[chart, ("chart/templates/a.yaml", &bare)], &[chart, ("chart/templates/a.yaml", &full)]);
    pair(FASTAPI, "no_readiness", &[chart, ("chart/templates/a.yaml", &bare)], &[chart, ("chart/templates/a.yaml", &full)]);
    let named = "kind: Deployment\nspec:\n  template:\n    {{- include \"chart.pod\" . | nindent 4 }}\n";
    let scaler = "kind: HorizontalPodAutoscaler\nspec:\n  scaleTargetRef:\n    kind: Deployment\n    name: a\n";
    for given in [named, scaler] {
        pair(FASTAPI, "no_resources", &[chart, ("chart/templates/a.yaml", &bare)], &[chart, ("chart/templates/a.yaml", given)]);
        pair(FASTAPI, "no_readiness", &[chart, ("chart/templates/a.yaml", &bare)], &[chart, ("chart/templates/a.yaml", given)]);
    }
    pair(FASTAPI, "pvc_with_rollingupdate", &[chart, ("chart/templates/a.yaml", &claim)], &[chart, ("chart/templates/a.yaml", &recreate)]);
    pair(FASTAPI, "latest_tag", &[chart, ("chart/values.yaml", "image:\n  tag: latest\n")], &[chart, ("chart/values.yaml", "image:\n  tag: \"1.2\"\n")]);
}

#[test]
fn nothing_to_deploy() {
    pair(&[], "nothing_to_deploy", &[("README.md", "# notes\n")], FASTAPI);
}

/// A chart beside a service: values, one template, and whether it shows the code.
fn chart(base: &[(&str, &str)], code: &str, values: &str, template: &str, expect: bool) {
    let more = [("chart/Chart.yaml", "apiVersion: v2\nname: todo\nversion: 0.1.0\n"), ("chart/values.yaml", values), ("chart/templates/all.yaml", template)];
    has(base, &more, code, expect);
}

/// A deployment of the image `backend` with these lines in its container, and more documents behind it.
fn deployment(container: &str, more: &str) -> String {
    let lines: String = container.lines().map(|line| format!("          {line}\n")).collect();
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: {{{{ .Release.Name }}}}-backend\nspec:\n  template:\n    metadata:\n      labels: {{app: backend}}\n    spec:\n      containers:\n        - name: backend\n          image: todo-backend:1.0\n{lines}{more}"
    )
}

/// FASTAPI in the folder `backend`, with a Dockerfile that runs it on 8000.
const BACKEND: &[(&str, &str)] = &[
    ("backend/requirements.txt", "fastapi==0.115.0\nuvicorn==0.30.0\n"),
    (
        "backend/main.py",
        "import os\nfrom fastapi import FastAPI\nKEY = os.environ['SIGNING_KEY_ID']\nURL = os.getenv('WORKER_URL')\napp = FastAPI()\n@app.get('/health')\ndef health():\n    return {}\n",
    ),
    (
        "backend/Dockerfile",
        "FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt\nUSER 10001\nEXPOSE 8000\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]\n",
    ),
    ("backend/.dockerignore", ".git\n"),
];

#[test]
fn charts_that_do_not_render() {
    let code = "does_not_render_with_defaults";
    let map = "kind: ConfigMap\nmetadata: {name: a}\ndata:\n";
    chart(BACKEND, code, "a: {}\n", &format!("{map}  x: {{{{ .Values.missing.deep }}}}\n"), true);
    chart(BACKEND, code, "a: {}\n", &format!("{map}  x: \"{{{{ .Values.missing }}}}\"\n"), false);
    chart(BACKEND, code, "", &format!("{map}{{{{ if true }}}}\n"), true);
    chart(BACKEND, code, "", &format!("{map}{{{{ if true }}}}  x: a\n{{{{ end }}}}"), false);
    chart(BACKEND, code, "", &format!("{map}  x: {{{{ include \"nowhere\" . }}}}\n"), true);
    chart(BACKEND, code, "", &format!("{{{{ define \"here\" }}}}a{{{{ end }}}}{map}  x: {{{{ include \"here\" . }}}}\n"), false);
    chart(BACKEND, code, "", "kind: ConfigMap\n bad: [\n", true);
    chart(BACKEND, code, "a: [\n", map, true);
    // A value that the author demands is asked for, not forgotten; what only a cluster knows is not guessed.
    chart(BACKEND, code, "", &format!("{map}  x: {{{{ required \"say x\" .Values.x }}}}\n"), false);
    chart(BACKEND, code, "", "{{ if .Capabilities.APIVersions.Has \"example.com/v1\" }}{{ .Values.no.where }}{{ end }}", false);
    chart(BACKEND, code, "", &format!("{map}  x: {{{{ (lookup \"v1\" \"Secret\" \"a\" \"b\").data }}}}\n"), false);
    chart(BACKEND, code, "", &format!("{{{{ $_ := set .Values \"made\" (dict \"x\" \"y\") }}}}{map}  x: {{{{ .Values.made.x }}}}\n"), false);
    chart(BACKEND, code, "", &format!("{map}  x: {{{{ randAlphaNum 8 | b64enc | quote }}}}\n"), false);
    // A file includes another by its path, as checksums do.
    chart(BACKEND, code, "", &format!("{map}  x: {{{{ include (print $.Template.BasePath \"/_a.tpl\") . | sha256sum }}}}\n"), true);
    let with = [("chart/templates/_a.tpl", "text")];
    let base: Vec<(&str, &str)> = BACKEND.iter().chain(&with).copied().collect();
    chart(&base, code, "", &format!("{map}  x: {{{{ include (print $.Template.BasePath \"/_a.tpl\") . | sha256sum }}}}\n"), false);
    // What a dependency brings is not known here.
    let library = (
        "chart/Chart.yaml",
        "apiVersion: v2\nname: todo\nversion: 0.1.0\ndependencies:\n  - name: common\n    version: 1.x.x\n    repository: https://charts.example.com\n",
    );
    has(BACKEND, &[library, ("chart/templates/a.yaml", "{{ include \"common.deployment\" . }}")], code, false);
}

#[test]
fn references_between_objects() {
    let env = |kind: &str, name: &str, key: &str| {
        deployment(&format!("env:\n  - name: SIGNING_KEY_ID\n    valueFrom:\n      {kind}:\n        name: {name}\n        key: {key}"), "")
    };
    let secret = |key: &str| format!("---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: keys\nstringData:\n  {key}: \"\"\n");
    let map = |key: &str| format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  {key}: a\n");
    let (from_secret, from_map) = (env("secretKeyRef", "keys", "id"), env("configMapKeyRef", "settings", "id"));
    chart(BACKEND, "secret_not_in_chart", "", &from_secret, true);
    chart(BACKEND, "secret_not_in_chart", "", &format!("{from_secret}{}", secret("id")), false);
    chart(BACKEND, "secret_not_in_chart", "", &env("secretKeyRef", "keys", "id\n        optional: true"), false);
    chart(BACKEND, "secret_key_missing", "", &format!("{from_secret}{}", secret("other")), true);
    chart(BACKEND, "secret_key_missing", "", &format!("{from_secret}{}", secret("id")), false);
    chart(BACKEND, "configmap_key_missing", "", &format!("{from_map}{}", map("other")), true);
    chart(BACKEND, "configmap_key_missing", "", &format!("{from_map}{}", map("id")), false);
    chart(BACKEND, "configmap_not_in_chart", "", &from_map, true);
    chart(BACKEND, "configmap_not_in_chart", "", &format!("{from_map}{}", map("id")), false);
}

#[test]
fn secrets_in_pods() {
    let env = |name: &str, value: &str| deployment(&format!("env:\n  - name: {name}\n    value: \"{value}\""), "");
    chart(BACKEND, "secret_as_plain_env", "", &env("JWT_SECRET", "{{ .Values.jwt | default \"abc\" }}"), true);
    for near in [env("JWT_SECRET", ""), env("JWT_SECRET", "{{ randAlphaNum 32 }}"), env("JWT_SECRET_NAME", "keys"), env("TOKEN_TTL_SECONDS", "60")] {
        chart(BACKEND, "secret_as_plain_env", "", &near, false);
    }
    chart(BACKEND, "db_password_in_plain_env", "", &env("DATABASE_URL", "postgresql://todo:pass-word@db:5432/todo"), true);
    chart(BACKEND, "db_password_in_plain_env", "", &env("DATABASE_URL", "postgresql://db:5432/todo"), false);
    // `keys` under `secrets` name keys, they hold no values.
    chart(BACKEND, "secret_value_in_values_yaml", "secrets:\n  databaseUrl: DATABASE_URL\n  existingSecret: todo-keys\n", "", false);
    chart(BACKEND, "secret_value_in_values_yaml", "secrets:\n  openaiApiKey: abc123\n", "", true);
    chart(BACKEND, "secret_value_in_values_yaml", "env:\n  DATABASE_URL: sqlite:///./data.db\nredis: {connectionString: \"redis:6379\"}\n", "", false);
    chart(BACKEND, "secret_value_in_values_yaml", "env:\n  DATABASE_URL: postgresql://todo:pass-word@db/todo\n", "", true);
}

#[test]
fn services_of_charts() {
    let service = |spec: &str| format!("apiVersion: v1\nkind: Service\nmetadata:\n  name: backend\nspec:\n{spec}");
    let pod = deployment("", "---\n");
    chart(BACKEND, "loadbalancer_needs_tunnel", "", &service("  type: LoadBalancer\n"), true);
    chart(BACKEND, "loadbalancer_needs_tunnel", "", &service("  type: ClusterIP\n"), false);
    chart(BACKEND, "hard_coded_nodeport", "", &service("  type: NodePort\n  ports: [{port: 80, nodePort: 30080}]\n"), true);
    chart(BACKEND, "hard_coded_nodeport", "port: null\n", &service("  type: NodePort\n  ports: [{port: 80, nodePort: {{ .Values.port }}}]\n"), false);
    chart(BACKEND, "service_selects_nothing", "", &format!("{pod}{}", service("  selector: {app: web}\n")), true);
    chart(BACKEND, "service_selects_nothing", "", &format!("{pod}{}", service("  selector: {app: backend}\n")), false);
    chart(BACKEND, "port_mismatch", "", &format!("{pod}{}", service("  selector: {app: backend}\n  ports: [{port: 80, targetPort: 3000}]\n")), true);
    chart(BACKEND, "port_mismatch", "", &format!("{pod}{}", service("  selector: {app: backend}\n  ports: [{port: 80, targetPort: 8000}]\n")), false);
}

#[test]
fn addresses_between_services() {
    let service = |name: &str| format!("---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\nspec: {{}}\n");
    let calls = |host: &str| deployment(&format!("env:\n  - name: WORKER_URL\n    value: http://{host}:9000"), "");
    let worker = [
        ("worker/requirements.txt", "celery==5.4.0\n"),
        ("worker/tasks.py", "from celery import Celery\napp = Celery('x')\n"),
        ("worker/Dockerfile", "FROM python:3.13-slim\nCOPY . .\nUSER 10001\nCMD [\"celery\", \"-A\", \"tasks\", \"worker\"]\n"),
    ];
    let base: Vec<(&str, &str)> = BACKEND.iter().chain(&worker).copied().collect();
    chart(&base, "dangling_service_dns", "", &format!("{}{}", calls("worker"), service("{{ .Release.Name }}-worker")), true);
    chart(&base, "dangling_service_dns", "", &format!("{}{}", calls("{{ .Release.Name }}-worker"), service("{{ .Release.Name }}-worker")), false);
    // A name that fits under some release is not refused while nobody wrote the release down, and judged where somebody did.
    chart(&base, "dangling_service_dns", "", &format!("{}{}", calls("todo-worker"), service("{{ .Release.Name }}-worker")), false);
    let documented: Vec<(&str, &str)> = base.iter().copied().chain([("README.md", "    helm install demo ./chart\n")]).collect();
    chart(&documented, "dangling_service_dns", "", &format!("{}{}", calls("todo-worker"), service("{{ .Release.Name }}-worker")), true);
    // Somebody else's Service is not ours to know.
    chart(&base, "dangling_service_dns", "", &format!("{}{}", calls("kafka-bootstrap"), service("{{ .Release.Name }}-worker")), false);
}

#[test]
fn probes_of_charts() {
    let probe = |path: &str, port: &str| {
        deployment(&format!("ports: [{{name: http, containerPort: 8000}}]\nreadinessProbe:\n  httpGet: {{path: {path}, port: {port}}}"), "")
    };
    chart(BACKEND, "probe_path_not_served", "", &probe("/healthz", "http"), true);
    chart(BACKEND, "probe_path_not_served", "", &probe("/health", "http"), false);
    chart(BACKEND, "port_mismatch", "", &probe("/health", "3000"), true);
    chart(BACKEND, "port_mismatch", "", &probe("/health", "http"), false);
    let next = [
        ("backend/package.json", NEXT),
        ("backend/app/api/auth/[...all]/route.ts", "export function GET() {}\n"),
        ("backend/app/api/items/[id]/route.ts", "export function GET() {}\n"),
    ];
    for (path, expect) in [("/api/health", true), ("/api/auth/x/y", false), ("/api/items/1", false), ("/api/items/1/2", true), ("/", false)] {
        chart(&next, "probe_path_not_served", "", &probe(path, "http"), expect);
    }
    let rewrites = ("backend/next.config.js", "module.exports = { async rewrites() { return [{ source: '/api/:path*', destination: 'x' }] } };\n");
    let proxied: Vec<(&str, &str)> = next.iter().copied().chain([rewrites]).collect();
    chart(&proxied, "probe_path_not_served", "", &probe("/api/health", "http"), false);
    // Rewrites of other paths, and a word about them, leave this one unserved.
    let others = (
        "backend/next.config.js",
        "module.exports = {\n  // API rewrites for the backend\n  async rewrites() { return [{ source: '/backend/:path*', destination: 'x' }] } };\n",
    );
    let beside: Vec<(&str, &str)> = next.iter().copied().chain([others]).collect();
    chart(&beside, "probe_path_not_served", "", &probe("/api/health", "http"), true);
    chart(BACKEND, "no_liveness", "", &probe("/health", "http"), true);
    chart(BACKEND, "no_liveness", "", &deployment("livenessProbe: {tcpSocket: {port: 8000}}", ""), false);
}

#[test]
fn variables_of_charts() {
    let env = |name: &str| deployment(&format!("env:\n  - name: {name}\n    value: a"), "");
    chart(BACKEND, "env_set_never_read", "", &env("FEATURE_FLAGS"), true);
    for read in ["SIGNING_KEY_ID", "PYTHONUNBUFFERED", "UVICORN_WORKERS"] {
        chart(BACKEND, "env_set_never_read", "", &env(read), false);
    }
    chart(BACKEND, "env_read_never_set", "", &env("FEATURE_FLAGS"), true);
    chart(BACKEND, "env_read_never_set", "", &env("SIGNING_KEY_ID"), false);
    // A Secret that is made elsewhere may bring it.
    chart(BACKEND, "env_read_never_set", "", &deployment("envFrom:\n  - secretRef: {name: elsewhere}", ""), false);
    chart(BACKEND, "env_name_mismatch", "", &env("SIGNING_KEY"), true);
    chart(BACKEND, "env_name_mismatch", "", &env("FEATURE_FLAGS"), false);
}

#[test]
fn users_of_images_and_charts() {
    let strict = deployment("securityContext: {runAsNonRoot: true}", "");
    let numbered = deployment("securityContext: {runAsNonRoot: true, runAsUser: 10001}", "");
    let image = |user: &str| format!("FROM python:3.13-slim\nCOPY . .\n{user}CMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]\n");
    let with = |text: &str, template: &str, code: &str, expect: bool| {
        let base: Vec<(&str, &str)> = BACKEND.iter().filter(|(path, _)| !path.ends_with("Dockerfile")).copied().chain([("backend/Dockerfile", text)]).collect();
        chart(&base, code, "", template, expect);
    };
    let (root, named, number) = (image(""), image("USER app\n"), image("USER 10001\n"));
    with(&root, &strict, "run_as_non_root_image_is_root", true);
    with(&number, &strict, "run_as_non_root_image_is_root", false);
    with(&root, &numbered, "run_as_non_root_image_is_root", false);
    with(&named, &strict, "user_not_numeric", true);
    with(&named, &numbered, "user_not_numeric", false);
}

#[test]
fn promises_of_dockerfiles() {
    let docker = |base: &str, more: &str, command: &str| format!("FROM {base}\nWORKDIR /app\nCOPY requirements.txt main.py ./\n{more}CMD {command}\n");
    let run = "[\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]";
    let packages = ["", "root", ".local"].join("/");
    let good = docker("python:3.13-slim", "USER 10001\nEXPOSE 8000\n", run);
    let pair = |code: &str, bad: &str| self::pair(FASTAPI, code, &[("Dockerfile", bad)], &[("Dockerfile", &good)]);
    pair("expose_differs_from_port", &docker("python:3.13-slim", "USER 10001\nEXPOSE 7860\n", run));
    pair("migrations_in_cmd", &docker("python:3.13-slim", "USER 10001\n", "alembic upgrade head && uvicorn main:app --host 0.0.0.0 --port 8000"));
    pair("secret_in_image", &docker("python:3.13-slim", "ENV JWT_SECRET=9f8Ze2Kq71Lm\nUSER 10001\n", run));
    pair("root_local_unreadable", &docker("python:3.13-slim", &format!("COPY --from=x {packages} {packages}\nUSER app\n"), run));
    pair("healthcheck_needs_missing_module", &docker("python:3.13-slim", "USER 10001\nHEALTHCHECK CMD curl -f http://localhost:8000/health\n", run));
    for near in [
        docker("python:3.13-slim", "ENV JWT_SECRET=$GIVEN JWT_SECRET_FILE=/run/x\nARG API_KEY\nUSER 10001\n", run),
        docker("python:3.13-slim", "RUN apt-get install -y curl\nUSER 10001\nHEALTHCHECK CMD curl -f http://localhost:8000/health\n", run),
        docker("python:3.13-slim", &format!("COPY --from=x --chown=app {packages} /app/.local\nUSER app\n"), run),
        docker("python:3.13-slim", &format!("COPY --from=x {packages} {packages}\nRUN chmod 755 /root\nUSER app\n"), run),
    ] {
        for code in ["secret_in_image", "healthcheck_needs_missing_module", "root_local_unreadable"] {
            has(FASTAPI, &[("Dockerfile", &near)], code, false);
        }
    }
    let ignored = ("Dockerfile", good.as_str());
    self::pair(FASTAPI, "copy_source_ignored", &[ignored, (".dockerignore", "*.txt\n")], &[ignored, (".dockerignore", "*.txt\n!requirements.txt\n")]);
    has(FASTAPI, &[ignored, (".dockerignore", "*.md\ntests/\n")], "copy_source_ignored", false);
    let project = |range: &str| format!("[project]\nname = \"x\"\nversion = \"0\"\nrequires-python = \"{range}\"\ndependencies = [\"fastapi\", \"uvicorn\"]\n");
    let (new, old) = (project(">=3.14"), project(">=3.11"));
    self::pair(FASTAPI, "declared_version_differs_from_image", &[ignored, ("pyproject.toml", &new)], &[ignored, ("pyproject.toml", &old)]);
}

#[test]
fn installs_that_demand_a_lockfile() {
    let docker =
        |install: &str| format!("FROM node:22-slim\nWORKDIR /app\nCOPY package*.json ./\nRUN {install}\nCOPY . .\nUSER 10001\nCMD [\"npm\", \"start\"]\n");
    let (frozen, free) = (docker("npm ci"), docker("npm ci || npm install"));
    let code = "frozen_install_without_lockfile";
    pair(&[("package.json", NEXT)], code, &[("Dockerfile", &frozen)], &[("Dockerfile", &frozen), ("package-lock.json", "{}")]);
    has(&[("package.json", NEXT)], &[("Dockerfile", &free)], code, false);
    has(&[("package.json", NEXT), ("package-lock.json", "{}"), (".gitignore", "package-lock.json\n")], &[("Dockerfile", &frozen)], code, true);
}

#[test]
fn a_compose_file_that_builds_from_the_wrong_folder_does_not_break_the_dockerfile() {
    let base = [
        ("api/requirements.txt", "fastapi==0.115.0\nuvicorn==0.34.0\n"),
        ("api/main.py", "from fastapi import FastAPI\napp = FastAPI()\n"),
        (
            "api/Dockerfile",
            "FROM python:3.13-slim\nCOPY requirements.txt /app/\nCOPY main.py /app/\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\"]\n",
        ),
        ("deploy/compose.yaml", "services:\n  api:\n    build:\n      context: ../\n      dockerfile: api/Dockerfile\n"),
    ];
    has(&base, &[], "copy_source_missing", false);
    has(
        &base,
        &[("api/Dockerfile", "FROM python:3.13-slim\nCOPY requirements.txt settings.py /app/\nCMD [\"python\", \"main.py\"]\n")],
        "copy_source_missing",
        true,
    );
}

#[test]
fn a_dockerfile_that_lies_apart_is_read_with_its_documented_context() {
    let file = (
        "docker/backend/Dockerfile",
        "FROM python:3.13-slim\nCOPY requirements.txt .\nCOPY . .\nUSER 10001\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\"]\n",
    );
    let base: Vec<(&str, &str)> = BACKEND.iter().filter(|(path, _)| !path.ends_with("Dockerfile")).copied().collect();
    pair(&base, "copy_source_missing", &[file], &[file, ("README.md", "    docker build -t x -f docker/backend/Dockerfile backend/\n")]);
}

#[test]
fn imports_that_nothing_declares() {
    let base = [("requirements.txt", "fastapi\nuvicorn\n"), ("Procfile", "web: uvicorn main:app --host 0.0.0.0\n")];
    let code = |import: &str| format!("from fastapi import FastAPI\n{import}\napp = FastAPI()\n");
    let (bare, tried, lazy, own) = (
        code("import psycopg2"),
        code("try:\n    import psycopg2\nexcept ImportError:\n    psycopg2 = None"),
        code("def f():\n    import psycopg2"),
        code("from redis import x"),
    );
    let package = "dependency_not_declared";
    pair(&base, package, &[("main.py", &bare)], &[("main.py", &tried)]);
    has(&base, &[("main.py", &lazy)], package, false);
    has(&base, &[("main.py", &own), ("redis.py", "x = 1\n")], package, false);
    has(&base, &[("main.py", &bare), ("requirements.txt", "fastapi\nuvicorn\npsycopg2-binary\n")], package, false);
    // A file that only a function imports, and a list that is not read whole.
    has(&base, &[("main.py", &code("def f():\n    from jobs import g")), ("jobs.py", "import psycopg2\n")], package, false);
    has(&base, &[("main.py", &bare), ("requirements.txt", "-r other.txt\nfastapi\n")], package, false);
}

#[test]
fn builds_of_frontends_bake_addresses() {
    let web = [("web/package.json", NEXT), ("web/package-lock.json", "{}"), ("web/lib/api.ts", "export const api = process.env.NEXT_PUBLIC_API_URL;\n")];
    let docker = |value: &str| {
        format!(
            "FROM node:22-slim\nWORKDIR /app\nCOPY . .\nARG NEXT_PUBLIC_API_URL={value}\nRUN npm ci && npm run build\nUSER 10001\nCMD [\"npx\", \"next\", \"start\"]\n"
        )
    };
    let (dns, local, open) = (docker("http://backend:8000"), docker("http://localhost:8000"), docker("https://api.example.com"));
    pair(&web, "cluster_dns_baked_for_browser", &[("web/Dockerfile", &dns)], &[("web/Dockerfile", &open)]);
    pair(&web, "localhost_baked", &[("web/Dockerfile", &local)], &[("web/Dockerfile", &open)]);
    let compose = |value: &str| format!("services:\n  web:\n    build:\n      context: web\n      args:\n        NEXT_PUBLIC_API_URL: {value}\n");
    pair(&web, "cluster_dns_baked_for_browser", &[("compose.yaml", &compose("http://backend:8000"))], &[("compose.yaml", &compose("/api"))]);
    // What is set at run time is not baked.
    has(
        &web,
        &[("compose.yaml", "services:\n  web:\n    build: web\n    environment: {NEXT_PUBLIC_API_URL: \"http://backend:8000\"}\n")],
        "cluster_dns_baked_for_browser",
        false,
    );
}

#[test]
fn every_code_of_the_document_is_tried_here() {
    let document = include_str!("../../docs/findings.md");
    let here = include_str!("findings.rs");
    let codes: Vec<&str> = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(codes.len() > 50, "{}", codes.len());
    let untried: Vec<&&str> = codes.iter().filter(|code| !here.contains(&format!("\"{code}\""))).collect();
    assert!(untried.is_empty(), "{untried:?}");
}
