//! The engine in a world of its own: what is tried again, what is asked for, and what is left to a person; no cluster and no program takes part.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "engine/world.rs"]
mod world;

#[path = "engine/advice.rs"]
mod advice;

#[path = "cluster/folder.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests on the cluster")]
mod folder;

use futures::StreamExt as _;
use landfall::ask;
use landfall::config::ApprovalMode;
use landfall::evidence::{Course, Outcome, Verdict};
use landfall::failure::{Code, Failure};
use landfall::journal::{self, Event, Record};
use landfall::landfall::{Landfall, Setup};
use landfall::names::OperationId;
use landfall::reply::{NextCall, OperationState, Reply, Status};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;
use world::Fake;

/// A copy of the small app, and the engine over a fake world.
struct House {
    folder: tempfile::TempDir,
    fake: Fake,
    landfall: Landfall,
}

/// How an operation ended, with every event of its journal.
struct Ended {
    reply: Reply,
    records: Vec<Record>,
}

impl House {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = folder.path().join("app");
        std::fs::create_dir(&app).unwrap();
        folder::copy(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/apps/shop"), &app);
        let fake = Fake::new();
        // The worker is run by the test itself; what is started in its place only says so.
        let program = folder.path().join("worker");
        std::fs::write(&program, format!("#!/bin/sh\n: > {}/started-$3\n", folder.path().display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let setup = Setup { state: folder.path().join("state"), roots: vec![], approval: ApprovalMode::Client, program, plan_only: false };
        Self { landfall: Landfall::new(fake.world(), setup), fake, folder }
    }

    /// An app that answers, behind gates that do not wait.
    fn quick() -> Self {
        let house = Self::new();
        house.edit("landfall.toml", "window_s = 2", "window_s = 0");
        house.fake.answers();
        house
    }

    fn edit(&self, file: &str, from: &str, to: &str) {
        let path = self.app().join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{file} has no {from}");
        std::fs::write(path, text.replacen(from, to, 1)).unwrap();
    }

    /// Another value of a setting of each service, so that the next deploy changes both.
    fn change(&self) {
        self.edit("landfall.toml", "in stock", "on the shelf");
        self.edit("landfall.toml", "http://stock:8000", "http://stock:8000/");
    }

    fn app(&self) -> PathBuf {
        self.folder.path().join("app")
    }

    fn operations(&self) -> Vec<OperationId> {
        let folder = self.app().join(".landfall/operations");
        let names = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut all: Vec<_> = names.filter_map(|name| OperationId::parse(name).ok()).collect();
        all.sort();
        all
    }

    /// Runs the next operation that is begun beside these, as its worker would.
    async fn work(&self, before: Vec<OperationId>) -> OperationId {
        loop {
            let fresh = self.operations().into_iter().find(|id| !before.contains(id));
            if let Some(id) = fresh.filter(|id| self.folder.path().join(format!("started-{id}")).exists()) {
                self.landfall.run_operation(&self.app(), &id).await.unwrap();
                return id;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Runs the next operation that is begun as a worker that dies at this moment, in a task of its own; its state where it came to its end.
    async fn work_until(&self, before: Vec<OperationId>, moment: Option<usize>) -> (OperationId, Option<OperationState>) {
        loop {
            let fresh = self.operations().into_iter().find(|id| !before.contains(id));
            if let Some(id) = fresh.filter(|id| self.folder.path().join(format!("started-{id}")).exists()) {
                self.fake.dies_at(moment);
                return (id.clone(), self.worker(&id).await);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A worker for this operation; none where it died.
    async fn worker(&self, id: &OperationId) -> Option<OperationState> {
        let (landfall, app, id) = (self.landfall.clone(), self.app(), id.clone());
        let ran = tokio::spawn(world::WORKER.scope((), async move { landfall.run_operation(&app, &id).await })).await;
        ran.ok().map(Result::unwrap)
    }

    /// Asks for it, approves where that is needed, and runs its worker up to this moment.
    async fn begin(&self, what: What, moment: Option<usize>) -> (OperationId, Option<OperationState>) {
        let before = self.operations();
        let mut ask = json!({ "workspace": self.app(), "profile": "fake" });
        if what == What::Deploy {
            ask["secrets"] = json!(["SIGNING_SECRET=generate"]);
        }
        if what != What::Containerize {
            ask["approval"] = json!(self.call(what, &ask).await.unwrap().approval.unwrap().token);
        }
        // A worker that dies before its first line has not begun, and the call says so.
        let (_, worked) = tokio::join!(self.call(what, &ask), self.work_until(before, moment));
        worked
    }

    async fn call(&self, what: What, ask: &Value) -> Result<Reply, Failure> {
        fn typed<T: serde::de::DeserializeOwned>(ask: &Value) -> T {
            serde_json::from_value(ask.clone()).unwrap()
        }
        match what {
            What::Containerize => self.landfall.containerize(&typed(ask)).await.map(|done| done.reply),
            What::Deploy => self.landfall.deploy(&typed(ask)).await.map(|done| done.reply),
            What::Rollback => self.landfall.rollback(&typed(ask)).await.map(|done| done.reply),
        }
    }

    /// Files of the workspace, without what Landfall keeps for itself.
    fn files(&self) -> Vec<PathBuf> {
        let all = folder::files(&self.app()).into_iter().map(|(path, _)| path.strip_prefix(self.app()).unwrap().to_owned());
        all.filter(|path| !path.starts_with(".landfall")).collect()
    }

    /// A deploy up to the kubernetes gate, approved, to its end.
    async fn deploy(&self) -> Ended {
        self.deploy_through("deploy").await
    }

    async fn deploy_through(&self, through: &str) -> Ended {
        // Ids are made of seconds.
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        let mut ask: ask::Deploy =
            serde_json::from_value(json!({ "workspace": self.app(), "profile": "fake", "through": through, "secrets": ["SIGNING_SECRET=generate"] })).unwrap();
        let asked = self.landfall.deploy(&ask).await.unwrap().reply;
        assert_eq!(asked.status, Status::ApprovalNeeded, "{}", asked.summary);
        ask.approval = asked.approval.unwrap().token;
        let (begun, id) = tokio::join!(self.landfall.deploy(&ask), self.work(self.operations()));
        begun.unwrap();
        self.ended(&id).await
    }

    async fn ended(&self, id: &OperationId) -> Ended {
        let ask: ask::OperationStatus = serde_json::from_value(json!({ "workspace": self.app(), "operation": id, "wait_s": 0.0 })).unwrap();
        let reply = self.landfall.status(&ask).await.unwrap().reply;
        let records = journal::read(&self.app().join(".landfall/operations").join(id.as_str())).unwrap();
        Ended { reply, records }
    }
}

/// What a worker can be killed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Containerize,
    Deploy,
    Rollback,
}

impl Ended {
    fn state(&self) -> OperationState {
        self.reply.operation.as_ref().unwrap().state
    }

    /// Code and course of every decision, in order.
    fn courses(&self) -> Vec<(String, Course)> {
        let each = |record: &Record| match &record.event {
            Event::RetryDecided { code: Some(code), course: Some(course), rule, .. } => {
                assert!(rule.len() > 20, "a decision without its rule: {rule}");
                Some((code.clone(), *course))
            }
            _ => None,
        };
        self.records.iter().filter_map(each).collect()
    }

    fn next(&self) -> Vec<&str> {
        self.reply.next.iter().map(|call: &NextCall| call.tool.as_str()).collect()
    }
}

fn of(code: &str, course: Course) -> (String, Course) {
    (code.to_owned(), course)
}

#[tokio::test]
async fn a_deploy_goes_through() {
    let house = House::new();
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Succeeded, "{}", ended.reply.summary);
    assert!(ended.courses().is_empty(), "{:?}", ended.courses());
    assert_eq!((house.fake.count("apply"), house.fake.count("build")), (2, 2));
}

#[tokio::test]
async fn what_passes_by_itself_is_tried_again_at_most_twice() {
    let pending = Failure::new(Code::HelmPending, "revision 1 of stock is pending-install");
    for (times, state) in [(1, OperationState::Succeeded), (2, OperationState::Succeeded), (9, OperationState::Refused)] {
        let house = House::new();
        house.fake.fails("apply", times, &pending);
        let ended = house.deploy().await;
        assert_eq!(ended.state(), state, "{times}: {}", ended.reply.summary);
        let again = ended.courses().iter().filter(|(code, course)| code == "HELM_PENDING" && *course == Course::Again).count();
        if state == OperationState::Succeeded {
            assert_eq!((again, house.fake.count("apply")), (times, 2 + times), "{times}");
        } else {
            assert_eq!(house.fake.count("apply stock"), 3, "three tries and no more");
            assert_eq!(ended.courses().last(), Some(&of("HELM_PENDING", Course::Escalate)));
            assert!(ended.reply.summary.contains("a person is needed"), "{}", ended.reply.summary);
        }
    }
}

#[tokio::test]
async fn an_engine_that_was_away_for_a_moment_builds_after_all() {
    let house = House::new();
    house.fake.fails("build", 2, &Failure::new(Code::EngineUnreachable, "the engine does not answer"));
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Succeeded, "{}", ended.reply.summary);
    assert_eq!(ended.courses(), [of("ENGINE_UNREACHABLE", Course::Again), of("ENGINE_UNREACHABLE", Course::Again)]);
}

#[tokio::test]
async fn a_cluster_at_fault_is_left_to_a_person_at_once() {
    for failure in [
        Failure::new(Code::ClusterRefused, "no room").cause("pods \"a\" is forbidden: exceeded quota: small, requested: pods=1"),
        Failure::new(Code::HelmFailed, "install stock").cause("Kubernetes cluster unreachable: dial tcp 127.0.0.1:1: connection refused"),
        Failure::new(Code::ClusterRefused, "read the namespace: the API server refused"),
    ] {
        let house = House::new();
        house.fake.fails("apply", 9, &failure);
        let ended = house.deploy().await;
        assert_eq!(ended.state(), OperationState::Refused, "{}", ended.reply.summary);
        assert_eq!(house.fake.count("apply stock"), 1, "nothing is tried again: {failure}");
        assert!(ended.courses().iter().all(|(_, course)| *course == Course::Escalate) && !ended.courses().is_empty(), "{:?}", ended.courses());
        assert!(ended.next().contains(&"deployment_report"), "{:?}", ended.next());
        assert_eq!(house.fake.count("uninstall"), 0, "a cluster at fault is no reason to take anything back");
    }
}

#[tokio::test]
async fn an_application_at_fault_is_changed_then_generated_anew_then_left_to_a_person() {
    let house = House::new();
    let broken = Failure::new(Code::BuildFailed, "step 4 of 7 failed").cause("SyntaxError: invalid syntax");
    house.fake.fails("build", 5, &broken);
    let expected = [Course::Change, Course::Change, Course::Regenerate, Course::Escalate];
    for (round, course) in expected.into_iter().enumerate() {
        let ended = house.deploy().await;
        assert_eq!(ended.state(), OperationState::Failed, "{}", ended.reply.summary);
        assert_eq!(ended.courses(), [of("BUILD_FAILED", course)], "round {round}");
        assert_eq!(house.fake.count("build"), round + 1, "what cannot heal is not tried again");
        assert_eq!(ended.next().contains(&"containerize"), course == Course::Regenerate, "{:?}", ended.next());
        assert_eq!(ended.next().contains(&"deployment_report"), course == Course::Escalate, "{:?}", ended.next());
    }
    let ended = house.deploy().await;
    assert_eq!(ended.courses(), [of("BUILD_FAILED", Course::Escalate)], "the fifth of its kind");
    // Another failure begins its own count.
    house.fake.fails("apply", 1, &Failure::new(Code::HelmFailed, "install stock").cause("Service \"stock\" is invalid: spec.ports: Required value"));
    let ended = house.deploy().await;
    assert_eq!(ended.courses(), [of("API_VALIDATION", Course::Change)]);
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Succeeded, "{}", ended.reply.summary);
}

#[tokio::test]
async fn a_chart_without_objects_is_not_deployed() {
    let house = House::new();
    house.fake.renders(world::MANIFEST);
    let ended = house.deploy().await;
    let dry_runs = |ended: &Ended| {
        let gates = ended.records.iter().filter_map(|record| match &record.event {
            Event::GateJudged { gate } => Some(gate.clone()),
            _ => None,
        });
        gates
            .flat_map(|gate| gate.checks.into_iter().map(move |check| (gate.verdict, check)))
            .filter(|(_, check)| check.id == "helm.dry_run")
            .collect::<Vec<_>>()
    };
    assert!(dry_runs(&ended).iter().any(|(verdict, check)| *verdict == Verdict::Pass && check.outcome == Outcome::Pass));

    let house = House::new();
    // Its first half is judged as a whole chart is; between the chart stage and the deploy it loses its objects.
    house.fake.empties_after_the_chart_stage();
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Refused, "{}", ended.reply.summary);
    let last = dry_runs(&ended);
    let (verdict, check) = last.last().unwrap();
    assert_eq!((*verdict, check.outcome), (Verdict::Refused, Outcome::NotRun), "{check:?}");
    assert!(check.reason.contains("holds no object"), "{check:?}");
    assert_eq!(house.fake.count("apply"), 0, "nothing was installed");
}

#[tokio::test]
async fn a_validation_that_the_cluster_keeps_from_asking_is_not_the_apps_fault() {
    let house = House::new();
    let gone = Failure::new(Code::ClusterUnreachable, "forward a port: no answer within 5 s; it last answered 5 s ago");
    for what in ["forward", "exec", "version"] {
        house.fake.fails(what, 99, &gone);
    }
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Refused, "{}", ended.reply.summary);
    assert!(ended.reply.summary.contains("held, because the cluster is at fault"), "{}", ended.reply.summary);
    assert_eq!(house.fake.count("uninstall"), 0);
    assert_eq!(ended.courses(), [of("CLUSTER_UNREACHABLE", Course::Escalate)]);
    let failed = ended.reply.gates.iter().flat_map(|gate| &gate.checks).filter(|check| check.outcome == Outcome::Fail).count();
    assert_eq!(failed, 0, "nothing was asked of the app, so nothing failed");

    // The same cluster answers for itself: then it is the app.
    let house = House::new();
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Refused, "{}", ended.reply.summary);
    assert_eq!(house.fake.count("uninstall"), 2, "{}", ended.reply.summary);
    assert_eq!(ended.courses(), [of("validation.http", Course::Change)]);
}

#[tokio::test]
async fn every_event_can_be_read_on_from_the_last_one_seen() {
    let house = House::new();
    let ended = house.deploy().await;
    let all = ended.records.len();
    assert!(all > 30, "{all} events are too few for two pages");
    let mut seen = Vec::new();
    let mut after = json!(0);
    for _ in 0..10 {
        let ask: ask::OperationStatus = serde_json::from_value(json!({ "workspace": house.app(), "after": after, "wait_s": 0.0 })).unwrap();
        let page = house.landfall.status(&ask).await.unwrap();
        assert!(page.more.events.len() <= 30);
        seen.extend(page.more.events.iter().map(|event| event.n));
        match page.reply.next.iter().find(|call| call.tool == "operation_status") {
            Some(next) => after = next.arguments["after"].clone(),
            None => break,
        }
    }
    let expected: Vec<u64> = ended.records.iter().map(|record| record.n).collect();
    assert_eq!(seen, expected, "no event twice, none left out");
    // Whoever names no event sees the newest.
    let ask: ask::OperationStatus = serde_json::from_value(json!({ "workspace": house.app(), "wait_s": 0.0 })).unwrap();
    let newest = house.landfall.status(&ask).await.unwrap().more.events;
    assert_eq!((newest.len(), newest.last().map(|event| event.n)), (30, expected.last().copied()));
}

#[tokio::test]
async fn a_cancel_while_charts_are_judged_is_a_cancel() {
    let house = House::new();
    house.fake.slow(Duration::from_secs(20));
    let begin = async {
        let ask: ask::GenerateChart = serde_json::from_value(json!({ "workspace": house.app(), "profile": "fake" })).unwrap();
        house.landfall.generate_chart(&ask).await.unwrap()
    };
    let cancel = async {
        while house.operations().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
        let ask: ask::CancelOperation = serde_json::from_value(json!({ "workspace": house.app() })).unwrap();
        let asked = std::time::Instant::now();
        house.landfall.cancel(&ask).await.unwrap();
        asked.elapsed()
    };
    let (_, took, id) = tokio::join!(begin, cancel, house.work(Vec::new()));
    let ended = house.ended(&id).await;
    assert_eq!(ended.state(), OperationState::Cancelled, "{}", ended.reply.summary);
    assert!(took < Duration::from_secs(15), "the charts' twenty seconds are not waited for: {took:?}");
    assert!(!house.app().join("deploy/charts").exists(), "what was written is taken back");
}

/// What a deploy asks an approval for.
async fn planned(house: &House) -> Vec<String> {
    let ask: ask::Deploy = serde_json::from_value(json!({ "workspace": house.app(), "profile": "fake", "secrets": ["SIGNING_SECRET=generate"] })).unwrap();
    house.landfall.deploy(&ask).await.unwrap().reply.approval.unwrap().summary
}

#[tokio::test]
async fn metrics_server_is_switched_on_where_it_is_off_and_a_person_did_not_say_no() {
    let enables = |lines: &[String]| lines.iter().any(|line| line.contains("enable the Minikube addon metrics-server"));
    let house = House::quick();
    assert!(!enables(&planned(&house).await), "it is on");
    house.fake.lacks_addon("metrics-server");
    assert!(enables(&planned(&house).await));
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Succeeded, "{}", ended.reply.summary);
    assert_eq!((house.fake.addons(), house.fake.count("enable")), (vec!["metrics-server".to_owned()], 1));
    // Somebody switches it off again: then that alone is a plan, unless landfall.toml says that it shall be off.
    house.fake.lacks_addon("metrics-server");
    assert_eq!(planned(&house).await.len(), 1);
    house.edit("landfall.toml", "[gates]", "[cluster]\nmetrics_server = false\n\n[gates]");
    house.change();
    assert!(!enables(&planned(&house).await));
}

