//! Keys of ConfigMaps and Secrets that no container takes: left by an earlier configuration, or written otherwise in one of two places.

use super::validate::Look;
use crate::blueprint::EnvValue;
use crate::evidence::{Check, Evidence, Source};
use crate::ports::{Keyed, KeyedKind, Observed};
use k8s_openapi::api::core::v1::{Container, KeyToPath, PodSpec, Volume};
use std::collections::BTreeSet;

/// What containers take: an object as a whole, or one of its keys.
#[derive(Debug, Default)]
struct Taken(BTreeSet<(KeyedKind, String, Option<String>)>);

impl Taken {
    fn of(observed: &Observed) -> Self {
        let mut taken = Self::default();
        specs(observed).for_each(|spec| taken.spec(spec));
        let secured = observed.ingresses.iter().filter_map(|ingress| ingress.spec.as_ref()).flat_map(|spec| spec.tls.iter().flatten());
        secured.for_each(|tls| taken.whole(KeyedKind::Secret, tls.secret_name.as_deref()));
        taken
    }

    fn whole(&mut self, kind: KeyedKind, name: Option<&str>) {
        self.0.extend(name.map(|name| (kind, name.to_owned(), None)));
    }

    /// The listed keys of an object; all where none is listed.
    fn items(&mut self, kind: KeyedKind, name: Option<&str>, items: Option<&Vec<KeyToPath>>) {
        match (name, items) {
            (Some(name), Some(items)) if !items.is_empty() => self.0.extend(items.iter().map(|item| (kind, name.to_owned(), Some(item.key.clone())))),
            (name, _) => self.whole(kind, name),
        }
    }

    fn spec(&mut self, spec: &PodSpec) {
        let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
        containers.for_each(|container| self.container(container));
        spec.volumes.iter().flatten().for_each(|volume| self.volume(volume));
        spec.image_pull_secrets.iter().flatten().for_each(|secret| self.whole(KeyedKind::Secret, Some(&secret.name)));
    }

    fn container(&mut self, container: &Container) {
        for from in container.env_from.iter().flatten() {
            self.whole(KeyedKind::ConfigMap, from.config_map_ref.as_ref().map(|map| map.name.as_str()));
            self.whole(KeyedKind::Secret, from.secret_ref.as_ref().map(|secret| secret.name.as_str()));
        }
        for from in container.env.iter().flatten().filter_map(|one| one.value_from.as_ref()) {
            self.0.extend(from.config_map_key_ref.as_ref().map(|one| (KeyedKind::ConfigMap, one.name.clone(), Some(one.key.clone()))));
            self.0.extend(from.secret_key_ref.as_ref().map(|one| (KeyedKind::Secret, one.name.clone(), Some(one.key.clone()))));
        }
    }

    fn volume(&mut self, volume: &Volume) {
        if let Some(map) = &volume.config_map {
            self.items(KeyedKind::ConfigMap, Some(&map.name), map.items.as_ref());
        }
        if let Some(secret) = &volume.secret {
            self.items(KeyedKind::Secret, secret.secret_name.as_deref(), secret.items.as_ref());
        }
        for source in volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten()) {
            if let Some(map) = &source.config_map {
                self.items(KeyedKind::ConfigMap, Some(&map.name), map.items.as_ref());
            }
            if let Some(secret) = &source.secret {
                self.items(KeyedKind::Secret, Some(&secret.name), secret.items.as_ref());
            }
        }
    }

    fn takes(&self, object: &Keyed, key: &str) -> bool {
        [None, Some(key.to_owned())].into_iter().any(|key| self.0.contains(&(object.kind, object.name.clone(), key)))
    }
}

/// The pods that there are, and those that will be made.
fn specs(observed: &Observed) -> impl Iterator<Item = &PodSpec> {
    let pods = observed.pods.iter().filter_map(|pod| pod.spec.as_ref());
    let deployments = observed.deployments.iter().filter_map(|each| each.spec.as_ref()?.template.spec.as_ref());
    let stateful = observed.stateful_sets.iter().filter_map(|each| each.spec.as_ref()?.template.spec.as_ref());
    let daemons = observed.daemon_sets.iter().filter_map(|each| each.spec.as_ref()?.template.spec.as_ref());
    let jobs = observed.jobs.iter().filter_map(|each| each.spec.as_ref()?.template.spec.as_ref());
    let scheduled = observed.cron_jobs.iter().filter_map(|each| each.spec.as_ref()?.job_template.spec.as_ref()?.template.spec.as_ref());
    pods.chain(deployments).chain(stateful).chain(daemons).chain(jobs).chain(scheduled)
}

/// Every key of a release's own ConfigMaps and Secrets is taken; none where it has no keys. Not required: a program may read an object through the API server.
pub(super) fn judge(observed: &Observed, release: &str, objects: &[Keyed]) -> Option<Check> {
    let taken = Taken::of(observed);
    let mine: Vec<&Keyed> = objects.iter().filter(|object| object.release.as_deref() == Some(release) && !object.keys.is_empty()).collect();
    let keys: usize = mine.iter().map(|object| object.keys.len()).sum();
    let unused: Vec<String> = mine
        .iter()
        .flat_map(|object| object.keys.iter().filter(|key| !taken.takes(object, key)).map(|key| format!("{}/{} key {key}", object.kind.as_str(), object.name)))
        .collect();
    let probed = "keys of its ConfigMaps and Secrets against what containers take (env, envFrom, volumes)";
    let seen = Evidence::new(Source::Object, format!("release {release}"), &format!("{keys} keys in {} objects", mine.len()));
    match (mine.is_empty(), unused.is_empty()) {
        (true, _) => None,
        (false, true) => Some(Check::pass("validation.keys", probed, seen).optional()),
        (false, false) => Some(Check::fail("validation.keys", probed, format!("no container takes {}", unused.join(", ")), vec![seen]).optional()),
    }
}

