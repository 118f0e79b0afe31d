//! Every check of the gates, seen passing and seen failing: one part of a small machine is made wrong, and its own check says so.

use super::class_of;
use super::machine::Machine;
use super::validate::{Look, Scope};
use crate::ask::CheckGroup;
use crate::blueprint::{Blueprint, EnvValue, Expose, ImagePlan, Wishes, draw};
use crate::config::{Config, Folders};
use crate::engine::Run;
use crate::evidence::{Class, Gate, Outcome, Place, Verdict};
use crate::failure::{Code, Failure};
use crate::names::{AppName, Digest, ImageRef, OperationId, ProfileName};
use crate::plan::{ImageStep, Plan};
use crate::policy::tests::GOOD;
use crate::ports::{ImageFacts, Keyed, KeyedKind, Layer, Monitor, Observed, Profile, ProfileStatus, Proof, Runtime, Silent, Started};
use crate::render::RenderedFile;
use crate::survey::{Principle, Survey};
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const ID: &str = "sha256:5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9";

fn survey() -> Survey {
    let mut survey: Survey = serde_json::from_str(include_str!("../../tests/render/survey.json")).unwrap();
    survey.findings.clear();
    for api in survey.services.iter_mut().filter(|service| service.name.as_str() == "api") {
        api.build_facts.insert("metrics.path".to_owned(), "/metrics".to_owned());
    }
    let principle = |text: &str| Principle { title: "I. Law".into(), text: text.into(), evidence: Place::new("constitution.md", 3, "### I. Law") };
    survey.specs.principles = vec![principle("Containers never run as root. Be kind.")];
    survey
}

pub(super) fn blueprint() -> Blueprint {
    let wishes = Wishes { backing: BTreeMap::from([("postgres".to_owned(), "in_cluster".to_owned())]), ..Wishes::default() };
    draw(&survey(), &config(), &AppName::parse("todo").unwrap(), &wishes).unwrap()
}

fn config() -> Config {
    Config::parse("schema = 1\n[gates]\nlatency_p95_ms = 5000\n[[smoke]]\nname = \"login\"\nservice = \"api\"\nget = \"/me\"\nexpect = 200\n").unwrap()
}

fn proof() -> Proof {
    let profile = Profile {
        name: ProfileName::parse("dev").unwrap(),
        driver: "docker".into(),
        runtime: Runtime::Docker,
        kubernetes_version: "v1.34.4".into(),
        nodes: Vec::new(),
        status: ProfileStatus::Running,
    };
    Proof { profile, fingerprint: "f".into(), server: "https://192.168.49.2:8443".into(), kubeconfig: "kubeconfig".into(), checks: Vec::new() }
}

const SECRET: &str = "a value that only the Secret knows";

/// The environment that a service's process shall have.
fn environ(service: &str) -> Vec<(String, String)> {
    let settings = blueprint().workload(service).map(|workload| workload.env.clone()).unwrap_or_default();
    let value = |value: EnvValue| match value {
        EnvValue::Literal { text } => text,
        EnvValue::SecretKey { .. } => SECRET.to_owned(),
    };
    let set = settings.into_iter().map(|setting| (setting.name.to_string(), value(setting.value)));
    set.chain([("PATH".to_owned(), "/usr/bin".to_owned())]).collect()
}

/// A machine on which every check of this service passes.
fn keyed(kind: KeyedKind, name: &str, release: Option<&str>, keys: &[&str]) -> Keyed {
    Keyed { kind, name: name.to_owned(), release: release.map(str::to_owned), keys: keys.iter().map(|key| (*key).to_owned()).collect() }
}

fn good(service: &str) -> Machine {
    Machine {
        image: ImageFacts {
            id: ID.into(),
            size_bytes: 120_000_000,
            user: "10001:10001".into(),
            env: vec!["PATH=/usr/bin".into()],
            entrypoint: vec![],
            command: vec!["uvicorn".into()],
            working_dir: "/app".into(),
            architecture: "amd64".into(),
            digests: vec![],
            layers: vec![Layer { created_by: "COPY . .".into(), size_bytes: 2_000_000 }],
        },
        on_nodes: vec![Some(ID)],
        pulls: Some(vec![Ok(ID)]),
        in_layers: vec![],
        started: Started { exit_code: None, log: "ready".into(), error: String::new() },
        scan: Ok(0),
        lints: true,
        accepts: vec![],
        manifest: Some(GOOD.into()),
        packages: true,
        namespace: true,
        refuses: false,
        status: 200,
        inside: json!({ "status": 200, "content_type": "application/json", "body": "{\"serverInfo\": {}}", "elapsed_ms": 3.0 }).to_string(),
        environ: environ(service),
        secrets: SECRET.into(),
        log: "INFO ready\n".into(),
        memory: Some(40_000_000),
        monitor: Monitor { types: true, prometheuses: 1, alertmanagers: 1 },
        metrics: "up 1\nrequests_total{code=\"200\"} 4\n",
        tools: Some(vec!["list_notes", "add_note"]),
        tool_fails: false,
        output_schema: json!({ "type": "object", "required": ["count"] }),
        structured: Some(json!({ "count": 0 })),
        body: "ok <script src=\"/main.js\"></script>".into(),
        exits: 0,
        keyed: vec![
            keyed(KeyedKind::Secret, "postgres-credentials", None, &["POSTGRES_PASSWORD", "LEFT_OVER"]),
            keyed(KeyedKind::ConfigMap, service, Some(service), &[]),
        ],
        pods: Arc::default(),
    }
}

