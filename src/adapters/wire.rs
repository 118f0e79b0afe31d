//! Connections to local services: a unix socket, or TLS that trusts one certificate authority and nothing else; no proxy is ever used.

use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// How long a connection on this machine may take to come up.
const CONNECT: Duration = Duration::from_millis(900);

/// A stream of bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// Where a service listens, and what its certificate must be signed by.
#[derive(Clone)]
pub enum Address {
    Unix(PathBuf),
    Tls { socket: SocketAddr, trust: Arc<rustls::ClientConfig> },
}

impl std::fmt::Display for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix://{}", path.display()),
            Self::Tls { socket, .. } => write!(formatter, "tcp://{socket} (TLS)"),
        }
    }
}

impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, formatter)
    }
}

/// Why a connection did not come up.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("read {path}")]
    Material { path: PathBuf, source: rustls::pki_types::pem::Error },
    #[error("{path} holds {count} certificates, not one")]
    OneCertificate { path: PathBuf, count: usize },
    #[error("use the certificates")]
    Trust(#[source] rustls::Error),
    #[error("connect to {address}: no answer within {} ms", CONNECT.as_millis())]
    Silent { address: String },
    #[error("connect to {address}")]
    Connect { address: String, source: io::Error },
    #[error("TLS with {address}")]
    Tls { address: String, source: io::Error },
    #[error("HTTP with {address}")]
    Http { address: String, source: hyper::Error },
}

impl WireError {
    /// The error with its sources in one line.
    pub fn line(&self) -> String {
        let mut text = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(error) = next {
            text = format!("{text}: {error}");
            next = error.source();
        }
        text
    }

    /// True where a peer answered and TLS found it to be somebody else.
    pub fn is_stranger(&self) -> bool {
        matches!(self, Self::Tls { .. })
    }
}

impl Address {
    /// Opens the connection; for TLS the peer's own certificate comes with it.
    pub async fn dial(&self) -> Result<(Box<dyn Duplex>, Option<CertificateDer<'static>>), WireError> {
        let address = self.to_string();
        match self {
            Self::Unix(path) => {
                let opened = tokio::time::timeout(CONNECT, UnixStream::connect(path)).await;
                match opened {
                    Ok(Ok(stream)) => Ok((Box::new(stream), None)),
                    Ok(Err(source)) => Err(WireError::Connect { address, source }),
                    Err(_) => Err(WireError::Silent { address }),
                }
            }
            Self::Tls { socket, trust } => {
                let tcp = match tokio::time::timeout(CONNECT, TcpStream::connect(socket)).await {
                    Ok(Ok(tcp)) => tcp,
                    Ok(Err(source)) => return Err(WireError::Connect { address, source }),
                    Err(_) => return Err(WireError::Silent { address }),
                };
                // Small requests and answers alternate: waiting to fill packets only costs time.
                let _ = tcp.set_nodelay(true);
                let connector = tokio_rustls::TlsConnector::from(trust.clone());
                match tokio::time::timeout(CONNECT, connector.connect(ServerName::from(socket.ip()), tcp)).await {
                    Ok(Ok(stream)) => {
                        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned().map(CertificateDer::into_owned);
                        Ok((Box::new(stream), leaf))
                    }
                    // A peer that hangs up in the middle is as good as absent; one that fails our checks is a stranger.
                    Ok(Err(source)) if source.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) => Err(WireError::Tls { address, source }),
                    Ok(Err(source)) => Err(WireError::Connect { address, source }),
                    Err(_) => Err(WireError::Silent { address }),
                }
            }
        }
    }

    /// Opens an HTTP/1.1 connection whose driver runs in the background until the sender and all bodies are dropped.
    pub async fn http<B>(&self) -> Result<(SendRequest<B>, Option<CertificateDer<'static>>), WireError>
    where
        B: hyper::body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (stream, leaf) = self.dial().await?;
        let (sender, connection) = handshake::<_, B>(TokioIo::new(stream)).await.map_err(|source| WireError::Http { address: self.to_string(), source })?;
        tokio::spawn(async move {
            // Its error reaches whoever waits for the answer.
            let _ = connection.with_upgrades().await;
        });
        Ok((sender, leaf))
    }
}

/// Sends one request in origin form over a fresh connection.
pub async fn send<B>(address: &Address, request: http::Request<B>) -> Result<http::Response<Incoming>, WireError>
where
    B: hyper::body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (mut sender, _) = address.http().await?;
    sender.send_request(origin_form(request)).await.map_err(|source| WireError::Http { address: address.to_string(), source })
}

/// What stands in the request line is the path alone; who is meant is said by the Host header.
fn origin_form<B>(mut request: http::Request<B>) -> http::Request<B> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if let Ok(uri) = path.parse() {
        *request.uri_mut() = uri;
    }
    if !request.headers().contains_key(http::header::HOST) {
        request.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("localhost"));
    }
    request
}

/// The one certificate of a file.
pub fn certificate(path: &Path) -> Result<CertificateDer<'static>, WireError> {
    let material = |source| WireError::Material { path: path.to_owned(), source };
    let mut all = CertificateDer::pem_file_iter(path).map_err(material)?.collect::<Result<Vec<_>, _>>().map_err(material)?;
    match (all.len(), all.pop()) {
        (1, Some(certificate)) => Ok(certificate),
        (count, _) => Err(WireError::OneCertificate { path: path.to_owned(), count }),
    }
}

/// SHA-256 over the certificate's DER form, hexadecimal.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    crate::names::Digest::of(certificate.as_ref()).to_string()
}

/// TLS that trusts this authority alone, and shows this certificate.
pub fn trust(authority: &CertificateDer<'static>, certificate: &Path, key: &Path) -> Result<Arc<rustls::ClientConfig>, WireError> {
    let material = |path: &Path| {
        let path = path.to_owned();
        move |source| WireError::Material { path, source }
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.clone()).map_err(WireError::Trust)?;
    let chain = CertificateDer::pem_file_iter(certificate).map_err(material(certificate))?.collect::<Result<Vec<_>, _>>().map_err(material(certificate))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(material(key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(WireError::Trust)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(WireError::Trust)?;
    Ok(Arc::new(config))
}
