//! Rules about whole objects and what they say of each other, as one table: names that must meet, budgets that must let a node be drained, rights that nobody should have.

use super::{Strictness, at, pod_of};
use serde_json::Value;

/// A rule answers what is wrong with an object among all that are rendered with it, or nothing.
type Rule = (&'static str, fn(&Value, &[Value], Strictness) -> Option<String>);

/// Rules of one object.
pub(super) const RULES: &[Rule] = &[
    ("old_api", |object, _, _| {
        let version = object["apiVersion"].as_str()?;
        (version.starts_with("extensions/") || version.contains("beta")).then(|| format!("{version} is gone or going"))
    }),
    ("selector_misses_its_pods", |object, _, _| {
        let labels = at(object, "/spec/template/metadata/labels");
        let wanted = at(object, "/spec/selector/matchLabels").as_object().filter(|_| runs_on(object))?;
        wanted.iter().any(|(name, value)| labels.get(name) != Some(value)).then(|| "the selector does not fit the pod's own labels".into())
    }),
    ("dangling_service", |object, all, _| {
        let selector = at(object, "/spec/selector").as_object().filter(|selector| object["kind"] == "Service" && !selector.is_empty())?;
        (!all.iter().any(|other| chosen(selector, other))).then(|| "no pod that is rendered with it has the labels that it selects".into())
    }),
    ("target_port", |object, all, _| {
        let selector = at(object, "/spec/selector").as_object().filter(|_| object["kind"] == "Service")?;
        let pod = all.iter().filter(|other| chosen(selector, other)).find_map(|other| pod_of(other, other["kind"].as_str().unwrap_or_default()))?.0;
        let ports = || pod["containers"].as_array().into_iter().flatten().flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let known = |target: &Value| ports().any(|port| port["name"] == *target || port["containerPort"] == *target);
        let missing = at(object, "/spec/ports").as_array()?.iter().map(|port| port.get("targetPort").unwrap_or(&port["port"])).find(|target| !known(target))?;
        Some(format!("targetPort {missing} is no port of its pods"))
    }),
    ("service_account_missing", |object, all, strictness| {
        let name = pod_of(object, object["kind"].as_str()?)?.0["serviceAccountName"].as_str().filter(|name| *name != "default")?;
        let there = all.iter().any(|other| other["kind"] == "ServiceAccount" && at(other, "/metadata/name") == name && namespace(other) == namespace(object));
        (strictness == Strictness::Production && !there).then(|| format!("ServiceAccount/{name} is not rendered with it"))
    }),
    ("budget_blocks", |object, all, _| {
        let budget = at(object, "/spec");
        if object["kind"] != "PodDisruptionBudget" {
            return None;
        }
        if matches!(&budget["maxUnavailable"], Value::Number(number) if number.as_i64() == Some(0)) || budget["maxUnavailable"] == "0%" {
            return Some("maxUnavailable 0 lets no node be drained".into());
        }
        if budget["minAvailable"] == "100%" {
            return Some("minAvailable 100% lets no node be drained".into());
        }
        let least = budget["minAvailable"].as_i64()?;
        let selector = at(budget, "/selector/matchLabels").as_object()?;
        let workload = all.iter().find(|other| runs_on(other) && chosen(selector, other))?;
        let scaled =
            all.iter().find(|other| other["kind"] == "HorizontalPodAutoscaler" && at(other, "/spec/scaleTargetRef/name") == at(workload, "/metadata/name"));
        let replicas =
            scaled.map_or_else(|| at(workload, "/spec/replicas").as_i64().unwrap_or(1), |scaler| at(scaler, "/spec/minReplicas").as_i64().unwrap_or(1));
        (least >= replicas).then(|| format!("minAvailable {least} of {replicas} lets no node be drained"))
    }),
    ("budget_keeps_broken_pods", |object, _, strictness| {
        let asked = object["kind"] == "PodDisruptionBudget" && strictness == Strictness::Production;
        (asked && at(object, "/spec/unhealthyPodEvictionPolicy").is_null())
            .then(|| "unhealthyPodEvictionPolicy is not set: broken pods keep a node from being drained".into())
    }),
    ("scaler_range", |object, _, _| {
        let (least, most) = (at(object, "/spec/minReplicas").as_i64(), at(object, "/spec/maxReplicas").as_i64());
        if object["kind"] != "HorizontalPodAutoscaler" {
            return None;
        }
        if least.unwrap_or(1) < 2 {
            return Some("minReplicas below 2: the one pod that is left ends with its node".into());
        }
        (most <= least).then(|| "maxReplicas is not above minReplicas: nothing is scaled".into())
    }),
    ("replicas_beside_scaler", |object, all, _| {
        let scaled = |other: &Value| other["kind"] == "HorizontalPodAutoscaler" && at(other, "/spec/scaleTargetRef/name") == at(object, "/metadata/name");
        (runs_on(object) && at(object, "/spec/replicas").is_number() && all.iter().any(scaled))
            .then(|| "replicas is set beside a scaler: each upgrade would undo it".into())
    }),
    ("claim_with_rolling_update", |object, _, _| {
        let claims = at(object, "/spec/template/spec/volumes").as_array()?.iter().any(|volume| volume.get("persistentVolumeClaim").is_some());
        let rolling = object["kind"] == "Deployment" && at(object, "/spec/strategy/type") != "Recreate";
        (claims && rolling).then(|| "two pods write to one claim during an update: strategy Recreate".into())
    }),
    ("pod_exec_rights", |object, _, _| {
        let holds = |rule: &Value, field: &str, names: &[&str]| {
            rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).any(|name| names.contains(&name))
        };
        let rules = object["rules"].as_array().filter(|_| matches!(object["kind"].as_str(), Some("Role" | "ClusterRole")))?;
        let found = rules.iter().any(|rule| holds(rule, "resources", &["pods/exec", "pods/attach", "*"]) && holds(rule, "verbs", &["create", "get", "*"]));
        found.then(|| "it may enter every pod".into())
    }),
    ("cluster_admin", |object, _, _| {
        let binding = matches!(object["kind"].as_str(), Some("RoleBinding" | "ClusterRoleBinding"));
        (binding && at(object, "/roleRef/name") == "cluster-admin").then(|| "it may do everything in the cluster".into())
    }),
    // What matters to many nodes and many people; one machine's cluster has neither.
    ("one_replica", |object, all, strictness| {
        let scaled = all.iter().any(|other| other["kind"] == "HorizontalPodAutoscaler");
        let kept = at(object, "/spec/strategy/type") == "Recreate" || at(object, "/metadata/annotations/landfall~1one-replica").is_string();
        let few = at(object, "/spec/replicas").as_i64().unwrap_or(1) < 2;
        (production(object, strictness) && few && !scaled && !kept).then(|| "one replica ends with its node".into())
    }),
    ("no_anti_affinity", |object, _, strictness| {
        let many = at(object, "/spec/replicas").as_i64().unwrap_or(1) > 1;
        let apart = at(object, "/spec/template/spec/affinity/podAntiAffinity");
        (production(object, strictness) && many && apart.is_null()).then(|| "its pods may all stand on one node".into())
    }),
    ("no_topology_spread", |object, _, strictness| {
        let spread = at(object, "/spec/template/spec/topologySpreadConstraints");
        (production(object, strictness) && spread.as_array().is_none_or(Vec::is_empty)).then(|| "topologySpreadConstraints is not set".into())
    }),
    ("no_budget", |object, all, strictness| {
        let many = at(object, "/spec/replicas").as_i64().unwrap_or(1) > 1;
        let covers = |other: &Value| {
            other["kind"] == "PodDisruptionBudget" && at(other, "/spec/selector/matchLabels").as_object().is_some_and(|selector| chosen(selector, object))
        };
        (production(object, strictness) && many && !all.iter().any(covers)).then(|| "no PodDisruptionBudget covers its pods".into())
    }),
    ("no_network_policy", |object, all, strictness| {
        let covers = |other: &Value| {
            other["kind"] == "NetworkPolicy" && at(other, "/spec/podSelector/matchLabels").as_object().is_none_or(|selector| chosen(selector, object))
        };
        (strictness == Strictness::Production && pod_of(object, object["kind"].as_str()?).is_some() && !all.iter().any(covers))
            .then(|| "no NetworkPolicy covers its pods".into())
    }),
    ("name_and_instance", |object, _, strictness| {
        let instance = at(object, "/metadata/labels/app.kubernetes.io~1instance").as_str()?;
        (production(object, strictness) && at(object, "/metadata/name") != instance).then(|| format!("its name is not its instance label {instance}"))
    }),
    ("job_stays", |object, _, strictness| {
        let stays = object["kind"] == "Job" && at(object, "/spec/ttlSecondsAfterFinished").is_null();
        (strictness == Strictness::Production && stays).then(|| "ttlSecondsAfterFinished is not set: finished Jobs pile up".into())
    }),
    ("no_tls", |object, _, strictness| {
        let open = object["kind"] == "Ingress" && at(object, "/spec/tls").as_array().is_none_or(Vec::is_empty);
        (strictness == Strictness::Production && open).then(|| "the Ingress has no tls".into())
    }),
];

