//! Members of the workspace that a service is built from: what their code needs, the service needs. None of them is a service here.

use super::draft::Draft;
use super::facts::Facts;
use super::walk::{base_of, below_one, dir_of, join, within};
use super::workspace::Workspace;
use rayon::prelude::*;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

/// One member that lies in a service's program.
pub(crate) struct Library {
    pub(crate) dir: String,
    pub(crate) files: Vec<String>,
    /// What its manifest asks for by name, as a service's dependencies are written.
    dependencies: BTreeSet<String>,
}

/// A notation of manifests that name other folders of the same repository.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Notation {
    Node,
    Python,
    Rust,
    Go,
    DotNet,
    Maven,
    Gradle,
}

impl Notation {
    fn of(path: &str) -> Option<Self> {
        Some(match base_of(path) {
            "package.json" => Self::Node,
            "pyproject.toml" => Self::Python,
            "Cargo.toml" => Self::Rust,
            "go.mod" => Self::Go,
            "pom.xml" => Self::Maven,
            "build.gradle" | "build.gradle.kts" => Self::Gradle,
            name if name.ends_with(".csproj") || name.ends_with(".fsproj") => Self::DotNet,
            _ => return None,
        })
    }

    fn of_language(language: &str) -> &'static [Self] {
        match language {
            "node" => &[Self::Node],
            "python" => &[Self::Python],
            "rust" => &[Self::Rust],
            "go" => &[Self::Go],
            "csharp" => &[Self::DotNet],
            "java" => &[Self::Maven, Self::Gradle],
            _ => &[],
        }
    }

    fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Node => &[".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".vue", ".svelte"],
            Self::Python => &[".py"],
            Self::Rust => &[".rs"],
            Self::Go => &[".go"],
            Self::DotNet => &[".cs"],
            Self::Maven | Self::Gradle => &[".java", ".kt"],
        }
    }
}

/// Which folder of the workspace asks for which others.
pub(crate) struct Members<'all> {
    workspace: &'all Workspace,
    manifests: Vec<(Notation, &'all str)>,
    by_dir: BTreeMap<&'all str, Vec<(Notation, &'all str)>>,
    /// Folders whose package.json, or a file beside it, lists members.
    node_roots: Vec<&'all str>,
    /// Members of Node, Python, Go and Maven by the name that others ask for.
    named: BTreeMap<(u8, String), String>,
    /// What manifests ask for, once one was looked into.
    known: RefCell<BTreeMap<&'all str, Rc<Asked>>>,
}

/// What one manifest asks for.
struct Asked {
    /// Folders of the workspace.
    homes: Vec<String>,
    /// The names of everything.
    dependencies: Vec<String>,
}

impl<'all> Members<'all> {
    /// Reads the names of all members; nothing where only one folder has a manifest.
    pub(crate) fn of(workspace: &'all Workspace) -> Self {
        let manifests: Vec<(Notation, &str)> =
            workspace.tree.files.iter().filter_map(|path| Notation::of(path).map(|notation| (notation, path.as_str()))).collect();
        let mut by_dir: BTreeMap<&str, Vec<(Notation, &str)>> = BTreeMap::new();
        for (notation, path) in &manifests {
            by_dir.entry(dir_of(path)).or_default().push((*notation, *path));
        }
        let many = manifests.len() > 1;
        let named = manifests.par_iter().filter(|_| many).filter_map(|(notation, path)| {
            let name = name(workspace, *notation, path)?;
            Some(((*notation as u8, name), dir_of(path).to_owned()))
        });
        let named = named.collect();
        let lists = |(notation, path): &(Notation, &str)| {
            let root = *notation == Notation::Node && workspace.text(path).is_some_and(|text| text.contains("\"workspaces\""));
            root || workspace.first_in(dir_of(path), &["pnpm-workspace.yaml", "lerna.json"]).is_some()
        };
        let node_roots = manifests.iter().filter(|manifest| many && lists(manifest)).map(|(_, path)| dir_of(path)).collect();
        Self { workspace, manifests, by_dir, node_roots, named, known: RefCell::default() }
    }

    /// The libraries of a service, its own folder apart; sorted by folder.
    pub(crate) fn libraries(&self, draft: &Draft) -> Vec<Library> {
        let mut found: BTreeMap<String, Library> = BTreeMap::new();
        for notation in Notation::of_language(&draft.service.language) {
            let mut next = vec![draft.service.dir.clone()];
            while let Some(dir) = next.pop() {
                for (_, path) in self.by_dir.get(dir.as_str()).into_iter().flatten().filter(|(other, _)| other == notation) {
                    let asked = self.asks(*notation, path);
                    if let Some(library) = found.get_mut(&dir) {
                        library.dependencies.extend(asked.dependencies.iter().cloned());
                    }
                    for home in &asked.homes {
                        if *home != draft.service.dir && !found.contains_key(home) {
                            let library = Library { files: self.files(*notation, home), dir: home.clone(), dependencies: BTreeSet::new() };
                            found.insert(home.clone(), library);
                            next.push(home.clone());
                        }
                    }
                }
            }
        }
        found.into_values().collect()
    }

