//! From a workspace and wishes to a plan: survey, blueprint, rendered files, and what is in the cluster; it reads and changes nothing.

pub(crate) mod chart;
mod persons;

use crate::ask::{OnConflict, OnRefusal, Through};
use crate::blueprint::{self, Blueprint, ImagePlan, Wishes, Workload};
use crate::config::{Config, Delivery, Folders, ValueSource};
use crate::evidence::{Finding, Place};
use crate::failure::{Code, Failure};
use crate::landfall::Landfall;
use crate::names::{AppName, Digest, EnvName, EnvironmentName, ImageRef, Namespace, ProfileName, ReleaseName, Revision, ServiceName};
use crate::plan::{FileStep, ImageStep, Plan, ReleaseStep};
use crate::ports::{Profile, ProfileStatus, Proof, Runtime, StartSpec};
use crate::render::{self, RenderedFile};
use crate::reply::{By, FileAction, FileChange};
use crate::survey::Survey;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Labels that Landfall keeps on Helm's own records, so that a lost `.landfall` can be rebuilt.
pub mod labels {
    /// The app revision that made this record.
    pub const APP_REVISION: &str = "landfall.dev/app-revision";
    /// The app.
    pub const APP: &str = "landfall.dev/app";
    /// Who made an object; `landfall` on ours.
    pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    /// First twelve digits of the rendered manifest's SHA-256.
    pub const MANIFEST: &str = "landfall.dev/manifest";
    /// The operation that made this record.
    pub const OPERATION: &str = "landfall.dev/operation";
    /// First twelve digits of the image's id, or of its digest where it came through the registry addon: of what pods show.
    pub const IMAGE: &str = "landfall.dev/image";
    /// Counts only where it equals the record's own revision: Helm copies labels onto later records.
    pub const VERIFIED: &str = "verified-revision";
}

/// What is wanted, from whichever tool.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub wishes: Wishes,
    pub profile: Option<ProfileName>,
    pub through: Through,
    pub on_refusal: OnRefusal,
    pub on_conflict: OnConflict,
    pub start_cluster: bool,
    pub build_secrets: BTreeMap<EnvName, ValueSource>,
    pub environments: Vec<EnvironmentName>,
    /// Look at the cluster: the plan is bound to it.
    pub cluster: bool,
}

/// What the cluster's own records say of the app.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// release → helm revision → labels
    pub records: BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>>,
}

impl History {
    /// The newest helm revision of a release.
    pub fn current(&self, release: &str) -> Option<Revision> {
        self.records.get(release)?.keys().next_back().copied().map(Revision)
    }

    /// True where that very revision was verified by us.
    pub fn is_verified(&self, release: &str, revision: Revision) -> bool {
        let label = self.records.get(release).and_then(|records| records.get(&revision.0)).and_then(|labels| labels.get(labels::VERIFIED));
        label.is_some_and(|label| *label == revision.to_string())
    }

    /// The newest verified helm revision before `before` (or at all).
    pub fn verified(&self, release: &str, before: Option<Revision>) -> Option<Revision> {
        let records = self.records.get(release)?;
        let candidates = records.keys().rev().copied().map(Revision);
        candidates.filter(|revision| before.is_none_or(|before| *revision < before)).find(|revision| self.is_verified(release, *revision))
    }

    /// A label of a release's newest record.
    pub fn label(&self, release: &str, name: &str) -> Option<&str> {
        self.records.get(release)?.values().next_back()?.get(name).map(String::as_str)
    }

    /// The newest app revision; 0 for none.
    pub fn newest(&self) -> u32 {
        let numbers = self.records.values().flat_map(BTreeMap::values).filter_map(|labels| labels.get(labels::APP_REVISION)?.parse().ok());
        numbers.max().unwrap_or(0)
    }

    /// The helm revision of every release as app revision `n` left it: of the newest app revision up to it, the newest record that was verified, else the newest.
    /// A release that was rolled back has several records of one app revision, and the last of them may not have been validated any more.
    pub fn at(&self, n: u32) -> BTreeMap<String, Revision> {
        let made = |labels: &BTreeMap<String, String>| labels.get(labels::APP_REVISION).and_then(|text| text.parse::<u32>().ok());
        let newest = |release: &str, records: &BTreeMap<u32, BTreeMap<String, String>>| {
            let of = records.values().filter_map(made).filter(|made| *made <= n).max()?;
            let same: Vec<_> = records.iter().rev().filter(|(_, labels)| made(labels) == Some(of)).map(|(revision, _)| Revision(*revision)).collect();
            same.iter().find(|revision| self.is_verified(release, **revision)).or(same.first()).copied()
        };
        self.records.iter().filter_map(|(release, records)| Some((release.clone(), newest(release, records)?))).collect()
    }
}

