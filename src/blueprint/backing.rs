//! Backing services as a table: the development instance of each kind, its credentials, and what a consumer is given.

use super::defaults::quantities;
use super::{Ask, EnvSetting, EnvValue, Expose, ImagePlan, Probes, Role, SecretKeyPlan, SecretPlan, Storage, Workload};
use crate::failure::Failure;
use crate::names::{EnvName, ImageRef, ServiceName};
use crate::survey::Service;
use std::collections::BTreeMap;

/// One kind that can run in the cluster for development.
pub(super) struct Kind {
    pub(super) name: &'static str,
    image: &'static str,
    pub(super) port: u16,
    user: u32,
    command: &'static [&'static str],
    /// Environment of the instance itself: name, and a key of the credentials or `=literal`.
    env: &'static [(&'static str, &'static str)],
    /// Literal keys of the credentials.
    literals: &'static [(&'static str, &'static str)],
    password: &'static str,
    /// Keys that hold a whole address; `{host}` is the instance's name.
    urls: &'static [(&'static str, &'static str)],
    mount: &'static str,
    writable: &'static [&'static str],
    ready: &'static [&'static str],
    /// cpu request and limit, memory request and limit.
    resources: [&'static str; 4],
    /// Names that a consumer's variable for a part may have, and the key, `=port`, `=host` or `=literal` it gets.
    parts: &'static [(&'static [&'static str], &'static str)],
}

