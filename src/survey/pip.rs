//! Python projects: manifests, lockfiles, entry modules and processes become services.

use super::draft::Draft;
use super::facts::{Facts, find_line};
use super::walk::{base_of, dir_of, join};
use super::workspace::Workspace;
use super::{Kind, Place, start};
use std::collections::BTreeMap;

/// Files that make a folder a Python project.
pub(crate) const MANIFESTS: &[&str] = &[
    "pyproject.toml",
    "requirements.txt",
    "requirements.in",
    "Pipfile",
    "setup.py",
    "uv.lock",
    "poetry.lock",
    "manage.py",
    "requirements-prod.txt",
    "requirements/base.txt",
    "requirements/prod.txt",
    "environment.yml",
    "environment.yaml",
];

/// The services of a Python project.
pub(crate) fn drafts(workspace: &Workspace, dir: &str, lenient: bool) -> Vec<Draft> {
    let project = Project { workspace, dir, sources: sources(workspace, dir) };
    project.drafts(lenient)
}

/// The same project started by another command.
pub(crate) fn restart(workspace: &Workspace, draft: &mut Draft, command: &str, place: Place) {
    let dir = draft.service.dir.clone();
    let project = Project { workspace, dir: &dir, sources: draft.sources.clone() };
    let (framework, entry) = (draft.service.framework.clone(), draft.entry.clone());
    if draft.assumed_port {
        draft.service.ports.clear();
        draft.assumed_port = false;
    }
    project.by_command(draft, command, place);
    if draft.entry.is_none() {
        (draft.service.framework, draft.entry) = (framework, entry);
    }
    draft.service.build_facts.retain(|key, _| !matches!(key.as_str(), "entry" | "python.module" | "python.package"));
    project.finish(draft);
}

/// Python files of a project, without those of projects below it and of scripts run by hand.
pub(crate) fn sources(workspace: &Workspace, dir: &str) -> Vec<String> {
    let nested: std::collections::BTreeSet<&str> = workspace
        .tree
        .under(dir)
        .filter(|path| MANIFESTS.contains(&base_of(path)) && dir_of(path) != dir && !base_of(path).starts_with("environment.") && base_of(path) != "manage.py")
        .map(dir_of)
        .collect();
    workspace
        .sources_under(dir)
        .filter(|path| path.ends_with(".py"))
        .filter(|path| !super::walk::below_one(path, dir, &nested) && !super::assemble::beside(path, dir))
        .map(str::to_owned)
        .collect()
}

struct Project<'all> {
    workspace: &'all Workspace,
    dir: &'all str,
    sources: Vec<String>,
}

/// What is found in the code to start.
struct Entry {
    file: String,
    kind: Kind,
    framework: Option<&'static str>,
    command: String,
    place: Place,
    /// The port in the command is the server's own, not the project's.
    assumed: bool,
}

