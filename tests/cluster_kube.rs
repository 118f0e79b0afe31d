//! The Kubernetes adapter, the rollout's judgement and the probes on a real API server. Needs `LANDFALL_TEST_PROFILE` and its kubeconfig.
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

use landfall::evidence::{Outcome, Time};
use landfall::failure::Code;
use landfall::names::{Digest, Namespace, OperationId, Revision, ServiceName};
use landfall::ports::{Cluster, LogRequest, Proof};
use landfall::probe::{Caller, HttpAsk, Inside, environment, errors_in, http_from_inside, http_through_forward};
use landfall::rollout::{End, RolloutEnd, Scope, health};
use landfall::secret::Secret;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use room::{room, run};

/// A Deployment and Service `api`; restricted, on an image of the testbed; `container` and `pod` add lines at their level.
fn api(image: &str, command: &str, container: &str, pod: &str) -> String {
    format!(
        r#"
apiVersion: v1
kind: Service
metadata: {{name: api, labels: {{app.kubernetes.io/instance: api}}}}
spec: {{selector: {{app: api}}, ports: [{{port: 8000, name: http}}]}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: api, labels: {{app.kubernetes.io/instance: api}}}}
spec:
  replicas: 1
  selector: {{matchLabels: {{app: api}}}}
  template:
    metadata: {{labels: {{app: api}}}}
    spec:
      terminationGracePeriodSeconds: 1
      enableServiceLinks: false
{pod}
      containers:
      - name: api
        image: {image}
        imagePullPolicy: IfNotPresent
        command: {command}
        ports: [{{containerPort: 8000, name: http}}]
{container}
"#
    )
}

const IMAGE: &str = "python:3.13-slim";
const SECURE: &str = "        securityContext: {runAsNonRoot: true, runAsUser: 10001, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}, seccompProfile: {type: RuntimeDefault}}";
const READY: &str = "        readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1, failureThreshold: 3}";

/// A small server: `/health` answers 200, everything else 404.
fn serves() -> String {
    python(
        r"
import http.server, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        ok = self.path == '/health'
        self.send_response(200 if ok else 404); self.send_header('content-length', '2'); self.end_headers(); self.wfile.write(b'ok')
print('ERROR: nothing is wrong', flush=True)
http.server.ThreadingHTTPServer(('', 8000), H).serve_forever()
",
    )
}

fn python(script: &str) -> String {
    serde_json::to_string(&["python3", "-c", script]).unwrap()
}

/// Deploys what is broken, follows it, and expects this code first.
async fn check(name: &str, manifest: &str, deadline: u64, expect: &str) -> RolloutEnd {
    let room = room(name).await;
    let last_change = room.stopwatch().await;
    room.apply(manifest).await;
    let begun = Instant::now();
    let end = room.follow(None, deadline).await;
    let since = last_change.lock().unwrap().elapsed();
    let diagnosis = end.releases[0].diagnoses.first().unwrap_or_else(|| panic!("{name}: no diagnosis: {end:#?}"));
    eprintln!("{name}: {} in {:.1} s, {} ms after the last change; {}", diagnosis.code, begun.elapsed().as_secs_f32(), since.as_millis(), diagnosis.cause);
    assert_eq!(diagnosis.code, expect, "{diagnosis:#?}");
    assert_eq!(end.end, End::Refused);
    assert!(!diagnosis.why.is_empty());
    end
}

#[tokio::test]
async fn a_missing_image_of_ours_is_refused() {
    check("lt-image", &api("localhost/landfall/never:1", "[x]", SECURE, ""), 60, "IMG_NOT_FOUND_LOCAL").await;
}

