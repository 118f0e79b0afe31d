//! rollback: back to what was verified, data kept.

use super::{Effect, Offer, deploy};
use crate::story::{Block, Mark};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{RolledBack, With};

#[derive(Debug)]
pub(crate) struct Rollback;

impl Offer for Rollback {
    type Ask = ask::Rollback;
    type More = RolledBack;
    const NAME: &'static str = "rollback";
    const TITLE: &'static str = "Roll back";
    const DESCRIPTION: &'static str = "Bring the deployed app back to the last verified revision (or a named one, or uninstalled), keeping data and secrets, then validate it. Asks for approval with the impact, then returns an operation.";
    const EFFECT: Effect = Effect::Replaces;
    const DASHBOARD: bool = true;
    const LOOKS_AT: &'static str = "the releases in the cluster and the API server of the profile";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.rollback(ask).await
    }

    fn facts(more: &RolledBack) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let (Some(from), Some(to)) = (&more.from, &more.to) {
            blocks.push(Block::Line(Mark::Plain, format!("from {from} to {to}")));
        }
        if let Some(impact) = &more.impact {
            let mut list = |mark: Mark, what: &str, items: &[String]| {
                if !items.is_empty() {
                    blocks.push(Block::Line(mark, format!("{what}: {}", items.join(", "))));
                }
            };
            list(Mark::Plain, "restarts", &impact.restarts);
            list(Mark::Plain, "configuration", &impact.config);
            list(Mark::Warning, "cannot be undone", &impact.irreversible);
        }
        blocks.extend(more.revision.as_ref().map(deploy::revision).unwrap_or_default());
        if let Some(uri) = &more.backup_uri {
            blocks.push(Block::Line(Mark::Plain, format!("backup of the previous configuration: {uri}")));
        }
        blocks
    }

    fn approve(ask: &mut Self::Ask, token: &str) -> bool {
        ask.approval = Some(token.to_owned());
        true
    }
}
