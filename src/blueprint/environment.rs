//! The variables of one service: a value given by a person first, then what the house itself knows; never a guess, never a secret's text.

use super::backing::{self, Decision};
use super::{EnvSetting, EnvValue, ValueNeeded, Wishes};
use crate::config::{Config, ValueSource};
use crate::evidence::{Finding, Place, Severity};
use crate::names::{AppName, EnvName, ServiceName};
use crate::survey::{BackingNeed, Call, EnvRead, Kind, McpTransport, Phase, Required, Service};
use std::collections::{BTreeMap, BTreeSet};

/// What a caller is told about a service it calls.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) port: Option<u16>,
    pub(super) grpc: bool,
    pub(super) mcp_path: Option<String>,
}

/// What is the same for all services.
pub(super) struct Surroundings<'a> {
    pub(super) app: &'a AppName,
    pub(super) config: &'a Config,
    pub(super) wishes: &'a Wishes,
    pub(super) targets: BTreeMap<ServiceName, Target>,
    /// kind → what was decided; kinds without a decision are absent.
    pub(super) decisions: BTreeMap<String, Decision>,
    /// kind → name of its instance in the cluster.
    pub(super) instances: BTreeMap<String, ServiceName>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) env: BTreeMap<EnvName, EnvSetting>,
    pub(super) build_args: BTreeMap<String, String>,
    pub(super) sources: BTreeMap<EnvName, ValueSource>,
    pub(super) values_needed: Vec<ValueNeeded>,
    pub(super) findings: Vec<Finding>,
    /// Ports and addresses outside the namespace.
    pub(super) egress: BTreeSet<String>,
}

/// Names by which a program is told where to listen.
const LISTEN: &[&str] =
    &["HOST", "HOSTNAME", "BIND_HOST", "BIND_ADDRESS", "LISTEN_HOST", "LISTEN_ADDRESS", "SERVER_HOST", "UVICORN_HOST", "MCP_HOST", "FASTMCP_HOST"];
const LISTEN_PORT: &[&str] = &["PORT", "SERVER_PORT", "HTTP_PORT", "APP_PORT", "UVICORN_PORT", "MCP_PORT", "FASTMCP_PORT"];

