//! Minikube as its own files, its program and its node containers show it; which cluster may be touched is decided in `proof`.

use crate::adapters::engine::{self, Container, Engine};
use crate::adapters::exec::{self, Run, Stream};
use crate::adapters::proof;
use crate::failure::{Code, Failure};
use crate::names::ProfileName;
use crate::ports::{LocalCluster, Node, Profile, ProfileStatus, Program, Progress, Proof, Runtime, StartSpec};
use crate::secret::plain;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the look at one profile may take.
const GLANCE: Duration = Duration::from_millis(1_900);

/// What this machine's environment says about minikube, its kubeconfig and the container engine. Read once.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// The user's own state folder of ours.
    pub state: PathBuf,
    pub home: PathBuf,
    /// Ends in `.minikube`, as minikube itself decides.
    pub minikube_home: PathBuf,
    /// The user's kubeconfig files, in their order.
    pub kubeconfigs: Vec<PathBuf>,
    /// Sockets where a local container engine may listen; the first that was named by the user is asked alone.
    pub sockets: Vec<PathBuf>,
    /// `unix://…` where the environment names the engine by a socket.
    pub docker_host: Option<String>,
    /// The engine that the environment or docker's context names where it is not on this machine.
    pub remote_engine: Option<String>,
}

impl Surroundings {
    /// Reads the process's environment.
    pub fn read(state: PathBuf) -> Self {
        Self::of(state, &|name| std::env::var_os(name))
    }

    /// As `read`, from any source of variables.
    pub fn of(state: PathBuf, variable: &dyn Fn(&str) -> Option<OsString>) -> Self {
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok()).filter(|value| !value.is_empty());
        let home = variable("HOME").map(PathBuf::from).unwrap_or_else(|| PathBuf::from("/"));
        let minikube_home = match variable("MINIKUBE_HOME").filter(|value| !value.is_empty()).map(PathBuf::from) {
            Some(path) if path.file_name().is_some_and(|name| name == ".minikube") => path,
            Some(path) => path.join(".minikube"),
            None => home.join(".minikube"),
        };
        let kubeconfigs = match variable("KUBECONFIG").filter(|value| !value.is_empty()) {
            Some(value) => std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect(),
            None => vec![home.join(".kube/config")],
        };
        // After `eval $(minikube docker-env)` DOCKER_HOST names the node; what was there before is kept under other names.
        let inside = text("MINIKUBE_ACTIVE_DOCKERD").is_some();
        let named = if inside { text("MINIKUBE_EXISTING_DOCKER_HOST") } else { text("DOCKER_HOST") };
        let named = named.or_else(|| docker_context(&home, text("DOCKER_CONTEXT"))).or_else(|| text("CONTAINER_HOST"));
        let socket = named.as_deref().and_then(|host| host.strip_prefix("unix://")).map(PathBuf::from);
        let remote_engine = named.as_deref().filter(|host| !host.starts_with("unix://")).map(|host| plain(host, 120));
        let sockets = match &socket {
            Some(socket) => vec![socket.clone()],
            None => sockets(&home, text("XDG_RUNTIME_DIR").map(PathBuf::from)),
        };
        let docker_host = socket.map(|socket| format!("unix://{}", socket.display()));
        Self { state, home, minikube_home, kubeconfigs, sockets, docker_host, remote_engine }
    }

    /// The private kubeconfig of a profile.
    pub fn kubeconfig(&self, profile: &ProfileName) -> PathBuf {
        self.state.join("kubeconfig").join(profile.as_str())
    }

    /// The folder of a profile's own files, or `PROFILE_NOT_FOUND` where the name cannot be one.
    pub fn profile_folder(&self, profile: &str) -> PathBuf {
        self.minikube_home.join("profiles").join(profile)
    }

    /// minikube, in an environment built up for it. `kubeconfig` is the file it may write its context into.
    pub fn minikube(&self, kubeconfig: impl AsRef<std::ffi::OsStr>) -> Run {
        let run = Run::new("minikube")
            .env("MINIKUBE_HOME", &self.minikube_home)
            .env("MINIKUBE_WANTUPDATENOTIFICATION", "false")
            .env("MINIKUBE_IN_STYLE", "false")
            .env("KUBECONFIG", kubeconfig);
        match &self.docker_host {
            Some(host) => run.env("DOCKER_HOST", host),
            None => run,
        }
    }

    /// What the profile's own file says; the status is not looked at.
    pub fn profile(&self, profile: &ProfileName) -> Result<ProfileFile, Failure> {
        let known = self.profile_names();
        if !known.iter().any(|name| name == profile.as_str()) {
            let help = match known.as_slice() {
                [] => format!("create it: minikube start -p {profile}"),
                some => format!("use one of: {}; or create it: minikube start -p {profile}", some.join(", ")),
            };
            return Err(Failure::new(Code::ProfileNotFound, format!("minikube has no profile {profile} in {}", self.minikube_home.display())).help(help));
        }
        ProfileFile::read(&self.profile_folder(profile.as_str()).join("config.json"))
    }

    /// The names of all profiles, sorted.
    pub fn profile_names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.minikube_home.join("profiles")) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .filter_map(Result::ok)
            .filter(|entry| entry.path().join("config.json").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.') && ProfileName::parse(name.as_str()).is_ok())
            .collect();
        names.sort();
        names
    }
}

