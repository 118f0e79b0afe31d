//! The whole output for an application of a page, an API, an MCP server and a static site, and what no input may do to it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "tests may stop at the first surprise"
)]

#[path = "render/application.rs"]
mod application;
#[path = "render/hostile.rs"]
mod hostile;

use application::{HOSTILE, blueprint, environments, service, survey, tags};
use landfall::blueprint::{Blueprint, Controller, ImagePlan, PersonsChart};
use landfall::failure::Code;
use landfall::names::EnvName;
use landfall::render::{RenderedFile, bases, charts, digest_values, dockerfiles, pinned};
use landfall::survey::{EnvRead, Kind, Options, Phase, Required, Service, Survey};
use std::collections::BTreeMap;

fn text<'f>(files: &'f [RenderedFile], path: &str) -> &'f str {
    files.iter().find(|file| file.path == path).map(|file| file.text.as_str()).unwrap_or_else(|| panic!("no {path}"))
}

/// Files as one text: a line with the path above each.
fn all(files: &[RenderedFile]) -> String {
    files.iter().map(|file| format!("=== {}\n{}\n", file.path, file.text)).collect()
}

fn snapshots(check: impl FnOnce()) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("render");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(check);
}

#[test]
fn the_dockerfiles_of_a_whole_application() {
    let survey = survey();
    let files = dockerfiles(&blueprint(&survey, ""), &survey).unwrap();
    snapshots(|| insta::assert_snapshot!("dockerfiles", all(&files)));
}

#[test]
fn the_values_of_a_whole_application() {
    let blueprint =
        blueprint(&survey(), "[service.api.env]\nOPENAI_BASE_URL = \"https://llm.example:8443/v1\"\n[secrets]\nOPENAI_API_KEY = \"env:OPENAI_API_KEY\"\n");
    let files = charts(&blueprint, &environments(), &tags(&blueprint));
    let values: Vec<RenderedFile> =
        files.iter().filter(|file| file.path.contains("/values") && file.path.ends_with(".yaml") || file.path.ends_with("Chart.yaml")).cloned().collect();
    snapshots(|| insta::assert_snapshot!("values", all(&values)));
    let paths: Vec<&str> =
        files.iter().map(|file| file.path.as_str()).filter(|path| path.starts_with("deploy/charts/api/") || !path.starts_with("deploy/charts/")).collect();
    snapshots(|| insta::assert_snapshot!("files", paths.join("\n")));
}

