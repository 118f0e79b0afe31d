//! The other ecosystems, by manifest: Go, Rust, Java, Ruby, PHP, .NET, Elixir, Deno, static sites and start scripts.

use super::draft::Draft;
use super::facts::{Facts, find_line};
use super::walk::{base_of, dir_of, join};
use super::workspace::Workspace;
use super::{Kind, Place};

/// What makes a folder a project of an ecosystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ecosystem {
    Php,
    Go,
    Java,
    Rust,
    Ruby,
    Elixir,
    Python,
    Deno,
    DotNet,
    Node,
    /// A row of the long tail's table.
    Tail(usize),
    Static,
    Shell,
}

/// The ecosystem that a file's name announces.
pub(crate) fn ecosystem_of(path: &str) -> Option<Ecosystem> {
    let name = base_of(path);
    if super::pip::MANIFESTS.contains(&name) {
        return Some(Ecosystem::Python);
    }
    Some(match name {
        "package.json" => Ecosystem::Node,
        "go.mod" => Ecosystem::Go,
        "Cargo.toml" => Ecosystem::Rust,
        _ if super::jvm::manifest(name) => Ecosystem::Java,
        "Gemfile" | "config.ru" => Ecosystem::Ruby,
        "composer.json" => Ecosystem::Php,
        "mix.exs" => Ecosystem::Elixir,
        "deno.json" | "deno.jsonc" => Ecosystem::Deno,
        "Staticfile" => Ecosystem::Static,
        _ if name.ends_with(".csproj") || name.ends_with(".fsproj") => Ecosystem::DotNet,
        _ => return super::tail::of(name).map(Ecosystem::Tail),
    })
}

/// Where a PHP site begins: at the top, or in the folder that is meant to be served.
pub(super) const PHP_INDEX: &[&str] =
    &["index.php", "public/index.php", "web/index.php", "webroot/index.php", "htdocs/index.php", "public_html/index.php", "www/index.php"];

/// Folders of finished pages.
pub(super) const PAGES: &[&str] = &["public", "dist", "html", "site", "htdocs", "public_html", "www"];

/// The services of a project; none for libraries.
pub(crate) fn drafts(workspace: &Workspace, dir: &str, ecosystem: Ecosystem, lenient: bool) -> Vec<Draft> {
    let project = Project { workspace, dir, lenient };
    let mut out = match ecosystem {
        Ecosystem::Node => return super::node::drafts(workspace, dir, lenient),
        Ecosystem::Python => return super::pip::drafts(workspace, dir, lenient),
        Ecosystem::Go => project.go(),
        Ecosystem::Rust => project.rust().into_iter().collect(),
        Ecosystem::Java => project.java().into_iter().collect(),
        Ecosystem::Ruby => project.ruby().into_iter().collect(),
        Ecosystem::Php => project.php().into_iter().collect(),
        Ecosystem::DotNet => project.dotnet().into_iter().collect(),
        Ecosystem::Elixir => project.elixir().into_iter().collect(),
        Ecosystem::Deno => project.deno().into_iter().collect(),
        Ecosystem::Tail(row) => project.tail(row).into_iter().collect(),
        Ecosystem::Static => project.site().into_iter().collect(),
        Ecosystem::Shell => project.shell().into_iter().collect::<Vec<_>>(),
    };
    for draft in &mut out {
        project.finish(draft);
    }
    out
}

/// A folder with a manifest.
pub(super) struct Project<'all> {
    pub(super) workspace: &'all Workspace,
    pub(super) dir: &'all str,
    pub(super) lenient: bool,
}

