//! validate_env, verify_mcp, cluster_health, open and logs: looks at what is deployed and at this machine.

use super::changes::running;
use super::{Landfall, app_name};
use crate::approval::{Redeemed, Request as ApprovalRequest};
use crate::ask::{self, CheckGroup, HealthScope, SmokeMode, When, Writes};
use crate::config::{Config, Folders, Smoke};
use crate::draft::{History, labels, namespace_of};
use crate::evidence::{Check, Evidence, Gate, GateName, Source, Verdict};
use crate::failure::{Code, Failure};
use crate::names::{AppName, Digest, Namespace, OperationId, ProfileName, ServiceName};
use crate::operation::{self, Request};
use crate::ports::{Forward, LogRequest, Observed, Proof};
use crate::reply::{self, AppState, LogView, Reply, Status, Target, UrlView, With};
use crate::rollout::LogTail;
use crate::stages::{self, validate::Look};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// When the looks of a call must have come to an end, from its beginning, so that it is answered within three seconds.
const SEEN: Duration = Duration::from_millis(2_700);
/// How many logs are read for one answer, and how many at once.
const LOGS: usize = 20;
const LOGS_AT_ONCE: usize = 8;

/// A proven place to look at.
struct Place {
    workspace: PathBuf,
    folders: Folders,
    config: Config,
    app: AppName,
    namespace: Namespace,
    proof: Proof,
    began: tokio::time::Instant,
}

impl Place {
    fn target(&self) -> Target {
        Target {
            app: self.app.to_string(),
            workspace: self.workspace.display().to_string(),
            profile: Some(self.proof.profile.name.to_string()),
            namespace: Some(self.namespace.to_string()),
            environment: None,
        }
    }

    /// When a look must have ended.
    fn until(&self) -> tokio::time::Instant {
        self.began + SEEN
    }

    /// Looks until the call must be answered. The server proved who it is just now: that is what was seen last where it says nothing more.
    async fn look<T>(&self, what: &str, look: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let asked = tokio::time::Instant::now();
        tokio::time::timeout_at(self.until(), look).await.unwrap_or_else(|_| {
            let silent = format!("{what}: the API server at {} did not answer within {:.1} s", self.proof.server, asked.elapsed().as_secs_f64());
            Err(Failure::new(Code::ClusterUnreachable, silent)
                .cause(format!("it proved to be {} just before ({} comparisons), and fell silent", self.proof.profile.name, self.proof.checks.len()))
                .help("call again in a moment; an API server that stays so is short of CPU, memory or disk"))
        })
    }

    fn arguments(&self) -> Value {
        json!({ "workspace": self.workspace.display().to_string(), "profile": self.proof.profile.name, "namespace": self.namespace })
    }
}

impl Landfall {
    async fn place(&self, workspace: Option<&str>, profile: Option<&ProfileName>, namespace: Option<&Namespace>) -> Result<Place, Failure> {
        let began = tokio::time::Instant::now();
        let workspace = self.workspace(workspace)?;
        let config = Config::load(&workspace)?;
        let app = app_name(&config, &workspace);
        let namespace = namespace_of(namespace, &config, &app)?;
        let profile = self.profile(profile, &config).await?;
        let proof = self.world.local.prove(&profile).await?;
        Ok(Place { folders: self.folders(&workspace), workspace, config, app, namespace, proof, began })
    }

