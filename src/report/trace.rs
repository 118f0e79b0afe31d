//! Requirement → artifact → resource → check → evidence: what each spec asks for and what was seen of it; nothing is claimed where no check of ours can show it.

use super::{GATES, Material, Part, Story, Told, checklist, mark, newest_gates, one_line, page};
use crate::evidence::{Check, Gate, GateName, Outcome, Source};
use crate::policy::principles;
use crate::survey::{Feature, Requirement};
use regex::Regex;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::LazyLock;

/// How a requirement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Standing {
    Proven,
    Failed,
    /// Its check was not run, or not on every service.
    Open,
    /// No check of ours can show it.
    Unchecked,
    /// landfall.toml names a check that does not exist.
    NoSuchCheck,
}

/// A check of one subject that bears on a requirement.
#[derive(Debug)]
struct Seen<'a> {
    story: &'a Story,
    gate: &'a Gate,
    check: &'a Check,
    short: Option<Short>,
}

/// A requirement with all that was seen of it.
#[derive(Debug)]
struct Link<'a> {
    feature: &'a Feature,
    requirement: &'a Requirement,
    check: Option<String>,
    /// True where a person named the check in landfall.toml.
    named: bool,
    standing: Standing,
    seen: Vec<Seen<'a>>,
    /// Services whose gate was never judged.
    missing: Vec<String>,
    /// Checks of it that were judged nowhere.
    unseen: Vec<String>,
}

pub(super) fn tell(material: &Material<'_>) -> Told {
    let judged: Vec<(&Story, Gate)> = GATES.into_iter().flat_map(|name| newest_gates(material, name)).collect();
    let links: Vec<Link<'_>> = material
        .survey
        .specs
        .features
        .iter()
        .flat_map(|feature| feature.requirements.iter().map(move |requirement| (feature, requirement)))
        .map(|(feature, requirement)| link(material, &judged, feature, requirement))
        .collect();
    let count = |standing| links.iter().filter(|link| link.standing == standing).count();
    let summary = format!(
        "{} requirements proven, {} failed, {} not run, {} without a check",
        count(Standing::Proven),
        count(Standing::Failed),
        count(Standing::Open),
        count(Standing::Unchecked) + count(Standing::NoSuchCheck)
    );
    let (law, law_rows) = constitution(material, &judged);
    let gaps = Gaps::of(material, &judged, &links);
    let mut parts: Vec<Part> = vec![format!("# Traceability: {}\n\n{summary}\n", material.app).into(), gaps.markdown().into()];
    for feature in &material.survey.specs.features {
        parts.push(part(material, feature, links.iter().filter(|link| std::ptr::eq(link.feature, feature))));
    }
    parts.push(law.into());
    Told {
        title: format!("Traceability of {}", material.app),
        summary,
        verdict: None,
        data: json!({
            "app": material.app,
            "requirements": links.iter().map(|link| told(material, link)).collect::<Vec<_>>(),
            "without_check": gaps.without_check,
            "without_requirement": gaps.without_requirement,
            "ticked_but_false": gaps.ticked_but_false,
            "done_but_unticked": gaps.done_but_unticked,
            "named_in_no_spec": gaps.named_in_no_spec,
            "constitution": law_rows,
        }),
        parts,
        artifacts: Vec::new(),
        not_run: links.iter().filter(|link| link.standing == Standing::Open).map(|link| format!("{}: {}", name(link), sentence(link))).collect(),
        next: vec![material.call("validate_env", json!({ "when": "after" }), "run the checks again")],
    }
}

/// The check of a requirement: a person's word in landfall.toml, else what its text says.
fn check_of<'a>(material: &'a Material<'_>, feature: &Feature, requirement: &'a Requirement) -> (Option<&'a str>, bool) {
    let folder = feature.dir.rsplit('/').next().unwrap_or(&feature.dir);
    let named = material.config.requirements.get(&format!("{folder}/{}", requirement.id)).or_else(|| material.config.requirements.get(&requirement.id));
    match named {
        Some(check) => (Some(check.as_str()), true),
        None => (requirement.checkable.as_deref(), false),
    }
}

