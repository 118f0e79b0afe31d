//! What a TypeScript or JavaScript file says: environment reads, routes, what listens, and MCP, from its syntax tree.

use super::facts::{App, Facts, Import, Listen, McpClient, McpRun, McpServer, Mount, Need, Read, Route, Value, env_like, touches_others};
use super::python::urls;
use super::syntax::{Grammar, ancestor, children, line, line_of, parse, preorder, source};
use super::words::Words;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use tree_sitter::Node;

/// A file without any of these words says nothing that a survey asks for.
const WORDS: &[&str] = &[
    ".env",
    "listen(",
    "express",
    "fastify",
    "Hono",
    "hono",
    "koa",
    "http://",
    "https://",
    "node:http",
    "route",
    "Router",
    "serve(",
    "mcp",
    "Mcp",
    "MCP",
    "Controller",
    "NestFactory",
    "Elysia",
    "mkdir",
    "writeFile",
    "createWriteStream",
    "OpenAI",
    "bindAsync",
    ".get(\"/",
    ".get('/",
    "use client",
];

/// All of them at once.
static LOOK: LazyLock<Words> = LazyLock::new(|| Words::new(WORDS));

/// The setting of an Express application that holds its port; no name that a script could give.
const EXPRESS_PORT: &str = "app.set(port)";

const METHODS: &[&str] = &["get", "post", "put", "delete", "patch", "all", "route"];

/// Extracts; an unparsable file gives what its readable parts say.
pub(crate) fn extract(text: &str) -> Facts {
    let mut facts = Facts::default();
    if !LOOK.in_text(text) {
        facts.imports = imports_alone(text);
        return facts;
    }
    facts.browser = text.trim_start().starts_with("\"use client\"") || text.trim_start().starts_with("'use client'");
    let Some(tree) = parse(Grammar::Script, text) else { return facts };
    let mut file = File { text, facts: &mut facts, demanded: BTreeSet::new(), env_aliases: BTreeSet::new() };
    for node in preorder(tree.root_node()) {
        file.prepare(node);
    }
    for node in preorder(tree.root_node()) {
        file.visit(node);
    }
    file.settle();
    facts
}

/// What stands before a module's name.
static IMPORTED: LazyLock<Words> =
    LazyLock::new(|| Words::new(&["from \"", "from '", "import \"", "import '", "require(\"", "require('", "import(\"", "import('"]));

/// The imports of a file of which nothing else matters: enough to follow them, without a syntax tree.
fn imports_alone(text: &str) -> Vec<Import> {
    let (mut out, mut line, mut counted) = (Vec::new(), 1u32, 0usize);
    for (_, end) in IMPORTED.hits(text) {
        let newlines = text.get(counted..end).map_or(0, |part| part.bytes().filter(|byte| *byte == b'\n').count());
        line = line.saturating_add(u32::try_from(newlines).unwrap_or(u32::MAX));
        counted = end;
        let module = text.get(end..).and_then(|rest| rest.split(['"', '\'', '\n']).next()).unwrap_or_default();
        if !module.is_empty() {
            out.push(Import { module: module.to_owned(), names: Vec::new(), line, bare: false });
        }
    }
    out
}

struct File<'text, 'facts> {
    text: &'text str,
    facts: &'facts mut Facts,
    demanded: BTreeSet<String>,
    /// Other names of `process.env`.
    env_aliases: BTreeSet<String>,
}

