//! The long tail of languages: known by one manifest, built and started as their own tools do it; a table, no parsers.

use super::draft::Draft;
use super::facts::find_line;
use super::more::Project;
use super::walk::{base_of, dir_of, join};
use super::{Kind, Place};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// A language of the tail.
pub(crate) struct Language {
    name: &'static str,
    manager: Option<&'static str>,
    /// Names of its manifests, or their ends where they begin with a dot.
    manifests: &'static [&'static str],
    build: &'static str,
    /// `{}` becomes the program's name.
    start: &'static str,
    /// What stands before the program's name in the manifest, and what the name is enclosed by.
    named: &'static [(&'static str, char)],
    /// A dependency that makes it a server: word, framework, port.
    servers: &'static [(&'static str, &'static str, u16)],
}

const fn row(
    name: &'static str,
    manager: Option<&'static str>,
    manifests: &'static [&'static str],
    build: &'static str,
    start: &'static str,
    named: &'static [(&'static str, char)],
    servers: &'static [(&'static str, &'static str, u16)],
) -> Language {
    Language { name, manager, manifests, build, start, named, servers }
}

/// Manifests first; languages that have none are known by their sources, and only where nothing else is found.
pub(crate) const LANGUAGES: &[Language] = &[
    row(
        "gleam",
        Some("gleam"),
        &["gleam.toml"],
        "gleam export erlang-shipment",
        "./build/erlang-shipment/entrypoint.sh run",
        &[],
        &[("wisp", "wisp", 8000), ("mist", "mist", 8000)],
    ),
    row(
        "scala",
        Some("sbt"),
        &["build.sbt"],
        "sbt stage",
        "./target/universal/stage/bin/{}",
        &[("executableScriptName := \"", '"'), ("name := \"", '"')],
        &[
            ("playframework", "play", 9000),
            ("PlayScala", "play", 9000),
            ("http4s", "http4s", 8080),
            ("akka-http", "akka-http", 8080),
            ("pekko-http", "pekko-http", 8080),
        ],
    ),
    row(
        "dart",
        Some("pub"),
        &["pubspec.yaml"],
        "dart compile exe bin/{}.dart -o bin/{}.exe",
        "./bin/{}.exe",
        &[("name: ", '\n')],
        &[("shelf:", "shelf", 8080), ("dart_frog:", "dart_frog", 8080)],
    ),
    row(
        "swift",
        Some("swiftpm"),
        &["Package.swift"],
        "swift build -c release && cp .build/release/{} {}",
        "./{}",
        &[("executableTarget(name: \"", '"'), ("Package(name: \"", '"')],
        &[("vapor/vapor", "vapor", 8080), ("hummingbird", "hummingbird", 8080)],
    ),
    row(
        "crystal",
        Some("shards"),
        &["shard.yml"],
        "shards build --release",
        "./bin/{}",
        &[("targets:", ':'), ("name: ", '\n')],
        &[("kemal", "kemal", 3000), ("lucky", "lucky", 3000), ("amber", "amber", 3000)],
    ),
    row(
        "haskell",
        Some("stack"),
        &["stack.yaml"],
        "stack install",
        "~/.local/bin/{}",
        &[],
        &[("servant", "servant", 8080), ("yesod", "yesod", 3000), ("scotty", "scotty", 3000)],
    ),
    row(
        "haskell",
        Some("cabal"),
        &["cabal.project", ".cabal"],
        "cabal install --installdir=bin",
        "./bin/{}",
        &[("executable ", '\n')],
        &[("servant", "servant", 8080), ("yesod", "yesod", 3000), ("scotty", "scotty", 3000)],
    ),
    row(
        "clojure",
        Some("lein"),
        &["project.clj"],
        "lein uberjar",
        "java -jar target/uberjar/*-standalone.jar",
        &[],
        &[("ring/ring", "ring", 3000), ("pedestal", "pedestal", 8080)],
    ),
    row("clojure", Some("tools.deps"), &["deps.edn"], "", "clojure -M -m core", &[], &[("ring/ring", "ring", 3000)]),
    row(
        "cpp",
        Some("cmake"),
        &["CMakeLists.txt"],
        "cmake -B build -DCMAKE_BUILD_TYPE=Release && cmake --build build",
        "./build/{}",
        &[("add_executable(", ' '), ("project(", ' ')],
        &[("Crow", "crow", 18080), ("drogon", "drogon", 80)],
    ),
    row("cpp", Some("meson"), &["meson.build"], "meson setup build && ninja -C build", "./build/{}", &[("executable('", '\'')], &[]),
    row(
        "zig",
        Some("zig"),
        &["build.zig"],
        "zig build -Doptimize=ReleaseSafe",
        "./zig-out/bin/{}",
        &[(".name = \"", '"')],
        &[("httpz", "httpz", 8080), ("zap", "zap", 3000)],
    ),
    row(
        "erlang",
        Some("rebar3"),
        &["rebar.config"],
        "rebar3 release",
        "_build/default/rel/{}/bin/{} foreground",
        &[("{release, {", ',')],
        &[("cowboy", "cowboy", 8080)],
    ),
    row(
        "nim",
        Some("nimble"),
        &[".nimble"],
        "nimble build -d:release",
        "./{}",
        &[("bin = @[\"", '"'), ("bin           = @[\"", '"')],
        &[("jester", "jester", 5000)],
    ),
    row("ocaml", Some("dune"), &["dune-project"], "dune build --release", "dune exec {}", &[("(name ", ')')], &[("dream", "dream", 8080)]),
    row("perl", Some("cpanm"), &["cpanfile"], "", "perl {}", &[], &[("Mojolicious", "mojolicious", 3000), ("Dancer2", "dancer2", 3000)]),
    row("r", Some("renv"), &["renv.lock"], "", "Rscript app.R", &[], &[("\"shiny\"", "shiny", 3838), ("\"plumber\"", "plumber", 8000)]),
    row(
        "julia",
        Some("pkg"),
        &["Project.toml"],
        "julia --project -e 'using Pkg; Pkg.instantiate()'",
        "julia --project src/{}.jl",
        &[("name = \"", '"')],
        &[("Genie", "genie", 8000)],
    ),
    row("cobol", None, &[".cbl", ".cob"], "cobc -x -o {} {file}", "./{}", &[], &[]),
    row("scheme", None, &[".scm"], "", "guile {file}", &[], &[]),
    row("lua", None, &[".lua"], "", "lua {file}", &[], &[]),
];

