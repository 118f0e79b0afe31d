//! What holds for the command line as a process.

use crate::lines::PROGRAM;
use serde_json::Value;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

fn run(arguments: &[&str]) -> Output {
    let state = tempfile::tempdir().unwrap();
    Command::new(PROGRAM).args(arguments).env("LANDFALL_STATE", state.path()).current_dir(state.path()).output().unwrap()
}

#[test]
fn a_line_that_is_wrong_ends_with_two() {
    for line in [
        &["deploy", "--nonsense"][..],
        &["fly"],
        &["deploy", "--deadline-s", "5"],
        &["plan", "--through", "moon"],
        &["plan", "--namespace", "kube-system"],
        &["serve", "--allow-host", "x"],
    ] {
        let done = run(line);
        assert_eq!(done.status.code(), Some(2), "{line:?}: {}", String::from_utf8_lossy(&done.stderr));
        assert!(done.stdout.is_empty());
        assert!(!done.stderr.is_empty());
    }
}

#[test]
fn with_json_stdout_is_json_and_nothing_else() {
    for line in [
        &["analyze", "/nowhere/at/all", "--json"][..],
        &["status", "/nowhere/at/all", "--json"],
        &["doctor", "--json"],
        &["operations", "list", "/nowhere/at/all", "--json"],
    ] {
        let done = run(line);
        let parsed: Result<Value, _> = serde_json::from_slice(&done.stdout);
        assert!(parsed.is_ok(), "{line:?}: {}", String::from_utf8_lossy(&done.stdout));
    }
}

#[test]
fn a_folder_that_does_not_exist_is_a_failure_with_a_next_step() {
    let done = run(&["analyze", "/nowhere/at/all"]);
    assert_eq!(done.status.code(), Some(2), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(done.stdout.is_empty());
}

#[test]
fn alone_it_says_what_is_here_and_the_next_command() {
    let done = run(&[]);
    assert!(done.status.success());
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("landfall") && text.contains("Next"), "{text}");
    assert!(!text.contains('\x1b'), "no colours where stdout is no terminal");
}

#[test]
fn shells_get_completions() {
    let done = run(&["completions", "bash"]);
    assert!(done.status.success());
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(text.contains("verify-mcp") && text.contains("purge-data"));
}

#[test]
fn an_approval_is_not_given_by_a_pipe() {
    let done = Command::new("setsid").args(["--wait", PROGRAM, "approve", "lf-0123456789abcdef0123456789abcdef"]).output();
    // Without util-linux there is nothing to try it with.
    let Ok(done) = done else { return };
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("terminal"), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_worker_is_launched_apart_and_logs_into_its_operation() {
    let state = tempfile::tempdir().unwrap();
    let workspace = tempfile::tempdir().unwrap();
    let id = "op-20260102-030405-a1b2";
    let folder = workspace.path().join(".landfall/operations").join(id);
    std::fs::create_dir_all(&folder).unwrap();
    let launch = |id: &str| {
        Command::new(PROGRAM).args(["operation", "launch", id, "--workspace"]).arg(workspace.path()).env("LANDFALL_STATE", state.path()).output().unwrap()
    };
    let began = Instant::now();
    let done = launch(id);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(began.elapsed() < Duration::from_secs(8), "the launcher waits for nobody");
    let process: u32 = String::from_utf8(done.stdout).unwrap().trim().parse().unwrap();
    assert!(process > 1);
    // There is no request in the folder, so the worker ends with a failure in its log.
    let log = folder.join("worker.log");
    let told = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        std::fs::read_to_string(&log).is_ok_and(|text| !text.trim().is_empty())
    });
    assert!(told, "worker.log stays empty");
    assert_eq!(launch("op-20260102-030405-ffff").status.code(), Some(2), "an operation that does not exist is not launched");
    assert_eq!(launch("../../etc").status.code(), Some(2));
}
