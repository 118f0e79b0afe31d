//! What proposed values may not do: they stay values, bring no secret, and change neither what runs nor which objects there are.

use super::answer::hostile;
use crate::policy::object_name;
use serde_json::Value;
use std::collections::BTreeSet;

/// Every rule that the values themselves break: `rule: what`.
pub fn broken(text: &str) -> Vec<String> {
    let mut broken: Vec<String> = hostile(text).map(|what| format!("hostile: they hold {what}")).into_iter().collect();
    let mapping = match crate::policy::documents(text) {
        Ok(documents) => match documents.as_slice() {
            [Value::Object(mapping)] if !mapping.is_empty() => Some(mapping.clone()),
            _ => None,
        },
        Err(_) => None,
    };
    match mapping {
        Some(mapping) => {
            named("", &Value::Object(mapping), &mut broken);
            // What has no telling name may still have a telling shape.
            if !broken.iter().any(|rule| rule.starts_with("no_secret")) && text.lines().any(|line| crate::secret::redact(line).contains("***")) {
                broken.push("no_secret: they hold something of a credential's shape".to_owned());
            }
        }
        None => broken.push("one_mapping: they are not one mapping of keys".to_owned()),
    }
    broken
}

/// Keys whose name says that their value is secret, with a text of their own.
fn named(path: &str, value: &Value, broken: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, inner) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                if crate::secret::secret_name(key) && !key.to_lowercase().ends_with("name") && inner.as_str().is_some_and(|text| !text.is_empty()) {
                    broken.push(format!("no_secret: {} has a value", crate::secret::plain(&path, 100)));
                }
                named(&path, inner, broken);
            }
        }
        Value::Array(all) => all.iter().for_each(|inner| named(path, inner, broken)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What rendering with the proposed values changes that values may not: `rule: what`.
pub fn reaches(before: &[Value], after: &[Value], namespace: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let names = |objects: &[Value]| objects.iter().map(object_name).collect::<BTreeSet<_>>();
    let (old, new) = (names(before), names(after));
    broken.extend(new.difference(&old).map(|name| format!("same_objects: {name} is new")));
    broken.extend(old.difference(&new).map(|name| format!("same_objects: {name} is gone")));
    let images = |objects: &[Value]| {
        let mut found = BTreeSet::new();
        objects.iter().for_each(|object| collect(object, "image", &mut found));
        found
    };
    let (old, new) = (images(before), images(after));
    broken.extend(new.difference(&old).map(|image| format!("same_images: {} would run", crate::secret::plain(image, 120))));
    let other = |object: &&Value| object.pointer("/metadata/namespace").and_then(Value::as_str).is_some_and(|at| at != namespace);
    broken.extend(after.iter().filter(other).map(|object| format!("own_namespace: {} lies elsewhere", object_name(object))));
    broken
}

/// Every text below this key, wherever it stands.
fn collect(value: &Value, key: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (name, inner) in map {
                match inner {
                    Value::String(text) if name == key => {
                        found.insert(text.clone());
                    }
                    inner => collect(inner, key, found),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|inner| collect(inner, key, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn rules(broken: &[String], expect: &[&str]) {
        let rules: Vec<_> = broken.iter().map(|broken| broken.split(':').next().unwrap()).collect();
        assert_eq!(rules, expect, "{broken:?}");
    }

    #[test]
    fn values_stay_values() {
        rules(&broken("replicas: 2\nresources: {limits: {memory: 256Mi}}\n"), &[]);
        rules(&broken("env: {TOKEN_MINUTES: \"30\", secretName: api}\n"), &[]);
        rules(&broken("env: {JWT_SECRET: abcdef}\n"), &["no_secret"]);
        rules(&broken("note: sk-abcdefghijklmnopqrstuvwx\n"), &["no_secret"]);
        rules(&broken("- a\n"), &["one_mapping"]);
        rules(&broken("a: [\n"), &["one_mapping"]);
        rules(&broken("a: 1\n---\nb: 2\n"), &["one_mapping"]);
    }

    #[test]
    fn what_runs_and_where_is_not_for_values_to_say() {
        let objects = |text: &str| crate::policy::documents(text).unwrap();
        let before = objects("kind: Deployment\nmetadata: {name: api}\nspec: {replicas: 1, image: a:1}\n");
        let check = |after: &str, expect: &[&str]| rules(&reaches(&before, &objects(after), "todo"), expect);
        check("kind: Deployment\nmetadata: {name: api, namespace: todo}\nspec: {replicas: 3, image: a:1}\n", &[]);
        check("kind: Deployment\nmetadata: {name: api}\nspec: {replicas: 1, image: evil:1}\n", &["same_images"]);
        check("kind: Deployment\nmetadata: {name: api, namespace: kube-system}\nspec: {image: a:1}\n", &["own_namespace"]);
        check("kind: Deployment\nmetadata: {name: api}\nspec: {image: a:1}\n---\nkind: ClusterRole\nmetadata: {name: all}\n", &["same_objects"]);
        check("", &["same_objects"]);
    }
}
