//! Strict server-side dry run of rendered objects: decoding, validation, immutable fields, and what would change; nothing is stored.

use super::{Kube, connect};
use crate::failure::{Code, Failure};
use crate::names::Namespace;
use crate::ports::{DryRunFinding, Proof};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::{GroupVersionKind, Status};
use kube::discovery::Scope;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Our manager in dry runs; forced, so that fields that Helm owns are no conflict.
const MANAGER: &str = "landfall-dry-run";
/// Where objects of a namespace that does not exist yet are checked; nothing is stored there.
const STAND_IN: &str = "default";

/// What the API server said to one object.
enum Said {
    Created,
    Updated { live: Box<Value>, after: Box<Value> },
    Refused(String),
}

impl Kube {
    pub(super) async fn try_manifest(&self, at: &Proof, namespace: &Namespace, manifest: &str) -> Result<Vec<DryRunFinding>, Failure> {
        let objects = objects(manifest)?;
        let client = self.client(at).await?;
        let exists = self.namespace_facts(at, namespace).await?.is_some_and(|facts| !facts.terminating);
        let mut kinds: BTreeMap<String, Option<(ApiResource, Scope)>> = BTreeMap::new();
        let mut findings = Vec::new();
        for mut object in objects {
            let name = describe(&object);
            let Some(kind) = kind(&object) else {
                findings.push(refusal(name, "an object needs apiVersion, kind and metadata.name".to_owned()));
                continue;
            };
            let known = format!("{}/{}", kind.api_version(), kind.kind);
            if !kinds.contains_key(&known) {
                let found = self.ask(at, &format!("look up kind {known}"), || resolve(&client, &kind)).await?;
                kinds.insert(known.clone(), found);
            }
            let Some(Some((resource, scope))) = kinds.get(&known) else {
                findings.push(refusal(name, format!("no matches for kind {:?} in version {:?}", kind.kind, kind.api_version())));
                continue;
            };
            if let Err(why) = place(&mut object, scope, namespace, exists) {
                findings.push(refusal(name, why));
                continue;
            }
            let said = self.ask(at, &format!("try {name}"), || try_object(&client, resource, scope, &object)).await?;
            findings.push(finding(name, said, exists));
        }
        Ok(findings)
    }
}

/// The objects of a manifest: documents, lists flattened, empty documents left out.
fn objects(manifest: &str) -> Result<Vec<Value>, Failure> {
    // Kubernetes reads 0644 as octal, as YAML 1.1 did.
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    let documents: Vec<Value> = serde_saphyr::from_multiple_with_options(manifest, options).map_err(|error| {
        Failure::new(Code::RenderFailed, "read the rendered manifest").cause(error).help("call generate_chart again, and look at the template named above")
    })?;
    let mut objects = Vec::new();
    for document in documents {
        let list = document.get("kind").and_then(Value::as_str).is_some_and(|kind| kind == "List");
        match document.get("items").and_then(Value::as_array) {
            Some(items) if list => objects.extend(items.iter().cloned()),
            Some(_) | None if document.is_object() => objects.push(document),
            Some(_) | None => {}
        }
    }
    Ok(objects)
}

fn kind(object: &Value) -> Option<GroupVersionKind> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).filter(|text| !text.is_empty());
    text("/metadata/name")?;
    let version = text("/apiVersion")?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    Some(GroupVersionKind::gvk(group, version, text("/kind")?))
}

/// `Deployment/backend`.
fn describe(object: &Value) -> String {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or("?");
    crate::secret::plain(&format!("{}/{}", text("/kind"), text("/metadata/name")), 120)
}

