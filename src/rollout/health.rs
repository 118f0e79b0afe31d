//! The state of a namespace in numbers, warnings and diagnoses: one pure look, without a past.

use super::scene::{Scene, autoscalers, blind, event_evidence, finished, latest, name, nowhere, pod_ready, ready_endpoints};
use super::{Logs, Memory, ReleaseProgress, progress, readings};
use crate::evidence::{Diagnosis, Evidence, Time};
use crate::names::ServiceName;
use crate::ports::Observed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Everything in the namespace.
    All,
    Releases(&'a [ServiceName]),
}

/// So many of so many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Share {
    pub good: u32,
    pub total: u32,
}

/// Workloads that are ready, pods that run and are ready, Services with a ready address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Counts {
    pub deployments: Share,
    pub pods: Share,
    pub services: Share,
}

/// An object that is not well, and why in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Unhealthy {
    /// `Deployment/backend`.
    pub object: String,
    pub state: String,
}

/// The state of what was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    pub counts: Counts,
    /// At most ten: autoscalers that cannot scale and Ingresses without an address, then the newest warnings, newest first.
    pub warnings: Vec<Evidence>,
    pub unhealthy: Vec<Unhealthy>,
    pub diagnoses: Vec<Diagnosis>,
}

impl Health {
    /// True where nothing is unhealthy and something is there.
    pub fn is_well(&self) -> bool {
        self.unhealthy.is_empty() && self.diagnoses.is_empty() && self.counts.pods.total > 0
    }
}

/// Sums up one look. `logs` may be empty; with logs the diagnoses are sharper.
pub fn health(observed: &Observed, scope: Scope<'_>, logs: &Logs, now: Time) -> Health {
    let releases = match scope {
        Scope::All => all_releases(observed),
        Scope::Releases(releases) => releases.to_vec(),
    };
    let mut memory = Memory::default();
    memory.note(observed, now);
    let mut sum = Health { counts: Counts::default(), warnings: Vec::new(), unhealthy: Vec::new(), diagnoses: Vec::new() };
    let mut uids: BTreeSet<String> = BTreeSet::new();
    let mut blind_or_nowhere = Vec::new();
    for release in &releases {
        let state = progress(observed, release);
        sum.counts.deployments.total += 1;
        sum.counts.deployments.good += u32::from(state.done);
        let unready = state.pods.iter().filter(|pod| !pod.ready).count();
        sum.counts.pods.total += state.wanted.max(state.ready.saturating_add(u32::try_from(unready).unwrap_or(u32::MAX)));
        sum.counts.pods.good += state.ready;
        sum.counts.services.total += u32::try_from(state.endpoints.len()).unwrap_or(u32::MAX);
        sum.counts.services.good += u32::try_from(state.endpoints.values().filter(|ready| **ready > 0).count()).unwrap_or(u32::MAX);
        let scene = Scene::of(observed, release, logs, &memory, now);
        sum.unhealthy.extend(unhealthy(&scene, &state));
        if !state.done {
            sum.diagnoses.extend(readings(observed, release, logs, &mut memory.clone(), now));
        }
        blind_or_nowhere.extend(autoscalers(&scene).filter_map(blind).chain(nowhere(&scene).map(|(_, evidence)| evidence)));
        let workloads = scene.workloads.iter().filter_map(|workload| workload.metadata().uid.clone());
        let sets = scene.replica_sets.iter().filter_map(|set| set.metadata.uid.clone());
        let pods = scene.pods.iter().filter_map(|pod| pod.metadata.uid.clone());
        uids.extend(workloads.chain(sets).chain(pods));
    }
    sum.warnings = blind_or_nowhere.into_iter().chain(warnings(observed, matches!(scope, Scope::Releases(_)).then_some(&uids))).take(10).collect();
    sum
}

/// Releases by the instance label of their workloads, else by the workload's name.
fn all_releases(observed: &Observed) -> Vec<ServiceName> {
    let of = |metadata: &k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta| {
        let instance = metadata.labels.as_ref().and_then(|labels| labels.get("app.kubernetes.io/instance")).cloned();
        ServiceName::parse(instance.unwrap_or_else(|| name(metadata).to_owned())).ok()
    };
    let deployments = observed.deployments.iter().filter_map(|each| of(&each.metadata));
    let sets = observed.stateful_sets.iter().filter_map(|each| of(&each.metadata));
    let daemons = observed.daemon_sets.iter().filter_map(|each| of(&each.metadata));
    deployments.chain(sets).chain(daemons).collect::<BTreeSet<_>>().into_iter().collect()
}

fn unhealthy(scene: &Scene<'_>, state: &ReleaseProgress) -> Vec<Unhealthy> {
    let (observed, release) = (scene.observed, scene.release);
    let mut all = Vec::new();
    if !state.done {
        let object = scene.workloads.first().map_or_else(|| format!("release/{release}"), |workload| workload.describe().replace(' ', "/"));
        all.push(Unhealthy { object, state: state.what.clone() });
    }
    for pod in state.pods.iter().filter(|pod| !pod.ready) {
        all.push(Unhealthy { object: format!("Pod/{}", pod.name), state: pod.waits.clone() });
    }
    for service in
        scene.services.iter().filter(|service| state.endpoints.contains_key(name(&service.metadata)) && ready_endpoints(observed, name(&service.metadata)) == 0)
    {
        all.push(Unhealthy { object: format!("Service/{}", name(&service.metadata)), state: "no ready address".to_owned() });
    }
    for pod in scene.old_pods.iter().filter(|pod| !pod_ready(pod) && !finished(pod) && pod.metadata.deletion_timestamp.is_none()) {
        all.push(Unhealthy { object: format!("Pod/{}", name(&pod.metadata)), state: "of an earlier revision, not ready".to_owned() });
    }
    all
}

fn warnings(observed: &Observed, of: Option<&BTreeSet<String>>) -> Vec<Evidence> {
    let wanted = |uid: Option<&String>| of.is_none_or(|of| uid.is_some_and(|uid| of.contains(uid)));
    let mut events: Vec<_> =
        observed.events.iter().filter(|event| event.type_.as_deref() == Some("Warning") && wanted(event.involved_object.uid.as_ref())).collect();
    events.sort_by_key(|event| std::cmp::Reverse(latest(event)));
    events.into_iter().take(10).map(event_evidence).collect()
}
