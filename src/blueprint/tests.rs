//! Rules of the blueprint, each as a sentence.

use super::*;
use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::survey::{BackingNeed, Call, EnvRead, Health, Kind, Phase, Port, Required, Service, Survey};

fn survey() -> Survey {
    serde_json::from_str(include_str!("../../tests/render/survey.json")).unwrap()
}

fn drawn(survey: &Survey, toml: &str, wishes: &Wishes) -> Result<Blueprint, Failure> {
    draw(survey, &Config::parse(&format!("schema = 1\n{toml}")).unwrap(), &AppName::parse("notes").unwrap(), wishes)
}

fn in_cluster() -> Wishes {
    Wishes { backing: BTreeMap::from([("postgres".to_owned(), "in_cluster".to_owned())]), ..Wishes::default() }
}

fn env(blueprint: &Blueprint, service: &str) -> Vec<String> {
    let show = |setting: &EnvSetting| match &setting.value {
        EnvValue::Literal { text } => format!("{}={text}", setting.name),
        EnvValue::SecretKey { secret, key } => format!("{}<{secret}/{key}", setting.name),
    };
    blueprint.workload(service).unwrap().env.iter().map(show).collect()
}

/// Draws after a change of the survey, and shows one service's variables.
fn check_env(change: impl Fn(&mut Survey), toml: &str, wishes: &Wishes, service: &str, expect: &[&str]) {
    let mut survey = survey();
    change(&mut survey);
    assert_eq!(env(&drawn(&survey, toml, wishes).unwrap(), service), expect);
}

fn service<'s>(survey: &'s mut Survey, name: &str) -> &'s mut Service {
    survey.services.iter_mut().find(|service| service.name.as_str() == name).unwrap()
}

fn read(name: &str, required: Required, secret: bool, default: Option<&str>) -> EnvRead {
    EnvRead {
        name: EnvName::parse(name).unwrap(),
        required,
        secret,
        phases: vec![Phase::Run],
        default: default.map(str::to_owned),
        consumers: vec![],
        evidence: vec![Place::new("a.py", 1, name)],
    }
}

fn codes(blueprint: &Blueprint) -> Vec<&str> {
    blueprint.findings.iter().map(|finding| finding.code.as_str()).collect()
}

fn needed(blueprint: &Blueprint) -> Vec<(&str, Vec<&str>)> {
    blueprint.values_needed.iter().map(|value| (value.name.as_str(), value.accepts.iter().map(String::as_str).collect())).collect()
}

#[test]
fn addresses_of_calls_ports_and_credentials_are_one_fact_each() {
    let wishes = in_cluster();
    check_env(|_| {}, "", &wishes, "web", &["API_URL=http://api:8000", "HOSTNAME=0.0.0.0", "PORT=3000"]);
    check_env(
        |_| {},
        "",
        &wishes,
        "api",
        &["DATABASE_URL<postgres-credentials/URL_SQLALCHEMY_PSYCOPG", "JWT_SECRET<notes-values/JWT_SECRET", "MCP_SERVER_URL=http://mcp:8001/mcp"],
    );
    check_env(|_| {}, "", &wishes, "mcp", &["DATABASE_URL<postgres-credentials/URL_SQLALCHEMY_PSYCOPG", "PORT=8001"]);
    // A server that Astro builds keeps to its own machine where nothing tells it otherwise.
    let astro = |survey: &mut Survey| {
        let web = service(survey, "web");
        web.framework = Some("astro".to_owned());
        web.build_facts.remove("next.standalone");
    };
    check_env(astro, "", &wishes, "web", &["API_URL=http://api:8000", "HOST=0.0.0.0", "PORT=3000"]);
    // The port of a person changes every place where it is spoken of.
    check_env(|_| {}, "[service.mcp]\nport = 9000\n", &wishes, "mcp", &["DATABASE_URL<postgres-credentials/URL_SQLALCHEMY_PSYCOPG", "PORT=9000"]);
    let blueprint = drawn(&survey(), "[service.mcp]\nport = 9000\n", &wishes).unwrap();
    assert!(env(&blueprint, "api").contains(&"MCP_SERVER_URL=http://mcp:9000/mcp".to_owned()));
    assert_eq!(blueprint.workload("mcp").unwrap().port, Some(9000));
}

