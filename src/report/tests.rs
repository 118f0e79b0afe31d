//! Reports over journals that were really written: what is proven, what failed, what was not run, and what was changed by hand.

use super::*;
use crate::blueprint::{Wishes, draw};
use crate::evidence::{Evidence, Place, Source, Time};
use crate::journal::{Journal, StageName, Undo};
use crate::names::Digest;
use crate::ports::Clock;
use crate::reply::{OperationState, ReleaseView};
use crate::survey::{Feature, Principle, Requirement};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// A second for every look at it.
struct Steps(AtomicI64);

impl Clock for Steps {
    fn now(&self) -> Time {
        let second = self.0.fetch_add(1, Ordering::SeqCst);
        Time::from_second(1_767_323_045 + second).unwrap()
    }
}

type Entry = (Option<StageName>, Option<&'static str>, Event);

/// A workspace with a survey, and the user's state folder.
struct Scene {
    home: tempfile::TempDir,
    survey: Survey,
    config: Config,
    app: AppName,
}

impl Scene {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("app")).unwrap();
        let mut survey: Survey = serde_json::from_str(include_str!("../../tests/render/survey.json")).unwrap();
        survey.findings.clear();
        Self { home, survey, config: Config { schema: 1, ..Config::default() }, app: AppName::parse("todo").unwrap() }
    }

    fn folders(&self) -> Folders {
        Folders::of(&self.home.path().join("app"), &self.home.path().join("state"))
    }

    fn names(&self) -> Vec<String> {
        self.survey.services.iter().map(|service| service.name.to_string()).collect()
    }

    fn plan(&self) -> Plan {
        let wishes = Wishes { backing: [("postgres".to_owned(), "in_cluster".to_owned())].into(), ..Wishes::default() };
        let blueprint = draw(&self.survey, &self.config, &self.app, &wishes).unwrap();
        Plan {
            schema: 1,
            workspace: self.folders().workspace,
            profile: None,
            fingerprint: None,
            through: crate::ask::Through::Validate,
            on_refusal: crate::ask::OnRefusal::Rollback,
            base_revision: 0,
            files: blueprint
                .workloads
                .iter()
                .map(|workload| {
                    let step = crate::plan::FileStep { before: None, after: Digest::of("x"), persons: false };
                    (format!("deploy/charts/{}/Chart.yaml", workload.name), step)
                })
                .collect(),
            blueprint,
            images: Default::default(),
            releases: Default::default(),
            sources: Default::default(),
            build_secrets: Default::default(),
            start: None,
            addons: Default::default(),
            namespace_ready: true,
            secrets_present: Default::default(),
            survey: "0123456789abcdef".into(),
            created_at: Time::UNIX_EPOCH,
            expires_at: Time::UNIX_EPOCH,
        }
    }

    /// Writes an operation's journal; the hash of its end is kept in the state folder as workers do.
    fn operation(&self, number: u32, entries: Vec<Entry>) -> OperationId {
        self.operation_of("deploy", number, entries)
    }

    fn operation_of(&self, tool: &str, number: u32, entries: Vec<Entry>) -> OperationId {
        let id = OperationId::parse(format!("op-202601{number:02}-030405-a1b2")).unwrap();
        let clock = Arc::new(Steps(AtomicI64::new(i64::from(number) * 86_400)));
        let request = Request {
            format: 1,
            id: id.clone(),
            tool: tool.into(),
            ask: Map::from_iter([("through".to_owned(), json!("validate")), ("workspace".to_owned(), json!("somewhere"))]),
            app: self.app.clone(),
            workspace: self.folders().workspace,
            profile: Some(crate::names::ProfileName::parse("dev").unwrap()),
            namespace: None,
            plan: Some("0123456789abcdef".into()),
            approved_by: Some("a person at a terminal".into()),
            deadline_s: 900,
            created_at: clock.now(),
        };
        operation::create(&self.folders(), &request, Some(&self.plan())).unwrap();
        let journal = Journal::open(&self.folders().operation(&id), &id, clock).unwrap();
        let started = Event::OperationStarted { tool: tool.into(), pid: 1, plan: request.plan.clone(), approved_by: request.approved_by.clone() };
        journal.append(None, None, started).unwrap();
        for (stage, subject, event) in entries {
            journal.append(stage, subject, event).unwrap();
        }
        journal.append(None, None, Event::OperationEnded { state: OperationState::Succeeded, summary: "all is well".into(), failure: None }).unwrap();
        crate::files::write_private(&self.folders().state.join("journals").join(id.as_str()), journal.last_hash().as_bytes()).unwrap();
        id
    }

    fn tell(&self, kind: ReportKind) -> Told {
        let stories = stories(&self.folders(), None).unwrap();
        let place = Map::from_iter([("workspace".to_owned(), json!("/app"))]);
        tell(kind, &Material { app: &self.app, survey: &self.survey, config: &self.config, stories: &stories, health: None, place })
    }

    /// A feature with these requirements: (id, text, check, ticked).
    fn asks(&mut self, requirements: &[(&str, &str, Option<&str>, Option<bool>)]) {
        let requirements = requirements.iter().map(|(id, text, check, ticked)| Requirement {
            id: (*id).to_owned(),
            text: (*text).to_owned(),
            kind: if ticked.is_some() { "task" } else { "functional" }.to_owned(),
            checkable: check.map(str::to_owned),
            ticked: *ticked,
            evidence: Place::new("specs/001-x/spec.md", 4, text),
        });
        self.survey.specs.features = vec![Feature { dir: "specs/001-x".into(), title: "X".into(), requirements: requirements.collect() }];
    }
}

