//! Readiness, health, verdict, traceability and audit: folds over journals and the survey; every line names what was seen, and what was not run is never a tick.

mod readiness;
mod verdict;
mod trace;
mod audit;
mod page;
pub mod checklist;
pub mod prompt;
#[cfg(test)]
mod tests;

use crate::ask::ReportKind;
use crate::config::{Config, Folders};
use crate::evidence::{Check, Gate, GateName, Outcome, Verdict};
use crate::failure::{Code, Failure};
use crate::journal::{self, Event, Record, State};
use crate::names::{AppName, OperationId};
use crate::operation::{self, Request};
use crate::plan::Plan;
use crate::reply::{Healthy, With};
use crate::survey::Survey;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

pub use page::page;

/// The style of every page that Landfall makes.
pub const LOOK: &str = include_str!("report/look.css");

const GATES: [GateName; 4] = [GateName::Docker, GateName::Helm, GateName::Kubernetes, GateName::Validation];

/// One settled or running operation, read back.
#[derive(Clone, Debug)]
pub struct Story {
    pub request: Request,
    pub state: State,
    pub records: Vec<Record>,
    /// What was planned, where the operation had a plan.
    pub plan: Option<Plan>,
    /// Why its journal shows nothing: a line was changed, or its end is not the one that was kept elsewhere. `records` hold what is before the damage.
    pub damage: Option<Failure>,
}

impl Story {
    /// The newest event in which this check of this subject was judged.
    fn shown(&self, gate: &Gate, check: &str) -> Option<u64> {
        let judged = |record: &&Record| match &record.event {
            Event::GateJudged { gate: other } => other.gate == gate.gate && other.subject == gate.subject && other.checks.iter().any(|other| other.id == check),
            _ => false,
        };
        self.records.iter().rev().find(judged).map(|record| record.n)
    }

    /// Where an event of this operation can be read.
    fn evidence_uri(&self, n: u64) -> String {
        format!("landfall://operation/{}/evidence/{n}", self.request.id)
    }
}

/// What reports are made of.
#[derive(Debug)]
pub struct Material<'a> {
    pub app: &'a AppName,
    pub survey: &'a Survey,
    pub config: &'a Config,
    /// Newest first.
    pub stories: &'a [Story],
    /// What the cluster showed just now, or why nothing was seen.
    pub health: Option<&'a Result<With<Healthy>, Failure>>,
    /// Workspace, profile and namespace as arguments of the next calls.
    pub place: Map<String, Value>,
}

impl Material<'_> {
    /// A call that can be made as it stands.
    fn call(&self, tool: &'static str, more: Value, why: &str) -> Call {
        let mut arguments = self.place.clone();
        if let Value::Object(more) = more {
            arguments.extend(more);
        }
        Call { tool, arguments, why: why.to_owned() }
    }

    /// The newest plan, and whose it is.
    fn plan(&self) -> Option<(&Story, &Plan)> {
        self.stories.iter().find_map(|story| story.plan.as_ref().map(|plan| (story, plan)))
    }

    /// Operations whose journals show nothing.
    fn damaged(&self) -> impl Iterator<Item = (&Story, &Failure)> {
        self.stories.iter().filter_map(|story| story.damage.as_ref().map(|damage| (story, damage)))
    }
}

/// A call that makes sense after reading a report.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub tool: &'static str,
    pub arguments: Map<String, Value>,
    pub why: String,
}

/// A part of a report: as Markdown, and drawn where a page can show more than text. A part without Markdown is on pages only.
#[derive(Clone, Debug, Default)]
pub struct Part {
    pub markdown: String,
    pub html: Option<String>,
}

impl From<String> for Part {
    fn from(markdown: String) -> Self {
        Self { markdown, html: None }
    }
}

/// A report in every form.
#[derive(Clone, Debug)]
pub struct Told {
    pub title: String,
    pub summary: String,
    pub verdict: Option<Verdict>,
    pub parts: Vec<Part>,
    pub data: Value,
    pub artifacts: Vec<String>,
    pub not_run: Vec<String>,
    pub next: Vec<Call>,
}

impl Told {
    /// The report as Markdown, its next calls at the end.
    pub fn markdown(&self) -> String {
        let mut text: String = self.parts.iter().map(|part| part.markdown.as_str()).collect();
        if !self.next.is_empty() {
            text.push_str("\n## Next\n\n");
        }
        for call in &self.next {
            let _ = writeln!(text, "- {}: `{} {}`", call.why, call.tool, Value::Object(call.arguments.clone()));
        }
        text
    }

