//! A person's answer at a terminal: the summary and every change first, then a word; nothing here can be answered by a pipe.

use super::show::{Screen, clean};
use crate::story;
use landfall::config::ApprovalMode;
use landfall::failure::{Code, Failure};
use landfall::landfall::{GivenBy, Landfall};
use landfall::reply::ApprovalView;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};

/// Lines of a difference that are shown at once.
const SHOWN: usize = 400;

/// True where a person can be asked.
pub(super) fn at_terminal() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// `landfall approve TOKEN`.
pub(super) async fn approve(landfall: &Landfall, screen: &Screen, token: &str, decline: bool) -> Result<u8, Failure> {
    if std::fs::File::open("/dev/tty").is_err() {
        return Err(Failure::new(Code::ApprovalRequired, "an approval is given at a terminal, and there is none")
            .help("run `landfall approve TOKEN` in a terminal of your own"));
    }
    let (view, diff) = landfall.approval(token).await?;
    if !decline {
        show(screen, &view, &diff);
    }
    let accept = !decline
        && match view.mode {
            ApprovalMode::Human => typed(&view.app),
            ApprovalMode::Client => yes("carry this out?"),
        };
    landfall.decide(token, GivenBy::Terminal, accept).await?;
    screen.say(if accept { "approved: make the same call again" } else { "declined: nothing was changed" });
    Ok(if accept { 0 } else { 4 })
}

/// Summary and difference on stderr.
pub(super) fn show(screen: &Screen, view: &ApprovalView, diff: &str) {
    let mut text = String::new();
    for line in diff.lines().take(SHOWN) {
        let line = clean(line);
        let colour = match line.chars().next() {
            Some('+') if screen.colour => Some("32"),
            Some('-') if screen.colour => Some("31"),
            Some(_) | None => None,
        };
        match colour {
            Some(colour) => text.push_str(&format!("\x1b[{colour}m{line}\x1b[0m\n")),
            None => text.push_str(&format!("{line}\n")),
        }
    }
    let more = diff.lines().count().saturating_sub(SHOWN);
    if more > 0 {
        text.push_str(&format!("… {more} more lines: landfall plan --diff\n"));
    }
    text.push('\n');
    text.push_str(&screen.bold("This will happen:"));
    text.push('\n');
    for line in &view.summary {
        text.push_str(&format!("  · {}\n", clean(line)));
    }
    text.push_str(&format!("  digest {}, valid until {}\n", story::short(&view.digest), story::minute(view.expires_at)));
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// y or n, no by default.
pub(super) fn yes(question: &str) -> bool {
    line(&format!("{question} [y/N] ")).is_some_and(|answer| answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

/// True where the person typed exactly this name.
pub(super) fn typed(app: &str) -> bool {
    !app.is_empty() && line(&format!("type the app's name ({}) to carry this out: ", clean(app))).is_some_and(|answer| answer == app)
}

/// One line from the terminal itself, whatever stdin is.
fn line(question: &str) -> Option<String> {
    let mut terminal = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    terminal.write_all(question.as_bytes()).ok()?;
    let mut answer = String::new();
    BufReader::new(terminal).read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}
