//! From the facts of its files to what a service needs: environment, health, backing services, MCP, folders it writes to.

use super::assemble::{beside, reachable};
use super::draft::Draft;
use super::facts::{Class, Facts, Need, Read, Route, Value};
use super::libraries::{Library, Members};
use super::walk::{base_of, dir_of, join};
use super::workspace::Workspace;
use super::{BackingNeed, EnvRead, Health, Kind, Mcp, McpTransport, Phase, Place, Required};
use crate::names::EnvName;
use std::collections::{BTreeMap, BTreeSet};

/// Set by platforms and shells; no setting of the application.
const NOISE: &[&str] = &[
    "NODE_ENV",
    "NEXT_RUNTIME",
    "NEXT_PHASE",
    "HOME",
    "PATH",
    "USER",
    "PWD",
    "CI",
    "SHELL",
    "TERM",
    "PYTHONPATH",
    "TMPDIR",
    "LANG",
    "VERCEL",
    "VERCEL_ENV",
    "VERCEL_URL",
    "ANALYZE",
    "npm_package_version",
];

/// Fills what follows from code; `shared`: the folder holds several services, so only what the entry reaches counts.
pub(crate) fn finish(workspace: &Workspace, members: &Members<'_>, draft: &mut Draft, shared: bool) {
    if shared {
        draft.sources = reachable(workspace, draft).into_owned();
    }
    let scope = draft.sources.clone();
    let files: Vec<(&str, &Facts)> = workspace.facts(&scope).collect();
    let libraries = members.libraries(draft);
    let built: Vec<(&str, &Facts)> = files.iter().copied().chain(libraries.iter().flat_map(|library| library.facts(workspace))).collect();
    if draft.service.language == "csharp" {
        dotnet_root(workspace, draft, &libraries);
    }
    environment(workspace, draft, &built, &libraries);
    mcp(workspace, draft, &files, &built);
    if draft.service.health.is_none() {
        health(draft, &files);
    }
    grpc_health(draft, &files);
    compose_health(workspace, draft);
    backing(workspace, draft, &built, &libraries);
    writes(draft, &files);
    if draft.service.language == "python" {
        // What a member of the workspace asks for is installed with the service.
        for name in libraries.iter().flat_map(Library::asks_for) {
            draft.service.dependencies.entry(name.clone()).or_default();
        }
    }
}

/// Files that MSBuild and NuGet look for in every folder above a project.
const DOTNET_SHARED: &[&str] =
    &["Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props", "NuGet.Config", "NuGet.config", "global.json", "nuget.config"];

/// The folder that holds everything a project is built from, where that is not its own.
fn dotnet_root(workspace: &Workspace, draft: &mut Draft, libraries: &[Library]) {
    let own = draft.service.dir.clone();
    let outside = |dir: &str| !super::walk::within(dir, &own);
    let mut root = own.clone();
    for library in libraries.iter().filter(|library| outside(&library.dir) && workspace.tree.has_folder(&library.dir)) {
        while !super::walk::within(&library.dir, &root) {
            root = dir_of(&root).to_owned();
        }
    }
    let mut above = own.as_str();
    while above != "." {
        above = dir_of(above);
        if workspace.first_in(above, DOTNET_SHARED).is_some() && super::walk::within(&root, above) {
            root = above.to_owned();
        }
    }
    if root != own {
        draft.fact("dotnet.root", root);
    }
}

/// Settings classes, those made from them included.
pub(crate) fn settings<'all>(files: &[(&'all str, &'all Facts)]) -> Vec<(&'all str, &'all Class)> {
    let mut known: BTreeSet<&str> = ["BaseSettings"].into();
    loop {
        let before = known.len();
        for (_, facts) in files {
            known.extend(
                facts
                    .classes
                    .iter()
                    .filter(|class| class.bases.iter().any(|base| known.contains(base.as_str())))
                    .map(|class| class.name.as_str())
                    .collect::<Vec<_>>(),
            );
        }
        if known.len() == before {
            break;
        }
    }
    files
        .iter()
        .flat_map(|(path, facts)| facts.classes.iter().map(move |class| (*path, class)))
        .filter(|(_, class)| class.bases.iter().any(|base| known.contains(base.as_str())))
        .collect()
}