/// A plan with all that it was made from.
#[derive(Debug)]
pub struct Draft {
    pub config: Config,
    pub folders: Folders,
    pub survey: Survey,
    pub app: AppName,
    pub blueprint: Blueprint,
    /// What shall be in the workspace: a person's file stands as the person left it.
    pub files: Vec<RenderedFile>,
    pub changes: Vec<FileChange>,
    /// Unified differences of every changed file.
    pub diff: String,
    pub plan: Plan,
    /// The proven target, or why there is none.
    pub target: Result<Proof, Failure>,
    pub history: History,
    pub findings: Vec<Finding>,
    /// release → rendered manifest, where helm could be asked.
    pub manifests: BTreeMap<ReleaseName, String>,
}

impl Draft {
    /// The names of files that a person changed and that the plan would change.
    pub fn conflicts(&self) -> Vec<&FileChange> {
        self.changes.iter().filter(|change| change.action == FileAction::Conflict).collect()
    }
}

impl Landfall {
    /// The workspace's folder: parsed, existing, readable and allowed.
    pub fn workspace(&self, asked: Option<&str>) -> Result<PathBuf, Failure> {
        let asked = match (asked, self.setup.roots.as_slice()) {
            (Some(asked), _) => PathBuf::from(asked),
            (None, [only]) => only.clone(),
            (None, _) => {
                return Err(
                    Failure::new(Code::BadArgument, "workspace is missing").help("name the workspace's absolute path: {\"workspace\": \"/path/to/project\"}")
                );
            }
        };
        let shown = crate::secret::plain(&asked.to_string_lossy(), 200);
        if !asked.is_absolute() {
            return Err(Failure::new(Code::BadArgument, format!("workspace {shown} is not an absolute path")).help("name the workspace's absolute path"));
        }
        let real = asked.canonicalize().map_err(|error| match error.kind() {
            std::io::ErrorKind::PermissionDenied => Failure::new(Code::WorkspaceUnreadable, format!("{shown} cannot be read"))
                .cause(&error)
                .help("give yourself read access to it, then call again"),
            _ => Failure::new(Code::WorkspaceNotFound, format!("there is no folder {shown}")).cause(&error).help("name an existing folder"),
        })?;
        if !real.is_dir() {
            return Err(Failure::new(Code::WorkspaceNotFound, format!("{shown} is not a folder")).help("name the folder that holds the project"));
        }
        std::fs::read_dir(&real).map_err(|error| {
            Failure::new(Code::WorkspaceUnreadable, format!("{shown} cannot be read")).cause(&error).help("give yourself read access to it, then call again")
        })?;
        let home = std::env::var_os("HOME").map(PathBuf::from).and_then(|home| home.canonicalize().ok());
        let roots: Vec<_> = self.setup.roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
        let allowed =
            if self.setup.roots.is_empty() { real.parent().is_some() && Some(&real) != home.as_ref() } else { roots.iter().any(|root| real.starts_with(root)) };
        if !allowed {
            let allowed: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
            let why = if allowed.is_empty() {
                "`/` and the home folder itself are never taken as a workspace".to_owned()
            } else {
                format!("allowed roots: {}", allowed.join(", "))
            };
            return Err(Failure::new(Code::WorkspaceNotAllowed, format!("{shown} is not allowed as a workspace"))
                .cause(why)
                .help("name a project folder, or start the server with --root for its parent"));
        }
        Ok(real)
    }

    /// Surveys a workspace on a thread that may block; one that did not change since is not read again.
    pub async fn surveyed(&self, workspace: &Path) -> Result<Survey, Failure> {
        let (root, surveys) = (workspace.to_owned(), std::sync::Arc::clone(&self.surveys));
        let survey = tokio::task::spawn_blocking(move || surveys.survey(&root, &crate::survey::Options::default()))
            .await
            .map_err(|error| Failure::internal("survey the workspace").cause(error))??;
        Ok(std::sync::Arc::unwrap_or_clone(survey))
    }

    /// The profile to use: argument, landfall.toml, the only running one; and the profile that could be started for it.
    /// `NOT_SUPPORTED` where this process only plans: whatever looks at a cluster or changes one begins here.
    pub async fn profile(&self, asked: Option<&ProfileName>, config: &Config) -> Result<ProfileName, Failure> {
        if self.setup.plan_only {
            return Err(Failure::new(Code::NotSupported, "no cluster is touched: this server was started with --plan-only").help(
                "analyze_project, plan_deployment, containerize with until=files and generate_chart need none; for the rest start it without --plan-only",
            ));
        }
        if let Some(profile) = asked.or(config.cluster.profile.as_ref()) {
            return Ok(profile.clone());
        }
        let profiles = self.world.local.profiles().await?;
        let running: Vec<_> = profiles.iter().filter(|profile| profile.status == ProfileStatus::Running).collect();
        match running.as_slice() {
            [only] => Ok(only.name.clone()),
            [] => {
                let known: Vec<_> = profiles.iter().map(|profile| profile.name.as_str()).collect();
                let known = if known.is_empty() { "no profile exists".to_owned() } else { format!("profiles that exist: {}", known.join(", ")) };
                Err(Failure::new(Code::ClusterStopped, "no Minikube profile runs")
                    .cause(known)
                    .help("name one with \"profile\", and let deploy start it: \"start_cluster\": true"))
            }
            several => {
                let names: Vec<_> = several.iter().map(|profile| profile.name.as_str()).collect();
                Err(Failure::new(Code::ProfileAmbiguous, format!("several Minikube profiles run: {}", names.join(", ")))
                    .help("name one of them with \"profile\", or in landfall.toml: [cluster] profile"))
            }
        }
    }

