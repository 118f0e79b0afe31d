//! Whether somebody else could watch the app: metrics that Prometheus can read, and a place where an alert would arrive.

use super::validate::Look;
use crate::blueprint::Workload;
use crate::evidence::{Check, Evidence, Source};
use crate::ports::Monitor;
use crate::probe::{HttpAsk, http_through_forward};
use std::time::Duration;

const ASK: Duration = Duration::from_secs(5);

impl Look<'_> {
    /// Whether the cluster has somebody who would tell of an alert. Not required: an app runs without being watched.
    pub(super) async fn alerts(&self) -> Check {
        let told = match self.world.cluster.monitor(self.at).await {
            Ok(monitor) => alerted(monitor),
            Err(failure) => Check::not_run("validation.alerts", ALERTS, failure.to_string()),
        };
        told.optional()
    }

    /// The metrics route answers in Prometheus' format; nothing where the app is not known to have one. Not required either.
    pub(super) async fn exposed(&self, workload: &Workload, pod: &str) -> Option<Check> {
        let (metrics, port) = (workload.metrics()?, workload.port?);
        let probed = format!("GET {} of Pod/{pod}", metrics.path);
        let ask = HttpAsk::get(&metrics.path, "localhost", ASK);
        let check = match http_through_forward(self.world.cluster.as_ref(), self.at, &self.blueprint.namespace, pod, port, &ask).await {
            Ok(seen) => {
                let samples = samples(seen.body.reveal());
                let told = Evidence::new(Source::Probe, probed.clone(), &format!("status {}, {samples} samples", seen.status));
                if seen.status == 200 && samples > 0 {
                    Check::pass("validation.exposed", probed, told)
                } else {
                    Check::fail("validation.exposed", probed, "it does not answer in Prometheus' format", vec![told])
                }
            }
            Err(failure) => Check::not_run("validation.exposed", probed, failure.to_string()),
        };
        Some(check.optional())
    }
}

const ALERTS: &str = "who reads the alert rules, and who would be told";

fn alerted(monitor: Monitor) -> Check {
    let seen =
        Evidence::new(Source::Object, "monitoring.coreos.com/v1", &format!("{} Prometheus, {} Alertmanager", monitor.prometheuses, monitor.alertmanagers));
    match monitor {
        Monitor { types: false, .. } => Check::not_run(
            "validation.alerts",
            ALERTS,
            "the cluster has no Prometheus operator: nothing could receive an alert; landfall status --watch looks while it runs",
        ),
        Monitor { prometheuses: 0, .. } => Check::not_run("validation.alerts", ALERTS, "no Prometheus of the operator reads the rules").with(seen),
        Monitor { alertmanagers: 0, .. } => Check::not_run("validation.alerts", ALERTS, "no Alertmanager of the operator would tell anybody").with(seen),
        Monitor { .. } => Check::pass("validation.alerts", ALERTS, seen),
    }
}

/// Lines `name{labels} value` of the text format; anything else between them makes it another format.
fn samples(text: &str) -> usize {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let sample = |line: &&str| {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let named = name.starts_with(|letter: char| letter.is_ascii_alphabetic() || matches!(letter, '_' | ':'));
        let simple = name.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | ':'));
        let rest = line.rsplit_once('}').map_or_else(|| line.get(name.len()..), |(_, rest)| Some(rest)).unwrap_or_default();
        named && simple && rest.split_whitespace().next().is_some_and(|value| value.parse::<f64>().is_ok())
    };
    // The end may have been cut off.
    if lines.iter().rev().skip(1).all(sample) { lines.iter().filter(|line| sample(line)).count() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Outcome;

    #[test]
    fn samples_are_told_from_other_texts() {
        let check = |text: &str, expect| assert_eq!(samples(text), expect, "{text}");
        check("# HELP up is it up\n# TYPE up gauge\nup 1\nhttp_requests_total{code=\"200\",path=\"/a b\"} 12 1700000000\n", 2);
        check("process_cpu_seconds_total 0.25\nx{a=\"}\"} NaN\ny +Inf\n", 3);
        check("", 0);
        check("{\"requests\": 3}", 0);
        check("<html>\n<body>metrics 1</body>\n</html>", 0);
        check("up 1\nnot found\nup 2\n", 0);
    }

    #[test]
    fn alerts_need_somebody_who_reads_the_rules_and_somebody_who_is_told() {
        let check = |types, prometheuses, alertmanagers, expect| assert_eq!(alerted(Monitor { types, prometheuses, alertmanagers }).outcome, expect);
        check(false, 0, 0, Outcome::NotRun);
        check(true, 0, 1, Outcome::NotRun);
        check(true, 1, 0, Outcome::NotRun);
        check(true, 1, 1, Outcome::Pass);
    }
}