    /// Sources below a folder, without those of members below it.
    fn files(&self, notation: Notation, dir: &str) -> Vec<String> {
        let nested: BTreeSet<&str> = self
            .manifests
            .iter()
            .filter(|(other, path)| *other == notation && dir_of(path) != dir && within(path, dir))
            .map(|(_, path)| dir_of(path))
            .collect();
        let own =
            |path: &str| notation.sources().iter().any(|tail| path.ends_with(tail)) && !below_one(path, dir, &nested) && !super::assemble::beside(path, dir);
        self.workspace.sources_under(dir).filter(|path| own(path)).map(str::to_owned).collect()
    }

    fn by_name(&self, notation: Notation, name: &str) -> Option<String> {
        self.named.get(&(notation as u8, name.to_owned())).cloned()
    }

    fn asks(&self, notation: Notation, path: &'all str) -> Rc<Asked> {
        if let Some(known) = self.known.borrow().get(path) {
            return Rc::clone(known);
        }
        let (homes, dependencies) = self.read(notation, path);
        let asked = Rc::new(Asked { homes, dependencies });
        self.known.borrow_mut().insert(path, Rc::clone(&asked));
        asked
    }

    /// Folders of the workspace that a manifest asks for, and the names of everything that it asks for.
    fn read(&self, notation: Notation, path: &str) -> (Vec<String>, Vec<String>) {
        let dir = dir_of(path);
        match notation {
            Notation::Node => self.node(path),
            Notation::Python => self.python(path),
            Notation::Rust => self.rust(path),
            Notation::Go => self.go(path),
            Notation::DotNet => {
                let text = self.workspace.text(path).unwrap_or_default();
                let attribute = |line: &str| line.split("Include=\"").nth(1)?.split('"').next().map(str::to_owned);
                let of = |element: &str| text.lines().filter(|line| line.contains(element)).filter_map(attribute).collect::<Vec<String>>();
                let homes = of("<ProjectReference").into_iter().map(|project| dir_of(&join(dir, &project.replace('\\', "/"))).to_owned());
                (homes.collect(), of("<PackageReference").into_iter().map(|name| name.to_ascii_lowercase()).collect())
            }
            Notation::Maven => {
                let text = self.workspace.text(path).unwrap_or_default();
                let body = text.split_once("<dependencies>").map_or("", |(_, rest)| rest);
                let names: Vec<String> =
                    body.split("<artifactId>").skip(1).filter_map(|rest| rest.split_once("</artifactId>")).map(|(name, _)| name.trim().to_owned()).collect();
                (names.iter().filter_map(|name| self.by_name(notation, name)).collect(), names)
            }
            Notation::Gradle => {
                let text = self.workspace.text(path).unwrap_or_default();
                let root = self.gradle_root(dir);
                let projects = text.split("project(").skip(1).filter_map(|rest| rest.split(')').next()?.split(['"', '\'']).nth(1)?.strip_prefix(':'));
                (projects.map(|project| join(&root, &project.replace(':', "/"))).collect(), Vec::new())
            }
        }
    }

    /// Members by their own names; a package of a registry may be called the same, so the version has to say that a neighbour is meant.
    fn node(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let package = self.workspace.json(path).unwrap_or_default();
        let (mut homes, mut names) = (Vec::new(), Vec::new());
        for (name, version) in ["dependencies", "devDependencies"].iter().filter_map(|group| package.get(*group).and_then(Json::as_object)).flatten() {
            let name = name.to_ascii_lowercase();
            let version = version.as_str().unwrap_or_default();
            let folder = ["file:", "link:", "portal:"].iter().find_map(|scheme| version.strip_prefix(scheme)).map(|folder| join(dir_of(path), folder));
            let named = || self.by_name(Notation::Node, &name).filter(|home| version.starts_with("workspace:") || self.shares_workspace(path, home));
            homes.extend(folder.filter(|folder| self.workspace.tree.has(&join(folder, "package.json"))).or_else(named));
            names.push(name);
        }
        (homes, names)
    }

    /// Both lie below a folder that lists members.
    fn shares_workspace(&self, path: &str, home: &str) -> bool {
        self.node_roots.iter().any(|root| within(path, root) && within(home, root))
    }

