//! Secrets with values in tracked files, found by shape and entropy; the value itself is never kept.

use super::walk::base_of;
use super::words::Words;
use regex::Regex;
use std::sync::LazyLock;

/// A line that shows a secret: what kind, never what value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Leak {
    pub(crate) file: String,
    pub(crate) line: u32,
    pub(crate) kind: &'static str,
    /// Whose shape leaves no doubt.
    pub(crate) certain: bool,
}

/// Shapes of providers' credentials, in one expression: compiling one is cheaper than compiling eleven.
static SHAPES: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let shapes = [
        r"-----BEGIN (?:RSA |EC |OPENSSH |DSA |ENCRYPTED )?PRIVATE KEY-----",
        r"AKIA[0-9A-Z]{16}",
        r"AIza[0-9A-Za-z_\-]{35}",
        r"gh[pousr]_[A-Za-z0-9]{36}",
        r"github_pat_[A-Za-z0-9_]{50}",
        r"glpat-[A-Za-z0-9_\-]{20}",
        r"xox[abprs]-[0-9]{6,}-[A-Za-z0-9\-]{10}",
        r"[sr]k_live_[A-Za-z0-9]{20}",
        r"(?-u:\b)sk-[A-Za-z0-9_\-]{32,}",
        r"gsk_[A-Za-z0-9]{40}",
        r"npg_[A-Za-z0-9]{10,}",
        r"(?-u:\b)hf_[A-Za-z0-9]{30}",
    ];
    Regex::new(&shapes.join("|")).ok()
});

/// Whose credential begins so.
const OWNERS: &[(&str, &str)] = &[
    ("-----", "private key"),
    ("AKIA", "AWS access key"),
    ("AIza", "Google API key"),
    ("gh", "GitHub token"),
    ("glpat", "GitLab token"),
    ("xox", "Slack token"),
    ("sk_live", "Stripe key"),
    ("rk_live", "Stripe key"),
    ("sk-", "key of a language model's provider"),
    ("gsk_", "Groq key"),
    ("npg_", "Neon password"),
    ("hf_", "Hugging Face token"),
];

fn provider(line: &str) -> Option<&'static str> {
    let hit = SHAPES.as_ref()?.find_iter(line).find(|hit| !placeholder(hit.as_str()))?;
    // A shape that is looked for, such as this table's own, is no key: there the material follows, on this line or the next.
    if hit.as_str().starts_with("-----") {
        let tail = line.get(hit.end()..).unwrap_or_default().trim().trim_start_matches("\\n");
        let material = tail.chars().take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=')).count();
        if !tail.is_empty() && material < 24 {
            return None;
        }
    }
    OWNERS.iter().find(|(head, _)| hit.as_str().starts_with(head)).map(|(_, owner)| *owner)
}

/// What a line with a secret holds: the first ones begin a provider's credential, the others name a value.
const HINTS: &[&str] = &[
    "AKIA",
    "AIza",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxa-",
    "xoxb-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "k_live_",
    "sk-",
    "gsk_",
    "npg_",
    "hf_",
    "PRIVATE KEY-----",
    "://",
    "secret",
    "Secret",
    "SECRET",
    "password",
    "Password",
    "PASSWORD",
    "token",
    "Token",
    "TOKEN",
    "apikey",
    "apiKey",
    "ApiKey",
    "api_key",
    "APIKEY",
    "API_KEY",
    // The same in base64, as Secrets hold them.
    "QUtJQ",
    "QUl6",
    "c2st",
    "bnBnX",
    "Z2hw",
    "cG9zdGdy",
    "LS0tLS1CRUdJTi",
];

/// How many of them begin a provider's credential.
const PROVIDERS: usize = 20;

/// One pass over a text that holds none of these is enough.
static HINT: LazyLock<Words> = LazyLock::new(|| Words::new(HINTS));

/// A URL with a password.
static CREDENTIALS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[a-z0-9]://([!-.0-9;-?A-~]{1,60}):([!-.0-?A-~]{6,80})@([!-.0-9;->@-~]+)").ok());

/// `NAME=value` where the name says secret.
static ASSIGNED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"^\s*(?:export\s+|-\s+)?["']?([A-Za-z][A-Za-z0-9_]{2,60})["']?\s*[=:]\s*["']?([A-Za-z0-9+/=_\-!@#$%^&*.~]{12,200})["']?\s*,?\s*(?:#.*)?$"#)
        .ok()
});

