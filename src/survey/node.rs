//! Node, Bun and Deno: package.json, lockfiles and workspaces become services.

use super::draft::Draft;
use super::facts::find_line;
use super::walk::{base_of, dir_of, join};
use super::workspace::Workspace;
use super::{Kind, Place, start};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// A framework: package, name, what it makes, default port, folder of a static build.
struct Framework {
    package: &'static str,
    name: &'static str,
    kind: Kind,
    port: Option<u16>,
    out: Option<&'static str>,
}

const fn framework(package: &'static str, name: &'static str, kind: Kind, port: Option<u16>, out: Option<&'static str>) -> Framework {
    Framework { package, name, kind, port, out }
}

/// First match wins: the more particular come first.
const FRAMEWORKS: &[Framework] = &[
    framework("next", "nextjs", Kind::Web, Some(3000), None),
    framework("nuxt", "nuxt", Kind::Web, Some(3000), None),
    framework("nuxt3", "nuxt", Kind::Web, Some(3000), None),
    framework("@tanstack/react-start", "tanstack-start", Kind::Web, Some(3000), None),
    framework("@tanstack/solid-start", "tanstack-start", Kind::Web, Some(3000), None),
    framework("@remix-run/serve", "remix", Kind::Web, Some(3000), None),
    framework("@remix-run/node", "remix", Kind::Web, Some(3000), None),
    framework("@react-router/dev", "react-router", Kind::Web, Some(3000), None),
    framework("@sveltejs/kit", "sveltekit", Kind::Web, Some(3000), None),
    framework("@solidjs/start", "solidstart", Kind::Web, Some(3000), None),
    framework("@builder.io/qwik-city", "qwik-city", Kind::Web, Some(3000), None),
    framework("@analogjs/platform", "analog", Kind::Web, Some(3000), None),
    framework("astro", "astro", Kind::Static, None, Some("dist")),
    framework("@docusaurus/core", "docusaurus", Kind::Static, None, Some("build")),
    framework("vitepress", "vitepress", Kind::Static, None, Some(".vitepress/dist")),
    framework("@11ty/eleventy", "eleventy", Kind::Static, None, Some("_site")),
    framework("gatsby", "gatsby", Kind::Static, None, Some("public")),
    framework("@angular/ssr", "angular", Kind::Web, None, Some("dist")),
    framework("@nestjs/core", "nestjs", Kind::Api, Some(3000), None),
    framework("@strapi/strapi", "strapi", Kind::Web, Some(1337), None),
    framework("@keystone-6/core", "keystone", Kind::Web, Some(3000), None),
    framework("@medusajs/medusa", "medusa", Kind::Api, Some(9000), None),
    framework("@adonisjs/core", "adonisjs", Kind::Web, Some(3333), None),
    framework("@loopback/rest", "loopback", Kind::Api, Some(3000), None),
    framework("@feathersjs/feathers", "feathers", Kind::Api, Some(3030), None),
    framework("sails", "sails", Kind::Web, Some(1337), None),
    framework("@redwoodjs/core", "redwood", Kind::Web, Some(8910), None),
    framework("nitropack", "nitro", Kind::Api, Some(3000), None),
    framework("fastify", "fastify", Kind::Api, None, None),
    framework("express", "express", Kind::Api, None, None),
    framework("@hapi/hapi", "hapi", Kind::Api, None, None),
    framework("koa", "koa", Kind::Api, None, None),
    framework("elysia", "elysia", Kind::Api, Some(3000), None),
    framework("hono", "hono", Kind::Api, None, None),
    framework("restify", "restify", Kind::Api, None, None),
    framework("polka", "polka", Kind::Api, None, None),
    framework("@apollo/server", "apollo", Kind::Api, None, None),
    framework("@grpc/grpc-js", "grpc", Kind::Api, None, None),
    framework("grpc", "grpc", Kind::Api, None, None),
    framework("@angular/core", "angular", Kind::Static, None, Some("dist")),
    framework("react-scripts", "create-react-app", Kind::Static, None, Some("build")),
    framework("@vue/cli-service", "vue-cli", Kind::Static, None, Some("dist")),
    framework("vite", "vite", Kind::Static, None, Some("dist")),
    framework("ember-cli", "ember", Kind::Static, None, Some("dist")),
    framework("@rsbuild/core", "rsbuild", Kind::Static, None, Some("dist")),
    framework("parcel", "parcel", Kind::Static, None, Some("dist")),
];

