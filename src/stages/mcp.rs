//! What is proven of an MCP server, however it is spoken to: the tools that it lists, what they answer, and a write that is taken back.

use super::roundtrip;
use super::validate::{Look, unanswered};
use crate::blueprint::{Blueprint, Workload};
use crate::evidence::{Check, Evidence, Source};
use crate::failure::Failure;
use crate::ports::{McpPeer, PeerAnswer, PeerFacts};
use crate::probe;
use crate::reply::{ServerView, ToolView};
use crate::survey::SpecTool;
use async_trait::async_trait;
use serde_json::{Map, Value};
use std::net::SocketAddr;
use std::time::Duration;

/// How long one answer of a server over HTTP may take.
const ANSWER: Duration = Duration::from_secs(15);
const CALLED: &str = "tools/call of the tools that may be called";

/// A tool and its arguments.
pub(super) type Call = (String, Map<String, Value>);

/// Which MCP tools may be called, with arguments; and which are expected.
#[derive(Clone, Debug, Default)]
pub struct Calls {
    pub path: Option<String>,
    /// tool → arguments; empty: every tool annotated read-only, with arguments made from its schema.
    pub calls: Vec<(String, Map<String, Value>)>,
    /// Tools that are not annotated read-only may be called as well: somebody approved exactly these calls.
    pub writing: bool,
    /// The tools that the specs name.
    pub specified: Vec<SpecTool>,
}

/// What was found of one server.
#[derive(Clone, Debug, Default)]
pub struct Met {
    pub checks: Vec<Check>,
    pub server: Option<ServerView>,
    pub tools: Vec<ToolView>,
}

impl From<Check> for Met {
    fn from(check: Check) -> Self {
        Self { checks: vec![check], ..Self::default() }
    }
}

/// A server as its tools are called.
#[async_trait]
pub(super) trait Line: Sync {
    /// One answer for each call, in their order; the outer error says why nobody could be asked.
    async fn visit(&self, calls: &[Call]) -> Result<Vec<Result<PeerAnswer, Failure>>, String>;
    /// False where every visit meets a new process, which knows nothing of what an earlier one kept in memory.
    fn remembers(&self) -> bool;
    /// What is spoken to, as evidence names it.
    fn place(&self) -> &str;
}

/// A server over HTTP, through a forwarded port.
pub(super) struct Http<'a> {
    pub(super) peer: &'a dyn McpPeer,
    pub(super) local: SocketAddr,
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) place: String,
}

#[async_trait]
impl Line for Http<'_> {
    async fn visit(&self, calls: &[Call]) -> Result<Vec<Result<PeerAnswer, Failure>>, String> {
        let mut answers = Vec::new();
        for (tool, arguments) in calls {
            answers.push(self.peer.call(self.local, self.host, self.path, tool, arguments.clone(), ANSWER).await);
        }
        Ok(answers)
    }

    fn remembers(&self) -> bool {
        true
    }

    fn place(&self) -> &str {
        &self.place
    }
}

impl Look<'_> {
    /// Handshake, tools/list and tool calls with the Host header that the caller uses; then the handshake from inside the caller.
    pub async fn mcp(&self, workload: &Workload, pod: &str, from: Option<&str>, calls: &Calls) -> Met {
        let Some(port) = workload.port else {
            return Check::not_run("validation.mcp_handshake", "MCP over HTTP", "the server offers no port").into();
        };
        let host = format!("{}:{port}", workload.name);
        let path = calls.path.clone().or_else(|| workload.mcp.as_ref().and_then(|mcp| mcp.path.clone()));
        let forward = match self.world.cluster.forward(self.at, &self.blueprint.namespace, pod, port).await {
            Ok(forward) => forward,
            Err(failure) => return unanswered("validation.mcp_handshake", "MCP over HTTP".to_owned(), pod, &failure).into(),
        };
        let probed = format!("initialize and tools/list with Host {host}");
        let facts = match self.world.mcp.meet(forward.local, &host, path.as_deref(), ANSWER).await {
            Ok(facts) => facts,
            Err(failure) => {
                let seen = Evidence::new(Source::Probe, format!("http://{host}{}", path.as_deref().unwrap_or("/mcp")), &failure.to_string());
                return Check::fail("validation.mcp_handshake", probed, failure.message, vec![seen]).into();
            }
        };
        let place = format!("http://{host}{}", facts.path);
        let line = Http { peer: self.world.mcp.as_ref(), local: forward.local, host: &host, path: &facts.path, place };
        let mut met = met(&line, probed, self.blueprint, workload, &facts, calls).await;
        met.checks.extend(self.mcp_from_caller(workload, from, port, &facts.path).await);
        met.tools.iter_mut().for_each(|tool| tool.in_chatbot = !workload.callers.is_empty());
        met.server = Some(ServerView { name: facts.name, version: facts.version, protocol: facts.protocol, path: facts.path, host_header: host });
        met
    }
}

