//! Containers that the kubelet cannot configure: references to nothing, users and mounts that do not fit.

use crate::rollout::scene::{ContainerView, Scene};
use crate::rollout::signals::{at, each, holds, named_before};
use crate::rollout::taxonomy::{FailRule, Match};

/// The message of a container whose configuration fails.
fn trouble<'a>(container: &ContainerView<'a>) -> Option<&'a str> {
    let (reason, message) = container.waits_for();
    matches!(reason, "CreateContainerConfigError" | "CreateContainerError").then_some(message)
}

/// A reference to an object that is not there; one that has come since only needs the kubelet's next try.
fn missing(scene: &Scene<'_>, kind: &str, there: &[String], cause: impl Fn(&ContainerView<'_>, &str) -> String) -> Vec<Match> {
    each(scene, |container| {
        let object = named_before(trouble(container)?, kind, "not found")?;
        let rule = there.iter().any(|name| name == object).then_some(FailRule::Deadline);
        Some(Match { rule, ..at(container, cause(container, object), vec![container.wait_evidence()]) })
    })
}

/// ` (used by the variable X)`, where the pod's specification says so.
fn used_by(container: &ContainerView<'_>, object: &str) -> String {
    let named = container.spec.env.iter().flatten().filter(|variable| {
        let from = variable.value_from.as_ref();
        let secret = from.and_then(|from| from.secret_key_ref.as_ref()).map(|reference| reference.name.as_str());
        let map = from.and_then(|from| from.config_map_key_ref.as_ref()).map(|reference| reference.name.as_str());
        secret == Some(object) || map == Some(object)
    });
    let named: Vec<&str> = named.map(|variable| variable.name.as_str()).collect();
    if named.is_empty() { String::new() } else { format!(", from which it takes {}", named.join(", ")) }
}

pub fn missing_secret(scene: &Scene<'_>) -> Vec<Match> {
    missing(scene, "secret", &scene.observed.secrets, |container, secret| {
        format!("the Secret {secret} does not exist; container {} needs it{}", container.spec.name, used_by(container, secret))
    })
}

pub fn missing_config_map(scene: &Scene<'_>) -> Vec<Match> {
    missing(scene, "configmap", &scene.observed.config_maps, |container, map| {
        format!("the ConfigMap {map} does not exist; container {} needs it{}", container.spec.name, used_by(container, map))
    })
}

pub fn missing_key(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let (_, rest) = trouble(container)?.split_once("couldn't find key ")?;
        let mut words = rest.split_whitespace();
        let (key, _, kind, object) = (words.next()?, words.next()?, words.next()?, words.next()?);
        let object = object.rsplit('/').next().unwrap_or(object);
        Some(at(container, format!("the {kind} {object} has no key {key}{}", used_by(container, object)), vec![container.wait_evidence()]))
    })
}

pub fn run_as_non_root(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let message = trouble(container).filter(|message| message.contains("runAsNonRoot"))?;
        let image = container.image();
        let cause = if message.contains("non-numeric") {
            format!("{image} names its user by a word, so that nobody can see that it is not root: USER must be a number")
        } else {
            format!("{image} runs as root, and the pod must not")
        };
        Some(at(container, cause, vec![container.wait_evidence()]))
    })
}

pub fn sub_path(scene: &Scene<'_>) -> Vec<Match> {
    each(scene, |container| {
        let (reason, waiting) = container.waits_for();
        let ended = container.ended().and_then(|ended| ended.message.as_deref()).unwrap_or_default();
        let text = if matches!(reason, "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") { waiting } else { ended };
        let fits = holds(text, &["failed to prepare subpath", "not a directory", "are you trying to mount a directory onto a file"]);
        let mounts: Vec<&str> =
            container.spec.volume_mounts.iter().flatten().filter(|mount| mount.sub_path.is_some()).map(|mount| mount.mount_path.as_str()).collect();
        let evidence = match container.ended() {
            Some(end) if text == ended => container.end_evidence(end),
            Some(_) | None => container.wait_evidence(),
        };
        fits.then(|| {
            at(
                container,
                format!("a mount does not fit what is at its path ({})", if mounts.is_empty() { "a file over a folder" } else { "subPath" }),
                vec![evidence],
            )
        })
    })
}
