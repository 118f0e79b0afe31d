//! What helm and the API server say when objects are refused before any pod exists, read into rows of the taxonomy.
//! Neither gives these answers a structure that survives helm, so words of their sources are looked for; what is not recognised stays unnamed.

use super::taxonomy::{Row, row};

/// Words that stand in a refusal, the most specific code first. Any one of a row's groups counts; all words of a group must be there, in any case.
const WORDS: [(&str, &[&[&str]]); 22] = [
    ("CERT_EXPIRED", &[&["certificate has expired"], &["certificate expired"]]),
    ("CLOCK_SKEW", &[&["not yet valid"], &["not valid yet"]]),
    ("API_THROTTLE_ETCD", &[&["etcdserver: request timed out"], &["etcdserver: leader changed"], &["too many requests"]]),
    ("API_UNREACHABLE", &[&["cluster unreachable"], &["dial tcp", "connection refused"], &["dial tcp", "i/o timeout"]]),
    ("HELM_PENDING", &[&["another operation (install/upgrade/rollback) is in progress"]]),
    ("HELM_TOO_LARGE", &[&["request entity too large"], &["must have at most 1048576"], &["chart file", "is larger than the maximum file size"]]),
    ("HELM_HOOK_FAILED", &[&["hooks failed"], &["failed pre-install"], &["failed post-install"], &["failed pre-upgrade"], &["failed post-upgrade"]]),
    ("NS_TERMINATING", &[&["because it is being terminated"]]),
    ("ADMISSION_DOWN", &[&["failed calling webhook"]]),
    ("ADMISSION_DENY", &[&["denied the request"], &["validatingadmissionpolicy", "denied request"]]),
    ("QUOTA_MUST_SPECIFY", &[&["failed quota:", "must specify"]]),
    ("QUOTA_EXCEEDED", &[&["exceeded quota:"]]),
    ("API_EXISTS_NOT_OWNED", &[&["invalid ownership metadata"]]),
    ("API_CONFLICT_SSA", &[&["apply failed with", "conflict"]]),
    ("API_IMMUTABLE", &[&["field is immutable"], &["updates to statefulset spec for fields other than"], &["spec is immutable after creation"]]),
    ("SVC_NODEPORT_TAKEN", &[&["provided port is already allocated"]]),
    ("RBAC_CREATE", &[&["is forbidden: user"]]),
    ("API_NO_KIND", &[&["no matches for kind"]]),
    ("PVC_LOST_RESIZE", &[&["field can not be less than"]]),
    ("API_VALIDATION", &[&["is invalid:"], &["unknown field"], &["error validating data"], &["cannot unmarshal"], &["in version", "cannot be handled as a"]]),
    (
        "HELM_RENDER",
        &[
            &["execution error at"],
            &["parse error at"],
            &["error calling include"],
            &["executing \"", "at <"],
            &["values don't meet the specifications"],
            &["yaml parse error on"],
        ],
    ),
    ("LIMITRANGE", &[&["maximum memory usage"], &["maximum cpu usage"], &["minimum memory usage"], &["minimum cpu usage"]]),
];

/// The row that a refusal's lines speak of, with the line that says so.
pub fn read<'a>(lines: impl Iterator<Item = &'a str> + Clone) -> Option<(&'static Row, &'a str)> {
    WORDS.iter().find_map(|(code, groups)| {
        let says = |line: &&str| {
            let line = line.to_lowercase();
            groups.iter().any(|group| group.iter().all(|word| line.contains(word)))
        };
        Some((row(code)?, lines.clone().find(says)?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_named_and_other_errors_are_not() {
        let check = |line: &str, expect: Option<&str>| assert_eq!(read([line].into_iter()).map(|(row, _)| row.code), expect, "{line}");
        check("Error: UPGRADE FAILED: pre-upgrade hooks failed: job failed: BackoffLimitExceeded", Some("HELM_HOOK_FAILED"));
        check("Deployment.apps \"a\" is invalid: spec.selector: Invalid value: {}: field is immutable", Some("API_IMMUTABLE"));
        check("Service \"a\" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated", Some("SVC_NODEPORT_TAKEN"));
        check("Deployment.apps \"a\" is invalid: spec.replicas: Invalid value: -1", Some("API_VALIDATION"));
        check("pods \"a\" is forbidden: User \"dev\" cannot create resource \"pods\"", Some("RBAC_CREATE"));
        check("error converting YAML to JSON: yaml: line 3: did not find expected key", None);
        check("the field is a table and was replaced", None);
    }

    #[test]
    fn every_code_has_its_row() {
        for (code, groups) in WORDS {
            assert!(row(code).is_some() && !groups.is_empty(), "{code}");
            assert!(groups.iter().flat_map(|group| group.iter()).all(|word| *word == word.to_lowercase()), "{code}: words are compared in lower case");
        }
    }
}