/// Where container engines listen when nobody says so.
fn sockets(home: &Path, runtime: Option<PathBuf>) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("/var/run/docker.sock")];
    all.extend(runtime.iter().map(|folder| folder.join("docker.sock")));
    all.extend(
        [".docker/run/docker.sock", ".docker/desktop/docker.sock", ".colima/default/docker.sock", ".rd/docker.sock", ".orbstack/run/docker.sock"]
            .map(|name| home.join(name)),
    );
    all.push(PathBuf::from("/run/podman/podman.sock"));
    all.extend(runtime.iter().map(|folder| folder.join("podman/podman.sock")));
    all
}

/// The engine of docker's current context, where it is not the default one.
fn docker_context(home: &Path, named: Option<String>) -> Option<String> {
    let read = |path: PathBuf| std::fs::read_to_string(path).ok().and_then(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
    let name = named.or_else(|| Some(read(home.join(".docker/config.json"))?.get("currentContext")?.as_str()?.to_owned()))?;
    if name == "default" || name.is_empty() {
        return None;
    }
    let folder = crate::names::Digest::of(&name);
    let meta = read(home.join(".docker/contexts/meta").join(folder.as_str()).join("meta.json"))?;
    Some(meta.get("Endpoints")?.get("docker")?.get("Host")?.as_str()?.to_owned())
}

/// A profile's `config.json`, the part that we need.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ProfileFile {
    pub name: String,
    pub driver: String,
    #[serde(rename = "APIServerPort")]
    pub api_server_port: u16,
    pub kubernetes_config: KubernetesFile,
    pub nodes: Vec<NodeFile>,
    /// Addon → on or off; an addon that was never switched is not named.
    pub addons: BTreeMap<String, bool>,
}

/// The Kubernetes part of a profile's file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct KubernetesFile {
    pub kubernetes_version: String,
    pub container_runtime: String,
    #[serde(rename = "APIServerHAVIP")]
    pub ha_address: String,
}

/// A node of a profile's file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeFile {
    pub name: String,
    #[serde(rename = "IP")]
    pub ip: String,
    pub port: u16,
    pub control_plane: bool,
}

impl ProfileFile {
    /// Reads and parses the file.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| Failure::file("read the profile", path, &error))?;
        Self::parse(&text).map_err(|error| {
            Failure::new(Code::ProfileNotFound, format!("the profile's file {} is damaged", path.display()))
                .cause(error)
                .help("run 'minikube profile list' and delete or start the profile anew")
        })
    }

    /// Parses the text of a `config.json`.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The profile in our own words. A node that minikube leaves without a name is called as the profile.
    pub fn profile(&self, name: &ProfileName, status: ProfileStatus) -> Profile {
        let port = if self.api_server_port == 0 { 8443 } else { self.api_server_port };
        let nodes = self
            .nodes
            .iter()
            .map(|node| Node {
                name: if node.name.is_empty() { name.to_string() } else { format!("{name}-{}", node.name) },
                ip: node.ip.clone(),
                port: if node.port == 0 { port } else { node.port },
                control_plane: node.control_plane,
            })
            .collect();
        let runtime = match self.kubernetes_config.container_runtime.as_str() {
            "containerd" => Runtime::Containerd,
            "cri-o" | "crio" => Runtime::CriO,
            _ => Runtime::Docker,
        };
        Profile {
            name: name.clone(),
            driver: self.driver.clone(),
            runtime,
            kubernetes_version: self.kubernetes_config.kubernetes_version.clone(),
            nodes,
            status,
        }
    }
}

