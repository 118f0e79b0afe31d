//! Values that nobody may see, and the cleaning of every text that leaves the engine; it never stores anything.

use aho_corasick::AhoCorasick;
use regex::Regex;
use std::fmt;
use std::ops::Range;
use std::sync::{LazyLock, OnceLock};

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
        Ok(Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random::<32>()?)))
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

/// Random bytes of the operating system.
pub fn random<const N: usize>() -> Result<[u8; N], crate::failure::Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| crate::failure::Failure::internal("read random bytes").cause(error))?;
    Ok(bytes)
}

/// `N` random bytes as hexadecimal digits, for names and tokens that nobody else has.
pub fn noise<const N: usize>() -> Result<String, crate::failure::Failure> {
    random::<N>().map(hex::encode)
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

/// A credential's shape. Compiled when a text first holds one of its words: most programs never meet most of them.
struct Shape {
    words: &'static [&'static str],
    /// The group `keep`, where there is one, stays; the rest becomes `***`.
    text: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

const fn shape(words: &'static [&'static str], text: &'static str) -> Shape {
    Shape { words, text, compiled: OnceLock::new() }
}

/// Words are compared as they are written here.
static SHAPES: [Shape; 14] = [
    // keys of well-known providers
    shape(&["sk-", "pk-", "rk-"], r"(?-u:\b)(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"),
    shape(&["k_live_", "k_test_"], r"(?-u:\b)(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}"),
    shape(&["AKIA"], r"(?-u:\b)AKIA[0-9A-Z]{16}(?-u:\b)"),
    shape(&["AIza"], r"(?-u:\b)AIza[0-9A-Za-z_-]{35}(?-u:\b)"),
    shape(&["ghp_", "gho_", "ghu_", "ghs_", "ghr_"], r"(?-u:\b)(?:ghp|gho|ghu|ghs|ghr)_[A-Za-z0-9]{30,}(?-u:\b)"),
    shape(&["github_pat_"], r"(?-u:\b)github_pat_[A-Za-z0-9_]{40,}(?-u:\b)"),
    shape(&["glpat-"], r"(?-u:\b)glpat-[A-Za-z0-9_-]{20,}(?-u:\b)"),
    shape(&["xox"], r"(?-u:\b)xox[abprs]-[A-Za-z0-9-]{10,}(?-u:\b)"),
    shape(&["npg_"], r"(?-u:\b)npg_[A-Za-z0-9]{10,}(?-u:\b)"),
    shape(&["gsk_"], r"(?-u:\b)gsk_[A-Za-z0-9]{20,}(?-u:\b)"),
    shape(&["hf_"], r"(?-u:\b)hf_[A-Za-z0-9]{20,}(?-u:\b)"),
    // JSON web tokens
    shape(&["eyJ"], r"(?-u:\b)eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*"),
    shape(&["bearer", "Bearer", "BEARER"], r"(?P<keep>(?-u:\b)[Bb][Ee][Aa][Rr][Ee][Rr]\s+)[A-Za-z0-9._~+/-]{8,}=*"),
    shape(&["-----BEGIN "], r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)"),
];

impl Shape {
    fn in_text(&self, text: &str) -> Option<&Regex> {
        let regex = self.words.iter().any(|word| text.contains(word)).then(|| self.compiled.get_or_init(|| Regex::new(self.text).ok()).as_ref())??;
        regex.is_match(text).then_some(regex)
    }
}

/// True where some shape's word is in the text: one look, which most texts end with.
fn words_in(text: &str) -> bool {
    static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(SHAPES.iter().flat_map(|shape| shape.words)).ok());
    WORDS.as_ref().is_none_or(|words| words.is_match(text))
}

