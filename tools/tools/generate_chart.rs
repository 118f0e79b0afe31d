//! generate_chart: one Helm chart per service, and the helm gate.

use super::{Effect, Offer};
use crate::story::{Block, short};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Charted, With};

#[derive(Debug)]
pub(crate) struct GenerateChart;

impl Offer for GenerateChart {
    type Ask = ask::GenerateChart;
    type More = Charted;
    const NAME: &'static str = "generate_chart";
    const TITLE: &'static str = "Generate charts";
    const DESCRIPTION: &'static str = "Write one Helm chart per service (values per environment, schema, probes, limits, secrets by reference), judged by the helm gate. A file that a person changed is shown, not overwritten.";
    const EFFECT: Effect = Effect::Writes;
    const LOOKS_AT: &'static str = "the files of the workspace and helm";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.generate_chart(ask).await
    }

    fn facts(more: &Charted) -> Vec<Block> {
        let rows = more
            .charts
            .iter()
            .map(|chart| {
                vec![
                    chart.service.clone(),
                    chart.dir.clone(),
                    chart.version.clone(),
                    chart.values.join(" "),
                    chart.digest.as_deref().map(short).unwrap_or_default().to_owned(),
                ]
            })
            .collect();
        Block::table("Charts", &["service", "dir", "version", "values", "package"], rows)
    }

    fn approve(ask: &mut Self::Ask, token: &str) -> bool {
        ask.approval = Some(token.to_owned());
        true
    }
}
