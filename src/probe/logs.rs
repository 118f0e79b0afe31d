//! Errors in a running program's log, by the shapes that runtimes and loggers give them; pure text.

use crate::evidence::{Evidence, Source};
use regex::Regex;
use std::sync::LazyLock;

/// How much an error line weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// A fault of the program: an uncaught error, a crash, a fatal line.
    Critical,
    /// Said at the level of errors, as programs also do about bad requests and passing troubles.
    Noise,
}

/// An error in a log, with how often its like was said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogError {
    pub weight: Weight,
    pub times: u32,
    /// The first line of its kind, redacted.
    pub evidence: Evidence,
}

/// Errors of different kinds that are told apart before the rest is only counted.
const KINDS: usize = 20;

/// The errors of a log, the critical ones first; lines that differ in numbers alone are one. `place` says whose log it is.
pub fn errors_in(place: &str, log: &str) -> Vec<LogError> {
    let mut errors: Vec<(String, LogError)> = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let line = line.trim_end();
        let (weight, shown) = if line.contains("Traceback (most recent call last)") {
            // The last line of a traceback says what it was.
            let mut last = line;
            while let Some(next) = lines.next_if(|next| next.starts_with([' ', '\t']) || next.is_empty()) {
                last = if next.is_empty() { last } else { next };
            }
            let named = lines.next_if(|next| next.contains("Error") || next.contains("Exception"));
            (Weight::Critical, named.unwrap_or(last))
        } else {
            match weigh(line) {
                Some(weight) => (weight, line),
                None => continue,
            }
        };
        let kind: String = shown.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if let Some((_, same)) = errors.iter_mut().find(|(other, _)| *other == kind) {
            same.times = same.times.saturating_add(1);
        } else if errors.len() < KINDS {
            errors.push((kind, LogError { weight, times: 1, evidence: Evidence::new(Source::Log, place, shown.trim()) }));
        }
    }
    let mut errors: Vec<LogError> = errors.into_iter().map(|(_, error)| error).collect();
    errors.sort_by_key(|error| error.weight == Weight::Noise);
    errors
}

fn weigh(line: &str) -> Option<Weight> {
    static CRITICAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(
            r#"^(?:panic: |fatal error: |thread '.*' panicked|thread .* panicked at|Unhandled (?:promise rejection|rejection|exception)|Uncaught |Exception in thread |Segmentation fault)|(?:^|[\s\[|"])(?:FATAL|CRITICAL|PANIC|EMERG)(?:[\s\]:|"]|$)|UnhandledPromiseRejection|"level":\s*"?(?:fatal|critical|panic|60)\b|level=(?:fatal|panic|critical)\b|\bOutOfMemoryError\b|JavaScript heap out of memory"#,
        )
        .ok()
    });
    static NOISE: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?:^|[\s\[|"])(?:ERROR|Error|ERR|SEVERE)(?:[\s\]:|"]|$)|"level":\s*"?(?:error|50)\b|level=error\b|^[\w.]+(?:Error|Exception): |HTTP/1\.[01]" 5\d\d"#).ok()
    });
    // Postgres tells of every refused connection of its first seconds; that is how it starts.
    const STARTS: [&str; 2] = ["the database system is starting up", "the database system is shutting down"];
    if STARTS.iter().any(|start| line.contains(start)) {
        return Some(Weight::Noise);
    }
    let fits = |regex: &Option<Regex>| regex.as_ref().is_some_and(|regex| regex.is_match(line));
    if fits(&CRITICAL) {
        return Some(Weight::Critical);
    }
    fits(&NOISE).then_some(Weight::Noise)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &str, expect: &[(Weight, u32, &str)]) {
        let errors = errors_in("log of api", log);
        let seen: Vec<_> = errors.iter().map(|error| (error.weight, error.times, error.evidence.text.as_str())).collect();
        assert_eq!(seen, expect, "{log}");
    }

    #[test]
    fn uncaught_errors_are_critical_and_named_by_their_last_line() {
        use Weight::Critical;
        check(
            "INFO ok\nTraceback (most recent call last):\n  File \"a.py\", line 3, in x\n    y()\nValueError: bad 7\nINFO on\n",
            &[(Critical, 1, "ValueError: bad 7")],
        );
        check("panic: runtime error: index out of range", &[(Critical, 1, "panic: runtime error: index out of range")]);
        check("thread 'main' panicked at src/main.rs:3:5:", &[(Critical, 1, "thread 'main' panicked at src/main.rs:3:5:")]);
        check("2026-01-01 10:00:00 UTC [1] FATAL:  could not open file", &[(Critical, 1, "2026-01-01 10:00:00 UTC [1] FATAL:  could not open file")]);
        check("{\"level\":60,\"msg\":\"down\"}", &[(Critical, 1, "{\"level\":60,\"msg\":\"down\"}")]);
    }

    #[test]
    fn error_lines_are_counted_as_noise_and_ordinary_lines_are_not() {
        use Weight::Noise;
        check("ERROR: request 1 failed\nERROR: request 2 failed\n", &[(Noise, 2, "ERROR: request 1 failed")]);
        check("INFO:  10.0.0.1 - \"GET /health HTTP/1.1\" 200 OK\nINFO 0 errors\nerrors: none", &[]);
        check(
            "INFO:  10.0.0.1 - \"GET /x HTTP/1.1\" 500 Internal Server Error",
            &[(Noise, 1, "INFO:  10.0.0.1 - \"GET /x HTTP/1.1\" 500 Internal Server Error")],
        );
        check("FATAL:  the database system is starting up", &[(Noise, 1, "FATAL:  the database system is starting up")]);
    }

    #[test]
    fn the_critical_come_first_and_secrets_stay_inside() {
        let errors = errors_in("log", "ERROR: x\nFATAL: postgresql://todo:hunter2horse@db/x\n");
        assert_eq!(errors.iter().map(|error| error.weight).collect::<Vec<_>>(), [Weight::Critical, Weight::Noise]);
        assert!(!errors[0].evidence.text.contains("hunter2horse"));
    }
}
