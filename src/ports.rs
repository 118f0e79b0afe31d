//! The traits through which the engine touches the world, and the plain types they speak; no implementation lives here.

use crate::evidence::Time;
use crate::failure::Failure;
use crate::names::{AdvisorName, AppName, ImageRef, Namespace, OperationId, ProfileName, ReleaseName, Revision};
use crate::secret::Secret;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Everything outside the engine, as the composition root made it.
#[derive(Clone)]
pub struct World {
    pub local: Arc<dyn LocalCluster>,
    pub images: Arc<dyn Images>,
    pub charts: Arc<dyn Charts>,
    pub cluster: Arc<dyn Cluster>,
    pub mcp: Arc<dyn McpPeer>,
    pub scanner: Arc<dyn Scanner>,
    pub advisors: Vec<Arc<dyn Advisor>>,
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("World")
    }
}

/// The time.
pub trait Clock: Send + Sync {
    fn now(&self) -> Time;
}

/// Hears what a long step does. Called often; must be cheap and must not fail.
pub trait Progress: Send + Sync {
    /// What is being done now, for people: `building backend: step 4 of 7, pip install`.
    fn note(&self, text: &str);
    /// How far: of `total` units (steps, bytes), `done`.
    fn amount(&self, done: u64, total: u64);
}

/// Hears nothing.
#[derive(Clone, Copy, Debug)]
pub struct Silent;
impl Progress for Silent {
    fn note(&self, _text: &str) {}
    fn amount(&self, _done: u64, _total: u64) {}
}

// ---------------------------------------------------------------- the local cluster

/// The container runtime of a profile's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Runtime {
    Docker,
    Containerd,
    CriO,
}

/// Whether a profile runs, as minikube says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProfileStatus {
    Running,
    Stopped,
    Paused,
    /// Some part runs and some does not.
    Degraded,
    Absent,
}

/// A node of a profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Node {
    /// Its name in Kubernetes and in the container engine.
    pub name: String,
    pub ip: String,
    pub port: u16,
    pub control_plane: bool,
}

/// A Minikube profile as its own files describe it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Profile {
    pub name: ProfileName,
    pub driver: String,
    pub runtime: Runtime,
    pub kubernetes_version: String,
    pub nodes: Vec<Node>,
    pub status: ProfileStatus,
}

/// One comparison of the proof that a target is a local Minikube.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ProofCheck {
    pub check: String,
    pub expected: String,
    pub seen: String,
    pub ok: bool,
}

/// A target that was proven to be a live local Minikube, just now. Only `LocalCluster::prove` makes one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Proof {
    pub profile: Profile,
    /// SHA-256 of the cluster's CA certificate (DER), hexadecimal.
    pub fingerprint: String,
    /// `https://address:port` of the API server.
    pub server: String,
    /// A private kubeconfig with this one context, mode 0600.
    pub kubeconfig: PathBuf,
    pub checks: Vec<ProofCheck>,
}

impl Proof {
    /// What takes away the objects of an addon whose enabling failed: minikube calls it disabled then, and disables only what it calls enabled
    /// (minikube's `pkg/addons/addons.go`, EnableOrDisableAddon).
    pub fn leftovers(&self, addon: &str) -> String {
        let profile = &self.profile.name;
        format!("what minikube has applied of it stays until: kubectl delete all -l kubernetes.io/minikube-addons={addon} -n kube-system --context {profile}")
    }
}

/// How to start (or create) a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// As minikube takes it: `6g`, `4096`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
}

/// A program that this machine has or lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Program {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What is wrong, or empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub problem: String,
    /// The command that mends it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// minikube and the proof that a target is one of its clusters.