/// The kind as the server knows it; None where it does not.
async fn resolve(client: &Client, kind: &GroupVersionKind) -> Result<Option<(ApiResource, Scope)>, kube::Error> {
    match kube::discovery::pinned_kind(client, kind).await {
        Ok((resource, can)) => Ok(Some((resource, can.scope))),
        Err(kube::Error::Discovery(_)) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts the object into its namespace; an object that asks for another one is refused.
fn place(object: &mut Value, scope: &Scope, namespace: &Namespace, exists: bool) -> Result<(), String> {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return Err("metadata is no mapping".to_owned()) };
    match scope {
        Scope::Cluster => metadata.remove("namespace").map_or(Ok(()), |_| Ok(())),
        Scope::Namespaced => {
            if let Some(other) = metadata.get("namespace").and_then(Value::as_str).filter(|other| *other != namespace.as_str()) {
                return Err(format!("it asks for namespace {other}, the release goes to {namespace}"));
            }
            metadata.insert("namespace".to_owned(), json!(if exists { namespace.as_str() } else { STAND_IN }));
            Ok(())
        }
    }
}

/// POST with strict decoding names every unknown field; where the object exists, a forced apply shows the rest.
async fn try_object(client: &Client, resource: &ApiResource, scope: &Scope, object: &Value) -> Result<Said, kube::Error> {
    let api: Api<DynamicObject> = match (scope, object.pointer("/metadata/namespace").and_then(Value::as_str)) {
        (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(client.clone(), namespace, resource),
        (Scope::Namespaced, None) | (Scope::Cluster, _) => Api::all_with(client.clone(), resource),
    };
    let body = serde_json::to_vec(object).map_err(kube::Error::SerdeError)?;
    let address = format!("{}?dryRun=All&fieldValidation=Strict&fieldManager={MANAGER}", api.resource_url());
    let request = http::Request::post(address).header(http::header::CONTENT_TYPE, "application/json").body(body).map_err(kube::Error::HttpError)?;
    match client.request::<Value>(request).await {
        Ok(_) => return Ok(Said::Created),
        // Decoded and validated: it only exists already.
        Err(kube::Error::Api(status)) if status.code == 409 => {}
        Err(kube::Error::Api(status)) if refuses(&status) => return Ok(Said::Refused(connect::words(&status))),
        Err(error) => return Err(error),
    }
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let Some(live) = api.get_opt(name).await? else { return Ok(Said::Created) };
    let live = serde_json::to_value(&live).map_err(kube::Error::SerdeError)?;
    if let Some(why) = unowned(&live) {
        return Ok(Said::Refused(why));
    }
    let (manager, wanted) = as_helm_would(object, &live);
    match api.patch(name, &PatchParams::apply(manager).dry_run().force(), &Patch::Apply(&wanted)).await {
        Ok(after) => {
            let after = serde_json::to_value(&after).map_err(kube::Error::SerdeError)?;
            Ok(Said::Updated { live: Box::new(live), after: Box::new(after) })
        }
        Err(kube::Error::Api(status)) if refuses(&status) => Ok(Said::Refused(connect::words(&status))),
        Err(error) => Err(error),
    }
}

/// True where the answer is about the object, not about the server's health.
fn refuses(status: &Status) -> bool {
    // A failed typed patch comes as 500 without a reason; it is the object's fault all the same.
    matches!(status.code, 400 | 403 | 404 | 409 | 413 | 422) || (status.code == 500 && status.message.contains("typed patch"))
}

/// Helm takes over nothing that lacks its mark.
fn unowned(live: &Value) -> Option<String> {
    let by = live.pointer("/metadata/labels/app.kubernetes.io~1managed-by").and_then(Value::as_str);
    let release = live.pointer("/metadata/annotations/meta.helm.sh~1release-name").and_then(Value::as_str);
    (by != Some("Helm") || release.is_none())
        .then(|| format!("it exists and belongs to no Helm release (managed-by {}, release {})", by.unwrap_or("nobody"), release.unwrap_or("none")))
}

/// The object with the marks that Helm adds at install, and the manager under which removals show.
fn as_helm_would(object: &Value, live: &Value) -> (&'static str, Value) {
    let mut wanted = object.clone();
    for (field, mine) in [("labels", "app.kubernetes.io/managed-by"), ("annotations", "meta.helm.sh/")] {
        let marks: Vec<(String, Value)> = live
            .pointer(&format!("/metadata/{field}"))
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter(|(key, _)| key.starts_with(mine))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut) else { continue };
        let slot = metadata.entry(field).or_insert_with(|| json!({}));
        if slot.is_null() {
            *slot = json!({});
        }
        if let Some(slot) = slot.as_object_mut() {
            for (key, value) in marks {
                slot.entry(key).or_insert(value);
            }
        }
    }
    let applies =
        |entry: &Value| entry.get("operation").and_then(Value::as_str) == Some("Apply") && entry.get("manager").and_then(Value::as_str) == Some("helm");
    let by_helm = live.pointer("/metadata/managedFields").and_then(Value::as_array).is_some_and(|entries| entries.iter().any(applies));
    (if by_helm { "helm" } else { MANAGER }, wanted)
}

fn finding(object: String, said: Said, exists: bool) -> DryRunFinding {
    match said {
        Said::Created if exists => DryRunFinding { object, ok: true, text: "create".to_owned(), diff: String::new() },
        Said::Created => {
            let text = format!("create (checked in namespace {STAND_IN}, because the release's own does not exist yet)");
            DryRunFinding { object, ok: true, text, diff: String::new() }
        }
        // In a stand-in namespace the names of strangers mean nothing.
        Said::Updated { .. } if !exists => DryRunFinding { object, ok: true, text: "create".to_owned(), diff: String::new() },
        Said::Updated { live, after } => {
            let diff = difference(&object, &live, &after);
            let text = if diff.is_empty() { "unchanged" } else { "update" };
            DryRunFinding { object, ok: true, text: text.to_owned(), diff }
        }
        Said::Refused(_) if !exists && !strict(&said) => DryRunFinding { object, ok: true, text: "create".to_owned(), diff: String::new() },
        Said::Refused(why) => refusal(object, why),
    }
}

/// False where a refusal only says that a stranger's object of that name lives in the stand-in namespace.
fn strict(said: &Said) -> bool {
    match said {
        Said::Refused(why) => !why.starts_with("it exists and belongs to no Helm release"),
        Said::Created | Said::Updated { .. } => true,
    }
}

fn refusal(object: String, why: String) -> DryRunFinding {
    DryRunFinding { object, ok: false, text: crate::secret::plain(&why, 1000), diff: String::new() }
}

/// A unified diff of what a person would recognise as a change; empty where there is none.
fn difference(object: &str, live: &Value, after: &Value) -> String {
    let (before, after) = (shown(live), shown(after));
    if before == after {
        return String::new();
    }
    let text =
        similar::TextDiff::from_lines(&before, &after).unified_diff().context_radius(3).header(&format!("live {object}"), &format!("new {object}")).to_string();
    crate::secret::redact(&text)
}

/// The object as YAML without what the server fills in, and without secret values.
fn shown(object: &Value) -> String {
    let mut object = object.clone();
    if let Some(top) = object.as_object_mut() {
        top.remove("status");
        if top.get("kind").and_then(Value::as_str) == Some("Secret") {
            for field in ["data", "stringData"] {
                hide(top.get_mut(field));
            }
        }
        if let Some(metadata) = top.get_mut("metadata").and_then(Value::as_object_mut) {
            for field in ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"] {
                metadata.remove(field);
            }
            if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove("deployment.kubernetes.io/revision");
                annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
            }
        }
    }
    mask_variables(&mut object);
    serde_saphyr::to_string(&sorted(object)).unwrap_or_default()
}

