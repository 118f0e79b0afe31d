//! The stages of an operation: each changes the world through effects, looks again, and lets its gate judge; their order is the operation's.

pub mod containerize;
pub mod chart;
pub mod constitution;
pub mod deploy;
pub mod validate;
pub mod rollback;
pub mod workspace;
#[cfg(test)]
mod machine;
#[cfg(test)]
mod tests;

use crate::blueprint::{EnvSetting, EnvValue};

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
