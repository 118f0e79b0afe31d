//! Every reply has the shape that was promised, and its text is enough for a client that shows only text.

use crate::lines::{Lines, PROGRAM, text_of};
use crate::shape::misfits;
use crate::shop::Shop;
use rmcp::model::{CallToolRequestParams, ClientCapabilities, ErrorData, Implementation, InitializeRequestParams, ListRootsResult, Root};
use rmcp::service::RequestContext;
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Calls that need no cluster, in an order that makes sense.
fn calls(workspace: &str) -> Vec<(&'static str, Value)> {
    vec![
        ("analyze_project", json!({ "workspace": workspace })),
        ("analyze_project", json!({ "workspace": workspace, "detail": "full" })),
        ("plan_deployment", json!({ "workspace": workspace })),
        ("plan_deployment", json!({ "workspace": workspace, "through": "containerize" })),
        ("containerize", json!({ "workspace": workspace, "until": "files" })),
        ("generate_chart", json!({ "workspace": workspace })),
        ("operation_status", json!({ "workspace": workspace, "wait_s": 0 })),
        ("validate_env", json!({ "workspace": workspace, "when": "before" })),
        ("deployment_report", json!({ "workspace": workspace })),
        ("deployment_report", json!({ "workspace": workspace, "kind": "readiness" })),
        ("deployment_report", json!({ "workspace": workspace, "kind": "traceability", "format": "json" })),
        ("deployment_report", json!({ "workspace": workspace, "kind": "audit" })),
        ("cluster_health", json!({ "workspace": workspace })),
        ("verify_mcp", json!({ "workspace": workspace })),
        ("ask_advisor", json!({ "workspace": workspace, "want": "dockerfile" })),
        ("deploy", json!({ "workspace": workspace })),
        ("rollback", json!({ "workspace": workspace })),
        ("cancel_operation", json!({ "workspace": workspace })),
    ]
}

#[test]
fn every_reply_fits_both_of_its_schemas_and_is_told_in_text() {
    let shop = Shop::new();
    let mut server = Lines::of(shop.program(&["serve"]), tempfile::tempdir().unwrap());
    server.open("2025-11-25");
    let list = server.result("tools/list", json!({}));
    let listed: BTreeMap<String, Value> =
        list["tools"].as_array().unwrap().iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool["outputSchema"].clone())).collect();
    let mut with_structure = 0;
    for (tool, arguments) in calls(&shop.workspace()) {
        let result = server.call(tool, arguments.clone());
        let text = text_of(&result);
        assert!(text.len() < 8_500, "{tool}: the text has {} bytes", text.len());
        let Some(structure) = result.get("structuredContent") else {
            assert_eq!(result["isError"], true, "{tool}: {result}");
            let failure: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
            assert!(!failure["help"].as_str().unwrap_or("").is_empty(), "{tool} fails without a next step: {text}");
            continue;
        };
        with_structure += 1;
        let schema = server.result("resources/read", json!({ "uri": format!("landfall://schema/{tool}") }));
        let full: Value = serde_json::from_str(schema["contents"][0]["text"].as_str().unwrap()).unwrap();
        for schema in [&full, &listed[tool]] {
            let wrong = misfits(schema, structure, tool);
            assert!(wrong.is_empty(), "{tool} {arguments}: {wrong:#?}");
        }
        assert!(text.contains(structure["status"].as_str().unwrap()), "{tool}: the status is not in the text: {text}");
        if let Some(verdict) = structure["verdict"].as_str() {
            assert!(text.contains(verdict), "{tool}: the verdict is not in the text");
        }
        if let Some(id) = structure["operation"]["id"].as_str() {
            assert!(text.contains(id), "{tool}: the operation is not in the text");
        }
        for call in structure["next"].as_array().into_iter().flatten().take(4) {
            let callable = json!({ "tool": call["tool"], "arguments": call["arguments"] }).to_string();
            assert!(text.contains(&callable), "{tool}: {callable} is not in the text: {text}");
            assert!(listed.contains_key(call["tool"].as_str().unwrap()), "{tool} names a tool that there is not: {call}");
        }
    }
    assert!(with_structure >= 8, "only {with_structure} calls had a reply");
    assert!(server.end().success());
}

