//! MCP as a client speaks it: handshake, tools and one call, over streamable HTTP to an address of this machine, with the Host header that real callers send.

use crate::failure::{Code, Failure};
use crate::ports::{McpPeer, PeerAnswer, PeerFacts, PeerTool};
use crate::secret::plain;
use http::header::{ACCEPT, CONTENT_TYPE, HOST, LOCATION};
use http::{HeaderValue, StatusCode};
use rmcp::model::{CallToolRequestParams, CallToolResult, ContentBlock, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RoleClient, RunningService};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Where servers usually are.
const USUAL: [&str; 3] = ["/mcp", "/mcp/", "/"];
/// How often a path may lead to another one.
const HOPS: usize = 3;
/// The first look at a path is short: a server that is there answers at once.
const LOOK: Duration = Duration::from_secs(5);

/// rmcp's client.
#[derive(Clone, Copy, Debug, Default)]
pub struct RmcpPeer;

type Link = RunningService<RoleClient, ()>;

/// One server as it is spoken to.
struct Peer<'a> {
    http: reqwest::Client,
    address: SocketAddr,
    host: &'a str,
    host_value: HeaderValue,
}

/// What a first look at a path showed.
enum Look {
    /// Worth a handshake at this path, which the asked one may have led to.
    Try(String),
    /// No MCP here, and why.
    No(String),
}

impl<'a> Peer<'a> {
    fn new(address: SocketAddr, host: &'a str) -> Result<Self, Failure> {
        let bad = || Failure::new(Code::BadArgument, format!("the Host header {:?} is not valid", plain(host, 80))).help("use name or name:port");
        let host_value = HeaderValue::from_str(host).map_err(|_| bad())?;
        if host.is_empty() || host.contains(['/', '@', ' ']) {
            return Err(bad());
        }
        // A proxy would take even a loopback address away from us, and redirects are followed here: they name the Host header's host, which nobody can resolve.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).redirect(reqwest::redirect::Policy::none()).build();
        let http = http.map_err(|error| Failure::internal("make an HTTP client").chain(&error))?;
        Ok(Self { http, address, host, host_value })
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks a path with a harmless message, and follows where it leads on the same server.
    async fn look(&self, path: &str) -> Look {
        let mut at = path.to_owned();
        for _ in 0..=HOPS {
            let asked = self
                .http
                .post(self.url(&at))
                .header(HOST, self.host_value.clone())
                .header(ACCEPT, "application/json, text/event-stream")
                .header(CONTENT_TYPE, "application/json")
                .timeout(LOOK)
                .body(r#"{"jsonrpc":"2.0","id":0,"method":"ping"}"#)
                .send()
                .await;
            let answer = match asked {
                Ok(answer) => answer,
                Err(error) if error.is_timeout() => return Look::No(format!("no answer within {} s", LOOK.as_secs())),
                Err(error) => return Look::No(plain(&innermost(&error), 200)),
            };
            let status = answer.status();
            match status {
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
                    let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok()).unwrap_or_default();
                    match self.same_server(place) {
                        Some(next) => at = next,
                        None => return Look::No(format!("HTTP {status} to {}", plain(place, 120))),
                    }
                }
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED => {
                    // A server may say "not found" of a session that it does not know.
                    let text = self.text(answer).await;
                    return if is_rpc(&text) { Look::Try(at) } else { Look::No(told(status, &text)) };
                }
                StatusCode::UNAUTHORIZED => return Look::No(told(status, "it asks for authorization")),
                StatusCode::FORBIDDEN | StatusCode::MISDIRECTED_REQUEST => {
                    let text = self.text(answer).await;
                    return Look::No(told(status, &format!("it refuses the Host header {:?}: {text}", self.host)));
                }
                status if status.is_redirection() => return Look::No(told(status, "a redirection that loses the message")),
                _ => return Look::Try(at),
            }
        }
        Look::No(format!("more than {HOPS} redirections"))
    }

