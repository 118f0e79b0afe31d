//! What whole repositories look like: phases side by side, workspaces, servers that a chart starts, Dockerfiles beside their projects.

use super::{look, made};
use landfall::survey::{Kind, McpShape, Service, Survey};

const API: &str = "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/health')\ndef health():\n    return {}\n";
const FASTAPI: &str = "fastapi==0.120.0\nuvicorn==0.38.0\n";

fn only(survey: &Survey) -> &Service {
    assert_eq!(survey.services.len(), 1, "{:?}", survey.services);
    survey.services.first().expect("a service")
}

fn codes(survey: &Survey) -> Vec<&str> {
    survey.findings.iter().map(|finding| finding.code.as_str()).collect()
}

#[test]
fn charts_and_images_of_an_older_phase_are_not_judged() {
    let phase = |number: &str| {
        let at = |path: &str| format!("phase-{number}/{path}");
        vec![
            (at("backend/requirements.txt"), FASTAPI.to_owned()),
            (at("backend/main.py"), API.to_owned()),
            (at("backend/Dockerfile"), "FROM python:latest\nCOPY . .\nUSER 1000\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\"]\n".to_owned()),
            (at("helm/backend/Chart.yaml"), "apiVersion: v2\nname: backend\nversion: 0.1.0\n".to_owned()),
            (at("helm/backend/values.yaml"), "image:\n  tag: latest\n".to_owned()),
        ]
    };
    let seen = |phases: &[&str]| {
        let files: Vec<(String, String)> = phases.iter().flat_map(|number| phase(number)).collect();
        look(made(&files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect::<Vec<_>>()).path())
    };
    let (both, alone) = (seen(&["3", "4"]), seen(&["3"]));
    assert_eq!(only(&both).chart.as_deref(), Some("phase-4/helm/backend"));
    let places = || both.findings.iter().flat_map(|finding| finding.evidence.iter()).map(|place| place.file.as_str());
    assert!(places().any(|file| file == "phase-4/helm/backend/values.yaml"), "{:?}", both.findings);
    assert!(places().all(|file| file.starts_with("phase-4/")), "{:?}", both.findings);
    // The only phase is the application.
    assert_eq!(only(&alone).chart.as_deref(), Some("phase-3/helm/backend"));
    assert!(codes(&alone).contains(&"latest_tag") && codes(&alone).contains(&"latest_base"), "{:?}", codes(&alone));
}

#[test]
fn an_mcp_server_beside_the_program_is_not_its_own() {
    let seen = |client: &str, main: &str| {
        let main = format!("{main}{API}");
        look(
            made(&[
                ("backend/requirements.txt", "fastapi\nuvicorn\nmcp==1.25.0\nopenai-agents\n"),
                ("backend/Dockerfile", "FROM python:3.13-slim\nCOPY . .\nUSER 1000\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\"]\n"),
                ("backend/main.py", &main),
                ("backend/agent.py", client),
                ("backend/tools/server.py", "from mcp.server.fastmcp import FastMCP\nmcp = FastMCP('tasks')\n@mcp.tool()\ndef add() -> int:\n    return 1\n"),
                (
                    "backend/tools/alone.py",
                    "from tools.server import mcp\nimport uvicorn\nif __name__ == '__main__':\n    uvicorn.run(mcp.streamable_http_app(), host='0.0.0.0', port=8001)\n",
                ),
            ])
            .path(),
        )
    };
    let http = "from agents.mcp import MCPServerStreamableHttp\nserver = MCPServerStreamableHttp(params={'url': 'http://mcp-server:8001/mcp'})\n";
    let apart = seen(http, "import agent\n");
    assert_eq!(apart.mcp.shape, McpShape::HttpDeployment);
    assert!(!codes(&apart).contains(&"mcp_host_check_refuses_service_names"), "{:?}", codes(&apart));
    assert_eq!(seen("", "").mcp.shape, McpShape::SdkNotConnected);
    // A program that imports the server serves it, and is asked by other names.
    let own = seen(http, "import tools.server\n");
    assert!(codes(&own).contains(&"mcp_host_check_refuses_service_names"), "{:?}", codes(&own));
}

