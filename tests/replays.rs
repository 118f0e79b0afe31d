//! Every row of the failure taxonomy replayed: a watch stream, a refusal or a request that shows it, and a near miss that must not.
//! No cluster takes part, and time is the stream's own. docs/failures.md lists the same rows with where each was provoked for real.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "replays/recording.rs"]
#[allow(dead_code, reason = "shared with the tests that record")]
mod recording;

use landfall::evidence::{Diagnosis, Time};
use landfall::names::ServiceName;
use landfall::ports::Observed;
use landfall::rollout::route::{Asked, Request};
use landfall::rollout::taxonomy::{FailRule, TABLE, row};
use landfall::rollout::{Judgement, LogTail, Logs, Memory, judge, readings, refusal, route};
use recording::{Objects, Recording, merge};
use serde::Deserialize;
use serde_json::{Map, Value, json};

const START: i64 = 1_760_000_000;

/// One row of `tests/replays/rows.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    code: String,
    /// What shows it, as a stream, as lines of helm, or as a request without an answer.
    #[serde(default)]
    stream: Vec<Map<String, Value>>,
    #[serde(default)]
    said: Vec<String>,
    asked: Option<Question>,
    /// What differs from it by as little as can be.
    #[serde(default)]
    near: Vec<Map<String, Value>>,
    #[serde(default)]
    near_said: Vec<String>,
    near_asked: Option<Question>,
    /// The code that the near miss has in its place.
    instead: Option<String>,
    /// Words that the first cause or its evidence must hold.
    says: Option<String>,
    /// The code that must stand before it: a symptom's cause.
    behind: Option<String>,
}

/// A request that got no answer, in a namespace as the stream left it.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
struct Question {
    how: How,
    probes: u32,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    Closed,
    Refused,
    Silent,
}

fn rows() -> Vec<Replay> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replays/rows.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("tests/replays/rows.yaml: {error}"))
}

fn time(seconds: i64) -> Time {
    Time::from_second(START + seconds).unwrap()
}

/// The objects of a namespace by `Kind/name`, as a watch keeps them: a healthy release `api` whose pod is being created.
struct Namespace {
    objects: Objects,
    logs: Logs,
}

const POD: &str = "Pod/api-1-x";

