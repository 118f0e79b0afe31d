//! Pods that no node takes.

use crate::evidence::{Class, Evidence, Source};
use crate::quantity;
use crate::rollout::scene::{Scene, name, pod_condition};
use crate::rollout::signals::holds;
use crate::rollout::taxonomy::{FailRule, Match};
use k8s_openapi::api::core::v1::{Pod, PodCondition, Taint, Toleration};
use std::collections::BTreeSet;

fn unscheduled<'a>(pod: &'a Pod, reason: &str) -> Option<&'a PodCondition> {
    pod_condition(pod, "PodScheduled").filter(|condition| condition.status == "False" && condition.reason.as_deref() == Some(reason))
}

fn matched(pod: &Pod, condition: &PodCondition, cause: String) -> Match {
    let message = condition.message.as_deref().unwrap_or_default();
    let at = format!("Pod/{} .status.conditions[PodScheduled]", name(&pod.metadata));
    Match {
        subject: format!("Pod {}", name(&pod.metadata)),
        cause,
        evidence: vec![Evidence::new(Source::Object, at, &format!("{}: {message}", condition.reason.as_deref().unwrap_or_default()))],
        occurrences: 1,
        since: condition.last_transition_time.as_ref().map(|time| time.0),
        ..Match::default()
    }
}

/// Pods that the scheduler cannot place, with a message that fits.
pub(super) fn unschedulable(scene: &Scene<'_>, words: &[&str], cause: impl Fn(&Pod, &str) -> String) -> Vec<Match> {
    let pods = scene.pods.iter();
    pods.filter_map(|pod| {
        let condition = unscheduled(pod, "Unschedulable")?;
        let text = condition.message.as_deref().unwrap_or_default();
        holds(text, words).then(|| matched(pod, condition, cause(pod, text)))
    })
    .collect()
}

pub fn gated_or_no_nodes(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = unschedulable(scene, &["no nodes available to schedule pods"], |_, _| "the cluster has no node that could take a pod".to_owned());
    for pod in &scene.pods {
        if let Some(condition) = unscheduled(pod, "SchedulingGated") {
            let gates: Vec<&str> = pod.spec.iter().flat_map(|spec| spec.scheduling_gates.iter().flatten()).map(|gate| gate.name.as_str()).collect();
            matches.push(matched(pod, condition, format!("the pod waits for its scheduling gate {}", gates.join(", "))));
        }
    }
    matches
}

/// True where these words stand in what the scheduler says of every node: `0/2 nodes are available: 1 node(s) were unschedulable, 1 Insufficient cpu. preemption: …`.
/// After the nodes' reasons and a full stop, every plugin that could have made room says why it did not; since 1.34 preemption is not the first of them.
fn of_every_node(text: &str, words: &[&str]) -> bool {
    let (_, reasons) = text.split_once("nodes are available:").unwrap_or(("", text));
    let reasons = reasons.split_once(". ").map_or(reasons, |(reasons, _)| reasons);
    reasons.split(", ").all(|reason| holds(reason, words))
}

/// The taints that keep the pod away, `key: value`; none where the scheduler speaks of no taint. Before Kubernetes 1.34 its message names one, since then the nodes have to be asked.
fn taints(scene: &Scene<'_>, pod: &Pod, text: &str) -> Option<String> {
    let (_, rest) = text.split_once("untolerated taint")?;
    if let Some((named, _)) = rest.split_once('}') {
        return Some(named.trim().trim_start_matches("(s)").trim().trim_start_matches('{').trim().to_owned());
    }
    let tolerated = |taint: &Taint| pod.spec.iter().flat_map(|spec| spec.tolerations.iter().flatten()).any(|toleration| tolerates(toleration, taint));
    let of_nodes = scene.observed.nodes.iter().filter_map(|node| node.spec.as_ref()).flat_map(|spec| spec.taints.iter().flatten());
    // A cordoned node has a taint too, and the scheduler tells that apart.
    let keeps_away = |taint: &&Taint| taint.effect != "PreferNoSchedule" && taint.key != "node.kubernetes.io/unschedulable" && !tolerated(taint);
    let named: BTreeSet<String> = of_nodes.filter(keeps_away).map(|taint| format!("{}: {}", taint.key, taint.value.as_deref().unwrap_or_default())).collect();
    Some(named.into_iter().collect::<Vec<_>>().join(", "))
}

/// As the scheduler compares them: an empty key or effect fits all.
fn tolerates(toleration: &Toleration, taint: &Taint) -> bool {
    let fits = |wanted: &Option<String>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted.is_empty() || wanted == is);
    let valued =
        toleration.operator.as_deref() == Some("Exists") || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default();
    fits(&toleration.effect, &taint.effect) && fits(&toleration.key, &taint.key) && valued
}

