//! Installs releases in waves and lets the kubernetes gate judge what the watchers saw; what happens after a refusal is decided here, by class.

use crate::ask::OnRefusal;
use crate::blueprint::{Controller, SecretKeyPlan, SecretPlan, Workload};
use crate::config::ValueSource;
use crate::draft::{ChartPlace, below, chart_of, labels};
use crate::engine::{Effect, Run};
use crate::evidence::{Check, Class, Confidence, Diagnosis, Evidence, Gate, GateName, Source, Verdict};
use crate::failure::{Code, Failure};
use crate::journal::{Event, StageName, Undo};
use crate::names::{EnvName, Namespace, ReleaseName, Revision, ServiceName};
use crate::plan::Plan;
use crate::ports::{Apply, Proof};
use crate::reply::ReleaseView;
use crate::rollout::{self, Expectation, Rollout, WorkloadKind};
use crate::secret::Secret;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STAGE: StageName = StageName::Deploy;

/// What the stage left behind.
#[derive(Clone, Debug, Default)]
pub struct End {
    pub gates: Vec<Gate>,
    pub diagnoses: Vec<Diagnosis>,
    pub releases: Vec<ReleaseView>,
    /// The number of the app revision, once something reached the cluster.
    pub revision: u32,
    pub unchanged: Vec<String>,
}

impl End {
    /// True where every gate passed.
    pub fn passed(&self) -> bool {
        self.gates.iter().all(|gate| gate.verdict == Verdict::Pass)
    }
}

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Back to verified revisions; first installs are uninstalled.
    GoBack,
    /// Leave everything as it is and ask.
    Hold,
}

/// The rule of contract "when a gate refuses": the class decides, and the user's wish to hold wins.
pub fn decide(on_refusal: OnRefusal, diagnoses: &[Diagnosis], has_verified: bool) -> (Decision, &'static str) {
    if on_refusal == OnRefusal::Hold {
        return (Decision::Hold, "the user asked to hold the state");
    }
    let has = |class: Class| diagnoses.iter().any(|diagnosis| diagnosis.class == class);
    if has(Class::ClusterEscalate) {
        return (Decision::Hold, "the cluster is at fault: going back would not help");
    }
    match (diagnoses.first().map(|diagnosis| diagnosis.class), has_verified) {
        (Some(Class::Unknown), _) => (Decision::Hold, "the cause is unknown: the state is kept to be looked at"),
        (Some(Class::AppNeedsValue), false) => (Decision::Hold, "a value is missing and there is no verified revision to go back to"),
        (Some(Class::AppSelfResolve | Class::AppNeedsValue | Class::Transient | Class::HelmState | Class::ClusterEscalate) | None, true) => {
            (Decision::GoBack, "the application is at fault and a verified revision exists")
        }
        (Some(Class::AppSelfResolve | Class::Transient | Class::HelmState | Class::ClusterEscalate) | None, false) => {
            (Decision::GoBack, "a first install whose application is at fault is uninstalled; claims and Secrets are kept")
        }
    }
}

/// Namespace and Secrets: the first effects after approval, so that a resumed worker needs no values.
pub async fn prepare(run: &Run, plan: &Plan, at: &Proof) -> Result<(), Failure> {
    let blueprint = &plan.blueprint;
    let namespace = &blueprint.namespace;
    let effect = Effect {
        key: format!("namespace/{namespace}"),
        text: format!("make sure of the namespace {namespace}"),
        undo: if plan.namespace_ready { Undo::Keep { why: "it was there before".to_owned() } } else { Undo::Namespace { namespace: namespace.clone() } },
        before: json!({ "exists": plan.namespace_ready }),
    };
    let _: bool = run.effect(STAGE, namespace.as_str(), effect, run.world.cluster.ensure_namespace(at, namespace, &blueprint.app)).await?;
    for secret in &blueprint.secrets {
        let effect = Effect {
            key: format!("secret/{}", secret.name),
            text: format!("make sure of the Secret {}", secret.name),
            undo: Undo::Keep { why: "Secrets live as long as the data they belong to".to_owned() },
            before: json!({ "keys": plan.secrets_present.get(&secret.name) }),
        };
        let _: Vec<String> = run.effect(STAGE, &secret.name, effect, ensure_secret(run, plan, at, secret)).await?;
    }
    Ok(())
}