#[async_trait]
pub trait LocalCluster: Send + Sync {
    /// Every profile that minikube knows, with its status. Reads only; ≤ 2 s.
    async fn profiles(&self) -> Result<Vec<Profile>, Failure>;
    /// Proves that the profile is a live local Minikube, by its CA and address, and writes its private kubeconfig.
    /// `WRONG_CLUSTER` lists every comparison that failed; `CLUSTER_STOPPED`, `PROFILE_NOT_FOUND`, `CLUSTER_UNREACHABLE` say the rest. ≤ 2.5 s.
    async fn prove(&self, profile: &ProfileName) -> Result<Proof, Failure>;
    /// Starts or creates the profile. Minutes; progress by minikube's own steps.
    async fn start(&self, profile: &ProfileName, spec: &StartSpec, progress: &dyn Progress) -> Result<(), Failure>;
    /// The addons that are on, as the profile's own file says; of a profile that is not there, none.
    async fn addons(&self, profile: &ProfileName) -> Result<BTreeSet<String>, Failure>;
    /// Enables an addon; true where it was off before.
    async fn enable_addon(&self, profile: &ProfileName, addon: &str) -> Result<bool, Failure>;
    /// Disables an addon; true where it was on before.
    async fn disable_addon(&self, profile: &ProfileName, addon: &str) -> Result<bool, Failure>;
    /// Which programs this machine has: minikube, helm, kubectl (optional), docker engine, with versions.
    async fn programs(&self) -> Vec<Program>;
}

// ---------------------------------------------------------------- images

/// What to build. The context holds exactly the files that the build may see, paths relative to its root.
#[derive(Clone, Debug)]
pub struct BuildRequest {
    pub reference: ImageRef,
    /// Root of the build context on disk.
    pub context: PathBuf,
    /// Files of the context to send, relative, sorted; made by the caller from the ignore rules.
    pub files: Vec<String>,
    /// The Dockerfile's text (it need not lie in the context).
    pub dockerfile: String,
    pub build_args: BTreeMap<String, String>,
    /// BuildKit secret mounts by id.
    pub secrets: BTreeMap<String, Secret>,
    pub labels: BTreeMap<String, String>,
    pub deadline: Duration,
}

/// One layer, or one line of an image's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Layer {
    pub created_by: String,
    pub size_bytes: u64,
}

/// What an engine says of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ImageFacts {
    /// `sha256:…` of the configuration.
    pub id: String,
    pub size_bytes: u64,
    pub user: String,
    /// `NAME=value`; values may be secret and stay inside the engine.
    #[serde(skip)]
    pub env: Vec<String>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub working_dir: String,
    pub architecture: String,
    pub layers: Vec<Layer>,
    /// `name@sha256:…`, by which registries know it; empty for what was built or loaded here.
    #[serde(default)]
    pub digests: Vec<String>,
}

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeImage {
    pub node: String,
    /// `sha256:…`, absent where the node does not have the reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What came of delivering an image through the registry addon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// `sha256:…` of the manifest, by which the registry knows the image.
    pub digest: String,
    /// node → the id of the image that it pulled by this digest, or why it could not.
    pub pulled: BTreeMap<String, Result<String, String>>,
}

/// A bounded start of an image, without network, to see whether it starts at all.
#[derive(Clone, Debug)]
pub struct TryStart {
    pub reference: ImageRef,
    pub user: String,
    pub env: BTreeMap<String, String>,
    /// Writable in-memory folders; everything else is read-only.
    pub writable: Vec<String>,
    /// None: the image's own entry point and command.
    pub command: Option<Vec<String>>,
    /// How long a program that keeps running is watched.
    pub watch: Duration,
}

/// What came of a bounded start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// None: it was still running at the end of the watch (and was removed).
    pub exit_code: Option<i64>,
    /// The last 16 KiB of both streams.
    pub log: String,
    /// The engine's own error where the program could not be started at all.
    pub error: String,
}

