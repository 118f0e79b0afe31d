//! Nodes that are down, asleep or full.

use crate::evidence::{Evidence, Source};
use crate::rollout::scene::{Scene, name};
use crate::rollout::signals::holds;
use crate::rollout::taxonomy::Match;
use k8s_openapi::api::core::v1::{Node, NodeCondition};

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

fn matched(node: &Node, condition: &NodeCondition, cause: String) -> Match {
    let message = condition.message.as_deref().unwrap_or_default();
    let at = format!("Node/{} .status.conditions[{}]", name(&node.metadata), condition.type_);
    Match {
        subject: format!("Node {}", name(&node.metadata)),
        cause,
        evidence: vec![Evidence::new(Source::Object, at, &format!("{} {}: {message}", condition.status, condition.reason.as_deref().unwrap_or_default()))],
        occurrences: 1,
        since: condition.last_transition_time.as_ref().map(|time| time.0),
        ..Match::default()
    }
}

fn not_ready_condition(node: &Node) -> Option<&NodeCondition> {
    condition(node, "Ready").filter(|ready| ready.status != "True")
}

fn says_runtime_down(condition: &NodeCondition) -> bool {
    holds(condition.message.as_deref().unwrap_or_default(), &["container runtime is down", "pleg is not healthy"])
}

pub fn runtime_down(scene: &Scene<'_>) -> Vec<Match> {
    let nodes = scene.observed.nodes.iter();
    nodes
        .filter_map(|node| {
            let ready = not_ready_condition(node).filter(|ready| says_runtime_down(ready))?;
            Some(matched(node, ready, format!("the container runtime of node {} is down", name(&node.metadata))))
        })
        .collect()
}

pub fn not_ready(scene: &Scene<'_>) -> Vec<Match> {
    let nodes = scene.observed.nodes.iter();
    nodes
        .filter_map(|node| {
            let ready = not_ready_condition(node).filter(|ready| !says_runtime_down(ready))?;
            Some(matched(node, ready, format!("node {} is not ready", name(&node.metadata))))
        })
        .collect()
}

pub fn pressure(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for node in &scene.observed.nodes {
        for (kind, what) in [("MemoryPressure", "memory"), ("DiskPressure", "disk space"), ("PIDPressure", "process numbers")] {
            if let Some(found) = condition(node, kind).filter(|found| found.status == "True") {
                matches.push(matched(node, found, format!("node {} is short of {what}", name(&node.metadata))));
            }
        }
    }
    matches
}
