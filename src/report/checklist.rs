//! What a Phase IV deployment has to show, row by row, and the checks that show it: the one table behind the verdict's checklist and docs/checks.md.

use crate::evidence::GateName;

/// What shows a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Checks at the gates; a name of `FAMILIES` stands for all that begin with it.
    Checks(&'static [&'static str]),
    /// How the engine is made: no single check shows it, a test does.
    Made(&'static str),
    /// A report says it.
    Report(&'static str),
}

/// A row of the checklist.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub id: &'static str,
    pub what: &'static str,
    pub shown: Shown,
}

/// Every check that a gate can hold, in the order in which they are run, with what it asks.
pub const CHECKS: &[(&str, &str)] = &[
    ("docker.proposal", "a Dockerfile that an advisor proposes keeps the rules for other people's Dockerfiles"),
    ("docker.builds", "the image was built from exactly this input"),
    ("docker.non_root", "the image runs as a numeric user other than 0"),
    ("docker.no_secrets", "no layer and no setting holds something of a credential's shape"),
    ("docker.starts", "the image starts without network and write access, or ends for want of another service"),
    ("docker.scan", "a scanner finds no critical vulnerability; not run without a scanner"),
    ("docker.size", "the image is within the budget"),
    ("docker.on_node", "every node has the image by its id, so that pods need no pull"),
    ("docker.pushed", "the registry addon took the image, and tells its digest; only with delivery = \"registry\""),
    ("docker.pullable", "every node pulled that very image from the registry by its digest; only with delivery = \"registry\""),
    ("helm.proposal", "values that an advisor proposes bring no secret and change neither images nor objects"),
    ("helm.lint", "helm lint --strict finds nothing"),
    ("helm.schema", "the values schema refuses a wrong type and an unknown key"),
    ("helm.renders", "the chart renders with the values of every environment"),
    ("helm.policy", "every rendered object keeps the policy table"),
    ("helm.no_secrets", "no secret's value is in a tracked file or a rendered object"),
    ("helm.constitution", "a principle of the constitution that a machine can keep is kept, and quoted"),
    ("helm.dry_run", "the API server takes every object in a strict dry run"),
    ("helm.packaged", "helm packages the chart, with its digest"),
    ("rollback.rehearsed", "before a verified revision is replaced, the API server would take the kept copy of it"),
    ("kubernetes.created", "every object of the release exists and its controller has seen it"),
    ("kubernetes.pods_ready", "every pod of the newest template is ready"),
    ("kubernetes.no_restarts", "no container restarts for the whole window"),
    ("kubernetes.endpoints", "every Service has a ready address"),
    ("kubernetes.image_id", "every pod runs the image that was built"),
    ("kubernetes.references", "every Secret, ConfigMap and claim that pods name exists"),
    ("validation.http", "every health route answers 2xx or 3xx through a forwarded port"),
    ("validation.ready", "a workload without HTTP answers its own readiness question"),
    ("validation.outside", "what is offered outside the cluster answers from this machine: its node port or its Ingress"),
    ("validation.browser", "the scripts of a website call no address that a browser does not reach"),
    ("validation.inside", "the route answers from inside the pods that call it, by the Service's name"),
    ("validation.completed", "a program that ends has ended well"),
    ("validation.scheduled", "a program of a schedule has the schedule that was asked for, and is not suspended"),
    ("validation.latency", "95 of 100 requests are answered within the budget"),
    ("validation.environment", "the running process has every variable, with the right value"),
    ("validation.keys", "a container takes every key of the release's ConfigMaps and Secrets; not required"),
    ("validation.smoke", "a request of landfall.toml answers as expected"),
    ("validation.mcp_handshake", "the MCP server answers initialize with its caller's Host header"),
    ("validation.mcp_tools", "the server lists every tool that its sources declare"),
    ("validation.mcp_spec", "the server lists every tool that the specs name; one that is in no spec is told, and refuses nothing"),
    ("validation.mcp_call", "tools can be called and answer without an error"),
    ("validation.mcp_schema", "what tools answer is what their output schemas say"),
    ("validation.mcp_write", "a row that one tool adds is shown by another and taken away by a third; only where a write is allowed"),
    ("validation.mcp_chat", "a chat message leads to a call of a tool and a changed row; with a scripted model unless landfall.toml says otherwise"),
    ("validation.mcp_offered", "the chatbot gives its model every tool that the server lists"),
    ("validation.mcp_from_caller", "the handshake works from inside the pods that call the server"),
    ("validation.logs", "the log of the window shows no error that the taxonomy knows"),
    ("validation.metrics", "metrics-server has figures for the pod, below its memory limit"),
    ("validation.exposed", "the route that serves metrics answers in Prometheus' format"),
    ("validation.alerts", "the Prometheus operator has somebody who reads the rules and somebody who is told"),
];

