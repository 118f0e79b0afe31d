//! Follows a rollout to its end: watches, reads each ended run's log once, judges, and gives back checks with their evidence; it changes nothing.

use super::scene::{ContainerView, Scene, name};
use super::{Judgement, LogTail, Logs, Memory, ReleaseProgress, WorkloadKind, judge, progress, readings};
use crate::evidence::{Check, Diagnosis, Evidence, Source, Time};
use crate::failure::{Code, Failure};
use crate::names::{Namespace, ReleaseName};
use crate::ports::{Clock, Cluster, LogRequest, Observations, Observed, Progress, Proof};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How often windows are looked at while nothing changes.
const TICK: Duration = Duration::from_millis(500);
/// How long one log may take; a verdict does not wait longer for it.
const LOG: Duration = Duration::from_secs(3);
/// How often the log of a container that runs and is not ready is read again.
const REREAD: Duration = Duration::from_secs(5);
/// How long to wait before a broken watch is opened again.
const REOPEN: Duration = Duration::from_secs(2);
/// Lines of a log that are read.
const LINES: i64 = 200;

/// What a release shall come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    pub release: ReleaseName,
    /// None where any will do.
    pub kind: Option<WorkloadKind>,
    /// `sha256:…` of what we built, or its first twelve digits; None for a public image.
    pub image_id: Option<String>,
    /// Its Service must have ready addresses.
    pub needs_endpoints: bool,
}

/// How the rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every release is ready, and stayed so for the window without a restart.
    Ready,
    /// A release will not become ready by waiting.
    Refused,
    /// Time is up; the diagnoses are the best reading of what was seen last.
    Deadline,
}

/// How one release ended.
#[derive(Clone, Debug, PartialEq)]
pub struct ReleaseEnd {
    pub release: ReleaseName,
    pub progress: ReleaseProgress,
    /// The kubernetes gate's checks of this release.
    pub checks: Vec<Check>,
    pub diagnoses: Vec<Diagnosis>,
}

/// How the rollout ended, with evidence taken before anything is undone.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutEnd {
    pub end: End,
    pub elapsed: Duration,
    pub releases: Vec<ReleaseEnd>,
}

/// A rollout to follow: where, how patiently, and who hears of it.
pub struct Rollout<'a> {
    pub cluster: &'a dyn Cluster,
    pub clock: &'a dyn Clock,
    pub at: &'a Proof,
    pub namespace: &'a Namespace,
    /// How long everything must stay ready without a restart.
    pub window: Duration,
    pub deadline: Duration,
    pub progress: &'a dyn Progress,
    pub cancel: &'a CancellationToken,
}

impl std::fmt::Debug for Rollout<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Rollout({})", self.namespace)
    }
}

/// What is known so far.
#[derive(Default)]
struct Known {
    memory: Memory,
    logs: Logs,
    /// Ended runs whose log was read or given up: pod uid, container, run; and how often it was tried.
    read: BTreeMap<(String, String, String), u8>,
    reread_at: Option<Instant>,
    ready_since: Option<Instant>,
    /// Restarts of all pods when everything became ready.
    calm: u32,
}

