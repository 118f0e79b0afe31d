//! How a Python project installs: by pip, uv or poetry as they are, by pipenv and pdm through a list of what they locked.

use super::{local, plain_path, secret_mounts};
use crate::failure::Failure;
use crate::names::EnvName;
use crate::survey::Service;

/// Versions of the tools that a build installs.
pub(super) const UV: &str = "0.13.9";
pub(super) const POETRY: &str = "2.5.1";
const PIPENV: &str = "2026.10.3";
const PDM: &str = "2.29.4";

/// How a Python project installs.
pub(super) struct Python<'a> {
    facts: &'a Service,
    manager: &'a str,
    secrets: &'a [EnvName],
}

impl<'a> Python<'a> {
    pub(super) fn of(facts: &'a Service, secrets: &'a [EnvName]) -> Self {
        Self { facts, manager: facts.package_manager.as_deref().unwrap_or("pip"), secrets }
    }

    /// The program that turns a lockfile into a list that pip installs, with its version.
    pub(super) fn tool(&self) -> String {
        match self.manager {
            "pdm" => format!("pdm=={PDM}"),
            _ => format!("pipenv=={PIPENV}"),
        }
    }

    /// The requirements files that pip installs; empty where the project itself is installed, or nothing at all.
    fn requirements(&self) -> Result<Vec<String>, Failure> {
        let fact = |key: &str| self.facts.build_facts.get(key).map(String::as_str).filter(|value| !value.is_empty());
        let mut files: Vec<&str> = fact("requirements").map(|list| list.split([' ', ',']).filter(|file| !file.is_empty()).collect()).unwrap_or_default();
        if files.is_empty() {
            let words: Vec<&str> = self.facts.install_command.as_deref().unwrap_or_default().split_whitespace().collect();
            files = words
                .windows(2)
                .filter_map(|pair| match pair {
                    ["-r" | "--requirement", file] => Some(*file),
                    _ => None,
                })
                .collect();
        }
        if files.is_empty() {
            files.extend(fact("lockfile").filter(|file| file.ends_with(".txt")));
        }
        files.into_iter().map(|file| plain_path(self.facts, "requirements", local(self.facts, file))).collect()
    }

    fn project(&self) -> bool {
        let words = self.facts.install_command.as_deref().unwrap_or_default().split_whitespace();
        words.clone().any(|word| word == "install") && words.clone().any(|word| word == "." || word.starts_with(".[") || word == "-e")
    }

    pub(super) fn manifests(&self) -> Result<String, Failure> {
        let lockfile = self.facts.build_facts.get("lockfile");
        match self.manager {
            // The project's metadata names its readme, which must then be there.
            "uv" => Ok(format!("COPY pyproject.toml {}README* ./", lockfile.map_or("", |_| "uv.lock "))),
            "poetry" => Ok(format!("COPY pyproject.toml {}./", lockfile.map_or("", |_| "poetry.lock "))),
            "pipenv" => Ok("COPY Pipfile Pipfile.lock* ./".to_owned()),
            "pdm" => Ok("COPY pyproject.toml pdm.lock* README* ./".to_owned()),
            _ => {
                let files = self.requirements()?;
                if self.project() {
                    return Ok("COPY . .".to_owned());
                }
                if files.is_empty() {
                    return Ok(String::new());
                }
                // One file often includes others beside it, and constraints.
                let mut folders: Vec<&str> = files.iter().map(|file| file.rsplit_once('/').map_or("", |(folder, _)| folder)).collect();
                folders.sort_unstable();
                folders.dedup();
                let copies = folders.iter().map(|folder| {
                    if folder.is_empty() { "COPY requirements*.txt constraints*.txt ./".to_owned() } else { format!("COPY {folder} ./{folder}") }
                });
                let odd = files
                    .iter()
                    .filter(|file| !(file.contains('/') || (file.starts_with("requirements") && file.ends_with(".txt"))))
                    .map(|file| format!("COPY {file} ./"));
                Ok(copies.chain(odd).collect::<Vec<_>>().join("\n"))
            }
        }
    }

    pub(super) fn install(&self) -> Result<String, Failure> {
        let mut steps = match (self.manager, self.facts.build_facts.contains_key("lockfile")) {
            ("pipenv", true) => {
                vec!["/opt/tool/bin/pipenv requirements > /tmp/requirements.txt".to_owned(), "pip install --requirement /tmp/requirements.txt".to_owned()]
            }
            ("pipenv", false) => vec![
                "/opt/tool/bin/pipenv lock".to_owned(),
                "/opt/tool/bin/pipenv requirements > /tmp/requirements.txt".to_owned(),
                "pip install --requirement /tmp/requirements.txt".to_owned(),
            ],
            ("pdm", _) => {
                vec!["/opt/tool/bin/pdm export --prod --output /tmp/requirements.txt".to_owned(), "pip install --requirement /tmp/requirements.txt".to_owned()]
            }
            _ => self.by_pip()?,
        };
        if let Some(first) = steps.first_mut() {
            *first = format!("{}{first}", secret_mounts(self.secrets));
        }
        Ok(steps.join(" && \\\n    "))
    }

    fn by_pip(&self) -> Result<Vec<String>, Failure> {
        let files = self.requirements()?;
        let mut steps = vec!["python -m venv /opt/venv".to_owned()];
        if !files.is_empty() {
            steps.push(format!("pip install {}", files.iter().map(|file| format!("--requirement {file}")).collect::<Vec<_>>().join(" ")));
        }
        if self.project() {
            steps.push("pip install .".to_owned());
        }
        Ok(steps)
    }
}
