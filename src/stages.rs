//! The stages of an operation: each changes the world through effects, looks again, and lets its gate judge; their order is the operation's.

pub mod addons;
pub mod containerize;
pub mod chart;
pub mod constitution;
pub mod deploy;
pub mod validate;
pub mod mcp;
pub mod stdio;
pub mod chat;
pub mod openapi;
mod monitoring;
mod keys;
mod smoke;
mod pace;
mod browser;
mod roundtrip;
mod sizing;
pub mod advise;
pub mod rollback;
pub mod workspace;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod tests;

use crate::blueprint::{EnvSetting, EnvValue};
use crate::evidence::Class;
use crate::failure::{Code, Failure, Owner};
use crate::rollout::{self, taxonomy::Row};

/// The value of a variable where the real one must not or cannot be used: long enough for key checks, a URL where the name says so.
pub fn placeholder(setting: &EnvSetting) -> String {
    let EnvValue::SecretKey { key, .. } = &setting.value else {
        return match &setting.value {
            EnvValue::Literal { text } => text.clone(),
            EnvValue::SecretKey { .. } => String::new(),
        };
    };
    let name = format!("{} {key}", setting.name).to_uppercase();
    let url = ["URL", "URI", "DSN"].iter().any(|part| name.contains(part));
    let scheme = [
        ("MYSQL", "mysql"),
        ("MONGO", "mongodb"),
        ("REDIS", "redis"),
        ("RABBIT", "amqp"),
        ("AMQP", "amqp"),
        ("ASYNCPG", "postgresql+asyncpg"),
        ("PSYCOPG", "postgresql+psycopg"),
    ];
    let scheme = scheme.iter().find(|(word, _)| name.contains(word)).map_or("postgresql", |(_, scheme)| scheme);
    if url { format!("{scheme}://placeholder:placeholder@127.0.0.1:1/placeholder") } else { "placeholder-placeholder-placeholder-placeholder".to_owned() }
}

/// The taxonomy's row that a failure's own lines speak of, with the line that says so.
pub fn named(failure: &Failure) -> Option<(&'static Row, &str)> {
    rollout::refusal::read(failure.causes.iter().map(String::as_str).chain([failure.message.as_str()]))
}

/// Code and class of a failure: by the taxonomy's row where its lines speak of one; else by whose move it is, and whether the same call may succeed later.
pub fn class_of(failure: &Failure) -> (String, Class) {
    if let Some((row, _)) = named(failure) {
        return (row.code.to_owned(), row.class);
    }
    let class = match (failure.owner, failure.retryable) {
        (Owner::Cluster, _) | (Owner::Environment, false) => Class::ClusterEscalate,
        (Owner::Environment | Owner::App, true) => Class::Transient,
        (Owner::App, false) => Class::AppSelfResolve,
        (Owner::ValueNeeded, _) => Class::AppNeedsValue,
        (Owner::Landfall, true) => Class::HelmState,
        // What helm refuses outright is wrong in the chart; a fault of our own is nothing that anybody else can mend.
        (Owner::Landfall, false) if failure.code == Code::HelmFailed => Class::AppSelfResolve,
        (Owner::Landfall, false) => Class::Unknown,
    };
    (failure.code.to_string(), class)
}

/// A failure that ended an operation, as its diagnosis: the code stays the failure's own.
pub fn told(app: &crate::names::AppName, failure: &Failure) -> crate::evidence::Diagnosis {
    use crate::evidence::{Confidence, Diagnosis, Evidence, Source};
    Diagnosis {
        code: failure.code.to_string(),
        class: class_of(failure).1,
        owner: failure.owner,
        confidence: Confidence::Definitive,
        subject: app.to_string(),
        cause: crate::secret::plain(&failure.message, 400),
        why: failure.causes.iter().take(5).map(|cause| Evidence::new(Source::Program, failure.code.as_str(), cause)).collect(),
        impact: "what was asked for could not be finished".to_owned(),
        source: None,
        options: Vec::new(),
    }
}

/// What a refused validation means where no taxonomy row says more: the app answered, and not as it should.
pub fn unproven(gate: &crate::evidence::Gate) -> Option<crate::evidence::Diagnosis> {
    use crate::evidence::{Class, Confidence, Diagnosis, Verdict};
    if gate.verdict != Verdict::Refused {
        return None;
    }
    let check = gate.first_obstacle()?;
    Some(Diagnosis {
        code: "VALIDATION_FAILED".to_owned(),
        class: Class::AppSelfResolve,
        owner: crate::failure::Owner::App,
        confidence: Confidence::Likely,
        subject: gate.subject.clone(),
        cause: format!("{}: {}", check.probed, check.reason),
        why: check.evidence.clone(),
        impact: format!("{} runs but does not do what is asked of it", gate.subject),
        source: None,
        options: Vec::new(),
    })
}

/// The kubernetes gate of a release that stands: one look, no waiting.
pub fn standing(observed: &crate::ports::Observed, release: &crate::names::ServiceName, needs_endpoints: bool) -> crate::evidence::Gate {
    use crate::evidence::{Check, Evidence, Gate, GateName, Source};
    let progress = crate::rollout::progress(observed, release);
    let seen = |text: String| Evidence::new(Source::Object, format!("Deployment/{release} .status"), &text);
    let ready = format!("{} of {} pods ready, {} restarts", progress.ready, progress.wanted, progress.restarts);
    let ready = crate::rollout::ready_after(&progress.pods).map_or(ready.clone(), |after| format!("{ready}; {after}"));
    let mut checks = vec![if progress.done {
        Check::pass("kubernetes.pods_ready", "every pod of the newest template is ready", seen(ready))
    } else {
        Check::fail("kubernetes.pods_ready", "every pod of the newest template is ready", progress.what.clone(), vec![seen(ready)])
    }];
    if needs_endpoints {
        let told: Vec<_> = progress.endpoints.iter().map(|(service, ready)| format!("{service}: {ready} ready addresses")).collect();
        let good = !progress.endpoints.is_empty() && progress.endpoints.values().all(|ready| *ready > 0);
        let seen = Evidence::new(Source::Object, "EndpointSlice", &told.join(", "));
        checks.push(if good {
            Check::pass("kubernetes.endpoints", "every Service has a ready address", seen)
        } else {
            Check::fail("kubernetes.endpoints", "every Service has a ready address", "a Service has no ready address", vec![seen])
        });
    }
    Gate::judge(GateName::Kubernetes, release.as_str(), checks)
}
