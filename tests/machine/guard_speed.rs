//! Figures of following a rollout, for `make bench`; an API server on loopback stands for the cluster.
//! `guard-speed measure` prints how long, in ms, a line of a journal, a diagnosis after its first definitive sign
//! and a verdict after the last pod's readiness take.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::allow_attributes, reason = "a program for measuring may stop at the first surprise")]

#[path = "../refusals/api.rs"]
#[allow(dead_code, reason = "shared with tests, which use more of it")]
mod api;

use anyhow::{Context as _, bail, ensure};
use api::{Api, Fault, given};
use landfall::adapters::clock::SystemClock;
use landfall::adapters::kube::Kube;
use landfall::adapters::minikube::{Minikube, Surroundings};
use landfall::journal::{Event, Journal};
use landfall::names::{Namespace, OperationId, ProfileName, ServiceName};
use landfall::ports::{Cluster as _, LocalCluster, Proof, Silent};
use landfall::rollout::{End, Expectation, Rollout, WorkloadKind};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const PODS_OF_A_RELEASE: usize = 20;
const LINES: usize = 400;
const ROUNDS: usize = 15;

fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["measure"] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            let told = runtime.block_on(measure())?;
            say(&told)
        }
        _ => bail!("usage: guard-speed measure"),
    }
}

fn say(what: &Value) -> anyhow::Result<()> {
    std::io::stdout().write_all(format!("{what}\n").as_bytes()).context("print")
}

/// The app `shop`: releases of twenty pods each, spread over the nodes.
fn populate(api: &Api, pods: usize, nodes: usize) {
    for node in 0..nodes.max(1) {
        // One node is the profile's own.
        let name = if node == 0 { "mine".to_owned() } else { format!("node-{node}") };
        api.put(&format!("/api/v1/nodes/{name}"), json!({ "metadata": { "name": name, "labels": { "minikube.k8s.io/name": "mine" } },
            "status": { "conditions": [{ "type": "Ready", "status": "True" }, { "type": "MemoryPressure", "status": "False" }, { "type": "DiskPressure", "status": "False" }],
                "allocatable": { "cpu": "32", "memory": "256Gi", "pods": "110" }, "capacity": { "cpu": "32", "memory": "256Gi", "pods": "110" } } }));
    }
    let ours = json!({ "app.kubernetes.io/managed-by": "landfall", "landfall.dev/app": "shop" });
    api.put("/api/v1/namespaces/shop", json!({ "metadata": { "name": "shop", "labels": ours } }));
    for release in 0..pods.div_ceil(PODS_OF_A_RELEASE) {
        let count = PODS_OF_A_RELEASE.min(pods - release * PODS_OF_A_RELEASE);
        put_release(api, &format!("service-{release}"), count, true, nodes.max(1));
    }
}

/// A Deployment with its ReplicaSet, Service, addresses and pods, each as large as they are in a cluster.
fn put_release(api: &Api, name: &str, pods: usize, ready: bool, nodes: usize) {
    let word = if ready { "True" } else { "False" };
    let mine =
        json!({ "app.kubernetes.io/instance": name, "app.kubernetes.io/name": name, "app.kubernetes.io/part-of": "shop", "pod-template-hash": "7d9c6b5f4" });
    let owner =
        |kind: &str, name: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": name, "controller": true, "blockOwnerDeletion": true }]);
    let revision = json!({ "deployment.kubernetes.io/revision": "1" });
    let set = format!("{name}-7d9c6b5f4");
    let fields = json!([{ "manager": "kubelet", "operation": "Update", "apiVersion": "v1", "subresource": "status", "fieldsType": "FieldsV1",
        "fieldsV1": { "f:status": { "f:conditions": { "k:{\"type\":\"Ready\"}": { ".": {}, "f:lastProbeTime": {}, "f:status": {} } }, "f:containerStatuses": {}, "f:hostIP": {}, "f:phase": {}, "f:podIP": {} } } }]);
    let put = |group: &str, kind: &str, name: &str, object: Value| api.put(&format!("/{group}/namespaces/shop/{kind}/{name}"), object);
    put(
        "apis/apps/v1",
        "deployments",
        name,
        json!({ "metadata": { "name": name, "uid": name, "generation": 1, "annotations": revision, "labels": mine, "managedFields": fields },
        "spec": { "replicas": pods, "selector": { "matchLabels": { "app.kubernetes.io/instance": name } }, "template": {} },
        "status": { "observedGeneration": 1, "replicas": pods, "updatedReplicas": pods, "readyReplicas": pods, "availableReplicas": pods } }),
    );
    put(
        "apis/apps/v1",
        "replicasets",
        &set,
        json!({ "metadata": { "name": set, "uid": set, "annotations": revision, "ownerReferences": owner("Deployment", name) },
        "spec": { "replicas": pods, "selector": {} }, "status": { "replicas": pods } }),
    );
    put(
        "api/v1",
        "services",
        name,
        json!({ "metadata": { "name": name, "labels": mine }, "spec": { "selector": { "app.kubernetes.io/instance": name }, "clusterIP": "10.96.0.7", "ports": [{ "port": 8000 }] } }),
    );
    let addresses: Vec<Value> =
        (0..pods).map(|pod| json!({ "addresses": [format!("10.244.{}.{}", pod / 250, pod % 250)], "conditions": { "ready": ready } })).collect();
    put(
        "apis/discovery.k8s.io/v1",
        "endpointslices",
        &format!("{name}-s"),
        json!({ "metadata": { "name": format!("{name}-s"), "labels": { "kubernetes.io/service-name": name } }, "addressType": "IPv4", "endpoints": addresses }),
    );
    for pod in 0..pods {
        let pod_name = format!("{set}-{pod}");
        put("api/v1", "pods", &pod_name, pod_object(&pod_name, name, &mine, &owner("ReplicaSet", &set), &fields, pod % nodes, word, running(name, ready)));
    }
}

