//! kagent's controller in the proven cluster, over a forwarded port: its list of agents, and A2A to one whose tools only read.

use super::KEPT;
use crate::failure::Failure;
use crate::names::{AdvisorName, Namespace};
use crate::ports::{Advisor, AdvisorFacts, AdvisorRefusal, AdvisorRefusalCode, AdvisorSetting, Cluster, Forward, Observed, Proof};
use crate::secret::plain;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where kagent's chart puts its controller.
const NAMESPACE: &str = "kagent";
const SERVICE: &str = "kagent-controller";
const PORT: u16 = 8083;
/// How long one look at it may take.
const LOOK: Duration = Duration::from_secs(4);
/// First words of the names of tools that only look.
const LOOKS: &[&str] =
    &["get", "list", "describe", "check", "query", "search", "show", "read", "explain", "analyze", "version", "status", "logs", "events", "top", "ask"];
/// Words that say more than a look, wherever they stand.
const CHANGES: &[&str] = &["create", "apply", "delete", "patch", "update", "set", "exec", "execute", "run", "scale", "rollout", "restart", "install", "write"];
/// Families of tools, which stand before the word that says what a tool does.
const FAMILIES: &[&str] = &["k8s", "helm", "istio", "prometheus", "grafana", "argo", "cilium", "kubectl", "datetime"];

/// kagent.
#[derive(Clone)]
pub struct Kagent {
    cluster: Arc<dyn Cluster>,
}

impl std::fmt::Debug for Kagent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Kagent")
    }
}

impl Kagent {
    /// kagent as this cluster's API reaches it.
    pub fn new(cluster: Arc<dyn Cluster>) -> Self {
        Self { cluster }
    }

    async fn reach(&self, at: Option<&Proof>) -> Result<Forward, AdvisorRefusal> {
        let absent = |why: &str| AdvisorRefusal::new(AdvisorRefusalCode::Absent, why);
        let at = at.ok_or_else(|| absent("no proven cluster to look for kagent in"))?;
        let unreached = |failure: Failure| absent(&failure.to_string());
        let namespace = Namespace::parse(NAMESPACE).map_err(unreached)?;
        let observed = self.cluster.observe(at, &namespace).await.map_err(unreached)?;
        let (pod, port) = controller(&observed).ok_or_else(|| absent("namespace kagent has no Service kagent-controller with a ready pod"))?;
        self.cluster.forward(at, &namespace, &pod, port).await.map_err(unreached)
    }
}

#[async_trait::async_trait]
impl Advisor for Kagent {
    fn name(&self) -> AdvisorName {
        AdvisorName::Kagent
    }

    async fn detect(&self, at: Option<&Proof>, setting: &AdvisorSetting) -> Result<AdvisorFacts, AdvisorRefusal> {
        let forward = self.reach(at).await?;
        agent(forward.local, setting).await
    }

    async fn consult(&self, at: Option<&Proof>, setting: &AdvisorSetting, prompt: &str, deadline: Duration) -> Result<String, AdvisorRefusal> {
        let forward = self.reach(at).await?;
        agent(forward.local, setting).await?;
        ask(forward.local, setting, prompt, deadline).await
    }
}

/// A ready pod behind the controller's Service, and the port it listens on.
fn controller(observed: &Observed) -> Option<(String, u16)> {
    let service = observed.services.iter().find(|service| service.metadata.name.as_deref() == Some(SERVICE))?;
    let spec = service.spec.as_ref()?;
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    let port = spec.ports.as_ref()?.iter().find(|port| port.port == i32::from(PORT)).map(|_| PORT)?;
    let ready = |pod: &&k8s_openapi::api::core::v1::Pod| {
        let labels = pod.metadata.labels.as_ref();
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        selector.iter().all(|(name, value)| labels.is_some_and(|labels| labels.get(name) == Some(value)))
            && conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
    };
    Some((observed.pods.iter().find(ready)?.metadata.name.clone()?, port))
}

