//! What a Python file says: settings, environment reads, routes, servers and MCP, from its syntax tree.

use super::facts::{App, Class, Facts, Field, Import, Listen, McpClient, McpRun, McpServer, Mount, Need, Read, Route, Value, env_like, touches_others};
use super::syntax::{Grammar, ancestor, children, line, line_of, parse, preorder, source};
use super::words::Words;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use tree_sitter::Node;

/// A file without any of these words says nothing that a survey asks for.
const WORDS: &[&str] = &[
    "environ",
    "getenv",
    "Settings",
    "FastAPI",
    "Flask",
    "APIRouter",
    "Blueprint",
    "uvicorn",
    ".run(",
    "mcp",
    "MCP",
    "config(",
    "env(",
    "Env(",
    "route",
    ".get(\"/",
    ".get('/",
    ".post(\"/",
    ".post('/",
    ".serve(",
    "urlpatterns",
    "Starlette",
    "Sanic",
    "aiohttp",
    "streamlit",
    "Celery",
    "add_insecure_port",
    "makedirs",
    "mkdir",
    "HTTPServer",
    "TCPServer",
    "OpenAI",
    "Anthropic",
    "Quart",
    "Litestar",
    "gradio",
    "__main__",
    "envvar",
    "http://",
    "https://",
];

/// All of them at once.
static LOOK: LazyLock<Words> = LazyLock::new(|| Words::new(WORDS));

const METHODS: &[&str] = &["get", "post", "put", "delete", "patch", "head", "options", "route", "api_route", "custom_route", "websocket"];

/// Extracts; an unparsable file gives what its readable parts say.
pub(crate) fn extract(text: &str) -> Facts {
    let mut facts = Facts::default();
    if !LOOK.in_text(text) {
        facts.imports = imports_alone(text);
        return facts;
    }
    let Some(tree) = parse(Grammar::Python, text) else { return facts };
    let mut file = File {
        text,
        facts: &mut facts,
        helpers: BTreeMap::new(),
        lists: BTreeMap::new(),
        demanded: BTreeSet::new(),
        refused: BTreeSet::new(),
        env_objects: BTreeSet::new(),
    };
    file.prepare(tree.root_node());
    for node in preorder(tree.root_node()) {
        file.visit(node);
    }
    file.settle();
    facts
}

/// The imports of a file of which nothing else matters: enough to follow them, without a syntax tree.
fn imports_alone(text: &str) -> Vec<Import> {
    let mut out = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, raw)) = lines.next() {
        let line = raw.trim();
        let at = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
        if !line.starts_with(['i', 'f']) {
            continue;
        }
        if let Some(modules) = line.strip_prefix("import ") {
            let names = |part: &str| part.split_whitespace().next().unwrap_or_default().to_owned();
            out.extend(modules.split(',').map(|part| Import {
                module: names(part),
                names: vec![(String::new(), String::new())],
                line: at,
                bare: !raw.starts_with([' ', '\t']),
            }));
        } else if let Some((module, names)) = line.strip_prefix("from ").and_then(|rest| rest.split_once(" import ")) {
            let mut names = names.to_owned();
            if names.contains('(') {
                while !names.contains(')') {
                    let Some((_, next)) = lines.next() else { break };
                    names.push(' ');
                    names.push_str(next.split('#').next().unwrap_or_default());
                }
            }
            let pairs = names.split(',').filter_map(|part| {
                let mut words = part.split(|letter: char| !(letter.is_alphanumeric() || letter == '_')).filter(|word| !word.is_empty());
                let name = words.next()?.to_owned();
                let alias = words.nth(1).map_or_else(|| name.clone(), str::to_owned);
                Some((name, alias))
            });
            out.push(Import { module: module.trim().to_owned(), names: pairs.collect(), line: at, bare: !raw.starts_with([' ', '\t']) });
        }
    }
    out
}

/// True for a statement of the module itself.
fn at_top(node: Node<'_>) -> bool {
    node.parent().is_none_or(|parent| parent.kind() == "module")
}

struct File<'text, 'facts> {
    text: &'text str,
    facts: &'facts mut Facts,
    /// Functions that read the variable named by their first argument → they stop without it.
    helpers: BTreeMap<String, bool>,
    /// Constants that are lists of texts.
    lists: BTreeMap<String, Vec<String>>,
    /// Names whose absence ends the program.
    demanded: BTreeSet<String>,
    /// Values with which the program stops: (variable, text).
    refused: BTreeSet<(String, String)>,
    /// Names of `environs` and `decouple` readers.
    env_objects: BTreeSet<String>,
}

