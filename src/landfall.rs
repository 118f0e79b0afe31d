//! Everything that can be asked of the engine, one function each; tools and the command line call these and nothing else.

use crate::ask;
use crate::config::ApprovalMode;
use crate::failure::{Code, Failure};
use crate::names::OperationId;
use crate::ports::World;
use crate::reply::{self, With};
use std::path::{Path, PathBuf};

/// How this process was set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The user's state folder.
    pub state: PathBuf,
    /// Folders in which workspaces may lie; empty: any absolute folder except `/` and the home folder itself.
    pub roots: Vec<PathBuf>,
    pub approval: ApprovalMode,
    /// The program that runs operations: this one.
    pub program: PathBuf,
    /// No cluster and no engine is touched.
    pub plan_only: bool,
}

/// The engine with its world.
#[derive(Clone, Debug)]
pub struct Landfall {
    pub world: World,
    pub setup: Setup,
}

/// How an approval was given, for the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenBy {
    /// The client showed the summary and its user accepted.
    Elicitation,
    /// `landfall approve` at a terminal.
    Terminal,
    /// The token was handed back.
    Token,
}

fn later() -> Failure {
    Failure::new(Code::NotSupported, "not connected yet")
}

impl Landfall {
    /// Joins world and set-up.
    pub fn new(world: World, setup: Setup) -> Self {
        Self { world, setup }
    }

    /// analyze_project: reads the workspace.
    pub async fn analyze(&self, ask: &ask::AnalyzeProject) -> Result<With<reply::Analysis>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// plan_deployment: a plan with its digest, changing nothing.
    pub async fn plan(&self, ask: &ask::PlanDeployment) -> Result<With<reply::Planned>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// containerize: writes Dockerfiles and, as an operation, builds and judges images.
    pub async fn containerize(&self, ask: &ask::Containerize) -> Result<With<reply::Containerized>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// generate_chart: writes and judges charts.
    pub async fn generate_chart(&self, ask: &ask::GenerateChart) -> Result<With<reply::Charted>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// deploy: begins an operation, after approval.
    pub async fn deploy(&self, ask: &ask::Deploy) -> Result<With<reply::Deployed>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// validate_env.
    pub async fn validate(&self, ask: &ask::ValidateEnv) -> Result<With<reply::Validated>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// verify_mcp.
    pub async fn verify_mcp(&self, ask: &ask::VerifyMcp) -> Result<With<reply::Verified>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// rollback: begins an operation, after approval.
    pub async fn rollback(&self, ask: &ask::Rollback) -> Result<With<reply::RolledBack>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// cluster_health.
    pub async fn health(&self, ask: &ask::ClusterHealth) -> Result<With<reply::Healthy>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// operation_status: waits up to 2.5 s for news.
    pub async fn status(&self, ask: &ask::OperationStatus) -> Result<With<reply::Progressed>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// cancel_operation.
    pub async fn cancel(&self, ask: &ask::CancelOperation) -> Result<With<reply::CancelledView>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// deployment_report.
    pub async fn report(&self, ask: &ask::DeploymentReport) -> Result<With<reply::Reported>, Failure> {
        let _ = ask;
        Err(later())
    }

    /// Marks an approval as given (or declined) by a person. The token alone is enough in client mode; in human mode only this is.
    pub async fn decide(&self, token: &str, given_by: GivenBy, accept: bool) -> Result<reply::ApprovalView, Failure> {
        let _ = (token, given_by, accept);
        Err(later())
    }

    /// What an approval token stands for, with the plan's diff as text; for `landfall approve` and elicitations.
    pub async fn approval(&self, token: &str) -> Result<(reply::ApprovalView, String), Failure> {
        let _ = token;
        Err(later())
    }

    /// All operations of a workspace, newest first.
    pub async fn operations(&self, workspace: Option<&str>) -> Result<Vec<reply::OperationView>, Failure> {
        let _ = workspace;
        Err(later())
    }

    /// Starts a worker again for an interrupted operation.
    pub async fn resume(&self, workspace: Option<&str>, id: &OperationId) -> Result<reply::OperationView, Failure> {
        let _ = (workspace, id);
        Err(later())
    }

    /// The worker's whole life: runs the operation to its end. Called by the hidden `landfall operation run`.
    pub async fn run_operation(&self, workspace: &Path, id: &OperationId) -> Result<reply::OperationState, Failure> {
        let _ = (workspace, id);
        Err(later())
    }

    /// The text of a `landfall://` resource and its MIME type.
    pub async fn resource(&self, uri: &str) -> Result<(String, String), Failure> {
        let _ = uri;
        Err(later())
    }

    /// A commented `landfall.toml` for the workspace, from its survey.
    pub async fn initial_config(&self, workspace: Option<&str>) -> Result<String, Failure> {
        let _ = workspace;
        Err(later())
    }

    /// A forwarded port to a service's pod, for `landfall open`.
    pub async fn open(&self, target: &ask::ClusterHealth) -> Result<(crate::ports::Forward, reply::UrlView), Failure> {
        let _ = target;
        Err(later())
    }

    /// Log lines of a service's pods, redacted, for `landfall logs`.
    pub async fn logs(&self, target: &ask::ClusterHealth, previous: bool) -> Result<Vec<reply::LogView>, Failure> {
        let _ = (target, previous);
        Err(later())
    }

    /// Programs of this machine and what is wrong with them, for `landfall doctor`.
    pub async fn doctor(&self) -> Vec<crate::ports::Program> {
        self.world.local.programs().await
    }

    /// Deletes claims and generated Secrets after an uninstall, for `landfall down --purge-data` alone.
    pub async fn purge_data(&self, target: &ask::Rollback) -> Result<Vec<String>, Failure> {
        let _ = target;
        Err(later())
    }
}
