//! One HTTP request through a forwarded port, with its own framing and deadline; redirects are seen, not followed.

use crate::failure::{Code, Failure};
use crate::names::Namespace;
use crate::ports::{Cluster, Proof};
use crate::secret::Secret;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt as _;

/// What is kept of a body.
const BODY_BYTES: usize = 256 << 10;

/// A request.
#[derive(Clone, Debug)]
pub struct HttpAsk {
    pub method: String,
    /// With its query, such as `/health?deep=1`.
    pub path: String,
    /// The Host header.
    pub host: String,
    pub headers: BTreeMap<String, Secret>,
    pub body: Option<Secret>,
    pub deadline: Duration,
}

impl HttpAsk {
    /// A GET without headers of its own.
    pub fn get(path: &str, host: &str, deadline: Duration) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), host: host.to_owned(), headers: BTreeMap::new(), body: None, deadline }
    }
}

/// An answer. The body may hold tokens: it prints as `***`, and `text` gives it redacted.
#[derive(Clone, Debug)]
pub struct HttpSeen {
    pub status: u16,
    /// From the request to the end of the body.
    pub elapsed: Duration,
    pub content_type: String,
    pub body: Secret,
}

impl HttpSeen {
    /// The beginning of the body, redacted.
    pub fn text(&self, limit: usize) -> String {
        crate::secret::plain(self.body.reveal(), limit)
    }
}

/// Asks a pod's port through a forwarded one. `CLUSTER_REFUSED` where nothing answers there, `DEADLINE` where it takes too long.
pub async fn http_through_forward(cluster: &dyn Cluster, at: &Proof, namespace: &Namespace, pod: &str, port: u16, ask: &HttpAsk) -> Result<HttpSeen, Failure> {
    let forward = cluster.forward(at, namespace, pod, port).await?;
    let place = format!("{} {} of {pod} port {port}", ask.method, ask.path);
    match tokio::time::timeout(ask.deadline, request(forward.local, ask)).await {
        Ok(Ok(seen)) => Ok(seen),
        Ok(Err(problem)) => Err(Failure::new(Code::ClusterRefused, format!("{place}: {problem}"))
            .help(format!("check that the program listens on 0.0.0.0:{port} and not only on 127.0.0.1 of another port"))),
        Err(_) => Err(Failure::new(Code::Deadline, format!("{place}: no whole answer within {} s", ask.deadline.as_secs_f32()))
            .help("look at the pod's log, or give it more time")),
    }
}

/// How long a connection that nothing has answered yet is taken for an open port.
const HELD: Duration = Duration::from_secs(2);

/// Whether something listens on a pod's port: behind a forward a closed one shows as a connection that ends at once.
pub async fn listens(cluster: &dyn Cluster, at: &Proof, namespace: &Namespace, pod: &str, port: u16) -> Result<bool, Failure> {
    let forward = cluster.forward(at, namespace, pod, port).await?;
    Ok(held(forward.local).await)
}

async fn held(address: SocketAddr) -> bool {
    let Ok(mut stream) = tokio::net::TcpStream::connect(address).await else { return false };
    let mut first = [0u8; 1];
    match tokio::time::timeout(HELD, stream.read(&mut first)).await {
        Ok(read) => read.is_ok_and(|count| count > 0),
        Err(_) => true,
    }
}

/// One request on one connection; the text says what went wrong, in order of what was reached.
pub async fn request(address: SocketAddr, ask: &HttpAsk) -> Result<HttpSeen, String> {
    let stream = tokio::net::TcpStream::connect(address).await.map_err(|error| format!("connect: {error}"))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| format!("handshake: {error}"))?;
    let driver = tokio::spawn(connection);
    let begun = Instant::now();
    let seen = exchange(&mut sender, ask, begun).await;
    driver.abort();
    seen
}

async fn exchange(sender: &mut hyper::client::conn::http1::SendRequest<Full<Bytes>>, ask: &HttpAsk, begun: Instant) -> Result<HttpSeen, String> {
    let mut builder = ::http::Request::builder().method(ask.method.as_str()).uri(&ask.path).header("host", &ask.host).header("user-agent", "landfall");
    for (name, value) in &ask.headers {
        builder = builder.header(name.as_str(), value.reveal());
    }
    let body = ask.body.as_ref().map_or_else(Bytes::new, |body| Bytes::copy_from_slice(body.reveal().as_bytes()));
    let request = builder.body(Full::new(body)).map_err(|error| format!("build the request: {error}"))?;
    let answer = sender.send_request(request).await.map_err(|error| match error.is_incomplete_message() {
        // This is how a closed port shows behind a forward.
        true => "the connection ended before an answer: nothing listens on this port, or the program ended".to_owned(),
        false => format!("no answer: {error}"),
    })?;
    let status = answer.status().as_u16();
    let content_type = answer.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let mut body = answer.into_body();
    let mut kept: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| format!("status {status}, then the body broke off: {error}"))?;
        if let Ok(data) = frame.into_data() {
            let room = BODY_BYTES.saturating_sub(kept.len());
            kept.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
        }
        // Streams of events never end; what fits is enough.
        if kept.len() >= BODY_BYTES || content_type.starts_with("text/event-stream") && !kept.is_empty() {
            break;
        }
    }
    Ok(HttpSeen { status, elapsed: begun.elapsed(), content_type, body: Secret::new(String::from_utf8_lossy(&kept).into_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    /// Serves one connection: reads a request, writes this, and keeps the connection open.
    async fn server(answer: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 2048];
            let _ = stream.read(&mut bytes).await;
            stream.write_all(answer.as_bytes()).await.unwrap();
            if !answer.is_empty() {
                std::future::pending::<()>().await;
            }
        });
        address
    }

    #[tokio::test]
    async fn an_answer_is_read_by_its_framing_and_not_to_the_end_of_the_stream() {
        let address = server("HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\ncontent-type: text/plain\r\n\r\nhello").await;
        let begun = Instant::now();
        let seen = request(address, &HttpAsk::get("/x", "api", Duration::from_secs(10))).await.unwrap();
        assert_eq!((seen.status, seen.text(10).as_str(), seen.content_type.as_str()), (404, "hello", "text/plain"));
        assert!(begun.elapsed() < Duration::from_secs(8), "it waited for an end that never comes");
    }

    #[tokio::test]
    async fn an_open_port_holds_a_connection_and_a_closed_one_ends_it() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        assert!(held(address).await, "taken, though nobody says anything");
        let ending = tokio::spawn(async move {
            loop {
                drop(listener.accept().await.unwrap());
            }
        });
        // The first connection still waits to be ended.
        assert!(!held(address).await);
        ending.abort();
        let _ = ending.await;
        assert!(!held(address).await);
    }

    #[tokio::test]
    async fn a_port_where_nothing_listens_says_so() {
        let address = server("").await;
        let problem = request(address, &HttpAsk::get("/", "api", Duration::from_secs(2))).await.unwrap_err();
        assert!(problem.contains("nothing listens"), "{problem}");
    }

    #[test]
    fn a_body_never_prints() {
        let seen = HttpSeen { status: 200, elapsed: Duration::ZERO, content_type: String::new(), body: Secret::new("token-of-somebody") };
        assert!(!format!("{seen:?}").contains("token-of-somebody"));
    }
}
