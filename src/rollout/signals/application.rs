//! Programs that start and end, read by exit code and by the last error of their log. An end counts at once; nobody waits for the back-off.

use crate::evidence::{Class, Source};
use crate::quantity;
use crate::rollout::scene::{ContainerView, Scene, ready_endpoints};
use crate::rollout::signals::{at, each, log_evidence};
use crate::rollout::signature::{self, Reading, Signature, Trouble};
use crate::rollout::taxonomy::{FailRule, Match};
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Service};

/// True where a probe made the kubelet end the container: then the end says nothing about the program.
fn killed_by_probe(scene: &Scene<'_>, container: &ContainerView<'_>) -> bool {
    scene.probe_kills(container, "liveness") > 0 || scene.probe_kills(container, "startup") > 0
}

/// True where the runtime could not even start the program.
fn never_ran(ended: &ContainerStateTerminated) -> bool {
    matches!(ended.reason.as_deref(), Some("StartError" | "ContainerCannotRun"))
}

/// A crash as a match: the end first, then the log; counted by ended runs.
fn crash(scene: &Scene<'_>, container: &ContainerView<'_>, ended: &ContainerStateTerminated, cause: String, line: Option<&str>) -> Match {
    let mut evidence = vec![container.end_evidence(ended)];
    evidence.extend(log_evidence(container, line));
    // What is never started again cannot happen twice.
    let rule = container.runs_once().then_some(FailRule::Definitive);
    Match {
        occurrences: scene.ended_runs(container),
        since: scene.memory.first_end(container.uid(), &container.spec.name),
        rule,
        ..at(container, cause, evidence)
    }
}

/// Crashes whose log ends in a signature that `meaning` recognises.
fn signed(scene: &Scene<'_>, meaning: impl Fn(&ContainerView<'_>, &Signature) -> Option<String>) -> Vec<Match> {
    each(scene, |container| {
        let ended = container.crashed().filter(|ended| !never_ran(ended))?;
        let reading = log_reading(container)?;
        Some(crash(scene, container, ended, meaning(container, &reading.signature)?, Some(&reading.line)))
    })
}

fn log_reading(container: &ContainerView<'_>) -> Option<Reading> {
    signature::read(&container.log?.text)
}

fn who<'a>(container: &'a ContainerView<'_>) -> &'a str {
    &container.spec.name
}

pub fn import(scene: &Scene<'_>) -> Vec<Match> {
    signed(scene, |container, signature| match signature {
        Signature::Import { what } => Some(format!("{} ends at once: the image {} lacks {what}", who(container), container.image())),
        _ => None,
    })
}

pub fn refused_credentials(scene: &Scene<'_>) -> Vec<Match> {
    signed(scene, |container, signature| {
        (*signature == Signature::Credentials)
            .then(|| format!("{} is turned away by a service that it needs: its credentials differ from those the service has", who(container)))
    })
}

pub fn forbidden(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = signed(scene, |container, signature| match signature {
        Signature::Forbidden { cluster_scope: true } => Some(format!("the account of {} lacks a right in the whole cluster", who(container))),
        Signature::Forbidden { cluster_scope: false } => Some(format!("the account of {} lacks a right in its namespace", who(container))),
        _ => None,
    });
    for found in matches.iter_mut().filter(|found| found.cause.contains("whole cluster")) {
        found.class = Some(Class::ClusterEscalate);
    }
    matches
}

pub fn migration(scene: &Scene<'_>) -> Vec<Match> {
    signed(scene, |container, signature| {
        (*signature == Signature::Migration).then(|| format!("{} ends because the database's schema is not what it expects", who(container)))
    })
}

pub fn read_only(scene: &Scene<'_>) -> Vec<Match> {
    signed(scene, |container, signature| match signature {
        Signature::ReadOnly { path } => {
            Some(format!("{} writes to {}, and its file system is read-only", who(container), path.as_deref().unwrap_or("a path of its image")))
        }
        _ => None,
    })
}

pub fn permission(scene: &Scene<'_>) -> Vec<Match> {
    signed(scene, |container, signature| match signature {
        Signature::Permission { path } => {
            Some(format!("{} runs as a user who may not use {}", who(container), path.as_deref().unwrap_or("a file or port that it needs")))
        }
        _ => None,
    })
}

