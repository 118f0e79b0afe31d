//! Failures provoked on a real node, each in a namespace of its own: the right row of the taxonomy is named first, and near misses are let through.
//! The short tier runs the rows marked so; the table of what was expected, seen and how fast goes to `target/failures.md`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "cluster/room.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests on the cluster")]
mod room;

#[path = "replays/recording.rs"]
#[allow(dead_code, reason = "shared with the tests that replay")]
mod recording;

use futures::StreamExt as _;
use landfall::ports::Clock as _;
use landfall::ports::{Cluster as _, LogRequest};
use landfall::rollout::End;
use recording::{Log, Recorder};
use room::{Room, Wall, room, run};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How many failures are provoked at once: a node of two processors starts about so many pods without disturbing their timing.
const AT_ONCE: usize = 5;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    code: String,
    name: Option<String>,
    says: Option<String>,
    within: Option<u64>,
    after: Option<u64>,
    settle: Option<u64>,
    python: Option<String>,
    #[serde(default)]
    container: Value,
    #[serde(default)]
    pod: Value,
    #[serde(default)]
    deployment: Value,
    #[serde(default)]
    service: Value,
    #[serde(default)]
    also: Vec<Value>,
    #[serde(default)]
    later: Vec<Value>,
    #[serde(default)]
    bare: bool,
    #[serde(default)]
    open: bool,
    #[serde(default)]
    registry: bool,
    #[serde(default)]
    short: bool,
    #[serde(default)]
    helm: Vec<Value>,
    #[serde(default)]
    first: Vec<Value>,
    #[serde(default)]
    before: Vec<Value>,
    /// A template that is not YAML.
    template: Option<String>,
    /// The chart holds a file that no release record can hold.
    #[serde(default)]
    big: bool,
    /// The user that helm acts as.
    #[serde(rename = "as")]
    acts_as: Option<String>,
}

/// What came of a row.
struct Seen {
    row: Row,
    code: String,
    cause: String,
    whole: Duration,
    /// From the last thing that the watch showed to the verdict.
    verdict: Duration,
    wrong: Option<String>,
    /// What was seen, to be replayed without a cluster.
    recording: Option<String>,
}

/// Names and addresses of this machine's cluster, and what stands in their place in a recording.
fn own<'a>(room: &'a Room, node: &'a (String, String)) -> [(&'a str, &'a str); 3] {
    [(room.namespace.as_str(), "shop"), (node.0.as_str(), "minikube"), (node.1.as_str(), "192.168.49.2")]
}

async fn seen_on() -> String {
    let nodes: Value = serde_json::from_str(&run("kubectl", &["get", "nodes", "-o", "json"]).await).unwrap();
    let info = &nodes["items"][0]["status"]["nodeInfo"];
    format!("Kubernetes {}, {}", info["kubeletVersion"].as_str().unwrap(), info["containerRuntimeVersion"].as_str().unwrap())
}

/// Keeps every look until it is asked for what it has.
fn record(mut seen: landfall::ports::Observations) -> (Arc<Mutex<Recorder>>, tokio::task::AbortHandle) {
    let recorder = Arc::new(Mutex::new(Recorder::new(Wall.now())));
    let kept = Arc::clone(&recorder);
    let task = tokio::spawn(async move {
        loop {
            let now = Arc::clone(&seen.borrow_and_update());
            kept.lock().unwrap().note(&now, Wall.now());
            if seen.changed().await.is_err() {
                return;
            }
        }
    });
    (recorder, task.abort_handle())
}

/// What the last run of each container wrote.
async fn logs(room: &Room) -> Vec<Log> {
    let mut logs = Vec::new();
    for pod in room.kube.observe(&room.proof, &room.namespace).await.unwrap().pods {
        let (name, status) = (pod.metadata.name.unwrap_or_default(), pod.status.unwrap_or_default());
        for status in status.init_container_statuses.into_iter().flatten().chain(status.container_statuses.into_iter().flatten()) {
            let running = status.state.is_some_and(|state| state.running.is_some());
            let request =
                LogRequest { pod: name.clone(), container: status.name.clone(), previous: running && status.restart_count > 0, lines: 60, since_seconds: None };
            let text = room.kube.logs(&room.proof, &room.namespace, &request).await.unwrap_or_default();
            let text: Vec<String> = text.lines().map(|line| landfall::secret::plain(line, 1_000)).collect();
            if !text.is_empty() {
                logs.push(Log { pod: name.clone(), container: status.name, text: text.join("\n") });
            }
        }
    }
    logs
}

