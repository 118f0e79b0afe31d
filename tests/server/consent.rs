//! Approvals in every form a client may have: token, elicitation in place, the input-required form, and a person at a terminal alone.

use crate::lines::{Lines, PROGRAM, text_of};
use crate::shop::Shop;
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ErrorData,
    FormElicitationCapability, Implementation, InitializeRequestParams, ProtocolVersion,
};
use rmcp::service::{ClientLifecycleMode, ClientServiceExt as _, RequestContext};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, RoleClient};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// A client whose user always answers the same.
#[derive(Clone)]
struct Client {
    answer: ElicitResult,
    asked: Arc<Mutex<Vec<String>>>,
}

impl ClientHandler for Client {
    fn get_info(&self) -> InitializeRequestParams {
        let mut offered = ClientCapabilities::default();
        offered.elicitation = Some(ElicitationCapability::new().with_form(FormElicitationCapability::new()));
        InitializeRequestParams::new(offered, Implementation::new("test", "1"))
    }

    async fn create_elicitation(&self, request: ElicitRequestParams, _context: RequestContext<RoleClient>) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = request else { panic!("not a form") };
        self.asked.lock().unwrap().push(message);
        Ok(self.answer.clone())
    }
}

#[derive(Clone, Copy, Debug)]
enum Era {
    InPlace,
    InputRequired,
}

/// Replaces the person's chart with a client whose user gives this answer; the result, and what the user was asked.
async fn replace(shop: &Shop, era: Era, mode: &str, answer: ElicitResult) -> (CallToolResult, Vec<String>) {
    let mut command = tokio::process::Command::new(PROGRAM);
    command.args(["serve", "--approval", mode]).envs(shop.machine());
    let client = Client { answer, asked: Arc::default() };
    let lifecycle = match era {
        Era::InPlace => ClientLifecycleMode::Initialize,
        Era::InputRequired => ClientLifecycleMode::Auto { preferred_versions: vec![ProtocolVersion::V_2026_07_28], legacy_version: None },
    };
    let link = client.clone().serve_with_lifecycle(TokioChildProcess::new(command).unwrap(), lifecycle).await.unwrap();
    let request = CallToolRequestParams::new("generate_chart").with_arguments(arguments(shop).as_object().unwrap().clone());
    let result = link.call_tool(request).await.unwrap();
    link.cancel().await.unwrap();
    let asked = client.asked.lock().unwrap().clone();
    (result, asked)
}

fn arguments(shop: &Shop) -> Value {
    json!({ "workspace": shop.workspace(), "on_conflict": "replace" })
}

fn status(result: &CallToolResult) -> String {
    let structure = result.structured_content.clone().unwrap_or_else(|| panic!("no structure: {result:?}"));
    structure["status"].as_str().unwrap().to_owned()
}

fn accept(content: Value) -> ElicitResult {
    ElicitResult::new(ElicitationAction::Accept).with_content(content)
}

#[tokio::test]
async fn a_user_who_agrees_gets_exactly_what_was_shown() {
    for (era, mode) in [(Era::InPlace, "client"), (Era::InputRequired, "client"), (Era::InPlace, "human"), (Era::InputRequired, "human")] {
        let shop = Shop::in_conflict();
        let (result, asked) = replace(&shop, era, mode, accept(json!({ "approve": true }))).await;
        assert_eq!(asked.len(), 1, "{era:?} {mode}");
        assert!(asked[0].contains("shop") && asked[0].contains("values.yaml"), "{asked:?}");
        assert!(!matches!(status(&result).as_str(), "approval_needed" | "declined"), "{era:?} {mode}: {result:?}");
        assert!(!shop.kept(), "{era:?} {mode}: what was approved was not done");
    }
}

#[tokio::test]
async fn a_user_who_declines_changes_nothing() {
    for era in [Era::InPlace, Era::InputRequired] {
        for no in [ElicitResult::new(ElicitationAction::Decline), accept(json!({ "approve": false }))] {
            let shop = Shop::in_conflict();
            let (result, _) = replace(&shop, era, "client", no).await;
            assert_eq!(status(&result), "declined", "{era:?}");
            assert!(shop.kept());
        }
    }
}

#[tokio::test]
async fn a_dismissed_question_leaves_the_token() {
    for era in [Era::InPlace, Era::InputRequired] {
        let shop = Shop::in_conflict();
        let (result, asked) = replace(&shop, era, "client", ElicitResult::new(ElicitationAction::Cancel)).await;
        assert_eq!((status(&result).as_str(), asked.len()), ("approval_needed", 1), "{era:?}");
        assert!(result.structured_content.unwrap()["approval"]["token"].as_str().unwrap().starts_with("lf-"));
        assert!(shop.kept());
    }
}

