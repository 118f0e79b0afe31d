//! `landfall://` resources: schemas are answered here, everything else by the engine; nothing is read from a path that a client names.

use crate::tools;
use landfall::failure::{Code, Failure};
use landfall::landfall::Landfall;
use rmcp::model::{ErrorData, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(2_900);
/// How long a list waits for the operations of the only workspace.
const LISTING: Duration = Duration::from_millis(700);
const SCHEMA: &str = "landfall://schema/";

/// What can be read by name: template, name, what it is, MIME type.
const TEMPLATES: &[(&str, &str, &str, &str)] = &[
    ("landfall://schema/{tool}", "schema", "Full JSON schema of a tool's reply", "application/schema+json"),
    ("landfall://plan/{digest}", "plan", "A deployment plan", "application/json"),
    ("landfall://plan/{digest}/diff", "plan-diff", "Every change of a plan as a unified diff", "text/x-diff"),
    ("landfall://operation/{id}", "operation", "An operation's state and result", "application/json"),
    ("landfall://operation/{id}/journal", "journal", "An operation's journal, one event per line", "application/jsonl"),
    ("landfall://operation/{id}/evidence/{n}", "evidence", "One stored piece of evidence", "application/json"),
    ("landfall://report/{id}/{kind}.{format}", "report", "A report (readiness, health, verdict, traceability, audit) as md, json or html", "text/markdown"),
    ("landfall://file/{path}", "file", "A file that Landfall generated", "text/plain"),
    ("landfall://logs/{service}{?lines}", "logs", "Redacted log lines of a service", "text/plain"),
];

/// The templates of all that can be read.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    TEMPLATES.iter().map(|(uri, name, title, mime)| ResourceTemplate::new(*uri, *name).with_title(*title).with_mime_type(*mime)).collect()
}

/// What is there without asking further: the schemas, and the newest operations of the only workspace.
pub(crate) async fn list(landfall: Option<&Landfall>) -> Vec<Resource> {
    let mut list: Vec<Resource> = tools::ALL
        .iter()
        .map(|tool| {
            let title = format!("Reply of {}", tool.name());
            Resource::new(format!("{SCHEMA}{}", tool.name()), format!("schema-{}", tool.name())).with_title(title).with_mime_type("application/schema+json")
        })
        .collect();
    let Some(landfall) = landfall.filter(|landfall| landfall.setup.roots.len() == 1) else { return list };
    if let Ok(Ok(operations)) = tokio::time::timeout(LISTING, landfall.operations(None)).await {
        list.extend(operations.iter().take(10).map(|operation| {
            let title = format!("{} ({})", operation.tool, crate::story::word(operation.state));
            Resource::new(format!("landfall://operation/{}", operation.id), operation.id.to_string()).with_title(title).with_mime_type("application/json")
        }));
    }
    list
}

/// The text of one resource.
pub(crate) async fn read(landfall: &Landfall, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = |text: String, mime: String| ReadResourceResult::new(vec![ResourceContents::text(text, uri).with_mime_type(mime)]);
    if let Some(name) = uri.strip_prefix(SCHEMA) {
        let tool = tools::named(name).ok_or_else(|| missing(uri, "there is no tool of this name"))?;
        let text = serde_json::to_string_pretty(&Value::Object(tool.full_schema())).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        return Ok(contents(text, "application/schema+json".to_owned()));
    }
    if !uri.starts_with("landfall://") {
        return Err(missing(uri, "only landfall:// is served"));
    }
    match tokio::time::timeout(PATIENCE, landfall.resource(uri)).await {
        Ok(Ok((text, mime))) => Ok(contents(text, mime)),
        Ok(Err(failure)) => Err(refused(uri, &failure)),
        Err(_) => Err(ErrorData::internal_error("the resource was not read within 2.9 s", Some(json!({ "uri": uri })))),
    }
}

fn missing(uri: &str, why: &str) -> ErrorData {
    ErrorData::resource_not_found(format!("no such resource: {why}"), Some(json!({ "uri": uri })))
}

fn refused(uri: &str, failure: &Failure) -> ErrorData {
    let fault = matches!(failure.code, Code::Internal | Code::JournalDamaged | Code::DiskFull | Code::FileSystem | Code::Deadline);
    let data = Some(json!({ "uri": uri, "failure": failure }));
    if fault { ErrorData::internal_error(failure.to_string(), data) } else { ErrorData::resource_not_found(failure.to_string(), data) }
}
