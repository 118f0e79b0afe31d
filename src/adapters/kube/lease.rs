//! One operation per app in the cluster: a Lease that is held, renewed, taken over when it has expired, and given back.

use super::objects::{object, unless_gone};
use super::{APP, Kube, LANDFALL, MANAGED_BY, MANAGER, refused};
use crate::failure::{Code, Failure};
use crate::names::{AppName, Namespace, OperationId};
use crate::ports::Proof;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use serde_json::json;

/// What to do about a Lease that is there.
#[derive(Debug, PartialEq, Eq)]
enum Claim {
    Renew,
    TakeOver,
    Held { by: String, seconds_left: i64 },
}

impl Kube {
    pub(super) async fn take_lease(&self, at: &Proof, namespace: &Namespace, app: &AppName, holder: &OperationId, seconds: i32) -> Result<(), Failure> {
        let leases: Api<Lease> = Api::namespaced(self.proven(at).await?, namespace.as_str());
        let name = format!("landfall-{app}");
        let doing = format!("take the Lease {namespace}/{name}");
        let parameters = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        // Whoever loses a race looks again: the winner is then the holder.
        for _ in 0..3 {
            let now = Timestamp::now();
            let written = match self.ask(at, &doing, || leases.get_opt(&name)).await? {
                None => {
                    let mut lease: Lease = object(json!({"metadata": {"name": name, "labels": {MANAGED_BY: LANDFALL, APP: app.as_str()}}}))?;
                    lease.spec = Some(spec(None, holder, seconds, now));
                    self.ask(at, &doing, || unless_lost(leases.create(&parameters, &lease))).await?
                }
                Some(mut lease) => {
                    if let Claim::Held { by, seconds_left } = claim(lease.spec.as_ref(), holder, now) {
                        return Err(Failure::new(
                            Code::OperationRunning,
                            format!("operation {by} holds the app {app} in namespace {namespace} for another {seconds_left} s"),
                        )
                        .help(format!("call operation_status with operation {by}, or wait until it has ended")));
                    }
                    lease.spec = Some(spec(lease.spec.as_ref(), holder, seconds, now));
                    // The object's resourceVersion makes this fail where somebody else wrote meanwhile.
                    self.ask(at, &doing, || unless_lost(leases.replace(&name, &parameters, &lease))).await?
                }
            };
            if written.is_some() {
                return Ok(());
            }
        }
        Err(refused(&doing, "others keep writing it").help("call again in a few seconds"))
    }

    pub(super) async fn drop_lease(&self, at: &Proof, namespace: &Namespace, app: &AppName, holder: &OperationId) -> Result<(), Failure> {
        let leases: Api<Lease> = Api::namespaced(self.proven(at).await?, namespace.as_str());
        let name = format!("landfall-{app}");
        let doing = format!("give back the Lease {namespace}/{name}");
        let Some(lease) = self.ask(at, &doing, || leases.get_opt(&name)).await? else { return Ok(()) };
        if lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) != Some(holder.as_str()) {
            return Ok(());
        }
        let same = Preconditions { uid: lease.metadata.uid, resource_version: lease.metadata.resource_version };
        let parameters = DeleteParams { preconditions: Some(same), ..DeleteParams::default() };
        let deleted = || async { unless_lost(unless_gone(leases.delete(&name, &parameters))).await };
        self.ask(at, &doing, deleted).await.map(|_| ())
    }
}

/// None where somebody else was faster.
async fn unless_lost<T>(request: impl Future<Output = Result<T, kube::Error>>) -> Result<Option<T>, kube::Error> {
    match request.await {
        Ok(done) => Ok(Some(done)),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
        Err(error) => Err(error),
    }
}

fn claim(spec: Option<&LeaseSpec>, holder: &OperationId, now: Timestamp) -> Claim {
    let Some(spec) = spec else { return Claim::TakeOver };
    let by = spec.holder_identity.as_deref().unwrap_or_default();
    if by == holder.as_str() {
        return Claim::Renew;
    }
    let renewed = spec.renew_time.as_ref().or(spec.acquire_time.as_ref()).map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let lasts = SignedDuration::from_secs(i64::from(spec.lease_duration_seconds.unwrap_or_default()));
    let left = lasts - now.duration_since(renewed);
    if by.is_empty() || !left.is_positive() {
        return Claim::TakeOver;
    }
    Claim::Held { by: by.to_owned(), seconds_left: left.as_secs().max(1) }
}

fn spec(before: Option<&LeaseSpec>, holder: &OperationId, seconds: i32, now: Timestamp) -> LeaseSpec {
    let stays = before.filter(|before| before.holder_identity.as_deref() == Some(holder.as_str()));
    let transitions = before.and_then(|before| before.lease_transitions).unwrap_or_default();
    LeaseSpec {
        holder_identity: Some(holder.to_string()),
        lease_duration_seconds: Some(seconds),
        acquire_time: stays.and_then(|before| before.acquire_time.clone()).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if stays.is_some() || before.is_none() { transitions } else { transitions.saturating_add(1) }),
        ..LeaseSpec::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operation(last: &str) -> OperationId {
        OperationId::parse(format!("op-20260102-030405-{last}")).unwrap()
    }

    fn held(by: &OperationId, seconds_ago: i64) -> LeaseSpec {
        spec(None, by, 30, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1000 - seconds_ago))
    }

    fn check(before: Option<&LeaseSpec>, expect: Claim) {
        assert_eq!(claim(before, &operation("aaaa"), Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1000)), expect);
    }

    #[test]
    fn a_lease_is_renewed_by_its_holder_and_taken_over_only_when_expired() {
        check(Some(&held(&operation("aaaa"), 10)), Claim::Renew);
        check(Some(&held(&operation("aaaa"), 100)), Claim::Renew);
        check(Some(&held(&operation("bbbb"), 10)), Claim::Held { by: operation("bbbb").to_string(), seconds_left: 20 });
        check(Some(&held(&operation("bbbb"), 31)), Claim::TakeOver);
        check(Some(&LeaseSpec::default()), Claim::TakeOver);
        check(None, Claim::TakeOver);
    }

    #[test]
    fn a_takeover_counts_as_a_transition_and_a_renewal_does_not() {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(2000);
        let first = held(&operation("bbbb"), 10);
        let renewed = spec(Some(&first), &operation("bbbb"), 30, now);
        assert_eq!((renewed.lease_transitions, renewed.acquire_time), (Some(0), first.acquire_time.clone()));
        let taken = spec(Some(&first), &operation("aaaa"), 30, now);
        assert_eq!((taken.lease_transitions, taken.acquire_time), (Some(1), Some(MicroTime(now))));
    }
}