impl Surroundings<'_> {
    /// The Secret that holds what people give: one for the app, its keys named like the variables.
    pub(super) fn values_secret(&self) -> String {
        format!("{}-values", self.app)
    }

    /// Resolves every variable of a service that listens on `port`.
    pub(super) fn resolve(&self, facts: &Service, port: Option<u16>) -> Resolved {
        let mut out = Resolved::default();
        let settings = self.config.service.get(&facts.name);
        for read in &facts.env {
            let run = read.phases.is_empty() || read.phases.contains(&Phase::Run);
            if read.phases.contains(&Phase::Browser) || (read.phases.contains(&Phase::Build) && !read.secret) {
                self.build_argument(facts, read, &mut out);
            }
            if run {
                self.variable(facts, read, port, &mut out);
            }
        }
        self.called_but_not_listed(facts, &mut out);
        self.backing(facts, &mut out);
        for (name, text) in settings.into_iter().flat_map(|settings| &settings.env) {
            if out.env.contains_key(name) || out.build_args.contains_key(name.as_str()) {
                continue;
            }
            let why = "set in landfall.toml; nothing that reads it was found";
            out.env.insert(name.clone(), literal(name, text, false, None, why));
            out.findings.push(Finding {
                code: "ENV_NOT_READ".to_owned(),
                severity: Severity::Warning,
                message: format!("[service.{}.env] sets {name}, which nothing in {} was seen to read", facts.name, facts.dir),
                help: "check the name's spelling; the variable is set all the same".to_owned(),
                evidence: vec![Place::file(Config::FILE)],
                fix: None,
            });
        }
        let astro = facts.framework.as_deref() == Some("astro") && facts.kind != crate::survey::Kind::Static;
        let told = super::standalone(facts)
            .then_some(("HOSTNAME", "the standalone server listens where HOSTNAME and PORT say"))
            .or(astro.then_some(("HOST", "the server that Astro builds listens where HOST and PORT say, else for its own machine alone")));
        if let Some((host, why)) = told {
            for (name, text) in [(host, Some("0.0.0.0".to_owned())), ("PORT", port.map(|port| port.to_string()))] {
                if let (Ok(name), Some(text)) = (EnvName::parse(name), text) {
                    out.env.entry(name.clone()).or_insert_with(|| literal(&name, &text, true, None, why));
                }
            }
        }
        self.egress(facts, &mut out);
        out
    }

    fn given(&self, facts: &Service, name: &EnvName) -> Option<&String> {
        self.config.service.get(&facts.name).and_then(|settings| settings.env.get(name))
    }

    fn source(&self, name: &EnvName) -> Option<&ValueSource> {
        self.wishes.secrets.get(name).or_else(|| self.config.secrets.get(name))
    }

    fn variable(&self, facts: &Service, read: &EnvRead, port: Option<u16>, out: &mut Resolved) {
        let name = &read.name;
        let required = read.required == Required::Yes;
        let at = read.evidence.first();
        let mut put = |value: EnvValue, why: String| {
            out.env.insert(name.clone(), EnvSetting { name: name.clone(), value, required, read_at: at.cloned(), why });
        };
        let text = |text: String| EnvValue::Literal { text };
        if self.wishes.secrets.contains_key(name) && self.decided_by_instance(facts, name).is_none() {
            return self.sourced(read, out);
        }
        if let Some(value) = self.given(facts, name) {
            return put(text(value.clone()), "set in landfall.toml".to_owned());
        }
        if let Some(call) = facts.calls.iter().find(|call| call.via == name.as_str())
            && let Some(address) = self.address(call, read)
        {
            return put(text(address), format!("the address of {} in this namespace", call.service));
        }
        if self.decided_by_instance(facts, name).is_some() {
            // Wired with its backing service below.
            return;
        }
        if self.source(name).is_some() {
            return self.sourced(read, out);
        }
        if let Some(port) = port
            && LISTEN_PORT.contains(&name.as_str())
            && (name.as_str() == "PORT" || read.default.as_ref().is_none_or(|default| *default == port.to_string()))
        {
            return put(text(port.to_string()), "the port that the Service and the probes use".to_owned());
        }
        if port.is_some() && LISTEN.contains(&name.as_str()) {
            return put(text("0.0.0.0".to_owned()), "listen on every address of the pod".to_owned());
        }
        match (read.required, read.default.is_some()) {
            (Required::No, _) | (Required::Unknown, true) => {}
            (Required::Yes, true) if !read.secret => {}
            (Required::Unknown, false) => out.findings.push(Finding {
                code: "ENV_UNDECIDED".to_owned(),
                severity: Severity::Note,
                message: format!("{} reads {name}; whether it needs it was not seen, so it is left out", facts.name),
                help: if read.secret {
                    format!("give a source where it is needed: secrets: {name}=env:{name}")
                } else {
                    format!("set it in landfall.toml where it is needed: [service.{}.env] {name} = \"…\"", facts.name)
                },
                evidence: read.evidence.clone(),
                fix: None,
            }),
            (Required::Yes, _) if self.undecided(facts, name) => {
                // Asked for once, with its backing service.
                put(EnvValue::SecretKey { secret: self.values_secret(), key: name.to_string() }, "waits for the decision about its backing service".to_owned());
            }
            (Required::Yes, _) => {
                let value = EnvValue::SecretKey { secret: self.values_secret(), key: name.to_string() };
                put(value, "its value comes from a source that you name".to_owned());
                out.values_needed.push(ValueNeeded {
                    name: name.to_string(),
                    service: facts.name.clone(),
                    why: at.cloned(),
                    secret: read.secret,
                    accepts: accepts(&facts.name, read),
                });
            }
        }
    }

    fn sourced(&self, read: &EnvRead, out: &mut Resolved) {
        let name = &read.name;
        let Some(source) = self.source(name) else { return };
        out.sources.insert(name.clone(), source.clone());
        let value = EnvValue::SecretKey { secret: self.values_secret(), key: name.to_string() };
        let setting = EnvSetting {
            name: name.clone(),
            value,
            required: read.required == Required::Yes,
            read_at: read.evidence.first().cloned(),
            why: format!("from the value source {source}"),
        };
        out.env.insert(name.clone(), setting);
    }

    /// The address of a called service, in the form that the variable's name asks for.
    fn address(&self, call: &Call, read: &EnvRead) -> Option<String> {
        let target = self.targets.get(&call.service)?;
        let port = target.port?;
        let (host, name) = (&call.service, read.name.as_str());
        if name.ends_with("_HOST") || name.ends_with("_HOSTNAME") {
            return Some(host.to_string());
        }
        if name.ends_with("_PORT") {
            return Some(port.to_string());
        }
        if target.grpc || name.ends_with("_ADDR") || name.ends_with("_ADDRESS") || name.ends_with("_HOSTPORT") {
            return Some(format!("{host}:{port}"));
        }
        let from_default = || read.default.as_deref().and_then(path_of);
        let path = call.path.clone().or_else(from_default).or_else(|| target.mcp_path.clone()).unwrap_or_default();
        Some(format!("http://{host}:{port}{}", if path == "/" { "" } else { path.as_str() }))
    }

    /// A call whose variable is not in the list of reads is still a read.
    fn called_but_not_listed(&self, facts: &Service, out: &mut Resolved) {
        for call in &facts.calls {
            let Ok(name) = EnvName::parse(call.via.as_str()) else { continue };
            if facts.env.iter().any(|read| read.name == name) || self.given(facts, &name).is_some() {
                continue;
            }
            let read = EnvRead {
                name: name.clone(),
                required: Required::Yes,
                secret: false,
                phases: vec![Phase::Run],
                default: None,
                consumers: Vec::new(),
                evidence: call.evidence.clone(),
            };
            if let Some(address) = self.address(call, &read) {
                out.env
                    .insert(name.clone(), literal(&name, &address, true, call.evidence.first(), &format!("the address of {} in this namespace", call.service)));
            }
        }
    }

    fn build_argument(&self, facts: &Service, read: &EnvRead, out: &mut Resolved) {
        let name = &read.name;
        let browser = read.phases.contains(&Phase::Browser);
        if let Some(value) = self.wishes.build_values.get(name.as_str()).or_else(|| self.given(facts, name)) {
            out.build_args.insert(name.to_string(), value.clone());
            return;
        }
        let called = facts.calls.iter().find(|call| call.via == name.as_str());
        let run_too = read.phases.contains(&Phase::Run);
        if let (false, Some(address)) = (browser, called.and_then(|call| self.address(call, read))) {
            out.build_args.insert(name.to_string(), address);
        } else if read.required == Required::Yes && read.default.is_none() && !run_too {
            out.values_needed.push(ValueNeeded {
                name: name.to_string(),
                service: facts.name.clone(),
                why: read.evidence.first().cloned(),
                secret: false,
                accepts: vec![format!("build_values: {name}=VALUE"), format!("landfall.toml: [service.{}.env] {name} = \"VALUE\"", facts.name)],
            });
        } else if browser
            && (called.is_some() || read.default.as_deref().is_some_and(|default| default.contains("//localhost") || default.contains("//127.0.0.1")))
        {
            out.findings.push(Finding {
                code: "BROWSER_URL".to_owned(),
                severity: Severity::Warning,
                message: format!("{name} is baked into what browsers of {} load; no address inside the cluster can be reached from there", facts.name),
                help: format!(
                    "let the browser talk to its own origin and forward from there, or build with an address that browsers reach: build_values: {name}=VALUE"
                ),
                evidence: read.evidence.clone(),
                fix: None,
            });
        }
    }

    /// The need whose instance in the cluster, or whose named variable, gives this variable its value.
    fn decided_by_instance<'f>(&self, facts: &'f Service, name: &EnvName) -> Option<&'f BackingNeed> {
        facts.backing.iter().find(|need| self.decisions.contains_key(&need.kind) && address_variables(facts, need).contains(&name))
    }

    /// True where the variable is the address of a backing service about which nothing was decided.
    fn undecided(&self, facts: &Service, name: &EnvName) -> bool {
        facts
            .backing
            .iter()
            .any(|need| backing::kind(&need.kind).is_some() && !self.decisions.contains_key(&need.kind) && address_variables(facts, need).contains(&name))
    }

    fn backing(&self, facts: &Service, out: &mut Resolved) {
        for need in &facts.backing {
            let read = |name: &EnvName| facts.env.iter().find(|read| read.name == *name);
            let required = |name: &EnvName| read(name).is_none_or(|read| read.required == Required::Yes);
            let at = |name: &EnvName| read(name).and_then(|read| read.evidence.first()).or_else(|| need.evidence.first()).cloned();
            let addresses: Vec<EnvName> = address_variables(facts, need).into_iter().cloned().collect();
            match self.decisions.get(&need.kind) {
                Some(Decision::InCluster) => {
                    let (Some(kind), Some(host)) = (backing::kind(&need.kind), self.instances.get(&need.kind)) else { continue };
                    let mut wired = false;
                    for name in addresses.iter().filter(|name| self.given(facts, name).is_none()) {
                        wired = true;
                        let setting = EnvSetting {
                            name: name.clone(),
                            value: kind.key(kind.url_key(facts)),
                            required: required(name),
                            read_at: at(name),
                            why: format!("the address of {host}, from its generated credentials"),
                        };
                        out.env.insert(name.clone(), setting);
                    }
                    // Parts of the address matter where there is no whole address, or where the code insists on them.
                    for read in &facts.env {
                        let wanted = read.required == Required::Yes || addresses.is_empty();
                        if !wanted || self.given(facts, &read.name).is_some() || self.source(&read.name).is_some() {
                            continue;
                        }
                        if let Some(value) = kind.part(read.name.as_str(), host) {
                            wired = true;
                            out.values_needed.retain(|needed| needed.name != read.name.as_str());
                            let setting = EnvSetting {
                                name: read.name.clone(),
                                value,
                                required: read.required == Required::Yes,
                                read_at: read.evidence.first().cloned(),
                                why: format!("a part of the address of {host}"),
                            };
                            out.env.insert(read.name.clone(), setting);
                        }
                    }
                    if !wired && addresses.is_empty() {
                        out.findings.push(Finding {
                            code: "BACKING_NOT_WIRED".to_owned(),
                            severity: Severity::Warning,
                            message: format!("{} needs {} ({}), but no variable that holds its address was found", facts.name, need.kind, need.via),
                            help: format!("let the code read the address from a variable, or set it: [service.{}.env]", facts.name),
                            evidence: need.evidence.clone(),
                            fix: None,
                        });
                    }
                }
                Some(Decision::Url(from)) => {
                    match self.source(from) {
                        Some(source) => {
                            out.sources.insert(from.clone(), source.clone());
                        }
                        None => out.values_needed.push(ValueNeeded {
                            name: from.to_string(),
                            service: facts.name.clone(),
                            why: need.evidence.first().cloned(),
                            secret: true,
                            accepts: [format!("{from}=env:{from}")].into_iter().chain(read(from).and_then(dotenv)).collect(),
                        }),
                    }
                    let addresses = if addresses.is_empty() { vec![from.clone()] } else { addresses };
                    for name in addresses.iter().filter(|name| self.given(facts, name).is_none()) {
                        let setting = EnvSetting {
                            name: name.clone(),
                            value: EnvValue::SecretKey { secret: self.values_secret(), key: from.to_string() },
                            required: required(name),
                            read_at: at(name),
                            why: format!("the address of {} that the source of {from} holds", need.kind),
                        };
                        out.env.insert(name.clone(), setting);
                    }
                    out.egress.extend(backing::outside_port(&need.kind).map(|port| port.to_string()));
                }
                None => self.nothing_decided(facts, need, &addresses, out),
            }
        }
    }

    fn nothing_decided(&self, facts: &Service, need: &BackingNeed, addresses: &[EnvName], out: &mut Resolved) {
        let Some(kind) = backing::kind(&need.kind) else {
            out.egress.extend(backing::outside_port(&need.kind).map(|port| port.to_string()));
            return;
        };
        let given = addresses.iter().any(|name| self.given(facts, name).is_some());
        if given {
            out.egress.insert(kind.port.to_string());
            return;
        }
        let optional = |name: &EnvName| facts.env.iter().any(|read| read.name == *name && read.required == Required::No);
        if !addresses.is_empty() && addresses.iter().all(optional) {
            out.findings.push(Finding {
                code: "BACKING_OPTIONAL".to_owned(),
                severity: Severity::Note,
                message: format!("{} can use {} ({}), and runs without it as its code's default says", facts.name, need.kind, need.via),
                help: format!("to run one in the cluster: backing: {}=in_cluster", need.kind),
                evidence: need.evidence.clone(),
                fix: None,
            });
            return;
        }
        let mut accepts = vec![format!("backing: {}=in_cluster", need.kind)];
        let names = if addresses.is_empty() { vec![default_variable(&need.kind)] } else { addresses.iter().map(ToString::to_string).collect() };
        accepts.extend(names.iter().map(|name| format!("backing: {}=url:{name}", need.kind)));
        out.values_needed.push(ValueNeeded {
            name: need.kind.clone(),
            service: facts.name.clone(),
            why: need.evidence.first().cloned(),
            secret: false,
            accepts,
        });
    }

    /// Addresses outside the namespace that a public value names, and what landfall.toml allows.
    fn egress(&self, facts: &Service, out: &mut Resolved) {
        for setting in out.env.values() {
            if let EnvValue::Literal { text } = &setting.value
                && let Some((host, port)) = outside(text)
                && !self.targets.keys().chain(self.instances.values()).any(|inside| inside.as_str() == host)
            {
                out.egress.insert(format!("{host}:{port}"));
            }
        }
        out.egress.extend(self.config.egress.get(&facts.name).into_iter().flatten().cloned());
    }
}

