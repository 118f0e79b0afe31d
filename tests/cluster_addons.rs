//! minikube's addons on a real cluster: images that go through its registry, metrics-server switched on by a deploy; each addon ends as it was.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "tests may stop at the first surprise"
)]

#[path = "cluster/app.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with other tests on the cluster")]
mod app;

use app::{App, Said, output};
use serde_json::Value;
use std::process::Command;
use std::sync::Mutex;

/// Addons are the cluster's: one test at a time switches them.
static ADDONS: Mutex<()> = Mutex::new(());

fn is_on(profile: &str, addon: &str) -> bool {
    let listed: Value = serde_json::from_str(&output("minikube", &["addons", "list", "-o", "json", "-p", profile])).unwrap();
    listed[addon]["Status"] == "enabled"
}

/// An addon that is off, and is put back at the end, however that comes.
struct Off {
    profile: String,
    addon: &'static str,
    was: bool,
}

impl Off {
    fn of(profile: &str, addon: &'static str) -> Self {
        let was = is_on(profile, addon);
        if was {
            output("minikube", &["addons", "disable", addon, "-p", profile]);
        }
        Self { profile: profile.to_owned(), addon, was }
    }
}

impl Drop for Off {
    fn drop(&mut self) {
        let verb = if self.was { "enable" } else { "disable" };
        let _ = Command::new("minikube").args(["addons", verb, self.addon, "-p", &self.profile]).output();
    }
}

fn check<'a>(said: &'a Said, id: &str) -> &'a Value {
    let gates = said.reply["gates"].as_array().unwrap_or_else(|| panic!("{said:?}"));
    let mut checks = gates.iter().flat_map(|gate| gate["checks"].as_array().into_iter().flatten());
    checks.find(|check| check["id"] == id).unwrap_or_else(|| panic!("no {id} in {said:?}"))
}

fn enables(asked: &Said, addon: &str) -> bool {
    asked.reply["approval"]["summary"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|line| line.as_str().unwrap().contains(&format!("enable the Minikube addon {addon}")))
}

#[test]
fn long_an_app_goes_through_the_registry_addon() {
    let _one = ADDONS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut app = App::stock("pushed");
    let off = Off::of(&app.profile, "registry");
    app.edit("landfall.toml", "[gates]", "[cluster]\ndelivery = \"registry\"\n\n[gates]");
    let asked = app.deploy_with(&[], None);
    if asked.reply["code"] == "NOT_SUPPORTED" {
        assert!(asked.reply["help"].as_str().unwrap().contains("remove delivery"), "{asked:?}");
        let nodes = output("kubectl", &["get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.containerRuntimeVersion}"]);
        assert!(!nodes.contains("docker://"), "{nodes}");
        return;
    }
    assert!(enables(&asked, "registry"), "the plan names what it switches on");
    let first = app.deploy_verified(1);
    assert!(is_on(&off.profile, "registry"));
    let pushed = check(&first, "docker.pushed")["evidence"][0]["text"].as_str().unwrap().to_owned();
    assert_eq!(check(&first, "docker.pullable")["outcome"], "pass");
    app.step("an image is pushed to the registry addon and pulled from it by digest");

    let image = app.kubectl(&["get", "deployment", "stock", "-o", "jsonpath={.spec.template.spec.containers[0].image}"]);
    assert!(image.starts_with("localhost:5000/") && image.ends_with(&format!("@{pushed}")), "{image} {pushed}");
    let running = app.kubectl(&["get", "pods", "-o", "jsonpath={.items[0].status.containerStatuses[0].imageID}"]);
    assert!(running.ends_with(&pushed), "{running} {pushed}");
    let again = app.deploy_with(&[], None);
    assert!(again.reply["summary"].as_str().unwrap().contains("nothing was touched"), "{}", again.reply["summary"]);
    app.step("pods run it by that digest, and the same sources are the same plan");

    output("kubectl", &["-n", "kube-system", "scale", "deployment", "registry", "--replicas=0"]);
    output("kubectl", &["-n", "kube-system", "wait", "pod", "-l", "actual-registry=true", "--for=delete", "--timeout=60s"]);
    app.edit("stock/main.py", "\"bread\", \"salt\"", "\"bread\", \"salt\", \"soap\"");
    let refused = app.deploy();
    output("kubectl", &["-n", "kube-system", "scale", "deployment", "registry", "--replicas=1"]);
    assert_eq!((refused.code, check(&refused, "docker.pushed")["outcome"].as_str()), (3, Some("fail")), "{} · {}", refused.reply["summary"], refused.words);
    assert_eq!(check(&refused, "docker.pullable")["outcome"], "not_run");
    assert_eq!(app.revisions("stock"), ["1 deployed"], "and nothing is upgraded");
    app.step("a registry that takes nothing refuses the docker gate");
    drop(off);
}

