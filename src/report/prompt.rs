//! Prompt history records and suggested decision records, as the workspace's own layout has them: facts of the journal in the form of the template, nothing claimed.

use super::Story;
use crate::blueprint::{Expose, Role};
use crate::evidence::{Time, Verdict};
use crate::journal::{EffectState, State, state_word, verdict_word};
use crate::names::OperationId;
use crate::operation::Request;
use crate::plan::Plan;
use crate::reply::OperationState;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Where records lie, below the workspace.
const RECORDS: &str = "history/prompts";
/// The repository's own templates, the first that is there.
const TEMPLATES: [&str; 2] = [".specify/templates/phr-template.prompt.md", "templates/phr-template.prompt.md"];
const OWN: &str = include_str!("prompt-record.md");
/// What no journal tells.
const UNKNOWN: &str = "not recorded";

static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#""?\{\{\s*([A-Za-z0-9_]+)\s*\}\}"?"#).ok());

/// How an operation ended, told before its last event is written.
#[derive(Clone, Copy, Debug)]
pub struct Ending<'a> {
    pub state: OperationState,
    pub summary: &'a str,
    pub at: Time,
}

/// A record to be written: its path below the workspace, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub path: String,
    pub text: String,
}

/// The record of an operation; none where the workspace keeps no such records or the operation changed nothing.
/// A workspace keeps them where `history/prompts/` is there, or the template for them is. An operation has one record: the same path is answered again.
pub fn record(workspace: &Path, request: &Request, state: &State, ending: Ending<'_>) -> Option<Written> {
    if !(workspace.join(RECORDS).is_dir() || TEMPLATES.iter().any(|path| workspace.join(path).is_file())) || !significant(request, state) {
        return None;
    }
    let place = Place::of(workspace, ending.state);
    let title = title(request, ending.state);
    let path = known(workspace, &request.id).unwrap_or_else(|| place.next(workspace, &title));
    let number = path.rsplit('/').next().and_then(|name| name.split('-').next()).unwrap_or_default().to_owned();
    let facts = facts(workspace, request, state, ending, &place, &number, &title);
    let theirs = TEMPLATES.iter().find_map(|path| std::fs::read_to_string(workspace.join(path)).ok());
    let text = theirs.map(|template| fill(&template, &facts)).filter(|text| whole(text, &request.id)).unwrap_or_else(|| fill(OWN, &facts));
    Some(Written { path, text })
}

/// Files, images or releases were changed, or at least tried.
fn significant(request: &Request, state: &State) -> bool {
    let changes = matches!(request.tool.as_str(), "containerize" | "generate_chart" | "deploy" | "rollback");
    changes && (!state.undone.is_empty() || state.effects.iter().any(|effect| !effect.key.starts_with("record/")))
}

/// The record that an earlier attempt of the operation wrote.
fn known(workspace: &Path, id: &OperationId) -> Option<String> {
    let folders = std::fs::read_dir(workspace.join(RECORDS)).ok()?.filter_map(Result::ok).filter(|entry| entry.path().is_dir());
    let files = folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().filter_map(Result::ok);
    let mut found = files.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(".prompt.md"));
    let path = found.find(|path| std::fs::read_to_string(path).is_ok_and(|text| text.contains(id.as_str())))?;
    path.strip_prefix(workspace).ok().map(|path| path.to_string_lossy().into_owned())
}

/// The folder, the stage and the feature of a record.
struct Place {
    feature: Option<String>,
    stage: &'static str,
    branch: Option<String>,
}

impl Place {
    /// A feature's own folder where one is active; what was refused or failed is `red`, what succeeded `green`.
    fn of(workspace: &Path, state: OperationState) -> Self {
        let branch = branch(workspace);
        let feature = active(workspace, std::env::var("SPECIFY_FEATURE").ok().as_deref(), branch.as_deref());
        let stage = match (&feature, state) {
            (None, _) => "general",
            (Some(_), OperationState::Succeeded) => "green",
            (Some(_), _) => "red",
        };
        Self { feature, stage, branch }
    }

    /// The path of a new record: the next free number of its folder.
    fn next(&self, workspace: &Path, title: &str) -> String {
        let folder = format!("{RECORDS}/{}", self.feature.as_deref().unwrap_or("general"));
        let names = std::fs::read_dir(workspace.join(&folder)).into_iter().flatten().filter_map(Result::ok);
        let number = |name: String| name.ends_with(".prompt.md").then(|| name.split('-').next().and_then(|digits| digits.parse::<u32>().ok())).flatten();
        let last = names.filter_map(|entry| number(entry.file_name().to_string_lossy().into_owned())).max().unwrap_or(0);
        format!("{folder}/{:04}-{}.{}.prompt.md", last + 1, slug(title), self.stage)
    }
}

/// The branch that is checked out; none outside git or on no branch.
fn branch(workspace: &Path) -> Option<String> {
    let head = std::fs::read_to_string(workspace.join(".git/HEAD")).ok()?;
    head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned)
}

