//! ask_advisor: a proposal of Gordon, kubectl-ai or kagent, judged at the same gates and applied by nobody.

use super::{Effect, Offer};
use crate::story::{Block, Mark, word};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Advised, With};

#[derive(Debug)]
pub(crate) struct AskAdvisor;

impl Offer for AskAdvisor {
    type Ask = ask::AskAdvisor;
    type More = Advised;
    const NAME: &'static str = "ask_advisor";
    const TITLE: &'static str = "Ask an advisor";
    const DESCRIPTION: &'static str = "Ask Gordon, kubectl-ai or kagent for a proposal: causes, a Dockerfile, chart values. The user must have switched it on. Judged at the same gates; never applied.";
    const EFFECT: Effect = Effect::Reads;
    const OPEN_WORLD: bool = true;
    const LOOKS_AT: &'static str = "the advisor";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.ask_advisor(ask).await
    }

    fn facts(more: &Advised) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let Some(place) = &more.sent_to {
            blocks.push(Block::Line(Mark::Plain, format!("the question went to {place}")));
        }
        if let Some(refusal) = &more.refusal {
            blocks.push(Block::Line(Mark::Bad, format!("{}: {}", word(refusal.code), refusal.why)));
            blocks.extend(refusal.commands.iter().map(|command| Block::Detail(format!("wanted to run, was not run: {command}"))));
        }
        for proposal in &more.proposals {
            let whose = [&proposal.service, &proposal.path].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ");
            blocks.push(Block::title(&format!("Proposed {} {whose}", word(proposal.kind))));
            blocks.extend(proposal.hypotheses.iter().map(|line| Block::Line(Mark::Plain, format!("somebody else's guess: {line}"))));
            for gate in &proposal.gate_verdicts {
                blocks.push(Block::Line(
                    Mark::Plain,
                    format!("{} gate: {} passed, {} failed, {} not run", gate.gate.as_str(), gate.passed, gate.failed, gate.not_run),
                ));
            }
            blocks.extend(proposal.diff_uri.iter().map(|uri| Block::Detail(format!("the difference: {uri}"))));
        }
        if !more.own.is_empty() {
            blocks.push(Block::title("What Landfall itself found"));
            blocks.extend(more.own.iter().map(|line| Block::Line(Mark::Plain, line.clone())));
        }
        if let Some(prompt) = &more.prompt {
            blocks.push(Block::title("The question, for a person to ask"));
            blocks.push(Block::Detail(prompt.clone()));
        }
        blocks
    }
}
