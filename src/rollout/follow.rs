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
/// A verdict rests on something seen at most this long ago: a watch that has fallen silent looks like calm.
const FRESH: Duration = Duration::from_secs(1);
/// How long the look before a verdict may take.
const LOOK: Duration = Duration::from_secs(3);
/// How long to wait before a broken watch is opened again.
const REOPEN: Duration = Duration::from_secs(2);
/// How long a release may show nothing before its namespace is asked after.
const ABSENT: Duration = Duration::from_secs(3);
/// How far the clock may run apart from the time that has passed, before it counts as set.
const DRIFT: Duration = Duration::from_secs(2);
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
    /// Since when a release shows no workload, or when its namespace was asked after.
    absent_since: Option<Instant>,
    /// Restarts of all pods when everything became ready.
    calm: u32,
    /// What was seen at the last look, and when.
    last: Option<(String, Instant)>,
    /// What the clock said, and when.
    clock: Option<(Time, Instant)>,
}

impl Known {
    /// Notices a clock that was set, or stood still while the machine slept.
    fn note_clock(&mut self, now: Time) {
        let instant = Instant::now();
        if let Some((before, then)) = self.clock.replace((now, instant)) {
            let (told, passed) = (now.duration_since(before), instant.duration_since(then));
            let apart = told.as_secs_f64() - passed.as_secs_f64();
            if apart.abs() > DRIFT.as_secs_f64() {
                self.memory.clock_was_set(now);
            }
        }
    }

    /// `4 s ago: api: 0 of 1 pods ready`.
    fn last_seen(&self) -> String {
        match &self.last {
            Some((what, at)) => format!("last seen {} s ago: {what}", at.elapsed().as_secs()),
            None => "nothing was seen yet".to_owned(),
        }
    }
}

