//! Helm, 3.14 and newer, as a program: it applies and records, we judge; what it did is read from its records and never from its prose.

use crate::adapters::exec::{self, Ran, Run, last_lines};
use crate::adapters::minikube::{Surroundings, version_of};
use crate::adapters::proof;
use crate::failure::{Code, Failure};
use crate::names::{Digest, Namespace, ReleaseName, Revision};
use crate::ports::{Apply, Charts, HelmRevision, HelmSaid, Package, Proof};
use crate::secret::plain;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Oldest version that works: release labels and their output.
const OLDEST: (u32, u32) = (3, 14);
/// Kubernetes' version where no cluster was asked: a helm that was built without one takes v1.20, which recent charts refuse.
const UNASKED: &str = "1.34.0";
/// How long commands may take that touch no cluster, or only read it.
const SHORT: Duration = Duration::from_secs(60);
/// How long rollback and uninstall may take; neither waits for pods.
const CHANGE: Duration = Duration::from_secs(240);
/// How long helm may end its work after SIGTERM: killed, it leaves a pending record.
const GRACE: Duration = Duration::from_secs(30);
/// A pending record of somebody else's helm is taken for dead after this.
const ABANDONED: Duration = Duration::from_secs(600);
/// How long another helm of ours on the same release is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// Helm on this machine.
#[derive(Clone, Debug)]
pub struct Helm {
    around: Surroundings,
}

/// A release of a proven cluster.
struct Target<'a> {
    at: &'a Proof,
    namespace: &'a Namespace,
    release: &'a ReleaseName,
}

/// The lock that a helm of ours holds on a release for as long as it lives, even when we do not.
struct Lock {
    file: File,
    path: PathBuf,
    /// When the last helm of ours began, by the file's content.
    began: Option<jiff::Timestamp>,
}

/// One line of `helm history -o json`.
#[derive(Debug, Deserialize)]
struct Recorded {
    revision: u32,
    #[serde(default)]
    updated: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    chart: String,
    #[serde(default)]
    description: String,
}

impl From<Recorded> for HelmRevision {
    fn from(record: Recorded) -> Self {
        Self {
            revision: Revision(record.revision),
            status: plain(&record.status, 40),
            chart: plain(&record.chart, 120),
            description: plain(&record.description, 400),
            updated: plain(&record.updated, 60),
            labels: BTreeMap::new(),
        }
    }
}

/// What mends a pending release.
#[derive(Debug, PartialEq, Eq)]
enum Mending {
    /// The record is not pending.
    Nothing,
    Uninstall,
    Rollback(Revision),
    /// Pending, and no revision is there to go back to.
    Impossible,
}

/// The table of repairs: what the newest record's status asks for.
fn mending(history: &[HelmRevision], verified: Option<Revision>) -> Mending {
    let Some(last) = history.last() else { return Mending::Nothing };
    match last.status.as_str() {
        "pending-install" | "uninstalling" => Mending::Uninstall,
        "pending-upgrade" | "pending-rollback" => {
            let known = verified.filter(|verified| history.iter().any(|record| record.revision == *verified));
            // What is recorded as deployed is what the cluster was last told in full.
            let deployed = history.iter().rev().find(|record| record.status == "deployed").map(|record| record.revision);
            known.or(deployed).map_or(Mending::Impossible, Mending::Rollback)
        }
        _ => Mending::Nothing,
    }
}

/// True where no helm can be at work on the pending record any more. We hold the lock, so none of ours lives on this machine.
fn abandoned(updated: &str, began: Option<jiff::Timestamp>, now: jiff::Timestamp) -> bool {
    let Ok(updated) = updated.parse::<jiff::Timestamp>() else { return false };
    let ours = began.is_some_and(|began| updated.duration_since(began).as_secs() >= -5);
    ours || now.duration_since(updated).unsigned_abs() > ABANDONED
}

impl Helm {
    /// Helm as the environment names it; `state` is the user's own state folder of ours.
    pub fn new(state: PathBuf) -> Self {
        Self { around: Surroundings::read(state) }
    }

    /// Helm in given surroundings.
    pub fn with(around: Surroundings) -> Self {
        Self { around }
    }

