//! Charts: one set of readable templates for all services, and the values that make each of them what it is.

use super::yaml::{Map, Yaml};
use super::{RenderedFile, TEMPLATES};
use crate::blueprint::{Ask, Blueprint, Controller, EnvSetting, EnvValue, Expose, ImagePlan, PersonsChart, Role, Workload, bun};
use crate::names::{Digest, EnvironmentName, ServiceName};
use crate::survey::{Kind, McpTransport};
use std::collections::BTreeMap;

/// The folder of all charts, relative to the workspace.
pub const CHARTS: &str = "deploy/charts";

/// What charts are written for.
#[derive(Clone, Debug)]
pub struct ChartOptions {
    /// Each has its values file; `minikube` is what Landfall deploys by default.
    pub environments: Vec<EnvironmentName>,
}

/// The templates, by their path in a chart; the same bytes in every chart.
const FILES: &[(&str, &str)] = &[
    (".helmignore", include_str!("chart/helmignore")),
    ("charts/.gitkeep", ""),
    ("values.schema.json", include_str!("chart/values.schema.json")),
    ("templates/NOTES.txt", include_str!("chart/templates/NOTES.txt")),
    ("templates/_helpers.tpl", include_str!("chart/templates/_helpers.tpl")),
    ("templates/configmap.yaml", include_str!("chart/templates/configmap.yaml")),
    ("templates/cronjob.yaml", include_str!("chart/templates/cronjob.yaml")),
    ("templates/deployment.yaml", include_str!("chart/templates/deployment.yaml")),
    ("templates/hpa.yaml", include_str!("chart/templates/hpa.yaml")),
    ("templates/ingress.yaml", include_str!("chart/templates/ingress.yaml")),
    ("templates/job.yaml", include_str!("chart/templates/job.yaml")),
    ("templates/migration.yaml", include_str!("chart/templates/migration.yaml")),
    ("templates/monitoring.yaml", include_str!("chart/templates/monitoring.yaml")),
    ("templates/networkpolicy.yaml", include_str!("chart/templates/networkpolicy.yaml")),
    ("templates/pdb.yaml", include_str!("chart/templates/pdb.yaml")),
    ("templates/pvc.yaml", include_str!("chart/templates/pvc.yaml")),
    ("templates/secret.yaml", include_str!("chart/templates/secret.yaml")),
    ("templates/service.yaml", include_str!("chart/templates/service.yaml")),
    ("templates/serviceaccount.yaml", include_str!("chart/templates/serviceaccount.yaml")),
    ("templates/statefulset.yaml", include_str!("chart/templates/statefulset.yaml")),
    ("templates/tests/connection.yaml", include_str!("chart/templates/tests/connection.yaml")),
];

