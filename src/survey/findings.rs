//! What a careful reader would point out before anything is built: one table of codes, one rule each.

use super::docker::Dockerfile;
use super::draft::Draft;
use super::facts::{Facts, Value, find_line};
use super::walk::{Presence, base_of, dir_of, join, within};
use super::workspace::Workspace;
use super::{Kind, McpShape, McpTransport, Place, WorkspaceMcp, calls, start};
use crate::evidence::{Finding, Severity};
use std::collections::{BTreeMap, BTreeSet};

/// One row: code, severity, message, help. `{}` in the message is what the rule found.
struct Row {
    code: &'static str,
    severity: Severity,
    message: &'static str,
    help: &'static str,
}

const fn row(code: &'static str, severity: Severity, message: &'static str, help: &'static str) -> Row {
    Row { code, severity, message, help }
}

use Severity::{Blocker, Note, Warning};

/// Every finding that the survey knows.
const TABLE: &[Row] = &[
    row(
        "nothing_to_deploy",
        Blocker,
        "nothing in this folder can be built and run as a service{}",
        "name the folder that holds the application, or add a manifest with a start command (package.json, pyproject.toml, Procfile, …)",
    ),
    row("lockfile_missing", Warning, "{} has no lockfile, so two builds may install different versions", "create one with the package manager and commit it"),
    row("lockfile_gitignored", Blocker, "{} is ignored by git: a fresh clone lacks it", "take it out of .gitignore and commit it"),
    row(
        "standalone_missing_in_config",
        Blocker,
        "the Dockerfile of {} copies .next/standalone, but next.config does not set output: \"standalone\"",
        "add output: \"standalone\" to next.config",
    ),
    row(
        "next_standalone_off",
        Note,
        "{} does not set output: \"standalone\", so its image must carry all of node_modules",
        "add output: \"standalone\" to next.config for a much smaller image",
    ),
    row(
        "export_with_server_start",
        Blocker,
        "{} is exported as static files, but its start command runs a server that refuses to serve them",
        "remove output: \"export\", or serve the folder out/ as static files",
    ),
    row(
        "copies_missing_public",
        Blocker,
        "the Dockerfile of {} copies public/, which no fresh clone has",
        "commit the folder (a .gitkeep is enough) or remove the COPY",
    ),
    row("copy_source_missing", Blocker, "the Dockerfile copies {}, which no fresh clone has", "commit the file, or take it out of the COPY"),
    row(
        "secret_in_tracked_file",
        Blocker,
        "{} shows the value of a secret in a file that git tracks",
        "revoke it, remove it from the history, and read it from the environment",
    ),
    row(
        "secret_like_value_in_tracked_file",
        Warning,
        "{} holds what looks like the value of a secret",
        "if it is real, revoke it and read it from the environment; if not, use an obvious placeholder",
    ),
    row(
        "secret_default_in_code",
        Warning,
        "{} falls back to a value that is written in the code, where anybody can read it",
        "remove the default, and stop when the variable is missing",
    ),
    row("secret_value_in_values_yaml", Warning, "chart values hold a secret's value: {}", "leave it empty and reference an existing Secret"),
    row("listens_on_loopback", Blocker, "{} listens on loopback only: nothing outside its container can reach it", "listen on 0.0.0.0"),
    row(
        "localhost_baked",
        Warning,
        "{} is baked into what browsers load and points to localhost",
        "let the browser call its own origin and proxy on the server, or set the value at build time",
    ),
    row(
        "cluster_dns_baked_for_browser",
        Blocker,
        "{} is baked into what browsers load and points to a name that only the cluster resolves",
        "let the browser call its own origin and proxy on the server",
    ),
    row(
        "mcp_host_check_refuses_service_names",
        Blocker,
        "the MCP server of {} checks the Host header and accepts localhost only: a Service name gets 421",
        "pass host=\"0.0.0.0\" to the server object, or transport_security with the Service's name among allowed_hosts",
    ),
    row("entry_point_cannot_import", Blocker, "{} does not exist, so the start command fails", "correct the module in the start command"),
    row("latest_base", Warning, "the image {} is not pinned to a version", "name a version, better with its digest"),
    row("latest_tag", Warning, "an image is used by its mutable tag: {}", "name a version or a digest"),
    row(
        "mcp_name_only",
        Warning,
        "something is called MCP, but nothing speaks the protocol: {}",
        "serve it with an MCP SDK over streamable HTTP, or do not call it MCP",
    ),
    row("mcp_package_name_shadowed", Blocker, "the package {} of this repository shadows the MCP SDK of the same name", "rename the package"),
    row(
        "no_dockerignore",
        Warning,
        "the build context of {} has no .dockerignore, so local files and secrets may get into the image",
        "add a .dockerignore with .git, .env*, node_modules and virtual environments",
    ),
    row("root_user", Warning, "the image of {} runs as root", "add a numeric USER above 10000"),
    row("compiler_in_final", Warning, "the final image of {} carries a compiler", "install build tools in an earlier stage only"),
    row(
        "next_public_not_build_arg",
        Warning,
        "the Dockerfile of {} builds without the browser variables that the code reads",
        "declare an ARG for each before the build step",
    ),
    row(
        "devdeps_omitted_before_build",
        Blocker,
        "the Dockerfile of {} builds without development dependencies that the build needs",
        "install everything for the build and prune afterwards",
    ),
    row("healthcheck_path_missing", Warning, "the image's health check asks for {}, which no route serves", "ask for a route that exists"),
    row("healthcheck_needs_missing_module", Warning, "the image's health check needs {}, which is not installed", "use what the image has"),
    row("next_public_set_at_runtime", Warning, "a chart sets {} at run time, when it is already baked into the bundle", "pass it as a build argument instead"),
    row(
        "browser_var_points_to_cluster_dns",
        Blocker,
        "a chart gives browsers a name that only the cluster resolves: {}",
        "let the browser call its own origin and proxy on the server",
    ),
    row(
        "pvc_with_rollingupdate",
        Warning,
        "{} keeps its data on a claim but is replaced by rolling update: two pods would share it",
        "set strategy type Recreate",
    ),
    row("no_resources", Warning, "{} declares no resource requests and limits", "declare both"),
    row("no_readiness", Warning, "{} has no readiness probe", "add one on a route that the service serves"),
];

