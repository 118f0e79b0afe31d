//! What a rendered manifest must keep, as one table: restricted pod security, resources, probes, no literal secrets, no mutable tags; purely judged.

use crate::failure::{Code, Failure};
use serde_json::Value;

/// The environment a manifest was rendered for decides how strict some rules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    Local,
    Production,
}

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub rule: &'static str,
    /// `Deployment/backend spec.template.spec.containers[0]`
    pub at: String,
    pub message: String,
}

/// A container of a pod template and where it stands.
struct Container<'a> {
    at: String,
    kind: &'a str,
    init: bool,
    pod: &'a Value,
    spec: &'a Value,
}

type Rule = (&'static str, fn(&Container<'_>, Strictness) -> Option<String>);

/// The rules about containers. A rule answers what is wrong, or nothing.
const RULES: &[Rule] = &[
    ("privilege_escalation", |container, _| {
        (container.security("allowPrivilegeEscalation") != &Value::Bool(false)).then(|| "allowPrivilegeEscalation is not false".into())
    }),
    ("run_as_non_root", |container, _| (container.either("runAsNonRoot") != &Value::Bool(true)).then(|| "runAsNonRoot is not true".into())),
    ("run_as_root", |container, _| (container.either("runAsUser").as_i64() == Some(0)).then(|| "runAsUser is 0".into())),
    ("privileged", |container, _| (container.security("privileged") == &Value::Bool(true)).then(|| "the container is privileged".into())),
    ("read_only_root", |container, _| {
        (container.security("readOnlyRootFilesystem") != &Value::Bool(true)).then(|| "readOnlyRootFilesystem is not true".into())
    }),
    ("seccomp", |container, _| {
        let kind = container.either("seccompProfile").get("type").and_then(Value::as_str);
        (!matches!(kind, Some("RuntimeDefault" | "Localhost"))).then(|| "seccompProfile is not RuntimeDefault".into())
    }),
    ("drop_capabilities", |container, _| {
        let capabilities = container.security("capabilities");
        let drops = list(&capabilities["drop"]).any(|name| name == "ALL");
        let adds = list(&capabilities["add"]).any(|name| name != "NET_BIND_SERVICE");
        (!drops || adds).then(|| "capabilities are not dropped (drop: [ALL])".into())
    }),
    ("host_namespaces", |container, _| {
        let name = ["hostNetwork", "hostPID", "hostIPC"].into_iter().find(|name| container.pod.get(name) == Some(&Value::Bool(true)))?;
        Some(format!("the pod uses {name}"))
    }),
    ("host_path", |container, _| {
        container.pod["volumes"].as_array()?.iter().find(|volume| volume.get("hostPath").is_some()).map(|_| "the pod mounts a hostPath".into())
    }),
    ("host_port", |container, _| {
        container.spec["ports"].as_array()?.iter().find(|port| port.get("hostPort").is_some()).map(|_| "the container takes a hostPort".into())
    }),
    ("service_account_token", |container, _| {
        (container.pod.get("automountServiceAccountToken") != Some(&Value::Bool(false))).then(|| "automountServiceAccountToken is not false".into())
    }),
    ("resources", |container, _| {
        let missing = ["requests.cpu", "requests.memory", "limits.memory"].into_iter().find(|path| {
            let (half, name) = path.split_once('.').unwrap_or(("", ""));
            at(container.spec, &format!("/resources/{half}/{name}")).is_null()
        })?;
        Some(format!("resources.{missing} is not set"))
    }),
    ("probes", |container, _| {
        let job = matches!(container.kind, "Job" | "CronJob");
        let missing = ["readinessProbe", "livenessProbe"].into_iter().find(|name| container.spec.get(name).is_none())?;
        (!job && !container.init && container.spec.get("ports").is_some()).then(|| format!("{missing} is not set"))
    }),
    ("same_probe", |container, _| {
        let (ready, live) = (container.spec.get("readinessProbe")?, container.spec.get("livenessProbe")?);
        // An open port depends on nothing else: where a service has no health route, both may ask for it.
        let asks = |probe: &Value| ["httpGet", "exec", "grpc"].into_iter().find_map(|kind| probe.get(kind).cloned());
        (asks(ready).is_some() && asks(ready) == asks(live))
            .then(|| "liveness and readiness ask the same question: a slow dependency would restart the pod".into())
    }),
    ("mutable_tag", |container, _| {
        let image = container.spec["image"].as_str().unwrap_or_default();
        if image.contains("@sha256:") {
            return None;
        }
        let tag = image.rsplit('/').next().and_then(|name| name.split_once(':')).map(|(_, tag)| tag);
        match tag {
            None | Some("") => Some(format!("image {image} has no tag")),
            Some("latest") => Some("image tag latest is mutable".into()),
            Some(_) => None,
        }
    }),
    ("literal_secret", |container, _| {
        let settings = container.spec["env"].as_array()?;
        let found = settings.iter().find(|setting| {
            let (name, value) = (setting["name"].as_str().unwrap_or_default(), setting["value"].as_str().unwrap_or_default());
            !value.is_empty() && (crate::secret::secret_name(name) || crate::secret::looks_secret(value))
        })?;
        Some(format!("env {} has a literal value", found["name"].as_str().unwrap_or("?")))
    }),
    // A stable local tag is content-addressed by its builder; production asks for the digest itself.
    ("digest_in_production", |container, strictness| {
        let image = container.spec["image"].as_str().unwrap_or_default();
        (strictness == Strictness::Production && !image.contains("@sha256:")).then(|| format!("image {image} has no digest"))
    }),
];

