//! `landfall.toml`, and the names of every file and folder that Landfall reads or writes; it decides nothing.

use crate::failure::{Code, Failure};
use crate::names::{AdvisorName, AppName, EnvName, ImageRef, Namespace, OperationId, ProfileName, ServiceName};
use crate::ports::StartSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Decisions of people, from `<workspace>/landfall.toml`. Unknown keys are errors with their line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub schema: u32,
    #[serde(default)]
    pub app: AppConfig,
    #[serde(default)]
    pub cluster: ClusterConfig,
    #[serde(default)]
    pub service: BTreeMap<ServiceName, ServiceConfig>,
    #[serde(default)]
    pub secrets: BTreeMap<EnvName, ValueSource>,
    #[serde(default)]
    pub backing: BTreeMap<String, String>,
    #[serde(default)]
    pub egress: BTreeMap<ServiceName, Vec<String>>,
    #[serde(default)]
    pub gates: GatesConfig,
    #[serde(default)]
    pub approval: ApprovalConfig,
    #[serde(default)]
    pub smoke: Vec<Smoke>,
    #[serde(default)]
    pub requirements: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AppConfig {
    pub name: Option<AppName>,
    pub namespace: Option<Namespace>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    pub profile: Option<ProfileName>,
    pub start: Option<StartSpec>,
    #[serde(default)]
    pub delivery: Delivery,
    /// Whether a deploy switches the metrics-server addon on where it is off; it does where nothing is said.
    pub metrics_server: Option<bool>,
}

/// How an image comes onto the nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delivery {
    /// Built in the node's own engine, or copied to the nodes.
    #[default]
    Direct,
    /// Pushed to minikube's registry addon, pulled by digest from every node.
    Registry,
}

