//! Small projects, surveyed whole: what is said about each is compared with what a careful reader wrote down.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may stop at the first surprise")]

use landfall::failure::Code;
use landfall::survey::{Options, Survey, survey};
use std::fs;
use std::path::{Path, PathBuf};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/survey").join(name)
}

fn look(path: &Path) -> Survey {
    survey(path, &Options::default()).expect("the folder can be surveyed")
}

fn check(name: &str) {
    insta::assert_json_snapshot!(name, look(&fixture(name)), { ".root" => "[root]" });
}

/// A workspace made for one test.
fn made(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder for the test");
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    folder
}

macro_rules! projects {
    ($($test:ident: $name:literal;)*) => { $(#[test] fn $test() { check($name); })* };
}

projects! {
    a_fastapi_service_with_settings: "fastapi-postgres";
    a_next_frontend_with_browser_variables: "next-browser-variable";
    a_static_site_built_by_vite: "vite-static";
    an_express_service_on_redis: "express-redis";
    a_flask_service_under_poetry: "flask-poetry";
    a_django_site_under_uv: "django-uv";
    an_mcp_server_as_a_subprocess: "mcp-stdio";
    an_mcp_server_and_its_client: "mcp-http";
    something_that_is_only_called_mcp: "mcp-name-only";
    a_procfile_with_a_worker: "procfile-workers";
    a_workspace_of_packages: "pnpm-workspace";
    one_folder_with_two_dockerfiles: "two-dockerfiles";
    a_go_service_beside_its_tool: "go-service";
    a_rust_service: "rust-axum";
    a_spring_boot_service: "spring-boot";
    a_sinatra_service: "sinatra";
    a_dotnet_service_beside_its_tests: "dotnet-web";
    a_laravel_site_with_assets: "laravel";
    plain_html: "static-site";
    older_phases_of_the_same_application: "old-phases";
    nothing_but_images: "image-only";
    specs_are_read_leniently: "specs-only-words";
}

#[test]
fn the_same_tree_gives_the_same_bytes_wherever_it_lies() {
    let files: &[(&str, &str)] =
        &[("a/requirements.txt", "fastapi\n"), ("a/main.py", "from fastapi import FastAPI\napp = FastAPI()\n"), ("b/package.json", "{}")];
    let (one, two) = (made(files), made(files));
    let (mut one, mut two) = (look(one.path()), look(two.path()));
    assert_eq!(one.digest, two.digest);
    assert_ne!(one.root, two.root);
    (one.root, two.root) = (String::new(), String::new());
    assert_eq!(serde_json::to_string(&one).unwrap(), serde_json::to_string(&two).unwrap());
    assert_eq!(one.digest.len(), 64);
}

#[test]
fn a_changed_fact_changes_the_digest() {
    let before = made(&[("main.py", "import os\nos.environ['A']\n"), ("requirements.txt", "")]);
    let after = made(&[("main.py", "import os\nos.environ['B']\n"), ("requirements.txt", "")]);
    assert_ne!(look(before.path()).digest, look(after.path()).digest);
}

#[test]
fn a_missing_folder_and_a_file_are_no_workspace() {
    let folder = made(&[("file", "")]);
    for path in [folder.path().join("nowhere"), folder.path().join("file")] {
        let failure = survey(&path, &Options::default()).unwrap_err();
        assert_eq!(failure.code, Code::WorkspaceNotFound);
        assert!(!failure.help.is_empty());
    }
}

#[test]
fn an_empty_folder_has_nothing_to_deploy() {
    let survey = look(made(&[]).path());
    assert!(survey.services.is_empty());
    assert_eq!(survey.findings.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>(), ["nothing_to_deploy"]);
}

#[test]
fn what_git_ignores_is_not_read() {
    let survey = look(
        made(&[
            (".gitignore", "/old/\n"),
            ("old/requirements.txt", "fastapi"),
            ("old/main.py", "from fastapi import FastAPI\napp = FastAPI()\n"),
            ("index.html", ""),
        ])
        .path(),
    );
    assert_eq!(survey.services.iter().map(|service| service.language.as_str()).collect::<Vec<_>>(), ["static"]);
}

#[test]
fn installed_packages_and_tests_are_passed_over_and_listed() {
    let app = "from fastapi import FastAPI\napp = FastAPI()\n";
    let survey = look(
        made(&[
            ("requirements.txt", "fastapi"),
            ("main.py", app),
            ("venv/pyvenv.cfg", ""),
            ("venv/lib/x/main.py", app),
            ("environment/pyvenv.cfg", ""),
            ("environment/requirements.txt", "flask"),
            ("node_modules/express/package.json", "{\"scripts\":{\"start\":\"node x\"}}"),
            ("tests/app/main.py", app),
        ])
        .path(),
    );
    assert_eq!(survey.services.len(), 1);
    let dirs: Vec<&str> = survey.passed_over.iter().map(|folder| folder.dir.as_str()).collect();
    assert_eq!(dirs, ["environment", "node_modules", "tests", "venv"]);
}

#[test]
fn broken_files_are_answered_not_feared() {
    let deep = format!("x = {}{}\n", "(".repeat(20_000), ")".repeat(20_000));
    let folder = made(&[
        ("package.json", "{ \"name\": "),
        ("pyproject.toml", "[project\nname ="),
        ("docker-compose.yml", "services:\n  - : [}\n"),
        (
            "bomb/compose.yaml",
            "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\ng: &g [*f,*f,*f,*f,*f,*f,*f,*f]\nservices: *g\n",
        ),
        ("Dockerfile", "FROM\nCOPY\nCMD [\"a\", \nFROM x AS x\nFROM x\n"),
        ("deep.py", &format!("import os\n{deep}")),
        ("deep.ts", &format!("import x from 'express'; const env = {}1{};", "[".repeat(20_000), "]".repeat(20_000))),
        ("specs/x/spec.md", "- **FR-\n### User Story\n"),
        ("main.py", "import os\nos.environ['KEPT']\ndef broken(:\n"),
    ]);
    fs::write(folder.path().join("latin.py"), b"import os\nname = '\xff\xfe'\nos.environ['LATIN']\n").unwrap();
    fs::write(folder.path().join("large.py"), vec![b'#'; 2 * 1024 * 1024]).unwrap();
    fs::write(folder.path().join("binary.json"), [0u8; 64]).unwrap();
    let survey = look(folder.path());
    assert_eq!(survey.skipped.reasons.get("larger than the limit"), Some(&1));
    assert_eq!(survey.skipped.reasons.get("binary"), Some(&1));
    let names: Vec<&str> = survey.services.iter().flat_map(|service| service.env.iter()).map(|read| read.name.as_str()).collect();
    assert!(names.contains(&"KEPT") && names.contains(&"LATIN"), "{names:?}");
}

#[cfg(unix)]
#[test]
fn links_out_pipes_and_closed_folders_are_skipped_and_counted() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let outside = made(&[("secret.py", "import os\nos.environ['OUTSIDE']\n")]);
    let folder = made(&[("requirements.txt", ""), ("main.py", "import os\nos.environ['INSIDE']\n"), ("closed/x.py", "")]);
    symlink(outside.path().join("secret.py"), folder.path().join("linked.py")).unwrap();
    symlink(outside.path(), folder.path().join("linked")).unwrap();
    symlink(folder.path(), folder.path().join("loop")).unwrap();
    symlink(folder.path().join("nowhere"), folder.path().join("broken.py")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("pipe.py")).status().unwrap().success());
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o000)).unwrap();
    let survey = look(folder.path());
    fs::set_permissions(folder.path().join("closed"), fs::Permissions::from_mode(0o755)).unwrap();
    let names: Vec<&str> = survey.services.iter().flat_map(|service| service.env.iter()).map(|read| read.name.as_str()).collect();
    assert_eq!(names, ["INSIDE"]);
    assert_eq!(survey.skipped.reasons.get("link out of the workspace"), Some(&2));
    assert_eq!(survey.skipped.reasons.get("broken link"), Some(&1));
    assert_eq!(survey.skipped.reasons.get("not a regular file"), Some(&1));
}

