//! What one source file says, in the same words for every language; nothing here knows of services.

use super::words::Words;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A value as far as it is known without running the code: `env`, or `literal` where that is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Value {
    pub(crate) literal: Option<String>,
    /// The variable it is read from.
    pub(crate) env: Option<String>,
    /// The last part of `settings.port`, to be looked up among settings.
    pub(crate) field: Option<String>,
}

impl Value {
    pub(crate) fn literal(text: impl Into<String>) -> Self {
        Self { literal: Some(text.into()), ..Self::default() }
    }
    pub(crate) fn number(&self) -> Option<u16> {
        self.literal.as_deref().and_then(|text| text.trim().parse().ok()).filter(|port| *port > 0)
    }
}

/// How a file needs a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// The program stops without it.
    Demanded,
    Optional,
    Unclear,
}

/// One read of an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    pub(crate) name: String,
    pub(crate) need: Need,
    pub(crate) default: Option<String>,
    pub(crate) line: u32,
    pub(crate) text: String,
    /// Declared to be secret by its type.
    pub(crate) secret: bool,
    /// The name that the value is bound to.
    pub(crate) bound: Option<String>,
    /// What is written beside it: a comment or a doc string.
    pub(crate) doc: String,
}

/// A route that a program serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) path: String,
    /// The application or router it hangs on.
    pub(crate) owner: String,
    pub(crate) handler: String,
    /// The handler asks a database or another service.
    pub(crate) touches: bool,
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// A router hung under a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// What is mounted, as written: `health.router`.
    pub(crate) what: String,
    pub(crate) onto: String,
    pub(crate) prefix: Value,
}

/// An application object of a web framework.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct App {
    pub(crate) framework: &'static str,
    pub(crate) variable: String,
    /// The function that makes it, where it is not a module's variable.
    pub(crate) factory: Option<String>,
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// A program that starts to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listen {
    pub(crate) port: Value,
    pub(crate) host: Option<Value>,
    pub(crate) protocol: &'static str,
    /// What listens: `uvicorn`, `flask`, `express`, …
    pub(crate) by: &'static str,
    /// The application's name, as written.
    pub(crate) target: String,
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// An MCP server object, with what its constructor says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct McpServer {
    pub(crate) sdk: &'static str,
    pub(crate) variable: String,
    pub(crate) host: Option<Value>,
    pub(crate) port: Option<Value>,
    pub(crate) path: Option<Value>,
    /// Host checking is configured by hand.
    pub(crate) guarded: bool,
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// A way in which an MCP server is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct McpRun {
    /// `http`, `sse`, `stdio` or unknown.
    pub(crate) transport: Option<&'static str>,
    pub(crate) host: Option<Value>,
    pub(crate) port: Option<Value>,
    pub(crate) path: Option<Value>,
    pub(crate) guarded: bool,
    /// The call itself serves; an `…_app()` only makes an application.
    pub(crate) serves: bool,
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// A use of an MCP client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct McpClient {
    pub(crate) transport: &'static str,
    pub(crate) line: u32,
    pub(crate) text: String,
}

/// A class of settings read from the environment, or one that may turn out to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) name: String,
    pub(crate) bases: Vec<String>,
    pub(crate) prefix: String,
    pub(crate) fields: Vec<Field>,
    pub(crate) aliases_only: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) kind: String,
    /// `None`: no default, the field is demanded.
    pub(crate) default: Option<Value>,
    pub(crate) line: u32,
    pub(crate) text: String,
    pub(crate) doc: String,
}

/// An import: the module as written, the names taken from it (name, alias).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) module: String,
    pub(crate) names: Vec<(String, String)>,
    pub(crate) line: u32,
    /// It stands at the top of the file, where nothing catches what it throws.
    pub(crate) bare: bool,
}

/// Everything of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) imports: Vec<Import>,
    pub(crate) reads: Vec<Read>,
    pub(crate) classes: Vec<Class>,
    pub(crate) routes: Vec<Route>,
    pub(crate) routers: BTreeMap<String, String>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) apps: Vec<App>,
    pub(crate) listens: Vec<Listen>,
    pub(crate) mcp_servers: Vec<McpServer>,
    pub(crate) mcp_runs: Vec<McpRun>,
    pub(crate) mcp_clients: Vec<McpClient>,
    pub(crate) tools: Vec<(String, u32, String)>,
    /// Literal addresses, `http://…`.
    pub(crate) urls: Vec<(String, u32)>,
    pub(crate) writes: Vec<(String, u32)>,
    /// The file is a program: `if __name__ == "__main__"`, `func main`, …
    pub(crate) program: bool,
    /// Clients of paid interfaces that are built without a key in the code: they read it themselves.
    pub(crate) implied: Vec<(&'static str, &'static str, u32, String)>,
    /// Files and modules that a stdio client starts.
    pub(crate) spawns: Vec<String>,
    /// The file asks for code of `use client`, or is only for browsers.
    pub(crate) browser: bool,
    pub(crate) constants: BTreeMap<String, Value>,
    /// Where the standard health service of gRPC is added to a server: line, text.
    pub(crate) grpc_health: Option<(u32, String)>,
}

