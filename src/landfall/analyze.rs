//! analyze_project, plan_deployment and the first `landfall.toml`: what is read from a workspace and shown, changing nothing.

use super::{Landfall, app_name};
use crate::ask::{self, Detail, OnConflict, OnRefusal, Through};
use crate::blueprint::Wishes;
use crate::config::{Config, ValueSource};
use crate::draft::{Draft, Wanted};
use crate::evidence::{Finding, Severity};
use crate::failure::{Code, Failure};
use crate::names::{EnvName, EnvironmentName, ServiceName};
use crate::plan::Plan;
use crate::reply::{self, FileAction, PlanView, PlannedChange, PlannedStage, Reply, ResourceLink, Status, Target, WayBack, With};
use crate::survey::Survey;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

/// How many services a summary names.
const NAMED: usize = 8;

impl Landfall {
    /// analyze_project: reads the workspace.
    pub async fn analyze(&self, ask: &ask::AnalyzeProject) -> Result<With<reply::Analysis>, Failure> {
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let root = sub_folder(&workspace, ask.path.as_deref())?;
        let survey = self.surveyed(&root).await?;
        let config = Config::load(&workspace)?;
        let blockers = survey.findings.iter().filter(|finding| finding.severity == Severity::Blocker).count();
        let names: Vec<_> = survey.services.iter().map(|service| service.name.as_str()).collect();
        let rest = names.len().saturating_sub(NAMED);
        let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
        let named = format!("{}{more}; {}", names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", "), counted(blockers, "blocker"));
        let summary = match names.len() {
            0 => format!("{} holds nothing that can be deployed", root.display()),
            1 => format!("1 service: {named}"),
            n => format!("{n} services: {named}"),
        };
        let mut reply = Reply::new(Status::Done, summary);
        reply.target = Some(Target { app: app_name(&config, &workspace).to_string(), workspace: workspace.display().to_string(), ..Target::default() });
        let arguments = json!({ "workspace": workspace.display().to_string() });
        if names.is_empty() {
            let containing = root.parent().map_or_else(|| root.display().to_string(), |parent| parent.display().to_string());
            reply.then("analyze_project", json!({ "workspace": containing }), "survey the folder above, if the project lies elsewhere");
        } else {
            reply.then("plan_deployment", arguments.clone(), "see what a deployment would do");
            reply.then("containerize", arguments, "write Dockerfiles and build the images");
        }
        Ok(With::new(reply, analysis(survey, ask.detail)))
    }

    /// plan_deployment: a plan with its digest, changing nothing.
    pub async fn plan(&self, ask: &ask::PlanDeployment) -> Result<With<reply::Planned>, Failure> {
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let config = Config::load(&workspace)?;
        let wanted = Wanted {
            wishes: wishes(ask.namespace.as_ref(), ask.environment.as_ref(), &ask.services, &ask.secrets, &ask.backing)?,
            profile: ask.profile.clone(),
            through: ask.through,
            on_refusal: OnRefusal::Rollback,
            on_conflict: OnConflict::Stop,
            start_cluster: true,
            build_secrets: BTreeMap::new(),
            environments: default_environments(&config, ask.environment.as_ref())?,
            cluster: true,
        };
        let draft = self.draft(&workspace, &wanted).await?;
        let changes = self.cluster_changes(&draft).await;
        let folders = self.folders(&workspace);
        folders.prepare()?;
        let mut diff = draft.diff.clone();
        for (change, text) in &changes {
            if !text.is_empty() {
                let _ = writeln!(diff, "# {}/{}\n{text}", change.kind, change.name);
            }
        }
        let digest = draft.plan.store(&folders.plans(), &diff)?;
        let view = plan_view(&draft, digest.as_str(), changes.into_iter().map(|(change, _)| change).collect());
        let mut reply = Reply::new(Status::Done, plan_sentence(&draft, &view));
        if !draft.blueprint.values_needed.is_empty() {
            reply.status = Status::ValueNeeded;
            reply.values_needed.clone_from(&draft.blueprint.values_needed);
        }
        reply.target = Some(target_of(&draft));
        reply.files = shown_files(&draft, digest.short());
        reply.seen_at = draft.target.is_ok().then(|| self.world.clock.now());
        reply.resources.push(ResourceLink {
            uri: format!("landfall://plan/{}/diff", digest.short()),
            title: "what would change, as a difference".to_owned(),
            mime: "text/x-diff".to_owned(),
            bytes: u64::try_from(diff.len()).ok(),
        });
        next_after_plan(&mut reply, &draft, ask, digest.as_str());
        // A note is worth a caller's time where a ready change comes with it.
        let told = |finding: &&Finding| finding.severity != Severity::Note || finding.fix.is_some();
        let findings = draft.findings.iter().filter(told).take(20).cloned().collect();
        Ok(With::new(reply, reply::Planned { plan: Some(view), findings }))
    }

    /// What the API server says each object would become; nothing where there is no cluster or namespace yet.
    async fn cluster_changes(&self, draft: &Draft) -> Vec<(PlannedChange, String)> {
        let mut changes = Vec::new();
        if draft.plan.through < Through::Deploy {
            return changes;
        }
        let looked = match &draft.target {
            Ok(proof) if draft.plan.namespace_ready => {
                let runs = draft.manifests.iter().map(|(release, manifest)| async move {
                    let findings = self.world.cluster.dry_run(proof, &draft.blueprint.namespace, manifest).await;
                    (release, findings)
                });
                futures::future::join_all(runs).await
            }
            Ok(_) | Err(_) => Vec::new(),
        };
        if looked.is_empty() {
            for (name, hook) in draft.manifests.values().flat_map(|manifest| named_objects(manifest)) {
                changes.extend(planned(&name, hook, "create".to_owned(), String::new()));
            }
        }
        for (release, findings) in looked {
            let hooks: BTreeMap<_, _> = draft.manifests.get(release).map(|manifest| named_objects(manifest)).unwrap_or_default().into_iter().collect();
            for finding in findings.unwrap_or_default() {
                let hook = hooks.get(&finding.object).copied().unwrap_or(Hook::None);
                let action = if finding.ok { finding.text } else { format!("refused: {}", finding.text) };
                changes.extend(planned(&finding.object, hook, action, finding.diff));
            }
        }
        changes
    }

    /// A commented `landfall.toml` for the workspace, from its survey.
    pub async fn initial_config(&self, workspace: Option<&str>) -> Result<String, Failure> {
        let workspace = self.workspace(workspace)?;
        let survey = self.surveyed(&workspace).await?;
        Ok(commented_config(&survey, &workspace))
    }
}

