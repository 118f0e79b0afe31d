//! Takes releases back to revisions that were verified, watches them come up, and says what could not be taken back.

use crate::engine::{Effect, Run};
use crate::evidence::{Diagnosis, Gate, GateName};
use crate::failure::Failure;
use crate::journal::{StageName, Undo};
use crate::names::{Namespace, ReleaseName, Revision};
use crate::ports::Proof;
use crate::rollout::{self, Expectation, Rollout};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

const STAGE: StageName = StageName::Rollback;

/// Rolls back (or uninstalls) each release, in this order; answers the new helm revisions.
pub async fn run(
    run: &Run,
    at: &Proof,
    namespace: &Namespace,
    releases: &BTreeMap<ReleaseName, Option<Revision>>,
    current: &BTreeMap<ReleaseName, Revision>,
) -> Result<BTreeMap<ReleaseName, Revision>, Failure> {
    let mut revisions = BTreeMap::new();
    for (release, to) in releases {
        run.may_go_on()?;
        let before = json!({ "helm_revision": current.get(release) });
        let keep = Undo::Keep { why: "a rollback is not taken back by itself".to_owned() };
        match to {
            Some(to) => {
                let effect = Effect { key: format!("helm-rollback/{release}"), text: format!("roll {release} back to helm revision {to}"), undo: keep, before };
                let action = async {
                    // A worker that died after helm had landed must not roll back a second time.
                    let history = run.world.charts.history(at, namespace, release).await?;
                    let landed = history.last().filter(|last| {
                        last.status == "deployed"
                            && last.description == format!("Rollback to {to}")
                            && current.get(release).is_some_and(|before| last.revision > *before)
                    });
                    match landed {
                        Some(last) => Ok(last.revision),
                        None => run.world.charts.rollback(at, namespace, release, *to).await,
                    }
                };
                revisions.insert(release.clone(), run.effect(STAGE, release.as_str(), effect, action).await?);
            }
            None => {
                let effect = Effect {
                    key: format!("helm-uninstall/{release}"),
                    text: format!("uninstall {release}, keeping its claims and Secrets"),
                    undo: keep,
                    before,
                };
                let _: bool = run
                    .effect(STAGE, release.as_str(), effect, async {
                        run.world.charts.uninstall(at, namespace, release).await?;
                        Ok(true)
                    })
                    .await?;
            }
        }
    }
    Ok(revisions)
}

/// Watches releases come up after a rollback; each gate is recorded.
pub async fn watch(
    run: &Run,
    at: &Proof,
    namespace: &Namespace,
    releases: &[(ReleaseName, bool)],
    images: &BTreeMap<ReleaseName, String>,
) -> Result<(Vec<Gate>, Vec<Diagnosis>), Failure> {
    // What runs by the clock has no pod to wait for.
    let observed = run.world.cluster.observe(at, namespace).await?;
    let expectations: Vec<_> = releases
        .iter()
        .filter(|(release, _)| !rollout::timed(&observed, release))
        .map(|(release, needs_endpoints)| Expectation {
            release: release.clone(),
            kind: None,
            image_id: images.get(release).cloned(),
            needs_endpoints: *needs_endpoints,
        })
        .collect();
    if expectations.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    run.doing(STAGE, "app", "watches the releases come up again");
    let window = Duration::from_secs(run.config.gates.window_s);
    // What was cancelled must still be brought back: the watch has its own deadline and hears no cancel.
    let patience = run.left().max(Duration::from_secs(120));
    let deaf = tokio_util::sync::CancellationToken::new();
    let rollout = Rollout {
        cluster: run.world.cluster.as_ref(),
        clock: run.world.clock.as_ref(),
        at,
        namespace,
        window,
        deadline: patience,
        progress: run.heart.as_ref(),
        cancel: &deaf,
    };
    let ended = rollout.follow(&expectations).await?;
    let mut gates = Vec::new();
    let mut diagnoses = Vec::new();
    for release in ended.releases {
        for diagnosis in release.diagnoses {
            run.diagnosed(STAGE, &diagnosis)?;
            diagnoses.push(diagnosis);
        }
        let gate = Gate::judge(GateName::Kubernetes, release.release.as_str(), release.checks);
        run.judged(STAGE, &gate)?;
        gates.push(gate);
    }
    Ok((gates, diagnoses))
}
