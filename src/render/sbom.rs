//! A bill of materials (CycloneDX) from what a lockfile pins: names, versions and checksums, as the package manager wrote them; nothing is guessed.

use crate::blueprint::Workload;
use base64::Engine as _;
use serde_json::{Value, json};

/// One pinned package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
    /// Algorithm as CycloneDX names it, and the sum in hexadecimal digits.
    hash: Option<(&'static str, String)>,
    /// Only developers need it.
    development: bool,
}

impl Package {
    fn new(name: &str, version: &str) -> Self {
        Self { name: name.to_owned(), version: version.trim_start_matches('v').to_owned(), hash: None, development: false }
    }

    /// With an integrity as npm writes it (`sha512-…`), or a sum such as `sha256:…`.
    fn summed(mut self, text: &str) -> Self {
        let hex_digits = |text: &str| (!text.is_empty() && text.chars().all(|letter| letter.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase());
        let base64 = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).ok().map(hex::encode);
        self.hash = match text.split_once(['-', ':']) {
            Some(("sha512", sum)) => base64(sum).map(|sum| ("SHA-512", sum)),
            Some(("sha256", sum)) => hex_digits(sum).or_else(|| base64(sum)).map(|sum| ("SHA-256", sum)),
            Some(("sha1", sum)) => base64(sum).map(|sum| ("SHA-1", sum)),
            _ => None,
        };
        self
    }
}

/// How a lockfile is read, and what package URLs of its packages begin with.
type Reader = (&'static str, &'static str, fn(&str) -> Option<Vec<Package>>);

const READERS: &[Reader] = &[
    ("package-lock.json", "npm", npm),
    ("npm-shrinkwrap.json", "npm", npm),
    ("pnpm-lock.yaml", "npm", pnpm),
    ("yarn.lock", "npm", yarn),
    ("bun.lock", "npm", bun),
    ("deno.lock", "npm", deno),
    ("uv.lock", "pypi", tables),
    ("poetry.lock", "pypi", tables),
    ("pdm.lock", "pypi", tables),
    ("Pipfile.lock", "pypi", pipfile),
    (".txt", "pypi", requirements),
    ("Cargo.lock", "cargo", tables),
    ("go.sum", "golang", go_sum),
    ("Gemfile.lock", "gem", gemfile),
    ("composer.lock", "composer", composer),
    ("packages.lock.json", "nuget", nuget),
    ("mix.lock", "hex", mix),
    ("gradle.lockfile", "maven", gradle),
];

/// The bill of a workload's image from its lockfile, as CycloneDX 1.6; None where the lockfile is of no kind that is known, cannot be read, or pins nothing.
pub fn sbom(workload: &Workload, reference: &str, image: &str, lockfile: &str, text: &str) -> Option<String> {
    let name = lockfile.rsplit('/').next().unwrap_or(lockfile);
    let fits = |known: &str| if known.starts_with('.') { name.ends_with(known) } else { name == known };
    let (_, ecosystem, read) = READERS.iter().find(|(known, ..)| fits(known))?;
    let mut packages = read(text)?;
    packages.sort();
    packages.dedup_by(|one, other| one.name == other.name && one.version == other.version);
    if packages.is_empty() {
        return None;
    }
    let components: Vec<Value> = packages.iter().map(|package| component(ecosystem, package)).collect();
    let (repository, tag) = reference.rsplit_once(':').unwrap_or((reference, ""));
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "tools": { "components": [{ "type": "application", "name": "landfall", "version": env!("CARGO_PKG_VERSION") }] },
            "component": {
                "type": "container",
                "bom-ref": "image",
                "name": repository,
                "version": tag,
                "hashes": [{ "alg": "SHA-256", "content": image.trim_start_matches("sha256:") }],
            },
            "properties": [
                { "name": "landfall:service", "value": workload.name.as_str() },
                { "name": "landfall:lockfile", "value": lockfile },
            ],
        },
        "components": components,
        "dependencies": [{ "ref": "image", "dependsOn": packages.iter().map(|package| url(ecosystem, package)).collect::<Vec<_>>() }],
    });
    serde_json::to_string_pretty(&bill).ok().map(|text| format!("{text}\n"))
}

