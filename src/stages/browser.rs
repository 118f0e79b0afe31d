//! The app as a browser sees it: the addresses that the served scripts really call, what a build wrote into them, and the way in from outside the cluster.

use super::validate::{Look, PATIENCE, judge_answer};
use crate::blueprint::{Expose, ImagePlan, Workload};
use crate::evidence::{Check, Evidence, Source};
use crate::probe::{HttpAsk, bundle, http_through_forward};
use crate::survey::Kind;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// The most scripts of a page that are read.
const SCRIPTS: usize = 24;
/// A shorter value of a build would be found in any script.
const TELLING: usize = 5;

impl Look<'_> {
    /// Reads what the service gives a browser; none for what is no website. Not required: an address may stand in a script and never be called.
    pub(super) async fn browser(&self, workload: &Workload, pod: &str) -> Option<Check> {
        let (service, port) = (workload.service()?, workload.port?);
        if !matches!(service.kind, Kind::Web | Kind::Static) {
            return None;
        }
        let probed = "addresses in the scripts of its first page";
        let ask = |path: &str| HttpAsk::get(path, workload.name.as_str(), PATIENCE);
        let cluster = self.world.cluster.as_ref();
        let page = match http_through_forward(cluster, self.at, &self.blueprint.namespace, pod, port, &ask("/")).await {
            Ok(page) if page.status == 200 => page,
            Ok(other) => return Some(Check::not_run("validation.browser", probed, format!("GET / answered {}", other.status)).optional()),
            Err(failure) => return Some(Check::not_run("validation.browser", probed, failure.to_string()).optional()),
        };
        let named = bundle::scripts(page.body.reveal());
        if named.is_empty() {
            return Some(Check::not_run("validation.browser", probed, "its first page loads no script of its own").optional());
        }
        let mut read = BTreeMap::from([("/".to_owned(), page.body)]);
        for path in named.iter().take(SCRIPTS) {
            if let Ok(script) = http_through_forward(cluster, self.at, &self.blueprint.namespace, pod, port, &ask(path)).await
                && script.status == 200
            {
                read.insert(path.clone(), script.body);
            }
        }
        let texts = read.iter().map(|(path, text)| (path.as_str(), text.reveal())).collect();
        Some(self.in_the_browser(workload, probed, &texts))
    }

    fn in_the_browser(&self, workload: &Workload, probed: &str, read: &BTreeMap<&str, &str>) -> Check {
        let services: Vec<_> = self.blueprint.workloads.iter().map(|workload| workload.name.as_str()).collect();
        let namespace = self.blueprint.namespace.as_str();
        let mut bad = BTreeMap::new();
        for (path, text) in read {
            for origin in bundle::origins(text) {
                if let Some(why) = bundle::out_of_reach(&origin, &services, namespace) {
                    bad.entry(origin).or_insert((*path, why));
                }
            }
        }
        let ImagePlan::Built { build_args, .. } = &workload.image else {
            return Check::not_run("validation.browser", probed, "it is a public image").optional();
        };
        let written = build_args.iter().filter(|(_, value)| value.len() >= TELLING).map(|(name, value)| {
            let place = read.iter().find(|(_, text)| text.contains(value.as_str()));
            place.map_or_else(|| format!("the value of {name} was not seen"), |(path, _)| format!("the value of {name} is in {path}"))
        });
        let told: Vec<_> = std::iter::once(format!("{} files read", read.len())).chain(written).collect();
        let seen = Evidence::new(Source::Probe, format!("http://{}/", workload.name), &told.join("; "));
        if bad.is_empty() {
            return Check::pass("validation.browser", probed, seen).optional();
        }
        let found = bad.iter().map(|(origin, (path, why))| Evidence::new(Source::Probe, (*path).to_owned(), &format!("{origin}: {why}")));
        let reason = format!("a browser does not reach {}", bad.keys().cloned().collect::<Vec<_>>().join(", "));
        Check::fail("validation.browser", probed, reason, found.chain([seen]).collect()).optional()
    }

    /// The route from this machine, for what is offered outside the cluster: its node port, or its Ingress.
    pub(super) async fn outside(&self, workload: &Workload, path: &str) -> Option<Check> {
        let (port, host) = match workload.expose {
            Expose::Cluster => return None,
            Expose::NodePort => (self.node_port(workload)?, None),
            Expose::Ingress => (80, self.ingress_host(workload)),
        };
        let node = self.at.profile.nodes.first()?;
        let place = format!("{}:{port}", node.ip);
        let host = host.unwrap_or_else(|| place.clone());
        let probed = format!("GET {path} at {place} with Host {host}, from this machine");
        let Ok(address) = place.parse::<SocketAddr>() else {
            return Some(Check::not_run("validation.outside", probed, "the node has no address that can be asked").optional());
        };
        let ask = HttpAsk::get(path, &host, PATIENCE);
        let seen = tokio::time::timeout(PATIENCE, crate::probe::http::request(address, &ask)).await;
        Some(match seen {
            Ok(Ok(seen)) => judge_answer("validation.outside", probed, format!("http://{place}{path}"), &seen),
            // Where nodes are containers inside a machine of their own, their addresses lead nowhere.
            Ok(Err(problem)) => {
                Check::not_run("validation.outside", probed, format!("{problem}; minikube service {} --url opens a way", workload.name)).optional()
            }
            Err(_) => {
                Check::not_run("validation.outside", probed, format!("no answer within {} s; minikube tunnel may be needed", PATIENCE.as_secs())).optional()
            }
        })
    }

    fn node_port(&self, workload: &Workload) -> Option<u16> {
        let service = self.observed.services.iter().find(|service| service.metadata.name.as_deref() == Some(workload.name.as_str()))?;
        service.spec.as_ref()?.ports.as_ref()?.iter().find_map(|port| u16::try_from(port.node_port?).ok())
    }

    fn ingress_host(&self, workload: &Workload) -> Option<String> {
        let ingress = self.observed.ingresses.iter().find(|ingress| ingress.metadata.name.as_deref() == Some(workload.name.as_str()))?;
        ingress.spec.as_ref()?.rules.as_ref()?.iter().find_map(|rule| rule.host.clone())
    }
}
