//! A namespace of its own on the real API server for one test, and the library's own looks at it.

use async_trait::async_trait;
use base64::Engine as _;
use landfall::adapters::kube::Kube;
use landfall::evidence::Time;
use landfall::failure::Failure;
use landfall::names::{AppName, Digest, Namespace, ProfileName, ServiceName};
use landfall::ports::{Clock, Cluster, LocalCluster, Node, Profile, ProfileStatus, Program, Progress, Proof, Runtime, Silent, StartSpec};
use landfall::rollout::{Expectation, Rollout, RolloutEnd, WorkloadKind};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

/// Proves nothing: it stands for the testbed, whose kubeconfig it wraps.
pub struct Testbed {
    pub folder: PathBuf,
    pub proofs: AtomicU32,
    /// What the next proofs shall claim instead of the truth.
    pub server: Option<String>,
}

#[async_trait]
impl LocalCluster for Testbed {
    async fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        Ok(vec![])
    }

    async fn prove(&self, profile: &ProfileName) -> Result<Proof, Failure> {
        self.proofs.fetch_add(1, Ordering::SeqCst);
        let text = run("kubectl", &["config", "view", "--minify", "--flatten", "--raw", "-o", "json"]).await;
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let cluster = &config["clusters"][0]["cluster"];
        let pem = base64::engine::general_purpose::STANDARD.decode(cluster["certificate-authority-data"].as_str().unwrap()).unwrap();
        let body: String = String::from_utf8(pem).unwrap().lines().filter(|line| !line.starts_with("-----")).collect();
        let der = base64::engine::general_purpose::STANDARD.decode(body).unwrap();
        let kubeconfig = self.folder.join("kubeconfig");
        std::fs::write(&kubeconfig, &text).unwrap();
        let server = self.server.clone().unwrap_or_else(|| cluster["server"].as_str().unwrap().to_owned());
        Ok(Proof {
            profile: Profile {
                name: profile.clone(),
                driver: "none".into(),
                runtime: Runtime::Docker,
                kubernetes_version: String::new(),
                nodes: vec![Node { name: "n".into(), ip: "127.0.0.1".into(), port: 8443, control_plane: true }],
                status: ProfileStatus::Running,
            },
            fingerprint: Digest::of(der).to_string(),
            server,
            kubeconfig,
            checks: vec![],
        })
    }

    async fn start(&self, _: &ProfileName, _: &StartSpec, _: &dyn Progress) -> Result<(), Failure> {
        Err(Failure::internal("not here"))
    }

    async fn addons(&self, _: &ProfileName) -> Result<BTreeSet<String>, Failure> {
        Err(Failure::internal("not here"))
    }

    async fn enable_addon(&self, _: &ProfileName, _: &str) -> Result<bool, Failure> {
        Err(Failure::internal("not here"))
    }

    async fn disable_addon(&self, _: &ProfileName, _: &str) -> Result<bool, Failure> {
        Err(Failure::internal("not here"))
    }

    async fn programs(&self) -> Vec<Program> {
        vec![]
    }
}

pub struct Wall;
impl Clock for Wall {
    fn now(&self) -> Time {
        Time::now()
    }
}

pub async fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A namespace of its own for one test, removed when the test ends, however it ends.
pub struct Room {
    pub kube: Kube,
    pub proof: Proof,
    pub namespace: Namespace,
    pub app: AppName,
    pub testbed: Arc<Testbed>,
    _folder: tempfile::TempDir,
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::process::Command::new("kubectl").args(["delete", "namespace", self.namespace.as_str(), "--wait=false", "--ignore-not-found"]).output();
    }
}

pub async fn room(name: &str) -> Room {
    let profile = std::env::var("LANDFALL_TEST_PROFILE").expect("LANDFALL_TEST_PROFILE names the test profile: eval \"$(tests/testbed/testbed.sh env)\"");
    let folder = tempfile::tempdir().unwrap();
    let testbed = Arc::new(Testbed { folder: folder.path().into(), proofs: AtomicU32::new(0), server: None });
    let kube = Kube::new(Arc::clone(&testbed) as Arc<dyn LocalCluster>);
    let proof = testbed.prove(&ProfileName::parse(profile).unwrap()).await.unwrap();
    let app = AppName::parse(name).unwrap();
    let namespace = Namespace::parse(format!("{name}-{}", std::process::id())).unwrap();
    assert!(kube.ensure_namespace(&proof, &namespace, &app).await.unwrap(), "the namespace is new");
    assert!(!kube.ensure_namespace(&proof, &namespace, &app).await.unwrap(), "and is made once");
    // The API server's controllers give every namespace its account a moment later.
    for _ in 0..100 {
        if Command::new("kubectl").args(["get", "serviceaccount", "default", "-n", namespace.as_str()]).output().await.unwrap().status.success() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Room { kube, proof, namespace, app, testbed, _folder: folder }
}

impl Room {
    pub async fn apply(&self, manifest: &str) {
        let path = self.testbed.folder.join("manifest.yaml");
        std::fs::write(&path, manifest).unwrap();
        run("kubectl", &["apply", "-n", self.namespace.as_str(), "-f", path.to_str().unwrap()]).await;
    }

    pub async fn follow(&self, image_id: Option<&str>, deadline: u64) -> RolloutEnd {
        let cancel = CancellationToken::new();
        let rollout = Rollout {
            cluster: &self.kube,
            clock: &Wall,
            at: &self.proof,
            namespace: &self.namespace,
            window: Duration::from_secs(3),
            deadline: Duration::from_secs(deadline),
            progress: &Silent,
            cancel: &cancel,
        };
        let expectation = Expectation {
            release: ServiceName::parse("api").unwrap(),
            kind: Some(WorkloadKind::Deployment),
            image_id: image_id.map(str::to_owned),
            needs_endpoints: true,
        };
        rollout.follow(&[expectation]).await.unwrap()
    }

    /// Notes the moment of the last change of any container, condition or warning that a watch shows.
    pub async fn stopwatch(&self) -> Arc<Mutex<Instant>> {
        let last = Arc::new(Mutex::new(Instant::now()));
        let mut seen = self.kube.watch(&self.proof, &self.namespace).await.unwrap();
        let noted = Arc::clone(&last);
        tokio::spawn(async move {
            let mut before = String::new();
            while seen.changed().await.is_ok() {
                let now = seen.borrow_and_update().clone();
                let states: Vec<_> =
                    now.pods.iter().filter_map(|pod| pod.status.as_ref()).map(|status| (&status.container_statuses, &status.conditions)).collect();
                let warnings = now.events.iter().filter(|event| event.type_.as_deref() == Some("Warning")).map(|event| event.count.unwrap_or(1)).sum::<i32>();
                let picture = format!("{states:?} {warnings}");
                if picture != before {
                    before = picture;
                    *noted.lock().unwrap() = Instant::now();
                }
            }
        });
        last
    }
}
