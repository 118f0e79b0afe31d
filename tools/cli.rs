//! The command line: the same calls as the tools, with the same words; it asks, follows and shows, and judges nothing.

mod act;
mod approve;
mod here;
mod install;
mod look;
mod operations;
mod serve;
mod show;
mod vigil;
mod write;

use crate::tools;
use clap::{Args, Parser, Subcommand};
use landfall::ask;
use landfall::config::{ApprovalMode, Pause};
use landfall::failure::{Code, Failure};
use landfall::landfall::Landfall;
use landfall::names::{EnvironmentName, Namespace, OperationId, ProfileName, ServiceName};
use show::Screen;
use std::path::{Path, PathBuf};

/// From a codebase to verified pods on your local Minikube, every claim backed by evidence.
#[derive(Debug, Parser)]
#[command(name = "landfall", version, max_term_width = 110, disable_help_subcommand = true)]
pub(crate) struct CommandLine {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    command: Option<Command>,
}

/// The line of a client that starts a server: only `serve` is described, so it is read in a tenth of the time.
#[derive(Debug, Parser)]
#[command(name = "landfall", disable_help_subcommand = true)]
struct ServerLine {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: ServerCommand,
}

#[derive(Debug, Subcommand)]
enum ServerCommand {
    Serve(serve::Serve),
}

