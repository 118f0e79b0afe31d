//! docs/checks.md: every row of the checklist with what shows it, a test in which it is seen passing and one in which it is seen failing.

use super::{none, read, root};
use landfall::report::checklist::{CHECKS, ROWS, Shown};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

const GATES: &str = "src/stages/tests.rs";
const DOCKER: (&str, &str) = (GATES, "every_check_of_the_docker_gate_fails_for_its_own_fault_alone");
const REGISTRY: (&str, &str) = (GATES, "an_image_is_pushed_and_pulled_by_every_node_or_the_gate_refuses");
const BUILD: (&str, &str) = ("tests/cluster_adapters.rs", "a_failing_build_says_which_step_and_why");
const HELM: (&str, &str) = (GATES, "every_check_of_the_helm_gate_fails_for_its_own_fault_alone");
const LAW: (&str, &str) = (GATES, "a_principle_that_is_broken_refuses_the_helm_gate");
const KUBERNETES: (&str, &str) = ("src/rollout/follow.rs", "every_check_of_the_kubernetes_gate_fails_for_its_own_fault_alone");
const VALIDATION: (&str, &str) = (GATES, "every_check_of_the_validation_gate_fails_for_its_own_fault_alone");
const MCP: (&str, &str) = (GATES, "every_check_of_an_mcp_server_fails_for_its_own_fault_alone");
const CHAT: (&str, &str) = (GATES, "a_chat_message_is_proven_by_the_call_of_a_tool_and_by_what_it_changed");
const TRIP: (&str, &str) = ("src/stages/roundtrip.rs", "a_row_is_added_read_back_and_taken_away");
const SPECIFIED: (&str, &str) = (GATES, "what_a_server_lists_is_compared_with_what_the_specs_name");
const KEYS: (&str, &str) = ("src/stages/keys.rs", "a_key_is_used_by_name_with_its_whole_object_or_as_a_file");
const OUTSIDE: (&str, &str) = (GATES, "what_is_offered_outside_is_asked_from_this_machine");
const BROWSER: (&str, &str) = (GATES, "a_script_that_calls_what_no_browser_reaches_is_found_and_refuses_nothing");
const LIFE: (&str, &str) = ("tests/cluster_main.rs", "an_app_lives_through_its_revisions");
const BEGUN: (&str, &str) = ("tests/cluster_main.rs", "what_was_begun_is_taken_back_or_finished");
const REHEARSED: Test = ("tests/engine.rs", "the_way_back_is_rehearsed_before_anything_is_touched");
const ADVICE: &str = "tests/engine/advice.rs";
const REPORTS: &str = "src/report/tests.rs";

/// A file and the name of a test in it.
type Test = (&'static str, &'static str);

/// Where a check is seen passing and failing.
const CHECKED: &[(&str, Test, Test)] = &[
    ("docker.proposal", (ADVICE, "a_dockerfile_is_built_judged_and_applied_by_nobody"), (ADVICE, "a_dockerfile_that_breaks_a_rule_is_neither_built_nor_shown")),
    ("helm.proposal", (ADVICE, "values_pass_the_helm_gate_or_are_refused"), (ADVICE, "values_pass_the_helm_gate_or_are_refused")),
    ("docker.builds", DOCKER, BUILD),
    ("docker.pushed", REGISTRY, REGISTRY),
    ("docker.pullable", REGISTRY, REGISTRY),
    ("docker.", DOCKER, DOCKER),
    ("helm.constitution", HELM, LAW),
    ("helm.", HELM, HELM),
    ("rollback.", REHEARSED, REHEARSED),
    ("kubernetes.", KUBERNETES, KUBERNETES),
    ("validation.mcp_chat", CHAT, CHAT),
    ("validation.mcp_offered", CHAT, CHAT),
    ("validation.mcp_write", TRIP, TRIP),
    ("validation.mcp_spec", SPECIFIED, SPECIFIED),
    ("validation.keys", KEYS, KEYS),
    ("validation.outside", OUTSIDE, OUTSIDE),
    ("validation.browser", BROWSER, BROWSER),
    ("validation.mcp", MCP, MCP),
    ("validation.", VALIDATION, VALIDATION),
];