#[test]
fn an_app_for_phones_is_no_service() {
    let package = r#"{"name": "phone", "scripts": {"start": "expo start"}, "dependencies": {"react-native": "0.81.0", "express": "5.0.0"}}"#;
    let seen = |more: (&str, &str)| {
        let files = [
            ("api/requirements.txt", FASTAPI),
            ("api/main.py", API),
            ("phone/package.json", package),
            ("phone/index.js", "require('express')().listen(3000);\n"),
            ("phone/Gemfile", "gem 'cocoapods'\n"),
            more,
        ];
        let survey = look(made(&files).path());
        survey.services.iter().map(|service| service.dir.clone()).collect::<Vec<_>>()
    };
    assert_eq!(seen(("phone/android/build.gradle", "")), ["api"]);
    assert_eq!(seen(("phone/server/readme.txt", "")), ["api", "phone"]);
}

#[test]
fn a_dockerfile_above_its_only_project_builds_it() {
    let seen = |copy: &str| {
        let file = format!("FROM php:8.4-apache\nCOPY {copy} /var/www/html\n");
        let files = [("ratings/Dockerfile", file.as_str()), ("ratings/html/composer.json", "{}"), ("ratings/html/index.php", "<?php echo 1;\n")];
        look(made(&files).path()).services.iter().map(|service| (service.dir.clone(), service.dockerfile.clone())).collect::<Vec<_>>()
    };
    assert_eq!(seen("html/"), [("ratings/html".to_owned(), Some("ratings/Dockerfile".to_owned()))]);
    assert!(!seen("other/").contains(&("ratings/html".to_owned(), Some("ratings/Dockerfile".to_owned()))));
}