/// Everything that is asked of a server after its handshake.
pub(super) async fn met(line: &dyn Line, probed: String, blueprint: &Blueprint, workload: &Workload, facts: &PeerFacts, calls: &Calls) -> Met {
    let hello = format!("{} {} speaks {}", facts.name, facts.version, facts.protocol);
    let mut checks =
        vec![Check::pass("validation.mcp_handshake", probed, Evidence::new(Source::Probe, line.place(), &hello)), declared(workload, facts, line.place())];
    checks.extend(specified(blueprint, workload, facts, &calls.specified, line.place()));
    let in_spec = |name: &str| calls.specified.iter().any(|tool| tool.name == name);
    let view = |name: &String| ToolView { name: name.clone(), in_spec: in_spec(name), in_chatbot: true, called: false, outcome: None, ms: None };
    let mut tools = facts.tools.iter().map(|tool| view(&tool.name)).collect::<Vec<_>>();
    checks.extend(called(line, facts, calls, &mut tools).await);
    if calls.writing && calls.calls.is_empty() {
        checks.push(round_trip(line, facts).await);
    }
    Met { checks, server: None, tools }
}

/// The tools that the code declares are listed.
fn declared(workload: &Workload, facts: &PeerFacts, at: &str) -> Check {
    let names: Vec<_> = facts.tools.iter().map(|tool| tool.name.as_str()).collect();
    let expected = workload.mcp.as_ref().map(|mcp| mcp.tools.clone()).unwrap_or_default();
    let missing: Vec<_> = expected.iter().filter(|name| !names.contains(&name.as_str())).cloned().collect();
    let probed = "tools/list against the tools in the code";
    let seen = Evidence::new(Source::Probe, at, &names.join(", "));
    if names.is_empty() {
        Check::fail("validation.mcp_tools", probed, "the server lists no tool", vec![seen])
    } else if missing.is_empty() {
        Check::pass("validation.mcp_tools", probed, seen)
    } else {
        Check::fail("validation.mcp_tools", probed, format!("not listed: {}", missing.join(", ")), vec![seen])
    }
}

/// The tools that the specs name are listed; one that is listed and named nowhere is only told. None where no spec names a tool.
fn specified(blueprint: &Blueprint, workload: &Workload, facts: &PeerFacts, named: &[SpecTool], at: &str) -> Option<Check> {
    let listed = |name: &str| facts.tools.iter().any(|tool| tool.name == name);
    // Specs speak of all servers of an application.
    let others = || blueprint.workloads.iter().filter(|other| other.name != workload.name).filter_map(|other| other.mcp.as_ref());
    let elsewhere = |name: &str| others().any(|mcp| mcp.tools.iter().any(|tool| tool == name));
    let expected: Vec<&SpecTool> = named.iter().filter(|tool| listed(&tool.name) || !elsewhere(&tool.name)).collect();
    if expected.is_empty() {
        return None;
    }
    let probed = "tools/list against the tools that the specs name";
    let (there, missing): (Vec<&SpecTool>, Vec<_>) = expected.into_iter().partition(|tool| listed(&tool.name));
    let extra: Vec<_> = facts.tools.iter().map(|tool| tool.name.as_str()).filter(|name| !named.iter().any(|tool| tool.name == *name)).collect();
    let mut told = format!("{} of {} named tools are listed", there.len(), there.len() + missing.len());
    if !extra.is_empty() {
        told = format!("{told}; in no spec: {}", extra.join(", "));
    }
    let seen = Evidence::new(Source::Probe, at, &told);
    Some(if missing.is_empty() {
        Check::pass("validation.mcp_spec", probed, seen)
    } else {
        let names: Vec<_> = missing.iter().map(|tool| tool.name.as_str()).collect();
        let places = missing.iter().take(5).map(|tool| Evidence::from(&tool.evidence));
        Check::fail("validation.mcp_spec", probed, format!("named in a spec and not listed: {}", names.join(", ")), [seen].into_iter().chain(places).collect())
    })
}

