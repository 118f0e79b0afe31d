//! What Landfall answers: the typed replies of every tool and subcommand, the same for both; no judgement is made here.

use crate::blueprint::ValueNeeded;
use crate::config::ApprovalMode;
use crate::evidence::{Diagnosis, Finding, Gate, Time, Verdict};
use crate::names::OperationId;
use crate::ports::{AdvisorRefusal, Program, ProofCheck};
use crate::survey::{BackingNeed, PassedOver, Ready, Service, Skipped, Specs, Unknown, WorkspaceMcp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How a call ended. All five are results; a failure is something else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Done,
    Running,
    ApprovalNeeded,
    ValueNeeded,
    Declined,
}

/// What was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    pub app: String,
    pub workspace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
}

/// The states of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperationState {
    Running,
    /// Waits for an approval or a value.
    Paused,
    Cancelling,
    RollingBack,
    /// The worker is gone; the operation can be resumed.
    Interrupted,
    Succeeded,
    /// A gate refused.
    Refused,
    /// A stage could not run.
    Failed,
    Cancelled,
    /// An undo failed; a person is needed.
    Stuck,
}

impl OperationState {
    /// True where nothing more happens by itself.
    pub fn settled(self) -> bool {
        match self {
            Self::Succeeded | Self::Refused | Self::Failed | Self::Cancelled | Self::Stuck => true,
            Self::Running | Self::Paused | Self::Cancelling | Self::RollingBack | Self::Interrupted => false,
        }
    }
}

/// Done of total, in units of the step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Amount {
    pub done: u64,
    pub total: u64,
}

/// A durable operation, as its journal and worker show it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationView {
    pub id: OperationId,
    pub tool: String,
    pub state: OperationState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    pub progress: Amount,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    pub attempt: u32,
    #[schemars(with = "String")]
    pub started_at: Time,
    #[schemars(with = "String")]
    pub updated_at: Time,
    pub elapsed_s: f64,
}

/// An approval that is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalView {
    /// Absent in human mode: there a person answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The app it is about, which a person types in human mode.
    pub app: String,
    pub digest: String,
    /// What will happen, a line each.
    pub summary: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_uri: Option<String>,
    #[schemars(with = "String")]
    pub expires_at: Time,
    pub mode: ApprovalMode,
    /// How it can be given.
    pub how: Vec<String>,
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    Create,
    Update,
    Unchanged,
    /// A person changed it since it was generated, or wrote it.
    Conflict,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Landfall,
    Person,
}

/// One file of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileChange {
    /// Relative to the workspace.
    pub path: String,
    pub action: FileAction,
    pub by: By,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_uri: Option<String>,
}

/// Something longer that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceLink {
    pub uri: String,
    pub title: String,
    pub mime: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// A call that makes sense now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextCall {
    pub tool: String,
    pub arguments: Map<String, Value>,
    pub why: String,
}

/// What every reply has; only fields with content appear.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reply {
    pub schema_version: u32,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// One sentence.
    pub summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<OperationView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<ApprovalView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<Diagnosis>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileChange>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_needed: Vec<ValueNeeded>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<ResourceLink>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<NextCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub seen_at: Option<Time>,
}

impl Reply {
    /// A reply with status and summary.
    pub fn new(status: Status, summary: impl Into<String>) -> Self {
        Self { schema_version: 1, status, summary: summary.into(), ..Self::default() }
    }

    /// Adds a call that makes sense now.
    pub fn then(&mut self, tool: &str, arguments: Value, why: &str) {
        let arguments = match arguments {
            Value::Object(arguments) => arguments,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        };
        self.next.push(NextCall { tool: tool.to_owned(), arguments, why: why.to_owned() });
    }
}

/// A reply with the fields of its tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct With<T> {
    #[serde(flatten)]
    pub reply: Reply,
    #[serde(flatten)]
    pub more: T,
}

impl<T> With<T> {
    /// Joins the two halves.
    pub fn new(reply: Reply, more: T) -> Self {
        Self { reply, more }
    }
}

/// analyze_project.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Analysis {
    pub root: String,
    pub digest: String,
    pub services: Vec<Service>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backing: Vec<BackingNeed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<WorkspaceMcp>,
    pub specs: Specs,
    pub findings: Vec<Finding>,
    pub ready: Vec<Ready>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<Unknown>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    pub skipped: Skipped,
}

/// A stage of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedStage {
    pub stage: String,
    pub needed: bool,
    pub why: String,
    pub effects: Vec<String>,
}

/// An object of the cluster that a plan changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedChange {
    pub kind: String,
    /// `create`, `update`, `unchanged`, `delete`.
    pub action: String,
    pub name: String,
    /// Its pods are replaced.
    pub restarts: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_uri: Option<String>,
}

/// The way back of one release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WayBack {
    pub release: String,
    /// `revision 3`, or `uninstalled` for a first install.
    pub to: String,
    pub keeps: Vec<String>,
    pub cannot_undo: Vec<String>,
}

