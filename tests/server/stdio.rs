//! What holds on stdio.

use crate::lines::{Lines, PROGRAM, root, text_of};
use rmcp::ServiceExt as _;
use rmcp::model::{CallToolRequestParams, ProtocolVersion};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _};
use rmcp::transport::TokioChildProcess;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const TOOLS: [&str; 13] = [
    "analyze_project",
    "plan_deployment",
    "containerize",
    "generate_chart",
    "deploy",
    "validate_env",
    "verify_mcp",
    "rollback",
    "cluster_health",
    "operation_status",
    "cancel_operation",
    "deployment_report",
    "ask_advisor",
];

#[test]
fn every_older_revision_is_answered_in_kind() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let mut server = Lines::start(&[]);
        let hello = server.open(version);
        assert_eq!(hello["protocolVersion"], version);
        assert_eq!(hello["serverInfo"]["name"], "landfall");
        assert!(hello["instructions"].as_str().unwrap().contains("analyze_project"));
        assert_eq!(server.result("tools/list", json!({}))["tools"].as_array().unwrap().len(), TOOLS.len(), "{version}");
        assert!(server.end().success());
    }
}

#[test]
fn batches_are_answered_in_the_one_revision_that_has_them() {
    let mut server = Lines::start(&[]);
    server.open("2025-03-26");
    let ping = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "ping" });
    let note = json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 4711 } });
    server.send(&json!([ping(100), note, { "jsonrpc": "2.0", "id": "list", "method": "tools/list" }, ping(101)]));
    let answer = server.next();
    let mut ids: Vec<String> = answer.as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(|one| one["id"].to_string()).collect();
    ids.sort();
    assert_eq!(ids, ["\"list\"", "100", "101"]);
    server.send(&json!([]));
    assert_eq!(server.next()["error"]["code"], -32600);
    // What follows is answered as ever.
    assert!(server.result("ping", json!({})).is_object());
    assert!(server.end().success());

    let mut later = Lines::start(&[]);
    later.open("2025-06-18");
    later.send(&json!([ping(100), ping(101)]));
    assert!(later.result("ping", json!({})).is_object(), "a batch is no message there, and no end");
    assert!(later.end().success());
}

#[test]
fn an_unknown_revision_is_offered_the_newest_with_a_handshake() {
    let mut server = Lines::start(&[]);
    assert_eq!(server.open("1999-01-01")["protocolVersion"], "2025-11-25");
}

#[test]
fn the_revision_without_a_handshake_is_served() {
    let mut server = Lines::start(&[]);
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}, "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" } });
    let found = server.result("server/discover", json!({ "_meta": meta }));
    assert!(found["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{found}");
    let list = server.result("tools/list", json!({ "_meta": meta }));
    assert_eq!(list["tools"].as_array().unwrap().len(), TOOLS.len());
    assert_eq!(list["ttlMs"], 3_600_000);
    assert!(server.end().success());
}

#[test]
fn the_list_of_tools_is_short_fixed_and_annotated() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    let message = server.ask("tools/list", json!({}));
    let size = server.seen.last().unwrap().len();
    assert!(size <= 24 * 1024, "{size} bytes");
    let tools = message["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect::<Vec<_>>(), TOOLS);
    for tool in tools {
        for hint in ["title", "readOnlyHint", "destructiveHint", "openWorldHint"] {
            assert!(!tool["annotations"][hint].is_null(), "{} has no {hint}", tool["name"]);
        }
        let changes = tool["annotations"]["readOnlyHint"] == false;
        assert_eq!(tool["annotations"]["idempotentHint"] == true, changes, "{} can be called again", tool["name"]);
        assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{}", tool["name"]);
        assert_eq!(tool["outputSchema"]["type"], "object", "{}", tool["name"]);
        assert!(tool["description"].as_str().unwrap().len() > 80, "{}", tool["name"]);
    }
    let again = server.ask("tools/list", json!({}));
    assert_eq!(again["result"], message["result"]);
}

