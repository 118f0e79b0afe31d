//! The workspace in memory: texts of manifests and facts of sources, read once and in parallel; it decides nothing.

use super::Options;
use super::commands::{self, Commands};
use super::docker::{self, ComposeService, Dockerfile};
use super::facts::Facts;
use super::leaks::{self, Leak};
use super::walk::{Tree, base_of, dir_of, within};
use super::{other, python, script};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroize;

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// Its text is kept.
    Text,
    Python,
    Script,
    /// A language that is read by a table of patterns.
    Other(other::Language),
    /// Only searched for secrets.
    Searched,
    Unread,
}

/// Everything that was read.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) tree: Tree,
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) sources: BTreeMap<String, Box<Facts>>,
    pub(crate) leaks: Vec<Leak>,
    /// What documents and scripts run.
    pub(crate) commands: Commands,
    pub(crate) dockerfiles: BTreeMap<String, Dockerfile>,
    pub(crate) compose: Vec<ComposeService>,
    /// The name of the root folder.
    pub(crate) folder: String,
}

/// Folders that builds make: code imports them, and nobody wrote them.
const MADE: &[&str] = &["dist", "build", "out", "generated", "__generated__", "target", "bin", "obj", "coverage", "node_modules"];

/// Sources larger than this are generated.
const SOURCE_LIMIT: usize = 400 * 1024;

impl Workspace {
    /// Reads what can matter.
    pub(crate) fn load(tree: Tree, options: &Options) -> Self {
        let paths: Vec<&String> = tree.files.iter().collect();
        let jobs: Vec<(&String, Role)> =
            paths.into_par_iter().with_min_len(64).map(|path| (path, role(path))).filter(|(_, role)| *role != Role::Unread).collect();
        let over = jobs.len().saturating_sub(options.max_read);
        for _ in 0..over {
            let _: Option<()> = tree.skip("more files than the limit", 0);
        }
        let read: Vec<Reading> =
            jobs.par_iter().take(options.max_read).with_min_len(4).filter_map(|(path, role)| read_one(&tree, path, *role, options)).collect();
        // In the order of their paths, as they are listed: a map of a sorted list is made in one pass.
        let (mut texts, mut sources) = (Vec::new(), Vec::with_capacity(read.len()));
        let (mut leaks, mut commands) = (Vec::new(), Commands::default());
        for Reading { path, content, leaks: found, commands: run } in read {
            leaks.extend(found);
            commands.extend(run);
            match content {
                Content::Text(text) => texts.push((path, text)),
                Content::Facts(facts) => sources.push((path, facts)),
                Content::Both(text, facts) => {
                    texts.push((path.clone(), text));
                    sources.push((path, facts));
                }
                Content::Nothing => {}
            }
        }
        let (texts, sources): (BTreeMap<String, String>, BTreeMap<String, Box<Facts>>) = (texts.into_iter().collect(), sources.into_iter().collect());
        leaks.sort();
        commands.sort();
        let folder = tree.root.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // What we wrote says nothing that was not known before: a survey after a deploy is the survey before it.
        let dockerfiles = texts
            .iter()
            .filter(|(path, text)| is_dockerfile(path) && !text.starts_with(super::OURS))
            .map(|(path, text)| (path.clone(), Dockerfile::parse(text)))
            .filter(|(_, file)| !file.stages.is_empty());
        let dockerfiles = dockerfiles.collect();
        let beside = |path: &str| texts.get(&super::walk::join(dir_of(path), ".env")).map(|text| docker::Variables::read(text)).unwrap_or_default();
        let compose = texts.iter().filter(|(path, _)| is_compose(path)).flat_map(|(path, text)| docker::compose(path, text, &beside(path))).collect();
        let mut workspace = Self { tree, texts, sources, leaks, commands, dockerfiles, compose, folder };
        workspace.adopt(options);
        workspace
    }

