//! `landfall://` resources: schemas are answered here, everything else by the engine; nothing is read from a path that a client names.

use crate::tools;
use landfall::failure::{Code, Failure};
use landfall::landfall::Landfall;
use rmcp::model::{ErrorData, JsonObject, MetaObject, ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_millis(2_900);
/// How long a list waits for the operations of the only workspace.
const LISTING: Duration = Duration::from_millis(700);
const SCHEMA: &str = "landfall://schema/";
/// The dashboard that clients with MCP Apps show beside a tool's reply.
pub(crate) const DASHBOARD: &str = "ui://landfall/dashboard.html";
pub(crate) const APP: &str = "text/html;profile=mcp-app";
/// Where a page says which one follows.
const NEXT: &str = "landfall.dev/next";

/// What can be read by name: template, name, what it is, MIME type. Long texts have pages; with several workspaces `workspace` names one.
pub(crate) const TEMPLATES: &[(&str, &str, &str, &str)] = &[
    ("landfall://schema/{tool}", "schema", "Full JSON schema of a tool's reply", "application/schema+json"),
    ("landfall://plan/{digest}{?page,workspace}", "plan", "A deployment plan", "application/json"),
    ("landfall://plan/{digest}/diff{?page,workspace}", "plan-diff", "Every change of a plan as a unified diff", "text/x-diff"),
    ("landfall://operation/{id}{?workspace}", "operation", "An operation's state and result; can be subscribed to", "application/json"),
    ("landfall://operation/{id}/journal{?page,workspace}", "journal", "An operation's journal, one event per line; can be subscribed to", "application/jsonl"),
    (
        "landfall://operation/{id}/evidence/{n}{?workspace}",
        "evidence",
        "What event n of an operation's journal shows: gate with its checks, diagnosis, outcome",
        "application/json",
    ),
    (
        "landfall://report/{id}/{kind}.{format}{?page,workspace}",
        "report",
        "A report (readiness, health, verdict, traceability, audit) as md, json or html",
        "text/markdown",
    ),
    ("landfall://file/{+path}{?page,workspace}", "file", "A file that Landfall generated", "text/plain"),
    ("landfall://logs/{service}{?lines,page,previous,workspace}", "logs", "Redacted log lines of a service, newest page first", "text/plain"),
];

/// The templates of all that can be read.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    TEMPLATES.iter().map(|(uri, name, title, mime)| ResourceTemplate::new(*uri, *name).with_title(*title).with_mime_type(*mime)).collect()
}

/// The names in a template's braces; none where there is no such template.
pub(crate) fn arguments(uri: &str) -> Option<Vec<&'static str>> {
    let (template, ..) = TEMPLATES.iter().find(|(template, ..)| *template == uri || template.split("{?").next() == Some(uri))?;
    let inside = template.split('{').skip(1).filter_map(|part| part.split('}').next());
    Some(inside.flat_map(|names| names.trim_start_matches(['?', '+']).split(',')).collect())
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
    list.push(Resource::new(DASHBOARD, "dashboard").with_title("Dashboard").with_mime_type(APP).with_meta(dashboard_meta()));
    let Some(landfall) = landfall.filter(|landfall| landfall.setup.roots.len() == 1) else { return list };
    let known = async {
        let operations = landfall.operations(None).await.unwrap_or_default();
        let plans = landfall.suggest("digest", None, None).await.unwrap_or_default();
        (operations, plans)
    };
    let Ok((operations, plans)) = tokio::time::timeout(LISTING, known).await else { return list };
    for operation in operations.iter().take(10) {
        let title = format!("{} ({})", operation.tool, crate::story::word(operation.state));
        let uri = format!("landfall://operation/{}", operation.id);
        list.push(
            Resource::new(format!("{uri}/journal"), format!("journal-{}", operation.id))
                .with_title(format!("Journal of {title}"))
                .with_mime_type("application/jsonl"),
        );
        list.push(Resource::new(uri, operation.id.to_string()).with_title(title).with_mime_type("application/json"));
    }
    for digest in plans.iter().take(3) {
        let uri = format!("landfall://plan/{digest}");
        list.push(Resource::new(format!("{uri}/diff"), format!("plan-diff-{digest}")).with_title("Changes of a plan").with_mime_type("text/x-diff"));
        list.push(Resource::new(uri, format!("plan-{digest}")).with_title("Plan").with_mime_type("application/json"));
    }
    list
}

/// The page, with the look that reports have.
fn dashboard() -> String {
    include_str!("dashboard.html").replace("{look}", landfall::report::LOOK)
}

/// It loads nothing and connects to nothing: what it shows comes through the client.
fn dashboard_meta() -> MetaObject {
    let ui = json!({ "csp": { "connectDomains": [], "resourceDomains": [] }, "prefersBorder": true });
    MetaObject::from(JsonObject::from_iter([("ui".to_owned(), ui)]))
}

/// A text as a part of an address: what has a meaning there is written by its number.
pub(crate) fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The same address with the workspace in it, so that it can be read as it stands where several are allowed.
pub(crate) fn at(uri: &str, workspace: &str) -> String {
    let sign = if uri.contains('?') { '&' } else { '?' };
    format!("{uri}{sign}workspace={}", encoded(workspace))
}

/// Every page of a resource, for the command line.
pub(crate) async fn whole(landfall: &Landfall, uri: &str, workspace: &str) -> Result<String, Failure> {
    let (mut text, mut address) = (String::new(), Some(at(uri, workspace)));
    while let Some(uri) = address {
        let page = landfall.resource(&uri).await?;
        text.push_str(&page.text);
        address = page.next;
    }
    Ok(text)
}

/// One page of one resource.
pub(crate) async fn read(landfall: &Landfall, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let contents = |text: String, mime: String| ResourceContents::text(text, uri).with_mime_type(mime);
    if let Some(name) = uri.strip_prefix(SCHEMA) {
        let tool = tools::named(name).ok_or_else(|| missing(uri, "there is no tool of this name"))?;
        let text = serde_json::to_string_pretty(&Value::Object(tool.full_schema())).map_err(|error| ErrorData::internal_error(error.to_string(), None))?;
        return Ok(ReadResourceResult::new(vec![contents(text, "application/schema+json".to_owned())]));
    }
    if uri == DASHBOARD {
        return Ok(ReadResourceResult::new(vec![contents(dashboard(), APP.to_owned()).with_meta(dashboard_meta())]));
    }
    if !uri.starts_with("landfall://") {
        return Err(missing(uri, "only landfall:// is served"));
    }
    match tokio::time::timeout(PATIENCE, landfall.resource(uri)).await {
        Ok(Ok(page)) => {
            let mut contents = contents(page.text, page.mime);
            if let Some(next) = page.next {
                contents = contents.with_meta(MetaObject::from(JsonObject::from_iter([(NEXT.to_owned(), json!(next))])));
            }
            Ok(ReadResourceResult::new(vec![contents]))
        }
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
