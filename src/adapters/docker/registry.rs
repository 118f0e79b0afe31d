//! minikube's registry addon as the way to the nodes: an image is pushed once, and every node pulls it by digest; what a node then has is asked of the node.

use super::deliver::{COPY, canonical, same};
use super::{ASK, DockerImages, bounded, facts, refused};
use crate::adapters::engine::Engine;
use crate::failure::{Code, Failure};
use crate::names::ImageRef;
use crate::ports::{Node, Progress, Proof, Published, Runtime};
use crate::secret::plain;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder, TagImageOptionsBuilder};
use futures::{Stream, StreamExt as _};
use serde::Deserialize;

/// `crictl inspecti -o json`, the part that we need.
#[derive(Debug, Deserialize)]
struct Pulled {
    status: PulledStatus,
}

#[derive(Debug, Deserialize)]
struct PulledStatus {
    id: String,
}

impl DockerImages {
    /// Pushes from the engine that built the image, or from the first control plane where the nodes have no such engine.
    pub(super) async fn push_and_pull(&self, at: &Proof, reference: &ImageRef, id: &str, progress: &dyn Progress) -> Result<Published, Failure> {
        let builder = self.builder(at).await?;
        progress.note(&format!("pushing {reference} to the registry addon"));
        let pushed = match at.profile.runtime {
            Runtime::Docker => push(&builder, reference).await,
            Runtime::Containerd => self.push_from_node(at, &builder, reference, id, progress).await,
            Runtime::CriO => Err(Failure::new(Code::NotSupported, "a profile that runs cri-o is not delivered to through the registry addon")),
        };
        let digest = pushed.map_err(|failure| {
            failure.help(format!("see whether the addon's pods run: kubectl -n kube-system get pods -l kubernetes.io/minikube-addons=registry --context {0}; minikube addons enable registry -p {0}", at.profile.name))
        })?;
        progress.note(&format!("every node pulls {reference} by its digest"));
        let pulls = at.profile.nodes.iter().map(async |node| {
            let pulled = match at.profile.runtime {
                Runtime::Docker => self.pull(at, node, reference, &digest).await,
                Runtime::Containerd | Runtime::CriO => self.pull_in_node(at, node, reference, &digest).await,
            };
            (node.name.clone(), pulled.map_err(|failure| plain(&failure.causes.iter().fold(failure.to_string(), |all, cause| format!("{all}: {cause}")), 300)))
        });
        let pulled = futures::future::join_all(pulls).await.into_iter().collect();
        Ok(Published { digest, pulled })
    }

    /// The id of what the node's own engine pulled. The tag follows, so that the image is found by it as well.
    async fn pull(&self, at: &Proof, node: &Node, reference: &ImageRef, digest: &str) -> Result<String, Failure> {
        let engine = Engine::node(&self.around, &at.profile, node).await?;
        let (repository, tag) = parts(reference);
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

    /// As `push`, by the tools of containerd.
    async fn push_from_node(&self, at: &Proof, builder: &Engine, reference: &ImageRef, id: &str, progress: &dyn Progress) -> Result<String, Failure> {
        let node = at.profile.nodes.iter().find(|node| node.control_plane).ok_or_else(|| Failure::internal("the profile has no control plane"))?;
        if self.lacking(at, reference, id).await?.contains(node) {
            let built = facts(builder, reference.as_str()).await?.filter(|facts| same(&facts.id, id));
            let built = built.ok_or_else(|| Failure::new(Code::ProgramFailed, format!("push {reference}: the building engine does not have it")))?;
            self.copy(at, builder, reference, &built, node, progress).await?;
        }
        let name = canonical(reference.as_str());
        self.told(at, node, &["ctr", "-n", "k8s.io", "images", "push", "--plain-http", &name]).await?;
        let listed = self.told(at, node, &["ctr", "-n", "k8s.io", "images", "ls", &format!("name=={name}")]).await?;
        digest_of(&listed, &name).ok_or_else(|| Failure::new(Code::ProgramFailed, format!("push {reference}: containerd shows no digest of it")))
    }

    async fn pull_in_node(&self, at: &Proof, node: &Node, reference: &ImageRef, digest: &str) -> Result<String, Failure> {
        let by_digest = format!("{}@{digest}", parts(reference).0);
        self.told(at, node, &["crictl", "pull", &by_digest]).await?;
        let shown = self.told(at, node, &["crictl", "inspecti", "-o", "json", &by_digest]).await?;
        let pulled: Pulled =
            serde_json::from_str(&shown).map_err(|error| Failure::new(Code::ProgramFailed, format!("look at {by_digest} in {}", node.name)).cause(error))?;
        self.told(at, node, &["ctr", "-n", "k8s.io", "images", "tag", "--force", &by_digest, &canonical(reference.as_str())]).await?;
        self.as_built(at, node, reference, &pulled.status.id).await
    }

    /// What a command in a node prints; an error where it ends otherwise than with 0.
    async fn told(&self, at: &Proof, node: &Node, command: &[&str]) -> Result<String, Failure> {
        let answered = self.in_node_within(at, node, command, COPY).await?;
        match answered.code {
            0 => Ok(answered.stdout),
            code => Err(Failure::new(Code::ProgramFailed, format!("run {} in the node {}: exit code {code}", command.join(" "), node.name))
                .cause(plain(&answered.stderr, 400))),
        }
    }
}

/// Pushes, and asks the registry for the digest under which it has the image now.
async fn push(engine: &Engine, reference: &ImageRef) -> Result<String, Failure> {
    let doing = format!("push {reference}");
    let (repository, tag) = parts(reference);
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

fn parts(reference: &ImageRef) -> (&str, &str) {
    reference.as_str().rsplit_once(':').unwrap_or((reference.as_str(), "latest"))
}

/// The digest in the line of `ctr images ls` that begins with this name.
fn digest_of(listed: &str, name: &str) -> Option<String> {
    let line = listed.lines().find(|line| line.split_whitespace().next() == Some(name))?;
    line.split_whitespace().find(|word| word.starts_with("sha256:")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_an_image_is_read_from_its_own_line() {
        let digest = |letter: &str| format!("sha256:{}", letter.repeat(64));
        let line = |name: &str, letter: &str| {
            format!("{name} application/vnd.docker.distribution.manifest.v2+json {} 3.2 MiB linux/amd64 io.cri-containerd.image=managed\n", digest(letter))
        };
        let listed = format!("REF TYPE DIGEST SIZE PLATFORMS LABELS\n{}{}", line("localhost:5000/a/b:10", "0"), line("localhost:5000/a/b:1", "1"));
        assert_eq!(digest_of(&listed, "localhost:5000/a/b:1"), Some(digest("1")));
        assert_eq!(digest_of(&listed, "localhost:5000/a/b:2"), None);
    }

    #[test]
    fn a_port_is_no_tag() {
        let check = |reference: &str, expect| assert_eq!(parts(&ImageRef::parse(reference).unwrap()), expect);
        check("localhost:5000/todo/api:0a1b", ("localhost:5000/todo/api", "0a1b"));
    }
}
