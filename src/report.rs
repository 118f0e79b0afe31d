//! Readiness, health, verdict, traceability and audit: folds over journals and the survey; every line names what was seen, and what was not run is never a tick.

use crate::ask::ReportKind;
use crate::config::Folders;
use crate::evidence::{Check, GateName, Outcome, Verdict};
use crate::failure::Failure;
use crate::journal::{self, Event, Record, StageName, State};
use crate::names::{AppName, OperationId};
use crate::operation::{self, Request};
use crate::reply::{Healthy, OperationState, With};
use crate::survey::Survey;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The style of every page that Landfall makes.
pub const LOOK: &str = include_str!("report/look.css");

/// One settled or running operation, read back.
#[derive(Clone, Debug)]
pub struct Story {
    pub request: Request,
    pub state: State,
    pub records: Vec<Record>,
}

/// What reports are made of.
#[derive(Debug)]
pub struct Material<'a> {
    pub app: &'a AppName,
    pub survey: &'a Survey,
    /// Newest first.
    pub stories: &'a [Story],
    /// What the cluster showed just now, or why nothing was seen.
    pub health: Option<&'a Result<With<Healthy>, Failure>>,
}

/// A report in every form.
#[derive(Clone, Debug)]
pub struct Told {
    pub title: String,
    pub summary: String,
    pub verdict: Option<Verdict>,
    pub markdown: String,
    pub data: Value,
    pub artifacts: Vec<String>,
    pub not_run: Vec<String>,
    /// tool, why
    pub next: Vec<(String, String)>,
}

/// The stories of a workspace, newest first; of one operation where it is named.
pub fn stories(folders: &Folders, only: Option<&OperationId>) -> Result<Vec<Story>, Failure> {
    let ids = match only {
        Some(id) => vec![id.clone()],
        None => operation::list(folders),
    };
    let mut stories = Vec::new();
    for id in ids {
        let request = match operation::request(folders, &id) {
            Ok(request) => request,
            Err(failure) if only.is_some() => return Err(failure),
            Err(_) => continue,
        };
        let records = journal::read(&folders.operation(&id))?;
        if let Some(state) = State::of(&records) {
            stories.push(Story { request, state, records });
        }
    }
    Ok(stories)
}

/// The kind's name in files.
pub fn kind_word(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Readiness => "readiness",
        ReportKind::Health => "health",
        ReportKind::Verdict => "verdict",
        ReportKind::Traceability => "traceability",
        ReportKind::Audit => "audit",
    }
}

/// Tells the report.
pub fn tell(kind: ReportKind, material: &Material<'_>) -> Told {
    match kind {
        ReportKind::Readiness => readiness(material),
        ReportKind::Health => health(material),
        ReportKind::Verdict => verdict(material),
        ReportKind::Traceability => traceability(material),
        ReportKind::Audit => audit(material),
    }
}

/// The newest judgement of a gate over every subject, over all operations: what the app's present claim rests on.
fn newest_gates<'a>(material: &'a Material<'_>, name: GateName) -> Vec<(&'a Story, crate::evidence::Gate)> {
    let mut seen = std::collections::BTreeSet::new();
    let mut gates = Vec::new();
    for story in material.stories {
        for (_, gate) in story.state.standing_gates().into_iter().rev().filter(|(_, gate)| gate.gate == name) {
            if seen.insert(gate.subject.clone()) {
                gates.push((story, gate));
            }
        }
    }
    gates.sort_by(|one, other| one.1.subject.cmp(&other.1.subject));
    gates
}

fn mark(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "✅",
        Outcome::Fail => "❌",
        Outcome::NotRun => "⚠️",
    }
}

fn verdict_mark(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Refused => "❌",
        Verdict::Incomplete => "⚠️",
    }
}

