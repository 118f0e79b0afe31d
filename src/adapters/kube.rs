//! The port `Cluster` on kube: the API server of a proven Minikube, every wait with a deadline; it judges nothing and knows no release.

mod connect;
mod dry_run;
mod glance;
mod lease;
mod objects;
mod raw;
mod streams;
mod watch;

use crate::failure::{Code, Failure};
use crate::names::{AppName, Namespace, OperationId, ReleaseName, Revision};
use crate::ports::{Cluster, DryRunFinding, Executed, Forward, Keyed, LocalCluster, LogRequest, Monitor, NamespaceFacts, Observations, Observed, Proof, Usage};
use crate::secret::Secret;
use ::kube::Client;
use async_trait::async_trait;
use k8s_openapi::api::core::v1;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Label that says an object is ours.
pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Our value of it.
pub(crate) const LANDFALL: &str = "landfall";
/// Label that names the app.
pub(crate) const APP: &str = "landfall.dev/app";
/// The field manager of our own writes.
const MANAGER: &str = "landfall";

/// How long one request may take while somebody waits for the answer of a call, which comes within three seconds.
const OF_A_CALL: Duration = Duration::from_secs(2);
/// How long one request of an operation may take.
const OF_AN_OPERATION: Duration = Duration::from_secs(5);
/// How long an overloaded API server is left alone before it is asked again; asked once more for each.
const AGAIN: [Duration; 2] = [Duration::from_millis(300), Duration::from_secs(1)];
/// How long the first word of an API server may take.
const FIRST_WORD: Duration = Duration::from_secs(2);

/// The Kubernetes API, reached through the private kubeconfig of a proof. Clients are kept per kubeconfig content.
pub struct Kube {
    local: Arc<dyn LocalCluster>,
    patience: Duration,
    clients: Mutex<BTreeMap<String, Client>>,
    /// What was answered last, and when: told when the next question gets no answer.
    heard: Mutex<Option<(String, jiff::Timestamp)>>,
}

impl std::fmt::Debug for Kube {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Kube")
    }
}

impl Kube {
    /// An adapter that proves its target through `local` before every change, for operations: one request may take five seconds.
    pub fn new(local: Arc<dyn LocalCluster>) -> Self {
        Self { local, patience: OF_AN_OPERATION, clients: Mutex::default(), heard: Mutex::default() }
    }

    /// The same for calls, whose caller waits: one request may take two seconds.
    pub fn for_calls(local: Arc<dyn LocalCluster>) -> Self {
        Self { patience: OF_A_CALL, ..Self::new(local) }
    }

    /// A client for looking: pinned to the proof's CA and address.
    async fn client(&self, at: &Proof) -> Result<Client, Failure> {
        connect::client(at, &self.clients).await
    }

    /// A client for changing: the target is proven anew, and must be the one that `at` describes.
    async fn proven(&self, at: &Proof) -> Result<Client, Failure> {
        let now = self.local.prove(&at.profile.name).await?;
        if now.fingerprint != at.fingerprint || now.server != at.server {
            return Err(connect::not_the_same(at, &now));
        }
        self.client(&now).await
    }

    async fn ask<T, F>(&self, at: &Proof, doing: &str, request: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, ::kube::Error>>,
    {
        self.ask_within(at, doing, self.patience, request).await
    }

    /// Runs one request inside `limit`, again where the server only says that it is overloaded; its answer is remembered as the last sign of life.
    async fn ask_within<T, F>(&self, at: &Proof, doing: &str, limit: Duration, mut request: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, ::kube::Error>>,
    {
        let until = tokio::time::Instant::now() + limit;
        let mut again = AGAIN.into_iter();
        loop {
            match tokio::time::timeout_at(until, request()).await {
                Ok(Ok(answer)) => {
                    self.note(doing);
                    return Ok(answer);
                }
                Ok(Err(error)) => {
                    if matches!(error, ::kube::Error::Api(_)) {
                        self.note(doing);
                    }
                    match again.next().filter(|wait| connect::overloaded(&error) && tokio::time::Instant::now() + *wait < until) {
                        Some(wait) => tokio::time::sleep(wait).await,
                        None => return Err(connect::failure(doing, at, &error, &self.last_heard())),
                    }
                }
                Err(_) => return Err(connect::unreachable(doing, at, &format!("no answer within {} s", limit.as_secs_f32()), &self.last_heard())),
            }
        }
    }

    fn note(&self, doing: &str) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some((doing.to_owned(), jiff::Timestamp::now()));
    }

    fn last_heard(&self) -> String {
        match &*self.heard.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((what, when)) => {
                let ago = jiff::Timestamp::now().duration_since(*when).as_secs();
                format!("it last answered {ago} s ago ({what})")
            }
            None => "it has not answered this process yet".to_owned(),
        }
    }
}

#[async_trait]
impl Cluster for Kube {
    async fn version(&self, at: &Proof) -> Result<String, Failure> {
        let client = self.client(at).await?;
        let version = self.ask_within(at, "read the server's version", FIRST_WORD, || client.apiserver_version()).await?;
        Ok(version.git_version)
    }

