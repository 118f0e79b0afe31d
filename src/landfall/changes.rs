//! containerize, generate_chart, deploy, rollback: from a question to an approved, durable operation, or to the reason why not.

use super::analyze::{counted, default_environments, shown_files, target_of, through_word, wishes};
use super::{Landfall, app_name};
use crate::approval::{Redeemed, Request as ApprovalRequest};
use crate::ask::{self, OnConflict, OnRefusal, Through, Until};
use crate::blueprint::Wishes;
use crate::config::{Config, Folders, Pause, ValueSource};
use crate::draft::{Draft, History, Wanted, namespace_of};
use crate::evidence::Verdict;
use crate::failure::{Code, Failure};
use crate::names::{AppName, Digest, EnvName, Namespace, OperationId, ReleaseName, Revision};
use crate::operation::{self, Request};
use crate::plan::Plan;
use crate::ports::Proof;
use crate::reply::{self, FileAction, OperationView, Reply, Status, Target, With};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// When a call that began an operation is answered at the latest, whatever the operation does: well under the 3 s of every tool.
pub(super) const ANSWER: Duration = Duration::from_millis(2_200);
/// How long the look at what a rollback changes may take: its call is answered within three seconds.
const IMPACT: Duration = Duration::from_millis(1_800);

/// A rollback, decided: what each release goes back to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RollbackPlan {
    pub app: AppName,
    pub namespace: Namespace,
    pub fingerprint: String,
    pub from: String,
    pub to: String,
    /// release → the helm revision to go back to; none: uninstall.
    pub releases: BTreeMap<ReleaseName, Option<Revision>>,
    /// release → the helm revision that runs now.
    pub current: BTreeMap<ReleaseName, Revision>,
    /// The target was verified by us.
    pub verified: bool,
    pub reason: String,
}

/// What a call becomes after its approval was looked at.
enum Consent {
    /// Go on; for the journal: who said so.
    Granted(Option<String>),
    /// Answer this instead.
    Answer(Box<Reply>),
}

impl Landfall {
    /// The operation that runs in this workspace: the same question joins it, another one is refused.
    fn join(&self, folders: &Folders, tool: &str, ask: &Map<String, Value>) -> Result<Option<OperationView>, Failure> {
        let Some(running) = operation::running(folders) else { return Ok(None) };
        if running.same(tool, ask) {
            return operation::look(folders, &running).map(|(view, _)| Some(view));
        }
        Err(Failure::new(Code::OperationRunning, format!("{} {} runs on this app", running.tool, running.id))
            .help(format!("wait for it: operation_status {{\"operation\": \"{0}\"}}, or stop it: cancel_operation {{\"operation\": \"{0}\"}}", running.id)))
    }

