//! The main path on a real cluster, through the command line as a user has it: first deploy, change, refusal, way back, crash, cancel.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_landfall");
/// A worker that should be doing something is watched no longer than this.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a call of the program gave.
#[derive(Debug)]
struct Said {
    code: i32,
    reply: Value,
    words: String,
}

/// An app of one test: its workspace, its state folder and its namespace, all removed at the end, however that comes.
struct App {
    name: String,
    profile: String,
    folder: tempfile::TempDir,
    state: tempfile::TempDir,
    began: Instant,
}

impl App {
    /// A copy of tests/apps/shop under a name of its own.
    fn shop(tag: &str) -> Self {
        let profile = std::env::var("LANDFALL_TEST_PROFILE").expect("LANDFALL_TEST_PROFILE names the test profile: eval \"$(tests/testbed/testbed.sh env)\"");
        let name = format!("{tag}-{}", std::process::id());
        let app = Self { name, profile, folder: tempfile::tempdir().unwrap(), state: tempfile::tempdir().unwrap(), began: Instant::now() };
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/shop"), app.root());
        app.edit("landfall.toml", "name = \"shop\"", &format!("name = \"{}\"", app.name));
        app
    }

    /// The same without the service that calls the other.
    fn stock(tag: &str) -> Self {
        let app = Self::shop(tag);
        std::fs::remove_dir_all(app.path("till")).unwrap();
        let text = app.read("landfall.toml");
        let (before, rest) = text.split_once("[service.till]").unwrap();
        let (_, after) = rest.split_once("[gates]").unwrap();
        std::fs::write(app.path("landfall.toml"), format!("{before}[gates]{after}")).unwrap();
        app
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "{name} has no {from:?}: {text}");
        std::fs::write(self.path(name), text.replacen(from, to, 1)).unwrap();
    }

    /// Adds a public variable of the stock, or takes it away again.
    fn with(&self, setting: &str) {
        self.edit("landfall.toml", "[service.stock.env]\n", &format!("[service.stock.env]\n{setting}\n"));
    }

    fn without(&self, setting: &str) {
        self.edit("landfall.toml", &format!("{setting}\n"), "");
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.args(words).env("LANDFALL_STATE", self.state.path()).env_remove("LANDFALL_FAULT").stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Said {
        said(self.command(words))
    }

    /// `landfall deploy --json`, secrets generated, and more words.
    fn deploying(&self, more: &[&str]) -> Vec<String> {
        let here = self.root().to_str().unwrap();
        let words = ["deploy", here, "--json", "--profile", &self.profile, "--secrets", "SIGNING_SECRET=generate"];
        words.iter().chain(more).map(ToString::to_string).collect()
    }

    fn deploy_with(&self, more: &[&str], fault: Option<&str>) -> Said {
        let words = self.deploying(more);
        let mut command = self.command(&words.iter().map(String::as_str).collect::<Vec<_>>());
        if let Some(fault) = fault {
            command.env("LANDFALL_FAULT", fault);
        }
        said(command)
    }

    /// Asks for a deploy and gives back the token of the approval it needs.
    fn token(&self) -> String {
        let asked = self.deploy_with(&[], None);
        assert_eq!((asked.code, asked.reply["status"].as_str()), (4, Some("approval_needed")), "{asked:?}");
        asked.reply["approval"]["token"].as_str().expect("client mode gives the token").to_owned()
    }

    /// Asks, approves, and follows to the end.
    fn deploy(&self) -> Said {
        self.deploy_with(&["--approval", &self.token()], None)
    }

    /// Asks, approves, and leaves it running: the operation's id.
    fn begin(&self) -> String {
        let begun = self.deploy_with(&["--approval", &self.token(), "--detach"], None);
        begun.reply["operation"]["id"].as_str().unwrap_or_else(|| panic!("{begun:?}")).to_owned()
    }

    /// A verified deploy, or a panic that shows what it was instead.
    fn deploy_verified(&self, n: u64) -> Said {
        let done = self.deploy();
        self.is_verified(&done, n);
        done
    }

    fn is_verified(&self, done: &Said, n: u64) {
        assert_eq!((done.code, done.reply["verdict"].as_str()), (0, Some("pass")), "{} · {}", done.reply["summary"], done.words);
        assert_eq!(done.reply["operation"]["state"], "succeeded", "{}", done.reply["summary"]);
        let revision = &self.result(done)["revision"];
        assert_eq!((revision["n"].as_u64(), revision["verified"].as_bool()), (Some(n), Some(true)), "{revision}");
    }

    /// The tool's own fields, as the operation kept them.
    fn result(&self, done: &Said) -> Value {
        let id = done.reply["operation"]["id"].as_str().unwrap_or_else(|| panic!("{done:?}"));
        serde_json::from_str(&self.read(&format!(".landfall/operations/{id}/result.json"))).unwrap()
    }

    fn journal(&self, id: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(&format!(".landfall/operations/{id}/journal.jsonl"))).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Waits until the journal has an event of that name and key.
    fn until(&self, id: &str, event: &str, key: &str) {
        let found = || self.journal(id).iter().any(|line| line["event"] == event && line["data"]["key"] == key);
        let began = Instant::now();
        while !found() {
            assert!(began.elapsed() < PATIENCE, "{id} never came to {event} {key}: {:?}", self.journal(id).last());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where the operation stands now.
    fn state_of(&self, id: &str) -> String {
        let shown = self.run(&["operations", "show", id, self.root().to_str().unwrap(), "--json"]);
        shown.reply["operation"]["state"].as_str().unwrap_or_else(|| panic!("{shown:?}")).to_owned()
    }

    /// Asks to cancel, and waits for the end; how long it took, and how it ended.
    fn cancel(&self, id: &str) -> (Duration, String) {
        let began = Instant::now();
        let asked = self.run(&["operations", "cancel", id, self.root().to_str().unwrap(), "--json"]);
        assert!(began.elapsed() < Duration::from_secs(3), "cancel answered after {:?}", began.elapsed());
        assert_eq!(asked.reply["operation"]["id"], id, "{asked:?}");
        loop {
            let state = self.state_of(id);
            if !matches!(state.as_str(), "running" | "cancelling" | "rolling_back") || began.elapsed() > PATIENCE {
                return (began.elapsed(), state);
            }
        }
    }

    /// helm's own records of this namespace: release, revision, status; oldest first.
    fn records(&self) -> Vec<(String, u32, String)> {
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
    fn releases(&self) -> Vec<(String, u32, String)> {
        let mut newest: std::collections::BTreeMap<String, (u32, String)> = std::collections::BTreeMap::new();
        newest.extend(self.records().into_iter().map(|(name, revision, status)| (name, (revision, status))));
        newest.into_iter().map(|(name, (revision, status))| (name, revision, status)).collect()
    }

    /// All revisions of a release.
    fn revisions(&self, release: &str) -> Vec<String> {
        self.records().into_iter().filter(|(name, ..)| name == release).map(|(_, revision, status)| format!("{revision} {status}")).collect()
    }

    fn kubectl(&self, words: &[&str]) -> String {
        output("kubectl", &[&["-n", &self.name], words].concat())
    }

    /// The one Secret that Landfall made, with its value.
    fn secret(&self) -> Option<String> {
        use base64::Engine as _;
        let text = self.kubectl(&["get", "secrets", "-l", &format!("landfall.dev/app={}", self.name), "-o", "json"]);
        let listed: Value = serde_json::from_str(&text).unwrap();
        let value = listed["items"].as_array()?.iter().find_map(|secret| secret["data"]["SIGNING_SECRET"].as_str().map(str::to_owned))?;
        Some(String::from_utf8(base64::engine::general_purpose::STANDARD.decode(value).unwrap()).unwrap())
    }

    /// What the running stock has in its environment.
    fn running_env(&self, name: &str) -> String {
        let text = self.kubectl(&["get", "deployment", "stock", "-o", "json"]);
        let deployment: Value = serde_json::from_str(&text).unwrap();
        let config = self.kubectl(&["get", "configmap", "stock", "-o", "json", "--ignore-not-found"]);
        let config: Value = serde_json::from_str(&config).unwrap_or_default();
        let direct = deployment["spec"]["template"]["spec"]["containers"][0]["env"].as_array().into_iter().flatten().find(|env| env["name"] == name);
        direct.and_then(|env| env["value"].as_str()).or_else(|| config["data"][name].as_str()).unwrap_or_default().to_owned()
    }

    /// Says how long a step took, also where the test passes.
    fn step(&mut self, proves: &str) {
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
        let _ = Command::new("kubectl").args(["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"]).output();
        let listed = Command::new("minikube").args(["image", "ls", "-p", &self.profile]).output();
        let listed = listed.map(|listed| String::from_utf8_lossy(&listed.stdout).into_owned()).unwrap_or_default();
        let ours = listed.lines().filter(|line| line.contains(&format!("/{}/", self.name)));
        let _ = Command::new("minikube").args(["image", "rm", "-p", &self.profile]).args(ours).output();
    }
}

fn said(mut command: Command) -> Said {
    let done = command.output().unwrap();
    let words = String::from_utf8_lossy(&done.stderr).into_owned();
    let reply = serde_json::from_slice(&done.stdout).unwrap_or_else(|error| panic!("{error}: {} · {words}", String::from_utf8_lossy(&done.stdout)));
    Said { code: done.status.code().unwrap_or(-1), reply, words }
}

fn output(program: &str, words: &[&str]) -> String {
    let done = Command::new(program).args(words).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(done.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Every file under a folder with its text, for "nothing was written" and "no file holds this".
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => all.extend(files(&path)),
            path => all.push((path.clone(), std::fs::read(&path).unwrap_or_default())),
        }
    }
    all.sort();
    all
}

fn namespace_exists(name: &str) -> bool {
    !output("kubectl", &["get", "namespace", name, "--ignore-not-found", "-o", "name"]).trim().is_empty()
}

#[test]
fn an_app_lives_through_its_revisions() {
    let mut app = App::shop("shop");
    let here = app.root().to_str().unwrap().to_owned();
    let mut replies = String::new();

    let before = files(app.root());
    let asked = app.run(&["deploy", &here, "--json", "--profile", &app.profile]);
    assert_eq!((asked.code, asked.reply["status"].as_str()), (5, Some("value_needed")), "{asked:?}");
    let needed = &asked.reply["values_needed"][0];
    assert_eq!((needed["name"].as_str(), needed["service"].as_str(), needed["secret"].as_bool()), (Some("SIGNING_SECRET"), Some("stock"), Some(true)));
    assert!(needed["accepts"].as_array().unwrap().iter().any(|source| source == "SIGNING_SECRET=generate"), "{needed}");
    assert!(asked.reply["approval"].is_null(), "a value is asked for before an approval");
    assert_eq!(files(app.root()), before, "asking writes nothing");
    assert!(!namespace_exists(&app.name));
    app.step("a missing secret is asked for by name, and nothing is touched");

    let first = app.deploy_verified(1);
    replies.push_str(&format!("{first:?}"));
    assert!(app.releases().iter().all(|(_, revision, status)| (*revision, status.as_str()) == (1, "deployed")), "{:?}", app.releases());
    assert_eq!(app.releases().len(), 2);
    app.step("from sources to two verified releases");

    let standing = app.releases();
    let operations = std::fs::read_dir(app.path(".landfall/operations")).unwrap().count();
    let again = app.deploy_with(&[], None);
    let what_differs = || {
        let plans = files(&app.path(".landfall/plans"));
        let text = |path: &Path, text: &[u8]| match path.extension().and_then(|name| name.to_str()) {
            Some("json") => serde_json::from_slice::<Value>(text).map(|plan| plan["images"].to_string()).unwrap_or_default(),
            _ => String::from_utf8_lossy(text).lines().filter(|line| line.starts_with(['+', '-'])).take(20).collect::<Vec<_>>().join("\n"),
        };
        plans.iter().map(|(path, bytes)| format!("{}: {}", path.display(), text(path, bytes))).collect::<Vec<_>>().join("\n")
    };
    assert_eq!((again.code, again.reply["verdict"].as_str()), (0, Some("pass")), "{} · {}", again.reply["summary"], what_differs());
    assert!(again.reply["summary"].as_str().unwrap().contains("nothing was touched"), "{}", again.reply["summary"]);
    assert_eq!(again.reply["unchanged"].as_array().unwrap().len(), 2, "{again:?}");
    assert_eq!(app.releases(), standing);
    assert_eq!(std::fs::read_dir(app.path(".landfall/operations")).unwrap().count(), operations, "no operation is begun for it");
    app.step("an unchanged app is not touched");

    let planned = app.run(&["plan", &here, "--json", "--profile", &app.profile, "--secrets", "SIGNING_SECRET=generate"]);
    let digest = planned.reply["plan"]["digest"].as_str().unwrap_or_else(|| panic!("{planned:?}")).to_owned();
    app.edit("stock/main.py", "\"bread\", \"salt\"", "\"bread\", \"salt\", \"soap\"");
    let stale = app.deploy_with(&["--plan", &digest], None);
    assert_eq!((stale.code, stale.reply["code"].as_str()), (4, Some("PLAN_STALE")), "{stale:?}");
    assert!(stale.reply["causes"].to_string().contains("stock"), "the difference is named: {stale:?}");
    assert_eq!(app.releases(), standing);
    app.step("a plan that no longer fits is refused with what differs, and nothing is touched");

    let token = app.token();
    app.edit("stock/main.py", "\"soap\"", "\"soap\", \"rope\"");
    let stale = app.deploy_with(&["--approval", &token], None);
    assert_eq!((stale.code, stale.reply["code"].as_str()), (4, Some("PLAN_STALE")), "{stale:?}");
    assert_eq!(app.releases(), standing);
    app.step("an approval counts for what was approved, not for what the sources became");

    let second = app.deploy_verified(2);
    replies.push_str(&format!("{second:?}"));
    assert_eq!(app.revisions("stock"), ["1 superseded", "2 deployed"]);
    assert_eq!(app.revisions("till"), ["1 deployed"], "what did not change is not upgraded");
    app.step("a changed source becomes a verified second revision");

    app.with("WAIT_FOR = \"no-such-database\"");
    let broken = app.deploy();
    replies.push_str(&format!("{broken:?}"));
    assert_eq!((broken.code, broken.reply["verdict"].as_str()), (3, Some("refused")), "{} · {}", broken.reply["summary"], broken.words);
    let diagnosis = &broken.reply["diagnoses"][0];
    assert_eq!(diagnosis["subject"].as_str().map(|subject| subject.contains("stock")), Some(true), "{diagnosis}");
    assert!(
        diagnosis["why"].to_string().contains("no-such-database")
            || diagnosis["cause"].to_string().contains("no-such-database")
            || diagnosis["why"].to_string().contains("Name or service not known"),
        "the evidence is shown: {diagnosis}"
    );
    assert!(broken.reply["summary"].as_str().unwrap().contains("rolled back to verified r2"), "{}", broken.reply["summary"]);
    assert_eq!(app.revisions("stock").last().unwrap(), "4 deployed", "{:?}", app.revisions("stock"));
    assert_eq!(app.running_env("WAIT_FOR"), "");
    assert_eq!(app.kubectl(&["get", "deployment", "stock", "-o", "jsonpath={.status.readyReplicas}"]), "1");
    let kinds: Vec<_> = app.journal(broken.reply["operation"]["id"].as_str().unwrap()).iter().map(|line| line["event"].as_str().unwrap().to_owned()).collect();
    let place = |kind: &str| kinds.iter().rposition(|known| known == kind).unwrap_or_else(|| panic!("no {kind} in {kinds:?}"));
    assert!(place("diagnosed") < place("undo_done") && place("undo_done") < place("revision_verified"), "{kinds:?}");
    app.step("a revision that only the cluster can break is diagnosed, rolled back and validated again");

    app.without("WAIT_FOR = \"no-such-database\"");
    app.edit("landfall.toml", "GREETING = \"in stock\"", "GREETING = \"on the shelf\"");
    app.deploy_verified(4);
    assert_eq!(app.running_env("GREETING"), "on the shelf");
    app.step("the mended app is deployed after a rollback");

    let back = ["rollback", here.as_str(), "--json", "--profile", &app.profile];
    let asked = app.run(&back);
    assert_eq!((asked.code, asked.reply["status"].as_str()), (4, Some("approval_needed")), "{asked:?}");
    assert!(asked.reply["impact"]["config"].to_string().contains("on the shelf"), "what would change is shown: {}", asked.reply["impact"]);
    let token = asked.reply["approval"]["token"].as_str().unwrap().to_owned();
    let done = app.run(&[&back[..], &["--approval", &token]].concat());
    assert_eq!((done.code, done.reply["verdict"].as_str()), (0, Some("pass")), "{} · {}", done.reply["summary"], done.words);
    assert_eq!(app.running_env("GREETING"), "in stock");
    replies.push_str(&format!("{asked:?}{done:?}"));
    let spent = app.run(&[&back[..], &["--approval", &token]].concat());
    assert!(matches!(spent.reply["code"].as_str(), Some("APPROVAL_INVALID" | "PLAN_STALE")) && spent.code == 4, "an approval is spent once: {spent:?}");
    app.step("rollback goes back to the last verified revision, once for each approval");

    app.edit("stock/Dockerfile", "\n", "\n# a person's word\n");
    let conflict = app.run(&["containerize", &here, "--json", "--profile", &app.profile, "--until", "files"]);
    let changed = conflict.reply["files"].as_array().unwrap_or_else(|| panic!("{conflict:?}")).iter().find(|file| file["path"] == "stock/Dockerfile");
    assert!(app.read("stock/Dockerfile").contains("a person's word"), "never overwritten without being asked");
    let changed = changed.unwrap_or_else(|| panic!("{conflict:?}"));
    assert_eq!(changed["by"], "person", "{conflict:?}");
    app.step("a file that a person changed stays as it is, and is named");

    let value = app.secret().expect("the generated Secret is there");
    assert!(value.len() >= 24, "a generated value is long");
    for step in [&["status", here.as_str()][..], &["report", here.as_str()], &["validate", here.as_str()]] {
        let told = app.run(&[step, &["--json", "--profile", &app.profile]].concat());
        replies.push_str(&format!("{told:?}"));
    }
    assert!(!replies.contains(&value), "a reply shows the secret");
    for (path, text) in files(app.root()).into_iter().chain(files(app.state.path())) {
        assert!(!String::from_utf8_lossy(&text).contains(&value), "{} holds the secret", path.display());
    }
    app.step("the generated secret is in no reply and in no file of the workspace or of the state folder");
}

#[test]
fn what_was_begun_is_taken_back_or_finished() {
    let mut app = App::stock("stock");
    let here = app.root().to_str().unwrap().to_owned();

    let before = files(app.root());
    let id = app.begin();
    app.until(&id, "effect_intended", "image/stock");
    let (took, state) = app.cancel(&id);
    assert_eq!(state, "cancelled");
    assert!(took < Duration::from_secs(5), "cancelled after {took:?}");
    let left: Vec<_> = files(app.root()).into_iter().filter(|(path, _)| !path.starts_with(app.path(".landfall"))).collect();
    assert_eq!(left.iter().map(|(path, _)| path).collect::<Vec<_>>(), before.iter().map(|(path, _)| path).collect::<Vec<_>>(), "files are taken back");
    assert!(!namespace_exists(&app.name));
    app.step("a build that is cancelled leaves nothing behind");

    app.with("WAIT_FOR = \"no-such-database\"");
    let broken = app.deploy();
    assert_eq!((broken.code, broken.reply["verdict"].as_str()), (3, Some("refused")), "{} · {}", broken.reply["summary"], broken.words);
    assert!(!broken.reply["diagnoses"][0]["code"].is_null(), "{broken:?}");
    assert!(broken.reply["summary"].as_str().unwrap().contains("uninstalled again"), "{}", broken.reply["summary"]);
    assert_eq!(app.releases(), vec![]);
    let kept = app.secret().expect("the Secret outlives its first install");
    app.without("WAIT_FOR = \"no-such-database\"");
    app.step("a first install that the application breaks is uninstalled, and its Secret is kept");

    let killed = app.deploy_with(&["--approval", &app.token()], Some("intended:helm/stock"));
    assert_eq!((killed.code, killed.reply["code"].as_str()), (130, Some("INTERRUPTED")), "{killed:?}");
    let id = newest(&app);
    assert_eq!(app.state_of(&id), "interrupted");
    assert_eq!(app.releases(), vec![], "the worker died before helm ran");
    resume(&app, &id);
    assert_eq!(app.revisions("stock"), ["1 deployed"]);
    assert_eq!(app.secret().as_deref(), Some(kept.as_str()), "a Secret that is there is used again");
    app.step("a worker killed before helm ran is resumed, and there is one revision");

    app.edit("landfall.toml", "GREETING = \"in stock\"", "GREETING = \"second\"");
    let killed = app.deploy_with(&["--approval", &app.token()], Some("landed:helm/stock"));
    assert_eq!((killed.code, killed.reply["code"].as_str()), (130, Some("INTERRUPTED")), "{killed:?}");
    let id = newest(&app);
    assert_eq!(app.revisions("stock"), ["1 superseded", "2 deployed"], "helm had landed when the worker died");
    resume(&app, &id);
    assert_eq!(app.revisions("stock"), ["1 superseded", "2 deployed"], "the resumed worker makes no second revision");
    assert_eq!(app.running_env("GREETING"), "second");
    app.step("a worker killed after helm had landed is resumed, and nothing is done twice");

    app.with("CLOSED = \"yes\"");
    let id = app.begin();
    app.until(&id, "effect_done", "helm/stock");
    let same = app.deploy_with(&["--detach"], None);
    assert_eq!((same.reply["status"].as_str(), same.reply["operation"]["id"].as_str()), (Some("running"), Some(id.as_str())), "the same call joins: {same:?}");
    let other = app.run(&["rollback", &here, "--json", "--profile", &app.profile]);
    assert_eq!((other.code, other.reply["code"].as_str()), (8, Some("OPERATION_RUNNING")), "{other:?}");
    assert!(other.reply["message"].as_str().unwrap().contains(&id) && other.reply["help"].as_str().unwrap().contains(&id), "{other:?}");
    let (took, state) = app.cancel(&id);
    assert_eq!(state, "cancelled");
    assert!(took < Duration::from_secs(5), "cancelled after {took:?}");
    assert_eq!(app.running_env("CLOSED"), "");
    assert_eq!(
        app.releases().first().map(|(_, revision, status)| (*revision, status.clone())),
        Some((4, "deployed".to_owned())),
        "{:?}",
        app.revisions("stock")
    );
    app.step("while one deploy runs the same call joins it, another is refused; cancelled in its rollout, it is rolled back");

    app.without("CLOSED = \"yes\"");
    app.edit("landfall.toml", "GREETING = \"second\"", "GREETING = \"third\"");
    let done = app.deploy();
    assert_eq!((done.code, done.reply["verdict"].as_str()), (0, Some("pass")), "{} · {}", done.reply["summary"], done.words);
    app.step("right after a cancel the next deploy goes through");
}

/// The newest operation's id.
fn newest(app: &App) -> String {
    let mut ids: Vec<_> =
        std::fs::read_dir(app.path(".landfall/operations")).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap()).collect();
    ids.sort();
    ids.pop().unwrap()
}

/// `landfall operations resume`, to its verified end.
fn resume(app: &App, id: &str) {
    let here = app.root().to_str().unwrap();
    let resumed = app.run(&["operations", "resume", id, here, "--json"]);
    let began = Instant::now();
    while !matches!(app.state_of(id).as_str(), "succeeded" | "refused" | "failed" | "stuck" | "cancelled") {
        assert!(began.elapsed() < PATIENCE, "the resumed operation does not end: {resumed:?}");
    }
    let end = app.journal(id).pop().unwrap();
    assert_eq!((app.state_of(id).as_str(), end["event"].as_str()), ("succeeded", Some("operation_ended")), "{end}");
    assert!(app.journal(id).iter().any(|line| line["event"] == "operation_resumed"));
    assert!(app.journal(id).iter().any(|line| line["event"] == "revision_verified"));
}

#[test]
fn what_is_not_ours_is_left_alone() {
    let mut app = App::stock("foreign");
    output("kubectl", &["create", "namespace", &app.name]);
    let refused = app.deploy_with(&[], None);
    assert_eq!((refused.code, refused.reply["code"].as_str()), (2, Some("NAMESPACE_NOT_OURS")), "{refused:?}");
    assert!(refused.reply["help"].as_str().unwrap().contains(&app.name), "{refused:?}");
    app.step("a namespace that was not made for this app is refused");

    let help = refused.reply["help"].as_str().unwrap();
    let (_, command) = help.split_once("kubectl ").unwrap_or_else(|| panic!("the help names a command: {help}"));
    output("kubectl", &command.split_whitespace().collect::<Vec<_>>());
    let chart = tempfile::tempdir().unwrap();
    std::fs::create_dir(chart.path().join("templates")).unwrap();
    std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: theirs\nversion: 0.1.0\n").unwrap();
    std::fs::write(chart.path().join("templates/map.yaml"), "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: theirs\n").unwrap();
    output("helm", &["install", "stock", chart.path().to_str().unwrap(), "-n", &app.name]);
    let refused = app.deploy_with(&[], None);
    assert_eq!((refused.code, refused.reply["code"].as_str()), (2, Some("RELEASE_NOT_OURS")), "{refused:?}");
    assert!(!refused.reply["help"].as_str().unwrap().is_empty());
    assert_eq!(app.revisions("stock"), ["1 deployed"]);
    assert!(!app.path(".landfall/operations").exists(), "no operation is begun for it");
    app.step("a release of that name that is not ours is refused");
}