fn component(ecosystem: &str, package: &Package) -> Value {
    let url = url(ecosystem, package);
    let mut component = json!({
        "type": "library",
        "bom-ref": url,
        "name": package.name,
        "version": package.version,
        "purl": url,
        "scope": if package.development { "excluded" } else { "required" },
    });
    if let (Some((algorithm, sum)), Some(map)) = (&package.hash, component.as_object_mut()) {
        map.insert("hashes".to_owned(), json!([{ "alg": algorithm, "content": sum }]));
    }
    component
}

/// `pkg:npm/%40scope/name@1.0.0`
fn url(ecosystem: &str, package: &Package) -> String {
    let escape = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    };
    let (ecosystem, name) = match package.name.split_once(':') {
        Some((group, artifact)) if ecosystem == "maven" => (ecosystem, format!("{group}/{artifact}")),
        Some(("jsr", name)) => ("jsr", name.to_owned()),
        _ => (ecosystem, package.name.clone()),
    };
    format!("pkg:{ecosystem}/{}@{}", escape(&name), escape(&package.version))
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn object(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn npm(lock: &str) -> Option<Vec<Package>> {
    let lock: Value = serde_json::from_str(lock).ok()?;
    let of = |(path, about): (&String, &Value)| {
        let name = path.rsplit_once("node_modules/")?.1;
        let version = text(about, "version");
        let mut package = Package::new(name, version).summed(text(about, "integrity"));
        package.development = about.get("dev") == Some(&Value::Bool(true));
        (!version.is_empty()).then_some(package)
    };
    let mut packages: Vec<Package> = object(lock.get("packages")).filter_map(of).collect();
    if lock.get("packages").is_none() {
        packages = object(lock.get("dependencies")).map(|(name, about)| Package::new(name, text(about, "version")).summed(text(about, "integrity"))).collect();
    }
    Some(packages)
}

/// `name@1.0.0` or `@scope/name@1.0.0`, without what stands in brackets behind it.
fn at_version(key: &str) -> Option<(&str, &str)> {
    let key = key.split('(').next().unwrap_or(key).trim_start_matches('/');
    let at = key.char_indices().skip(1).find(|(_, letter)| *letter == '@').map(|(at, _)| at)?;
    let (name, version) = key.split_at(at);
    let version = version.trim_start_matches('@');
    version.starts_with(|letter: char| letter.is_ascii_digit()).then_some((name, version))
}

fn pnpm(lock: &str) -> Option<Vec<Package>> {
    let mut packages: Vec<Package> = Vec::new();
    let mut inside = false;
    for line in lock.lines() {
        if !line.starts_with([' ', '#']) && !line.is_empty() {
            inside = line == "packages:";
        } else if inside && line.starts_with("  ") && !line.starts_with("   ") {
            let key = line.trim().trim_end_matches(':').trim_matches(['\'', '"']);
            packages.extend(at_version(key).map(|(name, version)| Package::new(name, version)));
        } else if let (true, Some((_, sum)), Some(last)) = (inside, line.split_once("integrity: "), packages.last_mut()) {
            *last = last.clone().summed(sum.split([',', '}']).next().unwrap_or_default().trim());
        }
    }
    Some(packages)
}

fn yarn(lock: &str) -> Option<Vec<Package>> {
    let mut packages: Vec<Package> = Vec::new();
    let mut name = String::new();
    for line in lock.lines() {
        if !line.starts_with([' ', '#']) && line.ends_with(':') {
            let first = line.split(',').next().unwrap_or_default().trim_end_matches(':').trim_matches('"');
            let local = ["@workspace:", "@link:", "@portal:"].iter().any(|kind| first.contains(kind));
            let end = first.char_indices().skip(1).find(|(_, letter)| *letter == '@').map(|(at, _)| at);
            name = end.and_then(|end| first.get(..end)).filter(|_| !local).unwrap_or_default().to_owned();
        } else if let Some(version) = line.strip_prefix("  version") {
            let version = version.trim_start_matches(':').trim().trim_matches('"');
            if !name.is_empty() {
                packages.push(Package::new(&name, version));
            }
        } else if let (Some(sum), Some(last)) = (line.strip_prefix("  integrity "), packages.last_mut()) {
            *last = last.clone().summed(sum.trim());
        }
    }
    Some(packages)
}

fn bun(lock: &str) -> Option<Vec<Package>> {
    // Bun writes commas before closing brackets.
    let plain = regex::Regex::new(r",(\s*[\]}])").ok()?.replace_all(lock, "$1").into_owned();
    let lock: Value = serde_json::from_str(&plain).ok()?;
    let of = |(_, about): (&String, &Value)| {
        let list = about.as_array()?;
        let (name, version) = at_version(list.first()?.as_str()?)?;
        Some(Package::new(name, version).summed(list.last()?.as_str().unwrap_or_default()))
    };
    Some(object(lock.get("packages")).filter_map(of).collect())
}

fn deno(lock: &str) -> Option<Vec<Package>> {
    let lock: Value = serde_json::from_str(lock).ok()?;
    let of = |prefix: &'static str| {
        move |(key, about): (&String, &Value)| {
            let (name, version) = at_version(key)?;
            let version = version.split('_').next().unwrap_or(version);
            let sum = text(about, "integrity");
            let sum = if sum.contains('-') { sum.to_owned() } else { format!("sha256:{sum}") };
            Some(Package::new(&format!("{prefix}{name}"), version).summed(&sum))
        }
    };
    Some(object(lock.get("jsr")).filter_map(of("jsr:")).chain(object(lock.get("npm")).filter_map(of(""))).collect())
}