/// The variables of this service that hold a whole address of the need.
pub(super) fn address_variables<'f>(facts: &'f Service, need: &BackingNeed) -> Vec<&'f EnvName> {
    if let Some(read) = facts.env.iter().find(|read| read.name.as_str() == need.via) {
        // A part such as DB_HOST is a variable too, but no address.
        let part = backing::kind(&need.kind).is_some_and(|kind| kind.part(need.via.as_str(), &facts.name).is_some());
        return if part { Vec::new() } else { vec![&read.name] };
    }
    let usual = usual_variables(&need.kind);
    facts.env.iter().map(|read| &read.name).filter(|name| usual.contains(&name.as_str())).collect()
}

fn usual_variables(kind: &str) -> &'static [&'static str] {
    match kind {
        "postgres" => &["DATABASE_URL", "DATABASE_URI", "DB_URL", "POSTGRES_URL", "POSTGRESQL_URL", "SQLALCHEMY_DATABASE_URI", "SPRING_DATASOURCE_URL"],
        "mysql" => &["DATABASE_URL", "DATABASE_URI", "DB_URL", "MYSQL_URL", "SQLALCHEMY_DATABASE_URI", "SPRING_DATASOURCE_URL"],
        "redis" => &["REDIS_URL", "REDIS_URI", "CACHE_URL", "CELERY_BROKER_URL"],
        "mongodb" => &["MONGODB_URI", "MONGODB_URL", "MONGO_URL", "MONGO_URI", "DATABASE_URL"],
        "rabbitmq" => &["RABBITMQ_URL", "AMQP_URL", "BROKER_URL", "CELERY_BROKER_URL"],
        _ => &[],
    }
}

