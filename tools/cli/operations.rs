//! Operations seen from a terminal, and the two hidden commands that make them outlive it: the launcher and the worker.

use super::show::Screen;
use super::{Workspace, act};
use crate::story::{Block, Mark, minute, word};
use crate::tools;
use clap::Subcommand;
use landfall::ask;
use landfall::config::Folders;
use landfall::failure::{Code, Failure};
use landfall::landfall::Landfall;
use landfall::names::OperationId;
use landfall::reply::OperationState;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

#[derive(Debug, Subcommand)]
pub(super) enum Operations {
    /// All of them, newest first
    List {
        #[command(flatten)]
        at: Workspace,
    },
    /// State, events and result of one
    Show {
        id: OperationId,
        #[command(flatten)]
        at: Workspace,
        /// Until it is settled
        #[arg(long)]
        follow: bool,
    },
    /// Stop one at its next safe point
    Cancel {
        id: OperationId,
        #[command(flatten)]
        at: Workspace,
        /// Leave what was changed
        #[arg(long)]
        leave: bool,
    },
    /// Go on with one whose worker is gone
    Resume {
        id: OperationId,
        #[command(flatten)]
        at: Workspace,
    },
}

#[derive(Debug, Subcommand)]
pub(super) enum Worker {
    /// Starts the worker in a session of its own and prints its process id
    Launch {
        id: OperationId,
        #[arg(long)]
        workspace: PathBuf,
    },
    /// The worker itself
    Run {
        id: OperationId,
        #[arg(long)]
        workspace: PathBuf,
    },
}

pub(super) async fn run(landfall: &Landfall, screen: &Screen, what: Operations) -> Result<u8, Failure> {
    match what {
        Operations::List { at } => {
            let list = landfall.operations(at.path().as_deref()).await?;
            if screen.json {
                screen.print(&format!("{}\n", serde_json::to_string_pretty(&list).unwrap_or_default()));
                return Ok(0);
            }
            let rows: Vec<Vec<String>> = list
                .iter()
                .map(|operation| {
                    let stage = operation.stage.clone().unwrap_or_default();
                    vec![
                        operation.id.to_string(),
                        operation.tool.clone(),
                        word(operation.state),
                        stage,
                        minute(operation.started_at),
                        format!("{:.0} s", operation.elapsed_s),
                    ]
                })
                .collect();
            let blocks = if rows.is_empty() {
                vec![Block::Line(Mark::Plain, "no operation yet".to_owned())]
            } else {
                vec![Block::Table { head: vec!["operation", "tool", "state", "stage", "started", "took"], rows }]
            };
            screen.print(&screen.blocks(&blocks));
            Ok(0)
        }
        Operations::Show { id, at, follow } => {
            let question = ask::OperationStatus { workspace: at.path(), operation: Some(id), wait_s: Some(0.0), after: None };
            let mut status = landfall.status(&question).await?;
            if let Some(operation) = status.reply.operation.clone().filter(|operation| follow && !operation.state.settled()) {
                match act::watch(landfall, screen, at.path(), &operation).await? {
                    Some(last) => status = last,
                    None => return Ok(130),
                }
            }
            Ok(screen.reply::<tools::OperationStatus>(&status))
        }
        Operations::Cancel { id, at, leave } => {
            let undo = if leave { ask::UndoMode::Leave } else { ask::UndoMode::WalkBack };
            let reply = landfall.cancel(&ask::CancelOperation { workspace: at.path(), operation: Some(id), undo }).await?;
            let code = screen.reply::<tools::CancelOperation>(&reply);
            // It was to be cancelled: that it was is no failure.
            Ok(if reply.reply.operation.as_ref().is_some_and(|operation| operation.state == OperationState::Cancelled) { 0 } else { code })
        }
        Operations::Resume { id, at } => {
            let view = landfall.resume(at.path().as_deref(), &id).await?;
            match act::watch(landfall, screen, at.path(), &view).await? {
                Some(last) => Ok(screen.reply::<tools::OperationStatus>(&last)),
                None => Ok(130),
            }
        }
    }
}

pub(super) async fn work(landfall: &Landfall, what: Worker) -> Result<u8, Failure> {
    match what {
        Worker::Launch { id, workspace } => launch(landfall, &id, &workspace),
        Worker::Run { id, workspace } => {
            // A session of its own: no terminal's hang-up or interrupt reaches the worker. One that leads its group already has one.
            if let Err(error) = rustix::process::setsid() {
                tracing::debug!(%error, "the worker keeps its session");
            }
            let state = landfall.run_operation(&workspace, &id).await?;
            tracing::info!(operation = %id, state = %word(state), "ended");
            Ok(match state {
                OperationState::Succeeded => 0,
                OperationState::Refused => 3,
                OperationState::Stuck => 9,
                OperationState::Cancelled | OperationState::Interrupted => 130,
                OperationState::Failed => 1,
                OperationState::Running | OperationState::Paused | OperationState::Cancelling | OperationState::RollingBack => 0,
            })
        }
    }
}

/// Starts the worker and leaves: the worker is then nobody's child, and nobody's end is its own.
fn launch(landfall: &Landfall, id: &OperationId, workspace: &Path) -> Result<u8, Failure> {
    let folder = Folders::of(workspace, &landfall.setup.state).operation(id);
    if !folder.is_dir() {
        return Err(Failure::new(Code::OperationNotFound, format!("{} has no folder in {}", id, workspace.display())).help("landfall operations list"));
    }
    let path = folder.join("worker.log");
    let log = {
        use std::os::unix::fs::OpenOptionsExt as _;
        std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|error| Failure::file("open", &path, &error))?
    };
    let worker = Command::new(&landfall.setup.program)
        .args(["operation", "run", id.as_str(), "--workspace"])
        .arg(workspace)
        .args(["-v"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(|error| Failure::new(Code::ProgramFailed, "start the worker").cause(error))?;
    use std::io::Write as _;
    let _ = writeln!(std::io::stdout(), "{}", worker.id());
    Ok(0)
}
