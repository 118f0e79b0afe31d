//! How replies look at a terminal: aligned, compact, coloured where there is a terminal that wants it; facts come from the story alone.

use super::Common;
use crate::story::{self, Block, Mark};
use crate::tools::Offer;
use landfall::evidence::Verdict;
use landfall::failure::{Code, Failure, Owner};
use landfall::reply::{NextCall, OperationState, Reply, Status, With};
use landfall::secret::shell_word;
use serde_json::Value;
use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

/// Where replies and progress go.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) colour: bool,
    /// stderr is a terminal: progress may be drawn over.
    pub(crate) live: bool,
    /// Columns of the terminal; nothing is wrapped where a program reads.
    width: Option<usize>,
}

impl Screen {
    pub(crate) fn new(common: &Common) -> Self {
        let wanted =
            !common.no_color && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self {
            json: common.json,
            quiet: common.quiet,
            colour: wanted && std::io::stdout().is_terminal(),
            live: std::io::stderr().is_terminal(),
            width: columns(),
        }
    }

    /// Text on stdout. A reader that has gone is not our failure.
    pub(crate) fn print(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.flush();
    }

    /// A line on stderr, for people.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{}", clean(text));
        }
    }

    /// A whole reply: its structure with `--json`, else drawn. Answers the exit code.
    pub(crate) fn reply<O: Offer>(&self, reply: &With<O::More>) -> u8 {
        if self.json {
            match serde_json::to_value(reply) {
                Ok(mut value) => {
                    crate::server::neutral(&mut value);
                    self.print(&format!("{value:#}\n"));
                }
                Err(error) => return self.failure(&Failure::internal("write the reply").cause(error)),
            }
        } else {
            self.print(&self.draw(&reply.reply, &O::facts(&reply.more)));
        }
        exit_code(&reply.reply)
    }

    /// A failure on stderr (with `--json` as JSON on stdout as well). Answers the exit code.
    pub(crate) fn failure(&self, failure: &Failure) -> u8 {
        if self.json {
            self.print(&format!("{}\n", serde_json::to_string_pretty(failure).unwrap_or_default()));
        }
        let red = |text: &str| if self.colour && self.live { format!("\x1b[31;1m{text}\x1b[0m") } else { text.to_owned() };
        eprintln!("{} {}", red(&format!("{}:", failure.code)), clean(&failure.message));
        for cause in &failure.causes {
            eprintln!("  because: {}", clean(cause));
        }
        if !failure.help.is_empty() {
            eprintln!("  → {}", clean(&failure.help));
        }
        failure.code.exit_code()
    }

    fn draw(&self, reply: &Reply, own: &[Block]) -> String {
        let (mark, opening) = story::opening(reply);
        let mut out = format!("{} {}\n", mark.sign(), self.bold(&clean(&opening)));
        if let Some(target) = &reply.target {
            let mut parts = vec![target.app.clone()];
            parts.extend(target.profile.iter().map(|profile| format!("profile {profile}")));
            parts.extend(target.namespace.iter().map(|namespace| format!("namespace {namespace}")));
            parts.push(target.workspace.clone());
            out.push_str(&format!("   {}\n", self.dim(&clean(&parts.join(" · ")))));
        }
        let mut blocks: Vec<Block> = reply.operation.iter().map(story::operation).collect();
        blocks.extend(own.iter().cloned());
        blocks.extend(story::files(reply));
        blocks.extend(story::gates(&reply.gates));
        blocks.extend(story::diagnoses(&reply.diagnoses));
        blocks.extend(story::values_needed(reply));
        blocks.extend(story::approval(reply));
        if let Some(approval) = &reply.approval
            && let Some(token) = &approval.token
        {
            blocks.push(Block::Detail(format!("here: the same command with --approval {token}")));
        }
        out.push_str(&self.blocks(&blocks));
        if !reply.next.is_empty() && reply.status != Status::ApprovalNeeded {
            out.push('\n');
            for call in reply.next.iter().take(3) {
                out.push_str(&format!("{} {}: {}\n", self.dim("→"), clean(&call.why), self.dim(&clean(&command_for(call)))));
            }
        }
        out
    }

    pub(crate) fn blocks(&self, blocks: &[Block]) -> String {
        let mut out = String::new();
        for block in blocks {
            match block {
                Block::Title(text) => out.push_str(&format!("\n{}\n", self.bold(&clean(text)))),
                Block::Line(mark, text) => out.push_str(&format!("{} {}\n", self.mark(*mark), clean(text))),
                Block::Detail(text) => out.push_str(&format!("     {}\n", self.dim(&clean(text)))),
                Block::Text(text) => out.push_str(&format!("\n{}\n", text.lines().map(clean).collect::<Vec<_>>().join("\n"))),
                Block::Table { head, rows } => out.push_str(&self.table(head, rows)),
            }
        }
        out
    }

    fn table(&self, head: &[&str], rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
        let used: Vec<usize> = (0..head.len()).filter(|&column| rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()))).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain(head.get(column).map(|cell| cell.chars().count())).max().unwrap_or(0)
        };
        let mut widths: Vec<usize> = used.iter().map(|&column| width(column)).collect();
        match self.width {
            Some(columns) => fit(&mut widths, columns.saturating_sub(2)),
            None => widths.iter_mut().for_each(|width| *width = (*width).min(60)),
        }
        let line = |cells: &dyn Fn(usize) -> String| {
            let mut text = String::from("  ");
            for (&column, &width) in used.iter().zip(&widths) {
                let cell = cells(column);
                let gap = width.saturating_sub(cell.chars().count()) + 2;
                text.push_str(&cell);
                text.push_str(&" ".repeat(gap));
            }
            text.trim_end().to_owned()
        };
        let mut out = format!("{}\n", self.dim(&line(&|column| head.get(column).map(|cell| (*cell).to_owned()).unwrap_or_default())));
        for row in &rows {
            let cells: Vec<Vec<String>> = used
                .iter()
                .zip(&widths)
                .map(|(&column, &width)| {
                    let cell = row.get(column).map(String::as_str).unwrap_or_default();
                    if self.width.is_some() { wrapped(cell, width) } else { vec![cell.to_owned()] }
                })
                .collect();
            for number in 0..cells.iter().map(Vec::len).max().unwrap_or(1).max(1) {
                let at = |column: usize| used.iter().position(|&one| one == column).and_then(|index| cells.get(index)?.get(number).cloned());
                out.push_str(&line(&|column| at(column).unwrap_or_default()));
                out.push('\n');
            }
        }
        out
    }

    fn mark(&self, mark: Mark) -> &'static str {
        mark.sign()
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        if self.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() }
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        if self.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Columns of the terminal on stdout.
fn columns() -> Option<usize> {
    let out = std::io::stdout();
    let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten()?;
    (size.ws_col >= 40).then_some(usize::from(size.ws_col))
}