impl Project<'_> {
    fn facts(&self) -> impl Iterator<Item = (&str, &Facts)> {
        self.workspace.facts(&self.sources)
    }

    fn drafts(&self, lenient: bool) -> Vec<Draft> {
        let (dependencies, declared) = self.dependencies();
        let base = self.base(&dependencies, &declared);
        let mut out = Vec::new();
        if self.is_library() {
            return out;
        }
        for (process, command, place) in self.procfile() {
            if matches!(process.as_str(), "release" | "postdeploy") {
                continue;
            }
            let mut draft = base.clone();
            draft.certain = true;
            // A process that is told its port listens, whatever it is called.
            let listens = process == "web" || start::parse(&command).port_variable.is_some();
            draft.service.kind = if listens { Kind::Api } else { Kind::Worker };
            draft.process = (process != "web").then(|| process.clone());
            if let (true, Some((_, release, _))) = (process == "web", self.procfile().into_iter().find(|(process, _, _)| process == "release")) {
                draft.fact("release.command", release);
            }
            self.by_command(&mut draft, &command, place);
            out.push(draft);
        }
        if out.is_empty() {
            let dockerfiles = super::assemble::dockerfiles_of(self.workspace, self.dir);
            let docker_python = dockerfiles.iter().any(|(_, file)| super::versions::of_image(file.base()).is_some_and(|(language, _)| language == "python"));
            if let Some(entry) = self.entry(&dependencies, lenient || docker_python) {
                let mut draft = base.clone();
                draft.certain = !lenient || entry.framework.is_some();
                draft.service.kind = entry.kind;
                draft.entry = Some(entry.file);
                if let Some(framework) = entry.framework {
                    draft.service.framework = Some(framework.to_owned());
                    draft.shows("framework", entry.place.clone());
                }
                draft.start(entry.command.clone(), entry.place);
                self.listen(&mut draft, &entry.command);
                draft.assumed_port |= entry.assumed;
                out.push(draft);
            } else if let Some((path, command, line, kind)) = dockerfiles.iter().filter(|_| docker_python).find_map(|(path, file)| {
                let (command, line) = file.command().filter(|(command, _)| start::parse(command).program.chars().any(char::is_alphabetic))?;
                Some(((*path).clone(), command, line, if file.exposed().is_empty() { Kind::Worker } else { Kind::Api }))
            }) {
                // A program that only its Dockerfile knows.
                let mut draft = base.clone();
                draft.certain = true;
                draft.service.kind = kind;
                self.by_command(&mut draft, &command, Place::new(path, line, &command));
                out.push(draft);
            }
        }
        for draft in &mut out {
            self.finish(draft);
        }
        out
    }

    /// What all services of the project share.
    fn base(&self, dependencies: &BTreeMap<String, String>, declared: &BTreeMap<String, Place>) -> Draft {
        let mut draft = Draft::new(self.dir, "python", Kind::Api);
        draft.service.dependencies = dependencies.clone();
        draft.sources = self.sources.clone();
        self.package_manager(&mut draft);
        self.version(&mut draft, declared);
        draft.manifest_name = self.pyproject().and_then(|table| {
            let project = table.get("project").or_else(|| table.get("tool").and_then(|tool| tool.get("poetry")))?;
            project.get("name")?.as_str().map(str::to_owned)
        });
        if let Some(place) = declared.values().next() {
            draft.shows("dependencies", place.clone());
        }
        draft
    }

    fn pyproject(&self) -> Option<toml::Table> {
        self.workspace.toml(&join(self.dir, "pyproject.toml"))
    }

    fn package_manager(&self, draft: &mut Draft) {
        let has = |name: &str| self.workspace.first_in(self.dir, &[name]);
        let tool = |name: &str| self.pyproject().is_some_and(|table| table.get("tool").and_then(|tool| tool.get(name)).is_some());
        let requirements = self.requirements();
        let member = self.uv_workspace().map(|(_, lock)| lock).filter(|lock| self.workspace.tree.has(lock));
        // Without a build system it is no package that pip could install: an application, as uv sees it.
        let application = self.pyproject().is_some_and(|table| table.contains_key("project") && !table.contains_key("build-system"));
        let rows: [(Option<String>, &str, &str); 11] = [
            (has("uv.lock"), "uv", "uv sync --locked --no-dev"),
            (has("poetry.lock"), "poetry", "poetry install --only main --no-interaction"),
            (has("pdm.lock"), "pdm", "pdm install --prod --frozen-lockfile"),
            (has("Pipfile.lock"), "pipenv", "pipenv install --deploy"),
            (has("Pipfile"), "pipenv", "pipenv install"),
            (member, "uv", "uv sync --locked --no-dev"),
            (has("pyproject.toml").filter(|_| tool("poetry")), "poetry", "poetry install --only main --no-interaction"),
            (has("pyproject.toml").filter(|_| tool("pdm")), "pdm", "pdm install --prod"),
            (requirements.clone(), "pip", "pip install -r requirements.txt"),
            (has("pyproject.toml").filter(|_| tool("uv")), "uv", "uv sync --no-dev"),
            (has("pyproject.toml").filter(|_| application), "uv", "uv sync --no-dev"),
        ];
        let row = rows.into_iter().find_map(|(file, manager, install)| file.map(|file| (file, manager, install)));
        let (file, manager, install) = match row {
            Some(row) => row,
            None => match (has("pyproject.toml").or_else(|| has("setup.py")), self.conda()) {
                (Some(file), _) => (file, "pip", "pip install ."),
                (None, Some((file, _))) => (file, "conda", "conda env update --name base --file environment.yml"),
                (None, None) => return,
            },
        };
        let install = match manager {
            "pip" if install.contains("-r") => format!("pip install -r {}", super::walk::below(&file, self.dir)),
            "conda" => install.replace("environment.yml", base_of(&file)),
            _ => install.to_owned(),
        };
        draft.service.install_command = Some(install);
        draft.service.package_manager = Some(manager.to_owned());
        draft.shows("package_manager", Place::file(file.clone()));
        if manager == "uv" && base_of(&file) == "uv.lock" {
            let table = self.workspace.toml(&join(self.dir, "pyproject.toml")).unwrap_or_default();
            let name = table.get("project").and_then(|project| project.get("name")?.as_str());
            let root = table.get("tool").and_then(|tool| tool.get("uv")?.get("workspace")).is_some();
            if let Some(name) = name.filter(|_| root || super::walk::dir_of(&file) != self.dir) {
                draft.fact("python.package", name);
                if root {
                    draft.fact("uv.workspace", "true");
                }
            }
        }
        let asked =
            [Some(&file), requirements.as_ref(), has("pyproject.toml").as_ref()].into_iter().flatten().filter_map(|file| self.workspace.text(file)).any(clones);
        if asked {
            draft.fact("python.git", "true");
        }
        if ["uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"].contains(&base_of(&file)) {
            draft.fact("lockfile", file);
        }
        if let Some(requirements) = requirements {
            draft.fact("requirements", super::walk::below(&requirements, self.dir));
        }
        if let Some(pyproject) = has("pyproject.toml") {
            draft.fact("python.pyproject", super::walk::below(&pyproject, self.dir));
        }
    }

    /// The environment that conda makes: its file, and the packages it names, `python` among them.
    fn conda(&self) -> Option<(String, Vec<(String, String)>)> {
        let file = self.workspace.first_in(self.dir, &["environment.yml", "environment.yaml"])?;
        let document = super::yaml::read(self.workspace.text(&file)?).ok()?;
        let listed = document.get("dependencies")?.as_array()?;
        let inner = listed.iter().filter_map(|item| item.get("pip")?.as_array()).flatten();
        let pip = inner.filter_map(|item| requirement(item.as_str()?));
        // `channel::name=1.2=build`.
        let own = listed.iter().filter_map(|item| {
            let text = item.as_str()?;
            let text = text.rsplit_once("::").map_or(text, |(_, text)| text);
            let end = text.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter))).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            let exact = rest.trim().trim_start_matches('=').split('=').next().unwrap_or_default();
            let version = if rest.trim().starts_with('=') { exact } else { rest.trim() };
            (!name.is_empty()).then(|| (normal(name), version.to_owned()))
        });
        Some((file, own.chain(pip).collect()))
    }

    fn requirements(&self) -> Option<String> {
        self.workspace.first_in(
            self.dir,
            &["requirements.txt", "requirements/prod.txt", "requirements/production.txt", "requirements/base.txt", "requirements-prod.txt", "requirements.in"],
        )
    }

    fn version(&self, draft: &mut Draft, declared: &BTreeMap<String, Place>) {
        let mut found = None;
        for name in [".python-version", "runtime.txt"] {
            for file in [join(self.dir, name), name.to_owned()] {
                if found.is_none()
                    && let Some(text) = self.workspace.text(&file)
                    && let Some((at, line)) = text.lines().enumerate().find(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
                    && let Some(series) = super::versions::series("python", line)
                {
                    found = Some((series, Place::new(file, u32::try_from(at).unwrap_or(0) + 1, line)));
                }
            }
        }
        for file in [join(self.dir, ".tool-versions"), ".tool-versions".to_owned()] {
            if let Some(text) = self.workspace.text(&file).filter(|_| found.is_none()) {
                let (line, shown) = find_line(text, "python ");
                found = super::versions::series("python", shown.trim_start_matches("python "))
                    .filter(|_| line > 0)
                    .map(|series| (series, Place::new(file, line, shown)));
            }
        }
        let pyproject = join(self.dir, "pyproject.toml");
        let spec = self.pyproject().and_then(|table| {
            let project = table.get("project").and_then(|project| project.get("requires-python")).and_then(|spec| spec.as_str()).map(str::to_owned);
            project.or_else(|| table.get("tool")?.get("poetry")?.get("dependencies")?.get("python")?.as_str().map(str::to_owned))
        });
        if let Some(spec) = spec {
            draft.fact("requires-python", spec.clone());
            let (line, shown) = find_line(self.workspace.text(&pyproject).unwrap_or_default(), "python");
            if found.is_none() {
                found = super::versions::series("python", &spec).map(|series| (series, Place::new(pyproject, line, shown)));
            }
        }
        let pipfile = join(self.dir, "Pipfile");
        if let Some(text) = self.workspace.text(&pipfile).filter(|_| found.is_none()) {
            let (line, shown) = find_line(text, "python_version");
            found = super::versions::series("python", shown.split('=').nth(1).unwrap_or_default().trim_matches([' ', '"']))
                .map(|series| (series, Place::new(pipfile, line, shown)));
        }
        if let (None, Some((file, packages))) = (&found, self.conda()) {
            let (line, shown) = find_line(self.workspace.text(&file).unwrap_or_default(), "python");
            let spec = packages.iter().find(|(name, _)| name == "python").map_or("", |(_, version)| version.as_str());
            found = super::versions::series("python", spec).map(|series| (series, Place::new(file, line, shown)));
        }
        // Nothing declares a series, and what is pinned is older than the usual one.
        let older = || PINS.iter().find(|(package, first)| draft.service.dependencies.get(*package).is_some_and(|version| before(version, first)));
        if found.is_none()
            && let Some((package, _)) = older()
        {
            found = declared.get(*package).map(|place| ("3.11".to_owned(), place.clone()));
        }
        if let Some((series, place)) = found {
            draft.service.language_version = Some(series);
            draft.shows("language_version", place);
        }
    }

    /// Dependencies of all manifests, with where each was declared.
    fn dependencies(&self) -> (BTreeMap<String, String>, BTreeMap<String, Place>) {
        let (mut all, mut places) = (BTreeMap::new(), BTreeMap::new());
        let files: Vec<&str> = self
            .workspace
            .tree
            .under(self.dir)
            .filter(|path| {
                let name = base_of(path);
                let here = dir_of(path) == self.dir || dir_of(path) == join(self.dir, "requirements");
                let development = ["dev", "test", "lint", "docs"].iter().any(|word| name.contains(word));
                here && !development && ((name.starts_with("requirements") && (name.ends_with(".txt") || name.ends_with(".in"))) || dir_of(path) != self.dir)
            })
            .collect();
        for path in files {
            for (number, line) in self.workspace.text(path).unwrap_or_default().lines().enumerate() {
                let extra = extra_package(line).map(|name| (name, String::new()));
                for (name, version) in requirement(line).into_iter().chain(extra) {
                    let known = all.entry(name.clone()).or_insert_with(String::new);
                    if known.is_empty() {
                        *known = version;
                    }
                    places.entry(name).or_insert_with(|| Place::new(path, u32::try_from(number).unwrap_or(0) + 1, line));
                }
            }
        }
        let pyproject = join(self.dir, "pyproject.toml");
        let text = self.workspace.text(&pyproject).unwrap_or_default();
        let mut add = |name: String, version: String, needle: &str| {
            let (line, shown) = find_line(text, needle);
            places.entry(name.clone()).or_insert_with(|| Place::new(pyproject.clone(), line, shown));
            all.entry(name).or_insert(version);
        };
        if let Some(table) = self.pyproject() {
            for item in table
                .get("project")
                .and_then(|project| project.get("dependencies"))
                .and_then(|list| list.as_array())
                .into_iter()
                .flatten()
                .filter_map(|item| item.as_str())
            {
                let extra = extra_package(item).map(|name| (name, String::new()));
                for (name, version) in requirement(item).into_iter().chain(extra) {
                    add(name, version, item);
                }
            }
            let poetry = table.get("tool").and_then(|tool| tool.get("poetry")).and_then(|poetry| poetry.get("dependencies")).and_then(|map| map.as_table());
            for (name, version) in poetry.into_iter().flatten().filter(|(name, _)| *name != "python") {
                let version = version.as_str().map(str::to_owned).or_else(|| version.get("version")?.as_str().map(str::to_owned)).unwrap_or_default();
                add(normal(name), version, name);
            }
        }
        if let Some(table) = self.workspace.toml(&join(self.dir, "Pipfile")) {
            for (name, version) in table.get("packages").and_then(|map| map.as_table()).into_iter().flatten() {
                all.entry(normal(name)).or_insert_with(|| version.as_str().unwrap_or_default().to_owned());
            }
        }
        for (name, version) in self.conda().into_iter().flat_map(|(_, packages)| packages).filter(|(name, _)| !matches!(name.as_str(), "python" | "pip")) {
            all.entry(name).or_insert(version);
        }
        self.locked(&mut all);
        (all, places)
    }

    /// Locked versions of what is declared.
    fn locked(&self, all: &mut BTreeMap<String, String>) {
        for name in ["uv.lock", "poetry.lock"] {
            let Some(text) = self.workspace.text(&join(self.dir, name)) else { continue };
            let mut package = String::new();
            for line in text.lines() {
                if let Some(name) = line.strip_prefix("name = ") {
                    package = normal(name.trim_matches('"'));
                } else if let Some(version) = line.strip_prefix("version = ")
                    && let Some(known) = all.get_mut(&package)
                {
                    *known = version.trim_matches('"').to_owned();
                    package.clear();
                }
            }
        }
    }

    /// Lines of a Procfile: process, command, place.
    fn procfile(&self) -> Vec<(String, String, Place)> {
        let path = join(self.dir, "Procfile");
        let text = self.workspace.text(&path).unwrap_or_default();
        procfile(&path, text)
    }

    /// The file of a dotted module, relative to the project or a source folder in it.
    fn module_file(&self, module: &str) -> Option<String> {
        let path = module.replace('.', "/");
        let candidates = [format!("{path}.py"), format!("{path}/__init__.py"), format!("{path}/__main__.py")];
        let mut homes = vec![self.dir.to_owned(), join(self.dir, "src")];
        // `backend.main` of the folder `backend`, started from its parent.
        homes.push(dir_of(self.dir).to_owned());
        homes.iter().flat_map(|home| candidates.iter().map(move |candidate| join(home, candidate))).find(|path| self.workspace.tree.has(path))
    }

    /// Fills a draft from a command that somebody wrote down.
    fn by_command(&self, draft: &mut Draft, command: &str, place: Place) {
        let parsed = start::parse(command);
        draft.start(command, place.clone());
        let file = match (&parsed.module, &parsed.script) {
            (Some(module), _) => {
                let program = parsed.program == "python";
                let main = program.then(|| self.module_file(&format!("{module}.__main__"))).flatten();
                main.or_else(|| self.module_file(module))
            }
            (None, Some(script)) => Some(join(self.dir, script)).filter(|path| self.workspace.tree.has(path)),
            (None, None) => None,
        };
        draft.entry = file;
        self.kind_by_code(draft);
        if parsed.program == "celery" && parsed.port_variable.is_none() {
            draft.service.kind = Kind::Worker;
        }
        self.listen(draft, command);
    }

    /// What the code says that a started program is.
    fn kind_by_code(&self, draft: &mut Draft) {
        let reached = super::assemble::reached(self.workspace, draft);
        let all = || reached.iter().copied();
        // Starlette is also what carries an MCP server.
        let serves_mcp =
            all().any(|(_, facts)| facts.mcp_runs.iter().any(|run| run.transport != Some("stdio"))) && all().any(|(_, facts)| !facts.mcp_servers.is_empty());
        let counts = |framework: &str| framework != "celery" && !(framework == "starlette" && serves_mcp);
        if let Some((path, app)) = all().flat_map(|(path, facts)| facts.apps.iter().map(move |app| (path, app))).find(|(_, app)| counts(app.framework)) {
            draft.service.framework = Some(app.framework.to_owned());
            draft.shows("framework", Place::new(path, app.line, &app.text));
            return;
        }
        let mcp = all().find_map(|(path, facts)| facts.mcp_servers.first().map(|server| (path, server)));
        if let Some((path, server)) = mcp {
            draft.service.kind = Kind::McpServer;
            draft.service.framework = Some(if server.sdk == "fastmcp" { "fastmcp" } else { "mcp" }.to_owned());
            draft.shows("framework", Place::new(path, server.line, &server.text));
            return;
        }
        // A framework that is declared, where the code shows none.
        let silent = self.facts().all(|(_, facts)| facts.apps.is_empty() && facts.mcp_servers.is_empty());
        let declared = [
            ("fastapi", "fastapi"),
            ("flask", "flask"),
            ("sanic", "sanic"),
            ("litestar", "litestar"),
            ("tornado", "tornado"),
            ("bottle", "bottle"),
            ("fastmcp", "fastmcp"),
        ];
        let known = [
            ("google-adk", "google-adk"),
            ("chainlit", "chainlit"),
            ("django", "django"),
            ("streamlit", "streamlit"),
            ("gradio", "gradio"),
            ("grpcio", "grpc"),
            ("aiohttp", "aiohttp"),
            ("locust", "locust"),
        ];
        let candidates = known.iter().chain(declared.iter().filter(|_| silent));
        if let Some((_, framework)) = candidates.into_iter().find(|(package, _)| draft.service.depends_on(package)) {
            draft.service.framework = Some((*framework).to_owned());
            draft.shows("framework", self.manifest_place(framework));
        }
    }

    fn manifest_place(&self, package: &str) -> Place {
        let files = MANIFESTS.iter().map(|name| join(self.dir, name));
        files
            .filter_map(|path| self.workspace.text(&path).map(|text| (path.clone(), find_line(text, package))))
            .find(|(_, (line, _))| *line > 0)
            .map_or_else(|| Place::file(self.dir), |(path, (line, text))| Place::new(path, line, text))
    }

    /// Ports of a command, else of the code, else the framework's own.
    fn listen(&self, draft: &mut Draft, command: &str) {
        let parsed = start::parse(command);
        let place = draft.service.evidence.get("start_command").and_then(|places| places.first().cloned()).unwrap_or_else(|| Place::file(self.dir));
        if let Some(port) = parsed.port {
            return draft.port(port, "http", place);
        }
        // Whoever sets the variable decides, not the server's own default.
        if parsed.port_variable.is_some() {
            return;
        }
        super::assemble::code_ports(self.workspace, draft);
        if !draft.service.ports.is_empty() || draft.service.kind == Kind::Worker {
            return;
        }
        let default = match (parsed.program.as_str(), draft.service.framework.as_deref()) {
            ("uvicorn" | "gunicorn" | "hypercorn" | "fastapi" | "daphne", _) => Some(8000),
            ("flask", _) => Some(5000),
            ("streamlit", _) => Some(8501),
            (_, Some("fastapi" | "django" | "starlette" | "fastmcp" | "mcp")) => Some(8000),
            (_, Some("flask")) => Some(5000).filter(|_| draft.service.kind != Kind::Worker && self.facts().any(|(_, facts)| !facts.apps.is_empty())),
            (_, Some("gradio")) => Some(7860),
            (_, Some("google-adk" | "chainlit" | "litestar" | "sanic")) => Some(8000),
            (_, Some("nicegui")) => Some(8080),
            _ => None,
        };
        if let Some(port) = default {
            draft.port(port, "http", place);
            draft.assumed_port = true;
        }
    }

    /// The program of the project, found in its code.
    fn entry(&self, dependencies: &BTreeMap<String, String>, lenient: bool) -> Option<Entry> {
        self.django(dependencies)
            .or_else(|| self.web_app(dependencies))
            .or_else(|| self.streamlit(dependencies))
            .or_else(|| self.own_server(dependencies))
            .or_else(|| self.mcp_program())
            .or_else(|| self.script().filter(|entry| lenient || entry.kind != Kind::Worker))
            .or_else(|| self.program(lenient))
    }

    fn django(&self, dependencies: &BTreeMap<String, String>) -> Option<Entry> {
        let manage = self.workspace.first_in(self.dir, &["manage.py"])?;
        if !dependencies.contains_key("django") && !self.workspace.text(&manage).is_some_and(|text| text.contains("django")) {
            return None;
        }
        let wsgi = self.sources.iter().find(|path| base_of(path) == "wsgi.py").or_else(|| self.sources.iter().find(|path| base_of(path) == "asgi.py"));
        let module = wsgi.map(|path| super::walk::below(path, self.dir).trim_end_matches(".py").replace('/', "."));
        let command = match module {
            Some(module) if dependencies.contains_key("gunicorn") => format!("gunicorn --bind 0.0.0.0:8000 {module}:application"),
            Some(module) if dependencies.contains_key("uvicorn") => {
                format!("uvicorn {}:application --host 0.0.0.0 --port 8000", module.replace("wsgi", "asgi"))
            }
            Some(_) | None => "python manage.py runserver 0.0.0.0:8000".to_owned(),
        };
        Some(Entry {
            file: wsgi.cloned().unwrap_or_else(|| manage.clone()),
            kind: Kind::Web,
            framework: Some("django"),
            command,
            place: Place::file(manage),
            assumed: true,
        })
    }

    fn web_app(&self, dependencies: &BTreeMap<String, String>) -> Option<Entry> {
        const WEB: &[&str] = &["fastapi", "flask", "quart", "starlette", "sanic", "litestar", "fasthtml", "bottle", "aiohttp", "dash"];
        let serves_mcp = self.facts().any(|(_, facts)| !facts.mcp_servers.is_empty() && facts.mcp_runs.iter().any(|run| run.transport != Some("stdio")));
        let counts = |framework: &str| WEB.contains(&framework) && !(framework == "starlette" && serves_mcp);
        let apps = self.facts().flat_map(|(path, facts)| facts.apps.iter().map(move |app| (path, facts, app))).filter(|(_, _, app)| counts(app.framework));
        let rank = |path: &str| {
            let name = base_of(path).trim_end_matches(".py");
            let named = ["main", "app", "server", "asgi", "wsgi", "api", "__main__", "__init__"].iter().position(|known| *known == name).unwrap_or(9);
            let depth = super::walk::below(path, self.dir).matches('/').count();
            (named > 8, depth, named, path.to_owned())
        };
        let (path, facts, app) = apps.min_by_key(|(path, _, app)| (app.factory.is_some(), rank(path)))?;
        let module = self.module_of(path);
        let place = Place::new(path, app.line, &app.text);
        let written = facts.listens.iter().find_map(|listen| listen.port.number());
        let port = |default: u16| written.unwrap_or(default);
        let target = match &app.factory {
            None => format!("{module}:{}", app.variable),
            Some(factory) => self.made_by(factory, path).unwrap_or_else(|| format!("{module}:{factory}")),
        };
        let factory = app.factory.is_some() && !target.contains(&format!(":{}", app.variable));
        let command = match app.framework {
            "fastapi" | "starlette" | "litestar" | "quart" | "fasthtml" => {
                let flag = if factory { " --factory" } else { "" };
                let run = format!("uvicorn {target}{flag} --host 0.0.0.0 --port {}", port(8000));
                let serves_itself = facts.program && !facts.listens.is_empty();
                if dependencies.contains_key("uvicorn") || dependencies.contains_key("fastapi") || !serves_itself { run } else { self.run_line(path) }
            }
            "flask" if dependencies.contains_key("gunicorn") => format!("gunicorn --bind 0.0.0.0:{} {target}{}", port(8000), if factory { "()" } else { "" }),
            // A package that can be run says so itself.
            "flask" if facts.program && base_of(path) == "__main__.py" => self.run_line(path),
            "flask" if facts.program && !facts.listens.is_empty() && !facts.listens.iter().any(keeps_to_itself) => self.run_line(path),
            "flask" if dependencies.get("flask").is_some_and(|version| before_app_option(version)) => {
                format!("FLASK_APP={module} flask run --host 0.0.0.0 --port {}", port(5000))
            }
            "flask" => format!("flask --app {} run --host 0.0.0.0 --port {}", module, port(5000)),
            _ => self.run_line(path),
        };
        let kind = if matches!(app.framework, "dash" | "fasthtml") { Kind::Web } else { Kind::Api };
        Some(Entry { file: path.to_owned(), kind, framework: Some(app.framework), command, place, assumed: written.is_none() })
    }

    /// `app = create_app()` in another file: the object that a server can import.
    fn made_by(&self, factory: &str, home: &str) -> Option<String> {
        for (path, _) in self.facts() {
            if !matches!(base_of(path), "main.py" | "app.py" | "wsgi.py" | "asgi.py" | "run.py" | "server.py") {
                continue;
            }
            let constants = self.workspace.sources.get(path)?;
            let imports = constants.imports.iter().any(|import| import.names.iter().any(|(name, _)| name == factory)) || path == home;
            if imports && path != home {
                return Some(format!("{}:app", self.module_of(path)));
            }
        }
        None
    }

    fn streamlit(&self, dependencies: &BTreeMap<String, String>) -> Option<Entry> {
        if !dependencies.contains_key("streamlit") {
            return None;
        }
        let found = self
            .facts()
            .filter(|(_, facts)| facts.imports("streamlit"))
            .min_by_key(|(path, _)| (super::walk::below(path, self.dir).matches('/').count(), path.len()))?;
        let script = super::walk::below(found.0, self.dir);
        let command = format!("streamlit run {script} --server.port 8501 --server.address 0.0.0.0");
        Some(Entry { file: found.0.to_owned(), kind: Kind::Web, framework: Some("streamlit"), command, place: self.manifest_place("streamlit"), assumed: true })
    }

    /// Frameworks that bring their own server: found by dependency and import, started by their own command.
    fn own_server(&self, dependencies: &BTreeMap<String, String>) -> Option<Entry> {
        if dependencies.contains_key("google-adk")
            && let Some((path, _)) = self.facts().find(|(path, facts)| base_of(path) == "agent.py" && facts.imports("google.adk"))
        {
            let command = "adk api_server --host 0.0.0.0 --port 8000 .".to_owned();
            let place = self.manifest_place("google-adk");
            return Some(Entry { file: path.to_owned(), kind: Kind::Api, framework: Some("google-adk"), command, place, assumed: true });
        }
        let rows: [(&str, &str, &'static str, &str); 3] = [
            ("gradio", "gradio", "gradio", "python {}"),
            ("chainlit", "chainlit", "chainlit", "chainlit run {} --host 0.0.0.0 --port 8000"),
            ("nicegui", "nicegui", "nicegui", "python {}"),
        ];
        rows.iter().filter(|(package, ..)| dependencies.contains_key(*package)).find_map(|(package, module, framework, command)| {
            let (path, _) = self
                .facts()
                .filter(|(_, facts)| facts.imports(module))
                .min_by_key(|(path, facts)| (!facts.program, super::walk::below(path, self.dir).matches('/').count(), path.len()))?;
            let command = command.replace("{}", super::walk::below(path, self.dir));
            Some(Entry { file: path.to_owned(), kind: Kind::Web, framework: Some(framework), command, place: self.manifest_place(package), assumed: true })
        })
    }

    /// `[project.scripts]`: what the project says can be started; `start` and its kin first, and a single one.
    fn script(&self) -> Option<Entry> {
        let table = self.pyproject()?;
        let tool = |table: &toml::Table| table.get("tool")?.get("poetry")?.get("scripts")?.as_table().cloned();
        let scripts =
            table.get("project").and_then(|project| project.get("scripts")).and_then(|scripts| scripts.as_table()).cloned().or_else(|| tool(&table))?;
        let named = ["start", "serve", "server", "web", "app", "main", "run"];
        let pick = named.iter().find_map(|name| scripts.get_key_value(*name)).or_else(|| if scripts.len() == 1 { scripts.iter().next() } else { None })?;
        let target = pick.1.as_str()?;
        let file = self.module_file(target.split(':').next()?)?;
        let facts = self.workspace.sources.get(&file);
        let serves = facts.is_some_and(|facts| !facts.listens.is_empty() || !facts.mcp_runs.is_empty());
        let manager = if table.get("tool").is_some_and(|tool| tool.get("poetry").is_some()) { "poetry run " } else { "" };
        let (line, text) = find_line(self.workspace.text(&join(self.dir, "pyproject.toml"))?, target);
        let place = Place::new(join(self.dir, "pyproject.toml"), line, text);
        let kind = if serves { Kind::Api } else { Kind::Worker };
        Some(Entry { file, kind, framework: None, command: format!("{manager}{}", pick.0), place, assumed: false })
    }

    /// The members of the uv workspace that this project belongs to, as (folder, manifest), its own apart.
    fn siblings(&self) -> Vec<(String, toml::Table)> {
        let Some((root, _)) = self.uv_workspace() else { return Vec::new() };
        let tree = self.workspace.tree.under(&root);
        let manifests = tree.filter(|path| base_of(path) == "pyproject.toml" && dir_of(path) != self.dir);
        manifests.filter_map(|path| Some((dir_of(path).to_owned(), self.workspace.toml(path)?))).collect()
    }

    /// The folder whose uv workspace lists this project as a member, and its lockfile.
    fn uv_workspace(&self) -> Option<(String, String)> {
        let mut dir = self.dir;
        while dir != "." {
            dir = dir_of(dir);
            let uv = self.workspace.toml(&join(dir, "pyproject.toml")).and_then(|table| table.get("tool")?.get("uv")?.get("workspace").cloned());
            if uv.is_some() {
                return Some((dir.to_owned(), join(dir, "uv.lock")));
            }
        }
        None
    }

    /// A member that others of its workspace depend on, and that nothing starts.
    fn is_library(&self) -> bool {
        let Some(table) = self.pyproject() else { return false };
        let Some(project) = table.get("project") else { return false };
        let Some(name) = project.get("name").and_then(|name| name.as_str()).map(normal) else { return false };
        if project.get("scripts").is_some() || !super::assemble::dockerfiles_of(self.workspace, self.dir).is_empty() {
            return false;
        }
        let asks = |table: &toml::Table| {
            let listed = table.get("project").and_then(|project| project.get("dependencies")).and_then(|list| list.as_array());
            listed.into_iter().flatten().filter_map(|item| requirement(item.as_str()?)).any(|(other, _)| other == name)
        };
        self.siblings().iter().any(|(_, table)| asks(table))
    }

    /// A server of the MCP SDK that speaks over HTTP.
    fn mcp_program(&self) -> Option<Entry> {
        let speaks = |facts: &Facts| facts.mcp_runs.iter().any(|run| run.transport != Some("stdio"));
        let (path, facts) = self.facts().find(|(_, facts)| speaks(facts) && facts.program).or_else(|| self.facts().find(|(_, facts)| speaks(facts)))?;
        // Made here, or by a member of the same workspace.
        let homes: Vec<String> = self.siblings().into_iter().map(|(dir, _)| dir).collect();
        let beside = || {
            let paths = homes.iter().flat_map(|dir| self.workspace.tree.under(dir)).filter(|path| path.ends_with(".py"));
            paths.filter_map(|path| self.workspace.sources.get(path)).find_map(|facts| facts.mcp_servers.first())
        };
        let server = self.facts().find_map(|(_, facts)| facts.mcp_servers.first()).or_else(beside)?;
        let run = facts.mcp_runs.iter().find(|run| run.transport != Some("stdio"))?;
        let main = self.sources.iter().find(|other| base_of(other) == "__main__.py");
        let command = match main {
            Some(main) => format!("python -m {}", super::walk::dir_of(super::walk::below(main, self.dir)).replace('/', ".")),
            None => format!("python {}", super::walk::below(path, self.dir)),
        };
        let framework = if server.sdk == "fastmcp" { "fastmcp" } else { "mcp" };
        Some(Entry {
            file: main.cloned().unwrap_or_else(|| path.to_owned()),
            kind: Kind::McpServer,
            framework: Some(framework),
            command,
            place: Place::new(path, run.line, &run.text),
            assumed: false,
        })
    }

    /// Something that runs by itself: a worker, or any program where nothing better is in the workspace.
    fn program(&self, lenient: bool) -> Option<Entry> {
        if let Some((path, app)) =
            self.facts().flat_map(|(path, facts)| facts.apps.iter().map(move |app| (path, app))).find(|(_, app)| app.framework == "celery")
        {
            let command = format!("celery -A {} worker --loglevel=info", self.module_of(path));
            return Some(Entry {
                file: path.to_owned(),
                kind: Kind::Worker,
                framework: Some("celery"),
                command,
                place: Place::new(path, app.line, &app.text),
                assumed: false,
            });
        }
        if let Some((path, facts)) = self.facts().find(|(_, facts)| facts.listens.iter().any(|listen| listen.protocol == "grpc" || listen.by != "uvicorn"))
            && let Some(listen) = facts.listens.first()
        {
            let framework = (listen.protocol == "grpc").then_some("grpc");
            let command = format!("python {}", super::walk::below(path, self.dir));
            return Some(Entry {
                file: path.to_owned(),
                kind: Kind::Api,
                framework,
                command,
                place: Place::new(path, listen.line, &listen.text),
                assumed: false,
            });
        }
        if !lenient {
            return None;
        }
        let named = ["main.py", "app.py", "server.py", "bot.py", "worker.py", "run.py", "src/main.py", "src/app.py", "app/main.py", "__main__.py"];
        let found = self.workspace.first_in(self.dir, &named).or_else(|| {
            let programs: Vec<&str> = self.facts().filter(|(path, facts)| facts.program && dir_of(path) == self.dir).map(|(path, _)| path).collect();
            let package = || self.sources.iter().find(|path| base_of(path) == "__main__.py" && dir_of(dir_of(path)) == self.dir).map(String::as_str);
            programs.first().copied().or_else(package).map(str::to_owned)
        })?;
        let command = self.run_line(&found);
        Some(Entry { place: Place::file(found.clone()), file: found, kind: Kind::Worker, framework: None, command, assumed: false })
    }

    /// `python main.py`, or `python -m package` for a package that is a program.
    fn run_line(&self, path: &str) -> String {
        let below = super::walk::below(path, self.dir);
        match below.strip_suffix("/__main__.py") {
            Some(package) => format!("python -m {}", package.trim_start_matches("src/").replace('/', ".")),
            None => format!("python {below}"),
        }
    }

    /// The dotted name of a file, as it is imported from the project's folder.
    fn module_of(&self, path: &str) -> String {
        let module = super::walk::below(path, self.dir).trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
        // `from backend.models import …` inside `backend/` is run from the folder above.
        let own = base_of(self.dir);
        let from_above = self.dir != "."
            && self.workspace.sources.get(path).is_some_and(|facts| facts.imports(own))
            && !self.workspace.tree.has_folder(&join(self.dir, own))
            && !self.workspace.tree.has(&join(self.dir, &format!("{own}.py")));
        if from_above {
            return format!("{own}.{module}");
        }
        // A source folder that is on the path: nothing imports `src.…`.
        if let Some(rest) = module.strip_prefix("src.")
            && rest.contains('.')
            && !self.facts().any(|(_, facts)| facts.imports("src"))
            && !self.workspace.tree.has(&join(self.dir, "src/__init__.py"))
        {
            return rest.to_owned();
        }
        module
    }

    fn finish(&self, draft: &mut Draft) {
        let parsed = draft.service.start_command.as_deref().map(start::parse).unwrap_or_default();
        if let (Some(module), Some(object)) = (&parsed.module, &parsed.object) {
            draft.fact("python.module", format!("{module}:{object}"));
        } else if let Some(module) = &parsed.module {
            draft.fact("python.module", module.clone());
        }
        if let Some(entry) = &draft.entry {
            let entry = super::walk::below(entry, self.dir).to_owned();
            if let Some((package, _)) = entry.split_once('/') {
                draft.fact("python.package", package);
            }
            draft.fact("entry", entry);
        }
        if draft.service.framework.is_none() {
            self.kind_by_code(draft);
        }
        let shown = self.workspace.first_in(self.dir, MANIFESTS).map(Place::file).or_else(|| draft.entry.clone().map(Place::file));
        if let Some(place) = shown {
            draft.shows("language", place);
        }
    }
}

/// Lines of a Procfile: process, command, place.
pub(crate) fn procfile(path: &str, text: &str) -> Vec<(String, String, Place)> {
    text.lines()
        .enumerate()
        .filter_map(|(number, line)| {
            let (process, command) = line.split_once(':')?;
            let process = process.trim();
            let named = !process.is_empty() && process.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_".contains(letter));
            let command = command.trim();
            (named && !command.is_empty()).then(|| (process.to_owned(), command.to_owned(), Place::new(path, u32::try_from(number).unwrap_or(0) + 1, line)))
        })
        .collect()
}

/// True where a list of requirements or a lockfile takes a package out of a repository: `name @ git+https://…`, `{ git = "https://…" }`.
fn clones(text: &str) -> bool {
    let keyed = |line: &str| {
        ["git = \"", "\"git\": \""]
            .iter()
            .any(|key| line.split_once(key).is_some_and(|(before, _)| before.trim_end().ends_with(['{', ',']) || before.trim().is_empty()))
    };
    text.lines()
        .map(|line| line.split(" #").next().unwrap_or_default())
        .any(|line| !line.trim_start().starts_with('#') && (line.contains("git+") || keyed(line)))
}

/// The command line of Flask takes `--app` since 2.2; a range takes what fits.
fn before_app_option(version: &str) -> bool {
    let mut numbers = version.split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (2, 2))
}

