//! A small chat client without a model: it talks MCP to the `landfall` server as a chat client does, prints the conversation, and checks every expectation.

#![expect(clippy::print_stdout, reason = "the conversation is what this program is for")]
#![expect(clippy::indexing_slicing, reason = "a JSON value answers null for what is not there")]

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use rmcp::model::{
    CallToolRequestParams, CallToolResult, ClientCapabilities, ElicitRequestParams, ElicitResult, ElicitationAction, ElicitationCapability, ErrorData,
    FormElicitationCapability, Implementation, InitializeRequestParams, JsonObject, ProgressNotificationParam,
};
use rmcp::service::{NotificationContext, Peer, RequestContext, RunningService};
use rmcp::transport::TokioChildProcess;
use rmcp::{ClientHandler, RoleClient, ServiceExt as _};
use serde_json::{Value, json};
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest an operation of the demo may take.
const PATIENCE: Duration = Duration::from_secs(1_500);
/// The longest a single call may take; the server itself answers within 3 s.
const CALL: Duration = Duration::from_secs(20);
/// Lines of an answer that are printed.
const LINES: usize = 70;
/// The service whose revision is broken, and how.
const BROKEN: (&str, &str, &str) = ("backend", "DATABASE_HOST", "postgres-primary");

#[derive(Debug, Parser)]
struct Arguments {
    /// The landfall program
    #[arg(long)]
    program: PathBuf,
    /// The application; a copy of it is used, so that the repository stays clean
    #[arg(long)]
    workspace: PathBuf,
    /// Minikube profile
    #[arg(long)]
    profile: String,
    #[arg(long, value_enum, default_value = "all")]
    part: Part,
    /// Use the copy as it is, without bringing it up to date
    #[arg(long)]
    keep: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// What needs no cluster
    Survey,
    /// What needs one
    Cluster,
    All,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let began = Instant::now();
    let program = std::fs::canonicalize(&arguments.program).with_context(|| format!("find {}", arguments.program.display()))?;
    let source = std::fs::canonicalize(&arguments.workspace).with_context(|| format!("find {}", arguments.workspace.display()))?;
    let copy = copy_folder(&source)?;
    if !arguments.keep || !copy.is_dir() {
        bring_up_to_date(&source, &copy)?;
    }
    println!("working on a copy, so that the repository stays clean: {}", copy.display());
    let mut talk = Talk::begin(&program, &copy, &arguments.profile).await?;
    let held = match arguments.part {
        Part::Survey => talk.survey().await,
        Part::Cluster => talk.cluster(&source).await,
        Part::All => match talk.survey().await {
            Ok(()) => talk.cluster(&source).await,
            Err(error) => Err(error),
        },
    };
    if let Err(error) = &held {
        talk.expect("the conversation went to its end", false, &format!("{error:#}"));
    }
    restore(&source, &copy)?;
    let good = talk.closing(began);
    if good && arguments.part != Part::Survey {
        println!(
            "\nThe good revision runs. Look at it:\n  {0} status {1} --profile {2}\n  {0} open frontend {1} --profile {2}",
            program.display(),
            copy.display(),
            arguments.profile
        );
        println!("Remove everything:\n  {} down {} --profile {} --purge-data", program.display(), copy.display(), arguments.profile);
    }
    talk.link.cancel().await?;
    Ok(good)
}

// ---------------------------------------------------------------- the copy

/// `<target folder>/demo/<name>`, beside this program.
fn copy_folder(source: &Path) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe().context("find this program")?;
    let target = program.ancestors().nth(3).context("find the target folder")?;
    let name = source.file_name().context("the workspace has a name")?;
    Ok(target.join("demo").join(name))
}

/// Brings every file of the source over; what was generated in the copy stays.
fn bring_up_to_date(source: &Path, copy: &Path) -> anyhow::Result<()> {
    let left_out = ["node_modules", ".next", ".venv", "__pycache__", ".pytest_cache", ".git", ".landfall", "target"];
    std::fs::create_dir_all(copy).with_context(|| format!("create {}", copy.display()))?;
    for entry in std::fs::read_dir(source).with_context(|| format!("read {}", source.display()))? {
        let entry = entry.context("read a folder's entry")?;
        let (from, to, kind) = (entry.path(), copy.join(entry.file_name()), entry.file_type().context("look at an entry")?);
        if left_out.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_dir() {
            bring_up_to_date(&from, &to)?;
        } else if kind.is_file() && std::fs::read(&from).ok() != std::fs::read(&to).ok() {
            std::fs::copy(&from, &to).with_context(|| format!("copy {}", from.display()))?;
        }
    }
    Ok(())
}