#[test]
fn the_other_stacks_have_their_templates() {
    let mut out = Vec::new();
    let mut stack = |name: &str, change: &dyn Fn(&mut Service)| {
        let mut survey = survey();
        survey.services.retain(|service| service.name.as_str() == "api");
        let api = service(&mut survey, "api");
        api.calls.clear();
        change(api);
        for mut file in dockerfiles(&blueprint(&survey, ""), &survey).unwrap() {
            if !file.path.ends_with("dockerignore") {
                file.path = format!("{name}: {}", file.path);
                out.push(file);
            }
        }
    };
    let fact = |api: &mut Service, key: &str, value: &str| api.build_facts.insert(key.to_owned(), value.to_owned());
    stack("uv", &|api| {
        api.package_manager = Some("uv".to_owned());
        api.dependencies.insert("psycopg2".to_owned(), "2.9".to_owned());
        fact(api, "lockfile", "api/uv.lock");
    });
    stack("a package out of a repository", &|api| {
        fact(api, "python.git", "true");
    });
    stack("poetry", &|api| {
        api.package_manager = Some("poetry".to_owned());
        fact(api, "lockfile", "poetry.lock");
    });
    let node = |api: &mut Service, manager: &str, start: &str| {
        api.language = "node".to_owned();
        api.language_version = Some(">=20.9".to_owned());
        api.framework = None;
        api.package_manager = Some(manager.to_owned());
        api.start_command = Some(start.to_owned());
    };
    stack("express", &|api| {
        node(api, "npm", "node server.js");
        fact(api, "lockfile", "package-lock.json");
    });
    stack("typescript with pnpm", &|api| {
        node(api, "pnpm", "node dist/main.js");
        api.build_command = Some("pnpm run build".to_owned());
        fact(api, "lockfile", "api/pnpm-lock.yaml");
        fact(api, "package_manager.version", "9.15.0");
    });
    stack("next start", &|api| {
        node(api, "yarn", "next start");
        api.framework = Some("next".to_owned());
        api.build_command = Some("next build".to_owned());
    });
    stack("package workspace", &|api| {
        node(api, "npm", "npm run start");
        fact(api, "start.script", "NODE_ENV=production node dist/main.js");
        fact(api, "workspace.root", ".");
        fact(api, "lockfile", "package-lock.json");
        api.build_command = Some("npm run build".to_owned());
    });
    stack("plain static", &|api| {
        api.kind = Kind::Static;
        api.language = "html".to_owned();
        api.package_manager = None;
    });
    stack("go", &|api| {
        api.language = "go".to_owned();
        api.language_version = Some("1.24.3".to_owned());
        api.start_command = Some("./api serve".to_owned());
        fact(api, "go.main", "./cmd/api");
    });
    stack("rust", &|api| {
        api.language = "rust".to_owned();
        api.language_version = None;
        api.start_command = None;
        fact(api, "lockfile", "api/Cargo.lock");
    });
    stack("maven", &|api| {
        api.language = "java".to_owned();
        api.language_version = Some("21".to_owned());
        api.package_manager = Some("maven".to_owned());
    });
    stack("gradle, not Spring", &|api| {
        api.language = "java".to_owned();
        api.language_version = None;
        api.package_manager = Some("gradle".to_owned());
    });
    stack("spring boot", &|api| {
        api.language = "java".to_owned();
        api.language_version = Some("17".to_owned());
        api.framework = Some("spring-boot".to_owned());
        api.package_manager = Some("maven".to_owned());
    });
    for (name, manager, framework, pack) in [
        ("quarkus", "maven", "quarkus", "quarkus"),
        ("quarkus with Gradle", "gradle", "quarkus", "quarkus"),
        ("a program that Gradle installs", "gradle", "ktor", "install"),
        ("classes beside their libraries", "maven", "javalin", "classes"),
    ] {
        stack(name, &|api| {
            api.language = "java".to_owned();
            api.language_version = None;
            api.framework = Some(framework.to_owned());
            api.package_manager = Some(manager.to_owned());
            fact(api, "java.pack", pack);
            fact(api, "java.main", "org.example.Main");
            fact(api, "gradle.files", "gradle/libs.versions.toml buildSrc");
        });
    }
    stack("go without go.mod", &|api| {
        api.language = "go".to_owned();
        api.language_version = None;
        api.package_manager = Some("go".to_owned());
    });
    for (language, manager, build, start) in [
        ("swift", "swiftpm", "swift build -c release && cp .build/release/api api", "./api serve --port 8000"),
        ("dart", "pub", "dart compile exe bin/api.dart -o bin/api.exe", "./bin/api.exe"),
        ("crystal", "shards", "shards build --release", "./bin/api"),
        ("cpp", "cmake", "cmake -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build", "./build/api"),
        ("cobol", "", "cobc -x -o api src/api.cbl", "./api"),
        ("haskell", "stack", "stack install", "~/.local/bin/api"),
        ("gleam", "gleam", "gleam export erlang-shipment", "./build/erlang-shipment/entrypoint.sh run"),
        ("scala", "sbt", "sbt stage", "./target/universal/stage/bin/api"),
        ("shell", "", "", "bash start.sh"),
        ("scheme", "", "", "guile main.scm"),
    ] {
        stack(language, &|api| {
            api.language = language.to_owned();
            api.language_version = None;
            api.framework = None;
            api.package_manager = Some(manager.to_owned()).filter(|manager| !manager.is_empty());
            api.build_command = Some(build.to_owned()).filter(|build| !build.is_empty());
            api.start_command = Some(start.to_owned());
        });
    }
    stack("dotnet", &|api| {
        api.language = "csharp".to_owned();
        api.language_version = Some("8.0".to_owned());
        api.start_command = Some("dotnet Api.dll".to_owned());
    });
    stack("rails", &|api| {
        api.language = "ruby".to_owned();
        api.framework = Some("rails".to_owned());
        api.language_version = None;
        api.start_command = Some("bundle exec rails server -b 0.0.0.0 -p 3000".to_owned());
        api.dependencies.extend(["pg", "propshaft"].map(|gem| (gem.to_owned(), String::new())));
        fact(api, "lockfile", "api/Gemfile.lock");
    });
    stack("laravel", &|api| {
        api.language = "php".to_owned();
        api.framework = Some("laravel".to_owned());
        api.language_version = None;
        api.package_manager = Some("composer".to_owned());
        fact(api, "php.root", "public");
    });
    stack("ruby, locked elsewhere, with gems of its own", &|api| {
        api.language = "ruby".to_owned();
        api.framework = None;
        api.language_version = None;
        api.start_command = Some("ruby app.rb".to_owned());
        fact(api, "lockfile", "api/Gemfile.lock");
        fact(api, "ruby.platforms", "arm64-darwin-21");
        fact(api, "ruby.paths", "true");
    });
    stack("laravel with pages", &|api| {
        api.language = "php".to_owned();
        api.framework = Some("laravel".to_owned());
        api.language_version = None;
        api.package_manager = Some("composer".to_owned());
        fact(api, "php.root", "public");
        fact(api, "pages.manager", "pnpm");
        fact(api, "pages.lockfile", "api/pnpm-lock.yaml");
        fact(api, "pages.package_manager.version", "9.5.0");
    });
    stack("dotnet with its neighbours", &|api| {
        api.language = "csharp".to_owned();
        api.language_version = Some("6.0".to_owned());
        api.start_command = Some("dotnet Api.dll".to_owned());
        fact(api, "dotnet.project", "Api.csproj");
        fact(api, "dotnet.root", ".");
    });
    stack("rust with OpenSSL", &|api| {
        api.language = "rust".to_owned();
        api.language_version = None;
        api.start_command = None;
        api.dependencies.insert("openssl-sys".to_owned(), String::new());
        fact(api, "lockfile", "api/Cargo.lock");
    });
    stack("modern yarn", &|api| {
        node(api, "yarn", "node server.js");
        fact(api, "lockfile", "api/yarn.lock");
        fact(api, "yarn.berry", "true");
        fact(api, "yarn.folder", "true");
        fact(api, "package_manager.version", "2.4.3");
    });
    stack("yarn of the second series without its program", &|api| {
        node(api, "yarn", "node server.js");
        fact(api, "lockfile", "api/yarn.lock");
        fact(api, "yarn.berry", "true");
        fact(api, "package_manager.version", "2");
    });
    stack("next with a configuration that needs tools", &|api| {
        node(api, "npm", "next start");
        api.framework = Some("next".to_owned());
        api.build_command = Some("npm run build".to_owned());
        fact(api, "lockfile", "api/package-lock.json");
        fact(api, "next.config.tools", "true");
    });
    stack("sbt of another age", &|api| {
        api.language = "scala".to_owned();
        api.language_version = None;
        api.package_manager = Some("sbt".to_owned());
        api.start_command = Some("./target/universal/stage/bin/depot".to_owned());
        fact(api, "sbt.series", "1.8");
    });
    stack("gradle of an older wrapper", &|api| {
        api.language = "java".to_owned();
        api.language_version = None;
        api.package_manager = Some("gradle".to_owned());
        fact(api, "gradle.series", "7");
    });
    stack("phoenix with a configuration", &|api| {
        api.language = "elixir".to_owned();
        api.language_version = None;
        fact(api, "elixir.app", "hello");
        fact(api, "elixir.config", "config");
    });
    stack("root of a workspace of uv", &|api| {
        api.package_manager = Some("uv".to_owned());
        api.dependencies.insert("psycopg-c".to_owned(), String::new());
        fact(api, "lockfile", "api/uv.lock");
        fact(api, "uv.workspace", "true");
        fact(api, "python.package", "depot");
    });
    stack("phoenix", &|api| {
        api.language = "elixir".to_owned();
        api.language_version = None;
        fact(api, "elixir.app", "hello");
    });
    stack("deno", &|api| {
        api.language = "deno".to_owned();
        api.language_version = None;
        api.start_command = Some("deno run --allow-net main.ts".to_owned());
    });
    stack("bun", &|api| {
        node(api, "bun", "bun run index.ts");
        fact(api, "lockfile", "api/bun.lock");
    });
    stack("pipenv", &|api| {
        api.package_manager = Some("pipenv".to_owned());
        fact(api, "lockfile", "api/Pipfile.lock");
    });
    stack("static site of a package workspace", &|api| {
        node(api, "pnpm", "");
        api.kind = Kind::Static;
        api.build_command = Some("vite build".to_owned());
        fact(api, "workspace.root", ".");
        fact(api, "lockfile", "pnpm-lock.yaml");
    });
    stack("cargo workspace", &|api| {
        api.language = "rust".to_owned();
        api.language_version = None;
        api.start_command = None;
        fact(api, "lockfile", "Cargo.lock");
        fact(api, "rust.binary", "api");
    });
    snapshots(|| insta::assert_snapshot!("stacks", all(&out)));
}

