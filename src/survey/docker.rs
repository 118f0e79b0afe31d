//! Dockerfiles and compose files as they are: parsed into stages and services, judged elsewhere.

use serde_json::Value as Json;
use std::collections::BTreeMap;

/// One instruction with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) name: String,
    pub(crate) rest: String,
    pub(crate) line: u32,
}

/// A stage: its base and what follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StageFacts {
    pub(crate) base: String,
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) instructions: Vec<Instruction>,
}

/// A parsed Dockerfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    pub(crate) arguments: BTreeMap<String, String>,
    pub(crate) stages: Vec<StageFacts>,
}

impl Dockerfile {
    /// Parses; unknown instructions are kept, nothing fails.
    pub(crate) fn parse(text: &str) -> Self {
        let mut file = Self::default();
        for instruction in instructions(text) {
            match instruction.name.as_str() {
                "FROM" => {
                    let words: Vec<&str> = instruction.rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
                    let base = file.expand(words.first().copied().unwrap_or_default());
                    let name = match words.get(1) {
                        Some(word) if word.eq_ignore_ascii_case("as") => words.get(2).copied().unwrap_or_default().to_owned(),
                        Some(_) | None => String::new(),
                    };
                    file.stages.push(StageFacts { base, name, line: instruction.line, instructions: Vec::new() });
                }
                "ARG" if file.stages.is_empty() => {
                    if let Some((name, value)) = instruction.rest.split_once('=') {
                        file.arguments.insert(name.trim().to_owned(), value.trim().trim_matches('"').to_owned());
                    }
                }
                _ => {
                    if let Some(stage) = file.stages.last_mut() {
                        stage.instructions.push(instruction);
                    }
                }
            }
        }
        file
    }

    fn expand(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (name, value) in &self.arguments {
            out = out.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value);
        }
        out
    }

    /// The stage that is shipped.
    pub(crate) fn last(&self) -> Option<&StageFacts> {
        self.stages.last()
    }

    /// The last stage and the stages it is made from, nearest first.
    pub(crate) fn lineage(&self) -> Vec<&StageFacts> {
        let mut out: Vec<&StageFacts> = Vec::new();
        let mut at = self.last();
        while let Some(stage) = at {
            out.push(stage);
            at = self.stages.iter().find(|other| !other.name.is_empty() && other.name.eq_ignore_ascii_case(&stage.base) && other.line < stage.line);
        }
        out
    }

    /// The image that the shipped stage stands on.
    pub(crate) fn base(&self) -> &str {
        self.lineage().last().map_or("", |stage| stage.base.as_str())
    }

    /// What the container runs: entry point and command, as one shell-like line, with its line.
    pub(crate) fn command(&self) -> Option<(String, u32)> {
        let find = |name: &str| self.lineage().into_iter().find_map(|stage| stage.instructions.iter().rfind(|instruction| instruction.name == name));
        let (entry, command) = (find("ENTRYPOINT"), find("CMD"));
        let words = |instruction: &Instruction| exec_form(&instruction.rest);
        let line = command.or(entry)?.line;
        let text = match (entry.map(words), command.map(words)) {
            (Some(entry), Some(command)) => format!("{entry} {command}").trim().to_owned(),
            (Some(only), None) => only,
            (None, Some(only)) => format!("{} {only}", program_of_image(self.base())).trim().to_owned(),
            (None, None) => return None,
        };
        // `ENTRYPOINT [""]` leaves the command to whoever starts the container.
        Some((text.split_whitespace().collect::<Vec<_>>().join(" "), line)).filter(|(text, _)| !text.is_empty())
    }

    /// Ports of EXPOSE in the shipped stage, with their lines.
    pub(crate) fn exposed(&self) -> Vec<(u16, u32)> {
        let all = self.lineage();
        all.iter()
            .flat_map(|stage| stage.instructions.iter())
            .filter(|instruction| instruction.name == "EXPOSE")
            .flat_map(|instruction| instruction.rest.split_whitespace().map(|word| (word, instruction.line)).collect::<Vec<_>>())
            .filter_map(|(word, line)| default_of(word.split('/').next()?).parse().ok().map(|port| (port, line)))
            .collect()
    }

    /// The user of the shipped stage.
    pub(crate) fn user(&self) -> Option<&Instruction> {
        self.lineage().into_iter().find_map(|stage| stage.instructions.iter().rfind(|instruction| instruction.name == "USER"))
    }

    /// Sources that COPY and ADD take from the build context: (source, line).
    pub(crate) fn copies(&self) -> Vec<(String, u32)> {
        let mut out = Vec::new();
        for instruction in
            self.stages.iter().flat_map(|stage| stage.instructions.iter()).filter(|instruction| matches!(instruction.name.as_str(), "COPY" | "ADD"))
        {
            let words: Vec<String> = if instruction.rest.trim_start().starts_with('[') {
                serde_json::from_str(instruction.rest.trim()).unwrap_or_default()
            } else {
                instruction.rest.split_whitespace().map(str::to_owned).collect()
            };
            if words.iter().any(|word| word.starts_with("--from") || word.starts_with("<<")) {
                continue;
            }
            let plain: Vec<&String> = words.iter().filter(|word| !word.starts_with("--")).collect();
            let count = plain.len().saturating_sub(1);
            out.extend(plain.into_iter().take(count).map(|source| (source.trim_matches('"').to_owned(), instruction.line)));
        }
        out
    }

    /// Build arguments that any stage declares.
    pub(crate) fn declares(&self, name: &str) -> bool {
        let named = |rest: &str| rest.split_whitespace().any(|word| word.split('=').next() == Some(name));
        // `ENV NAME value` of old has one name, whatever its value holds.
        let first = |rest: &str| rest.split_whitespace().next().is_some_and(|word| word == name);
        self.all("ARG").any(|instruction| named(&instruction.rest))
            || self.all("ENV").any(|instruction| first(&instruction.rest) || pairs(&instruction.rest).iter().any(|(other, _)| other == name))
    }

    /// Every instruction of this name.
    pub(crate) fn all<'file>(&'file self, name: &'file str) -> impl Iterator<Item = &'file Instruction> {
        self.stages.iter().flat_map(|stage| stage.instructions.iter()).filter(move |instruction| instruction.name == name)
    }
}