    /// Makes a plan and everything it rests on. Nothing is changed anywhere.
    pub async fn draft(&self, workspace: &Path, wanted: &Wanted) -> Result<Draft, Failure> {
        let config = Config::load(workspace)?;
        let folders = Folders::of(workspace, &self.setup.state);
        let target = self.wanted_target(wanted, &config);
        let (survey, target) = tokio::join!(self.surveyed(workspace), target);
        let survey = survey?;
        if survey.services.is_empty() {
            return Err(nothing(&survey, workspace));
        }
        let app = config.app.name.clone().unwrap_or_else(|| AppName::from_folder(workspace));
        for service in &wanted.wishes.services {
            if survey.service(service.as_str()).is_none() {
                let known: Vec<_> = survey.services.iter().map(|service| service.name.as_str()).collect();
                return Err(Failure::new(Code::ServiceUnknown, format!("there is no service {service}"))
                    .help(format!("services of this workspace: {}", known.join(", "))));
            }
        }
        let mut blueprint = blueprint::draw(&survey, &config, &app, &wanted.wishes)?;
        let improvements = improvements(workspace, &survey, &blueprint, &config, &wanted.wishes);
        blueprint.findings.extend(improvements);
        let (target, start) = self.start_of(wanted, &config, target)?;
        let proof = target.as_ref().ok();
        if let Some(proof) = proof.filter(|_| wanted.through >= Through::Chart) {
            blueprint.monitoring.operator = self.world.cluster.monitor(proof).await?.types;
        }

        let mut written = render::dockerfiles(&blueprint, &survey)?;
        self.pin(workspace, &mut written, proof).await?;
        let (mut files, mut changes) = settle(&folders, written, wanted.on_conflict)?;
        let images = self.images(workspace, &blueprint, &files, proof).await?;
        let tags = images.iter().map(|(service, step)| (service.clone(), step.input.short().to_owned())).collect();
        if wanted.through >= Through::Chart {
            let told = self.persons_charts(workspace, &mut blueprint, &images, proof).await?;
            blueprint.findings.extend(told);
        }
        let options = render::ChartOptions { environments: wanted.environments.clone() };
        let (chart_files, chart_changes) = settle(&folders, render::charts(&blueprint, &options, &tags), wanted.on_conflict)?;
        files.extend(chart_files);
        changes.extend(chart_changes);

        let (namespace_ready, secrets_present, history) = match proof {
            Some(proof) => self.present(proof, &blueprint).await?,
            None => (false, BTreeMap::new(), History::default()),
        };
        let manifests = if wanted.through >= Through::Chart { self.manifests(workspace, &blueprint, &files, proof).await? } else { BTreeMap::new() };
        let releases =
            blueprint.workloads.iter().map(|workload| (workload.name.clone(), release_step(&workload.name, manifests.get(&workload.name), &history))).collect();

        let mut diff = String::new();
        let mut steps = BTreeMap::new();
        for (file, change) in files.iter().zip(&changes) {
            let before = std::fs::read_to_string(workspace.join(&file.path)).ok();
            let persons = change.by == crate::reply::By::Person;
            steps.insert(file.path.clone(), FileStep { before: before.as_ref().map(Digest::of), after: Digest::of(&file.text), persons });
            if before.as_deref() != Some(file.text.as_str()) {
                diff.push_str(&render::diff(&file.path, before.as_deref().unwrap_or_default(), &file.text));
            }
        }
        let addons = self.addons(wanted, &config, proof.map(|proof| &proof.profile), start.as_ref().map(|(profile, _)| profile)).await?;
        let now = self.world.clock.now();
        let plan = Plan {
            schema: 1,
            workspace: workspace.to_owned(),
            profile: match (&target, &start) {
                (Ok(proof), _) => Some(proof.profile.name.clone()),
                (Err(_), Some((profile, _))) => Some(profile.clone()),
                (Err(_), None) => wanted.profile.clone().or_else(|| config.cluster.profile.clone()),
            },
            fingerprint: proof.map(|proof| proof.fingerprint.clone()),
            through: wanted.through,
            on_refusal: wanted.on_refusal,
            base_revision: history.newest(),
            files: steps,
            images,
            releases,
            sources: wanted.wishes.secrets.clone(),
            build_secrets: wanted.build_secrets.clone(),
            start: start.map(|(_, spec)| spec),
            addons,
            namespace_ready,
            secrets_present,
            survey: survey.digest.clone(),
            created_at: now,
            expires_at: now + jiff::SignedDuration::from_secs(crate::plan::LIFE),
            blueprint: blueprint.clone(),
        };
        let mut findings = survey.findings.clone();
        findings.extend(blueprint.findings.iter().cloned());
        Ok(Draft { config, folders, survey, app, blueprint, files, changes, diff, plan, target, history, findings, manifests })
    }

