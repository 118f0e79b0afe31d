//! Fixtures that ask their client for input, as data: each is a list of rounds, and the state between them is sealed as the product seals its own.

use rmcp::model::{ClientCapabilities, ErrorData, InputRequiredResult, InputResponses, RequestStateCodec, SealOptions};
use serde_json::{Value, json};

/// Which fixture asks for what: the requests of each round, and whether a state goes with them.
fn script(name: &str) -> Option<(Vec<Value>, bool)> {
    let ask = |message: &str, field: &str, kind: &str| {
        json!({ "method": "elicitation/create", "params": { "message": message, "requestedSchema": {
            "type": "object", "properties": { field: { "type": kind } }, "required": [field]
        } } })
    };
    let think = |text: &str, most: u32| json!({ "method": "sampling/createMessage", "params": { "messages": [{ "role": "user", "content": { "type": "text", "text": text } }], "maxTokens": most } });
    let roots = json!({ "method": "roots/list", "params": {} });
    let name = name.strip_prefix("test_input_required_result_").or(name.strip_prefix("test_streaming_"))?;
    Some(match name {
        "elicitation" => (vec![json!({ "user_name": ask("What is your name?", "name", "string") })], false),
        "sampling" => (vec![json!({ "capital_question": think("What is the capital of France?", 100) })], false),
        "list_roots" => (vec![json!({ "client_roots": roots })], false),
        "request_state" | "tampered_state" => (vec![json!({ "confirm": ask("Please confirm", "ok", "boolean") })], true),
        "multiple_inputs" => {
            let all = json!({ "user_name": ask("What is your name?", "name", "string"), "greeting": think("Generate a greeting", 50), "client_roots": roots });
            (vec![all], true)
        }
        "multi_round" => (
            vec![
                json!({ "step1": ask("Step 1: What is your name?", "name", "string") }),
                json!({ "step2": ask("Step 2: What is your favorite color?", "color", "string") }),
            ],
            true,
        ),
        "capabilities" => {
            (vec![json!({ "name": ask("What is your name?", "name", "string"), "thought": think("Say hello", 20), "client_roots": roots })], false)
        }
        "prompt" => (vec![json!({ "user_context": ask("What context should the prompt use?", "context", "string") })], false),
        _ => return None,
    })
}

/// What a fixture says after a request: another question, or the answers that are complete.
pub(crate) enum Said {
    Asks(InputRequiredResult),
    Done(Value),
}

/// One request to a fixture that asks; none where the name is no such fixture.
pub(crate) fn next(
    codec: &RequestStateCodec,
    name: &str,
    state: Option<&str>,
    answers: Option<InputResponses>,
    can: &ClientCapabilities,
) -> Option<Result<Said, ErrorData>> {
    let (rounds, sealed) = script(name)?;
    Some(turn(codec, name, (&rounds, sealed), state, answers.unwrap_or_default(), can))
}

fn turn(
    codec: &RequestStateCodec,
    name: &str,
    (rounds, sealed): (&[Value], bool),
    state: Option<&str>,
    answers: InputResponses,
    can: &ClientCapabilities,
) -> Result<Said, ErrorData> {
    let round = match state {
        Some(state) => {
            codec.open_json_with::<usize>(state, name.as_bytes()).map_err(|error| ErrorData::invalid_params(format!("requestState: {error}"), None))?
        }
        None => 0,
    };
    let mut wanted = rounds[round].as_object().unwrap().clone();
    wanted.retain(|_, request| match request["method"].as_str().unwrap() {
        "elicitation/create" => can.elicitation.is_some(),
        "sampling/createMessage" => can.sampling.is_some(),
        _ => can.roots.is_some(),
    });
    let answered =
        !wanted.is_empty() && (state.is_some() || !sealed) && wanted.iter().all(|(key, request)| answers.get(key).is_some_and(|answer| fits(request, answer)));
    let (round, wanted) = match (answered, rounds.get(round + 1)) {
        (true, None) => return Ok(Said::Done(json!(answers))),
        (true, Some(next)) => (round + 1, next.as_object().unwrap().clone()),
        (false, _) => (round, wanted),
    };
    let seal = SealOptions::new().associated_data(name.as_bytes());
    let state = sealed.then(|| codec.seal_json_with(&round, &seal)).transpose().map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let asks = serde_json::from_value(Value::Object(wanted)).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    Ok(Said::Asks(InputRequiredResult::new(Some(asks), state)))
}

/// Whether an answer has the shape of what was asked.
fn fits(request: &Value, answer: &Value) -> bool {
    match request["method"].as_str().unwrap() {
        "elicitation/create" => {
            let field = request["params"]["requestedSchema"]["required"][0].as_str().unwrap();
            answer["action"].is_string() && (answer["action"] != "accept" || answer["content"].get(field).is_some())
        }
        "sampling/createMessage" => answer["content"].is_object() || answer["content"].is_array(),
        _ => answer["roots"].is_array(),
    }
}