pub fn configuration(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = signed(scene, |container, signature| match signature {
        Signature::Configuration { variables } => Some(format!("{} ends because {} is missing or wrong", who(container), variables.join(", "))),
        _ => None,
    });
    // 78 is the number that programs use to say "configuration error".
    matches.extend(each(scene, |container| {
        let ended = container.crashed().filter(|ended| ended.exit_code == 78 && log_reading(container).is_none())?;
        Some(crash(scene, container, ended, format!("{} says by its exit code 78 that its configuration is wrong", who(container)), None))
    }));
    for found in &mut matches {
        let names = found.evidence.iter().filter(|evidence| evidence.source == Source::Log).filter_map(|evidence| signature::shape(&evidence.text, ""));
        let secret = names.filter_map(|signature| match signature {
            Signature::Configuration { variables } => Some(variables),
            _ => None,
        });
        // A secret has no safe default: somebody must give it.
        if secret.flatten().any(|name| crate::secret::secret_name(&name)) || found.cause.split([' ', ',']).any(crate::secret::secret_name) {
            found.class = Some(Class::AppNeedsValue);
        }
    }
    matches
}

/// A host as the namespace knows it.
#[derive(Debug, PartialEq, Eq)]
enum Host<'a> {
    /// A Service of the namespace.
    Service(&'a str),
    /// A name that could only be a Service of this namespace, and is none.
    Nobody,
    /// The pod itself.
    Itself,
    /// Outside, in another namespace, or not named.
    Elsewhere,
}

fn host<'a>(scene: &'a Scene<'_>, container: &ContainerView<'_>, host: Option<&str>) -> Host<'a> {
    let Some(host) = host else { return Host::Elsewhere };
    if host == "localhost" || host == "::1" || host.starts_with("127.") {
        // Another container of the pod may listen there.
        let alone = container.pod.spec.as_ref().is_some_and(|spec| spec.containers.len() == 1);
        return if alone { Host::Itself } else { Host::Elsewhere };
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        let by_address = scene.observed.services.iter().find(|service| service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some(host));
        return by_address.map_or(Host::Elsewhere, |service| Host::Service(crate::rollout::scene::name(&service.metadata)));
    }
    let mut parts = host.split('.');
    let first = parts.next().unwrap_or_default();
    let mine = match (parts.next(), parts.next()) {
        (None, _) => true,
        (Some(namespace), rest) => namespace == scene.namespace() && (rest.is_none() || rest == Some("svc")),
    };
    let service = scene.observed.services.iter().find(|service| service.metadata.name.as_deref() == Some(first));
    let aliased =
        container.pod.spec.iter().flat_map(|spec| spec.host_aliases.iter().flatten()).any(|alias| alias.hostnames.iter().flatten().any(|name| name == host));
    match service {
        Some(service) if mine => Host::Service(crate::rollout::scene::name(&service.metadata)),
        // `localhost`-like names that the pod defines itself are answered without any Service.
        None if mine && !aliased => Host::Nobody,
        Some(_) | None => Host::Elsewhere,
    }
}

/// The variable whose literal value holds this host; values from Secrets are not visible here.
fn variable_with(container: &ContainerView<'_>, host: &str) -> Option<String> {
    let holds = |value: &str| value.split(|letter: char| !(letter.is_ascii_alphanumeric() || ".-".contains(letter))).any(|part| part == host);
    container.spec.env.iter().flatten().find(|variable| variable.value.as_deref().is_some_and(holds)).map(|variable| variable.name.clone())
}

/// The only literal host in the environment that no Service has, where the log names none.
fn nameless_host(scene: &Scene<'_>, container: &ContainerView<'_>) -> Option<String> {
    let mut hosts: Vec<String> = container
        .spec
        .env
        .iter()
        .flatten()
        .filter_map(|variable| {
            let value = variable.value.as_deref()?;
            match value.split_once("://") {
                Some((_, rest)) => {
                    let authority = rest.split(['/', '?']).next()?;
                    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
                    Some(host.split(':').next()?.to_owned())
                }
                None => (variable.name.ends_with("_HOST") || variable.name == "PGHOST").then(|| value.to_owned()),
            }
        })
        .filter(|name| host(scene, container, Some(name)) == Host::Nobody)
        .collect();
    hosts.sort();
    hosts.dedup();
    if hosts.len() == 1 { hosts.pop() } else { None }
}

