//! deployment_report: readiness, health, verdict and traceability, each a fold over what was recorded.

use super::{Effect, Offer};
use crate::story::{Block, Mark};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Reported, With};

#[derive(Debug)]
pub(crate) struct DeploymentReport;

impl Offer for DeploymentReport {
    type Ask = ask::DeploymentReport;
    type More = Reported;
    const NAME: &'static str = "deployment_report";
    const TITLE: &'static str = "Deployment report";
    const DESCRIPTION: &'static str = "Report what was recorded and seen: readiness (local, not production), health, the Phase IV Complete verdict, traceability from spec to evidence, or the audit trail. Names what was not run.";
    const EFFECT: Effect = Effect::Reads;
    const LOOKS_AT: &'static str = "the journals of the workspace and the API server of the profile";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.report(ask).await
    }

    fn facts(more: &Reported) -> Vec<Block> {
        let mut blocks: Vec<Block> = more.report.iter().map(|report| Block::Text(report.markdown.clone())).collect();
        blocks.extend(more.not_run.iter().map(|what| Block::Line(Mark::Warning, format!("not run: {what}"))));
        if !more.artifacts.is_empty() {
            blocks.push(Block::Line(Mark::Plain, format!("artifacts: {}", more.artifacts.join(", "))));
        }
        blocks
    }
}