/// `deploy/charts/<service>/…` and `deploy/values-<environment>.yaml`; of a person's chart only what brings the image into it.
/// Tags of built images by service; public images carry their own.
pub fn charts(blueprint: &Blueprint, options: &ChartOptions, tags: &BTreeMap<ServiceName, String>) -> Vec<RenderedFile> {
    let mut files = Vec::new();
    for workload in &blueprint.workloads {
        match &workload.chart {
            Some(persons) => files.push(overlay(&workload.name, persons, &blueprint.environment)),
            None => files.extend(Chart { blueprint, workload, tag: tag(workload, tags) }.files(&options.environments)),
        }
    }
    for environment in &options.environments {
        files.push(overview(blueprint, environment, tags));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

/// The folder of a workload's chart, relative to the workspace.
pub fn chart_folder(name: &ServiceName) -> String {
    format!("{CHARTS}/{name}")
}

/// The key of an image's digest among values.
pub const DIGEST: &str = "digest";

/// `deploy/overlays/<service>/values-<environment>.yaml`: what brings the built image into a person's chart.
pub fn overlay(name: &ServiceName, chart: &PersonsChart, environment: &EnvironmentName) -> RenderedFile {
    let header = format!("Written by Landfall: laid over the values of {}, whose chart is a person's.", chart.folder);
    RenderedFile::new(format!("deploy/overlays/{name}/values-{environment}.yaml"), Yaml::from(image_values(chart)).file(&header))
}

/// The values that lay a digest over a person's chart.
pub fn digest_values(chart: &PersonsChart, digest: &str) -> String {
    let chart = PersonsChart { image: [(DIGEST.to_owned(), digest.to_owned())].into(), ..chart.clone() };
    Yaml::from(image_values(&chart)).file("The image by its digest, as the registry told it.")
}

fn image_values(chart: &PersonsChart) -> Map {
    let image = chart.image.iter().fold(Map::new(), |map, (key, text)| map.with(key.as_str(), text.as_str()));
    chart.above.iter().rev().fold(image, |inner, key| Map::new().with(key.as_str(), inner))
}

fn tag(workload: &Workload, tags: &BTreeMap<ServiceName, String>) -> String {
    match &workload.image {
        ImagePlan::Built { .. } => tags.get(&workload.name).cloned().unwrap_or_else(|| "not-built".to_owned()),
        ImagePlan::Public { reference } => reference.tag().to_owned(),
    }
}

fn overview(blueprint: &Blueprint, environment: &EnvironmentName, tags: &BTreeMap<ServiceName, String>) -> RenderedFile {
    let mut map = Map::new();
    for (at, wave) in blueprint.waves.iter().enumerate() {
        for name in wave {
            let Some(workload) = blueprint.workload(name.as_str()) else { continue };
            let after = if workload.needs.is_empty() { String::new() } else { format!(", after {}", join(&workload.needs)) };
            let values = match &workload.chart {
                Some(persons) => image_values(persons).with("chart", format!("../{}", persons.folder)),
                None => Chart { blueprint, workload, tag: tag(workload, tags) }.overlay(environment).with("chart", format!("charts/{name}")),
            };
            map = map.noted(&format!("wave {}{after}", at + 1), name.as_str(), values);
        }
    }
    let header = format!(
        "Written by Landfall: release → values of {} for {environment}, in the order of installation.\nAn overview for people; each release is installed with its chart's own values-{environment}.yaml.",
        blueprint.app
    );
    RenderedFile::new(format!("deploy/values-{environment}.yaml"), Yaml::from(map).file(&header))
}

struct Chart<'a> {
    blueprint: &'a Blueprint,
    workload: &'a Workload,
    tag: String,
}

impl Chart<'_> {
    fn files(&self, environments: &[EnvironmentName]) -> Vec<RenderedFile> {
        let folder = chart_folder(&self.workload.name);
        let mut files: Vec<RenderedFile> = FILES.iter().map(|(path, text)| RenderedFile::new(format!("{folder}/{path}"), (*text).to_owned())).collect();
        files.push(RenderedFile::new(format!("{folder}/values.yaml"), self.values()));
        for environment in environments {
            let header = format!("Written by Landfall: what {} is in {environment}, over values.yaml.", self.workload.name);
            files.push(RenderedFile::new(format!("{folder}/values-{environment}.yaml"), Yaml::from(self.overlay(environment)).file(&header)));
        }
        let chart = self.chart(&content(&files));
        files.push(RenderedFile::new(format!("{folder}/Chart.yaml"), chart));
        files
    }

    fn chart(&self, content: &Digest) -> String {
        let name = &self.workload.name;
        let map = Map::new()
            .with("apiVersion", "v2")
            .with("name", name.as_str())
            .with("description", format!("{name} of {}", self.blueprint.app))
            .with("type", "application")
            .noted("Follows from this chart's content: the same content has the same version.", "version", format!("0.1.0+{}", content.short()))
            .with("appVersion", Yaml::Text(self.tag.clone()))
            .with("kubeVersion", ">=1.25.0-0")
            .with("annotations", Map::new().with("landfall/template", TEMPLATES.to_string()));
        Yaml::from(map).file("Written by Landfall.")
    }

    fn values(&self) -> String {
        let workload = self.workload;
        let resources = &workload.resources;
        let amounts = |cpu: &str, memory: &str, disk: &str| Map::new().with("cpu", cpu).with("memory", memory).with("ephemeral-storage", disk);
        let map = Map::new()
            .noted(
                "Deployment, StatefulSet for what keeps its data in files, Job and CronJob for what runs to its end",
                "kind",
                self.workload.controller().as_str(),
            )
            .noted("of a CronJob: minute, hour, day, month, weekday", "schedule", workload.schedule.as_deref().unwrap_or_default())
            .noted(
                "what changes the database before new pods start; a Job of its own, for two pods must not do it at once",
                "migration",
                Map::new().with("command", Yaml::texts(workload.migration.iter().map(|word| expansion_free(word)))).with("deadlineSeconds", 600u32),
            )
            .noted("the application that this service is a part of", "partOf", self.blueprint.app.as_str())
            .with("component", self.component())
            .with("image", self.image())
            .with("imagePullSecrets", Yaml::List(Vec::new()))
            .noted("what the container runs; empty: what the image says", "command", Yaml::texts(self.command().iter().map(|word| expansion_free(word))))
            .with("args", Yaml::List(Vec::new()))
            .with("replicas", workload.replicas)
            .with("oneReplica", self.one_replica())
            .noted("where the program listens, and where its Service does; 0: nowhere", "port", workload.port.unwrap_or(0))
            .with("portName", self.port_name())
            .with(
                "service",
                Map::new().with("enabled", workload.port.is_some()).with("type", "ClusterIP").with("nodePort", 0u32).with("annotations", Map::new()),
            )
            .noted("public settings, through a ConfigMap", "env", self.env())
            .noted("values from Secrets, by reference; no value ever stands in a file", "secretEnv", self.secret_env())
            .noted(
                "for plain helm only: a Secret of this chart's own, its values given at install (helm install -f a file outside the repository)",
                "secret",
                Map::new().with("create", false).with("values", Map::new()),
            )
            .noted("readiness may ask about what the service needs; liveness never does", "probes", self.probes())
            .noted(
                self.why_resources(),
                "resources",
                Map::new()
                    .with("requests", amounts(&resources.cpu_request, &resources.memory_request, &resources.ephemeral_request))
                    .with("limits", amounts(&resources.cpu_limit, &resources.memory_limit, &resources.ephemeral_limit)),
            )
            .noted("numeric, never 0", "security", Map::new().with("user", workload.user).with("group", workload.user))
            .noted("folders in which the program may write; everything else is read-only", "writable", self.writable())
            .with("persistence", self.persistence())
            .with("serviceAccount", Map::new().with("annotations", Map::new()))
            .with("autoscaling", Map::new().with("enabled", false).with("minReplicas", 2u32).with("maxReplicas", 5u32).with("targetCPU", 75u32))
            .with("podDisruptionBudget", Map::new().with("enabled", false))
            .noted("who may connect, and what this service may connect to", "networkPolicy", self.network_policy())
            .with("ingress", self.ingress(false))
            .noted("helm test", "test", self.test())
            .noted(
                "operator: the cluster has ServiceMonitor and PrometheusRule; path: where the program serves metrics, empty: nowhere",
                "monitoring",
                self.monitoring(),
            )
            .with("terminationGracePeriodSeconds", 30u32)
            .with("priorityClassName", "")
            .with("nodeSelector", Map::new())
            .with("tolerations", Yaml::List(Vec::new()))
            .with("podAnnotations", Map::new())
            .with("podLabels", Map::new());
        Yaml::from(map).file(&format!(
            "Written by Landfall: values of {} in {}.\nvalues-<environment>.yaml changes them for one environment.",
            workload.name, self.blueprint.app
        ))
    }

    /// What differs by environment; the same keys wherever they are the same.
    fn overlay(&self, environment: &EnvironmentName) -> Map {
        let local = environment.as_str() == "minikube";
        let deployed = *environment == self.blueprint.environment;
        let expose = if deployed { self.workload.expose } else { Expose::Cluster };
        // What is built on this machine is nowhere else to be had; a registry is asked each time, for whose tags can be trusted.
        let pull = if local || (deployed && matches!(self.workload.image, ImagePlan::Built { .. })) { "IfNotPresent" } else { "Always" };
        let image = Map::new().with("tag", self.tag.clone()).with("pullPolicy", pull);
        let mut map = if local {
            Map::new().noted("the image is built where the node sees it, and never fetched again", "image", image)
        } else if matches!(self.workload.image, ImagePlan::Built { .. }) {
            Map::new().noted(
                "the repository is local to one machine: name the registry that this environment pulls from",
                "image",
                image.with("repository", self.repository()),
            )
        } else {
            Map::new().with("image", image)
        };
        let replicas = if local || !self.scales() { self.workload.replicas } else { self.workload.replicas.max(2) };
        map = if self.scales() || self.job() { map } else { map.noted("one: it keeps data or sessions to itself", "replicas", replicas) };
        if self.scales() {
            map = map.with("replicas", replicas).with("podDisruptionBudget", Map::new().with("enabled", replicas > 1));
        }
        // Found in the cluster that this environment is deployed to.
        if deployed && self.blueprint.monitoring.operator {
            map = map.with("monitoring", Map::new().with("operator", true));
        }
        match expose {
            Expose::Cluster => map,
            Expose::NodePort => map.with("service", Map::new().with("type", "NodePort")).with("networkPolicy", Map::new().with("anybody", true)),
            Expose::Ingress => map.with("ingress", self.ingress(true)).with("networkPolicy", Map::new().with("namespaces", Yaml::texts(["ingress-nginx"]))),
        }
    }

    fn monitoring(&self) -> Map {
        let metrics = self.workload.metrics();
        let budget = self.blueprint.monitoring.latency_p95_ms.and_then(|budget| u32::try_from(budget).ok());
        Map::new()
            .with("operator", false)
            .with("path", metrics.as_ref().map_or("", |metrics| metrics.path.as_str()))
            .with("histogram", metrics.as_ref().and_then(|metrics| metrics.latency).unwrap_or_default())
            .with("latencyMs", budget.unwrap_or(0))
    }

    fn why_resources(&self) -> &'static str {
        match &self.workload.role {
            Role::Backing { .. } => "a development instance: enough for one developer's data; more memory is more cache",
            Role::Service { facts } if facts.kind == Kind::Static => "a web server that sends files: it needs next to nothing",
            Role::Service { facts } => match facts.language.as_str() {
                "java" | "scala" => "a JVM: its heap takes three quarters of the memory limit, and starting takes processor time",
                "go" | "rust" => "a compiled program: small, and without a runtime of its own",
                "node" | "deno" => "one thread of JavaScript: more than one processor helps only the garbage collector",
                "python" | "ruby" | "php" => "an interpreter with its libraries in memory; each more worker takes as much again",
                _ => "a start that fits most programs; measure and change",
            },
        }
    }

    fn job(&self) -> bool {
        matches!(self.workload.controller(), Controller::Job | Controller::CronJob)
    }

    /// Why there must not be two pods of it; empty where there may.
    fn one_replica(&self) -> &'static str {
        match (self.scales() || self.job(), self.workload.storage.is_some()) {
            (true, _) => "",
            (false, true) => "a claim has one writer",
            (false, false) => "sessions live in its memory",
        }
    }

    /// True where two may run side by side: no claim, and no sessions held in memory between requests.
    fn scales(&self) -> bool {
        let sessions = self.workload.mcp.as_ref().is_some_and(|mcp| matches!(mcp.transport, McpTransport::Http | McpTransport::Sse));
        let stateless = self.workload.service().and_then(|facts| facts.build_facts.get("mcp.stateless")).is_some_and(|value| value == "true");
        self.workload.storage.is_none() && !self.job() && self.workload.service().is_some() && (!sessions || stateless)
    }

    fn component(&self) -> &'static str {
        match &self.workload.role {
            Role::Backing { .. } => "backing",
            Role::Service { facts } => match facts.kind {
                Kind::Web => "web",
                Kind::Api => "api",
                Kind::Worker => "worker",
                Kind::Job => "job",
                Kind::Static => "static",
                Kind::McpServer => "mcp-server",
            },
        }
    }

    fn repository(&self) -> String {
        match &self.workload.image {
            ImagePlan::Built { repository, .. } => repository.clone(),
            ImagePlan::Public { reference } => reference.repository().to_owned(),
        }
    }

    fn image(&self) -> Map {
        Map::new().with("repository", self.repository()).with("tag", self.tag.clone()).with("digest", "").with("pullPolicy", "IfNotPresent")
    }

    /// Of what we build, the image itself says what it runs.
    fn command(&self) -> &[String] {
        match &self.workload.image {
            ImagePlan::Built { persons: false, .. } => &[],
            ImagePlan::Built { persons: true, .. } | ImagePlan::Public { .. } => &self.workload.command,
        }
    }

    fn port_name(&self) -> &'static str {
        match &self.workload.role {
            Role::Backing { .. } => "tcp",
            Role::Service { facts } => match facts.ports.first().map(|port| port.protocol.as_str()) {
                Some("grpc") => "grpc",
                Some("tcp") => "tcp",
                Some(_) | None => "http",
            },
        }
    }

    fn env(&self) -> Map {
        self.workload.env.iter().fold(Map::new(), |map, setting| match &setting.value {
            EnvValue::Literal { text } => map.noted(&reason(setting), setting.name.as_str(), text.as_str()),
            EnvValue::SecretKey { .. } => map,
        })
    }

    fn secret_env(&self) -> Map {
        self.workload.env.iter().fold(Map::new(), |map, setting| match &setting.value {
            EnvValue::Literal { .. } => map,
            EnvValue::SecretKey { secret, key } => {
                let from = Map::new().with("name", secret.as_str()).with("key", key.as_str()).with("optional", !setting.required);
                map.noted(&reason(setting), setting.name.as_str(), from)
            }
        })
    }

    fn probes(&self) -> Map {
        let timing = |map: Map, period: u32, timeout: u32, failures: u32| {
            map.with("periodSeconds", period).with("timeoutSeconds", timeout).with("failureThreshold", failures)
        };
        let ask = |ask: &Option<Ask>| ask.as_ref().map(|ask| self.ask(ask));
        let probes = &self.workload.probes;
        // Two minutes to start: a slow first import is no failure, and the rollout's own diagnosis is faster where there is one.
        let startup = ask(&probes.startup).map(|map| timing(map, 2, 5, 60));
        let readiness = ask(&probes.readiness).map(|map| timing(map, 5, 5, 3));
        let liveness = ask(&probes.liveness).map(|map| timing(map, 10, 5, 6));
        Map::new().with("startup", startup.unwrap_or_default()).with("readiness", readiness.unwrap_or_default()).with("liveness", liveness.unwrap_or_default())
    }

    fn ask(&self, ask: &Ask) -> Map {
        match ask {
            Ask::Http { path } => Map::new().with("httpGet", Map::new().with("path", path.as_str()).with("port", self.port_name())),
            Ask::Grpc => Map::new().with("grpc", Map::new().with("port", self.workload.port.unwrap_or_default())),
            Ask::Tcp => Map::new().with("tcpSocket", Map::new().with("port", self.port_name())),
            Ask::Exec { command } => Map::new().with("exec", Map::new().with("command", Yaml::texts(command.iter().map(|word| expansion_free(word))))),
        }
    }

    fn writable(&self) -> Yaml {
        Yaml::List(self.workload.writable.iter().map(|path| Map::new().with("path", path.as_str()).with("size", "256Mi").into()).collect())
    }

    fn persistence(&self) -> Map {
        let (mount, size) = self.workload.storage.as_ref().map_or(("/data", "1Gi"), |storage| (storage.mount.as_str(), storage.size.as_str()));
        Map::new()
            .with("enabled", self.workload.storage.is_some())
            .with("existingClaim", "")
            .with("mountPath", mount)
            .with("size", size)
            .with("storageClass", "")
            .with("accessMode", "ReadWriteOnce")
    }

    fn network_policy(&self) -> Map {
        let needs = self.workload.needs.iter().filter_map(|name| {
            let port = self.blueprint.workload(name.as_str())?.port?;
            Some(Map::new().with("name", name.as_str()).with("port", port).into())
        });
        let mut ports: Vec<u16> = self.workload.egress.iter().filter_map(|egress| egress.rsplit(':').next()?.parse().ok()).collect();
        ports.sort_unstable();
        ports.dedup();
        let hosts: Vec<&str> = self.workload.egress.iter().map(String::as_str).filter(|egress| egress.contains(':')).collect();
        let outside = Yaml::List(ports.into_iter().map(Yaml::from).collect());
        let map = Map::new()
            .with("enabled", true)
            .with("anybody", false)
            .with("callers", Yaml::texts(&self.workload.callers))
            .with("namespaces", Yaml::List(Vec::new()))
            .with("needs", Yaml::List(needs.collect()));
        if hosts.is_empty() { map.with("outsidePorts", outside) } else { map.noted(&format!("for {}", hosts.join(", ")), "outsidePorts", outside) }
    }

    fn ingress(&self, enabled: bool) -> Map {
        Map::new()
            .with("enabled", enabled)
            .with("className", "nginx")
            .with("host", format!("{}.{}.local", self.workload.name, self.blueprint.app))
            .with("path", "/")
            .with("tlsSecret", "")
            .with("annotations", Map::new())
    }

    /// A program that the image has, and that connects; nothing where it has none.
    fn test(&self) -> Map {
        let probes = &self.workload.probes;
        let path = [&probes.readiness, &probes.startup].into_iter().find_map(|ask| match ask {
            Some(Ask::Http { path }) => Some(path.as_str()),
            Some(Ask::Tcp | Ask::Grpc | Ask::Exec { .. }) | None => None,
        });
        let words: &[&str] = match (&self.workload.role, path.is_some()) {
            _ if matches!(self.workload.image, ImagePlan::Built { persons: true, .. }) => &[],
            (Role::Backing { kind }, _) => match kind.as_str() {
                "postgres" => &["sh", "-c", "exec pg_isready -h \"$TARGET_HOST\" -p \"$TARGET_PORT\""],
                "redis" => &["sh", "-c", "redis-cli -h \"$TARGET_HOST\" -p \"$TARGET_PORT\" ping | grep -qE 'PONG|NOAUTH'"],
                "mysql" => &["sh", "-c", "exec mysqladmin ping -h \"$TARGET_HOST\" -P \"$TARGET_PORT\" --silent"],
                _ => &[],
            },
            (Role::Service { facts }, true) if facts.kind != Kind::Static && facts.language == "python" => &[
                "python",
                "-c",
                "import os, urllib.request as r; e = os.environ; r.urlopen('http://' + e['TARGET_HOST'] + ':' + e['TARGET_PORT'] + e['TARGET_PATH'], timeout=10)",
            ],
            (Role::Service { facts }, false) if facts.kind != Kind::Static && facts.language == "python" => {
                &["python", "-c", "import os, socket; e = os.environ; socket.create_connection((e['TARGET_HOST'], int(e['TARGET_PORT'])), 10)"]
            }
            (Role::Service { facts }, true) if facts.kind != Kind::Static && facts.language == "node" && !bun(facts) => &[
                "node",
                "-e",
                "const e = process.env; fetch('http://' + e.TARGET_HOST + ':' + e.TARGET_PORT + e.TARGET_PATH).then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))",
            ],
            (Role::Service { facts }, false) if facts.kind != Kind::Static && facts.language == "node" && !bun(facts) => &[
                "node",
                "-e",
                "const e = process.env; require('net').connect(e.TARGET_PORT, e.TARGET_HOST, () => process.exit(0)).on('error', () => process.exit(1))",
            ],
            (Role::Service { facts }, _) if facts.kind != Kind::Static && facts.language == "ruby" => {
                &["ruby", "-e", "require 'socket'; TCPSocket.new(ENV.fetch('TARGET_HOST'), ENV.fetch('TARGET_PORT').to_i)"]
            }
            (Role::Service { facts }, _) if facts.language == "php" => {
                &["php", "-r", "exit(@fsockopen(getenv('TARGET_HOST'), (int) getenv('TARGET_PORT'), $c, $m, 10) ? 0 : 1);"]
            }
            (Role::Service { facts }, _) if facts.kind != Kind::Static && facts.language == "deno" => {
                &["deno", "eval", "await Deno.connect({ hostname: Deno.env.get('TARGET_HOST'), port: Number(Deno.env.get('TARGET_PORT')) }); Deno.exit(0)"]
            }
            (Role::Service { .. }, _) => &[],
        };
        let words = if self.workload.port.is_some() { words } else { &[] };
        Map::new().with("command", Yaml::texts(words.iter().map(|word| expansion_free(word)))).with("path", path.unwrap_or("/"))
    }
}

