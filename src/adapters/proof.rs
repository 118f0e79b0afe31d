//! The proof that a target is a live local Minikube: facts are gathered from minikube's files, the engine and a pinned TLS connection, and judged purely.

use crate::adapters::engine::{self, Container};
use crate::adapters::minikube::{ProfileFile, Surroundings, from_status, in_containers};
use crate::adapters::wire::{self, Address, WireError};
use crate::failure::{Code, Failure};
use crate::names::ProfileName;
use crate::ports::{Node, Profile, ProfileStatus, Proof, ProofCheck};
use crate::secret::plain;
use base64::Engine as _;
use futures::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// How long one address may take to shake hands and answer.
const ANSWER: Duration = Duration::from_millis(1_200);
/// How long an API server may be silent before minikube is asked whether it is meant to be.
const QUIET: Duration = Duration::from_millis(250);
/// No answer that the proof needs is longer.
const LONGEST: usize = 1024 * 1024;

/// Everything that the judgement looks at.
#[derive(Clone, Debug)]
pub struct Facts {
    pub profile: String,
    pub driver: String,
    pub nodes: Vec<Node>,
    /// Host and port of the address that all control planes share, where there is one.
    pub shared_address: Option<String>,
    /// What is wrong with the owner or mode of minikube's folder and CA.
    pub home_trouble: Option<String>,
    /// An engine outside this machine that the environment names.
    pub remote_engine: Option<String>,
    /// The node containers, in the order of the nodes; an error where no engine could be asked.
    pub containers: Result<Vec<Container>, String>,
    /// SHA-256 of minikube's CA.
    pub authority: Result<String, String>,
    /// SHA-256 of the API server certificate that minikube made for this profile.
    pub own_certificate: Option<String>,
    /// Why the profile's client certificate and key cannot be used.
    pub credential_trouble: Option<String>,
    /// `https://address:port` that was asked.
    pub server: String,
    pub answer: Answer,
    /// True where the API server is silent because minikube has the machine stopped.
    pub stopped: bool,
    /// The context of the profile's name in the user's kubeconfig.
    pub context: Context,
}

/// What the API server's address answered to a TLS connection that trusts minikube's CA alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nobody is there, or it does not speak.
    Silent(String),
    /// Somebody is there whose certificate minikube's CA did not sign, or who refuses ours.
    Stranger(String),
    Spoke(Spoken),
}

/// What a peer with the right certificate said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spoken {
    /// HTTP status of `/version`; 0 where the answer broke off.
    pub status: u16,
    pub version: String,
    /// SHA-256 of the certificate it showed.
    pub certificate: String,
    /// Name and `minikube.k8s.io/name` label of each node; None where they could not be read.
    pub labels: Option<Vec<(String, Option<String>)>>,
}

/// The context of the profile's name in the user's kubeconfig.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Context {
    #[default]
    Absent,
    /// The files could not be read; they are not used for anything.
    Unreadable(String),
    Found(Box<ContextFacts>),
}

/// What the user's kubeconfig says under the profile's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextFacts {
    pub file: String,
    pub cluster: String,
    pub server: String,
    /// SHA-256 of the cluster's CA.
    pub authority: Result<String, String>,
    /// Fields that no minikube context has: `exec`, `token`, `proxy-url`, ….
    pub foreign_fields: Vec<String>,
    /// The `provider` of minikube's own extension, where there is one.
    pub provider: Option<String>,
}

impl Facts {
    /// The addresses of the API server that belong to the profile: its control planes', the shared one, and the published ports of its containers.
    fn addresses(&self) -> Vec<String> {
        addresses(&self.nodes, self.shared_address.as_deref(), self.containers.as_deref().unwrap_or_default())
    }
}

fn addresses(nodes: &[Node], shared: Option<&str>, containers: &[Container]) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for node in nodes.iter().filter(|node| node.control_plane) {
        let container = containers.iter().find(|container| container.name == node.name);
        // Where nodes are containers, an address counts only while the container has it.
        if container.is_none_or(|container| container.running && container.addresses.contains(&node.ip)) {
            all.push(join(&node.ip, node.port));
        }
        let forwarded = container.filter(|container| container.running && container.of_profile).and_then(|container| container.loopback(node.port));
        all.extend(forwarded.map(|socket| socket.to_string()));
    }
    all.extend(shared.map(str::to_owned));
    all.retain(|address| address.parse::<SocketAddr>().is_ok());
    all.dedup();
    all
}

fn join(ip: &str, port: u16) -> String {
    ip.parse::<IpAddr>().map_or_else(|_| format!("{ip}:{port}"), |ip| SocketAddr::new(ip, port).to_string())
}

/// Judges the facts. The target is proven where every check is ok.
pub fn judge(facts: &Facts) -> Vec<ProofCheck> {
    let mut all = vec![home(facts), driver(facts), engine_is_local(facts)];
    all.extend(node_containers(facts));
    all.extend([server(facts), class(facts), authority(facts), credentials(facts), handshake(facts)]);
    all.extend(own_certificate(facts));
    all.push(labels(facts));
    all.extend(context(facts));
    all
}

fn check(name: &str, expected: impl Into<String>, seen: impl Into<String>, ok: bool) -> ProofCheck {
    ProofCheck { check: name.to_owned(), expected: expected.into(), seen: plain(&seen.into(), 300), ok }
}

fn home(facts: &Facts) -> ProofCheck {
    let seen = facts.home_trouble.clone().unwrap_or_else(|| "owned by you".to_owned());
    check("minikube home", "owned by you, not writable by others", seen, facts.home_trouble.is_none())
}

