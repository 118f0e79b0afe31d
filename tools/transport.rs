//! How clients reach the server: stdio, streamable HTTP, and HTTP+SSE for older clients, all HTTP behind one check; no tool is known here.

use anyhow::{Context as _, bail};
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures::Stream;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use landfall::secret;
use rmcp::service::{RxJsonRpcMessage, ServerInitializeError, TxJsonRpcMessage, serve_server_with_ct};
use rmcp::transport::Transport;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{RoleServer, ServerHandler};
use sha2::Digest as _;
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The largest request body.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// A connection of the older revisions may be silent this long; a shorter time would cut calls that wait.
const KEEP_ALIVE: Duration = Duration::from_secs(3_600);
/// HTTP+SSE connections at once.
const SSE_LIMIT: usize = 1_024;
/// Sessions of streamable HTTP at once; the oldest clients keep theirs, new ones are turned away.
const SESSION_LIMIT: usize = 4_096;
/// Open TCP connections at once.
const SOCKET_LIMIT: usize = 4_096;
/// How long a client may take to say what it wants: its headers, then its body.
const SLOWNESS: Duration = Duration::from_secs(10);
/// How long open answers may take to end after the server was told to stop.
const LEAVING: Duration = Duration::from_secs(3);

/// What one connection speaks to: a view of the server with nothing of another connection in it.
pub(crate) trait Connection: ServerHandler + Clone {
    /// The same server for another connection.
    fn fresh(&self) -> Self;
}

/// Serves one client on stdin and stdout until it leaves.
pub(crate) async fn stdio(server: impl Connection, stop: CancellationToken) -> anyhow::Result<()> {
    let (stdin, stdout) = rmcp::transport::stdio_pipes();
    let (reads, writes, last_words) = crate::batch::between(stdin, stdout);
    let last_words = tokio::spawn(last_words);
    match serve_server_with_ct(server, (reads, writes), stop).await {
        Ok(running) => {
            running.waiting().await.context("serve on stdio")?;
            // A client that has left hears nothing any more.
            let _ = tokio::time::timeout(LEAVING, last_words).await;
            Ok(())
        }
        // Nobody spoke, or the client left before it said anything.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => Ok(()),
        Err(error) => Err(error).context("open the conversation on stdio"),
    }
}

/// How HTTP is served.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    pub(crate) address: SocketAddr,
    pub(crate) allowed_hosts: Vec<String>,
    pub(crate) allowed_origins: Vec<String>,
    /// Holds the bearer token; None: one is made in the user's state folder.
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) state: PathBuf,
}

/// Who may ask: the names and origins of this server, and the token's digest.
#[derive(Debug)]
struct Door {
    hosts: Vec<String>,
    origins: Vec<String>,
    token: [u8; 32],
    sessions: Arc<LocalSessionManager>,
}

/// Serves streamable HTTP at /mcp and HTTP+SSE at /sse and /messages until told to stop.
pub(crate) async fn http(server: impl Connection, http: Http, stop: CancellationToken) -> anyhow::Result<()> {
    if !http.address.ip().is_loopback() && (http.allowed_hosts.is_empty() || http.token_file.is_none()) {
        bail!("{} is not a loopback address: give --allow-host NAME and --token-file FILE to serve beyond this machine", http.address);
    }
    let (token, path) = match &http.token_file {
        Some(path) => (read_token(path)?, path.clone()),
        None => own_token(&http.state)?,
    };
    let listener = tokio::net::TcpListener::bind(http.address).await.with_context(|| format!("listen on {}", http.address))?;
    let address = listener.local_addr().context("read the address")?;
    let port = address.port();
    let mut hosts: Vec<String> = ["127.0.0.1", "localhost", "[::1]"].iter().map(|host| format!("{host}:{port}")).collect();
    hosts.extend(http.allowed_hosts.iter().map(|host| with_port(host, port)));
    let mut origins: Vec<String> = ["127.0.0.1", "localhost", "[::1]"].iter().map(|host| format!("http://{host}:{port}")).collect();
    origins.extend(http.allowed_origins.iter().map(|origin| origin.trim_end_matches('/').to_ascii_lowercase()));
    let mut sessions = LocalSessionManager::default();
    sessions.session_config.keep_alive = Some(KEEP_ALIVE);
    let sessions = Arc::new(sessions);
    let token = sha2::Sha256::digest(token.as_bytes()).into();
    let door = Arc::new(Door { hosts: hosts.clone(), origins: origins.clone(), token, sessions: Arc::clone(&sessions) });

    let config = StreamableHttpServerConfig::default()
        .enforce_origin_validation()
        .with_allowed_hosts(hosts)
        .with_allowed_origins(origins.iter().map(|origin| any_port(origin)))
        .with_cancellation_token(stop.child_token());
    let template = server.clone();
    let mcp = StreamableHttpService::new(move || Ok(template.fresh()), sessions, config);
    let bridge = Arc::new(Bridge { server, inboxes: Mutex::default(), stop: stop.clone() });
    let app = axum::Router::new()
        .route("/sse", get(open_sse))
        .route("/messages", post(take_message))
        .with_state(bridge)
        .nest_service("/mcp", mcp)
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(axum::middleware::from_fn_with_state(door, check));
    eprintln!("landfall serves http://{address}/mcp (older clients: http://{address}/sse)");
    eprintln!("bearer token: {}", path.display());
    accept(listener, app, stop).await;
    Ok(())
}