async fn ensure_secret(run: &Run, plan: &Plan, at: &Proof, secret: &SecretPlan) -> Result<Vec<String>, Failure> {
    let namespace = &plan.blueprint.namespace;
    let present = run.world.cluster.secret_keys(at, namespace, &secret.name).await?;
    // A claim without its Secret holds data under a password that nobody knows any more: a new one would lock the data out.
    if present.is_none()
        && let Some(owner) = &secret.belongs_to
    {
        let observed = run.world.cluster.observe(at, namespace).await?;
        let claim = observed
            .claims
            .iter()
            .filter_map(|claim| claim.metadata.name.as_deref())
            .find(|name| *name == owner.as_str() || name.starts_with(&format!("{owner}-")) || name.ends_with(&format!("-{owner}")));
        if let Some(claim) = claim {
            return Err(Failure::new(Code::ValueNeeded, format!("the data of {owner} is there (claim {claim}), but its Secret {} is not", secret.name))
                .help(format!("restore the Secret {} with the password the data was made with, or remove the data: landfall down --purge-data", secret.name)));
        }
    }
    let present = present.unwrap_or_default();
    let mut data: BTreeMap<String, Secret> = BTreeMap::new();
    for (key, how) in secret.keys.iter().filter(|(key, _)| !present.contains(key)) {
        let value = match how {
            SecretKeyPlan::Source { source } => value(run, at, namespace, source).await?,
            SecretKeyPlan::Generate => Secret::generate()?,
            SecretKeyPlan::Literal { text } => Secret::new(text.clone()),
            SecretKeyPlan::Template { .. } => continue,
        };
        data.insert(key.clone(), value);
    }
    for (key, how) in secret.keys.iter().filter(|(key, _)| !present.contains(key)) {
        let SecretKeyPlan::Template { text } = how else { continue };
        let mut filled = text.clone();
        for other in secret.keys.keys().filter(|other| *other != key) {
            let hole = format!("{{{other}}}");
            if !filled.contains(&hole) {
                continue;
            }
            let part = match data.get(other) {
                Some(part) => Some(part.clone()),
                None => run.world.cluster.secret_value(at, namespace, &secret.name, other).await?,
            };
            let part = part.ok_or_else(|| Failure::internal(format!("key {other} of Secret {} has no value to assemble {key} from", secret.name)))?;
            filled = filled.replace(&hole, part.reveal());
        }
        data.insert(key.clone(), Secret::new(filled));
    }
    let labels = BTreeMap::from([(labels::APP.to_owned(), plan.blueprint.app.to_string())]);
    run.world.cluster.ensure_secret(at, namespace, &secret.name, &labels, &data).await
}

/// Reads a value from its source; the text goes nowhere but into the Secret.
async fn value(run: &Run, at: &Proof, namespace: &Namespace, source: &ValueSource) -> Result<Secret, Failure> {
    match source {
        ValueSource::Secret(name, key) => run.world.cluster.secret_value(at, namespace, name, key).await?.ok_or_else(|| {
            Failure::new(Code::ValueSourceUnreadable, format!("Secret {name} has no key {key} in namespace {namespace}"))
                .help("name another source, or create that Secret first")
        }),
        ValueSource::Env(_) | ValueSource::File(_) | ValueSource::DotEnv(..) | ValueSource::Generate => {
            local_value(&run.folders.workspace, &run.folders.state, source)
        }
    }
}