fn commented_config(survey: &Survey, workspace: &Path) -> String {
    let app = crate::names::AppName::from_folder(workspace);
    let mut text = format!(
        "# Decisions of people. Landfall reads this file and never changes it. Unknown keys are errors.\nschema = 1\n\n[app]\nname = \"{app}\"\n# namespace = \"{app}\"\n\n[cluster]\n# profile = \"minikube\"\n# start = {{ cpus = 2, memory = \"6g\" }}\n"
    );
    for service in &survey.services {
        let _ = write!(text, "\n[service.{}]\n# dir = {:?}\n", service.name, service.dir);
        if let Some(start) = &service.start_command {
            let _ = writeln!(text, "# start = {start:?}");
        }
        if let Some(port) = service.main_port() {
            let _ = writeln!(text, "# port = {port}");
        }
        if let Some(ready) = service.health.as_ref().and_then(|health| health.ready.as_ref()) {
            let _ = writeln!(text, "# ready = {ready:?}");
        }
        let public: Vec<_> = service.env.iter().filter(|read| !read.secret).collect();
        if !public.is_empty() {
            let _ = writeln!(text, "[service.{}.env]", service.name);
            for read in public {
                let place = read.evidence.first().map(|place| format!("{}:{}", place.file, place.line)).unwrap_or_default();
                let _ = writeln!(text, "# {} = {:?}  # read at {place}", read.name, read.default.as_deref().unwrap_or(""));
            }
        }
    }
    let secrets: std::collections::BTreeSet<_> =
        survey.services.iter().flat_map(|service| &service.env).filter(|read| read.secret).map(|read| read.name.as_str()).collect();
    text.push_str("\n# Where secret values come from: env:VAR, file:PATH, file:PATH#KEY, secret:SECRET/KEY or generate. Never a value.\n[secrets]\n");
    for name in secrets {
        let _ = writeln!(text, "# {name} = \"env:{name}\"");
    }
    let kinds: std::collections::BTreeSet<_> = survey.services.iter().flat_map(|service| &service.backing).map(|need| need.kind.as_str()).collect();
    text.push_str("\n# in_cluster for a development instance, or url:NAME for the secret that holds its address.\n[backing]\n");
    for kind in kinds.iter().filter(|kind| matches!(**kind, "postgres" | "mysql" | "redis" | "mongodb" | "rabbitmq")) {
        let _ = writeln!(text, "# {kind} = \"in_cluster\"");
    }
    text.push_str("\n[gates]\nimage_budget_mb = 500\nscan = \"optional\"\nwindow_s = 10\n\n[approval]\n# mode = \"human\"\n");
    text
}

