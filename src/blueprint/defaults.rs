//! Defaults by language: resources, ports and probes, where neither the code nor a person says otherwise.

use super::{Ask, Probes, Resources};
use crate::survey::{Kind, McpTransport, Service};

/// The numeric user of every image that we build.
pub(super) const USER: u32 = 10001;

/// The port that a static site is served on: no privilege is needed to open it.
pub(super) const STATIC_PORT: u16 = 8080;

/// (language or `static`, cpu request, cpu limit, memory request, memory limit)
const RESOURCES: &[(&str, &str, &str, &str, &str)] = &[
    ("static", "10m", "200m", "24Mi", "96Mi"),
    ("node", "50m", "1", "128Mi", "512Mi"),
    ("python", "50m", "1", "128Mi", "512Mi"),
    ("go", "20m", "500m", "32Mi", "192Mi"),
    ("rust", "20m", "500m", "24Mi", "192Mi"),
    ("java", "200m", "2", "384Mi", "768Mi"),
    ("csharp", "100m", "1", "128Mi", "512Mi"),
    ("ruby", "100m", "1", "192Mi", "512Mi"),
    ("php", "50m", "1", "96Mi", "384Mi"),
    ("elixir", "50m", "1", "128Mi", "512Mi"),
    ("deno", "50m", "1", "96Mi", "384Mi"),
];

/// Requests and limits for what we build.
pub(super) fn resources(facts: &Service) -> Resources {
    let key = if facts.kind == Kind::Static { "static" } else { facts.language.as_str() };
    let (_, cpu_request, cpu_limit, memory_request, memory_limit) =
        RESOURCES.iter().find(|(language, ..)| *language == key).copied().unwrap_or(("", "50m", "1", "128Mi", "512Mi"));
    quantities([cpu_request, cpu_limit, memory_request, memory_limit, "64Mi", "512Mi"])
}

/// Resources from cpu, memory and scratch disk: request, limit, request, limit, request, limit.
pub(super) fn quantities([cpu_request, cpu_limit, memory_request, memory_limit, ephemeral_request, ephemeral_limit]: [&str; 6]) -> Resources {
    Resources {
        cpu_request: cpu_request.to_owned(),
        cpu_limit: cpu_limit.to_owned(),
        memory_request: memory_request.to_owned(),
        memory_limit: memory_limit.to_owned(),
        ephemeral_request: ephemeral_request.to_owned(),
        ephemeral_limit: ephemeral_limit.to_owned(),
    }
}

/// True for what somebody connects to.
pub(super) fn listens(facts: &Service) -> bool {
    match facts.kind {
        Kind::Web | Kind::Api | Kind::Static | Kind::McpServer => {
            !facts.mcp.as_ref().is_some_and(|mcp| mcp.transport == McpTransport::Stdio) || !facts.ports.is_empty()
        }
        Kind::Worker | Kind::Job => !facts.ports.is_empty(),
    }
}

/// Readiness asks the readiness route; liveness never asks a route that may depend on another service.
pub(super) fn probes(facts: &Service, port: Option<u16>, ready: Option<&str>) -> Probes {
    if port.is_none() || facts.kind == Kind::Job {
        return Probes { startup: None, readiness: None, liveness: None };
    }
    // The health service of gRPC says whether the program serves; where it is not there, an open port is all that can be asked for.
    let grpc = facts.ports.first().is_some_and(|port| port.protocol == "grpc");
    let listed =
        ["grpcio-health-checking", "grpc-health-check", "tonic-health", "google.golang.org/grpc/health"].iter().any(|package| facts.depends_on(package));
    let seen = facts.health.iter().flat_map(|health| [&health.live, &health.ready]).flatten().any(|path| path.starts_with("grpc:"));
    if grpc && (listed || seen) {
        return Probes { startup: Some(Ask::Grpc), readiness: Some(Ask::Grpc), liveness: Some(Ask::Tcp) };
    }
    let health = facts.health.as_ref();
    let live = health.and_then(|health| health.live.as_deref()).filter(|path| usable(path));
    let ready = ready.or_else(|| health.and_then(|health| health.ready.as_deref())).filter(|path| usable(path));
    // A web page that is served is as good a sign as a health route of its own.
    let page = (facts.kind == Kind::Static).then_some("/");
    let readiness = ready.or(live).or(page);
    let http = |path: &str| Ask::Http { path: path.to_owned() };
    let alive = live.filter(|path| readiness != Some(*path)).map_or(Ask::Tcp, http);
    Probes { startup: Some(live.map_or(Ask::Tcp, http)), readiness: Some(readiness.map_or(Ask::Tcp, http)), liveness: Some(alive) }
}

/// A path that a probe can ask as it stands: absolute, and without parameters of the route.
fn usable(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 200 && path.chars().all(|letter| letter.is_ascii_alphanumeric() || "/-_.~".contains(letter))
}