/// `namespace/name` of the agent that the user named.
fn named(setting: &AdvisorSetting) -> Result<(&str, &str), AdvisorRefusal> {
    let plain = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
    let pair = setting.agent.as_deref().and_then(|agent| agent.split_once('/')).filter(|(namespace, name)| plain(namespace) && plain(name));
    pair.ok_or_else(|| AdvisorRefusal::new(AdvisorRefusalCode::Unconfigured, "advisors.toml names no agent for kagent (agent = \"kagent/NAME\")"))
}

/// Whether the named agent is there, is ready and can only look.
async fn agent(address: SocketAddr, setting: &AdvisorSetting) -> Result<AdvisorFacts, AdvisorRefusal> {
    let lacks = |why: &str| AdvisorRefusal::new(AdvisorRefusalCode::Unconfigured, why);
    let (namespace, name) = named(setting)?;
    let listed = exchange(address, reqwest::Method::GET, "/api/agents", None, LOOK).await?;
    let agents = listed.get("data").and_then(Value::as_array).ok_or_else(|| unreadable("its list of agents is not understood"))?;
    let is = |agent: &&Value| {
        let at = |part: &str| agent.pointer(&format!("/agent/metadata/{part}")).and_then(Value::as_str);
        (at("namespace"), at("name")) == (Some(namespace), Some(name))
    };
    let agent = agents.iter().find(is).ok_or_else(|| lacks(&format!("kagent has no agent {namespace}/{name}")))?;
    if agent.get("deploymentReady") == Some(&Value::Bool(false)) {
        return Err(lacks(&format!("the agent {namespace}/{name} is not ready")));
    }
    if let Some(why) = acts(agent) {
        return Err(lacks(&format!("the agent {namespace}/{name} can do more than look: {why}; name one whose tools only read")));
    }
    let model = [agent.get("model"), agent.get("modelProvider")].into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(" of ");
    Ok(AdvisorFacts { version: "A2A".to_owned(), sends_to: format!("the agent {namespace}/{name} in the cluster, and its model {}", plain(&model, 80)) })
}

/// The first of an agent's tools that is not known to look only; none where all are, or need an approval of their own.
fn acts(agent: &Value) -> Option<String> {
    let own = agent.get("tools").or_else(|| agent.pointer("/agent/spec/declarative/tools")).and_then(Value::as_array);
    let Some(tools) = own else {
        // An agent that somebody brought as an image lists no tools: nobody knows what it does.
        return agent.pointer("/agent/spec/declarative").is_none().then(|| "its tools are not listed".to_owned());
    };
    tools.iter().find_map(|tool| {
        let server = tool.get("mcpServer").or_else(|| tool.get("McpServer"));
        let Some(server) = server else { return Some("it calls another agent".to_owned()) };
        let names = |key: &str| server.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>();
        let (all, held) = (names("toolNames"), names("requireApproval"));
        if all.is_empty() {
            return Some("it has every tool of a server".to_owned());
        }
        all.into_iter().find(|name| !held.contains(name) && !looks(name)).map(|name| plain(name, 80))
    })
}

/// True where a tool's name says that it only looks.
fn looks(name: &str) -> bool {
    let lower = name.to_lowercase();
    let words: Vec<_> = lower.split(['_', '-', '.']).filter(|word| !FAMILIES.contains(word)).collect();
    words.first().is_some_and(|word| LOOKS.contains(word)) && !words.iter().any(|word| CHANGES.contains(word)) && !lower.contains("secret")
}