    /// The report as JSON, its next calls with it.
    pub fn json(&self) -> Value {
        let mut data = self.data.clone();
        if let Value::Object(data) = &mut data {
            let calls: Vec<_> = self.next.iter().map(|call| json!({ "tool": call.tool, "arguments": call.arguments, "why": call.why })).collect();
            data.insert("summary".into(), json!(self.summary));
            data.insert("next".into(), Value::Array(calls));
        }
        data
    }
}

/// The stories of a workspace, newest first; of one operation where it is named. A damaged journal is a story that says so.
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
        let mut reader = journal::Reader::new(&folders.operation(&id));
        let damage = reader.records().err();
        if let Some(other) = damage.as_ref().filter(|failure| failure.code != Code::JournalDamaged) {
            return Err(other.clone());
        }
        let records = reader.known().to_vec();
        let state = match reader.state().map(Arc::unwrap_or_clone) {
            Some(state) => state,
            None if damage.is_some() => State::initial(request.created_at),
            None => continue,
        };
        let damage = damage.or_else(|| unsealed(folders, &id, &records));
        let plan = operation::plan(folders, &id).ok();
        stories.push(Story { request, state, records, plan, damage });
    }
    Ok(stories)
}

/// The last hash of an ended journal lies in the user's state folder as well: one that was shortened or written anew does not match it.
fn unsealed(folders: &Folders, id: &OperationId, records: &[Record]) -> Option<Failure> {
    let kept = std::fs::read_to_string(folders.state.join("journals").join(id.as_str())).ok()?;
    let last = records.last().map_or("", |last| last.hash.as_str());
    (kept.trim() != last).then(|| {
        Failure::new(Code::JournalDamaged, format!("the journal of {id} does not end as it ended"))
            .cause("its last hash is not the one that was kept outside the workspace")
            .help("lines were cut off or written anew; cluster_health shows what is in the cluster")
    })
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
        ReportKind::Readiness => readiness::tell(material),
        ReportKind::Health => health(material),
        ReportKind::Verdict => verdict::tell(material),
        ReportKind::Traceability => trace::tell(material),
        ReportKind::Audit => audit::tell(material),
    }
}

/// The newest judgement of a gate over every subject, over all operations: what the app's present claim rests on. A look at what runs adds to
/// the deploy before it, check by check; a deploy replaces everything. What stands in a damaged journal is no evidence.
fn newest_gates<'a>(material: &'a Material<'_>, name: GateName) -> Vec<(&'a Story, Gate)> {
    let looks = |story: &Story| matches!(story.request.tool.as_str(), "validate_env" | "verify_mcp");
    // What newer operations have judged of a subject, and whether they judged all of it.
    let mut known: BTreeMap<String, (BTreeSet<String>, bool)> = BTreeMap::new();
    let mut gates = Vec::new();
    for story in material.stories.iter().filter(|story| story.damage.is_none()) {
        for (_, gate) in story.state.standing_gates().into_iter().rev().filter(|(_, gate)| gate.gate == name) {
            let (judged, whole) = known.entry(gate.subject.clone()).or_default();
            if *whole {
                continue;
            }
            *whole = !looks(story);
            let rest: Vec<Check> = gate.checks.iter().filter(|check| !judged.contains(&check.id)).cloned().collect();
            judged.extend(gate.checks.iter().map(|check| check.id.clone()));
            if rest.len() == gate.checks.len() {
                gates.push((story, gate));
            } else if rest.iter().any(|check| check.required || check.outcome != Outcome::NotRun) {
                gates.push((story, Gate::judge(gate.gate, gate.subject, rest)));
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
    let topology = page::topology_part(material);
    Told {
        title: format!("Cluster health of {}", material.app),
        summary,
        verdict,
        parts: vec![markdown.into(), topology],
        data,
        artifacts: Vec::new(),
        not_run,
        next: vec![material.call("cluster_health", Value::Null, "look again")],
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
        let _ = writeln!(text, "\nseen at {at:.0}");
    }
    text
}

fn artifacts(material: &Material<'_>) -> Vec<String> {
    let mut found = BTreeSet::new();
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
