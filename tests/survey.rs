//! Small projects, surveyed whole: what is said about each is compared with what a careful reader wrote down.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "tests may stop at the first surprise")]

use landfall::failure::Code;
use landfall::survey::{Kind, Options, Survey, survey};
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
    an_express_service_as_its_generator_writes_it: "express-generated";
    a_flask_service_under_poetry: "flask-poetry";
    a_django_site_under_uv: "django-uv";
    an_mcp_server_as_a_subprocess: "mcp-stdio";
    an_mcp_server_and_its_client: "mcp-http";
    something_that_is_only_called_mcp: "mcp-name-only";
    a_procfile_with_a_worker: "procfile-workers";
    a_workspace_of_packages: "pnpm-workspace";
    one_folder_with_two_dockerfiles: "two-dockerfiles";
    a_go_service_beside_its_tool: "go-service";
    a_go_service_that_is_told_its_port: "go-port-variable";
    a_rack_application_whose_lockfile_holds_no_rackup: "puma-without-rackup";
    a_php_site_in_htdocs: "php-htdocs";
    a_dotnet_program_that_serves_nothing: "dotnet-console";
    options_of_gunicorn_that_take_files: "gunicorn-log-config";
    pages_served_by_pythons_own_server: "python-tcp-server";
    a_port_that_only_a_manifest_tells: "manifest-told-port";
    a_rust_service: "rust-axum";
    a_spring_boot_service: "spring-boot";
    a_sinatra_service: "sinatra";
    a_dotnet_service_beside_its_tests: "dotnet-web";
    a_laravel_site_with_assets: "laravel";
    plain_html: "static-site";
    older_phases_of_the_same_application: "old-phases";
    nothing_but_images: "image-only";
    specs_are_read_leniently: "specs-only-words";
    a_nuxt_site: "nuxt-site";
    a_nuxt_site_generated_as_files: "nuxt-generated";
    a_remix_application: "remix-app";
    react_router_on_a_server: "react-router-server";
    react_router_for_browsers: "react-router-browser";
    an_astro_site: "astro-pages";
    an_astro_server: "astro-server";
    an_angular_application: "angular-browser";
    an_angular_server: "angular-server";
    a_sveltekit_server: "sveltekit-server";
    a_sveltekit_site: "sveltekit-static";
    tanstack_start_without_a_server_of_its_own: "tanstack-start";
    tanstack_start_on_nitro: "tanstack-nitro";
    a_nest_service: "nest-api";
    hono_on_bun: "hono-on-bun";
    a_deno_service_with_tasks: "deno-tasks";
    a_docusaurus_handbook: "docusaurus-docs";
    npm_workspaces: "npm-workspaces";
    a_service_under_modern_yarn: "yarn-berry";
    an_nx_workspace: "nx-monorepo";
    a_create_react_app: "create-react-app";
    a_grpc_service_in_node: "node-grpc";
    a_package_without_a_program: "package-without-program";
    a_streamlit_board: "streamlit-board";
    a_gradio_demo: "gradio-demo";
    a_celery_worker: "celery-worker";
    a_uv_workspace_with_a_library: "uv-workspace";
    a_bot_under_pipenv: "pipenv-bot";
    a_tool_under_pdm: "pdm-tool";
    a_script_of_poetry: "poetry-script";
    a_grpc_service_in_python: "python-grpc";
    an_application_without_a_build_system: "pyproject-application";
    a_package_that_is_a_program: "pyproject-package";
    a_load_generator: "load-generator";
    an_agent_kit: "agent-kit";
    a_go_workspace: "go-workspace";
    a_grpc_service_in_go: "go-grpc";
    a_cargo_workspace_of_globs: "cargo-workspace";
    a_rocket_site: "rocket-site";
    gradle_modules: "gradle-modules";
    maven_modules_known_to_compose_by_image: "maven-modules";
    a_quarkus_service: "quarkus-api";
    micronaut_in_kotlin: "micronaut-kotlin";
    a_ktor_server: "ktor-server";
    maven_in_yaml: "polyglot-maven";
    a_dotnet_service_told_its_port: "dotnet-told-port";
    a_rails_service: "rails-api";
    puma_by_procfile: "puma-procfile";
    a_symfony_site: "symfony-site";
    php_on_apache: "php-apache";
    a_phoenix_site: "phoenix-site";
    an_elixir_release: "elixir-release";
    a_program_built_by_cmake: "cmake-program";
    a_program_built_by_stack: "haskell-stack";
    vapor_in_swift: "swift-vapor";
    a_scala_program: "scala-sbt";
    a_cobol_program: "cobol-program";
    wisp_in_gleam: "gleam-wisp";
    a_shell_script: "shell-script";
    routes_under_a_prefix_from_settings: "fastapi-prefixes";
    a_port_that_compose_tells: "compose-told-port";
    a_job_whose_end_another_service_waits_for: "compose-seed";
    a_first_try_left_at_the_top: "left-over-root";
    a_library_of_settings: "uv-shared-settings";
    a_database_package_of_the_workspace: "turbo-database";
    a_crate_beside_its_service: "cargo-shared";
    a_project_that_another_refers_to: "dotnet-shared";
    a_module_replaced_by_its_neighbour: "go-two-modules";
    a_project_of_the_same_gradle_build: "gradle-shared";
    a_server_that_is_told_its_port: "gunicorn-told-port";
    a_port_that_the_image_sets: "gunicorn-image-port";
    a_port_that_compose_sets_by_another_name: "compose-override";
    an_mcp_server_in_go: "mcp-go-http";
    an_mcp_client_in_go: "mcp-go-client";
    an_mcp_subprocess_in_rust: "mcp-rust-stdio";
    an_mcp_server_in_dotnet: "mcp-dotnet";
    an_mcp_server_in_spring: "mcp-spring";
    a_chainlit_chat: "chainlit-chat";
    a_sanic_service: "sanic-feed";
    an_aiohttp_hook: "aiohttp-hook";
    a_fastify_service_that_checks_its_environment: "fastify-typed";
    koa_on_bun: "koa-bun";
    elysia_on_bun: "elysia-links";
    a_gin_service_beside_its_tool: "gin-catalog";
    an_actix_service: "actix-pages";
    a_gatsby_journal: "gatsby-journal";
    a_slim_service: "slim-api";
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
fn manifests_that_disagree_tell_no_port() {
    let manifest = |port: u16| {
        format!(
            "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: ledger\n          image: ledger:1\n          env:\n            - name: PORT\n              value: \"{port}\"\n"
        )
    };
    let ports = |test: u16| {
        let (live, test) = (manifest(8080), manifest(test));
        let folder = made(&[
            ("ledger/requirements.txt", "flask==3.1.0\ngunicorn==23.0.0\n"),
            ("ledger/app.py", "from flask import Flask\napp = Flask(__name__)\n"),
            ("ledger/Dockerfile", "FROM python:3.13-slim\nCOPY . .\nCMD gunicorn -b :$PORT app:app\n"),
            ("deploy/live.yaml", &live),
            ("deploy/test.yaml", &test),
        ]);
        look(folder.path()).services.iter().flat_map(|service| service.ports.iter().map(|port| port.port)).collect::<Vec<u16>>()
    };
    assert_eq!((ports(8080), ports(9090)), (vec![8080], vec![]));
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

/// `lib/` of a Python template keeps git from `src/lib` of a frontend, which then was added by force.
#[test]
fn what_git_ignores_is_read_where_code_imports_it() {
    let survey = look(
        made(&[
            (".gitignore", "lib/\ndist/\n*.local\n"),
            ("web/package.json", r#"{"name": "web", "scripts": {"start": "node src/server.js"}, "dependencies": {"express": "5"}}"#),
            ("web/src/server.js", "import { url } from '../lib/auth';\nimport '../dist/made.js';\napp.listen(3000);\nfetch(url, process.env.TIMEOUT);\n"),
            ("web/lib/auth.js", "import { address } from './address';\nexport const url = process.env.AUTH_URL;\n"),
            ("web/lib/address.js", "export const address = process.env.AUTH_HOST;\n"),
            ("web/lib/nobody.js", "export const other = process.env.NOT_IMPORTED;\n"),
            ("web/dist/made.js", "process.env.MADE_BY_A_BUILD;\n"),
        ])
        .path(),
    );
    let names: Vec<&str> = survey.services.iter().flat_map(|service| service.env.iter()).map(|read| read.name.as_str()).collect();
    assert_eq!(names, ["AUTH_HOST", "AUTH_URL", "TIMEOUT"]);
}

/// The value of a `.env` file is searched for in all memory of this process, which itself keeps it only letter by letter.
#[cfg(target_os = "linux")]
#[test]
fn no_value_of_an_env_file_stays_in_memory() {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    let letter = |at: usize| b'A' + u8::try_from((at * at * 7 + at * 3) % 26).unwrap();
    let folder = made(&[("requirements.txt", ""), ("main.py", "import os\nos.environ['SESSION_KEY']\n")]);
    let mut file = fs::File::create(folder.path().join(".env")).unwrap();
    file.write_all(b"SESSION_KEY=").unwrap();
    for at in 0..48 {
        file.write_all(&[letter(at)]).unwrap();
    }
    drop(file);
    let survey = look(folder.path());
    assert_eq!(survey.services.first().map(|service| service.env.len()), Some(1));
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = fs::File::open("/proc/self/mem").unwrap();
    let mut seen = Vec::new();
    for line in maps.lines().filter(|line| line.contains(" rw") && !line.contains("[v")) {
        let range = line.split(' ').next().unwrap();
        let (from, to) = range.split_once('-').map(|(from, to)| (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap())).unwrap();
        let mut part = Vec::new();
        memory.seek(SeekFrom::Start(from)).unwrap();
        // A range may be given back meanwhile.
        let _ = std::io::Read::take(&mut memory, to - from).read_to_end(&mut part);
        let holds = part.windows(32).any(|window| window.iter().enumerate().all(|(at, byte)| *byte == letter(at + 8)));
        seen.extend(holds.then(|| range.to_owned()));
    }
    assert_eq!(seen, Vec::<String>::new());
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

#[path = "survey/bad_input.rs"]
mod bad_input;
#[path = "survey/findings.rs"]
mod findings;
#[path = "survey/repositories.rs"]
mod repositories;
#[path = "survey/unchanged.rs"]
mod unchanged;

#[test]
fn a_chart_is_found_by_the_name_of_the_project_or_where_there_is_no_other() {
    let program = |dir: &str| {
        let package = r#"{"name": "@shop/notes", "scripts": {"start": "node server.js"}, "dependencies": {"express": "^5.0.0"}}"#;
        let server = "require('express')().listen(3000)\n";
        vec![(format!("{dir}package.json"), package.to_owned()), (format!("{dir}server.js"), server.to_owned())]
    };
    let chart = |dir: &str, name: &str| {
        let about = format!("apiVersion: v2\nname: {name}\nversion: 0.1.0\n");
        vec![(format!("{dir}/Chart.yaml"), about), (format!("{dir}/templates/all.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n".to_owned())]
    };
    let found = |parts: &[Vec<(String, String)>]| {
        let files: Vec<_> = parts.iter().flatten().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        look(made(&files).path()).services.into_iter().map(|service| service.chart).collect::<Vec<_>>()
    };
    let dir = |dir: &str| vec![Some(dir.to_owned())];
    assert_eq!(found(&[program(""), chart("chart", "notes"), chart("cache", "redis")]), dir("chart"));
    assert_eq!(found(&[program(""), chart("chart", "Shop-Notes"), chart("cache", "redis")]), dir("chart"));
    assert_eq!(found(&[program(""), chart("chart", "anything")]), dir("chart"), "the only chart beside the only program");
    assert_eq!(found(&[program(""), chart("chart", "footnotes"), chart("cache", "redis")]), [None], "neither is called like it");
    assert_eq!(found(&[program("one/"), program("two/"), chart("chart", "anything")]), [None, None], "nobody knows whose it is");
}

/// What the only service of a workspace says for its template.
fn facts_of(files: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let survey = look(made(files).path());
    assert_eq!(survey.services.len(), 1, "{:?}", survey.services);
    let service = survey.services.first().unwrap();
    let facts = service.build_facts.clone();
    let (start, version) = (service.start_command.clone(), service.language_version.clone());
    let packages: Vec<String> = service.dependencies.keys().cloned().collect();
    move |key| match key {
        "start" => start.clone(),
        "version" => version.clone(),
        "packages" => Some(packages.join(" ")),
        key => facts.get(key).cloned(),
    }
}

#[test]
fn the_package_manager_is_the_one_that_the_project_declares() {
    let version = |package: &str, lock: (&str, &str)| {
        let package = format!(r#"{{"name": "x", "scripts": {{"start": "node server.js"}}, "dependencies": {{"express": "^5.0.0"}}{package}}}"#);
        facts_of(&[("package.json", &package), ("server.js", "require('express')().listen(3000)\n"), lock])("package_manager.version")
    };
    let pnpm = ("pnpm-lock.yaml", "lockfileVersion: '9.0'\n");
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(version(r#", "packageManager": "pnpm@9.5.0+sha512.abc""#, pnpm), some("9.5.0"));
    assert_eq!(version(r#", "engines": {"pnpm": "8.15.9"}"#, pnpm), some("8.15.9"));
    assert_eq!(version(r#", "engines": {"pnpm": ">=8"}"#, pnpm), None, "a range is no version");
    assert_eq!(version("", pnpm), None);
    assert_eq!(version("", ("pnpm-lock.yaml", "lockfileVersion: '6.0'\n")), some("8"), "the series that wrote it");
    assert_eq!(version("", ("pnpm-lock.yaml", "lockfileVersion: 5.4\n")), some("7"));
    assert_eq!(version(r#", "packageManager": "yarn@4.6.0""#, ("yarn.lock", "")), some("4.6.0"));
    assert_eq!(version("", ("yarn.lock", "# generated\n\n__metadata:\n  version: 6\n  cacheKey: 8\n")), some("3"));
    assert_eq!(version("", ("yarn.lock", "# generated\n\n__metadata:\n  version: 4\n  cacheKey: 7\n")), some("2"));
    assert_eq!(version("", ("yarn.lock", "# yarn lockfile v1\n\nabbrev@^3.0.0:\n  version \"6.0.0\"\n")), None, "the version of a package");

    let members = |more: &str| {
        let package = format!(r#"{{"name": "x", "scripts": {{"start": "node server.js"}}, {more}}}"#);
        facts_of(&[("package.json", &package), ("server.js", "require('express')().listen(3000)\n")])("workspace.members")
    };
    assert_eq!(members(r#""dependencies": {"express": "^5.0.0", "x": "file:./libs/x"}"#), some("true"));
    assert_eq!(members(r#""workspaces": ["libs/*"], "dependencies": {"express": "^5.0.0"}"#), some("true"));
    assert_eq!(members(r#""dependencies": {"express": "^5.0.0"}"#), None);

    let yarn = |settings: &[(&str, &str)]| {
        let package = r#"{"name": "x", "scripts": {"start": "node server.js"}, "dependencies": {"express": "^5.0.0"}}"#;
        let files = [&[("package.json", package), ("server.js", "require('express')().listen(3000)\n"), ("yarn.lock", "")], settings].concat();
        let facts = facts_of(&files);
        (facts("yarn.berry"), facts("yarn.folder"))
    };
    assert_eq!(yarn(&[]), (None, None));
    assert_eq!(yarn(&[(".yarnrc.yml", "nodeLinker: node-modules\n")]), (some("true"), None));
    assert_eq!(yarn(&[(".yarnrc.yml", "yarnPath: .yarn/releases/yarn-4.cjs\n"), (".yarn/releases/yarn-4.cjs", "")]), (some("true"), some("true")));
}

#[test]
fn pages_beside_a_program_of_another_language_are_built() {
    let facts = |package: &str| {
        facts_of(&[("composer.json", r#"{"require": {"laravel/framework": "^12"}}"#), ("artisan", ""), ("package.json", package), ("package-lock.json", "{}")])
    };
    let built = facts(r#"{"scripts": {"build": "vite build"}, "engines": {"node": "20"}}"#);
    assert_eq!(
        (built("pages.manager").as_deref(), built("pages.lockfile").as_deref(), built("pages.node").as_deref()),
        (Some("npm"), Some("package-lock.json"), Some("20"))
    );
    assert_eq!(facts(r#"{"scripts": {"dev": "vite"}}"#)("pages.manager"), None, "nothing builds anything");
}

#[test]
fn a_vite_site_lies_where_its_build_says() {
    let site = |config: &str| {
        let package = r#"{"name": "x", "scripts": {"build": "vite build"}, "devDependencies": {"vite": "^6.0.0"}}"#;
        facts_of(&[("package.json", package), ("index.html", "<html></html>"), ("vite.config.ts", config)])("static.dir")
    };
    assert_eq!(site("export default { build: { minify: { a: 1 }, outDir: 'site' } }").as_deref(), Some("site"));
    assert_eq!(site("export default { plugins: [], outDir: 'site' }").as_deref(), Some("dist"), "Vite passes over a key that it does not know");
    assert_eq!(site("export default { build: { minify: true }, test: { outDir: 'site' } }").as_deref(), Some("dist"));
}

#[test]
fn a_rust_program_is_built_with_what_its_crates_link() {
    let rust = |more: &[(&str, &str)]| {
        let manifest = "[package]\nname = \"ferry\"\nversion = \"0.1.0\"\n[dependencies]\naxum = \"0.8\"\n";
        facts_of(&[&[("Cargo.toml", manifest), ("src/main.rs", "fn main() {}\n")], more].concat())
    };
    let lock = "version = 4\n\n[[package]]\nname = \"openssl-sys\"\nversion = \"0.9.1\"\n";
    assert_eq!(rust(&[("Cargo.lock", lock)])("packages").as_deref(), Some("axum openssl-sys"));
    assert_eq!(rust(&[("Cargo.lock", "version = 4\n\n[[package]]\nname = \"openssl-probe\"\n")])("packages").as_deref(), Some("axum"));
    let channel = |channel: &str| rust(&[("rust-toolchain.toml", &format!("[toolchain]\nchannel = \"{channel}\"\n"))])("version");
    assert_eq!(channel("1.88.0").as_deref(), Some("1.88"));
    assert_eq!(channel("nightly-2024-08-12"), None, "a day is no version");
}

#[test]
fn a_dotnet_project_is_built_from_the_folder_that_holds_its_neighbours() {
    let web = "<Project Sdk=\"Microsoft.NET.Sdk.Web\"><PropertyGroup><TargetFramework>net9.0</TargetFramework></PropertyGroup></Project>\n";
    let with = |reference: &str| web.replace("</Project>", &format!("\n<ItemGroup>\n<ProjectReference Include=\"{reference}\" />\n</ItemGroup>\n</Project>"));
    let library = "<Project Sdk=\"Microsoft.NET.Sdk\"></Project>\n";
    let root = |project: &str, more: &[(&str, &str)]| facts_of(&[&[("src/Api/Api.csproj", project), ("src/Api/Program.cs", "")], more].concat())("dotnet.root");
    assert_eq!(root(web, &[]), None);
    assert_eq!(root(&with("..\\Data\\Data.csproj"), &[("src/Data/Data.csproj", library)]).as_deref(), Some("src"));
    assert_eq!(root(&with("Data\\Data.csproj"), &[("src/Api/Data/Data.csproj", library)]), None, "it lies inside");
    assert_eq!(root(web, &[("Directory.Packages.props", "<Project />")]).as_deref(), Some("."), "every project below reads it");

    let named = web.replace("<TargetFramework>", "<AssemblyName>Depot</AssemblyName><TargetFramework>");
    let facts = facts_of(&[("Api.csproj", &named), ("Api.sln", ""), ("Program.cs", "")]);
    assert_eq!((facts("start").as_deref(), facts("dotnet.project").as_deref()), (Some("dotnet Depot.dll"), Some("Api.csproj")));
}

#[test]
fn a_gradle_build_runs_on_the_series_of_its_wrapper() {
    let series = |wrapper: &str| {
        let build = "plugins { id 'org.springframework.boot' version '2.7.0' }\n";
        let main = "class App { public static void main(String[] words) {} }\n";
        facts_of(&[("build.gradle", build), ("src/main/java/App.java", main), ("gradle/wrapper/gradle-wrapper.properties", wrapper)])("gradle.series")
    };
    assert_eq!(series("distributionUrl=https\\://services.gradle.org/distributions/gradle-7.5-bin.zip\n").as_deref(), Some("7"));
    assert_eq!(series("distributionUrl=https\\://example.org/gradle-nightly/tool.zip\n"), None);
}

#[test]
fn a_flask_program_that_only_its_own_machine_reaches_is_started_for_others() {
    let start_of = |flask: &str, run: &str| {
        let program = format!("import os\nfrom flask import Flask\napp = Flask(__name__)\nif __name__ == '__main__':\n    {run}\n");
        facts_of(&[("requirements.txt", flask), ("main.py", &program)])("start").unwrap_or_default()
    };
    let start = |run: &str| start_of("flask\n", run);
    assert_eq!(start_of("flask==2.0.3\n", "app.run()"), "FLASK_APP=main flask run --host 0.0.0.0 --port 5000", "it knows no --app");
    for flask in ["flask==2.2.0\n", "flask==3.1.1\n", "flask>=2.0\n"] {
        assert_eq!(start_of(flask, "app.run()"), "flask --app main run --host 0.0.0.0 --port 5000", "{flask}");
    }
    for run in ["app.run(debug=True)", "app.run(port=5000)", "app.run('127.0.0.1', 5000)", "app.run(host='localhost')"] {
        assert_eq!(start(run), "flask --app main run --host 0.0.0.0 --port 5000", "{run}");
    }
    let package = "from flask import Flask\napp = Flask(__name__)\nif __name__ == '__main__':\n    app.run()\n";
    let own = facts_of(&[("requirements.txt", "flask\n"), ("shop/__init__.py", ""), ("shop/__main__.py", package)])("start");
    assert_eq!(own.as_deref(), Some("python -m shop"), "a package that can be run says so itself");
    for run in ["app.run(host='0.0.0.0')", "app.run('0.0.0.0', 5000)", "app.run(host=os.environ['HOST'])"] {
        assert_eq!(start(run), "python main.py", "{run}");
    }
}

#[test]
fn a_bundle_that_was_locked_on_another_system_is_known() {
    let lock = |platforms: &str| format!("GEM\n  specs:\n\nPLATFORMS\n{platforms}\nDEPENDENCIES\n  puma\n");
    let facts = |gem: &str, platforms: &str| {
        let gemfile = format!("source 'https://rubygems.org'\n{gem}\n");
        facts_of(&[("Gemfile", &gemfile), ("Gemfile.lock", &lock(platforms)), ("config.ru", "run App\n")])
    };
    assert_eq!(facts("gem 'puma'", "  arm64-darwin-21\n")("ruby.platforms").as_deref(), Some("arm64-darwin-21"));
    assert_eq!(facts("gem 'puma'", "  arm64-darwin-21\n  x86_64-linux\n")("ruby.platforms"), None);
    assert_eq!(facts("gem 'puma'", "  ruby\n")("ruby.platforms"), None, "built wherever it is installed");
    assert_eq!(facts("gem 'local', path: 'libs/local'", "  ruby\n")("ruby.paths").as_deref(), Some("true"));
    assert_eq!(facts("gem 'puma'", "  ruby\n")("ruby.paths"), None);
}

#[test]
fn packages_that_are_older_than_the_usual_python_get_one_of_their_age() {
    let version = |requirement: &str, more: &[(&str, &str)]| {
        let main = "from flask import Flask\napp = Flask(__name__)\n";
        facts_of(&[&[("requirements.txt", format!("flask\n{requirement}\n").as_str()), ("main.py", main)], more].concat())("version")
    };
    assert_eq!(version("psycopg2-binary==2.9.9", &[]).as_deref(), Some("3.11"));
    assert_eq!(version("psycopg2-binary==2.9.10", &[]), None);
    assert_eq!(version("numpy>=1.20", &[]), None, "a range takes what fits");
    assert_eq!(version("numpy==1.26.4", &[(".python-version", "3.12\n")]).as_deref(), Some("3.12"), "what is declared holds");
}

#[test]
fn the_root_of_a_workspace_of_uv_may_be_a_program() {
    let package = |table: &str| {
        let project = format!("[project]\nname = \"depot\"\nversion = \"0.1.0\"\ndependencies = [\"fastapi\"]\n{table}");
        let main = "from fastapi import FastAPI\napp = FastAPI()\n";
        let facts = facts_of(&[("pyproject.toml", &project), ("uv.lock", ""), ("main.py", main)]);
        (facts("python.package"), facts("uv.workspace"))
    };
    assert_eq!(package("[tool.uv.workspace]\nmembers = [\"libs/*\"]\n"), (Some("depot".to_owned()), Some("true".to_owned())));
    assert_eq!(package("").1, None);
}

#[test]
fn what_a_member_asks_for_is_installed_with_the_service() {
    let packages = |sources: &str| {
        let project = format!("[project]\nname = \"depot\"\ndependencies = [\"fastapi\", \"store\"]\n{sources}");
        let store = "[project]\nname = \"store\"\ndependencies = [\"psycopg2>=2.9\"]\n";
        let main = "from fastapi import FastAPI\napp = FastAPI()\n";
        facts_of(&[("pyproject.toml", &project), ("main.py", main), ("libs/store/pyproject.toml", store), ("libs/store/store/__init__.py", "")])("packages")
    };
    assert_eq!(packages("[tool.uv.workspace]\nmembers = [\"libs/*\"]\n").as_deref(), Some("fastapi psycopg2 store"));
    assert_eq!(packages("").as_deref(), Some("fastapi store"), "a package of a registry may be called the same");
}

#[test]
fn a_process_that_is_told_its_port_listens() {
    let kind = |command: &str| {
        let procfile = format!("web: gunicorn --bind :$PORT main:app\nother: {command}\n");
        let program = "from flask import Flask\napp = Flask(__name__)\n";
        let folder = made(&[("requirements.txt", "flask\ngunicorn\ncelery\n"), ("main.py", program), ("other.py", program), ("Procfile", &procfile)]);
        let other = look(folder.path()).services.into_iter().find(|service| service.name.as_str().ends_with("other"));
        other.map(|service| service.kind)
    };
    assert_eq!(kind("gunicorn --bind :$PORT other:app"), Some(Kind::Api));
    assert_eq!(kind("celery --app other flower --port=$PORT"), Some(Kind::Api));
    assert_eq!(kind("celery --app other worker"), Some(Kind::Worker));
    assert_eq!(kind("python other.py"), Some(Kind::Worker));
}

#[test]
fn what_a_configuration_imports_at_every_start_is_kept() {
    let tools = |config: &str| {
        let package = r#"{"name": "x", "scripts": {"build": "next build", "start": "next start"}, "dependencies": {"next": "^15", "kept": "^1"},
            "devDependencies": {"next-transpile-modules": "^9", "kept": "^1", "typescript": "^5"}}"#;
        facts_of(&[("package.json", package), ("pages/index.js", "export default () => null\n"), ("next.config.js", config)])("next.config.tools")
    };
    assert_eq!(tools("const withModules = require('next-transpile-modules')(['ui'])\nmodule.exports = withModules({})\n").as_deref(), Some("true"));
    assert_eq!(tools("import withModules from 'next-transpile-modules'\nexport default withModules({})\n").as_deref(), Some("true"));
    assert_eq!(tools("const kept = require('kept')\nmodule.exports = kept({})\n"), None, "it is installed anyway");
    assert_eq!(tools("// require('next-transpile-modules')\nmodule.exports = {}\n"), None);
}

#[test]
fn an_sbt_build_says_its_series() {
    let series = |properties: &str| {
        let build = "name := \"depot\"\nlibraryDependencies += \"org.http4s\" %% \"http4s-ember-server\" % \"0.23\"\n";
        facts_of(&[("build.sbt", build), ("project/build.properties", properties), ("src/main/scala/Main.scala", "object Main extends App\n")])("sbt.series")
    };
    assert_eq!(series("sbt.version=1.8.2\n").as_deref(), Some("1.8"));
    assert_eq!(series("# build\nsbt.version = 1.11.7\n").as_deref(), Some("1.11"));
    assert_eq!(series("sbt.versions=1.8.2\n"), None);
}

#[test]
fn what_we_wrote_says_nothing_new_about_a_service() {
    let app = [
        ("requirements.txt", "fastapi==0.120.0\nuvicorn==0.38.0\n"),
        ("main.py", "from fastapi import FastAPI\napp = FastAPI()\n\n@app.get('/health')\ndef health():\n    return {}\n"),
        ("Procfile", "web: uvicorn main:app --host 0.0.0.0 --port 8000\n"),
    ];
    let ours = [
        ("Dockerfile", "# Written by Landfall for app.\nFROM python:3.13-slim\nUSER 10001:10001\nEXPOSE 9999\nCMD [\"python\", \"other.py\"]\n"),
        ("deploy/charts/app/Chart.yaml", "# Written by Landfall.\napiVersion: v2\nname: app\nversion: 0.1.0\n"),
        ("deploy/charts/app/templates/deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: x\n"),
    ];
    let facts = |files: &[(&str, &str)]| {
        let folder = made(files);
        let survey = look(folder.path());
        assert_eq!(survey.services.len(), 1, "{:?}", survey.services);
        let service = survey.services.into_iter().next().expect("a service");
        let codes: Vec<String> = survey.findings.into_iter().map(|finding| finding.code).collect();
        (service.start_command, service.ports.into_iter().map(|port| port.port).collect::<Vec<_>>(), codes)
    };
    assert_eq!(facts(&app), facts(&[&app[..], &ours[..]].concat()));
}
