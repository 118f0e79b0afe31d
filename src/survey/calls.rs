//! Which service calls which: variables that hold addresses, resolved by what is written about them; and the workspace's MCP shape.

use super::draft::Draft;
use super::facts::{Facts, line_text};
use super::walk::{base_of, within};
use super::workspace::Workspace;
use super::{Call, Kind, McpShape, McpTransport, Phase, Place, WorkspaceMcp};
use regex::Regex;
use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// An address that somebody wrote down for a variable.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Documented {
    url: String,
    place: Place,
}

/// `NAME … http://host:port/path` on one line.
static NAMED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?-u:\b)[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+(?-u:\b)").ok());
/// An address whose scheme may be missing: `backend:8000`.
static BARE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[a-z][a-z0-9-]*:[0-9]{2,5}$").ok());

/// Fills the calls of all services.
pub(crate) fn link(workspace: &Workspace, drafts: &mut [Draft]) {
    let documented = documented(workspace);
    let all: Vec<Target> = drafts.iter().map(Target::of).collect();
    for (index, draft) in drafts.iter_mut().enumerate() {
        let targets: Vec<&Target> = all.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, target)| target).collect();
        let files: Vec<(&str, &Facts)> = workspace.facts(&draft.sources).collect();
        let reads = super::finish::reads(&files);
        let mut calls: Vec<Call> = Vec::new();
        for variable in draft.service.env.clone() {
            let name = variable.name.as_str();
            if !holds_address(name) || (variable.secret && crate::secret::secret_name(name)) {
                continue;
            }
            let mut said: Vec<Documented> = Vec::new();
            for (path, read) in reads.iter().filter(|(_, read)| read.name == name) {
                let texts = [read.default.as_deref().unwrap_or_default(), read.doc.as_str()];
                for url in texts.iter().flat_map(|text| addresses(text)) {
                    said.push(Documented { url, place: Place::new(path.clone(), read.line, &read.text) });
                }
            }
            // What lies nearer to the service is believed first.
            let mut written = documented.get(name).cloned().unwrap_or_default();
            written.sort_by_key(|known| (!within(&known.place.file, &draft.service.dir), known.clone()));
            said.extend(written);
            let call = resolve(name, &said, &targets, &draft.service.dir).map(|(target, path, place)| {
                let mut evidence: Vec<Place> = variable.evidence.iter().take(1).cloned().collect();
                evidence.extend(place);
                evidence.dedup();
                Call { service: target.name.clone(), via: name.to_owned(), path, evidence }
            });
            calls.extend(call);
        }
        // Addresses written into the code, by the name of a service.
        for (path, facts) in &files {
            for (url, line) in &facts.urls {
                let Some((host, _, _)) = split(url) else { continue };
                if let Some(target) = targets.iter().find(|target| target.names.contains(&host))
                    && !calls.iter().any(|call| call.service == target.name)
                {
                    let text = line_text(url, 1).to_owned();
                    calls.push(Call { service: target.name.clone(), via: url.clone(), path: None, evidence: vec![Place::new(*path, *line, &text)] });
                }
            }
        }
        calls.sort_by(|left, right| (&left.service, &left.via).cmp(&(&right.service, &right.via)));
        draft.service.calls = calls;
    }
}

/// A service as one that may be called.
struct Target {
    name: crate::names::ServiceName,
    dir: String,
    kind: Kind,
    /// Host names by which it may be reached.
    names: BTreeSet<String>,
    ports: Vec<u16>,
    mcp: bool,
}

impl Target {
    fn of(draft: &Draft) -> Self {
        let service = &draft.service;
        let mut names: BTreeSet<String> = [service.name.as_str().to_owned()].into();
        names.extend(service.compose_service.clone());
        if service.dir != "." {
            names.insert(base_of(&service.dir).to_ascii_lowercase());
        }
        let mcp = service.mcp.as_ref().is_some_and(|mcp| mcp.transport != McpTransport::Stdio);
        Self {
            name: service.name.clone(),
            dir: service.dir.clone(),
            kind: service.kind,
            names,
            ports: service.ports.iter().map(|port| port.port).collect(),
            mcp,
        }
    }
}