/// What builds an application of a framework whose package.json has no script for it, as in workspaces whose tool knows by itself.
const STANDARD_BUILDS: &[(&str, &str)] = &[
    ("angular", "ng build"),
    ("astro", "astro build"),
    ("create-react-app", "react-scripts build"),
    ("nextjs", "next build"),
    ("nuxt", "nuxt build"),
    ("sveltekit", "vite build"),
    ("vite", "vite build"),
    ("vue-cli", "vue-cli-service build"),
];

/// The service of a folder with a package.json; `None` for libraries and tools.
pub(crate) fn drafts(workspace: &Workspace, dir: &str, lenient: bool) -> Vec<Draft> {
    let path = join(dir, "package.json");
    let Some(package) = workspace.json(&path) else { return Vec::new() };
    let node = Package { workspace, dir, path: &path, json: &package };
    node.draft(lenient).into_iter().collect()
}

/// What stands between the braces after a key; the same word on another level means nothing.
fn settings_of<'text>(text: &'text str, key: &str) -> &'text str {
    let Some((_, rest)) = text.split_once(key) else { return "" };
    let mut depth = 0_u32;
    for (at, letter) in rest.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth <= 1 => return rest.get(..at).unwrap_or(rest),
            '}' => depth -= 1,
            _ => {}
        }
    }
    rest
}

/// How pages beside a program of another language are built, where a package.json has a build for them.
pub(crate) fn pages(workspace: &Workspace, dir: &str) -> Option<super::Service> {
    let path = join(dir, "package.json");
    let json = workspace.json(&path)?;
    let package = Package { workspace, dir, path: &path, json: &json };
    package.script("build")?;
    let mut draft = Draft::new(dir, "node", Kind::Static);
    package.package_manager(&mut draft);
    package.version(&mut draft);
    Some(draft.service)
}

struct Package<'all> {
    workspace: &'all Workspace,
    dir: &'all str,
    path: &'all str,
    json: &'all Json,
}

