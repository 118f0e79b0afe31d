//! From what a namespace shows to a diagnosis: pure judgement of observations and logs, and one driver that keeps looking; it changes nothing.

pub mod scene;
pub mod memory;
pub mod signature;
pub mod taxonomy;
pub mod signals;
pub mod progress;
pub mod follow;
pub mod refusal;
pub mod route;
pub mod health;

pub use follow::{End, Expectation, ReleaseEnd, Rollout, RolloutEnd};
pub use health::{Health, Scope, health};
pub use memory::Memory;
pub use progress::{PodProgress, ReleaseProgress, completed, progress, ready_after, scheduled, timed};
pub use scene::WorkloadKind;

use crate::evidence::{Class, Confidence, Diagnosis, Evidence, Source, Time};
use crate::failure::Owner;
use crate::names::ServiceName;
use crate::ports::Observed;
use scene::Scene;
use std::collections::{BTreeMap, BTreeSet};
use taxonomy::{FailRule, Match, NODES, Row, SYMPTOMS, TABLE};

/// The newest log lines of a container that are of use: of its last ended run, or of the present one where none has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTail {
    /// Raw; every text that leaves goes through `secret::plain`.
    pub text: String,
    /// The container id of the run that wrote it, where it has ended.
    pub run: Option<String>,
}

/// Log tails by pod and container.
pub type Logs = BTreeMap<(String, String), LogTail>;

/// What a look at one release says.
#[derive(Clone, Debug, PartialEq)]
pub enum Judgement {
    /// Every new pod is ready, and so is what leads to them.
    Ready,
    /// Not yet; in a few words, what is missing.
    Waiting { what: String },
    /// It will not become ready by waiting: causes first, symptoms after them, never empty.
    Refused(Vec<Diagnosis>),
}

/// A row that holds, with its sighting.
#[derive(Clone, Debug)]
struct Reading {
    row: &'static Row,
    found: Match,
    /// True where the rule of failing is fulfilled.
    failed: bool,
}

/// Judges one release. `memory` must live as long as the rollout, and see every observation in order.
pub fn judge(observed: &Observed, release: &ServiceName, logs: &Logs, memory: &mut Memory, now: Time) -> Judgement {
    memory.note(observed, now);
    let readings = read(observed, release, logs, memory, now);
    let progress = progress(observed, release);
    // What is ready is not undone by a node's trouble or a straggler of the earlier revision.
    let counts = |reading: &Reading| reading.failed && (!progress.done || (NODES..SYMPTOMS).contains(&reading.row.rank));
    if readings.iter().any(counts) {
        return Judgement::Refused(diagnoses(observed, release, readings, true));
    }
    if progress.done { Judgement::Ready } else { Judgement::Waiting { what: progress.what } }
}

/// The best reading of a release that is not well, whatever the rules of failing say; `UNKNOWN` with its evidence where no row fits. Empty where it is well.
pub fn readings(observed: &Observed, release: &ServiceName, logs: &Logs, memory: &mut Memory, now: Time) -> Vec<Diagnosis> {
    memory.note(observed, now);
    let readings = read(observed, release, logs, memory, now);
    let progress = progress(observed, release);
    let found = diagnoses(observed, release, readings, false);
    if !found.is_empty() || progress.done { found } else { vec![unknown(observed, release, logs, &progress)] }
}

