//! How far a release is: counts and names, purely from objects.

use super::scene::{ContainerView, Scene, Workload, WorkloadKind, belongs, finished, name, of_job, pod_ready, ready_endpoints};
use super::{Logs, Memory};
use crate::evidence::{Check, Evidence, Source};
use crate::names::ServiceName;
use crate::ports::Observed;
use k8s_openapi::api::batch::v1::CronJob;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pod of the newest template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PodProgress {
    pub name: String,
    pub ready: bool,
    pub restarts: u32,
    /// `.status.containerStatuses[].imageID` by container, as the runtime writes it.
    pub image_ids: BTreeMap<String, String>,
    /// What it waits for; empty where it is ready.
    pub waits: String,
    /// From `.status.startTime` to the last change of its condition Ready, seconds; none where it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_after_s: Option<i64>,
}

/// How long pods took to be ready, as it stands in evidence: a report compares it with what a requirement asks for.
pub fn ready_after(pods: &[PodProgress]) -> Option<String> {
    let slowest = pods.iter().map(|pod| pod.ready_after_s).collect::<Option<Vec<_>>>()?.into_iter().max()?;
    Some(format!("ready {slowest} s after {} start", if pods.len() == 1 { "its" } else { "their" }))
}

/// How far a release is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ReleaseProgress {
    pub release: ServiceName,
    /// False where no workload of the release exists.
    pub found: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<WorkloadKind>,
    /// The controllers have seen the newest specification.
    pub generation_observed: bool,
    pub wanted: u32,
    /// Ready pods of the newest template.
    pub ready: u32,
    pub restarts: u32,
    pub pods: Vec<PodProgress>,
    /// Pods of earlier templates that are still there, and how many of them are ready.
    pub old: u32,
    pub old_ready: u32,
    /// Ready addresses behind each of the release's Services.
    pub endpoints: BTreeMap<String, u32>,
    pub done: bool,
    /// What is missing, in a few words; empty when done.
    pub what: String,
}

/// How far this release is.
pub fn progress(observed: &Observed, release: &ServiceName) -> ReleaseProgress {
    let (logs, memory) = (Logs::new(), Memory::default());
    let scene = Scene::of(observed, release, &logs, &memory, observed.at.unwrap_or_default());
    // Beside a Deployment, a Job is a step of the installation: it must complete, and its pods may be gone by then.
    let only_jobs = scene.workloads.iter().all(|workload| workload.kind() == WorkloadKind::Job);
    let counted = |workload: &&Workload<'_>| only_jobs || workload.kind() != WorkloadKind::Job;
    let pods = scene.pods.iter().filter(|pod| only_jobs || !of_job(pod));
    let pods: Vec<PodProgress> = pods.map(|pod| pod_progress(&scene, pod)).collect();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let endpoints: BTreeMap<String, u32> = scene
        .services
        .iter()
        .filter(|service| service.spec.as_ref().is_some_and(|spec| spec.selector.as_ref().is_some_and(|selector| !selector.is_empty())))
        .map(|service| (name(&service.metadata).to_owned(), ready_endpoints(observed, name(&service.metadata))))
        .collect();
    let mut progress = ReleaseProgress {
        release: release.clone(),
        found: !scene.workloads.is_empty() || timed(observed, release),
        kind: scene.workloads.first().map(Workload::kind),
        generation_observed: scene.workloads.iter().all(Workload::generation_observed),
        wanted: scene.workloads.iter().filter(counted).map(Workload::wanted).sum(),
        ready: count(pods.iter().filter(|pod| pod.ready).count()).saturating_add(scene.counted),
        restarts: pods.iter().map(|pod| pod.restarts).sum(),
        old: count(scene.old_pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none() && !finished(pod)).count()).saturating_add(scene.old_counted),
        old_ready: count(scene.old_pods.iter().filter(|pod| pod_ready(pod)).count()).saturating_add(scene.old_counted),
        pods,
        endpoints,
        done: false,
        what: String::new(),
    };
    // What runs by the clock has nothing to run until its time comes.
    progress.what = if scene.workloads.is_empty() && timed(observed, release) { String::new() } else { missing(&scene, &progress) };
    progress.done = progress.what.is_empty();
    progress
}

/// The CronJob of a release.
fn cron_job<'o>(observed: &'o Observed, release: &ServiceName) -> Option<&'o CronJob> {
    observed.cron_jobs.iter().find(|each| belongs(&each.metadata, release))
}

/// True for a release that runs by the clock.
pub fn timed(observed: &Observed, release: &ServiceName) -> bool {
    cron_job(observed, release).is_some()
}

/// The CronJob of a release is there, runs when it shall, and is not suspended.
pub fn scheduled(id: &str, observed: &Observed, release: &ServiceName, schedule: &str) -> Check {
    let probed = format!("CronJob of {release} and when it runs");
    let Some(found) = cron_job(observed, release) else { return Check::fail(id, probed, "it does not exist", Vec::new()) };
    let spec = found.spec.as_ref();
    let when = spec.map(|spec| spec.schedule.as_str()).unwrap_or_default();
    let suspended = spec.and_then(|spec| spec.suspend).unwrap_or(false);
    let seen = Evidence::new(Source::Object, format!("CronJob/{} .spec", name(&found.metadata)), &format!("schedule {when}, suspended: {suspended}"));
    match (when == schedule, suspended) {
        (true, false) => Check::pass(id, probed, seen),
        (true, true) => Check::fail(id, probed, "it is suspended", vec![seen]),
        (false, _) => Check::fail(id, probed, format!("it runs at other times than {schedule}"), vec![seen]),
    }
}

