//! A failure as a real cluster showed it: what each look changed, what was in the logs, what helm said. Small, and without anything of the machine that saw it.

use landfall::evidence::Time;
use landfall::ports::Observed;
use landfall::rollout::{LogTail, Logs};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The objects of a namespace by `Kind/name`.
pub(crate) type Objects = BTreeMap<String, Value>;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Recording {
    pub(crate) code: String,
    /// Kubernetes and the container runtime that showed it.
    pub(crate) seen_on: String,
    /// When the first look was.
    pub(crate) began: Time,
    /// Milliseconds from the first look to the verdict.
    pub(crate) ended: i64,
    pub(crate) steps: Vec<Step>,
    /// What the last run of each container wrote; it stands for every run before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) logs: Vec<Log>,
    /// Lines of helm, where that refused and no stream was needed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) said: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    /// Milliseconds since the first look.
    pub(crate) at: i64,
    /// By `Kind/name`: a merge patch (RFC 7386), or null where it was deleted.
    pub(crate) changed: Map<String, Value>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) pod: String,
    pub(crate) container: String,
    pub(crate) text: String,
}

pub(crate) fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/replays/recorded"))
}

/// Every recording, by the name of its file.
pub(crate) fn all() -> BTreeMap<String, Recording> {
    let files = std::fs::read_dir(folder()).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    files
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            (name, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        })
        .collect()
}

/// RFC 7386; lists are replaced whole.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                if value.is_null() {
                    target.remove(key);
                } else {
                    merge(target.entry(key).or_insert_with(|| json!({})), value);
                }
            }
        }
        (target, patch) => target.clone_from(patch),
    }
}

/// The merge patch from one value to the other; None where they are equal.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else { return (before != after).then(|| after.clone()) };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, value)| Some((key.clone(), difference(old.get(key).unwrap_or(&Value::Null), value)?)));
    let patch: Map<String, Value> = gone.chain(changed).collect();
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn list<K: DeserializeOwned>(objects: &Objects, kind: &str) -> Vec<K> {
    let mine = objects.iter().filter(|(key, _)| key.split('/').next() == Some(kind));
    mine.map(|(key, object)| serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{key}: {error}: {object}"))).collect()
}

fn names(objects: &Objects, kind: &str) -> Vec<String> {
    objects.keys().filter_map(|key| key.strip_prefix(&format!("{kind}/")).map(str::to_owned)).collect()
}

/// The objects as one look would have seen them.
pub(crate) fn observed(objects: &Objects, at: Time) -> Observed {
    Observed {
        at: Some(at),
        deployments: list(objects, "Deployment"),
        replica_sets: list(objects, "ReplicaSet"),
        stateful_sets: list(objects, "StatefulSet"),
        daemon_sets: list(objects, "DaemonSet"),
        jobs: list(objects, "Job"),
        cron_jobs: list(objects, "CronJob"),
        pods: list(objects, "Pod"),
        counted: BTreeMap::new(),
        events: list(objects, "Event"),
        services: list(objects, "Service"),
        endpoint_slices: list(objects, "EndpointSlice"),
        claims: list(objects, "PersistentVolumeClaim"),
        autoscalers: list(objects, "HorizontalPodAutoscaler"),
        ingresses: list(objects, "Ingress"),
        policies: list(objects, "NetworkPolicy"),
        config_maps: names(objects, "ConfigMap"),
        secrets: names(objects, "Secret"),
        nodes: list(objects, "Node"),
    }
}

impl Recording {
    /// Every look: the time, the namespace, and the logs that could be read then. Between changes time passes in steps of half a second.
    pub(crate) fn looks(&self, mut look: impl FnMut(Time, &Observed, &Logs)) {
        const TICK: i64 = 500;
        let mut objects = Objects::new();
        for (n, step) in self.steps.iter().enumerate() {
            for (key, patch) in &step.changed {
                if patch.is_null() {
                    objects.remove(key);
                } else {
                    merge(objects.entry(key.clone()).or_insert_with(|| json!({})), patch);
                }
            }
            let next = self.steps.get(n + 1).map_or(self.ended + 1, |next| next.at);
            let mut at = step.at;
            while at < next {
                let now = self.began + std::time::Duration::from_millis(at.unsigned_abs());
                let seen = observed(&objects, now);
                look(now, &seen, &self.logs(&seen));
                at += TICK;
            }
        }
    }

    /// The logs of runs that have ended by then, and of containers that run and are not ready.
    fn logs(&self, seen: &Observed) -> Logs {
        let mut logs = Logs::new();
        for pod in &seen.pods {
            let (name, status) = (pod.metadata.name.clone().unwrap_or_default(), pod.status.clone().unwrap_or_default());
            for status in status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten()) {
                let Some(log) = self.logs.iter().find(|log| log.pod == name && log.container == status.name) else { continue };
                let ended = [&status.state, &status.last_state].into_iter().flatten().find_map(|state| state.terminated.as_ref());
                let run = ended.and_then(|ended| ended.container_id.clone());
                if run.is_some() || status.state.as_ref().is_some_and(|state| state.running.is_some()) {
                    logs.insert((name.clone(), status.name.clone()), LogTail { text: log.text.clone(), run });
                }
            }
        }
        logs
    }
}

