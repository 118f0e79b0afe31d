//! Whatever lies in a workspace: an answer within three seconds that says what was skipped, and never a panic.

use super::{look, made};
use landfall::survey::{Options, Survey, survey};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What is promised of the release program; one that is built for tests, beside others that are, only has to end.
const PROMPT: Duration = Duration::from_secs(if cfg!(debug_assertions) { 30 } else { 3 });

/// An answer in time. Machines that build at the same time are slow: only what takes long by itself is long three times.
fn answers(path: &Path) -> Survey {
    let timed = || {
        let began = Instant::now();
        (look(path), began.elapsed())
    };
    let (found, mut least) = timed();
    for _ in 0..2 {
        if least >= PROMPT {
            least = least.min(timed().1);
        }
    }
    assert!(least < PROMPT, "it took {least:?}");
    found
}

fn reason(found: &Survey, why: &str) -> u64 {
    found.skipped.reasons.get(why).copied().unwrap_or(0)
}

/// A service that is always found, whatever lies beside it.
const APP: &[(&str, &str)] =
    &[("requirements.txt", "fastapi\nuvicorn\n"), ("main.py", "import os\nfrom fastapi import FastAPI\nA = os.environ['KEPT']\napp = FastAPI()\n")];

fn beside(files: &[(&str, &str)]) -> Survey {
    let all: Vec<(&str, &str)> = APP.iter().chain(files).copied().collect();
    let found = answers(made(&all).path());
    assert!(found.services.iter().any(|service| service.env.iter().any(|read| read.name.as_str() == "KEPT")), "the service beside it is gone");
    found
}

#[test]
fn text_that_is_no_utf8() {
    let folder = made(APP);
    for name in ["a.py", "b.ts", "c.yaml", "d.json", "Dockerfile", "e.toml", "f.go", "README.md"] {
        fs::write(folder.path().join(name), b"\xff\xfe\x80 import os\nos.environ['A']\n\xc3\x28: [").unwrap();
    }
    assert_eq!(answers(folder.path()).services.len(), 1);
}

#[test]
fn broken_manifests_of_every_kind() {
    for broken in
        ["{", "[", "{\"a\":", "a: [\n", "= = =", "\u{0}", "---\n---\n", "\"", "<x><y>", "a: &a [*a]\n", "%YAML 9\n---\n", "- - - -", "!!binary x", "? ? ?"]
    {
        let names = [
            "package.json",
            "pyproject.toml",
            "compose.yaml",
            "Dockerfile",
            "Chart.yaml",
            "Cargo.toml",
            "go.mod",
            "pom.xml",
            "package-lock.json",
            "pnpm-workspace.yaml",
            "angular.json",
            "deno.json",
            "uv.lock",
            "poetry.lock",
        ];
        let files: Vec<(String, &str)> = names
            .iter()
            .map(|name| (format!("x/{name}"), broken))
            .chain([("x/templates/a.yaml".to_owned(), broken), ("x/values.yaml".to_owned(), broken)])
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
        answers(made(&files).path());
    }
}

#[test]
fn yaml_that_grows_when_it_is_read() {
    let bomb = (1..30).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, level| {
        let last = format!("*a{}", level - 1);
        text + &format!("a{level}: &a{level} [{}]\n", [last.as_str(); 9].join(", "))
    });
    let services = format!("{bomb}services: *a29\n");
    beside(&[
        ("compose.yaml", &services),
        ("chart/Chart.yaml", &bomb),
        ("other/Chart.yaml", "name: x\n"),
        ("other/values.yaml", &bomb),
        ("other/templates/a.yaml", &bomb),
        ("pnpm-workspace.yaml", &bomb),
    ]);
}

#[test]
fn templates_that_grow_when_they_are_rendered() {
    let about = ("c/Chart.yaml", "name: c\n");
    let doubling = (0..40).fold(String::new(), |text, level| {
        text + &format!("{{{{ define \"d{}\" }}}}{{{{ include \"d{level}\" . }}}}{{{{ include \"d{level}\" . }}}}{{{{ end }}}}", level + 1)
    });
    let doubling = format!("{{{{ define \"d0\" }}}}xxxxxxxxxxxxxxxx{{{{ end }}}}{doubling}{{{{ include \"d40\" . }}}}");
    let endless = "{{ define \"a\" }}{{ include \"a\" . }}{{ end }}{{ include \"a\" . }}";
    let loops = "{{ range until 1000 }}{{ range until 1000 }}{{ range until 1000 }}x{{ end }}{{ end }}{{ end }}";
    let wide = "{{ repeat 100 (repeat 100 (repeat 100 (repeat 100 \"xxxxxxxx\"))) }}";
    for template in [doubling.as_str(), endless, loops, wide] {
        let found = beside(&[about, ("c/templates/a.yaml", template)]);
        assert!(!found.findings.iter().any(|finding| finding.code == "does_not_render_with_defaults"), "what we give up on is not broken");
    }
}

#[test]
fn ten_megabytes_on_one_line() {
    let folder = made(APP);
    for name in ["big.py", "big.js", "big.json", "big.yaml", "package-lock.json", "big.md"] {
        fs::write(folder.path().join(name), "x = [1, 2, 3]; ".repeat(700_000)).unwrap();
    }
    assert_eq!(reason(&answers(folder.path()), "larger than the limit"), 6);
}

