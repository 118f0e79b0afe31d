//! Every parser under words that somebody threw together: whatever comes, it ends, and it neither panics nor exhausts the stack.

use super::draft::Draft;
use super::facts::Facts;
use super::{Kind, Options, commands, docker, leaks, python, script, settings, start, versions, walk, workspace, yaml};
use super::{helm, other};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use std::time::{Duration, Instant};

/// A few for every build, many in the long tier.
fn cases() -> ProptestConfig {
    let full = std::env::var_os("LANDFALL_TEST_TIER").is_some_and(|tier| tier == "full");
    ProptestConfig { cases: if full { 3_000 } else { 40 }, failure_persistence: None, ..ProptestConfig::default() }
}

/// Words of a language between words of all, in any order, some of them many times.
fn soup(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    const COMMON: &[&str] = &[
        " ",
        "\n",
        "\n  ",
        "\t",
        "\"",
        "'",
        "`",
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        ":",
        "=",
        ",",
        ".",
        "#",
        "//",
        "/*",
        "*/",
        "$",
        "${A:-b}",
        "{{",
        "}}",
        "{{-",
        "-}}",
        "é",
        "\u{202e}",
        "\0",
        "\r\n",
        "=>",
        "<",
        ">",
        "&a",
        "*a",
        "|",
        "---",
        "\\",
        "A",
        "b1",
        "0",
        "-1",
        "http://x:1/y",
    ];
    let word = prop_oneof![
        4 => proptest::sample::select(words).prop_map(str::to_owned),
        3 => proptest::sample::select(COMMON).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => (proptest::sample::select(COMMON), 1usize..400).prop_map(|(word, times)| word.repeat(times)),
        1 => Just(String::new()),
    ];
    proptest::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

const PYTHON: &[&str] = &[
    "import os",
    "from x import (",
    "os.environ[",
    "os.getenv('A', ",
    "class S(BaseSettings):\n  ",
    "def f(a):\n  ",
    "if not ",
    ": raise ",
    "FastAPI()",
    "@app.get('/",
    "uvicorn.run(",
    "port=",
    "lambda ",
    "f'{",
    "FastMCP(",
    "mcp.run(",
    "async ",
    "= Field(",
    "model_config",
];
const SCRIPT: &[&str] = &[
    "process.env.",
    "import ",
    "from 'express'",
    "const {",
    "} = process.env",
    "z.object({",
    ".parse(process.env)",
    "app.listen(",
    "=> {",
    "if (!",
    ") throw ",
    "new McpServer(",
    "<div>",
    "export default ",
    "import.meta.env.",
    "await ",
    "class A {",
    "@Get(",
];
const OTHERS: &[&str] = &[
    "os.Getenv(\"",
    "func main() {",
    "env::var(\"",
    "System.getenv(\"",
    "ENV['",
    "getenv('",
    "Environment.GetEnvironmentVariable(\"",
    "System.get_env(\"",
    "http.ListenAndServe(\":",
    "import (",
    "@GetMapping(\"",
    "process.env.",
];
const DOCKER: &[&str] = &[
    "FROM ",
    "COPY ",
    "--from=",
    "RUN <<EOF\n",
    "EOF\n",
    "CMD [\"",
    "ENTRYPOINT ",
    "AS x\n",
    "ARG A=",
    "ENV A ",
    "EXPOSE ",
    "${A:-",
    "USER ",
    "HEALTHCHECK CMD ",
    "\\\n",
    "ADD ",
];
const COMPOSE: &[&str] = &[
    "services:\n",
    "  a:\n",
    "    build:\n",
    "    image: ",
    "    environment:\n      - ",
    "    ports: [\"",
    "    depends_on:\n",
    "context: ",
    "args:\n",
    "<<: *a\n",
    "command: ",
    "target: ",
];
const TEMPLATE: &[&str] = &[
    "{{ .Values.",
    "{{- if ",
    "{{ end }}",
    "{{ else if ",
    "{{ range $k, $v := ",
    "{{ with ",
    "{{ define \"a\" }}",
    "{{ include \"a\" . }}",
    " | nindent 4 ",
    "toYaml ",
    "{{/*",
    "*/}}",
    "kind: Deployment\n",
    "apiVersion: v1\n",
    "metadata:\n  name: ",
    "spec:\n",
    "$x := ",
    "printf \"%s\" ",
    "default 1 ",
    "index . \"a\"",
    "until 9",
    "dict \"a\" ",
    "tpl . $",
    "quote",
    "repeat 9 ",
];
const SHELL: &[&str] = &[
    "helm install ",
    "helm upgrade --install ",
    "docker build -f ",
    "uvicorn a:b ",
    "gunicorn ",
    "python -m ",
    "node ",
    "--port ",
    "-p ",
    "&& ",
    "exec ",
    "poetry run ",
    "sh -c ",
    "$PORT",
    "${A:?b}",
    "npx ",
];
const SECRETS: &[&str] = &[
    "AKIA",
    "Q3EGRZ7TLWPV5XNM",
    "-----BEGIN RSA PRIVATE KEY-----",
    "JWT_SECRET=",
    "postgres://u:",
    "@db.example.net/",
    "9f8Ze2Kq71LmVx0aPw4RtYb6",
    "sk-",
    "ghp_",
    "cG9zdGdyZXM6Ly8=",
    "password: ",
];
const SPECS: &[&str] =
    &["- **FR-001**: ", "### User Story ", "- [x] T001 ", "# Feature Specification: ", "| SC-1 | ", "<!--", "-->", "## Core Principles\n", "### I. "];
const MANIFEST: &[&str] = &[
    "{\"name\": \"a\"",
    "\"scripts\": {\"start\": \"",
    "\"dependencies\": {",
    "\"next\": \"1\"",
    "[project]\n",
    "dependencies = [",
    "requires-python = \"",
    "[tool.poetry]\n",
    "<project>",
    "<artifactId>",
    "module a\n",
    "require (",
    "gem '",
    "web: ",
    "packages:\n",
    "[[package]]\nname = ",
];

/// What ends, ends soon; a machine that builds beside it is given time.
fn soon<T>(work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let done = work();
    assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    done
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn python_of_any_shape(text in soup(PYTHON)) {
        soon(|| python::extract(&text));
    }

    #[test]
    fn scripts_of_any_shape(text in soup(SCRIPT)) {
        soon(|| script::extract(&text));
    }

    #[test]
    fn other_languages_of_any_shape(text in soup(OTHERS)) {
        let all = ["go", "java", "rs", "rb", "php", "cs", "ex", "vue"];
        let facts: Vec<Facts> = all.iter().filter_map(|tail| other::Language::of(tail)).map(|language| soon(|| other::extract(language, &text))).collect();
        assert_eq!(facts.len(), all.len());
    }

    #[test]
    fn dockerfiles_of_any_shape(text in soup(DOCKER)) {
        let file = docker::Dockerfile::parse(&text);
        let _ = (file.command(), file.exposed(), file.copies(), file.base().len(), file.user().is_some());
    }

    #[test]
    fn compose_and_yaml_of_any_shape(text in soup(COMPOSE)) {
        soon(|| docker::compose("compose.yaml", &text, &docker::Variables::read(&text)));
        let _ = soon(|| yaml::read(&text));
    }

    #[test]
    fn templates_of_any_shape(text in soup(TEMPLATE), values in soup(COMPOSE)) {
        let _ = soon(|| helm::rendered(&text, &values));
    }

    #[test]
    fn commands_of_any_shape(text in soup(SHELL)) {
        let _ = (commands::read(&text), start::parse(&text), settings::in_text(&text));
        for language in ["python", "node", "go", "java", "ruby"] {
            let _ = versions::series(language, &text);
        }
        let _ = versions::of_image(&text);
    }

    #[test]
    fn secrets_of_any_shape(text in soup(SECRETS)) {
        for name in ["values.yaml", "a.md", ".env"] {
            soon(|| leaks::scan(name, &text));
        }
    }

    /// Whole workspaces of such files: everything behind the parsers as well.
    #[test]
    fn workspaces_of_any_shape(
        manifest in soup(MANIFEST), python in soup(PYTHON), script in soup(SCRIPT), docker in soup(DOCKER),
        compose in soup(COMPOSE), template in soup(TEMPLATE), spec in soup(SPECS), shell in soup(SHELL),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let manifests = ["package.json", "pyproject.toml", "requirements.txt", "Cargo.toml", "go.mod", "pom.xml", "Gemfile", "Procfile", "package-lock.json", "uv.lock", "pnpm-workspace.yaml", "x/composer.json", "x/app.csproj", "x/mix.exs", "x/build.gradle"];
        let files = manifests.iter().map(|name| (*name, &manifest)).chain([
            ("main.py", &python), ("web/index.ts", &script), ("next.config.js", &script), ("Dockerfile", &docker), ("web/Dockerfile", &docker), ("compose.yaml", &compose), ("chart/Chart.yaml", &compose), ("chart/values.yaml", &compose),
            ("chart/templates/a.yaml", &template), ("chart/templates/_b.tpl", &template), ("specs/001-a/spec.md", &spec), (".specify/memory/constitution.md", &spec), ("README.md", &shell), ("start.sh", &shell), (".gitignore", &shell), (".dockerignore", &shell), ("k8s/a.yaml", &template),
        ]);
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let one = soon(|| super::survey(folder.path(), &Options::default())).unwrap();
        let two = super::survey(folder.path(), &Options::default()).unwrap();
        assert_eq!(one.digest, two.digest);
    }
}

#[test]
fn an_empty_draft_in_an_empty_workspace_has_nothing_to_say() {
    let folder = tempfile::tempdir().unwrap();
    let tree = walk::Tree::list(folder.path(), &Options::default());
    let workspace = workspace::Workspace::load(tree, &Options::default());
    assert!(settings::reads(&workspace, &Draft::new(".", "python", Kind::Api)).is_empty());
}
