//! Everything generated for every fixture: rendered by the real helm, held against the policy table and the types of Kubernetes, and left as one tree for the linters.
//!
//! It needs the cluster's programs, not the cluster. `tests/machine/lint-generated.sh` runs it and then each linter once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "tests may stop at the first surprise"
)]

use landfall::blueprint::{Blueprint, Expose, Wishes, draw};
use landfall::config::Config;
use landfall::failure::Code;
use landfall::names::{AppName, EnvironmentName};
use landfall::policy::{self, Strictness};
use landfall::render::{ChartOptions, RenderedFile, chart_folder, charts, dockerfiles};
use landfall::survey::{Options, survey};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `make test` takes; the long tier takes all.
const SAMPLE: &[&str] =
    &["todo", "django-uv", "express-redis", "fastapi-postgres", "go-service", "mcp-http", "pnpm-workspace", "procfile-workers", "spring-boot", "vite-static"];

/// Fixtures that have nothing to deploy, each with the reason that is given for it.
const REFUSED: &[(&str, Code)] =
    &[("image-only", Code::NothingToDeploy), ("mcp-rust-stdio", Code::NothingToDeploy), ("package-without-program", Code::NotDeployable)];

/// Stands where a registry's answer would: the production values name the image by its digest.
const DIGEST: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

fn long() -> bool {
    std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full")
}

fn fixtures() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = vec![("todo".to_owned(), root.join("examples/todo"))];
    for folder in ["tests/survey", "tests/generated"] {
        for entry in std::fs::read_dir(root.join(folder)).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
            found.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
        }
    }
    found.retain(|(name, _)| long() || SAMPLE.contains(&name.as_str()));
    found.sort();
    assert!(found.len() >= SAMPLE.len(), "fixtures are missing: {found:?}");
    found
}

