//! deploy: everything that is missing, in strict order, up to the asked stage.

use super::{Effect, Offer};
use crate::story::{Block, Mark, short};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Deployed, RevisionView, UrlView, With};

#[derive(Debug)]
pub(crate) struct Deploy;

impl Offer for Deploy {
    type Ask = ask::Deploy;
    type More = Deployed;
    const NAME: &'static str = "deploy";
    const TITLE: &'static str = "Deploy";
    const DESCRIPTION: &'static str = "Run what is missing up to a stage on the local Minikube, in waves behind gates; rolls back by itself when a gate refuses. Asks for approval first, then returns an operation.";
    const EFFECT: Effect = Effect::Replaces;
    const OPEN_WORLD: bool = true;
    const DASHBOARD: bool = true;
    const LOOKS_AT: &'static str = "the files of the workspace, the container engine and the API server of the profile";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.deploy(ask).await
    }

    fn facts(more: &Deployed) -> Vec<Block> {
        let mut blocks = more.revision.as_ref().map(revision).unwrap_or_default();
        blocks.extend(urls(&more.urls));
        if !more.unchanged.is_empty() {
            blocks.push(Block::Line(Mark::Plain, format!("unchanged: {}", more.unchanged.join(", "))));
        }
        blocks
    }

    fn approve(ask: &mut Self::Ask, token: &str) -> bool {
        ask.approval = Some(token.to_owned());
        true
    }
}

/// An app revision with its releases.
pub(crate) fn revision(revision: &RevisionView) -> Vec<Block> {
    let (mark, word) = if revision.verified { (Mark::Good, "verified") } else { (Mark::Warning, "not verified") };
    let mut blocks = vec![Block::Line(mark, format!("app revision r{}, {word}", revision.n))];
    let rows = revision
        .releases
        .iter()
        .map(|release| {
            vec![
                release.release.clone(),
                release.helm_revision.to_string(),
                release.chart.clone(),
                release.image_id.as_deref().map(short).unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    blocks.extend(Block::table("Releases", &["release", "helm revision", "chart", "image"], rows));
    blocks
}

/// Where services are reached.
pub(crate) fn urls(urls: &[UrlView]) -> Vec<Block> {
    urls.iter().map(|url| Block::Line(Mark::Plain, format!("{}: {} ({})", url.service, url.url, url.how))).collect()
}
