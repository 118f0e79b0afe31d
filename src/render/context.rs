//! Which files a build may see: docker's ignore rules over a folder; links are listed as themselves and never followed.

use crate::failure::{Code, Failure};
use regex::Regex;
use std::path::Path;

/// One pattern of a .dockerignore.
#[derive(Clone, Debug)]
struct Rule {
    shape: Regex,
    /// The folder before the first wildcard: what a negated rule may reach into.
    stem: String,
    negated: bool,
}

/// The rules of a .dockerignore: the last one that fits a path, or a folder above it, decides.
#[derive(Clone, Debug, Default)]
pub struct IgnoreRules(Vec<Rule>);

/// Reads the rules of a .dockerignore; a pattern that docker would refuse is a failure with its line.
pub fn ignore_rules(text: &str) -> Result<IgnoreRules, Failure> {
    let mut rules = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        let line = line.trim();
        let (negated, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let pattern = clean(pattern);
        if pattern.is_empty() || pattern == "." {
            continue;
        }
        let refuse = || {
            Failure::new(Code::BuildFailed, format!("read .dockerignore line {}: {:?} is no pattern", at + 1, crate::secret::plain(line, 80)))
                .help("mend that line, then call again")
        };
        let shape = shape(&pattern).and_then(|shape| Regex::new(&shape).ok()).ok_or_else(refuse)?;
        let literal = pattern.split(['*', '?', '[', '\\']).next().unwrap_or_default();
        let stem = if literal.len() == pattern.len() { literal } else { literal.rsplit_once('/').map_or("", |(stem, _)| stem) };
        rules.push(Rule { shape, stem: stem.to_owned(), negated });
    }
    Ok(IgnoreRules(rules))
}

impl IgnoreRules {
    /// True where the path (relative, with `/`) stays out of the build.
    pub fn ignores(&self, path: &str) -> bool {
        let above: Vec<&str> = path.match_indices('/').filter_map(|(at, _)| path.get(..at)).collect();
        let fits = |rule: &Rule| rule.shape.is_match(path) || above.iter().any(|folder| rule.shape.is_match(folder));
        self.0.iter().rev().find(|rule| fits(rule)).is_some_and(|rule| !rule.negated)
    }

    /// True where something below an ignored folder may still be let in.
    fn reaches_into(&self, folder: &str) -> bool {
        let below = |inner: &str, outer: &str| outer.is_empty() || inner == outer || inner.strip_prefix(outer).is_some_and(|rest| rest.starts_with('/'));
        self.0.iter().any(|rule| rule.negated && (below(&rule.stem, folder) || below(folder, &rule.stem)))
    }
}

