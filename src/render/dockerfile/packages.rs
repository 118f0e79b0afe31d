//! Debian packages that libraries need, to be built and to run, and extensions of PHP, as one table.

use crate::survey::Service;

/// language, dependency (`*`: always), packages to build it, packages to run it
type Row = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const PACKAGES: &[Row] = &[
    ("python", "psycopg2", &["gcc", "libc6-dev", "libpq-dev"], &["libpq5"]),
    ("python", "psycopg-c", &["gcc", "libc6-dev", "libpq-dev"], &["libpq5"]),
    ("python", "psycopg", &[], &["libpq5"]),
    ("python", "mysqlclient", &["gcc", "libc6-dev", "pkg-config", "default-libmysqlclient-dev"], &["libmariadb3"]),
    ("ruby", "*", &["build-essential", "git", "libyaml-dev", "pkg-config"], &[]),
    ("ruby", "pg", &["libpq-dev"], &["libpq5"]),
    ("ruby", "mysql2", &["default-libmysqlclient-dev"], &["libmariadb3"]),
    ("ruby", "sqlite3", &["libsqlite3-dev"], &["libsqlite3-0"]),
    ("cpp", "*", &["build-essential", "ca-certificates", "cmake", "git", "meson"], &[]),
    ("cobol", "*", &["gnucobol3"], &["libcob4"]),
    ("haskell", "*", &[], &["libgmp10"]),
    ("scheme", "*", &[], &["guile-3.0"]),
    ("lua", "*", &[], &["lua5.4"]),
    ("shell", "zsh", &[], &["zsh"]),
    ("rust", "openssl", &["libssl-dev", "pkg-config"], &["libssl3"]),
    ("rust", "openssl-sys", &["libssl-dev", "pkg-config"], &["libssl3"]),
    ("rust", "native-tls", &["libssl-dev", "pkg-config"], &["libssl3"]),
    ("rust", "pq-sys", &["libpq-dev"], &["libpq5"]),
    ("rust", "mysqlclient-sys", &["default-libmysqlclient-dev", "pkg-config"], &["libmariadb3"]),
    ("elixir", "*", &["build-essential", "git"], &[]),
    ("php", "pdo_pgsql", &["libpq-dev"], &["libpq5"]),
    ("php", "intl", &["libicu-dev"], &["libicu-dev"]),
    ("php", "zip", &["libzip-dev"], &["libzip-dev"]),
    ("php", "gd", &["libfreetype-dev", "libjpeg62-turbo-dev", "libpng-dev"], &["libfreetype6", "libjpeg62-turbo", "libpng16-16"]),
];

/// Extensions that PHP's image compiles on request; the others it has already.
const EXTENSIONS: &[&str] =
    &["bcmath", "calendar", "exif", "gd", "gettext", "intl", "mysqli", "opcache", "pcntl", "pdo_mysql", "pdo_pgsql", "soap", "sockets", "zip"];

/// For which of the two stages packages are installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Build,
    Run,
}

/// The instruction that installs what this service's libraries need; nothing where they need nothing.
pub(super) fn install(facts: &Service, to: Use) -> String {
    let extensions = extension_names(facts);
    // The binary package of this driver brings its library.
    let brought = |name: &str| name == "psycopg" && facts.depends_on("psycopg-binary");
    let wanted = |name: &str| name == "*" || (facts.depends_on(name) && !brought(name)) || extensions.contains(&name);
    let rows = PACKAGES.iter().filter(|(language, name, ..)| *language == facts.language && wanted(name));
    let mut packages: Vec<&str> = rows.flat_map(|(_, _, build, run)| if to == Use::Build { *build } else { *run }).copied().collect();
    if to == Use::Build && facts.build_facts.contains_key("python.git") {
        packages.push("git");
    }
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

/// What `ext-…` in composer.json, the framework and the databases ask for.
fn extension_names(facts: &Service) -> Vec<&'static str> {
    if facts.language != "php" {
        return Vec::new();
    }
    let database = |kind: &str| facts.backing.iter().any(|need| need.kind == kind);
    let laravel = facts.framework.as_deref() == Some("laravel");
    let wanted = |name: &str| match name {
        "opcache" => true,
        "pdo_mysql" => database("mysql") || (laravel && !database("postgres")) || facts.depends_on("ext-pdo_mysql"),
        "pdo_pgsql" => database("postgres") || facts.depends_on("ext-pdo_pgsql"),
        name => facts.depends_on(&format!("ext-{name}")),
    };
    EXTENSIONS.iter().copied().filter(|name| wanted(name)).collect()
}

/// The instruction that compiles PHP's extensions.
pub(super) fn extensions(facts: &Service) -> String {
    let names = extension_names(facts);
    if names.is_empty() { String::new() } else { format!("RUN docker-php-ext-install -j\"$(nproc)\" {}", names.join(" ")) }
}