/// Takes in looks, and keeps what each changed.
pub(crate) struct Recorder {
    began: Time,
    objects: Objects,
    steps: Vec<Step>,
}

impl Recorder {
    pub(crate) fn new(now: Time) -> Self {
        Self { began: now, objects: Objects::new(), steps: Vec::new() }
    }

    fn since(&self, now: Time) -> i64 {
        i64::try_from(now.duration_since(self.began).as_millis()).unwrap_or_default()
    }

    pub(crate) fn note(&mut self, seen: &Observed, now: Time) {
        let after = objects(seen);
        let gone = self.objects.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
        let changed = after.iter().filter_map(|(key, object)| Some((key.clone(), difference(self.objects.get(key).unwrap_or(&Value::Null), object)?)));
        let changed: Map<String, Value> = gone.chain(changed).collect();
        if !changed.is_empty() {
            self.steps.push(Step { at: self.since(now), changed });
            self.objects = after;
        }
    }

    /// The recording as text, with names and addresses of the machine replaced: each pair is what stands there, and what shall.
    pub(crate) fn told(self, code: &str, seen_on: &str, now: Time, logs: Vec<Log>, own: &[(&str, &str)]) -> String {
        let ended = self.since(now);
        let whole = Recording { code: code.to_owned(), seen_on: seen_on.to_owned(), began: self.began, ended, steps: self.steps, logs, said: Vec::new() };
        written(&whole, own)
    }
}

/// What helm said, as a recording.
pub(crate) fn said(code: &str, seen_on: &str, now: Time, lines: &str, own: &[(&str, &str)]) -> String {
    let said = lines.lines().map(str::to_owned).collect();
    written(&Recording { code: code.to_owned(), seen_on: seen_on.to_owned(), began: now, ended: 0, steps: Vec::new(), logs: Vec::new(), said }, own)
}

fn written(whole: &Recording, own: &[(&str, &str)]) -> String {
    let text = serde_json::to_string(whole).unwrap();
    own.iter().fold(text, |text, (from, to)| text.replace(from, to)) + "\n"
}

/// What of the objects is kept: not what only the API server needs, and of a node its name, conditions, taints and room.
fn objects(seen: &Observed) -> Objects {
    let mut all = Objects::new();
    let mut put = |kind: &str, objects: Value| {
        for mut object in objects.as_array().into_iter().flatten().cloned() {
            for field in ["resourceVersion", "managedFields", "selfLink"] {
                object["metadata"].as_object_mut().unwrap().remove(field);
            }
            if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
            if kind == "Node" {
                object = node(&object);
            }
            all.insert(format!("{kind}/{}", object["metadata"]["name"].as_str().unwrap_or_default()), object);
        }
    };
    let value = |objects: serde_json::Result<Value>| objects.unwrap();
    put("Deployment", value(serde_json::to_value(&seen.deployments)));
    put("ReplicaSet", value(serde_json::to_value(&seen.replica_sets)));
    put("StatefulSet", value(serde_json::to_value(&seen.stateful_sets)));
    put("DaemonSet", value(serde_json::to_value(&seen.daemon_sets)));
    put("Job", value(serde_json::to_value(&seen.jobs)));
    put("CronJob", value(serde_json::to_value(&seen.cron_jobs)));
    put("Pod", value(serde_json::to_value(&seen.pods)));
    put("Event", value(serde_json::to_value(&seen.events)));
    put("Service", value(serde_json::to_value(&seen.services)));
    put("EndpointSlice", value(serde_json::to_value(&seen.endpoint_slices)));
    put("PersistentVolumeClaim", value(serde_json::to_value(&seen.claims)));
    put("HorizontalPodAutoscaler", value(serde_json::to_value(&seen.autoscalers)));
    put("Ingress", value(serde_json::to_value(&seen.ingresses)));
    put("NetworkPolicy", value(serde_json::to_value(&seen.policies)));
    put("Node", value(serde_json::to_value(&seen.nodes)));
    // The API server puts these two into every namespace.
    let own = ["kube-root-ca.crt"];
    for (kind, names) in [("ConfigMap", &seen.config_maps), ("Secret", &seen.secrets)] {
        all.extend(names.iter().filter(|name| !own.contains(&name.as_str())).map(|name| (format!("{kind}/{name}"), json!({}))));
    }
    all
}

fn node(object: &Value) -> Value {
    let mut conditions = object["status"]["conditions"].clone();
    for condition in conditions.as_array_mut().into_iter().flatten() {
        // Told anew every few seconds, and read by nobody.
        condition.as_object_mut().unwrap().remove("lastHeartbeatTime");
    }
    let info = json!({ "architecture": object["status"]["nodeInfo"]["architecture"], "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "",
        "kubeletVersion": "", "machineID": "", "operatingSystem": "linux", "osImage": "", "systemUUID": "" });
    json!({ "metadata": { "name": object["metadata"]["name"] }, "spec": { "taints": object["spec"]["taints"], "unschedulable": object["spec"]["unschedulable"] },
        "status": { "conditions": conditions, "allocatable": object["status"]["allocatable"], "nodeInfo": info } })
}