/// What an image starts before the command: images without a shell bring their interpreter as entry point.
fn program_of_image(image: &str) -> &'static str {
    let Some((_, name)) = image.split_once("distroless/") else { return "" };
    let rows = [("nodejs", "node"), ("python3", "python3"), ("java-base", ""), ("java", "java -jar")];
    rows.into_iter().find(|(head, _)| name.starts_with(head)).map_or("", |(_, program)| program)
}

/// `NAME=value NAME="value"`, or the old `NAME value`.
pub(crate) fn pairs(rest: &str) -> Vec<(String, String)> {
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    let first = rest.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        return rest.split_once(char::is_whitespace).map(|(name, value)| vec![(name.to_owned(), unquoted(value))]).unwrap_or_default();
    }
    rest.split_whitespace().filter_map(|word| word.split_once('=')).map(|(name, value)| (name.to_owned(), unquoted(value))).collect()
}

/// `["a", "b"]` as `a b`; shell form as it is, without `exec` and `sh -c`.
fn exec_form(rest: &str) -> String {
    let rest = rest.trim();
    let words: Vec<String> = if rest.starts_with('[') { serde_json::from_str(rest).unwrap_or_default() } else { Vec::new() };
    let text = if words.is_empty() { rest.to_owned() } else { words.join(" ") };
    let text = ["/bin/sh -c ", "sh -c ", "/bin/bash -c ", "bash -c "].iter().find_map(|shell| text.strip_prefix(shell)).unwrap_or(&text);
    let mut text = text.trim();
    for wrapper in ["exec ", "dumb-init ", "/usr/bin/dumb-init ", "tini ", "/sbin/tini ", "/usr/bin/tini ", "-- "] {
        text = text.strip_prefix(wrapper).unwrap_or(text).trim_start();
    }
    match text {
        "dumb-init" | "/usr/bin/dumb-init" | "tini" | "/sbin/tini" | "/usr/bin/tini" | "--" => String::new(),
        other => other.to_owned(),
    }
}

