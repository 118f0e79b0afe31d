//! SDKs of MCP in the languages that are read by patterns: where a server is made, how it speaks, which tools it offers; clients are not looked for.

use super::facts::{Facts, McpRun, McpServer, Value, find_line, line_at, line_text};
use super::other::Language;
use regex::Regex;
use std::sync::LazyLock;

/// An SDK by what its users write.
struct Sdk {
    name: &'static str,
    language: Language,
    /// A file without one of these does not use it.
    marks: &'static [&'static str],
    /// Where a server is made.
    servers: &'static [&'static str],
    /// Where it begins to speak, and how.
    runs: &'static [(&'static str, &'static str)],
}

/// From the SDKs' own documentation and examples.
const SDKS: &[Sdk] = &[
    Sdk {
        name: "mcp-go",
        language: Language::Go,
        marks: &["mark3labs/mcp-go/"],
        servers: &["server.NewMCPServer("],
        runs: &[
            ("server.NewStreamableHTTPServer(", "http"),
            ("server.NewSSEServer(", "sse"),
            ("server.ServeStdio(", "stdio"),
            ("server.NewStdioServer(", "stdio"),
        ],
    },
    Sdk {
        name: "mcp-go-sdk",
        language: Language::Go,
        marks: &["modelcontextprotocol/go-sdk/"],
        servers: &["mcp.NewServer("],
        runs: &[
            ("mcp.NewStreamableHTTPHandler(", "http"),
            ("mcp.NewSSEHandler(", "sse"),
            ("mcp.StdioTransport{", "stdio"),
            ("mcp.NewStdioTransport(", "stdio"),
        ],
    },
    Sdk {
        name: "mcp-golang",
        language: Language::Go,
        marks: &["metoro-io/mcp-golang"],
        servers: &["mcp_golang.NewServer(", "mcp.NewServer("],
        runs: &[("http.NewHTTPTransport(", "http"), ("http.NewGinTransport(", "http"), ("stdio.NewStdioServerTransport(", "stdio")],
    },
    Sdk {
        name: "rmcp",
        language: Language::Rust,
        marks: &["rmcp::"],
        servers: &["ServerHandler for ", "#[tool_router", "#[tool_handler"],
        runs: &[
            ("StreamableHttpService::new(", "http"),
            ("StreamableHttpService::<", "http"),
            ("SseServer::", "sse"),
            ("stdio())", "stdio"),
            ("(stdin(), stdout())", "stdio"),
        ],
    },
    Sdk {
        name: "ModelContextProtocol",
        language: Language::CSharp,
        marks: &["AddMcpServer(", "McpServerTool", "MapMcp("],
        servers: &["AddMcpServer(", "[McpServerToolType"],
        runs: &[("MapMcp(", "http"), ("WithStdioServerTransport(", "stdio")],
    },
    Sdk {
        name: "mcp-java-sdk",
        language: Language::Jvm,
        marks: &["io.modelcontextprotocol."],
        servers: &["McpServer.sync(", "McpServer.async(", "Server(Implementation(", "Server(\n"],
        runs: &[("StreamableServerTransportProvider", "http"), ("mcpStreamableHttp", "http"), ("SseServerTransport", "sse"), ("StdioServerTransport", "stdio")],
    },
    Sdk { name: "quarkus-mcp-server", language: Language::Jvm, marks: &["io.quarkiverse.mcp.server."], servers: &["@Tool("], runs: &[] },
    Sdk {
        name: "spring-ai-mcp",
        language: Language::Jvm,
        marks: &["org.springaicommunity.mcp.annotation.", "org.springframework.ai.mcp."],
        servers: &["@McpTool("],
        runs: &[],
    },
    Sdk {
        name: "mcp",
        language: Language::Ruby,
        marks: &["MCP::Server"],
        servers: &["MCP::Server.new("],
        runs: &[("StreamableHTTPTransport.new(", "http"), ("StdioTransport.new(", "stdio")],
    },
    Sdk {
        name: "fast-mcp",
        language: Language::Ruby,
        marks: &["FastMcp"],
        servers: &["FastMcp::Server.new(", "FastMcp.mount_in_rails(", "FastMcp.rack_middleware("],
        runs: &[("FastMcp.mount_in_rails(", "sse"), ("FastMcp.rack_middleware(", "sse"), ("server.start\n", "stdio")],
    },
    Sdk {
        name: "php-mcp/server",
        language: Language::Php,
        marks: &["PhpMcp\\Server\\"],
        servers: &["Server::make("],
        runs: &[("new StreamableHttpServerTransport(", "http"), ("new HttpServerTransport(", "sse"), ("new StdioServerTransport(", "stdio")],
    },
    Sdk {
        name: "mcp/sdk",
        language: Language::Php,
        marks: &["Mcp\\Server"],
        servers: &["Server::builder("],
        runs: &[("new StreamableHttpTransport(", "http"), ("new StdioTransport(", "stdio")],
    },
    Sdk {
        name: "laravel/mcp",
        language: Language::Php,
        marks: &["Laravel\\Mcp\\"],
        servers: &["Mcp::web(", "Mcp::local("],
        runs: &[("Mcp::web(", "http"), ("Mcp::local(", "stdio")],
    },
    Sdk {
        name: "hermes_mcp",
        language: Language::Elixir,
        marks: &["Hermes.Server"],
        servers: &["use Hermes.Server"],
        runs: &[("transport: :streamable_http", "http"), ("transport: {:streamable_http", "http"), ("transport: :stdio", "stdio")],
    },
];

