//! What an operation did, one event a line, and the state that follows from it; the journal never acts.

mod store;

pub(crate) use store::held;
pub use store::{Journal, Reader, Readers, read};

use crate::ask::UndoMode;
use crate::evidence::{Course, Diagnosis, Gate, Time, Verdict};
use crate::failure::Failure;
use crate::names::{AdvisorName, ImageRef, Namespace, OperationId, ReleaseName, Revision};
use crate::reply::{OperationState, ReleaseView};
use serde::{Deserialize, Serialize};

/// The stages, in their strict order; rollback stands beside them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StageName {
    Containerize,
    Chart,
    Deploy,
    Validate,
    Rollback,
}

impl StageName {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Containerize => "containerize",
            Self::Chart => "chart",
            Self::Deploy => "deploy",
            Self::Validate => "validate",
            Self::Rollback => "rollback",
        }
    }
}

/// How an effect is taken back. Data, so that a later process can do it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "undo")]
pub enum Undo {
    /// Put the earlier text back, kept in the operation's folder; delete where there was none.
    File {
        path: String,
        backup: Option<String>,
    },
    Untag {
        reference: ImageRef,
    },
    /// Delete if ours and empty.
    Namespace {
        namespace: Namespace,
    },
    /// Uninstall a first install; claims stay.
    Uninstall {
        namespace: Namespace,
        release: ReleaseName,
    },
    /// Back to the recorded verified revision.
    HelmRollback {
        namespace: Namespace,
        release: ReleaseName,
        to: Revision,
    },
    /// Back to where the release was before, though nobody verified it: only reported, never done by itself.
    Unverified {
        namespace: Namespace,
        release: ReleaseName,
        was: Revision,
    },
    /// Disable an addon of minikube that was off.
    Addon {
        addon: String,
    },
    /// Delete a pod that was only there to prove something.
    Pod {
        namespace: Namespace,
        name: String,
    },
    /// Nothing is taken back, and why.
    Keep {
        why: String,
    },
}

impl Undo {
    /// The command with which a person does the same in the cluster of this kubectl context; none where nothing is to be done.
    pub fn by_hand(&self, context: &str) -> Option<String> {
        match self {
            Self::Uninstall { namespace, release } => Some(format!("helm uninstall {release} -n {namespace} --kube-context {context}")),
            Self::HelmRollback { namespace, release, to } => Some(format!("helm rollback {release} {to} -n {namespace} --kube-context {context}")),
            Self::Namespace { namespace } => Some(format!("kubectl delete namespace {namespace} --context {context}")),
            Self::Pod { namespace, name } => Some(format!("kubectl delete pod {name} -n {namespace} --context {context}")),
            Self::Untag { reference } => Some(format!("minikube -p {context} image rm {reference}")),
            Self::Addon { addon } => Some(format!("minikube -p {context} addons disable {addon}")),
            Self::File { path, backup: None } => Some(format!("rm {path}")),
            Self::File { path, backup: Some(backup) } => Some(format!("copy {backup} of the operation's folder to {path}")),
            Self::Unverified { .. } | Self::Keep { .. } => None,
        }
    }

    /// True where taking it back changes the cluster, not only files and images.
    pub fn in_cluster(&self) -> bool {
        match self {
            Self::Namespace { .. } | Self::Uninstall { .. } | Self::HelmRollback { .. } | Self::Unverified { .. } | Self::Addon { .. } | Self::Pod { .. } => {
                true
            }
            Self::File { .. } | Self::Untag { .. } | Self::Keep { .. } => false,
        }
    }
}