/// True where the driver runs nodes as containers of an engine on this machine.
pub fn in_containers(driver: &str) -> bool {
    matches!(driver, "docker" | "podman")
}

/// One node of `minikube status -o json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NodeStatus {
    host: String,
    #[serde(rename = "APIServer", default)]
    api_server: String,
}

/// minikube on this machine.
#[derive(Clone, Debug)]
pub struct Minikube {
    around: Surroundings,
}

impl Minikube {
    /// minikube as the environment names it; `state` is the user's own state folder of ours.
    pub fn new(state: PathBuf) -> Self {
        Self { around: Surroundings::read(state) }
    }

    /// minikube in given surroundings.
    pub fn with(around: Surroundings) -> Self {
        Self { around }
    }

    /// One profile with its status; never fails.
    async fn look(&self, name: ProfileName, file: ProfileFile) -> Profile {
        let mut profile = file.profile(&name, ProfileStatus::Absent);
        let seen = async {
            match self.container_status(&profile, &file).await {
                Some(status) => status,
                // The profile is there, and nothing of it can be seen to run.
                None => self.program_status(&profile.name).await.unwrap_or(ProfileStatus::Stopped),
            }
        };
        // What does not answer in time is neither running nor stopped.
        profile.status = tokio::time::timeout(GLANCE, seen).await.unwrap_or(ProfileStatus::Degraded);
        profile
    }

    /// The status as the node containers and the API server show it; None where that does not tell.
    async fn container_status(&self, profile: &Profile, file: &ProfileFile) -> Option<ProfileStatus> {
        if !in_containers(&profile.driver) {
            return None;
        }
        let containers = engine::containers(&self.around, profile).await.ok()?;
        let status = from_containers(&containers)?;
        if status != ProfileStatus::Running {
            return Some(status);
        }
        if proof::answers(&self.around, profile, file, &containers).await {
            return Some(ProfileStatus::Running);
        }
        // The nodes run and the API server is silent: only minikube can tell a pause from a fault.
        Some(self.program_status(&profile.name).await.filter(|status| *status != ProfileStatus::Running).unwrap_or(ProfileStatus::Degraded))
    }

    async fn program_status(&self, name: &ProfileName) -> Option<ProfileStatus> {
        let run = self.around.minikube(self.around.kubeconfig(name)).args(["status", "-o", "json", "-p", name.as_str()]);
        let ran = run.deadline(Duration::from_millis(1_400)).grace(Duration::from_millis(100)).output().await.ok()?;
        from_status(&ran.stdout)
    }
}

/// The status of a profile whose nodes are containers; None where the engine knows none of them.
fn from_containers(containers: &[Container]) -> Option<ProfileStatus> {
    let running = containers.iter().filter(|container| container.running).count();
    match (containers.len(), running) {
        (0, _) => None,
        _ if containers.iter().all(|container| !container.exists) => Some(ProfileStatus::Absent),
        _ if containers.iter().any(|container| container.paused) => Some(ProfileStatus::Paused),
        (_, 0) => Some(ProfileStatus::Stopped),
        (all, some) if some < all => Some(ProfileStatus::Degraded),
        _ => Some(ProfileStatus::Running),
    }
}

