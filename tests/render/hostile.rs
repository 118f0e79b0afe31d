//! Every string of a workspace, written by somebody who wants it to be more than a string: none leaves its place in a Dockerfile, a chart or a command.

use super::application::{HOSTILE, blueprint, environments, tags};
use landfall::failure::{Code, Failure};
use landfall::render::{RenderedFile, charts, dockerfiles};
use landfall::survey::{Options, survey};
use std::path::Path;

/// What would run if a string became a command; a name that was made of it has lost its first letter.
const MARK: &str = "/landfall-was-here";

/// Texts that try to become an instruction, an option or a command of a shell.
fn texts() -> Vec<String> {
    let own = [
        format!("x\nUSER root\nRUN touch {MARK}"),
        format!("x\" ]\nUSER root\nRUN touch {MARK} #"),
        format!("$(touch {MARK})"),
        format!("`touch {MARK}`"),
        format!("x; touch {MARK};"),
        format!("x && touch {MARK}"),
        format!("x | tee {MARK} \\"),
        format!("--mount=type=bind,from={MARK}"),
        format!("{{{{COMMAND}}}} {MARK}"),
        format!("../..{MARK}"),
        "on".to_owned(),
        "é 日本 \u{202e}".to_owned(),
    ];
    own.into_iter().chain(HOSTILE.iter().filter(|text| !text.is_empty()).map(|text| (*text).to_owned())).collect()
}

/// A place where a workspace holds a string: its name, whether it is a command of the project's own, and the files that hold it.
type Slot = (&'static str, bool, fn(&str) -> Vec<(String, String)>);

fn files(list: &[(&str, String)]) -> Vec<(String, String)> {
    list.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect()
}

/// As JSON and TOML write a text.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn fastapi(text: &str) -> (&'static str, String) {
    ("api/main.py", format!("import os\nfrom fastapi import FastAPI\napp = FastAPI()\n{text}\n"))
}

fn requirements() -> (&'static str, String) {
    ("api/requirements.txt", "fastapi\nuvicorn\n".to_owned())
}

fn express(text: &str) -> Vec<(String, String)> {
    let package = format!("{{{text}, \"dependencies\": {{\"express\": \"5\"}}}}");
    files(&[("web/package.json", package), ("web/server.js", "require('express')().listen(3000)\n".to_owned())])
}

