//! From survey, landfall.toml and wishes to a blueprint; precedence is argument, then landfall.toml, then survey, then default.

use super::backing::{self, Decision};
use super::environment::{self, Resolved, Surroundings};
use super::{Blueprint, Expose, ImagePlan, Monitoring, Role, SecretKeyPlan, SecretPlan, Storage, ValueNeeded, Wishes, Workload};
use super::{defaults, start, storage, waves};
use crate::config::{Config, ValueSource};
use crate::evidence::{Finding, Place, Severity};
use crate::failure::{Code, Failure};
use crate::names::{AppName, EnvName, EnvironmentName, Namespace, ServiceName};
use crate::survey::{Kind, McpTransport, Phase, Service, Survey};
use std::collections::{BTreeMap, BTreeSet};

/// Draws the application as it shall run. `SERVICE_UNKNOWN`, `NOTHING_TO_DEPLOY`, `NOT_DEPLOYABLE` and `NOT_SUPPORTED` say what keeps it from being drawn.
pub fn draw(survey: &Survey, config: &Config, app: &AppName, wishes: &Wishes) -> Result<Blueprint, Failure> {
    let mut findings = unknown_settings(survey, config);
    let survey = &told(survey, config);
    let candidates = candidates(survey, config, wishes, &mut findings)?;
    let ports: BTreeMap<&ServiceName, Option<u16>> = candidates.iter().map(|facts| (&facts.name, port(facts, config))).collect();
    let port_of = |facts: &Service| ports.get(&facts.name).copied().flatten();
    let decisions = decisions(&candidates, config, wishes)?;
    let instances = instances(&candidates, &decisions);
    let surroundings = Surroundings {
        app,
        config,
        wishes,
        targets: candidates.iter().map(|facts| (facts.name.clone(), environment::target(facts, port_of(facts)))).collect(),
        decisions,
        instances,
    };
    unreachable_targets(&candidates, &ports, &mut findings)?;

    let mut workloads = Vec::new();
    let mut secrets = BTreeMap::new();
    let mut values_needed: Vec<ValueNeeded> = Vec::new();
    for (kind, name) in used_instances(&candidates, &surroundings) {
        if secrets.insert(kind.secret_name(), kind.credentials(&name)).is_none() {
            workloads.push(kind.workload(&name)?);
        }
    }
    let mut given: BTreeMap<EnvName, ValueSource> = BTreeMap::new();
    for facts in &candidates {
        let resolved = surroundings.resolve(facts, port_of(facts));
        let Resolved { mut env, build_args, sources, values_needed: needed, findings: noticed, egress } = resolved;
        given.extend(sources);
        findings.extend(noticed);
        for value in needed {
            if !values_needed.iter().any(|known| known.name == value.name && known.accepts == value.accepts) {
                values_needed.push(value);
            }
        }
        let settings = config.service.get(&facts.name);
        let port = port_of(facts);
        let storage = storage::storage(facts, &mut env);
        findings.extend(storage.as_ref().map(|storage| kept(facts, storage)));
        let repository = format!("{}/{app}/{}", config.cluster.delivery.host(), facts.name);
        let image = image(facts, repository, &candidates, build_args, &mut findings);
        let persons = matches!(&image, ImagePlan::Built { persons: true, .. });
        let command = command(facts, config, port, persons);
        let schedule = settings.and_then(|settings| settings.schedule.clone()).map(|text| start::schedule(&facts.name, text)).transpose()?;
        workloads.push(Workload {
            name: facts.name.clone(),
            image,
            command,
            migration: migration(facts, config, port, persons),
            schedule,
            port,
            probes: defaults::probes(facts, port, settings.and_then(|settings| settings.ready.as_deref())),
            env: env.into_values().collect(),
            resources: defaults::resources(facts),
            replicas: if storage.is_some() { 1 } else { settings.and_then(|settings| settings.replicas).unwrap_or(1) },
            writable: writable(facts),
            storage,
            user: user(facts),
            expose: if entrance(facts, &candidates) { wishes.expose.unwrap_or_default() } else { Expose::Cluster },
            needs: needs(facts, &candidates, &surroundings).into_iter().collect(),
            callers: Vec::new(),
            egress: egress.into_iter().collect(),
            mcp: facts.mcp.clone(),
            chart: None,
            role: Role::Service { facts: Box::new((*facts).clone()) },
        });
    }
    callers(&mut workloads);
    let graph = workloads.iter().map(|workload| (workload.name.clone(), workload.needs.iter().cloned().collect())).collect();
    let (waves, cycles) = waves::order(&graph);
    findings.extend(cycles.iter().map(|cycle| cycle_finding(cycle, &candidates)));
    let rank = |name: &ServiceName| waves.iter().position(|wave| wave.contains(name));
    workloads.sort_by(|one, other| rank(&one.name).cmp(&rank(&other.name)).then_with(|| one.name.cmp(&other.name)));

    if !given.is_empty() {
        let keys = given.into_iter().map(|(name, source)| (name.to_string(), key_plan(source))).collect();
        let name = surroundings.values_secret();
        secrets.insert(name.clone(), SecretPlan { name, keys, belongs_to: None });
    }
    Ok(Blueprint {
        app: app.clone(),
        namespace: namespace(app, config, wishes)?,
        environment: match &wishes.environment {
            Some(environment) => environment.clone(),
            None => EnvironmentName::parse("minikube")?,
        },
        workloads,
        waves,
        secrets: secrets.into_values().collect(),
        values_needed,
        findings,
        monitoring: Monitoring { operator: false, latency_p95_ms: config.gates.latency_p95_ms },
    })
}