/// The reads that a settings class stands for.
fn settings_reads(files: &[(&str, &Facts)]) -> Vec<(String, Read)> {
    let classes = settings(files);
    let nested: BTreeSet<&str> = classes.iter().map(|(_, class)| class.name.as_str()).collect();
    let mut out = Vec::new();
    for (path, class) in &classes {
        // A prefix is inherited like a field.
        let inherited = || classes.iter().find(|(_, other)| class.bases.contains(&other.name)).map(|(_, other)| other.prefix.clone()).unwrap_or_default();
        let prefix = if class.prefix.is_empty() { inherited() } else { class.prefix.clone() };
        for field in &class.fields {
            if nested.contains(field.kind.as_str()) {
                continue;
            }
            let names = if field.aliases.is_empty() {
                vec![format!("{prefix}{}", field.name).to_ascii_uppercase()]
            } else {
                field.aliases.iter().map(|alias| alias.to_ascii_uppercase()).take(1).collect()
            };
            for name in names {
                let default = field.default.as_ref().and_then(|value| value.literal.clone());
                // A default that is itself read by another call is that call's own read.
                if field.default.as_ref().is_some_and(|value| value.env.as_deref() == Some(name.as_str())) {
                    continue;
                }
                let need = if field.default.is_none() { Need::Demanded } else { Need::Optional };
                let read = Read {
                    name,
                    need,
                    default: default.filter(|text| text != "None"),
                    line: field.line,
                    text: field.text.clone(),
                    secret: field.kind.contains("Secret"),
                    bound: Some(field.name.clone()),
                    doc: field.doc.clone(),
                };
                out.push(((*path).to_owned(), read));
            }
        }
    }
    out
}

/// Every read of a service's files, settings included: (file, read).
pub(crate) fn reads(files: &[(&str, &Facts)]) -> Vec<(String, Read)> {
    let mut all = settings_reads(files);
    for (path, facts) in files {
        all.extend(facts.reads.iter().map(|read| ((*path).to_owned(), read.clone())));
    }
    all.retain(|(_, read)| !NOISE.contains(&read.name.as_str()) && !read.name.starts_with("npm_") && !read.name.starts_with("__"));
    all.sort_by(|left, right| (&left.1.name, &left.0, left.1.line).cmp(&(&right.1.name, &right.0, right.1.line)));
    all
}

fn environment(workspace: &Workspace, draft: &mut Draft, files: &[(&str, &Facts)], libraries: &[Library]) {
    let mut by_name: BTreeMap<String, Vec<(String, Read)>> = BTreeMap::new();
    for (path, read) in reads(files) {
        by_name.entry(read.name.clone()).or_default().push((path, read));
    }
    for (path, line, name) in homes(draft, libraries).into_iter().flat_map(|home| prisma_reads(workspace, home)) {
        let read = Read {
            name: name.clone(),
            need: Need::Demanded,
            default: None,
            line,
            text: format!("env(\"{name}\")"),
            secret: false,
            bound: None,
            doc: String::new(),
        };
        by_name.entry(name).or_default().push((path, read));
    }
    for (path, read) in super::settings::reads(workspace, draft) {
        by_name.entry(read.name.clone()).or_default().push((path, read));
    }
    for (name, library, line, text, path) in
        files.iter().flat_map(|(path, facts)| facts.implied.iter().map(move |(name, library, line, text)| (*name, *library, *line, text, *path)))
    {
        if by_name.contains_key(name) {
            continue;
        }
        let Ok(parsed) = EnvName::parse(name) else { continue };
        let read = EnvRead {
            name: parsed,
            required: Required::Unknown,
            secret: true,
            phases: vec![Phase::Run],
            default: None,
            consumers: vec![library.to_owned()],
            evidence: vec![Place::new(path, line, text)],
        };
        if !draft.service.env.iter().any(|known| known.name.as_str() == name) {
            draft.service.env.push(read);
        }
    }
    for (name, reads) in by_name {
        if let Some(read) = merged(draft, &name, &reads) {
            draft.service.env.push(read);
        }
    }
    draft.service.env.sort_by(|left, right| left.name.cmp(&right.name));
}

/// One variable from all its reads.
fn merged(draft: &Draft, name: &str, reads: &[(String, Read)]) -> Option<EnvRead> {
    let parsed = EnvName::parse(name).ok()?;
    let secret = reads.iter().any(|(_, read)| read.secret) || crate::secret::secret_name(name);
    let mut phases: BTreeSet<Phase> = reads.iter().flat_map(|(path, _)| phases_of(draft, path, name)).collect();
    if phases.is_empty() {
        phases.insert(Phase::Run);
    }
    let demanded = reads.iter().any(|(_, read)| read.need == Need::Demanded);
    let optional = reads.iter().any(|(_, read)| read.need == Need::Optional);
    let required = match (demanded, optional) {
        (true, _) => Required::Yes,
        (false, true) => Required::No,
        (false, false) => Required::Unknown,
    };
    let default = reads
        .iter()
        .find_map(|(_, read)| read.default.clone())
        .filter(|_| !demanded)
        // A file's address holds no password, whatever the variable is called.
        .filter(|text| (!secret || text.starts_with("sqlite")) && !crate::secret::looks_secret(text) && text.len() <= 200);
    let consumers: BTreeSet<String> = reads.iter().map(|(path, _)| module_name(path, &draft.service.dir)).collect();
    let shown = |read: &Read| if secret { without_literals(&read.text, name) } else { read.text.clone() };
    let evidence = reads.iter().take(3).map(|(path, read)| Place::new(path.clone(), read.line, &shown(read))).collect();
    Some(EnvRead {
        name: parsed,
        required,
        secret,
        phases: phases.into_iter().collect(),
        default,
        consumers: consumers.into_iter().take(5).collect(),
        evidence,
    })
}