fn running(name: &str, ready: bool) -> Value {
    json!({ "name": name, "image": "localhost/shop/app:0a23b2b0906a", "imageID": format!("docker://sha256:{}", "5".repeat(64)), "ready": ready, "started": true, "restartCount": 0,
        "containerID": format!("docker://{}", "7".repeat(64)), "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } })
}

#[allow(clippy::too_many_arguments, reason = "the parts of one object")]
fn pod_object(pod: &str, name: &str, labels: &Value, owner: &Value, fields: &Value, node: usize, ready: &str, status: Value) -> Value {
    let conditions = ["Initialized", "ContainersReady", "PodScheduled", "Ready"].map(|kind| {
        let word = if kind == "Ready" || kind == "ContainersReady" { ready } else { "True" };
        json!({ "type": kind, "status": word, "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:00Z" })
    });
    json!({ "metadata": { "name": pod, "generateName": "x-", "uid": pod, "labels": labels, "ownerReferences": owner, "managedFields": fields, "creationTimestamp": "2026-01-01T00:00:00Z" },
        "spec": { "nodeName": if node == 0 { "mine".to_owned() } else { format!("node-{node}") }, "restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "dnsPolicy": "ClusterFirst",
            "securityContext": { "runAsNonRoot": true, "runAsUser": 10001, "seccompProfile": { "type": "RuntimeDefault" } },
            "volumes": [{ "name": "tmp", "emptyDir": { "sizeLimit": "256Mi" } }],
            "containers": [{ "name": name, "image": "localhost/shop/app:0a23b2b0906a", "imagePullPolicy": "IfNotPresent", "ports": [{ "name": "http", "containerPort": 8000, "protocol": "TCP" }],
                "env": [{ "name": "GREETING", "value": "hello" }, { "name": "SIGNING_SECRET", "valueFrom": { "secretKeyRef": { "name": "shop-values", "key": "SIGNING_SECRET" } } }],
                "resources": { "requests": { "cpu": "50m", "memory": "128Mi" }, "limits": { "cpu": "1", "memory": "512Mi" } },
                "readinessProbe": { "httpGet": { "path": "/ready", "port": "http" }, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3 },
                "livenessProbe": { "tcpSocket": { "port": "http" }, "periodSeconds": 10 }, "volumeMounts": [{ "name": "tmp", "mountPath": "/tmp" }],
                "securityContext": { "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": { "drop": ["ALL"] } } }] },
        "status": { "phase": "Running", "hostIP": "192.168.49.2", "podIP": "10.244.0.9", "startTime": "2026-01-01T00:00:00Z", "conditions": conditions, "containerStatuses": [status] } })
}

fn median(mut times: Vec<Duration>) -> anyhow::Result<f64> {
    times.sort_unstable();
    times.get(times.len() / 2).map(|time| time.as_secs_f64() * 1000.0).context("nothing was measured")
}

async fn measure() -> anyhow::Result<Value> {
    let (mut diagnoses, mut verdicts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        diagnoses.push(after_the_last_sign(false).await?);
        verdicts.push(after_the_last_sign(true).await?);
    }
    Ok(json!({ "append_ms": append()?, "diagnosis_ms": median(diagnoses)?, "verdict_ms": median(verdicts)? }))
}

/// A line of a journal, on disk: where this program is built, which is a disk of the kind that workspaces lie on.
fn append() -> anyhow::Result<f64> {
    let beside = std::env::current_exe()?;
    let folder = tempfile::tempdir_in(beside.parent().context("a folder of its own")?)?;
    let journal = Journal::open(folder.path(), &OperationId::parse("op-20260102-030405-a1b2")?, Arc::new(SystemClock))?;
    let mut times = Vec::new();
    for line in 0..LINES {
        let began = Instant::now();
        journal.append(
            None,
            Some("stock"),
            Event::UndoDone { key: format!("helm/stock-{line}"), note: "a line of the usual length, as most lines are that say what was done".into() },
        )?;
        times.push(began.elapsed());
    }
    median(times)
}

/// A proven cluster on loopback, in a machine of its own.
async fn proven(machine: &Path, port: u16) -> anyhow::Result<(Kube, Proof)> {
    let home = machine.join("mini/.minikube");
    let profile = home.join("profiles/mine");
    std::fs::create_dir_all(&profile)?;
    std::fs::copy(given("ca.crt"), home.join("ca.crt"))?;
    for name in ["client.crt", "client.key"] {
        std::fs::copy(given(name), profile.join(name))?;
    }
    let config = json!({ "Name": "mine", "Driver": "kvm2", "APIServerPort": port, "KubernetesConfig": { "KubernetesVersion": "v1.34.0", "ContainerRuntime": "docker" },
        "Nodes": [{ "Name": "", "IP": "127.0.0.1", "Port": port, "ControlPlane": true }] });
    std::fs::write(profile.join("config.json"), config.to_string())?;
    let variable = |name: &str| match name {
        "HOME" => Some(OsString::from(machine)),
        "MINIKUBE_HOME" => Some(OsString::from(machine.join("mini"))),
        "KUBECONFIG" => Some(OsString::from(machine.join("none"))),
        _ => None,
    };
    let local = Arc::new(Minikube::with(Surroundings::of(machine.join("state"), &variable)));
    let proof = local.prove(&ProfileName::parse("mine")?).await?;
    Ok((Kube::new(local), proof))
}

/// From the moment when the watch tells the last thing (the pod is ready, or its image has no valid name) to the end of the rollout.
async fn after_the_last_sign(becomes_ready: bool) -> anyhow::Result<Duration> {
    const LATER: Duration = Duration::from_millis(300);
    let api = Api::secure("server.crt");
    populate(&api, 0, 1);
    put_release(&api, "stock", 1, false, 1);
    let machine = tempfile::tempdir()?;
    let (kube, proof) = proven(machine.path(), api.port).await?;
    let at = Arc::new(Mutex::new(Instant::now()));
    let told = Arc::clone(&at);
    let mine = json!({ "app.kubernetes.io/instance": "stock" });
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "stock-7d9c6b5f4", "uid": "stock-7d9c6b5f4", "controller": true }]);
    let status = if becomes_ready {
        running("stock", true)
    } else {
        json!({ "name": "stock", "image": "Stock:1", "imageID": "", "ready": false, "restartCount": 0, "state": { "waiting": { "reason": "InvalidImageName", "message": "couldn't parse image name" } } })
    };
    let word = if becomes_ready { "True" } else { "False" };
    let pod = pod_object("stock-7d9c6b5f4-0", "stock", &mine, &owner, &json!([]), 0, word, status);
    let slice = json!({ "metadata": { "name": "stock-s", "uid": "stock-s", "labels": { "kubernetes.io/service-name": "stock" } }, "addressType": "IPv4", "endpoints": [{ "addresses": ["10.244.0.0"], "conditions": { "ready": true } }] });
    let line = |version: &str, kind: &str, object: &Value| {
        let mut object = object.clone();
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"]["resourceVersion"] = json!("900");
        json!({ "type": "MODIFIED", "object": object })
    };
    let (pod, slice) = (line("v1", "Pod", &pod), line("discovery.k8s.io/v1", "EndpointSlice", &slice));
    api.fail(move |asked| match (asked.watches(), asked.path.rsplit('/').next()) {
        (true, Some("endpointslices")) if becomes_ready => Some(Fault::Later(LATER / 2, vec![slice.clone()])),
        (true, Some("pods")) => {
            *told.lock().unwrap() = Instant::now() + LATER;
            Some(Fault::Later(LATER, vec![pod.clone()]))
        }
        _ => None,
    });
    let (namespace, cancel) = (Namespace::parse("shop")?, CancellationToken::new());
    let rollout = Rollout {
        cluster: &kube,
        clock: &SystemClock,
        at: &proof,
        namespace: &namespace,
        window: Duration::ZERO,
        deadline: Duration::from_secs(20),
        progress: &Silent,
        cancel: &cancel,
    };
    let expected = Expectation { release: ServiceName::parse("stock")?, kind: Some(WorkloadKind::Deployment), image_id: None, needs_endpoints: true };
    let ended = rollout.follow(&[expected]).await?;
    let took = at.lock().unwrap().elapsed();
    let wanted = if becomes_ready { End::Ready } else { End::Refused };
    ensure!(ended.end == wanted, "the rollout ended as {:?}: {ended:?}", ended.end);
    kube.version(&proof).await?;
    Ok(took)
}