fn hide(data: Option<&mut Value>) {
    for value in data.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut) {
        *value = json!("***");
    }
}

/// Literal values of variables whose name says that they are secret.
fn mask_variables(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            let secret = fields.get("name").and_then(Value::as_str).is_some_and(crate::secret::secret_name);
            if secret && let Some(literal) = fields.get_mut("value").filter(|literal| literal.is_string()) {
                *literal = json!("***");
            }
            fields.values_mut().for_each(mask_variables);
        }
        Value::Array(items) => items.iter_mut().for_each(mask_variables),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Both sides in one order, so that only content differs.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<String, Value> = fields.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_and_lists_become_objects() {
        let manifest = "---\n# Source: a\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: b}}\n- {apiVersion: apps/v1, kind: Deployment, metadata: {name: c}}\n";
        let objects = objects(manifest).unwrap();
        assert_eq!(objects.iter().map(describe).collect::<Vec<_>>(), ["ConfigMap/a", "Secret/b", "Deployment/c"]);
        let kinds: Vec<_> = objects.iter().filter_map(kind).map(|kind| (kind.group, kind.version)).collect();
        assert_eq!(kinds, [("".into(), "v1".into()), ("".into(), "v1".into()), ("apps".into(), "v1".to_owned())]);
    }

    #[test]
    fn values_keep_the_types_that_kubernetes_reads() {
        let objects = objects("a: \"8000\"\nb: 8000\nc: 0644\nd: \"yes\"\ne: '0644'\n").unwrap();
        assert_eq!(objects, [json!({"a": "8000", "b": 8000, "c": 420, "d": "yes", "e": "0644"})]);
    }

    #[test]
    fn an_object_for_another_namespace_is_refused() {
        let namespace = Namespace::parse("todo").unwrap();
        let mut object = json!({"metadata": {"name": "a", "namespace": "kube-system"}});
        assert!(place(&mut object, &Scope::Namespaced, &namespace, true).unwrap_err().contains("kube-system"));
        let mut object = json!({"metadata": {"name": "a"}});
        place(&mut object, &Scope::Namespaced, &namespace, true).unwrap();
        assert_eq!(object.pointer("/metadata/namespace"), Some(&json!("todo")));
    }

    #[test]
    fn only_real_changes_are_shown_and_no_secret_value() {
        let live = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a", "resourceVersion": "1", "managedFields": [{}]}, "data": {"k": "b2xk"}, "status": {}});
        let same = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a", "resourceVersion": "2"}, "data": {"k": "bmV3"}});
        assert_eq!(difference("Secret/a", &live, &same), "");
        let more = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "a"}, "data": {"k": "bmV3", "extra": "bmV3"}});
        let diff = difference("Secret/a", &live, &more);
        assert!(diff.contains("extra") && !diff.contains("bmV3") && !diff.contains("b2xk"), "{diff}");
    }

    #[test]
    fn a_changed_field_of_a_deployment_is_shown() {
        let deployment = |image: &str, key: &str| {
            json!({"kind": "Deployment", "metadata": {"name": "a", "generation": 3},
            "spec": {"containers": [{"image": image, "env": [{"name": "API_KEY", "value": key}]}]}})
        };
        let diff = difference("Deployment/a", &deployment("a:1", "hunter2"), &deployment("a:2", "hunter3"));
        assert!(diff.contains("-") && diff.contains("a:1") && diff.contains("a:2") && !diff.contains("hunter"), "{diff}");
    }

    #[test]
    fn what_helm_owns_is_applied_as_helm_would() {
        let live = json!({"metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "a", "other": "x"},
            "managedFields": [{"manager": "helm", "operation": "Apply"}]}});
        assert_eq!(unowned(&live), None);
        let (manager, wanted) = as_helm_would(&json!({"metadata": {"name": "a"}}), &live);
        assert_eq!(manager, "helm");
        assert_eq!(
            wanted,
            json!({"metadata": {"name": "a", "labels": {"app.kubernetes.io/managed-by": "Helm"}, "annotations": {"meta.helm.sh/release-name": "a"}}})
        );
        let older = json!({"metadata": {"managedFields": [{"manager": "helm", "operation": "Update"}]}});
        assert_eq!(as_helm_would(&json!({"metadata": {}}), &older).0, MANAGER);
        assert!(unowned(&older).is_some());
    }

    #[test]
    fn a_failed_typed_patch_is_about_the_object_and_a_500_is_not() {
        let check = |code: u16, message: &str, expect: bool| {
            let status: Status = serde_json::from_value(json!({"code": code, "message": message})).unwrap();
            assert_eq!(refuses(&status), expect, "{code} {message}");
        };
        check(500, "failed to create typed patch object (…): .spec.replicaz: field not declared in schema", true);
        check(500, "etcdserver: request timed out", false);
        check(422, "field is immutable", true);
        check(503, "", false);
    }
}
