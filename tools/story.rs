//! What a reply says, as blocks that both the Markdown for chat clients and the terminal draw; it adds no fact of its own.

use landfall::evidence::{Check, Confidence, Diagnosis, Gate, Outcome, Severity, Verdict};
use landfall::reply::{By, FileAction, FileChange, OperationState, OperationView, Reply, Status};

/// A status mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    Good,
    Bad,
    Waiting,
    Warning,
    Plain,
}

impl Mark {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Good => "✅",
            Self::Bad => "❌",
            Self::Waiting => "⏳",
            Self::Warning => "⚠️",
            Self::Plain => "·",
        }
    }

    pub(crate) fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Good,
            Verdict::Refused => Self::Bad,
            Verdict::Incomplete => Self::Warning,
        }
    }

    pub(crate) fn of_outcome(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Good,
            Outcome::Fail => Self::Bad,
            Outcome::NotRun => Self::Warning,
        }
    }

    pub(crate) fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Blocker => Self::Bad,
            Severity::Warning => Self::Warning,
            Severity::Note => Self::Plain,
        }
    }

    fn of_state(state: OperationState) -> Self {
        match state {
            OperationState::Succeeded => Self::Good,
            OperationState::Refused | OperationState::Failed | OperationState::Stuck => Self::Bad,
            OperationState::Running | OperationState::Paused | OperationState::Cancelling | OperationState::RollingBack => Self::Waiting,
            OperationState::Interrupted | OperationState::Cancelled => Self::Warning,
        }
    }
}

/// A piece of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    Title(String),
    Line(Mark, String),
    /// Below a line: where something was seen and what.
    Detail(String),
    Table {
        head: Vec<&'static str>,
        rows: Vec<Vec<String>>,
    },
    /// Text with its own form, such as a report.
    Text(String),
}

impl Block {
    pub(crate) fn title(text: &str) -> Self {
        Self::Title(text.to_owned())
    }

    /// A table, or nothing where it would be empty.
    pub(crate) fn table(title: &str, head: &[&'static str], rows: Vec<Vec<String>>) -> Vec<Self> {
        if rows.is_empty() { Vec::new() } else { vec![Self::title(title), Self::Table { head: head.to_vec(), rows }] }
    }
}

/// The word of a value that serialises to a string.
pub(crate) fn word<T: serde::Serialize>(value: T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => other.to_string(),
        Err(_) => String::new(),
    }
}

/// The first line: how it went, in one sentence.
pub(crate) fn opening(reply: &Reply) -> (Mark, String) {
    let mark = match (reply.status, reply.verdict) {
        (Status::Done, Some(verdict)) => Mark::of_verdict(verdict),
        (Status::Done, None) => reply
            .operation
            .as_ref()
            .filter(|operation| operation.state != OperationState::Succeeded)
            .map_or(Mark::Good, |operation| Mark::of_state(operation.state)),
        (Status::Running | Status::ApprovalNeeded, _) => Mark::Waiting,
        (Status::ValueNeeded | Status::Declined, _) => Mark::Warning,
    };
    let verdict = reply.verdict.map(|verdict| format!(", verdict {}", word(verdict))).unwrap_or_default();
    (mark, format!("{}{verdict}: {}", word(reply.status), reply.summary))
}

/// One line about an operation.
pub(crate) fn operation(view: &OperationView) -> Block {
    Block::Line(Mark::of_state(view.state), operation_line(view))
}

/// The same as one line without a mark.
pub(crate) fn operation_line(view: &OperationView) -> String {
    let mut text = format!("operation {} ({}) {}", view.id, view.tool, word(view.state));
    for part in [&view.stage, &view.step, &view.subject].into_iter().flatten() {
        text.push_str(" · ");
        text.push_str(part);
    }
    if view.progress.total > 0 {
        text.push_str(&format!(" · {} of {}", view.progress.done, view.progress.total));
    }
    text.push_str(&format!(" · {:.0} s", view.elapsed_s));
    if let Some(waiting) = &view.waiting_for {
        text.push_str(&format!(" · waiting for {waiting}"));
    }
    text
}

