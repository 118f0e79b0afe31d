//! One run of an operation: intention before effect, effect before evidence, and the way back; what the stages do is theirs.

use crate::ask::UndoMode;
use crate::config::{Config, Folders};
use crate::evidence::{Class, Course, Diagnosis, Gate, Verdict, course};
use crate::failure::{Code, Failure};
use crate::journal::{Event, Journal, StageName, State, Undo};
use crate::names::{OperationId, ProfileName};
use crate::ports::{Progress, Proof, World};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How long to wait before an effect is tried again; one more try for each.
const AGAIN: [Duration; crate::evidence::RETRIES as usize] = [Duration::from_millis(500), Duration::from_secs(2)];

/// What the worker is doing this moment; overwritten, never read back by the worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    pub pid: u32,
    pub stage: Option<StageName>,
    pub subject: Option<String>,
    pub step: String,
    pub done: u64,
    pub total: u64,
}

/// Writes the pulse, at most ten times a second.
pub struct Heart {
    path: PathBuf,
    inner: Mutex<(Pulse, Option<Instant>)>,
}

impl std::fmt::Debug for Heart {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Heart({})", self.path.display())
    }
}

impl Heart {
    /// The name of the file beside the journal.
    pub const FILE: &str = "worker.json";

    fn change(&self, urgent: bool, change: impl FnOnce(&mut Pulse)) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut inner.0);
        let due = urgent || inner.1.is_none_or(|last| last.elapsed() >= Duration::from_millis(100));
        if due && let Ok(text) = serde_json::to_vec(&inner.0) {
            // Progress that cannot be written must not stop the work.
            let beside = self.path.with_extension("json.new");
            let _ = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, &self.path));
            inner.1 = Some(Instant::now());
        }
    }
}

impl Progress for Heart {
    fn note(&self, text: &str) {
        let text = crate::secret::plain(text, 200);
        self.change(false, |pulse| pulse.step = text);
    }

    fn amount(&self, done: u64, total: u64) {
        self.change(false, |pulse| (pulse.done, pulse.total) = (done, total));
    }
}

/// An effect that is about to happen.
#[derive(Clone, Debug)]
pub struct Effect {
    /// Unique in the operation: `helm/backend`.
    pub key: String,
    /// For people: `install release backend`.
    pub text: String,
    pub undo: Undo,
    /// What was there before.
    pub before: serde_json::Value,
}

/// One run.
#[derive(Debug)]
pub struct Run {
    pub world: World,
    pub folders: Folders,
    pub config: Config,
    pub id: OperationId,
    pub journal: Journal,
    pub heart: Arc<Heart>,
    pub cancel: CancellationToken,
    pub ends_at: Instant,
}