    /// The proven target, where one is wanted.
    async fn wanted_target(&self, wanted: &Wanted, config: &Config) -> Result<Proof, Failure> {
        if !wanted.cluster {
            return Err(Failure::new(Code::NotSupported, "no cluster was looked at"));
        }
        let profile = self.profile(wanted.profile.as_ref(), config).await?;
        self.world.local.prove(&profile).await
    }

    /// A target that does not run is started where the caller wants that; anything else that is wrong with it stays a failure.
    #[expect(clippy::type_complexity, reason = "a target and what to start, used in one place")]
    fn start_of(
        &self,
        wanted: &Wanted,
        config: &Config,
        target: Result<Proof, Failure>,
    ) -> Result<(Result<Proof, Failure>, Option<(ProfileName, StartSpec)>), Failure> {
        let Err(failure) = &target else { return Ok((target, None)) };
        let startable = matches!(failure.code, Code::ClusterStopped | Code::ProfileNotFound);
        if !(wanted.start_cluster && startable) {
            return Ok((target, None));
        }
        let profile = wanted.profile.clone().or_else(|| config.cluster.profile.clone()).map_or_else(|| ProfileName::parse("minikube"), Ok)?;
        Ok((target, Some((profile, config.cluster.start.clone().unwrap_or_default()))))
    }

    /// The addons that are needed and off, of a proven profile or of one that is started first.
    async fn addons(&self, wanted: &Wanted, config: &Config, proven: Option<&Profile>, started: Option<&ProfileName>) -> Result<BTreeSet<String>, Failure> {
        let Some(profile) = proven.map(|profile| &profile.name).or(started) else { return Ok(BTreeSet::new()) };
        let registry = config.cluster.delivery == Delivery::Registry;
        if registry && proven.is_some_and(|profile| profile.runtime != Runtime::Docker) {
            return Err(Failure::new(
                Code::NotSupported,
                format!("profile {profile} has no docker runtime, with which alone images go through the registry addon"),
            )
            .help("remove delivery = \"registry\" from [cluster] of landfall.toml: images are then copied to the nodes"));
        }
        let measured = wanted.through >= Through::Deploy && config.cluster.metrics_server.unwrap_or(true);
        let needed = [(crate::plan::REGISTRY, registry), (crate::plan::METRICS_SERVER, measured)];
        let on = self.world.local.addons(profile).await?;
        Ok(needed.into_iter().filter(|(addon, needed)| *needed && !on.contains(*addon)).map(|(addon, _)| addon.to_owned()).collect())
    }

    /// Pins the bases of what we write: by the digest that the file on disk has for the same tag, else by the one that the target's engine knows.
    /// An image that was built or loaded there has none, and stays with its tag.
    async fn pin(&self, workspace: &Path, written: &mut [RenderedFile], proof: Option<&Proof>) -> Result<(), Failure> {
        let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
        for file in written.iter_mut() {
            let bases = render::bases(&file.text);
            let before = std::fs::read_to_string(workspace.join(&file.path)).ok().filter(|text| text.starts_with(crate::survey::OURS)).unwrap_or_default();
            let mut digests: BTreeMap<String, String> =
                render::bases(&before).iter().filter_map(|base| base.split_once('@')).map(|(base, digest)| (base.to_owned(), digest.to_owned())).collect();
            for base in bases.iter().filter(|base| !digests.contains_key(*base)).cloned().collect::<Vec<_>>() {
                let digest: Option<String> = match known.get(&base) {
                    Some(digest) => Option::clone(digest),
                    None => self.digest_of(&base, proof).await?,
                };
                known.insert(base.clone(), digest.clone());
                digests.extend(digest.map(|digest| (base, digest)));
            }
            file.text = render::pinned(&file.text, &digests);
        }
        Ok(())
    }

    /// The digest by which a registry knows an image that the target's engine has under this name.
    async fn digest_of(&self, base: &str, proof: Option<&Proof>) -> Result<Option<String>, Failure> {
        let (Some(proof), Ok(reference)) = (proof, ImageRef::parse(base)) else { return Ok(None) };
        match self.world.images.inspect(proof, &reference).await {
            Ok(facts) => Ok(facts.and_then(|facts| registry_digest(base, &facts.digests))),
            // An engine that is busy this moment must not make the same project look like another one.
            Err(failure) if failure.retryable => Err(failure),
            Err(_) => Ok(None),
        }
    }