/// One message, and the text of the task or message that answers it.
async fn ask(address: SocketAddr, setting: &AdvisorSetting, prompt: &str, deadline: Duration) -> Result<String, AdvisorRefusal> {
    let (namespace, name) = named(setting)?;
    let id = crate::secret::noise::<16>().map_err(|failure| unreadable(&failure.to_string()))?;
    let message = json!({ "kind": "message", "role": "user", "messageId": id, "parts": [{ "kind": "text", "text": prompt }] });
    let body = json!({ "jsonrpc": "2.0", "id": id, "method": "message/send", "params": { "message": message } });
    let until = Instant::now() + deadline;
    let path = format!("/api/a2a/{namespace}/{name}/");
    let mut answer = exchange(address, reqwest::Method::POST, &path, Some(&body), deadline).await?;
    loop {
        let result = result(&answer)?;
        let state = result.pointer("/status/state").and_then(Value::as_str);
        match state {
            None | Some("completed") => return text_of(result).ok_or_else(|| unreadable("the agent answered without a text")),
            Some("input-required" | "auth-required") => {
                let mut refusal = AdvisorRefusal::new(AdvisorRefusalCode::WantsToAct, "the agent waits for an approval or a value; nobody gave one");
                refusal.commands = texts(result.pointer("/status/message")).into_iter().map(|text| plain(&text, 200)).collect();
                return Err(refusal);
            }
            Some("submitted" | "working") => {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(AdvisorRefusal::new(AdvisorRefusalCode::TimedOut, &format!("the agent still works after {} s", deadline.as_secs())));
                }
                tokio::time::sleep(Duration::from_millis(500).min(left)).await;
                let task = result.get("id").and_then(Value::as_str).ok_or_else(|| unreadable("the agent's task has no id"))?.to_owned();
                let body = json!({ "jsonrpc": "2.0", "id": id, "method": "tasks/get", "params": { "id": task } });
                answer = exchange(address, reqwest::Method::POST, &path, Some(&body), left.max(Duration::from_secs(1))).await?;
            }
            Some(other) => return Err(unreadable(&format!("the agent's task is {other}: {}", texts(result.pointer("/status/message")).join(" ")))),
        }
    }
}

fn result(answer: &Value) -> Result<&Value, AdvisorRefusal> {
    if let Some(error) = answer.get("error") {
        let told = error.get("message").and_then(Value::as_str).unwrap_or("without a message");
        return Err(unreadable(&format!("the agent answered an error: {told}")));
    }
    answer.get("result").ok_or_else(|| unreadable("the agent's answer is not JSON-RPC"))
}

/// What a completed task or a message says: its artifacts, else its last words.
fn text_of(result: &Value) -> Option<String> {
    let artifacts: Vec<String> = result.get("artifacts").and_then(Value::as_array).into_iter().flatten().flat_map(|artifact| texts(Some(artifact))).collect();
    let own = || texts(Some(result));
    let last = || texts(result.pointer("/status/message"));
    [artifacts, own(), last()].into_iter().find(|texts| !texts.is_empty()).map(|texts| texts.join("\n"))
}

fn texts(holder: Option<&Value>) -> Vec<String> {
    let parts = holder.and_then(|holder| holder.get("parts")).and_then(Value::as_array);
    parts.into_iter().flatten().filter_map(|part| part.get("text").and_then(Value::as_str)).map(str::to_owned).collect()
}

fn unreadable(why: &str) -> AdvisorRefusal {
    AdvisorRefusal::new(AdvisorRefusalCode::Unreadable, why)
}

