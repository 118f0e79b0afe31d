//! The suite's tools, prompts and resources; lists hold them beside the product's own, and everything else goes to the product's server.

#![allow(deprecated, reason = "the older revisions log, sample and subscribe")]

use crate::rounds::{self, Said};
use crate::server::Server;
use crate::transport::Connection;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelTaskParams, ClientCapabilities, CompleteRequestParams, CompleteResult, ErrorData,
    GetPromptRequestParams, GetPromptResponse, GetTaskParams, GetTaskResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
    ListToolsResult, LoggingLevel, LoggingMessageNotificationParam, PaginatedRequestParams, ProgressNotificationParam, Prompt, ReadResourceRequestParams,
    ReadResourceResponse, RequestStateCodec, Resource, ResourceTemplate, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
    UnsubscribeRequestParams, UpdateTaskParams,
};
use rmcp::service::{NotificationContext, RequestContext, SubscriptionContext, SubscriptionSink};
use rmcp::{RoleServer, ServerHandler};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Cx = RequestContext<RoleServer>;

/// One red pixel.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg==";
/// A sound without samples.
const SILENCE: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";
const TOOLS: &[&str] = &[
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_error_handling",
    "test_tool_with_progress",
    "test_sampling",
    "test_elicitation",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_reconnection",
    "json_schema_2020_12_tool",
    "test_custom_header",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

fn tool(name: &str) -> Tool {
    let text = json!({ "type": "string" });
    let schema = match name {
        "test_sampling" => json!({ "type": "object", "properties": { "prompt": text }, "required": ["prompt"] }),
        "test_elicitation" => json!({ "type": "object", "properties": { "message": text }, "required": ["message"] }),
        "test_custom_header" => json!({ "type": "object", "properties": { "value": { "type": "string", "x-mcp-header": "Value" } }, "required": ["value"] }),
        "json_schema_2020_12_tool" => json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "$defs": { "address": { "$anchor": "addressDef", "type": "object", "properties": { "street": text, "city": text } } },
            "properties": {
                "name": text,
                "address": { "$ref": "#/$defs/address" },
                "contactMethod": { "type": "string", "enum": ["phone", "email"] },
                "phone": text,
                "email": text
            },
            "allOf": [{ "anyOf": [{ "required": ["phone"] }, { "required": ["email"] }] }],
            "if": { "properties": { "contactMethod": { "const": "phone" } }, "required": ["contactMethod"] },
            "then": { "required": ["phone"] },
            "else": { "required": ["email"] },
            "additionalProperties": false
        }),
        _ => json!({ "type": "object", "properties": {} }),
    };
    Tool::new(name.to_owned(), format!("Fixture {name}"), Arc::new(schema.as_object().unwrap().clone()))
}

fn prompts() -> Vec<Prompt> {
    let all = [
        ("test_simple_prompt", &[][..]),
        ("test_prompt_with_arguments", &["arg1", "arg2"]),
        ("test_prompt_with_embedded_resource", &["resourceUri"]),
        ("test_prompt_with_image", &[]),
        ("test_input_required_result_prompt", &[]),
    ];
    let argument = |name: &&str| json!({ "name": name, "description": "A fixture's argument", "required": true });
    all.iter()
        .map(|(name, arguments)| {
            parsed(json!({ "name": name, "description": format!("Fixture {name}"), "arguments": arguments.iter().map(argument).collect::<Vec<_>>() }))
        })
        .collect()
}

fn parsed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A whole result; rmcp takes the mark away again for the older revisions.
fn result<T: DeserializeOwned>(mut value: Value) -> T {
    value["resultType"] = json!("complete");
    parsed(value)
}

fn said(text: impl Into<String>) -> CallToolResult {
    result(json!({ "content": [{ "type": "text", "text": text.into() }] }))
}

/// The product's server with the fixtures in front of it.
#[derive(Clone)]
pub(crate) struct Fixtures {
    product: Server,
    codec: Arc<RequestStateCodec>,
    /// Open streams of the revision without a handshake, for the tools that change a list.
    listeners: Arc<Mutex<Vec<SubscriptionSink>>>,
}

impl Fixtures {
    pub(crate) fn new(product: Server) -> Self {
        Self { product, codec: Arc::new(RequestStateCodec::try_new(vec![7; 32]).unwrap()), listeners: Arc::default() }
    }

