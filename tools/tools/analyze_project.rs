//! analyze_project: what a workspace is made of.

use super::{Effect, Offer};
use crate::story::{Block, Mark, word};
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Analysis, With};
use landfall::{ask, survey};

#[derive(Debug)]
pub(crate) struct AnalyzeProject;

impl Offer for AnalyzeProject {
    type Ask = ask::AnalyzeProject;
    type More = Analysis;
    const NAME: &'static str = "analyze_project";
    const TITLE: &'static str = "Analyze project";
    const DESCRIPTION: &'static str = "Survey a codebase without running it: services, ports, health routes, environment variables, backing services, MCP servers, specs, cross-file problems, each with file:line. Start here; needs no cluster.";
    const EFFECT: Effect = Effect::Reads;
    const LOOKS_AT: &'static str = "the files of the workspace";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.analyze(ask).await
    }

    fn facts(more: &Analysis) -> Vec<Block> {
        let rows = more.services.iter().map(service).collect();
        let mut blocks = Block::table("Services", &["service", "kind", "stack", "port", "health", "needs", "secrets", "dir"], rows);
        if let Some(mcp) = &more.mcp {
            blocks.push(Block::Line(Mark::Plain, format!("MCP in this workspace: {}", word(mcp.shape))));
        }
        for ready in more.ready.iter().filter(|ready| !ready.containerizable) {
            blocks.push(Block::Line(Mark::Bad, format!("{} cannot be containerized: {}", ready.service, ready.why)));
        }
        if let Some(constitution) = &more.specs.constitution {
            let requirements: usize = more.specs.features.iter().map(|feature| feature.requirements.len()).sum();
            blocks.push(Block::Line(
                Mark::Plain,
                format!("specs: {} features, {requirements} requirements; constitution {constitution}", more.specs.features.len()),
            ));
        }
        blocks.extend(findings(&more.findings));
        if !more.unknown.is_empty() {
            let names: Vec<String> = more.unknown.iter().map(|unknown| format!("{} of {}", unknown.fact, unknown.service)).collect();
            blocks.push(Block::Line(Mark::Warning, format!("not known: {}", names.join(", "))));
        }
        for passed in more.passed_over.iter().take(5) {
            blocks.push(Block::Line(Mark::Plain, format!("passed over {}: {}", passed.dir, passed.why)));
        }
        if more.skipped.files > 0 {
            blocks.push(Block::Line(Mark::Plain, format!("{} files not read", more.skipped.files)));
        }
        blocks
    }
}

fn service(service: &survey::Service) -> Vec<String> {
    let stack: Vec<&str> = [Some(service.language.as_str()), service.language_version.as_deref(), service.framework.as_deref()]
        .into_iter()
        .flatten()
        .filter(|part| !part.is_empty())
        .collect();
    let ports: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
    let health =
        service.health.as_ref().map(|health| [&health.live, &health.ready].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")).unwrap_or_default();
    let mut needs: Vec<String> =
        service.backing.iter().map(|need| need.kind.clone()).chain(service.calls.iter().map(|call| call.service.to_string())).collect();
    needs.dedup();
    let secrets = service.env.iter().filter(|read| read.secret && read.required != survey::Required::No).map(|read| read.name.to_string()).collect::<Vec<_>>();
    vec![service.name.to_string(), word(service.kind), stack.join(" "), ports.join(" "), health, needs.join(" "), secrets.join(" "), service.dir.clone()]
}

/// Findings, blockers first, each with its place.
pub(crate) fn findings(found: &[landfall::evidence::Finding]) -> Vec<Block> {
    let mut found: Vec<_> = found.iter().collect();
    found.sort_by_key(|finding| finding.severity);
    let mut blocks = if found.is_empty() { Vec::new() } else { vec![Block::title("Findings")] };
    for finding in found {
        let place = finding.evidence.first().map(|place| format!(" ({}:{})", place.file, place.line)).unwrap_or_default();
        blocks.push(Block::Line(Mark::of_severity(finding.severity), format!("{}: {}{place}", finding.code, finding.message)));
        if !finding.help.is_empty() {
            blocks.push(Block::Detail(finding.help.clone()));
        }
    }
    blocks
}