#[test]
fn packages_of_a_workspace_are_built_from_its_root() {
    let mut out = Vec::new();
    for name in ["cargo-workspace", "go-workspace", "gradle-modules", "maven-modules", "uv-workspace"] {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/survey").join(name);
        let survey = landfall::survey::survey(&root, &Options::default()).unwrap();
        let blueprint = blueprint(&survey, "");
        for workload in &blueprint.workloads {
            assert!(matches!(&workload.image, ImagePlan::Built { context, .. } if context == "."), "{name}/{}", workload.name);
        }
        for mut file in dockerfiles(&blueprint, &survey).unwrap() {
            if !file.path.ends_with("dockerignore") {
                file.path = format!("{name}: {}", file.path);
                out.push(file);
            }
        }
    }
    snapshots(|| insta::assert_snapshot!("workspaces", all(&out)));
}

#[test]
fn no_instruction_looks_like_a_credential_in_an_images_history() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut collected = 0;
    for folder in ["tests/generated", "tests/survey"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
            let survey = landfall::survey::survey(&entry.path(), &Options::default()).unwrap();
            let config = landfall::config::Config::load(&entry.path()).unwrap();
            let app = landfall::names::AppName::parse("notes").unwrap();
            let Ok(blueprint) = landfall::blueprint::draw(&survey, &config, &app, &landfall::blueprint::Wishes::default()) else { continue };
            for file in dockerfiles(&blueprint, &survey).unwrap_or_default().iter().filter(|file| !file.path.ends_with("ignore")) {
                collected += usize::from(file.text.contains("SECRET_KEY=x"));
                for line in file.text.lines().filter(|line| !line.starts_with('#') && !line.contains("=\"$(cat /run/secrets/")) {
                    assert!(!landfall::secret::looks_secret(line), "{:?}: {line}", entry.file_name());
                }
            }
        }
    }
    assert!(collected > 0, "a project whose static files are collected with stand-ins is among them");
}

