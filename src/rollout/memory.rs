//! What earlier looks have shown: runs of containers, texts that vanish, and since when something holds; it concludes nothing.

use super::scene::statuses;
use crate::evidence::Time;
use crate::ports::Observed;
use k8s_openapi::api::core::v1::ContainerStatus;
use std::collections::{BTreeMap, BTreeSet};

/// Pod uid and container name.
type Key = (String, String);

/// Kept by the caller from look to look, for one rollout.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Ended runs of each container, by container id.
    runs: BTreeMap<Key, BTreeMap<String, Option<Time>>>,
    /// How often each container was started again, at the last look and at the first.
    restarts: BTreeMap<Key, (u32, u32)>,
    /// The text of the last failed pull; the back-off that follows may not carry it.
    pulls: BTreeMap<Key, String>,
    /// Since when a Service has had a ready endpoint without a break.
    served: BTreeMap<String, Time>,
    /// Since when a row has held for a subject, by release.
    held: BTreeMap<(String, &'static str, String), Time>,
    /// When the clock was last found to have been set, by the clock as it is since.
    clock_set: Option<Time>,
}

impl Memory {
    /// Takes in one look.
    pub fn note(&mut self, observed: &Observed, now: Time) {
        for pod in &observed.pods {
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            for (status, _) in statuses(pod) {
                self.note_container((uid.clone(), status.name.clone()), status);
            }
        }
        let serving: BTreeSet<String> = observed
            .services
            .iter()
            .filter_map(|service| service.metadata.name.clone())
            .filter(|name| super::scene::ready_endpoints(observed, name) > 0)
            .collect();
        self.served.retain(|name, _| serving.contains(name));
        for name in serving {
            self.served.entry(name).or_insert(now);
        }
    }

    /// The clock was set, or the machine slept: what was stamped before says nothing about how long something has lasted.
    pub fn clock_was_set(&mut self, now: Time) {
        self.clock_set = Some(now);
    }

    /// Since when something that began at this time has lasted at least: not from before the clock was set, and not from times to come.
    pub(super) fn lasting_since(&self, since: Time, now: Time) -> Time {
        match self.clock_set {
            Some(set) if since < set || since > now => set,
            Some(_) | None => since,
        }
    }

    fn note_container(&mut self, key: Key, status: &ContainerStatus) {
        let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| state.as_ref().and_then(|state| state.terminated.clone());
        for run in [ended(&status.state), ended(&status.last_state)].into_iter().flatten() {
            let at = run.finished_at.map(|time| time.0);
            // A container that never started has no id; its time tells its runs apart.
            let id = run.container_id.unwrap_or_else(|| format!("at {at:?}"));
            self.runs.entry(key.clone()).or_default().insert(id, at);
        }
        let count = u32::try_from(status.restart_count).unwrap_or_default();
        self.restarts.entry(key.clone()).or_insert((count, count)).0 = count;
        let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
        match waiting.and_then(|waiting| waiting.reason.as_deref()) {
            Some("ErrImagePull") => {
                let text = waiting.and_then(|waiting| waiting.message.clone()).unwrap_or_default();
                self.pulls.insert(key, text);
            }
            Some("ImagePullBackOff") => {}
            Some(_) | None => {
                self.pulls.remove(&key);
            }
        }
    }

    /// How many runs of this container have ended, as far as anything shows.
    pub(super) fn ended_runs(&self, uid: &str, status: &ContainerStatus) -> u32 {
        let seen = self.runs.get(&(uid.to_owned(), status.name.clone())).map_or(0, BTreeMap::len);
        let has_ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| state.as_ref().is_some_and(|state| state.terminated.is_some());
        let restarts = u32::try_from(status.restart_count).unwrap_or_default();
        let running = status.state.as_ref().is_some_and(|state| state.running.is_some());
        // Each start counts once; the newest run has ended too where nothing runs now.
        let told = if running { restarts } else { restarts + u32::from(has_ended(&status.state) || has_ended(&status.last_state)) };
        told.max(u32::try_from(seen).unwrap_or(u32::MAX))
    }

    /// Runs that ended at or after this time.
    pub(super) fn ended_since(&self, uid: &str, container: &str, since: Time) -> u32 {
        let runs = self.runs.get(&(uid.to_owned(), container.to_owned()));
        let count = runs.into_iter().flat_map(BTreeMap::values).filter(|at| at.is_some_and(|at| at >= since)).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// When the first run that was seen ended.
    pub(super) fn first_end(&self, uid: &str, container: &str) -> Option<Time> {
        self.runs.get(&(uid.to_owned(), container.to_owned()))?.values().flatten().min().copied()
    }

    /// Restarts of a container since the first look at it.
    pub(super) fn new_restarts(&self, uid: &str, container: &str) -> u32 {
        self.restarts.get(&(uid.to_owned(), container.to_owned())).map_or(0, |(now, first)| now.saturating_sub(*first))
    }

    pub(super) fn last_pull(&self, uid: &str, container: &str) -> Option<&str> {
        self.pulls.get(&(uid.to_owned(), container.to_owned())).map(String::as_str)
    }

    /// Since when the Service has been served.
    pub(super) fn served_since(&self, service: &str) -> Option<Time> {
        self.served.get(service).copied()
    }

    /// Keeps what holds now for this release and forgets what does not: improvement starts the clock anew.
    pub(super) fn hold(&mut self, release: &str, holds: &BTreeSet<(&'static str, String)>, now: Time) {
        self.held.retain(|(of, code, subject), _| of != release || holds.contains(&(*code, subject.clone())));
        for (code, subject) in holds {
            self.held.entry((release.to_owned(), code, subject.clone())).or_insert(now);
        }
    }

    pub(super) fn held_since(&self, release: &str, code: &'static str, subject: &str) -> Option<Time> {
        self.held.get(&(release.to_owned(), code, subject.to_owned())).copied()
    }
}