#[test]
fn long_metrics_server_is_switched_on_by_a_deploy_and_its_figures_arrive() {
    let _one = ADDONS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut app = App::stock("measured");
    let off = Off::of(&app.profile, "metrics-server");
    let asked = app.deploy_with(&[], None);
    assert!(enables(&asked, "metrics-server"), "{asked:?}");
    let first = app.deploy_verified(1);
    assert!(is_on(&off.profile, "metrics-server"));
    let metrics = check(&first, "validation.metrics");
    assert_eq!(metrics["outcome"], "pass", "{metrics}");
    assert!(metrics["evidence"].to_string().contains("MiB of"), "{metrics}");
    app.step("a deploy switches metrics-server on and waits for the figures of its pods");
}

/// The types of the Prometheus operator, as far as the API server must know them; gone at the end.
struct Types;

impl Types {
    const KINDS: [(&str, &str); 4] =
        [("ServiceMonitor", "servicemonitors"), ("PrometheusRule", "prometheusrules"), ("Prometheus", "prometheuses"), ("Alertmanager", "alertmanagers")];

    fn apply(folder: &std::path::Path) -> Self {
        let definition = |(kind, plural): &(&str, &str)| {
            serde_json::json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": { "name": format!("{plural}.monitoring.coreos.com") },
                "spec": { "group": "monitoring.coreos.com", "scope": "Namespaced", "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase(), "listKind": format!("{kind}List") },
                    "versions": [{ "name": "v1", "served": true, "storage": true,
                        "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] } })
        };
        let all = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": Self::KINDS.iter().map(definition).collect::<Vec<_>>() });
        let file = folder.join("types.json");
        std::fs::write(&file, all.to_string()).unwrap();
        output("kubectl", &["apply", "-f", file.to_str().unwrap()]);
        let gone = Self;
        output(
            "kubectl",
            &[&["wait", "--for=condition=Established", "--timeout=60s"][..], &Self::names().iter().map(String::as_str).collect::<Vec<_>>()].concat(),
        );
        gone
    }

    fn names() -> Vec<String> {
        Self::KINDS.iter().map(|(_, plural)| format!("crd/{plural}.monitoring.coreos.com")).collect()
    }
}

impl Drop for Types {
    fn drop(&mut self) {
        let _ = Command::new("kubectl").args(["delete", "--wait=false", "--ignore-not-found"]).args(Self::names()).output();
    }
}

#[test]
fn long_alert_rules_are_deployed_where_the_operators_types_are_and_nobody_is_said_to_be_told_without_anybody() {
    let _one = ADDONS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut app = App::stock("watched");
    let first = app.deploy_verified(1);
    let alerts = check(&first, "validation.alerts");
    assert_eq!(alerts["outcome"], "not_run");
    assert!(alerts["reason"].as_str().unwrap().contains("nothing could receive an alert"), "{alerts}");
    app.step("without the operator nobody is told, and the report says so");

    let types = Types::apply(app.state.path());
    app.deploy_verified(2);
    let rules = app.kubectl(&["get", "prometheusrules", "stock", "-o", "jsonpath={.spec.groups[0].rules[*].alert}"]);
    assert_eq!(rules, "Down CrashLoop");
    app.step("alert rules are part of the release where the operator's types exist");

    for kind in ["Prometheus", "Alertmanager"] {
        let object = serde_json::json!({ "apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": { "name": "here", "namespace": app.name } });
        let file = app.state.path().join("object.json");
        std::fs::write(&file, object.to_string()).unwrap();
        output("kubectl", &["apply", "-f", file.to_str().unwrap()]);
    }
    let here = app.root().to_str().unwrap().to_owned();
    let validated = app.run(&["validate", &here, "--json", "--profile", &app.profile]);
    assert_eq!(check(&validated, "validation.alerts")["outcome"], "pass", "{validated:?}");
    app.step("with somebody who reads and somebody who is told, it is seen");
    drop(types);
}
