//! What can go wrong, as one value with a stable code and the next step; it never decides what to do about it.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Who has to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// The application: its code, Dockerfile or chart.
    App,
    /// A value or a decision is missing.
    ValueNeeded,
    /// The cluster, its nodes, network or policies.
    Cluster,
    /// Landfall itself, or a release record it can repair.
    Landfall,
    /// A program, an engine, disk or permission on this machine.
    Environment,
}

/// Declares every code once: variant, name on the wire, owner, worth retrying unchanged, exit code of the command line.
macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $owner:ident, $retryable:literal, $exit:literal;)*) => {
        /// The stable codes of failures; a code is never reused for another meaning.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Code { $($(#[$doc])* #[serde(rename = $text)] $variant,)* }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];
            /// The name on the wire.
            pub fn as_str(self) -> &'static str { match self { $(Code::$variant => $text,)* } }
            /// Whose move it is.
            pub fn owner(self) -> Owner { match self { $(Code::$variant => Owner::$owner,)* } }
            /// True where the same call may succeed later without a change.
            pub fn retryable(self) -> bool { match self { $(Code::$variant => $retryable,)* } }
            /// The exit code of the command line.
            pub fn exit_code(self) -> u8 { match self { $(Code::$variant => $exit,)* } }
        }
    };
}

codes! {
    /// An argument is unknown, of the wrong type or out of range.
    BadArgument = "BAD_ARGUMENT", ValueNeeded, false, 2;
    /// A name does not follow its rule.
    NameInvalid = "NAME_INVALID", ValueNeeded, false, 2;
    WorkspaceNotFound = "WORKSPACE_NOT_FOUND", ValueNeeded, false, 2;
    WorkspaceUnreadable = "WORKSPACE_UNREADABLE", Environment, false, 7;
    WorkspaceReadOnly = "WORKSPACE_READ_ONLY", Environment, false, 7;
    /// The folder lies outside the allowed roots.
    WorkspaceNotAllowed = "WORKSPACE_NOT_ALLOWED", ValueNeeded, false, 2;
    /// The folder holds nothing that can be deployed.
    NothingToDeploy = "NOTHING_TO_DEPLOY", App, false, 10;
    ServiceUnknown = "SERVICE_UNKNOWN", ValueNeeded, false, 2;
    ConfigInvalid = "CONFIG_INVALID", ValueNeeded, false, 2;
    /// Something of the survey keeps the service from being built or deployed.
    NotDeployable = "NOT_DEPLOYABLE", App, false, 10;
    ProfileAmbiguous = "PROFILE_AMBIGUOUS", ValueNeeded, false, 2;
    ProfileNotFound = "PROFILE_NOT_FOUND", ValueNeeded, false, 7;
    ClusterStopped = "CLUSTER_STOPPED", Environment, false, 7;
    ClusterUnreachable = "CLUSTER_UNREACHABLE", Cluster, true, 7;
    /// The target is not proven to be a live local Minikube.
    WrongCluster = "WRONG_CLUSTER", Cluster, false, 6;
    ClusterRefused = "CLUSTER_REFUSED", Cluster, false, 7;
    RuntimeUnsupported = "RUNTIME_UNSUPPORTED", Environment, false, 7;
    ProgramMissing = "PROGRAM_MISSING", Environment, false, 7;
    ProgramFailed = "PROGRAM_FAILED", Environment, false, 7;
    EngineUnreachable = "ENGINE_UNREACHABLE", Environment, true, 7;
    DiskFull = "DISK_FULL", Environment, false, 7;
    FileSystem = "FILE_SYSTEM", Environment, false, 7;
    OperationRunning = "OPERATION_RUNNING", Landfall, true, 8;
    OperationNotFound = "OPERATION_NOT_FOUND", ValueNeeded, false, 2;
    OperationSettled = "OPERATION_SETTLED", ValueNeeded, false, 2;
    PlanStale = "PLAN_STALE", ValueNeeded, false, 4;
    PlanNotFound = "PLAN_NOT_FOUND", ValueNeeded, false, 2;
    ApprovalRequired = "APPROVAL_REQUIRED", ValueNeeded, false, 4;
    ApprovalExpired = "APPROVAL_EXPIRED", ValueNeeded, false, 4;
    ApprovalInvalid = "APPROVAL_INVALID", ValueNeeded, false, 4;
    ReleaseNotOurs = "RELEASE_NOT_OURS", ValueNeeded, false, 2;
    NamespaceNotOurs = "NAMESPACE_NOT_OURS", ValueNeeded, false, 2;
    NotDeployed = "NOT_DEPLOYED", ValueNeeded, false, 2;
    NoVerifiedRevision = "NO_VERIFIED_REVISION", ValueNeeded, false, 2;
    ValueSourceInvalid = "VALUE_SOURCE_INVALID", ValueNeeded, false, 5;
    ValueSourceUnreadable = "VALUE_SOURCE_UNREADABLE", ValueNeeded, false, 5;
    ValueNeeded = "VALUE_NEEDED", ValueNeeded, false, 5;
    BuildFailed = "BUILD_FAILED", App, false, 3;
    HelmFailed = "HELM_FAILED", Landfall, false, 3;
    HelmPending = "HELM_PENDING", Landfall, true, 3;
    RenderFailed = "RENDER_FAILED", App, false, 3;
    FileConflict = "FILE_CONFLICT", ValueNeeded, false, 4;
    NotMcp = "NOT_MCP", App, false, 3;
    Deadline = "DEADLINE", Cluster, true, 12;
    Cancelled = "CANCELLED", ValueNeeded, false, 130;
    Interrupted = "INTERRUPTED", Landfall, true, 130;
    Stuck = "STUCK", Cluster, false, 9;
    JournalDamaged = "JOURNAL_DAMAGED", Landfall, false, 1;
    NotSupported = "NOT_SUPPORTED", ValueNeeded, false, 2;
    Internal = "INTERNAL", Landfall, false, 1;
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// Something did not work: what (message), what to do next (help), and what lay underneath (causes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Failure {
    pub code: Code,
    /// What was being done and what was seen; lower case, no full stop.
    pub message: String,
    /// The next command or tool call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub help: String,
    /// Underlying errors, outermost first, redacted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    pub owner: Owner,
    pub retryable: bool,
}