impl Rollout<'_> {
    /// Looks until every release is ready and calm, one is refused, or time is up. `CANCELLED` and `CLUSTER_UNREACHABLE` are the only failures.
    pub async fn follow(&self, releases: &[Expectation]) -> Result<RolloutEnd, Failure> {
        let started = Instant::now();
        let until = started + self.deadline;
        let mut known = Known::default();
        let mut observations = self.open(until, &known).await?;
        let mut looked: Option<Arc<Observed>> = None;
        loop {
            // What the watch has told since a look of our own is newer than it; clocks are not asked which, for they may be set back in between.
            let news = observations.has_changed().unwrap_or(false);
            let told = Arc::clone(&observations.borrow_and_update());
            let observed = looked.take().filter(|_| !news).unwrap_or(told);
            if self.cancel.run_until_cancelled(self.read_logs(releases, &observed, &mut known, until)).await.is_none() {
                return Err(self.cancelled().cause(known.last_seen()));
            }
            let now = self.clock.now();
            known.note_clock(now);
            let judgements: Vec<Judgement> = releases.iter().map(|each| judge(&observed, &each.release, &known.logs, &mut known.memory, now)).collect();
            self.tell(releases, &judgements);
            let fresh = observed.at.is_some_and(|at| now.duration_since(at).unsigned_abs() <= FRESH);
            if fresh || known.last.is_none() {
                known.last = Some((seen(releases, &judgements), Instant::now()));
            }
            if let Some(end) = self.ended(&judgements, releases, &observed, &mut known, until) {
                if fresh {
                    return Ok(self.sum_up(end, started.elapsed(), releases, &observed, judgements, &mut known, now));
                }
                match self.look().await {
                    Ok(look) => {
                        looked = Some(Arc::new(look));
                        continue;
                    }
                    Err(failure) if !failure.retryable || Instant::now() >= until => return Err(failure.cause(known.last_seen())),
                    Err(failure) => self.progress.note(&format!("no verdict without a look: {}; {}", failure.message, known.last_seen())),
                }
            }
            if let Some(failure) = self.gone(releases, &observed, &mut known).await {
                return Err(failure.cause(known.last_seen()));
            }
            tokio::select! {
                () = self.cancel.cancelled() => return Err(self.cancelled().cause(seen(releases, &judgements))),
                changed = observations.changed() => if changed.is_err() {
                    observations = self.open(until, &known).await?;
                },
                () = tokio::time::sleep_until(until.min(Instant::now() + TICK)) => {}
            }
        }
    }

    /// Why waiting is in vain where a release shows nothing: its namespace is being deleted, or is gone. None where it is there, and where the API server does not say.
    async fn gone(&self, releases: &[Expectation], observed: &Observed, known: &mut Known) -> Option<Failure> {
        if releases.iter().all(|each| progress(observed, &each.release).found) {
            known.absent_since = None;
            return None;
        }
        if known.absent_since.get_or_insert_with(Instant::now).elapsed() < ABSENT {
            return None;
        }
        known.absent_since = None;
        let facts = tokio::time::timeout(LOOK, self.cluster.namespace(self.at, self.namespace)).await.ok()?.ok()?;
        let state = match facts {
            Some(facts) if !facts.terminating => return None,
            Some(_) => "has lost its objects because it is being terminated",
            None => "is gone, and everything in it",
        };
        let text = format!("watch the rollout: namespace {} {state}", self.namespace);
        Some(Failure::new(Code::ClusterRefused, text).help("somebody deleted it; wait until it is gone, then deploy again"))
    }

    /// One look of our own, within its limit.
    async fn look(&self) -> Result<Observed, Failure> {
        tokio::select! {
            () = self.cancel.cancelled() => Err(self.cancelled()),
            looked = tokio::time::timeout(LOOK, self.cluster.observe(self.at, self.namespace)) => looked.unwrap_or_else(|_| Err(self.silent(LOOK))),
        }
    }

    fn silent(&self, waited: Duration) -> Failure {
        let text = format!("watch namespace {} at {}: no answer within {:.1} s", self.namespace, self.at.server, waited.as_secs_f64());
        Failure::new(Code::ClusterUnreachable, text).help("call again when the cluster answers; cluster_health says when it does")
    }

    /// Opens the watch; tries again until time is up where the API server does not answer.
    async fn open(&self, until: Instant, known: &Known) -> Result<Observations, Failure> {
        loop {
            let began = Instant::now();
            let failure = tokio::select! {
                () = self.cancel.cancelled() => return Err(self.cancelled()),
                opened = tokio::time::timeout_at(until.max(began + LOOK), self.cluster.watch(self.at, self.namespace)) => match opened {
                    Ok(Ok(observations)) => return Ok(observations),
                    Ok(Err(failure)) => failure,
                    Err(_) => self.silent(began.elapsed()),
                },
            };
            if !failure.retryable || Instant::now() + REOPEN > until {
                return Err(failure.cause(known.last_seen()));
            }
            self.progress.note(&format!("the API server does not answer, trying again: {}", failure.message));
            if self.cancel.run_until_cancelled(tokio::time::sleep(REOPEN)).await.is_none() {
                return Err(self.cancelled());
            }
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

    fn cancelled(&self) -> Failure {
        Failure::new(Code::Cancelled, format!("watch the rollout in namespace {}: cancelled", self.namespace))
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

/// What was seen of each release, in a few words.
fn seen(releases: &[Expectation], judgements: &[Judgement]) -> String {
    let each = |(each, judgement): (&Expectation, &Judgement)| match judgement {
        Judgement::Ready => format!("{}: ready", each.release),
        Judgement::Waiting { what } => format!("{}: {what}", each.release),
        Judgement::Refused(_) => format!("{}: refused", each.release),
    };
    releases.iter().zip(judgements).map(each).collect::<Vec<_>>().join("; ")
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
    let fits = |kind: WorkloadKind, wanted: WorkloadKind| kind == wanted || kind.keeps_running() && wanted.keeps_running();
    let right_kind = scene.workloads.iter().any(|workload| expected.kind.is_none_or(|kind| fits(workload.kind(), kind)));
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
        .map(|pod| {
            let ready = || super::ready_after(std::slice::from_ref(pod)).unwrap_or_else(|| "ready".to_owned());
            Evidence::new(Source::Object, format!("Pod/{} .status", pod.name), &if pod.ready { ready() } else { pod.waits.clone() })
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Outcome;
    use serde_json::{Value, json};

    const IMAGE: &str = "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";

    /// A release `api` as it shall be; `change` makes it wrong.
    fn look(restarts: i32, change: impl Fn(&mut Value)) -> Observed {
        let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
        let mine = json!({"app.kubernetes.io/instance": "api", "app": "api"});
        let mut all = json!({
            "deployment": {"metadata": {"name": "api", "uid": "d", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "1"}, "labels": mine},
                "spec": {"replicas": 1, "selector": {}, "template": {}}, "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}},
            "set": {"metadata": {"name": "api-1", "uid": "r", "annotations": {"deployment.kubernetes.io/revision": "1"}, "ownerReferences": owner("Deployment", "api", "d")},
                "spec": {"replicas": 1, "selector": {}}, "status": {"replicas": 1}},
            "pod": {"metadata": {"name": "api-1-x", "uid": "p", "labels": mine, "ownerReferences": owner("ReplicaSet", "api-1", "r")},
                "spec": {"nodeName": "node", "containers": [{"name": "api", "image": "api:1", "env": [{"name": "JWT_SECRET", "valueFrom": {"secretKeyRef": {"name": "api-secrets", "key": "x"}}}]}]},
                "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [
                    {"name": "api", "image": "api:1", "imageID": format!("docker://sha256:{IMAGE}"), "ready": true, "restartCount": restarts, "state": {"running": {}}}]}},
            "service": {"metadata": {"name": "api", "labels": mine}, "spec": {"selector": {"app": "api"}, "ports": [{"port": 8000}]}},
            "slice": {"metadata": {"name": "api-s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]},
            "secrets": ["api-secrets"],
        });
        change(&mut all);
        fn read<T: serde::de::DeserializeOwned>(all: &Value, field: &str) -> Vec<T> {
            all.get(field).filter(|value| !value.is_null()).map(|value| serde_json::from_value(value.clone()).unwrap()).into_iter().collect()
        }
        Observed {
            at: Some(Time::UNIX_EPOCH),
            deployments: read(&all, "deployment"),
            replica_sets: read(&all, "set"),
            pods: read(&all, "pod"),
            services: read(&all, "service"),
            endpoint_slices: read(&all, "slice"),
            secrets: serde_json::from_value(all["secrets"].clone()).unwrap(),
            ..Observed::default()
        }
    }

    /// The checks that did not pass, of a release that was calm for `calm` seconds of a window of ten.
    fn check(looks: &[Observed], calm: u64, expect: &[(&str, Outcome)]) {
        let expected = Expectation {
            release: ReleaseName::parse("api").unwrap(),
            kind: Some(WorkloadKind::Deployment),
            image_id: Some(format!("sha256:{IMAGE}")),
            needs_endpoints: true,
        };
        let mut known = Known { ready_since: Instant::now().checked_sub(Duration::from_secs(calm)), ..Known::default() };
        looks.iter().for_each(|look| known.memory.note(look, Time::UNIX_EPOCH));
        let last = looks.last().unwrap();
        let progress = progress(last, &expected.release);
        let all = checks(&expected, last, &progress, &known, Duration::from_secs(10), Time::UNIX_EPOCH);
        assert_eq!(all.len(), 6);
        let odd: Vec<_> = all.iter().filter(|check| check.outcome != Outcome::Pass).map(|check| (check.id.as_str(), check.outcome)).collect();
        assert_eq!(odd, expect, "{all:#?}");
    }

    #[test]
    fn every_check_of_the_kubernetes_gate_fails_for_its_own_fault_alone() {
        use Outcome::{Fail, NotRun};
        check(&[look(0, |_| ())], 20, &[]);
        check(&[look(3, |_| ())], 20, &[]);
        let unready = |all: &mut Value| {
            all["pod"]["status"]["conditions"][0]["status"] = json!("False");
            all["pod"]["status"]["containerStatuses"][0]["ready"] = json!(false);
        };
        check(&[look(0, unready)], 20, &[("kubernetes.pods_ready", Fail), ("kubernetes.no_restarts", NotRun)]);
        check(&[look(0, |_| ()), look(2, unready)], 20, &[("kubernetes.pods_ready", Fail), ("kubernetes.no_restarts", Fail)]);
        check(&[look(0, |_| ())], 5, &[("kubernetes.no_restarts", NotRun)]);
        check(
            &[look(0, |all| all["slice"]["endpoints"][0]["conditions"]["ready"] = json!(false))],
            20,
            &[("kubernetes.no_restarts", NotRun), ("kubernetes.endpoints", Fail)],
        );
        let other = format!("docker://sha256:{}", "0".repeat(64));
        check(&[look(0, |all| all["pod"]["status"]["containerStatuses"][0]["imageID"] = json!(other))], 20, &[("kubernetes.image_id", Fail)]);
        check(&[look(0, |all| all["secrets"] = json!([]))], 20, &[("kubernetes.references", Fail)]);
        let unseen = look(0, |all| all["deployment"]["metadata"]["generation"] = json!(2));
        // Whose pods they are is not known before that.
        let nothing_else = [("kubernetes.no_restarts", NotRun), ("kubernetes.image_id", NotRun), ("kubernetes.references", NotRun)];
        check(&[unseen], 20, &[&[("kubernetes.created", Fail), ("kubernetes.pods_ready", Fail)], &nothing_else[..]].concat());
    }
}
