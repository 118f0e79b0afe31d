//! The world that the engine acts in, made of the adapters; the only place that names them.

use landfall::adapters::advisors::{Gordon, Kagent, KubectlAi};
use landfall::adapters::clock::SystemClock;
use landfall::adapters::docker::DockerImages;
use landfall::adapters::helm::Helm;
use landfall::adapters::kube::Kube;
use landfall::adapters::mcp_peer::RmcpPeer;
use landfall::adapters::minikube::Minikube;
use landfall::adapters::scanner::ImageScanner;
use landfall::ports::{Cluster, LocalCluster, World};
use std::path::Path;
use std::sync::Arc;

/// The world of a server, whose callers wait for each answer.
pub(crate) fn for_calls(state: &Path) -> World {
    world(state, Kube::for_calls)
}

/// The world of a worker, and of a person at a terminal.
pub(crate) fn for_operations(state: &Path) -> World {
    world(state, Kube::new)
}

/// Joins the adapters. Nothing is started, read or connected here: each does so when it is first asked.
fn world(state: &Path, kube: fn(Arc<dyn LocalCluster>) -> Kube) -> World {
    let local: Arc<dyn LocalCluster> = Arc::new(Minikube::new(state.to_owned()));
    let cluster: Arc<dyn Cluster> = Arc::new(kube(Arc::clone(&local)));
    World {
        images: Arc::new(DockerImages::new(state.to_owned())),
        charts: Arc::new(Helm::new(state.to_owned())),
        advisors: vec![Arc::new(KubectlAi::new("kubectl-ai", state.to_owned())), Arc::new(Kagent::new(Arc::clone(&cluster))), Arc::new(Gordon::new("docker"))],
        cluster,
        mcp: Arc::new(RmcpPeer),
        scanner: Arc::new(ImageScanner::new(state.to_owned())),
        clock: Arc::new(SystemClock),
        local,
    }
}