    /// validate_env.
    pub async fn validate(&self, ask: &ask::ValidateEnv) -> Result<With<reply::Validated>, Failure> {
        let began = Instant::now();
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let before_only = ask.when == When::Before
            || ask.checks.iter().any(|group| matches!(group, CheckGroup::Tools | CheckGroup::Cluster | CheckGroup::Resources | CheckGroup::Values));
        if before_only {
            return self.validate_before(&workspace, ask).await;
        }
        let folders = self.folders(&workspace);
        let bare = operation::bare(ask);
        if let Some(running_now) = operation::running(&folders) {
            if running_now.same("validate_env", &bare) {
                return operation::look(&folders, &running_now)
                    .map(|(view, _)| With::new(running(view, "validate_env", &workspace), reply::Validated::default()));
            }
            return Err(busy(&running_now));
        }
        let place = match self.place(ask.workspace.as_deref(), ask.profile.as_ref(), ask.namespace.as_ref()).await {
            Ok(place) => place,
            Err(failure) if ask.when == When::Auto && failure.code != Code::WrongCluster => return self.validate_before(&workspace, ask).await,
            Err(failure) => return Err(failure),
        };
        let history = self.history(&place).await?;
        if history.records.is_empty() {
            if ask.when == When::Auto {
                return self.validate_before(&workspace, ask).await;
            }
            return Err(Failure::new(Code::NotDeployed, format!("nothing of {} is in namespace {}", place.app, place.namespace)).help("deploy it first"));
        }
        if ask.smoke == SmokeMode::Writing {
            let writes: Vec<_> = place
                .config
                .smoke
                .iter()
                .filter(|smoke| smoke.writes)
                .map(|smoke| format!("smoke request {} writes to {}", smoke.name, smoke.service))
                .collect();
            if let Some(reply) = self.ask_to_write("validate_env", &place, &bare, writes, ask.approval.as_deref())? {
                return Ok(With::new(reply, reply::Validated::default()));
            }
        }
        let request = self.look_request("validate_env", bare, &place, 300);
        let (reply, more) = self.begin_look(&place, request, None, began).await?;
        Ok(With::new(reply, more.and_then(|more| serde_json::from_value(Value::Object(more)).ok()).unwrap_or_default()))
    }

    /// verify_mcp.
    pub async fn verify_mcp(&self, ask: &ask::VerifyMcp) -> Result<With<reply::Verified>, Failure> {
        let began = Instant::now();
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let prove = ask.chat_path == ask::ChatPath::Prove;
        if prove && ask.writes == Writes::Forbidden {
            return Err(Failure::new(Code::BadArgument, "chat_path=prove sends a message that changes a row")
                .help("add \"writes\": \"with_cleanup\"; it asks for approval"));
        }
        let folders = self.folders(&workspace);
        let bare = operation::bare(ask);
        if let Some(running_now) = operation::running(&folders) {
            if running_now.same("verify_mcp", &bare) {
                return operation::look(&folders, &running_now).map(|(view, _)| With::new(running(view, "verify_mcp", &workspace), reply::Verified::default()));
            }
            return Err(busy(&running_now));
        }
        let place = self.place(ask.workspace.as_deref(), ask.profile.as_ref(), ask.namespace.as_ref()).await?;
        let history = self.history(&place).await?;
        if history.records.is_empty() {
            return Err(Failure::new(Code::NotDeployed, format!("nothing of {} is in namespace {}", place.app, place.namespace)).help("deploy it first"));
        }
        let chat = if prove { Some(self.chat_test(&place, &history).await?) } else { None };
        if ask.writes == Writes::WithCleanup {
            let mut writes: Vec<_> = ask.calls.iter().map(|call| format!("call the deployed tool {}", crate::secret::plain(call, 200))).collect();
            if ask.calls.is_empty() {
                writes.push("add a row with a tool of the MCP server, read it back and delete it again".to_owned());
            }
            writes.extend(chat.iter().flat_map(stages::chat::beforehand));
            if let Some(reply) = self.ask_to_write("verify_mcp", &place, &bare, writes, ask.approval.as_deref())? {
                return Ok(With::new(reply, reply::Verified::default()));
            }
        }
        let request = self.look_request("verify_mcp", bare, &place, if prove { 400 } else { 120 });
        let chat = chat.map(serde_json::to_value).transpose().map_err(|error| Failure::internal("write a chat test").cause(error))?;
        let (reply, more) = self.begin_look(&place, request, chat.map(|chat| (stages::chat::FILE, chat)), began).await?;
        Ok(With::new(reply, more.and_then(|more| serde_json::from_value(Value::Object(more)).ok()).unwrap_or_default()))
    }

    /// What is sent to the chatbot, as it is shown to the person who allows it.
    async fn chat_test(&self, place: &Place, history: &History) -> Result<Smoke, Failure> {
        let blueprint = match super::worker::blueprint_of(&place.folders, history) {
            Some(blueprint) => blueprint,
            None => self.drawn(&place.workspace, &place.namespace).await?,
        };
        let asked = async {
            let observed = self.world.cluster.observe(&place.proof, &place.namespace).await?;
            Look { world: &self.world, at: &place.proof, blueprint: &blueprint, config: &place.config, observed }.chat_test().await
        };
        place.look("ask the app for its routes", asked).await
    }

    async fn history(&self, place: &Place) -> Result<History, Failure> {
        let records = self.world.cluster.records(&place.proof, &place.namespace);
        Ok(History { records: place.look(&format!("read Helm's records in namespace {}", place.namespace), records).await? })
    }