#[test]
fn the_next_calls_can_be_made_as_they_stand() {
    let shop = Shop::new();
    let mut server = Lines::of(shop.program(&["serve"]), tempfile::tempdir().unwrap());
    server.open("2025-11-25");
    let mut made = 0;
    for (tool, arguments) in calls(&shop.workspace()).into_iter().take(9) {
        let result = server.call(tool, arguments);
        for call in result["structuredContent"]["next"].as_array().cloned().into_iter().flatten() {
            let answer = server.call(call["tool"].as_str().unwrap(), call["arguments"].clone());
            assert!(!text_of(&answer).contains("BAD_ARGUMENT"), "{tool} says to call {call}: {}", text_of(&answer));
            made += 1;
        }
    }
    assert!(made > 5, "only {made} calls were named");
}

#[test]
fn a_workspace_outside_the_roots_is_refused() {
    let (shop, other) = (Shop::new(), Shop::new());
    let mut server = Lines::of(shop.program(&["serve", "--root", &shop.workspace()]), tempfile::tempdir().unwrap());
    server.open("2025-11-25");
    let inside = server.call("analyze_project", json!({}));
    assert_eq!(inside["structuredContent"]["status"], "done", "the only root is the default: {inside}");
    for outside in [other.workspace(), "/".to_owned(), format!("{}/../..", shop.workspace()), "relative".to_owned()] {
        let refused = server.call("analyze_project", json!({ "workspace": outside }));
        assert_eq!(refused["isError"], true, "{outside}: {refused}");
    }
}

#[test]
fn progress_is_told_while_a_call_is_open() {
    let shop = Shop::new();
    let mut server = Lines::of(shop.program(&["serve"]), tempfile::tempdir().unwrap());
    server.open("2025-11-25");
    let params = json!({ "name": "generate_chart", "arguments": { "workspace": shop.workspace() }, "_meta": { "progressToken": "p1" } });
    let result = server.result("tools/call", params);
    assert!(result.get("structuredContent").is_some(), "{result}");
    let beats: Vec<Value> =
        server.seen.iter().map(|line| serde_json::from_slice::<Value>(line).unwrap()).filter(|message| message["method"] == "notifications/progress").collect();
    assert!(!beats.is_empty(), "no progress was told");
    for beat in &beats {
        assert_eq!(beat["params"]["progressToken"], "p1");
        assert!(beat["params"]["message"].as_str().unwrap().contains("op-"), "{beat}");
    }
    let grows = beats.windows(2).all(|pair| pair[0]["params"]["progress"].as_f64() <= pair[1]["params"]["progress"].as_f64());
    assert!(grows, "{beats:?}");
}

/// A client that works in these folders alone.
struct Rooted(Vec<String>);

impl ClientHandler for Rooted {
    fn get_info(&self) -> InitializeRequestParams {
        let offered: ClientCapabilities = serde_json::from_value(json!({ "roots": {} })).unwrap();
        InitializeRequestParams::new(offered, Implementation::new("test", "1"))
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(self.0.iter().map(Root::new).collect()))
    }
}

#[tokio::test]
async fn the_clients_own_roots_are_kept() {
    let (shop, other) = (Shop::new(), Shop::new());
    let mut command = tokio::process::Command::new(PROGRAM);
    command.arg("serve").envs(shop.machine());
    // Clients encode what they like.
    let root = format!("file://{}", shop.workspace().replace('s', "%73"));
    let link = Rooted(vec![root]).serve(TokioChildProcess::new(command).unwrap()).await.unwrap();
    let call = |arguments: Value| link.call_tool(CallToolRequestParams::new("analyze_project").with_arguments(arguments.as_object().unwrap().clone()));
    assert_eq!(call(json!({})).await.unwrap().is_error, Some(false), "the only root is the default");
    assert_eq!(call(json!({ "workspace": shop.workspace() })).await.unwrap().is_error, Some(false));
    let refused = call(json!({ "workspace": other.workspace() })).await.unwrap();
    assert_eq!(refused.is_error, Some(true));
    assert!(format!("{refused:?}").contains("WORKSPACE_NOT_ALLOWED"), "{refused:?}");
    link.cancel().await.unwrap();
}
