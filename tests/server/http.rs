//! What holds over HTTP, on every route.

use crate::lines::{PATIENCE, PROGRAM, ended};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Ends the program with the test, however that ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) struct Http {
    pub(crate) child: Running,
    pub(crate) port: u16,
    pub(crate) token: String,
    pub(crate) state: tempfile::TempDir,
}

impl Http {
    pub(crate) fn start(more: &[&str]) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut child = Running(
            Command::new(PROGRAM)
                .args(["serve", "--http", "127.0.0.1:0"])
                .args(more)
                .env("LANDFALL_STATE", state.path())
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut said = BufReader::new(child.0.stderr.take().unwrap()).lines();
        let mut line = |has: &str| said.by_ref().map(Result::unwrap).find(|line| line.contains(has)).unwrap();
        let first = line("landfall serves http://127.0.0.1:");
        let port = first.split("127.0.0.1:").nth(1).and_then(|rest| rest.split('/').next()).unwrap().parse().unwrap();
        let second = line("bearer token: ");
        let token = std::fs::read_to_string(second.strip_prefix("bearer token: ").unwrap()).unwrap().trim().to_owned();
        std::thread::spawn(move || said.for_each(drop));
        Self { child, port, token, state }
    }

    pub(crate) fn own(&self) -> Vec<(&'static str, String)> {
        vec![("Host", format!("127.0.0.1:{}", self.port)), ("Authorization", format!("Bearer {}", self.token))]
    }

    pub(crate) fn open(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a large body may close before all of it was sent.
        let _ = stream.write_all(body);
        BufReader::new(stream)
    }

    /// Status, headers and body of one request.
    pub(crate) fn ask(&self, method: &str, path: &str, headers: &[(&str, String)], body: &[u8]) -> (u16, String, String) {
        let mut reader = self.open(method, path, headers, body);
        let (status, head) = head_of(&mut reader);
        let mut rest = Vec::new();
        let _ = reader.read_to_end(&mut rest);
        (status, head, String::from_utf8_lossy(&rest).into_owned())
    }

    pub(crate) fn post(&self, path: &str, more: &[(&str, &str)], body: &Value) -> (u16, String, String) {
        let mut headers = self.own();
        headers.push(("Content-Type", "application/json".to_owned()));
        headers.push(("Accept", "application/json, text/event-stream".to_owned()));
        let more: Vec<(&str, String)> = more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        headers.extend(more);
        self.ask("POST", path, &headers, body.to_string().as_bytes())
    }
}

pub(crate) fn head_of(reader: &mut BufReader<TcpStream>) -> (u16, String) {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 || line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("no status in {head:?}"));
    (status, head)
}

pub(crate) fn hello(version: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } })
}

/// The JSON of the events of a body.
pub(crate) fn events(body: &str) -> Vec<Value> {
    body.lines().filter_map(|line| line.strip_prefix("data:")).filter_map(|data| serde_json::from_str(data.trim()).ok()).collect()
}

#[test]
fn every_route_refuses_strangers() {
    let server = Http::start(&[]);
    let port = server.port;
    let (own_host, own_token) = (format!("127.0.0.1:{port}"), format!("Bearer {}", server.token));
    for (method, path) in [
        ("POST", "/mcp"),
        ("GET", "/mcp"),
        ("DELETE", "/mcp"),
        ("GET", "/sse"),
        ("POST", "/messages?sessionId=x"),
        ("GET", "/healthz"),
        ("GET", "/"),
        ("OPTIONS", "/mcp"),
    ] {
        for host in [
            "evil.example".to_owned(),
            format!("evil.example:{port}"),
            "127.0.0.1".to_owned(),
            "127.0.0.1:1".to_owned(),
            format!("127.0.0.1:{port}.evil.example"),
            String::new(),
        ] {
            let (status, _, _) = server.ask(method, path, &[("Host", host.clone()), ("Authorization", own_token.clone())], b"{}");
            assert!(status == 403 || status == 400, "{method} {path} with Host {host:?}: {status}");
        }
        let twice = [("Host", own_host.clone()), ("Host", "evil.example".to_owned()), ("Authorization", own_token.clone())];
        let (status, _, _) = server.ask(method, path, &twice, b"{}");
        assert!(status == 403 || status == 400, "{method} {path} with two hosts: {status}");
        for origin in ["http://evil.example", "null", "http://127.0.0.1", "https://localhost:1", "http://localhost.evil.example"] {
            let headers = [("Host", own_host.clone()), ("Authorization", own_token.clone()), ("Origin", origin.to_owned())];
            let (status, _, _) = server.ask(method, path, &headers, b"{}");
            assert_eq!(status, 403, "{method} {path} with Origin {origin}");
        }
        for token in [
            String::new(),
            "Bearer".to_owned(),
            "Bearer ".to_owned(),
            "Bearer wrong".to_owned(),
            format!("Basic {}", server.token),
            format!("Bearer {}x", server.token),
            server.token.clone(),
        ] {
            let (status, head, _) = server.ask(method, path, &[("Host", own_host.clone()), ("Authorization", token.clone())], b"{}");
            assert_eq!(status, 401, "{method} {path} with {token:?}");
            assert!(head.to_lowercase().contains("www-authenticate: bearer"), "{head}");
        }
        let (status, _, _) = server.ask(method, path, &[("Host", own_host.clone())], b"{}");
        assert_eq!(status, 401, "{method} {path} without a token");
    }
}