/// A line of code with what stands in quotes masked, the variable's own name apart.
fn without_literals(text: &str, name: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(start) = rest.find(['"', '\'', '`']) {
        let (before, quoted) = rest.split_at(start);
        out.push_str(before);
        let mark = quoted.chars().next().unwrap_or('"');
        let inner = quoted.get(1..).unwrap_or_default();
        let end = inner.find(mark);
        let content = end.and_then(|end| inner.get(..end)).unwrap_or(inner);
        out.push(mark);
        out.push_str(if content.is_empty() || content == name { content } else { "***" });
        match end {
            Some(end) => {
                out.push(mark);
                rest = inner.get(end + 1..).unwrap_or_default();
            }
            None => return out,
        }
    }
    out.push_str(rest);
    out
}

/// When a read happens: by the variable's prefix, and by the file.
fn phases_of(draft: &Draft, path: &str, name: &str) -> Vec<Phase> {
    if super::facts::browser_name(name) && draft.service.language == "node" {
        return if name.starts_with("NUXT_PUBLIC_") { vec![Phase::Run, Phase::Browser] } else { vec![Phase::Build, Phase::Browser] };
    }
    let config =
        ["next.config.", "vite.config.", "nuxt.config.", "astro.config.", "svelte.config.", "tailwind.config.", "vitest.config.", "playwright.config."]
            .iter()
            .any(|head| base_of(path).starts_with(head));
    if config || draft.service.kind == Kind::Static { vec![Phase::Build] } else { vec![Phase::Run] }
}

/// The module of a file: `app.config`, `lib/api`.
fn module_name(path: &str, dir: &str) -> String {
    let below = super::walk::below(path, dir);
    let stem = below.rsplit_once('.').map_or(below, |(stem, _)| stem);
    if path.ends_with(".py") { stem.trim_end_matches("/__init__").replace('/', ".") } else { stem.to_owned() }
}

/// The folders that a service is built from.
fn homes<'own>(draft: &'own Draft, libraries: &'own [Library]) -> Vec<&'own str> {
    std::iter::once(draft.service.dir.as_str()).chain(libraries.iter().map(|library| library.dir.as_str())).collect()
}

fn prisma_reads(workspace: &Workspace, dir: &str) -> Vec<(String, u32, String)> {
    let mut out = Vec::new();
    for path in workspace.tree.under(dir).filter(|path| path.ends_with(".prisma") && !beside(path, dir)) {
        for (number, line) in workspace.text(path).unwrap_or_default().lines().enumerate() {
            if let Some((_, rest)) = line.split_once("env(\"")
                && let Some((name, _)) = rest.split_once('"')
            {
                out.push((path.to_owned(), u32::try_from(number).unwrap_or(0) + 1, name.to_owned()));
            }
        }
    }
    out
}

/// Routes with the prefixes under which their routers hang.
pub(crate) fn full_routes<'all>(files: &[(&'all str, &'all Facts)]) -> Vec<(&'all str, &'all Route, String)> {
    let mut out = Vec::new();
    for (path, facts) in files {
        for route in &facts.routes {
            let own = facts.routers.get(&route.owner).map_or("", String::as_str);
            let mounted = prefix_of(files, path, &route.owner, 0);
            let full = format!("{mounted}{own}{}", route.path).replace("//", "/");
            let full = if full.len() > 1 { full.trim_end_matches('/').to_owned() } else { full };
            out.push((*path, route, if full.is_empty() { "/".to_owned() } else { full }));
        }
    }
    out
}

/// A text as it is written, or as a setting or constant of its name holds it.
fn written(files: &[(&str, &Facts)], value: &Value) -> Option<String> {
    let of_setting = |name: &String| {
        let fields = files.iter().flat_map(|(_, facts)| facts.classes.iter().flat_map(|class| class.fields.iter()));
        let set = fields.filter(|field| field.name == *name).find_map(|field| field.default.as_ref()?.literal.clone());
        set.or_else(|| files.iter().find_map(|(_, facts)| facts.constants.get(name)?.literal.clone()))
    };
    value.literal.clone().or_else(|| value.field.as_ref().and_then(of_setting))
}

