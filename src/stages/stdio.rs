//! An MCP server that its caller starts as a subprocess, proven inside the caller's container; and what is only called MCP, said with what shows it.

use super::mcp::{self, Call, Calls, Line, Met};
use super::validate::Look;
use crate::blueprint::{Blueprint, Workload};
use crate::evidence::{Check, Evidence, Place, Source};
use crate::failure::{Code, Failure};
use crate::ports::{PeerAnswer, PeerFacts};
use crate::probe::{Caller, Stdio, stdio_inside};
use crate::reply::ServerView;
use crate::survey::McpShape;
use async_trait::async_trait;
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

/// A server inside its caller's container, started anew for every visit.
struct Started<'a> {
    look: &'a Look<'a>,
    from: Caller<'a>,
    way: &'a [String],
    place: String,
}

impl Started<'_> {
    async fn speak(&self, calls: &[Call]) -> Stdio {
        let Look { world, at, blueprint, .. } = self.look;
        let spoken = stdio_inside(world.cluster.as_ref(), at, &blueprint.namespace, self.from, self.way, calls, PATIENCE).await;
        spoken.unwrap_or_else(|failure| Stdio::NotRun { reason: failure.to_string() })
    }
}

#[async_trait]
impl Line for Started<'_> {
    async fn visit(&self, calls: &[Call]) -> Result<Vec<Result<PeerAnswer, Failure>>, String> {
        let mut said = match self.speak(calls).await {
            Stdio::Spoke(spoken) => spoken.calls.into_iter(),
            Stdio::Mute { why } => return Ok(calls.iter().map(|_| Err(Failure::new(Code::NotMcp, why.clone()))).collect()),
            Stdio::NotRun { reason } => return Err(reason),
        };
        let missing = || Failure::new(Code::NotMcp, "the server ended before it answered this call");
        Ok(calls.iter().map(|_| said.next().map(PeerAnswer::from).ok_or_else(missing)).collect())
    }

    fn remembers(&self) -> bool {
        false
    }

    fn place(&self) -> &str {
        &self.place
    }
}

impl Look<'_> {
    /// Handshake, tools/list and tool calls over stdio, in the container of the workload that starts the server.
    pub async fn mcp_stdio(&self, workload: &Workload, ways: &[Vec<String>], calls: &Calls) -> Met {
        let probed = format!("handshake over stdio inside {}", workload.name);
        let Some((pod, container)) = self.pod_of(workload.name.as_str()) else {
            return Check::fail("validation.mcp_handshake", probed, format!("{} has no ready pod", workload.name), vec![]).into();
        };
        let language = workload.service().map(|service| service.language.as_str()).unwrap_or_default();
        let from = Caller { pod: &pod, container: &container, language };
        let mut told = Vec::new();
        for way in ways {
            let line = Started { look: self, from, way, place: format!("Pod/{pod}: {language} {}", way.join(" ")) };
            let facts = match line.speak(&[]).await {
                Stdio::Spoke(spoken) => PeerFacts::from(spoken),
                Stdio::Mute { why } => {
                    told.push(Evidence::new(Source::Probe, line.place, &why));
                    continue;
                }
                Stdio::NotRun { reason } => return Check::not_run("validation.mcp_handshake", probed, reason).into(),
            };
            let mut met = mcp::met(&line, probed, self.blueprint, workload, &facts, calls).await;
            let PeerFacts { name, version, protocol, path, host_header, .. } = facts;
            met.server = Some(ServerView { name, version, protocol, path, host_header });
            return met;
        }
        Check::fail("validation.mcp_handshake", probed, "it does not speak MCP over stdio", told).into()
    }
}