#[test]
fn a_person_has_the_first_word_about_a_value() {
    let mut wishes = in_cluster();
    wishes.secrets.insert(EnvName::parse("JWT_SECRET").unwrap(), crate::config::ValueSource::Generate);
    let toml = "[service.api.env]\nLOG_LEVEL = \"debug\"\nDATABASE_HOST = \"nowhere\"\nMCP_SERVER_URL = \"http://else:1/mcp\"\n[secrets]\nOPENAI_API_KEY = \"env:OPENAI_API_KEY\"\n";
    let blueprint = drawn(&survey(), toml, &wishes).unwrap();
    assert_eq!(
        env(&blueprint, "api"),
        [
            "DATABASE_HOST=nowhere",
            "DATABASE_URL<postgres-credentials/URL_SQLALCHEMY_PSYCOPG",
            "JWT_SECRET<notes-values/JWT_SECRET",
            "LOG_LEVEL=debug",
            "MCP_SERVER_URL=http://else:1/mcp",
            "OPENAI_API_KEY<notes-values/OPENAI_API_KEY",
        ]
    );
    assert!(blueprint.values_needed.is_empty(), "{:?}", blueprint.values_needed);
    let values = blueprint.secrets.iter().find(|secret| secret.name == "notes-values").unwrap();
    let source = crate::config::ValueSource::Env("OPENAI_API_KEY".to_owned());
    let expect = [("JWT_SECRET".to_owned(), SecretKeyPlan::Generate), ("OPENAI_API_KEY".to_owned(), SecretKeyPlan::Source { source })];
    assert_eq!(values.keys, BTreeMap::from(expect));
    assert!(blueprint.workload("api").unwrap().egress.contains(&"else:1".to_owned()));
}

#[test]
fn a_missing_value_is_asked_for_with_ready_answers() {
    let blueprint = drawn(&survey(), "", &Wishes::default()).unwrap();
    assert_eq!(
        needed(&blueprint),
        [
            ("JWT_SECRET", vec!["JWT_SECRET=generate", "JWT_SECRET=env:JWT_SECRET", "JWT_SECRET=file:api/.env#JWT_SECRET"]),
            ("postgres", vec!["backing: postgres=in_cluster", "backing: postgres=url:DATABASE_URL"]),
        ]
    );
    let mut survey = survey();
    service(&mut survey, "api").env.push(read("STRIPE_API_KEY", Required::Yes, true, None));
    service(&mut survey, "api").env.push(read("REGION", Required::Yes, false, None));
    let blueprint = drawn(&survey, "[secrets]\nJWT_SECRET = \"generate\"", &in_cluster()).unwrap();
    assert_eq!(
        needed(&blueprint),
        [
            ("STRIPE_API_KEY", vec!["STRIPE_API_KEY=env:STRIPE_API_KEY"]),
            ("REGION", vec!["REGION=env:REGION", "landfall.toml: [service.api.env] REGION = \"VALUE\""]),
        ]
    );
}

#[test]
fn what_nobody_must_set_is_left_out() {
    let blueprint = drawn(&survey(), "", &in_cluster()).unwrap();
    for name in ["TOKEN_MINUTES", "OPENAI_API_KEY", "LOG_LEVEL", "ALLOWED_HOSTS", "DATABASE_HOST"] {
        assert!(!blueprint.workloads.iter().flat_map(|workload| &workload.env).any(|setting| setting.name.as_str() == name), "{name}");
    }
    let mut survey = survey();
    service(&mut survey, "api").env.push(read("MAYBE", Required::Unknown, false, None));
    assert!(codes(&drawn(&survey, "", &in_cluster()).unwrap()).contains(&"ENV_UNDECIDED"));
}