impl<'text> File<'text, '_> {
    fn src(&self, node: Node<'_>) -> &'text str {
        source(node, self.text)
    }

    fn field(&self, node: Node<'_>, name: &str) -> &'text str {
        node.child_by_field_name(name).map(|part| self.src(part)).unwrap_or_default()
    }

    fn prepare(&mut self, node: Node<'_>) {
        match node.kind() {
            // `export … from "./address"` runs the other file as well.
            "import_statement" | "export_statement" => {
                let Some(module) = node.child_by_field_name("source").and_then(|module| self.string(module)) else { return };
                let names = preorder(node).filter(|part| matches!(part.kind(), "import_specifier" | "export_specifier")).map(|part| {
                    let name = self.field(part, "name").to_owned();
                    let alias = part.child_by_field_name("alias").map_or_else(|| name.clone(), |alias| self.src(alias).to_owned());
                    (name, alias)
                });
                let mut names: Vec<(String, String)> = names.collect();
                if let Some(default) =
                    children(node).into_iter().find(|part| part.kind() == "import_clause").and_then(|clause| children(clause).first().copied())
                    && default.kind() == "identifier"
                {
                    names.push(("default".to_owned(), self.src(default).to_owned()));
                }
                self.facts.imports.push(Import { module, names, line: line(node), bare: false });
            }
            "call_expression" if matches!(self.field(node, "function"), "require" | "import") => {
                if let Some(module) = self.argument(node, 0).and_then(|module| self.string(module)) {
                    let alias = node.parent().filter(|parent| parent.kind() == "variable_declarator").map(|parent| self.field(parent, "name").to_owned());
                    let names = alias.into_iter().map(|alias| ("default".to_owned(), alias)).collect();
                    self.facts.imports.push(Import { module, names, line: line(node), bare: false });
                }
            }
            "variable_declarator" => {
                let (Some(name), Some(value)) = (node.child_by_field_name("name"), node.child_by_field_name("value")) else { return };
                if name.kind() == "identifier" {
                    if self.is_env(value) {
                        self.env_aliases.insert(self.src(name).to_owned());
                        return;
                    }
                    let known = self.value(value, 0);
                    if known.literal.is_some() || known.env.is_some() {
                        self.facts.constants.insert(self.src(name).to_owned(), known);
                    }
                }
            }
            "if_statement" => self.demand(node),
            _ => {}
        }
    }

    /// `if (!x) throw …` and `if (!x) process.exit(1)`.
    fn demand(&mut self, node: Node<'_>) {
        let (Some(condition), Some(then)) = (node.child_by_field_name("condition"), node.child_by_field_name("consequence")) else { return };
        let stops = preorder(then).take(200).any(|part| match part.kind() {
            "throw_statement" => true,
            "call_expression" => self.field(part, "function") == "process.exit",
            _ => false,
        });
        if !stops || self.on_request(node) {
            return;
        }
        for part in preorder(condition) {
            if part.kind() == "unary_expression" && self.field(part, "operator") == "!" {
                let argument = self.field(part, "argument");
                self.demanded.insert(argument.rsplit('.').next().unwrap_or(argument).to_owned());
            }
            if part.kind() == "binary_expression" && (self.src(part).ends_with("undefined") || self.src(part).ends_with("null")) {
                let left = self.field(part, "left");
                self.demanded.insert(left.rsplit('.').next().unwrap_or(left).to_owned());
            }
        }
    }

    /// Inside a function that is not one of those that run at start.
    fn on_request(&self, node: Node<'_>) -> bool {
        const AT_START: &[&str] = &["valid", "load", "config", "env", "start", "main", "bootstrap", "init", "require", "assert", "connect"];
        let function = ancestor(node, &["function_declaration", "method_definition", "arrow_function", "function_expression"], 40);
        function.is_some_and(|function| {
            let own = self.field(function, "name");
            let name = if own.is_empty() {
                function.parent().filter(|parent| parent.kind() == "variable_declarator").map(|parent| self.field(parent, "name")).unwrap_or_default()
            } else {
                own
            };
            let name = name.to_ascii_lowercase();
            !AT_START.iter().any(|word| name.contains(word))
        })
    }

    fn visit(&mut self, node: Node<'_>) {
        match node.kind() {
            "member_expression" => self.member(node),
            "subscript_expression" => {
                if node.child_by_field_name("object").is_some_and(|object| self.is_env(object))
                    && let Some(name) = node.child_by_field_name("index").and_then(|index| self.string(index))
                {
                    self.read(node, &name);
                }
            }
            "variable_declarator" => {
                self.destructured(node);
                self.application(node);
            }
            "call_expression" => self.call(node),
            "new_expression" => self.construct(node),
            "class_declaration" => self.controller(node),
            "export_statement" => self.exported(node),
            "string" | "template_string" => {
                let content = self.src(node);
                if content.contains("http://") || content.contains("https://") {
                    let at = line(node);
                    self.facts.urls.extend(urls(content).into_iter().map(|url| (url, at)));
                }
            }
            _ => {}
        }
    }

    /// `process.env`, `import.meta.env`, `Bun.env` or another name for one of them.
    fn is_env(&self, node: Node<'_>) -> bool {
        let text = self.src(node);
        matches!(text, "process.env" | "import.meta.env" | "Bun.env" | "globalThis.process.env")
            || (node.kind() == "identifier" && self.env_aliases.contains(text))
    }

    fn member(&mut self, node: Node<'_>) {
        if !node.child_by_field_name("object").is_some_and(|object| self.is_env(object)) {
            return;
        }
        let name = self.field(node, "property");
        // Vite's own, and what every runtime has.
        if matches!(name, "MODE" | "DEV" | "PROD" | "SSR" | "BASE_URL") && self.src(node).starts_with("import.meta") {
            return;
        }
        let set = node
            .parent()
            .is_some_and(|parent| parent.kind() == "assignment_expression" && parent.child_by_field_name("left").is_some_and(|left| left.id() == node.id()));
        if !set {
            self.read(node, name);
        }
    }

    /// `const { A, B = "x", C: other } = process.env`.
    fn destructured(&mut self, node: Node<'_>) {
        let (Some(name), Some(value)) = (node.child_by_field_name("name"), node.child_by_field_name("value")) else { return };
        if name.kind() != "object_pattern" || !self.is_env(value) {
            return;
        }
        for part in children(name) {
            let (key, default, bound) = match part.kind() {
                "shorthand_property_identifier_pattern" => (self.src(part), None, self.src(part)),
                "object_assignment_pattern" => {
                    let default = part.child_by_field_name("right").map(|right| self.value(right, 0)).and_then(|value| value.literal);
                    (self.field(part, "left"), Some(default), self.field(part, "left"))
                }
                "pair_pattern" => (self.field(part, "key"), None, self.field(part, "value")),
                _ => continue,
            };
            if !env_like(key) {
                continue;
            }
            let need = if default.is_some() { Need::Optional } else { Need::Unclear };
            self.push(part, key, need, default.flatten(), Some(bound.to_owned()));
        }
    }

    fn read(&mut self, node: Node<'_>, name: &str) {
        if !env_like(name) {
            return;
        }
        let mut at = node;
        // Through `!`, `as string` and brackets.
        while let Some(parent) = at.parent() {
            if !matches!(parent.kind(), "non_null_expression" | "as_expression" | "parenthesized_expression" | "satisfies_expression") {
                break;
            }
            at = parent;
        }
        let mut need = Need::Unclear;
        let mut default = None;
        if let Some(parent) = at.parent() {
            match parent.kind() {
                "binary_expression" => {
                    let operator = self.field(parent, "operator");
                    let first = parent.child_by_field_name("left").is_some_and(|left| left.id() == at.id());
                    match operator {
                        "||" | "??" if first => {
                            need = Need::Optional;
                            default = parent.child_by_field_name("right").map(|right| self.value(right, 0)).and_then(|value| value.literal);
                        }
                        "||" | "??" | "===" | "!==" | "==" | "!=" | "&&" => need = Need::Optional,
                        _ => {}
                    }
                }
                "ternary_expression" | "unary_expression" => need = Need::Optional,
                "arguments" => {
                    // `Number(process.env.PORT) || 3000`, `parseInt(process.env.PORT || "3000")` is the case above.
                    if let Some(outer) = parent.parent().and_then(|call| call.parent()).filter(|outer| outer.kind() == "binary_expression")
                        && matches!(self.field(outer, "operator"), "||" | "??")
                    {
                        need = Need::Optional;
                        default = outer.child_by_field_name("right").map(|right| self.value(right, 0)).and_then(|value| value.literal);
                    }
                }
                _ => {}
            }
        }
        let bound = ancestor(node, &["variable_declarator"], 6).map(|declarator| self.field(declarator, "name").to_owned());
        let bound = bound.or_else(|| ancestor(node, &["pair"], 3).map(|pair| self.field(pair, "key").to_owned()));
        self.push(node, name, need, default, bound);
    }

    fn push(&mut self, node: Node<'_>, name: &str, need: Need, default: Option<String>, bound: Option<String>) {
        let at = line(node);
        let above = self.text.lines().nth(at.saturating_sub(2) as usize).unwrap_or_default().trim();
        let mut doc = if at > 1 && (above.starts_with("//") || above.starts_with('*') || above.starts_with("/*")) { above.to_owned() } else { String::new() };
        let text = line_of(node, self.text);
        if let Some((_, comment)) = text.split_once(" // ") {
            doc.push_str(comment);
        }
        self.facts.reads.push(Read { name: name.to_owned(), need, default, line: at, text: text.to_owned(), secret: false, bound, doc });
    }

    /// `const app = express()` and its like.
    fn application(&mut self, node: Node<'_>) {
        let (Some(name), Some(mut value)) = (node.child_by_field_name("name"), node.child_by_field_name("value")) else { return };
        if value.kind() == "await_expression" {
            value = children(value).first().copied().unwrap_or(value);
        }
        let called = match value.kind() {
            "call_expression" => self.field(value, "function"),
            "new_expression" => self.field(value, "constructor"),
            _ => return,
        };
        let framework = match called.rsplit('.').next().unwrap_or(called) {
            "express" if self.facts.imports("express") => "express",
            "fastify" | "Fastify" if self.facts.imports("fastify") => "fastify",
            "Hono" | "OpenAPIHono" if self.facts.imports.iter().any(|import| import.module.contains("hono")) => "hono",
            "Koa" => "koa",
            "Elysia" => "elysia",
            "server" | "Server" if self.facts.imports("@hapi/hapi") => "hapi",
            "Router" if called.contains("Router") => {
                self.facts.routers.insert(self.src(name).to_owned(), String::new());
                return;
            }
            "create" if called.contains("NestFactory") => "nestjs",
            _ => return,
        };
        self.facts.apps.push(App {
            framework,
            variable: self.src(name).to_owned(),
            factory: None,
            line: line(node),
            text: line_of(node, self.text).to_owned(),
        });
    }

    fn call(&mut self, node: Node<'_>) {
        let called = self.field(node, "function");
        let (owner, short) = called.rsplit_once('.').unwrap_or(("", called));
        let text = line_of(node, self.text).to_owned();
        match short {
            "listen" => self.listen(node, owner),
            "bindAsync" => self.bind(node),
            "serve" if owner == "Bun" || (owner.is_empty() && (self.facts.imports("@hono/node-server") || self.facts.imports("srvx"))) || owner == "Deno" => {
                self.serve(node)
            }
            "get" if owner == "Deno.env" => {
                if let Some(name) = self.argument(node, 0).and_then(|name| self.string(name)) {
                    self.read(node, &name);
                }
            }
            "tool" | "registerTool" | "addTool"
                if self.facts.imports.iter().any(|import| import.module.contains("modelcontextprotocol") || import.module == "fastmcp") =>
            {
                let first = self.argument(node, 0);
                let name = first
                    .and_then(|first| self.string(first))
                    .or_else(|| first.filter(|first| first.kind() == "object").and_then(|object| self.pair(object, "name")).and_then(|name| self.string(name)));
                if let Some(name) = name {
                    self.facts.tools.push((name, line(node), text));
                }
            }
            "experimental_createMCPClient" | "createMCPClient" => {
                let transport = if self.src(node).contains("Stdio") { "stdio" } else { "http" };
                self.facts.mcp_clients.push(McpClient { transport, line: line(node), text });
            }
            "hostedMcpTool" => self.facts.mcp_clients.push(McpClient { transport: "http", line: line(node), text }),
            "use" | "route" | "register" => {
                let (first, second) = (self.argument(node, 0), self.argument(node, 1));
                if let (Some(prefix), Some(what)) = (first.and_then(|first| self.string(first)), second) {
                    let what = self.last_argument(node).unwrap_or(what);
                    self.facts.mounts.push(Mount { what: self.src(what).to_owned(), onto: owner.to_owned(), prefix: Value::literal(prefix) });
                }
            }
            "mkdir" | "mkdirSync" | "writeFile" | "writeFileSync" | "createWriteStream" => {
                if let Some(path) = self.argument(node, 0).map(|path| self.value(path, 0)).and_then(|value| value.literal) {
                    let path = if short.starts_with("mkdir") { path.as_str() } else { super::walk::dir_of(&path) };
                    if path.len() < 200 {
                        self.facts.writes.push((path.to_owned(), line(node)));
                    }
                }
            }
            "start" if self.facts.imports("fastmcp") => self.fastmcp_start(node),
            // Express keeps settings by name: `app.set("port", …)`, `app.get("port")`.
            "set" if self.argument(node, 0).and_then(|name| self.string(name)).is_some_and(|name| name == "port") => {
                if let Some(value) = self.argument(node, 1).map(|value| self.value(value, 0)) {
                    self.facts.constants.insert(EXPRESS_PORT.to_owned(), value);
                }
            }
            "object" if self.text.contains("process.env") => self.schema(node),
            _ => {}
        }
        if METHODS.contains(&short) && !owner.is_empty() {
            self.route(node, owner, short);
        }
    }

    fn route(&mut self, node: Node<'_>, owner: &str, method: &str) {
        let Some(first) = self.argument(node, 0) else { return };
        let path = match first.kind() {
            "object" => self.pair(first, "url").or_else(|| self.pair(first, "path")).and_then(|path| self.string(path)),
            _ => self.string(first),
        };
        let Some(path) = path.filter(|path| path.starts_with('/')) else { return };
        let owner = owner.rsplit('.').next().unwrap_or(owner);
        let serves = self.facts.apps.iter().any(|app| app.variable == owner)
            || self.facts.routers.contains_key(owner)
            || matches!(owner, "app" | "router" | "server" | "fastify" | "api" | "routes" | "instance");
        if !serves || (first.kind() != "object" && self.argument(node, 1).is_none()) {
            return;
        }
        let handler = self.last_argument(node);
        let touches = handler.is_some_and(|handler| touches_others(self.src(handler)));
        let handler = handler.filter(|handler| handler.kind() == "identifier").map(|handler| self.src(handler).to_owned()).unwrap_or_default();
        let text = line_of(node, self.text).to_owned();
        let method = if method == "route" || method == "all" { "get" } else { method };
        self.facts.routes.push(Route { method: method.to_owned(), path, owner: owner.to_owned(), handler, touches, line: line(node), text });
    }

    fn listen(&mut self, node: Node<'_>, owner: &str) {
        let Some(first) = self.argument(node, 0) else { return };
        let owner = owner.rsplit('.').next().unwrap_or(owner);
        let by = self.facts.apps.iter().find(|app| app.variable == owner).map_or("http", |app| app.framework);
        let (port, host) = if first.kind() == "object" {
            (self.pair(first, "port").map(|port| self.value(port, 0)).unwrap_or_default(), self.pair(first, "host").map(|host| self.value(host, 0)))
        } else {
            let second = self.argument(node, 1).filter(|second| !matches!(second.kind(), "arrow_function" | "function_expression" | "number"));
            (self.value(first, 0), second.map(|host| self.value(host, 0)).filter(|host| host.literal.is_some()))
        };
        if port.literal.is_none() && port.env.is_none() && port.field.is_none() {
            return;
        }
        let text = line_of(node, self.text).to_owned();
        self.facts.listens.push(Listen { port, host, protocol: "http", by, target: owner.to_owned(), line: line(node), text });
    }

    /// gRPC: `server.bindAsync("0.0.0.0:50051", …)`.
    fn bind(&mut self, node: Node<'_>) {
        let Some(first) = self.argument(node, 0) else { return };
        let written = self.string(first).and_then(|address| address.rsplit(':').next().map(str::to_owned)).map(Value::literal);
        let inner = preorder(first).find(|part| part.kind() == "template_substitution").and_then(|part| children(part).first().copied());
        let port = written.or_else(|| inner.map(|inner| self.value(inner, 0))).unwrap_or_default();
        let text = line_of(node, self.text).to_owned();
        self.facts.listens.push(Listen { port, host: None, protocol: "grpc", by: "grpc", target: String::new(), line: line(node), text });
    }

    /// `Bun.serve({ port })`, `serve({ fetch, port })`, `Deno.serve({ port }, …)`.
    fn serve(&mut self, node: Node<'_>) {
        let object = self.argument(node, 0).filter(|first| first.kind() == "object");
        let port = object.and_then(|object| self.pair(object, "port")).map(|port| self.value(port, 0)).unwrap_or_default();
        let host = object.and_then(|object| self.pair(object, "hostname")).map(|host| self.value(host, 0));
        let by = match self.field(node, "function") {
            "Bun.serve" => "bun",
            "Deno.serve" => "deno",
            _ => "hono",
        };
        let text = line_of(node, self.text).to_owned();
        self.facts.listens.push(Listen { port, host, protocol: "http", by, target: String::new(), line: line(node), text });
    }

    /// `export default { port, fetch }`, which Bun serves.
    fn exported(&mut self, node: Node<'_>) {
        let Some(object) = node.child_by_field_name("value").filter(|value| value.kind() == "object") else { return };
        if let (Some(port), true) = (self.pair(object, "port"), self.src(object).contains("fetch")) {
            let port = self.value(port, 0);
            let text = line_of(node, self.text).to_owned();
            self.facts.listens.push(Listen { port, host: None, protocol: "http", by: "bun", target: String::new(), line: line(node), text });
        }
    }

    fn construct(&mut self, node: Node<'_>) {
        let called = self.field(node, "constructor");
        let short = called.rsplit('.').next().unwrap_or(called);
        let text = line_of(node, self.text).to_owned();
        let sdk = self.facts.imports.iter().any(|import| import.module.starts_with("@modelcontextprotocol/"));
        let run = |transport: &'static str| McpRun {
            transport: Some(transport),
            host: None,
            port: None,
            path: None,
            guarded: true,
            serves: true,
            line: line(node),
            text: text.clone(),
        };
        match short {
            "McpServer" | "Server" if sdk => self.facts.mcp_servers.push(McpServer {
                sdk: "@modelcontextprotocol/sdk",
                variable: String::new(),
                host: None,
                port: None,
                path: None,
                guarded: true,
                line: line(node),
                text,
            }),
            "FastMCP" if self.facts.imports("fastmcp") => self.facts.mcp_servers.push(McpServer {
                sdk: "fastmcp",
                variable: String::new(),
                host: None,
                port: None,
                path: None,
                guarded: true,
                line: line(node),
                text,
            }),
            "StreamableHTTPServerTransport" | "NodeStreamableHTTPServerTransport" | "WebStandardStreamableHTTPServerTransport" => {
                self.facts.mcp_runs.push(run("http"))
            }
            "SSEServerTransport" => self.facts.mcp_runs.push(run("sse")),
            "StdioServerTransport" => self.facts.mcp_runs.push(run("stdio")),
            "StreamableHTTPClientTransport" | "MCPServerStreamableHttp" => self.facts.mcp_clients.push(McpClient { transport: "http", line: line(node), text }),
            "SSEClientTransport" | "MCPServerSSE" => self.facts.mcp_clients.push(McpClient { transport: "sse", line: line(node), text }),
            "StdioClientTransport" | "MCPServerStdio" | "Experimental_StdioMCPTransport" => {
                for part in preorder(node).filter(|part| part.kind() == "string") {
                    if let Some(word) = self.string(part) {
                        self.facts.spawns.push(word);
                    }
                }
                self.facts.mcp_clients.push(McpClient { transport: "stdio", line: line(node), text });
            }
            "OpenAI" if !self.src(node).contains("apiKey") => self.facts.implied.push(("OPENAI_API_KEY", "openai", line(node), text)),
            _ => {}
        }
    }

    fn fastmcp_start(&mut self, node: Node<'_>) {
        let Some(object) = self.argument(node, 0).filter(|first| first.kind() == "object") else { return };
        let transport = match self.pair(object, "transportType").and_then(|value| self.string(value)).as_deref() {
            Some("httpStream") => Some("http"),
            Some("sse") => Some("sse"),
            Some("stdio") | None => Some("stdio"),
            Some(_) => None,
        };
        let options = self.pair(object, "httpStream").filter(|value| value.kind() == "object");
        let port = options.and_then(|options| self.pair(options, "port")).map(|port| self.value(port, 0));
        let text = line_of(node, self.text).to_owned();
        self.facts.mcp_runs.push(McpRun { transport, host: None, port, path: None, guarded: true, serves: true, line: line(node), text });
    }

    /// `z.object({ PORT: z.coerce.number().default(3000) })` where the file parses `process.env` with it.
    fn schema(&mut self, node: Node<'_>) {
        let Some(object) = self.argument(node, 0).filter(|first| first.kind() == "object") else { return };
        for pair in children(object).into_iter().filter(|part| part.kind() == "pair") {
            let key = self.field(pair, "key").trim_matches(['"', '\'']);
            let shape = self.field(pair, "value");
            if !env_like(key) || key.chars().any(|letter| letter.is_ascii_lowercase()) || !shape.starts_with("z.") {
                continue;
            }
            let default =
                shape.split_once(".default(").and_then(|(_, rest)| rest.split_once(')')).map(|(value, _)| value.trim_matches(['"', '\'', '`']).to_owned());
            let need = if default.is_some() || shape.contains(".optional()") || shape.contains(".nullish()") { Need::Optional } else { Need::Demanded };
            let key = key.to_owned();
            self.push(pair, &key, need, default, None);
        }
    }

    /// Nest: `@Controller("health") class … { @Get("live") check() {} }`.
    fn controller(&mut self, node: Node<'_>) {
        let head = node.parent().filter(|parent| parent.kind() == "export_statement").unwrap_or(node);
        let decorators = children(head).into_iter().chain(children(node)).filter(|part| part.kind() == "decorator");
        let Some(prefix) = decorators.into_iter().find_map(|decorator| self.decorated(decorator, "Controller")) else { return };
        let Some(body) = node.child_by_field_name("body") else { return };
        let mut pending: Option<String> = None;
        for member in children(body) {
            match member.kind() {
                "decorator" => {
                    if let Some(path) = self.decorated(member, "Get") {
                        pending = Some(path);
                    }
                }
                "method_definition" => {
                    let own = children(member).into_iter().find_map(|part| (part.kind() == "decorator").then(|| self.decorated(part, "Get")).flatten());
                    if let Some(path) = own.or_else(|| pending.take()) {
                        let full = super::walk::join(".", &format!("{prefix}/{path}"));
                        let path = if full == "." { "/".to_owned() } else { format!("/{full}") };
                        let text = line_of(member, self.text).to_owned();
                        let handler = self.field(member, "name").to_owned();
                        self.facts.routes.push(Route {
                            method: "get".to_owned(),
                            path,
                            owner: "controller".to_owned(),
                            handler,
                            touches: touches_others(self.src(member)),
                            line: line(member),
                            text,
                        });
                    }
                    pending = None;
                }
                _ => {}
            }
        }
    }

    fn decorated(&self, decorator: Node<'_>, name: &str) -> Option<String> {
        let call = children(decorator).into_iter().find(|part| part.kind() == "call_expression")?;
        if self.field(call, "function") != name {
            return None;
        }
        match self.argument(call, 0) {
            None => Some(String::new()),
            Some(first) if first.kind() == "object" => Some(self.pair(first, "path").and_then(|path| self.string(path)).unwrap_or_default()),
            Some(first) => self.string(first),
        }
    }

    fn settle(&mut self) {
        for read in &mut self.facts.reads {
            let named = self.demanded.contains(&read.name) || read.bound.as_ref().is_some_and(|bound| self.demanded.contains(bound));
            if read.need == Need::Unclear && named {
                read.need = Need::Demanded;
            }
        }
        self.facts.program = !self.facts.listens.is_empty();
    }

    // ---- small readings of nodes ----

    fn argument<'tree>(&self, node: Node<'tree>, index: usize) -> Option<Node<'tree>> {
        let arguments = node.child_by_field_name("arguments")?;
        children(arguments).into_iter().filter(|argument| argument.kind() != "comment").nth(index)
    }

    fn last_argument<'tree>(&self, node: Node<'tree>) -> Option<Node<'tree>> {
        children(node.child_by_field_name("arguments")?).into_iter().rfind(|argument| argument.kind() != "comment")
    }

    fn pair<'tree>(&self, object: Node<'tree>, key: &str) -> Option<Node<'tree>> {
        children(object).into_iter().find_map(|part| match part.kind() {
            "pair" if self.field(part, "key").trim_matches(['"', '\'']) == key => part.child_by_field_name("value"),
            "shorthand_property_identifier" if self.src(part) == key => Some(part),
            _ => None,
        })
    }

    fn string(&self, node: Node<'_>) -> Option<String> {
        match node.kind() {
            "string" => {
                let text = self.src(node);
                Some(text.get(1..text.len().saturating_sub(1)).unwrap_or_default().to_owned())
            }
            "template_string" if !children(node).iter().any(|part| part.kind() == "template_substitution") => Some(self.src(node).trim_matches('`').to_owned()),
            _ => None,
        }
    }

    fn value(&self, node: Node<'_>, depth: u8) -> Value {
        if depth > 6 {
            return Value::default();
        }
        match node.kind() {
            "string" | "template_string" => self.string(node).map(Value::literal).unwrap_or_default(),
            "number" | "true" | "false" => Value::literal(self.src(node).replace('_', "")),
            "identifier" | "shorthand_property_identifier" => {
                self.facts.constants.get(self.src(node)).cloned().unwrap_or_else(|| Value { field: Some(self.src(node).to_owned()), ..Value::default() })
            }
            "member_expression" => {
                if node.child_by_field_name("object").is_some_and(|object| self.is_env(object)) {
                    return Value { env: Some(self.field(node, "property").to_owned()), ..Value::default() };
                }
                Value { field: Some(self.field(node, "property").to_owned()), ..Value::default() }
            }
            "subscript_expression" => {
                let env = node.child_by_field_name("object").filter(|object| self.is_env(*object)).and_then(|_| node.child_by_field_name("index"));
                Value { env: env.and_then(|index| self.string(index)), ..Value::default() }
            }
            "parenthesized_expression" | "non_null_expression" | "as_expression" | "satisfies_expression" | "await_expression" => {
                children(node).first().map(|inner| self.value(*inner, depth + 1)).unwrap_or_default()
            }
            "unary_expression" => node.child_by_field_name("argument").map(|inner| self.value(inner, depth + 1)).unwrap_or_default(),
            "binary_expression" if matches!(self.field(node, "operator"), "||" | "??") => {
                let left = node.child_by_field_name("left").map(|left| self.value(left, depth + 1)).unwrap_or_default();
                let right = node.child_by_field_name("right").map(|right| self.value(right, depth + 1)).unwrap_or_default();
                Value { literal: left.literal.or(right.literal), env: left.env.or(right.env), field: left.field.or(right.field) }
            }
            "ternary_expression" => {
                let then = node.child_by_field_name("consequence").map(|then| self.value(then, depth + 1)).unwrap_or_default();
                let other = node.child_by_field_name("alternative").map(|other| self.value(other, depth + 1)).unwrap_or_default();
                Value { literal: then.literal.or(other.literal), env: then.env.or(other.env), field: None }
            }
            "call_expression" => {
                let called = self.field(node, "function");
                let short = called.rsplit('.').next().unwrap_or(called);
                match short {
                    // The last is what Express' generator writes.
                    "Number" | "parseInt" | "String" | "normalizePort" => self.argument(node, 0).map(|inner| self.value(inner, depth + 1)).unwrap_or_default(),
                    "get" if called == "Deno.env.get" => Value { env: self.argument(node, 0).and_then(|name| self.string(name)), ..Value::default() },
                    // Nest: `configService.get("PORT", 3000)`.
                    "get" if called.to_ascii_lowercase().contains("config") => Value {
                        env: self.argument(node, 0).and_then(|name| self.string(name)).filter(|name| env_like(name)),
                        literal: self.argument(node, 1).and_then(|default| self.value(default, depth + 1).literal),
                        field: None,
                    },
                    "get" if self.argument(node, 0).and_then(|name| self.string(name)).is_some_and(|name| name == "port") => {
                        Value { field: Some(EXPRESS_PORT.to_owned()), ..Value::default() }
                    }
                    _ => Value::default(),
                }
            }
            _ => Value::default(),
        }
    }
}