/// The prefix under which a router of a file is mounted, through up to four levels.
fn prefix_of(files: &[(&str, &Facts)], path: &str, router: &str, level: u8) -> String {
    if level > 4 || router.is_empty() {
        return String::new();
    }
    let stem = base_of(path).rsplit_once('.').map_or(base_of(path), |(stem, _)| stem);
    let module = if matches!(stem, "__init__" | "index") { base_of(dir_of(path)) } else { stem };
    for (other, facts) in files {
        for mount in &facts.mounts {
            let (hint, name) = mount.what.rsplit_once('.').map_or(("", mount.what.as_str()), |(hint, name)| (hint.rsplit('.').next().unwrap_or(hint), name));
            let here = *other == path && hint.is_empty() && name == router;
            let direct = hint == module && name == router;
            let by_import = hint.is_empty()
                && facts.imports.iter().any(|import| {
                    let last = import.module.rsplit(['.', '/']).find(|part| !matches!(*part, "js" | "ts" | "" | "index")).unwrap_or_default();
                    last == module && import.names.iter().any(|(original, alias)| alias == name && (original == router || original == "default"))
                });
            // `include("polls.urls")` of Django.
            let django = mount.what.ends_with(".urls") && stem == "urls" && mount.what.split('.').rev().nth(1) == Some(base_of(dir_of(path)));
            if here || direct || by_import || django {
                let prefix = written(files, &mount.prefix).unwrap_or_default();
                let own = facts.routers.get(&mount.onto).cloned().unwrap_or_default();
                let above = if *other == path && mount.onto == router { String::new() } else { prefix_of(files, other, &mount.onto, level + 1) };
                return format!("{above}{own}{prefix}");
            }
        }
    }
    String::new()
}

fn health(draft: &mut Draft, files: &[(&str, &Facts)]) {
    let routes = full_routes(files);
    let get = |(_, route, path): &&(&str, &Route, String)| route.method == "get" && !path.contains(['{', '<', '[', ':', '*', '$']);
    // Under a longer path lies what an application counts for itself, in a form of its own.
    if let Some((file, route, path)) = routes.iter().filter(get).find(|(_, _, path)| matches!(path.as_str(), "/metrics" | "/actuator/prometheus")) {
        draft.fact("metrics.path", path.as_str());
        draft.shows("metrics", Place::new(*file, route.line, &route.text));
    }
    let last = |path: &str| path.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let ready_name = |path: &str| matches!(last(path).as_str(), "ready" | "readyz" | "readiness" | "_ready");
    let mut ready: Vec<_> = routes.iter().filter(get).filter(|(_, _, path)| ready_name(path)).collect();
    let mut live: Vec<(u8, &(&str, &Route, String))> = routes.iter().filter(get).filter_map(|found| live_rank(&found.2).map(|rank| (rank, found))).collect();
    live.sort_by_key(|(rank, (_, route, path))| (route.touches, *rank, path.matches('/').count(), path.clone()));
    ready.sort_by_key(|(_, _, path)| (path.len(), path.clone()));
    let chosen = live.first().map(|(_, found)| *found);
    let mut health = Health { live: None, ready: ready.first().map(|(_, _, path)| path.clone()), evidence: Vec::new() };
    if let Some((file, route, path)) = chosen {
        if !route.touches {
            health.live = Some(path.clone());
            health.evidence.push(Place::new(*file, route.line, &route.text));
        } else if health.ready.is_none() {
            health.ready = Some(path.clone());
            health.evidence.push(Place::new(*file, route.line, &route.text));
        }
    }
    if let Some((file, route, _)) = ready.first() {
        health.evidence.push(Place::new(*file, route.line, &route.text));
    }
    if health.live.is_some() || health.ready.is_some() {
        draft.service.health = Some(health);
    }
}

/// What the compose file's health check asks of an interface whose code shows no route.
fn compose_health(workspace: &Workspace, draft: &mut Draft) {
    let (None, Kind::Api, Some(name)) = (&draft.service.health, draft.service.kind, &draft.service.compose_service) else { return };
    let Some(service) = workspace.compose.iter().find(|service| service.name == *name && service.healthcheck.is_some()) else { return };
    let evidence = vec![Place::new(service.file.clone(), service.line, &service.name)];
    draft.service.health = Some(Health { live: None, ready: service.healthcheck.clone(), evidence });
}