#[test]
fn a_setting_that_nothing_reads_is_set_and_told() {
    let blueprint = drawn(&survey(), "[service.api.env]\nLOG_LEVL = \"x\"\n[service.nobody]\nport = 1\n", &in_cluster()).unwrap();
    assert!(env(&blueprint, "api").contains(&"LOG_LEVL=x".to_owned()));
    assert_eq!(codes(&blueprint), ["SETTING_FOR_UNKNOWN_SERVICE", "ENV_NOT_READ"]);
}

#[test]
fn a_backing_service_is_run_or_reached_or_asked_for() {
    let blueprint = drawn(&survey(), "", &in_cluster()).unwrap();
    let postgres = blueprint.workload("postgres").unwrap();
    assert_eq!((postgres.user, postgres.port, postgres.callers.len()), (999, Some(5432), 2));
    assert_eq!(postgres.image, ImagePlan::Public { reference: ImageRef::parse("postgres:17").unwrap() });
    let credentials = blueprint.secrets.iter().find(|secret| secret.name == "postgres-credentials").unwrap();
    assert_eq!(credentials.keys.get("POSTGRES_PASSWORD"), Some(&SecretKeyPlan::Generate));
    let template = SecretKeyPlan::Template { text: "postgresql://{POSTGRES_USER}:{POSTGRES_PASSWORD}@postgres:5432/{POSTGRES_DB}".to_owned() };
    assert_eq!(credentials.keys.get("URL"), Some(&template));
    assert_eq!(credentials.belongs_to, Some(postgres.name.clone()));

    let blueprint = drawn(&survey(), "[backing]\npostgres = \"url:NEON_URL\"\n[secrets]\nJWT_SECRET = \"generate\"\n", &Wishes::default()).unwrap();
    assert!(env(&blueprint, "mcp").contains(&"DATABASE_URL<notes-values/NEON_URL".to_owned()));
    assert_eq!(needed(&blueprint), [("NEON_URL", vec!["NEON_URL=env:NEON_URL"])]);
    assert_eq!(blueprint.workload("mcp").unwrap().egress, ["5432"]);
    // The argument outweighs the file; a value source alone is a decision too.
    assert!(drawn(&survey(), "[backing]\npostgres = \"url:NEON_URL\"\n", &in_cluster()).unwrap().workload("postgres").is_some());
    let blueprint = drawn(&survey(), "[secrets]\nDATABASE_URL = \"env:DATABASE_URL\"\nJWT_SECRET = \"generate\"\n", &Wishes::default()).unwrap();
    assert!(blueprint.values_needed.is_empty() && blueprint.workload("postgres").is_none());
    assert!(env(&blueprint, "api").contains(&"DATABASE_URL<notes-values/DATABASE_URL".to_owned()));

    let check = |text: &str, code: Code| {
        let wishes =
            Wishes { backing: BTreeMap::from([text.split_once('=').map(|(kind, text)| (kind.to_owned(), text.to_owned())).unwrap()]), ..Wishes::default() };
        assert_eq!(drawn(&survey(), "", &wishes).unwrap_err().code, code, "{text}");
    };
    check("postgres=here", Code::BadArgument);
    check("kafka=in_cluster", Code::NotSupported);
    check("postgres=url:1X", Code::NameInvalid);
}

#[test]
fn the_address_fits_the_driver() {
    let check = |dependencies: &[&str], expect: &str| {
        let wishes = in_cluster();
        let change = |survey: &mut Survey| {
            service(survey, "mcp").dependencies = dependencies.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        };
        check_env(change, "", &wishes, "mcp", &[&format!("DATABASE_URL<postgres-credentials/{expect}"), "PORT=8001"]);
    };
    check(&["sqlmodel", "psycopg"], "URL_SQLALCHEMY_PSYCOPG");
    check(&["sqlalchemy", "asyncpg"], "URL_SQLALCHEMY_ASYNCPG");
    check(&["asyncpg"], "URL");
    check(&["sqlalchemy", "psycopg2-binary"], "URL");
}

