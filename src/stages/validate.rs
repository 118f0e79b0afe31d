//! Asks the deployed app itself: HTTP from where its callers stand, the environment of its processes, MCP, logs, usage: the validation gate.

use super::mcp::Calls;
use crate::ask::CheckGroup;
use crate::blueprint::{Ask, Blueprint, Controller, EnvValue, Workload};
use crate::config::{Config, Smoke};
use crate::evidence::{Check, Diagnosis, Evidence, Gate, GateName, Source};
use crate::failure::{Code, Failure};
use crate::ports::{LogRequest, Observed, Progress, Proof, World};
use crate::probe::{self, Caller, HttpAsk, Inside, Silence, Weight};
use crate::reply::{Comparison, Latency, VariableView};
use crate::rollout::route::{Asked, Request};
use crate::rollout::{self, route};
use crate::secret::Secret;
use crate::survey::McpTransport;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::sync::OnceCell;

/// How long one answer of the app may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// How often what got no answer is asked in the same way before anything is concluded from it.
const PROBES: u32 = 3;
/// How long to wait before it is asked again.
const AGAIN: Duration = Duration::from_millis(500);

/// What is validated and how.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Empty: all groups.
    pub groups: Vec<CheckGroup>,
    /// Empty: all services.
    pub services: Vec<String>,
    /// Smoke requests may write.
    pub writing: bool,
    /// How far back logs are searched, seconds.
    pub window_s: i64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub gates: Vec<Gate>,
    pub variables: Vec<VariableView>,
    pub latency: Option<Latency>,
    /// What measured use says about requests, limits and replicas.
    pub advice: Vec<String>,
    /// What the taxonomy says of requests that got no answer.
    pub diagnoses: Vec<Diagnosis>,
}

impl Found {
    /// Why the refused gates refused: by the taxonomy where it knows, else by the check that failed.
    pub fn causes(&self) -> Vec<Diagnosis> {
        let named = |gate: &Gate| self.diagnoses.iter().any(|diagnosis| diagnosis.subject.split('/').next() == Some(gate.subject.as_str()));
        let unnamed = self.gates.iter().filter(|gate| !named(gate)).filter_map(super::unproven);
        self.diagnoses.iter().cloned().chain(unnamed).collect()
    }
}

/// A look at one running app.
#[derive(Debug)]
pub struct Look<'a> {
    pub world: &'a World,
    pub at: &'a Proof,
    pub blueprint: &'a Blueprint,
    pub config: &'a Config,
    pub observed: Observed,
}

