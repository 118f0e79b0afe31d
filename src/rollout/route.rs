//! What a request that got no answer means: a port where nothing listens, or a NetworkPolicy between. Pure; whoever asked brings what came of it.

use super::scene::{name, ready_endpoints};
use super::taxonomy::{Match, row};
use super::{Reading, diagnoses, fails};
use crate::evidence::{Class, Diagnosis, Evidence, Source, Time};
use crate::names::ServiceName;
use crate::ports::Observed;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// How a request to a release ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked<'a> {
    /// At the pod itself, where no Service and no policy is between: the port is closed.
    Closed,
    /// From inside another release's pod: the connection was refused.
    Refused { caller: &'a ServiceName },
    /// From inside another release's pod: nothing came back in time.
    Silent { caller: &'a ServiceName },
}

/// A request without an answer.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub release: &'a ServiceName,
    /// Of its Service.
    pub port: u16,
    pub asked: Asked<'a>,
    /// How often it was asked in the same way with the same end.
    pub probes: u32,
    pub evidence: Vec<Evidence>,
}

/// The diagnosis of a request without an answer; none where nothing in the namespace explains it.
pub fn read(observed: &Observed, request: &Request<'_>) -> Option<Diagnosis> {
    let (code, mut found) = match request.asked {
        Asked::Closed => ("SVC_WRONG_PORT", closed(observed, request)),
        Asked::Refused { caller } => ("SVC_WRONG_PORT", refused(observed, request, caller)?),
        Asked::Silent { caller } => ("NETPOL_BLOCK", blocked(observed, request, caller)?),
    };
    found.occurrences = request.probes;
    found.evidence.splice(..0, request.evidence.iter().cloned());
    let row = row(code)?;
    let now = observed.at.unwrap_or(Time::UNIX_EPOCH);
    let failed = fails(row, &found, now, now);
    if !failed {
        return None;
    }
    diagnoses(observed, request.release, vec![Reading { row, found, failed }], true).pop()
}

fn closed(observed: &Observed, request: &Request<'_>) -> Match {
    let Request { release, port, .. } = request;
    let declared = declared(observed, release);
    let others: Vec<String> = declared.iter().filter(|other| i32::from(*port) != **other).map(ToString::to_string).collect();
    let hint = if others.is_empty() { String::new() } else { format!("; its container also declares {}", others.join(", ")) };
    Match {
        subject: format!("Service {release}"),
        cause: format!("nothing listens on port {port} of {release}: the program listens on another port{hint}"),
        evidence: vec![targets(observed, release)],
        ..Match::default()
    }
}

/// A refusal through the Service counts where the Service has pods to lead to: else it is refused for want of them.
fn refused(observed: &Observed, request: &Request<'_>, caller: &ServiceName) -> Option<Match> {
    let Request { release, port, .. } = request;
    (ready_endpoints(observed, release.as_str()) > 0).then(|| Match {
        subject: format!("Service {release}"),
        cause: format!("{caller} is refused at {release}:{port}: the Service leads to a port where nothing listens, or the program listens on 127.0.0.1 alone"),
        evidence: vec![targets(observed, release)],
        ..Match::default()
    })
}

/// Where the Service of a release leads.
fn targets(observed: &Observed, release: &ServiceName) -> Evidence {
    let service = observed.services.iter().find(|service| service.metadata.name.as_deref() == Some(release.as_str()));
    let ports = service.and_then(|service| service.spec.as_ref()).into_iter().flat_map(|spec| spec.ports.iter().flatten());
    let told: Vec<String> = ports
        .map(|port| match &port.target_port {
            Some(IntOrString::Int(target)) => format!("{} to {target}", port.port),
            Some(IntOrString::String(target)) => format!("{} to the port named {target}", port.port),
            None => format!("{} to {}", port.port, port.port),
        })
        .collect();
    let text = if told.is_empty() { "no Service of that name".to_owned() } else { told.join(", ") };
    Evidence::new(Source::Object, format!("Service/{release} .spec.ports"), &text)
}

fn pods<'a>(observed: &'a Observed, release: &'a ServiceName) -> impl Iterator<Item = &'a Pod> {
    observed.pods.iter().filter(|pod| super::scene::belongs(&pod.metadata, release) && pod.metadata.deletion_timestamp.is_none())
}

