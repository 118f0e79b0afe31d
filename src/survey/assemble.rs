//! Projects, Dockerfiles and compose files come together as services; what is a decoy stays out.

use super::draft::Draft;
use super::facts::{Facts, Import, Value};
use super::more::{self, Ecosystem};
use super::walk::{base_of, dir_of, join, within};
use super::workspace::Workspace;
use super::{Kind, PassedOver, Place, docker::Dockerfile, start, versions};
use crate::names::ServiceName;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// Folders whose programs are shown, not deployed.
const DECOYS: &[&str] =
    &["examples", "example", "samples", "sample", "docs", "doc", "templates", "scripts", "tools", "benchmarks", "bench", "skills", "prompts", "history"];

/// Folders beside the program, inside a project.
const BESIDE: &[&str] = &["scripts", "examples", "example", "docs", "benchmarks", "bench", "stories", "versions"];

/// True where a file of a project is not part of what runs.
pub(crate) fn beside(path: &str, dir: &str) -> bool {
    let home = super::jvm::package_root(dir_of(path)).unwrap_or_else(|| dir_of(path));
    let below = super::walk::below(home, dir);
    below != dir && below.split('/').any(|part| BESIDE.contains(&part) || part.starts_with('.') && part.len() > 1)
}

/// All services, and the folders whose services are copies of an older state.
pub(crate) fn drafts(workspace: &mut Workspace) -> (Vec<Draft>, Vec<PassedOver>) {
    let phones = phone_apps(workspace);
    let projects = projects(workspace, &phones);
    let mut drafts: Vec<Draft> = Vec::new();
    for (dir, kinds) in &projects {
        drafts.extend(folder(workspace, dir, kinds, false));
    }
    if !drafts.iter().any(|draft| draft.certain) {
        drafts = lenient(workspace, &projects);
    }
    containers(workspace, &phones, &mut drafts);
    let mut passed = older_states(&mut drafts);
    workspace.pass_over(&passed.iter().map(|older| older.dir.as_str()).collect::<Vec<_>>());
    passed.extend(phones.into_iter().map(|dir| PassedOver { dir, why: "an app for phones".to_owned() }));
    compose(workspace, &mut drafts);
    passed.extend(left_over(workspace, &mut drafts));
    super::manifests::ports(workspace, &mut drafts);
    served_files(&mut drafts);
    // Nothing shows that it listens.
    for draft in drafts.iter_mut().filter(|draft| !draft.certain && draft.service.ports.is_empty() && draft.service.framework.is_none()) {
        if draft.service.start_command.is_some() && matches!(draft.service.kind, Kind::Api | Kind::Web) {
            draft.service.kind = Kind::Worker;
        }
    }
    charts(workspace, &mut drafts);
    name(workspace, &mut drafts);
    (drafts, passed)
}

/// Folders with a manifest, without decoys.
fn projects(workspace: &Workspace, phones: &[String]) -> BTreeMap<String, BTreeSet<Ecosystem>> {
    let mut all: BTreeMap<String, BTreeSet<Ecosystem>> = BTreeMap::new();
    for path in &workspace.tree.files {
        if let Some(ecosystem) = more::ecosystem_of(path) {
            let mut dir = dir_of(path);
            if base_of(dir) == "requirements" {
                dir = dir_of(dir);
            }
            if !decoy(dir) {
                all.entry(dir.to_owned()).or_default().insert(ecosystem);
            }
        }
    }
    all.retain(|dir, _| !phones.iter().any(|app| within(dir, app)));
    all
}

/// Folders whose program is built for phones: no cluster runs it.
fn phone_apps(workspace: &Workspace) -> Vec<String> {
    let native = |dir: &str| ["android", "ios"].iter().any(|name| workspace.tree.has_folder(&join(dir, name)));
    let asks = |path: &str| {
        let package = workspace.json(path).unwrap_or_default();
        package.get("dependencies").is_some_and(|all| all.get("react-native").is_some())
    };
    let manifests = workspace.texts.keys().filter(|path| base_of(path) == "package.json");
    manifests.filter(|path| dir_of(path) != "." && native(dir_of(path)) && asks(path)).map(|path| dir_of(path).to_owned()).collect()
}

pub(crate) fn decoy(dir: &str) -> bool {
    dir != "." && dir.split('/').any(|part| part.starts_with('.') || DECOYS.contains(&part.to_ascii_lowercase().as_str()) || outdated(part))
}

/// `backup`, `old-backend`, `phase2-reference`.
fn outdated(part: &str) -> bool {
    let lower = part.to_ascii_lowercase();
    lower.split(['-', '_', '.', ' ']).any(|word| matches!(word, "old" | "backup" | "bak" | "archive" | "archived" | "deprecated" | "reference"))
}

/// The services of one folder. A second ecosystem that only builds assets is no service.
fn folder(workspace: &Workspace, dir: &str, kinds: &BTreeSet<Ecosystem>, lenient: bool) -> Vec<Draft> {
    let (tail, known): (Vec<Ecosystem>, Vec<Ecosystem>) = kinds.iter().partition(|kind| matches!(kind, Ecosystem::Tail(_)));
    let mut all: Vec<Draft> = known.iter().flat_map(|kind| more::drafts(workspace, dir, *kind, lenient)).collect();
    // A CMakeLists.txt beside a package.json builds a part of it.
    if all.is_empty() {
        all = tail.iter().flat_map(|kind| more::drafts(workspace, dir, *kind, lenient)).take(1).collect();
    }
    let other = all.iter().any(|draft| draft.certain && draft.service.language != "node");
    if other {
        all.retain(|draft| draft.service.language != "node" || (draft.service.kind != Kind::Static && draft.service.framework.is_some()));
    }
    if all.len() > 1 && all.iter().any(|draft| draft.certain) {
        all.retain(|draft| draft.certain);
    }
    all
}

