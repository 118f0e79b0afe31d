//! The one table of findings: code, severity, message, help and fix. The document docs/findings.md is made from it.

use crate::evidence::Severity;
use Severity::{Blocker, Note, Warning};

/// One row. `{}` in message and fix is what the rule found.
pub(crate) struct Row {
    pub(crate) code: &'static str,
    pub(crate) severity: Severity,
    pub(crate) message: &'static str,
    pub(crate) help: &'static str,
    /// The exact words to add, where they do not depend on the project; empty where they do.
    pub(crate) fix: &'static str,
}

const fn row(code: &'static str, severity: Severity, message: &'static str, help: &'static str, fix: &'static str) -> Row {
    Row { code, severity, message, help, fix }
}

/// Every finding that the survey knows, in the order of a deploy.
#[rustfmt::skip]
pub(crate) const TABLE: &[Row] = &[
    row("nothing_to_deploy", Blocker,
        "no service that can be built and run was recognised in this folder{}",
        "name the folder that holds the application, or add a manifest with a start command (package.json, pyproject.toml, Procfile, …)", ""),
    row("lockfile_missing", Warning,
        "{} has no lockfile, so two builds may install different versions",
        "create one with the package manager and commit it", ""),
    row("lockfile_gitignored", Warning,
        "{} is ignored by git: a fresh clone lacks it",
        "take it out of .gitignore and commit it", "!{}"),
    row("standalone_missing_in_config", Blocker,
        "the Dockerfile of {} copies .next/standalone, but next.config does not set output: \"standalone\"",
        "add output: \"standalone\" to next.config", "output: \"standalone\","),
    row("next_standalone_off", Note,
        "{} does not set output: \"standalone\", so its image must carry all of node_modules",
        "add output: \"standalone\" to next.config for a much smaller image", "output: \"standalone\","),
    row("frozen_install_without_lockfile", Blocker,
        "the Dockerfile of {} installs from a lockfile that no fresh clone has",
        "commit the lockfile of that package manager, or install without it", ""),
    row("export_with_server_start", Blocker,
        "{} is exported as static files, but its start command runs a server that refuses to serve them",
        "remove output: \"export\", or serve the folder out/ as static files", ""),
    row("copies_missing_public", Blocker,
        "the Dockerfile of {} copies public/, which no fresh clone has",
        "commit the folder (a .gitkeep is enough) or remove the COPY", ""),
    row("copy_source_missing", Blocker,
        "the Dockerfile copies {}, which no fresh clone has",
        "commit the file, or take it out of the COPY", ""),
    row("secret_in_tracked_file", Blocker,
        "{} shows the value of a secret in a file that git tracks",
        "revoke it, remove it from the history, and read it from the environment", ""),
    row("secret_like_value_in_tracked_file", Warning,
        "{} holds what looks like the value of a secret",
        "if it is real, revoke it and read it from the environment; if not, use an obvious placeholder", ""),
    row("secret_default_in_code", Warning,
        "{} falls back to a value that is written in the code, where anybody can read it",
        "remove the default, and stop when the variable is missing", ""),
    row("secret_value_in_values_yaml", Warning,
        "chart values hold a secret's value: {}",
        "leave it empty and reference an existing Secret", ""),
    row("listens_on_loopback", Blocker,
        "{} listens on loopback only: nothing outside its container can reach it",
        "listen on 0.0.0.0", "--host 0.0.0.0"),
    row("localhost_baked", Warning,
        "{} is baked into what browsers load and points to localhost",
        "let the browser call its own origin and proxy on the server, or set the value at build time", ""),
    row("cluster_dns_baked_for_browser", Blocker,
        "{} is baked into what browsers load and points to a name that only the cluster resolves",
        "let the browser call its own origin and proxy on the server", ""),
    row("mcp_host_check_refuses_service_names", Blocker,
        "the MCP server of {} checks the Host header and accepts localhost only: a Service name gets 421",
        "pass host=\"0.0.0.0\" to the server object, or transport_security with the Service's name among allowed_hosts", "host=\"0.0.0.0\""),
    row("entry_point_cannot_import", Blocker,
        "{} does not exist, so the start command fails",
        "correct the module in the start command", ""),
    row("latest_base", Warning,
        "the image {} is not pinned to a version",
        "name a version, better with its digest", ""),
    row("latest_tag", Warning,
        "an image is used by its mutable tag: {}",
        "name a version or a digest", ""),
    row("mcp_name_only", Warning,
        "something is called MCP, but nothing speaks the protocol: {}",
        "serve it with an MCP SDK over streamable HTTP, or do not call it MCP", ""),
    row("mcp_package_name_shadowed", Blocker,
        "the package {} of this repository shadows the MCP SDK of the same name",
        "rename the package", ""),
    row("no_dockerignore", Warning,
        "the build context of {} has no .dockerignore, so local files and secrets may get into the image",
        "add a .dockerignore with .git, .env*, node_modules and virtual environments", ".git\n.env*\nnode_modules\n.venv\n"),
    row("root_user", Warning,
        "the image of {} runs as root",
        "add a numeric USER above 10000", "USER 10001"),
    row("compiler_in_final", Warning,
        "the final image of {} carries a compiler",
        "install build tools in an earlier stage only", ""),
    row("next_public_not_build_arg", Warning,
        "the Dockerfile of {} builds without the browser variables that the code reads",
        "declare an ARG for each before the build step", ""),
    row("devdeps_omitted_before_build", Blocker,
        "the Dockerfile of {} builds without development dependencies that the build needs",
        "install everything for the build and prune afterwards", "RUN npm ci"),
    row("healthcheck_path_missing", Warning,
        "the image's health check asks for {}, which no route serves",
        "ask for a route that exists", ""),
    row("healthcheck_needs_missing_module", Warning,
        "the image's health check needs {}, which is not installed",
        "use what the image has", ""),
    row("next_public_set_at_runtime", Warning,
        "a chart sets {} at run time, when it is already baked into the bundle",
        "pass it as a build argument instead", ""),
    row("browser_var_points_to_cluster_dns", Blocker,
        "a chart gives browsers a name that only the cluster resolves: {}",
        "let the browser call its own origin and proxy on the server", ""),
    row("pvc_with_rollingupdate", Warning,
        "{} keeps its data on a claim but is replaced by rolling update: two pods would share it",
        "set strategy type Recreate", "strategy: {type: Recreate}"),
    row("no_resources", Warning,
        "{} declares no resource requests and limits",
        "declare both", ""),
    row("no_readiness", Warning,
        "{} has no readiness probe",
        "add one on a route that the service serves", ""),
    row("dependency_not_declared", Blocker,
        "the program of {} imports a package that nothing declares, so a clean image cannot start it",
        "add the package to the dependencies, with its version", ""),
    row("declared_version_differs_from_image", Warning,
        "{}",
        "use a base image within the declared range, or correct the range", ""),
    row("copy_source_ignored", Blocker,
        "the Dockerfile copies {}, which .dockerignore keeps out of the build context",
        "take it out of .dockerignore, or except it with a line that begins with !", "!{}"),
    row("root_local_unreadable", Blocker,
        "the image of {} installs packages into the home of root and runs as a user that may not read it",
        "install into a virtual environment and copy that, or copy to the home of the user with --chown", ""),
    row("expose_differs_from_port", Warning,
        "{}",
        "expose the port on which the program listens", ""),
    row("migrations_in_cmd", Warning,
        "the image of {} migrates its database whenever it starts: replicas race, and a failed migration keeps every pod from starting",
        "run migrations in a Job before the release (a Helm hook)", ""),
    row("secret_in_image", Warning,
        "the Dockerfile writes a value into the image under a secret name: {}",
        "pass it at run time, or with RUN --mount=type=secret while building", ""),
    row("does_not_render_with_defaults", Blocker,
        "the chart does not render with its default values: {}",
        "give the missing values a default, or test for them before they are used", ""),
    row("secret_not_in_chart", Warning,
        "the chart uses a Secret that it does not create: {}",
        "create it before the release, and say so in the README; or let the chart create it from values", ""),
    row("secret_key_missing", Blocker,
        "a container takes a key that its Secret does not have: {}",
        "add the key to the Secret, or correct the name", ""),
    row("configmap_not_in_chart", Blocker,
        "the chart uses a ConfigMap that it does not create: {}",
        "add the ConfigMap, or correct its name", ""),
    row("configmap_key_missing", Blocker,
        "a container takes a key that its ConfigMap does not have: {}",
        "add the key to the ConfigMap, or mark it optional", "optional: true"),
    row("secret_as_plain_env", Warning,
        "a chart writes a secret into the environment of a pod as plain text: {}",
        "keep it in a Secret and reference it with secretKeyRef", ""),
    row("db_password_in_plain_env", Warning,
        "a chart writes the password of a database into the environment of a pod as plain text: {}",
        "keep it in a Secret and reference it with secretKeyRef", ""),
    row("loadbalancer_needs_tunnel", Note,
        "the Service {} has type LoadBalancer, which stays pending on Minikube until `minikube tunnel` runs",
        "use ClusterIP with port-forward or an Ingress, or start minikube tunnel", ""),
    row("hard_coded_nodeport", Note,
        "the Service {} asks for a fixed node port, which can belong to one Service of the cluster only",
        "leave the node port out and let the cluster choose", ""),
    row("dangling_service_dns", Blocker,
        "{}",
        "use the name that the Service really gets under this release", ""),
    row("service_selects_nothing", Blocker,
        "the Service {} selects labels that no pod of the chart has",
        "use the same labels in the selector and the pod template", ""),
    row("probe_path_not_served", Blocker,
        "{}",
        "ask for a route that exists", ""),
    row("port_mismatch", Blocker,
        "{}",
        "use one port in the program, the Service and the probes", ""),
    row("env_set_never_read", Note,
        "a chart sets variables that the code never reads: {}",
        "take them out, or correct their names", ""),
    row("env_name_mismatch", Warning,
        "{}",
        "use the name that the code reads", ""),
    row("env_read_never_set", Warning,
        "{} stops without variables that the chart never sets",
        "set them in the chart, secret ones from a Secret", ""),
    row("run_as_non_root_image_is_root", Blocker,
        "the chart demands runAsNonRoot, and the image of {} runs as root: the kubelet refuses to start it",
        "add a numeric USER to the Dockerfile, or runAsUser to the chart", "runAsUser: 10001"),
    row("user_not_numeric", Blocker,
        "the chart demands runAsNonRoot, and the image of {} names its user by a word: the kubelet cannot verify it",
        "write the number in USER, or add runAsUser to the chart", "runAsUser: 10001"),
    row("no_liveness", Note,
        "{} has no liveness probe",
        "add one on a route that does not depend on other services", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as a document for people.
    fn document() -> String {
        let mut out = "# Findings\n\nWhat a survey points out before anything is built. This page is made from the table in `src/survey/findings/table.rs`; a test compares them.\n\nA blocker keeps something from being built, started or reached, or shows a secret; a warning goes wrong under conditions; a note is worth knowing. `…` is what was found.\n\n| code | severity | message | help | fix |\n|---|---|---|---|---|\n".to_owned();
        for row in TABLE {
            let cell = |text: &str| text.replace("{}", "…").replace('|', "\\|").replace('\n', " ⏎ ");
            let fix = if row.fix.is_empty() { String::new() } else { format!("`{}`", cell(row.fix).trim()) };
            let severity = format!("{:?}", row.severity).to_lowercase();
            out.push_str(&format!("| `{}` | {severity} | {} | {} | {fix} |\n", row.code, cell(row.message), cell(row.help)));
        }
        out
    }

    #[test]
    fn the_document_is_the_table() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.md");
        if std::env::var_os("LANDFALL_BLESS").is_some() {
            std::fs::write(&path, document()).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(path).unwrap_or_default(),
            document(),
            "if that is meant: LANDFALL_BLESS=1 cargo test --lib the_document_is_the_table"
        );
    }

    #[test]
    fn rows_are_distinct_and_every_rule_has_one() {
        let codes: std::collections::BTreeSet<&str> = TABLE.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), TABLE.len());
        for text in [include_str!("../findings.rs"), include_str!("charts.rs"), include_str!("images.rs"), include_str!("imports.rs")] {
            for (_, rest) in text.match_indices(".add(").filter_map(|(at, _)| text.get(at..)?.split_once('(')) {
                if let Some(code) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                    assert!(codes.contains(code), "{code} has no row");
                }
            }
        }
    }
}
