//! Calls that may ask for approval and begin operations: asked at the terminal, followed to their end; deciding is the engine's.

use super::Way;
use super::approve;
use super::show::Screen;
use crate::story;
use crate::tools::{self, Offer};
use landfall::ask;
use landfall::config::ApprovalMode;
use landfall::failure::{Code, Failure};
use landfall::landfall::{GivenBy, Landfall};
use landfall::reply::{OperationState, OperationView, Progressed, Reply, Status, With};
use serde_json::Value;
use std::time::Duration;

/// What came of following an operation.
enum Followed {
    Settled(Box<With<Progressed>>),
    /// It waits for an approval or a value.
    Paused(Box<With<Progressed>>),
    /// The person left it running.
    Detached,
}

/// One call to its end.
pub(super) async fn act<O: Offer>(landfall: &Landfall, screen: &Screen, ask: O::Ask, way: Way) -> Result<u8, Failure> {
    let reply = to_the_end::<O>(landfall, screen, ask, way).await?;
    Ok(match reply {
        Some(reply) => screen.reply::<O>(&reply),
        None => 130,
    })
}

/// deploy through validate; a cluster that is not there is offered to be started.
pub(super) async fn up(landfall: &Landfall, screen: &Screen, mut ask: ask::Deploy, way: Way) -> Result<u8, Failure> {
    let code = match to_the_end::<tools::Deploy>(landfall, screen, ask.clone(), way).await {
        Err(failure) if !ask.start_cluster && matches!(failure.code, Code::ClusterStopped | Code::ProfileNotFound) => {
            screen.say(&failure.to_string());
            if !way.yes && !approve::yes("start the cluster as landfall.toml says?") {
                return Err(failure);
            }
            ask.start_cluster = true;
            to_the_end::<tools::Deploy>(landfall, screen, ask, way).await
        }
        other => other,
    }?;
    Ok(code.map_or(130, |reply| screen.reply::<tools::Deploy>(&reply)))
}

/// The last reply of a call; none where the person left its operation running.
pub(super) async fn to_the_end<O: Offer>(landfall: &Landfall, screen: &Screen, mut ask: O::Ask, way: Way) -> Result<Option<With<O::More>>, Failure> {
    let mut reply = O::call(landfall, &ask).await?;
    // Each round answers one approval; a plan has one per stage at most.
    for _round in 0..8 {
        if reply.reply.status == Status::ApprovalNeeded {
            let Some(token) = answer(landfall, screen, &mut reply.reply, way).await? else { return Ok(Some(reply)) };
            if !O::approve(&mut ask, &token) {
                return Ok(Some(reply));
            }
            reply = O::call(landfall, &ask).await?;
            continue;
        }
        let Some(operation) = reply.reply.operation.clone().filter(|operation| reply.reply.status == Status::Running && !operation.state.settled()) else {
            return Ok(Some(reply));
        };
        if way.detach {
            return Ok(Some(reply));
        }
        let workspace = crate::server::workspace_of(&reply.reply, &ask);
        match follow(landfall, screen, workspace, &operation).await? {
            Followed::Detached => return Ok(None),
            Followed::Settled(status) => {
                let more = status.more.result.clone().and_then(|result| serde_json::from_value(Value::Object(result)).ok()).unwrap_or(reply.more);
                return Ok(Some(With::new(status.reply, more)));
            }
            Followed::Paused(status) => reply.reply = status.reply,
        }
        if reply.reply.status != Status::ApprovalNeeded {
            return Ok(Some(reply));
        }
    }
    Ok(Some(reply))
}

/// The token of an approval that was given; none where it was not.
async fn answer(landfall: &Landfall, screen: &Screen, reply: &mut Reply, way: Way) -> Result<Option<String>, Failure> {
    let Some((token, mode)) = crate::consent::token(reply).zip(reply.approval.as_ref().map(|approval| approval.mode)) else { return Ok(None) };
    if way.yes && mode == ApprovalMode::Human {
        return Err(Failure::new(Code::ApprovalRequired, "--yes does not count in human mode")
            .help(format!("run `landfall approve {token}` in a terminal, then this command again")));
    }
    let terminal = approve::at_terminal();
    if way.yes && !terminal {
        screen.say("--yes counts at a terminal only: look at the approval, then give --approval TOKEN");
        return Ok(None);
    }
    if !terminal {
        crate::consent::hand_out(reply);
        return Ok(None);
    }
    let (view, diff) = landfall.approval(&token).await?;
    approve::show(screen, &view, &diff);
    let accept = way.yes || if mode == ApprovalMode::Human { approve::typed(&view.app) } else { approve::yes("carry this out?") };
    landfall.decide(&token, GivenBy::Terminal, accept).await?;
    if !accept {
        *reply = crate::consent::declined(reply.clone());
        return Ok(None);
    }
    Ok(Some(token))
}