    /// A check that writes needs a word; `None` where it was given.
    fn ask_to_write(&self, tool: &str, place: &Place, bare: &Map<String, Value>, summary: Vec<String>, token: Option<&str>) -> Result<Option<Reply>, Failure> {
        if summary.is_empty() {
            return Ok(None);
        }
        let bound = json!({ "tool": tool, "ask": bare, "fingerprint": place.proof.fingerprint, "namespace": place.namespace, "summary": summary });
        let digest = Digest::of(bound.to_string());
        let mode = self.mode(&place.config);
        if let Some(token) = token {
            return Ok(match self.approvals().redeem(token, &digest, mode, "a check that writes")? {
                Redeemed::Granted { .. } => None,
                Redeemed::Declined => Some(Reply::new(Status::Declined, "declined; nothing was written")),
            });
        }
        let request = ApprovalRequest {
            tool: tool.to_owned(),
            app: place.app.to_string(),
            workspace: place.workspace.clone(),
            digest,
            summary,
            diff_uri: None,
            diff: String::new(),
        };
        let approval = self.approvals().ask(request, mode)?;
        let mut reply = Reply::new(Status::ApprovalNeeded, format!("{tool} would write: approval is needed"));
        let mut arguments = super::changes::shown(bare);
        if let (crate::config::ApprovalMode::Client, Some(token)) = (mode, &approval.token) {
            arguments.insert("approval".into(), json!(token));
        }
        reply.then(tool, Value::Object(arguments), "after your user agreed");
        reply.approval = Some(approval);
        reply.target = Some(place.target());
        Ok(Some(reply))
    }

    fn look_request(&self, tool: &str, bare: Map<String, Value>, place: &Place, deadline_s: u32) -> Request {
        let now = self.world.clock.now();
        Request {
            format: 1,
            id: OperationId::new(now),
            tool: tool.to_owned(),
            ask: bare,
            app: place.app.clone(),
            workspace: place.workspace.clone(),
            profile: Some(place.proof.profile.name.clone()),
            namespace: Some(place.namespace.clone()),
            plan: None,
            approved_by: None,
            deadline_s,
            created_at: now,
        }
    }

    /// Begins a look as an operation and waits a little: many looks are quick.
    async fn begin_look(
        &self,
        place: &Place,
        request: Request,
        more: Option<(&str, Value)>,
        began: Instant,
    ) -> Result<(Reply, Option<Map<String, Value>>), Failure> {
        let view = self.begin(&place.folders, request.clone(), None, more).await?;
        let (view, settled) = self.short_wait(&place.folders, &request, view, began + super::changes::ANSWER).await;
        let (mut reply, more) = match settled {
            Some((reply, more)) => (reply, Some(more)),
            None => (running(view, &request.tool, &place.workspace), None),
        };
        reply.target = Some(place.target());
        Ok((reply, more))
    }

