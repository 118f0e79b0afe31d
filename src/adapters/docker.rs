//! Images: built in the node's own engine where it has one, else in this machine's and carried over; every claim is asked of the engine that holds the image.

mod build;
mod causes;
mod deliver;
mod layers;
mod registry;
mod trial;

use crate::adapters::engine::{self, Engine};
use crate::adapters::minikube::Surroundings;
use crate::adapters::proof;
use crate::failure::{Code, Failure};
use crate::names::ImageRef;
use crate::ports::{BuildRequest, ImageFacts, Images, Layer, NodeImage, Progress, Proof, Published, Runtime, Started, TryStart};
use crate::secret::Secret;
use bollard::errors::Error;
use bollard::query_parameters::RemoveImageOptions;
use std::path::PathBuf;
use std::time::Duration;

/// How long a question to an engine may take.
const ASK: Duration = Duration::from_secs(20);

/// The engines of this machine and of the profile's nodes.
#[derive(Clone, Debug)]
pub struct DockerImages {
    around: Surroundings,
}

impl DockerImages {
    /// The engines as the environment names them; `state` is the user's own state folder of ours.
    pub fn new(state: PathBuf) -> Self {
        Self { around: Surroundings::read(state) }
    }

    /// The engines in given surroundings.
    pub fn with(around: Surroundings) -> Self {
        Self { around }
    }

    /// The engine that builds: the first control plane's own with the docker runtime, else this machine's. Never cached: ports change when a node restarts.
    pub(crate) async fn builder(&self, at: &Proof) -> Result<Engine, Failure> {
        match at.profile.runtime {
            Runtime::Docker => {
                let node = at.profile.nodes.iter().find(|node| node.control_plane).ok_or_else(|| Failure::internal("the profile has no control plane"))?;
                Engine::node(&self.around, &at.profile, node).await
            }
            Runtime::Containerd | Runtime::CriO => Engine::host_of(&self.around, &at.profile).await.map(|(engine, _)| engine),
        }
    }
}

/// What an engine says of an image; None where it does not have the reference.
async fn facts(engine: &Engine, reference: &str) -> Result<Option<ImageFacts>, Failure> {
    let doing = || format!("inspect the image {reference}");
    let image = match bounded(&doing(), ASK, engine.docker().inspect_image(reference)).await? {
        Ok(image) => image,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(refused(&doing(), engine, &error)),
    };
    let history = match bounded(&doing(), ASK, engine.docker().image_history(reference)).await? {
        Ok(history) => history,
        // Removed between the two questions.
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(refused(&doing(), engine, &error)),
    };
    let config = image.config.unwrap_or_default();
    let digests = image.repo_digests.unwrap_or_default();
    Ok(Some(ImageFacts {
        id: image.id.unwrap_or_default(),
        size_bytes: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        user: config.user.unwrap_or_default(),
        env: config.env.unwrap_or_default(),
        entrypoint: config.entrypoint.unwrap_or_default(),
        command: config.cmd.unwrap_or_default(),
        working_dir: config.working_dir.unwrap_or_default(),
        architecture: image.architecture.unwrap_or_default(),
        layers: history.into_iter().map(|item| Layer { created_by: item.created_by, size_bytes: u64::try_from(item.size).unwrap_or_default() }).collect(),
        digests,
    }))
}

/// Waits for an engine, and says which question was not answered in time.
async fn bounded<T>(doing: &str, limit: Duration, work: impl Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(limit, work).await.map_err(|_| {
        Failure::new(Code::EngineUnreachable, format!("{doing}: the engine did not answer within {} s", limit.as_secs()))
            .help("see whether 'docker version' answers, then call again")
    })
}

fn is_absent(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// An engine's refusal or silence as a failure.
fn refused(doing: &str, engine: &Engine, error: &Error) -> Failure {
    let text = engine::chain(error);
    let code = match error {
        _ if text.contains("no space left on device") => Code::DiskFull,
        Error::DockerResponseServerError { .. } | Error::DockerStreamError { .. } => Code::ProgramFailed,
        _ => Code::EngineUnreachable,
    };
    let help =
        if code == Code::DiskFull { "free space: docker system prune" } else { "see whether the container engine answers ('docker version'), then call again" };
    Failure::new(code, format!("{doing} at {}", engine.address())).cause(text).help(help)
}

#[async_trait::async_trait]
impl Images for DockerImages {
    async fn build(&self, at: &Proof, request: &BuildRequest, progress: &dyn Progress) -> Result<ImageFacts, Failure> {
        let at = proof::again(&self.around, at).await?;
        build::build(&self.builder(&at).await?, request, progress).await
    }

    async fn inspect(&self, at: &Proof, reference: &ImageRef) -> Result<Option<ImageFacts>, Failure> {
        facts(&self.builder(at).await?, reference.as_str()).await
    }

    async fn deliver(&self, at: &Proof, reference: &ImageRef, id: &str, progress: &dyn Progress) -> Result<String, Failure> {
        let at = proof::again(&self.around, at).await?;
        self.carry(&at, reference, id, progress).await
    }

    async fn publish(&self, at: &Proof, reference: &ImageRef, progress: &dyn Progress) -> Result<Published, Failure> {
        let at = proof::again(&self.around, at).await?;
        self.push_and_pull(&at, reference, progress).await
    }

    async fn on_nodes(&self, at: &Proof, reference: &ImageRef) -> Result<Vec<NodeImage>, Failure> {
        self.seen_on_nodes(at, reference).await
    }

    async fn try_start(&self, at: &Proof, request: &TryStart) -> Result<Started, Failure> {
        trial::try_start(&self.builder(at).await?, request).await
    }

    async fn secrets_in_layers(&self, at: &Proof, reference: &ImageRef) -> Result<Vec<String>, Failure> {
        let engine = self.builder(at).await?;
        let missing =
            || Failure::new(Code::ProgramFailed, format!("scan the layers of {reference}: the engine does not have it")).help("build the image first");
        let facts = facts(&engine, reference.as_str()).await?.ok_or_else(missing)?;
        layers::scan(&engine, reference, &facts).await
    }

    async fn first_environment(&self, at: &Proof, node: &str, container_id: &str) -> Result<Secret, Failure> {
        let node = at.profile.nodes.iter().find(|one| one.name == node).ok_or_else(|| Failure::internal(format!("the profile has no node {node}")))?;
        self.environment_in(at, node, container_id).await
    }

    async fn untag(&self, at: &Proof, reference: &ImageRef) -> Result<(), Failure> {
        let at = proof::again(&self.around, at).await?;
        let engine = self.builder(&at).await?;
        let doing = format!("untag {reference}");
        match bounded(&doing, ASK, engine.docker().remove_image(reference.as_str(), None::<RemoveImageOptions>, None)).await? {
            Ok(_) => {}
            Err(error) if is_absent(&error) => {}
            // Held by a container: the tag stays, and this is said.
            Err(error) => return Err(refused(&doing, &engine, &error)),
        }
        self.untag_on_nodes(&at, reference).await
    }
}