/// `[[package]]` tables: uv, Poetry, PDM and Cargo. What has no source but the workspace is no package of others.
fn tables(lock: &str) -> Option<Vec<Package>> {
    let lock: toml::Table = lock.parse().ok()?;
    let of = |table: &toml::Value| {
        let text = |name: &str| table.get(name).and_then(toml::Value::as_str);
        let source = table.get("source");
        let local = match source {
            Some(toml::Value::Table(source)) => ["virtual", "editable", "directory", "path"].iter().any(|kind| source.contains_key(*kind)),
            Some(_) => false,
            // Of Cargo alone the absence says that the package lies in the workspace; the others name files.
            None => table.get("files").is_none() && table.get("sdist").is_none() && table.get("wheels").is_none(),
        };
        let file = |list: &str| table.get(list)?.get(0)?.get("hash")?.as_str();
        let sum = text("checksum").map(|sum| format!("sha256:{sum}"));
        let sum = sum.or_else(|| table.get("sdist")?.get("hash")?.as_str().or_else(|| file("wheels")).or_else(|| file("files")).map(str::to_owned));
        let package = Package::new(text("name")?, text("version")?);
        let package = match sum.or_else(|| file("wheels").or_else(|| file("files")).map(str::to_owned)) {
            Some(sum) => package.summed(&sum),
            None => package,
        };
        (!local).then_some(package)
    };
    Some(lock.get("package").and_then(toml::Value::as_array).into_iter().flatten().filter_map(of).collect())
}

fn pipfile(lock: &str) -> Option<Vec<Package>> {
    let lock: Value = serde_json::from_str(lock).ok()?;
    let of = |development: bool| {
        move |(name, about): (&String, &Value)| {
            let sum = about.pointer("/hashes/0").and_then(Value::as_str).unwrap_or_default();
            let version = text(about, "version").strip_prefix("==")?;
            Some(Package { development, ..Package::new(name, version).summed(sum) })
        }
    };
    Some(object(lock.get("default")).filter_map(of(false)).chain(object(lock.get("develop")).filter_map(of(true))).collect())
}

/// Only what is pinned: a range names no package.
fn requirements(list: &str) -> Option<Vec<Package>> {
    let of = |line: &str| {
        let line = line.split(['#', ';', '\\']).next()?.trim();
        let (name, version) = line.split_once("==")?;
        let name = name.split('[').next()?.trim().to_ascii_lowercase().replace(['_', '.'], "-");
        let version = version.trim_start_matches('=').split([' ', ',']).next()?.trim();
        let plain = !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-');
        (plain && !version.is_empty() && !version.contains('*')).then(|| Package::new(&name, version))
    };
    Some(list.lines().filter_map(of).collect())
}

fn go_sum(lock: &str) -> Option<Vec<Package>> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, version) = (words.next()?, words.next()?);
        (!version.ends_with("/go.mod")).then(|| Package { version: version.to_owned(), ..Package::new(name, version) })
    };
    Some(lock.lines().filter_map(of).collect())
}