/// One thing that happened. Field names are part of the journal's format, version 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event", content = "data")]
pub enum Event {
    OperationStarted {
        tool: String,
        pid: u32,
        plan: Option<String>,
        approved_by: Option<String>,
    },
    OperationResumed {
        pid: u32,
        attempt: u32,
    },
    StageStarted {
        readiness: Vec<String>,
    },
    StageEnded {
        verdict: Verdict,
    },
    EffectIntended {
        key: String,
        effect: String,
        undo: Undo,
        before: serde_json::Value,
    },
    EffectDone {
        key: String,
        after: serde_json::Value,
    },
    EffectFailed {
        key: String,
        failure: Failure,
    },
    GateJudged {
        gate: Gate,
    },
    Diagnosed {
        diagnosis: Diagnosis,
    },
    /// What follows from a failure or a refusal, and by which rule, before it is carried out.
    RetryDecided {
        rule: String,
        attempt: u32,
        /// What failed, where who moves next was decided: a code of the taxonomy, of failures, or of a check.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        course: Option<Course>,
    },
    Paused {
        why: String,
    },
    Continued {
        why: String,
    },
    CancelAsked {
        undo: UndoMode,
    },
    UndoStarted {
        key: String,
    },
    UndoDone {
        key: String,
        note: String,
    },
    UndoFailed {
        key: String,
        failure: Failure,
    },
    /// The app's releases as this deploy left them.
    RevisionReached {
        n: u32,
        releases: Vec<ReleaseView>,
    },
    RevisionVerified {
        n: u32,
        releases: Vec<ReleaseView>,
    },
    /// An advisor was asked, or refused before it was; texts by their SHA-256.
    Advised {
        advisor: AdvisorName,
        version: String,
        prompt: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answer: Option<String>,
        /// `proposal`, or why there is none.
        outcome: String,
        /// How the proposal was judged.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gates: Vec<Gate>,
    },
    JournalRepaired {
        bytes_cut: u64,
    },
    OperationEnded {
        state: OperationState,
        summary: String,
        failure: Option<Failure>,
    },
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Format version.
    pub v: u32,
    /// Counted from 1.
    pub n: u64,
    pub at: Time,
    pub op: OperationId,
    #[serde(flatten)]
    pub event: Event,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `sha256:` of the line before, or of nothing.
    pub prev: String,
    /// `sha256:` of this line with an empty `hash`.
    pub hash: String,
}

/// How far an effect came.
#[derive(Clone, Debug, PartialEq)]
pub enum EffectState {
    /// Its end is not in the journal: it may have landed or not.
    Intended,
    Done {
        after: serde_json::Value,
    },
    Failed,
    Undone,
    UndoFailed,
}

/// An effect of the operation with its way back.
#[derive(Clone, Debug, PartialEq)]
pub struct EffectRecord {
    pub key: String,
    pub effect: String,
    pub undo: Undo,
    pub state: EffectState,
}

/// The state of an operation: a fold over its journal.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub tool: String,
    pub operation: OperationState,
    pub stage: Option<StageName>,
    pub subject: Option<String>,
    pub attempt: u32,
    pub started_at: Time,
    pub updated_at: Time,
    pub effects: Vec<EffectRecord>,
    pub gates: Vec<(StageName, Gate)>,
    pub diagnoses: Vec<Diagnosis>,
    pub verdicts: Vec<(StageName, Verdict)>,
    pub reached: Option<(u32, Vec<ReleaseView>)>,
    pub verified: Option<(u32, Vec<ReleaseView>)>,
    /// How often something was tried again: subject and code, and the count.
    pub retries: Vec<(String, String, u32)>,
    /// The code that ended it, and who moves next.
    pub course: Option<(String, Course)>,
    pub cancel: Option<UndoMode>,
    pub plan: Option<String>,
    pub approved_by: Option<String>,
    pub summary: String,
    pub failure: Option<Failure>,
    pub undone: Vec<String>,
    pub events: u64,
}

impl State {
    /// Before the first event.
    pub fn initial(at: Time) -> Self {
        Self {
            tool: String::new(),
            operation: OperationState::Running,
            stage: None,
            subject: None,
            attempt: 1,
            started_at: at,
            updated_at: at,
            effects: Vec::new(),
            gates: Vec::new(),
            diagnoses: Vec::new(),
            verdicts: Vec::new(),
            reached: None,
            verified: None,
            retries: Vec::new(),
            course: None,
            cancel: None,
            plan: None,
            approved_by: None,
            summary: String::new(),
            failure: None,
            undone: Vec::new(),
            events: 0,
        }
    }

    /// The state of a whole journal; `None` for an empty one.
    pub fn of(records: &[Record]) -> Option<Self> {
        let first = records.first()?;
        Some(records.iter().fold(Self::initial(first.at), Self::next))
    }

