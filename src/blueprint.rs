//! The application as it shall run: survey facts, people's decisions and defaults resolved in one place; pure, it decides nothing about when.

mod draw;
mod environment;
mod backing;
mod start;
mod defaults;
mod storage;
mod waves;
#[cfg(test)]
mod tests;

use crate::evidence::{Finding, Place};
use crate::names::{AppName, EnvName, EnvironmentName, ImageRef, Namespace, ServiceName};
use crate::survey::{Mcp, Service};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub use draw::draw;
pub(crate) use draw::{bun, standalone, work_folder, workspace_root};

/// What a workload is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "role")]
pub enum Role {
    /// Built from the workspace.
    Service { facts: Box<Service> },
    /// A development instance of a public image, such as Postgres, with its data on a claim.
    Backing { kind: String },
}

/// Where a workload's image comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub enum ImagePlan {
    /// Built by us. Repository without a tag, `localhost/<app>/<service>`; the tag comes from the build's inputs.
    Built {
        repository: String,
        /// Context folder relative to the workspace, `.` for its root.
        context: String,
        /// Dockerfile relative to the workspace.
        dockerfile: String,
        /// The Dockerfile is a person's own; it is used as it is.
        persons: bool,
        build_args: BTreeMap<String, String>,
        /// Variables that the installation reads and that are secret: mounted for that one step, never written into a layer.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        secrets: Vec<EnvName>,
    },
    Public {
        reference: ImageRef,
    },
}

/// What a probe asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub enum Ask {
    Http {
        path: String,
    },
    Tcp,
    /// The standard health service of gRPC, where the program has it.
    Grpc,
    Exec {
        command: Vec<String>,
    },
}

/// The three probes; they differ in meaning: liveness never asks about a dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probes {
    pub startup: Option<Ask>,
    pub readiness: Option<Ask>,
    pub liveness: Option<Ask>,
}

/// Where the value of an environment variable comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "value")]
pub enum EnvValue {
    /// Public, written into the chart's values.
    Literal { text: String },
    /// A key of a Secret, by reference only.
    SecretKey { secret: String, key: String },
}

/// One variable of a container and why it is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvSetting {
    pub name: EnvName,
    #[serde(flatten)]
    pub value: EnvValue,
    pub required: bool,
    /// Where the code reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Place>,
    /// Why this value, for the comment in the values file.
    pub why: String,
}

/// Requests and limits as Kubernetes quantities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    pub cpu_request: String,
    pub cpu_limit: String,
    pub memory_request: String,
    pub memory_limit: String,
    pub ephemeral_request: String,
    pub ephemeral_limit: String,
}

/// A claim and where it is mounted; one writer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    pub mount: String,
    pub size: String,
}

/// A chart that a person wrote and that is deployed as it is; values laid over its own bring the image that was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonsChart {
    /// Relative to the workspace.
    pub folder: String,
    /// Its own values file for this environment, relative to the workspace, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values: Option<String>,
    /// The keys above those that name the image, from the outermost.
    pub above: Vec<String>,
    /// The keys that name the image, and what they say of ours.
    pub image: BTreeMap<String, String>,
    /// True where the chart runs the image by the digest that stands beside its name.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_digest: bool,
}

/// How a workload is reached from outside the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expose {
    #[default]
    Cluster,
    Ingress,
    NodePort,
}

/// One release: a Deployment with its Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    pub name: ServiceName,
    #[serde(flatten)]
    pub role: Role,
    pub image: ImagePlan,
    /// Exec-form start command of the image (Dockerfile CMD), or of the public image where it must differ.
    pub command: Vec<String>,
    /// Exec-form command that changes the database before new pods start; empty where nothing does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migration: Vec<String>,
    /// When it runs, in cron's five fields, for what runs to its end again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// The port the container listens on; the Service offers the same number.
    pub port: Option<u16>,
    pub probes: Probes,
    pub env: Vec<EnvSetting>,
    pub resources: Resources,
    pub replicas: u32,
    /// Writable folders (emptyDir) under the read-only root, absolute.
    pub writable: Vec<String>,
    pub storage: Option<Storage>,
    /// Numeric user and group, above 10000 for what we build.
    pub user: u32,
    pub expose: Expose,
    /// Workloads that must be ready first.
    pub needs: Vec<ServiceName>,
    /// Workloads that call this one (for the network policy).
    pub callers: Vec<ServiceName>,
    /// Egress outside the namespace that the survey or the configuration knows: `host:port` or `443`.
    pub egress: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Mcp>,
    /// The chart that a person wrote for it, where that one passes the helm gate; else its chart is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<PersonsChart>,
}

/// What keeps a workload's pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Controller {
    Deployment,
    /// For a service that keeps its data in its own files: one pod, one claim, and never two pods at once.
    StatefulSet,
    Job,
    CronJob,
}

