//! Vulnerability scanners that this machine has: trivy, else grype; without one, or without its data, the reason is answered and nothing is claimed.

use crate::adapters::docker::DockerImages;
use crate::adapters::engine::{Engine, chain};
use crate::adapters::exec::{self, Run};
use crate::adapters::minikube::Surroundings;
use crate::failure::{Code, Failure};
use crate::names::ImageRef;
use crate::ports::{Proof, ScanReport, Scanner};
use crate::secret::plain;
use futures::StreamExt as _;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// How long a scan may take.
const LIMIT: Duration = Duration::from_secs(300);
/// Larger images are not saved to disk for a scan.
const LARGEST: u64 = 8 * 1024 * 1024 * 1024;

/// Scans with what is on this machine.
#[derive(Clone, Debug)]
pub struct ImageScanner {
    around: Surroundings,
}

impl ImageScanner {
    /// The scanners of this machine; `state` is the user's own state folder of ours.
    pub fn new(state: PathBuf) -> Self {
        Self { around: Surroundings::read(state) }
    }
}

#[async_trait::async_trait]
impl Scanner for ImageScanner {
    async fn scan(&self, at: &Proof, reference: &ImageRef) -> Result<ScanReport, String> {
        let name = ["trivy", "grype"].into_iter().find(|name| exec::locate(name).is_some());
        let name = name.ok_or_else(|| format!("no scanner on this machine; {}", exec::installs("trivy")))?;
        let engine = DockerImages::with(self.around.clone()).builder(at).await.map_err(|failure| failure.to_string())?;
        let archive = archive(&self.around.state, &engine, reference).await.map_err(|failure| failure.to_string())?;
        let run = match name {
            "trivy" => Run::new(name).args(["image", "--quiet", "--format", "json", "--scanners", "vuln", "--input"]).arg(archive.path()),
            _ => Run::new(name).arg(format!("docker-archive:{}", archive.path().display())).args(["-o", "json", "-q"]),
        };
        let ran = run.deadline(LIMIT).cap(64 * 1024 * 1024).output().await.map_err(|failure| failure.to_string())?;
        let last = || exec::last_lines(&ran.stderr, 2).join("; ");
        if !ran.ok() {
            return Err(format!("{name} could not scan: {}", plain(&last(), 300)));
        }
        let report: Value = serde_json::from_str(&ran.stdout).map_err(|error| format!("{name} printed no report: {error}"))?;
        let counts = if name == "trivy" { trivy(&report) } else { grype(&report) };
        let counts = counts.ok_or_else(|| format!("{name} printed a report that is not understood"))?;
        Ok(ScanReport { scanner: format!("{name} {}", version(name).await.unwrap_or_default()).trim().to_owned(), counts })
    }
}

async fn version(name: &str) -> Option<String> {
    let arguments: &[&str] = if name == "trivy" { &["version", "--format", "json"] } else { &["version", "-o", "json"] };
    let ran = Run::new(name).args(arguments).deadline(Duration::from_secs(5)).output().await.ok()?;
    let value: Value = serde_json::from_str(&ran.stdout).ok()?;
    ["Version", "version"].iter().find_map(|key| value.get(key)?.as_str()).map(|version| plain(version, 40))
}

/// Counts by severity in trivy's report. A report without results has scanned nothing.
fn trivy(report: &Value) -> Option<BTreeMap<String, u64>> {
    let results = report.get("Results")?.as_array()?;
    let found = results.iter().filter_map(|result| result.get("Vulnerabilities")?.as_array()).flatten();
    Some(count(found.filter_map(|one| one.get("Severity")?.as_str())))
}

/// Counts by severity in grype's report.
fn grype(report: &Value) -> Option<BTreeMap<String, u64>> {
    let found = report.get("matches")?.as_array()?;
    Some(count(found.iter().filter_map(|one| one.get("vulnerability")?.get("severity")?.as_str())))
}

fn count<'a>(severities: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let mut counts: BTreeMap<String, u64> = ["CRITICAL", "HIGH", "MEDIUM", "LOW"].map(|name| (name.to_owned(), 0)).into();
    for severity in severities {
        *counts.entry(plain(&severity.to_uppercase(), 20)).or_default() += 1;
    }
    counts
}

/// A saved image on disk, removed again.
#[derive(Debug)]
pub struct Archive(PathBuf);

impl Archive {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // What cannot be removed lies in our own folder, where the next one is looked at.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Saves an image into our own folder, readable by nobody else.
pub async fn archive(state: &Path, engine: &Engine, reference: &ImageRef) -> Result<Archive, Failure> {
    let folder = state.join("images");
    tokio::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).await.map_err(|error| Failure::file("make the folder", &folder, &error))?;
    let path = folder.join(format!("{}.tar", crate::secret::noise::<6>()?));
    let fault = |error: std::io::Error| Failure::file("save the image to", &path, &error);
    let mut file = tokio::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).await.map_err(fault)?;
    let archive = Archive(path.clone());
    let saving = async {
        let mut stream = std::pin::pin!(engine.docker().export_image(reference.as_str()));
        let mut size = 0;
        while let Some(chunk) = stream.next().await {
            let chunk =
                chunk.map_err(|error| Failure::new(Code::EngineUnreachable, format!("export {reference} from {}", engine.address())).cause(chain(&error)))?;
            size += chunk.len() as u64;
            if size > LARGEST {
                return Err(Failure::new(Code::ProgramFailed, format!("{reference} is larger than {} GB", LARGEST >> 30)));
            }
            file.write_all(&chunk).await.map_err(fault)?;
        }
        file.flush().await.map_err(fault)
    };
    match tokio::time::timeout(LIMIT, saving).await {
        Ok(saved) => saved.map(|()| archive),
        Err(_) => Err(Failure::new(Code::Deadline, format!("{reference} was not saved within {} s", LIMIT.as_secs())).help("call again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reports_are_counted_by_severity() {
        let report =
            json!({"Results": [{"Target": "os", "Vulnerabilities": [{"Severity": "HIGH"}, {"Severity": "HIGH"}, {"Severity": "LOW"}]}, {"Target": "none"}]});
        let counts = trivy(&report).unwrap();
        assert_eq!((counts["HIGH"], counts["LOW"], counts["CRITICAL"]), (2, 1, 0));
        let counts = grype(&json!({"matches": [{"vulnerability": {"severity": "Critical"}}, {"vulnerability": {"severity": "Negligible"}}]})).unwrap();
        assert_eq!((counts["CRITICAL"], counts["NEGLIGIBLE"]), (1, 1));
    }

    #[test]
    fn a_report_of_nothing_is_no_clean_report() {
        assert_eq!(trivy(&json!({"SchemaVersion": 2})), None);
        assert_eq!(grype(&json!({})), None);
    }
}
