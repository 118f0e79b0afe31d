//! kubectl-ai's command line, run once and quietly in a folder of its own: no kubeconfig with a cluster, no shell, no kubectl, no environment of ours.

use super::{KEPT, LOOK, refused};
use crate::adapters::exec::{self, Run};
use crate::failure::Failure;
use crate::names::AdvisorName;
use crate::ports::{Advisor, AdvisorFacts, AdvisorRefusal, AdvisorRefusalCode, AdvisorSetting, Proof};
use crate::secret::plain;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A provider, and the names of the variables that hold its key and its address.
const PROVIDERS: &[(&str, Option<&str>, Option<&str>)] = &[
    ("openai", Some("OPENAI_API_KEY"), Some("OPENAI_ENDPOINT")),
    ("gemini", Some("GEMINI_API_KEY"), None),
    ("grok", Some("GROK_API_KEY"), Some("GROK_ENDPOINT")),
    ("ollama", None, Some("OLLAMA_HOST")),
    ("llamacpp", None, Some("LLAMACPP_HOST")),
];

/// A kubeconfig that leads nowhere.
const NOWHERE: &str = "apiVersion: v1\nkind: Config\nclusters: []\ncontexts: []\nusers: []\n";

/// `kubectl-ai`.
#[derive(Clone, Debug)]
pub struct KubectlAi {
    program: String,
    state: PathBuf,
}

impl KubectlAi {
    /// The program by its name, or at an absolute path; `state` is the user's own state folder of ours.
    pub fn new(program: impl Into<String>, state: PathBuf) -> Self {
        Self { program: program.into(), state }
    }

    /// Runs it fenced in: whatever its model asks for, there is no shell and no kubectl to do it with.
    fn fenced(&self, home: &Home) -> Run {
        Run::new(&self.program)
            .folder(home.0.join("work"))
            .env("HOME", &home.0)
            .env("XDG_CONFIG_HOME", home.0.join("config"))
            .env("TMPDIR", home.0.join("tmp"))
            .env("KUBECONFIG", home.0.join("kubeconfig"))
            .env("PATH", home.0.join("bin"))
            .cap(KEPT)
    }
}

#[async_trait::async_trait]
impl Advisor for KubectlAi {
    fn name(&self) -> AdvisorName {
        AdvisorName::KubectlAi
    }

    async fn detect(&self, _: Option<&Proof>, setting: &AdvisorSetting) -> Result<AdvisorFacts, AdvisorRefusal> {
        let home = Home::make(&self.state).map_err(|failure| refused(&failure))?;
        let short = |argument: &str| self.fenced(&home).arg(argument).deadline(LOOK).grace(Duration::from_millis(500)).output();
        let (version, help) = tokio::join!(short("version"), short("--help"));
        let (version, help) = (version.map_err(|failure| refused(&failure))?, help.map_err(|failure| refused(&failure))?);
        let number = version.stdout.lines().find_map(|line| line.trim().strip_prefix("version:"));
        // Two projects have a program of this name; ours has a server mode.
        let ours = help.stdout.contains("--mcp-server") || help.stderr.contains("--mcp-server");
        let Some(number) = number.filter(|_| ours && version.ok()) else {
            return Err(AdvisorRefusal::new(AdvisorRefusalCode::Absent, "the kubectl-ai on this machine is another program of that name"));
        };
        let (provider, ..) = provider(setting)?;
        let where_to = setting.endpoint.as_deref().map_or_else(|| provider.to_owned(), |endpoint| format!("{provider} at {endpoint}"));
        Ok(AdvisorFacts { version: plain(number.trim(), 40), sends_to: format!("the model {} of {where_to}", setting.model.as_deref().unwrap_or_default()) })
    }

    async fn consult(&self, _: Option<&Proof>, setting: &AdvisorSetting, prompt: &str, deadline: Duration) -> Result<String, AdvisorRefusal> {
        let (provider, key, endpoint) = provider(setting)?;
        let home = Home::make(&self.state).map_err(|failure| refused(&failure))?;
        let mut run = self
            .fenced(&home)
            .args(["--quiet", "--skip-permissions=false", "--max-iterations", "5", "--remove-workdir", "--llm-provider", provider])
            .args(["--model", setting.model.as_deref().unwrap_or_default()])
            .arg("--kubeconfig")
            .arg(home.0.join("kubeconfig"))
            .arg("--trace-path")
            .arg(home.0.join("tmp/trace"))
            .arg(prompt)
            .deadline(deadline);
        if let (Some(name), Some(value)) = (key, &setting.key) {
            run = run.env(name, value.reveal());
        }
        if let (Some(name), Some(value)) = (endpoint, &setting.endpoint) {
            run = run.env(name, value);
        }
        let ran = run.output().await.map_err(|failure| refused(&failure))?;
        if ran.cut {
            return Err(AdvisorRefusal::new(AdvisorRefusalCode::Unreadable, "the answer is longer than 1 MiB"));
        }
        // What it says counts: its exit code is set after its words are sent, and reaching the last iteration ends with 0.
        if let Some(commands) = wanted(&format!("{}\n{}", ran.stdout, ran.stderr)) {
            let mut refusal = AdvisorRefusal::new(AdvisorRefusalCode::WantsToAct, "it wants to run commands instead of answering; none was run");
            refusal.commands = commands;
            return Err(refusal);
        }
        if !ran.ok() {
            return Err(AdvisorRefusal::new(
                AdvisorRefusalCode::Unreadable,
                &format!("kubectl-ai {}: {}", ran.ended(), exec::last_lines(&ran.stderr, 3).join("; ")),
            ));
        }
        Ok(ran.stdout)
    }
}