/// Why a variable has its value, and where the code reads it.
fn reason(setting: &EnvSetting) -> String {
    let why = crate::secret::plain(&setting.why.replace(['\n', '\t'], " "), 200);
    match &setting.read_at {
        Some(place) if place.line > 0 => format!("{why}; read at {}:{}", place.file.replace('\n', " "), place.line),
        Some(_) | None => why,
    }
}

/// Kubernetes expands `$(NAME)` in commands and makes one dollar of two: both are said so that the words arrive as they are.
fn expansion_free(word: &str) -> String {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        let (before, from) = rest.split_at(at);
        let after = from.trim_start_matches('$');
        let dollars = from.len() - after.len();
        out.push_str(before);
        out.push_str(&"$".repeat(if dollars > 1 || after.starts_with('(') { dollars * 2 } else { dollars }));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn join(names: &[ServiceName]) -> String {
    names.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(", ")
}

/// One digest over paths and texts.
fn content(files: &[RenderedFile]) -> Digest {
    let mut sorted: Vec<&RenderedFile> = files.iter().collect();
    sorted.sort_by(|one, other| one.path.cmp(&other.path));
    let lines: Vec<String> = sorted.iter().map(|file| format!("{} {}\n", Digest::of(&file.text), file.path)).collect();
    Digest::of(lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_as_they_are() {
        let expand = |word: &str| {
            // What Kubernetes does with a command's word where no variable is known.
            let mut out = String::new();
            let mut letters = word.chars().peekable();
            while let Some(letter) = letters.next() {
                out.push(letter);
                if letter == '$' && letters.peek() == Some(&'$') {
                    letters.next();
                } else if letter == '$' && letters.peek() == Some(&'(') {
                    panic!("{word} would be expanded");
                }
            }
            out
        };
        for word in ["$HOME", "\"$A\"", "$(A)", "$$", "$$(A)", "$$$(A)", "a$", "$$$"] {
            assert_eq!(expand(&expansion_free(word)), word);
        }
    }
}
