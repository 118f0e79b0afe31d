//! operation_status, cancel_operation and deployment_report: what the journals of a workspace tell.

use super::{Landfall, app_name};
use crate::ask::{self, ReportFormat, ReportKind};
use crate::config::{Config, Folders};
use crate::evidence::{Course, Verdict};
use crate::failure::{Code, Failure};
use crate::journal::{self, Record, StageName, State};
use crate::names::OperationId;
use crate::operation::{self, Request};
use crate::reply::{self, EventView, OperationState, OperationView, Reply, ResourceLink, Status, Target, With};
use serde_json::{Map, Value, json};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Events that one call answers with.
const EVENTS: usize = 30;

impl Landfall {
    /// The asked operation, else the newest.
    fn which(&self, workspace: Option<&str>, asked: Option<&OperationId>) -> Result<(Folders, Request), Failure> {
        let workspace = self.workspace(workspace)?;
        let folders = self.folders(&workspace);
        let id = match asked {
            Some(id) => id.clone(),
            None => operation::list(&folders).into_iter().next().ok_or_else(|| {
                Failure::new(Code::OperationNotFound, "no operation was ever begun in this workspace").help("deploy, containerize or generate_chart begins one")
            })?,
        };
        let request = operation::request(&folders, &id)?;
        Ok((folders, request))
    }