#[tokio::test]
async fn a_missing_module_is_refused_at_the_first_end() {
    let end = check("lt-import", &api(IMAGE, &python("import nope_such_module"), SECURE, ""), 60, "APP_EXIT_IMPORT").await;
    assert!(end.releases[0].diagnoses[0].cause.contains("nope_such_module"));
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_refused_and_named() {
    let script = "import os,socket\nsocket.getaddrinfo(os.environ['DB_HOST'], 5432)";
    let extra = format!("{SECURE}\n        env: [{{name: DB_HOST, value: postgres-nope}}]");
    let end = check("lt-host", &api(IMAGE, &python(script), &extra, ""), 120, "APP_EXIT_DEP").await;
    let diagnosis = &end.releases[0].diagnoses[0];
    assert!(diagnosis.cause.contains("postgres-nope") && diagnosis.cause.contains("DB_HOST"), "{diagnosis:#?}");
}

#[tokio::test]
async fn a_missing_secret_is_asked_for() {
    let extra = format!("{SECURE}\n        env: [{{name: JWT_SECRET, valueFrom: {{secretKeyRef: {{name: api-env, key: JWT_SECRET}}}}}}]");
    let end = check("lt-secret", &api(IMAGE, &serves(), &extra, ""), 60, "CFG_MISSING_SECRET").await;
    let references = end.releases[0].checks.iter().find(|check| check.id == "kubernetes.references").unwrap();
    assert_eq!(references.outcome, Outcome::Fail);
}

#[tokio::test]
async fn a_pod_too_large_for_the_node_is_refused() {
    let extra = format!("{SECURE}\n        resources: {{requests: {{cpu: '900'}}}}");
    check("lt-large", &api(IMAGE, &serves(), &extra, ""), 60, "SCHED_CPU_MEM").await;
}

#[tokio::test]
async fn a_readiness_probe_on_a_wrong_path_is_refused() {
    let extra = format!("{SECURE}\n{}", READY.replace("/health", "/healthy"));
    check("lt-ready", &api(IMAGE, &serves(), &extra, ""), 90, "PROBE_READINESS").await;
}

#[tokio::test]
async fn a_pod_that_breaks_the_namespaces_security_is_refused() {
    check("lt-psa", &api(IMAGE, &serves(), "", ""), 60, "SEC_PSA").await;
}

#[tokio::test]
async fn a_command_that_is_not_there_is_refused() {
    check("lt-command", &api(IMAGE, "[nope]", SECURE, ""), 60, "CMD_NOT_FOUND").await;
}

#[tokio::test]
async fn a_program_that_runs_without_its_host_is_refused_for_the_host() {
    let script = r"
import http.server, socket, sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            socket.getaddrinfo('redis-nope', 6379); code = 200
        except OSError as error:
            print('Error -2 connecting to redis-nope:6379. Name or service not known.', flush=True); code = 503
        self.send_response(code); self.send_header('content-length', '0'); self.end_headers()
http.server.ThreadingHTTPServer(('', 8000), H).serve_forever()
";
    check("lt-running", &api(IMAGE, &python(script), &format!("{SECURE}\n{READY}"), ""), 90, "APP_EXIT_DEP").await;
}

#[tokio::test]
async fn a_missing_setting_is_refused_and_named() {
    let end = check("lt-config", &api(IMAGE, &python("import os; os.environ['BACKEND_URL']"), SECURE, ""), 90, "APP_EXIT_CONFIG").await;
    assert_eq!(landfall::rollout::named_variables(&end.releases[0].diagnoses[0]), ["BACKEND_URL"]);
}

#[tokio::test]
async fn a_program_that_may_not_write_is_refused_and_the_path_is_named() {
    let end = check("lt-perm", &api(IMAGE, &python("open('/opt/app.db', 'w')"), SECURE, ""), 90, "SEC_PERM").await;
    assert!(end.releases[0].diagnoses[0].cause.contains("/opt/app.db"));
}

#[tokio::test]
async fn a_program_that_ends_without_an_error_is_refused() {
    check("lt-exit0", &api(IMAGE, "[\"true\"]", SECURE, ""), 90, "APP_EXIT0_LOOP").await;
}

#[tokio::test]
async fn a_program_over_its_memory_is_refused() {
    let extra = format!("{SECURE}\n        resources: {{limits: {{memory: 32Mi}}}}");
    check("lt-oom", &api(IMAGE, &python("x = bytearray(256 << 20); print(len(x))"), &extra, ""), 90, "APP_OOM").await;
}

#[tokio::test]
async fn a_liveness_probe_that_kills_is_refused() {
    let probe = "        livenessProbe: {httpGet: {path: /nope, port: http}, periodSeconds: 1, failureThreshold: 1}";
    check("lt-live", &api(IMAGE, &serves(), &format!("{SECURE}\n{probe}\n{}", READY.replace("/health", "/nope")), ""), 90, "PROBE_LIVENESS").await;
}

#[tokio::test]
async fn a_good_release_becomes_ready_is_probed_and_leaves_the_namespace_clean() {
    let room = room("lt-good").await;
    let (kube, at, namespace) = (&room.kube, &room.proof, &room.namespace);
    assert!(kube.version(at).await.unwrap().starts_with('v'));

    // Secrets: made once, completed, never overwritten.
    let data = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), Secret::new(value))]);
    assert_eq!(kube.ensure_secret(at, namespace, "api-env", &BTreeMap::new(), &data("JWT_SECRET", "first")).await.unwrap(), ["JWT_SECRET"]);
    assert!(kube.ensure_secret(at, namespace, "api-env", &BTreeMap::new(), &data("JWT_SECRET", "second")).await.unwrap().is_empty());
    assert_eq!(kube.ensure_secret(at, namespace, "api-env", &BTreeMap::new(), &data("OTHER", "x")).await.unwrap(), ["OTHER"]);
    assert_eq!(kube.secret_value(at, namespace, "api-env", "JWT_SECRET").await.unwrap(), Some(Secret::new("first")));
    assert_eq!(kube.secret_keys(at, namespace, "nope").await.unwrap(), None);

    // The dry run names every unknown field, and what it passes can be applied.
    let extra = format!("{SECURE}\n{READY}\n        env: [{{name: JWT_SECRET, valueFrom: {{secretKeyRef: {{name: api-env, key: JWT_SECRET}}}}}}]");
    let manifest = api(IMAGE, &serves(), &extra, "");
    let good = kube.dry_run(at, namespace, &manifest).await.unwrap();
    assert!(good.iter().all(|finding| finding.ok && finding.text == "create"), "{good:#?}");
    let bad = kube.dry_run(at, namespace, &manifest.replace("replicas:", "replicaz:").replace("imagePullPolicy", "imagePullPolcy")).await.unwrap();
    let refusal = bad.iter().find(|finding| !finding.ok).unwrap();
    assert!(refusal.text.contains("spec.replicaz") && refusal.text.contains("imagePullPolcy"), "{refusal:#?}");
    let unknown = kube.dry_run(at, namespace, "apiVersion: nope.example/v1\nkind: Nope\nmetadata: {name: a}\n").await.unwrap();
    assert!(!unknown[0].ok && unknown[0].text.contains("no matches for kind"), "{unknown:#?}");
    let young = Namespace::parse("landfall-not-there").unwrap();
    let before = kube.dry_run(at, &young, &manifest).await.unwrap();
    assert!(before.iter().all(|finding| finding.ok), "{before:#?}");

    room.apply(&manifest).await;
    let begun = Instant::now();
    let end = room.follow(None, 90).await;
    eprintln!("good: {:?} after {:.1} s", end.end, begun.elapsed().as_secs_f32());
    assert_eq!(end.end, End::Ready, "{end:#?}");
    let outcomes: BTreeMap<&str, Outcome> = end.releases[0].checks.iter().map(|check| (check.id.as_str(), check.outcome)).collect();
    for check in ["kubernetes.created", "kubernetes.pods_ready", "kubernetes.no_restarts", "kubernetes.endpoints", "kubernetes.references"] {
        assert_eq!(outcomes[check], Outcome::Pass, "{check}: {end:#?}");
    }

    // The id of the running image is compared with the one that was built.
    let running = end.releases[0].progress.pods[0].image_ids["api"].clone();
    let id = format!("sha256:{}", running.rsplit(':').next().unwrap());
    for (id, expect) in [(id.as_str(), Outcome::Pass), ("sha256:0000", Outcome::Fail)] {
        let again = room.follow(Some(id), 30).await;
        assert_eq!(again.releases[0].checks.iter().find(|check| check.id == "kubernetes.image_id").unwrap().outcome, expect, "{running}");
    }

    // Another owner's object of that name is not taken over.
    let foreign = kube.dry_run(at, namespace, &manifest).await.unwrap();
    assert!(foreign.iter().all(|finding| !finding.ok && finding.text.contains("belongs to no Helm release")), "{foreign:#?}");

    let pod = end.releases[0].progress.pods[0].name.clone();
    let ask = |path: &str| HttpAsk::get(path, "api:8000", Duration::from_secs(5));
    let seen = http_through_forward(kube, at, namespace, &pod, 8000, &ask("/health")).await.unwrap();
    assert_eq!((seen.status, seen.text(9).as_str()), (200, "ok"));
    let forward = kube.forward(at, namespace, &pod, 8000).await.unwrap();
    for _ in 0..3 {
        assert_eq!(landfall::probe::http::request(forward.local, &ask("/nope")).await.unwrap().status, 404);
    }
    let address = forward.local;
    drop(forward);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err(), "the forward ends with its value");
    let closed = http_through_forward(kube, at, namespace, &pod, 9, &ask("/")).await.unwrap_err();
    assert!(closed.message.contains("nothing listens"), "{closed}");
    assert!(!landfall::probe::listens(kube, at, namespace, &pod, 9).await.unwrap(), "a closed port shows as a connection that ends");
    assert!(landfall::probe::listens(kube, at, namespace, &pod, 8000).await.unwrap());

    let caller = Caller { pod: &pod, container: "api", language: "python" };
    let Inside::Answered(inside) = http_from_inside(kube, at, namespace, caller, "api:8000", &ask("/health")).await.unwrap() else { panic!() };
    assert_eq!(inside.status, 200);
    let nobody = http_from_inside(kube, at, namespace, caller, "nobody-here:8000", &ask("/")).await.unwrap();
    assert!(matches!(nobody, Inside::Unanswered { .. }), "{nobody:?}");
    let node = Caller { language: "node", ..caller };
    assert!(matches!(http_from_inside(kube, at, namespace, node, "api:8000", &ask("/")).await.unwrap(), Inside::NotRun { .. }));
    let variables = environment(kube, at, namespace, caller, Duration::from_secs(10)).await.unwrap();
    assert_eq!(variables.variables["JWT_SECRET"], Secret::new("first"));
    let words: Vec<String> = ["sh", "-c", "echo out; echo err >&2; exit 7"].map(str::to_owned).to_vec();
    let ran = kube.exec(at, namespace, &pod, "api", &words, Duration::from_secs(10)).await.unwrap();
    assert_eq!((ran.exit_code, ran.stdout.reveal(), ran.stderr.as_str()), (7, "out\n", "err\n"));
    let slow: Vec<String> = ["sleep", "30"].map(str::to_owned).to_vec();
    assert_eq!(kube.exec(at, namespace, &pod, "api", &slow, Duration::from_secs(1)).await.unwrap_err().code, Code::Deadline);

    let log =
        kube.logs(at, namespace, &LogRequest { pod: pod.clone(), container: "api".into(), previous: false, lines: 50, since_seconds: None }).await.unwrap();
    assert_eq!(errors_in("log", &log).len(), 1, "{log}");
    let seen = kube.observe(at, namespace).await.unwrap();
    let well = health(&seen, Scope::All, &BTreeMap::new(), Time::now());
    assert!(well.is_well(), "{well:#?}");

    // Ours, but with somebody else's Deployment in it: it stays. Then it goes.
    assert!(!kube.delete_namespace(at, namespace).await.unwrap());
    run("kubectl", &["delete", "-n", namespace.as_str(), "deployment,service", "--all", "--wait=true"]).await;
    kube.delete_secret(at, namespace, "api-env").await.unwrap();
    for _ in 0..60 {
        if kube.delete_namespace(at, namespace).await.unwrap() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    panic!("the empty namespace was not deleted");
}