/// The plan as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    pub digest: String,
    #[schemars(with = "String")]
    pub expires_at: Time,
    pub through: String,
    /// App revision it starts from, `r0` for none.
    pub base_revision: String,
    pub waves: Vec<Vec<String>>,
    pub stages: Vec<PlannedStage>,
    pub changes: Vec<PlannedChange>,
    pub approvals: Vec<String>,
    pub rollback: Vec<WayBack>,
    pub estimate_s: u64,
}

/// plan_deployment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Planned {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
}

/// An image that was built and judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImageView {
    pub service: String,
    pub reference: String,
    pub id: String,
    pub input_hash: String,
    pub size_bytes: u64,
    pub layers: u32,
    pub on_nodes: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom_uri: Option<String>,
}

/// containerize.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Containerized {
    pub images: Vec<ImageView>,
}

/// A chart that was written and judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChartView {
    pub service: String,
    pub dir: String,
    pub version: String,
    pub values: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// generate_chart.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Charted {
    pub charts: Vec<ChartView>,
}

/// One release of an app revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseView {
    pub release: String,
    pub helm_revision: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    pub chart: String,
}

/// An app revision: one deploy that reached the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RevisionView {
    /// `r3` is 3.
    pub n: u32,
    pub releases: Vec<ReleaseView>,
    pub verified: bool,
}

/// Where a service is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UrlView {
    pub service: String,
    pub url: String,
    pub how: String,
}

/// deploy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deployed {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<UrlView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unchanged: Vec<String>,
}

/// How a variable of the running process compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    Equal,
    Differs,
    Missing,
    NeverRead,
}

/// One variable of one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VariableView {
    pub service: String,
    pub name: String,
    pub verdict: Comparison,
}

/// Latency of a smoke request, milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    pub requests: u32,
    pub errors: u32,
    pub p50_ms: f64,
    pub p95_ms: f64,
}

/// validate_env.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Validated {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Program>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proof: Vec<ProofCheck>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// What measured use says about requests, limits and replicas; one look, not a load test.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
}

/// A deployed MCP server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServerView {
    pub name: String,
    pub version: String,
    pub protocol: String,
    pub path: String,
    pub host_header: String,
}

/// A tool of a deployed MCP server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ToolView {
    pub name: String,
    pub in_spec: bool,
    pub in_chatbot: bool,
    pub called: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<f64>,
}

/// verify_mcp.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verified {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<crate::survey::McpShape>,
}

/// What a rollback would change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Impact {
    pub restarts: Vec<String>,
    pub config: Vec<String>,
    pub irreversible: Vec<String>,
}

/// rollback.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RolledBack {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact: Option<Impact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<RevisionView>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_uri: Option<String>,
}

/// Ready and total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutOf {
    pub ready: u32,
    pub total: u32,
}

/// Counts of a namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    pub deployments: OutOf,
    pub pods: OutOf,
    pub services: OutOf,
}

/// An object that is not healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectView {
    pub object: String,
    pub state: String,
}

/// Log lines of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogView {
    pub pod: String,
    pub container: String,
    pub previous: bool,
    pub lines: Vec<String>,
}

/// The states of a deployment, derived from journal and cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppState {
    Initial,
    Ready,
    Packaged,
    Deploying,
    Active,
    Stable,
    Degraded,
    RollingBack,
    PreviousStable,
}

/// cluster_health.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Healthy {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<AppState>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<crate::evidence::Evidence>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogView>,
}

/// One line of an operation's story.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventView {
    pub n: u64,
    #[schemars(with = "String")]
    pub at: Time,
    pub text: String,
}

/// operation_status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Progressed {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<EventView>,
    /// The reply of the tool that began it, once settled: its own fields beside the common ones above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Map<String, Value>>,
}

/// cancel_operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CancelledView {
    pub undone: Vec<String>,
    pub left: Vec<String>,
}

/// A report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReportView {
    pub kind: crate::ask::ReportKind,
    /// At most 8 KB; the whole is a resource.
    pub markdown: String,
}

/// deployment_report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportView>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_run: Vec<String>,
}

/// What an advisor proposes: text that was judged, staged, and applied by nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProposalView {
    pub kind: crate::ask::AdviceKind,
    /// The service it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// Where it would stand, relative to the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The difference to what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_uri: Option<String>,
    /// Hypotheses, the likeliest first: somebody else's words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hypotheses: Vec<String>,
    /// The gates it was judged at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gate_verdicts: Vec<Gate>,
}

/// ask_advisor.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advised {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<ProposalView>,
    /// Why there is no proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<AdvisorRefusal>,
    /// Where the question went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_to: Option<String>,
    /// The question, where a person has to ask it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What Landfall itself knows of it, without any advisor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<String>,
}