/// `${PORT:-8000}` as `8000`.
pub(crate) fn default_of(word: &str) -> &str {
    word.strip_prefix("${")
        .and_then(|inner| inner.strip_suffix('}'))
        .and_then(|inner| inner.split_once(":-").or_else(|| inner.split_once('-')))
        .map_or(word, |(_, default)| default)
}

fn instructions(text: &str) -> Vec<Instruction> {
    let mut out: Vec<Instruction> = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, first)) = lines.next() {
        let trimmed = first.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let mut whole = String::new();
        let mut part = trimmed;
        loop {
            match part.strip_suffix('\\') {
                Some(head) => {
                    whole.push_str(head.trim_end());
                    whole.push(' ');
                }
                None => {
                    whole.push_str(part);
                    break;
                }
            }
            part = loop {
                match lines.next() {
                    None => break "",
                    Some((_, next)) if next.trim().starts_with('#') || next.trim().is_empty() => {}
                    Some((_, next)) => break next.trim(),
                }
            };
            if part.is_empty() {
                break;
            }
        }
        // A heredoc's body is no instruction.
        if let Some(mark) = whole
            .split_once("<<")
            .map(|(_, rest)| rest.trim_start_matches('-').split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']).to_owned())
            && mark.chars().next().is_some_and(|letter| letter.is_ascii_alphabetic())
        {
            for (_, body) in lines.by_ref() {
                if body.trim() == mark {
                    break;
                }
            }
        }
        let (name, rest) = whole.split_once(char::is_whitespace).unwrap_or((whole.as_str(), ""));
        out.push(Instruction {
            name: name.to_ascii_uppercase(),
            rest: rest.trim().to_owned(),
            line: u32::try_from(number).unwrap_or(u32::MAX).saturating_add(1),
        });
    }
    out
}

/// A service of a compose file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ComposeService {
    pub(crate) file: String,
    pub(crate) name: String,
    pub(crate) line: u32,
    pub(crate) image: Option<String>,
    /// Context folder and Dockerfile, relative to the workspace.
    pub(crate) build: Option<(String, String)>,
    pub(crate) target: Option<String>,
    /// Build arguments with their values.
    pub(crate) arguments: BTreeMap<String, Option<String>>,
    /// Container ports.
    pub(crate) ports: Vec<u16>,
    pub(crate) environment: BTreeMap<String, Option<String>>,
    pub(crate) depends_on: Vec<String>,
    /// Services whose good end it waits for.
    pub(crate) waits_for_end_of: Vec<String>,
    pub(crate) command: Option<String>,
    /// The path that its health check asks of the service itself.
    pub(crate) healthcheck: Option<String>,
}

/// What the `.env` beside a compose file sets, secrets apart, each value with those before it put in; overwritten when it is done with.
#[derive(Debug, Default)]
pub(crate) struct Variables(BTreeMap<String, String>);

impl Variables {
    pub(crate) fn read(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines().map(|line| line.trim().trim_start_matches("export ")).filter(|line| !line.starts_with('#')) {
            let Some((name, value)) = line.split_once('=').filter(|(name, _)| !crate::secret::secret_name(name.trim())) else { continue };
            let value = value.trim();
            let quoted = ['"', '\''].into_iter().find_map(|mark| value.strip_prefix(mark)?.split(mark).next());
            let value = interpolate(quoted.unwrap_or_else(|| value.split(" #").next().unwrap_or_default().trim_end()), &all);
            all.0.insert(name.trim().to_owned(), value);
        }
        all
    }

    /// The value of a name that is set to something.
    fn get(&self, name: &str) -> Option<&String> {
        self.0.get(name).filter(|value| !value.is_empty())
    }
}

impl Drop for Variables {
    fn drop(&mut self) {
        self.0.values_mut().for_each(zeroize::Zeroize::zeroize);
    }
}