#[tokio::test]
async fn an_app_is_deployed_without_metrics_where_metrics_server_cannot_be_had() {
    let house = House::quick();
    house.fake.lacks_addon("metrics-server");
    house.fake.fails("enable", 1, &Failure::new(Code::ProgramFailed, "enable the addon metrics-server"));
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Succeeded, "{}", ended.reply.summary);
    let metrics: Vec<_> = ended.reply.gates.iter().flat_map(|gate| &gate.checks).filter(|check| check.id == "validation.metrics").collect();
    assert!(!metrics.is_empty() && metrics.iter().all(|check| check.outcome == Outcome::NotRun), "{metrics:?}");
}

#[tokio::test]
async fn images_go_through_the_registry_addon_and_charts_name_their_digests() {
    let house = House::quick();
    house.edit("landfall.toml", "[gates]", "[cluster]\ndelivery = \"registry\"\n\n[gates]");
    assert!(planned(&house).await.iter().any(|line| line.contains("enable the Minikube addon registry")));
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Succeeded, "{}", ended.reply.summary);
    assert_eq!((house.fake.count("publish"), house.fake.count("deliver")), (2, 0));
    let image = house.fake.values("stock")["image"].clone();
    assert!(image["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{image}");
    let chart = std::fs::read_to_string(house.app().join("deploy/charts/stock/values.yaml")).unwrap();
    assert!(chart.contains("repository: localhost:5000/shop/stock") || chart.contains("repository: \"localhost:5000/shop/stock\""), "{chart}");
    assert!(planned_nothing(&house).await, "the same sources are the same plan, digests or not");
}