/// A run on a machine, in a workspace with one image and one chart.
struct Bench {
    _home: tempfile::TempDir,
    run: Run,
    plan: Plan,
    files: Vec<RenderedFile>,
}

fn bench(machine: Machine, survey: &Survey) -> Bench {
    let home = tempfile::tempdir().unwrap();
    let workspace = home.path().join("app");
    std::fs::create_dir_all(workspace.join("api")).unwrap();
    let folders = Folders::of(&workspace, &home.path().join("state"));
    let id = OperationId::parse("op-20260102-030405-a1b2").unwrap();
    std::fs::create_dir_all(folders.operation(&id)).unwrap();
    std::fs::write(folders.operation(&id).join("survey.json"), serde_json::to_vec(survey).unwrap()).unwrap();
    let mut blueprint = blueprint();
    blueprint.workloads.retain(|workload| workload.name.as_str() == "api");
    let api = blueprint.workloads.first().unwrap();
    let ImagePlan::Built { dockerfile, .. } = &api.image else { panic!("a service is built") };
    let file = |path: String, text: &str| RenderedFile { path, text: text.into(), executable: false };
    let files = vec![file(dockerfile.clone(), "FROM scratch\n"), file("deploy/charts/api/values-minikube.yaml".into(), "image: x\n")];
    let step =
        ImageStep { reference: ImageRef::parse("localhost/todo/api:0123456789ab").unwrap(), input: Digest::of("x"), bases: BTreeMap::new(), present: true };
    let plan = Plan {
        schema: 1,
        workspace,
        profile: None,
        fingerprint: None,
        through: crate::ask::Through::Validate,
        on_refusal: crate::ask::OnRefusal::Rollback,
        base_revision: 0,
        images: BTreeMap::from([(api.name.clone(), step)]),
        blueprint,
        files: BTreeMap::new(),
        releases: BTreeMap::new(),
        sources: BTreeMap::new(),
        build_secrets: BTreeMap::new(),
        start: None,
        addons: Default::default(),
        namespace_ready: true,
        secrets_present: BTreeMap::new(),
        survey: String::new(),
        created_at: crate::evidence::Time::UNIX_EPOCH,
        expires_at: crate::evidence::Time::UNIX_EPOCH,
    };
    let run = Run::open(machine.world(), folders, config(), id, Duration::from_secs(60)).unwrap();
    Bench { _home: home, run, plan, files }
}

/// All checks but these passed, and these ended so.
#[track_caller]
fn only(gates: &[Gate], expect: &[(&str, Outcome)]) {
    let checks: Vec<_> = gates.iter().flat_map(|gate| &gate.checks).collect();
    assert!(checks.iter().filter(|check| check.outcome == Outcome::Pass).all(|check| !check.evidence.is_empty()), "a pass shows what it saw");
    let mut odd: Vec<(&str, Outcome)> = checks.iter().filter(|check| check.outcome != Outcome::Pass).map(|check| (check.id.as_str(), check.outcome)).collect();
    odd.dedup();
    assert_eq!(odd, expect, "{checks:#?}");
}

async fn check_docker(change: impl Fn(&mut Machine), expect: &[(&str, Outcome)]) {
    let mut machine = good("api");
    change(&mut machine);
    let bench = bench(machine, &survey());
    let built = super::containerize::run(&bench.run, &bench.plan, &bench.files, &proof(), &BTreeMap::new()).await.unwrap();
    let ids: Vec<_> = built.gates.iter().flat_map(|gate| &gate.checks).map(|check| check.id.clone()).collect();
    for id in ["builds", "non_root", "no_secrets", "starts", "scan", "size", "on_node"] {
        assert!(ids.contains(&format!("docker.{id}")), "{id} is not in {ids:?}");
    }
    only(&built.gates, expect);
}

#[tokio::test]
async fn a_scan_keeps_the_gate_shut_only_where_it_is_required() {
    use crate::config::ScanRule::{Optional, Required};
    for (rule, scan, expect) in [
        (Optional, Err("no scanner".to_owned()), Verdict::Pass),
        (Optional, Ok(2), Verdict::Pass),
        (Required, Ok(0), Verdict::Pass),
        (Required, Err("no scanner".to_owned()), Verdict::Incomplete),
        (Required, Ok(2), Verdict::Refused),
    ] {
        let mut bench = bench(Machine { scan: scan.clone(), ..good("api") }, &survey());
        bench.run.config.gates.scan = rule;
        let built = super::containerize::run(&bench.run, &bench.plan, &bench.files, &proof(), &BTreeMap::new()).await.unwrap();
        let verdicts: Vec<Verdict> = built.gates.iter().map(|gate| gate.verdict).collect();
        assert_eq!(verdicts, [expect], "{rule:?} {scan:?}");
    }
}