impl CommandLine {
    /// The line of this process. Help, and what is wrong, are told by the whole program's description; both end the process.
    pub(crate) fn read() -> Self {
        if std::env::args_os().nth(1).is_some_and(|first| first == "serve")
            && let Ok(ServerLine { common, command: ServerCommand::Serve(serve) }) = ServerLine::try_parse()
        {
            return Self { common, command: Some(Command::Serve(serve)) };
        }
        Self::parse()
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct Common {
    /// Print the structured reply on stdout and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// No colours, also where stdout is a terminal (as NO_COLOR does)
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
    /// No progress
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// More logs on stderr; twice for all of ours
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

/// The codebase.
#[derive(Clone, Debug, Args)]
struct Workspace {
    /// Folder of the codebase
    #[arg(default_value = ".")]
    workspace: PathBuf,
}

/// Codebase, profile and namespace.
#[derive(Clone, Debug, Args)]
struct Target {
    #[command(flatten)]
    at: Workspace,
    /// Minikube profile [default: landfall.toml, else the only running one]
    #[arg(long)]
    profile: Option<ProfileName>,
    /// Namespace [default: landfall.toml, else the app's name]
    #[arg(long)]
    namespace: Option<Namespace>,
}

/// What most stages take.
#[derive(Clone, Debug, Args)]
struct Stage {
    #[command(flatten)]
    target: Target,
    /// Only these services and what they need
    #[arg(long, value_delimiter = ',')]
    services: Vec<ServiceName>,
    /// Chooses values-<ENVIRONMENT>.yaml [default: minikube]
    #[arg(long)]
    environment: Option<EnvironmentName>,
    /// Token of an approval that was asked for before
    #[arg(long, value_name = "TOKEN")]
    approval: Option<String>,
    /// Seconds for the whole operation [default: 900]
    #[arg(long, value_parser = clap::value_parser!(u32).range(10..=3600))]
    deadline_s: Option<u32>,
}

/// How approvals are answered and operations followed.
#[derive(Clone, Copy, Debug, Default, Args)]
pub(crate) struct Way {
    /// Answer the approval with yes (refused in human mode)
    #[arg(long, short)]
    yes: bool,
    /// Do not follow the operation; print its id
    #[arg(long)]
    detach: bool,
}

/// Values and backing services.
#[derive(Clone, Debug, Args)]
struct Values {
    /// NAME=env:VAR, NAME=file:PATH, NAME=file:.env#KEY, NAME=secret:SECRET/KEY or NAME=generate
    #[arg(long, value_name = "NAME=SOURCE")]
    secrets: Vec<String>,
    /// postgres=in_cluster, or postgres=url:NAME
    #[arg(long, value_name = "KIND=WHERE")]
    backing: Vec<String>,
}

#[derive(Clone, Debug, Args)]
struct DeployFlags {
    #[command(flatten)]
    stage: Stage,
    #[command(flatten)]
    values: Values,
    /// Digest of the plan that must be carried out exactly
    #[arg(long, value_name = "DIGEST")]
    plan: Option<String>,
    /// Approval points: once, each_stage
    #[arg(long, value_parser = choice::<Pause>)]
    pause: Option<Pause>,
    /// When a gate refuses: rollback, hold
    #[arg(long, value_parser = choice::<ask::OnRefusal>, default_value = "rollback")]
    on_refusal: ask::OnRefusal,
    /// Start (or create) the profile if it does not run
    #[arg(long)]
    start_cluster: bool,
    #[command(flatten)]
    way: Way,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented landfall.toml for the codebase
    Init {
        #[command(flatten)]
        at: Workspace,
        /// Print it instead
        #[arg(long)]
        print: bool,
        /// Replace the one that is there
        #[arg(long)]
        force: bool,
    },
    /// Survey the codebase
    Analyze {
        #[command(flatten)]
        at: Workspace,
        /// Sub-folder
        #[arg(long)]
        path: Option<String>,
        /// Every fact with its evidence (as --json has it)
        #[arg(long)]
        full: bool,
        /// Exit with 10 where a blocker was found
        #[arg(long)]
        check: bool,
    },
    /// Show what a deploy would do
    Plan {
        #[command(flatten)]
        stage: Stage,
        #[command(flatten)]
        values: Values,
        /// Last stage: containerize, chart, deploy, validate
        #[arg(long, value_parser = choice::<ask::Through>, default_value = "validate")]
        through: ask::Through,
        /// Show every change as a unified diff
        #[arg(long)]
        diff: bool,
    },
    /// Write Dockerfiles, build images, judge them
    Containerize {
        #[command(flatten)]
        stage: Stage,
        /// files, image
        #[arg(long, value_parser = choice::<ask::Until>, default_value = "image")]
        until: ask::Until,
        /// For files that a person changed: stop, keep, merge, replace
        #[arg(long, value_parser = choice::<ask::OnConflict>, default_value = "stop")]
        on_conflict: ask::OnConflict,
        /// Public build argument
        #[arg(long, value_name = "NAME=VALUE")]
        build_values: Vec<String>,
        /// BuildKit secret mount
        #[arg(long, value_name = "NAME=SOURCE")]
        build_secrets: Vec<String>,
        #[command(flatten)]
        way: Way,
    },
    /// Write and judge Helm charts
    Chart {
        #[command(flatten)]
        stage: Stage,
        /// Values files to write [default: minikube,prod]
        #[arg(long, value_delimiter = ',')]
        environments: Vec<EnvironmentName>,
        /// cluster, ingress, node_port
        #[arg(long, value_parser = choice::<landfall::blueprint::Expose>, default_value = "cluster")]
        expose: landfall::blueprint::Expose,
        /// For files that a person changed: stop, keep, merge, replace
        #[arg(long, value_parser = choice::<ask::OnConflict>, default_value = "stop")]
        on_conflict: ask::OnConflict,
        /// postgres=in_cluster, or postgres=url:NAME
        #[arg(long, value_name = "KIND=WHERE")]
        backing: Vec<String>,
        #[command(flatten)]
        way: Way,
    },
    /// Run what is missing up to a stage, behind gates
    Deploy {
        #[command(flatten)]
        flags: DeployFlags,
        /// Last stage: containerize, chart, deploy, validate
        #[arg(long, value_parser = choice::<ask::Through>, default_value = "validate")]
        through: ask::Through,
    },
    /// Deploy through validate, starting the cluster if it must be, and print the URLs
    Up {
        #[command(flatten)]
        flags: DeployFlags,
    },
    /// Check the machine before a deploy, the running app after it
    Validate {
        #[command(flatten)]
        target: Target,
        /// before, after, auto
        #[arg(long, value_parser = choice::<ask::When>, default_value = "auto")]
        when: ask::When,
        /// Only these groups: tools, cluster, resources, values, reachability, environment, smoke, logs, metrics
        #[arg(long, value_delimiter = ',', value_parser = choice::<ask::CheckGroup>)]
        checks: Vec<ask::CheckGroup>,
        /// read_only, writing
        #[arg(long, value_parser = choice::<ask::SmokeMode>, default_value = "read_only")]
        smoke: ask::SmokeMode,
        /// Only these services
        #[arg(long, value_delimiter = ',')]
        services: Vec<ServiceName>,
        /// Stability and log window [default: 30]
        #[arg(long, value_parser = clap::value_parser!(u32).range(0..=600))]
        window_s: Option<u32>,
        #[arg(long, value_name = "TOKEN")]
        approval: Option<String>,
        #[command(flatten)]
        way: Way,
    },
    /// Prove the deployed MCP server
    VerifyMcp {
        #[command(flatten)]
        target: Target,
        /// The MCP server [default: the only one]
        #[arg(long)]
        service: Option<ServiceName>,
        /// From whose place it is called [default: its caller]
        #[arg(long)]
        from_service: Option<ServiceName>,
        /// Path of the endpoint [default: found by protocol]
        #[arg(long)]
        path: Option<String>,
        /// A tool that may be called: 'tool {json arguments}'
        #[arg(long, value_name = "CALL")]
        calls: Vec<String>,
        /// forbidden, with_cleanup
        #[arg(long, value_parser = choice::<ask::Writes>, default_value = "forbidden")]
        writes: ask::Writes,
        /// skip, prove
        #[arg(long, value_parser = choice::<ask::ChatPath>, default_value = "skip")]
        chat_path: ask::ChatPath,
        #[arg(long, value_name = "TOKEN")]
        approval: Option<String>,
        #[command(flatten)]
        way: Way,
    },
    /// Back to the last verified revision
    Rollback {
        #[command(flatten)]
        target: Target,
        /// last_verified, uninstalled or r<N>
        #[arg(long)]
        to: Option<String>,
        /// Only these services
        #[arg(long, value_delimiter = ',')]
        services: Vec<ServiceName>,
        /// Take a named revision that was never verified
        #[arg(long)]
        allow_unverified: bool,
        /// Why, for the journal
        #[arg(long)]
        reason: Option<String>,
        #[arg(long, value_name = "TOKEN")]
        approval: Option<String>,
        #[command(flatten)]
        way: Way,
    },
    /// Write a report: readiness, health, verdict, traceability or audit
    Report {
        #[command(flatten)]
        target: Target,
        /// readiness, health, verdict, traceability, audit
        #[arg(long, value_parser = choice::<ask::ReportKind>, default_value = "verdict")]
        kind: ask::ReportKind,
        /// markdown, json, html
        #[arg(long, value_parser = choice::<ask::ReportFormat>, default_value = "markdown")]
        format: ask::ReportFormat,
        /// Operation [default: the newest that was settled]
        #[arg(long)]
        operation: Option<OperationId>,
        /// Write the whole report to a file
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Ask Gordon, kubectl-ai or kagent for a proposal, which is judged
    Advise {
        #[command(flatten)]
        target: Target,
        /// gordon, kubectl_ai, kagent [default: the first that is switched on]
        #[arg(long, value_parser = choice::<landfall::names::AdvisorName>)]
        advisor: Option<landfall::names::AdvisorName>,
        /// diagnosis, dockerfile, values
        #[arg(long, value_parser = choice::<ask::AdviceKind>, default_value = "diagnosis")]
        want: ask::AdviceKind,
        /// Service or operation [default: the newest failure]
        #[arg(long)]
        about: Option<String>,
        /// At most 500 characters
        #[arg(long)]
        question: Option<String>,
        /// File of the workspace with an answer that you brought
        #[arg(long, value_name = "FILE")]
        answer: Option<String>,
        #[command(flatten)]
        way: Way,
    },
    /// The app's health, with the cause of what is not healthy
    Status {
        #[command(flatten)]
        target: Target,
        /// app, cluster
        #[arg(long, value_parser = choice::<ask::HealthScope>, default_value = "app")]
        scope: ask::HealthScope,
        /// Only this service
        #[arg(long)]
        service: Option<ServiceName>,
        /// Last log lines of each container
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=200))]
        logs: Option<u32>,
        /// Keep looking
        #[arg(long)]
        watch: bool,
    },
    /// Operations of the codebase
    Operations {
        #[command(subcommand)]
        what: operations::Operations,
    },
    /// Give or refuse an approval, at a terminal
    Approve {
        token: String,
        /// Refuse it
        #[arg(long)]
        decline: bool,
    },
    /// Forward a port to a service and print its URL
    Open {
        service: ServiceName,
        #[command(flatten)]
        target: Target,
    },
    /// Log lines of a service
    Logs {
        service: ServiceName,
        #[command(flatten)]
        target: Target,
        /// How many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=200))]
        lines: u32,
        /// Of the container before its last restart
        #[arg(long)]
        previous: bool,
    },
    /// Uninstall the app; data stays
    Down {
        #[command(flatten)]
        target: Target,
        /// Delete data and generated secrets as well; asks for the app's name
        #[arg(long)]
        purge_data: bool,
        #[arg(long, value_name = "TOKEN")]
        approval: Option<String>,
        #[command(flatten)]
        way: Way,
    },
    /// What this machine lacks, and the command that mends it
    Doctor,
    /// Write this program into the configuration of an MCP client
    InstallClient(install::Install),
    /// Shell completions
    Completions { shell: clap_complete::Shell },
    /// The manual as a man page
    Man {
        /// Write one page for each subcommand into this folder instead
        #[arg(long, value_name = "DIR")]
        all: Option<PathBuf>,
    },
    #[command(hide = true)]
    Operation {
        #[command(subcommand)]
        what: operations::Worker,
    },
    /// Serve MCP on stdio, or over HTTP
    Serve(serve::Serve),
}

/// An enum of the arguments, by its name on the wire; `-` is taken for `_`.
fn choice<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.replace('-', "_"))).map_err(|error| error.to_string())
}

