//! The signals of the taxonomy's rows: pure looks at a scene, one file per place where things go wrong.

pub mod node;
pub mod creation;
pub mod scheduling;
pub mod volume;
pub mod image;
pub mod config;
pub mod command;
pub mod application;
pub mod probes;
pub mod service;
pub mod symptom;

use super::scene::{ContainerView, Scene, began, event_evidence, times};
use super::taxonomy::Match;
use crate::evidence::{Evidence, Source, Time};
use k8s_openapi::api::core::v1::Event;

/// True where the text holds one of the words; case does not count.
fn holds(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// The first text between quotes (`"…"`, `'…'`) after `before`.
fn quoted<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let rest = text.split_once(before)?.1;
    let rest = rest.trim_start_matches(' ');
    let quote = rest.chars().next().filter(|first| "\"'`".contains(*first))?;
    rest.get(1..)?.split(quote).next()
}

/// The word in quotes that stands before `after`, as in `secret "x" not found`.
fn named_before<'a>(text: &'a str, kind: &str, after: &str) -> Option<&'a str> {
    let lower = text.to_lowercase();
    let start = lower.find(&format!("{kind} \""))? + kind.len() + 2;
    let rest = text.get(start..)?;
    let (name, tail) = rest.split_once('"')?;
    tail.trim_start().starts_with(after).then_some(name)
}

/// A match at a container, with the evidence given.
fn at(container: &ContainerView<'_>, cause: String, evidence: Vec<Evidence>) -> Match {
    Match { subject: container.subject(), cause, evidence, occurrences: 1, ..Match::default() }
}

/// Evidence of the last lines of a container's log, the shown line first.
fn log_evidence(container: &ContainerView<'_>, line: Option<&str>) -> Vec<Evidence> {
    let Some(log) = container.log else { return Vec::new() };
    let mut all: Vec<Evidence> = line.iter().map(|line| Evidence::new(Source::Log, container.log_place(), line)).collect();
    let tail: Vec<&str> = log.text.lines().rev().filter(|line| !line.trim().is_empty()).take(5).collect();
    let tail: String = tail.into_iter().rev().collect::<Vec<_>>().join("\n");
    if !tail.is_empty() && line != Some(tail.as_str()) {
        // The end of the tail matters most: long lines lose their beginning, not the last words.
        let from = tail.char_indices().rev().nth(390).map_or(0, |(at, _)| at);
        all.push(Evidence::new(Source::Log, format!("end of {}", container.log_place()), tail.get(from..).unwrap_or_default()));
    }
    all
}

/// Evidence, number and beginning of these events; None where there are none.
fn told(events: &[&Event]) -> Option<(Vec<Evidence>, u32, Option<Time>)> {
    let newest = events.iter().max_by_key(|event| super::scene::latest(event))?;
    Some((vec![event_evidence(newest)], events.iter().map(|event| times(event)).sum(), events.iter().filter_map(|event| began(event)).min()))
}

/// Matches for every container that one looks at.
fn each(scene: &Scene<'_>, look: impl Fn(&ContainerView<'_>) -> Option<Match>) -> Vec<Match> {
    scene.containers.iter().filter_map(look).collect()
}
