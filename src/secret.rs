//! Values that nobody may see, and the cleaning of every text that leaves the engine; it never stores anything.

use regex::Regex;
use std::fmt;
use std::sync::LazyLock;

/// A secret value. Printing it, in any way, prints `***`; only `reveal` gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for the one place that must hand it to its destination.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// A fresh value: 32 random bytes in URL-safe base64, 43 characters.
    pub fn generate() -> Result<Self, crate::failure::Failure> {
        use base64::Engine as _;
        let mut bytes = [0u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| crate::failure::Failure::internal("read random bytes").cause(error))?;
        Ok(Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// An HMAC-SHA-256 under a key of the run: equal values give equal fingerprints, and nothing else can be learnt.
    pub fn fingerprint(&self, key: &[u8; 32]) -> [u8; 32] {
        use hmac::{KeyInit as _, Mac as _};
        // A key of 32 bytes is always accepted; the empty fingerprint could only be compared unequal.
        let Ok(mut mac) = hmac::Hmac::<sha2::Sha256>::new_from_slice(key) else { return [0; 32] };
        mac.update(self.0.as_bytes());
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Shapes of credentials: each pattern's group `keep` (where it has one) stays, the rest becomes `***`.
static SHAPES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // user:password@ in a URL
        r"(?P<keep>\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s:/@]{0,100}:)[^\s@/]{1,200}@",
        // NAME=value, NAME: value and "name": "value" where the name says so
        r#"(?i)(?P<keep>\b[a-z0-9_.-]*(?:password|passwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|session[_-]?token|client[_-]?secret|credential)[a-z0-9_.-]*["']?\s*(?:=|:)\s*["']?)[^\s"',;}{]{4,}"#,
        r"(?i)(?P<keep>\bbearer\s+)[a-z0-9._~+/-]{8,}=*",
        // JSON web tokens
        r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
        // keys of well-known providers
        r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}",
        r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
        r"\bAKIA[0-9A-Z]{16}\b",
        r"\bAIza[0-9A-Za-z_-]{35}\b",
        r"\b(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{30,}\b",
        r"\bgithub_pat_[A-Za-z0-9_]{40,}\b",
        r"\bglpat-[A-Za-z0-9_-]{20,}\b",
        r"\bxox[abprs]-[A-Za-z0-9-]{10,}\b",
        r"\bnpg_[A-Za-z0-9]{10,}\b",
        r"\bgsk_[A-Za-z0-9]{20,}\b",
        r"\bhf_[A-Za-z0-9]{20,}\b",
        r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)",
    ]
    .into_iter()
    .filter_map(|shape| Regex::new(shape).ok())
    .collect()
});

/// Replaces everything of a credential's shape by `***`.
pub fn redact(text: &str) -> String {
    let mut out = text.to_owned();
    for shape in SHAPES.iter() {
        if shape.is_match(&out) {
            out = shape
                .replace_all(&out, |found: &regex::Captures<'_>| {
                    let (all, keep) = (found.get(0).map_or("", |all| all.as_str()), found.name("keep").map_or("", |keep| keep.as_str()));
                    if file_name(keep) {
                        return all.to_owned();
                    }
                    let tail = if all.ends_with('@') { "@" } else { "" };
                    format!("{keep}***{tail}")
                })
                .into_owned();
        }
    }
    out
}

/// True where what looks like `secret: value` is a file's name and what is said of it, as in `templates/secret.yaml: written`.
fn file_name(keep: &str) -> bool {
    let name = keep.trim_end().strip_suffix(':').unwrap_or_default();
    [".yaml", ".yml", ".tpl", ".json", ".toml", ".py", ".ts", ".tsx", ".js", ".go", ".rs", ".rb", ".java", ".md", ".txt"].iter().any(|end| name.ends_with(end))
}

/// True where the text holds something of a credential's shape.
pub fn looks_secret(text: &str) -> bool {
    SHAPES.iter().any(|shape| shape.is_match(text))
}