/// Reads a compose file with what the `.env` beside it sets; broken ones give nothing.
pub(crate) fn compose(path: &str, text: &str, variables: &Variables) -> Vec<ComposeService> {
    let Ok(document) = super::yaml::read(text) else { return Vec::new() };
    let Some(services) = document.get("services").and_then(Json::as_object) else { return Vec::new() };
    let mut out: Vec<ComposeService> = services.iter().map(|(name, about)| compose_service(path, text, name, about, variables)).collect();
    out.sort_by(|left, right| left.name.cmp(&right.name));
    out
}

fn compose_service(path: &str, text: &str, name: &str, about: &Json, variables: &Variables) -> ComposeService {
    let dir = super::walk::dir_of(path);
    let interpolate = |text: &str| interpolate(text, variables);
    let word = |value: &Json| value.as_str().map(interpolate);
    let build = about.get("build").and_then(|build| match build {
        Json::String(context) => Some((super::walk::join(dir, &interpolate(context)), "Dockerfile".to_owned())),
        Json::Object(map) => {
            let context = map.get("context").and_then(word).unwrap_or_else(|| ".".to_owned());
            let file = map.get("dockerfile").and_then(word).unwrap_or_else(|| "Dockerfile".to_owned());
            Some((super::walk::join(dir, &context), file))
        }
        _ => None,
    });
    let build = build.map(|(context, file)| (context.clone(), super::walk::join(&context, &file)));
    let environment = settings(about.get("environment"), variables);
    let arguments = settings(about.get("build").and_then(|build| build.get("args")), variables);
    let depends_on = match about.get("depends_on").or_else(|| about.get("links")) {
        Some(Json::Object(map)) => map.keys().cloned().collect(),
        Some(Json::Array(list)) => list.iter().filter_map(Json::as_str).map(|name| name.split(':').next().unwrap_or(name).to_owned()).collect(),
        _ => Vec::new(),
    };
    let ended = |about: &Json| about.get("condition").and_then(Json::as_str) == Some("service_completed_successfully");
    let waited = about.get("depends_on").and_then(Json::as_object).into_iter().flatten().filter(|(_, about)| ended(about));
    let waits_for_end_of = waited.map(|(name, _)| name.clone()).collect();
    let mut ports: Vec<u16> = Vec::new();
    for port in about.get("ports").and_then(Json::as_array).into_iter().flatten().chain(about.get("expose").and_then(Json::as_array).into_iter().flatten()) {
        let number = match port {
            Json::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Json::String(text) => interpolate(text).rsplit(':').next().and_then(|last| last.split(['/', '-']).next().and_then(|last| last.parse().ok())),
            Json::Object(map) => map.get("target").and_then(Json::as_u64).and_then(|number| u16::try_from(number).ok()),
            _ => None,
        };
        if let Some(number) = number.filter(|number| !ports.contains(number)) {
            ports.push(number);
        }
    }
    let command = about.get("command").map(|command| match command {
        Json::Array(words) => words.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" "),
        other => other.as_str().unwrap_or_default().to_owned(),
    });
    let line = text
        .lines()
        .position(|line| line.trim_end() == format!("  {name}:") || line.trim() == format!("{name}:"))
        .map_or(0, |at| u32::try_from(at).unwrap_or(0) + 1);
    ComposeService {
        file: path.to_owned(),
        name: name.to_owned(),
        line,
        image: about.get("image").and_then(word),
        target: about.get("build").and_then(|build| build.get("target")).and_then(word),
        build,
        arguments,
        ports,
        environment,
        depends_on,
        waits_for_end_of,
        command: command.filter(|command| !command.is_empty()),
        healthcheck: about.get("healthcheck").and_then(|check| check.get("test")).and_then(|test| checked_path(test, name)),
    }
}

/// A mapping of names to values, or a list of `NAME=value`; a name alone takes its value from the variables.
fn settings(given: Option<&Json>, variables: &Variables) -> BTreeMap<String, Option<String>> {
    let scalar = |name: &str, value: &Json| match value {
        Json::String(text) => Some(interpolate(text, variables)),
        Json::Null => variables.get(name).cloned(),
        other => Some(other.to_string()),
    };
    match given {
        Some(Json::Object(map)) => map.iter().map(|(key, value)| (key.clone(), scalar(key, value))).collect(),
        Some(Json::Array(list)) => list
            .iter()
            .filter_map(Json::as_str)
            .map(|pair| match pair.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(interpolate(value, variables))),
                None => (pair.to_owned(), variables.get(pair).cloned()),
            })
            .collect(),
        _ => BTreeMap::new(),
    }
}

