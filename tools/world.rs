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

/// Joins the adapters. Nothing is started, read or connected here: each does so when it is first asked.
pub(crate) fn world(state: &Path) -> World {
    let local: Arc<dyn LocalCluster> = Arc::new(Minikube::new(state.to_owned()));
    let cluster: Arc<dyn Cluster> = Arc::new(Kube::new(Arc::clone(&local)));
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