const SLOTS: &[Slot] = &[
    ("a folder's name", false, |text| {
        let folder = text.replace('\0', "_").replace(MARK, "\u{2215}landfall-was-here").replace('/', "_");
        vec![(format!("{folder}/requirements.txt"), requirements().1), (format!("{folder}/main.py"), fastapi("").1)]
    }),
    ("a package's name", false, |text| express(&format!("\"name\": {}, \"scripts\": {{\"start\": \"node server.js\"}}", quoted(text)))),
    ("a version of Node.js", false, |text| express(&format!("\"engines\": {{\"node\": {}}}, \"scripts\": {{\"start\": \"node server.js\"}}", quoted(text)))),
    ("a package manager", false, |text| {
        express(&format!("\"packageManager\": {}, \"scripts\": {{\"start\": \"node server.js\"}}", quoted(&format!("pnpm@{text}"))))
    }),
    ("a dependency", false, |text| {
        let package = format!("{{\"scripts\": {{\"start\": \"node server.js\"}}, \"dependencies\": {{\"express\": \"5\", {0}: {0}}}}}", quoted(text));
        files(&[("web/package.json", package), ("web/server.js", "require('express')().listen(3000)\n".to_owned())])
    }),
    ("a start script", true, |text| express(&format!("\"scripts\": {{\"start\": {}}}", quoted(&format!("node server.js {text}"))))),
    ("a build script", true, |text| express(&format!("\"scripts\": {{\"start\": \"node server.js\", \"build\": {}}}", quoted(text)))),
    ("a default", false, |text| files(&[requirements(), fastapi(&format!("MODE = os.environ.get('MODE', {})", quoted(text)))])),
    ("a variable's name", false, |text| files(&[requirements(), fastapi(&format!("MODE = os.environ[{}]", quoted(text)))])),
    ("a route", false, |text| files(&[requirements(), fastapi(&format!("@app.get({})\ndef health(): return {{}}", quoted(&format!("/health{text}"))))])),
    ("a line of the requirements", false, |text| files(&[("api/requirements.txt", format!("fastapi\nuvicorn\n{text}\n")), fastapi("")])),
    ("a process", true, |text| files(&[requirements(), fastapi(""), ("api/Procfile", format!("web: uvicorn main:app {text}\n"))])),
    ("a process's name", false, |text| files(&[requirements(), fastapi(""), ("api/Procfile", format!("{text}: uvicorn main:app\n"))])),
    ("a migration", true, |text| {
        files(&[requirements(), fastapi(""), ("api/Procfile", format!("web: uvicorn main:app\nrelease: python migrate.py {text}\n"))])
    }),
    ("a project's name", false, |text| {
        let project = format!("[project]\nname = {}\nversion = \"1\"\ndependencies = [\"fastapi\", \"uvicorn\"]\n", quoted(text));
        files(&[("api/pyproject.toml", project), fastapi(""), ("api/uv.lock", "version = 1\n".to_owned())])
    }),
    ("a member's name", false, |text| {
        let project = format!("[project]\nname = {}\nversion = \"1\"\ndependencies = [\"fastapi\", \"uvicorn\"]\n", quoted(text));
        let root = "[project]\nname = \"all\"\nversion = \"1\"\n[tool.uv.workspace]\nmembers = [\"api\"]\n".to_owned();
        files(&[("pyproject.toml", root), ("uv.lock", "version = 1\n".to_owned()), ("api/pyproject.toml", project), fastapi("")])
    }),
    ("a version of Python", false, |text| {
        let project = format!("[project]\nname = \"api\"\nversion = \"1\"\nrequires-python = {}\ndependencies = [\"fastapi\", \"uvicorn\"]\n", quoted(text));
        files(&[("api/pyproject.toml", project), fastapi("")])
    }),
    ("a Go module", false, |text| {
        let main = "package main\nimport \"net/http\"\nfunc main() { http.ListenAndServe(\":8080\", nil) }\n".to_owned();
        files(&[("api/go.mod", format!("module {text}\n\ngo 1.24\n")), ("api/main.go", main)])
    }),
    ("a crate's name", false, |text| {
        let manifest = format!("[package]\nname = {}\nversion = \"0.1.0\"\n[dependencies]\naxum = \"0.8\"\n", quoted(text));
        files(&[("api/Cargo.toml", manifest), ("api/src/main.rs", "use axum::Router;\nfn main() { let _ = \"0.0.0.0:8080\"; }\n".to_owned())])
    }),
    ("an artifact", false, |text| {
        let pom = format!(
            "<project><artifactId>{text}</artifactId><properties><java.version>{text}</java.version></properties><dependencies><dependency><artifactId>spring-boot-starter-web</artifactId></dependency></dependencies></project>"
        );
        files(&[
            ("api/pom.xml", pom),
            ("api/src/main/java/App.java", "@SpringBootApplication\npublic class App { public static void main(String[] a) {} }\n".to_owned()),
        ])
    }),
    ("a compose file", false, |text| {
        let compose = format!("services:\n  {0}:\n    build: ./api\n    environment:\n      MODE: {0}\n    command: {0}\n", quoted(text));
        files(&[requirements(), fastapi("MODE = os.environ['MODE']"), ("compose.yaml", compose)])
    }),
];

fn write(root: &Path, files: &[(String, String)]) -> bool {
    files.iter().all(|(path, text)| {
        let path = root.join(path);
        path.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok()) && std::fs::write(&path, text).is_ok()
    })
}

