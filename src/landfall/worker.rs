//! The worker's whole life: an operation from its request to its end, resumed where an earlier worker died; run in a process of its own.

use super::Landfall;
use super::changes::RollbackPlan;
use crate::ask::{self, OnRefusal, SmokeMode, Through, UndoMode, Writes};
use crate::blueprint::{Blueprint, Workload};
use crate::config::{Config, Folders, Smoke};
use crate::draft::{History, labels};
use crate::engine::{Effect, Run};
use crate::evidence::{Class, Course, Gate, RETRIES, Verdict, course};
use crate::failure::{Code, Failure};
use crate::journal::{Event, StageName, State, Undo};
use crate::names::{OperationId, ReleaseName, Revision, ServiceName};
use crate::operation::{self, AppLock, Request};
use crate::plan::Plan;
use crate::ports::Proof;
use crate::render::RenderedFile;
use crate::reply::{self, OperationState, ReleaseView};
use crate::report;
use crate::stages::mcp::{Calls, Met};
use crate::stages::{self, deploy::Decision, validate::Look, validate::Scope};
use crate::survey::McpShape;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How an operation ended, and the tool's own fields for its reply.
pub(super) struct End {
    state: OperationState,
    summary: String,
    result: Value,
}

impl End {
    pub(super) fn new(state: OperationState, summary: impl Into<String>, result: &impl Serialize) -> Self {
        Self { state, summary: summary.into(), result: serde_json::to_value(result).unwrap_or_default() }
    }
}

impl Landfall {
    /// Runs the operation to its end. Called by the hidden `landfall operation run`.
    pub async fn run_operation(&self, workspace: &Path, id: &OperationId) -> Result<OperationState, Failure> {
        let folders = self.folders(workspace);
        let request = operation::request(&folders, id)?;
        let config = Config::load(workspace)?;
        let deadline = Duration::from_secs(u64::from(request.deadline_s));
        let run = Run::open(self.world.clone(), folders.clone(), config, id.clone(), deadline)?;
        let before = run.state();
        if before.operation.settled() {
            return Ok(before.operation);
        }
        let pid = std::process::id();
        if before.events == 0 {
            run.journal.append(
                None,
                None,
                Event::OperationStarted { tool: request.tool.clone(), pid, plan: request.plan.clone(), approved_by: request.approved_by.clone() },
            )?;
        } else {
            run.journal.append(None, None, Event::OperationResumed { pid, attempt: before.attempt + 1 })?;
        }
        let (mut end, failed) = match self.work(&run, &request).await {
            Ok(end) => (end, None),
            Err(failure) => (self.failed(&run, &request, failure.clone()).await?, Some(failure)),
        };
        if matches!(end.state, OperationState::Refused | OperationState::Failed)
            && let Some(rule) = who_moves_next(&run, failed.as_ref())?
        {
            end.summary = format!("{}; {rule}", end.summary);
        }
        operation::keep_result(&folders, id, &end.result)?;
        self.keep_record(&run, &request, &end)?;
        let failure = failed.filter(|_| end.state == OperationState::Failed);
        run.journal.append(None, None, Event::OperationEnded { state: end.state, summary: end.summary, failure })?;
        self.keep_last_hash(&run)?;
        run.cancel.cancel();
        Ok(end.state)
    }

    /// The operation's prompt history record, in a workspace that keeps them. One that cannot be written is noted in the journal and stops nothing.
    fn keep_record(&self, run: &Run, request: &Request, end: &End) -> Result<(), Failure> {
        let ending = report::prompt::Ending { state: end.state, summary: &end.summary, at: self.world.clock.now() };
        let workspace = &run.folders.workspace;
        let Some(record) = report::prompt::record(workspace, request, &run.state(), ending) else { return Ok(()) };
        let effect = Effect {
            key: format!("record/{}", run.id),
            text: format!("write {}", record.path),
            undo: Undo::Keep { why: "a record of what was done stays".to_owned() },
            before: Value::Null,
        };
        let path = workspace.join(&record.path);
        run.note(&record.path, effect, || {
            crate::files::write_shared(&path, record.text.as_bytes())?;
            Ok(json!({ "sha256": crate::names::Digest::of(&record.text) }))
        })
    }

    /// The last hash of a journal also lies in the user's state folder: a journal that was written anew does not match it.
    fn keep_last_hash(&self, run: &Run) -> Result<(), Failure> {
        crate::files::write_private(&self.setup.state.join("journals").join(run.id.as_str()), run.journal.last_hash().as_bytes())
    }

    async fn work(&self, run: &Run, request: &Request) -> Result<End, Failure> {
        match request.tool.as_str() {
            "containerize" | "generate_chart" | "deploy" => self.work_plan(run, request).await,
            "rollback" => self.work_rollback(run, request).await,
            "validate_env" => self.work_validate(run, request).await,
            "verify_mcp" => self.work_verify(run, request).await,
            "ask_advisor" => self.work_advise(run, request).await,
            other => Err(Failure::internal(format!("no worker knows the tool {other}"))),
        }
    }

