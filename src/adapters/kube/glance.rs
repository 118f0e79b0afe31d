//! A look for numbers and troubles: in a crowd, pods of ReplicaSets that have all they want are not read one by one; nothing is judged.

use super::raw;
use crate::names::Namespace;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Client;
use kube::api::ListParams;
use std::collections::BTreeMap;

/// So many pods are read whole in any case; a node takes 110.
const CROWD: i32 = 500;
/// So many ReplicaSets are named in one request, whose address may be no longer than a few thousand characters.
const NAMED: usize = 500;
/// The label that tells the pods of one ReplicaSet from all others.
const HASH: &str = "pod-template-hash";
/// Reasons of events that every pod has on its way, and that no signal reads.
const AS_PLANNED: &str = "reason!=Scheduled,reason!=Pulling,reason!=Pulled,reason!=Created,reason!=Started,reason!=SuccessfulCreate,reason!=ScalingReplicaSet";

/// Pods that are read, and how many are only counted, by the uid of their ReplicaSet.
pub(super) async fn pods(client: &Client, namespace: &Namespace, sets: &[ReplicaSet]) -> Result<(Vec<Pod>, BTreeMap<String, u32>), kube::Error> {
    let complete = crowd(sets);
    let wanted = match complete.is_empty() {
        true => ListParams::default(),
        false => ListParams::default().labels(&format!("{HASH} notin ({})", complete.keys().copied().collect::<Vec<_>>().join(","))),
    };
    let pods = raw::list_of(client, Some(namespace.as_str()), wanted).await?;
    Ok((pods, complete.into_values().collect()))
}

/// Events of what did not go as planned.
pub(super) async fn events(client: &Client, namespace: &Namespace) -> Result<Vec<Event>, kube::Error> {
    raw::list_of(client, Some(namespace.as_str()), ListParams::default().fields(AS_PLANNED)).await
}

/// The complete ReplicaSets by their hash, with uid and number of ready pods; none where their pods are few enough to be read.
fn crowd(sets: &[ReplicaSet]) -> BTreeMap<&str, (String, u32)> {
    let mut complete = BTreeMap::new();
    for set in sets {
        let hash = set.metadata.labels.as_ref().and_then(|labels| labels.get(HASH)).map(String::as_str);
        if let (Some(hash), Some(uid), Some(pods @ 1..)) = (hash, &set.metadata.uid, ready_pods(set)) {
            complete.insert(hash, (uid.clone(), u32::try_from(pods).unwrap_or_default()));
        }
    }
    // A template that stands in two sets has one hash.
    let shared =
        |hash: &str| sets.iter().filter(|set| set.metadata.labels.as_ref().and_then(|labels| labels.get(HASH)).is_some_and(|other| other == hash)).count() > 1;
    complete.retain(|hash, _| !shared(hash));
    let pods: i32 = sets.iter().filter_map(|set| set.status.as_ref()).map(|status| status.replicas).sum();
    if pods <= CROWD {
        return BTreeMap::new();
    }
    complete.into_iter().take(NAMED).collect()
}

/// How many pods a ReplicaSet has, where it has what it wants and every one is ready; its controller has seen the newest wish.
fn ready_pods(set: &ReplicaSet) -> Option<i32> {
    let (wanted, status) = (set.spec.as_ref()?.replicas?, set.status.as_ref()?);
    let seen = status.observed_generation.unwrap_or_default() >= set.metadata.generation.unwrap_or(1);
    let all = [Some(status.replicas), status.fully_labeled_replicas, status.ready_replicas, status.available_replicas];
    (seen && set.metadata.deletion_timestamp.is_none() && all.iter().all(|count| *count == Some(wanted))).then_some(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn set(name: &str, pods: i32, change: impl Fn(&mut Value)) -> ReplicaSet {
        let mut set = json!({
            "metadata": {"name": name, "uid": name, "generation": 2, "labels": {"pod-template-hash": name}},
            "spec": {"replicas": pods, "selector": {}},
            "status": {"observedGeneration": 2, "replicas": pods, "fullyLabeledReplicas": pods, "readyReplicas": pods, "availableReplicas": pods},
        });
        change(&mut set);
        serde_json::from_value(set).unwrap()
    }

    #[test]
    fn in_a_crowd_the_pods_of_complete_sets_are_only_counted() {
        let check = |expect: &[&str], change: fn(&mut Value)| {
            let sets = [set("large", 600, |_| ()), set("a", 2, change)];
            let counted = crowd(&sets);
            assert_eq!(counted.keys().copied().collect::<Vec<_>>(), expect, "{:?}", sets[1]);
            assert_eq!(counted["large"], ("large".to_owned(), 600));
        };
        check(&["a", "large"], |_| ());
        check(&["large"], |set| set["status"]["readyReplicas"] = json!(1));
        check(&["large"], |set| set["status"]["availableReplicas"] = json!(1));
        check(&["large"], |set| set["status"]["replicas"] = json!(3));
        check(&["large"], |set| set["status"]["observedGeneration"] = json!(1));
        check(&["large"], |set| set["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z"));
        check(&["large"], |set| drop(set["metadata"].as_object_mut().unwrap().remove("labels")));
        check(&["large"], |set| drop(set.as_object_mut().unwrap().remove("status")));
    }

    #[test]
    fn a_few_pods_are_all_read() {
        assert!(crowd(&[set("a", 400, |_| ()), set("b", 100, |_| ())]).is_empty());
        assert_eq!(crowd(&[set("a", 400, |_| ()), set("b", 101, |_| ())]).len(), 2);
    }

    #[test]
    fn a_hash_that_two_sets_share_counts_nothing() {
        let twin = |name: &str| set(name, 400, |set| set["metadata"]["labels"]["pod-template-hash"] = json!("x"));
        assert!(crowd(&[twin("a"), twin("b")]).is_empty());
    }
}
