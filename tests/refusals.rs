//! Bad input, one after the other, through the real program: a stable code, a next step, in time, and nothing written.
//! A folder without read permission is not among them: tests may run as root, who reads everything; a file in its place stands for it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "server/lines.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the server's tests, which use more of it")]
mod lines;

#[path = "cluster/folder.rs"]
#[allow(unreachable_pub, reason = "shared with tests on the cluster")]
mod folder;

#[path = "refusals/api.rs"]
#[allow(dead_code, reason = "shared with the bench, which uses more of it")]
mod api;

#[path = "refusals/faults.rs"]
mod faults;

#[path = "refusals/wrong_clusters.rs"]
mod wrong_clusters;

use folder::{copy, files};
use lines::{Lines, PROGRAM, text_of};
use serde_json::{Value, json};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Three seconds are promised, and held by `make bench`; here the program is unoptimised and the machine may be busy with ten things.
const LIMIT: Duration = Duration::from_secs(30);

/// A machine of its own: home, minikube's folder, a kubeconfig, programs, state and a copy of the small app.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().unwrap() };
        for name in ["home", "mini/.minikube", "bin", "state", "app"] {
            std::fs::create_dir_all(machine.path(name)).unwrap();
        }
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/shop"), &machine.path("app"));
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn app(&self) -> String {
        self.path("app").display().to_string()
    }

    /// A file of the app.
    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path("app").join(name), text).unwrap();
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.path("app").join(name)).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// Has the Dockerfiles written; the text of one.
    fn written(&self) -> String {
        let (ended, done) = self.run(&["containerize", &self.app(), "--until", "files"]);
        assert_eq!(ended, 0, "{done}");
        std::fs::read_to_string(self.path("app/stock/Dockerfile")).unwrap()
    }

    /// A program that is found on this machine.
    fn program(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// A profile of minikube on a driver without containers, whose API server is said to be on this port.
    fn profile(&self, name: &str, port: u16) {
        let home = self.path("mini/.minikube");
        let folder = home.join("profiles").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let given = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals");
        std::fs::copy(given.join("ca.crt"), home.join("ca.crt")).unwrap();
        for name in ["client.crt", "client.key"] {
            std::fs::copy(given.join(name), folder.join(name)).unwrap();
        }
        let config = json!({
            "Name": name, "Driver": "kvm2", "APIServerPort": port,
            "KubernetesConfig": { "KubernetesVersion": "v1.34.0", "ContainerRuntime": "docker" },
            "Nodes": [{ "Name": "", "IP": "127.0.0.1", "Port": port, "ControlPlane": true }],
        });
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        for path in [home.clone(), home.join("ca.crt")] {
            let mode = if path.is_dir() { 0o755 } else { 0o644 };
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    /// A context of this name in the user's own kubeconfig.
    fn context(&self, name: &str, server: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- {{name: {name}, cluster: {{server: \"{server}\", insecure-skip-tls-verify: true}}}}\n\
             contexts:\n- {{name: {name}, context: {{cluster: {name}, user: {name}}}}}\nusers:\n- {{name: {name}, user: {{token: abc}}}}\ncurrent-context: {name}\n"
        );
        std::fs::write(self.path("kubeconfig"), text).unwrap();
    }

    fn surround(&self, command: &mut Command) {
        command
            .env("HOME", self.path("home"))
            .env("MINIKUBE_HOME", self.path("mini"))
            .env("KUBECONFIG", self.path("kubeconfig"))
            .env("PATH", self.path("bin"))
            .env("DOCKER_HOST", format!("unix://{}", self.path("no-engine.sock").display()))
            .env("LANDFALL_STATE", self.path("state"));
        for name in ["DOCKER_CONTEXT", "CONTAINER_HOST", "MINIKUBE_ACTIVE_DOCKERD", "XDG_RUNTIME_DIR", "LANDFALL_APPROVAL"] {
            command.env_remove(name);
        }
    }

    /// A call of the command line with `--json`: exit code and what was on stdout.
    fn run(&self, words: &[&str]) -> (i32, Value) {
        let (ended, said, took) = self.timed(words);
        assert!(took < 3 * LIMIT, "{words:?} took {took:?}");
        (ended, said)
    }

    fn timed(&self, words: &[&str]) -> (i32, Value, Duration) {
        let mut command = Command::new(PROGRAM);
        self.surround(command.args(words).arg("--json").stdin(Stdio::null()).current_dir("/"));
        let began = Instant::now();
        let done = command.output().unwrap();
        let took = began.elapsed();
        let said = serde_json::from_slice(&done.stdout);
        let said =
            said.unwrap_or_else(|error| panic!("{words:?}: {error}: {} {}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)));
        (done.status.code().unwrap_or(-1), said, took)
    }

    /// A refused call: its code and exit code, a next step, in time, and a workspace as it was.
    fn refused(&self, words: &[&str], code: &str, exit: i32) -> Value {
        let before = files(&self.path("app"));
        let (ended, failure, took) = self.timed(words);
        assert!(took < LIMIT, "{words:?} took {took:?}");
        assert_eq!((failure["code"].as_str(), ended), (Some(code), exit), "{words:?}: {failure}");
        assert!(failure["help"].as_str().is_some_and(|help| help.len() > 10), "{words:?} has no next step: {failure}");
        assert_eq!(files(&self.path("app")), before, "{words:?} wrote into the workspace");
        failure
    }
}

/// Accepts connections, keeps them and never answers; how many came.
fn silent_server() -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let count = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&count);
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming().flatten() {
            counting.fetch_add(1, Ordering::SeqCst);
            kept.push(stream);
        }
    });
    (port, count)
}

#[test]
fn folders_that_cannot_be_a_workspace() {
    let machine = Machine::new();
    let file = machine.path("a-file");
    std::fs::write(&file, "not a folder").unwrap();
    let empty = machine.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let idle = machine.path("idle");
    std::fs::create_dir(&idle).unwrap();
    std::fs::write(idle.join("README.md"), "# Words only\n").unwrap();
    let home = machine.path("home").display().to_string();
    for tool in ["plan", "deploy", "containerize", "chart"] {
        machine.refused(&[tool, "/nowhere/at/all"], "WORKSPACE_NOT_FOUND", 2);
        machine.refused(&[tool, file.to_str().unwrap()], "WORKSPACE_NOT_FOUND", 2);
        machine.refused(&[tool, "/"], "WORKSPACE_NOT_ALLOWED", 2);
        machine.refused(&[tool, &home], "WORKSPACE_NOT_ALLOWED", 2);
        machine.refused(&[tool, empty.to_str().unwrap()], "NOTHING_TO_DEPLOY", 10);
        machine.refused(&[tool, idle.to_str().unwrap()], "NOTHING_TO_DEPLOY", 10);
    }
    assert!(files(&empty).is_empty());
    assert_eq!(files(&idle).len(), 1);
}

#[test]
fn what_only_a_client_can_get_wrong() {
    let machine = Machine::new();
    let root = machine.path("app");
    let mut command = Command::new(PROGRAM);
    machine.surround(command.args(["serve", "--root"]).arg(&root));
    let mut server = Lines::of(command, tempfile::tempdir().unwrap());
    server.open("2025-06-18");
    let before = files(&root);
    for (arguments, code) in [
        (json!({ "workspace": "app" }), "BAD_ARGUMENT"),
        (json!({ "workspace": machine.path("home") }), "WORKSPACE_NOT_ALLOWED"),
        (json!({ "workspace": root.join("../home") }), "WORKSPACE_NOT_ALLOWED"),
        (json!({ "workspace": root, "colour": "red" }), "BAD_ARGUMENT"),
        (json!({ "workspace": root, "namespace": "Not_A_Name" }), "NAME_INVALID"),
        (json!({ "workspace": root, "namespace": "kube-system" }), "NAME_INVALID"),
        (json!({ "workspace": root, "services": ["-x"] }), "NAME_INVALID"),
        (json!({ "workspace": root, "services": ["cellar"] }), "SERVICE_UNKNOWN"),
        (json!({ "workspace": root, "secrets": ["SIGNING_SECRET=hunter2hunter2"] }), "VALUE_SOURCE_INVALID"),
        (json!({ "workspace": root, "backing": ["postgres=somewhere"] }), "BAD_ARGUMENT"),
    ] {
        let began = Instant::now();
        let result = server.call("deploy", arguments.clone());
        assert!(began.elapsed() < LIMIT, "{arguments} took {:?}", began.elapsed());
        assert_eq!(result["isError"], true, "{arguments}: {result}");
        let text = text_of(&result);
        let failure: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(failure["code"], code, "{arguments}: {text}");
        assert!(failure["help"].as_str().is_some_and(|help| !help.is_empty()), "{arguments}: {text}");
        assert!(!text.contains("hunter2"), "a value that was given by mistake is not shown again: {text}");
    }
    assert_eq!(files(&root), before);
}

#[test]
fn arguments_of_the_command_line() {
    let machine = Machine::new();
    let app = machine.app();
    machine.refused(&["plan", &app, "--services", "cellar"], "SERVICE_UNKNOWN", 2);
    machine.refused(&["deploy", &app, "--secrets", "SIGNING_SECRET=somewhere"], "VALUE_SOURCE_INVALID", 5);
    machine.refused(&["operations", "show", "op-20260101-000000-abcd", &app], "OPERATION_NOT_FOUND", 2);
    machine.refused(&["operations", "cancel", "op-20260101-000000-abcd", &app], "OPERATION_NOT_FOUND", 2);
    machine.refused(&["operations", "resume", "op-20260101-000000-abcd", &app], "OPERATION_NOT_FOUND", 2);
    for words in [&["deploy", "--colour", "red"][..], &["plan", "--namespace", "Not_A_Name"], &["chart", "--services", "A_B"], &["deploy", "--through", "moon"]]
    {
        let done = Command::new(PROGRAM).args(words).env("LANDFALL_STATE", machine.path("state")).output().unwrap();
        assert_eq!(done.status.code(), Some(2), "{words:?}");
        assert!(!done.stderr.is_empty());
    }
}

#[test]
fn a_machine_without_docker_or_minikube() {
    let machine = Machine::new();
    let app = machine.app();
    let failure = machine.refused(&["deploy", &app, "--secrets", "SIGNING_SECRET=generate"], "CLUSTER_STOPPED", 7);
    assert!(failure["causes"].to_string().contains("no profile exists"), "{failure}");
    let failure = machine.refused(&["deploy", &app, "--profile", "there-is-none", "--secrets", "SIGNING_SECRET=generate"], "PROFILE_NOT_FOUND", 7);
    assert!(failure["help"].as_str().unwrap().contains("minikube start -p there-is-none"), "{failure}");
    machine.refused(&["containerize", &app], "CLUSTER_STOPPED", 7);
    machine.refused(&["rollback", &app, "--profile", "there-is-none"], "PROFILE_NOT_FOUND", 7);
    machine.refused(&["status", &app, "--profile", "there-is-none"], "PROFILE_NOT_FOUND", 7);
    let (_, found) = machine.run(&["doctor"]);
    for name in ["minikube", "helm", "docker"] {
        assert!(found.to_string().contains(name), "doctor says nothing of {name}: {found}");
    }
    // What needs none of them still works.
    let (ended, planned) = machine.run(&["plan", &app, "--secrets", "SIGNING_SECRET=generate"]);
    assert_eq!(ended, 0, "{planned}");
    assert!(planned["summary"].as_str().unwrap().contains("started first"), "{planned}");
}

#[test]
fn a_profile_that_is_stopped() {
    let machine = Machine::new();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    machine.profile("quiet", gone);
    machine.program("minikube", r#"echo '{"Name":"quiet","Host":"Stopped","Kubelet":"Stopped","APIServer":"Stopped","Kubeconfig":"Stopped"}'"#);
    let failure = machine.refused(&["deploy", &machine.app(), "--profile", "quiet", "--secrets", "SIGNING_SECRET=generate"], "CLUSTER_STOPPED", 7);
    assert!(failure["help"].to_string().contains("start"), "{failure}");
    // It is offered to be started, as an approval of its own.
    let (ended, offered) = machine.run(&["deploy", &machine.app(), "--profile", "quiet", "--start-cluster", "--secrets", "SIGNING_SECRET=generate"]);
    assert_eq!((ended, offered["status"].as_str()), (4, Some("approval_needed")), "{offered}");
    assert!(offered["approval"]["summary"].to_string().contains("start"), "{offered}");
}

#[test]
fn a_cluster_that_hangs() {
    let machine = Machine::new();
    let (port, asked) = silent_server();
    machine.profile("hung", port);
    let app = machine.app();
    for words in [&["deploy", &app, "--secrets", "SIGNING_SECRET=generate"][..], &["rollback", &app], &["status", &app]] {
        let failure = machine.refused(&[words, &["--profile", "hung"]].concat(), "CLUSTER_UNREACHABLE", 7);
        assert!(failure["causes"].to_string().contains("no answer within"), "it says what it waited for: {failure}");
        assert!(failure["message"].as_str().unwrap().contains(&port.to_string()), "and where: {failure}");
    }
    assert!(asked.load(Ordering::SeqCst) > 0, "the server was asked");
    let (ended, planned) = machine.run(&["plan", &app, "--profile", "hung", "--secrets", "SIGNING_SECRET=generate"]);
    assert_eq!(ended, 0, "a plan needs no cluster: {planned}");
}

#[test]
fn a_context_that_only_has_the_name_of_a_profile() {
    let machine = Machine::new();
    let (port, _) = silent_server();
    let (elsewhere, asked) = silent_server();
    machine.profile("mine", port);
    machine.context("mine", &format!("https://127.0.0.1:{elsewhere}"));
    let app = machine.app();
    for words in [&["deploy", &app, "--secrets", "SIGNING_SECRET=generate"][..], &["rollback", &app], &["containerize", &app], &["status", &app]] {
        let failure = machine.refused(&[words, &["--profile", "mine"]].concat(), "WRONG_CLUSTER", 6);
        let causes = failure["causes"].to_string();
        for compared in ["context server", "context CA", "context user", &elsewhere.to_string()] {
            assert!(causes.contains(compared), "{compared} is not among what was compared: {failure}");
        }
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0, "the other cluster was never spoken to");
}

#[test]
fn approvals_that_do_not_count() {
    let machine = Machine::new();
    let app = machine.app();
    // A file that a person changed and that would change back: an approval without any cluster.
    let ours = machine.written();
    machine.write("stock/Dockerfile", &format!("{ours}# a person's word\n"));
    let call = ["containerize", app.as_str(), "--until", "files", "--on-conflict", "replace"];
    let ask = || {
        let (ended, asked) = machine.run(&call);
        assert_eq!((ended, asked["status"].as_str()), (4, Some("approval_needed")), "{asked}");
        asked["approval"]["token"].as_str().expect("client mode gives the token").to_owned()
    };
    let with = |token: &str| [&call[..], &["--approval", token]].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
    let refused = |token: &str, code: &str| {
        let words = with(token);
        machine.refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), code, 4)
    };

    refused("lf-00000000000000000000000000000000", "APPROVAL_INVALID");
    refused("../../etc/passwd", "APPROVAL_INVALID");

    let token = ask();
    change_approval(&machine, &token, |entry| entry["expires_at"] = json!("2020-01-01T00:00:00Z"));
    let failure = refused(&token, "APPROVAL_EXPIRED");
    assert!(failure["help"].as_str().unwrap().contains("without approval"), "{failure}");

    let token = ask();
    change_approval(&machine, &token, |entry| entry["decided"] = json!(["terminal", false]));
    let words = with(&token);
    let before = files(&machine.path("app"));
    let (ended, declined) = machine.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((ended, declined["status"].as_str()), (4, Some("declined")), "{declined}");
    assert_eq!(files(&machine.path("app")), before);

    let token = ask();
    machine.write("stock/Dockerfile", &format!("{ours}# changed after it was shown\n"));
    refused(&token, "PLAN_STALE");

    let token = ask();
    let words = with(&token);
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    let (ended, done) = machine.run(&words);
    assert_eq!((ended, done["status"].as_str()), (0, Some("done")), "{done}");
    assert_eq!(std::fs::read_to_string(machine.path("app/stock/Dockerfile")).unwrap(), ours);
    machine.write("stock/Dockerfile", &format!("{ours}# once more\n"));
    refused(&token, "APPROVAL_INVALID");
}

/// Changes an approval in the user's state folder, as time or another process would.
fn change_approval(machine: &Machine, token: &str, change: impl Fn(&mut Value)) {
    let name = landfall::names::Digest::of(token).as_str().chars().take(32).collect::<String>();
    let path = machine.path("state/approvals").join(format!("{name}.json"));
    let mut entry: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut entry);
    std::fs::write(path, entry.to_string()).unwrap();
}

#[test]
fn a_token_alone_in_human_mode() {
    let machine = Machine::new();
    let app = machine.app();
    let ours = machine.written();
    machine.write("stock/Dockerfile", &format!("{ours}# a person's word\n"));
    machine.edit("landfall.toml", "[gates]", "[approval]\nmode = \"human\"\n\n[gates]");
    let call = ["containerize", app.as_str(), "--until", "files", "--on-conflict", "replace"];
    let (ended, asked) = machine.run(&call);
    assert_eq!((ended, asked["status"].as_str()), (4, Some("approval_needed")), "{asked}");
    assert_eq!(asked["approval"]["mode"], "human");
    assert!(!asked["next"].to_string().contains("lf-"), "the next call gives no token away: {asked}");
    let how = asked["approval"]["how"].to_string();
    let token: String = how.split("landfall approve ").nth(1).unwrap().chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
    let failure = machine.refused(&[&call[..], &["--approval", &token]].concat(), "APPROVAL_REQUIRED", 4);
    assert!(failure["help"].as_str().unwrap().contains("landfall approve"), "{failure}");
}

#[test]
fn decisions_that_cannot_be_read() {
    let machine = Machine::new();
    let app = machine.app();
    let good = std::fs::read_to_string(machine.path("app/landfall.toml")).unwrap();
    for (from, to, words) in [
        ("[service.stock]", "[service.stock]\nprot = 8000", &["line", "prot", "port"][..]),
        ("GREETING = \"in stock\"", "STRIPE_API_KEY = \"sk_live_123456789012\"", &["STRIPE_API_KEY"]),
        ("name = \"shop\"", "name = \"Shop_1\"", &["name"]),
        ("schema = 1", "schema = 7", &["schema"]),
        ("[gates]", "[gates", &["line"]),
    ] {
        machine.write("landfall.toml", &good.replacen(from, to, 1));
        for tool in ["plan", "deploy", "analyze"] {
            let failure = machine.refused(&[tool, &app], "CONFIG_INVALID", 2);
            let said = format!("{} {} {}", failure["message"], failure["causes"], failure["help"]);
            for word in words {
                assert!(said.contains(word), "{to}: {word} is missing: {said}");
            }
            assert!(!said.contains("sk_live_123456789012"), "the value is not shown: {said}");
        }
    }
}

#[test]
fn a_target_that_cannot_be_written() {
    let machine = Machine::new();
    let app = machine.app();
    // What root may write anywhere is kept from everybody by a file where a folder has to be.
    machine.write("deploy", "a person's file\n");
    let (ended, failed) = machine.run(&["chart", &app]);
    assert_ne!(ended, 0, "{failed}");
    let told = failed.to_string();
    assert!(told.contains("deploy") && !failed["help"].as_str().unwrap_or_default().is_empty(), "the place is named, and what to do: {failed}");
    assert_eq!(std::fs::read_to_string(machine.path("app/deploy")).unwrap(), "a person's file\n");
}

#[test]
fn a_persons_dockerfile_stays_and_gets_advice_as_a_difference() {
    let machine = Machine::new();
    let app = machine.app();
    let advice = |theirs: &str| {
        machine.write("stock/Dockerfile", theirs);
        let (_, planned) = machine.run(&["plan", &app, "--secrets", "SIGNING_SECRET=generate"]);
        assert_eq!(std::fs::read_to_string(machine.path("app/stock/Dockerfile")).unwrap(), theirs, "it is used as it is");
        let findings = planned["findings"].as_array().cloned().unwrap_or_default();
        findings.into_iter().find(|finding| finding["code"] == "DOCKERFILE_ADVICE")
    };
    let root = advice("FROM python:3.13-slim\nCOPY . /app\nRUN pip install --no-cache-dir -r /app/requirements.txt\nCMD python /app/main.py\n").unwrap();
    assert_eq!(root["severity"], "warning", "it runs as root: {root}");
    let fix = root["fix"].as_str().unwrap_or_default();
    assert!(fix.contains("-CMD python /app/main.py") && fix.contains("+USER 10001:10001"), "{fix}");
    let shell = advice("FROM python:3.13-slim\nWORKDIR /app\nCOPY . .\nUSER 10001\nCMD python main.py\n").unwrap();
    assert_eq!(shell["severity"], "note", "{shell}");
    assert!(shell["fix"].as_str().unwrap_or_default().contains("-CMD python main.py"), "{shell}");
}

#[test]
fn values_and_plans_that_are_not_there() {
    let machine = Machine::new();
    let app = machine.app();
    // A cluster that would be started: everything but the cluster is looked at first.
    let deploy =
        |more: &[&str]| [&["deploy", app.as_str(), "--profile", "new", "--start-cluster"], more].concat().iter().map(ToString::to_string).collect::<Vec<_>>();
    let refused = |more: &[&str], code: &str, exit: i32| {
        let words = deploy(more);
        machine.refused(&words.iter().map(String::as_str).collect::<Vec<_>>(), code, exit)
    };
    for source in ["env:NO_SUCH_VARIABLE_HERE", "file:no-such-file", "file:.env#SIGNING_SECRET", "file:/etc/hostname"] {
        let failure = refused(&["--secrets", &format!("SIGNING_SECRET={source}")], "VALUE_SOURCE_UNREADABLE", 5);
        assert!(failure["message"].as_str().unwrap().contains(source.split('#').next().unwrap()), "{failure}");
    }
    refused(&["--secrets", "SIGNING_SECRET=generate", "--plan", "0123456789ab"], "PLAN_NOT_FOUND", 2);
    let words = deploy(&[]);
    let before = files(&machine.path("app"));
    let (ended, needed) = machine.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!((ended, needed["status"].as_str()), (5, Some("value_needed")), "{needed}");
    assert_eq!(needed["values_needed"][0]["why"]["file"], "stock/main.py", "{needed}");
    assert_eq!(files(&machine.path("app")), before);
}

#[test]
fn our_own_files_change_nothing_in_what_is_planned() {
    let machine = Machine::new();
    let app = machine.app();
    let facts = || {
        let (ended, found) = machine.run(&["analyze", &app]);
        assert_eq!(ended, 0, "{found}");
        (found["services"].clone(), found["findings"].clone())
    };
    let before = facts();
    machine.written();
    assert_eq!(facts(), before, "a Dockerfile of ours is no decision of a person");
}