/// The newest Job of a release has run to its end.
pub fn completed(id: &str, observed: &Observed, release: &ServiceName) -> Check {
    let probed = format!("Job of {release} and how it ended");
    let newest = observed.jobs.iter().filter(|job| belongs(&job.metadata, release)).max_by_key(|job| job.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let Some(job) = newest else { return Check::fail(id, probed, "it does not exist", Vec::new()) };
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten()).filter(|condition| condition.status == "True");
    let ends: Vec<&str> = conditions.map(|condition| condition.type_.as_str()).collect();
    let seen = Evidence::new(Source::Object, format!("Job/{} .status.conditions", name(&job.metadata)), &ends.join(", "));
    if ends.contains(&"Complete") { Check::pass(id, probed, seen) } else { Check::fail(id, probed, "it has not completed", vec![seen]) }
}

fn pod_progress(scene: &Scene<'_>, pod: &k8s_openapi::api::core::v1::Pod) -> PodProgress {
    let mine = || scene.containers.iter().filter(|container| std::ptr::eq(container.pod, pod));
    let ready = pod_ready(pod);
    let finished = pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded");
    PodProgress {
        name: name(&pod.metadata).to_owned(),
        ready: ready || finished,
        restarts: mine().map(ContainerView::restarts).sum(),
        image_ids: mine()
            .filter(|container| !container.init)
            .filter_map(|container| Some((container.spec.name.clone(), container.status?.image_id.clone())))
            .collect(),
        ready_after_s: if ready { since_start(pod) } else { None },
        waits: if ready || finished { String::new() } else { mine().find_map(|container| waits(container)).unwrap_or_else(|| phase(pod)) },
    }
}

/// Seconds from a pod's start to its readiness; both times are whole seconds.
fn since_start(pod: &k8s_openapi::api::core::v1::Pod) -> Option<i64> {
    let began = pod.status.as_ref()?.start_time.as_ref()?;
    let ready = super::scene::pod_condition(pod, "Ready")?.last_transition_time.as_ref()?;
    Some(ready.0.duration_since(began.0).as_secs().max(0))
}

fn phase(pod: &k8s_openapi::api::core::v1::Pod) -> String {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    match super::scene::pod_condition(pod, "PodScheduled").filter(|condition| condition.status == "False") {
        Some(condition) => format!("{phase}, not scheduled: {}", crate::secret::plain(condition.message.as_deref().unwrap_or_default(), 160)),
        None => phase.to_owned(),
    }
}

fn waits(container: &ContainerView<'_>) -> Option<String> {
    let who = &container.spec.name;
    if let Some(ended) = container.ended() {
        return Some(format!("{who} ended with exit code {} ({} restarts)", ended.exit_code, container.restarts()));
    }
    let (reason, _) = container.waits_for();
    if !reason.is_empty() && reason != "PodInitializing" {
        return Some(format!("{who} waits ({reason})"));
    }
    (container.is_running() && !container.is_ready() && !container.init).then(|| format!("{who} runs and is not ready"))
}

/// What keeps the release from being done; empty where nothing does.
fn missing(scene: &Scene<'_>, progress: &ReleaseProgress) -> String {
    if scene.workloads.is_empty() {
        return format!("no Deployment, StatefulSet, DaemonSet or Job of {} exists", progress.release);
    }
    if let Some(workload) = scene.workloads.iter().find(|workload| !workload.generation_observed()) {
        return format!("the controller has not yet seen the newest {}", workload.describe());
    }
    if let Some(job) = scene.workloads.iter().find(|workload| matches!(workload, Workload::Job(_)) && !complete(workload)) {
        return format!("{} has not completed", job.describe());
    }
    let jobs_done = progress.kind == Some(WorkloadKind::Job);
    if progress.ready < progress.wanted && !jobs_done {
        let waits: Vec<String> = progress.pods.iter().filter(|pod| !pod.ready).take(3).map(|pod| format!("{}: {}", pod.name, pod.waits)).collect();
        let detail = if waits.is_empty() { "no pod has been created".to_owned() } else { waits.join("; ") };
        return format!("{} of {} pods ready ({detail})", progress.ready, progress.wanted);
    }
    if let Some((service, _)) = progress.endpoints.iter().find(|(_, ready)| **ready == 0).filter(|_| progress.wanted > 0) {
        return format!("the Service {service} has no ready address yet");
    }
    if progress.old > 0 {
        return format!("{} pods of the earlier revision have not gone yet", progress.old);
    }
    String::new()
}

fn complete(workload: &Workload<'_>) -> bool {
    workload.conditions().iter().any(|condition| condition.kind == "Complete" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn how_long_pods_took_to_be_ready_is_told_by_the_slowest() {
        let took = |ready: serde_json::Value| {
            let conditions = json!([{ "type": "Ready", "status": "True", "lastTransitionTime": ready }]);
            since_start(&serde_json::from_value(json!({ "status": { "startTime": "2026-01-02T03:04:05Z", "conditions": conditions } })).unwrap())
        };
        assert_eq!((took(json!("2026-01-02T03:04:09Z")), took(json!(null))), (Some(4), None));
        let pod =
            |ready_after_s| PodProgress { name: String::new(), ready: true, restarts: 0, image_ids: BTreeMap::new(), waits: String::new(), ready_after_s };
        assert_eq!(ready_after(&[pod(Some(4))]).as_deref(), Some("ready 4 s after its start"));
        assert_eq!(ready_after(&[pod(Some(4)), pod(Some(7))]).as_deref(), Some("ready 7 s after their start"));
        assert_eq!((ready_after(&[pod(Some(4)), pod(None)]), ready_after(&[])), (None, None));
    }
}