/// True where the name of a variable says that its value is secret.
pub fn secret_name(name: &str) -> bool {
    static NAMES: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(secret|passw(or)?d|passphrase|api_?key|access_?key|private_?key|signing_?key|encryption_?key|credential|(^|_)token$|(auth|access|refresh|bot|session|github|api)_?token|_dsn$|(^|_)(database|db|postgres|postgresql|mysql|mongo|mongodb|redis|amqp|rabbitmq|broker)_?(url|uri)$|connection_?string)").ok()
    });
    // Settings about tokens are not tokens.
    static HARMLESS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"(?i)(minutes|seconds|hours|days|expir|ttl|max_?tokens|tokens$|algorithm|_name$|_file$|_path$|_id$|^next_public_|^vite_|^react_app_)").ok()
    });
    NAMES.as_ref().is_some_and(|shape| shape.is_match(name)) && !HARMLESS.as_ref().is_some_and(|shape| shape.is_match(name))
}

/// A text of somebody else's made safe to show: redacted, without control or invisible characters, at most `limit` characters.
pub fn plain(text: &str, limit: usize) -> String {
    let clean = redact(visible(text).trim_end());
    if clean.chars().count() <= limit {
        return clean;
    }
    let mut cut: String = clean.chars().take(limit.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// A text without terminal escapes, control characters (line ends and tabs apart) and characters that nobody sees.
pub fn visible(text: &str) -> String {
    static ESCAPES: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])").ok());
    let text = match ESCAPES.as_ref() {
        Some(escapes) => escapes.replace_all(text, ""),
        None => text.into(),
    };
    text.chars().filter(|letter| *letter == '\n' || *letter == '\t' || !invisible(*letter)).collect()
}

/// Control characters, bidirectional marks, zero-width and tag characters.
fn invisible(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_redacted_and_the_rest_stays() {
        let check = |text: &str, expect: &str| assert_eq!(redact(text), expect);
        check("postgresql://todo:hunter2@db:5432/x", "postgresql://todo:***@db:5432/x");
        check("OPENAI_API_KEY=sk-abcdefghijklmnopqrstuv rest", "OPENAI_API_KEY=*** rest");
        check("\"password\": \"hunter2x\"", "\"password\": \"***\"");
        check("authorization: Bearer abcdefgh12345678", "authorization: Bearer ***");
        check("AKIAABCDEFGHIJKLMNOP", "***");
        check("http://backend:8000/health", "http://backend:8000/health");
        check("ACCESS_TOKEN_MINUTES is 60", "ACCESS_TOKEN_MINUTES is 60");
        check("deploy/charts/a/templates/secret.yaml: written", "deploy/charts/a/templates/secret.yaml: written");
        check("app/secrets.py:12: reads it", "app/secrets.py:12: reads it");
        check("secret.yaml=hunter22", "secret.yaml=***");
    }

    #[test]
    fn names_tell_secrets_from_settings() {
        for secret in ["JWT_SECRET", "BETTER_AUTH_SECRET", "OPENAI_API_KEY", "DATABASE_URL", "POSTGRES_PASSWORD", "GITHUB_TOKEN", "REDIS_URL"] {
            assert!(secret_name(secret), "{secret}");
        }
        for open in ["ACCESS_TOKEN_EXPIRE_MINUTES", "AI_MAX_TOKENS", "BACKEND_URL", "PORT", "JWT_ALGORITHM", "NEXT_PUBLIC_API_KEY", "LOG_LEVEL"] {
            assert!(!secret_name(open), "{open}");
        }
    }

    #[test]
    fn a_secret_never_prints() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "*** *** Some(***)");
    }

    #[test]
    fn equal_values_have_equal_fingerprints() {
        let key = [7; 32];
        assert_eq!(Secret::new("a").fingerprint(&key), Secret::new("a").fingerprint(&key));
        assert_ne!(Secret::new("a").fingerprint(&key), Secret::new("b").fingerprint(&key));
    }

    #[test]
    fn foreign_text_loses_escapes_and_length() {
        assert_eq!(plain("\u{1b}[31mred\u{1b}[0m\u{202e}x\u{7}", 80), "redx");
        assert_eq!(plain("abcdef", 4), "abc…");
    }
}
