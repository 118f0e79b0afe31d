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
        let mut blocks = Block::table("Services", &["service", "kind", "stack", "port", "health", "dir"], rows);
        let needs: Vec<Vec<String>> = more.services.iter().map(needs).collect();
        blocks.extend(Block::table("How they run", &["service", "starts with", "needs", "secrets"], needs));
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
        if !more.unknown.is_empty() {
            let names: Vec<String> = more.unknown.iter().map(|unknown| format!("{} of {}", unknown.fact, unknown.service)).collect();
            blocks.push(Block::Line(Mark::Warning, format!("not known: {}", names.join(", "))));
        }
        if !more.passed_over.is_empty() {
            let shown: Vec<String> = more.passed_over.iter().take(5).map(|passed| format!("{} ({})", passed.dir, passed.why)).collect();
            let rest = more.passed_over.len().saturating_sub(shown.len());
            let rest = if rest > 0 { format!(" and {rest} more") } else { String::new() };
            blocks.push(Block::Line(Mark::Plain, format!("passed over: {}{rest}", shown.join(", "))));
        }
        if more.skipped.files > 0 {
            blocks.push(Block::Line(Mark::Plain, format!("{} files not read", more.skipped.files)));
        }
        blocks.extend(findings(&more.findings));
        blocks
    }
}

fn service(service: &survey::Service) -> Vec<String> {
    let parts = [Some(service.language.as_str()), service.language_version.as_deref(), service.framework.as_deref(), service.package_manager.as_deref()];
    let stack: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    let ports: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
    let health =
        service.health.as_ref().map(|health| [&health.live, &health.ready].into_iter().flatten().cloned().collect::<Vec<_>>().join(" ")).unwrap_or_default();
    vec![service.name.to_string(), word(service.kind), stack.join(" "), ports.join(" "), health, service.dir.clone()]
}

fn needs(service: &survey::Service) -> Vec<String> {
    let start = match (&service.start_command, service.kind) {
        (Some(command), _) => command.clone(),
        (None, survey::Kind::Static) => "a web server for files".to_owned(),
        (None, _) => String::new(),
    };
    let mut needs: Vec<String> =
        service.backing.iter().map(|need| need.kind.clone()).chain(service.calls.iter().map(|call| call.service.to_string())).collect();
    needs.dedup();
    let secrets = service.env.iter().filter(|read| read.secret && read.required != survey::Required::No).map(|read| read.name.to_string()).collect::<Vec<_>>();
    vec![service.name.to_string(), start, needs.join(" "), secrets.join(" ")]
}

/// Findings, blockers first, each with its place; those of one kind share a line, and their help is said once.
pub(crate) fn findings(found: &[landfall::evidence::Finding]) -> Vec<Block> {
    let mut found: Vec<_> = found.iter().collect();
    found.sort_by(|left, right| (left.severity, &left.code).cmp(&(right.severity, &right.code)));
    let mut blocks = if found.is_empty() { Vec::new() } else { vec![Block::title("Findings")] };
    let said = |finding: &landfall::evidence::Finding| {
        let place = finding.evidence.first().map(|place| match place.line {
            0 => format!(" ({})", place.file),
            line => format!(" ({}:{line})", place.file),
        });
        format!("{}{}", finding.message, place.unwrap_or_default())
    };
    for group in found.chunk_by(|left, right| left.code == right.code && left.severity == right.severity) {
        let Some(first) = group.first() else { continue };
        let mark = Mark::of_severity(first.severity);
        if group.len() == 1 {
            blocks.push(Block::Line(mark, format!("{}: {}", first.code, said(first))));
        } else {
            blocks.push(Block::Line(mark, format!("{}, {} times", first.code, group.len())));
            blocks.extend(group.iter().map(|finding| Block::Detail(said(finding))));
        }
        if !first.help.is_empty() {
            blocks.push(Block::Detail(format!("→ {}", first.help)));
        }
    }
    blocks
}
