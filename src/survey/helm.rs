//! Charts of the workspace, rendered with their default values without Helm, a cluster or the network; what cannot be known is left open.

mod eval;
mod functions;
mod template;

pub(crate) use eval::UNKNOWN;
use eval::{Library, Stop, overlay, render};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use template::{Broken, File, Node};

use super::Place;
use super::walk::{base_of, dir_of, join, within};
use super::workspace::Workspace;

/// A chart as it is rendered with its default values.
#[derive(Debug, Default)]
pub(crate) struct Chart {
    pub(crate) dir: String,
    /// The release name that the workspace's own documents install it under; none where they do not agree.
    pub(crate) release: Option<String>,
    pub(crate) objects: Vec<Object>,
    /// What certainly keeps it from rendering.
    pub(crate) broken: Vec<Place>,
    pub(crate) why: String,
    /// Every template was read to its end, so what is not among the objects is not in the chart.
    pub(crate) whole: bool,
    /// A template that was not read to its end may hold a Service.
    pub(crate) hides_services: bool,
}

/// One manifest.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Object {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) json: Json,
    /// The file that writes it, and for each rendered line its own.
    pub(crate) file: String,
    text: String,
    lines: Vec<u32>,
}

impl Object {
    /// The place that wrote the first line with this word; the object's first line where none does. Values of secrets are not shown.
    pub(crate) fn place(&self, workspace: &Workspace, word: &str) -> Place {
        let at =
            self.text.lines().position(|line| !word.is_empty() && line.contains(word)).or_else(|| self.text.lines().position(|line| line.starts_with("kind:")));
        let line = self.lines.get(at.unwrap_or(0)).copied().unwrap_or(0);
        let shown = workspace.text(&self.file).map(|text| super::facts::line_text(text, line)).unwrap_or_default();
        Place::new(self.file.clone(), line, shown)
    }

    /// A value by its path.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Json> {
        path.iter().try_fold(&self.json, |at, key| at.get(key))
    }

    /// The pod template of a workload.
    pub(crate) fn pod(&self) -> Option<&Json> {
        match self.kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "Job" | "ReplicaSet" => self.at(&["spec", "template", "spec"]),
            "CronJob" => self.at(&["spec", "jobTemplate", "spec", "template", "spec"]),
            "Pod" => self.at(&["spec"]),
            _ => None,
        }
    }
}

/// Stands for the release name where nobody wrote one down.
pub(crate) const RELEASE: &str = "landfall-release";

/// Every chart that stands for itself, in the order of their folders.
pub(crate) fn charts(workspace: &Workspace) -> Vec<Chart> {
    let dirs: BTreeSet<&str> = workspace
        .texts
        .keys()
        .filter(|path| base_of(path) == "Chart.yaml" && !path.split('/').any(|part| part.starts_with('.')))
        // A chart of ours is judged as it renders, by its gate.
        .filter(|path| !workspace.text(path).is_some_and(|text| text.starts_with(super::OURS)))
        .map(|path| dir_of(path))
        .collect();
    let child =
        |dir: &str| dir.split_once("/charts/").is_some() && dirs.iter().any(|other| dir.strip_prefix(other).is_some_and(|rest| rest.starts_with("/charts/")));
    dirs.iter().filter(|dir| !child(dir)).take(60).map(|dir| chart(workspace, dir)).collect()
}

/// Manifests that are applied as they are.
pub(crate) fn manifests(workspace: &Workspace, charts: &[Chart]) -> Vec<Object> {
    let inside = |path: &str| charts.iter().any(|chart| within(path, &chart.dir));
    let mut out = Vec::new();
    for (path, text) in workspace
        .texts
        .iter()
        .filter(|(path, text)| (path.ends_with(".yaml") || path.ends_with(".yml")) && text.contains("\nkind:") | text.starts_with("kind:") && !inside(path))
    {
        if text.contains("{{") || !text.contains("apiVersion:") || text.starts_with(super::OURS) {
            continue;
        }
        let lines = (1..).take(text.lines().count() + 1).collect();
        let rendered = eval::Output { text: text.clone(), lines };
        if let Ok(objects) = objects(path, &rendered) {
            out.extend(objects);
        }
    }
    out
}