/// What helm does with an object besides keeping it in the release.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Hook {
    None,
    /// Made at install or upgrade, before or after the release's own objects.
    Runs,
    /// Made by `helm test` alone.
    Test,
}

/// Kind/name of every object of a manifest, with the hook that it is.
fn named_objects(manifest: &str) -> Vec<(String, Hook)> {
    let hook = |object: &serde_json::Value| match object.pointer("/metadata/annotations/helm.sh~1hook").and_then(serde_json::Value::as_str) {
        None => Hook::None,
        Some(kinds) if kinds.split(',').all(|kind| kind.trim().starts_with("test")) => Hook::Test,
        Some(_) => Hook::Runs,
    };
    crate::policy::documents(manifest).unwrap_or_default().iter().map(|object| (crate::policy::object_name(object), hook(object))).collect()
}

/// One line of a plan; none for what the plan does not make.
fn planned(object: &str, hook: Hook, action: String, diff: String) -> Option<(PlannedChange, String)> {
    let (kind, name) = object.split_once('/').unwrap_or((object, ""));
    let action = match hook {
        Hook::Test => return None,
        Hook::Runs if matches!(action.as_str(), "create" | "update" | "unchanged") => "run".to_owned(),
        Hook::Runs | Hook::None => action,
    };
    let restarts = matches!(kind, "Deployment" | "StatefulSet") && action == "update" && diff.contains("template");
    Some((PlannedChange { kind: kind.to_owned(), action, name: name.to_owned(), restarts, diff_uri: None }, diff))
}

fn analysis(survey: Survey, detail: Detail) -> reply::Analysis {
    let Survey { root, digest, mut services, backing, mcp, mut specs, findings, ready, unknown, passed_over, skipped, .. } = survey;
    if detail == Detail::Summary {
        for service in &mut services {
            service.evidence.clear();
            service.dependencies.clear();
            service.build_facts.clear();
            for read in &mut service.env {
                read.evidence.truncate(1);
            }
            for port in &mut service.ports {
                port.evidence.truncate(1);
            }
        }
        for feature in &mut specs.features {
            feature.requirements.truncate(10);
        }
        specs.principles.iter_mut().for_each(|principle| principle.text = crate::secret::plain(&principle.text, 160));
    }
    reply::Analysis { root, digest, services, backing, mcp: Some(mcp), specs, findings, ready, unknown, passed_over, skipped }
}

fn sub_folder(workspace: &Path, path: Option<&str>) -> Result<std::path::PathBuf, Failure> {
    let Some(path) = path.filter(|path| !path.is_empty() && *path != ".") else { return Ok(workspace.to_owned()) };
    let shown = crate::secret::plain(path, 200);
    let real = workspace.join(path).canonicalize().map_err(|error| {
        Failure::new(Code::WorkspaceNotFound, format!("there is no folder {shown} in the workspace")).cause(error).help("name a sub-folder of the workspace")
    })?;
    if real.starts_with(workspace) && real.is_dir() {
        Ok(real)
    } else {
        Err(Failure::new(Code::WorkspaceNotAllowed, format!("{shown} is not a folder of the workspace")).help("name a sub-folder of the workspace"))
    }
}

/// Wishes from the arguments that several tools share.
pub(super) fn wishes(
    namespace: Option<&crate::names::Namespace>,
    environment: Option<&EnvironmentName>,
    services: &[ServiceName],
    secrets: &[String],
    backing: &[String],
) -> Result<Wishes, Failure> {
    let secrets: BTreeMap<EnvName, ValueSource> = secrets.iter().map(|text| ValueSource::parse_named(text)).collect::<Result<_, _>>()?;
    let mut kinds = BTreeMap::new();
    for text in backing {
        let good = text
            .split_once('=')
            .filter(|(kind, how)| !kind.is_empty() && (*how == "in_cluster" || how.strip_prefix("url:").is_some_and(|name| EnvName::parse(name).is_ok())));
        let Some((kind, how)) = good else {
            return Err(Failure::new(Code::BadArgument, format!("backing {:?} is none of the known forms", crate::secret::plain(text, 80)))
                .help("use postgres=in_cluster, or postgres=url:NAME with NAME among the secrets"));
        };
        kinds.insert(kind.to_owned(), how.to_owned());
    }
    Ok(Wishes {
        namespace: namespace.cloned(),
        environment: environment.cloned(),
        services: services.to_vec(),
        secrets,
        backing: kinds,
        expose: None,
        build_values: BTreeMap::new(),
    })
}