    /// Reads what git ignores and code imports all the same: the `lib/` of a Python template hides `src/lib` of a frontend, which then was added by force.
    fn adopt(&mut self, options: &Options) {
        let rules = self.texts.iter().filter(|(path, _)| base_of(path) == ".gitignore").flat_map(|(_, text)| text.lines());
        let plain = rules.map(|line| line.trim().trim_end_matches('/')).filter(|line| !line.contains(['*', '?', '#', '!', '[']));
        let names: BTreeSet<String> = plain.map(|line| base_of(line).to_owned()).filter(|name| name.len() > 1 && !MADE.contains(&name.as_str())).collect();
        if names.is_empty() {
            return;
        }
        // From what is listed an import leads there by an ignored name; what was taken in may import its neighbours.
        let own = |path: &str, module: &str| path.ends_with(".py") || module.starts_with(['.', '@', '~']);
        let named = |path: &String| self.hidden_imports(path, |module| own(path, module) && module.split(['/', '.']).any(|part| names.contains(part)));
        let mut found: BTreeSet<String> = self.sources.par_iter().flat_map_iter(|(path, _)| named(path)).collect();
        while !found.is_empty() {
            let mut fresh: Vec<String> = Vec::new();
            for path in found {
                let Some(Reading { content: Content::Facts(facts) | Content::Both(_, facts), .. }) = read_one(&self.tree, &path, role(&path), options) else {
                    continue;
                };
                self.tree.adopt(&path);
                self.sources.insert(path.clone(), facts);
                fresh.push(path);
            }
            found = fresh.iter().flat_map(|path| self.hidden_imports(path, |_| true)).collect();
        }
    }

    /// Files of the disk that only git's rules keep from the list, and that a file imports.
    fn hidden_imports(&self, path: &str, leads: impl Fn(&str) -> bool) -> Vec<String> {
        let Some(facts) = self.sources.get(path) else { return Vec::new() };
        let named = facts.imports.iter().filter(|import| leads(&import.module));
        let targets = named.map(|import| super::assemble::meant(import, path, self.project_of(path)));
        let missing = targets.filter(|targets| !targets.iter().any(|target| self.tree.has(target)));
        let hidden = |target: &String| self.tree.is_hidden(target) && self.tree.root.join(target).is_file();
        missing.flat_map(|targets| targets.into_iter().filter(hidden)).collect()
    }

    /// Leaves out how an older state of the application is built and deployed; its code stays, others may import it.
    pub(crate) fn pass_over(&mut self, dirs: &[&str]) {
        let old = |path: &str| dirs.iter().any(|dir| within(path, dir));
        let deploys = |path: &str| [".yaml", ".yml", ".tpl", "NOTES.txt"].iter().any(|tail| path.ends_with(tail)) || is_dockerfile(path);
        self.dockerfiles.retain(|path, _| !old(path));
        self.compose.retain(|service| !old(&service.file));
        self.texts.retain(|path, text| {
            let kept = !(old(path) && deploys(path));
            if !kept {
                text.zeroize();
            }
            kept
        });
    }