/// A container engine that builds, and the nodes that run.
#[async_trait]
pub trait Images: Send + Sync {
    /// Builds where the profile's pods can see it (or in the host's engine, to be delivered). The id is the engine's own.
    /// `BUILD_FAILED` carries the failed step, its last lines and a cause.
    async fn build(&self, at: &Proof, request: &BuildRequest, progress: &dyn Progress) -> Result<ImageFacts, Failure>;
    /// The image of this reference in the building engine.
    async fn inspect(&self, at: &Proof, reference: &ImageRef) -> Result<Option<ImageFacts>, Failure>;
    /// Brings the image onto every schedulable node, where it is not there already; says how.
    async fn deliver(&self, at: &Proof, reference: &ImageRef, id: &str, progress: &dyn Progress) -> Result<String, Failure>;
    /// Pushes the image to the registry that its reference names, and has every node pull it from there by digest. An error: it could not be pushed.
    async fn publish(&self, at: &Proof, reference: &ImageRef, progress: &dyn Progress) -> Result<Published, Failure>;
    /// The id of the reference on each node, asked of the node itself.
    async fn on_nodes(&self, at: &Proof, reference: &ImageRef) -> Result<Vec<NodeImage>, Failure>;
    /// Starts the image without network, capabilities or write access, and removes it again.
    async fn try_start(&self, at: &Proof, request: &TryStart) -> Result<Started, Failure>;
    /// Files in any layer whose name or content has a credential's shape: `path: what`, never the value. At most 50.
    async fn secrets_in_layers(&self, at: &Proof, reference: &ImageRef) -> Result<Vec<String>, Failure>;
    /// The environment of a container's first process, `NAME=value` divided by zero bytes, read in its node: for images that hold nothing
    /// to read it with. `NOT_SUPPORTED` where the node shows no such process.
    async fn first_environment(&self, at: &Proof, node: &str, container_id: &str) -> Result<Secret, Failure>;
    /// Removes a tag that we made.
    async fn untag(&self, at: &Proof, reference: &ImageRef) -> Result<(), Failure>;
}

// ---------------------------------------------------------------- charts

/// What `helm lint` or `helm template` said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HelmSaid {
    pub ok: bool,
    pub text: String,
}

/// A packaged chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Package {
    pub path: PathBuf,
    /// SHA-256 of the archive.
    pub digest: String,
}

/// One revision of a release, from Helm's own record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct HelmRevision {
    pub revision: Revision,
    /// Helm's status: deployed, superseded, failed, pending-install, …
    pub status: String,
    pub chart: String,
    pub description: String,
    pub updated: String,
    /// Labels of the record; `verified-revision` counts only where it equals the revision itself.
    pub labels: BTreeMap<String, String>,
}

/// A release to install or upgrade.
#[derive(Clone, Debug)]
pub struct Apply {
    pub namespace: Namespace,
    pub release: ReleaseName,
    pub chart: PathBuf,
    pub values: Vec<PathBuf>,
    pub labels: BTreeMap<String, String>,
    pub description: String,
    pub deadline: Duration,
}

/// Helm.
#[async_trait]
pub trait Charts: Send + Sync {
    /// Helm's version, such as `4.2.4`.
    async fn version(&self) -> Result<String, Failure>;
    /// `helm lint --strict`.
    async fn lint(&self, chart: &Path, values: &[PathBuf]) -> Result<HelmSaid, Failure>;
    /// Renders for this version of Kubernetes, or for a recent one; `ok` false with helm's text where it does not.
    async fn template(
        &self,
        chart: &Path,
        release: &ReleaseName,
        namespace: &Namespace,
        values: &[PathBuf],
        kubernetes: Option<&str>,
    ) -> Result<HelmSaid, Failure>;
    async fn package(&self, chart: &Path, destination: &Path) -> Result<Package, Failure>;
    /// Newest last; empty where there is no such release.
    async fn history(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName) -> Result<Vec<HelmRevision>, Failure>;
    /// Installs or upgrades without waiting for pods; answers the new revision. `progress` may be ignored.
    async fn apply(&self, at: &Proof, request: &Apply) -> Result<Revision, Failure>;
    /// Rolls back to a named revision without waiting; answers the new revision.
    async fn rollback(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName, to: Revision) -> Result<Revision, Failure>;
    /// Uninstalls. PVCs with the keep policy stay.
    async fn uninstall(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName) -> Result<(), Failure>;
    /// Manifest and user values of a revision, as recorded.
    async fn recorded(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName, revision: Revision) -> Result<(String, String), Failure>;
}

// ---------------------------------------------------------------- the API server

/// A namespace, as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceFacts {
    /// Labelled by us for this app.
    pub ours: bool,
    pub terminating: bool,
    pub labels: BTreeMap<String, String>,
}

