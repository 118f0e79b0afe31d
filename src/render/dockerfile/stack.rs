//! Which template a service takes, as one table; a stack without a row is refused with what is known.

use crate::blueprint::{standalone, workspace_root};
use crate::failure::{Code, Failure};
use crate::survey::{Kind, Service};

/// What fills a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Python,
    Node,
    Static,
    Go,
    Rust,
    Java,
    DotNet,
    Ruby,
    Php,
    Elixir,
    Deno,
    /// A language of the long tail: built by its own command to one program or folder.
    Tail,
}

/// One template and what belongs to it.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) name: &'static str,
    pub(super) family: Family,
    pub(super) template: &'static str,
    /// The series of the language's image where the project declares none, and how many numbers its tag has.
    pub(super) series: &'static str,
    pub(super) parts: usize,
    /// What a build on a developer's machine leaves behind.
    pub(super) built: &'static str,
}

macro_rules! stacks {
    ($($name:literal $family:ident $series:literal $parts:literal $built:literal;)*) => {
        const STACKS: &[Stack] = &[$(Stack {
            name: $name,
            family: Family::$family,
            template: include_str!(concat!($name, ".Dockerfile")),
            series: $series,
            parts: $parts,
            built: $built,
        }),*];
    };
}

stacks! {
    "python-pip" Python "3.13" 2 "";
    "python-uv" Python "3.13" 2 "";
    "python-uv-workspace" Python "3.13" 2 "";
    "python-poetry" Python "3.13" 2 "";
    "python-export" Python "3.13" 2 "";
    "node-next-standalone" Node "22" 1 "dist\nbuild\nout";
    "node-build" Node "22" 1 "dist\nbuild\nout";
    "node-plain" Node "22" 1 "";
    "node-workspace" Node "22" 1 "**/dist\n**/build\n**/out";
    "static-node" Node "22" 1 "dist\nbuild\nout";
    "static-workspace" Node "22" 1 "**/dist\n**/build\n**/out";
    "static-plain" Static "" 0 "";
    "go" Go "1.25" 2 "";
    "go-workspace" Go "1.25" 2 "";
    "rust" Rust "1.91" 2 "target";
    "java-maven" Java "21" 1 "target";
    "java-gradle" Java "21" 1 "build\n.gradle";
    "java-maven-module" Java "21" 1 "**/target";
    "java-gradle-module" Java "21" 1 "**/build\n**/.gradle";
    "dotnet" DotNet "9.0" 2 "**/bin\n**/obj";
    "ruby" Ruby "3.4" 2 "log\ntmp\nvendor/bundle\n.bundle";
    "php" Php "8.4" 2 "vendor\nstorage/logs";
    "elixir" Elixir "1.18" 2 "_build\ndeps\npriv/static/assets";
    "deno" Deno "2.5.6" 3 "";
    "go-bare" Go "1.25" 2 "";
    "swift" Tail "6.1" 2 ".build";
    "dart" Tail "3.9" 2 ".dart_tool\nbuild";
    "crystal" Tail "1.17.1" 3 "lib\nbin";
    "compiled" Tail "" 0 "build\nbuilddir";
    "haskell-stack" Tail "9" 1 ".stack-work\ndist-newstyle";
    "gleam" Tail "1.12.0" 3 "build";
    "scala-sbt" Tail "21" 1 "**/target\n.bsp";
    "shell" Tail "" 0 "";
}

impl Stack {
    /// The row for a service; `NOT_SUPPORTED` says what is missing.
    pub(super) fn of(facts: &Service) -> Result<&'static Self, Failure> {
        let manager = facts.package_manager.as_deref().unwrap_or_default();
        let missing = |what: String| {
            Failure::new(Code::NotSupported, format!("write a Dockerfile for {}: {what}", facts.name))
                .help(format!("put a Dockerfile into {}; it is used as it is", facts.dir))
        };
        facts.templated().map_err(missing)?;
        let member = workspace_root(facts).is_some();
        let name = match (facts.language.as_str(), manager) {
            ("python", "" | "pip") => "python-pip",
            ("python", "uv") if member => "python-uv-workspace",
            ("python", "uv") => "python-uv",
            ("python", "poetry") => "python-poetry",
            ("python", "pipenv" | "pdm") => "python-export",
            ("node", _) => match (facts.kind, facts.build_command.is_some()) {
                (Kind::Static, true) if member => "static-workspace",
                (Kind::Static, true) => "static-node",
                (Kind::Static, false) => "static-plain",
                _ if member => "node-workspace",
                _ if standalone(facts) => "node-next-standalone",
                (_, true) => "node-build",
                (_, false) => "node-plain",
            },
            ("go", "go") => "go-bare",
            ("go", _) if member => "go-workspace",
            ("go", _) => "go",
            ("rust", _) => "rust",
            ("java", "" | "maven") if member => "java-maven-module",
            ("java", "gradle") if member => "java-gradle-module",
            ("java", "" | "maven") => "java-maven",
            ("java", "gradle") => "java-gradle",
            ("csharp", _) => "dotnet",
            ("ruby", _) => "ruby",
            ("php", _) => "php",
            ("elixir", _) => "elixir",
            ("deno", _) => "deno",
            ("swift", _) => "swift",
            ("dart", _) => "dart",
            ("crystal", _) => "crystal",
            ("cpp" | "cobol", _) => "compiled",
            ("haskell", "stack") => "haskell-stack",
            ("gleam", _) => "gleam",
            ("scala", _) => "scala-sbt",
            ("shell" | "scheme" | "lua", _) => "shell",
            ("html" | "static" | "", _) if facts.kind == Kind::Static => "static-plain",
            (other, _) => return Err(missing(format!("there is no template for {other} that serves"))),
        };
        STACKS.iter().find(|stack| stack.name == name).ok_or_else(|| Failure::internal(format!("there is no row for the template {name}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::survey::TEMPLATED;

    fn service(language: &str, manager: Option<&str>, kind: &str) -> Service {
        let json = serde_json::json!({
            "name": "x", "dir": "x", "kind": kind, "language": language, "package_manager": manager,
            "ports": [], "env": [], "backing": [], "calls": [], "evidence": {},
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn what_the_survey_calls_ready_has_a_template() {
        for (language, managers) in TEMPLATED {
            let kind = if matches!(*language, "static" | "html") { "static" } else { "api" };
            let any = [None];
            let given: Vec<Option<&str>> = if managers.is_empty() { any.to_vec() } else { managers.iter().copied().map(Some).collect() };
            for manager in given {
                assert!(Stack::of(&service(language, manager, kind)).is_ok(), "{language} {manager:?}");
            }
        }
        for (language, manager) in [("python", "conda"), ("haskell", "cabal"), ("clojure", "lein")] {
            let failure = Stack::of(&service(language, Some(manager), "api")).err();
            assert_eq!(failure.map(|failure| failure.code), Some(Code::NotSupported), "{language} {manager}");
        }
    }
}