impl Look<'_> {
    /// Every group of checks that is wanted, one gate per workload.
    pub async fn validate(&self, scope: &Scope, progress: &dyn Progress) -> Result<Found, Failure> {
        let mut found = Found::default();
        let mut latencies = Vec::new();
        let alerts = OnceCell::new();
        let wants = |group: CheckGroup| scope.groups.is_empty() || scope.groups.contains(&group);
        let keyed = if wants(CheckGroup::Environment) { self.keyed().await } else { Vec::new() };
        for workload in &self.blueprint.workloads {
            let name = workload.name.as_str();
            if !scope.services.is_empty() && !scope.services.iter().any(|service| service == name) {
                continue;
            }
            if let Some(check) = self.ends_by_itself(workload) {
                found.gates.push(Gate::judge(GateName::Validation, name, vec![check]));
                continue;
            }
            let Some((pod, container)) = self.pod_of(name) else {
                let check = Check::fail("validation.http", "a ready pod to ask", format!("{name} has no ready pod"), vec![]);
                found.gates.push(Gate::judge(GateName::Validation, name, vec![check]));
                continue;
            };
            let mut checks = Vec::new();
            if wants(CheckGroup::Reachability) {
                progress.note(&format!("{name}: asks its routes"));
                let (reached, closed) = self.reach(workload, &pod, &mut latencies).await;
                checks.extend(reached);
                let (called, unanswered) = self.reach_from_callers(workload).await;
                checks.extend(called);
                // What is closed at the pod itself is closed for its callers too.
                match (closed, workload.port) {
                    (true, Some(port)) => found.diagnoses.extend(self.closed_port(workload, &pod, port).await),
                    (_, _) => found.diagnoses.extend(unanswered),
                }
                if let Some(path) = paths_of(workload).first() {
                    checks.extend(self.outside(workload, path).await);
                }
                checks.extend(self.browser(workload, &pod).await);
                if let Some(budget) = self.config.gates.latency_p95_ms {
                    checks.extend(self.in_budget(workload, &pod, budget).await);
                }
            }
            if wants(CheckGroup::Environment) && workload.service().is_some() {
                progress.note(&format!("{name}: compares the environment of its process"));
                let (check, variables) = self.environment(workload, &pod, &container).await;
                checks.push(check);
                found.variables.extend(variables);
            }
            if wants(CheckGroup::Environment) {
                checks.extend(super::keys::judge(&self.observed, name, &keyed));
            }
            if wants(CheckGroup::Smoke) {
                for smoke in self.config.smoke.iter().filter(|smoke| smoke.service.as_str() == name) {
                    checks.push(self.smoke(workload, &pod, smoke, scope.writing).await);
                }
            }
            if wants(CheckGroup::Smoke) && scope.groups.is_empty() && is_http_mcp(workload) {
                progress.note(&format!("{name}: speaks MCP"));
                checks.extend(self.mcp(workload, &pod, None, &Calls::default()).await.checks);
            }
            if wants(CheckGroup::Logs) {
                progress.note(&format!("{name}: reads its log"));
                checks.push(self.logs(&pod, &container, scope.window_s).await);
            }
            if wants(CheckGroup::Metrics) {
                let (check, advice) = self.usage(workload, &pod).await;
                checks.push(check.optional());
                checks.extend(self.exposed(workload, &pod).await);
                checks.push(alerts.get_or_init(|| self.alerts()).await.clone());
                found.advice.extend(advice);
            }
            found.gates.push(Gate::judge(GateName::Validation, name, checks));
        }
        found.latency = latency(&latencies);
        Ok(found)
    }

    /// What answers no request: a Job must have completed, a CronJob must be there for its time. None for what keeps running.
    fn ends_by_itself(&self, workload: &Workload) -> Option<Check> {
        match workload.controller() {
            Controller::Job => Some(rollout::completed("validation.completed", &self.observed, &workload.name)),
            Controller::CronJob => {
                Some(rollout::scheduled("validation.scheduled", &self.observed, &workload.name, workload.schedule.as_deref().unwrap_or_default()))
            }
            Controller::Deployment | Controller::StatefulSet => None,
        }
    }

    /// A ready pod of the release and its first container.
    pub fn pod_of(&self, release: &str) -> Option<(String, String)> {
        let ready = |pod: &&Pod| {
            let mine = pod.metadata.labels.as_ref().is_some_and(|labels| labels.get("app.kubernetes.io/instance").is_some_and(|instance| instance == release));
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            let ready = conditions.is_some_and(|all| all.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"));
            mine && ready && pod.metadata.deletion_timestamp.is_none()
        };
        let pod = self.observed.pods.iter().filter(ready).max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0))?;
        let container = pod.spec.as_ref()?.containers.first()?.name.clone();
        Some((pod.metadata.name.clone()?, container))
    }

    /// The health routes through a forwarded port, as a person's browser would come; true where the pod gave no answer at all.
    async fn reach(&self, workload: &Workload, pod: &str, latencies: &mut Vec<Result<Duration, ()>>) -> (Vec<Check>, bool) {
        let Some(port) = workload.port else { return (vec![Check::not_run("validation.http", "routes", "the workload offers no port").optional()], false) };
        let paths = paths_of(workload);
        if paths.is_empty() {
            return (vec![self.opens(workload, pod, port).await], false);
        }
        let mut checks = Vec::new();
        let mut silent = false;
        for path in paths {
            let probed = format!("GET {path} through a forwarded port");
            let at = format!("http://{}:{port}{path}", workload.name);
            let ask = HttpAsk::get(&path, workload.name.as_str(), PATIENCE);
            let seen = probe::http_through_forward(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, pod, port, &ask).await;
            checks.push(match seen {
                Ok(seen) => {
                    latencies.push(if (200..400).contains(&seen.status) { Ok(seen.elapsed) } else { Err(()) });
                    judge_answer("validation.http", probed, at, &seen)
                }
                Err(failure) => {
                    latencies.push(Err(()));
                    silent |= failure.code == Code::ClusterRefused;
                    unanswered("validation.http", probed, &at, &failure)
                }
            });
        }
        (checks, silent)
    }

    /// A port of a ready pod where nothing listens, however often one connects.
    async fn closed_port(&self, workload: &Workload, pod: &str, port: u16) -> Option<Diagnosis> {
        for _ in 0..PROBES {
            if !matches!(probe::listens(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, pod, port).await, Ok(false)) {
                return None;
            }
        }
        let seen = Evidence::new(Source::Probe, format!("Pod/{pod} port {port}"), &format!("{PROBES} connections, each ended at once"));
        route::read(&self.observed, &Request { release: &workload.name, port, asked: Asked::Closed, probes: PROBES, evidence: vec![seen] })
    }

    /// A workload without HTTP: its own readiness question, asked in its container.
    async fn opens(&self, workload: &Workload, pod: &str, port: u16) -> Check {
        let Some(Ask::Exec { command }) = workload.probes.readiness.as_ref() else {
            let probed = format!("port {port}");
            return match self.world.cluster.forward(self.at, &self.blueprint.namespace, pod, port).await {
                Ok(forward) => {
                    Check::not_run("validation.http", probed, format!("no HTTP route is known; a port can be forwarded to {}", forward.pod)).optional()
                }
                Err(failure) => unanswered("validation.http", probed, pod, &failure),
            };
        };
        let probed = format!("{} in its container", command.join(" "));
        let container = self.pod_of(workload.name.as_str()).map(|(_, container)| container).unwrap_or_default();
        match self.world.cluster.exec(self.at, &self.blueprint.namespace, pod, &container, command, Duration::from_secs(10)).await {
            Ok(done) if done.exit_code == 0 => {
                Check::pass("validation.ready", probed, Evidence::new(Source::Probe, format!("Pod/{pod}"), done.stdout.reveal().trim()))
            }
            Ok(done) => Check::fail(
                "validation.ready",
                probed,
                format!("ended with {}", done.exit_code),
                vec![Evidence::new(Source::Probe, format!("Pod/{pod}"), &done.stderr)],
            ),
            Err(failure) => Check::not_run("validation.ready", probed, failure.to_string()),
        }
    }

    /// The same routes from inside the pods that call this workload, by its Service's name; and what it means where no answer came.
    async fn reach_from_callers(&self, workload: &Workload) -> (Vec<Check>, Vec<Diagnosis>) {
        let Some(port) = workload.port else { return (Vec::new(), Vec::new()) };
        let Some(path) = paths_of(workload).into_iter().next() else { return (Vec::new(), Vec::new()) };
        let url = format!("http://{}:{port}{path}", workload.name);
        let mut checks = Vec::new();
        let mut diagnoses = Vec::new();
        let callers = self.blueprint.workloads.iter().filter(|caller| workload.callers.contains(&caller.name));
        for caller in callers {
            let probed = format!("GET {url} from inside {}", caller.name);
            let Some((pod, container)) = self.pod_of(caller.name.as_str()) else {
                checks.push(Check::not_run("validation.inside", probed, format!("{} has no ready pod", caller.name)));
                continue;
            };
            let language = caller.service().map(|service| service.language.as_str()).unwrap_or_default();
            let from = Caller { pod: &pod, container: &container, language };
            let host = format!("{}:{port}", workload.name);
            let (seen, probes) = self.ask_from(from, &host, &HttpAsk::get(&path, &host, PATIENCE)).await;
            let place = format!("{url} from Pod/{pod}");
            if let Ok(Inside::Unanswered { error, silence, .. }) = &seen {
                let asked = match silence {
                    Silence::Refused => Some(Asked::Refused { caller: &caller.name }),
                    Silence::TimedOut => Some(Asked::Silent { caller: &caller.name }),
                    Silence::Other => None,
                };
                let evidence = vec![Evidence::new(Source::Probe, place.clone(), &format!("{error} ({probes} times)"))];
                diagnoses.extend(asked.and_then(|asked| route::read(&self.observed, &Request { release: &workload.name, port, asked, probes, evidence })));
            }
            checks.push(judge_inside("validation.inside", probed, &place, seen, |seen| (200..400).contains(&seen.status)));
        }
        (checks, diagnoses)
    }

    /// Asks from inside a caller; what is turned away or times out is asked again. Answers the last end, and how often in a row it was the same.
    async fn ask_from(&self, from: Caller<'_>, host: &str, ask: &HttpAsk) -> (Result<Inside, Failure>, u32) {
        let again = || probe::http_from_inside(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, from, host, ask);
        let ended = |seen: &Result<Inside, Failure>| match seen {
            Ok(Inside::Unanswered { silence, .. }) if *silence != Silence::Other => Some(*silence),
            Ok(Inside::Unanswered { .. } | Inside::Answered(_) | Inside::NotRun { .. }) | Err(_) => None,
        };
        let (mut seen, mut same) = (again().await, 1);
        for _ in 1..PROBES {
            let Some(before) = ended(&seen) else { break };
            tokio::time::sleep(AGAIN).await;
            seen = again().await;
            same = if ended(&seen) == Some(before) { same + 1 } else { 1 };
        }
        (seen, same)
    }

    /// The user's latency budget: requests to the first health route, one after the other or at the rate that landfall.toml names;
    /// the 95th percentile counts, and every one must be answered.
    async fn in_budget(&self, workload: &Workload, pod: &str, budget_ms: u64) -> Option<Check> {
        const REQUESTS: usize = 20;
        let (port, path) = (workload.port?, paths_of(workload).into_iter().next()?);
        let ask = HttpAsk::get(&path, workload.name.as_str(), PATIENCE);
        let at = format!("http://{}:{port}{path}", workload.name);
        if let Some(rate) = self.config.gates.latency_rate_per_s {
            let seconds = self.config.gates.latency_for_s.unwrap_or(5);
            let probed = format!("GET {path} {rate} a second for {seconds} s through a forwarded port, 95 of 100 within {budget_ms} ms");
            return Some(match self.world.cluster.forward(self.at, &self.blueprint.namespace, pod, port).await {
                Ok(forward) => judge_latency(probed, &at, budget_ms, &latency(&super::pace::at_rate(forward.local, &ask, rate, seconds).await)?),
                Err(failure) => unanswered("validation.latency", probed, &at, &failure),
            });
        }
        let probed = format!("{REQUESTS} GET {path} through a forwarded port, 95 of 100 within {budget_ms} ms");
        let mut seen = Vec::new();
        for _ in 0..REQUESTS {
            let answer = probe::http_through_forward(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, pod, port, &ask).await;
            seen.push(answer.ok().filter(|answer| answer.status < 400).map(|answer| answer.elapsed).ok_or(()));
        }
        Some(judge_latency(probed, &at, budget_ms, &latency(&seen)?))
    }

    /// Required variables in the running process, secrets compared by fingerprint under a key of this look.
    async fn environment(&self, workload: &Workload, pod: &str, container: &str) -> (Check, Vec<VariableView>) {
        let probed = "environment of the container's first process";
        let language = workload.service().map(|service| service.language.as_str()).unwrap_or_default();
        let namespace = &self.blueprint.namespace;
        let attempt = async {
            let from = Caller { pod, container, language };
            let seen = match probe::environment(self.world.cluster.as_ref(), self.at, namespace, from, PATIENCE).await {
                Err(failure) if failure.code == Code::NotSupported => self.environment_in_node(pod, container).await?.ok_or(failure)?,
                read => read?,
            };
            let mut expected = Vec::new();
            for setting in &workload.env {
                let value = match &setting.value {
                    EnvValue::Literal { .. } => None,
                    EnvValue::SecretKey { secret, key } => self.world.cluster.secret_value(self.at, namespace, secret, key).await?,
                };
                expected.push((setting.clone(), value));
            }
            let key = crate::secret::random()?;
            Ok::<_, Failure>(probe::judge_environment(&workload.name, true, &expected, &seen.variables, &key))
        };
        match attempt.await {
            Ok(verdicts) if verdicts.is_empty() => {
                (Check::not_run("validation.environment", probed, "the app reads no variable that Landfall sets").optional(), Vec::new())
            }
            Ok(verdicts) => {
                let named =
                    |wanted: &[probe::Verdict]| verdicts.iter().filter(|one| wanted.contains(&one.verdict)).map(|one| one.name.to_string()).collect::<Vec<_>>();
                let bad = named(&[probe::Verdict::Missing, probe::Verdict::Differs]);
                let open = named(&[probe::Verdict::NotCompared]);
                let told: Vec<_> = verdicts.iter().map(|one| format!("{} {}", one.name, verdict_word(one.verdict))).collect();
                let seen = Evidence::new(Source::Probe, format!("Pod/{pod} /proc/1/environ"), &told.join(", "));
                let check = if !bad.is_empty() {
                    Check::fail("validation.environment", probed, format!("missing or different: {}", bad.join(", ")), vec![seen])
                } else if open.is_empty() {
                    Check::pass("validation.environment", probed, seen)
                } else {
                    Check::not_run("validation.environment", probed, format!("there, but not compared: {}", open.join(", ")))
                };
                let views = verdicts
                    .iter()
                    .filter_map(|one| Some(VariableView { service: one.service.to_string(), name: one.name.to_string(), verdict: comparison(one.verdict)? }))
                    .collect();
                (check, views)
            }
            Err(failure) => (Check::not_run("validation.environment", probed, failure.to_string()), Vec::new()),
        }
    }

    /// Read in the node, for an image with nothing but the program in it; none where the pod does not say where it runs.
    async fn environment_in_node(&self, pod: &str, container: &str) -> Result<Option<probe::Environment>, Failure> {
        let place = self.observed.pods.iter().find(|one| one.metadata.name.as_deref() == Some(pod)).and_then(|pod| {
            let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
            let id = statuses.iter().find(|status| status.name == container)?.container_id.as_deref()?;
            Some((pod.spec.as_ref()?.node_name.as_deref()?, id))
        });
        let Some((node, id)) = place else { return Ok(None) };
        self.world.images.first_environment(self.at, node, id).await.map(|text| Some(probe::environment_of(&text)))
    }

    async fn smoke(&self, workload: &Workload, pod: &str, smoke: &Smoke, writing: bool) -> Check {
        let id = format!("validation.smoke.{}", smoke.name);
        let probed = "the requests of landfall.toml";
        if smoke.chat.is_some() {
            return Check::not_run(&id, probed, "it is a message to a chatbot; verify_mcp with chat_path=prove sends it").optional();
        }
        if smoke.writes && !writing {
            return Check::not_run(&id, probed, "it writes; ask for smoke=writing").optional();
        }
        let Some(port) = workload.port else { return Check::fail(&id, probed, "the service offers no port", vec![]) };
        let way = Forwarded { look: self, pod, port };
        super::smoke::follow(smoke, workload.name.as_str(), PATIENCE, &way).await
    }

    /// Smoke tests that a service's own description allows, for services without any: to copy, nobody runs them.
    pub async fn proposed(&self, services: &[String]) -> Vec<String> {
        let mut lines = Vec::new();
        let wanted = |workload: &&Workload| {
            let name = workload.name.as_str();
            (services.is_empty() || services.iter().any(|service| service == name)) && !self.config.smoke.iter().any(|smoke| smoke.service.as_str() == name)
        };
        for workload in self.blueprint.workloads.iter().filter(wanted) {
            let Some(document) = self.described(workload).await else { continue };
            let text = super::openapi::propose(&workload.name, &document).text();
            if !text.is_empty() {
                lines.push(format!("{} describes its routes: smoke tests for landfall.toml, of which nothing was sent\n\n{text}", workload.name));
            }
        }
        lines
    }

    /// The backend's own way to the server: its DNS name, its network policy, its Host header.
    pub(super) async fn mcp_from_caller(&self, workload: &Workload, from: Option<&str>, port: u16, path: &str) -> Vec<Check> {
        let callers: Vec<_> = self
            .blueprint
            .workloads
            .iter()
            .filter(|caller| from.map_or_else(|| workload.callers.contains(&caller.name), |from| caller.name.as_str() == from))
            .collect();
        let host = format!("{}:{port}", workload.name);
        let url = format!("http://{host}{path}");
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "landfall", "version": env!("CARGO_PKG_VERSION")}}});
        let headers = [("Content-Type", "application/json"), ("Accept", "application/json, text/event-stream")];
        let ask = HttpAsk {
            method: "POST".into(),
            headers: headers.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect(),
            body: Some(Secret::new(body.to_string())),
            ..HttpAsk::get(path, &host, PATIENCE)
        };
        let mut checks = Vec::new();
        for caller in callers {
            let probed = format!("initialize at {url} from inside {}", caller.name);
            let Some((pod, container)) = self.pod_of(caller.name.as_str()) else {
                checks.push(Check::not_run("validation.mcp_from_caller", probed, format!("{} has no ready pod", caller.name)));
                continue;
            };
            let language = caller.service().map(|service| service.language.as_str()).unwrap_or_default();
            let from = Caller { pod: &pod, container: &container, language };
            let seen = probe::http_from_inside(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, from, &host, &ask).await;
            checks.push(judge_inside("validation.mcp_from_caller", probed, &format!("{url} from Pod/{pod}"), seen, |seen| {
                seen.status == 200 && seen.body.reveal().contains("serverInfo")
            }));
        }
        checks
    }

    async fn logs(&self, pod: &str, container: &str, window_s: i64) -> Check {
        let probed = format!("log of the last {window_s} s");
        let request = LogRequest { pod: pod.to_owned(), container: container.to_owned(), previous: false, lines: 2_000, since_seconds: Some(window_s.max(1)) };
        match self.world.cluster.logs(self.at, &self.blueprint.namespace, &request).await {
            Ok(text) => {
                let errors = probe::errors_in(&format!("Pod/{pod}"), &text);
                let (critical, noise): (Vec<_>, Vec<_>) = errors.into_iter().partition(|error| error.weight == Weight::Critical);
                if critical.is_empty() {
                    let told = format!("{} lines, none critical; {} kinds of error lines below that", text.lines().count(), noise.len());
                    Check::pass("validation.logs", probed, Evidence::new(Source::Log, format!("Pod/{pod}"), &told))
                } else {
                    Check::fail(
                        "validation.logs",
                        probed,
                        format!("{} kinds of critical lines", critical.len()),
                        critical.into_iter().map(|error| error.evidence).collect(),
                    )
                }
            }
            Err(failure) => Check::not_run("validation.logs", probed, failure.to_string()),
        }
    }

    async fn usage(&self, workload: &Workload, pod: &str) -> (Check, Vec<String>) {
        let probed = "use of memory against its limit";
        match self.world.cluster.usage(self.at, &self.blueprint.namespace).await {
            Ok(all) => {
                let Some(usage) = all.iter().find(|usage| usage.pod == pod) else {
                    let check = Check::not_run("validation.metrics", probed, "metrics-server has no figure for this pod yet (about a minute after it started)");
                    return (check, Vec::new());
                };
                let told = format!("{} m CPU, {} MiB of {}", usage.cpu_millicores, usage.memory_bytes / (1024 * 1024), workload.resources.memory_limit);
                let seen = Evidence::new(Source::Probe, format!("metrics of Pod/{pod}"), &told);
                let check = match crate::quantity::whole(&workload.resources.memory_limit) {
                    Some(limit) if usage.memory_bytes > limit / 100 * 95 => Check::fail("validation.metrics", probed, "memory is at its limit", vec![seen]),
                    Some(_) | None => Check::pass("validation.metrics", probed, seen),
                };
                (check, super::sizing::advise(workload, usage))
            }
            Err(failure) => (Check::not_run("validation.metrics", probed, failure.to_string()), Vec::new()),
        }
    }
}

