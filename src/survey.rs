//! A directory becomes a `Survey`: services and facts, each with its place in the files. Reading only; nothing of the workspace runs.

mod index;
mod walk;
mod workspace;
mod facts;
mod words;
mod syntax;
mod yaml;
mod python;
mod script;
mod other;
mod sdks;
mod leaks;
mod commands;
mod docker;
mod versions;
mod start;
mod draft;
mod node;
mod pip;
mod more;
mod jvm;
mod tail;
mod manifests;
mod assemble;
mod libraries;
mod finish;
mod settings;
mod calls;
mod helm;
mod findings;
mod specs;
mod spec_tools;
mod cache;
#[cfg(test)]
mod tests;

pub use cache::Cache;

use crate::evidence::{Finding, Place};
use crate::failure::{Code, Failure};
use crate::names::{Digest, EnvName, ServiceName};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// How much is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Larger files are skipped and counted.
    pub max_file_bytes: u64,
    /// Files beyond this many are not listed.
    pub max_files: usize,
    /// Files beyond this many are not read.
    pub max_read: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_file_bytes: 1024 * 1024, max_files: 200_000, max_read: 20_000 }
    }
}

/// Surveys a folder: reads it, runs nothing of it. The same tree gives the same bytes.
///
/// `Service::build_facts` carries what templates need:
///
/// | key | value |
/// |---|---|
/// | `lockfile` | path of the lockfile that holds, relative to the workspace |
/// | `workspace.root` | folder of the package workspace that the service is a member of, where that is another folder |
/// | `workspace.members` | `true` where an installation reads other packages of the project |
/// | `python.git` | `true` where a package is taken out of a git repository |
/// | `engines.node`, `requires-python` | the version range as declared |
/// | `start.script` | what `npm run start` runs |
/// | `next.config` | path of the configuration |
/// | `next.standalone` | `true`, `false` |
/// | `next.output` | `export` where it is exported as static files |
/// | `next.config.tools` | `true` where the configuration, which is read at every start, imports packages that are listed for development |
/// | `next.public` | `true` where a public/ folder is tracked, else `false` |
/// | `static.dir` | folder of the finished static files, relative to the service |
/// | `python.module` | `app.main:app`, or the module of `python -m` |
/// | `python.package` | top folder of the entry file |
/// | `python.pyproject` | `pyproject.toml` where there is one, relative to the service |
/// | `requirements` | requirements file, relative to the service |
/// | `entry` | file that is started, relative to the service |
/// | `release.command` | what the Procfile runs once for each release |
/// | `go.main` | package to build, `.` or `./cmd/x` |
/// | `jvm.root` | folder of the Maven or Gradle build that the service is a module of, where that is another folder |
/// | `package_manager.version` | what the project declares of its package manager, or the series that its lockfile needs |
/// | `uv.workspace` | `true` for the root of a workspace of uv that is a program itself |
/// | `yarn.berry`, `yarn.folder` | `true` for Yarn 2 and later; `true` where a `.yarn` folder is tracked |
/// | `pages.…` | manager, lockfile and version for what browsers load, built beside a program of another language |
/// | `gradle.series`, `sbt.series` | the major version that the project's wrapper names; major and minor of the sbt that the project names |
/// | `dotnet.root` | folder that holds everything the project is built from, where that is another folder |
/// | `ruby.paths` | `true` where gems lie in the project itself |
/// | `ruby.platforms` | those of the lockfile, where none of them runs in an image |
/// | `elixir.config` | folder of the configuration that dependencies are compiled with |
/// | `rust.binary`, `java.jar`, `dotnet.project`, `elixir.app`, `php.root` | what the build leaves behind or is told to build, or the folder that is served |
///
/// Fails with `WORKSPACE_NOT_FOUND` or `WORKSPACE_UNREADABLE`; a folder with nothing to deploy is a survey with the finding `nothing_to_deploy`.
pub fn survey(root: &Path, options: &Options) -> Result<Survey, Failure> {
    let root = open(root)?;
    Ok(of_tree(walk::Tree::list(&root, options), options)?.0)
}