impl Delivery {
    /// What image references begin with. The addon's proxy listens on this port of every node, for the node itself (minikube handbook, "Registries").
    pub fn host(self) -> &'static str {
        match self {
            Self::Direct => "localhost",
            Self::Registry => "localhost:5000",
        }
    }

    /// How an image with this reference is delivered.
    pub fn of(reference: &ImageRef) -> Self {
        let through_registry = reference.as_str().split_once('/').is_some_and(|(host, _)| host == Self::Registry.host());
        if through_registry { Self::Registry } else { Self::Direct }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfig {
    pub dir: Option<String>,
    pub start: Option<String>,
    pub port: Option<u16>,
    pub ready: Option<String>,
    pub replicas: Option<u32>,
    /// What changes the database before new pods start, such as `alembic upgrade head`.
    pub migrate: Option<String>,
    /// Cron's five fields: the service runs to its end again and again.
    pub schedule: Option<String>,
    /// The service runs to its end, once for each revision.
    pub once: Option<bool>,
    /// Public values only.
    #[serde(default)]
    pub env: BTreeMap<EnvName, String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GatesConfig {
    pub image_budget_mb: u64,
    /// `optional` or `required`.
    pub scan: ScanRule,
    pub latency_p95_ms: Option<u64>,
    /// Requests each second by which the budget is judged, 1–50; without it twenty are sent, one after the other.
    pub latency_rate_per_s: Option<u32>,
    /// For how long, seconds, 1–30; default 5.
    pub latency_for_s: Option<u32>,
    /// Seconds without a restart before a rollout counts as stable.
    pub window_s: u64,
}

impl Default for GatesConfig {
    fn default() -> Self {
        Self { image_budget_mb: 500, scan: ScanRule::Optional, latency_p95_ms: None, latency_rate_per_s: None, latency_for_s: None, window_s: 10 }
    }
}

impl GatesConfig {
    /// What is wrong with it, or nothing.
    fn wrong(&self) -> Option<&'static str> {
        let out = |value: Option<u32>, most: u32| value.is_some_and(|value| value == 0 || value > most);
        if out(self.latency_rate_per_s, 50) {
            Some("latency_rate_per_s is 1 to 50")
        } else if out(self.latency_for_s, 30) {
            Some("latency_for_s is 1 to 30")
        } else if self.latency_for_s.is_some() && self.latency_rate_per_s.is_none() {
            Some("latency_for_s needs latency_rate_per_s")
        } else if self.latency_rate_per_s.is_some() && self.latency_p95_ms.is_none() {
            Some("latency_rate_per_s needs the budget latency_p95_ms")
        } else {
            None
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanRule {
    #[default]
    Optional,
    Required,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovalConfig {
    /// May only tighten: `human`.
    pub mode: Option<ApprovalMode>,
    pub pause: Option<Pause>,
}

/// Whose word counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalMode {
    /// The client's: an elicitation, or the token handed back.
    #[default]
    Client,
    /// Only a person's: an elicitation, or `landfall approve` at a terminal.
    Human,
}

/// Approval points of a deploy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pause {
    #[default]
    Once,
    EachStage,
}

/// A smoke request of the validation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smoke {
    pub name: String,
    pub service: ServiceName,
    #[serde(default)]
    pub get: Option<String>,
    #[serde(default)]
    pub post: Option<String>,
    #[serde(default)]
    pub json: Option<String>,
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    /// Expected status.
    #[serde(default)]
    pub expect: Option<u16>,
    #[serde(default)]
    pub writes: bool,
    /// One of its requests is a message to a chatbot: `verify_mcp` with `chat_path=prove` sends it, and no validation does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatModel>,
    /// Instead of one request: several in order, each of which may name what earlier answers gave.
    #[serde(default)]
    pub steps: Vec<Step>,
}

/// Which language model answers a chat message that proves the chatbot's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatModel {
    /// A script, beside a copy of the service.
    Scripted,
    /// The application's own, whatever that costs: the running service is asked.
    Own,
}

/// One request of a smoke test. In path, headers, body and `contains`, `{name}` stands for a captured value and `{unique}` for a text of this run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    pub get: Option<String>,
    pub post: Option<String>,
    pub put: Option<String>,
    pub patch: Option<String>,
    pub delete: Option<String>,
    pub json: Option<String>,
    #[serde(default)]
    pub header: BTreeMap<String, String>,
    /// Expected status.
    pub expect: u16,
    /// A text that the answer must hold.
    pub contains: Option<String>,
    /// name → JSON pointer into the answer, such as `/access_token`.
    #[serde(default)]
    pub capture: BTreeMap<String, String>,
}

impl Step {
    /// Method and path, where there is exactly one.
    pub fn method(&self) -> Option<(&'static str, &str)> {
        let all = [("GET", &self.get), ("POST", &self.post), ("PUT", &self.put), ("PATCH", &self.patch), ("DELETE", &self.delete)];
        let mut given = all.into_iter().filter_map(|(method, path)| Some((method, path.as_deref()?)));
        given.next().filter(|_| given.next().is_none())
    }

    /// `POST /login`.
    pub fn line(&self) -> String {
        self.method().map(|(method, path)| format!("{method} {path}")).unwrap_or_default()
    }

    /// The names in braces, wherever they stand.
    fn names(&self) -> impl Iterator<Item = &str> {
        let texts = [&self.get, &self.post, &self.put, &self.patch, &self.delete, &self.json, &self.contains].into_iter().flatten().chain(self.header.values());
        let name = |part: &'_ str| -> bool { !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') };
        texts.flat_map(|text| text.split('{').skip(1)).filter_map(|part| part.split_once('}')).map(|(part, _)| part).filter(move |part| name(part))
    }
}

impl Smoke {
    /// The requests in their order: the steps, or the one request that is named without them.
    pub fn requests(&self) -> Vec<Step> {
        if !self.steps.is_empty() {
            return self.steps.clone();
        }
        vec![Step {
            get: self.get.clone(),
            post: self.post.clone(),
            json: self.json.clone(),
            header: self.header.clone(),
            expect: self.expect.unwrap_or(200),
            ..Step::default()
        }]
    }

