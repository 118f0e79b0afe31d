//! Asks a client's user for an approval, in the form the client speaks; the engine alone decides what an approval is worth.

use landfall::config::ApprovalMode;
use landfall::reply::{Reply, Status};
use rmcp::RoleServer;
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationSchema, ErrorData, InputRequest, InputRequests, InputRequiredResult,
    InputResponses, RequestStateCodec, SealOptions,
};
use rmcp::service::{ElicitationError, RequestContext};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a person may think while a call of the older revisions is open.
const THINKING: Duration = Duration::from_secs(50);
/// How long an answer of the input-required form is taken.
const SEALED: Duration = Duration::from_secs(600);
const QUESTION: &str = "approve";

/// What the person answers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Confirm {
    /// Carry out exactly what is listed.
    approve: bool,
}
rmcp::elicit_safe!(Confirm);

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Answer {
    Granted,
    Declined,
    /// The client must ask and call again.
    Pending(Box<InputRequiredResult>),
    /// Nobody could be asked: the token way remains.
    Unavailable,
}

/// What is sealed into the state that a client hands back.
#[derive(Debug, Serialize, Deserialize)]
struct Asked {
    token: String,
}

/// True for clients of the revisions without a handshake, which are asked by an input-required result.
pub(crate) fn modern(cx: &RequestContext<RoleServer>) -> bool {
    cx.protocol_version().is_some_and(|version| !version.has_initialize())
}

/// The token of an approval, wherever the reply names it.
pub(crate) fn token(reply: &Reply) -> Option<String> {
    let approval = reply.approval.as_ref()?;
    let named =
        |line: &String| line.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').find(|word| word.starts_with("lf-")).map(str::to_owned);
    approval.token.clone().or_else(|| approval.how.iter().find_map(named))
}

/// Asks the client's user, where the client can.
pub(crate) async fn ask(codec: &RequestStateCodec, bound: &str, reply: &Reply, token: &str, cx: &RequestContext<RoleServer>) -> Result<Answer, ErrorData> {
    let form = cx.client_capabilities().and_then(|offered| offered.elicitation).is_some_and(|offered| offered.form.is_some() || offered.url.is_none());
    if !form {
        return Ok(Answer::Unavailable);
    }
    let question = question(reply);
    if modern(cx) {
        return pending(codec, bound, token, question).map(|result| Answer::Pending(Box::new(result)));
    }
    Ok(match cx.peer.elicit_with_timeout::<Confirm>(question, Some(THINKING)).await {
        Ok(Some(Confirm { approve: true })) => Answer::Granted,
        Ok(Some(Confirm { approve: false })) | Err(ElicitationError::UserDeclined) => Answer::Declined,
        // No content, a dismissed dialog, a timeout or a broken client is no decision: the token way remains.
        Ok(None) | Err(_) => Answer::Unavailable,
    })
}

fn pending(codec: &RequestStateCodec, bound: &str, token: &str, question: String) -> Result<InputRequiredResult, ErrorData> {
    let broken = |error: &dyn std::fmt::Display| ErrorData::internal_error(error.to_string(), None);
    let requested_schema = ElicitationSchema::from_type::<Confirm>().map_err(|error| broken(&error))?;
    let form = ElicitRequestParams::FormElicitationParams { meta: None, message: question, requested_schema };
    let asks = InputRequests::from([(QUESTION.to_owned(), InputRequest::Elicitation(ElicitRequest::new(form)))]);
    let seal = SealOptions::new().associated_data(bound.as_bytes()).ttl(SEALED);
    let state = codec.seal_json_with(&Asked { token: token.to_owned() }, &seal).map_err(|error| broken(&error))?;
    Ok(InputRequiredResult::new(Some(asks), Some(state)))
}

/// The second round of the input-required form: the token that was asked about, and the decision (none where the dialog was dismissed).
pub(crate) fn second_round(codec: &RequestStateCodec, bound: &str, state: &str, answers: Option<InputResponses>) -> Result<(String, Option<bool>), ErrorData> {
    let asked: Asked = codec
        .open_json_with(state, bound.as_bytes())
        .map_err(|error| ErrorData::invalid_params(format!("requestState is not the one given for this call: {error}"), None))?;
    let answer = answers.and_then(|mut answers| answers.remove(QUESTION)).and_then(|answer| serde_json::from_value::<ElicitResult>(answer).ok());
    let decision = answer.and_then(|answer| match answer.action {
        ElicitationAction::Accept => answer.content.and_then(|content| serde_json::from_value::<Confirm>(content).ok()).map(|confirm| confirm.approve),
        ElicitationAction::Decline => Some(false),
        _ => None,
    });
    Ok((asked.token, decision))
}

/// The reply as it is handed out when nobody was asked: in human mode a token is of use at a terminal alone.
pub(crate) fn hand_out(reply: &mut Reply) {
    if reply.status != Status::ApprovalNeeded || reply.approval.as_ref().is_none_or(|approval| approval.mode != ApprovalMode::Human) {
        return;
    }
    let token = token(reply);
    if let Some(approval) = &mut reply.approval {
        approval.token = None;
        if let Some(token) = token {
            let way = format!("a person runs `landfall approve {token}` in a terminal, then the same call is made again");
            if !approval.how.iter().any(|line| line.contains("landfall approve")) {
                approval.how.push(way);
            }
        }
    }
    for call in &mut reply.next {
        call.arguments.remove("approval");
    }
}

