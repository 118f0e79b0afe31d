//! Namespaces, Secrets, claims, Helm's records and one look at everything: single requests, nothing long-lived.

use super::glance;
use super::raw::list;
use super::{APP, Kube, LANDFALL, MANAGED_BY, MANAGER, refused};
use crate::failure::{Code, Failure};
use crate::names::{AppName, Namespace, ReleaseName, Revision};
use crate::ports::{Keyed, KeyedKind, Monitor, NamespaceFacts, Observed, Proof, Usage};
use crate::secret::Secret;
use base64::Engine as _;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What Kubernetes itself puts into every namespace, and what only mirrors other objects.
const SYSTEM_KINDS: [&str; 5] = ["Event", "Endpoints", "EndpointSlice", "PodMetrics", "ControllerRevision"];

impl Kube {
    pub(super) async fn namespace_facts(&self, at: &Proof, namespace: &Namespace) -> Result<Option<NamespaceFacts>, Failure> {
        let namespaces: Api<v1::Namespace> = Api::all(self.client(at).await?);
        let found = self.ask(at, &format!("read namespace {namespace}"), || namespaces.get_opt(namespace.as_str())).await?;
        Ok(found.map(|found| facts(&found)))
    }

    pub(super) async fn create_namespace(&self, at: &Proof, namespace: &Namespace, app: &AppName) -> Result<bool, Failure> {
        let namespaces: Api<v1::Namespace> = Api::all(self.proven(at).await?);
        let doing = format!("create namespace {namespace}");
        if let Some(found) = self.ask(at, &doing, || namespaces.get_opt(namespace.as_str())).await? {
            return existing(&facts(&found), namespace, app).map(|()| false);
        }
        let wanted: v1::Namespace = object(json!({"metadata": {"name": namespace.as_str(), "labels": {
            MANAGED_BY: LANDFALL, APP: app.as_str(),
            "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted",
        }}}))?;
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        // None where somebody was faster: an operation of ours that was resumed, or a person.
        self.ask(at, &doing, || unless_changed(namespaces.create(&parameters, &wanted))).await.map(|created| created.is_some())
    }