    /// The nearest folder around a file that has a manifest.
    fn project_of<'own>(&self, path: &'own str) -> &'own str {
        let mut dir = dir_of(path);
        while dir != "." && !self.tree.under(dir).any(|file| dir_of(file) == dir && super::more::ecosystem_of(file).is_some()) {
            dir = dir_of(dir);
        }
        dir
    }

    /// The sources under a folder, sorted by their paths.
    pub(crate) fn sources_under<'own>(&'own self, dir: &str) -> impl Iterator<Item = &'own str> + use<'own> {
        let prefix = if dir == "." { String::new() } else { format!("{dir}/") };
        self.sources.range(prefix.clone()..).map(|(path, _)| path.as_str()).take_while(move |path| path.starts_with(&prefix))
    }

    /// What these files say, as far as they are sources: (path, facts).
    pub(crate) fn facts<'own, 'paths>(&'own self, paths: &'paths [String]) -> impl Iterator<Item = (&'own str, &'own Facts)> + use<'own, 'paths> {
        let mut next = self.sources.range::<String, _>(..).peekable();
        paths.iter().filter_map(move |path| {
            // Mostly they are asked for in the order in which they are kept.
            if next.peek().is_none_or(|(known, _)| *known != path) {
                next = self.sources.range::<String, _>(path..).peekable();
            }
            next.next_if(|(known, _)| *known == path).map(|(path, facts)| (path.as_str(), facts.as_ref()))
        })
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.texts.get(path).map(String::as_str)
    }

    /// JSON of a kept text; `None` where it is broken.
    pub(crate) fn json(&self, path: &str) -> Option<serde_json::Value> {
        serde_json::from_str(self.text(path)?).ok()
    }

    pub(crate) fn toml(&self, path: &str) -> Option<toml::Table> {
        self.text(path)?.parse().ok()
    }

    /// The first of these names that lies in a folder.
    pub(crate) fn first_in(&self, dir: &str, names: &[&str]) -> Option<String> {
        names.iter().map(|name| super::walk::join(dir, name)).find(|path| self.tree.has(path))
    }
}

impl Drop for Workspace {
    /// What settings hold may be secret: memory that is given back holds none of it.
    fn drop(&mut self) {
        self.texts.iter_mut().filter(|(path, _)| leaks::settings(path)).for_each(|(_, text)| text.zeroize());
        let values = self.compose.iter_mut().flat_map(|service| service.environment.values_mut().chain(service.arguments.values_mut()));
        values.flatten().for_each(Zeroize::zeroize);
        // Giving back thousands of small pieces takes longer than the caller has to wait for.
        let sources = std::mem::take(&mut self.sources);
        rayon::spawn(move || drop(sources));
    }
}

#[derive(Debug)]
enum Content {
    Text(String),
    Facts(Box<Facts>),
    Both(String, Box<Facts>),
    Nothing,
}

/// What one file gave.
struct Reading {
    path: String,
    content: Content,
    leaks: Vec<Leak>,
    commands: Commands,
}

fn read_one(tree: &Tree, path: &str, role: Role, options: &Options) -> Option<Reading> {
    let mut text = tree.read(path, options)?;
    let found = leaks::scan(path, &text);
    let commands = if matches!(role, Role::Text | Role::Searched) { commands::read(&text) } else { Commands::default() };
    let generated = text.len() > SOURCE_LIMIT || minified(&text);
    let content = match role {
        Role::Unread | Role::Searched => {
            if leaks::settings(path) {
                text.zeroize();
            }
            Content::Nothing
        }
        Role::Text => Content::Text(text),
        Role::Python | Role::Script | Role::Other(_) if generated => {
            let _: Option<()> = tree.skip("generated or minified", text.len() as u64);
            Content::Nothing
        }
        Role::Python => Content::Facts(Box::new(with_health(python::extract(&text), &text))),
        Role::Script => {
            let facts = Box::new(with_health(next_route(path, &text, script::extract(&text)), &text));
            if keep_script(path) { Content::Both(text, facts) } else { Content::Facts(facts) }
        }
        Role::Other(language) => Content::Facts(Box::new(with_health(other::extract(language, &text), &text))),
    };
    Some(Reading { path: path.to_owned(), content, leaks: found, commands })
}

fn with_health(mut facts: Facts, text: &str) -> Facts {
    facts.grpc_health = super::facts::grpc_health(text);
    facts
}

/// Configuration that is a program.
fn keep_script(path: &str) -> bool {
    let name = base_of(path);
    ["next.config.", "vite.config.", "nuxt.config.", "astro.config.", "svelte.config.", "app.config.", "remix.config.", "react-router.config."]
        .iter()
        .any(|head| name.starts_with(head))
}