fn link<'a>(material: &'a Material<'_>, judged: &'a [(&'a Story, Gate)], feature: &'a Feature, requirement: &'a Requirement) -> Link<'a> {
    let (check, named) = check_of(material, feature, requirement);
    let mut link = Link {
        feature,
        requirement,
        check: check.map(str::to_owned),
        named,
        standing: Standing::Unchecked,
        seen: Vec::new(),
        missing: Vec::new(),
        unseen: Vec::new(),
    };
    let Some(ids) = check else { return link };
    let smoke = |id: &str| id.strip_prefix("validation.smoke.").is_some_and(|name| material.config.smoke.iter().any(|smoke| smoke.name == name));
    let services = services_of(material, requirement);
    let mine = |subject: &str| services.as_ref().is_none_or(|services| services.contains(&subject));
    for id in ids.split(',').map(str::trim) {
        let Some(gate) = checklist::gate_of(id).filter(|_| smoke(id) || checklist::known(id)) else {
            link.standing = Standing::NoSuchCheck;
            return link;
        };
        let before = link.seen.len();
        for (story, gate) in judged.iter().filter(|(_, gate)| mine(&gate.subject)) {
            let checks = gate.checks.iter().filter(|check| checklist::covers(id, &check.id));
            link.seen.extend(checks.map(|check| Seen { story, gate, check, short: short_of(gate, check, &requirement.text) }));
        }
        let judged_here = |name: &str| judged.iter().any(|(_, other)| other.gate == gate && other.subject == name);
        let all = material.survey.services.iter().map(|service| service.name.as_str());
        link.missing.extend(all.filter(|name| mine(name) && !judged_here(name)).map(str::to_owned));
        if link.seen.len() == before {
            link.unseen.push(id.to_owned());
        }
    }
    link.missing.sort();
    link.missing.dedup();
    let some = |outcome, required: bool| link.seen.iter().any(|seen| seen.check.outcome == outcome && (!required || seen.check.required));
    let short = |wanted: &dyn Fn(&Short) -> bool| link.seen.iter().filter_map(|seen| seen.short.as_ref()).any(wanted);
    link.standing = if some(Outcome::Fail, false) || short(&|short| matches!(short, Short::Misses(_))) {
        Standing::Failed
    } else if some(Outcome::Pass, false)
        && !some(Outcome::NotRun, true)
        && link.missing.is_empty()
        && link.unseen.is_empty()
        && !short(&|short| matches!(short, Short::Unknown(_)))
    {
        Standing::Proven
    } else {
        Standing::Open
    };
    link
}

/// A number that a requirement asks for and a passed check does not show: it is missed, or was not measured.
#[derive(Debug)]
enum Short {
    Misses(String),
    Unknown(String),
}

static MEGABYTES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"(?i)\b([0-9]+(?:\.[0-9]+)?)\s*(MB|GB)\b").ok());
static WITHIN: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\b(?:within|in under|in less than|less than|under)\s+([0-9]+)\s*(s|seconds?|min|minutes?)\b").ok());

static EXACTLY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?i)\bexactly (?:the |these )?(one|two|three|four|five|six|seven|eight|nine|ten|[0-9]+) (?:mcp )?tools?\b").ok());

/// What evidence says of a pod's first readiness.
static READY: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\bready ([0-9]+) (s) after (?:its|their) start\b").ok());

/// Compares the number in a requirement with what was measured: an image's size, the time from a pod's start to its readiness.
fn short_of(gate: &Gate, check: &Check, text: &str) -> Option<Short> {
    if check.outcome != Outcome::Pass {
        return None;
    }
    let (asked, seen, unit) = match check.id.as_str() {
        "validation.mcp_tools" => return miscounted(gate, check, text),
        "docker.size" => {
            let asked = number(MEGABYTES.as_ref()?, text, &[("gb", 1_000.0)])?;
            let seen = check.evidence.first().and_then(|evidence| number(MEGABYTES.as_ref()?, &evidence.text, &[("gb", 1_000.0)]));
            (asked, seen, "MB")
        }
        "kubernetes.pods_ready" => {
            let of_each = check.evidence.iter().map(|evidence| number(READY.as_ref()?, &evidence.text, &[]));
            let seen = of_each.collect::<Option<Vec<f64>>>().and_then(|all| all.into_iter().reduce(f64::max));
            (number(WITHIN.as_ref()?, text, &[("m", 60.0)])?, seen, "s")
        }
        _ => return None,
    };
    match seen {
        Some(seen) if seen <= asked => None,
        Some(seen) => Some(Short::Misses(format!("{} of {}: {seen:.0} {unit} instead of {asked:.0} {unit}", check.id, gate.subject))),
        None => Some(Short::Unknown(format!("{} of {}: {asked:.0} {unit} are asked for, and none were measured", check.id, gate.subject))),
    }
}