fn passed(id: &str) -> Check {
    Check::pass(id, "?", Evidence::new(Source::Object, "Deployment/thing .status", "as it shall be"))
}

fn failed(id: &str) -> Check {
    Check::fail(id, "?", "it is not so", vec![])
}

fn judged(gate: GateName, subject: &str, checks: Vec<Check>) -> Entry {
    let stage = match gate {
        GateName::Docker => StageName::Containerize,
        GateName::Helm => StageName::Chart,
        GateName::Kubernetes => StageName::Deploy,
        GateName::Validation => StageName::Validate,
    };
    (Some(stage), None, Event::GateJudged { gate: Gate::judge(gate, subject, checks) })
}

/// The standing of each requirement, `id standing`.
fn standings(told: &Told) -> Vec<String> {
    let rows = told.data["requirements"].as_array().unwrap();
    rows.iter().map(|row| format!("{} {}", row["id"].as_str().unwrap(), row["standing"].as_str().unwrap())).collect()
}

/// One requirement over the docker gates of all services, each with what `checks` makes for it.
fn check_trace(checks: impl Fn(&str) -> Option<Vec<Check>>, expect: &str) {
    let mut scene = Scene::new();
    scene.asks(&[("FR-1", "Containers run as a non-root user", Some("docker.non_root"), None)]);
    let entries = scene.names().iter().filter_map(|name| Some(judged(GateName::Docker, name, checks(name)?))).collect();
    scene.operation(1, entries);
    assert_eq!(standings(&scene.tell(ReportKind::Traceability)), [format!("FR-1 {expect}")]);
}

#[test]
fn a_requirement_is_proven_by_its_check_on_every_service_and_by_nothing_less() {
    check_trace(|_| Some(vec![passed("docker.non_root")]), "proven");
    check_trace(|_| Some(vec![passed("docker.non_root"), failed("docker.size")]), "proven");
    check_trace(|name| Some(vec![if name == "api" { failed("docker.non_root") } else { passed("docker.non_root") }]), "failed");
    check_trace(|name| (name != "api").then(|| vec![passed("docker.non_root")]), "open");
    check_trace(|name| Some(vec![if name == "api" { Check::not_run("docker.non_root", "?", "no engine") } else { passed("docker.non_root") }]), "open");
    check_trace(
        |name| Some(vec![if name == "api" { Check::not_run("docker.non_root", "?", "no user").optional() } else { passed("docker.non_root") }]),
        "proven",
    );
    check_trace(|_| None, "open");
    check_trace(|_| Some(vec![passed("docker.size")]), "open");
}

/// A requirement about an image's size, where it is as large as this.
fn check_size(text: &str, seen: &str, expect: &str) {
    let mut scene = Scene::new();
    scene.survey.services.retain(|service| service.name.as_str() == "api");
    scene.asks(&[("SC-1", text, Some("docker.size"), None)]);
    let check = Check::pass("docker.size", "size within 500 MB", Evidence::new(Source::Program, "image size", seen));
    scene.operation(1, vec![judged(GateName::Docker, "api", vec![check])]);
    assert_eq!(standings(&scene.tell(ReportKind::Traceability)), [format!("SC-1 {expect}")], "{text}");
}