    /// Writes the operation down, starts its worker and answers at once.
    pub(super) async fn begin(&self, folders: &Folders, request: Request, plan: Option<&Draft>, more: Option<(&str, Value)>) -> Result<OperationView, Failure> {
        operation::create(folders, &request, plan.map(|draft| &draft.plan))?;
        let folder = folders.operation(&request.id);
        let json = |value: &Value| serde_json::to_vec(value).map_err(|error| Failure::internal("write an operation's file").cause(error));
        if let Some(draft) = plan {
            let files: Vec<_> = draft.files.iter().map(|file| json!({ "path": file.path, "text": file.text, "executable": file.executable })).collect();
            crate::files::write_private(&folder.join("files.json"), &json(&Value::Array(files))?)?;
            crate::files::write_private(&folder.join("survey.json"), &json(&serde_json::to_value(&draft.survey).unwrap_or_default())?)?;
        }
        if let Some((name, value)) = more {
            crate::files::write_private(&folder.join(name), &json(&value)?)?;
        }
        operation::launch(&self.setup.program, folders, &request.id).await?;
        operation::look(folders, &request).map(|(view, _)| view)
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one request, named at the call")]
    fn request(
        &self,
        tool: &str,
        ask: Map<String, Value>,
        app: AppName,
        workspace: &Path,
        profile: Option<crate::names::ProfileName>,
        namespace: Option<Namespace>,
        digest: Option<&Digest>,
        approved_by: Option<String>,
        deadline_s: u32,
    ) -> Request {
        let now = self.world.clock.now();
        Request {
            format: 1,
            id: OperationId::new(now),
            tool: tool.to_owned(),
            ask,
            app,
            workspace: workspace.to_owned(),
            profile,
            namespace,
            plan: digest.map(ToString::to_string),
            approved_by,
            deadline_s,
            created_at: now,
        }
    }

    /// Asks for an approval, or spends the one that was given.
    fn consent(&self, config: &Config, request: ApprovalRequest, token: Option<&str>, ask: &Map<String, Value>) -> Result<Consent, Failure> {
        let mode = self.mode(config);
        let digest = request.digest.clone();
        let tool = request.tool.clone();
        if let Some(token) = token {
            return Ok(match self.approvals().redeem(token, &digest, mode, "an operation")? {
                Redeemed::Granted { words } => Consent::Granted(Some(words)),
                Redeemed::Declined => Consent::Answer(Box::new(Reply::new(Status::Declined, "declined; nothing was changed"))),
            });
        }
        let summary = format!("{tool} needs approval: {}", counted(request.summary.len(), "change"));
        let approval = self.approvals().ask(request, mode)?;
        let mut reply = Reply::new(Status::ApprovalNeeded, summary);
        let mut arguments = shown(ask);
        match (mode, &approval.token) {
            (crate::config::ApprovalMode::Client, Some(token)) => {
                arguments.insert("approval".into(), json!(token));
                reply.then(&tool, Value::Object(arguments), "after your user agreed to the summary");
            }
            (crate::config::ApprovalMode::Human, _) | (crate::config::ApprovalMode::Client, None) => {
                reply.then(&tool, Value::Object(arguments), "after a person approved it at a terminal");
            }
        }
        reply.approval = Some(approval);
        Ok(Consent::Answer(Box::new(reply)))
    }

    /// The consent that a draft needs; none where a person would notice nothing.
    fn consent_to(&self, draft: &Draft, tool: &str, token: Option<&str>, ask: &Map<String, Value>) -> Result<Consent, Failure> {
        if draft.plan.unnoticed() {
            return Ok(Consent::Granted(None));
        }
        let mut consent = self.consent(&draft.config, approval_request(tool, draft)?, token, ask)?;
        if let Consent::Answer(answer) = &mut consent {
            answer.target = Some(target_of(draft));
        }
        Ok(consent)
    }

    /// containerize: writes Dockerfiles and, as an operation, builds and judges images.
    pub async fn containerize(&self, ask: &ask::Containerize) -> Result<With<reply::Containerized>, Failure> {
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let config = Config::load(&workspace)?;
        let folders = self.folders(&workspace);
        let bare = operation::bare(ask);
        if let Some(view) = self.join(&folders, "containerize", &bare)? {
            return Ok(With::new(running(view, "containerize", &workspace), reply::Containerized::default()));
        }
        let mut wished = wishes(ask.namespace.as_ref(), ask.environment.as_ref(), &ask.services, &[], &[])?;
        wished.build_values = build_values(&ask.build_values)?;
        let build_secrets = ask.build_secrets.iter().map(|text| ValueSource::parse_named(text)).collect::<Result<BTreeMap<_, _>, _>>()?;
        crate::stages::deploy::local_values(&workspace, &self.setup.state, &without_cluster(&build_secrets)?)?;
        let wanted = Wanted {
            wishes: wished,
            profile: ask.profile.clone(),
            through: Through::Containerize,
            on_refusal: OnRefusal::Hold,
            on_conflict: ask.on_conflict,
            start_cluster: false,
            build_secrets,
            environments: default_environments(&config, ask.environment.as_ref())?,
            cluster: ask.until == Until::Image,
        };
        let mut draft = self.draft(&workspace, &wanted).await?;
        draft.files.retain(|file| !file.path.starts_with("deploy/"));
        draft.changes.retain(|change| !change.path.starts_with("deploy/"));
        draft.plan.files.retain(|path, _| !path.starts_with("deploy/"));
        if ask.until == Until::Files {
            draft.plan.addons.clear();
        }
        if let Some(answer) = self.conflicts(&draft, "containerize", ask.on_conflict)? {
            return Ok(With::new(answer, reply::Containerized::default()));
        }
        let approved_by = match self.consent_to(&draft, "containerize", ask.approval.as_deref(), &bare)? {
            Consent::Answer(answer) => return Ok(With::new(*answer, reply::Containerized::default())),
            Consent::Granted(words) => words,
        };
        if ask.until == Until::Files {
            let reply = self.write_now(&draft, "containerize", approved_by, |path| !path.starts_with("deploy/"), json!({ "until": "image" }))?;
            return Ok(With::new(reply, reply::Containerized::default()));
        }
        if let Err(failure) = &draft.target {
            return Err(failure.clone());
        }
        let digest = draft.plan.store(&folders.plans(), &draft.diff)?;
        let request = self.request(
            "containerize",
            bare,
            draft.app.clone(),
            &workspace,
            draft.plan.profile.clone(),
            Some(draft.blueprint.namespace.clone()),
            Some(&digest),
            approved_by,
            ask.deadline_s.unwrap_or(900),
        );
        let view = self.begin(&folders, request, Some(&draft), None).await?;
        let mut reply = running(view, "containerize", &workspace);
        reply.target = Some(target_of(&draft));
        reply.files = shown_files(&draft, digest.short());
        Ok(With::new(reply, reply::Containerized::default()))
    }

    /// generate_chart: writes and judges charts.
    pub async fn generate_chart(&self, ask: &ask::GenerateChart) -> Result<With<reply::Charted>, Failure> {
        let began = Instant::now();
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let config = Config::load(&workspace)?;
        let folders = self.folders(&workspace);
        let bare = operation::bare(ask);
        if let Some(view) = self.join(&folders, "generate_chart", &bare)? {
            return Ok(With::new(running(view, "generate_chart", &workspace), reply::Charted::default()));
        }
        let mut wished = wishes(ask.namespace.as_ref(), ask.environment.as_ref(), &ask.services, &[], &ask.backing)?;
        wished.expose = Some(ask.expose);
        let environments = if ask.environments.is_empty() { default_environments(&config, ask.environment.as_ref())? } else { ask.environments.clone() };
        let wanted = Wanted {
            wishes: wished,
            profile: ask.profile.clone(),
            through: Through::Chart,
            on_refusal: OnRefusal::Hold,
            on_conflict: ask.on_conflict,
            start_cluster: false,
            build_secrets: BTreeMap::new(),
            environments,
            cluster: true,
        };
        let mut draft = self.draft(&workspace, &wanted).await?;
        // Charts are written and judged without images.
        draft.plan.addons.clear();
        if let Some(answer) = self.conflicts(&draft, "generate_chart", ask.on_conflict)? {
            return Ok(With::new(answer, reply::Charted::default()));
        }
        let approved_by = match self.consent_to(&draft, "generate_chart", ask.approval.as_deref(), &bare)? {
            Consent::Answer(answer) => return Ok(With::new(*answer, reply::Charted::default())),
            Consent::Granted(words) => words,
        };
        let digest = draft.plan.store(&folders.plans(), &draft.diff)?;
        let request = self.request(
            "generate_chart",
            bare,
            draft.app.clone(),
            &workspace,
            draft.plan.profile.clone(),
            Some(draft.blueprint.namespace.clone()),
            Some(&digest),
            approved_by,
            ask.deadline_s.unwrap_or(300),
        );
        let view = self.begin(&folders, request.clone(), Some(&draft), None).await?;
        let (view, result) = self.short_wait(&folders, &request, view, began + ANSWER).await;
        let mut reply = match result {
            Some((reply, _)) => reply,
            None => running(view, "generate_chart", &workspace),
        };
        reply.target = Some(target_of(&draft));
        reply.files = shown_files(&draft, digest.short());
        let charts = operation::result(&folders, &request.id).and_then(|result| serde_json::from_value(Value::Object(result)).ok()).unwrap_or_default();
        Ok(With::new(reply, charts))
    }

    /// deploy: begins an operation, after approval.
    pub async fn deploy(&self, ask: &ask::Deploy) -> Result<With<reply::Deployed>, Failure> {
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let config = Config::load(&workspace)?;
        let folders = self.folders(&workspace);
        let bare = operation::bare(ask);
        if let Some(view) = self.join(&folders, "deploy", &bare)? {
            return Ok(With::new(running(view, "deploy", &workspace), reply::Deployed::default()));
        }
        if ask.pause.or(config.approval.pause) == Some(Pause::EachStage) {
            return self.one_stage(ask, &workspace, &config).await;
        }
        self.deploy_through(ask, ask.through, &workspace, &config).await
    }

    /// Pausing at each stage: the first stage that is still needed is deployed up to, each with an approval of its own.
    async fn one_stage(&self, ask: &ask::Deploy, workspace: &Path, config: &Config) -> Result<With<reply::Deployed>, Failure> {
        let draft = self.draft(workspace, &deploy_wanted(ask, Through::Validate, config)?).await?;
        let images = draft.plan.images.values().any(|step| !step.present);
        let charts = draft.changes.iter().any(|change| change.path.starts_with("deploy/") && change.action != FileAction::Unchanged);
        let next = if images {
            Through::Containerize
        } else if charts {
            Through::Chart
        } else {
            Through::Validate
        };
        self.deploy_through(ask, next.min(ask.through), workspace, config).await
    }

    async fn deploy_through(&self, ask: &ask::Deploy, through: Through, workspace: &Path, config: &Config) -> Result<With<reply::Deployed>, Failure> {
        let folders = self.folders(workspace);
        let bare = operation::bare(ask);
        let draft = self.draft(workspace, &deploy_wanted(ask, through, config)?).await?;
        let digest = draft.plan.digest()?;
        let target = target_of(&draft);
        if !draft.blueprint.values_needed.is_empty() && through >= Through::Deploy {
            let mut reply =
                Reply::new(Status::ValueNeeded, format!("{} must be given before anything is deployed", counted(draft.blueprint.values_needed.len(), "value")));
            reply.values_needed.clone_from(&draft.blueprint.values_needed);
            reply.target = Some(target);
            let mut arguments = shown(&bare);
            let (mut secrets, mut backing) = (ask.secrets.clone(), ask.backing.clone());
            for accepts in draft.blueprint.values_needed.iter().filter_map(|needed| needed.accepts.first()) {
                match accepts.strip_prefix("backing: ") {
                    Some(choice) => backing.push(choice.to_owned()),
                    None => secrets.push(accepts.clone()),
                }
            }
            arguments.insert("secrets".into(), json!(secrets));
            arguments.insert("backing".into(), json!(backing));
            reply.then("deploy", Value::Object(arguments), "with sources that your user chose; these are examples");
            return Ok(With::new(reply, reply::Deployed::default()));
        }
        if let (Err(failure), None) = (&draft.target, &draft.plan.start) {
            return Err(with_start_help(failure.clone()));
        }
        if let Some(planned) = &ask.plan {
            let planned = Plan::load(&folders.plans(), planned)?;
            let differences = planned.differences(&draft.plan);
            if planned.digest()? != digest || self.world.clock.now() > planned.expires_at {
                let mut failure = Failure::new(Code::PlanStale, "the plan no longer fits what is there").help("plan_deployment makes a new one");
                failure.causes =
                    if differences.is_empty() { vec!["it is older than 15 minutes, or other arguments were given".to_owned()] } else { differences };
                return Err(failure);
            }
        }
        // Values that this machine must give are tried now: a typing error must not surface in the middle of a deploy.
        crate::stages::deploy::local_values(workspace, &self.setup.state, &sources_of(&draft))?;
        if let Some(answer) = self.conflicts(&draft, "deploy", OnConflict::Stop)? {
            return Ok(With::new(answer, reply::Deployed::default()));
        }
        if let Ok(proof) = &draft.target
            && through >= Through::Deploy
            && !draft.plan.changes_cluster()
            && draft.changes.iter().all(|change| change.action == FileAction::Unchanged)
        {
            return self.nothing_to_do(&draft, proof).await;
        }
        let approved_by = if draft.plan.unnoticed() {
            None
        } else {
            draft.plan.store(&folders.plans(), &draft.diff)?;
            match self.consent(config, approval_request("deploy", &draft)?, ask.approval.as_deref(), &bare)? {
                Consent::Answer(mut answer) => {
                    answer.target = Some(target);
                    answer.files = shown_files(&draft, digest.short());
                    return Ok(With::new(*answer, reply::Deployed::default()));
                }
                Consent::Granted(words) => words,
            }
        };
        draft.plan.store(&folders.plans(), &draft.diff)?;
        let request = self.request(
            "deploy",
            bare,
            draft.app.clone(),
            workspace,
            draft.plan.profile.clone(),
            Some(draft.blueprint.namespace.clone()),
            Some(&digest),
            approved_by,
            ask.deadline_s.unwrap_or(900),
        );
        let view = self.begin(&folders, request, Some(&draft), None).await?;
        let mut reply = running(view, &format!("deploy through {}", through_word(through)), workspace);
        reply.target = Some(target);
        Ok(With::new(reply, reply::Deployed::default()))
    }

    /// Everything runs as planned already: one look says so, and nothing is touched.
    async fn nothing_to_do(&self, draft: &Draft, proof: &Proof) -> Result<With<reply::Deployed>, Failure> {
        let observed = self.world.cluster.observe(proof, &draft.blueprint.namespace).await?;
        let mut reply = Reply::new(Status::Done, String::new());
        for workload in &draft.blueprint.workloads {
            reply.gates.push(crate::stages::standing(&observed, &workload.name, workload.port.is_some()));
        }
        let verdict = crate::evidence::overall(&reply.gates);
        reply.verdict = Some(verdict);
        reply.summary = match verdict {
            Verdict::Pass => format!("unchanged: app revision r{} runs exactly this and was verified; nothing was touched", draft.history.newest()),
            Verdict::Refused | Verdict::Incomplete => "unchanged: nothing was touched, but what runs is not healthy".to_owned(),
        };
        reply.seen_at = Some(self.world.clock.now());
        reply.target = Some(target_of(draft));
        let place = json!({ "workspace": draft.folders.workspace.display().to_string(), "profile": draft.plan.profile });
        match verdict {
            Verdict::Pass => reply.then("validate_env", place, "validate it again"),
            Verdict::Refused | Verdict::Incomplete => reply.then("cluster_health", place, "see what is wrong"),
        }
        let releases = draft.history.records.keys().filter_map(|release| {
            let revision = draft.history.current(release)?;
            Some(reply::ReleaseView { release: release.clone(), helm_revision: revision.0, image_id: None, chart: format!("deploy/charts/{release}") })
        });
        let revision = reply::RevisionView { n: draft.history.newest(), releases: releases.collect(), verified: true };
        let unchanged = draft.blueprint.workloads.iter().map(|workload| workload.name.to_string()).collect();
        Ok(With::new(reply, reply::Deployed { revision: Some(revision), urls: Vec::new(), unchanged }))
    }

    /// Files that a person changed stop a call whose caller did not say what to do with them; a deploy takes them as they are.
    fn conflicts(&self, draft: &Draft, tool: &str, on_conflict: OnConflict) -> Result<Option<Reply>, Failure> {
        let conflicts = draft.conflicts();
        if conflicts.is_empty() || on_conflict != OnConflict::Stop || tool == "deploy" {
            return Ok(None);
        }
        let folders = &draft.folders;
        folders.prepare()?;
        let digest = draft.plan.store(&folders.plans(), &draft.diff)?;
        let names: Vec<_> = conflicts.iter().map(|change| change.path.as_str()).collect();
        let mut reply = Reply::new(Status::Done, format!("{} changed by a person; nothing was written", names.join(", ")));
        reply.verdict = Some(Verdict::Incomplete);
        reply.files = shown_files(draft, digest.short());
        reply.target = Some(target_of(draft));
        let workspace = folders.workspace.display().to_string();
        reply.then(tool, json!({ "workspace": workspace, "on_conflict": "keep" }), "leave the person's files as they are");
        reply.then(tool, json!({ "workspace": workspace, "on_conflict": "merge" }), "merge both changes");
        Ok(Some(reply))
    }

    /// Writes files at once, without a worker: nothing but the workspace is touched and nothing takes long.
    fn write_now(&self, draft: &Draft, tool: &str, approved_by: Option<String>, wanted: impl Fn(&str) -> bool, next: Value) -> Result<Reply, Failure> {
        let folders = &draft.folders;
        folders.prepare()?;
        let mut written = 0;
        let mut ours = Vec::new();
        for (file, change) in draft.files.iter().zip(&draft.changes) {
            if !wanted(&file.path) {
                continue;
            }
            if matches!(change.action, FileAction::Create | FileAction::Update) {
                crate::files::write_shared(&folders.workspace.join(&file.path), file.text.as_bytes())?;
                written += 1;
            }
            if change.action != FileAction::Conflict && change.by == reply::By::Landfall {
                ours.push(file.clone());
            }
        }
        crate::stages::workspace::remember(folders, &ours)?;
        let digest = draft.plan.store(&folders.plans(), &draft.diff)?;
        let words = approved_by.map(|words| format!(", approved by {words}")).unwrap_or_default();
        let summary =
            if written == 0 { "every file is as it shall be; nothing was written".to_owned() } else { format!("{} written{words}", counted(written, "file")) };
        let mut reply = Reply::new(Status::Done, summary);
        reply.files = shown_files(draft, digest.short());
        reply.target = Some(target_of(draft));
        let mut arguments = match next {
            Value::Object(arguments) => arguments,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
        };
        arguments.insert("workspace".into(), json!(folders.workspace.display().to_string()));
        reply.then(tool, Value::Object(arguments), "build and judge the images");
        reply.then("generate_chart", json!({ "workspace": folders.workspace.display().to_string() }), "write the charts");
        Ok(reply)
    }

    /// rollback: begins an operation, after approval.
    pub async fn rollback(&self, ask: &ask::Rollback) -> Result<With<reply::RolledBack>, Failure> {
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let config = Config::load(&workspace)?;
        let folders = self.folders(&workspace);
        let bare = operation::bare(ask);
        if let Some(view) = self.join(&folders, "rollback", &bare)? {
            return Ok(With::new(running(view, "rollback", &workspace), reply::RolledBack::default()));
        }
        let app = app_name(&config, &workspace);
        let namespace = namespace_of(ask.namespace.as_ref(), &config, &app)?;
        let profile = self.profile(ask.profile.as_ref(), &config).await?;
        let proof = self.world.local.prove(&profile).await?;
        let history = History { records: self.world.cluster.records(&proof, &namespace).await? };
        let plan = rollback_plan(ask, &app, &namespace, &proof, &history)?;
        let impact = tokio::time::timeout(IMPACT, self.impact(&plan, &proof)).await.unwrap_or_else(|_| {
            let silent = format!("read what a rollback changes: no answer within {} s", IMPACT.as_secs_f64());
            Err(Failure::new(Code::ClusterUnreachable, silent).help("call again in a moment; cluster_health says whether the API server answers"))
        })?;
        let text = serde_json::to_vec(&plan).map_err(|error| Failure::internal("digest a rollback").cause(error))?;
        let digest = Digest::of(&text);
        let target = Target {
            app: app.to_string(),
            workspace: workspace.display().to_string(),
            profile: Some(profile.to_string()),
            namespace: Some(namespace.to_string()),
            environment: None,
        };
        let more = reply::RolledBack { impact: Some(impact.clone()), from: Some(plan.from.clone()), to: Some(plan.to.clone()), ..reply::RolledBack::default() };
        let mut summary: Vec<_> = plan
            .releases
            .iter()
            .map(|(release, to)| match to {
                Some(to) => format!(
                    "roll {release} back from helm revision {} to {to}",
                    plan.current.get(release).map_or_else(|| "none".to_owned(), ToString::to_string)
                ),
                None => format!("uninstall {release}; its claims and Secrets are kept"),
            })
            .collect();
        if !plan.verified {
            summary.push("the target was never verified".to_owned());
        }
        let request = ApprovalRequest {
            tool: "rollback".into(),
            app: app.to_string(),
            workspace: workspace.clone(),
            digest: digest.clone(),
            summary,
            diff_uri: None,
            diff: impact.config.join("\n"),
        };
        let approved_by = match self.consent(&config, request, ask.approval.as_deref(), &bare)? {
            Consent::Answer(mut answer) => {
                answer.target = Some(target);
                answer.seen_at = Some(self.world.clock.now());
                return Ok(With::new(*answer, more));
            }
            Consent::Granted(words) => words,
        };
        let value = serde_json::to_value(&plan).map_err(|error| Failure::internal("write a rollback").cause(error))?;
        let request = self.request("rollback", bare, app, &workspace, Some(profile), Some(namespace), Some(&digest), approved_by, 900);
        let view = self.begin(&folders, request, None, Some(("rollback.json", value))).await?;
        let mut reply = running(view, &format!("rollback to {}", plan.to), &workspace);
        reply.target = Some(target);
        Ok(With::new(reply, more))
    }

    /// What restarts, which configuration differs, what cannot go back.
    async fn impact(&self, plan: &RollbackPlan, proof: &Proof) -> Result<reply::Impact, Failure> {
        let mut impact = reply::Impact::default();
        for (release, to) in &plan.releases {
            impact.restarts.push(release.to_string());
            let (Some(to), Some(now)) = (to, plan.current.get(release)) else { continue };
            let (one, other) = tokio::try_join!(
                self.world.charts.recorded(proof, &plan.namespace, release, *now),
                self.world.charts.recorded(proof, &plan.namespace, release, *to)
            )?;
            let diff = crate::render::diff(&format!("{release} manifest"), &one.0, &other.0);
            if !diff.is_empty() {
                impact.config.push(crate::secret::plain(&diff, 4_000));
            }
        }
        let observed = self.world.cluster.observe(proof, &plan.namespace).await?;
        for claim in observed.claims.iter().filter_map(|claim| claim.metadata.name.as_deref()) {
            impact.irreversible.push(format!("what was written to the claim {claim} since stays written"));
        }
        Ok(impact)
    }

    /// Waits for an operation that is usually quick, until the call must be answered.
    pub(super) async fn short_wait(
        &self,
        folders: &Folders,
        request: &Request,
        mut view: OperationView,
        until: Instant,
    ) -> (OperationView, Option<(Reply, Map<String, Value>)>) {
        while Instant::now() < until && !view.state.settled() {
            tokio::time::sleep(Duration::from_millis(40)).await;
            if let Ok((now, _)) = operation::look(folders, request) {
                view = now;
            }
        }
        if !view.state.settled() {
            return (view, None);
        }
        let reply = self.settled_reply(folders, request);
        (view, reply)
    }
}

fn deploy_wanted(ask: &ask::Deploy, through: Through, config: &Config) -> Result<Wanted, Failure> {
    Ok(Wanted {
        wishes: wishes(ask.namespace.as_ref(), ask.environment.as_ref(), &ask.services, &ask.secrets, &ask.backing)?,
        profile: ask.profile.clone(),
        through,
        on_refusal: ask.on_refusal,
        on_conflict: OnConflict::Stop,
        start_cluster: ask.start_cluster,
        build_secrets: BTreeMap::new(),
        environments: default_environments(config, ask.environment.as_ref())?,
        cluster: true,
    })
}

/// The sources of this machine that the blueprint's Secrets need and that are not in the cluster yet.
fn sources_of(draft: &Draft) -> BTreeMap<EnvName, ValueSource> {
    let missing = draft.plan.missing_secrets();
    let plans = draft.blueprint.secrets.iter().filter(|plan| missing.contains(&plan.name));
    let mut sources = BTreeMap::new();
    for plan in plans {
        let present = draft.plan.secrets_present.get(&plan.name).cloned().unwrap_or_default();
        for (key, how) in plan.keys.iter().filter(|(key, _)| !present.contains(key)) {
            let crate::blueprint::SecretKeyPlan::Source { source } = how else { continue };
            if !matches!(source, ValueSource::Secret(..))
                && let Ok(name) = EnvName::parse(key.clone())
            {
                sources.insert(name, source.clone());
            }
        }
    }
    sources
}

fn without_cluster(sources: &BTreeMap<EnvName, ValueSource>) -> Result<BTreeMap<EnvName, ValueSource>, Failure> {
    match sources.iter().find(|(_, source)| matches!(source, ValueSource::Secret(..) | ValueSource::Generate)) {
        Some((name, _)) => {
            Err(Failure::new(Code::ValueSourceInvalid, format!("build secret {name} must come from this machine"))
                .help("use env:VAR, file:PATH or file:PATH#KEY"))
        }
        None => Ok(sources.clone()),
    }
}

fn build_values(values: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let mut parsed = BTreeMap::new();
    for text in values {
        let Some((name, value)) = text.split_once('=') else {
            return Err(Failure::new(Code::BadArgument, "a build value needs the form NAME=value").help("for example NEXT_PUBLIC_API_URL=/api"));
        };
        let name = EnvName::parse(name)?;
        if crate::secret::secret_name(name.as_str()) || crate::secret::looks_secret(value) {
            return Err(Failure::new(Code::BadArgument, format!("build value {name} looks secret; build arguments stay in the image's history"))
                .help("use build_secrets, which mounts it for one step only"));
        }
        parsed.insert(name.to_string(), value.to_owned());
    }
    Ok(parsed)
}

fn approval_request(tool: &str, draft: &Draft) -> Result<ApprovalRequest, Failure> {
    let digest = draft.plan.digest()?;
    Ok(ApprovalRequest {
        tool: tool.to_owned(),
        app: draft.app.to_string(),
        workspace: draft.folders.workspace.clone(),
        summary: draft.plan.summary(),
        diff_uri: Some(format!("landfall://plan/{}/diff", digest.short())),
        diff: draft.diff.clone(),
        digest,
    })
}

/// Arguments as somebody would write them: without what is empty or default.
pub(super) fn shown(ask: &Map<String, Value>) -> Map<String, Value> {
    let keep = |value: &Value| !(value.is_null() || value.as_array().is_some_and(Vec::is_empty) || *value == Value::Bool(false));
    ask.iter().filter(|(_, value)| keep(value)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// The reply while an operation runs.
pub(super) fn running(view: OperationView, what: &str, workspace: &Path) -> Reply {
    let mut reply = Reply::new(Status::Running, format!("{what} runs as {}", view.id));
    reply.then("operation_status", json!({ "workspace": workspace.display().to_string(), "operation": view.id }), "wait for news");
    reply.operation = Some(view);
    reply
}

fn with_start_help(mut failure: Failure) -> Failure {
    if matches!(failure.code, Code::ClusterStopped | Code::ProfileNotFound) {
        failure.help = format!("{}; or call deploy with \"start_cluster\": true, which asks for approval first", failure.help.trim_end_matches('.'));
    }
    failure
}

/// Decides what each release goes back to.
fn rollback_plan(ask: &ask::Rollback, app: &AppName, namespace: &Namespace, proof: &Proof, history: &History) -> Result<RollbackPlan, Failure> {
    use crate::draft::labels;
    let ours: Vec<_> = history.records.keys().filter(|release| history.label(release, labels::APP) == Some(app.as_str())).cloned().collect();
    let mut current = BTreeMap::new();
    for release in &ours {
        if let (Ok(name), Some(revision)) = (ReleaseName::parse(release.clone()), history.current(release)) {
            current.insert(name, revision);
        }
    }
    if current.is_empty() {
        return Err(Failure::new(Code::NotDeployed, format!("no release of {app} is in namespace {namespace}")).help("deploy it first, or name its namespace"));
    }
    for service in &ask.services {
        if !current.contains_key(service) {
            return Err(Failure::new(Code::ServiceUnknown, format!("there is no release {service} in namespace {namespace}"))
                .help("cluster_health lists what is deployed"));
        }
    }
    let running = history.records.keys().filter_map(|release| history.label(release, labels::APP_REVISION)?.parse::<u32>().ok()).max().unwrap_or(0);
    let is_verified = |map: &BTreeMap<String, Revision>| !map.is_empty() && map.iter().all(|(release, revision)| history.is_verified(release, *revision));
    let now: BTreeMap<String, Revision> = current.iter().map(|(release, revision)| (release.to_string(), *revision)).collect();
    let wanted = ask.to.as_deref().unwrap_or("last_verified");
    let (to, target) = match wanted {
        "uninstalled" => ("uninstalled".to_owned(), None),
        "last_verified" => {
            let found = (1..=running).rev().map(|n| (n, history.at(n))).find(|(_, map)| is_verified(map) && *map != now);
            let Some((n, map)) = found else {
                return Err(Failure::new(Code::NoVerifiedRevision, format!("no verified revision of {app} other than the one that runs (r{running})"))
                    .help("name a revision (\"to\": \"r1\", \"allow_unverified\": true) or \"to\": \"uninstalled\""));
            };
            (format!("r{n}"), Some(map))
        }
        named => {
            let n = named.strip_prefix('r').and_then(|n| n.parse::<u32>().ok()).filter(|n| (1..=running).contains(n));
            let Some(n) = n else {
                return Err(Failure::new(Code::BadArgument, format!("{} is no app revision", crate::secret::plain(named, 40)))
                    .help(format!("use last_verified, uninstalled, or r1 to r{running}")));
            };
            let map = history.at(n);
            if !is_verified(&map) && !ask.allow_unverified {
                return Err(Failure::new(Code::NoVerifiedRevision, format!("app revision r{n} was never verified"))
                    .help("add \"allow_unverified\": true if you want exactly this one"));
            }
            (format!("r{n}"), Some(map))
        }
    };
    let part = |release: &ReleaseName| ask.services.is_empty() || ask.services.contains(release);
    let mut releases = BTreeMap::new();
    for (release, revision) in current.iter().filter(|(release, _)| part(release)) {
        match &target {
            None => {
                releases.insert(release.clone(), None);
            }
            Some(map) => match map.get(release.as_str()) {
                Some(to) if to == revision => {}
                Some(to) => {
                    releases.insert(release.clone(), Some(*to));
                }
                None => {
                    releases.insert(release.clone(), None);
                }
            },
        }
    }
    if releases.is_empty() {
        return Err(Failure::new(Code::NoVerifiedRevision, format!("{app} is at {to} already")).help("cluster_health shows its state"));
    }
    let verified = target.as_ref().is_none_or(is_verified);
    Ok(RollbackPlan {
        app: app.clone(),
        namespace: namespace.clone(),
        fingerprint: proof.fingerprint.clone(),
        from: format!("r{running}"),
        to: if ask.services.is_empty() {
            to
        } else {
            format!("mixed: {} at {to}", ask.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        },
        releases,
        current,
        verified,
        reason: crate::secret::plain(ask.reason.as_deref().unwrap_or_default(), 400),
    })
}

/// What a caller without wishes wants: for looks that need a blueprint.
pub(super) fn no_wishes(namespace: Option<&Namespace>) -> Wishes {
    Wishes { namespace: namespace.cloned(), ..Wishes::default() }
}