#[test]
fn an_unknown_tool_is_a_protocol_error_that_names_the_known_ones() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    let message = server.ask("tools/call", json!({ "name": "deploy_everything", "arguments": {} }));
    assert_eq!(message["error"]["code"], -32602, "{message}");
    assert!(message["error"]["message"].as_str().unwrap().contains("plan_deployment"), "{message}");
}

#[test]
fn an_argument_that_is_wrong_teaches_the_next_call() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    for (arguments, words) in [
        (json!({ "workspce": "/x" }), ["workspce", "known arguments: workspace"]),
        (json!({ "deadline_s": 5 }), ["deadline_s", "10 to 3600"]),
        (json!({ "through": "production" }), ["production", "validate"]),
        (json!({ "services": "backend" }), ["sequence", "known arguments"]),
    ] {
        let result = server.call("deploy", arguments.clone());
        assert_eq!(result["isError"], true, "{arguments}");
        assert!(result.get("structuredContent").is_none(), "an error with structure is refused by clients that check it");
        let text = text_of(&result);
        for word in words {
            assert!(text.contains(word), "{word} is missing: {text}");
        }
        let failure: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(failure["code"], "BAD_ARGUMENT");
    }
}

#[test]
fn a_name_that_breaks_its_rule_gets_the_rule() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    for (arguments, word) in [
        (json!({ "profile": "a b;rm" }), "`profile`"),
        (json!({ "namespace": "kube-system" }), "kube-*"),
        (json!({ "services": ["ok", "../x"] }), "`services`"),
    ] {
        let text = text_of(&server.call("deploy", arguments));
        assert!(text.contains("NAME_INVALID") && text.contains(word) && text.contains("→ use "), "{text}");
    }
}

#[test]
fn null_is_taken_as_left_out() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    let text = text_of(&server.call("deploy", json!({ "workspace": "/nowhere/at/all", "services": null, "deadline_s": null })));
    assert!(!text.contains("BAD_ARGUMENT"), "{text}");
}

#[test]
fn every_call_is_answered_within_three_seconds() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    for tool in TOOLS {
        let began = Instant::now();
        let result = server.call(tool, json!({ "workspace": "/nowhere/at/all" }));
        assert!(began.elapsed() < Duration::from_secs(9), "{tool} took {:?}", began.elapsed());
        assert!(result["isError"] == true || result.get("structuredContent").is_some(), "{tool}: {result}");
    }
}

#[test]
fn garbage_is_survived() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    server.raw(b"this is not JSON\n");
    server.raw(b"{\"jsonrpc\":\"2.0\"}\n");
    server.raw(b"[]\n{}\nnull\n\n");
    server.raw(b"\xff\xfe\x00 not even text\n");
    server.raw(format!("{}\n", "x".repeat(2_000_000)).as_bytes());
    server.raw(format!("{}\n", "[".repeat(100_000)).as_bytes());
    server.raw(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/unheard_of\"}\n");
    let answer = server.ask("ping", json!({}));
    assert_eq!(answer["result"], json!({}), "{answer}");
    assert!(server.end().success());
}

#[test]
fn an_unknown_method_is_an_error_and_no_end() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    assert_eq!(server.ask("tools/destroy", json!({}))["error"]["code"], -32601);
    assert_eq!(server.ask("ping", json!({}))["result"], json!({}));
}

#[test]
fn a_client_that_leaves_ends_the_server_well() {
    assert!(Lines::start(&[]).end().success(), "before a word");
    let mut opened = Lines::start(&[]);
    opened.open("2025-06-18");
    assert!(opened.end().success(), "after the handshake");
}

#[test]
fn a_signal_ends_the_server_well() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    let id = server.child.id();
    assert!(Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap().success());
    assert!(crate::lines::ended(&mut server.child).success());
}