impl Run {
    /// Takes the operation's journal, and listens for a cancel file until the run is dropped.
    pub fn open(world: World, folders: Folders, config: Config, id: OperationId, deadline: Duration) -> Result<Self, Failure> {
        let folder = folders.operation(&id);
        let journal = Journal::open(&folder, &id, Arc::clone(&world.clock))?;
        let pulse = Pulse { pid: std::process::id(), ..Pulse::default() };
        let heart = Arc::new(Heart { path: folder.join(Heart::FILE), inner: Mutex::new((pulse, None)) });
        heart.change(true, |_| ());
        let cancel = CancellationToken::new();
        let (asked, heard) = (folder.join("cancel"), cancel.clone());
        tokio::spawn(async move {
            while !heard.is_cancelled() {
                if asked.exists() {
                    heard.cancel();
                }
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        });
        Ok(Self { world, folders, config, id, journal, heart, cancel, ends_at: Instant::now() + deadline })
    }

    /// How the user wants a cancelled operation to end, where it was cancelled.
    pub fn cancel_mode(&self) -> Option<UndoMode> {
        let text = std::fs::read(self.folders.operation(&self.id).join("cancel")).ok()?;
        Some(serde_json::from_slice(&text).unwrap_or_default())
    }

    /// What is left of the operation's deadline.
    pub fn left(&self) -> Duration {
        self.ends_at.saturating_duration_since(Instant::now())
    }

    /// Says what is being done now.
    pub fn doing(&self, stage: StageName, subject: &str, step: &str) {
        self.heart.change(true, |pulse| {
            pulse.stage = Some(stage);
            pulse.subject = Some(subject.to_owned());
            step.clone_into(&mut pulse.step);
            (pulse.done, pulse.total) = (0, 0);
        });
    }

    /// Begins a stage.
    pub fn begin(&self, stage: StageName, readiness: Vec<String>) -> Result<(), Failure> {
        self.doing(stage, "app", "begins");
        self.journal.append(Some(stage), None, Event::StageStarted { readiness }).map(|_| ())
    }

    /// Ends a stage.
    pub fn end(&self, stage: StageName, verdict: Verdict) -> Result<(), Failure> {
        self.journal.append(Some(stage), None, Event::StageEnded { verdict }).map(|_| ())
    }

    /// Records a judged gate.
    pub fn judged(&self, stage: StageName, gate: &Gate) -> Result<(), Failure> {
        self.journal.append(Some(stage), Some(&gate.subject), Event::GateJudged { gate: gate.clone() }).map(|_| ())
    }

    /// Records a diagnosis.
    pub fn diagnosed(&self, stage: StageName, diagnosis: &Diagnosis) -> Result<(), Failure> {
        self.journal.append(Some(stage), Some(&diagnosis.subject), Event::Diagnosed { diagnosis: diagnosis.clone() }).map(|_| ())
    }

    /// `CANCELLED` or `DEADLINE` where the run must not begin anything new.
    pub fn may_go_on(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() {
            return Err(Failure::new(Code::Cancelled, "the operation was cancelled"));
        }
        if self.left().is_zero() {
            let pulse = self.heart.inner.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
            return Err(Failure::new(Code::Deadline, format!("the operation's deadline passed; it was last doing: {}", pulse.step))
                .help("call again with a larger deadline_s"));
        }
        Ok(())
    }

    /// Something that only looks, given up at once where the operation is cancelled.
    pub async fn unless_cancelled<T>(&self, look: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.cancel.cancelled() => Err(Failure::new(Code::Cancelled, "the operation was cancelled")),
            looked = look => looked,
        }
    }

    /// A look that may write: what writes cleans up behind itself, and is not left halfway.
    pub async fn unless_cancelled_or_writing<T>(&self, writing: bool, look: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        if writing { look.await } else { self.unless_cancelled(look).await }
    }

    /// One effect: the way back goes into the journal first, then the action runs, then its end is recorded.
    /// An effect that the journal knows as done is not run again: its recorded end is answered.
    pub async fn effect<T: Serialize + DeserializeOwned>(
        &self,
        stage: StageName,
        subject: &str,
        effect: Effect,
        action: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        if let Some(after) = self.journal.state().done(&effect.key)
            && let Ok(after) = serde_json::from_value(after.clone())
        {
            return Ok(after);
        }
        self.may_go_on()?;
        self.doing(stage, subject, &effect.text);
        let Effect { key, text, undo, before } = effect;
        self.journal.append(Some(stage), Some(subject), Event::EffectIntended { key: key.clone(), effect: text.clone(), undo, before })?;
        fault_point("intended", &key);
        let ended = tokio::select! {
            ended = tokio::time::timeout(self.left(), action) => ended.unwrap_or_else(|_| {
                Err(Failure::new(Code::Deadline, format!("the operation's deadline passed during: {text}")).help("call again with a larger deadline_s"))
            }),
            () = self.cancel.cancelled() => Err(Failure::new(Code::Cancelled, format!("cancelled during: {text}"))),
        };
        match &ended {
            Ok(after) => {
                fault_point("landed", &key);
                let after = serde_json::to_value(after).map_err(|error| Failure::internal("record an effect").cause(error))?;
                self.journal.append(Some(stage), Some(subject), Event::EffectDone { key, after })?;
            }
            Err(failure) => {
                self.journal.append(Some(stage), Some(subject), Event::EffectFailed { key, failure: failure.clone() })?;
            }
        }
        ended
    }