/// The reply after a person said no.
pub(crate) fn declined(mut reply: Reply) -> Reply {
    reply.status = Status::Declined;
    reply.summary = "declined: nothing was changed".to_owned();
    reply.approval = None;
    for call in &mut reply.next {
        call.arguments.remove("approval");
    }
    reply
}

fn question(reply: &Reply) -> String {
    let mut text = String::new();
    let app = reply.approval.as_ref().map(|approval| approval.app.as_str()).filter(|app| !app.is_empty());
    if let Some(target) = &reply.target {
        let place = [target.profile.as_deref(), target.namespace.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(", namespace ");
        text.push_str(&format!("Landfall asks to change {} on your local Minikube (profile {place}):\n", app.unwrap_or(&target.app)));
    } else {
        text.push_str("Landfall asks for your approval:\n");
    }
    if let Some(approval) = &reply.approval {
        for line in approval.summary.iter().take(20) {
            let line: String = line.chars().filter(|letter| !letter.is_control()).take(200).collect();
            text.push_str(&format!("- {line}\n"));
        }
        if approval.summary.len() > 20 {
            text.push_str(&format!("- and {} more\n", approval.summary.len() - 20));
        }
        text.push_str(&format!("Plan digest {}, valid until {}.", crate::story::short(&approval.digest), crate::story::minute(approval.expires_at)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const BOUND: &str = "deploy\n{}";

    fn codec() -> RequestStateCodec {
        RequestStateCodec::try_new(vec![7u8; 32]).unwrap()
    }

    fn sealed(codec: &RequestStateCodec) -> String {
        let asked = pending(codec, BOUND, "lf-1", "go on?".to_owned()).unwrap();
        serde_json::to_value(&asked).unwrap()["requestState"].as_str().unwrap().to_owned()
    }

    fn check(answer: serde_json::Value, expect: Option<bool>) {
        let codec = codec();
        let answers = InputResponses::from([(QUESTION.to_owned(), answer)]);
        let (token, decision) = second_round(&codec, BOUND, &sealed(&codec), Some(answers)).unwrap();
        assert_eq!((token.as_str(), decision), ("lf-1", expect));
    }

    #[test]
    fn only_an_accepted_yes_is_one() {
        check(json!({ "action": "accept", "content": { "approve": true } }), Some(true));
        check(json!({ "action": "accept", "content": { "approve": false } }), Some(false));
        check(json!({ "action": "decline" }), Some(false));
        check(json!({ "action": "cancel" }), None);
        check(json!({ "action": "accept" }), None);
        check(json!({ "action": "accept", "content": { "approve": "true" } }), None);
        check(json!("yes"), None);
    }

    #[test]
    fn a_state_that_was_given_for_something_else_is_refused() {
        let codec = codec();
        let state = sealed(&codec);
        assert!(second_round(&codec, "rollback\n{}", &state, None).is_err());
        assert!(second_round(&codec, BOUND, &format!("{state}x"), None).is_err());
        assert!(second_round(&RequestStateCodec::try_new(vec![8u8; 32]).unwrap(), BOUND, &state, None).is_err());
        assert_eq!(second_round(&codec, BOUND, &state, None).unwrap(), ("lf-1".to_owned(), None));
    }

    fn approval_needed(mode: ApprovalMode) -> Reply {
        let mut reply = Reply::new(Status::ApprovalNeeded, "shall it be done?");
        reply.approval = Some(landfall::reply::ApprovalView {
            token: Some("lf-abc".to_owned()),
            app: "todo".to_owned(),
            digest: "0".repeat(64),
            summary: vec!["install backend".to_owned()],
            diff_uri: None,
            expires_at: landfall::evidence::Time::UNIX_EPOCH,
            mode,
            how: Vec::new(),
        });
        reply.then("deploy", json!({ "workspace": "/w", "approval": "lf-abc" }), "carry it out");
        reply
    }

    #[test]
    fn in_human_mode_the_token_is_for_a_terminal_alone() {
        let mut reply = approval_needed(ApprovalMode::Human);
        hand_out(&mut reply);
        let approval = reply.approval.clone().unwrap();
        assert_eq!(approval.token, None);
        assert!(approval.how.iter().any(|line| line.contains("landfall approve lf-abc")));
        assert!(!reply.next.iter().any(|call| call.arguments.contains_key("approval")));
        assert_eq!(token(&reply).as_deref(), Some("lf-abc"));
    }

    #[test]
    fn in_client_mode_the_token_reply_stays_as_it_is() {
        let mut reply = approval_needed(ApprovalMode::Client);
        let before = reply.clone();
        hand_out(&mut reply);
        assert_eq!(reply, before);
        assert!(question(&reply).contains("install backend"));
    }
}
