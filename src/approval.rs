//! The only place that says a change may happen: tokens bound to a digest, kept in the user's state folder; it never makes a change itself.

use crate::config::ApprovalMode;
use crate::evidence::Time;
use crate::failure::{Code, Failure};
use crate::landfall::GivenBy;
use crate::names::Digest;
use crate::ports::Clock;
use crate::reply::ApprovalView;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long a token lives, seconds.
const LIFE: i64 = 15 * 60;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub tool: String,
    pub app: String,
    pub workspace: PathBuf,
    /// SHA-256 of exactly what will change.
    pub digest: Digest,
    /// A line each.
    pub summary: Vec<String>,
    pub diff_uri: Option<String>,
    /// The whole difference as text, for a person at a terminal.
    pub diff: String,
}

/// A request with its answer so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    format: u32,
    request: Request,
    expires_at: Time,
    mode: ApprovalMode,
    user: u32,
    decided: Option<(GivenBy, bool)>,
    used_by: Option<String>,
}

/// What a redeemed token was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    /// For the journal: who said so.
    Granted {
        words: String,
    },
    Declined,
}

/// The approvals of one user.
#[derive(Clone)]
pub struct Approvals {
    folder: PathBuf,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Approvals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Approvals({})", self.folder.display())
    }
}

impl Approvals {
    /// The approvals in this state folder; creates nothing.
    pub fn new(state: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { folder: state.join("approvals"), clock }
    }

    /// Asks: writes the request down and makes its token.
    pub fn ask(&self, request: Request, mode: ApprovalMode) -> Result<ApprovalView, Failure> {
        let token = format!("lf-{}", crate::secret::noise::<16>()?);
        let expires_at = self.clock.now() + jiff::SignedDuration::from_secs(LIFE);
        let entry = Entry { format: 1, request, expires_at, mode, user: rustix::process::getuid().as_raw(), decided: None, used_by: None };
        crate::files::private_folder(&self.folder)?;
        self.forget_old();
        self.write(&token, &entry)?;
        Ok(view(&token, &entry))
    }

    /// What a token stands for, and its difference as text.
    pub fn look(&self, token: &str) -> Result<(ApprovalView, String), Failure> {
        let entry = self.read(token)?;
        Ok((view(token, &entry), entry.request.diff.clone()))
    }

    /// A person's word.
    pub fn decide(&self, token: &str, given_by: GivenBy, accept: bool) -> Result<ApprovalView, Failure> {
        let mut entry = self.read(token)?;
        self.alive(&entry)?;
        entry.decided = Some((given_by, accept));
        self.write(token, &entry)?;
        Ok(view(token, &entry))
    }

    /// Spends the token for exactly this digest. Fails closed: unknown, expired, spent, another digest or, in human mode, no person's word.
    pub fn redeem(&self, token: &str, digest: &Digest, mode: ApprovalMode, operation: &str) -> Result<Redeemed, Failure> {
        let mut entry = self.read(token)?;
        if let Some(operation) = &entry.used_by {
            return Err(Failure::new(Code::ApprovalInvalid, format!("this approval was spent by {operation}"))
                .help("call again without approval to get a new one, or ask operation_status for what it did"));
        }
        self.alive(&entry)?;
        if entry.request.digest != *digest {
            return Err(Failure::new(
                Code::PlanStale,
                format!("what would happen has changed since it was approved: digest {} is now {}", entry.request.digest.short(), digest.short()),
            )
            .help("call again without approval: the reply shows what would happen now"));
        }
        let words = match (entry.decided, mode.max(entry.mode)) {
            (Some((_, false)), _) => return Ok(Redeemed::Declined),
            (Some((GivenBy::Terminal, true)), _) => "a person at a terminal",
            (Some((GivenBy::Elicitation, true)), _) => "the client's question to its user",
            (Some((GivenBy::Token, true)) | None, ApprovalMode::Client) => "the client, by token; not proven to be a person",
            (Some((GivenBy::Token, true)) | None, ApprovalMode::Human) => {
                return Err(
                    Failure::new(Code::ApprovalRequired, "this approval needs a person's word").help(format!("a person runs: landfall approve {token}"))
                );
            }
        };
        entry.used_by = Some(operation.to_owned());
        // The exclusive mark decides between two callers that come at once.
        let mark = self.folder.join(format!("{}.used", key(token)));
        std::fs::OpenOptions::new().write(true).create_new(true).open(&mark).map_err(|_| {
            Failure::new(Code::ApprovalInvalid, "this approval was spent by another call at the same moment").help("ask operation_status for what it did")
        })?;
        self.write(token, &entry)?;
        Ok(Redeemed::Granted { words: words.to_owned() })
    }

    fn alive(&self, entry: &Entry) -> Result<(), Failure> {
        if entry.user != rustix::process::getuid().as_raw() {
            return Err(Failure::new(Code::ApprovalInvalid, "this approval belongs to another user").help("call again without approval"));
        }
        if self.clock.now() > entry.expires_at {
            return Err(Failure::new(Code::ApprovalExpired, format!("this approval expired at {}", entry.expires_at))
                .help(format!("call {} again without approval to get a new one", entry.request.tool)));
        }
        Ok(())
    }

    fn path(&self, token: &str) -> PathBuf {
        self.folder.join(format!("{}.json", key(token)))
    }