/// The active feature: the named one, `.specify/feature.json`, the branch's own or the one with its number, else the highest number.
fn active(workspace: &Path, named: Option<&str>, branch: Option<&str>) -> Option<String> {
    let entries = std::fs::read_dir(workspace.join("specs")).into_iter().flatten().filter_map(Result::ok);
    let folders: BTreeSet<String> = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let number = |name: &str| name.split('-').next().filter(|digits| digits.len() >= 3).and_then(|digits| digits.parse::<u32>().ok());
    let exact = |name: &str| folders.get(name).cloned();
    let told = std::fs::read_to_string(workspace.join(".specify/feature.json")).ok().and_then(|text| {
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(value.get("feature_directory")?.as_str()?.rsplit('/').next()?.to_owned())
    });
    named
        .and_then(exact)
        .or_else(|| told.as_deref().and_then(exact))
        .or_else(|| {
            branch.and_then(|branch| {
                exact(branch).or_else(|| folders.iter().find(|folder| number(folder).is_some() && number(folder) == number(branch)).cloned())
            })
        })
        .or_else(|| folders.iter().filter(|folder| number(folder).is_some()).max_by_key(|folder| number(folder)).cloned())
}

fn title(request: &Request, state: OperationState) -> String {
    let tool = request.tool.replace('_', " ");
    format!("{tool} {} {}", request.app, state_word(state).replace('_', " "))
}

/// Lower case, everything else one dash.
fn slug(text: &str) -> String {
    let dashed: String = text.to_lowercase().chars().map(|letter| if letter.is_ascii_lowercase() || letter.is_ascii_digit() { letter } else { '-' }).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// What the template asks for. A value of several lines is in its final form; others are one line.
fn facts(workspace: &Path, request: &Request, state: &State, ending: Ending<'_>, place: &Place, number: &str, title: &str) -> BTreeMap<&'static str, String> {
    let mut arguments = request.ask.clone();
    arguments.remove("workspace");
    let call = format!("{} {}", request.tool, serde_json::Value::Object(arguments));
    let gates: Vec<_> = state.standing_gates().into_iter().map(|(_, gate)| gate).collect();
    let landed = state.effects.iter().filter(|effect| matches!(effect.state, EffectState::Done { .. }));
    let files: BTreeSet<&str> = landed.filter_map(|effect| effect.key.strip_prefix("file/")).collect();
    let list = |items: &[String]| match items {
        [] => " - none".to_owned(),
        some => some.iter().map(|item| format!(" - {}", quoted(item))).collect::<Vec<_>>().join("\n"),
    };
    let or_none = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join("; ") };
    let judged: Vec<String> = gates
        .iter()
        .map(|gate| format!("{} gate of {}: {} passed, {} failed, {} not run", gate.gate.as_str(), gate.subject, gate.passed, gate.failed, gate.not_run))
        .collect();
    let graded = gates.iter().map(|gate| {
        let word = match gate.verdict {
            Verdict::Pass => "PASS",
            Verdict::Refused => "FAIL",
            Verdict::Incomplete => "INCOMPLETE",
        };
        format!("{} {} {word}", gate.gate.as_str(), gate.subject)
    });
    let stages = state.verdicts.iter().map(|(stage, verdict)| format!("{} {}", stage.as_str(), verdict_word(*verdict)));
    let spec = place.feature.as_ref().map(|feature| format!("specs/{feature}/spec.md")).filter(|path| workspace.join(path).is_file());
    let paths: Vec<String> = files.iter().map(|path| (*path).to_owned()).collect();
    let next = match ending.state {
        OperationState::Succeeded => "deployment_report {\"kind\": \"verdict\"}",
        _ => "cluster_health {}",
    };
    let mut facts = BTreeMap::from([
        ("ID", number.to_owned()),
        ("TITLE", title.to_owned()),
        ("STAGE", place.stage.to_owned()),
        ("DATE_ISO", ending.at.to_string().chars().take(10).collect()),
        ("SURFACE", "agent".to_owned()),
        ("MODEL", "none".to_owned()),
        ("FEATURE", place.feature.clone().unwrap_or_else(|| "none".to_owned())),
        ("BRANCH", place.branch.clone().unwrap_or_else(|| "none".to_owned())),
        ("USER", request.approved_by.clone().unwrap_or_else(|| "no approval was needed".to_owned())),
        ("COMMAND", request.tool.clone()),
        ("LABELS", [request.tool.as_str(), request.app.as_str(), request.id.as_str()].map(quoted).join(", ")),
        ("LINKS_SPEC", spec.unwrap_or_else(|| "null".to_owned())),
        ("LINKS_TICKET", "null".to_owned()),
        ("LINKS_ADR", "null".to_owned()),
        ("LINKS_PR", "null".to_owned()),
        ("FILES_YAML", list(&paths)),
        ("TESTS_YAML", list(&judged)),
        ("PROMPT_TEXT", format!("The operation {} was asked for with:\n\n    {call}", request.id)),
        ("RESPONSE_TEXT", format!("{}\n\nStages: {}. Journal: landfall://operation/{}/journal", ending.summary, or_none(stages.collect()), request.id)),
        ("OUTCOME_IMPACT", ending.summary.to_owned()),
        ("TESTS_SUMMARY", or_none(judged.clone())),
        ("FILES_SUMMARY", or_none(paths.clone())),
        ("NEXT_PROMPTS", next.to_owned()),
        ("FAILURE_MODES", or_none(state.diagnoses.iter().map(|diagnosis| format!("{} {}: {}", diagnosis.code, diagnosis.subject, diagnosis.cause)).collect())),
        ("GRADER_RESULTS", or_none(graded.collect())),
        ("PROMPT_VARIANT_ID", "none".to_owned()),
        ("REFLECTION_NOTE", UNKNOWN.to_owned()),
        ("NEXT_EXPERIMENT", UNKNOWN.to_owned()),
    ]);
    for value in facts.values_mut() {
        *value = crate::secret::redact(value);
    }
    facts
}

fn quoted(text: &str) -> String {
    serde_json::Value::String(text.to_owned()).to_string()
}

/// The template with its placeholders filled, LF alone; in its front matter every single value is quoted.
fn fill(template: &str, facts: &BTreeMap<&'static str, String>) -> String {
    const AS_IT_IS: [&str; 3] = ["LABELS", "FILES_YAML", "TESTS_YAML"];
    let template = template.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let Some(shape) = PLACEHOLDER.as_ref() else { return template };
    let front = if template.starts_with("---\n") { template.get(4..).and_then(|rest| rest.find("\n---")).map_or(0, |end| end + 4) } else { 0 };
    let (head, body) = template.split_at(front);
    let value = |found: &regex::Captures<'_>| {
        let name = found.get(1).map(|name| name.as_str().to_uppercase()).unwrap_or_default();
        let name = if name == "DATE" { "DATE_ISO".to_owned() } else { name };
        facts.get(name.as_str()).cloned().map_or((name.clone(), UNKNOWN.to_owned()), |value| (name, value))
    };
    let head = shape.replace_all(head, |found: &regex::Captures<'_>| {
        let (name, value) = value(found);
        if AS_IT_IS.contains(&name.as_str()) { value } else { quoted(&value) }
    });
    let body = shape.replace_all(body, |found: &regex::Captures<'_>| {
        let whole = found.get(0).map(|whole| whole.as_str()).unwrap_or_default();
        let (_, value) = value(found);
        // Quotes around a placeholder in running text are the template's own.
        format!("{}{value}{}", if whole.starts_with('"') { "\"" } else { "" }, if whole.ends_with('"') { "\"" } else { "" })
    });
    format!("{head}{body}")
}

