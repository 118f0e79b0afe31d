//! examples/todo on a real cluster: what it says of its own routes becomes smoke tests, its chatbot's way is proven with a scripted model, and docs/reports holds what it really gets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "tests may stop at the first surprise"
)]

#[path = "cluster/app.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests on the cluster")]
mod app;

use app::{App, PATIENCE, Said, copy, output};
use regex::Regex;
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn todo() -> App {
    let profile = std::env::var("LANDFALL_TEST_PROFILE").expect("LANDFALL_TEST_PROFILE names the test profile: eval \"$(tests/testbed/testbed.sh env)\"");
    let (folder, state) = (tempfile::Builder::new().prefix("todo").tempdir().unwrap(), Arc::new(tempfile::tempdir().unwrap()));
    let app = App { name: format!("todo-{}", std::process::id()), profile, folder, state, began: Instant::now(), guest: false };
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/todo"), app.root());
    let decisions = "[gates]\nlatency_p95_ms = 5000\nlatency_rate_per_s = 5\nlatency_for_s = 2\n[backing]\npostgres = \"in_cluster\"\n[secrets]\nJWT_SECRET = \"generate\"\n";
    std::fs::write(app.path("landfall.toml"), format!("schema = 1\n[app]\nname = \"{}\"\n{decisions}", app.name)).unwrap();
    app
}

/// Asks, approves with the token of the answer, and follows to the end.
fn approved(app: &App, words: &[&str]) -> Said {
    let here = app.root().to_str().unwrap();
    let all = [&words[..1], &[here, "--json", "--profile", &app.profile], &words[1..]].concat();
    let asked = app.run(&all);
    let token = asked.reply["approval"]["token"].as_str().unwrap_or_else(|| panic!("{asked:?}")).to_owned();
    app.run(&[&all[..], &["--approval", &token]].concat())
}

fn checks<'a>(said: &'a Said, id: &str) -> Vec<&'a Value> {
    let gates = said.reply["gates"].as_array().unwrap_or_else(|| panic!("{said:?}"));
    gates.iter().flat_map(|gate| gate["checks"].as_array().unwrap()).filter(|check| check["id"] == id).collect()
}

