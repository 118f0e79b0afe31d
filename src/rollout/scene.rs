//! One release as the objects show it: workload, new ReplicaSet, its pods, their containers and events, joined by uid; it judges nothing.

use super::memory::Memory;
use super::{LogTail, Logs};
use crate::evidence::{Evidence, Source, Time};
use crate::names::ServiceName;
use crate::ports::{Observed, PROBE_LABEL};
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Event, Pod, PodCondition, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What keeps pods running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkloadKind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
}

impl WorkloadKind {
    /// True where its pods run until somebody stops them; a Job's end by themselves.
    pub fn keeps_running(self) -> bool {
        match self {
            Self::Deployment | Self::StatefulSet | Self::DaemonSet => true,
            Self::Job => false,
        }
    }
}

/// A workload of the release.
#[derive(Clone, Copy, Debug)]
pub enum Workload<'a> {
    Deployment(&'a Deployment),
    StatefulSet(&'a StatefulSet),
    DaemonSet(&'a DaemonSet),
    Job(&'a Job),
}

/// A container of a pod: what was asked, what is, and the log of its newest finished or current run.
#[derive(Clone, Copy, Debug)]
pub struct ContainerView<'a> {
    pub pod: &'a Pod,
    pub spec: &'a Container,
    pub status: Option<&'a ContainerStatus>,
    pub init: bool,
    pub log: Option<&'a LogTail>,
}

/// Everything a signal may look at.
#[derive(Debug)]
pub struct Scene<'a> {
    pub observed: &'a Observed,
    pub release: &'a ServiceName,
    pub memory: &'a Memory,
    pub now: Time,
    pub workloads: Vec<Workload<'a>>,
    /// The newest ReplicaSet of each Deployment.
    pub replica_sets: Vec<&'a ReplicaSet>,
    /// Pods of the newest template that are not going away.
    pub pods: Vec<&'a Pod>,
    /// Pods of earlier templates, and pods that are going away.
    pub old_pods: Vec<&'a Pod>,
    /// Ready pods of the newest template, and of earlier ones, that were only counted.
    pub counted: u32,
    pub old_counted: u32,
    pub containers: Vec<ContainerView<'a>>,
    pub services: Vec<&'a Service>,
}

impl<'a> Workload<'a> {
    pub fn kind(&self) -> WorkloadKind {
        match self {
            Self::Deployment(_) => WorkloadKind::Deployment,
            Self::StatefulSet(_) => WorkloadKind::StatefulSet,
            Self::DaemonSet(_) => WorkloadKind::DaemonSet,
            Self::Job(_) => WorkloadKind::Job,
        }
    }

    pub fn metadata(&self) -> &'a ObjectMeta {
        match self {
            Self::Deployment(deployment) => &deployment.metadata,
            Self::StatefulSet(set) => &set.metadata,
            Self::DaemonSet(set) => &set.metadata,
            Self::Job(job) => &job.metadata,
        }
    }

    /// `Deployment backend`.
    pub fn describe(&self) -> String {
        let kind = match self.kind() {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
            WorkloadKind::DaemonSet => "DaemonSet",
            WorkloadKind::Job => "Job",
        };
        format!("{kind} {}", name(self.metadata()))
    }

    /// How many pods it shall have.
    pub fn wanted(&self) -> u32 {
        let wanted = match self {
            Self::Deployment(deployment) => deployment.spec.as_ref().and_then(|spec| spec.replicas),
            Self::StatefulSet(set) => set.spec.as_ref().and_then(|spec| spec.replicas),
            // One for each node that takes it, as its controller counts them.
            Self::DaemonSet(set) => set.status.as_ref().map(|status| status.desired_number_scheduled),
            Self::Job(job) => job.spec.as_ref().and_then(|spec| spec.completions),
        };
        u32::try_from(wanted.unwrap_or(1)).unwrap_or_default()
    }

    /// True where the controller has seen the newest specification.
    pub fn generation_observed(&self) -> bool {
        let seen = match self {
            Self::Deployment(deployment) => deployment.status.as_ref().and_then(|status| status.observed_generation),
            Self::StatefulSet(set) => set.status.as_ref().and_then(|status| status.observed_generation),
            Self::DaemonSet(set) => set.status.as_ref().and_then(|status| status.observed_generation),
            Self::Job(job) => return job.status.as_ref().is_some_and(|status| status.start_time.is_some() || status.conditions.is_some()),
        };
        seen.unwrap_or_default() >= self.metadata().generation.unwrap_or(1)
    }

    /// Type, status, reason and message of each condition.
    pub fn conditions(&self) -> Vec<Condition<'a>> {
        fn one<'a>(kind: &'a str, status: &'a str, reason: Option<&'a String>, message: Option<&'a String>) -> Condition<'a> {
            Condition { kind, status, reason: reason.map_or("", String::as_str), message: message.map_or("", String::as_str) }
        }
        match self {
            Self::Deployment(deployment) => {
                let all = deployment.status.iter().flat_map(|status| status.conditions.iter().flatten());
                all.map(|each| one(&each.type_, &each.status, each.reason.as_ref(), each.message.as_ref())).collect()
            }
            Self::StatefulSet(set) => {
                let all = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
                all.map(|each| one(&each.type_, &each.status, each.reason.as_ref(), each.message.as_ref())).collect()
            }
            Self::DaemonSet(set) => {
                let all = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
                all.map(|each| one(&each.type_, &each.status, each.reason.as_ref(), each.message.as_ref())).collect()
            }
            Self::Job(job) => {
                let all = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
                all.map(|each| one(&each.type_, &each.status, each.reason.as_ref(), each.message.as_ref())).collect()
            }
        }
    }
}