/// True where a deploy would change nothing.
async fn planned_nothing(house: &House) -> bool {
    let ask: ask::Deploy = serde_json::from_value(json!({ "workspace": house.app(), "profile": "fake", "secrets": ["SIGNING_SECRET=generate"] })).unwrap();
    house.landfall.deploy(&ask).await.unwrap().reply.approval.is_none()
}

#[tokio::test]
async fn an_addon_that_a_cancelled_deploy_switched_on_is_switched_off_again() {
    for (delivery, on_before) in [("registry", vec!["metrics-server"]), ("direct", vec!["metrics-server"])] {
        let house = House::quick();
        house.edit("landfall.toml", "[gates]", &format!("[cluster]\ndelivery = \"{delivery}\"\n\n[gates]"));
        house.fake.stalls("apply");
        let asked = async {
            while house.fake.count("apply") == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let ask: ask::CancelOperation = serde_json::from_value(json!({ "workspace": house.app() })).unwrap();
            house.landfall.cancel(&ask).await.unwrap();
        };
        let ended = tokio::join!(house.deploy(), asked).0;
        assert_eq!(ended.state(), OperationState::Cancelled, "{delivery}: {}", ended.reply.summary);
        assert_eq!(house.fake.addons(), on_before, "{delivery}: what was on before stays on, and nothing else");
        assert_eq!(house.fake.count("disable"), usize::from(delivery == "registry"));
    }
}

