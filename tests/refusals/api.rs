//! A small API server on loopback: it keeps objects, counts every request by its verb, and fails in the ways it is told to.
//! It stands for what no real cluster does on demand: to be a stranger's, to be overloaded, to fall silent in the middle.

use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
}

impl Asked {
    /// True where it would leave something changed. A dry run does not.
    pub(crate) fn changes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS") && !self.query.contains("dryRun=All")
    }

    /// True for an object that the request's label selector leaves in; `label notin (a,b)` is the only one that is understood.
    fn selects(&self, object: &Value) -> bool {
        let words = self.query.replace("%28", "(").replace("%29", ")").replace("%2C", ",").replace("%20", "+");
        let selector = words.split('&').find_map(|part| part.strip_prefix("labelSelector=")?.strip_suffix(')')?.split_once("+notin+("));
        selector.is_none_or(|(label, without)| !without.split(',').any(|value| object["metadata"]["labels"][label] == value))
    }

    pub(crate) fn watches(&self) -> bool {
        self.query.split('&').any(|part| matches!(part, "watch=true" | "watch=1"))
    }
}

/// How a request fails.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// This status, with `Retry-After` in seconds where it says so.
    Status(u16, Option<u32>),
    /// The request is taken, and nothing is ever said.
    Silent,
    /// The connection breaks before an answer.
    Reset,
    /// Half of the right answer, then the connection breaks.
    Truncated,
    /// These lines of a watch, then the connection breaks.
    Cut(Vec<Value>),
    /// These lines of a watch, then its regular end.
    Ended(Vec<Value>),
    /// These lines of a watch after a while, and nothing more.
    Later(Duration, Vec<Value>),
}

type Rule = Box<dyn FnMut(&Asked) -> Option<Fault> + Send>;

struct Shared {
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    objects: Mutex<BTreeMap<String, Value>>,
    version: AtomicU64,
    fault: Mutex<Rule>,
}

/// A running server; it ends with the value.
pub(crate) struct Api {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    _stop: oneshot::Sender<()>,
}

/// Certificates and keys that tests share.
pub(crate) fn given(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/refusals").join(name)
}

impl Api {
    /// Speaks TLS and shows this certificate.
    pub(crate) fn secure(certificate: &str) -> Self {
        let chain = CertificateDer::pem_file_iter(given(certificate)).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(given("server.key")).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Self::start(Some(tokio_rustls::TlsAcceptor::from(Arc::new(config))))
    }

    /// Speaks plain HTTP, as proxies do.
    pub(crate) fn plain() -> Self {
        Self::start(None)
    }