/// The status in the words of `minikube status -o json`: an object for one node, an array for several, `null` for a lost host.
pub fn from_status(text: &str) -> Option<ProfileStatus> {
    let value: serde_json::Value = serde_json::from_str(text.trim()).ok()?;
    let nodes: Vec<NodeStatus> = match value {
        serde_json::Value::Array(_) => serde_json::from_value(value).ok()?,
        serde_json::Value::Object(_) => vec![serde_json::from_value(value).ok()?],
        _ => return Some(ProfileStatus::Absent),
    };
    let all = |is: fn(&NodeStatus) -> bool| nodes.iter().all(is);
    Some(if nodes.is_empty() || all(|node| node.host == "Nonexistent") {
        ProfileStatus::Absent
    } else if nodes.iter().any(|node| node.host == "Paused" || node.api_server == "Paused") {
        ProfileStatus::Paused
    } else if all(|node| node.host == "Stopped") {
        ProfileStatus::Stopped
    } else if all(|node| node.host == "Running" && matches!(node.api_server.as_str(), "Running" | "Irrelevant")) {
        ProfileStatus::Running
    } else {
        ProfileStatus::Degraded
    })
}

/// A line of `minikube start -o json`.
#[derive(Debug, Deserialize)]
struct Happening {
    #[serde(rename = "type")]
    kind: String,
    data: BTreeMap<String, serde_json::Value>,
}

impl Happening {
    fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// minikube writes numbers as text.
    fn text(&self, name: &str) -> &str {
        self.data.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
    }

    /// Tells the progress; true where it is an error.
    fn tell(&self, progress: &dyn Progress) -> bool {
        match self.kind.rsplit('.').next().unwrap_or_default() {
            "step" => {
                progress.note(&plain(self.text("message").trim(), 200));
                if let (Ok(done), Ok(total)) = (self.text("currentstep").parse(), self.text("totalsteps").parse()) {
                    progress.amount(done, total);
                }
                false
            }
            // Downloads: type io.k8s.sigs.minikube.download.progress, with a share between 0 and 1.
            "progress" => {
                let share: f64 = self.text("progress").parse().unwrap_or_default();
                progress.note(&format!("downloading {}: {:.0} %", plain(self.text("artifact"), 80), (share * 100.0).clamp(0.0, 100.0)));
                false
            }
            "error" => true,
            _ => false,
        }
    }
}

/// What minikube is asked to start with; settings count only for a profile that is not there yet.
fn start_arguments(spec: &StartSpec) -> Result<Vec<String>, Failure> {
    let simple = |name: &str, value: &str| {
        let good = !value.is_empty() && value.len() <= 20 && value.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        let bad =
            || Failure::new(Code::BadArgument, format!("{name} {:?} is not valid", plain(value, 40))).help(format!("use what 'minikube start --{name}' takes"));
        if good && !value.starts_with('-') { Ok(format!("--{name}={value}")) } else { Err(bad()) }
    };
    let mut all = Vec::new();
    all.extend(spec.cpus.map(|count| format!("--cpus={count}")));
    all.extend(spec.nodes.map(|count| format!("--nodes={count}")));
    for (name, value) in [("memory", &spec.memory), ("driver", &spec.driver), ("container-runtime", &spec.runtime)] {
        if let Some(value) = value {
            all.push(simple(name, value)?);
        }
    }
    if spec.driver.as_deref().is_some_and(|driver| matches!(driver, "ssh" | "generic" | "none" | "mock")) {
        return Err(Failure::new(Code::BadArgument, "this driver does not make a local, isolated cluster")
            .help("use docker, podman, kvm2, qemu2, hyperkit, vfkit or virtualbox"));
    }
    Ok(all)
}

#[async_trait::async_trait]
impl LocalCluster for Minikube {
    async fn profiles(&self) -> Result<Vec<Profile>, Failure> {
        let looks = self.around.profile_names().into_iter().filter_map(|name| {
            let file = ProfileFile::read(&self.around.profile_folder(&name).join("config.json")).ok()?;
            Some(self.look(ProfileName::parse(name).ok()?, file))
        });
        Ok(futures::future::join_all(looks).await)
    }

    async fn prove(&self, profile: &ProfileName) -> Result<Proof, Failure> {
        proof::prove(&self.around, profile).await
    }

