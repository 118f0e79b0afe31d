//! The audit trail: every mutation with who approved it, its plan's digest, what was there before and after, and whether its journal's chain of hashes holds.

use super::{Material, Part, Story, Told, one_line, page};
use crate::evidence::Verdict;
use crate::journal::{Event, Record, state_word};
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// One thing that was changed, or tried.
#[derive(Debug, Serialize)]
struct Mutation<'a> {
    operation: &'a str,
    tool: &'a str,
    approved_by: &'a str,
    /// Digest of the plan that was approved; absent for what needs none.
    plan: Option<&'a str>,
    stage: Option<&'static str>,
    subject: Option<&'a str>,
    what: &'a str,
    before: &'a Value,
    /// What is there since; absent where it failed or its end is not known.
    after: Option<&'a Value>,
    /// `done`, `failed`, `taken back`, `could not be taken back`, `end not known`.
    outcome: &'static str,
    why: Option<String>,
    /// What was said when it was taken back.
    undone: Option<&'a str>,
    intended_at: String,
    ended_at: Option<String>,
    /// Numbers of the journal's lines: its intention and its end.
    events: Vec<u64>,
    /// The hash of the line of its intention.
    hash: &'a str,
}

pub(super) fn tell(material: &Material<'_>) -> Told {
    let mut parts: Vec<Part> = vec![format!("# Audit: {}\n", material.app).into()];
    let mut rows = Vec::new();
    let mut chains = Vec::new();
    let mut count = 0;
    for story in material.stories {
        let mutations = mutations(story);
        count += mutations.len();
        parts.push(part(story, &mutations));
        chains.push(json!({
            "operation": story.request.id,
            "tool": story.request.tool,
            "state": state_word(story.state.operation),
            "approved_by": approved(story),
            "plan": story.request.plan,
            "records": story.records.len(),
            "last_hash": story.records.last().map(|last| &last.hash),
            "holds": story.damage.is_none(),
            "damage": story.damage,
        }));
        rows.extend(mutations.iter().filter_map(|mutation| serde_json::to_value(mutation).ok()));
    }
    let broken = material.damaged().count();
    let chain = match broken {
        0 => "every journal's chain of hashes holds".to_owned(),
        n => format!("❌ {n} journals were changed by hand"),
    };
    Told {
        title: format!("Audit of {}", material.app),
        summary: format!("{} operations, {count} mutations; {chain}", material.stories.len()),
        verdict: (broken > 0).then_some(Verdict::Refused),
        data: json!({ "app": material.app, "format": 1, "operations": chains, "mutations": rows }),
        parts,
        artifacts: Vec::new(),
        not_run: Vec::new(),
        next: vec![
            material.call("deployment_report", json!({ "kind": "audit", "format": "json" }), "export the trail"),
            material.call("deployment_report", json!({ "kind": "verdict" }), "the verdict"),
        ],
    }
}

fn approved(story: &Story) -> &str {
    story.state.approved_by.as_deref().unwrap_or("no approval was needed")
}

/// Every intention of the journal with its end, in the order of the journal.
fn mutations(story: &Story) -> Vec<Mutation<'_>> {
    let mut found: Vec<(&str, Mutation<'_>)> = Vec::new();
    for record in &story.records {
        match &record.event {
            Event::EffectIntended { key, effect, before, .. } => found.push((key, intended(story, record, effect, before))),
            Event::EffectDone { key, after } => end(&mut found, key, record, "done", |mutation| mutation.after = Some(after)),
            Event::EffectFailed { key, failure } => end(&mut found, key, record, "failed", |mutation| mutation.why = Some(failure.to_string())),
            Event::UndoDone { key, note } => end(&mut found, key, record, "taken back", |mutation| mutation.undone = Some(note)),
            Event::UndoFailed { key, failure } => {
                end(&mut found, key, record, "could not be taken back", |mutation| mutation.why = Some(failure.to_string()));
            }
            _ => {}
        }
    }
    found.into_iter().map(|(_, mutation)| mutation).collect()
}

