//! Charts that people wrote: each is judged by the helm gate and by whether it runs what is built here; one that passes is deployed as it is, of another is said why not.

use super::chart::{Judged, policies, renders};
use super::{Scratch, below};
use crate::blueprint::{Blueprint, EnvSetting, PersonsChart, Workload};
use crate::config::Delivery;
use crate::evidence::{Check, Finding, Outcome, Place, Severity};
use crate::failure::Failure;
use crate::landfall::Landfall;
use crate::names::{EnvironmentName, ImageRef, ServiceName};
use crate::plan::ImageStep;
use crate::policy;
use crate::ports::Proof;
use crate::render;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

impl Landfall {
    /// Gives each workload the chart that a person wrote for it, where that one passes. One finding per chart says what became of it.
    pub(super) async fn persons_charts(
        &self,
        workspace: &Path,
        blueprint: &mut Blueprint,
        images: &BTreeMap<ServiceName, ImageStep>,
        proof: Option<&Proof>,
    ) -> Result<Vec<Finding>, Failure> {
        let lock = render::Lock::load(workspace)?;
        let named = |workload: &Workload| Some((workload.name.clone(), workload.service()?.chart.clone()?));
        let charts: Vec<(ServiceName, String)> = blueprint.workloads.iter().filter_map(named).collect();
        let mut findings = Vec::new();
        for (name, folder) in charts.iter().filter(|(name, folder)| a_persons(workspace, name, folder, &lock)) {
            let several = charts.iter().filter(|(_, other)| other == folder).count() > 1;
            let judged = if several {
                Err(vec!["it is the chart of several services, and each is a release of its own".to_owned()])
            } else {
                self.judged(workspace, blueprint, name, folder, images, proof).await?
            };
            let tagged = judged.as_ref().is_ok_and(|persons| !persons.by_digest)
                && images.get(name).is_some_and(|step| Delivery::of(&step.reference) == Delivery::Registry);
            findings.push(told(name, folder, judged.as_ref().err(), tagged));
            if let Some(workload) = blueprint.workloads.iter_mut().find(|workload| workload.name == *name) {
                workload.chart = judged.ok();
            }
        }
        Ok(findings)
    }

    /// The chart with what brings the image into it; or everything that keeps it from being deployed.
    async fn judged(
        &self,
        workspace: &Path,
        blueprint: &Blueprint,
        name: &ServiceName,
        folder: &str,
        images: &BTreeMap<ServiceName, ImageStep>,
        proof: Option<&Proof>,
    ) -> Result<Result<PersonsChart, Vec<String>>, Failure> {
        let (Some(workload), Some(step)) = (blueprint.workload(name.as_str()), images.get(name)) else {
            return Ok(Err(vec!["nothing is built for it".to_owned()]));
        };
        let environment = &blueprint.environment;
        let mut persons = match with_image(workspace, folder, environment, &step.reference) {
            Ok(persons) => persons,
            Err(why) => return Ok(Err(vec![why])),
        };
        let scratch = Scratch::new(&self.setup.state)?;
        let overlay = render::overlay(name, &persons, environment);
        let laid_over = scratch.0.join(&overlay.path);
        crate::files::write_private(&laid_over, overlay.text.as_bytes())?;
        let own: Vec<String> = persons.values.iter().cloned().collect();
        let values: Vec<_> = below(workspace, &own).into_iter().chain([laid_over]).collect();
        let version = proof.map(|proof| proof.profile.kubernetes_version.trim_start_matches('v').to_owned());
        let gate = Judged {
            helm: self.world.charts.as_ref(),
            chart: &workspace.join(folder),
            release: name,
            namespace: &blueprint.namespace,
            version: version.as_deref(),
            state: &self.setup.state,
        };
        let (lint, schema, said) = tokio::join!(gate.lint(&values), gate.schema(), gate.render(&values));
        let manifest = said.as_ref().ok().filter(|said| said.ok).map(|said| said.text.clone()).unwrap_or_default();
        let checks = [lint, schema, renders(&[(environment.clone(), said)]), policies(&[(environment, &manifest)]).0];
        let mut reasons: Vec<String> = checks.iter().filter(|check| check.outcome != Outcome::Pass).map(reason).collect();
        if reasons.is_empty() {
            reasons.extend(misfits(&policy::documents(&manifest)?, workload, step.reference.as_str(), blueprint));
        }
        if !reasons.is_empty() {
            return Ok(Err(reasons));
        }
        if persons.image.contains_key(render::DIGEST) {
            let tried = scratch.0.join("digest.yaml");
            crate::files::write_private(&tried, render::digest_values(&persons, TRIED).as_bytes())?;
            let said = gate.render(&values.into_iter().chain([tried]).collect::<Vec<_>>()).await.ok().filter(|said| said.ok);
            persons.by_digest = said.is_some_and(|said| runs_by_digest(&policy::documents(&said.text).unwrap_or_default(), &step.reference));
        }
        Ok(Ok(persons))
    }
}