    async fn namespace(&self, at: &Proof, namespace: &Namespace) -> Result<Option<NamespaceFacts>, Failure> {
        self.namespace_facts(at, namespace).await
    }

    async fn ensure_namespace(&self, at: &Proof, namespace: &Namespace, app: &AppName) -> Result<bool, Failure> {
        self.create_namespace(at, namespace, app).await
    }

    async fn delete_namespace(&self, at: &Proof, namespace: &Namespace) -> Result<bool, Failure> {
        self.remove_namespace(at, namespace).await
    }

    async fn secret_keys(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<Option<Vec<String>>, Failure> {
        Ok(self.secret(at, namespace, name).await?.map(|secret| secret.data.unwrap_or_default().into_keys().collect()))
    }

    async fn keyed(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<Keyed>, Failure> {
        self.all_keyed(at, namespace).await
    }

    async fn secret_value(&self, at: &Proof, namespace: &Namespace, name: &str, key: &str) -> Result<Option<Secret>, Failure> {
        let Some(secret) = self.secret(at, namespace, name).await? else { return Ok(None) };
        let value = secret.data.unwrap_or_default().remove(key);
        Ok(value.map(|bytes| Secret::new(String::from_utf8_lossy(&bytes.0).into_owned())))
    }

    async fn ensure_secret(
        &self,
        at: &Proof,
        namespace: &Namespace,
        name: &str,
        labels: &BTreeMap<String, String>,
        data: &BTreeMap<String, Secret>,
    ) -> Result<Vec<String>, Failure> {
        self.complete_secret(at, namespace, name, labels, data).await
    }

    async fn delete_secret(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<(), Failure> {
        self.remove::<v1::Secret>(at, namespace, name).await
    }

    async fn delete_claims(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<String>, Failure> {
        self.remove_claims(at, namespace).await
    }

    async fn dry_run(&self, at: &Proof, namespace: &Namespace, manifest: &str) -> Result<Vec<DryRunFinding>, Failure> {
        self.try_manifest(at, namespace, manifest).await
    }

    async fn observe(&self, at: &Proof, namespace: &Namespace) -> Result<Observed, Failure> {
        self.look(at, namespace).await
    }

    async fn glance(&self, at: &Proof, namespace: &Namespace) -> Result<Observed, Failure> {
        self.look_briefly(at, namespace).await
    }

    async fn watch(&self, at: &Proof, namespace: &Namespace) -> Result<Observations, Failure> {
        let client = self.client(at).await?;
        let observations = watch::watch(client, namespace).await;
        observations.map_err(|seen| connect::unreachable(&format!("watch namespace {namespace}"), at, &seen, &self.last_heard()))
    }

    async fn logs(&self, at: &Proof, namespace: &Namespace, request: &LogRequest) -> Result<String, Failure> {
        self.read_log(at, namespace, request).await
    }

    async fn exec(&self, at: &Proof, namespace: &Namespace, pod: &str, container: &str, command: &[String], deadline: Duration) -> Result<Executed, Failure> {
        self.run_inside(at, namespace, pod, container, command, deadline).await
    }

    async fn forward(&self, at: &Proof, namespace: &Namespace, pod: &str, port: u16) -> Result<Forward, Failure> {
        self.open_forward(at, namespace, pod, port).await
    }

    async fn start_pod(&self, at: &Proof, namespace: &Namespace, pod: &v1::Pod) -> Result<(), Failure> {
        self.create_pod(at, namespace, pod).await
    }

    async fn delete_pod(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<(), Failure> {
        self.remove::<v1::Pod>(at, namespace, name).await
    }

    async fn usage(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<Usage>, Failure> {
        self.read_usage(at, namespace).await
    }

    async fn monitor(&self, at: &Proof) -> Result<Monitor, Failure> {
        self.read_monitor(at).await
    }

    async fn mark_verified(
        &self,
        at: &Proof,
        namespace: &Namespace,
        release: &ReleaseName,
        revision: Revision,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        self.label_record(at, namespace, release, revision, labels).await
    }

    async fn records(&self, at: &Proof, namespace: &Namespace) -> Result<BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>>, Failure> {
        self.read_records(at, namespace).await
    }

    async fn hold_lease(&self, at: &Proof, namespace: &Namespace, app: &AppName, holder: &OperationId, seconds: i32) -> Result<(), Failure> {
        self.take_lease(at, namespace, app, holder, seconds).await
    }

    async fn release_lease(&self, at: &Proof, namespace: &Namespace, app: &AppName, holder: &OperationId) -> Result<(), Failure> {
        self.drop_lease(at, namespace, app, holder).await
    }
}

/// The API server said no: what was being done, and its own words.
fn refused(doing: &str, words: impl std::fmt::Display) -> Failure {
    Failure::new(Code::ClusterRefused, format!("{doing}: the API server refused")).cause(words)
}
