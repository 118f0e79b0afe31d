//! The Phase IV Complete verdict: the four gates as they stand, what runs now, the checklist, and what was not run.

use super::{Call, GATES, Material, Part, Story, Told, artifacts, check_line, checklist, mark, newest_gates, one_line, page, verdict_mark};
use crate::evidence::{Check, Gate, GateName, Outcome, Verdict};
use crate::journal::{Event, StageName, verdict_word};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// A gate over every subject, as it stands.
struct Standing<'a> {
    name: GateName,
    verdict: Verdict,
    told: String,
    gates: Vec<(&'a Story, Gate)>,
}

pub(super) fn tell(material: &Material<'_>) -> Told {
    let app = material.app;
    let standing: Vec<_> = GATES.into_iter().map(|name| stand(material, name)).collect();
    let left_out: Vec<LeftOut<'_>> = standing.iter().flat_map(|gate| &gate.gates).flat_map(|(_, gate)| left_out(gate)).collect();
    let not_run: Vec<String> = left_out.iter().map(|(subject, check)| format!("{subject} {}: {}", check.id, check.reason)).collect();
    let running = match material.health {
        Some(Ok(health)) => (health.reply.verdict.unwrap_or(Verdict::Incomplete), health.reply.summary.clone()),
        Some(Err(failure)) => (Verdict::Incomplete, format!("not seen: {failure}")),
        None => (Verdict::Incomplete, "not looked at".to_owned()),
    };
    let sound = || material.stories.iter().filter(|story| story.damage.is_none());
    let verified = sound().find_map(|story| story.state.verified.as_ref().map(|verified| (story, verified)));
    let back = sound().find(|story| story.state.verdicts.contains(&(StageName::Rollback, Verdict::Pass)));
    let mut whole = standing.iter().map(|gate| gate.verdict).chain([running.0]).fold(Verdict::Pass, worse);
    if verified.is_none() || material.damaged().next().is_some() {
        whole = worse(whole, Verdict::Incomplete);
    }
    let headline = match (whole, not_run.is_empty()) {
        (Verdict::Pass, true) => "✅ Phase IV Complete: deployment SUCCESSFUL".to_owned(),
        (Verdict::Pass, false) => format!("✅ Phase IV Complete: deployment SUCCESSFUL, with ⚠️ {} checks not run", not_run.len()),
        (Verdict::Refused, _) => "❌ Phase IV is not complete: something that is required failed".to_owned(),
        (Verdict::Incomplete, _) => "⚠️ Phase IV is not complete: something that is required was not run".to_owned(),
    };

    let mut head = format!("# {headline}\n\napp {app}\n\n");
    for gate in &standing {
        let _ = writeln!(head, "- {} {} gate: {}", verdict_mark(gate.verdict), gate.name.as_str(), gate.told);
    }
    let _ = writeln!(head, "- {} running now: {}", verdict_mark(running.0), running.1);
    match verified {
        Some((story, (n, releases))) => {
            let told: Vec<_> = releases.iter().map(|view| format!("{} {}", view.release, view.helm_revision)).collect();
            let _ = writeln!(head, "- ✅ verified: app revision r{n} ({}) in {}", told.join(", "), story.request.id);
        }
        None => head.push_str("- ⚠️ verified: no app revision yet\n"),
    }
    match back {
        Some(story) => {
            let _ = writeln!(head, "- ✅ rollback: done and validated afterwards in {}", story.request.id);
        }
        None => head.push_str("- ⚠️ rollback: not tried on this app yet\n"),
    }
    let advice = advice(material);
    let _ = writeln!(head, "- · advisors: {advice}");
    for (story, failure) in material.damaged() {
        let _ = writeln!(head, "- ❌ the journal of {} shows nothing: {}", story.request.id, one_line(&failure.to_string()));
    }
    let mut rest = String::new();
    if !not_run.is_empty() {
        rest.push_str("\n**Not run, and why**\n");
        let reasons = by_reason(&left_out);
        for (subjects, check) in reasons.iter().take(12) {
            let _ = writeln!(rest, "- ⚠️ {}: {} ({})", check.id, one_line(&check.reason), subjects.join(", "));
        }
        if reasons.len() > 12 {
            let _ = writeln!(rest, "- ⚠️ and {} more", reasons.len() - 12);
        }
    }
    let artifacts = artifacts(material);
    if !artifacts.is_empty() {
        rest.push_str("\n**Artifacts**\n");
        for artifact in artifacts.iter().take(20) {
            let _ = writeln!(rest, "- {artifact}");
        }
        if artifacts.len() > 20 {
            let _ = writeln!(rest, "- and {} more", artifacts.len() - 20);
        }
    }
    let (list, rows) = checked_off(material);
    let mut parts = vec![head.into(), page::topology_part(material), page::timeline_part(material), rest.into(), list.into()];
    parts.extend(standing.iter().map(details));
    let decision = super::prompt::decision(material.stories);
    if let Some(decision) = &decision {
        parts.push(format!("\n## Decision\n\n{decision}\n").into());
    }
    Told {
        title: format!("Phase IV verdict of {app}"),
        summary: headline,
        verdict: Some(whole),
        data: json!({
            "app": app,
            "verdict": whole,
            "gates": standing.iter().map(|gate| json!({
                "gate": gate.name,
                "verdict": gate.verdict,
                "told": gate.told,
                "subjects": gate.gates.iter().map(|(story, gate)| json!({ "operation": story.request.id, "judged": gate, "evidence": places(story, gate) })).collect::<Vec<_>>(),
            })).collect::<Vec<_>>(),
            "running": { "verdict": running.0, "told": running.1 },
            "verified": verified.map(|(story, (n, releases))| json!({ "revision": n, "releases": releases, "operation": story.request.id })),
            "rollback_tried": back.is_some(),
            "advisors": advice,
            "damaged": material.damaged().map(|(story, failure)| json!({ "operation": story.request.id, "failure": failure })).collect::<Vec<_>>(),
            "checklist": rows,
            "not_run": not_run,
            "suggested_decision": decision,
        }),
        parts,
        artifacts,
        not_run,
        next: next(material, whole),
    }
}