impl Facts {
    /// True where a module is imported whose name begins so.
    pub(crate) fn imports(&self, module: &str) -> bool {
        self.imports.iter().any(|import| import.module == module || import.module.strip_prefix(module).is_some_and(|rest| rest.starts_with(['.', '/'])))
    }
}

/// The line of a byte offset, counted from 1.
pub(crate) fn line_at(text: &str, offset: usize) -> u32 {
    let seen = text.as_bytes().get(..offset).unwrap_or_default();
    u32::try_from(seen.iter().filter(|byte| **byte == b'\n').count()).unwrap_or(u32::MAX).saturating_add(1)
}

/// The text of a line, counted from 1.
pub(crate) fn line_text(text: &str, line: u32) -> &str {
    text.lines().nth((line.saturating_sub(1)) as usize).unwrap_or_default().trim()
}

/// The first line that holds `needle`, with its text; line 0 where none does.
pub(crate) fn find_line<'text>(text: &'text str, needle: &str) -> (u32, &'text str) {
    text.lines()
        .enumerate()
        .find(|(_, line)| line.contains(needle))
        .map_or((0, ""), |(number, line)| (u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1), line.trim()))
}

/// True for a variable that the frontend tools bake into what browsers load.
pub(crate) fn browser_name(name: &str) -> bool {
    ["NEXT_PUBLIC_", "VITE_", "REACT_APP_", "NUXT_PUBLIC_", "PUBLIC_", "EXPO_PUBLIC_", "GATSBY_", "VUE_APP_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Where a program answers the standard health checks of gRPC, in any language.
pub(crate) fn grpc_health(text: &str) -> Option<(u32, String)> {
    const ADDED: &[&str] = &[
        "RegisterHealthServer(",
        "add_HealthServicer_to_server(",
        "HealthStatusManager(",
        "Health.service,",
        "HealthImplementation(",
        "MapGrpcHealthChecksService(",
        ": HealthBase",
        ": Health.HealthBase",
        "tonic_health::server::health_reporter(",
    ];
    static NAMED: LazyLock<Words> = LazyLock::new(|| Words::new(&["Health", "tonic_health"]));
    if !NAMED.in_text(text) {
        return None;
    }
    ADDED.iter().map(|word| find_line(text, word)).find(|(line, _)| *line > 0).map(|(line, text)| (line, text.to_owned()))
}

/// True for a name that a variable of an environment could have.
pub(crate) fn env_like(name: &str) -> bool {
    crate::names::EnvName::parse(name).is_ok()
}

/// The text of a handler says that it asks something else: a name of a session or client that is used, or a call that goes out.
pub(crate) fn touches_others(text: &str) -> bool {
    const CALLS: &[&str] = &[
        "select 1",
        ".execute(",
        ".ping(",
        ".$queryraw",
        "is_reachable",
        "check_db",
        "check_database",
        "check_redis",
        "httpx.",
        "axios.",
        "requests.get",
        "requests.post",
        "fetch(",
    ];
    const NAMES: &[&str] = &[
        "session",
        "get_session",
        "get_db",
        "db",
        "engine",
        "database",
        "databaseengine",
        "databasesession",
        "prisma",
        "mongoose",
        "sequelize",
        "redis",
        "pool",
        "knex",
        "datasource",
    ];
    let lower = text.to_ascii_lowercase();
    if CALLS.iter().any(|call| lower.contains(call)) {
        return true;
    }
    let mut rest = lower.as_str();
    while let Some(start) = rest.find(|letter: char| letter.is_ascii_alphabetic()) {
        let word = rest.get(start..).unwrap_or_default();
        let end = word.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(word.len());
        let (name, after) = word.split_at(end);
        if NAMES.contains(&name) && after.trim_start().starts_with(['.', ':', '(', ')', ',', '=', '|', '[']) {
            return true;
        }
        rest = after;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_asks_others_is_told_apart() {
        for asks in
            ["def ready(db: Session = Depends(get_db)):", "await prisma.$queryRaw`SELECT 1`", "if is_reachable(engine)", "await redis.ping()", "fetch(backend)"]
        {
            assert!(touches_others(asks), "{asks}");
        }
        for alone in ["return {\"status\": \"ok\"}", "return {\"database\": \"unknown\"}", "res.json({ ok: true })", "// asks no database at all"] {
            assert!(!touches_others(alone), "{alone}");
        }
    }
}