#[tokio::test]
async fn an_addon_that_could_not_be_enabled_leaves_what_minikube_applied_and_that_is_said() {
    let house = House::quick();
    house.edit("landfall.toml", "[gates]", "[cluster]\ndelivery = \"registry\"\n\n[gates]");
    house.fake.fails("enable", 3, &Failure::new(Code::ProgramFailed, "enable the addon registry"));
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Failed, "{}", ended.reply.summary);
    let undone: Vec<_> =
        ended.records.iter().filter_map(|record| if let Event::UndoDone { note, .. } = &record.event { Some(note.as_str()) } else { None }).collect();
    let undone = undone.join("; ");
    assert!(undone.contains("kubectl delete all -l kubernetes.io/minikube-addons=registry -n kube-system --context fake"), "{undone}");
}

#[tokio::test]
async fn a_registry_that_takes_nothing_refuses_the_docker_gate() {
    let house = House::quick();
    house.edit("landfall.toml", "[gates]", "[cluster]\ndelivery = \"registry\"\n\n[gates]");
    house.fake.fails("publish", 9, &Failure::new(Code::ProgramFailed, "push stock").cause("connection refused"));
    let ended = house.deploy().await;
    assert_eq!((ended.state(), house.fake.count("apply")), (OperationState::Refused, 0), "{}", ended.reply.summary);
    let gates = serde_json::to_string(&ended.reply.gates).unwrap();
    assert!(gates.contains("docker.pushed") && gates.contains("connection refused"), "{gates}");
}