/// `app.run()` without a host, or with that of the machine itself, is reached by nobody outside its container.
fn keeps_to_itself(listen: &super::facts::Listen) -> bool {
    let own = |host: &str| matches!(host, "" | "localhost" | "127.0.0.1" | "::1");
    listen.by == "flask" && own(&listen.target) && listen.host.as_ref().is_none_or(|host| host.literal.as_deref().is_some_and(own))
}

/// `Name[extra]>=1.2 ; marker` → (`name`, `1.2` where pinned, else the range).
pub(crate) fn requirement(line: &str) -> Option<(String, String)> {
    let line = line.split(['#', ';', '\\']).next()?.trim();
    if line.is_empty() || line.starts_with('-') || line.contains("://") && !line.contains('@') {
        return None;
    }
    let end = line.find(|letter: char| !(letter.is_ascii_alphanumeric() || "-_.".contains(letter))).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    if name.is_empty() || !name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) {
        return None;
    }
    let rest = rest.trim();
    let rest = if rest.starts_with('[') { rest.split_once(']').map_or("", |(_, rest)| rest) } else { rest };
    let version = rest.trim().trim_start_matches("==").trim();
    let version = if version.starts_with('@') { String::new() } else { version.split_whitespace().collect::<Vec<_>>().join("") };
    Some((normal(name), version))
}