    /// Before a deploy: programs, the cluster's proof, its room, the values.
    async fn validate_before(&self, workspace: &Path, ask: &ask::ValidateEnv) -> Result<With<reply::Validated>, Failure> {
        let config = Config::load(workspace)?;
        let app = app_name(&config, workspace);
        let wants = |group: CheckGroup| ask.checks.is_empty() || ask.checks.contains(&group);
        let mut checks = Vec::new();
        let mut validated = reply::Validated::default();
        let profile = self.profile(ask.profile.as_ref(), &config);
        let (programs, profile) = tokio::join!(self.world.local.programs(), profile);
        if wants(CheckGroup::Tools) {
            for program in &programs {
                let id = format!("before.program.{}", program.name);
                let probed = format!("{} on this machine", program.name);
                let told = format!("{} {}", program.version.as_deref().unwrap_or("?"), program.path.as_deref().unwrap_or(""));
                checks.push(if program.problem.is_empty() {
                    Check::pass(&id, probed, Evidence::new(Source::Program, program.name.clone(), &told))
                } else if program.name == "kubectl" {
                    Check::not_run(&id, probed, format!("{}; Landfall does not need it", program.problem)).optional()
                } else {
                    Check::fail(&id, probed, format!("{}; mend it: {}", program.problem, program.help), vec![])
                });
            }
            validated.programs = programs;
        }
        let proof = match profile {
            Ok(profile) => self.world.local.prove(&profile).await,
            Err(failure) => Err(failure),
        };
        if wants(CheckGroup::Cluster) {
            let probed = "proof that the target is a live local Minikube";
            checks.push(match &proof {
                Ok(proof) => Check::pass(
                    "before.cluster",
                    probed,
                    Evidence::new(
                        Source::Probe,
                        proof.server.clone(),
                        &format!("{} comparisons hold; CA {}", proof.checks.len(), proof.fingerprint.chars().take(12).collect::<String>()),
                    ),
                ),
                Err(failure) => Check::fail(
                    "before.cluster",
                    probed,
                    format!("{}; {}", failure.message, failure.help),
                    failure.causes.iter().map(|cause| Evidence::new(Source::Probe, failure.code.as_str(), cause)).collect(),
                ),
            });
        }
        if let Ok(proof) = &proof {
            validated.proof.clone_from(&proof.checks);
            if wants(CheckGroup::Resources) {
                checks.push(self.room(proof, ask.namespace.as_ref(), &config, &app).await);
            }
        }
        if wants(CheckGroup::Values) {
            checks.push(self.values_known(workspace, &config, &app, ask.namespace.as_ref()).await);
        }
        let gate = Gate::judge(GateName::Validation, "before", checks);
        let verdict = gate.verdict;
        let mut reply = Reply::new(Status::Done, format!("before a deploy: {} passed, {} failed, {} not run", gate.passed, gate.failed, gate.not_run));
        reply.verdict = Some(verdict);
        reply.gates = vec![gate];
        reply.seen_at = Some(self.world.clock.now());
        let profile = proof.as_ref().ok().map(|proof| proof.profile.name.to_string());
        reply.target = Some(Target { app: app.to_string(), workspace: workspace.display().to_string(), profile, namespace: None, environment: None });
        let place = json!({ "workspace": workspace.display().to_string() });
        reply.then(
            "plan_deployment",
            place,
            if verdict == Verdict::Pass { "everything is there: plan the deployment" } else { "the plan shows what else is missing" },
        );
        Ok(With::new(reply, validated))
    }

    /// Room for what the blueprint asks for, on the nodes as they are.
    async fn room(&self, proof: &Proof, namespace: Option<&Namespace>, config: &Config, app: &AppName) -> Check {
        let probed = "memory and CPU that the nodes can give";
        let namespace = match namespace_of(namespace, config, app) {
            Ok(namespace) => namespace,
            Err(failure) => return Check::not_run("before.resources", probed, failure.to_string()),
        };
        match self.world.cluster.observe(proof, &namespace).await {
            Ok(observed) => {
                let told: Vec<_> = observed
                    .nodes
                    .iter()
                    .map(|node| {
                        let room = node.status.as_ref().and_then(|status| status.allocatable.as_ref());
                        let of = |name: &str| room.and_then(|room| room.get(name)).map(|quantity| quantity.0.clone()).unwrap_or_default();
                        format!("{}: {} CPU, {} memory", node.metadata.name.as_deref().unwrap_or("?"), of("cpu"), of("memory"))
                    })
                    .collect();
                if told.is_empty() {
                    Check::not_run("before.resources", probed, "no node was seen")
                } else {
                    Check::pass("before.resources", probed, Evidence::new(Source::Object, "Node .status.allocatable", &told.join("; ")))
                }
            }
            Err(failure) => Check::not_run("before.resources", probed, failure.to_string()),
        }
    }

    async fn values_known(&self, workspace: &Path, config: &Config, app: &AppName, namespace: Option<&Namespace>) -> Check {
        let probed = "values that only a person can give";
        let drawn = async {
            let survey = self.surveyed(workspace).await?;
            crate::blueprint::draw(&survey, config, app, &super::changes::no_wishes(namespace))
        };
        match drawn.await {
            Ok(blueprint) if blueprint.values_needed.is_empty() => {
                Check::pass("before.values", probed, Evidence::new(Source::File, "survey and landfall.toml", "every required variable has a value or a source"))
            }
            Ok(blueprint) => {
                let names: Vec<_> = blueprint.values_needed.iter().map(|needed| needed.name.as_str()).collect();
                Check::not_run("before.values", probed, format!("deploy will ask for: {}", names.join(", "))).optional()
            }
            Err(failure) => Check::fail("before.values", probed, failure.to_string(), vec![]),
        }
    }