/// Kinds that Landfall can run in the cluster.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        name: "postgres",
        image: "postgres:17",
        port: 5432,
        user: 999,
        command: &[],
        env: &[
            ("POSTGRES_USER", "POSTGRES_USER"),
            ("POSTGRES_PASSWORD", "POSTGRES_PASSWORD"),
            ("POSTGRES_DB", "POSTGRES_DB"),
            // The claim's own folder may hold lost+found and belongs to the provisioner; the database wants a folder of its own.
            ("PGDATA", "=/var/lib/postgresql/data/pgdata"),
        ],
        literals: &[("POSTGRES_USER", "app"), ("POSTGRES_DB", "app")],
        password: "POSTGRES_PASSWORD",
        urls: &[
            ("URL", "postgresql://{POSTGRES_USER}:{POSTGRES_PASSWORD}@{host}:5432/{POSTGRES_DB}"),
            ("URL_SQLALCHEMY_PSYCOPG", "postgresql+psycopg://{POSTGRES_USER}:{POSTGRES_PASSWORD}@{host}:5432/{POSTGRES_DB}"),
            ("URL_SQLALCHEMY_ASYNCPG", "postgresql+asyncpg://{POSTGRES_USER}:{POSTGRES_PASSWORD}@{host}:5432/{POSTGRES_DB}"),
            ("URL_JDBC", "jdbc:postgresql://{host}:5432/{POSTGRES_DB}"),
        ],
        mount: "/var/lib/postgresql/data",
        writable: &["/tmp", "/var/run/postgresql"],
        ready: &["sh", "-c", "exec pg_isready -h 127.0.0.1 -U \"$POSTGRES_USER\" -d \"$POSTGRES_DB\""],
        resources: ["50m", "1", "128Mi", "512Mi"],
        parts: &[
            (&["POSTGRES_HOST", "PGHOST", "DB_HOST", "DATABASE_HOST", "POSTGRES_SERVER"], "=host"),
            (&["POSTGRES_PORT", "PGPORT", "DB_PORT", "DATABASE_PORT"], "=port"),
            (&["POSTGRES_USER", "PGUSER", "DB_USER", "DB_USERNAME", "DATABASE_USER", "SPRING_DATASOURCE_USERNAME"], "POSTGRES_USER"),
            (&["POSTGRES_PASSWORD", "PGPASSWORD", "DB_PASSWORD", "DB_PASS", "DATABASE_PASSWORD", "SPRING_DATASOURCE_PASSWORD"], "POSTGRES_PASSWORD"),
            (&["POSTGRES_DB", "PGDATABASE", "DB_NAME", "DB_DATABASE", "DATABASE_NAME"], "POSTGRES_DB"),
        ],
    },
    Kind {
        name: "mysql",
        image: "mysql:8",
        port: 3306,
        user: 999,
        command: &[],
        env: &[
            ("MYSQL_USER", "MYSQL_USER"),
            ("MYSQL_PASSWORD", "MYSQL_PASSWORD"),
            ("MYSQL_DATABASE", "MYSQL_DATABASE"),
            ("MYSQL_ROOT_PASSWORD", "MYSQL_PASSWORD"),
        ],
        literals: &[("MYSQL_USER", "app"), ("MYSQL_DATABASE", "app")],
        password: "MYSQL_PASSWORD",
        urls: &[
            ("URL", "mysql://{MYSQL_USER}:{MYSQL_PASSWORD}@{host}:3306/{MYSQL_DATABASE}"),
            ("URL_SQLALCHEMY_PYMYSQL", "mysql+pymysql://{MYSQL_USER}:{MYSQL_PASSWORD}@{host}:3306/{MYSQL_DATABASE}"),
            ("URL_SQLALCHEMY_AIOMYSQL", "mysql+aiomysql://{MYSQL_USER}:{MYSQL_PASSWORD}@{host}:3306/{MYSQL_DATABASE}"),
            ("URL_JDBC", "jdbc:mysql://{host}:3306/{MYSQL_DATABASE}"),
        ],
        mount: "/var/lib/mysql",
        writable: &["/tmp", "/var/run/mysqld", "/var/lib/mysql-files"],
        // Any answer, even a refused login, is an answer of the server on its network port.
        ready: &["sh", "-c", "exec mysqladmin ping -h 127.0.0.1 --protocol=tcp --silent"],
        resources: ["100m", "1", "512Mi", "1Gi"],
        parts: &[
            (&["MYSQL_HOST", "DB_HOST", "DATABASE_HOST"], "=host"),
            (&["MYSQL_PORT", "DB_PORT", "DATABASE_PORT"], "=port"),
            (&["MYSQL_USER", "DB_USER", "DB_USERNAME", "DATABASE_USER", "SPRING_DATASOURCE_USERNAME"], "MYSQL_USER"),
            (&["MYSQL_PASSWORD", "DB_PASSWORD", "DB_PASS", "DATABASE_PASSWORD", "SPRING_DATASOURCE_PASSWORD"], "MYSQL_PASSWORD"),
            (&["MYSQL_DATABASE", "MYSQL_DB", "DB_NAME", "DB_DATABASE", "DATABASE_NAME"], "MYSQL_DATABASE"),
        ],
    },
    Kind {
        name: "redis",
        image: "redis:7",
        port: 6379,
        user: 999,
        // The password reaches the server through a file in memory, never through its arguments.
        command: &[
            "sh",
            "-c",
            "umask 077 && printf 'bind *\\nprotected-mode no\\ndir /data\\nappendonly yes\\nrequirepass %s\\n' \"$REDIS_PASSWORD\" > /tmp/redis.conf && exec redis-server /tmp/redis.conf",
        ],
        env: &[("REDIS_PASSWORD", "REDIS_PASSWORD"), ("REDISCLI_AUTH", "REDIS_PASSWORD")],
        literals: &[],
        password: "REDIS_PASSWORD",
        urls: &[("URL", "redis://:{REDIS_PASSWORD}@{host}:6379/0")],
        mount: "/data",
        writable: &["/tmp"],
        ready: &["sh", "-c", "redis-cli -h 127.0.0.1 ping | grep -q PONG"],
        resources: ["20m", "500m", "32Mi", "256Mi"],
        parts: &[(&["REDIS_HOST"], "=host"), (&["REDIS_PORT"], "=port"), (&["REDIS_PASSWORD"], "REDIS_PASSWORD")],
    },
    Kind {
        name: "mongodb",
        image: "mongo:7",
        port: 27017,
        user: 999,
        command: &[],
        env: &[("MONGO_INITDB_ROOT_USERNAME", "MONGO_USERNAME"), ("MONGO_INITDB_ROOT_PASSWORD", "MONGO_PASSWORD"), ("HOME", "=/tmp")],
        literals: &[("MONGO_USERNAME", "app"), ("MONGO_DATABASE", "app")],
        password: "MONGO_PASSWORD",
        urls: &[("URL", "mongodb://{MONGO_USERNAME}:{MONGO_PASSWORD}@{host}:27017/{MONGO_DATABASE}?authSource=admin")],
        mount: "/data/db",
        writable: &["/tmp", "/data/configdb"],
        ready: &["mongosh", "--quiet", "--eval", "quit(db.adminCommand('ping').ok ? 0 : 1)"],
        resources: ["100m", "1", "256Mi", "768Mi"],
        parts: &[
            (&["MONGO_HOST", "MONGODB_HOST"], "=host"),
            (&["MONGO_PORT", "MONGODB_PORT"], "=port"),
            (&["MONGO_USERNAME", "MONGO_USER", "MONGODB_USERNAME"], "MONGO_USERNAME"),
            (&["MONGO_PASSWORD", "MONGODB_PASSWORD"], "MONGO_PASSWORD"),
            (&["MONGO_DATABASE", "MONGO_DB", "MONGODB_DATABASE", "MONGODB_DB"], "MONGO_DATABASE"),
        ],
    },
    Kind {
        name: "rabbitmq",
        image: "rabbitmq:4",
        port: 5672,
        user: 999,
        command: &[],
        env: &[
            ("RABBITMQ_DEFAULT_USER", "RABBITMQ_USER"),
            ("RABBITMQ_DEFAULT_PASS", "RABBITMQ_PASSWORD"),
            // The data folder is named after the node: a name that changes with the pod would lose it.
            ("RABBITMQ_NODENAME", "=rabbit@localhost"),
        ],
        literals: &[("RABBITMQ_USER", "app")],
        password: "RABBITMQ_PASSWORD",
        urls: &[("URL", "amqp://{RABBITMQ_USER}:{RABBITMQ_PASSWORD}@{host}:5672/")],
        mount: "/var/lib/rabbitmq",
        writable: &["/tmp", "/var/log/rabbitmq"],
        ready: &["rabbitmq-diagnostics", "-q", "ping"],
        resources: ["100m", "1", "256Mi", "768Mi"],
        parts: &[
            (&["RABBITMQ_HOST"], "=host"),
            (&["RABBITMQ_PORT"], "=port"),
            (&["RABBITMQ_USER", "RABBITMQ_USERNAME", "RABBITMQ_DEFAULT_USER"], "RABBITMQ_USER"),
            (&["RABBITMQ_PASSWORD", "RABBITMQ_PASS", "RABBITMQ_DEFAULT_PASS"], "RABBITMQ_PASSWORD"),
        ],
    },
];