#[test]
fn streamable_http_is_served_to_who_may_ask() {
    let server = Http::start(&[]);
    let (status, head, body) = server.post("/mcp", &[], &hello("2025-06-18"));
    assert_eq!(status, 200, "{body}");
    assert_eq!(events(&body).last().unwrap()["result"]["serverInfo"]["name"], "landfall", "{body}");
    let session =
        head.lines().find_map(|line| line.to_lowercase().starts_with("mcp-session-id:").then(|| line.split(':').nth(1).unwrap().trim().to_owned())).unwrap();
    let more = [("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-06-18")];
    assert_eq!(server.post("/mcp", &more, &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).0, 202);
    let (status, _, body) = server.post("/mcp", &more, &json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(events(&body).last().unwrap()["result"]["tools"].as_array().unwrap().len(), crate::stdio::TOOLS.len());
    assert_eq!(server.post("/mcp", &[("Mcp-Session-Id", "made-up")], &json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list" })).0, 404);
}

#[test]
fn a_batch_over_http_is_answered_as_one() {
    let server = Http::start(&[]);
    let session = session_of(&server.post("/mcp", &[], &hello("2025-03-26")).1);
    let more = [("Mcp-Session-Id", session.as_str())];
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
    assert_eq!(server.post("/mcp", &more, &json!([note])).0, 202, "nothing in it asks");
    let both = json!([{ "jsonrpc": "2.0", "id": 7, "method": "ping" }, note, { "jsonrpc": "2.0", "id": "list", "method": "tools/list" }]);
    let (status, _, body) = server.post("/mcp", &more, &both);
    assert_eq!(status, 200, "{body}");
    let text = &body[body.find('[').unwrap()..=body.rfind(']').unwrap()];
    let answers: Vec<Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {body}"));
    assert_eq!(answers.iter().map(|answer| answer["id"].clone()).collect::<Vec<_>>(), [json!(7), json!("list")]);
    assert_eq!(answers[1]["result"]["tools"].as_array().unwrap().len(), crate::stdio::TOOLS.len());
    for bad in [json!([]), json!([hello("2025-03-26")])] {
        assert_eq!(server.post("/mcp", &more, &bad).0, 400, "{bad}");
    }
    // Revisions since then have none, and a batch is behind the same check as everything.
    let later = [("Mcp-Session-Id", session.as_str()), ("MCP-Protocol-Version", "2025-06-18")];
    assert!(server.post("/mcp", &later, &both).0 >= 400);
    let stranger = [("Host", format!("127.0.0.1:{}", server.port))];
    assert_eq!(server.ask("POST", "/mcp", &stranger, both.to_string().as_bytes()).0, 401);
}

#[test]
fn the_revision_without_a_handshake_is_served_over_http() {
    let server = Http::start(&[]);
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" } });
    let more = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", "tools/list")];
    let (status, _, body) = server.post("/mcp", &more, &json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta } }));
    assert_eq!(status, 200, "{body}");
    assert_eq!(events(&body).last().unwrap()["result"]["tools"].as_array().unwrap().len(), crate::stdio::TOOLS.len(), "{body}");
}

#[test]
fn a_page_of_this_origin_may_call() {
    let server = Http::start(&["--allow-origin", "https://inspector.example"]);
    for origin in [format!("http://localhost:{}", server.port), "https://inspector.example".to_owned()] {
        let (status, _, body) = server.post("/mcp", &[("Origin", &origin)], &hello("2025-11-25"));
        assert_eq!(status, 200, "{origin}: {body}");
    }
}

