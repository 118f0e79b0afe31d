//! Container engines on this machine: the host's by its socket, a node's by TLS with minikube's own certificates; addresses are found anew each time.

use crate::adapters::minikube::Surroundings;
use crate::adapters::wire::{self, Address, WireError};
use crate::failure::{Code, Failure};
use crate::ports::{Node, Profile};
use crate::secret::plain;
use bollard::query_parameters::InspectContainerOptions;
use bollard::{BollardRequest, Docker};
use futures::future::join_all;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// How long an engine may take to say that it is there.
const PING: Duration = Duration::from_millis(1_500);

/// How long a look at the node containers may take.
const GLANCE: Duration = Duration::from_millis(1_200);

/// An engine that answered.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    address: Address,
}

/// A node's container, as the host's engine has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    pub name: String,
    pub exists: bool,
    pub running: bool,
    pub paused: bool,
    /// minikube's own label says that it is a node of this profile.
    pub of_profile: bool,
    pub addresses: Vec<String>,
    /// Container port → address and port on this machine.
    pub published: Vec<(u16, SocketAddr)>,
}

impl Container {
    /// Where a port of the container can be reached on this machine's loopback.
    pub fn loopback(&self, port: u16) -> Option<SocketAddr> {
        self.published.iter().find(|(inside, _)| *inside == port).map(|(_, outside)| *outside)
    }
}

impl Engine {
    /// Connects, and asks for a sign of life.
    pub async fn connect(address: Address) -> Result<Self, String> {
        let docker = client(&address).map_err(|error| error.to_string())?;
        match tokio::time::timeout(PING, docker.ping()).await {
            Ok(Ok(_)) => Ok(Self { docker, address }),
            Ok(Err(error)) => Err(format!("{address}: {}", chain(&error))),
            Err(_) => Err(format!("{address}: no answer within {} ms", PING.as_millis())),
        }
    }

    /// The engine of this machine: the socket that the environment names, else the first that answers.
    pub async fn host(around: &Surroundings) -> Result<Self, Failure> {
        let mut tried = Vec::new();
        for engine in join_all(around.sockets.iter().filter(|path| path.exists()).map(|path| Self::connect(Address::Unix(path.clone())))).await {
            match engine {
                Ok(engine) => return Ok(engine),
                Err(why) => tried.push(why),
            }
        }
        Err(unreachable(around, tried))
    }

    /// The engine of this machine that runs the profile's nodes; else the first that answers.
    pub async fn host_of(around: &Surroundings, profile: &Profile) -> Result<(Self, Vec<Container>), Failure> {
        let mut tried = Vec::new();
        let mut other = None;
        for engine in join_all(around.sockets.iter().filter(|path| path.exists()).map(|path| Self::connect(Address::Unix(path.clone())))).await {
            match engine {
                Ok(engine) => match engine.containers(profile).await {
                    Ok(found) if found.iter().any(|container| container.exists) => return Ok((engine, found)),
                    Ok(found) => other = other.or(Some((engine, found))),
                    Err(why) => tried.push(why),
                },
                Err(why) => tried.push(why),
            }
        }
        other.ok_or_else(|| unreachable(around, tried))
    }