fn gemfile(lock: &str) -> Option<Vec<Package>> {
    let of = |line: &str| {
        let line = line.strip_prefix("    ").filter(|line| !line.starts_with(' '))?;
        let (name, version) = line.split_once(" (")?;
        let version = version.trim_end_matches(')');
        version.starts_with(|letter: char| letter.is_ascii_digit()).then(|| Package::new(name, version))
    };
    Some(lock.lines().filter_map(of).collect())
}

fn composer(lock: &str) -> Option<Vec<Package>> {
    let lock: Value = serde_json::from_str(lock).ok()?;
    let of = |development: bool| move |about: &Value| Package { development, ..Package::new(text(about, "name"), text(about, "version")) };
    let list = |name: &str| lock.get(name).and_then(Value::as_array).into_iter().flatten();
    Some(list("packages").map(of(false)).chain(list("packages-dev").map(of(true))).collect())
}

fn nuget(lock: &str) -> Option<Vec<Package>> {
    let lock: Value = serde_json::from_str(lock).ok()?;
    let all = object(lock.get("dependencies")).flat_map(|(_, list)| object(Some(list)));
    let of = |(name, about): (&String, &Value)| {
        let version = text(about, "resolved");
        (!version.is_empty()).then(|| Package::new(name, version).summed(&format!("sha512-{}", text(about, "contentHash"))))
    };
    Some(all.filter_map(of).collect())
}

