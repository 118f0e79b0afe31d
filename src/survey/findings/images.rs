//! What Dockerfiles promise and the workspace does not keep; each rule is a row of the table.

use super::{Judge, cluster_name, host_of, serves};
use crate::survey::assemble;
use crate::survey::docker::{Dockerfile, Instruction, pairs};
use crate::survey::draft::Draft;
use crate::survey::leaks::{placeholder, with_password};
use crate::survey::python::urls;
use crate::survey::walk::{Presence, base_of, dir_of, join, within};
use crate::survey::workspace::Workspace;
use crate::survey::{Phase, Place, start, versions};
use std::collections::BTreeSet;

/// Every Dockerfile that builds a service: the chosen one first, then those that name its folder or lie in it.
pub(super) fn dockerfiles<'all>(workspace: &'all Workspace, draft: &Draft, drafts: &[Draft]) -> Vec<(&'all String, &'all Dockerfile)> {
    let service = &draft.service;
    let taken = |path: &String| drafts.iter().any(|other| other.service.name != service.name && other.service.dockerfile.as_ref() == Some(path));
    let folder = base_of(&service.dir).to_ascii_lowercase();
    let alone = drafts.iter().filter(|other| base_of(&other.service.dir).eq_ignore_ascii_case(&folder)).count() == 1;
    let names = |path: &str| path.to_ascii_lowercase().split(['/', '.', '-', '_']).any(|word| word == folder);
    let own = |path: &String| {
        let beside = service.dir != "." && dir_of(path) == service.dir;
        let named = service.dir != "." && alone && names(path) && !within(path, &service.dir);
        (beside || named) && alone && !taken(path) && !assemble::for_development(path) && !assemble::decoy(dir_of(path))
    };
    let fits = |file: &Dockerfile| file.stages.iter().filter_map(|stage| versions::of_image(&stage.base)).any(|(language, _)| language == service.language);
    let mut out: Vec<_> = workspace.dockerfiles.iter().filter(|(path, file)| service.dockerfile.as_ref() == Some(path) || (own(path) && fits(file))).collect();
    out.sort_by_key(|(path, _)| service.dockerfile.as_ref() != Some(path));
    out
}

/// Images that bring neither curl nor wget, and those that bring no curl.
fn lacks(base: &str, program: &str) -> bool {
    let name = base.rsplit('/').next().unwrap_or_default();
    let official = ["python:", "node:", "ruby:", "golang:", "debian:", "ubuntu:"].iter().any(|head| name.starts_with(head));
    let bare = name.contains("slim") || name.starts_with("debian:") || name.starts_with("ubuntu:");
    official && (bare || (program == "curl" && name.contains("alpine")))
}

/// Installs that fail without a lockfile: the words of the command, and the lockfiles that satisfy it.
const FROZEN: &[(&[&str], &[&str])] = &[
    (&["npm ci"], &["package-lock.json", "npm-shrinkwrap.json"]),
    (&["pnpm", "--frozen-lockfile"], &["pnpm-lock.yaml"]),
    (&["yarn", "--immutable"], &["yarn.lock"]),
    (&["bun", "--frozen-lockfile"], &["bun.lock", "bun.lockb"]),
    (&["uv sync", "--locked"], &["uv.lock"]),
    (&["uv sync", "--frozen"], &["uv.lock"]),
    (&["cargo", "--locked"], &["Cargo.lock"]),
];

/// What a build runs, not the program.
const BUILDERS: &[&str] = &[
    "typescript",
    "vite",
    "webpack",
    "esbuild",
    "rollup",
    "tsup",
    "parcel",
    "turbo",
    "tailwindcss",
    "@tailwindcss",
    "postcss",
    "autoprefixer",
    "sass",
    "@vitejs",
    "@babel",
    "@angular",
    "@sveltejs",
    "@nestjs",
    "svelte",
    "next",
    "nuxt",
    "astro",
    "react-scripts",
    "swc",
    "@swc",
    "babel",
    "less",
    "prisma",
];

