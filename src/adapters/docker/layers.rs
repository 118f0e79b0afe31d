//! Credentials in an image: every layer is read as it was saved, deleted files included; what is answered names the place and the kind, never the value.

use super::refused;
use crate::adapters::engine::Engine;
use crate::failure::{Code, Failure};
use crate::names::ImageRef;
use crate::ports::ImageFacts;
use crate::secret::{looks_secret, plain, secret_name};
use bytes::Bytes;
use futures::StreamExt as _;
use std::collections::BTreeSet;
use std::io::{self, Read};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long all layers may take.
const LIMIT: Duration = Duration::from_secs(180);
/// Larger files are not read.
const LARGEST: u64 = 256 * 1024;
/// How many findings are told.
const MOST: usize = 50;

/// Scans environment, history and all layers.
pub(super) async fn scan(engine: &Engine, reference: &ImageRef, facts: &ImageFacts) -> Result<Vec<String>, Failure> {
    let mut found = in_configuration(facts);
    let (send, receive) = mpsc::channel::<io::Result<Bytes>>(16);
    let reading = tokio::task::spawn_blocking(move || archive(Source { receive, chunk: Bytes::new() }));
    let sending = async {
        let mut archive = std::pin::pin!(engine.docker().export_image(reference.as_str()));
        while let Some(chunk) = archive.next().await {
            let chunk = chunk.map_err(|error| refused(&format!("export {reference}"), engine, &error))?;
            if send.send(Ok(chunk)).await.is_err() {
                break;
            }
        }
        Ok::<_, Failure>(())
    };
    let sent = tokio::time::timeout(LIMIT, sending).await;
    // The reader sees a torn archive where the stream broke off, and ends.
    drop(send);
    sent.map_err(|_| {
        Failure::new(Code::Deadline, format!("the layers of {reference} were not read within {} s", LIMIT.as_secs()))
            .help("call again, or make the image smaller")
    })??;
    let doing = format!("read the layers of {reference}");
    let layers = reading.await.map_err(|error| Failure::internal(doing.clone()).cause(error))?;
    found.extend(layers.map_err(|error| Failure::new(Code::ProgramFailed, doing).cause(error).help("call again"))?);
    found.truncate(MOST);
    Ok(found)
}

/// What environment and history give away.
fn in_configuration(facts: &ImageFacts) -> Vec<String> {
    let mut found = Vec::new();
    for pair in &facts.env {
        if let Some((name, value)) = pair.split_once('=')
            && is_credential(name, value)
        {
            found.push(format!("environment {}: a value is built into the image", plain(name, 80)));
        }
    }
    for (number, layer) in facts.layers.iter().enumerate() {
        // Words such as `API_KEY=…` of ARG, ENV and RUN lines.
        let named: BTreeSet<&str> = words(&layer.created_by)
            .filter_map(|word| word.split_once('='))
            .filter(|(name, value)| name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_') && is_credential(name, value))
            .map(|(name, _)| name)
            .collect();
        found.extend(named.iter().map(|name| format!("history line {number}: the value of {}", plain(name, 80))));
        let shown = |word: &&str| !word.split_once('=').is_some_and(|(_, value)| is_placeholder(value.trim_matches(['"', '\''])));
        let rest: Vec<&str> = layer.created_by.split_whitespace().filter(shown).collect();
        if layer.created_by.split(|letter: char| letter.is_whitespace() || "\"'=".contains(letter)).any(is_token) {
            found.push(format!("history line {number}: a token"));
        } else if named.is_empty() && looks_secret(&rest.join(" ")) {
            found.push(format!("history line {number}: something of a credential's shape"));
        }
    }
    found.dedup();
    found
}

/// True where name and value are a credential rather than a setting, a reference or a placeholder.
fn is_credential(name: &str, value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    if is_placeholder(value) {
        return false;
    }
    // An address is secret only where a password stands in it.
    match value.contains("://") {
        true => has_password(value),
        false => (secret_name(name) && value.len() >= 4) || is_token(value),
    }
}

/// What people write where a value belongs.
fn is_placeholder(value: &str) -> bool {
    let low = value.to_ascii_lowercase();
    let low = low.trim();
    let stands_for = [
        "changeme",
        "change-me",
        "change_me",
        "placeholder",
        "example",
        "your-",
        "your_",
        "yoursecret",
        "dummy",
        "xxxx",
        "<",
        "${",
        "$(",
        "{{",
        "replace",
        "todo",
        "not-a-",
        "build-time",
        "buildtime",
        "insert",
        "sample",
        "fake",
        "***",
    ];
    let bare = [
        "test",
        "secret",
        "password",
        "postgres",
        "none",
        "null",
        "undefined",
        "true",
        "false",
        "dev",
        "development",
        "pass",
        "token",
        "string",
        "str",
        "user",
        "admin",
        "root",
        "guest",
    ];
    low.is_empty()
        || stands_for.iter().any(|word| low.contains(word))
        || low.starts_with('$')
        // `dev-secret` and `shop_password`, as `secret` and `password` alone.
        || low.split(['_', '-', '.']).all(|part| bare.contains(&part))
        || low.strip_suffix("password").is_some_and(|before| before.chars().all(|letter| letter.is_ascii_alphabetic() || "_-.".contains(letter)))
        || low.chars().all(|letter| low.starts_with(letter))
}

/// True where an address carries a password that is no placeholder.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, host)) = authority.rsplit_once('@') else { return false };
    let password = user.split_once(':').map_or("", |(_, password)| password);
    let host = host.split(':').next().unwrap_or_default();
    // An address of the developer's own machine with its usual password opens nothing.
    password.len() >= 3 && !is_placeholder(password) && !(["localhost", "127.0.0.1", "db", "host"].contains(&host) && user.split(':').next() == Some(password))
}