    /// A stage could not run, or the user cancelled: what was changed in the cluster is walked back, unless the user wants it left.
    async fn failed(&self, run: &Run, request: &Request, failure: Failure) -> Result<End, Failure> {
        let cancelled = failure.code == Code::Cancelled;
        let mode = run.cancel_mode().unwrap_or_default();
        if cancelled {
            run.journal.append(None, None, Event::CancelAsked { undo: mode })?;
        }
        // What another operation works on is not this one's to take back: it found the app held and has changed nothing that was not there for both.
        let others = failure.code == Code::OperationRunning;
        let hold = others
            || (cancelled && mode == UndoMode::Leave)
            || (!cancelled && ask_of::<ask::Deploy>(request).is_ok_and(|ask| ask.on_refusal == OnRefusal::Hold) && request.tool == "deploy");
        let mut stuck = Vec::new();
        if !hold {
            // What was done in one cluster is never taken back in another that answers under the same profile now.
            let at = match &request.profile {
                Some(profile) => run.prove(profile, approved_for(run).as_deref()).await.ok(),
                None => None,
            };
            let _held = match &at {
                Some(at) if run.state().standing().any(|effect| effect.undo.in_cluster()) => match self.hold_again(run, request, at).await {
                    Ok(held) => held,
                    // What another operation works on now is not this one's to change any more.
                    Err(other) => {
                        let left: Vec<_> = run.state().standing().map(|effect| effect.effect.clone()).collect();
                        let result = json!({ "undone": run.state().undone, "left": left, "failure": failure });
                        return Ok(End::new(OperationState::Stuck, format!("{failure}; and nothing was taken back: {other}"), &result));
                    }
                },
                Some(_) | None => None,
            };
            // Files and images stay on a failure: they are worth looking at. A cancel takes them back as well.
            let wanted = |effect: &crate::journal::EffectRecord| match &effect.undo {
                Undo::File { .. } | Undo::Untag { .. } => cancelled,
                undo => undo.in_cluster(),
            };
            stuck = run.unwind(at.as_ref(), wanted).await?;
        }
        self.let_go(run, request).await;
        let left: Vec<_> = run.state().standing().map(|effect| effect.effect.clone()).collect();
        let result = json!({ "undone": run.state().undone, "left": left, "failure": failure });
        if !stuck.is_empty() {
            return Ok(End::new(OperationState::Stuck, format!("{failure}; and could not be taken back: {}", stuck.join("; ")), &result));
        }
        let state = if cancelled { OperationState::Cancelled } else { OperationState::Failed };
        Ok(End::new(state, if cancelled { "cancelled; what was changed was taken back or is listed".to_owned() } else { failure.to_string() }, &result))
    }

    /// Holds the app for the way back, which may take longer than what is left of the Lease. `OPERATION_RUNNING` where another operation has it by now;
    /// a Lease that cannot be written for another reason (its namespace is gone, say) keeps nobody from cleaning up.
    async fn hold_again(&self, run: &Run, request: &Request, at: &Proof) -> Result<Option<(AppLock, Option<Renewal>)>, Failure> {
        let Some(namespace) = request.namespace.as_ref().filter(|_| matches!(request.tool.as_str(), "deploy" | "rollback")) else { return Ok(None) };
        let lock = AppLock::take(&self.setup.state, &at.fingerprint, namespace, &request.app, &run.id)?;
        match self.lease(run, request, namespace, at, Some(&lock)).await {
            Ok(lease) => Ok(Some((lock, Some(lease)))),
            Err(failure) if failure.code == Code::OperationRunning => Err(failure),
            Err(_) => Ok(Some((lock, None))),
        }
    }

    /// Releases the Lease of an operation that ended early, so that the next one need not wait until it runs out.
    async fn let_go(&self, run: &Run, request: &Request) {
        let (Some(profile), Some(namespace)) = (&request.profile, &request.namespace) else { return };
        if !matches!(request.tool.as_str(), "deploy" | "rollback") {
            return;
        }
        // One that cannot be released runs out by itself.
        if let Ok(at) = run.prove(profile, approved_for(run).as_deref()).await {
            let _ = self.world.cluster.release_lease(&at, namespace, &request.app, &run.id).await;
        }
    }

    /// containerize, generate_chart and deploy: stages behind gates, up to the one that was asked for.
    async fn work_plan(&self, run: &Run, request: &Request) -> Result<End, Failure> {
        let plan = operation::plan(&run.folders, &run.id)?;
        if Some(plan.digest()?.as_str()) != request.plan.as_deref() {
            return Err(Failure::new(Code::PlanStale, "the plan beside the request is not the one that was approved").help("call again for a new plan"));
        }
        let files = planned_files(&run.folders, &run.id)?;
        let at = self.target(run, request, &plan).await?;
        let held = match (&at, plan.through >= Through::Deploy) {
            (Ok(at), true) => Some(AppLock::take(&self.setup.state, &at.fingerprint, &plan.blueprint.namespace, &request.app, &run.id)?),
            (_, _) => None,
        };
        if let Ok(at) = &at {
            stages::addons::enable(run, &plan, at).await?;
        }
        let mut gates = Vec::new();
        let mut images = stages::deploy::Images::default();
        let mut containerized = reply::Containerized::default();

        if request.tool != "generate_chart" {
            run.begin(StageName::Containerize, readiness(&plan, StageName::Containerize))?;
            stages::workspace::write(run, &plan, &files, StageName::Containerize, |path| !path.starts_with("deploy/")).await?;
            let at = at.as_ref().map_err(Clone::clone)?;
            let secrets = stages::deploy::local_values(&run.folders.workspace, &run.folders.state, &plan.build_secrets)?;
            let built = stages::containerize::run(run, &plan, &files, at, &secrets).await?;
            for image in &built.images {
                images.ids.insert(ServiceName::parse(image.service.clone())?, image.id.clone());
            }
            images.digests.clone_from(&built.digests);
            containerized.images.clone_from(&built.images);
            let verdict = overall_or_pass(&built.gates);
            run.end(StageName::Containerize, verdict)?;
            gates.extend(built.gates);
            if request.tool == "containerize" || !gates.iter().all(stages::containerize::good_enough) {
                let (state, summary) = settled_words(verdict, "images", containerized.images.len());
                return Ok(End::new(state, summary, &containerized));
            }
        }
        if plan.through == Through::Containerize {
            let (state, summary) = settled_words(overall_or_pass(&gates), "images", containerized.images.len());
            return Ok(End::new(state, summary, &json!({})));
        }

        run.begin(StageName::Chart, readiness(&plan, StageName::Chart))?;
        stages::workspace::write(run, &plan, &files, StageName::Chart, |path| path.starts_with("deploy/")).await?;
        let why = at.as_ref().err().map(|failure| failure.to_string()).unwrap_or_default();
        let charts = run.unless_cancelled(stages::chart::run(run, &plan, &files, at.as_ref().map_err(|_| why.as_str()))).await?;
        let verdict = overall_or_pass(&charts.gates);
        run.end(StageName::Chart, verdict)?;
        let good = charts.gates.iter().all(|gate| gate.passes_except(&["helm.dry_run"]));
        if request.tool == "generate_chart" || plan.through == Through::Chart || !good {
            let count = charts.charts.len();
            let (state, summary) = settled_words(verdict, "charts", count);
            let state = if good && verdict == Verdict::Incomplete { OperationState::Succeeded } else { state };
            let charted = reply::Charted { charts: charts.charts };
            return Ok(if request.tool == "deploy" { End::new(state, summary, &json!({})) } else { End::new(state, summary, &charted) });
        }
        let at = at?;
        self.work_deploy(run, request, &plan, &at, held.as_ref(), &images).await
    }