/// Replaces everything of a credential's shape by `***`.
pub fn redact(text: &str) -> String {
    let mut out = match hidden(text, &passwords_in_urls(text)) {
        Some(hidden) => hidden,
        None => text.to_owned(),
    };
    if let Some(hidden) = hidden(&out, &assigned_values(&out)) {
        out = hidden;
    }
    if !words_in(&out) {
        return out;
    }
    for shape in &SHAPES {
        if let Some(regex) = shape.in_text(&out) {
            let hide = |found: &regex::Captures<'_>| format!("{}***", found.name("keep").map_or("", |keep| keep.as_str()));
            out = regex.replace_all(&out, hide).into_owned();
        }
    }
    out
}

/// The text with these ranges hidden; `None` where there are none.
fn hidden(text: &str, ranges: &[Range<usize>]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    for range in ranges {
        out.push_str(text.get(from..range.start)?);
        out.push_str("***");
        from = range.end;
    }
    out.push_str(text.get(from..)?);
    (!ranges.is_empty()).then_some(out)
}

/// `user:password@` in a URL: where the passwords stand.
fn passwords_in_urls(text: &str) -> Vec<Range<usize>> {
    let mut out: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices("://") {
        let scheme = text.get(..at).is_some_and(|before| before.ends_with(|letter: char| letter.is_ascii_alphanumeric() || "+.-".contains(letter)));
        if !scheme || out.last().is_some_and(|last| last.end > at) {
            continue;
        }
        let from = at + 3;
        let user = text.get(from..).map_or(0, |rest| rest.find(|letter: char| letter.is_whitespace() || ":/@".contains(letter)).unwrap_or(rest.len()));
        if !text.get(from + user..).is_some_and(|rest| rest.starts_with(':')) || user > 200 {
            continue;
        }
        let from = from + user + 1;
        let Some(rest) = text.get(from..) else { continue };
        let length = rest.find(|letter: char| letter.is_whitespace() || "@/".contains(letter)).unwrap_or(rest.len());
        if length > 0 && length <= 400 && rest.get(length..).is_some_and(|rest| rest.starts_with('@')) {
            out.push(from..from + length);
        }
    }
    out
}

/// Words by which a name says that its value is secret; the halves of a pair stand together or around `_` or `-`.
const NAMED: &[(&str, &str)] = &[
    ("password", ""),
    ("passwd", ""),
    ("secret", ""),
    ("credential", ""),
    ("api", "key"),
    ("access", "key"),
    ("private", "key"),
    ("auth", "token"),
    ("access", "token"),
    ("refresh", "token"),
    ("session", "token"),
];

/// True where a lower-case name holds `first` and `second` together, or around one of `between`.
fn holds(lower: &str, first: &str, second: &str, between: &[char]) -> bool {
    lower.match_indices(first).any(|(at, _)| {
        let rest = lower.get(at + first.len()..).unwrap_or_default();
        rest.starts_with(second) || rest.strip_prefix(between).is_some_and(|rest| rest.starts_with(second))
    })
}

/// `NAME=value`, `NAME: value` and `"name": "value"` where the name says so: where the values stand.
fn assigned_values(text: &str) -> Vec<Range<usize>> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    let (mut out, mut passed) = (Vec::new(), 0);
    for (at, mark) in text.match_indices(['=', ':']) {
        if at < passed {
            continue;
        }
        let written = text.get(..at).unwrap_or_default();
        let before = written.trim_end();
        let before = before.strip_suffix(['"', '\'']).unwrap_or(before);
        let begin = before.char_indices().rev().find(|(_, letter)| !part(*letter)).map_or(0, |(at, letter)| at + letter.len_utf8());
        // What was a value is no name any more.
        let name = before.get(begin.max(passed)..).unwrap_or_default().to_ascii_lowercase();
        if name.len() < 6 || !NAMED.iter().any(|(first, second)| holds(&name, first, second, &['_', '-'])) {
            continue;
        }
        let after = text.get(at + mark.len()..).unwrap_or_default().trim_start();
        let value = after.strip_prefix(['"', '\'']).unwrap_or(after);
        let length = value.find(|letter: char| letter.is_whitespace() || "\"',;}{".contains(letter)).unwrap_or(value.len());
        if value.get(..length).is_some_and(|value| value.chars().nth(3).is_some()) {
            let from = text.len() - value.len();
            passed = from + length;
            let quoted = value.len() < after.len();
            if quoted || mark != ":" || !file_name(written) {
                out.push(from..passed);
            }
        }
    }
    out
}