type Tree = Map<String, Json>;

/// A chart or a chart within it, before anything is evaluated.
struct Source {
    dir: String,
    about: Map<String, Json>,
    values: Map<String, Json>,
    files: Vec<(String, File)>,
}

fn chart(workspace: &Workspace, dir: &str) -> Chart {
    let mut chart = Chart { dir: dir.to_owned(), release: release(workspace, dir), whole: true, ..Chart::default() };
    let mut sources = Vec::new();
    collect(workspace, &mut chart, dir, None, 0, &mut sources);
    let mut defines: BTreeMap<&str, &[Node]> = sources
        .iter()
        .flat_map(|source| source.files.iter())
        .flat_map(|(_, file)| file.defines.iter())
        .map(|(name, body)| (name.as_str(), body.as_slice()))
        .collect();
    // Every file is a template of its own name: checksums include them so.
    defines.extend(sources.iter().flat_map(|source| source.files.iter()).map(|(path, file)| (path.as_str(), file.body.as_slice())));
    let library = Library { defines, partial: missing_dependencies(workspace, &sources) };
    let release = chart.release.clone().unwrap_or_else(|| RELEASE.to_owned());
    for source in &sources {
        if source.about.get("type").and_then(Json::as_str) == Some("library") {
            continue;
        }
        for (path, file) in &source.files {
            let name = base_of(path);
            if name.starts_with('_') || !(name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".tpl") || name == "NOTES.txt") {
                continue;
            }
            let answer = render(&library, &file.body, &data(source, &release, path));
            // Notes are for people; what breaks them breaks the install all the same.
            let read = match answer {
                Ok(_) if name == "NOTES.txt" => continue,
                Ok(rendered) => objects(path, &rendered).map_err(Stop::Broken),
                Err(stop) => Err(stop),
            };
            match read {
                Ok(objects) => chart.objects.extend(objects),
                Err(stop) => {
                    chart.hides_services |= workspace.text(path).is_some_and(|text| text.lines().any(|line| line.trim_end() == "kind: Service"));
                    match stop {
                        Stop::Broken(broken) if !broken.what.is_empty() => chart.breaks(workspace, path, &broken),
                        _ => chart.whole = false,
                    }
                }
            }
        }
    }
    chart.hides_services |= library.partial;
    chart.whole &= chart.broken.is_empty() && !library.partial;
    chart
}

impl Chart {
    fn breaks(&mut self, workspace: &Workspace, path: &str, broken: &Broken) {
        let shown = workspace.text(path).map(|text| super::facts::line_text(text, broken.line)).unwrap_or_default();
        if self.broken.is_empty() {
            self.why = format!("{}: {}", join(".", path), broken.what);
        }
        if self.broken.len() < 5 {
            self.broken.push(Place::new(path, broken.line, shown));
        }
    }
}