/// One exchange with the controller; at most 1 MiB is read.
async fn exchange(address: SocketAddr, method: reqwest::Method, path: &str, body: Option<&Value>, limit: Duration) -> Result<Value, AdvisorRefusal> {
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().map_err(|error| unreadable(&error.to_string()))?;
    let mut request = client.request(method, format!("http://{address}{path}")).header("accept", "application/json").timeout(limit);
    if let Some(body) = body {
        request = request.header("content-type", "application/json").body(body.to_string());
    }
    let failed = |error: reqwest::Error| match error.is_timeout() {
        true => AdvisorRefusal::new(AdvisorRefusalCode::TimedOut, &format!("no answer of {path} within {} s", limit.as_secs())),
        false => AdvisorRefusal::new(AdvisorRefusalCode::Absent, &format!("{path}: {error}")),
    };
    let mut answer = request.send().await.map_err(failed)?;
    let status = answer.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > KEPT {
            return Err(unreadable(&format!("the answer of {path} is longer than 1 MiB")));
        }
    }
    if !status.is_success() {
        return Err(unreadable(&format!("{path} answered {status}: {}", plain(&String::from_utf8_lossy(&bytes), 160))));
    }
    serde_json::from_slice(&bytes).map_err(|_| unreadable(&format!("{path} answered something that is no JSON")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A controller: `/api/agents` answers this list, and each A2A message the next of these answers; the last one stays.
    async fn controller_with(tools: Value, answers: Vec<Value>) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut answers = answers.into_iter().collect::<std::collections::VecDeque<_>>();
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = Vec::new();
                let mut chunk = [0; 4096];
                let whole = |bytes: &[u8]| {
                    let text = String::from_utf8_lossy(bytes).into_owned();
                    let (head, body) = text.split_once("\r\n\r\n")?;
                    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length:").map(|n| n.trim().parse::<usize>().unwrap()));
                    (body.len() >= length.unwrap_or(0)).then(|| (head.to_owned(), body.to_owned()))
                };
                let (head, body) = loop {
                    let count = stream.read(&mut chunk).await.unwrap();
                    bytes.extend_from_slice(&chunk[..count]);
                    if let Some(done) = whole(&bytes) {
                        break done;
                    }
                };
                let agents = json!({ "error": false, "message": "Successfully listed agents", "data": [
                    { "id": "kagent__NS__reader", "agent": { "metadata": { "namespace": "kagent", "name": "reader" }, "spec": { "type": "Declarative", "declarative": {} } },
                      "modelProvider": "Ollama", "model": "small", "tools": tools, "deploymentReady": true } ] });
                let answer = if head.starts_with("GET /api/agents ") {
                    agents
                } else {
                    assert!(head.starts_with("POST /api/a2a/kagent/reader/ "), "{head}");
                    let asked: Value = serde_json::from_str(&body).unwrap();
                    assert_eq!(asked["jsonrpc"], "2.0");
                    match asked["method"].as_str().unwrap() {
                        "message/send" => assert_eq!(asked["params"]["message"]["parts"][0], json!({ "kind": "text", "text": "why?" })),
                        "tasks/get" => assert_eq!(asked["params"]["id"], "t1"),
                        other => panic!("{other}"),
                    }
                    let next = if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() };
                    if next == "silence" {
                        std::mem::forget(stream);
                        continue;
                    }
                    let key = if next.get("code").is_some() { "error" } else { "result" };
                    json!({ "jsonrpc": "2.0", "id": asked["id"], key: next })
                };
                let text = answer.to_string();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
                let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
            }
        });
        address
    }

    fn setting() -> AdvisorSetting {
        AdvisorSetting { agent: Some("kagent/reader".into()), ..AdvisorSetting::default() }
    }

    fn reading() -> Value {
        json!([{ "type": "McpServer", "mcpServer": { "name": "tools", "kind": "RemoteMCPServer", "toolNames": ["k8s_get_resources", "k8s_describe_resource", "k8s_apply_manifest"], "requireApproval": ["k8s_apply_manifest"] } }])
    }

    fn task(state: &str, text: &str) -> Value {
        let parts = json!([{ "kind": "text", "text": text }]);
        let message = json!({ "kind": "message", "role": "agent", "messageId": "m", "parts": parts });
        let artifacts = if state == "completed" { json!([{ "artifactId": "a", "parts": parts }]) } else { json!([]) };
        json!({ "kind": "task", "id": "t1", "contextId": "c1", "status": { "state": state, "message": message }, "artifacts": artifacts })
    }

    async fn answer(answers: Vec<Value>, limit: Duration) -> Result<String, AdvisorRefusal> {
        let address = controller_with(reading(), answers).await;
        ask(address, &setting(), "why?", limit).await
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_task_or_a_message_answers() {
        assert_eq!(answer(vec![task("completed", "The image is missing.")], LONG).await.unwrap(), "The image is missing.");
        let message =
            json!({ "kind": "message", "role": "agent", "messageId": "m", "parts": [{ "kind": "text", "text": "One." }, { "kind": "text", "text": "Two." }] });
        assert_eq!(answer(vec![message], LONG).await.unwrap(), "One.\nTwo.");
        let working = vec![task("submitted", ""), task("working", ""), task("completed", "At last.")];
        assert_eq!(answer(working, LONG).await.unwrap(), "At last.");
    }

    #[tokio::test]
    async fn what_is_no_answer_says_why() {
        let check = async |answers: Vec<Value>, limit: Duration, code: AdvisorRefusalCode, expect: &str| {
            let refusal = answer(answers, limit).await.unwrap_err();
            assert_eq!(refusal.code, code, "{refusal:?}");
            assert!(refusal.why.contains(expect) || refusal.commands.iter().any(|command| command.contains(expect)), "{refusal:?}");
        };
        check(vec![task("input-required", "k8s_apply_manifest: may I?")], LONG, AdvisorRefusalCode::WantsToAct, "may I?").await;
        check(vec![task("failed", "no model")], LONG, AdvisorRefusalCode::Unreadable, "no model").await;
        check(vec![json!({ "code": -32603, "message": "Internal error" })], LONG, AdvisorRefusalCode::Unreadable, "Internal error").await;
        check(
            vec![
                task("completed", "x")
                    .as_object()
                    .map(|task| {
                        let mut task = task.clone();
                        task.remove("artifacts");
                        task.remove("status");
                        Value::Object(task)
                    })
                    .unwrap(),
            ],
            LONG,
            AdvisorRefusalCode::Unreadable,
            "without a text",
        )
        .await;
        check(vec![task("completed", &"x".repeat(KEPT))], LONG, AdvisorRefusalCode::Unreadable, "1 MiB").await;
        check(vec![json!("silence")], Duration::from_secs(1), AdvisorRefusalCode::TimedOut, "within 1 s").await;
        check(vec![task("working", "")], Duration::from_secs(1), AdvisorRefusalCode::TimedOut, "").await;
    }

    #[tokio::test]
    async fn only_an_agent_that_can_merely_look_is_asked() {
        let check = async |tools: Value, name: &str, expect: Option<&str>| {
            let setting = AdvisorSetting { agent: Some(name.into()), ..AdvisorSetting::default() };
            let seen = agent(controller_with(tools.clone(), vec![json!({})]).await, &setting).await;
            match (seen, expect) {
                (Ok(facts), None) => assert!(facts.sends_to.contains("small of Ollama"), "{facts:?}"),
                (Err(refusal), Some(expect)) => {
                    assert_eq!(refusal.code, AdvisorRefusalCode::Unconfigured);
                    assert!(refusal.why.contains(expect), "{refusal:?}");
                }
                (seen, _) => panic!("{tools}: {seen:?}"),
            }
        };
        let with = |name: &str| json!([{ "type": "McpServer", "mcpServer": { "toolNames": ["k8s_get_resources", name] } }]);
        check(reading(), "kagent/reader", None).await;
        check(json!([]), "kagent/reader", None).await;
        check(with("k8s_get_pod_logs"), "kagent/reader", None).await;
        check(with("k8s_delete_resource"), "kagent/reader", Some("k8s_delete_resource")).await;
        check(with("helm_uninstall"), "kagent/reader", Some("helm_uninstall")).await;
        check(with("k8s_get_secrets"), "kagent/reader", Some("k8s_get_secrets")).await;
        check(with("get_or_create_namespace"), "kagent/reader", Some("get_or_create_namespace")).await;
        check(json!([{ "type": "McpServer", "mcpServer": { "toolNames": [] } }]), "kagent/reader", Some("every tool")).await;
        check(json!([{ "type": "Agent", "agent": { "name": "other" } }]), "kagent/reader", Some("another agent")).await;
        check(reading(), "kagent/other", Some("no agent kagent/other")).await;
        check(reading(), "reader", Some("names no agent")).await;
    }

    #[test]
    fn the_controller_is_found_by_its_service() {
        let pod = |ready: &str| {
            serde_json::from_value(json!({ "metadata": { "name": "kagent-controller-1", "labels": { "app": "controller" } }, "status": { "conditions": [{ "type": "Ready", "status": ready }] } })).unwrap()
        };
        let service = |name: &str| {
            serde_json::from_value(json!({ "metadata": { "name": name }, "spec": { "selector": { "app": "controller" }, "ports": [{ "port": 8083 }] } }))
                .unwrap()
        };
        let seen = |name: &str, ready: &str| controller(&Observed { services: vec![service(name)], pods: vec![pod(ready)], ..Observed::default() });
        assert_eq!(seen("kagent-controller", "True"), Some(("kagent-controller-1".to_owned(), 8083)));
        assert_eq!(seen("kagent-controller", "False"), None);
        assert_eq!(seen("kagent-ui", "True"), None);
    }
}
