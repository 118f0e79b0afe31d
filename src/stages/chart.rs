//! Judges every chart: lint, schema, rendering, policy, dry run on the API server, package: the helm gate.

use crate::blueprint::Workload;
use crate::draft::{Scratch, chart_folder};
use crate::engine::Run;
use crate::evidence::{Check, Evidence, Gate, GateName, Source};
use crate::failure::{Code, Failure};
use crate::journal::StageName;
use crate::names::{EnvironmentName, ReleaseName};
use crate::plan::Plan;
use crate::policy::{self, Broken, Strictness};
use crate::ports::{DryRunFinding, Package, Proof};
use crate::render::RenderedFile;
use crate::reply::ChartView;
use crate::survey::Survey;
use std::path::{Path, PathBuf};

const STAGE: StageName = StageName::Chart;

/// What the stage left behind.
#[derive(Clone, Debug, Default)]
pub struct Charts {
    pub gates: Vec<Gate>,
    pub charts: Vec<ChartView>,
}

/// Judges every chart of the plan; their files were written before. `at` is the proven cluster, or why there is none.
pub async fn run(run: &Run, plan: &Plan, files: &[RenderedFile], at: Result<&Proof, &str>) -> Result<Charts, Failure> {
    let survey = surveyed(run);
    let judged = plan.blueprint.workloads.iter().map(|workload| judge(run, plan, workload, files, at, survey.as_ref()));
    let mut charts = Charts::default();
    for judged in futures::future::try_join_all(judged).await? {
        run.judged(STAGE, &judged.0)?;
        charts.gates.push(judged.0);
        charts.charts.push(judged.1);
    }
    Ok(charts)
}

/// What the plan was made from, kept beside it.
fn surveyed(run: &Run) -> Result<Survey, Failure> {
    let path = run.folders.operation(&run.id).join("survey.json");
    let text = std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
    serde_json::from_slice(&text).map_err(|error| Failure::internal("read the operation's survey").cause(error))
}

async fn judge(
    run: &Run,
    plan: &Plan,
    workload: &Workload,
    files: &[RenderedFile],
    at: Result<&Proof, &str>,
    survey: Result<&Survey, &Failure>,
) -> Result<(Gate, ChartView), Failure> {
    let release = &workload.name;
    run.doing(STAGE, release.as_str(), "judges the chart");
    let dir = chart_folder(release);
    let chart = run.folders.workspace.join(&dir);
    let environments = environments(files, &dir);
    let values = |environment: &EnvironmentName| vec![chart.join(format!("values-{environment}.yaml"))];
    let own = values(&plan.blueprint.environment);

    let version = at.ok().map(|proof| proof.profile.kubernetes_version.trim_start_matches('v').to_owned());
    let mut checks = vec![lint(run, &chart, &own).await, schema(run, &chart, release, plan, version.as_deref()).await];
    let mut rendered = Vec::new();
    for environment in &environments {
        let said = run.world.charts.template(&chart, release, &plan.blueprint.namespace, &values(environment), version.as_deref()).await;
        rendered.push((environment.clone(), said));
    }
    checks.push(renders(&rendered));
    let manifests: Vec<_> =
        rendered.iter().filter_map(|(environment, said)| said.as_ref().ok().filter(|said| said.ok).map(|said| (environment, said.text.as_str()))).collect();
    let (policy, broken, objects) = policies(&manifests);
    checks.push(policy);
    match survey {
        Ok(survey) => {
            checks.push(super::constitution::no_secrets(survey, workload.service(), &broken, objects));
            checks.extend(super::constitution::judge(survey, workload.service(), &broken, objects));
        }
        Err(failure) => checks.push(Check::not_run("helm.constitution", "the principles of the constitution", failure.to_string())),
    }
    let deployed = manifests.iter().find(|(environment, _)| **environment == plan.blueprint.environment).map(|(_, text)| *text);
    checks.push(dry_run(run, plan, at, deployed).await);
    let package = run.world.charts.package(&chart, &run.folders.packages()).await;
    checks.push(packaged(&package));
    let gate = Gate::judge(GateName::Helm, release.as_str(), checks);
    let package = package.ok();
    let view = ChartView {
        service: release.to_string(),
        dir,
        version: version_of(&chart),
        values: environments.iter().map(|environment| format!("values-{environment}.yaml")).collect(),
        package: package.as_ref().map(|package| package.path.display().to_string()),
        digest: package.map(|package| package.digest),
    };
    Ok((gate, view))
}

/// The environments that have a values file.
fn environments(files: &[RenderedFile], dir: &str) -> Vec<EnvironmentName> {
    let name = |path: &str| path.strip_prefix(dir)?.strip_prefix("/values-")?.strip_suffix(".yaml").map(str::to_owned);
    files.iter().filter_map(|file| EnvironmentName::parse(name(&file.path)?).ok()).collect()
}

async fn lint(run: &Run, chart: &Path, values: &[PathBuf]) -> Check {
    let probed = "helm lint --strict";
    match run.world.charts.lint(chart, values).await {
        Ok(said) if said.ok => Check::pass("helm.lint", probed, Evidence::new(Source::Program, probed, &last_lines(&said.text))),
        Ok(said) => Check::fail("helm.lint", probed, "helm lint found something", vec![Evidence::new(Source::Program, probed, &said.text)]),
        Err(failure) => Check::not_run("helm.lint", probed, failure.to_string()),
    }
}