#[test]
fn a_megabyte_on_one_line_in_every_language() {
    let line = "a(b[{'c'+\"d\"}]) => $x; ".repeat(40_000);
    let folder = made(APP);
    for name in
        ["a.py", "a.ts", "a.go", "a.java", "a.rb", "a.php", "a.cs", "a.rs", "a.yaml", "a.md", "Dockerfile", "Makefile", "a.vue", "a.ex", ".env", "spec/spec.md"]
    {
        fs::create_dir_all(folder.path().join("spec")).unwrap();
        fs::write(folder.path().join(name), &line).unwrap();
    }
    let found = answers(folder.path());
    assert!(reason(&found, "generated or minified") >= 8, "{:?}", found.skipped);
}

#[test]
fn nesting_without_end() {
    let deep = |open: &str, close: &str, times: usize| format!("{}1{}", open.repeat(times), close.repeat(times));
    for times in [2_000, 60_000] {
        let (parens, lists, maps) = (deep("(", ")", times), deep("[", "]", times), deep("{\"a\":", "}", times));
        let python = format!("import os\nx = {parens}\n");
        let script = format!("import express from 'express'; const x = {lists};");
        let yaml = (0..times.min(20_000)).fold(String::new(), |text, level| if level < 900 { text + &" ".repeat(level) + "a:\n" } else { text });
        let actions = format!("x: {{{{ {parens} }}}}{}{}", "{{ if true }}".repeat(times), "{{ end }}".repeat(times));
        let indented = (0..400).fold(String::new(), |text, level| text + &"    ".repeat(level) + "if x:\n");
        let toml = format!("a = {lists}\n");
        beside(&[
            ("deep.py", &python),
            ("indented.py", &indented),
            ("deep.ts", &script),
            ("web/package.json", &maps),
            ("one/compose.yaml", &format!("services: {lists}")),
            ("two/compose.yaml", &yaml),
            ("three/pyproject.toml", &toml),
            ("c/Chart.yaml", "name: c\n"),
            ("c/values.yaml", &format!("a: {lists}\n")),
            ("c/templates/a.yaml", &actions),
            ("d/Chart.yaml", &maps),
            ("e/package-lock.json", &format!("{{\"packages\": {maps}}}")),
            ("f/deno.json", &maps),
        ]);
    }
}

#[test]
fn folders_within_folders() {
    let folder = made(APP);
    let mut path = folder.path().to_path_buf();
    for _ in 0..200 {
        path.push("deeper");
    }
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("main.py"), "import os\nos.environ['DEEP']\n").unwrap();
    assert_eq!(answers(folder.path()).services.len(), 1);
}

#[cfg(unix)]
#[test]
fn links_in_circles_pipes_and_devices() {
    use std::os::unix::fs::symlink;
    let folder = made(APP);
    let at = |name: &str| folder.path().join(name);
    symlink(at("one.py"), at("two.py")).unwrap();
    symlink(at("two.py"), at("one.py")).unwrap();
    symlink(folder.path(), at("again")).unwrap();
    symlink("/dev/zero", at("zero.py")).unwrap();
    symlink("/etc/passwd", at("passwd.yaml")).unwrap();
    for name in ["pipe.py", "Dockerfile", "compose.yaml", "package.json"] {
        assert!(std::process::Command::new("mkfifo").arg(at(name)).status().unwrap().success());
    }
    symlink(at("pipe.py"), at("linked.py")).unwrap();
    let found = answers(folder.path());
    assert_eq!(reason(&found, "not a regular file"), 4, "{:?}", found.skipped);
    assert_eq!(reason(&found, "link out of the workspace"), 2, "{:?}", found.skipped);
    assert!(!serde_json::to_string(&found).unwrap().contains("root:"));
}

#[cfg(unix)]
#[test]
fn folders_and_files_that_may_not_be_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = made(&[APP, &[("closed/a.py", ""), ("secret.yaml", "a: b\n")]].concat());
    let close = |name: &str, mode: u32| fs::set_permissions(folder.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    close("closed", 0o000);
    close("secret.yaml", 0o000);
    let found = answers(folder.path());
    close("closed", 0o755);
    // Root reads what it likes.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(reason(&found, "unreadable"), 2, "{:?}", found.skipped);
    }
    assert_eq!(found.services.len(), 1);
}

#[test]
fn a_hundred_thousand_files() {
    let folder = made(APP);
    let full = std::env::var_os("LANDFALL_TEST_TIER").is_some_and(|tier| tier == "full");
    let (folders, each) = if full { (1_000, 100) } else { (200, 100) };
    for number in 0..folders {
        let inner = folder.path().join(format!("data/{number}"));
        fs::create_dir_all(&inner).unwrap();
        for file in 0..each {
            let tail = if file % 2 == 0 { "png" } else { "json" };
            fs::write(inner.join(format!("{file}.{tail}")), b"x").unwrap();
        }
    }
    let found = answers(folder.path());
    assert_eq!(found.services.len(), 1);
    let few = Options { max_files: 50, ..Options::default() };
    let cut = survey(folder.path(), &few).unwrap();
    assert_eq!(reason(&cut, "more files than the limit"), folders * each as u64 + 2 - 50);
}