/// gRPC's own health service, where no route answers: `grpc:<port>`.
fn grpc_health(draft: &mut Draft, files: &[(&str, &Facts)]) {
    let Some((file, (line, text))) = files.iter().find_map(|(path, facts)| facts.grpc_health.as_ref().map(|found| (*path, found))) else { return };
    let Some(port) = draft.service.ports.first_mut() else { return };
    "grpc".clone_into(&mut port.protocol);
    if draft.service.health.is_none() {
        draft.service.health = Some(Health { live: Some(format!("grpc:{}", port.port)), ready: None, evidence: vec![Place::new(file, *line, text)] });
    }
}

/// How good a name for liveness a path is; less is better.
fn live_rank(path: &str) -> Option<u8> {
    let lower = path.to_ascii_lowercase();
    let last = lower.rsplit('/').next()?;
    Some(match last {
        "live" | "livez" | "liveness" => 0,
        "health" => 1,
        "healthz" | "_health" | "_healthz" => 2,
        "healthcheck" | "health-check" | "health_check" => 3,
        "up" | "ping" | "heartbeat" | "alive" if lower.matches('/').count() <= 2 => 5,
        "status" if lower.matches('/').count() <= 1 => 6,
        _ => return None,
    })
}

/// `built`: with the libraries of the workspace, where a server may be made that is started here.
fn mcp(workspace: &Workspace, draft: &mut Draft, files: &[(&str, &Facts)], built: &[(&str, &Facts)]) {
    let starts = files.iter().any(|(_, facts)| !facts.mcp_runs.is_empty());
    let made = if starts { built } else { files };
    let Some((server_file, server)) = made.iter().find_map(|(path, facts)| facts.mcp_servers.first().map(|server| (*path, server))) else { return };
    let runs: Vec<_> = files.iter().flat_map(|(path, facts)| facts.mcp_runs.iter().map(move |run| (*path, run))).collect();
    let rank = |transport: Option<&str>| match transport {
        Some("http") => 0,
        Some("sse") => 1,
        Some("stdio") => 2,
        Some(_) | None => 3,
    };
    let run = runs.iter().min_by_key(|(_, run)| rank(run.transport));
    let transport = match run.map(|(_, run)| run.transport) {
        Some(Some("http")) => McpTransport::Http,
        Some(Some("sse")) => McpTransport::Sse,
        Some(Some("stdio")) => McpTransport::Stdio,
        Some(_) => {
            draft.unknown.push(("mcp.transport".to_owned(), run.map(|(file, run)| Place::new(*file, run.line, &run.text)).into_iter().collect()));
            McpTransport::Http
        }
        None => transport_of_package(draft),
    };
    let written = run.and_then(|(_, run)| run.path.clone()).or_else(|| server.path.clone()).and_then(|path| path.literal);
    let path = match transport {
        McpTransport::Stdio => None,
        McpTransport::Http => Some(written.or_else(|| script_path(files, "mcp")).unwrap_or_else(|| "/mcp".to_owned())),
        McpTransport::Sse => Some(written.or_else(|| script_path(files, "sse")).unwrap_or_else(|| "/sse".to_owned())),
    };
    // Mounted into another application: the mount's prefix comes before.
    let mounted = files
        .iter()
        .flat_map(|(_, facts)| facts.mounts.iter())
        .find(|mount| mount.what.contains("http_app") || mount.what.contains("mcp_app") || mount.what.contains("sse_app"));
    let path = match (path, mounted.and_then(|mount| mount.prefix.literal.clone())) {
        (Some(path), Some(prefix)) if draft.service.kind != Kind::McpServer && prefix != "/" => {
            Some(format!("{prefix}{}", if path == "/" { "" } else { &path }))
        }
        (path, _) => path,
    };
    let mut tools = Vec::new();
    for (_, facts) in made {
        for (name, _, _) in &facts.tools {
            if !tools.contains(name) {
                tools.push(name.clone());
            }
        }
    }
    let mut evidence = vec![Place::new(server_file, server.line, &server.text)];
    evidence.extend(run.map(|(file, run)| Place::new(*file, run.line, &run.text)));
    let serves = transport != McpTransport::Stdio;
    let silent = matches!(draft.service.kind, Kind::Api | Kind::Worker) && draft.service.ports.is_empty() && draft.service.language != "node";
    if draft.service.language != "python" && (serves && draft.service.kind == Kind::Api || !serves && silent) {
        draft.service.kind = Kind::McpServer;
    }
    draft.service.mcp = Some(Mcp { transport, path, sdk: server.sdk.to_owned(), tools, evidence });
    if draft.service.kind == Kind::McpServer && draft.service.ports.is_empty() && transport != McpTransport::Stdio {
        super::assemble::code_ports(workspace, draft);
        if draft.service.ports.is_empty() && draft.service.language == "python" {
            draft.port(8000, "http", Place::new(server_file, server.line, &server.text));
        }
    }
}

