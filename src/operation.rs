//! A durable run of a plan in a process of its own: begun here, looked at from anywhere, resumed after a crash; stages do the work.

use crate::ask::UndoMode;
use crate::config::Folders;
use crate::engine::{Heart, Pulse};
use crate::evidence::Time;
use crate::failure::{Code, Failure};
use crate::journal::{self, StageName, State};
use crate::names::{AppName, Namespace, OperationId, ProfileName};
use crate::plan::Plan;
use crate::reply::{Amount, OperationState, OperationView};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What an operation was asked to do; written once, before the worker starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    pub format: u32,
    pub id: OperationId,
    pub tool: String,
    /// The tool's arguments without the approval.
    pub ask: Map<String, Value>,
    pub app: AppName,
    pub workspace: PathBuf,
    pub profile: Option<ProfileName>,
    pub namespace: Option<Namespace>,
    /// Digest of the plan beside this file.
    pub plan: Option<String>,
    pub approved_by: Option<String>,
    pub deadline_s: u32,
    pub created_at: Time,
}

impl Request {
    /// True where the same tool was asked with the same arguments.
    pub fn same(&self, tool: &str, ask: &Map<String, Value>) -> bool {
        self.tool == tool && self.ask == *ask
    }
}

/// The tool's arguments as data, without the approval.
pub fn bare(ask: &impl Serialize) -> Map<String, Value> {
    let mut map = match serde_json::to_value(ask) {
        Ok(Value::Object(map)) => map,
        Ok(_) | Err(_) => Map::new(),
    };
    map.remove("approval");
    map
}

/// Writes the request (and plan) down under a new id.
pub fn create(folders: &Folders, request: &Request, plan: Option<&Plan>) -> Result<(), Failure> {
    folders.prepare()?;
    let folder = folders.operation(&request.id);
    crate::files::private_folder(&folders.operations())?;
    std::fs::create_dir(&folder).map_err(|error| Failure::file("create the operation's folder", &folder, &error))?;
    if let Some(plan) = plan {
        crate::files::write_private(&folder.join("plan.json"), &json(plan)?)?;
    }
    crate::files::write_private(&folder.join("request.json"), &json(request)?)
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec_pretty(value).map_err(|error| Failure::internal("write an operation's file").cause(error))
}

/// Reads a request back.
pub fn request(folders: &Folders, id: &OperationId) -> Result<Request, Failure> {
    let path = folders.operation(id).join("request.json");
    let text = std::fs::read(&path).map_err(|_| {
        Failure::new(Code::OperationNotFound, format!("there is no operation {id} in this workspace")).help("operation_status without an id shows the newest")
    })?;
    serde_json::from_slice(&text).map_err(|error| Failure::internal(format!("read {}", path.display())).cause(error))
}

/// Reads the operation's plan back.
pub fn plan(folders: &Folders, id: &OperationId) -> Result<Plan, Failure> {
    crate::files::read_json(&folders.operation(id).join("plan.json"))
}

/// Starts the worker in a session of its own and waits until it holds the operation's lock (at most 2 s).
pub async fn launch(program: &Path, folders: &Folders, id: &OperationId) -> Result<(), Failure> {
    let mut command = std::process::Command::new(program);
    command.args(["operation", "launch", id.as_str(), "--workspace"]).arg(&folders.workspace);
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null()).current_dir("/");
    {
        use std::os::unix::process::CommandExt as _;
        command.process_group(0);
    }
    let failed = |why: &dyn std::fmt::Display| {
        Failure::new(Code::Internal, format!("start the worker of {id}")).cause(why).help(format!("landfall operations resume {id}"))
    };
    // A worker that resumes finds a journal: only what it adds shows that it lives, or has lived.
    let folder = folders.operation(id);
    let journal = journal::Reader::new(&folder);
    let before = journal.size();
    let output = tokio::task::spawn_blocking(move || command.output()).await.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    // The worker's time begins when the launcher has ended: on a machine that is busy this moment both take longer.
    let launched = Instant::now();
    loop {
        // Looked at before the time is: a worker that is there is there, however late this look comes.
        let late = launched.elapsed() >= Duration::from_secs(2);
        if journal::held(&folder) || journal.size() != before {
            return Ok(());
        }
        if late {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(failed(&"it did not take its lock within 2 s").cause(last_line(&folder.join("worker.log"))))
}

fn last_line(path: &Path) -> String {
    std::fs::read_to_string(path).ok().and_then(|text| text.lines().last().map(str::to_owned)).unwrap_or_default()
}

/// Ids of the workspace's operations, newest first.
pub fn list(folders: &Folders) -> Vec<OperationId> {
    let mut ids: Vec<_> = std::fs::read_dir(folders.operations())
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("request.json").exists())
        .filter_map(|entry| OperationId::parse(entry.file_name().to_string_lossy().into_owned()).ok())
        .collect();
    ids.sort_by(|one, other| other.cmp(one));
    ids
}

/// The operation that runs now, if any.
pub fn running(folders: &Folders) -> Option<Request> {
    list(folders).into_iter().find_map(|id| {
        let request = request(folders, &id).ok()?;
        // Whoever neither holds its lock nor is just beginning does not run: its journal need not be read.
        if !journal::held(&folders.operation(&id)) && !young(&request) {
            return None;
        }
        let (view, _) = look(folders, &request).ok()?;
        let alive = matches!(view.state, OperationState::Running | OperationState::Cancelling | OperationState::RollingBack | OperationState::Paused);
        alive.then_some(request)
    })
}