/// A condition of a workload.
#[derive(Clone, Copy, Debug)]
pub struct Condition<'a> {
    pub kind: &'a str,
    pub status: &'a str,
    pub reason: &'a str,
    pub message: &'a str,
}

impl<'a> Scene<'a> {
    /// Joins the objects of one release.
    pub fn of(observed: &'a Observed, release: &'a ServiceName, logs: &'a Logs, memory: &'a Memory, now: Time) -> Self {
        let mut workloads: Vec<Workload<'a>> = Vec::new();
        workloads.extend(observed.deployments.iter().filter(|each| belongs(&each.metadata, release)).map(Workload::Deployment));
        workloads.extend(observed.stateful_sets.iter().filter(|each| belongs(&each.metadata, release)).map(Workload::StatefulSet));
        workloads.extend(observed.daemon_sets.iter().filter(|each| belongs(&each.metadata, release)).map(Workload::DaemonSet));
        workloads.extend(observed.jobs.iter().filter(|each| belongs(&each.metadata, release)).map(Workload::Job));
        let replica_sets: Vec<&ReplicaSet> = workloads.iter().filter_map(|workload| newest_replica_set(observed, workload)).collect();
        // Every pod of the namespace is looked at for every release: what it is compared with is looked up once.
        let deployments: Vec<Option<&str>> =
            workloads.iter().filter(|workload| workload.kind() == WorkloadKind::Deployment).map(|workload| workload.metadata().uid.as_deref()).collect();
        let sets: Vec<&ReplicaSet> = observed.replica_sets.iter().filter(|set| deployments.iter().any(|uid| owned_by(&set.metadata, *uid))).collect();
        let mut pods = Vec::new();
        let mut old_pods = Vec::new();
        let replica = |pod: &&Pod| !pod.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(PROBE_LABEL));
        for pod in observed.pods.iter().filter(replica) {
            match generation_of(pod, &workloads, &replica_sets, &sets) {
                Some(true) if pod.metadata.deletion_timestamp.is_none() => pods.push(pod),
                Some(_) => old_pods.push(pod),
                None => {}
            }
        }
        let counted = |of: &[&ReplicaSet]| of.iter().filter_map(|set| observed.counted.get(set.metadata.uid.as_deref()?)).sum::<u32>();
        let (all_counted, counted) = (counted(&sets), counted(&replica_sets));
        let containers = pods.iter().flat_map(|pod| containers(pod, logs)).collect();
        let services = observed.services.iter().filter(|service| belongs(&service.metadata, release)).collect();
        Self {
            observed,
            release,
            memory,
            now,
            workloads,
            replica_sets,
            pods,
            old_pods,
            counted,
            old_counted: all_counted.saturating_sub(counted),
            containers,
            services,
        }
    }

    /// Events of one object, by its uid.
    pub fn events(&self, uid: Option<&str>) -> impl Iterator<Item = &'a Event> {
        let uid = uid.unwrap_or("no uid").to_owned();
        self.observed.events.iter().filter(move |event| event.involved_object.uid.as_deref() == Some(uid.as_str()))
    }

    /// Events of a pod, of one reason.
    pub fn pod_events(&self, pod: &Pod, reason: &'static str) -> impl Iterator<Item = &'a Event> {
        self.events(pod.metadata.uid.as_deref()).filter(move |event| event.reason.as_deref() == Some(reason))
    }

    /// Events of one container, of one reason.
    pub fn container_events(&self, container: &ContainerView<'_>, reason: &'static str) -> Vec<&'a Event> {
        let name = container.spec.name.clone();
        self.pod_events(container.pod, reason)
            .filter(|event| {
                // `spec.containers{name}`, `spec.initContainers{name}`; some events are about the pod as a whole.
                let path = event.involved_object.field_path.as_deref().unwrap_or_default();
                path.is_empty() || path.ends_with(&format!("{{{name}}}"))
            })
            .collect()
    }

    /// How often a probe of this kind (`liveness`, `startup`) made the kubelet kill the container.
    pub fn probe_kills(&self, container: &ContainerView<'_>, probe: &str) -> u32 {
        let words = format!("failed {probe} probe");
        self.container_events(container, "Killing").iter().filter(|event| message(event).contains(&words)).map(|event| times(event)).sum()
    }

    /// Ended runs of a container.
    pub fn ended_runs(&self, container: &ContainerView<'_>) -> u32 {
        container.status.map_or(0, |status| self.memory.ended_runs(container.uid(), status))
    }

    /// True where the namespace has a Service of this name.
    pub fn has_service(&self, name: &str) -> bool {
        self.observed.services.iter().any(|service| service.metadata.name.as_deref() == Some(name))
    }

    /// The namespace, as the objects say it.
    pub fn namespace(&self) -> &str {
        let of = |metadata: &'a ObjectMeta| metadata.namespace.as_deref();
        self.workloads.iter().find_map(|workload| of(workload.metadata())).or_else(|| self.pods.iter().find_map(|pod| of(&pod.metadata))).unwrap_or_default()
    }

    /// Who creates the pods: each new ReplicaSet, StatefulSet, DaemonSet and Job, with its description, events and conditions' messages.
    pub fn creators(&self) -> Vec<(String, Option<&'a str>)> {
        let sets = self.replica_sets.iter().map(|set| (format!("ReplicaSet {}", name(&set.metadata)), set.metadata.uid.as_deref()));
        let others = self.workloads.iter().filter(|workload| workload.kind() != WorkloadKind::Deployment);
        sets.chain(others.map(|workload| (workload.describe(), workload.metadata().uid.as_deref()))).collect()
    }

    /// True where fewer pods exist than are wanted: only then a refused creation still counts.
    pub fn lacks_pods(&self) -> bool {
        let finished = |workload: &Workload<'_>| matches!(workload, Workload::Job(job) if job.status.as_ref().is_some_and(|status| status.succeeded.unwrap_or_default() > 0));
        let wanted: u32 = self.workloads.iter().filter(|workload| !finished(workload)).map(Workload::wanted).sum();
        u32::try_from(self.pods.len()).unwrap_or(u32::MAX).saturating_add(self.counted) < wanted
    }
}

