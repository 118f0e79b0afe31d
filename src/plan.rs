//! What will be done, as data: serialisable, bound by a digest, able to go stale; nothing here does it.

use crate::ask::{OnRefusal, Through};
use crate::blueprint::Blueprint;
use crate::config::ValueSource;
use crate::evidence::Time;
use crate::failure::{Code, Failure};
use crate::names::{Digest, EnvName, ImageRef, ProfileName, ReleaseName, Revision, ServiceName};
use crate::ports::StartSpec;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// How long a plan may wait before it must be made again, seconds.
pub const LIFE: i64 = 15 * 60;

/// minikube's addon that measures what pods use.
pub const METRICS_SERVER: &str = "metrics-server";
/// minikube's addon that images are pushed to and pulled from.
pub const REGISTRY: &str = "registry";

/// What an addon is wanted for, in the words of a plan's summary.
const ADDONS: [(&str, &str); 2] = [
    (METRICS_SERVER, ", which measures what pods use; a deploy that fails or is cancelled disables it again"),
    (REGISTRY, ", through which images are delivered; a deploy that fails or is cancelled disables it again"),
];

/// What a file of the workspace is now and what it shall be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStep {
    /// SHA-256 of what is there; absent where nothing is.
    pub before: Option<Digest>,
    pub after: Digest,
    /// The file is a person's and will be changed: this needs approval.
    pub persons: bool,
}

/// An image to be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageStep {
    pub reference: ImageRef,
    /// Dockerfile, context, build arguments and base ids.
    pub input: Digest,
    /// Base image → its id, as far as the engine had them.
    #[serde(default)]
    pub bases: BTreeMap<String, String>,
    /// An image of exactly this input is on the node already.
    pub present: bool,
}

/// A release to be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseStep {
    /// SHA-256 of the rendered manifest; absent where helm could not be asked.
    pub manifest: Option<Digest>,
    /// The newest revision in the cluster.
    pub current: Option<Revision>,
    /// The newest revision that was verified: where a rollback goes.
    pub verified: Option<Revision>,
    /// The release runs exactly this manifest already.
    pub unchanged: bool,
}

/// A plan of one deploy, containerize or chart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub schema: u32,
    pub workspace: PathBuf,
    pub profile: Option<ProfileName>,
    /// SHA-256 of the cluster's CA; absent where no cluster was proven.
    pub fingerprint: Option<String>,
    pub through: Through,
    pub on_refusal: OnRefusal,
    /// The newest app revision in the cluster; 0 for none.
    pub base_revision: u32,
    pub blueprint: Blueprint,
    pub files: BTreeMap<String, FileStep>,
    pub images: BTreeMap<ServiceName, ImageStep>,
    pub releases: BTreeMap<ReleaseName, ReleaseStep>,
    /// Names and sources of values, never values.
    pub sources: BTreeMap<EnvName, ValueSource>,
    /// BuildKit secret mounts.
    #[serde(default)]
    pub build_secrets: BTreeMap<EnvName, ValueSource>,
    /// Start the profile with this.
    pub start: Option<StartSpec>,
    /// Addons of minikube that are off and shall be on.
    #[serde(default)]
    pub addons: BTreeSet<String>,
    /// The namespace exists and is ours already.
    pub namespace_ready: bool,
    /// Secrets (name → keys) that are there already.
    pub secrets_present: BTreeMap<String, Vec<String>>,
    pub survey: String,
    pub created_at: Time,
    pub expires_at: Time,
}

impl Plan {
    /// SHA-256 over everything that will change and where; times excepted.
    pub fn digest(&self) -> Result<Digest, Failure> {
        let images: BTreeMap<_, _> = self.images.iter().map(|(service, step)| (service, &step.input)).collect();
        let manifests: BTreeMap<_, _> = self.releases.iter().map(|(release, step)| (release, (&step.manifest, step.verified))).collect();
        let bound = serde_json::json!({
            "schema": self.schema,
            "app": self.blueprint.app,
            "fingerprint": self.fingerprint,
            "profile": self.profile,
            "namespace": self.blueprint.namespace,
            "environment": self.blueprint.environment,
            "through": self.through,
            "on_refusal": self.on_refusal,
            "base_revision": self.base_revision,
            "files": self.files,
            "images": images,
            "manifests": manifests,
            "sources": self.sources,
            "build_secrets": self.build_secrets,
            "secrets": self.blueprint.secrets,
            "start": self.start,
            "addons": self.addons,
        });
        serde_json::to_vec(&bound).map(Digest::of).map_err(|error| Failure::internal("digest a plan").cause(error))
    }

    /// True where a person would notice nothing: no person's file and nothing of the cluster changes.
    pub fn unnoticed(&self) -> bool {
        let files = self.files.values().any(|step| step.persons && step.before.as_ref() != Some(&step.after));
        !files && !self.changes_cluster()
    }