    /// Input hash and tag of every image that is built, and whether the node has it.
    async fn images(
        &self,
        workspace: &Path,
        blueprint: &Blueprint,
        files: &[RenderedFile],
        proof: Option<&Proof>,
    ) -> Result<BTreeMap<ServiceName, ImageStep>, Failure> {
        let mut steps = BTreeMap::new();
        for workload in &blueprint.workloads {
            let ImagePlan::Built { repository, .. } = &workload.image else { continue };
            let source = build_source(workspace, &workload.image, files)?;
            let mut bases = BTreeMap::new();
            if let Some(proof) = proof {
                for base in base_images(&source.dockerfile) {
                    match self.world.images.inspect(proof, &base).await {
                        Ok(Some(facts)) => {
                            bases.insert(base.to_string(), facts.id);
                        }
                        Ok(None) => {}
                        // An engine that is busy this moment must not make the same sources look like other ones.
                        Err(failure) if failure.retryable => return Err(failure),
                        Err(_) => {}
                    }
                }
            }
            let input = source.input(&bases)?;
            let reference = ImageRef::parse(format!("{repository}:{}", input.short()))?;
            let present = match proof {
                Some(proof) => {
                    let nodes = self.world.images.on_nodes(proof, &reference).await.unwrap_or_default();
                    !nodes.is_empty() && nodes.iter().all(|node| node.id.is_some())
                }
                None => false,
            };
            steps.insert(workload.name.clone(), ImageStep { reference, input, bases, present });
        }
        Ok(steps)
    }

    /// What is in the namespace already.
    async fn present(&self, proof: &Proof, blueprint: &Blueprint) -> Result<(bool, BTreeMap<String, Vec<String>>, History), Failure> {
        let namespace = &blueprint.namespace;
        let Some(facts) = self.world.cluster.namespace(proof, namespace).await? else {
            return Ok((false, BTreeMap::new(), History::default()));
        };
        if facts.terminating {
            return Err(Failure::new(Code::ClusterRefused, format!("namespace {namespace} is being deleted")).help("wait until it is gone, then call again"));
        }
        let owner = facts.labels.get(labels::APP);
        if !facts.ours || owner.is_some_and(|owner| *owner != blueprint.app.as_str()) {
            let whose = owner.map_or_else(|| "was not made for this app".to_owned(), |owner| format!("belongs to the app {}", crate::secret::plain(owner, 63)));
            return Err(Failure::new(Code::NamespaceNotOurs, format!("namespace {namespace} exists and {whose}")).help(format!(
                "name another with \"namespace\", or label it yourself: kubectl label --overwrite namespace {namespace} {}=landfall {}={}",
                labels::MANAGED_BY,
                labels::APP,
                blueprint.app
            )));
        }
        let history = History { records: self.world.cluster.records(proof, namespace).await? };
        for workload in &blueprint.workloads {
            let release = workload.name.as_str();
            if history.current(release).is_some() && history.label(release, labels::APP) != Some(blueprint.app.as_str()) {
                return Err(Failure::new(
                    Code::ReleaseNotOurs,
                    format!("release {release} in namespace {namespace} was not installed by Landfall for {}", blueprint.app),
                )
                .help("choose another namespace, or uninstall that release yourself"));
            }
        }
        let mut present = BTreeMap::new();
        for secret in &blueprint.secrets {
            if let Some(keys) = self.world.cluster.secret_keys(proof, namespace, &secret.name).await? {
                present.insert(secret.name.clone(), keys);
            }
        }
        Ok((true, present, history))
    }

    /// Renders every release with helm from a folder of its own; empty where helm is missing.
    async fn manifests(
        &self,
        workspace: &Path,
        blueprint: &Blueprint,
        files: &[RenderedFile],
        proof: Option<&Proof>,
    ) -> Result<BTreeMap<ReleaseName, String>, Failure> {
        let scratch = Scratch::new(&self.setup.state)?;
        for file in files.iter().filter(|file| file.path.starts_with("deploy/")) {
            crate::files::write_private(&scratch.0.join(&file.path), file.text.as_bytes())?;
        }
        let version = proof.map(|proof| proof.profile.kubernetes_version.trim_start_matches('v').to_owned());
        let render = |workload: &Workload| {
            let (release, place) = (workload.name.clone(), chart_of(workload, &blueprint.environment));
            // What a person wrote is read where it lies; what we write lies in the scratch folder until it is approved.
            let here = |path: &String| if files.iter().any(|file| file.path == *path) { scratch.0.join(path) } else { workspace.join(path) };
            let chart = if workload.chart.is_some() { workspace.join(&place.folder) } else { scratch.0.join(&place.folder) };
            let values: Vec<PathBuf> = place.values.iter().map(here).collect();
            let version = version.clone();
            async move {
                let said = self.world.charts.template(&chart, &release, &blueprint.namespace, &values, version.as_deref()).await?;
                if said.ok {
                    return Ok((release, said.text));
                }
                Err(Failure::new(Code::RenderFailed, format!("chart of {release} does not render"))
                    .cause(said.text)
                    .help(format!("helm template {release} {} shows the place", place.folder)))
            }
        };
        let all = blueprint.workloads.iter().map(render);
        match futures::future::try_join_all(all).await {
            Ok(rendered) => Ok(rendered.into_iter().collect()),
            Err(failure) if failure.code == Code::ProgramMissing => Ok(BTreeMap::new()),
            Err(failure) => Err(failure),
        }
    }
}

/// Where a workload's chart lies and the values files that are laid over its own, in this order; all relative to the workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartPlace {
    pub folder: String,
    pub values: Vec<String>,
}