impl<'a> ContainerView<'a> {
    /// `Pod backend-7d9-abc container backend`.
    pub fn subject(&self) -> String {
        let kind = if self.init { "init container" } else { "container" };
        format!("Pod {} {kind} {}", name(&self.pod.metadata), self.spec.name)
    }

    pub fn uid(&self) -> &'a str {
        self.pod.metadata.uid.as_deref().unwrap_or_default()
    }

    pub fn image(&self) -> &'a str {
        self.spec.image.as_deref().unwrap_or_default()
    }

    pub fn waiting(&self) -> Option<&'a ContainerStateWaiting> {
        self.status?.state.as_ref()?.waiting.as_ref()
    }

    /// Reason and message of a wait; empty where the container does not wait.
    pub fn waits_for(&self) -> (&'a str, &'a str) {
        let waiting = self.waiting();
        (waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default(), waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default())
    }

    /// When the current run began.
    pub fn running_since(&self) -> Option<Time> {
        self.status?.state.as_ref()?.running.as_ref()?.started_at.as_ref().map(|time| time.0)
    }

    pub fn is_running(&self) -> bool {
        self.status.and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some())
    }

    pub fn is_ready(&self) -> bool {
        self.status.is_some_and(|status| status.ready)
    }

    pub fn restarts(&self) -> u32 {
        self.status.map_or(0, |status| u32::try_from(status.restart_count).unwrap_or_default())
    }

    /// True where the container is started anew after it has ended.
    pub fn restarted_always(&self) -> bool {
        let policy = self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()).unwrap_or("Always");
        if self.init { self.spec.restart_policy.as_deref() == Some("Always") } else { policy == "Always" }
    }

    /// True where an ended run is never followed by another.
    pub fn runs_once(&self) -> bool {
        self.pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref()) == Some("Never")
    }

    /// How the newest ended run ended, where the container has not recovered from it. `CrashLoopBackOff` is not waited for.
    pub fn ended(&self) -> Option<&'a ContainerStateTerminated> {
        let status = self.status?;
        let state = status.state.as_ref();
        let ended = match state.and_then(|state| state.terminated.as_ref()) {
            Some(ended) => ended,
            None if status.ready => return None,
            // A finished init container that runs its course is not ready; it has recovered when it runs without an ended run before.
            None => status.last_state.as_ref().and_then(|state| state.terminated.as_ref())?,
        };
        let done = ended.exit_code == 0 && !self.restarted_always();
        // After a node's restart the runtime has forgotten how its containers ended; that is no crash.
        let forgotten = matches!(ended.reason.as_deref(), Some("ContainerStatusUnknown" | "Unknown"));
        (!done && !forgotten).then_some(ended)
    }

    /// As `ended`, where it ended with an error.
    pub fn crashed(&self) -> Option<&'a ContainerStateTerminated> {
        self.ended().filter(|ended| ended.exit_code != 0)
    }

    /// The field where the end of the newest ended run stands.
    pub fn end_field(&self) -> String {
        let now = self.status.and_then(|status| status.state.as_ref()).is_some_and(|state| state.terminated.is_some());
        let statuses = if self.init { "initContainerStatuses" } else { "containerStatuses" };
        format!("Pod/{} .status.{statuses}[{}].{}.terminated", name(&self.pod.metadata), self.spec.name, if now { "state" } else { "lastState" })
    }

    /// Evidence of how the newest run ended.
    pub fn end_evidence(&self, ended: &ContainerStateTerminated) -> Evidence {
        let reason = ended.reason.as_deref().unwrap_or("Error");
        let text = match ended.message.as_deref().filter(|message| !message.is_empty()) {
            Some(message) => format!("exit code {}, reason {reason}: {message}", ended.exit_code),
            None => format!("exit code {}, reason {reason}", ended.exit_code),
        };
        let evidence = Evidence::new(Source::Object, self.end_field(), &text);
        match &ended.finished_at {
            Some(at) => evidence.seen(at.0),
            None => evidence,
        }
    }

    /// Evidence of a wait.
    pub fn wait_evidence(&self) -> Evidence {
        let (reason, message) = self.waits_for();
        let statuses = if self.init { "initContainerStatuses" } else { "containerStatuses" };
        let at = format!("Pod/{} .status.{statuses}[{}].state.waiting", name(&self.pod.metadata), self.spec.name);
        Evidence::new(Source::Object, at, &format!("{reason}: {message}"))
    }

    /// Where its log lines come from.
    pub fn log_place(&self) -> String {
        format!("log of Pod/{} container {}", name(&self.pod.metadata), self.spec.name)
    }
}

