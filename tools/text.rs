//! The text block of a tool's answer: short Markdown for clients that show their model nothing else; the facts are those of the reply.

use crate::story::{self, Block};
use landfall::failure::Failure;
use landfall::reply::{NextCall, Reply};
use serde_json::json;

/// About 2,000 tokens.
const LIMIT: usize = 7_200;
/// What the tool's own facts may take of it.
const OWN: usize = 3_000;
const ROWS: usize = 14;

/// Status, verdict, operation, approval, obstacles, diagnoses and the next calls always; the tool's own facts as far as there is room.
pub(crate) fn markdown(reply: &Reply, own: &[Block]) -> String {
    let (mark, opening) = story::opening(reply);
    let mut head = format!("{} {}\n", mark.sign(), one_line(&opening, 600));
    if let Some(operation) = &reply.operation {
        draw(&[story::operation(operation)], &mut head, 400);
    }
    draw(&story::approval(reply), &mut head, 1_600);
    draw(&story::values_needed(reply), &mut head, 900);
    let mut obstacles = String::new();
    draw(&first_obstacle_first(reply), &mut obstacles, 1_500);
    draw(&story::diagnoses(&reply.diagnoses), &mut obstacles, 1_500);
    let mut tail = String::new();
    draw(&story::files(reply), &mut tail, 900);
    if !reply.resources.is_empty() {
        tail.push_str("\nRead more: ");
        tail.push_str(&reply.resources.iter().take(6).map(|link| link.uri.as_str()).collect::<Vec<_>>().join(" · "));
        tail.push('\n');
    }
    let next = calls(&reply.next);
    let room = LIMIT.saturating_sub(head.len() + obstacles.len() + tail.len() + next.len()).min(OWN);
    let mut middle = String::new();
    draw(own, &mut middle, room);
    let rest = LIMIT.saturating_sub(next.len());
    let mut text = head;
    text.push_str(&obstacles);
    text.push_str(&middle);
    text.push_str(&tail);
    truncate(&mut text, rest);
    text.push_str(&next);
    text
}

/// The gate that is shut comes first, so that it survives every cut.
fn first_obstacle_first(reply: &Reply) -> Vec<Block> {
    let mut gates = reply.gates.clone();
    gates.sort_by_key(|gate| gate.first_obstacle().is_none());
    story::gates(&gates)
}

/// The calls that make sense now, as a client can send them.
fn calls(next: &[NextCall]) -> String {
    let mut text = String::new();
    for call in next.iter().take(4) {
        let line = json!({ "tool": call.tool, "arguments": call.arguments });
        text.push_str(&format!("→ {}: `{line}`\n", one_line(&call.why, 160)));
    }
    if text.is_empty() { text } else { format!("\nNext:\n{text}") }
}

/// A failure, readable and then as JSON.
pub(crate) fn failure(failure: &Failure) -> String {
    let mut text = format!("❌ {}: {}\n", failure.code, one_line(&failure.message, 600));
    for cause in failure.causes.iter().take(5) {
        text.push_str(&format!("- because: {}\n", one_line(cause, 700)));
    }
    if !failure.help.is_empty() {
        text.push_str(&format!("→ {}\n", one_line(&failure.help, 900)));
    }
    if let Ok(json) = serde_json::to_string(failure) {
        text.push_str(&format!("\n{json}"));
    }
    text
}

fn draw(blocks: &[Block], out: &mut String, room: usize) {
    let mut text = String::new();
    let mut left_out = 0usize;
    for block in blocks {
        let piece = piece(block);
        if left_out > 0 || text.len() + piece.len() > room {
            left_out += 1;
        } else {
            text.push_str(&piece);
        }
    }
    if left_out > 0 && !text.is_empty() {
        text.push_str("… shortened: the structured reply and the resources have the rest\n");
    } else if left_out > 0
        && let Some(first) = blocks.first()
    {
        let mut piece = piece(first);
        truncate(&mut piece, room);
        text.push_str(&piece);
    }
    out.push_str(&text);
}

fn piece(block: &Block) -> String {
    match block {
        Block::Title(text) => format!("\n**{text}**\n"),
        Block::Line(mark, text) => format!("- {} {}\n", mark.sign(), one_line(text, 500)),
        Block::Detail(text) => format!("    {}\n", one_line(text, 500)),
        Block::Text(text) => format!("\n{}\n", text.trim_end()),
        Block::Table { head, rows } => {
            let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
            let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
            text.push_str(&line(head.iter().map(|_| "---".to_owned()).collect()));
            for row in rows.iter().take(ROWS) {
                text.push_str(&line(row.iter().map(|cell| one_line(cell, 120).replace('|', "\\|")).collect()));
            }
            if rows.len() > ROWS {
                text.push_str(&format!("… and {} more\n", rows.len() - ROWS));
            }
            text
        }
    }
}

/// Text of any origin on one line.
fn one_line(text: &str, limit: usize) -> String {
    let mut out: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).take(limit).collect();
    if text.chars().nth(limit).is_some() {
        out.push('…');
    }
    out
}

/// Cuts at a character boundary at or below `limit` bytes.
fn truncate(text: &mut String, limit: usize) {
    if text.len() <= limit {
        return;
    }
    text.truncate(text.floor_char_boundary(limit));
    text.push_str("…\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall::evidence::{Check, Evidence, Gate, GateName, Source};
    use landfall::failure::Code;
    use landfall::reply::Status;

    #[test]
    fn what_a_client_needs_survives_every_length() {
        let evidence = Evidence::new(Source::Log, "Pod/backend-1", "could not translate host name");
        let checks = (0..40).map(|n| Check::fail(&format!("kubernetes.check_{n}"), "pods ready", "x".repeat(300), vec![evidence.clone()])).collect();
        let mut reply = Reply::new(Status::Done, "the kubernetes gate refused");
        reply.verdict = Some(landfall::evidence::Verdict::Refused);
        reply.gates = vec![Gate::judge(GateName::Kubernetes, "backend", checks)];
        reply.then("rollback", json!({ "workspace": "/w" }), "back to the last verified revision");
        let own = vec![Block::Text("long ".repeat(5_000))];
        let text = markdown(&reply, &own);
        assert!(text.len() < LIMIT + 200, "{}", text.len());
        for wanted in ["refused", "kubernetes.check_0", "could not translate host name", r#"{"tool":"rollback","arguments":{"workspace":"/w"}}"#] {
            assert!(text.contains(wanted), "{wanted} is missing in {text}");
        }
    }

    #[test]
    fn a_failure_ends_with_its_json() {
        let text = failure(&Failure::new(Code::ProgramMissing, "find helm").help("install helm, then call again"));
        let json: Failure = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(json.code, Code::ProgramMissing);
    }
}