/// Nothing is certain: the program at the top, whatever it is.
fn lenient(workspace: &Workspace, projects: &BTreeMap<String, BTreeSet<Ecosystem>>) -> Vec<Draft> {
    let mut depths: BTreeSet<usize> = projects.keys().map(|dir| depth(dir)).collect();
    while let Some(least) = depths.pop_first() {
        for (dir, kinds) in projects.iter().filter(|(dir, _)| depth(dir) == least) {
            let found = folder(workspace, dir, kinds, true);
            if !found.is_empty() {
                return found.into_iter().take(1).collect();
            }
        }
    }
    // What a workspace names as its members is meant, wherever it lies.
    for member in members(workspace) {
        let kinds: BTreeSet<Ecosystem> = workspace
            .tree
            .under(&member)
            .filter(|path| dir_of(path) == member)
            .filter_map(more::ecosystem_of)
            .filter(|kind| !projects.contains_key(&member) || matches!(kind, Ecosystem::Tail(_)))
            .collect();
        let found = folder(workspace, &member, &kinds, true);
        if !found.is_empty() {
            return found.into_iter().take(1).collect();
        }
    }
    let top = |tail: &str| workspace.tree.files.iter().any(|path| !path.contains('/') && path.ends_with(tail));
    let rows: [(bool, Ecosystem); 6] = [
        (top(".php") || workspace.first_in(".", more::PHP_INDEX).is_some(), Ecosystem::Php),
        (top(".go"), Ecosystem::Go),
        (top(".py"), Ecosystem::Python),
        (top(".rb"), Ecosystem::Ruby),
        (workspace.tree.has("index.html") || more::PAGES.iter().any(|dir| workspace.tree.has(&format!("{dir}/index.html"))), Ecosystem::Static),
        (workspace.first_in(".", &["start.sh", "run.sh"]).is_some(), Ecosystem::Shell),
    ];
    let rows = rows.into_iter().filter(|(here, _)| *here).map(|(_, ecosystem)| ecosystem).chain(super::tail::sources().map(Ecosystem::Tail));
    for ecosystem in rows {
        let found = more::drafts(workspace, ".", ecosystem, true);
        if !found.is_empty() {
            return found;
        }
    }
    script_without_manifest(workspace).into_iter().collect()
}

/// Folders that the manifest at the top names as members: of cargo, uv, npm, pnpm and Go workspaces, Gradle includes and Maven modules.
fn members(workspace: &Workspace) -> Vec<String> {
    let mut globs: Vec<String> = Vec::new();
    let listed = |value: Option<&toml::Value>| -> Vec<String> {
        value.and_then(|list| list.as_array()).into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)).collect()
    };
    if let Some(cargo) = workspace.toml("Cargo.toml") {
        globs.extend(listed(cargo.get("workspace").and_then(|workspace| workspace.get("members"))));
    }
    if let Some(python) = workspace.toml("pyproject.toml") {
        globs.extend(listed(python.get("tool").and_then(|tool| tool.get("uv")?.get("workspace")?.get("members"))));
    }
    if let Some(package) = workspace.json("package.json") {
        let list = package.get("workspaces").and_then(|list| list.as_array().or_else(|| list.get("packages")?.as_array()));
        globs.extend(list.into_iter().flatten().filter_map(|item| item.as_str().map(str::to_owned)));
    }
    let lines = |name: &str| workspace.text(name).unwrap_or_default().lines().map(str::trim);
    globs.extend(lines("pnpm-workspace.yaml").filter_map(|line| line.strip_prefix("- ")).map(|item| item.trim_matches(['"', '\'']).to_owned()));
    globs.extend(lines("go.work").map(|line| line.trim_start_matches("use ").trim()).filter(|line| line.starts_with("./")).map(str::to_owned));
    globs.extend(lines("pom.xml").filter_map(|line| line.strip_prefix("<module>")?.strip_suffix("</module>").map(str::to_owned)));
    for name in ["settings.gradle", "settings.gradle.kts"] {
        for line in lines(name).filter(|line| line.starts_with("include")) {
            globs.extend(line.split(['"', '\'']).skip(1).step_by(2).map(|project| project.trim_start_matches(':').replace(':', "/")));
        }
    }
    let folders: BTreeSet<&str> = workspace.tree.files.iter().filter(|path| more::ecosystem_of(path).is_some()).map(|path| dir_of(path)).collect();
    let fits = |dir: &str, glob: &str| {
        let glob = glob.trim_start_matches("./").trim_end_matches('/');
        match glob.split_once('*') {
            None => dir == glob,
            Some((head, rest)) => {
                dir.strip_prefix(head).is_some_and(|tail| !tail.is_empty() && (rest.contains('*') || rest.contains('/') || !tail.contains('/')))
            }
        }
    };
    folders.into_iter().filter(|dir| globs.iter().any(|glob| fits(dir, glob))).map(str::to_owned).collect()
}