#[test]
fn parts_of_an_address_are_wired_where_there_is_no_whole_one() {
    let change = |survey: &mut Survey| {
        let mcp = service(survey, "mcp");
        mcp.env = vec![
            read("DB_HOST", Required::Yes, false, None),
            read("DB_PASSWORD", Required::Yes, true, None),
            read("DB_PORT", Required::No, false, Some("5432")),
        ];
        mcp.backing = vec![BackingNeed { kind: "postgres".to_owned(), via: "asyncpg".to_owned(), evidence: vec![] }];
    };
    check_env(change, "", &in_cluster(), "mcp", &["DB_HOST=postgres", "DB_PASSWORD<postgres-credentials/POSTGRES_PASSWORD", "DB_PORT=5432"]);
}

#[test]
fn an_address_has_the_form_that_its_variable_asks_for() {
    let check = |name: &str, default: Option<&str>, expect: &str| {
        let change = |survey: &mut Survey| {
            let api = service(survey, "web");
            api.env = vec![read(name, Required::Unknown, false, default)];
            api.calls = vec![Call { service: ServiceName::parse("api").unwrap(), via: name.to_owned(), path: None, evidence: vec![] }];
            api.build_facts.clear();
        };
        check_env(change, "", &in_cluster(), "web", &[&format!("{name}={expect}")]);
    };
    check("API_BASE", Some("http://localhost:8000"), "http://api:8000");
    check("API_BASE", Some("http://localhost:8000/v1?x=1"), "http://api:8000/v1");
    check("API_HOST", None, "api");
    check("API_ADDR", None, "api:8000");
}

#[test]
fn browsers_get_no_address_of_the_cluster() {
    let mut survey = survey();
    let web = service(&mut survey, "web");
    web.env.push(EnvRead { phases: vec![Phase::Browser, Phase::Build], ..read("NEXT_PUBLIC_API", Required::Unknown, false, Some("http://localhost:8000")) });
    web.calls.push(Call { service: ServiceName::parse("api").unwrap(), via: "NEXT_PUBLIC_API".to_owned(), path: None, evidence: vec![] });
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    assert!(codes(&blueprint).contains(&"BROWSER_URL"));
    assert!(!env(&blueprint, "web").iter().any(|setting| setting.contains("NEXT_PUBLIC_API")), "{:?}", env(&blueprint, "web"));
    let mut wishes = in_cluster();
    wishes.build_values.insert("NEXT_PUBLIC_API".to_owned(), "http://127.0.0.1:9000".to_owned());
    let blueprint = drawn(&survey, "", &wishes).unwrap();
    assert!(!codes(&blueprint).contains(&"BROWSER_URL"));
    let ImagePlan::Built { build_args, .. } = &blueprint.workload("web").unwrap().image else { panic!("built") };
    assert_eq!(build_args.get("NEXT_PUBLIC_API").map(String::as_str), Some("http://127.0.0.1:9000"));
}

#[test]
fn what_is_needed_is_installed_first() {
    let waves = |wishes: &Wishes| -> Vec<String> {
        drawn(&survey(), "", wishes).unwrap().waves.iter().map(|wave| wave.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" ")).collect()
    };
    assert_eq!(waves(&in_cluster()), ["docs postgres", "mcp", "api", "web"]);
    let wishes = Wishes { services: vec![ServiceName::parse("api").unwrap()], ..in_cluster() };
    assert_eq!(waves(&wishes), ["postgres", "mcp", "api"]);
    let wishes = Wishes { services: vec![ServiceName::parse("docs").unwrap()], ..in_cluster() };
    assert_eq!(waves(&wishes), ["docs"]);
    let wishes = Wishes { services: vec![ServiceName::parse("nope").unwrap()], ..Wishes::default() };
    assert_eq!(drawn(&survey(), "", &wishes).unwrap_err().code, Code::ServiceUnknown);
}

