//! Docker's Gordon, `docker ai`: found, and left to a person; it documents no way to be asked without one, and reads files without asking.

use super::{LOOK, refused};
use crate::adapters::exec::Run;
use crate::names::AdvisorName;
use crate::ports::{Advisor, AdvisorFacts, AdvisorRefusal, AdvisorRefusalCode, AdvisorSetting, Proof};
use crate::secret::plain;
use std::time::Duration;

/// `docker ai`.
#[derive(Clone, Debug)]
pub struct Gordon {
    docker: String,
}

impl Gordon {
    /// Docker's command line by its name, or at an absolute path.
    pub fn new(docker: impl Into<String>) -> Self {
        Self { docker: docker.into() }
    }
}

#[async_trait::async_trait]
impl Advisor for Gordon {
    fn name(&self) -> AdvisorName {
        AdvisorName::Gordon
    }

    async fn detect(&self, _: Option<&Proof>, _: &AdvisorSetting) -> Result<AdvisorFacts, AdvisorRefusal> {
        let ran = Run::new(&self.docker).args(["ai", "version"]).deadline(LOOK).grace(Duration::from_millis(500)).output().await;
        let ran = ran.map_err(|failure| refused(&failure))?;
        // Without the plug-in, docker says "unknown command" and ends with 1, or with 125.
        if !ran.ok() {
            return Err(AdvisorRefusal::new(AdvisorRefusalCode::Absent, &format!("docker ai is no command of this docker ({})", ran.ended())));
        }
        let version = ran.stdout.lines().find(|line| line.chars().any(|letter| letter.is_ascii_digit())).unwrap_or_default();
        Ok(AdvisorFacts { version: plain(version.trim(), 60), sends_to: "Docker's own service, with every file that Gordon reads".to_owned() })
    }

    async fn consult(&self, _: Option<&Proof>, _: &AdvisorSetting, _: &str, _: Duration) -> Result<String, AdvisorRefusal> {
        let why = "Gordon is asked by a person alone: run `docker ai` in an empty folder, give it the prompt below, and bring its answer back as a file (argument answer)";
        Err(AdvisorRefusal::new(AdvisorRefusalCode::Attended, why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::advisors::kubectl_ai::tests::stand_in;

    async fn check(script: &str, expect: Result<&str, AdvisorRefusalCode>) {
        let (_folder, path) = stand_in(&format!("[ \"$*\" = \"ai version\" ] || exit 64\n{script}"));
        let seen = Gordon::new(path).detect(None, &AdvisorSetting::default()).await;
        assert_eq!(seen.as_ref().map(|facts| facts.version.as_str()).map_err(|refusal| refusal.code), expect, "{seen:?}");
    }

    #[tokio::test]
    async fn gordon_is_found_by_its_own_version_command() {
        check("echo 'Docker AI Agent 1.9.11'", Ok("Docker AI Agent 1.9.11")).await;
        check("echo \"docker: unknown command: docker ai\" >&2; exit 1", Err(AdvisorRefusalCode::Absent)).await;
        check("echo \"unknown flag\" >&2; exit 125", Err(AdvisorRefusalCode::Absent)).await;
        check("sleep 60", Err(AdvisorRefusalCode::TimedOut)).await;
        let missing = Gordon::new("docker-that-is-not-there").detect(None, &AdvisorSetting::default()).await.unwrap_err();
        assert_eq!(missing.code, AdvisorRefusalCode::Absent);
    }

    #[tokio::test]
    async fn gordon_is_never_asked_without_a_person() {
        let (folder, path) = stand_in("touch \"$(dirname \"$0\")/asked\"");
        let refusal = Gordon::new(path).consult(None, &AdvisorSetting::default(), "why?", Duration::from_secs(5)).await.unwrap_err();
        assert_eq!(refusal.code, AdvisorRefusalCode::Attended);
        assert!(!folder.path().join("asked").exists());
    }
}