/// `curl -f http://localhost:8080/health` asks for `/health`.
fn checked_path(test: &Json, name: &str) -> Option<String> {
    let text = match test {
        Json::String(text) => text.clone(),
        Json::Array(words) => words.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" "),
        _ => return None,
    };
    let rest = text.split_once("http://")?.1;
    let end = rest.find([' ', '"', '\'', '|', ')', ',']).unwrap_or(rest.len());
    let (host, path) = rest.get(..end)?.split_once('/').map_or((rest.get(..end)?, String::new()), |(host, path)| (host, path.to_owned()));
    let own = ["localhost", "127.0.0.1", "0.0.0.0", name].contains(&host.split(':').next().unwrap_or_default());
    own.then(|| format!("/{path}")).filter(|path| !path.contains(['$', '{', '?']))
}

/// `${NAME}` and `$NAME` become what is set, `${NAME:-default}` its default where nothing is; what is not known stays as it is written.
pub(crate) fn interpolate(text: &str, variables: &Variables) -> String {
    static SHAPE: std::sync::LazyLock<Option<regex::Regex>> = std::sync::LazyLock::new(|| {
        regex::Regex::new(r"\$\$|\$\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?::?-(?P<default>[^}]*))?\}|\$(?P<bare>[A-Za-z_][A-Za-z0-9_]*)").ok()
    });
    let put = |found: &regex::Captures<'_>| {
        let name = found.name("braced").or_else(|| found.name("bare")).map(|name| name.as_str());
        let value = name.and_then(|name| variables.get(name)).map(String::as_str);
        value.or_else(|| found.name("default").map(|default| default.as_str())).unwrap_or_else(|| found.get(0).map_or("", |whole| whole.as_str())).to_owned()
    };
    SHAPE.as_ref().map_or_else(|| text.to_owned(), |shape| shape.replace_all(text, put).into_owned())
}

/// What compose files run beside the services, one of each kind.
pub(crate) fn backing(services: &[ComposeService]) -> Vec<super::BackingNeed> {
    let mut out: Vec<super::BackingNeed> = Vec::new();
    for service in services.iter().filter(|service| service.build.is_none()) {
        let image = service.image.as_deref().unwrap_or_default();
        if let Some(kind) = backing_image(image).filter(|kind| !out.iter().any(|need| need.kind == *kind)) {
            let place = super::Place::new(service.file.clone(), service.line, image);
            out.push(super::BackingNeed { kind: kind.to_owned(), via: service.name.clone(), evidence: vec![place] });
        }
    }
    out.sort_by(|left, right| left.kind.cmp(&right.kind));
    out
}