#[tokio::test]
async fn an_app_that_another_workspace_works_on_ends_with_that_code() {
    let house = House::new();
    let held = Failure::new(Code::OperationRunning, "op-20260101-000000-abcd works on shop in this cluster, from another workspace or client");
    house.fake.fails("namespace", 1, &held);
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Failed);
    let diagnosis = &ended.reply.diagnoses[0];
    assert_eq!(diagnosis.code, "OPERATION_RUNNING", "the command line takes its exit code from here: {diagnosis:?}");
    assert!(diagnosis.cause.contains("another workspace"), "{diagnosis:?}");
}

#[tokio::test]
async fn decisions_are_in_the_journal_for_people_too() {
    let house = House::new();
    house.fake.fails("apply", 1, &Failure::new(Code::HelmPending, "revision 1 of stock is pending-install"));
    let ended = house.deploy().await;
    let sentences: Vec<String> = ended.records.iter().map(Record::sentence).collect();
    assert!(sentences.iter().any(|text| text.contains("HELM_PENDING: what passes by itself is tried again")), "{sentences:#?}");
    let line = serde_json::to_value(ended.records.iter().find(|record| matches!(record.event, Event::RetryDecided { .. })).unwrap()).unwrap();
    assert_eq!((&line["data"]["course"], &line["data"]["code"]), (&json!("again"), &json!("HELM_PENDING")));
    // A line of an earlier release has neither, and is read all the same.
    let mut old: Value = line;
    old["data"] = json!({ "rule": "the user asked to hold the state", "attempt": 1 });
    assert!(serde_json::from_value::<Record>(old).is_ok());
}

