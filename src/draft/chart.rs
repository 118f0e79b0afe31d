//! The part of the helm gate that needs no cluster: lint, schema, rendering and policy, asked the same way of our charts and of people's.

use super::Scratch;
use crate::evidence::{Check, Evidence, Source};
use crate::failure::Failure;
use crate::names::{EnvironmentName, Namespace, ReleaseName};
use crate::policy::{self, Broken, Strictness};
use crate::ports::{Charts, HelmSaid};
use std::path::{Path, PathBuf};

/// What helm said when it rendered, or why it could not be asked.
pub(crate) type Said = Result<HelmSaid, Failure>;

/// A chart on disk and what it is rendered for.
pub(crate) struct Judged<'a> {
    pub(crate) helm: &'a dyn Charts,
    pub(crate) chart: &'a Path,
    pub(crate) release: &'a ReleaseName,
    pub(crate) namespace: &'a Namespace,
    /// Kubernetes' version, without a `v`; a recent one where no cluster is at hand.
    pub(crate) version: Option<&'a str>,
    /// The user's state folder, for files that live as long as the look.
    pub(crate) state: &'a Path,
}

impl Judged<'_> {
    /// `helm lint --strict` with these values files.
    pub(crate) async fn lint(&self, values: &[PathBuf]) -> Check {
        let probed = "helm lint --strict";
        match self.helm.lint(self.chart, values).await {
            Ok(said) if said.ok => Check::pass("helm.lint", probed, Evidence::new(Source::Program, probed, &last_lines(&said.text))),
            Ok(said) => Check::fail("helm.lint", probed, "helm lint found something", vec![Evidence::new(Source::Program, probed, &said.text)]),
            Err(failure) => Check::not_run("helm.lint", probed, failure.to_string()),
        }
    }

    /// The schema must refuse a wrong type and an unknown key; that it accepts the real values is what rendering shows.
    pub(crate) async fn schema(&self) -> Check {
        let probed = "values.schema.json refuses a wrong type and an unknown key";
        match self.accepted().await {
            Ok(accepted) if accepted.is_empty() => Check::pass(
                "helm.schema",
                probed,
                Evidence::new(Source::Program, "helm template", "a value of another type and an unknown key were both refused"),
            ),
            Ok(accepted) => Check::fail("helm.schema", probed, format!("the schema accepted: {}", accepted.join(", ")), vec![]),
            Err(failure) => Check::not_run("helm.schema", probed, failure.to_string()),
        }
    }

    /// Which wrong values the chart takes.
    async fn accepted(&self) -> Result<Vec<&'static str>, Failure> {
        let scratch = Scratch::new(self.state)?;
        // A key that the chart has, with a value of a type that no chart gives it.
        let values = std::fs::read_to_string(self.chart.join("values.yaml")).unwrap_or_default();
        let known = ["replicas", "replicaCount", "image"].into_iter().find(|key| values.lines().any(|line| line.starts_with(&format!("{key}:"))));
        let wrong = [("wrong type", format!("{}: [[]]\n", known.unwrap_or("replicas"))), ("unknown key", "landfallUnknownKey: true\n".to_owned())];
        let mut accepted = Vec::new();
        for (what, text) in wrong {
            let file = scratch.0.join(format!("{}.yaml", what.replace(' ', "-")));
            crate::files::write_private(&file, text.as_bytes())?;
            if self.render(&[file]).await?.ok {
                accepted.push(what);
            }
        }
        Ok(accepted)
    }

    /// `helm template` with these values files.
    pub(crate) async fn render(&self, values: &[PathBuf]) -> Said {
        self.helm.template(self.chart, self.release, self.namespace, values, self.version).await
    }
}

/// The chart renders for every environment that it has values for.
pub(crate) fn renders(rendered: &[(EnvironmentName, Said)]) -> Check {
    let names: Vec<_> = rendered.iter().map(|(environment, _)| format!("values-{environment}.yaml")).collect();
    let probed = format!("helm template with {}", names.join(", "));
    for (environment, said) in rendered {
        match said {
            Ok(said) if said.ok => {}
            Ok(said) => {
                return Check::fail(
                    "helm.renders",
                    probed,
                    format!("it does not render with values-{environment}.yaml"),
                    vec![Evidence::new(Source::Program, "helm template", &said.text)],
                );
            }
            Err(failure) => return Check::not_run("helm.renders", probed, failure.to_string()),
        }
    }
    if rendered.is_empty() {
        return Check::fail("helm.renders", probed, "the chart has no values-<environment>.yaml", vec![]);
    }
    Check::pass("helm.renders", probed, Evidence::new(Source::Program, "helm template", &format!("rendered {} times", rendered.len())))
}

/// No rendered object breaks a rule of the policy table: the check, the broken rules by environment, and how many objects were judged.
pub(crate) fn policies<'a>(manifests: &[(&'a EnvironmentName, &str)]) -> (Check, Vec<(&'a EnvironmentName, Broken)>, usize) {
    let probed = "the policy table over every rendered object";
    let mut broken = Vec::new();
    let mut objects = 0;
    for (environment, text) in manifests {
        match policy::documents(text) {
            Ok(documents) => {
                objects += documents.len();
                broken.extend(policy::judge(&documents, Strictness::Local).into_iter().map(|broken| (*environment, broken)));
            }
            Err(failure) => return (Check::fail("helm.policy", probed, failure.to_string(), vec![]), Vec::new(), 0),
        }
    }
    let check = if objects == 0 {
        Check::not_run("helm.policy", probed, "nothing was rendered")
    } else if broken.is_empty() {
        Check::pass("helm.policy", probed, Evidence::new(Source::Program, "policy table", &format!("{objects} objects, no rule broken")))
    } else {
        let evidence = broken.iter().take(10).map(|(environment, broken)| {
            Evidence::new(Source::Object, format!("{} ({environment})", broken.at), &format!("{}: {}", broken.rule, broken.message))
        });
        Check::fail("helm.policy", probed, format!("{} rules are broken", broken.len()), evidence.collect())
    };
    (check, broken, objects)
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(3)).copied().collect::<Vec<_>>().join("\n")
}