/// The digest with which a chart is tried.
const TRIED: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// True where a container runs the image by exactly the digest that was tried, whether its tag stands there as well or not.
fn runs_by_digest(objects: &[Value], reference: &ImageRef) -> bool {
    let ours = [format!("{}@{TRIED}", reference.repository()), format!("{reference}@{TRIED}")];
    let pods = objects.iter().filter_map(|object| object.pointer("/spec/template/spec").or_else(|| object.pointer("/spec/jobTemplate/spec/template/spec")));
    let mut containers = pods.filter_map(|pod| pod.get("containers")?.as_array()).flatten();
    containers.any(|container| container.get("image").and_then(Value::as_str).is_some_and(|image| ours.iter().any(|ours| ours == image)))
}

/// True for a chart that somebody else wrote, and beside which we never wrote one: what runs under one chart is not put under another unasked.
fn a_persons(workspace: &Path, name: &ServiceName, folder: &str, lock: &render::Lock) -> bool {
    let ours = lock.files.contains_key(&format!("{}/Chart.yaml", render::chart_folder(name)));
    let text = std::fs::read_to_string(workspace.join(folder).join("Chart.yaml")).unwrap_or_default();
    !ours && !text.is_empty() && !text.starts_with(crate::survey::OURS)
}

fn reason(check: &Check) -> String {
    let seen = check.evidence.first().map(|evidence| format!(" ({}: {})", evidence.at, evidence.text)).unwrap_or_default();
    format!("{}: {}{seen}", check.id, check.reason)
}

/// `tagged`: it comes through the registry, and the chart runs it by its tag.
fn told(name: &ServiceName, folder: &str, reasons: Option<&Vec<String>>, tagged: bool) -> Finding {
    let chart = Place::file(format!("{folder}/Chart.yaml"));
    match reasons {
        None => Finding {
            code: "CHART_KEPT".to_owned(),
            severity: Severity::Note,
            message: format!(
                "{name} has a chart of its own, {folder}, which passes the helm gate and is deployed as it is{}",
                if tagged { ", with the image by its tag: its values have no place for a digest that its container runs by" } else { "" }
            ),
            help: format!("what brings the image into it stands in deploy/overlays/{name}; remove or rename {folder} to have a chart written"),
            evidence: vec![chart],
            fix: None,
        },
        Some(reasons) => Finding {
            code: "CHART_NOT_USED".to_owned(),
            severity: Severity::Warning,
            message: crate::secret::plain(&format!("the chart {folder} is not deployed for {name}, one is written instead: {}", reasons.join("; ")), 1_200),
            help: format!("mend it to have it deployed as it is, and remove {} if it was written by then", render::chart_folder(name)),
            evidence: vec![chart],
            fix: None,
        },
    }
}