/// A program at the top that the compose file does not build, beside services that it does: an earlier state that stayed where it was.
fn left_over(workspace: &Workspace, drafts: &mut Vec<Draft>) -> Vec<PassedOver> {
    let built = drafts.iter().filter(|draft| draft.service.compose_service.is_some()).count();
    let spare = |draft: &Draft| {
        draft.service.dir == "." && draft.service.compose_service.is_none() && draft.service.dockerfile.is_none() && !workspace.tree.has("Procfile")
    };
    if built == 0 || !drafts.iter().any(spare) {
        return Vec::new();
    }
    drafts.retain(|draft| !spare(draft));
    vec![PassedOver { dir: ".".to_owned(), why: "the compose file builds other folders, and not this one".to_owned() }]
}

/// Static files are served on HTTP's own port, where nothing says another.
fn served_files(drafts: &mut [Draft]) {
    for draft in drafts.iter_mut().filter(|draft| draft.service.kind == Kind::Static && draft.service.ports.is_empty()) {
        let place = draft.service.evidence.get("build_command").or_else(|| draft.service.evidence.get("language")).and_then(|places| places.first().cloned());
        draft.port(80, "http", place.unwrap_or_default());
        draft.assumed_port = true;
    }
}

/// `index.js` or `index.ts` alone.
fn script_without_manifest(workspace: &Workspace) -> Option<Draft> {
    let path = workspace.first_in(".", &["index.js", "server.js", "index.ts", "server.ts", "main.js"])?;
    let mut draft = Draft::new(".", "node", Kind::Api);
    draft.sources = vec![path.clone()];
    draft.start(format!("node {path}"), Place::file(path.clone()));
    draft.shows("language", Place::file(path.clone()));
    draft.entry = Some(path);
    code_ports(workspace, &mut draft);
    Some(draft)
}

fn depth(dir: &str) -> usize {
    if dir == "." { 0 } else { dir.matches('/').count() + 1 }
}

/// Dockerfiles for production that lie in a folder.
pub(crate) fn dockerfiles_of<'all>(workspace: &'all Workspace, dir: &str) -> Vec<(&'all String, &'all Dockerfile)> {
    workspace.dockerfiles.iter().filter(|(path, _)| dir_of(path) == dir && !for_development(path)).collect()
}

pub(crate) fn for_development(path: &str) -> bool {
    let lower = base_of(path).to_ascii_lowercase();
    lower
        .split(['.', '-', '_'])
        .any(|word| matches!(word, "dev" | "development" | "test" | "local" | "debug" | "ci" | "e2e" | "debugger" | "playwright" | "cypress"))
}

/// Links Dockerfiles to services, and makes services of those that have none.
fn containers(workspace: &Workspace, phones: &[String], drafts: &mut Vec<Draft>) {
    let mut by_dir: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    let mut left = Vec::new();
    for path in workspace.dockerfiles.keys().filter(|path| !for_development(path) && !decoy(dir_of(path))) {
        match owner(workspace, path, drafts) {
            Some(dir) => by_dir.entry(dir).or_default().push(path),
            None => left.push(path),
        }
    }
    for (dir, mut paths) in by_dir {
        // The plain `Dockerfile` of the folder first.
        paths.sort_by_key(|path| (base_of(path) != "Dockerfile", dir_of(path) != dir, (*path).clone()));
        let mut taken: BTreeSet<usize> = BTreeSet::new();
        for path in paths {
            let Some(file) = workspace.dockerfiles.get(path) else { continue };
            let command = file.command();
            let fits = |draft: &Draft| draft.service.dir == dir && same_language(file, draft);
            let same =
                |draft: &Draft| command.as_ref().is_none_or(|(command, _)| same_program(command, draft.service.start_command.as_deref().unwrap_or(command)));
            let free = |index: &usize| !taken.contains(index);
            let all: Vec<usize> = drafts.iter().enumerate().filter(|(_, draft)| fits(draft)).map(|(index, _)| index).collect();
            let chosen = all.iter().copied().filter(free).find(|index| drafts.get(*index).is_some_and(same)).or_else(|| all.iter().copied().find(free));
            match chosen {
                Some(index) => {
                    taken.insert(index);
                    if let Some(draft) = drafts.get_mut(index) {
                        contained(workspace, draft, path, file);
                    }
                }
                None => {
                    let twin = all.first().and_then(|index| drafts.get(*index)).cloned();
                    if let (Some(twin), Some((command, line))) = (twin, command)
                        && !all
                            .iter()
                            .filter_map(|index| drafts.get(*index))
                            .any(|draft| draft.service.start_command.as_deref().is_some_and(|known| same_program(&command, known)))
                    {
                        drafts.push(second(workspace, &twin, path, file, &command, line));
                        taken.insert(drafts.len().saturating_sub(1));
                    }
                }
            }
        }
    }
    for path in left.into_iter().filter(|path| !phones.iter().any(|app| within(path, app))) {
        if let Some(file) = workspace.dockerfiles.get(path)
            && let Some(draft) = from_dockerfile(workspace, path, file, drafts)
        {
            drafts.push(draft);
        }
    }
}