#[test]
fn a_number_that_is_asked_for_is_compared_with_what_was_measured() {
    check_size("Images are smaller than 500 MB", "180 MB; largest layers: 100 MB: x", "proven");
    check_size("Images are smaller than 150 MB", "180 MB; largest layers: 100 MB: x", "failed");
    check_size("Images are smaller than 0.2 GB", "180 MB", "proven");
    check_size("Images are smaller than 500 MB", "not told", "open");
    check_size("Images are small", "not told", "proven");
    let time = |text: &str, seen: &str, expect: &str| {
        let mut scene = Scene::new();
        scene.survey.services.retain(|service| service.name.as_str() == "api");
        scene.asks(&[("SC-1", text, Some("kubernetes.pods_ready"), None)]);
        let told = |seen: &str| Evidence::new(Source::Object, "Pod/api .status", seen);
        let check = Check::pass("kubernetes.pods_ready", "pods", told("ready 2 s after its start")).with(told(seen));
        scene.operation(1, vec![judged(GateName::Kubernetes, "api", vec![check])]);
        assert_eq!(standings(&scene.tell(ReportKind::Traceability)), [format!("SC-1 {expect}")], "{text}");
    };
    time("All pods are ready within 5 minutes", "ready 100 s after its start", "proven");
    time("All pods are ready within 100 seconds", "2 of 2 pods ready, 0 restarts; ready 100 s after their start", "proven");
    time("All pods are ready within 99 seconds", "ready 100 s after its start", "failed");
    time("All pods are ready within 99 seconds", "ready", "open");
}

#[test]
fn a_number_of_tools_is_compared_with_those_that_are_listed() {
    let check = |text: &str, listed: &str, expect: &str| {
        let mut scene = Scene::new();
        scene.survey.services.retain(|service| service.name.as_str() == "api");
        scene.asks(&[("SC-1", text, Some("validation.mcp"), None)]);
        let seen = Check::pass("validation.mcp_tools", "tools/list", Evidence::new(Source::Probe, "http://api:8000/mcp", listed));
        scene.operation(1, vec![judged(GateName::Validation, "api", vec![seen])]);
        assert_eq!(standings(&scene.tell(ReportKind::Traceability)), [format!("SC-1 {expect}")], "{text}");
    };
    check("`tools/list` returns exactly the two tools", "add, list", "proven");
    check("`tools/list` returns exactly 2 tools", "add, list", "proven");
    check("`tools/list` returns exactly two tools", "add, list, take", "failed");
    check("`tools/list` returns exactly two tools", "", "open");
    check("`tools/list` returns two tools", "add, list, take", "proven");
}

#[test]
fn a_requirement_with_several_checks_needs_all_of_them() {
    let standing = |checks: Vec<Check>| {
        let mut scene = Scene::new();
        scene.survey.services.retain(|service| service.name.as_str() == "api");
        scene.asks(&[("FR-1", "x", Some("docker.non_root, docker.size"), None)]);
        scene.operation(1, vec![judged(GateName::Docker, "api", checks)]);
        standings(&scene.tell(ReportKind::Traceability))
    };
    assert_eq!(standing(vec![passed("docker.non_root"), passed("docker.size")]), ["FR-1 proven"]);
    assert_eq!(standing(vec![passed("docker.non_root")]), ["FR-1 open"]);
    assert_eq!(standing(vec![passed("docker.non_root"), failed("docker.size")]), ["FR-1 failed"]);
}

#[test]
fn a_later_look_adds_to_a_deploy_and_another_deploy_replaces_it() {
    let standing = |tool: &str, checks: Vec<Check>| {
        let mut scene = Scene::new();
        scene.survey.services.retain(|service| service.name.as_str() == "api");
        scene.asks(&[("FR-1", "x", Some("validation.http"), None), ("FR-2", "x", Some("validation.mcp"), None)]);
        scene.operation(1, vec![judged(GateName::Validation, "api", vec![passed("validation.http"), failed("validation.mcp_call")])]);
        scene.operation_of(tool, 2, vec![judged(GateName::Validation, "api", checks)]);
        standings(&scene.tell(ReportKind::Traceability))
    };
    assert_eq!(standing("verify_mcp", vec![passed("validation.mcp_call")]), ["FR-1 proven", "FR-2 proven"]);
    assert_eq!(standing("deploy", vec![passed("validation.mcp_call")]), ["FR-1 open", "FR-2 proven"]);
    assert_eq!(standing("verify_mcp", vec![passed("validation.logs")]), ["FR-1 proven", "FR-2 failed"]);
}

#[test]
fn nothing_is_claimed_for_what_has_no_check() {
    let mut scene = Scene::new();
    scene.asks(&[("FR-1", "Users are happy", None, None), ("FR-2", "Chat is fast", None, None)]);
    scene.config.requirements.insert("FR-2".into(), "validation.happiness".into());
    scene.config.requirements.insert("FR-9".into(), "docker.size".into());
    scene.operation(1, vec![judged(GateName::Docker, "api", vec![passed("docker.size")])]);
    let told = scene.tell(ReportKind::Traceability);
    assert_eq!(standings(&told), ["FR-1 unchecked", "FR-2 no_such_check"]);
    assert_eq!(told.data["named_in_no_spec"], json!(["FR-9"]));
    assert_eq!(told.data["without_requirement"], json!(["docker.size"]));
    assert_eq!(told.data["without_check"], json!(["001-x/FR-1", "001-x/FR-2"]));
    assert!(!told.markdown().contains("✅ **FR"), "{}", told.markdown());
}