fn rendered(root: &Path) -> Result<Vec<RenderedFile>, Failure> {
    let survey = survey(root, &Options::default())?;
    if survey.services.is_empty() {
        return Err(Failure::new(Code::NothingToDeploy, "nothing was found"));
    }
    let config = "[app]\nname = \"notes\"\n";
    let blueprint = std::panic::catch_unwind(|| blueprint(&survey, config)).map_err(|_| Failure::new(Code::NotDeployable, "it is refused"))?;
    let mut files = dockerfiles(&blueprint, &survey)?;
    files.extend(charts(&blueprint, &environments(), &tags(&blueprint)));
    Ok(files)
}

/// Instructions with their continued lines; comments left out.
fn instructions(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut continued = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        match all.last_mut().filter(|_| continued) {
            Some(last) => *last += line,
            None if line.trim().is_empty() => {}
            None => all.push(line.to_owned()),
        }
        continued = line.ends_with('\\');
    }
    all
}

/// What is wrong with a Dockerfile that took this text; nothing where it stayed a text.
fn escaped(dockerfile: &str, command: bool) -> Option<String> {
    const KNOWN: &[&str] = &["ARG", "CMD", "COPY", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "RUN", "USER", "WORKDIR"];
    let marked = |text: &str| text.contains(MARK) || text.contains("\u{2215}landfall-was-here");
    let plain = |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || " ./:-_@".contains(letter));
    instructions(dockerfile).into_iter().find(|line| {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let json = |text: &str| serde_json::from_str::<Vec<String>>(text).is_ok();
        let right = match name {
            "FROM" => plain(rest),
            "USER" => rest == "10001:10001",
            "CMD" => json(rest),
            "HEALTHCHECK" => rest == "NONE" || rest.split_once("CMD ").is_some_and(|(_, words)| json(words)),
            // The project's own command runs in the project's own build; nothing else of it does.
            "RUN" => command || !marked(rest),
            name => KNOWN.contains(&name) && !marked(rest),
        };
        !right
    })
}

#[test]
fn no_string_of_a_workspace_leaves_its_place() {
    let mut written = 0;
    for (slot, command, place) in SLOTS {
        let mut refused = Vec::new();
        for text in texts() {
            let folder = tempfile::tempdir().unwrap();
            // What a file system refuses, no workspace holds.
            if !write(folder.path(), &place(&text)) {
                continue;
            }
            let files = match rendered(folder.path()) {
                Ok(files) => files,
                Err(failure) => {
                    let told =
                        matches!(failure.code, Code::NothingToDeploy | Code::NotDeployable | Code::NotSupported | Code::RenderFailed | Code::NameInvalid);
                    assert!(told, "{slot}, {text:?}: {failure}");
                    refused.push(text);
                    continue;
                }
            };
            written += 1;
            for file in files.iter().filter(|file| file.path.rsplit('/').next().is_some_and(|name| name.starts_with("Dockerfile") && !name.ends_with("ignore")))
            {
                assert_eq!(escaped(&file.text, *command), None, "{slot}, {text:?}: {}", file.text);
            }
            for file in files.iter().filter(|file| file.path.ends_with(".yaml") && !file.path.contains("/templates/")) {
                let parsed = serde_saphyr::from_str::<serde_json::Value>(&file.text);
                assert!(parsed.is_ok_and(|value| value.is_object()), "{slot}, {text:?}: {}", file.text);
            }
        }
        assert!(refused.len() < texts().len(), "{slot}: nothing was ever written, so nothing was tried");
    }
    assert!(written > SLOTS.len() * texts().len() / 2, "only {written} were written");
}

#[test]
fn what_escapes_would_be_seen() {
    assert_eq!(escaped("FROM a:1\nRUN x\nUSER 10001:10001\nCMD [\"a\"]\n", false), None);
    for wrong in ["FROM a:1\nUSER root\n", "FROM a:1\nCMD a b\n", "FROM $(x)\n", "RUN touch /landfall-was-here\n", "ENV A=/landfall-was-here\n", "evil\n"] {
        assert!(escaped(wrong, false).is_some(), "{wrong}");
    }
}