    async fn start(&self, profile: &ProfileName, spec: &StartSpec, progress: &dyn Progress) -> Result<(), Failure> {
        let exists = self.around.profile_names().iter().any(|name| name == profile.as_str());
        // A profile keeps what it was made with; minikube refuses some of these for an existing one.
        let settings = if exists { Vec::new() } else { start_arguments(spec)? };
        let kubeconfig = std::env::join_paths(&self.around.kubeconfigs).map_err(|error| Failure::internal("join the kubeconfig paths").cause(error))?;
        let run =
            self.around.minikube(kubeconfig).args(["start", "-o", "json", "--interactive=false", "--keep-context", "-p", profile.as_str()]).args(settings);
        let mut faults: Vec<(String, String)> = Vec::new();
        let ran = run
            .deadline(Duration::from_secs(15 * 60))
            .grace(Duration::from_secs(20))
            .lines(&mut |stream, line| {
                let Some(happening) = Happening::parse(line).filter(|_| stream == Stream::Out) else { return };
                if happening.tell(progress) {
                    faults.push((plain(happening.text("message"), 500), plain(happening.text("advice"), 300)));
                }
            })
            .await?;
        let Err(seen) = proof::prove(&self.around, profile).await else { return Ok(()) };
        let mut failure =
            if faults.is_empty() { ran.failure("start the cluster") } else { Failure::new(Code::ProgramFailed, "start the cluster: minikube says no") };
        for (message, _) in &faults {
            failure = failure.cause(message);
        }
        let advice = faults.iter().map(|(_, advice)| advice.trim()).find(|advice| !advice.is_empty());
        let help = advice.map_or_else(|| format!("run 'minikube start -p {profile}' in a terminal; 'minikube logs -p {profile}' says more"), str::to_owned);
        Err(failure.cause(seen).help(help))
    }

    async fn addons(&self, profile: &ProfileName) -> Result<BTreeSet<String>, Failure> {
        match self.around.profile(profile) {
            Ok(file) => Ok(file.addons.into_iter().filter_map(|(addon, on)| on.then_some(addon)).collect()),
            Err(failure) if failure.code == Code::ProfileNotFound => Ok(BTreeSet::new()),
            Err(failure) => Err(failure),
        }
    }

    async fn enable_addon(&self, profile: &ProfileName, addon: &str) -> Result<bool, Failure> {
        self.switch_addon(profile, addon, "enable", true).await
    }

    async fn disable_addon(&self, profile: &ProfileName, addon: &str) -> Result<bool, Failure> {
        self.switch_addon(profile, addon, "disable", false).await
    }

    async fn programs(&self) -> Vec<Program> {
        let minikube = program("minikube", &["version", "-o", "json"], |text| {
            let value: serde_json::Value = serde_json::from_str(text.trim()).ok()?;
            Some(value.get("minikubeVersion")?.as_str()?.to_owned())
        });
        let helm = program("helm", &["version", "--template", "{{.Version}}"], |text| Some(text.trim().to_owned()));
        let kubectl = program("kubectl", &["version", "--client", "-o", "json"], |text| {
            let value: serde_json::Value = serde_json::from_str(text.trim()).ok()?;
            Some(value.get("clientVersion")?.get("gitVersion")?.as_str()?.to_owned())
        });
        let (mut minikube, mut helm, mut kubectl, engine) = tokio::join!(minikube, helm, kubectl, self.engine_program());
        too_old(&mut minikube, (1, 30));
        too_old(&mut helm, (3, 14));
        if kubectl.path.is_none() {
            "optional: Landfall does without it".clone_into(&mut kubectl.problem);
        }
        vec![minikube, helm, kubectl, engine]
    }
}