/// Every row that holds, one per subject and domain: the most specific.
fn read(observed: &Observed, release: &ServiceName, logs: &Logs, memory: &mut Memory, now: Time) -> Vec<Reading> {
    let mut found: Vec<(&'static Row, Match)> = Vec::new();
    {
        let scene = Scene::of(observed, release, logs, memory, now);
        for row in &TABLE {
            found.extend(row.signal.into_iter().flat_map(|signal| signal(&scene)).map(|each| (row, each)));
        }
    }
    let holds: BTreeSet<(&'static str, String)> = found.iter().map(|(row, each)| (row.code, each.subject.clone())).collect();
    memory.hold(release.as_str(), &holds, now);
    let mut kept: Vec<Reading> = Vec::new();
    for (row, found) in found {
        // Rows come by rank, so the first reading of a subject is the most specific; symptoms speak for themselves.
        if row.rank < SYMPTOMS && kept.iter().any(|other| other.found.subject == found.subject) {
            continue;
        }
        let since = found.since.or(memory.held_since(release.as_str(), row.code, &found.subject)).unwrap_or(now);
        let failed = fails(row, &found, memory.lasting_since(since, now), now);
        kept.push(Reading { row, found, failed });
    }
    kept
}

/// True where the rule of failing is fulfilled by what has lasted since then.
fn fails(row: &Row, found: &Match, since: Time, now: Time) -> bool {
    let lasted = |seconds: u32| now.duration_since(since).as_secs() >= i64::from(seconds);
    match found.rule.unwrap_or(row.fails) {
        FailRule::Definitive => true,
        FailRule::Occurrences(count) => found.occurrences >= count,
        FailRule::Window(seconds) => lasted(seconds),
        FailRule::OccurrencesOrWindow(count, seconds) => found.occurrences >= count || lasted(seconds),
        FailRule::Deadline | FailRule::Never => false,
    }
}

/// Readings as diagnoses, ranked: what failed before what is only seen, causes before symptoms, equal causes of several pods as one.
fn diagnoses(observed: &Observed, release: &ServiceName, readings: Vec<Reading>, refused: bool) -> Vec<Diagnosis> {
    let nodes_suspect = readings.iter().any(|reading| reading.row.rank < NODES);
    let mut readings: Vec<Reading> = readings.into_iter().filter(|reading| reading.row.fails != FailRule::Never || !refused).collect();
    let cause_known = readings.iter().any(|reading| reading.row.rank < SYMPTOMS && reading.row.fails != FailRule::Never);
    readings.sort_by_key(|reading| {
        (reading.row.fails == FailRule::Never, !nodes_first(reading), reading.row.rank >= SYMPTOMS && cause_known, !reading.failed, reading.row.rank)
    });
    let impact = impact(observed, release);
    let mut all: Vec<Diagnosis> = Vec::new();
    for reading in readings {
        let generic = matches!(reading.row.code, "APP_CRASH_GENERIC" | "INIT_FAILED");
        let suspect = nodes_suspect && reading.row.rank >= NODES;
        let sure = reading.failed && !generic && !reading.found.unsure && !suspect;
        let Match { subject, cause, evidence, class, .. } = reading.found;
        if let Some(same) = all.iter_mut().find(|each| each.code == reading.row.code && alike(&each.cause, &cause)) {
            same.why.push(Evidence::new(Source::Object, subject, "the same cause"));
            continue;
        }
        let class = class.unwrap_or(reading.row.class);
        all.push(Diagnosis {
            code: reading.row.code.to_owned(),
            class,
            owner: owner(class),
            confidence: if sure { Confidence::Definitive } else { Confidence::Likely },
            subject: format!("{release}/{subject}"),
            cause: crate::secret::plain(&cause, 400),
            why: evidence,
            impact: impact.clone(),
            source: None,
            options: Vec::new(),
        });
    }
    all
}

fn nodes_first(reading: &Reading) -> bool {
    reading.row.rank < NODES
}

/// Causes that differ in numbers alone (addresses, times, process ids) are one.
fn alike(one: &str, other: &str) -> bool {
    let without = |text: &str| text.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
    without(one) == without(other)
}

/// Whose move a class is.
pub fn owner(class: Class) -> Owner {
    match class {
        Class::AppSelfResolve => Owner::App,
        Class::AppNeedsValue => Owner::ValueNeeded,
        Class::ClusterEscalate | Class::Transient | Class::Unknown => Owner::Cluster,
        Class::HelmState => Owner::Landfall,
    }
}

fn impact(observed: &Observed, release: &ServiceName) -> String {
    let progress = progress(observed, release);
    let now = format!("{} of {} new pods of {release} are ready", progress.ready, progress.wanted);
    match progress.old_ready {
        0 => now,
        1 => format!("{now}; one pod of the earlier revision still serves"),
        more => format!("{now}; {more} pods of the earlier revision still serve"),
    }
}

/// Nothing known fits: what was seen, so that a person can judge.
fn unknown(observed: &Observed, release: &ServiceName, logs: &Logs, progress: &ReleaseProgress) -> Diagnosis {
    let memory = Memory::default();
    let scene = Scene::of(observed, release, logs, &memory, observed.at.unwrap_or(Time::UNIX_EPOCH));
    let mut why: Vec<Evidence> = Vec::new();
    for workload in &scene.workloads {
        for condition in workload.conditions().into_iter().filter(|each| each.status != "True" || each.kind == "Failed") {
            let place = format!("{} .status.conditions[{}]", workload.describe().replace(' ', "/"), condition.kind);
            why.push(Evidence::new(Source::Object, place, &format!("{} {}: {}", condition.status, condition.reason, condition.message)));
        }
    }
    for container in &scene.containers {
        match container.ended() {
            Some(ended) => why.push(container.end_evidence(ended)),
            None if container.waiting().is_some() => why.push(container.wait_evidence()),
            None => {}
        }
        if let Some(last) = container.log.and_then(|log| log.text.lines().rev().find(|line| !line.trim().is_empty())) {
            why.push(Evidence::new(Source::Log, container.log_place(), last));
        }
    }
    let uids: BTreeSet<&str> =
        scene.pods.iter().filter_map(|pod| pod.metadata.uid.as_deref()).chain(scene.creators().iter().filter_map(|(_, uid)| *uid)).collect();
    let mut events: Vec<_> = observed
        .events
        .iter()
        .filter(|event| event.type_.as_deref() == Some("Warning") && event.involved_object.uid.as_deref().is_some_and(|uid| uids.contains(uid)))
        .collect();
    events.sort_by_key(|event| std::cmp::Reverse(scene::latest(event)));
    why.extend(events.into_iter().take(5).map(scene::event_evidence));
    if why.is_empty() {
        why.push(Evidence::new(Source::Object, format!("release {release}"), &progress.what));
    }
    Diagnosis {
        code: "UNKNOWN".to_owned(),
        class: Class::Unknown,
        owner: owner(Class::Unknown),
        confidence: Confidence::Unknown,
        subject: format!("{release}/{}", scene.workloads.first().map_or_else(|| "no workload".to_owned(), scene::Workload::describe)),
        cause: format!("no known cause fits; last seen: {}", progress.what),
        why,
        impact: impact(observed, release),
        source: None,
        options: Vec::new(),
    }
}

/// The environment variables that a diagnosis names, in its cause or its evidence: the caller looks up where the code reads them.
pub fn named_variables(diagnosis: &Diagnosis) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for text in texts(diagnosis) {
        if let Some(signature::Signature::Configuration { variables }) = signature::shape(text, "") {
            names.extend(variables);
        }
    }
    // Causes say `the variable X`, `takes X, Y` and `because X, Y is missing` in our own words.
    let words = diagnosis.cause.split(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_'));
    names.extend(
        words
            .filter(|word| word.contains('_') && word.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_'))
            .map(str::to_owned),
    );
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// The host that a diagnosis names, where it is about a host.
pub fn named_host(diagnosis: &Diagnosis) -> Option<String> {
    if !matches!(diagnosis.code.as_str(), "APP_EXIT_DEP" | "DNS_FAIL" | "PROBE_READINESS") {
        return None;
    }
    let in_log = texts(diagnosis).find_map(|text| match signature::shape(text, "") {
        Some(signature::Signature::Dependency { host, .. }) => host,
        _ => None,
    });
    in_log.or_else(|| {
        diagnosis.cause.split_once("the host ").and_then(|(_, rest)| rest.split([' ', ':']).next()).filter(|host| *host != "that").map(str::to_owned)
    })
}

fn texts(diagnosis: &Diagnosis) -> impl Iterator<Item = &str> {
    diagnosis.why.iter().filter(|evidence| evidence.source == Source::Log).flat_map(|evidence| evidence.text.lines())
}

#[cfg(test)]
mod tests;