#[test]
fn a_further_host_is_served_only_when_it_was_named() {
    let server = Http::start(&["--allow-host", "host.minikube.internal"]);
    let mut headers = vec![("Host", format!("host.minikube.internal:{}", server.port)), ("Authorization", format!("Bearer {}", server.token))];
    headers.push(("Content-Type", "application/json".to_owned()));
    headers.push(("Accept", "application/json, text/event-stream".to_owned()));
    let (status, _, body) = server.ask("POST", "/mcp", &headers, hello("2025-06-18").to_string().as_bytes());
    assert_eq!(status, 200, "{body}");
}

#[test]
fn older_clients_are_served_over_sse() {
    let server = Http::start(&[]);
    let mut stream = server.open("GET", "/sse", &server.own(), b"");
    let (status, head) = head_of(&mut stream);
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: text/event-stream"), "{head}");
    let mut next = |event: &str| -> String {
        let mut named = false;
        loop {
            let mut line = String::new();
            assert_ne!(stream.read_line(&mut line).unwrap(), 0, "the stream ended before {event}");
            named |= line.trim() == format!("event: {event}");
            if let Some(data) = line.strip_prefix("data:").filter(|_| named) {
                return data.trim().to_owned();
            }
        }
    };
    let endpoint = next("endpoint");
    assert!(endpoint.starts_with("/messages?sessionId="), "{endpoint}");
    assert_eq!(server.post(&endpoint, &[], &hello("2024-11-05")).0, 202);
    let answer: Value = serde_json::from_str(&next("message")).unwrap();
    assert_eq!(answer["result"]["protocolVersion"], "2024-11-05");
    assert_eq!(server.post(&endpoint, &[], &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).0, 202);
    assert_eq!(server.post(&endpoint, &[], &json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).0, 202);
    let answer: Value = serde_json::from_str(&next("message")).unwrap();
    assert_eq!(answer["result"]["tools"].as_array().unwrap().len(), crate::stdio::TOOLS.len());
    assert_eq!(server.post("/messages?sessionId=made-up", &[], &hello("2024-11-05")).0, 404);
    assert_eq!(server.post("/messages", &[], &hello("2024-11-05")).0, 404);
    assert_eq!(server.post(&endpoint, &[], &json!("nonsense")).0, 400);
    drop(stream);
    // A client that left is forgotten.
    let gone = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        matches!(server.post(&endpoint, &[], &json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).0, 404 | 410)
    });
    assert!(gone);
}

#[test]
fn a_body_that_is_too_large_is_refused() {
    let server = Http::start(&[]);
    let mut headers = server.own();
    headers.push(("Content-Type", "application/json".to_owned()));
    headers.push(("Accept", "application/json, text/event-stream".to_owned()));
    let mut stream = server.open("GET", "/sse", &server.own(), b"");
    head_of(&mut stream);
    let mut endpoint = String::new();
    while !endpoint.starts_with("data:") {
        endpoint.clear();
        stream.read_line(&mut endpoint).unwrap();
    }
    for path in ["/mcp", endpoint.trim_start_matches("data:").trim()] {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping", "params": { "x": "y".repeat(4 * 1024 * 1024 + 10) } }).to_string();
        let (status, _, _) = server.ask("POST", path, &headers, body.as_bytes());
        assert_eq!(status, 413, "{path}");
    }
}

#[test]
fn the_token_is_its_owners_alone_and_stays_the_same() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = Http::start(&[]);
    let file = server.state.path().join("http-token");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(server.token.len() >= 32);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = Command::new(PROGRAM).args(["serve", "--http", "127.0.0.1:0"]).env("LANDFALL_STATE", server.state.path()).output().unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("can be read by others"));
}

#[test]
fn beyond_this_machine_only_with_a_host_and_a_token() {
    let state = tempfile::tempdir().unwrap();
    for more in [&[][..], &["--allow-host", "landfall.example"][..]] {
        let refused = Command::new(PROGRAM).args(["serve", "--http", "0.0.0.0:0"]).args(more).env("LANDFALL_STATE", state.path()).output().unwrap();
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains("not a loopback address"), "{}", String::from_utf8_lossy(&refused.stderr));
    }
}

#[test]
fn a_signal_ends_http_well() {
    let mut server = Http::start(&[]);
    assert!(Command::new("kill").args(["-TERM", &server.child.0.id().to_string()]).status().unwrap().success());
    assert!(ended(&mut server.child.0).success());
    let mut out = String::new();
    server.child.0.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(out, "", "stdout is not for HTTP's news");
}

