//! Charts and compose files against the code: what they set, ask and name, and what is really there.

use super::{Judge, cluster_name, harmless_address, host_of, images, serves};
use crate::survey::calls;
use crate::survey::draft::Draft;
use crate::survey::facts::browser_name;
use crate::survey::helm::{self, Chart, Object, RELEASE, UNKNOWN};
use crate::survey::leaks::{snake, with_password};
use crate::survey::walk::{base_of, join, within};
use crate::survey::{Place, Required, start};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// Read by run times, servers and platforms, not by the program's own code.
const PLATFORM: &[&str] = &[
    "PORT",
    "HOST",
    "HOSTNAME",
    "NODE_",
    "PYTHON",
    "UVICORN_",
    "GUNICORN_",
    "WEB_CONCURRENCY",
    "NEXT_",
    "TZ",
    "LANG",
    "PATH",
    "HOME",
    "JAVA_",
    "JDK_",
    "SPRING_",
    "DOTNET_",
    "ASPNETCORE_",
    "GO",
    "OTEL_",
    "DAPR_",
    "AWS_",
    "GOOGLE_",
    "AZURE_",
    "SENTRY_",
    "POD_",
    "KUBERNETES_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "SSL_",
    "NEXTAUTH_",
    "AUTH_",
    "BETTER_AUTH_",
    "CLERK_",
    "RUST_",
    "RAILS_",
    "RACK_",
    "MALLOC_",
    "LD_",
    "UV_",
    "NPM_",
    "TMPDIR",
];

/// One variable of a container.
struct Setting {
    name: String,
    value: Option<String>,
    /// Secret or ConfigMap, its name, the key, optional.
    from: Option<(&'static str, String, String, bool)>,
}

/// A container of a workload, and the service whose image it runs.
struct Container<'all> {
    object: &'all Object,
    json: &'all Json,
    draft: Option<&'all Draft>,
}

fn text<'json>(json: &'json Json, path: &[&str]) -> Option<&'json str> {
    path.iter().try_fold(json, |at, key| at.get(key)).and_then(Json::as_str)
}

fn list<'json>(json: &'json Json, key: &str) -> impl Iterator<Item = &'json Json> {
    json.get(key).and_then(Json::as_array).into_iter().flatten()
}

impl Container<'_> {
    fn settings(&self) -> Vec<Setting> {
        let setting = |entry: &Json| {
            let name = text(entry, &["name"])?.to_owned();
            let from = [("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")].into_iter().find_map(|(kind, key)| {
                let reference = entry.get("valueFrom")?.get(key)?;
                let optional = reference.get("optional").and_then(Json::as_bool).unwrap_or(false);
                Some((kind, text(reference, &["name"]).unwrap_or(UNKNOWN).to_owned(), text(reference, &["key"]).unwrap_or(UNKNOWN).to_owned(), optional))
            });
            let value = entry.get("value").and_then(|value| match value {
                Json::String(text) => Some(text.clone()),
                Json::Null | Json::Array(_) | Json::Object(_) => None,
                other => Some(other.to_string()),
            });
            Some(Setting { name, value, from })
        };
        list(self.json, "env").filter_map(setting).collect()
    }

    /// Secrets and ConfigMaps that are taken whole: kind, name, optional.
    fn bulk(&self) -> Vec<(&'static str, String, bool)> {
        let taken = |entry: &Json| {
            [("Secret", "secretRef"), ("ConfigMap", "configMapRef")].into_iter().find_map(|(kind, key)| {
                let reference = entry.get(key)?;
                Some((kind, text(reference, &["name"])?.to_owned(), reference.get("optional").and_then(Json::as_bool).unwrap_or(false)))
            })
        };
        list(self.json, "envFrom").filter_map(taken).collect()
    }

    fn name(&self) -> String {
        format!("{} of {}", text(self.json, &["name"]).unwrap_or("a container"), shown(&self.object.name))
    }

    /// The number behind a port that may be given by name.
    fn port(&self, port: &Json) -> Option<u16> {
        match port {
            Json::Number(number) => number.as_u64().and_then(|number| u16::try_from(number).ok()),
            Json::String(name) => name.parse().ok().or_else(|| {
                let named = list(self.json, "ports").find(|port| text(port, &["name"]) == Some(name))?;
                named.get("containerPort")?.as_u64().and_then(|number| u16::try_from(number).ok())
            }),
            _ => None,
        }
    }
}