fn driver(facts: &Facts) -> ProofCheck {
    let local = ["docker", "podman", "kvm2", "qemu", "qemu2", "hyperkit", "hyperv", "parallels", "virtualbox", "vmware", "vfkit", "krunkit"];
    check("driver", "one that makes an isolated machine on this computer", facts.driver.as_str(), local.contains(&facts.driver.as_str()))
}

fn engine_is_local(facts: &Facts) -> ProofCheck {
    let seen = facts.remote_engine.clone().unwrap_or_else(|| "on this machine".to_owned());
    check("container engine", "on this machine", seen, facts.remote_engine.is_none() || !in_containers(&facts.driver))
}

/// Where nodes are containers: each control plane is one, minikube labelled it for this profile, and it has the address that the profile says.
fn node_containers(facts: &Facts) -> Option<ProofCheck> {
    if !in_containers(&facts.driver) {
        return None;
    }
    let expected =
        facts.nodes.iter().filter(|node| node.control_plane).map(|node| format!("{} running at {}", node.name, node.ip)).collect::<Vec<_>>().join(", ");
    let name = "node container";
    let containers = match &facts.containers {
        Ok(containers) => containers,
        // podman often has no socket; the node's labels and certificate bind it to the profile then.
        Err(why) => return Some(check(name, expected, format!("not asked: {why}"), facts.driver == "podman")),
    };
    let mut seen = Vec::new();
    let mut ok = !expected.is_empty();
    for node in facts.nodes.iter().filter(|node| node.control_plane) {
        let container = containers.iter().find(|container| container.name == node.name).filter(|container| container.exists);
        let text = match container {
            None => "absent".to_owned(),
            Some(container) if !container.of_profile => "not made by minikube for this profile".to_owned(),
            Some(container) if !container.running => "stopped".to_owned(),
            Some(container) => format!("running at {}", container.addresses.join(" ")),
        };
        ok &= container.is_some_and(|container| {
            container.of_profile && container.running && (container.addresses.contains(&node.ip) || container.loopback(node.port).is_some())
        });
        seen.push(format!("{} {text}", node.name));
    }
    Some(check(name, expected, seen.join(", "), ok))
}

fn server(facts: &Facts) -> ProofCheck {
    let expected = facts.addresses();
    let ok = facts.server.strip_prefix("https://").is_some_and(|address| expected.iter().any(|one| one == address));
    check("server address", format!("https with one of {}", expected.join(", ")), facts.server.as_str(), ok)
}

fn class(facts: &Facts) -> ProofCheck {
    let ip = facts.server.strip_prefix("https://").and_then(|address| address.parse::<SocketAddr>().ok()).map(|socket| socket.ip());
    check("address class", "loopback, private or link-local, no name", facts.server.as_str(), ip.is_some_and(is_local))
}