fn default_variable(kind: &str) -> String {
    usual_variables(kind).first().map_or_else(|| format!("{}_URL", kind.to_ascii_uppercase()), |name| (*name).to_owned())
}

fn literal(name: &EnvName, text: &str, required: bool, at: Option<&Place>, why: &str) -> EnvSetting {
    EnvSetting { name: name.clone(), value: EnvValue::Literal { text: text.to_owned() }, required, read_at: at.cloned(), why: why.to_owned() }
}

/// Ready-made answers to "what is the value of this variable".
fn accepts(service: &ServiceName, read: &EnvRead) -> Vec<String> {
    let name = &read.name;
    let mut accepts = Vec::new();
    if read.secret && can_be_generated(name.as_str()) {
        accepts.push(format!("{name}=generate"));
    }
    accepts.push(format!("{name}=env:{name}"));
    accepts.extend(dotenv(read));
    if !read.secret {
        accepts.push(format!("landfall.toml: [service.{service}.env] {name} = \"VALUE\""));
    }
    accepts
}

/// `NAME=file:PATH#NAME` where a dotenv file of the workspace was seen to hold the key.
fn dotenv(read: &EnvRead) -> Option<String> {
    let real = |file: &str| {
        let base = file.rsplit('/').next().unwrap_or(file);
        (base == ".env" || base.starts_with(".env.")) && !["example", "sample", "template", "dist", "test"].iter().any(|end| base.ends_with(end))
    };
    let place = read.evidence.iter().find(|place| real(&place.file))?;
    Some(format!("{}=file:{}#{}", read.name, place.file, read.name))
}

