//! Recorded-like scenes, replayed: each row with what shows it, and a near miss that must not.

use super::*;
use serde_json::{Value, json};

const START: i64 = 1_760_000_000;

fn at(seconds: i64) -> String {
    time(seconds).to_string()
}

fn time(seconds: i64) -> Time {
    Time::from_second(START + seconds).unwrap()
}

fn api() -> ServiceName {
    ServiceName::parse("api").unwrap()
}

/// A Deployment `api` with its ReplicaSet, Service and a node; `pod` and `more` are laid over it.
fn scene(pod: Value, more: Value) -> Value {
    let owner = |kind: &str, name: &str, uid: &str| json!([{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": true}]);
    let mut all = json!({
        "deployments": [{
            "metadata": {"name": "api", "namespace": "todo", "uid": "d", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "1"}, "labels": {"app.kubernetes.io/instance": "api"}},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1},
        }],
        "replica_sets": [{
            "metadata": {"name": "api-1", "namespace": "todo", "uid": "r", "annotations": {"deployment.kubernetes.io/revision": "1"}, "ownerReferences": owner("Deployment", "api", "d")},
            "spec": {"replicas": 1, "selector": {}}, "status": {"replicas": 1},
        }],
        "pods": [],
        "services": [{"metadata": {"name": "api", "namespace": "todo", "labels": {"app.kubernetes.io/instance": "api"}}, "spec": {"selector": {"app": "api"}, "clusterIP": "10.96.0.7", "ports": [{"port": 8000}]}}],
        "nodes": [{"metadata": {"name": "node"}, "status": {
            "conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"cpu": "2", "memory": "4Gi"}, "images": [{"names": ["localhost/todo/web:1"]}],
            "nodeInfo": {"architecture": "amd64", "bootID": "", "containerRuntimeVersion": "", "kernelVersion": "", "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "", "systemUUID": ""},
        }}],
    });
    if !pod.is_null() {
        let mut whole = json!({
            "metadata": {"name": "api-1-x", "namespace": "todo", "uid": "p", "labels": {"app": "api"}, "ownerReferences": owner("ReplicaSet", "api-1", "r")},
            "spec": {"nodeName": "node", "restartPolicy": "Always", "containers": [{"name": "api", "image": "localhost/todo/api:1"}]},
            "status": {"phase": "Running"},
        });
        merge(&mut whole, pod);
        all["pods"] = json!([whole]);
    }
    merge(&mut all, more);
    all
}

/// Objects are merged, everything else is replaced.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => from.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value)),
        (into, from) => *into = from,
    }
}

fn observed(value: &Value, seconds: i64) -> Observed {
    fn list<K: serde::de::DeserializeOwned>(value: &Value, field: &str) -> Vec<K> {
        value.get(field).map(|list| serde_json::from_value(list.clone()).unwrap_or_else(|error| panic!("{field}: {error}"))).unwrap_or_default()
    }
    Observed {
        at: Some(time(seconds)),
        deployments: list(value, "deployments"),
        replica_sets: list(value, "replica_sets"),
        stateful_sets: list(value, "stateful_sets"),
        daemon_sets: list(value, "daemon_sets"),
        autoscalers: list(value, "autoscalers"),
        ingresses: list(value, "ingresses"),
        policies: list(value, "policies"),
        jobs: list(value, "jobs"),
        cron_jobs: list(value, "cron_jobs"),
        counted: std::collections::BTreeMap::new(),
        pods: list(value, "pods"),
        events: list(value, "events"),
        services: list(value, "services"),
        endpoint_slices: list(value, "endpoint_slices"),
        claims: list(value, "claims"),
        config_maps: list(value, "config_maps"),
        secrets: list(value, "secrets"),
        nodes: list(value, "nodes"),
    }
}

/// Replays looks, seconds apart, with one log of the only container.
fn replay(steps: &[(i64, Value)], log: &str) -> Judgement {
    let logs = if log.is_empty() { Logs::new() } else { Logs::from([(("api-1-x".to_owned(), "api".to_owned()), LogTail { text: log.to_owned(), run: None })]) };
    let mut memory = Memory::default();
    let mut last = Judgement::Waiting { what: String::new() };
    for (seconds, step) in steps {
        last = judge(&observed(step, *seconds), &api(), &logs, &mut memory, time(*seconds));
    }
    last
}

fn codes(judgement: &Judgement) -> Vec<&str> {
    match judgement {
        Judgement::Refused(diagnoses) => diagnoses.iter().map(|each| each.code.as_str()).collect(),
        Judgement::Ready | Judgement::Waiting { .. } => Vec::new(),
    }
}

/// One look with a log: the codes of the refusal, first cause first; none where it only waits.
fn check(scene: Value, log: &str, expect: &[&str]) {
    let judgement = replay(&[(100, scene.clone())], log);
    assert_eq!(codes(&judgement), expect, "{judgement:#?}");
}

/// As `check`, where the same picture has stood for so many seconds.
fn check_after(seconds: i64, scene: Value, log: &str, expect: &[&str]) {
    let judgement = replay(&[(100, scene.clone()), (100 + seconds, scene)], log);
    assert_eq!(codes(&judgement), expect, "{judgement:#?}");
}

fn first(judgement: Judgement) -> Diagnosis {
    match judgement {
        Judgement::Refused(diagnoses) => diagnoses.into_iter().next().unwrap(),
        other => panic!("{other:?}"),
    }
}

fn container(status: Value) -> Value {
    let mut whole = json!({"name": "api", "image": "i", "imageID": "", "ready": false, "restartCount": 0});
    merge(&mut whole, status);
    json!({"status": {"containerStatuses": [whole]}})
}

fn waiting(reason: &str, message: &str) -> Value {
    container(json!({"state": {"waiting": {"reason": reason, "message": message}}}))
}

/// The `count`th end of the container, seen in `state.terminated`.
fn ended(code: i32, reason: &str, count: i32) -> Value {
    container(
        json!({"restartCount": count - 1, "containerID": format!("docker://{count}"), "state": {"terminated": {"exitCode": code, "reason": reason, "containerID": format!("docker://{count}"), "finishedAt": at(90 + i64::from(count))}}}),
    )
}

fn running(ready: bool) -> Value {
    let mut pod = container(json!({"ready": ready, "started": true, "containerID": "docker://1", "state": {"running": {"startedAt": at(0)}}}));
    pod["status"]["conditions"] = json!([{"type": "Ready", "status": if ready { "True" } else { "False" }}, {"type": "PodScheduled", "status": "True"}]);
    pod
}

fn with(mut pod: Value, more: Value) -> Value {
    merge(&mut pod, more);
    pod
}

fn spec(container: Value) -> Value {
    let mut whole = json!({"name": "api", "image": "localhost/todo/api:1"});
    merge(&mut whole, container);
    json!({"spec": {"containers": [whole]}})
}