fn declared(observed: &Observed, release: &ServiceName) -> Vec<i32> {
    let containers = pods(observed, release).filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
    let mut ports: Vec<i32> = containers.flat_map(|container| container.ports.iter().flatten()).map(|port| port.container_port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// Which way a policy looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// A policy that lets the caller not in, or not out; what cannot be judged from one namespace (other namespaces, address ranges) counts as let through.
fn blocked(observed: &Observed, request: &Request<'_>, caller: &ServiceName) -> Option<Match> {
    let Request { release, port, .. } = request;
    let (to, from) = (pods(observed, release).next()?, pods(observed, caller).next()?);
    let (way, policy) =
        [(Way::In, to, from), (Way::Out, from, to)].into_iter().find_map(|(way, of, peer)| Some((way, barrier(observed, way, of, peer, to, *port)?)))?;
    let policy_name = name(&policy.metadata);
    let (rule, cause) = match way {
        Way::In => ("ingress", format!("the NetworkPolicy {policy_name} lets nothing of {caller} in at {release}:{port}")),
        Way::Out => ("egress", format!("the NetworkPolicy {policy_name} keeps from leaving what {caller} sends to {release}:{port}")),
    };
    // What a release of ours brought can be changed with it; another one is its owner's.
    let ours = super::scene::belongs(&policy.metadata, release) || super::scene::belongs(&policy.metadata, caller);
    Some(Match {
        subject: format!("Service {release}"),
        cause,
        evidence: vec![Evidence::new(Source::Object, format!("NetworkPolicy/{policy_name} .spec.{rule}"), &format!("no rule for {caller} and port {port}"))],
        class: (!ours).then_some(Class::ClusterEscalate),
        ..Match::default()
    })
}

/// The first policy of this way for the pod, where none of them lets the peer through. `to` is the pod whose port it is.
fn barrier<'a>(observed: &'a Observed, way: Way, of: &Pod, peer: &Pod, to: &Pod, port: u16) -> Option<&'a NetworkPolicy> {
    let none = BTreeMap::new();
    let labels = of.metadata.labels.as_ref().unwrap_or(&none);
    let mine: Vec<_> = observed.policies.iter().filter(|policy| looks(policy, way) && selects(policy, labels)).collect();
    let lets = |peers: Option<&[NetworkPolicyPeer]>, ports: Option<&[NetworkPolicyPort]>| lets_peer(peers, peer) && lets_port(ports, to, port);
    let through = |policy: &&NetworkPolicy| {
        let Some(spec) = &policy.spec else { return true };
        match way {
            Way::In => spec.ingress.iter().flatten().any(|rule| lets(rule.from.as_deref(), rule.ports.as_deref())),
            Way::Out => spec.egress.iter().flatten().any(|rule| lets(rule.to.as_deref(), rule.ports.as_deref())),
        }
    };
    if mine.iter().any(through) { None } else { mine.first().copied() }
}

/// Without policyTypes a policy looks at what comes in, and at what goes out where it has rules for it.
fn looks(policy: &NetworkPolicy, way: Way) -> bool {
    let Some(spec) = &policy.spec else { return false };
    match (&spec.policy_types, way) {
        (Some(types), Way::In) if !types.is_empty() => types.iter().any(|each| each == "Ingress"),
        (Some(types), Way::Out) if !types.is_empty() => types.iter().any(|each| each == "Egress"),
        (_, Way::In) => true,
        (_, Way::Out) => spec.egress.is_some(),
    }
}

fn selects(policy: &NetworkPolicy, labels: &BTreeMap<String, String>) -> bool {
    policy.spec.as_ref().is_some_and(|spec| spec.pod_selector.as_ref().is_none_or(|selector| fits(selector, labels)))
}

fn lets_peer(peers: Option<&[NetworkPolicyPeer]>, pod: &Pod) -> bool {
    let none = BTreeMap::new();
    let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
    let lets = |peer: &NetworkPolicyPeer| {
        peer.ip_block.is_some() || peer.namespace_selector.is_some() || peer.pod_selector.as_ref().is_some_and(|selector| fits(selector, labels))
    };
    peers.is_none_or(|peers| peers.is_empty() || peers.iter().any(lets))
}

fn lets_port(ports: Option<&[NetworkPolicyPort]>, to: &Pod, port: u16) -> bool {
    let port = i32::from(port);
    let containers = to.spec.iter().flat_map(|spec| &spec.containers);
    let declared: Vec<_> = containers.flat_map(|container| container.ports.iter().flatten()).collect();
    let lets = |each: &NetworkPolicyPort| match &each.port {
        None => true,
        Some(IntOrString::Int(from)) => (*from..=each.end_port.unwrap_or(*from)).contains(&port) || declared.iter().any(|other| other.container_port == *from),
        Some(IntOrString::String(wanted)) => declared.iter().any(|other| other.name.as_ref() == Some(wanted)),
    };
    ports.is_none_or(|ports| ports.is_empty() || ports.iter().any(lets))
}