fn intended<'a>(story: &'a Story, record: &'a Record, effect: &'a str, before: &'a Value) -> Mutation<'a> {
    Mutation {
        operation: story.request.id.as_str(),
        tool: &story.request.tool,
        approved_by: approved(story),
        plan: story.request.plan.as_deref(),
        stage: record.stage.map(crate::journal::StageName::as_str),
        subject: record.subject.as_deref(),
        what: effect,
        before,
        after: None,
        outcome: "end not known",
        why: None,
        undone: None,
        intended_at: record.at.to_string(),
        ended_at: None,
        events: vec![record.n],
        hash: &record.hash,
    }
}

fn end<'a>(found: &mut [(&'a str, Mutation<'a>)], key: &str, record: &Record, outcome: &'static str, note: impl FnOnce(&mut Mutation<'a>)) {
    if let Some((_, mutation)) = found.iter_mut().rev().find(|(known, _)| *known == key) {
        mutation.outcome = outcome;
        mutation.ended_at = Some(record.at.to_string());
        mutation.events.push(record.n);
        note(mutation);
    }
}

fn part(story: &Story, mutations: &[Mutation<'_>]) -> Part {
    let plan = story.request.plan.as_deref().unwrap_or("none").chars().take(12).collect::<String>();
    let mut markdown = format!(
        "\n## {} {} — {}\n\nplan {plan}, approved by: {}; landfall://operation/{}/journal, {} lines, {}\n\n",
        story.request.tool,
        story.request.id,
        state_word(story.state.operation),
        approved(story),
        story.request.id,
        story.records.len(),
        match &story.damage {
            None => format!("chain holds, last hash {}", story.records.last().map_or("none", |last| short(&last.hash))),
            Some(failure) => format!("❌ {}", one_line(&failure.to_string())),
        }
    );
    if mutations.is_empty() {
        markdown.push_str("- nothing was changed\n");
    }
    for mutation in mutations {
        let after = mutation.after.map_or_else(|| "?".to_owned(), brief);
        let why = mutation.why.as_deref().or(mutation.undone).map(|why| format!(" — {}", one_line(why))).unwrap_or_default();
        let _ = writeln!(
            markdown,
            "- {} {} {}: {} → {after} · {}{why}",
            match mutation.outcome {
                "done" => "✅",
                "taken back" => "↩️",
                "end not known" => "⚠️",
                _ => "❌",
            },
            mutation.intended_at,
            mutation.what,
            brief(mutation.before),
            mutation.outcome
        );
    }
    let rows: Vec<[String; 6]> = mutations
        .iter()
        .map(|mutation| {
            [
                mutation.intended_at.clone(),
                mutation.what.to_owned(),
                brief(mutation.before),
                mutation.after.map_or_else(|| "?".to_owned(), brief),
                mutation.outcome.to_owned(),
                mutation.why.as_deref().or(mutation.undone).unwrap_or_default().to_owned(),
            ]
        })
        .collect();
    let head = markdown.split("\n\n- ").next().unwrap_or_default().to_owned();
    Part { html: Some(page::table(&head, ["at", "what", "before", "after", "outcome", "said"], &rows)), markdown }
}

/// `sha256:0123…` without its tail.
fn short(hash: &str) -> &str {
    hash.get(..19).unwrap_or(hash)
}

/// What was there, in a few words: a digest is cut, nothing is nothing.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            let told = fields.iter().map(|(name, value)| format!("{name} {}", if value.is_null() { "none".to_owned() } else { cut(value) }));
            told.collect::<Vec<_>>().join(", ")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => value.to_string(),
    };
    one_line(&text)
}

fn cut(value: &Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let hex = text.len() == 64 && text.chars().all(|letter| letter.is_ascii_hexdigit());
    if hex { text.chars().take(12).collect() } else { text }
}