#[tokio::test]
async fn records_are_marked_and_leases_are_held_once() {
    let room = room("lt-lease").await;
    let (kube, at, namespace) = (&room.kube, &room.proof, &room.namespace);
    let operation = |last: &str| OperationId::parse(format!("op-20260102-030405-{last}")).unwrap();
    kube.hold_lease(at, namespace, &room.app, &operation("aaaa"), 60).await.unwrap();
    kube.hold_lease(at, namespace, &room.app, &operation("aaaa"), 2).await.unwrap();
    let other = kube.hold_lease(at, namespace, &room.app, &operation("bbbb"), 60).await.unwrap_err();
    assert_eq!(other.code, Code::OperationRunning);
    assert!(other.message.contains("aaaa"), "{other}");
    tokio::time::sleep(Duration::from_millis(2100)).await;
    kube.hold_lease(at, namespace, &room.app, &operation("bbbb"), 60).await.unwrap();
    kube.release_lease(at, namespace, &room.app, &operation("aaaa")).await.unwrap();
    assert!(kube.hold_lease(at, namespace, &room.app, &operation("aaaa"), 60).await.is_err(), "only the holder gives it back");
    kube.release_lease(at, namespace, &room.app, &operation("bbbb")).await.unwrap();
    kube.hold_lease(at, namespace, &room.app, &operation("aaaa"), 60).await.unwrap();

    room.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: sh.helm.release.v1.api.v3, labels: {owner: helm, name: api, version: '3'}}\n").await;
    kube.mark_verified(at, namespace, &ServiceName::parse("api").unwrap(), Revision(3), &BTreeMap::new()).await.unwrap();
    let records = kube.records(at, namespace).await.unwrap();
    assert_eq!(records["api"][&3]["verified-revision"], "3");
}