fn mix(lock: &str) -> Option<Vec<Package>> {
    let shape = regex::Regex::new(r#"\{:hex, :([a-z0-9_]+), "([^"]+)", "([0-9a-f]{64})""#).ok()?;
    let of =
        |found: regex::Captures<'_>| Some(Package::new(found.get(1)?.as_str(), found.get(2)?.as_str()).summed(&format!("sha256:{}", found.get(3)?.as_str())));
    Some(shape.captures_iter(lock).filter_map(of).collect())
}

fn gradle(lock: &str) -> Option<Vec<Package>> {
    let of = |line: &str| {
        let (coordinates, _) = line.split_once('=')?;
        let (name, version) = coordinates.rsplit_once(':')?;
        name.contains(':').then(|| Package::new(name, version))
    };
    Some(lock.lines().filter(|line| !line.starts_with('#')).filter_map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(file: &str, text: &str, expect: &[&str]) {
        let (_, ecosystem, read) = READERS.iter().find(|(known, ..)| file.ends_with(known)).unwrap();
        let mut packages = read(text).unwrap_or_else(|| panic!("{file} cannot be read"));
        packages.sort();
        let told: Vec<String> = packages
            .iter()
            .map(|package| {
                let sum = package.hash.as_ref().map_or(String::new(), |(algorithm, sum)| format!(" {algorithm} {}", sum.get(..4).unwrap_or(sum)));
                format!("{}{sum}{}", url(ecosystem, package), if package.development { " dev" } else { "" })
            })
            .collect();
        assert_eq!(told, expect, "{file}");
    }

    #[test]
    fn every_lockfile_says_what_it_pins() {
        let lock = r#"{"packages": {"": {"version": "1"}, "node_modules/@a/b": {"version": "1.2.3", "integrity": "sha512-q80="}, "node_modules/c/node_modules/d": {"version": "2.0.0", "dev": true}, "apps/x": {"version": "1"}}}"#;
        check("package-lock.json", lock, &["pkg:npm/%40a/b@1.2.3 SHA-512 abcd", "pkg:npm/d@2.0.0 dev"]);
        let lock = "lockfileVersion: '9.0'\n\npackages:\n\n  '@a/b@1.2.3':\n    resolution: {integrity: sha512-q80=}\n\n  c@2.0.0(d@1):\n    resolution: {integrity: sha512-q80=}\n\nsnapshots:\n\n  x@1.0.0: {}\n";
        check("pnpm-lock.yaml", lock, &["pkg:npm/%40a/b@1.2.3 SHA-512 abcd", "pkg:npm/c@2.0.0 SHA-512 abcd"]);
        check(
            "yarn.lock",
            "# yarn lockfile v1\n\n\"@a/b@^1\", \"@a/b@~1.2\":\n  version \"1.2.3\"\n  integrity sha512-q80=\n",
            &["pkg:npm/%40a/b@1.2.3 SHA-512 abcd"],
        );
        check("yarn.lock", "__metadata:\n  version: 8\n\n\"c@npm:^2\":\n  version: 2.0.0\n\n\"me@workspace:.\":\n  version: 0.0.0\n", &["pkg:npm/c@2.0.0"]);
        check("bun.lock", "{ \"packages\": { \"hono\": [\"hono@4.1.0\", \"\", {}, \"sha512-q80=\"], }, }", &["pkg:npm/hono@4.1.0 SHA-512 abcd"]);
        check(
            "deno.lock",
            r#"{"jsr": {"@std/http@1.0.1": {"integrity": "abcd"}}, "npm": {"ms@2.1.3": {"integrity": "sha512-q80="}}}"#,
            &["pkg:jsr/%40std/http@1.0.1 SHA-256 abcd", "pkg:npm/ms@2.1.3 SHA-512 abcd"],
        );
        let lock = "[[package]]\nname = \"me\"\nversion = \"1\"\nsource = { virtual = \".\" }\n\n[[package]]\nname = \"fastapi\"\nversion = \"0.121\"\nsource = { registry = \"r\" }\nwheels = [{ hash = \"sha256:abcd\" }]\n";
        check("uv.lock", lock, &["pkg:pypi/fastapi@0.121 SHA-256 abcd"]);
        check(
            "poetry.lock",
            "[[package]]\nname = \"flask\"\nversion = \"3.1\"\nfiles = [{file = \"f\", hash = \"sha256:abcd\"}]\n",
            &["pkg:pypi/flask@3.1 SHA-256 abcd"],
        );
        check(
            "Cargo.lock",
            "[[package]]\nname = \"me\"\nversion = \"1\"\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.1+b\"\nsource = \"registry\"\nchecksum = \"abcd\"\n",
            &["pkg:cargo/serde@1.0.1%2Bb SHA-256 abcd"],
        );
        check(
            "Pipfile.lock",
            r#"{"default": {"flask": {"version": "==3.1", "hashes": ["sha256:abcd"]}}, "develop": {"pytest": {"version": "==8"}}}"#,
            &["pkg:pypi/flask@3.1 SHA-256 abcd", "pkg:pypi/pytest@8 dev"],
        );
        check(
            "requirements.txt",
            "Flask[async]==3.1  # web\nredis>=5\n-r other.txt\nPy_Jwt==2.1 ; python_version > '3'\na==1.*\n",
            &["pkg:pypi/flask@3.1", "pkg:pypi/py-jwt@2.1"],
        );
        check("go.sum", "github.com/a/b v1.2.3 h1:x=\ngithub.com/a/b v1.2.3/go.mod h1:y=\n", &["pkg:golang/github.com/a/b@v1.2.3"]);
        check("Gemfile.lock", "GEM\n  specs:\n    rack (3.1.0)\n      dep (>= 1)\n\nDEPENDENCIES\n  rack\n", &["pkg:gem/rack@3.1.0"]);
        check(
            "composer.lock",
            r#"{"packages": [{"name": "slim/slim", "version": "v4.1"}], "packages-dev": [{"name": "a/b", "version": "1"}]}"#,
            &["pkg:composer/a/b@1 dev", "pkg:composer/slim/slim@4.1"],
        );
        check(
            "packages.lock.json",
            r#"{"dependencies": {"net9.0": {"Npgsql": {"resolved": "9.0.0", "contentHash": "q80="}}}}"#,
            &["pkg:nuget/Npgsql@9.0.0 SHA-512 abcd"],
        );
        check(
            "mix.lock",
            &format!("%{{\n  \"plug\": {{:hex, :plug, \"1.16.0\", \"{}\", [:mix]}},\n}}", "abcd".repeat(16)),
            &["pkg:hex/plug@1.16.0 SHA-256 abcd"],
        );
        check("gradle.lockfile", "# comment\norg.slf4j:slf4j-api:2.0.1=runtimeClasspath\nempty=\n", &["pkg:maven/org.slf4j/slf4j-api@2.0.1"]);
    }
}