/// A chart's files, and those of the charts in its `charts/` folder. `above`: the values of the chart around it, and its `Chart.yaml`.
fn collect(workspace: &Workspace, chart: &mut Chart, dir: &str, above: Option<(&Tree, &Tree)>, depth: usize, out: &mut Vec<Source>) {
    let about = match workspace.text(&join(dir, "Chart.yaml")).map(mapping) {
        Some(Ok(about)) => about,
        Some(Err(_)) | None => {
            chart.whole = false;
            return;
        }
    };
    let name = about.get("name").and_then(Json::as_str).unwrap_or_default().to_owned();
    let path = join(dir, "values.yaml");
    let mut values = match workspace.text(&path).map(mapping) {
        Some(Ok(values)) => values,
        Some(Err(broken)) if broken.what.is_empty() => {
            chart.whole = false;
            return;
        }
        Some(Err(broken)) => {
            chart.breaks(workspace, &path, &broken);
            return;
        }
        None => Map::new(),
    };
    let globals = above.and_then(|(values, _)| values.get("global")).cloned().unwrap_or_else(|| json!({}));
    if let Some((given, parent)) = above {
        let declared =
            parent.get("dependencies").and_then(Json::as_array).into_iter().flatten().find(|entry| entry.get("name").and_then(Json::as_str) == Some(&name));
        let switch = declared.and_then(|entry| entry.get("condition")).and_then(Json::as_str).and_then(|path| path.split(',').next());
        let on = switch.and_then(|path| path.split('.').try_fold(&Json::Object(given.clone()), |at, key| at.get(key)).and_then(Json::as_bool)).unwrap_or(true);
        if !on {
            return;
        }
        let alias = declared.and_then(|entry| entry.get("alias")).and_then(Json::as_str).unwrap_or(&name);
        if let Some(over) = given.get(alias).and_then(Json::as_object) {
            overlay(&mut values, over);
        }
    }
    let mut global = Map::new();
    global.insert("global".to_owned(), globals);
    overlay(&mut global, &values);
    let values = global;
    let mut files = Vec::new();
    for path in workspace.tree.under(&join(dir, "templates")).take(300) {
        let name = base_of(path);
        if !["yaml", "yml", "tpl", "txt"].iter().any(|tail| name.ends_with(&format!(".{tail}"))) {
            continue;
        }
        // NOTES.txt and other texts are kept like templates; a file that was too large is not.
        let Some(text) = workspace.text(path) else {
            chart.whole &= name.ends_with(".txt");
            continue;
        };
        match template::parse(text) {
            Ok(file) => files.push((path.to_owned(), file)),
            Err(broken) if broken.what.is_empty() => chart.whole = false,
            Err(broken) => chart.breaks(workspace, path, &broken),
        }
    }
    let children: BTreeSet<String> = workspace
        .tree
        .under(&join(dir, "charts"))
        .filter(|path| base_of(path) == "Chart.yaml" && super::walk::below(path, &join(dir, "charts")).matches('/').count() == 1)
        .map(|path| dir_of(path).to_owned())
        .collect();
    for child in children.iter().filter(|_| depth < 3) {
        collect(workspace, chart, child, Some((&values, &about)), depth + 1, out);
    }
    out.push(Source { dir: dir.to_owned(), about, values, files });
}

/// YAML that is a mapping; the place of the fault where it is none.
fn mapping(text: &str) -> Result<Map<String, Json>, Broken> {
    match read(text) {
        Ok(Json::Object(map)) => Ok(map),
        Ok(Json::Null) => Ok(Map::new()),
        Ok(_) => Err(Broken::new(1, "it is no mapping")),
        Err(broken) => Err(broken),
    }
}

/// One document, as lenient as Helm's own reader. Only what the grammar refuses is broken for certain; limits of ours are not.
fn read(text: &str) -> Result<Json, Broken> {
    super::yaml::read(text).map_err(|line| line.map_or_else(Broken::default, |line| Broken::new(line, "it is no valid YAML")))
}

/// Dependencies that are declared and not lying in `charts/`: their templates are not known here.
fn missing_dependencies(workspace: &Workspace, sources: &[Source]) -> bool {
    sources.iter().any(|source| {
        let declared = source.about.get("dependencies").and_then(Json::as_array).into_iter().flatten();
        let here = |name: &str| workspace.tree.has(&join(&source.dir, &format!("charts/{name}/Chart.yaml")));
        declared.filter_map(|entry| entry.get("name").and_then(Json::as_str)).any(|name| !here(name))
            || workspace.tree.under(&join(&source.dir, "charts")).any(|path| path.ends_with(".tgz"))
    })
}