    /// The path of a redirection that stays on this server, under whatever name it knows itself.
    fn same_server(&self, place: &str) -> Option<String> {
        let uri: http::Uri = place.parse().ok()?;
        let ours = uri.authority().is_none_or(|authority| {
            authority.as_str() == self.host || authority.as_str() == self.address.to_string() || authority.host() == host_name(self.host)
        });
        let path = uri.path_and_query()?.as_str();
        (ours && uri.scheme_str().is_none_or(|scheme| scheme == "http") && path.starts_with('/')).then(|| path.to_owned())
    }

    /// The start of a body, as far as it comes at once.
    async fn text(&self, mut answer: reqwest::Response) -> String {
        let mut bytes = Vec::new();
        let reading = async {
            while let Ok(Some(chunk)) = answer.chunk().await {
                bytes.extend_from_slice(&chunk);
                if bytes.len() > 2_000 {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), reading).await;
        plain(String::from_utf8_lossy(&bytes).trim(), 160)
    }

    /// The handshake. A silent peer would hang it for ever: the caller's limit is kept here.
    async fn connect(&self, path: &str, limit: Duration) -> Result<Link, String> {
        let headers = HashMap::from([(HOST, self.host_value.clone())]);
        let config = StreamableHttpClientTransportConfig::with_uri(self.url(path)).custom_headers(headers);
        let wire = StreamableHttpClientTransport::with_client(self.http.clone(), config);
        let mode = ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None };
        match tokio::time::timeout(limit, ().serve_with_lifecycle(wire, mode)).await {
            Ok(Ok(link)) => Ok(link),
            Ok(Err(error)) => Err(plain(&innermost(&error), 300)),
            Err(_) => Err(format!("no handshake within {:.1} s", limit.as_secs_f64())),
        }
    }
}

/// The error and the innermost of its sources.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last: Option<&dyn std::error::Error> = error.source();
    while let Some(next) = last.and_then(std::error::Error::source) {
        last = Some(next);
    }
    match last.map(ToString::to_string) {
        Some(inner) if !error.to_string().contains(&inner) => format!("{error}: {inner}"),
        _ => error.to_string(),
    }
}

fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.chars().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    }
}

fn told(status: StatusCode, text: &str) -> String {
    let text = plain(text, 200);
    if text.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {text}") }
}

/// True for a JSON-RPC message.
fn is_rpc(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| value.get("jsonrpc").is_some())
}

/// Content and structured content, cut to what a reply can carry.
fn answer_text(result: &CallToolResult) -> String {
    let mut parts: Vec<String> = result
        .content
        .iter()
        .map(|block| match block {
            ContentBlock::Text(text) => text.text.clone(),
            ContentBlock::Image(_) => "[an image]".to_owned(),
            ContentBlock::Audio(_) => "[a sound]".to_owned(),
            ContentBlock::Resource(_) | ContentBlock::ResourceLink(_) => "[a resource]".to_owned(),
            _ => "[something else]".to_owned(),
        })
        .collect();
    if let Some(structured) = &result.structured_content {
        let structured = structured.to_string();
        // Servers repeat the structured content as text.
        if !parts.iter().any(|part| part.trim() == structured) {
            parts.push(structured);
        }
    }
    plain(&parts.join("\n"), 2_000)
}