/// The provider that the user named, with the names of its variables. A model is always named: the default belongs to another provider.
fn provider(setting: &AdvisorSetting) -> Result<(&'static str, Option<&'static str>, Option<&'static str>), AdvisorRefusal> {
    let lacks = |what: &str| AdvisorRefusal::new(AdvisorRefusalCode::Unconfigured, what);
    let named = setting.provider.as_deref().ok_or_else(|| lacks("advisors.toml names no provider for kubectl_ai"))?;
    let known = PROVIDERS.iter().find(|(name, ..)| *name == named);
    let known =
        known.ok_or_else(|| lacks(&format!("provider {named} is none of {}", PROVIDERS.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", "))))?;
    if setting.model.as_deref().unwrap_or_default().is_empty() {
        return Err(lacks("advisors.toml names no model for kubectl_ai"));
    }
    if known.1.is_some() && setting.key.is_none() {
        return Err(lacks(&format!("advisors.toml names no key for the provider {named} (key = \"env:NAME\")")));
    }
    Ok(*known)
}

/// The commands for which it asked for approval; none where it asked for none.
fn wanted(text: &str) -> Option<Vec<String>> {
    let text = crate::secret::visible(text);
    let (_, list) = text.split_once("require approval")?;
    let commands = list.lines().skip(1).map_while(|line| line.trim().strip_prefix("* ")).map(|command| plain(command, 200));
    Some(commands.take(20).collect())
}

/// A private folder with everything that the program sees of this machine; removed again.
struct Home(PathBuf);