    /// The proven target; started first where the plan says so.
    async fn target(&self, run: &Run, request: &Request, plan: &Plan) -> Result<Result<Proof, Failure>, Failure> {
        let Some(profile) = plan.profile.as_ref().or(request.profile.as_ref()) else {
            return Ok(Err(Failure::new(Code::ClusterStopped, "no cluster was named").help("name a profile")));
        };
        if let Some(spec) = &plan.start
            && self.world.local.prove(profile).await.is_err()
        {
            let effect = Effect {
                key: format!("cluster/{profile}"),
                text: format!("start the Minikube profile {profile}"),
                undo: Undo::Keep { why: "a started cluster is left running".to_owned() },
                before: Value::Null,
            };
            let _: bool = run
                .effect(StageName::Deploy, profile.as_str(), effect, async {
                    self.world.local.start(profile, spec, run.heart.as_ref()).await?;
                    Ok(true)
                })
                .await?;
        }
        Ok(run.prove(profile, plan.fingerprint.as_deref()).await)
    }

    async fn work_deploy(
        &self,
        run: &Run,
        request: &Request,
        plan: &Plan,
        at: &Proof,
        lock: Option<&AppLock>,
        images: &stages::deploy::Images,
    ) -> Result<End, Failure> {
        let ask: ask::Deploy = ask_of(request)?;
        let namespace = &plan.blueprint.namespace;
        run.begin(StageName::Deploy, readiness(plan, StageName::Deploy))?;
        stages::deploy::prepare(run, plan, at).await?;
        let lease = self.lease(run, request, namespace, at, lock).await?;
        let deployed = stages::deploy::run(run, plan, at, images).await?;
        let verdict = overall_or_pass(&deployed.gates);
        run.end(StageName::Deploy, verdict)?;
        let mut diagnoses = deployed.diagnoses.clone();
        let mut refused_at = (!deployed.passed()).then_some("kubernetes");
        if refused_at.is_none() && plan.through >= Through::Validate {
            run.begin(StageName::Validate, readiness(plan, StageName::Validate))?;
            stages::addons::measured(run, plan, at).await?;
            let look = self.look(run, at, &plan.blueprint).await?;
            let found = run.unless_cancelled(look.validate(&whole_scope(), run.heart.as_ref())).await?;
            for gate in &found.gates {
                run.judged(StageName::Validate, gate)?;
            }
            for diagnosis in &found.diagnoses {
                run.diagnosed(StageName::Validate, diagnosis)?;
            }
            let verdict = crate::evidence::overall(&found.gates);
            run.end(StageName::Validate, verdict)?;
            if verdict != Verdict::Pass {
                refused_at = Some("validation");
                if verdict == Verdict::Refused {
                    diagnoses.extend(found.causes());
                }
                // What could not be asked, or was answered badly, is the cluster's where it does not answer for itself.
                if let Err(failure) = self.world.cluster.version(at).await {
                    let diagnosis = stages::told(&plan.blueprint.app, &failure);
                    run.diagnosed(StageName::Validate, &diagnosis)?;
                    diagnoses.insert(0, diagnosis);
                }
            }
        }
        let end = match refused_at {
            None => self.succeeded(run, plan, at, deployed).await?,
            Some(gate) => self.refused(run, plan, at, &ask, deployed, diagnoses, gate).await?,
        };
        drop(lease);
        let _ = self.world.cluster.release_lease(at, namespace, &request.app, &run.id).await;
        Ok(end)
    }

    /// Every gate passed: with the validation gate, the releases are marked as verified.
    async fn succeeded(&self, run: &Run, plan: &Plan, at: &Proof, deployed: stages::deploy::End) -> Result<End, Failure> {
        let releases = self.standing_releases(at, plan, &deployed.releases).await?;
        let n = if deployed.releases.is_empty() { plan.base_revision } else { deployed.revision };
        let verified = plan.through >= Through::Validate;
        if verified {
            self.mark(run, at, &plan.blueprint.namespace, n, &releases).await?;
        }
        let urls = urls(&plan.blueprint);
        let summary = if verified {
            format!("app revision r{n} is deployed and verified: every gate passed")
        } else {
            format!("app revision r{n} is deployed; it is not verified until the validation gate passed")
        };
        let revision = reply::RevisionView { n, releases, verified };
        Ok(End::new(OperationState::Succeeded, summary, &reply::Deployed { revision: Some(revision), urls, unchanged: deployed.unchanged }))
    }