/// The chart that a workload is installed from: ours, or a person's with what brings the image into it.
pub fn chart_of(workload: &Workload, environment: &EnvironmentName) -> ChartPlace {
    match &workload.chart {
        Some(persons) => {
            let overlay = render::overlay(&workload.name, persons, environment).path;
            ChartPlace { folder: persons.folder.clone(), values: persons.values.iter().cloned().chain([overlay]).collect() }
        }
        None => {
            let folder = render::chart_folder(&workload.name);
            let values = vec![format!("{folder}/values-{environment}.yaml")];
            ChartPlace { folder, values }
        }
    }
}

/// Paths below a folder.
pub fn below(folder: &Path, paths: &[String]) -> Vec<PathBuf> {
    paths.iter().map(|path| folder.join(path)).collect()
}

/// What a build is made from.
#[derive(Clone, Debug)]
pub struct BuildSource {
    pub context: PathBuf,
    pub files: Vec<String>,
    pub dockerfile: String,
    pub build_args: BTreeMap<String, String>,
    /// Rendered files beside the Dockerfile that the build copies, by their path in the context: they may not be on disk yet.
    beside: Vec<(String, String)>,
}

impl BuildSource {
    /// The hash of all of it; the same before and after the rendered files are written.
    pub fn input(&self, bases: &BTreeMap<String, String>) -> Result<Digest, Failure> {
        let files: Vec<String> = self.files.iter().filter(|file| !self.beside.iter().any(|(path, _)| path == *file)).cloned().collect();
        let beside = self.beside.iter().map(|(path, text)| format!("\n# {path}\n{text}"));
        let recipe: String = std::iter::once(self.dockerfile.clone()).chain(beside).collect();
        crate::plan::image_input(&self.context, &files, &recipe, &self.build_args, bases)
    }
}

/// Finds a build's context files and Dockerfile text; rendered files count before what is on disk.
pub fn build_source(workspace: &Path, image: &ImagePlan, files: &[RenderedFile]) -> Result<BuildSource, Failure> {
    let ImagePlan::Built { context, dockerfile, build_args, .. } = image else {
        return Err(Failure::internal("a public image is not built"));
    };
    let text = |path: &str| {
        let rendered = files.iter().find(|file| file.path == path).map(|file| file.text.clone());
        rendered.or_else(|| std::fs::read_to_string(workspace.join(path)).ok())
    };
    let recipe = text(dockerfile).ok_or_else(|| Failure::new(Code::NotDeployable, format!("there is no {dockerfile}")).help("containerize writes it"))?;
    let root = workspace.join(context);
    let beside = if context == "." { ".dockerignore".to_owned() } else { format!("{context}/.dockerignore") };
    let ignore = text(&format!("{dockerfile}.dockerignore")).or_else(|| text(&beside)).unwrap_or_default();
    let rules = render::ignore_rules(&ignore)?;
    let folder = |path: &str| path.rsplit_once('/').map_or(String::new(), |(folder, _)| folder.to_owned());
    let inside = |path: &str| if context == "." { Some(path.to_owned()) } else { path.strip_prefix(context.as_str())?.strip_prefix('/').map(str::to_owned) };
    let neighbours = files.iter().filter(|file| folder(&file.path) == folder(dockerfile) && file.path != *dockerfile);
    let beside = neighbours.filter_map(|file| Some((inside(&file.path)?, file.text.clone()))).filter(|(path, _)| !rules.ignores(path)).collect();
    let files = render::context_files(&root, &ignore)?;
    Ok(BuildSource { context: root, files, dockerfile: recipe, build_args: build_args.clone(), beside })
}

/// The digest under the name that the base has, whatever form of Docker Hub's address stands before it.
fn registry_digest(base: &str, digests: &[String]) -> Option<String> {
    fn short(name: &str) -> &str {
        let name = name.strip_prefix("docker.io/").unwrap_or(name);
        name.strip_prefix("library/").unwrap_or(name)
    }
    let name = base.rsplit_once(':').map_or(base, |(name, _)| name);
    digests.iter().filter_map(|known| known.split_once('@')).find(|(known, _)| short(known) == short(name)).map(|(_, digest)| digest.to_owned())
}