#[test]
fn services_that_call_each_other_are_told_and_stand_together() {
    let mut survey = survey();
    service(&mut survey, "mcp").calls.push(Call { service: ServiceName::parse("api").unwrap(), via: "API_URL".to_owned(), path: None, evidence: vec![] });
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    assert!(codes(&blueprint).contains(&"CALL_CYCLE"));
    assert!(blueprint.waves.iter().any(|wave| wave.len() == 2 && wave.iter().all(|name| ["api", "mcp"].contains(&name.as_str()))));
}

#[test]
fn liveness_never_asks_what_readiness_asks() {
    let check = |live: Option<&str>, ready: Option<&str>, expect: [&str; 3]| {
        let mut survey = survey();
        service(&mut survey, "api").health = Some(Health { live: live.map(str::to_owned), ready: ready.map(str::to_owned), evidence: vec![] });
        let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
        let probes = &blueprint.workload("api").unwrap().probes;
        let show = |ask: &Option<Ask>| match ask {
            Some(Ask::Http { path }) => path.clone(),
            Some(Ask::Tcp) => "tcp".to_owned(),
            Some(Ask::Grpc) => "grpc".to_owned(),
            Some(Ask::Exec { .. }) => "exec".to_owned(),
            None => "none".to_owned(),
        };
        assert_eq!([show(&probes.startup), show(&probes.readiness), show(&probes.liveness)], expect);
    };
    check(Some("/health"), Some("/ready"), ["/health", "/ready", "/health"]);
    check(Some("/health"), None, ["/health", "/health", "tcp"]);
    check(None, Some("/ready"), ["tcp", "/ready", "tcp"]);
    check(None, None, ["tcp", "tcp", "tcp"]);
    check(Some("/health/{id}"), None, ["tcp", "tcp", "tcp"]);
}

#[test]
fn writable_folders_never_cover_the_program() {
    let mut survey = survey();
    service(&mut survey, "api").writes = ["./data/", ".", "/var/cache/x", "/tmp/y", "../etc", "/app"].map(str::to_owned).to_vec();
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    assert_eq!(blueprint.workload("api").unwrap().writable, ["/app/data", "/tmp", "/var/cache/x"]);
    assert_eq!(blueprint.workload("web").unwrap().writable, ["/app/.next/cache", "/tmp"]);
}

#[test]
fn a_service_that_cannot_run_is_left_out_or_refused() {
    let mut survey = survey();
    service(&mut survey, "docs").kind = Kind::Worker;
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    assert!(blueprint.workload("docs").is_none());
    assert_eq!(blueprint.findings.first().map(|finding| finding.severity), Some(crate::evidence::Severity::Blocker));
    let wishes = Wishes { services: vec![ServiceName::parse("docs").unwrap()], ..Wishes::default() };
    assert!(drawn(&survey, "", &wishes).unwrap_err().help.contains("[service.docs] start"));
    assert!(drawn(&survey, "[service.docs]\nstart = \"node worker.js\"\n", &wishes).unwrap().workload("docs").is_some());
    // Somebody calls it: the whole could not work.
    service(&mut survey, "mcp").start_command = None;
    assert_eq!(drawn(&survey, "", &in_cluster()).unwrap_err().code, Code::NotDeployable);
    survey.services.clear();
    assert_eq!(drawn(&survey, "", &in_cluster()).unwrap_err().code, Code::NothingToDeploy);
}