/// True where its worker may not have had the time to take its lock.
fn young(request: &Request) -> bool {
    jiff::Timestamp::now().duration_since(request.created_at).as_secs() < 3
}

/// What an operation looks like now: journal, pulse and lock together.
pub fn look(folders: &Folders, request: &Request) -> Result<(OperationView, Option<Arc<State>>), Failure> {
    look_again(folders, request, &mut journal::Reader::new(&folders.operation(&request.id)))
}

/// The same with a reader that is kept between looks.
pub fn look_again(folders: &Folders, request: &Request, journal: &mut journal::Reader) -> Result<(OperationView, Option<Arc<State>>), Failure> {
    let folder = folders.operation(&request.id);
    // The lock is asked before the journal: a worker that ends in between has written its end by then.
    let held = journal::held(&folder);
    journal.records()?;
    let state = journal.state();
    let known = state.as_ref().map_or(OperationState::Running, |state| state.operation);
    let shown = if known.settled() || held || (state.is_none() && young(request)) { known } else { OperationState::Interrupted };
    let shown = if shown == OperationState::Running && folder.join("cancel").exists() { OperationState::Cancelling } else { shown };
    let updated = state.as_ref().map_or(request.created_at, |state| state.updated_at);
    let end = if shown.settled() || shown == OperationState::Interrupted { updated } else { jiff::Timestamp::now() };
    let pulse = || -> Option<Pulse> { serde_json::from_slice(&std::fs::read(folder.join(Heart::FILE)).ok()?).ok() };
    let live = if shown.settled() { None } else { pulse() };
    let view = OperationView {
        id: request.id.clone(),
        tool: request.tool.clone(),
        state: shown,
        stage: live.as_ref().and_then(|pulse| pulse.stage).or_else(|| state.as_ref().and_then(|state| state.stage)).map(|stage| stage.as_str().to_owned()),
        step: live.as_ref().map(|pulse| pulse.step.clone()).filter(|step| !step.is_empty()),
        subject: live.as_ref().and_then(|pulse| pulse.subject.clone()).or_else(|| state.as_ref().and_then(|state| state.subject.clone())),
        progress: live.map_or(Amount::default(), |pulse| Amount { done: pulse.done, total: pulse.total }),
        waiting_for: None,
        attempt: state.as_ref().map_or(1, |state| state.attempt),
        started_at: request.created_at,
        updated_at: updated,
        elapsed_s: end.duration_since(request.created_at).as_secs_f64().max(0.0),
    };
    Ok((view, state))
}

/// Asks the worker to stop; it hears within 150 ms.
pub fn cancel(folders: &Folders, id: &OperationId, undo: UndoMode) -> Result<(), Failure> {
    let text = serde_json::to_vec(&undo).map_err(|error| Failure::internal("write a cancel request").cause(error))?;
    crate::files::write_private(&folders.operation(id).join("cancel"), &text)
}

/// Keeps the tool's own reply fields beside the journal.
pub fn keep_result(folders: &Folders, id: &OperationId, result: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_vec_pretty(result).map_err(|error| Failure::internal("write a result").cause(error))?;
    crate::files::write_private(&folders.operation(id).join("result.json"), &text)
}

/// The tool's own reply fields, once there.
pub fn result(folders: &Folders, id: &OperationId) -> Option<Map<String, Value>> {
    serde_json::from_slice(&std::fs::read(folders.operation(id).join("result.json")).ok()?).ok()
}

/// The stages a deploy runs through, in order.
pub fn stages(through: crate::ask::Through) -> Vec<StageName> {
    use crate::ask::Through;
    let all = [
        (Through::Containerize, StageName::Containerize),
        (Through::Chart, StageName::Chart),
        (Through::Deploy, StageName::Deploy),
        (Through::Validate, StageName::Validate),
    ];
    all.into_iter().filter(|(last, _)| *last <= through).map(|(_, stage)| stage).collect()
}

/// A lock of the user's state folder for one app on one cluster, held while the value lives.
#[derive(Debug)]
pub struct AppLock {
    _file: std::fs::File,
    /// Who had it before, in this workspace or another one: at work no more, for the lock was free.
    pub before: Option<OperationId>,
}

impl AppLock {
    /// Takes the lock, or answers `OPERATION_RUNNING` with the holder's id.
    pub fn take(state: &Path, fingerprint: &str, namespace: &Namespace, app: &AppName, id: &OperationId) -> Result<Self, Failure> {
        use std::io::{Read as _, Seek as _, Write as _};
        let folder = state.join("locks");
        crate::files::private_folder(&folder)?;
        let name = crate::names::Digest::of(format!("{fingerprint}\n{namespace}\n{app}"));
        let path = folder.join(name.short());
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(|error| Failure::file("open the lock", &path, &error))?;
        if rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let holder = crate::secret::plain(holder.trim(), 60);
            return Err(Failure::new(Code::OperationRunning, format!("{holder} works on {app} in this cluster, from another workspace or client"))
                .help(format!("wait for it: operation_status {{\"operation\": \"{holder}\"}}, or cancel it")));
        }
        let mut before = String::new();
        let _ = file.read_to_string(&mut before);
        let before = OperationId::parse(before.trim().to_owned()).ok().filter(|before| before != id);
        let write = file.set_len(0).and_then(|()| file.seek(std::io::SeekFrom::Start(0))).and_then(|_| file.write_all(id.as_str().as_bytes()));
        write.map_err(|error| Failure::file("write the lock", &path, &error))?;
        Ok(Self { _file: file, before })
    }
}
