//! One app of a test on the real cluster: its workspace, its state folder, its namespace, and the calls of the command line on it.

#[path = "folder.rs"]
mod folder;

pub use folder::{copy, files};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_landfall");
/// A worker that should be doing something is watched no longer than this.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What a call of the program gave.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub reply: Value,
    pub words: String,
}

/// An app of one test: its workspace, its state folder and its namespace, all removed at the end, however that comes.
pub struct App {
    pub name: String,
    pub profile: String,
    pub folder: tempfile::TempDir,
    pub state: Arc<tempfile::TempDir>,
    pub began: Instant,
    /// The namespace belongs to another App.
    pub guest: bool,
}

impl App {
    /// A copy of tests/apps/shop under a name of its own.
    pub fn shop(tag: &str) -> Self {
        let profile = std::env::var("LANDFALL_TEST_PROFILE").expect("LANDFALL_TEST_PROFILE names the test profile: eval \"$(tests/testbed/testbed.sh env)\"");
        let name = format!("{tag}-{}", std::process::id());
        let app =
            Self { name, profile, folder: tempfile::tempdir().unwrap(), state: Arc::new(tempfile::tempdir().unwrap()), began: Instant::now(), guest: false };
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/shop"), app.root());
        app.edit("landfall.toml", "name = \"shop\"", &format!("name = \"{}\"", app.name));
        app
    }

