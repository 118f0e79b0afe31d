//! What a careful reader would point out before anything is built: one table of codes, one rule each.

mod charts;
mod images;
mod imports;
mod table;

use super::draft::Draft;
use super::facts::{Facts, Value};
use super::walk::{Presence, base_of, dir_of, join, within};
use super::workspace::Workspace;
use super::{Kind, McpShape, McpTransport, Place, WorkspaceMcp, calls, start};
use crate::evidence::{Finding, Severity};
use std::collections::{BTreeMap, BTreeSet};
use table::TABLE;

/// All findings of the workspace, by severity and code.
pub(crate) fn judge(workspace: &Workspace, drafts: &[Draft], mcp: &WorkspaceMcp) -> Vec<Finding> {
    let mut judge = Judge { workspace, found: BTreeMap::new() };
    if drafts.is_empty() {
        judge.add("nothing_to_deploy", "", vec![]);
    }
    for draft in drafts {
        judge.lockfile(draft);
        judge.next(draft, drafts);
        judge.loopback(draft);
        judge.browser(draft, drafts);
        judge.host_check(draft);
        judge.entry(draft);
        judge.shadow(draft);
        judge.secret_defaults(draft);
        judge.imports(draft);
        for (path, file) in images::dockerfiles(workspace, draft, drafts) {
            judge.dockerfile(draft, path, file);
        }
    }
    judge.leaks();
    judge.compose();
    judge.charts(drafts);
    if mcp.shape == McpShape::NameOnly {
        let shown = mcp.evidence.first().map(|place| place.file.clone()).unwrap_or_default();
        judge.add("mcp_name_only", &shown, mcp.evidence.clone());
    }
    judge.sorted()
}

struct Judge<'all> {
    workspace: &'all Workspace,
    /// code + subject → finding, so that nothing is said twice
    found: BTreeMap<(Severity, &'static str, String), Finding>,
}

impl<'all> Judge<'all> {
    fn add(&mut self, code: &str, what: &str, evidence: Vec<Place>) {
        let Some(row) = TABLE.iter().find(|row| row.code == code) else { return };
        let message = crate::secret::plain(&row.message.replace("{}", what), 300);
        let fix = (!row.fix.is_empty()).then(|| row.fix.replace("{}", what));
        let finding = Finding { code: row.code.to_owned(), severity: row.severity, message, help: row.help.to_owned(), evidence, fix };
        self.found.entry((row.severity, row.code, what.to_owned())).or_insert(finding);
    }

    fn sorted(self) -> Vec<Finding> {
        self.found.into_values().collect()
    }

    fn lockfile(&mut self, draft: &Draft) {
        let locks: &[&str] = match draft.service.package_manager.as_deref() {
            Some("npm") => &["package-lock.json"],
            Some("pnpm") => &["pnpm-lock.yaml"],
            Some("yarn") => &["yarn.lock"],
            Some("bun") => &["bun.lock", "bun.lockb"],
            Some("uv") => &["uv.lock"],
            Some("poetry") => &["poetry.lock"],
            Some("bundler") => &["Gemfile.lock"],
            Some("cargo") => &["Cargo.lock"],
            Some("go-modules") => &["go.sum"],
            _ => return,
        };
        if draft.service.build_facts.contains_key("lockfile") || (draft.service.language == "go" && draft.service.dependencies.is_empty()) {
            return;
        }
        let ignored = locks.iter().map(|name| join(&draft.service.dir, name)).find(|path| self.workspace.tree.presence(path) == Presence::Ignored);
        let evidence = draft.service.evidence.get("package_manager").or_else(|| draft.service.evidence.get("language")).cloned().unwrap_or_default();
        match ignored {
            Some(path) => {
                let mut places = vec![Place::file(path.clone())];
                places.extend(self.ignored_by(base_of(&path), dir_of(&path)));
                self.add("lockfile_gitignored", &path, places);
            }
            None => match locks.iter().find_map(|name| self.ignored_by(name, &draft.service.dir).map(|place| (join(&draft.service.dir, name), place))) {
                Some((path, place)) => self.add("lockfile_gitignored", &path, vec![place]),
                None => self.add("lockfile_missing", draft.service.name.as_str(), evidence),
            },
        }
    }