/// Where the whole file is the handler: an `app/**/route.ts` of Next.
pub(crate) fn whole_file_touches(text: &str) -> bool {
    touches_others(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str, expect: &[(&str, Need, Option<&str>)]) {
        let found = extract(text).reads;
        let found: Vec<(&str, Need, Option<&str>)> = found.iter().map(|read| (read.name.as_str(), read.need, read.default.as_deref())).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn environment_reads_in_every_form() {
        reads("const a = process.env.A;", &[("A", Need::Unclear, None)]);
        reads("const a = process.env['A'] || 'b';", &[("A", Need::Optional, Some("b"))]);
        reads("const a = process.env.A! as string;", &[("A", Need::Unclear, None)]);
        reads("const { A, B = 'c', D: d } = process.env;", &[("A", Need::Unclear, None), ("B", Need::Optional, Some("c")), ("D", Need::Unclear, None)]);
        reads("const a = import.meta.env.VITE_A ?? 'b'; const m = import.meta.env.MODE;", &[("VITE_A", Need::Optional, Some("b"))]);
        reads("const port = Number(process.env.PORT) || 3000;", &[("PORT", Need::Optional, Some("3000"))]);
        reads(
            "const env = z.object({ A: z.string(), B: z.string().default('c'), D: z.string().optional() }).parse(process.env);",
            &[("A", Need::Demanded, None), ("B", Need::Optional, Some("c")), ("D", Need::Optional, None)],
        );
        reads("const e = process.env; e.A;", &[("A", Need::Unclear, None)]);
    }

    #[test]
    fn only_what_stops_the_program_is_demanded() {
        reads("const a = process.env.A; if (!a) throw new Error('A');", &[("A", Need::Demanded, None)]);
        reads("const a = process.env.A; if (!a) { process.exit(1); }", &[("A", Need::Demanded, None)]);
        reads("const a = process.env.A; if (!a) console.warn('A');", &[("A", Need::Unclear, None)]);
        reads("function ask() { const a = process.env.A; if (!a) throw new Error('A'); }", &[("A", Need::Unclear, None)]);
        reads("process.env.A = 'set';", &[]);
    }

    #[test]
    fn servers_say_where_they_listen() {
        let port = |text: &str| extract(text).listens.first().map(|listen| (listen.port.number(), listen.by));
        assert_eq!(port("import express from 'express'; const app = express(); app.listen(process.env.PORT || 3000);"), Some((Some(3000), "express")));
        assert_eq!(
            port("const fastify = require('fastify')(); const PORT = 4000; fastify.listen({ port: PORT, host: '0.0.0.0' });"),
            Some((Some(4000), "http"))
        );
        assert_eq!(port("Bun.serve({ port: 8080, fetch() {} });"), Some((Some(8080), "bun")));
        assert_eq!(port("emitter.listen(handler);"), Some((None, "http")));
        assert_eq!(port("const env = 1;"), None);
    }

    #[test]
    fn routes_need_a_server_to_hang_on() {
        let paths = |text: &str| extract(text).routes.into_iter().map(|route| route.path).collect::<Vec<_>>();
        assert_eq!(paths("import express from 'express'; const web = express(); web.get('/health', (q, s) => s.send('ok'));"), vec!["/health"]);
        assert_eq!(paths("const api = axios; axios.get('/health');"), Vec::<String>::new());
        assert_eq!(paths("@Controller('status')\nexport class C { @Get('live') live() { return 1; } }"), vec!["/status/live"]);
    }
}
