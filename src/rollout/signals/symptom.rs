//! What follows from something else: never a diagnosis of its own while a cause is known.

use crate::evidence::{Class, Evidence, Source};
use crate::rollout::scene::{Scene, Workload, name, pod_condition, pod_ready};
use crate::rollout::taxonomy::Match;

fn matched(subject: String, cause: String, place: String, text: &str) -> Match {
    Match { subject, cause, evidence: vec![Evidence::new(Source::Object, place, text)], occurrences: 1, ..Match::default() }
}

/// A workload's condition of this type and status, as a match.
fn by_condition(workload: &Workload<'_>, kind: &str, fits: impl Fn(&str, &str) -> bool, cause: String) -> Option<Match> {
    let found = workload.conditions().into_iter().find(|each| each.kind == kind && fits(each.status, each.reason))?;
    let place = format!("{} .status.conditions[{kind}]", workload.describe().replace(' ', "/"));
    Some(matched(workload.describe(), cause, place, &format!("{} {}: {}", found.status, found.reason, found.message)))
}

pub fn progress_deadline(scene: &Scene<'_>) -> Vec<Match> {
    let cause = |workload: &Workload<'_>| format!("{} made no progress in its time", workload.describe());
    scene
        .workloads
        .iter()
        .filter_map(|workload| {
            by_condition(workload, "Progressing", |status, reason| status == "False" && reason == "ProgressDeadlineExceeded", cause(workload))
        })
        .collect()
}

pub fn job_failed(scene: &Scene<'_>) -> Vec<Match> {
    let jobs = scene.workloads.iter().filter(|workload| matches!(workload, Workload::Job(_)));
    jobs.filter_map(|job| by_condition(job, "Failed", |status, _| status == "True", format!("{} has failed: its pods did", job.describe()))).collect()
}

pub fn stateful_set_stuck(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for workload in &scene.workloads {
        let Workload::StatefulSet(set) = workload else { continue };
        let Some(status) = &set.status else { continue };
        let stuck = scene.old_pods.iter().find(|pod| !pod_ready(pod) && pod.metadata.deletion_timestamp.is_none());
        if let (true, Some(pod)) = (status.update_revision != status.current_revision, stuck) {
            let cause = format!("the broken pod {} keeps {} from replacing it: delete the pod", name(&pod.metadata), workload.describe());
            let text =
                format!("update {} current {}", status.update_revision.as_deref().unwrap_or_default(), status.current_revision.as_deref().unwrap_or_default());
            matches.push(matched(workload.describe(), cause, format!("StatefulSet/{} .status.updateRevision", name(&set.metadata)), &text));
        }
    }
    matches
}

pub fn sidecar(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for pod in &scene.pods {
        let statuses: Vec<_> = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).collect();
        let unready: Vec<&str> = statuses.iter().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
        if !unready.is_empty() && unready.len() < statuses.len() {
            let cause = format!("{} of the pod's containers are not ready ({}), and the others are", unready.len(), unready.join(", "));
            matches.push(matched(
                format!("Pod {}", name(&pod.metadata)),
                cause,
                format!("Pod/{} .status.containerStatuses", name(&pod.metadata)),
                &format!("not ready: {}", unready.join(", ")),
            ));
        }
    }
    matches
}

pub fn stuck_terminating(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for pod in &scene.old_pods {
        // The deletion time lies in the future by the grace period.
        let Some(gone_by) = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0) else { continue };
        let late = scene.now.duration_since(gone_by).as_secs();
        if late < 0 {
            continue;
        }
        let finalizers = pod.metadata.finalizers.clone().unwrap_or_default();
        let mut found = matched(
            format!("Pod {}", name(&pod.metadata)),
            if finalizers.is_empty() {
                "the pod should be gone and is not".to_owned()
            } else {
                format!("the pod cannot go: its finalizer {} is not removed by its owner", finalizers.join(", "))
            },
            format!("Pod/{} .metadata.deletionTimestamp", name(&pod.metadata)),
            &format!("{gone_by}, finalizers: {}", finalizers.join(", ")),
        );
        found.since = Some(gone_by);
        found.rule = Some(crate::rollout::taxonomy::FailRule::Window(30));
        if !finalizers.is_empty() {
            found.class = Some(Class::ClusterEscalate);
        }
        matches.push(found);
    }
    matches
}

pub fn no_room_for_surge(scene: &Scene<'_>) -> Vec<Match> {
    let old: Vec<&str> = scene.old_pods.iter().filter(|pod| pod_ready(pod)).map(|pod| name(&pod.metadata)).collect();
    if old.is_empty() {
        return Vec::new();
    }
    let mut matches = Vec::new();
    for pod in &scene.pods {
        let full = pod_condition(pod, "PodScheduled")
            .filter(|each| each.status == "False" && each.message.as_deref().is_some_and(|text| text.contains("Insufficient")));
        if let Some(full) = full {
            let cause = format!("the new pod has no room while the old one ({}) still runs", old.join(", "));
            let mut found = matched(
                format!("Pod {}", name(&pod.metadata)),
                cause,
                format!("Pod/{} .status.conditions[PodScheduled]", name(&pod.metadata)),
                full.message.as_deref().unwrap_or_default(),
            );
            found.since = full.last_transition_time.as_ref().map(|time| time.0);
            matches.push(found);
        }
    }
    matches
}