/// What is asked of a database before the program itself starts.
const MIGRATIONS: &[&str] = &[
    "alembic upgrade",
    "manage.py migrate",
    "prisma migrate deploy",
    "prisma db push",
    "flask db upgrade",
    "typeorm migration:run",
    "knex migrate",
    "sequelize db:migrate",
    "rails db:migrate",
    "rake db:migrate",
    "artisan migrate",
];

impl Judge<'_> {
    pub(super) fn dockerfile(&mut self, draft: &Draft, path: &str, file: &Dockerfile) {
        let name = draft.service.name.as_str().to_owned();
        let context = self.context(path);
        self.copies(draft, path, file, &context);
        self.frozen(draft, path, file, &context);
        self.ignored(path, file, &context);
        self.user(&name, path, file);
        self.versions(draft, path, file);
        self.command(draft, &name, path, file);
        self.written(draft, path, file);
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
        let written = self.workspace.commands.builds.iter().find_map(|build| {
            let file = build.file.trim_start_matches("./").trim_start_matches("../");
            let context = build.context.trim_start_matches("./").trim_end_matches('/');
            let context = if context.is_empty() { "." } else { context };
            // Documents are read as if they stood at the root; what does not fit that is not used.
            (path == file && !context.starts_with("..") && self.workspace.tree.has_folder(context)).then(|| context.to_owned())
        });
        let own = dir_of(path);
        let sources = self.workspace.dockerfiles.get(path).map(Dockerfile::copies).unwrap_or_default();
        let there = |dir: &str, source: &str| {
            source.contains(['*', '?', '[', '$', ':']) || self.workspace.tree.presence(&join(dir, source.trim_start_matches('/'))) == Presence::Tracked
        };
        let fits = |dir: &str| sources.iter().filter(|(source, _)| there(dir, source)).count();
        // What is written elsewhere may be out of date: a Dockerfile whose own folder has all that it copies is built there.
        let fitting = |context: &String| fits(context) == sources.len() || fits(own) < sources.len();
        from_compose.or(written).filter(fitting).unwrap_or_else(|| {
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

    fn copies(&mut self, draft: &Draft, path: &str, file: &Dockerfile, context: &str) {
        let name = draft.service.name.as_str();
        let all = file.copies();
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
                && [context, draft.service.dir.as_str()].iter().all(|dir| self.workspace.tree.presence(&join(dir, "public")) != Presence::Tracked)
                && self.workspace.tree.has(&join(&draft.service.dir, "package.json"))
            {
                self.add("copies_missing_public", name, vec![Place::new(path, copy.line, &copy.rest)]);
            }
        }
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
        let browser: Vec<String> = draft.service.env.iter().filter(|read| read.phases.contains(&Phase::Browser)).map(|read| read.name.to_string()).collect();
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
        // Only where something that builds is among them.
        let manifest = self.workspace.json(&join(&draft.service.dir, "package.json")).unwrap_or_default();
        let development = manifest.get("devDependencies").and_then(serde_json::Value::as_object);
        let typed = self.workspace.tree.has(&join(&draft.service.dir, "tsconfig.json"));
        let needed = development.is_some_and(|map| {
            map.keys().any(|name| BUILDERS.iter().any(|tool| name == tool || name.starts_with(&format!("{tool}/"))) || (typed && name.starts_with("@types/")))
        });
        if needed && !relevant.is_empty() && relevant.iter().all(|run| omits(&run.rest)) {
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
        for module in ["requests", "httpx"] {
            if draft.service.language == "python" && check.rest.contains(&format!("import {module}")) && !draft.service.depends_on(module) {
                self.add("healthcheck_needs_missing_module", module, place.clone());
            }
        }
        for program in ["curl", "wget"] {
            let installs = file
                .lineage()
                .iter()
                .flat_map(|stage| stage.instructions.iter())
                .any(|run| matches!(run.name.as_str(), "RUN" | "COPY") && run.rest.contains(program));
            let asked = check.rest.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|word| word == program);
            // `wget … || curl …` is content with either.
            if asked && !installs && lacks(file.base(), program) && !(check.rest.contains("curl") && check.rest.contains("wget")) {
                self.add("healthcheck_needs_missing_module", program, place.clone());
            }
        }
        let asked = urls(&check.rest).into_iter().find_map(|url| crate::survey::calls::split(&url).map(|(_, _, path)| path.unwrap_or_else(|| "/".to_owned())));
        let Some(asked) = asked else { return };
        let clean = asked.trim_end_matches(['\'', '"', ')', ']']).to_owned();
        if serves(self.workspace, draft, &clean) == Some(false) {
            self.add("healthcheck_path_missing", &clean, place);
        }
    }

    /// An install that demands a lockfile, where neither the context nor the service has one.
    fn frozen(&mut self, draft: &Draft, path: &str, file: &Dockerfile, context: &str) {
        for run in file.all("RUN") {
            let Some((_, locks)) = FROZEN.iter().find(|(words, _)| words.iter().all(|word| run.rest.contains(word)) && !run.rest.contains("||")) else {
                continue;
            };
            let mut dirs = vec![".", context, draft.service.dir.as_str()];
            dirs.extend(draft.service.build_facts.get("workspace.root").map(String::as_str));
            let here = dirs.iter().any(|dir| locks.iter().any(|lock| self.workspace.tree.presence(&join(dir, lock)) == Presence::Tracked));
            if !here {
                return self.add("frozen_install_without_lockfile", draft.service.name.as_str(), vec![Place::new(path, run.line, &run.rest)]);
            }
        }
    }

    /// What is copied, and kept out of the context by .dockerignore.
    fn ignored(&mut self, path: &str, file: &Dockerfile, context: &str) {
        let own = format!("{path}.dockerignore");
        let list = if self.workspace.tree.has(&own) { own } else { join(context, ".dockerignore") };
        let Some(text) = self.workspace.text(&list) else { return };
        let patterns: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
        let mut builder = ignore::gitignore::GitignoreBuilder::new("");
        for pattern in &patterns {
            let (sign, body) = pattern.strip_prefix('!').map_or(("", *pattern), |body| ("!", body));
            let body = body.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/');
            if builder.add_line(None, &format!("{sign}/{body}")).is_err() {
                return;
            }
        }
        let Ok(matcher) = builder.build() else { return };
        for (source, line) in file.copies() {
            let clean = source.trim_start_matches("./").trim_start_matches('/').trim_end_matches('/').to_owned();
            if clean.is_empty() || clean == "." || clean.contains(['*', '?', '[', '$', ':']) || clean.starts_with("..") {
                continue;
            }
            let full = join(context, &clean);
            let folder = !self.workspace.tree.has(&full);
            let excepted = patterns
                .iter()
                .any(|pattern| pattern.starts_with('!') && (pattern.contains('*') || within(pattern.trim_start_matches(['!', '/', '.']), &clean)));
            if self.workspace.tree.presence(&full) == Presence::Tracked && !excepted && matcher.matched_path_or_any_parents(&clean, folder).is_ignore() {
                self.add("copy_source_ignored", &full, vec![Place::new(path, line, &format!("COPY {source}")), Place::file(list.clone())]);
            }
        }
    }

    /// Packages in the home of root, and a user that is not root.
    fn user(&mut self, name: &str, path: &str, file: &Dockerfile) {
        let stranger = file.user().is_some_and(|user| !matches!(user.rest.split(':').next(), Some("root" | "0")));
        let lineage = file.lineage();
        let instructions = || lineage.iter().flat_map(|stage| stage.instructions.iter());
        let opened = instructions().any(|run| run.name == "RUN" && run.rest.contains("/root") && (run.rest.contains("chmod") || run.rest.contains("chown")));
        let copied = instructions().find(|copy| {
            let words: Vec<&str> = copy.rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            copy.name == "COPY"
                && words.last().is_some_and(|into| into.trim_start_matches('/').split('/').next() == Some("root"))
                && words.first().is_some_and(|from| from.contains("/.local"))
        });
        let installed = instructions().find(|run| run.name == "RUN" && run.rest.contains("pip install") && run.rest.contains("--user"));
        let before = |run: &&Instruction| file.user().is_some_and(|user| run.line < user.line);
        if let (true, false, Some(shown)) = (stranger, opened, copied.or_else(|| installed.filter(before))) {
            self.add("root_local_unreadable", name, vec![Place::new(path, shown.line, &shown.rest)]);
        }
    }

    /// The version that the manifest demands against the one of the image.
    fn versions(&mut self, draft: &Draft, path: &str, file: &Dockerfile) {
        let key = match draft.service.language.as_str() {
            "python" => "requires-python",
            "node" => "engines.node",
            _ => return,
        };
        let Some(range) = draft.service.build_facts.get(key) else { return };
        for stage in &file.stages {
            let Some((language, version)) = versions::of_image(&stage.base) else { continue };
            if language == draft.service.language && !version.is_empty() && admits(range, &version) == Some(false) {
                let what = format!("{} demands {language} {range}, and its Dockerfile builds on {version}", draft.service.name.as_str());
                self.add("declared_version_differs_from_image", &what, vec![Place::new(path, stage.line, &format!("FROM {}", stage.base))]);
                return;
            }
        }
    }

    /// What the container runs: its port against EXPOSE, and migrations before it.
    fn command(&mut self, draft: &Draft, name: &str, path: &str, file: &Dockerfile) {
        let Some((command, line)) = file.command() else { return };
        let exposed = file.exposed();
        if let (Some(port), false) = (start::parse(&command).port, exposed.is_empty())
            && !exposed.iter().any(|(known, _)| *known == port)
            && !command.contains('$')
        {
            let (other, at) = exposed.first().copied().unwrap_or_default();
            let what = format!("the image of {name} exposes {other}, and its command listens on {port}");
            self.add("expose_differs_from_port", &what, vec![Place::new(path, at, &format!("EXPOSE {other}")), Place::new(path, line, &command)]);
        }
        let script =
            command.split_whitespace().map(|word| base_of(word.trim_matches(['"', '\'']))).find(|word| word.ends_with(".sh")).unwrap_or_default().to_owned();
        let text = self.workspace.texts.iter().find(|(path, _)| !script.is_empty() && base_of(path) == script && within(path, &draft.service.dir));
        if MIGRATIONS.iter().any(|word| command.contains(word)) {
            self.add("migrations_in_cmd", name, vec![Place::new(path, line, &command)]);
        } else if let Some((path, text)) = text
            && let Some((number, shown)) =
                text.lines().enumerate().find(|(_, line)| !line.trim_start().starts_with('#') && MIGRATIONS.iter().any(|word| line.contains(word)))
        {
            self.add("migrations_in_cmd", name, vec![Place::new(path.clone(), u32::try_from(number).unwrap_or(0) + 1, shown)]);
        }
    }

    /// Values that ARG and ENV write: secrets, and addresses that browsers will get.
    fn written(&mut self, draft: &Draft, path: &str, file: &Dockerfile) {
        for instruction in
            file.stages.iter().flat_map(|stage| stage.instructions.iter()).filter(|instruction| matches!(instruction.name.as_str(), "ARG" | "ENV"))
        {
            for (name, value) in pairs(&instruction.rest) {
                let value = if value.contains('$') { crate::survey::docker::interpolate(&value, &crate::survey::docker::Variables::default()) } else { value };
                let place = Place { file: path.to_owned(), line: instruction.line, text: String::new() };
                let secret = crate::secret::secret_name(&name) && !value.contains('$') && value.len() >= 6 && !placeholder(&value);
                if secret && (!value.contains("://") || with_password(&value)) {
                    self.add("secret_in_image", &format!("{name} in {path}"), vec![place.clone()]);
                }
                let browser = crate::survey::facts::browser_name(&name) && draft.service.language == "node";
                if browser
                    && !value.contains('$')
                    && let Some(host) = host_of(&value)
                {
                    let place = vec![Place::new(path, instruction.line, &instruction.rest)];
                    if cluster_name(&host) {
                        self.add("cluster_dns_baked_for_browser", &name, place);
                    } else if matches!(host.as_str(), "localhost" | "127.0.0.1") {
                        self.add("localhost_baked", &name, place);
                    }
                }
            }
        }
    }
}

/// Whether a version is within a declared range; `None` where the range is not understood.
fn admits(range: &str, version: &str) -> Option<bool> {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        let core = text.trim().trim_start_matches('v').split(['-', '+']).next()?;
        core.split('.').take_while(|part| !matches!(*part, "*" | "x" | "X")).map(|part| part.parse().ok()).collect()
    };
    let have = numbers(version)?;
    // Only what both sides say is compared: 3.13 is not less than 3.13.2.
    let order =
        |wanted: &[u64]| have.iter().zip(wanted).find_map(|(have, wanted)| (have != wanted).then(|| have.cmp(wanted))).unwrap_or(std::cmp::Ordering::Equal);
    let one = |part: &str| -> Option<bool> {
        let part = part.trim();
        let sign = part.trim_end_matches(|letter: char| !matches!(letter, '<' | '>' | '=' | '^' | '~' | '!'));
        let wanted = numbers(part.get(sign.len()..)?)?;
        let length = if matches!(sign, "~=" | "~") { wanted.len().saturating_sub(1).max(1) } else { 1 };
        let prefix = |count: usize| have.iter().zip(&wanted).take(count).all(|(have, wanted)| have == wanted);
        Some(match sign {
            ">=" => order(&wanted).is_ge(),
            ">" => order(&wanted).is_ge(),
            "<=" => order(&wanted).is_le(),
            "<" => order(&wanted).is_lt(),
            "^" | "~=" => prefix(length) && order(&wanted).is_ge(),
            "~" => prefix(2) && order(&wanted).is_ge(),
            "" | "=" | "==" | "===" => prefix(wanted.len()),
            _ => true,
        })
    };
    let mut any = false;
    for choice in range.split("||") {
        let parts: Vec<&str> = if choice.contains(',') { choice.split(',').collect() } else { spaced(choice) };
        let mut all = true;
        for part in parts.iter().filter(|part| !part.trim().is_empty() && part.trim() != "*") {
            all &= one(part)?;
        }
        any |= all;
    }
    Some(any)
}