    /// helm with folders of our own: no plugin, repository or setting of the user's takes part.
    fn run(&self) -> Run {
        let folder = self.around.state.join("helm");
        Run::new("helm")
            .env("HELM_CACHE_HOME", folder.join("cache"))
            .env("HELM_CONFIG_HOME", folder.join("config"))
            .env("HELM_DATA_HOME", folder.join("data"))
            .env("HELM_DRIVER", "secret")
            .env("KUBECONFIG", "/dev/null")
            .deadline(SHORT)
    }

    /// helm on a release: the private kubeconfig and its one context, named twice over.
    fn run_on(&self, target: &Target<'_>) -> Run {
        self.run().env("KUBECONFIG", &target.at.kubeconfig).arg("--kubeconfig").arg(&target.at.kubeconfig).args([
            "--kube-context",
            target.at.profile.name.as_str(),
            "--namespace",
            target.namespace.as_str(),
        ])
    }

    /// Major and minor version.
    async fn major(&self) -> Result<(u32, u32), Failure> {
        let text = self.version().await?;
        version_of(&text).filter(|version| *version >= OLDEST).ok_or_else(|| {
            Failure::new(Code::ProgramMissing, format!("helm {text} is too old: {}.{} is the oldest that works", OLDEST.0, OLDEST.1))
                .help(exec::installs("helm"))
        })
    }

    async fn records(&self, target: &Target<'_>) -> Result<Vec<HelmRevision>, Failure> {
        let ran = self.run_on(target).args(["history", target.release.as_str(), "--output", "json", "--max", "100000"]).output().await?;
        if ran.ok() {
            let mut records: Vec<Recorded> = ran.json("read the release's history")?;
            records.sort_by_key(|record| record.revision);
            return Ok(records.into_iter().map(HelmRevision::from).collect());
        }
        // Exit code 1 says nothing: only a list that works and lacks the release shows that there is none.
        let mut list = self.run_on(target).args(["list", "--output", "json", "--filter", &format!("^{}$", target.release)]);
        if self.major().await?.0 < 4 {
            list = list.arg("--all");
        }
        let listed = list.output().await?;
        let none = listed.ok() && listed.json::<Vec<serde_json::Value>>("list the releases")?.is_empty();
        if none { Ok(Vec::new()) } else { Err(helm_failed(&ran, &format!("read the history of {}", target.release))) }
    }

