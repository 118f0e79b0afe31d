//! A world of its own for the engine: images, releases and a cluster that live in memory, do what they are told, and fail when a test says so.

use async_trait::async_trait;
use landfall::evidence::Time;
use landfall::failure::{Code, Failure};
use landfall::names::{AdvisorName, AppName, ImageRef, Namespace, OperationId, ProfileName, ReleaseName, Revision};
use landfall::ports::{
    Advisor, AdvisorFacts, AdvisorRefusal, AdvisorSetting, Apply, BuildRequest, Charts, Clock, Cluster, DryRunFinding, Executed, Forward, HelmRevision,
    HelmSaid, ImageFacts, Images, Keyed, KeyedKind, LocalCluster, LogRequest, McpPeer, Monitor, NamespaceFacts, Node, NodeImage, Observations, Observed,
    Package, PeerAnswer, PeerFacts, Profile, ProfileStatus, Program, Progress, Proof, Published, Runtime, ScanReport, Scanner, StartSpec, Started, TryStart,
    Usage, World,
};
use landfall::secret::Secret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One object that nobody has a rule against.
pub(crate) const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  greeting: hello\n";

tokio::task_local! {
    /// Set in the task of a worker.
    pub(crate) static WORKER: ();
}

/// What is in the world.
#[derive(Default)]
struct Inner {
    namespace: bool,
    secrets: BTreeMap<String, Vec<String>>,
    images: BTreeMap<String, String>,
    releases: BTreeMap<String, Vec<HelmRevision>>,
    lease: Option<String>,
    manifest: String,
    /// Failures to come, by what is asked for.
    failures: BTreeMap<&'static str, VecDeque<Failure>>,
    /// Everything that was tried, in order.
    done: Vec<String>,
    watchers: Vec<tokio::sync::watch::Sender<Arc<Observed>>>,
    slow: Duration,
    /// What never ends when it is tried next.
    stalls: Option<&'static str>,
    /// A manifest that the API server refuses.
    refused: Option<String>,
    empties: bool,
    /// Digests of what the registry took.
    digests: BTreeSet<String>,
    /// minikube's addons that are on.
    addons: BTreeSet<String>,
    /// Values of Secrets, by name and key.
    values: BTreeMap<(String, String), String>,
    /// What every revision was rendered from, by release.
    rendered: BTreeMap<String, Vec<Rendered>>,
    /// The app answers requests, and its processes show their environment.
    answers: bool,
    /// A release whose pods never get ready, from this revision on.
    broken: Option<(String, u32)>,
    /// How far the clock was set, seconds; and how far it will be set when something is tried next.
    clock: i64,
    sets_clock: BTreeMap<&'static str, i64>,
    /// The namespace is deleted, with all that is in it, when this is tried next.
    deletes_namespace: Option<&'static str>,
    /// Moments that have passed, and the one at which the worker dies.
    moments: usize,
    dies_at: Option<usize>,
    /// What was tried and not done when the worker died; none where it died over a line of its journal.
    died_before: Option<String>,
    /// What the advisor says next, and what it was asked.
    advice: VecDeque<Result<String, AdvisorRefusal>>,
    asked: Vec<String>,
}

/// A revision's manifest, and the values its chart had.
#[derive(Clone, Default)]
struct Rendered {
    manifest: String,
    values: Value,
}