/// True for files in which values stand beside their names.
pub(crate) fn settings(path: &str) -> bool {
    let name = base_of(path).to_ascii_lowercase();
    name.starts_with(".env")
        || ["yaml", "yml", "env", "properties", "ini", "conf", "toml"].iter().any(|tail| name.ends_with(tail))
        || name.contains("dockerfile")
}

/// Finds secrets in a text.
pub(crate) fn scan(path: &str, text: &str) -> Vec<Leak> {
    let name = base_of(path).to_ascii_lowercase();
    if name.ends_with(".lock") || name.ends_with("-lock.json") || name == "pnpm-lock.yaml" || text.len() > 512 * 1024 {
        return Vec::new();
    }
    // An address is a hint only with something before its host.
    let tells = |part: &str| HINT.hits(part).any(|(word, end)| word != PROVIDERS || part.get(end..).is_some_and(at_host));
    if !tells(text) {
        return Vec::new();
    }
    let settings = settings(path);
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.len() > 4000 || !tells(line) {
            continue;
        }
        let begun = HINT.hits(line).any(|(word, _)| word < PROVIDERS);
        let kind = match begun.then(|| provider(line)).flatten() {
            Some(kind) => Some((kind, true)),
            None => url_with_password(line).or_else(|| if settings { encoded(line).or_else(|| assigned(line)) } else { None }),
        };
        if let Some((kind, certain)) = kind {
            let line = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
            found.push(Leak { file: path.to_owned(), line, kind, certain });
            if found.len() >= 20 {
                break;
            }
        }
    }
    found
}

/// `user:password@` follows, within what a line holds.
fn at_host(rest: &str) -> bool {
    let end = rest.find(|letter: char| letter.is_whitespace() || letter == '/').unwrap_or(rest.len()).min(400);
    let Some(head) = rest.get(..end) else { return false };
    head.find('@').is_some_and(|at| head.get(..at).is_some_and(|before| before.contains(':')))
}

fn url_with_password(line: &str) -> Option<(&'static str, bool)> {
    if !line.contains("://") || !line.contains('@') {
        return None;
    }
    let hit = CREDENTIALS.as_ref()?.captures(line)?;
    let (user, password, host) = (hit.get(1)?.as_str(), hit.get(2)?.as_str(), hit.get(3)?.as_str());
    // Passwords of development databases beside the code are no secret.
    let local = !host.contains('.') || host.starts_with("localhost") || host.starts_with("127.") || host.starts_with("192.168.") || host.contains("example");
    // `user:newpass@host.provider.tech` shows the form of an address.
    let form =
        matches!(user, "user" | "username" | "USER" | "USERNAME") && ["host.", "hostname.", "server.", "db.host"].iter().any(|head| host.starts_with(head));
    let local = local || form;
    if local || password.starts_with('$') || placeholder(password) || password.eq_ignore_ascii_case(user) || entropy(password) < 2.5 {
        return None;
    }
    Some(("password in a URL", true))
}

/// True for an address with a password in it that is not written as a placeholder.
pub(crate) fn with_password(url: &str) -> bool {
    let hit = CREDENTIALS.as_ref().and_then(|shape| shape.captures(url));
    hit.and_then(|hit| hit.get(2)).is_some_and(|password| !password.as_str().contains("$(") && !password.as_str().contains("${"))
}

/// A value in base64, as Secrets hold it, that decodes to a provider's shape; the text is dropped here.
fn encoded(line: &str) -> Option<(&'static str, bool)> {
    use base64::Engine as _;
    let value = line.split_once(':').map_or(line, |(_, value)| value);
    let value = value.trim().trim_matches(['"', '\'']);
    if value.len() < 24 || !value.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/' | '=')) {
        return None;
    }
    let bytes = base64::engine::general_purpose::STANDARD.decode(value).ok()?;
    let text = std::str::from_utf8(&bytes).ok()?;
    provider(text).map(|kind| (kind, true)).or_else(|| url_with_password(text))
}