#[test]
fn a_person_says_in_landfall_toml_which_check_shows_a_requirement() {
    let mut scene = Scene::new();
    scene.asks(&[("FR-1", "Users sign in", None, None)]);
    scene.config = Config::parse(
        "schema = 1\n[[smoke]]\nname = \"login\"\nservice = \"api\"\nget = \"/me\"\nexpect = 401\n[requirements]\n\"FR-1\" = \"docker.size\"\n\"001-x/FR-1\" = \"validation.smoke.login\"\n",
    )
    .unwrap();
    let entries = |scene: &Scene, check: Check| {
        let rest = scene.names().into_iter().filter(|name| name != "api").map(|name| judged(GateName::Validation, &name, vec![passed("validation.logs")]));
        rest.chain([judged(GateName::Validation, "api", vec![check])]).collect()
    };
    scene.operation(1, entries(&scene, passed("validation.smoke.login")));
    let told = scene.tell(ReportKind::Traceability);
    assert_eq!(standings(&told), ["FR-1 proven"], "the feature's own key is nearer than the bare one");
    assert_eq!(told.data["requirements"][0]["named_by"], "landfall.toml");
    scene.operation(2, entries(&scene, failed("validation.smoke.login")));
    assert_eq!(standings(&scene.tell(ReportKind::Traceability)), ["FR-1 failed"], "the newest judgement counts");
}

#[test]
fn ticks_are_compared_with_what_was_seen() {
    let mut scene = Scene::new();
    let check = Some("docker.non_root");
    scene.asks(&[
        ("T001", "Image of api/ as a non-root user", check, Some(true)),
        ("T002", "Image of web/ as a non-root user", check, Some(true)),
        ("T003", "Image of web/ as a non-root user", check, Some(false)),
        ("T004", "Image of mcp/ as a non-root user", check, Some(true)),
        ("T005", "Images as a non-root user", check, Some(false)),
    ]);
    scene
        .operation(1, vec![judged(GateName::Docker, "api", vec![failed("docker.non_root")]), judged(GateName::Docker, "web", vec![passed("docker.non_root")])]);
    let told = scene.tell(ReportKind::Traceability);
    assert_eq!(standings(&told), ["T001 failed", "T002 proven", "T003 proven", "T004 open", "T005 failed"]);
    assert_eq!(told.data["ticked_but_false"], json!(["001-x/T001"]));
    assert_eq!(told.data["done_but_unticked"], json!(["001-x/T003"]));
}

#[test]
fn a_chain_leads_from_the_requirement_to_the_event_that_shows_it() {
    let mut scene = Scene::new();
    scene.survey.services.retain(|service| service.name.as_str() == "api");
    scene.asks(&[("FR-1", "Pods are ready", Some("kubernetes.pods_ready"), None)]);
    let id = scene.operation(1, vec![judged(GateName::Kubernetes, "api", vec![passed("kubernetes.pods_ready")])]);
    let row = scene.tell(ReportKind::Traceability).data["requirements"][0]["chain"][0].clone();
    assert_eq!(row["artifact"], "deploy/charts/api");
    assert_eq!(row["resource"], "Deployment/thing");
    assert_eq!(row["check"], "kubernetes.pods_ready");
    assert_eq!(row["shown_by"], format!("landfall://operation/{id}/evidence/2"));
}

#[test]
fn principles_are_kept_by_a_check_or_for_people() {
    let mut scene = Scene::new();
    scene.survey.specs.constitution = Some("constitution.md".into());
    let principle = |title: &str, text: &str| Principle { title: title.into(), text: text.into(), evidence: Place::new("constitution.md", 3, title) };
    scene.survey.specs.principles =
        vec![principle("I. Root", "Containers run as non-root."), principle("II. Kind", "Be kind."), principle("III. Limits", "Set resource limits.")];
    scene.operation(1, vec![judged(GateName::Helm, "api", vec![passed("helm.policy"), failed("helm.constitution.non_root")])]);
    let told = scene.tell(ReportKind::Traceability);
    let rows: Vec<_> =
        told.data["constitution"].as_array().unwrap().iter().map(|row| (row["kept_by"].as_str().unwrap(), row["outcome"].as_str().unwrap_or("none"))).collect();
    assert_eq!(rows, [("helm.constitution.non_root", "fail"), ("people", "none"), ("helm.constitution.resources", "not_run")]);
    assert!(told.markdown().contains("“Containers run as non-root.”") && told.markdown().contains("for people: II. Kind"), "{}", told.markdown());
}