    /// All releases of the app as they stand now.
    async fn standing_releases(&self, at: &Proof, plan: &Plan, fresh: &[ReleaseView]) -> Result<Vec<ReleaseView>, Failure> {
        let history = History { records: self.world.cluster.records(at, &plan.blueprint.namespace).await? };
        let view = |workload: &Workload| {
            let name = workload.name.as_str();
            fresh.iter().find(|view| view.release == name).cloned().or_else(|| {
                let revision = history.current(name)?;
                let chart = crate::draft::chart_of(workload, &plan.blueprint.environment).folder;
                Some(ReleaseView { release: name.to_owned(), helm_revision: revision.0, image_id: None, chart })
            })
        };
        Ok(plan.blueprint.workloads.iter().filter_map(view).collect())
    }

    /// Marks the releases' newest records as verified and writes it down.
    async fn mark(&self, run: &Run, at: &Proof, namespace: &crate::names::Namespace, n: u32, releases: &[ReleaseView]) -> Result<(), Failure> {
        for release in releases {
            let name = ReleaseName::parse(release.release.clone())?;
            let revision = Revision(release.helm_revision);
            let marks = BTreeMap::from([(labels::VERIFIED.to_owned(), revision.to_string())]);
            self.world.cluster.mark_verified(at, namespace, &name, revision, &marks).await?;
        }
        run.journal.append(Some(StageName::Validate), None, Event::RevisionVerified { n, releases: releases.to_vec() }).map(|_| ())
    }

    /// A gate refused: evidence is in the journal; now back, or hold, as the class of the cause says.
    #[expect(clippy::too_many_arguments, reason = "everything that a refusal is decided and told by")]
    async fn refused(
        &self,
        run: &Run,
        plan: &Plan,
        at: &Proof,
        ask: &ask::Deploy,
        deployed: stages::deploy::End,
        diagnoses: Vec<crate::evidence::Diagnosis>,
        gate: &str,
    ) -> Result<End, Failure> {
        let has_verified =
            plan.releases.iter().any(|(release, step)| step.verified.is_some() && !step.unchanged && plan.blueprint.workload(release.as_str()).is_some());
        let (decision, rule) = stages::deploy::decide(ask.on_refusal, &diagnoses, has_verified);
        run.journal.append(
            Some(StageName::Rollback),
            None,
            Event::RetryDecided { rule: rule.to_owned(), attempt: run.state().attempt, code: None, course: None },
        )?;
        let cause = diagnoses.first().map(|diagnosis| format!("{}: {}", diagnosis.code, diagnosis.cause)).unwrap_or_else(|| "see the gate".to_owned());
        let attempt = reply::RevisionView { n: deployed.revision, releases: deployed.releases.clone(), verified: false };
        if decision == Decision::Hold {
            let summary = format!("the {gate} gate refused r{}: {cause}; held, because {rule}", deployed.revision);
            return Ok(End::new(
                OperationState::Refused,
                summary,
                &reply::Deployed { revision: Some(attempt), urls: Vec::new(), unchanged: deployed.unchanged },
            ));
        }
        run.begin(StageName::Rollback, vec![rule.to_owned()])?;
        let stuck = run.unwind(Some(at), |effect| matches!(effect.undo, Undo::Uninstall { .. } | Undo::HelmRollback { .. } | Undo::Unverified { .. })).await?;
        if !stuck.is_empty() {
            return Ok(End::new(
                OperationState::Stuck,
                format!("the {gate} gate refused r{}: {cause}; and the way back failed: {}", deployed.revision, stuck.join("; ")),
                &json!({}),
            ));
        }
        let back: Vec<_> = plan
            .releases
            .iter()
            .filter(|(_, step)| step.verified.is_some())
            .filter_map(|(release, _)| plan.blueprint.workload(release.as_str()).map(|workload| (release.clone(), workload.port.is_some())))
            .collect();
        let history = History { records: self.world.cluster.records(at, &plan.blueprint.namespace).await? };
        let (gates, _) = stages::rollback::watch(run, at, &plan.blueprint.namespace, &back, &images_of(&history)).await?;
        if gates.iter().any(|gate| gate.verdict != Verdict::Pass) {
            run.end(StageName::Rollback, Verdict::Refused)?;
            return Ok(End::new(
                OperationState::Stuck,
                format!("the {gate} gate refused r{}: {cause}; it was rolled back, but what it was rolled back to is not healthy either", deployed.revision),
                &json!({}),
            ));
        }
        let restored = self.validate_again(run, plan, at, &back).await?;
        run.end(StageName::Rollback, if restored.is_some() || back.is_empty() { Verdict::Pass } else { Verdict::Incomplete })?;
        let outcome = match (&restored, back.is_empty()) {
            (Some(revision), _) => format!("rolled back to verified r{}, which was validated again", revision.n),
            (None, true) => "uninstalled again; claims and Secrets are kept".to_owned(),
            (None, false) => "rolled back; the validation afterwards did not pass".to_owned(),
        };
        let summary = format!("the {gate} gate refused r{}: {cause}; {outcome}", deployed.revision);
        Ok(End::new(
            OperationState::Refused,
            summary,
            &reply::Deployed { revision: restored.or(Some(attempt)), urls: Vec::new(), unchanged: deployed.unchanged },
        ))
    }

    /// The same validation as after a deploy, over what was rolled back to; marked as verified where it passes.
    async fn validate_again(&self, run: &Run, plan: &Plan, at: &Proof, back: &[(ReleaseName, bool)]) -> Result<Option<reply::RevisionView>, Failure> {
        if back.is_empty() {
            return Ok(None);
        }
        let namespace = &plan.blueprint.namespace;
        let history = History { records: self.world.cluster.records(at, namespace).await? };
        let blueprint = blueprint_of(&run.folders, &history).unwrap_or_else(|| plan.blueprint.clone());
        let found = self.look(run, at, &blueprint).await?.validate(&whole_scope(), run.heart.as_ref()).await?;
        for gate in &found.gates {
            run.judged(StageName::Rollback, gate)?;
        }
        if crate::evidence::overall(&found.gates) != Verdict::Pass {
            return Ok(None);
        }
        let n = back.iter().filter_map(|(release, _)| history.label(release.as_str(), labels::APP_REVISION)?.parse().ok()).max().unwrap_or(plan.base_revision);
        let releases: Vec<_> = back
            .iter()
            .filter_map(|(release, _)| {
                history.current(release.as_str()).map(|revision| ReleaseView {
                    release: release.to_string(),
                    helm_revision: revision.0,
                    image_id: None,
                    chart: blueprint
                        .workload(release.as_str())
                        .map_or_else(|| crate::render::chart_folder(release), |workload| crate::draft::chart_of(workload, &blueprint.environment).folder),
                })
            })
            .collect();
        self.mark(run, at, namespace, n, &releases).await?;
        Ok(Some(reply::RevisionView { n, releases, verified: true }))
    }

