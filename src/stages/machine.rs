//! A small world for tests of gates: one image, one chart, one pod and what they answer; every part can be made wrong.

use crate::failure::{Code, Failure};
use crate::names::{AppName, ImageRef, Namespace, OperationId, ProfileName, ReleaseName, Revision};
use crate::ports::{
    Apply, BuildRequest, Charts, Clock, Cluster, DryRunFinding, Executed, Forward, HelmRevision, HelmSaid, ImageFacts, Images, Keyed, LocalCluster, LogRequest,
    McpPeer, Monitor, NamespaceFacts, NodeImage, Observations, Observed, Package, PeerAnswer, PeerFacts, PeerTool, Profile, Program, Progress, Proof,
    Published, ScanReport, Scanner, StartSpec, Started, TryStart, Usage, World,
};
use crate::secret::Secret;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What this machine has and answers; a `None` or `Err` is a program that cannot be asked.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) image: ImageFacts,
    pub(super) on_nodes: Vec<Option<&'static str>>,
    /// What each node pulls from the registry; none where the registry takes nothing.
    pub(super) pulls: Option<Vec<Result<&'static str, &'static str>>>,
    pub(super) in_layers: Vec<String>,
    pub(super) started: Started,
    pub(super) scan: Result<u64, String>,
    pub(super) lints: bool,
    /// Values that the schema does not refuse.
    pub(super) accepts: Vec<&'static str>,
    pub(super) manifest: Option<String>,
    pub(super) packages: bool,
    pub(super) namespace: bool,
    pub(super) refuses: bool,
    /// Status of every HTTP answer.
    pub(super) status: u16,
    /// What a program in a container prints when it asks another service.
    pub(super) inside: String,
    pub(super) environ: Vec<(String, String)>,
    pub(super) secrets: String,
    pub(super) log: String,
    pub(super) memory: Option<u64>,
    /// What is there of the Prometheus operator.
    pub(super) monitor: Monitor,
    /// What the metrics route answers.
    pub(super) metrics: &'static str,
    pub(super) tools: Option<Vec<&'static str>>,
    pub(super) tool_fails: bool,
    /// Of every tool; null where it has none.
    pub(super) output_schema: serde_json::Value,
    pub(super) structured: Option<serde_json::Value>,
    /// The answer to every request, and what a scripted or a real page holds.
    pub(super) body: String,
    /// How a command in a container ends, and the program of a pod that is started.
    pub(super) exits: i32,
    pub(super) keyed: Vec<Keyed>,
    /// Pods that were started and not deleted.
    pub(super) pods: Arc<Mutex<Vec<Pod>>>,
}

fn nothing<T>() -> Result<T, Failure> {
    Err(Failure::new(Code::ProgramMissing, "this machine cannot be asked for that"))
}

impl Machine {
    fn started_pods(&self) -> MutexGuard<'_, Vec<Pod>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The machine behind every port.
    pub(super) fn world(self) -> World {
        let all = Arc::new(self);
        World {
            local: all.clone(),
            images: all.clone(),
            charts: all.clone(),
            cluster: all.clone(),
            mcp: all.clone(),
            scanner: all.clone(),
            advisors: Vec::new(),
            clock: all,
        }
    }
}

impl Clock for Machine {
    fn now(&self) -> crate::evidence::Time {
        crate::evidence::Time::UNIX_EPOCH
    }
}

#[async_trait]
impl LocalCluster for Machine {
    async fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        nothing()
    }
    async fn prove(&self, _: &ProfileName) -> Result<Proof, Failure> {
        nothing()
    }
    async fn start(&self, _: &ProfileName, _: &StartSpec, _: &dyn Progress) -> Result<(), Failure> {
        nothing()
    }
    async fn addons(&self, _: &ProfileName) -> Result<BTreeSet<String>, Failure> {
        nothing()
    }
    async fn enable_addon(&self, _: &ProfileName, _: &str) -> Result<bool, Failure> {
        nothing()
    }
    async fn disable_addon(&self, _: &ProfileName, _: &str) -> Result<bool, Failure> {
        nothing()
    }
    async fn programs(&self) -> Vec<Program> {
        Vec::new()
    }
}