fn write(folder: &Path, path: &str, text: &str) -> PathBuf {
    let path = folder.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

fn drawn(name: &str, path: &Path, expose: Option<Expose>) -> Result<(Blueprint, Vec<RenderedFile>), Code> {
    let survey = survey(path, &Options::default()).unwrap();
    let kinds: BTreeSet<&str> = survey.services.iter().flat_map(|service| &service.backing).map(|need| need.kind.as_str()).collect();
    let known = ["postgres", "mysql", "redis", "mongodb", "rabbitmq"];
    let backing = kinds.into_iter().filter(|kind| known.contains(kind)).map(|kind| (kind.to_owned(), "in_cluster".to_owned())).collect();
    let wishes = Wishes { backing, expose, ..Wishes::default() };
    let config = Config::load(path).unwrap_or_else(|failure| panic!("{name}: {failure}"));
    let blueprint = draw(&survey, &config, &AppName::parse(name).unwrap(), &wishes).map_err(|failure| failure.code)?;
    let tags = blueprint.workloads.iter().map(|workload| (workload.name.clone(), "0123456789ab".to_owned())).collect::<BTreeMap<_, _>>();
    let options = ChartOptions { environments: ["minikube", "prod"].map(|name| EnvironmentName::parse(name).unwrap()).to_vec() };
    let mut files = dockerfiles(&blueprint, &survey).map_err(|failure| failure.code)?;
    files.extend(charts(&blueprint, &options, &tags));
    Ok((blueprint, files))
}

fn helm(arguments: &[&str]) -> String {
    let output = Command::new("helm").args(arguments).output().expect("helm is one of the cluster's programs");
    assert!(output.status.success(), "helm {arguments:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn everything_generated_keeps_the_policy_and_the_types_of_kubernetes() {
    let tree = Path::new(env!("CARGO_TARGET_TMPDIR")).join("generated");
    let _ = std::fs::remove_dir_all(&tree);
    let mut objects = 0;
    let mut wrong = Vec::new();
    for (name, path) in fixtures() {
        let (blueprint, files) = match drawn(&name, &path, Some(Expose::Ingress)) {
            Ok(drawn) => drawn,
            Err(code) => {
                if !REFUSED.contains(&(name.as_str(), code)) {
                    wrong.push(format!("{name} is refused with {code:?}"));
                }
                continue;
            }
        };
        assert!(!REFUSED.iter().any(|(refused, _)| *refused == name), "{name} is said to be refused");
        let folder = tree.join(&name);
        for file in &files {
            write(&folder, &file.path, &file.text);
        }
        for workload in &blueprint.workloads {
            let chart = folder.join(chart_folder(&workload.name));
            let text = |environment: &str, kubernetes: &str, more: &[&str]| {
                let values = chart.join(format!("values-{environment}.yaml")).display().to_string();
                let base =
                    ["template", workload.name.as_str(), chart.to_str().unwrap(), "--namespace", &name, "--kube-version", kubernetes, "--values", &values];
                helm(&[&base, more].concat())
            };
            let digest = format!("image.digest={DIGEST}");
            for (environment, strictness, more) in [
                ("minikube", Strictness::Local, &[][..]),
                ("prod", Strictness::Production, &["--set", "image.repository=registry.example/app", "--set", &digest]),
            ] {
                for kubernetes in ["1.27.0", "1.34.0"] {
                    let manifest = text(environment, kubernetes, more);
                    let documents = policy::documents(&manifest).unwrap();
                    assert!(!documents.is_empty(), "{name}/{} renders nothing", workload.name);
                    objects += documents.len();
                    let broken = policy::judge(&documents, strictness);
                    wrong.extend(
                        broken
                            .into_iter()
                            .map(|broken| format!("{name} in {environment}, Kubernetes {kubernetes}: {}: {} {}", broken.rule, broken.at, broken.message)),
                    );
                    if (environment, kubernetes) == ("prod", "1.34.0") {
                        write(&folder, &format!("manifests/{}.yaml", workload.name), &manifest);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(objects > 100, "only {objects} objects were looked at");
}

/// The folder of the chart that one service is installed from, as the program says it.
fn charted(workspace: &Path, state: &Path) -> (String, serde_json::Value) {
    let words = ["chart", workspace.to_str().unwrap(), "--json"];
    let done = Command::new(env!("CARGO_BIN_EXE_landfall")).args(words).env("LANDFALL_STATE", state).stdin(std::process::Stdio::null()).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&done.stdout)
        .unwrap_or_else(|error| panic!("{error}: {} {}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)));
    let dir = said.pointer("/charts/0/dir").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    (dir, said)
}

#[test]
fn a_persons_chart_is_installed_as_it_is_where_it_passes_and_only_there() {
    let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let workspace = folder.path().join("notes");
    write(&workspace, "api/requirements.txt", "fastapi\nuvicorn\n");
    write(&workspace, "api/main.py", "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef health(): return {}\n");
    // What we would write, under another folder and without our name, is a person's chart.
    let (_, files) = drawn("notes", &workspace, None).unwrap();
    for file in files.iter().filter(|file| file.path.starts_with("deploy/charts/api/")) {
        let text: String = file.text.lines().filter(|line| !line.contains("Written by Landfall")).map(|line| format!("{line}\n")).collect();
        write(&workspace, &file.path.replacen("deploy/charts/api/", "charts/api/", 1), &text);
    }
    let (dir, said) = charted(&workspace, state.path());
    assert_eq!(dir, "charts/api", "{said:#}");
    assert!(!workspace.join("deploy/charts/api").exists(), "nothing is written beside it");
    let overlay = std::fs::read_to_string(workspace.join("deploy/overlays/api/values-minikube.yaml")).unwrap();
    assert!(overlay.contains("repository: localhost/notes/api"), "{overlay}");

    let helpers = workspace.join("charts/api/templates/_helpers.tpl");
    let text = std::fs::read_to_string(&helpers).unwrap();
    std::fs::write(&helpers, text.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false")).unwrap();
    let (dir, said) = charted(&workspace, state.path());
    assert_eq!(dir, "deploy/charts/api", "{said:#}");

    std::fs::write(&helpers, text).unwrap();
    let (dir, said) = charted(&workspace, state.path());
    assert_eq!(dir, "deploy/charts/api", "what runs under one chart is not put under another unasked: {said:#}");
}