/// Compares the number of tools in a requirement (`exactly the five tools`) with those that the server lists, as evidence names them.
fn miscounted(gate: &Gate, check: &Check, text: &str) -> Option<Short> {
    const WORDS: [&str; 10] = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let said = EXACTLY.as_ref()?.captures(text)?.get(1)?.as_str().to_lowercase();
    let asked = WORDS.iter().position(|word| *word == said).map(|place| place + 1).or_else(|| said.parse().ok())?;
    let listed = check.evidence.first().map(|seen| seen.text.as_str()).filter(|text| !text.is_empty() && !text.ends_with('…'));
    match listed.map(|text| text.split(", ").count()) {
        Some(seen) if seen == asked => None,
        Some(seen) => Some(Short::Misses(format!("{} of {}: {seen} tools instead of {asked}", check.id, gate.subject))),
        None => Some(Short::Unknown(format!("{} of {}: {asked} tools are asked for, and it was not seen how many there are", check.id, gate.subject))),
    }
}

/// The first number of a text in the smallest unit; a unit that begins with one of these counts so much more.
fn number(shape: &Regex, text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let found = shape.captures(text)?;
    let unit = found.get(2)?.as_str().to_lowercase();
    let times = units.iter().find(|(name, _)| unit.starts_with(name)).map_or(1.0, |(_, times)| *times);
    Some(found.get(1)?.as_str().parse::<f64>().ok()? * times)
}

/// The services that a task names, where it names one or more; a requirement speaks of all.
fn services_of<'a>(material: &'a Material<'_>, requirement: &Requirement) -> Option<Vec<&'a str>> {
    if requirement.kind != "task" {
        return None;
    }
    let words: BTreeSet<&str> = requirement.text.split(|letter: char| !(letter.is_alphanumeric() || letter == '-' || letter == '_')).collect();
    let named: Vec<&str> = material
        .survey
        .services
        .iter()
        .filter(|service| words.contains(service.name.as_str()) || (service.dir != "." && requirement.text.contains(&format!("{}/", service.dir))))
        .map(|service| service.name.as_str())
        .collect();
    (!named.is_empty()).then_some(named)
}

fn name(link: &Link<'_>) -> String {
    format!("{}/{}", link.feature.dir.rsplit('/').next().unwrap_or(&link.feature.dir), link.requirement.id)
}

/// What was seen of a requirement, in one line.
fn sentence(link: &Link<'_>) -> String {
    let id = link.check.as_deref().unwrap_or_default();
    match link.standing {
        Standing::Unchecked => "no check of ours can show this".to_owned(),
        Standing::NoSuchCheck => format!("landfall.toml names `{id}`, and there is no such check"),
        Standing::Failed => match link.seen.iter().find(|seen| seen.check.outcome == Outcome::Fail) {
            Some(bad) => format!("`{}` failed for {}: {} ({})", bad.check.id, bad.gate.subject, one_line(&bad.check.reason), bad.story.request.id),
            None => shorts(link).join("; "),
        },
        Standing::Proven => {
            let good: BTreeSet<_> = link.seen.iter().filter(|seen| seen.check.outcome == Outcome::Pass).map(|seen| seen.gate.subject.as_str()).collect();
            let good: Vec<_> = good.into_iter().collect();
            format!("`{id}` passed for {} ({})", good.join(", "), operations(link))
        }
        Standing::Open => {
            let open = link.seen.iter().find(|seen| seen.check.outcome == Outcome::NotRun);
            match (open, link.missing.as_slice()) {
                (_, _) if !shorts(link).is_empty() => shorts(link).join("; "),
                (Some(open), _) => format!("`{}` was not run for {}: {}", open.check.id, open.gate.subject, one_line(&open.check.reason)),
                (None, []) => format!("`{}` was not run", if link.unseen.is_empty() { id.to_owned() } else { link.unseen.join(", ") }),
                (None, missing) => format!("`{id}` was not run for {}", missing.join(", ")),
            }
        }
    }
}

/// Numbers that were missed or not measured.
fn shorts(link: &Link<'_>) -> Vec<String> {
    let told = link.seen.iter().filter_map(|seen| seen.short.as_ref());
    told.map(|short| match short {
        Short::Misses(text) | Short::Unknown(text) => text.clone(),
    })
    .collect()
}

fn operations(link: &Link<'_>) -> String {
    let ids: BTreeSet<&str> = link.seen.iter().map(|seen| seen.story.request.id.as_str()).collect();
    ids.into_iter().collect::<Vec<_>>().join(", ")
}

/// A tick that says other than what was seen.
fn contradiction(link: &Link<'_>) -> &'static str {
    match (link.requirement.ticked, link.standing) {
        (Some(true), Standing::Failed) => " — ticked, but false",
        (Some(false), Standing::Proven) => " — done, but not ticked",
        (_, _) => "",
    }
}

fn symbol(standing: Standing) -> &'static str {
    match standing {
        Standing::Proven => "✅",
        Standing::Failed => "❌",
        Standing::Open | Standing::NoSuchCheck => "⚠️",
        Standing::Unchecked => "·",
    }
}