/// The name of an object.
pub fn name(metadata: &ObjectMeta) -> &str {
    metadata.name.as_deref().unwrap_or_default()
}

/// An event's message.
pub fn message(event: &Event) -> &str {
    event.message.as_deref().unwrap_or_default()
}

/// How often an event happened.
pub fn times(event: &Event) -> u32 {
    let count = event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1);
    u32::try_from(count.max(1)).unwrap_or(1)
}

/// When an event first happened.
pub fn began(event: &Event) -> Option<Time> {
    event.first_timestamp.as_ref().map(|time| time.0).or_else(|| event.event_time.as_ref().map(|time| time.0))
}

/// When an event last happened.
pub fn latest(event: &Event) -> Option<Time> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    series.or_else(|| event.last_timestamp.as_ref().map(|time| time.0)).or_else(|| event.event_time.as_ref().map(|time| time.0))
}

/// Evidence of an event.
pub fn event_evidence(event: &Event) -> Evidence {
    let object = &event.involved_object;
    let (kind, name) = (object.kind.as_deref().unwrap_or_default(), object.name.as_deref().unwrap_or_default());
    let at = format!("event {} of {kind}/{name}", event.reason.as_deref().unwrap_or_default());
    let count = times(event);
    let text = if count > 1 { format!("{} ({count} times)", message(event)) } else { message(event).to_owned() };
    let evidence = Evidence::new(Source::Event, at, &text);
    match latest(event) {
        Some(at) => evidence.seen(at),
        None => evidence,
    }
}