/// Compiled packages, and the first release of each that was built for Python 3.13, by their change logs.
const PINS: &[(&str, &[u32])] = &[
    ("asyncpg", &[0, 30]),
    ("greenlet", &[3, 1]),
    ("numpy", &[2, 1]),
    ("pandas", &[2, 2, 3]),
    ("psycopg2", &[2, 9, 10]),
    ("psycopg2-binary", &[2, 9, 10]),
    ("pydantic", &[2, 8]),
    ("pydantic-core", &[2, 20]),
    ("pyyaml", &[6, 0, 2]),
];

/// True for a release before another; a range is none.
fn before(version: &str, first: &[u32]) -> bool {
    let numbers: Option<Vec<u32>> = version.split('.').map(|part| part.parse().ok()).collect();
    numbers.is_some_and(|numbers| numbers.as_slice() < first)
}

/// `psycopg[c]` brings the package `psycopg-c`, which is compiled; other extras have no package of that kind.
fn extra_package(line: &str) -> Option<String> {
    let (name, rest) = line.split(['#', ';']).next()?.split_once('[')?;
    let extras = rest.split_once(']')?.0.split(',').map(str::trim);
    let extra = extras.into_iter().find(|extra| matches!(*extra, "c" | "binary"))?;
    (normal(name.trim()) == "psycopg").then(|| format!("psycopg-{extra}"))
}