pub fn taint(scene: &Scene<'_>) -> Vec<Match> {
    const CLOSED: [&str; 2] = ["untolerated taint", "were unschedulable"];
    let mut matches = Vec::new();
    for pod in &scene.pods {
        let Some(condition) = unscheduled(pod, "Unschedulable") else { continue };
        let text = condition.message.as_deref().unwrap_or_default();
        if !of_every_node(text, &CLOSED) {
            continue;
        }
        let cause = match taints(scene, pod, text) {
            Some(taints) if taints.is_empty() => "every node has a taint that the pod does not tolerate".to_owned(),
            Some(taints) => format!("every node has a taint that the pod does not tolerate ({taints})"),
            None => "every node is cordoned, so none takes new pods: kubectl uncordon opens it again".to_owned(),
        };
        matches.push(matched(pod, condition, cause));
    }
    for found in &mut matches {
        // A node that has just started heals by itself.
        if found.cause.contains("not-ready") || found.cause.contains("unreachable") {
            found.rule = Some(FailRule::Window(30));
        }
    }
    matches
}

pub fn selector(scene: &Scene<'_>) -> Vec<Match> {
    unschedulable(scene, &["didn't match pod's node affinity/selector", "didn't match node selector"], |pod, _| {
        let wanted = pod.spec.as_ref().and_then(|spec| spec.node_selector.clone()).unwrap_or_default();
        let wanted: Vec<String> = wanted.iter().map(|(key, value)| format!("{key}={value}")).collect();
        match wanted.is_empty() {
            true => "no node fits the pod's node affinity".to_owned(),
            false => format!("no node has the labels that the pod's nodeSelector asks for ({})", wanted.join(", ")),
        }
    })
}

pub fn anti_affinity(scene: &Scene<'_>) -> Vec<Match> {
    unschedulable(
        scene,
        &["didn't match pod anti-affinity rules", "didn't match pod topology spread constraints", "didn't satisfy existing pods anti-affinity"],
        |_, _| "the pods must stand on different nodes, and there are too few nodes".to_owned(),
    )
}

pub fn host_port(scene: &Scene<'_>) -> Vec<Match> {
    unschedulable(scene, &["didn't have free ports for the requested pod ports"], |_, _| "the pod asks for a hostPort that another pod holds".to_owned())
}

pub fn too_many_pods(scene: &Scene<'_>) -> Vec<Match> {
    unschedulable(scene, &["too many pods"], |_, _| "the node holds as many pods as it may".to_owned())
}

pub fn too_large(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    for pod in &scene.pods {
        let Some(condition) = unscheduled(pod, "Unschedulable") else { continue };
        let text = condition.message.as_deref().unwrap_or_default().to_lowercase();
        let short: Vec<&str> = ["cpu", "memory", "ephemeral-storage"].into_iter().filter(|what| text.contains(&format!("insufficient {what}"))).collect();
        if short.is_empty() {
            continue;
        }
        let sizes: Vec<String> = short.iter().map(|what| size(scene, pod, what)).collect();
        let mut found = matched(pod, condition, format!("no node has room for the pod: {}", sizes.join("; ")));
        // More than a whole node is the chart's fault; too little left is the cluster's.
        let oversized = short.iter().any(|what| requested(pod, what) > largest(scene, what) && largest(scene, what) > 0);
        found.class = Some(if oversized { Class::AppSelfResolve } else { Class::ClusterEscalate });
        matches.push(found);
    }
    matches
}

fn size(scene: &Scene<'_>, pod: &Pod, what: &str) -> String {
    let (asked, most) = (requested(pod, what), largest(scene, what));
    match what {
        "cpu" => format!("it requests {asked}m of processor time, the largest node offers {most}m to all its pods"),
        _ => format!("it requests {} MiB of {what}, the largest node offers {} MiB to all its pods", asked >> 20, most >> 20),
    }
}

fn amount(what: &str, text: &str) -> u64 {
    if what == "cpu" { quantity::milli(text).unwrap_or_default() } else { quantity::whole(text).unwrap_or_default() }
}

/// The sum of the containers' requests; processor time in thousandths.
fn requested(pod: &Pod, what: &str) -> u64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let requests = containers.filter_map(|container| container.resources.as_ref()?.requests.as_ref()?.get(what));
    requests.map(|quantity| amount(what, &quantity.0)).sum()
}

fn largest(scene: &Scene<'_>, what: &str) -> u64 {
    let nodes = scene.observed.nodes.iter();
    nodes.filter_map(|node| node.status.as_ref()?.allocatable.as_ref()?.get(what)).map(|quantity| amount(what, &quantity.0)).max().unwrap_or_default()
}

pub fn claim_underneath(scene: &Scene<'_>) -> Vec<Match> {
    unschedulable(scene, &["unbound immediate persistentvolumeclaims", "volume node affinity conflict", "persistentvolumeclaim \""], |pod, _| {
        let claims: Vec<&str> = super::volume::claims_of(pod).collect();
        format!("the pod waits for its claim {}", claims.join(", "))
    })
}
