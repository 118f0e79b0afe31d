//! The program: joins engine, adapters and what is offered of them; the composition root, without a decision of its own.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "tests may stop at the first surprise"
    )
)]

mod batch;
mod cli;
mod complete;
mod consent;
mod news;
mod prompts;
mod resources;
mod schema;
mod server;
mod story;
mod tasks;
mod text;
mod tools;
mod transport;
mod watch;
mod world;

use anyhow::Context as _;
use landfall::landfall::{Landfall, Setup};
use landfall::ports::World;
use std::process::ExitCode;

fn main() -> ExitCode {
    let line = cli::CommandLine::read();
    logs(&line.common);
    // Whoever installed a provider first has installed the only one there is.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("landfall: start the runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(cli::run(line));
    // A read of stdin cannot be cancelled; it must not keep the program alive.
    runtime.shutdown_background();
    ExitCode::from(code)
}

/// The engine of this process, over the real world.
fn landfall(
    world: fn(&std::path::Path) -> World,
    roots: Vec<std::path::PathBuf>,
    approval: landfall::config::ApprovalMode,
    plan_only: bool,
) -> anyhow::Result<Landfall> {
    let state = landfall::config::state_folder()?;
    let world = world(&state);
    let program = std::env::current_exe().context("find this program")?;
    Ok(Landfall::new(world, Setup { state, roots, approval, program, plan_only }))
}

/// Logs go to stderr; `LANDFALL_LOG` or `-v` says how much.
fn logs(common: &cli::Common) {
    use tracing_subscriber::filter::Targets;
    use tracing_subscriber::{Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "landfall=info,warn",
        (false, _) => "landfall=debug,info",
    };
    let of = |text: &str| text.parse::<Targets>().ok();
    let filter = std::env::var("LANDFALL_LOG").ok().and_then(|text| of(&text)).or_else(|| of(level)).unwrap_or_default();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false).with_filter(filter);
    let _ = tracing_subscriber::registry().with(lines).try_init();
}