/// A world and a workspace in which this can be begun: a rollback needs two verified revisions.
async fn prepared(what: What) -> House {
    let house = House::quick();
    if what == What::Rollback {
        for round in 0..2 {
            if round > 0 {
                house.change();
            }
            let (_, state) = house.begin(What::Deploy, None).await;
            assert_eq!(state, Some(OperationState::Succeeded));
        }
    }
    house
}

/// Where every moment ends that is not killed: the world, the files, and how many moments there were.
type Whole = (Vec<String>, Vec<PathBuf>, usize);

/// A worker dies at this moment, the next one takes over: the row of the table.
async fn killed_and_resumed(what: What, moment: usize, (world, files, _): &Whole) -> String {
    let house = prepared(what).await;
    let (id, state) = house.begin(what, Some(moment)).await;
    let folder = house.app().join(".landfall/operations").join(id.as_str());
    let records = journal::read(&folder).unwrap();
    let last = records.last().map_or_else(|| "nothing yet".to_owned(), Record::sentence);
    let landed = match (state, records.last().map(|record| &record.event)) {
        (Some(_), _) => "came to its end",
        (None, Some(Event::EffectIntended { .. })) if house.fake.died_before_an_effect() => "not landed",
        (None, Some(Event::EffectIntended { .. })) => "landed",
        (None, _) => "between effects",
    };
    house.fake.dies_at(None);
    let end = match state {
        Some(state) => state,
        None => house.worker(&id).await.expect("the second worker lives"),
    };
    assert_eq!(end, OperationState::Succeeded, "{what:?} killed at {moment}, after {last}");
    assert_eq!(&house.fake.picture(), world, "{what:?} killed at {moment}, after {last}");
    assert_eq!(&house.files(), files, "{what:?} killed at {moment}, after {last}");
    let records = journal::read(&folder).unwrap();
    let ends = records.iter().filter(|record| matches!(record.event, Event::OperationEnded { .. })).count();
    assert_eq!(ends, 1, "{what:?} killed at {moment}: one end in the journal");
    format!("| {what:?} | {moment} | {} | {landed} | {end:?}, as without it |\n", last.replace('|', "/"))
}

/// Every moment of an operation in the full tier, every seventeenth in the short one: a line of its journal, or an effect just before it lands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_killed_at_any_moment_is_finished_by_the_next_and_nothing_is_done_twice() {
    let full = std::env::var("LANDFALL_TEST_TIER").is_ok_and(|tier| tier == "full");
    let mut table = String::from("| operation | moment | last line of the journal | effect | end |\n|---|---|---|---|---|\n");
    for what in [What::Containerize, What::Deploy, What::Rollback] {
        let house = prepared(what).await;
        let (_, state) = house.begin(what, None).await;
        assert_eq!(state, Some(OperationState::Succeeded), "{what:?}");
        let whole: Whole = (house.fake.picture(), house.files(), house.fake.moments());
        assert!(whole.2 > 15, "{what:?} has {} moments", whole.2);
        let chosen = (1..=whole.2).filter(|moment| full || moment % 17 == 1);
        let rows: Vec<String> = futures::stream::iter(chosen.map(|moment| killed_and_resumed(what, moment, &whole))).buffered(4).collect().await;
        assert!(rows.iter().filter(|row| !row.contains("came to its end")).count() * 2 > rows.len(), "most of them were killed:\n{}", rows.concat());
        table.push_str(&rows.concat());
    }
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    std::fs::write(target.join("faults.md"), table).unwrap();
}

#[tokio::test]
async fn a_clock_that_is_set_changes_no_verdict() {
    for when in ["build", "apply", "watch"] {
        for seconds in [7_200, -7_200] {
            let house = House::quick();
            house.fake.sets_the_clock(when, seconds);
            let ended = house.deploy_through("validate").await;
            assert_eq!(ended.state(), OperationState::Succeeded, "{when} {seconds}: {}", ended.reply.summary);
            assert_eq!(house.fake.count("apply"), 2, "{when} {seconds}");
            assert!(house.fake.newest("stock").unwrap().2, "{when} {seconds}: it is marked as verified");
        }
    }
}

/// Long before the deadline; a release that is gone with its records is no way back that failed.
#[tokio::test]
async fn a_namespace_that_is_deleted_beneath_a_rollout_ends_it() {
    let house = House::quick();
    assert_eq!(house.deploy_through("validate").await.state(), OperationState::Succeeded);
    house.change();
    house.fake.loses_its_namespace("watch");
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Failed, "{}", ended.reply.summary);
    assert!(ended.reply.summary.contains("is gone, and everything in it"), "{}", ended.reply.summary);
}