/// The way of a smoke test: through a forwarded port.
pub(super) struct Forwarded<'a> {
    pub(super) look: &'a Look<'a>,
    pub(super) pod: &'a str,
    pub(super) port: u16,
}

#[async_trait::async_trait]
impl super::smoke::Way for Forwarded<'_> {
    async fn send(&self, ask: &HttpAsk) -> Result<probe::HttpSeen, Failure> {
        let Look { world, at, blueprint, .. } = self.look;
        probe::http_through_forward(world.cluster.as_ref(), at, &blueprint.namespace, self.pod, self.port, ask).await
    }
}

/// True for an MCP server that speaks over HTTP.
pub fn is_http_mcp(workload: &Workload) -> bool {
    workload.mcp.as_ref().is_some_and(|mcp| mcp.transport == McpTransport::Http)
}

/// The HTTP paths that are known to answer: readiness first, then liveness.
fn paths_of(workload: &Workload) -> Vec<String> {
    let mut paths = Vec::new();
    for ask in [&workload.probes.readiness, &workload.probes.liveness] {
        if let Some(Ask::Http { path }) = ask
            && !paths.contains(path)
        {
            paths.push(path.clone());
        }
    }
    paths
}

fn comparison(verdict: probe::Verdict) -> Option<Comparison> {
    match verdict {
        probe::Verdict::Equal => Some(Comparison::Equal),
        probe::Verdict::Differs => Some(Comparison::Differs),
        probe::Verdict::Missing => Some(Comparison::Missing),
        probe::Verdict::NeverRead => Some(Comparison::NeverRead),
        probe::Verdict::NotCompared => None,
    }
}