/// All findings of the workspace, by severity and code.
pub(crate) fn judge(workspace: &Workspace, drafts: &[Draft], mcp: &WorkspaceMcp) -> Vec<Finding> {
    let mut judge = Judge { workspace, found: BTreeMap::new() };
    if drafts.is_empty() {
        judge.add("nothing_to_deploy", "", vec![]);
    }
    for draft in drafts {
        judge.lockfile(draft);
        judge.next(draft);
        judge.loopback(draft);
        judge.browser(draft, drafts);
        judge.host_check(draft);
        judge.entry(draft);
        judge.shadow(draft);
        judge.secret_defaults(draft);
        if let Some((path, file)) = draft.service.dockerfile.as_ref().and_then(|path| workspace.dockerfiles.get(path).map(|file| (path, file))) {
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

impl Judge<'_> {
    fn add(&mut self, code: &str, what: &str, evidence: Vec<Place>) {
        let Some(row) = TABLE.iter().find(|row| row.code == code) else { return };
        let message = crate::secret::plain(&row.message.replace("{}", what), 300);
        let finding = Finding { code: row.code.to_owned(), severity: row.severity, message, help: row.help.to_owned(), evidence, fix: None };
        self.found.entry((row.severity, row.code, what.to_owned())).or_insert(finding);
    }

    fn fix(&mut self, code: &str, what: &str, fix: &str) {
        for ((_, known, subject), finding) in &mut self.found {
            if *known == code && subject == what {
                finding.fix = Some(fix.to_owned());
            }
        }
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

    fn next(&mut self, draft: &Draft) {
        if draft.service.framework.as_deref() != Some("nextjs") {
            return;
        }
        let name = draft.service.name.as_str().to_owned();
        let config = draft.service.build_facts.get("next.config").cloned();
        let place = config.map_or_else(|| Place::file(join(&draft.service.dir, "package.json")), Place::file);
        let file = draft.service.dockerfile.as_ref().and_then(|path| self.workspace.dockerfiles.get(path).map(|file| (path.clone(), file)));
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
        let copied = file.as_ref().and_then(|(path, file)| {
            let copy = file.all("COPY").find(|copy| copy.rest.contains(".next/standalone"))?;
            Some(Place::new(path.clone(), copy.line, &copy.rest))
        });
        match copied {
            Some(copied) => {
                self.add("standalone_missing_in_config", &name, vec![copied, place]);
                self.fix("standalone_missing_in_config", &name, "output: \"standalone\",");
            }
            None => {
                self.add("next_standalone_off", &name, vec![place]);
                self.fix("next_standalone_off", &name, "output: \"standalone\",");
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
        let bound_elsewhere = parsed.program == "gunicorn" && (command.contains(" -c ") || command.contains("--config") || command.contains("GUNICORN"));
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
                if written.is_some_and(loopback) || own || fastify {
                    self.add("listens_on_loopback", name, vec![Place::new(path.clone(), listen.line, &listen.text)]);
                }
            }
        }
    }

    fn reached(&self, draft: &Draft) -> Vec<(String, Facts)> {
        super::assemble::reachable(self.workspace, draft)
            .into_iter()
            .filter_map(|path| self.workspace.sources.get(&path).map(|facts| (path.clone(), facts.clone())))
            .collect()
    }

    fn browser(&mut self, draft: &Draft, drafts: &[Draft]) {
        let names: BTreeSet<String> =
            drafts.iter().flat_map(|other| [Some(other.service.name.as_str().to_owned()), other.service.compose_service.clone()]).flatten().collect();
        for (variable, url, place) in calls::browser_values(self.workspace, draft) {
            let Some((host, _, _)) = calls::split(&url) else { continue };
            let documented = base_of(&place.file).to_ascii_lowercase().starts_with("readme") || base_of(&place.file).contains("example");
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
        let files: Vec<(&str, &Facts)> = draft.sources.iter().filter_map(|path| self.workspace.sources.get(path).map(|facts| (path.as_str(), facts))).collect();
        for (path, read) in super::finish::reads(&files) {
            // An address without a password is no secret, whatever its variable is called.
            let known = read.default.as_deref().is_some_and(|default| default.len() >= 4 && !default.contains("://"));
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

    fn dockerfile(&mut self, draft: &Draft, path: &str, file: &Dockerfile) {
        let name = draft.service.name.as_str().to_owned();
        let context = self.context(path);
        self.copies(&name, path, file, &context);
        for stage in &file.stages {
            let own = file.stages.iter().any(|other| other.name.eq_ignore_ascii_case(&stage.base));
            let tag = stage.base.rsplit('/').next().unwrap_or_default();
            let floating = tag.ends_with(":latest") || (!tag.contains(':') && !stage.base.contains('@'));
            if floating && !own && !stage.base.is_empty() && stage.base != "scratch" && !stage.base.contains('$') {
                self.add("latest_base", &stage.base, vec![Place::new(path, stage.line, &format!("FROM {}", stage.base))]);
            }
        }
        for copy in file.all("COPY") {
            if let Some(image) = copy.rest.split_whitespace().find_map(|word| word.strip_prefix("--from=")).filter(|image| image.ends_with(":latest")) {
                self.add("latest_base", image, vec![Place::new(path, copy.line, &copy.rest)]);
            }
        }
        let unprivileged = ["nonroot", "unprivileged", "chiseled", "distroless"].iter().any(|word| file.base().contains(word));
        let root = file.user().is_none_or(|user| matches!(user.rest.split(':').next(), Some("root" | "0")));
        if root && !unprivileged {
            let line = file.last().map_or(0, |stage| stage.line);
            self.add("root_user", &name, vec![Place::new(path, line, &format!("FROM {}", file.last().map_or("", |stage| stage.base.as_str())))]);
        }
        let ignore = [join(&context, ".dockerignore"), format!("{path}.dockerignore")];
        if !ignore.iter().any(|file| self.workspace.tree.has(file)) && !file.copies().is_empty() {
            self.add("no_dockerignore", &name, vec![Place::file(path)]);
        }
        self.compiler(&name, path, file);
        self.build_step(draft, &name, path, file);
        self.health_check(draft, path, file);
    }

    /// The folder that a Dockerfile is built from.
    fn context(&self, path: &str) -> String {
        let from_compose =
            self.workspace.compose.iter().find_map(|service| service.build.as_ref().filter(|(_, file)| file == path).map(|(context, _)| context.clone()));
        from_compose.unwrap_or_else(|| {
            let own = dir_of(path);
            let sources = self.workspace.dockerfiles.get(path).map(Dockerfile::copies).unwrap_or_default();
            let fits = |dir: &str| {
                sources.iter().filter(|(source, _)| self.workspace.tree.presence(&join(dir, source.trim_start_matches('/'))) == Presence::Tracked).count()
            };
            // Where most sources are: the folder itself, or one of those above it.
            let mut best = (fits(own), own.to_owned());
            let mut dir = own.to_owned();
            while dir != "." {
                dir = dir_of(&dir).to_owned();
                let count = fits(&dir);
                if count > best.0 {
                    best = (count, dir.clone());
                }
            }
            best.1
        })
    }

    fn copies(&mut self, name: &str, path: &str, file: &Dockerfile, context: &str) {
        let mut globbed: BTreeMap<u32, bool> = BTreeMap::new();
        let all = file.copies();
        for (source, line) in &all {
            if source.contains('*') || source.contains('?') || source.contains('[') {
                *globbed.entry(*line).or_default() |= self.glob_exists(context, source);
            }
        }
        for (source, line) in &all {
            if source.contains(['*', '?', '[', '$']) || source.contains("://") || matches!(source.as_str(), "." | "./" | "/") {
                continue;
            }
            let full = join(context, source.trim_start_matches('/'));
            if self.workspace.tree.presence(&full) == Presence::Tracked {
                continue;
            }
            let place = vec![Place::new(path, *line, &format!("COPY {source}"))];
            if base_of(source.trim_end_matches('/')) == "public" {
                self.add("copies_missing_public", name, place);
            } else {
                self.add("copy_source_missing", &full, place);
            }
        }
        // `COPY --from=builder /app/public` where the builder copied a tree without it.
        for copy in file.all("COPY").filter(|copy| copy.rest.contains("--from=")) {
            let source = copy.rest.split_whitespace().find(|word| !word.starts_with("--")).unwrap_or_default();
            let folder = source.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let made = file.all("RUN").any(|run| run.rest.contains("mkdir") && run.rest.contains("public"));
            if folder == "public"
                && !made
                && self.workspace.tree.presence(&join(context, "public")) != Presence::Tracked
                && self.workspace.tree.has(&join(context, "package.json"))
            {
                self.add("copies_missing_public", name, vec![Place::new(path, copy.line, &copy.rest)]);
            }
        }
    }

    fn glob_exists(&self, context: &str, pattern: &str) -> bool {
        let head = pattern.split(['*', '?', '[']).next().unwrap_or_default();
        let start = if context == "." { head.to_owned() } else { format!("{context}/{head}") };
        self.workspace.tree.files.range(start.clone()..).next().is_some_and(|path| path.starts_with(&start))
    }

    fn compiler(&mut self, name: &str, path: &str, file: &Dockerfile) {
        let Some(last) = file.last() else { return };
        for run in last.instructions.iter().filter(|instruction| instruction.name == "RUN") {
            let words: BTreeSet<&str> = run.rest.split_whitespace().collect();
            let installs = run.rest.contains("apt-get install") || run.rest.contains("apk add") || run.rest.contains("apt install");
            let removed =
                run.rest.contains("apt-get purge") || run.rest.contains("apk del") || run.rest.contains("apt-get remove") || run.rest.contains("--virtual");
            if installs && !removed && ["gcc", "g++", "build-essential", "make", "build-base", "clang"].iter().any(|tool| words.contains(tool)) {
                self.add("compiler_in_final", name, vec![Place::new(path, run.line, &run.rest)]);
            }
        }
    }

    fn build_step(&mut self, draft: &Draft, name: &str, path: &str, file: &Dockerfile) {
        if draft.service.language != "node" {
            return;
        }
        let build = file.stages.iter().find_map(|stage| {
            stage
                .instructions
                .iter()
                .find(|run| {
                    run.name == "RUN" && ["run build", "next build", "yarn build", "vite build", "pnpm build"].iter().any(|word| run.rest.contains(word))
                })
                .map(|run| (stage, run))
        });
        let Some((stage, run)) = build else { return };
        let browser: Vec<String> =
            draft.service.env.iter().filter(|read| read.phases.contains(&super::Phase::Browser)).map(|read| read.name.to_string()).collect();
        let missing: Vec<&String> = browser.iter().filter(|variable| !file.declares(variable)).collect();
        let tracked_env =
            self.workspace.tree.under(&draft.service.dir).any(|path| matches!(base_of(path), ".env" | ".env.production" | ".env.production.local"));
        if !missing.is_empty() && missing.len() == browser.len() && !tracked_env {
            let mut places = vec![Place::new(path, run.line, &run.rest)];
            places.extend(
                draft
                    .service
                    .env
                    .iter()
                    .filter(|read| missing.iter().any(|name| *name == read.name.as_str()))
                    .flat_map(|read| read.evidence.iter().take(1).cloned())
                    .take(3),
            );
            self.add("next_public_not_build_arg", name, places);
        }
        let omits = |text: &str| ["--omit=dev", "--omit dev", "--only=production", "--production", "--prod"].iter().any(|flag| text.contains(flag));
        let installs = |text: &str| ["npm ci", "npm install", "npm i ", "yarn install", "pnpm install", "pnpm i "].iter().any(|word| text.contains(word));
        let mut lineage = vec![stage];
        while let Some(base) =
            lineage.last().and_then(|stage| file.stages.iter().find(|other| !other.name.is_empty() && other.name.eq_ignore_ascii_case(&stage.base)))
        {
            if lineage.len() > file.stages.len() {
                break;
            }
            lineage.push(base);
        }
        let copied = |from: &str| {
            lineage.iter().any(|stage| {
                stage.instructions.iter().any(|copy| copy.name == "COPY" && copy.rest.contains(&format!("--from={from}")) && copy.rest.contains("node_modules"))
            })
        };
        let relevant: Vec<_> = file
            .stages
            .iter()
            .filter(|other| lineage.iter().any(|own| std::ptr::eq(*own, *other)) || (!other.name.is_empty() && copied(&other.name)))
            .flat_map(|stage| stage.instructions.iter())
            .filter(|instruction| instruction.name == "RUN" && installs(&instruction.rest) && instruction.line <= run.line)
            .collect();
        if !relevant.is_empty() && relevant.iter().all(|run| omits(&run.rest)) {
            let places = relevant.iter().map(|run| Place::new(path, run.line, &run.rest)).collect();
            self.add("devdeps_omitted_before_build", name, places);
        }
    }

    fn health_check(&mut self, draft: &Draft, path: &str, file: &Dockerfile) {
        let Some(check) = file.last().and_then(|stage| {
            stage.instructions.iter().rfind(|instruction| instruction.name == "HEALTHCHECK" && !instruction.rest.eq_ignore_ascii_case("none"))
        }) else {
            return;
        };
        let place = vec![Place::new(path, check.line, &check.rest)];
        if draft.service.language == "python" && check.rest.contains("import requests") && !draft.service.depends_on("requests") {
            self.add("healthcheck_needs_missing_module", "requests", place.clone());
        }
        if draft.service.language == "python" && check.rest.contains("import httpx") && !draft.service.depends_on("httpx") {
            self.add("healthcheck_needs_missing_module", "httpx", place.clone());
        }
        let asked = super::python::urls(&check.rest).into_iter().find_map(|url| calls::split(&url).map(|(_, _, path)| path.unwrap_or_else(|| "/".to_owned())));
        let Some(asked) = asked else { return };
        let files: Vec<(&str, &Facts)> = draft.sources.iter().filter_map(|path| self.workspace.sources.get(path).map(|facts| (path.as_str(), facts))).collect();
        let routes = super::finish::full_routes(&files);
        let clean = asked.trim_end_matches(['\'', '"', ')', ']']).to_owned();
        let served = routes.iter().any(|(_, route, full)| {
            *full == clean || route.path == clean || full.contains(['{', '*', ':']) && full.matches('/').count() == clean.matches('/').count()
        });
        let understood = matches!(draft.service.framework.as_deref(), Some("fastapi" | "flask" | "express")) && !routes.is_empty();
        let next = draft.service.framework.as_deref() == Some("nextjs") && clean.starts_with("/api/");
        if (understood || next) && !served && clean != "/" && clean != "/docs" && clean != "/openapi.json" {
            self.add("healthcheck_path_missing", &clean, place);
        }
    }

    fn compose(&mut self) {
        for service in &self.workspace.compose.clone() {
            let Some(image) = service.image.as_ref().filter(|_| service.build.is_none()) else { continue };
            let tag = image.rsplit('/').next().unwrap_or_default();
            if !image.contains('$') && (tag.ends_with(":latest") || (!tag.contains(':') && !image.contains('@'))) {
                self.add("latest_tag", image, vec![Place::new(service.file.clone(), service.line, image)]);
            }
        }
    }

    fn charts(&mut self, drafts: &[Draft]) {
        let dirs: Vec<String> = self
            .workspace
            .tree
            .files
            .iter()
            .filter(|path| base_of(path) == "Chart.yaml" && !path.split('/').any(|part| part.starts_with('.')))
            .map(|path| dir_of(path).to_owned())
            .collect();
        let services: BTreeSet<String> = drafts.iter().map(|draft| draft.service.name.as_str().to_owned()).collect();
        for (path, text) in &self.workspace.texts {
            let Some(dir) = dirs.iter().find(|dir| within(path, dir)) else { continue };
            let name = base_of(path);
            let is_values = name.starts_with("values") && (name.ends_with(".yaml") || name.ends_with(".yml"));
            let is_template = within(path, &join(dir, "templates"));
            if is_values || is_template {
                self.chart_lines(path, text, is_values, &services);
            }
            if is_template {
                self.chart_template(path, text);
            }
        }
    }

    fn chart_lines(&mut self, path: &str, text: &str, values: bool, services: &BTreeSet<String>) {
        let mut pending: Option<String> = None;
        for (number, line) in text.lines().enumerate() {
            let place = || Place::new(path, u32::try_from(number).unwrap_or(0) + 1, line);
            let Some((key, value)) = line.split_once(':') else { continue };
            let key = key.trim().trim_start_matches("- ").trim_matches(['"', '\'']);
            let value = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            if line.trim_start().starts_with('#') {
                continue;
            }
            if (key == "tag" && value == "latest") || (key == "image" && value.ends_with(":latest")) {
                self.add("latest_tag", path, vec![place()]);
            }
            if values
                && crate::secret::secret_name(&super::leaks::snake(key))
                && !value.is_empty()
                && !value.starts_with(['{', '[', '&', '$', '~'])
                && !matches!(value, "true" | "false" | "null")
            {
                let shown = Place { file: path.to_owned(), line: u32::try_from(number).unwrap_or(0) + 1, text: String::new() };
                self.add("secret_value_in_values_yaml", &format!("{key} in {path}"), vec![shown]);
            }
            let named = if key == "name" { value.to_owned() } else { key.to_owned() };
            let browser = |name: &str| ["NEXT_PUBLIC_", "VITE_", "REACT_APP_"].iter().any(|prefix| name.starts_with(prefix)) || name.starts_with("nextPublic");
            if browser(&named) {
                self.add("next_public_set_at_runtime", &named, vec![place()]);
                pending = Some(named.clone());
            } else if key != "value" && key != "valueFrom" {
                pending = None;
            }
            let target = if browser(&named) { Some(named) } else { pending.clone() };
            if let Some(variable) = target
                && let Some(host) = super::python::urls(line).into_iter().find_map(|url| calls::split(&url).map(|(host, _, _)| host))
                && (services.contains(&host)
                    || host.ends_with(".svc.cluster.local")
                    || (!host.contains('.') && host != "localhost")
                    || host.ends_with("-service")
                    || host.ends_with("-backend"))
            {
                self.add("browser_var_points_to_cluster_dns", &variable, vec![place()]);
            }
        }
    }

    fn chart_template(&mut self, path: &str, text: &str) {
        // Only what the file itself writes is judged: a container that a named template gives is not known here.
        let declared = text.lines().any(|line| line.starts_with("kind: Deployment"));
        let written = text.split_once("containers:").is_some_and(|(_, rest)| rest.trim_start().starts_with('-'));
        if !declared || !written {
            return;
        }
        let (line, shown) = find_line(text, "kind: Deployment");
        let place = vec![Place::new(path, line, shown)];
        let delegated = text.contains("toYaml .Values") || text.contains("include \"");
        if !text.contains("resources:") {
            self.add("no_resources", path, place.clone());
        }
        let probed = text.contains("readinessProbe") || (delegated && text.contains("robe"));
        if !probed {
            self.add("no_readiness", path, place.clone());
        }
        if text.contains("persistentVolumeClaim") && !text.contains("Recreate") && !text.contains(".strategy") {
            self.add("pvc_with_rollingupdate", path, place);
        }
    }
}

/// Whether a service can be containerized, and why (not).
pub(crate) fn ready(draft: &Draft, findings: &[Finding]) -> (bool, String) {
    const KNOWN: &[&str] = &["node", "python", "static", "go", "rust", "java", "ruby", "php", "csharp", "elixir", "deno"];
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
                | "lockfile_gitignored"
        ) && finding.evidence.iter().any(|place| {
            let own = service.dockerfile.as_deref() == Some(&place.file) || service.evidence.get("start_command").is_some_and(|places| places.contains(place));
            own || (within(&place.file, &service.dir) && service.dir != ".") || finding.message.contains(&format!("of {name} "))
        })
    });
    if let Some(finding) = blocking {
        return (false, format!("{}: {}", finding.code, finding.message));
    }
    if service.dockerfile.is_some() {
        return (true, "it has a Dockerfile".to_owned());
    }
    if !KNOWN.contains(&service.language.as_str()) {
        return (false, format!("there is no Dockerfile, and none can be made for {}", service.language));
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