/// The folder as the engine wants it: absolute, links resolved where it exists.
fn absolute(path: &Path) -> String {
    let path = std::fs::canonicalize(path).or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned());
    path.to_string_lossy().into_owned()
}

impl Workspace {
    fn path(&self) -> Option<String> {
        Some(absolute(&self.workspace))
    }
}

impl DeployFlags {
    fn ask(self, through: ask::Through) -> (ask::Deploy, Way) {
        let Self { stage, values, plan, pause, on_refusal, start_cluster, way } = self;
        let ask = ask::Deploy {
            workspace: stage.target.at.path(),
            profile: stage.target.profile,
            namespace: stage.target.namespace,
            services: stage.services,
            environment: stage.environment,
            approval: stage.approval,
            deadline_s: stage.deadline_s,
            through,
            plan,
            pause,
            on_refusal,
            secrets: values.secrets,
            backing: values.backing,
            start_cluster,
        };
        (ask, way)
    }
}

/// Ctrl-C from now on: also what is typed before anybody waits for it is heard.
fn interrupts() -> Result<tokio::signal::unix::Signal, Failure> {
    signal(tokio::signal::unix::SignalKind::interrupt())
}

/// A signal of the operating system, heard from now on.
fn signal(kind: tokio::signal::unix::SignalKind) -> Result<tokio::signal::unix::Signal, Failure> {
    tokio::signal::unix::signal(kind).map_err(|error| Failure::internal("listen for signals").cause(error))
}