#[tokio::test]
async fn every_check_of_the_docker_gate_fails_for_its_own_fault_alone() {
    use Outcome::{Fail, NotRun};
    check_docker(|_| (), &[]).await;
    check_docker(|machine| machine.image.user = "0".into(), &[("docker.non_root", Fail)]).await;
    check_docker(|machine| machine.image.user = "node".into(), &[("docker.non_root", Fail)]).await;
    check_docker(|machine| machine.image.user = String::new(), &[("docker.non_root", Fail)]).await;
    check_docker(|machine| machine.image.env.push("JWT_SECRET=hunter2".into()), &[("docker.no_secrets", Fail)]).await;
    check_docker(|machine| machine.image.env.push("JWT_SECRET=".into()), &[]).await;
    check_docker(|machine| machine.in_layers.push("app/.env".into()), &[("docker.no_secrets", Fail)]).await;
    check_docker(
        |machine| machine.started = Started { exit_code: Some(1), log: "ModuleNotFoundError: x".into(), error: String::new() },
        &[("docker.starts", Fail)],
    )
    .await;
    check_docker(
        |machine| machine.started = Started { exit_code: Some(1), log: "connection refused".into(), error: String::new() },
        &[("docker.starts", NotRun)],
    )
    .await;
    check_docker(|machine| machine.started = Started { exit_code: Some(3), log: "no".into(), error: String::new() }, &[("docker.starts", Fail)]).await;
    check_docker(|machine| machine.scan = Ok(2), &[("docker.scan", Fail)]).await;
    check_docker(|machine| machine.scan = Err("no scanner".into()), &[("docker.scan", NotRun)]).await;
    check_docker(|machine| machine.image.size_bytes = 500_000_001, &[("docker.size", Fail)]).await;
    check_docker(|machine| machine.image.size_bytes = 500_000_000, &[]).await;
    check_docker(|machine| machine.on_nodes.push(None), &[("docker.on_node", Fail)]).await;
    check_docker(|machine| machine.on_nodes = vec![Some("sha256:another")], &[("docker.on_node", Fail)]).await;
}

async fn check_registry(change: impl Fn(&mut Machine), expect: &[(&str, Outcome)]) {
    let mut machine = good("api");
    change(&mut machine);
    let mut bench = bench(machine, &survey());
    for step in bench.plan.images.values_mut() {
        step.reference = ImageRef::parse("localhost:5000/todo/api:0123456789ab").unwrap();
    }
    // The second time the image is known, and what the registry and the nodes have is asked again.
    for _ in 0..2 {
        let built = super::containerize::run(&bench.run, &bench.plan, &bench.files, &proof(), &BTreeMap::new()).await.unwrap();
        only(&built.gates, expect);
        let (image, digest) = (built.images.first().unwrap(), built.digests.values().next());
        assert_eq!(digest.is_some(), !expect.contains(&("docker.pushed", Outcome::Fail)));
        assert!(digest.is_none_or(|digest| image.reference.ends_with(&format!("@{digest}"))), "{}", image.reference);
    }
}

#[tokio::test]
async fn an_image_is_pushed_and_pulled_by_every_node_or_the_gate_refuses() {
    use Outcome::{Fail, NotRun};
    check_registry(|_| (), &[]).await;
    check_registry(|machine| machine.pulls = None, &[("docker.pushed", Fail), ("docker.pullable", NotRun)]).await;
    check_registry(|machine| machine.pulls = Some(vec![Ok(ID), Err("connection refused")]), &[("docker.pullable", Fail)]).await;
    check_registry(|machine| machine.pulls = Some(vec![Ok("sha256:another")]), &[("docker.pullable", Fail)]).await;
    check_registry(|machine| machine.pulls = Some(vec![]), &[("docker.pullable", Fail)]).await;
    // Delivered directly, nothing is pushed, and nothing says so.
    check_docker(|machine| machine.pulls = None, &[]).await;
}

async fn check_helm(change: impl Fn(&mut Machine), expect: &[(&str, Outcome)]) {
    let mut machine = good("api");
    change(&mut machine);
    let bench = bench(machine, &survey());
    let chart = bench.run.folders.workspace.join("deploy/charts/api");
    std::fs::create_dir_all(&chart).unwrap();
    std::fs::write(chart.join("values.yaml"), "image: x\n").unwrap();
    let charts = super::chart::run(&bench.run, &bench.plan, &bench.files, Ok(&proof())).await.unwrap();
    only(&charts.gates, expect);
}