#[test]
fn a_port_is_found_chosen_or_missed() {
    let check = |change: &dyn Fn(&mut Service), expect: Result<Option<u16>, Code>| {
        let mut survey = survey();
        change(service(&mut survey, "api"));
        let port = drawn(&survey, "", &in_cluster()).map(|blueprint| blueprint.workload("api").unwrap().port).map_err(|failure| failure.code);
        assert_eq!(port, expect);
    };
    check(&|_| {}, Ok(Some(8000)));
    check(&|api| api.ports.clear(), Err(Code::NotDeployable));
    check(
        &|api| {
            api.ports.clear();
            api.env.push(read("PORT", Required::Yes, false, None));
        },
        Ok(Some(8080)),
    );
    let mut survey = survey();
    survey.services.retain(|service| service.name.as_str() == "mcp");
    service(&mut survey, "mcp").ports.clear();
    service(&mut survey, "mcp").env.retain(|read| read.name.as_str() != "PORT");
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    assert!(codes(&blueprint).contains(&"PORT_UNKNOWN"));
    assert_eq!(blueprint.workload("mcp").unwrap().probes, Probes { startup: None, readiness: None, liveness: None });
}

#[test]
fn a_static_site_listens_where_no_privilege_is_needed() {
    let mut survey = survey();
    service(&mut survey, "docs").ports = vec![Port { port: 80, protocol: "http".to_owned(), evidence: vec![] }];
    assert_eq!(drawn(&survey, "", &in_cluster()).unwrap().workload("docs").unwrap().port, Some(8080));
}

#[test]
fn a_persons_dockerfile_is_used_as_it_is_and_ours_is_written_again() {
    let mut survey = survey();
    service(&mut survey, "api").dockerfile = Some("api/Dockerfile".to_owned());
    service(&mut survey, "mcp").dockerfile = Some("mcp/Dockerfile".to_owned());
    service(&mut survey, "mcp").evidence.insert("dockerfile".to_owned(), vec![Place::new("mcp/Dockerfile", 1, &format!("{} for mcp", crate::survey::OURS))]);
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    let persons = |name: &str| matches!(blueprint.workload(name).unwrap().image, ImagePlan::Built { persons: true, .. });
    assert_eq!((persons("api"), persons("mcp")), (true, false));
    assert!(blueprint.workload("api").unwrap().command.is_empty());
}

#[test]
fn two_services_of_one_folder_have_a_dockerfile_each() {
    let mut survey = survey();
    service(&mut survey, "mcp").dir = "api".to_owned();
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    let dockerfile = |name: &str| match &blueprint.workload(name).unwrap().image {
        ImagePlan::Built { dockerfile, .. } => dockerfile.clone(),
        ImagePlan::Public { .. } => String::new(),
    };
    assert_eq!([dockerfile("api"), dockerfile("mcp"), dockerfile("web")], ["api/Dockerfile.api", "api/Dockerfile.mcp", "web/Dockerfile"]);
}

#[test]
fn an_mcp_server_on_standard_input_is_no_workload() {
    let mut survey = survey();
    service(&mut survey, "mcp").mcp.as_mut().unwrap().transport = crate::survey::McpTransport::Stdio;
    service(&mut survey, "api").calls.clear();
    let blueprint = drawn(&survey, "[service.api.env]\nMCP_SERVER_URL = \"x\"", &in_cluster()).unwrap();
    assert!(blueprint.workload("mcp").is_none());
    assert!(codes(&blueprint).contains(&"MCP_SUBPROCESS"));
}

#[test]
fn a_migration_before_the_program_becomes_a_step_of_its_own() {
    let check = |change: &dyn Fn(&mut Service), toml: &str, migration: &[&str], first: &str| {
        let mut survey = survey();
        change(service(&mut survey, "api"));
        let blueprint = drawn(&survey, toml, &in_cluster()).unwrap();
        let api = blueprint.workload("api").unwrap();
        assert_eq!(api.migration, migration);
        assert_eq!(api.command.first().map(String::as_str), Some(first), "{:?}", api.command);
    };
    let starts = |line: &'static str| move |api: &mut Service| api.start_command = Some(line.to_owned());
    check(&starts("alembic upgrade head && uvicorn app.main:app"), "", &["alembic", "upgrade", "head"], "uvicorn");
    check(&starts("python manage.py migrate && gunicorn a.wsgi"), "", &["python", "manage.py", "migrate"], "gunicorn");
    check(&starts("python seed.py && uvicorn app.main:app"), "", &[], "sh");
    check(&|_| {}, "[service.api]\nmigrate = \"flask db upgrade\"\n", &["flask", "db", "upgrade"], "uvicorn");
    check(&|api| drop(api.build_facts.insert("release.command".to_owned(), "python migrate.py".to_owned())), "", &["python", "migrate.py"], "uvicorn");
}