impl Package<'_> {
    fn script(&self, name: &str) -> Option<&str> {
        self.json.get("scripts")?.get(name)?.as_str().filter(|text| !text.trim().is_empty())
    }

    fn place(&self, needle: &str) -> Place {
        let (line, text) = find_line(self.workspace.text(self.path).unwrap_or_default(), needle);
        Place::new(self.path, line, text)
    }

    fn dependencies(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for group in ["dependencies", "devDependencies", "optionalDependencies"] {
            for (name, version) in self.json.get(group).and_then(Json::as_object).into_iter().flatten() {
                all.entry(name.to_ascii_lowercase()).or_insert_with(|| version.as_str().unwrap_or_default().to_owned());
            }
        }
        all
    }

    fn draft(&self, lenient: bool) -> Option<Draft> {
        let declared = self.dependencies();
        let sources = self.sources();
        let facts: Vec<&super::facts::Facts> = self.workspace.facts(&sources).map(|(_, facts)| facts).collect();
        let vite_app = self.workspace.first_in(self.dir, &["index.html"]).is_some() || self.workspace.tree.has(&join(self.dir, "src/index.html"));
        // A client of gRPC needs its package as well.
        let answers = |facts: &super::facts::Facts| facts.grpc_health.is_some() || facts.listens.iter().any(|listen| listen.protocol == "grpc");
        let fits = |framework: &&Framework| match framework.name {
            "vite" => vite_app || self.script("start").is_some(),
            "grpc" => facts.iter().copied().any(answers),
            _ => true,
        };
        let found = FRAMEWORKS.iter().filter(|framework| declared.contains_key(framework.package)).find(fits);
        let listens = facts.iter().any(|facts| !facts.listens.is_empty());
        let mcp_http = facts.iter().any(|facts| facts.mcp_runs.iter().any(|run| run.transport != Some("stdio")));
        let members = self.is_workspace_root();
        let server_library = found.is_some_and(|framework| framework.kind == Kind::Api);
        let app = match found {
            Some(_) if server_library => listens || self.script("start").is_some(),
            Some(_) => true,
            None => listens || mcp_http,
        };
        // A root that only holds what its members share.
        let own = |path: &&String| !base_of(path).contains(".config.") && !base_of(path).starts_with('.');
        let holds = members && !sources.iter().any(|path| own(&path)) && self.script("start").is_none() && self.script("build").is_none();
        let certain = app && !(members && found.is_none()) && !holds;
        if !certain && !lenient {
            return None;
        }
        let mut draft = Draft::new(self.dir, "node", found.map_or(Kind::Api, |framework| framework.kind));
        draft.certain = certain;
        draft.manifest_name = self.json.get("name").and_then(Json::as_str).map(|name| name.rsplit('/').next().unwrap_or(name).to_owned());
        draft.shows("language", self.place("\"name\""));
        draft.sources = sources;
        self.package_manager(&mut draft);
        self.version(&mut draft);
        self.framework(&mut draft, found, &declared);
        self.locked(&mut draft, declared);
        self.commands(&mut draft, found);
        self.next_facts(&mut draft);
        self.ports(&mut draft, found);
        // Nothing to start and nothing that a build would make: a library, unless it is all there is.
        let alone =
            lenient && !members && self.dir == "." && !self.workspace.tree.files.iter().any(|path| base_of(path) == "package.json" && path != self.path);
        if draft.service.start_command.is_none() && draft.service.kind != Kind::Static && !certain && !alone {
            return None;
        }
        Some(draft)
    }

    /// Script files of this package, without those of packages below it.
    fn sources(&self) -> Vec<String> {
        let nested: BTreeSet<&str> =
            self.workspace.tree.under(self.dir).filter(|path| path.ends_with("/package.json") && dir_of(path) != self.dir).map(dir_of).collect();
        let inside = |path: &str| !super::walk::below_one(path, self.dir, &nested);
        let scripts = |path: &str| {
            [".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte", ".astro", "bin/www"].iter().any(|tail| path.ends_with(tail))
        };
        let own = |path: &&str| scripts(path) && inside(path) && !super::assemble::beside(path, self.dir);
        self.workspace.sources_under(self.dir).filter(own).map(str::to_owned).collect()
    }

    fn is_workspace_root(&self) -> bool {
        self.json.get("workspaces").is_some() || self.workspace.first_in(self.dir, &["pnpm-workspace.yaml", "turbo.json", "nx.json", "lerna.json"]).is_some()
    }

    /// The folder whose lockfile holds: the package's own, or that of the workspace it is a member of.
    fn lock_home(&self) -> Option<(String, &'static str)> {
        const LOCKS: &[(&str, &str)] = &[
            ("pnpm-lock.yaml", "pnpm"),
            ("bun.lock", "bun"),
            ("bun.lockb", "bun"),
            ("yarn.lock", "yarn"),
            ("package-lock.json", "npm"),
            ("npm-shrinkwrap.json", "npm"),
        ];
        let mut dir = self.dir.to_owned();
        loop {
            let root = dir == self.dir || {
                let package = self.workspace.json(&join(&dir, "package.json"));
                package.is_some_and(|package| package.get("workspaces").is_some())
                    || self.workspace.first_in(&dir, &["pnpm-workspace.yaml", "nx.json", "lerna.json", "turbo.json"]).is_some()
            };
            if root
                && let Some((file, manager)) = LOCKS.iter().map(|(file, manager)| (join(&dir, file), *manager)).find(|(file, _)| self.workspace.tree.has(file))
            {
                return Some((file, manager));
            }
            if dir == "." {
                return None;
            }
            dir = dir_of(&dir).to_owned();
        }
    }

    fn package_manager(&self, draft: &mut Draft) {
        let lock = self.lock_home();
        let declared = self.json.get("packageManager").and_then(Json::as_str).and_then(|text| text.split('@').next()).map(str::to_owned);
        let engine =
            self.json.get("engines").and_then(Json::as_object).and_then(|engines| ["bun", "pnpm", "yarn"].into_iter().find(|name| engines.contains_key(*name)));
        let manager = match (&declared, &lock, engine) {
            (Some(name), _, _) => name.clone(),
            (None, Some((_, manager)), _) => (*manager).to_owned(),
            (None, None, Some(name)) => name.to_owned(),
            (None, None, None) => "npm".to_owned(),
        };
        let place = match (&declared, &lock) {
            (Some(_), _) => self.place("\"packageManager\""),
            (None, Some((file, _))) => Place::file(file.clone()),
            (None, None) => Place::file(self.path),
        };
        draft.shows("package_manager", place);
        let frozen = lock.is_some();
        let install = match (manager.as_str(), frozen) {
            ("npm", true) => "npm ci",
            ("npm", false) => "npm install",
            ("pnpm", true) => "pnpm install --frozen-lockfile",
            ("pnpm", false) => "pnpm install",
            ("bun", true) => "bun install --frozen-lockfile",
            ("bun", false) => "bun install",
            ("yarn", true) if self.berry() => "yarn install --immutable",
            ("yarn", true) => "yarn install --frozen-lockfile",
            _ => "yarn install",
        };
        draft.service.install_command = Some(install.to_owned());
        if let Some((file, _)) = lock {
            if dir_of(&file) != self.dir {
                draft.fact("workspace.root", dir_of(&file));
            }
            draft.fact("lockfile", file);
        }
        // An installation reads the manifests of members, and of packages that lie in the project.
        let near = |version: &str| ["workspace:", "file:", "link:", "portal:"].iter().any(|scheme| version.starts_with(scheme));
        let listed = self.workspace.text(&join(self.dir, "pnpm-workspace.yaml")).is_some_and(|text| text.contains("packages:"));
        if listed || self.json.get("workspaces").is_some() || self.dependencies().values().any(|version| near(version)) {
            draft.fact("workspace.members", "true");
        }
        if let Some(version) = self.manager_version(&manager) {
            draft.fact("package_manager.version", version);
        }
        if manager == "yarn" && self.berry() {
            draft.fact("yarn.berry", "true");
            if self.workspace.tree.has_folder(&join(self.dir, ".yarn")) {
                draft.fact("yarn.folder", "true");
            }
        }
        draft.service.package_manager = Some(manager);
    }

    /// What the project declares of its package manager, as a registry takes it; else the series that wrote the lockfile, where a newer one refuses it.
    fn manager_version(&self, manager: &str) -> Option<String> {
        let root = self.lock_home().map_or_else(|| self.dir.to_owned(), |(file, _)| dir_of(&file).to_owned());
        let above = self.workspace.json(&join(&root, "package.json")).unwrap_or_default();
        let declared = |package: &Json| {
            let named = package.get("packageManager").and_then(Json::as_str).and_then(|text| text.strip_prefix(manager)?.strip_prefix('@'));
            let engine = || package.get("engines")?.get(manager)?.as_str();
            let version = named.and_then(|version| version.split('+').next()).or_else(engine)?.trim();
            version.starts_with(|letter: char| letter.is_ascii_digit()).then(|| version.trim_end_matches(".x").to_owned())
        };
        let locked = || {
            let (file, key, series): (_, _, &[(&str, &str)]) = match manager {
                "pnpm" => ("pnpm-lock.yaml", "lockfileVersion:", &[("5", "7"), ("6", "8")]),
                "yarn" => ("yarn.lock", "  version:", &[("4", "2"), ("5", "3"), ("6", "3")]),
                _ => return None,
            };
            // Yarn says it of the whole file first.
            let text = self.workspace.text(&join(&root, file)).filter(|text| manager != "yarn" || text.contains("\n__metadata:\n"))?;
            let format = text.lines().find_map(|line| line.strip_prefix(key))?.trim().trim_matches(['\'', '"']).split('.').next()?;
            series.iter().find(|(written, _)| *written == format).map(|(_, series)| (*series).to_owned())
        };
        declared(self.json).or_else(|| declared(&above)).or_else(locked)
    }

    /// Yarn 2 and later.
    fn berry(&self) -> bool {
        let declared = self.json.get("packageManager").and_then(Json::as_str).is_some_and(|text| text.starts_with("yarn@") && !text.starts_with("yarn@1"));
        declared || self.workspace.tree.has(&join(self.dir, ".yarnrc.yml")) || self.workspace.tree.has(".yarnrc.yml")
    }

    fn version(&self, draft: &mut Draft) {
        let root = draft.service.build_facts.get("workspace.root").cloned().unwrap_or_else(|| ".".to_owned());
        let homes = [self.dir, root.as_str(), "."];
        let files = homes.iter().flat_map(|home| [".nvmrc", ".node-version"].map(|name| join(home, name)));
        for file in files {
            if let Some(text) = self.workspace.text(&file)
                && let Some(series) = super::versions::series("node", text.trim())
            {
                draft.service.language_version = Some(series);
                return draft.shows("language_version", Place::new(file, 1, text.lines().next().unwrap_or_default()));
            }
        }
        // A member runs on what its workspace asks for, where it says nothing itself.
        let root = draft.service.build_facts.get("workspace.root").map(|root| join(root, "package.json"));
        for path in [Some(self.path.to_owned()), root].into_iter().flatten() {
            let package = self.workspace.json(&path).unwrap_or_default();
            let Some(spec) = package.get("engines").and_then(|engines| engines.get("node")).and_then(Json::as_str) else { continue };
            draft.fact("engines.node", spec);
            if let Some(series) = super::versions::series("node", spec) {
                draft.service.language_version = Some(series);
                let (line, shown) = find_line(self.workspace.text(&path).unwrap_or_default(), "\"node\"");
                draft.shows("language_version", Place::new(path, line, shown));
            }
            return;
        }
    }

    fn framework(&self, draft: &mut Draft, found: Option<&Framework>, declared: &BTreeMap<String, String>) {
        let Some(framework) = found else { return };
        let mut name = framework.name.to_owned();
        if name == "vite" {
            let flavour = [
                ("@vitejs/plugin-react", "react"),
                ("@vitejs/plugin-react-swc", "react"),
                ("@vitejs/plugin-vue", "vue"),
                ("@sveltejs/vite-plugin-svelte", "svelte"),
                ("@preact/preset-vite", "preact"),
                ("@builder.io/qwik", "qwik"),
                ("vite-plugin-solid", "solid"),
            ];
            if let Some((_, flavour)) = flavour.iter().find(|(package, _)| declared.contains_key(*package)) {
                name = format!("vite-{flavour}");
            }
        }
        draft.shows("framework", self.place(&format!("\"{}\"", framework.package)));
        draft.service.framework = Some(name);
    }

    /// Locked versions in place of declared ones, for what is declared.
    fn locked(&self, draft: &mut Draft, mut declared: BTreeMap<String, String>) {
        if let Some((file, "npm")) = self.lock_home()
            && dir_of(&file) == self.dir
            && let Some(text) = self.workspace.text(&file)
            && let Ok(lock) = serde_json::from_str::<NpmLock>(text)
        {
            for (name, version) in &mut declared {
                if let Some(locked) = lock.packages.get(&format!("node_modules/{name}")).and_then(|package| package.version.clone()) {
                    *version = locked;
                }
            }
        }
        draft.service.dependencies = declared;
    }

    fn commands(&self, draft: &mut Draft, found: Option<&Framework>) {
        let manager = draft.service.package_manager.clone().unwrap_or_else(|| "npm".to_owned());
        if self.script("build").is_some() {
            draft.service.build_command = Some(format!("{manager} run build"));
            draft.shows("build_command", self.place("\"build\""));
        } else if let Some((framework, (_, command))) =
            found.and_then(|framework| Some((framework, STANDARD_BUILDS.iter().find(|(name, _)| *name == framework.name)?)))
        {
            draft.service.build_command = Some((*command).to_owned());
            draft.shows("build_command", self.place(&format!("\"{}\"", framework.package)));
        }
        self.kind_of_build(draft, found);
        // `nest start` compiles first, with tools that are not installed for production.
        let name = if self.script("start").is_some_and(|script| script.trim().starts_with("nest start")) && self.script("start:prod").is_some() {
            "start:prod"
        } else {
            "start"
        };
        if let Some(script) = self.script(name) {
            let development = found.is_some_and(|framework| framework.kind == Kind::Static)
                && [
                    "react-scripts start",
                    "vue-cli-service serve",
                    "ng serve",
                    "vite",
                    "astro dev",
                    "gatsby develop",
                    "parcel",
                    "docusaurus start",
                    "vitepress dev",
                    "eleventy --serve",
                    "ember serve",
                    "ember s",
                    "rsbuild dev",
                ]
                .iter()
                .any(|dev| script.trim().starts_with(dev));
            if !development && draft.service.kind != Kind::Static {
                draft.fact("start.script", script);
                draft.start(format!("{manager} run {name}"), self.place(&format!("\"{name}\"")));
                draft.entry = start::parse(script).script.map(|script| join(self.dir, &script)).filter(|path| self.workspace.tree.has(path));
            } else if !development {
                // A script that serves a finished build, such as `serve -s dist` or `vite preview`.
                draft.fact("start.script", script);
                draft.start(format!("{manager} run start"), self.place("\"start\""));
            }
        }
        if draft.service.start_command.is_some() || draft.service.kind == Kind::Static {
            return;
        }
        let standard = match draft.service.framework.as_deref() {
            Some("nextjs") => Some("next start"),
            Some("tanstack-start") if !self.nitro() => Some("npx srvx --prod -s ../client dist/server/server.js"),
            Some("nuxt" | "tanstack-start" | "solidstart" | "nitro") => Some("node .output/server/index.mjs"),
            Some("analog") => Some("node dist/analog/server/index.mjs"),
            Some("astro") => Some("node dist/server/entry.mjs"),
            Some("adonisjs") => Some("node build/bin/server.js"),
            Some("strapi") => Some("strapi start"),
            Some("keystone") => Some("keystone start"),
            Some("sveltekit") => Some("node build/index.js"),
            Some("remix") => Some("remix-serve build/server/index.js"),
            Some("react-router") => Some("react-router-serve build/server/index.js"),
            Some("nestjs") => Some("node dist/main"),
            _ => None,
        };
        if let Some(command) = standard {
            return draft.start(command, self.place("\"scripts\""));
        }
        let runner = if manager == "bun" { "bun" } else { "node" };
        let main = self.json.get("main").and_then(Json::as_str).map(str::to_owned);
        let candidates = main.into_iter().chain(
            [
                "index.js",
                "server.js",
                "app.js",
                "main.js",
                "src/index.js",
                "src/server.js",
                "index.mjs",
                "server.mjs",
                "index.ts",
                "server.ts",
                "src/index.ts",
                "src/server.ts",
            ]
            .map(str::to_owned),
        );
        for file in candidates {
            let path = join(self.dir, &file);
            if self.workspace.tree.has(&path) {
                draft.entry = Some(path.clone());
                return draft.start(format!("{runner} {}", file.trim_start_matches("./")), Place::file(path));
            }
        }
    }

    /// A build that ends in Nitro's server.
    fn nitro(&self) -> bool {
        let declared = self.dependencies();
        let config = self.workspace.first_in(self.dir, &["vite.config.ts", "vite.config.js", "vite.config.mjs", "app.config.ts", "app.config.js"]);
        ["nitro", "nitropack", "vinxi", "@tanstack/nitro-v2-vite-plugin"].iter().any(|name| declared.contains_key(*name))
            || config.is_some_and(|path| self.workspace.text(&path).is_some_and(|text| text.contains("nitro")))
    }

    /// Static or served: what the configuration of the framework says.
    fn kind_of_build(&self, draft: &mut Draft, found: Option<&Framework>) {
        let Some(framework) = found else { return };
        let config = |heads: &[&str]| {
            heads
                .iter()
                .flat_map(|head| ["ts", "js", "mjs", "cjs", "mts"].map(|tail| format!("{head}.{tail}")))
                .map(|name| join(self.dir, &name))
                .find(|path| self.workspace.tree.has(path))
        };
        let served_by_code = self.workspace.facts(&draft.sources).any(|(_, facts)| facts.listens.iter().any(|listen| listen.by != "constant"));
        let mut out = framework.out.map(str::to_owned);
        match framework.name {
            "astro" => {
                let text = config(&["astro.config"]).and_then(|path| self.workspace.text(&path).map(str::to_owned)).unwrap_or_default();
                if text.contains("adapter:") || text.contains("output: \"server\"") || text.contains("output: 'server'") {
                    draft.service.kind = Kind::Web;
                    out = None;
                    // The adapter's own port; others set theirs elsewhere.
                    if self.dependencies().contains_key("@astrojs/node") {
                        draft.port(4321, "http", self.place("\"@astrojs/node\""));
                        draft.assumed_port = true;
                    }
                }
            }
            "nuxt" => {
                let generated = self.script("build").is_some_and(|script| script.contains("nuxt generate") || script.contains("nuxi generate"));
                if generated {
                    draft.service.kind = Kind::Static;
                    out = Some(".output/public".to_owned());
                }
            }
            "remix" => {
                let text = config(&["vite.config"]).and_then(|path| self.workspace.text(&path).map(str::to_owned)).unwrap_or_default();
                if text.contains("ssr: false") {
                    draft.service.kind = Kind::Static;
                    out = Some("build/client".to_owned());
                }
            }
            "sveltekit" if self.dependencies().contains_key("@sveltejs/adapter-static") => {
                draft.service.kind = Kind::Static;
                out = Some("build".to_owned());
            }
            "react-router" => {
                let text = config(&["react-router.config"]).and_then(|path| self.workspace.text(&path).map(str::to_owned)).unwrap_or_default();
                if text.contains("ssr: false") {
                    draft.service.kind = Kind::Static;
                    out = Some("build/client".to_owned());
                }
            }
            "angular" => {
                out = self.angular_out().or(out);
                if self.dependencies().contains_key("@angular/ssr") {
                    draft.service.kind = Kind::Web;
                    let folder = out.take().unwrap_or_default();
                    let folder = folder.trim_end_matches("/browser").to_owned();
                    draft.start(format!("node {folder}/server/server.mjs"), self.place("\"@angular/ssr\""));
                    draft.port(4000, "http", self.place("\"@angular/ssr\""));
                    draft.assumed_port = true;
                }
            }
            "vite" => {
                if let Some(path) = config(&["vite.config"]) {
                    let text = self.workspace.text(&path).unwrap_or_default();
                    if let Some((_, rest)) = settings_of(text, "build:").split_once("outDir:") {
                        out = rest.split(['"', '\'']).nth(1).map(str::to_owned).or(out);
                    }
                }
            }
            _ => {}
        }
        if framework.kind == Kind::Static && served_by_code && self.script("start").is_some_and(|script| start::parse(script).program == "node") {
            draft.service.kind = Kind::Web;
            out = None;
        }
        if let Some(out) = out.filter(|_| draft.service.kind == Kind::Static) {
            draft.fact("static.dir", out);
        }
    }

    fn angular_out(&self) -> Option<String> {
        let angular = self.workspace.json(&join(self.dir, "angular.json"))?;
        let (name, project) = angular.get("projects")?.as_object()?.iter().next()?;
        let build = project.get("architect").or_else(|| project.get("targets"))?.get("build")?;
        let path = match build.get("options")?.get("outputPath") {
            Some(Json::String(path)) => path.clone(),
            Some(other) => other.get("base")?.as_str()?.to_owned(),
            None => format!("dist/{name}"),
        };
        let application = build.get("builder").and_then(Json::as_str).is_some_and(|builder| builder.ends_with(":application"));
        Some(if application { format!("{path}/browser") } else { path })
    }

    fn next_facts(&self, draft: &mut Draft) {
        if draft.service.framework.as_deref() != Some("nextjs") {
            return;
        }
        let config = ["next.config.ts", "next.config.js", "next.config.mjs", "next.config.cjs"]
            .iter()
            .map(|name| join(self.dir, name))
            .find(|path| self.workspace.tree.has(path));
        let text = without_comments(config.as_deref().and_then(|path| self.workspace.text(path)).unwrap_or_default());
        let says = |word: &str| {
            text.lines().enumerate().find_map(|(number, line)| {
                let (_, rest) = line.split_once("output")?;
                (rest.trim_start().starts_with([':', '=']) && rest.contains(word)).then(|| (u32::try_from(number).unwrap_or(0) + 1, line.trim().to_owned()))
            })
        };
        let place = |found: &(u32, String)| Place::new(config.clone().unwrap_or_default(), found.0, &found.1);
        draft.fact("next.standalone", "false");
        if let Some(path) = &config {
            draft.fact("next.config", path.clone());
            let root = self.lock_home().map_or_else(|| self.dir.to_owned(), |(file, _)| dir_of(&file).to_owned());
            let above = self.workspace.json(&join(&root, "package.json")).unwrap_or_default();
            let group = |package: &Json, name: &str| package.get(name).and_then(Json::as_object).cloned().unwrap_or_default();
            let ours = |name: &str| group(self.json, "dependencies").contains_key(name);
            let mut tools = [self.json, &above].into_iter().flat_map(|package| group(package, "devDependencies")).map(|(name, _)| name);
            // Imports are read with those in comments, the text here without.
            let named = |name: &str| ["'", "\""].iter().any(|quote| text.contains(&format!("{quote}{name}")));
            let imported = |name: &str| named(name) && self.workspace.facts(std::slice::from_ref(path)).any(|(_, facts)| facts.imports(name));
            if tools.any(|name| !ours(&name) && imported(&name)) {
                draft.fact("next.config.tools", "true");
            }
        }
        if let Some(found) = says("standalone") {
            draft.fact("next.standalone", "true");
            draft.shows("build_facts", place(&found));
        } else if let Some(found) = says("export") {
            draft.fact("next.output", "export");
            draft.fact("static.dir", "out");
            draft.shows("build_facts", place(&found));
            draft.service.kind = Kind::Static;
        }
        draft.fact("next.public", if self.workspace.tree.has_folder(&join(self.dir, "public")) { "true" } else { "false" });
    }

    fn ports(&self, draft: &mut Draft, found: Option<&Framework>) {
        if draft.service.kind == Kind::Static {
            return;
        }
        if let Some(script) = self.script("start")
            && let Some(port) = start::parse(script).port
        {
            draft.port(port, "http", self.place("\"start\""));
        }
        if draft.assumed_port {
            let before = std::mem::take(&mut draft.service.ports);
            super::assemble::code_ports(self.workspace, draft);
            match draft.service.ports.is_empty() {
                true => draft.service.ports = before,
                false => draft.assumed_port = false,
            }
        } else {
            super::assemble::code_ports(self.workspace, draft);
        }
        if let Some(framework) = found
            && let (Some(port), true) = (framework.port, draft.service.ports.is_empty())
        {
            draft.port(port, "http", self.place(&format!("\"{}\"", framework.package)));
        }
    }
}

/// A script without its comments; lines stay where they are.
pub(crate) fn without_comments(text: &str) -> String {
    let mut out = String::new();
    let mut block = false;
    for line in text.lines() {
        let mut rest = line;
        loop {
            if block {
                let Some((_, after)) = rest.split_once("*/") else { break };
                (block, rest) = (false, after);
            }
            match (rest.find("//"), rest.find("/*")) {
                (slashes, Some(star)) if slashes.is_none_or(|slashes| star < slashes) => {
                    out.push_str(rest.get(..star).unwrap_or_default());
                    (block, rest) = (true, rest.get(star + 2..).unwrap_or_default());
                }
                // An address holds two slashes as well.
                (Some(slashes), _) if !rest.get(..slashes).is_some_and(|before| before.ends_with(':')) => {
                    out.push_str(rest.get(..slashes).unwrap_or_default());
                    break;
                }
                _ => {
                    out.push_str(rest);
                    break;
                }
            }
        }
        out.push('\n');
    }
    out
}

#[derive(serde::Deserialize)]
struct NpmLock {
    #[serde(default)]
    packages: BTreeMap<String, NpmPackage>,
}

#[derive(serde::Deserialize)]
struct NpmPackage {
    #[serde(default)]
    version: Option<String>,
}