/// A second service in a folder, known by its own Dockerfile.
fn second(workspace: &Workspace, twin: &Draft, path: &str, file: &Dockerfile, command: &str, line: u32) -> Draft {
    let mut draft = twin.clone();
    draft.service.ports.clear();
    draft.service.framework = None;
    draft.service.dockerfile = None;
    draft.service.build_facts.retain(|key, _| !matches!(key.as_str(), "entry" | "python.module" | "python.package" | "start.script"));
    draft.service.evidence.remove("framework");
    draft.service.kind = Kind::Api;
    let name = base_of(path).to_ascii_lowercase();
    let word = name.trim_start_matches("dockerfile").trim_end_matches("dockerfile").trim_matches(['.', '-', '_']).to_owned();
    draft.process = Some(if word.is_empty() { base_of(dir_of(path)).to_owned() } else { word });
    if draft.service.language == "python" {
        super::pip::restart(workspace, &mut draft, command, Place::new(path, line, command));
    } else {
        draft.start(command, Place::new(path, line, command));
        draft.entry = None;
    }
    contained(workspace, &mut draft, path, file);
    draft
}

/// The folder of the service that a Dockerfile builds.
fn owner(workspace: &Workspace, path: &str, drafts: &[Draft]) -> Option<String> {
    let dirs: BTreeSet<&str> = drafts.iter().map(|draft| draft.service.dir.as_str()).collect();
    let own = dir_of(path);
    if dirs.contains(own) && own != "." {
        return Some(own.to_owned());
    }
    // `Dockerfile.backend`, `backend.Dockerfile`, `docker/backend/Dockerfile`.
    let words: Vec<String> = path
        .to_ascii_lowercase()
        .split(['/', '.', '-', '_'])
        .filter(|word| !matches!(*word, "dockerfile" | "docker" | "dockerfiles" | "deploy"))
        .map(str::to_owned)
        .collect();
    let generic = |dir: &str| matches!(base_of(dir), "src" | "app" | "source" | "code");
    let named: Vec<&&str> = dirs.iter().filter(|dir| **dir != "." && !generic(dir) && words.contains(&base_of(dir).to_ascii_lowercase())).collect();
    let project = workspace.tree.under(own).any(|path| dir_of(path) == own && more::ecosystem_of(path).is_some()) && own != ".";
    if let ([only], false) = (named.as_slice(), project) {
        return Some((***only).to_owned());
    }
    let from_compose =
        workspace.compose.iter().find(|service| service.build.as_ref().is_some_and(|(_, file)| file == path)).and_then(|service| service.build.as_ref());
    if let Some((context, _)) = from_compose
        && dirs.contains(context.as_str())
        && context != "."
    {
        return Some(context.clone());
    }
    // Built from further up: the only service whose folder is copied.
    let file = workspace.dockerfiles.get(path)?;
    let context = from_compose.map_or(own, |(context, _)| context.as_str());
    let copied: BTreeSet<&str> = file
        .copies()
        .iter()
        .filter_map(|(source, _)| dirs.iter().copied().find(|dir| *dir != "." && [".", context].iter().any(|home| within(&join(home, source), dir))))
        .collect();
    if let [only] = copied.iter().copied().collect::<Vec<_>>().as_slice() {
        return Some((*only).to_owned());
    }
    if dirs.contains(own) {
        return Some(own.to_owned());
    }
    // The only service there is, in a folder that is copied as part of a larger one.
    match dirs.iter().collect::<Vec<_>>().as_slice() {
        [only] if own == "." && file.copies().iter().any(|(source, _)| within(only, source.trim_start_matches("./").trim_end_matches('/'))) => {
            Some((**only).to_owned())
        }
        _ => None,
    }
}

fn same_language(file: &Dockerfile, draft: &Draft) -> bool {
    let languages: BTreeSet<&str> = file.stages.iter().filter_map(|stage| versions::of_image(&stage.base)).map(|(language, _)| language).collect();
    languages.is_empty()
        || languages.contains(draft.service.language.as_str())
        || !matches!(draft.service.language.as_str(), "python" | "node" | "go" | "ruby" | "php" | "java" | "csharp")
}

/// Two commands that start the same module or script.
fn same_program(left: &str, right: &str) -> bool {
    let (left, right) = (start::parse(left), start::parse(right));
    let module = |start: &start::Start| start.module.clone().map(|module| module.rsplit('.').take(2).collect::<Vec<_>>().join("."));
    match (module(&left), module(&right)) {
        (Some(left), Some(right)) => left == right || left.ends_with(&right) || right.ends_with(&left),
        (None, None) => left.script == right.script || left.script.is_none() || right.script.is_none(),
        _ => false,
    }
}