#[async_trait]
impl Images for Machine {
    async fn build(&self, _: &Proof, _: &BuildRequest, _: &dyn Progress) -> Result<ImageFacts, Failure> {
        nothing()
    }
    async fn inspect(&self, _: &Proof, _: &ImageRef) -> Result<Option<ImageFacts>, Failure> {
        Ok(Some(self.image.clone()))
    }
    async fn deliver(&self, _: &Proof, _: &ImageRef, id: &str, _: &dyn Progress) -> Result<String, Failure> {
        Ok(id.to_owned())
    }
    async fn publish(&self, _: &Proof, _: &ImageRef, _: &dyn Progress) -> Result<Published, Failure> {
        let Some(pulls) = &self.pulls else { return Err(Failure::new(Code::ProgramFailed, "push api").cause("connection refused")) };
        let pulled = pulls.iter().enumerate().map(|(n, pulled)| (format!("node{n}"), pulled.map(str::to_owned).map_err(str::to_owned)));
        Ok(Published { digest: format!("sha256:{}", "d".repeat(64)), pulled: pulled.collect() })
    }
    async fn on_nodes(&self, _: &Proof, _: &ImageRef) -> Result<Vec<NodeImage>, Failure> {
        let node = |(n, id): (usize, &Option<&str>)| NodeImage { node: format!("node{n}"), id: id.map(str::to_owned) };
        Ok(self.on_nodes.iter().enumerate().map(node).collect())
    }
    async fn try_start(&self, _: &Proof, _: &TryStart) -> Result<Started, Failure> {
        Ok(self.started.clone())
    }
    async fn secrets_in_layers(&self, _: &Proof, _: &ImageRef) -> Result<Vec<String>, Failure> {
        Ok(self.in_layers.clone())
    }
    async fn first_environment(&self, _: &Proof, _: &str, _: &str) -> Result<Secret, Failure> {
        nothing()
    }
    async fn untag(&self, _: &Proof, _: &ImageRef) -> Result<(), Failure> {
        nothing()
    }
}

#[async_trait]
impl Scanner for Machine {
    async fn scan(&self, _: &Proof, _: &ImageRef) -> Result<ScanReport, String> {
        self.scan.clone().map(|critical| ScanReport { scanner: "scanner 1".into(), counts: BTreeMap::from([("CRITICAL".to_owned(), critical)]) })
    }
}

#[async_trait]
impl Charts for Machine {
    async fn version(&self) -> Result<String, Failure> {
        Ok("v3.16.4".to_owned())
    }
    async fn lint(&self, _: &Path, _: &[PathBuf]) -> Result<HelmSaid, Failure> {
        Ok(HelmSaid { ok: self.lints, text: "1 chart linted".into() })
    }
    async fn template(&self, chart: &Path, _: &ReleaseName, _: &Namespace, values: &[PathBuf], _: Option<&str>) -> Result<HelmSaid, Failure> {
        let ok = |ok| Ok(HelmSaid { ok, text: self.manifest.clone().unwrap_or_default() });
        match values.iter().find(|values| !values.starts_with(chart)) {
            // Values that are not the chart's own are what the schema is tried with.
            Some(wrong) => ok(self.accepts.iter().any(|name| wrong.to_string_lossy().contains(name))),
            None => ok(self.manifest.is_some()),
        }
    }
    async fn package(&self, _: &Path, destination: &Path) -> Result<Package, Failure> {
        match self.packages {
            true => Ok(Package { path: destination.join("api-0.1.0.tgz"), digest: "0".repeat(64) }),
            false => Err(Failure::new(Code::HelmFailed, "helm package")),
        }
    }
    async fn history(&self, _: &Proof, _: &Namespace, _: &ReleaseName) -> Result<Vec<HelmRevision>, Failure> {
        nothing()
    }
    async fn apply(&self, _: &Proof, _: &Apply) -> Result<Revision, Failure> {
        nothing()
    }
    async fn rollback(&self, _: &Proof, _: &Namespace, _: &ReleaseName, _: Revision) -> Result<Revision, Failure> {
        nothing()
    }
    async fn uninstall(&self, _: &Proof, _: &Namespace, _: &ReleaseName) -> Result<(), Failure> {
        nothing()
    }
    async fn recorded(&self, _: &Proof, _: &Namespace, _: &ReleaseName, _: Revision) -> Result<(String, String), Failure> {
        nothing()
    }
}