async fn facts(link: &Link, peer: &Peer<'_>, path: &str, limit: Duration) -> Result<PeerFacts, String> {
    let listed = tokio::time::timeout(limit, link.list_all_tools()).await;
    let tools = listed.map_err(|_| format!("tools/list gave no answer within {:.1} s", limit.as_secs_f64()))?;
    let tools = tools.map_err(|error| format!("tools/list: {}", plain(&error.to_string(), 300)))?;
    let about = link.peer_info().ok_or("the server did not say who it is")?;
    let tool = |tool: rmcp::model::Tool| PeerTool {
        name: plain(&tool.name, 128),
        description: plain(tool.description.as_deref().unwrap_or_default(), 1_000),
        read_only: tool.annotations.as_ref().and_then(|hints| hints.read_only_hint).unwrap_or_default(),
        input_schema: tool.input_schema.as_ref().clone(),
        output_schema: tool.output_schema.as_ref().map(|schema| schema.as_ref().clone()),
    };
    Ok(PeerFacts {
        name: about.server_info.as_ref().map(|server| plain(&server.name, 120)).unwrap_or_default(),
        version: about.server_info.as_ref().map(|server| plain(&server.version, 60)).unwrap_or_default(),
        protocol: plain(&about.protocol_version.to_string(), 40),
        path: path.to_owned(),
        host_header: peer.host.to_owned(),
        tools: tools.into_iter().map(tool).collect(),
    })
}

/// Ends the connection; a server that does not hear it has its own timeout.
async fn close(link: Link) {
    let _ = tokio::time::timeout(Duration::from_secs(2), link.cancel()).await;
}

fn loopback(address: SocketAddr) -> Result<(), Failure> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(Failure::internal(format!("{address} is not an address of this machine")))
}

