//! Rendered objects held against the types of Kubernetes: a field that does not exist cannot be deployed, with or without a cluster at hand.

use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1 as core, networking::v1 as networking, policy::v1 as policy,
    rbac::v1 as rbac,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

macro_rules! kinds {
    ($($version:literal $kind:ident $module:ident;)*) => {
        /// What is wrong with an object's fields; nothing for a kind that is not in the table.
        pub(super) fn wrong_fields(object: &Value) -> Vec<String> {
            let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
            match (text("apiVersion"), text("kind")) {
                $(($version, stringify!($kind)) => through::<$module::$kind>(object),)*
                _ => Vec::new(),
            }
        }
    };
}

kinds! {
    "apps/v1" Deployment apps;
    "apps/v1" StatefulSet apps;
    "apps/v1" DaemonSet apps;
    "autoscaling/v2" HorizontalPodAutoscaler autoscaling;
    "batch/v1" Job batch;
    "batch/v1" CronJob batch;
    "v1" ConfigMap core;
    "v1" PersistentVolumeClaim core;
    "v1" Pod core;
    "v1" Secret core;
    "v1" Service core;
    "v1" ServiceAccount core;
    "networking.k8s.io/v1" Ingress networking;
    "networking.k8s.io/v1" NetworkPolicy networking;
    "policy/v1" PodDisruptionBudget policy;
    "rbac.authorization.k8s.io/v1" Role rbac;
    "rbac.authorization.k8s.io/v1" RoleBinding rbac;
}

/// Read as its type and written again, an object has lost what its type does not know.
fn through<T: DeserializeOwned + Serialize>(object: &Value) -> Vec<String> {
    match serde_json::from_value::<T>(object.clone()).and_then(serde_json::to_value) {
        Ok(back) => {
            let mut lost = Vec::new();
            compare(object, &back, "", &mut lost);
            lost
        }
        Err(error) => vec![crate::secret::plain(&error.to_string(), 200)],
    }
}

fn compare(was: &Value, is: &Value, path: &str, lost: &mut Vec<String>) {
    match (was, is) {
        (Value::Object(was), _) => {
            for (name, value) in was.iter().filter(|(_, value)| !empty(value)) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match is.get(name) {
                    Some(is) => compare(value, is, &path, lost),
                    None => lost.push(format!("{path} is no field")),
                }
            }
        }
        (Value::Array(was), Value::Array(is)) => {
            for (at, (was, is)) in was.iter().zip(is).enumerate() {
                compare(was, is, &format!("{path}[{at}]"), lost);
            }
        }
        _ => {}
    }
}

/// What a type may leave out without a loss.
fn empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &[&str]) {
        assert_eq!(wrong_fields(&serde_saphyr::from_str(text).unwrap()), expect, "{text}");
    }

    #[test]
    fn a_field_that_kubernetes_does_not_know_is_named_with_its_path() {
        let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {template: {spec: {restartPolicy: Never, containers: [{name: a, resources: {limits: {cpu: 1}}";
        check(&format!("{job}}}]}}}}}}\n"), &[]);
        check(&format!("{job}, imagePullpolicy: Never}}]}}}}}}\n"), &["spec.template.spec.containers[0].imagePullpolicy is no field"]);
        check("apiVersion: v1\nkind: Service\nmetadata: {name: a, label: {a: b}}\nspec: {ports: []}\n", &["metadata.label is no field"]);
        check("apiVersion: example.org/v1\nkind: Other\nspec: {anything: 1}\n", &[]);
    }

    #[test]
    fn a_value_of_another_type_is_said_so() {
        let wrong = wrong_fields(&serde_saphyr::from_str("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {a: 1}\n").unwrap());
        assert!(wrong.first().is_some_and(|text| text.contains("expected a string")), "{wrong:?}");
    }
}
