//! Probes that fail: named ports that do not exist, starts that take too long, containers that are killed or never become ready.

use crate::evidence::{Evidence, Source};
use crate::rollout::scene::{ContainerView, Scene, message, name, pod_condition};
use crate::rollout::signals::{at, each, holds, log_evidence, told};
use crate::rollout::signature::{self, Signature};
use crate::rollout::taxonomy::{FailRule, Match};
use k8s_openapi::api::core::v1::{Event, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

fn probes<'a>(container: &ContainerView<'a>) -> Vec<(&'static str, &'a Probe)> {
    let spec = container.spec;
    [("startup", &spec.startup_probe), ("readiness", &spec.readiness_probe), ("liveness", &spec.liveness_probe)]
        .into_iter()
        .filter_map(|(kind, probe)| Some((kind, probe.as_ref()?)))
        .collect()
}

fn port(probe: &Probe) -> Option<&IntOrString> {
    probe.http_get.as_ref().map(|get| &get.port).or_else(|| probe.tcp_socket.as_ref().map(|socket| &socket.port))
}

/// `GET /health on port 8000`.
fn describe(probe: &Probe) -> String {
    let port = match port(probe) {
        Some(IntOrString::Int(number)) => number.to_string(),
        Some(IntOrString::String(name)) => name.clone(),
        None => String::new(),
    };
    match (&probe.http_get, &probe.exec, &probe.grpc) {
        (Some(get), ..) => format!("GET {} on port {port}", get.path.as_deref().unwrap_or("/")),
        (None, Some(exec), _) => format!("the command {:?}", crate::secret::plain(&exec.command.clone().unwrap_or_default().join(" "), 100)),
        (None, None, Some(grpc)) => format!("gRPC on port {}", grpc.port),
        (None, None, None) => format!("a connection to port {port}"),
    }
}

/// Events in which this probe failed.
fn failures<'a>(scene: &Scene<'a>, container: &ContainerView<'_>, probe: &str) -> Vec<&'a Event> {
    let words = [format!("{probe} probe failed"), format!("{probe} probe errored")];
    scene
        .container_events(container, "Unhealthy")
        .into_iter()
        .filter(|event| words.iter().any(|words| message(event).to_lowercase().starts_with(words.as_str())))
        .collect()
}

/// What the last failed probe saw, in a few words.
fn seen(events: &[&Event]) -> String {
    let newest = events.iter().max_by_key(|event| crate::rollout::scene::latest(event)).map_or("", |event| message(event));
    let detail = newest.split_once(": ").map_or(newest, |(_, detail)| detail);
    crate::secret::plain(detail, 160)
}

pub fn named_port(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let ports: Vec<&str> = container.spec.ports.iter().flatten().filter_map(|port| port.name.as_deref()).collect();
        let wrong = probes(container).into_iter().find_map(|(kind, probe)| match port(probe) {
            Some(IntOrString::String(name)) if !ports.contains(&name.as_str()) => Some((kind, name)),
            Some(_) | None => None,
        });
        let (kind, port) = wrong?;
        let place = format!("Pod/{} .spec.containers[{}].{kind}Probe", name(&container.pod.metadata), container.spec.name);
        let has = if ports.is_empty() { "none".to_owned() } else { ports.join(", ") };
        let evidence = Evidence::new(Source::Object, place, &format!("port {port:?}; the container names {has}"));
        (!container.is_ready())
            .then(|| at(container, format!("the {kind} probe asks the port named {port:?}, and the container has no port of that name"), vec![evidence]))
    })
}

pub fn startup(scene: &Scene<'_>) -> Vec<Match> {
    killed(scene, "startup", |container, probe| {
        let seconds = i64::from(probe.failure_threshold.unwrap_or(3)) * i64::from(probe.period_seconds.unwrap_or(10));
        format!("{} did not start within the {seconds} s that its startup probe allows ({})", container.spec.name, describe(probe))
    })
}

pub fn liveness(scene: &Scene<'_>) -> Vec<Match> {
    killed(scene, "liveness", |container, probe| {
        format!("{} is killed again and again because its liveness probe fails ({})", container.spec.name, describe(probe))
    })
}