impl Look<'_> {
    /// ConfigMaps and Secrets of the app with the names of their keys; none where the API server does not tell them.
    pub(super) async fn keyed(&self) -> Vec<Keyed> {
        self.world.cluster.keyed(self.at, &self.blueprint.namespace).await.unwrap_or_default()
    }

    /// Keys of the app's own Secrets, which outlive its releases, that no workload names, such as those that an earlier configuration left.
    pub async fn unused_keys(&self) -> Vec<String> {
        let taken = Taken::of(&self.observed);
        let mut lines = Vec::new();
        let objects = self.keyed().await;
        for plan in &self.blueprint.secrets {
            let Some(object) = objects.iter().find(|object| object.kind == KeyedKind::Secret && object.name == plan.name) else { continue };
            let settings = || self.blueprint.workloads.iter().flat_map(|workload| &workload.env);
            let named = |wanted: &str| {
                plan.keys.contains_key(wanted)
                    || taken.takes(object, wanted)
                    || settings().any(|one| matches!(&one.value, EnvValue::SecretKey { secret, key } if *secret == plan.name && key == wanted))
            };
            let unused: Vec<_> = object.keys.iter().filter(|key| !named(key)).cloned().collect();
            if !unused.is_empty() {
                lines.push(format!("Secret {} holds {}, which no service uses: kubectl edit secret takes it out", plan.name, unused.join(", ")));
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Outcome;
    use serde_json::{Value, json};

    /// The keys that nothing takes of a ConfigMap `api` and a Secret `api`, each with `A` and `B`, beside a Deployment with this pod.
    fn check(spec: &Value, unused: &[&str]) {
        let object = |kind| Keyed { kind, name: "api".into(), release: Some("api".into()), keys: vec!["A".into(), "B".into()] };
        let deployment = json!({ "metadata": { "name": "api" }, "spec": { "selector": {}, "template": { "spec": spec } } });
        let observed = Observed { deployments: vec![serde_json::from_value(deployment).unwrap()], ..Observed::default() };
        let check = judge(&observed, "api", &[object(KeyedKind::ConfigMap), object(KeyedKind::Secret)]).unwrap();
        assert_eq!((check.outcome, check.required), (if unused.is_empty() { Outcome::Pass } else { Outcome::Fail }, false), "{check:?}");
        let told = check.reason.trim_start_matches("no container takes ").to_owned();
        assert_eq!(told.split(", ").filter(|key| !key.is_empty()).collect::<Vec<_>>(), unused, "{spec}");
    }

    #[test]
    fn a_key_is_used_by_name_with_its_whole_object_or_as_a_file() {
        let whole = json!([{ "configMapRef": { "name": "api" } }, { "secretRef": { "name": "api" } }]);
        check(&json!({ "containers": [{ "name": "api", "envFrom": whole }] }), &[]);
        check(&json!({ "containers": [{ "name": "api" }], "initContainers": [{ "name": "migration", "envFrom": whole }] }), &[]);
        let env = json!([{ "name": "X", "valueFrom": { "configMapKeyRef": { "name": "api", "key": "A" } } }, { "name": "Y", "valueFrom": { "secretKeyRef": { "name": "api", "key": "A" } } }]);
        check(&json!({ "containers": [{ "name": "api", "env": env }] }), &["ConfigMap/api key B", "Secret/api key B"]);
        let volumes = json!([{ "name": "a", "configMap": { "name": "api" } }, { "name": "b", "secret": { "secretName": "api", "items": [{ "key": "B", "path": "b" }] } }]);
        check(&json!({ "containers": [{ "name": "api" }], "volumes": volumes }), &["Secret/api key A"]);
        let projected = json!([{ "name": "a", "projected": { "sources": [{ "configMap": { "name": "api" } }, { "secret": { "name": "api" } }] } }]);
        check(&json!({ "containers": [{ "name": "api" }], "volumes": projected }), &[]);
        let other = json!([{ "configMapRef": { "name": "api-other" } }]);
        check(
            &json!({ "containers": [{ "name": "api", "envFrom": other }] }),
            &["ConfigMap/api key A", "ConfigMap/api key B", "Secret/api key A", "Secret/api key B"],
        );
    }

    #[test]
    fn what_belongs_to_another_release_or_holds_nothing_is_not_judged() {
        let object = |release: Option<&str>, keys: &[&str]| Keyed {
            kind: KeyedKind::ConfigMap,
            name: "api".into(),
            release: release.map(str::to_owned),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        };
        for other in [object(Some("web"), &["A"]), object(None, &["A"]), object(Some("api"), &[])] {
            assert!(judge(&Observed::default(), "api", &[other]).is_none());
        }
    }
}
