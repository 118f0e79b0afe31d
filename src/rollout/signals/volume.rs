//! Claims, volumes, the pod's sandbox and its admission by the kubelet.

use crate::evidence::{Class, Evidence, Source};
use crate::rollout::scene::{Scene, message, name, pod_condition, pod_ready, times};
use crate::rollout::signals::{holds, named_before, quoted, told};
use crate::rollout::taxonomy::Match;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};

/// The claims that a pod mounts.
pub fn claims_of(pod: &Pod) -> impl Iterator<Item = &str> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref()).map(|claim| claim.claim_name.as_str())
}

/// Claims that the release's pods mount.
fn claims<'a>(scene: &'a Scene<'_>) -> impl Iterator<Item = &'a PersistentVolumeClaim> {
    let mounted: Vec<&str> = scene.pods.iter().flat_map(|pod| claims_of(pod)).collect();
    scene.observed.claims.iter().filter(move |claim| mounted.contains(&name(&claim.metadata)))
}

fn phase(claim: &PersistentVolumeClaim) -> &str {
    claim.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

/// Events of a claim of these reasons whose message fits, as one match.
fn claim_events(scene: &Scene<'_>, claim: &PersistentVolumeClaim, reason: &str, fits: impl Fn(&str) -> bool, cause: impl Fn(&str) -> String) -> Option<Match> {
    let events: Vec<_> = scene.events(claim.metadata.uid.as_deref()).filter(|event| event.reason.as_deref() == Some(reason) && fits(message(event))).collect();
    let (evidence, occurrences, since) = told(&events)?;
    let text = events.last().map_or("", |event| message(event));
    Some(Match { subject: format!("PersistentVolumeClaim {}", name(&claim.metadata)), cause: cause(text), evidence, occurrences, since, ..Match::default() })
}

/// Events of pods that are not ready yet, of this reason, whose message fits.
fn pod_events(scene: &Scene<'_>, reason: &'static str, fits: impl Fn(&str) -> bool, cause: impl Fn(&str) -> String) -> Vec<Match> {
    let mut matches = Vec::new();
    for pod in scene.pods.iter().filter(|pod| !pod_ready(pod) && !has_started(pod)) {
        let events: Vec<_> = scene.pod_events(pod, reason).filter(|event| fits(message(event))).collect();
        if let Some((evidence, occurrences, since)) = told(&events) {
            let text = events.last().map_or("", |event| message(event));
            matches.push(Match { subject: format!("Pod {}", name(&pod.metadata)), cause: cause(text), evidence, occurrences, since, ..Match::default() });
        }
    }
    matches
}

/// True where a container of the pod has run: then its sandbox and volumes are there.
fn has_started(pod: &Pod) -> bool {
    crate::rollout::scene::statuses(pod).any(|(status, _)| status.container_id.is_some())
}

pub fn lost_or_resize(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for claim in claims(scene) {
        if phase(claim) == "Lost" {
            let at = format!("PersistentVolumeClaim/{} .status.phase", name(&claim.metadata));
            let subject = format!("PersistentVolumeClaim {}", name(&claim.metadata));
            let cause = format!("the volume behind claim {} is gone; its data may be lost", name(&claim.metadata));
            matches.push(Match { subject, cause, evidence: vec![Evidence::new(Source::Object, at, "Lost")], occurrences: 1, ..Match::default() });
        }
        matches.extend(claim_events(scene, claim, "VolumeResizeFailed", |_| true, |text| format!("the volume could not be resized: {text}")));
    }
    matches
}

pub fn no_class(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for claim in claims(scene).filter(|claim| phase(claim) == "Pending") {
        let class = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let fits = |text: &str| text.contains("storageclass") && text.contains("not found");
        matches.extend(claim_events(scene, claim, "ProvisioningFailed", fits, |text| {
            format!(
                "claim {} asks for the storage class {}, which this cluster lacks",
                name(&claim.metadata),
                class.or_else(|| quoted(text, "storage.k8s.io")).unwrap_or("it names")
            )
        }));
        let unset = claim_events(
            scene,
            claim,
            "FailedBinding",
            |text| text.contains("no storage class is set"),
            |_| format!("claim {} names no storage class, and the cluster has no default", name(&claim.metadata)),
        );
        matches.extend(unset.map(|found| Match { class: Some(Class::ClusterEscalate), ..found }));
    }
    matches
}

pub fn provisioner_down(scene: &Scene<'_>) -> Vec<Match> {
    let pending = claims(scene).filter(|claim| phase(claim) == "Pending");
    pending
        .filter_map(|claim| {
            claim_events(
                scene,
                claim,
                "ExternalProvisioning",
                |text| text.contains("volume to be created"),
                |_| format!("nobody makes the volume for claim {}: the storage provisioner does not answer", name(&claim.metadata)),
            )
        })
        .collect()
}

pub fn access_mode(scene: &Scene<'_>) -> Vec<Match> {
    let fits = |text: &str| holds(text, &["multi-attach error", "already used by", "volume uses the readwriteoncepod access mode"]);
    let mut matches = pod_events(scene, "FailedAttachVolume", fits, |text| format!("the volume is held by another pod: {text}"));
    matches.extend(pod_events(scene, "FailedMount", fits, |text| format!("the volume is held by another pod: {text}")));
    // ReadWriteOncePod is kept by the scheduler.
    let held = ["readwriteoncepod access mode already in-use"];
    matches
        .extend(super::scheduling::unschedulable(scene, &held, |_, _| "the volume takes one pod alone (ReadWriteOncePod), and another one has it".to_owned()));
    matches
}

pub fn missing_source(scene: &Scene<'_>) -> Vec<Match> {
    let missing = |text: &str, kind: &str| named_before(text, kind, "not found").map(str::to_owned);
    let mut matches = pod_events(
        scene,
        "FailedMount",
        |text| {
            // Kubelets retry: an object that has come since is no reason any more.
            missing(text, "configmap").is_some_and(|map| !scene.observed.config_maps.contains(&map))
                || missing(text, "secret").is_some_and(|secret| !scene.observed.secrets.contains(&secret))
        },
        |text| match missing(text, "configmap") {
            Some(map) => format!("the pod mounts the ConfigMap {map}, which does not exist"),
            None => format!("the pod mounts the Secret {}, which does not exist", missing(text, "secret").unwrap_or_default()),
        },
    );
    for found in matches.iter_mut().filter(|found| found.cause.contains("the Secret ")) {
        found.class = Some(Class::AppNeedsValue);
    }
    matches
}

pub fn host_path(scene: &Scene<'_>) -> Vec<Match> {
    pod_events(
        scene,
        "FailedMount",
        |text| text.contains("hostPath type check failed"),
        |text| format!("a hostPath does not exist inside the node: {}", text.split_once("failed:").map_or(text, |(_, rest)| rest.trim())),
    )
}

pub fn sandbox_image(scene: &Scene<'_>) -> Vec<Match> {
    let fits =
        |text: &str| holds(text, &["failed to get sandbox image", "failed pulling image", "failed to pull image"]) && holds(text, &["pause", "sandbox image"]);
    pod_events(scene, "FailedCreatePodSandBox", fits, |_| "the node cannot get the pause image that every pod needs".to_owned())
}

pub fn network_plugin(scene: &Scene<'_>) -> Vec<Match> {
    let fits = |text: &str| {
        holds(text, &["failed to setup network", "failed to set up network", "networkplugin cni failed", "cni plugin", "failed to set up pod", "/etc/cni"])
    };
    let mut matches = pod_events(scene, "FailedCreatePodSandBox", fits, |text| {
        format!("the node's network plugin cannot give the pod an address: {}", crate::secret::plain(text, 200))
    });
    for found in &mut matches {
        // A sandbox that cannot be taken down without the plugin either is never made anew: of every later try the kubelet says only this.
        let again =
            scene.pods.iter().filter(|pod| found.subject == format!("Pod {}", name(&pod.metadata))).flat_map(|pod| scene.pod_events(pod, "SandboxChanged"));
        found.occurrences = found.occurrences.saturating_add(again.map(times).sum());
    }
    matches
}

/// Pods that the kubelet ended or refused, by the reason in their status.
fn failed_pods(scene: &Scene<'_>, fits: impl Fn(&str) -> bool, cause: impl Fn(&Pod, &str, &str) -> String) -> Vec<Match> {
    // A refused pod is replaced at once, so refusals count only while pods are lacking or not ready.
    let mut matches = Vec::new();
    for pod in &scene.pods {
        let Some(status) = &pod.status else { continue };
        let (reason, text) = (status.reason.as_deref().unwrap_or_default(), status.message.as_deref().unwrap_or_default());
        if status.phase.as_deref() == Some("Failed") && fits(reason) && !recovered(scene) {
            let at = format!("Pod/{} .status.reason", name(&pod.metadata));
            let evidence = vec![Evidence::new(Source::Object, at, &format!("{reason}: {text}"))];
            matches.push(Match {
                subject: format!("Pod {}", name(&pod.metadata)),
                cause: cause(pod, reason, text),
                evidence,
                occurrences: 1,
                ..Match::default()
            });
        }
    }
    matches
}

/// True where enough other pods are ready.
fn recovered(scene: &Scene<'_>) -> bool {
    let wanted: u32 = scene.workloads.iter().map(crate::rollout::scene::Workload::wanted).sum();
    let ready = scene.pods.iter().filter(|pod| pod_ready(pod)).count();
    u32::try_from(ready).unwrap_or(u32::MAX).saturating_add(scene.counted) >= wanted
}

pub fn not_admitted(scene: &Scene<'_>) -> Vec<Match> {
    let reasons = ["OutOfcpu", "OutOfmemory", "OutOfpods", "OutOfephemeral-storage", "NodeAffinity", "UnexpectedAdmissionError", "NodeShutdown", "Terminated"];
    failed_pods(scene, |reason| reasons.contains(&reason), |_, reason, text| format!("the node refused the pod ({reason}): {text}"))
}

pub fn evicted(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = failed_pods(scene, |reason| reason == "Evicted", |_, _, text| format!("the node evicted the pod: {text}"));
    for found in &mut matches {
        // The pod's own limit is the chart's business, a full node is not.
        if holds(&found.cause, &["low on resource", "node was low", "node had condition"]) {
            found.class = Some(Class::ClusterEscalate);
        }
    }
    matches
}

pub fn pod_deadline(scene: &Scene<'_>) -> Vec<Match> {
    failed_pods(
        scene,
        |reason| reason == "DeadlineExceeded",
        |pod, _, _| {
            let seconds = pod.spec.as_ref().and_then(|spec| spec.active_deadline_seconds).unwrap_or_default();
            format!("the pod was ended after its activeDeadlineSeconds ({seconds})")
        },
    )
}

pub fn preempted(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for pod in scene.pods.iter().chain(&scene.old_pods) {
        let by_scheduler = pod_condition(pod, "DisruptionTarget")
            .filter(|condition| condition.status == "True" && condition.reason.as_deref() == Some("PreemptionByScheduler"));
        let events: Vec<_> = scene.pod_events(pod, "Preempted").collect();
        let at = format!("Pod/{} .status.conditions[DisruptionTarget]", name(&pod.metadata));
        let evidence = told(&events)
            .map(|(evidence, ..)| evidence)
            .or_else(|| by_scheduler.map(|condition| vec![Evidence::new(Source::Object, at, condition.message.as_deref().unwrap_or_default())]));
        if let Some(evidence) = evidence {
            let cause = "a pod of higher priority took its place".to_owned();
            matches.push(Match { subject: format!("Pod {}", name(&pod.metadata)), cause, evidence, occurrences: 1, ..Match::default() });
        }
    }
    let count = u32::try_from(matches.len()).unwrap_or(u32::MAX);
    matches.into_iter().map(|found| Match { occurrences: count, ..found }).collect()
}