    /// Members of the same uv workspace, and folders that poetry and uv name.
    fn python(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let Some(table) = self.workspace.toml(path) else { return (Vec::new(), Vec::new()) };
        let dir = dir_of(path);
        let listed = table.get("project").and_then(|project| project.get("dependencies")?.as_array());
        let mut names: Vec<String> = listed.into_iter().flatten().filter_map(|item| super::pip::requirement(item.as_str()?)).map(|(name, _)| name).collect();
        let tool = |name: &str, key: &str| table.get("tool").and_then(|tool| tool.get(name)?.get(key)?.as_table());
        let (poetry, sources) = (tool("poetry", "dependencies"), tool("uv", "sources"));
        names.extend(poetry.into_iter().flatten().map(|(name, _)| super::pip::normal(name)));
        let folder = |about: &toml::Value| about.get("path").and_then(|path| path.as_str()).map(|path| join(dir, path));
        let mut homes: Vec<String> = [poetry, sources]
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|(_, about)| folder(about))
            .filter(|dir| self.workspace.tree.has_folder(dir))
            .collect();
        if self.in_uv_workspace(dir) {
            homes.extend(names.iter().filter_map(|name| self.by_name(Notation::Python, name)));
        }
        (homes, names)
    }

    fn in_uv_workspace(&self, dir: &str) -> bool {
        let roots = self.manifests.iter().filter(|(notation, path)| *notation == Notation::Python && within(dir, dir_of(path)));
        roots.filter_map(|(_, path)| self.workspace.toml(path)).any(|table| table.get("tool").and_then(|tool| tool.get("uv")?.get("workspace")).is_some())
    }

    /// Dependencies with a path, their own or that of the workspace's table.
    fn rust(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let Some(table) = self.workspace.toml(path) else { return (Vec::new(), Vec::new()) };
        let dir = dir_of(path);
        let shared = self.manifests.iter().filter(|(notation, root)| *notation == Notation::Rust && within(dir, dir_of(root))).find_map(|(_, root)| {
            let table = self.workspace.toml(root)?;
            Some((dir_of(root), table.get("workspace")?.get("dependencies")?.as_table()?.clone()))
        });
        let (mut homes, mut names) = (Vec::new(), Vec::new());
        for (name, about) in table.get("dependencies").and_then(|map| map.as_table()).into_iter().flatten() {
            names.push(name.to_ascii_lowercase());
            let folder = |home: &str, about: &toml::Value| about.get("path").and_then(|path| path.as_str()).map(|path| join(home, path));
            let inherited = || {
                let (home, table) = shared.as_ref().filter(|_| about.get("workspace").is_some())?;
                folder(home, table.get(name)?)
            };
            homes.extend(folder(dir, about).or_else(inherited).filter(|home| self.workspace.tree.has(&join(home, "Cargo.toml"))));
        }
        (homes, names)
    }

    /// Required modules that lie in the workspace themselves.
    fn go(&self, path: &str) -> (Vec<String>, Vec<String>) {
        let text = self.workspace.text(path).unwrap_or_default();
        let required = text.lines().filter_map(|line| line.trim().trim_start_matches("require ").split_once(" v")).map(|(name, _)| name.trim().to_owned());
        let names: Vec<String> = required.collect();
        (names.iter().filter_map(|name| self.by_name(Notation::Go, name)).collect(), names.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// The folder whose settings list the projects of a Gradle build.
    fn gradle_root(&self, dir: &str) -> String {
        let mut root = dir;
        loop {
            if self.workspace.first_in(root, &["settings.gradle", "settings.gradle.kts"]).is_some() {
                return root.to_owned();
            }
            if root == "." {
                return dir.to_owned();
            }
            root = dir_of(root);
        }
    }
}

impl Library {
    /// True where its manifest asks for a package.
    pub(crate) fn depends_on(&self, package: &str) -> bool {
        self.dependencies.contains(package)
    }

    /// The names of all packages that its manifest asks for.
    pub(crate) fn asks_for(&self) -> impl Iterator<Item = &String> {
        self.dependencies.iter()
    }

    pub(crate) fn facts<'own>(&'own self, workspace: &'own Workspace) -> impl Iterator<Item = (&'own str, &'own Facts)> {
        workspace.facts(&self.files)
    }
}

/// The name under which others ask for a member.
fn name(workspace: &Workspace, notation: Notation, path: &str) -> Option<String> {
    match notation {
        Notation::Node => workspace.json(path)?.get("name")?.as_str().map(str::to_ascii_lowercase),
        Notation::Python => {
            let table = workspace.toml(path)?;
            let poetry = || table.get("tool")?.get("poetry")?.get("name")?.as_str();
            table.get("project").and_then(|project| project.get("name")?.as_str()).or_else(poetry).map(super::pip::normal)
        }
        Notation::Go => module_of(workspace.text(path)?).map(str::to_owned),
        Notation::Maven => super::jvm::artifact(workspace.text(path)?),
        Notation::Rust | Notation::DotNet | Notation::Gradle => None,
    }
}

/// `module example.org/shop` → the path.
fn module_of(text: &str) -> Option<&str> {
    text.lines().find_map(|line| line.strip_prefix("module ")).map(str::trim)
}
