//! Judges every chart: lint, schema, rendering, policy, dry run on the API server, package: the helm gate.

use crate::blueprint::Workload;
use crate::draft::chart::{Judged, policies, renders};
use crate::draft::{ChartPlace, below, chart_of};
use crate::engine::Run;
use crate::evidence::{Check, Evidence, Gate, GateName, Source};
use crate::failure::{Code, Failure};
use crate::journal::StageName;
use crate::names::{Digest, EnvironmentName};
use crate::plan::Plan;
use crate::ports::{DryRunFinding, Package, Proof};
use crate::render::RenderedFile;
use crate::reply::ChartView;
use crate::survey::Survey;
use std::path::Path;

const STAGE: StageName = StageName::Chart;

/// What the stage left behind.
#[derive(Clone, Debug, Default)]
pub struct Charts {
    pub gates: Vec<Gate>,
    pub charts: Vec<ChartView>,
}

/// Judges every chart of the plan; their files were written before. `at` is the proven cluster, or why there is none.
pub async fn run(run: &Run, plan: &Plan, files: &[RenderedFile], at: Result<&Proof, &str>) -> Result<Charts, Failure> {
    // What the plan was made from, kept beside it.
    let survey = crate::files::read_json::<Survey>(&run.folders.operation(&run.id).join("survey.json"));
    let judged = plan.blueprint.workloads.iter().map(|workload| judge(run, plan, workload, files, at, survey.as_ref()));
    let mut charts = Charts::default();
    for judged in futures::future::try_join_all(judged).await? {
        run.judged(STAGE, &judged.0)?;
        charts.gates.push(judged.0);
        charts.charts.push(judged.1);
    }
    Ok(charts)
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
    let workspace = &run.folders.workspace;
    let place = |environment: &EnvironmentName| chart_of(workload, environment);
    let ChartPlace { folder, values } = place(&plan.blueprint.environment);
    let chart = workspace.join(&folder);
    let environments = match &workload.chart {
        Some(_) => vec![plan.blueprint.environment.clone()],
        None => environments(files, &folder),
    };
    let version = at.ok().map(|proof| proof.profile.kubernetes_version.trim_start_matches('v').to_owned());
    let judged = Judged {
        helm: run.world.charts.as_ref(),
        chart: &chart,
        release,
        namespace: &plan.blueprint.namespace,
        version: version.as_deref(),
        state: &run.folders.state,
    };
    let mut checks = vec![judged.lint(&below(workspace, &values)).await, judged.schema().await];
    let mut rendered = Vec::new();
    for environment in &environments {
        rendered.push((environment.clone(), judged.render(&below(workspace, &place(environment).values)).await));
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
    if workload.chart.is_some() {
        as_planned(plan, workload, deployed)?;
    }
    checks.push(dry_run(run, plan, at, deployed).await);
    let package = run.world.charts.package(&chart, &run.folders.packages()).await;
    checks.push(packaged(&package));
    let gate = Gate::judge(GateName::Helm, release.as_str(), checks);
    let package = package.ok();
    let view = ChartView {
        service: release.to_string(),
        dir: folder,
        version: version_of(&chart),
        values: environments.iter().map(|environment| format!("values-{environment}.yaml")).collect(),
        package: package.as_ref().map(|package| package.path.display().to_string()),
        digest: package.map(|package| package.digest),
    };
    Ok((gate, view))
}

/// The files of our charts are the plan's own; a person's chart may have been changed since the plan was made from it.
fn as_planned(plan: &Plan, workload: &Workload, manifest: Option<&str>) -> Result<(), Failure> {
    let planned = plan.releases.get(&workload.name).and_then(|step| step.manifest.as_ref());
    match (planned, manifest) {
        (Some(planned), Some(manifest)) if *planned != Digest::of(manifest) => {
            Err(Failure::new(Code::PlanStale, format!("the chart of {} changed after the plan was made", workload.name))
                .help("call again: the new plan is made from the chart as it is now"))
        }
        (_, _) => Ok(()),
    }
}

/// The environments that have a values file.
fn environments(files: &[RenderedFile], dir: &str) -> Vec<EnvironmentName> {
    let name = |path: &str| path.strip_prefix(dir)?.strip_prefix("/values-")?.strip_suffix(".yaml").map(str::to_owned);
    files.iter().filter_map(|file| EnvironmentName::parse(name(&file.path)?).ok()).collect()
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