    async fn work_rollback(&self, run: &Run, request: &Request) -> Result<End, Failure> {
        let text = std::fs::read(run.folders.operation(&run.id).join("rollback.json")).map_err(|error| Failure::internal("read the rollback").cause(error))?;
        let plan: RollbackPlan = serde_json::from_slice(&text).map_err(|error| Failure::internal("read the rollback").cause(error))?;
        let profile = request.profile.as_ref().ok_or_else(|| Failure::internal("a rollback without a profile"))?;
        let at = run.prove(profile, Some(&plan.fingerprint)).await?;
        let lock = AppLock::take(&self.setup.state, &at.fingerprint, &plan.namespace, &plan.app, &run.id)?;
        let lease = self.lease(run, request, &plan.namespace, &at, Some(&lock)).await?;
        run.begin(StageName::Rollback, vec![format!("from {} to {}", plan.from, plan.to), plan.reason.clone()])?;
        for (release, revision) in &plan.current {
            stages::deploy::back_up(run, &at, &plan.namespace, release, *revision).await?;
        }
        stages::rollback::run(run, &at, &plan.namespace, &plan.releases, &plan.current).await?;
        let history = History { records: self.world.cluster.records(&at, &plan.namespace).await? };
        let blueprint = blueprint_of(&run.folders, &history);
        let port = |release: &ReleaseName| {
            blueprint.as_ref().and_then(|blueprint| blueprint.workload(release.as_str())).is_none_or(|workload| workload.port.is_some())
        };
        let back: Vec<_> = plan.releases.iter().filter(|(_, to)| to.is_some()).map(|(release, _)| (release.clone(), port(release))).collect();
        let (gates, _) = stages::rollback::watch(run, &at, &plan.namespace, &back, &images_of(&history)).await?;
        let mut done = reply::RolledBack {
            from: Some(plan.from.clone()),
            to: Some(plan.to.clone()),
            backup_uri: Some(format!("landfall://operation/{}/journal", run.id)),
            ..reply::RolledBack::default()
        };
        let healthy = gates.iter().all(|gate| gate.verdict == Verdict::Pass);
        let mut validated = false;
        if healthy && let Some(blueprint) = blueprint.filter(|_| !back.is_empty()) {
            let found = self.look(run, &at, &blueprint).await?.validate(&whole_scope(), run.heart.as_ref()).await?;
            for gate in &found.gates {
                run.judged(StageName::Rollback, gate)?;
            }
            validated = crate::evidence::overall(&found.gates) == Verdict::Pass;
            if validated {
                let n = plan.to.strip_prefix('r').and_then(|n| n.parse().ok()).unwrap_or(0);
                let releases: Vec<_> = blueprint
                    .workloads
                    .iter()
                    .filter_map(|workload| {
                        history.current(workload.name.as_str()).map(|revision| ReleaseView {
                            release: workload.name.to_string(),
                            helm_revision: revision.0,
                            image_id: None,
                            chart: crate::draft::chart_of(workload, &blueprint.environment).folder,
                        })
                    })
                    .collect();
                if n > 0 {
                    self.mark(run, &at, &plan.namespace, n, &releases).await?;
                }
                done.revision = Some(reply::RevisionView { n, releases, verified: n > 0 });
            }
        }
        drop(lease);
        let _ = self.world.cluster.release_lease(&at, &plan.namespace, &plan.app, &run.id).await;
        let (state, verdict, summary) = match (back.is_empty(), healthy, validated) {
            (true, _, _) => (OperationState::Succeeded, Verdict::Pass, "uninstalled; claims and Secrets are kept".to_owned()),
            (false, true, true) => (OperationState::Succeeded, Verdict::Pass, format!("rolled back to {} and validated again", plan.to)),
            (false, true, false) => {
                (OperationState::Refused, Verdict::Incomplete, format!("rolled back to {}; its pods are ready, the validation did not pass", plan.to))
            }
            (false, false, _) => (OperationState::Refused, Verdict::Refused, format!("rolled back to {}, which is not healthy", plan.to)),
        };
        run.end(StageName::Rollback, verdict)?;
        Ok(End::new(state, summary, &done))
    }

    async fn work_validate(&self, run: &Run, request: &Request) -> Result<End, Failure> {
        let ask: ask::ValidateEnv = ask_of(request)?;
        let (at, blueprint) = self.deployed(run, request).await?;
        run.begin(StageName::Validate, vec![])?;
        let scope = Scope {
            groups: ask.checks.clone(),
            services: ask.services.iter().map(ToString::to_string).collect(),
            writing: ask.smoke == SmokeMode::Writing,
            window_s: i64::from(ask.window_s.unwrap_or(30)),
        };
        let look = self.look(run, &at, &blueprint).await?;
        let mut found = run.unless_cancelled_or_writing(scope.writing, look.validate(&scope, run.heart.as_ref())).await?;
        for diagnosis in &found.diagnoses {
            run.diagnosed(StageName::Validate, diagnosis)?;
        }
        if scope.groups.is_empty() || scope.groups.contains(&ask::CheckGroup::Smoke) {
            found.advice.extend(look.proposed(&scope.services).await);
        }
        if scope.groups.is_empty() || scope.groups.contains(&ask::CheckGroup::Environment) {
            found.advice.extend(look.unused_keys().await);
        }
        if scope.groups.is_empty() {
            for workload in
                blueprint.workloads.iter().filter(|workload| scope.services.is_empty() || scope.services.iter().any(|name| name == workload.name.as_str()))
            {
                found.gates.push(crate::stages::standing(&look.observed, &workload.name, workload.port.is_some()));
            }
        }
        for gate in &found.gates {
            run.judged(StageName::Validate, gate)?;
        }
        let verdict = crate::evidence::overall(&found.gates);
        run.end(StageName::Validate, verdict)?;
        let (state, summary) = judged_words(verdict, &found.gates, "validation");
        let validated =
            reply::Validated { programs: Vec::new(), proof: at.checks.clone(), variables: found.variables, latency: found.latency, advice: found.advice };
        Ok(End::new(state, summary, &validated))
    }