/// The schema must refuse a wrong type; that it accepts the real values is what rendering shows.
async fn schema(run: &Run, chart: &Path, release: &ReleaseName, plan: &Plan, version: Option<&str>) -> Check {
    let probed = "values.schema.json refuses a wrong type and an unknown key";
    let attempt = async {
        let scratch = Scratch::new(&run.folders.state)?;
        // A key that the chart has, with a value of a type that no chart gives it.
        let values = std::fs::read_to_string(chart.join("values.yaml")).unwrap_or_default();
        let known = ["replicas", "replicaCount", "image"].into_iter().find(|key| values.lines().any(|line| line.starts_with(&format!("{key}:"))));
        let wrong = [("wrong type", format!("{}: [[]]\n", known.unwrap_or("replicas"))), ("unknown key", "landfallUnknownKey: true\n".to_owned())];
        let mut accepted = Vec::new();
        for (what, text) in wrong {
            let file = scratch.0.join(format!("{}.yaml", what.replace(' ', "-")));
            crate::files::write_private(&file, text.as_bytes())?;
            let said = run.world.charts.template(chart, release, &plan.blueprint.namespace, &[file], version).await?;
            if said.ok {
                accepted.push(what);
            }
        }
        Ok::<_, Failure>(accepted)
    };
    match attempt.await {
        Ok(accepted) if accepted.is_empty() => {
            Check::pass("helm.schema", probed, Evidence::new(Source::Program, "helm template", "a value of another type and an unknown key were both refused"))
        }
        Ok(accepted) => Check::fail("helm.schema", probed, format!("the schema accepted: {}", accepted.join(", ")), vec![]),
        Err(failure) => Check::not_run("helm.schema", probed, failure.to_string()),
    }
}

type Said = Result<crate::ports::HelmSaid, Failure>;

fn renders(rendered: &[(EnvironmentName, Said)]) -> Check {
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

/// The check, the broken rules by environment, and how many objects were judged.
fn policies<'a>(manifests: &[(&'a EnvironmentName, &str)]) -> (Check, Vec<(&'a EnvironmentName, Broken)>, usize) {
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

/// What the API server refused in a dry run; empty where it would take everything.
pub(super) fn refused(findings: &[DryRunFinding]) -> Vec<Evidence> {
    findings.iter().filter(|finding| !finding.ok).map(|finding| Evidence::new(Source::Object, finding.object.clone(), &finding.text)).collect()
}

/// What the API server said of every object.
pub(super) fn told(findings: &[DryRunFinding]) -> Evidence {
    let told: Vec<_> = findings.iter().map(|finding| format!("{}: {}", finding.object, finding.text)).collect();
    Evidence::new(Source::Program, "API server", &told.join(", "))
}

/// What the API server's answers to a dry run come to. Where no object was tried, nothing was.
pub(super) fn tried(findings: &[DryRunFinding]) -> Check {
    let probed = "strict server-side dry run of every object";
    let bad = refused(findings);
    match (findings.len(), bad.len()) {
        (0, _) => Check::not_run("helm.dry_run", probed, "the manifest holds no object"),
        (_, 0) => Check::pass("helm.dry_run", probed, told(findings)),
        (all, some) => Check::fail("helm.dry_run", probed, format!("the API server refuses {some} of {all} objects"), bad),
    }
}

async fn dry_run(run: &Run, plan: &Plan, at: Result<&Proof, &str>, manifest: Option<&str>) -> Check {
    let probed = "strict server-side dry run of every object";
    let (at, manifest) = match (at, manifest) {
        (Ok(at), Some(manifest)) => (at, manifest),
        (Err(why), _) => return Check::not_run("helm.dry_run", probed, why),
        (_, None) => return Check::not_run("helm.dry_run", probed, "the chart did not render"),
    };
    match run.world.cluster.namespace(at, &plan.blueprint.namespace).await {
        Ok(Some(_)) => {}
        Ok(None) => {
            return Check::not_run(
                "helm.dry_run",
                probed,
                format!("namespace {} does not exist yet; deploy creates it and runs this first", plan.blueprint.namespace),
            );
        }
        Err(failure) => return Check::not_run("helm.dry_run", probed, failure.to_string()),
    }
    match run.world.cluster.dry_run(at, &plan.blueprint.namespace, manifest).await {
        Ok(findings) => tried(&findings),
        Err(failure) => Check::not_run("helm.dry_run", probed, failure.to_string()),
    }
}

fn packaged(package: &Result<Package, Failure>) -> Check {
    let probed = "helm package";
    match package {
        Ok(package) => {
            let name = package.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            Check::pass("helm.packaged", probed, Evidence::new(Source::File, name, &format!("sha256 {}", package.digest)))
        }
        Err(failure) if failure.code == Code::HelmFailed => Check::fail("helm.packaged", probed, failure.to_string(), vec![]),
        Err(failure) => Check::not_run("helm.packaged", probed, failure.to_string()),
    }
}

fn version_of(chart: &Path) -> String {
    let text = std::fs::read_to_string(chart.join("Chart.yaml")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("version:"));
    line.map(|version| version.trim().trim_matches('"').to_owned()).unwrap_or_default()
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.iter().skip(lines.len().saturating_sub(3)).copied().collect::<Vec<_>>().join("\n")
}