/// Reads a value source of this machine. Files lie under the workspace or the user's own `secrets` folder.
pub fn local_value(workspace: &Path, state: &Path, source: &ValueSource) -> Result<Secret, Failure> {
    let unreadable = |why: String| {
        Failure::new(Code::ValueSourceUnreadable, format!("value source {source} cannot be read")).cause(why).help("name a source that exists, or generate")
    };
    let read = |path: &Path| -> Result<String, Failure> {
        let full = if path.is_absolute() { path.to_owned() } else { workspace.join(path) };
        let real = full.canonicalize().map_err(|error| unreadable(error.to_string()))?;
        let under = |root: &Path| root.canonicalize().is_ok_and(|root| real.starts_with(root));
        if !under(workspace) && !under(&state.join("secrets")) {
            return Err(unreadable("it lies neither in the workspace nor in the user's secrets folder".to_owned()));
        }
        let facts = std::fs::metadata(&real).map_err(|error| unreadable(error.to_string()))?;
        if !facts.is_file() || facts.len() > 64 * 1024 {
            return Err(unreadable("it is not a file of at most 64 KiB".to_owned()));
        }
        std::fs::read_to_string(&real).map_err(|error| unreadable(error.to_string()))
    };
    let value = match source {
        ValueSource::Env(name) => {
            std::env::var(name).map_err(|_| unreadable(format!("the environment variable {name} is not set where the operation runs")))?
        }
        ValueSource::File(path) => {
            let text = read(path)?;
            if text.contains("PRIVATE KEY-----") {
                return Err(unreadable("it holds a private key".to_owned()));
            }
            text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text)).unwrap_or(&text).to_owned()
        }
        ValueSource::DotEnv(path, key) => dotenv(&read(path)?, key).ok_or_else(|| unreadable(format!("there is no {key} in it")))?,
        ValueSource::Generate => return Secret::generate(),
        ValueSource::Secret(..) => return Err(unreadable("it is in the cluster".to_owned())),
    };
    if value.is_empty() {
        return Err(unreadable("it is empty".to_owned()));
    }
    Ok(Secret::new(value))
}

fn dotenv(text: &str, wanted: &str) -> Option<String> {
    text.lines().rev().find_map(|line| {
        let line = line.trim().strip_prefix("export ").unwrap_or(line.trim());
        let (key, value) = line.split_once('=')?;
        let value = value.trim();
        let quoted = |mark: char| value.len() >= 2 && value.starts_with(mark) && value.ends_with(mark);
        let value = if quoted('"') || quoted('\'') { value.get(1..value.len() - 1)? } else { value };
        (key.trim() == wanted).then(|| value.to_owned())
    })
}

/// The images of this operation, by service: of those that were built, the id; of those that came through the registry addon, the digest too.
#[derive(Clone, Debug, Default)]
pub struct Images {
    pub ids: BTreeMap<ServiceName, String>,
    pub digests: BTreeMap<ServiceName, String>,
}

impl Images {
    /// What a pod shows of its image: the digest by which it was pulled, else the id.
    fn shown(&self, service: &ServiceName) -> Option<String> {
        self.digests.get(service).or_else(|| self.ids.get(service)).cloned()
    }
}

/// Installs what is not there yet, wave by wave, and watches. Stops at the first wave whose gate refuses.
pub async fn run(run: &Run, plan: &Plan, at: &Proof, images: &Images) -> Result<End, Failure> {
    let mut end = End { revision: plan.base_revision + 1, ..End::default() };
    carried_dry_run(run, plan, at, &mut end).await?;
    rehearse(run, plan, at, &mut end).await?;
    if !end.passed() {
        return Ok(end);
    }
    for wave in &plan.blueprint.waves {
        run.may_go_on()?;
        let workloads: Vec<_> = wave.iter().filter_map(|name| plan.blueprint.workload(name.as_str())).collect();
        let applied = futures::future::join_all(workloads.iter().map(|workload| apply(run, plan, at, workload, images, end.revision))).await;
        let mut refused = false;
        for (workload, applied) in workloads.iter().zip(applied) {
            match applied {
                Ok(Some(view)) => end.releases.push(view),
                Ok(None) => end.unchanged.push(workload.name.to_string()),
                Err(failure) if matches!(failure.code, Code::Cancelled | Code::Deadline | Code::WrongCluster | Code::PlanStale | Code::OperationRunning) => {
                    return Err(failure);
                }
                Err(failure) => {
                    refused = true;
                    let diagnosis = of_failure(&workload.name, &failure);
                    run.diagnosed(STAGE, &diagnosis)?;
                    let seen = Evidence::new(Source::Program, "helm", &failure.to_string());
                    let gate = Gate::judge(
                        GateName::Kubernetes,
                        workload.name.as_str(),
                        vec![Check::fail("kubernetes.created", "helm applies every object", failure.message.clone(), vec![seen])],
                    );
                    run.judged(STAGE, &gate)?;
                    end.gates.push(gate);
                    end.diagnoses.push(diagnosis);
                }
            }
        }
        if refused {
            break;
        }
        watch(run, plan, at, &workloads, images, &mut end).await?;
        if !end.passed() {
            break;
        }
    }
    if !end.releases.is_empty() {
        run.journal.append(Some(STAGE), None, Event::RevisionReached { n: end.revision, releases: end.releases.clone() })?;
    }
    Ok(end)
}