/// What a service's Dockerfile adds to its facts.
fn contained(workspace: &Workspace, draft: &mut Draft, path: &str, file: &Dockerfile) {
    draft.service.dockerfile = Some(path.to_owned());
    draft.certain = true;
    // What was written from these facts says nothing new about them; its opening line tells later rooms that it is ours.
    if let Some(opening) = workspace.text(path).and_then(|text| text.lines().next()).filter(|line| line.starts_with("# Written by Landfall")) {
        draft.shows("dockerfile", Place::new(path, 1, opening));
        return;
    }
    draft.shows("dockerfile", Place::file(path));
    if draft.service.language_version.is_none() {
        let found = file.stages.iter().rev().find_map(|stage| {
            versions::of_image(&stage.base)
                .filter(|(language, version)| *language == draft.service.language && !version.is_empty())
                .map(|(_, version)| (version, stage))
        });
        if let Some((version, stage)) = found {
            draft.service.language_version = Some(version);
            draft.shows("language_version", Place::new(path, stage.line, &format!("FROM {}", stage.base)));
        }
    }
    let written = draft.service.evidence.get("start_command").and_then(|places| places.first()).is_some_and(|place| base_of(&place.file) == "Procfile");
    if let Some((command, line)) = file.command()
        && !written
        && draft.service.kind != Kind::Static
        && !command.contains("nginx")
    {
        let place = Place::new(path, line, &command);
        let parsed = start::parse(&command);
        if draft.service.language == "python" {
            super::pip::restart(workspace, draft, &command, place.clone());
        } else {
            draft.start(command, place.clone());
        }
        if let Some(port) = parsed.port {
            draft.service.ports.clear();
            draft.port(port, "http", place);
        }
    }
    let told = draft.service.start_command.as_deref().and_then(|command| start::parse(command).port_variable);
    let variable = told.as_deref().unwrap_or("PORT");
    let set = file.all("ENV").find_map(|instruction| {
        let (_, value) = super::docker::pairs(&instruction.rest).into_iter().find(|(name, _)| name == variable)?;
        value.parse::<u16>().ok().map(|port| (port, instruction))
    });
    let reads_port = workspace.facts(&draft.sources).any(|(_, facts)| facts.reads.iter().any(|read| read.name == "PORT"));
    if let Some((port, instruction)) = set
        && (reads_port || told.is_some() || draft.service.framework.as_deref() == Some("nextjs"))
    {
        draft.service.ports.retain(|known| known.port == port);
        draft.port(port, "http", Place::new(path, instruction.line, &instruction.rest));
    }
    let mut exposed = file.exposed();
    let urls = file.all("ENV").find_map(|instruction| listening_variable(&instruction.rest).map(|port| (port, instruction.line)));
    if let Some((port, line)) = urls {
        exposed.retain(|(known, _)| *known == port);
        exposed.insert(0, (port, line));
    }
    if exposed.is_empty()
        && (draft.assumed_port || draft.service.ports.is_empty())
        && let Some(port) = image_port(file.base())
    {
        draft.service.ports.clear();
        let line = file.lineage().last().map_or(0, |stage| stage.line);
        draft.port(port, "http", Place::new(path, line, &format!("FROM {}", file.base())));
        draft.assumed_port = true;
    }
    if draft.assumed_port && !exposed.is_empty() {
        draft.service.ports.clear();
        draft.assumed_port = false;
    }
    for (port, line) in exposed {
        if draft.service.ports.is_empty() || draft.service.ports.iter().any(|known| known.port == port) {
            draft.port(port, "http", Place::new(path, line, &format!("EXPOSE {port}")));
        }
    }
}

/// `ASPNETCORE_URLS=http://+:8000` and its kin: what a runtime is told to listen on.
fn listening_variable(pair: &str) -> Option<u16> {
    let (name, value) = pair.split_once(['=', ' '])?;
    let value = value.trim().trim_matches('"');
    match name.trim() {
        "ASPNETCORE_URLS" | "URLS" => value.split(';').find_map(|url| url.rsplit(':').next()?.trim_matches('/').parse().ok()),
        "ASPNETCORE_HTTP_PORTS" | "HTTP_PORTS" | "SERVER_PORT" | "ROCKET_PORT" | "NITRO_PORT" | "QUARKUS_HTTP_PORT" | "MICRONAUT_SERVER_PORT" => {
            value.split(';').next()?.parse().ok()
        }
        _ => None,
    }
}

/// The port that a public image's own program listens on.
fn image_port(image: &str) -> Option<u16> {
    let (name, tag) = image.rsplit('/').next()?.split_once(':').unwrap_or((image.rsplit('/').next()?, ""));
    Some(match name {
        "nginx" | "httpd" | "caddy" | "wordpress" | "drupal" | "joomla" => 80,
        "nginx-unprivileged" | "tomcat" | "jetty" => 8080,
        "php" if tag.contains("apache") => 80,
        _ => return None,
    })
}