#[test]
fn a_client_without_questions_hands_the_token_back_once() {
    let shop = Shop::in_conflict();
    let mut server = Lines::of(shop.program(&["serve"]), tempfile::tempdir().unwrap());
    server.open("2025-06-18");
    let asked = server.call("generate_chart", arguments(&shop));
    let approval = &asked["structuredContent"]["approval"];
    let (token, digest) = (approval["token"].as_str().unwrap(), approval["digest"].as_str().unwrap());
    let text = text_of(&asked);
    assert!(text.contains(token) && text.contains(&digest[..12]) && text.contains("values.yaml"), "{text}");
    assert!(shop.kept());

    let mut with = arguments(&shop);
    with["approval"] = json!("lf-00000000000000000000000000000000");
    assert!(text_of(&server.call("generate_chart", with.clone())).contains("APPROVAL_INVALID"), "a token that was made up");
    assert!(shop.kept());

    with["approval"] = json!(token);
    let done = server.call("generate_chart", with);
    assert_ne!(done["structuredContent"]["status"], "approval_needed", "{done}");
    assert!(!shop.kept());
    assert!(server.end().success());
}

#[test]
fn in_human_mode_a_token_alone_is_worth_nothing() {
    let shop = Shop::in_conflict();
    let mut server = Lines::of(shop.program(&["serve", "--approval", "human"]), tempfile::tempdir().unwrap());
    server.open("2025-06-18");
    let asked = server.call("generate_chart", arguments(&shop));
    let reply = &asked["structuredContent"];
    assert_eq!(reply["status"], "approval_needed");
    assert!(reply["approval"].get("token").is_none(), "{reply}");
    assert!(!reply["next"].to_string().contains("\"approval\""), "{reply}");
    let how = reply["approval"]["how"].to_string();
    let token = how.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').find(|word| word.starts_with("lf-")).unwrap().to_owned();
    assert!(how.contains("landfall approve"), "{how}");
    let mut with = arguments(&shop);
    with["approval"] = json!(token);
    let refused = server.call("generate_chart", with);
    assert!(text_of(&refused).contains("APPROVAL_REQUIRED"), "{}", text_of(&refused));
    assert!(shop.kept());
}

#[test]
fn a_forged_state_of_the_input_required_form_is_refused() {
    let shop = Shop::in_conflict();
    let mut server = Lines::of(shop.program(&["serve"]), tempfile::tempdir().unwrap());
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": { "form": {} } },
        "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1" }
    });
    let call = |state: Option<&str>, arguments: Value| {
        let mut params = json!({ "_meta": meta, "name": "generate_chart", "arguments": arguments });
        if let Some(state) = state {
            params["requestState"] = json!(state);
            params["inputResponses"] = json!({ "approve": { "action": "accept", "content": { "approve": true } } });
        }
        params
    };
    server.result("server/discover", json!({ "_meta": meta }));
    let first = server.result("tools/call", call(None, arguments(&shop)));
    assert_eq!(first["resultType"], "input_required", "{first}");
    let state = first["requestState"].as_str().unwrap().to_owned();
    for (forged, arguments) in [
        (format!("{state}AA"), arguments(&shop)),
        ("bm9uc2Vuc2U".to_owned(), arguments(&shop)),
        // What was approved for one call is worth nothing for another.
        (state.clone(), json!({ "workspace": shop.workspace(), "on_conflict": "replace", "expose": "ingress" })),
    ] {
        let answer = server.ask("tools/call", call(Some(&forged), arguments));
        assert!(answer.get("error").is_some(), "{answer}");
    }
    assert!(shop.kept());
}

#[test]
fn the_command_line_takes_no_yes_from_a_pipe() {
    let shop = Shop::in_conflict();
    let workspace = shop.workspace();
    let line = ["chart", &workspace, "--on-conflict", "replace", "--json"];
    let asked = shop.program(&line).arg("--yes").stdin(std::process::Stdio::null()).output().unwrap();
    assert_eq!(asked.status.code(), Some(4), "{}", String::from_utf8_lossy(&asked.stderr));
    assert!(shop.kept());
    let reply: Value = serde_json::from_slice(&asked.stdout).unwrap();
    let token = reply["approval"]["token"].as_str().unwrap();
    let done = shop.program(&line).args(["--approval", token]).stdin(std::process::Stdio::null()).output().unwrap();
    assert_ne!(done.status.code(), Some(4), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!shop.kept());
}