/// The dry run that could not happen before the namespace existed.
async fn carried_dry_run(run: &Run, plan: &Plan, at: &Proof, end: &mut End) -> Result<(), Failure> {
    if plan.namespace_ready {
        return Ok(());
    }
    for workload in &plan.blueprint.workloads {
        let ChartPlace { folder, values } = chart_of(workload, &plan.blueprint.environment);
        let (chart, values) = (run.folders.workspace.join(folder), below(&run.folders.workspace, &values));
        let version = at.profile.kubernetes_version.trim_start_matches('v');
        let said = run.world.charts.template(&chart, &workload.name, &plan.blueprint.namespace, &values, Some(version)).await?;
        let check = if said.ok {
            super::chart::tried(&run.world.cluster.dry_run(at, &plan.blueprint.namespace, &said.text).await?)
        } else {
            let seen = Evidence::new(Source::Program, "helm template", &said.text);
            Check::fail("helm.dry_run", "rendering for the dry run", "the chart does not render", vec![seen])
        };
        let gate = Gate::judge(GateName::Helm, workload.name.as_str(), vec![check]);
        run.judged(STAGE, &gate)?;
        end.gates.push(gate);
    }
    Ok(())
}

/// Before the first effect: what runs now is kept, and the revision that a refusal would bring back is read from its backup and tried on the API server.
/// A first install has no way back but its removal, and what was never verified is not gone back to; neither has anything to rehearse.
async fn rehearse(run: &Run, plan: &Plan, at: &Proof, end: &mut End) -> Result<(), Failure> {
    let namespace = &plan.blueprint.namespace;
    for (release, step) in &plan.releases {
        let Some(current) = step.current.filter(|_| !step.unchanged) else { continue };
        run.doing(STAGE, release.as_str(), "rehearses the way back");
        back_up(run, at, namespace, release, current).await?;
        let Some(to) = step.verified else { continue };
        let kept = back_up(run, at, namespace, release, to).await?;
        let probed = format!("revision {} as it was kept, tried on the API server", to.0);
        let manifest = std::fs::read_to_string(&kept).map_err(|error| Failure::file("read", &kept, &error))?;
        let findings = run.world.cluster.dry_run(at, namespace, &manifest).await?;
        let bad = super::chart::refused(&findings);
        let check = match (findings.is_empty(), bad.len()) {
            (true, _) => Check::fail("rollback.rehearsed", probed, "the kept revision holds no object", Vec::new()),
            (false, 0) => Check::pass("rollback.rehearsed", probed, super::chart::told(&findings)),
            (false, n) => Check::fail("rollback.rehearsed", probed, format!("the API server would refuse {n} of its {} objects", findings.len()), bad),
        };
        let gate = Gate::judge(GateName::Helm, release.as_str(), vec![check]);
        run.judged(STAGE, &gate)?;
        end.gates.push(gate);
    }
    Ok(())
}

/// Values that name an image by its digest. A person's chart may have no place for one: it keeps the tag, by which the nodes have the same image.
fn by_digest(workload: &Workload, digest: &str) -> Option<String> {
    match &workload.chart {
        None => Some(format!("image:\n  digest: {digest}\n")),
        Some(persons) => persons.by_digest.then(|| crate::render::digest_values(persons, digest)),
    }
}

