//! Dockerfiles: one template per stack, filled from the survey; a stack without a template is refused, never guessed.

use super::template::fill;
use super::{RenderedFile, TEMPLATES};
use crate::blueprint::{Ask, Blueprint, ImagePlan, Workload, standalone, work_folder, workspace_root};
use crate::failure::{Code, Failure};
use crate::names::EnvName;
use crate::survey::{Kind, OURS, Service, Survey};

/// Versions of the tools that a build installs; a lockfile's own declaration comes first where there is one.
const UV: &str = "0.13.9";
const POETRY: &str = "2.5.1";
const PNPM: &str = "10";
const YARN: &str = "1.22.22";
const YARN_BERRY: &str = "4";
const BUN: &str = "1";

/// Debian packages that a Python package needs: name, to build it, to run it.
const SYSTEM: &[(&str, &[&str], &[&str])] = &[
    ("psycopg2", &["gcc", "libc6-dev", "libpq-dev"], &["libpq5"]),
    ("mysqlclient", &["gcc", "libc6-dev", "pkg-config", "default-libmysqlclient-dev"], &["libmariadb3"]),
];

/// Dockerfile and .dockerignore of every workload that we build and whose Dockerfile is not a person's.
pub fn dockerfiles(blueprint: &Blueprint, survey: &Survey) -> Result<Vec<RenderedFile>, Failure> {
    let mut files: Vec<RenderedFile> = Vec::new();
    for workload in &blueprint.workloads {
        let ImagePlan::Built { dockerfile, context, persons: false, build_args, .. } = &workload.image else { continue };
        let Some(facts) = survey.service(workload.name.as_str()).or_else(|| workload.service()) else { continue };
        let folder = dockerfile.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let stack = Stack::of(facts)?;
        let recipe = Recipe { blueprint, workload, facts, build_args: build_args.keys().map(String::as_str).collect() };
        files.push(RenderedFile::new(dockerfile.clone(), recipe.dockerfile(stack)?));
        files.push(RenderedFile::new(format!("{dockerfile}.dockerignore"), recipe.dockerignore(stack, context)?));
        if matches!(stack, Stack::StaticNode | Stack::StaticPlain) {
            files.push(RenderedFile::new(format!("{folder}{}", recipe.nginx_name()), recipe.nginx(stack)?));
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// The images of other people that a Dockerfile starts from, in order and without repetition; stages of its own are left out.
pub fn bases(dockerfile: &str) -> Vec<String> {
    let (mut stages, mut bases, mut arguments) = (Vec::new(), Vec::new(), Vec::new());
    for line in dockerfile.lines().map(str::trim) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [word, argument, ..] if word.eq_ignore_ascii_case("ARG") && stages.is_empty() => arguments.extend(argument.split_once('=')),
            [word, rest @ ..] if word.eq_ignore_ascii_case("FROM") => {
                let mut rest = rest.iter().skip_while(|word| word.starts_with("--"));
                let Some(image) = rest.next() else { continue };
                let image = arguments.iter().fold((*image).to_owned(), |image, (name, value)| {
                    let value = value.trim_matches('"');
                    image.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
                });
                if image != "scratch" && !stages.contains(&image) && !bases.contains(&image) {
                    bases.push(image);
                }
                stages.push(match (rest.next(), rest.next()) {
                    (Some(word), Some(stage)) if word.eq_ignore_ascii_case("AS") => (*stage).to_owned(),
                    _ => String::new(),
                });
            }
            _ => {}
        }
    }
    bases
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stack {
    PythonPip,
    PythonUv,
    PythonPoetry,
    NextStandalone,
    NodeBuild,
    NodePlain,
    NodeWorkspace,
    StaticNode,
    StaticPlain,
    Go,
    Rust,
    JavaMaven,
    JavaGradle,
}

impl Stack {
    fn of(facts: &Service) -> Result<Self, Failure> {
        let manager = facts.package_manager.as_deref().unwrap_or_default();
        let missing = |what: String| {
            Err(Failure::new(Code::NotSupported, format!("write a Dockerfile for {}: {what}", facts.name))
                .help(format!("put a Dockerfile into {}; it is used as it is", facts.dir)))
        };
        match (facts.language.as_str(), manager) {
            ("python", "" | "pip") => Ok(Self::PythonPip),
            ("python", "uv") if foreign_lockfile(facts) => missing("its uv.lock belongs to a workspace further up".to_owned()),
            ("python", "uv") => Ok(Self::PythonUv),
            ("python", "poetry") => Ok(Self::PythonPoetry),
            ("python", other) => missing(format!("there is no template for Python with {other}, only for pip, uv and poetry")),
            ("node", "" | "npm" | "pnpm" | "yarn" | "bun") => match (facts.kind, facts.build_command.is_some()) {
                (Kind::Static, true) if workspace_root(facts).is_some() => missing("it is a static site of a package workspace".to_owned()),
                (Kind::Static, true) => Ok(Self::StaticNode),
                (Kind::Static, false) => Ok(Self::StaticPlain),
                _ if workspace_root(facts).is_some() => Ok(Self::NodeWorkspace),
                _ if standalone(facts) => Ok(Self::NextStandalone),
                (_, true) => Ok(Self::NodeBuild),
                (_, false) => Ok(Self::NodePlain),
            },
            ("node", other) => missing(format!("there is no template for Node.js with {other}, only for npm, pnpm, yarn and bun")),
            ("go", "go") => missing("it has no go.mod".to_owned()),
            ("go", _) => Ok(Self::Go),
            ("rust", _) if foreign_lockfile(facts) => missing("its Cargo.lock belongs to a workspace further up".to_owned()),
            ("rust", _) => Ok(Self::Rust),
            ("java", _) if facts.build_facts.contains_key("jvm.root") => missing("it is a module of a build further up".to_owned()),
            ("java", "" | "maven") => Ok(Self::JavaMaven),
            ("java", "gradle") => Ok(Self::JavaGradle),
            ("html" | "static" | "", _) if facts.kind == Kind::Static => Ok(Self::StaticPlain),
            (other, _) => missing(format!("there is no template for {other}")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::PythonPip => "python-pip",
            Self::PythonUv => "python-uv",
            Self::PythonPoetry => "python-poetry",
            Self::NextStandalone => "node-next-standalone",
            Self::NodeBuild => "node-build",
            Self::NodePlain => "node-plain",
            Self::NodeWorkspace => "node-workspace",
            Self::StaticNode => "static-node",
            Self::StaticPlain => "static-plain",
            Self::Go => "go",
            Self::Rust => "rust",
            Self::JavaMaven => "java-maven",
            Self::JavaGradle => "java-gradle",
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::PythonPip => include_str!("dockerfile/python-pip.Dockerfile"),
            Self::PythonUv => include_str!("dockerfile/python-uv.Dockerfile"),
            Self::PythonPoetry => include_str!("dockerfile/python-poetry.Dockerfile"),
            Self::NextStandalone => include_str!("dockerfile/node-next-standalone.Dockerfile"),
            Self::NodeBuild => include_str!("dockerfile/node-build.Dockerfile"),
            Self::NodePlain => include_str!("dockerfile/node-plain.Dockerfile"),
            Self::NodeWorkspace => include_str!("dockerfile/node-workspace.Dockerfile"),
            Self::StaticNode => include_str!("dockerfile/static-node.Dockerfile"),
            Self::StaticPlain => include_str!("dockerfile/static-plain.Dockerfile"),
            Self::Go => include_str!("dockerfile/go.Dockerfile"),
            Self::Rust => include_str!("dockerfile/rust.Dockerfile"),
            Self::JavaMaven => include_str!("dockerfile/java-maven.Dockerfile"),
            Self::JavaGradle => include_str!("dockerfile/java-gradle.Dockerfile"),
        }
    }

    /// The series of the language's image where the project declares none.
    fn usual_series(self) -> &'static str {
        match self {
            Self::PythonPip | Self::PythonUv | Self::PythonPoetry => "3.13",
            Self::NextStandalone | Self::NodeBuild | Self::NodePlain | Self::NodeWorkspace | Self::StaticNode | Self::StaticPlain => "22",
            Self::Go => "1.25",
            Self::Rust => "1.91",
            Self::JavaMaven | Self::JavaGradle => "21",
        }
    }

    /// How many numbers the tag of a series has.
    fn series_parts(self) -> usize {
        match self {
            Self::PythonPip | Self::PythonUv | Self::PythonPoetry | Self::Go | Self::Rust => 2,
            Self::NextStandalone
            | Self::NodeBuild
            | Self::NodePlain
            | Self::NodeWorkspace
            | Self::StaticNode
            | Self::StaticPlain
            | Self::JavaMaven
            | Self::JavaGradle => 1,
        }
    }
}

struct Recipe<'a> {
    blueprint: &'a Blueprint,
    workload: &'a Workload,
    facts: &'a Service,
    build_args: Vec<&'a str>,
}

impl Recipe<'_> {
    fn dockerfile(&self, stack: Stack) -> Result<String, Failure> {
        if self.workload.command.is_empty() {
            return Err(Failure::new(Code::NotDeployable, format!("{} has no start command", self.facts.name))
                .help(format!("say how it starts in landfall.toml: [service.{}] start = \"…\"", self.facts.name)));
        }
        let node = Node::of(self.facts);
        let python = Python::of(self.facts);
        let value = |key: &str, fallback: &str| plain_path(self.facts, key, local(self.facts, self.fact(key).unwrap_or(fallback)));
        let build = one_line(self.facts.build_command.as_deref().unwrap_or_default());
        let values = [
            ("VERSION", self.version(stack)),
            ("LABELS", self.labels()),
            ("EXPOSE", self.workload.port.map(|port| format!("EXPOSE {port}")).unwrap_or_default()),
            ("PORT", self.workload.port.unwrap_or(3000).to_string()),
            ("HEALTHCHECK", self.health_check(stack)?),
            ("COMMAND", json_line(&self.workload.command)?),
            ("ARGUMENTS", self.arguments()?),
            ("SYSTEM_BUILD", self.system(|(_, build, _)| build)),
            ("SYSTEM_RUN", self.system(|(_, _, run)| run)),
            ("UV", UV.to_owned()),
            ("POETRY", POETRY.to_owned()),
            ("NGINX", self.nginx_name()),
            ("SITE", value("static.dir", if stack == Stack::StaticNode { "dist" } else { "." })?),
            ("PACKAGE", format!("./{}", value("go.main", ".")?.trim_start_matches("./"))),
            ("BINARY", value("rust.binary", self.facts.name.as_str())?),
            ("TOOL", node.tool()),
            ("CACHE", node.cache().to_owned()),
            ("RUN_BUILD", if build.is_empty() { String::new() } else { format!("RUN {build}") }),
            ("BUILD", if build.is_empty() { "npm run build".to_owned() } else { build }),
            ("WORKDIR", plain_path(self.facts, "dir", work_folder(self.facts).trim_start_matches('/')).map(|folder| format!("/{folder}"))?),
            (
                "BUILD_CACHE",
                if self.facts.framework.as_deref().is_some_and(|framework| framework.starts_with("next")) {
                    "--mount=type=cache,target=/app/.next/cache,sharing=locked \\\n    ".to_owned()
                } else {
                    String::new()
                },
            ),
            ("INSTALL_PRODUCTION", if self.development_tool_starts() { node.install() } else { node.install_production() }),
            match stack {
                Stack::PythonPip | Stack::PythonUv | Stack::PythonPoetry => ("INSTALL", python.install()?),
                _ => ("INSTALL", node.install()),
            },
            match stack {
                Stack::PythonPip | Stack::PythonUv | Stack::PythonPoetry => ("MANIFESTS", python.manifests()?),
                Stack::Go => ("MANIFESTS", "go.mod go.sum*".to_owned()),
                _ => ("MANIFESTS", node.manifests()?),
            },
            match stack {
                Stack::PythonUv => ("LOCKED", if self.fact("lockfile").is_some() { "--locked ".to_owned() } else { String::new() }),
                _ => ("LOCKED", if self.fact("lockfile").is_some_and(|file| file.ends_with("Cargo.lock")) { "--locked ".to_owned() } else { String::new() }),
            },
        ];
        Ok(format!("{}\n{}", self.header(stack.name()), fill(stack.template(), &values)?))
    }

    fn dockerignore(&self, stack: Stack, context: &str) -> Result<String, Failure> {
        let workspace = if context == "." { "deploy\nspecs\n.specify\nhistory" } else { "" };
        let built = match stack {
            Stack::NextStandalone | Stack::NodeBuild | Stack::NodeWorkspace | Stack::StaticNode => "dist\nbuild\nout",
            Stack::Rust | Stack::JavaMaven => "target",
            Stack::JavaGradle => "build\n.gradle",
            Stack::PythonPip | Stack::PythonUv | Stack::PythonPoetry | Stack::NodePlain | Stack::StaticPlain | Stack::Go => "",
        };
        let values = [("WORKSPACE", workspace.to_owned()), ("BUILT", built.to_owned())];
        Ok(format!("{}\n{}", self.header("dockerignore"), fill(include_str!("dockerfile/dockerignore"), &values)?))
    }

    fn nginx(&self, stack: Stack) -> Result<String, Failure> {
        // A built site routes in the browser, unless it says that it does not; a folder of pages has the pages it has.
        let one_page = stack == Stack::StaticNode && self.fact("static.spa") != Some("false");
        let values = [("PORT", self.workload.port.unwrap_or(8080).to_string()), ("FALLBACK", if one_page { "/index.html" } else { "=404" }.to_owned())];
        Ok(format!("{}\n{}", self.header("nginx"), fill(include_str!("dockerfile/nginx.conf"), &values)?))
    }

    fn nginx_name(&self) -> String {
        format!("nginx.{}.conf", self.facts.name)
    }

    fn header(&self, template: &str) -> String {
        format!("{OURS} for {} (template {template} {TEMPLATES}). A file that you change is yours: it is shown, never overwritten.\n", self.facts.name)
    }

    fn fact(&self, key: &str) -> Option<&str> {
        self.facts.build_facts.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The series of the declared version, `3.13` of `>=3.13.1`.
    fn version(&self, stack: Stack) -> String {
        let declared = self.facts.language_version.as_deref().unwrap_or_default();
        let start = declared.find(|letter: char| letter.is_ascii_digit()).unwrap_or(declared.len());
        let digits: String = declared.chars().skip(start).take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
        let parts: Vec<&str> = digits.split('.').filter(|part| !part.is_empty()).take(stack.series_parts()).collect();
        if parts.len() == stack.series_parts() { parts.join(".") } else { stack.usual_series().to_owned() }
    }

    fn labels(&self) -> String {
        let (app, service) = (&self.blueprint.app, &self.facts.name);
        format!("LABEL org.opencontainers.image.title=\"{service}\" \\\n      org.opencontainers.image.description=\"{service} of {app}\"")
    }

    /// Public build arguments. Without a default: what is not given stays unset, and the code's own default holds.
    fn arguments(&self) -> Result<String, Failure> {
        let names: Result<Vec<String>, Failure> = self.build_args.iter().map(|name| Ok(format!("ARG {}", EnvName::parse(*name)?))).collect();
        Ok(names?.join("\n"))
    }

    fn system(&self, list: impl Fn(&(&'static str, &'static [&'static str], &'static [&'static str])) -> &'static [&'static str]) -> String {
        if self.facts.language != "python" {
            return String::new();
        }
        let mut packages: Vec<&str> = SYSTEM.iter().filter(|(name, ..)| self.facts.depends_on(name)).flat_map(|row| list(row).iter().copied()).collect();
        packages.sort_unstable();
        packages.dedup();
        if packages.is_empty() {
            return String::new();
        }
        format!(
            "# hadolint ignore=DL3008\nRUN apt-get update && \\\n    apt-get install -y --no-install-recommends {} && \\\n    rm -rf /var/lib/apt/lists/*",
            packages.join(" ")
        )
    }

    /// Asked by engines that run the image outside Kubernetes; only with a program that the image has.
    fn health_check(&self, stack: Stack) -> Result<String, Failure> {
        let path = [&self.workload.probes.liveness, &self.workload.probes.startup, &self.workload.probes.readiness].into_iter().find_map(|ask| match ask {
            Some(Ask::Http { path }) => Some(path.as_str()),
            Some(Ask::Tcp | Ask::Exec { .. }) | None => None,
        });
        let (Some(path), Some(port)) = (path, self.workload.port) else { return Ok(String::new()) };
        let url = format!("http://127.0.0.1:{port}{path}");
        let command = match stack {
            Stack::PythonPip | Stack::PythonUv | Stack::PythonPoetry => {
                vec!["python".to_owned(), "-c".to_owned(), format!("import urllib.request as r; r.urlopen('{url}', timeout=3)")]
            }
            Stack::NextStandalone | Stack::NodeBuild | Stack::NodePlain | Stack::NodeWorkspace => {
                vec!["node".to_owned(), "-e".to_owned(), format!("fetch('{url}').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))")]
            }
            Stack::StaticNode | Stack::StaticPlain | Stack::Go | Stack::Rust | Stack::JavaMaven | Stack::JavaGradle => return Ok(String::new()),
        };
        Ok(format!("HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \\\n    CMD {}", json_line(&command)?))
    }

    /// `tsx src/index.ts` and its like come with the development dependencies.
    fn development_tool_starts(&self) -> bool {
        self.workload.command.iter().any(|word| ["tsx", "ts-node", "ts-node-esm", "vite", "nodemon"].contains(&word.as_str()))
    }
}

/// How a Node.js project installs.
struct Node<'a> {
    facts: &'a Service,
    manager: &'a str,
    lockfile: Option<&'a str>,
    berry: bool,
}

impl<'a> Node<'a> {
    fn of(facts: &'a Service) -> Self {
        let fact = |key: &str| facts.build_facts.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let manager = facts.package_manager.as_deref().unwrap_or("npm");
        let version = fact("package_manager.version").unwrap_or_default();
        let berry = manager == "yarn"
            && (fact("yarn.berry") == Some("true") || version.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 2));
        Self { facts, manager, lockfile: fact("lockfile"), berry }
    }

    fn tool(&self) -> String {
        let declared = self
            .facts
            .build_facts
            .get("package_manager.version")
            .filter(|version| version.chars().all(|letter| letter.is_ascii_alphanumeric() || ".-".contains(letter)));
        let version = |usual: &str| declared.map_or(usual.to_owned(), Clone::clone);
        let package = match self.manager {
            "pnpm" => format!("pnpm@{}", version(PNPM)),
            "yarn" if self.berry => format!("@yarnpkg/cli-dist@{}", version(YARN_BERRY)),
            "yarn" => format!("yarn@{}", version(YARN)),
            "bun" => format!("bun@{}", version(BUN)),
            _ => return String::new(),
        };
        format!("RUN npm install --global --force --no-audit --no-fund {package}")
    }

    fn cache(&self) -> &'static str {
        match self.manager {
            "pnpm" => "/root/.local/share/pnpm/store",
            "yarn" if self.berry => "/root/.yarn/berry/cache",
            "yarn" => "/usr/local/share/.cache/yarn",
            "bun" => "/root/.bun/install/cache",
            _ => "/root/.npm",
        }
    }

    fn manifests(&self) -> Result<String, Failure> {
        // A generator that runs while installing reads its schema from the tree.
        if self.facts.depends_on("prisma") || self.facts.depends_on("@prisma/client") {
            return Ok(".".to_owned());
        }
        let lockfile = self.lockfile.map(|lockfile| plain_path(self.facts, "lockfile", local(self.facts, lockfile))).transpose()?;
        let settings: &[&str] = match self.manager {
            "yarn" if self.berry => &[".yarnrc.yml*", ".npmrc*"],
            "pnpm" => &[".npmrc*", "pnpm-workspace.yaml*"],
            _ => &[".npmrc*"],
        };
        Ok(["package.json"].into_iter().chain(lockfile.as_deref()).chain(settings.iter().copied()).collect::<Vec<_>>().join(" "))
    }

    fn install(&self) -> String {
        match (self.manager, self.lockfile.is_some()) {
            ("pnpm", true) => "pnpm install --frozen-lockfile",
            ("pnpm", false) => "pnpm install --no-frozen-lockfile",
            ("yarn", true) if self.berry => "YARN_NODE_LINKER=node-modules yarn install --immutable",
            ("yarn", false) if self.berry => "YARN_NODE_LINKER=node-modules yarn install --no-immutable",
            ("yarn", true) => "yarn install --frozen-lockfile --non-interactive",
            ("yarn", false) => "yarn install --non-interactive",
            ("bun", true) => "bun install --frozen-lockfile",
            ("bun", false) => "bun install",
            (_, true) => "npm ci --no-audit --no-fund",
            (_, false) => "npm install --no-audit --no-fund",
        }
        .to_owned()
    }

    fn install_production(&self) -> String {
        let install = self.install();
        match self.manager {
            "pnpm" => format!("{install} --prod"),
            // Berry prunes only with a plugin: the whole set is installed and still right.
            "yarn" if self.berry => install,
            "yarn" => format!("{install} --production"),
            "bun" => format!("{install} --production"),
            _ => format!("{install} --omit=dev"),
        }
    }
}

/// How a Python project installs.
struct Python<'a> {
    facts: &'a Service,
    manager: &'a str,
}

impl<'a> Python<'a> {
    fn of(facts: &'a Service) -> Self {
        Self { facts, manager: facts.package_manager.as_deref().unwrap_or("pip") }
    }

    /// The requirements files that pip installs; empty where the project itself is installed, or nothing at all.
    fn requirements(&self) -> Result<Vec<String>, Failure> {
        let fact = |key: &str| self.facts.build_facts.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let mut files: Vec<&str> = fact("requirements").map(|list| list.split([' ', ',']).filter(|file| !file.is_empty()).collect()).unwrap_or_default();
        if files.is_empty() {
            let words: Vec<&str> = self.facts.install_command.as_deref().unwrap_or_default().split_whitespace().collect();
            files = words
                .windows(2)
                .filter_map(|pair| match pair {
                    ["-r" | "--requirement", file] => Some(*file),
                    _ => None,
                })
                .collect();
        }
        if files.is_empty() {
            files.extend(fact("lockfile").filter(|file| file.ends_with(".txt")));
        }
        files.into_iter().map(|file| plain_path(self.facts, "requirements", local(self.facts, file))).collect()
    }

    fn project(&self) -> bool {
        let words = self.facts.install_command.as_deref().unwrap_or_default().split_whitespace();
        words.clone().any(|word| word == "install") && words.clone().any(|word| word == "." || word.starts_with(".[") || word == "-e")
    }

    fn manifests(&self) -> Result<String, Failure> {
        let lockfile = self.facts.build_facts.get("lockfile");
        match self.manager {
            // The project's metadata names its readme, which must then be there.
            "uv" => Ok(format!("COPY pyproject.toml {}README* ./", lockfile.map_or("", |_| "uv.lock "))),
            "poetry" => Ok(format!("COPY pyproject.toml {}./", lockfile.map_or("", |_| "poetry.lock "))),
            _ => {
                let files = self.requirements()?;
                if self.project() {
                    return Ok("COPY . .".to_owned());
                }
                if files.is_empty() {
                    return Ok(String::new());
                }
                // One file often includes others beside it, and constraints.
                let mut folders: Vec<&str> = files.iter().map(|file| file.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
                folders.sort_unstable();
                folders.dedup();
                let copies = folders.iter().map(|folder| {
                    if folder.is_empty() { "COPY requirements*.txt constraints*.txt ./".to_owned() } else { format!("COPY {folder} ./{folder}") }
                });
                let odd = files
                    .iter()
                    .filter(|file| !(file.contains('/') || (file.starts_with("requirements") && file.ends_with(".txt"))))
                    .map(|file| format!("COPY {file} ./"));
                Ok(copies.chain(odd).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    fn install(&self) -> Result<String, Failure> {
        let files = self.requirements()?;
        let mut steps = vec!["python -m venv /opt/venv".to_owned()];
        if !files.is_empty() {
            steps.push(format!("pip install {}", files.iter().map(|file| format!("--requirement {file}")).collect::<Vec<_>>().join(" ")));
        }
        if self.project() {
            steps.push("pip install .".to_owned());
        }
        Ok(steps.join(" && \\\n    "))
    }
}

/// True where the lockfile lies outside the service's folder.
fn foreign_lockfile(facts: &Service) -> bool {
    let own = |path: &str| facts.dir == "." || local(facts, path) != path;
    facts.build_facts.get("lockfile").is_some_and(|path| !own(path))
}

/// A path of the workspace as the service's own folder sees it.
fn local<'p>(facts: &Service, path: &'p str) -> &'p str {
    path.strip_prefix(facts.dir.as_str()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path)
}

/// A relative path that is safe in an instruction: no white space, expansion or way out of the context.
fn plain_path(facts: &Service, key: &str, path: &str) -> Result<String, Failure> {
    let plain = !path.is_empty()
        && !path.starts_with('/')
        && path.split('/').all(|part| part != "..")
        && path.chars().all(|letter| letter.is_alphanumeric() || "._-/@+".contains(letter));
    if plain {
        return Ok(path.to_owned());
    }
    Err(Failure::new(
        Code::RenderFailed,
        format!("write a Dockerfile for {}: {key} {:?} cannot stand in an instruction", facts.name, crate::secret::plain(path, 80)),
    )
    .help(format!("rename the file, or put a Dockerfile into {}", facts.dir)))
}

/// A shell command on one line: an instruction ends where its line does.
fn one_line(command: &str) -> String {
    let lines: Vec<&str> = command.lines().map(|line| line.trim().trim_end_matches('\\').trim_end()).filter(|line| !line.is_empty()).collect();
    lines.join(" && ")
}

/// The exec form: a JSON array on one line.
fn json_line(words: &[String]) -> Result<String, Failure> {
    let words: Result<Vec<String>, serde_json::Error> = words.iter().map(serde_json::to_string).collect();
    words.map(|words| format!("[{}]", words.join(", "))).map_err(|error| Failure::internal("write a command as JSON").cause(error))
}