    /// Takes the lock of a release; a helm of ours that still works on it, even one whose worker died, holds it.
    async fn lock(&self, target: &Target<'_>) -> Result<Lock, Failure> {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        let folder = self.around.state.join("helm").join("locks");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|error| Failure::file("make the folder", &folder, &error))?;
        let path = folder.join(format!("{}.{}.{}", target.at.profile.name, target.namespace, target.release));
        let fault = |error: std::io::Error| Failure::file("lock the release with", &path, &error);
        let file = std::fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path).map_err(fault)?;
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) if tokio::time::Instant::now() < end => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(std::fs::TryLockError::WouldBlock) => {
                    return Err(Failure::new(Code::HelmPending, format!("another helm of ours is still at work on {}", target.release))
                        .cause(format!("waited {} s for it", PATIENCE.as_secs()))
                        .help("wait until it has ended, then call again"));
                }
                Err(std::fs::TryLockError::Error(error)) => return Err(fault(error)),
            }
        }
        let began = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        Ok(Lock { file, path, began })
    }

    /// Runs a changing helm: it inherits the lock, and when it began is written down first.
    async fn change(&self, lock: &Lock, run: Run, limit: Duration) -> Result<Ran, Failure> {
        let fault = |error: std::io::Error| Failure::file("lock the release with", &lock.path, &error);
        // In place: a new file would be a new lock.
        std::fs::write(&lock.path, jiff::Timestamp::now().to_string()).map_err(fault)?;
        let inherited = lock.file.try_clone().map_err(fault)?;
        run.input(inherited).deadline(limit + Duration::from_secs(10)).grace(GRACE).output().await
    }

    /// Repairs a release whose newest record is pending and whose helm is gone. Answers what was done; None where nothing was needed.
    /// `verified` is the revision to go back to where there is a choice.
    pub async fn repair(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName, verified: Option<Revision>) -> Result<Option<String>, Failure> {
        let at = proof::again(&self.around, at).await?;
        let target = Target { at: &at, namespace, release };
        let lock = self.lock(&target).await?;
        let history = self.records(&target).await?;
        self.mend(&target, &lock, &history, verified).await
    }

    async fn mend(&self, target: &Target<'_>, lock: &Lock, history: &[HelmRevision], verified: Option<Revision>) -> Result<Option<String>, Failure> {
        let Some(last) = history.last() else { return Ok(None) };
        let mending = mending(history, verified);
        if mending == Mending::Nothing {
            return Ok(None);
        }
        let seen = format!("revision {} of {} is {} since {}", last.revision, target.release, last.status, last.updated);
        if !abandoned(&last.updated, lock.began, jiff::Timestamp::now()) {
            return Err(Failure::new(Code::HelmPending, seen).help(format!(
                "somebody else's helm may be at work on it: wait until it has ended; a record that is {} minutes old is repaired by itself",
                ABANDONED.as_secs() / 60
            )));
        }
        match mending {
            Mending::Nothing => Ok(None),
            Mending::Uninstall => self.remove(target, lock).await.map(|()| Some(format!("{seen}: uninstalled what it left"))),
            Mending::Rollback(to) => {
                let now = self.return_to(target, lock, last.revision, to).await?;
                Ok(Some(format!("{seen}: rolled back to revision {to} as revision {now}")))
            }
            Mending::Impossible => Err(Failure::new(Code::HelmPending, format!("{seen}, and no revision is there to go back to"))
                .help("uninstall the release (rollback to uninstalled), then deploy again")),
        }
    }

    /// Rolls back without looking for pending records: rollback is a way out of them.
    async fn return_to(&self, target: &Target<'_>, lock: &Lock, before: Revision, to: Revision) -> Result<Revision, Failure> {
        let timeout = format!("{}s", CHANGE.as_secs());
        let run = || self.run_on(target).args(["rollback", target.release.as_str(), &to.to_string(), "--history-max", "0", "--timeout", &timeout]);
        let ran = self.change(lock, run(), CHANGE).await?;
        let doing = format!("roll {} back to revision {to}", target.release);
        let first = self.settled(target, before, &ran, &doing).await;
        let Err(failure) = first else { return first };
        // Helm 4 applies on the server, where a field that a person changed by hand is a conflict. Going back to what was verified overrides it.
        let failed = self.records(target).await?.last().filter(|last| last.revision > before && last.status == "failed").map(|last| last.revision);
        let Some(failed) = failed.filter(|_| failure.code == Code::HelmFailed) else { return Err(failure) };
        if self.major().await?.0 < 4 {
            return Err(failure);
        }
        let ran = self.change(lock, run().args(["--server-side", "true", "--force-conflicts"]), CHANGE).await?;
        self.settled(target, failed, &ran, &doing).await.map_err(|again| again.cause(format!("before that: {failure}")))
    }

    async fn remove(&self, target: &Target<'_>, lock: &Lock) -> Result<(), Failure> {
        let timeout = format!("{}s", CHANGE.as_secs());
        let run = self.run_on(target).args(["uninstall", target.release.as_str(), "--ignore-not-found", "--timeout", &timeout]);
        let ran = self.change(lock, run, CHANGE).await?;
        match self.records(target).await?.last() {
            None => Ok(()),
            Some(last) => Err(helm_failed(&ran, &format!("uninstall {}: revision {} is {}", target.release, last.revision, last.status))),
        }
    }

    /// What a change came to, by the newest record.
    async fn settled(&self, target: &Target<'_>, before: Revision, ran: &Ran, doing: &str) -> Result<Revision, Failure> {
        outcome(&self.records(target).await?, before, ran, doing)
    }
}

/// The new revision where it is deployed; else why not.
fn outcome(history: &[HelmRevision], before: Revision, ran: &Ran, doing: &str) -> Result<Revision, Failure> {
    let Some(last) = history.last().filter(|last| last.revision > before) else {
        return Err(helm_failed(ran, &format!("{doing}: helm recorded no new revision")));
    };
    match last.status.as_str() {
        "deployed" => Ok(last.revision),
        status if status.starts_with("pending") => {
            let failure = helm_failed(ran, &format!("{doing}: revision {} is left {status}", last.revision));
            Err(Failure { code: Code::HelmPending, owner: Code::HelmPending.owner(), retryable: true, ..failure }
                .help("call again: the record is repaired first"))
        }
        status => Err(helm_failed(ran, &format!("{doing}: revision {} is {status}: {}", last.revision, last.description))),
    }
}