pub fn dependency(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let reading = log_reading(container)?;
        let Signature::Dependency { host: named, port, trouble } = &reading.signature else { return None };
        // Without a reachable name service, hosts of the namespace cannot be told from others by this error alone.
        let guessed = if named.is_none() && *trouble != Trouble::Refused { nameless_host(scene, container) } else { None };
        let wanted = named.clone().or_else(|| guessed.clone());
        let place = host(scene, container, wanted.as_deref());
        if *trouble == Trouble::NoAnswer && !matches!(place, Host::Nobody) {
            return None;
        }
        let ended = container.crashed().filter(|ended| !never_ran(ended));
        let mut found = match ended {
            Some(ended) => crash(scene, container, ended, String::new(), Some(&reading.line)),
            None => waits_unready(container, &reading)?,
        };
        let variable = wanted.as_deref().and_then(|wanted| variable_with(container, wanted));
        found.cause = cause(scene, container, &place, wanted.as_deref(), *port, *trouble, variable.as_deref());
        found.unsure = guessed.is_some();
        if ended.is_some() && found.rule.is_none() {
            found.rule = Some(patience(scene, container, &place, *port));
        }
        if matches!(place, Host::Nobody | Host::Itself) || wrong_port(scene, &place, *port) {
            found.class = Some(Class::AppSelfResolve);
        }
        Some(found)
    })
}

/// A program that runs, says that it cannot reach something, and is not ready for it: the readiness window counts.
fn waits_unready(container: &ContainerView<'_>, reading: &Reading) -> Option<Match> {
    if container.init || !container.is_running() || container.is_ready() || container.spec.readiness_probe.is_none() {
        return None;
    }
    let mut found = at(container, String::new(), log_evidence(container, Some(&reading.line)));
    found.since = container.running_since();
    found.rule = Some(FailRule::Window(super::probes::grace(container)));
    Some(found)
}

fn wrong_port(scene: &Scene<'_>, place: &Host<'_>, port: Option<u16>) -> bool {
    let (Host::Service(service), Some(port)) = (place, port) else { return false };
    !offered(scene, service).contains(&port)
}

/// The ports that a Service offers.
fn offered(scene: &Scene<'_>, service: &str) -> Vec<u16> {
    let named = |each: &&Service| each.metadata.name.as_deref() == Some(service);
    let ports = scene.observed.services.iter().find(named).and_then(|service| service.spec.as_ref()).into_iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.filter_map(|port| u16::try_from(port.port).ok()).collect()
}

/// How many crashes are allowed: a host that no Service has will not appear by waiting; one that comes up gets time.
fn patience(scene: &Scene<'_>, container: &ContainerView<'_>, place: &Host<'_>, port: Option<u16>) -> FailRule {
    match place {
        Host::Nobody | Host::Itself => FailRule::Occurrences(2),
        Host::Service(_) if wrong_port(scene, place, port) => FailRule::Occurrences(2),
        Host::Service(service) => {
            let since_ready = scene.memory.served_since(service).map_or(0, |ready| scene.memory.ended_since(container.uid(), &container.spec.name, ready));
            if since_ready >= 2 { FailRule::Definitive } else { FailRule::Occurrences(5) }
        }
        Host::Elsewhere => FailRule::Occurrences(5),
    }
}

fn cause(
    scene: &Scene<'_>,
    container: &ContainerView<'_>,
    place: &Host<'_>,
    host: Option<&str>,
    port: Option<u16>,
    trouble: Trouble,
    variable: Option<&str>,
) -> String {
    let who = who(container);
    let host = host.unwrap_or("a host that its log does not name");
    let from = variable.map(|variable| format!(" (from the variable {variable})")).unwrap_or_default();
    let target = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    match place {
        Host::Nobody => format!("{who} cannot reach the host {target}{from}: the namespace has no Service of that name"),
        Host::Itself => format!("{who} looks for another service at {target}{from}: inside a pod that is the pod itself"),
        Host::Service(service) if wrong_port(scene, place, port) => {
            let offered: Vec<String> = offered(scene, service).iter().map(u16::to_string).collect();
            format!("{who} asks {target}{from}, and the Service {service} offers port {}", offered.join(", "))
        }
        Host::Service(service) if ready_endpoints(scene.observed, service) == 0 => {
            format!("{who} needs {target}{from}, and no pod behind the Service {service} is ready")
        }
        Host::Service(service) => format!("{who} cannot reach {target}{from}, although the Service {service} has ready pods"),
        Host::Elsewhere if trouble == Trouble::Unknown => format!("{who} cannot find {target}{from} by name"),
        Host::Elsewhere => format!("{who} cannot reach {target}{from}"),
    }
}