    /// cluster_health.
    pub async fn health(&self, ask: &ask::ClusterHealth) -> Result<With<reply::Healthy>, Failure> {
        let place = self.place(ask.workspace.as_deref(), ask.profile.as_ref(), ask.namespace.as_ref()).await?;
        let seen =
            async { tokio::try_join!(self.world.cluster.glance(&place.proof, &place.namespace), self.world.cluster.records(&place.proof, &place.namespace)) };
        let (observed, records) = place.look(&format!("look at namespace {}", place.namespace), seen).await?;
        let history = History { records };
        let only = ask.service.as_ref().map(ServiceName::as_str);
        if let Some(only) = only
            && history.current(only).is_none()
        {
            return Err(Failure::new(Code::ServiceUnknown, format!("no release {only} is in namespace {}", place.namespace))
                .help("cluster_health without a service lists what is deployed"));
        }
        let releases: Vec<_> = history
            .records
            .keys()
            .filter(|release| only.is_none_or(|only| *release == only))
            .filter_map(|release| ServiceName::parse(release.clone()).ok())
            .collect();
        let now = self.world.clock.now();
        let scope = || crate::rollout::Scope::Releases(&releases);
        let first = crate::rollout::health(&observed, scope(), &crate::rollout::Logs::new(), now);
        let health =
            if first.unhealthy.is_empty() { first } else { crate::rollout::health(&observed, scope(), &self.tails(&place, &observed, &releases).await, now) };
        let lines = ask.logs.unwrap_or(0).min(200);
        let mut more = reply::Healthy {
            counts: Some(counts_of(&health.counts)),
            warnings: health.warnings,
            objects: health.unhealthy.into_iter().map(|bad| reply::ObjectView { object: bad.object, state: bad.state }).collect(),
            ..reply::Healthy::default()
        };
        if lines > 0 {
            more.logs = self.read_logs(&place, pods_of(&observed, only), i64::from(lines), false, Some(place.until())).await;
        }
        if ask.scope == HealthScope::Cluster {
            more.objects.extend(nodes_of(&observed));
        }
        let state = app_state(&place.folders, &history, &health.diagnoses, more.objects.is_empty());
        more.state = Some(state);
        let counts = counts_of(&health.counts);
        let mut reply = Reply::new(
            Status::Done,
            format!(
                "{}: deployments {}/{}, pods {}/{}, services {}/{}; {}",
                place.namespace,
                counts.deployments.ready,
                counts.deployments.total,
                counts.pods.ready,
                counts.pods.total,
                counts.services.ready,
                counts.services.total,
                match (history.records.is_empty(), more.objects.len()) {
                    (true, _) => "nothing is deployed here".to_owned(),
                    (false, 0) => "nothing is unhealthy".to_owned(),
                    (false, n) => format!("{n} not healthy"),
                }
            ),
        );
        reply.verdict = Some(if history.records.is_empty() {
            Verdict::Incomplete
        } else if more.objects.is_empty() {
            Verdict::Pass
        } else {
            Verdict::Refused
        });
        reply.diagnoses = health.diagnoses;
        reply.target = Some(place.target());
        reply.seen_at = observed.at.or_else(|| Some(self.world.clock.now()));
        if history.records.is_empty() {
            reply.then("plan_deployment", place.arguments(), "see what a deployment would do");
        } else if more.objects.is_empty() {
            reply.then("validate_env", place.arguments(), "ask the app itself");
        } else {
            reply.then("rollback", place.arguments(), "go back to the last verified revision; it asks for approval");
        }
        Ok(With::new(reply, more))
    }

