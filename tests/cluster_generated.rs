//! Stacks built in the node's engine and installed on the real cluster: what is generated runs, passes its gates, and answers through its Service.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "cluster/folder.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod folder;

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const PROGRAM: &str = env!("CARGO_BIN_EXE_landfall");

/// A project of tests/generated, and what shows that it runs.
struct Stack {
    folder: &'static str,
    /// Words of the deploy beside the workspace: value sources and decisions.
    words: &'static [&'static str],
    /// Service, port and path that are asked, and what the answer holds.
    asked: &'static [(&'static str, u16, &'static str, &'static str)],
    /// The largest image, in megabytes, that is not a surprise.
    megabytes: u64,
}

const fn stack(folder: &'static str, asked: &'static [(&'static str, u16, &'static str, &'static str)], megabytes: u64) -> Stack {
    Stack { folder, words: &[], asked, megabytes }
}

impl Stack {
    /// A copy in a folder of its own, deployed and asked; everything is removed at the end.
    fn runs(&self) {
        let app = App::new(self.folder);
        let workspace = app.workspace(self.folder, self.megabytes);

        let began = Instant::now();
        let done = app.deploy(&workspace, self.words);
        let events = journal(&workspace, &done);
        let gates: Vec<&Value> = events.iter().filter(|event| event["event"] == "gate_judged").map(|event| &event["data"]["gate"]).collect();
        let refused: Vec<_> = gates.iter().filter(|gate| gate["verdict"] != "pass").collect();
        assert_eq!(done["verdict"], "pass", "{}: {}\n{refused:#?}\n{:#}", self.folder, done["summary"], done["diagnoses"]);
        for (service, port, path, expect) in self.asked {
            for wanted in ["docker", "helm"] {
                let passed = gates.iter().any(|gate| gate["gate"] == wanted && gate["subject"] == *service && gate["verdict"] == "pass");
                assert!(passed, "{}: {service} has no passed {wanted} gate", self.folder);
            }
            let answer = app.answer(service, *port, path);
            assert!(answer.contains(expect), "{}: {service} answers {answer:?}", self.folder);
            output("helm", &["test", service, "--namespace", &app.name, "--timeout", "120s"]);
        }
        let sizes = gates.iter().filter(|gate| gate["gate"] == "docker").map(|gate| {
            let check = gate["checks"].as_array().into_iter().flatten().find(|check| check["id"] == "docker.size");
            let seen = check.and_then(|check| check["evidence"][0]["text"].as_str()).unwrap_or_default();
            format!("{} {}", gate["subject"].as_str().unwrap_or_default(), seen.split(';').next().unwrap_or_default())
        });
        let told = format!("  {:>6.1} s  {}: {}\n", began.elapsed().as_secs_f64(), self.folder, sizes.collect::<Vec<_>>().join(", "));
        let _ = std::io::stderr().write_all(told.as_bytes());
    }
}

/// One deployed copy: its workspace, state folder and namespace.
struct App {
    name: String,
    profile: String,
    folder: tempfile::TempDir,
    state: tempfile::TempDir,
}

impl App {
    fn new(tag: &str) -> Self {
        let profile = std::env::var("LANDFALL_TEST_PROFILE").expect("LANDFALL_TEST_PROFILE names the test profile: eval \"$(tests/testbed/testbed.sh env)\"");
        Self { name: format!("gen-{tag}-{}", std::process::id()), profile, folder: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap() }
    }

    /// A copy of a project of tests/generated or tests/survey; a service without a name of its own is called after its folder.
    fn workspace(&self, folder: &str, megabytes: u64) -> PathBuf {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let source = ["generated", "survey"].iter().map(|place| tests.join(place).join(folder)).find(|source| source.is_dir()).expect("a project of this name");
        let workspace = self.folder.path().join(folder);
        std::fs::create_dir_all(&workspace).unwrap();
        folder::copy(&source, &workspace);
        let toml = workspace.join("landfall.toml");
        let settings = std::fs::read_to_string(&toml).unwrap_or_else(|_| "schema = 1\n".to_owned());
        std::fs::write(&toml, format!("{settings}\n[app]\nname = \"{}\"\n\n[gates]\nwindow_s = 2\nimage_budget_mb = {megabytes}\n", self.name)).unwrap();
        workspace
    }

    /// Asks, approves, follows to the end.
    fn deploy(&self, workspace: &Path, words: &[&str]) -> Value {
        let here = workspace.to_str().unwrap();
        let base = [&["deploy", here, "--json", "--profile", &self.profile], words].concat();
        let asked = self.run(&base);
        let token = asked["approval"]["token"].as_str().unwrap_or_else(|| panic!("{here}: no approval is asked for: {asked:#}"));
        self.run(&[&base[..], &["--approval", token]].concat())
    }

    /// The same, where it must pass.
    fn deployed(&self, workspace: &Path, words: &[&str]) -> Value {
        let done = self.deploy(workspace, words);
        let gates: Vec<Value> =
            journal(workspace, &done).into_iter().filter(|event| event["event"] == "gate_judged" && event["data"]["gate"]["verdict"] != "pass").collect();
        assert_eq!(done["verdict"], "pass", "{}\n{gates:#?}\n{:#}", done["summary"], done["diagnoses"]);
        done
    }

    /// Images alone, with an approval where one is asked for.
    fn containerized(&self, workspace: &Path) -> Value {
        let base = ["containerize", workspace.to_str().unwrap(), "--json", "--profile", &self.profile];
        let asked = self.run(&base);
        let done = match asked["approval"]["token"].as_str() {
            Some(token) => self.run(&[&base[..], &["--approval", token]].concat()),
            None => asked,
        };
        assert_eq!(done["verdict"], "pass", "{done:#}");
        done
    }

    /// What a service of it answers.
    fn answer(&self, service: &str, port: u16, path: &str) -> String {
        output("kubectl", &["get", "--raw", &format!("/api/v1/namespaces/{}/services/{service}:{port}/proxy{path}", self.name)])
    }

    fn kubectl(&self, words: &[&str]) -> String {
        output("kubectl", &[&["--namespace", &self.name], words].concat())
    }

    fn run(&self, words: &[&str]) -> Value {
        let done =
            Command::new(PROGRAM).args(words).env("LANDFALL_STATE", self.state.path()).env_remove("LANDFALL_FAULT").stdin(Stdio::null()).output().unwrap();
        serde_json::from_slice(&done.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} · {}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = Command::new("kubectl").args(["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"]).output();
        let listed = Command::new("minikube").args(["image", "ls", "-p", &self.profile]).output();
        let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
        let ours = listed.lines().filter(|line| line.contains(&format!("/{}/", self.name)));
        let _ = Command::new("minikube").args(["image", "rm", "-p", &self.profile]).args(ours).output();
    }
}

/// The events of the operation that a reply tells of.
fn journal(workspace: &Path, reply: &Value) -> Vec<Value> {
    let id = reply["operation"]["id"].as_str().unwrap_or_else(|| panic!("no operation: {reply:#}"));
    let journal = std::fs::read_to_string(workspace.join(format!(".landfall/operations/{id}/journal.jsonl"))).unwrap();
    journal.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn full() -> bool {
    std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full")
}

fn output(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Every stack; those before the mark are the short tier's.
fn stacks() -> (Vec<Stack>, usize) {
    let short = vec![
        stack("express", &[("express-hello", 3000, "/", "hello")], 300),
        stack("fastapi-pip", &[("fastapi-pip", 8000, "/", "hello")], 400),
        stack("vite", &[("vite-hello", 8080, "/", "<title>Hello</title>")], 250),
    ];
    let long = vec![
        stack("next", &[("next-hello", 3000, "/", "hello")], 450),
        stack("fastapi-uv", &[("fastapi-uv", 8000, "/", "hello")], 400),
        stack("fastapi-poetry", &[("fastapi-poetry", 8000, "/", "hello")], 400),
        Stack {
            words: &["--backing", "postgres=in_cluster", "--secrets", "SECRET_KEY=generate"],
            ..stack("django-postgres", &[("django-postgres", 8000, "/", "\"users\": 0")], 450)
        },
        Stack { words: &["--backing", "redis=in_cluster"], ..stack("flask-worker", &[("flask-worker", 8000, "/", "done")], 400) },
        stack("go", &[("hello", 8080, "/", "hello world")], 40),
        stack("rust", &[("hello", 8080, "/", "hello world")], 200),
        stack("spring-maven", &[("hello", 8080, "/", "hello world")], 500),
        stack("quarkus", &[("hello", 8080, "/", "hello world")], 500),
        stack("java-plain", &[("plain", 7070, "/", "hello world")], 500),
        // A job fills the database before the service that waits for its end is installed.
        Stack { words: &["--backing", "postgres=in_cluster"], ..stack("compose-seed", &[("api", 8000, "/notes", "first")], 400) },
        stack("pnpm-monorepo", &[("web", 8080, "/", "hello shop"), ("api", 3000, "/", "hello shop")], 350),
    ];
    let mark = short.len();
    (short.into_iter().chain(long).collect(), mark)
}

#[test]
fn what_is_generated_for_a_stack_runs() {
    let (mut all, mark) = stacks();
    let whole = all.len();
    if let Ok(only) = std::env::var("LANDFALL_STACKS") {
        all.retain(|stack| only.split(',').any(|name| name == stack.folder));
    } else if full() {
        assert!(whole >= 12);
    } else {
        all.truncate(mark);
    }
    assert!(!all.is_empty());
    let failed: Vec<&str> =
        all.iter().filter(|stack| std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| stack.runs())).is_err()).map(|stack| stack.folder).collect();
    let _ = writeln!(std::io::stderr(), "  {} of {} stacks run; the project knows {whole}", all.len() - failed.len(), all.len());
    assert!(failed.is_empty(), "these do not: {}", failed.join(", "));
}

#[test]
fn a_schedule_becomes_a_cronjob_whose_program_runs_to_its_end() {
    let app = App::new("clock");
    let workspace = app.workspace("nightly", 400);
    app.deployed(&workspace, &[]);
    assert_eq!(app.kubectl(&["get", "cronjob", "nightly-worker", "-o", "jsonpath={.spec.schedule} {.spec.suspend}"]).trim_end_matches(" false"), "0 3 * * *");
    app.kubectl(&["create", "job", "now", "--from=cronjob/nightly-worker"]);
    app.kubectl(&["wait", "--for=condition=complete", "--timeout=120s", "job/now"]);
    assert!(app.kubectl(&["logs", "job/now"]).contains("nightly work done"));
}

#[test]
fn long_data_in_a_file_outlives_a_rollout() {
    let app = App::new("sqlite");
    let workspace = app.workspace("sqlite", 400);
    app.deployed(&workspace, &[]);
    assert_eq!(app.kubectl(&["get", "statefulset", "sqlite", "-o", "jsonpath={.status.readyReplicas}"]), "1");
    assert!(app.answer("sqlite", 8000, "/add").contains("\"notes\":1"), "the first note");
    let source = workspace.join("main.py");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("first edition", "second edition")).unwrap();
    app.deployed(&workspace, &[]);
    assert!(app.answer("sqlite", 8000, "/").contains("second edition"), "the new program runs");
    assert!(app.answer("sqlite", 8000, "/add").contains("\"notes\":2"), "the first note is still there");
}

#[test]
fn long_a_persons_own_chart_is_deployed_as_it_is() {
    let app = App::new("own-chart");
    let workspace = app.workspace("express", 300);
    app.run(&["chart", workspace.to_str().unwrap(), "--json"]);
    // What we would write, under another folder and without our name, with a mark of its own, is a person's chart.
    let (ours, theirs) = (workspace.join("deploy/charts/express-hello"), workspace.join("helm"));
    std::fs::create_dir_all(&theirs).unwrap();
    folder::copy(&ours, &theirs);
    for (path, text) in folder::files(&theirs) {
        let text = String::from_utf8(text).unwrap();
        let kept: String = text.lines().filter(|line| !line.contains("Written by Landfall")).map(|line| format!("{line}\n")).collect();
        std::fs::write(path, kept).unwrap();
    }
    let deployment = theirs.join("templates/deployment.yaml");
    let text = std::fs::read_to_string(&deployment).unwrap();
    assert!(text.contains("\nmetadata:\n"), "{text}");
    std::fs::write(&deployment, text.replacen("\nmetadata:\n", "\nmetadata:\n  annotations:\n    example.org/written: by-hand\n", 1)).unwrap();
    std::fs::remove_dir_all(workspace.join("deploy")).unwrap();
    std::fs::remove_file(workspace.join("landfall.lock")).unwrap();

    app.deployed(&workspace, &[]);
    assert!(!workspace.join("deploy/charts").exists(), "no chart is written beside it");
    assert_eq!(app.kubectl(&["get", "deployment", "express-hello", "-o", "jsonpath={.metadata.annotations.example\\.org/written}"]), "by-hand");
    assert!(app.answer("express-hello", 3000, "/").contains("hello"));
}

#[test]
fn an_unchanged_project_is_not_built_again() {
    let app = App::new("again");
    let workspace = app.workspace("express", 300);
    let built = |done: &Value| {
        let begun = |event: &&Value| event["event"] == "effect_intended";
        journal(&workspace, done).iter().filter(begun).filter(|event| event.to_string().contains("image/express-hello")).count()
    };
    let first = app.containerized(&workspace);
    assert!(built(&first) > 0, "{:#?}", journal(&workspace, &first));
    let began = Instant::now();
    let second = app.containerized(&workspace);
    let _ = std::io::stderr().write_all(format!("  the second call took {:.2} s\n", began.elapsed().as_secs_f64()).as_bytes());
    assert_eq!(built(&second), 0, "nothing is built for the same sources");
}

/// Programs that end by themselves or offer nothing: their images are built and judged.
#[test]
fn long_languages_of_the_long_tail_have_images() {
    for folder in ["cmake-program", "cobol-program", "shell-script"] {
        let app = App::new(folder);
        app.containerized(&app.workspace(folder, 500));
    }
}
