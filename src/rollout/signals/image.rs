//! Images that cannot be had. An image under `localhost/` is one that we built: no registry has it.

use crate::evidence::{Evidence, Source};
use crate::rollout::scene::{ContainerView, Scene, message, name, times};
use crate::rollout::signals::{at, each, holds, log_evidence};
use crate::rollout::signature::{self, Signature};
use crate::rollout::taxonomy::Match;
use k8s_openapi::api::core::v1::{Event, Node};

/// How a pull failed, by the runtime's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pull {
    Architecture,
    NoSpace,
    RateLimit,
    Tls,
    Network,
    Unauthorised,
    Missing,
    Unclear,
}

fn pull(text: &str) -> Pull {
    const WORDS: [(Pull, &[&str]); 8] = [
        (Pull::Architecture, &["no match for platform", "no matching manifest for"]),
        (Pull::NoSpace, &["no space left on device"]),
        (Pull::RateLimit, &["toomanyrequests", "429 too many", "rate limit"]),
        (Pull::Tls, &["x509:", "http response to https client", "does not look like a tls handshake", "tls: failed to verify"]),
        (
            Pull::Network,
            &[
                "no such host",
                "i/o timeout",
                "connection refused",
                "tls handshake timeout",
                "network is unreachable",
                "no route to host",
                "context deadline exceeded",
                "client.timeout",
                "proxyconnect",
                "temporary failure in name resolution",
                "server misbehaving",
                "connection reset",
            ],
        ),
        // Registries answer the same to "not there" and "not for you"; what names the repository's absence comes first.
        (Pull::Missing, &["repository does not exist", "manifest unknown", "name unknown"]),
        (Pull::Unauthorised, &["unauthorized", "no basic auth credentials", "insufficient_scope", "authentication required", "403 forbidden", "denied"]),
        (Pull::Missing, &["not found", "does not exist"]),
    ];
    WORDS.iter().find(|(_, words)| holds(text, words)).map_or(Pull::Unclear, |(pull, _)| *pull)
}

/// A container that waits for its image, and everything that was said about it.
struct Wanted<'a> {
    container: &'a ContainerView<'a>,
    text: String,
    attempts: u32,
    evidence: Vec<Evidence>,
    ours: bool,
}

fn wanted<'a>(scene: &Scene<'_>, container: &'a ContainerView<'a>) -> Option<Wanted<'a>> {
    let (reason, waiting) = container.waits_for();
    if !matches!(reason, "ErrImagePull" | "ImagePullBackOff") {
        return None;
    }
    let failed: Vec<&Event> = scene.container_events(container, "Failed").into_iter().filter(|event| message(event).contains("Failed to pull image")).collect();
    let told = failed.iter().max_by_key(|event| crate::rollout::scene::latest(event)).map(|event| message(event));
    // The back-off says only that it waits; the pull's own words are in the event, or were seen before.
    let text = told
        .or_else(|| (reason == "ErrImagePull").then_some(waiting))
        .or_else(|| scene.memory.last_pull(container.uid(), &container.spec.name))
        .unwrap_or(waiting);
    let attempts = failed.iter().map(|event| times(event)).sum::<u32>().max(1);
    let mut evidence = vec![container.wait_evidence()];
    evidence.extend(failed.last().map(|event| crate::rollout::scene::event_evidence(event)));
    Some(Wanted { container, text: text.to_owned(), attempts, evidence, ours: container.image().starts_with("localhost/") })
}

/// Containers whose pull failed in a way that fits.
fn pulls(scene: &Scene<'_>, fits: impl Fn(&Wanted<'_>) -> bool, cause: impl Fn(&Wanted<'_>) -> String) -> Vec<Match> {
    each(scene, |container| {
        let wanted = wanted(scene, container).filter(|wanted| fits(wanted))?;
        Some(Match { occurrences: wanted.attempts, ..at(container, cause(&wanted), wanted.evidence) })
    })
}

/// Of an image that is not ours, pulled in the ordinary way, that failed in this way.
fn foreign(scene: &Scene<'_>, way: Pull, cause: impl Fn(&Wanted<'_>) -> String) -> Vec<Match> {
    pulls(scene, |wanted| !wanted.ours && !held_back(scene, wanted.container) && pull(&wanted.text) == way, cause)
}