/// landfall.toml as the source has it, or none.
fn restore(source: &Path, copy: &Path) -> anyhow::Result<()> {
    let (from, to) = (source.join("landfall.toml"), copy.join("landfall.toml"));
    if from.exists() {
        std::fs::copy(&from, &to).with_context(|| format!("restore {}", to.display()))?;
    } else if to.exists() {
        std::fs::remove_file(&to).with_context(|| format!("remove {}", to.display()))?;
    }
    Ok(())
}

/// Points the backend at a database host that does not exist: only a cluster can show that this is wrong.
fn break_it(source: &Path, copy: &Path) -> anyhow::Result<()> {
    let (service, name, value) = BROKEN;
    let mut text = std::fs::read_to_string(source.join("landfall.toml")).unwrap_or_else(|_| "schema = 1\n".to_owned());
    let table = format!("[service.{service}.env]");
    let line = format!("{name} = \"{value}\"");
    if text.contains(&table) {
        text = text.replace(&table, &format!("{table}\n{line}"));
    } else {
        text.push_str(&format!("\n{table}\n{line}\n"));
    }
    std::fs::write(copy.join("landfall.toml"), text).context("write landfall.toml of the copy")
}

// ---------------------------------------------------------------- the client

/// What the client side shows of one call while it is open.
#[derive(Clone, Debug, Default)]
struct Client {
    shown: Arc<Mutex<Shown>>,
}

#[derive(Debug, Default)]
struct Shown {
    last: String,
    asked: Vec<String>,
    /// A progress line is drawn and not ended.
    open: bool,
}

impl Client {
    fn shown(&self) -> std::sync::MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A progress line, in place where this is a terminal.
    fn progress(&self, text: &str) {
        let mut shown = self.shown();
        if shown.last == text {
            return;
        }
        shown.last = text.to_owned();
        if std::io::stdout().is_terminal() {
            print!("\r\x1b[2K  ⏳ {}", text.chars().take(150).collect::<String>());
            let _ = std::io::stdout().flush();
            shown.open = true;
        } else {
            println!("  ⏳ {text}");
        }
    }

    fn end_progress(&self) {
        let mut shown = self.shown();
        if shown.open {
            print!("\r\x1b[2K");
            shown.open = false;
        }
    }
}

impl ClientHandler for Client {
    fn get_info(&self) -> InitializeRequestParams {
        let mut offered = ClientCapabilities::default();
        offered.elicitation = Some(ElicitationCapability::new().with_form(FormElicitationCapability::new()));
        InitializeRequestParams::new(offered, Implementation::new("landfall-demo", env!("CARGO_PKG_VERSION")))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        if let Some(message) = params.message {
            self.progress(&message);
        }
    }

    async fn create_elicitation(&self, request: ElicitRequestParams, _context: RequestContext<RoleClient>) -> Result<ElicitResult, ErrorData> {
        let ElicitRequestParams::FormElicitationParams { message, .. } = request else { return Ok(ElicitResult::new(ElicitationAction::Decline)) };
        self.end_progress();
        println!("\n  ┌ the server asks its user:");
        for line in message.lines() {
            println!("  │ {line}");
        }
        println!("  └ the demo's user answers: yes\n");
        self.shown().asked.push(message);
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "approve": true })))
    }
}

/// One thing that was expected, and what was seen.
#[derive(Debug)]
struct Expected {
    what: String,
    held: bool,
    seen: String,
}

/// The conversation.
struct Talk {
    link: RunningService<RoleClient, Client>,
    client: Client,
    workspace: String,
    profile: String,
    folder: PathBuf,
    expected: Vec<Expected>,
}

impl Talk {
    async fn begin(program: &Path, folder: &Path, profile: &str) -> anyhow::Result<Self> {
        let mut command = tokio::process::Command::new(program);
        command.arg("serve").arg("--root").arg(folder);
        let client = Client::default();
        let link = tokio::time::timeout(CALL, client.clone().serve(TokioChildProcess::new(command).context("start the server")?))
            .await
            .context("the server did not answer")??;
        let server = link.peer_info().context("the server did not introduce itself")?;
        println!("speaking MCP {} over stdio with: {} serve --root {}", server.protocol_version, program.display(), folder.display());
        let tools = tokio::time::timeout(CALL, link.list_all_tools()).await.context("tools/list")??;
        println!("tools: {}", tools.iter().map(|tool| tool.name.as_ref()).collect::<Vec<_>>().join(", "));
        let mut talk = Self {
            link,
            client,
            workspace: folder.to_string_lossy().into_owned(),
            profile: profile.to_owned(),
            folder: folder.to_owned(),
            expected: Vec::new(),
        };
        talk.expect("the server offers thirteen tools", tools.len() == 13, &tools.len().to_string());
        Ok(talk)
    }

