//! Watches, one per kind, merged into whole observations; they end when nobody listens any more, or when the API server stays silent.

use super::raw::{self, Raw};
use crate::names::Namespace;
use crate::ports::{Observations, Observed};
use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::{
    apps::v1 as apps, autoscaling::v2 as autoscaling, batch::v1 as batch, core::v1, discovery::v1 as discovery, networking::v1 as networking,
};
use kube::api::{Api, PartialObjectMeta};
use kube::core::NamespaceResourceScope;
use kube::runtime::watcher::{Event, watcher};
use kube::runtime::{WatchStreamExt as _, watcher::Config};
use kube::{Client, ResourceExt};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Changes that come within this time become one observation.
const COALESCE: Duration = Duration::from_millis(20);
/// How long the first lists may take.
const FIRST_LISTS: Duration = Duration::from_secs(10);
/// A watch is asked anew after this time; a dead connection is noticed five seconds later.
const WATCH_SECONDS: u32 = 25;
/// How long every attempt of a kind may fail before the stream ends.
const SILENCE: Duration = Duration::from_secs(30);

/// The kinds of an observation, in the order of `Observed`.
const KINDS: [&str; 17] = [
    "Deployment",
    "ReplicaSet",
    "StatefulSet",
    "DaemonSet",
    "Job",
    "CronJob",
    "Pod",
    "Event",
    "Service",
    "EndpointSlice",
    "PersistentVolumeClaim",
    "HorizontalPodAutoscaler",
    "Ingress",
    "NetworkPolicy",
    "ConfigMap",
    "Secret",
    "Node",
];

/// Everything that is live, by kind and uid.
#[derive(Default)]
struct Live {
    deployments: Kept<apps::Deployment>,
    replica_sets: Kept<apps::ReplicaSet>,
    stateful_sets: Kept<apps::StatefulSet>,
    daemon_sets: Kept<apps::DaemonSet>,
    jobs: Kept<batch::Job>,
    cron_jobs: Kept<batch::CronJob>,
    pods: Kept<v1::Pod>,
    events: Kept<v1::Event>,
    services: Kept<v1::Service>,
    endpoint_slices: Kept<discovery::EndpointSlice>,
    claims: Kept<v1::PersistentVolumeClaim>,
    autoscalers: Kept<autoscaling::HorizontalPodAutoscaler>,
    ingresses: Kept<networking::Ingress>,
    policies: Kept<networking::NetworkPolicy>,
    config_maps: Kept<PartialObjectMeta<v1::ConfigMap>>,
    secrets: Kept<PartialObjectMeta<v1::Secret>>,
    nodes: Kept<v1::Node>,
}

/// Objects of one kind; a new list replaces the old one at once when it is complete.
struct Kept<K> {
    live: BTreeMap<String, K>,
    arriving: BTreeMap<String, K>,
}

impl<K> Default for Kept<K> {
    fn default() -> Self {
        Self { live: BTreeMap::new(), arriving: BTreeMap::new() }
    }
}

impl<K: ResourceExt + Clone> Kept<K> {
    /// Applies one event; true where a whole list has arrived.
    fn apply(&mut self, event: Event<K>) -> bool {
        match event {
            Event::Init => self.arriving.clear(),
            Event::InitApply(object) => {
                self.arriving.insert(key(&object), lean(object));
            }
            Event::InitDone => {
                self.live = std::mem::take(&mut self.arriving);
                return true;
            }
            Event::Apply(object) => {
                self.live.insert(key(&object), lean(object));
            }
            Event::Delete(object) => {
                self.live.remove(&key(&object));
            }
        }
        false
    }

    fn all(&self) -> Vec<K> {
        self.live.values().cloned().collect()
    }

    fn names(&self) -> Vec<String> {
        self.live.values().map(ResourceExt::name_any).collect()
    }
}

fn key<K: ResourceExt>(object: &K) -> String {
    object.uid().unwrap_or_else(|| object.name_any())
}

/// Field ownership is long and nobody reads it here.
fn lean<K: ResourceExt>(mut object: K) -> K {
    object.managed_fields_mut().clear();
    object
}

impl Live {
    fn observed(&self) -> Observed {
        Observed {
            at: Some(jiff::Timestamp::now()),
            deployments: self.deployments.all(),
            replica_sets: self.replica_sets.all(),
            stateful_sets: self.stateful_sets.all(),
            daemon_sets: self.daemon_sets.all(),
            jobs: self.jobs.all(),
            cron_jobs: self.cron_jobs.all(),
            pods: self.pods.all(),
            counted: BTreeMap::new(),
            events: self.events.all(),
            services: self.services.all(),
            endpoint_slices: self.endpoint_slices.all(),
            claims: self.claims.all(),
            autoscalers: self.autoscalers.all(),
            ingresses: self.ingresses.all(),
            policies: self.policies.all(),
            config_maps: self.config_maps.names(),
            secrets: self.secrets.names(),
            nodes: self.nodes.all(),
        }
    }
}