/// The survey of a listed folder, and what it learnt beyond the list.
fn of_tree(tree: walk::Tree, options: &Options) -> Result<(Survey, walk::Beyond), Failure> {
    let root = tree.root.display().to_string();
    let mut workspace = workspace::Workspace::load(tree, options);
    let (mut drafts, older) = assemble::drafts(&mut workspace);
    let mut homes: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    for draft in &drafts {
        *homes.entry(draft.service.dir.clone()).or_insert(0) += 1;
    }
    // Specs are read while the rest is put together: neither knows of the other.
    let (specs, (mcp, findings)) = rayon::join(
        || specs::read(&workspace),
        || {
            let members = libraries::Members::of(&workspace);
            for draft in &mut drafts {
                let shared = homes.get(&draft.service.dir).is_some_and(|count| *count > 1);
                finish::finish(&workspace, &members, draft, shared);
            }
            calls::link(&workspace, &mut drafts);
            let mcp = calls::shape(&workspace, &drafts);
            let findings = findings::judge(&workspace, &drafts, &mcp);
            (mcp, findings)
        },
    );
    let ready = drafts.iter().map(|draft| {
        let (containerizable, why) = findings::ready(draft, &findings);
        Ready { service: draft.service.name.clone(), containerizable, why }
    });
    let ready = ready.collect();
    let unknown = drafts.iter().flat_map(unknowns).collect();
    let mut passed_over = workspace.tree.passed_over.clone();
    passed_over.extend(older);
    passed_over.sort_by(|left, right| left.dir.cmp(&right.dir));
    let mut survey = Survey {
        schema_version: 1,
        root: String::new(),
        digest: String::new(),
        services: drafts.into_iter().map(|draft| draft.service).collect(),
        backing: docker::backing(&workspace.compose),
        mcp,
        specs,
        findings,
        ready,
        unknown,
        passed_over,
        skipped: workspace.tree.skipped(),
    };
    let facts = serde_json::to_vec(&survey).map_err(|error| Failure::internal("write the survey as JSON").cause(error))?;
    survey.digest = Digest::of(facts).as_str().to_owned();
    survey.root = root;
    Ok((survey, workspace.tree.beyond()))
}

/// The folder as an absolute path, once it is known that it can be read.
fn open(root: &Path) -> Result<std::path::PathBuf, Failure> {
    let missing = |what: &str| {
        Failure::new(Code::WorkspaceNotFound, format!("survey {}: {what}", root.display()))
            .help("call again with the absolute path of the folder that holds the application")
    };
    let unreadable = |error: &std::io::Error| {
        Failure::new(Code::WorkspaceUnreadable, format!("survey {}", root.display()))
            .cause(error)
            .help("give this user the right to read the folder, then call again")
    };
    let full = match root.canonicalize() {
        Ok(full) => full,
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Err(unreadable(&error)),
        Err(_) => return Err(missing("there is no such folder")),
    };
    match std::fs::metadata(&full) {
        Ok(about) if !about.is_dir() => return Err(missing("it is a file")),
        Ok(_) => {}
        Err(error) => return Err(unreadable(&error)),
    }
    std::fs::read_dir(&full).map_err(|error| unreadable(&error))?;
    Ok(full)
}

/// What could not be decided about a service.
fn unknowns(draft: &draft::Draft) -> Vec<Unknown> {
    let service = &draft.service;
    let fact = |fact: &str, seen: Vec<Place>| Unknown { service: service.name.clone(), fact: fact.to_owned(), seen };
    let shown = |field: &str| service.evidence.get(field).cloned().unwrap_or_default();
    let mut out: Vec<Unknown> = draft.unknown.iter().map(|(name, seen)| fact(name, seen.clone())).collect();
    let listens = matches!(service.kind, Kind::Web | Kind::Api)
        || (service.kind == Kind::McpServer && service.mcp.as_ref().is_some_and(|mcp| mcp.transport != McpTransport::Stdio));
    if listens && service.ports.is_empty() {
        out.push(fact("ports", shown("start_command")));
    }
    if service.start_command.is_none() && service.kind != Kind::Static && service.dockerfile.is_none() && !matches!(service.language.as_str(), "go" | "php") {
        out.push(fact("start_command", shown("language")));
    }
    if service.language_version.is_none() && service.kind != Kind::Static {
        out.push(fact("language_version", shown("language")));
    }
    out
}

