//! The cluster itself fails under a rollout: its API server stands still or is killed, its kubelet stops, its container runtime restarts.
//! All of them in the full tier, the first in the short one. A program of its own, so that no other test looks at the cluster meanwhile; whatever was stopped is started again, however the test ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "cluster/room.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests on the cluster")]
mod room;

use landfall::evidence::Class;
use landfall::failure::Code;
use landfall::ports::Cluster as _;
use landfall::rollout::{End, RolloutEnd};
use room::{Room, room, run};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

fn profile() -> String {
    std::env::var("LANDFALL_TEST_PROFILE").expect("LANDFALL_TEST_PROFILE names the test profile: eval \"$(tests/testbed/testbed.sh env)\"")
}

/// Runs this in the profile's node.
async fn in_node(command: &str) -> String {
    run("minikube", &["-p", &profile(), "ssh", "--", command]).await
}

/// Runs this in the profile's node when it is dropped.
struct Afterwards<T: AsRef<str>>(T);

impl<T: AsRef<str>> Drop for Afterwards<T> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("minikube").args(["-p", &profile(), "ssh", "--", self.0.as_ref()]).output();
    }
}

/// What is wrong with a node.
struct Trouble {
    what: &'static str,
    code: &'static str,
    /// Words of the cause.
    says: &'static str,
    /// How it is brought about and undone, by a shell in the node.
    done: String,
    undone: String,
    /// True for a Node that shows it.
    shown: fn(&Value) -> bool,
}

/// The kubelet's own settings with one more; those before are kept beside.
fn kubelet(more: &str) -> String {
    let file = "/var/lib/kubelet/config.yaml";
    format!("sudo cp -n {file} {file}.before && printf '{more}\n' | sudo tee -a {file} >/dev/null && sudo systemctl restart kubelet")
}

const KUBELET_AS_BEFORE: &str = "sudo mv /var/lib/kubelet/config.yaml.before /var/lib/kubelet/config.yaml && sudo systemctl restart kubelet";