/// The world; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    pub(crate) fn new() -> Self {
        let fake = Self::default();
        let mut inner = fake.0.lock().unwrap();
        inner.manifest = MANIFEST.to_owned();
        inner.addons.insert("metrics-server".to_owned());
        drop(inner);
        fake
    }

    pub(crate) fn world(&self) -> World {
        let shared = Arc::new(self.clone());
        World {
            local: shared.clone(),
            images: shared.clone(),
            charts: shared.clone(),
            cluster: shared.clone(),
            mcp: shared.clone(),
            scanner: shared.clone(),
            advisors: vec![shared.clone()],
            clock: shared,
        }
    }

    /// What every chart renders to.
    pub(crate) fn renders(&self, manifest: &str) {
        manifest.clone_into(&mut self.0.lock().unwrap().manifest);
    }

    /// This addon of minikube is off.
    pub(crate) fn lacks_addon(&self, addon: &str) {
        self.0.lock().unwrap().addons.remove(addon);
    }

    /// The values that a release's newest revision was rendered with.
    pub(crate) fn values(&self, release: &str) -> Value {
        self.0.lock().unwrap().rendered[release].last().unwrap().values.clone()
    }

    pub(crate) fn addons(&self) -> Vec<String> {
        self.0.lock().unwrap().addons.iter().cloned().collect()
    }

    /// The next `times` calls of this kind fail.
    pub(crate) fn fails(&self, what: &'static str, times: usize, failure: &Failure) {
        self.0.lock().unwrap().failures.entry(what).or_default().extend(std::iter::repeat_n(failure.clone(), times));
    }

    /// What is rendered once the namespace is there has no objects.
    pub(crate) fn empties_after_the_chart_stage(&self) {
        self.0.lock().unwrap().empties = true;
    }

    /// What the advisor says when it is asked next.
    pub(crate) fn says(&self, answer: Result<&str, AdvisorRefusal>) {
        self.0.lock().unwrap().advice.push_back(answer.map(str::to_owned));
    }

    /// Everything that the advisor was asked, the newest last.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    /// Charts take this long to be judged.
    pub(crate) fn slow(&self, time: Duration) {
        self.0.lock().unwrap().slow = time;
    }

    /// This takes for ever when it is tried next.
    pub(crate) fn stalls(&self, when: &'static str) {
        self.0.lock().unwrap().stalls = Some(when);
    }

    /// What was recorded of this revision would not be taken back by the API server.
    pub(crate) fn refuses_to_take_back(&self, release: &str, revision: usize) {
        let mut inner = self.0.lock().unwrap();
        inner.refused = Some(inner.rendered[release][revision - 1].manifest.clone());
    }

    /// The API server takes everything again.
    pub(crate) fn refuses_nothing(&self) {
        self.0.lock().unwrap().refused = None;
    }

    async fn stall(&self, what: &'static str) {
        let stalls = {
            let mut inner = self.0.lock().unwrap();
            if inner.stalls == Some(what) { inner.stalls.take() } else { None }
        };
        if stalls.is_some() {
            std::future::pending::<()>().await;
        }
    }

    /// From now on the app answers as it should.
    pub(crate) fn answers(&self) {
        self.0.lock().unwrap().answers = true;
    }

    /// Pods of this release never get ready from this revision on.
    pub(crate) fn breaks(&self, release: &str, from: u32) {
        self.0.lock().unwrap().broken = Some((release.to_owned(), from));
    }

    /// The clock is set by so many seconds when this is tried next.
    pub(crate) fn sets_the_clock(&self, when: &'static str, seconds: i64) {
        self.0.lock().unwrap().sets_clock.insert(when, seconds);
    }

    /// Somebody deletes the namespace when this is tried next.
    pub(crate) fn loses_its_namespace(&self, when: &'static str) {
        self.0.lock().unwrap().deletes_namespace = Some(when);
    }

    /// The app is held by an operation of another machine.
    pub(crate) fn held_by(&self, operation: &str) {
        self.0.lock().unwrap().lease = Some(operation.to_owned());
    }

    pub(crate) fn lease(&self) -> Option<String> {
        self.0.lock().unwrap().lease.clone()
    }

    /// Counts moments anew: every look at the clock, as for each line of a journal, and every effect before it lands. The worker dies at this one.
    pub(crate) fn dies_at(&self, moment: Option<usize>) {
        let mut inner = self.0.lock().unwrap();
        (inner.moments, inner.dies_at) = (0, moment);
    }

    /// True where the worker died before something was done, as against over a line of its journal.
    pub(crate) fn died_before_an_effect(&self) -> bool {
        self.0.lock().unwrap().died_before.is_some()
    }

    /// Moments since they were last counted anew.
    pub(crate) fn moments(&self) -> usize {
        self.0.lock().unwrap().moments
    }

    /// Revisions and status of every release, images and keys of Secrets: what two worlds are compared by.
    pub(crate) fn picture(&self) -> Vec<String> {
        let inner = self.0.lock().unwrap();
        let releases = inner.releases.iter().flat_map(|(release, history)| history.iter().map(move |one| format!("{release} {} {}", one.revision, one.status)));
        let images = inner.images.keys().map(|image| format!("image {image}"));
        let secrets = inner.secrets.iter().map(|(name, keys)| format!("secret {name} {keys:?}"));
        releases.chain(images).chain(secrets).chain([format!("lease {:?}", inner.lease)]).collect()
    }

    /// The newest revision of a release with its status and whether it is marked as verified.
    pub(crate) fn newest(&self, release: &str) -> Option<(u32, String, bool)> {
        let inner = self.0.lock().unwrap();
        let last = inner.releases.get(release)?.last()?;
        Some((last.revision.0, last.status.clone(), last.labels.get("verified-revision") == Some(&last.revision.to_string())))
    }

    /// Panics in the worker's own task where it shall die; nothing of the world is held then. Other tasks' moments do not count.
    fn moment(&self, effect: Option<&str>) {
        if WORKER.try_with(|()| ()).is_err() {
            return;
        }
        let mut inner = self.0.lock().unwrap();
        inner.moments += 1;
        let dies = inner.dies_at == Some(inner.moments);
        if dies {
            inner.died_before = effect.map(str::to_owned);
        }
        drop(inner);
        assert!(!dies, "the worker is killed here");
    }

    /// How often something was done or tried.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().done.iter().filter(|done| done.starts_with(what)).count()
    }

    fn does(&self, what: &'static str, whose: impl std::fmt::Display) -> Result<(), Failure> {
        let whole = format!("{what} {whose}");
        self.moment(Some(&whole));
        let mut inner = self.0.lock().unwrap();
        if let Some(seconds) = inner.sets_clock.remove(what) {
            inner.clock += seconds;
        }
        if inner.deletes_namespace.take_if(|when| *when == what).is_some() {
            inner.namespace = false;
            inner.releases.clear();
            inner.secrets.clear();
        }
        // A failure may be of one release alone: `apply till`.
        let mut told = inner.failures.iter_mut().filter(|(wanted, _)| **wanted == what || **wanted == whole);
        let failure = told.find_map(|(_, failures)| failures.pop_front());
        inner.done.push(whole);
        match failure {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Every installed release as one ready pod that runs its image.
    fn seen(&self) -> Observed {
        let now = self.time();
        let inner = self.0.lock().unwrap();
        let mut observed = Observed { at: Some(now), secrets: inner.secrets.keys().cloned().collect(), ..Observed::default() };
        for (release, history) in &inner.releases {
            let Some(now) = history.last().filter(|now| now.status == "deployed") else { continue };
            let image = now.labels.get("landfall.dev/image").cloned().unwrap_or_default();
            let id = inner.images.values().chain(&inner.digests).find(|id| id.contains(&image)).cloned().unwrap_or_default();
            let broken =
                inner.broken.as_ref().is_some_and(|(name, from)| name == release && now.revision.0 >= *from && !now.description.starts_with("Rollback to"));
            add(&mut observed, release, now.revision.0, &id, broken);
        }
        observed
    }

    fn time(&self) -> Time {
        let set = self.0.lock().unwrap().clock;
        Time::now().checked_add(jiff::SignedDuration::from_secs(set)).unwrap()
    }

    /// Adds a revision; the one before it is superseded.
    fn revision(&self, release: &ReleaseName, description: String, labels: BTreeMap<String, String>, rendered: Rendered) -> Revision {
        let mut inner = self.0.lock().unwrap();
        inner.rendered.entry(release.to_string()).or_default().push(rendered);
        let history = inner.releases.entry(release.to_string()).or_default();
        history.iter_mut().for_each(|one| one.status = "superseded".into());
        let revision = Revision(u32::try_from(history.len()).unwrap() + 1);
        history.push(HelmRevision { revision, status: "deployed".into(), chart: String::new(), description, updated: String::new(), labels });
        revision
    }

    /// What the process of a release has in its environment.
    fn environment(&self, release: &str) -> String {
        let inner = self.0.lock().unwrap();
        let values = inner.rendered.get(release).and_then(|all| all.last()).map(|rendered| rendered.values.clone()).unwrap_or_default();
        let texts = values["env"].as_object().into_iter().flatten().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()));
        let secrets = values["secretEnv"].as_object().into_iter().flatten().map(|(name, from)| {
            let key = (from["name"].as_str().unwrap_or_default().to_owned(), from["key"].as_str().unwrap_or_default().to_owned());
            (name.clone(), inner.values.get(&key).cloned().unwrap_or_default())
        });
        let path = ("PATH".to_owned(), "/bin".to_owned());
        texts.chain(secrets).chain([path]).map(|(name, value)| format!("{name}={value}\0")).collect()
    }
}