/// Follows an operation: news to stderr, Ctrl-C leaves it running, twice asks it to stop.
async fn follow(landfall: &Landfall, screen: &Screen, workspace: Option<String>, operation: &OperationView) -> Result<Followed, Failure> {
    let mut interrupts = super::interrupts()?;
    let bar = Bar::new(screen, operation);
    let mut after = None;
    loop {
        let question = ask::OperationStatus { workspace: workspace.clone(), operation: Some(operation.id.clone()), wait_s: Some(2.5), after };
        let status = tokio::select! {
            status = landfall.status(&question) => status?,
            _ = interrupts.recv() => {
                bar.line(&format!("{} goes on without this terminal; Ctrl-C again within 3 s asks it to stop", operation.id));
                if tokio::time::timeout(Duration::from_secs(3), interrupts.recv()).await.is_err() {
                    bar.finish();
                    screen.say(&format!("landfall operations show {} --follow", operation.id));
                    if screen.json {
                        screen.print(&format!("{}\n", serde_json::json!({ "operation": { "id": operation.id, "state": "running" } })));
                    }
                    return Ok(Followed::Detached);
                }
                bar.line("asking the operation to stop; what it changed is walked back");
                landfall.cancel(&ask::CancelOperation { workspace: workspace.clone(), operation: Some(operation.id.clone()), undo: ask::UndoMode::WalkBack }).await?;
                continue;
            }
        };
        for event in &status.more.events {
            after = Some(event.n);
            bar.line(&tools::operation_status::event_line(event));
        }
        let Some(view) = &status.reply.operation else { return Ok(Followed::Settled(Box::new(status))) };
        bar.now(view);
        match view.state {
            // What is settled may still have events that were not shown.
            state if state.settled() && !status.reply.next.iter().any(|call| call.tool == "operation_status") => {
                bar.finish();
                return Ok(Followed::Settled(Box::new(status)));
            }
            OperationState::Interrupted => {
                bar.finish();
                return Err(Failure::new(Code::Interrupted, format!("the worker of {} is gone", operation.id))
                    .help(format!("landfall operations resume {}", operation.id)));
            }
            OperationState::Paused => {
                bar.finish();
                return Ok(Followed::Paused(Box::new(status)));
            }
            _ => {}
        }
        // An engine that answers at once must not make this a busy loop.
        if status.more.events.is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Follows an operation that some other call began, for `operations show --follow`.
pub(super) async fn watch(
    landfall: &Landfall,
    screen: &Screen,
    workspace: Option<String>,
    operation: &OperationView,
) -> Result<Option<With<Progressed>>, Failure> {
    Ok(match follow(landfall, screen, workspace, operation).await? {
        Followed::Settled(status) | Followed::Paused(status) => Some(*status),
        Followed::Detached => None,
    })
}

/// Progress on stderr: a bar where that is a terminal, lines elsewhere.
struct Bar {
    bar: Option<indicatif::ProgressBar>,
    quiet: bool,
}

impl Bar {
    fn new(screen: &Screen, operation: &OperationView) -> Self {
        let bar = (screen.live && !screen.quiet).then(|| {
            let bar = indicatif::ProgressBar::new(0);
            if let Ok(style) = indicatif::ProgressStyle::with_template("{spinner} {elapsed_precise} {bar:24} {pos}/{len} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(150));
            bar
        });
        let shown = Self { bar, quiet: screen.quiet };
        shown.line(&format!("operation {}", operation.id));
        shown
    }

    fn line(&self, text: &str) {
        let text = super::show::clean(text);
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None if !self.quiet => eprintln!("{text}"),
            None => {}
        }
    }

    fn now(&self, view: &OperationView) {
        let Some(bar) = &self.bar else { return };
        bar.set_length(view.progress.total);
        bar.set_position(view.progress.done);
        let parts: Vec<&str> = [&view.stage, &view.step, &view.subject].into_iter().flatten().map(String::as_str).collect();
        let mut text = parts.join(" · ");
        if let Some(waiting) = &view.waiting_for {
            text = format!("{text} · waiting for {waiting}");
        }
        bar.set_message(super::show::clean(&if text.is_empty() { story::word(view.state) } else { text }));
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