/// The survey with what a person says about a service's kind: what runs once is a job, whatever its code looks like.
fn told(survey: &Survey, config: &Config) -> Survey {
    let mut survey = survey.clone();
    for service in &mut survey.services {
        match config.service.get(&service.name).and_then(|settings| settings.once) {
            Some(true) => service.kind = Kind::Job,
            Some(false) if service.kind == Kind::Job => service.kind = Kind::Worker,
            Some(false) | None => {}
        }
    }
    survey
}

/// Says where the data of a service lies.
fn kept(facts: &Service, storage: &Storage) -> Finding {
    Finding {
        code: "DATA_ON_CLAIM".to_owned(),
        severity: Severity::Note,
        message: format!("{} keeps its database in a file: it gets a claim of {} at {} and runs as one pod", facts.name, storage.size, storage.mount),
        help: "a database server of its own lets it run as several: name its address in the variable that holds the file's".to_owned(),
        evidence: facts.backing.iter().find(|need| need.kind == "sqlite").map(|need| need.evidence.clone()).unwrap_or_default(),
        fix: None,
    }
}

fn namespace(app: &AppName, config: &Config, wishes: &Wishes) -> Result<Namespace, Failure> {
    match wishes.namespace.as_ref().or(config.app.namespace.as_ref()) {
        Some(namespace) => Ok(namespace.clone()),
        None => {
            Namespace::parse(app.as_str()).map_err(|failure| failure.help("name a namespace: the argument `namespace`, or [app] namespace in landfall.toml"))
        }
    }
}

fn key_plan(source: ValueSource) -> SecretKeyPlan {
    match source {
        ValueSource::Generate => SecretKeyPlan::Generate,
        source @ (ValueSource::Env(_) | ValueSource::File(_) | ValueSource::DotEnv(..) | ValueSource::Secret(..)) => SecretKeyPlan::Source { source },
    }
}

/// Settings of services that the survey does not know.
fn unknown_settings(survey: &Survey, config: &Config) -> Vec<Finding> {
    let named = config.service.keys().chain(config.egress.keys()).collect::<BTreeSet<_>>();
    let unknown = named.into_iter().filter(|name| survey.service(name.as_str()).is_none());
    unknown
        .map(|name| Finding {
            code: "SETTING_FOR_UNKNOWN_SERVICE".to_owned(),
            severity: Severity::Warning,
            message: format!("landfall.toml speaks of a service {name} that was not found"),
            help: format!("the services are {}", names(survey)),
            evidence: vec![Place::file(Config::FILE)],
            fix: None,
        })
        .collect()
}

