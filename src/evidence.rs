//! What was seen, and what follows from it: checks, gates and verdicts are judged here, purely; nothing here looks at the world.

use serde::{Deserialize, Serialize};

/// The time of a look, RFC 3339 in UTC.
pub type Time = jiff::Timestamp;

/// A place in the workspace that shows a fact. `text` is redacted and at most 200 characters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Place {
    /// Path relative to the workspace, with `/`.
    pub file: String,
    /// Line, counted from 1; 0 where the file as a whole is meant.
    #[serde(default)]
    pub line: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

impl Place {
    /// A line of a file; the text is redacted and cut.
    pub fn new(file: impl Into<String>, line: u32, text: &str) -> Self {
        Self { file: file.into(), line, text: crate::secret::plain(text.trim(), 200) }
    }

    /// A file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, text: String::new() }
    }
}

/// Where a piece of evidence was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    File,
    Object,
    Event,
    Log,
    Probe,
    Program,
}

/// Something that was seen: where, what (redacted, at most 400 characters), and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    pub source: Source,
    /// The place: `file:line`, `Pod/name .status.…`, a URL, a command.
    pub at: String,
    pub text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub seen_at: Option<Time>,
}

impl Evidence {
    /// Evidence with its text redacted and cut.
    pub fn new(source: Source, at: impl Into<String>, text: &str) -> Self {
        Self { source, at: crate::secret::plain(&at.into(), 200), text: crate::secret::plain(text, 400), seen_at: None }
    }

    /// The same place, with what was seen there.
    #[must_use]
    pub fn seen_as(mut self, text: &str) -> Self {
        self.text = crate::secret::plain(text, 400);
        self
    }

    /// Adds the time of the look.
    #[must_use]
    pub fn seen(mut self, at: Time) -> Self {
        self.seen_at = Some(at);
        self
    }
}

impl From<&Place> for Evidence {
    fn from(place: &Place) -> Self {
        Self::new(Source::File, format!("{}:{}", place.file, place.line), &place.text)
    }
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Pass,
    Fail,
    NotRun,
}

/// One question to the world and its answer. Made by `Check::pass`, `fail` or `not_run` alone; a pass needs evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Check {
    /// `<gate>.<name>`, stable.
    pub id: String,
    pub required: bool,
    pub outcome: Outcome,
    /// What was asked.
    pub probed: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

impl Check {
    /// The check was run, and this is what shows that it passed.
    pub fn pass(id: &str, probed: impl Into<String>, evidence: Evidence) -> Self {
        Self { id: id.to_owned(), required: true, outcome: Outcome::Pass, probed: probed.into(), reason: String::new(), evidence: vec![evidence] }
    }

    /// The check was run and failed.
    pub fn fail(id: &str, probed: impl Into<String>, reason: impl Into<String>, evidence: Vec<Evidence>) -> Self {
        let reason = crate::secret::plain(&reason.into(), 400);
        Self { id: id.to_owned(), required: true, outcome: Outcome::Fail, probed: probed.into(), reason, evidence }
    }

    /// The check was not run, and why.
    pub fn not_run(id: &str, probed: impl Into<String>, reason: impl Into<String>) -> Self {
        let reason = crate::secret::plain(&reason.into(), 400);
        Self { id: id.to_owned(), required: true, outcome: Outcome::NotRun, probed: probed.into(), reason, evidence: Vec::new() }
    }

    /// The gate does not wait for this one.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// More evidence.
    #[must_use]
    pub fn with(mut self, evidence: Evidence) -> Self {
        self.evidence.push(evidence);
        self
    }
}

/// The four gates, in their strict order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateName {
    Docker,
    Helm,
    Kubernetes,
    Validation,
}

impl GateName {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Helm => "helm",
            Self::Kubernetes => "kubernetes",
            Self::Validation => "validation",
        }
    }
}

/// The judgement over checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Pass,
    Refused,
    Incomplete,
}

/// The judged checks of one gate over one subject (a service, a release or the app).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Gate {
    pub gate: GateName,
    pub subject: String,
    pub verdict: Verdict,
    pub passed: u32,
    pub failed: u32,
    pub not_run: u32,
    pub checks: Vec<Check>,
}

impl Gate {
    /// A required check failed, or none was executed: refused. Else a required check did not run: incomplete. Else pass.
    pub fn judge(gate: GateName, subject: impl Into<String>, checks: Vec<Check>) -> Self {
        let count = |outcome| u32::try_from(checks.iter().filter(|check| check.outcome == outcome).count()).unwrap_or(u32::MAX);
        let required = |outcome| checks.iter().any(|check| check.required && check.outcome == outcome);
        let (passed, failed, not_run) = (count(Outcome::Pass), count(Outcome::Fail), count(Outcome::NotRun));
        let verdict = if required(Outcome::Fail) || passed + failed == 0 {
            Verdict::Refused
        } else if required(Outcome::NotRun) {
            Verdict::Incomplete
        } else {
            Verdict::Pass
        };
        Self { gate, subject: subject.into(), verdict, passed, failed, not_run, checks }
    }

    /// The first required check that keeps the gate shut.
    pub fn first_obstacle(&self) -> Option<&Check> {
        let blocking = |outcome| self.checks.iter().find(|check| check.required && check.outcome == outcome);
        blocking(Outcome::Fail).or_else(|| blocking(Outcome::NotRun))
    }

