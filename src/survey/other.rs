//! Languages that are read by a table of patterns: environment reads, what listens, health routes; no more than the patterns show.

use super::facts::{Facts, Import, Listen, Need, Read, Route, Value, env_like, line_at, line_text, touches_others};
use regex::Regex;
use std::sync::{LazyLock, OnceLock};

/// A language of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Go,
    Jvm,
    Rust,
    Ruby,
    Php,
    CSharp,
    Elixir,
    /// Single-file components of browsers.
    Component,
}

impl Language {
    pub(crate) fn of(extension: &str) -> Option<Self> {
        Some(match extension {
            "go" => Self::Go,
            "java" | "kt" | "scala" => Self::Jvm,
            "rs" => Self::Rust,
            "rb" => Self::Ruby,
            "php" => Self::Php,
            "cs" => Self::CSharp,
            "ex" | "exs" => Self::Elixir,
            "vue" | "svelte" | "astro" => Self::Component,
            _ => return None,
        })
    }
}

/// An expression that is compiled when a file first holds one of its words: compiling costs more than reading small projects.
struct Row {
    words: Vec<String>,
    shape: &'static str,
    compiled: OnceLock<Option<Regex>>,
}

impl Row {
    /// The longest run of letters that a match must hold is found by eye; an expression without one is tried on every file.
    fn new(shape: &'static str) -> Self {
        Self { words: needed(shape), shape, compiled: OnceLock::new() }
    }

    fn find<'text>(&'static self, text: &'text str) -> Option<regex::CaptureMatches<'static, 'text>> {
        if !self.words.is_empty() && !self.words.iter().any(|word| text.contains(word.as_str())) {
            return None;
        }
        let regex = self.compiled.get_or_init(|| Regex::new(&plain_classes(self.shape)).ok()).as_ref()?;
        Some(regex.captures_iter(text))
    }
}

/// Letters of these languages' own words are ASCII; tables of Unicode's letters are not built.
fn plain_classes(shape: &str) -> String {
    shape.replace(r"\w", "[A-Za-z0-9_]").replace(r"\d", "[0-9]").replace(r"\s", r"[\t\n\r ]").replace(r"\b", r"(?-u:\b)")
}

/// Literals of which every match holds one: of each alternative the longest run of plain characters outside of groups, options and repetitions.
fn needed(shape: &str) -> Vec<String> {
    if let Some(rest) = shape.strip_prefix("(?i)") {
        // Names are written small, large, or with a capital.
        let capital = |word: &String| word.get(..1).unwrap_or_default().to_ascii_uppercase() + word.get(1..).unwrap_or_default();
        return needed(rest).iter().flat_map(|word| [word.clone(), capital(word), word.to_ascii_uppercase()]).collect();
    }
    let longest = |runs: &mut Vec<String>| std::mem::take(runs).into_iter().max_by_key(String::len).filter(|run| run.len() > 2);
    let mut words = Vec::new();
    let mut runs: Vec<String> = vec![String::new()];
    let mut depth = 0u32;
    let mut letters = shape.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '[' => {
                while let Some(inner) = letters.next() {
                    match inner {
                        '\\' => drop(letters.next()),
                        ']' => break,
                        _ => {}
                    }
                }
                runs.push(String::new());
            }
            '(' => {
                depth += 1;
                runs.push(String::new());
            }
            ')' => {
                depth = depth.saturating_sub(1);
                runs.push(String::new());
            }
            '?' | '*' | '+' | '{' => {
                // What is repeated may be absent.
                if let Some(last) = runs.last_mut() {
                    last.pop();
                }
                runs.push(String::new());
                if letter == '{' {
                    for inner in letters.by_ref() {
                        if inner == '}' {
                            break;
                        }
                    }
                }
            }
            '\\' => match letters.next() {
                Some(escaped) if escaped.is_ascii_alphanumeric() => runs.push(String::new()),
                Some(escaped) if depth == 0 => {
                    if let Some(last) = runs.last_mut() {
                        last.push(escaped);
                    }
                }
                Some(_) | None => {}
            },
            '.' | '^' | '$' => runs.push(String::new()),
            '|' if depth == 0 => match longest(&mut runs) {
                Some(word) => {
                    words.push(word);
                    runs.push(String::new());
                }
                None => return Vec::new(),
            },
            _ if depth == 0 => {
                if let Some(last) = runs.last_mut() {
                    last.push(letter);
                }
            }
            _ => {}
        }
    }
    match longest(&mut runs) {
        Some(word) => {
            words.push(word);
            words
        }
        None => Vec::new(),
    }
}