impl Rollout<'_> {
    /// Looks until every release is ready and calm, one is refused, or time is up. `CANCELLED` and `CLUSTER_UNREACHABLE` are the only failures.
    pub async fn follow(&self, releases: &[Expectation]) -> Result<RolloutEnd, Failure> {
        let started = Instant::now();
        let until = started + self.deadline;
        let mut known = Known::default();
        let mut observations = self.open(until).await?;
        loop {
            let observed = Arc::clone(&observations.borrow_and_update());
            self.read_logs(releases, &observed, &mut known, until).await;
            let now = self.clock.now();
            let judgements: Vec<Judgement> = releases.iter().map(|each| judge(&observed, &each.release, &known.logs, &mut known.memory, now)).collect();
            self.tell(releases, &judgements);
            if let Some(end) = self.ended(&judgements, releases, &observed, &mut known, until) {
                return Ok(self.sum_up(end, started.elapsed(), releases, &observed, judgements, &mut known, now));
            }
            tokio::select! {
                () = self.cancel.cancelled() => return Err(self.cancelled(releases, &judgements)),
                changed = observations.changed() => if changed.is_err() {
                    observations = self.open(until).await?;
                },
                () = tokio::time::sleep_until(until.min(Instant::now() + TICK)) => {}
            }
        }
    }

    /// Opens the watch; tries again until time is up where the API server does not answer.
    async fn open(&self, until: Instant) -> Result<Observations, Failure> {
        loop {
            let failure = tokio::select! {
                () = self.cancel.cancelled() => return Err(Failure::new(Code::Cancelled, format!("watch namespace {}: cancelled", self.namespace))),
                opened = self.cluster.watch(self.at, self.namespace) => match opened {
                    Ok(observations) => return Ok(observations),
                    Err(failure) => failure,
                },
            };
            if !failure.retryable || Instant::now() + REOPEN > until {
                return Err(failure);
            }
            self.progress.note(&format!("the API server does not answer, trying again: {}", failure.message));
            tokio::time::sleep(REOPEN).await;
        }
    }

    fn tell(&self, releases: &[Expectation], judgements: &[Judgement]) {
        let ready = judgements.iter().filter(|judgement| matches!(judgement, Judgement::Ready)).count();
        self.progress.amount(u64::try_from(ready).unwrap_or_default(), u64::try_from(releases.len()).unwrap_or_default());
        let waiting = releases.iter().zip(judgements).find_map(|(each, judgement)| match judgement {
            Judgement::Waiting { what } => Some(format!("{}: {what}", each.release)),
            Judgement::Ready | Judgement::Refused(_) => None,
        });
        if let Some(waiting) = waiting {
            self.progress.note(&waiting);
        }
    }

    /// The end, where there is one. Becoming unready or restarting starts the window anew.
    fn ended(&self, judgements: &[Judgement], releases: &[Expectation], observed: &Observed, known: &mut Known, until: Instant) -> Option<End> {
        if judgements.iter().any(|judgement| matches!(judgement, Judgement::Refused(_))) {
            return Some(End::Refused);
        }
        let restarts: u32 = releases.iter().map(|each| progress(observed, &each.release).restarts).sum();
        let served = releases.iter().all(|each| !each.needs_endpoints || progress(observed, &each.release).endpoints.values().any(|ready| *ready > 0));
        let ready = served && judgements.iter().all(|judgement| *judgement == Judgement::Ready);
        if !ready || known.ready_since.is_some() && restarts != known.calm {
            known.ready_since = None;
        }
        if ready {
            let since = *known.ready_since.get_or_insert_with(Instant::now);
            known.calm = restarts;
            if since.elapsed() >= self.window {
                return Some(End::Ready);
            }
        }
        (Instant::now() >= until).then_some(End::Deadline)
    }

    fn cancelled(&self, releases: &[Expectation], judgements: &[Judgement]) -> Failure {
        let last: Vec<String> = releases
            .iter()
            .zip(judgements)
            .map(|(each, judgement)| match judgement {
                Judgement::Ready => format!("{}: ready", each.release),
                Judgement::Waiting { what } => format!("{}: {what}", each.release),
                Judgement::Refused(_) => format!("{}: refused", each.release),
            })
            .collect();
        Failure::new(Code::Cancelled, format!("watch the rollout in namespace {}: cancelled", self.namespace)).cause(last.join("; "))
    }

    /// Reads the log of every ended run once, and of containers that run and are not ready from time to time.
    async fn read_logs(&self, releases: &[Expectation], observed: &Observed, known: &mut Known, until: Instant) {
        let mut wanted: Vec<Wanted> = Vec::new();
        let reread = known.reread_at.is_none_or(|at| at <= Instant::now());
        for each in releases {
            let scene = Scene::of(observed, &each.release, &known.logs, &known.memory, Time::UNIX_EPOCH);
            wanted.extend(scene.containers.iter().filter_map(|container| wanted_log(container, &known.read, reread)));
        }
        if wanted.is_empty() {
            return;
        }
        if wanted.iter().any(|each| each.run.is_none()) {
            known.reread_at = Some(Instant::now() + REREAD);
        }
        let limit = LOG.min(until.saturating_duration_since(Instant::now()).max(Duration::from_millis(500)));
        let reads = wanted.into_iter().map(|wanted| async move {
            let read = tokio::time::timeout(limit, self.cluster.logs(self.at, self.namespace, &wanted.request)).await;
            (wanted, read.ok().and_then(Result::ok))
        });
        let reads: Vec<(Wanted, Option<String>)> = futures::stream::iter(reads).buffer_unordered(8).collect().await;
        for (wanted, text) in reads {
            // An empty log may be that of the run that began meanwhile; the next look asks for the previous one.
            let text = text.filter(|text| !text.trim().is_empty());
            if let Some(run) = &wanted.run {
                let tried = known.read.entry((wanted.uid.clone(), wanted.request.container.clone(), run.clone())).or_default();
                *tried = if text.is_some() { TRIES } else { tried.saturating_add(1) };
            }
            if let Some(text) = text {
                known.logs.insert((wanted.request.pod, wanted.request.container), LogTail { text, run: wanted.run });
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "everything that is known at the end, once")]
    fn sum_up(
        &self,
        end: End,
        elapsed: Duration,
        releases: &[Expectation],
        observed: &Observed,
        judgements: Vec<Judgement>,
        known: &mut Known,
        now: Time,
    ) -> RolloutEnd {
        let mut ends = Vec::new();
        for (each, judgement) in releases.iter().zip(judgements) {
            let diagnoses = match (judgement, end) {
                (Judgement::Refused(diagnoses), _) => diagnoses,
                (Judgement::Waiting { .. }, End::Deadline) => readings(observed, &each.release, &known.logs, &mut known.memory, now),
                (Judgement::Ready | Judgement::Waiting { .. }, _) => Vec::new(),
            };
            let progress = progress(observed, &each.release);
            let checks = checks(each, observed, &progress, known, self.window, now);
            ends.push(ReleaseEnd { release: each.release.clone(), progress, checks, diagnoses });
        }
        RolloutEnd { end, elapsed, releases: ends }
    }
}

