//! The environment of a running process, and whether it is what was set: compared by fingerprint, never shown.

use super::inside::Caller;
use crate::blueprint::{EnvSetting, EnvValue};
use crate::failure::{Code, Failure};
use crate::names::{EnvName, Namespace, ServiceName};
use crate::ports::{Cluster, Proof};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Whose environment was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The container's first process, from `/proc/1/environ`.
    Process,
    /// A fresh process of the same container: the first one hides its own.
    Container,
}

/// An environment as it was read.
#[derive(Clone, Debug)]
pub struct Environment {
    pub origin: Origin,
    pub variables: BTreeMap<String, Secret>,
}

/// How a variable compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Equal,
    Differs,
    Missing,
    /// It is there as it was set, and nothing in the code reads it.
    NeverRead,
    /// It is there; what it should be was not to be had.
    NotCompared,
}

/// A variable of a service and how it compares.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct VariableVerdict {
    pub service: ServiceName,
    pub name: EnvName,
    pub verdict: Verdict,
    pub required: bool,
}

/// Reads the environment of the container's first process. `NOT_SUPPORTED` where the image has nothing to read it with.
pub async fn environment(cluster: &dyn Cluster, at: &Proof, namespace: &Namespace, from: Caller<'_>, deadline: Duration) -> Result<Environment, Failure> {
    let mut last = String::new();
    for (origin, command) in commands(from.language) {
        let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
        let executed = cluster.exec(at, namespace, from.pod, from.container, &command, deadline).await?;
        if executed.exit_code != 0 {
            last = format!("{} ended with exit code {}", command.first().map_or("", String::as_str), executed.exit_code);
            continue;
        }
        let variables = parse(executed.stdout.reveal());
        // Programs that rename themselves write over their own environment; what is left of it proves nothing.
        if variables.contains_key("PATH") || variables.contains_key("KUBERNETES_SERVICE_HOST") {
            return Ok(Environment { origin: *origin, variables });
        }
        last = "the first process has written over its environment".to_owned();
    }
    Err(Failure::new(Code::NotSupported, format!("read the environment of {}/{} container {}: {last}", namespace, from.pod, from.container))
        .help("the image has neither cat nor an interpreter; the pod's specification can be compared instead"))
}

/// What was read of `/proc/PID/environ` in a node.
pub fn environment_of(text: &Secret) -> Environment {
    Environment { origin: Origin::Process, variables: parse(text.reveal()) }
}

const READ_PYTHON: &str = "import sys;sys.stdout.buffer.write(open('/proc/1/environ','rb').read())";
const READ_NODE: &str = "process.stdout.write(require('fs').readFileSync('/proc/1/environ'))";
const OWN_PYTHON: &str = "import os,sys;sys.stdout.write('\\0'.join(k+'='+v for k,v in os.environ.items()))";
const OWN_NODE: &str = "process.stdout.write(Object.entries(process.env).map(([k,v])=>k+'='+v).join('\\0'))";

fn commands(language: &str) -> &'static [(Origin, &'static [&'static str])] {
    match language {
        "python" => &[
            (Origin::Process, &["cat", "/proc/1/environ"]),
            (Origin::Process, &["python3", "-c", READ_PYTHON]),
            (Origin::Container, &["python3", "-c", OWN_PYTHON]),
            (Origin::Container, &["env", "-0"]),
        ],
        "node" | "javascript" | "typescript" => &[
            (Origin::Process, &["cat", "/proc/1/environ"]),
            (Origin::Process, &["node", "-e", READ_NODE]),
            (Origin::Container, &["node", "-e", OWN_NODE]),
            (Origin::Container, &["env", "-0"]),
        ],
        _ => &[(Origin::Process, &["cat", "/proc/1/environ"]), (Origin::Container, &["env", "-0"])],
    }
}

/// `NAME=value`, divided by zero bytes.
fn parse(text: &str) -> BTreeMap<String, Secret> {
    let pairs = text.split('\0').filter_map(|entry| entry.split_once('='));
    pairs.filter(|(name, _)| !name.is_empty() && !name.contains(char::is_whitespace)).map(|(name, value)| (name.to_owned(), Secret::new(value))).collect()
}

/// Compares what was set with what the process has. The second part of a pair is the value of a Secret's key, where it could be read;
/// `surveyed` says that the code's reads are known, so that a variable that nothing reads can be told.
pub fn judge_environment(
    service: &ServiceName,
    surveyed: bool,
    expected: &[(EnvSetting, Option<Secret>)],
    seen: &BTreeMap<String, Secret>,
    key: &[u8; 32],
) -> Vec<VariableVerdict> {
    let judge = |setting: &EnvSetting, secret: Option<&Secret>| {
        let Some(found) = seen.get(setting.name.as_str()) else { return Verdict::Missing };
        let wanted = match &setting.value {
            EnvValue::Literal { text } => Some(Secret::new(text.clone())),
            EnvValue::SecretKey { .. } => secret.cloned(),
        };
        match wanted {
            None => Verdict::NotCompared,
            Some(wanted) if wanted.fingerprint(key) != found.fingerprint(key) => Verdict::Differs,
            Some(_) if surveyed && setting.read_at.is_none() => Verdict::NeverRead,
            Some(_) => Verdict::Equal,
        }
    };
    let verdict = |(setting, secret): &(EnvSetting, Option<Secret>)| VariableVerdict {
        service: service.clone(),
        name: setting.name.clone(),
        verdict: judge(setting, secret.as_ref()),
        required: setting.required,
    };
    expected.iter().map(verdict).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Place;

    fn setting(name: &str, literal: Option<&str>, read: bool) -> EnvSetting {
        EnvSetting {
            name: EnvName::parse(name).unwrap(),
            value: match literal {
                Some(text) => EnvValue::Literal { text: text.into() },
                None => EnvValue::SecretKey { secret: "s".into(), key: name.into() },
            },
            required: true,
            read_at: read.then(|| Place::file("main.py")),
            why: String::new(),
        }
    }

    fn check(literal: Option<&str>, secret: Option<&str>, read: bool, seen: Option<&str>, expect: Verdict) {
        let seen = seen.map(|value| ("A".to_owned(), Secret::new(value))).into_iter().collect();
        let expected = [(setting("A", literal, read), secret.map(Secret::new))];
        let verdicts = judge_environment(&ServiceName::parse("api").unwrap(), true, &expected, &seen, &[7; 32]);
        assert_eq!(verdicts[0].verdict, expect);
    }

    #[test]
    fn variables_are_compared_with_what_was_set() {
        check(Some("x"), None, true, Some("x"), Verdict::Equal);
        check(Some("x"), None, true, Some("y"), Verdict::Differs);
        check(Some("x"), None, true, None, Verdict::Missing);
        check(Some("x"), None, false, Some("x"), Verdict::NeverRead);
        check(None, Some("hunter2"), true, Some("hunter2"), Verdict::Equal);
        check(None, Some("hunter2"), true, Some("hunter2\n"), Verdict::Differs);
        check(None, None, true, Some("hunter2"), Verdict::NotCompared);
    }

    #[test]
    fn an_environment_is_divided_at_zero_bytes_and_never_prints() {
        let variables = parse("PATH=/bin\0URL=postgresql://a:b@c/d?x=y\0LINES=a\nb\0=odd\0");
        assert_eq!(variables.keys().collect::<Vec<_>>(), ["LINES", "PATH", "URL"]);
        assert_eq!(variables["URL"].reveal(), "postgresql://a:b@c/d?x=y");
        assert!(!format!("{variables:?}").contains("postgresql"));
    }
}