/// The blueprint of one FastAPI service with this line in its code.
fn drawn(line: &str, toml: &str) -> Blueprint {
    let folder = tempfile::tempdir().unwrap();
    let api = folder.path().join("api");
    std::fs::create_dir(&api).unwrap();
    std::fs::write(api.join("requirements.txt"), "fastapi\nuvicorn\nsqlalchemy\n").unwrap();
    std::fs::write(api.join("main.py"), format!("import os\nfrom fastapi import FastAPI\napp = FastAPI()\n{line}\n")).unwrap();
    blueprint(&landfall::survey::survey(folder.path(), &Options::default()).unwrap(), toml)
}

#[test]
fn data_in_a_file_lies_on_a_claim_and_has_one_pod() {
    const FILE: &str = "URL = os.environ.get('DATABASE_URL', 'sqlite:///./data/notes.db')";
    let kept = drawn(FILE, "[service.api]\nreplicas = 3\nmigrate = \"alembic upgrade head\"\n");
    let api = kept.workload("api").unwrap();
    assert_eq!((api.controller(), api.replicas, api.storage.as_ref().unwrap().mount.as_str()), (Controller::StatefulSet, 1, "/data"));
    assert!(kept.findings.iter().any(|finding| finding.code == "DATA_ON_CLAIM"));
    let files = charts(&kept, &environments(), &tags(&kept));
    let values: serde_json::Value = serde_saphyr::from_str(text(&files, "deploy/charts/api/values.yaml")).unwrap();
    assert_eq!(values.pointer("/kind").unwrap(), "StatefulSet");
    assert_eq!(values.pointer("/env/DATABASE_URL").unwrap(), "sqlite:////data/notes.db");
    assert_eq!(values.pointer("/persistence/mountPath").unwrap(), "/data");
    assert_eq!(values.pointer("/oneReplica").unwrap(), "a claim has one writer");

    let controller = |line: &str, toml: &str| drawn(line, toml).workload("api").unwrap().controller();
    let told = |value: &str| {
        let line = FILE.replace("DATABASE_URL", "DATABASE_ADDRESS");
        controller(&line, &format!("[service.api.env]\nDATABASE_ADDRESS = \"{value}\"\n"))
    };
    assert_eq!(told("sqlite:////srv/notes.db"), Controller::StatefulSet, "where a person puts it");
    assert_eq!(told("sqlite:////tmp/notes.db"), Controller::Deployment, "a person wants to lose it");
    assert_eq!(told("mysql://db/notes"), Controller::Deployment, "it is elsewhere");
    assert_eq!(controller(FILE, "[secrets]\nDATABASE_URL = \"env:DATABASE_URL\"\n"), Controller::Deployment, "only its source is known");
    assert_eq!(controller("URL = os.environ.get('DATABASE_URL', 'sqlite://')", ""), Controller::Deployment, "it is in memory");
    assert_eq!(controller(FILE, "[service.api]\nschedule = \"0 3 * * *\"\n"), Controller::CronJob, "the clock comes first");
}