/// The row of this kind, where it can run in the cluster.
pub(super) fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The usual port of a kind that is reached outside the namespace.
pub(super) fn outside_port(name: &str) -> Option<u16> {
    match name {
        "kafka" => Some(9092),
        "s3" | "llm" | "url" => Some(443),
        other => kind(other).map(|kind| kind.port),
    }
}

impl Kind {
    /// The Secret with its credentials.
    pub(super) fn secret_name(&self) -> String {
        format!("{}-credentials", self.name)
    }

    /// The key of the address that this consumer's driver understands.
    pub(super) fn url_key(&self, consumer: &Service) -> &'static str {
        let has = |package: &str| consumer.depends_on(package);
        let alchemy = has("sqlalchemy") || has("sqlmodel");
        match self.name {
            "postgres" if consumer.language == "java" => "URL_JDBC",
            "mysql" if consumer.language == "java" => "URL_JDBC",
            "postgres" if alchemy && (has("psycopg") || has("psycopg-binary")) => "URL_SQLALCHEMY_PSYCOPG",
            "postgres" if alchemy && has("asyncpg") => "URL_SQLALCHEMY_ASYNCPG",
            "mysql" if alchemy && has("aiomysql") => "URL_SQLALCHEMY_AIOMYSQL",
            "mysql" if alchemy && has("pymysql") => "URL_SQLALCHEMY_PYMYSQL",
            _ => "URL",
        }
    }

    /// What a consumer's variable for one part of the address gets.
    pub(super) fn part(&self, variable: &str, host: &ServiceName) -> Option<EnvValue> {
        let (_, gets) = self.parts.iter().find(|(names, _)| names.contains(&variable))?;
        Some(match *gets {
            "=host" => EnvValue::Literal { text: host.to_string() },
            "=port" => EnvValue::Literal { text: self.port.to_string() },
            key => self.key(key),
        })
    }

    /// A reference to one key of the credentials.
    pub(super) fn key(&self, key: &str) -> EnvValue {
        EnvValue::SecretKey { secret: self.secret_name(), key: key.to_owned() }
    }

    /// The credentials: every form of the address is there from the start, so that a later consumer never changes the Secret.
    pub(super) fn credentials(&self, host: &ServiceName) -> SecretPlan {
        let mut keys = BTreeMap::from([(self.password.to_owned(), SecretKeyPlan::Generate)]);
        keys.extend(self.literals.iter().map(|(key, text)| ((*key).to_owned(), SecretKeyPlan::Literal { text: (*text).to_owned() })));
        keys.extend(self.urls.iter().map(|(key, text)| ((*key).to_owned(), SecretKeyPlan::Template { text: text.replace("{host}", host.as_str()) })));
        SecretPlan { name: self.secret_name(), keys, belongs_to: Some(host.clone()) }
    }

    /// The instance itself.
    pub(super) fn workload(&self, name: &ServiceName) -> Result<Workload, Failure> {
        let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let mut env = Vec::new();
        for (variable, from) in self.env {
            let value = match from.strip_prefix('=') {
                Some(text) => EnvValue::Literal { text: text.to_owned() },
                None => self.key(from),
            };
            let why = if matches!(value, EnvValue::Literal { .. }) { "how this image runs under a fixed user" } else { "its own credentials" };
            env.push(EnvSetting { name: EnvName::parse(*variable)?, value, required: true, read_at: None, why: why.to_owned() });
        }
        let ready = Ask::Exec { command: texts(self.ready) };
        let [cpu_request, cpu_limit, memory_request, memory_limit] = self.resources;
        Ok(Workload {
            name: name.clone(),
            role: Role::Backing { kind: self.name.to_owned() },
            image: ImagePlan::Public { reference: ImageRef::parse(self.image)? },
            command: texts(self.command),
            migration: Vec::new(),
            schedule: None,
            port: Some(self.port),
            probes: Probes { startup: Some(ready.clone()), readiness: Some(ready), liveness: Some(Ask::Tcp) },
            env,
            resources: quantities([cpu_request, cpu_limit, memory_request, memory_limit, "64Mi", "1Gi"]),
            replicas: 1,
            writable: texts(self.writable),
            storage: Some(Storage { mount: self.mount.to_owned(), size: "1Gi".to_owned() }),
            user: self.user,
            expose: Expose::Cluster,
            needs: Vec::new(),
            callers: Vec::new(),
            egress: Vec::new(),
            mcp: None,
            chart: None,
        })
    }
}

/// What was decided about a kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    InCluster,
    Url(EnvName),
}

impl Decision {
    /// Parses `in_cluster` or `url:NAME`.
    pub(super) fn parse(kind_name: &str, text: &str) -> Result<Self, Failure> {
        use crate::failure::Code;
        if let Some(name) = text.strip_prefix("url:") {
            return Ok(Self::Url(EnvName::parse(name)?));
        }
        if text != "in_cluster" {
            return Err(Failure::new(Code::BadArgument, format!("backing {kind_name} is neither in_cluster nor url:NAME"))
                .help(format!("use {kind_name}=in_cluster, or {kind_name}=url:NAME with the variable that holds its address")));
        }
        if kind(kind_name).is_none() {
            let known: Vec<_> = KINDS.iter().map(|kind| kind.name).collect();
            return Err(Failure::new(Code::NotSupported, format!("run {kind_name} in the cluster"))
                .help(format!("in_cluster knows {}; name the variable that holds its address instead: {kind_name}=url:NAME", known.join(", "))));
        }
        Ok(Self::InCluster)
    }
}