fn verdict_word(verdict: probe::Verdict) -> &'static str {
    match verdict {
        probe::Verdict::Equal => "equal",
        probe::Verdict::Differs => "differs",
        probe::Verdict::Missing => "missing",
        probe::Verdict::NeverRead => "never read",
        probe::Verdict::NotCompared => "not compared",
    }
}

/// A request from inside a caller, judged.
fn judge_inside(id: &str, probed: String, at: &str, seen: Result<Inside, Failure>, good: impl Fn(&probe::HttpSeen) -> bool) -> Check {
    match seen {
        Ok(Inside::Answered(seen)) if good(&seen) => {
            Check::pass(id, probed, Evidence::new(Source::Probe, at, &format!("{} in {} ms", seen.status, seen.elapsed.as_millis())))
        }
        Ok(Inside::Answered(seen)) => Check::fail(id, probed, format!("answered {}", seen.status), vec![Evidence::new(Source::Probe, at, &seen.text(400))]),
        Ok(Inside::Unanswered { error, elapsed, .. }) => {
            Check::fail(id, probed, error.clone(), vec![Evidence::new(Source::Probe, at, &format!("{error} after {} ms", elapsed.as_millis()))])
        }
        // Without an interpreter nothing was asked: shown, and left to the request through the forwarded port.
        Ok(Inside::NotRun { reason }) => Check::not_run(id, probed, reason).optional(),
        Err(failure) => unanswered(id, probed, at, &failure),
    }
}