/// The values of a chart, the later files over the earlier ones.
fn values_of(chart: &Path, more: &[PathBuf]) -> Value {
    let mut whole = json!({});
    for file in [chart.join("values.yaml")].iter().chain(more) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let read: Value = serde_saphyr::from_str(&text).unwrap_or_default();
        for (key, value) in read.as_object().into_iter().flatten() {
            whole[key] = value.clone();
        }
    }
    whole
}

fn typed<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn add(observed: &mut Observed, release: &str, revision: u32, image: &str, broken: bool) {
    let labels = json!({ "app.kubernetes.io/instance": release, "app.kubernetes.io/name": release });
    let owner = |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true }]);
    let mark = json!({ "deployment.kubernetes.io/revision": revision.to_string() });
    let set = format!("{release}-{revision}");
    observed.deployments.push(typed(json!({ "metadata": { "name": release, "uid": release, "generation": revision, "annotations": mark, "labels": labels },
        "spec": { "replicas": 1, "selector": {}, "template": {} }, "status": { "observedGeneration": revision, "replicas": 1, "updatedReplicas": 1 } })));
    observed.replica_sets.push(typed(json!({ "metadata": { "name": set, "uid": set, "annotations": mark, "ownerReferences": owner("Deployment", release) },
        "spec": { "replicas": 1, "selector": {} }, "status": { "replicas": 1 } })));
    observed.pods.push(typed(
        json!({ "metadata": { "name": format!("{set}-x"), "uid": format!("{set}-x"), "labels": labels, "ownerReferences": owner("ReplicaSet", &set) },
        "spec": { "nodeName": "fake", "containers": [{ "name": release, "image": release }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": if broken { "False" } else { "True" } }],
            "containerStatuses": [{ "name": release, "image": release, "imageID": format!("docker://{image}"), "ready": !broken, "restartCount": 0,
                "containerID": "docker://1", "state": if broken { json!({ "waiting": { "reason": "InvalidImageName", "message": "couldn't parse image name" } }) }
                    else { json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } }) } }] } }),
    ));
    observed
        .services
        .push(typed(json!({ "metadata": { "name": release, "labels": labels }, "spec": { "selector": { "app": release }, "ports": [{ "port": 8000 }] } })));
    observed.endpoint_slices.push(typed(json!({ "metadata": { "name": set, "labels": { "kubernetes.io/service-name": release } }, "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": !broken } }] })));
}