fn names(survey: &Survey) -> String {
    survey.services.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Why a service cannot run as a workload, with the words that mend it; None where it can.
fn obstacle(facts: &Service, survey: &Survey, config: &Config) -> Option<(String, String)> {
    if let Some(ready) = survey.ready.iter().find(|ready| ready.service == facts.name && !ready.containerizable) {
        return Some((ready.why.clone(), "mend what `analyze_project` reports about it, then call again".to_owned()));
    }
    let compiled = matches!(facts.language.as_str(), "go" | "rust" | "java" | "php") || facts.build_facts.contains_key("elixir.app");
    let settled = compiled || facts.kind == Kind::Static || facts.dockerfile.is_some() || start_line(facts, config).is_some();
    (!settled).then(|| ("no start command was found".to_owned(), format!("say how it starts in landfall.toml: [service.{}] start = \"…\"", facts.name)))
}

/// True for an MCP server that its client starts as a child process: nothing to deploy.
fn subprocess(facts: &Service) -> bool {
    facts.kind == Kind::McpServer && facts.mcp.as_ref().is_some_and(|mcp| mcp.transport == McpTransport::Stdio)
}

/// The services that become workloads: the wished ones and what they call, without those that cannot run.
fn candidates<'s>(survey: &'s Survey, config: &Config, wishes: &Wishes, findings: &mut Vec<Finding>) -> Result<Vec<&'s Service>, Failure> {
    for name in &wishes.services {
        if survey.service(name.as_str()).is_none() {
            return Err(Failure::new(Code::ServiceUnknown, format!("no service {name} in this workspace")).help(format!("the services are {}", names(survey))));
        }
    }
    let graph: BTreeMap<ServiceName, BTreeSet<ServiceName>> =
        survey.services.iter().map(|facts| (facts.name.clone(), facts.calls.iter().map(|call| call.service.clone()).collect())).collect();
    let wished: BTreeSet<ServiceName> = wishes.services.iter().flat_map(|name| waves::reachable(&graph, name).into_iter().chain([name.clone()])).collect();
    let selected = |facts: &&Service| wishes.services.is_empty() || wished.contains(&facts.name);
    let mut candidates = Vec::new();
    let mut first_obstacle = None;
    for facts in survey.services.iter().filter(selected) {
        if subprocess(facts) {
            findings.push(Finding {
                code: "MCP_SUBPROCESS".to_owned(),
                severity: Severity::Note,
                message: format!("{} speaks MCP over standard input and output: its client starts it, so it is no workload of its own", facts.name),
                help: "serve it over streamable HTTP to run it by itself".to_owned(),
                evidence: facts.mcp.as_ref().map(|mcp| mcp.evidence.clone()).unwrap_or_default(),
                fix: None,
            });
            continue;
        }
        let Some((why, help)) = obstacle(facts, survey, config) else {
            candidates.push(facts);
            continue;
        };
        let called_by =
            survey.services.iter().filter(selected).find(|other| other.name != facts.name && other.calls.iter().any(|call| call.service == facts.name));
        let failure = Failure::new(Code::NotDeployable, format!("{} cannot be deployed: {why}", facts.name)).help(help.clone());
        if wishes.services.contains(&facts.name) {
            return Err(failure);
        }
        if let Some(caller) = called_by {
            return Err(failure.cause(format!("{} calls it", caller.name)));
        }
        findings.push(Finding {
            code: Code::NotDeployable.as_str().to_owned(),
            severity: Severity::Blocker,
            message: format!("{} is left out: {why}", facts.name),
            help,
            evidence: facts.evidence.values().flatten().take(1).cloned().collect(),
            fix: None,
        });
        first_obstacle.get_or_insert(failure);
    }
    if candidates.is_empty() {
        return Err(first_obstacle.unwrap_or_else(|| {
            Failure::new(Code::NothingToDeploy, "no service was found that runs by itself")
                .help("`analyze_project` lists what was seen and what was passed over")
        }));
    }
    Ok(candidates)
}

/// landfall.toml, then the survey, then what we choose ourselves where the program asks for a number.
fn port(facts: &Service, config: &Config) -> Option<u16> {
    let reads_port = facts.env.iter().any(|read| read.name.as_str() == "PORT");
    let chosen = || match (facts.kind, defaults::listens(facts) && reads_port) {
        (Kind::Static, _) => Some(defaults::STATIC_PORT),
        (Kind::Web | Kind::Api | Kind::McpServer, true) => Some(8080),
        (Kind::Web | Kind::Api | Kind::McpServer, false) | (Kind::Worker | Kind::Job, _) => None,
    };
    if (facts.kind == Kind::Static || facts.language == "php") && facts.dockerfile.is_none() {
        // Our own server: a number below 1024 would need a privilege.
        return Some(config.service.get(&facts.name).and_then(|settings| settings.port).filter(|port| *port >= 1024).unwrap_or(defaults::STATIC_PORT));
    }
    config.service.get(&facts.name).and_then(|settings| settings.port).or_else(|| facts.main_port()).or_else(chosen)
}

