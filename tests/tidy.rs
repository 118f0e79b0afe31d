//! The house keeps its own rules: walls between rooms, no loose ends, and documents that say what the code does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    reason = "tests may stop at the first surprise"
)]

#[path = "tidy/checks.rs"]
mod checks;

#[path = "tidy/failures.rs"]
mod failures;

use landfall::failure::Code;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

const PROGRAM: &str = env!("CARGO_BIN_EXE_landfall");
const LONGEST_FILE: usize = 1_300;
/// Of code alone: a text may be as long as it is.
const LONGEST_LINE: usize = 200;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("read {path}: {error}"))
}

/// Every file that git would take, as (path from the root, text); what is no text is left out.
fn texts() -> Vec<(String, String)> {
    let mut texts: Vec<_> = ignore::WalkBuilder::new(root())
        .hidden(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .build()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .filter_map(|entry| Some((name_of(entry.path()), fs::read_to_string(entry.path()).ok()?)))
        .collect();
    texts.sort();
    texts
}

fn name_of(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

/// A small project that tests survey, not code of ours.
fn fixture(path: &str) -> bool {
    path.starts_with("tests/") && path.contains("/src/")
}

/// A Rust file: as it is, as code alone, and as code that ships.
struct Source {
    path: String,
    text: String,
    code: String,
    shipped: String,
}

/// Rust files below these folders.
fn sources(folders: &[&str]) -> Vec<&'static Source> {
    static ALL: LazyLock<Vec<Source>> = LazyLock::new(|| {
        let tests = pattern(r"#\[cfg\(test\)\]\n(#\[.*\]\n)*(pub\(.*\) )?mod \w+ \{");
        let source = |(path, text): (String, String)| {
            let code = code(&text);
            let end = if path.ends_with("/tests.rs") { 0 } else { tests.find(&code).map_or(code.len(), |tests| tests.start()) };
            Source { path, text, shipped: code[..end].to_owned(), code }
        };
        texts().into_iter().filter(|(path, _)| path.ends_with(".rs") && !fixture(path)).map(source).collect()
    });
    let sources: Vec<_> = ALL.iter().filter(|source| folders.iter().any(|folder| source.path.starts_with(folder))).collect();
    assert!(!sources.is_empty(), "there are no sources in {folders:?}");
    sources
}

/// The code of a file: comments and texts are blank, lines stay where they are.
fn code(text: &str) -> String {
    let all: Vec<char> = text.chars().collect();
    let at = |place: usize| all.get(place).copied().unwrap_or('\0');
    let mut out = String::with_capacity(text.len());
    let mut place = 0;
    let mut word = false;
    while place < all.len() {
        let end = match (at(place), at(place + 1)) {
            ('/', '/') => (place..all.len()).find(|end| at(*end) == '\n').unwrap_or(all.len()),
            ('"', _) => closing(&all, place + 1),
            ('r', '"' | '#') if !word => raw_end(&all, place).unwrap_or(place),
            ('\'', '\\') => (place + 3..all.len()).find(|end| at(*end) == '\'').unwrap_or(all.len()) + 1,
            ('\'', _) if at(place + 2) == '\'' => place + 3,
            (_, _) => place,
        };
        if end == place {
            out.push(at(place));
            word = at(place).is_alphanumeric() || at(place) == '_';
            place += 1;
        } else {
            out.extend((place..end.min(all.len())).filter(|skipped| at(*skipped) == '\n').map(|_| '\n'));
            word = false;
            place = end;
        }
    }
    out
}

fn closing(all: &[char], mut place: usize) -> usize {
    while place < all.len() && all[place] != '"' {
        place += if all[place] == '\\' { 2 } else { 1 };
    }
    place + 1
}

/// Behind a raw text that begins here; none where it is a raw name.
fn raw_end(all: &[char], place: usize) -> Option<usize> {
    let hashes = all[place + 1..].iter().take_while(|letter| **letter == '#').count();
    let start = place + 1 + hashes;
    if all.get(start) != Some(&'"') {
        return None;
    }
    let mut end: Vec<char> = vec!['"'];
    end.extend(std::iter::repeat_n('#', hashes));
    (start + 1..all.len()).find(|place| all[*place..].starts_with(&end)).map(|place| place + end.len())
}

/// `path:line: the line` wherever the shipped code holds a word of these.
fn found(folders: &[&str], wanted: &regex::Regex) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(folders) {
        for (number, (line, original)) in source.shipped.lines().zip(source.text.lines()).enumerate() {
            if wanted.is_match(line) {
                found.push(format!("{}:{}: {}", source.path, number + 1, original.trim()));
            }
        }
    }
    found
}

