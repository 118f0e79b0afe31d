//! The thirteen tools: names, texts, hints, and which engine function each one is; the same offers serve MCP and the command line.

pub(crate) mod analyze_project;
pub(crate) mod ask_advisor;
pub(crate) mod cancel_operation;
pub(crate) mod cluster_health;
pub(crate) mod containerize;
pub(crate) mod deploy;
pub(crate) mod deployment_report;
pub(crate) mod generate_chart;
pub(crate) mod operation_status;
pub(crate) mod plan_deployment;
pub(crate) mod rollback;
pub(crate) mod validate_env;
pub(crate) mod verify_mcp;

pub(crate) use analyze_project::AnalyzeProject;
pub(crate) use ask_advisor::AskAdvisor;
pub(crate) use cancel_operation::CancelOperation;
pub(crate) use cluster_health::ClusterHealth;
pub(crate) use containerize::Containerize;
pub(crate) use deploy::Deploy;
pub(crate) use deployment_report::DeploymentReport;
pub(crate) use generate_chart::GenerateChart;
pub(crate) use operation_status::OperationStatus;
pub(crate) use plan_deployment::PlanDeployment;
pub(crate) use rollback::Rollback;
pub(crate) use validate_env::ValidateEnv;
pub(crate) use verify_mcp::VerifyMcp;

use crate::schema;
use crate::server::{self, Server};
use crate::story::Block;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Reply, With};
use rmcp::RoleServer;
use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ErrorData, JsonObject, MetaObject, ToolAnnotations};
use rmcp::service::RequestContext;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;

/// What a tool does to the world, for clients that ask their user first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effect {
    /// Looks only.
    Reads,
    /// Adds or updates; the same call twice is the same as once.
    Writes,
    /// May remove or replace what is there; the same call twice is the same as once.
    Replaces,
}

/// One function of the engine, as it is offered.
pub(crate) trait Offer: Send + Sync + 'static {
    type Ask: Serialize + DeserializeOwned + JsonSchema + Clone + Send + Sync + 'static;
    type More: Serialize + DeserializeOwned + JsonSchema + Clone + Default + Send + Sync + 'static;
    const NAME: &'static str;
    const TITLE: &'static str;
    /// For a model that chooses: effect, precondition, what comes back.
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;
    /// Reaches systems whose content we do not control.
    const OPEN_WORLD: bool = false;
    /// Clients that show pages show the dashboard beside its reply.
    const DASHBOARD: bool = false;
    /// What the call may be waiting for, for the answer when it takes too long.
    const LOOKS_AT: &'static str;

    fn call(landfall: &Landfall, ask: &Self::Ask) -> impl Future<Output = Result<With<Self::More>, Failure>> + Send;

    /// The tool's own facts, in the order in which a reader wants them.
    fn facts(more: &Self::More) -> Vec<Block>;

    /// Puts an approval's token into the call; false where the tool never asks for approval.
    fn approve(_ask: &mut Self::Ask, _token: &str) -> bool {
        false
    }
}

/// An offer whose types are behind a pointer, so that all thirteen stand in one table.
#[async_trait::async_trait]
pub(crate) trait AnyTool: Send + Sync {
    fn name(&self) -> &'static str;
    fn listing(&self) -> rmcp::model::Tool;
    fn full_schema(&self) -> JsonObject;
    /// The reply that ends an operation which this tool began.
    fn ended(&self, reply: Reply, own: JsonObject) -> CallToolResult;
    async fn answer(&self, server: &Server, request: CallToolRequestParams, cx: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData>;
}

#[async_trait::async_trait]
impl<O: Offer> AnyTool for O {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn listing(&self) -> rmcp::model::Tool {
        let hints = ToolAnnotations::with_title(O::TITLE).open_world(O::OPEN_WORLD);
        // That a call may be repeated is said, as the specification has it, only of tools that change something.
        let hints = match O::EFFECT {
            Effect::Reads => hints.read_only(true).destructive(false),
            Effect::Writes => hints.read_only(false).destructive(false).idempotent(true),
            Effect::Replaces => hints.read_only(false).destructive(true).idempotent(true),
        };
        let tool = rmcp::model::Tool::new(O::NAME, O::DESCRIPTION, schema::accepts::<O::Ask>())
            .with_raw_output_schema(schema::returns::<With<O::More>>())
            .with_annotations(hints);
        if !O::DASHBOARD {
            return tool;
        }
        let ui = serde_json::json!({ "resourceUri": crate::resources::DASHBOARD });
        tool.with_meta(MetaObject::from(JsonObject::from_iter([("ui".to_owned(), ui)])))
    }

    fn full_schema(&self) -> JsonObject {
        schema::full::<With<O::More>>()
    }

    fn ended(&self, reply: Reply, own: JsonObject) -> CallToolResult {
        let more = serde_json::from_value(serde_json::Value::Object(own)).unwrap_or_default();
        server::replied::<O>(&With::new(reply, more))
    }

    async fn answer(&self, server: &Server, request: CallToolRequestParams, cx: &RequestContext<RoleServer>) -> Result<CallToolResponse, ErrorData> {
        server::answer::<O>(server, request, cx).await
    }
}

/// Every tool, in the fixed order of the list.
pub(crate) static ALL: &[&dyn AnyTool] = &[
    &AnalyzeProject,
    &PlanDeployment,
    &Containerize,
    &GenerateChart,
    &Deploy,
    &ValidateEnv,
    &VerifyMcp,
    &Rollback,
    &ClusterHealth,
    &OperationStatus,
    &CancelOperation,
    &DeploymentReport,
    &AskAdvisor,
];

/// The tool of this name.
pub(crate) fn named(name: &str) -> Option<&'static dyn AnyTool> {
    ALL.iter().find(|tool| tool.name() == name).copied()
}
