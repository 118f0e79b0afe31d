//! The chatbot's own way, proven: a message leads to a tool call that changes what the application keeps. What runs is not touched: a copy of its pod is asked, whose model follows a script.

use super::openapi;
use super::smoke::follow;
use super::validate::{Forwarded, Look};
use crate::blueprint::Workload;
use crate::config::{ChatModel, Smoke, Step};
use crate::engine::{Effect, Run};
use crate::evidence::{Check, Evidence, Outcome, Source};
use crate::failure::{Code, Failure};
use crate::journal::{StageName, Undo};
use crate::ports::{LogRequest, Observed};
use crate::probe::model::{self, Heard, heard};
use crate::probe::{HttpAsk, http_through_forward};
use crate::survey::Kind;
use k8s_openapi::api::core::v1::{Pod, Service};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the copy may take to be ready.
const READY: Duration = Duration::from_secs(120);
/// How long one request may take: an answer of a chatbot is several of a model.
const ANSWER: Duration = Duration::from_secs(60);
/// How long a description of the service's own routes may take.
const DESCRIBED: Duration = Duration::from_secs(2);

/// The file of an operation that holds the requests to which a person agreed.
pub const FILE: &str = "chat.json";

/// What the proof came to.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    pub checks: Vec<Check>,
    /// The tools that the model was offered; none where it was not the scripted one.
    pub offered: Option<Vec<String>>,
}

impl From<Check> for Proven {
    fn from(check: Check) -> Self {
        Self { checks: vec![check], offered: None }
    }
}

/// What a person agrees to: what is started, what is sent, and what stays.
pub fn beforehand(smoke: &Smoke) -> Vec<String> {
    let service = &smoke.service;
    let mut lines = vec![match smoke.chat {
        Some(ChatModel::Own) => format!("send a message to {service}, which asks its own language model"),
        Some(ChatModel::Scripted) | None => format!(
            "start a copy of {service} beside it, with the same environment and database but a scripted language model; no Service leads to it, and it is deleted again, after five minutes at the latest"
        ),
    }];
    lines.push(format!("send to it, in order: {}", smoke.requests().iter().map(Step::line).collect::<Vec<_>>().join(", ")));
    let taken = smoke.requests().iter().any(|step| step.delete.is_some());
    lines.push(if taken { "the row is deleted again; an account and a conversation stay".to_owned() } else { "what it adds stays".to_owned() });
    lines
}