    /// operation_status: waits up to 2.5 s for news.
    pub async fn status(&self, ask: &ask::OperationStatus) -> Result<With<reply::Progressed>, Failure> {
        let (folders, request) = self.which(ask.workspace.as_deref(), ask.operation.as_ref())?;
        let after = ask.after.unwrap_or(0);
        let wait = Duration::from_secs_f64(ask.wait_s.unwrap_or(2.5).clamp(0.0, 2.5));
        let until = Instant::now() + wait;
        let journal = self.journals.of(&folders.operation(&request.id));
        let (view, state, events, more_to_read) = loop {
            {
                let mut journal = journal.lock().unwrap_or_else(PoisonError::into_inner);
                let (view, state) = operation::look_again(&folders, &request, &mut journal)?;
                let newest = journal.known().last().map_or(0, |last| last.n);
                let over = view.state.settled() || view.state == OperationState::Interrupted;
                if over || ask.after.is_some_and(|after| newest > after) || Instant::now() >= until {
                    let events = shown_events(journal.known(), ask.after);
                    let more_to_read = newest > events.last().map_or(after, |event| event.n);
                    break (view, state, events, more_to_read);
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        };
        let last = events.last().map_or(after, |event| event.n);
        if let Some(state) = state.filter(|_| view.state.settled()) {
            let (mut reply, more) = settled_from(&folders, &request, view, &state);
            reply.target = Some(target_of(&request));
            if more_to_read {
                reply.then("operation_status", read_on(&request, last), "read on: more events follow");
            }
            return Ok(With::new(reply, reply::Progressed { events, result: Some(more) }));
        }
        let mut reply = Reply::new(Status::Running, sentence(&view));
        if view.state == OperationState::Interrupted {
            reply.status = Status::Done;
            reply.verdict = Some(Verdict::Incomplete);
            reply.summary = format!("{} was interrupted: its worker is gone; what it did is in its journal", request.id);
            reply.then(&request.tool, Value::Object(super::changes::shown(&request.ask)), "begin again; or, at a terminal: landfall operations resume");
        } else {
            reply.then("operation_status", read_on(&request, last), if more_to_read { "read on: more events follow" } else { "wait for news" });
        }
        reply.operation = Some(view);
        reply.target = Some(target_of(&request));
        Ok(With::new(reply, reply::Progressed { events, result: None }))
    }

    /// The reply of the tool that began a settled operation: a fold over its journal, and the tool's own fields.
    pub(super) fn settled_reply(&self, folders: &Folders, request: &Request) -> Option<(Reply, Map<String, Value>)> {
        let journal = self.journals.of(&folders.operation(&request.id));
        let (view, state) = operation::look_again(folders, request, &mut journal.lock().unwrap_or_else(PoisonError::into_inner)).ok()?;
        Some(settled_from(folders, request, view, state?.as_ref()))
    }

    /// cancel_operation.
    pub async fn cancel(&self, ask: &ask::CancelOperation) -> Result<With<reply::CancelledView>, Failure> {
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let folders = self.folders(&workspace);
        let request = match &ask.operation {
            Some(id) => operation::request(&folders, id)?,
            None => operation::running(&folders)
                .ok_or_else(|| Failure::new(Code::OperationNotFound, "no operation runs in this workspace").help("operation_status shows the newest"))?,
        };
        let mut journal = journal::Reader::new(&folders.operation(&request.id));
        let (view, mut state) = operation::look_again(&folders, &request, &mut journal)?;
        if view.state.settled() {
            return Err(Failure::new(Code::OperationSettled, format!("{} has ended: {}", request.id, journal::state_word(view.state)))
                .help("rollback takes back what it deployed"));
        }
        operation::cancel(&folders, &request.id, ask.undo)?;
        if view.state == OperationState::Interrupted {
            // Nobody is there to hear it: a new worker walks back what the old one left.
            operation::launch(&self.setup.program, &folders, &request.id).await?;
        }
        let until = Instant::now() + Duration::from_millis(2_300);
        let mut now = view;
        while Instant::now() < until && !now.state.settled() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            (now, state) = operation::look_again(&folders, &request, &mut journal)?;
        }
        let settled = now.state.settled();
        let mut reply = Reply::new(
            if settled { Status::Done } else { Status::Running },
            if settled { format!("{} is {}", request.id, journal::state_word(now.state)) } else { format!("{} is being cancelled", request.id) },
        );
        reply.then("operation_status", json!({ "workspace": request.workspace.display().to_string(), "operation": request.id }), "see what was taken back");
        reply.operation = Some(now);
        reply.target = Some(target_of(&request));
        let undone = state.as_ref().map(|state| state.undone.clone()).unwrap_or_default();
        let left = state.map(|state| state.standing().map(|effect| effect.effect.clone()).collect()).unwrap_or_default();
        Ok(With::new(reply, reply::CancelledView { undone, left }))
    }

    /// All operations of a workspace, newest first.
    pub async fn operations(&self, workspace: Option<&str>) -> Result<Vec<OperationView>, Failure> {
        let workspace = self.workspace(workspace)?;
        let folders = self.folders(&workspace);
        let views = operation::list(&folders)
            .into_iter()
            .filter_map(|id| operation::request(&folders, &id).ok())
            .filter_map(|request| operation::look(&folders, &request).ok());
        Ok(views.map(|(view, _)| view).collect())
    }

    /// Starts a worker again for an interrupted operation.
    pub async fn resume(&self, workspace: Option<&str>, id: &OperationId) -> Result<OperationView, Failure> {
        let (folders, request) = self.which(workspace, Some(id))?;
        let (view, _) = operation::look(&folders, &request)?;
        match view.state {
            OperationState::Interrupted => {
                operation::launch(&self.setup.program, &folders, id).await?;
                operation::look(&folders, &request).map(|(view, _)| view)
            }
            state if state.settled() => {
                Err(Failure::new(Code::OperationSettled, format!("{id} has ended: {}", journal::state_word(state))).help("begin a new one"))
            }
            _ => Ok(view),
        }
    }

    /// deployment_report.
    pub async fn report(&self, ask: &ask::DeploymentReport) -> Result<With<reply::Reported>, Failure> {
        let workspace = self.workspace(ask.workspace.as_deref())?;
        let config = Config::load(&workspace)?;
        let folders = self.folders(&workspace);
        let app = app_name(&config, &workspace);
        let survey = self.surveyed(&workspace).await?;
        let stories = crate::report::stories(&folders, ask.operation.as_ref())?;
        let health = match ask.kind {
            ReportKind::Health | ReportKind::Verdict => {
                let ask = ask::ClusterHealth {
                    workspace: Some(workspace.display().to_string()),
                    profile: ask.profile.clone(),
                    namespace: ask.namespace.clone(),
                    ..ask::ClusterHealth::default()
                };
                Some(self.health(&ask).await)
            }
            ReportKind::Readiness | ReportKind::Traceability | ReportKind::Audit => None,
        };
        let place = place_of_report(&workspace, ask, stories.first().map(|story| &story.request));
        let material = crate::report::Material { app: &app, survey: &survey, config: &config, stories: &stories, health: health.as_ref(), place };
        let told = crate::report::tell(ask.kind, &material);
        let id = stories.first().map_or_else(|| "none".to_owned(), |story| story.request.id.to_string());
        let (extension, mime, text) = match ask.format {
            ReportFormat::Markdown => ("md", "text/markdown", told.markdown()),
            ReportFormat::Json => ("json", "application/json", serde_json::to_string_pretty(&told.json()).unwrap_or_default()),
            ReportFormat::Html => ("html", "text/html", crate::report::page(&told)),
        };
        let mut resources = Vec::new();
        if let Some(story) = stories.first() {
            let folder = folders.operation(&story.request.id);
            let name = format!("report-{}.{extension}", crate::report::kind_word(ask.kind));
            crate::files::write_private(&folder.join(&name), text.as_bytes())?;
            resources.push(ResourceLink {
                uri: format!("landfall://report/{id}/{}.{extension}", crate::report::kind_word(ask.kind)),
                title: told.title.clone(),
                mime: mime.into(),
                bytes: u64::try_from(text.len()).ok(),
            });
        }
        let mut reply = Reply::new(Status::Done, told.summary.clone());
        reply.verdict = told.verdict;
        reply.resources = resources;
        reply.target = Some(Target { app: app.to_string(), workspace: workspace.display().to_string(), ..Target::default() });
        reply.seen_at = Some(self.world.clock.now());
        for call in &told.next {
            reply.then(call.tool, Value::Object(call.arguments.clone()), &call.why);
        }
        let markdown = if ask.format == ReportFormat::Html { told.summary.clone() } else { cut(&text, 8_000) };
        Ok(With::new(reply, reply::Reported { report: Some(reply::ReportView { kind: ask.kind, markdown }), artifacts: told.artifacts, not_run: told.not_run }))
    }
}

/// Where the next calls of a report go: as it was asked for, else as the newest operation went.
fn place_of_report(workspace: &std::path::Path, ask: &ask::DeploymentReport, newest: Option<&Request>) -> Map<String, Value> {
    let mut place = Map::from_iter([("workspace".to_owned(), json!(workspace.display().to_string()))]);
    if let Some(profile) = ask.profile.as_ref().or_else(|| newest.and_then(|request| request.profile.as_ref())) {
        place.insert("profile".into(), json!(profile));
    }
    if let Some(namespace) = ask.namespace.as_ref().or_else(|| newest.and_then(|request| request.namespace.as_ref())) {
        place.insert("namespace".into(), json!(namespace));
    }
    place
}

fn sentence(view: &OperationView) -> String {
    let step = [view.stage.as_deref(), view.subject.as_deref(), view.step.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" · ");
    format!("{} {}: {}", view.tool, journal::state_word(view.state), if step.is_empty() { "begins" } else { &step })
}

/// A verdict of gates where the operation's end says less: a look that was incomplete is not refused.
fn judged(state: &State, verdict: Verdict) -> Verdict {
    match (verdict, state.verdicts.last()) {
        (Verdict::Refused, Some((_, Verdict::Incomplete))) if state.failure.is_none() => Verdict::Incomplete,
        (verdict, _) => verdict,
    }
}

/// At most twenty gates, those that did not pass first.
fn shown_gates(state: &State) -> Vec<crate::evidence::Gate> {
    let mut gates: Vec<_> = state.standing_gates().into_iter().map(|(_, gate)| gate).collect();
    gates.sort_by_key(|gate| gate.verdict == Verdict::Pass);
    gates.truncate(20);
    gates
}

fn target_of(request: &Request) -> Target {
    Target {
        app: request.app.to_string(),
        workspace: request.workspace.display().to_string(),
        profile: request.profile.as_ref().map(ToString::to_string),
        namespace: request.namespace.as_ref().map(ToString::to_string),
        environment: None,
    }
}

/// The next page of an operation's events.
fn read_on(request: &Request, last: u64) -> Value {
    json!({ "workspace": request.workspace.display().to_string(), "operation": request.id, "after": last })
}

/// What a settled operation answers, from its journal.
fn settled_from(folders: &Folders, request: &Request, view: OperationView, state: &State) -> (Reply, Map<String, Value>) {
    let more = operation::result(folders, &request.id).unwrap_or_default();
    let verdict = match view.state {
        OperationState::Succeeded => Verdict::Pass,
        OperationState::Refused | OperationState::Failed | OperationState::Stuck => Verdict::Refused,
        OperationState::Cancelled
        | OperationState::Running
        | OperationState::Paused
        | OperationState::Cancelling
        | OperationState::RollingBack
        | OperationState::Interrupted => Verdict::Incomplete,
    };
    let mut reply = Reply::new(Status::Done, state.summary.clone());
    reply.verdict = Some(judged(state, verdict));
    reply.gates = shown_gates(state);
    reply.diagnoses = state.diagnoses.iter().take(20).cloned().collect();
    if let Some(failure) = state.failure.as_ref().filter(|_| reply.diagnoses.is_empty()) {
        reply.diagnoses.push(crate::stages::told(&request.app, failure));
    }
    reply.seen_at = Some(state.updated_at);
    reply.resources.push(ResourceLink {
        uri: format!("landfall://operation/{}/journal", request.id),
        title: "every event of the operation".into(),
        mime: "application/jsonl".into(),
        bytes: None,
    });
    let place = place_of(request);
    match (view.state, state.course.as_ref().map(|(_, course)| *course)) {
        (OperationState::Refused | OperationState::Failed, Some(Course::Regenerate)) => regenerate(&mut reply, state, place.clone()),
        (OperationState::Refused | OperationState::Failed, Some(Course::Escalate)) => {
            reply.then("deployment_report", place.clone(), "what was tried and seen, for the person who has to look");
        }
        (_, _) => {}
    }
    match view.state {
        OperationState::Succeeded if request.tool == "containerize" => reply.then("generate_chart", place, "write and judge the charts"),
        OperationState::Succeeded if request.tool == "generate_chart" => reply.then("deploy", place, "install them; it asks for approval"),
        OperationState::Succeeded => reply.then("deployment_report", place, "the record of it"),
        OperationState::Refused | OperationState::Failed | OperationState::Cancelled if matches!(request.tool.as_str(), "deploy" | "rollback") => {
            reply.then("cluster_health", place, "see what runs now");
        }
        OperationState::Stuck => reply.then("cluster_health", place, "a person is needed: see what is in the cluster"),
        OperationState::Refused
        | OperationState::Failed
        | OperationState::Cancelled
        | OperationState::Running
        | OperationState::Paused
        | OperationState::Cancelling
        | OperationState::RollingBack
        | OperationState::Interrupted => {
            reply.then(&request.tool, Value::Object(super::changes::shown(&request.ask)), "again, after what failed was mended");
        }
    }
    reply.operation = Some(view);
    (reply, more)
}

/// A page of events: those that follow on the named one, else the newest.
fn shown_events(records: &[Record], after: Option<u64>) -> Vec<EventView> {
    let from = match after {
        Some(after) => records.partition_point(|record| record.n <= after),
        None => records.len().saturating_sub(EVENTS),
    };
    let shown = records.iter().skip(from).take(EVENTS);
    shown.map(|record| EventView { n: record.n, at: record.at, text: crate::secret::plain(&record.sentence(), 240) }).collect()
}

/// The call that generates anew what was at fault.
fn regenerate(reply: &mut Reply, state: &State, mut place: Value) {
    let mut wish = |name: &str, what: &str| place.as_object_mut().map(|place| place.insert(name.to_owned(), json!(what)));
    wish("on_conflict", "replace");
    if state.stage == Some(StageName::Containerize) {
        wish("until", "files");
        reply.then("containerize", place, "write the Dockerfiles anew; a person's changes are replaced, after approval");
    } else {
        reply.then("generate_chart", place, "write the charts anew; a person's changes are replaced, after approval");
    }
}

fn place_of(request: &Request) -> Value {
    let mut place = Map::from_iter([("workspace".to_owned(), json!(request.workspace.display().to_string()))]);
    if let Some(profile) = &request.profile {
        place.insert("profile".into(), json!(profile));
    }
    if let Some(namespace) = &request.namespace {
        place.insert("namespace".into(), json!(namespace));
    }
    Value::Object(place)
}

fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}\n…", text.get(..text.floor_char_boundary(limit)).unwrap_or_default())
}