#[test]
fn a_base_is_pinned_where_its_digest_is_known() {
    let digests = BTreeMap::from([("python:3.13-slim".to_owned(), "sha256:5f70".to_owned()), ("base".to_owned(), "sha256:bad".to_owned())]);
    let text = "# FROM python:3.13-slim\nFROM python:3.13-slim AS base\nRUN echo FROM python:3.13-slim\nFROM node:22-slim\nCOPY --from=base /a /a\n";
    let expect = text.replacen("\nFROM python:3.13-slim", "\nFROM python:3.13-slim@sha256:5f70", 1);
    assert_eq!(pinned(text, &digests), expect);
    assert_eq!(bases(&expect), ["python:3.13-slim@sha256:5f70", "node:22-slim"]);
    assert_eq!(pinned(text, &BTreeMap::new()), text);
}

#[test]
fn a_persons_chart_gets_the_image_laid_over_it_and_no_file_beside() {
    let mut blueprint = blueprint(&survey(), "");
    let api = blueprint.workloads.iter_mut().find(|workload| workload.name.as_str() == "api").unwrap();
    api.chart = Some(PersonsChart {
        folder: "charts/api".to_owned(),
        values: None,
        above: vec!["backend".to_owned(), "image".to_owned()],
        image: BTreeMap::from([("repository", "localhost/notes/api"), ("tag", "1e3")].map(|(key, text)| (key.to_owned(), text.to_owned()))),
        by_digest: true,
    });
    let digest: serde_json::Value = serde_saphyr::from_str(&digest_values(api.chart.as_ref().unwrap(), "sha256:5f70")).unwrap();
    assert_eq!(digest, serde_json::json!({"backend": {"image": {"digest": "sha256:5f70"}}}));
    let files = charts(&blueprint, &environments(), &tags(&blueprint));
    assert!(!files.iter().any(|file| file.path.starts_with("deploy/charts/api/")));
    let overlay: serde_json::Value = serde_saphyr::from_str(text(&files, "deploy/overlays/api/values-minikube.yaml")).unwrap();
    assert_eq!(overlay, serde_json::json!({"backend": {"image": {"repository": "localhost/notes/api", "tag": "1e3"}}}));
    let overview: serde_json::Value = serde_saphyr::from_str(text(&files, "deploy/values-minikube.yaml")).unwrap();
    assert_eq!(overview.pointer("/api/chart").unwrap(), "../charts/api");
    assert_eq!(overview.pointer("/api/backend/image/tag").unwrap(), "1e3");
}