#[async_trait]
impl Cluster for Machine {
    async fn version(&self, _: &Proof) -> Result<String, Failure> {
        nothing()
    }
    async fn namespace(&self, _: &Proof, _: &Namespace) -> Result<Option<NamespaceFacts>, Failure> {
        Ok(self.namespace.then(|| NamespaceFacts { ours: true, terminating: false, labels: BTreeMap::new() }))
    }
    async fn ensure_namespace(&self, _: &Proof, _: &Namespace, _: &AppName) -> Result<bool, Failure> {
        nothing()
    }
    async fn delete_namespace(&self, _: &Proof, _: &Namespace) -> Result<bool, Failure> {
        nothing()
    }
    async fn secret_keys(&self, _: &Proof, _: &Namespace, _: &str) -> Result<Option<Vec<String>>, Failure> {
        nothing()
    }
    async fn keyed(&self, _: &Proof, _: &Namespace) -> Result<Vec<Keyed>, Failure> {
        Ok(self.keyed.clone())
    }
    async fn secret_value(&self, _: &Proof, _: &Namespace, _: &str, _: &str) -> Result<Option<Secret>, Failure> {
        Ok(Some(Secret::new(self.secrets.clone())))
    }
    async fn ensure_secret(
        &self,
        _: &Proof,
        _: &Namespace,
        _: &str,
        _: &BTreeMap<String, String>,
        _: &BTreeMap<String, Secret>,
    ) -> Result<Vec<String>, Failure> {
        nothing()
    }
    async fn delete_secret(&self, _: &Proof, _: &Namespace, _: &str) -> Result<(), Failure> {
        nothing()
    }
    async fn delete_claims(&self, _: &Proof, _: &Namespace) -> Result<Vec<String>, Failure> {
        nothing()
    }
    async fn dry_run(&self, _: &Proof, _: &Namespace, _: &str) -> Result<Vec<DryRunFinding>, Failure> {
        let text = if self.refuses { "violates PodSecurity" } else { "created (dry run)" };
        Ok(vec![DryRunFinding { object: "Deployment/api".into(), ok: !self.refuses, text: text.into(), diff: String::new() }])
    }
    async fn observe(&self, _: &Proof, _: &Namespace) -> Result<Observed, Failure> {
        nothing()
    }
    async fn watch(&self, _: &Proof, _: &Namespace) -> Result<Observations, Failure> {
        let pods = self.started_pods().clone();
        Ok(tokio::sync::watch::channel(Arc::new(Observed { pods, ..Observed::default() })).1)
    }
    async fn start_pod(&self, _: &Proof, _: &Namespace, pod: &Pod) -> Result<(), Failure> {
        if self.refuses {
            return nothing();
        }
        let ended = (self.exits != 0).then(|| json!({ "terminated": { "exitCode": self.exits } }));
        let container = json!({ "name": "it", "image": "i", "imageID": "i", "ready": true, "restartCount": 0, "state": ended });
        let status = json!({ "conditions": [{ "type": "ContainersReady", "status": if self.exits == 0 { "True" } else { "False" } }], "containerStatuses": [container] });
        self.started_pods().push(Pod { status: serde_json::from_value(status).ok(), ..pod.clone() });
        Ok(())
    }
    async fn delete_pod(&self, _: &Proof, _: &Namespace, name: &str) -> Result<(), Failure> {
        self.started_pods().retain(|pod| pod.metadata.name.as_deref() != Some(name));
        Ok(())
    }
    async fn logs(&self, _: &Proof, _: &Namespace, _: &LogRequest) -> Result<String, Failure> {
        Ok(self.log.clone())
    }
    async fn exec(&self, _: &Proof, _: &Namespace, _: &str, _: &str, command: &[String], _: Duration) -> Result<Executed, Failure> {
        let environ = command.iter().any(|word| word.contains("environ"));
        let printed = match environ {
            true => self.environ.iter().map(|(name, value)| format!("{name}={value}\0")).collect(),
            false => self.inside.clone(),
        };
        Ok(Executed { exit_code: if environ { 0 } else { self.exits }, stdout: Secret::new(printed), stderr: String::new() })
    }
    async fn forward(&self, _: &Proof, _: &Namespace, pod: &str, _: u16) -> Result<Forward, Failure> {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| Failure::internal("listen").cause(error))?;
        let local = server.local_addr().map_err(|error| Failure::internal("listen").cause(error))?;
        let answer = |body: &str| format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", self.status, body.len());
        let (page, metrics) = (answer(&self.body), answer(self.metrics));
        let stop = tokio_util::sync::CancellationToken::new();
        let heard = stop.clone();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            while let Some(Ok((mut stream, _))) = heard.run_until_cancelled(server.accept()).await {
                let mut asked = [0; 4_096];
                let _ = stream.read(&mut asked).await;
                let answer = if asked.starts_with(b"GET /metrics ") { &metrics } else { &page };
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Ok(Forward { local, pod: pod.to_owned(), guard: stop.drop_guard() })
    }
    async fn usage(&self, _: &Proof, _: &Namespace) -> Result<Vec<Usage>, Failure> {
        let usage = |memory_bytes| Usage { pod: "pod".into(), container: "it".into(), cpu_millicores: 5, memory_bytes };
        Ok(self.memory.map(usage).into_iter().collect())
    }
    async fn monitor(&self, _: &Proof) -> Result<Monitor, Failure> {
        Ok(self.monitor)
    }
    async fn mark_verified(&self, _: &Proof, _: &Namespace, _: &ReleaseName, _: Revision, _: &BTreeMap<String, String>) -> Result<(), Failure> {
        nothing()
    }
    async fn records(&self, _: &Proof, _: &Namespace) -> Result<BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>>, Failure> {
        nothing()
    }
    async fn hold_lease(&self, _: &Proof, _: &Namespace, _: &AppName, _: &OperationId, _: i32) -> Result<(), Failure> {
        nothing()
    }
    async fn release_lease(&self, _: &Proof, _: &Namespace, _: &AppName, _: &OperationId) -> Result<(), Failure> {
        nothing()
    }
}

#[async_trait]
impl McpPeer for Machine {
    async fn meet(&self, _: SocketAddr, host_header: &str, path: Option<&str>, _: Duration) -> Result<PeerFacts, Failure> {
        let Some(tools) = &self.tools else { return Err(Failure::new(Code::NotMcp, "answered 421 Misdirected Request")) };
        let tool = |name: &&str| PeerTool {
            name: (*name).to_owned(),
            description: String::new(),
            read_only: name.starts_with("list"),
            input_schema: serde_json::Map::new(),
            output_schema: self.output_schema.as_object().cloned(),
        };
        Ok(PeerFacts {
            name: "notes".into(),
            version: "1".into(),
            protocol: "2025-06-18".into(),
            path: path.unwrap_or("/mcp").to_owned(),
            host_header: host_header.to_owned(),
            tools: tools.iter().map(tool).collect(),
        })
    }
    async fn call(&self, _: SocketAddr, _: &str, _: &str, _: &str, _: serde_json::Map<String, serde_json::Value>, _: Duration) -> Result<PeerAnswer, Failure> {
        Ok(PeerAnswer { is_error: self.tool_fails, text: "[]".into(), structured: self.structured.clone(), elapsed: Duration::from_millis(3) })
    }
}
