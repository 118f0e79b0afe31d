//! What can be asked of Landfall: the typed, flat arguments of every tool and subcommand; parsing only.

use crate::blueprint::Expose;
use crate::config::Pause;
use crate::names::{EnvironmentName, Namespace, OperationId, ProfileName, ServiceName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares one struct of arguments: the common ones named first, then its own. Unknown fields are denied.
macro_rules! ask {
    (@common $name:ident [$($done:tt)*] [all] $($own:tt)*) => {
        ask!(@make $name [$($done)*
            /// Absolute path of the workspace. May be left out where the server has one allowed root.
            pub workspace: Option<String>,
            /// Minikube profile. Default: landfall.toml, else the only running profile.
            pub profile: Option<ProfileName>,
            /// Namespace. Default: landfall.toml, else the app's name.
            pub namespace: Option<Namespace>,
            /// Only these services (names from analyze_project) and what they need. Default: all.
            pub services: Vec<ServiceName>,
            /// Chooses values-<environment>.yaml; it is always deployed to Minikube. Default: minikube.
            pub environment: Option<EnvironmentName>,
            /// Token of an earlier reply whose status was approval_needed.
            pub approval: Option<String>,
            /// Seconds for the whole operation, 10 to 3600. Default: 900.
            #[schemars(range(min = 10, max = 3600))]
            pub deadline_s: Option<u32>,
        ] $($own)*);
    };
    (@common $name:ident [$($done:tt)*] [target] $($own:tt)*) => {
        ask!(@make $name [$($done)*
            /// Absolute path of the workspace. May be left out where the server has one allowed root.
            pub workspace: Option<String>,
            /// Minikube profile. Default: landfall.toml, else the only running profile.
            pub profile: Option<ProfileName>,
            /// Namespace. Default: landfall.toml, else the app's name.
            pub namespace: Option<Namespace>,
        ] $($own)*);
    };
    (@common $name:ident [$($done:tt)*] [workspace] $($own:tt)*) => {
        ask!(@make $name [$($done)*
            /// Absolute path of the workspace. May be left out where the server has one allowed root.
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
    /// Change nothing and show the difference.
    #[default]
    Stop,
    /// Leave the person's file as it is.
    Keep,
    /// Three-way merge against what was last generated.
    Merge,
    /// Replace it, after approval.
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

ask!(
    /// Arguments of analyze_project.
    AnalyzeProject(workspace) {
        /// Sub-folder to survey, relative to the workspace. Default: the workspace itself.
        pub path: Option<String>,
        /// summary, or full: every fact with its evidence inline.
        pub detail: Detail,
    }
);

ask!(
    /// Arguments of plan_deployment.
    PlanDeployment(all) {
        /// The last stage to plan. Default: validate.
        pub through: Through,
        /// Where secret values come from: NAME=env:VAR, NAME=file:PATH, NAME=file:.env#KEY, NAME=secret:SECRET/KEY or NAME=generate.
        pub secrets: Vec<String>,
        /// Backing services: postgres=in_cluster for a development instance, or postgres=url:NAME for the secret that holds its URL.
        pub backing: Vec<String>,
    }
);

ask!(
    /// Arguments of containerize.
    Containerize(all) {
        /// files writes Dockerfiles only and needs no engine; image also builds and judges.
        pub until: Until,
        /// For a file that a person changed.
        pub on_conflict: OnConflict,
        /// Public build arguments, NAME=value. Names that look secret are refused.
        pub build_values: Vec<String>,
        /// BuildKit secret mounts, NAME=source (sources as for deploy's secrets).
        pub build_secrets: Vec<String>,
    }
);

ask!(
    /// Arguments of generate_chart.
    GenerateChart(all) {
        /// Values files to write. Default: minikube and prod.
        pub environments: Vec<EnvironmentName>,
        /// How web and static services are reached from outside the cluster.
        pub expose: Expose,
        /// For a file that a person changed.
        pub on_conflict: OnConflict,
        /// Backing services, as for deploy.
        pub backing: Vec<String>,
    }
);

ask!(
    /// Arguments of deploy.
    Deploy(all) {
        /// The last stage to run. Verified needs validate. Default: validate.
        pub through: Through,
        /// Digest of the plan that must be carried out exactly. Default: a fresh plan.
        pub plan: Option<String>,
        /// Ask once, or before each stage.
        pub pause: Option<Pause>,
        /// rollback to the last verified revision when a gate refuses, or hold the state.
        pub on_refusal: OnRefusal,
        /// Where secret values come from: NAME=env:VAR, NAME=file:PATH, NAME=file:.env#KEY, NAME=secret:SECRET/KEY or NAME=generate. Never a value.
        pub secrets: Vec<String>,
        /// Backing services: postgres=in_cluster for a development instance, or postgres=url:NAME for the secret that holds its URL.
        pub backing: Vec<String>,
        /// Start (or create) the profile if it does not run; part of the approval.
        pub start_cluster: bool,
    }
);

ask!(
    /// Arguments of validate_env.
    ValidateEnv(target) {
        /// before: tools, cluster, values. after: the deployed app. auto: after, if releases exist.
        pub when: When,
        /// Only these groups of checks. Default: all that fit.
        pub checks: Vec<CheckGroup>,
        /// writing lets smoke requests write, after approval.
        pub smoke: SmokeMode,
        /// Only these services. Default: all.
        pub services: Vec<ServiceName>,
        /// Stability and log window in seconds, 0 to 600. Default: 30.
        #[schemars(range(max = 600))]
        pub window_s: Option<u32>,
        /// Token of an earlier reply whose status was approval_needed.
        pub approval: Option<String>,
    }
);

ask!(
    /// Arguments of verify_mcp.
    VerifyMcp(target) {
        /// The MCP server. Default: the only one.
        pub service: Option<ServiceName>,
        /// The service from whose place it is called. Default: its caller.
        pub from_service: Option<ServiceName>,
        /// Path of the endpoint. Default: found by protocol.
        pub path: Option<String>,
        /// Tools that may be called, each as: tool {json arguments}. Default: tools annotated read-only.
        pub calls: Vec<String>,
        /// with_cleanup lets a call write and be undone, after approval.
        pub writes: Writes,
        /// prove: a chat message leads to a tool call that changes the database. Needs writes.
        pub chat_path: ChatPath,
        /// Token of an earlier reply whose status was approval_needed.
        pub approval: Option<String>,
    }
);

ask!(
    /// Arguments of rollback.
    Rollback(target) {
        /// last_verified, uninstalled, or an app revision such as r3. Default: last_verified.
        pub to: Option<String>,
        /// Only these services; the app is then named mixed. Default: what changed since.
        pub services: Vec<ServiceName>,
        /// Allow a revision that was not verified. Only together with a named revision.
        pub allow_unverified: bool,
        /// Why, for the journal.
        pub reason: Option<String>,
        /// Token of an earlier reply whose status was approval_needed.
        pub approval: Option<String>,
    }
);

ask!(
    /// Arguments of cluster_health.
    ClusterHealth(target) {
        /// app, or the whole cluster's nodes and system pods as well.
        pub scope: HealthScope,
        /// Only this service.
        pub service: Option<ServiceName>,
        /// Last log lines of each container, redacted, 0 to 200. Default: 0.
        #[schemars(range(max = 200))]
        pub logs: Option<u32>,
    }
);

ask!(
    /// Arguments of operation_status.
    OperationStatus(workspace) {
        /// Operation id. Default: the newest.
        pub operation: Option<OperationId>,
        /// Seconds to wait for news, 0 to 2.5. Default: 2.5.
        #[schemars(range(min = 0.0, max = 2.5))]
        pub wait_s: Option<f64>,
        /// Only events later than this number.
        pub after: Option<u64>,
    }
);

ask!(
    /// Arguments of cancel_operation.
    CancelOperation(workspace) {
        /// Operation id. Default: the running one.
        pub operation: Option<OperationId>,
        /// walk_back undoes what was changed; leave keeps and reports it.
        pub undo: UndoMode,
    }
);

ask!(
    /// Arguments of deployment_report.
    DeploymentReport(target) {
        /// readiness, health, verdict, traceability or audit. Default: verdict.
        pub kind: ReportKind,
        /// markdown, json or html (as a resource). Default: markdown.
        pub format: ReportFormat,
        /// Operation id. Default: the newest that was settled.
        pub operation: Option<OperationId>,
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