    /// The same without the service that calls the other.
    pub fn stock(tag: &str) -> Self {
        let app = Self::shop(tag);
        std::fs::remove_dir_all(app.path("till")).unwrap();
        let text = app.read("landfall.toml");
        let (before, rest) = text.split_once("[service.till]").unwrap();
        let (_, after) = rest.split_once("[gates]").unwrap();
        std::fs::write(app.path("landfall.toml"), format!("{before}[gates]{after}")).unwrap();
        app
    }

    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}: {text}");
        std::fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    /// Adds a public variable of the stock, or takes it away again.
    pub fn with(&self, setting: &str) {
        self.edit("landfall.toml", "[service.stock.env]\n", &format!("[service.stock.env]\n{setting}\n"));
    }

    pub fn without(&self, setting: &str) {
        self.edit("landfall.toml", &format!("{setting}\n"), "");
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).env("LANDFALL_STATE", self.state.path()).env_remove("LANDFALL_FAULT").stdin(Stdio::null());
        command
    }

    pub fn run(&self, words: &[&str]) -> Said {
        said(self.command(words))
    }

    /// `landfall deploy --json`, secrets generated, and more words.
    pub fn deploying(&self, more: &[&str]) -> Vec<String> {
        let here = self.root().to_str().unwrap();
        let words = ["deploy", here, "--json", "--profile", &self.profile, "--secrets", "SIGNING_SECRET=generate"];
        words.iter().chain(more).map(ToString::to_string).collect()
    }

    /// Asked again where a busy API server was late for one answer and nothing has begun.
    pub fn deploy_with(&self, more: &[&str], fault: Option<&str>) -> Said {
        let words = self.deploying(more);
        let began = Instant::now();
        loop {
            let mut command = self.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
            if let Some(fault) = fault {
                command.env("LANDFALL_FAULT", fault);
            }
            let said = said(command);
            let late = said.reply["code"] == "CLUSTER_UNREACHABLE" && said.reply["operation"].is_null();
            if !late || began.elapsed() > PATIENCE {
                return said;
            }
        }
    }

    /// Asks for a deploy and gives back the token of the approval it needs.
    pub fn token(&self) -> String {
        let asked = self.deploy_with(&[], None);
        assert_eq!((asked.code, asked.reply["status"].as_str()), (4, Some("approval_needed")), "{asked:?}");
        asked.reply["approval"]["token"].as_str().expect("client mode gives the token").to_owned()
    }

    /// Asks, approves, and follows to the end.
    pub fn deploy(&self) -> Said {
        self.deploy_with(&["--approval", &self.token()], None)
    }

    /// Asks, approves, and leaves it running: the operation's id.
    pub fn begin(&self) -> String {
        let begun = self.deploy_with(&["--approval", &self.token(), "--detach"], None);
        begun.reply["operation"]["id"].as_str().unwrap_or_else(|| panic!("{begun:?}")).to_owned()
    }

    /// A verified deploy, or a panic that shows what it was instead.
    pub fn deploy_verified(&self, n: u64) -> Said {
        let done = self.deploy();
        self.is_verified(&done, n);
        done
    }

    pub fn is_verified(&self, done: &Said, n: u64) {
        assert_eq!((done.code, done.reply["verdict"].as_str()), (0, Some("pass")), "{} · {}", done.reply["summary"], done.words);
        assert_eq!(done.reply["operation"]["state"], "succeeded", "{}", done.reply["summary"]);
        let revision = &self.result(done)["revision"];
        assert_eq!((revision["n"].as_u64(), revision["verified"].as_bool()), (Some(n), Some(true)), "{revision}");
    }

    /// The tool's own fields, as the operation kept them.
    pub fn result(&self, done: &Said) -> Value {
        let id = done.reply["operation"]["id"].as_str().unwrap_or_else(|| panic!("{done:?}"));
        serde_json::from_str(&self.read(&format!(".landfall/operations/{id}/result.json"))).unwrap()
    }

    pub fn journal(&self, id: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(&format!(".landfall/operations/{id}/journal.jsonl"))).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until the journal has an event of that name and key.
    pub fn until(&self, id: &str, event: &str, key: &str) {
        let found = || self.journal(id).iter().any(|line| line["event"] == event && line["data"]["key"] == key);
        let began = Instant::now();
        while !found() {
            assert!(began.elapsed() < PATIENCE, "{id} never came to {event} {key}: {:?}", self.journal(id).last());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the operation stands now.
    pub fn state_of(&self, id: &str) -> String {
        let shown = self.run(&["operations", "show", id, self.root().to_str().unwrap(), "--json"]);
        shown.reply["operation"]["state"].as_str().unwrap_or_else(|| panic!("{shown:?}")).to_owned()
    }

    /// The same sources in another workspace, of the same user or of another one, whose calls meet this app in the cluster alone.
    pub fn elsewhere(&self, same_user: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files(self.root()) {
            let inner = path.strip_prefix(self.root()).unwrap();
            if !inner.starts_with(".landfall") {
                std::fs::create_dir_all(folder.path().join(inner).parent().unwrap()).unwrap();
                std::fs::write(folder.path().join(inner), text).unwrap();
            }
        }
        let state = if same_user { self.state.clone() } else { Arc::new(tempfile::tempdir().unwrap()) };
        Self { name: self.name.clone(), profile: self.profile.clone(), folder, state, began: Instant::now(), guest: true }
    }

    /// Asks to cancel, and waits for the end; how long it took, and how it ended.
    pub fn cancel(&self, id: &str, more: &[&str]) -> (Duration, String) {
        let began = Instant::now();
        let asked = self.run(&[&["operations", "cancel", id, self.root().to_str().unwrap(), "--json"], more].concat());
        assert!(began.elapsed() < Duration::from_secs(10), "cancel answered after {:?}", began.elapsed());
        assert_eq!(asked.reply["operation"]["id"], id, "{asked:?}");
        loop {
            let state = self.state_of(id);
            if !matches!(state.as_str(), "running" | "cancelling" | "rolling_back") || began.elapsed() > PATIENCE {
                return (began.elapsed(), state);
            }
        }
    }

    /// helm's own records of this namespace: release, revision, status; oldest first.
    pub fn records(&self) -> Vec<(String, u32, String)> {
        let listed: Value = serde_json::from_str(&self.kubectl(&["get", "secrets", "-l", "owner=helm", "-o", "json"])).unwrap();
        let one = |record: &Value| {
            let word = |name: &str| record["metadata"]["labels"][name].as_str().unwrap().to_owned();
            (word("name"), word("version").parse().unwrap(), word("status"))
        };
        let mut records: Vec<_> = listed["items"].as_array().unwrap().iter().map(one).collect();
        records.sort();
        records
    }

    /// Every release as its newest record has it.
    pub fn releases(&self) -> Vec<(String, u32, String)> {
        let mut newest: std::collections::BTreeMap<String, (u32, String)> = std::collections::BTreeMap::new();
        newest.extend(self.records().into_iter().map(|(name, revision, status)| (name, (revision, status))));
        newest.into_iter().map(|(name, (revision, status))| (name, revision, status)).collect()
    }

    /// All revisions of a release.
    pub fn revisions(&self, release: &str) -> Vec<String> {
        self.records().into_iter().filter(|(name, ..)| name == release).map(|(_, revision, status)| format!("{revision} {status}")).collect()
    }

    pub fn kubectl(&self, words: &[&str]) -> String {
        output("kubectl", &[&["-n", &self.name], words].concat())
    }

    /// The one Secret that Landfall made, with its value.
    pub fn secret(&self) -> Option<String> {
        use base64::Engine as _;
        let text = self.kubectl(&["get", "secrets", "-l", &format!("landfall.dev/app={}", self.name), "-o", "json"]);
        let listed: Value = serde_json::from_str(&text).unwrap();
        let value = listed["items"].as_array()?.iter().find_map(|secret| secret["data"]["SIGNING_SECRET"].as_str().map(str::to_owned))?;
        Some(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(value).unwrap()).unwrap())
    }

    /// What the running stock has in its environment.
    pub fn running_env(&self, name: &str) -> String {
        let text = self.kubectl(&["get", "deployment", "stock", "-o", "json"]);
        let deployment: Value = serde_json::from_str(&text).unwrap();
        let config = self.kubectl(&["get", "configmap", "stock", "-o", "json", "--ignore-not-found"]);
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        let direct = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().into_iter().flatten().find(|env| env["name"] == name);
        direct.and_then(|env| env["value"].as_str()).or_else(|| config["data"][name].as_str()).unwrap_or_default().to_owned()
    }

    /// Says how long a step took, also where the test passes.
    pub fn step(&mut self, proves: &str) {
        let _ = writeln!(std::io::stderr(), "  {:>5.1} s  {}: {proves}", self.began.elapsed().as_secs_f64(), self.name);
        self.began = Instant::now();
    }
}

