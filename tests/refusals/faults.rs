//! An API server that is overloaded, broken, silent or gone, at each moment that matters: the right verdict within its time, with what was seen last.

use super::api::{Api, Asked, Fault};
use super::wrong_clusters::Stage;
use landfall::adapters::clock::SystemClock;
use landfall::adapters::kube::Kube;
use landfall::adapters::minikube::{Minikube, Surroundings};
use landfall::failure::{Code, Failure};
use landfall::names::{Namespace, ProfileName, ServiceName};
use landfall::ports::{Cluster as _, LocalCluster, Proof, Silent};
use landfall::rollout::{End, Expectation, Rollout, RolloutEnd, WorkloadKind};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Calls are answered within three seconds, which a test of its own holds; a busy machine and an unoptimised program get five times that.
const ANSWERED: Duration = Duration::from_secs(15);

/// The proof's own questions; everything else is asked by the look that follows.
fn of_the_proof(asked: &Asked) -> bool {
    asked.path == "/version" || asked.path == "/api/v1/nodes"
}

/// Asks until it is as it should be. A machine that is busy with other things makes this API server too slow for the limits of a call, and then its silence is
/// all that can be told; what is wrong in the program itself stays wrong, and is answered in the end.
fn patiently<T>(mut ask: impl FnMut() -> (bool, T)) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        let (right, answer) = ask();
        if right || Instant::now() > until {
            return answer;
        }
    }
}

/// `cluster_health` under a fault: its failure's code, words that it must say, and that it came in time.
fn sick(name: &str, fault: impl FnMut(&Asked) -> Option<Fault> + Send + 'static, code: &str, words: &[&str]) {
    let stage = Stage::new();
    stage.write();
    stage.own.fail(fault);
    let says = |failure: &Value| failure["code"] == code && words.iter().all(|word| failure.to_string().contains(word));
    let (failure, took) = patiently(|| {
        let began = Instant::now();
        let (_, failure) = stage.call(&["status"]);
        (says(&failure), (failure, began.elapsed()))
    });
    assert_eq!(failure["code"], code, "{name}: {failure}");
    for word in words {
        assert!(failure.to_string().contains(word), "{name}: {word} is not said: {failure}");
    }
    assert!(failure["help"].as_str().is_some_and(|help| help.len() > 10), "{name} has no next step: {failure}");
    assert!(took < ANSWERED, "{name} took {took:?}");
}

#[test]
fn health_says_what_is_wrong_with_the_api_server() {
    let after_proof = |fault: Fault| move |asked: &Asked| (!of_the_proof(asked)).then(|| fault.clone());
    let always = |fault: Fault| move |_: &Asked| Some(fault.clone());
    let unreachable = "CLUSTER_UNREACHABLE";
    sick("overloaded", after_proof(Fault::Status(429, Some(1))), unreachable, &["overloaded (429", "last answered 0 s ago"]);
    sick("overloaded for long", after_proof(Fault::Status(429, Some(60))), unreachable, &["overloaded (429"]);
    sick("unavailable", after_proof(Fault::Status(503, None)), unreachable, &["overloaded (503"]);
    sick("at fault", after_proof(Fault::Status(500, None)), unreachable, &["at fault (500", "as the test wants it"]);
    sick("refusing", after_proof(Fault::Status(403, None)), "CLUSTER_REFUSED", &["the API server refused"]);
    sick("breaking off", after_proof(Fault::Reset), unreachable, &["the connection failed", "namespace shop"]);
    sick("half an answer", after_proof(Fault::Truncated), unreachable, &["namespace shop"]);
    sick("silent after the proof", after_proof(Fault::Silent), unreachable, &["did not answer within", "it proved to be mine just before"]);
    sick("silent", always(Fault::Silent), unreachable, &["no answer within"]);
    sick("starting", always(Fault::Status(503, None)), unreachable, &["no answer now", "HTTP 503"]);
    sick("broken", always(Fault::Status(500, None)), unreachable, &["no answer now", "HTTP 500"]);
    sick("overloaded from the start", always(Fault::Status(429, Some(1))), unreachable, &["no answer now", "HTTP 429"]);
    sick("half a version", always(Fault::Truncated), unreachable, &["the API server of mine"]);
    sick("breaking off from the start", always(Fault::Reset), unreachable, &["does not answer"]);
}