/// The files and links below `context` that a build sees, relative with `/`, sorted.
pub fn context_files(context: &Path, dockerignore: &str) -> Result<Vec<String>, Failure> {
    let rules = ignore_rules(dockerignore)?;
    let mut files = Vec::new();
    let mut open = vec![String::new()];
    while let Some(folder) = open.pop() {
        let path = context.join(&folder);
        let entries = std::fs::read_dir(&path).map_err(|error| Failure::file("list the folder", &path, &error))?;
        for entry in entries {
            let entry = entry.map_err(|error| Failure::file("list the folder", &path, &error))?;
            let kind = entry.file_type().map_err(|error| Failure::file("look at", &entry.path(), &error))?;
            let raw = entry.file_name();
            let name = raw.to_string_lossy();
            let relative = if folder.is_empty() { name.into_owned() } else { format!("{folder}/{name}") };
            let ignored = rules.ignores(&relative);
            if kind.is_dir() {
                if !ignored || rules.reaches_into(&relative) {
                    open.push(relative);
                }
                continue;
            }
            if ignored || !(kind.is_file() || kind.is_symlink()) {
                continue;
            }
            if raw.to_str().is_none() {
                return Err(Failure::new(Code::BuildFailed, format!("send {relative:?} to the build: its name is not UTF-8"))
                    .help("rename it, or name it in .dockerignore"));
            }
            files.push(relative);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// What Go's path cleaning leaves of a pattern, without leading and trailing slashes.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            // Above the context there is nothing.
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The pattern as a regular expression over whole paths, by docker's rules.
fn shape(pattern: &str) -> Option<String> {
    let mut out = String::from("^");
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '*' if letters.peek() == Some(&'*') => {
                while letters.peek() == Some(&'*') {
                    letters.next();
                }
                let slash = letters.next_if_eq(&'/').is_some();
                out.push_str(match (slash, letters.peek().is_none()) {
                    (_, true) => ".*",
                    (true, false) => "(?:.*/)?",
                    (false, false) => ".*",
                });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '\\' => out.push_str(&regex::escape(&letters.next()?.to_string())),
            '[' => {
                out.push('[');
                if letters.next_if(|next| *next == '^').is_some() {
                    out.push('^');
                }
                let mut any = false;
                loop {
                    match letters.next()? {
                        ']' if any => break,
                        '\\' => out.push_str(&regex::escape(&letters.next()?.to_string())),
                        '-' => out.push('-'),
                        inside => out.push_str(&regex::escape(&inside.to_string())),
                    }
                    any = true;
                }
                out.push(']');
            }
            plain => out.push_str(&regex::escape(&plain.to_string())),
        }
    }
    out.push('$');
    Some(format!("(?s){out}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, ignored: &[&str], sent: &[&str]) {
        let rules = ignore_rules(rules).unwrap();
        for path in ignored {
            assert!(rules.ignores(path), "{path} should stay out");
        }
        for path in sent {
            assert!(!rules.ignores(path), "{path} should be sent");
        }
    }

    #[test]
    fn patterns_follow_dockers_rules() {
        check("node_modules", &["node_modules", "node_modules/a/b.js"], &["web/node_modules/a", "node_modules2"]);
        check("**/node_modules", &["node_modules/a", "web/node_modules/a/b"], &["web/node_modules.txt"]);
        check("/*.md", &["a.md"], &["docs/a.md"]);
        check("*/temp*", &["a/temporary.txt", "a/temp/x"], &["temp", "a/b/temp"]);
        check("temp?", &["tempa"], &["temp", "tempab"]);
        check("**/*.py[co]", &["a.pyc", "a/b.pyo"], &["a.py", "a.pyx"]);
        check("a/../b/./c/", &["b/c", "b/c/d"], &["a/b/c"]);
        check("docs/**", &["docs/a", "docs/a/b"], &["docs"]);
        check("# comment\n\n  spaced  \n", &["spaced"], &["# comment", "comment"]);
        check("\\#odd\n[!a]\n", &["#odd", "a", "!"], &["b"]);
        check("a.b", &[], &["aXb"]);
    }

    #[test]
    fn the_last_rule_that_fits_decides() {
        check("*.md\n!README.md", &["a.md"], &["README.md"]);
        check("!README.md\n*.md", &["README.md"], &[]);
        check("docs\n!docs/keep\n", &["docs/a"], &["docs/keep", "docs/keep/x"]);
        check("**/.env*\n!**/.env.example", &[".env", "a/.env.local"], &["a/.env.example"]);
    }

    #[test]
    fn a_broken_pattern_names_its_line() {
        assert!(ignore_rules("ok\n[a\n").unwrap_err().message.contains("line 2"));
    }

    #[test]
    fn a_context_lists_what_a_build_sees() {
        let folder = tempfile::tempdir().unwrap();
        for file in ["app/main.py", ".env", "node_modules/a/index.js", "docs/a.md", "docs/keep/b.md", "Dockerfile"] {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("docs", folder.path().join("linked")).unwrap();
        let files = context_files(folder.path(), "**/.env\n**/node_modules\ndocs\n!docs/keep\nDockerfile*\n").unwrap();
        assert_eq!(files, ["app/main.py", "docs/keep/b.md", "link", "linked"]);
        assert!(context_files(&folder.path().join("none"), "").is_err());
    }
}
