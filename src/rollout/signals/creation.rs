//! Pods that may not even be created: quotas, policies, admission. These errors stand at the ReplicaSet, StatefulSet or Job alone.

use crate::evidence::{Class, Evidence, Source};
use crate::rollout::scene::{Scene, Workload, event_evidence, message, times};
use crate::rollout::signals::{holds, quoted};
use crate::rollout::taxonomy::Match;
use k8s_openapi::api::core::v1::Event;

/// Refused creations that still count, with the creator's description; from events, else from the condition ReplicaFailure.
fn refusals(scene: &Scene<'_>, fits: impl Fn(&str) -> bool, cause: impl Fn(&str) -> String) -> Vec<Match> {
    if !scene.lacks_pods() {
        return Vec::new();
    }
    let mut matches: Vec<Match> = Vec::new();
    for (creator, uid) in scene.creators() {
        let events: Vec<&Event> = scene.events(uid).filter(|event| event.reason.as_deref() == Some("FailedCreate") && fits(message(event))).collect();
        if let Some(newest) = events.iter().max_by_key(|event| crate::rollout::scene::latest(event)) {
            let text = message(newest);
            matches.push(Match {
                subject: creator,
                cause: cause(text),
                evidence: vec![event_evidence(newest)],
                occurrences: events.iter().map(|event| times(event)).sum(),
                since: events.iter().filter_map(|event| crate::rollout::scene::began(event)).min(),
                ..Match::default()
            });
        }
    }
    if matches.is_empty() {
        matches.extend(scene.workloads.iter().filter_map(|workload| by_condition(workload, &fits, &cause)));
    }
    matches
}

fn by_condition(workload: &Workload<'_>, fits: &impl Fn(&str) -> bool, cause: &impl Fn(&str) -> String) -> Option<Match> {
    let failure = workload.conditions().into_iter().find(|each| each.kind == "ReplicaFailure" && each.status == "True" && fits(each.message))?;
    let place = format!("{} .status.conditions[ReplicaFailure]", workload.describe().replace(' ', "/"));
    Some(Match {
        subject: workload.describe(),
        cause: cause(failure.message),
        evidence: vec![Evidence::new(Source::Object, place, failure.message)],
        occurrences: 1,
        ..Match::default()
    })
}

/// What follows `words` in a refusal.
fn after<'a>(text: &'a str, words: &str) -> &'a str {
    text.split_once(words).map_or(text, |(_, rest)| rest).trim()
}

pub fn quota_exceeded(scene: &Scene<'_>) -> Vec<Match> {
    refusals(
        scene,
        |text| text.contains("exceeded quota:"),
        |text| format!("no pod can be created: the namespace's quota is used up ({})", after(text, "exceeded quota:")),
    )
}

pub fn quota_must_specify(scene: &Scene<'_>) -> Vec<Match> {
    refusals(
        scene,
        |text| text.contains("failed quota:") && text.contains("must specify"),
        |text| format!("no pod can be created: a quota demands that containers set {}", after(text, "must specify")),
    )
}

pub fn limit_range(scene: &Scene<'_>) -> Vec<Match> {
    let words = [
        "maximum memory usage",
        "maximum cpu usage",
        "minimum memory usage",
        "minimum cpu usage",
        "limit to request ratio",
        "maximum ephemeral",
        "minimum ephemeral",
    ];
    refusals(scene, |text| holds(text, &words), |text| format!("no pod can be created: a LimitRange forbids its sizes ({})", after(text, "is forbidden:")))
}

pub fn pod_security(scene: &Scene<'_>) -> Vec<Match> {
    refusals(
        scene,
        |text| text.contains("violates PodSecurity"),
        |text| {
            let level = quoted(text, "violates PodSecurity").unwrap_or("restricted");
            format!(
                "no pod can be created: the namespace enforces pod security {level}, and the pod lacks {}",
                text.split_once(": ").and_then(|_| text.rsplit_once("\": ")).map_or("what it demands", |(_, lacks)| lacks)
            )
        },
    )
}

pub fn service_account(scene: &Scene<'_>) -> Vec<Match> {
    refusals(
        scene,
        |text| text.contains("serviceaccount \"") && text.contains("not found"),
        |text| format!("no pod can be created: the ServiceAccount {} does not exist", quoted(text, "serviceaccount").unwrap_or("it names")),
    )
}

pub fn class_missing(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = refusals(
        scene,
        |text| text.contains("no PriorityClass with name") || (text.contains("RuntimeClass") && text.contains("not found")),
        |text| format!("no pod can be created: it refers to a class that this cluster lacks ({})", after(text, "forbidden:")),
    );
    for pod in &scene.pods {
        let events: Vec<_> = scene.pod_events(pod, "FailedCreatePodSandBox").filter(|event| message(event).contains("RuntimeHandler")).collect();
        if let Some((evidence, occurrences, since)) = super::told(&events) {
            let subject = format!("Pod {}", crate::rollout::scene::name(&pod.metadata));
            let cause = "the pod asks for a runtime class that the node does not support".to_owned();
            matches.push(Match { subject, cause, evidence, occurrences, since, ..Match::default() });
        }
    }
    matches
}

pub fn namespace_terminating(scene: &Scene<'_>) -> Vec<Match> {
    refusals(scene, |text| text.contains("because it is being terminated"), |_| "the namespace is being deleted, so nothing can be created in it".to_owned())
}

pub fn admission_denied(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = refusals(
        scene,
        |text| text.contains("denied the request") || (text.contains("ValidatingAdmissionPolicy") && text.contains("denied")),
        |text| format!("no pod can be created: an admission policy denies it ({text})"),
    );
    for found in &mut matches {
        // A policy that names a field can be followed; one that does not is its owner's business.
        if !found.cause.contains("spec.") && !found.cause.contains("metadata.") {
            found.class = Some(Class::ClusterEscalate);
        }
    }
    matches
}

pub fn admission_down(scene: &Scene<'_>) -> Vec<Match> {
    refusals(
        scene,
        |text| text.contains("failed calling webhook"),
        |text| format!("no pod can be created: the admission webhook {} does not answer", quoted(text, "failed calling webhook").unwrap_or_default()),
    )
}
