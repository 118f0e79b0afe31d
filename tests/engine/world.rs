//! A world of its own for the engine: images, releases and a cluster that live in memory, do what they are told, and fail when a test says so.

use async_trait::async_trait;
use landfall::evidence::Time;
use landfall::failure::{Code, Failure};
use landfall::names::{AdvisorName, AppName, ImageRef, Namespace, OperationId, ProfileName, ReleaseName, Revision};
use landfall::ports::{
    Advisor, AdvisorFacts, AdvisorRefusal, AdvisorSetting, Apply, BuildRequest, Charts, Clock, Cluster, DryRunFinding, Executed, Forward, HelmRevision,
    HelmSaid, ImageFacts, Images, LocalCluster, LogRequest, McpPeer, NamespaceFacts, Node, NodeImage, Observations, Observed, Package, PeerAnswer, PeerFacts,
    Profile, ProfileStatus, Program, Progress, Proof, Runtime, ScanReport, Scanner, StartSpec, Started, TryStart, Usage, World,
};
use landfall::secret::Secret;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One object that nobody has a rule against.
pub(crate) const MANIFEST: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n  greeting: hello\n";

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
    empties: bool,
    /// What the advisor says next, and what it was asked.
    answers: VecDeque<Result<String, AdvisorRefusal>>,
    asked: Vec<String>,
}

/// The world; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    pub(crate) fn new() -> Self {
        let fake = Self::default();
        fake.0.lock().unwrap().manifest = MANIFEST.to_owned();
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
        self.0.lock().unwrap().answers.push_back(answer.map(str::to_owned));
    }

    /// Everything that the advisor was asked, the newest last.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.0.lock().unwrap().asked.clone()
    }

    /// Charts take this long to be judged.
    pub(crate) fn slow(&self, time: Duration) {
        self.0.lock().unwrap().slow = time;
    }

    /// How often something was done or tried.
    pub(crate) fn count(&self, what: &str) -> usize {
        self.0.lock().unwrap().done.iter().filter(|done| done.starts_with(what)).count()
    }

    fn does(&self, what: &'static str, whose: impl std::fmt::Display) -> Result<(), Failure> {
        let mut inner = self.0.lock().unwrap();
        inner.done.push(format!("{what} {whose}"));
        match inner.failures.get_mut(what).and_then(VecDeque::pop_front) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// Every installed release as one ready pod that runs its image.
    fn seen(&self) -> Observed {
        let inner = self.0.lock().unwrap();
        let mut observed = Observed { at: Some(Time::now()), secrets: inner.secrets.keys().cloned().collect(), ..Observed::default() };
        for (release, history) in &inner.releases {
            let Some(now) = history.last().filter(|now| now.status == "deployed") else { continue };
            let image = now.labels.get("landfall.dev/image").cloned().unwrap_or_default();
            let id = inner.images.values().find(|id| id.contains(&image)).cloned().unwrap_or_default();
            add(&mut observed, release, now.revision.0, &id);
        }
        observed
    }
}

fn typed<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn add(observed: &mut Observed, release: &str, revision: u32, image: &str) {
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
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "name": release, "image": release, "imageID": format!("docker://{image}"), "ready": true, "restartCount": 0,
                "containerID": "docker://1", "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } }] } }),
    ));
    observed
        .services
        .push(typed(json!({ "metadata": { "name": release, "labels": labels }, "spec": { "selector": { "app": release }, "ports": [{ "port": 8000 }] } })));
    observed.endpoint_slices.push(typed(json!({ "metadata": { "name": set, "labels": { "kubernetes.io/service-name": release } }, "addressType": "IPv4",
        "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": true } }] })));
}