#[test]
fn files_beyond_the_limit_are_counted() {
    let folder = made(&[("a.py", ""), ("b.py", ""), ("c.py", "")]);
    let survey = survey(folder.path(), &Options { max_files: 2, ..Options::default() }).unwrap();
    assert_eq!(survey.skipped.files, 1);
}

#[test]
fn a_secret_never_leaves_the_file_it_is_in() {
    let value = "9f8Ze2Kq71LmVx0aPw4RtYb6";
    let folder = made(&[
        (".env", &format!("JWT_SECRET={value}\n")),
        ("requirements.txt", "fastapi\n"),
        ("main.py", &format!("import os\nfrom fastapi import FastAPI\napp = FastAPI()\nS = os.getenv('JWT_SECRET', '{value}')\n")),
    ]);
    let survey = look(folder.path());
    assert!(survey.findings.iter().any(|finding| finding.code == "secret_like_value_in_tracked_file"));
    assert!(!serde_json::to_string(&survey).unwrap().contains(value));
}

/// The rules of the table: each with the smallest workspace that shows it, and a near miss.
mod findings {
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
            docker("python:3.13-slim", "USER 10001\nHEALTHCHECK CMD curl -f http://localhost:8000/health || exit 1"),
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
        pair(&base, "devdeps_omitted_before_build", &[("Dockerfile", &omits)], &[("Dockerfile", &argued)]);
    }

    #[test]
    fn charts() {
        let chart = ("chart/Chart.yaml", "name: x\n");
        let deployment = |more: &str| format!("kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: a\n{more}");
        let full = deployment("          resources: {}\n          readinessProbe: {}\n");
        let bare = deployment("");
        let claim = deployment("          resources: {}\n          readinessProbe: {}\n      volumes:\n        - persistentVolumeClaim: {}\n");
        let recreate = format!("{claim}  strategy:\n    type: Recreate\n");
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
}
