//! The way from a Service to its pods, and what scales them.

use crate::evidence::{Evidence, Source};
use crate::rollout::scene::{Scene, autoscalers, blind, name, nowhere, pod_ready, ready_endpoints};
use crate::rollout::taxonomy::{FailRule, Match};
use k8s_openapi::api::core::v1::Service;
use std::collections::BTreeMap;

fn selector(service: &Service) -> Option<&BTreeMap<String, String>> {
    service.spec.as_ref()?.selector.as_ref().filter(|selector| !selector.is_empty())
}

fn pairs(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

pub fn no_endpoints(scene: &Scene<'_>) -> Vec<Match> {
    let ready: Vec<_> = scene.pods.iter().filter(|pod| pod_ready(pod)).collect();
    let Some(example) = ready.first() else { return Vec::new() };
    let mut matches = Vec::new();
    for service in &scene.services {
        let (name, Some(selector)) = (name(&service.metadata), selector(service)) else { continue };
        if ready_endpoints(scene.observed, name) > 0 {
            continue;
        }
        let chosen = ready.iter().any(|pod| selector.iter().all(|(key, value)| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value)));
        let labels = example.metadata.labels.as_ref().map(pairs).unwrap_or_default();
        let evidence = vec![
            Evidence::new(Source::Object, format!("Service/{name} .spec.selector"), &pairs(selector)),
            Evidence::new(Source::Object, format!("Pod/{} .metadata.labels", crate::rollout::scene::name(&example.metadata)), &labels),
            Evidence::new(Source::Object, format!("EndpointSlices of Service/{name}"), "no ready address"),
        ];
        let cause = if chosen {
            format!("the Service {name} has no address, although it selects pods that are ready")
        } else {
            format!("the Service {name} selects no pod: its selector does not fit the pods' labels")
        };
        // Addresses follow ready pods within a second; a selector that fits nothing never will.
        let rule = (!chosen).then_some(FailRule::Definitive);
        matches.push(Match { subject: format!("Service {name}"), cause, evidence, occurrences: 1, rule, ..Match::default() });
    }
    matches
}

pub fn load_balancer_pending(scene: &Scene<'_>) -> Vec<Match> {
    let pending = scene.services.iter().filter(|service| {
        let balanced = service.spec.as_ref().and_then(|spec| spec.type_.as_deref()) == Some("LoadBalancer");
        let given = service
            .status
            .as_ref()
            .and_then(|status| status.load_balancer.as_ref())
            .and_then(|balancer| balancer.ingress.as_ref())
            .is_some_and(|ingress| !ingress.is_empty());
        balanced && !given
    });
    pending
        .map(|service| {
            let name = name(&service.metadata);
            let evidence = vec![Evidence::new(Source::Object, format!("Service/{name} .status.loadBalancer"), "no ingress")];
            let cause = format!("the Service {name} has no outside address: that needs `minikube tunnel`; a forwarded port does without");
            Match { subject: format!("Service {name}"), cause, evidence, occurrences: 1, ..Match::default() }
        })
        .collect()
}

pub fn ingress_without_address(scene: &Scene<'_>) -> Vec<Match> {
    // The way from outside matters once there are pods to lead to.
    if scene.lacks_pods() || !scene.pods.iter().all(|pod| pod_ready(pod)) {
        return Vec::new();
    }
    let sightings = nowhere(scene).map(|(name, evidence)| {
        let cause = format!("the Ingress {name} has no address: no controller takes it, as where the addon ingress is off or its class is another's");
        Match { subject: format!("Ingress {name}"), cause, evidence: vec![evidence], occurrences: 1, ..Match::default() }
    });
    sightings.collect()
}

pub fn autoscaler_blind(scene: &Scene<'_>) -> Vec<Match> {
    let sightings = autoscalers(scene).filter_map(|each| Some((name(&each.metadata), blind(each)?)));
    sightings
        .map(|(name, evidence)| {
            let cause = format!("the HorizontalPodAutoscaler {name} cannot see what it scales by, and scales nothing: metrics-server is off or young");
            Match { subject: format!("HorizontalPodAutoscaler {name}"), cause, evidence: vec![evidence], occurrences: 1, ..Match::default() }
        })
        .collect()
}
