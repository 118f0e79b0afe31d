//! Environment reads outside of code: Spring's resources, the shell of a container's command and of the scripts that it starts.

use super::draft::Draft;
use super::facts::{Need, Read, env_like, find_line};
use super::walk::{base_of, dir_of, join, within};
use super::workspace::Workspace;
use regex::Regex;
use std::sync::LazyLock;

/// `${NAME}`, `${NAME:default}` of Spring, `${NAME:-default}` of shells, `$NAME`.
static REFERENCE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"\$(?:\{(?P<braced>[A-Z][A-Z0-9_]+)(?P<sign>:-|:\?|:=|:|-|\?)?(?P<default>[^}$]*)\}|(?P<bare>[A-Z][A-Z0-9_]+))").ok());

/// Every read: (file, read).
pub(crate) fn reads(workspace: &Workspace, draft: &Draft) -> Vec<(String, Read)> {
    let mut out = Vec::new();
    spring(workspace, draft, &mut out);
    node_config(workspace, draft, &mut out);
    command(workspace, draft, &mut out);
    out
}

fn spring(workspace: &Workspace, draft: &Draft, out: &mut Vec<(String, Read)>) {
    if draft.service.language != "java" {
        return;
    }
    let mut profile = None;
    for path in workspace.tree.under(&join(&draft.service.dir, "src/main/resources")) {
        let name = base_of(path);
        if !["yml", "yaml", "properties"].iter().any(|tail| name.ends_with(&format!(".{tail}"))) {
            continue;
        }
        let text = workspace.text(path).unwrap_or_default();
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#') && line.contains("${")) {
            references(path, u32::try_from(number).unwrap_or(0) + 1, line, true, out);
        }
        let (at, shown) = find_line(text, "on-profile");
        if at > 0 || (name.starts_with("application-") && name.len() > 16) {
            profile.get_or_insert((path.to_owned(), at, shown.to_owned()));
        }
    }
    if let Some((path, line, text)) = profile {
        let name = "SPRING_PROFILES_ACTIVE".to_owned();
        out.push((path, Read { name, need: Need::Optional, default: None, line, text, secret: false, bound: None, doc: String::new() }));
    }
}

/// What the package `config` takes from the environment: its own file names the variable of each setting, and what is unset keeps its default.
fn node_config(workspace: &Workspace, draft: &Draft, out: &mut Vec<(String, Read)>) {
    if draft.service.language != "node" || !draft.service.depends_on("config") {
        return;
    }
    for tail in ["json", "yaml", "yml"] {
        let path = join(&draft.service.dir, &format!("config/custom-environment-variables.{tail}"));
        let Some(text) = workspace.text(&path) else { continue };
        let mut names = Vec::new();
        if let Ok(tree) = super::yaml::read(text) {
            leaves(&tree, &mut names);
        }
        for name in names {
            let (line, shown) = find_line(text, &name);
            let shown = shown.to_owned();
            out.push((path.clone(), Read { name, need: Need::Optional, default: None, line, text: shown, secret: false, bound: None, doc: String::new() }));
        }
    }
}

/// The names at the ends of a tree; `{"__name": "PORT", "__format": "number"}` is one as well.
fn leaves(tree: &serde_json::Value, names: &mut Vec<String>) {
    match tree {
        serde_json::Value::String(name) if env_like(name) => names.push(name.clone()),
        serde_json::Value::Object(fields) => match fields.get("__name") {
            Some(name) => leaves(name, names),
            None => fields.values().for_each(|field| leaves(field, names)),
        },
        _ => {}
    }
}