/// One language's patterns. Groups: `name`, `default`, `port`, `path`, `module`.
struct Patterns {
    env: Vec<(Row, Need)>,
    listen: Vec<(Row, &'static str, &'static str)>,
    route: Vec<Row>,
    import: Vec<Row>,
    program: Option<Row>,
}

/// Each language's table is compiled when the first file of the language is met.
fn patterns(language: Language) -> &'static Patterns {
    static GO: LazyLock<Patterns> = LazyLock::new(|| build(Language::Go));
    static JVM: LazyLock<Patterns> = LazyLock::new(|| build(Language::Jvm));
    static RUST: LazyLock<Patterns> = LazyLock::new(|| build(Language::Rust));
    static RUBY: LazyLock<Patterns> = LazyLock::new(|| build(Language::Ruby));
    static PHP: LazyLock<Patterns> = LazyLock::new(|| build(Language::Php));
    static CSHARP: LazyLock<Patterns> = LazyLock::new(|| build(Language::CSharp));
    static ELIXIR: LazyLock<Patterns> = LazyLock::new(|| build(Language::Elixir));
    static COMPONENT: LazyLock<Patterns> = LazyLock::new(|| build(Language::Component));
    match language {
        Language::Go => &GO,
        Language::Jvm => &JVM,
        Language::Rust => &RUST,
        Language::Ruby => &RUBY,
        Language::Php => &PHP,
        Language::CSharp => &CSHARP,
        Language::Elixir => &ELIXIR,
        Language::Component => &COMPONENT,
    }
}

type Rows =
    (&'static [(&'static str, Need)], &'static [(&'static str, &'static str, &'static str)], &'static [&'static str], &'static [&'static str], &'static str);

