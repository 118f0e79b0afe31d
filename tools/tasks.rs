//! Operations as tasks, for clients that have them: the task's id names operation and workspace, so that it outlives this process; nothing is kept here.

use crate::tools::{self, Offer};
use crate::{consent, server};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::names::OperationId;
use landfall::reply::{OperationState, OperationView, Reply, Status};
use rmcp::RoleServer;
use rmcp::model::{CreateTaskResult, DetailedTask, ErrorData, GetTaskResult, Task, TaskPayload, TaskStatus};
use rmcp::service::RequestContext;
use serde_json::Value;

/// Journals are kept longer; after this time a client need not ask again.
const LIFE_MS: u64 = 24 * 3_600_000;
const PACE_MS: u64 = 2_000;

/// True for tools that begin operations, as opposed to those that look at or end one.
pub(crate) fn begins<O: Offer>() -> bool {
    O::NAME != tools::OperationStatus::NAME && O::NAME != tools::CancelOperation::NAME
}

/// True where the answer is better given as a task: an operation has begun, and the client knows what to do with one.
pub(crate) fn suits<O: Offer>(reply: &Reply, cx: &RequestContext<RoleServer>) -> bool {
    let known = cx.client_capabilities().is_some_and(|offered| offered.supports_tasks());
    known && consent::modern(cx) && begins::<O>() && reply.status == Status::Running
}

/// The handle of an operation that has begun.
pub(crate) fn begun(reply: &Reply, workspace: Option<String>) -> Option<CreateTaskResult> {
    let view = reply.operation.as_ref()?;
    Some(CreateTaskResult::new(task(view, &id_of(&view.id, workspace.as_deref()))))
}

/// How far the operation of a task is, with its result once settled.
pub(crate) async fn look(landfall: &Landfall, id: &str) -> Result<GetTaskResult, ErrorData> {
    let (operation, workspace) = parse(id)?;
    let question = ask::OperationStatus { workspace, operation: Some(operation), wait_s: Some(0.0), after: None };
    let status = landfall.status(&question).await.map_err(|failure| refused(&failure))?;
    let Some(view) = status.reply.operation.clone() else {
        return Err(ErrorData::internal_error("the operation has no state", None));
    };
    let payload = match view.state {
        OperationState::Running | OperationState::Paused | OperationState::Cancelling | OperationState::RollingBack => TaskPayload::Working,
        OperationState::Cancelled => TaskPayload::Cancelled,
        OperationState::Interrupted | OperationState::Succeeded | OperationState::Refused | OperationState::Failed | OperationState::Stuck => {
            let tool = tools::named(&view.tool).ok_or_else(|| ErrorData::internal_error("the operation's tool is not known", None))?;
            let ended = tool.ended(status.reply, status.more.result.unwrap_or_default());
            match serde_json::to_value(ended) {
                Ok(Value::Object(result)) => TaskPayload::Completed { result },
                Ok(_) | Err(_) => return Err(ErrorData::internal_error("write the result of a task", None)),
            }
        }
    };
    Ok(GetTaskResult::new(DetailedTask::new(task(&view, id), payload)))
}

/// Asks the operation of a task to stop and to take back what it did.
pub(crate) async fn cancel(landfall: &Landfall, id: &str) -> Result<(), ErrorData> {
    let (operation, workspace) = parse(id)?;
    let question = ask::CancelOperation { workspace, operation: Some(operation), ..ask::CancelOperation::default() };
    landfall.cancel(&question).await.map(|_| ()).map_err(|failure| refused(&failure))
}

fn task(view: &OperationView, id: &str) -> Task {
    let line = crate::story::operation_line(view);
    Task::new(id, TaskStatus::Working, view.started_at.to_string(), view.updated_at.to_string())
        .with_status_message(line)
        .with_ttl_ms(LIFE_MS)
        .with_poll_interval_ms(PACE_MS)
}

/// `op-…`, or `op-….<workspace in base64>`.
fn id_of(operation: &OperationId, workspace: Option<&str>) -> String {
    workspace.map_or_else(|| operation.to_string(), |workspace| format!("{operation}.{}", URL_SAFE_NO_PAD.encode(workspace)))
}

fn parse(id: &str) -> Result<(OperationId, Option<String>), ErrorData> {
    let unknown = || ErrorData::invalid_params(format!("there is no task {:?}", landfall::secret::plain(id, 80)), None);
    let (operation, workspace) = id.split_once('.').map_or((id, None), |(operation, workspace)| (operation, Some(workspace)));
    let workspace = match workspace {
        Some(sealed) => Some(URL_SAFE_NO_PAD.decode(sealed).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(unknown)?),
        None => None,
    };
    Ok((OperationId::parse(operation).map_err(|_| unknown())?, workspace))
}

fn refused(failure: &Failure) -> ErrorData {
    let text = server::failure(failure).content.iter().find_map(|block| block.as_text().map(|text| text.text.clone()));
    ErrorData::invalid_params(text.unwrap_or_else(|| failure.to_string()), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_task_names_operation_and_workspace() {
        let operation = OperationId::parse("op-20260102-030405-a1b2").unwrap();
        for workspace in [None, Some("/home/me/my app")] {
            let id = id_of(&operation, workspace);
            assert_eq!(parse(&id).unwrap(), (operation.clone(), workspace.map(str::to_owned)), "{id}");
        }
        for odd in ["", "x", "../..", "op-20260102-030405-a1b2.%%", "op-20260102-030405-a1b2./etc", ".L3c"] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }
}