/// minikube, prod and the one that is deployed.
pub(super) fn default_environments(_config: &Config, environment: Option<&EnvironmentName>) -> Result<Vec<EnvironmentName>, Failure> {
    let mut all = vec![EnvironmentName::parse("minikube")?, EnvironmentName::parse("prod")?];
    if let Some(environment) = environment
        && !all.contains(environment)
    {
        all.push(environment.clone());
    }
    Ok(all)
}

/// What a draft was made for.
pub(super) fn target_of(draft: &Draft) -> Target {
    Target {
        app: draft.app.to_string(),
        workspace: draft.folders.workspace.display().to_string(),
        profile: draft.plan.profile.as_ref().map(ToString::to_string),
        namespace: Some(draft.blueprint.namespace.to_string()),
        environment: Some(draft.blueprint.environment.to_string()),
    }
}

/// At most twenty files that matter, conflicts first.
pub(super) fn shown_files(draft: &Draft, digest: &str) -> Vec<reply::FileChange> {
    let mut files: Vec<_> = draft.changes.clone();
    for file in &mut files {
        if file.action != FileAction::Unchanged {
            file.diff_uri = Some(format!("landfall://plan/{digest}/diff"));
        }
    }
    files.sort_by_key(|file| match file.action {
        FileAction::Conflict => 0,
        FileAction::Update => 1,
        FileAction::Create => 2,
        FileAction::Unchanged => 3,
    });
    files.truncate(20);
    files
}

fn plan_sentence(draft: &Draft, view: &PlanView) -> String {
    let images = draft.plan.images.values().filter(|step| !step.present).count();
    let releases = draft.plan.releases.values().filter(|step| !step.unchanged).count();
    let place = match (&draft.target, &draft.plan.start) {
        (Ok(proof), _) => format!("profile {}, proven local", proof.profile.name),
        (Err(_), Some(_)) => "a profile that is started first".to_owned(),
        (Err(failure), None) => format!("no proven cluster ({})", failure.code),
    };
    format!("{} to build, {} to install or upgrade in {} waves, {place}", counted(images, "image"), counted(releases, "release"), view.waves.len())
}

fn plan_view(draft: &Draft, digest: &str, changes: Vec<PlannedChange>) -> PlanView {
    let plan = &draft.plan;
    PlanView {
        digest: digest.to_owned(),
        expires_at: plan.expires_at,
        through: through_word(plan.through).to_owned(),
        base_revision: format!("r{}", plan.base_revision),
        waves: plan.blueprint.waves.iter().map(|wave| wave.iter().map(ToString::to_string).collect()).collect(),
        stages: planned_stages(draft),
        changes,
        approvals: plan.summary(),
        rollback: ways_back(plan),
        estimate_s: estimate(plan),
    }
}

/// Seconds, from what such steps usually take; shown as an estimate and nothing else.
fn estimate(plan: &Plan) -> u64 {
    let count = |n: usize| u64::try_from(n).unwrap_or(0);
    let builds = plan.images.values().filter(|step| !step.present).count();
    let waves = if plan.through >= Through::Deploy && plan.changes_cluster() { plan.blueprint.waves.len() } else { 0 };
    let validate = if plan.through >= Through::Validate { 15 } else { 0 };
    count(builds) * 45 + count(waves) * 20 + validate + 5
}