impl<'text> File<'text, '_> {
    fn src(&self, node: Node<'_>) -> &'text str {
        source(node, self.text)
    }

    /// A first look: imports, constants, helper functions, and what the file insists on.
    fn prepare(&mut self, root: Node<'_>) {
        for node in preorder(root) {
            match node.kind() {
                "import_statement" => self.import(node),
                "import_from_statement" => self.import_from(node),
                "assignment" => self.constant(node),
                "function_definition" => self.helper(node),
                "if_statement" => self.demand(node),
                "assert_statement" => {
                    let names: Vec<String> = preorder(node).filter(|part| matches!(part.kind(), "identifier")).map(|part| self.src(part).to_owned()).collect();
                    self.demanded.extend(names);
                }
                _ => {}
            }
        }
    }

    fn import(&mut self, node: Node<'_>) {
        for part in children(node) {
            let (module, alias) = match part.kind() {
                "aliased_import" => (self.field(part, "name"), self.field(part, "alias")),
                _ => (self.src(part).to_owned(), String::new()),
            };
            self.facts.imports.push(Import { names: vec![(String::new(), alias)], module, line: line(node), bare: at_top(node) });
        }
    }

    fn import_from(&mut self, node: Node<'_>) {
        let module = self.field(node, "module_name");
        let mut names = Vec::new();
        let mut cursor = node.walk();
        for part in node.children_by_field_name("name", &mut cursor) {
            match part.kind() {
                "aliased_import" => names.push((self.field(part, "name"), self.field(part, "alias"))),
                _ => names.push((self.src(part).to_owned(), self.src(part).to_owned())),
            }
        }
        if matches!(module.as_str(), "decouple" | "starlette.config" | "prettyconf") {
            let bound: Vec<String> = names.iter().filter(|(name, _)| name == "config").map(|(_, alias)| alias.clone()).collect();
            self.env_objects.extend(bound);
        }
        self.facts.imports.push(Import { module, names, line: line(node), bare: at_top(node) });
    }

    fn constant(&mut self, node: Node<'_>) {
        let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right")) else { return };
        if left.kind() != "identifier" {
            return;
        }
        let name = self.src(left).to_owned();
        if matches!(right.kind(), "list" | "tuple" | "set") {
            let items: Vec<String> = children(right).into_iter().filter_map(|item| self.string(item)).collect();
            if !items.is_empty() && items.iter().all(|item| env_like(item)) {
                self.lists.insert(name, items);
            }
            return;
        }
        if right.kind() == "call" {
            let called = right.child_by_field_name("function").map(|function| self.src(function)).unwrap_or_default();
            if matches!(called, "Env" | "environs.Env" | "environ.Env" | "Config" | "starlette.config.Config") {
                self.env_objects.insert(name.clone());
            }
        }
        let value = self.value(right, 0);
        if value != Value::default() {
            self.facts.constants.insert(name, value);
        }
    }

    /// `def need(name): return os.environ[name]` makes `need("X")` a read of X.
    fn helper(&mut self, node: Node<'_>) {
        let Some(first) = node.child_by_field_name("parameters").and_then(|all| {
            children(all).into_iter().find_map(|parameter| {
                let name = match parameter.kind() {
                    "identifier" => self.src(parameter),
                    "typed_parameter" => children(parameter).first().map(|name| self.src(*name)).unwrap_or_default(),
                    "typed_default_parameter" | "default_parameter" => parameter.child_by_field_name("name").map(|name| self.src(name)).unwrap_or_default(),
                    _ => "",
                };
                (!matches!(name, "" | "self" | "cls")).then(|| name.to_owned())
            })
        }) else {
            return;
        };
        let body = node.child_by_field_name("body").map(|body| self.src(body)).unwrap_or_default();
        let reads = [format!("os.environ[{first}]"), format!("getenv({first}"), format!("environ.get({first}"), format!("environ[{first}]")];
        if reads.iter().any(|read| body.contains(read.as_str())) {
            let stops = body.contains("environ[") || (body.contains("raise ") && !body.contains("raise HTTPException")) || body.contains("exit(");
            self.helpers.insert(self.field(node, "name"), stops);
        }
    }

    /// `if not X: raise …` makes X demanded.
    fn demand(&mut self, node: Node<'_>) {
        let (Some(condition), Some(then)) = (node.child_by_field_name("condition"), node.child_by_field_name("consequence")) else { return };
        let stops = preorder(then).take(200).any(|part| match part.kind() {
            "raise_statement" => !self.src(part).contains("HTTPException"),
            "call" => part.child_by_field_name("function").is_some_and(|function| matches!(self.src(function), "sys.exit" | "exit" | "quit" | "os._exit")),
            _ => false,
        });
        if !stops || self.on_request(node) {
            return;
        }
        for part in preorder(condition) {
            match part.kind() {
                "not_operator" => {
                    if let Some(argument) = part.child_by_field_name("argument") {
                        self.demand_names(argument);
                    }
                }
                "comparison_operator" if self.src(part).ends_with("is None") || self.src(part).ends_with("== \"\"") => {
                    if let Some(first) = children(part).first() {
                        self.demand_names(*first);
                    }
                }
                _ => {}
            }
        }
        self.refuse(condition);
        // `missing = [name for name in REQUIRED if not os.getenv(name)]; if missing: raise`
        if condition.kind() == "identifier" {
            self.demanded.insert(format!("if:{}", self.src(condition)));
        }
    }

    /// `if X == "changeme": raise …`: such a default is as good as none. Beside an `and` it may still do elsewhere.
    fn refuse(&mut self, condition: Node<'_>) {
        match condition.kind() {
            "parenthesized_expression" | "boolean_operator" if !self.joins(condition, "and") => {
                for part in children(condition) {
                    self.refuse(part);
                }
            }
            "comparison_operator" if self.src(condition).contains("==") => {
                if let [left, right] = children(condition).as_slice()
                    && left.kind() == "identifier"
                    && let Some(text) = self.string(*right)
                {
                    self.refused.insert((self.src(*left).to_owned(), text));
                }
            }
            _ => {}
        }
    }

    fn joins(&self, node: Node<'_>, operator: &str) -> bool {
        node.child_by_field_name("operator").is_some_and(|found| self.src(found) == operator)
    }

    /// Inside a function that is not one of those that run at start: what it misses stops a request, not the program.
    fn on_request(&self, node: Node<'_>) -> bool {
        const AT_START: &[&str] =
            &["valid", "load", "config", "setting", "env", "start", "lifespan", "main", "create_app", "init", "engine", "connect", "database", "__post"];
        ancestor(node, &["function_definition"], 40).is_some_and(|function| {
            // `global x; if x is None: …` makes it when it is first asked for.
            let body = function.child_by_field_name("body").map(|body| self.src(body)).unwrap_or_default();
            if body.contains("global ") && body.contains(" is None") {
                return true;
            }
            let name = self.field(function, "name").to_ascii_lowercase();
            !AT_START.iter().any(|word| name.contains(word))
        })
    }

    fn demand_names(&mut self, node: Node<'_>) {
        // Of alternatives only the first is asked for: what stands behind it may do without.
        let inner = if node.kind() == "parenthesized_expression" { children(node).first().copied().unwrap_or(node) } else { node };
        if inner.kind() == "boolean_operator" && self.joins(inner, "or") {
            if let Some(left) = inner.child_by_field_name("left") {
                self.demand_names(left);
            }
            return;
        }
        for part in preorder(node) {
            match part.kind() {
                "identifier" => {
                    self.demanded.insert(self.src(part).to_owned());
                }
                "string" => {
                    if let Some(name) = self.string(part).filter(|name| env_like(name)) {
                        self.demanded.insert(name);
                    }
                }
                _ => {}
            }
        }
    }

    fn visit(&mut self, node: Node<'_>) {
        match node.kind() {
            "call" => self.call(node),
            "subscript" => self.subscript(node),
            "class_definition" => self.class(node),
            "decorated_definition" => self.decorated(node),
            "assignment" => self.assignment(node),
            "if_statement" if node.child_by_field_name("condition").is_some_and(|condition| self.src(condition).contains("__name__")) => {
                self.facts.program = true;
            }
            "comparison_operator" if self.src(node).contains("os.environ") => {
                let parts = children(node);
                if let (Some(name), true) = (parts.first().and_then(|part| self.string(*part)), self.src(node).contains(" in os.environ")) {
                    self.read(node, &name, Need::Unclear, None);
                }
            }
            "string" => {
                let content = self.src(node);
                if content.contains("http://") || content.contains("https://") {
                    let at = line(node);
                    for url in urls(content) {
                        self.facts.urls.push((url, at));
                    }
                }
            }
            _ => {}
        }
    }

    fn assignment(&mut self, node: Node<'_>) {
        let (Some(left), Some(right)) = (node.child_by_field_name("left"), node.child_by_field_name("right")) else { return };
        if right.kind() != "call" {
            return;
        }
        let name = self.src(left).rsplit('.').next().unwrap_or_default().to_owned();
        let called = self.called(right);
        let short = called.rsplit('.').next().unwrap_or_default();
        match short {
            "APIRouter" | "Blueprint" | "APIBlueprint" => {
                let key = if short == "APIRouter" { "prefix" } else { "url_prefix" };
                let prefix = self.keyword(right, key).map(|value| self.value(value, 0)).and_then(|value| value.literal).unwrap_or_default();
                self.facts.routers.insert(name, prefix);
            }
            _ => {
                if let Some(framework) = framework_of(short, &called) {
                    let factory = ancestor(node, &["function_definition"], 12).map(|function| self.field(function, "name"));
                    self.facts.apps.push(App { framework, variable: name, factory, line: line(node), text: line_of(node, self.text).to_owned() });
                }
            }
        }
    }

    fn call(&mut self, node: Node<'_>) {
        let called = self.called(node);
        let short = called.rsplit('.').next().unwrap_or_default().to_owned();
        let text = line_of(node, self.text).to_owned();
        match short.as_str() {
            "getenv" => self.getenv(node),
            "get" | "pop" if called.ends_with("environ.get") || called.ends_with("environ.pop") => self.getenv(node),
            "run" => self.run(node, &called),
            "run_async" | "run_http_async" | "run_stdio_async" | "run_streamable_http_async" | "run_sse_async" => self.mcp_run(node, &short),
            "streamable_http_app" | "http_app" | "sse_app" => self.mcp_run(node, &short),
            "stdio_server" | "StreamableHTTPSessionManager" | "SseServerTransport" => self.mcp_run(node, &short),
            "run_app" | "serve" | "run_simple" => self.listen(node, "server"),
            "HTTPServer" | "ThreadingHTTPServer" | "TCPServer" => self.bare_server(node),
            "add_insecure_port" | "add_secure_port" => {
                if let Some(port) = self.first(node).map(|address| self.value(address, 0)).and_then(|value| value.literal).and_then(|text| port_of(&text)) {
                    let host = None;
                    self.facts.listens.push(Listen {
                        port: Value::literal(port),
                        host,
                        protocol: "grpc",
                        by: "grpc",
                        target: String::new(),
                        line: line(node),
                        text,
                    });
                }
            }
            "FastMCP" | "MCPServer" => self.mcp_server(node, &called),
            "Server" if self.facts.imports("mcp.server") => self.mcp_server(node, &called),
            "MCPServerStreamableHttp" | "streamablehttp_client" | "streamable_http_client" | "StreamableHttpTransport" | "HostedMCPTool" => {
                self.facts.mcp_clients.push(McpClient { transport: "http", line: line(node), text });
            }
            "MCPServerSse" | "sse_client" | "SSETransport" => self.facts.mcp_clients.push(McpClient { transport: "sse", line: line(node), text }),
            "MCPServerStdio" | "StdioServerParameters" | "stdio_client" | "PythonStdioTransport" | "StdioTransport" => {
                for part in preorder(node).filter(|part| part.kind() == "string") {
                    if let Some(word) = self.string(part) {
                        self.facts.spawns.push(word);
                    }
                }
                self.facts.mcp_clients.push(McpClient { transport: "stdio", line: line(node), text });
            }
            "MultiServerMCPClient" => {
                let transport = if self.src(node).contains("stdio") { "stdio" } else { "http" };
                self.facts.mcp_clients.push(McpClient { transport, line: line(node), text });
            }
            "include_router" | "register_blueprint" | "mount" => self.mount(node, &called),
            "add_url_rule" | "add_api_route" | "add_route" | "add_get" => self.added_route(node, &called),
            "Route" | "APIRoute" => self.added_route(node, "app."),
            "path" | "re_path" | "url" if self.facts.imports("django.urls") || self.facts.imports("django.conf.urls") => self.django_path(node),
            "makedirs" | "mkdir" | "open" => self.write(node, &called, &short),
            "OpenAI" | "AsyncOpenAI" if self.keyword(node, "api_key").is_none() => self.facts.implied.push(("OPENAI_API_KEY", "openai", line(node), text)),
            "Anthropic" | "AsyncAnthropic" if self.keyword(node, "api_key").is_none() => {
                self.facts.implied.push(("ANTHROPIC_API_KEY", "anthropic", line(node), text));
            }
            "Option" | "option" | "argument" | "add_argument" => {
                if let Some(name) = self.keyword(node, "envvar").and_then(|value| self.string(value)) {
                    self.read(node, &name, Need::Optional, None);
                }
            }
            _ => self.reader(node, &called, &short),
        }
        // A class made from a client: `class UserTools(MCPServerStreamableHttp)` is seen where the class is.
    }

    /// `config("X", default=…)`, `env.str("X")`, and helpers of this file.
    fn reader(&mut self, node: Node<'_>, called: &str, short: &str) {
        let owner = called.split('.').next().unwrap_or_default();
        let known = self.env_objects.contains(called)
            || (self.env_objects.contains(owner)
                && matches!(short, "str" | "int" | "bool" | "float" | "list" | "dict" | "url" | "db" | "db_url" | "json" | "get_value" | "path"));
        let helper = self.helpers.get(short).copied();
        if !known && helper.is_none() {
            return;
        }
        let Some(name) = self.first(node).and_then(|argument| self.string(argument)).filter(|name| env_like(name)) else { return };
        let default = self.keyword(node, "default").or_else(|| self.second(node));
        let need = match (default, helper) {
            (Some(_), _) => Need::Optional,
            (None, Some(false)) => Need::Unclear,
            (None, _) => Need::Demanded,
        };
        let literal = default.map(|value| self.value(value, 0)).and_then(|value| value.literal);
        self.read(node, &name, need, literal);
    }

    fn getenv(&mut self, node: Node<'_>) {
        let Some(argument) = self.first(node) else { return };
        let default = self.second(node).or_else(|| self.keyword(node, "default"));
        let literal = default.map(|value| self.value(value, 0)).and_then(|value| value.literal);
        let need = match default {
            Some(value) if value.kind() != "none" => Need::Optional,
            Some(_) | None => Need::Unclear,
        };
        if let Some(name) = self.string(argument) {
            let or_default = self.or_default(node);
            let need = if or_default.is_some() { Need::Optional } else { need };
            self.read(node, &name, need, literal.or(or_default));
        } else if argument.kind() == "identifier" {
            self.read_each(node, argument);
        }
    }

    /// `os.getenv("X") or "default"`.
    fn or_default(&self, node: Node<'_>) -> Option<String> {
        let parent = node.parent().filter(|parent| parent.kind() == "boolean_operator")?;
        let is_or = parent.child_by_field_name("operator").is_some_and(|operator| self.src(operator) == "or");
        let right = parent.child_by_field_name("right").filter(|right| right.id() != node.id())?;
        if !is_or {
            return None;
        }
        self.value(right, 0).literal
    }

    /// `for name in REQUIRED: os.environ[name]`.
    fn read_each(&mut self, node: Node<'_>, argument: Node<'_>) {
        let variable = self.src(argument);
        let Some(around) = ancestor(node, &["for_statement", "list_comprehension", "generator_expression", "set_comprehension", "dictionary_comprehension"], 8)
        else {
            return;
        };
        let clause = if around.kind() == "for_statement" { Some(around) } else { children(around).into_iter().find(|part| part.kind() == "for_in_clause") };
        let Some(clause) = clause else { return };
        let (Some(left), Some(right)) = (clause.child_by_field_name("left"), clause.child_by_field_name("right")) else { return };
        if self.src(left) != variable {
            return;
        }
        let names = match right.kind() {
            "identifier" => self.lists.get(self.src(right)).cloned().unwrap_or_default(),
            "list" | "tuple" | "set" => children(right).into_iter().filter_map(|item| self.string(item)).collect(),
            _ => Vec::new(),
        };
        let target = ancestor(around, &["assignment"], 2).and_then(|assignment| assignment.child_by_field_name("left")).map(|left| self.src(left));
        let stops = target.is_some_and(|target| self.demanded.contains(&format!("if:{target}"))) || node.kind() == "subscript";
        for name in names.into_iter().filter(|name| env_like(name)) {
            self.read(node, &name, if stops { Need::Demanded } else { Need::Unclear }, None);
        }
    }

    fn subscript(&mut self, node: Node<'_>) {
        let (Some(value), Some(index)) = (node.child_by_field_name("value"), node.child_by_field_name("subscript")) else { return };
        if !matches!(self.src(value), "os.environ" | "environ") {
            return;
        }
        let written = node.parent().is_some_and(|parent| match parent.kind() {
            "assignment" => parent.child_by_field_name("left").is_some_and(|left| left.id() == node.id()),
            "delete_statement" => true,
            _ => false,
        });
        if written {
            return;
        }
        match self.string(index) {
            Some(name) if self.guarded(node, &name) => self.read(node, &name, Need::Unclear, None),
            Some(name) => self.read(node, &name, Need::Demanded, None),
            None => self.read_each(node, index),
        }
    }

    /// Under `if "X" in os.environ:`, which asks first.
    fn guarded(&self, node: Node<'_>, name: &str) -> bool {
        let mut inner = node;
        while let Some(outer) = inner.parent() {
            if outer.kind() == "if_statement"
                && outer.child_by_field_name("consequence").is_some_and(|then| then.id() == inner.id())
                && let Some(condition) = outer.child_by_field_name("condition").map(|condition| self.src(condition))
                && ["'", "\""].iter().any(|mark| condition.contains(&format!("{mark}{name}{mark} in os.environ")))
            {
                return true;
            }
            inner = outer;
        }
        false
    }

    fn read(&mut self, node: Node<'_>, name: &str, need: Need, default: Option<String>) {
        if !env_like(name) {
            return;
        }
        let target = ancestor(node, &["assignment"], 5).and_then(|assignment| assignment.child_by_field_name("left"));
        let bound = target.filter(|_| !self.alternative(node)).map(|left| {
            let left = self.src(left);
            left.rsplit('.').next().unwrap_or(left).to_owned()
        });
        let doc = self.doc_around(line(node));
        let text = line_of(node, self.text).to_owned();
        self.facts.reads.push(Read { name: name.to_owned(), need, default, line: line(node), text, secret: false, bound, doc });
    }

    /// The second of `os.getenv("X") or os.getenv("Y")`.
    fn alternative(&self, node: Node<'_>) -> bool {
        let parent = node.parent().filter(|parent| parent.kind() == "boolean_operator" && self.joins(*parent, "or"));
        parent.and_then(|parent| parent.child_by_field_name("right")).is_some_and(|right| right.id() == node.id())
    }

    /// The comment on the line, and the comment lines right above it.
    fn doc_around(&self, at: u32) -> String {
        let mut doc = String::new();
        let index = at.saturating_sub(1) as usize;
        for text in self.text.lines().skip(index.saturating_sub(2)).take(index.min(2)) {
            if text.trim_start().starts_with('#') {
                doc.push_str(text.trim());
                doc.push('\n');
            } else {
                doc.clear();
            }
        }
        if let Some((_, comment)) = self.text.lines().nth(index).and_then(|text| text.split_once(" #")) {
            doc.push_str(comment);
        }
        doc
    }

    fn class(&mut self, node: Node<'_>) {
        let Some(bases) = node.child_by_field_name("superclasses") else { return };
        let bases: Vec<String> = children(bases)
            .into_iter()
            .filter(|base| base.kind() != "keyword_argument")
            .map(|base| self.src(base).rsplit('.').next().unwrap_or_default().to_owned())
            .collect();
        for base in &bases {
            let transport = match base.as_str() {
                "MCPServerStreamableHttp" => "http",
                "MCPServerSse" => "sse",
                "MCPServerStdio" => "stdio",
                _ => continue,
            };
            self.facts.mcp_clients.push(McpClient { transport, line: line(node), text: line_of(node, self.text).to_owned() });
        }
        if bases.iter().all(|base| matches!(base.as_str(), "BaseModel" | "SQLModel" | "Enum" | "str" | "Exception" | "TypedDict" | "Protocol" | "ABC")) {
            return;
        }
        let Some(body) = node.child_by_field_name("body") else { return };
        let mut class = Class { name: self.field(node, "name"), bases, ..Class::default() };
        if let Some(prefix) = node.child_by_field_name("superclasses").and_then(|all| self.keyword_in(all, "env_prefix")).and_then(|value| self.string(value)) {
            class.prefix = prefix;
        }
        let statements = children(body);
        let mut filled = Vec::new();
        for (index, statement) in statements.iter().enumerate() {
            match statement.kind() {
                "class_definition" => self.config_class(*statement, &mut class),
                "decorated_definition" => filled.extend(self.filled_fields(*statement)),
                "expression_statement" => {
                    let Some(inner) = children(*statement).first().copied() else { continue };
                    if inner.kind() == "assignment" {
                        self.settings_field(inner, statements.get(index + 1).copied(), &mut class);
                    }
                }
                _ => {}
            }
        }
        // Settings check their defaults as well: an empty one that a validator refuses is none.
        for field in class.fields.iter_mut().filter(|field| filled.contains(&field.name)) {
            let empty = field.default.as_ref().is_some_and(|default| default.literal.as_deref() == Some("")) || field.text.trim_end().ends_with("= None");
            if empty {
                field.default = None;
            }
        }
        if !class.fields.is_empty() || !class.prefix.is_empty() {
            self.facts.classes.push(class);
        }
    }

    /// The fields that a validator refuses when they are empty: `@field_validator("x")` over `if not v: raise …`.
    fn filled_fields(&self, node: Node<'_>) -> Vec<String> {
        let parts = children(node);
        let calls = parts.iter().filter(|part| part.kind() == "decorator").filter_map(|decorator| children(*decorator).first().copied());
        let validators: Vec<Node<'_>> = calls.filter(|call| matches!(self.called(*call).rsplit('.').next(), Some("field_validator" | "validator"))).collect();
        let Some(definition) = node.child_by_field_name("definition").filter(|_| !validators.is_empty()) else { return Vec::new() };
        let value = definition.child_by_field_name("parameters").and_then(|all| children(all).get(1).copied());
        let value = value.map(|value| self.src(value).split([':', '=']).next().unwrap_or_default().trim()).unwrap_or_default();
        let refuses = |part: Node<'_>| {
            let (Some(condition), Some(then)) = (part.child_by_field_name("condition"), part.child_by_field_name("consequence")) else { return false };
            let empty = preorder(condition)
                .any(|test| test.kind() == "not_operator" && test.child_by_field_name("argument").is_some_and(|argument| self.src(argument) == value));
            empty && !self.joins(condition, "and") && preorder(then).any(|part| part.kind() == "raise_statement")
        };
        if value.is_empty() || !preorder(definition).any(|part| part.kind() == "if_statement" && refuses(part)) {
            return Vec::new();
        }
        let names = validators.iter().filter_map(|call| call.child_by_field_name("arguments")).flat_map(children);
        names.filter_map(|name| self.string(name)).collect()
    }

    /// pydantic 1: `class Config: env_prefix = "APP_"`.
    fn config_class(&self, node: Node<'_>, class: &mut Class) {
        for part in preorder(node).filter(|part| part.kind() == "assignment") {
            if let (Some(left), Some(right)) = (part.child_by_field_name("left"), part.child_by_field_name("right"))
                && self.src(left) == "env_prefix"
                && let Some(prefix) = self.string(right)
            {
                class.prefix = prefix;
            }
        }
    }

    fn settings_field(&self, node: Node<'_>, next: Option<Node<'_>>, class: &mut Class) {
        let Some(left) = node.child_by_field_name("left").filter(|left| left.kind() == "identifier") else { return };
        let name = self.src(left).to_owned();
        let right = node.child_by_field_name("right");
        if name == "model_config" {
            if let Some(right) = right {
                for part in preorder(right) {
                    let pair = match part.kind() {
                        "keyword_argument" => part.child_by_field_name("name").map(|key| self.src(key).to_owned()).zip(part.child_by_field_name("value")),
                        "pair" => part.child_by_field_name("key").and_then(|key| self.string(key)).zip(part.child_by_field_name("value")),
                        _ => None,
                    };
                    if let Some((key, value)) = pair
                        && key == "env_prefix"
                        && let Some(prefix) = self.string(value)
                    {
                        class.prefix = prefix;
                    }
                }
            }
            return;
        }
        let Some(kind) = node.child_by_field_name("type").map(|kind| self.src(kind).to_owned()) else { return };
        if name.starts_with('_') || kind.starts_with("ClassVar") {
            return;
        }
        let mut field = Field {
            name,
            aliases: Vec::new(),
            kind,
            default: None,
            line: line(node),
            text: line_of(node, self.text).to_owned(),
            doc: self.doc_around(line(node)),
        };
        if let Some(right) = right {
            self.field_value(right, &mut field);
        }
        // `Annotated[str, Field(alias=…)]`
        if let Some(kind) = node.child_by_field_name("type").filter(|kind| self.src(*kind).contains("Field(")) {
            for call in preorder(kind).filter(|part| part.kind() == "call") {
                self.field_call(call, &mut field);
            }
        }
        if let Some(doc) =
            next.filter(|next| next.kind() == "expression_statement").and_then(|next| children(next).first().copied()).filter(|doc| doc.kind() == "string")
        {
            field.doc.push('\n');
            field.doc.push_str(self.src(doc));
        }
        class.fields.push(field);
    }

    fn field_value(&self, right: Node<'_>, field: &mut Field) {
        let is_field = right.kind() == "call" && self.called(right).rsplit('.').next() == Some("Field");
        if is_field {
            self.field_call(right, field);
        } else if self.src(right) != "..." {
            field.default = Some(self.value(right, 0));
        }
    }

    fn field_call(&self, call: Node<'_>, field: &mut Field) {
        for key in ["alias", "validation_alias", "env"] {
            let Some(value) = self.keyword(call, key) else { continue };
            for part in preorder(value).filter(|part| part.kind() == "string") {
                if let Some(alias) = self.string(part) {
                    field.aliases.push(alias);
                }
            }
        }
        let default = self.keyword(call, "default").or_else(|| self.first(call)).or_else(|| self.keyword(call, "default_factory"));
        if let Some(default) = default.filter(|default| self.src(*default) != "...") {
            field.default = Some(self.value(default, 0));
        }
        if let Some(text) = self.keyword(call, "description").and_then(|value| self.string(value)) {
            field.doc.push('\n');
            field.doc.push_str(&text);
        }
    }

    fn decorated(&mut self, node: Node<'_>) {
        let Some(function) = node.child_by_field_name("definition").filter(|definition| definition.kind() == "function_definition") else { return };
        for decorator in children(node).into_iter().filter(|part| part.kind() == "decorator") {
            let Some(what) = children(decorator).first().copied() else { continue };
            let called = if what.kind() == "call" { self.called(what) } else { self.src(what).to_owned() };
            let Some((owner, method)) = called.rsplit_once('.') else { continue };
            let at = line(decorator);
            let text = line_of(decorator, self.text).to_owned();
            if matches!(method, "tool" | "call_tool" | "list_tools") {
                if method == "tool" && (self.facts.imports("mcp") || self.facts.imports("fastmcp")) {
                    let named = (what.kind() == "call").then(|| self.keyword(what, "name").or_else(|| self.first(what))).flatten();
                    let name = named.and_then(|value| self.string(value)).unwrap_or_else(|| self.field(function, "name"));
                    self.facts.tools.push((name, at, text));
                }
                continue;
            }
            if !METHODS.contains(&method) || what.kind() != "call" {
                continue;
            }
            let Some(path) = self.first(what).or_else(|| self.keyword(what, "path")).or_else(|| self.keyword(what, "rule")).and_then(|path| self.string(path))
            else {
                continue;
            };
            let verb = match method {
                "route" | "api_route" | "custom_route" => match self.keyword(what, "methods") {
                    Some(methods) if !self.src(methods).contains("GET") => "post",
                    Some(_) | None => "get",
                },
                other => other,
            };
            self.facts.routes.push(Route {
                method: verb.to_owned(),
                path,
                owner: owner.rsplit('.').next().unwrap_or_default().to_owned(),
                handler: self.field(function, "name"),
                touches: touches_others(self.src(function)),
                line: at,
                text,
            });
        }
    }

    fn added_route(&mut self, node: Node<'_>, called: &str) {
        let Some(path) = self.first(node).and_then(|path| self.string(path)).filter(|path| path.starts_with('/')) else { return };
        let handler = self.second(node).or_else(|| self.keyword(node, "endpoint")).map(|handler| self.src(handler).to_owned()).unwrap_or_default();
        let owner = called.rsplit('.').nth(1).unwrap_or_default().to_owned();
        let body = self.function_text(&handler);
        let text = line_of(node, self.text).to_owned();
        self.facts.routes.push(Route { method: "get".to_owned(), path, owner, touches: touches_others(body), handler, line: line(node), text });
    }

    /// The text of a function of this file.
    fn function_text(&self, name: &str) -> &'text str {
        if name.is_empty() {
            return "";
        }
        let head = format!("def {name}(");
        let Some(start) = self.text.find(&head) else { return "" };
        let rest = self.text.get(start..).unwrap_or_default();
        let end = rest.match_indices('\n').map(|(at, _)| at).find(|at| {
            let next = rest.get(at + 1..).unwrap_or_default();
            next.starts_with(|letter: char| !letter.is_whitespace() && letter != ')' && letter != '#')
        });
        rest.get(..end.unwrap_or(rest.len())).unwrap_or_default()
    }

    fn django_path(&mut self, node: Node<'_>) {
        let Some(pattern) = self.first(node).and_then(|path| self.string(path)) else { return };
        let path = format!("/{}", pattern.trim_start_matches('^').trim_end_matches('$').trim_start_matches('/'));
        let handler = self.second(node).map(|handler| self.src(handler).to_owned()).unwrap_or_default();
        if handler.starts_with("include(") {
            let what = handler.trim_start_matches("include(").trim_end_matches(')').trim_matches(['"', '\'']).to_owned();
            self.facts.mounts.push(Mount { what, onto: "urlpatterns".to_owned(), prefix: Value::literal(path) });
            return;
        }
        let text = line_of(node, self.text).to_owned();
        self.facts.routes.push(Route { method: "get".to_owned(), path, owner: "urlpatterns".to_owned(), handler, touches: false, line: line(node), text });
    }

    fn mount(&mut self, node: Node<'_>, called: &str) {
        let is_mount = called.ends_with("mount");
        let (what, prefix) = if is_mount {
            (self.second(node).or_else(|| self.keyword(node, "app")), self.first(node).or_else(|| self.keyword(node, "path")))
        } else {
            (self.first(node).or_else(|| self.keyword(node, "router")), self.keyword(node, "prefix").or_else(|| self.keyword(node, "url_prefix")))
        };
        let Some(what) = what.map(|what| self.src(what).to_owned()) else { return };
        let onto = called.rsplit('.').nth(1).unwrap_or_default().to_owned();
        let prefix = prefix.map(|prefix| self.value(prefix, 0)).unwrap_or_default();
        self.facts.mounts.push(Mount { what, onto, prefix });
    }

    fn run(&mut self, node: Node<'_>, called: &str) {
        let owner = called.rsplit('.').nth(1).unwrap_or_default();
        if matches!(owner, "uvicorn" | "hypercorn" | "granian") {
            return self.listen(node, "uvicorn");
        }
        let transports = self.keyword(node, "transport").is_some();
        if transports || self.facts.mcp_servers.iter().any(|server| server.variable == owner) {
            return self.mcp_run(node, "run");
        }
        if let Some(app) = self.facts.apps.iter().find(|app| app.variable == owner) {
            let by = match app.framework {
                "flask" | "quart" => "flask",
                "sanic" => "sanic",
                _ => "server",
            };
            return self.listen(node, by);
        }
        if owner == "socketio" {
            self.listen(node, "flask");
        }
    }

    /// `uvicorn.run(app, host=…, port=…)` and its like.
    fn listen(&mut self, node: Node<'_>, by: &'static str) {
        let port = self.keyword(node, "port").map(|port| self.value(port, 0)).unwrap_or_default();
        let host = self.keyword(node, "host").map(|host| self.value(host, 0));
        let target = self.first(node).map(|first| self.string(first).unwrap_or_else(|| self.src(first).to_owned())).unwrap_or_default();
        if by == "server" && port == Value::default() {
            return;
        }
        // The line of the port tells more than that of the call.
        let shown = self.keyword(node, "port").unwrap_or(node);
        let text = line_of(shown, self.text).to_owned();
        self.facts.listens.push(Listen { port, host, protocol: "http", by, target, line: line(shown), text });
    }

    /// `HTTPServer(("", 8000), Handler)`.
    fn bare_server(&mut self, node: Node<'_>) {
        let Some(pair) = self.first(node).filter(|pair| pair.kind() == "tuple") else { return };
        let parts = children(pair);
        let (Some(host), Some(port)) = (parts.first(), parts.get(1)) else { return };
        let (host, port) = (self.value(*host, 0), self.value(*port, 0));
        let text = line_of(node, self.text).to_owned();
        let host = (!host.literal.as_deref().unwrap_or("x").is_empty()).then_some(host);
        let host = host.or(Some(Value::literal("0.0.0.0")));
        self.facts.listens.push(Listen { port, host, protocol: "http", by: "http.server", target: String::new(), line: line(node), text });
    }

    fn mcp_server(&mut self, node: Node<'_>, called: &str) {
        let short = called.rsplit('.').next().unwrap_or_default();
        let sdk = match short {
            "FastMCP" if self.facts.imports("fastmcp") => "fastmcp",
            "FastMCP" | "MCPServer" | "Server" if self.facts.imports("mcp") => "mcp",
            _ => return,
        };
        let variable = ancestor(node, &["assignment"], 2)
            .and_then(|assignment| assignment.child_by_field_name("left"))
            .map(|left| self.src(left).rsplit('.').next().unwrap_or_default().to_owned())
            .unwrap_or_default();
        let value = |key: &str| self.keyword(node, key).map(|value| self.value(value, 0));
        let server = McpServer {
            sdk,
            variable,
            host: value("host"),
            port: value("port"),
            path: value("streamable_http_path"),
            guarded: self.keyword(node, "transport_security").is_some() || short == "Server",
            line: line(node),
            text: line_of(node, self.text).to_owned(),
        };
        self.facts.mcp_servers.push(server);
    }

    fn mcp_run(&mut self, node: Node<'_>, how: &str) {
        let named = self.keyword(node, "transport").or_else(|| (how == "run").then(|| self.first(node)).flatten());
        let transport = match how {
            "streamable_http_app" | "http_app" | "run_http_async" | "run_streamable_http_async" | "StreamableHTTPSessionManager" => Some("http"),
            "sse_app" | "run_sse_async" | "SseServerTransport" => Some("sse"),
            "stdio_server" | "run_stdio_async" => Some("stdio"),
            _ => match named.map(|value| self.value(value, 0)) {
                None => Some("stdio"),
                Some(value) => match value.literal.as_deref() {
                    Some("stdio") => Some("stdio"),
                    Some("sse") => Some("sse"),
                    Some("http" | "streamable-http" | "streamable_http") => Some("http"),
                    Some(_) | None => None,
                },
            },
        };
        let value = |key: &str| self.keyword(node, key).map(|value| self.value(value, 0));
        let run = McpRun {
            transport,
            host: value("host"),
            port: value("port"),
            path: value("streamable_http_path").or_else(|| value("path")),
            guarded: self.keyword(node, "transport_security").is_some(),
            serves: how.starts_with("run") || how == "stdio_server",
            line: line(node),
            text: line_of(node, self.text).to_owned(),
        };
        self.facts.mcp_runs.push(run);
    }

    fn write(&mut self, node: Node<'_>, called: &str, short: &str) {
        let path = match short {
            "open" => {
                let mode = self.second(node).or_else(|| self.keyword(node, "mode")).and_then(|mode| self.string(mode)).unwrap_or_default();
                if !mode.starts_with(['w', 'a', 'x']) {
                    return;
                }
                self.first(node).map(|path| self.value(path, 0)).and_then(|value| value.literal).map(|path| super::walk::dir_of(&path).to_owned())
            }
            "makedirs" => self.first(node).map(|path| self.value(path, 0)).and_then(|value| value.literal),
            _ if called.ends_with("os.mkdir") => self.first(node).map(|path| self.value(path, 0)).and_then(|value| value.literal),
            // `Path("data").mkdir()`
            _ => node
                .child_by_field_name("function")
                .and_then(|function| function.child_by_field_name("object"))
                .map(
                    |object| {
                        if object.kind() == "call" { self.first(object).map(|path| self.value(path, 0)).unwrap_or_default() } else { self.value(object, 0) }
                    },
                )
                .and_then(|value| value.literal),
        };
        if let Some(path) = path.filter(|path| !path.is_empty() && path.len() < 200 && !path.contains(['{', '\n'])) {
            self.facts.writes.push((path, line(node)));
        }
    }

    fn settle(&mut self) {
        let (demanded, refused) = (std::mem::take(&mut self.demanded), std::mem::take(&mut self.refused));
        for read in &mut self.facts.reads {
            let default = |name: &String| read.default.as_ref().is_some_and(|default| refused.contains(&(name.clone(), default.clone())));
            if read.need == Need::Optional && (default(&read.name) || read.bound.as_ref().is_some_and(default)) {
                read.need = Need::Demanded;
            }
            let named = demanded.contains(&read.name) || read.bound.as_ref().is_some_and(|bound| demanded.contains(bound));
            if read.need == Need::Unclear && named {
                read.need = Need::Demanded;
            }
        }
    }

    // ---- small readings of nodes ----

    fn field(&self, node: Node<'_>, name: &str) -> String {
        node.child_by_field_name(name).map(|part| self.src(part).to_owned()).unwrap_or_default()
    }

    /// The dotted name that is called, without what its parts were called with.
    fn called(&self, node: Node<'_>) -> String {
        let function = node.child_by_field_name("function").map(|function| self.src(function)).unwrap_or_default();
        if function.len() > 120 { function.rsplit('.').next().unwrap_or_default().to_owned() } else { function.to_owned() }
    }

    fn positional<'tree>(&self, node: Node<'tree>, index: usize) -> Option<Node<'tree>> {
        let arguments = node.child_by_field_name("arguments")?;
        children(arguments)
            .into_iter()
            .filter(|argument| !matches!(argument.kind(), "keyword_argument" | "comment" | "dictionary_splat" | "list_splat"))
            .nth(index)
    }

    fn first<'tree>(&self, node: Node<'tree>) -> Option<Node<'tree>> {
        self.positional(node, 0)
    }

    fn second<'tree>(&self, node: Node<'tree>) -> Option<Node<'tree>> {
        self.positional(node, 1)
    }

    fn keyword<'tree>(&self, node: Node<'tree>, name: &str) -> Option<Node<'tree>> {
        self.keyword_in(node.child_by_field_name("arguments")?, name)
    }

    fn keyword_in<'tree>(&self, arguments: Node<'tree>, name: &str) -> Option<Node<'tree>> {
        children(arguments)
            .into_iter()
            .filter(|argument| argument.kind() == "keyword_argument")
            .find(|argument| argument.child_by_field_name("name").is_some_and(|key| self.src(key) == name))
            .and_then(|argument| argument.child_by_field_name("value"))
    }

    /// A text without interpolation.
    fn string(&self, node: Node<'_>) -> Option<String> {
        if node.kind() != "string" || children(node).iter().any(|part| part.kind() == "interpolation") {
            return None;
        }
        let parts: Vec<&str> = children(node).into_iter().filter(|part| part.kind() == "string_content").map(|part| self.src(part)).collect();
        Some(parts.concat())
    }

    fn value(&self, node: Node<'_>, depth: u8) -> Value {
        if depth > 6 {
            return Value::default();
        }
        match node.kind() {
            "string" => self.string(node).map(Value::literal).unwrap_or_default(),
            "integer" | "float" | "true" | "false" => Value::literal(self.src(node).replace('_', "")),
            "identifier" => {
                self.facts.constants.get(self.src(node)).cloned().unwrap_or_else(|| Value { field: Some(self.src(node).to_owned()), ..Value::default() })
            }
            "attribute" => Value { field: Some(self.field(node, "attribute")), ..Value::default() },
            "parenthesized_expression" => children(node).first().map(|inner| self.value(*inner, depth + 1)).unwrap_or_default(),
            "boolean_operator" => {
                let left = node.child_by_field_name("left").map(|left| self.value(left, depth + 1)).unwrap_or_default();
                let right = node.child_by_field_name("right").map(|right| self.value(right, depth + 1)).unwrap_or_default();
                Value { literal: left.literal.or(right.literal), env: left.env.or(right.env), field: left.field.or(right.field) }
            }
            "subscript" => {
                let name = node.child_by_field_name("subscript").and_then(|index| self.string(index)).filter(|_| self.src(node).contains("environ"));
                Value { env: name, ..Value::default() }
            }
            "call" => self.call_value(node, depth),
            "conditional_expression" => children(node).first().map(|then| self.value(*then, depth + 1)).unwrap_or_default(),
            _ => Value::default(),
        }
    }

    fn call_value(&self, node: Node<'_>, depth: u8) -> Value {
        let called = self.called(node);
        let short = called.rsplit('.').next().unwrap_or_default();
        let reads = short == "getenv"
            || called.ends_with("environ.get")
            || self.helpers.contains_key(short)
            || self.env_objects.contains(called.split('.').next().unwrap_or_default());
        if reads {
            let env = self.first(node).and_then(|name| self.string(name)).filter(|name| env_like(name));
            let default = self.second(node).or_else(|| self.keyword(node, "default"));
            return Value { env, literal: default.and_then(|value| self.value(value, depth + 1).literal), field: None };
        }
        if matches!(short, "int" | "str" | "float" | "bool" | "Path" | "SecretStr" | "cast") {
            return self.first(node).map(|inner| self.value(inner, depth + 1)).unwrap_or_default();
        }
        if matches!(short, "strip" | "lower" | "upper" | "rstrip" | "lstrip" | "split")
            && let Some(object) = node.child_by_field_name("function").and_then(|function| function.child_by_field_name("object"))
        {
            return self.value(object, depth + 1);
        }
        Value::default()
    }
}

