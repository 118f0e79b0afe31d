//! What a client hears while its call is open: progress that only grows, and log messages from the level it asked for; never a reason for a call to fail.

#![expect(deprecated, reason = "clients of the older revisions still listen to log messages")]

use landfall::evidence::Verdict;
use landfall::reply::{EventView, OperationView, Reply, Status};
use rmcp::RoleServer;
use rmcp::model::{LoggingLevel, LoggingMessageNotificationParam, ProgressNotificationParam};
use rmcp::service::RequestContext;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// The least severe message that a connection of the older revisions wants; warnings, until it says.
#[derive(Clone, Debug)]
pub(crate) struct Level(Arc<AtomicU8>);

impl Default for Level {
    fn default() -> Self {
        Self(Arc::new(AtomicU8::new(rank(LoggingLevel::Warning))))
    }
}

impl Level {
    pub(crate) fn set(&self, level: LoggingLevel) {
        self.0.store(rank(level), Ordering::Relaxed);
    }
}

fn rank(level: LoggingLevel) -> u8 {
    match level {
        LoggingLevel::Debug => 0,
        LoggingLevel::Info => 1,
        LoggingLevel::Notice => 2,
        LoggingLevel::Warning => 3,
        LoggingLevel::Error => 4,
        LoggingLevel::Critical => 5,
        LoggingLevel::Alert => 6,
        LoggingLevel::Emergency => 7,
    }
}

/// News of one call.
pub(crate) struct News<'a> {
    cx: &'a RequestContext<RoleServer>,
    /// None: the client wants no log messages.
    least: Option<u8>,
    told: f64,
    events: u64,
}

impl<'a> News<'a> {
    pub(crate) fn of(cx: &'a RequestContext<RoleServer>, level: &Level) -> Self {
        // In the revision without a handshake each request says what it wants to hear.
        let least = if crate::consent::modern(cx) { cx.meta.log_level().map(rank) } else { Some(level.0.load(Ordering::Relaxed)) };
        Self { cx, least, told: -1.0, events: 0 }
    }

    /// Progress counts the operation's events, with the part of the present step that is done: it is true without knowing how many will come.
    pub(crate) async fn of_operation(&mut self, view: &OperationView, events: &[EventView]) {
        for event in events {
            self.log(LoggingLevel::Info, json!({ "operation": view.id, "n": event.n, "text": event.text })).await;
            self.events = self.events.max(event.n);
        }
        let Some(token) = self.cx.meta.get_progress_token() else { return };
        #[expect(clippy::cast_precision_loss, reason = "events and steps are few")]
        let now = self.events as f64 + (view.progress.done as f64 / view.progress.total.max(1) as f64).clamp(0.0, 0.99);
        if now <= self.told {
            return;
        }
        self.told = now;
        let beat = ProgressNotificationParam::new(token, now).with_message(crate::story::operation_line(view));
        // A client that has left must not fail the work.
        let _ = self.cx.peer.notify_progress(beat).await;
    }

    /// How the call ended, where something was judged or is asked for.
    pub(crate) async fn ended(&self, reply: &Reply) {
        let level = match (reply.status, reply.verdict) {
            (Status::Done, Some(Verdict::Refused)) => LoggingLevel::Error,
            (Status::Done, Some(Verdict::Incomplete)) | (Status::ApprovalNeeded | Status::ValueNeeded, _) => LoggingLevel::Warning,
            (Status::Done, Some(Verdict::Pass)) => LoggingLevel::Notice,
            (Status::Done, None) | (Status::Running | Status::Declined, _) => LoggingLevel::Debug,
        };
        self.log(level, json!({ "status": reply.status, "verdict": reply.verdict, "summary": reply.summary })).await;
    }

    async fn log(&self, level: LoggingLevel, data: Value) {
        if self.least.is_some_and(|least| rank(level) >= least) {
            let message = LoggingMessageNotificationParam::new(level, data).with_logger("landfall");
            let _ = self.cx.peer.notify_logging_message(message).await;
        }
    }
}
