//! cancel_operation: stops at a safe point.

use super::{Effect, Offer};
use crate::story::{Block, Mark};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{CancelledView, With};

#[derive(Debug)]
pub(crate) struct CancelOperation;

impl Offer for CancelOperation {
    type Ask = ask::CancelOperation;
    type More = CancelledView;
    const NAME: &'static str = "cancel_operation";
    const TITLE: &'static str = "Cancel operation";
    const DESCRIPTION: &'static str =
        "Stop a running operation at its next safe point; what it changed is walked back, or left and reported. Returns what was undone and what stays.";
    const EFFECT: Effect = Effect::Replaces;
    const LOOKS_AT: &'static str = "the worker of the operation";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.cancel(ask).await
    }

    fn facts(more: &CancelledView) -> Vec<Block> {
        let undone = more.undone.iter().map(|what| Block::Line(Mark::Good, format!("undone: {what}")));
        let left = more.left.iter().map(|what| Block::Line(Mark::Warning, format!("left: {what}")));
        undone.chain(left).collect()
    }
}