/// A service known by its Dockerfile alone.
fn from_dockerfile(workspace: &Workspace, path: &str, file: &Dockerfile, drafts: &[Draft]) -> Option<Draft> {
    let dir = dir_of(path);
    let copies = file.copies();
    let built = workspace.compose.iter().find(|service| service.build.as_ref().is_some_and(|(_, built)| built == path));
    // One that is told what to copy serves several services, and is none itself.
    let told = !copies.is_empty() && copies.iter().all(|(source, _)| source.contains('$'));
    if copies.is_empty() && built.is_none_or(|service| service.image.is_some())
        || told
        || super::docker::backing_image(file.base()).is_some()
        || drafts.iter().any(|draft| within(&draft.service.dir, dir) && dir != "." && draft.service.dir != dir)
    {
        return None;
    }
    let context = built.and_then(|service| service.build.clone()).map_or_else(|| dir.to_owned(), |(context, _)| context);
    // Built from further up out of its own folder.
    let own = dir != "." && copies.iter().any(|(source, _)| within(&join(&context, source), dir));
    let context = if own { dir.to_owned() } else { context };
    if dir == "." && drafts.iter().any(|draft| draft.certain) {
        return None;
    }
    let language = file.stages.iter().filter_map(|stage| versions::of_image(&stage.base)).map(|(language, _)| language).next_back();
    let ecosystem = match language {
        Some("python") => Some(Ecosystem::Python),
        Some("node" | "bun") => Some(Ecosystem::Node),
        Some("go") => Some(Ecosystem::Go),
        Some("ruby") => Some(Ecosystem::Ruby),
        Some("php") => Some(Ecosystem::Php),
        Some("java") => Some(Ecosystem::Java),
        Some("csharp") => Some(Ecosystem::DotNet),
        _ => None,
    };
    let known = ecosystem.and_then(|ecosystem| more::drafts(workspace, &context, ecosystem, true).into_iter().next());
    let nginx =
        ["nginx", "httpd", "caddy", "nginx-unprivileged"].contains(&file.base().rsplit('/').next().unwrap_or_default().split(':').next().unwrap_or_default());
    let mut draft = match (known, language) {
        (Some(draft), _) => draft,
        (None, Some(language)) => Draft::new(&context, language, Kind::Api),
        (None, None) if nginx => {
            let pages = copies.iter().any(|(source, _)| !source.ends_with(".conf") && !source.contains("Caddyfile"));
            Draft::new(&context, if pages { "static" } else { "nginx" }, if pages { Kind::Static } else { Kind::Web })
        }
        (None, None) => return None,
    };
    draft.certain = true;
    draft.shows("language", Place::new(path, file.stages.first().map_or(0, |stage| stage.line), &format!("FROM {}", file.base())));
    contained(workspace, &mut draft, path, file);
    Some(draft)
}

/// Where numbered phases lie side by side, only the newest is meant; beside services outside of phases, none.
fn older_states(drafts: &mut Vec<Draft>) -> Vec<PassedOver> {
    let phase = |dir: &str| {
        let mut so_far = String::new();
        for part in dir.split('/') {
            so_far = if so_far.is_empty() { part.to_owned() } else { format!("{so_far}/{part}") };
            if let Some(number) = phase_number(part) {
                return Some((so_far, number));
            }
        }
        None
    };
    let phases: BTreeMap<String, u32> = drafts.iter().filter_map(|draft| phase(&draft.service.dir)).collect();
    if phases.is_empty() {
        return Vec::new();
    }
    let outside = drafts.iter().any(|draft| draft.certain && phase(&draft.service.dir).is_none());
    let newest = phases.values().max().copied().unwrap_or(0);
    let old: Vec<String> = phases.iter().filter(|(_, number)| outside || **number < newest).map(|(dir, _)| dir.clone()).collect();
    drafts.retain(|draft| !old.iter().any(|dir| within(&draft.service.dir, dir)));
    old.into_iter().map(|dir| PassedOver { dir, why: "an older phase of the same application".to_owned() }).collect()
}

/// `phase-4`, `PHASE_3`, `phase-iv-k8s` → the number.
fn phase_number(part: &str) -> Option<u32> {
    let lower = part.to_ascii_lowercase();
    let rest = lower.strip_prefix("phase")?.trim_start_matches(['-', '_', ' ']);
    let word = rest.split(['-', '_', ' ', '.']).next()?;
    let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().or(match word {
        "i" | "one" => Some(1),
        "ii" | "two" => Some(2),
        "iii" | "three" => Some(3),
        "iv" | "four" => Some(4),
        "v" | "five" => Some(5),
        _ => None,
    })
}

/// Names of compose services, the ports they are told to listen on, and their ports where the code says none.
fn compose(workspace: &Workspace, drafts: &mut [Draft]) {
    for service in &workspace.compose {
        let found = match (&service.build, &service.image) {
            (Some((context, file)), _) => {
                let by_file = drafts.iter().position(|draft| draft.service.dockerfile.as_deref() == Some(file) && draft.service.compose_service.is_none());
                by_file.or_else(|| drafts.iter().position(|draft| draft.service.dir == *context && draft.service.compose_service.is_none()))
            }
            (None, Some(image)) => by_image(image, drafts),
            (None, None) => None,
        };
        let Some(draft) = found.and_then(|index| drafts.get_mut(index)) else { continue };
        let place = Place::new(service.file.clone(), service.line, &service.name);
        draft.service.compose_service = Some(service.name.clone());
        draft.shows("compose_service", place.clone());
        if let Some(waiting) = workspace.compose.iter().find(|other| other.file == service.file && other.waits_for_end_of.contains(&service.name)) {
            draft.service.kind = Kind::Job;
            draft.shows("kind", Place::new(waiting.file.clone(), waiting.line, &waiting.name));
        }
        if !service.waits_for_end_of.is_empty() {
            draft.fact("after", service.waits_for_end_of.join(" "));
        }
        let told = told_port(workspace, draft, service);
        let published = service.ports.first().copied().filter(|_| draft.service.ports.is_empty() || draft.assumed_port);
        if let Some(port) = told.or(published) {
            draft.service.ports.clear();
            draft.assumed_port = false;
            draft.port(port, "http", place.clone());
        }
    }
}

/// The service that was published under an image's name: the last part is its folder's or its manifest's name.
fn by_image(image: &str, drafts: &[Draft]) -> Option<usize> {
    let name = image.rsplit('/').next()?.split([':', '@']).next()?;
    let same = |draft: &Draft| draft.service.dir != "." && (base_of(&draft.service.dir) == name || draft.manifest_name.as_deref() == Some(name));
    drafts.iter().position(|draft| same(draft) && draft.service.compose_service.is_none())
}