/// True where nothing is left to fill, the front matter can be read and the operation is named.
fn whole(text: &str, id: &OperationId) -> bool {
    let front = text.strip_prefix("---\n").and_then(|rest| rest.split("\n---").next());
    let readable =
        front.is_some_and(|front| serde_saphyr::from_str::<BTreeMap<String, serde_json::Value>>(front).is_ok_and(|fields| fields.contains_key("id")));
    readable && !text.contains("{{") && text.contains(id.as_str())
}

/// The decisions of a plan that last: what keeps data, and what is reached from outside. Each has another way it could be.
fn decisions(plan: &Plan) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for workload in &plan.blueprint.workloads {
        if let Role::Backing { kind } = &workload.role {
            found.insert(format!("{kind} inside the cluster"));
        }
        match workload.expose {
            Expose::Cluster => {}
            Expose::Ingress => drop(found.insert(format!("{} behind an Ingress", workload.name))),
            Expose::NodePort => drop(found.insert(format!("{} on a node port", workload.name))),
        }
    }
    found
}

/// A decision record that a person may want: the newest plan decides what no earlier verified one did, with impact (it was carried out),
/// alternatives (each decision has another way) and scope (several services). Never written by Landfall. None where a record names it already.
pub fn decision(stories: &[Story]) -> Option<String> {
    let (newest, plan) = stories.iter().filter(|story| story.damage.is_none()).find_map(|story| story.plan.as_ref().map(|plan| (story, plan)))?;
    if newest.state.verified.is_none() || plan.blueprint.workloads.len() < 2 {
        return None;
    }
    let earlier = stories.iter().filter(|story| story.request.id != newest.request.id && story.state.verified.is_some() && story.damage.is_none());
    let before: BTreeSet<String> = earlier.filter_map(|story| story.plan.as_ref()).flat_map(decisions).collect();
    let fresh: Vec<String> = decisions(plan).difference(&before).cloned().collect();
    let title = fresh.join(", ");
    if fresh.is_empty() || recorded(&newest.request.workspace, &title) {
        return None;
    }
    Some(format!("📋 Architectural decision detected: {title} — Document reasoning and tradeoffs? Run `/sp.adr {title}`"))
}

/// True where `history/adr/` has a record of this title.
fn recorded(workspace: &Path, title: &str) -> bool {
    let folder: PathBuf = workspace.join("history/adr");
    let ending = format!("-{}.md", slug(title));
    std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).any(|entry| entry.file_name().to_string_lossy().ends_with(&ending))
}