/// A rendered name as people know it.
fn shown(name: &str) -> String {
    name.replace(RELEASE, "<release>")
}

impl Judge<'_> {
    pub(super) fn compose(&mut self) {
        for service in &self.workspace.compose.clone() {
            for (name, value) in service.arguments.iter().filter(|(name, _)| browser_name(name)) {
                if host_of(value.as_deref().unwrap_or_default()).is_some_and(|host| cluster_name(&host)) {
                    let place = Place::new(service.file.clone(), service.line, &format!("build argument {name} of {}", service.name));
                    self.add("cluster_dns_baked_for_browser", name, vec![place]);
                }
            }
            let Some(image) = service.image.as_ref().filter(|_| service.build.is_none()) else { continue };
            if floating(image) {
                self.add("latest_tag", image, vec![Place::new(service.file.clone(), service.line, image)]);
            }
        }
    }

    pub(super) fn charts(&mut self, drafts: &[Draft]) {
        let charts = helm::charts(self.workspace);
        for (path, text) in &self.workspace.texts {
            let Some(chart) = charts.iter().find(|chart| within(path, &chart.dir)) else { continue };
            let name = base_of(path);
            let is_values = name.starts_with("values") && (name.ends_with(".yaml") || name.ends_with(".yml"));
            if is_values || within(path, &join(&chart.dir, "templates")) || path.contains("/templates/") {
                self.chart_lines(path, text, is_values);
            }
        }
        let manifests = helm::manifests(self.workspace, &charts);
        for chart in &charts {
            if !chart.broken.is_empty() {
                self.add("does_not_render_with_defaults", &chart.why, chart.broken.clone());
            }
            self.chart(chart, &charts, &manifests, drafts);
        }
    }

    /// What is written in a chart's files, whether or not they render.
    fn chart_lines(&mut self, path: &str, text: &str, values: bool) {
        let mut heading = (0, String::new());
        for (number, line) in text.lines().enumerate() {
            let place = || Place::new(path, u32::try_from(number).unwrap_or(0) + 1, line);
            let Some((key, value)) = line.split_once(':') else { continue };
            let indent = line.len() - line.trim_start().len();
            let key = key.trim().trim_start_matches("- ").trim_matches(['"', '\'']);
            let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            if line.trim_start().starts_with('#') {
                continue;
            }
            if value.is_empty() && indent <= heading.0 || indent == 0 {
                heading = (indent, key.to_owned());
            }
            if (key == "tag" && value == "latest") || (key == "image" && value.ends_with(":latest")) {
                self.add("latest_tag", path, vec![place()]);
            }
            // `secrets: {databaseUrl: DATABASE_URL}` names keys, it holds no values.
            let names_a_key = value.chars().all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_') || reference(key);
            let secret = crate::secret::secret_name(&snake(key)) || (heading.1.to_ascii_lowercase().starts_with("secret") && indent > heading.0 && holds(key));
            if values
                && secret
                && !names_a_key
                && !harmless_address(key, value)
                && !value.is_empty()
                && !value.starts_with(['{', '[', '&', '$', '~', '|', '>'])
                && !matches!(value, "true" | "false" | "null")
            {
                let shown = Place { file: path.to_owned(), line: u32::try_from(number).unwrap_or(0) + 1, text: String::new() };
                self.add("secret_value_in_values_yaml", &format!("{key} in {path}"), vec![shown]);
            }
            let named = if key == "name" { value } else { key };
            if browser_name(named) && !named.starts_with("PUBLIC_") || named.starts_with("nextPublic") {
                self.add("next_public_set_at_runtime", named, vec![place()]);
                if host_of(line).is_some_and(|host| cluster_name(&host)) {
                    self.add("browser_var_points_to_cluster_dns", named, vec![place()]);
                }
            }
        }
    }

    fn chart(&mut self, chart: &Chart, charts: &[Chart], manifests: &[Object], drafts: &[Draft]) {
        for object in &chart.objects {
            let name = shown(&object.name);
            let mut containers = Vec::new();
            if let Some(pod) = object.pod() {
                containers = list(pod, "containers").map(|json| Container { object, json, draft: matching(drafts, object, json) }).collect();
            }
            match object.kind.as_str() {
                "Deployment" => {
                    self.claim(chart, object);
                    for container in &containers {
                        self.workload(container);
                    }
                }
                "StatefulSet" | "DaemonSet" => containers.iter().for_each(|container| self.workload(container)),
                "Service" => self.service(chart, object, &name, drafts),
                "ConfigMap" => {
                    for (key, value) in object.at(&["data"]).and_then(Json::as_object).into_iter().flatten() {
                        self.browser_value(object, key, value.as_str().unwrap_or_default());
                    }
                }
                _ => {}
            }
            for container in &containers {
                self.references(chart, container);
                self.plain_secrets(container);
                for setting in container.settings() {
                    self.browser_value(object, &setting.name, setting.value.as_deref().unwrap_or_default());
                }
                if !matches!(object.kind.as_str(), "Job" | "CronJob" | "Pod") {
                    self.environment(chart, container);
                    self.addresses(chart, charts, manifests, container, drafts);
                    self.probes(container, drafts);
                    self.user_of(container, drafts);
                }
            }
        }
    }

    /// Images, resources and probes of a container.
    fn workload(&mut self, container: &Container<'_>) {
        let (object, name) = (container.object, container.name());
        let image = text(container.json, &["image"]).unwrap_or_default();
        if floating(image) && !image.contains(UNKNOWN) && image.len() > 1 {
            self.add("latest_tag", &object.file, vec![object.place(self.workspace, "image:")]);
        }
        let full = |key: &str| container.json.get(key).is_some_and(|value| value.as_object().is_some_and(|map| !map.is_empty()) || value.as_str().is_some());
        if !full("resources") {
            self.add("no_resources", &name, vec![object.place(self.workspace, "resources:")]);
        }
        for (key, code) in [("readinessProbe", "no_readiness"), ("livenessProbe", "no_liveness")] {
            // Nothing is sent to what opens no port.
            let asked = key == "livenessProbe"
                || list(container.json, "ports").next().is_some()
                || container.draft.is_some_and(|draft| !draft.service.ports.is_empty());
            if asked && !full(key) {
                self.add(code, &name, vec![object.place(self.workspace, "containers:")]);
            }
        }
    }

    /// A claim that only one pod may hold, under a strategy that starts the second before the first ends.
    fn claim(&mut self, chart: &Chart, object: &Object) {
        let Some(pod) = object.pod() else { return };
        let shared = |claim: &str| {
            let known = chart.objects.iter().find(|object| object.kind == "PersistentVolumeClaim" && object.name == claim);
            known
                .and_then(|known| known.at(&["spec", "accessModes"]))
                .and_then(Json::as_array)
                .is_some_and(|modes| modes.iter().any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany"))
        };
        let claims = list(pod, "volumes").filter_map(|volume| text(volume, &["persistentVolumeClaim", "claimName"])).any(|claim| !shared(claim));
        if claims && object.at(&["spec", "strategy", "type"]).and_then(Json::as_str) != Some("Recreate") {
            self.add("pvc_with_rollingupdate", &shown(&object.name), vec![object.place(self.workspace, "persistentVolumeClaim")]);
        }
    }

    fn service(&mut self, chart: &Chart, object: &Object, name: &str, drafts: &[Draft]) {
        if object.at(&["spec", "type"]).and_then(Json::as_str) == Some("LoadBalancer") {
            self.add("loadbalancer_needs_tunnel", name, vec![object.place(self.workspace, "type:")]);
        }
        let ports = object.at(&["spec", "ports"]).and_then(Json::as_array).cloned().unwrap_or_default();
        if ports.iter().any(|port| port.get("nodePort").is_some_and(Json::is_number)) {
            self.add("hard_coded_nodeport", name, vec![object.place(self.workspace, "nodePort")]);
        }
        let Some(selector) = object.at(&["spec", "selector"]).and_then(Json::as_object).filter(|map| !map.is_empty()) else { return };
        let selected = |workload: &&Object| {
            let labels = workload.at(&["spec", "template", "metadata", "labels"]);
            selector.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
        };
        let workloads: Vec<&Object> =
            chart.objects.iter().filter(|object| matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet")).filter(selected).collect();
        if workloads.is_empty() {
            if chart.whole && chart.objects.iter().any(|object| object.kind == "Deployment") {
                self.add("service_selects_nothing", name, vec![object.place(self.workspace, "selector:")]);
            }
            return;
        }
        for workload in workloads {
            let Some(pod) = workload.pod() else { continue };
            let containers: Vec<Container<'_>> =
                list(pod, "containers").map(|json| Container { object: workload, json, draft: matching(drafts, workload, json) }).collect();
            let [only] = containers.as_slice() else { continue };
            for port in &ports {
                let target = port.get("targetPort").or_else(|| port.get("port"));
                if let (Some(target), Some(listens)) = (target.and_then(|target| only.port(target)), self.listens(only, drafts))
                    && target != listens
                {
                    let what = format!("the Service {name} sends to port {target}, and the program listens on {listens}");
                    self.add("port_mismatch", &what, vec![object.place(self.workspace, "targetPort")]);
                }
            }
        }
    }

    /// The port on which the one image of a container certainly listens, whatever its environment says.
    fn listens(&self, container: &Container<'_>, drafts: &[Draft]) -> Option<u16> {
        let draft = container.draft?;
        if container.json.get("command").is_some() || container.json.get("args").is_some() {
            return None;
        }
        let files = images::dockerfiles(self.workspace, draft, drafts);
        let [(_, file)] = files.as_slice() else { return None };
        let (command, _) = file.command()?;
        let port = start::parse(&command).port.filter(|_| !command.contains('$'))?;
        draft.service.ports.iter().all(|known| known.port == port).then_some(port)
    }

    /// Secrets and ConfigMaps that a container takes from, against those that the chart makes.
    fn references(&mut self, chart: &Chart, container: &Container<'_>) {
        let (object, workspace) = (container.object, self.workspace);
        let made = |kind: &str, name: &str| chart.objects.iter().find(|object| object.kind == kind && object.name == name);
        let keys = |object: &Object| -> BTreeSet<String> {
            ["data", "stringData", "binaryData"]
                .iter()
                .filter_map(|part| object.at(&[part]))
                .filter_map(Json::as_object)
                .flat_map(|map| map.keys().cloned())
                .collect()
        };
        let mut wanted: Vec<(&'static str, String, Option<String>)> = Vec::new();
        wanted.extend(
            container
                .settings()
                .into_iter()
                .filter_map(|setting| setting.from)
                .filter(|(_, _, _, optional)| !optional)
                .map(|(kind, name, key, _)| (kind, name, Some(key))),
        );
        wanted.extend(container.bulk().into_iter().filter(|(_, _, optional)| !optional).map(|(kind, name, _)| (kind, name, None)));
        for volume in object.pod().into_iter().flat_map(|pod| list(pod, "volumes")) {
            let optional = |part: &str| volume.get(part).and_then(|part| part.get("optional")).and_then(Json::as_bool).unwrap_or(false);
            wanted.extend(text(volume, &["secret", "secretName"]).filter(|_| !optional("secret")).map(|name| ("Secret", name.to_owned(), None)));
            wanted.extend(text(volume, &["configMap", "name"]).filter(|_| !optional("configMap")).map(|name| ("ConfigMap", name.to_owned(), None)));
        }
        for (kind, name, key) in wanted {
            if name.contains(UNKNOWN) || name.is_empty() || name.contains("root-ca") {
                continue;
            }
            match (made(kind, &name), key) {
                (Some(found), Some(key)) => {
                    if !keys(found).contains(&key) && !key.contains(UNKNOWN) && found.json.get("data").is_none_or(|data| data.is_object()) {
                        let code = if kind == "Secret" { "secret_key_missing" } else { "configmap_key_missing" };
                        self.add(code, &format!("{key} of {}", shown(&name)), vec![object.place(workspace, &key), found.place(workspace, "")]);
                    }
                }
                (Some(_), None) => {}
                (None, _) => {
                    // What was not read may make it, and so may an operator or another chart.
                    let unread = !chart.whole;
                    match kind {
                        "Secret" if !unread || chart.broken.is_empty() => self.add("secret_not_in_chart", &shown(&name), vec![object.place(workspace, &name)]),
                        "ConfigMap" if !unread => self.add("configmap_not_in_chart", &shown(&name), vec![object.place(workspace, &name)]),
                        _ => {}
                    }
                }
            }
        }
    }

    /// Secrets as literal values.
    fn plain_secrets(&mut self, container: &Container<'_>) {
        for setting in container.settings() {
            let Some(value) = setting.value.as_deref().filter(|value| !value.is_empty() && !value.contains(UNKNOWN) && !value.contains("$(")) else { continue };
            let name = setting.name.to_ascii_uppercase();
            let address = value.contains("://");
            let password = name.contains("PASSW") || name.ends_with("_PWD");
            if !crate::secret::secret_name(&setting.name) || (address && !with_password(value)) || browser_name(&setting.name) || reference(&setting.name) {
                continue;
            }
            let database = ["DB", "DATABASE", "POSTGRES", "PG", "MYSQL", "MARIADB", "MONGO", "REDIS"].iter().any(|word| name.contains(word));
            let code = if database && (password || address) { "db_password_in_plain_env" } else { "secret_as_plain_env" };
            let mut place = container.object.place(self.workspace, &setting.name);
            place.text = String::new();
            self.add(code, &format!("{} in {}", setting.name, container.name()), vec![place.clone()]);
            // A password is a secret whichever database it opens.
            if code == "db_password_in_plain_env" && password {
                self.add("secret_as_plain_env", &format!("{} in {}", setting.name, container.name()), vec![place]);
            }
        }
    }

    fn browser_value(&mut self, object: &Object, name: &str, value: &str) {
        if browser_name(name) && !name.starts_with("PUBLIC_") && !value.contains(UNKNOWN) && host_of(value).is_some_and(|host| cluster_name(&host)) {
            self.add("browser_var_points_to_cluster_dns", name, vec![object.place(self.workspace, name)]);
        }
    }

    /// What is set against what is read.
    fn environment(&mut self, chart: &Chart, container: &Container<'_>) {
        let Some(draft) = container.draft else { return };
        let service = &draft.service;
        if !matches!(service.language.as_str(), "python" | "node") || service.env.is_empty() || draft.sources.is_empty() {
            return;
        }
        let mut set: BTreeSet<String> = container.settings().into_iter().map(|setting| setting.name).collect();
        let mut whole = true;
        for (kind, name, _) in container.bulk() {
            match chart.objects.iter().find(|object| object.kind == kind && object.name == name) {
                Some(object) => set.extend(
                    ["data", "stringData"].iter().filter_map(|part| object.at(&[part])).filter_map(Json::as_object).flat_map(|map| map.keys().cloned()),
                ),
                None => whole = false,
            }
        }
        let reads: BTreeSet<&str> = service.env.iter().map(|read| read.name.as_str()).collect();
        let idle: Vec<String> = set
            .iter()
            .filter(|name| {
                !reads.contains(name.as_str()) && !browser_name(name) && !PLATFORM.iter().any(|head| name.starts_with(head)) && !name.contains(UNKNOWN)
            })
            // A library of that name may read it.
            .filter(|name| !service.dependencies.keys().any(|package| package.len() > 3 && name.to_ascii_lowercase().starts_with(&package.replace('-', "_"))))
            .cloned()
            .collect();
        let built = images::dockerfiles(self.workspace, draft, std::slice::from_ref(draft)).into_iter().any(|(_, file)| file.all("ENV").next().is_some());
        let missing: Vec<&str> = service
            .env
            .iter()
            .filter(|read| read.required == Required::Yes && read.phases.contains(&crate::survey::Phase::Run))
            .map(|read| read.name.as_str())
            .filter(|name| !set.contains(*name))
            .collect();
        if !idle.is_empty() {
            let what = format!("{} in {}", idle.iter().take(8).cloned().collect::<Vec<_>>().join(", "), service.name.as_str());
            let places = idle.iter().take(3).map(|name| container.object.place(self.workspace, name)).collect();
            self.add("env_set_never_read", &what, places);
        }
        // One set and not read beside one read and not set, of the same meaning: a wrong name.
        for name in &missing {
            let part = |name: &str| name.split('_').map(str::to_owned).collect::<BTreeSet<_>>();
            if let Some(other) = idle.iter().find(|other| part(other).intersection(&part(name)).any(|word| word.len() > 2 && word != "URL")) {
                self.add(
                    "env_name_mismatch",
                    &format!("the chart sets {other}, and {} reads {name}", service.name.as_str()),
                    vec![container.object.place(self.workspace, other)],
                );
            }
        }
        if whole && chart.whole && !built && !missing.is_empty() {
            let what = format!("{} ({})", service.name.as_str(), missing.join(", "));
            self.add("env_read_never_set", &what, vec![container.object.place(self.workspace, "env:")]);
        }
    }

    /// Hosts of addresses that no Service of the workspace has.
    fn addresses(&mut self, chart: &Chart, charts: &[Chart], manifests: &[Object], container: &Container<'_>, drafts: &[Draft]) {
        if charts.iter().any(|chart| chart.hides_services) {
            return;
        }
        let services: Vec<&Object> = charts
            .iter()
            .flat_map(|chart| chart.objects.iter())
            .chain(manifests)
            .filter(|object| object.kind == "Service" || object.kind == "StatefulSet")
            .collect();
        if services.iter().any(|service| service.name.contains(UNKNOWN)) || services.is_empty() {
            return;
        }
        let reachable = |host: &str| {
            services.iter().any(|service| {
                service.name == host
                    || service
                        .name
                        .split_once(RELEASE)
                        .is_some_and(|(head, tail)| host.len() > head.len() + tail.len() && host.starts_with(head) && host.ends_with(tail))
            })
        };
        let values: BTreeMap<String, String> = container
            .settings()
            .into_iter()
            .filter_map(|setting| {
                let value = match (setting.value, setting.from) {
                    (Some(value), _) => value,
                    (None, Some(("ConfigMap", name, key, _))) => {
                        chart.objects.iter().find(|object| object.kind == "ConfigMap" && object.name == name)?.at(&["data", &key])?.as_str()?.to_owned()
                    }
                    _ => return None,
                };
                Some((setting.name, value))
            })
            .collect();
        for (name, value) in values.iter().filter(|(name, value)| !browser_name(name) && !value.contains(UNKNOWN)) {
            let Some(host) = host_of(value) else { continue };
            let short = host.trim_end_matches(".svc.cluster.local").trim_end_matches(".svc");
            let (first, namespace) = short.split_once('.').map_or((short, None), |(first, rest)| (first, Some(rest)));
            // Other namespaces hold Services that this workspace does not make.
            if namespace.is_some() || !cluster_name(&host) || matches!(first, "kubernetes" | "host") || reachable(first) {
                continue;
            }
            // Only where one of our own services is meant: others may come from elsewhere.
            let meant = drafts.iter().any(|draft| {
                let own = [draft.service.name.as_str(), base_of(&draft.service.dir)];
                own.iter()
                    .any(|own| own.len() > 2 && first.split('-').collect::<Vec<_>>().windows(own.split('-').count()).any(|words| words.join("-") == **own))
            });
            let read = container.draft.is_none_or(|draft| draft.service.env.iter().any(|read| read.name.as_str() == name) || draft.service.env.is_empty());
            if meant && read {
                let under = chart.release.as_ref().map_or_else(String::new, |release| format!(" under the release {release}"));
                self.add(
                    "dangling_service_dns",
                    &format!("{name} of {} points to {first}, and no Service has that name{under}", container.name()),
                    vec![container.object.place(self.workspace, name)],
                );
            }
        }
    }

    /// Probes against routes and ports.
    fn probes(&mut self, container: &Container<'_>, drafts: &[Draft]) {
        let Some(draft) = container.draft else { return };
        for key in ["startupProbe", "readinessProbe", "livenessProbe"] {
            let Some(probe) = container.json.get(key) else { continue };
            let Some(http) = probe.get("httpGet").or_else(|| probe.get("tcpSocket")) else { continue };
            let place = |word: &str| vec![container.object.place(self.workspace, word)];
            if let Some(path) = text(http, &["path"]).filter(|path| !path.contains(UNKNOWN))
                && serves(self.workspace, draft, path.split('?').next().unwrap_or(path)) == Some(false)
            {
                let place = place(path);
                self.add(
                    "probe_path_not_served",
                    &format!("the probes of {} ask {} for {path}, which no route serves", container.name(), draft.service.name.as_str()),
                    place,
                );
            }
            if let (Some(asked), Some(listens)) = (http.get("port").and_then(|port| container.port(port)), self.listens(container, drafts))
                && asked != listens
            {
                let place = place(key);
                self.add("port_mismatch", &format!("the probes of {} ask on port {asked}, and the program listens on {listens}", container.name()), place);
            }
        }
    }

    /// `runAsNonRoot` against the user of the image.
    fn user_of(&mut self, container: &Container<'_>, drafts: &[Draft]) {
        let Some(draft) = container.draft else { return };
        let said = |key: &str| {
            let own = container.json.get("securityContext").and_then(|context| context.get(key));
            own.or_else(|| container.object.pod().and_then(|pod| pod.get("securityContext")).and_then(|context| context.get(key)))
        };
        let files = images::dockerfiles(self.workspace, draft, drafts);
        let ([(_, file)], Some(true), None) = (files.as_slice(), said("runAsNonRoot").and_then(Json::as_bool), said("runAsUser")) else { return };
        let official = ["python:", "node:", "golang:", "ruby:", "rust:", "debian:", "ubuntu:", "alpine:"]
            .iter()
            .any(|head| file.base().rsplit('/').next().unwrap_or_default().starts_with(head));
        let place = vec![container.object.place(self.workspace, "runAsNonRoot")];
        let name = draft.service.name.as_str();
        match file.user().map(|user| user.rest.split(':').next().unwrap_or_default()) {
            None if official => self.add("run_as_non_root_image_is_root", name, place),
            Some("root" | "0") => self.add("run_as_non_root_image_is_root", name, place),
            Some(user) if !user.is_empty() && !user.contains('$') && !user.chars().all(|letter| letter.is_ascii_digit()) => {
                self.add("user_not_numeric", name, place)
            }
            _ => {}
        }
    }
}

/// The service whose image a container runs, where its names leave one.
fn matching<'all>(drafts: &'all [Draft], object: &Object, container: &Json) -> Option<&'all Draft> {
    let image = text(container, &["image"])
        .unwrap_or_default()
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .split([':', '@'])
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let label = text(container, &["name"]).unwrap_or_default().to_ascii_lowercase();
    let workload = object.name.to_ascii_lowercase();
    for word in [image, workload, label] {
        let mut best: Vec<(usize, &Draft)> = Vec::new();
        for draft in drafts {
            let dir = base_of(&draft.service.dir).to_ascii_lowercase();
            let compose = draft.service.compose_service.clone().unwrap_or_default();
            let keys = [draft.service.name.as_str().to_owned(), dir, compose];
            let fits = |key: &&String| {
                key.len() > 2
                    && (word == **key || word.ends_with(&format!("-{key}")) || word.starts_with(&format!("{key}-")) || word.contains(&format!("-{key}-")))
            };
            if let Some(length) = keys.iter().filter(fits).map(|key| if word == *key { 100 } else { key.len() }).max() {
                best.push((length, draft));
            }
        }
        best.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
        match best.as_slice() {
            [(_, only)] => return Some(only),
            [(first, best), (second, _), ..] if first > second => return Some(best),
            // Two services fit alike: what is said of one may be wrong.
            [_, _, ..] => return None,
            [] => {}
        }
    }
    None
}

/// An image by its mutable tag.
fn floating(image: &str) -> bool {
    let tag = image.rsplit('/').next().unwrap_or_default();
    !image.contains('$') && !image.contains('@') && (tag.ends_with(":latest") || !tag.contains(':') || tag.ends_with(':'))
}

/// A key that names a Secret, or a key in one.
fn reference(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    ["name", "ref", "existingsecret", "file", "path", "key_name", "keyname", "secretkeyref"].iter().any(|tail| lower.ends_with(tail))
        || lower.starts_with("existing")
        || lower == "type"
}

/// Under a heading that says secret, a key that says what kind.
fn holds(key: &str) -> bool {
    let lower = snake(key);
    ["key", "token", "password", "secret", "url", "dsn", "credential"].iter().any(|tail| lower.ends_with(tail))
        && !calls::holds_address(&lower.to_ascii_uppercase())
}