    /// True where something of the cluster would change.
    pub fn changes_cluster(&self) -> bool {
        !self.addons.is_empty()
            || self.through >= Through::Deploy
                && (self.start.is_some() || !self.namespace_ready || !self.missing_secrets().is_empty() || self.releases.values().any(|step| !step.unchanged))
    }

    /// Secrets or keys that do not exist yet.
    pub fn missing_secrets(&self) -> Vec<String> {
        let lacks = |plan: &crate::blueprint::SecretPlan| match self.secrets_present.get(&plan.name) {
            None => true,
            Some(keys) => plan.keys.keys().any(|key| !keys.contains(key)),
        };
        self.blueprint.secrets.iter().filter(|plan| lacks(plan)).map(|plan| plan.name.clone()).collect()
    }

    /// What an approval says yes to, a line each.
    pub fn summary(&self) -> Vec<String> {
        let blueprint = &self.blueprint;
        let profile = self.profile.as_ref().map_or("?", ProfileName::as_str);
        let mut lines = Vec::new();
        if let Some(start) = &self.start {
            let size = [start.cpus.map(|cpus| format!("{cpus} CPUs")), start.memory.clone().map(|memory| format!("{memory} memory"))];
            let size: Vec<_> = size.into_iter().flatten().collect();
            lines.push(format!(
                "start (or create) the Minikube profile {profile}{}",
                if size.is_empty() { String::new() } else { format!(" with {}", size.join(", ")) }
            ));
        }
        for addon in &self.addons {
            lines.push(format!(
                "enable the Minikube addon {addon} in profile {profile}{}",
                ADDONS.iter().find(|(name, _)| name == addon).map_or("", |(_, why)| why)
            ));
        }
        for (path, step) in self.files.iter().filter(|(_, step)| step.persons && step.before.as_ref() != Some(&step.after)) {
            lines.push(format!("change {path}, which a person wrote (now {})", step.before.as_ref().map_or("absent", Digest::short)));
        }
        if self.through >= Through::Deploy {
            if !self.namespace_ready {
                lines.push(format!("create the namespace {} in profile {profile}, with restricted pod security", blueprint.namespace));
            }
            for name in self.missing_secrets() {
                let plan = blueprint.secrets.iter().find(|plan| plan.name == name);
                let keys: Vec<_> = plan.map(|plan| plan.keys.iter().map(|(key, how)| format!("{key} ({})", how_word(how))).collect()).unwrap_or_default();
                lines.push(format!("create the Secret {name}: {}", keys.join(", ")));
            }
            for wave in &blueprint.waves {
                for release in wave {
                    let Some(step) = self.releases.get(release).filter(|step| !step.unchanged) else { continue };
                    lines.push(match (step.current, step.verified) {
                        (None, _) => format!("install {release}; if its gate refuses it is uninstalled, claims are kept"),
                        (Some(current), Some(verified)) => {
                            format!("upgrade {release} (now helm revision {current}); if its gate refuses it goes back to the verified revision {verified}")
                        }
                        (Some(current), None) => format!("upgrade {release} (now helm revision {current}, not verified: there is no revision to go back to)"),
                    });
                }
            }
            if self.on_refusal == OnRefusal::Hold {
                lines.push("hold the state when a gate refuses, instead of going back".to_owned());
            }
        }
        lines
    }

    /// Why this plan no longer holds against a fresh one, a line each; empty where it does.
    pub fn differences(&self, fresh: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut note = |what: &str, old: &str, new: &str| {
            if old != new {
                lines.push(format!("{what}: planned {old}, now {new}"));
            }
        };
        let text = |value: &Option<String>| value.as_deref().unwrap_or("none").chars().take(12).collect::<String>();
        note("cluster", &text(&self.fingerprint), &text(&fresh.fingerprint));
        note("namespace", self.blueprint.namespace.as_str(), fresh.blueprint.namespace.as_str());
        note("base revision", &self.base_revision.to_string(), &fresh.base_revision.to_string());
        let addons = |plan: &Self| plan.addons.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        note("addons to enable", &addons(self), &addons(fresh));
        let names: std::collections::BTreeSet<_> = self.files.keys().chain(fresh.files.keys()).collect();
        let file = |plan: &Self, name: &str| {
            plan.files
                .get(name)
                .map_or_else(|| "none".to_owned(), |step| format!("{}→{}", step.before.as_ref().map_or("absent", Digest::short), step.after.short()))
        };
        for name in names {
            note(&format!("file {name}"), &file(self, name), &file(fresh, name));
        }
        let names: std::collections::BTreeSet<_> = self.images.keys().chain(fresh.images.keys()).collect();
        let image = |plan: &Self, name: &ServiceName| plan.images.get(name).map_or("none".to_owned(), |step| step.input.short().to_owned());
        for name in names {
            note(&format!("inputs of image {name}"), &image(self, name), &image(fresh, name));
        }
        let names: std::collections::BTreeSet<_> = self.releases.keys().chain(fresh.releases.keys()).collect();
        let release = |plan: &Self, name: &ReleaseName| {
            plan.releases.get(name).and_then(|step| step.manifest.clone()).map_or("none".to_owned(), |digest| digest.short().to_owned())
        };
        for name in names {
            note(&format!("manifest of {name}"), &release(self, name), &release(fresh, name));
        }
        lines
    }