/// What must be approved, and how.
pub(crate) fn approval(reply: &Reply) -> Vec<Block> {
    let Some(approval) = &reply.approval else { return Vec::new() };
    let mut blocks = vec![Block::title("Approval needed")];
    blocks.extend(approval.summary.iter().map(|line| Block::Line(Mark::Plain, line.clone())));
    let token = approval.token.as_ref().map(|token| format!("token {token} · ")).unwrap_or_default();
    blocks.push(Block::Line(
        Mark::Waiting,
        format!("{token}digest {} · until {} · mode {}", short(&approval.digest), minute(approval.expires_at), word(approval.mode)),
    ));
    blocks.extend(approval.how.iter().map(|line| Block::Detail(line.clone())));
    if let Some(uri) = &approval.diff_uri {
        blocks.push(Block::Detail(format!("every change: {uri}")));
    }
    blocks
}

/// The gates with their counts; below each what keeps it shut, or what was not run.
pub(crate) fn gates(gates: &[Gate]) -> Vec<Block> {
    let mut blocks = if gates.is_empty() { Vec::new() } else { vec![Block::title("Gates")] };
    for gate in gates {
        let text = format!(
            "{} gate of {}: {} ({} passed, {} failed, {} not run)",
            gate.gate.as_str(),
            gate.subject,
            word(gate.verdict),
            gate.passed,
            gate.failed,
            gate.not_run
        );
        blocks.push(Block::Line(Mark::of_verdict(gate.verdict), text));
        let mut shown: Vec<&Check> = gate.checks.iter().filter(|check| check.outcome != Outcome::Pass).collect();
        // What keeps the gate shut stands first.
        shown.sort_by_key(|check| (!check.required, check.outcome != Outcome::Fail));
        for check in shown.into_iter().take(6) {
            blocks.extend(check_lines(check));
        }
    }
    blocks
}

/// One check with its reason and evidence.
pub(crate) fn check_lines(check: &Check) -> Vec<Block> {
    let optional = if check.required { "" } else { " (not required)" };
    let outcome = match check.outcome {
        Outcome::Pass => "pass",
        Outcome::Fail => "failed",
        Outcome::NotRun => "not run",
    };
    let reason = if check.reason.is_empty() { String::new() } else { format!(": {}", check.reason) };
    let mut blocks = vec![Block::Detail(format!("{} {} {outcome}{optional}{reason} [{}]", Mark::of_outcome(check.outcome).sign(), check.id, check.probed))];
    blocks.extend(check.evidence.iter().take(3).map(|evidence| Block::Detail(format!("  {} {}: {}", word(evidence.source), evidence.at, evidence.text))));
    blocks
}

/// Why something does not run, with what shows it.
pub(crate) fn diagnoses(found: &[Diagnosis]) -> Vec<Block> {
    let mut blocks = if found.is_empty() { Vec::new() } else { vec![Block::title("Diagnosis")] };
    for diagnosis in found {
        let mark = if diagnosis.confidence == Confidence::Unknown { Mark::Warning } else { Mark::Bad };
        blocks.push(Block::Line(
            mark,
            format!("{} at {}: {} ({}, {})", diagnosis.code, diagnosis.subject, diagnosis.cause, word(diagnosis.confidence), word(diagnosis.class)),
        ));
        blocks.extend(diagnosis.why.iter().take(4).map(|evidence| Block::Detail(format!("{} {}: {}", word(evidence.source), evidence.at, evidence.text))));
        if let Some(place) = &diagnosis.source {
            blocks.push(Block::Detail(format!("caused by {}:{} {}", place.file, place.line, place.text)));
        }
        if !diagnosis.impact.is_empty() {
            blocks.push(Block::Detail(format!("impact: {}", diagnosis.impact)));
        }
        blocks.extend(
            diagnosis
                .options
                .iter()
                .take(3)
                .map(|choice| Block::Detail(format!("way on: {} → {} {}", choice.label, choice.tool, serde_json::Value::Object(choice.arguments.clone())))),
        );
    }
    blocks
}