fn write_file(done: bool) -> Vec<Entry> {
    let undo = Undo::File { path: "api/Dockerfile".into(), backup: None };
    let intended = Event::EffectIntended { key: "file/api/Dockerfile".into(), effect: "write api/Dockerfile".into(), undo, before: json!({ "sha256": null }) };
    let mut entries = vec![(Some(StageName::Containerize), Some("api/Dockerfile"), intended)];
    if done {
        let after = json!({ "sha256": "5feceb66ffc86f38d952786c6d696c79c2dbc239dd4e91b46729d73a27fb57e9" });
        entries.push((Some(StageName::Containerize), Some("api/Dockerfile"), Event::EffectDone { key: "file/api/Dockerfile".into(), after }));
    }
    entries
}

#[test]
fn every_mutation_is_told_with_who_approved_it_and_what_was_there() {
    let scene = Scene::new();
    scene.operation(1, write_file(true));
    scene.operation(2, write_file(false));
    let told = scene.tell(ReportKind::Audit);
    let row = &told.data["mutations"][1];
    assert_eq!(row["approved_by"], "a person at a terminal");
    assert_eq!(row["plan"], "0123456789abcdef");
    assert_eq!((&row["before"]["sha256"], &row["outcome"]), (&Value::Null, &json!("done")));
    assert!(row["after"]["sha256"].as_str().unwrap().starts_with("5feceb66"));
    assert_eq!(row["events"], json!([2, 3]));
    assert_eq!(told.data["mutations"][0]["outcome"], "end not known");
    assert_eq!(told.verdict, None);
    assert!(told.summary.contains("every journal's chain of hashes holds"), "{}", told.summary);
}

/// The audit over a journal that somebody changed, and whether the change is noticed.
fn check_tampering(change: impl Fn(&str) -> String, keep_seal: bool, noticed: bool) {
    let scene = Scene::new();
    let mut entries = write_file(true);
    entries.push(judged(GateName::Docker, "api", vec![passed("docker.builds")]));
    let id = scene.operation(1, entries);
    let path = scene.folders().operation(&id).join("journal.jsonl");
    let text = change(&std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, text).unwrap();
    if !keep_seal {
        std::fs::remove_file(scene.folders().state.join("journals").join(id.as_str())).unwrap();
    }
    let told = scene.tell(ReportKind::Audit);
    assert_eq!(told.data["operations"][0]["holds"], json!(!noticed), "{}", told.markdown());
    assert_eq!(told.verdict, noticed.then_some(Verdict::Refused));
    // What was changed by hand shows nothing.
    let verdict = scene.tell(ReportKind::Verdict);
    let docker = verdict.data["gates"][0]["subjects"].as_array().unwrap().len();
    assert_eq!(docker, usize::from(!noticed));
    assert_ne!(verdict.verdict, Some(Verdict::Pass));
}

#[test]
fn a_trail_that_was_changed_by_hand_says_so_and_shows_nothing() {
    check_tampering(str::to_owned, true, false);
    check_tampering(|text| text.replacen("a person at a terminal", "nobody in particular!!", 1), true, true);
    check_tampering(|text| text.replacen("\"passed\":1", "\"passed\":2", 1), true, true);
    let without = |line: usize| move |text: &str| text.lines().enumerate().filter(|(n, _)| *n != line).map(|(_, line)| format!("{line}\n")).collect::<String>();
    check_tampering(without(2), true, true);
    // The end cut off: the chain holds, and the hash that is kept outside the workspace does not.
    check_tampering(without(4), true, true);
    check_tampering(without(4), false, false);
}

fn whole_story(scene: &Scene) -> Vec<Entry> {
    let mut entries = write_file(true);
    let stages = [
        (StageName::Containerize, GateName::Docker, "docker.builds"),
        (StageName::Chart, GateName::Helm, "helm.lint"),
        (StageName::Deploy, GateName::Kubernetes, "kubernetes.pods_ready"),
        (StageName::Validate, GateName::Validation, "validation.http"),
    ];
    for (stage, gate, check) in stages {
        entries.push((Some(stage), None, Event::StageStarted { readiness: vec!["ready <so>".into()] }));
        entries.extend(scene.names().iter().map(|name| judged(gate, name, vec![passed(check)])));
        entries.push((Some(stage), None, Event::StageEnded { verdict: Verdict::Pass }));
    }
    let releases = vec![ReleaseView { release: "api".into(), helm_revision: 1, image_id: None, chart: "deploy/charts/api".into() }];
    entries.push((Some(StageName::Validate), None, Event::RevisionVerified { n: 1, releases }));
    entries
}