fn data(source: &Source, release: &str, path: &str) -> Json {
    let text = |key: &str| source.about.get(key).map(functions::show).unwrap_or_default();
    json!({
        "Values": source.values,
        "Release": {"Name": release, "Namespace": "default", "Service": "Helm", "IsInstall": true, "IsUpgrade": false, "Revision": 1},
        "Chart": {
            "Name": text("name"), "Version": text("version"), "AppVersion": text("appVersion"), "Description": text("description"), "Type": text("type"),
            "APIVersion": text("apiVersion"), "KubeVersion": text("kubeVersion"), "Home": text("home"), "Icon": text("icon"), "Annotations": {},
        },
        "Capabilities": {
            "KubeVersion": {"Version": "v1.34.0", "GitVersion": "v1.34.0", "Major": "1", "Minor": "34"}, "APIVersions": UNKNOWN,
            "HelmVersion": {"Version": "v3.19.0", "GitCommit": UNKNOWN, "GoVersion": UNKNOWN},
        },
        "Template": {"Name": path, "BasePath": join(&source.dir, "templates")},
        "Files": UNKNOWN, "Subcharts": UNKNOWN,
    })
}

/// The documents of a rendered file.
fn objects(path: &str, rendered: &eval::Output) -> Result<Vec<Object>, Broken> {
    let mut out = Vec::new();
    let (mut text, mut lines): (String, Vec<u32>) = (String::new(), Vec::new());
    let mut ended = rendered.text.lines().zip(rendered.lines.iter().copied()).map(Some).collect::<Vec<_>>();
    ended.push(None);
    for line in ended {
        match line {
            Some((line, number)) if !line.starts_with("---") => {
                text.push_str(line);
                text.push('\n');
                lines.push(number);
            }
            _ => {
                let (text, lines) = (std::mem::take(&mut text), std::mem::take(&mut lines));
                if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
                    continue;
                }
                match read(&text) {
                    Ok(json) => out.extend(object(path, json, &text, &lines)),
                    // A word that stands for what is not known may be what breaks it.
                    Err(_) if text.contains(UNKNOWN) => return Err(Broken::default()),
                    Err(broken) if broken.what.is_empty() => return Err(broken),
                    Err(broken) => {
                        return Err(Broken::new(
                            lines.get((broken.line as usize).saturating_sub(1)).or(lines.last()).copied().unwrap_or(1),
                            "what it renders is no valid YAML",
                        ));
                    }
                }
            }
        }
    }
    Ok(out)
}

fn object(path: &str, json: Json, text: &str, lines: &[u32]) -> Option<Object> {
    let kind = json.get("kind")?.as_str()?.to_owned();
    let name = json.get("metadata").and_then(|about| about.get("name")).map(functions::show).unwrap_or_default();
    Some(Object { kind, name, json, file: path.to_owned(), text: text.to_owned(), lines: lines.to_vec() })
}

/// The release name under which documents and scripts install a chart: `helm install NAME path/to/chart`.
fn release(workspace: &Workspace, dir: &str) -> Option<String> {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for install in workspace.commands.installs.iter().filter(|install| {
        let given = install.chart.trim_end_matches('/').trim_start_matches("./");
        let tail = given.trim_start_matches("../");
        !tail.is_empty() && (dir == tail || dir.ends_with(&format!("/{tail}")) || (tail == "." && dir == "."))
    }) {
        *names.entry(install.release.clone()).or_insert(0) += 1;
    }
    let mut ranked: Vec<(String, usize)> = names.into_iter().collect();
    ranked.sort_by_key(|(name, count)| (std::cmp::Reverse(*count), name.clone()));
    match ranked.as_slice() {
        [(name, _)] => Some(name.clone()),
        _ => None,
    }
}

/// One template under these values, for tests: how many objects, or that it does not render.
#[cfg(test)]
pub(crate) fn rendered(text: &str, values: &str) -> Result<usize, ()> {
    let file = template::parse(text).map_err(drop)?;
    let defines = file.defines.iter().map(|(name, body)| (name.as_str(), body.as_slice())).collect();
    let library = Library { defines, partial: false };
    let source = Source { dir: "c".to_owned(), about: Map::new(), values: mapping(values).unwrap_or_default(), files: Vec::new() };
    let output = render(&library, &file.body, &data(&source, RELEASE, "c/templates/a.yaml")).map_err(drop)?;
    objects("c/templates/a.yaml", &output).map(|objects| objects.len()).map_err(drop)
}
