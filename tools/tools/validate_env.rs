//! validate_env: the machine and cluster before a deploy, the running app after it.

use super::{Effect, Offer};
use crate::story::{Block, Mark, word};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::ports::{Program, ProofCheck};
use landfall::reply::{Comparison, Validated, With};

#[derive(Debug)]
pub(crate) struct ValidateEnv;

impl Offer for ValidateEnv {
    type Ask = ask::ValidateEnv;
    type More = Validated;
    const NAME: &'static str = "validate_env";
    const TITLE: &'static str = "Validate environment";
    const DESCRIPTION: &'static str = "Before a deploy: what is installed on this machine, the cluster's proof, resources, required values. After it: reachability, environment in the running processes, smoke requests, logs, metrics.";
    const EFFECT: Effect = Effect::Reads;
    const LOOKS_AT: &'static str = "the programs of this machine and the API server of the profile";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.validate(ask).await
    }

    fn facts(more: &Validated) -> Vec<Block> {
        let mut blocks = programs(&more.programs);
        blocks.extend(proof(&more.proof));
        let wrong: Vec<Vec<String>> = more
            .variables
            .iter()
            .filter(|variable| variable.verdict != Comparison::Equal)
            .map(|variable| vec![variable.service.clone(), variable.name.clone(), word(variable.verdict)])
            .collect();
        let equal = more.variables.len() - wrong.len();
        if equal > 0 {
            blocks.push(Block::Line(Mark::Good, format!("{equal} variables are equal in the running processes")));
        }
        blocks.extend(Block::table("Variables that differ", &["service", "variable", "seen"], wrong));
        if let Some(latency) = &more.latency {
            blocks.push(Block::Line(
                Mark::Plain,
                format!("{} requests, {} errors, p50 {:.0} ms, p95 {:.0} ms", latency.requests, latency.errors, latency.p50_ms, latency.p95_ms),
            ));
        }
        if !more.advice.is_empty() {
            blocks.push(Block::title("Measured just now; one look, not a load test"));
            blocks.extend(more.advice.iter().map(|line| Block::Line(Mark::Plain, line.clone())));
        }
        blocks
    }

    fn approve(ask: &mut Self::Ask, token: &str) -> bool {
        ask.approval = Some(token.to_owned());
        true
    }
}

/// Programs of this machine; what is wrong comes with the command that mends it.
pub(crate) fn programs(programs: &[Program]) -> Vec<Block> {
    let mut blocks = if programs.is_empty() { Vec::new() } else { vec![Block::title("Programs")] };
    for program in programs {
        let mut name = program.name.clone();
        for part in [&program.version, &program.path].into_iter().flatten() {
            name.push(' ');
            name.push_str(part);
        }
        if program.problem.is_empty() {
            blocks.push(Block::Line(Mark::Good, name));
        } else {
            blocks.push(Block::Line(Mark::Bad, format!("{name}: {}", program.problem)));
            if !program.help.is_empty() {
                blocks.push(Block::Detail(program.help.clone()));
            }
        }
    }
    blocks
}

/// What was compared to prove that the target is a local Minikube.
pub(crate) fn proof(proof: &[ProofCheck]) -> Vec<Block> {
    let failed: Vec<&ProofCheck> = proof.iter().filter(|check| !check.ok).collect();
    let mut blocks = Vec::new();
    if !proof.is_empty() && failed.is_empty() {
        blocks.push(Block::Line(Mark::Good, format!("target proven local: {} comparisons hold", proof.len())));
    }
    for check in failed {
        blocks.push(Block::Line(Mark::Bad, format!("{}: expected {}, seen {}", check.check, check.expected, check.seen)));
    }
    blocks
}