/// True for a word of the shape that providers give their keys; a name before it makes nothing a key.
fn is_token(word: &str) -> bool {
    let word = word.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    word.len() >= 16 && word.len() <= 4_096 && !word.contains([':', '=']) && looks_secret(word) && !is_placeholder(word)
}

/// Words of a line, quotes and separators apart.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| letter.is_whitespace() || "\"'`,;()[]{}<>|".contains(letter)).filter(|word| !word.is_empty())
}

/// Bytes of a channel as a blocking reader.
struct Source {
    receive: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receive.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        let taken = self.chunk.split_to(count);
        if let Some(place) = buffer.get_mut(..count) {
            place.copy_from_slice(&taken);
        }
        Ok(count)
    }
}

/// Reads what `docker save` writes: layers as `<id>/layer.tar` or, in newer engines, as `blobs/sha256/<digest>`, packed or not.
fn archive(source: impl Read) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut layers = 0;
    let mut outer = tar::Archive::new(source);
    for entry in outer.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() || !(path.ends_with("/layer.tar") || path.starts_with("blobs/")) {
            continue;
        }
        let mut head = Vec::new();
        entry.by_ref().take(512).read_to_end(&mut head)?;
        let whole = io::Cursor::new(head.clone()).chain(entry);
        match (head.get(..2), head.get(257..262)) {
            (Some([0x1f, 0x8b]), _) => layer(flate2::read::GzDecoder::new(whole), layers, &mut found)?,
            (_, Some(b"ustar")) => layer(whole, layers, &mut found)?,
            // An empty layer is all zeros; manifests and configurations are JSON.
            _ => continue,
        }
        layers += 1;
        if found.len() >= MOST {
            break;
        }
    }
    match layers {
        0 => Err(io::Error::new(io::ErrorKind::InvalidData, "the image was saved without a layer that can be read")),
        _ => Ok(found),
    }
}

