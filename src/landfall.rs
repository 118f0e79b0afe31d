//! Everything that can be asked of the engine, one function each; tools and the command line call these and nothing else.

mod advise;
mod analyze;
mod changes;
mod looks;
mod records;
mod resources;
mod worker;

pub use resources::{Mark, Page};

use crate::approval::Approvals;
use crate::config::{ApprovalMode, Config, Folders};
use crate::failure::Failure;
use crate::names::AppName;
use crate::ports::World;
use crate::reply;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    /// Surveys that still hold; clones of the engine share them.
    pub(crate) surveys: Arc<crate::survey::Cache>,
    /// Journals that were read; clones of the engine share them.
    pub(crate) journals: Arc<crate::journal::Readers>,
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

impl Landfall {
    /// Joins world and set-up.
    pub fn new(world: World, setup: Setup) -> Self {
        Self { world, setup, surveys: Arc::default(), journals: Arc::default() }
    }

    /// The same engine for a process that looks at a workspace once and ends.
    #[must_use]
    pub fn for_one_look(&self) -> Self {
        Self { surveys: Arc::new(crate::survey::Cache::forgetful()), ..self.clone() }
    }

    /// Marks an approval as given (or declined) by a person. The token alone is enough in client mode; in human mode only this is.
    pub async fn decide(&self, token: &str, given_by: GivenBy, accept: bool) -> Result<reply::ApprovalView, Failure> {
        self.approvals().decide(token, given_by, accept)
    }

    /// What an approval token stands for, with the plan's diff as text; for `landfall approve` and elicitations.
    pub async fn approval(&self, token: &str) -> Result<(reply::ApprovalView, String), Failure> {
        self.approvals().look(token)
    }

    /// Programs of this machine and what is wrong with them, for `landfall doctor`.
    pub async fn doctor(&self) -> Vec<crate::ports::Program> {
        self.world.local.programs().await
    }

    fn approvals(&self) -> Approvals {
        Approvals::new(&self.setup.state, Arc::clone(&self.world.clock))
    }

    /// The stricter of the server's and the workspace's mode.
    fn mode(&self, config: &Config) -> ApprovalMode {
        self.setup.approval.max(config.approval.mode.unwrap_or_default())
    }

    fn folders(&self, workspace: &Path) -> Folders {
        Folders::of(workspace, &self.setup.state)
    }
}

/// The app's name: landfall.toml, else the folder's slug.
pub(crate) fn app_name(config: &Config, workspace: &Path) -> AppName {
    config.app.name.clone().unwrap_or_else(|| AppName::from_folder(workspace))
}