/// Narrows the widest columns until all of them, with two spaces between, fit.
fn fit(widths: &mut [usize], columns: usize) {
    while widths.iter().sum::<usize>() + 2 * widths.len() > columns {
        match widths.iter_mut().max() {
            Some(widest) if *widest > 12 => *widest -= 1,
            Some(_) | None => return,
        }
    }
}

/// A cell in lines of at most this width, broken between words where there are any.
fn wrapped(cell: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in cell.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + letters.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.extend(parts(&letters, width.max(1))),
        }
    }
    lines
}

/// A word that is too long for its column, broken behind the last mark that a path or a name is made of.
fn parts(mut letters: &[char], width: usize) -> Vec<String> {
    let mut out = Vec::new();
    while letters.len() > width {
        let mark = letters.iter().take(width).rposition(|letter| matches!(letter, '/' | '-' | '_' | '.' | ',' | ':'));
        let (part, rest) = letters.split_at(mark.filter(|at| *at >= width / 3).map_or(width, |at| at + 1));
        out.push(part.iter().collect());
        letters = rest;
    }
    out.push(letters.iter().collect());
    out
}

/// Text of any origin without what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\t' => ' ',
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' => ' ',
            letter if letter.is_control() => ' ',
            letter => letter,
        })
        .collect()
}

/// The command line that is this call.
fn command_for(call: &NextCall) -> String {
    let command = match call.tool.as_str() {
        "analyze_project" => "analyze",
        "plan_deployment" => "plan",
        "generate_chart" => "chart",
        "validate_env" => "validate",
        "verify_mcp" => "verify-mcp",
        "cluster_health" => "status",
        "operation_status" => "operations show",
        "cancel_operation" => "operations cancel",
        "deployment_report" => "report",
        "ask_advisor" => "advise",
        other => other,
    };
    let mut line = format!("landfall {command}");
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(operation) = call.arguments.get("operation").filter(|_| command.starts_with("operations")) {
        line.push_str(&format!(" {}", text(operation)));
    }
    if let Some(workspace) = call.arguments.get("workspace").and_then(Value::as_str).filter(|workspace| super::absolute(Path::new(".")) != **workspace) {
        line.push_str(&format!(" {}", shell_word(workspace)));
    }
    for (name, value) in &call.arguments {
        let flag = name.replace('_', "-");
        match value {
            _ if name == "workspace" || (name == "operation" && command.starts_with("operations")) => {}
            Value::Null | Value::Bool(false) => {}
            Value::Bool(true) => line.push_str(&format!(" --{flag}")),
            Value::Array(items) => items.iter().for_each(|item| line.push_str(&format!(" --{flag} {}", shell_word(&text(item))))),
            Value::Number(_) | Value::String(_) | Value::Object(_) => line.push_str(&format!(" --{flag} {}", shell_word(&text(value)))),
        }
    }
    line
}