/// A route's answer: what leads on or delivers is good.
pub(super) fn judge_answer(id: &str, probed: String, at: String, seen: &probe::HttpSeen) -> Check {
    if (200..400).contains(&seen.status) {
        return Check::pass(id, probed, Evidence::new(Source::Probe, at, &format!("{} in {} ms", seen.status, seen.elapsed.as_millis())));
    }
    Check::fail(id, probed, format!("answered {}", seen.status), vec![Evidence::new(Source::Probe, at, &seen.text(400))])
}

/// A question that came back without an answer: held against the app, unless the cluster between did not answer itself; then nothing was asked of the app.
pub(super) fn unanswered(id: &str, probed: String, at: &str, failure: &Failure) -> Check {
    if failure.code == Code::ClusterUnreachable {
        return Check::not_run(id, probed, failure.to_string());
    }
    Check::fail(id, probed, failure.message.clone(), vec![Evidence::new(Source::Probe, at, &failure.to_string())])
}

/// The text that stands where any text will do.
pub(super) const HARMLESS: &str = "landfall-probe";

/// Arguments for a tool that only reads, made from its schema: every required property gets a harmless value of its type.
pub(super) fn arguments_for(schema: &Map<String, Value>) -> Map<String, Value> {
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let property = |name: &str| schema.get("properties").and_then(|properties| properties.get(name));
    required
        .map(|name| {
            let about = property(name);
            let chosen = about.and_then(|about| about.get("enum")).and_then(Value::as_array).and_then(|all| all.first()).cloned();
            let value = chosen.unwrap_or_else(|| match about.and_then(|about| about.get("type")).and_then(Value::as_str) {
                Some("integer") => about.and_then(|about| about.get("minimum")).and_then(Value::as_i64).unwrap_or(1).into(),
                Some("number") => 1.0.into(),
                Some("boolean") => false.into(),
                Some("array") => Value::Array(Vec::new()),
                Some("object") => Value::Object(Map::new()),
                Some(_) | None => HARMLESS.into(),
            });
            (name.to_owned(), value)
        })
        .collect()
}