/// Files that are routes by their place: Next's `app/**/route.ts` and `pages/api/**`.
fn next_route(path: &str, text: &str, mut facts: Facts) -> Facts {
    let parts: Vec<&str> = path.split('/').collect();
    let name = base_of(path);
    let stem = name.split('.').next().unwrap_or_default();
    let position = |wanted: &[&str]| parts.windows(wanted.len()).position(|window| window == wanted).map(|at| at + wanted.len());
    let route = if stem == "route" {
        position(&["app"]).map(|from| parts.get(from..parts.len().saturating_sub(1)).unwrap_or_default().to_vec())
    } else {
        position(&["pages", "api"]).map(|from| {
            let mut rest = vec!["api"];
            rest.extend(parts.get(from..parts.len().saturating_sub(1)).unwrap_or_default());
            if stem != "index" {
                rest.push(stem);
            }
            rest
        })
    };
    let Some(route) = route else { return facts };
    let shown: Vec<&str> = route.into_iter().filter(|part| !(part.starts_with('(') && part.ends_with(')'))).collect();
    let get = stem != "route" || text.contains("GET");
    let (line, seen) = super::facts::find_line(text, if stem == "route" { "GET" } else { "export default" });
    facts.routes.push(super::facts::Route {
        method: if get { "get" } else { "post" }.to_owned(),
        path: format!("/{}", shown.join("/")),
        owner: "next".to_owned(),
        handler: String::new(),
        touches: script::whole_file_touches(text),
        line: line.max(1),
        text: seen.to_owned(),
    });
    facts
}

fn minified(text: &str) -> bool {
    text.len() > 20_000 && text.len() / text.lines().count().max(1) > 400
}

/// True where some folder on the way begins with a dot: tools' own files, no part of the application.
fn hidden(path: &str) -> bool {
    dir_of(path).split('/').any(|part| part.starts_with('.') && part.len() > 1)
}

pub(crate) fn is_test(path: &str) -> bool {
    let name = base_of(path);
    name.starts_with("test_")
        || name == "conftest.py"
        || [
            "_test.py",
            "_test.go",
            ".test.ts",
            ".test.tsx",
            ".test.js",
            ".test.jsx",
            ".spec.ts",
            ".spec.tsx",
            ".spec.js",
            ".spec.jsx",
            ".test.mjs",
            "_spec.rb",
            ".d.ts",
            ".stories.tsx",
        ]
        .iter()
        .any(|tail| name.ends_with(tail))
}

fn role(path: &str) -> Role {
    let name = base_of(path);
    let lower = name.to_ascii_lowercase();
    let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
    if matches!(lower.as_str(), "constitution.md") || lower.starts_with(".env") {
        return Role::Text;
    }
    if hidden(path) {
        return if matches!(extension, "md" | "yml" | "yaml" | "json" | "env" | "sh" | "toml") { Role::Searched } else { Role::Unread };
    }
    if manifest(&lower) {
        return Role::Text;
    }
    if is_test(path) {
        return Role::Unread;
    }
    // Notes of a chart are a template like the others.
    if lower == "notes.txt" {
        return Role::Text;
    }
    // The server of Express' generator has no ending.
    if path == "bin/www" || path.ends_with("/bin/www") {
        return Role::Script;
    }
    match extension {
        "py" => Role::Python,
        "ts" | "tsx" | "js" | "jsx" | "mjs" | "cjs" | "mts" | "cts" => Role::Script,
        "vue" | "svelte" | "astro" | "go" | "java" | "kt" | "rs" | "rb" | "php" | "cs" | "ex" | "exs" | "scala" => {
            other::Language::of(extension).map_or(Role::Unread, Role::Other)
        }
        "md" if lower.starts_with("readme") || path.contains("spec") => Role::Text,
        "md" | "txt" | "json" | "sh" | "cfg" | "ini" | "conf" | "env" | "tf" | "xml" | "ps1" => Role::Searched,
        "yml" | "yaml" | "prisma" | "tpl" | "toml" | "properties" => Role::Text,
        _ if lower == "makefile" => Role::Searched,
        _ => Role::Unread,
    }
}