#[test]
fn a_secret_that_an_installation_reads_is_mounted_for_that_step_alone() {
    let token = |survey: &mut Survey, name: &str, secret: bool| {
        service(survey, name).env.push(EnvRead {
            name: EnvName::parse("PACKAGES_TOKEN").unwrap(),
            required: Required::Yes,
            secret,
            phases: vec![Phase::Build],
            default: None,
            consumers: vec![],
            evidence: vec![],
        });
    };
    let mut survey = survey();
    token(&mut survey, "web", true);
    token(&mut survey, "api", true);
    let blueprint = blueprint(&survey, "");
    assert!(blueprint.findings.iter().any(|finding| finding.code == "BUILD_SECRET" && finding.help.contains("PACKAGES_TOKEN=env:PACKAGES_TOKEN")));
    for path in ["web/Dockerfile", "api/Dockerfile"] {
        let files = dockerfiles(&blueprint, &survey).unwrap();
        let text = text(&files, path);
        assert!(text.contains("--mount=type=secret,id=PACKAGES_TOKEN,required=true"), "{text}");
        assert!(text.contains("PACKAGES_TOKEN=\"$(cat /run/secrets/PACKAGES_TOKEN)\""), "{text}");
        for line in text.lines().filter(|line| line.contains("PACKAGES_TOKEN")) {
            assert!(!line.starts_with("ARG") && !line.starts_with("ENV"), "{line}");
        }
    }
}

