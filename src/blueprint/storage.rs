//! Services that keep their data in a file of their own: where that file lies on a claim, and what the program is told about it.

use super::{EnvSetting, EnvValue, Storage};
use crate::names::EnvName;
use crate::survey::{EnvRead, Service};
use std::collections::BTreeMap;

/// Where the claim of a service is mounted: beside the image's own files, which it must not cover.
const MOUNT: &str = "/data";
const SIZE: &str = "1Gi";

/// The claim of a service whose database is a file of SQLite. Where nobody says another place, the file is moved onto the claim by the variable that names it.
/// None where the variable has a value of another kind, a database in memory, or a file where a restart may lose it because somebody said so.
pub(super) fn storage(facts: &Service, env: &mut BTreeMap<EnvName, EnvSetting>) -> Option<Storage> {
    let need = facts.backing.iter().find(|need| need.kind == "sqlite")?;
    let read = facts.env.iter().find(|read| read.name.as_str() == need.via)?;
    let claim = |mount: &str| Some(Storage { mount: mount.to_owned(), size: SIZE.to_owned() });
    match env.get(&read.name).map(|setting| &setting.value) {
        Some(EnvValue::SecretKey { .. }) => None,
        Some(EnvValue::Literal { text }) => {
            let file = file_of(text, &facts.language)?;
            let (folder, _) = file.rsplit_once('/').filter(|(folder, _)| folder.len() > 1 && folder.starts_with('/'))?;
            let covers = ["/app", "/tmp", "/etc", "/usr", "/bin", "/lib", "/proc", "/sys", "/dev"];
            let plain = covers.iter().all(|other| folder != *other && !folder.starts_with(&format!("{other}/")));
            if plain { claim(folder) } else { None }
        }
        None => {
            let address = moved(read.default.as_deref()?, &facts.language)?;
            env.insert(read.name.clone(), told(read, address));
            claim(MOUNT)
        }
    }
}

fn told(read: &EnvRead, address: String) -> EnvSetting {
    EnvSetting {
        name: read.name.clone(),
        value: EnvValue::Literal { text: address },
        required: true,
        read_at: read.evidence.first().cloned(),
        why: "its database is a file, which lies on a claim and outlives the pod".to_owned(),
    }
}

/// The path that an address of SQLite names, without its query. SQLAlchemy and what follows it write one slash more than the path has.
fn file_of(address: &str, language: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let path = rest.split('?').next().unwrap_or(rest);
    let path = if language == "python" { path.strip_prefix('/')? } else { path };
    (scheme.starts_with("sqlite") && !path.is_empty() && !path.contains(":memory:") && !path.ends_with('/')).then(|| path.to_owned())
}

/// The same address with its file on the claim.
fn moved(address: &str, language: &str) -> Option<String> {
    let path = file_of(address, language)?;
    let file = path.rsplit('/').next().filter(|file| !file.is_empty())?;
    let (scheme, rest) = address.split_once("://")?;
    let query = rest.split_once('?').map(|(_, query)| format!("?{query}")).unwrap_or_default();
    let extra = if language == "python" { "/" } else { "" };
    Some(format!("{scheme}://{extra}{MOUNT}/{file}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_an_address_moves_onto_the_claim() {
        let check = |address: &str, language: &str, expect: Option<&str>| assert_eq!(moved(address, language).as_deref(), expect, "{address} in {language}");
        check("sqlite:///./data/app.db", "python", Some("sqlite:////data/app.db"));
        check("sqlite+aiosqlite:///notes.db?timeout=5", "python", Some("sqlite+aiosqlite:////data/notes.db?timeout=5"));
        check("sqlite:////var/lib/notes.db", "python", Some("sqlite:////data/notes.db"));
        check("sqlite://notes.db", "rust", Some("sqlite:///data/notes.db"));
        check("sqlite:///var/notes.db", "rust", Some("sqlite:///data/notes.db"));
        check("sqlite://", "python", None);
        check("sqlite:///:memory:", "python", None);
        check("sqlite::memory:", "rust", None);
        check("postgresql://db/notes", "python", None);
    }
}
