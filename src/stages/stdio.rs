//! An MCP server that its caller starts as a subprocess, proven inside the caller's container; and what is only called MCP, said with what shows it.

use super::validate::{CALLED, Found, Look, McpCalls, chosen, tools_listed};
use crate::blueprint::{Blueprint, Workload};
use crate::evidence::{Check, Evidence, Place, Source};
use crate::ports::{PeerFacts, PeerTool};
use crate::probe::{Caller, Spoken, Stdio, stdio_inside};
use crate::reply::{ServerView, ToolView};
use crate::survey::McpShape;
use serde_json::{Map, Value};
use std::time::Duration;

/// How long a server may take to start and answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// The workload whose container holds this file, and how its interpreter may start it, the likeliest way first.
pub fn host<'a>(blueprint: &'a Blueprint, server: &Place) -> Option<(&'a Workload, Vec<Vec<String>>)> {
    let below = |workload: &&Workload| {
        let dir = workload.service().map(|service| service.dir.as_str())?;
        if dir == "." { Some((0, server.file.clone())) } else { server.file.strip_prefix(dir)?.strip_prefix('/').map(|rest| (dir.len(), rest.to_owned())) }
    };
    let (workload, (_, inside)) = blueprint.workloads.iter().filter_map(|workload| Some((workload, below(&workload)?))).max_by_key(|(_, (depth, _))| *depth)?;
    let one = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let ways = match workload.service()?.language.as_str() {
        "python" => {
            let module = inside.strip_suffix(".py")?.replace('/', ".");
            let module = module.strip_suffix(".__main__").or_else(|| module.strip_suffix(".__init__")).unwrap_or(&module);
            vec![one(&["-m", module]), one(&[&inside]), one(&[&server.file])]
        }
        _ => match inside.rsplit_once('.') {
            Some((stem, "ts" | "mts" | "tsx")) => {
                let built = stem.strip_prefix("src/").unwrap_or(stem);
                vec![one(&[&format!("dist/{built}.js")]), one(&[&format!("build/{built}.js")]), one(&[&inside])]
            }
            _ => vec![one(&[&inside]), one(&[&server.file])],
        },
    };
    Some((workload, ways))
}

/// What is not served is not proven, whatever it is called.
pub fn unserved(shape: McpShape, evidence: &[Place]) -> Check {
    let why = match shape {
        McpShape::NameOnly => "something is called MCP, and no MCP SDK or protocol is behind the name",
        McpShape::SdkNotConnected => "an MCP server is written with an SDK, and nothing starts it or speaks to it",
        McpShape::HttpDeployment | McpShape::StdioSubprocess | McpShape::None => "no service of this app serves MCP",
    };
    Check::fail("validation.mcp_handshake", "the MCP server of the workspace", why, evidence.iter().map(Evidence::from).collect())
}