/// Takes connections until told to stop. Each has a time to say what it wants, so that nobody keeps a place by being slow.
async fn accept(listener: tokio::net::TcpListener, app: axum::Router, stop: CancellationToken) {
    let places = Arc::new(tokio::sync::Semaphore::new(SOCKET_LIMIT));
    let open = tokio_util::task::TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => break,
        };
        let socket = match accepted {
            Ok((socket, _)) => socket,
            Err(error) => {
                // Out of file descriptors, or a client that left at once: the next one is served.
                tracing::warn!(%error, "a connection was not taken");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!("{SOCKET_LIMIT} connections are open; another one was turned away");
            continue;
        };
        let _ = socket.set_nodelay(true);
        let service = TowerToHyperService::new(app.clone());
        let stop = stop.clone();
        open.spawn(async move {
            let _place = place;
            let mut http = hyper::server::conn::http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(SLOWNESS).max_headers(64);
            let mut served = std::pin::pin!(http.serve_connection(TokioIo::new(socket), service));
            let ended = tokio::select! {
                ended = served.as_mut() => ended,
                () = stop.cancelled() => {
                    served.as_mut().graceful_shutdown();
                    served.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection ended badly");
            }
        });
    }
    open.close();
    if tokio::time::timeout(LEAVING, open.wait()).await.is_err() {
        tracing::warn!("open answers were cut after {} s", LEAVING.as_secs());
    }
}

fn with_port(host: &str, port: u16) -> String {
    let host = host.trim().to_ascii_lowercase();
    let named = host.rsplit_once(':').is_some_and(|(name, port)| !name.is_empty() && !name.ends_with(':') && port.parse::<u16>().is_ok());
    if named { host } else { format!("{host}:{port}") }
}

/// An origin as rmcp wants it; the exact one was checked before.
fn any_port(origin: &str) -> String {
    let named = origin.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if named { origin.to_owned() } else { format!("{origin}:*") }
}

/// The one check that every route is behind: Host, Origin, bearer token; then the body, whole and in time.
async fn check(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    if let Some(refusal) = door.refusal(request.uri(), request.headers()) {
        return refusal;
    }
    if request.method() != Method::POST {
        return next.run(request).await;
    }
    if !request.headers().contains_key("mcp-session-id") && door.sessions.sessions.read().await.len() >= SESSION_LIMIT {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many sessions are open\n").into_response();
    }
    let (head, body) = request.into_parts();
    match tokio::time::timeout(SLOWNESS, axum::body::to_bytes(body, BODY_LIMIT)).await {
        Ok(Ok(body)) => match batch(&head, &body, &next).await {
            Some(answer) => answer,
            None => next.run(Request::from_parts(head, Body::from(body))).await,
        },
        Ok(Err(_)) => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or ended early\n").into_response(),
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time\n").into_response(),
    }
}

/// A batch over streamable HTTP: each message goes its own way, and their answers come back as one. `None` where the request is no batch, or of a revision without them.
async fn batch(head: &axum::http::request::Parts, body: &Bytes, next: &Next) -> Option<Response> {
    let version = head.headers.get("mcp-protocol-version");
    let has_batches = head.uri.path() == "/mcp" && version.is_none_or(|version| version == crate::batch::REVISION);
    if !has_batches || body.trim_ascii_start().first() != Some(&b'[') {
        return None;
    }
    let messages = match crate::batch::apart(body) {
        Ok(messages) => messages,
        Err(answer) => return Some((StatusCode::BAD_REQUEST, axum::Json(answer)).into_response()),
    };
    let waits = crate::batch::ids(&messages);
    let requests = messages.into_iter().map(|message| {
        let mut head = head.clone();
        head.headers.remove(header::CONTENT_LENGTH);
        next.clone().run(Request::from_parts(head, Body::from(message.to_string())))
    });
    let mut answers = Vec::new();
    for response in futures::future::join_all(requests).await {
        if !response.status().is_success() {
            return Some(response);
        }
        answers.extend(said(response).await.into_iter().filter(|message| message.get("id").is_some_and(|id| waits.contains(id))));
    }
    Some(if answers.is_empty() { StatusCode::ACCEPTED.into_response() } else { axum::Json(answers).into_response() })
}