fn pattern(text: &str) -> regex::Regex {
    regex::Regex::new(text).unwrap()
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// Rooms in reading order, from `src/lib.rs`.
fn rooms() -> Vec<String> {
    let rooms: Vec<_> = read("src/lib.rs").lines().filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned())).collect();
    assert!(rooms.len() > 20, "src/lib.rs names no rooms");
    rooms
}

fn room_of(path: &str) -> String {
    let inside = path.strip_prefix("src/").unwrap();
    inside.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

/// Rows of Markdown tables below this heading, up to the next heading of the same depth: their cells, without marks.
fn table(document: &str, heading: &str) -> Vec<Vec<String>> {
    let text = read(document);
    let depth = heading.chars().take_while(|letter| *letter == '#').count();
    let mut rows = Vec::new();
    let mut inside = false;
    for line in text.lines() {
        let marks = line.chars().take_while(|letter| *letter == '#').count();
        if marks > 0 && marks <= depth {
            inside = line == heading;
        }
        if inside && line.starts_with("| ") && !line.starts_with("| --") {
            let line = line.replace("\\|", "\u{1}");
            let cells = line.trim().trim_matches('|').split('|').map(|cell| cell.replace('\u{1}', "|").trim().replace('`', ""));
            rows.push(cells.collect());
        }
    }
    assert!(!rows.is_empty(), "{document} has no table below \"{heading}\"");
    rows
}

#[test]
fn the_code_of_a_file_is_told_from_its_texts() {
    let text = "let a = \"x.unwrap()\"; // y.unwrap()\nlet b = r#\"z \"unwrap()\" \"#; let c: &'static str = d('\"', '\\'');\nlet raw = r#type;\n";
    assert_eq!(code(text), "let a = ; \nlet b = ; let c: &'static str = d(, );\nlet raw = r#type;\n");
}

#[test]
fn each_room_knows_only_what_architecture_md_lets_it_know() {
    let rooms = rooms();
    let rows: Vec<_> = table("ARCHITECTURE.md", "## Rooms").into_iter().skip(1).collect();
    let named: Vec<String> = rows.iter().map(|row| row[0].clone()).collect();
    assert_eq!(named, rooms, "the rooms of ARCHITECTURE.md and of src/lib.rs, in order");

    let mut knows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mention = pattern(r"\bcrate::(\w+)");
    for Source { path, shipped, .. } in sources(&["src/"]) {
        if path == "src/lib.rs" {
            continue;
        }
        let room = room_of(path);
        assert!(rooms.contains(&room), "{path} belongs to no room of src/lib.rs");
        for mentioned in mention.captures_iter(shipped) {
            let other = mentioned[1].to_owned();
            if other != room && rooms.contains(&other) {
                knows.entry(room.clone()).or_default().insert(other);
            }
        }
    }
    for row in rows {
        let (room, told) = (&row[0], &row[2]);
        let real = knows.remove(room).unwrap_or_default();
        match told.as_str() {
            "every room above" => {
                let above: BTreeSet<_> = rooms.iter().take_while(|name| *name != room).cloned().collect();
                none(&format!("{room} looks up"), &real.difference(&above).cloned().collect::<Vec<_>>());
            }
            list => {
                let told: BTreeSet<_> = list.split(", ").filter(|name| *name != "nothing").map(str::to_owned).collect();
                none(&format!("{room} knows rooms that ARCHITECTURE.md does not let it know"), &real.difference(&told).cloned().collect::<Vec<_>>());
                let unknown: Vec<_> = told.iter().filter(|name| !rooms.contains(name)).cloned().collect();
                none(&format!("ARCHITECTURE.md lets {room} know rooms that are not there"), &unknown);
            }
        }
    }
}

#[test]
fn walls_stand_whatever_the_table_says() {
    let wall = |rooms: &[&str], mustnt: &str| {
        let folders: Vec<String> = rooms.iter().flat_map(|room| [format!("src/{room}.rs"), format!("src/{room}/")]).collect();
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        let all = found(&folders, &pattern(mustnt));
        none(&format!("{mustnt} in {}", rooms.join(", ")), &all);
    };
    // Surveying facts, rendering, judging and planning never wait for anything.
    wall(&["names", "failure", "secret", "quantity", "evidence", "survey", "config", "blueprint", "render", "policy", "ask", "reply"], r"\.await|\basync\b");
    wall(&["plan", "approval", "journal", "report"], r"\.await|\basync\b");
    // Judging looks at nothing; surveying and rendering look at files and write none.
    wall(&["evidence", "blueprint", "policy", "quantity", "ask", "reply"], r"\bstd::fs|\bFile::|\btokio\b|\bWorld\b");
    wall(&["survey", "render"], r"\bfs::(write|create|remove|rename|copy)|\bFile::create|\bOpenOptions|\bfiles::write");
    // Adapters judge no application; nothing but the program's entrance names an adapter.
    wall(&["adapters"], r"\bcrate::(survey|blueprint|render|plan|approval|journal|engine|stages|operation|report|landfall|rollout|draft)\b");
    let inner: Vec<String> = rooms().into_iter().filter(|room| room != "adapters").collect();
    wall(&inner.iter().map(String::as_str).collect::<Vec<_>>(), r"\bcrate::adapters\b");
    let elsewhere: Vec<_> = found(&["tools/"], &pattern(r"\blandfall::adapters\b")).into_iter().filter(|line| !line.starts_with("tools/world.rs")).collect();
    none("adapters are named outside tools/world.rs", &elsewhere);
}

#[test]
fn what_a_crate_is_for_stays_in_its_place() {
    let only = |what: &str, folders: &[&str], places: &[&str]| {
        let elsewhere: Vec<_> = found(folders, &pattern(what)).into_iter().filter(|line| !places.iter().any(|place| line.starts_with(place))).collect();
        none(&format!("{what} outside {places:?}"), &elsewhere);
    };
    only(r"\b(clap|clap_complete|axum|indicatif|anyhow)\b", &["src/"], &[]);
    only(r"\brmcp\b", &["src/"], &["src/adapters/mcp_peer.rs"]);
    only(r"\brmcp::(server|handler|transport::stdio)|\bServerHandler\b", &["src/"], &[]);
    // A request over a stream that a port has opened is judged where it is made.
    only(r"\b(bollard|reqwest|hyper|tonic|rustls|tokio_rustls)::|\bkube::", &["src/"], &["src/adapters/", "src/probe/http.rs"]);
    only(r"\bprocess::Command\b|\bCommand::new\b", &["src/"], &["src/adapters/exec.rs", "src/operation.rs"]);
    only(r"\bprocess::Command\b|\bCommand::new\b", &["tools/"], &["tools/cli/operations.rs"]);
    only(r"\b(println|print|eprintln|eprint|dbg)!", &["src/"], &[]);
    only(r"\bexit\(", &["src/", "tools/"], &[]);
}

#[test]
fn nothing_is_left_half_done() {
    none("loose ends", &found(&["src/", "tools/"], &pattern(r"\b(todo|unimplemented|panic|unreachable)!|#\[ignore|\.unwrap\(\)|\.expect\(")));
    none("bare allow", &found(&["src/", "tools/"], &pattern(r"#\[allow\(")));
    let silent: Vec<_> = sources(&["tests/"])
        .into_iter()
        .filter(|source| source.code.lines().any(|line| line.trim() == "#[ignore]"))
        .map(|source| source.path.clone())
        .collect();
    none("#[ignore] without a reason", &silent);
}

#[test]
fn every_file_opens_with_one_sentence() {
    let mute: Vec<_> = sources(&["src/", "tools/", "tests/"])
        .into_iter()
        .filter(|source| {
            let first = source.text.lines().next().unwrap_or_default();
            !(first.starts_with("//! ") && first.ends_with('.') && first.split(' ').count() > 3)
        })
        .map(|source| format!("{}: {}", source.path, source.text.lines().next().unwrap_or_default()))
        .collect();
    none("files that do not say what they are for", &mute);
}

#[test]
fn files_and_lines_can_be_read() {
    let mut long = Vec::new();
    for Source { path, text, code, .. } in sources(&["src/", "tools/", "tests/"]) {
        if text.lines().count() > LONGEST_FILE {
            long.push(format!("{path} has {} lines, at most {LONGEST_FILE}", text.lines().count()));
        }
        let lines = code.lines().enumerate().filter(|(_, line)| line.chars().count() > LONGEST_LINE);
        long.extend(lines.map(|(number, line)| format!("{path}:{} has {} columns of code, at most {LONGEST_LINE}", number + 1, line.chars().count())));
    }
    none("too long", &long);
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let machine = pattern(r"(^|[^A-Za-z0-9_.$}])/(work|root|Users)/|/home/[a-z0-9_]+/");
    // Where package managers keep their caches inside an image that is being built, and homes that are the same everywhere or made up by tests.
    let image = pattern(r"target=/(root|home)/\S+|/home/(me|linuxbrew|docker)/");
    let host = pattern(r"https?://[^/\s]*(\.internal|\.corp|\.lan|\.intranet)\b|https?://[^/\s@]+:[^/\s@]+@[^/\s]*(registry|mirror|proxy|artifact)");
    let mut told = Vec::new();
    for (path, text) in texts() {
        if path == "tests/tidy.rs" || path.starts_with("src/render/dockerfile") {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if machine.is_match(&image.replace_all(line, "")) || host.is_match(line) {
                told.push(format!("{path}:{}: {}", number + 1, line.trim().chars().take(140).collect::<String>()));
            }
        }
        let name = path.rsplit('/').next().unwrap_or_default();
        let fixture = path.starts_with("tests/survey/");
        if [".npmrc", "pip.conf", ".yarnrc.yml"].contains(&name) && !fixture || path.ends_with(".cargo/config.toml") {
            told.push(format!("{path}: where packages come from is the machine's business"));
        }
        let known = match name {
            "package-lock.json" => Some((pattern(r#""resolved": "([^"]*://[^"]*)"#), "https://registry.npmjs.org/")),
            "Cargo.lock" => Some((pattern(r#"source = "([^"]*)"#), "registry+https://github.com/rust-lang/crates.io-index")),
            name if name.starts_with("requirements") => Some((pattern(r"^\s*--?(?:i|index-url|extra-index-url|find-links|trusted-host)\b[ =](.*)"), "nowhere")),
            _ => None,
        };
        if let Some((place, public)) = known {
            let odd = place.captures_iter(&text).map(|found| found[1].to_owned()).find(|found| !found.starts_with(public));
            told.extend(odd.map(|odd| format!("{path}: a package comes from {odd}")));
        }
    }
    none("paths of a machine, or its registries", &told);
}

#[test]
fn mcp_json_starts_this_program() {
    let client: Value = serde_json::from_str(&read("mcp.json")).unwrap();
    assert_eq!(client, json!({ "mcpServers": { "landfall": { "type": "stdio", "command": "landfall", "args": ["serve"] } } }));
}

#[test]
fn the_readme_names_commands_that_exist() {
    let readme = read("README.md");
    let makefile = read("Makefile");
    for wanted in ["make demo", "make test"] {
        assert!(readme.contains(wanted), "README.md does not name {wanted}");
    }
    let told: BTreeSet<_> = pattern(r"`?make ([a-z][a-z-]+)").captures_iter(&readme).map(|found| found[1].to_owned()).collect();
    let odd: Vec<_> = told.into_iter().filter(|target| !makefile.contains(&format!("\n{target}:"))).collect();
    none("README.md names make targets that are not in the Makefile", &odd);
    assert!(fs::metadata(root().join(".ci/run")).is_ok() && read(".ci/run").contains("make test"));

    let mut odd = Vec::new();
    for document in ["README.md", "docs/contract.md", "ARCHITECTURE.md"] {
        for line in command_lines(&read(document)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let commands = subcommands();
            let Some(first) = words.get(1).filter(|word| !word.starts_with('-')) else { continue };
            if !commands.contains(*first) {
                odd.push(format!("{document}: {line}: there is no such subcommand"));
                continue;
            }
            let mut path = vec![*first];
            path.extend(words.get(2).filter(|_| *first == "operations"));
            let help = help(&path);
            let flags = words.iter().filter(|word| word.starts_with("--")).map(|word| word.split('=').next().unwrap());
            odd.extend(flags.filter(|flag| !help.contains(*flag)).map(|flag| format!("{document}: {line}: no flag {flag}")));
        }
    }
    none("commands that would not run", &odd);
}

/// Lines of code blocks that call the program, prompts and comments taken off.
fn command_lines(document: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inside = false;
    for line in document.lines() {
        if line.starts_with("```") {
            inside = !inside;
            continue;
        }
        let line = line.trim_start().trim_start_matches("$ ");
        if inside && (line == "landfall" || line.starts_with("landfall ")) {
            lines.push(line.split("  #").next().unwrap_or_default().trim().to_owned());
        }
    }
    lines
}

fn help(path: &[&str]) -> String {
    let done = Command::new(PROGRAM).args(path).arg("--help").output().unwrap();
    String::from_utf8_lossy(&done.stdout).into_owned()
}

fn subcommands() -> BTreeSet<String> {
    let help = help(&[]);
    let listed = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: BTreeSet<_> = listed.lines().filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next().map(str::to_owned)).collect();
    assert!(names.len() > 15, "{help}");
    names
}

#[test]
fn every_subcommand_is_in_the_contract() {
    let told: BTreeSet<String> =
        table("docs/contract.md", "## Command line").iter().skip(1).flat_map(|row| row[0].split(" · ").map(str::to_owned).collect::<Vec<_>>()).collect();
    assert_eq!(subcommands(), told, "subcommands (left: the program; right: docs/contract.md)");
}

#[test]
fn every_failure_code_is_in_the_contract_as_the_code_has_it() {
    let yes = |truth: bool| if truth { "yes" } else { "no" }.to_owned();
    let real: BTreeSet<Vec<String>> = Code::ALL
        .iter()
        .map(|code| {
            let owner = serde_json::to_value(code.owner()).unwrap().as_str().unwrap().to_owned();
            vec![code.to_string(), owner, yes(code.retryable()), code.exit_code().to_string()]
        })
        .collect();
    let split = |row: Vec<String>| -> Vec<Vec<String>> { row[0].split(" · ").map(|code| [&[code.to_owned()], &row[1..4]].concat()).collect() };
    let told: BTreeSet<Vec<String>> = table("docs/contract.md", "## Failures").into_iter().skip(1).flat_map(split).collect();
    assert_eq!(told, real, "failure codes (left: docs/contract.md; right: src/failure.rs)");

    let exits: BTreeSet<u8> = Code::ALL.iter().map(|code| code.exit_code()).collect();
    let text = read("docs/contract.md");
    let line = text.lines().find(|line| line.starts_with("Exit codes:")).expect("a line of exit codes");
    for exit in exits {
        assert!(pattern(&format!(r"\b{exit} [a-z]")).is_match(line), "exit code {exit} is not in: {line}");
    }
}

/// Asks the real program over stdio; one answer for each question.
fn asked(questions: &[(&str, Value)]) -> Vec<Value> {
    let state = std::env::temp_dir().join(format!("landfall-tidy-{}-{}", std::process::id(), questions.len()));
    let mut server = Command::new(PROGRAM)
        .arg("serve")
        .env("LANDFALL_STATE", &state)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut say = server.stdin.take().unwrap();
    let mut hear = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut ask = |id: usize, method: &str, params: &Value| -> Value {
        writeln!(say, "{}", json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })).unwrap();
        serde_json::from_str(&hear.next().unwrap().unwrap()).unwrap()
    };
    ask(0, "initialize", &json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "tidy", "version": "1" } }));
    let answers = questions.iter().enumerate().map(|(number, (method, params))| ask(number + 1, method, params)["result"].clone()).collect();
    drop(say);
    server.wait().unwrap();
    let _ = fs::remove_dir_all(state);
    answers
}

fn listed() -> Value {
    let list = asked(&[("tools/list", json!({}))]).remove(0);
    assert!(list.get("nextCursor").is_none_or(Value::is_null), "the list has pages");
    list["tools"].clone()
}

#[test]
fn the_catalog_is_what_the_server_lists() {
    let path: PathBuf = root().join("tools/catalog.json");
    let real = serde_json::to_string_pretty(&listed()).unwrap() + "\n";
    if std::env::var_os("LANDFALL_BLESS").is_some() {
        fs::write(&path, &real).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    let differs = kept.lines().zip(real.lines()).enumerate().find(|(_, (kept, real))| kept != real);
    assert!(
        kept == real,
        "tools/catalog.json is not what the server lists (first at {differs:?}); if that is meant: LANDFALL_BLESS=1 cargo test --test tidy, and a line in CHANGELOG.md"
    );
}

#[test]
fn tools_arguments_and_reply_fields_are_in_the_contract() {
    let tools = listed();
    let tools = tools.as_array().unwrap();
    let keys = |schema: &Value| schema["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<String>>();

    let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in table("docs/contract.md", "### Common arguments").into_iter().skip(1) {
        for group in row[1].split_whitespace() {
            groups.entry(group.to_owned()).or_default().insert(row[0].clone());
        }
    }
    let mut told: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut tool = String::new();
    for row in table("docs/contract.md", "### Arguments of each tool").into_iter().skip(1) {
        if !row[0].is_empty() {
            let mut words = row[0].split_whitespace();
            words.next().unwrap().clone_into(&mut tool);
            told.entry(tool.clone()).or_default().extend(groups[words.next().unwrap()].iter().cloned());
        }
        told.entry(tool.clone()).or_default().insert(row[1].clone());
    }
    let real: BTreeMap<String, BTreeSet<String>> = tools.iter().map(|tool| (tool["name"].as_str().unwrap().to_owned(), keys(&tool["inputSchema"]))).collect();
    assert_eq!(told, real, "arguments (left: docs/contract.md; right: the server)");

    let common: BTreeSet<String> = table("docs/contract.md", "### Fields of every reply").into_iter().skip(1).map(|row| row[0].clone()).collect();
    let own = table("docs/contract.md", "### Each tool").into_iter().skip(1);
    let own: BTreeMap<String, BTreeSet<String>> =
        own.map(|row| (row[0].clone(), pattern(r"(?:^|; )(\w+)").captures_iter(&row[3]).map(|found| found[1].to_owned()).collect())).collect();
    let names: Vec<&str> = tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    let questions: Vec<_> = names.iter().map(|name| ("resources/read", json!({ "uri": format!("landfall://schema/{name}") }))).collect();
    for (name, schema) in names.iter().zip(asked(&questions)) {
        let schema: Value = serde_json::from_str(schema["contents"][0]["text"].as_str().unwrap()).unwrap();
        let told: BTreeSet<String> = common.union(&own[*name]).cloned().collect();
        assert_eq!(told, keys(&schema), "reply fields of {name} (left: docs/contract.md; right: the server)");
    }
}

/// True where one branch of an SPDX expression has only allowed licences.
fn allowed(expression: &str, list: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words: Vec<String> = Vec::new();
    for word in spaced.split_whitespace() {
        match words.last_mut() {
            Some(last) if word == "WITH" || last.ends_with("WITH") => *last = format!("{last} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    let (mut truths, mut marks): (Vec<bool>, Vec<String>) = (Vec::new(), Vec::new());
    let reduce = |truths: &mut Vec<bool>, mark: &str| {
        let (right, left) = (truths.pop().unwrap(), truths.pop().unwrap());
        truths.push(if mark == "AND" { left && right } else { left || right });
    };
    for word in words {
        match word.as_str() {
            "(" => marks.push(word),
            ")" => {
                while let Some(mark) = marks.pop().filter(|mark| mark != "(") {
                    reduce(&mut truths, &mark);
                }
            }
            "AND" | "OR" => {
                while marks.last().is_some_and(|mark| mark == "AND" || (mark == "OR" && word == "OR")) {
                    reduce(&mut truths, &marks.pop().unwrap());
                }
                marks.push(word);
            }
            name => truths.push(list.contains(name)),
        }
    }
    while let Some(mark) = marks.pop() {
        reduce(&mut truths, &mark);
    }
    truths == [true]
}

#[test]
fn every_package_has_a_licence_that_deny_toml_allows() {
    let list: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0"].map(str::to_owned).into();
    for (expression, expect) in [
        ("MIT OR GPL-3.0", true),
        ("MIT AND GPL-3.0", false),
        ("(GPL-3.0 OR MIT) AND ISC", true),
        ("GPL-3.0 OR MIT AND BSD-1", false),
        ("Apache-2.0/MIT", true),
        ("Apache-2.0 WITH LLVM-exception", false),
    ] {
        assert_eq!(allowed(expression, &list), expect, "{expression}");
    }

    let rules: toml::Table = toml::from_str(&read("deny.toml")).unwrap();
    let list: BTreeSet<String> = rules["licenses"]["allow"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo).args(["metadata", "--format-version", "1", "--locked"]).current_dir(root()).output().unwrap();
    let tree: Value = serde_json::from_slice(&done.stdout).unwrap_or_else(|_| panic!("cargo metadata: {}", String::from_utf8_lossy(&done.stderr)));
    let odd: Vec<_> = tree["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["name"].as_str().unwrap(), package["license"].as_str().unwrap_or("none")))
        .filter(|(_, licence)| !allowed(licence, &list))
        .map(|(name, licence)| format!("{name}: {licence}"))
        .collect();
    none("licences that deny.toml does not allow", &odd);
    assert!(["LICENSE-MIT", "LICENSE-APACHE"].iter().all(|file| root().join(file).is_file()));
}

#[test]
fn links_between_documents_lead_somewhere() {
    let link = pattern(r"\]\(([^)#:]+)\)");
    let mut dead = Vec::new();
    for (path, text) in texts().into_iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = root().join(&path).parent().unwrap().to_owned();
        let links = link.captures_iter(&text).map(|found| found[1].to_owned());
        dead.extend(links.filter(|to| !folder.join(to).exists()).map(|to| format!("{path} → {to}")));
    }
    none("links that lead nowhere", &dead);
}
