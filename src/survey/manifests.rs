//! Plain Kubernetes manifests beside the code: which port a service is told; charts have a reader of their own.

use super::draft::Draft;
use super::facts::find_line;
use super::walk::base_of;
use super::workspace::Workspace;
use super::{Kind, Place, start, yaml};
use serde_json::Value as Json;

/// A container of a workload, as it is written.
struct Container {
    /// The last part of its image's name.
    image: String,
    container: Json,
    place: Place,
}

/// Services whose code leaves their port to whoever runs them: what every manifest of their image says, where all say the same.
pub(crate) fn ports(workspace: &Workspace, drafts: &mut [Draft]) {
    let asks = |draft: &&mut Draft| draft.service.ports.is_empty() && matches!(draft.service.kind, Kind::Web | Kind::Api | Kind::McpServer);
    let asking: Vec<&mut Draft> = drafts.iter_mut().filter(asks).collect();
    if asking.is_empty() {
        return;
    }
    let containers = containers(workspace);
    for draft in asking {
        let folder = if draft.service.dir == "." { workspace.folder.as_str() } else { base_of(&draft.service.dir) };
        let names = [Some(folder), draft.manifest_name.as_deref(), draft.service.compose_service.as_deref()];
        let variable = draft.service.start_command.as_deref().and_then(|command| start::parse(command).port_variable);
        let own = containers.iter().filter(|container| names.contains(&Some(container.image.as_str())));
        let mut told = own.filter_map(|found| Some((told(&found.container, variable.as_deref().unwrap_or("PORT"))?, &found.place)));
        let Some((port, place)) = told.next() else { continue };
        if told.all(|(other, _)| other == port) {
            draft.port(port, "http", place.clone());
        }
    }
}

/// The number in the variable, else the only port that the container names, else the one that a probe asks.
fn told(container: &Json, variable: &str) -> Option<u16> {
    let list = |key: &str| container.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
    let set = list("env").iter().find(|entry| entry.get("name").and_then(Json::as_str) == Some(variable));
    let number = |value: &Json| u16::try_from(value.as_u64()?).ok();
    let named = || match list("ports") {
        [port] => number(port.get("containerPort")?),
        _ => None,
    };
    let asked = || ["readinessProbe", "livenessProbe"].iter().find_map(|probe| number(container.get(*probe)?.get("httpGet")?.get("port")?));
    set.and_then(|entry| entry.get("value")?.as_str()?.parse().ok()).or_else(named).or_else(asked)
}

/// Containers of deployments and their kin; templates are none of these.
fn containers(workspace: &Workspace) -> Vec<Container> {
    let plain = |path: &&String| (path.ends_with(".yaml") || path.ends_with(".yml")) && !path.contains("templates/");
    let mut out = Vec::new();
    for path in workspace.texts.keys().filter(plain) {
        let text = workspace.text(path).unwrap_or_default();
        if !text.contains("containers:") {
            continue;
        }
        for document in text.split("\n---").filter(|document| document.contains("containers:")) {
            let Ok(object) = yaml::read(document.trim_start_matches("---")) else { continue };
            let pod = object.get("spec").and_then(|spec| spec.get("template")?.get("spec")?.get("containers")?.as_array());
            for container in pod.into_iter().flatten() {
                let Some(written) = container.get("image").and_then(Json::as_str) else { continue };
                let image = written.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default().to_owned();
                let (line, shown) = find_line(text, written);
                out.push(Container { image, container: container.clone(), place: Place::new(path.clone(), line, shown) });
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(container: &str, expect: Option<u16>) {
        assert_eq!(told(&yaml::read(container).unwrap(), "PORT"), expect, "{container}");
    }

    #[test]
    fn containers_say_their_port_in_three_ways() {
        check("env: [{name: PORT, value: '8081'}]\nports: [{containerPort: 9000}]", Some(8081));
        check("env: [{name: OTHER, value: '8081'}]\nports: [{containerPort: 9000}]", Some(9000));
        check("readinessProbe: {httpGet: {path: /ready, port: 8080}}", Some(8080));
        check("ports: [{containerPort: 9000}, {containerPort: 9001}]", None);
        check("readinessProbe: {httpGet: {path: /ready, port: http}}", None);
        check("env: [{name: PORT, valueFrom: {configMapKeyRef: {name: a, key: b}}}]", None);
    }
}