/// Applies one release; `None` where it runs exactly this already.
async fn apply(run: &Run, plan: &Plan, at: &Proof, workload: &Workload, images: &Images, app_revision: u32) -> Result<Option<ReleaseView>, Failure> {
    let release = &workload.name;
    let namespace = &plan.blueprint.namespace;
    let Some(step) = plan.releases.get(release) else { return Err(Failure::internal(format!("release {release} is not in the plan"))) };
    if step.unchanged {
        return Ok(None);
    }
    let ChartPlace { folder, values } = chart_of(workload, &plan.blueprint.environment);
    let image_id = images.ids.get(release).cloned();
    let undo = match (step.current, step.verified) {
        (None, _) => Undo::Uninstall { namespace: namespace.clone(), release: release.clone() },
        (Some(_), Some(to)) => Undo::HelmRollback { namespace: namespace.clone(), release: release.clone(), to },
        (Some(was), None) => Undo::Unverified { namespace: namespace.clone(), release: release.clone(), was },
    };
    let manifest = step.manifest.as_ref().map(|digest| digest.short().to_owned()).unwrap_or_default();
    let mut marks = BTreeMap::from([
        (labels::APP.to_owned(), plan.blueprint.app.to_string()),
        (labels::APP_REVISION.to_owned(), app_revision.to_string()),
        (labels::MANIFEST.to_owned(), manifest),
        (labels::OPERATION.to_owned(), run.id.to_string()),
    ]);
    if let Some(id) = images.shown(release) {
        marks.insert(labels::IMAGE.to_owned(), id.trim_start_matches("sha256:").chars().take(12).collect());
    }
    let mut values = below(&run.folders.workspace, &values);
    if let Some(text) = images.digests.get(release).and_then(|digest| by_digest(workload, digest)) {
        let file = run.folders.operation(&run.id).join("digests").join(format!("{release}.yaml"));
        crate::files::write_private(&file, text.as_bytes())?;
        values.push(file);
    }
    let request = Apply {
        namespace: namespace.clone(),
        release: release.clone(),
        values,
        chart: run.folders.workspace.join(&folder),
        labels: marks,
        description: format!("app revision r{app_revision}, {}", run.id),
        deadline: run.left().min(Duration::from_secs(120)),
    };
    let effect = Effect {
        key: format!("helm/{release}"),
        text: format!("{} release {release}", if step.current.is_some() { "upgrade" } else { "install" }),
        undo,
        before: json!({ "helm_revision": step.current, "verified": step.verified }),
    };
    let action = || async {
        // A worker that died after helm had landed must not make a second revision.
        let records = run.world.cluster.records(at, namespace).await?;
        let newest = records.get(release.as_str()).and_then(|records| records.iter().next_back());
        if let Some((revision, marks)) = newest
            && marks.get(labels::OPERATION).map(String::as_str) == Some(run.id.as_str())
            && marks.get("status").map(String::as_str) == Some("deployed")
        {
            return Ok(Revision(*revision));
        }
        let newest = newest.map(|(revision, _)| Revision(*revision));
        let mine = records
            .get(release.as_str())
            .is_some_and(|records| records.values().next_back().is_some_and(|marks| marks.get(labels::OPERATION).map(String::as_str) == Some(run.id.as_str())));
        if newest != step.current && !mine {
            return Err(Failure::new(Code::PlanStale, format!("release {release} changed after the plan was made")).help("call deploy again for a new plan"));
        }
        run.world.charts.apply(at, &request).await
    };
    let revision: Revision = run.effect_again(STAGE, release.as_str(), effect, super::class_of, action).await?;
    Ok(Some(ReleaseView { release: release.to_string(), helm_revision: revision.0, image_id, chart: folder }))
}

/// Keeps manifest and values of a revision in the operation's folder; where the manifest lies.
pub async fn back_up(run: &Run, at: &Proof, namespace: &Namespace, release: &ReleaseName, revision: Revision) -> Result<PathBuf, Failure> {
    let (manifest, values) = run.world.charts.recorded(at, namespace, release, revision).await?;
    let folder = run.folders.operation(&run.id).join("backup").join(release.as_str()).join(revision.0.to_string());
    let kept = folder.join("manifest.yaml");
    crate::files::write_private(&kept, manifest.as_bytes())?;
    crate::files::write_private(&folder.join("values.yaml"), values.as_bytes())?;
    Ok(kept)
}