#[test]
fn what_an_earlier_run_left_half_written_is_told_file_by_file() {
    use landfall::render::{Action, Lock, compare};
    let folder = tempfile::tempdir().unwrap();
    let survey = survey();
    let files = dockerfiles(&blueprint(&survey, ""), &survey).unwrap();
    let (whole, cut) = (files.first().unwrap(), files.get(1).unwrap());
    for (file, text) in [(whole, whole.text.as_str()), (cut, cut.text.get(..40).unwrap())] {
        let path = folder.path().join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let compared = compare(&files, folder.path(), &folder.path().join(".landfall/generated"), &Lock::default()).unwrap();
    let action = |path: &str| compared.iter().find(|change| change.path == path).unwrap().action;
    assert_eq!(action(&whole.path), Action::Unchanged, "the same bytes are ours, whoever wrote them");
    assert_eq!(action(&cut.path), Action::Conflict, "a torn file could be a person's: it is shown");
    assert!(compared.iter().skip(2).all(|change| change.action == Action::Create), "{compared:?}");
}

#[test]
fn odd_folders_and_names_become_names_that_kubernetes_takes() {
    let folder = tempfile::tempdir().unwrap();
    let app = "import os\nfrom fastapi import FastAPI\napp = FastAPI()\nos.environ['MODE']\n";
    for dir in ["My App/Bäck-End_2", "other/Bäck-End_2", "日本語"] {
        let dir = folder.path().join(dir);
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("requirements.txt"), "fastapi\nuvicorn\n").unwrap();
        std::fs::write(dir.join("main.py"), app).unwrap();
    }
    let survey = landfall::survey::survey(folder.path(), &landfall::survey::Options::default()).unwrap();
    assert_eq!(survey.services.len(), 3);
    let blueprint = blueprint(&survey, "");
    let names: std::collections::BTreeSet<&str> = blueprint.workloads.iter().map(|workload| workload.name.as_str()).collect();
    assert_eq!(names.len(), blueprint.workloads.len(), "two services of one name stay two: {names:?}");
    for name in names {
        assert!(name.len() <= 63 && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-'), "{name}");
    }
    let files = dockerfiles(&blueprint, &survey).unwrap();
    assert!(files.iter().any(|file| file.path == "My App/Bäck-End_2/Dockerfile"), "{:?}", files.iter().map(|file| &file.path).collect::<Vec<_>>());
    for file in files.iter().filter(|file| file.path.ends_with("Dockerfile")) {
        assert!(!file.text.contains("My App/"), "the context is the folder itself: {}", file.text);
    }
}

#[test]
fn a_stack_without_a_template_is_refused() {
    let check = |language: &str, manager: Option<&str>, says: &str| {
        let mut survey = survey();
        service(&mut survey, "mcp").language = language.to_owned();
        service(&mut survey, "mcp").package_manager = manager.map(str::to_owned);
        let failure = dockerfiles(&blueprint(&survey, ""), &survey).unwrap_err();
        assert_eq!(failure.code, Code::NotSupported);
        assert!(failure.message.contains(says), "{failure}");
    };
    check("fortran", None, "fortran");
    check("haskell", Some("cabal"), "haskell");
    check("python", Some("conda"), "conda");
    check("node", Some("deno"), "deno");
}

#[test]
fn every_dockerfile_keeps_the_rules_of_an_old_engine() {
    let survey = survey();
    for file in dockerfiles(&blueprint(&survey, ""), &survey).unwrap().iter().filter(|file| file.path.ends_with("Dockerfile")) {
        for never in ["# syntax=", "--link", "<<", "npm start", ":latest", "--platform"] {
            assert!(!file.text.contains(never), "{} has {never}", file.path);
        }
        for always in ["USER 10001:10001", "CMD [", "LABEL org.opencontainers.image.title="] {
            assert!(file.text.contains(always), "{} lacks {always}", file.path);
        }
        for line in file.text.lines().filter(|line| line.contains("target=")) {
            assert!(line.contains("target=/"), "{line}");
        }
    }
}

#[test]
fn the_images_that_a_build_starts_from_are_known() {
    let survey = survey();
    let files = dockerfiles(&blueprint(&survey, ""), &survey).unwrap();
    assert_eq!(bases(text(&files, "web/Dockerfile")), ["node:22-slim"]);
    assert_eq!(bases(text(&files, "api/Dockerfile")), ["python:3.13-slim"]);
    assert_eq!(bases(text(&files, "docs/Dockerfile")), ["node:22-slim", "nginx:stable"]);
    assert_eq!(bases("ARG V=3\nFROM --platform=linux/amd64 a:${V} as x\nfrom x\nFROM scratch\nFROM b AS y\nCOPY --from=c / /\n"), ["a:3", "b"]);
}

/// Texts that try to become something else.
#[test]
fn no_value_becomes_anything_but_itself() {
    for hostile in HOSTILE {
        let mut survey = survey();
        let mcp = service(&mut survey, "mcp");
        mcp.env.push(EnvRead {
            name: EnvName::parse("ODD").unwrap(),
            required: Required::Yes,
            secret: false,
            phases: vec![Phase::Run],
            default: Some((*hostile).to_owned()),
            consumers: vec![],
            evidence: vec![landfall::evidence::Place { file: format!("a{hostile}.py"), line: 1, text: (*hostile).to_owned() }],
        });
        let mut blueprint = blueprint(&survey, "[service.mcp.env]\nODD = \"x\"\n");
        for workload in &mut blueprint.workloads {
            for setting in workload.env.iter_mut().filter(|setting| setting.name.as_str() == "ODD") {
                setting.value = landfall::blueprint::EnvValue::Literal { text: (*hostile).to_owned() };
                setting.why = format!("because {hostile}");
            }
        }
        let files = charts(&blueprint, &environments(), &tags(&blueprint));
        let values: serde_json::Value = serde_saphyr::from_str(text(&files, "deploy/charts/mcp/values.yaml")).unwrap();
        assert_eq!(values.pointer("/env/ODD"), Some(&serde_json::Value::String((*hostile).to_owned())), "{hostile:?}");
        let plain = charts(&self::blueprint(&self::survey(), ""), &environments(), &tags(&blueprint));
        for file in plain.iter().filter(|file| file.path.contains("/templates/")) {
            assert_eq!(text(&files, &file.path), file.text, "templates never change with the input");
        }
    }
}

#[test]
fn no_command_leaves_its_instruction() {
    for hostile in HOSTILE.iter().filter(|hostile| !hostile.is_empty()) {
        let mut survey = survey();
        let api = service(&mut survey, "api");
        api.start_command = Some(format!("python '{}'", hostile.replace('\'', "")));
        let web = service(&mut survey, "web");
        web.build_command = Some(format!("echo {hostile} \\\nUSER root"));
        let files = dockerfiles(&blueprint(&survey, ""), &survey).unwrap();
        let instructions = |text: &str| -> Vec<String> {
            let mut continued = false;
            let mut out = Vec::new();
            for line in text.lines() {
                if !continued && !line.trim().is_empty() && !line.starts_with('#') {
                    out.push(line.split_whitespace().next().unwrap_or_default().to_owned());
                }
                continued = line.trim_end().ends_with('\\');
            }
            out
        };
        let plain = self::survey();
        let expected = dockerfiles(&self::blueprint(&plain, ""), &plain).unwrap();
        for path in ["api/Dockerfile", "web/Dockerfile"] {
            assert_eq!(instructions(text(&files, path)), instructions(text(&expected, path)), "{hostile:?}");
        }
        let command = text(&files, "api/Dockerfile").lines().find_map(|line| line.strip_prefix("CMD ")).unwrap().to_owned();
        assert!(serde_json::from_str::<Vec<String>>(&command).is_ok(), "{command}");
    }
}

#[test]
fn a_path_that_cannot_stand_in_an_instruction_is_refused() {
    for hostile in ["../x", "/etc", "a b", "a\nUSER root", "$(id)", "a;b"] {
        let mut survey = survey();
        service(&mut survey, "docs").build_facts.insert("static.dir".to_owned(), hostile.to_owned());
        assert_eq!(dockerfiles(&blueprint(&survey, ""), &survey).unwrap_err().code, Code::RenderFailed, "{hostile:?}");
    }
}

#[test]
fn the_same_content_has_the_same_version() {
    let blueprint = blueprint(&survey(), "");
    let version = |tag: &str| {
        let tags = blueprint.workloads.iter().map(|workload| (workload.name.clone(), tag.to_owned())).collect();
        let files = charts(&blueprint, &environments(), &tags);
        let version =
            |name: &str| text(&files, &format!("deploy/charts/{name}/Chart.yaml")).lines().find(|line| line.starts_with("version:")).unwrap().to_owned();
        (version("api"), version("postgres"))
    };
    assert_eq!(version("a"), version("a"));
    assert_ne!(version("a").0, version("b").0);
    assert_eq!(version("a").1, version("b").1, "a public image has its own tag");
}