impl Clock for Fake {
    fn now(&self) -> Time {
        self.moment(None);
        self.time()
    }
}

#[async_trait]
impl LocalCluster for Fake {
    async fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        Ok(vec![self.prove(&ProfileName::parse("fake").unwrap()).await?.profile])
    }

    async fn prove(&self, profile: &ProfileName) -> Result<Proof, Failure> {
        Ok(Proof {
            profile: Profile {
                name: profile.clone(),
                driver: "docker".into(),
                runtime: Runtime::Docker,
                kubernetes_version: "v1.34.0".into(),
                nodes: vec![Node { name: "fake".into(), ip: "127.0.0.1".into(), port: 1, control_plane: true }],
                status: ProfileStatus::Running,
            },
            fingerprint: "f".repeat(64),
            server: "https://127.0.0.1:1".into(),
            kubeconfig: PathBuf::from("/dev/null"),
            checks: vec![],
        })
    }

    async fn start(&self, _: &ProfileName, _: &StartSpec, _: &dyn Progress) -> Result<(), Failure> {
        Ok(())
    }

    async fn addons(&self, _: &ProfileName) -> Result<BTreeSet<String>, Failure> {
        Ok(self.0.lock().unwrap().addons.clone())
    }

    async fn enable_addon(&self, _: &ProfileName, addon: &str) -> Result<bool, Failure> {
        self.does("enable", addon)?;
        Ok(self.0.lock().unwrap().addons.insert(addon.to_owned()))
    }

    async fn disable_addon(&self, _: &ProfileName, addon: &str) -> Result<bool, Failure> {
        self.does("disable", addon)?;
        Ok(self.0.lock().unwrap().addons.remove(addon))
    }

    async fn programs(&self) -> Vec<Program> {
        Vec::new()
    }
}