/// What could be better about Dockerfiles that people wrote, each with the way to ours as a difference; the files stay as they are.
fn improvements(workspace: &Path, survey: &Survey, blueprint: &Blueprint, config: &Config, wishes: &blueprint::Wishes) -> Vec<Finding> {
    let mut findings = Vec::new();
    for workload in &blueprint.workloads {
        let ImagePlan::Built { dockerfile, persons: true, .. } = &workload.image else { continue };
        let Ok(theirs) = std::fs::read_to_string(workspace.join(dockerfile)) else { continue };
        let advice = render::advice(&theirs);
        if advice.is_empty() {
            continue;
        }
        let mut ours = survey.clone();
        for service in ours.services.iter_mut().filter(|service| service.name.as_str() == workload.name.as_str()) {
            service.dockerfile = None;
        }
        let written = blueprint::draw(&ours, config, &blueprint.app, wishes).and_then(|blueprint| render::dockerfiles(&blueprint, &ours)).unwrap_or_default();
        let folder = dockerfile.rsplit_once('/').map_or("", |(folder, _)| folder);
        let file =
            written.iter().find(|file| file.path.rsplit_once('/').map_or(("", file.path.as_str()), |pair| pair).0 == folder && !file.path.ends_with("ignore"));
        let root = advice.iter().any(|(rule, ..)| *rule == "root");
        findings.push(Finding {
            code: "DOCKERFILE_ADVICE".to_owned(),
            severity: if root { crate::evidence::Severity::Warning } else { crate::evidence::Severity::Note },
            message: format!(
                "{dockerfile} could be better: {}",
                advice.iter().map(|(_, line, text)| format!("line {line}: {text}")).collect::<Vec<_>>().join("; ")
            ),
            help: format!("the difference shows what Landfall would write; apply it, or remove {dockerfile} to have one written"),
            evidence: advice
                .iter()
                .map(|(_, line, _)| {
                    Place::new(dockerfile.clone(), u32::try_from(*line).unwrap_or(u32::MAX), theirs.lines().nth(line.saturating_sub(1)).unwrap_or_default())
                })
                .collect(),
            fix: file.filter(|file| file.path.contains("Dockerfile")).map(|file| render::diff(dockerfile, &theirs, &file.text)),
        });
    }
    findings
}

/// The images that a Dockerfile's stages begin from, names of earlier stages and variables left out.
pub fn base_images(dockerfile: &str) -> Vec<ImageRef> {
    let mut stages: Vec<String> = Vec::new();
    let mut bases = Vec::new();
    for line in dockerfile.lines() {
        let mut words = line.split_whitespace();
        if !words.next().is_some_and(|word| word.eq_ignore_ascii_case("from")) {
            continue;
        }
        let mut words = words.filter(|word| !word.starts_with("--"));
        let Some(image) = words.next() else { continue };
        if !stages.iter().any(|stage| stage == image)
            && let Ok(reference) = ImageRef::parse(image)
        {
            bases.push(reference);
        }
        if words.next().is_some_and(|word| word.eq_ignore_ascii_case("as"))
            && let Some(name) = words.next()
        {
            stages.push(name.to_owned());
        }
    }
    bases.dedup();
    bases
}

/// Decides file by file what shall stand in the workspace: ours, a person's, or a merge.
fn settle(folders: &Folders, mut rendered: Vec<RenderedFile>, on_conflict: OnConflict) -> Result<(Vec<RenderedFile>, Vec<FileChange>), Failure> {
    let lock = render::Lock::load(&folders.workspace)?;
    let compared = render::compare(&rendered, &folders.workspace, &folders.generated(), &lock)?;
    let mut changes = Vec::new();
    for (file, compared) in rendered.iter_mut().zip(compared) {
        let by = match compared.by {
            render::By::Landfall => By::Landfall,
            render::By::Person => By::Person,
        };
        let mut action = match compared.action {
            render::Action::Create => FileAction::Create,
            render::Action::Update => FileAction::Update,
            render::Action::Unchanged => FileAction::Unchanged,
            render::Action::Conflict => FileAction::Conflict,
        };
        let persons = by == By::Person && matches!(action, FileAction::Conflict | FileAction::Unchanged);
        if persons {
            let path = folders.workspace.join(&file.path);
            let theirs = std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
            match on_conflict {
                // The person's file stands; where it differs from ours the difference is shown.
                OnConflict::Replace => action = FileAction::Update,
                _ if action == FileAction::Unchanged => file.text = theirs,
                OnConflict::Stop => file.text = theirs,
                OnConflict::Keep => {
                    file.text = theirs;
                    action = FileAction::Unchanged;
                }
                OnConflict::Merge => {
                    let base = render::base(&folders.generated(), &file.path, &lock).unwrap_or_default();
                    file.text = render::three_way_merge(&base, &file.text, &theirs).map_err(|marked| {
                        Failure::new(Code::FileConflict, format!("{} cannot be merged", file.path))
                            .cause(crate::secret::plain(&marked, 400))
                            .help("choose \"on_conflict\": \"keep\" or \"replace\", or merge it by hand")
                    })?;
                    action = if file.text == theirs { FileAction::Unchanged } else { FileAction::Update };
                }
            }
        }
        changes.push(FileChange { path: compared.path, action, by, diff_uri: None });
    }
    Ok((rendered, changes))
}

fn release_step(release: &ReleaseName, manifest: Option<&String>, history: &History) -> ReleaseStep {
    let manifest = manifest.map(Digest::of);
    let current = history.current(release.as_str());
    let recorded = history.label(release.as_str(), labels::MANIFEST);
    let deployed = history.label(release.as_str(), "status") == Some("deployed");
    let verified_now = current.is_some_and(|current| history.is_verified(release.as_str(), current));
    let unchanged = deployed && verified_now && manifest.as_ref().is_some_and(|manifest| recorded == Some(manifest.short()));
    ReleaseStep { manifest, current, verified: history.verified(release.as_str(), None), unchanged }
}