/// The tools that are called, with their arguments; or the check that says why none is.
fn chosen(facts: &PeerFacts, calls: &Calls) -> Result<Vec<Call>, Box<Check>> {
    let chosen: Vec<Call> = if calls.calls.is_empty() {
        facts.tools.iter().filter(|tool| tool.read_only).map(|tool| (tool.name.clone(), super::validate::arguments_for(&tool.input_schema))).collect()
    } else {
        calls.calls.clone()
    };
    if chosen.is_empty() {
        return Err(Box::new(Check::not_run("validation.mcp_call", CALLED, "no tool is annotated read-only; name one in calls").optional()));
    }
    let read_only = |name: &str| facts.tools.iter().any(|tool| tool.name == name && tool.read_only);
    match chosen.iter().find(|(name, _)| !calls.writing && !read_only(name)) {
        Some((name, _)) => {
            let why = format!("{name} is not annotated read-only; allow it with writes=with_cleanup, which asks for approval");
            Err(Box::new(Check::not_run("validation.mcp_call", CALLED, why)))
        }
        None => Ok(chosen),
    }
}

/// Calls the tools that may be called, and compares what they answer with what they promise.
async fn called(line: &dyn Line, facts: &PeerFacts, calls: &Calls, tools: &mut [ToolView]) -> Vec<Check> {
    let chosen = match chosen(facts, calls) {
        Ok(chosen) => chosen,
        Err(check) => return vec![*check],
    };
    let answers = match line.visit(&chosen).await {
        Ok(answers) => answers,
        Err(reason) => return vec![Check::not_run("validation.mcp_call", CALLED, reason)],
    };
    let (mut told, mut bad) = (Vec::new(), Vec::new());
    let (mut promised, mut broken) = (Vec::new(), Vec::new());
    for ((name, _), answer) in chosen.iter().zip(&answers) {
        let (good, text) = match answer {
            Ok(answer) if !answer.is_error => (true, format!("answered {}", crate::secret::plain(&answer.text, 120))),
            Ok(answer) => (false, format!("answered an error: {}", crate::secret::plain(&answer.text, 120))),
            Err(failure) => (false, failure.to_string()),
        };
        if let Some(view) = tools.iter_mut().find(|view| view.name == *name) {
            view.called = true;
            view.outcome = Some(if good { "pass" } else { "fail" }.to_owned());
            view.ms = answer.as_ref().ok().map(|answer| answer.elapsed.as_secs_f64() * 1_000.0);
        }
        let promise = facts.tools.iter().find(|tool| tool.name == *name).and_then(|tool| tool.output_schema.clone());
        if let (Some(schema), Ok(answer), true) = (promise, answer, good) {
            promised.push(name.as_str());
            let wrong = answer
                .structured
                .as_ref()
                .map_or_else(|| vec!["no structured content".to_owned()], |content| probe::schema::violations(&Value::Object(schema), content));
            broken.extend(wrong.into_iter().map(|wrong| format!("{name}: {wrong}")));
        }
        told.push(format!("{name}: {text}"));
        if !good {
            bad.push(name.as_str());
        }
    }
    let seen = Evidence::new(Source::Probe, line.place(), &told.join("; "));
    let mut checks = vec![if bad.is_empty() {
        Check::pass("validation.mcp_call", CALLED, seen)
    } else {
        Check::fail("validation.mcp_call", CALLED, format!("failed: {}", bad.join(", ")), vec![seen])
    }];
    if !promised.is_empty() {
        let probed = "structured content of answers against the tools' output schemas";
        let seen = Evidence::new(Source::Probe, line.place(), &promised.join(", "));
        checks.push(match broken.as_slice() {
            [] => Check::pass("validation.mcp_schema", probed, seen),
            broken => Check::fail("validation.mcp_schema", probed, broken.join("; "), vec![seen]),
        });
    }
    checks
}

/// A row that a tool adds, another shows and a third takes away, where somebody allowed a write and named none.
async fn round_trip(line: &dyn Line, facts: &PeerFacts) -> Check {
    let probed = "a row is added, read back and taken away";
    let Some(trip) = roundtrip::planned(&facts.tools) else {
        let why = "no tools of the server belong together that add, list and delete the same; name calls to make";
        return Check::not_run("validation.mcp_write", probed, why).optional();
    };
    match crate::secret::noise::<6>() {
        Ok(noise) => trip.travel(line, &format!("landfall-{noise}")).await,
        Err(failure) => Check::not_run("validation.mcp_write", probed, failure.to_string()),
    }
}