#[async_trait]
impl Images for Fake {
    async fn build(&self, at: &Proof, request: &BuildRequest, _: &dyn Progress) -> Result<ImageFacts, Failure> {
        self.does("build", &request.reference)?;
        self.stall("build").await;
        let id = format!("sha256:{}", landfall::names::Digest::of(request.reference.to_string()));
        self.0.lock().unwrap().images.insert(request.reference.to_string(), id);
        self.inspect(at, &request.reference).await?.ok_or_else(|| Failure::internal("just built"))
    }

    async fn inspect(&self, _: &Proof, reference: &ImageRef) -> Result<Option<ImageFacts>, Failure> {
        let id = self.0.lock().unwrap().images.get(&reference.to_string()).cloned();
        Ok(id.map(|id| ImageFacts {
            id,
            size_bytes: 1_000_000,
            user: "10001:10001".into(),
            env: vec![],
            entrypoint: vec![],
            command: vec!["serve".into()],
            working_dir: "/app".into(),
            architecture: "amd64".into(),
            digests: vec![],
            layers: vec![],
        }))
    }

    async fn deliver(&self, _: &Proof, reference: &ImageRef, _: &str, _: &dyn Progress) -> Result<String, Failure> {
        self.does("deliver", reference)?;
        Ok("it was there".into())
    }

    async fn publish(&self, _: &Proof, reference: &ImageRef, _: &dyn Progress) -> Result<Published, Failure> {
        self.does("publish", reference)?;
        let mut inner = self.0.lock().unwrap();
        let id = inner.images.get(&reference.to_string()).cloned().filter(|_| inner.addons.contains("registry"));
        let id = id.ok_or_else(|| Failure::new(Code::ProgramFailed, format!("push {reference}")).cause("connection refused"))?;
        let digest = format!("sha256:{}", landfall::names::Digest::of(&id));
        inner.digests.insert(digest.clone());
        Ok(Published { digest, pulled: BTreeMap::from([("fake".to_owned(), Ok(id))]) })
    }

    async fn on_nodes(&self, _: &Proof, reference: &ImageRef) -> Result<Vec<NodeImage>, Failure> {
        Ok(vec![NodeImage { node: "fake".into(), id: self.0.lock().unwrap().images.get(&reference.to_string()).cloned() }])
    }

    async fn try_start(&self, _: &Proof, _: &TryStart) -> Result<Started, Failure> {
        Ok(Started { exit_code: None, log: String::new(), error: String::new() })
    }

    async fn secrets_in_layers(&self, _: &Proof, _: &ImageRef) -> Result<Vec<String>, Failure> {
        Ok(vec![])
    }

    async fn first_environment(&self, _: &Proof, _: &str, _: &str) -> Result<Secret, Failure> {
        Err(Failure::new(Code::NotSupported, "read in the node"))
    }

    async fn untag(&self, _: &Proof, reference: &ImageRef) -> Result<(), Failure> {
        self.0.lock().unwrap().images.remove(&reference.to_string());
        self.does("untag", reference)
    }
}

#[async_trait]
impl Charts for Fake {
    async fn version(&self) -> Result<String, Failure> {
        Ok("4.0.0".into())
    }

    async fn lint(&self, _: &Path, _: &[PathBuf]) -> Result<HelmSaid, Failure> {
        let slow = self.0.lock().unwrap().slow;
        tokio::time::sleep(slow).await;
        Ok(HelmSaid { ok: true, text: "no failures".into() })
    }

    async fn template(&self, chart: &Path, _: &ReleaseName, _: &Namespace, values: &[PathBuf], _: Option<&str>) -> Result<HelmSaid, Failure> {
        // Values files that shall be refused by the schema are called by what is wrong with them.
        let wrong = values.iter().any(|file| ["wrong-type.yaml", "unknown-key.yaml"].iter().any(|name| file.ends_with(name)));
        let inner = self.0.lock().unwrap();
        let text = match (wrong, inner.empties && inner.namespace) {
            (true, _) => "values don't meet the specifications".to_owned(),
            (false, true) => "# nothing is wanted here\n".to_owned(),
            (false, false) => rendered(&inner.manifest, &values_of(chart, values)),
        };
        Ok(HelmSaid { ok: !wrong, text })
    }