    /// The state after one more event.
    #[must_use]
    pub fn next(mut self, record: &Record) -> Self {
        self.updated_at = record.at;
        self.events = record.n;
        if record.stage.is_some() {
            self.stage = record.stage;
        }
        if record.subject.is_some() {
            self.subject.clone_from(&record.subject);
        }
        let stage = record.stage.unwrap_or(StageName::Containerize);
        match &record.event {
            Event::OperationStarted { tool, plan, approved_by, .. } => {
                self.tool.clone_from(tool);
                self.plan.clone_from(plan);
                self.approved_by.clone_from(approved_by);
            }
            Event::OperationResumed { attempt, .. } => {
                self.attempt = *attempt;
                self.operation = OperationState::Running;
            }
            Event::StageStarted { .. } if stage == StageName::Rollback => self.operation = OperationState::RollingBack,
            Event::StageStarted { .. } | Event::Advised { .. } | Event::JournalRepaired { .. } => {}
            Event::StageEnded { verdict } => self.verdicts.push((stage, *verdict)),
            Event::EffectIntended { key, effect, undo, .. } => {
                // An effect that is tried again has the way back that it had.
                self.effects.retain(|known| known.key != *key || !matches!(known.state, EffectState::Intended | EffectState::Failed));
                self.effects.push(EffectRecord { key: key.clone(), effect: effect.clone(), undo: undo.clone(), state: EffectState::Intended });
            }
            Event::EffectDone { key, after } => self.settle(key, EffectState::Done { after: after.clone() }),
            Event::EffectFailed { key, .. } => self.settle(key, EffectState::Failed),
            Event::GateJudged { gate } => self.gates.push((stage, gate.clone())),
            Event::Diagnosed { diagnosis } => self.diagnoses.push(diagnosis.clone()),
            Event::RetryDecided { attempt, code, course, .. } => {
                self.attempt = *attempt;
                match (code, course) {
                    (Some(code), Some(Course::Again)) => self.tried_again(record.subject.as_deref().unwrap_or_default(), code),
                    (Some(code), Some(course)) => self.course = Some((code.clone(), *course)),
                    (_, _) => {}
                }
            }
            Event::Paused { .. } => self.operation = OperationState::Paused,
            Event::Continued { .. } => self.operation = OperationState::Running,
            Event::CancelAsked { undo } => {
                self.cancel = Some(*undo);
                self.operation = OperationState::Cancelling;
            }
            Event::UndoStarted { .. } => self.operation = OperationState::RollingBack,
            Event::UndoDone { key, note } => {
                self.settle(key, EffectState::Undone);
                self.undone.push(note.clone());
            }
            Event::UndoFailed { key, .. } => self.settle(key, EffectState::UndoFailed),
            Event::RevisionReached { n, releases } => self.reached = Some((*n, releases.clone())),
            Event::RevisionVerified { n, releases } => self.verified = Some((*n, releases.clone())),
            Event::OperationEnded { state, summary, failure } => {
                self.operation = *state;
                self.summary.clone_from(summary);
                self.failure.clone_from(failure);
            }
        }
        self
    }

    /// The gates as they stand at the end: what was judged of one subject in several steps is one gate, each check by its newest outcome.
    /// What was judged after going back stands beside what was refused, never over it.
    pub fn standing_gates(&self) -> Vec<(StageName, Gate)> {
        let mut merged: Vec<(StageName, Gate)> = Vec::new();
        for (stage, gate) in &self.gates {
            let back = *stage == StageName::Rollback;
            let same =
                merged.iter_mut().find(|(known, other)| other.gate == gate.gate && other.subject == gate.subject && (*known == StageName::Rollback) == back);
            match same {
                None => merged.push((*stage, gate.clone())),
                Some((known, other)) => {
                    let fresh = |id: &str| gate.checks.iter().any(|check| check.id == id);
                    let mut checks: Vec<_> = other.checks.iter().filter(|check| !fresh(&check.id)).cloned().collect();
                    checks.extend(gate.checks.iter().cloned());
                    *known = *stage;
                    *other = Gate::judge(gate.gate, gate.subject.clone(), checks);
                }
            }
        }
        merged
    }

    fn tried_again(&mut self, subject: &str, code: &str) {
        match self.retries.iter_mut().find(|(whose, what, _)| whose == subject && what == code) {
            Some((_, _, count)) => *count += 1,
            None => self.retries.push((subject.to_owned(), code.to_owned(), 1)),
        }
    }

    /// How often this failed on the subject and was tried again.
    pub fn retried(&self, subject: &str, code: &str) -> u32 {
        self.retries.iter().find(|(whose, what, _)| whose == subject && what == code).map_or(0, |(_, _, count)| *count)
    }