/// Names that stand for several checks: `validation.mcp` for `validation.mcp_call`, `validation.smoke` for `validation.smoke.login`.
const FAMILIES: [&str; 3] = ["validation.mcp", "validation.smoke", "helm.constitution"];

/// True where a check that was judged is the named one, or of the named family.
pub fn covers(name: &str, judged: &str) -> bool {
    name == judged || FAMILIES.contains(&name) && judged.strip_prefix(name).is_some_and(|rest| rest.starts_with(['_', '.']))
}

/// True where there can be a check of this name.
pub fn known(name: &str) -> bool {
    FAMILIES.contains(&name)
        || CHECKS.iter().any(|(check, _)| *check == name)
        || name.strip_prefix("helm.constitution.").is_some_and(crate::policy::principles::is_rule)
}

/// The gate that holds a check; none for a name that is no check's.
pub fn gate_of(check: &str) -> Option<GateName> {
    match check.split('.').next()? {
        "docker" => Some(GateName::Docker),
        "helm" | "rollback" => Some(GateName::Helm),
        "kubernetes" => Some(GateName::Kubernetes),
        "validation" => Some(GateName::Validation),
        _ => None,
    }
}

const fn row(id: &'static str, what: &'static str, shown: Shown) -> Row {
    Row { id, what, shown }
}