/// Where a row that no check of a gate decides is seen holding and broken.
const MADE: &[(&str, Test, Test)] = &[
    ("S5", LIFE, ("src/stages/deploy.rs", "the_class_decides_after_a_refusal")),
    (
        "R1",
        ("src/adapters/proof.rs", "a_live_local_minikube_is_proven"),
        ("src/adapters/proof.rs", "a_context_of_the_profiles_name_that_points_to_a_cloud_refuses"),
    ),
    ("R2", ("src/render/compare.rs", "a_file_is_created_updated_or_left"), ("src/render/compare.rs", "what_a_person_changed_is_never_overwritten")),
    (
        "R7",
        (REPORTS, "a_chain_leads_from_the_requirement_to_the_event_that_shows_it"),
        (REPORTS, "a_requirement_is_proven_by_its_check_on_every_service_and_by_nothing_less"),
    ),
    (
        "T5",
        ("src/rollout/tests.rs", "health_counts_what_is_well_and_diagnoses_what_is_not"),
        ("src/rollout/tests.rs", "health_counts_what_is_well_and_diagnoses_what_is_not"),
    ),
    ("T7", LIFE, BEGUN),
    ("P1", (REPORTS, "readiness_says_what_is_there_and_what_is_not"), (REPORTS, "readiness_says_what_is_there_and_what_is_not")),
    ("P2", (REPORTS, "readiness_says_what_is_there_and_what_is_not"), (REPORTS, "readiness_says_what_is_there_and_what_is_not")),
    (
        "P3",
        ("tests/cluster_kube.rs", "a_good_release_becomes_ready_is_probed_and_leaves_the_namespace_clean"),
        ("tests/cluster_kube.rs", "a_pod_too_large_for_the_node_is_refused"),
    ),
    ("P4", (REPORTS, "readiness_says_what_is_there_and_what_is_not"), LAW),
    ("P5", (REPORTS, "readiness_says_what_is_there_and_what_is_not"), (REPORTS, "readiness_says_what_is_there_and_what_is_not")),
    ("P6", (REPORTS, "readiness_says_what_is_there_and_what_is_not"), (REPORTS, "readiness_says_what_is_there_and_what_is_not")),
    ("P7", LIFE, LIFE),
    ("P8", (REPORTS, "readiness_says_what_is_there_and_what_is_not"), (REPORTS, "readiness_says_what_is_there_and_what_is_not")),
    ("P9", ("src/approval.rs", "a_token_is_spent_once_and_for_its_digest_only"), ("src/approval.rs", "in_human_mode_a_token_alone_is_not_a_word")),
    (
        "C1",
        (REPORTS, "the_verdict_is_not_complete_before_somebody_looked_at_what_runs"),
        (REPORTS, "the_verdict_is_not_complete_before_somebody_looked_at_what_runs"),
    ),
    (
        "C3",
        (REPORTS, "the_verdict_is_not_complete_before_somebody_looked_at_what_runs"),
        (REPORTS, "a_trail_that_was_changed_by_hand_says_so_and_shows_nothing"),
    ),
    ("F1", ("src/rollout/tests.rs", "a_ready_release_is_ready_and_a_young_one_waits"), ("src/rollout/tests.rs", "an_image_of_ours_that_never_arrived")),
    ("F2", ("src/rollout/tests.rs", "a_dependency_that_comes_up_gets_time"), ("src/rollout/tests.rs", "a_generic_crash_needs_three_ends_or_a_minute")),
    ("F3", ("src/rollout/tests.rs", "a_ready_release_is_ready_and_a_young_one_waits"), ("src/rollout/tests.rs", "pods_that_no_node_takes")),
    ("F4", ("src/rollout/tests.rs", "a_ready_release_is_ready_and_a_young_one_waits"), ("src/rollout/tests.rs", "a_service_whose_selector_fits_no_pod")),
];