/// True where a fresh random value serves: keys that only this app itself checks, not what somebody else issued.
pub(super) fn can_be_generated(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let issued = has(&[
        "API_KEY",
        "APIKEY",
        "CLIENT_SECRET",
        "ACCESS_KEY",
        "WEBHOOK",
        "OAUTH",
        "_URL",
        "_URI",
        "DSN",
        "PASSWORD",
        "ENCRYPTION",
        "FERNET",
        "PRIVATE_KEY",
        "PUBLIC_KEY",
    ]);
    let providers = has(&["AWS", "GITHUB", "GOOGLE", "STRIPE", "OPENAI", "SLACK", "TWILIO", "AZURE", "SENTRY"]);
    let own = name == "SECRET"
        || name.ends_with("_SECRET")
        || name.contains("SECRET_KEY")
        || (has(&["JWT", "SESSION", "AUTH", "COOKIE", "CSRF", "SIGNING"]) && has(&["KEY", "SALT", "SECRET"]));
    own && !issued && !providers
}

/// The path of a URL, where it has one that says something.
fn path_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.get(rest.find('/')?..)?;
    let path = path.split(['?', '#']).next().unwrap_or(path);
    (path.len() > 1 && !path.contains(['{', '$', ' '])).then(|| path.to_owned())
}

/// Host and port of an `http` or `https` address outside the pod itself.
fn outside(text: &str) -> Option<(String, u16)> {
    let (rest, usual) = text.strip_prefix("https://").map(|rest| (rest, 443)).or_else(|| text.strip_prefix("http://").map(|rest| (rest, 80)))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (authority, usual),
    };
    let plain = !host.is_empty() && host.chars().all(|letter| letter.is_ascii_alphanumeric() || "-.".contains(letter));
    (plain && !["localhost", "127.0.0.1", "0.0.0.0"].contains(&host)).then(|| (host.to_owned(), port))
}

/// What others are told about this service.
pub(super) fn target(facts: &Service, port: Option<u16>) -> Target {
    let http = facts.mcp.as_ref().filter(|mcp| facts.kind == Kind::McpServer && mcp.transport != McpTransport::Stdio);
    Target { port, grpc: facts.ports.first().is_some_and(|port| port.protocol == "grpc"), mcp_path: http.and_then(|mcp| mcp.path.clone()) }
}