fn build(language: Language) -> Patterns {
    use Need::{Demanded, Optional, Unclear};
    let (env, listen, route, import, program): Rows = match language {
        Language::Go => (
            &[
                (r#"os\.(?:Getenv|LookupEnv)\("(?P<name>\w+)"\)"#, Unclear),
                (r#"(?i)\b(?:get|must|map|env)\w*env\w*\((?:&?[\w.\[\]"]+, )?"(?P<name>[A-Z][A-Z0-9_]+)"(?:,\s*"(?P<default>[^"]*)")?"#, Unclear),
                // Tags of structs, as the common readers of configurations write them.
                (r#"env(?:config)?:"(?P<name>[A-Z][A-Z0-9_]+)(?:,\s*(?:required|notEmpty)[^"\n]*"|"[^`\n]*\brequired:"true")"#, Demanded),
                (
                    r#"env(?:config)?:"(?P<name>[A-Z][A-Z0-9_]+)(?:,\s*default=(?P<default>[^",\n]*))?[^"\n]*"(?:[^`\n]*\b(?:envDefault|default):"(?P<other>[^"\n]*)")?"#,
                    Unclear,
                ),
            ],
            &[
                (r#"ListenAndServe(?:TLS)?\(\s*"(?P<host>[^":]*):(?P<port>\d+)""#, "http", "net/http"),
                (r#"\.(?:Run|Listen|Start)\(\s*"(?P<host>[^":]*):(?P<port>\d+)""#, "http", "http"),
                // An address that is put together, often from a variable.
                (
                    r#"\.ListenAndServe(?:TLS)?\(\s*(?:(?:":"\s*\+\s*|fmt\.Sprintf\("[^"]*",\s*)?os\.Getenv\("(?P<variable>\w+)"\)|[^"\s]|":"\s*\+)"#,
                    "http",
                    "net/http",
                ),
                (r#"\.(?:Run|Listen|Start)\(\s*(?:":"\s*\+\s*|fmt\.Sprintf\("[^"]*:%[ds]",\s*)(?:os\.Getenv\("(?P<variable>\w+)"\))?"#, "http", "http"),
                (r#"net\.Listen\(\s*"tcp",\s*(?:(?:":"\s*\+\s*|fmt\.Sprintf\("[^"]*",\s*)?os\.Getenv\("(?P<variable>\w+)"\)|[^"\s]|":"\s*\+)"#, "tcp", "tcp"),
                (r#"Addr:\s*"(?P<host>[^":]*):(?P<port>\d+)""#, "http", "net/http"),
                (r#"net\.Listen\(\s*"tcp",\s*"(?P<host>[^":]*):(?P<port>\d+)""#, "tcp", "tcp"),
                (r#"\.(?:Int|String|Uint|IntP|StringP)\w*\((?:&\w+,\s*)?"port",\s*(?:"p",\s*)?"?:?(?P<port>\d{2,5})"#, "http", "flag"),
                (r#"(?i)\b(?:default)?port\s*(?::?=|string =|= )\s*"?:?(?P<port>\d{2,5})"?"#, "http", "constant"),
                (r#"(?i)if\s+port\s*==\s*""\s*\{\s*port\s*=\s*":?(?P<port>\d+)""#, "http", "http"),
            ],
            &[r#"(?:HandleFunc|Handle|GET|Get)\(\s*(?:\w+\s*\+\s*)?"(?:GET )?(?P<path>/[^"]*)""#],
            &[r#"(?m)^\s*(?:import\s+)?(?:\w+\s+)?"(?P<module>[\w.\-]+(?:/[\w.\-]+)*)"\s*$"#],
            r"(?m)^package main\b",
        ),
        Language::Jvm => (
            &[
                (r#"System\.getenv\("(?P<name>\w+)"\)"#, Unclear),
                (r#"System\.getenv\(\)\.getOrDefault\("(?P<name>\w+)",\s*"(?P<default>[^"]*)"\)"#, Optional),
                (r#"@Value\("\$\{(?P<name>[A-Z][A-Z0-9_]+)(?::(?P<default>[^}]*))?\}"\)"#, Unclear),
            ],
            &[(
                r"(?:\bport\(|ServerBuilder\.forPort\(|new ServerSocket\(|new InetSocketAddress\(|listen\(|\.start\(|embeddedServer\(\s*\w+\s*,\s*(?:port\s*=)?)\s*(?P<port>\d{2,5})\s*[,)]",
                "http",
                "http",
            )],
            &[r#"@(?:GetMapping|RequestMapping|Path|Get)\(\s*(?:value\s*=\s*|path\s*=\s*)?"(?P<path>/[^"]*)""#, r#"\bget\(\s*"(?P<path>/[^"]*)""#],
            &[r"(?m)^import\s+(?P<module>[\w.]+)"],
            r"static void main\(|fun main\(|@SpringBootApplication|extends App\b",
        ),
        Language::Rust => (
            &[
                (r#"env::var\("(?P<name>\w+)"\)\s*\.?\s*unwrap_or(?:_else)?\(.{0,20}?"(?P<default>[^"]*)""#, Optional),
                (r#"env::var\("(?P<name>\w+)"\)\s*\.(?:expect|unwrap)\("#, Demanded),
                (r#"env::var(?:_os)?\("(?P<name>\w+)"\)"#, Unclear),
                (r#"env\s*=\s*"(?P<name>[A-Z][A-Z0-9_]+)""#, Optional),
            ],
            &[
                (r#"bind\(\s*\(?\s*&?"(?P<host>[^":]*)"?(?::|,\s*)(?P<port>\d{2,5})"#, "http", "http"),
                (r#"from\(\(\[(?P<host>[\d, ]+)\],\s*(?P<port>\d{2,5})\)\)"#, "http", "http"),
            ],
            &[r#"\.route\(\s*"(?P<path>/[^"]*)",\s*(?:\w+::)*get\("#, r#"#\[get\("(?P<path>/[^"]*)""#],
            &[r"(?m)^use\s+(?P<module>\w+)"],
            r"fn main\(|#\[launch\]",
        ),
        Language::Ruby => (
            &[
                (r#"ENV\.fetch\(\s*["'](?P<name>\w+)["']\s*,\s*["']?(?P<default>[^"')]*)"#, Optional),
                (r#"ENV\.fetch\(\s*["'](?P<name>\w+)["']\s*\)\s*\{\s*["']?(?P<default>[^"'}]*?)["']?\s*\}"#, Optional),
                (r#"ENV\.fetch\(\s*["'](?P<name>\w+)["']\s*\)"#, Demanded),
                (r#"ENV\[["'](?P<name>\w+)["']\]"#, Unclear),
            ],
            &[
                (r"set\s+:port,\s*(?P<port>\d{2,5})", "http", "sinatra"),
                (
                    r#"(?m)^\s*port\s*\(?\s*(?:ENV\S*\s*(?:\|\||,|\{)\s*|ENV\.fetch\(["']PORT["'],\s*|ENV\.fetch\(["']PORT["']\)\s*\{\s*)?["']?(?P<port>\d{2,5})"#,
                    "http",
                    "puma",
                ),
            ],
            &[r#"(?m)^\s*get\s+["'](?P<path>/?[^"']*)["']"#],
            &[r#"(?m)^require\s+["'](?P<module>[^"']+)["']"#],
            "",
        ),
        Language::Php => (
            &[
                (r#"\benv\(\s*['"](?P<name>\w+)['"]\s*(?:,\s*['"]?(?P<default>[^'")]*))?"#, Optional),
                (r#"(?:getenv\(\s*|\$_ENV\[\s*|\$_SERVER\[\s*)['"](?P<name>[A-Z][A-Z0-9_]+)['"]"#, Unclear),
            ],
            &[],
            &[r#"Route::get\(\s*['"](?P<path>/[^'"]*)['"]"#],
            &[],
            "",
        ),
        Language::CSharp => (
            &[
                (r#"GetEnvironmentVariable\("(?P<name>\w+)"\)(?:\s*\?\?\s*"(?P<default>[^"]*)")?"#, Unclear),
                (r#"[Cc]onfig(?:uration)?\["(?P<name>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"\]"#, Unclear),
            ],
            &[(r#"(?:ListenAnyIP\(|UseUrls\("https?://[^:"]+:)(?P<port>\d{2,5})"#, "http", "aspnetcore")],
            &[r#"Map(?:Get|HealthChecks)\(\s*"(?P<path>/[^"]*)""#],
            &[r"(?m)^using\s+(?P<module>[\w.]+);"],
            r"WebApplication\.CreateBuilder|static (?:async )?(?:void|int|Task(?:<int>)?) Main\(|CreateHostBuilder",
        ),
        Language::Elixir => (
            &[
                (r#"System\.get_env\("(?P<name>\w+)"\)\s*\|\|\s*raise"#, Demanded),
                (r#"System\.fetch_env!\("(?P<name>\w+)"\)"#, Demanded),
                (r#"System\.get_env\("(?P<name>\w+)"\s*(?:,\s*"(?P<default>[^"]*)")?\)(?:\s*\|\|\s*"(?P<other>[^"]*)")?"#, Unclear),
            ],
            &[],
            &[r#"\bget\s*\(?\s*"(?P<path>/[^"]*)""#],
            &[],
            "",
        ),
        Language::Component => (&[(r"(?:import\.meta|process)\.env\.(?P<name>[A-Z][A-Z0-9_]+)", Unclear)], &[], &[], &[], ""),
    };
    Patterns {
        env: env.iter().map(|(shape, need)| (Row::new(shape), *need)).collect(),
        listen: listen.iter().map(|(shape, protocol, by)| (Row::new(shape), *protocol, *by)).collect(),
        route: route.iter().map(|shape| Row::new(shape)).collect(),
        import: import.iter().map(|shape| Row::new(shape)).collect(),
        program: (!program.is_empty()).then(|| Row::new(program)),
    }
}

/// Extracts by the language's patterns. Comment lines are not read.
pub(crate) fn extract(language: Language, text: &str) -> Facts {
    let mut facts = Facts::default();
    let table = patterns(language);
    let commented = |offset: usize| {
        let start = text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1);
        text.get(start..offset).is_some_and(|before| matches!(before.trim_start().get(..1), Some("#" | "*")) || before.trim_start().starts_with("//"))
    };
    let mut seen = std::collections::BTreeSet::new();
    for (shape, need) in &table.env {
        for hit in shape.find(text).into_iter().flatten() {
            let (Some(all), Some(name)) = (hit.get(0), hit.name("name")) else { continue };
            let line = line_at(text, all.start());
            if commented(all.start()) || !env_like(name.as_str()) || !seen.insert((name.as_str().to_owned(), line)) {
                continue;
            }
            let default = hit.name("default").or_else(|| hit.name("other")).map(|value| value.as_str().to_owned()).filter(|value| !value.is_empty());
            let need = if default.is_some() { Need::Optional } else { *need };
            let read = Read {
                name: name.as_str().to_owned(),
                need,
                default,
                line,
                text: line_text(text, line).to_owned(),
                secret: false,
                bound: None,
                doc: String::new(),
            };
            facts.reads.push(read);
        }
    }
    for (shape, protocol, by) in &table.listen {
        for hit in shape.find(text).into_iter().flatten() {
            let Some(all) = hit.get(0) else { continue };
            let (number, variable) = (hit.name("port"), hit.name("variable"));
            if commented(all.start()) {
                continue;
            }
            let line = line_at(text, all.start());
            let host = hit.name("host").map(|host| host.as_str().trim().to_owned()).filter(|host| !host.is_empty()).map(Value::literal);
            let protocol = if *protocol == "tcp" && text.contains("grpc") { "grpc" } else { protocol };
            facts.listens.push(Listen {
                port: Value { literal: number.map(|port| port.as_str().to_owned()), env: variable.map(|name| name.as_str().to_owned()), field: None },
                host,
                protocol,
                by,
                target: String::new(),
                line,
                text: line_text(text, line).to_owned(),
            });
        }
    }
    for shape in &table.route {
        for hit in shape.find(text).into_iter().flatten() {
            let (Some(all), Some(path)) = (hit.get(0), hit.name("path")) else { continue };
            if commented(all.start()) {
                continue;
            }
            let line = line_at(text, all.start());
            let near = handler_text(text.get(all.end()..).unwrap_or_default());
            let path = format!("/{}", path.as_str().trim_start_matches('/'));
            facts.routes.push(Route {
                method: "get".to_owned(),
                path,
                owner: String::new(),
                handler: String::new(),
                touches: touches_others(near),
                line,
                text: line_text(text, line).to_owned(),
            });
        }
    }
    if language == Language::Go {
        named_routes(text, &mut facts);
        facts.reads.iter_mut().filter(|read| read.need == Need::Unclear).for_each(|read| missing_in_go(text, read));
    }
    for shape in &table.import {
        for hit in shape.find(text).into_iter().flatten() {
            if let Some(module) = hit.name("module") {
                facts.imports.push(Import { module: module.as_str().to_owned(), names: Vec::new(), line: line_at(text, module.start()), bare: false });
            }
        }
    }
    facts.program = table.program.as_ref().is_some_and(|program| program.find(text).is_some_and(|mut hits| hits.next().is_some()));
    super::sdks::read(language, text, &mut facts);
    // `package main` alone is also in tools that are run by hand; what listens tells them apart later.
    facts
}

/// What Go does without a variable: `if name == "" { … }` behind the read sets another value or ends the program, and so does a helper that must.
fn missing_in_go(text: &str, read: &mut Read) {
    let (target, call) = read.text.split_once(":=").or_else(|| read.text.split_once('=')).unwrap_or(("", read.text.as_str()));
    let helper = call.split('"').next().unwrap_or_default().to_ascii_lowercase();
    if helper.contains("must") && helper.contains("env") {
        read.need = Need::Demanded;
        return;
    }
    let target = target.split(',').next().unwrap_or_default().trim().trim_start_matches("var ").trim_end_matches(" string").trim();
    if target.is_empty() || target.contains(' ') {
        return;
    }
    let Some((_, rest)) = text.split_once(&format!("if {target} == \"\" {{")) else { return };
    let block = rest.split('}').next().unwrap_or_default();
    if [".Fatal", "panic(", "os.Exit("].iter().any(|stop| block.contains(stop)) {
        read.need = Need::Demanded;
    } else if let Some((_, other)) = block.split_once(&format!("{target} = ")) {
        read.need = Need::Optional;
        read.default = other.trim_start().strip_prefix('"').and_then(|value| value.split('"').next()).filter(|value| !value.is_empty()).map(str::to_owned);
    }
}

/// Routes whose path is a constant of the same file: `mux.HandleFunc(healthPath, …)`.
fn named_routes(text: &str, facts: &mut Facts) {
    if !["Handle", ".GET("].iter().any(|word| text.contains(word)) {
        return;
    }
    for (number, line) in text.lines().enumerate() {
        let Some((_, rest)) = line.split_once("HandleFunc(").or_else(|| line.split_once("Handle(")).or_else(|| line.split_once(".GET(")) else { continue };
        let name = rest.split([',', ')']).next().unwrap_or_default().trim();
        if name.is_empty() || !name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
            continue;
        }
        let value = text.lines().find_map(|line| {
            let (left, right) = line.split_once('=')?;
            (left.trim().trim_end_matches(':').trim().trim_start_matches("const ").split_whitespace().next() == Some(name))
                .then(|| right.trim().trim_matches('"'))
        });
        if let Some(path) = value.filter(|value| value.starts_with('/')) {
            let line_number = u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1);
            facts.routes.push(Route {
                method: "get".to_owned(),
                path: path.to_owned(),
                owner: String::new(),
                handler: String::new(),
                touches: false,
                line: line_number,
                text: line.trim().to_owned(),
            });
        }
    }
}

/// The handler behind a route: the rest of its line, and the block that the line opens.
fn handler_text(rest: &str) -> &str {
    let line = rest.find('\n').unwrap_or(rest.len());
    let head = rest.get(..line).unwrap_or_default().trim_end();
    let opens = ["{", " do", "=>", "->", ","].iter().any(|tail| head.ends_with(tail))
        || head.ends_with(')') && rest.get(line..).is_some_and(|next| next.trim_start().starts_with("public"));
    if !opens {
        return head;
    }
    let end = ["\n}", "\n  }", "\n    }", "\nend", "\n  end", "\n});"].iter().filter_map(|mark| rest.get(line..)?.find(mark)).min().unwrap_or(300);
    rest.get(..rest.floor_char_boundary(line.saturating_add(end))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(language: Language, text: &str) -> Vec<(String, Need, Option<String>)> {
        extract(language, text).reads.into_iter().map(|read| (read.name, read.need, read.default)).collect()
    }

    #[test]
    fn every_language_reads_its_environment() {
        let check = |language, text, name: &str, need, default: Option<&str>| {
            assert_eq!(names(language, text), vec![(name.to_owned(), need, default.map(str::to_owned))], "{text}");
        };
        check(Language::Go, r#"addr := os.Getenv("DB_ADDR")"#, "DB_ADDR", Need::Unclear, None);
        check(Language::Jvm, r#"String a = System.getenv("DB_ADDR");"#, "DB_ADDR", Need::Unclear, None);
        check(Language::Rust, r#"let a = env::var("DB_ADDR").expect("set it");"#, "DB_ADDR", Need::Demanded, None);
        check(Language::Ruby, r#"ENV.fetch("PORT", 3000)"#, "PORT", Need::Optional, Some("3000"));
        check(Language::Php, r"env('APP_KEY')", "APP_KEY", Need::Optional, None);
        check(Language::CSharp, r#"Environment.GetEnvironmentVariable("A") ?? "b""#, "A", Need::Optional, Some("b"));
        check(Language::Elixir, r#"System.fetch_env!("SECRET_KEY_BASE")"#, "SECRET_KEY_BASE", Need::Demanded, None);
        check(Language::Component, "import.meta.env.VITE_URL", "VITE_URL", Need::Unclear, None);
    }

    #[test]
    fn go_says_what_it_does_without_a_variable() {
        let check = |text: &str, need, default: Option<&str>| {
            assert_eq!(names(Language::Go, text), vec![("A_PORT".to_owned(), need, default.map(str::to_owned))], "{text}");
        };
        check("port := os.Getenv(\"A_PORT\")\nif port == \"\" {\n\tport = \"8080\"\n}", Need::Optional, Some("8080"));
        check("port := os.Getenv(\"A_PORT\")\nif port == \"\" {\n\tport = fallback\n}", Need::Optional, None);
        check("port := os.Getenv(\"A_PORT\")\nif port == \"\" {\n\tlog.Fatal(\"A_PORT must be set\")\n}", Need::Demanded, None);
        check("port := os.Getenv(\"A_PORT\")\nif port == \"\" {\n\tlog.Print(\"off\")\n}", Need::Unclear, None);
        check("port := os.Getenv(\"A_PORT\")\nif host == \"\" {\n\tlog.Fatal(\"no host\")\n}", Need::Unclear, None);
        check("mustMapEnv(&port, \"A_PORT\")", Need::Demanded, None);
        check("Port int `env:\"A_PORT,default=8080\"`", Need::Optional, Some("8080"));
        check("Port int `env:\"A_PORT\" envDefault:\"8080\"`", Need::Optional, Some("8080"));
        check("Port int `env:\"A_PORT,required\"`", Need::Demanded, None);
        check("Port int `envconfig:\"A_PORT\" required:\"true\"`", Need::Demanded, None);
        check("Port int `env:\"A_PORT\"`", Need::Unclear, None);
    }

    #[test]
    fn a_row_is_tried_only_where_its_word_stands() {
        let check = |shape: &str, expect: &[&str]| assert_eq!(needed(shape), expect, "{shape}");
        check(r#"System\.getenv\("(?P<name>\w+)"\)"#, &["System.getenv(\""]);
        check(r"(?m)^package main\b", &["package main"]);
        check(r"(?i)port", &["port", "Port", "PORT"]);
        check(r"(?i)\b(?:get|env)\w*env\w*\(", &["env", "Env", "ENV"]);
        check("a|b", &[]);
        check(r"os\.(?:Getenv|LookupEnv)\(", &["os."]);
        check(r"fun main\(|#\[launch\]", &["fun main(", "#[launch]"]);
        check(r"sets?\s+x", &["set"]);
    }

    #[test]
    fn comments_are_not_read() {
        assert_eq!(names(Language::Go, r#"// os.Getenv("OLD")"#), vec![]);
    }

    #[test]
    fn go_listens_where_it_says() {
        let check = |line: &str, expect: Option<(Option<u16>, Option<&str>)>| {
            let facts = extract(Language::Go, &format!("package main\nfunc main() {{\n\t{line}\n}}\n"));
            let found = facts.listens.first().map(|listen| (listen.port.number(), listen.port.env.as_deref()));
            assert_eq!(found, expect, "{line}");
        };
        check(r#"log.Fatal(http.ListenAndServe(":"+os.Getenv("PORT"), nil))"#, Some((None, Some("PORT"))));
        check(r#"http.ListenAndServe(fmt.Sprintf(":%s", port), router)"#, Some((None, None)));
        check(r#"http.ListenAndServe(fmt.Sprintf(":%s", os.Getenv("PORT")), nil)"#, Some((None, Some("PORT"))));
        check("err := server.ListenAndServe()", Some((None, None)));
        check(r#"e.Logger.Fatal(e.Start(":" + os.Getenv("APP_PORT")))"#, Some((None, Some("APP_PORT"))));
        check(r#"lis, err := net.Listen("tcp", address)"#, Some((None, None)));
        check("// http.ListenAndServe(address, nil)", None);
        check("cmd.Run()", None);
        check(r#"conn, err := net.Dial("tcp", address)"#, None);
        let facts = extract(Language::Go, "package main\nfunc main() { http.ListenAndServe(\":8080\", nil) }\n");
        assert!(facts.program);
        assert_eq!(facts.listens.first().and_then(|listen| listen.port.number()), Some(8080));
    }
}