/// The answers in a body, whether it is one message or a stream of them.
async fn said(response: Response) -> Vec<serde_json::Value> {
    let streams = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let messages: Vec<serde_json::Value> = match streams {
        true => text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok()).collect(),
        false => serde_json::from_str(&text).into_iter().collect(),
    };
    messages.into_iter().filter(|message| message.get("method").is_none()).collect()
}

impl Door {
    fn refusal(&self, uri: &Uri, headers: &HeaderMap) -> Option<Response> {
        let refused = |code: StatusCode, why: &'static str| (code, why).into_response();
        let hosts: Vec<_> = headers.get_all(header::HOST).iter().collect();
        let host = match (hosts.as_slice(), uri.authority()) {
            ([one], None) => one.to_str().ok().map(str::to_ascii_lowercase),
            ([one], Some(authority)) if one.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) => Some(authority.as_str().to_ascii_lowercase()),
            _ => None,
        };
        if !host.is_some_and(|host| self.hosts.contains(&host)) {
            return Some(refused(StatusCode::FORBIDDEN, "this Host is not served\n"));
        }
        for origin in headers.get_all(header::ORIGIN) {
            let known = origin.to_str().is_ok_and(|origin| self.origins.contains(&origin.to_ascii_lowercase()));
            if !known {
                return Some(refused(StatusCode::FORBIDDEN, "this Origin is not allowed\n"));
            }
        }
        if !headers.get(header::AUTHORIZATION).is_some_and(|value| self.knows(value)) {
            let mut response = refused(StatusCode::UNAUTHORIZED, "a bearer token is needed\n");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"landfall\""));
            return Some(response);
        }
        None
    }

    /// Compares digests of equal length, every byte of them: the time says nothing about the token.
    fn knows(&self, value: &HeaderValue) -> bool {
        let value = value.as_bytes();
        let (Some(scheme), Some(token)) = (value.get(..7), value.get(7..)) else { return false };
        let given: [u8; 32] = sha2::Sha256::digest(token.trim_ascii()).into();
        let different = given.iter().zip(self.token).fold(0u8, |seen, (given, own)| std::hint::black_box(seen | (given ^ own)));
        scheme.eq_ignore_ascii_case(b"bearer ") && different == 0
    }
}

/// The token of a file that a person made.
fn read_token(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read the token file {}", path.display()))?;
    let token = text.trim().to_owned();
    if token.len() < 16 || token.contains(char::is_whitespace) {
        bail!("the token in {} must be one word of at least 16 characters", path.display());
    }
    Ok(token)
}

/// The token of the user's state folder, made at the first use, readable by its owner alone.
fn own_token(state: &Path) -> anyhow::Result<(String, PathBuf)> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
    let path = state.join("http-token");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).with_context(|| format!("create {}", state.display()))?;
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let token = landfall::secret::Secret::generate()?;
            file.write_all(token.reveal().as_bytes()).and_then(|()| file.write_all(b"\n")).with_context(|| format!("write {}", path.display()))?;
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let mode = std::fs::metadata(&path).with_context(|| format!("look at {}", path.display()))?.permissions().mode();
            if mode & 0o077 != 0 {
                bail!("{} can be read by others: remove it, then start again", path.display());
            }
        }
        Err(error) => return Err(error).with_context(|| format!("create {}", path.display())),
    }
    Ok((read_token(&path)?, path))
}

// ---------------------------------------------------------------- HTTP+SSE of 2024-11-05

/// The open HTTP+SSE connections.
#[derive(Debug)]
struct Bridge<S> {
    server: S,
    inboxes: Mutex<HashMap<String, mpsc::Sender<RxJsonRpcMessage<RoleServer>>>>,
    stop: CancellationToken,
}