#[test]
fn the_schema_of_every_reply_can_be_read() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    let listed = server.result("resources/list", json!({}));
    for tool in TOOLS {
        let uri = format!("landfall://schema/{tool}");
        assert!(listed["resources"].as_array().unwrap().iter().any(|resource| resource["uri"] == uri.as_str()), "{uri} is not listed");
        let read = server.result("resources/read", json!({ "uri": uri }));
        let schema: Value = serde_json::from_str(read["contents"][0]["text"].as_str().unwrap()).unwrap();
        for field in ["status", "summary", "gates", "diagnoses", "next"] {
            assert!(schema["properties"].get(field).is_some(), "{uri} lacks {field}");
        }
    }
}

#[test]
fn a_resource_that_is_not_there_is_named() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    for uri in
        ["landfall://schema/no_such_tool", "file:///etc/passwd", "landfall://file/../../etc/passwd", "landfall://operation/op-20260101-000000-abcd", "nonsense"]
    {
        let message = server.ask("resources/read", json!({ "uri": uri }));
        assert_eq!(message["error"]["data"]["uri"], uri, "{message}");
        assert!(message.get("result").is_none());
    }
    let templates = server.result("resources/templates/list", json!({}));
    assert!(templates["resourceTemplates"].as_array().unwrap().len() >= 8);
}

#[test]
fn prompts_carry_the_workspace() {
    let mut server = Lines::start(&[]);
    server.open("2025-06-18");
    let list = server.result("prompts/list", json!({}));
    let names: Vec<&str> = list["prompts"].as_array().unwrap().iter().map(|prompt| prompt["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["deploy_app", "why_failing", "roll_back", "cluster_health", "phase4_gap"]);
    for name in names {
        let prompt = server.result("prompts/get", json!({ "name": name, "arguments": { "workspace": "/srv/todo" } }));
        let text = prompt["messages"][0]["content"]["text"].as_str().unwrap();
        assert!(text.contains("/srv/todo") && !text.contains("{workspace}"), "{text}");
        assert!(TOOLS.iter().any(|tool| text.contains(tool)), "{name} names no tool");
    }
    assert_eq!(server.ask("prompts/get", json!({ "name": "sing" }))["error"]["code"], -32602);
}

#[tokio::test]
async fn a_client_of_the_newest_revision_gets_the_same_tools() {
    let state = tempfile::tempdir().unwrap();
    let mut command = tokio::process::Command::new(PROGRAM);
    command.arg("serve").env("LANDFALL_STATE", state.path());
    let mode = ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None };
    let link = ().serve_with_lifecycle(TokioChildProcess::new(command).unwrap(), mode).await.unwrap();
    assert_eq!(link.list_all_tools().await.unwrap().len(), TOOLS.len());
    let answer = link.call_tool(CallToolRequestParams::new("deploy").with_arguments(json!({ "nonsense": 1 }).as_object().unwrap().clone())).await.unwrap();
    assert_eq!(answer.is_error, Some(true));
    link.cancel().await.unwrap();
}

#[tokio::test]
async fn mcp_json_starts_the_server() {
    let text = std::fs::read_to_string(root().join("mcp.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    let entry = &config["mcpServers"]["landfall"];
    assert_eq!(entry["type"], "stdio");
    let folder = std::path::Path::new(PROGRAM).parent().unwrap();
    let path = std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap()))).unwrap();
    // What a client does: the command is looked up in PATH.
    let mut command = tokio::process::Command::new("/usr/bin/env");
    command.arg(entry["command"].as_str().unwrap()).env("PATH", path);
    command.args(entry["args"].as_array().unwrap().iter().map(|argument| argument.as_str().unwrap()));
    let link = ().serve(TokioChildProcess::new(command).unwrap()).await.unwrap();
    assert_eq!(link.list_all_tools().await.unwrap().len(), TOOLS.len());
    link.cancel().await.unwrap();
}