const SERVER: &str = r"
import http.server
OK = globals().get('OK', lambda: True)
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404 if self.path != '/health' else 200 if OK() else 503); self.send_header('content-length', '0'); self.end_headers()
    def log_message(self, *a): pass
http.server.ThreadingHTTPServer(('', 8000), H).serve_forever()
";

/// A registry that has nothing: unknown tags, a locked and an overrun repository.
const REGISTRY: &str = r#"
import http.server, json
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self):
        code, word, more = (404, 'MANIFEST_UNKNOWN', {})
        if self.path == '/v2/': code = 200
        if '/private/' in self.path: code, word, more = 401, 'UNAUTHORIZED', {'WWW-Authenticate': 'Basic realm="locked"'}
        if '/busy/' in self.path: code, word = 429, 'TOOMANYREQUESTS'
        body = json.dumps({'errors': [{'code': word, 'message': {'MANIFEST_UNKNOWN': 'manifest unknown', 'UNAUTHORIZED': 'authentication required', 'TOOMANYREQUESTS': 'toomanyrequests: you have reached your pull rate limit'}[word]}]}).encode()
        self.send_response(code)
        for key, value in more.items(): self.send_header(key, value)
        self.send_header('Content-Type', 'application/json'); self.send_header('Content-Length', str(len(body))); self.end_headers()
        if self.command != 'HEAD': self.wfile.write(body)
    do_GET = do_HEAD = answer
http.server.ThreadingHTTPServer(('', 38126), H).serve_forever()
"#;

fn program(script: &str) -> Value {
    json!(["python3", "-c", script.replace("SERVE", SERVER.trim_start())])
}

fn secure() -> Value {
    json!({ "runAsNonRoot": true, "runAsUser": 10001, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" } })
}

/// RFC 7386.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        if !patch.is_null() {
            *target = patch.clone();
        }
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

impl Row {
    /// The objects of the row, in the order they are made.
    fn objects(&self) -> Vec<Value> {
        let mut all = self.also.clone();
        if self.bare {
            return all;
        }
        let label = json!({ "app.kubernetes.io/instance": "api" });
        let mut container = json!({
            "name": "api", "image": "python:3.13-slim", "imagePullPolicy": "IfNotPresent", "command": program("SERVE"),
            "ports": [{ "containerPort": 8000, "name": "http" }], "securityContext": secure(),
        });
        if let Some(script) = &self.python {
            container["command"] = program(script);
        }
        merge(&mut container, &self.container);
        let mut pod = json!({ "terminationGracePeriodSeconds": 1, "enableServiceLinks": false, "containers": [container] });
        merge(&mut pod, &self.pod);
        let mut deployment =
            json!({ "replicas": 1, "selector": { "matchLabels": { "app": "api" } }, "template": { "metadata": { "labels": { "app": "api" } }, "spec": pod } });
        merge(&mut deployment, &self.deployment);
        let mut service = json!({ "selector": { "app": "api" }, "ports": [{ "port": 8000, "name": "http" }] });
        merge(&mut service, &self.service);
        all.push(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "api", "labels": label }, "spec": service }));
        all.push(json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "api", "labels": label }, "spec": deployment }));
        all
    }
}

fn manifest(objects: &[Value], room: &Room, node: &(String, String)) -> String {
    let text = serde_json::to_string(&json!({ "apiVersion": "v1", "kind": "List", "items": objects })).unwrap();
    text.replace("NAMESPACE", room.namespace.as_str()).replace("NODE_IP", &node.1).replace("NODE", &node.0)
}

async fn opened(room: &Room) {
    run("kubectl", &["label", "namespace", room.namespace.as_str(), "pod-security.kubernetes.io/enforce=privileged", "--overwrite"]).await;
}