impl<S> Bridge<S> {
    fn inboxes(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::Sender<RxJsonRpcMessage<RoleServer>>>> {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection as rmcp sees it: messages posted to us, messages for the event stream.
struct Pipe {
    inbox: mpsc::Receiver<RxJsonRpcMessage<RoleServer>>,
    outbox: mpsc::Sender<TxJsonRpcMessage<RoleServer>>,
}

/// The client has left.
#[derive(Debug, thiserror::Error)]
#[error("the event stream is closed")]
struct Gone;

impl Transport<RoleServer> for Pipe {
    type Error = Gone;

    fn send(&mut self, item: TxJsonRpcMessage<RoleServer>) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        let outbox = self.outbox.clone();
        async move { outbox.send(item).await.map_err(|_| Gone) }
    }

    async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleServer>> {
        self.inbox.recv().await
    }

    async fn close(&mut self) -> Result<(), Self::Error> {
        self.inbox.close();
        Ok(())
    }
}

/// Ends a connection when its event stream is dropped.
struct Leaving<S> {
    bridge: Arc<Bridge<S>>,
    id: String,
    _ends: DropGuard,
}

impl<S> Drop for Leaving<S> {
    fn drop(&mut self) {
        self.bridge.inboxes().remove(&self.id);
    }
}

async fn open_sse<S: Connection>(State(bridge): State<Arc<Bridge<S>>>) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    let id = secret::noise::<16>().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let (into_server, inbox) = mpsc::channel(64);
    let (outbox, from_server) = mpsc::channel(64);
    {
        let mut inboxes = bridge.inboxes();
        if inboxes.len() >= SSE_LIMIT {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        inboxes.insert(id.clone(), into_server);
    }
    let ends = bridge.stop.child_token();
    let (server, stop) = (bridge.server.fresh(), ends.clone());
    tokio::spawn(async move {
        match serve_server_with_ct(server, Pipe { inbox, outbox }, stop).await {
            Ok(running) => drop(running.waiting().await),
            Err(error) => tracing::debug!(%error, "an HTTP+SSE connection ended before it was opened"),
        }
    });
    let first = Event::default().event("endpoint").data(format!("/messages?sessionId={id}"));
    let leaving = Leaving { bridge, id, _ends: ends.drop_guard() };
    let stream = futures::stream::unfold((Some(first), from_server, leaving), |(first, mut from_server, leaving)| async move {
        let event = match first {
            Some(event) => event,
            None => {
                let message = from_server.recv().await?;
                Event::default().event("message").data(serde_json::to_string(&message).unwrap_or_default())
            }
        };
        Some((Ok(event), (None, from_server, leaving)))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

async fn take_message<S: Connection>(State(bridge): State<Arc<Bridge<S>>>, Query(query): Query<HashMap<String, String>>, body: Bytes) -> Response {
    let inbox = query.get("sessionId").and_then(|id| bridge.inboxes().get(id).cloned());
    let Some(inbox) = inbox else { return (StatusCode::NOT_FOUND, "no such connection\n").into_response() };
    let Ok(message) = serde_json::from_slice(&body) else { return (StatusCode::BAD_REQUEST, "not a JSON-RPC message\n").into_response() };
    match tokio::time::timeout(SLOWNESS, inbox.send(message)).await {
        Ok(Ok(())) => (StatusCode::ACCEPTED, Body::from("accepted")).into_response(),
        Ok(Err(_)) => (StatusCode::GONE, "the connection is closed\n").into_response(),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the connection is busy: its client does not read\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hint::black_box;
    use std::time::Instant;

    fn door(token: &str) -> Door {
        let token = sha2::Sha256::digest(token.as_bytes()).into();
        Door { hosts: Vec::new(), origins: Vec::new(), token, sessions: Arc::default() }
    }

    fn bearer(token: &str) -> HeaderValue {
        HeaderValue::from_str(&format!("Bearer {token}")).unwrap()
    }

    #[test]
    fn the_time_a_wrong_token_takes_says_nothing_about_the_right_one() {
        let right = "k".repeat(43);
        let door = door(&right);
        assert!(door.knows(&bearer(&right)));
        // Wrong in the first letter, and in the last one only.
        let wrong = [format!("x{}", &right[1..]), format!("{}x", &right[..42])].map(|token| bearer(&token));
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..3_000 {
            for (token, times) in wrong.iter().zip(&mut times) {
                let began = Instant::now();
                assert!(!black_box(door.knows(black_box(token))));
                times.push(began.elapsed().as_nanos());
            }
        }
        let [first, last] = times.map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        });
        assert!(first.abs_diff(last) * 5 < first.max(last), "median {first} ns and {last} ns");
    }

    #[test]
    fn a_host_is_named_with_its_port() {
        for (host, expect) in [("box", "box:7"), ("Box:9", "box:9"), ("[::1]", "[::1]:7"), ("[::1]:9", "[::1]:9")] {
            assert_eq!(with_port(host, 7), expect);
        }
    }
}
