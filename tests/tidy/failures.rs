//! docs/failures.md: every row of the failure taxonomy with where it is read, where it is provoked for real, and its replay with the near miss.

use super::{none, pattern, read, root};
use landfall::rollout::taxonomy::{FailRule, TABLE};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;

const REPLAYS: &str = "tests/replays/rows.yaml";
const PROVOKED: &str = "tests/failures/rows.yaml";
/// Streams of real clusters, and how many bytes of them a checkout carries at most.
const RECORDED: &str = "tests/replays/recorded";
const MOST: usize = 1_500_000;
const PROOF: &str = "tests/refusals/wrong_clusters.rs";

/// A file and the name of a test in it.
type Test = (&'static str, &'static str);

/// Rows that no namespace shows, and no stream: code, what reads it, file and test in which it is refused, and in which what only looks like it goes through.
const ELSEWHERE: &[(&str, &str, Test, Test)] = &[(
    "WRONG_CLUSTER",
    "src/adapters/proof.rs",
    (PROOF, "contexts_that_lead_elsewhere_change_nothing"),
    (PROOF, "what_only_looks_odd_goes_through_to_the_profiles_own_cluster"),
)];

fn rows(file: &str) -> Vec<Value> {
    let options = serde_saphyr::options! { legacy_octal_numbers: true };
    serde_saphyr::from_str_with_options(&read(file), options).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn of<'a>(rows: &'a [Value], code: &str) -> Vec<&'a Value> {
    rows.iter().filter(|row| row["code"] == code).collect()
}

/// Where the row is read: its signal, the words of a refusal, a request without an answer; some in more than one.
fn readers(code: &str) -> Vec<String> {
    let table = read("src/rollout/taxonomy.rs");
    let row = table.split("    Row {").find(|row| row.contains(&format!("code: \"{code}\","))).unwrap_or_default();
    let signal = pattern(r"signal: Some\((\w+)::(\w+)\)").captures(row).map(|found| format!("`{}` (src/rollout/signals/{}.rs)", &found[2], &found[1]));
    let words = read("src/rollout/refusal.rs").contains(&format!("(\"{code}\", &[")) || read("src/rollout/refusal.rs").contains(&format!("\"{code}\",\n"));
    let asked = read("src/rollout/route.rs").contains(&format!("(\"{code}\", "));
    let elsewhere = ELSEWHERE.iter().find(|(known, ..)| *known == code).map(|(_, file, ..)| (*file).to_owned());
    let words = words.then(|| "what helm says (src/rollout/refusal.rs)".to_owned());
    let asked = asked.then(|| "a request without an answer (src/rollout/route.rs)".to_owned());
    [signal, words, asked, elsewhere].into_iter().flatten().collect()
}

/// How many recordings of a row there are.
fn recorded(code: &str) -> usize {
    let of = |name: &str| name.strip_suffix(".json").and_then(|name| name.rsplit_once('-')).is_some_and(|(of, _)| of == code.to_lowercase());
    let files = fs::read_dir(root().join(RECORDED)).into_iter().flatten().filter_map(Result::ok);
    files.filter(|file| of(&file.file_name().to_string_lossy())).count()
}

fn rule(fails: FailRule) -> String {
    match fails {
        FailRule::Definitive => "at first sight".to_owned(),
        FailRule::Occurrences(count) => format!("{count} times"),
        FailRule::Window(seconds) => format!("after {seconds} s"),
        FailRule::OccurrencesOrWindow(count, seconds) => format!("{count} times, or after {seconds} s"),
        FailRule::Deadline => "at the deadline".to_owned(),
        FailRule::Never => "never, only told".to_owned(),
    }
}