/// Troubles of a node that takes no more pods than it has. A soft threshold with an hour's grace makes the kubelet report pressure and evict nobody.
fn troubles(node: &str, pods: usize) -> [Trouble; 5] {
    let kubectl = |words: &str| format!("sudo sh -c '/var/lib/minikube/binaries/*/kubectl --kubeconfig=/etc/kubernetes/admin.conf {words}'");
    let plugin = |from: &str, to: &str| format!("sudo mv /opt/cni/bin/{from} /opt/cni/bin/{to}");
    let pressure = "evictionSoft: {nodefs.available: \"99%%\"}\\nevictionSoftGracePeriod: {nodefs.available: 1h}";
    [
        Trouble {
            what: "node cordoned",
            code: "SCHED_TAINT",
            says: "cordoned",
            done: kubectl(&format!("cordon {node}")),
            undone: kubectl(&format!("uncordon {node}")),
            shown: |node| node["spec"]["unschedulable"] == true,
        },
        Trouble {
            what: "node tainted",
            code: "SCHED_TAINT",
            says: "example.com/closed",
            done: kubectl(&format!("taint node {node} example.com/closed=yes:NoSchedule")),
            undone: kubectl(&format!("taint node {node} example.com/closed-")),
            shown: |node| node["spec"]["taints"].to_string().contains("example.com/closed"),
        },
        Trouble {
            what: "the node's limit of pods reached",
            code: "SCHED_TOO_MANY_PODS",
            says: "as many pods",
            done: kubelet(&format!("maxPods: {pods}")),
            undone: KUBELET_AS_BEFORE.to_owned(),
            shown: |node| node["status"]["allocatable"]["pods"] != "110",
        },
        Trouble {
            what: "disk pressure",
            code: "NODE_PRESSURE",
            says: "disk space",
            done: kubelet(pressure),
            undone: KUBELET_AS_BEFORE.to_owned(),
            shown: |node| {
                node["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(|each| each["type"] == "DiskPressure" && each["status"] == "True"))
            },
        },
        Trouble {
            what: "the network plugin is gone",
            code: "CNI_FAIL",
            says: "network plugin",
            done: plugin("bridge", "bridge.gone"),
            undone: plugin("bridge.gone", "bridge"),
            shown: |_| true,
        },
    ]
}

/// The only node, once it shows this.
async fn node_shows(shown: fn(&Value) -> bool) -> Value {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let nodes: Value = serde_json::from_str(&run("kubectl", &["get", "nodes", "-o", "json"]).await).unwrap();
        if shown(&nodes["items"][0]) {
            return nodes["items"][0].clone();
        }
        assert!(Instant::now() < until, "the node does not show it: {}", nodes["items"][0]["status"]["conditions"]);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// In a profile that is thrown away (`tests/machine/crowd.sh`): pods of the cluster's own may be lost.
#[tokio::test(flavor = "multi_thread")]
async fn alone_troubles_of_a_node_are_named() {
    assert!(std::env::var_os("LANDFALL_THROW_AWAY").is_some(), "its node is harmed: tests/machine/crowd.sh runs it in a profile of its own");
    let node = node_shows(|_| true).await["metadata"]["name"].as_str().unwrap().to_owned();
    let pods: Value = serde_json::from_str(&run("kubectl", &["get", "pods", "--all-namespaces", "-o", "json"]).await).unwrap();
    let mut table = String::from("| what happened | seen | s | cause |\n|---|---|---|---|\n");
    for (n, trouble) in troubles(&node, pods["items"].as_array().unwrap().len()).iter().enumerate() {
        let room = room(&format!("lf-trouble{n}")).await;
        let ended = {
            let _undone = Afterwards(&trouble.undone);
            in_node(&trouble.done).await;
            node_shows(trouble.shown).await;
            under(&room, async {}).await
        };
        let first = ended.releases[0].diagnoses.first();
        let named = first.is_some_and(|first| first.code == trouble.code && first.cause.contains(trouble.says) && first.class == Class::ClusterEscalate);
        assert!(ended.end == End::Refused && named, "{}: {ended:#?}", trouble.what);
        let line = format!("| {} | {} | {:.1} | {} |", trouble.what, trouble.code, ended.elapsed.as_secs_f32(), first.map_or("", |first| first.cause.as_str()));
        eprintln!("  {line}");
        writeln!(table, "{line}").unwrap();
        healed().await;
    }
    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("troubles.md"), table).unwrap();
}

/// A small app that is ready after a second.
fn app() -> String {
    let label = json!({ "app.kubernetes.io/instance": "api" });
    let secure = json!({ "runAsNonRoot": true, "runAsUser": 10001, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "seccompProfile": { "type": "RuntimeDefault" } });
    let container = json!({ "name": "api", "image": "python:3.13-slim", "imagePullPolicy": "IfNotPresent", "command": ["python3", "-m", "http.server", "8000"],
        "ports": [{ "containerPort": 8000, "name": "http" }], "securityContext": secure, "readinessProbe": { "httpGet": { "path": "/", "port": "http" }, "periodSeconds": 1 } });
    let pod = json!({ "terminationGracePeriodSeconds": 1, "enableServiceLinks": false, "containers": [container] });
    let deployment =
        json!({ "replicas": 1, "selector": { "matchLabels": { "app": "api" } }, "template": { "metadata": { "labels": { "app": "api" } }, "spec": pod } });
    let service = json!({ "selector": { "app": "api" }, "ports": [{ "port": 8000, "name": "http" }] });
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        { "apiVersion": "v1", "kind": "Service", "metadata": { "name": "api", "labels": label }, "spec": service },
        { "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "api", "labels": label }, "spec": deployment },
    ] })
    .to_string()
}