/// How a server speaks whose SDK decides it by the package that is built in.
fn transport_of_package(draft: &Draft) -> McpTransport {
    let asks = |packages: [&str; 2]| packages.iter().any(|package| draft.service.depends_on(package));
    if asks(["quarkus-mcp-server-http", "quarkus-mcp-server-sse"]) {
        McpTransport::Http
    } else if asks(["spring-ai-starter-mcp-server-webmvc", "spring-ai-starter-mcp-server-webflux"]) {
        McpTransport::Sse
    } else {
        McpTransport::Stdio
    }
}

/// The route on which a script serves MCP: `app.post("/mcp", …)`.
fn script_path(files: &[(&str, &Facts)], word: &str) -> Option<String> {
    files.iter().flat_map(|(_, facts)| facts.routes.iter()).find(|route| route.path.rsplit('/').next() == Some(word)).map(|route| route.path.clone())
}

/// Packages that speak to a kind of backing service, and the words of variables that hold its address.
const BACKING: &[(&str, &[&str], &[&str])] = &[
    (
        "postgres",
        &[
            "psycopg",
            "psycopg2",
            "psycopg2-binary",
            "psycopg-binary",
            "asyncpg",
            "pg8000",
            "pg",
            "postgres",
            "postgresql",
            "@neondatabase/serverless",
            "@vercel/postgres",
            "pg-promise",
            "postgrex",
            "lib/pq",
            "github.com/lib/pq",
            "github.com/jackc/pgx/v5",
            "gorm.io/driver/postgres",
            "tokio-postgres",
            "npgsql",
            "npgsql.entityframeworkcore.postgresql",
        ],
        &["DATABASE_URL", "POSTGRES", "PG", "DB_URL", "DB_HOST", "DATABASE"],
    ),
    (
        "mysql",
        &[
            "pymysql",
            "mysqlclient",
            "aiomysql",
            "mysql-connector-python",
            "mysql",
            "mysql2",
            "mariadb",
            "mysql-connector",
            "mariadb-java-client",
            "github.com/go-sql-driver/mysql",
            "trilogy",
            "pomelo.entityframeworkcore.mysql",
        ],
        &["DATABASE_URL", "MYSQL", "MARIADB", "DB_URL", "DB_HOST", "DATABASE"],
    ),
    (
        "redis",
        &[
            "redis",
            "ioredis",
            "aioredis",
            "connect-redis",
            "bullmq",
            "bull",
            "github.com/redis/go-redis/v9",
            "github.com/go-redis/redis/v8",
            "sidekiq",
            "stackexchange.redis",
            "spring-boot-starter-data-redis",
            "microsoft.extensions.caching.stackexchangeredis",
            "flask-redis",
            "django-redis",
            "@upstash/redis",
            "rq",
        ],
        &["REDIS", "CACHE_URL", "BROKER_URL", "VALKEY"],
    ),
    (
        "mongodb",
        &[
            "pymongo",
            "motor",
            "beanie",
            "mongoengine",
            "mongoose",
            "mongodb",
            "go.mongodb.org/mongo-driver",
            "mongoid",
            "mongodb.driver",
            "spring-boot-starter-data-mongodb",
        ],
        &["MONGO", "DATABASE_URL", "DB_URL"],
    ),
    ("rabbitmq", &["pika", "aio-pika", "amqplib", "bunny", "spring-boot-starter-amqp", "rabbitmq.client", "lapin"], &["RABBIT", "AMQP", "BROKER_URL"]),
    ("kafka", &["kafka-python", "aiokafka", "confluent-kafka", "kafkajs", "spring-kafka", "github.com/segmentio/kafka-go", "rdkafka"], &["KAFKA", "BOOTSTRAP"]),
    ("s3", &["boto3", "aioboto3", "minio", "@aws-sdk/client-s3", "aws-sdk-s3"], &["S3", "MINIO", "AWS", "BUCKET"]),
    ("elasticsearch", &["elasticsearch", "@elastic/elasticsearch", "opensearch-py"], &["ELASTIC", "OPENSEARCH"]),
    ("nats", &["nats-py", "nats"], &["NATS"]),
    ("memcached", &["pymemcache", "pylibmc", "memjs", "dalli"], &["MEMCACHE"]),
    ("vector", &["qdrant-client", "chromadb", "weaviate-client", "@qdrant/js-client-rest", "pinecone"], &["QDRANT", "CHROMA", "WEAVIATE", "PINECONE"]),
    (
        "llm",
        &[
            "openai",
            "openai-agents",
            "anthropic",
            "google-generativeai",
            "google-genai",
            "groq",
            "cohere",
            "litellm",
            "mistralai",
            "langchain-openai",
            "@ai-sdk/openai",
            "@openai/agents",
            "@anthropic-ai/sdk",
            "@google/generative-ai",
            "ollama",
            "agents",
        ],
        &["OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE_API", "GROQ", "COHERE", "MISTRAL", "LLM", "OLLAMA"],
    ),
];

