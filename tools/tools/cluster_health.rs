//! cluster_health: what runs, and why what does not.

use super::{Effect, Offer};
use crate::story::{Block, Mark, word};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{AppState, Healthy, LogView, OutOf, With};

#[derive(Debug)]
pub(crate) struct ClusterHealth;

impl Offer for ClusterHealth {
    type Ask = ask::ClusterHealth;
    type More = Healthy;
    const NAME: &'static str = "cluster_health";
    const TITLE: &'static str = "Cluster health";
    const DESCRIPTION: &'static str = "Report the health of the deployed app or the local cluster, and why it is failing or crashing: counts, warnings, unhealthy objects with cause, evidence, remedy. logs=N adds redacted log lines.";
    const EFFECT: Effect = Effect::Reads;
    const DASHBOARD: bool = true;
    const LOOKS_AT: &'static str = "the API server of the profile";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.health(ask).await
    }

    fn facts(more: &Healthy) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let Some(state) = more.state {
            let mark = match state {
                AppState::Active | AppState::Stable | AppState::PreviousStable => Mark::Good,
                AppState::Degraded => Mark::Bad,
                AppState::Deploying | AppState::RollingBack => Mark::Waiting,
                AppState::Initial | AppState::Ready | AppState::Packaged => Mark::Plain,
            };
            blocks.push(Block::Line(mark, format!("state: {}", word(state).replace('_', " "))));
        }
        if let Some(counts) = &more.counts {
            let line = |what: &str, out: OutOf| {
                let mark = if out.total == 0 {
                    Mark::Plain
                } else if out.ready == out.total {
                    Mark::Good
                } else {
                    Mark::Bad
                };
                Block::Line(mark, format!("{what} {}/{}", out.ready, out.total))
            };
            blocks.extend([line("deployments ready", counts.deployments), line("pods running", counts.pods), line("services active", counts.services)]);
        }
        let rows = more.objects.iter().map(|object| vec![object.object.clone(), object.state.clone()]).collect();
        blocks.extend(Block::table("Not healthy", &["object", "state"], rows));
        let rows = more.warnings.iter().map(|warning| vec![warning.at.clone(), warning.text.clone()]).collect();
        blocks.extend(Block::table("Recent warnings", &["at", "text"], rows));
        blocks.extend(logs(&more.logs));
        blocks
    }
}

/// Log lines by container.
pub(crate) fn logs(logs: &[LogView]) -> Vec<Block> {
    let mut blocks = Vec::new();
    for log in logs {
        let when = if log.previous { ", before its restart" } else { "" };
        blocks.push(Block::Title(format!("{} {}{when}", log.pod, log.container)));
        blocks.extend(log.lines.iter().map(|line| Block::Detail(line.clone())));
    }
    blocks
}
