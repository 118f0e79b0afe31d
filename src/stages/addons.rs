//! minikube's addons that a plan needs: switched on with their way back, and waited for where they need a moment; what they are worth the gates say.

use crate::engine::{Effect, Run};
use crate::failure::{Code, Failure};
use crate::journal::{StageName, Undo};
use crate::plan::{METRICS_SERVER, Plan};
use crate::ports::Proof;
use serde_json::json;
use std::time::Duration;

/// How long the first figures of a fresh metrics-server are waited for: it starts, then measures once a minute.
const FIGURES: Duration = Duration::from_secs(150);
/// How often it is asked.
const TICK: Duration = Duration::from_secs(2);

/// Switches on what the plan names. Without figures an app can be deployed all the same: that metrics-server does not come is for `validation.metrics` to say.
pub async fn enable(run: &Run, plan: &Plan, at: &Proof) -> Result<(), Failure> {
    for addon in &plan.addons {
        let effect = Effect {
            key: format!("addon/{addon}"),
            text: format!("enable the Minikube addon {addon}"),
            undo: Undo::Addon { addon: addon.clone() },
            before: json!({ "enabled": false }),
        };
        match run.effect::<bool>(StageName::Deploy, addon, effect, run.world.local.enable_addon(&at.profile.name, addon)).await {
            Err(failure) if addon != METRICS_SERVER || matches!(failure.code, Code::Cancelled | Code::Deadline | Code::WrongCluster) => return Err(failure),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Waits for the first figures of the app's pods where this operation switched metrics-server on.
pub async fn measured(run: &Run, plan: &Plan, at: &Proof) -> Result<(), Failure> {
    if run.state().done(&format!("addon/{METRICS_SERVER}")).is_none() {
        return Ok(());
    }
    run.doing(StageName::Validate, METRICS_SERVER, "waits for its first figures");
    let figures = async {
        loop {
            let asked = run.world.cluster.usage(at, &plan.blueprint.namespace).await;
            if asked.is_ok_and(|figures| !figures.is_empty()) {
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    };
    let waiting = async {
        // Figures that do not come in time are not waited for any longer.
        let _late = tokio::time::timeout(FIGURES.min(run.left()), figures).await;
        Ok(())
    };
    run.unless_cancelled(waiting).await
}