fn nothing(survey: &Survey, workspace: &Path) -> Failure {
    let mut failure = Failure::new(Code::NothingToDeploy, format!("{} holds nothing that can be deployed", workspace.display()))
        .help("name the folder that holds a service's manifest (package.json, pyproject.toml, requirements.txt, go.mod, …), or call analyze_project to see what was passed over");
    for finding in survey.findings.iter().take(5) {
        failure = failure.cause(&finding.message);
    }
    failure
}

/// The namespace that a call is about, without drawing a blueprint.
pub fn namespace_of(asked: Option<&Namespace>, config: &Config, app: &AppName) -> Result<Namespace, Failure> {
    match asked.or(config.app.namespace.as_ref()) {
        Some(namespace) => Ok(namespace.clone()),
        None => Namespace::parse(app.as_str()),
    }
}

/// A folder under the state folder that goes away with the value.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A fresh, private folder.
    pub fn new(state: &Path) -> Result<Self, Failure> {
        let path = state.join("scratch").join(crate::secret::noise::<8>()?);
        crate::files::private_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rendered_file_counts_the_same_before_and_after_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("site")).unwrap();
        std::fs::write(folder.path().join("site/index.html"), "<p>").unwrap();
        let image = ImagePlan::Built {
            repository: "localhost/a/site".to_owned(),
            context: "site".to_owned(),
            dockerfile: "site/Dockerfile".to_owned(),
            persons: false,
            build_args: BTreeMap::new(),
            secrets: Vec::new(),
        };
        let rendered = |text: &str| {
            let file = |name: &str, text: &str| RenderedFile::new(format!("site/{name}"), text.to_owned());
            vec![file("Dockerfile", "FROM nginx:stable\n"), file("Dockerfile.dockerignore", "Dockerfile*\n"), file("nginx.site.conf", text)]
        };
        let input = |text: &str| build_source(folder.path(), &image, &rendered(text)).unwrap().input(&BTreeMap::new()).unwrap();
        let before = input("listen 8080;");
        for file in rendered("listen 8080;") {
            std::fs::write(folder.path().join(&file.path), &file.text).unwrap();
        }
        assert_eq!(input("listen 8080;"), before);
        assert_ne!(input("listen 9090;"), before);
    }

    fn history(rows: &[(&str, u32, &str, Option<u32>)]) -> History {
        let mut records: BTreeMap<String, BTreeMap<u32, BTreeMap<String, String>>> = BTreeMap::new();
        for (release, revision, app_revision, verified) in rows {
            let mut labels = BTreeMap::from([(labels::APP_REVISION.to_owned(), (*app_revision).to_owned())]);
            if let Some(verified) = verified {
                labels.insert(labels::VERIFIED.to_owned(), verified.to_string());
            }
            records.entry((*release).to_owned()).or_default().insert(*revision, labels);
        }
        History { records }
    }

    #[test]
    fn an_inherited_label_does_not_verify() {
        let history = history(&[("a", 1, "1", Some(1)), ("a", 2, "2", Some(1)), ("b", 1, "1", None)]);
        assert_eq!(history.current("a"), Some(Revision(2)));
        assert_eq!(history.verified("a", None), Some(Revision(1)));
        assert_eq!(history.verified("b", None), None);
        assert_eq!(history.newest(), 2);
    }

    #[test]
    fn an_app_revision_is_rebuilt_from_labels() {
        let history = history(&[("a", 1, "1", None), ("a", 2, "3", None), ("b", 1, "1", None), ("c", 1, "2", None)]);
        let at = |n| history.at(n).into_iter().map(|(name, revision)| format!("{name}{revision}")).collect::<Vec<_>>();
        assert_eq!(at(1), ["a1", "b1"]);
        assert_eq!(at(2), ["a1", "b1", "c1"]);
        assert_eq!(at(3), ["a2", "b1", "c1"]);
    }

    #[test]
    fn a_base_has_the_digest_of_its_own_name() {
        let digest = |name: &str| format!("{name}@sha256:{}", "5f".repeat(32));
        let check = |base: &str, known: &str, found: bool| {
            let seen = registry_digest(base, &[digest("other"), digest(known)]);
            assert_eq!(seen.as_deref(), found.then_some(&*format!("sha256:{}", "5f".repeat(32))), "{base} {known}");
        };
        check("python:3.13-slim", "python", true);
        check("python:3.13-slim", "docker.io/library/python", true);
        check("oven/bun:1-slim", "oven/bun", true);
        check("python:3.13-slim", "mirror.example/python", false);
        check("python:3.13-slim", "cpython", false);
    }

    #[test]
    fn stages_are_not_bases() {
        let text = "FROM --platform=linux/amd64 node:22-slim AS deps\nFROM deps AS build\nfrom python:3.13-slim\nFROM scratch\nFROM ${BASE}\n";
        assert_eq!(base_images(text).iter().map(ImageRef::to_string).collect::<Vec<_>>(), ["node:22-slim", "python:3.13-slim"]);
    }
}