/// True for a module of a package: .NET writes packages with capitals, Python modules with other signs than their packages.
fn of_package(module: &str, package: &str) -> bool {
    let plain = |letter: u8| if matches!(letter, b'_' | b'.') { b'-' } else { letter.to_ascii_lowercase() };
    module.len() >= package.len() && module.bytes().zip(package.bytes()).all(|(left, right)| plain(left) == plain(right))
}

fn backing(workspace: &Workspace, draft: &mut Draft, files: &[(&str, &Facts)], libraries: &[Library]) {
    let mut found: Vec<BackingNeed> = Vec::new();
    let sql_word = |name: &str| ["DATABASE", "DB_", "SQL"].iter().any(|word| name.contains(word));
    for (kind, packages, words) in BACKING {
        let asked = |package: &&&str| draft.service.depends_on(package) || libraries.iter().any(|library| library.depends_on(package));
        let imports =
            |package: &str| files.iter().any(|(_, facts)| facts.imports.iter().any(|import| of_package(&import.module, package.trim_end_matches("-binary"))));
        let known: Vec<&str> = packages.iter().filter(asked).copied().collect();
        let imported = known.iter().copied().find(|package| imports(package));
        let Some(package) = imported.or(known.first().copied()) else { continue };
        let imported = imported.is_some();
        let variable =
            words.iter().find_map(|word| draft.service.env.iter().find(|read| read.name.as_str().contains(word) && address_like(read.name.as_str(), kind)));
        // A driver that nothing imports and no variable points to came with another package.
        if variable.is_none() && !imported && !matches!(*kind, "postgres" | "mysql") {
            continue;
        }
        if variable.is_none() && matches!(*kind, "postgres" | "mysql") && !imported && draft.service.language == "python" {
            continue;
        }
        let (via, evidence) = match variable {
            Some(read) => (read.name.to_string(), read.evidence.clone()),
            None => {
                (package.to_owned(), draft.service.evidence.get("dependencies").or_else(|| draft.service.evidence.get("language")).cloned().unwrap_or_default())
            }
        };
        found.push(BackingNeed { kind: (*kind).to_owned(), via, evidence: evidence.into_iter().take(2).collect() });
    }
    by_scheme(workspace, draft, files, libraries, &mut found);
    let sqlite = draft.service.env.iter().find(|read| sql_word(read.name.as_str()) && read.default.as_deref().is_some_and(|text| text.starts_with("sqlite")));
    if let Some(read) = sqlite.filter(|_| !found.iter().any(|need| matches!(need.kind.as_str(), "postgres" | "mysql"))) {
        found.push(BackingNeed { kind: "sqlite".to_owned(), via: read.name.to_string(), evidence: read.evidence.clone() });
    }
    if let Some(name) = draft.service.compose_service.clone() {
        by_compose(workspace, &name, draft, &mut found);
    }
    found.sort_by(|left, right| (&left.kind, &left.via).cmp(&(&right.kind, &right.via)));
    found.dedup_by(|left, right| left.kind == right.kind);
    draft.service.backing = found;
}

/// True for a variable that may hold an address or the parts of one.
fn address_like(name: &str, kind: &str) -> bool {
    if kind == "llm" {
        return name.ends_with("KEY") || name.ends_with("URL") || name.ends_with("TOKEN");
    }
    ["URL", "URI", "HOST", "DSN", "SERVER", "SERVERS", "ADDR", "ADDRS", "ADDRESS", "ADDRESSES", "CONNECTION", "STRING", "ENDPOINT", "BROKER", "BUCKET", "NAME"]
        .iter()
        .any(|tail| name.ends_with(tail))
        || name.contains("_URL")
        || name.contains("CONNECTION")
}