#[async_trait::async_trait]
impl McpPeer for RmcpPeer {
    async fn meet(&self, address: SocketAddr, host_header: &str, path: Option<&str>, deadline: Duration) -> Result<PeerFacts, Failure> {
        loopback(address)?;
        let peer = Peer::new(address, host_header)?;
        let end = Instant::now() + deadline;
        let paths: Vec<&str> = path.map_or_else(|| USUAL.to_vec(), |path| vec![path]);
        let mut seen: Vec<String> = Vec::new();
        let mut tried: Vec<String> = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let left = end.saturating_duration_since(Instant::now());
            // What is left is shared by the paths that are left, so that a silent one does not take all.
            let share = left / u32::try_from(paths.len() - number).unwrap_or(1);
            let looked = tokio::time::timeout(share, peer.look(path)).await.unwrap_or_else(|_| Look::No("no answer in time".to_owned()));
            let at = match looked {
                Look::Try(at) if tried.contains(&at) => continue,
                Look::Try(at) => at,
                Look::No(why) => {
                    seen.push(format!("{path}: {why}"));
                    continue;
                }
            };
            tried.push(at.clone());
            let limit = share.saturating_sub(LOOK.min(share / 4));
            let met = match peer.connect(&at, limit).await {
                Ok(link) => {
                    let met = facts(&link, &peer, &at, end.saturating_duration_since(Instant::now())).await;
                    close(link).await;
                    met
                }
                Err(why) => Err(why),
            };
            match met {
                Ok(facts) => return Ok(facts),
                Err(why) => seen.push(format!("{at}: {why}")),
            }
        }
        let failure = Failure::new(Code::NotMcp, format!("no MCP server answers with the Host header {host_header:?}"));
        let failure = seen.iter().fold(failure, Failure::cause);
        Err(failure.help("the container must serve MCP over streamable HTTP at one of these paths, on all its addresses (0.0.0.0), and allow this Host header"))
    }

    async fn call(
        &self,
        address: SocketAddr,
        host_header: &str,
        path: &str,
        tool: &str,
        arguments: serde_json::Map<String, serde_json::Value>,
        deadline: Duration,
    ) -> Result<PeerAnswer, Failure> {
        loopback(address)?;
        let peer = Peer::new(address, host_header)?;
        let started = Instant::now();
        let fault = |why: String| {
            Failure::new(Code::NotMcp, format!("call the tool {}", plain(tool, 128))).cause(why).help("see the server's log; call again when it answers")
        };
        let link = peer.connect(path, deadline).await.map_err(fault)?;
        let left = deadline.saturating_sub(started.elapsed());
        let called = Instant::now();
        let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let result = tokio::time::timeout(left, link.call_tool(params)).await;
        let elapsed = called.elapsed();
        close(link).await;
        match result {
            Ok(Ok(result)) => {
                let (is_error, text) = (result.is_error.unwrap_or_default(), answer_text(&result));
                Ok(PeerAnswer { is_error, text, structured: result.structured_content, elapsed })
            }
            // An unknown tool or refused arguments: the server spoke, and said no.
            Ok(Err(rmcp::ServiceError::McpError(error))) => {
                Ok(PeerAnswer { is_error: true, text: plain(&format!("{}: {}", error.code.0, error.message), 2_000), structured: None, elapsed })
            }
            Ok(Err(error)) => Err(fault(plain(&error.to_string(), 300))),
            Err(_) => Err(Failure::new(Code::Deadline, format!("the tool {} gave no answer within {:.1} s", plain(tool, 128), deadline.as_secs_f64()))
                .help("call again with a longer deadline, or see the server's log")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    /// A request as a small server reads it.
    struct Asked {
        method: String,
        path: String,
        host: String,
        body: String,
    }

    async fn read(stream: &mut TcpStream) -> Option<Asked> {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        let head = loop {
            let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
            bytes.extend_from_slice(&chunk[..count]);
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let header = |name: &str| {
            text.lines()
                .find_map(|line| line.split_once(": ").filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()))
                .unwrap_or_default()
        };
        let length: usize = header("content-length").parse().unwrap_or_default();
        while bytes.len() < head + 4 + length {
            let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
            bytes.extend_from_slice(&chunk[..count]);
        }
        let mut first = text.lines().next()?.split(' ').map(str::to_owned);
        Some(Asked { method: first.next()?, path: first.next()?, host: header("host"), body: String::from_utf8_lossy(&bytes[head + 4..]).into_owned() })
    }

    /// Serves every connection with this function: status line, extra headers and body.
    async fn serve(answer: impl Fn(&Asked) -> (String, String) + Send + Sync + 'static) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let answer = answer.clone();
                tokio::spawn(async move {
                    let Some(asked) = read(&mut stream).await else { return };
                    let (head, body) = answer(&asked);
                    let text = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(text.as_bytes()).await;
                });
            }
        });
        address
    }

    /// A server of the older kind, by hand: it knows `initialize`, `tools/list` and `tools/call`.
    fn legacy(asked: &Asked) -> (String, String) {
        let message: serde_json::Value = serde_json::from_str(&asked.body).unwrap_or_default();
        let id = &message["id"];
        let json = |result: serde_json::Value| {
            ("200 OK\r\ncontent-type: application/json".to_owned(), serde_json::json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string())
        };
        match (asked.method.as_str(), message["method"].as_str().unwrap_or_default()) {
            ("POST", "initialize") => {
                json(serde_json::json!({"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "by-hand", "version": "0.3"}}))
            }
            ("POST", "tools/list") => json(
                serde_json::json!({"tools": [{"name": "add_task", "description": "Adds", "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}}]}),
            ),
            ("POST", "tools/call") if message["params"]["name"] == "add_task" => {
                json(serde_json::json!({"content": [{"type": "text", "text": "added"}], "structuredContent": {"id": 7}, "isError": false}))
            }
            ("POST", method) if method.starts_with("notifications/") => ("202 Accepted".to_owned(), String::new()),
            ("POST", _) => (
                "200 OK\r\ncontent-type: application/json".to_owned(),
                serde_json::json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32601, "message": "method not found"}}).to_string(),
            ),
            _ => ("405 Method Not Allowed".to_owned(), String::new()),
        }
    }

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_host_header_arrives_in_every_request() {
        let hosts = Arc::new(Mutex::new(Vec::new()));
        let heard = hosts.clone();
        let address = serve(move |asked| {
            heard.lock().unwrap().push(asked.host.clone());
            legacy(asked)
        })
        .await;
        let facts = RmcpPeer.meet(address, "todo-mcp.todo.svc:8000", None, LIMIT).await.unwrap();
        assert_eq!((facts.name.as_str(), facts.version.as_str(), facts.protocol.as_str(), facts.path.as_str()), ("by-hand", "0.3", "2025-06-18", "/mcp"));
        assert_eq!(facts.tools.iter().map(|tool| (tool.name.as_str(), tool.read_only)).collect::<Vec<_>>(), [("add_task", true)]);
        let hosts = hosts.lock().unwrap();
        assert!(hosts.len() >= 4 && hosts.iter().all(|host| host == "todo-mcp.todo.svc:8000"), "{hosts:?}");
    }

    #[tokio::test]
    async fn a_redirection_to_its_own_name_is_followed_with_the_body() {
        let address = serve(|asked| match asked.path.as_str() {
            "/mcp/" => legacy(asked),
            "/mcp" => ("307 Temporary Redirect\r\nlocation: http://todo-mcp:8000/mcp/".to_owned(), String::new()),
            _ => ("404 Not Found".to_owned(), String::new()),
        })
        .await;
        let facts = RmcpPeer.meet(address, "todo-mcp:8000", Some("/mcp"), LIMIT).await.unwrap();
        assert_eq!(facts.path, "/mcp/");
    }

    #[tokio::test]
    async fn what_is_no_mcp_server_is_told_path_by_path() {
        let address = serve(|asked| match asked.path.as_str() {
            "/" => ("200 OK\r\ncontent-type: text/html".to_owned(), "<html>".to_owned()),
            "/mcp" => ("307 Temporary Redirect\r\nlocation: https://elsewhere.example/mcp".to_owned(), String::new()),
            _ => ("404 Not Found".to_owned(), "nothing here".to_owned()),
        })
        .await;
        let failure = RmcpPeer.meet(address, "web", None, LIMIT).await.unwrap_err();
        assert_eq!(failure.code, Code::NotMcp);
        assert_eq!(failure.causes.len(), 3, "{failure}");
        assert!(failure.causes[0].starts_with("/mcp: HTTP 307") && failure.causes[0].contains("elsewhere.example"), "{failure}");
        assert!(failure.causes[1].starts_with("/mcp/: HTTP 404") && failure.causes[1].contains("nothing here"), "{failure}");
        assert!(failure.causes[2].starts_with("/: "), "{failure}");
    }

    #[tokio::test]
    async fn a_refused_host_is_named() {
        let address = serve(|_| ("421 Misdirected Request".to_owned(), "Invalid Host header".to_owned())).await;
        let failure = RmcpPeer.meet(address, "todo-mcp:8000", Some("/mcp"), LIMIT).await.unwrap_err();
        assert!(failure.causes[0].contains("421") && failure.causes[0].contains("todo-mcp:8000"), "{failure}");
    }

    #[tokio::test]
    async fn a_silent_server_does_not_hang_us() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let started = Instant::now();
        let failure = RmcpPeer.meet(listener.local_addr().unwrap(), "x", None, Duration::from_secs(2)).await.unwrap_err();
        assert_eq!(failure.code, Code::NotMcp);
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    }

    #[tokio::test]
    async fn a_tool_is_called_and_its_refusal_is_an_answer() {
        let address = serve(legacy).await;
        let call = async |tool: &str| RmcpPeer.call(address, "x", "/mcp", tool, serde_json::Map::new(), LIMIT).await.unwrap();
        let answer = call("add_task").await;
        assert_eq!((answer.is_error, answer.text.as_str()), (false, "added\n{\"id\":7}"));
        let refused = call("no_such_tool").await;
        assert!(refused.is_error && refused.text.contains("-32601"), "{refused:?}");
    }

    #[tokio::test]
    async fn only_this_machine_is_spoken_to() {
        assert!(RmcpPeer.meet("10.0.0.1:80".parse().unwrap(), "x", None, LIMIT).await.is_err());
        for bad in ["", "a b", "a/b", "u@h", "a\r\nx: y"] {
            assert_eq!(RmcpPeer.meet("127.0.0.1:1".parse().unwrap(), bad, None, LIMIT).await.unwrap_err().code, Code::BadArgument, "{bad:?}");
        }
    }
}