    fn peer(&self) -> &Peer<RoleClient> {
        self.link.peer()
    }

    fn user(&self, sentence: &str) {
        let (bold, plain) = if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        println!("\n{bold}you ▸ {sentence}{plain}");
    }

    fn expect(&mut self, what: &str, held: bool, seen: &str) {
        let seen: String = seen.chars().take(300).collect();
        println!("  {} expected: {what}{}", if held { "✅" } else { "❌" }, if held { String::new() } else { format!("; seen: {seen}") });
        self.expected.push(Expected { what: what.to_owned(), held, seen });
    }

    fn target(&self, more: Value) -> Value {
        let mut all = json!({ "workspace": self.workspace, "profile": self.profile });
        if let (Some(all), Some(more)) = (all.as_object_mut(), more.as_object()) {
            all.extend(more.clone());
        }
        all
    }

    /// One call as a chat client shows it; the answer's structure, or the text of its error.
    async fn call(&mut self, tool: &str, arguments: Value, print: bool) -> anyhow::Result<Value> {
        if print {
            println!("\nlandfall ◂ {tool} {arguments}");
        }
        let arguments: JsonObject = arguments.as_object().cloned().unwrap_or_default();
        let request = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
        let began = Instant::now();
        let answer = tokio::time::timeout(CALL, self.peer().call_tool(request))
            .await
            .with_context(|| format!("{tool} did not answer within {} s", CALL.as_secs()))??;
        self.client.end_progress();
        let text = text_of(&answer);
        if print {
            for line in text.lines().take(LINES) {
                println!("  {line}");
            }
            if text.lines().count() > LINES {
                println!("  … {} more lines", text.lines().count() - LINES);
            }
            println!("  ({} ms)", began.elapsed().as_millis());
        }
        if answer.is_error == Some(true) {
            bail!("{tool} could not do its job: {text}");
        }
        answer.structured_content.with_context(|| format!("{tool} answered without structure"))
    }