    /// The engine inside a node: at the node's own address, or where its port is published on loopback.
    pub async fn node(around: &Surroundings, profile: &Profile, node: &Node) -> Result<Self, Failure> {
        let certs = around.minikube_home.join("certs");
        let trust =
            wire::certificate(&certs.join("ca.pem")).and_then(|authority| wire::trust(&authority, &certs.join("cert.pem"), &certs.join("key.pem"))).map_err(
                |error| Failure::new(Code::EngineUnreachable, format!("reach the engine of node {}", node.name)).cause(error.line()).help(restart(profile)),
            )?;
        let mut sockets: Vec<SocketAddr> = node.ip.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 2376)).into_iter().collect();
        if crate::adapters::minikube::in_containers(&profile.driver)
            && let Ok((_, found)) = Self::host_of(around, profile).await
            && let Some(container) = found.iter().find(|container| container.name == node.name && container.of_profile)
        {
            // An address that another container may have by now is not asked.
            sockets.retain(|socket| container.addresses.contains(&socket.ip().to_string()));
            sockets.extend(container.loopback(2376));
        }
        let mut tried = Vec::new();
        for engine in join_all(sockets.into_iter().map(|socket| Self::connect(Address::Tls { socket, trust: trust.clone() }))).await {
            match engine {
                Ok(engine) => return Ok(engine),
                Err(why) => tried.push(why),
            }
        }
        let failure = tried.iter().fold(Failure::new(Code::EngineUnreachable, format!("reach the engine of node {}", node.name)), Failure::cause);
        Err(failure.help(restart(profile)))
    }

    /// The client for everything that the engine offers.
    pub fn docker(&self) -> &Docker {
        &self.docker
    }

    /// Where it was found.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Its version.
    pub async fn version(&self) -> Option<String> {
        tokio::time::timeout(PING, self.docker.version()).await.ok()?.ok()?.version.map(|version| plain(&version, 60))
    }

    /// Sends a request of our own making, such as one that is upgraded.
    pub async fn send(&self, request: BollardRequest) -> Result<http::Response<hyper::body::Incoming>, WireError> {
        wire::send(&self.address, request).await
    }

    /// The containers of the profile's nodes, in the order of its nodes.
    pub async fn containers(&self, profile: &Profile) -> Result<Vec<Container>, String> {
        join_all(profile.nodes.iter().map(|node| self.container(profile, node))).await.into_iter().collect()
    }

    async fn container(&self, profile: &Profile, node: &Node) -> Result<Container, String> {
        let mut found = Container { name: node.name.clone(), ..Container::default() };
        let asked = tokio::time::timeout(PING, self.docker.inspect_container(&node.name, None::<InspectContainerOptions>)).await;
        let seen = match asked {
            Ok(Ok(seen)) => seen,
            Ok(Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. })) => return Ok(found),
            Ok(Err(error)) => return Err(format!("{}: {}", self.address, chain(&error))),
            Err(_) => return Err(format!("{}: no answer within {} ms", self.address, PING.as_millis())),
        };
        found.exists = true;
        found.running = seen.state.as_ref().and_then(|state| state.running).unwrap_or_default();
        found.paused = seen.state.as_ref().and_then(|state| state.paused).unwrap_or_default();
        let labels = seen.config.and_then(|config| config.labels).unwrap_or_default();
        found.of_profile = labels.get("created_by.minikube.sigs.k8s.io").is_some_and(|value| value == "true")
            && ["name.minikube.sigs.k8s.io", "mode.minikube.sigs.k8s.io"]
                .iter()
                .any(|label| labels.get(*label).is_some_and(|value| value == profile.name.as_str() || *value == node.name));
        let network = seen.network_settings.unwrap_or_default();
        found.addresses = network
            .networks
            .unwrap_or_default()
            .into_values()
            .flat_map(|network| [network.ip_address, network.global_ipv6_address])
            .flatten()
            .filter(|address| !address.is_empty())
            .collect();
        for (inside, outside) in network.ports.unwrap_or_default() {
            let Some(inside) = inside.strip_suffix("/tcp").and_then(|port| port.parse().ok()) else { continue };
            for binding in outside.unwrap_or_default() {
                let host: Option<IpAddr> = binding.host_ip.as_deref().and_then(|ip| ip.parse().ok());
                let port = binding.host_port.as_deref().and_then(|port| port.parse().ok());
                // A port that is open on every address is reached through loopback as well.
                let host = host.map(|host| if host.is_unspecified() { IpAddr::from([127, 0, 0, 1]) } else { host });
                if let (Some(host), Some(port)) = (host.filter(IpAddr::is_loopback), port) {
                    found.published.push((inside, SocketAddr::new(host, port)));
                }
            }
        }
        Ok(found)
    }
}