    /// The line of a .gitignore that names a file.
    fn ignored_by(&self, name: &str, dir: &str) -> Option<Place> {
        let files = self.workspace.texts.iter().filter(|(path, _)| base_of(path) == ".gitignore" && within(dir, dir_of(path)));
        files.flat_map(|(path, text)| text.lines().enumerate().map(move |(number, line)| (path, number, line))).find_map(|(path, number, line)| {
            let pattern = line.trim().trim_start_matches("**/").trim_start_matches('/');
            (pattern == name || (pattern == "*.lock" && name.ends_with(".lock")))
                .then(|| Place::new(path.clone(), u32::try_from(number).unwrap_or(0) + 1, line))
        })
    }

    fn next(&mut self, draft: &Draft, drafts: &[Draft]) {
        if draft.service.framework.as_deref() != Some("nextjs") {
            return;
        }
        let name = draft.service.name.as_str().to_owned();
        let config = draft.service.build_facts.get("next.config").cloned();
        let place = config.map_or_else(|| Place::file(join(&draft.service.dir, "package.json")), Place::file);
        let standalone = draft.service.build_facts.get("next.standalone").is_some_and(|value| value == "true");
        let exported = draft.service.build_facts.get("next.output").is_some_and(|value| value == "export");
        if exported {
            let script = draft.service.build_facts.get("start.script").cloned().unwrap_or_default();
            let command = draft.service.start_command.clone().unwrap_or_default();
            if script.contains("next start") || command.contains("next start") {
                let mut places = draft.service.evidence.get("build_facts").cloned().unwrap_or_else(|| vec![place]);
                places.extend(draft.service.evidence.get("start_command").cloned().unwrap_or_default());
                self.add("export_with_server_start", &name, places);
            }
            return;
        }
        if standalone {
            return;
        }
        let copied = images::dockerfiles(self.workspace, draft, drafts).into_iter().find_map(|(path, file)| {
            let copy = file.all("COPY").find(|copy| copy.rest.contains(".next/standalone"))?;
            Some(Place::new(path.clone(), copy.line, &copy.rest))
        });
        match copied {
            Some(copied) => {
                self.add("standalone_missing_in_config", &name, vec![copied, place]);
            }
            None => {
                self.add("next_standalone_off", &name, vec![place]);
            }
        }
    }

    fn loopback(&mut self, draft: &Draft) {
        let service = &draft.service;
        let loopback = |host: &str| matches!(host, "127.0.0.1" | "localhost" | "::1");
        let place = service.evidence.get("start_command").cloned().unwrap_or_default();
        let command = service.start_command.clone().unwrap_or_default();
        let parsed = start::parse(&command);
        let name = service.name.as_str();
        // The server's own default where the command says nothing.
        let own_default = matches!(parsed.program.as_str(), "uvicorn" | "flask" | "gunicorn" | "hypercorn") && parsed.host.is_none();
        let configured = [" -c ", "--config", "GUNICORN"].iter().any(|word| command.contains(word));
        // Whoever runs a Procfile sets PORT, and then gunicorn listens on every address.
        let bound_elsewhere = parsed.program == "gunicorn" && (configured || place.iter().any(|place| base_of(&place.file) == "Procfile"));
        let from_env = ["UVICORN_HOST", "FLASK_RUN_HOST"].iter().any(|name| command.contains(name));
        if parsed.host.as_deref().is_some_and(loopback) || (own_default && !bound_elsewhere && !from_env) {
            return self.add("listens_on_loopback", name, place);
        }
        if parsed.host.is_some() || matches!(parsed.program.as_str(), "uvicorn" | "gunicorn") {
            return;
        }
        for (path, facts) in self.reached(draft) {
            for listen in &facts.listens {
                let host = listen.host.as_ref();
                let written = host.and_then(|host| if host.env.is_none() { host.literal.as_deref() } else { None });
                let own = host.is_none() && matches!(listen.by, "uvicorn" | "flask") && draft.service.language == "python";
                let fastify = listen.by == "fastify" && host.is_none();
                // A bare server beside the program waits for a browser's answer, such as a login.
                let aside = listen.by == "http.server" && draft.entry.as_deref() != Some(path);
                if (written.is_some_and(loopback) && !aside) || own || fastify {
                    self.add("listens_on_loopback", name, vec![Place::new(path, listen.line, &listen.text)]);
                }
            }
        }
    }