impl Failure {
    /// A failure whose owner and retry rule come from the table.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        let message = crate::secret::redact(&message.into());
        Self { code, message, help: String::new(), causes: Vec::new(), owner: code.owner(), retryable: code.retryable() }
    }

    /// Adds the next step.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }

    /// Adds one underlying cause, redacted.
    #[must_use]
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(crate::secret::plain(&cause.to_string(), 600));
        self
    }

    /// Adds an error with its whole chain of sources.
    #[must_use]
    pub fn chain(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self = self.cause(error);
            next = error.source();
        }
        self
    }

    /// A failed look at or change of a file: what was being done, where, and why not.
    pub fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let code = if error.kind() == std::io::ErrorKind::StorageFull { Code::DiskFull } else { Code::FileSystem };
        Self::new(code, format!("{doing} {}", path.display())).cause(error).help("check that the folder exists, has room and belongs to you, then call again")
    }

    /// A fault of ours: a state that the code believed impossible.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Code::Internal, message).help("please report this with the operation's journal")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)?;
        for cause in &self.causes {
            write!(formatter, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let text = serde_json::to_string(code).unwrap();
            assert_eq!(text, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&text).unwrap(), *code);
        }
    }

    #[test]
    fn a_failure_keeps_no_secret() {
        let failure = Failure::new(Code::Internal, "connect postgresql://todo:hunter2horse@db/todo").cause("password=hunter2horse");
        assert!(!failure.to_string().contains("hunter2horse"), "{failure}");
    }
}