/// A condition of a pod.
pub fn pod_condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// True where the pod belongs to a Job.
pub fn of_job(pod: &Pod) -> bool {
    pod.metadata.owner_references.iter().flatten().any(|owner| owner.kind == "Job")
}

/// True where the pod has ended for good.
pub fn finished(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// True where the pod's condition Ready is True.
pub fn pod_ready(pod: &Pod) -> bool {
    pod_condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// Statuses of all containers; true for init containers.
pub fn statuses(pod: &Pod) -> impl Iterator<Item = (&ContainerStatus, bool)> {
    let status = pod.status.as_ref();
    let init = status.into_iter().flat_map(|status| status.init_container_statuses.iter().flatten()).map(|each| (each, true));
    let main = status.into_iter().flat_map(|status| status.container_statuses.iter().flatten()).map(|each| (each, false));
    init.chain(main)
}

/// Ready addresses behind a Service.
pub fn ready_endpoints(observed: &Observed, service: &str) -> u32 {
    let label = "kubernetes.io/service-name";
    let slices =
        observed.endpoint_slices.iter().filter(|slice| slice.metadata.labels.as_ref().and_then(|labels| labels.get(label)).is_some_and(|of| of == service));
    let endpoints = slices.flat_map(|slice| &slice.endpoints);
    // A missing `ready` means unknown, which consumers shall read as ready.
    let ready: BTreeSet<&str> = endpoints
        .filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|conditions| conditions.ready.unwrap_or(true)))
        .flat_map(|endpoint| endpoint.addresses.iter().map(String::as_str))
        .collect();
    u32::try_from(ready.len()).unwrap_or(u32::MAX)
}

/// True where the object's name or instance label is the release's.
pub(super) fn belongs(metadata: &ObjectMeta, release: &ServiceName) -> bool {
    let instance = metadata.labels.as_ref().and_then(|labels| labels.get("app.kubernetes.io/instance"));
    match instance {
        Some(instance) => instance == release.as_str(),
        None => metadata.name.as_deref() == Some(release.as_str()),
    }
}

fn owned_by(metadata: &ObjectMeta, uid: Option<&str>) -> bool {
    uid.is_some_and(|uid| metadata.owner_references.iter().flatten().any(|owner| owner.uid == uid))
}

/// Autoscalers of the release: its own, and those that scale one of its workloads.
pub fn autoscalers<'a>(scene: &Scene<'a>) -> impl Iterator<Item = &'a HorizontalPodAutoscaler> {
    let workloads: Vec<String> = scene.workloads.iter().map(Workload::describe).collect();
    let release = scene.release;
    scene.observed.autoscalers.iter().filter(move |each| {
        let target = each.spec.as_ref().map(|spec| &spec.scale_target_ref);
        belongs(&each.metadata, release) || target.is_some_and(|target| workloads.contains(&format!("{} {}", target.kind, target.name)))
    })
}

/// Why an autoscaler cannot see what it scales by: its condition ScalingActive is False for want of a metric.
pub fn blind(autoscaler: &HorizontalPodAutoscaler) -> Option<Evidence> {
    let conditions = autoscaler.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let condition = conditions.into_iter().find(|condition| condition.type_ == "ScalingActive" && condition.status == "False")?;
    let reason = condition.reason.as_deref().unwrap_or_default();
    // Scaled to nothing by a person, it is off and not blind.
    if !(reason.starts_with("FailedGet") && reason.ends_with("Metric")) {
        return None;
    }
    let place = format!("HorizontalPodAutoscaler/{} .status.conditions[ScalingActive]", name(&autoscaler.metadata));
    let evidence = Evidence::new(Source::Object, place, &format!("False, {reason}: {}", condition.message.as_deref().unwrap_or_default()));
    Some(match &condition.last_transition_time {
        Some(at) => evidence.seen(at.0),
        None => evidence,
    })
}