/// Who was asked for advice and what came of it; a deployment that used none says so.
fn advice(material: &Material<'_>) -> String {
    let asked = material.stories.iter().filter(|story| story.damage.is_none()).flat_map(|story| {
        story.records.iter().filter_map(move |record| match &record.event {
            Event::Advised { advisor, outcome, .. } => Some(format!("{} in {}: {outcome}", advisor.as_str(), story.request.id)),
            _ => None,
        })
    });
    let asked: Vec<_> = asked.take(5).collect();
    if asked.is_empty() {
        "none was asked; every file and diagnosis is Landfall's own".to_owned()
    } else {
        format!("{}; what they propose is applied by nobody but you", asked.join("; "))
    }
}

/// The worse of two verdicts.
fn worse(one: Verdict, other: Verdict) -> Verdict {
    match (one, other) {
        (Verdict::Refused, _) | (_, Verdict::Refused) => Verdict::Refused,
        (Verdict::Incomplete, _) | (_, Verdict::Incomplete) => Verdict::Incomplete,
        (Verdict::Pass, Verdict::Pass) => Verdict::Pass,
    }
}

fn stand<'a>(material: &'a Material<'_>, name: GateName) -> Standing<'a> {
    let gates = newest_gates(material, name);
    if gates.is_empty() {
        return Standing { name, verdict: Verdict::Incomplete, told: "never run".to_owned(), gates };
    }
    let verdict = crate::evidence::overall(gates.iter().map(|(_, gate)| gate));
    let sum = |count: fn(&Gate) -> u32| gates.iter().map(|(_, gate)| count(gate)).sum::<u32>();
    let told =
        format!("{}: {} passed, {} failed, {} not run", verdict_word(verdict), sum(|gate| gate.passed), sum(|gate| gate.failed), sum(|gate| gate.not_run));
    Standing { name, verdict, told, gates }
}

/// A check that was not run, and whose.
type LeftOut<'a> = (&'a str, &'a Check);

fn left_out(gate: &Gate) -> impl Iterator<Item = LeftOut<'_>> {
    gate.checks.iter().filter(|check| check.outcome == Outcome::NotRun).map(|check| (gate.subject.as_str(), check))
}