/// Containers that the kubelet killed because of this probe; each kill is an occurrence.
fn killed(scene: &Scene<'_>, kind: &'static str, cause: impl Fn(&ContainerView<'_>, &Probe) -> String) -> Vec<Match> {
    each(scene, |container| {
        let (_, probe) = probes(container).into_iter().find(|(each, _)| *each == kind)?;
        let kills = scene.probe_kills(container, kind);
        if kills == 0 || (container.is_ready() && container.restarts() == 0) {
            return None;
        }
        let events = failures(scene, container, kind);
        let mut evidence = told(&events).map(|(evidence, ..)| evidence).unwrap_or_default();
        evidence.extend(told(&scene.container_events(container, "Killing")).map(|(evidence, ..)| evidence).unwrap_or_default());
        evidence.extend(log_evidence(container, None));
        let words = seen(&events);
        let cause = if words.is_empty() { cause(container, probe) } else { format!("{}: {words}", cause(container, probe)) };
        Some(Match { occurrences: kills, ..at(container, cause, evidence) })
    })
}

pub fn readiness(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let status = container.status?;
        if container.init
            || !container.is_running()
            || status.ready
            || status.started == Some(false)
            || pod_condition(container.pod, "Ready").is_none_or(|ready| ready.status == "True")
        {
            return None;
        }
        let probe = container.spec.readiness_probe.as_ref()?;
        let events = failures(scene, container, "readiness");
        let (mut evidence, occurrences, _) = told(&events)?;
        let words = seen(&events);
        // A program that answers 503 says that it waits for something; what, its log may say.
        let waits = holds(&words, &["statuscode: 503"]);
        let reading = container.log.and_then(|log| signature::read(&log.text));
        evidence.extend(log_evidence(container, reading.as_ref().map(|reading| reading.line.as_str())));
        let mut cause = format!("{} runs and is not ready: its readiness probe ({}) sees {words}", container.spec.name, describe(probe));
        match reading.map(|reading| reading.signature) {
            Some(Signature::Dependency { host: Some(host), .. }) => cause.push_str(&format!("; its log says that it cannot reach {host}")),
            Some(Signature::Dependency { host: None, .. }) => cause.push_str("; its log says that it cannot reach a service that it needs"),
            Some(_) | None if holds(&words, &["connection refused"]) => cause.push_str("; it listens on another port, or only on 127.0.0.1"),
            Some(_) | None => {}
        }
        let window = grace(container) + if waits { 15 } else { 0 };
        Some(Match { occurrences, since: container.running_since(), rule: Some(FailRule::Window(window)), ..at(container, cause, evidence) })
    })
}

/// What a program without a startup probe gets at least: its readiness probe's numbers say nothing about how long it takes to start.
const START: i64 = 20;

/// Seconds that a container may need to become ready by its own probe's numbers, counted from its start; 27 for Kubernetes' default probe.
pub fn grace(container: &ContainerView<'_>) -> u32 {
    let Some(probe) = &container.spec.readiness_probe else { return 0 };
    let number = |value: Option<i32>, default: i32| i64::from(value.filter(|value| *value > 0).unwrap_or(default));
    let (period, timeout) = (number(probe.period_seconds, 10), number(probe.timeout_seconds, 1));
    let (failures, successes) = (number(probe.failure_threshold, 3), number(probe.success_threshold, 1));
    let first = period + i64::from(probe.initial_delay_seconds.unwrap_or_default().max(0));
    let grace = if failures == 1 { 0 } else { first + timeout + (failures + successes - 3) * period + period / 2 + timeout };
    // A container with a startup probe is asked only after that probe's success, which takes its own time.
    let grace = match &container.spec.startup_probe {
        Some(startup) => grace + number(startup.period_seconds, 10) + i64::from(startup.initial_delay_seconds.unwrap_or_default()),
        None => grace.max(START),
    };
    u32::try_from(grace.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::{Container, Pod};
    use serde_json::json;

    fn check(container: serde_json::Value, expect: u32) {
        let spec: Container = serde_json::from_value(container).unwrap();
        let pod = Pod::default();
        assert_eq!(grace(&ContainerView { pod: &pod, spec: &spec, status: None, init: false, log: None }), expect, "{spec:?}");
    }

    #[test]
    fn the_window_follows_the_probes_own_numbers() {
        check(json!({"name": "a", "readinessProbe": {}}), 27);
        check(json!({"name": "a", "readinessProbe": {"periodSeconds": 1}}), 20);
        check(json!({"name": "a", "readinessProbe": {"initialDelaySeconds": 30}}), 57);
        check(json!({"name": "a", "readinessProbe": {"failureThreshold": 1}}), 20);
        check(json!({"name": "a", "readinessProbe": {"periodSeconds": 1}, "startupProbe": {"periodSeconds": 2}}), 6);
        check(json!({"name": "a"}), 0);
    }
}