impl Look<'_> {
    /// The requests that carry a chat message: landfall.toml's, else made of what a service says of its own routes.
    pub async fn chat_test(&self) -> Result<Smoke, Failure> {
        if let Some(smoke) = self.config.smoke.iter().find(|smoke| smoke.chat.is_some()) {
            return Ok(smoke.clone());
        }
        let mut seen = Vec::new();
        for workload in &self.blueprint.workloads {
            let Some(document) = self.described(workload).await else { continue };
            match openapi::propose(&workload.name, &document).chat {
                Some(smoke) => return Ok(smoke),
                None => seen.push(workload.name.to_string()),
            }
        }
        let help = "write the requests into landfall.toml: a [[smoke]] with chat = \"scripted\", whose steps end with a GET that contains = \"{unique}\"";
        let why = match seen.is_empty() {
            true => "no service of this app describes its routes, so how to send its chatbot a message is not known".to_owned(),
            false => format!("the description of {} has no chat route whose effect a listed route shows", seen.join(" and ")),
        };
        Err(Failure::new(Code::NotSupported, why).help(help))
    }

    /// The OpenAPI document of a service that is known to serve one.
    pub(super) async fn described(&self, workload: &Workload) -> Option<String> {
        let (path, port) = (openapi::served_at(workload.service()?)?, workload.port?);
        let (pod, _) = self.pod_of(workload.name.as_str())?;
        let ask = HttpAsk::get(path, workload.name.as_str(), DESCRIBED);
        let seen = http_through_forward(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, &pod, port, &ask).await.ok()?;
        (seen.status == 200).then(|| seen.body.reveal().to_owned())
    }

    /// Sends the message and looks for what it changed. `listed`: the tools of the app's MCP server, where that is known.
    pub async fn chat(&self, run: &Run, smoke: &Smoke, listed: &[String]) -> Result<Proven, Failure> {
        let probed = probed(smoke);
        let not_run = |why: &str| Ok(Check::not_run("validation.mcp_chat", probed.clone(), why).into());
        let Some(workload) = self.blueprint.workload(smoke.service.as_str()) else { return not_run("there is no such service") };
        let Some((pod, container)) = self.pod_of(workload.name.as_str()) else { return not_run("it has no ready pod") };
        let Some(port) = workload.port else { return not_run("it offers no port") };
        if smoke.chat == Some(ChatModel::Own) {
            let told = follow(smoke, workload.name.as_str(), ANSWER, &Forwarded { look: self, pod: &pod, port }).await;
            return Ok(told_again(&probed, &told).into());
        }
        let Some(beside) = workload.service().filter(|service| service.kind != Kind::Static).and_then(|service| model::beside(&service.language)) else {
            return not_run("the scripted model runs in images with Python or Node; in landfall.toml, chat = \"own\" asks the service's own model");
        };
        if workload.storage.is_some() {
            return not_run("it keeps its data in its own files, which a second one must not write");
        }
        let namespace = &self.blueprint.namespace;
        let name = format!("{}-chat-{}", workload.name, run.id.as_str().rsplit('-').next().unwrap_or_default());
        let original = self.observed.pods.iter().find(|one| one.metadata.name.as_deref() == Some(pod.as_str()));
        let copy = model::copy_of(original.ok_or_else(|| Failure::internal("a pod that was just seen"))?, &container, &name, workload, beside)?;
        if let Some(service) = self.observed.services.iter().find(|service| leads_to_unready(service, &copy)) {
            let name = service.metadata.name.as_deref().unwrap_or_default();
            return not_run(&format!("the Service {name} leads to pods that are not ready, and would lead to a copy as well"));
        }
        let effect = Effect {
            key: format!("pod/{name}"),
            text: format!("start {name}, a copy of {} with a scripted model", workload.name),
            undo: Undo::Pod { namespace: namespace.clone(), name: name.clone() },
            before: serde_json::Value::Null,
        };
        let started = run.effect(StageName::Validate, workload.name.as_str(), effect, async {
            self.world.cluster.start_pod(self.at, namespace, &copy).await?;
            Ok(true)
        });
        let asked = match started.await {
            Ok(_) => run.unless_cancelled(self.ask_copy(smoke, workload, &name, port, &probed, listed)).await,
            Err(failure) if matches!(failure.code, Code::Cancelled | Code::Deadline) => Err(failure),
            Err(failure) => not_run(&failure.to_string()),
        };
        let left = run.unwind(Some(self.at), |effect| matches!(effect.undo, Undo::Pod { .. })).await?;
        match left.first() {
            Some(left) => Err(Failure::new(Code::ClusterRefused, format!("the copy that was started for a proof could not be deleted: {left}"))),
            None => asked,
        }
    }

    async fn ask_copy(&self, smoke: &Smoke, workload: &Workload, name: &str, port: u16, probed: &str, listed: &[String]) -> Result<Proven, Failure> {
        if let Err(why) = self.until_ready(name).await? {
            return Ok(Check::not_run("validation.mcp_chat", probed, why).into());
        }
        let told = follow(smoke, workload.name.as_str(), ANSWER, &Forwarded { look: self, pod: name, port }).await;
        let request = LogRequest { pod: name.to_owned(), container: model::CONTAINER.to_owned(), previous: false, lines: 200, since_seconds: None };
        let log = self.world.cluster.logs(self.at, &self.blueprint.namespace, &request).await?;
        let heard = heard(&log);
        let at = format!("Pod/{name}, a copy of {}", workload.name);
        let mut checks = vec![judge(probed, &told, &heard, &at)];
        if heard.asked > 0 && !listed.is_empty() {
            checks.push(all_offered(&heard, listed, &at));
        }
        Ok(Proven { checks, offered: (heard.asked > 0).then_some(heard.offered) })
    }

    /// Waits until every container of the pod is ready, which the pod itself never is; the inner error says why it will not be, or what was seen last.
    async fn until_ready(&self, name: &str) -> Result<Result<(), String>, Failure> {
        let mut seen = self.world.cluster.watch(self.at, &self.blueprint.namespace).await?;
        let ready = async {
            loop {
                let state = state_of(&seen.borrow_and_update(), name);
                match state {
                    State::Ready => return Ok(()),
                    State::Ended(why) => return Err(why),
                    State::Waiting => {}
                }
                if seen.changed().await.is_err() {
                    return Err("the API server stopped telling".to_owned());
                }
            }
        };
        Ok(tokio::time::timeout(READY, ready).await.unwrap_or_else(|_| Err(format!("the copy was not ready within {} s", READY.as_secs()))))
    }
}

/// True for a Service that selects this pod, ready or not.
fn leads_to_unready(service: &Service, pod: &Pod) -> bool {
    let Some(spec) = service.spec.as_ref().filter(|spec| spec.publish_not_ready_addresses == Some(true)) else { return false };
    let label = |key: &String| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    spec.selector.as_ref().is_some_and(|selector| !selector.is_empty() && selector.iter().all(|(key, value)| label(key) == Some(value)))
}

enum State {
    Ready,
    Ended(String),
    Waiting,
}