impl Namespace {
    fn new() -> Self {
        let owner = |kind: &str, name: &str, uid: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
        let mine = json!({ "app.kubernetes.io/instance": "api", "app": "api" });
        let revision = json!({ "deployment.kubernetes.io/revision": "1" });
        let info = [
            "architecture",
            "bootID",
            "containerRuntimeVersion",
            "kernelVersion",
            "kubeProxyVersion",
            "kubeletVersion",
            "machineID",
            "operatingSystem",
            "osImage",
            "systemUUID",
        ];
        let info: Map<String, Value> = info.into_iter().map(|name| (name.to_owned(), json!("amd64"))).collect();
        let objects = [
            (
                "Deployment/api",
                json!({ "metadata": { "name": "api", "namespace": "todo", "uid": "d", "generation": 1, "annotations": revision, "labels": mine },
                "spec": { "replicas": 1, "selector": {}, "template": {} }, "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1 } }),
            ),
            (
                "ReplicaSet/api-1",
                json!({ "metadata": { "name": "api-1", "namespace": "todo", "uid": "r", "annotations": revision, "ownerReferences": owner("Deployment", "api", "d") },
                "spec": { "replicas": 1, "selector": {} }, "status": { "replicas": 1 } }),
            ),
            (
                POD,
                json!({ "metadata": { "name": "api-1-x", "namespace": "todo", "uid": "p", "labels": mine, "ownerReferences": owner("ReplicaSet", "api-1", "r") },
                "spec": { "nodeName": "minikube", "restartPolicy": "Always", "containers": [{ "name": "api", "image": "localhost/todo/api:1" }] },
                "status": { "phase": "Pending", "containerStatuses": [{ "name": "api", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": { "waiting": { "reason": "ContainerCreating" } } }] } }),
            ),
            (
                "Service/api",
                json!({ "metadata": { "name": "api", "namespace": "todo", "labels": mine }, "spec": { "selector": { "app": "api" }, "clusterIP": "10.96.0.7", "ports": [{ "port": 8000 }] } }),
            ),
            (
                "EndpointSlice/api-s",
                json!({ "metadata": { "name": "api-s", "labels": { "kubernetes.io/service-name": "api" } }, "addressType": "IPv4", "endpoints": [] }),
            ),
            (
                "Node/minikube",
                json!({ "metadata": { "name": "minikube" }, "status": { "conditions": [{ "type": "Ready", "status": "True" }],
                "allocatable": { "cpu": "2", "memory": "4Gi" }, "images": [{ "names": ["localhost/todo/web:1"] }], "nodeInfo": info } }),
            ),
        ];
        Self { objects: objects.into_iter().map(|(key, object)| (key.to_owned(), object)).collect(), logs: Logs::new() }
    }

    fn patch(&mut self, key: &str, patch: &Value) {
        if patch.is_null() {
            assert!(self.objects.remove(key).is_some(), "{key} is not there to be deleted");
            return;
        }
        let name = key.split('/').nth(1).unwrap();
        let fresh = || json!({ "metadata": { "name": name, "uid": key } });
        merge(self.objects.entry(key.to_owned()).or_insert_with(fresh), patch);
    }

    /// The status of the pod's only container.
    fn container(&mut self, status: Value) {
        let mut whole = json!({ "name": "api", "image": "i", "imageID": "", "ready": false, "restartCount": 0 });
        merge(&mut whole, &status);
        self.patch(POD, &json!({ "status": { "phase": "Running", "containerStatuses": [whole] } }));
    }

    fn event(&mut self, at: i64, told: &Value) {
        let words: Vec<&str> = told.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let &[object, reason, message] = words.as_slice() else { panic!("an event is [Kind/name, reason, message, count]: {told}") };
        let count = told.get(3).and_then(Value::as_i64).unwrap_or(1);
        let uid = self.objects.get(object).unwrap_or_else(|| panic!("no {object} for an event"))["metadata"]["uid"].clone();
        let (kind, name) = object.split_once('/').unwrap();
        // Every event of one object and reason is the same Event, counted on.
        let key = format!("Event/{name}-{reason}");
        let field =
            if kind == "Pod" && matches!(reason, "Unhealthy" | "Killing" | "InspectFailed" | "FailedPostStartHook") { "spec.containers{api}" } else { "" };
        let began = self.objects.get(&key).map_or_else(|| json!(time(at).to_string()), |event| event["firstTimestamp"].clone());
        let event = json!({ "metadata": { "name": format!("{name}-{reason}"), "uid": key }, "type": "Warning", "reason": reason, "message": message, "count": count,
            "firstTimestamp": began, "lastTimestamp": time(at).to_string(), "involvedObject": { "kind": kind, "name": name, "uid": uid, "fieldPath": field } });
        self.objects.insert(key, event);
    }

    /// One step of a stream: shorthands for what pods do, and `Kind/name` with a patch, or null where it is deleted.
    fn step(&mut self, at: i64, step: &Map<String, Value>) {
        for (what, value) in step.iter().filter(|(what, _)| what.contains('/')) {
            self.patch(what, value);
        }
        for (what, value) in step {
            match what.as_str() {
                "at" => {}
                other if other.contains('/') => {}
                "log" => drop(self.logs.insert(("api-1-x".to_owned(), "api".to_owned()), LogTail { text: value.as_str().unwrap().to_owned(), run: None })),
                "waits" => self.container(json!({ "state": { "waiting": { "reason": value[0], "message": value[1] } } })),
                "ended" => {
                    let count = value.get(2).and_then(Value::as_i64).unwrap_or(1);
                    let id = format!("docker://{count}");
                    let end = json!({ "exitCode": value[0], "reason": value[1], "message": value[3], "containerID": id, "finishedAt": time(at).to_string() });
                    self.container(json!({ "restartCount": count - 1, "containerID": id, "state": { "terminated": end } }));
                }
                "ready" => {
                    let ready = value.as_bool().unwrap();
                    let since = time(at).to_string();
                    let started = self.objects[POD].pointer("/status/containerStatuses/0/state/running/startedAt").cloned().unwrap_or(json!(since));
                    self.container(json!({ "ready": ready, "started": true, "containerID": "docker://1", "state": { "running": { "startedAt": started } } }));
                    let word = if ready { "True" } else { "False" };
                    self.patch(
                        POD,
                        &json!({ "status": { "conditions": [{ "type": "Ready", "status": word }, { "type": "PodScheduled", "status": "True" }] } }),
                    );
                    let endpoints = json!([{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }]);
                    self.patch("EndpointSlice/api-s", &json!({ "endpoints": endpoints }));
                }
                "pending" => {
                    let condition = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": value, "lastTransitionTime": time(at).to_string() });
                    self.patch(
                        POD,
                        &json!({ "spec": { "nodeName": null }, "status": { "phase": "Pending", "conditions": [condition], "containerStatuses": [] } }),
                    );
                }
                "event" => self.event(at, value),
                "events" => value.as_array().unwrap().iter().for_each(|event| self.event(at, event)),
                other => panic!("no step is called {other}"),
            }
        }
    }

    fn observed(&self, at: i64) -> Observed {
        recording::observed(&self.objects, time(at))
    }
}

/// What a stream comes to: the refusal's diagnoses and, refused or not, the best reading of its last look.
struct Seen {
    refused: Vec<Diagnosis>,
    read: Vec<Diagnosis>,
    last: Observed,
}

fn replay(stream: &[Map<String, Value>]) -> Seen {
    let api = ServiceName::parse("api").unwrap();
    let mut namespace = Namespace::new();
    let mut memory = Memory::default();
    let mut seen = Seen { refused: Vec::new(), read: Vec::new(), last: namespace.observed(0) };
    let mut before = 0;
    for step in stream {
        let at = step.get("at").and_then(Value::as_i64).unwrap_or(before);
        assert!(at >= before, "a stream goes forward: {at} after {before}");
        before = at;
        namespace.step(at, step);
        seen.last = namespace.observed(at);
        seen.refused = match judge(&seen.last, &api, &namespace.logs, &mut memory, time(at)) {
            Judgement::Refused(diagnoses) => diagnoses,
            Judgement::Ready | Judgement::Waiting { .. } => Vec::new(),
        };
        seen.read = readings(&seen.last, &api, &namespace.logs, &mut memory, time(at));
    }
    seen
}

fn answer(seen: &Seen, question: Question) -> Option<Diagnosis> {
    let (api, web) = (ServiceName::parse("api").unwrap(), ServiceName::parse("web").unwrap());
    let asked = match question.how {
        How::Closed => Asked::Closed,
        How::Refused => Asked::Refused { caller: &web },
        How::Silent => Asked::Silent { caller: &web },
    };
    route::read(&seen.last, &Request { release: &api, port: 8000, asked, probes: question.probes, evidence: Vec::new() })
}

fn codes(diagnoses: &[Diagnosis]) -> Vec<&str> {
    diagnoses.iter().map(|each| each.code.as_str()).collect()
}

impl Replay {
    /// The row is named where it should be: first, or behind its cause; as a refusal where it can refuse at all.
    fn shown(&self) -> Result<(), String> {
        let never = row(&self.code).unwrap().fails == FailRule::Never;
        if let Some(question) = self.asked {
            let found = answer(&replay(&self.stream), question).ok_or("the request without an answer is not named")?;
            return self.told(&found);
        }
        if !self.said.is_empty() {
            return match refusal::read(self.said.iter().map(String::as_str)) {
                Some((row, _)) if row.code == self.code => Ok(()),
                other => Err(format!("{:?} is read as {:?}", self.said, other.map(|(row, _)| row.code))),
            };
        }
        let seen = replay(&self.stream);
        let fails_late = row(&self.code).unwrap().fails == FailRule::Deadline;
        let found = if never || fails_late && seen.refused.is_empty() { &seen.read } else { &seen.refused };
        let place = usize::from(self.behind.is_some());
        let expected: Vec<&str> = self.behind.iter().map(String::as_str).chain([self.code.as_str()]).collect();
        if !(codes(found).starts_with(&expected) || never && codes(found).contains(&self.code.as_str())) {
            return Err(format!("expected {expected:?}, found {:?}, refused {:?}", codes(found), codes(&seen.refused)));
        }
        if never && codes(&seen.refused).contains(&self.code.as_str()) {
            return Err("it refuses, and should only be told".to_owned());
        }
        self.told(found.get(place).unwrap_or(&found[0]))
    }

    fn told(&self, found: &Diagnosis) -> Result<(), String> {
        if found.code != self.code && self.behind.is_none() && row(&self.code).unwrap().fails != FailRule::Never {
            return Err(format!("named {}: {}", found.code, found.cause));
        }
        let told = format!("{} {:?}", found.cause, found.why);
        if found.why.is_empty() && self.asked.is_none() {
            return Err(format!("no evidence: {told}"));
        }
        match &self.says {
            Some(says) if !told.contains(says.as_str()) => Err(format!("does not say {says:?}: {told}")),
            _ => Ok(()),
        }
    }

    /// The near miss is not taken for it.
    fn missed(&self) -> Result<(), String> {
        let is = |found: &[&str]| match &self.instead {
            Some(instead) if found.first() != Some(&instead.as_str()) => Err(format!("the near miss is {found:?} and not {instead}")),
            _ if found.contains(&self.code.as_str()) => Err(format!("the near miss is taken for it: {found:?}")),
            _ => Ok(()),
        };
        if let Some(question) = self.near_asked {
            let stream = if self.near.is_empty() { &self.stream } else { &self.near };
            let found = answer(&replay(stream), question);
            return is(&found.iter().map(|found| found.code.as_str()).collect::<Vec<_>>());
        }
        if !self.near_said.is_empty() {
            let found = refusal::read(self.near_said.iter().map(String::as_str));
            return is(&found.iter().map(|(row, _)| row.code).collect::<Vec<_>>());
        }
        if self.near.is_empty() {
            return Err("it has no near miss".to_owned());
        }
        let seen = replay(&self.near);
        let never = row(&self.code).unwrap().fails == FailRule::Never;
        is(&codes(if never { &seen.read } else { &seen.refused }))
    }
}

#[test]
fn every_row_is_shown_by_its_stream_and_not_by_its_near_miss() {
    let mut wrong = Vec::new();
    for replay in rows() {
        assert!(row(&replay.code).is_some(), "the taxonomy has no {}", replay.code);
        wrong.extend(replay.shown().err().map(|error| format!("{}: {error}", replay.code)));
        wrong.extend(replay.missed().err().map(|error| format!("{} near miss: {error}", replay.code)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Recording {
    /// What is wrong with it, replayed: the first refusal names its row, and a near miss ends ready without one.
    fn replayed(&self) -> Result<(), String> {
        if !self.said.is_empty() {
            let read = refusal::read(self.said.iter().map(String::as_str)).map(|(row, _)| row.code);
            return (read == Some(self.code.as_str())).then_some(()).ok_or(format!("{:?} is read as {read:?}", self.said));
        }
        let api = ServiceName::parse("api").unwrap();
        let mut memory = Memory::default();
        let mut refused: Option<Vec<Diagnosis>> = None;
        let mut ready = false;
        self.looks(|now, seen, logs| {
            let judged = judge(seen, &api, logs, &mut memory, now);
            ready = judged == Judgement::Ready;
            if refused.is_none()
                && let Judgement::Refused(diagnoses) = judged
            {
                refused = Some(diagnoses);
            }
        });
        match (self.code.as_str(), refused) {
            ("READY", None) if ready => Ok(()),
            ("READY", refused) => Err(format!("ready: {ready}, refused: {refused:?}")),
            (code, Some(refused)) if refused.first().is_some_and(|first| first.code == code && !first.why.is_empty()) => Ok(()),
            (_, refused) => Err(format!("refused as {refused:?}")),
        }
    }
}

#[test]
fn what_a_cluster_showed_is_named_as_it_was_then() {
    let recorded = recording::all();
    let wrong: Vec<String> =
        recorded.iter().filter_map(|(name, each)| each.replayed().err().map(|error| format!("{name} ({}): {error}", each.seen_on))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(!recorded.is_empty(), "nothing is recorded: LANDFALL_TEST_TIER=full LANDFALL_BLESS=1 cargo test --test cluster_failures");
}

#[test]
fn no_row_is_left_out() {
    // The proof of the target has no stream: tests/refusals/wrong_clusters.rs replays fifty kubeconfigs through the program.
    let elsewhere = ["WRONG_CLUSTER"];
    let rows = rows();
    let has = |code: &str| rows.iter().any(|replay| replay.code == code);
    let missing: Vec<_> = TABLE.iter().map(|row| row.code).filter(|code| !has(code) && !elsewhere.contains(code)).collect();
    assert!(missing.is_empty(), "without a replay: {missing:?}");
}

/// Every stream, cut anywhere, is judged without a panic, and whatever it refuses has a cause and evidence.
#[test]
fn a_stream_that_breaks_off_anywhere_refuses_nothing_without_evidence() {
    for replayed in rows() {
        for stream in [&replayed.stream, &replayed.near] {
            for end in 0..=stream.len() {
                let seen = replay(&stream[..end]);
                for found in seen.refused.iter().chain(&seen.read) {
                    assert!(!found.cause.is_empty() && !found.why.is_empty(), "{} cut at {end}: {found:?}", replayed.code);
                }
            }
        }
    }
}
