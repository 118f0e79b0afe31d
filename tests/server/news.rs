//! What a client hears while it waits, what it may stop, and operations as tasks.

use crate::lines::{Lines, text_of};
use crate::modern::meta;
use crate::shop::Shop;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn serve(shop: &Shop) -> Lines {
    Lines::of(shop.program(&["serve", "--root", &shop.workspace()]), tempfile::tempdir().unwrap())
}

/// The state of the newest operation once it has settled.
fn settled(server: &mut Lines) -> Value {
    for _ in 0..40 {
        let status = server.call("operation_status", json!({}));
        if status["structuredContent"]["status"] == "done" {
            return status["structuredContent"]["operation"].clone();
        }
    }
    panic!("the operation does not settle");
}

#[test]
fn progress_only_grows_and_says_what_is_done() {
    let shop = Shop::slow();
    let mut server = serve(&shop);
    server.open("2025-11-25");
    server.result("tools/call", json!({ "name": "generate_chart", "arguments": {}, "_meta": { "progressToken": 7 } }));
    let beats = server.notifications("notifications/progress");
    assert!(beats.len() > 1, "{beats:?}");
    for pair in beats.windows(2) {
        assert!(pair[0]["params"]["progress"].as_f64() < pair[1]["params"]["progress"].as_f64(), "{pair:?}");
    }
    for beat in &beats {
        assert_eq!((&beat["params"]["progressToken"], beat["params"]["message"].as_str().unwrap().contains("generate_chart")), (&json!(7), true), "{beat}");
    }
    // Whoever gave no token hears nothing.
    let before = beats.len();
    server.call("operation_status", json!({}));
    assert_eq!(server.notifications("notifications/progress").len(), before);
}

#[test]
fn log_messages_keep_to_the_level_that_was_set() {
    let check = |shop: Shop, level: Option<&str>, expect: &[&str]| {
        let mut server = serve(&shop);
        let hello = server.open("2025-06-18");
        assert!(hello["capabilities"]["logging"].is_object(), "{hello}");
        if let Some(level) = level {
            server.result("logging/setLevel", json!({ "level": level }));
        }
        server.call("generate_chart", json!({}));
        let logged = server.notifications("notifications/message");
        let mut levels: Vec<&str> = logged.iter().map(|message| message["params"]["level"].as_str().unwrap()).collect();
        levels.dedup();
        assert_eq!(levels, expect, "{level:?}: {logged:?}");
        assert!(server.ask("logging/setLevel", json!({ "level": "loud" })).get("error").is_some());
        assert!(server.end().success());
    };
    let refused = || {
        let shop = Shop::new();
        shop.helm(0);
        shop
    };
    // A gate that refuses is an error; what happens on the way is information.
    check(refused(), None, &["error"]);
    check(refused(), Some("error"), &["error"]);
    check(refused(), Some("critical"), &[]);
    check(Shop::slow(), None, &[]);
    check(Shop::slow(), Some("info"), &["info"]);
}

#[test]
fn in_the_newest_revision_a_request_says_what_it_wants_to_hear() {
    let shop = Shop::new();
    let mut server = serve(&shop);
    let mut quiet = meta(&json!({}));
    server.result("server/discover", json!({ "_meta": quiet }));
    server.result("tools/call", json!({ "_meta": quiet, "name": "generate_chart", "arguments": {} }));
    assert_eq!(server.notifications("notifications/message"), Vec::<Value>::new());
    quiet["io.modelcontextprotocol/logLevel"] = json!("debug");
    server.result("tools/call", json!({ "_meta": quiet, "name": "containerize", "arguments": { "until": "files" } }));
    assert!(!server.notifications("notifications/message").is_empty());
}