/// True for names that hold the address of another service.
pub(crate) fn holds_address(name: &str) -> bool {
    let tail = ["URL", "URI", "HOST", "ADDR", "ADDRESS", "ENDPOINT", "BASE", "SERVER", "TARGET", "ORIGIN"].iter().any(|tail| name.ends_with(tail))
        || name.contains("_URL_")
        || name.contains("URL");
    let own = [
        "CORS",
        "ALLOWED",
        "FRONTEND",
        "CLIENT_URL",
        "NEXTAUTH",
        "BETTER_AUTH",
        "APP_URL",
        "SITE_URL",
        "CALLBACK",
        "REDIRECT",
        "WEBHOOK",
        "DATABASE",
        "REDIS",
        "MONGO",
        "AMQP",
        "RABBIT",
        "KAFKA",
        "POSTGRES",
        "OPENAI",
        "ANTHROPIC",
        "GEMINI",
        "GROQ",
        "COHERE",
        "LLM",
        "SENTRY",
        "OTEL",
        "SMTP",
        "MAIL",
    ];
    tail && name != "HOST" && name != "HOSTNAME" && !own.iter().any(|word| name.contains(word))
}

/// The callee of a variable, the path it is asked for, and what shows it.
fn resolve<'all>(name: &str, said: &[Documented], targets: &[&'all Target], own: &str) -> Option<(&'all Target, Option<String>, Option<Place>)> {
    let parsed: Vec<(String, Option<u16>, Option<String>, &Place)> =
        said.iter().filter_map(|known| split(&known.url).map(|(host, port, path)| (host, port, path, &known.place))).collect();
    let by_name = |host: &str| {
        targets.iter().copied().find(|target| target.names.contains(host) || target.names.iter().any(|known| host.split('.').next() == Some(known.as_str())))
    };
    let local = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "0.0.0.0" | "host.docker.internal");
    let by_port = |port: u16| {
        let fitting: Vec<&Target> = targets.iter().copied().filter(|target| target.ports.contains(&port)).collect();
        if let [only] = fitting.as_slice() { Some(*only) } else { None }
    };
    let named = parsed.iter().find_map(|(host, _, path, place)| by_name(host).map(|target| (target, path.clone(), Some((*place).clone()))));
    let words = by_words(name, targets, own);
    let ported = parsed
        .iter()
        .filter(|(host, _, _, _)| local(host))
        .find_map(|(_, port, path, place)| port.and_then(by_port).map(|target| (target, path.clone(), Some((*place).clone()))));
    // A documented address of somebody else's server is not a call into the workspace.
    let foreign =
        !parsed.is_empty() && parsed.iter().all(|(host, _, _, _)| host.contains('.') && !local(host) && !host.ends_with(".local") && by_name(host).is_none());
    let (target, path, place) = match (named, words, ported) {
        (Some(found), _, _) => found,
        (None, Some(target), Some((ported, path, place))) if target.name == ported.name => (target, path, place),
        (None, Some(target), _) if !foreign => (target, None, None),
        (None, None, Some(found)) => found,
        _ => return None,
    };
    // Another document may give the path that this one leaves out.
    let path = path.or_else(|| {
        parsed
            .iter()
            .filter(|(host, port, _, _)| {
                by_name(host).is_some_and(|known| known.name == target.name) || (local(host) && port.is_some_and(|port| target.ports.contains(&port)))
            })
            .find_map(|(_, _, path, _)| path.clone())
    });
    Some((target, path, place))
}

/// `MCP_SERVER_URL` means the MCP server, `BACKEND_URL` the service called backend, `API_URL` the only interface.
fn by_words<'all>(name: &str, targets: &[&'all Target], own: &str) -> Option<&'all Target> {
    let lower = name.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split('_')
        .filter(|word| {
            !matches!(
                *word,
                "url"
                    | "uri"
                    | "host"
                    | "addr"
                    | "address"
                    | "endpoint"
                    | "base"
                    | "next"
                    | "public"
                    | "vite"
                    | "react"
                    | "app"
                    | "internal"
                    | "external"
                    | "server"
                    | "service"
                    | "target"
                    | "origin"
            )
        })
        .collect();
    let only = |fits: &dyn Fn(&Target) -> bool| {
        let found: Vec<&Target> = targets.iter().copied().filter(|target| fits(target)).collect();
        if let [only] = found.as_slice() { Some(*only) } else { None }
    };
    if words.contains(&"mcp")
        && let Some(target) =
            only(&|target| target.mcp && target.kind == Kind::McpServer).or_else(|| only(&|target| target.names.iter().any(|name| name.contains("mcp"))))
    {
        return Some(target);
    }
    let joined = words.join("-");
    let parts = |name: &str| name.split(['-', '_']).map(str::to_owned).collect::<BTreeSet<String>>();
    let exact = only(&|target| target.names.iter().any(|name| *name == joined || parts(name) == words.iter().map(|word| (*word).to_owned()).collect()));
    if exact.is_some() {
        return exact;
    }
    let partly = only(&|target| {
        target.names.iter().any(|name| words.iter().any(|word| word.len() > 2 && *word != "api" && name.replace(['-', '_'], "").contains(word)))
    });
    if partly.is_some() && !words.is_empty() {
        return partly;
    }
    let interface = words.iter().any(|word| matches!(*word, "api" | "backend" | "be"));
    if !interface || words.len() > 2 {
        return None;
    }
    only(&|target| target.kind == Kind::Api).filter(|target| target.dir != own)
}