fn event(uid: &str, kind: &str, reason: &str, message: &str, count: i32) -> Value {
    json!({"metadata": {"name": format!("{uid}-{reason}-{}", message.len())}, "type": "Warning", "reason": reason, "message": message, "count": count, "firstTimestamp": at(0), "lastTimestamp": at(50),
        "involvedObject": {"kind": kind, "name": uid, "uid": uid, "fieldPath": if kind == "Pod" && !reason.starts_with("Failed") { "spec.containers{api}" } else { "" }}})
}

fn events(all: &[Value]) -> Value {
    json!({"events": all})
}

#[test]
fn a_ready_release_is_ready_and_a_young_one_waits() {
    let endpoints = json!({"endpoint_slices": [{"metadata": {"name": "api-s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": true}}]}]});
    assert_eq!(replay(&[(100, scene(running(true), endpoints.clone()))], ""), Judgement::Ready);
    check(scene(container(json!({"state": {"waiting": {"reason": "ContainerCreating"}}})), endpoints), "", &[]);
    check(scene(Value::Null, json!({})), "", &[]);
}

#[test]
fn an_unseen_generation_is_not_yesterdays_readiness() {
    let mut old = scene(
        running(true),
        json!({"endpoint_slices": [{"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}]}),
    );
    assert_eq!(replay(&[(100, old.clone())], ""), Judgement::Ready);
    old["deployments"][0]["metadata"]["generation"] = json!(2);
    assert!(matches!(replay(&[(100, old)], ""), Judgement::Waiting { .. }));
}

#[test]
fn pods_of_an_earlier_template_do_not_count_against_the_new_one() {
    let mut scene = scene(ended(1, "Error", 5), json!({}));
    let newer = json!({"metadata": {"name": "api-2", "uid": "r2", "annotations": {"deployment.kubernetes.io/revision": "2"}, "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "d"}]}, "spec": {"selector": {}}});
    scene["replica_sets"].as_array_mut().unwrap().push(newer);
    check(scene, "KeyError: 'JWT_SECRET'", &[]);
}

#[test]
fn a_copy_that_was_started_to_prove_something_is_no_replica() {
    let pods = |labels: Value| {
        let looked = observed(&scene(json!({ "metadata": { "labels": labels } }), json!({})), 100);
        Scene::of(&looked, &api(), &Logs::new(), &Memory::default(), time(100)).pods.len()
    };
    assert_eq!(pods(json!({})), 1);
    assert_eq!(pods(json!({ crate::ports::PROBE_LABEL: "chat" })), 0);
}

#[test]
fn an_image_of_ours_that_never_arrived() {
    let pull = |image: &str, policy: &str, message: &str| {
        scene(with(waiting("ErrImagePull", message), spec(json!({"image": image, "imagePullPolicy": policy}))), json!({}))
    };
    let refused = "Error response from daemon: Get \"https://localhost/v2/\": dial tcp [::1]:443: connect: connection refused";
    check(pull("localhost/todo/api:1", "IfNotPresent", refused), "", &["IMG_NOT_FOUND_LOCAL"]);
    check(pull("localhost/todo/web:1", "Always", refused), "", &["IMG_PULL_ALWAYS_LATEST"]);
    check(scene(with(waiting("ContainerCreating", ""), spec(json!({"image": "localhost/todo/api:1"}))), json!({})), "", &[]);
}

#[test]
fn an_image_of_a_registry_that_cannot_be_had() {
    let pull = |message: &str, count: i32| {
        scene(
            with(waiting("ImagePullBackOff", "Back-off pulling image"), spec(json!({"image": "postgres:99"}))),
            events(&[event("p", "Pod", "Failed", &format!("Failed to pull image \"postgres:99\": {message}"), count)]),
        )
    };
    check(pull("manifest for postgres:99 not found: manifest unknown", 1), "", &["IMG_TAG_TYPO"]);
    check(pull("dial tcp: lookup registry-1.docker.io: no such host", 2), "", &["IMG_NET"]);
    check(pull("dial tcp: lookup registry-1.docker.io: no such host", 1), "", &[]);
    check(pull("no basic auth credentials", 2), "", &["IMG_AUTH"]);
    check(pull("no basic auth credentials", 1), "", &[]);
    check(pull("x509: certificate signed by unknown authority", 1), "", &["IMG_TLS"]);
    check(pull("no match for platform in manifest: not found", 1), "", &["IMG_ARCH"]);
    check(pull("write /var/lib/x: no space left on device", 1), "", &["IMG_NO_SPACE"]);
    check(pull("toomanyrequests: limit", 1), "", &[]);
    check_after(60, pull("toomanyrequests: limit", 1), "", &["IMG_RATE_LIMIT"]);
}

#[test]
fn a_pulls_words_are_remembered_when_the_back_off_has_lost_them() {
    let first = scene(with(waiting("ErrImagePull", "manifest unknown"), spec(json!({"image": "postgres:99"}))), json!({}));
    let then = scene(with(waiting("ImagePullBackOff", "Back-off pulling image \"postgres:99\""), spec(json!({"image": "postgres:99"}))), json!({}));
    assert_eq!(codes(&replay(&[(100, first), (103, then.clone())], "")), ["IMG_TAG_TYPO"]);
    check(then, "", &[]);
}

#[test]
fn images_with_a_bad_name_or_policy() {
    check(scene(waiting("InvalidImageName", "couldn't parse image reference"), json!({})), "", &["IMG_INVALID_NAME"]);
    check(scene(waiting("ErrImageNeverPull", "is not present with pull policy of Never"), json!({})), "", &["IMG_NEVER_PULL_MISSING"]);
    check(scene(waiting("ImageInspectError", "damaged"), json!({})), "", &[]);
    check(scene(waiting("ImageInspectError", "damaged"), events(&[event("p", "Pod", "InspectFailed", "damaged", 2)])), "", &["IMG_INSPECT"]);
}

#[test]
fn references_to_nothing() {
    let wait = |message: &str, more: Value| scene(waiting("CreateContainerConfigError", message), more);
    check_after(5, wait("secret \"api-env\" not found", json!({})), "", &["CFG_MISSING_SECRET"]);
    check(wait("secret \"api-env\" not found", json!({})), "", &[]);
    check_after(60, wait("secret \"api-env\" not found", json!({"secrets": ["api-env"]})), "", &[]);
    check_after(5, wait("configmap \"settings\" not found", json!({})), "", &["CFG_MISSING_CM"]);
    check(wait("couldn't find key JWT in Secret todo/api-env", json!({})), "", &["CFG_MISSING_KEY"]);
    check(wait("container has runAsNonRoot and image will run as root (pod: \"x\")", json!({})), "", &["SEC_RUNASNONROOT"]);
    check(wait("failed to prepare subPath for volumeMount \"a\"", json!({})), "", &["CFG_SUBPATH"]);
}

#[test]
fn a_missing_secret_asks_for_a_value_and_names_the_variable() {
    let pod = with(
        waiting("CreateContainerConfigError", "secret \"api-env\" not found"),
        spec(json!({"env": [{"name": "JWT_SECRET", "valueFrom": {"secretKeyRef": {"name": "api-env", "key": "JWT_SECRET"}}}]})),
    );
    let step = scene(pod, json!({}));
    let diagnosis = first(replay(&[(100, step.clone()), (106, step)], ""));
    assert_eq!((diagnosis.class, diagnosis.owner), (Class::AppNeedsValue, Owner::ValueNeeded));
    assert_eq!(diagnosis.cause, "the Secret api-env does not exist; container api needs it, from which it takes JWT_SECRET");
    assert_eq!(named_variables(&diagnosis), ["JWT_SECRET"]);
}

#[test]
fn commands_that_cannot_be_started() {
    let start_error =
        |message: &str| scene(container(json!({"state": {"terminated": {"exitCode": 128, "reason": "StartError", "message": message}}})), json!({}));
    check(start_error("exec: \"nope\": executable file not found in $PATH: unknown"), "", &["CMD_NOT_FOUND"]);
    check(start_error("exec: \"/app/run\": permission denied: unknown"), "", &["CMD_NOT_EXEC"]);
    check(scene(ended(127, "Error", 1), json!({})), "sh: gunicorn: not found", &["CMD_NOT_FOUND"]);
    check(scene(ended(126, "Error", 1), json!({})), "sh: /app/run.sh: Permission denied", &["CMD_NOT_EXEC"]);
    check(scene(ended(1, "Error", 1), json!({})), "env: 'python\\r': No such file or directory", &["CMD_NOT_EXEC"]);
    check(scene(ended(1, "Error", 1), json!({})), "exec /app/server: exec format error", &["IMG_ARCH"]);
    check(scene(ended(1, "Error", 1), json!({})), "exec /app/start.sh: exec format error", &["CMD_NOT_EXEC"]);
    check(scene(ended(1, "Error", 1), json!({})), "something went wrong", &[]);
    check(scene(waiting("PostStartHookError", "command 'nope' exited with 126"), json!({})), "", &["HOOK_POSTSTART"]);
}

#[test]
fn a_missing_module_is_definitive_at_the_first_end() {
    let log = "Traceback (most recent call last):\n  File \"/app/main.py\", line 1, in <module>\nModuleNotFoundError: No module named 'fastapi'";
    let diagnosis = first(replay(&[(100, scene(ended(1, "Error", 1), json!({})))], log));
    assert_eq!((diagnosis.code.as_str(), diagnosis.confidence), ("APP_EXIT_IMPORT", Confidence::Definitive));
    assert!(diagnosis.cause.contains("fastapi") && diagnosis.why.iter().any(|why| why.text.contains("exit code 1")), "{diagnosis:#?}");
    check(scene(running(false), json!({})), log, &[]);
}

#[test]
fn an_end_is_read_from_the_last_state_too() {
    let again = container(
        json!({"restartCount": 1, "containerID": "docker://2", "state": {"running": {"startedAt": at(95)}}, "lastState": {"terminated": {"exitCode": 1, "containerID": "docker://1", "finishedAt": at(94)}}}),
    );
    check(scene(again, json!({})), "ModuleNotFoundError: No module named 'fastapi'", &["APP_EXIT_IMPORT"]);
    let well =
        with(running(true), container(json!({"ready": true, "restartCount": 1, "lastState": {"terminated": {"exitCode": 1, "containerID": "docker://1"}}})));
    check(scene(well, json!({})), "ModuleNotFoundError: No module named 'fastapi'", &[]);
}

#[test]
fn a_generic_crash_needs_three_ends_or_a_minute() {
    let log = "something went wrong";
    check(scene(ended(1, "Error", 1), json!({})), log, &[]);
    check(scene(ended(1, "Error", 2), json!({})), log, &[]);
    check(scene(ended(1, "Error", 3), json!({})), log, &["APP_CRASH_GENERIC"]);
    check_after(60, scene(ended(1, "Error", 1), json!({})), log, &["APP_CRASH_GENERIC"]);
}

#[test]
fn a_clock_that_was_set_makes_no_window_pass() {
    let step = scene(ended(1, "Error", 1), json!({}));
    let looks = |set: bool, then: i64| {
        let mut memory = Memory::default();
        judge(&observed(&step, 100), &api(), &Logs::new(), &mut memory, time(100));
        if set {
            memory.clock_was_set(time(then));
        }
        let mut at = |seconds: i64| codes(&judge(&observed(&step, seconds), &api(), &Logs::new(), &mut memory, time(seconds))).len();
        (at(then), at(then + 59), at(then + 60))
    };
    for then in [7_300, -7_100] {
        assert_eq!(looks(true, then), (0, 0, 1), "set to {then}: the window begins anew, and ends");
    }
    assert_eq!(looks(false, 7_300), (1, 1, 1), "two hours that have really passed");
}

#[test]
fn ends_are_counted_across_looks() {
    let steps: Vec<(i64, Value)> = (1..=3).map(|count| (90 + i64::from(count), scene(ended(1, "Error", count), json!({})))).collect();
    assert_eq!(codes(&replay(&steps, "oops")), ["APP_CRASH_GENERIC"]);
    assert!(codes(&replay(&steps[..2], "oops")).is_empty());
}

#[test]
fn a_missing_setting_needs_two_ends_and_a_secret_asks_for_its_value() {
    check(scene(ended(1, "Error", 1), json!({})), "KeyError: 'BACKEND_URL'", &[]);
    let plain = first(replay(&[(100, scene(ended(1, "Error", 2), json!({})))], "KeyError: 'BACKEND_URL'"));
    assert_eq!((plain.code.as_str(), plain.class), ("APP_EXIT_CONFIG", Class::AppSelfResolve));
    let secret = first(replay(&[(100, scene(ended(1, "Error", 2), json!({})))], "KeyError: 'JWT_SECRET'"));
    assert_eq!(secret.class, Class::AppNeedsValue);
    assert_eq!(named_variables(&secret), ["JWT_SECRET"]);
    check(scene(ended(78, "Error", 2), json!({})), "bad", &["APP_EXIT_CONFIG"]);
}

#[test]
fn a_host_that_no_service_has_is_definitive_after_two_ends() {
    let log = "psycopg2.OperationalError: could not translate host name \"postgres-nope\" to address: Name or service not known";
    check(scene(ended(3, "Error", 1), json!({})), log, &[]);
    let pod = with(ended(3, "Error", 2), spec(json!({"env": [{"name": "DB_HOST", "value": "postgres-nope"}]})));
    let diagnosis = first(replay(&[(100, scene(pod, json!({})))], log));
    assert_eq!((diagnosis.code.as_str(), diagnosis.class, diagnosis.confidence), ("APP_EXIT_DEP", Class::AppSelfResolve, Confidence::Definitive));
    assert_eq!(diagnosis.cause, "api cannot reach the host postgres-nope (from the variable DB_HOST): the namespace has no Service of that name");
    assert_eq!(named_host(&diagnosis).as_deref(), Some("postgres-nope"));
    assert_eq!(named_variables(&diagnosis), ["DB_HOST"]);
}

#[test]
fn an_offline_name_service_does_not_hide_a_host_that_no_service_has() {
    let log = |host: &str| format!("psycopg.OperationalError: failed to resolve host '{host}': [Errno -3] Temporary failure in name resolution");
    check(scene(ended(1, "Error", 2), json!({})), &log("postgres-nope"), &["APP_EXIT_DEP"]);
    check(scene(ended(1, "Error", 2), json!({})), &log("api"), &[]);
    check(scene(ended(1, "Error", 3), json!({})), &log("api"), &["DNS_FAIL"]);
    check(scene(ended(1, "Error", 3), json!({})), &log("db.example.com"), &["DNS_FAIL"]);
}

#[test]
fn a_dependency_that_comes_up_gets_time() {
    let service = |ready: bool| {
        json!({"services": [{"metadata": {"name": "db", "namespace": "todo"}, "spec": {"selector": {"app": "db"}, "ports": [{"port": 5432}]}}],
        "endpoint_slices": [{"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "db"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.9"], "conditions": {"ready": ready}}]}]})
    };
    let log = "connection to server at \"db\" (10.96.1.1), port 5432 failed: Connection refused";
    check(scene(ended(1, "Error", 4), service(false)), log, &[]);
    check(scene(ended(1, "Error", 5), service(false)), log, &["APP_EXIT_DEP"]);
    // Ready since second 50; the ends of seconds 91 and 92 came after that.
    let steps = [(50, scene(Value::Null, service(true))), (91, scene(ended(1, "Error", 1), service(true))), (92, scene(ended(1, "Error", 2), service(true)))];
    assert_eq!(codes(&replay(&steps, log)), ["APP_EXIT_DEP"]);
    assert!(codes(&replay(&steps[..2], log)).is_empty());
    let wrong_port = log.replace("5432", "5433");
    let diagnosis = first(replay(&[(100, scene(ended(1, "Error", 2), service(true)))], &wrong_port));
    assert!(diagnosis.cause.contains("the Service db offers port 5432"), "{}", diagnosis.cause);
}

#[test]
fn hosts_outside_and_the_pod_itself_are_told_apart() {
    let refused = |host: &str| format!("Error: connect ECONNREFUSED {host}:5432");
    check(scene(ended(1, "Error", 2), json!({})), &refused("127.0.0.1"), &["APP_EXIT_DEP"]);
    check(scene(ended(1, "Error", 4), json!({})), &refused("203.0.113.9"), &[]);
    check(scene(ended(1, "Error", 4), json!({})), "Error: getaddrinfo ENOTFOUND db.example.com", &[]);
    check(scene(ended(1, "Error", 2), json!({})), "Error: getaddrinfo ENOTFOUND db.todo.svc.cluster.local", &["APP_EXIT_DEP"]);
    check(scene(ended(1, "Error", 2), json!({})), "Error: getaddrinfo ENOTFOUND db.other.svc.cluster.local", &[]);
}

#[test]
fn a_host_that_the_log_does_not_name_is_found_in_the_environment() {
    let pod = with(
        ended(1, "Error", 2),
        spec(json!({"env": [{"name": "DATABASE_URL", "value": "postgresql://todo@db-nope:5432/todo"}, {"name": "API_URL", "value": "http://api:8000"}]})),
    );
    let diagnosis = first(replay(&[(100, scene(pod, json!({})))], "socket.gaierror: [Errno -2] Name or service not known"));
    assert_eq!((diagnosis.code.as_str(), diagnosis.confidence), ("APP_EXIT_DEP", Confidence::Likely));
    assert!(diagnosis.cause.contains("db-nope") && diagnosis.cause.contains("DATABASE_URL"), "{}", diagnosis.cause);
}

#[test]
fn a_program_that_runs_without_its_host_is_refused_when_its_readiness_window_is_over() {
    let pod = with(running(false), spec(json!({"readinessProbe": {"httpGet": {"path": "/ready", "port": 8000}}})));
    let step = scene(pod, events(&[event("p", "Pod", "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", 3)]));
    let log = "ERROR could not translate host name \"db-nope\" to address: Name or service not known";
    assert!(codes(&replay(&[(20, step.clone())], log)).is_empty());
    assert_eq!(codes(&replay(&[(27, step.clone())], log)), ["APP_EXIT_DEP"]);
    assert!(codes(&replay(&[(40, step.clone())], "")).is_empty());
    assert_eq!(codes(&replay(&[(42, step)], "")), ["PROBE_READINESS"]);
}

#[test]
fn other_ends_have_their_own_rows() {
    check(scene(ended(137, "OOMKilled", 1), json!({})), "", &[]);
    check(scene(ended(137, "OOMKilled", 2), json!({})), "", &["APP_OOM"]);
    check(scene(with(ended(137, "OOMKilled", 1), spec(json!({"resources": {"limits": {"memory": "32Mi"}}}))), json!({})), "", &["APP_OOM"]);
    check(scene(ended(139, "Error", 2), json!({})), "", &["APP_SIGSEGV"]);
    check(scene(ended(0, "Completed", 2), json!({})), "", &["APP_EXIT0_LOOP"]);
    check(scene(ended(0, "Completed", 1), json!({})), "", &[]);
    check(scene(ended(1, "Error", 2), json!({})), "FATAL:  password authentication failed for user \"todo\"", &["APP_EXIT_AUTHDEP"]);
    check(scene(ended(1, "Error", 2), json!({})), "psycopg2.errors.UndefinedTable: relation \"users\" does not exist", &["APP_MIGRATION"]);
    check(scene(ended(1, "Error", 2), json!({})), "PermissionError: [Errno 13] Permission denied: '/data/x'", &["SEC_PERM"]);
    check(scene(ended(1, "Error", 2), json!({})), "OSError: [Errno 30] Read-only file system: '/app/x'", &["SEC_ROFS"]);
    check(scene(ended(1, "Error", 1), json!({})), "pods is forbidden: User \"system:serviceaccount:todo:default\" cannot list", &["RBAC_RUNTIME"]);
    check(scene(ended(137, "Error", 2), events(&[event("p", "Pod", "Killing", "Stopping container api", 2)])), "", &["APP_SIGKILL_GRACE"]);
}

#[test]
fn init_containers_and_jobs() {
    let init = json!({"spec": {"initContainers": [{"name": "migrate", "image": "i"}]}, "status": {"initContainerStatuses": [{"name": "migrate", "image": "i", "imageID": "", "ready": false, "restartCount": 2,
        "state": {"terminated": {"exitCode": 1, "containerID": "docker://3"}}}]}});
    check(scene(init.clone(), json!({})), "", &["INIT_FAILED"]);
    let done = with(
        init,
        json!({"status": {"initContainerStatuses": [{"name": "migrate", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}}]}}),
    );
    check(scene(done, json!({})), "", &[]);
    let job = json!({"deployments": [], "jobs": [{"metadata": {"name": "api", "uid": "j"}, "status": {"startTime": at(0), "conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}}]});
    check(scene(Value::Null, job), "", &["JOB_FAILED"]);
}

#[test]
fn what_ends_or_waits_for_its_time_has_checks_of_its_own() {
    use super::{completed, progress, scheduled, timed};
    use crate::evidence::Outcome;
    let api = ServiceName::parse("api").unwrap();
    let labels = json!({"app.kubernetes.io/instance": "api"});
    let clock = |spec: Value| observed(&json!({"cron_jobs": [{"metadata": {"name": "api", "uid": "c", "labels": labels}, "spec": spec}]}), 0);
    let spec = json!({"schedule": "0 3 * * *", "jobTemplate": {}});
    let nightly = clock(spec.clone());
    assert_eq!(scheduled("x", &nightly, &api, "0 3 * * *").outcome, Outcome::Pass);
    assert_eq!(scheduled("x", &nightly, &api, "0 4 * * *").outcome, Outcome::Fail, "another time");
    let suspended = clock(with(spec, json!({"suspend": true})));
    assert_eq!(scheduled("x", &suspended, &api, "0 3 * * *").outcome, Outcome::Fail, "suspended");
    assert_eq!(scheduled("x", &observed(&json!({}), 0), &api, "0 3 * * *").outcome, Outcome::Fail, "absent");
    assert!(timed(&nightly, &api) && progress(&nightly, &api).done, "nothing runs before its time, and nothing is missing");
    assert!(!timed(&nightly, &ServiceName::parse("other").unwrap()));

    let job = |name: &str, made: i64, end: &str| {
        let conditions = json!([{"type": end, "status": "True"}]);
        json!({"metadata": {"name": name, "uid": name, "labels": labels, "creationTimestamp": at(made)}, "status": {"conditions": conditions}})
    };
    let jobs = |list: Value| observed(&json!({"jobs": list}), 0);
    assert_eq!(completed("x", &jobs(json!([job("api-1", 0, "Complete")])), &api).outcome, Outcome::Pass);
    assert_eq!(completed("x", &jobs(json!([job("api-1", 0, "Complete"), job("api-2", 9, "Failed")])), &api).outcome, Outcome::Fail, "the newest counts");
    assert_eq!(completed("x", &jobs(json!([])), &api).outcome, Outcome::Fail);
}

#[test]
fn probes_that_fail() {
    let probe = |kind: &str| spec(json!({format!("{kind}Probe"): {"httpGet": {"path": "/health", "port": 8000}, "periodSeconds": 5}}));
    let killing = |kind: &str, count: i32| event("p", "Pod", "Killing", &format!("Container api failed {kind} probe, will be restarted"), count);
    let unhealthy = |kind: &str| event("p", "Pod", "Unhealthy", &format!("{kind} probe failed: HTTP probe failed with statuscode: 404"), 3);
    check(scene(with(running(false), probe("liveness")), events(&[unhealthy("Liveness"), killing("liveness", 2)])), "", &["PROBE_LIVENESS"]);
    check(scene(with(running(false), probe("liveness")), events(&[unhealthy("Liveness"), killing("liveness", 1)])), "", &[]);
    check(scene(with(running(false), probe("startup")), events(&[unhealthy("Startup"), killing("startup", 1)])), "", &["PROBE_STARTUP"]);
    check(scene(with(running(false), probe("startup")), events(&[unhealthy("Startup")])), "", &[]);
    check(scene(with(running(false), probe("readiness")), events(&[unhealthy("Readiness")])), "", &["PROBE_READINESS"]);
    check(scene(with(running(false), probe("readiness")), json!({})), "", &[]);
    check(scene(with(running(true), probe("readiness")), events(&[unhealthy("Readiness")])), "", &[]);
    let named = |port: &str| {
        with(running(false), spec(json!({"ports": [{"name": "http", "containerPort": 8000}], "readinessProbe": {"httpGet": {"path": "/", "port": port}}})))
    };
    check(scene(named("htp"), json!({})), "", &["PROBE_NAMED_PORT"]);
    check(scene(named("http"), json!({})), "", &[]);
    // A probe's kill is no crash of the program.
    check(scene(with(ended(137, "Error", 3), probe("liveness")), events(&[unhealthy("Liveness"), killing("liveness", 3)])), "", &["PROBE_LIVENESS"]);
}

#[test]
fn pods_that_may_not_be_created() {
    let refusal = |message: &str| scene(Value::Null, events(&[event("r", "ReplicaSet", "FailedCreate", message, 3)]));
    check(
        refusal(
            "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true (pod or container \"api\" must set securityContext.runAsNonRoot=true)",
        ),
        "",
        &["SEC_PSA"],
    );
    check(refusal("pods \"x\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1"), "", &["QUOTA_EXCEEDED"]);
    check(refusal("pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: api"), "", &["QUOTA_MUST_SPECIFY"]);
    check(refusal("pods \"x\" is forbidden: [maximum memory usage per Container is 64Mi, but limit is 128Mi]"), "", &["LIMITRANGE"]);
    check(refusal("error looking up service account todo/nope: serviceaccount \"nope\" not found"), "", &["SA_MISSING"]);
    check(refusal("pods \"x\" is forbidden: no PriorityClass with name nope was found"), "", &["CLASS_REF_MISSING"]);
    check(refusal("admission webhook \"w\" denied the request: spec.containers must have limits"), "", &["ADMISSION_DENY"]);
    check(refusal("Internal error occurred: failed calling webhook \"w\": connection refused"), "", &["ADMISSION_DOWN"]);
    // A refusal that was overcome is history.
    check(scene(waiting("ContainerCreating", ""), events(&[event("r", "ReplicaSet", "FailedCreate", "exceeded quota: q", 3)])), "", &[]);
}

#[test]
fn pods_that_no_node_takes() {
    let unschedulable = |message: &str, more: Value| {
        scene(
            with(
                json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message, "lastTransitionTime": at(0)}]}}),
                more,
            ),
            json!({}),
        )
    };
    check(unschedulable("0/1 nodes are available: 1 Insufficient cpu.", spec(json!({"resources": {"requests": {"cpu": "1000"}}}))), "", &["SCHED_CPU_MEM"]);
    check(unschedulable("0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.", json!({})), "", &["SCHED_SELECTOR"]);
    check(unschedulable("0/1 nodes are available: 1 node(s) had untolerated taint {dedicated: x}.", json!({})), "", &["SCHED_TAINT"]);
    let cordoned = "0/1 nodes are available: 1 node(s) were unschedulable. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    check(unschedulable(cordoned, json!({})), "", &["SCHED_TAINT"]);
    let since_1_34 = "0/1 nodes are available: 1 node(s) were unschedulable. no new claims to deallocate, preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.";
    check(unschedulable(since_1_34, json!({})), "", &["SCHED_TAINT"]);
    let one_has_room = since_1_34.replace("unschedulable.", "unschedulable, 1 node(s) didn't match pod anti-affinity rules.");
    check(unschedulable(&one_has_room, json!({})), "", &["SCHED_ANTIAFFINITY"]);
    let tainted = |taint: &str, since: i64, more: Value| {
        let text = "0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims to deallocate, preemption: 0/1 nodes are available.";
        let condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": text, "lastTransitionTime": at(since)});
        let mut seen = scene(with(json!({"status": {"phase": "Pending", "conditions": [condition]}}), more), json!({}));
        seen["nodes"][0]["spec"] = json!({"taints": [{"key": "a", "value": "b", "effect": "NoSchedule"}, {"key": taint, "effect": "NoSchedule"}]});
        seen
    };
    let tolerates_one =
        json!({"spec": {"tolerations": [{"key": "a", "operator": "Equal", "value": "b"}, {"key": "c", "operator": "Exists", "effect": "NoExecute"}]}});
    let cause = |seen: Value| first(replay(&[(100, seen)], "")).cause;
    assert!(cause(tainted("c", 99, tolerates_one.clone())).ends_with("does not tolerate (c: )"), "what is tolerated keeps nobody away");
    assert!(cause(tainted("c", 99, json!({}))).ends_with("does not tolerate (a: b, c: )"));
    // A node that has just started heals by itself.
    check(tainted("node.kubernetes.io/not-ready", 95, json!({})), "", &[]);
    let both = "0/2 nodes are available: 1 node(s) had untolerated taint(s) {a: b}, 1 node(s) were unschedulable.";
    check(unschedulable(both, json!({})), "", &["SCHED_TAINT"]);
    let mixed =
        "0/3 nodes are available: 1 node(s) had untolerated taint {node-role.kubernetes.io/control-plane: }, 2 node(s) didn't match pod anti-affinity rules.";
    check(unschedulable(mixed, json!({})), "", &["SCHED_ANTIAFFINITY"]);
    check(unschedulable("0/1 nodes are available: 1 node(s) didn't match pod anti-affinity rules.", json!({})), "", &["SCHED_ANTIAFFINITY"]);
    check(unschedulable("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.", json!({})), "", &["SCHED_HOSTPORT"]);
    check(unschedulable("0/1 nodes are available: 1 Too many pods.", json!({})), "", &["SCHED_TOO_MANY_PODS"]);
    check(unschedulable("no nodes available to schedule pods", json!({})), "", &["SCHED_GATED_NO_NODES"]);
    let young = json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "1 Insufficient memory", "lastTransitionTime": at(95)}]}});
    check(scene(young, json!({})), "", &[]);
}