/// The tests of a row: passing, failing. Of a row with checks, each check's own, without repeating.
fn tests_of(id: &str, shown: Shown) -> (Vec<Test>, Vec<Test>) {
    let by_check = matches!(shown, Shown::Checks(_));
    let (names, table) = if let Shown::Checks(ids) = shown { (ids.to_vec(), CHECKED) } else { (vec![id], MADE) };
    let same = |known: &str, name: &str| if by_check { name.starts_with(known) } else { name == known };
    let (mut passing, mut failing) = (Vec::new(), Vec::new());
    for name in names {
        let Some((_, pass, fail)) = table.iter().find(|(known, ..)| same(known, name)) else {
            panic!("no test shows {id} ({name})");
        };
        passing.push(*pass);
        failing.push(*fail);
    }
    passing.dedup();
    failing.dedup();
    (passing, failing)
}

fn page() -> String {
    let mut text = String::from(
        "# Checks\n\nWhat a Phase IV deployment has to show, what shows it, and where that is seen passing and failing. This page is made from the tables in `src/report/checklist.rs` and `tests/tidy/checks.rs`; a test compares them.\n\nTests in `src/` and `tests/tidy*`, `tests/server*` run anywhere; tests in `tests/cluster_*` on a Minikube. The verdict of `deployment_report` marks each row that checks decide.\n\n## Rows\n\n| row | what | shown by | seen passing | seen failing |\n| --- | --- | --- | --- | --- |\n",
    );
    let told = |tests: &[Test]| tests.iter().map(|(file, name)| format!("`{name}` ({file})")).collect::<Vec<_>>().join("<br>");
    for row in ROWS {
        let shown = match row.shown {
            Shown::Checks(ids) => ids.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" "),
            Shown::Made(how) => how.to_owned(),
            Shown::Report(kind) => format!("the {kind} report"),
        };
        let (passing, failing) = tests_of(row.id, row.shown);
        let _ = writeln!(text, "| {} | {} | {shown} | {} | {} |", row.id, row.what, told(&passing), told(&failing));
    }
    text.push_str("\n## Checks of the gates\n\n| check | asks |\n| --- | --- |\n");
    for (check, what) in CHECKS {
        let _ = writeln!(text, "| `{check}` | {what} |");
    }
    text
}

#[test]
fn every_row_of_the_checklist_has_a_test_that_passes_and_one_that_fails() {
    let mut lost = Vec::new();
    for row in ROWS {
        let (passing, failing) = tests_of(row.id, row.shown);
        let gone = passing.iter().chain(&failing).filter(|(file, name)| !read(file).contains(&format!("fn {name}(")));
        lost.extend(gone.map(|(file, name)| format!("{}: {file} has no test {name}", row.id)));
    }
    none("tests that docs/checks.md would name", &lost);

    let path = root().join("docs/checks.md");
    let real = page();
    if std::env::var_os("LANDFALL_BLESS").is_some() {
        fs::write(&path, &real).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == real,
        "docs/checks.md is not what the tables say; if that is meant: LANDFALL_BLESS=1 cargo test --test tidy"
    );
}

#[test]
fn the_table_of_checks_is_the_checks_of_the_code() {
    let made = regex::Regex::new(r#""((?:docker|helm|rollback|kubernetes|validation)\.[a-z_]+)(?:\.(?:\{\}|")|")"#).unwrap();
    let mut real = BTreeSet::new();
    for file in ["src/draft", "src/stages", "src/rollout"] {
        for entry in ignore::WalkBuilder::new(root().join(file)).build().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            let text = fs::read_to_string(entry.path()).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            if entry.path().ends_with("tests.rs") {
                continue;
            }
            real.extend(made.captures_iter(code).map(|found| found[1].to_owned()));
        }
    }
    let known = ["kubernetes.io"];
    real.retain(|check| !known.iter().any(|other| check.starts_with(other)));
    let told: BTreeSet<String> = CHECKS.iter().map(|(check, _)| (*check).to_owned()).collect();
    let odd: Vec<_> = real.symmetric_difference(&told).filter(|check| !["helm.constitution", "validation.smoke"].contains(&check.as_str())).collect();
    assert!(odd.is_empty(), "in the table or in the code alone: {odd:?}");
}