#[tokio::test]
async fn the_lease_of_another_machine_decides() {
    let house = House::quick();
    house.fake.held_by("op-20260101-000000-abcd");
    let ended = house.deploy().await;
    assert_eq!((ended.state(), ended.reply.diagnoses[0].code.as_str()), (OperationState::Failed, "OPERATION_RUNNING"), "{}", ended.reply.summary);
    assert!(ended.reply.summary.contains("op-20260101-000000-abcd"), "{}", ended.reply.summary);
    assert_eq!((house.fake.count("apply"), house.fake.count("uninstall")), (0, 0), "what the other one works on is not touched");
    assert_eq!(house.fake.lease().as_deref(), Some("op-20260101-000000-abcd"), "and keeps its Lease");
}

/// The lock of this machine was free, so whoever had it before is at work no more.
#[tokio::test]
async fn the_lease_of_a_worker_of_this_machine_that_is_gone_is_not_waited_for() {
    let house = House::quick();
    assert_eq!(house.deploy().await.state(), OperationState::Succeeded);
    house.change();
    house.fake.held_by("op-20260101-000000-abcd");
    let refused = house.deploy().await;
    assert_eq!((refused.state(), refused.reply.diagnoses[0].code.as_str()), (OperationState::Failed, "OPERATION_RUNNING"), "nobody of this machine");
    house.fake.held_by(house.operations().last().unwrap().as_str());
    let ended = house.deploy().await;
    assert_eq!(ended.state(), OperationState::Succeeded, "{}", ended.reply.summary);
    assert_eq!(house.fake.lease(), None, "and it is given back");
}

#[tokio::test]
async fn a_cancel_during_any_effect_takes_back_what_was_done() {
    for when in ["build", "namespace", "apply", "watch"] {
        let house = House::quick();
        let before = house.files();
        house.fake.stalls(when);
        let asked = async {
            while house.fake.count(when) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let ask: ask::CancelOperation = serde_json::from_value(json!({ "workspace": house.app() })).unwrap();
            house.landfall.cancel(&ask).await.unwrap();
        };
        let ended = async { tokio::join!(house.deploy(), asked).0 };
        let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap_or_else(|_| panic!("{when}: the cancel was not heard"));
        assert_eq!(ended.state(), OperationState::Cancelled, "{when}: {}", ended.reply.summary);
        let left: Vec<_> = house.fake.picture().into_iter().filter(|line| !line.starts_with("secret")).collect();
        assert_eq!(left, ["lease None"], "{when}: releases and images are taken back");
        assert_eq!(house.files(), before, "{when}: and files");
    }
}

#[tokio::test]
async fn a_cancel_during_the_validation_is_heard_and_walked_back() {
    let house = House::quick();
    house.fake.stalls("exec");
    let asked = async {
        while house.fake.count("exec") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let ask: ask::CancelOperation = serde_json::from_value(json!({ "workspace": house.app() })).unwrap();
        house.landfall.cancel(&ask).await.unwrap();
    };
    let ended = async { tokio::join!(house.deploy_through("validate"), asked).0 };
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("the cancel was not heard");
    assert_eq!(ended.state(), OperationState::Cancelled, "{}", ended.reply.summary);
    let left: Vec<_> = house.fake.picture().into_iter().filter(|line| !line.starts_with("secret")).collect();
    assert_eq!(left, ["lease None"], "what had passed the rollout is taken back all the same");
}

#[tokio::test]
async fn a_release_of_several_services_goes_back_as_a_whole() {
    let house = House::quick();
    house.deploy_through("validate").await;
    house.change();
    house.fake.breaks("till", 2);
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Refused, "{}", ended.reply.summary);
    assert!(ended.reply.summary.contains("rolled back to verified r1, which was validated again"), "{}", ended.reply.summary);
    for release in ["stock", "till"] {
        assert_eq!(house.fake.newest(release), Some((3, "deployed".to_owned(), true)), "{release}");
    }
}

#[tokio::test]
async fn a_way_back_that_fails_in_part_says_what_a_person_must_do() {
    let house = House::quick();
    house.deploy_through("validate").await;
    house.change();
    house.fake.breaks("till", 2);
    house.fake.fails("rollback stock to 1", 1, &Failure::new(Code::HelmFailed, "roll stock back").cause("etcdserver: request timed out"));
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Stuck, "{}", ended.reply.summary);
    assert_eq!(house.fake.newest("till"), Some((3, "deployed".to_owned(), false)), "what can be taken back is taken back");
    assert!(
        ended.reply.summary.contains("helm/stock") && ended.reply.summary.contains("helm rollback stock 1 -n shop --kube-context fake"),
        "{}",
        ended.reply.summary
    );
    assert!(ended.next().contains(&"cluster_health"), "{:?}", ended.next());
    // A person's call finds the way that the worker did not.
    let (_, state) = house.begin(What::Rollback, None).await;
    assert_eq!(state, Some(OperationState::Succeeded));
    assert!(house.fake.newest("stock").unwrap().2 && house.fake.newest("till").unwrap().2, "both are verified again");
}