/// Loopback, RFC 1918, unique local or link-local.
fn is_local(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

fn authority(facts: &Facts) -> ProofCheck {
    match &facts.authority {
        Ok(print) => check("minikube CA", "one certificate in ca.crt", format!("sha256 {print}"), true),
        Err(why) => check("minikube CA", "one certificate in ca.crt", why.as_str(), false),
    }
}

fn credentials(facts: &Facts) -> ProofCheck {
    let seen = facts.credential_trouble.clone().unwrap_or_else(|| "client certificate and key".to_owned());
    check("client certificate", "the profile's client certificate and key", seen, facts.credential_trouble.is_none())
}

fn handshake(facts: &Facts) -> ProofCheck {
    let name = "handshake with that CA alone";
    match &facts.answer {
        Answer::Silent(why) => check(name, "an API server that answers", why.as_str(), false),
        Answer::Stranger(why) => check(name, "a certificate signed by minikube's CA", why.as_str(), false),
        Answer::Spoke(Spoken { status: 0, .. }) => check(name, "an API server that answers", "an answer that broke off", false),
        Answer::Spoke(spoken) => {
            check(name, "an API server that answers", format!("HTTP {} {}", spoken.status, spoken.version), spoken.status == 200 && !spoken.version.is_empty())
        }
    }
}

/// The CA is shared by all profiles of one home; the server's own certificate is not.
fn own_certificate(facts: &Facts) -> Option<ProofCheck> {
    let Answer::Spoke(spoken) = &facts.answer else { return None };
    let own = facts.own_certificate.as_ref()?;
    Some(check("server certificate", format!("sha256 {own}"), format!("sha256 {}", spoken.certificate), *own == spoken.certificate))
}

/// minikube labels its nodes shortly after the start: a mismatch refuses, absence does so only where nothing else binds the server to the profile.
fn labels(facts: &Facts) -> ProofCheck {
    let names: Vec<&str> = facts.nodes.iter().map(|node| node.name.as_str()).collect();
    let expected = format!("nodes {} labelled {}", names.join(", "), facts.profile);
    let Answer::Spoke(Spoken { labels: Some(labels), .. }) = &facts.answer else {
        let bound =
            facts.own_certificate.is_some() || facts.containers.as_ref().is_ok_and(|containers| containers.iter().any(|container| container.of_profile));
        return check("node labels", expected, "not readable", bound);
    };
    let strangers = labels.iter().any(|(node, label)| !names.contains(&node.as_str()) || label.as_ref().is_some_and(|label| *label != facts.profile));
    let bound = facts.own_certificate.is_some() || in_containers(&facts.driver) || labels.iter().any(|(_, label)| label.is_some());
    let seen = labels.iter().map(|(node, label)| format!("{node} labelled {}", label.as_deref().unwrap_or("nothing yet"))).collect::<Vec<_>>().join(", ");
    check("node labels", expected, if seen.is_empty() { "no nodes".to_owned() } else { seen }, !strangers && bound)
}

/// The user's own kubeconfig is not used; a context of the profile's name that means something else shows that names are not to be trusted here.
fn context(facts: &Facts) -> Vec<ProofCheck> {
    let found = match &facts.context {
        Context::Absent => return vec![check("your kubeconfig", "no other meaning of the name", "no context of this name", true)],
        Context::Unreadable(why) => return vec![check("your kubeconfig", "no other meaning of the name", format!("not readable, and not used: {why}"), true)],
        Context::Found(found) => found,
    };
    let expected = facts.addresses();
    let same_server = found.server.strip_prefix("https://").is_some_and(|address| expected.iter().any(|one| one == address.trim_end_matches('/')));
    let same_authority = matches!((&found.authority, &facts.authority), (Ok(theirs), Ok(ours)) if theirs == ours);
    let seen_authority = match &found.authority {
        Ok(print) => format!("sha256 {print}"),
        Err(why) => why.clone(),
    };
    let fields = if found.foreign_fields.is_empty() { "client certificate and key".to_owned() } else { found.foreign_fields.join(", ") };
    let mut all = vec![
        check("context cluster", format!("{} in {}", facts.profile, found.file), found.cluster.as_str(), found.cluster == facts.profile),
        check("context server", format!("https with one of {}", expected.join(", ")), found.server.as_str(), same_server),
        check("context CA", facts.authority.as_ref().map_or_else(Clone::clone, |print| format!("sha256 {print}")), seen_authority, same_authority),
        check("context user", "client certificate and key, no proxy, no exec", fields, found.foreign_fields.is_empty()),
    ];
    if let Some(provider) = &found.provider {
        all.push(check("context provider", "minikube.sigs.k8s.io", provider.as_str(), provider == "minikube.sigs.k8s.io"));
    }
    all
}

/// What the user's kubeconfig files say under this name; the first file that has it counts, as for kubectl.
pub fn read_context(files: &[std::path::PathBuf], name: &str) -> Context {
    let mut trouble = None;
    let parsed: Vec<(std::path::PathBuf, Value)> = files
        .iter()
        .filter_map(|path| {
            let text = match std::fs::read_to_string(path) {
                Ok(text) => text,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
                Err(error) => {
                    trouble = Some(format!("{}: {error}", path.display()));
                    return None;
                }
            };
            match serde_saphyr::from_str::<Value>(&text) {
                Ok(value) => Some((path.clone(), value)),
                // The parser's message may quote the file, and the file holds credentials.
                Err(_) => {
                    trouble = Some(format!("{} is not YAML", path.display()));
                    None
                }
            }
        })
        .collect();
    let named = |list: &str, name: &str| {
        parsed.iter().find_map(|(path, value)| {
            let found = value.get(list)?.as_array()?.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name))?;
            Some((path.clone(), found.clone()))
        })
    };
    let Some((file, context)) = named("contexts", name) else { return trouble.map_or(Context::Absent, Context::Unreadable) };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let context = context.get("context").cloned().unwrap_or_default();
    let cluster_name = text(context.get("cluster"));
    let (cluster_file, cluster) = named("clusters", &cluster_name).unwrap_or_else(|| (file.clone(), Value::Null));
    let cluster = cluster.get("cluster").cloned().unwrap_or_default();
    let user = named("users", &text(context.get("user"))).and_then(|(_, user)| user.get("user").cloned()).unwrap_or_default();
    let extension =
        |value: &Value| value.get("extensions")?.as_array()?.iter().find_map(|one| Some(one.get("extension")?.get("provider")?.as_str()?.to_owned()));
    Context::Found(Box::new(ContextFacts {
        file: file.display().to_string(),
        server: text(cluster.get("server")),
        authority: context_authority(&cluster, cluster_file.parent().unwrap_or(Path::new("/"))),
        foreign_fields: foreign_fields(&cluster, &user),
        provider: extension(&context).or_else(|| extension(&cluster)),
        cluster: cluster_name,
    }))
}

/// The fields of a cluster and a user entry that minikube never writes and that would lead a client elsewhere or run a program.
fn foreign_fields(cluster: &Value, user: &Value) -> Vec<String> {
    let set = |value: &Value| !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("");
    let mut all = Vec::new();
    for field in ["insecure-skip-tls-verify", "proxy-url", "tls-server-name"] {
        all.extend(cluster.get(field).filter(|value| set(value)).map(|_| field.to_owned()));
    }
    for field in ["exec", "auth-provider", "token", "tokenFile", "username", "password", "as", "as-uid", "as-groups", "as-user-extra"] {
        all.extend(user.get(field).filter(|value| set(value)).map(|_| field.to_owned()));
    }
    all
}

fn context_authority(cluster: &Value, folder: &Path) -> Result<String, String> {
    if let Some(data) = cluster.get("certificate-authority-data").and_then(Value::as_str).filter(|data| !data.is_empty()) {
        let text = base64::engine::general_purpose::STANDARD.decode(data.trim()).map_err(|_| "certificate-authority-data is not base64".to_owned())?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text).filter_map(Result::ok).collect();
        return match certificates.as_slice() {
            [one] => Ok(wire::fingerprint(one)),
            several => Err(format!("certificate-authority-data holds {} certificates", several.len())),
        };
    }
    match cluster.get("certificate-authority").and_then(Value::as_str).filter(|path| !path.is_empty()) {
        Some(path) => wire::certificate(&folder.join(path)).map(|certificate| wire::fingerprint(&certificate)).map_err(|error| error.line()),
        None => Err("no certificate authority".to_owned()),
    }
}