/// Carries out one command line; the number is the program's exit code.
pub(crate) async fn run(line: CommandLine) -> u8 {
    let CommandLine { common, command } = line;
    let screen = Screen::new(&common);
    let done = match command {
        None => here::here(&screen).await,
        Some(Command::Completions { shell }) => {
            let mut command = <CommandLine as clap::CommandFactory>::command();
            clap_complete::generate(shell, &mut command, "landfall", &mut std::io::stdout());
            Ok(0)
        }
        Some(Command::Man { all }) => manual(&screen, all.as_deref()),
        Some(Command::InstallClient(install)) => install.run(&screen),
        Some(Command::Serve(serve)) => serve.run().await,
        Some(command) => match engine() {
            Ok(landfall) => one(&landfall, &screen, command).await,
            Err(failure) => Err(failure),
        },
    };
    done.unwrap_or_else(|failure| screen.failure(&failure))
}

/// The manual on stdout, or a page for each subcommand.
fn manual(screen: &Screen, folder: Option<&Path>) -> Result<u8, Failure> {
    let command = <CommandLine as clap::CommandFactory>::command();
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(command, folder))
            .map_err(|error| Failure::file("write the manual to", folder, &error))?;
        screen.say(&format!("wrote {}; read it: man -l {}/landfall.1", folder.display(), folder.display()));
        return Ok(0);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page).map_err(|error| Failure::internal("write the manual").cause(error))?;
    screen.print(&String::from_utf8_lossy(&page));
    Ok(0)
}

/// The engine for a person at this machine: any folder, the mode of the user's configuration.
fn engine() -> Result<Landfall, Failure> {
    crate::landfall(crate::world::for_operations, Vec::new(), ApprovalMode::default(), false).map_err(|error| match error.downcast::<Failure>() {
        Ok(failure) => failure,
        Err(error) => Failure::new(Code::Internal, "start the engine").cause(format!("{error:#}")),
    })
}