    async fn fixture(&self, request: &CallToolRequestParams, cx: &Cx) -> Result<CallToolResult, ErrorData> {
        let pause = || tokio::time::sleep(Duration::from_millis(60));
        let text = |name: &str| request.arguments.as_ref().and_then(|arguments| arguments.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned();
        let image = json!({ "type": "image", "data": PIXEL, "mimeType": "image/png" });
        let resource = |uri: &str, mime: &str, text: &str| json!({ "type": "resource", "resource": { "uri": uri, "mimeType": mime, "text": text } });
        Ok(match request.name.as_ref() {
            "test_simple_text" => said("This is a simple text response for testing."),
            "test_image_content" => result(json!({ "content": [image] })),
            "test_audio_content" => result(json!({ "content": [{ "type": "audio", "data": SILENCE, "mimeType": "audio/wav" }] })),
            "test_embedded_resource" => {
                result(json!({ "content": [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")] }))
            }
            "test_multiple_content_types" => result(json!({ "content": [
                { "type": "text", "text": "Multiple content types test:" },
                image,
                resource("test://mixed-content-resource", "application/json", "{\"test\":\"data\",\"value\":123}")
            ] })),
            "test_error_handling" => {
                let mut result = said("This tool intentionally returns an error for testing");
                result.is_error = Some(true);
                result
            }
            "test_tool_with_logging" => {
                for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                    let _ = cx.peer.notify_logging_message(LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(line))).await;
                    pause().await;
                }
                said("three lines were logged")
            }
            "test_logging_tool" => {
                // Without a level in the request nothing may be logged.
                if let Some(level) = cx.meta.log_level() {
                    let _ = cx.peer.notify_logging_message(LoggingMessageNotificationParam::new(level, json!("as it was asked for"))).await;
                }
                said("logged what was asked for")
            }
            "test_tool_with_progress" => {
                for done in [0.0, 50.0, 100.0] {
                    if let Some(token) = cx.meta.get_progress_token() {
                        let _ = cx.peer.notify_progress(ProgressNotificationParam::new(token, done).with_total(100.0)).await;
                    }
                    pause().await;
                }
                said("done")
            }
            "test_sampling" => {
                if cx.client_capabilities().is_none_or(|can| can.sampling.is_none()) {
                    return Err(ErrorData::invalid_request("the client has no sampling", None));
                }
                let ask = json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": text("prompt") } }], "maxTokens": 100 });
                let answer = cx.peer.create_message(parsed(ask)).await.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
                said(format!("LLM response: {}", json!(answer)["content"]["text"]))
            }
            "test_elicitation" => {
                let fields = json!({
                    "username": { "type": "string", "description": "User's response" },
                    "email": { "type": "string", "description": "User's email address" }
                });
                elicited("User response", cx, &text("message"), &fields, &["username", "email"]).await?
            }
            "test_elicitation_sep1034_defaults" => {
                let fields = json!({
                    "name": { "type": "string", "default": "John Doe" },
                    "age": { "type": "integer", "default": 30 },
                    "score": { "type": "number", "default": 95.5 },
                    "status": { "type": "string", "enum": ["active", "inactive", "pending"], "default": "active" },
                    "verified": { "type": "boolean", "default": true }
                });
                elicited("Elicitation completed", cx, "Is this right?", &fields, &[]).await?
            }
            "test_elicitation_sep1330_enums" => {
                let titled = |names: [&str; 3]| json!([{ "const": "value1", "title": names[0] }, { "const": "value2", "title": names[1] }, { "const": "value3", "title": names[2] }]);
                let fields = json!({
                    "untitledSingle": { "type": "string", "enum": ["option1", "option2", "option3"] },
                    "titledSingle": { "type": "string", "oneOf": titled(["First Option", "Second Option", "Third Option"]) },
                    "legacyEnum": { "type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"] },
                    "untitledMulti": { "type": "array", "items": { "type": "string", "enum": ["option1", "option2", "option3"] } },
                    "titledMulti": { "type": "array", "items": { "anyOf": titled(["First Choice", "Second Choice", "Third Choice"]) } }
                });
                elicited("Elicitation completed", cx, "Choose", &fields, &[]).await?
            }
            "test_missing_capability" => {
                if cx.client_capabilities().is_none_or(|can| can.sampling.is_none()) {
                    return Err(ErrorData::missing_required_client_capability(ClientCapabilities::builder().enable_sampling().build()));
                }
                said("the client has what it takes")
            }
            "test_trigger_tool_change" | "test_trigger_prompt_change" => {
                let listeners = self.listeners.lock().unwrap().clone();
                for listener in listeners {
                    let _ = if request.name.contains("tool_change") {
                        listener.notify_tool_list_changed().await
                    } else {
                        listener.notify_prompt_list_changed().await
                    };
                }
                said("told")
            }
            "test_reconnection" => {
                pause().await;
                said("still here")
            }
            _ => said(json!(request.arguments).to_string()),
        })
    }
}

async fn elicited(opening: &str, cx: &Cx, message: &str, fields: &Value, required: &[&str]) -> Result<CallToolResult, ErrorData> {
    if cx.client_capabilities().is_none_or(|can| can.elicitation.is_none()) {
        return Err(ErrorData::invalid_request("the client has no elicitation", None));
    }
    let ask = json!({ "mode": "form", "message": message, "requestedSchema": { "type": "object", "properties": fields, "required": required } });
    let answer = cx.peer.create_elicitation(parsed(ask)).await.map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
    let answer = json!(answer);
    Ok(said(format!("{opening}: action={}, content={}", answer["action"].as_str().unwrap_or_default(), answer["content"])))
}

impl Connection for Fixtures {
    fn fresh(&self) -> Self {
        Self { product: self.product.fresh(), ..self.clone() }
    }
}

impl ServerHandler for Fixtures {
    fn get_info(&self) -> ServerConfig {
        let mut info = self.product.get_info();
        for list in [&mut info.capabilities.tools.as_mut().unwrap().list_changed, &mut info.capabilities.prompts.as_mut().unwrap().list_changed] {
            *list = Some(true);
        }
        info
    }

    async fn list_tools(&self, page: Option<PaginatedRequestParams>, cx: Cx) -> Result<ListToolsResult, ErrorData> {
        let mut list = self.product.list_tools(page, cx).await?;
        list.tools.extend(TOOLS.iter().map(|name| tool(name)));
        Ok(list)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        if TOOLS.contains(&name) { Some(tool(name)) } else { self.product.get_tool(name) }
    }

    async fn call_tool(&self, request: CallToolRequestParams, cx: Cx) -> Result<CallToolResponse, ErrorData> {
        if !TOOLS.contains(&request.name.as_ref()) {
            return self.product.call_tool(request, cx).await;
        }
        let can = cx.client_capabilities().unwrap_or_default();
        match rounds::next(&self.codec, &request.name, request.request_state.as_deref(), request.input_responses.clone(), &can) {
            Some(Ok(Said::Asks(question))) => Ok(question.into()),
            Some(Ok(Said::Done(answers))) => Ok(said(format!("state-ok: {answers}")).into()),
            Some(Err(error)) => Err(error),
            None => self.fixture(&request, &cx).await.map(Into::into),
        }
    }

    async fn list_prompts(&self, page: Option<PaginatedRequestParams>, cx: Cx) -> Result<ListPromptsResult, ErrorData> {
        let mut list = self.product.list_prompts(page, cx).await?;
        list.prompts.extend(prompts());
        Ok(list)
    }

    async fn get_prompt(&self, request: GetPromptRequestParams, cx: Cx) -> Result<GetPromptResponse, ErrorData> {
        let user = |content: Value| json!({ "role": "user", "content": content });
        let text = |text: &str| user(json!({ "type": "text", "text": text }));
        let given = |name: &str| request.arguments.as_ref().and_then(|arguments| arguments.get(name)).and_then(Value::as_str).unwrap_or_default().to_owned();
        let messages = match request.name.as_str() {
            "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
            "test_prompt_with_arguments" => vec![text(&format!("Prompt with arguments: arg1='{}', arg2='{}'", given("arg1"), given("arg2")))],
            "test_prompt_with_embedded_resource" => vec![
                user(
                    json!({ "type": "resource", "resource": { "uri": given("resourceUri"), "mimeType": "text/plain", "text": "Embedded resource content for testing." } }),
                ),
                text("Please process the embedded resource above."),
            ],
            "test_prompt_with_image" => vec![user(json!({ "type": "image", "data": PIXEL, "mimeType": "image/png" })), text("Please analyze the image above.")],
            "test_input_required_result_prompt" => {
                let can = cx.client_capabilities().unwrap_or_default();
                match rounds::next(&self.codec, &request.name, request.request_state.as_deref(), request.input_responses, &can).unwrap()? {
                    Said::Asks(question) => return Ok(question.into()),
                    Said::Done(answers) => vec![text(&format!("Use this context: {answers}"))],
                }
            }
            _ => return self.product.get_prompt(request, cx).await,
        };
        Ok(result::<rmcp::model::GetPromptResult>(json!({ "messages": messages })).into())
    }

    async fn list_resources(&self, page: Option<PaginatedRequestParams>, cx: Cx) -> Result<ListResourcesResult, ErrorData> {
        let mut list = self.product.list_resources(page, cx).await?;
        for (uri, mime) in [("test://static-text", "text/plain"), ("test://static-binary", "image/png"), ("test://watched-resource", "text/plain")] {
            list.resources.push(Resource::new(uri, uri.trim_start_matches("test://")).with_description("A fixture").with_mime_type(mime));
        }
        Ok(list)
    }

    async fn list_resource_templates(&self, page: Option<PaginatedRequestParams>, cx: Cx) -> Result<ListResourceTemplatesResult, ErrorData> {
        let mut list = self.product.list_resource_templates(page, cx).await?;
        list.resource_templates.push(ResourceTemplate::new("test://template/{id}/data", "template").with_mime_type("application/json"));
        Ok(list)
    }

    async fn read_resource(&self, request: ReadResourceRequestParams, cx: Cx) -> Result<ReadResourceResponse, ErrorData> {
        let uri = request.uri.clone();
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        let contents = match (uri.as_str(), id) {
            ("test://static-text", _) => json!({ "uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource." }),
            ("test://static-binary", _) => json!({ "uri": uri, "mimeType": "image/png", "blob": PIXEL }),
            ("test://watched-resource", _) => json!({ "uri": uri, "mimeType": "text/plain", "text": "Watched" }),
            (_, Some(id)) => {
                let text = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") }).to_string();
                json!({ "uri": uri, "mimeType": "application/json", "text": text })
            }
            _ => return self.product.read_resource(request, cx).await,
        };
        Ok(result::<rmcp::model::ReadResourceResult>(json!({ "contents": [contents] })).into())
    }

    async fn subscribe(&self, request: SubscribeRequestParams, cx: Cx) -> Result<(), ErrorData> {
        if request.uri.starts_with("test://") { Ok(()) } else { self.product.subscribe(request, cx).await }
    }

    async fn unsubscribe(&self, request: UnsubscribeRequestParams, cx: Cx) -> Result<(), ErrorData> {
        self.product.unsubscribe(request, cx).await
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn listen(&self, context: SubscriptionContext) -> Result<(), ErrorData> {
        self.listeners.lock().unwrap().push(context.sink().clone());
        self.product.listen(context).await
    }

    async fn complete(&self, request: CompleteRequestParams, cx: Cx) -> Result<CompleteResult, ErrorData> {
        let fixture = json!(request.r#ref).to_string().contains("test");
        if fixture { Ok(CompleteResult::default()) } else { self.product.complete(request, cx).await }
    }

    async fn set_level(&self, request: SetLevelRequestParams, cx: Cx) -> Result<(), ErrorData> {
        self.product.set_level(request, cx).await
    }

    async fn get_task(&self, request: GetTaskParams, cx: Cx) -> Result<GetTaskResult, ErrorData> {
        self.product.get_task(request, cx).await
    }

    async fn update_task(&self, request: UpdateTaskParams, cx: Cx) -> Result<(), ErrorData> {
        self.product.update_task(request, cx).await
    }

    async fn cancel_task(&self, request: CancelTaskParams, cx: Cx) -> Result<(), ErrorData> {
        self.product.cancel_task(request, cx).await
    }

    async fn on_roots_list_changed(&self, cx: NotificationContext<RoleServer>) {
        self.product.on_roots_list_changed(cx).await;
    }
}