/// A port in a variable that the program listens by.
fn told_port(workspace: &Workspace, draft: &Draft, service: &super::docker::ComposeService) -> Option<u16> {
    let start = draft.service.start_command.as_deref().map(start::parse).unwrap_or_default();
    if start.port.is_some() {
        return None;
    }
    if let Some(port) = start.port_variable.and_then(|name| service.environment.get(&name)?.as_deref()?.trim().parse().ok()) {
        return Some(port);
    }
    let listening = service.environment.iter().find_map(|(name, value)| listening_variable(&format!("{name}={}", value.as_deref()?)));
    if draft.assumed_port && listening.is_some() {
        return listening;
    }
    let paths = reachable(workspace, draft);
    let listens = workspace.facts(&paths).flat_map(|(_, facts)| &facts.listens);
    listens.filter_map(|listen| listen.port.env.as_ref()).find_map(|name| service.environment.get(name)?.as_deref()?.trim().parse().ok())
}

/// Charts that exist: one named like the service, else the one whose templates name it, else the only chart beside the only program.
fn charts(workspace: &Workspace, drafts: &mut [Draft]) {
    let charts: Vec<(&str, String)> = workspace
        .texts
        .keys()
        .filter(|path| base_of(path) == "Chart.yaml" && !decoy(dir_of(path)) && !path.contains("/charts/charts/"))
        .map(|path| (dir_of(path), chart_name(workspace, path).unwrap_or_default()))
        .collect();
    let alone = drafts.len() == 1 && charts.len() == 1;
    for draft in drafts {
        let folder = if draft.service.dir == "." { workspace.folder.as_str() } else { base_of(&draft.service.dir) };
        let names = match draft.process.as_deref() {
            Some(process) => [Some(process), None, None],
            None => [Some(folder), draft.manifest_name.as_deref(), draft.service.compose_service.as_deref()],
        };
        let names: Vec<String> = names.into_iter().flatten().map(str::to_ascii_lowercase).collect();
        let called = |chart: &str, name: &str| chart == name || chart.ends_with(&format!("-{name}"));
        let named = |name: &String| charts.iter().find(|(dir, own)| called(&base_of(dir).to_ascii_lowercase(), name) || called(own, name));
        let inside = |name: &String| {
            let mentions =
                |dir: &str| workspace.tree.under(&join(dir, "templates")).any(|path| super::walk::below(path, dir).to_ascii_lowercase().contains(name));
            charts.iter().find(|(dir, _)| mentions(dir))
        };
        let found = names.iter().find_map(named).or_else(|| names.first().and_then(inside)).or_else(|| charts.first().filter(|_| alone));
        if let Some((dir, _)) = found {
            draft.service.chart = Some((*dir).to_owned());
            draft.shows("chart", Place::file(join(dir, "Chart.yaml")));
        }
    }
}

/// What a chart calls itself.
fn chart_name(workspace: &Workspace, path: &str) -> Option<String> {
    Some(super::yaml::read(workspace.text(path)?).ok()?.get("name")?.as_str()?.to_ascii_lowercase())
}

/// Every service gets a name of its own.
fn name(workspace: &Workspace, drafts: &mut Vec<Draft>) {
    drafts.sort_by(|left, right| {
        (&left.service.dir, &left.process, &left.service.language, &left.service.start_command).cmp(&(
            &right.service.dir,
            &right.process,
            &right.service.language,
            &right.service.start_command,
        ))
    });
    let mut taken: BTreeSet<String> = BTreeSet::new();
    for draft in drafts {
        let dir = draft.service.dir.clone();
        let generic = |part: &str| matches!(part, "src" | "app" | "code" | "source" | "html" | "htdocs" | "www");
        let own = base_of(&dir);
        let base = if dir == "." {
            draft.manifest_name.clone().unwrap_or_else(|| workspace.folder.clone())
        } else if generic(own) && dir_of(&dir) != "." {
            base_of(dir_of(&dir)).to_owned()
        } else {
            own.to_owned()
        };
        let base = match draft.service.compose_service.as_ref().filter(|_| draft.process.is_some()) {
            // People have a name for it already.
            Some(name) => name.clone(),
            None => base,
        };
        let base = match draft.process.as_ref().filter(|_| draft.service.compose_service.is_none()) {
            Some(process) if process.starts_with(&base) => process.clone(),
            Some(process) => format!("{base}-{process}"),
            None => base,
        };
        let mut candidates = vec![base.clone()];
        if dir_of(&dir) != "." {
            candidates.push(format!("{}-{base}", base_of(dir_of(&dir))));
        }
        candidates.push(format!("{base}-{}", draft.service.language));
        candidates.extend((2..100).map(|number| format!("{base}-{number}")));
        let chosen = candidates.into_iter().map(|text| ServiceName::slug(&text, &workspace.folder)).find(|name| !taken.contains(name.as_str()));
        if let Some(chosen) = chosen {
            taken.insert(chosen.as_str().to_owned());
            draft.service.name = chosen;
        }
    }
}

