//! What a program's log says about why it ended: known shapes of errors, the last one first; pure text, nothing is concluded about the cluster.

use regex::{Captures, Regex};
use std::sync::LazyLock;

/// What goes wrong with a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The name has no address.
    Unknown,
    /// The name service gave no answer.
    NoAnswer,
    /// Nobody listens, or the connection was turned away.
    Refused,
}

/// A known shape of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// A module or library that the image lacks.
    Import {
        what: String,
    },
    /// Another service does not accept the credentials.
    Credentials,
    /// Another service cannot be reached.
    Dependency {
        host: Option<String>,
        port: Option<u16>,
        trouble: Trouble,
    },
    /// The Kubernetes API forbids the pod's own account something.
    Forbidden {
        cluster_scope: bool,
    },
    /// The database's schema does not fit.
    Migration,
    ReadOnly {
        path: Option<String>,
    },
    Permission {
        path: Option<String>,
    },
    /// Settings that are missing or wrong, by variable where the log names one.
    Configuration {
        variables: Vec<String>,
    },
    /// The file is no program for this processor, or a script without a first line.
    ExecFormat {
        file: Option<String>,
    },
}

/// A signature and the line that shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    pub signature: Signature,
    pub line: String,
}

type Make = fn(&Captures<'_>) -> Option<Signature>;

/// How many lines from the end are read.
const LINES: usize = 250;

/// The last known error of a log. An error of a shape that is not known, after it, hides it: then the earlier one was survived.
pub fn read(log: &str) -> Option<Reading> {
    let lines: Vec<&str> = log.lines().rev().take(LINES).collect();
    let mut survived = false;
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim();
        if line.contains("direct cause of the following exception") || line.contains("another exception occurred") {
            // The error above this line led to the one below it.
            survived = false;
            continue;
        }
        if let Some(signature) = shape(line, lines.get(index + 1).map_or("", |above| above.trim())) {
            return (!survived).then(|| Reading { signature, line: line.to_owned() });
        }
        survived = survived || headline(line);
    }
    None
}

/// The signature of one line; `above` is the line before it.
pub fn shape(line: &str, above: &str) -> Option<Signature> {
    // Deprecations and retries that are announced as such are no errors.
    if line.contains("DeprecationWarning") || line.contains("UserWarning") {
        return None;
    }
    if let Some(signature) = field_required(line, above) {
        return Some(signature);
    }
    SHAPES.iter().find_map(|(regex, make)| regex.captures(line).and_then(|found| make(&found)))
}

/// An unknown error's headline, apart from those that only echo another end.
fn headline(line: &str) -> bool {
    static HEADLINE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^[\s|+-]*(?:Uncaught |Unhandled |Caused by: )?(?:[A-Za-z_][\w.]*(?:Error|Exception)|panic|fatal error)(?:\s*\[[A-Z_]+\])?:\s").ok()
    });
    const ECHOES: [&str; 6] = ["Exception ignored", "Event loop is closed", "KeyboardInterrupt", "SystemExit", "CancelledError", "HaltServer"];
    HEADLINE.as_ref().is_some_and(|headline| headline.is_match(line)) && !ECHOES.iter().any(|echo| line.contains(echo))
}

/// pydantic: the field's name stands on the line above.
fn field_required(line: &str, above: &str) -> Option<Signature> {
    let named = above.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') && !above.is_empty();
    (named && (line.starts_with("Field required [type=missing") || line.starts_with("field required (type=value_error.missing")))
        .then(|| Signature::Configuration { variables: vec![above.to_ascii_uppercase()] })
}

fn group(found: &Captures<'_>, name: &str) -> Option<String> {
    found.name(name).map(|text| text.as_str().trim_matches(|edge| "'\"`".contains(edge)).to_owned()).filter(|text| !text.is_empty())
}

fn reach(found: &Captures<'_>, trouble: Trouble) -> Option<Signature> {
    let host = group(found, "host").map(|host| host.trim_end_matches('.').to_owned());
    Some(Signature::Dependency { host, port: group(found, "port").and_then(|port| port.parse().ok()), trouble })
}