#[test]
fn an_image_for_tests_is_not_the_image() {
    let seen = |name: &str| {
        let files = [
            ("web/package.json", r#"{"name": "web", "scripts": {"build": "vite build"}, "devDependencies": {"vite": "7"}}"#),
            ("web/index.html", "<html></html>"),
            (name, "FROM node:22\nWORKDIR /app\nCOPY package.json .\nRUN npm install\nCOPY . .\nCMD [\"npm\", \"run\", \"x\"]\n"),
        ];
        only(&look(made(&files).path())).dockerfile.clone()
    };
    assert_eq!(seen("web/Dockerfile.playwright"), None);
    assert_eq!(seen("web/Dockerfile.prod").as_deref(), Some("web/Dockerfile.prod"));
}

#[test]
fn a_member_runs_on_what_its_workspace_asks_for() {
    let seen = |own: &str| {
        let member = format!(r#"{{"name": "api", "scripts": {{"start": "node index.js"}}, "dependencies": {{"express": "5"}}{own}}}"#);
        let files = [
            ("package.json", r#"{"name": "all", "private": true, "workspaces": ["apps/*"], "engines": {"node": "24.x"}}"#),
            ("package-lock.json", "{}"),
            ("apps/api/package.json", member.as_str()),
            ("apps/api/index.js", "require('express')().listen(3000);\n"),
        ];
        only(&look(made(&files).path())).language_version.clone()
    };
    assert_eq!(seen("").as_deref(), Some("24"));
    assert_eq!(seen(r#", "engines": {"node": "20.x"}"#).as_deref(), Some("20"));
}

#[test]
fn a_module_is_built_with_what_its_parent_asks_for() {
    let seen = |own: &str| {
        let own = format!("plugins {{ id 'org.springframework.boot' }}\n{own}");
        let files = [
            ("settings.gradle", "include 'gateway'\n"),
            ("build.gradle", "subprojects {\n  java {\n    toolchain { languageVersion = JavaLanguageVersion.of(21) }\n  }\n}\n"),
            ("gateway/build.gradle", own.as_str()),
            ("gateway/src/main/java/x/App.java", "package x;\npublic class App {\n  public static void main(String[] args) {}\n}\n"),
        ];
        only(&look(made(&files).path())).language_version.clone()
    };
    assert_eq!(seen("").as_deref(), Some("21"));
    assert_eq!(seen("sourceCompatibility = '17'\n").as_deref(), Some("17"));
}

#[test]
fn ports_that_stand_beside_the_compose_file_are_known() {
    let seen = |env: &str| {
        let files = [
            (
                "compose.yaml",
                "services:\n  orders:\n    build: {context: ., dockerfile: \"${ORDERS_FILE}\"}\n    ports: [\"${ORDERS_PORT}\"]\n    environment: [ORDERS_PORT]\n",
            ),
            (".env", env),
            ("src/orders/go.mod", "module orders\n\ngo 1.25\n"),
            (
                "src/orders/main.go",
                "package main\n\nimport (\n\t\"net/http\"\n\t\"os\"\n)\n\nfunc main() {\n\t_ = http.ListenAndServe(\":\"+os.Getenv(\"ORDERS_PORT\"), nil)\n}\n",
            ),
            (
                "src/orders/Dockerfile",
                "FROM golang:1.25 AS build\nCOPY ./src/orders/ .\nRUN go build -o /orders .\nFROM debian:13\nCOPY --from=build /orders /orders\nUSER 1000\nCMD [\"/orders\"]\n",
            ),
        ];
        let survey = look(made(&files).path());
        let service = only(&survey);
        (service.compose_service.clone(), service.ports.iter().map(|port| port.port).collect::<Vec<_>>())
    };
    assert_eq!(seen("ORDERS_PORT=9100\nORDERS_FILE=./src/orders/Dockerfile\n"), (Some("orders".to_owned()), vec![9100]));
    assert_eq!(seen(""), (None, vec![]));
}

#[test]
fn an_image_built_from_the_top_out_of_its_own_folder_is_that_folders() {
    let seen = |copy: &str| {
        let file = format!("FROM nginx:1.29\nCOPY {copy} /usr/share/nginx/html/\n");
        let files = [
            ("compose.yaml", "services:\n  pictures:\n    build: {context: ., dockerfile: src/pictures/Dockerfile}\n"),
            ("src/pictures/Dockerfile", file.as_str()),
            ("src/pictures/static/a.svg", "<svg/>"),
        ];
        only(&look(made(&files).path())).dir.clone()
    };
    assert_eq!(seen("src/pictures/static"), "src/pictures");
    assert_eq!(seen("."), ".");
}

#[test]
fn an_environment_of_conda_is_known_and_no_image_is_promised() {
    let environment = "name: model\nchannels: [conda-forge]\ndependencies:\n  - python=3.12\n  - conda-forge::numpy=2.1=py312\n  - uvicorn>=0.30\n  - pip:\n      - fastapi==0.120.0\n";
    let seen = |more: &[(&str, &str)]| {
        let survey = look(made(&[&[("environment.yml", environment), ("main.py", API)][..], more].concat()).path());
        let service = only(&survey);
        let version = |name: &str| service.dependencies.get(name).cloned();
        let ready = survey.ready.first().map(|ready| ready.containerizable);
        (
            service.package_manager.clone(),
            service.language_version.clone(),
            [version("numpy"), version("uvicorn"), version("fastapi"), version("python")],
            ready,
        )
    };
    let versions = |fastapi: &str| [Some("2.1".to_owned()), Some(">=0.30".to_owned()), Some(fastapi.to_owned()), None];
    assert_eq!(seen(&[]), (Some("conda".to_owned()), Some("3.12".to_owned()), versions("0.120.0"), Some(false)));
    // What pip can install needs no conda.
    let (manager, _, _, ready) = seen(&[("requirements.txt", FASTAPI)]);
    assert_eq!((manager.as_deref(), ready), (Some("pip"), Some(true)));
}

#[test]
fn a_rakefile_is_a_job_unless_it_checks_the_code() {
    let seen = |task: &str| {
        let survey = look(made(&[("Gemfile", "source 'https://rubygems.org'\ngem 'rake'\n"), ("Rakefile", task), ("lib/report.rb", "puts 1\n")]).path());
        survey.services.first().map(|service| (service.kind, service.start_command.clone()))
    };
    assert_eq!(seen("task :default do\n  ruby 'lib/report.rb'\nend\n"), Some((Kind::Job, Some("bundle exec rake".to_owned()))));
    assert_ne!(seen("task default: %i[spec rubocop]\n").and_then(|(_, start)| start).as_deref(), Some("bundle exec rake"));
}
