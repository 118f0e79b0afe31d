//! What can be asked of Landfall: the typed, flat arguments of every tool and subcommand; parsing only.

use crate::blueprint::Expose;
use crate::config::Pause;
use crate::names::{AdvisorName, EnvironmentName, Namespace, OperationId, ProfileName, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares one struct of arguments: the common ones named first, then its own. Unknown fields are denied.
macro_rules! ask {
    (@common $name:ident [$($done:tt)*] [all] $($own:tt)*) => {
        ask!(@make $name [$($done)*
            /// Absolute path.
            pub workspace: Option<String>,
            /// Minikube profile.
            pub profile: Option<ProfileName>,
            /// Default: the app's name.
            pub namespace: Option<Namespace>,
            /// Default: all.
            pub services: Vec<ServiceName>,
            /// Chooses values-<environment>.yaml.
            pub environment: Option<EnvironmentName>,
            /// Token of an approval_needed reply.
            pub approval: Option<String>,
            /// Default: 900.
            #[schemars(range(min = 10, max = 3600))]
            pub deadline_s: Option<u32>,
        ] $($own)*);
    };
    (@common $name:ident [$($done:tt)*] [target] $($own:tt)*) => {
        ask!(@make $name [$($done)*
            /// Absolute path.
            pub workspace: Option<String>,
            /// Minikube profile.
            pub profile: Option<ProfileName>,
            /// Default: the app's name.
            pub namespace: Option<Namespace>,
        ] $($own)*);
    };
    (@common $name:ident [$($done:tt)*] [workspace] $($own:tt)*) => {
        ask!(@make $name [$($done)*
            /// Absolute path.
            pub workspace: Option<String>,
        ] $($own)*);
    };
    (@make $name:ident [$($field:tt)*] $(#[$doc:meta])* { $($own:tt)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name { $($field)* $($own)* }
    };
    ($(#[$doc:meta])* $name:ident($common:ident) { $($own:tt)* }) => {
        ask!(@common $name [] [$common] $(#[$doc])* { $($own)* });
    };
}

/// How much of a survey is inlined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    #[default]
    Summary,
    Full,
}

/// The stage up to which a deploy goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    Containerize,
    Chart,
    Deploy,
    #[default]
    Validate,
}

/// What to do with a file that a person changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    #[default]
    Stop,
    Keep,
    Merge,
    Replace,
}

/// How far containerize goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    Files,
    #[default]
    Image,
}

/// What happens when a gate refuses a release that had a verified revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRefusal {
    #[default]
    Rollback,
    Hold,
}

/// When a validation happens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    Before,
    After,
    #[default]
    Auto,
}

/// A group of validation checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckGroup {
    Tools,
    Cluster,
    Resources,
    Values,
    Reachability,
    Environment,
    Smoke,
    Logs,
    Metrics,
}

/// Whether smoke requests may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SmokeMode {
    #[default]
    ReadOnly,
    Writing,
}

/// Whether verify_mcp may call tools that write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Writes {
    #[default]
    Forbidden,
    WithCleanup,
}

/// Whether the way from a chat message to a changed row is proven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatPath {
    #[default]
    Skip,
    Prove,
}

/// What cluster_health looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthScope {
    #[default]
    App,
    Cluster,
}

/// What cancelling does with what was changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UndoMode {
    #[default]
    WalkBack,
    Leave,
}

/// Which report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    Readiness,
    Health,
    #[default]
    Verdict,
    Traceability,
    Audit,
}

/// The form of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    #[default]
    Markdown,
    Json,
    Html,
}

/// What an advisor is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AdviceKind {
    #[default]
    Diagnosis,
    Dockerfile,
    Values,
}

ask!(
    /// Arguments of analyze_project.
    AnalyzeProject(workspace) {
        /// Sub-folder; default: all.
        pub path: Option<String>,
        /// full: every fact with its evidence.
        pub detail: Detail,
    }
);

ask!(
    /// Arguments of plan_deployment.
    PlanDeployment(all) {
        /// Last stage.
        pub through: Through,
        /// As in deploy.
        pub secrets: Vec<String>,
        /// As in deploy.
        pub backing: Vec<String>,
    }
);

ask!(
    /// Arguments of containerize.
    Containerize(all) {
        /// files needs no engine; image also builds and judges.
        pub until: Until,
        /// For a file that a person changed; stop shows the difference, replace needs approval.
        pub on_conflict: OnConflict,
        /// Public build arguments, NAME=value.
        pub build_values: Vec<String>,
        /// BuildKit secret mounts, NAME=source as in deploy.
        pub build_secrets: Vec<String>,
    }
);

ask!(
    /// Arguments of generate_chart.
    GenerateChart(all) {
        /// Values files; default: minikube, prod.
        pub environments: Vec<EnvironmentName>,
        /// How web services are reached from outside.
        pub expose: Expose,
        /// For a file that a person changed; stop shows the difference, replace needs approval.
        pub on_conflict: OnConflict,
        /// As in deploy.
        pub backing: Vec<String>,
    }
);