#[tokio::test]
async fn a_first_install_that_cannot_be_removed_says_how_a_person_removes_it() {
    let house = House::new();
    house.fake.fails("uninstall stock", 1, &Failure::new(Code::HelmFailed, "uninstall stock").cause("etcdserver: leader changed"));
    let ended = house.deploy_through("validate").await;
    assert_eq!(ended.state(), OperationState::Stuck, "{}", ended.reply.summary);
    assert!(ended.reply.summary.contains("helm uninstall stock -n shop --kube-context fake"), "{}", ended.reply.summary);
    assert_eq!((house.fake.newest("till"), house.fake.newest("stock").map(|(revision, ..)| revision)), (None, Some(1)));
}

#[tokio::test]
async fn the_way_back_is_rehearsed_before_anything_is_touched() {
    let rehearsed = |ended: &Ended| {
        let gates = ended.records.iter().filter_map(|record| match &record.event {
            Event::GateJudged { gate } => Some(gate.clone()),
            _ => None,
        });
        gates.flat_map(|gate| gate.checks).filter(|check| check.id == "rollback.rehearsed").map(|check| check.outcome).collect::<Vec<_>>()
    };
    let house = House::quick();
    let first = house.deploy_through("validate").await;
    assert_eq!(rehearsed(&first), [], "a first install has nothing to rehearse");
    house.change();
    house.fake.refuses_to_take_back("stock", 1);
    let refused = house.deploy_through("validate").await;
    assert_eq!(refused.state(), OperationState::Refused, "{}", refused.reply.summary);
    assert!(rehearsed(&refused).contains(&Outcome::Fail), "{:?}", rehearsed(&refused));
    assert_eq!(house.fake.count("apply"), 2, "nothing was touched");
    assert_eq!(house.fake.newest("stock"), Some((1, "deployed".to_owned(), true)));
    house.fake.refuses_nothing();
    let through = house.deploy_through("validate").await;
    assert_eq!((through.state(), rehearsed(&through)), (OperationState::Succeeded, vec![Outcome::Pass, Outcome::Pass]), "{}", through.reply.summary);
}

/// The engine's own process is asked to go on while its disk is full; run by the test below, where a file that cannot grow is an error and no signal.
#[tokio::test]
async fn inside_a_process_whose_files_cannot_grow() {
    if std::env::var_os("LANDFALL_TEST_FULL_DISK").is_none() {
        return;
    }
    use rustix::process::{Resource, Rlimit, setrlimit};
    let whole = House::quick();
    whole.begin(What::Deploy, None).await;
    for kilobytes in (2..44).step_by(4) {
        let house = House::quick();
        // Dies before its first line, so that the request is there and nothing is done.
        let (id, _) = house.begin(What::Deploy, Some(1)).await;
        house.fake.dies_at(None);
        setrlimit(Resource::Fsize, Rlimit { current: Some(kilobytes << 10), maximum: None }).unwrap();
        let (landfall, app) = (house.landfall.clone(), house.app());
        let ran = tokio::spawn({
            let id = id.clone();
            async move { landfall.run_operation(&app, &id).await }
        });
        let full = ran.await.expect("a full disk is no panic");
        setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).unwrap();
        let records = journal::read(&house.app().join(".landfall/operations").join(id.as_str())).expect("the journal can be read");
        let intended = records.iter().filter(|record| matches!(&record.event, Event::EffectIntended { key, .. } if key.starts_with("helm/"))).count();
        assert!(house.fake.count("apply") <= intended, "{kilobytes} KiB: nothing is done before its way back is on disk");
        let state = house.worker(&id).await.expect("it goes on when there is room");
        if full.is_ok() {
            // The journal had room for its end, and another file had none.
            assert_eq!(Some(state), full.clone().ok(), "{kilobytes} KiB: what has ended is not begun again");
            assert!(!house.fake.picture().iter().any(|line| line.contains("deployed")) || state == OperationState::Succeeded, "{kilobytes} KiB");
        } else {
            assert_eq!(state, OperationState::Succeeded, "{kilobytes} KiB");
            assert_eq!(house.fake.picture(), whole.fake.picture(), "{kilobytes} KiB: as where there was room all the time");
        }
        eprintln!("{kilobytes} KiB: {:?}, then {state:?}, {} lines", full.as_ref().map_err(|failure| failure.code), records.len());
    }
}

#[test]
fn a_full_disk_loses_no_journal_and_the_operation_goes_on_when_there_is_room() {
    let program = std::env::current_exe().unwrap();
    let done = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact inside_a_process_whose_files_cannot_grow --nocapture"])
        .arg(program)
        .env("LANDFALL_TEST_FULL_DISK", "1")
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    assert!(done.status.success(), "{said}");
    assert!(said.contains("KiB: Err"), "at least one limit was met by the journal: {said}");
}
