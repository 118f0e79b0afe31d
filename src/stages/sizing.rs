//! Advice on requests, limits and replicas from what a pod was measured to use; arithmetic alone, and it changes nothing.

use crate::blueprint::Workload;
use crate::ports::Usage;
use crate::quantity::{milli, whole};

const MIB: u64 = 1024 * 1024;

/// What the use of one pod says about what it asks for; empty where what it asks for fits.
pub(super) fn advise(workload: &Workload, used: &Usage) -> Vec<String> {
    let (name, asked) = (&workload.name, &workload.resources);
    let mut advice = Vec::new();
    let memory = used.memory_bytes;
    if let (Some(request), Some(limit)) = (whole(&asked.memory_request), whole(&asked.memory_limit)) {
        let told = memory.div_ceil(MIB);
        if memory >= limit / 10 * 8 {
            advice.push(format!("{name} uses {told} MiB of its memory limit of {}: raise the limit to {}Mi", asked.memory_limit, steps(memory * 2 / MIB, 64)));
        }
        if memory > request {
            advice.push(format!(
                "{name} requests {} of memory and uses {told} MiB: request {}Mi, so that its node keeps room for it",
                asked.memory_request,
                steps(memory / MIB + memory / MIB / 4, 32)
            ));
        } else if memory * 4 < request && request > 64 * MIB {
            let enough = steps(memory * 2 / MIB, 32).max(64);
            if enough * MIB < request {
                advice.push(format!("{name} requests {} of memory and uses {told} MiB: {enough}Mi would do", asked.memory_request));
            }
        }
    }
    let cpu = used.cpu_millicores;
    if let (Some(request), Some(limit)) = (milli(&asked.cpu_request), milli(&asked.cpu_limit)) {
        if cpu >= limit / 10 * 8 {
            let more = match workload.storage {
                // Its data lies on a claim with one writer.
                Some(_) => String::new(),
                None => format!(", or run {} replicas", workload.replicas + 1),
            };
            advice.push(format!("{name} uses {cpu}m of its CPU limit of {}: raise the limit to {}m{more}", asked.cpu_limit, steps(cpu * 2, 100)));
        }
        if cpu > request {
            advice.push(format!("{name} requests {} of CPU and uses {cpu}m: request {}m", asked.cpu_request, steps(cpu + cpu / 4, 50)));
        }
    }
    advice
}

/// Rounded up to whole steps.
fn steps(value: u64, step: u64) -> u64 {
    value.div_ceil(step).max(1) * step
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A workload that asks for 50m to 500m and 128Mi to 256Mi.
    fn check(cpu: u64, mib: u64, claim: bool, expect: &[&str]) {
        let mut workload = crate::stages::tests::blueprint().workload("api").unwrap().clone();
        let resources = &mut workload.resources;
        for (field, value) in [
            (&mut resources.cpu_request, "50m"),
            (&mut resources.cpu_limit, "500m"),
            (&mut resources.memory_request, "128Mi"),
            (&mut resources.memory_limit, "256Mi"),
        ] {
            value.clone_into(field);
        }
        workload.replicas = 1;
        workload.storage = claim.then(|| crate::blueprint::Storage { mount: "/data".into(), size: "1Gi".into() });
        let used = Usage { pod: "pod".into(), container: "api".into(), cpu_millicores: cpu, memory_bytes: mib * MIB };
        assert_eq!(advise(&workload, &used), expect);
    }

    #[test]
    fn what_fits_needs_no_advice() {
        check(50, 128, false, &[]);
        check(1, 33, false, &[]);
    }

    #[test]
    fn too_little_and_too_much_are_told_with_a_number() {
        check(1, 20, false, &["api requests 128Mi of memory and uses 20 MiB: 64Mi would do"]);
        check(1, 129, false, &["api requests 128Mi of memory and uses 129 MiB: request 192Mi, so that its node keeps room for it"]);
        check(
            1,
            230,
            false,
            &[
                "api uses 230 MiB of its memory limit of 256Mi: raise the limit to 512Mi",
                "api requests 128Mi of memory and uses 230 MiB: request 288Mi, so that its node keeps room for it",
            ],
        );
        check(60, 100, false, &["api requests 50m of CPU and uses 60m: request 100m"]);
        check(
            400,
            100,
            false,
            &["api uses 400m of its CPU limit of 500m: raise the limit to 800m, or run 2 replicas", "api requests 50m of CPU and uses 400m: request 500m"],
        );
        check(400, 100, true, &["api uses 400m of its CPU limit of 500m: raise the limit to 800m", "api requests 50m of CPU and uses 400m: request 500m"]);
    }
}