    /// What is wrong with it, or nothing.
    fn wrong(&self) -> Option<String> {
        let alone = self.get.is_some() || self.post.is_some() || self.json.is_some() || self.expect.is_some() || !self.header.is_empty();
        if alone != self.steps.is_empty() || self.steps.is_empty() && self.expect.is_none() {
            return Some("has either one request with its expected status, or steps".to_owned());
        }
        let mut known: Vec<String> = vec!["unique".to_owned()];
        for (n, step) in self.requests().iter().enumerate() {
            if step.method().is_none_or(|(_, path)| !path.starts_with('/')) {
                return Some(format!("step {} needs exactly one of get, post, put, patch and delete, with a path", n + 1));
            }
            if let Some(name) = step.names().find(|name| !known.iter().any(|known| known == name)) {
                return Some(format!("step {} names {{{name}}}, which no step before it captures", n + 1));
            }
            if let Some((name, pointer)) = step.capture.iter().find(|(_, pointer)| !pointer.starts_with('/')) {
                return Some(format!("step {} captures {name} at {pointer}, which is no JSON pointer such as /id", n + 1));
            }
            known.extend(step.capture.keys().cloned());
        }
        None
    }
}

/// Where a value comes from; the value itself is only read by the operation that needs it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ValueSource {
    /// `env:VAR` of the process that runs the operation.
    Env(String),
    /// `file:PATH`, the whole file without its last line end.
    File(PathBuf),
    /// `file:PATH#KEY`, one key of a dotenv file.
    DotEnv(PathBuf, String),
    /// `secret:SECRET/KEY` of the app's namespace.
    Secret(String, String),
    /// `generate`: a fresh random value, made once.
    Generate,
}

impl ValueSource {
    /// Parses one of the five forms.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let bad = || {
            Failure::new(Code::ValueSourceInvalid, "value source is none of the known forms")
                .help("use env:VAR, file:PATH, file:PATH#KEY, secret:SECRET/KEY or generate; a value itself is never taken")
        };
        let plain = |part: &str| !part.is_empty() && part.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
        if text == "generate" {
            return Ok(Self::Generate);
        }
        match text.split_once(':') {
            Some(("env", name)) if EnvName::parse(name).is_ok() => Ok(Self::Env(name.to_owned())),
            Some(("file", rest)) => match rest.rsplit_once('#') {
                Some((path, key)) if !path.is_empty() && plain(key) => Ok(Self::DotEnv(path.into(), key.to_owned())),
                None if !rest.is_empty() => Ok(Self::File(rest.into())),
                Some(_) | None => Err(bad()),
            },
            Some(("secret", rest)) => match rest.split_once('/') {
                Some((secret, key)) if plain(secret) && plain(key) => Ok(Self::Secret(secret.to_owned(), key.to_owned())),
                Some(_) | None => Err(bad()),
            },
            Some(_) | None => Err(bad()),
        }
    }

    /// Parses `NAME=source`.
    pub fn parse_named(text: &str) -> Result<(EnvName, Self), Failure> {
        let Some((name, source)) = text.split_once('=') else {
            return Err(Failure::new(Code::ValueSourceInvalid, "a value source needs the form NAME=source")
                .help("for example JWT_SECRET=generate or OPENAI_API_KEY=env:OPENAI_API_KEY"));
        };
        Ok((EnvName::parse(name)?, Self::parse(source)?))
    }
}

impl TryFrom<String> for ValueSource {
    type Error = Failure;
    fn try_from(text: String) -> Result<Self, Failure> {
        Self::parse(&text)
    }
}

impl From<ValueSource> for String {
    fn from(source: ValueSource) -> String {
        match source {
            ValueSource::Env(name) => format!("env:{name}"),
            ValueSource::File(path) => format!("file:{}", path.display()),
            ValueSource::DotEnv(path, key) => format!("file:{}#{key}", path.display()),
            ValueSource::Secret(secret, key) => format!("secret:{secret}/{key}"),
            ValueSource::Generate => "generate".to_owned(),
        }
    }
}

impl std::fmt::Display for ValueSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&String::from(self.clone()))
    }
}

