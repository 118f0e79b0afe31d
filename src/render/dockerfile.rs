//! Dockerfiles: one template per stack, filled from the survey; a stack without a template is refused, never guessed.

mod stack;
mod node;
mod python;
mod java;
mod packages;

use super::template::fill;
use super::{RenderedFile, TEMPLATES};
use crate::blueprint::{Ask, Blueprint, ImagePlan, Workload, bun, work_folder, workspace_root};
use crate::failure::{Code, Failure};
use crate::names::EnvName;
use crate::survey::{Kind, OURS, Service, Survey};
use node::Node;
use python::Python;
use stack::{Family, Stack};
use std::collections::BTreeMap;

/// Dockerfile and .dockerignore of every workload that we build and whose Dockerfile is not a person's.
pub fn dockerfiles(blueprint: &Blueprint, survey: &Survey) -> Result<Vec<RenderedFile>, Failure> {
    let mut files: Vec<RenderedFile> = Vec::new();
    for workload in &blueprint.workloads {
        let ImagePlan::Built { dockerfile, context, persons: false, build_args, secrets, .. } = &workload.image else { continue };
        let Some(facts) = survey.service(workload.name.as_str()).or_else(|| workload.service()) else { continue };
        let folder = dockerfile.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        let stack = Stack::of(facts)?;
        let build_args = build_args.keys().map(String::as_str).collect();
        let recipe = Recipe { blueprint, workload, facts, context, build_args, secrets };
        files.push(RenderedFile::new(dockerfile.clone(), recipe.dockerfile(stack)?));
        files.push(RenderedFile::new(format!("{dockerfile}.dockerignore"), recipe.dockerignore(stack)?));
        if let Some((name, text)) = recipe.server(stack)? {
            files.push(RenderedFile::new(format!("{folder}{name}"), text));
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

/// The same Dockerfile with each base, where its digest is known, pinned to the content that its tag names now.
pub fn pinned(dockerfile: &str, digests: &BTreeMap<String, String>) -> String {
    let pin = |line: &str| {
        let image = line.strip_prefix("FROM ")?;
        let (image, rest) = image.split_at(image.find(' ').unwrap_or(image.len()));
        digests.get(image).map(|digest| format!("FROM {image}@{digest}{rest}"))
    };
    dockerfile.lines().map(|line| pin(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

struct Recipe<'a> {
    blueprint: &'a Blueprint,
    workload: &'a Workload,
    facts: &'a Service,
    /// The build's context, relative to the workspace.
    context: &'a str,
    build_args: Vec<&'a str>,
    secrets: &'a [EnvName],
}

impl Recipe<'_> {
    fn dockerfile(&self, stack: &Stack) -> Result<String, Failure> {
        if self.workload.command.is_empty() {
            return Err(Failure::new(Code::NotDeployable, format!("{} has no start command", self.facts.name))
                .help(format!("say how it starts in landfall.toml: [service.{}] start = \"…\"", self.facts.name)));
        }
        let mut values = vec![
            ("VERSION", self.version(stack)),
            ("LABELS", self.labels()),
            ("EXPOSE", self.workload.port.map(|port| format!("EXPOSE {port}")).unwrap_or_default()),
            ("PORT", self.workload.port.unwrap_or(3000).to_string()),
            ("HEALTHCHECK", self.health_check(stack)?),
            ("COMMAND", json_line(&self.workload.command)?),
            ("ARGUMENTS", self.arguments()?),
            ("SYSTEM_BUILD", packages::install(self.facts, packages::Use::Build)),
            ("SYSTEM_RUN", packages::install(self.facts, packages::Use::Run)),
        ];
        values.extend(match stack.family {
            Family::Node => self.node(stack)?,
            Family::Python => self.python()?,
            Family::Static => vec![("SITE", self.path("static.dir", ".")?), ("SERVER", self.beside(&self.nginx_name())?)],
            Family::Go => self.go()?,
            Family::Rust => self.rust()?,
            Family::Java => java::values(self.facts, &self.member()?)?,
            Family::DotNet => self.dotnet(stack)?,
            Family::Ruby => self.ruby(),
            Family::Php => self.php()?,
            Family::Elixir => {
                let assets = self.facts.depends_on("esbuild") || self.facts.depends_on("tailwind");
                // What dependencies are compiled with.
                let dependencies = match self.fact("elixir.config").is_some() {
                    true => "RUN mix deps.get --only prod\nCOPY config/config.exs config/prod.exs* ./config/\nRUN mix deps.compile",
                    false => "RUN mix deps.get --only prod && mix deps.compile",
                };
                vec![("DEPENDENCIES", dependencies.to_owned()), ("ASSETS", if assets { "RUN mix assets.deploy" } else { "" }.to_owned())]
            }
            Family::Deno => self.deno()?,
            Family::Tail => self.tail()?,
        });
        Ok(format!("{}\n{}", self.header(stack.name), fill(stack.template, &values)?))
    }

    fn node(&self, stack: &Stack) -> Result<Vec<(&'static str, String)>, Failure> {
        let node = Node::of(self.facts, self.secrets);
        let version = self.version(stack);
        let build = one_line(self.facts.build_command.as_deref().unwrap_or_default());
        let below = work_folder(self.facts);
        let member = plain_path(self.facts, "dir", below.strip_prefix("/app/").unwrap_or("."))?;
        let caches_pages = self.facts.framework.as_deref().is_some_and(|framework| framework.starts_with("next"));
        Ok(vec![
            ("NODE_IMAGE", if bun(self.facts) { format!("oven/bun:{}-slim", node::BUN) } else { format!("node:{version}-slim") }),
            ("SERVER", self.beside(&self.nginx_name())?),
            ("SITE", self.path("static.dir", if self.facts.build_command.is_some() { "dist" } else { "." })?),
            ("TOOL", node.tool()),
            ("CACHE", node.cache().to_owned()),
            ("RUN_BUILD", if build.is_empty() { String::new() } else { format!("RUN {build}") }),
            ("BUILD", if build.is_empty() { "npm run build".to_owned() } else { build }),
            ("WORKDIR", if member == "." { "/app".to_owned() } else { format!("/app/{member}") }),
            ("BUILD_CACHE", if caches_pages { "--mount=type=cache,target=/app/.next/cache,sharing=locked \\\n    " } else { "" }.to_owned()),
            ("INSTALL", node.install()),
            ("INSTALL_PRODUCTION", if self.development_tools_run() { node.install() } else { node.install_production() }),
            ("INSTALL_MEMBER", if self.development_tools_run() { node.install() } else { node.install_member(&member) }),
            ("KEEP_MANIFESTS", node::keep_manifests()),
            ("LEAVE", self.leave()?),
            ("MANIFESTS", node.manifests()?),
        ])
    }

    /// What the image of one package does not need of its workspace: what was installed to build it, and the other services.
    fn leave(&self) -> Result<String, Failure> {
        let root = workspace_root(self.facts).unwrap_or(".");
        let mut others = Vec::new();
        for other in self.blueprint.workloads.iter().filter_map(Workload::service) {
            let name = other.dir.rsplit('/').next().unwrap_or(&other.dir);
            let needed = self.facts.dependencies.keys().any(|package| package.rsplit('/').next() == Some(name))
                || other.dir == self.facts.dir
                || self.facts.dir.starts_with(&format!("{}/", other.dir));
            let below = if root == "." { Some(other.dir.as_str()) } else { other.dir.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')) };
            if let (false, Some(below)) = (needed || other.dir == ".", below) {
                others.push(plain_path(other, "dir", below)?);
            }
        }
        others.sort();
        others.dedup();
        let others = if others.is_empty() { String::new() } else { format!(" && rm -rf {}", others.join(" ")) };
        Ok(format!("find . -name node_modules -prune -exec rm -rf {{}} + && rm -rf .git .turbo{others}"))
    }

    fn python(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let python = Python::of(self.facts, self.secrets);
        Ok(vec![
            ("UV", python::UV.to_owned()),
            ("POETRY", python::POETRY.to_owned()),
            ("TOOL", python.tool()),
            ("MANIFESTS", python.manifests()?),
            ("INSTALL", python.install()?),
            ("SECRETS", secret_mounts(self.secrets)),
            ("LOCKED", self.locked("--locked ", "")),
            ("MEMBER", self.member()?),
            ("PACKAGE", plain_path(self.facts, "python.package", self.fact("python.package").unwrap_or(self.facts.name.as_str()))?),
            ("ASSETS", self.collected()),
        ])
    }

    /// Django's files for browsers, where something in the image serves them.
    fn collected(&self) -> String {
        if self.facts.framework.as_deref() != Some("django") || !self.facts.depends_on("whitenoise") {
            return String::new();
        }
        // Too short for a credential: what looks like one in an image's history keeps the image from being used.
        let stand_in = |name: &str| if name.ends_with("_URL") || name.ends_with("_URI") { "postgresql://x@localhost/x" } else { "x" };
        let needed = self.facts.env.iter().filter(|read| read.required == crate::survey::Required::Yes && read.default.is_none());
        let settings: Vec<String> = needed.map(|read| format!("{}={} ", read.name, stand_in(read.name.as_str()))).collect();
        format!("RUN {}python manage.py collectstatic --noinput", settings.concat())
    }

    fn go(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        // These speak to a library in C.
        let c = ["github.com/mattn/go-sqlite3", "github.com/confluentinc/confluent-kafka-go/v2"].iter().any(|package| self.facts.depends_on(package));
        Ok(vec![
            ("MANIFESTS", "go.mod go.sum*".to_owned()),
            ("MEMBER", self.member()?),
            ("PACKAGE", format!("./{}", self.path("go.main", ".")?.trim_start_matches("./"))),
            ("CGO", if c { "1" } else { "0" }.to_owned()),
            ("RUNTIME", if c { "debian:bookworm-slim" } else { "scratch" }.to_owned()),
        ])
    }

    /// By the path of its manifest: a package's name may be that of a dependency or differ from that of its program.
    fn rust(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let member = self.member()?;
        Ok(vec![
            ("BINARY", self.path("rust.binary", self.facts.name.as_str())?),
            ("LOCKED", self.locked("--locked ", "")),
            ("PACKAGE", if member == "." { String::new() } else { format!("--manifest-path {member}/Cargo.toml ") }),
        ])
    }

    fn dotnet(&self, stack: &Stack) -> Result<Vec<(&'static str, String)>, Failure> {
        let project = self.fact("dotnet.project").map(|project| plain_path(self.facts, "dotnet.project", project)).transpose()?;
        let older = self.version(stack).split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 8);
        let port = self.workload.port.unwrap_or(8080);
        Ok(vec![
            ("RUNTIME", if self.facts.kind == Kind::Worker { "runtime" } else { "aspnet" }.to_owned()),
            ("PROJECT", project.map(|project| format!(" {project}")).unwrap_or_default()),
            ("MEMBER", self.member()?),
            ("LISTEN", if older { format!("ASPNETCORE_URLS=http://+:{port}") } else { format!("ASPNETCORE_HTTP_PORTS={port}") }),
        ])
    }

    fn ruby(&self) -> Vec<(&'static str, String)> {
        // A lockfile that was written on another system says nothing of this one.
        let other = self.fact("ruby.platforms").is_some();
        // What is written into it must stay, and gems of the project itself are read.
        let whole = other || self.fact("ruby.paths").is_some();
        let platform = if other { "BUNDLE_DEPLOYMENT=false bundle lock --add-platform \"$(uname -m)-linux\" && \\\n    " } else { "" };
        let pipeline = ["sprockets-rails", "propshaft"].iter().any(|gem| self.facts.depends_on(gem));
        vec![
            ("LOCKED", self.locked("true", "false")),
            ("MANIFESTS", if whole { "." } else { "Gemfile* .ruby-version*" }.to_owned()),
            ("SOURCES", if whole { "" } else { "COPY . ." }.to_owned()),
            ("INSTALL", format!("{}{platform}bundle install && rm -rf /usr/local/bundle/cache /usr/local/bundle/ruby/*/cache", secret_mounts(self.secrets))),
            ("ASSETS", if pipeline { "RUN SECRET_KEY_BASE_DUMMY=1 bundle exec rails assets:precompile" } else { "" }.to_owned()),
        ]
    }

    fn php(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let composer = self.facts.package_manager.as_deref() == Some("composer");
        let root = self.path("php.root", ".")?;
        let install = format!(
            "COPY composer.json composer.lock* ./\nRUN --mount=type=cache,target=/tmp/cache,sharing=locked \\\n    {}composer install --no-dev --no-interaction --no-scripts --no-autoloader --prefer-dist --ignore-platform-reqs",
            secret_mounts(self.secrets)
        );
        Ok(vec![
            ("MANIFESTS", if composer { install } else { String::new() }),
            ("ASSETS", if composer { "RUN composer dump-autoload --no-dev --no-scripts --optimize".to_owned() } else { String::new() }),
            ("EXTENSIONS", packages::extensions(self.facts)),
            ("MADE", if self.fact("pages.manager").is_some() { "pages" } else { "vendor" }.to_owned()),
            ("PAGES", self.pages()?),
            // Its own choice is a file, which nobody reads in a container.
            ("SETTINGS", if self.facts.framework.as_deref() == Some("laravel") { " \\\n    LOG_CHANNEL=stderr" } else { "" }.to_owned()),
            ("SERVER", self.beside(&self.apache_name())?),
            ("ROOT", if root == "." { String::new() } else { format!("/{root}") }),
        ])
    }

    /// The stage that builds what browsers load, where a package.json beside the program does so.
    fn pages(&self) -> Result<String, Failure> {
        let Some(manager) = self.fact("pages.manager") else { return Ok(String::new()) };
        let build_facts = self.facts.build_facts.iter().filter_map(|(key, value)| Some((key.strip_prefix("pages.")?.to_owned(), value.clone()))).collect();
        let package_manager = Some(manager.to_owned());
        let facts = Service { language: "node".to_owned(), package_manager, build_facts, dependencies: BTreeMap::new(), ..self.facts.clone() };
        let node = Node::of(&facts, &[]);
        let image = match manager {
            "bun" => format!("oven/bun:{}-slim", node::BUN),
            _ => format!("node:{}-slim", self.fact("pages.node").unwrap_or("22")),
        };
        let tool = if manager == "bun" { String::new() } else { node.tool() };
        let lines = [
            format!("FROM {image} AS pages"),
            "WORKDIR /app".to_owned(),
            tool,
            format!("COPY {} ./", node.manifests()?),
            format!("RUN --mount=type=cache,target={},sharing=locked \\\n    {}", node.cache(), node.install()),
            "COPY --from=vendor /app ./".to_owned(),
            format!("RUN {manager} run build && rm -rf node_modules"),
        ];
        Ok(lines.into_iter().filter(|line| !line.is_empty()).map(|line| line + "\n").collect())
    }

    fn deno(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let words = &self.workload.command;
        let entry = words.iter().find(|word| [".ts", ".tsx", ".js", ".mjs"].iter().any(|tail| word.ends_with(tail))).map_or("main.ts", String::as_str);
        Ok(vec![("ENTRY", plain_path(self.facts, "entry", entry)?)])
    }

    /// The program that the build leaves, and the name that it has in the image.
    fn tail(&self) -> Result<Vec<(&'static str, String)>, Failure> {
        let program = self.facts.start_command.as_deref().and_then(|line| line.split_whitespace().next()).unwrap_or_default();
        let program = plain_path(self.facts, "start command", program.trim_start_matches("./").trim_start_matches("~/"))?;
        let name = program.rsplit('/').next().unwrap_or(&program).to_owned();
        Ok(vec![("BUILD", one_line(self.facts.build_command.as_deref().unwrap_or("true"))), ("PROGRAM", program), ("NAME", name)])
    }

    fn dockerignore(&self, stack: &Stack) -> Result<String, Failure> {
        let workspace = if self.context == "." { "deploy\nspecs\n.specify\nhistory" } else { "" };
        let values = [("WORKSPACE", workspace.to_owned()), ("BUILT", stack.built.to_owned())];
        Ok(format!("{}\n{}", self.header("dockerignore"), fill(include_str!("dockerfile/dockerignore"), &values)?))
    }

    /// The configuration of the web server that the image brings, where it brings one.
    fn server(&self, stack: &Stack) -> Result<Option<(String, String)>, Failure> {
        let port = self.workload.port.unwrap_or(8080).to_string();
        let (name, template, text, values) = if stack.family == Family::Php {
            let root = self.path("php.root", ".")?;
            let root = if root == "." { String::new() } else { format!("/{root}") };
            (self.apache_name(), "apache", include_str!("dockerfile/apache.conf"), vec![("PORT", port), ("ROOT", root)])
        } else if stack.template.contains("{{SERVER}}") {
            // A built site routes in the browser, unless it says that it does not; a folder of pages has the pages it has.
            let one_page = stack.family == Family::Node && self.fact("static.spa") != Some("false");
            let fallback = if one_page { "/index.html" } else { "=404" }.to_owned();
            (self.nginx_name(), "nginx", include_str!("dockerfile/nginx.conf"), vec![("PORT", port), ("FALLBACK", fallback)])
        } else {
            return Ok(None);
        };
        Ok(Some((name, format!("{}\n{}", self.header(template), fill(text, &values)?))))
    }

    fn nginx_name(&self) -> String {
        format!("nginx.{}.conf", self.facts.name)
    }

    fn apache_name(&self) -> String {
        format!("apache.{}.conf", self.facts.name)
    }

    /// The service's own folder, as the build's context sees it.
    fn member(&self) -> Result<String, Failure> {
        if self.context == self.facts.dir {
            return Ok(".".to_owned());
        }
        let below =
            if self.context == "." { Some(self.facts.dir.as_str()) } else { self.facts.dir.strip_prefix(self.context).and_then(|rest| rest.strip_prefix('/')) };
        plain_path(self.facts, "dir", below.unwrap_or("."))
    }

    /// A file beside the Dockerfile, as the build's context sees it.
    fn beside(&self, name: &str) -> Result<String, Failure> {
        let member = self.member()?;
        plain_path(self.facts, "dir", &if member == "." { name.to_owned() } else { format!("{member}/{name}") })
    }

    fn header(&self, template: &str) -> String {
        format!("{OURS} for {} (template {template} {TEMPLATES}). A file that you change is yours: it is shown, never overwritten.\n", self.facts.name)
    }

    fn fact(&self, key: &str) -> Option<&str> {
        self.facts.build_facts.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A path among the facts, as the service's own folder sees it.
    fn path(&self, key: &str, fallback: &str) -> Result<String, Failure> {
        plain_path(self.facts, key, local(self.facts, self.fact(key).unwrap_or(fallback)))
    }

    fn locked(&self, with: &str, without: &str) -> String {
        if self.fact("lockfile").is_some() { with } else { without }.to_owned()
    }

    /// The series of the declared version, `3.13` of `>=3.13.1`.
    fn version(&self, stack: &Stack) -> String {
        let declared = self.facts.language_version.as_deref().unwrap_or_default();
        let start = declared.find(|letter: char| letter.is_ascii_digit()).unwrap_or(declared.len());
        let digits: String = declared.chars().skip(start).take_while(|letter| letter.is_ascii_digit() || *letter == '.').collect();
        let parts: Vec<&str> = digits.split('.').filter(|part| !part.is_empty()).take(stack.parts).collect();
        if parts.len() == stack.parts {
            return parts.join(".");
        }
        // Gradle 7 and sbt before 1.9, and what is older, do not run on the series that is usual now.
        let older = match self.facts.package_manager.as_deref() {
            Some("gradle") => java::gradle_series(self.facts) < 8,
            Some("sbt") => self.fact("sbt.series").and_then(|series| series.strip_prefix("1.")?.parse::<u32>().ok()).is_some_and(|minor| minor < 9),
            _ => false,
        };
        if older { "17" } else { stack.series }.to_owned()
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

    /// Asked by engines that run the image outside Kubernetes; only with a program that the image has.
    fn health_check(&self, stack: &Stack) -> Result<String, Failure> {
        let path = [&self.workload.probes.liveness, &self.workload.probes.startup, &self.workload.probes.readiness].into_iter().find_map(|ask| match ask {
            Some(Ask::Http { path }) => Some(path.as_str()),
            Some(Ask::Tcp | Ask::Grpc | Ask::Exec { .. }) | None => None,
        });
        let none = || Ok("# Kubernetes asks by its probes; nothing in this image could ask.\nHEALTHCHECK NONE".to_owned());
        let Some(port) = self.workload.port else { return none() };
        let url = format!("http://127.0.0.1:{port}{}", path.unwrap_or_default());
        let script = match (stack.family, path.is_some()) {
            (Family::Python, true) => format!("import urllib.request as r; r.urlopen('{url}', timeout=3)"),
            (Family::Python, false) => format!("import socket; socket.create_connection(('127.0.0.1', {port}), 3)"),
            (Family::Node, true) => format!("fetch('{url}').then(r => process.exit(r.ok ? 0 : 1), () => process.exit(1))"),
            (Family::Node, false) => format!("require('net').connect({port}, '127.0.0.1', () => process.exit(0)).on('error', () => process.exit(1))"),
            (Family::Deno, true) => format!("fetch('{url}').then(r => Deno.exit(r.ok ? 0 : 1), () => Deno.exit(1))"),
            (Family::Deno, false) => format!("Deno.connect({{ port: {port} }}).then(() => Deno.exit(0), () => Deno.exit(1))"),
            (Family::Ruby, true) => format!("require 'net/http'; exit(Net::HTTP.get_response(URI('{url}')).code.to_i < 400)"),
            (Family::Ruby, false) => format!("require 'socket'; TCPSocket.new('127.0.0.1', {port})"),
            (Family::Php, _) => format!("exit(@file_get_contents('http://127.0.0.1:{port}{}') === false ? 1 : 0);", path.unwrap_or("/")),
            (Family::Static | Family::Go | Family::Rust | Family::Java | Family::DotNet | Family::Elixir | Family::Tail, _) => return none(),
        };
        if stack.template.contains("nginx:") {
            return none();
        }
        let program: &[&str] = match stack.family {
            Family::Python => &["python", "-c"],
            Family::Node if bun(self.facts) => &["bun", "-e"],
            Family::Node => &["node", "-e"],
            Family::Deno => &["deno", "eval"],
            Family::Ruby => &["ruby", "-e"],
            Family::Php => &["php", "-r"],
            Family::Static | Family::Go | Family::Rust | Family::Java | Family::DotNet | Family::Elixir | Family::Tail => return none(),
        };
        let command: Vec<String> = program.iter().map(|word| (*word).to_owned()).chain([script]).collect();
        Ok(format!("HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \\\n    CMD {}", json_line(&command)?))
    }

    /// `tsx src/index.ts` and its like come with the development dependencies, as does what a configuration imports at every start.
    fn development_tools_run(&self) -> bool {
        let configured = self.fact("next.config.tools") == Some("true");
        configured || self.workload.command.iter().any(|word| ["tsx", "ts-node", "ts-node-esm", "vite", "nodemon"].contains(&word.as_str()))
    }
}

/// What an installation step begins with where it reads secret variables: they are mounted as files for this step, and read into its environment.
fn secret_mounts(secrets: &[EnvName]) -> String {
    let mounts = secrets.iter().map(|name| format!("--mount=type=secret,id={name},required=true \\\n    "));
    let reads = secrets.iter().map(|name| format!("{name}=\"$(cat /run/secrets/{name})\" && export {name} && \\\n    "));
    mounts.chain(reads).collect()
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