fn path(found: &Captures<'_>) -> Option<String> {
    group(found, "path").or_else(|| {
        static QUOTED: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"['"`]?(?P<path>/[^\s'"`,:;)]+)"#).ok());
        let line = found.get(0)?.as_str();
        QUOTED.as_ref()?.captures_iter(line).last().and_then(|found| group(&found, "path"))
    })
}

/// Every name of a variable in the text.
fn variables(text: &str) -> Vec<String> {
    static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[A-Z]{3,}[A-Z0-9]*\b").ok());
    const WORDS: [&str; 14] = ["ERROR", "FATAL", "WARN", "WARNING", "INFO", "CRITICAL", "ENV", "HTTP", "URL", "API", "JSON", "YAML", "DEBUG", "NOT"];
    let mut names: Vec<String> = Vec::new();
    for found in NAME.as_ref().into_iter().flat_map(|name| name.find_iter(text)) {
        let name = found.as_str().to_owned();
        if !WORDS.contains(&name.as_str()) && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn configured(found: &Captures<'_>) -> Option<Signature> {
    let variables = variables(group(found, "names").or_else(|| found.get(0).map(|all| all.as_str().to_owned()))?.as_str());
    (!variables.is_empty()).then_some(Signature::Configuration { variables })
}

/// Pattern and meaning, the more specific first. Patterns are of libraries and runtimes, never of one application.
const PATTERNS: &[(&str, Make)] = &[
    // ---- another service does not accept us (before connection troubles: these lines name hosts too)
    (
        r"(?i)password authentication failed|access denied for user|authentication failed|\bWRONGPASS\b|\bNOAUTH\b|no password supplied|invalid (?:user ?name|username) or password|\b28P01\b|\bP1000\b|SASL: \S*password must be",
        |_| Some(Signature::Credentials),
    ),
    (r#"(?i)(?:role|database|user) "[^"]+" does not exist|permission denied for (?:table|schema|relation|database|sequence|view)|unknown database '"#, |_| {
        Some(Signature::Credentials)
    }),
    // ---- names that have no address
    (r#"could not translate host name "(?P<host>[^"]+)" to address: (?:Temporary failure in name resolution|Try again)"#, |found| {
        reach(found, Trouble::NoAnswer)
    }),
    (r#"could not translate host name "(?P<host>[^"]+)""#, |found| reach(found, Trouble::Unknown)),
    (r#"failed to resolve host ['"](?P<host>[^'"]+)['"]: .*(?:Temporary failure|Try again|Errno -3)"#, |found| reach(found, Trouble::NoAnswer)),
    (r#"(?i)failed to resolve (?:host |')?['"]?(?P<host>[A-Za-z0-9][\w.-]*)['"]?.*(?:temporary failure|try again|errno -3)"#, |found| {
        reach(found, Trouble::NoAnswer)
    }),
    (r#"(?i)failed to resolve (?:host |')?['"]?(?P<host>[A-Za-z0-9][\w.-]*)['"]?"#, |found| reach(found, Trouble::Unknown)),
    (r"getaddrinfo EAI_AGAIN (?P<host>[\w.-]+)(?::(?P<port>\d+))?", |found| reach(found, Trouble::NoAnswer)),
    (r"(?:getaddrinfo )?ENOTFOUND (?P<host>[\w.-]+)(?::(?P<port>\d+))?", |found| reach(found, Trouble::Unknown)),
    (r"lookup (?P<host>[\w.-]+)(?: on \S+)?: no such host", |found| reach(found, Trouble::Unknown)),
    (r"lookup (?P<host>[\w.-]+)(?: on \S+)?: (?:server misbehaving|read udp|i/o timeout|dial udp)", |found| reach(found, Trouble::NoAnswer)),
    (r"UnknownHostException: (?P<host>[\w.-]+): (?:Temporary failure|Try again)", |found| reach(found, Trouble::NoAnswer)),
    (r"UnknownHostException: (?P<host>[\w.-]+)", |found| reach(found, Trouble::Unknown)),
    (r"Unknown MySQL server host '(?P<host>[^']+)'", |found| reach(found, Trouble::Unknown)),
    (r"Error -3 connecting to (?P<host>[\w.-]+):(?P<port>\d+)", |found| reach(found, Trouble::NoAnswer)),
    (r"Error -?\d+ connecting to (?P<host>[\w.-]+):(?P<port>\d+)\. (?:Name or service|No address|-2)", |found| reach(found, Trouble::Unknown)),
    (r"(?P<host>[A-Za-z][\w.-]*):(?P<port>\d+): \[Errno -3\]", |found| reach(found, Trouble::NoAnswer)),
    (r"(?P<host>[A-Za-z][\w.-]*):(?P<port>\d+): \[Errno -[25]\]", |found| reach(found, Trouble::Unknown)),
    (r"host='(?P<host>[^']+)', port=(?P<port>\d+)\).*(?:Errno -3|Temporary failure)", |found| reach(found, Trouble::NoAnswer)),
    (r"host='(?P<host>[^']+)', port=(?P<port>\d+)\).*(?:Errno -[25]|Name or service not known|NameResolutionError)", |found| reach(found, Trouble::Unknown)),
    // ---- nobody listens
    (r#"connection to server at "(?P<host>[^"]+)"(?: \([^)]*\))?, port (?P<port>\d+) failed: (?:Connection refused|timeout|Connection timed out)"#, |found| {
        reach(found, Trouble::Refused)
    }),
    (r#"server running on (?:that )?host "(?P<host>[^"]+)".* port (?P<port>\d+)"#, |found| reach(found, Trouble::Refused)),
    (r"ECONNREFUSED (?P<host>[\w.:-]+?):(?P<port>\d+)", |found| reach(found, Trouble::Refused)),
    (r"dial tcp (?P<host>[\w.:\[\]-]+?):(?P<port>\d+): (?:connect: )?connection refused", |found| reach(found, Trouble::Refused)),
    (r"Connection to (?P<host>[\w.-]+):(?P<port>\d+) refused", |found| reach(found, Trouble::Refused)),
    (r"Can't connect to MySQL server on '(?P<host>[^':]+)(?::(?P<port>\d+))?'", |found| reach(found, Trouble::Refused)),
    (r"Can't reach database server at `?(?P<host>[\w.-]+)`?:`?(?P<port>\d+)`?", |found| reach(found, Trouble::Refused)),
    (r"Error 111 connecting to (?P<host>[\w.-]+):(?P<port>\d+)", |found| reach(found, Trouble::Refused)),
    (r"host='(?P<host>[^']+)', port=(?P<port>\d+)\).*(?:Connection refused|NewConnectionError|timed out)", |found| reach(found, Trouble::Refused)),
    (r"Connect call failed \('(?P<host>[^']+)', (?P<port>\d+)", |found| reach(found, Trouble::Refused)),
    (r"(?P<host>[A-Za-z0-9][\w.-]*):(?P<port>\d+): \[Errno 111\]", |found| reach(found, Trouble::Refused)),
    (r"(?P<host>[A-Za-z][\w.-]*|\d+\.\d+\.\d+\.\d+):(?P<port>\d+)[:,]? (?i:connection refused|\(?ECONNREFUSED)", |found| reach(found, Trouble::Refused)),
    // ---- the same without a name
    (r"(?i)temporary failure in name resolution|\bEAI_AGAIN\b|\[Errno -3\]", |found| reach(found, Trouble::NoAnswer)),
    (
        r"(?i)name or service not known|nodename nor servname|no address associated with hostname|no such host is known|failed to lookup address information",
        |found| reach(found, Trouble::Unknown),
    ),
    (r"(?i)\bECONNREFUSED\b|connection refused|could not connect to server|\[Errno 111\]|all connection attempts failed", |found| {
        reach(found, Trouble::Refused)
    }),
    // ---- the image lacks something
    (r#"^[\s|+-]*ModuleNotFoundError: No module named (?P<what>\S+)"#, |found| Some(Signature::Import { what: group(found, "what")? })),
    (r#"^[\s|+-]*ImportError: (?P<what>\S.*)"#, |found| Some(Signature::Import { what: group(found, "what")? })),
    (r#"Error(?: \[[A-Z_]+\])?: Cannot find (?:module|package) (?P<what>'[^']+'|"[^"]+")"#, |found| Some(Signature::Import { what: group(found, "what")? })),
    (r"error while loading shared libraries: (?P<what>[^:\s]+)", |found| Some(Signature::Import { what: group(found, "what")? })),
    (r"Error loading shared library (?P<what>[^:\s]+)", |found| Some(Signature::Import { what: group(found, "what")? })),
    (r"(?:ClassNotFoundException|NoClassDefFoundError): (?P<what>[\w./$]+)", |found| Some(Signature::Import { what: group(found, "what")? })),
    (r"Could not find or load main class (?P<what>\S+)", |found| Some(Signature::Import { what: group(found, "what")? })),
    (r"cannot load such file -- (?P<what>\S+)", |found| Some(Signature::Import { what: group(found, "what")? })),
    (r"(?:version `(?P<what>GLIBC\S*_[\d.]+)' not found)", |found| Some(Signature::Import { what: group(found, "what")? })),
    // ---- not a program for this machine
    (r"(?i)exec (?P<file>/\S+?): exec format error|(?P<other>/\S+): .*exec format error|exec format error", |found| {
        Some(Signature::ExecFormat { file: group(found, "file").or_else(|| group(found, "other")) })
    }),
    // ---- rights
    (r#"is forbidden: User \\?"system:serviceaccount:.*"#, |found| {
        Some(Signature::Forbidden { cluster_scope: found.get(0).is_some_and(|all| all.as_str().contains("at the cluster scope")) })
    }),
    (r"(?i).*(?:read-only file system|\bEROFS\b).*", |found| Some(Signature::ReadOnly { path: path(found) })),
    (r"(?i).*(?:permission denied|\bEACCES\b|\bEPERM\b|operation not permitted).*", |found| Some(Signature::Permission { path: path(found) })),
    // ---- the schema
    (
        r#"(?i)relation "[^"]+" (?:already exists|does not exist)|\b(?:Duplicate|Undefined)(?:Table|Column)\b|column "?[^"\s]+"? (?:of relation \S+ )?(?:already exists|does not exist)|no such (?:table|column)|table '[^']+' (?:doesn't exist|already exists)|Can't locate revision|Multiple head revisions|\bP30\d\d\b|Dirty database version|Migrations have failed validation"#,
        |_| Some(Signature::Migration),
    ),
    // ---- settings
    (r"^[\s|+-]*KeyError: '(?P<names>[A-Z][A-Z0-9_]+)'", configured),
    (
        r"(?i:environment variables? not found|missing (?:required )?(?:environment|env)[ _-]?var(?:iable)?s?|required (?:environment|env)[ _-]?var(?:iable)?s?[^:]*(?:missing|not set)|invalid environment variables?)[^A-Z]*(?P<names>[A-Z].*)?",
        configured,
    ),
    (
        r#"(?:environment variable|env var)s?\s*:?\s*["'`]?(?P<names>[A-Z][A-Z0-9_]+)["'`]?\s+(?:is |was |has |must |not |required|undefined|missing|unset)"#,
        configured,
    ),
    (r"(?:setting|set|specify|define|provide) (?:the |a |an )?(?P<names>[A-Z][A-Z0-9_]*_[A-Z0-9_]+)(?: environment variable| env| in | to |\b)", configured),
    (
        r#"(?P<names>\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b)["'`]?\s*(?:environment variable |env var )?(?:is|was|are|must be|has to be|should be)\s+(?:not set|not defined|required|missing|undefined|unset|empty|set|defined|provided|configured|not provided|not configured)"#,
        configured,
    ),
    (r"(?P<names>\b[A-Z][A-Z0-9_]{2,}) not found\. Declare it as envvar", configured),
    (r"required key (?P<names>[A-Z][A-Z0-9_]+) missing value", configured),
    (r"Could not resolve placeholder '(?P<names>[A-Z][A-Z0-9_]+)'", configured),
    (r"(?i:missing|required|undefined|unset)[^.]{0,40}(?P<names>\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b)", configured),
];

static SHAPES: LazyLock<Vec<(Regex, Make)>> =
    LazyLock::new(|| PATTERNS.iter().filter_map(|(pattern, make)| Some((Regex::new(pattern).ok()?, *make))).collect());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_a_regular_expression() {
        for (pattern, _) in PATTERNS {
            Regex::new(pattern).unwrap();
        }
    }

    fn dependency(host: &str, port: Option<u16>, trouble: Trouble) -> Option<Signature> {
        Some(Signature::Dependency { host: (!host.is_empty()).then(|| host.to_owned()), port, trouble })
    }

    fn check(log: &str, expect: Option<Signature>) {
        assert_eq!(read(log).map(|reading| reading.signature), expect, "{log}");
    }

    #[test]
    fn hosts_that_cannot_be_reached_are_named() {
        use Trouble::{NoAnswer, Refused, Unknown};
        check(
            "psycopg2.OperationalError: could not translate host name \"db-nope\" to address: Name or service not known",
            dependency("db-nope", None, Unknown),
        );
        check(
            "sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) could not translate host name \"db\" to address: Temporary failure in name resolution",
            dependency("db", None, NoAnswer),
        );
        check("psycopg.OperationalError: failed to resolve host 'db-nope': [Errno -2] Name or service not known", dependency("db-nope", None, Unknown));
        check("psycopg.OperationalError: [Errno -3] Temporary failure in name resolution", dependency("", None, NoAnswer));
        check("Error: getaddrinfo ENOTFOUND api.nope", dependency("api.nope", None, Unknown));
        check("Error: getaddrinfo EAI_AGAIN backend", dependency("backend", None, NoAnswer));
        check("Error: connect ECONNREFUSED 10.96.0.1:5432", dependency("10.96.0.1", Some(5432), Refused));
        check("dial tcp: lookup redis on 10.96.0.10:53: no such host", dependency("redis", None, Unknown));
        check("panic: dial tcp 10.1.2.3:6379: connect: connection refused", dependency("10.1.2.3", Some(6379), Refused));
        check("connection to server at \"postgres\" (10.96.3.4), port 5432 failed: Connection refused", dependency("postgres", Some(5432), Refused));
        check("java.net.UnknownHostException: kafka", dependency("kafka", None, Unknown));
        check("redis.exceptions.ConnectionError: Error -2 connecting to cache:6379. Name or service not known.", dependency("cache", Some(6379), Unknown));
        check("pymongo.errors.ServerSelectionTimeoutError: mongo:27017: [Errno -2] Name or service not known", dependency("mongo", Some(27017), Unknown));
        check(
            "requests.exceptions.ConnectionError: HTTPConnectionPool(host='api', port=8000): Max retries exceeded with url: / (Caused by NameResolutionError(\"...: Failed to resolve 'api' ([Errno -2] Name or service not known)\"))",
            dependency("api", None, Unknown),
        );
        check("httpx.ConnectError: [Errno -2] Name or service not known", dependency("", None, Unknown));
        check("PrismaClientInitializationError: Can't reach database server at `db`:`5432`", dependency("db", Some(5432), Refused));
        check("could not connect to server at db:5432: Connection refused", dependency("db", Some(5432), Refused));
        check("12:30:05: Connection refused by the queue", dependency("", None, Refused));
        check("ConnectionRefusedError: [Errno 111] Connect call failed ('127.0.0.1', 5432)", dependency("127.0.0.1", Some(5432), Refused));
    }

    #[test]
    fn the_last_error_counts_and_the_chain_above_it() {
        check("ModuleNotFoundError: No module named 'uvloop'\nfalling back\nValueError: bad port", None);
        check(
            "Traceback\nModuleNotFoundError: No module named 'psycopg2'\n\nThe above exception was the direct cause of the following exception:\n\nTraceback\nImproperlyConfigured: Error loading psycopg2",
            Some(Signature::Import { what: "psycopg2".into() }),
        );
        check(
            "ConnectionRefusedError: [Errno 111] Connection refused\nretrying\nTraceback\nKeyError: 'JWT_SECRET'",
            Some(Signature::Configuration { variables: vec!["JWT_SECRET".into()] }),
        );
        check(
            "ModuleNotFoundError: No module named 'fastapi'\nException ignored in: <function x>\nRuntimeError: Event loop is closed",
            Some(Signature::Import { what: "fastapi".into() }),
        );
    }

    #[test]
    fn missing_modules_and_libraries_are_named() {
        for (log, what) in [
            ("ModuleNotFoundError: No module named 'fastapi'", "fastapi"),
            ("Error: Cannot find module 'express'\nRequire stack:\n- /app/server.js", "express"),
            ("Error [ERR_MODULE_NOT_FOUND]: Cannot find package 'zod' imported from /app/a.mjs", "zod"),
            ("/app/server: error while loading shared libraries: libpq.so.5: cannot open shared object file", "libpq.so.5"),
            ("Caused by: java.lang.ClassNotFoundException: org.postgresql.Driver", "org.postgresql.Driver"),
        ] {
            check(log, Some(Signature::Import { what: what.into() }));
        }
        check("INFO module fastapi loaded", None);
    }

    #[test]
    fn missing_settings_are_named_by_their_variable() {
        for (log, variable) in [
            ("KeyError: 'DATABASE_URL'", "DATABASE_URL"),
            (
                "pydantic_core._pydantic_core.ValidationError: 1 validation error for Settings\nopenai_api_key\n  Field required [type=missing, input_value={}, input_type=dict]\n    For further information visit https://errors.pydantic.dev",
                "OPENAI_API_KEY",
            ),
            (
                "openai.OpenAIError: The api_key client option must be set either by passing api_key to the client or by setting the OPENAI_API_KEY environment variable",
                "OPENAI_API_KEY",
            ),
            ("error: Environment variable not found: DATABASE_URL.", "DATABASE_URL"),
            ("Error: Missing required environment variable: JWT_SECRET", "JWT_SECRET"),
            ("Error: BETTER_AUTH_SECRET is not set", "BETTER_AUTH_SECRET"),
            (
                "Error: Database is uninitialized and superuser password is not specified.\n       You must specify POSTGRES_PASSWORD to a non-empty value",
                "POSTGRES_PASSWORD",
            ),
            ("decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar or define a default value.", "SECRET_KEY"),
            ("RuntimeError: environment variable DB_HOST must be set", "DB_HOST"),
        ] {
            check(log, Some(Signature::Configuration { variables: vec![variable.into()] }));
        }
        check("KeyError: 'title'", None);
        check("INFO using DATABASE_URL from the environment", None);
    }

    #[test]
    fn rights_schema_and_credentials_are_told_apart() {
        check("PermissionError: [Errno 13] Permission denied: '/data/app.db'", Some(Signature::Permission { path: Some("/data/app.db".into()) }));
        check("Error: EACCES: permission denied, mkdir '/app/.next/cache'", Some(Signature::Permission { path: Some("/app/.next/cache".into()) }));
        check("OSError: [Errno 30] Read-only file system: '/app/tmp'", Some(Signature::ReadOnly { path: Some("/app/tmp".into()) }));
        check("psycopg.errors.InsufficientPrivilege: permission denied for table users", Some(Signature::Credentials));
        check("FATAL:  password authentication failed for user \"todo\"", Some(Signature::Credentials));
        check("psycopg2.errors.UndefinedTable: relation \"users\" does not exist", Some(Signature::Migration));
        check(
            "pods is forbidden: User \"system:serviceaccount:todo:default\" cannot list resource \"pods\"",
            Some(Signature::Forbidden { cluster_scope: false }),
        );
        check("exec /app/start.sh: exec format error", Some(Signature::ExecFormat { file: Some("/app/start.sh".into()) }));
        check("GET /health 200 OK", None);
    }
}