    fn reached(&self, draft: &Draft) -> Vec<(&'all str, &'all Facts)> {
        super::assemble::reached(self.workspace, draft)
    }

    fn browser(&mut self, draft: &Draft, drafts: &[Draft]) {
        let names: BTreeSet<String> =
            drafts.iter().flat_map(|other| [Some(other.service.name.as_str().to_owned()), other.service.compose_service.clone()]).flatten().collect();
        for (variable, url, place) in calls::browser_values(self.workspace, draft) {
            let Some((host, _, _)) = calls::split(&url) else { continue };
            let file = base_of(&place.file);
            // What a chart or a compose file sets comes after the build; their own rules judge it.
            if file.starts_with("values") || file.contains("compose") {
                continue;
            }
            let documented = file.to_ascii_lowercase().starts_with("readme") || file.contains("example");
            if host.ends_with(".svc.cluster.local") || host.ends_with(".svc") || (names.contains(&host) && !documented) {
                self.add("cluster_dns_baked_for_browser", &variable, vec![place]);
            } else if matches!(host.as_str(), "localhost" | "127.0.0.1") && !documented && !base_of(&place.file).starts_with(".env") {
                self.add("localhost_baked", &variable, vec![place]);
            }
        }
    }

    /// The official SDK guards against foreign Host headers whenever it believes to serve localhost.
    fn host_check(&mut self, draft: &Draft) {
        if !draft.service.mcp.as_ref().is_some_and(|mcp| mcp.transport != McpTransport::Stdio && mcp.sdk == "mcp") {
            return;
        }
        let files = self.reached(draft);
        // What this program does not import it does not serve.
        if !files.iter().any(|(_, facts)| !facts.mcp_servers.is_empty()) {
            return;
        }
        let guarded = files.iter().any(|(_, facts)| facts.mcp_servers.iter().any(|server| server.guarded) || facts.mcp_runs.iter().any(|run| run.guarded));
        let elsewhere = files.iter().any(|(_, facts)| facts.imports.iter().any(|import| import.module.contains("transport_security")));
        let open =
            |host: &Option<Value>| host.as_ref().is_some_and(|host| !matches!(host.literal.as_deref(), Some("127.0.0.1" | "localhost")) || host.env.is_some());
        let opened =
            files.iter().any(|(_, facts)| facts.mcp_servers.iter().any(|server| open(&server.host)) || facts.mcp_runs.iter().any(|run| open(&run.host)));
        let sets_later =
            files.iter().any(|(_, facts)| facts.mcp_servers.is_empty() && facts.mcp_runs.is_empty() && facts.constants.contains_key("transport_security"));
        if guarded || elsewhere || opened || sets_later {
            return;
        }
        let evidence = draft.service.mcp.as_ref().map(|mcp| mcp.evidence.clone()).unwrap_or_default();
        self.add("mcp_host_check_refuses_service_names", draft.service.name.as_str(), evidence);
    }