fn state_of(observed: &Observed, name: &str) -> State {
    let pod = observed.pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name));
    let Some(status) = pod.and_then(|pod| pod.status.as_ref()) else { return State::Waiting };
    let ended = status.container_statuses.iter().flatten().find_map(|one| Some((&one.name, one.state.as_ref()?.terminated.as_ref()?.exit_code)));
    if let Some((container, code)) = ended {
        return State::Ended(format!("the copy's container {container} ended with exit code {code}"));
    }
    match status.conditions.iter().flatten().any(|condition| condition.type_ == "ContainersReady" && condition.status == "True") {
        true => State::Ready,
        false => State::Waiting,
    }
}

fn probed(smoke: &Smoke) -> String {
    let whose = if smoke.chat == Some(ChatModel::Own) { "its own" } else { "a scripted" };
    format!("a message to the chatbot of {} leads to a tool call and a changed row, with {whose} model", smoke.service)
}

/// What the requests showed, as the proof of the chatbot's way.
fn told_again(probed: &str, told: &Check) -> Check {
    match (told.outcome, told.evidence.first()) {
        (Outcome::Pass, Some(seen)) => Check::pass("validation.mcp_chat", probed, seen.clone()),
        (Outcome::Fail, _) => Check::fail("validation.mcp_chat", probed, told.reason.clone(), told.evidence.clone()),
        (Outcome::Pass, None) | (Outcome::NotRun, _) => Check::not_run("validation.mcp_chat", probed, told.reason.clone()),
    }
}

/// The row alone is not enough: the tool must have been called by the model, and its answer must have come back.
fn judge(probed: &str, told: &Check, heard: &Heard, at: &str) -> Check {
    let fail = |why: String| {
        let words = Evidence::new(Source::Log, at, &words(heard));
        Check::fail("validation.mcp_chat", probed, why, told.evidence.iter().cloned().chain([words]).collect())
    };
    match (told.outcome, &heard.called, &heard.result) {
        (Outcome::NotRun, _, _) => Check::not_run("validation.mcp_chat", probed, told.reason.clone()),
        (Outcome::Fail, _, _) if heard.asked == 0 => fail(format!("{}; the model was never asked", told.reason)),
        (Outcome::Fail, _, _) => fail(told.reason.clone()),
        (Outcome::Pass, None, _) => fail(match heard.asked {
            0 => "the requests were answered as expected, and no model was asked".to_owned(),
            _ => "the model was offered no tool that adds something".to_owned(),
        }),
        (Outcome::Pass, Some(_), None) => fail("the tool's answer never came back to the model".to_owned()),
        (Outcome::Pass, Some(_), Some(_)) => {
            let seen = Check::pass("validation.mcp_chat", probed, Evidence::new(Source::Log, at, &words(heard)));
            told.evidence.iter().cloned().fold(seen, Check::with)
        }
    }
}

/// What the model heard and did, in one line.
fn words(heard: &Heard) -> String {
    let mut words = vec![format!("the scripted model was asked {} times and offered {}", heard.asked, listing(&heard.offered))];
    words.extend(heard.called.as_ref().map(|(name, arguments)| format!("called {name} {arguments}")));
    words.extend(heard.result.as_ref().map(|result| format!("the tool answered {result}")));
    words.extend(heard.strange.clone());
    crate::secret::plain(&words.join("; "), 400)
}

fn listing(names: &[String]) -> String {
    if names.is_empty() { "no tool".to_owned() } else { names.join(", ") }
}

/// What the MCP server lists, the chatbot is given. Not required: a chatbot may be given less on purpose.
fn all_offered(heard: &Heard, listed: &[String], at: &str) -> Check {
    let offered: BTreeSet<_> = heard.offered.iter().collect();
    let missing: Vec<_> = listed.iter().filter(|name| !offered.contains(name)).cloned().collect();
    let probed = "the tools that the chatbot gives its model against the server's tools/list";
    let seen = Evidence::new(Source::Log, at, &listing(&heard.offered));
    match missing.is_empty() {
        true => Check::pass("validation.mcp_offered", probed, seen),
        false => Check::fail("validation.mcp_offered", probed, format!("not given to the model: {}", missing.join(", ")), vec![seen]),
    }
    .optional()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn a_service_leads_to_what_is_not_ready_only_where_it_says_so() {
        let pod: Pod = serde_json::from_value(json!({ "metadata": { "labels": { "app": "api", "tier": "back" } } })).unwrap();
        let check = |spec: Value, expect: bool| {
            let service: Service = serde_json::from_value(json!({ "metadata": { "name": "api" }, "spec": spec })).unwrap();
            assert_eq!(leads_to_unready(&service, &pod), expect, "{service:?}");
        };
        check(json!({ "selector": { "app": "api" }, "publishNotReadyAddresses": true }), true);
        check(json!({ "selector": { "app": "api" } }), false);
        check(json!({ "selector": { "app": "web" }, "publishNotReadyAddresses": true }), false);
        check(json!({ "publishNotReadyAddresses": true }), false);
    }
}