#[tokio::test]
async fn every_check_of_the_helm_gate_fails_for_its_own_fault_alone() {
    use Outcome::{Fail, NotRun};
    check_helm(|_| (), &[]).await;
    check_helm(|machine| machine.lints = false, &[("helm.lint", Fail)]).await;
    check_helm(|machine| machine.accepts.push("wrong-type"), &[("helm.schema", Fail)]).await;
    check_helm(|machine| machine.accepts.push("unknown-key"), &[("helm.schema", Fail)]).await;
    let nothing =
        [("helm.renders", Fail), ("helm.policy", NotRun), ("helm.no_secrets", NotRun), ("helm.constitution.non_root", NotRun), ("helm.dry_run", NotRun)];
    check_helm(|machine| machine.manifest = None, &nothing).await;
    let without = |text: &'static str| move |machine: &mut Machine| machine.manifest = Some(GOOD.replace(text, ""));
    check_helm(without("limits: {cpu: 1, memory: 128Mi}"), &[("helm.policy", Fail)]).await;
    let leaks = [("helm.policy", Fail), ("helm.no_secrets", Fail)];
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: api}\ndata: {JWT_SECRET: y}\n";
    check_helm(move |machine| machine.manifest = Some(format!("{GOOD}{map}")), &leaks).await;
    check_helm(|machine| machine.packages = false, &[("helm.packaged", Fail)]).await;
    check_helm(|machine| machine.namespace = false, &[("helm.dry_run", NotRun)]).await;
    check_helm(|machine| machine.refuses = true, &[("helm.dry_run", Fail)]).await;
}

#[tokio::test]
async fn a_principle_that_is_broken_refuses_the_helm_gate() {
    use Outcome::Fail;
    let root = |machine: &mut Machine| machine.manifest = Some(GOOD.replace("runAsNonRoot: true, ", ""));
    check_helm(root, &[("helm.policy", Fail), ("helm.constitution.non_root", Fail)]).await;
}

#[tokio::test]
async fn a_survey_that_is_lost_leaves_the_constitution_unjudged_and_not_kept() {
    let bench = bench(good("api"), &survey());
    std::fs::remove_file(bench.run.folders.operation(&bench.run.id).join("survey.json")).unwrap();
    std::fs::create_dir_all(bench.run.folders.workspace.join("deploy/charts/api")).unwrap();
    std::fs::write(bench.run.folders.workspace.join("deploy/charts/api/values.yaml"), "image: x\n").unwrap();
    let charts = super::chart::run(&bench.run, &bench.plan, &bench.files, Ok(&proof())).await.unwrap();
    only(&charts.gates, &[("helm.constitution", Outcome::NotRun)]);
}

/// What stands in the namespace: a ready pod of every workload, all of one name.
fn observed(blueprint: &Blueprint, ready: bool) -> Observed {
    let pod = |name: &str| {
        json!({
            "metadata": { "name": "pod", "labels": { "app.kubernetes.io/instance": name } },
            "spec": { "containers": [{ "name": "it" }] },
            "status": { "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }] },
        })
    };
    let pods = blueprint.workloads.iter().map(|workload| serde_json::from_value(pod(workload.name.as_str())).unwrap());
    Observed { pods: pods.collect(), ..Observed::default() }
}

async fn check_validation(service: &str, change: impl Fn(&mut Machine), expect: &[(&str, Outcome)]) {
    let mut machine = good(service);
    change(&mut machine);
    let (world, blueprint, config, at) = (machine.world(), blueprint(), config(), proof());
    let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
    let scope = Scope { groups: Vec::new(), services: vec![service.to_owned()], writing: false, window_s: 30 };
    only(&look.validate(&scope, &Silent).await.unwrap().gates, expect);
}

#[tokio::test]
async fn every_check_of_the_validation_gate_fails_for_its_own_fault_alone() {
    use Outcome::{Fail, NotRun};
    check_validation("api", |_| (), &[]).await;
    let broken = [("validation.http", Fail), ("validation.latency", Fail), ("validation.smoke.login", Fail), ("validation.exposed", Fail)];
    check_validation("api", |machine| machine.status = 500, &broken).await;
    let refused = json!({ "error": "ConnectionRefusedError: refused", "elapsed_ms": 3.0 }).to_string();
    check_validation("api", move |machine| machine.inside.clone_from(&refused), &[("validation.inside", Fail)]).await;
    check_validation("api", |machine| machine.environ.retain(|(name, _)| name != "JWT_SECRET"), &[("validation.environment", Fail)]).await;
    check_validation("api", |machine| machine.secrets.push('!'), &[("validation.environment", Fail)]).await;
    check_validation(
        "api",
        |machine| machine.log = "Traceback (most recent call last):\n  File \"a.py\"\nValueError: no\n".into(),
        &[("validation.logs", Fail)],
    )
    .await;
    check_validation("api", |machine| machine.log = "ERROR something small\n".into(), &[]).await;
    check_validation("api", |machine| machine.memory = Some(u64::MAX / 2), &[("validation.metrics", Fail)]).await;
    check_validation("api", |machine| machine.memory = None, &[("validation.metrics", NotRun)]).await;
    check_validation("api", |machine| machine.metrics = "{\"requests\": 4}", &[("validation.exposed", Fail)]).await;
    check_validation("api", |machine| machine.monitor.types = false, &[("validation.alerts", NotRun)]).await;
    check_validation("api", |machine| machine.monitor.prometheuses = 0, &[("validation.alerts", NotRun)]).await;
    check_validation("postgres", |_| (), &[]).await;
    check_validation("postgres", |machine| machine.exits = 1, &[("validation.ready", Fail)]).await;
}

#[tokio::test]
async fn a_script_that_calls_what_no_browser_reaches_is_found_and_refuses_nothing() {
    let gate = async |body: &'static str| {
        let mut machine = good("web");
        machine.body = body.to_owned();
        let (world, blueprint, config, at) = (machine.world(), blueprint(), config(), proof());
        let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
        let scope = Scope { groups: vec![CheckGroup::Reachability], services: vec!["web".to_owned()], writing: false, window_s: 30 };
        look.validate(&scope, &Silent).await.unwrap().gates.remove(0)
    };
    let browser = |gate: &Gate| gate.checks.iter().find(|check| check.id == "validation.browser").cloned().unwrap();
    let bad = gate("<script src=\"/main.js\"></script> fetch(\"http://api:8000/x\")").await;
    assert_eq!((browser(&bad).outcome, bad.verdict), (Outcome::Fail, Verdict::Pass), "{bad:?}");
    assert!(browser(&bad).reason.contains("http://api:8000"), "{bad:?}");
    let good = gate("<script src=\"/main.js\"></script> fetch(\"/api/x\"), \"https://cdn.example.org\"").await;
    assert_eq!(browser(&good).outcome, Outcome::Pass, "{good:?}");
    assert_eq!(browser(&gate("no script").await).outcome, Outcome::NotRun);
}