    fn entry(&mut self, draft: &Draft) {
        let command = draft.service.start_command.clone().unwrap_or_default();
        let script = draft.service.build_facts.get("start.script").filter(|_| command.ends_with("run start")).cloned();
        let parsed = start::parse(&script.unwrap_or(command));
        let evidence = draft.service.evidence.get("start_command").cloned().unwrap_or_default();
        let dir = &draft.service.dir;
        let tree = &self.workspace.tree;
        if draft.service.language == "python"
            && let Some(module) = &parsed.module
        {
            if parsed.program == "celery" || module.contains('$') {
                return;
            }
            let path = module.replace('.', "/");
            let homes = [
                dir.clone(),
                join(dir, "src"),
                dir_of(dir).to_owned(),
                parsed.folder.as_ref().map_or_else(|| dir.clone(), |folder| join(dir, folder)),
                ".".to_owned(),
            ];
            let exists = homes.iter().any(|home| {
                [format!("{path}.py"), format!("{path}/__init__.py"), format!("{path}/__main__.py"), path.clone()]
                    .iter()
                    .any(|file| tree.presence(&join(home, file)) == Presence::Tracked)
            });
            let first = module.split('.').next().unwrap_or_default();
            let installed = parsed.program == "python" && draft.service.dependencies.keys().any(|name| name.replace('-', "_") == first);
            let standard = ["http", "flask", "uvicorn", "gunicorn"].contains(&first);
            let deeper = || tree.under(dir).any(|file| file.ends_with(&format!("/{path}.py")) || file.ends_with(&format!("/{path}/__init__.py")));
            let known = exists || installed || standard || (dir == "." && deeper());
            if !known {
                self.add("entry_point_cannot_import", module, evidence);
            }
            return;
        }
        let built = |script: &str| {
            ["dist", "build", ".next", ".output", "out", "lib"].iter().any(|folder| script.starts_with(folder))
                || script.starts_with('/')
                || script.contains('$')
        };
        let looks = draft.service.language == "python" || (draft.service.language == "node" && draft.service.build_command.is_none());
        if let Some(script) = parsed.script.as_ref().filter(|script| looks && !built(script) && script.contains('.')) {
            let from_docker = evidence.first().is_some_and(|place| base_of(&place.file).to_ascii_lowercase().contains("dockerfile"));
            let somewhere = from_docker && tree.under(".").any(|path| base_of(path) == base_of(script));
            if tree.presence(&join(dir, script)) != Presence::Tracked && !somewhere {
                self.add("entry_point_cannot_import", script, evidence);
            }
        }
    }

    /// A package of one's own that is called `mcp`, on the path from which the SDK is imported.
    fn shadow(&mut self, draft: &Draft) {
        if draft.service.language != "python" || !draft.service.depends_on("mcp") {
            return;
        }
        for file in ["mcp/__init__.py", "mcp.py"] {
            let path = join(&draft.service.dir, file);
            if self.workspace.tree.has(&path) {
                self.add("mcp_package_name_shadowed", "mcp", vec![Place::file(path)]);
            }
        }
    }

    fn secret_defaults(&mut self, draft: &Draft) {
        let files: Vec<(&str, &Facts)> = self.workspace.facts(&draft.sources).collect();
        for (path, read) in super::finish::reads(&files) {
            let written = |default: &str| {
                default.len() >= 4 && !matches!(default, "true" | "false" | "True" | "False" | "None") && !harmless_address(&read.name, default)
            };
            let known = read.default.as_deref().is_some_and(written);
            if known && (read.secret || crate::secret::secret_name(&read.name)) {
                self.add("secret_default_in_code", &read.name, vec![Place { file: path, line: read.line, text: String::new() }]);
            }
        }
    }

    fn leaks(&mut self) {
        for leak in &self.workspace.leaks.clone() {
            let text = format!("{} ({})", leak.file, leak.kind);
            let place = Place { file: leak.file.clone(), line: leak.line, text: String::new() };
            self.add(if leak.certain { "secret_in_tracked_file" } else { "secret_like_value_in_tracked_file" }, &text, vec![place]);
        }
    }
}