fn judge_latency(probed: String, at: &str, budget_ms: u64, seen: &Latency) -> Check {
    let told = format!("{} requests, {} errors, p50 {:.1} ms, p95 {:.1} ms", seen.requests, seen.errors, seen.p50_ms, seen.p95_ms);
    let evidence = Evidence::new(Source::Probe, at, &told);
    match seen.errors {
        0 if Duration::from_secs_f64(seen.p95_ms / 1_000.0) <= Duration::from_millis(budget_ms) => Check::pass("validation.latency", probed, evidence),
        0 => Check::fail("validation.latency", probed, format!("p95 is {:.1} ms", seen.p95_ms), vec![evidence]),
        errors => Check::fail("validation.latency", probed, format!("{errors} of {} requests were not answered", seen.requests), vec![evidence]),
    }
}

fn latency(seen: &[Result<Duration, ()>]) -> Option<Latency> {
    let mut good: Vec<f64> = seen.iter().filter_map(|seen| seen.as_ref().ok()).map(|elapsed| elapsed.as_secs_f64() * 1_000.0).collect();
    if seen.is_empty() {
        return None;
    }
    good.sort_by(f64::total_cmp);
    let at = |share: usize| good.get((good.len().saturating_sub(1)) * share / 100).copied().unwrap_or(0.0);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    Some(Latency { requests: count(seen.len()), errors: count(seen.len() - good.len()), p50_ms: at(50), p95_ms: at(95) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Outcome;

    #[test]
    fn what_the_cluster_kept_from_being_asked_is_not_held_against_the_app() {
        let outcome = |code: Code| unanswered("validation.http", "GET /".to_owned(), "here", &Failure::new(code, "no answer")).outcome;
        assert_eq!(outcome(Code::ClusterUnreachable), Outcome::NotRun);
        // Nothing listens, or it takes too long: that is the app.
        assert_eq!((outcome(Code::ClusterRefused), outcome(Code::Deadline)), (Outcome::Fail, Outcome::Fail));
    }

    #[test]
    fn a_latency_budget_counts_the_slow_and_the_unanswered() {
        let check = |answers: &[Option<u64>], budget: u64, expect: Outcome| {
            let seen: Vec<_> = answers.iter().map(|ms| ms.map(Duration::from_millis).ok_or(())).collect();
            assert_eq!(judge_latency(String::new(), "here", budget, &latency(&seen).unwrap()).outcome, expect, "{answers:?}");
        };
        let fast = [Some(2); 19];
        check(&fast, 2, Outcome::Pass);
        check(&[&fast[..], &[Some(900)]].concat(), 10, Outcome::Pass);
        check(&[&fast[..], &[Some(900), Some(900)]].concat(), 10, Outcome::Fail);
        check(&[&fast[..], &[None]].concat(), 10, Outcome::Fail);
        check(&[None], 10, Outcome::Fail);
    }
}