    /// The last lines of containers that are not well, to find out why: of the ended run where one has ended. What does not come in time is left out.
    async fn tails(&self, place: &Place, observed: &Observed, releases: &[ServiceName]) -> crate::rollout::Logs {
        let ours = |pod: &&Pod| !is_ready(pod) && releases.iter().any(|release| instance_of(pod) == Some(release.as_str()));
        let wanted = observed.pods.iter().filter(ours).take(LOGS).flat_map(|pod| {
            let name = pod.metadata.name.clone().unwrap_or_default();
            pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).map(move |status| {
                let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
                let of = |state: &Option<ContainerState>| state.as_ref().and_then(|state| state.terminated.as_ref()?.container_id.clone());
                let previous = running && status.restart_count > 0;
                let request = LogRequest { pod: name.clone(), container: status.name.clone(), previous, lines: 200, since_seconds: None };
                (request, of(&status.state).or_else(|| of(&status.last_state)))
            })
        });
        let (requests, runs): (Vec<_>, Vec<_>) = wanted.take(LOGS).unzip();
        let texts = self.texts(place, requests, Some(place.until())).await;
        let read = texts.into_iter().zip(runs).filter_map(|((request, text), run)| Some(((request.pod, request.container), LogTail { text: text?, run })));
        read.collect()
    }

    /// The texts of logs, in their order; none where one cannot be read, or not in time.
    async fn texts(&self, place: &Place, wanted: Vec<LogRequest>, until: Option<tokio::time::Instant>) -> Vec<(LogRequest, Option<String>)> {
        let reads = wanted.into_iter().map(|request| async move {
            let read = self.world.cluster.logs(&place.proof, &place.namespace, &request);
            let text = match until {
                Some(until) => tokio::time::timeout_at(until, read).await.ok().and_then(Result::ok),
                None => read.await.ok(),
            };
            (request, text)
        });
        futures::stream::iter(reads).buffered(LOGS_AT_ONCE).collect().await
    }

    /// A forwarded port to a service's pod, for `landfall open`.
    pub async fn open(&self, ask: &ask::ClusterHealth) -> Result<(Forward, UrlView), Failure> {
        let place = self.place(ask.workspace.as_deref(), ask.profile.as_ref(), ask.namespace.as_ref()).await?;
        let service = ask.service.as_ref().ok_or_else(|| Failure::new(Code::BadArgument, "which service?").help("landfall open SERVICE"))?;
        let observed = self.world.cluster.observe(&place.proof, &place.namespace).await?;
        let port = observed
            .services
            .iter()
            .find(|known| known.metadata.name.as_deref() == Some(service.as_str()))
            .and_then(|known| known.spec.as_ref()?.ports.as_ref()?.first().map(|port| port.port))
            .and_then(|port| u16::try_from(port).ok())
            .ok_or_else(|| {
                Failure::new(Code::NotDeployed, format!("there is no Service {service} in namespace {}", place.namespace))
                    .help("landfall status lists what is deployed")
            })?;
        let pod = pods_of(&observed, Some(service.as_str())).into_iter().find(|pod| is_ready(pod)).and_then(|pod| pod.metadata.name.clone());
        let pod = pod.ok_or_else(|| Failure::new(Code::NotDeployed, format!("{service} has no ready pod")).help("landfall status says why"))?;
        let forward = self.world.cluster.forward(&place.proof, &place.namespace, &pod, port).await?;
        let view = UrlView { service: service.to_string(), url: format!("http://{}", forward.local), how: format!("forwarded to port {port} of {pod}") };
        Ok((forward, view))
    }

    /// Log lines of a service's pods, redacted, for `landfall logs`.
    pub async fn logs(&self, ask: &ask::ClusterHealth, previous: bool) -> Result<Vec<LogView>, Failure> {
        let place = self.place(ask.workspace.as_deref(), ask.profile.as_ref(), ask.namespace.as_ref()).await?;
        let observed = self.world.cluster.observe(&place.proof, &place.namespace).await?;
        let pods = pods_of(&observed, ask.service.as_ref().map(ServiceName::as_str));
        Ok(self.read_logs(&place, pods, i64::from(ask.logs.unwrap_or(50)), previous, None).await)
    }

    /// The logs of these pods. A call that must be answered in time reads a few, those of pods that are not ready first.
    async fn read_logs(&self, place: &Place, mut pods: Vec<&Pod>, lines: i64, previous: bool, until: Option<tokio::time::Instant>) -> Vec<LogView> {
        pods.sort_by_key(|pod| is_ready(pod));
        let of_pod = |pod: &Pod| -> Vec<LogRequest> {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let name = pod.metadata.name.clone().unwrap_or_default();
            containers.map(|container| LogRequest { pod: name.clone(), container: container.name.clone(), previous, lines, since_seconds: None }).collect()
        };
        let most = if until.is_some() { LOGS } else { usize::MAX };
        let wanted = pods.into_iter().flat_map(of_pod).take(most).collect();
        let view = |(request, text): (LogRequest, Option<String>)| {
            let lines = text?.lines().map(|line| crate::secret::plain(line, 400)).collect();
            Some(LogView { pod: request.pod, container: request.container, previous, lines })
        };
        self.texts(place, wanted, until).await.into_iter().filter_map(view).collect()
    }

    /// Deletes claims and generated Secrets after an uninstall, for `landfall down --purge-data` alone.
    pub async fn purge_data(&self, ask: &ask::Rollback) -> Result<Vec<String>, Failure> {
        let place = self.place(ask.workspace.as_deref(), ask.profile.as_ref(), ask.namespace.as_ref()).await?;
        let facts = self.world.cluster.namespace(&place.proof, &place.namespace).await?;
        if !facts.is_some_and(|facts| facts.ours) {
            return Err(
                Failure::new(Code::NamespaceNotOurs, format!("namespace {} was not made by Landfall", place.namespace)).help("delete its data yourself")
            );
        }
        let history = History { records: self.world.cluster.records(&place.proof, &place.namespace).await? };
        if history
            .records
            .values()
            .flat_map(|records| records.values().next_back())
            .any(|labels| labels.get("status").is_some_and(|status| status == "deployed"))
        {
            return Err(Failure::new(Code::BadArgument, format!("{} is still installed", place.app)).help("landfall down uninstalls it first"));
        }
        let mut gone = self.world.cluster.delete_claims(&place.proof, &place.namespace).await?;
        let blueprint = match super::worker::blueprint_of(&place.folders, &history) {
            Some(blueprint) => blueprint,
            None => self.drawn(&place.workspace, &place.namespace).await?,
        };
        for secret in &blueprint.secrets {
            self.world.cluster.delete_secret(&place.proof, &place.namespace, &secret.name).await?;
            gone.push(format!("Secret/{}", secret.name));
        }
        if self.world.cluster.delete_namespace(&place.proof, &place.namespace).await? {
            gone.push(format!("Namespace/{}", place.namespace));
        }
        Ok(gone)
    }
}