/// Follows a wave until its gate can be judged.
async fn watch(run: &Run, plan: &Plan, at: &Proof, workloads: &[&Workload], images: &Images, end: &mut End) -> Result<(), Failure> {
    timed(run, plan, at, workloads, end).await?;
    let expected = |workload: &&Workload| {
        let kind = match workload.controller() {
            Controller::Deployment => WorkloadKind::Deployment,
            Controller::StatefulSet => WorkloadKind::StatefulSet,
            Controller::Job => WorkloadKind::Job,
            Controller::CronJob => return None,
        };
        Some(Expectation {
            release: workload.name.clone(),
            kind: Some(kind),
            image_id: images.shown(&workload.name),
            needs_endpoints: workload.port.is_some() && kind != WorkloadKind::Job,
        })
    };
    let expectations: Vec<_> = workloads.iter().filter_map(expected).collect();
    if expectations.is_empty() {
        return run.may_go_on();
    }
    for name in workloads.iter().map(|workload| workload.name.as_str()) {
        run.doing(STAGE, name, "watches the rollout");
    }
    let window = Duration::from_secs(run.config.gates.window_s);
    let rollout = Rollout {
        cluster: run.world.cluster.as_ref(),
        clock: run.world.clock.as_ref(),
        at,
        namespace: &plan.blueprint.namespace,
        window,
        deadline: run.left(),
        progress: run.heart.as_ref(),
        cancel: &run.cancel,
    };
    let ended = rollout.follow(&expectations).await?;
    for release in ended.releases {
        let name = release.release.as_str();
        for mut diagnosis in release.diagnoses {
            locate(plan, name, &mut diagnosis);
            run.diagnosed(STAGE, &diagnosis)?;
            end.diagnoses.push(diagnosis);
        }
        let gate = Gate::judge(GateName::Kubernetes, name, release.checks);
        run.judged(STAGE, &gate)?;
        end.gates.push(gate);
    }
    run.may_go_on()
}

/// What runs by the clock has no pod to wait for: its CronJob is there and runs when it shall.
async fn timed(run: &Run, plan: &Plan, at: &Proof, workloads: &[&Workload], end: &mut End) -> Result<(), Failure> {
    let timed: Vec<_> = workloads.iter().filter_map(|workload| Some((&workload.name, workload.schedule.as_deref()?))).collect();
    if timed.is_empty() {
        return Ok(());
    }
    let observed = run.world.cluster.observe(at, &plan.blueprint.namespace).await?;
    for (release, schedule) in timed {
        let check = rollout::scheduled("kubernetes.created", &observed, release, schedule);
        let gate = Gate::judge(GateName::Kubernetes, release.as_str(), vec![check]);
        run.judged(STAGE, &gate)?;
        end.gates.push(gate);
    }
    Ok(())
}

/// Adds the place in the workspace that caused it, where the survey knows it: the variable whose value names the host.
pub fn locate(plan: &Plan, release: &str, diagnosis: &mut Diagnosis) {
    let Some(workload) = plan.blueprint.workload(release) else { return };
    let named = |setting: &&crate::blueprint::EnvSetting| {
        let in_text = diagnosis.why.iter().any(|evidence| evidence.text.contains(setting.name.as_str())) || diagnosis.cause.contains(setting.name.as_str());
        let value = match &setting.value {
            crate::blueprint::EnvValue::Literal { text } => {
                text.len() >= 4
                    && rollout::named_host(diagnosis)
                        .is_some_and(|host| *text == host || text.contains(&format!("/{host}:")) || text.contains(&format!("/{host}/")))
            }
            crate::blueprint::EnvValue::SecretKey { .. } => false,
        };
        in_text || value
    };
    let Some(setting) = workload.env.iter().find(named) else { return };
    if diagnosis.source.is_none() {
        diagnosis.source.clone_from(&setting.read_at);
    }
    if let crate::blueprint::EnvValue::Literal { text } = &setting.value {
        diagnosis.why.push(Evidence::new(
            Source::File,
            format!("{release} environment {}", setting.name),
            &format!("{} = {text} ({})", setting.name, setting.why),
        ));
    }
}

