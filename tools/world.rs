//! The world that the engine acts in, made of the adapters; the only place that names them.

use async_trait::async_trait;
use landfall::evidence::Time;
use landfall::failure::{Code, Failure};
use landfall::names::{AppName, ImageRef, Namespace, OperationId, ProfileName, ReleaseName, Revision};
use landfall::ports::{
    Apply, BuildRequest, Charts, Clock, Cluster, DryRunFinding, Executed, Forward, HelmRevision, HelmSaid, ImageFacts, Images, LocalCluster, LogRequest, McpPeer, NamespaceFacts,
    NodeImage, Observations, Observed, Package, PeerAnswer, PeerFacts, Profile, Program, Progress, Proof, ScanReport, Scanner, StartSpec, Started, TryStart, Usage, World,
};
use landfall::secret::Secret;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Joins the adapters. Nothing is started, read or connected here: each does so when it is first asked.
pub(crate) fn world(_state: &Path) -> anyhow::Result<World> {
    let absent = Arc::new(Absent);
    Ok(World { local: absent.clone(), images: absent.clone(), charts: absent.clone(), cluster: absent.clone(), mcp: absent.clone(), scanner: absent.clone(), clock: absent })
}

/// A machine that has none of the programs.
struct Absent;

fn absent<T>(program: &str) -> Result<T, Failure> {
    Err(Failure::new(Code::ProgramMissing, format!("{program} is not there")).help("run `landfall doctor`"))
}

impl Clock for Absent {
    fn now(&self) -> Time {
        Time::now()
    }
}

#[async_trait]
impl LocalCluster for Absent {
    async fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        absent("minikube")
    }
    async fn prove(&self, _profile: &ProfileName) -> Result<Proof, Failure> {
        absent("minikube")
    }
    async fn start(&self, _profile: &ProfileName, _spec: &StartSpec, _progress: &dyn Progress) -> Result<(), Failure> {
        absent("minikube")
    }
    async fn enable_addon(&self, _profile: &ProfileName, _addon: &str) -> Result<bool, Failure> {
        absent("minikube")
    }
    async fn programs(&self) -> Vec<Program> {
        let program = |name: &str| Program { name: name.to_owned(), path: None, version: None, problem: "not found".to_owned(), help: format!("install {name}") };
        vec![program("minikube"), program("helm"), program("docker")]
    }
}

#[async_trait]
impl Images for Absent {
    async fn build(&self, _at: &Proof, _request: &BuildRequest, _progress: &dyn Progress) -> Result<ImageFacts, Failure> {
        absent("docker")
    }
    async fn inspect(&self, _at: &Proof, _reference: &ImageRef) -> Result<Option<ImageFacts>, Failure> {
        absent("docker")
    }
    async fn deliver(&self, _at: &Proof, _reference: &ImageRef, _id: &str, _progress: &dyn Progress) -> Result<String, Failure> {
        absent("docker")
    }
    async fn on_nodes(&self, _at: &Proof, _reference: &ImageRef) -> Result<Vec<NodeImage>, Failure> {
        absent("docker")
    }
    async fn try_start(&self, _at: &Proof, _request: &TryStart) -> Result<Started, Failure> {
        absent("docker")
    }
    async fn secrets_in_layers(&self, _at: &Proof, _reference: &ImageRef) -> Result<Vec<String>, Failure> {
        absent("docker")
    }
    async fn untag(&self, _at: &Proof, _reference: &ImageRef) -> Result<(), Failure> {
        absent("docker")
    }
}

#[async_trait]
impl Charts for Absent {
    async fn version(&self) -> Result<String, Failure> {
        absent("helm")
    }
    async fn lint(&self, _chart: &Path, _values: &[PathBuf]) -> Result<HelmSaid, Failure> {
        absent("helm")
    }
    async fn template(
        &self,
        _chart: &Path,
        _release: &ReleaseName,
        _namespace: &Namespace,
        _values: &[PathBuf],
        _kubernetes: Option<&str>,
    ) -> Result<HelmSaid, Failure> {
        absent("helm")
    }
    async fn package(&self, _chart: &Path, _destination: &Path) -> Result<Package, Failure> {
        absent("helm")
    }
    async fn history(&self, _at: &Proof, _namespace: &Namespace, _release: &ReleaseName) -> Result<Vec<HelmRevision>, Failure> {
        absent("helm")
    }
    async fn apply(&self, _at: &Proof, _request: &Apply) -> Result<Revision, Failure> {
        absent("helm")
    }
    async fn rollback(&self, _at: &Proof, _namespace: &Namespace, _release: &ReleaseName, _to: Revision) -> Result<Revision, Failure> {
        absent("helm")
    }
    async fn uninstall(&self, _at: &Proof, _namespace: &Namespace, _release: &ReleaseName) -> Result<(), Failure> {
        absent("helm")
    }
    async fn recorded(&self, _at: &Proof, _namespace: &Namespace, _release: &ReleaseName, _revision: Revision) -> Result<(String, String), Failure> {
        absent("helm")
    }
}