    async fn package(&self, _: &Path, destination: &Path) -> Result<Package, Failure> {
        Ok(Package { path: destination.join("chart.tgz"), digest: "0".repeat(64) })
    }

    async fn history(&self, _: &Proof, _: &Namespace, release: &ReleaseName) -> Result<Vec<HelmRevision>, Failure> {
        Ok(self.0.lock().unwrap().releases.get(release.as_str()).cloned().unwrap_or_default())
    }

    async fn apply(&self, _: &Proof, request: &Apply) -> Result<Revision, Failure> {
        self.does("apply", &request.release)?;
        self.stall("apply").await;
        let values = values_of(&request.chart, &request.values);
        let manifest = rendered(&self.0.lock().unwrap().manifest, &values);
        Ok(self.revision(&request.release, request.description.clone(), request.labels.clone(), Rendered { manifest, values }))
    }

    async fn rollback(&self, _: &Proof, _: &Namespace, release: &ReleaseName, to: Revision) -> Result<Revision, Failure> {
        self.does("rollback", format!("{release} to {to}"))?;
        let at = to.0 as usize - 1;
        let (old, rendered) = {
            let inner = self.0.lock().unwrap();
            (inner.releases[release.as_str()][at].clone(), inner.rendered[release.as_str()][at].clone())
        };
        Ok(self.revision(release, format!("Rollback to {to}"), old.labels, rendered))
    }

    async fn uninstall(&self, _: &Proof, _: &Namespace, release: &ReleaseName) -> Result<(), Failure> {
        self.does("uninstall", release)?;
        let mut inner = self.0.lock().unwrap();
        inner.releases.remove(release.as_str());
        inner.rendered.remove(release.as_str());
        Ok(())
    }

    async fn recorded(&self, _: &Proof, _: &Namespace, release: &ReleaseName, revision: Revision) -> Result<(String, String), Failure> {
        let inner = self.0.lock().unwrap();
        let kept = inner.rendered.get(release.as_str()).and_then(|all| all.get(revision.0 as usize - 1));
        Ok((kept.map(|rendered| rendered.manifest.clone()).unwrap_or_default(), String::new()))
    }
}

#[async_trait]
impl Cluster for Fake {
    async fn version(&self, _: &Proof) -> Result<String, Failure> {
        self.does("version", "of the cluster")?;
        Ok("v1.34.0".into())
    }

    async fn namespace(&self, _: &Proof, _: &Namespace) -> Result<Option<NamespaceFacts>, Failure> {
        let there = self.0.lock().unwrap().namespace;
        Ok(there.then(|| NamespaceFacts { ours: true, terminating: false, labels: BTreeMap::new() }))
    }

    async fn ensure_namespace(&self, _: &Proof, namespace: &Namespace, _: &AppName) -> Result<bool, Failure> {
        self.does("namespace", namespace)?;
        self.stall("namespace").await;
        Ok(!std::mem::replace(&mut self.0.lock().unwrap().namespace, true))
    }

    async fn delete_namespace(&self, _: &Proof, namespace: &Namespace) -> Result<bool, Failure> {
        self.does("delete namespace", namespace)?;
        Ok(std::mem::take(&mut self.0.lock().unwrap().namespace))
    }

    async fn secret_keys(&self, _: &Proof, _: &Namespace, name: &str) -> Result<Option<Vec<String>>, Failure> {
        Ok(self.0.lock().unwrap().secrets.get(name).cloned())
    }

    async fn keyed(&self, _: &Proof, _: &Namespace) -> Result<Vec<Keyed>, Failure> {
        let inner = self.0.lock().unwrap();
        let keyed = |(name, keys): (&String, &Vec<String>)| Keyed { kind: KeyedKind::Secret, name: name.clone(), release: None, keys: keys.clone() };
        Ok(inner.secrets.iter().map(keyed).collect())
    }

    async fn secret_value(&self, _: &Proof, _: &Namespace, name: &str, key: &str) -> Result<Option<Secret>, Failure> {
        Ok(self.0.lock().unwrap().values.get(&(name.to_owned(), key.to_owned())).cloned().map(Secret::new))
    }

