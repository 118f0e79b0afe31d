//! operation_status: how far a running operation is.

use super::{Effect, Offer};
use crate::story::Block;
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{EventView, Progressed, With};

#[derive(Debug)]
pub(crate) struct OperationStatus;

impl Offer for OperationStatus {
    type Ask = ask::OperationStatus;
    type More = Progressed;
    const NAME: &'static str = "operation_status";
    const TITLE: &'static str = "Operation status";
    const DESCRIPTION: &'static str = "How far a running operation is: waits up to 2.5 s for news; returns state, progress, new events and, once settled, the result. Repeat with after=<last event> until settled.";
    const EFFECT: Effect = Effect::Reads;
    const DASHBOARD: bool = true;
    const LOOKS_AT: &'static str = "the journal of the operation";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.status(ask).await
    }

    fn facts(more: &Progressed) -> Vec<Block> {
        let mut blocks = if more.events.is_empty() { Vec::new() } else { vec![Block::title("Events")] };
        blocks.extend(more.events.iter().map(|event| Block::Detail(event_line(event))));
        blocks
    }
}

/// One line of an operation's story.
pub(crate) fn event_line(event: &EventView) -> String {
    format!("{} {} {}", event.n, event.at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%H:%M:%S"), event.text)
}