/// A chart that holds these objects.
fn chart(folder: &std::path::Path, room: &Room, objects: &[Value], row: &Row, node: &(String, String)) {
    std::fs::create_dir_all(folder.join("templates")).unwrap();
    std::fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: api\nversion: 0.1.0\n").unwrap();
    let documents: Vec<String> = objects.iter().map(|object| manifest(std::slice::from_ref(object), room, node)).collect();
    // A chart's objects stand alone, not in a List.
    let documents = documents.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()["items"][0].to_string());
    std::fs::write(folder.join("templates/all.yaml"), documents.collect::<Vec<_>>().join("\n---\n")).unwrap();
    if let Some(template) = &row.template {
        std::fs::write(folder.join("templates/more.yaml"), template).unwrap();
    }
    if row.big {
        // Bytes that do not compress.
        let mut seed = 1u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) as u8
        })
        .take(3 << 20)
        .collect();
        std::fs::write(folder.join("noise"), noise).unwrap();
    }
}

/// Has helm refused, and reads what it says.
async fn refuse(n: usize, row: Row, node: &(String, String)) -> Seen {
    let room = room(&format!("lf{n}")).await;
    let folder = tempfile::tempdir().unwrap();
    let namespace = room.namespace.as_str();
    if !row.before.is_empty() {
        room.apply(&manifest(&row.before, &room, node)).await;
        // A quota counts a moment after it is made.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let path = folder.path().join("chart");
    if !row.first.is_empty() {
        chart(&path, &room, &row.first, &row, node);
        run("helm", &["install", "api", path.to_str().unwrap(), "-n", namespace]).await;
    }
    chart(&path, &room, &row.helm, &row, node);
    let mut words = vec!["upgrade", "--install", "api", path.to_str().unwrap(), "-n", namespace, "--timeout", "60s"];
    if let Some(user) = &row.acts_as {
        words.extend(["--kube-as-user", user]);
    }
    let begun = Instant::now();
    let done = tokio::process::Command::new("helm").args(&words).output().await.unwrap();
    let whole = begun.elapsed();
    let text = String::from_utf8_lossy(&done.stderr).into_owned();
    let read = landfall::rollout::refusal::read(text.lines());
    let verdict = begun.elapsed() - whole;
    let code = if done.status.success() { "READY".to_owned() } else { read.map_or("UNKNOWN".to_owned(), |(row, _)| row.code.to_owned()) };
    let cause = read.map(|(_, line)| line.to_owned()).unwrap_or_else(|| text.clone());
    let wrong = if code != row.code {
        Some(format!("named {code}: {text}"))
    } else {
        row.says.as_ref().filter(|says| !cause.contains(says.as_str())).map(|says| format!("does not say {says:?}: {cause}"))
    };
    let recording = Some(recording::said(&row.code, &seen_on().await, Wall.now(), &landfall::secret::plain(&text, 4_000), &own(&room, node)));
    Seen { row, code, cause, whole, verdict, wrong, recording }
}

async fn provoke(n: usize, row: Row, node: &(String, String)) -> Seen {
    if !row.helm.is_empty() || row.template.is_some() {
        return refuse(n, row, node).await;
    }
    let room = room(&format!("lf{n}")).await;
    if row.open {
        opened(&room).await;
    }
    if let Some(seconds) = row.settle {
        room.apply(&manifest(&row.also, &room, node)).await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }
    let last_change = room.stopwatch().await;
    let text = manifest(&row.objects(), &room, node);
    let (recorder, recording) = record(room.kube.watch(&room.proof, &room.namespace).await.unwrap());
    room.apply(&text).await;
    let begun = Instant::now();
    let later = async {
        if !row.later.is_empty() {
            tokio::time::sleep(Duration::from_secs(row.after.unwrap_or(0))).await;
            room.apply(&manifest(&row.later, &room, node)).await;
        }
    };
    let (end, ()) = tokio::join!(room.follow(None, row.within.unwrap_or(60)), later);
    let (whole, verdict) = (begun.elapsed(), last_change.lock().unwrap().elapsed());
    recording.abort();
    let mut recorder = std::mem::replace(&mut *recorder.lock().unwrap(), Recorder::new(Wall.now()));
    // A verdict may come before the recorder's own watch has told what it rests on.
    recorder.note(&room.kube.observe(&room.proof, &room.namespace).await.unwrap(), Wall.now());
    let recording = recorder.told(&row.code, &seen_on().await, Wall.now(), logs(&room).await, &own(&room, node));
    // What a row makes outside its namespace does not go with it.
    for (kind, marker) in [
        ("validatingadmissionpolicy", "ValidatingAdmissionPolicy"),
        ("validatingadmissionpolicybinding", "ValidatingAdmissionPolicyBinding"),
        ("validatingwebhookconfiguration", "ValidatingWebhookConfiguration"),
        ("storageclass", "StorageClass"),
    ] {
        if row.also.iter().any(|object| object["kind"] == marker) {
            run("kubectl", &["delete", kind, room.namespace.as_str(), "--ignore-not-found"]).await;
        }
    }
    let diagnoses = &end.releases[0].diagnoses;
    let first = diagnoses.first();
    let code = match (end.end, first) {
        (End::Ready, None) => "READY".to_owned(),
        (_, Some(first)) => first.code.clone(),
        (end, None) => format!("{end:?}"),
    };
    let cause = first.map(|first| first.cause.clone()).unwrap_or_default();
    let told = format!("{cause} {:?}", first.map(|first| &first.why));
    let wrong = if code != row.code {
        Some(format!("named {code}: {told}"))
    } else if row.code != "READY" && end.end != End::Refused {
        Some(format!("ended as {:?}", end.end))
    } else {
        row.says.as_ref().filter(|says| !told.contains(says.as_str())).map(|says| format!("does not say {says:?}: {told}"))
    };
    Seen { row, code, cause, whole, verdict, wrong, recording: Some(recording) }
}

/// Writes the recordings of what was seen rightly: a file for each row, numbered where a code has several.
fn keep(seen: &[Seen]) {
    let mut numbers: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
    std::fs::create_dir_all(recording::folder()).unwrap();
    for each in seen {
        let number = numbers.entry(each.row.code.as_str()).or_default();
        *number += 1;
        if let (Some(text), None) = (&each.recording, &each.wrong) {
            std::fs::write(recording::folder().join(format!("{}-{number}.json", each.row.code.to_lowercase())), text).unwrap();
        }
    }
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/failures/rows.yaml")).unwrap();
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(&text, options).unwrap()
}

/// The node's name and address.
async fn node() -> (String, String) {
    let nodes: Value = serde_json::from_str(&run("kubectl", &["get", "nodes", "-o", "json"]).await).unwrap();
    let address = nodes["items"][0]["status"]["addresses"].as_array().unwrap().iter().find(|address| address["type"] == "InternalIP").unwrap();
    (nodes["items"][0]["metadata"]["name"].as_str().unwrap().to_owned(), address["address"].as_str().unwrap().to_owned())
}

/// Where tables of a run are left.
fn target(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join(name)
}

/// The same under `helm --wait`, which waits out its time and names no cause; the last row is an app that becomes ready. One failure in the short tier.
#[tokio::test]
async fn helm_waits_where_the_cause_is_known() {
    let full = std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full");
    let (codes, patience): (&[&str], u64) =
        if full { (&["IMG_NOT_FOUND_LOCAL", "CFG_MISSING_SECRET", "APP_EXIT_IMPORT", "SCHED_CPU_MEM", "READY"], 60) } else { (&["IMG_NOT_FOUND_LOCAL"], 15) };
    let node = node().await;
    let mut table = format!("| code | landfall, s | its words | helm --wait --timeout {patience}s, s | its words |\n|---|---|---|---|---|\n");
    for (n, code) in codes.iter().enumerate() {
        let row = || rows().into_iter().find(|row| row.code == *code && row.helm.is_empty()).unwrap();
        let ours = provoke(200 + n, row(), &node).await;
        assert!(ours.wrong.is_none(), "{code}: {:?}", ours.wrong);
        let (room, folder, row) = (room(&format!("lf-wait{n}")).await, tempfile::tempdir().unwrap(), row());
        let path = folder.path().join("chart");
        chart(&path, &room, &row.objects(), &row, &node);
        let began = Instant::now();
        let words = ["install", "api", path.to_str().unwrap(), "-n", room.namespace.as_str(), "--wait", "--timeout", &format!("{patience}s")];
        let done = tokio::process::Command::new("helm").args(words).output().await.unwrap();
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&done.stderr).lines().last().unwrap_or_default().replace('|', "/");
        assert_eq!(done.status.success(), *code == "READY", "{code}: {said}");
        if *code != "READY" {
            assert!(ours.whole < took, "{code}: {:?} beside {took:?}", ours.whole);
        }
        writeln!(table, "| {code} | {:.1} | {} | {:.1} | {said} |", ours.whole.as_secs_f32(), ours.cause, took.as_secs_f32()).unwrap();
    }
    eprintln!("{table}");
    std::fs::write(target("beside-helm.md"), table).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_provoked_failure_is_named() {
    let full = std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full");
    let only = std::env::var("LANDFALL_FAILURES").ok();
    let rows = rows();
    let wanted = |row: &Row| only.as_ref().map_or(full || row.short, |only| only.split(',').any(|code| code == row.code));
    let rows: Vec<Row> = rows.into_iter().filter(wanted).collect();
    assert!(
        rows.len()
            >= if only.is_some() {
                1
            } else if full {
                60
            } else {
                6
            },
        "{} rows are left",
        rows.len()
    );
    let node = node().await;

    let registry = if rows.iter().any(|row| row.registry) { Some(room("lf-registry").await) } else { None };
    if let Some(registry) = &registry {
        opened(registry).await;
        let container = json!({ "name": "r", "image": "python:3.13-slim", "command": program(REGISTRY), "readinessProbe": { "tcpSocket": { "port": 38126 }, "periodSeconds": 1 } });
        let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "registry" }, "spec": { "hostNetwork": true, "terminationGracePeriodSeconds": 1, "containers": [container] } });
        registry.apply(&pod.to_string()).await;
        run("kubectl", &["wait", "-n", registry.namespace.as_str(), "--for=condition=Ready", "pod/registry", "--timeout=60s"]).await;
    }

    let runs = rows.into_iter().enumerate().map(|(n, row)| provoke(n, row, &node));
    let seen: Vec<Seen> = futures::stream::iter(runs)
        .buffered(AT_ONCE)
        .inspect(|seen| {
            let mark = if seen.wrong.is_none() { "ok" } else { "WRONG" };
            eprintln!(
                "  {mark:<5} {:<22} {:>5.1} s, {:>4} ms after the last sign; {}",
                seen.row.code,
                seen.whole.as_secs_f32(),
                seen.verdict.as_millis(),
                seen.cause
            );
        })
        .collect()
        .await;
    drop(registry);
    if std::env::var_os("LANDFALL_BLESS").is_some() {
        keep(&seen);
    }

    let mut table = String::from("| code | provoked by | seen | s to the verdict | ms after the last sign | cause |\n|---|---|---|---|---|---|\n");
    for each in &seen {
        let how = each.row.name.clone().unwrap_or_else(|| each.row.says.clone().unwrap_or_default());
        let mark = if each.wrong.is_none() { "✓" } else { "✗" };
        writeln!(
            table,
            "| {} | {how} | {mark} {} | {:.1} | {} | {} |",
            each.row.code,
            each.code,
            each.whole.as_secs_f32(),
            each.verdict.as_millis(),
            each.cause.replace(['|', '\n'], " ")
        )
        .unwrap();
    }
    let right = seen.iter().filter(|each| each.wrong.is_none()).count();
    let codes: std::collections::BTreeSet<_> = seen.iter().map(|each| each.row.code.as_str()).collect();
    writeln!(table, "\n{right} of {} rows right, {} codes.", seen.len(), codes.len()).unwrap();
    std::fs::write(target("failures.md"), &table).unwrap();
    let wrong: Vec<String> = seen
        .iter()
        .filter_map(|each| {
            each.wrong.as_ref().map(|wrong| format!("{} ({}): {wrong}", each.row.code, each.row.name.as_deref().or(each.row.says.as_deref()).unwrap_or("-")))
        })
        .collect();
    assert!(wrong.is_empty(), "{right} of {} right\n{}", seen.len(), wrong.join("\n"));
}
