//! Carrying an image to the nodes that lack it, and asking each node which image it has; a copy counts only once the node shows the id.

use super::{ASK, DockerImages, bounded, facts, refused};
use crate::adapters::engine::{Engine, chain};
use crate::adapters::minikube::in_containers;
use crate::failure::{Code, Failure};
use crate::names::ImageRef;
use crate::ports::{ImageFacts, Node, NodeImage, Progress, Proof, Runtime};
use crate::secret::{Secret, plain, shell_word};
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::query_parameters::ImportImageOptions;
use futures::StreamExt as _;
use serde::Deserialize;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;

/// How long the copy of one image to one node may take.
pub(super) const COPY: Duration = Duration::from_secs(15 * 60);

/// `crictl images -o json`, the part that we need.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(default)]
    images: Vec<ListedImage>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedImage {
    id: String,
    #[serde(default)]
    repo_tags: Vec<String>,
}

/// `crictl inspecti -o json`, the part that we need.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Inspected {
    info: InspectedInfo,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InspectedInfo {
    image_spec: ImageSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ImageSpec {
    architecture: String,
    rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// What a command in a node did.
struct Answered {
    code: i64,
    stdout: String,
    stderr: String,
}

impl DockerImages {
    /// Brings the image to every node that does not show this id.
    pub(super) async fn carry(&self, at: &Proof, reference: &ImageRef, id: &str, progress: &dyn Progress) -> Result<String, Failure> {
        let builder = self.builder(at).await?;
        let facts = facts(&builder, reference.as_str()).await?.filter(|facts| same(&facts.id, id));
        let facts = facts.ok_or_else(|| {
            Failure::new(Code::ProgramFailed, format!("deliver {reference}: the building engine does not have {}", plain(id, 80)))
                .help("build the image again, then call again")
        })?;
        let missing: Vec<Node> = self.lacking(at, reference, id).await?;
        if missing.is_empty() {
            return Ok(match at.profile.runtime {
                Runtime::Docker if at.profile.nodes.len() == 1 => "built in the node's own engine: there already".to_owned(),
                _ => "on every node already".to_owned(),
            });
        }
        for node in &missing {
            progress.note(&format!("copying {reference} to {}: {} MB", node.name, facts.size_bytes / 1_000_000));
            let copied = tokio::time::timeout(COPY, self.copy(at, &builder, reference, &facts, node, progress)).await;
            copied.map_err(|_| {
                Failure::new(Code::Deadline, format!("copy {reference} to {} did not end within {} s", node.name, COPY.as_secs())).help("call again")
            })??;
        }
        let still = self.lacking(at, reference, id).await?;
        if still.is_empty() {
            let names: Vec<&str> = missing.iter().map(|node| node.name.as_str()).collect();
            return Ok(format!("copied to {} ({} MB)", names.join(", "), facts.size_bytes / 1_000_000));
        }
        let names: Vec<&str> = still.iter().map(|node| node.name.as_str()).collect();
        Err(Failure::new(Code::ProgramFailed, format!("{reference} was copied, and {} still shows no image with its id", names.join(", ")))
            .cause(format!("expected {id}"))
            .help(format!("see 'minikube ssh -p {} -- sudo crictl images'", at.profile.name)))
    }

    /// The nodes that do not show this id under the reference.
    async fn lacking(&self, at: &Proof, reference: &ImageRef, id: &str) -> Result<Vec<Node>, Failure> {
        let seen = self.seen_on_nodes(at, reference).await?;
        let lacks = |node: &&Node| !seen.iter().any(|image| image.node == node.name && image.id.as_deref().is_some_and(|seen| same(seen, id)));
        Ok(at.profile.nodes.iter().filter(lacks).cloned().collect())
    }

    /// The id of the reference on each node, asked of the node.
    pub(super) async fn seen_on_nodes(&self, at: &Proof, reference: &ImageRef) -> Result<Vec<NodeImage>, Failure> {
        let looks = at.profile.nodes.iter().map(|node| self.seen_on(at, node, reference));
        futures::future::join_all(looks).await.into_iter().collect()
    }

    async fn seen_on(&self, at: &Proof, node: &Node, reference: &ImageRef) -> Result<NodeImage, Failure> {
        let id = match at.profile.runtime {
            Runtime::Docker => {
                let engine = Engine::node(&self.around, &at.profile, node).await?;
                facts(&engine, reference.as_str()).await?.map(|facts| facts.id)
            }
            Runtime::Containerd | Runtime::CriO => self.seen_by_crictl(at, node, reference).await?,
        };
        Ok(NodeImage { node: node.name.clone(), id })
    }

    async fn seen_by_crictl(&self, at: &Proof, node: &Node, reference: &ImageRef) -> Result<Option<String>, Failure> {
        let listed: Listed = self.in_node_json(at, node, &["crictl", "images", "-o", "json"]).await?;
        let wanted = canonical(reference.as_str());
        let Some(found) = listed.images.iter().find(|image| image.repo_tags.iter().any(|tag| canonical(tag) == wanted)) else { return Ok(None) };
        let id = format!("sha256:{}", found.id.trim_start_matches("sha256:"));
        // An engine with containerd's image store calls an image by its manifest, the node by its configuration: then the layers tell.
        let builder = self.builder(at).await?;
        let Ok(Ok(built)) = tokio::time::timeout(ASK, builder.docker().inspect_image(reference.as_str())).await else { return Ok(Some(id)) };
        let built_id = built.id.unwrap_or_default();
        if same(&built_id, &id) {
            return Ok(Some(built_id));
        }
        let inspected: Inspected = self.in_node_json(at, node, &["crictl", "inspecti", "-o", "json", found.id.as_str()]).await?;
        let layers = built.root_fs.and_then(|root| root.layers).unwrap_or_default();
        let equal = !layers.is_empty()
            && layers == inspected.info.image_spec.rootfs.diff_ids
            && built.architecture.unwrap_or_default() == inspected.info.image_spec.architecture;
        Ok(Some(if equal { built_id } else { id }))
    }

    /// Removes a reference from nodes that have a store of their own.
    pub(super) async fn untag_on_nodes(&self, at: &Proof, reference: &ImageRef) -> Result<(), Failure> {
        let name = canonical(reference.as_str());
        for node in &at.profile.nodes {
            match at.profile.runtime {
                Runtime::Docker if node.control_plane => {}
                Runtime::Docker => {
                    let engine = Engine::node(&self.around, &at.profile, node).await?;
                    let removed =
                        bounded("untag", ASK, engine.docker().remove_image(reference.as_str(), None::<bollard::query_parameters::RemoveImageOptions>, None))
                            .await?;
                    removed
                        .map(|_| ())
                        .or_else(|error| if super::is_absent(&error) { Ok(()) } else { Err(refused(&format!("untag {reference}"), &engine, &error)) })?;
                }
                // By name: crictl would remove the image with all its names. An absent name is no error for ctr.
                Runtime::Containerd => drop(self.in_node(at, node, &["ctr", "-n", "k8s.io", "images", "rm", &name]).await?),
                Runtime::CriO => drop(self.in_node(at, node, &["podman", "untag", &name]).await?),
            }
        }
        Ok(())
    }

    async fn copy(&self, at: &Proof, from: &Engine, reference: &ImageRef, facts: &ImageFacts, node: &Node, progress: &dyn Progress) -> Result<(), Failure> {
        match at.profile.runtime {
            Runtime::Docker => import(from, &Engine::node(&self.around, &at.profile, node).await?, reference).await,
            Runtime::Containerd | Runtime::CriO if in_containers(&at.profile.driver) => {
                let command: &[&str] = match at.profile.runtime {
                    Runtime::CriO => &["podman", "load", "-q"],
                    _ => &["ctr", "-n", "k8s.io", "images", "import", "-"],
                };
                let answered = pour(from, reference, node, command, facts.size_bytes, progress).await?;
                if answered.code == 0 {
                    return Ok(());
                }
                Err(Failure::new(Code::ProgramFailed, format!("import {reference} into {}: exit code {}", node.name, answered.code))
                    .cause(plain(&answered.stderr, 400))
                    .help(format!("see 'minikube ssh -p {} -- df -h /var', then call again", at.profile.name)))
            }
            Runtime::Containerd | Runtime::CriO => self.load_archive(at, from, reference).await,
        }
    }

    /// Through minikube: an archive in our own folder, by its absolute path, so that no registry is asked for the name.
    async fn load_archive(&self, at: &Proof, from: &Engine, reference: &ImageRef) -> Result<(), Failure> {
        let archive = super::super::scanner::archive(&self.around.state, from, reference).await?;
        let run = self.around.minikube(&at.kubeconfig).args(["image", "load", "-p", at.profile.name.as_str()]).arg(archive.path()).deadline(COPY);
        // minikube ends with 0 on failure as well: the caller looks at the node.
        run.output().await.map(|_| ())
    }

    pub(super) async fn environment_in(&self, at: &Proof, node: &Node, container_id: &str) -> Result<Secret, Failure> {
        let id = hex_id(container_id).ok_or_else(|| Failure::internal("a container's id is not hexadecimal"))?;
        let read = self.in_node(at, node, &["sh", "-c", FIRST_ENVIRONMENT, "sh", id]).await?;
        match read.code {
            0 => Ok(Secret::new(read.stdout)),
            code => Err(Failure::new(
                Code::NotSupported,
                format!("read the environment of a container's first process in the node {}: exit code {code}", node.name),
            )
            .cause(plain(&read.stderr, 200))),
        }
    }

    async fn in_node_json<T: serde::de::DeserializeOwned>(&self, at: &Proof, node: &Node, command: &[&str]) -> Result<T, Failure> {
        let answered = self.in_node(at, node, command).await?;
        let doing = || format!("run {} in the node {}", command.join(" "), node.name);
        if answered.code != 0 {
            return Err(Failure::new(Code::ProgramFailed, format!("{}: exit code {}", doing(), answered.code))
                .cause(plain(&answered.stderr, 400))
                .help(format!("run 'minikube status -p {}'", at.profile.name)));
        }
        serde_json::from_str(&answered.stdout)
            .map_err(|error| Failure::new(Code::ProgramFailed, doing()).cause(format!("not the JSON that was expected: {error}")))
    }

    /// Runs a command in a node: through the engine where the node is a container, else through `minikube ssh`.
    async fn in_node(&self, at: &Proof, node: &Node, command: &[&str]) -> Result<Answered, Failure> {
        if in_containers(&at.profile.driver) {
            let (host, _) = Engine::host_of(&self.around, &at.profile).await?;
            return bounded(&format!("run {} in the node {}", command.join(" "), node.name), ASK, run_in(&host, &node.name, command)).await?;
        }
        // The node's shell reads the words once more.
        let words = command.iter().map(|word| shell_word(word));
        let run = self.around.minikube(&at.kubeconfig).args(["ssh", "-p", at.profile.name.as_str(), "-n", &node.name, "--", "sudo"]).args(words).deadline(ASK);
        run.output().await.map(|ran| Answered { code: ran.code.map_or(-1, i64::from), stdout: ran.stdout, stderr: ran.stderr })
    }
}

/// The process of a container that is the first of its own process namespace: the kernel names the container in its control group,
/// and the last number of `NSpid` is what the process is called inside (proc(5)).
const FIRST_ENVIRONMENT: &str = r#"for group in $(grep -ls "$1" /proc/[0-9]*/cgroup); do
process="${group%/cgroup}"
if grep -qs '^NSpid:.*[[:space:]]1$' "$process/status"; then exec cat "$process/environ"; fi
done
exit 3"#;

/// The bare id of `docker://…` or `containerd://…`.
fn hex_id(container_id: &str) -> Option<&str> {
    let id = container_id.rsplit('/').next()?;
    (id.len() >= 12 && id.chars().all(|letter| letter.is_ascii_hexdigit())).then_some(id)
}

async fn run_in(host: &Engine, container: &str, command: &[&str]) -> Result<Answered, Failure> {
    let (id, mut output, _) = begin(host, container, command, false).await?;
    let (mut stdout, mut stderr) = (String::new(), String::new());
    while let Some(item) = output.next().await {
        take(host, item, &mut stdout, &mut stderr)?;
    }
    finish(host, &id, stdout, stderr).await
}

/// Streams the image out of one engine into a command of a node container.
async fn pour(from: &Engine, reference: &ImageRef, node: &Node, command: &[&str], size: u64, progress: &dyn Progress) -> Result<Answered, Failure> {
    let (id, mut output, mut input) = begin(from, &node.name, command, true).await?;
    let sending = async {
        let mut archive = std::pin::pin!(from.docker().export_image(reference.as_str()));
        let mut sent: u64 = 0;
        while let Some(chunk) = archive.next().await {
            let chunk = chunk.map_err(|error| refused(&format!("export {reference}"), from, &error))?;
            input.write_all(&chunk).await.map_err(|error| Failure::new(Code::ProgramFailed, format!("send {reference} to {}", node.name)).cause(error))?;
            sent += chunk.len() as u64;
            progress.amount(sent.min(size), size.max(1));
        }
        input
            .flush()
            .await
            .and(input.shutdown().await)
            .map_err(|error| Failure::new(Code::ProgramFailed, format!("send {reference} to {}", node.name)).cause(error))
    };
    let hearing = async {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        while let Some(item) = output.next().await {
            take(from, item, &mut stdout, &mut stderr)?;
        }
        Ok::<_, Failure>((stdout, stderr))
    };
    let (sent, heard) = tokio::join!(sending, hearing);
    let (stdout, stderr) = heard?;
    let answered = finish(from, &id, stdout, stderr).await?;
    // A command that gave up early says more than the pipe that broke under us.
    if answered.code == 0 {
        sent?;
    }
    Ok(answered)
}

type Output = std::pin::Pin<Box<dyn futures::Stream<Item = Result<bollard::container::LogOutput, bollard::errors::Error>> + Send>>;
type Input = std::pin::Pin<Box<dyn tokio::io::AsyncWrite + Send>>;

async fn begin(host: &Engine, container: &str, command: &[&str], input: bool) -> Result<(String, Output, Input), Failure> {
    let doing = || format!("run {} in the node {container}", command.join(" "));
    let options = CreateExecOptions {
        attach_stdin: Some(input),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        detach_keys: None,
        env: None,
        cmd: Some(command.iter().map(|part| (*part).to_owned()).collect()),
        privileged: None,
        user: None,
        working_dir: None,
    };
    let made = host.docker().create_exec(container, options).await.map_err(|error| refused(&doing(), host, &error))?;
    match host.docker().start_exec(&made.id, None::<StartExecOptions>).await.map_err(|error| refused(&doing(), host, &error))? {
        StartExecResults::Attached { output, input } => Ok((made.id, output, input)),
        StartExecResults::Detached => Err(Failure::internal("the engine detached a command that was to be followed")),
    }
}

fn take(host: &Engine, item: Result<bollard::container::LogOutput, bollard::errors::Error>, stdout: &mut String, stderr: &mut String) -> Result<(), Failure> {
    use bollard::container::LogOutput;
    let (kept, message) = match item.map_err(|error| refused("hear a command in a node", host, &error))? {
        LogOutput::StdErr { message } => (stderr, message),
        LogOutput::StdOut { message } | LogOutput::Console { message } | LogOutput::StdIn { message } => (stdout, message),
    };
    // A list of images is some hundred kilobytes at most.
    if kept.len() < 16 * 1024 * 1024 {
        kept.push_str(&String::from_utf8_lossy(&message));
    }
    Ok(())
}

/// The exit code, which the engine may know a moment after the output has ended.
async fn finish(host: &Engine, id: &str, stdout: String, stderr: String) -> Result<Answered, Failure> {
    for _ in 0..40 {
        let seen = host.docker().inspect_exec(id).await.map_err(|error| refused("look at a command in a node", host, &error))?;
        if let (Some(code), false) = (seen.exit_code, seen.running.unwrap_or_default()) {
            return Ok(Answered { code, stdout, stderr });
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Err(Failure::new(Code::ProgramFailed, "a command in a node ended its output and goes on").help("call again"))
}

/// Export from one engine, import into another. Errors come late: both streams are drained.
async fn import(from: &Engine, into: &Engine, reference: &ImageRef) -> Result<(), Failure> {
    let (send, receive) = tokio::sync::mpsc::channel::<std::io::Result<bytes::Bytes>>(16);
    let sending = async {
        let mut archive = std::pin::pin!(from.docker().export_image(reference.as_str()));
        while let Some(chunk) = archive.next().await {
            let chunk = chunk.map_err(|error| std::io::Error::other(chain(&error)));
            if send.send(chunk).await.is_err() {
                break;
            }
        }
        drop(send);
    };
    let stream = futures::stream::unfold(receive, |mut receive| async { receive.recv().await.map(|chunk| (chunk, receive)) });
    let receiving = async {
        let mut loaded = std::pin::pin!(into.docker().import_image(ImportImageOptions::default(), bollard::body_try_stream(stream), None));
        while let Some(item) = loaded.next().await {
            item.map_err(|error| refused(&format!("import {reference}"), into, &error))?;
        }
        Ok(())
    };
    tokio::join!(sending, receiving).1
}

fn same(one: &str, other: &str) -> bool {
    one.trim_start_matches("sha256:") == other.trim_start_matches("sha256:")
}

/// The full name that every engine agrees on.
fn canonical(reference: &str) -> String {
    let reference = reference.strip_prefix("index.docker.io/").unwrap_or(reference);
    match reference.split_once('/') {
        None => format!("docker.io/library/{reference}"),
        Some((host, _)) if host == "localhost" || host.contains(['.', ':']) => reference.to_owned(),
        Some(_) => format!("docker.io/{reference}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_compared_in_full() {
        let check = |short: &str, full: &str| assert_eq!(canonical(short), full);
        check("postgres:17", "docker.io/library/postgres:17");
        check("docker.io/library/postgres:17", "docker.io/library/postgres:17");
        check("bitnami/redis:7", "docker.io/bitnami/redis:7");
        check("localhost/todo/backend:0a1b", "localhost/todo/backend:0a1b");
        check("localhost:5000/a:1", "localhost:5000/a:1");
        check("index.docker.io/bitnami/redis:7", "docker.io/bitnami/redis:7");
        check("ghcr.io/a/b:1", "ghcr.io/a/b:1");
    }

    #[test]
    fn the_id_of_a_container_is_only_hexadecimal() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(hex_id(&format!("containerd://{id}")), Some(id));
        for wrong in ["", "docker://", "docker://abc", "docker://0123456789ab;id", "docker://zzzzzzzzzzzzzzzz"] {
            assert_eq!(hex_id(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_crictl_prints_is_read() {
        let listed: Listed = serde_json::from_str(
            r#"{"images":[{"id":"sha256:aa","repoTags":["localhost/t/b:1"],"repoDigests":[],"size":"1","uid":null,"pinned":false},{"id":"bb"}]}"#,
        )
        .unwrap();
        assert_eq!(listed.images[0].repo_tags, ["localhost/t/b:1"]);
        let inspected: Inspected = serde_json::from_str(
            r#"{"status":{"id":"sha256:aa"},"info":{"chainID":"c","imageSpec":{"architecture":"amd64","rootfs":{"type":"layers","diff_ids":["sha256:1"]}}}}"#,
        )
        .unwrap();
        assert_eq!(inspected.info.image_spec.rootfs.diff_ids, ["sha256:1"]);
        let bare: Inspected = serde_json::from_str(r#"{"status":{}}"#).unwrap();
        assert!(bare.info.image_spec.rootfs.diff_ids.is_empty());
    }
}