/// Three images and a database: for the full tier.
#[test]
fn long_the_example_describes_itself_its_chat_changes_a_row_and_its_reports_are_in_the_documentation() {
    let mut app = todo();
    let here = app.root().to_str().unwrap().to_owned();
    let done = approved(&app, &["deploy"]);
    app.is_verified(&done, 1);
    app.step("the example is deployed and verified");

    // metrics-server has figures about a minute after a pod started.
    let measured = || {
        Command::new("kubectl")
            .args(["-n", &app.name, "top", "pods", "--no-headers"])
            .output()
            .is_ok_and(|told| String::from_utf8_lossy(&told.stdout).lines().count() >= 4)
    };
    let began = Instant::now();
    while !measured() {
        assert!(began.elapsed() < PATIENCE * 3, "metrics never come");
        std::thread::sleep(Duration::from_secs(1));
    }
    let validated = app.run(&["validate", &here, "--json", "--profile", &app.profile]);
    let advice = validated.reply["advice"].to_string();
    assert!(advice.contains("backend-story") && advice.contains("backend-chat"), "{advice}");
    let proposal = validated.reply["advice"].as_array().unwrap().iter().find_map(|text| text.as_str()?.split_once("\n\n")).expect("a proposal").1.to_owned();
    let decisions = app.read("landfall.toml");
    std::fs::write(app.path("landfall.toml"), format!("{decisions}{proposal}")).unwrap();
    let written = approved(&app, &["validate", "--smoke", "writing"]);
    for name in ["routes", "story"] {
        let found = checks(&written, &format!("validation.smoke.backend-{name}"));
        assert!(found.len() == 1 && found[0]["outcome"] == "pass", "{found:?}");
    }
    assert_eq!(checks(&written, "validation.latency").iter().filter(|check| check["outcome"] == "pass").count(), 3, "{written:?}");
    app.step("its own description gives smoke tests that pass, and nothing is written unasked");

    let namespace = app.name.clone();
    let pods =
        move || output("kubectl", &["-n", &namespace, "get", "pods", "-o", "jsonpath={range .items[*]}{.metadata.name} {.metadata.generation}{\"\\n\"}{end}"]);
    let before = pods();
    let proven = approved(&app, &["verify-mcp", "--writes", "with_cleanup", "--chat-path", "prove"]);
    let chat = checks(&proven, "validation.mcp_chat");
    assert!(chat.len() == 1 && chat[0]["outcome"] == "pass", "{proven:?}");
    let told = chat[0].to_string();
    assert!(told.contains("scripted model") && told.contains("called add_task") && told.contains("GET /api/{user_id}/tasks: 200"), "{told}");
    for id in ["validation.mcp_offered", "validation.mcp_schema", "validation.mcp_write"] {
        let found = checks(&proven, id);
        assert!(found.len() == 1 && found[0]["outcome"] == "pass", "{id}: {found:?}");
    }
    assert!(proven.reply["tools"].as_array().unwrap().iter().all(|tool| tool["in_chatbot"] == true), "{}", proven.reply["tools"]);
    same_again(&pods, &before);
    app.step("a chat message leads to a tool call and a changed row, and what runs is not touched");

    let bless = std::env::var_os("LANDFALL_BLESS").is_some();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reports");
    let mut odd = Vec::new();
    for (kind, format, name) in [
        ("readiness", "markdown", "readiness.md"),
        ("health", "markdown", "health.md"),
        ("verdict", "markdown", "verdict.md"),
        ("traceability", "markdown", "traceability.md"),
        ("verdict", "html", "verdict.html"),
    ] {
        let file = app.state.path().join(name);
        app.run(&["report", &here, "--profile", &app.profile, "--kind", kind, "--format", format, "--output", file.to_str().unwrap(), "--json"]);
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.replace(&here, "/path/to/todo").replace(&app.name, "todo").replace(&app.profile, "minikube");
        let kept = folder.join(name);
        if bless {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&kept, &text).unwrap();
        } else {
            let (was, now) = (comparable(&std::fs::read_to_string(&kept).unwrap_or_default()), comparable(&text));
            let other = was.iter().zip(&now).find(|(was, now)| was != now);
            if was.is_empty() || other.is_some() || was.len() != now.len() {
                odd.push(format!("{name}: {other:?}"));
            }
        }
    }
    app.edit("landfall.toml", "called {unique}\"}'", "called something\"}'");
    let refused = approved(&app, &["verify-mcp", "--writes", "with_cleanup", "--chat-path", "prove"]);
    assert_eq!((refused.code, &checks(&refused, "validation.mcp_chat")[0]["outcome"]), (3, &Value::from("fail")), "{refused:?}");
    same_again(&pods, &before);
    std::fs::write(app.path("landfall.toml"), decisions).unwrap();
    app.step("a message whose words are not in the list afterwards proves nothing");

    assert!(odd.is_empty(), "docs/reports is not what the example gets: {odd:?}; if that is meant: LANDFALL_BLESS=1");
    app.step("the reports in docs/reports are those of the example");
}

/// What runs was not touched, and what was started for the proof goes.
fn same_again(pods: &dyn Fn() -> String, before: &str) {
    let began = Instant::now();
    while pods() != before {
        assert!(began.elapsed() < PATIENCE, "{} is not {before}", pods());
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lines of a report that are the same on every machine: without ids, times, digests and figures, and the cluster's warnings.
fn comparable(text: &str) -> Vec<String> {
    let changing = ["  - event ", "recent warnings"];
    let mut text: String = text.lines().filter(|line| !changing.iter().any(|words| line.contains(words))).flat_map(|line| [line, "\n"]).collect();
    for (pattern, same) in [
        (r"op-\d{8}-\d{6}-[0-9a-f]{4}", "operation"),
        (r"evidence/\d+", "evidence"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| UTC)?|\b\d\d:\d\d:\d\d\b", "time"),
        (r"\b(backend|frontend|mcp-server|postgres)-[a-z0-9]{6,10}-[a-z0-9]{5}\b", "$1-pod"),
        (r"\bbackend-chat-[0-9a-f]{4}\b", "backend-chat"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|\b[0-9a-f]{12,64}\b", "digest"),
        (r"\b\d+(\.\d+)? ?(ms|s|MB|MiB|GiB|kB|m CPU|lines)\b", "figure"),
        (r"\b\d+\.\d+\.\d+\.\d+(:\d{5})?\b", "address"),
        (r"\b(margin-left|width):\d+(\.\d+)?%", "$1"),
        // Where a text is cut depends on the length of what stands before.
        (r"[^\s<>]*…", "…"),
    ] {
        text = Regex::new(pattern).unwrap().replace_all(&text, same).into_owned();
    }
    text.lines().map(str::to_owned).collect()
}