    fn start(tls: Option<tokio_rustls::TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            asked: Mutex::default(),
            connections: AtomicUsize::new(0),
            objects: Mutex::default(),
            version: AtomicU64::new(1),
            fault: Mutex::new(Box::new(|_| None)),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = Arc::clone(&shared);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, tls, serving) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { port, shared, _stop: stop }
    }

    /// `https://127.0.0.1:port`.
    pub(crate) fn address(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Keeps an object at its path.
    pub(crate) fn put(&self, path: &str, object: Value) {
        store(&self.shared, path, object);
    }

    /// From now on requests fail as the rule says; `None` is the right answer.
    pub(crate) fn fail(&self, rule: impl FnMut(&Asked) -> Option<Fault> + Send + 'static) {
        *self.shared.fault.lock().unwrap() = Box::new(rule);
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.shared.asked.lock().unwrap().clone()
    }

    /// `POST /path` of every request that would leave something changed.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.asked().iter().filter(|asked| asked.changes()).map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

fn store(shared: &Shared, path: &str, mut object: Value) -> Value {
    let version = shared.version.fetch_add(1, Ordering::SeqCst) + 1;
    object["metadata"]["resourceVersion"] = json!(version.to_string());
    let mut objects = shared.objects.lock().unwrap();
    let uid = objects.get(path).map_or_else(|| json!(format!("uid-{version}")), |before| before["metadata"]["uid"].clone());
    if object["metadata"]["uid"].is_null() {
        object["metadata"]["uid"] = uid;
    }
    objects.insert(path.to_owned(), object.clone());
    object
}

async fn accept(listener: TcpListener, tls: Option<tokio_rustls::TlsAcceptor>, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let http = hyper::server::conn::http1::Builder::new();
            // Clients that go away, and faults that break a connection, end here with an error that says nothing new.
            match tls {
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        let _ = http.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
                None => drop(http.serve_connection(TokioIo::new(stream), service).await),
            }
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Body>, io::Error> {
    let (head, body) = request.into_parts();
    let asked = Asked { method: head.method.to_string(), path: head.uri.path().to_owned(), query: head.uri.query().unwrap_or_default().to_owned() };
    shared.asked.lock().unwrap().push(asked.clone());
    let sent: Value = body.collect().await.ok().and_then(|body| serde_json::from_slice(&body.to_bytes()).ok()).unwrap_or_default();
    let fault = (shared.fault.lock().unwrap())(&asked);
    match fault {
        None if asked.watches() => Ok(streamed(futures::stream::pending())),
        None => {
            let (code, said) = right(&shared, &asked, sent);
            Ok(whole(code, None, said.to_string()))
        }
        Some(Fault::Status(code, after)) => Ok(whole(code, after, status(code, "as the test wants it").to_string())),
        Some(Fault::Silent) => std::future::pending().await,
        Some(Fault::Reset) => Err(io::Error::other("reset")),
        Some(Fault::Truncated) => {
            let (_, said) = right(&shared, &asked, sent);
            let text = said.to_string();
            let half = text.get(..text.len() / 2).unwrap_or_default().to_owned();
            Ok(streamed(futures::stream::iter([Ok(Frame::data(Bytes::from(half))), Err(io::Error::other("truncated"))])))
        }
        Some(Fault::Cut(lines)) => Ok(streamed(futures::stream::iter(told(lines).into_iter().chain([Err(io::Error::other("cut"))])))),
        Some(Fault::Ended(lines)) => Ok(streamed(futures::stream::iter(told(lines)))),
        Some(Fault::Later(wait, lines)) => {
            let late = futures::stream::once(async move {
                tokio::time::sleep(wait).await;
                futures::stream::iter(told(lines))
            });
            Ok(streamed(late.flatten().chain(futures::stream::pending())))
        }
    }
}

fn told(lines: Vec<Value>) -> Vec<Result<Frame<Bytes>, io::Error>> {
    lines.into_iter().map(|line| Ok(Frame::data(Bytes::from(format!("{line}\n"))))).collect()
}

fn streamed(frames: impl futures::Stream<Item = Result<Frame<Bytes>, io::Error>> + Send + 'static) -> Response<Body> {
    Response::builder().header("content-type", "application/json").body(StreamBody::new(frames).boxed_unsync()).unwrap()
}

fn whole(code: u16, retry_after: Option<u32>, text: String) -> Response<Body> {
    let mut response = Response::builder().status(code).header("content-type", "application/json");
    if let Some(seconds) = retry_after {
        response = response.header("retry-after", seconds.to_string());
    }
    response.body(Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed_unsync()).unwrap()
}

fn status(code: u16, message: &str) -> Value {
    let reason = match code {
        401 => "Unauthorized",
        404 => "NotFound",
        409 => "AlreadyExists",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message, "reason": reason, "code": code })
}

/// Segments behind the group and version; none where the path names no version.
fn place(path: &str) -> Option<Vec<&str>> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let skip = match parts.first() {
        Some(&"api") if parts.len() >= 2 => 2,
        Some(&"apis") if parts.len() >= 3 => 3,
        Some(_) | None => return None,
    };
    Some(parts.into_iter().skip(skip).collect())
}

/// What a healthy server would answer.
fn right(shared: &Shared, asked: &Asked, sent: Value) -> (u16, Value) {
    let path = asked.path.as_str();
    if path == "/version" {
        return (
            200,
            json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "", "compiler": "gc", "platform": "linux/amd64" }),
        );
    }
    let Some(place) = place(path) else { return (404, status(404, "no such path")) };
    let found = || shared.objects.lock().unwrap().get(path).cloned();
    let missing = || (404, status(404, &format!("{path} not found")));
    // Collections have an odd number of segments: `nodes`, `namespaces/a/pods`.
    match (asked.method.as_str(), place.len() % 2 == 1) {
        ("GET", true) => {
            let prefix = format!("{path}/");
            let objects = shared.objects.lock().unwrap();
            let here = objects.iter().filter(|(at, _)| at.strip_prefix(&prefix).is_some_and(|name| !name.contains('/'))).map(|(_, object)| object);
            let items: Vec<_> = here.filter(|object| asked.selects(object)).collect();
            let version = shared.version.load(Ordering::SeqCst).to_string();
            let asked_for = |name: &str| asked.query.split('&').find_map(|part| part.strip_prefix(&format!("{name}="))?.parse::<usize>().ok());
            let from = asked_for("continue").unwrap_or(0).min(items.len());
            let to = asked_for("limit").map_or(items.len(), |limit| (from + limit).min(items.len()));
            let next = if to < items.len() { to.to_string() } else { String::new() };
            (200, json!({ "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": version, "continue": next }, "items": &items[from..to] }))
        }
        ("GET", false) => found().map_or_else(missing, |object| (200, object)),
        ("POST", _) => {
            let at = format!("{path}/{}", sent["metadata"]["name"].as_str().unwrap_or_default());
            match (shared.objects.lock().unwrap().contains_key(&at), asked.changes()) {
                (true, _) => return (409, status(409, "already exists")),
                (false, false) => return (201, sent),
                (false, true) => {}
            }
            (201, store(shared, &at, sent))
        }
        ("PUT", _) => (200, store(shared, path, sent)),
        ("PATCH", _) => found().map_or_else(missing, |object| (200, object)),
        ("DELETE", _) => match shared.objects.lock().unwrap().remove(path) {
            Some(object) => (200, object),
            None => missing(),
        },
        (_, _) => (405, status(405, "not here")),
    }
}