/// Files that the entry imports, directly or not; all sources where there is no entry or nothing is followed.
pub(crate) fn reachable<'own>(workspace: &Workspace, draft: &'own Draft) -> Cow<'own, [String]> {
    let Some(entry) = draft.entry.as_ref().filter(|entry| workspace.sources.contains_key(*entry)) else { return Cow::Borrowed(&draft.sources) };
    let own: BTreeSet<&str> = draft.sources.iter().map(String::as_str).collect();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut next = vec![entry.clone()];
    while let Some(path) = next.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let Some(facts) = workspace.sources.get(&path) else { continue };
        for target in imported(facts, &path, &draft.service.dir) {
            if let Some(known) = own.get(target.as_str()) {
                next.push((*known).to_owned());
            }
        }
    }
    Cow::Owned(seen.into_iter().collect())
}

/// The facts of those files.
pub(crate) fn reached<'own>(workspace: &'own Workspace, draft: &Draft) -> Vec<(&'own str, &'own Facts)> {
    workspace.facts(&reachable(workspace, draft)).collect()
}

/// The files that the imports of a file may mean.
pub(crate) fn imported(facts: &Facts, path: &str, dir: &str) -> Vec<String> {
    facts.imports.iter().flat_map(|import| meant(import, path, dir)).collect()
}

/// The files that one import may mean, in a file of the project `dir`.
pub(crate) fn meant(import: &Import, path: &str, dir: &str) -> Vec<String> {
    let mut out = Vec::new();
    if path.ends_with(".py") {
        let dots = import.module.chars().take_while(|letter| *letter == '.').count();
        let rest = import.module.trim_start_matches('.').replace('.', "/");
        let homes = if dots > 0 {
            let mut home = dir_of(path).to_owned();
            for _ in 1..dots {
                home = dir_of(&home).to_owned();
            }
            vec![home]
        } else {
            vec![dir.to_owned(), join(dir, "src"), dir_of(dir).to_owned(), dir_of(path).to_owned()]
        };
        for home in homes {
            let module = join(&home, &rest);
            out.push(format!("{module}.py"));
            out.push(format!("{module}/__init__.py"));
            // The packages on the way run as well.
            out.extend(rest.match_indices('/').filter_map(|(at, _)| rest.get(..at)).map(|package| format!("{}/__init__.py", join(&home, package))));
            out.extend(
                import
                    .names
                    .iter()
                    .filter(|(name, _)| !name.is_empty())
                    .flat_map(|(name, _)| [format!("{module}/{name}.py"), format!("{module}/{name}/__init__.py")]),
            );
        }
    } else {
        let homes = match import.module.strip_prefix("@/").or_else(|| import.module.strip_prefix("~/")) {
            Some(rest) => vec![join(dir, rest), join(dir, &format!("src/{rest}"))],
            None if import.module.starts_with('.') => vec![join(dir_of(path), &import.module)],
            None => return out,
        };
        for home in homes {
            let stem = [".js", ".mjs", ".cjs"].iter().find_map(|tail| home.strip_suffix(tail)).unwrap_or(&home).to_owned();
            out.push(home.clone());
            for tail in ["ts", "tsx", "js", "jsx", "mjs", "cjs", "mts"] {
                out.push(format!("{stem}.{tail}"));
                out.push(format!("{stem}/index.{tail}"));
            }
        }
    }
    out
}

/// Ports that the code listens on, from what the entry reaches.
pub(crate) fn code_ports(workspace: &Workspace, draft: &mut Draft) {
    let paths = reachable(workspace, draft);
    let known: Vec<(&str, &Facts)> = workspace.facts(&paths).collect();
    let listens = || known.iter().flat_map(|(path, facts)| facts.listens.iter().map(move |listen| (*path, listen)));
    let real = listens().any(|(_, listen)| listen.by != "constant");
    let mut found: Vec<(u16, &'static str, Place)> = Vec::new();
    for (path, listen) in listens().filter(|(_, listen)| !real || listen.by != "constant" || listen.port.number().is_some()) {
        if let Some(port) = resolve(workspace, &paths, &listen.port) {
            found.push((port, listen.protocol, Place::new(path, listen.line, &listen.text)));
        }
    }
    for (path, facts) in &known {
        let runs = facts
            .mcp_runs
            .iter()
            .filter(|run| run.transport != Some("stdio") && run.serves)
            .filter_map(|run| run.port.as_ref().map(|port| (port, run.line, &run.text)));
        let servers = facts.mcp_servers.iter().filter_map(|server| server.port.as_ref().map(|port| (port, server.line, &server.text)));
        for (port, line, text) in runs.chain(servers) {
            if let Some(port) = resolve(workspace, &paths, port) {
                found.push((port, "http", Place::new(*path, line, text)));
            }
        }
    }
    for (port, protocol, place) in found {
        draft.port(port, protocol, place);
    }
}

/// A port's number: written, or the default of a setting of that name.
pub(crate) fn resolve(workspace: &Workspace, paths: &[String], port: &Value) -> Option<u16> {
    if let Some(number) = port.number() {
        return Some(number);
    }
    let field = port.field.as_ref()?;
    let all = || workspace.facts(paths).map(|(_, facts)| facts);
    let setting = all().flat_map(|facts| facts.classes.iter()).flat_map(|class| class.fields.iter()).find(|known| known.name == *field);
    if let Some(number) = setting.and_then(|field| field.default.as_ref()).and_then(Value::number) {
        return Some(number);
    }
    let constant = all().find_map(|facts| facts.constants.get(field)).and_then(Value::number);
    // `env.PORT` of a checked environment: the default that the check gives it.
    constant.or_else(|| all().flat_map(|facts| &facts.reads).find(|read| read.name == *field)?.default.as_deref()?.parse().ok())
}