#[tokio::test]
async fn what_is_offered_outside_is_asked_from_this_machine() {
    let check = async |status: u16, ip: &str, expose: Expose| {
        let machine = Machine { status, ..good("web") };
        let world = machine.world();
        let forward = world.cluster.forward(&proof(), &blueprint().namespace, "pod", 80).await.unwrap();
        let (mut blueprint, config, mut at) = (blueprint(), config(), proof());
        blueprint.workloads.iter_mut().filter(|one| one.name.as_str() == "web").for_each(|web| web.expose = expose);
        at.profile.nodes = vec![crate::ports::Node { name: "dev".into(), ip: ip.to_owned(), port: 8443, control_plane: true }];
        let mut observed = observed(&blueprint, true);
        let service = json!({ "metadata": { "name": "web" }, "spec": { "ports": [{ "port": 80, "nodePort": forward.local.port() }] } });
        observed.services = vec![serde_json::from_value(service).unwrap()];
        let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed };
        let scope = Scope { groups: vec![CheckGroup::Reachability], services: vec!["web".to_owned()], writing: false, window_s: 30 };
        let gate = look.validate(&scope, &Silent).await.unwrap().gates.remove(0);
        gate.checks.into_iter().find(|check| check.id == "validation.outside").map(|check| check.outcome)
    };
    assert_eq!(check(200, "127.0.0.1", Expose::NodePort).await, Some(Outcome::Pass));
    assert_eq!(check(503, "127.0.0.1", Expose::NodePort).await, Some(Outcome::Fail));
    assert_eq!(check(200, "no address", Expose::NodePort).await, Some(Outcome::NotRun));
    assert_eq!(check(200, "127.0.0.1", Expose::Cluster).await, None);
}

#[tokio::test]
async fn a_latency_budget_at_a_rate_is_judged_by_the_requests_of_that_rate() {
    let check = async |status: u16| {
        let (world, blueprint, at) = (Machine { status, ..good("api") }.world(), blueprint(), proof());
        let config = Config::parse("schema = 1\n[gates]\nlatency_p95_ms = 30000\nlatency_rate_per_s = 20\nlatency_for_s = 1\n").unwrap();
        let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
        let scope = Scope { groups: vec![CheckGroup::Reachability], services: vec!["api".to_owned()], writing: false, window_s: 30 };
        let gate = look.validate(&scope, &Silent).await.unwrap().gates.remove(0);
        gate.checks.into_iter().find(|check| check.id == "validation.latency").unwrap()
    };
    let good = check(200).await;
    assert!(good.outcome == Outcome::Pass && good.probed.contains("20 a second") && good.evidence[0].text.starts_with("20 requests, 0 errors"), "{good:?}");
    let bad = check(500).await;
    assert!(bad.outcome == Outcome::Fail && bad.reason.starts_with("20 of 20"), "{bad:?}");
}

#[tokio::test]
async fn a_key_that_no_service_uses_is_named() {
    let (blueprint, config, at) = (blueprint(), config(), proof());
    let world = good("api").world();
    let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
    let advice = look.unused_keys().await;
    assert!(advice.iter().any(|line| line.starts_with("Secret postgres-credentials holds LEFT_OVER,")), "{advice:?}");
    let left = |machine: &mut Machine| machine.keyed = vec![keyed(KeyedKind::ConfigMap, "api", Some("api"), &["LEFT_OVER"])];
    check_validation("api", left, &[("validation.keys", Outcome::Fail)]).await;
}

/// What a refused gate of `api` is said to come from, where a caller's request ends with this error in a namespace that shows this as well.
async fn causes_of(error: &str, change: impl Fn(&mut Observed)) -> Vec<String> {
    let inside = json!({ "error": error, "elapsed_ms": 3.0 }).to_string();
    let (blueprint, config, at) = (blueprint(), config(), proof());
    let world = Machine { inside, ..good("api") }.world();
    let mut observed = observed(&blueprint, true);
    change(&mut observed);
    let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed };
    let scope = Scope { groups: Vec::new(), services: vec!["api".to_owned()], writing: false, window_s: 30 };
    look.validate(&scope, &Silent).await.unwrap().causes().into_iter().map(|cause| cause.code).collect()
}