impl Drop for App {
    fn drop(&mut self) {
        // A worker that a failed step left behind must not go on in a namespace that is being removed.
        for entry in std::fs::read_dir(self.path(".landfall/operations")).into_iter().flatten().flatten() {
            let pulse = std::fs::read_to_string(entry.path().join("worker.json")).unwrap_or_default();
            let pid = serde_json::from_str::<Value>(&pulse).ok().and_then(|pulse| pulse["pid"].as_u64());
            let ours = |pid: &u64| std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| String::from_utf8_lossy(&line).contains("landfall"));
            if let Some(pid) = pid.filter(ours) {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
            }
        }
        if self.guest {
            return;
        }
        let _ = Command::new("kubectl").args(["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"]).output();
        let listed = Command::new("minikube").args(["image", "ls", "-p", &self.profile]).output();
        let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
        let ours = listed.lines().filter(|line| line.contains(&format!("/{}/", self.name)));
        let _ = Command::new("minikube").args(["image", "rm", "-p", &self.profile]).args(ours).output();
    }
}

pub fn said(mut command: Command) -> Said {
    let done = command.output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    let reply = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {} · {words}", String::from_utf8_lossy(&done.stdout)));
    Said { code: done.status.code().unwrap_or(-1), reply, words }
}

pub fn output(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

pub fn namespace_exists(name: &str) -> bool {
    !output("kubectl", &["get", "namespace", name, "--ignore-not-found", "-o", "name"]).trim().is_empty()
}

/// The newest operation's id.
pub fn newest(app: &App) -> String {
    let mut ids: Vec<_> =
        std::fs::read_dir(app.path(".landfall/operations")).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
    ids.sort();
    ids.pop().unwrap()
}

/// Required checks of the operation's gates that did not pass.
pub fn refused(app: &App, id: &str) -> Vec<Value> {
    let gates = app.journal(id).into_iter().filter(|line| line["event"] == "gate_judged");
    let checks = gates.flat_map(|gate| gate["data"]["gate"]["checks"].as_array().cloned().unwrap_or_default());
    checks.filter(|check| check["required"] == true && check["outcome"] != "pass").collect()
}

/// `landfall operations resume`, to its verified end.
pub fn resume(app: &App, id: &str) -> String {
    let here = app.root().to_str().unwrap();
    let resumed = app.run(&["operations", "resume", id, here, "--json"]);
    let began = Instant::now();
    while !matches!(app.state_of(id).as_str(), "succeeded" | "refused" | "failed" | "stuck" | "cancelled") {
        assert!(began.elapsed() < PATIENCE, "the resumed operation does not end: {resumed:?}");
    }
    let end = app.journal(id).pop().unwrap();
    assert_eq!((app.state_of(id).as_str(), end["event"].as_str()), ("succeeded", Some("operation_ended")), "{end}: {:?}", refused(app, id));
    assert!(app.journal(id).iter().any(|line| line["event"] == "operation_resumed"));
    assert!(app.journal(id).iter().any(|line| line["event"] == "revision_verified"));
    resumed.reply["summary"].to_string()
}