#[test]
fn the_verdict_is_not_complete_before_somebody_looked_at_what_runs() {
    let scene = Scene::new();
    scene.operation(1, whole_story(&scene));
    let told = scene.tell(ReportKind::Verdict);
    assert_eq!(told.verdict, Some(Verdict::Incomplete));
    assert!(told.markdown().contains("⚠️ running now: not looked at"), "{}", told.markdown());
    assert!(told.markdown().contains("advisors: none was asked"), "{}", told.markdown());
    assert!(told.markdown().contains("landfall://operation/op-20260101-030405-a1b2/evidence/"), "{}", told.markdown());
    let stories = stories(&scene.folders(), None).unwrap();
    let mut reply = crate::reply::Reply::new(crate::reply::Status::Done, "all pods run");
    reply.verdict = Some(Verdict::Pass);
    let health = Ok(With::new(reply, Healthy::default()));
    let place = Map::new();
    let told =
        tell(ReportKind::Verdict, &Material { app: &scene.app, survey: &scene.survey, config: &scene.config, stories: &stories, health: Some(&health), place });
    assert_eq!(told.verdict, Some(Verdict::Pass), "{}", told.markdown());
    let row = |id: &str| told.data["checklist"].as_array().unwrap().iter().find(|row| row["row"] == id).unwrap()["outcome"].clone();
    assert_eq!((row("G1"), row("G2"), row("G11")), (json!("pass"), json!("not_run"), json!("pass")));
}

#[test]
fn next_steps_can_be_called_as_they_stand() {
    let scene = Scene::new();
    scene.operation(1, whole_story(&scene));
    for kind in [ReportKind::Readiness, ReportKind::Health, ReportKind::Verdict, ReportKind::Traceability, ReportKind::Audit] {
        let told = scene.tell(kind);
        assert!(!told.next.is_empty());
        for call in &told.next {
            let arguments = Value::Object(call.arguments.clone());
            assert_eq!(arguments["workspace"], "/app");
            let good = match call.tool {
                "validate_env" => serde_json::from_value::<crate::ask::ValidateEnv>(arguments).is_ok(),
                "plan_deployment" => serde_json::from_value::<crate::ask::PlanDeployment>(arguments).is_ok(),
                "deploy" => serde_json::from_value::<crate::ask::Deploy>(arguments).is_ok(),
                "rollback" => serde_json::from_value::<crate::ask::Rollback>(arguments).is_ok(),
                "cluster_health" => serde_json::from_value::<crate::ask::ClusterHealth>(arguments).is_ok(),
                "deployment_report" => serde_json::from_value::<crate::ask::DeploymentReport>(arguments).is_ok(),
                _ => false,
            };
            assert!(good, "{call:?}");
        }
    }
}

#[test]
fn a_page_draws_the_app_and_its_operation_and_loads_nothing() {
    let mut scene = Scene::new();
    scene.asks(&[("FR-1", "Pods are <b>ready</b>", Some("kubernetes.pods_ready"), None), ("FR-2", "Users are happy", None, None)]);
    scene.operation(1, whole_story(&scene));
    scene.operation(2, vec![judged(GateName::Validation, "api", vec![failed("validation.http"), Check::not_run("validation.logs", "?", "no pod")])]);
    for kind in [ReportKind::Readiness, ReportKind::Health, ReportKind::Verdict, ReportKind::Traceability, ReportKind::Audit] {
        let page = page(&scene.tell(kind));
        for outside in ["src=", "href=", "@import", "url(h", "<script", "<b>ready", "<so>"] {
            assert!(!page.contains(outside), "{}: {outside}", kind_word(kind));
        }
        if let Some(folder) = std::env::var_os("LANDFALL_PAGES") {
            std::fs::write(std::path::Path::new(&folder).join(format!("{}.html", kind_word(kind))), &page).unwrap();
        }
    }
    let page = page(&scene.tell(ReportKind::Verdict));
    let calls: usize = scene.plan().blueprint.workloads.iter().map(|workload| workload.callers.len()).sum();
    assert_eq!(page.matches("marker-end=").count(), calls);
    assert!(calls > 0);
    assert_eq!(page.matches("<rect ").count(), scene.plan().blueprint.workloads.len());
    assert_eq!(page.matches("class=\"lap\"").count(), 4);
    assert!(
        page.contains("<g class=\"bad\"") && page.contains("<details open><summary><b class=\"bad\">✗</b> api <code>validation.http</code>"),
        "what failed is seen first"
    );
}

/// The record of an operation in a workspace that keeps them.
fn record_of(scene: &Scene, id: &OperationId, end: OperationState) -> Option<prompt::Written> {
    let request = operation::request(&scene.folders(), id).unwrap();
    let state = State::of(&journal::read(&scene.folders().operation(id)).unwrap()).unwrap();
    let ending = prompt::Ending { state: end, summary: "app revision r1 is verified", at: Time::UNIX_EPOCH };
    prompt::record(&scene.folders().workspace, &request, &state, ending)
}