/// The first words of every file that we write: a Dockerfile that begins with them is no decision of a person.
pub(crate) const OURS: &str = "# Written by Landfall";

/// What a service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Web,
    Api,
    Worker,
    Job,
    Static,
    McpServer,
}

/// An answer that may be unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Required {
    Yes,
    No,
    Unknown,
}

/// When a variable is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Build,
    Run,
    /// Baked into what browsers load.
    Browser,
}

/// A port on which a service listens inside its container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Port {
    pub port: u16,
    /// `http`, `grpc` or `tcp`.
    pub protocol: String,
    pub evidence: Vec<Place>,
}

/// Health routes, or `grpc:<port>` for gRPC's own health service. `live` never depends on another service; `ready` may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Health {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<String>,
    pub evidence: Vec<Place>,
}

/// A variable that the code reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct EnvRead {
    pub name: EnvName,
    pub required: Required,
    pub secret: bool,
    pub phases: Vec<Phase>,
    /// The default written in the code; never of a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// Modules or libraries that read it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub consumers: Vec<String>,
    pub evidence: Vec<Place>,
}

/// A service outside the repository that this one needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct BackingNeed {
    /// `postgres`, `mysql`, `redis`, `mongodb`, `kafka`, `rabbitmq`, `s3`, `llm`, `url`, …
    pub kind: String,
    /// The variable or library through which it is reached.
    pub via: String,
    pub evidence: Vec<Place>,
}

/// How an MCP server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum McpTransport {
    Http,
    Sse,
    Stdio,
}

/// An MCP server found in the code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Mcp {
    pub transport: McpTransport,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The SDK package, such as `mcp` or `fastmcp`.
    pub sdk: String,
    pub tools: Vec<String>,
    pub evidence: Vec<Place>,
}

/// A call from one service of the workspace to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Call {
    pub service: ServiceName,
    /// The environment variable that holds the address, or the literal URL.
    pub via: String,
    /// The path behind the address that the code or its documentation asks for, such as `/mcp`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    pub evidence: Vec<Place>,
}

/// One thing to build and run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Service {
    pub name: ServiceName,
    /// Folder relative to the root; `.` for the root itself.
    pub dir: String,
    pub kind: Kind,
    /// `node`, `python`, `go`, `rust`, `java`, …
    pub language: String,
    /// The series to run, such as `3.13` or `22`; from a declaration where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub framework: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub package_manager: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_command: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_command: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_command: Option<String>,
    pub ports: Vec<Port>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    pub env: Vec<EnvRead>,
    pub backing: Vec<BackingNeed>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp: Option<Mcp>,
    pub calls: Vec<Call>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dockerfile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose_service: Option<String>,
    /// Direct and locked dependencies by name, lower case, with the locked or declared version.
    #[serde(default)]
    pub dependencies: std::collections::BTreeMap<String, String>,
    /// Facts about the build that templates need, such as `next.standalone = true`, `lockfile = package-lock.json`, `python.module = app.main:app`, `static.dir = dist`.
    #[serde(default)]
    pub build_facts: std::collections::BTreeMap<String, String>,
    /// Folders the program writes to at run time, absolute or relative to its working folder.
    #[serde(default)]
    pub writes: Vec<String>,
    /// One place for each detected fact, keyed by the fact's field name.
    pub evidence: std::collections::BTreeMap<String, Vec<Place>>,
}

/// Languages that a Dockerfile can be written for, and with which package managers; none: with any, or without.
pub(crate) const TEMPLATED: &[(&str, &[&str])] = &[
    ("node", &["npm", "pnpm", "yarn", "bun"]),
    ("python", &["pip", "uv", "poetry", "pipenv", "pdm"]),
    ("java", &["maven", "gradle"]),
    ("haskell", &["stack"]),
    ("static", &[]),
    ("html", &[]),
    ("go", &[]),
    ("rust", &[]),
    ("ruby", &[]),
    ("php", &[]),
    ("csharp", &[]),
    ("elixir", &[]),
    ("deno", &[]),
    ("swift", &[]),
    ("dart", &[]),
    ("crystal", &[]),
    ("cpp", &[]),
    ("cobol", &[]),
    ("gleam", &[]),
    ("scala", &[]),
    ("shell", &[]),
    ("scheme", &[]),
    ("lua", &[]),
];

