//! analyze_project: what a workspace is made of.

use super::{Effect, Offer};
use crate::story::{Block, Mark, word};
use landfall::evidence::Finding;
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
pub(crate) fn findings(found: &[Finding]) -> Vec<Block> {
    let mut found: Vec<_> = found.iter().collect();
    found.sort_by(|left, right| (left.severity, &left.code).cmp(&(right.severity, &right.code)));
    let mut blocks = if found.is_empty() { Vec::new() } else { vec![Block::title("Findings")] };
    for group in found.chunk_by(|left, right| left.code == right.code && left.severity == right.severity) {
        let Some(first) = group.first() else { continue };
        let mark = Mark::of_severity(first.severity);
        match shared(group) {
            Some((head, tail)) => {
                let all = words(first);
                let begin = all.get(..head).unwrap_or_default();
                let end = all.get(all.len().saturating_sub(tail)..).unwrap_or_default();
                let between = |finding: &Finding| {
                    let words = words(finding);
                    words.get(head..words.len().saturating_sub(tail)).unwrap_or_default().join(" ")
                };
                // A comma behind what differs belongs to the sentence.
                let comma = group.iter().all(|finding| between(finding).ends_with(','));
                let frame = [begin, &[if comma { "…," } else { "…" }], end].concat().join(" ");
                blocks.push(Block::Line(mark, format!("{}, {} times: {frame}", first.code, group.len())));
                blocks.extend(group.iter().map(|finding| {
                    let own = between(finding);
                    let own = if comma { own.trim_end_matches(',') } else { &own };
                    Block::Detail(format!("{own}{}", place(finding, own)))
                }));
            }
            None if group.len() == 1 => {
                blocks.push(Block::Line(mark, format!("{}: {}{}", first.code, first.message, place(first, &first.message))));
            }
            None => {
                blocks.push(Block::Line(mark, format!("{}, {} times", first.code, group.len())));
                blocks.extend(group.iter().map(|finding| Block::Detail(format!("{}{}", finding.message, place(finding, &finding.message)))));
            }
        }
        if !first.help.is_empty() {
            blocks.push(Block::Detail(format!("→ {}", first.help)));
        }
    }
    blocks
}

/// Where a finding shows, behind a text that may name the file already.
fn place(finding: &Finding, said: &str) -> String {
    match finding.evidence.first() {
        None => String::new(),
        Some(place) if said.contains(&place.file) => match place.line {
            0 => String::new(),
            line if said.ends_with(&place.file) => format!(":{line}"),
            line => format!(" (line {line})"),
        },
        Some(place) if place.line == 0 => format!(" ({})", place.file),
        Some(place) => format!(" ({}:{})", place.file, place.line),
    }
}

fn words(finding: &Finding) -> Vec<&str> {
    finding.message.split(' ').collect()
}

/// With how many words all messages of a group begin and end, where that is worth saying once and each has something of its own between.
fn shared(group: &[&Finding]) -> Option<(usize, usize)> {
    let (first, rest) = group.split_first()?;
    let (own, others): (Vec<&str>, Vec<Vec<&str>>) = (words(first), rest.iter().map(|finding| words(finding)).collect());
    let room = others.iter().map(Vec::len).chain([own.len()]).min()?.checked_sub(1)?;
    let begins = |(at, word): &(usize, &&str)| others.iter().all(|other| other.get(*at) == Some(*word));
    let ends = |(back, word): &(usize, &&str)| others.iter().all(|other| other.iter().nth_back(*back) == Some(*word));
    let head = own.iter().enumerate().take_while(begins).count().min(room);
    let tail = own.iter().rev().enumerate().take_while(ends).count().min(room - head);
    (!rest.is_empty() && head + tail >= 3).then_some((head, tail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall::evidence::{Place, Severity};

    fn check(messages: &[(&str, &str, u32)], expect: &[&str]) {
        let finding = |(message, file, line): &(&str, &str, u32)| Finding {
            code: "latest_tag".to_owned(),
            severity: Severity::Warning,
            message: (*message).to_owned(),
            help: String::new(),
            evidence: vec![Place { file: (*file).to_owned(), line: *line, text: String::new() }],
            fix: None,
        };
        let said = findings(&messages.iter().map(finding).collect::<Vec<_>>()).into_iter().filter_map(|block| match block {
            Block::Line(_, text) | Block::Detail(text) => Some(text),
            _ => None,
        });
        assert_eq!(said.collect::<Vec<String>>(), expect);
    }

    #[test]
    fn what_findings_share_is_said_once() {
        check(&[("the image of web runs as root", "web/Dockerfile", 1)], &["latest_tag: the image of web runs as root (web/Dockerfile:1)"]);
        check(
            &[("the image of api runs as root", "api/Dockerfile", 3), ("the image of web runs as root", "web/Dockerfile", 0)],
            &["latest_tag, 2 times: the image of … runs as root", "api (api/Dockerfile:3)", "web (web/Dockerfile)"],
        );
        check(
            &[("a.md (key) shows the value of a secret", "a.md", 4), ("b.md (key) shows the value of a secret", "b.md", 9)],
            &["latest_tag, 2 times: … (key) shows the value of a secret", "a.md:4", "b.md:9"],
        );
        check(
            &[
                ("the Dockerfile copies api/x, which no clone has", "api/Dockerfile", 4),
                ("the Dockerfile copies web/y, which no clone has", "web/Dockerfile", 9),
            ],
            &["latest_tag, 2 times: the Dockerfile copies …, which no clone has", "api/x (api/Dockerfile:4)", "web/y (web/Dockerfile:9)"],
        );
        // Little or nothing in common is said as it is.
        check(&[("one thing", "a", 1), ("another thing", "b", 2)], &["latest_tag, 2 times", "one thing (a:1)", "another thing (b:2)"]);
    }
}