/// Addresses in a text: with a scheme, or bare where that is all there is.
fn addresses(text: &str) -> Vec<String> {
    let mut out = super::python::urls(text);
    if out.is_empty() && BARE.as_ref().is_some_and(|shape| shape.is_match(text.trim())) {
        out.push(format!("http://{}", text.trim()));
    }
    out
}

/// Host, port and path of an address; the path only where it is more than `/`.
pub(crate) fn split(url: &str) -> Option<(String, Option<u16>, Option<String>)> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (host, port) = authority.rsplit_once(':').map_or((authority, None), |(host, port)| (host, port.parse().ok()));
    let path = path.split(['?', '#']).next().unwrap_or_default().trim_end_matches('/');
    // `http://backend:*` is a pattern that others are compared with.
    (!host.is_empty() && !authority.contains('*')).then(|| (host.to_ascii_lowercase(), port, (!path.is_empty()).then(|| path.to_owned())))
}

/// What READMEs, example environments and compose files say about variables.
fn documented(workspace: &Workspace) -> BTreeMap<String, Vec<Documented>> {
    let mut out: BTreeMap<String, Vec<Documented>> = BTreeMap::new();
    let documents = workspace.texts.iter().filter(|(path, _)| {
        let name = base_of(path).to_ascii_lowercase();
        (name.starts_with("readme") && path.matches('/').count() <= 3) || name.starts_with(".env") || (path.contains("values") && name.ends_with(".yaml"))
    });
    for (path, text) in documents {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| line.contains("://")) {
            let place = || Place::new(path.clone(), u32::try_from(number).unwrap_or(0) + 1, line);
            let Some(names) = NAMED.as_ref() else { continue };
            let found: Vec<_> = names.find_iter(line).collect();
            for (index, name) in found.iter().enumerate() {
                let until = found.get(index + 1).map_or(line.len(), |next| next.start());
                if let Some(url) = line.get(name.end()..until).and_then(|part| super::python::urls(part).into_iter().next()) {
                    out.entry(name.as_str().to_owned()).or_default().push(Documented { url, place: place() });
                }
            }
        }
    }
    for service in &workspace.compose {
        for (name, value) in &service.environment {
            for url in addresses(value.as_deref().unwrap_or_default()) {
                out.entry(name.clone())
                    .or_default()
                    .push(Documented { url, place: Place::new(service.file.clone(), service.line, &format!("{name} of {}", service.name)) });
            }
        }
    }
    out
}