    async fn ensure_secret(
        &self,
        _: &Proof,
        _: &Namespace,
        name: &str,
        _: &BTreeMap<String, String>,
        data: &BTreeMap<String, Secret>,
    ) -> Result<Vec<String>, Failure> {
        self.does("secret", name)?;
        let mut inner = self.0.lock().unwrap();
        let there = inner.secrets.entry(name.to_owned()).or_default().clone();
        let fresh: Vec<String> = data.keys().filter(|key| !there.contains(key)).cloned().collect();
        inner.secrets.entry(name.to_owned()).or_default().extend(fresh.clone());
        for key in &fresh {
            inner.values.insert((name.to_owned(), key.clone()), data[key].reveal().to_owned());
        }
        Ok(fresh)
    }

    async fn delete_secret(&self, _: &Proof, _: &Namespace, name: &str) -> Result<(), Failure> {
        self.does("delete secret", name)
    }

    async fn delete_claims(&self, _: &Proof, namespace: &Namespace) -> Result<Vec<String>, Failure> {
        self.does("delete claims", namespace).map(|()| vec![])
    }

    async fn dry_run(&self, _: &Proof, _: &Namespace, manifest: &str) -> Result<Vec<DryRunFinding>, Failure> {
        if self.0.lock().unwrap().refused.as_deref() == Some(manifest) {
            let text = "denied by a policy that came since".to_owned();
            return Ok(vec![DryRunFinding { object: "ConfigMap/settings".into(), ok: false, text, diff: String::new() }]);
        }
        let names = manifest.lines().filter_map(|line| line.strip_prefix("kind: "));
        Ok(names.map(|kind| DryRunFinding { object: format!("{kind}/settings"), ok: true, text: "create".into(), diff: String::new() }).collect())
    }

    async fn observe(&self, _: &Proof, _: &Namespace) -> Result<Observed, Failure> {
        Ok(self.seen())
    }

    async fn watch(&self, _: &Proof, namespace: &Namespace) -> Result<Observations, Failure> {
        self.does("watch", namespace)?;
        let (send, receive) = tokio::sync::watch::channel(Arc::new(self.seen()));
        self.0.lock().unwrap().watchers.push(send);
        self.stall("watch").await;
        Ok(receive)
    }

    async fn logs(&self, _: &Proof, _: &Namespace, _: &LogRequest) -> Result<String, Failure> {
        Ok(String::new())
    }

    async fn exec(&self, _: &Proof, _: &Namespace, pod: &str, _: &str, command: &[String], _: Duration) -> Result<Executed, Failure> {
        self.does("exec", "in a pod")?;
        self.stall("exec").await;
        if !self.0.lock().unwrap().answers {
            return Err(absent("exec"));
        }
        let stdout = match command.iter().any(|word| word.contains("environ")) {
            true => self.environment(pod.split('-').next().unwrap_or_default()),
            false => json!({ "status": 200, "content_type": "text/plain", "body": "ok", "elapsed_ms": 1.0 }).to_string(),
        };
        Ok(Executed { exit_code: 0, stdout: Secret::new(stdout), stderr: String::new() })
    }