fn planned_stages(draft: &Draft) -> Vec<PlannedStage> {
    let plan = &draft.plan;
    let mut stages = Vec::new();
    for stage in crate::operation::stages(plan.through) {
        use crate::journal::StageName;
        let changed =
            |charts: bool| draft.changes.iter().filter(move |change| change.path.starts_with("deploy/") == charts && change.action != FileAction::Unchanged);
        let effects: Vec<String> = match stage {
            StageName::Containerize => {
                let files = changed(false).map(|change| format!("write {}", change.path));
                let builds = plan.images.iter().filter(|(_, step)| !step.present).map(|(_, step)| format!("build {}", step.reference));
                files.chain(builds).collect()
            }
            StageName::Chart => changed(true).take(12).map(|change| format!("write {}", change.path)).collect(),
            StageName::Deploy => plan.summary(),
            StageName::Validate => vec![
                "HTTP from inside the cluster and through a forwarded port".into(),
                "environment of the running processes".into(),
                "MCP handshake, tools/list, tools/call".into(),
                "logs".into(),
            ],
            StageName::Rollback => Vec::new(),
        };
        let needed = !effects.is_empty();
        let why = if needed { "not there yet, or changed" } else { "everything is there already" };
        stages.push(PlannedStage { stage: stage.as_str().to_owned(), needed, why: why.to_owned(), effects });
    }
    stages
}

fn ways_back(plan: &Plan) -> Vec<WayBack> {
    let keeps = |release: &crate::names::ReleaseName| {
        let claim =
            plan.blueprint.workload(release.as_str()).and_then(|workload| workload.storage.as_ref()).map(|_| format!("claim of {release} with its data"));
        claim.into_iter().chain(std::iter::once("Secrets".to_owned())).collect::<Vec<_>>()
    };
    let releases = plan.releases.iter().filter(|(_, step)| !step.unchanged);
    releases
        .map(|(release, step)| WayBack {
            release: release.to_string(),
            to: match (step.current, step.verified) {
                (_, Some(verified)) => format!("verified revision {verified}"),
                (None, None) => "uninstalled".to_owned(),
                (Some(current), None) => format!("nowhere: revision {current} was never verified"),
            },
            keeps: keeps(release),
            cannot_undo: plan
                .blueprint
                .workload(release.as_str())
                .and_then(|workload| workload.storage.as_ref())
                .map(|_| "rows that the new version writes".to_owned())
                .into_iter()
                .collect(),
        })
        .collect()
}

fn next_after_plan(reply: &mut Reply, draft: &Draft, ask: &ask::PlanDeployment, digest: &str) {
    let mut arguments = crate::operation::bare(ask);
    arguments.retain(|_, value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
    arguments.insert("workspace".into(), json!(draft.folders.workspace.display().to_string()));
    if !draft.blueprint.values_needed.is_empty() {
        let mut secrets = ask.secrets.clone();
        let mut backing = ask.backing.clone();
        for needed in &draft.blueprint.values_needed {
            match needed.accepts.first() {
                Some(first) => match first.strip_prefix("backing: ") {
                    Some(first) => backing.push(first.to_owned()),
                    None => secrets.push(first.clone()),
                },
                None => continue,
            }
        }
        arguments.insert("secrets".into(), json!(secrets));
        arguments.insert("backing".into(), json!(backing));
        reply.then("plan_deployment", serde_json::Value::Object(arguments), "plan again with the values that are needed; choose each source yourself");
        return;
    }
    match (&draft.target, &draft.plan.start) {
        (Ok(_), _) => arguments.insert("plan".into(), json!(digest)),
        (Err(_), Some(_)) => arguments.insert("start_cluster".into(), json!(true)),
        (Err(failure), None) => {
            reply.then(
                "validate_env",
                json!({ "workspace": draft.folders.workspace.display().to_string(), "when": "before" }),
                &format!("no cluster yet: {failure}"),
            );
            return;
        }
    };
    reply.then("deploy", serde_json::Value::Object(arguments), "carry out exactly this plan; it asks for approval first");
}

pub(super) fn through_word(through: Through) -> &'static str {
    match through {
        Through::Containerize => "containerize",
        Through::Chart => "chart",
        Through::Deploy => "deploy",
        Through::Validate => "validate",
    }
}

/// `1 image`, `2 images`.
pub(super) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_runs_hooks_and_leaves_tests_to_helm_test() {
        let check = |annotation: &str, expect: Option<&str>| {
            let manifest = format!("kind: Job\nmetadata:\n  name: a\n  annotations: {{{annotation}}}\n");
            let (name, hook) = named_objects(&manifest).remove(0);
            assert_eq!(planned(&name, hook, "create".into(), String::new()).map(|(change, _)| change.action), expect.map(str::to_owned), "{annotation}");
        };
        check("", Some("create"));
        check("helm.sh/hook: test", None);
        check("helm.sh/hook: pre-install", Some("run"));
        check("helm.sh/hook: 'pre-upgrade,test'", Some("run"));
    }
}