/// Tools by the forms that the SDKs have; a group `name`.
static TOOLS: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let forms = [
        // Go
        r#"mcp\.NewTool\(\s*"([A-Za-z0-9_.-]+)""#,
        r#"mcp\.Tool\{\s*Name:\s*"([A-Za-z0-9_.-]+)""#,
        r#"\.RegisterTool\(\s*"([A-Za-z0-9_.-]+)""#,
        // Rust: the function below the attribute.
        r#"#\[tool(?:\([^\]]*\))?\]\s*(?:#\[[^\]]*\]\s*)*(?:pub )?(?:async )?fn ([a-z0-9_]+)"#,
        // C#
        r#"\[McpServerTool\(Name = "([A-Za-z0-9_.-]+)""#,
        // Java
        r#"@(?:Mcp)?Tool\([^)]*?\bname = "([A-Za-z0-9_.-]+)""#,
        // Ruby
        r#"\btool_name "([A-Za-z0-9_.-]+)""#,
    ];
    Regex::new(&forms.join("|")).ok()
});

/// Adds what a file says of a server of its own.
pub(crate) fn read(language: Language, text: &str, facts: &mut Facts) {
    let uses = |sdk: &&Sdk| sdk.language == language && sdk.marks.iter().any(|mark| text.contains(mark));
    let Some(sdk) = SDKS.iter().find(uses) else { return };
    let seen = |needle: &str| match find_line(text, needle) {
        // A needle may end with its line.
        (0, _) => text.find(needle).map(|at| line_at(text, at)).map(|line| (line, line_text(text, line).to_owned())),
        (line, shown) => Some((line, shown.to_owned())),
    };
    let code = |(line, shown): (u32, String)| (!shown.starts_with("//") && !shown.starts_with('#') || shown.starts_with("#[")).then_some((line, shown));
    if let Some((line, shown)) = sdk.servers.iter().find_map(|needle| seen(needle).and_then(code)) {
        let server = McpServer { sdk: sdk.name, variable: String::new(), host: None, port: None, path: None, guarded: false, line, text: shown };
        facts.mcp_servers.push(server);
    }
    for (needle, transport) in sdk.runs {
        let Some((line, shown)) = seen(needle).and_then(code) else { continue };
        // `MapMcp()` of .NET answers at the top; the others name their path beside, as a route.
        let top = (*needle == "MapMcp(" && shown.contains("MapMcp()")).then(|| Value::literal("/"));
        let path = written_path(&shown, needle).map(Value::literal).or(top).filter(|_| *transport != "stdio");
        facts.mcp_runs.push(McpRun { transport: Some(transport), host: None, port: None, path, guarded: false, serves: true, line, text: shown });
    }
    for hit in TOOLS.iter().flat_map(|shape| shape.captures_iter(text)) {
        if let Some(name) = hit.iter().skip(1).flatten().next() {
            let line = line_at(text, name.start());
            facts.tools.push((name.as_str().to_owned(), line, line_text(text, line).to_owned()));
        }
    }
}