/// Services without a port: a finding, and a failure only where somebody must reach them.
fn unreachable_targets(candidates: &[&Service], ports: &BTreeMap<&ServiceName, Option<u16>>, findings: &mut Vec<Finding>) -> Result<(), Failure> {
    for facts in candidates.iter().filter(|facts| defaults::listens(facts) && ports.get(&facts.name).copied().flatten().is_none()) {
        let help = format!("name its port in landfall.toml: [service.{}] port = 8000", facts.name);
        if let Some(caller) = candidates.iter().find(|other| other.calls.iter().any(|call| call.service == facts.name)) {
            return Err(Failure::new(Code::NotDeployable, format!("{} calls {}, whose port was not found", caller.name, facts.name)).help(help));
        }
        findings.push(Finding {
            code: "PORT_UNKNOWN".to_owned(),
            severity: Severity::Warning,
            message: format!("no port of {} was found: it runs without a Service and without HTTP probes", facts.name),
            help,
            evidence: facts.evidence.values().flatten().take(1).cloned().collect(),
            fix: None,
        });
    }
    Ok(())
}

/// What was decided about each backing kind: argument, landfall.toml, else a value source for its variable.
fn decisions(candidates: &[&Service], config: &Config, wishes: &Wishes) -> Result<BTreeMap<String, Decision>, Failure> {
    let mut decisions = BTreeMap::new();
    for (kind, text) in config.backing.iter().chain(&wishes.backing) {
        decisions.insert(kind.clone(), Decision::parse(kind, text)?);
    }
    for facts in candidates {
        for need in facts.backing.iter().filter(|need| backing::kind(&need.kind).is_some()) {
            let sourced = |name: &&EnvName| wishes.secrets.contains_key(*name) || config.secrets.contains_key(*name);
            if let (false, Some(name)) = (decisions.contains_key(&need.kind), environment::address_variables(facts, need).into_iter().find(sourced)) {
                decisions.insert(need.kind.clone(), Decision::Url(name.clone()));
            }
        }
    }
    Ok(decisions)
}

/// Names of the instances in the cluster: the kind's own, unless a service has it.
fn instances(candidates: &[&Service], decisions: &BTreeMap<String, Decision>) -> BTreeMap<String, ServiceName> {
    let taken = |name: &str| candidates.iter().any(|facts| facts.name.as_str() == name);
    let wanted = decisions.iter().filter(|(_, decision)| **decision == Decision::InCluster);
    wanted
        .map(|(kind, _)| {
            let name = if taken(kind) { ServiceName::slug(&format!("{kind}-instance"), "backing") } else { ServiceName::slug(kind, "backing") };
            (kind.clone(), name)
        })
        .collect()
}

/// Needs that an instance in the cluster serves.
fn used_instances(candidates: &[&Service], surroundings: &Surroundings<'_>) -> Vec<(&'static backing::Kind, ServiceName)> {
    let mut used = Vec::new();
    for facts in candidates {
        for need in &facts.backing {
            if let (Some(kind), Some(name)) = (backing::kind(&need.kind), surroundings.instances.get(&need.kind)) {
                used.push((kind, name.clone()));
            }
        }
    }
    used
}

fn needs(facts: &Service, candidates: &[&Service], surroundings: &Surroundings<'_>) -> BTreeSet<ServiceName> {
    let called = facts.calls.iter().map(|call| &call.service).filter(|name| surroundings.targets.contains_key(*name) && **name != facts.name);
    let backing = facts.backing.iter().filter_map(|need| surroundings.instances.get(&need.kind));
    // Jobs whose end it waits for, by the names of the compose file.
    let first: BTreeSet<&str> = facts.build_facts.get("after").map(|names| names.split(' ').collect()).unwrap_or_default();
    let jobs = candidates.iter().filter(|other| other.kind == Kind::Job && other.compose_service.as_deref().is_some_and(|name| first.contains(name)));
    called.chain(backing).chain(jobs.map(|job| &job.name)).cloned().collect()
}

fn callers(workloads: &mut [Workload]) {
    let edges: Vec<(ServiceName, ServiceName)> =
        workloads.iter().flat_map(|workload| workload.needs.iter().map(|need| (need.clone(), workload.name.clone()))).collect();
    for workload in workloads {
        workload.callers = edges.iter().filter(|(need, _)| *need == workload.name).map(|(_, caller)| caller.clone()).collect();
    }
}

