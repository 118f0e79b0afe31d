//! A language model that follows a script, for the proof of a chatbot's way: a copy of a running pod in which the program finds that model and no other, and what the model heard.

use crate::blueprint::Workload;
use crate::failure::Failure;
use crate::ports::PROBE_LABEL;
use k8s_openapi::api::core::v1::{Container, EnvVar, ExecAction, Pod, PodReadinessGate, PodSpec, Probe, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The scripted model as an interpreter runs it; the argument of both scripts is its port of 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    interpreter: [&'static str; 2],
    /// Speaks OpenAI's interfaces.
    speaks: &'static str,
    /// Ends well where the model listens.
    listens: &'static str,
}

const PYTHON: Model = Model {
    interpreter: ["python3", "-c"],
    speaks: include_str!("model.py"),
    listens: "import socket,sys;socket.create_connection(('127.0.0.1',int(sys.argv[1])),1)",
};
const NODE: Model = Model {
    interpreter: ["node", "-e"],
    speaks: include_str!("model.js"),
    listens: "require('net').connect(+process.argv[1],'127.0.0.1',()=>process.exit(0)).on('error',()=>process.exit(1))",
};

/// The model that runs in images of a language; none where no interpreter is known to be in them.
pub fn beside(language: &str) -> Option<Model> {
    match language {
        "python" => Some(PYTHON),
        "node" | "javascript" | "typescript" => Some(NODE),
        _ => None,
    }
}

impl Model {
    fn runs(self, script: &str, port: u16) -> Vec<String> {
        let [program, flag] = self.interpreter;
        [program, flag, script, &port.to_string()].map(str::to_owned).to_vec()
    }
}

/// The name of the model's container in the copy.
pub const CONTAINER: &str = "scripted-model";
/// The longest that a copy runs, seconds, whatever becomes of the operation that made it.
const LONGEST_S: i64 = 300;
/// A condition that nobody sets: a pod that waits for it runs and is never ready, so no Service leads to it.
const NEVER: &str = "landfall.dev/never-ready";
/// Labels by which controllers tell their own pods; with them a copy would be adopted, or counted as one of theirs.
const CONTROLLERS: [&str; 5] =
    ["pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"];

/// Whose models speak OpenAI's interfaces, as variables begin.
const PROVIDERS: [&str; 15] =
    ["OPENAI", "LLM", "MODEL", "AI", "GEMINI", "GOOGLE", "GROQ", "MISTRAL", "DEEPSEEK", "OPENROUTER", "TOGETHER", "COHERE", "ZAI", "OLLAMA", "XAI"];
/// How the names end that hold a model's address.
const ADDRESSES: [&str; 5] = ["_BASE_URL", "_API_BASE", "_API_URL", "_URL", "_ENDPOINT"];
const KEYS: [&str; 2] = ["_API_KEY", "_KEY"];

/// The variables that lead a program to the model, and what they say: those that it reads, and those that OpenAI's own library reads.
pub fn variables(workload: &Workload) -> BTreeMap<String, String> {
    let port = port_beside(workload.port);
    let mut all = BTreeMap::from([("OPENAI_BASE_URL".to_owned(), address(port)), ("OPENAI_API_KEY".to_owned(), "landfall-scripted-model".to_owned())]);
    let provided = |name: &str, ends: &[&str]| {
        let prefix = ends.iter().find_map(|end| name.strip_suffix(end));
        prefix.is_some_and(|prefix| PROVIDERS.contains(&prefix))
    };
    for read in workload.service().into_iter().flat_map(|service| &service.env) {
        let name = read.name.as_str();
        if provided(name, &KEYS) {
            all.insert(name.to_owned(), "landfall-scripted-model".to_owned());
        } else if provided(name, &ADDRESSES) {
            all.insert(name.to_owned(), address(port));
        }
    }
    all
}

fn address(port: u16) -> String {
    format!("http://127.0.0.1:{port}/v1")
}

/// A port for the model that the program does not use.
fn port_beside(port: Option<u16>) -> u16 {
    if port == Some(11_435) { 11_436 } else { 11_435 }
}

/// A copy of a running pod under another name: the same image, environment and mounts, the labels that network policies select, and the scripted model beside the program.
pub fn copy_of(pod: &Pod, container: &str, name: &str, workload: &Workload, beside: Model) -> Result<Pod, Failure> {
    let spec = pod.spec.as_ref().ok_or_else(|| Failure::internal("a running pod without a specification"))?;
    let original = spec.containers.iter().find(|one| one.name == container).ok_or_else(|| Failure::internal("a running pod without its container"))?;
    let volumes: Vec<_> = spec
        .volumes
        .iter()
        .flatten()
        .filter(|volume| volume.persistent_volume_claim.is_none() && !volume.name.starts_with("kube-api-access"))
        .cloned()
        .collect();
    let mut program = original.clone();
    if let Some(mounts) = &mut program.volume_mounts {
        mounts.retain(|mount| volumes.iter().any(|volume| volume.name == mount.name));
    }
    program.liveness_probe = None;
    program.startup_probe = None;
    let told = variables(workload);
    let env = program.env.get_or_insert_default();
    env.retain(|one| !told.contains_key(&one.name));
    env.extend(told.into_iter().map(|(name, value)| EnvVar { name, value: Some(value), value_from: None }));
    let port = port_beside(workload.port);
    let model = Container {
        name: CONTAINER.to_owned(),
        image: original.image.clone(),
        image_pull_policy: original.image_pull_policy.clone(),
        command: Some(beside.runs(beside.speaks, port)),
        readiness_probe: Some(Probe {
            exec: Some(ExecAction { command: Some(beside.runs(beside.listens, port)) }),
            period_seconds: Some(1),
            timeout_seconds: Some(5),
            failure_threshold: Some(60),
            ..Probe::default()
        }),
        resources: Some(small()),
        security_context: original.security_context.clone(),
        ..Container::default()
    };
    let mut labels = pod.metadata.labels.clone().unwrap_or_default();
    labels.retain(|name, _| !CONTROLLERS.contains(&name.as_str()));
    labels.insert(PROBE_LABEL.to_owned(), "chat".to_owned());
    // It goes with the release, should nobody be left to delete it.
    let owner = |owner: &OwnerReference| OwnerReference { controller: None, block_owner_deletion: None, ..owner.clone() };
    Ok(Pod {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(labels),
            owner_references: pod.metadata.owner_references.as_ref().map(|owners| owners.iter().map(owner).collect()),
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            containers: vec![program, model],
            volumes: Some(volumes),
            readiness_gates: Some(vec![PodReadinessGate { condition_type: NEVER.to_owned() }]),
            active_deadline_seconds: Some(LONGEST_S),
            restart_policy: Some("Never".to_owned()),
            termination_grace_period_seconds: Some(1),
            service_account_name: spec.service_account_name.clone(),
            automount_service_account_token: Some(false),
            enable_service_links: spec.enable_service_links,
            security_context: spec.security_context.clone(),
            image_pull_secrets: spec.image_pull_secrets.clone(),
            node_selector: spec.node_selector.clone(),
            tolerations: spec.tolerations.clone(),
            ..PodSpec::default()
        }),
        status: None,
    })
}