    /// Keeps the plan under its digest, with its difference as text.
    pub fn store(&self, folder: &Path, diff: &str) -> Result<Digest, Failure> {
        let digest = self.digest()?;
        let text = serde_json::to_vec_pretty(self).map_err(|error| Failure::internal("write a plan").cause(error))?;
        crate::files::write_private(&folder.join(format!("{}.json", digest.short())), &text)?;
        crate::files::write_private(&folder.join(format!("{}.diff", digest.short())), diff.as_bytes())?;
        Ok(digest)
    }

    /// A plan that was kept; the digest may be cut to twelve digits or more.
    pub fn load(folder: &Path, digest: &str) -> Result<Self, Failure> {
        let gone = || Failure::new(Code::PlanNotFound, format!("there is no plan {}", crate::secret::plain(digest, 64))).help("plan_deployment makes one");
        let short = digest.get(..12).filter(|short| short.chars().all(|letter| letter.is_ascii_hexdigit())).ok_or_else(gone)?;
        let text = std::fs::read(folder.join(format!("{short}.json"))).map_err(|_| gone())?;
        let plan: Self = serde_json::from_slice(&text).map_err(|error| gone().cause(error))?;
        if plan.digest()?.as_str().starts_with(digest) { Ok(plan) } else { Err(gone()) }
    }
}

/// How a value is made, in a word or two, for summaries.
pub fn how_word(how: &crate::blueprint::SecretKeyPlan) -> String {
    use crate::blueprint::SecretKeyPlan;
    match how {
        SecretKeyPlan::Source { source: ValueSource::Generate } | SecretKeyPlan::Generate => "generated".to_owned(),
        SecretKeyPlan::Source { source } => format!("from {source}"),
        SecretKeyPlan::Literal { .. } => "fixed".to_owned(),
        SecretKeyPlan::Template { .. } => "assembled".to_owned(),
    }
}

/// The input hash of an image: Dockerfile, context files with their content and execute bit, build arguments, base ids.
/// A changed input gives a changed tag, and only that.
pub fn image_input(
    context: &Path,
    files: &[String],
    dockerfile: &str,
    build_args: &BTreeMap<String, String>,
    bases: &BTreeMap<String, String>,
) -> Result<Digest, Failure> {
    use rayon::prelude::*;
    let digests: Vec<(String, Result<String, Failure>)> = files
        .par_iter()
        .map(|file| {
            let path = context.join(file);
            let digest = std::fs::symlink_metadata(&path)
                .and_then(|facts| {
                    use std::os::unix::fs::PermissionsExt as _;
                    if facts.is_symlink() {
                        return Ok(format!("link {}", std::fs::read_link(&path)?.display()));
                    }
                    let executable = facts.permissions().mode() & 0o111 != 0;
                    Ok(format!("{}{}", if executable { "x " } else { "" }, Digest::of(std::fs::read(&path)?)))
                })
                .map_err(|error| Failure::file("read", &path, &error));
            (file.clone(), digest)
        })
        .collect();
    let mut listed = Vec::new();
    for (file, digest) in digests {
        listed.push((file, digest?));
    }
    let bound = serde_json::json!({"format": 1, "dockerfile": dockerfile, "files": listed, "build_args": build_args, "bases": bases});
    serde_json::to_vec(&bound).map(Digest::of).map_err(|error| Failure::internal("hash a build context").cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_hash_follows_content_name_and_arguments() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "1").unwrap();
        let hash = |docker: &str, args: &[(&str, &str)]| {
            let args = args.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            image_input(folder.path(), &["a".to_owned()], docker, &args, &BTreeMap::new()).unwrap()
        };
        let first = hash("FROM x", &[]);
        assert_eq!(first, hash("FROM x", &[]));
        assert_ne!(first, hash("FROM y", &[]));
        assert_ne!(first, hash("FROM x", &[("A", "1")]));
        std::fs::write(folder.path().join("a"), "2").unwrap();
        assert_ne!(first, hash("FROM x", &[]));
    }
}