fn cycle_finding(cycle: &[ServiceName], candidates: &[&Service]) -> Finding {
    let calls = candidates.iter().filter(|facts| cycle.contains(&facts.name)).flat_map(|facts| &facts.calls).filter(|call| cycle.contains(&call.service));
    Finding {
        code: "CALL_CYCLE".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "{} call each other, so none can be ready before the others: they are installed together",
            cycle.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" and ")
        ),
        help: "let each start without the other, and ask for it only in its readiness route".to_owned(),
        evidence: calls.flat_map(|call| call.evidence.first()).cloned().collect(),
        fix: None,
    }
}

/// What changes the database before new pods start: as a person says, as the Procfile's release does, or what stands before the program in its start line.
fn migration(facts: &Service, config: &Config, port: Option<u16>, persons: bool) -> Vec<String> {
    let own = config.service.get(&facts.name).and_then(|settings| settings.migrate.as_deref());
    let first = || start_line(facts, config).and_then(|line| start::migration_first(line)).map(|(first, _)| first);
    let line = if persons { own } else { own.or_else(|| facts.build_facts.get("release.command").map(String::as_str)).or_else(first) };
    line.map(|line| start::exec_form(line, port)).unwrap_or_default()
}

fn start_line<'a>(facts: &'a Service, config: &'a Config) -> Option<&'a str> {
    let settings = config.service.get(&facts.name);
    // A package manager in front of the program would keep signals from it: the script's own line is started.
    let script = facts.build_facts.get("start.script").map(String::as_str).filter(|_| facts.start_command.as_deref().is_some_and(runs_script));
    let found = script.or(facts.start_command.as_deref());
    settings.and_then(|settings| settings.start.as_deref()).or(found).filter(|line| !line.trim().is_empty())
}

/// `npm start`, `pnpm run start` and their like.
fn runs_script(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    matches!(words.as_slice(), ["npm" | "pnpm" | "yarn" | "bun", "start"] | ["npm" | "pnpm" | "yarn" | "bun", "run", "start"])
}

/// The folder in the image where the program starts, and to which its relative paths belong.
pub(crate) fn work_folder(facts: &Service) -> String {
    if facts.language != "node" {
        return "/app".to_owned();
    }
    match workspace_root(facts).and_then(|root| if root == "." { Some(facts.dir.as_str()) } else { facts.dir.strip_prefix(root)?.strip_prefix('/') }) {
        Some(below) => format!("/app/{below}"),
        None => "/app".to_owned(),
    }
}

/// The folder whose lockfile serves this package and others; None where the package has its own.
pub(crate) fn workspace_root(facts: &Service) -> Option<&str> {
    let root = match facts.language.as_str() {
        "node" => facts.build_facts.get("workspace.root").map(String::as_str),
        "rust" => lockfile_folder(facts),
        "python" if facts.package_manager.as_deref() == Some("uv") => lockfile_folder(facts),
        "java" => facts.build_facts.get("jvm.root").map(String::as_str),
        "go" => facts.build_facts.get("go.work").map(String::as_str),
        "csharp" => facts.build_facts.get("dotnet.root").map(String::as_str),
        _ => None,
    };
    root.filter(|root| *root != facts.dir)
}

fn lockfile_folder(facts: &Service) -> Option<&str> {
    facts.build_facts.get("lockfile").map(|path| path.rsplit_once('/').map_or(".", |(folder, _)| folder))
}

/// True where Bun runs the program, and so is the image that it starts from.
pub(crate) fn bun(facts: &Service) -> bool {
    let words = || facts.start_command.iter().chain(facts.build_facts.get("start.script")).flat_map(|line| line.split_whitespace());
    facts.language == "bun" || (facts.language == "node" && words().any(|word| word == "bun" || word == "bunx"))
}