/// What was not run for the same reason, once, with all of whom it was not.
fn by_reason<'a>(left_out: &[LeftOut<'a>]) -> Vec<(Vec<&'a str>, &'a Check)> {
    let mut reasons: Vec<(Vec<&str>, &Check)> = Vec::new();
    for &(subject, check) in left_out {
        match reasons.iter_mut().find(|(_, other)| other.id == check.id && other.reason == check.reason) {
            Some((subjects, _)) => subjects.push(subject),
            None => reasons.push((vec![subject], check)),
        }
    }
    reasons
}

/// The events in which a gate's checks were judged, newest last.
fn places(story: &Story, gate: &Gate) -> Vec<String> {
    let events: std::collections::BTreeSet<u64> = gate.checks.iter().filter_map(|check| story.shown(gate, &check.id)).collect();
    events.into_iter().map(|n| story.evidence_uri(n)).collect()
}

/// Every check of a gate with what shows it.
fn details(standing: &Standing<'_>) -> Part {
    let mut markdown = format!("\n## {} {}\n\n", verdict_mark(standing.verdict), standing.name.as_str());
    if standing.gates.is_empty() {
        markdown.push_str("⚠️ never run\n");
    }
    for (story, gate) in &standing.gates {
        let _ = writeln!(markdown, "**{}** ({}) evidence: {}", gate.subject, story.request.id, places(story, gate).join(" "));
        for check in &gate.checks {
            let _ = writeln!(markdown, "- {}", check_line(check));
        }
    }
    let gates: Vec<_> = standing.gates.iter().map(|(story, gate)| (story.request.id.as_str(), gate)).collect();
    Part { html: Some(page::gate(standing.name, standing.verdict, &gates)), markdown }
}

/// The rows of the plan's checklist that checks decide, by what the gates show.
fn checked_off(material: &Material<'_>) -> (String, Vec<Value>) {
    let judged: Vec<(&Story, Gate)> = GATES.into_iter().flat_map(|name| newest_gates(material, name)).collect();
    let mut rows = Vec::new();
    let mut open = String::new();
    let mut done = Vec::new();
    for row in checklist::ROWS {
        let checklist::Shown::Checks(ids) = row.shown else { continue };
        let seen: Vec<&Check> =
            judged.iter().flat_map(|(_, gate)| &gate.checks).filter(|check| ids.iter().any(|id| checklist::covers(id, &check.id))).collect();
        let count = |outcome| seen.iter().filter(|check| check.outcome == outcome).count();
        let (passed, failed) = (count(Outcome::Pass), count(Outcome::Fail));
        let outcome = match (failed, passed) {
            (0, 0) => Outcome::NotRun,
            (0, _) => Outcome::Pass,
            (_, _) => Outcome::Fail,
        };
        match outcome {
            Outcome::Pass => done.push(row.id),
            Outcome::Fail | Outcome::NotRun => {
                let why = seen
                    .iter()
                    .find(|check| check.outcome == outcome)
                    .map_or_else(|| format!("not judged yet: {}", asks(ids)), |check| one_line(&check.reason));
                let _ = writeln!(open, "- {} {} {} — `{}`: {why}", mark(outcome), row.id, row.what, ids.join("`, `"));
            }
        }
        rows.push(json!({ "row": row.id, "what": row.what, "checks": ids, "outcome": outcome, "passed": passed, "failed": failed, "not_run": count(Outcome::NotRun) }));
    }
    let mut text = format!("\n## Checklist\n\n✅ seen passing: {}\n", if done.is_empty() { "nothing".to_owned() } else { done.join(" ") });
    text.push_str(&open);
    (text, rows)
}

/// What the checks of a row ask.
fn asks(ids: &[&str]) -> String {
    let asked = checklist::CHECKS.iter().filter(|(id, _)| ids.contains(id));
    asked.map(|(_, what)| *what).collect::<Vec<_>>().join("; ")
}

fn next(material: &Material<'_>, whole: Verdict) -> Vec<Call> {
    match whole {
        Verdict::Pass => vec![
            material.call("validate_env", json!({ "when": "after" }), "ask the app again"),
            material.call("deployment_report", json!({ "kind": "traceability" }), "see which requirements have evidence"),
        ],
        Verdict::Refused => vec![
            material.call("cluster_health", Value::Null, "see what is wrong now"),
            material.call("rollback", json!({ "to": "last_verified" }), "go back to what was verified; it asks for approval"),
        ],
        Verdict::Incomplete => vec![material.call("deploy", json!({ "through": "validate" }), "run what is missing; it asks for approval")],
    }
}