/// The shell form of CMD and ENTRYPOINT, and the scripts that they name; without a Dockerfile, the line that starts the program.
fn command(workspace: &Workspace, draft: &Draft, out: &mut Vec<(String, Read)>) {
    let Some((path, file)) = draft.service.dockerfile.as_ref().and_then(|path| workspace.dockerfiles.get_key_value(path)) else {
        let written = draft.service.evidence.get("start_command").and_then(|places| places.first());
        if let (Some(command), Some(place)) = (&draft.service.start_command, written.filter(|place| place.line > 0)) {
            references(&place.file, place.line, command, false, out);
        }
        return;
    };
    let Some((command, line)) = file.command() else { return };
    let before = out.len();
    references(path, line, &command, false, out);
    let script =
        command.split_whitespace().map(|word| base_of(word.trim_matches(['"', '\'', '[', ']', ',']))).find(|word| word.ends_with(".sh")).unwrap_or_default();
    let known = workspace
        .texts
        .iter()
        .find(|(other, _)| !script.is_empty() && base_of(other) == script && (within(other, &draft.service.dir) || dir_of(other) == dir_of(path)));
    if let Some((path, text)) = known {
        for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with('#') && line.contains('$')) {
            references(path, u32::try_from(number).unwrap_or(0) + 1, line, false, out);
        }
        // What the script sets itself it does not ask for.
        let sets =
            |name: &str| text.lines().any(|line| line.trim_start().trim_start_matches("export ").trim_start_matches("local ").starts_with(&format!("{name}=")));
        let own: Vec<(String, Read)> = out.drain(before..).filter(|(_, read)| !sets(&read.name) || read.default.is_some()).collect();
        out.extend(own);
    }
    // The image brings these itself.
    for (_, read) in out.iter_mut().skip(before) {
        if file.declares(&read.name) {
            read.need = Need::Optional;
        }
    }
}

fn references(path: &str, line: u32, text: &str, spring: bool, out: &mut Vec<(String, Read)>) {
    let Some(shape) = REFERENCE.as_ref() else { return };
    for found in shape.captures_iter(text) {
        let Some(name) = found.name("braced").or_else(|| found.name("bare")).map(|name| name.as_str()).filter(|name| env_like(name)) else { continue };
        if spring && found.name("bare").is_some() {
            continue;
        }
        let sign = found.name("sign").map_or("", |sign| sign.as_str());
        let default = found.name("default").map(|default| default.as_str().to_owned()).filter(|_| !sign.is_empty() && !sign.ends_with('?'));
        let need = match (&default, sign.ends_with('?')) {
            (Some(_), _) => Need::Optional,
            (None, true) => Need::Demanded,
            (None, false) => Need::Unclear,
        };
        out.push((
            path.to_owned(),
            Read {
                name: name.to_owned(),
                need,
                default: default.filter(|text| !text.is_empty()),
                line,
                text: text.trim().to_owned(),
                secret: false,
                bound: None,
                doc: String::new(),
            },
        ));
    }
}

/// How many references a text holds, for tests.
#[cfg(test)]
pub(crate) fn in_text(text: &str) -> usize {
    let mut out = Vec::new();
    references("x", 1, text, false, &mut out);
    out.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, spring: bool, expect: &[(&str, Need, Option<&str>)]) {
        let mut out = Vec::new();
        references("x", 1, text, spring, &mut out);
        let found: Vec<(&str, Need, Option<&str>)> = out.iter().map(|(_, read)| (read.name.as_str(), read.need, read.default.as_deref())).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn settings_of_a_tree_name_their_variables() {
        let mut names = Vec::new();
        let text = r#"{"store": {"host": "STORE_HOST", "port": {"__name": "STORE_PORT", "__format": "number"}}, "title": "a title", "on": true}"#;
        leaves(&super::super::yaml::read(text).unwrap(), &mut names);
        assert_eq!(names, ["STORE_HOST", "STORE_PORT"]);
    }

    #[test]
    fn references_say_how_much_they_need() {
        check("url: ${CONFIG_URL:http://localhost:8888}", true, &[("CONFIG_URL", Need::Optional, Some("http://localhost:8888"))]);
        check("url: ${spring.datasource.url} ${KEY}", true, &[("KEY", Need::Unclear, None)]);
        check("locust -u ${USERS:-10} --host http://$FRONTEND_ADDR", false, &[("USERS", Need::Optional, Some("10")), ("FRONTEND_ADDR", Need::Unclear, None)]);
        check(": ${TOKEN:?missing}", false, &[("TOKEN", Need::Demanded, None)]);
        check("echo $1 $$ $? $name", false, &[]);
    }
}