fn fits(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let exact = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    let expressed = selector.match_expressions.iter().flatten().all(|each| {
        let (value, values) = (labels.get(&each.key), each.values.as_deref().unwrap_or_default());
        match each.operator.as_str() {
            "In" => value.is_some_and(|value| values.contains(value)),
            "NotIn" => value.is_none_or(|value| !values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => true,
        }
    });
    exact && expressed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn release(name: &str) -> ServiceName {
        ServiceName::parse(name).unwrap()
    }

    /// Pods of `api` and `web`, the Service `api`, and these policies.
    fn namespace(policies: &[Value]) -> Observed {
        let pod = |name: &str| json!({ "metadata": { "name": name, "labels": { "app.kubernetes.io/instance": name } }, "spec": { "containers": [{ "name": name, "ports": [{ "name": "http", "containerPort": 8000 }] }] } });
        Observed {
            pods: ["api", "web"].map(|name| serde_json::from_value(pod(name)).unwrap()).to_vec(),
            policies: policies.iter().map(|policy| serde_json::from_value(policy.clone()).unwrap()).collect(),
            ..Observed::default()
        }
    }

    /// A policy over `of` with these rules.
    fn policy(of: &str, spec: Value) -> Value {
        let mut whole = json!({ "metadata": { "name": format!("of-{of}"), "labels": { "app.kubernetes.io/instance": of } }, "spec": { "podSelector": { "matchLabels": { "app.kubernetes.io/instance": of } } } });
        whole["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        whole
    }

    fn check(policies: &[Value], expect: Option<&str>) {
        let (api, web) = (release("api"), release("web"));
        let request = Request { release: &api, port: 8000, asked: Asked::Silent { caller: &web }, probes: 3, evidence: Vec::new() };
        let found = read(&namespace(policies), &request);
        assert_eq!(found.as_ref().map(|found| found.code.as_str()), expect.map(|_| "NETPOL_BLOCK"), "{policies:?}");
        assert!(expect.is_none_or(|words| found.as_ref().is_some_and(|found| found.cause.contains(words))), "{found:?}");
    }

    #[test]
    fn a_policy_blocks_where_no_rule_of_any_lets_the_caller_through() {
        let from = |who: &str| json!([{ "from": [{ "podSelector": { "matchExpressions": [{ "key": "app.kubernetes.io/instance", "operator": "In", "values": [who] }] } }], "ports": [{ "port": "http" }] }]);
        check(&[], None);
        check(&[policy("other", json!({ "ingress": [] }))], None);
        check(&[policy("api", json!({ "ingress": [] }))], Some("of-api lets nothing of web in"));
        check(&[policy("api", json!({ "ingress": from("other") }))], Some("of-api"));
        check(&[policy("api", json!({ "ingress": from("web") }))], None);
        // Policies add up.
        check(&[policy("api", json!({ "ingress": from("other") })), policy("api", json!({ "ingress": from("web") }))], None);
        check(&[policy("api", json!({ "ingress": [{ "ports": [{ "port": 9000 }] }] }))], Some("of-api"));
        check(&[policy("api", json!({ "ingress": [{ "ports": [{ "port": 7000, "endPort": 9000 }] }] }))], None);
        check(&[policy("api", json!({ "ingress": [{}] }))], None);
        // What goes out counts as well, where the policy looks at it.
        check(&[policy("web", json!({ "policyTypes": ["Egress"], "egress": [{ "ports": [{ "port": 53 }] }] }))], Some("of-web keeps from leaving"));
        check(&[policy("web", json!({ "policyTypes": ["Ingress"], "ingress": [] }))], None);
        // What one namespace cannot tell is no proof.
        check(&[policy("api", json!({ "ingress": [{ "from": [{ "ipBlock": { "cidr": "10.0.0.0/8" } }] }] }))], None);
        check(&[policy("api", json!({ "ingress": [{ "from": [{ "namespaceSelector": {} }] }] }))], None);
    }

    #[test]
    fn a_foreign_policy_is_its_owners_business() {
        let mut foreign = policy("api", json!({ "ingress": [] }));
        foreign["metadata"]["labels"] = json!({ "app.kubernetes.io/instance": "somebody" });
        let (api, web) = (release("api"), release("web"));
        let request = Request { release: &api, port: 8000, asked: Asked::Silent { caller: &web }, probes: 3, evidence: Vec::new() };
        assert_eq!(read(&namespace(&[foreign]), &request).unwrap().class, Class::ClusterEscalate);
        assert_eq!(read(&namespace(&[policy("api", json!({ "ingress": [] }))]), &request).unwrap().class, Class::AppSelfResolve);
    }

    #[test]
    fn three_probes_make_a_closed_port() {
        let api = release("api");
        let asked = |probes: u32| read(&namespace(&[]), &Request { release: &api, port: 8001, asked: Asked::Closed, probes, evidence: Vec::new() });
        assert!(asked(2).is_none());
        let found = asked(3).unwrap();
        assert_eq!(found.code, "SVC_WRONG_PORT");
        assert!(found.cause.contains("port 8001") && found.cause.contains("declares 8000"), "{}", found.cause);
    }

    #[test]
    fn a_refusal_without_any_ready_pod_is_not_the_ports_fault() {
        let (api, web) = (release("api"), release("web"));
        let request = Request { release: &api, port: 8000, asked: Asked::Refused { caller: &web }, probes: 3, evidence: Vec::new() };
        let mut seen = namespace(&[]);
        assert!(read(&seen, &request).is_none());
        let slice = json!({ "metadata": { "name": "s", "labels": { "kubernetes.io/service-name": "api" } }, "addressType": "IPv4", "endpoints": [{ "addresses": ["10.0.0.1"] }] });
        seen.endpoint_slices = vec![serde_json::from_value(slice).unwrap()];
        assert_eq!(read(&seen, &request).unwrap().code, "SVC_WRONG_PORT");
    }
}