/// What addresses say: `postgresql://` in a default, Prisma's provider.
fn by_scheme(workspace: &Workspace, draft: &Draft, files: &[(&str, &Facts)], libraries: &[Library], found: &mut Vec<BackingNeed>) {
    let schemes = [("postgres", "postgres"), ("mysql", "mysql"), ("mariadb", "mysql"), ("redis", "redis"), ("mongodb", "mongodb"), ("amqp", "rabbitmq")];
    let mut add = |kind: &str, via: String, place: Place| {
        if !found.iter().any(|need| need.kind == kind) {
            found.push(BackingNeed { kind: kind.to_owned(), via, evidence: vec![place] });
        }
    };
    for path in homes(draft, libraries).into_iter().flat_map(|home| workspace.tree.under(home)).filter(|path| path.ends_with("schema.prisma")) {
        let text = workspace.text(path).unwrap_or_default();
        let provider =
            text.split("datasource").nth(1).and_then(|rest| rest.split("provider").nth(1)).and_then(|rest| rest.split('"').nth(1)).unwrap_or_default();
        let via = text.split("datasource").nth(1).and_then(|rest| rest.split("env(\"").nth(1)).and_then(|rest| rest.split('"').next()).unwrap_or("prisma");
        if let Some((_, kind)) = schemes.iter().find(|(scheme, _)| provider.starts_with(scheme)) {
            let (line, shown) = super::facts::find_line(text, "provider");
            add(kind, via.to_owned(), Place::new(path, line, shown));
        }
    }
    for (path, facts) in files {
        for read in &facts.reads {
            let default = read.default.as_deref().unwrap_or_default();
            if let Some((_, kind)) = schemes.iter().find(|(scheme, _)| default.starts_with(scheme) && default.contains("://")) {
                add(kind, read.name.clone(), Place::new(*path, read.line, &read.text));
            }
        }
    }
    // Spring keeps its addresses in application.yml.
    for name in ["application.yml", "application.yaml", "application.properties"] {
        let path = join(&draft.service.dir, &format!("src/main/resources/{name}"));
        let text = workspace.text(&path).unwrap_or_default();
        for (scheme, kind) in [("jdbc:postgresql", "postgres"), ("jdbc:mysql", "mysql"), ("jdbc:mariadb", "mysql")] {
            let (line, shown) = super::facts::find_line(text, scheme);
            if line > 0 {
                add(kind, "spring.datasource.url".to_owned(), Place::new(path.clone(), line, shown));
            }
        }
    }
}

/// What the compose file sets beside the service.
fn by_compose(workspace: &Workspace, name: &str, draft: &Draft, found: &mut Vec<BackingNeed>) {
    let Some(service) = workspace.compose.iter().find(|service| service.name == name && service.build.is_some()) else { return };
    for other in workspace.compose.iter().filter(|other| other.file == service.file) {
        let Some(kind) = other.image.as_deref().and_then(super::docker::backing_image) else { continue };
        let variable =
            service.environment.iter().find(|(_, value)| value.as_deref().is_some_and(|value| value.contains(&other.name))).map(|(key, _)| key.clone());
        if found.iter().any(|need| need.kind == kind) || (variable.is_none() && !service.depends_on.contains(&other.name)) {
            continue;
        }
        let read = variable.clone().filter(|variable| draft.service.env.iter().any(|read| read.name.as_str() == variable));
        let via = read.or(variable).unwrap_or_else(|| other.name.clone());
        found.push(BackingNeed {
            kind: kind.to_owned(),
            via,
            evidence: vec![Place::new(other.file.clone(), other.line, other.image.as_deref().unwrap_or_default())],
        });
    }
}

fn writes(draft: &mut Draft, files: &[(&str, &Facts)]) {
    let mut all: BTreeSet<String> = BTreeSet::new();
    for (_, facts) in files {
        all.extend(facts.writes.iter().map(|(path, _)| path.trim_start_matches("./").trim_end_matches('/').to_owned()));
    }
    for read in &draft.service.env {
        if let Some(path) = read.default.as_deref().and_then(|text| text.strip_prefix("sqlite:///").or_else(|| text.strip_prefix("sqlite+aiosqlite:///"))) {
            all.insert(dir_of(path.trim_start_matches("./")).to_owned());
        }
    }
    all.retain(|path| !path.is_empty() && path != "/" && !path.starts_with("..") && !path.contains(['$', '{', '*', '<']));
    draft.service.writes = all.into_iter().collect();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_told_by_their_packages() {
        let check = |module: &str, package: &str, expect: bool| assert_eq!(of_package(module, package), expect, "{module} of {package}");
        check("StackExchange.Redis", "stackexchange.redis", true);
        check("google.generativeai", "google-generativeai", true);
        check("psycopg2.extras", "psycopg2", true);
        check("pg", "pg-promise", false);
        check("redirect", "redis", false);
    }
}