/// Finds what names the image among the chart's values and says ours there; the error says what is missing.
fn with_image(workspace: &Path, folder: &str, environment: &EnvironmentName, reference: &ImageRef) -> Result<PersonsChart, String> {
    let path = format!("{folder}/values.yaml");
    let text = std::fs::read_to_string(workspace.join(&path)).map_err(|error| format!("{path} cannot be read: {error}"))?;
    let values: Value = serde_saphyr::from_str(&text).map_err(|error| format!("{path} is not YAML: {error}"))?;
    let mut places = Vec::new();
    image_places(&values, &mut Vec::new(), &mut places);
    let place = match places.as_slice() {
        [place] => place,
        [] => return Err(format!("{path} has no `image` with a repository and a tag")),
        several => return Err(format!("{path} names {} images, and which of them is built here is not known", several.len())),
    };
    let image = match place.get("image") {
        None => [("repository", reference.repository()), ("tag", reference.tag())]
            .map(|(key, text)| (key.to_owned(), text.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>(),
        Some(_) => BTreeMap::from([("image".to_owned(), reference.to_string())]),
    };
    let mut persons = PersonsChart { folder: folder.to_owned(), values: None, above: place.above.clone(), image, by_digest: false };
    for (key, text) in [("pullPolicy", "IfNotPresent"), ("digest", ""), ("registry", "")] {
        if place.keys.contains(&key.to_owned()) {
            persons.image.insert(key.to_owned(), text.to_owned());
        }
    }
    let own = format!("{folder}/values-{environment}.yaml");
    persons.values = workspace.join(&own).is_file().then_some(own);
    Ok(persons)
}

/// Where values name an image: the keys above, and those beside the name.
struct ImagePlace {
    above: Vec<String>,
    keys: Vec<String>,
}

impl ImagePlace {
    /// `image: name:tag`, one text.
    fn get(&self, key: &str) -> Option<&String> {
        self.keys.iter().find(|known| *known == key)
    }
}

/// `image: {repository, tag}` and `image: name:tag`, wherever they stand.
fn image_places(values: &Value, above: &mut Vec<String>, places: &mut Vec<ImagePlace>) {
    let Some(map) = values.as_object() else { return };
    for (key, value) in map {
        match value {
            Value::Object(image) if key == "image" && image.contains_key("repository") => {
                let above = above.iter().cloned().chain([key.clone()]).collect();
                places.push(ImagePlace { above, keys: image.keys().cloned().collect() });
            }
            Value::String(text) if key == "image" && !text.is_empty() => places.push(ImagePlace { above: above.clone(), keys: vec![key.clone()] }),
            Value::Object(_) => {
                above.push(key.clone());
                image_places(value, above, places);
                above.pop();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {}
        }
    }
}

/// Kinds that belong to no namespace: what one application's chart installs must go away with its namespace.
const CLUSTER_WIDE: &[&str] = &[
    "APIService",
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "IngressClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PersistentVolume",
    "PriorityClass",
    "RuntimeClass",
    "StorageClass",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
    "ValidatingWebhookConfiguration",
];

/// What keeps rendered objects from being this workload; empty where nothing does.
fn misfits(objects: &[Value], workload: &Workload, reference: &str, blueprint: &Blueprint) -> Vec<String> {
    let objects: Vec<&Value> = objects.iter().filter(|object| object.pointer("/metadata/annotations/helm.sh~1hook").is_none()).collect();
    let mut wrong: Vec<String> = objects.iter().filter_map(|object| elsewhere(object, blueprint)).collect();
    let runs: Vec<&Value> =
        objects.iter().copied().filter(|object| matches!(kind(object), "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "CronJob")).collect();
    let [only] = runs.as_slice() else {
        wrong.push(format!("it renders {} workloads, and {} is one", runs.len(), workload.name));
        return wrong;
    };
    let controller = workload.controller().as_str();
    if kind(only) != controller {
        wrong.push(format!("it renders a {}, and {} runs as a {controller} here", kind(only), workload.name));
    }
    if only.pointer("/metadata/labels/app.kubernetes.io~1instance").and_then(Value::as_str) != Some(workload.name.as_str()) {
        wrong.push("its workload does not carry the label app.kubernetes.io/instance with the release's name".to_owned());
    }
    let pod = only.pointer("/spec/template/spec").or_else(|| only.pointer("/spec/jobTemplate/spec/template/spec"));
    let containers: Vec<&Value> = pod.and_then(|pod| pod["containers"].as_array()).into_iter().flatten().collect();
    match containers.iter().find(|container| container["image"] == reference) {
        None => wrong.push(format!("no container runs {reference} with that image among its values")),
        Some(container) => {
            if container["imagePullPolicy"] == "Always" {
                wrong.push("it pulls the image always, and what is built on this machine is nowhere to be pulled from".to_owned());
            }
            let given = |setting: &EnvSetting| gives(container, setting.name.as_str(), &objects, blueprint);
            let missing = workload.env.iter().filter(|setting| setting.required && !given(setting));
            wrong.extend(missing.map(|setting| format!("it does not set {}, which the program needs", setting.name)));
            wrong.extend(dangling(container, &objects, blueprint));
        }
    }
    if let Some(port) = workload.port {
        let offers = |service: &&Value| service.pointer("/spec/ports").and_then(Value::as_array).into_iter().flatten().any(|offered| offered["port"] == port);
        let service = objects.iter().copied().find(|object| kind(object) == "Service" && name_of(object) == workload.name.as_str());
        if !service.is_some_and(|service| offers(&service)) {
            wrong.push(format!("no Service {} offers port {port}, the address that others are given", workload.name));
        }
    }
    wrong
}

fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

fn name_of(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// An object that does not lie in the app's namespace.
fn elsewhere(object: &Value, blueprint: &Blueprint) -> Option<String> {
    if CLUSTER_WIDE.contains(&kind(object)) {
        return Some(format!("it installs {}, which belongs to no namespace", policy::object_name(object)));
    }
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str)?;
    (namespace != blueprint.namespace.as_str()).then(|| format!("it puts {} into the namespace {namespace}", policy::object_name(object)))
}

/// True where the container gets this variable, by itself or with a whole ConfigMap or Secret.
fn gives(container: &Value, name: &str, objects: &[&Value], blueprint: &Blueprint) -> bool {
    let listed = container["env"].as_array().into_iter().flatten().any(|setting| setting["name"] == name);
    let whole = container["envFrom"].as_array().into_iter().flatten().any(|from| {
        let (kind, taken) = if from["configMapRef"].is_object() { ("ConfigMap", &from["configMapRef"]) } else { ("Secret", &from["secretRef"]) };
        holds(kind, taken["name"].as_str().unwrap_or_default(), Some(name), objects, blueprint)
    });
    listed || whole
}

/// True where a ConfigMap or Secret is there when the chart is installed, with this key where one is asked for.
fn holds(wanted: &str, name: &str, key: Option<&str>, objects: &[&Value], blueprint: &Blueprint) -> bool {
    let has = |object: &Value| key.is_none_or(|key| ["data", "stringData"].iter().any(|field| object[*field].get(key).is_some()));
    let rendered = objects.iter().any(|object| kind(object) == wanted && name_of(object) == name && has(object));
    let ours = wanted == "Secret" && blueprint.secrets.iter().any(|secret| secret.name == name && key.is_none_or(|key| secret.keys.contains_key(key)));
    rendered || ours
}

/// References of a container to what nobody makes.
fn dangling(container: &Value, objects: &[&Value], blueprint: &Blueprint) -> Vec<String> {
    let kinds = [("ConfigMap", "configMapKeyRef", "configMapRef"), ("Secret", "secretKeyRef", "secretRef")];
    let mut missing = Vec::new();
    for (kind, by_key, whole) in kinds {
        let keyed = container["env"].as_array().into_iter().flatten().filter_map(|setting| setting["valueFrom"].get(by_key));
        let taken = container["envFrom"].as_array().into_iter().flatten().filter_map(|from| from.get(whole));
        for reference in keyed.chain(taken).filter(|reference| reference.is_object() && reference["optional"] != true) {
            let name = reference["name"].as_str().unwrap_or_default();
            let key = reference["key"].as_str();
            if !holds(kind, name, key, objects, blueprint) {
                missing.push(format!("it reads {kind}/{name}{}, which nobody makes", key.map(|key| format!(" key {key}")).unwrap_or_default()));
            }
        }
    }
    missing.dedup();
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blueprint::{Wishes, draw};
    use crate::config::Config;
    use crate::names::AppName;

    const REFERENCE: &str = "localhost/notes/api:0123456789ab";

    /// An application of one service, which needs MODE and listens on 8000.
    fn blueprint() -> Blueprint {
        let folder = tempfile::tempdir().unwrap();
        let api = folder.path().join("api");
        std::fs::create_dir_all(&api).unwrap();
        std::fs::write(api.join("requirements.txt"), "fastapi\nuvicorn\n").unwrap();
        std::fs::write(api.join("main.py"), "import os\nfrom fastapi import FastAPI\napp = FastAPI()\nMODE = os.environ[\"MODE\"]\n").unwrap();
        let survey = crate::survey::survey(folder.path(), &crate::survey::Options::default()).unwrap();
        let config = Config::parse("schema = 1\n[service.api.env]\nMODE = \"quiet\"\n").unwrap();
        draw(&survey, &config, &AppName::parse("notes").unwrap(), &Wishes::default()).unwrap()
    }

    const GOOD: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: notes, labels: {app.kubernetes.io/instance: api}}
spec:
  template:
    spec:
      containers:
        - name: api
          image: localhost/notes/api:0123456789ab
          imagePullPolicy: IfNotPresent
          env: [{name: MODE, value: quiet}]
          envFrom: [{configMapRef: {name: api}}]
---
apiVersion: v1
kind: Service
metadata: {name: api}
spec: {ports: [{port: 8000}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: api}
data: {LOG_LEVEL: info}
"#;

    /// What keeps GOOD with one change from being deployed.
    fn check(from: &str, to: &str, says: &[&str]) {
        let text = GOOD.replace(from, to);
        assert!(from.is_empty() || text != GOOD, "{from}");
        let blueprint = blueprint();
        let workload = blueprint.workload("api").unwrap();
        let wrong = misfits(&policy::documents(&text).unwrap(), workload, REFERENCE, &blueprint);
        assert_eq!(wrong.len(), says.len(), "{wrong:?}");
        assert!(wrong.iter().zip(says).all(|(wrong, says)| wrong.contains(says)), "{wrong:?}");
    }

    #[test]
    fn a_chart_that_runs_what_is_built_here_fits() {
        check("", "", &[]);
        check("env: [{name: MODE, value: quiet}]", "", &["does not set MODE"]);
        check("data: {LOG_LEVEL: info}", "data: {LOG_LEVEL: info, MODE: quiet}", &[]);
        check("env: [{name: MODE, value: quiet}]", "env: [{name: MODE, valueFrom: {secretKeyRef: {name: modes, key: m}}}]", &["reads Secret/modes key m"]);
        let optional = "env: [{name: MODE, valueFrom: {secretKeyRef: {name: modes, key: m, optional: true}}}]";
        check("env: [{name: MODE, value: quiet}]", optional, &[]);
        check("configMapRef: {name: api}", "configMapRef: {name: other}", &["reads ConfigMap/other"]);
        check("imagePullPolicy: IfNotPresent", "imagePullPolicy: Always", &["pulls the image always"]);
        check("imagePullPolicy: IfNotPresent", "", &[]);
        check(":0123456789ab", ":1.0", &["no container runs localhost/notes/api:0123456789ab"]);
        check("port: 8000", "port: 80", &["no Service api offers port 8000"]);
        check("kind: Service\nmetadata: {name: api}", "kind: Service\nmetadata: {name: notes-api}", &["no Service api offers port 8000"]);
        check("namespace: notes, ", "namespace: default, ", &["into the namespace default"]);
        check("kind: Deployment", "kind: StatefulSet", &["renders a StatefulSet"]);
        check("app.kubernetes.io/instance: api", "app: api", &["label app.kubernetes.io/instance"]);
        check("kind: ConfigMap", "kind: PriorityClass", &["PriorityClass/api, which belongs to no namespace", "reads ConfigMap/api"]);
        check("kind: Deployment", "kind: Gateway", &["renders 0 workloads"]);
    }

    #[test]
    fn the_image_is_said_where_the_values_name_one() {
        type Named<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)]);
        let check = |values: &str, expect: Result<Named<'_>, &str>| {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("chart")).unwrap();
            std::fs::write(folder.path().join("chart/values.yaml"), values).unwrap();
            let environment = EnvironmentName::parse("minikube").unwrap();
            let found = with_image(folder.path(), "chart", &environment, &ImageRef::parse(REFERENCE).unwrap());
            match (found, expect) {
                (Ok(persons), Ok((above, image))) => {
                    assert_eq!(persons.above, above, "{values}");
                    let image: BTreeMap<String, String> = image.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
                    assert_eq!(persons.image, image, "{values}");
                }
                (Err(why), Err(says)) => assert!(why.contains(says), "{why}"),
                (found, expect) => panic!("{values}: {found:?}, and not {expect:?}"),
            }
        };
        let named = [("repository", "localhost/notes/api"), ("tag", "0123456789ab")];
        check("image: {repository: a}", Ok((&["image"], &named)));
        let whole = [named[0], named[1], ("pullPolicy", "IfNotPresent"), ("digest", "")];
        check("image: {repository: a, tag: b, pullPolicy: Always, digest: c}", Ok((&["image"], &whole)));
        check("backend: {image: {repository: a, tag: b}}", Ok((&["backend", "image"], &named)));
        check("image: ghcr.example/a:1\nreplicas: 1", Ok((&[], &[("image", REFERENCE)])));
        check("replicas: 1", Err("has no `image`"));
        check("image: {repository: a}\npostgres: {image: postgres:17}", Err("names 2 images"));
        check("image: [", Err("is not YAML"));
    }

    #[test]
    fn a_digest_counts_where_the_container_runs_by_it() {
        let check = |image: &str, expect: bool| {
            let text = GOOD.replace(REFERENCE, image);
            assert_eq!(runs_by_digest(&policy::documents(&text).unwrap(), &ImageRef::parse(REFERENCE).unwrap()), expect, "{image}");
        };
        check(&format!("localhost/notes/api@{TRIED}"), true);
        check(&format!("{REFERENCE}@{TRIED}"), true);
        check(REFERENCE, false);
        check(&format!("{REFERENCE}@sha256:{TRIED}"), false);
        check(&format!("localhost/notes/web@{TRIED}"), false);
        let note = |reference: &str, by_digest: bool| {
            let tagged = !by_digest && Delivery::of(&ImageRef::parse(reference).unwrap()) == Delivery::Registry;
            told(&ServiceName::parse("api").unwrap(), "chart", None, tagged).message.contains("by its tag")
        };
        assert!(note("localhost:5000/notes/api:1", false));
        assert!(!note("localhost:5000/notes/api:1", true) && !note("localhost/notes/api:1", false));
    }
}
