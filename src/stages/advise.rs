//! Judges what an advisor proposes, at the gates that our own files pass; what is judged lies in the operation's folder, and nothing of it is applied.

use crate::advisor;
use crate::blueprint::{Blueprint, ImagePlan, Workload};
use crate::draft::chart::{Judged, policies, renders};
use crate::draft::{below, build_source, chart_of};
use crate::engine::{Effect, Run};
use crate::evidence::{Check, Evidence, Gate, GateName, Source};
use crate::failure::{Code, Failure};
use crate::journal::{StageName, Undo};
use crate::names::{Digest, ImageRef};
use crate::plan::ImageStep;
use crate::ports::{BuildRequest, Proof};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A proposed Dockerfile at the docker gate: its own rules first, then the image that it builds. `at` is the proven cluster, or why there is none.
pub async fn dockerfile(run: &Run, blueprint: &Blueprint, workload: &Workload, text: &str, at: Result<&Proof, &Failure>) -> Result<Gate, Failure> {
    let name = workload.name.as_str();
    let proposal = by_rules("docker.proposal", "the rules for a Dockerfile of somebody else", &advisor::dockerfile::broken(text));
    if proposal.outcome != crate::evidence::Outcome::Pass {
        return Ok(Gate::judge(GateName::Docker, name, vec![proposal]));
    }
    let mut checks = vec![proposal];
    match at {
        Ok(at) => checks.extend(built(run, blueprint, workload, text, at).await?),
        Err(failure) => checks.push(Check::not_run("docker.builds", "build of the proposal", failure.to_string())),
    }
    Ok(Gate::judge(GateName::Docker, name, checks))
}

/// Builds the proposal under a tag of its own, judges the image, and removes the tag again.
async fn built(run: &Run, blueprint: &Blueprint, workload: &Workload, text: &str, at: &Proof) -> Result<Vec<Check>, Failure> {
    let name = workload.name.as_str();
    let probed = "build of the proposal";
    let ImagePlan::Built { secrets, .. } = &workload.image else {
        return Ok(vec![Check::fail("docker.builds", probed, format!("the image of {name} is a public one; nothing is built"), vec![])]);
    };
    if !secrets.is_empty() {
        return Ok(vec![Check::not_run("docker.builds", probed, "its build needs secrets, which a proposal is not given")]);
    }
    let source = build_source(&run.folders.workspace, &workload.image, &[])?;
    let input = Digest::of(text);
    let reference = ImageRef::parse(format!("localhost/{}/{name}:proposal-{}", blueprint.app, input.short()))?;
    let request = BuildRequest {
        reference: reference.clone(),
        context: source.context,
        files: source.files,
        dockerfile: text.to_owned(),
        build_args: source.build_args,
        secrets: BTreeMap::new(),
        labels: BTreeMap::from([("dev.landfall.app".to_owned(), blueprint.app.to_string())]),
        deadline: run.left(),
    };
    let key = format!("proposal/{name}");
    let effect = Effect {
        key: key.clone(),
        text: format!("build the proposal as {reference}"),
        undo: Undo::Untag { reference: reference.clone() },
        before: Value::Null,
    };
    let building = run.effect(StageName::Containerize, name, effect, async { Ok(run.world.images.build(at, &request, run.heart.as_ref()).await?.id) }).await;
    let checks = match building {
        Ok::<String, _>(_) => {
            let facts = run.world.images.inspect(at, &reference).await?;
            let facts = facts.ok_or_else(|| Failure::new(Code::BuildFailed, format!("{reference} is gone right after its build")).help("call again"))?;
            let step = ImageStep { reference: reference.clone(), input, bases: BTreeMap::new(), present: true };
            let mut checks = super::containerize::of_image(run, workload, &step, &facts, at).await;
            checks.push(super::containerize::size(run.config.gates.image_budget_mb, &facts));
            checks
        }
        Err(failure) if failure.code == Code::BuildFailed => vec![Check::fail("docker.builds", probed, failure.to_string(), vec![])],
        Err(failure) => {
            run.unwind(Some(at), |effect| effect.key == key).await?;
            return Err(failure);
        }
    };
    run.unwind(Some(at), |effect| effect.key == key).await?;
    Ok(checks)
}