/// A log to read.
struct Wanted {
    request: LogRequest,
    uid: String,
    /// The ended run; None for the present one.
    run: Option<String>,
}

/// How often a log that cannot be had is asked for.
const TRIES: u8 = 3;

fn wanted_log(container: &ContainerView<'_>, read: &BTreeMap<(String, String, String), u8>, reread: bool) -> Option<Wanted> {
    let request = |previous: bool| LogRequest {
        pod: name(&container.pod.metadata).to_owned(),
        container: container.spec.name.clone(),
        previous,
        lines: LINES,
        since_seconds: None,
    };
    let uid = container.uid().to_owned();
    if let Some(ended) = container.ended() {
        // What never started has written nothing.
        if matches!(ended.reason.as_deref(), Some("StartError" | "ContainerCannotRun")) {
            return None;
        }
        let run = ended.container_id.clone()?;
        let tried = read.get(&(uid.clone(), container.spec.name.clone(), run.clone())).copied().unwrap_or_default();
        // While a container is ended or waits, its last log is the present one; `previous` lies then.
        return (tried < TRIES).then(|| Wanted { request: request(container.is_running()), uid, run: Some(run) });
    }
    let unready = container.is_running() && !container.is_ready() && !container.init;
    (unready && reread).then(|| Wanted { request: request(false), uid, run: None })
}

/// The kubernetes gate's checks of one release.
fn checks(expected: &Expectation, observed: &Observed, progress: &ReleaseProgress, known: &Known, window: Duration, now: Time) -> Vec<Check> {
    let scene = Scene::of(observed, &expected.release, &known.logs, &known.memory, now);
    let mut all = vec![created(expected, &scene, progress), pods_ready(expected, progress), no_restarts(&scene, progress, known, window)];
    all.push(endpoints(expected, progress));
    all.push(image_id(expected, progress));
    all.push(references(&scene));
    all
}

fn created(expected: &Expectation, scene: &Scene<'_>, progress: &ReleaseProgress) -> Check {
    let probed = format!("workloads of release {}, and whether their controllers have seen the newest specification", expected.release);
    let evidence: Vec<Evidence> = scene
        .workloads
        .iter()
        .map(|workload| {
            Evidence::new(
                Source::Object,
                workload.describe().replace(' ', "/"),
                &format!("generation {}, observed: {}", workload.metadata().generation.unwrap_or_default(), workload.generation_observed()),
            )
        })
        .collect();
    let right_kind = scene.workloads.iter().any(|workload| expected.kind.is_none_or(|kind| workload.kind() == kind));
    match evidence.first().cloned() {
        Some(first) if right_kind && progress.generation_observed => {
            evidence.into_iter().skip(1).fold(Check::pass("kubernetes.created", probed, first), Check::with)
        }
        Some(_) | None => {
            Check::fail("kubernetes.created", probed, if right_kind { "a controller has not seen it yet" } else { "it does not exist" }, evidence)
        }
    }
}