/// True where the policy Always alone keeps the container from an image that its node has.
fn held_back(scene: &Scene<'_>, container: &ContainerView<'_>) -> bool {
    let always = container.spec.image_pull_policy.as_deref() == Some("Always");
    let there = on_a_node(scene, container.image());
    always && (there == Some(true) || (there.is_none() && container.image().starts_with("localhost/")))
}

/// Whether a node has the image. None where the nodes' lists are too long to be whole.
fn on_a_node(scene: &Scene<'_>, image: &str) -> Option<bool> {
    let listed = |node: &Node| node.status.iter().flat_map(|status| status.images.iter().flatten()).cloned().collect::<Vec<_>>();
    let lists: Vec<_> = scene.observed.nodes.iter().map(listed).collect();
    let wanted = full_name(image);
    if lists.iter().flatten().any(|each| each.names.iter().flatten().any(|name| full_name(name) == wanted)) {
        return Some(true);
    }
    // Kubelets report the 50 largest images.
    (!lists.is_empty() && lists.iter().all(|list| list.len() < 50)).then_some(false)
}

/// `x:1` → `docker.io/library/x:1`, as runtimes list it.
fn full_name(image: &str) -> String {
    let image =
        if image.rsplit('/').next().is_some_and(|last| last.contains(':') || last.contains('@')) { image.to_owned() } else { format!("{image}:latest") };
    match image.split_once('/') {
        Some((host, _)) if host.contains('.') || host.contains(':') || host == "localhost" => image,
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    }
}

pub fn not_found_local(scene: &Scene<'_>) -> Vec<Match> {
    pulls(
        scene,
        |wanted| wanted.ours && !held_back(scene, wanted.container),
        |wanted| format!("the image {} was built here and never reached the node; no registry has it", wanted.container.image()),
    )
}

pub fn pull_always(scene: &Scene<'_>) -> Vec<Match> {
    pulls(
        scene,
        |wanted| held_back(scene, wanted.container),
        |wanted| format!("imagePullPolicy Always makes the node ask a registry for {}, which it need not", wanted.container.image()),
    )
}

pub fn tag_typo(scene: &Scene<'_>) -> Vec<Match> {
    foreign(scene, Pull::Missing, |wanted| format!("the registry has no image {}: its name or tag is wrong", wanted.container.image()))
}

pub fn network(scene: &Scene<'_>) -> Vec<Match> {
    foreign(scene, Pull::Network, |wanted| format!("the node cannot reach the registry of {}", wanted.container.image()))
}

pub fn unauthorised(scene: &Scene<'_>) -> Vec<Match> {
    foreign(scene, Pull::Unauthorised, |wanted| {
        let names: Vec<&str> =
            wanted.container.pod.spec.iter().flat_map(|spec| spec.image_pull_secrets.iter().flatten()).map(|secret| secret.name.as_str()).collect();
        let with = if names.is_empty() { "without credentials".to_owned() } else { format!("with the credentials of {}", names.join(", ")) };
        format!("the registry does not give {} {with}", wanted.container.image())
    })
}

pub fn rate_limit(scene: &Scene<'_>) -> Vec<Match> {
    foreign(scene, Pull::RateLimit, |wanted| format!("the registry's limit of pulls is reached for {}", wanted.container.image()))
}

pub fn tls(scene: &Scene<'_>) -> Vec<Match> {
    foreign(scene, Pull::Tls, |wanted| format!("the node does not trust the registry of {}, or it speaks no TLS", wanted.container.image()))
}

pub fn no_space(scene: &Scene<'_>) -> Vec<Match> {
    pulls(scene, |wanted| pull(&wanted.text) == Pull::NoSpace, |wanted| format!("the node's disk is full: there is no room for {}", wanted.container.image()))
}