#[test]
fn a_request_that_no_node_could_ever_hold_is_the_charts_fault() {
    let pod = |cpu: &str| {
        let condition = json!({"status": {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "1 Insufficient cpu", "lastTransitionTime": at(0)}]}});
        scene(with(condition, spec(json!({"resources": {"requests": {"cpu": cpu}}}))), json!({}))
    };
    assert_eq!(first(replay(&[(100, pod("3"))], "")).class, Class::AppSelfResolve);
    assert_eq!(first(replay(&[(100, pod("1500m"))], "")).class, Class::ClusterEscalate);
}

#[test]
fn a_claim_underneath_is_the_cause_and_the_waiting_pod_its_symptom() {
    let pod = json!({"spec": {"volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]},
        "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "pod has unbound immediate PersistentVolumeClaims"}]}});
    let claim = |phase: &str| json!([{"metadata": {"name": "data", "uid": "c"}, "spec": {"storageClassName": "nope"}, "status": {"phase": phase}}]);
    let with_event = |reason: &str, message: &str, phase: &str| {
        scene(pod.clone(), json!({"claims": claim(phase), "events": [event("c", "PersistentVolumeClaim", reason, message, 1)]}))
    };
    check(with_event("ProvisioningFailed", "storageclass.storage.k8s.io \"nope\" not found", "Pending"), "", &["PVC_NO_CLASS", "SCHED_PVC"]);
    check(with_event("ProvisioningFailed", "storageclass.storage.k8s.io \"nope\" not found", "Bound"), "", &[]);
    check(with_event("ExternalProvisioning", "waiting for a volume to be created", "Pending"), "", &["PVC_PROVISIONER_DOWN", "SCHED_PVC"]);
    check(scene(pod.clone(), json!({"claims": claim("Lost")})), "", &["PVC_LOST_RESIZE", "SCHED_PVC"]);
}

#[test]
fn volumes_and_sandboxes() {
    let creating = || container(json!({"state": {"waiting": {"reason": "ContainerCreating"}}}));
    let mount = |message: &str, count: i32, reason: &str| scene(creating(), events(&[event("p", "Pod", reason, message, count)]));
    check(mount("MountVolume.SetUp failed for volume \"v\" : configmap \"settings\" not found", 1, "FailedMount"), "", &["CFG_VOL_MISSING"]);
    check(mount("MountVolume.SetUp failed for volume \"v\" : hostPath type check failed: /x is not a directory", 1, "FailedMount"), "", &["VOL_HOSTPATH"]);
    check(mount("Failed to create pod sandbox: plugin type=\"bridge\" failed to set up network", 3, "FailedCreatePodSandBox"), "", &["CNI_FAIL"]);
    check(mount("Failed to create pod sandbox: plugin type=\"bridge\" failed to set up network", 2, "FailedCreatePodSandBox"), "", &[]);
    let made_anew = |count: i32| {
        let failed = "Failed to create pod sandbox: networkPlugin cni failed to set up pod: failed to find plugin \"bridge\"";
        let changed = event("p", "Pod", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.", count);
        scene(creating(), events(&[event("p", "Pod", "FailedCreatePodSandBox", failed, 1), changed]))
    };
    check(made_anew(2), "", &["CNI_FAIL"]);
    check(made_anew(1), "", &[]);
    check(mount("failed to get sandbox image \"registry.k8s.io/pause:3.10\": failed to pull image", 2, "FailedCreatePodSandBox"), "", &["SANDBOX_IMG"]);
    // The object has come since: the kubelet's next try will do.
    let come = json!({"config_maps": ["settings"], "events": [event("p", "Pod", "FailedMount", "configmap \"settings\" not found", 1)]});
    check(scene(creating(), come), "", &[]);
}

#[test]
fn pods_that_the_node_ended_or_refused() {
    let failed = |reason: &str, message: &str| scene(json!({"status": {"phase": "Failed", "reason": reason, "message": message}}), json!({}));
    check(failed("Evicted", "The node was low on resource: memory."), "", &["POD_EVICTED"]);
    check(failed("OutOfcpu", "Node didn't have enough resource: cpu"), "", &["POD_ADMIT"]);
    check(failed("DeadlineExceeded", ""), "", &["POD_DEADLINE"]);
    check(failed("", ""), "", &[]);
}

#[test]
fn a_broken_node_makes_application_rows_suspect() {
    let nodes = |message: &str| json!({"nodes": [{"metadata": {"name": "node"}, "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": message, "lastTransitionTime": at(90)}]}}]});
    let judgement = replay(&[(100, scene(ended(1, "Error", 3), nodes("container runtime is down")))], "oops");
    assert_eq!(codes(&judgement), ["RUNTIME_DOWN", "APP_CRASH_GENERIC"]);
    let Judgement::Refused(diagnoses) = judgement else { unreachable!() };
    assert_eq!(diagnoses[1].confidence, Confidence::Likely);
    check(scene(waiting("ContainerCreating", ""), nodes("kubelet stopped posting node status")), "", &[]);
    check_after(30, scene(waiting("ContainerCreating", ""), nodes("kubelet stopped posting node status")), "", &["NODE_NOT_READY"]);
    let pressure = json!({"nodes": [{"metadata": {"name": "node"}, "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]}}]});
    check(scene(waiting("ContainerCreating", ""), pressure), "", &["NODE_PRESSURE"]);
}

#[test]
fn what_is_ready_is_not_refused_for_a_nodes_trouble() {
    let more = json!({
        "endpoint_slices": [{"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}],
        "nodes": [{"metadata": {"name": "other"}, "status": {"conditions": [{"type": "Ready", "status": "False", "message": "container runtime is down"}]}}],
    });
    assert_eq!(replay(&[(100, scene(running(true), more))], ""), Judgement::Ready);
}

#[test]
fn ends_that_the_runtime_forgot_are_no_crashes() {
    check(scene(ended(255, "Unknown", 9), json!({})), "", &[]);
    check(scene(ended(137, "ContainerStatusUnknown", 9), json!({})), "", &[]);
}

#[test]
fn a_completed_job_beside_a_deployment_needs_no_pods_any_more() {
    let more = |kind: &str| {
        json!({
            "endpoint_slices": [{"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}],
            "jobs": [{"metadata": {"name": "migrate", "uid": "j", "labels": {"app.kubernetes.io/instance": "api"}}, "status": {"startTime": at(0), "conditions": [{"type": kind, "status": "True"}]}}],
        })
    };
    assert_eq!(replay(&[(100, scene(running(true), more("Complete")))], ""), Judgement::Ready);
    assert!(matches!(replay(&[(100, scene(running(true), more("Suspended")))], ""), Judgement::Waiting { .. }));
}

#[test]
fn a_service_whose_selector_fits_no_pod() {
    let services =
        |app: &str| json!({"services": [{"metadata": {"name": "api", "labels": {"app.kubernetes.io/instance": "api"}}, "spec": {"selector": {"app": app}}}]});
    check(scene(running(true), services("other")), "", &["SVC_NO_ENDPOINTS"]);
    check(scene(running(true), services("api")), "", &[]);
    check_after(10, scene(running(true), services("api")), "", &["SVC_NO_ENDPOINTS"]);
    check(scene(running(false), services("other")), "", &[]);
}

#[test]
fn a_symptom_never_stands_before_its_cause() {
    let deadline = json!({"deployments": [{
        "metadata": {"name": "api", "namespace": "todo", "uid": "d", "generation": 1, "annotations": {"deployment.kubernetes.io/revision": "1"}},
        "spec": {"replicas": 1, "selector": {}, "template": {}},
        "status": {"observedGeneration": 1, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "has timed out"}]}}]});
    check(scene(ended(1, "Error", 1), deadline.clone()), "oops", &["APP_CRASH_GENERIC", "DEP_PROGRESS_DEADLINE"]);
    check(scene(waiting("ContainerCreating", ""), deadline), "", &["DEP_PROGRESS_DEADLINE"]);
}

#[test]
fn a_sidecar_that_fails_is_named_by_its_own_row_first() {
    let pod = json!({"spec": {"containers": [{"name": "api", "image": "i"}, {"name": "proxy", "image": "i"}]}, "status": {"containerStatuses": [
        {"name": "api", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}},
        {"name": "proxy", "image": "i", "imageID": "", "ready": false, "restartCount": 3, "state": {"terminated": {"exitCode": 139, "containerID": "docker://9"}}}]}});
    check(scene(pod, json!({})), "", &["APP_SIGSEGV", "SIDECAR_NOT_READY"]);
}

#[test]
fn what_fits_no_row_is_unknown_with_its_evidence() {
    let odd = scene(waiting("CreateContainerConfigError", "something new"), events(&[event("p", "Pod", "Failed", "something new", 1)]));
    let logs = Logs::new();
    let found = readings(&observed(&odd, 100), &api(), &logs, &mut Memory::default(), time(100));
    assert_eq!(found.iter().map(|each| each.code.as_str()).collect::<Vec<_>>(), ["UNKNOWN"]);
    assert!(found[0].why.iter().any(|why| why.text.contains("something new")));
}

#[test]
fn the_best_reading_names_what_is_only_suspected() {
    let logs = Logs::from([(("api-1-x".to_owned(), "api".to_owned()), LogTail { text: "KeyError: 'BACKEND_URL'".to_owned(), run: None })]);
    let found = readings(&observed(&scene(ended(1, "Error", 1), json!({})), 100), &api(), &logs, &mut Memory::default(), time(100));
    assert_eq!((found[0].code.as_str(), found[0].confidence), ("APP_EXIT_CONFIG", Confidence::Likely));
}

#[test]
fn pods_with_the_same_cause_make_one_diagnosis() {
    let mut two = scene(ended(1, "Error", 1), json!({}));
    let mut other = two["pods"][0].clone();
    merge(&mut other, json!({"metadata": {"name": "api-1-y", "uid": "p2"}}));
    two["pods"].as_array_mut().unwrap().push(other);
    let log = LogTail { text: "ModuleNotFoundError: No module named 'fastapi'".to_owned(), run: None };
    let logs = Logs::from([(("api-1-x".to_owned(), "api".to_owned()), log.clone()), (("api-1-y".to_owned(), "api".to_owned()), log)]);
    let judgement = judge(&observed(&two, 100), &api(), &logs, &mut Memory::default(), time(100));
    assert_eq!(codes(&judgement), ["APP_EXIT_IMPORT"]);
    assert!(first(judgement).why.iter().any(|why| why.at.contains("api-1-y")));
}

#[test]
fn no_secret_of_a_log_reaches_a_diagnosis() {
    let log = "connecting to postgresql://todo:hunter2horse@db-nope:5432/todo\ncould not translate host name \"db-nope\" to address: Name or service not known";
    let diagnosis = first(replay(&[(100, scene(ended(1, "Error", 2), json!({})))], log));
    assert!(!serde_json::to_string(&diagnosis).unwrap().contains("hunter2horse"));
}

#[test]
fn health_counts_what_is_well_and_diagnoses_what_is_not() {
    let endpoints = json!({"endpoint_slices": [{"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}]});
    let well = health(&observed(&scene(running(true), endpoints), 100), Scope::All, &Logs::new(), time(100));
    let all = Share { good: 1, total: 1 };
    assert_eq!(well.counts, health::Counts { deployments: all, pods: all, services: all });
    assert!(well.is_well());
    let sick = health(
        &observed(&scene(waiting("InvalidImageName", "x"), events(&[event("p", "Pod", "InspectFailed", "bad name", 2)])), 100),
        Scope::All,
        &Logs::new(),
        time(100),
    );
    assert_eq!(sick.counts.pods, Share { good: 0, total: 1 });
    assert_eq!((sick.warnings.len(), sick.diagnoses[0].code.as_str()), (1, "IMG_INVALID_NAME"));
    assert!(!health(&Observed::default(), Scope::All, &Logs::new(), time(0)).is_well());
    use super::health::Share;
}

/// A DaemonSet `api` of this template generation with one pod of `pod_generation`, in a scene without its Deployment.
fn daemon(wanted: u32, generation: &str, pod_generation: &str, pod: Value) -> Value {
    let mut all = scene(
        pod,
        json!({"deployments": [], "replica_sets": [], "endpoint_slices": [{"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}]}),
    );
    all["daemon_sets"] = json!([{
        "metadata": {"name": "api", "namespace": "todo", "uid": "ds", "generation": 2, "annotations": {"deprecated.daemonset.template.generation": generation}, "labels": {"app.kubernetes.io/instance": "api"}},
        "spec": {"selector": {}, "template": {}},
        "status": {"observedGeneration": 2, "desiredNumberScheduled": wanted, "currentNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": 1},
    }]);
    all["pods"][0]["metadata"]["ownerReferences"] = json!([{"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "api", "uid": "ds", "controller": true}]);
    all["pods"][0]["metadata"]["labels"]["pod-template-generation"] = json!(pod_generation);
    all
}

#[test]
fn a_daemon_set_is_ready_when_every_node_that_takes_it_runs_its_newest_template() {
    assert_eq!(replay(&[(100, daemon(1, "2", "2", running(true)))], ""), Judgement::Ready);
    let waits = |scene: Value| match replay(&[(100, scene)], "") {
        Judgement::Waiting { what } => what,
        other => panic!("{other:?}"),
    };
    assert!(waits(daemon(2, "2", "2", running(true))).starts_with("1 of 2 pods ready"));
    assert!(waits(daemon(1, "2", "1", running(true))).starts_with("0 of 1 pods ready"), "the pod is of yesterday's template");
    assert!(waits(daemon(1, "2", "2", running(false))).starts_with("0 of 1 pods ready"));
    let mut unseen = daemon(1, "2", "2", running(true));
    unseen["daemon_sets"][0]["status"]["observedGeneration"] = json!(1);
    assert!(waits(unseen).contains("has not yet seen the newest DaemonSet api"));
    // What goes wrong in its pods has the same names as everywhere.
    check(daemon(1, "2", "2", waiting("InvalidImageName", "couldn't parse image")), "", &["IMG_INVALID_NAME"]);
    let well = health(&observed(&daemon(1, "2", "2", running(true)), 100), Scope::All, &Logs::new(), time(100));
    assert!(well.is_well() && well.counts.deployments.total == 1, "{well:?}");
}

fn autoscaler(status: &str, reason: &str) -> Value {
    json!({"autoscalers": [{"metadata": {"name": "api-scaler", "uid": "h"}, "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "api"}},
        "status": {"desiredReplicas": 1, "conditions": [{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": status, "reason": reason, "message": "no metrics returned from resource metrics API"}]}}]})
}

#[test]
fn an_autoscaler_that_sees_no_metric_is_told_and_refuses_nothing() {
    let endpoints = json!({"endpoint_slices": [{"metadata": {"name": "s", "labels": {"kubernetes.io/service-name": "api"}}, "addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}]}]});
    let ready = |more: Value| scene(running(true), with(endpoints.clone(), more));
    let warned = |more: Value| health(&observed(&ready(more), 100), Scope::All, &Logs::new(), time(100));
    let blind = warned(autoscaler("False", "FailedGetResourceMetric"));
    assert!(blind.warnings.len() == 1 && blind.warnings[0].text.contains("FailedGetResourceMetric"), "{blind:?}");
    assert!(blind.is_well(), "the release itself is well: {blind:?}");
    assert_eq!(replay(&[(100, ready(autoscaler("False", "FailedGetResourceMetric")))], ""), Judgement::Ready);
    for (status, reason) in [("True", "ValidMetricFound"), ("False", "ScalingDisabled"), ("Unknown", "FailedGetResourceMetric")] {
        assert!(warned(autoscaler(status, reason)).warnings.is_empty(), "{status} {reason}");
    }
    let mut others = autoscaler("False", "FailedGetResourceMetric");
    others["autoscalers"][0]["spec"]["scaleTargetRef"]["name"] = json!("somebody-elses");
    assert!(warned(others).warnings.is_empty());
    // While the release waits, it stands among what is seen, never alone.
    let now = time(100);
    let waiting = scene(running(false), autoscaler("False", "FailedGetResourceMetric"));
    let told = readings(&observed(&waiting, 100), &api(), &Logs::new(), &mut Memory::default(), now);
    assert!(told.iter().any(|each| each.code == "HPA_NO_METRICS"), "{told:#?}");
}

/// A generated look at a container in any state must not bring the judgement down, nor refuse without a cause.
#[test]
fn every_refusal_has_a_cause_and_evidence() {
    for reason in ["ErrImagePull", "CreateContainerConfigError", "CrashLoopBackOff", "RunContainerError", "Unheard"] {
        for code in [0, 1, 2, 126, 127, 137, 139, 143, 255] {
            let pod = container(
                json!({"restartCount": 9, "state": {"waiting": {"reason": reason}}, "lastState": {"terminated": {"exitCode": code, "containerID": "docker://1"}}}),
            );
            if let Judgement::Refused(diagnoses) = replay(&[(100, scene(pod, json!({})))], "") {
                assert!(diagnoses.iter().all(|each| !each.cause.is_empty() && !each.why.is_empty()), "{reason} {code}: {diagnoses:#?}");
            }
        }
    }
}