/// Until the API server answers and the node is ready.
async fn healed() {
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        let node = tokio::process::Command::new("kubectl").args(["wait", "--for=condition=Ready", "node", "--all", "--timeout=5s"]).output().await.unwrap();
        let core = tokio::process::Command::new("kubectl")
            .args(["wait", "-n", "kube-system", "--for=condition=Ready", "pod", "-l", "k8s-app=kube-dns", "--timeout=5s"])
            .output()
            .await
            .unwrap();
        if node.status.success() && core.status.success() {
            return;
        }
        assert!(Instant::now() < until, "the cluster did not come back: {}", String::from_utf8_lossy(&node.stderr));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Deploys the app, does this to the cluster, and follows the rollout to its end.
async fn under(room: &Room, trouble: impl Future<Output = ()>) -> RolloutEnd {
    room.apply(&app()).await;
    let (ended, ()) = tokio::join!(room.follow(None, 280), trouble);
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_lives_through_what_happens_to_its_cluster() {
    let full = std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full");
    let mut table = String::from("| what happened | end | s | seen meanwhile |\n|---|---|---|---|\n");
    let mut told = |what: &str, ended: &RolloutEnd, seen: &str| {
        let code = ended.releases[0].diagnoses.first().map(|first| first.code.clone()).unwrap_or_default();
        eprintln!("  {what}: {:?} {code} after {:.1} s; {seen}", ended.end, ended.elapsed.as_secs_f32());
        writeln!(table, "| {what} | {:?} {code} | {:.1} | {seen} |", ended.end, ended.elapsed.as_secs_f32()).unwrap();
    };

    let paused = room("lf-paused").await;
    let mut silence = String::new();
    let ended = under(&paused, async {
        let _on = Afterwards("sudo pkill -CONT -x kube-apiserver");
        in_node("sudo pkill -STOP -x kube-apiserver").await;
        let began = Instant::now();
        let failure = paused.kube.version(&paused.proof).await.unwrap_err();
        assert_eq!(failure.code, Code::ClusterUnreachable, "{failure}");
        assert!(failure.message.contains("last answered"), "{failure}");
        silence = format!("unreachable told in {:.1} s", began.elapsed().as_secs_f32());
        // Longer than the window of calm: what was seen before must not pass for it.
        tokio::time::sleep(Duration::from_secs(8)).await;
    })
    .await;
    assert_eq!(ended.end, End::Ready, "{ended:#?}");
    assert!(ended.elapsed > Duration::from_secs(8), "no rollout passes while its API server stands still: {:?}", ended.elapsed);
    told("API server stopped for 8 s (SIGSTOP)", &ended, &silence);
    healed().await;
    if !full {
        return;
    }

    let killed = room("lf-killed").await;
    let ended = under(&killed, async { drop(in_node("sudo pkill -KILL -x kube-apiserver").await) }).await;
    assert_eq!(ended.end, End::Ready, "{ended:#?}");
    told("API server killed", &ended, "");
    healed().await;

    let asleep = room("lf-asleep").await;
    let ended = {
        let _on = Afterwards("sudo systemctl start kubelet");
        in_node("sudo systemctl stop kubelet").await;
        under(&asleep, async {}).await
    };
    let first = &ended.releases[0].diagnoses[0];
    assert_eq!((ended.end, first.code.as_str(), first.class), (End::Refused, "NODE_NOT_READY", Class::ClusterEscalate), "{ended:#?}");
    told("kubelet stopped", &ended, "");
    healed().await;

    let restarted = room("lf-restarted").await;
    let runtime = run("kubectl", &["get", "nodes", "-o", "jsonpath={.items[0].status.nodeInfo.containerRuntimeVersion}"]).await;
    let unit = runtime.split(':').next().unwrap().to_owned();
    let ended = under(&restarted, async { drop(in_node(&format!("sudo systemctl restart {unit}")).await) }).await;
    assert_eq!(ended.end, End::Ready, "{ended:#?}");
    told(&format!("{unit} restarted"), &ended, "");
    healed().await;

    std::fs::write(std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("outages.md"), table).unwrap();
}