    async fn work_verify(&self, run: &Run, request: &Request) -> Result<End, Failure> {
        let ask: ask::VerifyMcp = ask_of(request)?;
        let (at, blueprint) = self.deployed(run, request).await?;
        run.begin(StageName::Validate, vec![])?;
        let servers: Vec<_> = blueprint.workloads.iter().filter(|workload| stages::validate::is_http_mcp(workload)).collect();
        let server = match (&ask.service, servers.as_slice()) {
            (Some(name), _) => blueprint
                .workload(name.as_str())
                .ok_or_else(|| Failure::new(Code::ServiceUnknown, format!("there is no service {name}")).help("cluster_health lists what is deployed"))?,
            (None, [only]) => only,
            (None, []) => return self.work_verify_inside(run, &ask, &at, &blueprint).await,
            (None, several) => {
                let names: Vec<_> = several.iter().map(|workload| workload.name.as_str()).collect();
                return Err(Failure::new(Code::BadArgument, format!("several MCP servers: {}", names.join(", "))).help("name one with \"service\""));
            }
        };
        let look = self.look(run, &at, &blueprint).await?;
        let (pod, _) = look
            .pod_of(server.name.as_str())
            .ok_or_else(|| Failure::new(Code::NotDeployed, format!("{} has no ready pod", server.name)).help("cluster_health says why"))?;
        run.doing(StageName::Validate, server.name.as_str(), "speaks MCP");
        let specified = self.surveyed(&run.folders.workspace).await?.specs.tools.clone();
        let calls = Calls { path: ask.path.clone(), calls: parse_calls(&ask.calls)?, writing: ask.writes == Writes::WithCleanup, specified };
        let spoken = async { Ok::<_, Failure>(look.mcp(server, &pod, ask.from_service.as_ref().map(ServiceName::as_str), &calls).await) };
        let mut met = run.unless_cancelled_or_writing(calls.writing, spoken).await?;
        self.chat(run, &ask, &look, &mut met).await?;
        let gate = Gate::judge(crate::evidence::GateName::Validation, server.name.as_str(), met.checks);
        run.judged(StageName::Validate, &gate)?;
        run.end(StageName::Validate, gate.verdict)?;
        let (state, summary) = judged_words(gate.verdict, std::slice::from_ref(&gate), "MCP");
        let verified = reply::Verified { server: met.server, tools: met.tools, shape: Some(crate::survey::McpShape::HttpDeployment) };
        Ok(End::new(state, summary, &verified))
    }

    /// Without a server over HTTP: the one that a service starts as a subprocess is proven where it runs; what is only called MCP is said to be that.
    async fn work_verify_inside(&self, run: &Run, ask: &ask::VerifyMcp, at: &Proof, blueprint: &Blueprint) -> Result<End, Failure> {
        let survey = self.surveyed(&run.folders.workspace).await?;
        let mcp = &survey.mcp;
        let host = mcp.evidence.last().and_then(|server| stages::stdio::host(blueprint, server));
        let (subject, met) = match (mcp.shape, host) {
            (McpShape::None, _) => {
                return Err(Failure::new(Code::NotMcp, "no service of this app is an MCP server, and none is called one")
                    .help("analyze_project shows the MCP shape of the workspace"));
            }
            (McpShape::StdioSubprocess, Some((workload, ways))) => {
                let look = self.look(run, at, blueprint).await?;
                run.doing(StageName::Validate, workload.name.as_str(), "speaks MCP over stdio");
                let specified = survey.specs.tools.clone();
                let calls = Calls { path: None, calls: parse_calls(&ask.calls)?, writing: ask.writes == Writes::WithCleanup, specified };
                let spoken = async { Ok::<_, Failure>(look.mcp_stdio(workload, &ways, &calls).await) };
                let mut met = run.unless_cancelled_or_writing(calls.writing, spoken).await?;
                self.chat(run, ask, &look, &mut met).await?;
                (workload.name.to_string(), met)
            }
            (shape, _) => (blueprint.app.to_string(), Met::from(stages::stdio::unserved(shape, &mcp.evidence))),
        };
        let gate = Gate::judge(crate::evidence::GateName::Validation, subject, met.checks);
        run.judged(StageName::Validate, &gate)?;
        run.end(StageName::Validate, gate.verdict)?;
        let (state, summary) = judged_words(gate.verdict, std::slice::from_ref(&gate), "MCP");
        Ok(End::new(state, summary, &reply::Verified { server: met.server, tools: met.tools, shape: Some(mcp.shape) }))
    }