    /// As `effect`, tried again where the class of its failure says that it passes by itself. Each decision is in the journal before it is carried out.
    pub async fn effect_again<T, F>(
        &self,
        stage: StageName,
        subject: &str,
        effect: Effect,
        class_of: impl Fn(&Failure) -> (String, Class),
        mut action: impl FnMut() -> F,
    ) -> Result<T, Failure>
    where
        T: Serialize + DeserializeOwned,
        F: Future<Output = Result<T, Failure>>,
    {
        for wait in AGAIN {
            let failure = match self.effect(stage, subject, effect.clone(), action()).await {
                Err(failure) if !matches!(failure.code, Code::Cancelled | Code::Deadline) => failure,
                ended => return ended,
            };
            let (code, class) = class_of(&failure);
            let (course, rule) = course(class, self.state().retried(subject, &code));
            if course != Course::Again || self.left() <= wait {
                return Err(failure);
            }
            self.decided(Some(stage), Some(subject), &code, course, rule)?;
            self.doing(stage, subject, &format!("waits, then tries again: {}", effect.text));
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.cancel.cancelled() => {}
            }
        }
        self.effect(stage, subject, effect, action()).await
    }

    /// Records who moves next after a failure, and by which rule.
    pub fn decided(&self, stage: Option<StageName>, subject: Option<&str>, code: &str, course: Course, rule: &str) -> Result<(), Failure> {
        let event = Event::RetryDecided { rule: rule.to_owned(), attempt: self.state().attempt, code: Some(code.to_owned()), course: Some(course) };
        self.journal.append(stage, subject, event).map(|_| ())
    }

    /// An effect that belongs to the record of a run, not to its work: it happens after a cancel and a passed deadline as well, and a failure of it stops nothing.
    pub fn note<T: Serialize>(&self, subject: &str, effect: Effect, action: impl FnOnce() -> Result<T, Failure>) -> Result<(), Failure> {
        if self.journal.state().done(&effect.key).is_some() {
            return Ok(());
        }
        let Effect { key, text, undo, before } = effect;
        self.journal.append(None, Some(subject), Event::EffectIntended { key: key.clone(), effect: text, undo, before })?;
        let ended = action().and_then(|after| serde_json::to_value(after).map_err(|error| Failure::internal("record an effect").cause(error)));
        let event = match ended {
            Ok(after) => Event::EffectDone { key, after },
            Err(failure) => Event::EffectFailed { key, failure },
        };
        self.journal.append(None, Some(subject), event).map(|_| ())
    }

    /// Walks back every standing effect that `wanted` takes, newest first. Answers what could not be taken back: the key, why, and what a person does instead.
    pub async fn unwind(&self, at: Option<&Proof>, wanted: impl Fn(&crate::journal::EffectRecord) -> bool) -> Result<Vec<String>, Failure> {
        let standing: Vec<_> = self.journal.state().standing().filter(|effect| wanted(effect)).cloned().collect();
        let mut failed = Vec::new();
        for effect in standing {
            self.journal.append(Some(StageName::Rollback), None, Event::UndoStarted { key: effect.key.clone() })?;
            self.doing(StageName::Rollback, &effect.key, &format!("takes back: {}", effect.effect));
            match self.undo(at, &effect.undo).await {
                Ok(note) => self.journal.append(Some(StageName::Rollback), None, Event::UndoDone { key: effect.key, note })?,
                Err(failure) => {
                    let command = at.and_then(|at| effect.undo.by_hand(at.profile.name.as_str()));
                    let by_hand = command.map(|command| format!("; by hand: {command}")).unwrap_or_default();
                    failed.push(format!("{}: {failure}{by_hand}", effect.key));
                    self.journal.append(Some(StageName::Rollback), None, Event::UndoFailed { key: effect.key, failure })?
                }
            };
        }
        Ok(failed)
    }

    /// Takes one effect back. Doing it twice ends the same.
    async fn undo(&self, at: Option<&Proof>, undo: &Undo) -> Result<String, Failure> {
        let proven = || {
            at.ok_or_else(|| {
                Failure::new(Code::ClusterUnreachable, "no proven cluster to take this back in").help("start the profile, then: landfall operations resume")
            })
        };
        match undo {
            Undo::File { path, backup } => self.restore_file(path, backup.as_deref()),
            Undo::Untag { reference } => {
                self.world.images.untag(proven()?, reference).await?;
                Ok(format!("tag {reference} removed"))
            }
            Undo::Namespace { namespace } => {
                let gone = self.world.cluster.delete_namespace(proven()?, namespace).await?;
                Ok(if gone { format!("namespace {namespace} deleted") } else { format!("namespace {namespace} left: it holds other things") })
            }
            Undo::Uninstall { namespace, release } => {
                self.world.charts.uninstall(proven()?, namespace, release).await?;
                Ok(format!("{release} uninstalled; its claims and Secrets are kept"))
            }
            Undo::HelmRollback { namespace, release, to } => {
                let at = proven()?;
                let history = self.world.charts.history(at, namespace, release).await?;
                let back =
                    history.last().is_some_and(|last| last.status == "deployed" && (last.revision == *to || last.description == format!("Rollback to {to}")));
                if back {
                    return Ok(format!("{release} is at verified revision {to} already"));
                }
                if history.is_empty() {
                    return Ok(format!("{release} is gone with all its records, so it cannot go back to revision {to}; deploy installs it anew"));
                }
                let revision = self.world.charts.rollback(at, namespace, release, *to).await?;
                Ok(format!("{release} rolled back to verified revision {to} (as helm revision {revision})"))
            }
            Undo::Pod { namespace, name } => {
                self.world.cluster.delete_pod(proven()?, namespace, name).await?;
                Ok(format!("pod {name} deleted"))
            }
            Undo::Unverified { release, was, .. } => Ok(format!("{release} left as it is: revision {was} before it was never verified")),
            Undo::Addon { addon } => {
                let at = proven()?;
                let was = self.world.local.disable_addon(&at.profile.name, addon).await?;
                Ok(if was { format!("addon {addon} disabled") } else { format!("addon {addon} was off; {}", at.leftovers(addon)) })
            }
            Undo::Keep { why } => Ok(format!("kept: {why}")),
        }
    }

    fn restore_file(&self, path: &str, backup: Option<&str>) -> Result<String, Failure> {
        let target = self.folders.workspace.join(path);
        // The copy that a merge starts from follows the file, where that is as we wrote it.
        let copy = self.folders.generated().join(path);
        let ours = std::fs::read(&copy).is_ok_and(|copy| std::fs::read(&target).is_ok_and(|text| text == copy));
        match backup {
            Some(backup) => {
                let kept = self.folders.operation(&self.id).join(backup);
                let text = std::fs::read(&kept).map_err(|error| Failure::file("read", &kept, &error))?;
                if ours {
                    crate::files::write_private(&copy, &text)?;
                }
                crate::files::write_shared(&target, &text)?;
                Ok(format!("{path} restored"))
            }
            None => match std::fs::remove_file(&target) {
                Ok(()) => {
                    if ours {
                        let _ = std::fs::remove_file(&copy);
                    }
                    // Folders that are empty now were made for the file: only an empty one can be removed.
                    for folder in target.ancestors().skip(1).take_while(|folder| *folder != self.folders.workspace) {
                        if std::fs::remove_dir(folder).is_err() {
                            break;
                        }
                    }
                    Ok(format!("{path} removed"))
                }
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(format!("{path} was not there")),
                Err(error) => Err(Failure::file("remove", &target, &error)),
            },
        }
    }

    /// Proves the target anew and compares it with what the plan was made for.
    pub async fn prove(&self, profile: &ProfileName, fingerprint: Option<&str>) -> Result<Proof, Failure> {
        let proof = self.world.local.prove(profile).await?;
        match fingerprint {
            Some(planned) if planned != proof.fingerprint => Err(Failure::new(
                Code::WrongCluster,
                format!("profile {profile} is another cluster than the one that was approved: CA {} instead of {}", short(&proof.fingerprint), short(planned)),
            )
            .help("make a new plan: plan_deployment")),
            Some(_) | None => Ok(proof),
        }
    }

    /// The state so far.
    pub fn state(&self) -> State {
        self.journal.state()
    }
}

fn short(text: &str) -> &str {
    text.get(..12).unwrap_or(text)
}

/// In a debug build, `LANDFALL_FAULT=<point>:<key>` kills the worker here, as a crash would; nothing in a release.
fn fault_point(point: &str, key: &str) {
    #[cfg(debug_assertions)]
    if std::env::var("LANDFALL_FAULT").is_ok_and(|wanted| wanted == format!("{point}:{key}")) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    }
    #[cfg(not(debug_assertions))]
    let _ = (point, key);
}