async fn one(landfall: &Landfall, screen: &Screen, command: Command) -> Result<u8, Failure> {
    match command {
        Command::Init { at, print, force } => write::init(landfall, screen, at.path(), print, force).await,
        Command::Analyze { at, path, full, check } => {
            let detail = if full || screen.json { ask::Detail::Full } else { ask::Detail::Summary };
            look::analyze(landfall, screen, ask::AnalyzeProject { workspace: at.path(), path, detail }, check).await
        }
        Command::Plan { stage, values, through, diff } => {
            let ask = ask::PlanDeployment {
                workspace: stage.target.at.path(),
                profile: stage.target.profile,
                namespace: stage.target.namespace,
                services: stage.services,
                environment: stage.environment,
                approval: stage.approval,
                deadline_s: stage.deadline_s,
                through,
                secrets: values.secrets,
                backing: values.backing,
            };
            look::plan(landfall, screen, ask, diff).await
        }
        Command::Containerize { stage, until, on_conflict, build_values, build_secrets, way } => {
            let ask = ask::Containerize {
                workspace: stage.target.at.path(),
                profile: stage.target.profile,
                namespace: stage.target.namespace,
                services: stage.services,
                environment: stage.environment,
                approval: stage.approval,
                deadline_s: stage.deadline_s,
                until,
                on_conflict,
                build_values,
                build_secrets,
            };
            act::act::<tools::Containerize>(landfall, screen, ask, way).await
        }
        Command::Chart { stage, environments, expose, on_conflict, backing, way } => {
            let ask = ask::GenerateChart {
                workspace: stage.target.at.path(),
                profile: stage.target.profile,
                namespace: stage.target.namespace,
                services: stage.services,
                environment: stage.environment,
                approval: stage.approval,
                deadline_s: stage.deadline_s,
                environments,
                expose,
                on_conflict,
                backing,
            };
            act::act::<tools::GenerateChart>(landfall, screen, ask, way).await
        }
        Command::Deploy { flags, through } => {
            let (ask, way) = flags.ask(through);
            act::act::<tools::Deploy>(landfall, screen, ask, way).await
        }
        Command::Up { flags } => {
            let (ask, way) = flags.ask(ask::Through::Validate);
            act::up(landfall, screen, ask, way).await
        }
        Command::Validate { target, when, checks, smoke, services, window_s, approval, way } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            let ask = ask::ValidateEnv { workspace, profile, namespace, when, checks, smoke, services, window_s, approval };
            act::act::<tools::ValidateEnv>(landfall, screen, ask, way).await
        }
        Command::VerifyMcp { target, service, from_service, path, calls, writes, chat_path, approval, way } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            let ask = ask::VerifyMcp { workspace, profile, namespace, service, from_service, path, calls, writes, chat_path, approval };
            act::act::<tools::VerifyMcp>(landfall, screen, ask, way).await
        }
        Command::Rollback { target, to, services, allow_unverified, reason, approval, way } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            let ask = ask::Rollback { workspace, profile, namespace, to, services, allow_unverified, reason, approval };
            act::act::<tools::Rollback>(landfall, screen, ask, way).await
        }
        Command::Down { target, purge_data, approval, way } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            let reason = Some("landfall down".to_owned());
            let ask = ask::Rollback {
                workspace,
                profile,
                namespace,
                to: Some("uninstalled".to_owned()),
                services: Vec::new(),
                allow_unverified: false,
                reason,
                approval,
            };
            write::down(landfall, screen, ask, way, purge_data).await
        }
        Command::Report { target, kind, format, operation, output } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            write::report(landfall, screen, ask::DeploymentReport { workspace, profile, namespace, kind, format, operation }, output).await
        }
        Command::Advise { target, advisor, want, about, question, answer, way } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            let ask = ask::AskAdvisor { workspace, profile, namespace, advisor, want, about, question, answer };
            act::act::<tools::AskAdvisor>(landfall, screen, ask, way).await
        }
        Command::Status { target, scope, service, logs, watch } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            look::status(landfall, screen, ask::ClusterHealth { workspace, profile, namespace, scope, service, logs }, watch).await
        }
        Command::Open { service, target } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            look::open(landfall, screen, ask::ClusterHealth { workspace, profile, namespace, scope: ask::HealthScope::App, service: Some(service), logs: None })
                .await
        }
        Command::Logs { service, target, lines, previous } => {
            let (workspace, profile, namespace) = (target.at.path(), target.profile, target.namespace);
            let ask = ask::ClusterHealth { workspace, profile, namespace, scope: ask::HealthScope::App, service: Some(service), logs: Some(lines) };
            look::logs(landfall, screen, ask, previous).await
        }
        Command::Operations { what } => operations::run(landfall, screen, what).await,
        Command::Operation { what } => operations::work(landfall, what).await,
        Command::Approve { token, decline } => approve::approve(landfall, screen, &token, decline).await,
        Command::Doctor => look::doctor(landfall, screen).await,
        // Answered before an engine was made.
        Command::Completions { .. } | Command::Man { .. } | Command::InstallClient(_) | Command::Serve(_) => Ok(0),
    }
}