pub fn architecture(scene: &Scene<'_>) -> Vec<Match> {
    let node = || {
        scene
            .observed
            .nodes
            .iter()
            .find_map(|node| Some(node.status.as_ref()?.node_info.as_ref()?.architecture.clone()))
            .unwrap_or_else(|| "another architecture".to_owned())
    };
    let mut matches =
        pulls(scene, |wanted| pull(&wanted.text) == Pull::Architecture, |wanted| format!("{} has no variant for {}", wanted.container.image(), node()));
    matches.extend(each(scene, |container| {
        let ended = container.ended()?;
        let said = ended.message.as_deref().unwrap_or_default();
        let reading = container
            .log
            .and_then(|log| signature::read(&log.text))
            .or_else(|| signature::shape(said, "").map(|signature| signature::Reading { signature, line: said.to_owned() }))?;
        // A script without a first line gives the same error; it is no matter of architecture.
        let Signature::ExecFormat { file } = reading.signature else { return None };
        if file.as_deref().is_some_and(script) {
            return None;
        }
        let mut evidence = vec![container.end_evidence(ended)];
        evidence.extend(log_evidence(container, Some(&reading.line)));
        Some(at(container, format!("{} was built for another architecture than the node's ({})", container.image(), node()), evidence))
    }));
    matches
}

/// True where the file's name says that it is a script.
pub fn script(file: &str) -> bool {
    [".sh", ".bash", ".py", ".js", ".rb", ".pl"].iter().any(|ending| file.ends_with(ending)) || file.ends_with("entrypoint")
}

/// Containers that wait for one of these reasons.
fn waits(scene: &Scene<'_>, reasons: &[&str], cause: impl Fn(&ContainerView<'_>) -> String) -> Vec<Match> {
    each(scene, |container| reasons.contains(&container.waits_for().0).then(|| at(container, cause(container), vec![container.wait_evidence()])))
}

pub fn invalid_name(scene: &Scene<'_>) -> Vec<Match> {
    waits(scene, &["InvalidImageName"], |container| format!("{:?} is no valid image reference", container.image()))
}

pub fn never_pull(scene: &Scene<'_>) -> Vec<Match> {
    waits(scene, &["ErrImageNeverPull"], |container| {
        let node = container.pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).unwrap_or("the node");
        format!("{node} does not have {}, and the pull policy is Never", container.image())
    })
}

pub fn store_damaged(scene: &Scene<'_>) -> Vec<Match> {
    let mut matches = waits(scene, &["ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed"], |container| {
        format!("the node cannot read or verify {} ({})", container.image(), container.waits_for().0)
    });
    for found in &mut matches {
        let pod = scene.pods.iter().find(|pod| found.subject.contains(name(&pod.metadata)));
        let events: u32 = pod.map_or(0, |pod| scene.pod_events(pod, "InspectFailed").map(times).sum());
        let place = found.subject.clone();
        found.evidence.push(Evidence::new(Source::Object, place, &format!("{events} events InspectFailed")));
        found.occurrences = events.max(1);
    }
    matches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_runtimes_are_told_apart() {
        for (text, expect) in [
            (
                "Error response from daemon: pull access denied for app, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                Pull::Missing,
            ),
            (
                "failed to resolve reference \"docker.io/library/app:1\": pull access denied, repository does not exist or may require authorization: server message: insufficient_scope: authorization failed",
                Pull::Missing,
            ),
            ("manifest for postgres:99 not found: manifest unknown: manifest unknown", Pull::Missing),
            ("Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host", Pull::Network),
            ("Head \"https://r.example/v2/a/manifests/1\": no basic auth credentials", Pull::Unauthorised),
            ("toomanyrequests: You have reached your pull rate limit", Pull::RateLimit),
            ("x509: certificate signed by unknown authority", Pull::Tls),
            ("no match for platform in manifest: not found", Pull::Architecture),
            ("write /var/lib/docker/tmp/x: no space left on device", Pull::NoSpace),
            ("something else", Pull::Unclear),
        ] {
            assert_eq!(pull(text), expect, "{text}");
        }
    }

    #[test]
    fn images_have_one_full_name() {
        for (short, full) in [
            ("x", "docker.io/library/x:latest"),
            ("a/x:1", "docker.io/a/x:1"),
            ("localhost/x:1", "localhost/x:1"),
            ("r.example/x", "r.example/x:latest"),
            ("localhost:5000/x:1", "localhost:5000/x:1"),
        ] {
            assert_eq!(full_name(short), full);
        }
    }
}