    /// The chatbot's own way, where that is to be proven: what its model is offered is known then.
    async fn chat(&self, run: &Run, ask: &ask::VerifyMcp, look: &Look<'_>, met: &mut Met) -> Result<(), Failure> {
        if ask.chat_path == ask::ChatPath::Skip {
            return Ok(());
        }
        let smoke: Smoke = crate::files::read_json(&run.folders.operation(&run.id).join(stages::chat::FILE))?;
        run.doing(StageName::Validate, smoke.service.as_str(), "sends its chatbot a message");
        let listed: Vec<_> = met.tools.iter().map(|tool| tool.name.clone()).collect();
        let proven = look.chat(run, &smoke, &listed).await?;
        met.checks.extend(proven.checks);
        if let Some(offered) = proven.offered {
            met.tools.iter_mut().for_each(|tool| tool.in_chatbot = offered.contains(&tool.name));
        }
        Ok(())
    }

    /// The target and the blueprint of what runs there.
    async fn deployed(&self, run: &Run, request: &Request) -> Result<(Proof, Blueprint), Failure> {
        let profile = request.profile.as_ref().ok_or_else(|| Failure::internal("no profile"))?;
        let at = run.prove(profile, None).await?;
        let namespace = request.namespace.as_ref().ok_or_else(|| Failure::internal("no namespace"))?;
        let history = History { records: self.world.cluster.records(&at, namespace).await? };
        let blueprint = match blueprint_of(&run.folders, &history) {
            Some(blueprint) => blueprint,
            None => self.drawn(&run.folders.workspace, namespace).await?,
        };
        Ok((at, blueprint))
    }

    /// A blueprint from the workspace as it is now, where the one of the deploy is lost.
    pub(super) async fn drawn(&self, workspace: &Path, namespace: &crate::names::Namespace) -> Result<Blueprint, Failure> {
        let config = Config::load(workspace)?;
        let survey = self.surveyed(workspace).await?;
        let app = super::app_name(&config, workspace);
        crate::blueprint::draw(&survey, &config, &app, &super::changes::no_wishes(Some(namespace)))
    }

    async fn look<'a>(&'a self, run: &'a Run, at: &'a Proof, blueprint: &'a Blueprint) -> Result<Look<'a>, Failure> {
        let observed = self.world.cluster.observe(at, &blueprint.namespace).await?;
        Ok(Look { world: &self.world, at, blueprint, config: &run.config, observed })
    }

    /// Takes the app's Lease and keeps renewing it until the value is dropped. A Lease that the lock's last holder left is not waited for: its worker is gone.
    async fn lease(&self, run: &Run, request: &Request, namespace: &crate::names::Namespace, at: &Proof, lock: Option<&AppLock>) -> Result<Renewal, Failure> {
        const SECONDS: i32 = 30;
        let cluster = Arc::clone(&self.world.cluster);
        let hold = || cluster.hold_lease(at, namespace, &request.app, &run.id, SECONDS);
        if let Err(failure) = hold().await {
            let gone = lock.and_then(|lock| lock.before.as_ref()).filter(|_| failure.code == Code::OperationRunning);
            cluster.release_lease(at, namespace, &request.app, gone.ok_or(failure)?).await?;
            hold().await?;
        }
        let stop = CancellationToken::new();
        let (heard, at, namespace, app, id) = (stop.clone(), at.clone(), namespace.clone(), request.app.clone(), run.id.clone());
        tokio::spawn(async move {
            while tokio::time::timeout(Duration::from_secs(10), heard.cancelled()).await.is_err() {
                if let Err(failure) = cluster.hold_lease(&at, &namespace, &app, &id, SECONDS).await {
                    tracing::warn!(operation = %id, %failure, "the lease could not be renewed");
                }
            }
        });
        Ok(Renewal { _stop: stop.drop_guard() })
    }
}

/// Decides who moves next after a refusal or a failure, by the class of its first cause and by how often it came in a row; the rule goes into the journal.
/// Answers the rule where it is more than "change it and call again".
fn who_moves_next(run: &Run, failed: Option<&Failure>) -> Result<Option<&'static str>, Failure> {
    let state = run.state();
    let obstacle = || state.gates.iter().rev().find(|(_, gate)| gate.verdict != Verdict::Pass).and_then(|(_, gate)| gate.first_obstacle());
    let cause = match (failed, state.diagnoses.first()) {
        (Some(failure), _) => Some(stages::class_of(failure)),
        (None, Some(diagnosis)) => Some((diagnosis.code.clone(), diagnosis.class)),
        (None, None) => obstacle().map(|check| (check.id.clone(), Class::AppSelfResolve)),
    };
    let Some((code, class)) = cause else { return Ok(None) };
    // What the engine tries by itself is tried in this operation; what a caller changes is changed between operations.
    let before = match class {
        Class::Transient | Class::HelmState => match state.most_tried(&code) {
            // It would pass by itself, and was not tried out: what ended the operation says itself when to call again.
            ..RETRIES => return Ok(None),
            tried => tried,
        },
        Class::AppSelfResolve | Class::AppNeedsValue | Class::ClusterEscalate | Class::Unknown => in_a_row(&run.folders, &run.id, &state.tool, &code),
    };
    let (course, rule) = course(class, before);
    run.decided(state.stage, None, &code, course, rule)?;
    Ok(matches!(course, Course::Regenerate | Course::Escalate).then_some(rule))
}

/// The CA of the cluster that the operation was approved for, where its plan names one.
fn approved_for(run: &Run) -> Option<String> {
    let rollback = || crate::files::read_json::<RollbackPlan>(&run.folders.operation(&run.id).join("rollback.json")).ok();
    match operation::plan(&run.folders, &run.id) {
        Ok(plan) => plan.fingerprint,
        Err(_) => rollback().map(|plan| plan.fingerprint),
    }
}

/// How many operations of the same tool ended with this code, one after the other, before this one.
fn in_a_row(folders: &Folders, this: &OperationId, tool: &str, code: &str) -> u32 {
    let earlier = operation::list(folders).into_iter().filter(|id| id < this);
    let ends = earlier.filter_map(|id| State::of(&crate::journal::read(&folders.operation(&id)).ok()?)).filter(|state| state.tool == tool);
    let same = ends.take_while(|state| state.course.as_ref().is_some_and(|(known, _)| known == code)).take(RETRIES as usize + 1);
    u32::try_from(same.count()).unwrap_or(u32::MAX)
}