fn check_line(check: &Check) -> String {
    let told = match check.outcome {
        Outcome::Pass => check.evidence.first().map(|evidence| format!("{}: {}", evidence.at, one_line(&evidence.text))).unwrap_or_default(),
        Outcome::Fail => check.reason.clone(),
        Outcome::NotRun => format!("not run: {}", check.reason),
    };
    let optional = if check.required { "" } else { " (not required)" };
    format!("{} `{}`{optional} {} — {}", mark(check.outcome), check.id, check.probed, one_line(&told))
}

fn one_line(text: &str) -> String {
    crate::secret::plain(&text.split_whitespace().collect::<Vec<_>>().join(" "), 160)
}

/// Before any step: what must be there, and is or is not.
fn readiness(material: &Material<'_>) -> Told {
    let survey = material.survey;
    let blockers: Vec<_> = survey.findings.iter().filter(|finding| finding.severity == crate::evidence::Severity::Blocker).collect();
    let last = |stage: StageName| {
        material.stories.iter().find_map(|story| story.state.verdicts.iter().rev().find(|(name, _)| *name == stage).map(|(_, verdict)| (story, *verdict)))
    };
    let verified = material.stories.iter().find_map(|story| story.state.verified.as_ref().map(|verified| (story, verified.0)));
    let mut rows: Vec<(bool, String)> = Vec::new();
    rows.push((
        !survey.services.is_empty(),
        format!("services found: {}", survey.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ")),
    ));
    rows.push((
        blockers.is_empty(),
        if blockers.is_empty() {
            "no blocker in the survey".into()
        } else {
            format!("blockers: {}", blockers.iter().map(|finding| finding.code.as_str()).collect::<Vec<_>>().join(", "))
        },
    ));
    for stage in [StageName::Containerize, StageName::Chart, StageName::Deploy, StageName::Validate] {
        rows.push(match last(stage) {
            Some((story, verdict)) => {
                (verdict == Verdict::Pass, format!("previous {}: {} in {}", stage.as_str(), journal::verdict_word(verdict), story.request.id))
            }
            None => (false, format!("previous {}: never run", stage.as_str())),
        });
    }
    rows.push(match verified {
        Some((story, n)) => (true, format!("way back: app revision r{n}, verified in {}", story.request.id)),
        None => (false, "way back: none verified yet; a first install is uninstalled again".into()),
    });
    let health = survey.services.iter().filter(|service| service.health.is_some()).count();
    rows.push((health == survey.services.len(), format!("health routes known for {health} of {} services", survey.services.len())));
    rows.push((survey.specs.constitution.is_some(), format!("constitution: {}", survey.specs.constitution.as_deref().unwrap_or("none found"))));
    rows.push((!survey.specs.features.is_empty(), format!("specs: {} features", survey.specs.features.len())));
    let mut markdown = format!("# Deployment readiness: {}\n\n", material.app);
    for (good, row) in &rows {
        let _ = writeln!(markdown, "- {} {row}", if *good { "✅" } else { "⚠️" });
    }
    markdown.push_str(
        "\nLocal readiness says that the app runs on this Minikube. It says nothing about load, backups, real certificates or a production cluster.\n",
    );
    let open = rows.iter().filter(|(good, _)| !good).count();
    Told {
        title: format!("Deployment readiness of {}", material.app),
        summary: format!("{} of {} points are ready", rows.len() - open, rows.len()),
        verdict: None,
        data: json!({ "app": material.app, "rows": rows.iter().map(|(good, row)| json!({ "ready": good, "what": row })).collect::<Vec<_>>() }),
        markdown,
        artifacts: artifacts(material),
        not_run: Vec::new(),
        next: vec![("plan_deployment".into(), "see what a deployment would do".into())],
    }
}

fn health(material: &Material<'_>) -> Told {
    let mut markdown = format!("# Cluster health: {}\n\n", material.app);
    let (summary, verdict, data) = match material.health {
        Some(Ok(health)) => {
            markdown.push_str(&health_section(health));
            (health.reply.summary.clone(), health.reply.verdict, serde_json::to_value(health).unwrap_or_default())
        }
        Some(Err(failure)) => {
            let _ = writeln!(markdown, "⚠️ not seen: {failure}\n\nNext: {}", failure.help);
            (format!("not seen: {failure}"), Some(Verdict::Incomplete), json!({ "failure": failure }))
        }
        None => ("not looked at".to_owned(), Some(Verdict::Incomplete), Value::Null),
    };
    let not_run = if verdict == Some(Verdict::Incomplete) { vec![summary.clone()] } else { Vec::new() };
    Told {
        title: format!("Cluster health of {}", material.app),
        summary,
        verdict,
        markdown,
        data,
        artifacts: Vec::new(),
        not_run,
        next: vec![("cluster_health".into(), "look again".into())],
    }
}

fn health_section(health: &With<Healthy>) -> String {
    let mut text = String::new();
    if let Some(target) = &health.reply.target {
        let _ = writeln!(text, "namespace {}", target.namespace.as_deref().unwrap_or("?"));
    }
    if let Some(counts) = &health.more.counts {
        let line = |name: &str, count: crate::reply::OutOf| {
            format!("- {} {name}: {}/{}\n", if count.ready == count.total && count.total > 0 { "✅" } else { "❌" }, count.ready, count.total)
        };
        text.push_str(&line("deployments ready", counts.deployments));
        text.push_str(&line("pods running", counts.pods));
        text.push_str(&line("services with endpoints", counts.services));
    }
    for object in &health.more.objects {
        let _ = writeln!(text, "- ❌ {}: {}", object.object, one_line(&object.state));
    }
    let _ = writeln!(text, "- recent warnings: {}", health.more.warnings.len());
    for warning in health.more.warnings.iter().take(5) {
        let _ = writeln!(text, "  - {}: {}", warning.at, one_line(&warning.text));
    }
    for diagnosis in &health.reply.diagnoses {
        let _ = writeln!(text, "- ❌ {} {}: {}", diagnosis.code, diagnosis.subject, diagnosis.cause);
    }
    if let Some(at) = health.reply.seen_at {
        let _ = writeln!(text, "\nseen at {at}");
    }
    text
}

/// The Phase IV Complete verdict: the four gates as they stand, what runs now, and what was not run.
fn verdict(material: &Material<'_>) -> Told {
    let app = material.app;
    let mut rows = Vec::new();
    let mut not_run = Vec::new();
    let mut details = String::new();
    for name in [GateName::Docker, GateName::Helm, GateName::Kubernetes, GateName::Validation] {
        let gates = newest_gates(material, name);
        let verdict = crate::evidence::overall(gates.iter().map(|(_, gate)| gate));
        let word = if gates.is_empty() { "never run".to_owned() } else { journal::verdict_word(verdict).to_owned() };
        let (verdict, counts) = if gates.is_empty() {
            (Verdict::Incomplete, String::new())
        } else {
            let sum = |count: fn(&crate::evidence::Gate) -> u32| gates.iter().map(|(_, gate)| count(gate)).sum::<u32>();
            (verdict, format!(": {} passed, {} failed, {} not run", sum(|gate| gate.passed), sum(|gate| gate.failed), sum(|gate| gate.not_run)))
        };
        let _ = writeln!(details, "\n## {} {}\n", verdict_mark(verdict), name.as_str());
        for (story, gate) in &gates {
            let _ = writeln!(details, "**{}** ({})", gate.subject, story.request.id);
            for check in &gate.checks {
                let _ = writeln!(details, "- {}", check_line(check));
                if check.outcome == Outcome::NotRun {
                    not_run.push(format!("{} {}: {}", gate.subject, check.id, check.reason));
                }
            }
        }
        rows.push((name, verdict, word, counts));
    }
    let verified = material.stories.iter().find_map(|story| story.state.verified.as_ref().map(|verified| (story, verified)));
    let running = match material.health {
        Some(Ok(health)) => (health.reply.verdict.unwrap_or(Verdict::Incomplete), health.reply.summary.clone()),
        Some(Err(failure)) => (Verdict::Incomplete, format!("not seen: {failure}")),
        None => (Verdict::Incomplete, "not looked at".to_owned()),
    };
    let rolled_back =
        material.stories.iter().any(|story| story.state.verdicts.iter().any(|(stage, verdict)| *stage == StageName::Rollback && *verdict == Verdict::Pass));
    let all = rows.iter().map(|row| row.1).chain(std::iter::once(running.0));
    let worst = all.fold(Verdict::Pass, |worst, next| match (worst, next) {
        (Verdict::Refused, _) | (_, Verdict::Refused) => Verdict::Refused,
        (Verdict::Incomplete, _) | (_, Verdict::Incomplete) => Verdict::Incomplete,
        (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
    });
    let whole = if verified.is_none() && worst == Verdict::Pass { Verdict::Incomplete } else { worst };
    let headline = match (whole, not_run.is_empty()) {
        (Verdict::Pass, true) => "✅ Phase IV Complete: deployment SUCCESSFUL".to_owned(),
        (Verdict::Pass, false) => format!("✅ Phase IV Complete: deployment SUCCESSFUL, with ⚠️ {} checks not run", not_run.len()),
        (Verdict::Refused, _) => "❌ Phase IV is not complete: something that is required failed".to_owned(),
        (Verdict::Incomplete, _) => "⚠️ Phase IV is not complete: something that is required was not run".to_owned(),
    };
    let mut markdown = format!("# {headline}\n\napp {app}\n\n");
    for (name, verdict, word, counts) in &rows {
        let _ = writeln!(markdown, "- {} {} gate: {word}{counts}", verdict_mark(*verdict), name.as_str());
    }
    let _ = writeln!(markdown, "- {} running now: {}", verdict_mark(running.0), running.1);
    match verified {
        Some((story, (n, releases))) => {
            let told: Vec<_> = releases.iter().map(|view| format!("{} {}", view.release, view.helm_revision)).collect();
            let _ = writeln!(markdown, "- ✅ verified: app revision r{n} ({}) in {}", told.join(", "), story.request.id);
        }
        None => markdown.push_str("- ⚠️ verified: no app revision yet\n"),
    }
    let _ = writeln!(
        markdown,
        "- {} rollback: {}",
        if rolled_back { "✅" } else { "⚠️" },
        if rolled_back { "done and validated afterwards" } else { "not tried on this app yet" }
    );
    if !not_run.is_empty() {
        markdown.push_str("\n**Not run, and why**\n");
        for line in not_run.iter().take(12) {
            let _ = writeln!(markdown, "- ⚠️ {}", one_line(line));
        }
    }
    let artifacts = artifacts(material);
    if !artifacts.is_empty() {
        markdown.push_str("\n**Artifacts**\n");
        for artifact in artifacts.iter().take(20) {
            let _ = writeln!(markdown, "- {artifact}");
        }
    }
    markdown.push_str(&details);
    let next = match whole {
        Verdict::Pass => vec![("validate_env".into(), "ask the app again".into())],
        Verdict::Refused => vec![("cluster_health".into(), "see what is wrong now".into())],
        Verdict::Incomplete => vec![("deploy".into(), "run what is missing".into())],
    };
    Told {
        title: format!("Phase IV verdict of {app}"),
        summary: headline,
        verdict: Some(whole),
        data: json!({
            "app": app,
            "verdict": whole,
            "gates": rows.iter().map(|(name, verdict, word, _)| json!({ "gate": name, "verdict": verdict, "told": word })).collect::<Vec<_>>(),
            "running": { "verdict": running.0, "told": running.1 },
            "verified": verified.map(|(story, (n, releases))| json!({ "revision": n, "releases": releases, "operation": story.request.id })),
            "rollback_tried": rolled_back,
            "not_run": not_run,
        }),
        markdown,
        artifacts,
        not_run,
        next,
    }
}

fn artifacts(material: &Material<'_>) -> Vec<String> {
    let mut found = std::collections::BTreeSet::new();
    for story in material.stories {
        for effect in &story.state.effects {
            let landed = matches!(effect.state, crate::journal::EffectState::Done { .. });
            if let (true, Some(kind)) = (landed, effect.key.split_once('/')) {
                match kind.0 {
                    "file" => found.insert(kind.1.to_owned()),
                    "image" | "helm" => found.insert(format!("{} {}", kind.0, kind.1)),
                    _ => false,
                };
            }
        }
    }
    found.into_iter().collect()
}

/// requirement → check → evidence; what has no check says so, and ticked tasks are compared with what was seen.
fn traceability(material: &Material<'_>) -> Told {
    let outcome = |id: &str| {
        let mut seen: Vec<(&Story, crate::evidence::Gate, Check)> = Vec::new();
        for name in [GateName::Docker, GateName::Helm, GateName::Kubernetes, GateName::Validation] {
            for (story, gate) in newest_gates(material, name) {
                let checks = gate.checks.iter().filter(|check| check.id == id || check.id.starts_with(&format!("{id}_")));
                seen.extend(checks.map(|check| (story, gate.clone(), check.clone())));
            }
        }
        seen
    };
    let mut markdown = format!("# Traceability: {}\n", material.app);
    let (mut proven, mut failed, mut open, mut unchecked) = (0, 0, 0, 0);
    let mut rows = Vec::new();
    for feature in &material.survey.specs.features {
        let _ = writeln!(markdown, "\n## {} ({})\n", feature.title, feature.dir);
        for requirement in &feature.requirements {
            let (symbol, told) = match &requirement.checkable {
                None => {
                    unchecked += 1;
                    ("·", "no check of ours can show this".to_owned())
                }
                Some(id) => {
                    let seen = outcome(id);
                    let bad = seen.iter().find(|(_, _, check)| check.outcome == Outcome::Fail);
                    let good = seen.iter().any(|(_, _, check)| check.outcome == Outcome::Pass);
                    match (bad, good) {
                        (Some((story, gate, check)), _) => {
                            failed += 1;
                            ("❌", format!("`{id}` failed for {}: {} ({})", gate.subject, one_line(&check.reason), story.request.id))
                        }
                        (None, true) => {
                            proven += 1;
                            let told: Vec<_> =
                                seen.iter().filter(|(_, _, check)| check.outcome == Outcome::Pass).map(|(_, gate, _)| gate.subject.clone()).collect();
                            (
                                "✅",
                                format!(
                                    "`{id}` passed for {} ({})",
                                    told.join(", "),
                                    seen.first().map(|(story, _, _)| story.request.id.to_string()).unwrap_or_default()
                                ),
                            )
                        }
                        (None, false) => {
                            open += 1;
                            ("⚠️", format!("`{id}` was not run"))
                        }
                    }
                }
            };
            let ticked = match (requirement.ticked, symbol) {
                (Some(true), "❌") => " — ticked, but false",
                (Some(false), "✅") => " — done, but not ticked",
                (Some(_) | None, _) => "",
            };
            let _ = writeln!(
                markdown,
                "- {symbol} **{}** {} — {told}{ticked} ({}:{})",
                requirement.id,
                one_line(&requirement.text),
                requirement.evidence.file,
                requirement.evidence.line
            );
            rows.push(json!({ "id": requirement.id, "check": requirement.checkable, "told": told, "at": requirement.evidence }));
        }
    }
    let summary = format!("{proven} requirements proven, {failed} failed, {open} not run, {unchecked} without a check");
    let _ = write!(markdown, "\n{summary}\n");
    Told {
        title: format!("Traceability of {}", material.app),
        summary,
        verdict: None,
        data: json!({ "app": material.app, "requirements": rows }),
        markdown,
        artifacts: Vec::new(),
        not_run: Vec::new(),
        next: vec![("validate_env".into(), "run the checks again".into())],
    }
}

/// Every mutation, who approved it, before and after.
fn audit(material: &Material<'_>) -> Told {
    let mut markdown = format!("# Audit: {}\n", material.app);
    let mut rows = Vec::new();
    for story in material.stories {
        let approved = story.state.approved_by.as_deref().unwrap_or("no approval was needed");
        let _ = writeln!(
            markdown,
            "\n## {} {} — {}\n\nplan {}, approved by: {approved}\n",
            story.request.tool,
            story.request.id,
            journal::state_word(story.state.operation),
            story.request.plan.as_deref().unwrap_or("none").chars().take(12).collect::<String>()
        );
        for record in &story.records {
            if matches!(
                record.event,
                Event::EffectIntended { .. }
                    | Event::EffectDone { .. }
                    | Event::EffectFailed { .. }
                    | Event::UndoDone { .. }
                    | Event::UndoFailed { .. }
                    | Event::RevisionVerified { .. }
                    | Event::OperationEnded { .. }
            ) {
                let _ = writeln!(markdown, "- {} {}", record.at, one_line(&record.sentence()));
                rows.push(json!({ "operation": story.request.id, "approved_by": approved, "record": record }));
            }
        }
    }
    let settled = material.stories.iter().filter(|story| story.state.operation != OperationState::Running).count();
    Told {
        title: format!("Audit of {}", material.app),
        summary: format!("{} operations, {settled} settled, {} records; each journal's hash chain holds", material.stories.len(), rows.len()),
        verdict: None,
        data: json!({ "app": material.app, "records": rows }),
        markdown,
        artifacts: Vec::new(),
        not_run: Vec::new(),
        next: vec![("deployment_report".into(), "the verdict".into())],
    }
}

/// The report as a page that needs nothing from outside.
pub fn page(told: &Told) -> String {
    let mut body = String::new();
    let mut list = false;
    for line in told.markdown.lines() {
        let item = line.trim_start().strip_prefix("- ");
        if list && item.is_none() {
            body.push_str("</ul>\n");
            list = false;
        }
        let (tag, text) = match (item, line) {
            (Some(item), _) => {
                if !list {
                    body.push_str("<ul>\n");
                    list = true;
                }
                ("li", item)
            }
            (None, line) if line.starts_with("## ") => ("h2", line.trim_start_matches('#').trim()),
            (None, line) if line.starts_with("# ") => ("h1", line.trim_start_matches('#').trim()),
            (None, line) if line.trim().is_empty() => continue,
            (None, line) => ("p", line),
        };
        let _ = writeln!(body, "<{tag}>{}</{tag}>", inline(text));
    }
    if list {
        body.push_str("</ul>\n");
    }
    include_str!("report/page.html").replace("{look}", LOOK).replace("{title}", &escape(&told.title)).replace("{body}", &body)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `code` and **bold**, after everything else was escaped.
fn inline(text: &str) -> String {
    let mut out = String::new();
    let mut code = false;
    for (index, part) in escape(text).split('`').enumerate() {
        if index > 0 {
            out.push_str(if code { "</code>" } else { "<code>" });
            code = !code;
        }
        let mut bold = false;
        for (index, part) in part.split("**").enumerate() {
            if index > 0 {
                out.push_str(if bold { "</b>" } else { "<b>" });
                bold = !bold;
            }
            out.push_str(part);
        }
        if bold {
            out.push_str("</b>");
        }
    }
    if code {
        out.push_str("</code>");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_escapes_what_it_shows() {
        let told = Told {
            title: "<x>".into(),
            summary: String::new(),
            verdict: None,
            markdown: "# a <script>\n\n- `b<c>` **d**\n".into(),
            data: Value::Null,
            artifacts: vec![],
            not_run: vec![],
            next: vec![],
        };
        let page = page(&told);
        assert!(page.contains("<h1>a &lt;script&gt;</h1>") && page.contains("<li><code>b&lt;c&gt;</code> <b>d</b></li>"), "{page}");
        assert!(!page.contains("http://") && !page.contains("https://"), "a page asks for nothing from outside");
    }
}