/// A failed helm call as a diagnosis: by the taxonomy's row where helm's lines speak of one, by the failure's own code elsewhere.
fn of_failure(release: &ReleaseName, failure: &Failure) -> Diagnosis {
    let (code, class) = super::class_of(failure);
    let named = super::named(failure);
    let cause = named.map_or_else(|| failure.message.clone(), |(row, line)| format!("{}: {line}", row.cause));
    Diagnosis {
        code,
        class,
        owner: if named.is_some() { rollout::owner(class) } else { failure.owner },
        confidence: Confidence::Definitive,
        subject: release.to_string(),
        cause: crate::secret::plain(&cause, 400),
        why: failure.causes.iter().map(|cause| Evidence::new(Source::Program, "helm", cause)).collect(),
        impact: format!("release {release} was not applied whole"),
        source: None,
        options: vec![],
    }
}

/// Values that the named sources hold, for build secrets.
pub fn local_values(workspace: &Path, state: &Path, sources: &BTreeMap<EnvName, ValueSource>) -> Result<BTreeMap<EnvName, Secret>, Failure> {
    sources.iter().map(|(name, source)| Ok((name.clone(), local_value(workspace, state, source)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Owner;

    fn diagnosis(class: Class) -> Diagnosis {
        Diagnosis {
            code: "X".into(),
            class,
            owner: Owner::App,
            confidence: Confidence::Likely,
            subject: String::new(),
            cause: String::new(),
            why: vec![],
            impact: String::new(),
            source: None,
            options: vec![],
        }
    }

    fn check(classes: &[Class], verified: bool, expect: Decision) {
        let diagnoses: Vec<_> = classes.iter().copied().map(diagnosis).collect();
        assert_eq!(decide(OnRefusal::Rollback, &diagnoses, verified).0, expect, "{classes:?} {verified}");
        assert_eq!(decide(OnRefusal::Hold, &diagnoses, verified).0, Decision::Hold);
    }

    #[test]
    fn the_class_decides_after_a_refusal() {
        check(&[Class::AppSelfResolve], true, Decision::GoBack);
        check(&[Class::AppSelfResolve], false, Decision::GoBack);
        check(&[Class::AppNeedsValue], true, Decision::GoBack);
        check(&[Class::AppNeedsValue], false, Decision::Hold);
        check(&[Class::Unknown], true, Decision::Hold);
        check(&[Class::AppSelfResolve, Class::ClusterEscalate], true, Decision::Hold);
        check(&[], true, Decision::GoBack);
    }

    #[test]
    fn a_dotenv_key_is_read_with_its_quotes_off() {
        let text = "# x\nexport A=1\nB=\"two words\"\nA='3'\n";
        assert_eq!(dotenv(text, "A").as_deref(), Some("3"));
        assert_eq!(dotenv(text, "B").as_deref(), Some("two words"));
        assert_eq!(dotenv(text, "C"), None);
    }

    #[test]
    fn files_outside_the_workspace_are_no_value_sources() {
        let folder = tempfile::tempdir().unwrap();
        let workspace = folder.path().join("w");
        std::fs::create_dir(&workspace).unwrap();
        std::fs::write(folder.path().join("outside"), "x").unwrap();
        std::fs::write(workspace.join("inside"), "value\n").unwrap();
        std::os::unix::fs::symlink(folder.path().join("outside"), workspace.join("link")).unwrap();
        let read = |path: &str| local_value(&workspace, folder.path(), &ValueSource::File(path.into()));
        assert_eq!(read("inside").map(|value| value.reveal().to_owned()), Ok("value".to_owned()));
        for outside in ["../outside", "link", "/etc/hostname"] {
            assert_eq!(read(outside).unwrap_err().code, Code::ValueSourceUnreadable, "{outside}");
        }
    }
}