/// Whether a service answers a path with GET; `None` where its routes are not known well enough to say.
fn serves(workspace: &Workspace, draft: &Draft, path: &str) -> Option<bool> {
    let files: Vec<(&str, &Facts)> = workspace.facts(&draft.sources).collect();
    let routes = super::finish::full_routes(&files);
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
    // `/items/{id}` is one part, `/auth/[...all]` and `/{rest:path}` are all that follow.
    let pattern = |full: &str| {
        let Some(at) = full.find(['{', '*', ':', '[', '<']) else { return false };
        let rest = full.get(at..).unwrap_or_default();
        let open = rest.contains('*') || rest.contains("...") || rest.contains("path");
        path.starts_with(full.get(..at).unwrap_or_default()) && (open || full.matches('/').count() == path.matches('/').count())
    };
    if routes.iter().any(|(_, route, full)| full == path || route.path == path || pattern(full)) {
        return Some(true);
    }
    let mounts = || files.iter().flat_map(|(_, facts)| facts.mounts.iter());
    let open = mounts().any(|mount| mount.prefix.literal.is_none() && (mount.prefix.env.is_some() || mount.prefix.field.is_some()));
    let nested = routes.iter().any(|(_, route, _)| route.path.len() > 1 && path.ends_with(&route.path));
    let under = mounts().any(|mount| {
        mount.prefix.literal.as_deref().is_some_and(|prefix| prefix == "/" || (prefix.len() > 1 && path.starts_with(prefix) && !mount.what.contains("outer")))
    });
    match draft.service.framework.as_deref() {
        Some("fastapi") if matches!(path, "/docs" | "/redoc" | "/openapi.json") => Some(true),
        Some("fastapi" | "flask" | "express") if routes.is_empty() || open || nested || under => None,
        Some("fastapi" | "flask") => Some(false),
        // A static folder may be served there.
        Some("express") if path != "/" => Some(false),
        Some("nextjs") if path.starts_with("/api/") => {
            let config = draft.service.build_facts.get("next.config").and_then(|path| workspace.text(path)).unwrap_or_default();
            // What is rewritten is answered elsewhere.
            let body = config.split_once("rewrites(").or_else(|| config.split_once("rewrites:"));
            let rewrites = body.map_or("", |(_, rest)| rest.split("async ").next().unwrap_or_default());
            let rewritten = rewrites.split("source").skip(1).filter_map(|rest| rest.split(['"', '\'', '`']).nth(1)).any(|source| {
                let head = source.split([':', '*', '(']).next().unwrap_or_default();
                source == path || (head.len() < source.len() && path.starts_with(head.trim_end_matches('/')))
            });
            let unread = !rewrites.is_empty() && !rewrites.contains("source");
            if rewritten || unread { None } else { Some(false) }
        }
        Some(_) | None => None,
    }
}

/// An address without a password is no secret, whatever its variable is called.
fn harmless_address(name: &str, value: &str) -> bool {
    let address = ["url", "uri", "dsn", "string"].iter().any(|tail| super::leaks::snake(name).ends_with(tail));
    (address || value.contains("://")) && !super::leaks::with_password(value) && !value.to_ascii_lowercase().contains("password=")
}

/// The host of the first address in a text.
fn host_of(text: &str) -> Option<String> {
    super::python::urls(text).into_iter().find_map(|url| calls::split(&url).map(|(host, _, _)| host))
}

/// A name that a cluster or a compose network gives, and no browser can resolve.
fn cluster_name(host: &str) -> bool {
    let cluster = host.ends_with(".svc.cluster.local") || host.ends_with(".svc");
    cluster || (!host.contains(['.', ':', '$', '{', '<', '%']) && !host.is_empty() && host != "localhost" && host != super::helm::UNKNOWN)
}

/// Whether a service can be containerized, and why (not).
pub(crate) fn ready(draft: &Draft, findings: &[Finding]) -> (bool, String) {
    let service = &draft.service;
    let name = service.name.as_str();
    let blocking = findings.iter().find(|finding| {
        matches!(
            finding.code.as_str(),
            "entry_point_cannot_import"
                | "export_with_server_start"
                | "copy_source_missing"
                | "copies_missing_public"
                | "standalone_missing_in_config"
                | "devdeps_omitted_before_build"
                | "frozen_install_without_lockfile"
                | "copy_source_ignored"
                | "dependency_not_declared"
        ) && finding.evidence.iter().any(|place| {
            let own = service.dockerfile.as_deref() == Some(&place.file) || service.evidence.get("start_command").is_some_and(|places| places.contains(place));
            own || (within(&place.file, &service.dir) && service.dir != ".") || finding.message.contains(&format!("of {name} "))
        })
    });
    // Exported pages are served by a web server of ours: the start command is not used.
    let blocking = blocking.filter(|finding| finding.code != "export_with_server_start" || service.kind != Kind::Static || service.dockerfile.is_some());
    if let Some(finding) = blocking {
        return (false, format!("{}: {}", finding.code, finding.message));
    }
    if service.dockerfile.is_some() {
        return (true, "it has a Dockerfile".to_owned());
    }
    if let Err(what) = service.templated() {
        return (false, format!("there is no Dockerfile, and none can be made: {what}"));
    }
    if service.kind == Kind::Static {
        return (true, format!("static files of {}", service.build_facts.get("static.dir").map_or("the folder", String::as_str)));
    }
    match &service.start_command {
        Some(command) => (true, format!("{} with start command `{command}`", service.language)),
        None if matches!(service.language.as_str(), "go" | "php") => (true, format!("a {} program", service.language)),
        None => (false, "no start command was found".to_owned()),
    }
}