/// The plan's checklist: S stages, R rules, T transitions, G gates, P before, A after, C complete, F failures.
pub const ROWS: &[Row] = &[
    row(
        "S1",
        "containerize: images by best practices, within the budget",
        Shown::Checks(&["docker.builds", "docker.non_root", "docker.no_secrets", "docker.starts", "docker.size"]),
    ),
    row("S2", "chart: one per service, parameterised, with security contexts", Shown::Checks(&["helm.lint", "helm.schema", "helm.renders", "helm.policy"])),
    row(
        "S3",
        "deploy: pods run, services reachable in the cluster",
        Shown::Checks(&["kubernetes.created", "kubernetes.pods_ready", "kubernetes.endpoints", "kubernetes.references"]),
    ),
    row("S4", "validate: routes, environment, MCP tools", Shown::Checks(&["validation.http", "validation.ready", "validation.environment", "validation.mcp"])),
    row("S5", "rollback: restored and validated again, data kept", Shown::Made("the walk back of an operation, and the rollback stage")),
    row("R1", "local only: no change in a cluster that is not proven local", Shown::Made("the proof of the target before every change")),
    row("R2", "the application's code is never changed", Shown::Made("plans hold generated files alone; a person's file needs an approval")),
    row("R3", "invariants of the specs are respected", Shown::Checks(&["helm.constitution"])),
    row("R4", "images are built locally", Shown::Checks(&["docker.builds", "kubernetes.image_id"])),
    row("R5", "Kubernetes-native configuration only", Shown::Checks(&["helm.renders", "helm.dry_run"])),
    row("R6", "no secret in any manifest", Shown::Checks(&["helm.no_secrets", "helm.policy", "docker.no_secrets"])),
    row("R7", "everything that the spec names ends in the cluster", Shown::Report("traceability")),
    row("T1", "ready to packaged: images exist and can be reached", Shown::Checks(&["docker.on_node"])),
    row("T2", "packaged to deploying: syntax and values of charts are valid", Shown::Checks(&["helm.lint", "helm.schema"])),
    row("T3", "deploying to active: all pods run", Shown::Checks(&["kubernetes.pods_ready"])),
    row(
        "T4",
        "active to stable: all functional tests pass",
        Shown::Checks(&["validation.http", "validation.smoke", "validation.mcp", "validation.completed", "validation.scheduled"]),
    ),
    row("T5", "stable to degraded: failures are watched for", Shown::Report("health")),
    row("T6", "degraded to rolling back: the way back is proven to work", Shown::Checks(&["rollback.rehearsed"])),
    row("T7", "rolling back to previous stable: restoration is confirmed", Shown::Made("gates judged again after the way back")),
    row("G1", "the image builds", Shown::Checks(&["docker.builds"])),
    row("G2", "the image is scanned for vulnerabilities", Shown::Checks(&["docker.scan"])),
    row("G3", "the image is where the cluster looks for it", Shown::Checks(&["docker.on_node", "docker.pushed"])),
    row("G4", "the cluster can use the image", Shown::Checks(&["docker.on_node", "docker.pullable", "kubernetes.image_id"])),
    row("G5", "the chart lints without errors", Shown::Checks(&["helm.lint"])),
    row("G6", "values match the schema", Shown::Checks(&["helm.schema"])),
    row("G7", "the dry run succeeds", Shown::Checks(&["helm.dry_run"])),
    row("G8", "the chart is packaged and accessible", Shown::Checks(&["helm.packaged"])),
    row("G9", "manifests are valid", Shown::Checks(&["helm.policy", "helm.dry_run"])),
    row("G10", "resources are created", Shown::Checks(&["kubernetes.created"])),
    row("G11", "pods run", Shown::Checks(&["kubernetes.pods_ready"])),
    row("G12", "services have endpoints", Shown::Checks(&["kubernetes.endpoints"])),
    row("G13", "health endpoints answer", Shown::Checks(&["validation.http"])),
    row("G14", "smoke tests pass", Shown::Checks(&["validation.smoke"])),
    row("G15", "logs show no critical error", Shown::Checks(&["validation.logs"])),
    row("G16", "metrics are collected", Shown::Checks(&["validation.metrics"])),
    row("P1", "the spec is read and understood", Shown::Report("readiness")),
    row("P2", "services and dependencies are mapped", Shown::Report("readiness")),
    row("P3", "resources are estimated", Shown::Made("requests of every workload; a pod that no node can hold is refused with what it asks for")),
    row("P4", "security requirements are defined", Shown::Report("readiness")),
    row("P5", "MCP integration points are identified", Shown::Report("readiness")),
    row("P6", "constitution and specs exist", Shown::Report("readiness")),
    row("P7", "the existing state is looked at", Shown::Made("a plan is made from a look at the cluster, and goes stale with it")),
    row("P8", "a plan with order and checkpoints is presented", Shown::Report("readiness")),
    row("P9", "the user confirmed", Shown::Made("approvals bound to the plan's digest")),
    row("A1", "no restarts", Shown::Checks(&["kubernetes.no_restarts"])),
    row("A2", "services are reachable and responsive", Shown::Checks(&["validation.http", "validation.inside", "validation.outside", "validation.browser"])),
    row("A3", "the environment is right", Shown::Checks(&["validation.environment", "validation.keys"])),
    row("A4", "MCP tools are registered and reachable", Shown::Checks(&["validation.mcp"])),
    row("A5", "resource usage is within bounds", Shown::Checks(&["validation.metrics"])),
    row("A6", "health checks pass over a window", Shown::Checks(&["kubernetes.no_restarts", "kubernetes.pods_ready"])),
    row("C1", "the stages are done", Shown::Report("verdict")),
    row("C2", "safety rules are validated", Shown::Checks(&["helm.policy", "docker.no_secrets"])),
    row("C3", "checkpoints are passed", Shown::Report("verdict")),
    row("C4", "the way back is tested and documented", Shown::Checks(&["rollback.rehearsed"])),
    row("C5", "monitoring is there", Shown::Checks(&["validation.metrics", "validation.exposed", "validation.alerts"])),
    row("C6", "performance is within the budget", Shown::Checks(&["validation.latency"])),
    row("C7", "security scans are passed", Shown::Checks(&["docker.scan", "docker.no_secrets"])),
    row("F1", "an image that cannot be pulled is told from one that was not built", Shown::Made("the failure taxonomy")),
    row("F2", "a crash loop is told by its cause", Shown::Made("the failure taxonomy")),
    row("F3", "a pending pod is told by what it waits for", Shown::Made("the failure taxonomy")),
    row("F4", "an unreachable service is told by its configuration", Shown::Made("the failure taxonomy")),
    row("F5", "missing MCP tools are named", Shown::Checks(&["validation.mcp_tools", "validation.mcp_spec"])),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_covers_its_own_checks_alone() {
        for (name, judged, expect) in [
            ("validation.mcp", "validation.mcp_call", true),
            ("validation.smoke", "validation.smoke.login", true),
            ("validation.smoke.login", "validation.smoke.login", true),
            ("validation.smoke.login", "validation.smoke.logout", false),
            ("helm.constitution", "helm.constitution.probes", true),
            ("docker.no", "docker.no_secrets", false),
            ("helm.policy", "helm.policy", true),
        ] {
            assert_eq!(covers(name, judged), expect, "{name} {judged}");
        }
        for (name, expect) in [("validation.mcp", true), ("helm.constitution.probes", true), ("helm.constitution.kindness", false), ("docker.no", false)] {
            assert_eq!(known(name), expect, "{name}");
        }
    }

    #[test]
    fn rows_name_checks_that_exist_and_every_check_has_a_row() {
        let named: Vec<&str> = ROWS.iter().flat_map(|row| if let Shown::Checks(ids) = row.shown { ids } else { &[] }).copied().collect();
        let odd: Vec<_> = named.iter().filter(|name| !known(name)).collect();
        assert!(odd.is_empty(), "{odd:?}");
        // What an advisor proposes is no part of a deployment until a person takes it over.
        let deployed = CHECKS.iter().map(|(check, _)| *check).filter(|check| !check.ends_with(".proposal"));
        let left: Vec<_> = deployed.filter(|check| !named.iter().any(|name| covers(name, check))).collect();
        assert!(left.is_empty(), "no row asks for {left:?}");
        assert!(CHECKS.iter().all(|(check, _)| gate_of(check).is_some()));
    }
}
