//! The product's own server and transports with the official conformance suite's fixtures mounted on them: what is no fixture, the product answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    dead_code,
    reason = "tests may stop at the first surprise, and the command line of the product is left out"
)]

#[path = "../../tools"]
mod product {
    pub(crate) mod batch;
    pub(crate) mod complete;
    pub(crate) mod consent;
    pub(crate) mod news;
    pub(crate) mod prompts;
    pub(crate) mod resources;
    pub(crate) mod schema;
    pub(crate) mod server;
    pub(crate) mod story;
    pub(crate) mod tasks;
    pub(crate) mod text;
    pub(crate) mod tools;
    pub(crate) mod transport;
    pub(crate) mod watch;
    pub(crate) mod world;
}
// The product's files name each other from the root of their crate.
pub(crate) use product::{batch, complete, consent, news, prompts, resources, schema, server, story, tasks, text, tools, transport, watch, world};

mod fixtures;
mod rounds;

use landfall::config::ApprovalMode;
use landfall::landfall::{Landfall, Setup};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let state = landfall::config::state_folder()?;
    let setup = Setup { state: state.clone(), roots: Vec::new(), approval: ApprovalMode::Client, program: std::env::current_exe()?, plan_only: true };
    let server = server::Server::new(Landfall::new(world::for_calls(&state), setup));
    let http = transport::Http { address: "127.0.0.1:0".parse()?, allowed_hosts: Vec::new(), allowed_origins: Vec::new(), token_file: None, state };
    transport::http(fixtures::Fixtures::new(server), http, CancellationToken::new()).await
}