fn layer(source: impl Read, number: usize, found: &mut Vec<String>) -> io::Result<()> {
    let mut inner = tar::Archive::new(source);
    for entry in inner.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() || entry.size() == 0 || entry.size() > LARGEST {
            continue;
        }
        let path = entry.path()?.to_string_lossy().trim_start_matches("./").to_owned();
        if is_of_a_package(&path) {
            continue;
        }
        let mut bytes = Vec::new();
        entry.by_ref().take(LARGEST).read_to_end(&mut bytes)?;
        if let Some(kind) = credential_in(&path, &bytes) {
            found.push(format!("layer {number}: /{}: {kind}", plain(&path, 200)));
            if found.len() >= MOST {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Files that packages bring: what looks secret there is an example or a test.
fn is_of_a_package(path: &str) -> bool {
    const TREES: &[&str] = &[
        "usr/lib/",
        "usr/lib64/",
        "usr/libexec/",
        "usr/share/",
        "usr/include/",
        "usr/src/linux",
        "usr/bin/",
        "usr/sbin/",
        "usr/local/lib/",
        "usr/local/go/",
        "usr/local/include/",
        "usr/local/share/",
        "lib/",
        "lib64/",
        "bin/",
        "sbin/",
        "var/lib/dpkg/",
        "var/lib/apt/",
        "var/cache/",
        "opt/yarn",
        "proc/",
        "sys/",
        "etc/ssl/certs/",
        "etc/pki/",
        "etc/ssl/private/ssl-cert-snakeoil.key",
    ];
    const FOLDERS: &[&str] = &[
        "site-packages",
        "dist-packages",
        "node_modules",
        ".pnpm",
        "gems",
        ".cargo",
        ".rustup",
        ".m2",
        ".gradle",
        ".nuget",
        ".pub-cache",
        "__pycache__",
        "__tests__",
        "testdata",
    ];
    TREES.iter().any(|tree| path.starts_with(tree))
        || path.split('/').any(|part| FOLDERS.contains(&part))
        || path.contains("go/pkg/mod/")
        || path.contains("vendor/bundle/")
}

/// What kind of credential a file holds, judged by its name and content.
fn credential_in(path: &str, bytes: &[u8]) -> Option<&'static str> {
    let name = path.rsplit('/').next().unwrap_or_default();
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    if matches!(extension, "p12" | "pfx" | "jks" | "keystore") && name != "cacerts" {
        return Some("a key store");
    }
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
    if has_private_key(text) {
        return Some("a private key");
    }
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', ';']));
    let after = |line: &str, key: &str| line.split_once(key).map(|(_, value)| value.trim_start_matches([' ', '=', ':']).trim().to_owned());
    match name {
        ".git-credentials" if lines().any(|line| line.contains("://")) => return Some("stored git credentials"),
        ".netrc" | "_netrc" if lines().any(|line| after(line, "password ").is_some_and(|value| !is_placeholder(&value))) => {
            return Some("a login with its password");
        }
        ".npmrc" | ".yarnrc" | ".yarnrc.yml"
            if lines().any(|line| {
                ["_authToken", "_password", "_auth", "npmAuthToken"].iter().any(|key| after(line, key).is_some_and(|value| !is_placeholder(&value)))
            }) =>
        {
            return Some("a token of a package registry");
        }
        ".pypirc" | "pip.conf"
            if lines().any(|line| {
                line.starts_with("password") && after(line, "password").is_some_and(|value| !is_placeholder(&value))
                    || line.split_whitespace().any(has_password)
            }) =>
        {
            return Some("a password of a package registry");
        }
        "config.json" if path.ends_with(".docker/config.json") && text.contains("\"auth\"") => return Some("a login of a container registry"),
        "credentials" if path.ends_with(".aws/credentials") => return Some("cloud credentials"),
        "config" if path.ends_with(".kube/config") && (text.contains("client-key-data") || text.contains("token:")) => {
            return Some("a login of a Kubernetes cluster");
        }
        _ => {}
    }
    let is_env = name == ".env" || name.starts_with(".env.") || extension == "env";
    let is_example = ["example", "sample", "template", "dist", "defaults"].iter().any(|word| name.contains(word));
    if is_env && !is_example {
        let secret = lines().filter_map(|line| line.trim_start_matches("export ").split_once('=')).any(|(name, value)| is_credential(name.trim(), value));
        if secret {
            return Some("an environment file with secret values");
        }
    }
    if is_example {
        return None;
    }
    let is_settings = matches!(extension, "ini" | "cfg" | "conf" | "properties" | "toml" | "yaml" | "yml" | "json");
    for line in lines().filter(|line| !line.starts_with("//")) {
        // Lines of bundled code are long; a key in them is still a word of its own.
        if words(line).flat_map(|word| word.split('=')).any(|word| is_token(word) || (!word.contains("://") && word.split(':').any(is_token))) {
            return Some("a token");
        }
        if is_settings
            && words(line).any(|word| {
                word.contains("://") && has_password(word.split_once('=').filter(|(name, _)| !name.contains("://")).map_or(word, |(_, value)| value))
            })
        {
            return Some("an address with a password");
        }
    }
    None
}

/// True where a whole private key stands in the text; its first line alone is code that looks for keys.
fn has_private_key(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("PRIVATE KEY-----") else { return false };
    let body: String = rest.split("-----").next().unwrap_or_default().replace("\\n", "\n");
    let encoded = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.contains(':'))
        .flat_map(str::chars)
        .filter(|letter| letter.is_ascii_alphanumeric() || "+/=".contains(*letter))
        .count();
    encoded >= 64 && !body.contains("...") && !is_placeholder(body.lines().find(|line| !line.trim().is_empty()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    // Put together here, so that no scanner takes this file for a leak.
    fn token() -> String {
        format!("sk-{}", "a1B2c3D4e5F6g7H8i9J0")
    }

    fn key() -> String {
        format!("-----BEGIN {0}-----\n{1}\n{1}\n-----END {0}-----\n", "PRIVATE KEY", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ")
    }

    fn check(path: &str, content: &str, expect: Option<&str>) {
        let seen = if is_of_a_package(path) { None } else { credential_in(path, content.as_bytes()) };
        assert_eq!(seen, expect, "{path}: {content}");
    }

    #[test]
    fn files_that_hold_credentials_are_found() {
        check("app/.env", "PORT=1\nJWT_SECRET=8fj3kd93jf83jd\n", Some("an environment file with secret values"));
        check("app/.env.production", &format!("export OPENAI_API_KEY='{}'", token()), Some("an environment file with secret values"));
        check("app/.env", "DATABASE_URL=postgresql://app:q8w7e6r5@db.prod.internal/app", Some("an environment file with secret values"));
        check("root/.ssh/id_rsa", &key(), Some("a private key"));
        check("app/certs/server.pem", &key(), Some("a private key"));
        check("app/gcp.json", &format!("{{\"private_key\": \"{}\"}}", key().replace('\n', "\\n")), Some("a private key"));
        check("root/.npmrc", "//registry.example/:_authToken=npm0a8s7d6f5", Some("a token of a package registry"));
        check("root/.git-credentials", "https://me:tok@git.example", Some("stored git credentials"));
        check("root/.netrc", "machine x login me password q8w7e6r5", Some("a login with its password"));
        check("root/.docker/config.json", "{\"auths\":{\"x\":{\"auth\":\"bWU6cGFzcw==\"}}}", Some("a login of a container registry"));
        check("app/src/client.py", &format!("client = OpenAI(api_key=\"{}\")", token()), Some("a token"));
        check("app/settings.toml", "url = \"postgresql://app:q8w7e6r5@db.prod/app\"", Some("an address with a password"));
        check("app/case.json", "{\"url\": \"postgresql://test_user:test_8fj3k@store:5432/x\"}", Some("an address with a password"));
        check("app/case.json", "{\"url\": \"postgresql://shop_user:8fj3k-password@store:5432/x\"}", Some("an address with a password"));
        check("app/store.p12", "x", Some("a key store"));
    }

    #[test]
    fn settings_code_and_examples_are_left_alone() {
        check("app/.env", "PORT=3000\nNEXT_PUBLIC_API_URL=http://localhost:8000\nDATABASE_URL=postgresql://localhost/dev\n", None);
        check("app/.env", "JWT_SECRET=changeme\nAPI_KEY=${API_KEY}\nOPENAI_API_KEY=<your key>\nSECRET_KEY=\n", None);
        check("app/.env.example", "JWT_SECRET=8fj3kd93jf83jd", None);
        check("app/auth.py", "def check(user, password: str):\n    return hash(password) == user.password_hash\n", None);
        check("app/auth.ts", "const secret: string = process.env.JWT_SECRET;\ninterface Login { password: string; token: string }", None);
        check("app/config.py", "database_url: str = \"postgresql://postgres:postgres@localhost:5432/app\"", None);
        check("app/key.py", "if text.startswith('-----BEGIN PRIVATE KEY-----'):\n    raise ValueError", None);
        check("usr/lib/python3/test/key.pem", &key(), None);
        check("app/node_modules/x/test/id_rsa", &key(), None);
        check("usr/local/lib/python3.11/site-packages/certifi/cacert.pem", &key(), None);
        check("root/.npmrc", "//registry.example/:_authToken=${NPM_TOKEN}\nfund=false", None);
        check("app/case.json", "{\"url\": \"postgresql://test_user:test_password@store:5432/x\"}", None);
        check("app/case.json", "{\"url\": \"postgresql://shop_user:shop_password@store:5432/x\"}", None);
        check("app/compose.yml", "url: postgresql://${USER}:${PASSWORD}@db/app", None);
        check("etc/pip.conf", "[global]\nindex-url = https://pypi.example/simple", None);
    }

    #[test]
    fn environment_and_history_are_read_without_their_values() {
        let facts = |env: &[&str], created: &str| ImageFacts {
            id: String::new(),
            size_bytes: 0,
            user: String::new(),
            env: env.iter().map(|pair| (*pair).to_owned()).collect(),
            entrypoint: Vec::new(),
            command: Vec::new(),
            working_dir: String::new(),
            architecture: String::new(),
            layers: vec![crate::ports::Layer { created_by: created.to_owned(), size_bytes: 0 }],
            digests: Vec::new(),
        };
        let open = facts(
            &["PATH=/usr/bin", "GPG_KEY=A035C8C19219BA821ECEA86B64E628F8D684696D", "NODE_ENV=production", "DATABASE_URL=postgresql://placeholder"],
            "RUN /bin/sh -c pip install x # buildkit",
        );
        assert_eq!(in_configuration(&open), Vec::<String>::new());
        let stood_in = "RUN /bin/sh -c DATABASE_URL=postgresql://placeholder@localhost/placeholder SECRET_KEY=placeholder python manage.py collectstatic";
        assert_eq!(in_configuration(&facts(&[], stood_in)), Vec::<String>::new());
        let cloned = facts(&[], "RUN /bin/sh -c git clone https://bot:q8w7e6r5t4@git.example/app SECRET_KEY=placeholder");
        assert_eq!(in_configuration(&cloned), ["history line 0: something of a credential's shape"]);
        // What stands in for values while static files are collected.
        let collected = facts(&[], "RUN /bin/sh -c SECRET_KEY=x DATABASE_URL=postgresql://x@localhost/x python manage.py collectstatic --noinput # buildkit");
        assert_eq!(in_configuration(&collected), Vec::<String>::new());
        // A secret that is mounted for one step and read into its environment.
        let mounted = facts(&[], "RUN /bin/sh -c NPM_TOKEN=\"$(cat /run/secrets/NPM_TOKEN)\" && export NPM_TOKEN &&     npm ci # buildkit");
        assert_eq!(in_configuration(&mounted), Vec::<String>::new());
        let secret = facts(&["API_KEY=q8w7e6r5t4"], "RUN |1 NPM_TOKEN=q8w7e6r5t4 /bin/sh -c npm ci");
        let found = in_configuration(&secret);
        assert_eq!(found, ["environment API_KEY: a value is built into the image", "history line 0: the value of NPM_TOKEN"]);
    }

    fn packed(files: &[(&str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn saved(layers: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, content) in layers {
            let mut header = tar::Header::new_ustar();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, path, content.as_slice()).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn layers_are_read_in_both_forms_and_a_deleted_file_is_found() {
        use std::io::Write as _;
        let first = packed(&[("app/.env", "JWT_SECRET=8fj3kd93jf83jd"), ("app/main.py", "print()")]);
        let second = packed(&[("app/.wh..env", "")]);
        let expect = ["layer 0: /app/.env: an environment file with secret values"];
        let old = saved(&[("aa/layer.tar", first.clone()), ("bb/layer.tar", second.clone()), ("aa/json", b"{}".to_vec())]);
        assert_eq!(archive(old.as_slice()).unwrap(), expect);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&first).unwrap();
        let new = saved(&[("blobs/sha256/00", b"{\"schemaVersion\":2}".to_vec()), ("blobs/sha256/aa", gzip.finish().unwrap()), ("blobs/sha256/bb", second)]);
        assert_eq!(archive(new.as_slice()).unwrap(), expect);
    }

    #[test]
    fn an_archive_without_layers_or_torn_off_is_an_error() {
        assert!(archive(saved(&[("manifest.json", b"[]".to_vec())]).as_slice()).is_err());
        let whole = saved(&[("aa/layer.tar", packed(&[("a", &"x".repeat(5_000))]))]);
        assert!(archive(&whole[..3_000]).is_err());
    }
}