/// The exit code of a reply, by the contract's table.
pub(crate) fn exit_code(reply: &Reply) -> u8 {
    let stated = match reply.status {
        Status::ApprovalNeeded | Status::Declined => return 4,
        Status::ValueNeeded => return 5,
        Status::Running => return 0,
        Status::Done => reply.operation.as_ref().map(|operation| operation.state),
    };
    match (stated, reply.verdict) {
        (Some(OperationState::Stuck), _) => 9,
        (Some(OperationState::Cancelled | OperationState::Interrupted), _) => 130,
        (Some(OperationState::Failed), _) => failed_code(reply),
        (Some(OperationState::Refused), _) | (_, Some(Verdict::Refused)) => 3,
        (_, Some(Verdict::Incomplete)) => 11,
        (
            Some(OperationState::Succeeded | OperationState::Running | OperationState::Paused | OperationState::Cancelling | OperationState::RollingBack)
            | None,
            Some(Verdict::Pass) | None,
        ) => 0,
    }
}

/// A stage that could not run says why in its diagnosis.
fn failed_code(reply: &Reply) -> u8 {
    let Some(diagnosis) = reply.diagnoses.first() else { return 1 };
    if let Ok(code) = serde_json::from_value::<Code>(serde_json::Value::String(diagnosis.code.clone())) {
        return code.exit_code();
    }
    match diagnosis.owner {
        Owner::App => 3,
        Owner::ValueNeeded => 5,
        Owner::Cluster | Owner::Environment => 7,
        Owner::Landfall => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: Status, verdict: Option<Verdict>, expect: u8) {
        let mut reply = Reply::new(status, "x");
        reply.verdict = verdict;
        assert_eq!(exit_code(&reply), expect);
    }

    #[test]
    fn long_words_break_where_a_path_does() {
        let check = |cell: &str, width: usize, expect: &[&str]| assert_eq!(wrapped(cell, width), expect, "{cell}");
        check("services/notification-service", 24, &["services/notification-", "service"]);
        check("uvicorn src.main:app --port 8000", 16, &["uvicorn", "src.main:app", "--port 8000"]);
        check("abcdefghijkl", 5, &["abcde", "fghij", "kl"]);
        check("a/bcdefghijk", 9, &["a/bcdefgh", "ijk"]);
        check("", 5, &[""]);
    }

    #[test]
    fn a_reply_ends_the_program_as_the_table_says() {
        check(Status::Done, None, 0);
        check(Status::Done, Some(Verdict::Pass), 0);
        check(Status::Done, Some(Verdict::Refused), 3);
        check(Status::Done, Some(Verdict::Incomplete), 11);
        check(Status::ApprovalNeeded, None, 4);
        check(Status::Declined, None, 4);
        check(Status::ValueNeeded, None, 5);
    }

    #[test]
    fn an_operation_that_could_not_run_ends_the_program_by_what_failed() {
        let ended = |code: &str, state: &str| {
            let mut reply = Reply::new(Status::Done, "x");
            reply.verdict = Some(Verdict::Refused);
            reply.operation = Some(
                serde_json::from_value(serde_json::json!({
                    "id": "op-20260101-000000-abcd", "tool": "deploy", "state": state, "progress": { "done": 0, "total": 0 }, "attempt": 1,
                    "started_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z", "elapsed_s": 1.0,
                }))
                .unwrap(),
            );
            reply.diagnoses.push(
                serde_json::from_value(serde_json::json!({
                    "code": code, "class": "unknown", "owner": "landfall", "confidence": "definitive", "subject": "shop", "cause": "x", "why": [], "impact": "x", "options": [],
                }))
                .unwrap(),
            );
            exit_code(&reply)
        };
        assert_eq!(ended("OPERATION_RUNNING", "failed"), 8);
        assert_eq!(ended("WRONG_CLUSTER", "failed"), 6);
        assert_eq!(ended("DEADLINE", "failed"), 12);
        // A gate that refused is a refusal, whatever its diagnosis is called.
        assert_eq!(ended("APP_EXIT_CONFIG", "refused"), 3);
    }

    #[test]
    fn the_next_call_is_a_command_line() {
        let mut reply = Reply::new(Status::Done, "x");
        reply.then(
            "generate_chart",
            serde_json::json!({ "workspace": "/w o", "on_conflict": "keep", "secrets": ["A=env:B", "C=generate"], "start_cluster": true, "plan": null }),
            "y",
        );
        assert_eq!(command_for(&reply.next[0]), "landfall chart '/w o' --on-conflict keep --secrets A=env:B --secrets C=generate --start-cluster");
        reply.then("operation_status", serde_json::json!({ "operation": "op-1" }), "y");
        assert_eq!(command_for(&reply.next[1]), "landfall operations show op-1");
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let screen = |width| Screen { json: false, quiet: false, colour: false, live: false, width };
        let rows = vec![vec!["api".to_owned(), "uvicorn app.main:app --host 0.0.0.0".to_owned()], vec!["web".to_owned(), "x".repeat(30)]];
        assert_eq!(
            screen(Some(40)).table(&["service", "starts with"], &rows),
            "  service  starts with\n  api      uvicorn app.main:app --host\n           0.0.0.0\n  web      xxxxxxxxxxxxxxxxxxxxxxxxxxx\n           xxx\n"
        );
        assert_eq!(screen(None).table(&["service", "starts with"], &rows).lines().count(), 3);
    }

    #[test]
    fn a_terminal_gets_nothing_to_obey() {
        assert_eq!(clean("a\x1b[31mb\u{202e}c"), "a [31mb c");
    }
}