/// How MCP is present in the workspace as a whole.
pub(crate) fn shape(workspace: &Workspace, drafts: &[Draft]) -> WorkspaceMcp {
    let live: LazyCell<BTreeSet<&str>, _> = LazyCell::new(|| drafts.iter().flat_map(|draft| draft.sources.iter().map(String::as_str)).collect());
    let facts = || workspace.sources.iter().map(|(path, facts)| (path.as_str(), facts.as_ref()));
    let server =
        drafts.iter().find(|draft| draft.service.kind == Kind::McpServer && draft.service.mcp.as_ref().is_some_and(|mcp| mcp.transport != McpTransport::Stdio));
    if let Some(draft) = server {
        let called = drafts.iter().any(|other| other.service.calls.iter().any(|call| call.service == draft.service.name));
        let written = draft.service.dockerfile.is_some()
            || draft.service.compose_service.is_some()
            || draft.service.evidence.get("start_command").is_some_and(|places| places.iter().any(|place| base_of(&place.file) == "Procfile"));
        if called || written || drafts.len() == 1 {
            return WorkspaceMcp { shape: McpShape::HttpDeployment, evidence: draft.service.mcp.as_ref().map(|mcp| mcp.evidence.clone()).unwrap_or_default() };
        }
    }
    let asking = facts().filter(|(path, facts)| !facts.mcp_clients.is_empty() && live.contains(path));
    let clients: Vec<(&str, &super::facts::McpClient)> = asking.flat_map(|(path, facts)| facts.mcp_clients.iter().map(move |client| (path, client))).collect();
    let stdio = clients.iter().find(|(_, client)| client.transport == "stdio");
    let speaks = facts().find_map(|(path, facts)| facts.mcp_servers.first().map(|server| Place::new(path, server.line, &server.text)));
    if let (Some((path, client)), Some(server)) = (stdio, &speaks) {
        return WorkspaceMcp { shape: McpShape::StdioSubprocess, evidence: vec![Place::new(*path, client.line, &client.text), server.clone()] };
    }
    // Mounted into an interface, and asked there.
    let mounted = drafts.iter().find(|draft| {
        draft.service.mcp.as_ref().is_some_and(|mcp| mcp.transport != McpTransport::Stdio)
            && facts().any(|(path, facts)| draft.sources.iter().any(|own| own == path) && facts.mounts.iter().any(|mount| mount.what.contains("_app")))
    });
    let caller = clients.iter().find(|(_, client)| client.transport != "stdio").map(|(path, client)| Place::new(*path, client.line, &client.text));
    if let (Some(draft), Some(_)) = (mounted, &caller) {
        return WorkspaceMcp { shape: McpShape::HttpDeployment, evidence: draft.service.mcp.as_ref().map(|mcp| mcp.evidence.clone()).unwrap_or_default() };
    }
    // A program of its own, started by hand or by a chart, and somebody who calls one over HTTP.
    let apart = facts().filter(|(_, facts)| facts.program).find_map(|(path, facts)| {
        let run = facts.mcp_runs.iter().find(|run| matches!(run.transport, Some("http" | "sse")))?;
        Some(Place::new(path, run.line, &run.text))
    });
    if let (Some(server), Some(caller), true) = (apart, caller, speaks.is_some()) {
        return WorkspaceMcp { shape: McpShape::HttpDeployment, evidence: vec![server, caller] };
    }
    let only_stdio = drafts.len() == 1 && drafts.iter().any(|draft| draft.service.kind == Kind::McpServer);
    if let Some(server) = speaks {
        let shape = if only_stdio { McpShape::StdioSubprocess } else { McpShape::SdkNotConnected };
        return WorkspaceMcp { shape, evidence: vec![server] };
    }
    named_only(workspace, |path| live.contains(path), clients.first().copied())
}

/// Folders, files and routes that carry the name, without the protocol.
fn named_only(workspace: &Workspace, live: impl Fn(&str) -> bool, client: Option<(&str, &super::facts::McpClient)>) -> WorkspaceMcp {
    let holds = |path: &str| path.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"mcp"));
    let has_word = |path: &str| path.to_ascii_lowercase().split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word.starts_with("mcp"));
    let named = |path: &&String| holds(path) && has_word(path) && (path.ends_with(".py") || live(path));
    let (shape, evidence) = match (workspace.sources.keys().find(named), client) {
        (Some(path), _) => (McpShape::NameOnly, vec![Place::file(path.clone())]),
        (None, Some((path, client))) => (McpShape::SdkNotConnected, vec![Place::new(path, client.line, &client.text)]),
        (None, None) => (McpShape::None, Vec::new()),
    };
    WorkspaceMcp { shape, evidence }
}

/// Variables that are baked into what browsers load, with what is said about them.
pub(crate) fn browser_values(workspace: &Workspace, draft: &Draft) -> Vec<(String, String, Place)> {
    let documented = documented(workspace);
    let mut out = Vec::new();
    for variable in draft.service.env.iter().filter(|variable| variable.phases.contains(&Phase::Browser)) {
        let default =
            variable.default.as_deref().map(addresses).unwrap_or_default().into_iter().map(|url| (url, variable.evidence.first().cloned().unwrap_or_default()));
        let written = documented.get(variable.name.as_str()).into_iter().flatten().map(|known| (known.url.clone(), known.place.clone()));
        out.extend(default.chain(written).map(|(url, place)| (variable.name.to_string(), url, place)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_split() {
        assert_eq!(split("http://mcp-server:8001/mcp"), Some(("mcp-server".to_owned(), Some(8001), Some("/mcp".to_owned()))));
        assert_eq!(split("https://api.example.com/"), Some(("api.example.com".to_owned(), None, None)));
        assert_eq!(split("postgres://x"), None);
        assert_eq!(split("http://backend:*"), None);
    }

    #[test]
    fn only_some_names_hold_addresses_of_others() {
        for name in ["BACKEND_URL", "MCP_SERVER_URL", "NEXT_PUBLIC_API_BASE_URL", "PRODUCT_SERVICE_ADDR", "API_HOST"] {
            assert!(holds_address(name), "{name}");
        }
        for name in ["FRONTEND_URL", "DATABASE_URL", "OPENAI_BASE_URL", "CORS_ORIGINS", "HOSTNAME", "LOG_LEVEL", "BETTER_AUTH_URL"] {
            assert!(!holds_address(name), "{name}");
        }
    }
}
