//! Programs that cannot start because nothing declares a package that they import; said only where a declared package cannot bring it either.

use super::Judge;
use crate::survey::draft::Draft;
use crate::survey::walk::join;
use crate::survey::{Place, assemble};
use std::collections::BTreeSet;

/// A module, the packages that bring it: its own first, then those that are known to depend on that one.
const MODULES: &[(&str, &[&str])] = &[
    (
        "requests",
        &[
            "requests",
            "locust",
            "streamlit",
            "tiktoken",
            "docker",
            "huggingface-hub",
            "transformers",
            "langchain",
            "langchain-community",
            "google-genai",
            "google-generativeai",
            "google-auth",
            "cohere",
            "kubernetes",
            "spacy",
            "datasets",
            "twilio",
            "stripe",
            "requests-oauthlib",
            "dapr",
            "openai-agents",
            "google-cloud-storage",
            "boto3-stubs",
            "msal",
            "azure-core",
            "azure-identity",
            "clerk-backend-api",
            "mlflow",
            "sentence-transformers",
        ],
    ),
    ("psycopg2", &["psycopg2", "psycopg2-binary"]),
    ("psycopg", &["psycopg", "psycopg-binary", "psycopg-pool"]),
    ("asyncpg", &["asyncpg", "databases"]),
    ("aiosqlite", &["aiosqlite", "databases", "tortoise-orm"]),
    ("sqlmodel", &["sqlmodel"]),
    (
        "sqlalchemy",
        &[
            "sqlalchemy",
            "sqlmodel",
            "flask-sqlalchemy",
            "alembic",
            "databases",
            "langchain",
            "langchain-community",
            "fastapi-users-db-sqlalchemy",
            "ormar",
            "pandas-gbq",
            "mlflow",
            "apache-airflow",
        ],
    ),
    ("jose", &["python-jose", "jose"]),
    ("passlib", &["passlib"]),
    ("bcrypt", &["bcrypt", "passlib", "paramiko", "flask-bcrypt", "fastapi-users", "chromadb"]),
    (
        "redis",
        &[
            "redis",
            "celery",
            "rq",
            "arq",
            "flask-redis",
            "django-redis",
            "fastapi-limiter",
            "fastapi-cache2",
            "channels-redis",
            "slowapi",
            "aiocache",
            "dramatiq",
            "langchain-redis",
        ],
    ),
    ("celery", &["celery", "flower"]),
    ("aiokafka", &["aiokafka", "faust-streaming", "faststream"]),
    ("alembic", &["alembic", "flask-migrate", "mlflow"]),
    (
        "fastapi",
        &["fastapi", "fastapi-users", "gradio", "prefect", "chromadb", "langserve", "litellm", "ray", "fastapi-mail", "dapr-ext-fastapi", "fastapi-cli"],
    ),
    (
        "flask",
        &[
            "flask",
            "flask-cors",
            "flask-sqlalchemy",
            "flask-login",
            "flask-restful",
            "flask-migrate",
            "flask-socketio",
            "locust",
            "dash",
            "mlflow",
            "connexion",
            "flask-jwt-extended",
        ],
    ),
    ("flask_cors", &["flask-cors", "locust"]),
    ("flask_sqlalchemy", &["flask-sqlalchemy", "flask-migrate"]),
    ("django", &["django", "djangorestframework", "django-cors-headers", "django-environ", "wagtail", "django-filter", "django-ninja"]),
    ("openai", &["openai", "openai-agents", "langchain-openai", "litellm", "llama-index", "autogen", "instructor", "crewai", "langchain"]),
    ("agents", &["openai-agents"]),
    ("anthropic", &["anthropic", "langchain-anthropic"]),
    ("groq", &["groq", "langchain-groq"]),
    ("cohere", &["cohere", "langchain-cohere"]),
    ("mcp", &["mcp", "fastmcp", "openai-agents", "langchain-mcp-adapters", "google-adk", "fastapi-mcp"]),
    ("fastmcp", &["fastmcp"]),
    ("motor", &["motor", "beanie", "odmantic"]),
    ("pymongo", &["pymongo", "motor", "mongoengine", "beanie", "odmantic"]),
    ("beanie", &["beanie"]),
    ("boto3", &["boto3", "aioboto3", "zappa", "langchain-aws", "django-storages"]),
    ("stripe", &["stripe"]),
    ("bs4", &["beautifulsoup4", "bs4"]),
    ("pandas", &["pandas", "streamlit", "seaborn", "gradio", "plotly-express", "statsmodels", "xgboost", "datasets", "mlflow", "dask"]),
    ("slowapi", &["slowapi"]),
    (
        "aiohttp",
        &[
            "aiohttp",
            "langchain",
            "aiobotocore",
            "slack-bolt",
            "discord-py",
            "kubernetes-asyncio",
            "gradio-client",
            "openai",
            "litellm",
            "datasets",
            "dapr",
            "fsspec",
            "langchain-community",
            "twilio",
            "cohere",
        ],
    ),
    ("apscheduler", &["apscheduler", "flask-apscheduler", "django-apscheduler"]),
    ("sse_starlette", &["sse-starlette", "mcp", "fastmcp", "openai-agents"]),
    ("sentry_sdk", &["sentry-sdk"]),
    ("structlog", &["structlog"]),
    ("loguru", &["loguru"]),
];

impl Judge<'_> {
    /// Imports at the top of files that the program reaches; optional ones stand in `try` or in a function.
    pub(super) fn imports(&mut self, draft: &Draft) {
        let service = &draft.service;
        let declared = |package: &str| service.dependencies.keys().any(|name| name.replace('_', "-") == package);
        // Without a list that is understood, nothing is missing from it.
        let listed =
            service.build_facts.get("requirements").map(|file| join(&service.dir, file)).and_then(|path| self.workspace.text(&path)).unwrap_or_default();
        let elsewhere = listed.lines().any(|line| line.trim_start().starts_with(['-', '.']) || line.contains("git+") || line.contains("file:"));
        let Some(entry) = draft.entry.clone().filter(|_| service.language == "python" && !service.dependencies.is_empty() && !elsewhere) else { return };
        let (mut seen, mut next) = (BTreeSet::new(), vec![entry]);
        while let Some(path) = next.pop() {
            let Some(facts) = self.workspace.sources.get(&path).filter(|_| !seen.contains(&path)) else { continue };
            seen.insert(path.clone());
            let mut certain = facts.clone();
            certain.imports.retain(|import| import.bare);
            next.extend(assemble::imported(&certain, &path, &service.dir).into_iter().filter(|path| draft.sources.contains(path)));
            for import in &certain.imports {
                let module = import.module.split('.').next().unwrap_or_default();
                let Some((_, packages)) = MODULES.iter().find(|(known, _)| *known == module) else { continue };
                let own = ["", "src/"].iter().any(|head| {
                    let base = join(&service.dir, &format!("{head}{module}"));
                    self.workspace.tree.has_folder(&base) || self.workspace.tree.has(&format!("{base}.py"))
                });
                if !own && !packages.iter().any(|package| declared(package)) {
                    let package = packages.first().copied().unwrap_or(module);
                    self.add(
                        "dependency_not_declared",
                        &format!("{} ({package})", service.name.as_str()),
                        vec![Place::new(path.clone(), import.line, &format!("import {module}"))],
                    );
                }
            }
        }
    }
}