/// A Lease that is being renewed.
struct Renewal {
    _stop: tokio_util::sync::DropGuard,
}

pub(super) fn ask_of<T: for<'de> Deserialize<'de>>(request: &Request) -> Result<T, Failure> {
    serde_json::from_value(Value::Object(request.ask.clone())).map_err(|error| Failure::internal("read the operation's arguments").cause(error))
}

fn planned_files(folders: &Folders, id: &OperationId) -> Result<Vec<RenderedFile>, Failure> {
    #[derive(Deserialize)]
    struct Kept {
        path: String,
        text: String,
        executable: bool,
    }
    let kept: Vec<Kept> = crate::files::read_json(&folders.operation(id).join("files.json"))?;
    Ok(kept.into_iter().map(|kept| RenderedFile { path: kept.path, text: kept.text, executable: kept.executable }).collect())
}

/// The image ids (first twelve digits) that the newest records were made with; public images have none.
fn images_of(history: &History) -> BTreeMap<ReleaseName, String> {
    let named =
        history.records.keys().filter_map(|release| Some((ReleaseName::parse(release.clone()).ok()?, history.label(release, labels::IMAGE)?.to_owned())));
    named.collect()
}

fn overall_or_pass(gates: &[Gate]) -> Verdict {
    if gates.is_empty() { Verdict::Pass } else { crate::evidence::overall(gates) }
}

fn whole_scope() -> Scope {
    Scope { groups: Vec::new(), services: Vec::new(), writing: false, window_s: 30 }
}

fn settled_words(verdict: Verdict, what: &str, count: usize) -> (OperationState, String) {
    match verdict {
        Verdict::Pass => (OperationState::Succeeded, format!("{count} {what}, every gate passed")),
        Verdict::Incomplete => (OperationState::Refused, format!("{count} {what}; a required check was not run")),
        Verdict::Refused => (OperationState::Refused, format!("a gate refused: {what} are not good enough")),
    }
}

fn judged_words(verdict: Verdict, gates: &[Gate], what: &str) -> (OperationState, String) {
    let sum = |count: fn(&Gate) -> u32| gates.iter().map(count).sum::<u32>();
    let counts = format!("{} passed, {} failed, {} not run", sum(|gate| gate.passed), sum(|gate| gate.failed), sum(|gate| gate.not_run));
    match verdict {
        Verdict::Pass => (OperationState::Succeeded, format!("{what} passed: {counts}")),
        Verdict::Incomplete => (OperationState::Refused, format!("{what} incomplete: {counts}")),
        Verdict::Refused => (OperationState::Refused, format!("{what} refused: {counts}")),
    }
}

/// What must be so before a stage begins, and is: the readiness report of the stage.
fn readiness(plan: &Plan, stage: StageName) -> Vec<String> {
    let mut lines = vec![format!("survey {}", plan.survey.chars().take(12).collect::<String>()), format!("{} workloads", plan.blueprint.workloads.len())];
    match stage {
        StageName::Containerize => {
            lines.push(format!("{} images to be there, {} of them already", plan.images.len(), plan.images.values().filter(|step| step.present).count()))
        }
        StageName::Chart => lines.push(format!("{} charts", plan.releases.len())),
        StageName::Deploy => {
            lines.push(format!(
                "waves: {}",
                plan.blueprint.waves.iter().map(|wave| wave.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ")).collect::<Vec<_>>().join(" ▸ ")
            ));
            lines.push(format!("cluster proven: CA {}", plan.fingerprint.as_deref().unwrap_or("none").chars().take(12).collect::<String>()));
            for (release, step) in &plan.releases {
                lines.push(match step.verified {
                    Some(verified) => format!("way back of {release}: helm revision {verified}, verified"),
                    None => format!("way back of {release}: uninstall"),
                });
            }
        }
        StageName::Validate | StageName::Rollback => {}
    }
    lines
}

/// The blueprint of what runs: from the newest operation that made a release's current record and whose plan is still here.
pub(super) fn blueprint_of(folders: &Folders, history: &History) -> Option<Blueprint> {
    let mut ids: Vec<_> =
        history.records.keys().filter_map(|release| history.label(release, labels::OPERATION)).filter_map(|id| OperationId::parse(id).ok()).collect();
    ids.sort();
    let id = ids.last()?;
    operation::plan(folders, id).ok().map(|plan| plan.blueprint)
}

/// Where services are reached: by a forwarded port, which needs no tunnel.
fn urls(blueprint: &Blueprint) -> Vec<reply::UrlView> {
    let services = blueprint.workloads.iter().filter(|workload| workload.service().is_some());
    services
        .filter_map(|workload| {
            let port = workload.port?;
            Some(reply::UrlView {
                service: workload.name.to_string(),
                url: format!("http://{}.{}.svc.cluster.local:{port}", workload.name, blueprint.namespace),
                how: format!("inside the cluster; from here: landfall open {}", workload.name),
            })
        })
        .collect()
}

/// A tool and its arguments.
type ToolCall = (String, Map<String, Value>);

/// `tool {json}`.
fn parse_calls(calls: &[String]) -> Result<Vec<ToolCall>, Failure> {
    calls
        .iter()
        .map(|text| {
            let (tool, arguments) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), "{}"));
            let arguments: Map<String, Value> = serde_json::from_str(arguments.trim()).map_err(|error| {
                Failure::new(Code::BadArgument, format!("the arguments of {} are not a JSON object", crate::secret::plain(tool, 60)))
                    .cause(error)
                    .help("write a call as: tool {\"name\": \"value\"}")
            })?;
            Ok((tool.to_owned(), arguments))
        })
        .collect()
}