/// The exec form that the image starts.
fn command(facts: &Service, config: &Config, port: Option<u16>, persons: bool) -> Vec<String> {
    let own = config.service.get(&facts.name).and_then(|settings| settings.start.as_deref());
    if persons {
        return own.map(|line| start::exec_form(line, port)).unwrap_or_default();
    }
    if facts.kind == Kind::Static {
        return ["nginx", "-e", "stderr", "-c", "/etc/nginx/landfall.conf"].map(str::to_owned).to_vec();
    }
    let arguments = |line: &str, run: &[&str]| -> Vec<String> {
        let words = start::exec_form(line, port);
        let plain = words.iter().map(String::as_str).collect::<Vec<_>>();
        if plain.first() == Some(&"sh") {
            return Vec::new();
        }
        let words = words.iter().skip(if !run.is_empty() && plain.starts_with(run) { words.len() } else { 1 });
        words.cloned().collect()
    };
    let line = start_line(facts, config).map(|line| start::migration_first(line).map_or(line, |(_, rest)| rest));
    match facts.language.as_str() {
        "go" => [vec!["/app/server".to_owned()], line.map(|line| arguments(line, &["go", "run"])).unwrap_or_default()].concat(),
        "rust" => [vec!["/app/server".to_owned()], line.map(|line| arguments(line, &["cargo", "run"])).unwrap_or_default()].concat(),
        "java" => java_command(facts),
        "php" if own.is_none() => vec!["apache2-foreground".to_owned()],
        "elixir" if own.is_none() && facts.build_facts.contains_key("elixir.app") => {
            facts.build_facts.get("elixir.app").map(|app| vec![format!("/app/bin/{app}"), "start".to_owned()]).unwrap_or_default()
        }
        // What the build did not fetch is no part of the image: nothing is fetched when it starts.
        "deno" => match line.map(|line| start::exec_form(line, port)) {
            Some(words) if words.iter().map(String::as_str).take(2).eq(["deno", "run"]) => {
                ["deno", "run", "--cached-only"].map(str::to_owned).into_iter().chain(words.into_iter().skip(2)).collect()
            }
            words => words.unwrap_or_default(),
        },
        // One program in the image's own folder, whatever folder its build leaves it in.
        "swift" | "dart" | "crystal" | "cpp" | "cobol" | "haskell" if own.is_none() => {
            let words = line.map(|line| arguments(line, &[])).unwrap_or_default();
            let program = line.and_then(|line| line.split_whitespace().next()).and_then(|program| program.rsplit('/').next());
            program.map(|program| [vec![format!("/app/{program}")], words].concat()).unwrap_or_default()
        }
        "scala" if own.is_none() => line.and_then(|line| line.rsplit_once("/bin/")).map(|(_, program)| vec![format!("/app/bin/{program}")]).unwrap_or_default(),
        _ if own.is_none() && standalone(facts) => ["node", "server.js"].map(str::to_owned).to_vec(),
        _ => line.map(|line| start::exec_form(line, port)).unwrap_or_default(),
    }
}