#[tokio::test]
async fn nothing_is_changed_on_a_target_that_is_not_the_proven_one() {
    let room = room("lt-wrong").await;
    let before = room.testbed.proofs.load(Ordering::SeqCst);
    room.kube.observe(&room.proof, &room.namespace).await.unwrap();
    assert_eq!(room.testbed.proofs.load(Ordering::SeqCst), before, "reads prove nothing");
    let other = Proof { server: "https://192.0.2.1:8443".into(), ..room.proof.clone() };
    let refused = room.kube.ensure_secret(&other, &room.namespace, "a", &BTreeMap::new(), &BTreeMap::new()).await.unwrap_err();
    assert_eq!(refused.code, Code::WrongCluster);
    assert!(refused.to_string().contains("192.0.2.1") && refused.to_string().contains(&room.proof.server), "{refused}");
    let fingerprint = Proof { fingerprint: Digest::of("other").to_string(), ..room.proof.clone() };
    assert_eq!(room.kube.observe(&fingerprint, &room.namespace).await.unwrap_err().code, Code::WrongCluster);
    assert_eq!(room.kube.secret_keys(&room.proof, &room.namespace, "a").await.unwrap(), None, "nothing was written");
}

#[tokio::test]
async fn a_silent_server_is_reported_within_its_deadline() {
    let room = room("lt-silent").await;
    // A port that accepts and says nothing, in place of the API server.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    let text = std::fs::read_to_string(&room.proof.kubeconfig).unwrap();
    let path = room.testbed.folder.join("silent");
    std::fs::write(&path, text.replace(&room.proof.server, &server)).unwrap();
    let silent = Proof { server, kubeconfig: path, ..room.proof.clone() };
    let begun = Instant::now();
    let failure = room.kube.version(&silent).await.unwrap_err();
    assert_eq!(failure.code, Code::ClusterUnreachable);
    assert!(failure.message.contains("last answered"), "{failure}");
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
}