/// Where the rows begin that are only sources.
const SOURCES: &[&str] = &["cobol", "scheme", "lua"];

/// The rows by the names and the endings of their manifests: every file of a workspace is asked for.
static ROWS: LazyLock<HashMap<&'static str, usize>> = LazyLock::new(|| {
    let mut rows = HashMap::new();
    for (index, language) in LANGUAGES.iter().enumerate().filter(|(_, language)| !SOURCES.contains(&language.name)) {
        for manifest in language.manifests {
            rows.entry(*manifest).or_insert(index);
        }
    }
    rows
});

/// The same in small letters.
static ANNOUNCED: LazyLock<HashSet<String>> = LazyLock::new(|| ROWS.keys().map(|manifest| manifest.to_ascii_lowercase()).collect());

/// The row that a file's name announces.
pub(crate) fn of(name: &str) -> Option<usize> {
    let named = (!name.starts_with('.')).then(|| ROWS.get(name)).flatten();
    let ending = name.rfind('.').filter(|at| *at > 0).and_then(|at| ROWS.get(name.get(at..)?));
    named.into_iter().chain(ending).min().copied()
}

/// True for a manifest of the table, whatever the case of its letters.
pub(crate) fn announced(lower: &str) -> bool {
    ANNOUNCED.contains(lower) || lower.rfind('.').and_then(|at| lower.get(at..)).is_some_and(|ending| ANNOUNCED.contains(ending))
}

/// Rows of languages without a manifest.
pub(crate) fn sources() -> impl Iterator<Item = usize> {
    LANGUAGES.iter().enumerate().filter(|(_, language)| SOURCES.contains(&language.name)).map(|(index, _)| index)
}

fn fits(language: &Language, name: &str) -> bool {
    language
        .manifests
        .iter()
        .any(|manifest| if manifest.starts_with('.') { name.ends_with(manifest) && name.len() > manifest.len() } else { name == *manifest })
}