/// `HELM_FAILED` with helm's last lines.
fn helm_failed(ran: &Ran, doing: &str) -> Failure {
    let text = if ran.stderr.trim().is_empty() { &ran.stdout } else { &ran.stderr };
    let failure = Failure::new(Code::HelmFailed, plain(doing, 500)).help("read helm's lines; the release's state is in 'helm history'");
    last_lines(text, 12).into_iter().fold(failure, Failure::cause)
}

/// Values files as arguments.
/// What it printed; a program that fails in silence is quoted by its end.
fn said(ran: &Ran, text: &str) -> HelmSaid {
    let text = if !ran.ok() && text.trim().is_empty() { format!("{}, and it printed nothing", ran.ended()) } else { plain(text, 8_000) };
    HelmSaid { ok: ran.ok(), text }
}

fn values(files: &[PathBuf]) -> impl Iterator<Item = std::ffi::OsString> + '_ {
    files.iter().flat_map(|file| ["--values".into(), file.clone().into_os_string()])
}

/// Labels as helm takes them. Kubernetes allows no other letters in them.
fn labels(labels: &BTreeMap<String, String>) -> Result<Option<String>, Failure> {
    let good = |text: &str, more: &str| text.len() <= 120 && text.chars().all(|letter| letter.is_ascii_alphanumeric() || more.contains(letter));
    for (name, value) in labels {
        if name.is_empty() || !good(name, "-_./") || !good(value, "-_.") || value.len() > 63 {
            return Err(Failure::internal(format!("the label {name:?} cannot be written to a release")));
        }
    }
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ok((!pairs.is_empty()).then(|| pairs.join(",")))
}

#[async_trait::async_trait]
impl Charts for Helm {
    async fn version(&self) -> Result<String, Failure> {
        let ran = self.run().args(["version", "--template", "{{.Version}}"]).deadline(Duration::from_secs(10)).output().await?;
        if ran.ok() { Ok(plain(ran.stdout.trim().trim_start_matches('v'), 40)) } else { Err(ran.failure("ask helm for its version")) }
    }

    async fn lint(&self, chart: &Path, files: &[PathBuf]) -> Result<HelmSaid, Failure> {
        let ran = self.run().args(["lint", "--strict"]).arg(chart).args(values(files)).output().await?;
        Ok(said(&ran, &format!("{}{}", ran.stdout, ran.stderr)))
    }

    async fn template(
        &self,
        chart: &Path,
        release: &ReleaseName,
        namespace: &Namespace,
        files: &[PathBuf],
        kubernetes: Option<&str>,
    ) -> Result<HelmSaid, Failure> {
        let run = self.run().args(["template", release.as_str()]).arg(chart).args(["--namespace", namespace.as_str()]).args(values(files));
        let ran = run.args(["--kube-version", kubernetes.unwrap_or(UNASKED)]).output().await?;
        if ran.cut {
            return Err(Failure::new(Code::RenderFailed, format!("render {}: the manifest is larger than 8 MB", chart.display())));
        }
        Ok(if ran.ok() { HelmSaid { ok: true, text: ran.stdout } } else { said(&ran, &ran.stderr) })
    }

    async fn package(&self, chart: &Path, destination: &Path) -> Result<Package, Failure> {
        #[derive(Deserialize)]
        struct Chart {
            name: String,
            version: String,
        }
        let file = chart.join("Chart.yaml");
        let text = std::fs::read_to_string(&file).map_err(|error| Failure::file("read", &file, &error))?;
        let about: Chart = serde_saphyr::from_str(&text).map_err(|error| {
            Failure::new(Code::RenderFailed, format!("read name and version of {}", file.display())).cause(error).help("generate the chart again")
        })?;
        std::fs::create_dir_all(destination).map_err(|error| Failure::file("make the folder", destination, &error))?;
        let ran = self.run().arg("package").arg(chart).arg("--destination").arg(destination).output().await?;
        let path = destination.join(format!("{}-{}.tgz", about.name, about.version));
        if !ran.ok() {
            return Err(helm_failed(&ran, &format!("package {}", chart.display())));
        }
        let bytes = std::fs::read(&path).map_err(|error| Failure::file("read the package", &path, &error))?;
        Ok(Package { path, digest: Digest::of(bytes).to_string() })
    }