    fn read(&self, token: &str) -> Result<Entry, Failure> {
        let unknown = || Failure::new(Code::ApprovalInvalid, "no such approval").help("call again without approval to get one");
        if !token.starts_with("lf-") || token.len() > 64 {
            return Err(unknown());
        }
        let text = std::fs::read(self.path(token)).map_err(|_| unknown())?;
        serde_json::from_slice(&text).map_err(|error| unknown().cause(error))
    }

    fn write(&self, token: &str, entry: &Entry) -> Result<(), Failure> {
        let text = serde_json::to_vec_pretty(entry).map_err(|error| Failure::internal("write an approval").cause(error))?;
        crate::files::write_private(&self.path(token), &text)
    }

    /// Removes entries a day after they expired; failing to is no failure.
    fn forget_old(&self) {
        let day = std::time::Duration::from_secs(24 * 3600);
        for entry in std::fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let old = entry.metadata().and_then(|facts| facts.modified()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > day));
            if old {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// The file name of a token: its hash, so that a listing gives no token away.
fn key(token: &str) -> String {
    Digest::of(token).as_str().chars().take(32).collect()
}

fn view(token: &str, entry: &Entry) -> ApprovalView {
    let how = match entry.mode {
        ApprovalMode::Client => vec![format!("show the summary to your user and call {} again with \"approval\": \"{token}\"", entry.request.tool)],
        ApprovalMode::Human => {
            vec![format!("a person runs: landfall approve {token}"), format!("then call {} again with \"approval\": \"{token}\"", entry.request.tool)]
        }
    };
    ApprovalView {
        token: Some(token.to_owned()),
        app: entry.request.app.clone(),
        digest: entry.request.digest.to_string(),
        summary: entry.request.summary.clone(),
        diff_uri: entry.request.diff_uri.clone(),
        expires_at: entry.expires_at,
        mode: entry.mode,
        how,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicI64, Ordering};

    struct Hand(AtomicI64);
    impl Clock for Hand {
        fn now(&self) -> Time {
            Time::from_second(self.0.load(Ordering::SeqCst)).unwrap()
        }
    }

    fn desk() -> (tempfile::TempDir, Arc<Hand>, Approvals) {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hand(AtomicI64::new(1_000)));
        let desk = Approvals::new(folder.path(), Arc::clone(&clock) as Arc<dyn Clock>);
        (folder, clock, desk)
    }

    fn request(what: &str) -> Request {
        Request {
            tool: "deploy".into(),
            app: "todo".into(),
            workspace: "/x".into(),
            digest: Digest::of(what),
            summary: vec![what.into()],
            diff_uri: None,
            diff: String::new(),
        }
    }

    fn token(view: &ApprovalView) -> &str {
        view.token.as_deref().unwrap()
    }

    #[test]
    fn a_token_is_spent_once_and_for_its_digest_only() {
        let (_folder, _clock, desk) = desk();
        let view = desk.ask(request("a"), ApprovalMode::Client).unwrap();
        let redeem = |what: &str| desk.redeem(token(&view), &Digest::of(what), ApprovalMode::Client, "op-x");
        assert_eq!(redeem("b").unwrap_err().code, Code::PlanStale);
        assert!(matches!(redeem("a"), Ok(Redeemed::Granted { .. })));
        assert_eq!(redeem("a").unwrap_err().code, Code::ApprovalInvalid);
    }

    #[test]
    fn a_token_expires() {
        let (_folder, clock, desk) = desk();
        let view = desk.ask(request("a"), ApprovalMode::Client).unwrap();
        clock.0.store(1_000 + LIFE + 1, Ordering::SeqCst);
        let failure = desk.redeem(token(&view), &Digest::of("a"), ApprovalMode::Client, "op-x").unwrap_err();
        assert_eq!(failure.code, Code::ApprovalExpired);
        assert!(failure.help.contains("without approval"));
    }

    #[test]
    fn in_human_mode_a_token_alone_is_not_a_word() {
        let (_folder, _clock, desk) = desk();
        let view = desk.ask(request("a"), ApprovalMode::Human).unwrap();
        let redeem = || desk.redeem(token(&view), &Digest::of("a"), ApprovalMode::Client, "op-x");
        assert_eq!(redeem().unwrap_err().code, Code::ApprovalRequired);
        desk.decide(token(&view), GivenBy::Token, true).unwrap();
        assert_eq!(redeem().unwrap_err().code, Code::ApprovalRequired);
        desk.decide(token(&view), GivenBy::Terminal, true).unwrap();
        assert!(matches!(redeem(), Ok(Redeemed::Granted { .. })));
    }

    #[test]
    fn a_declined_approval_grants_nothing() {
        let (_folder, _clock, desk) = desk();
        let view = desk.ask(request("a"), ApprovalMode::Client).unwrap();
        desk.decide(token(&view), GivenBy::Elicitation, false).unwrap();
        assert_eq!(desk.redeem(token(&view), &Digest::of("a"), ApprovalMode::Client, "op-x"), Ok(Redeemed::Declined));
    }

    #[test]
    fn made_up_tokens_are_refused() {
        let (_folder, _clock, desk) = desk();
        for made_up in ["lf-0000", "", "../../x", "lf-../../../etc/passwd"] {
            assert_eq!(desk.redeem(made_up, &Digest::of("a"), ApprovalMode::Client, "op-x").unwrap_err().code, Code::ApprovalInvalid, "{made_up}");
        }
    }
}