impl Minikube {
    /// Switches an addon and looks whether minikube knows it so; true where it was otherwise before.
    async fn switch_addon(&self, profile: &ProfileName, addon: &str, verb: &str, on: bool) -> Result<bool, Failure> {
        if addon.is_empty() || addon.starts_with('-') || !addon.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-') {
            return Err(
                Failure::new(Code::BadArgument, format!("addon {:?} is not valid", plain(addon, 60))).help("use a name that 'minikube addons list' prints")
            );
        }
        let proof = self.prove(profile).await?;
        if self.addon_enabled(&proof, addon).await? == on {
            return Ok(false);
        }
        let run = self.around.minikube(&proof.kubeconfig).args(["addons", verb, addon, "-p", profile.as_str()]);
        // Some addons wait up to six minutes for their pods.
        let ran = run.deadline(Duration::from_secs(7 * 60)).output().await?;
        match self.addon_enabled(&proof, addon).await? == on {
            true => Ok(true),
            false if on => Err(ran.failure(&format!("{verb} the addon {addon}")).help(proof.leftovers(addon))),
            false => Err(ran.failure(&format!("{verb} the addon {addon}"))),
        }
    }

    async fn addon_enabled(&self, proof: &Proof, addon: &str) -> Result<bool, Failure> {
        let run = self.around.minikube(&proof.kubeconfig).args(["addons", "list", "-o", "json", "-p", proof.profile.name.as_str()]);
        let all: BTreeMap<String, serde_json::Value> = run.deadline(Duration::from_secs(20)).output().await?.json("list the addons")?;
        let found = all.get(addon).ok_or_else(|| {
            Failure::new(Code::BadArgument, format!("minikube has no addon {addon}"))
                .help(format!("use one that 'minikube addons list -p {}' prints", proof.profile.name))
        })?;
        Ok(found.get("Status").and_then(serde_json::Value::as_str) == Some("enabled"))
    }

    async fn engine_program(&self) -> Program {
        let path = exec::locate("docker").map(|path| path.display().to_string());
        match Engine::host(&self.around).await {
            Ok(engine) => Program {
                name: "docker".to_owned(),
                path: Some(engine.address().to_string()),
                version: engine.version().await,
                problem: self
                    .around
                    .remote_engine
                    .as_ref()
                    .map(|host| format!("the environment names an engine that is not on this machine: {host}"))
                    .unwrap_or_default(),
                help: self.around.remote_engine.as_ref().map(|_| "unset DOCKER_HOST, or: docker context use default".to_owned()).unwrap_or_default(),
            },
            Err(failure) => Program {
                name: "docker".to_owned(),
                problem: format!("{}: {}", failure.message, failure.causes.first().cloned().unwrap_or_default()),
                help: if path.is_some() { failure.help } else { exec::installs("docker") },
                path,
                version: None,
            },
        }
    }
}

/// Asks a program for its version.
async fn program(name: &str, arguments: &[&str], version: fn(&str) -> Option<String>) -> Program {
    let mut found = Program { name: name.to_owned(), path: None, version: None, problem: String::new(), help: String::new() };
    let Some(path) = exec::locate(name) else {
        "not found".clone_into(&mut found.problem);
        found.help = exec::installs(name);
        return found;
    };
    found.path = Some(path.display().to_string());
    match Run::new(name).args(arguments).deadline(Duration::from_millis(1_800)).grace(Duration::from_millis(100)).output().await {
        Ok(ran) => match version(&ran.stdout).filter(|_| ran.ok()) {
            Some(version) => found.version = Some(plain(version.trim_start_matches('v'), 60)),
            None => found.problem = format!("does not tell its version: {}", plain(exec::last_lines(&ran.stderr, 1).first().copied().unwrap_or_default(), 200)),
        },
        Err(failure) => found.problem = failure.to_string(),
    }
    if !found.problem.is_empty() {
        found.help = format!("run '{name} {}' in a terminal, or {}", arguments.join(" "), exec::installs(name));
    }
    found
}

/// Says so where the version is older than the oldest that works.
fn too_old(program: &mut Program, least: (u32, u32)) {
    let Some(version) = program.version.as_deref().and_then(version_of) else { return };
    if version < least {
        program.problem = format!("too old: {}.{} is the oldest that works", least.0, least.1);
        program.help = format!("install a newer one: {}", exec::installs(&program.name));
    }
}