#[tokio::test]
async fn a_request_without_an_answer_is_named_by_what_is_between() {
    let served = |observed: &mut Observed| {
        let slice = json!({ "metadata": { "name": "s", "labels": { "kubernetes.io/service-name": "api" } }, "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.1"] }] });
        observed.endpoint_slices = vec![serde_json::from_value(slice).unwrap()];
    };
    let closed = |observed: &mut Observed| {
        served(observed);
        let policy = json!({ "metadata": { "name": "deny-all" }, "spec": { "podSelector": {}, "policyTypes": ["Ingress"] } });
        observed.policies = vec![serde_json::from_value(policy).unwrap()];
    };
    assert_eq!(causes_of("ConnectionRefusedError: [Errno 111]", served).await, ["SVC_WRONG_PORT"]);
    assert_eq!(causes_of("ConnectionRefusedError: [Errno 111]", |_| ()).await, ["VALIDATION_FAILED"], "its Service has no pod to lead to");
    assert_eq!(causes_of("TimeoutError: timed out", closed).await, ["NETPOL_BLOCK"]);
    assert_eq!(causes_of("TimeoutError: timed out", served).await, ["VALIDATION_FAILED"], "no policy is between");
    assert_eq!(causes_of("gaierror: [Errno -2] Name or service not known", closed).await, ["VALIDATION_FAILED"]);
}

#[tokio::test]
async fn every_check_of_an_mcp_server_fails_for_its_own_fault_alone() {
    use Outcome::{Fail, NotRun};
    check_validation("mcp", |_| (), &[]).await;
    check_validation("mcp", |machine| machine.tools = None, &[("validation.mcp_handshake", Fail)]).await;
    check_validation("mcp", |machine| machine.tools = Some(vec!["list_notes"]), &[("validation.mcp_tools", Fail)]).await;
    check_validation("mcp", |machine| machine.tools = Some(vec![]), &[("validation.mcp_tools", Fail), ("validation.mcp_call", NotRun)]).await;
    check_validation("mcp", |machine| machine.tool_fails = true, &[("validation.mcp_call", Fail)]).await;
    check_validation("mcp", |machine| machine.structured = Some(json!({ "counted": 0 })), &[("validation.mcp_schema", Fail)]).await;
    check_validation("mcp", |machine| machine.structured = None, &[("validation.mcp_schema", Fail)]).await;
    check_validation("mcp", |machine| (machine.output_schema, machine.structured) = (serde_json::Value::Null, None), &[]).await;
    check_validation("mcp", |machine| machine.tools = Some(vec!["add_note"]), &[("validation.mcp_call", NotRun)]).await;
    let other = json!({ "status": 200, "content_type": "text/html", "body": "hello", "elapsed_ms": 3.0 }).to_string();
    check_validation("mcp", move |machine| machine.inside.clone_from(&other), &[("validation.mcp_from_caller", Fail)]).await;
}

fn named_in_a_spec(names: &[&str]) -> Vec<crate::survey::SpecTool> {
    let tool = |name: &&str| crate::survey::SpecTool { name: (*name).to_owned(), evidence: Place::new("specs/001-x/spec.md", 3, name) };
    names.iter().map(tool).collect()
}

/// What the comparison of a server that lists `list_notes` and `add_note` with these names of a spec comes to; `elsewhere`: a tool of another server.
async fn check_specified(names: &[&str], elsewhere: Option<&str>, expect: Option<(Outcome, &str)>) {
    let (world, mut blueprint, config, at) = (good("mcp").world(), blueprint(), config(), proof());
    let other = blueprint.workloads.iter().find_map(|workload| workload.mcp.clone()).unwrap();
    if let Some(tool) = elsewhere {
        let api = blueprint.workloads.iter_mut().find(|workload| workload.name.as_str() == "api").unwrap();
        api.mcp = Some(crate::survey::Mcp { tools: vec![tool.to_owned()], ..other });
    }
    let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
    let calls = super::mcp::Calls { specified: named_in_a_spec(names), ..Default::default() };
    let met = look.mcp(blueprint.workload("mcp").unwrap(), "pod", None, &calls).await;
    let found = met.checks.iter().find(|check| check.id == "validation.mcp_spec");
    let told = |check: &crate::evidence::Check| {
        format!("{} {}", check.reason, check.evidence.iter().map(|seen| format!("{} {}", seen.at, seen.text)).collect::<String>())
    };
    match (found, expect) {
        (Some(check), Some((outcome, says))) => assert!(check.outcome == outcome && check.required && told(check).contains(says), "{check:?}"),
        (found, expect) => assert!(found.is_none() && expect.is_none(), "{found:?}"),
    }
    assert!(met.tools.iter().all(|tool| tool.in_spec == names.contains(&tool.name.as_str())), "{:?}", met.tools);
}