/// What a dry run on the API server found in one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DryRunFinding {
    /// `Deployment/backend`.
    pub object: String,
    pub ok: bool,
    /// `create`, `update`, `unchanged`, or the refusal's text.
    pub text: String,
    /// For updates: a unified diff of live against new, secrets removed.
    pub diff: String,
}

/// Marks a pod that was started to prove something: it has the labels of the workload that it is a copy of, and is none of its replicas.
pub const PROBE_LABEL: &str = "landfall.dev/probe";

/// Everything seen of one namespace at one moment, as the API server has it.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub at: Option<Time>,
    pub deployments: Vec<k8s_openapi::api::apps::v1::Deployment>,
    pub replica_sets: Vec<k8s_openapi::api::apps::v1::ReplicaSet>,
    pub stateful_sets: Vec<k8s_openapi::api::apps::v1::StatefulSet>,
    pub daemon_sets: Vec<k8s_openapi::api::apps::v1::DaemonSet>,
    pub jobs: Vec<k8s_openapi::api::batch::v1::Job>,
    pub cron_jobs: Vec<k8s_openapi::api::batch::v1::CronJob>,
    pub pods: Vec<k8s_openapi::api::core::v1::Pod>,
    /// Ready pods that a glance did not read one by one, by the uid of their ReplicaSet, as that counts them. Empty after a whole look.
    pub counted: BTreeMap<String, u32>,
    pub events: Vec<k8s_openapi::api::core::v1::Event>,
    pub services: Vec<k8s_openapi::api::core::v1::Service>,
    pub endpoint_slices: Vec<k8s_openapi::api::discovery::v1::EndpointSlice>,
    pub claims: Vec<k8s_openapi::api::core::v1::PersistentVolumeClaim>,
    pub autoscalers: Vec<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>,
    pub ingresses: Vec<k8s_openapi::api::networking::v1::Ingress>,
    pub policies: Vec<k8s_openapi::api::networking::v1::NetworkPolicy>,
    pub config_maps: Vec<String>,
    pub secrets: Vec<String>,
    pub nodes: Vec<k8s_openapi::api::core::v1::Node>,
}

/// A stream of whole observations: one after every change that was seen, coalesced.
pub type Observations = tokio::sync::watch::Receiver<Arc<Observed>>;

/// What a command in a container printed. Bytes as text, lossy; may hold secrets: never log it.
#[derive(Clone, Debug)]
pub struct Executed {
    pub exit_code: i32,
    pub stdout: Secret,
    pub stderr: String,
}

/// A local address that leads to a port of a pod, for as long as the value lives.
pub struct Forward {
    pub local: std::net::SocketAddr,
    pub pod: String,
    /// Ends the forwarding when dropped.
    pub guard: tokio_util::sync::DropGuard,
}

impl std::fmt::Debug for Forward {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Forward({} -> {})", self.local, self.pod)
    }
}

/// Which log to read.
#[derive(Clone, Debug)]
pub struct LogRequest {
    pub pod: String,
    pub container: String,
    pub previous: bool,
    pub lines: i64,
    pub since_seconds: Option<i64>,
}

/// Use of one container, from metrics-server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Usage {
    pub pod: String,
    pub container: String,
    pub cpu_millicores: u64,
    pub memory_bytes: u64,
}

/// What a cluster has of the Prometheus operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Monitor {
    /// The API server knows its types, ServiceMonitor and PrometheusRule among them.
    pub types: bool,
    /// How many Prometheus and Alertmanager objects there are, in all namespaces.
    pub prometheuses: usize,
    pub alertmanagers: usize,
}

/// What holds settings by key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyedKind {
    ConfigMap,
    Secret,
}

impl KeyedKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}

/// A ConfigMap or an opaque Secret with the names of its keys, never their values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    pub kind: KeyedKind,
    pub name: String,
    /// The release that made it, as Helm notes it.
    pub release: Option<String>,
    pub keys: Vec<String>,
}