/// What is wrong with the owner or the mode of minikube's folder and CA; None where all is well.
fn home_trouble(folder: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt as _;
    let me = rustix::process::geteuid().as_raw();
    let look = |path: &Path, follow: bool| {
        let facts = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
        let facts = match facts {
            Ok(facts) => facts,
            Err(error) => return Some(format!("{}: {error}", path.display())),
        };
        if facts.uid() != me {
            return Some(format!("{} belongs to user {}, not to {me}", path.display(), facts.uid()));
        }
        // A group of the user's own (same number) is the user; a symlink has no mode of its own.
        let open = if facts.is_symlink() {
            0
        } else if facts.gid() == facts.uid() {
            0o002
        } else {
            0o022
        };
        (facts.mode() & open != 0).then(|| format!("{} can be written by others (mode {:o})", path.display(), facts.mode() & 0o777))
    };
    let authority = folder.join("ca.crt");
    [(folder, false), (folder, true), (authority.as_path(), false), (authority.as_path(), true)].into_iter().find_map(|(path, follow)| look(path, follow))
}

/// Certificates and keys of a profile, and what stands in the way of using them.
struct Material {
    authority: Result<CertificateDer<'static>, String>,
    trust: Result<std::sync::Arc<rustls::ClientConfig>, String>,
    own: Option<String>,
}

impl Material {
    fn read(around: &Surroundings, profile: &str) -> Self {
        let folder = around.profile_folder(profile);
        let authority = wire::certificate(&around.minikube_home.join("ca.crt")).map_err(|error| error.line());
        let trust = match &authority {
            Ok(authority) => wire::trust(authority, &folder.join("client.crt"), &folder.join("client.key")).map_err(|error| error.line()),
            Err(why) => Err(why.clone()),
        };
        let own = wire::certificate(&folder.join("apiserver.crt")).ok().map(|certificate| wire::fingerprint(&certificate));
        Self { authority, trust, own }
    }
}

fn shared_address(file: &ProfileFile) -> Option<String> {
    let address = Some(file.kubernetes_config.ha_address.as_str()).filter(|address| !address.is_empty())?;
    Some(join(address, if file.api_server_port == 0 { 8443 } else { file.api_server_port }))
}

/// Gathers the facts about a profile. Reads only; runs no program and no credential plugin.
async fn gather(around: &Surroundings, profile: &Profile, file: &ProfileFile) -> Facts {
    let containers = match in_containers(&profile.driver) {
        true => engine::containers(around, profile).await.map_err(|failure| failure.to_string()),
        false => Ok(Vec::new()),
    };
    let material = Material::read(around, profile.name.as_str());
    let context = read_context(&around.kubeconfigs, profile.name.as_str());
    let shared_address = shared_address(file);
    let mut candidates = addresses(&profile.nodes, shared_address.as_deref(), containers.as_deref().unwrap_or_default());
    if let Context::Found(found) = &context {
        // Of the profile's own addresses, the one that the user's context has is tried first.
        candidates.sort_by_key(|address| found.server != format!("https://{address}"));
    }
    // Who is not near is not even spoken to.
    let near: Vec<String> = candidates.iter().filter(|address| address.parse::<SocketAddr>().is_ok_and(|socket| is_local(socket.ip()))).cloned().collect();
    let (server, answer, stopped) = match &material.trust {
        Ok(_) if near.is_empty() && !candidates.is_empty() => {
            (String::new(), Answer::Silent("none of the profile's addresses is on this machine or its private networks; none was asked".to_owned()), false)
        }
        Ok(trust) => ask_or_stopped(around, profile, &near, trust).await,
        Err(why) => (String::new(), Answer::Silent(why.clone()), false),
    };
    let server = if server.is_empty() { candidates.first().cloned().unwrap_or_default() } else { server };
    Facts {
        profile: profile.name.to_string(),
        driver: profile.driver.clone(),
        nodes: profile.nodes.clone(),
        shared_address,
        home_trouble: home_trouble(&around.minikube_home),
        remote_engine: around.remote_engine.clone(),
        containers,
        authority: material.authority.as_ref().map(wire::fingerprint).map_err(Clone::clone),
        own_certificate: material.own,
        credential_trouble: material.trust.err(),
        server: format!("https://{server}"),
        answer,
        stopped,
        context,
    }
}

/// Asks, and where nobody speaks soon, minikube as well: a machine that is off and one that hangs are told apart in the time of one question.
async fn ask_or_stopped(
    around: &Surroundings,
    profile: &Profile,
    candidates: &[String],
    trust: &std::sync::Arc<rustls::ClientConfig>,
) -> (String, Answer, bool) {
    let asking = ask(candidates, trust);
    tokio::pin!(asking);
    // Containers are looked at themselves.
    let machine = !in_containers(&profile.driver);
    let ((server, answer), stopped) = match tokio::time::timeout(QUIET, &mut asking).await {
        Ok((server, answer)) => {
            let stopped = machine && matches!(answer, Answer::Silent(_)) && is_stopped(around, profile.name.as_str()).await;
            ((server, answer), stopped)
        }
        Err(_) if machine => tokio::join!(asking, is_stopped(around, profile.name.as_str())),
        Err(_) => (asking.await, false),
    };
    let stopped = stopped && matches!(answer, Answer::Silent(_));
    (server, answer, stopped)
}