fn assigned(line: &str) -> Option<(&'static str, bool)> {
    let name = line.trim_start().trim_start_matches("export ").trim_start_matches("- ").trim_start().trim_start_matches(['"', '\'']);
    let name = name.get(..name.find(|letter: char| !(letter.is_ascii_alphanumeric() || letter == '_')).unwrap_or(name.len()))?;
    if !crate::secret::secret_name(&snake(name)) {
        return None;
    }
    let hit = ASSIGNED.as_ref()?.captures(line)?;
    let (name, value) = (hit.get(1)?.as_str(), hit.get(2)?.as_str());
    if !crate::secret::secret_name(&snake(name)) || placeholder(value) || value.contains("://") {
        return None;
    }
    let mixed = value.chars().any(|letter| letter.is_ascii_digit()) && value.chars().any(|letter| letter.is_ascii_alphabetic());
    (value.len() >= 16 && mixed && entropy(value) > 3.4).then_some(("secret value", false))
}

/// `jwtSecret` as `jwt_secret`.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut last_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && last_lower {
            out.push('_');
        }
        last_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// What people write where a value should go.
pub(crate) fn placeholder(value: &str) -> bool {
    const WORDS: &[&str] = &[
        "your",
        "example",
        "change",
        "placeholder",
        "xxx",
        "***",
        "...",
        "<",
        "${",
        "$(",
        "{{",
        "replace",
        "insert",
        "todo",
        "dummy",
        "sample",
        "fake",
        "redacted",
        "here",
        "secret-key",
        "secretkey",
        "-test-",
        "development",
        "local",
        "default",
        "123456",
        "abcdef",
        "password",
        "process.env",
        "os.",
        "secretkeyref",
        "valuefrom",
        "generate",
        "minimum",
        "min-",
        "min_",
        "at-least",
        "supersecret",
        "super-secret",
        "my-secret",
        "mysecret",
        "openssl",
    ];
    let lower = value.to_ascii_lowercase();
    lower.starts_with("test") || WORDS.iter().any(|word| lower.contains(word)) || value.chars().collect::<std::collections::BTreeSet<_>>().len() < 6
}

/// Bits per character.
fn entropy(text: &str) -> f64 {
    let mut counts = std::collections::BTreeMap::new();
    for letter in text.chars() {
        *counts.entry(letter).or_insert(0u32) += 1;
    }
    let all = f64::from(u32::try_from(text.chars().count()).unwrap_or(u32::MAX));
    counts.values().map(|count| f64::from(*count) / all).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, text: &str, expect: bool) {
        assert_eq!(!scan(path, text).is_empty(), expect, "{text}");
    }

    #[test]
    fn values_of_a_secrets_shape_are_found() {
        check("STATUS.md", "the key is AKIAQ3EGRZ7TLWPV5XNM, do not lose it", true);
        check(".env", "JWT_SECRET=9f8Ze2Kq71LmVx0aPw4RtYb6", true);
        check("values.yaml", "  jwtSecret: \"9f8Ze2Kq71LmVx0aPw4RtYb6\"", true);
        check("secret.yaml", "  key: QUtJQVEzRUdSWjdUTFdQVjVYTk0=", true);
        check("deploy.pem", "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA", true);
        check("notes.md", "postgresql://user:Zk39vQ8xLm@ep-cool-1.eu-central-1.aws.neon.tech/db", true);
        check("notes.md", "postgresql://neondb_owner:Zk39vQ8xLm@ep-cool-1.eu-central-1.aws.neon.tech/db", true);
    }

    #[test]
    fn placeholders_and_development_values_are_not() {
        check(".env.example", "JWT_SECRET=change-me-to-at-least-32-characters", false);
        check(".env.example", "OPENAI_API_KEY=sk-your-key-goes-here-xxxxxxxxxxxxxxxxxxxxxxxx", false);
        check("compose.yaml", "DATABASE_URL: postgresql://todo:todo@db:5432/todo", false);
        check("README.md", "postgresql://user:password@host:5432/name", false);
        check("RUNBOOK.md", "postgresql://user:n3wpa55w0rd@host.neon.tech/dbname", false);
        check("values.yaml", "jwtAlgorithm: HS256", false);
        check("main.py", "token = tokenizer.next_token_of_stream", false);
        check("run.sh", "--set url=\"postgresql://$USER:$DB_PASS1@db.prod.example.net/x\"", false);
        check("log.go", "regexp.MustCompile(`(-----BEGIN RSA PRIVATE KEY-----)`),", false);
    }
}