    async fn forward(&self, _: &Proof, _: &Namespace, pod: &str, _: u16) -> Result<Forward, Failure> {
        self.does("forward", "to a pod")?;
        if !self.0.lock().unwrap().answers {
            return Err(absent("forward"));
        }
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let local = server.local_addr().unwrap();
        let stop = tokio_util::sync::CancellationToken::new();
        let heard = stop.clone();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            while let Some(Ok((mut stream, _))) = heard.run_until_cancelled(server.accept()).await {
                let mut asked = [0; 4_096];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok").await;
            }
        });
        Ok(Forward { local, pod: pod.to_owned(), guard: stop.drop_guard() })
    }

    async fn start_pod(&self, _: &Proof, _: &Namespace, pod: &k8s_openapi::api::core::v1::Pod) -> Result<(), Failure> {
        self.does("start pod", pod.metadata.name.as_deref().unwrap_or_default())
    }

    async fn delete_pod(&self, _: &Proof, _: &Namespace, name: &str) -> Result<(), Failure> {
        self.does("delete pod", name)
    }

    async fn usage(&self, _: &Proof, _: &Namespace) -> Result<Vec<Usage>, Failure> {
        let on = self.0.lock().unwrap().addons.contains("metrics-server");
        let figure = Usage { pod: "another".into(), container: "another".into(), cpu_millicores: 1, memory_bytes: 1 };
        if on { Ok(vec![figure]) } else { Err(Failure::new(Code::NotSupported, "the cluster has no metrics API")) }
    }

    async fn monitor(&self, _: &Proof) -> Result<Monitor, Failure> {
        Ok(Monitor::default())
    }

    async fn mark_verified(
        &self,
        _: &Proof,
        _: &Namespace,
        release: &ReleaseName,
        revision: Revision,
        marks: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        self.does("mark", release)?;
        let mut inner = self.0.lock().unwrap();
        let record = inner.releases.get_mut(release.as_str()).and_then(|history| history.get_mut(revision.0 as usize - 1));
        record.unwrap().labels.extend(marks.clone());
        Ok(())
    }

    async fn records(&self, _: &Proof, _: &Namespace) -> Result<BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>>, Failure> {
        let inner = self.0.lock().unwrap();
        let labels = |record: &HelmRevision| {
            let mut labels = record.labels.clone();
            labels.insert("status".to_owned(), record.status.clone());
            (record.revision.0, labels)
        };
        Ok(inner.releases.iter().map(|(release, history)| (release.clone(), history.iter().map(labels).collect())).collect())
    }

    async fn hold_lease(&self, _: &Proof, _: &Namespace, app: &AppName, holder: &OperationId, _: i32) -> Result<(), Failure> {
        let mut inner = self.0.lock().unwrap();
        match &inner.lease {
            Some(other) if *other != holder.to_string() => {
                Err(Failure::new(Code::OperationRunning, format!("{other} holds the app {app} in this cluster")).help("wait until it has ended"))
            }
            Some(_) | None => {
                inner.lease = Some(holder.to_string());
                Ok(())
            }
        }
    }

    async fn release_lease(&self, _: &Proof, _: &Namespace, _: &AppName, holder: &OperationId) -> Result<(), Failure> {
        let mut inner = self.0.lock().unwrap();
        if inner.lease.as_deref() == Some(holder.as_str()) {
            inner.lease = None;
        }
        Ok(())
    }
}

/// A manifest that differs where the values do.
fn rendered(manifest: &str, values: &Value) -> String {
    format!("{manifest}  values: \"{}\"\n", landfall::names::Digest::of(values.to_string()).short())
}

fn absent(what: &str) -> Failure {
    Failure::new(Code::NotSupported, format!("this world has no {what}"))
}

#[async_trait]
impl McpPeer for Fake {
    async fn meet(&self, _: std::net::SocketAddr, _: &str, _: Option<&str>, _: Duration) -> Result<PeerFacts, Failure> {
        Err(absent("MCP server"))
    }

    async fn call(&self, _: std::net::SocketAddr, _: &str, _: &str, _: &str, _: serde_json::Map<String, Value>, _: Duration) -> Result<PeerAnswer, Failure> {
        Err(absent("MCP server"))
    }
}

#[async_trait]
impl Scanner for Fake {
    async fn scan(&self, _: &Proof, _: &ImageRef) -> Result<ScanReport, String> {
        Err("there is no scanner".into())
    }
}

#[async_trait]
impl Advisor for Fake {
    fn name(&self) -> AdvisorName {
        AdvisorName::KubectlAi
    }

    async fn detect(&self, _: Option<&Proof>, setting: &AdvisorSetting) -> Result<AdvisorFacts, AdvisorRefusal> {
        assert_eq!(setting.model.as_deref(), Some("small"));
        Ok(AdvisorFacts { version: "0.0.28".into(), sends_to: "a stand-in".into() })
    }

    async fn consult(&self, _: Option<&Proof>, _: &AdvisorSetting, prompt: &str, _: Duration) -> Result<String, AdvisorRefusal> {
        let mut inner = self.0.lock().unwrap();
        inner.done.push("consult an advisor".to_owned());
        inner.asked.push(prompt.to_owned());
        inner.advice.pop_front().expect("an answer for every question")
    }
}