/// Every call that asks the cluster.
const CALLS: [(&str, &str); 8] = [
    ("cluster_health", "{}"),
    ("cluster_health", r#"{"logs": 20, "scope": "cluster"}"#),
    ("validate_env", r#"{"when": "after"}"#),
    ("validate_env", r#"{"when": "before"}"#),
    ("verify_mcp", "{}"),
    ("plan_deployment", "{}"),
    ("deploy", "{}"),
    ("rollback", "{}"),
];

/// How long each of the calls takes, all asked at once, and what it says.
fn asked_at_once(stage: &Stage) -> Vec<(Duration, Value)> {
    let mut server = stage.server();
    let began = Instant::now();
    for (id, (tool, arguments)) in CALLS.iter().enumerate() {
        let mut arguments: Value = serde_json::from_str(arguments).unwrap();
        arguments["workspace"] = json!(stage.machine.app());
        arguments["profile"] = json!("mine");
        server.send(&json!({ "jsonrpc": "2.0", "id": format!("call {id}"), "method": "tools/call", "params": { "name": tool, "arguments": arguments } }));
    }
    let mut answers = vec![(Duration::ZERO, Value::Null); CALLS.len()];
    while answers.iter().any(|(_, answer)| answer.is_null()) {
        let line = server.next();
        if let Some(id) = line["id"].as_str().and_then(|id| id.strip_prefix("call ")?.parse::<usize>().ok()) {
            answers[id] = (began.elapsed(), line);
        }
    }
    answers
}

/// Three seconds are promised. What this machine needs for the same calls while the API server answers is added; a machine that is busy at one moment is asked
/// again, and a call that waits longer by itself is too slow each time.
#[test]
fn no_call_takes_longer_than_three_seconds_while_the_api_server_is_silent() {
    type Rule = fn(&Asked) -> bool;
    let silences: [(&str, Rule); 4] = [
        ("from the start", |_| true),
        ("after the proof", |asked| !of_the_proof(asked)),
        ("but for its records", |asked| !of_the_proof(asked) && !asked.path.contains("/secrets") && !asked.path.ends_with("/namespaces/shop")),
        ("about logs", |asked| asked.path.ends_with("/log")),
    ];
    for (what, silent) in silences {
        let slow = patiently(|| {
            let stage = Stage::new();
            stage.write();
            release(&stage.own, false);
            let undisturbed = asked_at_once(&stage).into_iter().map(|(took, _)| took).max().unwrap();
            stage.own.fail(move |asked| silent(asked).then_some(Fault::Silent));
            let late = |(call, (took, answer)): (&(&str, &str), (Duration, Value))| {
                (took > Duration::from_secs(3) + undisturbed).then(|| format!("{call:?} took {took:?}, undisturbed {undisturbed:?}: {answer}"))
            };
            let slow: Vec<String> = CALLS.iter().zip(asked_at_once(&stage)).filter_map(late).collect();
            (slow.is_empty(), slow)
        });
        assert!(slow.is_empty(), "silent {what}: {}", slow.join("\n"));
    }
}

#[test]
fn a_server_that_was_overloaded_for_a_moment_is_asked_again() {
    let (seen, asked) = patiently(|| {
        let stage = Stage::new();
        stage.write();
        let refused = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&refused);
        stage.own.fail(move |asked| {
            let first = asked.path.ends_with("/pods") && counted.fetch_add(1, Ordering::SeqCst) == 0;
            first.then_some(Fault::Status(429, Some(1)))
        });
        let (_, seen) = stage.call(&["status"]);
        (seen["status"] == "done", (seen, refused.load(Ordering::SeqCst)))
    });
    assert_eq!(seen["status"], "done", "{seen}");
    assert_eq!(asked, 2, "asked once more, and not more often");
}

#[test]
fn a_cluster_that_is_gone_is_reported_at_once() {
    let stage = Stage::new();
    stage.write();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut times = Vec::new();
    for port in [closed, super::silent_server().0] {
        stage.machine.profile("mine", port);
        std::fs::remove_file(stage.machine.path("kubeconfig")).unwrap_or_default();
        let began = Instant::now();
        let (_, failure) = stage.call(&["status"]);
        times.push(began.elapsed());
        assert_eq!(failure["code"], "CLUSTER_UNREACHABLE", "{failure}");
        assert!(failure["message"].as_str().unwrap().contains(&port.to_string()), "{failure}");
    }
    // A second is the goal, which `make bench` holds against the release program; here it must only not be waited for.
    assert!(times.iter().all(|took| *took < Duration::from_secs(9)), "{times:?}");
}

/// A proven cluster whose API server is ours, looked at by the library's own adapters.
struct Watched {
    stage: Stage,
    kube: Kube,
    proof: Proof,
    namespace: Namespace,
}

impl Watched {
    async fn new() -> Self {
        let stage = Stage::new();
        stage.write();
        let variable = |name: &str| match name {
            "HOME" => Some(OsString::from(stage.machine.path("home"))),
            "MINIKUBE_HOME" => Some(OsString::from(stage.machine.path("mini"))),
            "KUBECONFIG" => Some(OsString::from(stage.machine.path("kubeconfig"))),
            _ => None,
        };
        let local = Arc::new(Minikube::with(Surroundings::of(stage.machine.path("state"), &variable)));
        let proof = local.prove(&ProfileName::parse("mine").unwrap()).await.unwrap();
        Self { kube: Kube::new(local), proof, namespace: Namespace::parse("shop").unwrap(), stage }
    }

    fn api(&self) -> &Api {
        &self.stage.own
    }

    async fn follow(&self, window: Duration, deadline: Duration) -> Result<RolloutEnd, Failure> {
        let release = ServiceName::parse("stock").unwrap();
        let expected = Expectation { release, kind: Some(WorkloadKind::Deployment), image_id: None, needs_endpoints: true };
        let rollout = Rollout {
            cluster: &self.kube,
            clock: &SystemClock,
            at: &self.proof,
            namespace: &self.namespace,
            window,
            deadline,
            progress: &Silent,
            cancel: &CancellationToken::new(),
        };
        rollout.follow(&[expected]).await
    }
}

/// How long a rollout may take that comes to its end by itself.
const PATIENCE: Duration = Duration::from_secs(60);
/// Kinds of objects that are watched.
const WATCHES: usize = 17;
const WINDOW: Duration = Duration::from_secs(2);

/// The release `stock` with one pod.
fn release(api: &Api, ready: bool) {
    let word = if ready { "True" } else { "False" };
    let labels = json!({ "app.kubernetes.io/instance": "stock", "app.kubernetes.io/name": "stock", "app": "stock" });
    let owner = |kind: &str, name: &str, uid: &str| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
    let revision = json!({ "deployment.kubernetes.io/revision": "1" });
    let put = |group: &str, kind: &str, name: &str, object: Value| api.put(&format!("/{group}/namespaces/shop/{kind}/{name}"), object);
    put(
        "apis/apps/v1",
        "deployments",
        "stock",
        json!({ "metadata": { "name": "stock", "uid": "d", "generation": 1, "annotations": revision, "labels": labels },
            "spec": { "replicas": 1, "selector": {}, "template": {} }, "status": { "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1 } }),
    );
    put(
        "apis/apps/v1",
        "replicasets",
        "stock-1",
        json!({ "metadata": { "name": "stock-1", "uid": "r", "annotations": revision, "ownerReferences": owner("Deployment", "stock", "d") },
            "spec": { "replicas": 1, "selector": {} }, "status": { "replicas": 1 } }),
    );
    put(
        "api/v1",
        "pods",
        "stock-1-x",
        json!({ "metadata": { "name": "stock-1-x", "uid": "p", "labels": labels, "ownerReferences": owner("ReplicaSet", "stock-1", "r") },
            "spec": { "nodeName": "mine", "containers": [{ "name": "stock", "image": "stock:1" }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": word }, { "type": "PodScheduled", "status": "True" }],
                "containerStatuses": [{ "name": "stock", "image": "stock:1", "imageID": "", "ready": ready, "started": true, "restartCount": 0,
                    "containerID": "docker://1", "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } }] } }),
    );
    put(
        "api/v1",
        "services",
        "stock",
        json!({ "metadata": { "name": "stock", "labels": labels }, "spec": { "selector": { "app": "stock" }, "clusterIP": "10.96.0.7", "ports": [{ "port": 8000 }] } }),
    );
    put(
        "apis/discovery.k8s.io/v1",
        "endpointslices",
        "stock-s",
        json!({ "metadata": { "name": "stock-s", "labels": { "kubernetes.io/service-name": "stock" } }, "addressType": "IPv4",
            "endpoints": [{ "addresses": ["10.0.0.1"], "conditions": { "ready": ready } }] }),
    );
}

#[tokio::test]
async fn a_calm_rollout_passes() {
    let watched = Watched::new().await;
    release(watched.api(), true);
    let ended = watched.follow(WINDOW, PATIENCE).await.unwrap();
    assert_eq!(ended.end, End::Ready, "{ended:?}");
    assert!(ended.elapsed < PATIENCE / 2, "{:?}", ended.elapsed);
    assert_eq!(watched.api().changes(), <[&str; 0]>::default());
}

#[tokio::test]
async fn watches_that_are_cut_are_opened_again() {
    for fault in [Fault::Cut(vec![]), Fault::Ended(vec![]), Fault::Reset, Fault::Status(429, Some(1)), Fault::Status(503, None)] {
        let watched = Watched::new().await;
        release(watched.api(), true);
        let left = AtomicUsize::new(WATCHES + 2);
        let told = fault.clone();
        watched.api().fail(move |asked| {
            let spent = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err();
            (asked.watches() && !spent).then(|| told.clone())
        });
        let ended = watched.follow(WINDOW, PATIENCE).await;
        assert_eq!(ended.as_ref().map(|ended| ended.end), Ok(End::Ready), "{fault:?}: {ended:?}");
    }
}

#[tokio::test]
async fn a_watch_that_is_too_old_is_listed_anew() {
    let watched = Watched::new().await;
    release(watched.api(), false);
    // What changed while nobody listened is told by no watch, only by the next list.
    let gone = json!({ "type": "ERROR", "object": { "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": "too old resource version", "reason": "Expired", "code": 410 } });
    let once = Arc::new(AtomicUsize::new(0));
    let opened = Arc::clone(&once);
    watched.api().fail(move |asked| {
        let first = asked.watches() && opened.fetch_add(1, Ordering::SeqCst) < WATCHES;
        first.then(|| Fault::Ended(vec![gone.clone()]))
    });
    let becomes_ready = async {
        while once.load(Ordering::SeqCst) < 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        release(watched.api(), true);
    };
    let (ended, ()) = tokio::join!(watched.follow(WINDOW, PATIENCE), becomes_ready);
    assert_eq!(ended.as_ref().map(|ended| ended.end), Ok(End::Ready), "{ended:?}");
}

#[tokio::test]
async fn a_namespace_of_many_pods_is_read_page_by_page_and_whole() {
    let watched = Watched::new().await;
    for number in 0..1_100 {
        let pod = json!({ "metadata": { "name": format!("p{number}"), "uid": format!("u{number}"), "managedFields": [{ "manager": "kubelet" }] } });
        watched.api().put(&format!("/api/v1/namespaces/shop/pods/p{number}"), pod);
    }
    let observed = watched.kube.observe(&watched.proof, &watched.namespace).await.unwrap();
    let uids: std::collections::BTreeSet<_> = observed.pods.iter().filter_map(|pod| pod.metadata.uid.clone()).collect();
    assert_eq!((observed.pods.len(), uids.len()), (1_100, 1_100), "none twice, none left out");
    assert!(observed.pods.iter().all(|pod| pod.metadata.managed_fields.is_none()));
    assert!(watched.api().asked().iter().filter(|asked| asked.path.ends_with("/pods")).count() > 2, "in more than one page");
}

/// A Deployment of the release with its ReplicaSet, of whose pods so many are ready.
fn set(api: &Api, name: &str, wanted: u32, ready: u32) {
    let labels = json!({ "app.kubernetes.io/instance": name, "pod-template-hash": name });
    let owner = |kind: &str, uid: String| json!([{ "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true }]);
    let revision = json!({ "deployment.kubernetes.io/revision": "1" });
    let counts = json!({ "observedGeneration": 1, "replicas": wanted, "fullyLabeledReplicas": wanted, "readyReplicas": ready, "availableReplicas": ready });
    let put =
        |group: &str, kind: &str, object: Value| api.put(&format!("/{group}/namespaces/shop/{kind}/{}", object["metadata"]["name"].as_str().unwrap()), object);
    put(
        "apis/apps/v1",
        "deployments",
        json!({ "metadata": { "name": name, "uid": format!("d-{name}"), "generation": 1, "annotations": revision, "labels": labels },
        "spec": { "replicas": wanted, "selector": {}, "template": {} }, "status": { "observedGeneration": 1 } }),
    );
    put(
        "apis/apps/v1",
        "replicasets",
        json!({ "metadata": { "name": name, "uid": format!("r-{name}"), "generation": 1, "annotations": revision, "labels": labels, "ownerReferences": owner("Deployment", format!("d-{name}")) },
        "spec": { "replicas": wanted, "selector": {} }, "status": counts }),
    );
    for pod in 0..wanted {
        let word = if pod < ready { "True" } else { "False" };
        put(
            "api/v1",
            "pods",
            json!({ "metadata": { "name": format!("{name}-{pod}"), "uid": format!("{name}-{pod}"), "labels": labels, "ownerReferences": owner("ReplicaSet", format!("r-{name}")) },
            "spec": { "containers": [{ "name": name }] }, "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": word }] } }),
        );
    }
}

#[tokio::test]
async fn of_a_crowd_only_what_is_not_complete_is_read_and_all_is_counted() {
    let watched = Watched::new().await;
    for (name, wanted, ready) in [("large", 600, 600), ("small", 3, 2)] {
        set(watched.api(), name, wanted, ready);
    }
    let releases = ["large", "small"].map(|name| ServiceName::parse(name).unwrap());
    let glance = watched.kube.glance(&watched.proof, &watched.namespace).await.unwrap();
    let look = watched.kube.observe(&watched.proof, &watched.namespace).await.unwrap();
    assert_eq!((glance.pods.len(), look.pods.len()), (3, 603));
    assert_eq!(glance.counted.get("r-large"), Some(&600));
    let health = |seen| landfall::rollout::health(seen, landfall::rollout::Scope::Releases(&releases), &landfall::rollout::Logs::new(), jiff::Timestamp::now());
    let (brief, whole) = (health(&glance), health(&look));
    assert_eq!((brief.counts.pods.good, brief.counts.pods.total), (602, 603));
    assert_eq!((brief.counts, brief.unhealthy), (whole.counts, whole.unhealthy), "a glance tells what a look would");
}

#[tokio::test]
async fn half_a_list_is_no_list() {
    let watched = Watched::new().await;
    release(watched.api(), true);
    let left = AtomicUsize::new(3);
    watched.api().fail(move |asked| {
        let pods = asked.path.ends_with("/pods") && !asked.watches();
        (pods && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()).then_some(Fault::Truncated)
    });
    let ended = watched.follow(WINDOW, PATIENCE).await;
    assert_eq!(ended.as_ref().map(|ended| ended.end), Ok(End::Ready), "{ended:?}");
}

/// Everything was ready, then nothing was heard any more: silence is not calm.
#[tokio::test]
async fn no_rollout_passes_on_what_was_seen_before_the_silence() {
    for fault in [Fault::Silent, Fault::Status(503, None), Fault::Reset] {
        let watched = Watched::new().await;
        release(watched.api(), true);
        let told = fault.clone();
        let watches = AtomicUsize::new(0);
        // The first lists and watches are as they should be.
        watched.api().fail(move |asked| {
            let open = watches.fetch_add(usize::from(asked.watches()), Ordering::SeqCst);
            (open >= WATCHES).then(|| told.clone())
        });
        let began = Instant::now();
        let failure = watched.follow(WINDOW, Duration::from_secs(5)).await.expect_err("nothing was seen at the end of the window");
        assert_eq!(failure.code, Code::ClusterUnreachable, "{fault:?}: {failure}");
        assert!(failure.causes.iter().any(|cause| cause.contains("last seen") && cause.contains("stock: ready")), "{fault:?}: {failure:?}");
        assert!(began.elapsed() < PATIENCE, "{fault:?}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_cancel_is_heard_while_logs_are_waited_for() {
    let watched = Watched::new().await;
    release(watched.api(), false);
    // Eight logs are read at once, three seconds each at most: without an ear for the cancel it would be fifteen.
    let labels = json!({ "app.kubernetes.io/instance": "stock" });
    let owner = json!([{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "stock-1", "uid": "r", "controller": true }]);
    for pod in 0..40 {
        let name = format!("stock-1-{pod}");
        let object = json!({ "metadata": { "name": name, "uid": name, "labels": labels, "ownerReferences": owner },
            "spec": { "nodeName": "mine", "containers": [{ "name": "stock", "image": "stock:1" }] },
            "status": { "phase": "Running", "containerStatuses": [{ "name": "stock", "image": "stock:1", "imageID": "", "ready": false, "restartCount": 0,
                "containerID": "docker://1", "state": { "running": { "startedAt": "2026-01-01T00:00:00Z" } } }] } });
        watched.api().put(&format!("/api/v1/namespaces/shop/pods/{name}"), object);
    }
    watched.api().fail(|asked| asked.path.ends_with("/log").then_some(Fault::Silent));
    let cancel = CancellationToken::new();
    let rollout = Rollout {
        cluster: &watched.kube,
        clock: &SystemClock,
        at: &watched.proof,
        namespace: &watched.namespace,
        window: WINDOW,
        deadline: PATIENCE,
        progress: &Silent,
        cancel: &cancel,
    };
    let asked = async {
        while !watched.api().asked().iter().any(|asked| asked.path.ends_with("/log")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
        Instant::now()
    };
    let expected = Expectation { release: ServiceName::parse("stock").unwrap(), kind: None, image_id: None, needs_endpoints: true };
    let (ended, asked) = tokio::join!(rollout.follow(std::slice::from_ref(&expected)), asked);
    assert_eq!(ended.unwrap_err().code, Code::Cancelled);
    assert!(asked.elapsed() < Duration::from_secs(8), "heard after {:?}", asked.elapsed());
}

#[tokio::test]
async fn a_rollout_that_was_never_seen_says_so_in_time() {
    for fault in [Fault::Silent, Fault::Status(500, None), Fault::Status(429, Some(30)), Fault::Truncated] {
        let watched = Watched::new().await;
        release(watched.api(), true);
        let told = fault.clone();
        watched.api().fail(move |_| Some(told.clone()));
        let began = Instant::now();
        let failure = watched.follow(WINDOW, Duration::from_secs(2)).await.expect_err("nothing was seen");
        assert_eq!((failure.code, failure.retryable), (Code::ClusterUnreachable, true), "{fault:?}: {failure}");
        assert!(failure.causes.iter().any(|cause| cause.contains("nothing was seen yet")), "{fault:?}: {failure:?}");
        assert!(began.elapsed() < PATIENCE, "{fault:?}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_pod_that_waits_is_named_when_time_is_up() {
    let watched = Watched::new().await;
    release(watched.api(), false);
    let ended = watched.follow(WINDOW, Duration::from_secs(3)).await.unwrap();
    assert_eq!(ended.end, End::Deadline);
    let release = &ended.releases[0];
    assert!(release.progress.what.contains("stock-1-x"), "{release:?}");
    assert!(!release.diagnoses.is_empty(), "{release:?}");
}

/// Changes are not sent twice where the server may have carried them out, and every name is one that a second request meets again.
#[tokio::test]
async fn changes_end_within_their_limit_under_every_fault() {
    for fault in [Fault::Silent, Fault::Status(429, Some(1)), Fault::Status(500, None), Fault::Status(503, None), Fault::Reset, Fault::Truncated] {
        let watched = Watched::new().await;
        let told = fault.clone();
        watched.api().fail(move |asked| asked.changes().then(|| told.clone()));
        let namespace = Namespace::parse("fresh").unwrap();
        let app = landfall::names::AppName::parse("shop").unwrap();
        let began = Instant::now();
        let failure = watched.kube.ensure_namespace(&watched.proof, &namespace, &app).await.expect_err("the request fails");
        assert_eq!((failure.code, failure.retryable), (Code::ClusterUnreachable, true), "{fault:?}: {failure}");
        assert!(failure.message.contains("create namespace fresh"), "{fault:?}: {failure}");
        assert!(began.elapsed() < PATIENCE, "{fault:?}: {:?}", began.elapsed());
        assert!(watched.api().changes().len() <= 3, "{fault:?}: {:?}", watched.api().changes());
    }
}