    async fn history(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName) -> Result<Vec<HelmRevision>, Failure> {
        self.records(&Target { at, namespace, release }).await
    }

    async fn apply(&self, at: &Proof, request: &Apply) -> Result<Revision, Failure> {
        self.major().await?;
        let at = proof::again(&self.around, at).await?;
        let target = Target { at: &at, namespace: &request.namespace, release: &request.release };
        let lock = self.lock(&target).await?;
        let mut history = self.records(&target).await?;
        if self.mend(&target, &lock, &history, None).await?.is_some() {
            history = self.records(&target).await?;
        }
        let before = history.last().map_or(Revision(0), |last| last.revision);
        let timeout = format!("{}s", request.deadline.as_secs().max(1));
        let mut run = self
            .run_on(&target)
            .args(["upgrade", "--install", request.release.as_str()])
            .arg(&request.chart)
            .args(["--history-max", "0", "--timeout", &timeout, "--description", &plain(&request.description, 200)])
            .args(values(&request.values));
        if let Some(labels) = labels(&request.labels)? {
            run = run.args(["--labels", &labels]);
        }
        let doing = format!("install or upgrade {}", request.release);
        match self.change(&lock, run, request.deadline).await {
            Ok(ran) => self.settled(&target, before, &ran, &doing).await,
            // Stopped or not answering: what the cluster was told is in the records, and the caller reads them anew.
            Err(failure) => {
                let last = self.records(&target).await.ok().and_then(|records| records.into_iter().next_back()).filter(|last| last.revision > before);
                Err(match last {
                    Some(last) => failure.cause(format!("{doing}: revision {} is {}", last.revision, last.status)),
                    None => failure.cause(format!("{doing}: no new revision")),
                })
            }
        }
    }

    async fn rollback(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName, to: Revision) -> Result<Revision, Failure> {
        self.major().await?;
        let at = proof::again(&self.around, at).await?;
        let target = Target { at: &at, namespace, release };
        let lock = self.lock(&target).await?;
        let history = self.records(&target).await?;
        let Some(last) = history.last().filter(|_| history.iter().any(|record| record.revision == to)) else {
            return Err(
                Failure::new(Code::HelmFailed, format!("{release} has no revision {to}")).help(format!("see 'helm history {release} --namespace {namespace}'"))
            );
        };
        if last.status.starts_with("pending") && !abandoned(&last.updated, lock.began, jiff::Timestamp::now()) {
            return Err(Failure::new(Code::HelmPending, format!("revision {} of {release} is {} since {}", last.revision, last.status, last.updated))
                .help("somebody else's helm may be at work on it: wait until it has ended, then call again"));
        }
        self.return_to(&target, &lock, last.revision, to).await
    }

    async fn uninstall(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName) -> Result<(), Failure> {
        let at = proof::again(&self.around, at).await?;
        let target = Target { at: &at, namespace, release };
        let lock = self.lock(&target).await?;
        self.remove(&target, &lock).await
    }

