//! The main path on a real cluster, through the command line as a user has it: first deploy, change, refusal, way back, crash, cancel.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "cluster/app.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests on the cluster")]
mod app;

use app::{App, PATIENCE, files, namespace_exists, newest, output, resume};
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};

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

    let rehearsed: Vec<_> = second.reply["gates"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|gate| gate["checks"].as_array().unwrap())
        .filter(|check| check["id"] == "rollback.rehearsed")
        .collect();
    assert_eq!(
        rehearsed.iter().map(|check| check["outcome"].as_str().unwrap()).collect::<Vec<_>>(),
        ["pass"],
        "of the one release that is touched: {rehearsed:?}"
    );
    let image = app.kubectl(&["get", "deployment", "stock", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    let policy = Policy::that_refuses(&app, &image);
    let standing = app.releases();
    app.edit("stock/main.py", "\"rope\"", "\"rope\", \"tape\"");
    let refused = app.deploy();
    assert_eq!((refused.code, refused.reply["verdict"].as_str()), (3, Some("refused")), "{} · {}", refused.reply["summary"], refused.words);
    let rehearsal = refused.reply["gates"].to_string();
    assert!(rehearsal.contains("rollback.rehearsed") && rehearsal.contains("may not come back"), "{rehearsal}");
    assert_eq!(app.releases(), standing, "a way back that would be refused refuses the deploy before anything is touched");
    app.edit("stock/main.py", "\"rope\", \"tape\"", "\"rope\"");
    drop(policy);
    app.step("the way back is rehearsed first: where the cluster would refuse it, nothing is begun");

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

    for (budget, code, outcome) in [(5_000, 0, "pass"), (0, 3, "fail")] {
        app.edit("landfall.toml", "[gates]\n", &format!("[gates]\nlatency_p95_ms = {budget}\n"));
        let judged = app.run(&["validate", here.as_str(), "--json", "--profile", &app.profile]);
        app.edit("landfall.toml", &format!("latency_p95_ms = {budget}\n"), "");
        let gates = judged.reply["gates"].as_array().unwrap_or_else(|| panic!("{judged:?}"));
        let latency: Vec<_> = gates.iter().flat_map(|gate| gate["checks"].as_array().unwrap()).filter(|check| check["id"] == "validation.latency").collect();
        assert!(!latency.is_empty() && latency.iter().all(|check| check["outcome"] == outcome), "{latency:?}");
        assert_eq!(judged.code, code, "{}", judged.reply["summary"]);
    }
    app.step("the latency budget is judged by requests that were sent");

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
    let (took, state) = app.cancel(&id, &[]);
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
    for (elsewhere, who) in [(app.elsewhere(true), "works on"), (app.elsewhere(false), "holds the app")] {
        let refused = elsewhere.deploy();
        assert_eq!(refused.code, 8, "its operation began, and ended without having touched anything: {refused:?}");
        let said = refused.reply.to_string();
        assert!(said.contains("OPERATION_RUNNING") && said.contains(&id) && said.contains(who) && !said.contains("it was tried"), "{said}");
    }
    assert_eq!(app.state_of(&id), "running", "it goes on undisturbed");
    let (took, state) = app.cancel(&id, &[]);
    assert_eq!(state, "cancelled");
    assert!(took < Duration::from_secs(5), "cancelled after {took:?}");
    assert_eq!(app.running_env("CLOSED"), "");
    assert_eq!(
        app.releases().first().map(|(_, revision, status)| (*revision, status.clone())),
        Some((4, "deployed".to_owned())),
        "{:?}",
        app.revisions("stock")
    );
    app.step("while one deploy runs the same call joins it, another is refused, as are those of other workspaces and machines; cancelled in its rollout, it is rolled back");

    let id = app.begin();
    app.until(&id, "effect_done", "helm/stock");
    let (_, state) = app.cancel(&id, &["--leave"]);
    assert_eq!((state.as_str(), app.running_env("CLOSED").as_str()), ("cancelled", "yes"), "it was to be left as it was");
    let back = ["rollback", here.as_str(), "--json", "--profile", &app.profile];
    let token = app.run(&back).reply["approval"]["token"].as_str().expect("a rollback asks for approval").to_owned();
    let done = app.run(&[&back[..], &["--approval", &token]].concat());
    assert_eq!((done.code, app.running_env("CLOSED").as_str()), (0, ""), "{done:?}");
    app.step("a cancel that leaves things as they are is taken back by rollback");

    app.without("CLOSED = \"yes\"");
    app.edit("landfall.toml", "GREETING = \"second\"", "GREETING = \"third\"");
    let done = app.deploy();
    assert_eq!((done.code, done.reply["verdict"].as_str()), (0, Some("pass")), "{} · {}", done.reply["summary"], done.words);
    app.step("right after a cancel the next deploy goes through");
}

/// An admission policy under which one image may not come back; gone when the value is.
struct Policy(String);

impl Policy {
    fn that_refuses(app: &App, image: &str) -> Self {
        let name = app.name.clone();
        let policy = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": [
            { "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": { "name": name }, "spec": {
                "matchConstraints": {
                    "resourceRules": [{ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"] }],
                    "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } },
                },
                "validations": [{ "expression": format!("object.spec.template.spec.containers[0].image != '{image}'"), "message": "may not come back" }],
            } },
            { "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": { "name": name }, "spec": { "policyName": name, "validationActions": ["Deny"] } },
        ] });
        let file = app.state.path().join("policy.json");
        std::fs::write(&file, policy.to_string()).unwrap();
        output("kubectl", &["apply", "-f", file.to_str().unwrap()]);
        let gone = Self(name);
        // A policy counts some seconds after it is made.
        let began = Instant::now();
        let touched = || {
            std::process::Command::new("kubectl")
                .args(["-n", &app.name, "annotate", "deployment", "stock", "touched=yes", "--dry-run=server", "--overwrite"])
                .output()
        };
        while touched().unwrap().status.success() {
            assert!(began.elapsed() < PATIENCE, "the policy never counts");
            std::thread::sleep(Duration::from_millis(200));
        }
        gone
    }
}

impl Drop for Policy {
    fn drop(&mut self) {
        for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
            let _ = std::process::Command::new("kubectl").args(["delete", kind, &self.0, "--ignore-not-found"]).output();
        }
        // And some seconds after it is gone.
        std::thread::sleep(Duration::from_secs(3));
    }
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