fn keep(scene: &Scene, path: &str, text: &str) {
    let path = scene.folders().workspace.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

#[test]
fn a_record_is_written_where_the_workspace_keeps_them_and_something_was_changed() {
    let scene = Scene::new();
    let changed = scene.operation(1, write_file(true));
    let looked = scene.operation(2, vec![judged(GateName::Validation, "api", vec![passed("validation.http")])]);
    assert_eq!(record_of(&scene, &changed, OperationState::Succeeded), None, "nobody keeps records here");
    keep(&scene, "history/prompts/general/0007-earlier.general.prompt.md", "x");
    assert_eq!(record_of(&scene, &looked, OperationState::Succeeded), None, "nothing was changed");
    let record = record_of(&scene, &changed, OperationState::Succeeded).unwrap();
    assert_eq!(record.path, "history/prompts/general/0008-deploy-todo-succeeded.general.prompt.md");
    let front = record.text.split("\n---").next().unwrap().trim_start_matches("---\n");
    let front: Value = serde_saphyr::from_str(front).unwrap();
    assert_eq!((&front["id"], &front["stage"], &front["date"]), (&json!("0008"), &json!("general"), &json!("1970-01-01")));
    assert_eq!(front["files"], json!(["api/Dockerfile"]));
    assert!(!record.text.contains("{{") && !record.text.contains("somewhere"), "{}", record.text);
    assert!(record.text.contains("- ✅ Impact: app revision r1 is verified"), "{}", record.text);
}

#[test]
fn an_operation_has_one_record() {
    let scene = Scene::new();
    let id = scene.operation(1, write_file(true));
    keep(&scene, "history/prompts/general/.gitkeep", "");
    let first = record_of(&scene, &id, OperationState::Succeeded).unwrap();
    keep(&scene, &first.path, &first.text);
    assert_eq!(record_of(&scene, &id, OperationState::Succeeded).unwrap(), first);
    let other = scene.operation(2, write_file(true));
    assert_eq!(record_of(&scene, &other, OperationState::Succeeded).unwrap().path, "history/prompts/general/0002-deploy-todo-succeeded.general.prompt.md");
}

#[test]
fn a_record_lies_with_the_active_feature() {
    let scene = Scene::new();
    let id = scene.operation(1, write_file(true));
    keep(&scene, "history/prompts/general/.gitkeep", "");
    keep(&scene, "specs/001-a/spec.md", "");
    keep(&scene, "specs/002-b/spec.md", "");
    let folder = |end| record_of(&scene, &id, end).unwrap().path;
    assert_eq!(folder(OperationState::Succeeded), "history/prompts/002-b/0001-deploy-todo-succeeded.green.prompt.md", "outside git the highest number");
    keep(&scene, ".git/HEAD", "ref: refs/heads/001-something-else\n");
    assert_eq!(folder(OperationState::Refused), "history/prompts/001-a/0001-deploy-todo-refused.red.prompt.md", "the branch's number");
    keep(&scene, ".specify/feature.json", "{\"feature_directory\": \"specs/002-b\"}");
    assert_eq!(folder(OperationState::Stuck), "history/prompts/002-b/0001-deploy-todo-stuck.red.prompt.md", "the named feature");
}

#[test]
fn the_repositorys_own_template_is_used_unless_it_cannot_be_filled() {
    let scene = Scene::new();
    let id = scene.operation(1, write_file(true));
    let template = ".specify/templates/phr-template.prompt.md";
    keep(
        &scene,
        template,
        "\u{feff}---\r\nid: \"{{ID}}\"\r\ntitle: {{TITLE}}\r\nextra: {{OURS}}\r\nfiles:\r\n{{FILES_YAML}}\r\n---\r\n\r\n## Mine\r\n\r\n{{PROMPT_TEXT}}\r\n",
    );
    let record = record_of(&scene, &id, OperationState::Succeeded).unwrap();
    assert_eq!(
        record.text,
        format!(
            "---\nid: \"0001\"\ntitle: \"deploy todo succeeded\"\nextra: \"not recorded\"\nfiles:\n - \"api/Dockerfile\"\n---\n\n## Mine\n\nThe operation {id} was asked for with:\n\n    deploy {{\"through\":\"validate\"}}\n"
        )
    );
    for broken in [
        "---\nid: [\n---\n{{PROMPT_TEXT}}\n",
        "no front matter {{PROMPT_TEXT}}\n",
        "---\nid: {{ID}}\n---\nnames no operation\n",
        "---\nid: {{ID}}\n---\n{{PROMPT_TEXT}} {{un finished\n",
    ] {
        keep(&scene, template, broken);
        let text = record_of(&scene, &id, OperationState::Succeeded).unwrap().text;
        assert!(text.contains("## Evaluation notes (flywheel)"), "{broken}: {text}");
    }
}

#[test]
fn a_decision_is_suggested_once_and_never_written() {
    let mut scene = Scene::new();
    scene.operation(1, whole_story(&scene));
    let suggested = |scene: &Scene| scene.tell(ReportKind::Verdict).data["suggested_decision"].clone();
    let first = suggested(&scene);
    assert!(first.as_str().is_some_and(|text| text.contains("inside the cluster") && text.contains("/sp.adr ")), "{first}");
    assert!(!scene.folders().workspace.join("history").exists());
    scene.operation(2, whole_story(&scene));
    assert_eq!(suggested(&scene), Value::Null, "decided before");
    scene = Scene::new();
    scene.operation(1, write_file(true));
    assert_eq!(suggested(&scene), Value::Null, "not carried out");
    scene = Scene::new();
    scene.operation(1, whole_story(&scene));
    let title = suggested(&scene).as_str().unwrap().split("/sp.adr ").nth(1).unwrap().trim_end_matches('`').to_owned();
    let slug = title.to_lowercase().replace([' ', ',', '_'], "-").replace("--", "-");
    keep(&scene, &format!("history/adr/0003-{slug}.md"), "# ADR-0003");
    assert_eq!(suggested(&scene), Value::Null, "recorded already: {slug}");
}

#[test]
fn readiness_says_what_is_there_and_what_is_not() {
    let points = |scene: &Scene| -> std::collections::BTreeSet<String> {
        let told = scene.tell(ReportKind::Readiness);
        let rows = told.data["rows"].as_array().unwrap().clone();
        rows.iter().filter(|row| row["ready"] == true).map(|row| row["row"].as_str().unwrap().to_owned()).collect()
    };
    let mut scene = Scene::new();
    let bare = points(&scene);
    for row in ["P1", "P6", "P8", "S1", "S4", "S5", "C1"] {
        assert!(!bare.contains(row), "{row} is not there: {bare:?}");
    }
    scene.asks(&[("FR-1", "x", None, None)]);
    scene.survey.specs.constitution = Some("constitution.md".into());
    scene.operation(1, whole_story(&scene));
    let full = points(&scene);
    for row in ["P1", "P2", "P4", "P5", "P6", "P8", "P9", "S1", "S2", "S3", "S4", "S5", "C1"] {
        assert!(full.contains(row), "{row} is there: {full:?}");
    }
    scene.survey.services.clear();
    scene.survey.mcp.shape = crate::survey::McpShape::NameOnly;
    let told = scene.tell(ReportKind::Readiness);
    assert!(told.markdown().contains("⚠️ services found: ") && told.markdown().contains("⚠️ MCP: something only called MCP"), "{}", told.markdown());
}

#[test]
fn a_check_that_waited_for_the_cluster_counts_for_the_stage_that_it_belongs_to() {
    let told = |dry_run: Check| {
        let scene = Scene::new();
        let waits = Gate::judge(GateName::Helm, "api", vec![passed("helm.lint"), Check::not_run("helm.dry_run", "?", "the namespace is not there yet")]);
        let carried = Gate::judge(GateName::Helm, "api", vec![passed("helm.lint"), dry_run]);
        let ended = |stage, verdict| (Some(stage), None, Event::StageEnded { verdict });
        scene.operation(
            1,
            vec![
                (Some(StageName::Chart), None, Event::GateJudged { gate: waits }),
                ended(StageName::Chart, Verdict::Incomplete),
                (Some(StageName::Deploy), None, Event::GateJudged { gate: carried }),
                ended(StageName::Deploy, Verdict::Pass),
            ],
        );
        scene.tell(ReportKind::Readiness).markdown()
    };
    let run = told(passed("helm.dry_run"));
    assert!(run.contains("✅ previous chart: pass"), "{run}");
    for other in [Check::not_run("helm.dry_run", "?", "no cluster"), failed("helm.dry_run")] {
        let open = told(other);
        assert!(open.contains("⚠️ previous chart: ") && !open.contains("previous chart: pass"), "{open}");
    }
}

#[test]
fn what_was_not_run_for_one_reason_is_said_once() {
    let scene = Scene::new();
    let open = |reason: &str| Check::not_run("docker.scan", "?", reason).optional();
    let entries = [("api", "no scanner"), ("web", "no scanner"), ("mcp", "no time")];
    scene.operation(1, entries.map(|(name, why)| judged(GateName::Docker, name, vec![passed("docker.builds"), open(why)])).to_vec());
    let told = scene.tell(ReportKind::Verdict);
    assert_eq!(told.not_run.len(), 3);
    let text = told.markdown();
    assert!(text.contains("docker.scan: no scanner (api, web)") && text.contains("docker.scan: no time (mcp)"), "{text}");
}