fn is_dockerfile(path: &str) -> bool {
    let name = base_of(path).to_ascii_lowercase();
    let other = [".dockerignore", ".md", ".j2", ".tpl", ".tmpl", ".template", ".py", ".ts", ".js", ".sh"].iter().any(|tail| name.ends_with(tail));
    (name.contains("dockerfile") || name.contains("containerfile")) && !other
}

/// The base compose file of a folder; variants for development are not the application.
fn is_compose(path: &str) -> bool {
    matches!(base_of(path), "docker-compose.yml" | "docker-compose.yaml" | "compose.yml" | "compose.yaml")
}

fn manifest(lower: &str) -> bool {
    const NAMES: &[&str] = &[
        "package.json",
        "package.json5",
        "custom-environment-variables.json",
        "pnpm-workspace.yaml",
        "pnpm-lock.yaml",
        "package-lock.json",
        "yarn.lock",
        "angular.json",
        "turbo.json",
        "nx.json",
        "deno.json",
        "deno.jsonc",
        ".nvmrc",
        ".node-version",
        ".python-version",
        ".ruby-version",
        ".tool-versions",
        ".dockerignore",
        ".gitignore",
        "runtime.txt",
        "pyproject.toml",
        "pipfile",
        "setup.py",
        "uv.lock",
        "poetry.lock",
        "procfile",
        "go.mod",
        "go.work",
        "cargo.toml",
        "rust-toolchain",
        "rust-toolchain.toml",
        "application.conf",
        "project.json",
        "settings.gradle",
        "settings.gradle.kts",
        "gemfile",
        "gemfile.lock",
        "rakefile",
        "config.ru",
        "composer.json",
        "mix.exs",
        "package.yaml",
        "rocket.toml",
        "run.sh",
        "manage.py",
        "staticfile",
        "nginx.conf",
        "caddyfile",
        "schema.prisma",
        "global.json",
        "mise.toml",
        "system.properties",
        "chart.yaml",
        "start.sh",
        "entrypoint.sh",
        "docker-entrypoint.sh",
    ];
    static KNOWN: std::sync::LazyLock<std::collections::HashSet<&'static str>> = std::sync::LazyLock::new(|| NAMES.iter().copied().collect());
    // Sources of the languages that are read as such are the many; none of them is a manifest.
    let extension = lower.rsplit_once('.').map_or("", |(_, extension)| extension);
    if matches!(extension, "ts" | "tsx" | "jsx" | "go" | "java" | "vue" | "svelte" | "css" | "svg" | "png" | "md") {
        return false;
    }
    KNOWN.contains(lower)
        || super::jvm::manifest(lower)
        || super::tail::announced(lower)
        || (lower.starts_with("requirements") && (lower.ends_with(".txt") || lower.ends_with(".in")))
        || lower.contains("dockerfile")
        || lower.contains("containerfile")
        || lower.ends_with(".csproj")
        || lower.ends_with(".fsproj")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_can_matter_are_read() {
        let check = |path: &str, expect: Role| assert_eq!(role(path), expect, "{path}");
        check("app/main.py", Role::Python);
        check("app/test_main.py", Role::Unread);
        check("web/src/app.tsx", Role::Script);
        check("web/src/app.test.tsx", Role::Unread);
        check("shop/bin/www", Role::Script);
        check("www", Role::Unread);
        check(".claude/skills/deploy.py", Role::Unread);
        check(".claude/skills/deploy.md", Role::Searched);
        check("docker/backend.Dockerfile", Role::Text);
        check("logo.png", Role::Unread);
        check("backend/.env.example", Role::Text);
    }

    #[test]
    fn the_place_of_a_file_makes_a_route() {
        let route = |path: &str| next_route(path, "export function GET() {}", Facts::default()).routes.first().map(|route| route.path.clone());
        assert_eq!(route("web/app/(public)/healthz/route.ts").as_deref(), Some("/healthz"));
        assert_eq!(route("pages/api/health.ts").as_deref(), Some("/api/health"));
        assert_eq!(route("lib/health.ts"), None);
    }
}