fn pods_ready(expected: &Expectation, progress: &ReleaseProgress) -> Check {
    let probed = format!("pods of the newest template of {}", expected.release);
    let evidence: Vec<Evidence> = progress
        .pods
        .iter()
        .map(|pod| Evidence::new(Source::Object, format!("Pod/{} .status", pod.name), &if pod.ready { "ready".to_owned() } else { pod.waits.clone() }))
        .collect();
    match evidence.first().cloned() {
        Some(first) if progress.ready >= progress.wanted && progress.wanted > 0 => {
            evidence.into_iter().skip(1).fold(Check::pass("kubernetes.pods_ready", probed, first), Check::with)
        }
        Some(_) | None => {
            Check::fail("kubernetes.pods_ready", probed, if progress.what.is_empty() { "no pod is wanted".to_owned() } else { progress.what.clone() }, evidence)
        }
    }
}

fn no_restarts(scene: &Scene<'_>, progress: &ReleaseProgress, known: &Known, window: Duration) -> Check {
    let probed = format!("restart counts of {} over {} s", progress.release, window.as_secs());
    if progress.pods.is_empty() {
        return Check::not_run("kubernetes.no_restarts", probed, "there is no pod to look at");
    }
    let grown: Vec<(String, u32)> = scene
        .containers
        .iter()
        .filter(|container| !container.init)
        .map(|container| (container.subject(), known.memory.new_restarts(container.uid(), &container.spec.name)))
        .filter(|(_, restarts)| *restarts > 0)
        .collect();
    let evidence =
        |(subject, restarts): &(String, u32)| Evidence::new(Source::Object, subject.clone(), &format!("{restarts} restarts while the rollout was watched"));
    if progress.done && known.ready_since.is_some_and(|since| since.elapsed() >= window) {
        let calm = Evidence::new(
            Source::Object,
            format!("pods of {}", progress.release),
            &format!("no restart for {} s (restarts in all: {})", window.as_secs(), progress.restarts),
        );
        return grown.iter().map(evidence).fold(Check::pass("kubernetes.no_restarts", probed, calm), Check::with);
    }
    if grown.is_empty() {
        return Check::not_run("kubernetes.no_restarts", probed, "the pods were not ready for the whole window");
    }
    let total: u32 = grown.iter().map(|(_, restarts)| restarts).sum();
    Check::fail("kubernetes.no_restarts", probed, format!("{total} restarts"), grown.iter().map(evidence).collect())
}

fn endpoints(expected: &Expectation, progress: &ReleaseProgress) -> Check {
    let probed = format!("ready addresses behind the Services of {}", expected.release);
    if progress.endpoints.is_empty() {
        return match expected.needs_endpoints {
            true => Check::fail("kubernetes.endpoints", probed, "it has no Service", Vec::new()),
            false => Check::not_run("kubernetes.endpoints", probed, "it has no Service, and needs none").optional(),
        };
    }
    let evidence: Vec<Evidence> = progress
        .endpoints
        .iter()
        .map(|(service, ready)| Evidence::new(Source::Object, format!("EndpointSlices of Service/{service}"), &format!("{ready} ready addresses")))
        .collect();
    match evidence.first().cloned() {
        Some(first) if progress.endpoints.values().all(|ready| *ready > 0) => {
            evidence.into_iter().skip(1).fold(Check::pass("kubernetes.endpoints", probed, first), Check::with)
        }
        Some(_) | None => Check::fail("kubernetes.endpoints", probed, "a Service has no ready address", evidence),
    }
}

/// The running image is the one that was built: the runtime's id ends in ours.
fn image_id(expected: &Expectation, progress: &ReleaseProgress) -> Check {
    let probed = format!("image id of the running containers of {}", expected.release);
    let running: Vec<(String, &String)> = progress
        .pods
        .iter()
        .flat_map(|pod| pod.image_ids.iter().map(|(container, id)| (format!("Pod/{} .status.containerStatuses[{container}].imageID", pod.name), id)))
        .collect();
    let evidence: Vec<Evidence> = running.iter().map(|(place, id)| Evidence::new(Source::Object, place.clone(), id)).collect();
    let Some(wanted) = &expected.image_id else {
        let not_ours = Check::not_run("kubernetes.image_id", probed, "a public image: there is no id of ours to compare").optional();
        return evidence.into_iter().fold(not_ours, Check::with);
    };
    let wanted = wanted.trim_start_matches("sha256:");
    // Each pod must run it; other containers of the pod may be of other images. Helm's record keeps the id's first twelve digits.
    let is_it = |id: &String| wanted.len() >= 12 && id.rsplit("sha256:").next().is_some_and(|hex| hex.starts_with(wanted));
    let everywhere = !progress.pods.is_empty() && progress.pods.iter().all(|pod| pod.image_ids.values().any(is_it));
    match evidence.first().cloned() {
        Some(first) if everywhere => evidence.into_iter().skip(1).fold(Check::pass("kubernetes.image_id", probed, first), Check::with),
        Some(_) => Check::fail("kubernetes.image_id", probed, format!("not every pod runs the built image sha256:{wanted}"), evidence),
        None => Check::not_run("kubernetes.image_id", probed, "no container has an image yet"),
    }
}