/// What one kind's watch tells: a change to apply (true where its list is complete), or an error.
type Change = Box<dyn FnOnce(&mut Live) -> bool + Send>;
type News = (usize, Result<Change, String>);

/// Opens every watch and answers after the first lists are in; the error says which kinds were not answered, and why.
pub(super) async fn watch(client: Client, namespace: &Namespace) -> Result<Observations, String> {
    let (tell, mut hear) = mpsc::channel::<News>(1024);
    let mut tasks = JoinSet::new();
    for (kind, stream) in streams(&client, namespace).into_iter().enumerate() {
        tasks.spawn(pump(kind, stream, tell.clone()));
    }
    drop(tell);
    let mut live = Live::default();
    first_lists(&mut live, &mut hear).await?;
    let (send, receive) = watch::channel(Arc::new(live.observed()));
    tokio::spawn(merge(live, hear, send, tasks));
    Ok(receive)
}

fn streams(client: &Client, namespace: &Namespace) -> Vec<BoxStream<'static, Result<Change, String>>> {
    let (namespace, name) = (Some(namespace.as_str()), namespace.as_str());
    vec![
        whole(client, namespace, |live| &mut live.deployments),
        whole(client, namespace, |live| &mut live.replica_sets),
        whole(client, namespace, |live| &mut live.stateful_sets),
        whole(client, namespace, |live| &mut live.daemon_sets),
        whole(client, namespace, |live| &mut live.jobs),
        whole(client, namespace, |live| &mut live.cron_jobs),
        whole(client, namespace, |live| &mut live.pods),
        whole(client, namespace, |live| &mut live.events),
        whole(client, namespace, |live| &mut live.services),
        whole(client, namespace, |live| &mut live.endpoint_slices),
        whole(client, namespace, |live| &mut live.claims),
        whole(client, namespace, |live| &mut live.autoscalers),
        whole(client, namespace, |live| &mut live.ingresses),
        whole(client, namespace, |live| &mut live.policies),
        named(client, name, |live| &mut live.config_maps),
        named(client, name, |live| &mut live.secrets),
        whole(client, None, |live| &mut live.nodes),
    ]
}

/// Whole objects of a kind.
fn whole<K>(client: &Client, namespace: Option<&str>, slot: fn(&mut Live) -> &mut Kept<K>) -> BoxStream<'static, Result<Change, String>>
where
    K: kube::Resource<DynamicType = ()> + Clone + DeserializeOwned + Send + 'static,
{
    let seen = watcher(raw::api::<K>(client.clone(), namespace), Config::default().timeout(WATCH_SECONDS)).default_backoff();
    changes(seen.map(|event| typed(event.map_err(|error| error.to_string())?)).boxed(), slot)
}

/// Their metadata alone.
fn named<K>(client: &Client, namespace: &str, slot: fn(&mut Live) -> &mut Kept<PartialObjectMeta<K>>) -> BoxStream<'static, Result<Change, String>>
where
    K: kube::Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + std::fmt::Debug + Send + 'static,
{
    let api: Api<PartialObjectMeta<K>> = Api::namespaced(client.clone(), namespace);
    let seen = watcher(api, Config::default().timeout(WATCH_SECONDS)).default_backoff();
    changes(seen.map_err(|error| error.to_string()).boxed(), slot)
}

fn typed<K: kube::Resource<DynamicType = ()> + DeserializeOwned>(event: Event<Raw>) -> Result<Event<K>, String> {
    let object = |raw: Raw| raw.typed().map_err(|error| format!("read a {}: {error}", K::kind(&())));
    Ok(match event {
        Event::Init => Event::Init,
        Event::InitDone => Event::InitDone,
        Event::InitApply(raw) => Event::InitApply(object(raw)?),
        Event::Apply(raw) => Event::Apply(object(raw)?),
        Event::Delete(raw) => Event::Delete(object(raw)?),
    })
}