/// The containers of a profile's nodes, from the engine that has them; quick, because whoever asks waits for it.
pub async fn containers(around: &Surroundings, profile: &Profile) -> Result<Vec<Container>, Failure> {
    match tokio::time::timeout(GLANCE, Engine::host_of(around, profile)).await {
        Ok(found) => found.map(|(_, found)| found),
        Err(_) => Err(unreachable(around, vec![format!("no engine answered within {} ms", GLANCE.as_millis())])),
    }
}

/// A client over our own connections: one per request, as the engine may restart under us.
fn client(address: &Address) -> Result<Docker, bollard::errors::Error> {
    let address = address.clone();
    let transport = move |request: BollardRequest| {
        let address = address.clone();
        async move { wire::send(&address, request).await.map_err(|error| bollard::errors::Error::from(std::io::Error::other(error.line()))) }
    };
    // The timeout covers the time until the headers; streams have deadlines of their own.
    let docker = Docker::connect_with_custom_transport(transport, Some("http://localhost"), 120, bollard::API_DEFAULT_VERSION)?;
    Ok(docker.with_request_modifier(ask_for_buildkit))
}

/// bollard would open a session of its own for BuildKit; asking for the classic builder and correcting the query here keeps ours the only one.
fn ask_for_buildkit(mut request: BollardRequest) -> BollardRequest {
    let Some(query) = request.uri().query().filter(|_| request.uri().path().ends_with("/build")) else { return request };
    let query: Vec<&str> = query.split('&').map(|pair| if pair == "version=1" { "version=2" } else { pair }).collect();
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = format!("{}?{}", request.uri().path(), query.join("&")).parse().ok();
    if let Ok(uri) = http::Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
    request
}

/// The error with all its sources in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = plain(&error.to_string(), 400);
    let mut next = error.source();
    while let Some(error) = next {
        let inner = plain(&error.to_string(), 400);
        if !text.contains(&inner) {
            text = format!("{text}: {inner}");
        }
        next = error.source();
    }
    text
}

fn restart(profile: &Profile) -> String {
    format!("see 'minikube status -p {0}'; start it again with 'minikube start -p {0}'", profile.name)
}

fn unreachable(around: &Surroundings, tried: Vec<String>) -> Failure {
    let mut failure = Failure::new(Code::EngineUnreachable, "no container engine answers on this machine");
    if let Some(remote) = &around.remote_engine {
        failure = failure.cause(format!("the environment names {remote}, which is not on this machine and is not asked"));
    }
    for why in &tried {
        failure = failure.cause(why);
    }
    let absent: Vec<String> = around.sockets.iter().filter(|path| !path.exists()).map(|path| path.display().to_string()).collect();
    if !absent.is_empty() {
        failure = failure.cause(format!("no socket at {}", absent.join(", ")));
    }
    failure.help("start the engine (Docker Desktop, colima start, or: sudo systemctl start docker), or set DOCKER_HOST to its unix:// socket")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_builds_are_turned_to_buildkit() {
        let check = |uri: &str, expect: &str| {
            let request = http::Request::get(uri).body(bollard::body_full(bytes::Bytes::new())).unwrap();
            assert_eq!(ask_for_buildkit(request).uri().to_string(), expect);
        };
        check("http://localhost/build?t=a%3A1&version=1&session=x", "http://localhost/build?t=a%3A1&version=2&session=x");
        check("http://localhost/images/json?version=1", "http://localhost/images/json?version=1");
        check("http://localhost/build?buildargs=version=11", "http://localhost/build?buildargs=version=11");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let silent = folder.path().join("silent.sock");
        // Listens and never answers.
        let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
        let absent = folder.path().join("absent.sock");
        let around = Surroundings { sockets: vec![silent, absent.clone()], remote_engine: Some("tcp://10.0.0.9:2376".to_owned()), ..Surroundings::default() };
        let started = std::time::Instant::now();
        let failure = Engine::host(&around).await.unwrap_err();
        assert_eq!(failure.code, Code::EngineUnreachable);
        let text = failure.to_string();
        assert!(text.contains("silent.sock") && text.contains("no socket at") && text.contains("10.0.0.9"), "{text}");
        assert!(started.elapsed() < Duration::from_secs(8));
    }
}