    /// A call and, where it began an operation, everything until that is settled.
    async fn call_to_the_end(&mut self, tool: &str, arguments: Value) -> anyhow::Result<Value> {
        let mut reply = self.call(tool, arguments, true).await?;
        let began = Instant::now();
        let mut after = 0;
        while reply["status"] == "running" {
            let Some(id) = reply["operation"]["id"].as_str().map(str::to_owned) else { bail!("{tool} runs without an operation id") };
            if began.elapsed() > PATIENCE {
                bail!("{id} was not settled within {} s; last seen: {}", PATIENCE.as_secs(), reply["operation"]);
            }
            let question = json!({ "workspace": self.workspace, "operation": id, "after": after });
            let asked = Instant::now();
            let news = self.call("operation_status", question, false).await?;
            for event in news["events"].as_array().into_iter().flatten() {
                after = after.max(event["n"].as_u64().unwrap_or(0));
                if let Some(text) = event["text"].as_str() {
                    self.client.progress(text);
                }
            }
            if news["status"] != "running" {
                self.client.end_progress();
                println!("\nlandfall ◂ operation_status {id} (settled after {:.0} s)", began.elapsed().as_secs_f64());
                let mut last = self.call("operation_status", json!({ "workspace": self.workspace, "operation": id, "wait_s": 0 }), true).await?;
                // What the tool itself would have answered stands in `result`.
                if let (Some(result), Some(last)) = (last["result"].as_object().cloned(), last.as_object_mut()) {
                    for (field, value) in result {
                        last.entry(field).or_insert(value);
                    }
                }
                return Ok(last);
            }
            reply = news;
            if asked.elapsed() < Duration::from_millis(100) {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        }
        Ok(reply)
    }

    fn deploy_arguments(&self) -> Value {
        self.target(json!({ "through": "validate", "secrets": ["JWT_SECRET=generate"], "backing": ["postgres=in_cluster"] }))
    }

    // ------------------------------------------------------------ without a cluster

    async fn survey(&mut self) -> anyhow::Result<()> {
        self.user("What is my app made of, and can it be deployed?");
        let survey = self.call("analyze_project", json!({ "workspace": self.workspace, "detail": "full" }), true).await?;
        let services: Vec<String> = names(&survey["services"], "name");
        self.expect("several services are found", services.len() >= 2, &services.join(", "));
        let placed =
            survey["services"].as_array().into_iter().flatten().all(|service| service["evidence"].as_object().is_some_and(|evidence| !evidence.is_empty()));
        self.expect("every service has evidence in files", placed, &survey["services"].to_string());
        let blocked = survey["ready"].as_array().into_iter().flatten().filter(|ready| ready["containerizable"] != true).count();
        self.expect("every service can be containerized", blocked == 0, &survey["ready"].to_string());

        self.user("Show me the plan before you do anything.");
        let planned = self.call("plan_deployment", self.deploy_arguments(), true).await?;
        let plan = &planned["plan"];
        self.expect("a plan with a digest, without any cluster", plan["digest"].as_str().is_some_and(|digest| digest.len() >= 12), &planned.to_string());
        self.expect("the plan has its stages and waves", !empty(&plan["stages"]) && !empty(&plan["waves"]), &plan.to_string());
        self.expect("the plan knows the way back", !empty(&plan["rollback"]), &plan["rollback"].to_string());

        self.user("Write the Dockerfiles.");
        let written = self.call_to_the_end("containerize", self.target(json!({ "until": "files" }))).await?;
        self.expect("no file conflicts with one of mine", !written["files"].to_string().contains("\"conflict\""), &written["files"].to_string());
        let mut dockerfiles: Vec<PathBuf> = services.iter().flat_map(|service| find(&self.folder, service, "Dockerfile")).collect();
        dockerfiles.sort();
        dockerfiles.dedup();
        self.expect("there is a Dockerfile for every service", dockerfiles.len() >= services.len(), &format!("{dockerfiles:?}"));

        self.user("And the Helm charts.");
        let charted = self.call_to_the_end("generate_chart", self.target(json!({ "backing": ["postgres=in_cluster"] }))).await?;
        let charts = names(&charted["charts"], "dir");
        self.expect("there is a chart for every service", charts.len() >= services.len(), &charts.join(", "));
        let complete = charts
            .iter()
            .all(|dir| ["Chart.yaml", "values.yaml", "values.schema.json", "templates"].iter().all(|name| self.folder.join(dir).join(name).exists()));
        self.expect("every chart is complete on disk", complete && !charts.is_empty(), &charts.join(", "));

        self.user("Show me what you wrote.");
        let values = charts.iter().map(|dir| self.folder.join(dir).join("values.yaml")).find(|path| path.exists());
        for path in dockerfiles.first().into_iter().chain(values.as_ref()) {
            show_file(&self.folder, path)?;
        }
        Ok(())
    }

    // ------------------------------------------------------------ on the cluster

    async fn cluster(&mut self, source: &Path) -> anyhow::Result<()> {
        let folder = self.folder.clone();
        restore(source, &folder)?;
        self.user("Deploy it, and make sure that it works.");
        let deployed = self.call_to_the_end("deploy", self.deploy_arguments()).await?;
        self.expect("the deploy is verified: every gate passed", deployed["status"] == "done" && deployed["verdict"] == "pass", &brief(&deployed));
        if deployed["verdict"] != "pass" {
            bail!("the good revision was not verified, so the rest would say nothing");
        }

        self.user("Does every service really see its configuration?");
        self.validated("the running app validates").await?;

        self.user("And the MCP server, from where the chatbot stands?");
        let verified = self.call_to_the_end("verify_mcp", self.target(json!({}))).await?;
        let called = verified.to_string().contains("\"called\":true");
        self.expect("the deployed MCP server answers a real tool call", verified["verdict"] == "pass" && called, &brief(&verified));
        self.expect("its tools are listed", !empty(&verified["tools"]), &verified["tools"].to_string());

        self.user("Is everything healthy?");
        self.healthy("the app is healthy").await?;

        self.user("Now deploy my new revision.");
        println!(
            "  (the copy's landfall.toml now sets {} = \"{}\" for {}: nothing in files shows that this host does not exist)",
            BROKEN.1, BROKEN.2, BROKEN.0
        );
        break_it(source, &folder)?;
        let refused = self.call_to_the_end("deploy", self.deploy_arguments()).await;
        restore(source, &folder)?;
        let refused = refused?;
        self.expect("the broken revision is refused", refused["verdict"] == "refused", &brief(&refused));
        let diagnosis = refused["diagnoses"][0].clone();
        self.expect("the cause is diagnosed with evidence", !empty(&diagnosis["why"]), &refused["diagnoses"].to_string());
        let named = diagnosis.to_string().contains(BROKEN.2);
        self.expect("the evidence names the host that does not exist", named, &diagnosis.to_string());
        println!("\n  cause: {}\n  evidence:", diagnosis["cause"].as_str().unwrap_or("?"));
        for evidence in diagnosis["why"].as_array().into_iter().flatten() {
            println!(
                "    {} {}: {}",
                evidence["source"].as_str().unwrap_or(""),
                evidence["at"].as_str().unwrap_or(""),
                evidence["text"].as_str().unwrap_or("")
            );
        }
        let state = refused["operation"]["state"].as_str().unwrap_or("").to_owned();
        self.expect("it was rolled back by itself, not left stuck", state == "refused", &state);

        self.user("What runs now? Check it again.");
        self.validated("the rolled-back app validates again").await?;
        self.healthy("the app is healthy after the rollback").await?;

        self.user("Give me the reports.");
        let readiness = self.call("deployment_report", self.target(json!({ "kind": "readiness" })), true).await?;
        self.expect("the readiness report is written", !empty(&readiness["report"]["markdown"]), &brief(&readiness));
        let health = self.call("deployment_report", self.target(json!({ "kind": "health" })), true).await?;
        self.expect("the cluster health summary is written", !empty(&health["report"]["markdown"]), &brief(&health));
        let verdict = self.call("deployment_report", self.target(json!({ "kind": "verdict" })), true).await?;
        let text = verdict["report"]["markdown"].as_str().unwrap_or("").to_owned();
        self.expect("the verdict is \"Phase IV Complete\"", text.contains("Phase IV Complete"), &text);
        self.expect("nothing that was judged is refused", verdict["verdict"] != "refused", &brief(&verdict));
        Ok(())
    }

    async fn validated(&mut self, what: &str) -> anyhow::Result<()> {
        let validated = self.call_to_the_end("validate_env", self.target(json!({ "when": "after" }))).await?;
        self.expect(what, validated["verdict"] == "pass", &brief(&validated));
        Ok(())
    }

    async fn healthy(&mut self, what: &str) -> anyhow::Result<()> {
        let health = self.call("cluster_health", self.target(json!({})), true).await?;
        let pods = &health["counts"]["pods"];
        let all = pods["total"].as_u64().is_some_and(|total| total > 0) && pods["ready"] == pods["total"];
        let state = health["state"].as_str().unwrap_or("");
        self.expect(what, all && !matches!(state, "degraded" | "deploying" | "rolling_back"), &brief(&health));
        Ok(())
    }

    /// What was expected and seen; true where all of it held.
    fn closing(&self, began: Instant) -> bool {
        let held = self.expected.iter().filter(|expected| expected.held).count();
        println!("\n== expected and seen ({:.0} s)", began.elapsed().as_secs_f64());
        for expected in &self.expected {
            println!("{} {}", if expected.held { "✅" } else { "❌" }, expected.what);
            if !expected.held {
                println!("     seen: {}", expected.seen);
            }
        }
        println!("{held} of {} held", self.expected.len());
        held == self.expected.len() && held > 0
    }
}

fn text_of(answer: &CallToolResult) -> String {
    answer.content.iter().filter_map(|block| block.as_text()).map(|text| text.text.as_str()).collect::<Vec<_>>().join("\n")
}

fn names(list: &Value, field: &str) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|item| item[field].as_str()).map(str::to_owned).collect()
}

fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn brief(reply: &Value) -> String {
    format!("status {}, verdict {}, {}", reply["status"], reply["verdict"], reply["summary"])
}

/// Files of a name (or `name.service`) in the folder and one level below, that belong to a service.
fn find(folder: &Path, service: &str, name: &str) -> Vec<PathBuf> {
    let own = format!("{name}.{service}");
    let in_folder = |dir: &Path| [dir.join(name), dir.join(&own)].into_iter().filter(|path| path.is_file()).collect::<Vec<_>>();
    let mut found = in_folder(folder);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            found.extend(in_folder(&entry.path()));
        }
    }
    found
}

fn show_file(folder: &Path, path: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    println!("\n  ── {}", path.strip_prefix(folder).unwrap_or(path).display());
    for line in text.lines().take(45) {
        println!("  │ {line}");
    }
    if text.lines().count() > 45 {
        println!("  │ … {} more lines", text.lines().count() - 45);
    }
    Ok(())
}