#[tokio::test]
async fn what_a_server_lists_is_compared_with_what_the_specs_name() {
    check_specified(&[], None, None).await;
    check_specified(&["add_note", "list_notes"], None, Some((Outcome::Pass, "2 of 2"))).await;
    check_specified(&["list_notes"], None, Some((Outcome::Pass, "in no spec: add_note"))).await;
    check_specified(&["list_notes", "drop_note"], None, Some((Outcome::Fail, "not listed: drop_note"))).await;
    check_specified(&["list_notes", "drop_note"], None, Some((Outcome::Fail, "specs/001-x/spec.md:3"))).await;
    check_specified(&["list_notes", "drop_note"], Some("drop_note"), Some((Outcome::Pass, "1 of 1"))).await;
    check_specified(&["drop_note"], Some("drop_note"), None).await;
}

async fn check_stdio(change: impl Fn(&mut Machine), expect: &[(&str, Outcome)]) {
    let mut machine = good("api");
    machine.inside = json!({
        "name": "tasks", "version": "1", "protocol": "2025-06-18",
        "tools": [{ "name": "list_tasks", "read_only": true, "output_schema": { "type": "object", "required": ["rows"] } }, { "name": "add_task" }],
        "calls": [{ "is_error": false, "text": "none", "structured": { "rows": [] }, "ms": 4 }],
    })
    .to_string();
    change(&mut machine);
    let (world, blueprint, config, at) = (machine.world(), blueprint(), config(), proof());
    let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
    let (workload, ways) = super::stdio::host(&blueprint, &Place::file("api/tools/server.py")).unwrap();
    assert_eq!((workload.name.as_str(), &ways[0], &ways[1]), ("api", &vec!["-m".to_owned(), "tools.server".to_owned()], &vec!["tools/server.py".to_owned()]));
    let calls = super::mcp::Calls { specified: named_in_a_spec(&["list_tasks"]), ..Default::default() };
    let super::mcp::Met { checks, server, tools } = look.mcp_stdio(workload, &ways, &calls).await;
    if expect.is_empty() {
        let called: Vec<_> = tools.iter().map(|tool| (tool.name.as_str(), tool.called)).collect();
        assert_eq!(called, [("list_tasks", true), ("add_task", false)]);
        assert_eq!(server.unwrap().path, "stdio");
    }
    only(&[Gate::judge(crate::evidence::GateName::Validation, "api", checks)], expect);
}

#[tokio::test]
async fn an_mcp_server_over_stdio_is_proven_where_its_caller_starts_it() {
    use Outcome::{Fail, NotRun};
    check_stdio(|_| (), &[]).await;
    let mute = json!({ "error": "it ended before it answered initialize: no database" }).to_string();
    check_stdio(move |machine| machine.inside.clone_from(&mute), &[("validation.mcp_handshake", Fail)]).await;
    check_stdio(|machine| machine.inside.clear(), &[("validation.mcp_handshake", NotRun)]).await;
    check_stdio(|machine| machine.inside = machine.inside.replace("\"is_error\":false", "\"is_error\":true"), &[("validation.mcp_call", Fail)]).await;
    check_stdio(|machine| machine.inside = machine.inside.replace("\"structured\":{\"rows\":[]}", "\"structured\":{}"), &[("validation.mcp_schema", Fail)])
        .await;
    check_stdio(|machine| machine.inside = machine.inside.replace("\"name\":\"list_tasks\"", "\"name\":\"list_all\""), &[("validation.mcp_spec", Fail)]).await;
    check_stdio(|machine| machine.inside = machine.inside.replace(",\"read_only\":true", ""), &[("validation.mcp_call", NotRun)]).await;
    let none = json!({ "name": "tasks", "version": "1", "protocol": "2025-06-18", "tools": [] }).to_string();
    check_stdio(
        move |machine| machine.inside.clone_from(&none),
        &[("validation.mcp_tools", Fail), ("validation.mcp_spec", Fail), ("validation.mcp_call", NotRun)],
    )
    .await;
}

#[test]
fn what_is_only_called_mcp_is_refused_with_what_shows_it() {
    let check = super::stdio::unserved(crate::survey::McpShape::NameOnly, &[Place::new("backend/mcp/tools.py", 1, "def add_task")]);
    assert_eq!((check.outcome, check.evidence[0].at.as_str()), (Outcome::Fail, "backend/mcp/tools.py:1"));
    assert!(check.reason.contains("called MCP"), "{check:?}");
}

const SAID: &str = "{\"offered\": [\"add_note\", \"list_notes\"], \"called\": \"add_note\", \"arguments\": {\"title\": \"t\"}}\n{\"result\": \"added\"}\n";

