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
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(!house.app().join("deploy/charts").exists(), "what was written is taken back");
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