impl Config {
    /// The name of the file.
    pub const FILE: &str = "landfall.toml";

    /// Reads the workspace's decisions; the default where there is no file. `CONFIG_INVALID` names line and nearest key.
    pub fn load(workspace: &Path) -> Result<Self, Failure> {
        read(&workspace.join(Self::FILE))?.map_or_else(|| Ok(Self { schema: 1, ..Self::default() }), |text| Self::parse(&text))
    }

    /// Parses the file's text.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let config: Self = parsed(Self::FILE, text, "mend that line of landfall.toml, then call again; `landfall init --print` shows every key")?;
        known(Self::FILE, config.schema)?;
        if let Some(why) = config.gates.wrong() {
            return Err(Failure::new(Code::ConfigInvalid, format!("[gates] {why}")).help("mend it in landfall.toml, then call again"));
        }
        if let Some((smoke, why)) = config.smoke.iter().find_map(|smoke| Some((smoke, smoke.wrong()?))) {
            return Err(Failure::new(Code::ConfigInvalid, format!("the smoke test {} {why}", smoke.name)).help("mend it in landfall.toml, then call again"));
        }
        for (service, settings) in &config.service {
            if let Some(name) = settings.env.keys().find(|name| crate::secret::secret_name(name.as_str())) {
                return Err(Failure::new(Code::ConfigInvalid, format!("[service.{service}.env] sets {name}, whose name says it is secret"))
                    .help(format!("move it to [secrets] as a value source: {name} = \"env:{name}\"")));
            }
        }
        Ok(config)
    }
}

/// The text of a file of decisions; none where there is no such file.
fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::file("read", path, &error)),
    }
}

fn parsed<T: serde::de::DeserializeOwned>(file: &str, text: &str, help: &str) -> Result<T, Failure> {
    toml::from_str(text).map_err(|error| Failure::new(Code::ConfigInvalid, format!("read {file}")).cause(error.to_string().trim_end()).help(help))
}

/// Refuses the schema of another version of this program.
fn known(file: &str, schema: u32) -> Result<(), Failure> {
    match schema {
        1 => Ok(()),
        other => {
            Err(Failure::new(Code::ConfigInvalid, format!("{file} has schema {other}, this program knows 1")).help("set schema = 1, or use a newer landfall"))
        }
    }
}

/// Who may be asked for proposals, from `advisors.toml` of the user's state folder: a workspace or a caller cannot switch anybody on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advisors {
    pub schema: u32,
    pub gordon: Option<AdvisorConfig>,
    pub kubectl_ai: Option<AdvisorConfig>,
    pub kagent: Option<AdvisorConfig>,
}

/// One advisor's section.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdvisorConfig {
    #[serde(default)]
    pub enabled: bool,
    pub provider: Option<String>,
    pub model: Option<String>,
    pub endpoint: Option<String>,
    pub key: Option<ValueSource>,
    /// `namespace/name`
    pub agent: Option<String>,
}

impl Advisors {
    /// The name of the file.
    pub const FILE: &str = "advisors.toml";

    /// Reads the user's decisions; nobody is switched on where there is no file. `CONFIG_INVALID` names the line.
    pub fn load(state: &Path) -> Result<Self, Failure> {
        let Some(text) = read(&state.join(Self::FILE))? else { return Ok(Self { schema: 1, ..Self::default() }) };
        let advisors: Self = parsed(Self::FILE, &text, "mend that line, then call again")?;
        known(Self::FILE, advisors.schema)?;
        Ok(advisors)
    }

    /// The section of an advisor that is switched on.
    pub fn of(&self, name: AdvisorName) -> Option<&AdvisorConfig> {
        let section = match name {
            AdvisorName::Gordon => &self.gordon,
            AdvisorName::KubectlAi => &self.kubectl_ai,
            AdvisorName::Kagent => &self.kagent,
        };
        section.as_ref().filter(|section| section.enabled)
    }

    /// The first that is switched on.
    pub fn first(&self) -> Option<AdvisorName> {
        AdvisorName::ALL.into_iter().find(|name| self.of(*name).is_some())
    }
}

