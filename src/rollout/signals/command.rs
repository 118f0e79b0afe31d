//! Commands that cannot be started.

use crate::evidence::Evidence;
use crate::rollout::scene::{ContainerView, Scene};
use crate::rollout::signals::image::script;
use crate::rollout::signals::{at, each, holds, log_evidence, told};
use crate::rollout::signature::{self, Signature};
use crate::rollout::taxonomy::Match;

/// A start that failed: the runtime's words, and what shows it.
fn failed_start(container: &ContainerView<'_>) -> Option<(String, Vec<Evidence>)> {
    if let Some(ended) = container.ended().filter(|ended| matches!(ended.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))) {
        return Some((ended.message.clone().unwrap_or_default(), vec![container.end_evidence(ended)]));
    }
    let (reason, message) = container.waits_for();
    matches!(reason, "RunContainerError" | "CreateContainerError").then(|| (message.to_owned(), vec![container.wait_evidence()]))
}

/// What the pod starts, as far as its specification says.
fn started(container: &ContainerView<'_>) -> String {
    let words: Vec<&str> = container.spec.command.iter().flatten().chain(container.spec.args.iter().flatten()).map(String::as_str).collect();
    if words.is_empty() { "the image's own command".to_owned() } else { format!("the command {:?}", crate::secret::plain(&words.join(" "), 120)) }
}

pub fn not_found(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let cause = format!("{} of {} is not in the image", started(container), container.image());
        if let Some((text, evidence)) = failed_start(container) {
            return holds(&text, &["executable file not found", "no such file or directory", "not found in $path"]).then(|| at(container, cause, evidence));
        }
        let ended = container.crashed().filter(|ended| ended.exit_code == 127)?;
        let shell = container.log.is_none_or(|log| holds(&log.text, &["not found", "no such file"]) && !wrong_line_ends(&log.text));
        let mut evidence = vec![container.end_evidence(ended)];
        evidence.extend(log_evidence(container, None));
        shell.then(|| at(container, cause, evidence))
    })
}

/// A first line that ends in CR asks for an interpreter whose name ends in CR.
fn wrong_line_ends(text: &str) -> bool {
    text.contains("\\r'") || text.contains("\r: ") || text.contains("^M") || text.contains("\\r:") || text.contains("bad interpreter")
}

pub fn not_executable(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        if let Some((text, evidence)) = failed_start(container) {
            let cause = format!("{} of {} may not be executed: it lacks the execute bit", started(container), container.image());
            return holds(&text, &["permission denied"]).then(|| at(container, cause, evidence));
        }
        let ended = container.crashed()?;
        let log = container.log.map_or("", |log| log.text.as_str());
        let last = signature::read(log);
        let cause = match last.as_ref().map(|reading| &reading.signature) {
            Some(Signature::ExecFormat { file: Some(file) }) if script(file) => format!("{file} has no first line that names its interpreter"),
            _ if wrong_line_ends(log) => "a script's first line ends in a carriage return (CRLF line ends)".to_owned(),
            _ if holds(log, &["exec /"]) && holds(log, &["no such file or directory"]) && ended.exit_code != 0 && log.trim().lines().count() <= 2 => {
                "a script names an interpreter that the image lacks, or its first line ends in a carriage return".to_owned()
            }
            _ if ended.exit_code == 126 => format!("{} of {} may not be executed: it lacks the execute bit", started(container), container.image()),
            _ => return None,
        };
        let mut evidence = vec![container.end_evidence(ended)];
        evidence.extend(log_evidence(container, None));
        Some(at(container, cause, evidence))
    })
}

pub fn post_start(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let waits = container.waits_for().0 == "PostStartHookError";
        let events = scene.container_events(container, "FailedPostStartHook");
        if container.is_ready() || (!waits && events.is_empty()) {
            return None;
        }
        let mut evidence: Vec<Evidence> = told(&events).map(|(evidence, ..)| evidence).unwrap_or_default();
        if waits {
            evidence.push(container.wait_evidence());
        }
        Some(at(container, format!("the postStart hook of container {} fails, so the container is killed", container.spec.name), evidence))
    })
}