/// What the check looked at was made from: an image or a chart.
fn artifact(material: &Material<'_>, seen: &Seen<'_>) -> String {
    let subject = seen.gate.subject.as_str();
    let plan = seen.story.plan.as_ref().or_else(|| material.plan().map(|(_, plan)| plan));
    let chart = format!("deploy/charts/{subject}");
    match (seen.gate.gate, plan) {
        (GateName::Docker, Some(plan)) => {
            let image = plan.images.iter().find(|(name, _)| name.as_str() == subject).map(|(_, step)| format!("image {}", step.reference));
            image.unwrap_or_else(|| format!("image of {subject}"))
        }
        (GateName::Docker, None) => format!("image of {subject}"),
        (GateName::Helm | GateName::Kubernetes | GateName::Validation, Some(plan)) if plan.files.keys().any(|path| path.starts_with(&format!("{chart}/"))) => {
            chart
        }
        (GateName::Helm | GateName::Kubernetes | GateName::Validation, _) => format!("release {subject}"),
    }
}

/// The object in the cluster that the artifact became, as the kubernetes gate saw it.
fn resource(material: &Material<'_>, subject: &str) -> Option<String> {
    let gates = newest_gates(material, GateName::Kubernetes);
    let (_, gate) = gates.iter().find(|(_, gate)| gate.subject == subject)?;
    let objects = gate.checks.iter().flat_map(|check| &check.evidence).filter(|evidence| evidence.source == Source::Object);
    objects.filter_map(|evidence| evidence.at.split(' ').next()).find(|at| at.contains('/')).map(str::to_owned)
}

fn uri(seen: &Seen<'_>) -> Option<String> {
    seen.story.shown(seen.gate, &seen.check.id).map(|n| seen.story.evidence_uri(n))
}

fn told(material: &Material<'_>, link: &Link<'_>) -> Value {
    let chain = |seen: &Seen<'_>| {
        json!({
            "artifact": artifact(material, seen),
            "resource": resource(material, &seen.gate.subject),
            "check": seen.check.id,
            "outcome": seen.check.outcome,
            "reason": seen.check.reason,
            "evidence": seen.check.evidence,
            "shown_by": uri(seen),
        })
    };
    json!({
        "feature": link.feature.dir,
        "id": link.requirement.id,
        "kind": link.requirement.kind,
        "text": link.requirement.text,
        "at": link.requirement.evidence,
        "check": link.check,
        "named_by": link.check.as_ref().map(|_| if link.named { "landfall.toml" } else { "its words" }),
        "standing": link.standing,
        "told": sentence(link),
        "ticked": link.requirement.ticked,
        "chain": link.seen.iter().map(chain).collect::<Vec<_>>(),
        "not_judged_for": link.missing,
    })
}

fn part<'a>(material: &Material<'_>, feature: &Feature, links: impl Iterator<Item = &'a Link<'a>>) -> Part {
    let mut markdown = format!("\n## {} ({})\n\n", feature.title, feature.dir);
    let mut rows = Vec::new();
    let mut unchecked = Vec::new();
    for link in links {
        let requirement = link.requirement;
        let place = format!("{}:{}", requirement.evidence.file, requirement.evidence.line);
        if link.standing == Standing::Unchecked {
            unchecked.push(requirement.id.clone());
        } else {
            let shown = link.seen.iter().find_map(uri).map(|uri| format!(", {uri}")).unwrap_or_default();
            let _ = writeln!(
                markdown,
                "- {} **{}** {} — {}{} ({place}{shown})",
                symbol(link.standing),
                requirement.id,
                one_line(&requirement.text),
                sentence(link),
                contradiction(link)
            );
        }
        let made: BTreeSet<String> = link.seen.iter().map(|seen| artifact(material, seen)).collect();
        let became: BTreeSet<String> = link.seen.iter().filter_map(|seen| resource(material, &seen.gate.subject)).collect();
        let lines = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(", ");
        rows.push([
            format!("{} {}", symbol(link.standing), requirement.id),
            format!("{} ({place})", requirement.text),
            lines(made),
            lines(became),
            link.check.clone().unwrap_or_default(),
            format!("{}{}{}", sentence(link), contradiction(link), link.seen.iter().find_map(uri).map(|uri| format!(" `{uri}`")).unwrap_or_default()),
        ]);
    }
    if !unchecked.is_empty() {
        let _ = writeln!(markdown, "- · no check of ours can show: {}", unchecked.join(", "));
    }
    let head = format!("## {} ({})", feature.title, feature.dir);
    Part { html: Some(page::table(&head, ["", "requirement", "artifact", "resource", "check", "evidence"], &rows)), markdown }
}