/// How many files are named one by one.
const FILES: usize = 12;

/// Files by what happens to them: what a person must look at one by one, the rest by folder where it is much.
pub(crate) fn files(reply: &Reply) -> Vec<Block> {
    let changed: Vec<&FileChange> = reply.files.iter().filter(|file| file.action != FileAction::Unchanged).collect();
    let (named, grouped): (Vec<&FileChange>, Vec<&FileChange>) =
        changed.iter().copied().partition(|file| changed.len() <= FILES || file.action == FileAction::Conflict || file.by == By::Person);
    let mut rows: Vec<Vec<String>> = named.iter().map(|file| vec![word(file.action), file.path.clone(), word(file.by)]).collect();
    let mut folders: Vec<((String, String), usize)> = Vec::new();
    for file in &grouped {
        // deploy/charts/backend/templates/x.yaml belongs to deploy/charts/backend.
        let folder = file.path.rsplit_once('/').map_or(".", |(folder, _)| folder);
        let folder = folder.split('/').take(3).collect::<Vec<_>>().join("/");
        let key = (word(file.action), folder);
        match folders.iter_mut().find(|(known, _)| *known == key) {
            Some((_, count)) => *count += 1,
            None => folders.push((key, 1)),
        }
    }
    rows.extend(folders.into_iter().map(|((action, folder), count)| vec![action, format!("{folder}/ ({count} files)"), "landfall".to_owned()]));
    let mut blocks = Block::table("Files", &["action", "path", "by"], rows);
    let mut differences: Vec<&str> = changed.iter().filter_map(|file| file.diff_uri.as_deref()).collect();
    differences.dedup();
    if let [first, ..] = differences.as_slice() {
        blocks.push(Block::Detail(format!("differences: {first}")));
    }
    let unchanged = reply.files.len() - changed.len();
    if unchanged > 0 {
        blocks.push(Block::Line(Mark::Plain, format!("{unchanged} files unchanged")));
    }
    blocks
}

/// The first few of many, and how many more.
pub(crate) fn some(items: &[String], shown: usize) -> String {
    let text = items.iter().take(shown).cloned().collect::<Vec<_>>().join("; ");
    if items.len() > shown { format!("{text}; and {} more", items.len() - shown) } else { text }
}

/// Values that only the user can give.
pub(crate) fn values_needed(reply: &Reply) -> Vec<Block> {
    let mut blocks = if reply.values_needed.is_empty() { Vec::new() } else { vec![Block::title("Values needed")] };
    for value in &reply.values_needed {
        let place = value.why.as_ref().map(|place| format!(", read at {}:{}", place.file, place.line)).unwrap_or_default();
        let secret = if value.secret { " (secret)" } else { "" };
        blocks.push(Block::Line(Mark::Warning, format!("{}{secret} for {}{place}", value.name, value.service)));
        if !value.accepts.is_empty() {
            blocks.push(Block::Detail(format!("give one of: {}", value.accepts.join(" · "))));
        }
    }
    blocks
}

/// The first twelve digits of a digest.
pub(crate) fn short(digest: &str) -> &str {
    let digest = digest.strip_prefix("sha256:").unwrap_or(digest);
    digest.get(..12).unwrap_or(digest)
}

/// A time to the minute, UTC.
pub(crate) fn minute(at: landfall::evidence::Time) -> String {
    at.to_zoned(jiff::tz::TimeZone::UTC).strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{} KB", bytes / 1_000),
        1_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        10_000_000_000.. => format!("{} GB", bytes / 1_000_000_000),
    }
}