/// A kind's events as changes of the whole; the watcher lists again by itself after 410, and waits longer after each error.
fn changes<K>(events: BoxStream<'static, Result<Event<K>, String>>, slot: fn(&mut Live) -> &mut Kept<K>) -> BoxStream<'static, Result<Change, String>>
where
    K: ResourceExt + Clone + Send + 'static,
{
    let change = move |event: Event<K>| -> Change { Box::new(move |live| slot(live).apply(event)) };
    events.map(move |event| event.map(change)).boxed()
}

/// Passes on what a stream brings; ends when nobody hears, or when nothing but errors came for `SILENCE`.
async fn pump(kind: usize, mut stream: BoxStream<'static, Result<Change, String>>, tell: mpsc::Sender<News>) {
    let mut failing_since: Option<Instant> = None;
    while let Some(news) = stream.next().await {
        let news = match news {
            Ok(change) => {
                failing_since = None;
                Ok(change)
            }
            Err(error) => {
                let since = *failing_since.get_or_insert_with(Instant::now);
                tracing::debug!(kind = KINDS.get(kind), %error, "watch failed, trying again");
                if since.elapsed() > SILENCE {
                    return;
                }
                Err(error)
            }
        };
        if tell.send((kind, news)).await.is_err() {
            return;
        }
    }
}

/// Applies changes until every kind's list is complete.
async fn first_lists(live: &mut Live, hear: &mut mpsc::Receiver<News>) -> Result<(), String> {
    let mut complete = [false; KINDS.len()];
    let mut problem = String::new();
    let deadline = tokio::time::sleep(FIRST_LISTS);
    tokio::pin!(deadline);
    while complete.contains(&false) {
        let news = tokio::select! {
            () = &mut deadline => None,
            news = hear.recv() => news,
        };
        match news {
            Some((kind, Ok(change))) => {
                if change(live)
                    && let Some(done) = complete.get_mut(kind)
                {
                    *done = true;
                }
            }
            Some((_, Err(error))) => problem = crate::secret::plain(&error, 300),
            None => {
                let missing: Vec<&str> = KINDS.iter().zip(complete).filter(|(_, done)| !done).map(|(kind, _)| *kind).collect();
                let why = if problem.is_empty() { "no answer".to_owned() } else { problem };
                return Err(format!("no list of {} within {} s ({why})", missing.join(", "), FIRST_LISTS.as_secs()));
            }
        }
    }
    Ok(())
}

/// Turns changes into observations. One watch that ended ends them all, so that nobody trusts half a picture.
async fn merge(mut live: Live, mut hear: mpsc::Receiver<News>, send: watch::Sender<Arc<Observed>>, mut tasks: JoinSet<()>) {
    loop {
        let first = tokio::select! {
            news = hear.recv() => news,
            () = send.closed() => return,
            _ = tasks.join_next() => return,
        };
        let Some(first) = first else { return };
        let mut changed = apply(&mut live, first);
        let rest = tokio::time::sleep(COALESCE);
        tokio::pin!(rest);
        loop {
            tokio::select! {
                () = &mut rest => break,
                news = hear.recv() => match news {
                    Some(news) => changed |= apply(&mut live, news),
                    None => break,
                },
            }
        }
        if changed && send.send(Arc::new(live.observed())).is_err() {
            return;
        }
    }
}

/// True where the news may have changed the picture.
fn apply(live: &mut Live, (_, news): News) -> bool {
    match news {
        Ok(change) => {
            change(live);
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, phase: &str) -> v1::Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "uid": name, "managedFields": [{"manager": "kubelet"}]},
            "status": {"phase": phase},
        }))
        .unwrap()
    }

    fn phases(kept: &Kept<v1::Pod>) -> Vec<String> {
        kept.all().into_iter().filter_map(|pod| Some(format!("{} {}", pod.name_any(), pod.status?.phase?))).collect()
    }

    #[test]
    fn a_new_list_replaces_the_old_one_only_when_it_is_complete() {
        let mut kept = Kept::default();
        kept.apply(Event::Init);
        kept.apply(Event::InitApply(pod("a", "Running")));
        assert!(phases(&kept).is_empty());
        assert!(kept.apply(Event::InitDone));
        assert_eq!(phases(&kept), ["a Running"]);
        kept.apply(Event::Init);
        kept.apply(Event::InitApply(pod("b", "Pending")));
        assert_eq!(phases(&kept), ["a Running"]);
        kept.apply(Event::InitDone);
        assert_eq!(phases(&kept), ["b Pending"]);
    }

    #[test]
    fn objects_change_go_away_and_lose_their_field_ownership() {
        let mut kept = Kept::default();
        kept.apply(Event::Apply(pod("a", "Pending")));
        kept.apply(Event::Apply(pod("a", "Running")));
        assert_eq!(phases(&kept), ["a Running"]);
        assert!(kept.all().iter().all(|pod| pod.managed_fields().is_empty()));
        kept.apply(Event::Delete(pod("a", "Running")));
        assert!(phases(&kept).is_empty());
    }

    #[tokio::test]
    async fn changes_that_come_together_become_one_observation() {
        let (tell, hear) = mpsc::channel::<News>(16);
        let (send, mut receive) = watch::channel(Arc::new(Observed::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::pending::<()>());
        let merging = tokio::spawn(merge(Live::default(), hear, send, tasks));
        for name in ["a", "b", "c"] {
            let change: Change = Box::new(move |live| live.pods.apply(Event::Apply(pod(name, "Running"))));
            tell.send((4, Ok(change))).await.unwrap();
        }
        receive.changed().await.unwrap();
        assert_eq!(receive.borrow_and_update().pods.len(), 3);
        drop(receive);
        tokio::time::timeout(Duration::from_secs(5), merging).await.expect("ends when nobody listens").unwrap();
    }

    #[tokio::test]
    async fn a_watch_that_ends_ends_the_observations() {
        let (_tell, hear) = mpsc::channel::<News>(16);
        let (send, mut receive) = watch::channel(Arc::new(Observed::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(std::future::ready(()));
        tokio::spawn(merge(Live::default(), hear, send, tasks));
        assert!(receive.changed().await.is_err());
    }
}