pub fn name_service(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let reading = log_reading(container)?;
        let Signature::Dependency { host: named, trouble: Trouble::NoAnswer, .. } = &reading.signature else { return None };
        let guessed = if named.is_none() { nameless_host(scene, container) } else { None };
        if host(scene, container, named.as_deref().or(guessed.as_deref())) == Host::Nobody {
            return None;
        }
        let ended = container.crashed().filter(|ended| !never_ran(ended))?;
        let about = named.as_deref().map(|host| format!(" for {host}")).unwrap_or_default();
        Some(crash(scene, container, ended, format!("the cluster's name service gives {} no answer{about}", who(container)), Some(&reading.line)))
    })
}

/// The memory limit of a container, in bytes.
fn memory_limit(container: &ContainerView<'_>) -> Option<u64> {
    quantity::whole(&container.spec.resources.as_ref()?.limits.as_ref()?.get("memory")?.0)
}

pub fn out_of_memory(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let ended = container.crashed()?;
        let told = ended.reason.as_deref() == Some("OOMKilled");
        // Runtimes can lose the event; 137 under a limit, killed by nobody else, is then the likely reading.
        let lost = ended.exit_code == 137 && memory_limit(container).is_some() && scene.container_events(container, "Killing").is_empty();
        if !told && !lost {
            return None;
        }
        let limit = memory_limit(container);
        let limit_text = limit.map_or_else(|| "no limit of its own".to_owned(), |bytes| format!("its limit of {} MiB", bytes >> 20));
        let mut found = crash(scene, container, ended, format!("{} used more memory than {limit_text} and was killed", who(container)), None);
        found.unsure = !told;
        if told && limit.is_some_and(|bytes| bytes < 64 << 20) {
            found.rule = Some(FailRule::Definitive);
        }
        Some(found)
    })
}

pub fn native_crash(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let ended = container.crashed()?;
        let signal = match ended.exit_code {
            139 => "a memory fault (SIGSEGV)",
            134 => "its own abort (SIGABRT)",
            132 => "an instruction that this processor lacks (SIGILL)",
            _ => return None,
        };
        Some(crash(scene, container, ended, format!("{} is ended by {signal}", who(container)), None))
    })
}

pub fn ends_at_once(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let ended = container.ended().filter(|ended| ended.exit_code == 0 && !killed_by_probe(scene, container))?;
        (container.restarted_always() && !container.init).then(|| {
            crash(
                scene,
                container,
                ended,
                format!("the main process of {} ends without an error, and a Deployment starts it again and again", who(container)),
                None,
            )
        })
    })
}

pub fn killed(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let ended = container.crashed().filter(|ended| ended.exit_code == 137 && ended.reason.as_deref() != Some("OOMKilled"))?;
        let killing = scene.container_events(container, "Killing");
        (!killing.is_empty() && !killed_by_probe(scene, container))
            .then(|| crash(scene, container, ended, format!("{} did not end in its grace period and was killed", who(container)), None))
    })
}

pub fn init_failed(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        if !container.init {
            return None;
        }
        if let Some(ended) = container.crashed() {
            return Some(crash(scene, container, ended, format!("the init container {} fails, so nothing after it starts", who(container)), None));
        }
        // One that waits for something is no failure before the end of all patience.
        let since = container.running_since().filter(|_| !container.restarted_always())?;
        if scene.now.duration_since(since).as_secs() < 60 {
            return None;
        }
        let mut found = at(
            container,
            format!("the init container {} has been running since {since}, and nothing after it starts", who(container)),
            log_evidence(container, None),
        );
        found.since = Some(since);
        found.rule = Some(FailRule::Deadline);
        Some(found)
    })
}

pub fn crash_generic(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let ended = container.crashed().filter(|_| !killed_by_probe(scene, container))?;
        let last = container.log.and_then(|log| log.text.lines().rev().find(|line| !line.trim().is_empty()));
        let words = last.map(|line| format!(": {}", crate::secret::plain(line.trim(), 160))).unwrap_or_default();
        Some(crash(scene, container, ended, format!("{} ends with exit code {}{words}", who(container), ended.exit_code), None))
    })
}