/// What does not meet: each a list of names.
#[derive(Debug, Default)]
struct Gaps {
    without_check: Vec<String>,
    without_requirement: Vec<String>,
    ticked_but_false: Vec<String>,
    done_but_unticked: Vec<String>,
    named_in_no_spec: Vec<String>,
}

impl Gaps {
    fn of(material: &Material<'_>, judged: &[(&Story, Gate)], links: &[Link<'_>]) -> Self {
        let names = |wanted: &dyn Fn(&Link<'_>) -> bool| links.iter().filter(|link| wanted(link)).map(name).collect::<Vec<_>>();
        let ran: BTreeSet<&str> = judged.iter().flat_map(|(_, gate)| &gate.checks).map(|check| check.id.as_str()).collect();
        let asked =
            |id: &str| links.iter().filter_map(|link| link.check.as_deref()).any(|checks| checks.split(',').any(|check| checklist::covers(check.trim(), id)));
        let in_a_spec = |key: &str| links.iter().any(|link| key == link.requirement.id || key == name(link));
        Self {
            without_check: names(&|link| link.requirement.kind != "task" && matches!(link.standing, Standing::Unchecked | Standing::NoSuchCheck)),
            without_requirement: ran.into_iter().filter(|id| !asked(id)).map(str::to_owned).collect(),
            ticked_but_false: names(&|link| link.requirement.ticked == Some(true) && link.standing == Standing::Failed),
            done_but_unticked: names(&|link| link.requirement.ticked == Some(false) && link.standing == Standing::Proven),
            named_in_no_spec: material.config.requirements.keys().filter(|key| !in_a_spec(key)).cloned().collect(),
        }
    }

    fn markdown(&self) -> String {
        let lines = [
            ("❌", "tasks ticked, but false", &self.ticked_but_false),
            ("⚠️", "tasks done, but not ticked", &self.done_but_unticked),
            ("⚠️", "named in landfall.toml, in no spec", &self.named_in_no_spec),
            ("·", "requirements without a check", &self.without_check),
            ("·", "checks without a requirement", &self.without_requirement),
        ];
        let mut text = String::from("\n");
        for (symbol, what, names) in lines.into_iter().filter(|(_, _, names)| !names.is_empty()) {
            let _ = writeln!(text, "- {symbol} {what}: {}", names.join(", "));
        }
        text
    }
}

/// Each principle: what keeps it and what was seen, or that it is for people.
fn constitution(material: &Material<'_>, judged: &[(&Story, Gate)]) -> (String, Vec<Value>) {
    let specs = &material.survey.specs;
    let Some(path) = &specs.constitution else { return ("\n## Constitution\n\nnone found\n".to_owned(), Vec::new()) };
    let mut text = format!("\n## Constitution ({path})\n\n");
    let mut rows = Vec::new();
    let mut people = Vec::new();
    for principle in &specs.principles {
        let kept = principles::kept(&principle.title, &principle.text);
        if kept.is_empty() {
            people.push(principle.title.clone());
            rows.push(json!({ "principle": principle.title, "at": principle.evidence, "kept_by": "people" }));
        }
        for (rule, sentence) in kept {
            let id = format!("helm.constitution.{}", rule.rule);
            let seen: Vec<_> =
                judged.iter().flat_map(|(_, gate)| gate.checks.iter().map(move |check| (gate, check))).filter(|(_, check)| check.id == id).collect();
            let bad = seen.iter().find(|(_, check)| check.outcome == Outcome::Fail);
            let (outcome, told) = match (bad, seen.iter().any(|(_, check)| check.outcome == Outcome::Pass)) {
                (Some((gate, check)), _) => (Outcome::Fail, format!("broken in {}: {}", gate.subject, one_line(&check.reason))),
                (None, true) => (Outcome::Pass, format!("kept in {}", seen.iter().map(|(gate, _)| gate.subject.as_str()).collect::<Vec<_>>().join(", "))),
                (None, false) => (Outcome::NotRun, "not run".to_owned()),
            };
            let _ = writeln!(text, "- {} **{}** “{}” — `{id}`: {told}", mark(outcome), principle.title, one_line(&sentence));
            rows.push(json!({ "principle": principle.title, "at": principle.evidence, "sentence": sentence, "kept_by": id, "outcome": outcome, "told": told }));
        }
    }
    if !people.is_empty() {
        let _ = writeln!(text, "- · for people: {}", people.join(" · "));
    }
    (text, rows)
}