/// Major and minor of `v1.2.3`.
pub fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim().trim_start_matches('v').split(['.', '-', '+']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(variables: &[(&str, &str)]) -> Surroundings {
        let map: BTreeMap<String, OsString> = variables.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(*value))).collect();
        Surroundings::of(PathBuf::from("/state"), &|name| map.get(name).cloned())
    }

    #[test]
    fn the_minikube_home_ends_as_minikube_wants_it() {
        let check = |given: Option<&str>, expect: &str| {
            let mut variables = vec![("HOME", "/home/me")];
            variables.extend(given.map(|value| ("MINIKUBE_HOME", value)));
            assert_eq!(around(&variables).minikube_home, PathBuf::from(expect));
        };
        check(None, "/home/me/.minikube");
        check(Some(""), "/home/me/.minikube");
        check(Some("/data"), "/data/.minikube");
        check(Some("/data/.minikube"), "/data/.minikube");
    }

    #[test]
    fn an_engine_elsewhere_is_seen_as_such() {
        let check = |variables: &[(&str, &str)], remote: Option<&str>, socket: Option<&str>| {
            let around = around(variables);
            assert_eq!(around.remote_engine.as_deref(), remote, "{variables:?}");
            assert_eq!(around.docker_host.as_deref(), socket, "{variables:?}");
        };
        check(&[("HOME", "/home/me")], None, None);
        check(&[("HOME", "/home/me"), ("DOCKER_HOST", "unix:///run/user/1/docker.sock")], None, Some("unix:///run/user/1/docker.sock"));
        check(&[("HOME", "/home/me"), ("DOCKER_HOST", "tcp://10.0.0.9:2376")], Some("tcp://10.0.0.9:2376"), None);
        check(&[("HOME", "/home/me"), ("DOCKER_HOST", "ssh://build@far")], Some("ssh://build@far"), None);
        check(&[("HOME", "/home/me"), ("CONTAINER_HOST", "ssh://far/run/podman.sock")], Some("ssh://far/run/podman.sock"), None);
        // docker-env was evaluated: the node's engine is not the host's.
        check(&[("HOME", "/home/me"), ("DOCKER_HOST", "tcp://192.168.49.2:2376"), ("MINIKUBE_ACTIVE_DOCKERD", "minikube")], None, None);
    }

    #[test]
    fn a_docker_context_names_the_engine() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".docker/contexts/meta").join(crate::names::Digest::of("far").as_str());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(home.path().join(".docker/config.json"), r#"{"currentContext":"far"}"#).unwrap();
        std::fs::write(folder.join("meta.json"), r#"{"Name":"far","Endpoints":{"docker":{"Host":"ssh://far"}}}"#).unwrap();
        let home = home.path().to_str().unwrap();
        assert_eq!(around(&[("HOME", home)]).remote_engine.as_deref(), Some("ssh://far"));
        assert_eq!(around(&[("HOME", home), ("DOCKER_CONTEXT", "default")]).remote_engine, None);
        assert_eq!(around(&[("HOME", home), ("DOCKER_HOST", "unix:///x")]).remote_engine, None);
    }

    #[test]
    fn status_is_read_in_every_form_minikube_prints() {
        let check = |text: &str, expect: Option<ProfileStatus>| assert_eq!(from_status(text), expect, "{text}");
        check(
            r#"{"Name":"a","Host":"Running","Kubelet":"Running","APIServer":"Running","Kubeconfig":"Misconfigured","Worker":false}"#,
            Some(ProfileStatus::Running),
        );
        check(r#"{"Name":"a","Host":"Stopped","Kubelet":"Stopped","APIServer":"Stopped"}"#, Some(ProfileStatus::Stopped));
        check(r#"{"Name":"a","Host":"Running","Kubelet":"Stopped","APIServer":"Paused"}"#, Some(ProfileStatus::Paused));
        check(r#"{"Name":"a","Host":"Nonexistent","Kubelet":"Nonexistent","APIServer":"Nonexistent"}"#, Some(ProfileStatus::Absent));
        check(
            r#"[{"Name":"a","Host":"Running","APIServer":"Running"},{"Name":"a-m02","Host":"Running","APIServer":"Irrelevant"}]"#,
            Some(ProfileStatus::Running),
        );
        check(
            r#"[{"Name":"a","Host":"Running","APIServer":"Running"},{"Name":"a-m02","Host":"Stopped","APIServer":"Irrelevant"}]"#,
            Some(ProfileStatus::Degraded),
        );
        check(r#"{"Name":"a","Host":"Running","APIServer":"Stopped"}"#, Some(ProfileStatus::Degraded));
        check("null", Some(ProfileStatus::Absent));
        check("X Exiting", None);
    }

    #[test]
    fn a_profile_file_becomes_nodes_with_names() {
        let text = r#"{"Name":"p","Driver":"docker","APIServerPort":8443,"KubernetesConfig":{"KubernetesVersion":"v1.34.4","ContainerRuntime":"containerd"},
            "Nodes":[{"Name":"","IP":"192.168.49.2","Port":8443,"ControlPlane":true,"Worker":true},{"Name":"m02","IP":"192.168.49.3","Port":0,"ControlPlane":false}]}"#;
        let profile = ProfileFile::parse(text).unwrap().profile(&ProfileName::parse("p").unwrap(), ProfileStatus::Running);
        assert_eq!(profile.runtime, Runtime::Containerd);
        let nodes: Vec<_> = profile.nodes.iter().map(|node| (node.name.as_str(), node.port, node.control_plane)).collect();
        assert_eq!(nodes, [("p", 8443, true), ("p-m02", 8443, false)]);
    }

    #[tokio::test]
    async fn only_addons_that_are_on_are_told() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".minikube/profiles/p");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("config.json"), r#"{"Name":"p","Addons":{"metrics-server":true,"registry":false}}"#).unwrap();
        let minikube = Minikube::with(around(&[("HOME", home.path().to_str().unwrap())]));
        let on = async |profile: &str| minikube.addons(&ProfileName::parse(profile).unwrap()).await.unwrap().into_iter().collect::<Vec<_>>();
        assert_eq!(on("p").await, ["metrics-server"]);
        assert!(on("other").await.is_empty());
    }

    #[test]
    fn a_profile_that_is_not_there_is_answered_with_those_that_are() {
        let home = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir_all(home.path().join(".minikube/profiles").join(name)).unwrap();
            std::fs::write(home.path().join(".minikube/profiles").join(name).join("config.json"), "{}").unwrap();
        }
        let around = around(&[("HOME", home.path().to_str().unwrap())]);
        let failure = around.profile(&ProfileName::parse("three").unwrap()).unwrap_err();
        assert_eq!(failure.code, Code::ProfileNotFound);
        assert!(failure.help.starts_with("use one of: one, two"), "{}", failure.help);
        assert!(around.profile(&ProfileName::parse("..").unwrap()).is_err());
    }

    #[derive(Default)]
    struct Heard(std::sync::Mutex<Vec<String>>);
    impl Progress for Heard {
        fn note(&self, text: &str) {
            self.0.lock().unwrap().push(text.to_owned());
        }
        fn amount(&self, done: u64, total: u64) {
            self.0.lock().unwrap().push(format!("{done}/{total}"));
        }
    }

    #[test]
    fn the_lines_of_a_start_become_progress() {
        let heard = Heard::default();
        let tell = |line: &str| Happening::parse(line).is_some_and(|happening| happening.tell(&heard));
        assert!(!tell(
            r#"{"specversion":"1.0","type":"io.k8s.sigs.minikube.step","data":{"currentstep":"3","message":"Starting node","name":"Starting Node","totalsteps":"19"}}"#
        ));
        assert!(!tell(
            r#"{"type":"io.k8s.sigs.minikube.download.progress","data":{"artifact":"preload.tar","currentstep":"5","progress":"0.42","totalsteps":"19"}}"#
        ));
        assert!(!tell("not json"));
        assert!(tell(r#"{"type":"io.k8s.sigs.minikube.error","data":{"exitcode":"60","message":"engine says no","name":"DRV","advice":"start it"}}"#));
        assert_eq!(*heard.0.lock().unwrap(), ["Starting node", "3/19", "downloading preload.tar: 42 %"]);
    }

    #[test]
    fn settings_of_a_start_are_checked() {
        let with = |driver: &str| {
            start_arguments(&StartSpec { cpus: Some(4), memory: Some("6g".to_owned()), driver: Some(driver.to_owned()), ..StartSpec::default() })
        };
        assert_eq!(with("docker").unwrap(), ["--cpus=4", "--memory=6g", "--driver=docker"]);
        for bad in ["ssh", "none", "--force", "a b", ""] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(version_of("v3.9.1"), Some((3, 9)));
        assert!(version_of("4.2.4") > Some((3, 14)));
        assert_eq!(version_of("unknown"), None);
    }
}