/// What starts the program, by how its build leaves it.
fn java_command(facts: &Service) -> Vec<String> {
    let heap = "-XX:MaxRAMPercentage=75";
    let fact = |key: &str| facts.build_facts.get(key).map(String::as_str);
    let words: &[&str] = match (fact("java.pack"), fact("java.main")) {
        // Its own script; the heap is told to it by a variable of the image.
        (Some("install"), _) => &["/app/bin/app"],
        (Some("quarkus"), _) => &["java", heap, "-jar", "/app/quarkus-run.jar"],
        (Some("classes"), Some(main)) => &["java", heap, "-cp", "/app/app.jar:/app/lib/*", main],
        _ => &["java", heap, "-jar", "/app/app.jar"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// True where Next.js writes a server of its own that the image starts.
pub(crate) fn standalone(facts: &Service) -> bool {
    next(facts) && workspace_root(facts).is_none() && facts.build_facts.get("next.standalone").is_some_and(|value| value == "true")
}

fn next(facts: &Service) -> bool {
    facts.framework.as_deref().is_some_and(|framework| framework == "next" || framework == "nextjs" || framework == "next.js")
}

/// Folders that a framework writes to by itself.
const WRITES: &[(&str, &[&str])] = &[
    ("rails", &["log", "storage", "tmp"]),
    ("laravel", &["bootstrap/cache", "storage/app", "storage/framework/cache", "storage/framework/sessions", "storage/framework/views", "storage/logs"]),
    ("symfony", &["var"]),
];

fn writable(facts: &Service) -> Vec<String> {
    let home = work_folder(facts);
    let mut folders = BTreeSet::from(["/tmp".to_owned()]);
    if next(facts) {
        folders.insert(format!("{home}/.next/cache"));
    }
    let framework = facts.framework.as_deref().unwrap_or_default();
    folders.extend(WRITES.iter().filter(|(name, _)| *name == framework).flat_map(|(_, list)| *list).map(|folder| format!("{home}/{folder}")));
    for folder in &facts.writes {
        let folder = folder.trim_end_matches('/').trim_start_matches("./");
        let absolute = if folder.starts_with('/') { folder.to_owned() } else { format!("{home}/{folder}") };
        let plain = absolute.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..") && !absolute.contains(['\n', '\0', ':']);
        // The program's own folder is never covered: the image's files would vanish under it. What lies in /tmp is writable already.
        if plain && absolute != home && !home.starts_with(&format!("{absolute}/")) && !absolute.starts_with("/tmp/") {
            folders.insert(absolute);
        }
    }
    folders.into_iter().collect()
}

/// Where a person's image names a numeric user of its own that is kept, for its files may belong to it.
fn user(facts: &Service) -> u32 {
    let own = facts.build_facts.get("dockerfile.user").and_then(|user| user.split(':').next()).and_then(|user| user.parse().ok());
    own.filter(|user| *user > 0 && facts.dockerfile.is_some()).unwrap_or(defaults::USER)
}

/// What people open: web and static services; where there is none, an API that nobody calls.
fn entrance(facts: &Service, candidates: &[&Service]) -> bool {
    let page = |facts: &Service| matches!(facts.kind, Kind::Web | Kind::Static);
    let called = candidates.iter().any(|other| other.calls.iter().any(|call| call.service == facts.name));
    page(facts) || (facts.kind == Kind::Api && !called && !candidates.iter().any(|other| page(other)))
}

fn image(facts: &Service, repository: String, candidates: &[&Service], build_args: BTreeMap<String, String>, findings: &mut Vec<Finding>) -> ImagePlan {
    let ours = facts.build_facts.get("dockerfile.ours").is_some_and(|value| value == "true")
        || facts.evidence.get("dockerfile").into_iter().flatten().any(|place| place.text.starts_with(crate::survey::OURS));
    let root = workspace_root(facts);
    if let Some(dockerfile) = facts.dockerfile.as_ref().filter(|_| !ours) {
        // Of people's files, those for packages of Node.js and Rust are written for the folder of the lockfile.
        let context = root.filter(|_| matches!(facts.language.as_str(), "node" | "rust")).unwrap_or(&facts.dir).to_owned();
        findings.push(Finding {
            code: "DOCKERFILE_KEPT".to_owned(),
            severity: Severity::Note,
            message: format!("{} has a Dockerfile of its own, which is used as it is", facts.name),
            help: format!("remove or rename {dockerfile} to have one written"),
            evidence: vec![Place::file(dockerfile.clone())],
            fix: None,
        });
        return ImagePlan::Built { repository, context, dockerfile: dockerfile.clone(), persons: true, build_args, secrets: Vec::new() };
    }
    let context = root.unwrap_or(&facts.dir).to_owned();
    let shared = candidates.iter().any(|other| other.name != facts.name && other.dir == facts.dir);
    let name = if shared { format!("Dockerfile.{}", facts.name) } else { "Dockerfile".to_owned() };
    let dockerfile = if facts.dir == "." { name } else { format!("{}/{name}", facts.dir) };
    let mut secrets: Vec<EnvName> = facts
        .env
        .iter()
        .filter(|read| read.secret && read.phases.contains(&Phase::Build) && !read.phases.contains(&Phase::Browser))
        .map(|read| read.name.clone())
        .collect();
    secrets.sort();
    secrets.dedup();
    if !secrets.is_empty() {
        let names: Vec<&str> = secrets.iter().map(EnvName::as_str).collect();
        findings.push(Finding {
            code: "BUILD_SECRET".to_owned(),
            severity: Severity::Note,
            message: format!("installing {} reads {}; each is mounted for that step alone", facts.name, names.join(", ")),
            help: format!(
                "give its source to containerize: build_secrets: {}",
                names.iter().map(|name| format!("{name}=env:{name}")).collect::<Vec<_>>().join(", ")
            ),
            evidence: facts.env.iter().filter(|read| secrets.contains(&read.name)).flat_map(|read| read.evidence.first()).cloned().collect(),
            fix: None,
        });
    }
    ImagePlan::Built { repository, context, dockerfile, persons: false, build_args, secrets }
}