impl<'all> Project<'all> {
    pub(super) fn text(&self, name: &str) -> &'all str {
        self.workspace.text(&join(self.dir, name)).unwrap_or_default()
    }

    pub(super) fn place(&self, name: &str, needle: &str) -> Place {
        let path = join(self.dir, name);
        let (line, text) = find_line(self.workspace.text(&path).unwrap_or_default(), needle);
        Place::new(path, line, text)
    }

    pub(super) fn sources(&self, tails: &[&str], manifest: fn(&str) -> bool) -> Vec<String> {
        let nested: std::collections::BTreeSet<&str> =
            self.workspace.tree.under(self.dir).filter(|path| manifest(base_of(path)) && dir_of(path) != self.dir).map(dir_of).collect();
        let files = self.workspace.sources_under(self.dir);
        let own = |path: &str| tails.iter().any(|tail| path.ends_with(tail)) && !super::walk::below_one(path, self.dir, &nested);
        files.filter(|path| own(path) && !super::assemble::beside(path, self.dir)).map(str::to_owned).collect()
    }

    pub(super) fn facts<'own>(&'own self, sources: &'own [String]) -> impl Iterator<Item = (&'own str, &'own Facts)> {
        self.workspace.facts(sources)
    }

    pub(super) fn has_dockerfile(&self) -> bool {
        !super::assemble::dockerfiles_of(self.workspace, self.dir).is_empty()
    }

    pub(super) fn listens(&self, sources: &[String]) -> bool {
        self.facts(sources).any(|(_, facts)| facts.listens.iter().any(|listen| listen.by != "constant"))
    }

    /// What every draft of this file ends with.
    fn finish(&self, draft: &mut Draft) {
        let procfile = join(self.dir, "Procfile");
        let text = self.workspace.text(&procfile).unwrap_or_default();
        for (process, command, place) in super::pip::procfile(&procfile, text) {
            match process.as_str() {
                "web" => {
                    // Whoever sets the variable decides, not the server's own default.
                    if draft.assumed_port && super::start::parse(&command).port_variable.is_some() {
                        draft.service.ports.clear();
                        draft.assumed_port = false;
                    }
                    draft.start(command, place);
                    draft.certain = true;
                }
                "release" => draft.fact("release.command", command),
                _ => {}
            }
        }
        if draft.service.kind != Kind::Static {
            super::assemble::code_ports(self.workspace, draft);
        }
    }

    /// One service per `package main` that serves; of one alone, that one.
    fn go(&self) -> Vec<Draft> {
        let sources = self.sources(&[".go"], |name| name == "go.mod");
        let module = self.text("go.mod");
        let (line, shown) = find_line(module, "go ");
        let mut mains: Vec<&str> = self.facts(&sources).filter(|(_, facts)| facts.program).map(|(path, _)| dir_of(path)).collect();
        mains.dedup();
        let listens = self.listens(&sources);
        let dirs: Vec<&str> = if mains.len() > 1 {
            let named: Vec<&str> = mains
                .iter()
                .copied()
                .filter(|dir| !["cli", "ctl", "tool", "tools", "hack", "gen", "podcli"].iter().any(|word| base_of(dir) == *word))
                .collect();
            let serving: Vec<&str> = named
                .iter()
                .copied()
                .filter(|dir| {
                    sources
                        .iter()
                        .filter(|path| dir_of(path) == *dir)
                        .any(|path| self.workspace.sources.get(path).is_some_and(|facts| facts.listens.iter().any(|listen| listen.by != "constant")))
                })
                .collect();
            if serving.is_empty() { named } else { serving }
        } else {
            mains
        };
        let uncertain = !listens && !self.has_dockerfile();
        if uncertain && !self.lenient {
            return Vec::new();
        }
        let many = dirs.len() > 1;
        let exposes = super::assemble::dockerfiles_of(self.workspace, self.dir).iter().any(|(_, file)| !file.exposed().is_empty());
        let kind = if listens || exposes { Kind::Api } else { Kind::Worker };
        dirs.into_iter()
            .map(|dir| {
                let mut draft = Draft::new(self.dir, "go", kind);
                draft.certain = !uncertain;
                draft.sources = sources.clone();
                draft.service.package_manager = Some(if module.is_empty() { "go" } else { "go-modules" }.to_owned());
                draft.service.install_command = (!module.is_empty()).then(|| "go mod download".to_owned());
                let below = super::walk::below(dir, self.dir);
                let main = if dir == self.dir { ".".to_owned() } else { format!("./{below}") };
                draft.service.build_command = Some(format!("go build -o /app {main}"));
                draft.fact("go.main", main);
                draft.process = many.then(|| base_of(dir).to_owned());
                draft.service.language_version = super::versions::series("go", shown.trim_start_matches("go ")).filter(|_| line > 0);
                draft.shows("language", if module.is_empty() { Place::file(dir) } else { Place::new(join(self.dir, "go.mod"), line, shown) });
                draft.manifest_name = module.lines().find_map(|line| line.strip_prefix("module ")).map(|name| base_of(name.trim()).to_owned());
                for (name, version) in module.lines().filter_map(|line| line.trim().trim_start_matches("require ").split_once(" v")) {
                    draft.service.dependencies.insert(name.to_ascii_lowercase(), version.split_whitespace().next().unwrap_or_default().to_owned());
                }
                let frameworks = [
                    ("github.com/gin-gonic/gin", "gin"),
                    ("github.com/gofiber/fiber", "fiber"),
                    ("github.com/labstack/echo", "echo"),
                    ("github.com/go-chi/chi", "chi"),
                    ("github.com/cloudwego/hertz", "hertz"),
                    ("github.com/go-kratos/kratos", "kratos"),
                    ("github.com/zeromicro/go-zero", "go-zero"),
                    ("github.com/beego/beego", "beego"),
                    ("github.com/kataras/iris", "iris"),
                    ("github.com/gobuffalo/buffalo", "buffalo"),
                    ("github.com/mark3labs/mcp-go", "mcp-go"),
                    ("github.com/modelcontextprotocol/go-sdk", "mcp-go-sdk"),
                    ("github.com/gorilla/mux", "gorilla/mux"),
                    ("google.golang.org/grpc", "grpc"),
                ];
                let direct = |package: &str| module.lines().any(|line| line.contains(package) && !line.contains("// indirect"));
                if let Some((package, name)) = frameworks.iter().find(|(package, _)| direct(package)) {
                    draft.service.framework = Some((*name).to_owned());
                    draft.shows("framework", self.place("go.mod", package));
                } else if self.facts(&sources).any(|(_, facts)| facts.imports("net/http")) {
                    draft.service.framework = Some("net/http".to_owned());
                }
                if let Some(root) = self.go_work() {
                    draft.fact("go.work", root);
                }
                if self.workspace.tree.has(&join(self.dir, "go.sum")) {
                    draft.fact("lockfile", join(self.dir, "go.sum"));
                }
                draft
            })
            .collect()
    }

    /// The folder further up whose go.work uses this module.
    fn go_work(&self) -> Option<String> {
        let mut root = self.dir;
        while root != "." {
            root = super::walk::dir_of(root);
            let text = self.workspace.text(&join(root, "go.work")).unwrap_or_default();
            let module = format!("./{}", super::walk::below(self.dir, root));
            if text.lines().any(|line| line.trim().trim_start_matches("use ").trim().trim_matches('"') == module) {
                return Some(root.to_owned());
            }
        }
        None
    }

    fn rust(&self) -> Option<Draft> {
        let table = self.workspace.toml(&join(self.dir, "Cargo.toml"))?;
        let package = table.get("package")?;
        let sources = self.sources(&[".rs"], |name| name == "Cargo.toml");
        let named = package.get("name").and_then(|name| name.as_str()).unwrap_or("app").to_owned();
        let program = self.rust_program(&table, &named);
        let dependencies = table.get("dependencies").and_then(|map| map.as_table());
        // The framework, and its own port.
        let frameworks = [
            ("loco-rs", "loco", Some(5150)),
            ("axum", "axum", None),
            ("actix-web", "actix-web", None),
            ("rocket", "rocket", Some(8000)),
            ("warp", "warp", None),
            ("poem", "poem", None),
            ("salvo", "salvo", None),
            ("tide", "tide", None),
            ("ntex", "ntex", None),
            ("gotham", "gotham", None),
            ("trillium", "trillium", Some(8080)),
            ("rouille", "rouille", None),
            ("tiny_http", "tiny_http", None),
            ("tonic", "tonic", None),
            ("rmcp", "rmcp", None),
        ];
        let framework = frameworks.iter().find(|(name, ..)| dependencies.is_some_and(|map| map.contains_key(*name)));
        let certain = program.is_some() && (framework.is_some() || self.listens(&sources) || self.has_dockerfile());
        let program = program.filter(|_| certain || self.lenient)?;
        let mut draft = Draft::new(self.dir, "rust", Kind::Api);
        draft.certain = certain;
        draft.sources = sources;
        draft.service.package_manager = Some("cargo".to_owned());
        draft.service.build_command = Some("cargo build --release --locked".to_owned());
        draft.start(format!("./bin/{program}"), self.place("Cargo.toml", "name"));
        draft.fact("rust.binary", program);
        draft.manifest_name = Some(named);
        for (name, about) in dependencies.into_iter().flatten() {
            let version = about.as_str().or_else(|| about.get("version").and_then(|version| version.as_str())).unwrap_or_default();
            draft.service.dependencies.insert(name.to_ascii_lowercase(), version.to_owned());
        }
        self.rust_version(&mut draft, &table);
        for lock in [join(self.dir, "Cargo.lock"), "Cargo.lock".to_owned()] {
            if self.workspace.tree.has(&lock) {
                draft.fact("lockfile", lock);
                break;
            }
        }
        draft.shows("language", self.place("Cargo.toml", "[package]"));
        if let Some((package, name, own)) = framework {
            let place = self.place("Cargo.toml", package);
            draft.service.framework = Some((*name).to_owned());
            draft.shows("framework", place.clone());
            super::assemble::code_ports(self.workspace, &mut draft);
            let rocket = (*name == "rocket").then(|| self.rocket_port()).flatten();
            match (rocket, own) {
                (Some((port, place)), _) => draft.port(port, "http", place),
                (None, Some(port)) if draft.service.ports.is_empty() => {
                    draft.port(*port, "http", place);
                    draft.assumed_port = true;
                }
                (None, Some(_) | None) => {}
            }
        }
        Some(draft)
    }

    /// The binary that is meant: `default-run`, else the package's own, else the first one named.
    fn rust_program(&self, table: &toml::Table, package: &str) -> Option<String> {
        let about = table.get("package")?;
        if let Some(name) = about.get("default-run").and_then(|name| name.as_str()) {
            return Some(name.to_owned());
        }
        let bins = table.get("bin").and_then(|bins| bins.as_array());
        let named = bins.and_then(|bins| bins.first()).and_then(|bin| bin.get("name")).and_then(|name| name.as_str()).map(str::to_owned);
        if named.is_some() {
            return named;
        }
        if self.workspace.tree.has(&join(self.dir, "src/main.rs")) {
            return Some(package.to_owned());
        }
        let home = join(self.dir, "src/bin");
        let first = self.workspace.tree.under(&home).find(|path| path.ends_with(".rs"))?;
        super::walk::below(first, &home).trim_end_matches("/main.rs").trim_end_matches(".rs").split('/').next().map(str::to_owned)
    }

    fn rust_version(&self, draft: &mut Draft, table: &toml::Table) {
        for name in ["rust-toolchain.toml", "rust-toolchain"] {
            for path in [join(self.dir, name), name.to_owned()] {
                let Some(text) = self.workspace.text(&path) else { continue };
                let (line, shown) = match find_line(text, "channel") {
                    (0, _) => (1, text.trim()),
                    found => found,
                };
                if let Some(series) = super::versions::series("rust", shown.rsplit('=').next().unwrap_or_default().trim().trim_matches('"')) {
                    draft.service.language_version = Some(series);
                    return draft.shows("language_version", Place::new(path, line, shown));
                }
            }
        }
        let declared = table.get("package").and_then(|package| package.get("rust-version")).and_then(|version| version.as_str());
        if let Some(series) = declared.and_then(|version| super::versions::series("rust", version)) {
            draft.service.language_version = Some(series);
            let place = self.place("Cargo.toml", "rust-version");
            draft.shows("language_version", place);
        }
    }

    /// What Rocket.toml says for every profile, or for releases.
    fn rocket_port(&self) -> Option<(u16, Place)> {
        let path = join(self.dir, "Rocket.toml");
        let table = self.workspace.toml(&path)?;
        let port = ["release", "default", "global"].iter().find_map(|profile| table.get(*profile)?.get("port")?.as_integer())?;
        let (line, shown) = find_line(self.workspace.text(&path)?, "port");
        Some((u16::try_from(port).ok()?, Place::new(path, line, shown)))
    }

    fn ruby(&self) -> Option<Draft> {
        let gemfile = self.text("Gemfile");
        let sources = self.sources(&[".rb"], |name| name == "Gemfile");
        let gem = |name: &str| {
            gemfile.lines().any(|line| line.trim_start().starts_with("gem") && (line.contains(&format!("\"{name}\"")) || line.contains(&format!("'{name}'"))))
        };
        let framework = [("rails", "rails"), ("sinatra", "sinatra"), ("hanami", "hanami"), ("roda", "roda"), ("grape", "grape")]
            .into_iter()
            .find(|(name, _)| gem(name))
            .map(|(_, name)| name);
        let rack = self.workspace.tree.has(&join(self.dir, "config.ru"));
        let script = self.workspace.first_in(self.dir, &["app.rb", "main.rb", "server.rb", "index.rb"]);
        let certain = framework.is_some() || rack || self.has_dockerfile();
        if !certain && !self.lenient {
            return None;
        }
        let mut draft = Draft::new(self.dir, "ruby", if framework == Some("rails") { Kind::Web } else { Kind::Api });
        draft.certain = certain;
        draft.sources = sources;
        draft.service.framework = framework.map(str::to_owned);
        draft.service.package_manager = (!gemfile.is_empty()).then(|| "bundler".to_owned());
        draft.service.install_command = (!gemfile.is_empty()).then(|| "bundle install".to_owned());
        for line in gemfile.lines().filter(|line| line.trim_start().starts_with("gem ")) {
            if let Some(name) = line.split(['"', '\'']).nth(1) {
                draft.service.dependencies.insert(name.to_ascii_lowercase(), line.split(['"', '\'']).nth(3).unwrap_or_default().to_owned());
            }
        }
        draft.service.language_version = super::versions::series("ruby", &self.ruby_version(gemfile));
        let (command, place, port) = match (framework, &script) {
            (Some("rails"), _) => ("bundle exec rails server -b 0.0.0.0 -p 3000".to_owned(), self.place("Gemfile", "rails"), Some(3000)),
            (Some("sinatra"), Some(script)) if !rack => {
                (format!("bundle exec ruby {}", super::walk::below(script, self.dir)), Place::file(script.clone()), Some(4567))
            }
            _ if rack => match self.rack_server() {
                Some(command) => (command.to_owned(), Place::file(join(self.dir, "config.ru")), Some(9292)),
                None => return Some(draft),
            },
            (_, Some(script)) => (format!("ruby {}", super::walk::below(script, self.dir)), Place::file(script.clone()), None),
            (None, None) if !self.has_dockerfile() && self.rakes().is_some() => {
                draft.service.kind = Kind::Job;
                let place = self.rakes().unwrap_or_default();
                (if gemfile.is_empty() { "rake" } else { "bundle exec rake" }.to_owned(), place, None)
            }
            (_, None) => return (certain || self.lenient).then_some(draft),
        };
        draft.start(command, place.clone());
        draft.shows("language", Place::file(join(self.dir, "Gemfile")));
        super::assemble::code_ports(self.workspace, &mut draft);
        match (port, draft.service.main_port()) {
            (Some(port), None) => {
                draft.port(port, "http", place);
                draft.assumed_port = true;
            }
            // What config/puma.rb says, said to the command as well: an option comes before a file.
            (Some(own), Some(port)) if own != port => {
                draft.service.start_command = draft.service.start_command.take().map(|command| command.replace(&own.to_string(), &port.to_string()));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
        if self.workspace.tree.has(&join(self.dir, "Gemfile.lock")) {
            draft.fact("lockfile", join(self.dir, "Gemfile.lock"));
        }
        Some(draft)
    }

    /// The task that a Rakefile runs by itself, where that is no check of the code.
    fn rakes(&self) -> Option<Place> {
        let default = |line: &&str| line.trim_start().starts_with("task") && (line.contains(":default") || line.contains("default:"));
        let line = self.text("Rakefile").lines().find(default)?;
        let checks = ["spec", "test", "rubocop", "standard", "lint"].iter().any(|word| line.contains(word));
        (!checks).then(|| self.place("Rakefile", line))
    }

    /// What `.ruby-version` says, else the Gemfile where it names one series, else the lockfile.
    fn ruby_version(&self, gemfile: &str) -> String {
        let written = self.text(".ruby-version").trim().trim_start_matches("ruby-").to_owned();
        if !written.is_empty() {
            return written;
        }
        let asked = gemfile.lines().find_map(|line| line.trim_start().strip_prefix("ruby ")?.split(['"', '\'']).nth(1)).unwrap_or_default();
        let locked = self.text("Gemfile.lock").lines().skip_while(|line| *line != "RUBY VERSION").find_map(|line| line.trim().strip_prefix("ruby "));
        match locked {
            Some(locked) if asked.is_empty() || asked.starts_with('>') => locked.to_owned(),
            Some(_) | None => asked.to_owned(),
        }
    }

    /// What starts `config.ru`: Rack's own command, which left the gem with its third version, else the server that the lockfile holds.
    fn rack_server(&self) -> Option<&'static str> {
        let lock = self.text("Gemfile.lock");
        let locked = |gem: &str| lock.lines().any(|line| line.trim_start().strip_prefix(gem).is_some_and(|rest| rest.starts_with(" (")));
        let own = lock.lines().filter_map(|line| line.trim_start().strip_prefix("rack (")?.split('.').next()?.parse::<u32>().ok()).all(|major| major < 3);
        if own || locked("rackup") {
            return Some("bundle exec rackup --host 0.0.0.0 --port 9292");
        }
        let servers = [
            ("puma", "bundle exec puma -b tcp://0.0.0.0:9292"),
            ("falcon", "bundle exec falcon serve -b http://0.0.0.0:9292"),
            ("unicorn", "bundle exec unicorn -o 0.0.0.0 -p 9292"),
            ("thin", "bundle exec thin start -a 0.0.0.0 -p 9292"),
            ("passenger", "bundle exec passenger start -a 0.0.0.0 -p 9292"),
        ];
        servers.into_iter().find(|(gem, _)| locked(gem)).map(|(_, command)| command)
    }

    fn php(&self) -> Option<Draft> {
        let composer = self.workspace.json(&join(self.dir, "composer.json"));
        let index = self.workspace.first_in(self.dir, PHP_INDEX);
        if index.is_none() && !self.workspace.tree.has(&join(self.dir, "artisan")) {
            return None;
        }
        let mut draft = Draft::new(self.dir, "php", Kind::Web);
        draft.certain = composer.is_some() || self.has_dockerfile();
        if !draft.certain && !self.lenient {
            return None;
        }
        // Served by a web server in front of the interpreter: HTTP's own port, where nothing says another.
        draft.port(80, "http", index.clone().map(Place::file).unwrap_or_else(|| Place::file(join(self.dir, "artisan"))));
        draft.assumed_port = true;
        draft.sources = self.sources(&[".php"], |name| name == "composer.json");
        let require = composer.as_ref().and_then(|composer| composer.get("require")).and_then(|map| map.as_object());
        for (name, version) in require.into_iter().flatten() {
            draft.service.dependencies.insert(name.to_ascii_lowercase(), version.as_str().unwrap_or_default().to_owned());
        }
        let framework = [
            ("laravel/framework", "laravel"),
            ("laravel/lumen-framework", "lumen"),
            ("symfony/framework-bundle", "symfony"),
            ("slim/slim", "slim"),
            ("codeigniter4/framework", "codeigniter"),
            ("cakephp/cakephp", "cakephp"),
            ("yiisoft/yii2", "yii"),
            ("drupal/core-recommended", "drupal"),
            ("drupal/core", "drupal"),
            ("laminas/laminas-mvc", "laminas"),
            ("statamic/cms", "statamic"),
        ]
        .into_iter()
        .find(|(name, _)| draft.service.depends_on(name));
        if let Some((package, name)) = framework {
            draft.service.framework = Some(name.to_owned());
            draft.shows("framework", self.place("composer.json", package));
        }
        if composer.is_some() {
            draft.service.package_manager = Some("composer".to_owned());
            draft.service.install_command = Some("composer install --no-dev --optimize-autoloader".to_owned());
        }
        draft.service.language_version = draft.service.dependencies.get("php").and_then(|spec| super::versions::series("php", spec));
        draft.fact("php.root", index.as_deref().map(|path| dir_of(super::walk::below(path, self.dir)).to_owned()).unwrap_or_else(|| "public".to_owned()));
        draft.shows("language", Place::file(index.unwrap_or_else(|| join(self.dir, "composer.json"))));
        Some(draft)
    }

    fn dotnet(&self) -> Option<Draft> {
        let project =
            self.workspace.tree.under(self.dir).find(|path| dir_of(path) == self.dir && (path.ends_with(".csproj") || path.ends_with(".fsproj")))?.to_owned();
        let text = self.workspace.text(&project).unwrap_or_default();
        let web = text.contains("Microsoft.NET.Sdk.Web");
        let worker = text.contains("Microsoft.NET.Sdk.Worker");
        let program = web || worker || text.contains("<OutputType>Exe");
        let tests = text.contains("Microsoft.NET.Test.Sdk");
        if tests || !program || !(web || worker || self.lenient || self.has_dockerfile()) {
            return None;
        }
        let sources = self.sources(&[".cs"], |name| name.ends_with(".csproj"));
        let exposes = super::assemble::dockerfiles_of(self.workspace, self.dir).iter().any(|(_, file)| !file.exposed().is_empty());
        let serves = web || exposes || text.contains("Microsoft.AspNetCore") || self.listens(&sources);
        let mut draft = Draft::new(self.dir, "csharp", if serves && !worker { Kind::Api } else { Kind::Worker });
        draft.certain = web || worker;
        draft.sources = sources;
        let name = base_of(&project).rsplit_once('.').map_or("app", |(name, _)| name).to_owned();
        draft.service.package_manager = Some("nuget".to_owned());
        draft.service.install_command = Some("dotnet restore".to_owned());
        draft.service.build_command = Some("dotnet publish -c Release -o out".to_owned());
        if web {
            let grpc = text.contains("Grpc.AspNetCore");
            draft.service.framework = Some(if grpc { "aspnet-grpc" } else { "aspnetcore" }.to_owned());
        }
        let (line, shown) = find_line(text, "<TargetFramework");
        draft.service.language_version =
            shown.split_once("net").and_then(|(_, rest)| rest.trim_start_matches("coreapp").split(['<', ';']).next()).map(str::to_owned).filter(|_| line > 0);
        draft.shows("language", Place::new(project.clone(), line, shown));
        draft.start(format!("dotnet {name}.dll"), Place::file(project));
        draft.fact("dotnet.project", name.clone());
        draft.manifest_name = Some(name);
        for line in text.lines().filter(|line| line.contains("PackageReference")) {
            let mut parts = line.split('"').skip(1).step_by(2);
            if let Some(name) = parts.next() {
                draft.service.dependencies.insert(name.to_ascii_lowercase(), parts.next().unwrap_or_default().to_owned());
            }
        }
        super::assemble::code_ports(self.workspace, &mut draft);
        if web && draft.service.ports.is_empty() {
            let evidence = draft.service.evidence.get("language").and_then(|places| places.first().cloned()).unwrap_or_default();
            // Since .NET 8 images listen without privileges.
            let older =
                draft.service.language_version.as_deref().and_then(|version| version.split('.').next()?.parse::<u32>().ok()).is_some_and(|major| major < 8);
            draft.port(if older { 80 } else { 8080 }, "http", evidence);
            draft.assumed_port = true;
        }
        Some(draft)
    }

    fn elixir(&self) -> Option<Draft> {
        let mix = self.text("mix.exs");
        let phoenix = mix.contains(":phoenix,") || mix.contains(":phoenix ");
        let certain = phoenix || mix.contains(":plug_cowboy") || mix.contains(":bandit") || self.has_dockerfile();
        if !certain && !self.lenient {
            return None;
        }
        let serves = phoenix || mix.contains(":plug_cowboy") || mix.contains(":bandit");
        let mut draft = Draft::new(self.dir, "elixir", if serves { Kind::Web } else { Kind::Worker });
        draft.certain = certain;
        draft.sources = self.sources(&[".ex", ".exs"], |name| name == "mix.exs");
        draft.service.package_manager = Some("mix".to_owned());
        draft.service.install_command = Some("mix deps.get --only prod".to_owned());
        draft.service.build_command = Some("mix release".to_owned());
        draft.shows("language", self.place("mix.exs", "defmodule"));
        // The release is named after the application.
        let app =
            mix.split_once("app: :").map(|(_, rest)| rest.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect::<String>());
        if let Some(app) = app.filter(|app| !app.is_empty()) {
            draft.fact("elixir.app", app);
        }
        if phoenix {
            draft.service.framework = Some("phoenix".to_owned());
            draft.start("mix phx.server", self.place("mix.exs", ":phoenix"));
            let place = self.place("mix.exs", ":phoenix");
            draft.port(4000, "http", place);
        }
        let app = find_line(mix, "app: :").1.split("app: :").nth(1).and_then(|rest| rest.split([',', ' ']).next()).unwrap_or_default();
        if !phoenix && !app.is_empty() {
            draft.start(format!("_build/prod/rel/{app}/bin/{app} start"), self.place("mix.exs", "app: :"));
            draft.manifest_name = Some(app.to_owned());
        }
        if !phoenix && (mix.contains(":plug_cowboy") || mix.contains(":bandit")) {
            draft.service.framework = Some("plug".to_owned());
            let place = self.place("mix.exs", if mix.contains(":bandit") { ":bandit" } else { ":plug_cowboy" });
            draft.shows("framework", place);
        }
        if mix.contains(":postgrex") {
            draft.service.dependencies.insert("postgrex".to_owned(), String::new());
        }
        Some(draft)
    }

    fn deno(&self) -> Option<Draft> {
        let manifest = ["deno.json", "deno.jsonc"].into_iter().find(|name| self.workspace.tree.has(&join(self.dir, name)))?;
        let text = super::node::without_comments(self.text(manifest));
        let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let task = json.get("tasks").and_then(|tasks| tasks.get("start")).and_then(|task| task.as_str().or_else(|| task.get("command")?.as_str()));
        let fresh = ["$fresh/", "fresh", "@fresh/core"].iter().any(|name| json.get("imports").is_some_and(|imports| imports.get(*name).is_some()));
        let entry = self.workspace.first_in(self.dir, &["main.ts", "server.ts", "mod.ts", "index.ts", "src/main.ts", "main.js", "main.tsx", "src/server.ts"]);
        if entry.is_none() && task.is_none() {
            return None;
        }
        let mut draft = Draft::new(self.dir, "deno", Kind::Api);
        draft.sources = self.sources(&[".ts", ".js", ".tsx", ".mjs"], |name| name.starts_with("deno.json"));
        draft.certain = self.listens(&draft.sources) || fresh;
        if !draft.certain && !self.lenient {
            return None;
        }
        draft.service.package_manager = Some("deno".to_owned());
        let frameworks = [
            ("fresh", fresh),
            ("oak", text.contains("/oak@") || text.contains("@oak/oak")),
            ("hono", text.contains("@hono/hono") || text.contains("npm:hono")),
        ];
        if let Some((name, _)) = frameworks.iter().find(|(_, here)| *here) {
            draft.service.framework = Some((*name).to_owned());
            let place = self.place(manifest, name);
            draft.shows("framework", place);
        }
        match (task, &entry) {
            (Some(task), _) => draft.start(task, self.place(manifest, "\"start\"")),
            (None, Some(entry)) => draft.start(format!("deno run --allow-all {}", super::walk::below(entry, self.dir)), Place::file(entry.clone())),
            (None, None) => {}
        }
        draft.entry = entry;
        draft.shows("language", Place::file(join(self.dir, manifest)));
        super::assemble::code_ports(self.workspace, &mut draft);
        if draft.certain && draft.service.ports.is_empty() {
            let place = Place::file(join(self.dir, manifest));
            draft.port(8000, "http", place);
        }
        Some(draft)
    }

    fn site(&self) -> Option<Draft> {
        let staticfile = self.text("Staticfile");
        let root = find_line(staticfile, "root:").1.split_once(':').map(|(_, dir)| dir.trim().to_owned());
        let dir = root.filter(|dir| !dir.is_empty()).or_else(|| {
            if self.workspace.tree.has(&join(self.dir, "index.html")) {
                Some(".".to_owned())
            } else {
                PAGES.iter().find(|name| self.workspace.tree.has(&join(self.dir, &format!("{name}/index.html")))).map(|name| (*name).to_owned())
            }
        })?;
        let mut draft = Draft::new(self.dir, "static", Kind::Static);
        draft.certain = true;
        draft.shows("language", Place::file(join(&join(self.dir, &dir), "index.html")));
        draft.fact("static.dir", dir);
        Some(draft)
    }

    fn shell(&self) -> Option<Draft> {
        let script = self.workspace.first_in(self.dir, &["start.sh", "run.sh"])?;
        let mut draft = Draft::new(self.dir, "shell", Kind::Worker);
        // The interpreter that its first line asks for.
        let first = self.workspace.text(&script).and_then(|text| text.lines().next()).filter(|line| line.starts_with("#!")).unwrap_or("#!/bin/sh");
        let shell = ["bash", "zsh"].into_iter().find(|shell| first.contains(shell)).unwrap_or("sh");
        if shell == "zsh" {
            draft.service.dependencies.insert(shell.to_owned(), String::new());
        }
        draft.start(format!("{shell} {}", super::walk::below(&script, self.dir)), Place::file(script.clone()));
        draft.shows("language", Place::file(script));
        Some(draft)
    }
}