    pub(super) async fn remove_namespace(&self, at: &Proof, namespace: &Namespace) -> Result<bool, Failure> {
        let client = self.proven(at).await?;
        let namespaces: Api<v1::Namespace> = Api::all(client.clone());
        let doing = format!("delete namespace {namespace}");
        let Some(found) = self.ask(at, &doing, || namespaces.get_opt(namespace.as_str())).await? else { return Ok(false) };
        if !facts(&found).ours {
            return Ok(false);
        }
        let foreign = self.foreign_objects(at, client, namespace).await?;
        if !foreign.is_empty() {
            tracing::info!(namespace = namespace.as_str(), objects = foreign.len(), "namespace stays: it holds objects that we did not make or must keep");
            return Ok(false);
        }
        let same = Preconditions { uid: found.uid(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(same), ..DeleteParams::background() };
        self.ask(at, &doing, || unless_gone(namespaces.delete(namespace.as_str(), &parameters))).await.map(|_| true)
    }

    /// `Kind/name` of everything in the namespace that is somebody else's, or data that must not go with it.
    async fn foreign_objects(&self, at: &Proof, client: Client, namespace: &Namespace) -> Result<Vec<String>, Failure> {
        let doing = format!("list what is in namespace {namespace}");
        let limit = Duration::from_secs(20);
        let found = || async {
            let discovery = Discovery::new(client.clone()).run_aggregated().await?;
            let kinds: Vec<_> = discovery
                .groups()
                .flat_map(kube::discovery::ApiGroup::recommended_resources)
                .filter(|(resource, can)| {
                    can.scope == Scope::Namespaced
                        && can.supports_operation(verbs::LIST)
                        && can.supports_operation(verbs::DELETE)
                        && !SYSTEM_KINDS.contains(&resource.kind.as_str())
                })
                .collect();
            let lists = kinds.into_iter().map(|(resource, _)| {
                let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace.as_str(), &resource);
                async move {
                    match api.list_metadata(&ListParams::default()).await {
                        Ok(list) => Ok(list
                            .items
                            .iter()
                            .filter(|object| foreign(&resource.kind, &object.metadata))
                            .map(|object| format!("{}/{}", resource.kind, object.name_any()))
                            .collect()),
                        // A kind that was withdrawn meanwhile, or an aggregated server that cannot list it.
                        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 405) => Ok(Vec::new()),
                        Err(error) => Err(error),
                    }
                }
            });
            let lists: Vec<Result<Vec<String>, kube::Error>> = futures::stream::iter(lists).buffer_unordered(8).collect().await;
            let mut all = Vec::new();
            for list in lists {
                all.extend(list?);
            }
            Ok(all)
        };
        self.ask_within(at, &doing, limit, found).await
    }

    pub(super) async fn secret(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<Option<v1::Secret>, Failure> {
        let secrets: Api<v1::Secret> = Api::namespaced(self.client(at).await?, namespace.as_str());
        self.ask(at, &format!("read Secret {namespace}/{name}"), || secrets.get_opt(name)).await
    }

    pub(super) async fn all_keyed(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<Keyed>, Failure> {
        let client = self.client(at).await?;
        let secrets: Api<v1::Secret> = Api::namespaced(client.clone(), namespace.as_str());
        let configs: Api<v1::ConfigMap> = Api::namespaced(client, namespace.as_str());
        let (all, opaque) = (ListParams::default(), ListParams::default().fields("type=Opaque"));
        let doing = format!("read ConfigMaps and Secrets in namespace {namespace}");
        let (configs, secrets) = self.ask(at, &doing, || async { tokio::try_join!(configs.list(&all), secrets.list(&opaque)) }).await?;
        let keyed = |kind, metadata: &kube::core::ObjectMeta, keys: Vec<String>| Keyed {
            kind,
            name: metadata.name.clone().unwrap_or_default(),
            release: metadata.annotations.as_ref().and_then(|notes| notes.get("meta.helm.sh/release-name")).cloned(),
            keys,
        };
        let configs = configs.items.into_iter().map(|one| {
            let keys = one.data.unwrap_or_default().into_keys().chain(one.binary_data.unwrap_or_default().into_keys());
            keyed(KeyedKind::ConfigMap, &one.metadata, keys.collect())
        });
        let secrets = secrets.items.into_iter().map(|one| keyed(KeyedKind::Secret, &one.metadata, one.data.unwrap_or_default().into_keys().collect()));
        Ok(configs.chain(secrets).collect())
    }

    pub(super) async fn complete_secret(
        &self,
        at: &Proof,
        namespace: &Namespace,
        name: &str,
        labels: &BTreeMap<String, String>,
        data: &BTreeMap<String, Secret>,
    ) -> Result<Vec<String>, Failure> {
        let client = self.proven(at).await?;
        let secrets: Api<v1::Secret> = Api::namespaced(client.clone(), namespace.as_str());
        let labels = self.own_labels(at, client, namespace, labels).await?;
        let doing = format!("make sure of Secret {namespace}/{name}");
        // Two writers may meet; each round starts from what is there.
        for _ in 0..3 {
            let found = self.ask(at, &doing, || secrets.get_opt(name)).await?;
            let missing = missing_keys(found.as_ref(), data);
            if found.is_some() && missing.is_empty() {
                return Ok(missing);
            }
            let encoded: BTreeMap<&String, String> = data
                .iter()
                .filter(|(key, _)| missing.contains(*key))
                .map(|(key, value)| (key, base64::engine::general_purpose::STANDARD.encode(value.reveal())))
                .collect();
            let written = match &found {
                None => {
                    let wanted: v1::Secret = object(json!({"metadata": {"name": name, "labels": labels}, "type": "Opaque", "data": encoded}))?;
                    let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
                    self.ask(at, &doing, || unless_changed(secrets.create(&parameters, &wanted))).await?
                }
                Some(found) if !ours(&found.metadata) => return Err(incomplete(namespace, name, &missing)),
                Some(found) => {
                    let patch = Patch::Merge(json!({"metadata": {"resourceVersion": found.metadata.resource_version}, "data": encoded}));
                    let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
                    self.ask(at, &doing, || unless_changed(secrets.patch(name, &parameters, &patch))).await?
                }
            };
            if written.is_some() {
                return Ok(missing);
            }
        }
        Err(refused(&doing, "somebody else keeps changing this Secret").help("look at who writes it: kubectl get secret -o yaml --show-managed-fields"))
    }

    /// Our labels, with the app's name from the namespace where the caller did not give it.
    async fn own_labels(
        &self,
        at: &Proof,
        client: Client,
        namespace: &Namespace,
        labels: &BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut labels = labels.clone();
        labels.insert(MANAGED_BY.to_owned(), LANDFALL.to_owned());
        if !labels.contains_key(APP) {
            let namespaces: Api<v1::Namespace> = Api::all(client);
            let found = self.ask(at, &format!("read namespace {namespace}"), || namespaces.get_opt(namespace.as_str())).await?;
            if let Some(app) = found.and_then(|found| found.labels().get(APP).cloned()) {
                labels.insert(APP.to_owned(), app);
            }
        }
        Ok(labels)
    }

    /// Deletes the object of this name, if it is ours; nothing where it is gone already.
    pub(super) async fn remove<K>(&self, at: &Proof, namespace: &Namespace, name: &str) -> Result<(), Failure>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope> + Clone + DeserializeOwned + fmt::Debug,
    {
        let objects: Api<K> = Api::namespaced(self.proven(at).await?, namespace.as_str());
        let doing = format!("delete {} {namespace}/{name}", K::kind(&()));
        let Some(found) = self.ask(at, &doing, || objects.get_opt(name)).await? else { return Ok(()) };
        if !ours(found.meta()) {
            return Err(refused(&doing, format!("it lacks the label {MANAGED_BY}={LANDFALL}, so it is not ours")).help("delete it yourself if you mean to"));
        }
        let same = Preconditions { uid: found.uid(), resource_version: None };
        let parameters = DeleteParams { preconditions: Some(same), ..DeleteParams::default() };
        self.ask(at, &doing, || unless_gone(objects.delete(name, &parameters))).await.map(|_| ())
    }

    pub(super) async fn create_pod(&self, at: &Proof, namespace: &Namespace, pod: &v1::Pod) -> Result<(), Failure> {
        let pods: Api<v1::Pod> = Api::namespaced(self.proven(at).await?, namespace.as_str());
        let mut wanted = pod.clone();
        wanted.metadata.labels.get_or_insert_default().insert(MANAGED_BY.to_owned(), LANDFALL.to_owned());
        let name = wanted.name_any();
        let doing = format!("start pod {namespace}/{name}");
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        if self.ask(at, &doing, || unless_changed(pods.create(&parameters, &wanted))).await?.is_some() {
            return Ok(());
        }
        match self.ask(at, &doing, || pods.get_opt(&name)).await? {
            Some(found) if ours(&found.metadata) => Ok(()),
            Some(_) | None => Err(refused(&doing, "a pod of that name is somebody else's").help("delete it if it is yours, then call again")),
        }
    }

    pub(super) async fn remove_claims(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<String>, Failure> {
        let client = self.proven(at).await?;
        let doing = format!("delete the claims of namespace {namespace}");
        let namespaces: Api<v1::Namespace> = Api::all(client.clone());
        let found = self.ask(at, &doing, || namespaces.get_opt(namespace.as_str())).await?;
        let Some(found) = found else { return Ok(Vec::new()) };
        if !facts(&found).ours {
            return Err(Failure::new(Code::NamespaceNotOurs, format!("{doing}: the namespace was not made by landfall, so its data stays"))
                .help(format!("delete claims yourself: kubectl delete pvc -n {namespace} NAME")));
        }
        let claims: Api<v1::PersistentVolumeClaim> = Api::namespaced(client, namespace.as_str());
        let (whole, background) = (ListParams::default(), DeleteParams::background());
        let all = self.ask(at, &doing, || claims.list_metadata(&whole)).await?;
        let mut gone = Vec::new();
        // Claims of our charts carry Helm's mark, claims that a person made by hand carry none.
        for claim in all.items.iter().filter(|claim| claim.labels().get(MANAGED_BY).is_some_and(|by| by == LANDFALL || by == "Helm")) {
            let name = claim.name_any();
            self.ask(at, &doing, || unless_gone(claims.delete(&name, &background))).await?;
            gone.push(name);
        }
        Ok(gone)
    }

    pub(super) async fn look(&self, at: &Proof, namespace: &Namespace) -> Result<Observed, Failure> {
        let client = self.client(at).await?;
        let seen = || async {
            let here = Some(namespace.as_str());
            let (pods, events, rest) = tokio::try_join!(list(&client, here), list(&client, here), beside(&client, namespace))?;
            Ok(Observed { pods, events, ..rest })
        };
        self.ask(at, &format!("look at namespace {namespace}"), seen).await
    }

    pub(super) async fn look_briefly(&self, at: &Proof, namespace: &Namespace) -> Result<Observed, Failure> {
        let client = self.client(at).await?;
        let seen = || async {
            let (events, rest) = tokio::try_join!(glance::events(&client, namespace), beside(&client, namespace))?;
            // After the sets that count them: a pod that is gone since is missed by one look at most, and none is counted twice.
            let (pods, counted) = glance::pods(&client, namespace, &rest.replica_sets).await?;
            Ok(Observed { pods, counted, events, ..rest })
        };
        self.ask(at, &format!("look at namespace {namespace}"), seen).await
    }

    pub(super) async fn read_usage(&self, at: &Proof, namespace: &Namespace) -> Result<Vec<Usage>, Failure> {
        let client = self.client(at).await?;
        let request = http::Request::get(format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods"))
            .body(Vec::new())
            .map_err(|error| Failure::internal("build a request for metrics").chain(&error))?;
        let answer = || async {
            match client.request::<serde_json::Value>(request.clone()).await {
                Ok(list) => Ok(Some(list)),
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 503) => Ok(None),
                Err(error) => Err(error),
            }
        };
        let list = self.ask(at, "read the use of resources", answer).await?;
        let list = list.ok_or_else(|| {
            Failure::new(Code::NotSupported, "read the use of resources: the cluster has no metrics API")
                .help(format!("minikube addons enable metrics-server -p {}, then wait about a minute", at.profile.name))
        })?;
        Ok(usage(&list))
    }

    /// Asks for the operator's own objects: a 404 says that the API server does not know their type.
    pub(super) async fn read_monitor(&self, at: &Proof) -> Result<Monitor, Failure> {
        let (monitors, rules) = tokio::try_join!(self.count(at, "servicemonitors"), self.count(at, "prometheusrules"))?;
        if monitors.is_none() || rules.is_none() {
            return Ok(Monitor::default());
        }
        let (prometheuses, alertmanagers) = tokio::try_join!(self.count(at, "prometheuses"), self.count(at, "alertmanagers"))?;
        Ok(Monitor { types: true, prometheuses: prometheuses.unwrap_or(0), alertmanagers: alertmanagers.unwrap_or(0) })
    }

    /// How many objects of the operator there are of a kind, in all namespaces; none where the API server does not know it.
    async fn count(&self, at: &Proof, kind: &str) -> Result<Option<usize>, Failure> {
        let client = self.client(at).await?;
        let request = http::Request::get(format!("/apis/monitoring.coreos.com/v1/{kind}"))
            .body(Vec::new())
            .map_err(|error| Failure::internal("build a request for the Prometheus operator").chain(&error))?;
        let answer = || async {
            match client.request::<serde_json::Value>(request.clone()).await {
                Ok(list) => Ok(Some(list)),
                Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
                Err(error) => Err(error),
            }
        };
        let list = self.ask(at, &format!("look for {kind}"), answer).await?;
        Ok(list.map(|list| list.get("items").and_then(serde_json::Value::as_array).map_or(0, Vec::len)))
    }

    pub(super) async fn label_record(
        &self,
        at: &Proof,
        namespace: &Namespace,
        release: &ReleaseName,
        revision: Revision,
        labels: &BTreeMap<String, String>,
    ) -> Result<(), Failure> {
        let secrets: Api<v1::Secret> = Api::namespaced(self.proven(at).await?, namespace.as_str());
        let name = format!("sh.helm.release.v1.{release}.v{revision}");
        let mut labels = labels.clone();
        labels.insert("verified-revision".to_owned(), revision.to_string());
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        self.ask(at, &format!("mark {release} revision {revision} as verified"), || secrets.patch_metadata(&name, &parameters, &patch)).await.map(|_| ())
    }

    pub(super) async fn read_records(&self, at: &Proof, namespace: &Namespace) -> Result<BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>>, Failure> {
        let secrets: Api<v1::Secret> = Api::namespaced(self.client(at).await?, namespace.as_str());
        let parameters = ListParams::default().labels("owner=helm");
        let list = self.ask(at, &format!("read Helm's records in namespace {namespace}"), || secrets.list_metadata(&parameters)).await?;
        let mut records: BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>> = BTreeMap::new();
        for record in list.items {
            let labels = record.metadata.labels.unwrap_or_default();
            let (Some(name), Some(Ok(version))) = (labels.get("name"), labels.get("version").map(|version| version.parse())) else { continue };
            records.entry(name.clone()).or_default().insert(version, labels);
        }
        Ok(records)
    }
}

/// Every list of one look but those of pods and events, in parallel.
async fn beside(client: &Client, namespace: &Namespace) -> Result<Observed, kube::Error> {
    let all = ListParams::default();
    let namespace = namespace.as_str();
    let (here, everywhere) = (Some(namespace), None);
    let configs: Api<v1::ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<v1::Secret> = Api::namespaced(client.clone(), namespace);
    let workloads =
        async { tokio::try_join!(list(client, here), list(client, here), list(client, here), list(client, here), list(client, here), list(client, here)) };
    let others =
        async { tokio::try_join!(list(client, here), list(client, here), list(client, here), list(client, here), list(client, here), list(client, here)) };
    let named = async { tokio::try_join!(configs.list_metadata(&all), secrets.list_metadata(&all)) };
    let (
        (deployments, replica_sets, stateful_sets, daemon_sets, jobs, cron_jobs),
        (services, endpoint_slices, claims, autoscalers, ingresses, policies),
        (configs, secrets),
        nodes,
    ) = tokio::try_join!(workloads, others, named, list(client, everywhere))?;
    Ok(Observed {
        at: Some(jiff::Timestamp::now()),
        deployments,
        replica_sets,
        stateful_sets,
        daemon_sets,
        jobs,
        cron_jobs,
        services,
        endpoint_slices,
        claims,
        autoscalers,
        ingresses,
        policies,
        config_maps: configs.items.iter().map(kube::ResourceExt::name_any).collect(),
        secrets: secrets.items.iter().map(kube::ResourceExt::name_any).collect(),
        nodes,
        ..Observed::default()
    })
}

fn facts(namespace: &v1::Namespace) -> NamespaceFacts {
    NamespaceFacts {
        ours: ours(&namespace.metadata),
        terminating: namespace.metadata.deletion_timestamp.is_some(),
        labels: namespace.metadata.labels.clone().unwrap_or_default(),
    }
}

/// An existing namespace may be used, unless it is going away or belongs to another app of ours.
fn existing(facts: &NamespaceFacts, namespace: &Namespace, app: &AppName) -> Result<(), Failure> {
    if facts.terminating {
        let mut failure =
            refused(&format!("create namespace {namespace}"), "a namespace of this name is being deleted").help("wait until it is gone, then call again");
        failure.retryable = true;
        return Err(failure);
    }
    match facts.labels.get(APP) {
        Some(other) if facts.ours && other != app.as_str() => {
            Err(Failure::new(Code::NamespaceNotOurs, format!("namespace {namespace} belongs to the app {other}"))
                .help("choose another namespace: set `namespace` in landfall.toml under [app], or pass it as an argument"))
        }
        Some(_) | None => Ok(()),
    }
}

fn ours(metadata: &kube::core::ObjectMeta) -> bool {
    metadata.labels.as_ref().and_then(|labels| labels.get(MANAGED_BY)).is_some_and(|by| by == LANDFALL)
}

/// True where deleting the namespace would take something that is not ours, or somebody's data.
fn foreign(kind: &str, metadata: &kube::core::ObjectMeta) -> bool {
    let name = metadata.name.as_deref().unwrap_or_default();
    let of_the_system = (kind == "ServiceAccount" && name == "default") || (kind == "ConfigMap" && name == "kube-root-ca.crt");
    let owned = metadata.owner_references.as_ref().is_some_and(|owners| !owners.is_empty());
    kind == "PersistentVolumeClaim" || !(of_the_system || owned || ours(metadata))
}

fn missing_keys(found: Option<&v1::Secret>, data: &BTreeMap<String, Secret>) -> Vec<String> {
    let there = found.and_then(|found| found.data.as_ref());
    data.keys().filter(|key| !there.is_some_and(|there| there.contains_key(*key))).cloned().collect()
}

fn incomplete(namespace: &Namespace, name: &str, missing: &[String]) -> Failure {
    Failure::new(Code::ValueNeeded, format!("Secret {namespace}/{name} was not made by landfall and lacks {}", missing.join(", ")))
        .help("add those keys to it, or delete it so that landfall makes its own")
}

/// None where the object changed under us.
async fn unless_changed<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<Option<T>, kube::Error> {
    match request.await {
        Ok(done) => Ok(Some(done)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

/// None where the object was gone already.
pub(super) async fn unless_gone<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<Option<T>, kube::Error> {
    match request.await {
        Ok(done) => Ok(Some(done)),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// A typed object from a literal.
pub(super) fn object<K: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<K, Failure> {
    serde_json::from_value(value).map_err(|error| Failure::internal("build an object").cause(error))
}

fn usage(list: &serde_json::Value) -> Vec<Usage> {
    let text = |value: &serde_json::Value, path: &str| value.pointer(path).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let items = |value: &serde_json::Value, field: &str| value.get(field).and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
    let mut all = Vec::new();
    for pod in items(list, "items") {
        for container in items(&pod, "containers") {
            all.push(Usage {
                pod: text(&pod, "/metadata/name"),
                container: text(&container, "/name"),
                cpu_millicores: crate::quantity::milli(&text(&container, "/usage/cpu")).unwrap_or_default(),
                memory_bytes: crate::quantity::whole(&text(&container, "/usage/memory")).unwrap_or_default(),
            });
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(value: serde_json::Value) -> kube::core::ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_namespace_goes_only_when_nothing_in_it_is_anybody_elses() {
        let check = |kind: &str, value: serde_json::Value, expect: bool| assert_eq!(foreign(kind, &metadata(value.clone())), expect, "{kind} {value}");
        check("ConfigMap", json!({"name": "kube-root-ca.crt"}), false);
        check("ConfigMap", json!({"name": "mine"}), true);
        check("ServiceAccount", json!({"name": "default"}), false);
        check("ServiceAccount", json!({"name": "robot"}), true);
        check("Pod", json!({"name": "a", "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "a", "uid": "1"}]}), false);
        check("Secret", json!({"name": "a", "labels": {MANAGED_BY: LANDFALL}}), false);
        check("Secret", json!({"name": "sh.helm.release.v1.a.v1", "labels": {"owner": "helm"}}), true);
        check("PersistentVolumeClaim", json!({"name": "data", "labels": {MANAGED_BY: LANDFALL}}), true);
    }

    #[test]
    fn an_existing_namespace_of_another_app_is_refused() {
        let namespace = Namespace::parse("todo").unwrap();
        let app = AppName::parse("todo").unwrap();
        let facts = |label: &str, terminating: bool| NamespaceFacts { ours: true, terminating, labels: BTreeMap::from([(APP.to_owned(), label.to_owned())]) };
        assert!(existing(&facts("todo", false), &namespace, &app).is_ok());
        assert_eq!(existing(&facts("shop", false), &namespace, &app).unwrap_err().code, Code::NamespaceNotOurs);
        assert!(existing(&facts("todo", true), &namespace, &app).unwrap_err().retryable);
        let foreign = NamespaceFacts { ours: false, terminating: false, labels: BTreeMap::new() };
        assert!(existing(&foreign, &namespace, &app).is_ok());
    }

    #[test]
    fn only_missing_keys_are_added_to_a_secret() {
        let found: v1::Secret = serde_json::from_value(json!({"metadata": {"name": "a"}, "data": {"A": "b2xk"}})).unwrap();
        let data = BTreeMap::from([("A".to_owned(), Secret::new("new")), ("B".to_owned(), Secret::new("new"))]);
        assert_eq!(missing_keys(Some(&found), &data), ["B"]);
        assert_eq!(missing_keys(None, &data), ["A", "B"]);
    }

    #[test]
    fn usage_is_read_per_container() {
        let list = json!({"items": [{"metadata": {"name": "api-1"}, "containers": [{"name": "api", "usage": {"cpu": "2500000n", "memory": "64Mi"}}]}]});
        assert_eq!(usage(&list), [Usage { pod: "api-1".into(), container: "api".into(), cpu_millicores: 3, memory_bytes: 64 << 20 }]);
        assert!(usage(&json!({})).is_empty());
    }
}
