//! minikube's registry addon as the way to the nodes: an image is pushed once, and every node pulls it by digest; what a node then has is asked of the node.

use super::deliver::COPY;
use super::{ASK, DockerImages, bounded, facts, refused};
use crate::adapters::engine::Engine;
use crate::failure::{Code, Failure};
use crate::names::ImageRef;
use crate::ports::{Node, Progress, Proof, Published, Runtime};
use crate::secret::plain;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures::{Stream, StreamExt as _};

impl DockerImages {
    /// Pushes from the engine of the first control plane, which built the image; of containerd and cri-o no node has an engine that does.
    pub(super) async fn push_and_pull(&self, at: &Proof, reference: &ImageRef, progress: &dyn Progress) -> Result<Published, Failure> {
        if at.profile.runtime != Runtime::Docker {
            return Err(Failure::new(Code::NotSupported, "images go through the registry addon with the docker runtime alone"));
        }
        progress.note(&format!("pushing {reference} to the registry addon"));
        let digest = push(&self.builder(at).await?, reference).await.map_err(|failure| {
            failure.help(format!(
                "see whether the addon's pods run: kubectl --context {} -n kube-system get pods -l kubernetes.io/minikube-addons=registry",
                at.profile.name
            ))
        })?;
        progress.note(&format!("every node pulls {reference} by its digest"));
        let pulls = at.profile.nodes.iter().map(async |node| {
            let pulled = self.pull(at, node, reference, &digest).await;
            (node.name.clone(), pulled.map_err(|failure| plain(&failure.causes.iter().fold(failure.to_string(), |all, cause| format!("{all}: {cause}")), 300)))
        });
        let pulled = futures::future::join_all(pulls).await.into_iter().collect();
        Ok(Published { digest, pulled })
    }

    /// The id of what the node's own engine pulled. The tag follows, so that the image is found by it as well.
    async fn pull(&self, at: &Proof, node: &Node, reference: &ImageRef, digest: &str) -> Result<String, Failure> {
        let engine = Engine::node(&self.around, &at.profile, node).await?;
        let (repository, tag) = (reference.repository(), reference.tag());
        let by_digest = format!("{repository}@{digest}");
        let doing = format!("pull {by_digest} to {}", node.name);
        let options = CreateImageOptionsBuilder::default().from_image(repository).tag(digest).build();
        drained(&doing, &engine, engine.docker().create_image(Some(options), None, None)).await?;
        let absent = || Failure::new(Code::ProgramFailed, format!("{doing}: the engine does not show it"));
        let pulled = facts(&engine, &by_digest).await?.ok_or_else(absent)?.id;
        if facts(&engine, reference.as_str()).await?.is_none_or(|there| there.id != pulled) {
            let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
            bounded(&doing, ASK, engine.docker().tag_image(&by_digest, Some(options))).await?.map_err(|error| refused(&doing, &engine, &error))?;
        }
        Ok(pulled)
    }
}

/// Pushes, and asks the registry for the digest under which it has the image now.
async fn push(engine: &Engine, reference: &ImageRef) -> Result<String, Failure> {
    let doing = format!("push {reference}");
    let (repository, tag) = (reference.repository(), reference.tag());
    let options = PushImageOptionsBuilder::default().tag(tag).build();
    drained(&doing, engine, engine.docker().push_image(repository, Some(options), None)).await?;
    let seen = bounded(&doing, ASK, engine.docker().inspect_registry_image(reference.as_str(), None)).await?;
    let descriptor = seen.map_err(|error| refused(&doing, engine, &error))?.descriptor;
    descriptor.digest.ok_or_else(|| Failure::new(Code::ProgramFailed, format!("{doing}: the registry tells no digest")))
}

/// Hears a stream to its end: errors come late.
async fn drained<T>(doing: &str, engine: &Engine, stream: impl Stream<Item = Result<T, bollard::errors::Error>>) -> Result<(), Failure> {
    let mut stream = std::pin::pin!(stream);
    let hearing = async {
        while let Some(item) = stream.next().await {
            item.map_err(|error| refused(doing, engine, &error))?;
        }
        Ok(())
    };
    bounded(doing, COPY, hearing).await?
}