fn production(object: &Value, strictness: Strictness) -> bool {
    strictness == Strictness::Production && runs_on(object)
}

/// True for what keeps pods running.
fn runs_on(object: &Value) -> bool {
    matches!(object["kind"].as_str(), Some("Deployment" | "StatefulSet"))
}

fn namespace(object: &Value) -> &Value {
    at(object, "/metadata/namespace")
}

/// True where the pods of an object have all of the labels.
fn chosen(selector: &serde_json::Map<String, Value>, object: &Value) -> bool {
    let labels = match object["kind"].as_str() {
        Some("Pod") => at(object, "/metadata/labels"),
        Some("CronJob") => at(object, "/spec/jobTemplate/spec/template/metadata/labels"),
        _ => at(object, "/spec/template/metadata/labels"),
    };
    labels.is_object() && selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::super::{documents, judge};
    use super::*;

    /// Everything that production asks for, small.
    const GOOD: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, labels: {app.kubernetes.io/instance: api}}
spec:
  replicas: 2
  selector: {matchLabels: {app: api}}
  template:
    metadata: {labels: {app: api}}
    spec:
      serviceAccountName: api
      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: ScheduleAnyway}]
      affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
      containers: [{name: api, ports: [{name: http, containerPort: 8000}]}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: api}
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {selector: {app: api}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: api}
spec: {maxUnavailable: 1, unhealthyPodEvictionPolicy: AlwaysAllow, selector: {matchLabels: {app: api}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: api}
spec: {podSelector: {matchLabels: {app: api}}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec: {ttlSecondsAfterFinished: 60, template: {metadata: {labels: {app: api}}, spec: {containers: []}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: api}
spec: {tls: [{hosts: [a.example]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: api}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]
";

    fn rules(text: &str, strictness: Strictness) -> Vec<&'static str> {
        let own: Vec<&str> = RULES.iter().map(|(rule, _)| *rule).collect();
        judge(&documents(text).unwrap(), strictness).into_iter().map(|broken| broken.rule).filter(|rule| own.contains(rule)).collect()
    }

    fn check(from: &str, to: &str, rule: &str) {
        let text = GOOD.replacen(from, to, 1);
        assert!(text != GOOD, "{from}");
        assert_eq!(rules(&text, Strictness::Production), [rule], "{from} → {to}");
    }

    const SCALER: &str = "---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: api}\nspec: {scaleTargetRef: {kind: Deployment, name: api}, minReplicas: 2, maxReplicas: 4}\n";

    #[test]
    fn every_rule_fires_on_its_own_change_alone() {
        assert_eq!(rules(GOOD, Strictness::Production), [""; 0]);
        check("networking.k8s.io/v1\nkind: Ingress", "networking.k8s.io/v1beta1\nkind: Ingress", "old_api");
        check("selector: {matchLabels: {app: api}}\n  template", "selector: {matchLabels: {app: other}}\n  template", "selector_misses_its_pods");
        check("spec: {selector: {app: api}, ports", "spec: {selector: {app: other}, ports", "dangling_service");
        check("targetPort: http", "targetPort: https", "target_port");
        check("targetPort: http", "targetPort: 81", "target_port");
        check("kind: ServiceAccount\nmetadata: {name: api}", "kind: ServiceAccount\nmetadata: {name: other}", "service_account_missing");
        check("maxUnavailable: 1", "maxUnavailable: 0", "budget_blocks");
        check("maxUnavailable: 1", "minAvailable: 2", "budget_blocks");
        check("maxUnavailable: 1", "minAvailable: 100%", "budget_blocks");
        check(", unhealthyPodEvictionPolicy: AlwaysAllow", "", "budget_keeps_broken_pods");
        check(
            "containers: [{name: api",
            "volumes: [{name: d, persistentVolumeClaim: {claimName: d}}]\n      containers: [{name: api",
            "claim_with_rolling_update",
        );
        check("resources: [configmaps]", "resources: [pods/exec]", "pod_exec_rights");
        check("kind: Role\n", "kind: RoleBinding\nroleRef: {name: cluster-admin}\n", "cluster_admin");
        check("replicas: 2", "replicas: 1", "one_replica");
        check("podAntiAffinity:", "podAffinity:", "no_anti_affinity");
        check("      topologySpread", "      # topologySpread", "no_topology_spread");
        check("AlwaysAllow, selector: {matchLabels: {app: api}}", "AlwaysAllow, selector: {matchLabels: {app: x}}", "no_budget");
        check("app.kubernetes.io/instance: api", "app.kubernetes.io/instance: rel", "name_and_instance");
        check("ttlSecondsAfterFinished: 60, ", "", "job_stays");
        check("tls: [{hosts: [a.example]}]", "tls: []", "no_tls");
        let uncovered = GOOD.replace("podSelector: {matchLabels: {app: api}}", "podSelector: {matchLabels: {app: x}}");
        assert_eq!(rules(&uncovered, Strictness::Production), ["no_network_policy"; 2]);
    }

    #[test]
    fn a_scaler_has_a_range_and_the_replicas_to_itself() {
        let free = GOOD.replace("  replicas: 2\n", "");
        assert_eq!(rules(&format!("{free}{SCALER}"), Strictness::Production), [""; 0]);
        assert_eq!(rules(&format!("{GOOD}{SCALER}"), Strictness::Production), ["replicas_beside_scaler"]);
        assert_eq!(rules(&format!("{free}{}", SCALER.replace("maxReplicas: 4", "maxReplicas: 2")), Strictness::Production), ["scaler_range"]);
        assert_eq!(rules(&format!("{free}{}", SCALER.replace("minReplicas: 2", "minReplicas: 1")), Strictness::Production), ["scaler_range"]);
    }

    #[test]
    fn one_machine_is_not_asked_for_what_needs_many() {
        let small = GOOD.replace("replicas: 2", "replicas: 1").replace("tls: [{hosts: [a.example]}]", "tls: []").replace("ttlSecondsAfterFinished: 60, ", "");
        assert_eq!(rules(&small, Strictness::Local), [""; 0]);
    }
}