fn framework_of(short: &str, called: &str) -> Option<&'static str> {
    Some(match short {
        "FastAPI" => "fastapi",
        "Flask" => "flask",
        "Quart" => "quart",
        "Starlette" => "starlette",
        "Sanic" => "sanic",
        "Litestar" => "litestar",
        "FastHTML" | "fast_app" => "fasthtml",
        "Bottle" => "bottle",
        "Celery" => "celery",
        "Dash" => "dash",
        "Application" if called.ends_with("web.Application") => "aiohttp",
        "get_wsgi_application" | "get_asgi_application" => "django",
        _ => return None,
    })
}

/// The addresses in a text, up to white space, a quote or a bracket.
pub(crate) fn urls(text: &str) -> Vec<String> {
    static URL: std::sync::LazyLock<Option<regex::Regex>> =
        std::sync::LazyLock::new(|| regex::Regex::new(r#"https?://[A-Za-z0-9_.\-\[\]:]+(?:/[!#%&*+\-./0-9:=?@A-Z\\^_a-z~]*)?"#).ok());
    let Some(shape) = URL.as_ref() else { return Vec::new() };
    shape.find_iter(text).map(|found| found.as_str().trim_end_matches(['.', ':', '*']).to_owned()).collect()
}

/// The port at the end of an address such as `[::]:50051`.
fn port_of(address: &str) -> Option<String> {
    let port = address.rsplit(':').next()?;
    port.parse::<u16>().ok().map(|port| port.to_string())
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
        reads("import os\nos.environ['A']", &[("A", Need::Demanded, None)]);
        reads("import os\nos.environ.get('A')", &[("A", Need::Unclear, None)]);
        reads("from os import getenv\ngetenv('A', 'b')", &[("A", Need::Optional, Some("b"))]);
        reads("import os\nx = int(os.getenv('A') or 5)", &[("A", Need::Optional, Some("5"))]);
        reads("import os\nif 'A' in os.environ: pass", &[("A", Need::Unclear, None)]);
        reads("from decouple import config\nconfig('A')\nconfig('B', default='c')", &[("A", Need::Demanded, None), ("B", Need::Optional, Some("c"))]);
        reads("def need(name):\n    return os.environ[name]\nneed('A')", &[("A", Need::Demanded, None)]);
        reads(
            "import os\nNAMES = ['A', 'B']\nmissing = [n for n in NAMES if not os.getenv(n)]\nif missing:\n    raise SystemExit(missing)",
            &[("A", Need::Demanded, None), ("B", Need::Demanded, None)],
        );
    }

    #[test]
    fn imports_are_followed_without_a_tree() {
        let found = extract("import os, json as j\nfrom .a import (\n    b,\n    c as d,  # why\n)\nfrom app import x\n");
        let found: Vec<(&str, Vec<&str>)> =
            found.imports.iter().map(|import| (import.module.as_str(), import.names.iter().map(|(name, _)| name.as_str()).collect())).collect();
        assert_eq!(found, vec![("os", vec![""]), ("json", vec![""]), (".a", vec!["b", "c"]), ("app", vec!["x"])]);
    }

    #[test]
    fn what_is_written_or_only_looks_alike_is_no_read() {
        reads("import os\nos.environ['A'] = 'x'", &[]);
        reads("import os\nos.environ.setdefault('A', 'x')", &[]);
        reads("settings = {}\nsettings.get('A')", &[]);
        reads("# os.environ['A']\nTEXT = \"os.environ['A']\"  # env", &[]);
    }

    #[test]
    fn only_what_stops_the_program_is_demanded() {
        reads("import os\nK = os.getenv('A')\nif not K:\n    raise RuntimeError()", &[("A", Need::Demanded, None)]);
        reads("import os\nK = os.getenv('A')\nif not K:\n    print('off')", &[("A", Need::Unclear, None)]);
        reads("import os\nK = os.getenv('A')\ndef chat():\n    if not K:\n        raise HTTPException(503)", &[("A", Need::Unclear, None)]);
        reads("import os\nK = os.getenv('A')\ndef answer():\n    if not K:\n        raise RuntimeError()", &[("A", Need::Unclear, None)]);
        let either = [("A", Need::Demanded, None), ("B", Need::Unclear, None)];
        reads("import os\nK = os.getenv('A') or os.getenv('B')\nif not K:\n    raise RuntimeError()", &either);
        reads("import os\nif not (os.getenv('A') or os.getenv('B')):\n    raise RuntimeError()", &either);
        let both = [("A", Need::Demanded, None), ("B", Need::Demanded, None)];
        reads("import os\nif not os.getenv('A') or not os.getenv('B'):\n    raise RuntimeError()", &both);
    }

    #[test]
    fn what_was_asked_for_before_is_not_demanded() {
        reads("import os\nif 'A' in os.environ and LIVE:\n    print(os.environ['A'])", &[("A", Need::Unclear, None), ("A", Need::Unclear, None)]);
        reads("import os\nif 'A' in os.environ:\n    pass\nelse:\n    print(os.environ['A'])", &[("A", Need::Unclear, None), ("A", Need::Demanded, None)]);
        reads("import os\nif 'B' not in os.environ:\n    print(os.environ['B'])", &[("B", Need::Unclear, None), ("B", Need::Demanded, None)]);
    }

    #[test]
    fn a_default_that_the_program_refuses_is_none() {
        let check = |condition: &str, expect: Need| {
            reads(&format!("import os\nK = os.getenv('A', 'change-me')\nif {condition}:\n    raise ValueError()"), &[("A", expect, Some("change-me"))]);
        };
        check("K == 'change-me'", Need::Demanded);
        check("not K or K == 'change-me'", Need::Demanded);
        check("(K == 'change-me')", Need::Demanded);
        check("LIVE and K == 'change-me'", Need::Optional);
        check("K == 'other'", Need::Optional);
        check("K != 'change-me'", Need::Optional);
    }

    #[test]
    fn settings_have_names_defaults_and_words_beside_them() {
        let facts = extract(
            "class S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='X_')\n    a: SecretStr\n    b: int = Field(default=5, alias='BEE')\n    c: str = 'd'\n    \"\"\"such as http://tools:1/mcp\"\"\"\n    k: ClassVar[int] = 1\n",
        );
        let class = facts.classes.first().unwrap();
        assert_eq!(class.prefix, "X_");
        let fields: Vec<(&str, bool, Vec<&str>)> =
            class.fields.iter().map(|field| (field.name.as_str(), field.default.is_some(), field.aliases.iter().map(String::as_str).collect())).collect();
        assert_eq!(fields, vec![("a", false, vec![]), ("b", true, vec!["BEE"]), ("c", true, vec![])]);
        assert!(class.fields.last().is_some_and(|field| field.doc.contains("http://tools:1/mcp")));
    }

    #[test]
    fn an_empty_default_that_a_validator_refuses_is_none() {
        let check = |condition: &str, expect: bool| {
            let text = format!(
                "class S(BaseSettings):\n    a: str = ''\n    b: str = 'x'\n    c: str = ''\n    @field_validator('a', 'b')\n    @classmethod\n    def filled(cls, v: str) -> str:\n        if {condition}:\n            raise ValueError()\n        return v\n"
            );
            let facts = extract(&text);
            let needed: Vec<&str> = facts.classes[0].fields.iter().filter(|field| field.default.is_none()).map(|field| field.name.as_str()).collect();
            assert_eq!(needed, if expect { vec!["a"] } else { vec![] }, "{condition}");
        };
        check("not v", true);
        check("not v or len(v) < 32", true);
        check("not v and LIVE", false);
        check("v == 'changeme'", false);
    }

    #[test]
    fn servers_say_where_they_listen() {
        let port = |text: &str| extract(text).listens.first().map(|listen| (listen.port.number(), listen.port.field.clone(), listen.protocol));
        assert_eq!(port("import uvicorn\nuvicorn.run('a:b', host='0.0.0.0', port=8001)"), Some((Some(8001), None, "http")));
        assert_eq!(port("import uvicorn\nuvicorn.run(app, port=settings.port)"), Some((None, Some("port".to_owned()), "http")));
        assert_eq!(port("P = int(os.getenv('PORT', '7000'))\nimport uvicorn\nuvicorn.run(app, port=P)"), Some((Some(7000), None, "http")));
        assert_eq!(port("import grpc\nserver.add_insecure_port('[::]:50051')  # env"), Some((Some(50051), None, "grpc")));
        assert_eq!(port("import subprocess\nsubprocess.run(['ls'])"), None);
    }

    #[test]
    fn mcp_servers_tools_and_clients() {
        let facts = extract(
            "from mcp.server.fastmcp import FastMCP\nm = FastMCP('x', host='0.0.0.0', port=9)\n@m.tool()\ndef a(): ...\n@m.tool(name='b')\ndef other(): ...\nm.run(transport='streamable-http')",
        );
        assert_eq!(facts.tools.iter().map(|(name, _, _)| name.as_str()).collect::<Vec<_>>(), vec!["a", "b"]);
        assert_eq!((facts.mcp_servers.first().map(|server| server.sdk), facts.mcp_runs.first().and_then(|run| run.transport)), (Some("mcp"), Some("http")));
        assert_eq!(extract("from fastmcp import FastMCP\nm = FastMCP('x')\nm.run()").mcp_runs.first().and_then(|run| run.transport), Some("stdio"));
        // A class of one's own that is called so speaks no protocol.
        assert!(extract("class MCPServer: ...\nserver = MCPServer()").mcp_servers.is_empty());
        let client = |text: &str| extract(text).mcp_clients.first().map(|client| client.transport);
        assert_eq!(client("from agents.mcp import MCPServerStdio\ns = MCPServerStdio(params={})"), Some("stdio"));
        assert_eq!(client("class T(MCPServerStreamableHttp):\n    def x(self): ...  # mcp"), Some("http"));
    }
}