impl Controller {
    /// The kind's name in Kubernetes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
        }
    }
}

impl Workload {
    /// What keeps its pods: the clock, its own end, its data, or nothing in particular.
    pub fn controller(&self) -> Controller {
        match (&self.schedule, self.service()) {
            (Some(_), _) => Controller::CronJob,
            (None, Some(facts)) if facts.kind == crate::survey::Kind::Job => Controller::Job,
            (None, Some(_)) if self.storage.is_some() => Controller::StatefulSet,
            (None, Some(_) | None) => Controller::Deployment,
        }
    }

    /// Where the program serves metrics in Prometheus' format, and the histogram of its requests: a route of that name, or a library that serves one.
    pub fn metrics(&self) -> Option<Metrics> {
        let facts = self.service().filter(|_| self.port.is_some())?;
        let exporter = EXPORTERS.iter().find(|(package, ..)| facts.depends_on(package));
        let path = facts.build_facts.get("metrics.path").map(String::as_str).or(exporter.map(|(_, path, _)| *path))?;
        Some(Metrics { path: path.to_owned(), latency: exporter.map(|(.., histogram)| *histogram) })
    }

    /// The survey's facts, for what is built from the workspace.
    pub fn service(&self) -> Option<&Service> {
        match &self.role {
            Role::Service { facts } => Some(facts),
            Role::Backing { .. } => None,
        }
    }
}

/// Package, the path under which it serves metrics, and its histogram of request durations in seconds; from their documentation.
const EXPORTERS: &[(&str, &str, &str)] = &[
    ("prometheus-fastapi-instrumentator", "/metrics", "http_request_duration_seconds"),
    ("prometheus-flask-exporter", "/metrics", "flask_http_request_duration_seconds"),
    ("express-prom-bundle", "/metrics", "http_request_duration_seconds"),
];

/// What Prometheus can read of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    pub path: String,
    /// The histogram of request durations, where a library is known to keep one.
    pub latency: Option<&'static str>,
}

/// Who watches the app while nobody asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Monitoring {
    /// The cluster has the types of the Prometheus operator.
    pub operator: bool,
    /// 95 of 100 requests within so many milliseconds, as the gate asks.
    pub latency_p95_ms: Option<u64>,
}

impl Monitoring {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A Secret that must exist before anything is installed; values never enter a blueprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretPlan {
    pub name: String,
    /// key → how its value is made or where it is read
    pub keys: BTreeMap<String, SecretKeyPlan>,
    /// The workload whose claim it lives as long as, for backing credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub belongs_to: Option<ServiceName>,
}

/// How one key of a Secret gets its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum SecretKeyPlan {
    /// From a value source that the user named.
    Source { source: crate::config::ValueSource },
    /// A fresh random value.
    Generate,
    /// A public literal, such as a user name.
    Literal { text: String },
    /// Assembled from other keys of the same Secret: `{POSTGRES_USER}` is replaced by that key's value.
    Template { text: String },
}

/// A value that only the user can give.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ValueNeeded {
    pub name: String,
    pub service: ServiceName,
    /// Where the code reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<Place>,
    pub secret: bool,
    /// Ready-made value sources or arguments.
    pub accepts: Vec<String>,
}

/// The whole application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blueprint {
    pub app: AppName,
    pub namespace: Namespace,
    pub environment: EnvironmentName,
    pub workloads: Vec<Workload>,
    /// Names in the order of installation; what stands together may be installed together.
    pub waves: Vec<Vec<ServiceName>>,
    pub secrets: Vec<SecretPlan>,
    /// Deploy waits for these; containerize and chart do not.
    pub values_needed: Vec<ValueNeeded>,
    /// What the blueprint noticed while it resolved the facts: cycles, missing ports, ignored settings.
    pub findings: Vec<Finding>,
    #[serde(default, skip_serializing_if = "Monitoring::is_nothing")]
    pub monitoring: Monitoring,
}

impl Blueprint {
    /// The workload of this name.
    pub fn workload(&self, name: &str) -> Option<&Workload> {
        self.workloads.iter().find(|workload| workload.name.as_str() == name)
    }
}

/// What a caller may decide beyond the survey and `landfall.toml`.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    pub namespace: Option<Namespace>,
    pub environment: Option<EnvironmentName>,
    /// Only these services (and what they need); empty means all.
    pub services: Vec<ServiceName>,
    /// Value sources by variable.
    pub secrets: BTreeMap<EnvName, crate::config::ValueSource>,
    /// kind → `in_cluster` or `url:NAME`
    pub backing: BTreeMap<String, String>,
    pub expose: Option<Expose>,
    /// Public build arguments.
    pub build_values: BTreeMap<String, String>,
}