    /// True where nothing required failed, and all that is required but not run is in `carried`: those checks run later.
    pub fn passes_except(&self, carried: &[&str]) -> bool {
        match self.verdict {
            Verdict::Pass => true,
            Verdict::Refused => false,
            Verdict::Incomplete => {
                self.checks.iter().filter(|check| check.required && check.outcome == Outcome::NotRun).all(|check| carried.contains(&check.id.as_str()))
            }
        }
    }
}

/// One verdict over several gates: the worst of them; refused where there is none.
pub fn overall<'a>(gates: impl IntoIterator<Item = &'a Gate>) -> Verdict {
    let mut verdict = None;
    for gate in gates {
        verdict = Some(match (verdict, gate.verdict) {
            (Some(Verdict::Refused), _) | (_, Verdict::Refused) => Verdict::Refused,
            (Some(Verdict::Incomplete), _) | (_, Verdict::Incomplete) => Verdict::Incomplete,
            (Some(Verdict::Pass) | None, Verdict::Pass) => Verdict::Pass,
        });
    }
    verdict.unwrap_or(Verdict::Refused)
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Blocker,
    Warning,
    Note,
}

/// Something of the workspace that a careful reader would point out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    pub code: String,
    pub severity: Severity,
    pub message: String,
    pub help: String,
    pub evidence: Vec<Place>,
    /// A patch or the exact words to change, where one is certain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

/// The class of a diagnosis, which decides what the engine does (field: the failure taxonomy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    AppSelfResolve,
    AppNeedsValue,
    ClusterEscalate,
    Transient,
    HelmState,
    Unknown,
}

/// Who moves next after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// The engine tries the same thing again.
    Again,
    /// The caller changes what is at fault, and calls again.
    Change,
    /// The caller has it generated anew: changing did not help.
    Regenerate,
    /// A person gives a value or a decision.
    AskValue,
    /// A person looks: neither trying nor changing would help.
    Escalate,
}

/// How often the same failure is tried again, by the engine or by changing what is at fault.
pub const RETRIES: u32 = 2;

/// Who moves next, and by which rule, where something of this class failed and had failed `before` times with the same code.
pub fn course(class: Class, before: u32) -> (Course, &'static str) {
    match class {
        Class::Transient | Class::HelmState if before < RETRIES => (Course::Again, "what passes by itself is tried again, at most twice"),
        Class::Transient | Class::HelmState => (Course::Escalate, "it was tried three times and did not pass by itself: a person is needed"),
        Class::AppSelfResolve if before < RETRIES => (Course::Change, "the application is at fault: change it and call again, at most twice"),
        Class::AppSelfResolve if before == RETRIES => (Course::Regenerate, "still failing after two retries: have it generated anew"),
        Class::AppSelfResolve => (Course::Escalate, "neither changing it nor generating it anew helped: a person is needed"),
        Class::AppNeedsValue => (Course::AskValue, "a value or a decision is missing: a person is asked for it"),
        Class::ClusterEscalate => (Course::Escalate, "the cluster is at fault: nothing is tried again, a person is needed"),
        Class::Unknown => (Course::Escalate, "the cause is unknown: nothing is tried blindly, a person is needed"),
    }
}

/// How sure a diagnosis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    Definitive,
    Likely,
    Unknown,
}

/// A way on from a diagnosis: a label and the exact tool call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Choice {
    pub label: String,
    pub tool: String,
    pub arguments: serde_json::Map<String, serde_json::Value>,
}

/// Why something does not run: the cause with its evidence, never a symptom alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Diagnosis {
    /// A code of the failure taxonomy, or `UNKNOWN`.
    pub code: String,
    pub class: Class,
    pub owner: crate::failure::Owner,
    pub confidence: Confidence,
    /// `service/object`, such as `backend/Pod backend-7d9-abc container backend`.
    pub subject: String,
    pub cause: String,
    /// What was seen: log lines, events, field paths.
    pub why: Vec<Evidence>,
    pub impact: String,
    /// The place in the workspace that caused it, when the survey knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Place>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<Choice>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Evidence {
        Evidence::new(Source::Probe, "here", "200")
    }

    fn check(checks: Vec<Check>, expect: Verdict) {
        assert_eq!(Gate::judge(GateName::Docker, "x", checks).verdict, expect);
    }

    #[test]
    fn a_gate_with_nothing_executed_refuses() {
        check(vec![], Verdict::Refused);
        check(vec![Check::not_run("a.b", "?", "no engine")], Verdict::Refused);
        check(vec![Check::not_run("a.b", "?", "no scanner").optional()], Verdict::Refused);
    }

    #[test]
    fn a_gate_follows_its_required_checks() {
        let pass = || Check::pass("a.p", "?", seen());
        let fail = || Check::fail("a.f", "?", "no", vec![]);
        let skip = || Check::not_run("a.n", "?", "why");
        check(vec![pass()], Verdict::Pass);
        check(vec![pass(), fail()], Verdict::Refused);
        check(vec![pass(), fail().optional()], Verdict::Pass);
        check(vec![pass(), skip()], Verdict::Incomplete);
        check(vec![pass(), skip().optional()], Verdict::Pass);
        check(vec![fail(), skip()], Verdict::Refused);
    }

    #[test]
    fn only_named_checks_are_carried() {
        let gate = Gate::judge(GateName::Docker, "x", vec![Check::pass("docker.builds", "?", seen()), Check::not_run("docker.on_node", "?", "no cluster")]);
        assert!(gate.passes_except(&["docker.on_node"]));
        assert!(!gate.passes_except(&["helm.dry_run"]));
    }
}