/// Every ConfigMap and Secret that the pods refer to is there, and the kubelet started containers with them.
fn references(scene: &Scene<'_>) -> Check {
    let probed = format!("ConfigMaps and Secrets that pods of {} refer to", scene.release);
    if scene.pods.is_empty() {
        return Check::not_run("kubernetes.references", probed, "there is no pod to look at");
    }
    let mut wanted: BTreeSet<(&'static str, String)> = BTreeSet::new();
    for pod in &scene.pods {
        wanted.extend(referred(pod));
    }
    let there = |kind: &str, name: &String| if kind == "Secret" { scene.observed.secrets.contains(name) } else { scene.observed.config_maps.contains(name) };
    let missing: Vec<String> = wanted.iter().filter(|(kind, name)| !there(kind, name)).map(|(kind, name)| format!("{kind} {name}")).collect();
    let unresolved: Vec<String> = scene
        .containers
        .iter()
        .filter(|container| matches!(container.waits_for().0, "CreateContainerConfigError"))
        .map(|container| format!("{}: {}", container.subject(), container.waits_for().1))
        .collect();
    let names: Vec<String> = wanted.iter().map(|(kind, name)| format!("{kind} {name}")).collect();
    let text = if names.is_empty() { "they refer to none".to_owned() } else { format!("all exist: {}", names.join(", ")) };
    if missing.is_empty() && unresolved.is_empty() {
        return Check::pass("kubernetes.references", probed, Evidence::new(Source::Object, format!("pods of {}", scene.release), &text));
    }
    let evidence = missing
        .iter()
        .map(|each| Evidence::new(Source::Object, each.clone(), "does not exist"))
        .chain(unresolved.iter().map(|each| Evidence::new(Source::Object, format!("pods of {}", scene.release), each)))
        .collect();
    let reason = if missing.is_empty() { "a reference cannot be resolved".to_owned() } else { format!("missing: {}", missing.join(", ")) };
    Check::fail("kubernetes.references", probed, reason, evidence)
}

/// What a pod refers to and cannot do without.
fn referred(pod: &Pod) -> Vec<(&'static str, String)> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let mut all = Vec::new();
    for container in spec.init_containers.iter().flatten().chain(&spec.containers) {
        all.extend(referred_by(container));
    }
    for volume in spec.volumes.iter().flatten() {
        if let Some(secret) = volume.secret.as_ref().filter(|secret| secret.optional != Some(true)) {
            all.extend(secret.secret_name.clone().map(|name| ("Secret", name)));
        }
        if let Some(map) = volume.config_map.as_ref().filter(|map| map.optional != Some(true)) {
            all.push(("ConfigMap", map.name.clone()));
        }
    }
    all
}

fn referred_by(container: &Container) -> Vec<(&'static str, String)> {
    let mut all = Vec::new();
    for from in container.env.iter().flatten().filter_map(|variable| variable.value_from.as_ref()) {
        if let Some(secret) = from.secret_key_ref.as_ref().filter(|secret| secret.optional != Some(true)) {
            all.push(("Secret", secret.name.clone()));
        }
        if let Some(map) = from.config_map_key_ref.as_ref().filter(|map| map.optional != Some(true)) {
            all.push(("ConfigMap", map.name.clone()));
        }
    }
    for from in container.env_from.iter().flatten() {
        if let Some(secret) = from.secret_ref.as_ref().filter(|secret| secret.optional != Some(true)) {
            all.push(("Secret", secret.name.clone()));
        }
        if let Some(map) = from.config_map_ref.as_ref().filter(|map| map.optional != Some(true)) {
            all.push(("ConfigMap", map.name.clone()));
        }
    }
    all
}