ask!(
    /// Arguments of deploy.
    Deploy(all) {
        /// Last stage; verified needs validate.
        pub through: Through,
        /// Digest of the plan to carry out exactly; default: a fresh plan.
        pub plan: Option<String>,
        /// Ask once, or before each stage.
        pub pause: Option<Pause>,
        /// When a gate refuses: roll back to the last verified revision, or hold.
        pub on_refusal: OnRefusal,
        /// Sources, never values: NAME=env:VAR, NAME=file:PATH, NAME=file:.env#KEY, NAME=secret:SECRET/KEY, NAME=generate.
        pub secrets: Vec<String>,
        /// postgres=in_cluster, or postgres=url:NAME (the secret with its URL).
        pub backing: Vec<String>,
        /// Start (or create) the profile if it does not run.
        pub start_cluster: bool,
    }
);

ask!(
    /// Arguments of validate_env.
    ValidateEnv(target) {
        /// before a deploy, or after; auto: after, if releases exist.
        pub when: When,
        /// Default: all that fit.
        pub checks: Vec<CheckGroup>,
        /// writing needs approval.
        pub smoke: SmokeMode,
        /// Default: all.
        pub services: Vec<ServiceName>,
        /// Stability and log window; default: 30.
        #[schemars(range(max = 600))]
        pub window_s: Option<u32>,
        /// Token of an approval_needed reply.
        pub approval: Option<String>,
    }
);

ask!(
    /// Arguments of verify_mcp.
    VerifyMcp(target) {
        /// Default: the only MCP server.
        pub service: Option<ServiceName>,
        /// From whose place it is called; default: its caller.
        pub from_service: Option<ServiceName>,
        /// Endpoint; default: found by protocol.
        pub path: Option<String>,
        /// Each: tool {json arguments}; default: read-only tools.
        pub calls: Vec<String>,
        /// with_cleanup needs approval.
        pub writes: Writes,
        /// prove: chat message to changed row; needs writes.
        pub chat_path: ChatPath,
        /// Token of an approval_needed reply.
        pub approval: Option<String>,
    }
);

ask!(
    /// Arguments of rollback.
    Rollback(target) {
        /// last_verified (default), uninstalled, or a revision such as r3.
        pub to: Option<String>,
        /// Default: what changed since.
        pub services: Vec<ServiceName>,
        /// Take a named revision that was not verified.
        pub allow_unverified: bool,
        /// Why, for the journal.
        pub reason: Option<String>,
        /// Token of an approval_needed reply.
        pub approval: Option<String>,
    }
);

ask!(
    /// Arguments of cluster_health.
    ClusterHealth(target) {
        /// cluster: nodes and system pods as well.
        pub scope: HealthScope,
        /// Only this service.
        pub service: Option<ServiceName>,
        /// Log lines per container; default: 0.
        #[schemars(range(max = 200))]
        pub logs: Option<u32>,
    }
);

ask!(
    /// Arguments of operation_status.
    OperationStatus(workspace) {
        /// Id; default: the newest.
        pub operation: Option<OperationId>,
        /// Seconds to wait for news; default: 2.5.
        #[schemars(range(min = 0.0, max = 2.5))]
        pub wait_s: Option<f64>,
        /// Only events later than this number.
        pub after: Option<u64>,
    }
);

ask!(
    /// Arguments of cancel_operation.
    CancelOperation(workspace) {
        /// Id; default: the running one.
        pub operation: Option<OperationId>,
        /// walk_back undoes what was changed; leave reports it.
        pub undo: UndoMode,
    }
);

ask!(
    /// Arguments of deployment_report.
    DeploymentReport(target) {
        /// Which report.
        pub kind: ReportKind,
        /// html comes as a resource.
        pub format: ReportFormat,
        /// Id; default: the newest settled one.
        pub operation: Option<OperationId>,
    }
);

ask!(
    /// Arguments of ask_advisor.
    AskAdvisor(target) {
        /// Default: the first that is switched on.
        pub advisor: Option<AdvisorName>,
        /// What to propose.
        pub want: AdviceKind,
        /// Service or operation id; default: the newest failure.
        pub about: Option<String>,
        /// At most 500 characters.
        pub question: Option<String>,
        /// File with an answer that a person brought.
        pub answer: Option<String>,
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_arguments_are_denied() {
        let error = serde_json::from_str::<Deploy>(r#"{"workspce": "/x"}"#).unwrap_err().to_string();
        assert!(error.contains("workspce") && error.contains("workspace"), "{error}");
    }

    #[test]
    fn everything_has_a_default() {
        let deploy: Deploy = serde_json::from_str("{}").unwrap();
        assert_eq!(deploy.through, Through::Validate);
        assert_eq!(deploy.on_refusal, OnRefusal::Rollback);
    }
}
