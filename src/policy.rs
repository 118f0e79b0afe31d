//! What a rendered manifest must keep, as one table: restricted pod security, resources, probes, no literal secrets, no mutable tags; purely judged.

mod objects;
pub mod principles;
mod typed;

use crate::failure::{Code, Failure};
use serde_json::Value;
use std::collections::BTreeSet;

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
    ("duplicate_variable", |container, _| {
        let mut names = BTreeSet::new();
        let twice = container.spec["env"].as_array()?.iter().filter_map(|setting| setting["name"].as_str()).find(|name| !names.insert(*name))?;
        Some(format!("env {twice} is set twice"))
    }),
    ("probe_port", |container, _| {
        let ports: Vec<&Value> = container.spec["ports"].as_array().into_iter().flatten().flat_map(|port| [&port["name"], &port["containerPort"]]).collect();
        let asked = |probe: &Value| ["httpGet", "tcpSocket", "grpc"].into_iter().find_map(|kind| probe.get(kind)?.get("port").cloned());
        let (name, port) = ["startupProbe", "readinessProbe", "livenessProbe"]
            .into_iter()
            .filter_map(|name| Some((name, asked(container.spec.get(name)?)?)))
            .find(|(_, port)| !ports.contains(&port))?;
        Some(format!("{name} asks port {port}, which the container does not declare"))
    }),
    ("ssh_port", |container, _| container.spec["ports"].as_array()?.iter().any(|port| port["containerPort"] == 22).then(|| "the container offers SSH".into())),
    ("proc_mount", |container, _| {
        let mount = container.security("procMount").as_str()?;
        (mount != "Default").then(|| format!("procMount is {mount}"))
    }),
    ("host_process", |container, _| {
        let windows = container.either("windowsOptions").get("hostProcess") == Some(&Value::Bool(true));
        windows.then(|| "the container is a process of its host".into())
    }),
    ("sysctls", |container, _| {
        const SAFE: &[&str] = &[
            "kernel.shm_rmid_forced",
            "net.ipv4.ip_local_port_range",
            "net.ipv4.ip_unprivileged_port_start",
            "net.ipv4.tcp_syncookies",
            "net.ipv4.ping_group_range",
        ];
        let set = at(container.pod, "/securityContext/sysctls").as_array()?;
        let unsafe_one = set.iter().filter_map(|setting| setting["name"].as_str()).find(|name| !SAFE.contains(name))?;
        Some(format!("sysctl {unsafe_one} is not a safe one"))
    }),
    ("service_account_field", |container, _| {
        let old = container.pod.get("serviceAccount").is_some() && container.pod.get("serviceAccountName").is_none();
        old.then(|| "serviceAccount is the old name of serviceAccountName".into())
    }),
    ("cpu_limit", |container, strictness| {
        let missing = at(container.spec, "/resources/limits/cpu").is_null();
        (strictness == Strictness::Production && missing).then(|| "resources.limits.cpu is not set".into())
    }),
    ("pull_policy", |container, strictness| {
        let policy = container.spec["imagePullPolicy"].as_str().unwrap_or_default();
        (strictness == Strictness::Production && policy != "Always").then(|| "imagePullPolicy is not Always: who may not pull it may still run it".into())
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
            let secret = object["data"].as_object().into_iter().flatten().find(|(key, value)| {
                let text = value.as_str().unwrap_or_default();
                // The address of a file holds no password.
                crate::secret::looks_secret(text) || (crate::secret::secret_name(key) && !text.starts_with("sqlite"))
            });
            if let Some((key, _)) = secret {
                broken.push(Broken { rule: "secret_in_config_map", at: name.clone(), message: format!("key {key} looks secret") });
            }
        }
        if kind == "Service" && at(object, "/spec/type").as_str() == Some("LoadBalancer") {
            broken.push(Broken { rule: "load_balancer", at: name.clone(), message: "a LoadBalancer stays pending without minikube tunnel".into() });
        }
        broken.extend(typed::wrong_fields(object).into_iter().map(|message| Broken { rule: "unknown_field", at: name.clone(), message }));
        for (rule, wrong) in objects::RULES {
            broken.extend(wrong(object, objects, strictness).map(|message| Broken { rule, at: name.clone(), message }));
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
pub(crate) mod tests {
    use super::*;

    /// What keeps every rule, of a release `api`.
    pub(crate) const GOOD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: api}
spec:
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      serviceAccountName: api
      automountServiceAccountToken: false
      securityContext: {runAsNonRoot: true, runAsUser: 10001, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: api
          image: localhost/todo/api:0123456789ab
          ports: [{containerPort: 8000}]
          env: [{name: LOG_LEVEL, value: info}, {name: JWT_SECRET, valueFrom: {secretKeyRef: {name: s, key: JWT_SECRET}}}]
          readinessProbe: {httpGet: {path: /ready, port: 8000}}
          livenessProbe: {httpGet: {path: /health, port: 8000}}
          resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {cpu: 1, memory: 128Mi}}
          securityContext: {allowPrivilegeEscalation: false, privileged: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: api}
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
        check("privileged: false", "privileged: true", "privileged");
        check("readOnlyRootFilesystem: true, ", "", "read_only_root");
        check("RuntimeDefault", "Unconfined", "seccomp");
        check("drop: [ALL]", "drop: [NET_RAW]", "drop_capabilities");
        check("drop: [ALL]", "drop: [ALL], add: [SYS_ADMIN]", "drop_capabilities");
        check("automountServiceAccountToken: false", "automountServiceAccountToken: false\n      hostNetwork: true", "host_namespaces");
        check("automountServiceAccountToken: false", "automountServiceAccountToken: false\n      volumes: [{name: x, hostPath: {path: /}}]", "host_path");
        check("containerPort: 8000", "containerPort: 8000, hostPort: 80", "host_port");
        check("automountServiceAccountToken: false", "automountServiceAccountToken: true", "service_account_token");
        check("limits: {cpu: 1, memory: 128Mi}", "limits: {cpu: 1}", "resources");
        check("limits: {cpu: 1, memory: 128Mi}", "limits: {memory: 128Mi}", "");
        check("          livenessProbe: {httpGet: {path: /health, port: 8000}}\n", "", "probes");
        check("path: /health", "path: /ready", "same_probe");
        check("httpGet: {path: /ready, port: 8000}", "tcpSocket: {port: 8000}", "");
        check(":0123456789ab", ":latest", "mutable_tag");
        check(":0123456789ab", "", "mutable_tag");
        check("name: LOG_LEVEL, value: info", "name: DB_PASSWORD, value: hunter2", "literal_secret");
        check("name: LOG_LEVEL, value: info", "name: JWT_SECRET, value: ''", "duplicate_variable");
        check("path: /ready, port: 8000", "path: /ready, port: http", "probe_port");
        check("containerPort: 8000", "containerPort: 8000}, {containerPort: 22", "ssh_port");
        check("privileged: false, ", "privileged: false, procMount: Unmasked, ", "proc_mount");
        check("privileged: false, ", "privileged: false, windowsOptions: {hostProcess: true}, ", "host_process");
        check("runAsUser: 10001,", "runAsUser: 10001, sysctls: [{name: kernel.msgmax, value: '1'}],", "sysctls");
        check("serviceAccountName: api", "serviceAccount: api", "service_account_field");
        check("name: api\n          image", "nmae: x\n          name: api\n          image", "unknown_field");
    }

    #[test]
    fn what_only_production_asks_for_is_not_asked_for_here() {
        let rules = |text: &str| judge(&documents(text).unwrap(), Strictness::Production).into_iter().map(|broken| broken.rule).collect::<Vec<_>>();
        assert!(rules(&GOOD.replace("cpu: 1,", "")).contains(&"cpu_limit"));
        for rule in ["pull_policy", "digest_in_production"] {
            assert!(rules(GOOD).contains(&rule), "{rule}");
        }
        let pulled = GOOD.replace("ports: [", "imagePullPolicy: Always\n          ports: [").replace(":0123456789ab", &format!(":1@sha256:{}", "0".repeat(64)));
        for rule in ["pull_policy", "digest_in_production"] {
            assert!(!rules(&pulled).contains(&rule), "{rule}");
        }
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
        assert_eq!(rule("kind: ConfigMap\nmetadata: {name: a}\ndata: {DATABASE_URL: 'postgresql://db/notes'}\n"), Some("secret_in_config_map"));
        assert_eq!(rule("kind: ConfigMap\nmetadata: {name: a}\ndata: {DATABASE_URL: 'sqlite:////data/notes.db'}\n"), None);
        assert_eq!(rule("kind: Service\nmetadata: {name: a}\nspec: {type: LoadBalancer}\n"), Some("load_balancer"));
    }

    #[test]
    fn documents_are_split_and_comments_left_out() {
        assert_eq!(documents("---\n# Source: x\n---\nkind: A\n---\nkind: B\n").unwrap().len(), 2);
        assert_eq!(documents("a: [\n").unwrap_err().code, Code::RenderFailed);
    }
}