/// The name as package indexes compare it.
pub(crate) fn normal(name: &str) -> String {
    name.to_ascii_lowercase().replace(['_', '.'], "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_out_of_a_repository_are_cloned() {
        for text in [
            "fastapi\ncowpy @ git+https://git.example.org/cowpy.git@1.0\n",
            "-e git+ssh://git@git.example.org/x.git#egg=x\n",
            "[tool.uv.sources]\nshared = { git = \"https://git.example.org/shared\", tag = \"1\" }\n",
            "shared = {version = \"1\", git = \"https://git.example.org/shared\"}\n",
            "            \"git\": \"https://git.example.org/shared\",\n",
        ] {
            assert!(clones(text), "{text}");
        }
        let others = "gitpython==3.1\nfastapi # was git+https://git.example.org/x\n# git+https://git.example.org/x\ndigit = \"5\"\nSource = \"https://git.example.org\"\n";
        for line in others.lines() {
            assert!(!clones(line), "{line}");
        }
    }

    #[test]
    fn requirements_are_read_leniently() {
        let check = |line: &str, expect: Option<(&str, &str)>| {
            assert_eq!(requirement(line), expect.map(|(name, version)| (name.to_owned(), version.to_owned())), "{line}")
        };
        let extra = |line: &str| extra_package(line);
        assert_eq!(extra("psycopg[c,pool]>=3.2").as_deref(), Some("psycopg-c"));
        assert_eq!(extra("psycopg[binary]").as_deref(), Some("psycopg-binary"));
        assert_eq!((extra("psycopg[pool]"), extra("celery[c]"), extra("psycopg # [c]")), (None, None, None));
        check("fastapi==0.115.0", Some(("fastapi", "0.115.0")));
        check("psycopg[binary] >= 3.2 ; python_version > '3'", Some(("psycopg", ">=3.2")));
        check("PyJWT==2.15.1 \\", Some(("pyjwt", "2.15.1")));
        check("pydantic_core==2.50.4", Some(("pydantic-core", "2.50.4")));
        check("# comment", None);
        check("-r base.txt", None);
        check("git+https://example.org/x.git", None);
    }

    #[test]
    fn a_procfile_has_processes() {
        let lines = procfile("Procfile", "web: uvicorn main:app\n# no\nworker: python worker.py\n");
        assert_eq!(
            lines.iter().map(|(process, command, _)| (process.as_str(), command.as_str())).collect::<Vec<_>>(),
            vec![("web", "uvicorn main:app"), ("worker", "python worker.py")]
        );
    }
}
