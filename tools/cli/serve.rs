//! `landfall serve`: the MCP server, until its client leaves or somebody stops it.

use crate::server::Server;
use crate::transport;
use clap::Args;
use landfall::config::ApprovalMode;
use landfall::failure::{Code, Failure};
use std::net::SocketAddr;
use std::path::PathBuf;
use tokio::signal::unix::SignalKind;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Serve HTTP at this address instead of stdio, such as 127.0.0.1:7878
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
    /// Only workspaces inside these folders
    #[arg(long, value_name = "DIR", num_args = 1..)]
    root: Vec<PathBuf>,
    /// Whose word counts: client, human
    #[arg(long, value_name = "MODE", value_parser = super::choice::<ApprovalMode>, default_value = "client")]
    approval: ApprovalMode,
    /// File with the bearer token [default: made in the user's state folder]
    #[arg(long, value_name = "FILE", requires = "http")]
    token_file: Option<PathBuf>,
    /// A further name under which HTTP is served
    #[arg(long, value_name = "HOST", num_args = 1.., requires = "http")]
    allow_host: Vec<String>,
    /// A further web origin that may call
    #[arg(long, value_name = "ORIGIN", num_args = 1.., requires = "http")]
    allow_origin: Vec<String>,
    /// Touch no engine and no cluster
    #[arg(long)]
    plan_only: bool,
}

impl Serve {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let mut roots = Vec::new();
        for root in &self.root {
            let real =
                std::fs::canonicalize(root).map_err(|error| Failure::new(Code::WorkspaceNotFound, format!("open the root {}", root.display())).cause(error))?;
            roots.push(real);
        }
        let fault = |error: anyhow::Error| match error.downcast::<Failure>() {
            Ok(failure) => failure,
            Err(error) => Failure::new(Code::Internal, "serve MCP").cause(format!("{error:#}")),
        };
        let landfall = crate::landfall(crate::world::for_calls, roots, self.approval, self.plan_only).map_err(fault)?;
        let state = landfall.setup.state.clone();
        let server = Server::new(landfall);
        let stop = CancellationToken::new();
        // The handlers stand before anybody can speak to the server.
        let (mut interrupt, mut terminate) = (super::interrupts()?, super::signal(SignalKind::terminate())?);
        let told = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            told.cancel();
        });
        let served = match self.http {
            None => transport::stdio(server, stop).await,
            Some(address) => {
                let http = transport::Http { address, allowed_hosts: self.allow_host, allowed_origins: self.allow_origin, token_file: self.token_file, state };
                transport::http(server, http, stop).await
            }
        };
        served.map(|()| 0).map_err(fault)
    }
}