fn page() -> String {
    let (provoked, replays) = (rows(PROVOKED), rows(REPLAYS));
    let class = |value: &landfall::evidence::Class| serde_json::to_value(value).unwrap().as_str().unwrap_or_default().to_owned();
    let recordings: usize = TABLE.iter().map(|row| recorded(row.code)).sum();
    let mut text = format!(
        "# Failures\n\nThe {} causes that Landfall tells apart, the most specific first; where each is read, how often it is provoked on a real cluster, and whether a replay shows it and its near miss does not. This page is made from `src/rollout/taxonomy.rs`, `{PROVOKED}` and `{REPLAYS}` by `tests/tidy/failures.rs`; a test compares them, and every row is run by `tests/replays.rs` and, those that are provoked, by `tests/cluster_failures.rs` (the full tier; what was seen goes to `target/failures.md`). Rows marked [M] are replayed as they were seen on a real cluster ({recordings} in `{RECORDED}`, written by `LANDFALL_TEST_TIER=full LANDFALL_BLESS=1 cargo test --test cluster_failures`); the others, and every near miss, from objects written by hand in the words of the kubelet, the controllers and helm.\n\n| code | class | refuses | cause | read by | provoked | replayed, with a near miss |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        TABLE.len()
    );
    for row in &TABLE {
        let times = of(&provoked, row.code).len();
        let told = if times == 0 { String::new() } else { times.to_string() };
        let replayed = match ELSEWHERE.iter().find(|(known, ..)| *known == row.code) {
            Some((_, _, (file, test), (_, near))) => format!("`{test}`, `{near}` ({file})"),
            None if of(&replays, row.code).is_empty() => String::new(),
            None if recorded(row.code) > 0 => "[M]".to_owned(),
            None => "by hand".to_owned(),
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {told} | {replayed} |",
            row.code,
            class(&row.class),
            rule(row.fails),
            row.cause,
            readers(row.code).join("<br>")
        );
    }
    let codes = |rows: &[Value]| TABLE.iter().filter(|row| !of(rows, row.code).is_empty()).count();
    let near = rows(PROVOKED).iter().filter(|row| row["code"] == "READY").count();
    let _ = writeln!(
        text,
        "\n{} codes are provoked on the cluster, in {} ways, beside {near} near misses; {} are replayed.",
        codes(&provoked),
        provoked.len() - near,
        codes(&replays)
    );
    text
}

#[test]
fn every_row_of_the_taxonomy_has_a_reader_a_replay_and_a_near_miss() {
    let replays = rows(REPLAYS);
    let mut lost = Vec::new();
    for row in &TABLE {
        if readers(row.code).is_empty() {
            lost.push(format!("{}: nothing reads it", row.code));
        }
        if let Some((_, _, shown, near)) = ELSEWHERE.iter().find(|(known, ..)| *known == row.code) {
            let gone = [shown, near].into_iter().filter(|(file, name)| !read(file).contains(&format!("fn {name}(")));
            lost.extend(gone.map(|(file, name)| format!("{}: {file} has no test {name}", row.code)));
            continue;
        }
        let has = |fields: [&str; 3]| of(&replays, row.code).iter().any(|replay| fields.iter().any(|field| !replay[field].is_null()));
        if !has(["stream", "said", "asked"]) {
            lost.push(format!("{}: nothing replays it", row.code));
        }
        if !has(["near", "near_said", "near_asked"]) {
            lost.push(format!("{}: it has no near miss", row.code));
        }
    }
    none("rows of the failure taxonomy", &lost);
    let bytes: usize = fs::read_dir(root().join(RECORDED)).into_iter().flatten().filter_map(Result::ok).map(|file| fs::read(file.path()).unwrap().len()).sum();
    assert!(bytes <= MOST, "{RECORDED} holds {bytes} bytes, and {MOST} are enough: fewer rows, or less of each");

    let path = root().join("docs/failures.md");
    let real = page();
    if std::env::var_os("LANDFALL_BLESS").is_some() {
        fs::write(&path, &real).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == real,
        "docs/failures.md is not what the tables say; if that is meant: LANDFALL_BLESS=1 cargo test --test tidy"
    );
}