pub(super) fn busy(request: &Request) -> Failure {
    Failure::new(Code::OperationRunning, format!("{} {} runs on this app", request.tool, request.id))
        .help(format!("wait for it: operation_status {{\"operation\": \"{}\"}}", request.id))
}

fn instance_of(pod: &Pod) -> Option<&str> {
    pod.metadata.labels.as_ref()?.get("app.kubernetes.io/instance").map(String::as_str)
}

fn pods_of<'a>(observed: &'a Observed, only: Option<&str>) -> Vec<&'a Pod> {
    observed.pods.iter().filter(|pod| only.is_none_or(|only| instance_of(pod) == Some(only))).collect()
}

fn counts_of(counts: &crate::rollout::health::Counts) -> reply::Counts {
    let out_of = |share: crate::rollout::health::Share| reply::OutOf { ready: share.good, total: share.total };
    reply::Counts { deployments: out_of(counts.deployments), pods: out_of(counts.pods), services: out_of(counts.services) }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"))
}

fn nodes_of(observed: &Observed) -> Vec<reply::ObjectView> {
    let mut views = Vec::new();
    for node in &observed.nodes {
        let name = node.metadata.name.as_deref().unwrap_or("?");
        for condition in node.status.iter().flat_map(|status| status.conditions.iter().flatten()) {
            let bad = if condition.type_ == "Ready" { condition.status != "True" } else { condition.status == "True" };
            if bad {
                views.push(reply::ObjectView {
                    object: format!("Node/{name}"),
                    state: format!("{} is {}: {}", condition.type_, condition.status, condition.message.as_deref().unwrap_or("")),
                });
            }
        }
    }
    views
}

/// The state as users see it, from journal, records and what was just seen.
fn app_state(folders: &Folders, history: &History, diagnoses: &[crate::evidence::Diagnosis], healthy: bool) -> AppState {
    if let Some(running) = operation::running(folders)
        && matches!(running.tool.as_str(), "deploy" | "rollback")
    {
        return if running.tool == "rollback" { AppState::RollingBack } else { AppState::Deploying };
    }
    if history.records.is_empty() {
        return AppState::Initial;
    }
    if !diagnoses.is_empty() || !healthy {
        return AppState::Degraded;
    }
    let verified = history.records.keys().all(|release| history.current(release).is_some_and(|current| history.is_verified(release, current)));
    let newest = history.newest();
    let running = history.records.keys().filter_map(|release| history.label(release, labels::APP_REVISION)?.parse::<u32>().ok()).max().unwrap_or(0);
    if !verified {
        return AppState::Deploying;
    }
    if running < newest { AppState::PreviousStable } else { AppState::Active }
}
