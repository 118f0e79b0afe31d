//! Our half of a BuildKit session: the engine asks it for build secrets, which come from memory and are told to nobody else.

use crate::adapters::engine::Engine;
use crate::failure::{Code, Failure};
use crate::secret::Secret;
use bollard::health::health_check_response::ServingStatus;
use bollard::health::health_server::{Health, HealthServer};
use bollard::health::{HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse};
use bollard::moby::buildkit::secrets::v1::secrets_server::{Secrets, SecretsServer};
use bollard::moby::buildkit::secrets::v1::{GetSecretRequest, GetSecretResponse};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

/// How long the engine may take to accept the session.
const OPEN: Duration = Duration::from_secs(10);

/// An open session. Dropping it closes the connection.
#[derive(Debug)]
pub struct Session {
    id: String,
    _stop: oneshot::Sender<()>,
}

impl Session {
    /// Opens a session with the engine that serves these secrets, by id.
    pub async fn open(engine: &Engine, secrets: BTreeMap<String, Secret>) -> Result<Self, Failure> {
        let id = format!("landfall-{}", crate::secret::noise::<16>()?);
        let fault = |why: &dyn std::fmt::Display| {
            Failure::new(Code::EngineUnreachable, format!("open a BuildKit session with {}", engine.address()))
                .cause(why)
                .help("the engine must offer BuildKit: Docker Engine 20.10 or newer")
        };
        let request = http::Request::post("/session")
            .header("Connection", "Upgrade")
            .header("Upgrade", "h2c")
            .header("X-Docker-Expose-Session-Uuid", &id)
            .header("X-Docker-Expose-Session-Name", "landfall")
            .header("X-Docker-Expose-Session-Grpc-Method", "/moby.buildkit.secrets.v1.Secrets/GetSecret")
            .header("X-Docker-Expose-Session-Grpc-Method", "/grpc.health.v1.Health/Check")
            .body(bollard::body_full(bytes::Bytes::new()))
            .map_err(|error| fault(&error))?;
        let upgraded = tokio::time::timeout(OPEN, async {
            let response = engine.send(request).await.map_err(|error| fault(&error.line()))?;
            if response.status() != http::StatusCode::SWITCHING_PROTOCOLS {
                return Err(fault(&format!("HTTP {}", response.status())));
            }
            hyper::upgrade::on(response).await.map_err(|error| fault(&error))
        })
        .await
        .map_err(|_| fault(&format!("no answer within {} s", OPEN.as_secs())))??;
        let router = tonic::transport::Server::builder().add_service(HealthServer::new(Alive)).add_service(SecretsServer::new(Vault(secrets)));
        let (stop, stopped) = oneshot::channel::<()>();
        // One connection, and then none: the stream must not end before the session does.
        let once = stream::iter([Ok::<_, io::Error>(Wire(TokioIo::new(upgraded)))]).chain(stream::pending());
        tokio::spawn(async move {
            let closed = async {
                let _ = stopped.await;
            };
            tokio::select! {
                // A broken session shows in the build that needs it.
                _ = router.serve_with_incoming(once) => {}
                () = closed => {}
            }
        });
        Ok(Self { id, _stop: stop })
    }

    /// The id that the build names.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// The secrets of one build.
struct Vault(BTreeMap<String, Secret>);

#[tonic::async_trait]
impl Secrets for Vault {
    async fn get_secret(&self, request: Request<GetSecretRequest>) -> Result<Response<GetSecretResponse>, Status> {
        match self.0.get(&request.get_ref().id) {
            Some(secret) => Ok(Response::new(GetSecretResponse { data: secret.reveal().as_bytes().to_vec() })),
            None => Err(Status::not_found(format!("no build secret has the id {:?}", crate::secret::plain(&request.get_ref().id, 80)))),
        }
    }
}

/// Says that we live; BuildKit asks every few seconds.
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(&self, _request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse { status: ServingStatus::Serving.into() }))
    }

    async fn list(&self, _request: Request<HealthListRequest>) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("list"))
    }

    async fn watch(&self, _request: Request<HealthCheckRequest>) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("watch"))
    }
}

/// The upgraded connection in tonic's terms.
struct Wire(TokioIo<Upgraded>);

impl tonic::transport::server::Connected for Wire {
    type ConnectInfo = ();
    fn connect_info(&self) {}
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