#[test]
fn a_client_that_is_slow_is_not_waited_for_and_keeps_nobody_out() {
    let server = Http::start(&[]);
    let began = Instant::now();
    let open = |text: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    let headers: Vec<TcpStream> = (0..200).map(|_| open("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")).collect();
    let head = server.own().iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect::<String>();
    let body = open(&format!("POST /mcp HTTP/1.1\r\n{head}Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"));
    let (status, _, body_of) = server.post("/mcp", &[], &hello("2025-06-18"));
    assert_eq!(status, 200, "{body_of}");
    assert!(began.elapsed() < Duration::from_secs(8), "others wait for the slow ones: {:?}", began.elapsed());
    let mut answer = String::new();
    let _ = BufReader::new(body).read_line(&mut answer);
    assert!(answer.contains("408"), "{answer:?}");
    for mut stream in headers {
        let mut rest = Vec::new();
        // The server closes, with or without a word about it.
        assert!(stream.read_to_end(&mut rest).is_ok(), "a slow connection stays open");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// Resident memory of a process, MB.
fn memory(child: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[test]
fn a_thousand_idle_sessions_cost_little_and_keep_nobody_out() {
    let server = Http::start(&[]);
    assert_eq!(server.post("/mcp", &[], &hello("2025-06-18")).0, 200);
    let before = memory(&server.child.0);
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..1_000 {
        let (status, head, _) = server.post("/mcp", &[], &hello("2025-06-18"));
        assert_eq!(status, 200);
        ids.insert(session_of(&head));
    }
    assert_eq!(ids.len(), 1_000, "every session has an id of its own");
    let grown = memory(&server.child.0).saturating_sub(before);
    assert!(grown < 150, "1,000 idle sessions hold {grown} MB");
    let began = Instant::now();
    assert_eq!(server.post("/mcp", &[], &hello("2025-06-18")).0, 200);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

fn session_of(head: &str) -> String {
    head.lines().find_map(|line| line.to_lowercase().starts_with("mcp-session-id:").then(|| line.split(':').nth(1).unwrap().trim().to_owned())).unwrap()
}

#[test]
fn a_session_cannot_be_chosen_by_somebody_else() {
    let server = Http::start(&[]);
    let chosen = "11111111-2222-3333-4444-555555555555";
    let (status, head, _) = server.post("/mcp", &[("Mcp-Session-Id", chosen)], &hello("2025-06-18"));
    // Whether the opening is refused or taken: the id is never the one that was brought along.
    assert!(status >= 400 || session_of(&head) != chosen, "{status} {head}");
    assert_eq!(server.post("/mcp", &[("Mcp-Session-Id", chosen)], &json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" })).0, 404);
    let own = session_of(&server.post("/mcp", &[], &hello("2025-06-18")).1);
    assert!(own.len() >= 32, "{own}");
    let mut headers = server.own();
    headers.push(("Mcp-Session-Id", own.clone()));
    assert!(matches!(server.ask("DELETE", "/mcp", &headers, b"").0, 200..=204));
    assert_eq!(
        server.post("/mcp", &[("Mcp-Session-Id", &own)], &json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/list" })).0,
        404,
        "an ended session is over"
    );
    // A session is no substitute for the token.
    let stranger = [("Host", format!("127.0.0.1:{}", server.port)), ("Mcp-Session-Id", own)];
    assert_eq!(server.ask("POST", "/mcp", &stranger, b"{}").0, 401);
    assert_eq!(server.post(&format!("/messages?sessionId={chosen}"), &[], &hello("2024-11-05")).0, 404);
}

#[test]
fn whatever_is_posted_gets_an_answer_and_the_server_lives() {
    let server = Http::start(&[]);
    let own = server.own();
    let with = |more: &[(&'static str, &str)]| own.iter().cloned().chain(more.iter().map(|(name, value)| (*name, (*value).to_owned()))).collect::<Vec<_>>();
    let json = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
    for body in [
        &b""[..],
        b"{",
        b"null",
        b"[]",
        b"[[[[[[[[",
        b"\xff\xfe\x00",
        b"{\"jsonrpc\":\"2.0\"}",
        b"{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":7}",
        &b"[".repeat(200_000),
    ] {
        for headers in [with(&json), with(&[]), with(&[("Content-Type", "text/plain"), ("Accept", "*/*")])] {
            let (status, _, _) = server.ask("POST", "/mcp", &headers, body);
            assert!((400..500).contains(&status), "{status} for {} bytes", body.len());
        }
    }
    assert_eq!(server.post("/mcp", &[], &hello("2025-06-18")).0, 200);
}