impl Clock for Fake {
    fn now(&self) -> Time {
        Time::now()
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

    async fn enable_addon(&self, _: &ProfileName, _: &str) -> Result<bool, Failure> {
        Ok(false)
    }

    async fn programs(&self) -> Vec<Program> {
        Vec::new()
    }
}

#[async_trait]
impl Images for Fake {
    async fn build(&self, at: &Proof, request: &BuildRequest, _: &dyn Progress) -> Result<ImageFacts, Failure> {
        self.does("build", &request.reference)?;
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

    async fn template(&self, _: &Path, _: &ReleaseName, _: &Namespace, values: &[PathBuf], _: Option<&str>) -> Result<HelmSaid, Failure> {
        // Values files that shall be refused by the schema are called by what is wrong with them.
        let wrong = values.iter().any(|file| ["wrong-type.yaml", "unknown-key.yaml"].iter().any(|name| file.ends_with(name)));
        let inner = self.0.lock().unwrap();
        let text = match (wrong, inner.empties && inner.namespace) {
            (true, _) => "values don't meet the specifications".to_owned(),
            (false, true) => "# nothing is wanted here\n".to_owned(),
            (false, false) => inner.manifest.clone(),
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
        let mut inner = self.0.lock().unwrap();
        let history = inner.releases.entry(request.release.to_string()).or_default();
        let revision = Revision(u32::try_from(history.len()).unwrap() + 1);
        history.push(HelmRevision {
            revision,
            status: "deployed".into(),
            chart: String::new(),
            description: request.description.clone(),
            updated: String::new(),
            labels: request.labels.clone(),
        });
        Ok(revision)
    }

    async fn rollback(&self, _: &Proof, _: &Namespace, release: &ReleaseName, to: Revision) -> Result<Revision, Failure> {
        self.does("rollback", format!("{release} to {to}"))?;
        Err(Failure::internal("no test goes back yet"))
    }

    async fn uninstall(&self, _: &Proof, _: &Namespace, release: &ReleaseName) -> Result<(), Failure> {
        self.does("uninstall", release)?;
        self.0.lock().unwrap().releases.remove(release.as_str());
        Ok(())
    }

    async fn recorded(&self, _: &Proof, _: &Namespace, _: &ReleaseName, _: Revision) -> Result<(String, String), Failure> {
        Ok((self.0.lock().unwrap().manifest.clone(), String::new()))
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
        Ok(!std::mem::replace(&mut self.0.lock().unwrap().namespace, true))
    }

    async fn delete_namespace(&self, _: &Proof, namespace: &Namespace) -> Result<bool, Failure> {
        self.does("delete namespace", namespace)?;
        Ok(std::mem::take(&mut self.0.lock().unwrap().namespace))
    }

    async fn secret_keys(&self, _: &Proof, _: &Namespace, name: &str) -> Result<Option<Vec<String>>, Failure> {
        Ok(self.0.lock().unwrap().secrets.get(name).cloned())
    }

    async fn secret_value(&self, _: &Proof, _: &Namespace, _: &str, _: &str) -> Result<Option<Secret>, Failure> {
        Ok(None)
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
        let keys: Vec<String> = data.keys().cloned().collect();
        self.0.lock().unwrap().secrets.entry(name.to_owned()).or_default().extend(keys.clone());
        Ok(keys)
    }

    async fn delete_secret(&self, _: &Proof, _: &Namespace, name: &str) -> Result<(), Failure> {
        self.does("delete secret", name)
    }

    async fn delete_claims(&self, _: &Proof, namespace: &Namespace) -> Result<Vec<String>, Failure> {
        self.does("delete claims", namespace).map(|()| vec![])
    }

    async fn dry_run(&self, _: &Proof, _: &Namespace, manifest: &str) -> Result<Vec<DryRunFinding>, Failure> {
        let names = manifest.lines().filter_map(|line| line.strip_prefix("kind: "));
        Ok(names.map(|kind| DryRunFinding { object: format!("{kind}/settings"), ok: true, text: "create".into(), diff: String::new() }).collect())
    }

    async fn observe(&self, _: &Proof, _: &Namespace) -> Result<Observed, Failure> {
        Ok(self.seen())
    }

    async fn watch(&self, _: &Proof, _: &Namespace) -> Result<Observations, Failure> {
        let (send, receive) = tokio::sync::watch::channel(Arc::new(self.seen()));
        self.0.lock().unwrap().watchers.push(send);
        Ok(receive)
    }

    async fn logs(&self, _: &Proof, _: &Namespace, _: &LogRequest) -> Result<String, Failure> {
        Ok(String::new())
    }

    async fn exec(&self, _: &Proof, _: &Namespace, _: &str, _: &str, _: &[String], _: Duration) -> Result<Executed, Failure> {
        self.does("exec", "in a pod")?;
        Err(absent("exec"))
    }

    async fn forward(&self, _: &Proof, _: &Namespace, _: &str, _: u16) -> Result<Forward, Failure> {
        self.does("forward", "to a pod")?;
        Err(absent("forward"))
    }

    async fn usage(&self, _: &Proof, _: &Namespace) -> Result<Vec<Usage>, Failure> {
        Ok(vec![])
    }

    async fn mark_verified(&self, _: &Proof, _: &Namespace, release: &ReleaseName, _: Revision, _: &BTreeMap<String, String>) -> Result<(), Failure> {
        self.does("mark", release)
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

    async fn hold_lease(&self, _: &Proof, _: &Namespace, _: &AppName, holder: &OperationId, _: i32) -> Result<(), Failure> {
        self.0.lock().unwrap().lease = Some(holder.to_string());
        Ok(())
    }

    async fn release_lease(&self, _: &Proof, _: &Namespace, _: &AppName, _: &OperationId) -> Result<(), Failure> {
        self.0.lock().unwrap().lease = None;
        Ok(())
    }
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
        inner.answers.pop_front().expect("an answer for every question")
    }
}