/// True where what looks like `secret: value` is a file's name and what is said of it, as in `templates/secret.yaml: written`.
fn file_name(written: &str) -> bool {
    [".yaml", ".yml", ".tpl", ".json", ".toml", ".py", ".ts", ".tsx", ".js", ".go", ".rs", ".rb", ".java", ".md", ".txt"]
        .iter()
        .any(|end| written.ends_with(end))
}

/// True where the text holds something of a credential's shape.
pub fn looks_secret(text: &str) -> bool {
    !passwords_in_urls(text).is_empty() || !assigned_values(text).is_empty() || (words_in(text) && SHAPES.iter().any(|shape| shape.in_text(text).is_some()))
}

/// True where the name of a variable says that its value is secret.
pub fn secret_name(name: &str) -> bool {
    const WORDS: &[&str] = &["secret", "passwd", "password", "passphrase", "credential"];
    const PAIRS: &[(&str, &str)] = &[
        ("api", "key"),
        ("access", "key"),
        ("private", "key"),
        ("signing", "key"),
        ("encryption", "key"),
        ("auth", "token"),
        ("access", "token"),
        ("refresh", "token"),
        ("bot", "token"),
        ("session", "token"),
        ("github", "token"),
        ("api", "token"),
        ("connection", "string"),
    ];
    // Addresses of these carry a password.
    const STORES: &[&str] = &["database", "db", "postgres", "postgresql", "mysql", "mongo", "mongodb", "redis", "amqp", "rabbitmq", "broker"];
    // Settings about tokens are not tokens.
    const HARMLESS: &[&str] = &["minutes", "seconds", "hours", "days", "expir", "ttl", "maxtokens", "max_tokens", "algorithm"];
    // The last two are switches of browsers' own rules.
    const TAILS: &[&str] = &["tokens", "_name", "_file", "_path", "_id", "cors_credentials", "allow_credentials"];
    const HEADS: &[&str] = &["next_public_", "vite_", "react_app_"];
    let lower = name.to_ascii_lowercase();
    let last = |tail: &str| lower.strip_suffix(tail).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'));
    let address = ["url", "uri"]
        .iter()
        .filter_map(|tail| lower.strip_suffix(tail))
        .map(|rest| rest.strip_suffix('_').unwrap_or(rest))
        .any(|rest| STORES.iter().filter_map(|store| rest.strip_suffix(store)).any(|rest| rest.is_empty() || rest.ends_with('_')));
    let secret = WORDS.iter().any(|word| lower.contains(word))
        || PAIRS.iter().any(|(first, second)| holds(&lower, first, second, &['_']))
        || last("token")
        || lower.ends_with("_dsn")
        || address;
    let harmless =
        HARMLESS.iter().any(|word| lower.contains(word)) || TAILS.iter().any(|tail| lower.ends_with(tail)) || HEADS.iter().any(|head| lower.starts_with(head));
    secret && !harmless
}

