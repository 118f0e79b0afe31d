//! Every rendered chart through the real helm of the machine that has the cluster.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "tests may stop at the first surprise"
)]

#[path = "render/application.rs"]
mod application;

use application::{HOSTILE, blueprint, environments, service, survey, tags};
use landfall::render::charts;
use landfall::survey::Kind;

/// Every chart through the real program: lint, and rendering with each values file.
#[test]
fn helm_takes_every_chart() {
    let helm = std::ffi::OsString::from("helm");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(&helm).args(arguments).output().expect("helm runs");
        assert!(output.status.success(), "helm {arguments:?}: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let toml = HOSTILE
        .iter()
        .enumerate()
        .map(|(at, hostile)| format!("ODD_{at} = {}\n", serde_json::to_string(&hostile.replace(['\0', '\u{feff}', '\u{2028}'], "")).unwrap()))
        .collect::<String>();
    let mut survey = survey();
    service(&mut survey, "docs").kind = Kind::Job;
    let blueprint = blueprint(&survey, &format!("[service.docs]\nstart = \"node job.js\"\n[service.mcp.env]\n{toml}"));
    for file in charts(&blueprint, &environments(), &tags(&blueprint)) {
        let path = folder.path().join(&file.path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    for workload in &blueprint.workloads {
        let name = workload.name.as_str();
        let chart = folder.path().join(landfall::render::chart_folder(&workload.name)).display().to_string();
        run(&["lint", "--strict", &chart]);
        for environment in ["minikube", "prod"] {
            let values = format!("{chart}/values-{environment}.yaml");
            run(&["lint", "--strict", &chart, "--values", &values]);
            for kubernetes in ["1.25.0", "1.34.0"] {
                let base = ["template", name, &chart, "--namespace", "notes", "--kube-version", kubernetes, "--values", &values];
                let text = run(&base);
                for document in text.split("\n---\n").filter(|document| document.contains("kind:")) {
                    let object: serde_json::Value =
                        serde_saphyr::from_str(document.trim_start_matches("---\n")).unwrap_or_else(|error| panic!("{error}: {document}"));
                    assert_eq!(object.pointer("/metadata/namespace").and_then(|value| value.as_str()), Some("notes"), "{document}");
                    if object.pointer("/kind").is_some_and(|kind| kind == "ConfigMap") && name == "mcp" {
                        for (at, hostile) in HOSTILE.iter().enumerate() {
                            let expect = hostile.replace(['\0', '\u{feff}', '\u{2028}'], "");
                            assert_eq!(object.pointer(&format!("/data/ODD_{at}")).and_then(|value| value.as_str()), Some(expect.as_str()));
                        }
                    }
                }
                // Everything switched on at once.
                run(&[&base[..], &["--set", "autoscaling.enabled=true,podDisruptionBudget.enabled=true,ingress.enabled=true,networkPolicy.anybody=true,service.type=NodePort,service.nodePort=30080,persistence.enabled=true"]].concat());
            }
        }
        // The schema refuses what it does not know.
        let refused = std::process::Command::new(&helm).args(["template", name, &chart, "--kube-version", "1.34.0", "--set", "replicaz=2"]).output().unwrap();
        assert!(!refused.status.success());
    }
}

#[test]
fn what_watches_the_app_is_rendered_for_what_the_cluster_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut survey = survey();
    service(&mut survey, "api").dependencies.insert("express-prom-bundle".to_owned(), "8.0.0".to_owned());
    let mut blueprint = blueprint(&survey, "[gates]\nlatency_p95_ms = 300\n");
    let mut rendered = |name: &str, operator: bool| {
        blueprint.monitoring.operator = operator;
        for file in charts(&blueprint, &environments(), &tags(&blueprint)) {
            let path = folder.path().join(&file.path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &file.text).unwrap();
        }
        let chart = folder.path().join("deploy/charts").join(name);
        let values = chart.join("values-minikube.yaml");
        let output =
            std::process::Command::new("helm").args(["template", name]).arg(&chart).args(["--namespace", "notes", "--values"]).arg(&values).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let has = |text: &str, words: &[&str]| words.iter().map(|word| text.contains(word)).collect::<Vec<_>>();
    let words = ["prometheus.io/scrape", "kind: ServiceMonitor", "kind: PrometheusRule", "alert: Slow"];
    assert_eq!(has(&rendered("api", false), &words), [true, false, false, false]);
    let api = rendered("api", true);
    assert_eq!(has(&api, &words), [false, true, true, true], "{api}");
    assert!(api.contains("* 1000 > 300") && api.contains("alert: CrashLoop") && api.contains("alert: Down"), "{api}");
    // A program that serves no metrics is watched by what Kubernetes itself counts.
    assert_eq!(has(&rendered("mcp", false), &words), [false, false, false, false]);
    assert_eq!(has(&rendered("mcp", true), &words), [false, false, true, false]);
    assert!(!rendered("mcp", true).contains("alert: VolumeFull"), "it has no volume");
    assert!(rendered("postgres", true).contains("alert: VolumeFull"));
}