#[test]
fn cancelling_a_call_ends_the_waiting_and_not_the_operation() {
    let shop = Shop::slow();
    let mut server = serve(&shop);
    server.open("2025-11-25");
    server.send(&json!({ "jsonrpc": "2.0", "id": "cut", "method": "tools/call", "params": { "name": "generate_chart", "arguments": {} } }));
    let runs = |server: &mut Lines| server.call("operation_status", json!({ "wait_s": 0 }))["structuredContent"]["operation"]["state"] == "running";
    let begun = Instant::now();
    while !runs(&mut server) {
        assert!(begun.elapsed() < Duration::from_secs(15), "the operation does not begin");
        std::thread::sleep(Duration::from_millis(50));
    }
    server.send(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "cut", "reason": "the user went away" } }));
    assert!(runs(&mut server), "the operation ends with its call");
    // It ends by itself, with what it was asked for.
    assert_eq!(settled(&mut server)["state"], "refused");
    assert!(shop.values().is_file());
    let answered = server.seen.iter().any(|line| serde_json::from_slice::<Value>(line).unwrap()["id"] == "cut");
    assert!(!answered, "a cancelled call is not answered");
    assert!(server.end().success());
}

#[test]
fn a_client_with_tasks_gets_one_that_ends_as_the_operation_does() {
    let shop = Shop::slow();
    let can = meta(&json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }));
    let mut server = serve(&shop);
    let found = server.result("server/discover", json!({ "_meta": can }));
    assert!(found["capabilities"]["extensions"]["io.modelcontextprotocol/tasks"].is_object(), "{found}");
    let begun = server.result("tools/call", json!({ "_meta": can, "name": "generate_chart", "arguments": {} }));
    assert_eq!((&begun["resultType"], &begun["status"]), (&json!("task"), &json!("working")), "{begun}");
    let task = begun["taskId"].as_str().unwrap().to_owned();
    assert!(task.starts_with("op-") && begun["pollIntervalMs"].as_u64().unwrap() > 0 && begun["ttlMs"].as_u64().unwrap() > 0, "{begun}");
    // Whoever asks after this process has gone gets the same answer.
    assert!(server.end().success());
    let mut server = serve(&shop);
    server.result("server/discover", json!({ "_meta": can }));
    let mut last = Value::Null;
    for _ in 0..100 {
        last = server.result("tasks/get", json!({ "_meta": can, "taskId": task }));
        if last["status"] != "working" {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(last["status"], "completed", "{last}");
    let reply = &last["result"]["structuredContent"];
    assert_eq!((&reply["verdict"], &reply["operation"]["tool"]), (&json!("refused"), &json!("generate_chart")), "{last}");
    assert!(reply["charts"].is_array() && text_of(&last["result"]).contains("refused"));
    for (method, task) in
        [("tasks/get", "op-20200101-000000-aaaa"), ("tasks/get", "../.."), ("tasks/cancel", "nonsense"), ("tasks/cancel", &task), ("tasks/update", &task)]
    {
        let answer = server.ask(method, json!({ "_meta": can, "taskId": task, "inputResponses": {} }));
        assert_eq!(answer["error"]["code"], -32602, "{method} {task}: {answer}");
    }
    // A client that did not say that it has tasks gets none.
    shop.helm(0);
    assert!(server.ask("tasks/get", json!({ "_meta": meta(&json!({})), "taskId": task }))["error"]["code"].as_i64().unwrap() < 0);
    let plain = server.result("tools/call", json!({ "_meta": meta(&json!({})), "name": "generate_chart", "arguments": {} }));
    assert!(plain.get("taskId").is_none() && plain["structuredContent"].is_object(), "{plain}");
}

#[test]
fn cancelling_a_task_cancels_its_operation() {
    let shop = Shop::slow();
    let can = meta(&json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } }));
    let mut server = serve(&shop);
    server.result("server/discover", json!({ "_meta": can }));
    let begun = server.result("tools/call", json!({ "_meta": can, "name": "generate_chart", "arguments": {} }));
    let task = begun["taskId"].clone();
    server.result("tasks/cancel", json!({ "_meta": can, "taskId": task }));
    let operation = task.as_str().unwrap().split('.').next().unwrap();
    let asked = std::path::Path::new(&shop.workspace()).join(".landfall/operations").join(operation).join("cancel");
    assert!(asked.is_file(), "the operation was not asked to stop");
    let ended = (0..60).any(|_| {
        std::thread::sleep(Duration::from_millis(200));
        server.result("tasks/get", json!({ "_meta": can, "taskId": task }))["status"] != "working"
    });
    assert!(ended, "the operation goes on after it was cancelled");
}