/// A word as a shell reads it back, quoted where it has to be.
pub fn shell_word(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@%+#".contains(letter);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('#') { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
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
    let text = match text.contains('\x1b').then(|| ESCAPES.as_ref()).flatten() {
        Some(escapes) => escapes.replace_all(text, ""),
        None => std::borrow::Cow::Borrowed(text),
    };
    // Of ASCII only control characters are not seen, and most texts hold none.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\n' | b'\t')) {
        return text.into_owned();
    }
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
    fn a_word_is_read_back_by_a_shell() {
        for word in ["crictl", "#x", "a#b", "50%", "key=value", "it's", "a b", "$(id)", "`id`", "", "\"", "a;b"] {
            let heard = std::process::Command::new("sh").args(["-c", &format!("printf %s {}", shell_word(word))]).output().unwrap();
            assert_eq!(String::from_utf8(heard.stdout).unwrap(), word, "{}", shell_word(word));
        }
    }

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

    /// The same rules as expressions: slower to compile, easier to believe.
    mod believed {
        pub(super) const URL: &str = r"[a-zA-Z0-9+.-]+://[^\s:/@]{0,200}:(?P<value>[^\s@/]{1,400})@";
        pub(super) const ASSIGNED: &str = r#"(?i)(?P<keep>[a-z0-9_.-]*(?:password|passwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|auth[_-]?token|access[_-]?token|refresh[_-]?token|session[_-]?token|credential)[a-z0-9_.-]*["']?\s*(?:=|:)\s*["']?)(?P<value>[^\s"',;}{]{4,})"#;
        pub(super) const NAME: &str = r"(?i)(secret|passw(or)?d|passphrase|api_?key|access_?key|private_?key|signing_?key|encryption_?key|credential|(^|_)token$|(auth|access|refresh|bot|session|github|api)_?token|_dsn$|(^|_)(database|db|postgres|postgresql|mysql|mongo|mongodb|redis|amqp|rabbitmq|broker)_?(url|uri)$|connection_?string)";
        pub(super) const HARMLESS: &str = r"(?i)(minutes|seconds|hours|days|expir|ttl|max_?tokens|tokens$|algorithm|_name$|_file$|_path$|_id$|cors_credentials$|allow_credentials$|^next_public_|^vite_|^react_app_)";
    }

    fn values(shape: &str, text: &str) -> Vec<std::ops::Range<usize>> {
        let regex = Regex::new(shape).unwrap();
        let file = |found: &regex::Captures<'_>| found.name("keep").is_some_and(|keep| keep.as_str().trim_end().strip_suffix(':').is_some_and(file_name));
        regex.captures_iter(text).filter(|found| !file(found)).filter_map(|found| found.name("value").map(|value| value.range())).collect()
    }

    proptest::proptest! {
        #[test]
        fn what_is_found_by_hand_is_what_expressions_find(parts in proptest::collection::vec(proptest::sample::select(vec![
            "password", "API_KEY", "api-key", "secret", "token", "auth_token", "x", "=", ":", " ", "\"", "'", "://", "@", "/", "user", "abcd", "a", ",", ";", "\n", "_", "-", ".", "postgres", "é", ".py", ".yaml",
        ]), 0..14)) {
            let text = parts.concat();
            proptest::prop_assert_eq!(passwords_in_urls(&text), values(believed::URL, &text), "{}", &text);
            proptest::prop_assert_eq!(assigned_values(&text), values(believed::ASSIGNED, &text), "{}", &text);
        }

        #[test]
        fn names_are_judged_as_by_expressions(parts in proptest::collection::vec(proptest::sample::select(vec![
            "password", "API", "KEY", "secret", "token", "tokens", "_", "db", "database", "URL", "uri", "redis", "dsn", "max", "vite_", "id", "auth", "connection", "string", "x", "expires",
        ]), 0..6)) {
            let name = parts.concat();
            let expect = Regex::new(believed::NAME).unwrap().is_match(&name) && !Regex::new(believed::HARMLESS).unwrap().is_match(&name);
            proptest::prop_assert_eq!(secret_name(&name), expect, "{}", &name);
        }
    }

    #[test]
    fn names_tell_secrets_from_settings() {
        for secret in ["JWT_SECRET", "BETTER_AUTH_SECRET", "OPENAI_API_KEY", "DATABASE_URL", "POSTGRES_PASSWORD", "GITHUB_TOKEN", "REDIS_URL"] {
            assert!(secret_name(secret), "{secret}");
        }
        for open in [
            "ACCESS_TOKEN_EXPIRE_MINUTES",
            "AI_MAX_TOKENS",
            "BACKEND_URL",
            "PORT",
            "JWT_ALGORITHM",
            "NEXT_PUBLIC_API_KEY",
            "LOG_LEVEL",
            "CORS_CREDENTIALS",
            "ALLOW_CREDENTIALS",
        ] {
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