impl<'a> Container<'a> {
    fn security(&self, name: &str) -> &'a Value {
        at(self.spec, &format!("/securityContext/{name}"))
    }

    /// The container's own setting, else the pod's.
    fn either(&self, name: &str) -> &'a Value {
        let own = self.security(name);
        if own.is_null() { at(self.pod, &format!("/securityContext/{name}")) } else { own }
    }
}

/// The documents of a manifest as JSON values; empty documents are left out. `RENDER_FAILED` where one is not YAML.
pub fn documents(manifest: &str) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for text in split(manifest) {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            continue;
        }
        let value: Value = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::new(Code::RenderFailed, "a rendered manifest is not valid YAML").cause(error).help("mend the template that renders it")
        })?;
        if !value.is_null() {
            found.push(value);
        }
    }
    Ok(found)
}

/// Splits at lines that are exactly `---`.
fn split(manifest: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for line in manifest.lines() {
        if line.trim_end() == "---" {
            parts.push(String::new());
        } else if let Some(last) = parts.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    parts
}

/// `Kind/name` of an object.
pub fn object_name(object: &Value) -> String {
    format!("{}/{}", at(object, "/kind").as_str().unwrap_or("?"), at(object, "/metadata/name").as_str().unwrap_or("?"))
}

/// Every broken rule of every object.
pub fn judge(objects: &[Value], strictness: Strictness) -> Vec<Broken> {
    let mut broken = Vec::new();
    for object in objects {
        let name = object_name(object);
        let kind = object["kind"].as_str().unwrap_or_default();
        if kind == "Secret" && ["data", "stringData"].iter().any(|field| object[*field].as_object().is_some_and(|data| !data.is_empty())) {
            broken.push(Broken { rule: "secret_values", at: name.clone(), message: "the chart renders a Secret with values".into() });
        }
        if kind == "ConfigMap" {
            let secret = object["data"]
                .as_object()
                .into_iter()
                .flatten()
                .find(|(key, value)| value.as_str().is_some_and(crate::secret::looks_secret) || crate::secret::secret_name(key));
            if let Some((key, _)) = secret {
                broken.push(Broken { rule: "secret_in_config_map", at: name.clone(), message: format!("key {key} looks secret") });
            }
        }
        if kind == "Service" && at(object, "/spec/type").as_str() == Some("LoadBalancer") {
            broken.push(Broken { rule: "load_balancer", at: name.clone(), message: "a LoadBalancer stays pending without minikube tunnel".into() });
        }
        let Some((pod, path)) = pod_of(object, kind) else { continue };
        for (list_name, init) in [("containers", false), ("initContainers", true)] {
            for (index, spec) in pod[list_name].as_array().into_iter().flatten().enumerate() {
                let container = Container { at: format!("{name} {path}.{list_name}[{index}]"), kind, init, pod, spec };
                for (rule, wrong) in RULES {
                    if let Some(message) = wrong(&container, strictness) {
                        broken.push(Broken { rule, at: container.at.clone(), message });
                    }
                }
            }
        }
    }
    broken
}

/// What stands at a JSON pointer, or null.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// The pod spec of an object and its path.
fn pod_of<'a>(object: &'a Value, kind: &str) -> Option<(&'a Value, &'static str)> {
    match kind {
        "Pod" => object.get("spec").map(|spec| (spec, "spec")),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => object.pointer("/spec/template/spec").map(|spec| (spec, "spec.template.spec")),
        "CronJob" => object.pointer("/spec/jobTemplate/spec/template/spec").map(|spec| (spec, "spec.jobTemplate.spec.template.spec")),
        _ => None,
    }
}