impl Service {
    /// Whether a Dockerfile can be written for its language and package manager; the error says for what there is no template.
    pub(crate) fn templated(&self) -> Result<(), String> {
        let (language, manager) = (self.language.as_str(), self.package_manager.as_deref().unwrap_or_default());
        let Some((_, managers)) = TEMPLATED.iter().find(|(name, _)| *name == language) else {
            return Err(format!("there is no template for {language}"));
        };
        if managers.is_empty() || managers.contains(&manager) || (manager.is_empty() && language != "haskell") {
            return Ok(());
        }
        Err(format!("there is no template for {language} with {manager}, only with {}", managers.join(", ")))
    }

    /// The port that its Service offers: the first one.
    pub fn main_port(&self) -> Option<u16> {
        self.ports.first().map(|port| port.port)
    }

    /// True where a dependency of this name is declared or locked.
    pub fn depends_on(&self, package: &str) -> bool {
        self.dependencies.contains_key(package)
    }
}

/// How MCP is present in the workspace as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum McpShape {
    HttpDeployment,
    StdioSubprocess,
    SdkNotConnected,
    NameOnly,
    None,
}

/// The workspace's MCP shape and what shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct WorkspaceMcp {
    pub shape: McpShape,
    pub evidence: Vec<Place>,
}

/// A requirement of a spec.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Requirement {
    pub id: String,
    pub text: String,
    /// `functional`, `success`, `non_functional`, `story`, `task`.
    pub kind: String,
    /// The ids of the checks that can prove it together, `, ` between them; absent where none can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkable: Option<String>,
    /// For tasks: whether it is ticked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticked: Option<bool>,
    pub evidence: Place,
}

/// A feature folder of the specs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Feature {
    pub dir: String,
    pub title: String,
    pub requirements: Vec<Requirement>,
}

/// A principle of the constitution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Principle {
    pub title: String,
    pub text: String,
    pub evidence: Place,
}

/// Specs and constitution, where the workspace has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Specs {
    /// Path of the constitution; absent where there is none, or it is the unfilled template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constitution: Option<String>,
    #[serde(default)]
    pub principles: Vec<Principle>,
    #[serde(default)]
    pub features: Vec<Feature>,
    /// MCP tools that specs name, each by its first place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<SpecTool>,
}

/// An MCP tool that a spec names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SpecTool {
    pub name: String,
    pub evidence: Place,
}

/// Whether a service can be containerized, and why (not).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ready {
    pub service: ServiceName,
    pub containerizable: bool,
    pub why: String,
}

/// A fact that could not be decided, and what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Unknown {
    pub service: ServiceName,
    pub fact: String,
    pub seen: Vec<Place>,
}

/// A folder that was not looked into.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct PassedOver {
    pub dir: String,
    pub why: String,
}

/// Files that were not read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Skipped {
    pub files: u64,
    pub bytes: u64,
    /// reason → how many
    pub reasons: std::collections::BTreeMap<String, u64>,
}

/// Everything the workspace says about itself. Deterministic: the same tree gives the same bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Survey {
    pub schema_version: u32,
    /// Absolute path of what was surveyed.
    pub root: String,
    /// SHA-256 over the facts below (the root's path excepted).
    pub digest: String,
    pub services: Vec<Service>,
    /// Databases, queues and their like that the workspace's own compose files run, whoever asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backing: Vec<BackingNeed>,
    pub mcp: WorkspaceMcp,
    pub specs: Specs,
    pub findings: Vec<Finding>,
    pub ready: Vec<Ready>,
    pub unknown: Vec<Unknown>,
    pub passed_over: Vec<PassedOver>,
    pub skipped: Skipped,
}

impl Survey {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name.as_str() == name)
    }
}