/// A chat message to this service, on a machine where its model said `SAID`.
async fn check_chat(service: &str, chat: &str, change: impl Fn(&mut Machine), expect: &[(&str, Outcome)]) -> String {
    let mut machine = Machine { log: SAID.into(), ..good(service) };
    change(&mut machine);
    let pods = Arc::clone(&machine.pods);
    let bench = bench(machine, &survey());
    let steps = "[{ post = \"/chat\", json = '{\"message\": \"{unique}\"}', expect = 200 }, { get = \"/notes\", expect = 200, contains = \"ok\" }]";
    let text = format!("schema = 1\n[[smoke]]\nname = \"chat\"\nservice = \"{service}\"\nwrites = true\nchat = \"{chat}\"\nsteps = {steps}\n");
    let (blueprint, config, at) = (blueprint(), Config::parse(&text).unwrap(), proof());
    let look = Look { world: &bench.run.world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
    let smoke = look.chat_test().await.unwrap();
    let proven = look.chat(&bench.run, &smoke, &["add_note".into(), "list_notes".into()]).await.unwrap();
    assert!(pods.lock().unwrap().is_empty(), "what was started is gone");
    let effects = bench.run.state().effects.len();
    assert_eq!(effects, usize::from(chat == "scripted" && service != "docs"), "the journal knows of the pod");
    let told = format!("{:?}", proven.checks);
    only(&[Gate::judge(crate::evidence::GateName::Validation, service, proven.checks)], expect);
    told
}

#[tokio::test]
async fn a_chat_message_is_proven_by_the_call_of_a_tool_and_by_what_it_changed() {
    use Outcome::{Fail, NotRun};
    let told = check_chat("api", "scripted", |_| (), &[]).await;
    assert!(told.contains("scripted model") && told.contains("called add_note") && told.contains("GET /notes: 200"), "{told}");
    check_chat("api", "scripted", |machine| machine.status = 502, &[("validation.mcp_chat", Fail)]).await;
    let told = check_chat("api", "scripted", |machine| machine.log.clear(), &[("validation.mcp_chat", Fail)]).await;
    assert!(told.contains("no model was asked"), "{told}");
    let only_lists = "{\"offered\": [\"list_notes\"]}\n";
    let fewer = [("validation.mcp_chat", Fail), ("validation.mcp_offered", Fail)];
    check_chat("api", "scripted", |machine| machine.log = only_lists.into(), &fewer).await;
    let silent = SAID.lines().next().unwrap();
    check_chat("api", "scripted", |machine| machine.log = silent.into(), &[("validation.mcp_chat", Fail)]).await;
    check_chat("api", "scripted", |machine| machine.log = SAID.replace("\"add_note\", \"list", "\"add_note\", \"read"), &[("validation.mcp_offered", Fail)])
        .await;
    check_chat("api", "scripted", |machine| machine.exits = 3, &[("validation.mcp_chat", NotRun)]).await;
    check_chat("api", "scripted", |machine| machine.refuses = true, &[("validation.mcp_chat", NotRun)]).await;
    check_chat("web", "scripted", |_| (), &[]).await;
    check_chat("docs", "scripted", |_| (), &[("validation.mcp_chat", NotRun)]).await;
}

#[tokio::test]
async fn the_apps_own_model_is_asked_where_landfall_toml_says_so() {
    let told = check_chat("api", "own", |machine| machine.log.clear(), &[]).await;
    assert!(told.contains("its own model"), "{told}");
    check_chat("api", "own", |machine| machine.status = 503, &[("validation.mcp_chat", Outcome::Fail)]).await;
}

#[tokio::test]
async fn without_a_chat_test_or_a_description_nothing_is_sent() {
    let (world, blueprint, config, at) = (good("api").world(), blueprint(), config(), proof());
    let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, true) };
    let failure = look.chat_test().await.unwrap_err();
    assert!(failure.code == Code::NotSupported && failure.help.contains("chat = \"scripted\""), "{failure:?}");
}

#[tokio::test]
async fn a_service_without_a_ready_pod_is_refused_and_not_passed_over() {
    let (world, blueprint, config, at) = (good("api").world(), blueprint(), config(), proof());
    let look = Look { world: &world, at: &at, blueprint: &blueprint, config: &config, observed: observed(&blueprint, false) };
    let scope = Scope { groups: Vec::new(), services: vec!["api".to_owned()], writing: false, window_s: 30 };
    let gates = look.validate(&scope, &Silent).await.unwrap().gates;
    only(&gates, &[("validation.http", Outcome::Fail)]);
}

#[test]
fn a_failures_class_follows_its_own_words_then_whose_move_it_is() {
    let check = |code: Code, cause: &str, expect: (&str, Class)| {
        let (name, class) = class_of(&Failure::new(code, "install stock").cause(cause));
        assert_eq!((name.as_str(), class), expect, "{code} {cause}");
    };
    check(Code::HelmFailed, "pods \"a\" is forbidden: exceeded quota: small", ("QUOTA_EXCEEDED", Class::ClusterEscalate));
    check(Code::HelmFailed, "etcdserver: request timed out", ("API_THROTTLE_ETCD", Class::Transient));
    check(Code::HelmFailed, "something new", ("HELM_FAILED", Class::AppSelfResolve));
    check(Code::HelmPending, "", ("HELM_PENDING", Class::HelmState));
    check(Code::EngineUnreachable, "", ("ENGINE_UNREACHABLE", Class::Transient));
    check(Code::ProgramMissing, "", ("PROGRAM_MISSING", Class::ClusterEscalate));
    check(Code::BuildFailed, "", ("BUILD_FAILED", Class::AppSelfResolve));
    check(Code::ValueNeeded, "", ("VALUE_NEEDED", Class::AppNeedsValue));
    check(Code::ClusterUnreachable, "", ("CLUSTER_UNREACHABLE", Class::ClusterEscalate));
    check(Code::Internal, "", ("INTERNAL", Class::Unknown));
}