fn list(value: &Value) -> impl Iterator<Item = &str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  template:
    spec:
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: api
          image: localhost/todo/api:0123456789ab
          ports: [{containerPort: 8000}]
          env: [{name: LOG_LEVEL, value: info}, {name: JWT_SECRET, valueFrom: {secretKeyRef: {name: s, key: JWT_SECRET}}}]
          readinessProbe: {httpGet: {path: /ready, port: 8000}}
          livenessProbe: {httpGet: {path: /health, port: 8000}}
          resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 128Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
"#;

    fn check(from: &str, to: &str, rule: &str) {
        let text = GOOD.replace(from, to);
        assert!(from.is_empty() || text != GOOD, "{from}");
        let broken = judge(&documents(&text).unwrap(), Strictness::Local);
        assert_eq!(broken.iter().map(|broken| broken.rule).collect::<Vec<_>>(), if rule.is_empty() { vec![] } else { vec![rule] }, "{broken:?}");
    }

    #[test]
    fn every_rule_fires_on_its_own_change_alone() {
        check("", "", "");
        check("allowPrivilegeEscalation: false, ", "", "privilege_escalation");
        check("runAsNonRoot: true, ", "", "run_as_non_root");
        check("runAsUser: 10001", "runAsUser: 0", "run_as_root");
        check("readOnlyRootFilesystem: true", "privileged: true, readOnlyRootFilesystem: true", "privileged");
        check("readOnlyRootFilesystem: true, ", "", "read_only_root");
        check("RuntimeDefault", "Unconfined", "seccomp");
        check("drop: [ALL]", "drop: [NET_RAW]", "drop_capabilities");
        check("drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "drop_capabilities");
        check("automountServiceAccountToken: false", "automountServiceAccountToken: false\n      hostNetwork: true", "host_namespaces");
        check("automountServiceAccountToken: false", "automountServiceAccountToken: false\n      volumes: [{name: x, hostPath: {path: /}}]", "host_path");
        check("containerPort: 8000", "containerPort: 8000, hostPort: 80", "host_port");
        check("automountServiceAccountToken: false", "automountServiceAccountToken: true", "service_account_token");
        check("limits: {memory: 128Mi}", "limits: {}", "resources");
        check("          livenessProbe: {httpGet: {path: /health, port: 8000}}\n", "", "probes");
        check("path: /health", "path: /ready", "same_probe");
        check("httpGet: {path: /ready, port: 8000}", "tcpSocket: {port: 8000}", "");
        check(":0123456789ab", ":latest", "mutable_tag");
        check(":0123456789ab", "", "mutable_tag");
        check("name: LOG_LEVEL, value: info", "name: DB_PASSWORD, value: hunter2", "literal_secret");
    }

    #[test]
    fn a_service_without_a_health_route_may_be_asked_for_its_open_port_twice() {
        let open = "tcpSocket: {port: 8000}";
        let text = GOOD.replace("httpGet: {path: /ready, port: 8000}", open).replace("httpGet: {path: /health, port: 8000}", open);
        assert_eq!(judge(&documents(&text).unwrap(), Strictness::Local), vec![], "an open port depends on nothing else");
    }

    #[test]
    fn secrets_and_config_maps_hold_no_values() {
        let rule = |text: &str| judge(&documents(text).unwrap(), Strictness::Local).first().map(|broken| broken.rule);
        assert_eq!(rule("kind: Secret\nmetadata: {name: a}\nstringData: {x: y}\n"), Some("secret_values"));
        assert_eq!(rule("kind: Secret\nmetadata: {name: a}\n"), None);
        assert_eq!(rule("kind: ConfigMap\nmetadata: {name: a}\ndata: {JWT_SECRET: y}\n"), Some("secret_in_config_map"));
        assert_eq!(rule("kind: ConfigMap\nmetadata: {name: a}\ndata: {LOG_LEVEL: y}\n"), None);
        assert_eq!(rule("kind: Service\nmetadata: {name: a}\nspec: {type: LoadBalancer}\n"), Some("load_balancer"));
    }

    #[test]
    fn documents_are_split_and_comments_left_out() {
        assert_eq!(documents("---\n# Source: x\n---\nkind: A\n---\nkind: B\n").unwrap().len(), 2);
        assert_eq!(documents("a: [\n").unwrap_err().code, Code::RenderFailed);
    }
}