impl Project<'_> {
    /// The service of a language of the tail.
    pub(super) fn tail(&self, index: usize) -> Option<Draft> {
        let language = LANGUAGES.get(index)?;
        let here = |home: &str| {
            let home = join(self.dir, home);
            let mut found: Vec<&str> = self.workspace.tree.under(&home).filter(|path| dir_of(path) == home && fits(language, base_of(path))).collect();
            found.sort_by_key(|path| (!["index", "main", "init", "app"].contains(&base_of(path).split('.').next().unwrap_or_default()), path.len()));
            found.first().map(|path| (*path).to_owned())
        };
        let path = here(".").or_else(|| SOURCES.contains(&language.name).then(|| here("src")).flatten())?;
        let text = self.workspace.text(&path).unwrap_or_default();
        let server = language.servers.iter().find(|(word, ..)| text.contains(word));
        if !self.lenient && !self.has_dockerfile() && server.is_none() {
            return None;
        }
        let mut draft = Draft::new(self.dir, language.name, if server.is_some() { Kind::Api } else { Kind::Worker });
        draft.certain = server.is_some() || self.has_dockerfile();
        draft.service.package_manager = language.manager.map(str::to_owned);
        draft.shows("language", Place::file(path.clone()));
        if let Some((word, framework, port)) = server {
            let (line, shown) = find_line(text, word);
            let place = Place::new(path.clone(), line, shown);
            draft.service.framework = Some((*framework).to_owned());
            draft.shows("framework", place.clone());
            draft.port(*port, "http", place);
            draft.assumed_port = true;
        }
        if language.manager == Some("sbt")
            && let Some(series) = sbt_series(self.text("project/build.properties"))
        {
            draft.fact("sbt.series", series);
        }
        let file = super::walk::below(&path, self.dir).to_owned();
        let name = self.program_name(language, &path, text);
        let needs_name = language.start.contains("{}");
        let filled = |shape: &str| shape.replace("{file}", &file).replace("{}", name.as_deref().unwrap_or_default());
        if !needs_name || name.is_some() {
            draft.service.build_command = Some(filled(language.build)).filter(|text| !text.is_empty());
            draft.start(filled(language.start), Place::file(path));
        }
        let own = (language.name == "swift").then(|| find_line(text, "name:").1.split('"').nth(1)).flatten().map(str::to_owned);
        draft.manifest_name = own.or(name);
        Some(draft)
    }

    /// What the program is called once it is built.
    fn program_name(&self, language: &Language, path: &str, text: &str) -> Option<String> {
        match (language.name, language.manager) {
            ("cobol", _) => return base_of(path).split('.').next().map(str::to_owned),
            ("perl", _) => {
                return self
                    .workspace
                    .first_in(self.dir, &["app.pl", "app.psgi", "main.pl", "script/app"])
                    .map(|path| super::walk::below(&path, self.dir).to_owned());
            }
            ("haskell", Some("stack")) => return self.haskell_program(),
            _ => {}
        }
        let dense: String = match language.name {
            // Spread over lines as its formatter does it.
            "swift" => text.lines().map(|line| line.split("//").next().unwrap_or_default().trim()).collect(),
            _ => text.to_owned(),
        };
        language.named.iter().find_map(|(before, end)| {
            let rest = dense.split_once(before)?.1.trim_start();
            let name = rest.split(*end).next()?.split(['\n', ' ', ')']).next()?.trim().trim_matches(['"', '\'', ':']);
            let plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
            plain.then(|| name.to_owned())
        })
    }

    fn haskell_program(&self) -> Option<String> {
        let package = self.text("package.yaml");
        let listed = package.split_once("\nexecutables:").and_then(|(_, rest)| rest.lines().find(|line| !line.trim().is_empty()));
        let cabal = || {
            let path = self.workspace.tree.under(self.dir).find(|path| dir_of(path) == self.dir && path.ends_with(".cabal"))?;
            self.workspace.text(path)?.lines().find_map(|line| line.strip_prefix("executable "))
        };
        listed.or_else(cabal).map(|name| name.trim().trim_end_matches(':').to_owned())
    }
}

/// `sbt.version=1.8.2` → `1.8`
fn sbt_series(properties: &str) -> Option<String> {
    let version = properties.lines().find_map(|line| line.trim().strip_prefix("sbt.version")?.trim_start().strip_prefix('='))?;
    let mut numbers = version.trim().split('.').map(str::parse::<u32>);
    Some(format!("{}.{}", numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_name_their_language() {
        let check = |name: &str, expect: Option<&str>| assert_eq!(of(name).and_then(|index| LANGUAGES.get(index)).map(|row| row.name), expect, "{name}");
        check("stack.yaml", Some("haskell"));
        check("site.cabal", Some("haskell"));
        check("CMakeLists.txt", Some("cpp"));
        check("main.cbl", None);
        check(".nimble", None);
        check("stack.yaml.lock", None);
        // An ending is the last one: a manifest of two dots would be found by nobody.
        assert!(LANGUAGES.iter().flat_map(|row| row.manifests).all(|manifest| !manifest.starts_with('.') || manifest.matches('.').count() == 1));
    }
}