/// The folders of one workspace's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    pub workspace: PathBuf,
    /// `<workspace>/.landfall`, or a folder of the user's state where the workspace is read-only.
    pub records: PathBuf,
    /// The user's own state folder, mode 0700.
    pub state: PathBuf,
}

impl Folders {
    /// Finds the folders; creates nothing.
    pub fn of(workspace: &Path, state: &Path) -> Self {
        let records = workspace.join(".landfall");
        let writable = records.is_dir() || rustix::fs::access(workspace, rustix::fs::Access::WRITE_OK).is_ok();
        let records = if writable {
            records
        } else {
            let digest = crate::names::Digest::of(workspace.as_os_str().as_encoded_bytes());
            state.join("workspaces").join(digest.short())
        };
        Self { workspace: workspace.to_owned(), records, state: state.to_owned() }
    }

    /// `operations/`.
    pub fn operations(&self) -> PathBuf {
        self.records.join("operations")
    }

    /// `operations/<id>/`.
    pub fn operation(&self, id: &OperationId) -> PathBuf {
        self.operations().join(id.as_str())
    }

    /// `plans/`.
    pub fn plans(&self) -> PathBuf {
        self.records.join("plans")
    }

    /// `generated/`: what was last written, the base of the three-way merge.
    pub fn generated(&self) -> PathBuf {
        self.records.join("generated")
    }

    /// `packages/`.
    pub fn packages(&self) -> PathBuf {
        self.records.join("packages")
    }

    /// Creates the records folder with its own ignore file and format number.
    pub fn prepare(&self) -> Result<(), Failure> {
        let make = |path: &Path| -> Result<(), Failure> {
            use std::os::unix::fs::DirBuilderExt as _;
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| Failure::file("create the folder", path, &error))
        };
        make(&self.records)?;
        for (name, text) in [(".gitignore", "*\n"), ("version", "1\n")] {
            let path = self.records.join(name);
            if !path.exists() {
                std::fs::write(&path, text).map_err(|error| Failure::file("write", &path, &error))?;
            }
        }
        Ok(())
    }
}

