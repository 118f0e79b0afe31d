//! plan_deployment: the five stages as data, before anything happens.

use super::{Effect, Offer, analyze_project};
use crate::story::{Block, Mark, minute, short, some};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Planned, With};

#[derive(Debug)]
pub(crate) struct PlanDeployment;

impl Offer for PlanDeployment {
    type Ask = ask::PlanDeployment;
    type More = Planned;
    const NAME: &'static str = "plan_deployment";
    const TITLE: &'static str = "Plan deployment";
    const DESCRIPTION: &'static str = "Show what a deploy would do, changing nothing: stages, install order, changes, approvals, values still needed, the way back, and a digest to bind deploy to. Works without a cluster.";
    const EFFECT: Effect = Effect::Reads;
    const LOOKS_AT: &'static str = "the files of the workspace and the API server of the profile";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.plan(ask).await
    }

    fn facts(more: &Planned) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let Some(plan) = &more.plan {
            let waves: Vec<String> = plan.waves.iter().map(|wave| wave.join(" + ")).collect();
            blocks.push(Block::Line(
                Mark::Plain,
                format!(
                    "plan {} through {}, from {}, until {}, about {} s",
                    short(&plan.digest),
                    plan.through,
                    plan.base_revision,
                    minute(plan.expires_at),
                    plan.estimate_s
                ),
            ));
            if !waves.is_empty() {
                blocks.push(Block::Line(Mark::Plain, format!("order: {}", waves.join(" → "))));
            }
            let rows = plan
                .stages
                .iter()
                .map(|stage| vec![stage.stage.clone(), if stage.needed { "yes" } else { "no" }.to_owned(), stage.why.clone(), some(&stage.effects, 2)])
                .collect();
            blocks.extend(Block::table("Stages", &["stage", "needed", "why", "effects"], rows));
            let rows = plan
                .changes
                .iter()
                .filter(|change| change.action != "unchanged")
                .map(|change| vec![change.action.clone(), format!("{}/{}", change.kind, change.name), if change.restarts { "restarts" } else { "" }.to_owned()])
                .collect();
            blocks.extend(Block::table("Changes in the cluster", &["action", "object", "pods"], rows));
            blocks.extend(plan.approvals.iter().map(|approval| Block::Line(Mark::Waiting, format!("approval: {approval}"))));
            let rows = plan.rollback.iter().map(|way| vec![way.release.clone(), way.to.clone(), way.keeps.join(", "), way.cannot_undo.join(", ")]).collect();
            blocks.extend(Block::table("The way back", &["release", "to", "keeps", "cannot undo"], rows));
        }
        blocks.extend(analyze_project::findings(&more.findings));
        blocks
    }
}