/// Ingresses of the release that no controller has given an address, with what shows it.
pub fn nowhere<'a>(scene: &Scene<'a>) -> impl Iterator<Item = (&'a str, Evidence)> {
    let release = scene.release;
    let addressed = |ingress: &&Ingress| {
        let balancer = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
        balancer.and_then(|balancer| balancer.ingress.as_ref()).is_some_and(|given| !given.is_empty())
    };
    scene.observed.ingresses.iter().filter(move |each| belongs(&each.metadata, release) && !addressed(each)).map(|each| {
        let class = each.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref()).unwrap_or("none");
        (
            name(&each.metadata),
            Evidence::new(Source::Object, format!("Ingress/{} .status.loadBalancer", name(&each.metadata)), &format!("no address; class {class}")),
        )
    })
}

/// The ReplicaSet of a Deployment's present template. None while the controller has not seen the newest specification.
fn newest_replica_set<'a>(observed: &'a Observed, workload: &Workload<'a>) -> Option<&'a ReplicaSet> {
    let Workload::Deployment(deployment) = workload else { return None };
    if !workload.generation_observed() {
        return None;
    }
    let revision = |metadata: &'a ObjectMeta| metadata.annotations.as_ref()?.get("deployment.kubernetes.io/revision")?.parse::<u64>().ok();
    let mine = observed.replica_sets.iter().filter(|set| owned_by(&set.metadata, deployment.metadata.uid.as_deref()));
    let newest = mine.max_by_key(|set| (revision(&set.metadata), set.metadata.creation_timestamp.as_ref().map(|time| time.0)))?;
    // The Deployment names the revision that it is at; a set of a lower number is yesterday's.
    match (revision(&deployment.metadata), revision(&newest.metadata)) {
        (Some(wanted), Some(found)) if found < wanted => None,
        _ => Some(newest),
    }
}

/// Some(true): of the newest template. Some(false): of an earlier one. None: not of this release. `sets` are all ReplicaSets of its Deployments.
fn generation_of(pod: &Pod, workloads: &[Workload<'_>], newest: &[&ReplicaSet], sets: &[&ReplicaSet]) -> Option<bool> {
    let owned = |set: &&ReplicaSet| owned_by(&pod.metadata, set.metadata.uid.as_deref());
    if newest.iter().any(owned) {
        return Some(true);
    }
    if sets.iter().any(owned) {
        return Some(false);
    }
    for workload in workloads {
        let uid = workload.metadata().uid.as_deref();
        match workload {
            Workload::StatefulSet(set) if owned_by(&pod.metadata, uid) => {
                let update = set.status.as_ref().and_then(|status| status.update_revision.as_deref());
                let mine = pod.metadata.labels.as_ref().and_then(|labels| labels.get("controller-revision-hash")).map(String::as_str);
                return Some(update.is_none() || update == mine);
            }
            Workload::DaemonSet(set) if owned_by(&pod.metadata, uid) => {
                // The set's template and each pod of it carry the same number, under two names.
                let wanted = set.metadata.annotations.as_ref().and_then(|all| all.get("deprecated.daemonset.template.generation"));
                let mine = pod.metadata.labels.as_ref().and_then(|labels| labels.get("pod-template-generation"));
                return Some(wanted.is_none() || wanted == mine);
            }
            Workload::Job(_) if owned_by(&pod.metadata, uid) => return Some(true),
            Workload::Deployment(_) | Workload::StatefulSet(_) | Workload::DaemonSet(_) | Workload::Job(_) => {}
        }
    }
    None
}

fn containers<'a>(pod: &'a Pod, logs: &'a Logs) -> Vec<ContainerView<'a>> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let view = |spec: &'a Container, init: bool| {
        let status = statuses(pod).find(|(status, of_init)| status.name == spec.name && *of_init == init).map(|(status, _)| status);
        let log = logs.get(&(name(&pod.metadata).to_owned(), spec.name.clone()));
        ContainerView { pod, spec, status, init, log }
    };
    let init = spec.init_containers.iter().flatten().map(|spec| view(spec, true));
    init.chain(spec.containers.iter().map(|spec| view(spec, false))).collect()
}