#[async_trait]
impl Cluster for Absent {
    async fn version(&self, _at: &Proof) -> Result<String, Failure> {
        absent("a cluster")
    }
    async fn namespace(&self, _at: &Proof, _namespace: &Namespace) -> Result<Option<NamespaceFacts>, Failure> {
        absent("a cluster")
    }
    async fn ensure_namespace(&self, _at: &Proof, _namespace: &Namespace, _app: &AppName) -> Result<bool, Failure> {
        absent("a cluster")
    }
    async fn delete_namespace(&self, _at: &Proof, _namespace: &Namespace) -> Result<bool, Failure> {
        absent("a cluster")
    }
    async fn secret_keys(&self, _at: &Proof, _namespace: &Namespace, _name: &str) -> Result<Option<Vec<String>>, Failure> {
        absent("a cluster")
    }
    async fn secret_value(&self, _at: &Proof, _namespace: &Namespace, _name: &str, _key: &str) -> Result<Option<Secret>, Failure> {
        absent("a cluster")
    }
    async fn ensure_secret(
        &self,
        _at: &Proof,
        _namespace: &Namespace,
        _name: &str,
        _labels: &BTreeMap<String, String>,
        _data: &BTreeMap<String, Secret>,
    ) -> Result<Vec<String>, Failure> {
        absent("a cluster")
    }
    async fn delete_secret(&self, _at: &Proof, _namespace: &Namespace, _name: &str) -> Result<(), Failure> {
        absent("a cluster")
    }
    async fn delete_claims(&self, _at: &Proof, _namespace: &Namespace) -> Result<Vec<String>, Failure> {
        absent("a cluster")
    }
    async fn dry_run(&self, _at: &Proof, _namespace: &Namespace, _manifest: &str) -> Result<Vec<DryRunFinding>, Failure> {
        absent("a cluster")
    }
    async fn observe(&self, _at: &Proof, _namespace: &Namespace) -> Result<Observed, Failure> {
        absent("a cluster")
    }
    async fn watch(&self, _at: &Proof, _namespace: &Namespace) -> Result<Observations, Failure> {
        absent("a cluster")
    }
    async fn logs(&self, _at: &Proof, _namespace: &Namespace, _request: &LogRequest) -> Result<String, Failure> {
        absent("a cluster")
    }
    async fn exec(&self, _at: &Proof, _namespace: &Namespace, _pod: &str, _container: &str, _command: &[String], _deadline: Duration) -> Result<Executed, Failure> {
        absent("a cluster")
    }
    async fn forward(&self, _at: &Proof, _namespace: &Namespace, _pod: &str, _port: u16) -> Result<Forward, Failure> {
        absent("a cluster")
    }
    async fn usage(&self, _at: &Proof, _namespace: &Namespace) -> Result<Vec<Usage>, Failure> {
        absent("a cluster")
    }
    async fn mark_verified(
        &self,
        _at: &Proof,
        _namespace: &Namespace,
        _release: &ReleaseName,
        _revision: Revision,
        _labels: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        absent("a cluster")
    }
    async fn records(&self, _at: &Proof, _namespace: &Namespace) -> Result<BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>>, Failure> {
        absent("a cluster")
    }
    async fn hold_lease(&self, _at: &Proof, _namespace: &Namespace, _app: &AppName, _holder: &OperationId, _seconds: i32) -> Result<(), Failure> {
        absent("a cluster")
    }
    async fn release_lease(&self, _at: &Proof, _namespace: &Namespace, _app: &AppName, _holder: &OperationId) -> Result<(), Failure> {
        absent("a cluster")
    }
}

#[async_trait]
impl McpPeer for Absent {
    async fn meet(&self, _address: SocketAddr, _host_header: &str, _path: Option<&str>, _deadline: Duration) -> Result<PeerFacts, Failure> {
        absent("a peer")
    }
    async fn call(
        &self,
        _address: SocketAddr,
        _host_header: &str,
        _path: &str,
        _tool: &str,
        _arguments: serde_json::Map<String, serde_json::Value>,
        _deadline: Duration,
    ) -> Result<PeerAnswer, Failure> {
        absent("a peer")
    }
}

#[async_trait]
impl Scanner for Absent {
    async fn scan(&self, _at: &Proof, _reference: &ImageRef) -> Result<ScanReport, String> {
        Err("no scanner".to_owned())
    }
}