/// Asks all addresses at once and takes the first, in their order, that spoke; else the first stranger; else silence.
async fn ask(candidates: &[String], trust: &std::sync::Arc<rustls::ClientConfig>) -> (String, Answer) {
    let asked = candidates.iter().filter_map(|address| Some((address.clone(), address.parse::<SocketAddr>().ok()?)));
    let answers = join_all(asked.map(|(name, socket)| async move {
        let address = Address::Tls { socket, trust: trust.clone() };
        match tokio::time::timeout(ANSWER, speak(&address)).await {
            Ok(answer) => (name, answer),
            Err(_) => (name, Answer::Silent(format!("{socket}: no answer within {} ms", ANSWER.as_millis()))),
        }
    }))
    .await;
    let rank = |answer: &Answer| match answer {
        Answer::Spoke(_) => 0,
        Answer::Stranger(_) => 1,
        Answer::Silent(_) => 2,
    };
    answers.into_iter().min_by_key(|(_, answer)| rank(answer)).unwrap_or_else(|| (String::new(), Answer::Silent("the profile has no address".to_owned())))
}

async fn speak(address: &Address) -> Answer {
    match converse(address).await {
        Ok(spoken) => Answer::Spoke(spoken),
        Err(error) if error.is_stranger() => Answer::Stranger(error.line()),
        Err(error) => Answer::Silent(error.line()),
    }
}