/// `MapMcp("/mcp")`: the first text after the call, where it is a path.
fn written_path(shown: &str, needle: &str) -> Option<String> {
    let rest = shown.split_once(needle)?.1.trim_start();
    let mark = rest.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
    rest.get(1..)?.split(mark).next().filter(|path| path.starts_with('/')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(language: Language, text: &str, expect: Option<(&str, Option<&str>, Option<&str>)>) {
        let facts = super::super::other::extract(language, text);
        let found = facts.mcp_servers.first().map(|server| {
            let run = facts.mcp_runs.first();
            (server.sdk, run.and_then(|run| run.transport), run.and_then(|run| run.path.as_ref()?.literal.as_deref()))
        });
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn servers_in_every_language_say_how_they_speak() {
        check(
            Language::Go,
            "import \"github.com/mark3labs/mcp-go/server\"\ns := server.NewMCPServer(\"x\", \"1\")\nserver.ServeStdio(s)\n",
            Some(("mcp-go", Some("stdio"), None)),
        );
        check(
            Language::Go,
            "import \"github.com/modelcontextprotocol/go-sdk/mcp\"\ns := mcp.NewServer(&mcp.Implementation{}, nil)\nh := mcp.NewStreamableHTTPHandler(get, nil)\n",
            Some(("mcp-go-sdk", Some("http"), None)),
        );
        check(
            Language::Rust,
            "use rmcp::ServerHandler;\nimpl ServerHandler for Notes {}\nlet service = Notes.serve(rmcp::transport::stdio()).await;\n",
            Some(("rmcp", Some("stdio"), None)),
        );
        check(
            Language::CSharp,
            "builder.Services.AddMcpServer().WithHttpTransport().WithToolsFromAssembly();\napp.MapMcp(\"/mcp\");\n",
            Some(("ModelContextProtocol", Some("http"), Some("/mcp"))),
        );
        check(
            Language::CSharp,
            "builder.Services.AddMcpServer().WithHttpTransport();\napp.MapMcp();\n",
            Some(("ModelContextProtocol", Some("http"), Some("/"))),
        );
        check(
            Language::Jvm,
            "import io.modelcontextprotocol.server.McpServer;\nvar t = new HttpServletSseServerTransportProvider(m, \"/message\");\nMcpServer.sync(t).build();\n",
            Some(("mcp-java-sdk", Some("sse"), None)),
        );
        check(Language::Ruby, "server = MCP::Server.new(\nMCP::Server::Transports::StdioTransport.new(server).open\n", Some(("mcp", Some("stdio"), None)));
        check(
            Language::Php,
            "use Laravel\\Mcp\\Facades\\Mcp;\nMcp::web('/mcp/notes', NotesServer::class);\n",
            Some(("laravel/mcp", Some("http"), Some("/mcp/notes"))),
        );
        check(Language::Elixir, "  use Hermes.Server,\n{Notes.Server, transport: :streamable_http}\n", Some(("hermes_mcp", Some("http"), None)));
    }

    #[test]
    fn clients_and_names_alone_are_no_servers() {
        check(Language::Go, "import \"github.com/mark3labs/mcp-go/client\"\nc := client.NewStreamableHttpClient(url)\n", None);
        check(Language::Go, "package mcp\nfunc NewServer() {}\ns := mcp.NewServer()\n", None);
        check(Language::Rust, "use rmcp::service::ServiceExt;\nlet client = ().serve(TokioChildProcess::new(command)?).await?;\n", None);
        check(Language::CSharp, "// builder.Services.AddMcpServer();\n", None);
    }

    #[test]
    fn tools_have_names() {
        let names =
            |language: Language, text: &str| super::super::other::extract(language, text).tools.into_iter().map(|(name, _, _)| name).collect::<Vec<_>>();
        assert_eq!(names(Language::Go, "import \"github.com/mark3labs/mcp-go/mcp\"\nt := mcp.NewTool(\"add_note\",\n"), ["add_note"]);
        assert_eq!(names(Language::Rust, "use rmcp::tool;\n#[tool(description = \"adds\")]\nasync fn add_note(&self) {}\nfn other() {}\n"), ["add_note"]);
        assert_eq!(names(Language::Go, "t := mcp.NewTool(\"add_note\",\n"), Vec::<String>::new());
    }
}