impl Home {
    fn make(state: &Path) -> Result<Self, Failure> {
        let home = Self(state.join("advisors").join(crate::secret::noise::<8>()?));
        for folder in ["config", "tmp", "work", "bin"] {
            let path = home.0.join(folder);
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(|error| Failure::file("make the folder", &path, &error))?;
        }
        let path = home.0.join("kubeconfig");
        std::fs::write(&path, NOWHERE).map_err(|error| Failure::file("write", &path, &error))?;
        // It looks for bash on its search path first and falls back to the system's: these end with 1 and do nothing.
        let inert = ["/bin/false", "/usr/bin/false"].into_iter().map(Path::new).find(|path| path.exists());
        let inert = inert.ok_or_else(|| Failure::internal("this machine has no program that does nothing"))?;
        for name in ["bash", "sh", "kubectl", "gcloud", "helm", "minikube", "docker"] {
            let path = home.0.join("bin").join(name);
            std::os::unix::fs::symlink(inert, &path).map_err(|error| Failure::file("link", &path, &error))?;
        }
        Ok(home)
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Prompts and traces lie in it: what cannot be removed is readable by its user alone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::secret::Secret;

    /// A program that stands in for another one.
    pub(in crate::adapters::advisors) fn stand_in(script: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let (text, path) = (folder.path().join("text"), folder.path().join("program"));
        std::fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
        // A program that this process had open for writing could not be started by another of its threads.
        assert!(std::process::Command::new("install").args(["-m", "755"]).args([&text, &path]).status().unwrap().success());
        let path = path.to_str().unwrap().to_owned();
        (folder, path)
    }

    /// The documented interface of 0.0.28: `version`, `--help`, and one question as the last argument; `answer` is what it does then.
    fn kubectl_ai(answer: &str) -> (tempfile::TempDir, KubectlAi) {
        let (folder, path) = stand_in(&format!(
            r#"case "$1" in
version) echo 'version: 0.0.28'; echo 'commit: 1234567'; echo 'date: 2025-10-01T00:00:00Z'; exit 0;;
--help) echo 'A CLI tool to interact with Kubernetes using natural language'; echo '      --mcp-server   run in MCP server mode'; exit 0;;
esac
printf '%s\n' "$@" > "$(/usr/bin/dirname "$0")/arguments"
/usr/bin/env > "$(/usr/bin/dirname "$0")/environment"
{answer}"#
        ));
        let advisor = KubectlAi::new(path, folder.path().join("state"));
        (folder, advisor)
    }

    fn setting() -> AdvisorSetting {
        AdvisorSetting {
            provider: Some("openai".into()),
            model: Some("local-model".into()),
            endpoint: Some("http://127.0.0.1:1/v1".into()),
            key: Some(Secret::new("a key of somebody")),
            agent: None,
        }
    }

    async fn ask(answer: &str, deadline: Duration) -> (Result<String, AdvisorRefusal>, String, String) {
        let (folder, advisor) = kubectl_ai(answer);
        let said = advisor.consult(None, &setting(), "why does it fail?", deadline).await;
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap_or_default();
        assert_eq!(std::fs::read_dir(folder.path().join("state/advisors")).map(Iterator::count).unwrap_or(0), 0, "a folder is left behind");
        (said, read("arguments"), read("environment"))
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_is_asked_once_quietly_and_with_nothing_of_ours() {
        let (said, arguments, environment) = ask("echo 'The image is missing.'", LONG).await;
        assert_eq!(said.unwrap(), "The image is missing.\n");
        let arguments: Vec<_> = arguments.lines().collect();
        for wanted in ["--quiet", "--skip-permissions=false", "--remove-workdir", "openai", "local-model", "why does it fail?"] {
            assert!(arguments.contains(&wanted), "{wanted}: {arguments:?}");
        }
        assert_eq!(arguments.last(), Some(&"why does it fail?"));
        assert!(!arguments.iter().any(|argument| argument.contains("a key of somebody")));
        let names: Vec<_> = environment.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
        for name in &names {
            let known = ["HOME", "XDG_CONFIG_HOME", "TMPDIR", "KUBECONFIG", "PATH", "OPENAI_API_KEY", "OPENAI_ENDPOINT", "PWD", "OLDPWD", "SHLVL", "_"];
            assert!(known.contains(name), "{name} of {names:?}");
        }
        assert!(environment.contains("OPENAI_API_KEY=a key of somebody"));
    }

    #[tokio::test]
    async fn what_it_looks_up_to_act_with_does_nothing() {
        let script = "bash -c 'echo acted > \"$HOME/../../../acted\"'; echo \"bash $?\"; kubectl get pods; echo \"kubectl $?\"; read line < \"$KUBECONFIG\"; echo \"$line\"";
        let (said, ..) = ask(script, LONG).await;
        assert_eq!(said.unwrap(), "bash 1\nkubectl 1\napiVersion: v1\n");
    }

    #[tokio::test]
    async fn a_wish_to_act_is_listed_and_refused() {
        let text = "RunOnce mode cannot handle permission requests. The following commands require approval:\n* kubectl delete namespace todo\n* bash -c 'rm -rf /'\nUse --skip-permissions flag to bypass permission checks in RunOnce mode.";
        for end in ["exit 1", "exit 0"] {
            let (said, ..) = ask(&format!("/bin/cat <<'END'\n{text}\nEND\n{end}"), LONG).await;
            let refusal = said.unwrap_err();
            assert_eq!(refusal.code, AdvisorRefusalCode::WantsToAct);
            assert_eq!(refusal.commands, ["kubectl delete namespace todo", "bash -c 'rm -rf /'"]);
        }
    }

    #[tokio::test]
    async fn silence_errors_and_floods_are_no_answer() {
        let check = async |script: &str, deadline: Duration, expect: AdvisorRefusalCode| {
            let (said, ..) = ask(script, deadline).await;
            assert_eq!(said.unwrap_err().code, expect, "{script}");
        };
        check("echo 'Error: 500 from the model' >&2; exit 1", LONG, AdvisorRefusalCode::Unreadable).await;
        check("/bin/sleep 600", Duration::from_secs(1), AdvisorRefusalCode::TimedOut).await;
        check("/usr/bin/head -c 3000000 /dev/zero", LONG, AdvisorRefusalCode::Unreadable).await;
    }

    #[tokio::test]
    async fn it_is_told_from_another_program_of_its_name() {
        let (_folder, advisor) = kubectl_ai("");
        let facts = advisor.detect(None, &setting()).await.unwrap();
        assert_eq!((facts.version.as_str(), facts.sends_to.as_str()), ("0.0.28", "the model local-model of openai at http://127.0.0.1:1/v1"));
        let (folder, path) = stand_in("echo 'version: 9'; echo 'usage: kubectl-ai PROMPT'");
        let other = KubectlAi::new(path, folder.path().join("state")).detect(None, &setting()).await.unwrap_err();
        assert_eq!(other.code, AdvisorRefusalCode::Absent);
        let none = KubectlAi::new("kubectl-ai-that-is-not-there", folder.path().join("state")).detect(None, &setting()).await.unwrap_err();
        assert_eq!(none.code, AdvisorRefusalCode::Absent);
    }

    #[test]
    fn what_it_lacks_is_named() {
        let check = |setting: AdvisorSetting, expect: &str| {
            let refusal = provider(&setting).unwrap_err();
            assert_eq!(refusal.code, AdvisorRefusalCode::Unconfigured);
            assert!(refusal.why.contains(expect), "{refusal:?}");
        };
        check(AdvisorSetting { provider: None, ..setting() }, "no provider");
        check(AdvisorSetting { provider: Some("other".into()), ..setting() }, "none of openai");
        check(AdvisorSetting { model: None, ..setting() }, "no model");
        check(AdvisorSetting { key: None, ..setting() }, "no key");
        assert!(provider(&AdvisorSetting { provider: Some("ollama".into()), key: None, ..setting() }).is_ok());
    }
}