/// Version and node labels over one connection.
async fn converse(address: &Address) -> Result<Spoken, WireError> {
    let (mut sender, leaf) = address.http::<Empty<bytes::Bytes>>().await?;
    let mut get = async |path: &str, accept: &str| {
        let request = http::Request::get(path).header("host", "localhost").header("accept", accept).body(Empty::new());
        let Ok(request) = request else { return Ok((0, Value::Null)) };
        let fault = |source| WireError::Http { address: address.to_string(), source };
        sender.ready().await.map_err(fault)?;
        let response = sender.send_request(request).await.map_err(fault)?;
        let status = response.status().as_u16();
        let Ok(body) = Limited::new(response.into_body(), LONGEST).collect().await else { return Ok((0, Value::Null)) };
        Ok::<_, WireError>((status, serde_json::from_slice(&body.to_bytes()).unwrap_or_default()))
    };
    let (status, version) = get("/version", "application/json").await?;
    // What has no version to tell is not asked for more.
    let (listed, nodes) = match status {
        200 => get("/api/v1/nodes", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").await?,
        _ => (0, Value::Null),
    };
    let labels = nodes.get("items").and_then(Value::as_array).filter(|_| listed == 200).map(|items| items.iter().map(node_label).collect());
    let version = version.get("gitVersion").and_then(Value::as_str).map(|version| plain(version, 60)).unwrap_or_default();
    Ok(Spoken { status, version, certificate: leaf.as_ref().map(wire::fingerprint).unwrap_or_default(), labels })
}

fn node_label(item: &Value) -> (String, Option<String>) {
    let metadata = item.get("metadata");
    let name = metadata.and_then(|metadata| metadata.get("name")).and_then(Value::as_str).unwrap_or_default();
    let label = metadata.and_then(|metadata| metadata.get("labels")?.get("minikube.k8s.io/name")?.as_str()).map(|label| plain(label, 80));
    (plain(name, 80), label)
}

/// True where the profile's API server answers over a connection that trusts minikube's CA alone.
pub async fn answers(around: &Surroundings, profile: &Profile, file: &ProfileFile, containers: &[Container]) -> bool {
    let Ok(trust) = Material::read(around, profile.name.as_str()).trust else { return false };
    let candidates = addresses(&profile.nodes, shared_address(file).as_deref(), containers);
    matches!(ask(&candidates, &trust).await.1, Answer::Spoke(Spoken { status: 200, .. }))
}

/// Proves the profile and writes its private kubeconfig.
pub async fn prove(around: &Surroundings, name: &ProfileName) -> Result<Proof, Failure> {
    let file = around.profile(name)?;
    let mut profile = file.profile(name, ProfileStatus::Running);
    let facts = gather(around, &profile, &file).await;
    let checks = judge(&facts);
    refuse(&facts, &checks)?;
    let fingerprint = facts.authority.map_err(Failure::internal)?;
    profile.status = ProfileStatus::Running;
    let kubeconfig = around.kubeconfig(name);
    write_kubeconfig(around, name, &facts.server, &kubeconfig)?;
    Ok(Proof { profile, fingerprint, server: facts.server, kubeconfig, checks })
}

/// Proves the same target anew, before a change: still proven, and still the one that it was.
pub async fn again(around: &Surroundings, before: &Proof) -> Result<Proof, Failure> {
    let now = prove(around, &before.profile.name).await?;
    if now.fingerprint == before.fingerprint {
        return Ok(now);
    }
    let help = "somebody made the cluster anew meanwhile: plan again";
    Err(Failure::new(Code::WrongCluster, format!("the cluster behind profile {} is not the one that was planned for", before.profile.name))
        .cause(format!("minikube CA: expected sha256 {}, saw sha256 {}", before.fingerprint, now.fingerprint))
        .help(help))
}

/// The failure that the checks add up to. A cluster that does not run is no wrong cluster.
fn refuse(facts: &Facts, checks: &[ProofCheck]) -> Result<(), Failure> {
    let failed: Vec<&ProofCheck> = checks.iter().filter(|check| !check.ok).collect();
    if failed.is_empty() {
        return Ok(());
    }
    let profile = &facts.profile;
    let start = format!("start it: minikube start -p {profile}");
    let allowed = checks
        .iter()
        .filter(|check| ["minikube home", "driver", "container engine", "minikube CA", "context user"].contains(&check.check.as_str()))
        .all(|check| check.ok);
    let down =
        facts.containers.as_ref().is_ok_and(|containers| !containers.is_empty() && containers.iter().all(|container| !container.running || container.paused));
    if allowed && down && in_containers(&facts.driver) {
        return Err(Failure::new(Code::ClusterStopped, format!("the cluster {profile} does not run")).help(start));
    }
    if let Err(why) = &facts.containers
        && allowed
        && facts.driver == "docker"
    {
        return Err(Failure::new(Code::EngineUnreachable, format!("the container engine that should run {profile} does not answer"))
            .cause(why)
            .help("start the container engine, then call again"));
    }
    if let Answer::Silent(why) = &facts.answer
        && failed.iter().all(|check| check.check.starts_with("handshake") || ["node labels", "client certificate"].contains(&check.check.as_str()))
    {
        let failure = match facts.stopped {
            true => Failure::new(Code::ClusterStopped, format!("the cluster {profile} does not run")).help(start),
            false => Failure::new(Code::ClusterUnreachable, format!("the API server of {profile} does not answer at {}", facts.server))
                .help(format!("wait and call again; if it stays so: minikube start -p {profile}, and 'minikube logs -p {profile}' says why")),
        };
        return Err(failure.cause(why));
    }
    // The right certificate, and no answer now: it starts, ends or is overloaded. Nothing was seen that speaks of another cluster.
    if let Answer::Spoke(spoken @ Spoken { status: 0 | 429 | 500.., .. }) = &facts.answer
        && facts.own_certificate.as_ref() == Some(&spoken.certificate)
        && failed.iter().all(|check| check.check.starts_with("handshake") || check.check == "node labels")
    {
        let seen = handshake(facts).seen;
        return Err(Failure::new(Code::ClusterUnreachable, format!("the API server of {profile} at {} has no answer now: {seen}", facts.server))
            .help(format!("call again in a moment; if it stays so, 'minikube logs -p {profile}' says why")));
    }
    let mut failure = Failure::new(
        Code::WrongCluster,
        format!("{profile} is not proven to be a live local Minikube: {} of {} comparisons failed", failed.len(), checks.len()),
    );
    for check in failed {
        failure = failure.cause(format!("{}: expected {}; saw {}", check.check, check.expected, check.seen));
    }
    Err(failure.help(format!("compare with 'minikube profile list' and 'kubectl config view --context {profile}'; mend what points elsewhere ('minikube update-context -p {profile}' mends the context)")))
}

async fn is_stopped(around: &Surroundings, profile: &str) -> bool {
    let run = around.minikube("/dev/null").args(["status", "-o", "json", "-p", profile]);
    match run.deadline(Duration::from_millis(900)).grace(Duration::from_millis(50)).output().await {
        Ok(ran) => matches!(from_status(&ran.stdout), Some(ProfileStatus::Stopped | ProfileStatus::Absent)),
        Err(_) => false,
    }
}

/// The kubeconfig with this one context: certificates inside, mode 0600, rewritten only where it differs.
fn write_kubeconfig(around: &Surroundings, name: &ProfileName, server: &str, path: &Path) -> Result<(), Failure> {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
    let profile = around.profile_folder(name.as_str());
    let encode = |path: &Path| {
        std::fs::read(path).map(|bytes| base64::engine::general_purpose::STANDARD.encode(bytes)).map_err(|error| Failure::file("read", path, &error))
    };
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: \"{name}\"\nclusters:\n- name: \"{name}\"\n  cluster:\n    server: \"{server}\"\n    certificate-authority-data: {}\n\
         contexts:\n- name: \"{name}\"\n  context:\n    cluster: \"{name}\"\n    user: \"{name}\"\nusers:\n- name: \"{name}\"\n  user:\n    client-certificate-data: {}\n    client-key-data: {}\n",
        encode(&around.minikube_home.join("ca.crt"))?,
        encode(&profile.join("client.crt"))?,
        encode(&profile.join("client.key"))?,
    );
    let folder = path.parent().unwrap_or(Path::new("/"));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| Failure::file("make the folder", folder, &error))?;
    let mut there = String::new();
    let private = std::fs::File::open(path)
        .and_then(|mut file| file.read_to_string(&mut there).and(file.metadata()))
        .is_ok_and(|facts| facts.permissions().mode() & 0o077 == 0);
    if private && there == text {
        return Ok(());
    }
    let fresh = path.with_file_name(format!(".{name}.{}", crate::secret::noise::<6>()?));
    let write = || {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    };
    write().map_err(|error| {
        // The half-written file is of no use to anybody.
        let _ = std::fs::remove_file(&fresh);
        Failure::file("write the private kubeconfig", path, &error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str = "aa11";
    const THEIRS: &str = "bb22";
    const LEAF: &str = "cc33";

    /// A profile `p` on the docker driver with one node, running and well.
    fn healthy() -> Facts {
        let container = Container {
            name: "p".to_owned(),
            exists: true,
            running: true,
            paused: false,
            of_profile: true,
            addresses: vec!["192.168.49.2".to_owned()],
            published: vec![(8443, "127.0.0.1:32769".parse().unwrap()), (2376, "127.0.0.1:32771".parse().unwrap())],
        };
        Facts {
            profile: "p".to_owned(),
            driver: "docker".to_owned(),
            nodes: vec![Node { name: "p".to_owned(), ip: "192.168.49.2".to_owned(), port: 8443, control_plane: true }],
            shared_address: None,
            home_trouble: None,
            remote_engine: None,
            containers: Ok(vec![container]),
            authority: Ok(OURS.to_owned()),
            own_certificate: Some(LEAF.to_owned()),
            credential_trouble: None,
            server: "https://192.168.49.2:8443".to_owned(),
            answer: Answer::Spoke(spoken()),
            stopped: false,
            context: Context::Found(Box::new(own_context())),
        }
    }

    fn spoken() -> Spoken {
        Spoken { status: 200, version: "v1.34.4".to_owned(), certificate: LEAF.to_owned(), labels: Some(vec![("p".to_owned(), Some("p".to_owned()))]) }
    }

    fn own_context() -> ContextFacts {
        ContextFacts {
            file: "/home/me/.kube/config".to_owned(),
            cluster: "p".to_owned(),
            server: "https://192.168.49.2:8443".to_owned(),
            authority: Ok(OURS.to_owned()),
            foreign_fields: Vec::new(),
            provider: Some("minikube.sigs.k8s.io".to_owned()),
        }
    }

    /// The names of the checks that fail after the change; none where the target is proven.
    fn check(change: impl FnOnce(&mut Facts), expect: &[&str]) {
        let mut facts = healthy();
        change(&mut facts);
        let failed: Vec<String> = judge(&facts).into_iter().filter(|check| !check.ok).map(|check| check.check).collect();
        assert_eq!(failed, expect);
    }

    fn of(facts: &mut Facts) -> &mut ContextFacts {
        match &mut facts.context {
            Context::Found(found) => found,
            _ => panic!("the healthy facts have a context"),
        }
    }

    fn container(facts: &mut Facts) -> &mut Container {
        &mut facts.containers.as_mut().unwrap()[0]
    }

    fn say(facts: &mut Facts) -> &mut Spoken {
        match &mut facts.answer {
            Answer::Spoke(spoken) => spoken,
            _ => panic!("the healthy server speaks"),
        }
    }

    #[test]
    fn a_live_local_minikube_is_proven() {
        check(|_| {}, &[]);
        check(|facts| facts.context = Context::Absent, &[]);
        check(|facts| facts.server = "https://127.0.0.1:32769".to_owned(), &[]);
        check(|facts| of(facts).server = "https://127.0.0.1:32769".to_owned(), &[]);
        // Labels come a few seconds after the start.
        check(|facts| say(facts).labels = Some(vec![("p".to_owned(), None)]), &[]);
        check(|facts| facts.own_certificate = None, &[]);
    }

    #[test]
    fn a_context_of_the_profiles_name_that_points_to_a_cloud_refuses() {
        check(
            |facts| {
                of(facts).server = "https://34.118.1.9".to_owned();
                of(facts).authority = Ok(THEIRS.to_owned());
                of(facts).cluster = "gke_prod_europe_main".to_owned();
                of(facts).provider = None;
            },
            &["context cluster", "context server", "context CA"],
        );
    }

    #[test]
    fn a_context_with_minikubes_extension_copied_into_it_refuses() {
        check(|facts| of(facts).server = "https://api.prod.example:6443".to_owned(), &["context server"]);
        check(|facts| of(facts).authority = Ok(THEIRS.to_owned()), &["context CA"]);
        check(|facts| of(facts).provider = Some("kind".to_owned()), &["context provider"]);
    }

    #[test]
    fn a_context_with_our_ca_and_another_address_refuses() {
        check(|facts| of(facts).server = "https://192.168.58.2:8443".to_owned(), &["context server"]);
    }

    #[test]
    fn a_tunnel_on_loopback_refuses() {
        check(|facts| of(facts).server = "https://127.0.0.1:8443".to_owned(), &["context server"]);
        check(|facts| facts.server = "https://127.0.0.1:8443".to_owned(), &["server address"]);
    }

    #[test]
    fn a_context_without_tls_or_without_a_ca_refuses() {
        check(|facts| of(facts).server = "http://192.168.49.2:8443".to_owned(), &["context server"]);
        check(|facts| of(facts).authority = Err("no certificate authority".to_owned()), &["context CA"]);
    }

    #[test]
    fn every_field_that_leads_elsewhere_or_runs_something_refuses() {
        let fields = |cluster: Value, user: Value| foreign_fields(&cluster, &user);
        use serde_json::json;
        assert_eq!(fields(json!({"server": "x", "insecure-skip-tls-verify": true}), json!({})), ["insecure-skip-tls-verify"]);
        assert_eq!(fields(json!({"insecure-skip-tls-verify": false, "proxy-url": ""}), json!({"client-key": "k"})), Vec::<String>::new());
        assert_eq!(fields(json!({"proxy-url": "socks5://far:1080", "tls-server-name": "x"}), json!({})), ["proxy-url", "tls-server-name"]);
        for field in ["exec", "auth-provider", "token", "tokenFile", "username", "password", "as", "as-groups"] {
            let mut user = serde_json::Map::new();
            user.insert(field.to_owned(), json!(["x"]));
            assert_eq!(fields(json!({}), Value::Object(user)), [field]);
            check(|facts| of(facts).foreign_fields = vec![field.to_owned()], &["context user"]);
        }
    }

    #[test]
    fn drivers_that_are_not_an_isolated_local_machine_refuse() {
        for driver in ["ssh", "generic", "none", "mock", ""] {
            check(
                |facts| {
                    facts.driver = driver.to_owned();
                    facts.containers = Ok(Vec::new());
                },
                &["driver"],
            );
        }
    }

    #[test]
    fn a_remote_engine_refuses() {
        check(|facts| facts.remote_engine = Some("tcp://10.0.0.9:2376".to_owned()), &["container engine"]);
        // It says nothing about a virtual machine.
        check(
            |facts| {
                facts.remote_engine = Some("tcp://10.0.0.9:2376".to_owned());
                facts.driver = "kvm2".to_owned();
                facts.containers = Ok(Vec::new());
            },
            &[],
        );
    }

    #[test]
    fn a_server_that_minikubes_ca_did_not_sign_refuses() {
        check(|facts| facts.answer = Answer::Stranger("invalid peer certificate: UnknownIssuer".to_owned()), &["handshake with that CA alone"]);
        check(|facts| say(facts).status = 401, &["handshake with that CA alone"]);
        check(|facts| say(facts).version = String::new(), &["handshake with that CA alone"]);
    }

    #[test]
    fn a_second_profile_of_the_same_home_refuses() {
        // The same CA and an address that the other has now: labels and the server's own certificate tell them apart.
        check(
            |facts| {
                say(facts).labels = Some(vec![("q".to_owned(), Some("q".to_owned()))]);
                say(facts).certificate = "dd44".to_owned();
            },
            &["server certificate", "node labels"],
        );
        check(|facts| say(facts).labels = Some(vec![("p".to_owned(), Some("q".to_owned()))]), &["node labels"]);
    }

    #[test]
    fn a_node_that_the_profile_does_not_know_refuses() {
        check(|facts| say(facts).labels.as_mut().unwrap().push(("stranger".to_owned(), None)), &["node labels"]);
    }

    #[test]
    fn an_address_that_another_container_has_now_refuses() {
        check(
            |facts| {
                container(facts).addresses = vec!["192.168.49.3".to_owned()];
                container(facts).published.clear();
            },
            &["node container", "server address", "context server"],
        );
    }

    #[test]
    fn a_container_that_minikube_did_not_make_refuses() {
        check(|facts| container(facts).of_profile = false, &["node container"]);
        check(|facts| container(facts).exists = false, &["node container"]);
        check(|facts| facts.containers = Err("no engine".to_owned()), &["node container"]);
    }

    #[test]
    fn a_stopped_container_refuses() {
        check(|facts| container(facts).running = false, &["node container", "server address", "context server"]);
    }

    #[test]
    fn a_public_address_or_a_name_refuses() {
        for (ip, local) in [
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("169.254.1.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("::1", true),
            ("::ffff:10.0.0.1", true),
            ("8.8.8.8", false),
            ("172.32.0.1", false),
            ("2001:db8::1", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_local(ip.parse().unwrap()), local, "{ip}");
        }
        check(
            |facts| {
                facts.nodes[0].ip = "34.118.1.9".to_owned();
                container(facts).addresses = vec!["34.118.1.9".to_owned()];
                facts.server = "https://34.118.1.9:8443".to_owned();
                facts.context = Context::Absent;
            },
            &["address class"],
        );
        check(
            |facts| {
                facts.nodes[0].ip = "cluster.example".to_owned();
                facts.server = "https://cluster.example:8443".to_owned();
                facts.context = Context::Absent;
                facts.driver = "kvm2".to_owned();
                facts.containers = Ok(Vec::new());
            },
            &["server address", "address class"],
        );
    }

    #[test]
    fn a_home_that_others_own_or_write_refuses() {
        check(|facts| facts.home_trouble = Some("mode 777".to_owned()), &["minikube home"]);
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("ca.crt"), "x").unwrap();
        let mode = |mode| std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o755);
        assert_eq!(home_trouble(home.path()), None);
        mode(0o757);
        assert!(home_trouble(home.path()).unwrap().contains("can be written by others"));
        mode(0o755);
        std::fs::set_permissions(home.path().join("ca.crt"), std::fs::Permissions::from_mode(0o666)).unwrap();
        assert!(home_trouble(home.path()).is_some());
        assert!(home_trouble(&home.path().join("absent")).is_some());
        // A link counts by what it leads to.
        let link = home.path().join("link");
        std::os::unix::fs::symlink("/tmp", &link).unwrap();
        assert!(home_trouble(&link).is_some());
    }

    #[test]
    fn a_virtual_machine_that_nothing_binds_to_the_profile_refuses() {
        let machine = |facts: &mut Facts| {
            facts.driver = "kvm2".to_owned();
            facts.containers = Ok(Vec::new());
        };
        check(machine, &[]);
        check(
            |facts| {
                machine(facts);
                facts.own_certificate = None;
                say(facts).labels = None;
            },
            &["node labels"],
        );
    }

    #[test]
    fn the_users_kubeconfig_is_read_over_several_files() {
        let folder = tempfile::tempdir().unwrap();
        let one = folder.path().join("one");
        let two = folder.path().join("two");
        std::fs::write(&one, "contexts:\n- name: p\n  context: {cluster: prod, user: admin}\n").unwrap();
        std::fs::write(
            &two,
            "clusters:\n- name: prod\n  cluster: {server: 'https://10.0.0.1:6443', insecure-skip-tls-verify: true}\nusers:\n- name: admin\n  user:\n    exec: {command: steal}\n\
             contexts:\n- name: p\n  context: {cluster: other, user: other}\n",
        )
        .unwrap();
        let files = [one, two, folder.path().join("absent")];
        let Context::Found(found) = read_context(&files, "p") else { panic!("the context is there") };
        assert_eq!((found.cluster.as_str(), found.server.as_str()), ("prod", "https://10.0.0.1:6443"));
        assert_eq!(found.foreign_fields, ["insecure-skip-tls-verify", "exec"]);
        assert!(found.authority.is_err());
        assert_eq!(read_context(&files, "q"), Context::Absent);
        let broken = folder.path().join("broken");
        std::fs::write(&broken, "a: [password-hunter2").unwrap();
        let Context::Unreadable(why) = read_context(&[broken], "p") else { panic!("the file is broken") };
        assert!(!why.contains("hunter2"), "{why}");
    }
}