    /// How often this was tried again, on the subject where it was tried most.
    pub fn most_tried(&self, code: &str) -> u32 {
        self.retries.iter().filter(|(_, what, _)| what == code).map(|(_, _, count)| *count).max().unwrap_or_default()
    }

    fn settle(&mut self, key: &str, state: EffectState) {
        if let Some(effect) = self.effects.iter_mut().rev().find(|effect| effect.key == key) {
            effect.state = state;
        }
    }

    /// Effects that may have landed and were not taken back, newest first: what a walk back has to look at.
    pub fn standing(&self) -> impl Iterator<Item = &EffectRecord> {
        self.effects.iter().rev().filter(|effect| match effect.state {
            EffectState::Intended | EffectState::Done { .. } | EffectState::Failed | EffectState::UndoFailed => true,
            EffectState::Undone => false,
        })
    }

    /// The end of an effect that is known to have landed.
    pub fn done(&self, key: &str) -> Option<&serde_json::Value> {
        self.effects.iter().rev().find(|effect| effect.key == key).and_then(|effect| match &effect.state {
            EffectState::Done { after } => Some(after),
            EffectState::Intended | EffectState::Failed | EffectState::Undone | EffectState::UndoFailed => None,
        })
    }
}

impl Record {
    /// The event as one line for people.
    pub fn sentence(&self) -> String {
        let subject = self.subject.as_deref().map(|subject| format!("{subject} · ")).unwrap_or_default();
        let text = match &self.event {
            Event::OperationStarted { tool, .. } => format!("{tool} started"),
            Event::OperationResumed { attempt, .. } => format!("resumed, attempt {attempt}"),
            Event::StageStarted { .. } => format!("stage {} started", self.stage.map_or("?", StageName::as_str)),
            Event::StageEnded { verdict } => format!("stage {} ended: {}", self.stage.map_or("?", StageName::as_str), verdict_word(*verdict)),
            Event::EffectIntended { effect, .. } => format!("begins: {effect}"),
            Event::EffectDone { key, .. } => format!("done: {key}"),
            Event::EffectFailed { key, failure } => format!("failed: {key}: {failure}"),
            Event::GateJudged { gate } => {
                format!("{} gate {}: {} passed, {} failed, {} not run", gate.gate.as_str(), verdict_word(gate.verdict), gate.passed, gate.failed, gate.not_run)
            }
            Event::Diagnosed { diagnosis } => format!("diagnosed {}: {}", diagnosis.code, diagnosis.cause),
            Event::RetryDecided { rule, code: Some(code), .. } => format!("{code}: {rule}"),
            Event::RetryDecided { rule, attempt, .. } => format!("attempt {attempt}: {rule}"),
            Event::Paused { why } => format!("paused: {why}"),
            Event::Continued { why } => format!("continued: {why}"),
            Event::CancelAsked { .. } => "cancel asked".to_owned(),
            Event::UndoStarted { key } => format!("takes back: {key}"),
            Event::UndoDone { note, .. } => format!("taken back: {note}"),
            Event::UndoFailed { key, failure } => format!("could not take back {key}: {failure}"),
            Event::RevisionReached { n, .. } => format!("app revision r{n} is in the cluster"),
            Event::RevisionVerified { n, .. } => format!("app revision r{n} is verified"),
            Event::Advised { advisor, version, outcome, .. } => format!("{} {version} was asked: {outcome}", advisor.as_str()),
            Event::JournalRepaired { bytes_cut } => format!("a torn last line of {bytes_cut} bytes was cut"),
            Event::OperationEnded { state, summary, .. } => format!("ended {}: {summary}", state_word(*state)),
        };
        format!("{subject}{text}")
    }
}

/// `pass`, `refused`, `incomplete`.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Refused => "refused",
        Verdict::Incomplete => "incomplete",
    }
}

/// The state's name on the wire.
pub fn state_word(state: OperationState) -> &'static str {
    match state {
        OperationState::Running => "running",
        OperationState::Paused => "paused",
        OperationState::Cancelling => "cancelling",
        OperationState::RollingBack => "rolling_back",
        OperationState::Interrupted => "interrupted",
        OperationState::Succeeded => "succeeded",
        OperationState::Refused => "refused",
        OperationState::Failed => "failed",
        OperationState::Cancelled => "cancelled",
        OperationState::Stuck => "stuck",
    }
}
