//! What changed between two looks at an app, for somebody who watches it.

use crate::story::word;
use landfall::failure::Failure;
use landfall::reply::{Healthy, OutOf, With};
use std::collections::BTreeMap;

const CLUSTER: &str = "cluster";
const ANSWERS: &str = "answers";

/// What the looks so far have shown, and how it changed.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    seen: Option<BTreeMap<String, String>>,
    changes: Vec<String>,
}

impl Vigil {
    /// Changes that are still shown while a screen is drawn over.
    const KEPT: usize = 10;

    /// Takes in a look; answers what is otherwise than before, a line each.
    pub(super) fn sees(&mut self, looked: Result<&With<Healthy>, &Failure>) -> Vec<String> {
        let now = match looked {
            Ok(reply) => picture(&reply.more),
            // Of a cluster that does not answer nothing else is known to have changed.
            Err(failure) => {
                let away = (CLUSTER.to_owned(), format!("{}: {}", failure.code, failure.message));
                self.seen.clone().unwrap_or_default().into_iter().chain([away]).collect()
            }
        };
        let told = self.seen.as_ref().map(|before| differences(before, &now)).unwrap_or_default();
        self.seen = Some(now);
        told
    }

    /// Keeps these lines with their time; answers the newest of all.
    pub(super) fn keeps(&mut self, told: &[String], time: &str) -> &[String] {
        self.changes.extend(told.iter().map(|line| format!("{time} {line}")));
        self.changes.drain(..self.changes.len().saturating_sub(Self::KEPT));
        &self.changes
    }
}

/// What is watched → how it is. An object that is well is not in it.
fn picture(health: &Healthy) -> BTreeMap<String, String> {
    let share = |out: OutOf| format!("{}/{}", out.ready, out.total);
    let counts = health.counts.into_iter().flat_map(|counts| {
        [("deployments ready", counts.deployments), ("pods running", counts.pods), ("services active", counts.services)]
            .map(|(what, out)| (what.to_owned(), share(out)))
    });
    let state = health.state.map(|state| ("state".to_owned(), word(state).replace('_', " ")));
    let objects = health.objects.iter().map(|object| (object.object.clone(), object.state.clone()));
    let warnings = health.warnings.iter().map(|warning| (format!("warning at {}", warning.at), warning.text.clone()));
    [(CLUSTER.to_owned(), ANSWERS.to_owned())].into_iter().chain(counts).chain(state).chain(objects).chain(warnings).collect()
}

fn differences(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let changed = now.iter().filter_map(|(what, state)| match before.get(what) {
        Some(was) if was == state => None,
        Some(was) => Some(format!("{what}: {state} (was {was})")),
        None => Some(format!("{what}: {state}")),
    });
    // Warnings are forgotten by the cluster itself, which says nothing about the app.
    let gone = before.keys().filter(|what| !now.contains_key(*what) && !what.starts_with("warning at "));
    changed.chain(gone.map(|what| format!("{what}: well again"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use landfall::evidence::{Evidence, Source};
    use landfall::failure::Code;
    use landfall::reply::{AppState, Counts, ObjectView, Reply};

    fn look(ready: u32, objects: &[(&str, &str)], warnings: &[&str]) -> With<Healthy> {
        let out = |ready| OutOf { ready, total: 2 };
        let object = |(object, state): &(&str, &str)| ObjectView { object: (*object).to_owned(), state: (*state).to_owned() };
        let more = Healthy {
            state: Some(if ready == 2 { AppState::Active } else { AppState::Degraded }),
            counts: Some(Counts { deployments: out(2), pods: out(ready), services: out(2) }),
            warnings: warnings.iter().map(|text| Evidence::new(Source::Event, "Pod/api", text)).collect(),
            objects: objects.iter().map(object).collect(),
            logs: vec![],
        };
        With::new(Reply::default(), more)
    }

    #[test]
    fn a_watcher_is_told_what_changed_and_nothing_else() {
        let mut vigil = Vigil::default();
        let mut check = |looked: Result<With<Healthy>, Failure>, expect: &[&str]| assert_eq!(vigil.sees(looked.as_ref()), expect);
        let away = || Err(Failure::new(Code::ClusterUnreachable, "no answer"));
        check(Ok(look(2, &[], &[])), &[]);
        check(Ok(look(2, &[], &[])), &[]);
        check(
            Ok(look(1, &[("Deployment/api", "1 of 2 ready")], &["BackOff"])),
            &["Deployment/api: 1 of 2 ready", "pods running: 1/2 (was 2/2)", "state: degraded (was active)", "warning at Pod/api: BackOff"],
        );
        check(away(), &["cluster: CLUSTER_UNREACHABLE: no answer (was answers)"]);
        check(away(), &[]);
        check(Ok(look(1, &[("Deployment/api", "1 of 2 ready")], &[])), &["cluster: answers (was CLUSTER_UNREACHABLE: no answer)"]);
        check(Ok(look(2, &[], &[])), &["pods running: 2/2 (was 1/2)", "state: active (was degraded)", "Deployment/api: well again"]);
    }

    #[test]
    fn the_newest_changes_are_kept() {
        let mut vigil = Vigil::default();
        for n in 0..25 {
            vigil.keeps(&[n.to_string()], "12:00:00");
        }
        let kept = vigil.keeps(&[], "12:00:01");
        assert_eq!((kept.len(), kept.first().map(String::as_str), kept.last().map(String::as_str)), (10, Some("12:00:00 15"), Some("12:00:00 24")));
    }
}