/// The Kubernetes API of a proven target. Every method that changes something proves the target anew (address and CA) first.
#[async_trait]
pub trait Cluster: Send + Sync {
    /// Server version, such as `v1.34.4`; fails within 2 s where the API server does not answer.
    async fn version(&self, at: &Proof) -> Result<String, Failure>;
    async fn namespace(&self, at: &Proof, namespace: &Namespace) -> Result<Option<NamespaceFacts>, Failure>;
    /// Creates the namespace with our labels and restricted pod security; true where it was created.
    async fn ensure_namespace(&self, at: &Proof, namespace: &Namespace, app: &AppName) -> Result<bool, Failure>;
    /// Deletes a namespace that is ours and holds nothing of anybody else's; false where it was left.
    async fn delete_namespace(&self, at: &Proof, namespace: &Namespace) -> Result<bool, Failure>;
    /// The keys of a Secret, without their values; None where it does not exist.
    async fn secret_keys(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<Option<Vec<String>>, Failure>;
    /// Every ConfigMap and opaque Secret of a namespace.
    async fn keyed(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<Keyed>, Failure>;
    /// One value of a Secret, to compare by fingerprint.
    async fn secret_value(&self, at: &Proof, namespace: &Namespace, name: &str, key: &str) -> Result<Option<Secret>, Failure>;
    /// Creates the Secret or adds the keys it lacks; keys that are there stay as they are. Answers the keys that were added.
    async fn ensure_secret(
        &self,
        at: &Proof,
        namespace: &Namespace,
        name: &str,
        labels: &BTreeMap<String, String>,
        data: &BTreeMap<String, Secret>,
    ) -> Result<Vec<String>, Failure>;
    async fn delete_secret(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<(), Failure>;
    async fn delete_claims(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<String>, Failure>;
    /// Strict server-side dry run of every object of a rendered manifest (YAML, several documents).
    async fn dry_run(&self, at: &Proof, namespace: &Namespace, manifest: &str) -> Result<Vec<DryRunFinding>, Failure>;
    /// One look at the namespace.
    async fn observe(&self, at: &Proof, namespace: &Namespace) -> Result<Observed, Failure>;
    /// One look for numbers and troubles. Of more than 500 pods, those of ReplicaSets that have all they want are counted and not read; events of what went as planned are left out.
    async fn glance(&self, at: &Proof, namespace: &Namespace) -> Result<Observed, Failure> {
        self.observe(at, namespace).await
    }
    /// Keeps looking, by watches, until the receiver is dropped.
    async fn watch(&self, at: &Proof, namespace: &Namespace) -> Result<Observations, Failure>;
    /// Log text, raw; the caller redacts.
    async fn logs(&self, at: &Proof, namespace: &Namespace, request: &LogRequest) -> Result<String, Failure>;
    async fn exec(&self, at: &Proof, namespace: &Namespace, pod: &str, container: &str, command: &[String], deadline: Duration) -> Result<Executed, Failure>;
    async fn forward(&self, at: &Proof, namespace: &Namespace, pod: &str, port: u16) -> Result<Forward, Failure>;
    /// Creates a pod with our label, to prove something with; nothing where the one of this name is ours already.
    async fn start_pod(&self, at: &Proof, namespace: &Namespace, pod: &k8s_openapi::api::core::v1::Pod) -> Result<(), Failure>;
    /// Deletes such a pod; nothing where it is gone.
    async fn delete_pod(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<(), Failure>;
    async fn usage(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<Usage>, Failure>;
    async fn monitor(&self, at: &Proof) -> Result<Monitor, Failure>;
    /// Writes `verified-revision=<n>` onto Helm's record of that revision.
    async fn mark_verified(
        &self,
        at: &Proof,
        namespace: &Namespace,
        release: &ReleaseName,
        revision: Revision,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Failure>;
    /// Labels of Helm's records of every release in the namespace: release → revision → labels.
    async fn records(&self, at: &Proof, namespace: &Namespace) -> Result<BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>>, Failure>;
    /// Takes or renews the app's Lease for the operation; `OPERATION_RUNNING` names the other holder.
    async fn hold_lease(&self, at: &Proof, namespace: &Namespace, app: &AppName, holder: &OperationId, seconds: i32) -> Result<(), Failure>;
    async fn release_lease(&self, at: &Proof, namespace: &Namespace, app: &AppName, holder: &OperationId) -> Result<(), Failure>;
}

// ---------------------------------------------------------------- MCP peers, scanners

/// A tool that an MCP peer lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PeerTool {
    pub name: String,
    pub description: String,
    pub read_only: bool,
    pub input_schema: serde_json::Map<String, serde_json::Value>,
    /// What its structured content shall be, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_schema: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What a handshake with an MCP peer showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerFacts {
    pub name: String,
    pub version: String,
    pub protocol: String,
    /// The path that answered.
    pub path: String,
    pub host_header: String,
    pub tools: Vec<PeerTool>,
}

/// What a tool call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAnswer {
    pub is_error: bool,
    /// Text content and structured content, cut to 2,000 characters.
    pub text: String,
    pub structured: Option<serde_json::Value>,
    pub elapsed: Duration,
}

/// Speaks MCP to a server over streamable HTTP.
#[async_trait]
pub trait McpPeer: Send + Sync {
    /// Handshake and tools/list at `http://address` with the given Host header; tries `path`, else `/mcp`, `/mcp/`, `/`.
    /// `NOT_MCP` carries what each path answered. Bounded by the deadline.
    async fn meet(&self, address: std::net::SocketAddr, host_header: &str, path: Option<&str>, deadline: Duration) -> Result<PeerFacts, Failure>;
    /// One tool call on a fresh connection.
    async fn call(
        &self,
        address: std::net::SocketAddr,
        host_header: &str,
        path: &str,
        tool: &str,
        arguments: serde_json::Map<String, serde_json::Value>,
        deadline: Duration,
    ) -> Result<PeerAnswer, Failure>;
}

/// A vulnerability scanner.
#[async_trait]
pub trait Scanner: Send + Sync {
    /// Name, version and counts by severity; or the reason why no scan was made.
    async fn scan(&self, at: &Proof, reference: &ImageRef) -> Result<ScanReport, String>;
}

/// Counts by severity, upper case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ScanReport {
    pub scanner: String,
    pub counts: BTreeMap<String, u64>,
}

// ---------------------------------------------------------------- advisors

/// What the user lets an advisor use, and nothing else.
#[derive(Clone, Debug, Default)]
pub struct AdvisorSetting {
    /// Whose model: `openai`, `ollama`, …
    pub provider: Option<String>,
    pub model: Option<String>,
    /// Address of the provider, where it is not the provider's own.
    pub endpoint: Option<String>,
    pub key: Option<Secret>,
    /// `namespace/name` of an agent in the cluster.
    pub agent: Option<String>,
}

/// An advisor that can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdvisorFacts {
    pub version: String,
    /// Where the question goes, for the person whose question it is.
    pub sends_to: String,
}

/// Why there is no proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdvisorRefusalCode {
    /// The user has not switched it on.
    NotEnabled,
    Absent,
    /// It lacks a model, a key or an agent that only reads.
    Unconfigured,
    /// Only a person may ask it.
    Attended,
    TimedOut,
    /// It wants to run commands; they are listed, and nothing was run.
    WantsToAct,
    Unreadable,
    /// The answer tries something that nobody asked for.
    Hostile,
}

/// Why there is no proposal, and what the advisor wanted instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct AdvisorRefusal {
    pub code: AdvisorRefusalCode,
    pub why: String,
    /// Commands that it wanted to run: shown, never run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
}

impl AdvisorRefusal {
    /// A refusal with its reason, redacted.
    pub fn new(code: AdvisorRefusalCode, why: &str) -> Self {
        Self { code, why: crate::secret::plain(why, 400), commands: Vec::new() }
    }
}

/// Somebody who can be asked for a proposal. Gets text, answers text; it is given nothing to act with.
#[async_trait]
pub trait Advisor: Send + Sync {
    fn name(&self) -> AdvisorName;
    /// Whether it can be asked, without asking it. ≤ 5 s.
    async fn detect(&self, at: Option<&Proof>, setting: &AdvisorSetting) -> Result<AdvisorFacts, AdvisorRefusal>;
    /// Its answer as it gave it, at most 1 MiB: untrusted text.
    async fn consult(&self, at: Option<&Proof>, setting: &AdvisorSetting, prompt: &str, deadline: Duration) -> Result<String, AdvisorRefusal>;
}