/// What an interpreter with a small server needs.
fn small() -> ResourceRequirements {
    let of = |cpu: &str, memory: &str| {
        let each = [("cpu", cpu), ("memory", memory), ("ephemeral-storage", "16Mi")];
        Some(each.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into())
    };
    ResourceRequirements { requests: of("10m", "32Mi"), limits: of("500m", "128Mi"), claims: None }
}

/// What the model heard and said, in the order in which it was told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    /// How often it was asked for an answer.
    pub asked: usize,
    /// The names of the tools that it was offered.
    pub offered: Vec<String>,
    /// The tool that it called, with its arguments.
    pub called: Option<(String, serde_json::Value)>,
    /// What the tool answered, as the program handed it on.
    pub result: Option<String>,
    /// What it was asked in a form that it does not know.
    pub strange: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    offered: Option<Vec<String>>,
    called: Option<String>,
    arguments: Option<serde_json::Value>,
    result: Option<String>,
    unknown: Option<String>,
    error: Option<String>,
}

/// Reads the log of the model's container.
pub fn heard(log: &str) -> Heard {
    let mut all = Heard::default();
    for line in log.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        all.asked += 1;
        if let Some(offered) = line.offered {
            all.offered = offered;
        }
        if let Some(called) = line.called {
            all.called = Some((called, line.arguments.unwrap_or_default()));
        }
        all.result = line.result.or(all.result);
        all.strange = line.unknown.map(|path| format!("it was asked at {path}")).or(line.error).or(all.strange);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::http::{HttpAsk, request};
    use crate::secret::Secret;
    use serde_json::{Value, json};
    use std::io::{BufRead as _, BufReader};
    use std::process::{Child, Command, Stdio};
    use std::time::Duration;

    const BOTH: [&str; 2] = ["python", "node"];

    struct Model(Child, u16);

    impl Drop for Model {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// The model as a process of this machine; none where its interpreter is not there.
    async fn model(way: super::Model) -> Option<Model> {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let runs = way.runs(way.speaks, port);
        let child = Command::new(&runs[0]).args(&runs[1..]).stdout(Stdio::piped()).spawn().ok()?;
        let model = Model(child, port);
        let listens = || Command::new(&runs[0]).args(&way.runs(way.listens, port)[1..]).stderr(Stdio::null()).status().is_ok_and(|ended| ended.success());
        for _ in 0..600 {
            if listens() {
                return Some(model);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the model never listens");
    }

    async fn say(model: &Model, path: &str, body: &Value) -> (u16, String) {
        let ask = HttpAsk { method: "POST".into(), body: Some(Secret::new(body.to_string())), ..HttpAsk::get(path, "model", Duration::from_secs(20)) };
        let seen = request(([127, 0, 0, 1], model.1).into(), &ask).await.unwrap();
        (seen.status, seen.body.reveal().to_owned())
    }

    /// The lines that it has told, as a log has them.
    fn log(mut model: Model, lines: usize) -> String {
        let out = BufReader::new(model.0.stdout.take().unwrap());
        out.lines().take(lines).map(|line| line.unwrap() + "\n").collect()
    }

    const MESSAGE: &str = "Please add the task landfall-0123456789ab.";

    fn tools() -> Value {
        let schema = json!({ "type": "object", "required": ["user_id", "title", "note", "list"], "properties": {
            "user_id": { "type": "string" }, "title": { "type": "string" }, "note": { "anyOf": [{ "type": "string" }, { "type": "null" }] }, "list": { "enum": ["home", "work"] } } });
        json!([{ "type": "function", "function": { "name": "list_tasks", "parameters": {} } }, { "type": "function", "function": { "name": "add_task", "parameters": schema } }])
    }

    #[tokio::test]
    async fn the_model_calls_the_tool_that_adds_with_the_text_of_the_message() {
        for language in BOTH {
            let Some(model) = model(beside(language).unwrap()).await else { continue };
            let system = json!({ "role": "system", "content": "The current user's user_id is u-7. Be brief." });
            let user = json!({ "role": "user", "content": MESSAGE });
            let (status, first) = say(&model, "/v1/chat/completions", &json!({ "model": "any", "messages": [system, user], "tools": tools() })).await;
            let first: Value = serde_json::from_str(&first).unwrap();
            let call = &first["choices"][0]["message"]["tool_calls"][0]["function"];
            assert_eq!((status, call["name"].as_str()), (200, Some("add_task")), "{first}");
            let arguments: Value = serde_json::from_str(call["arguments"].as_str().unwrap()).unwrap();
            assert_eq!(arguments, json!({ "user_id": "u-7", "title": "landfall-0123456789ab", "note": null, "list": "home" }));
            let result = json!({ "role": "tool", "tool_call_id": "call_scripted", "content": "{\"id\": 1}" });
            let (_, second) = say(&model, "/v1/chat/completions", &json!({ "messages": [system, user, result], "tools": tools(), "stream": true })).await;
            assert!(second.contains("It is done") && second.trim_end().ends_with("data: [DONE]"), "{second}");
            let heard = heard(&log(model, 2));
            assert_eq!((heard.asked, heard.offered.as_slice()), (2, &["add_task".to_owned(), "list_tasks".to_owned()][..]));
            assert_eq!((heard.called, heard.result.as_deref()), (Some(("add_task".to_owned(), arguments)), Some("{\"id\": 1}")));
        }
    }

    #[tokio::test]
    async fn the_other_interface_is_answered_in_its_own_terms() {
        for language in BOTH {
            let Some(model) = model(beside(language).unwrap()).await else { continue };
            let tool =
                json!({ "type": "function", "name": "add_task", "parameters": { "required": ["title"], "properties": { "title": { "type": "string" } } } });
            let (_, first) = say(&model, "/v1/responses", &json!({ "input": MESSAGE, "tools": [tool] })).await;
            let first: Value = serde_json::from_str(&first).unwrap();
            assert_eq!(first["output"][0]["name"], "add_task", "{first}");
            let back = json!({ "type": "function_call_output", "call_id": "call_scripted", "output": "added" });
            let asked = json!({ "input": [{ "role": "user", "content": MESSAGE }, first["output"][0], back], "tools": [tool], "stream": true });
            let (_, second) = say(&model, "/v1/responses", &asked).await;
            assert!(second.contains("event: response.completed") && second.contains("It is done: added"), "{second}");
            assert_eq!(heard(&log(model, 2)).result.as_deref(), Some("added"));
        }
    }

    #[tokio::test]
    async fn what_it_is_not_offered_it_does_not_call() {
        for language in BOTH {
            let Some(model) = model(beside(language).unwrap()).await else { continue };
            let offered = json!([tools()[0]]);
            let (_, said) = say(&model, "/v1/chat/completions", &json!({ "messages": [{ "role": "user", "content": MESSAGE }], "tools": offered })).await;
            assert!(said.contains("no tool that adds"), "{said}");
            let (status, _) = say(&model, "/v1/embeddings", &json!({})).await;
            assert_eq!(status, 404);
            let heard = heard(&log(model, 2));
            assert_eq!((heard.called, heard.result), (None, None));
            assert_eq!(heard.strange.as_deref(), Some("it was asked at /v1/embeddings"));
        }
    }

    #[test]
    fn a_log_without_a_word_of_the_model_is_nothing_heard() {
        assert_eq!(heard("Traceback\n{\"other\": 1}\n").called, None);
        assert_eq!(heard("").asked, 0);
    }

    fn workload() -> Workload {
        let survey: crate::survey::Survey = serde_json::from_str(include_str!("../../tests/render/survey.json")).unwrap();
        let config = crate::config::Config::parse("schema = 1").unwrap();
        let blueprint = crate::blueprint::draw(&survey, &config, &crate::names::AppName::parse("todo").unwrap(), &crate::blueprint::Wishes::default());
        blueprint.unwrap().workload("api").unwrap().clone()
    }

    #[test]
    fn a_copy_has_the_same_program_and_another_model_and_is_led_to_by_no_service() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": "api-1", "labels": { "app.kubernetes.io/instance": "api", "app.kubernetes.io/part-of": "todo", "pod-template-hash": "x" },
                          "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-1", "uid": "u", "controller": true }] },
            "spec": { "nodeName": "dev", "serviceAccountName": "api", "initContainers": [{ "name": "migration" }],
                "containers": [{ "name": "api", "image": "localhost/todo/api:1", "envFrom": [{ "configMapRef": { "name": "api" } }], "livenessProbe": { "tcpSocket": { "port": 1 } },
                    "env": [{ "name": "OPENAI_API_KEY", "valueFrom": { "secretKeyRef": { "name": "s", "key": "k" } } }, { "name": "JWT_SECRET", "value": "x" }],
                    "volumeMounts": [{ "name": "writable-0", "mountPath": "/tmp" }, { "name": "kube-api-access-1", "mountPath": "/var/run" }] }],
                "volumes": [{ "name": "writable-0", "emptyDir": {} }, { "name": "kube-api-access-1", "projected": {} }] },
            "status": { "phase": "Running" },
        }))
        .unwrap();
        let copy = serde_json::to_value(copy_of(&pod, "api", "api-chat-1", &workload(), PYTHON).unwrap()).unwrap();
        let labels = json!({ "app.kubernetes.io/instance": "api", "app.kubernetes.io/part-of": "todo", "landfall.dev/probe": "chat" });
        assert_eq!(copy["metadata"]["labels"], labels, "policies select it, and no controller does");
        assert_eq!(copy["spec"]["readinessGates"], json!([{ "conditionType": "landfall.dev/never-ready" }]), "no Service leads to it");
        assert_eq!(copy["metadata"]["ownerReferences"][0].get("controller"), None);
        assert_eq!(copy["spec"]["containers"][1]["command"][0], "python3");
        let beside_node = serde_json::to_value(copy_of(&pod, "api", "api-chat-1", &workload(), NODE).unwrap()).unwrap();
        assert_eq!(beside_node["spec"]["containers"][1]["command"][0], "node");
        let (program, model) = (&copy["spec"]["containers"][0], &copy["spec"]["containers"][1]);
        assert_eq!((&program["image"], &model["image"]), (&json!("localhost/todo/api:1"), &json!("localhost/todo/api:1")));
        assert_eq!((program["envFrom"][0]["configMapRef"]["name"].as_str(), program.get("livenessProbe")), (Some("api"), None));
        let env = program["env"].as_array().unwrap();
        let named = |name: &str| env.iter().filter(|one| one["name"] == name).collect::<Vec<_>>();
        assert_eq!(named("OPENAI_API_KEY"), [&json!({ "name": "OPENAI_API_KEY", "value": "landfall-scripted-model" })], "the real key is not in it");
        assert_eq!(named("OPENAI_BASE_URL")[0]["value"], "http://127.0.0.1:11435/v1");
        assert_eq!(named("JWT_SECRET").len(), 1);
        assert_eq!(program["volumeMounts"].as_array().unwrap().len(), 1);
        assert_eq!((copy["spec"].get("nodeName"), copy["spec"].get("initContainers"), copy["spec"]["activeDeadlineSeconds"].as_i64()), (None, None, Some(300)));
        assert!(copy_of(&Pod::default(), "api", "x", &workload(), NODE).is_err());
    }
}