    async fn recorded(&self, at: &Proof, namespace: &Namespace, release: &ReleaseName, revision: Revision) -> Result<(String, String), Failure> {
        let target = Target { at, namespace, release };
        let number = revision.to_string();
        let get = async |what: &[&str]| {
            let ran = self.run_on(&target).arg("get").args(what).args([release.as_str(), "--revision", &number]).output().await?;
            if ran.ok() { Ok(ran.stdout) } else { Err(helm_failed(&ran, &format!("read revision {revision} of {release}"))) }
        };
        Ok((get(&["manifest"]).await?, get(&["values", "--output", "yaml"]).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(revision: u32, status: &str) -> HelmRevision {
        HelmRevision {
            revision: Revision(revision),
            status: status.to_owned(),
            chart: String::new(),
            description: "why".to_owned(),
            updated: String::new(),
            labels: BTreeMap::new(),
        }
    }

    fn history(statuses: &[&str]) -> Vec<HelmRevision> {
        statuses.iter().zip(1..).map(|(status, revision)| record(revision, status)).collect()
    }

    #[test]
    fn a_program_that_fails_in_silence_is_quoted_by_its_end() {
        let ran = |code, stdout: &str| Ran {
            program: "helm".into(),
            code,
            stdout: stdout.into(),
            stderr: String::new(),
            cut: false,
            elapsed: std::time::Duration::ZERO,
        };
        assert_eq!(said(&ran(Some(1), ""), " ").text, "exit code 1, and it printed nothing");
        assert_eq!(said(&ran(None, ""), "").text, "ended by a signal, and it printed nothing");
        assert_eq!(said(&ran(Some(1), ""), "no such key").text, "no such key");
        assert_eq!(said(&ran(Some(0), ""), "").text, "");
    }

    #[test]
    fn every_pending_state_has_its_way_out() {
        let check =
            |statuses: &[&str], verified: Option<u32>, expect: Mending| assert_eq!(mending(&history(statuses), verified.map(Revision)), expect, "{statuses:?}");
        check(&[], None, Mending::Nothing);
        check(&["deployed"], None, Mending::Nothing);
        check(&["failed"], None, Mending::Nothing);
        check(&["superseded", "pending-upgrade", "deployed"], None, Mending::Nothing);
        check(&["pending-install"], None, Mending::Uninstall);
        check(&["deployed", "uninstalling"], Some(1), Mending::Uninstall);
        check(&["superseded", "deployed", "pending-upgrade"], None, Mending::Rollback(Revision(2)));
        check(&["superseded", "deployed", "pending-upgrade"], Some(1), Mending::Rollback(Revision(1)));
        check(&["superseded", "deployed", "pending-rollback"], Some(9), Mending::Rollback(Revision(2)));
        check(&["failed", "pending-upgrade"], None, Mending::Impossible);
    }

    #[test]
    fn a_pending_record_is_left_while_its_helm_may_live() {
        let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let now = time("2026-11-21T12:00:00Z");
        let check = |updated: &str, began: Option<&str>, expect: bool| assert_eq!(abandoned(updated, began.map(time), now), expect, "{updated} {began:?}");
        check("2026-11-21T11:59:00Z", None, false);
        check("2026-11-21T11:49:00Z", None, true);
        // Helm writes local time with its offset.
        check("2026-11-21T13:59:00.123456789+02:00", None, false);
        // Ours, and we hold its lock: it is dead.
        check("2026-11-21T11:59:00Z", Some("2026-11-21T11:58:58Z"), true);
        // Begun long before: somebody else's.
        check("2026-11-21T11:50:01Z", Some("2026-11-21T11:58:58Z"), false);
        check("soon", None, false);
    }

    #[test]
    fn what_a_change_came_to_is_read_from_the_records() {
        let ran = |code: i32| Ran {
            program: "helm".to_owned(),
            code: Some(code),
            stdout: String::new(),
            stderr: "Error: password=hunter2horse\n".to_owned(),
            cut: false,
            elapsed: Duration::ZERO,
        };
        let check =
            |statuses: &[&str], before: u32, code: i32| outcome(&history(statuses), Revision(before), &ran(code), "upgrade x").map_err(|failure| failure.code);
        assert_eq!(check(&["superseded", "deployed"], 1, 0), Ok(Revision(2)));
        // The exit code lies both ways; the record does not.
        assert_eq!(check(&["superseded", "deployed"], 1, 1), Ok(Revision(2)));
        assert_eq!(check(&["deployed"], 1, 0), Err(Code::HelmFailed));
        assert_eq!(check(&["deployed", "failed"], 1, 0), Err(Code::HelmFailed));
        assert_eq!(check(&["deployed", "pending-upgrade"], 1, 1), Err(Code::HelmPending));
        assert_eq!(check(&[], 0, 1), Err(Code::HelmFailed));
        let failure = outcome(&history(&["failed"]), Revision(0), &ran(1), "upgrade x").unwrap_err();
        assert!(failure.message.contains("revision 1 is failed: why") && !failure.to_string().contains("hunter2"), "{failure}");
    }

    #[test]
    fn labels_are_checked_before_helm_sees_them() {
        let one = |name: &str, value: &str| labels(&BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert_eq!(one("verified-revision", "3").unwrap().as_deref(), Some("verified-revision=3"));
        assert_eq!(labels(&BTreeMap::new()).unwrap(), None);
        for (name, value) in [("a", "b,c=d"), ("", "x"), ("a b", "x"), ("a", &"x".repeat(64))] {
            assert!(one(name, value).is_err(), "{name}={value}");
        }
    }
}