/// The kind of backing service that a public image is.
pub(crate) fn backing_image(image: &str) -> Option<&'static str> {
    let name = image.rsplit('/').next()?.split([':', '@']).next()?;
    Some(match name {
        "postgres" | "postgresql" | "postgis" | "pgvector" | "timescaledb" => "postgres",
        "mysql" | "mariadb" => "mysql",
        "redis" | "valkey" | "redis-stack" | "keydb" => "redis",
        "mongo" | "mongodb" => "mongodb",
        "rabbitmq" => "rabbitmq",
        "kafka" | "redpanda" | "cp-kafka" => "kafka",
        "minio" => "s3",
        "elasticsearch" | "opensearch" => "elasticsearch",
        "memcached" => "memcached",
        "nats" => "nats",
        "neo4j" => "neo4j",
        "qdrant" | "chroma" | "weaviate" | "milvus" => "vector",
        "ollama" => "llm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dockerfile_is_read_through_its_stages() {
        let file = Dockerfile::parse(
            "ARG V=3.13\nFROM python:${V}-slim AS base\nWORKDIR /app\nFROM base AS build\nCOPY requirements.txt \\\n  setup.cfg ./\nRUN <<EOF\nCOPY nothing here\nEOF\nFROM base\nCOPY --from=build /x /x\nCOPY . .\nUSER 10001\nEXPOSE ${PORT:-8000}\nCMD [\"uvicorn\", \"app.main:app\", \"--port\", \"8000\"]\n",
        );
        assert_eq!(file.base(), "python:3.13-slim");
        assert_eq!(file.command(), Some(("uvicorn app.main:app --port 8000".to_owned(), 15)));
        assert_eq!(file.exposed(), vec![(8000, 14)]);
        assert_eq!(file.copies(), vec![("requirements.txt".to_owned(), 5), ("setup.cfg".to_owned(), 5), (".".to_owned(), 12)]);
        assert_eq!(file.user().map(|user| user.rest.as_str()), Some("10001"));
    }

    #[test]
    fn images_without_a_shell_start_their_interpreter() {
        let check = |text: &str, expect: &str| assert_eq!(Dockerfile::parse(text).command().unwrap().0, expect, "{text}");
        check("FROM gcr.io/distroless/nodejs22-debian12:nonroot\nCMD [\"--enable-source-maps\", \"server.js\"]\n", "node --enable-source-maps server.js");
        check("FROM gcr.io/distroless/java21-debian12\nCMD [\"app.jar\"]\n", "java -jar app.jar");
        check("FROM gcr.io/distroless/nodejs22\nENTRYPOINT [\"/app/server\"]\nCMD [\"-v\"]\n", "/app/server -v");
        check("FROM gcr.io/distroless/static\nCMD [\"/app\"]\n", "/app");
        check("FROM node:22\nCMD [\"server.js\"]\n", "server.js");
    }

    #[test]
    fn compose_is_read_with_its_defaults() {
        let text = "services:\n  api:\n    build: ./api\n    ports: [\"${PORT:-8080}:8000\"]\n    environment:\n      - DATABASE_URL=postgresql://db/x\n    depends_on: [db]\n  db:\n    image: postgres:17\n";
        let services = compose("deploy/compose.yaml", text, &Variables::default());
        let api = services.first().unwrap();
        assert_eq!(api.build, Some(("deploy/api".to_owned(), "deploy/api/Dockerfile".to_owned())));
        assert_eq!((api.ports.as_slice(), api.line), ([8000].as_slice(), 2));
        assert_eq!(services.get(1).and_then(|db| db.image.as_deref()).and_then(backing_image), Some("postgres"));
        assert_eq!(compose("compose.yaml", "services: [broken", &Variables::default()), vec![]);
    }

    #[test]
    fn compose_takes_what_the_file_beside_it_sets() {
        let variables = Variables::read("# ours\nAPI_PORT=8000\nAPI_FILE='./api/Dockerfile' # here\nAPI_ADDR=api:${API_PORT}\nEMPTY=\n");
        let text = "services:\n  api:\n    build: {context: ., dockerfile: $API_FILE}\n    ports: [\"${API_PORT}\"]\n    environment: [API_PORT, \"SELF=http://${API_ADDR}\", \"KEPT=$${API_PORT}\", \"OTHER=${UNKNOWN}\", \"EMPTY=${EMPTY:-x}\"]\n";
        let services = compose("compose.yaml", text, &variables);
        let api = services.first().unwrap();
        assert_eq!(api.build, Some((".".to_owned(), "api/Dockerfile".to_owned())));
        assert_eq!(api.ports, [8000]);
        let set = |name: &str| api.environment.get(name).and_then(|value| value.as_deref());
        assert_eq!([set("API_PORT"), set("SELF"), set("KEPT")], [Some("8000"), Some("http://api:8000"), Some("$${API_PORT}")]);
        assert_eq!([set("OTHER"), set("EMPTY")], [Some("${UNKNOWN}"), Some("x")]);
        // Without the file nothing is known.
        let unknown = compose("compose.yaml", text, &Variables::default());
        assert_eq!(unknown.first().map(|api| api.ports.clone()), Some(vec![]));
    }
}