/// The user's state folder: `$LANDFALL_STATE`, else `$XDG_STATE_HOME/landfall`, else `~/.local/state/landfall`.
pub fn state_folder() -> Result<PathBuf, Failure> {
    let from = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from).filter(|path| path.is_absolute());
    from("LANDFALL_STATE")
        .or_else(|| from("XDG_STATE_HOME").map(|path| path.join("landfall")))
        .or_else(|| from("HOME").map(|path| path.join(".local/state/landfall")))
        .ok_or_else(|| Failure::new(Code::FileSystem, "neither LANDFALL_STATE nor HOME names a folder").help("set HOME, then call again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_sources_have_five_forms() {
        for good in ["env:A_B", "file:.env", "file:secrets/.env#KEY", "secret:db/password", "generate"] {
            assert_eq!(ValueSource::parse(good).map(String::from), Ok(good.to_owned()));
        }
        for bad in ["hunter2", "env:", "env:A-B", "file:", "file:.env#", "secret:a", "secret:/b", "Generate", ""] {
            let failure = ValueSource::parse(bad).unwrap_err();
            assert_eq!(failure.code, Code::ValueSourceInvalid);
            assert!(bad.is_empty() || !failure.to_string().contains("hunter2"));
        }
    }

    #[test]
    fn a_misspelt_key_is_an_error_with_its_line() {
        let failure = Config::parse("schema = 1\n[gates]\nimage_budgt_mb = 3\n").unwrap_err();
        assert!(failure.to_string().contains("line 3"), "{failure}");
        assert!(failure.to_string().contains("image_budget_mb"), "{failure}");
    }

    #[test]
    fn secrets_are_not_taken_as_public_values() {
        let failure = Config::parse("schema = 1\n[service.api.env]\nJWT_SECRET = \"x\"\n").unwrap_err();
        assert!(failure.help.contains("[secrets]"), "{failure:?}");
    }

    #[test]
    fn a_smoke_test_that_could_not_run_is_an_error() {
        let check = |text: &str, expect: &str| {
            let parsed = Config::parse(&format!("schema = 1\n[[smoke]]\nname = \"tasks\"\nservice = \"api\"\n{text}\n"));
            match (parsed, expect) {
                (Ok(_), "") => {}
                (Err(failure), expect) if !expect.is_empty() => assert!(failure.message.contains(expect), "{text}: {failure}"),
                (parsed, _) => panic!("{text}: {parsed:?}"),
            }
        };
        check("get = \"/health\"\nexpect = 200", "");
        check("get = \"/health\"", "either one request");
        check("get = \"/health\"\nexpect = 200\nsteps = [{ get = \"/x\", expect = 200 }]", "either one request");
        check("expect = 200", "step 1 needs exactly one");
        check("steps = [{ get = \"/a\", post = \"/b\", expect = 200 }]", "step 1 needs exactly one");
        check("steps = [{ post = \"/login\", expect = 200, capture = { token = \"token\" } }]", "no JSON pointer");
        check("steps = [{ get = \"/tasks/{id}\", expect = 200 }]", "names {id}");
        check(
            "steps = [{ post = \"/tasks\", json = '{\"a\": {\"b\": 1}}', expect = 201, capture = { id = \"/id\" } }, { delete = \"/tasks/{id}\", expect = 204 }]",
            "",
        );
    }

    #[test]
    fn a_reference_says_how_its_image_is_delivered() {
        for (reference, expect) in [
            ("localhost:5000/todo/api:1", Delivery::Registry),
            ("localhost/todo/api:1", Delivery::Direct),
            ("localhost:5001/todo/api:1", Delivery::Direct),
            ("registry.example/localhost:5000/api:1", Delivery::Direct),
            ("postgres:17", Delivery::Direct),
        ] {
            assert_eq!(Delivery::of(&ImageRef::parse(reference).unwrap()), expect, "{reference}");
        }
    }

    #[test]
    fn a_rate_of_requests_is_bounded_and_needs_a_budget() {
        let check = |text: &str, expect: &str| match Config::parse(&format!("schema = 1\n[gates]\n{text}\n")) {
            Ok(_) => assert_eq!(expect, "", "{text}"),
            Err(failure) => assert!(!expect.is_empty() && failure.message.contains(expect), "{text}: {failure}"),
        };
        check("latency_p95_ms = 100\nlatency_rate_per_s = 50\nlatency_for_s = 30", "");
        check("latency_p95_ms = 100\nlatency_rate_per_s = 51", "1 to 50");
        check("latency_p95_ms = 100\nlatency_rate_per_s = 0", "1 to 50");
        check("latency_p95_ms = 100\nlatency_rate_per_s = 5\nlatency_for_s = 31", "1 to 30");
        check("latency_p95_ms = 100\nlatency_for_s = 3", "needs latency_rate_per_s");
        check("latency_rate_per_s = 5", "needs the budget");
    }

    #[test]
    fn a_full_file_is_read() {
        let config = Config::parse(
            "schema = 1\n[app]\nname = \"todo\"\n[cluster]\nprofile = \"dev\"\nstart = { cpus = 2, memory = \"6g\" }\ndelivery = \"registry\"\nmetrics_server = false\n[service.backend]\nport = 8000\n[service.backend.env]\nLOG_LEVEL = \"debug\"\n[secrets]\nJWT_SECRET = \"generate\"\n[backing]\npostgres = \"in_cluster\"\n[gates]\nimage_budget_mb = 300\n[[smoke]]\nname = \"health\"\nservice = \"backend\"\nget = \"/health\"\nexpect = 200\n",
        )
        .unwrap();
        assert_eq!(config.secrets.values().next(), Some(&ValueSource::Generate));
        assert_eq!((config.cluster.delivery, config.cluster.metrics_server), (Delivery::Registry, Some(false)));
        assert_eq!(config.gates, GatesConfig { image_budget_mb: 300, ..GatesConfig::default() });
    }
}