/// `>=18 <21` as two parts; `>= 18` as one.
fn spaced(choice: &str) -> Vec<&str> {
    let choice = choice.trim();
    let at = choice
        .char_indices()
        .skip(1)
        .find(|(at, letter)| matches!(letter, '<' | '>') && choice.get(..*at).is_some_and(|before| before.ends_with(' ')))
        .map(|(at, _)| at);
    at.map_or_else(|| vec![choice], |at| vec![choice.get(..at).unwrap_or_default(), choice.get(at..).unwrap_or_default()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_admit_what_they_say() {
        let check = |range: &str, version: &str, expect: Option<bool>| assert_eq!(admits(range, version), expect, "{version} in {range}");
        check(">=3.13", "3.11", Some(false));
        check(">=3.13", "3.13", Some(true));
        check(">=3.11,<4", "3.12", Some(true));
        check("^3.12", "3.11", Some(false));
        check("~=3.11", "3.13", Some(true));
        check("==3.12.*", "3.12", Some(true));
        check(">=3.11.4", "3.11", Some(true));
        check("18.x || 20.x", "20", Some(true));
        check(">=18 <21", "22", Some(false));
        check(">= 20.9", "20", Some(true));
        check("lts/*", "20", None);
    }

    #[test]
    fn values_of_arguments_are_split() {
        assert_eq!(pairs("A=b C=\"d\""), vec![("A".to_owned(), "b".to_owned()), ("C".to_owned(), "d".to_owned())]);
        assert_eq!(pairs("PORT 3000"), vec![("PORT".to_owned(), "3000".to_owned())]);
        assert_eq!(pairs("NAME"), vec![]);
    }
}