impl Look<'_> {
    /// Handshake, tools/list and tool calls over stdio, in the container of the workload that starts the server.
    pub async fn mcp_stdio(&self, workload: &Workload, ways: &[Vec<String>], calls: &McpCalls) -> (Vec<Check>, Found) {
        let mut found = Found::default();
        let probed = format!("handshake over stdio inside {}", workload.name);
        let Some((pod, container)) = self.pod_of(workload.name.as_str()) else {
            return (vec![Check::fail("validation.mcp_handshake", probed, format!("{} has no ready pod", workload.name), vec![])], found);
        };
        let language = workload.service().map(|service| service.language.as_str()).unwrap_or_default();
        let from = Caller { pod: &pod, container: &container, language };
        let mut told = Vec::new();
        let mut spoken = None;
        for way in ways {
            let line = format!("{language} {}", way.join(" "));
            match self.speak(from, way, &[]).await {
                Stdio::Spoke(facts) => {
                    spoken = Some((way, line, facts));
                    break;
                }
                Stdio::Mute { why } => told.push(Evidence::new(Source::Probe, format!("Pod/{pod}: {line}"), &why)),
                Stdio::NotRun { reason } => return (vec![Check::not_run("validation.mcp_handshake", probed, reason)], found),
            }
        }
        let Some((way, line, facts)) = spoken else {
            return (vec![Check::fail("validation.mcp_handshake", probed, "it does not speak MCP over stdio", told)], found);
        };
        let at = format!("Pod/{pod}: {line}");
        let mut checks = vec![Check::pass(
            "validation.mcp_handshake",
            probed,
            Evidence::new(Source::Probe, at.clone(), &format!("{} {} speaks {}", facts.name, facts.version, facts.protocol)),
        )];
        let peer = peer(&facts);
        checks.push(tools_listed(workload, &peer, &at));
        let view = |tool: &PeerTool| ToolView { name: tool.name.clone(), in_spec: false, in_chatbot: true, called: false, outcome: None, ms: None };
        found.tools = peer.tools.iter().map(view).collect();
        checks.push(match chosen(&peer, calls) {
            Err(check) => *check,
            Ok(wanted) => self.call_over_stdio(from, way, &at, &wanted, &mut found.tools).await,
        });
        let (name, version, protocol) = (facts.name, facts.version, facts.protocol);
        found.server = Some(ServerView { name, version, protocol, path: "stdio".to_owned(), host_header: String::new() });
        (checks, found)
    }

    async fn speak(&self, from: Caller<'_>, way: &[String], calls: &[(String, Map<String, Value>)]) -> Stdio {
        let spoken = stdio_inside(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, from, way, calls, PATIENCE).await;
        spoken.unwrap_or_else(|failure| Stdio::NotRun { reason: failure.to_string() })
    }

    async fn call_over_stdio(&self, from: Caller<'_>, way: &[String], at: &str, wanted: &[(String, Map<String, Value>)], tools: &mut [ToolView]) -> Check {
        let probed = CALLED;
        let answers = match self.speak(from, way, wanted).await {
            Stdio::Spoke(spoken) => spoken.calls,
            Stdio::Mute { why } => return Check::fail("validation.mcp_call", probed, why, vec![]),
            Stdio::NotRun { reason } => return Check::not_run("validation.mcp_call", probed, reason),
        };
        let (mut told, mut bad) = (Vec::new(), Vec::new());
        for ((name, _), answer) in wanted.iter().zip(&answers) {
            let text = crate::secret::plain(&answer.text, 120);
            told.push(format!("{name}: answered {}{text}", if answer.is_error { "an error: " } else { "" }));
            if let Some(view) = tools.iter_mut().find(|view| view.name == *name) {
                view.called = true;
                view.outcome = Some(if answer.is_error { "fail" } else { "pass" }.to_owned());
                view.ms = Some(answer.ms);
            }
            if answer.is_error {
                bad.push(name.as_str());
            }
        }
        let seen = Evidence::new(Source::Probe, at, &told.join("; "));
        match (answers.len() == wanted.len(), bad.is_empty()) {
            (true, true) => Check::pass("validation.mcp_call", probed, seen),
            (true, false) => Check::fail("validation.mcp_call", probed, format!("failed: {}", bad.join(", ")), vec![seen]),
            (false, _) => Check::fail("validation.mcp_call", probed, format!("{} of {} calls were answered", answers.len(), wanted.len()), vec![seen]),
        }
    }
}

fn peer(spoken: &Spoken) -> PeerFacts {
    let tool = |tool: &crate::probe::SpokenTool| PeerTool {
        name: tool.name.clone(),
        description: String::new(),
        read_only: tool.read_only,
        input_schema: tool.input_schema.clone(),
        output_schema: None,
    };
    PeerFacts {
        name: spoken.name.clone(),
        version: spoken.version.clone(),
        protocol: spoken.protocol.clone(),
        path: "stdio".to_owned(),
        host_header: String::new(),
        tools: spoken.tools.iter().map(tool).collect(),
    }
}