/// Proposed values at the helm gate: their own rules, then the chart with them laid over its values.
pub async fn values(run: &Run, blueprint: &Blueprint, workload: &Workload, text: &str, at: Result<&Proof, &Failure>) -> Result<Gate, Failure> {
    let release = &workload.name;
    let probed = "the rules for values of somebody else";
    let broken = advisor::values::broken(text);
    if !broken.is_empty() {
        return Ok(Gate::judge(GateName::Helm, release.as_str(), vec![by_rules("helm.proposal", probed, &broken)]));
    }
    let place = chart_of(workload, &blueprint.environment);
    let chart = run.folders.workspace.join(&place.folder);
    if !chart.join("Chart.yaml").is_file() {
        return Err(Failure::new(Code::BadArgument, format!("{release} has no chart yet")).help("generate_chart writes it; then ask for values"));
    }
    let file = run.folders.operation(&run.id).join("proposal-values.yaml");
    crate::files::write_private(&file, text.as_bytes())?;
    let own = below(&run.folders.workspace, &place.values);
    let over: Vec<_> = own.iter().cloned().chain([file]).collect();
    let version = at.ok().map(|proof| proof.profile.kubernetes_version.trim_start_matches('v').to_owned());
    let judged = Judged {
        helm: run.world.charts.as_ref(),
        chart: &chart,
        release,
        namespace: &blueprint.namespace,
        version: version.as_deref(),
        state: &run.folders.state,
    };
    let (before, after) = (judged.render(&own).await, judged.render(&over).await);
    let text_of = |said: &Result<crate::ports::HelmSaid, Failure>| said.as_ref().ok().filter(|said| said.ok).map(|said| said.text.clone());
    let (old, new) = (text_of(&before), text_of(&after));
    let reaches = match (&old, &new) {
        (Some(old), Some(new)) => {
            let (old, new) = (crate::policy::documents(old)?, crate::policy::documents(new)?);
            by_rules("helm.proposal", probed, &advisor::values::reaches(&old, &new, blueprint.namespace.as_str()))
        }
        (_, _) => Check::not_run("helm.proposal", probed, "the chart did not render both with and without them"),
    };
    let mut checks = vec![reaches, judged.lint(&over).await, renders(&[(blueprint.environment.clone(), after)])];
    let manifests: Vec<_> = new.iter().map(|text| (&blueprint.environment, text.as_str())).collect();
    checks.push(policies(&manifests).0);
    checks.push(dry_run(run, blueprint, at, new.as_deref()).await);
    Ok(Gate::judge(GateName::Helm, release.as_str(), checks))
}

async fn dry_run(run: &Run, blueprint: &Blueprint, at: Result<&Proof, &Failure>, manifest: Option<&str>) -> Check {
    let not_run = |why: String| Check::not_run("helm.dry_run", "strict server-side dry run of every object", why);
    let (at, manifest) = match (at, manifest) {
        (Ok(at), Some(manifest)) => (at, manifest),
        (Err(failure), _) => return not_run(failure.to_string()),
        (_, None) => return not_run("the chart did not render".to_owned()),
    };
    match run.world.cluster.dry_run(at, &blueprint.namespace, manifest).await {
        Ok(findings) => super::chart::tried(&findings),
        Err(failure) => not_run(failure.to_string()),
    }
}

/// One check over named rules: it fails with those that are broken.
fn by_rules(id: &str, probed: &str, broken: &[String]) -> Check {
    if broken.is_empty() {
        return Check::pass(id, probed, Evidence::new(Source::Program, "rules for proposals", "no rule is broken"));
    }
    let evidence = broken.iter().take(10).map(|broken| Evidence::new(Source::Program, "rules for proposals", broken)).collect();
    Check::fail(id, probed, broken.join("; "), evidence)
}

/// What stands there now, of files that Landfall wrote; a person's own text is nobody else's to read.
pub fn ours(workspace: &Path, generated: &Path, path: &str) -> Option<String> {
    let text = std::fs::read_to_string(workspace.join(path)).ok()?;
    (std::fs::read_to_string(generated.join(path)).ok()? == text).then_some(text)
}