#[test]
fn a_schedule_of_a_person_is_kept_or_refused() {
    let blueprint = drawn(&survey(), "[service.docs]\nschedule = \"0 3 * * *\"\n", &in_cluster()).unwrap();
    assert_eq!(blueprint.workload("docs").unwrap().schedule.as_deref(), Some("0 3 * * *"));
    let failure = drawn(&survey(), "[service.docs]\nschedule = \"at night\"\n", &in_cluster()).unwrap_err();
    assert_eq!(failure.code, Code::ConfigInvalid);
}

#[test]
fn grpc_is_asked_by_its_health_service_where_the_program_has_one() {
    let probes = |package: &str| {
        let mut survey = survey();
        let api = service(&mut survey, "api");
        api.health = None;
        api.ports = vec![Port { port: 50051, protocol: "grpc".to_owned(), evidence: vec![] }];
        api.dependencies.insert(package.to_owned(), String::new());
        drawn(&survey, "", &in_cluster()).unwrap().workload("api").unwrap().probes.clone()
    };
    assert_eq!(probes("grpcio-health-checking"), Probes { startup: Some(Ask::Grpc), readiness: Some(Ask::Grpc), liveness: Some(Ask::Tcp) });
    assert_eq!(probes("other"), Probes { startup: Some(Ask::Tcp), readiness: Some(Ask::Tcp), liveness: Some(Ask::Tcp) });
}

#[test]
fn a_package_of_a_cargo_workspace_is_built_from_its_root() {
    let mut survey = survey();
    let api = service(&mut survey, "api");
    api.language = "rust".to_owned();
    api.build_facts.insert("lockfile".to_owned(), "Cargo.lock".to_owned());
    let blueprint = drawn(&survey, "", &in_cluster()).unwrap();
    let ImagePlan::Built { context, dockerfile, .. } = &blueprint.workload("api").unwrap().image else { panic!("it is built") };
    assert_eq!((context.as_str(), dockerfile.as_str()), (".", "api/Dockerfile"));
}

#[test]
fn what_runs_once_is_a_job_that_others_wait_for() {
    let controller = |survey: &Survey, toml: &str| drawn(survey, toml, &in_cluster()).unwrap().workload("docs").unwrap().controller();
    assert_eq!(controller(&survey(), "[service.docs]\nonce = true\nstart = \"node job.js\"\n"), Controller::Job);
    assert_eq!(controller(&survey(), ""), Controller::Deployment);
    let mut seeded = survey();
    for name in ["docs", "web"] {
        service(&mut seeded, name).compose_service = Some(name.to_owned());
    }
    service(&mut seeded, "web").build_facts.insert("after".to_owned(), "docs elsewhere".to_owned());
    let needs = |survey: &Survey| drawn(survey, "", &in_cluster()).unwrap().workload("web").unwrap().needs.iter().any(|name| name.as_str() == "docs");
    assert!(!needs(&seeded), "what serves has no end to wait for");
    let docs = service(&mut seeded, "docs");
    docs.kind = Kind::Job;
    docs.start_command = Some("node job.js".to_owned());
    assert_eq!(controller(&seeded, ""), Controller::Job);
    assert_eq!(controller(&seeded, "[service.docs]\nonce = false\n"), Controller::Deployment, "a person has the last word");
    assert!(needs(&seeded));
}
