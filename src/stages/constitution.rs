//! The workspace's constitution at the helm gate: every principle that a machine can keep is a check that quotes it; what it cannot keep is left to people.

use crate::evidence::{Check, Evidence, Finding, Source};
use crate::names::EnvironmentName;
use crate::policy::{Broken, principles};
use crate::survey::{Service, Survey};

/// The check of a rule of the constitution.
pub const PREFIX: &str = "helm.constitution.";

/// One check for each rule that the constitution asks for, over what was rendered for one workload and what the survey found in its folder.
/// `service` is the workload's own, absent for a database and its like; `objects` counts what was rendered.
pub fn judge(survey: &Survey, service: Option<&Service>, broken: &[(&EnvironmentName, Broken)], objects: usize) -> Vec<Check> {
    let mut checks: Vec<Check> = Vec::new();
    for principle in &survey.specs.principles {
        for (kept, sentence) in principles::kept(&principle.title, &principle.text) {
            let id = format!("{PREFIX}{}", kept.rule);
            // Two principles that ask for the same are one check: the first is quoted.
            if checks.iter().any(|check| check.id == id) {
                continue;
            }
            let probed = format!("{} · {}: “{}”", principle.evidence.file, principle.title, crate::secret::plain(&sentence, 200));
            if objects == 0 {
                checks.push(Check::not_run(&id, probed, "nothing was rendered"));
                continue;
            }
            let mut against = against(kept.policy, kept.findings, survey, service, broken);
            checks.push(if against.is_empty() {
                let told = format!("{objects} objects and the survey of the sources, nothing against it");
                Check::pass(&id, probed, Evidence::from(&principle.evidence).seen_as(&told))
            } else {
                against.truncate(10);
                Check::fail(&id, probed, format!("{} places break it", against.len()), against)
            });
        }
    }
    checks
}

/// No secret's value in what git tracks of a service, and in what was rendered for it. Not required: the survey's blockers refuse before.
pub fn no_secrets(survey: &Survey, service: Option<&Service>, broken: &[(&EnvironmentName, Broken)], objects: usize) -> Check {
    const POLICY: &[&str] = &["secret_values", "secret_in_config_map", "literal_secret"];
    const FINDINGS: &[&str] = &["secret_in_tracked_file", "secret_value_in_values_yaml", "secret_as_plain_env", "db_password_in_plain_env", "secret_in_image"];
    let (id, probed) = ("helm.no_secrets", "secret values in tracked files and rendered objects");
    if objects == 0 {
        return Check::not_run(id, probed, "nothing was rendered").optional();
    }
    let against = against(POLICY, FINDINGS, survey, service, broken);
    if against.is_empty() {
        let seen = format!("{} findings of the survey and {objects} objects, no secret's value among them", survey.findings.len());
        return Check::pass(id, probed, Evidence::new(Source::Program, "survey and policy table", &seen)).optional();
    }
    Check::fail(id, probed, format!("{} places hold a secret's value", against.len()), against).optional()
}

/// What breaks these rules and has these findings, with its places.
fn against(policy: &[&str], findings: &[&str], survey: &Survey, service: Option<&Service>, broken: &[(&EnvironmentName, Broken)]) -> Vec<Evidence> {
    let rules = broken.iter().filter(|(_, broken)| policy.contains(&broken.rule));
    let mut against: Vec<Evidence> = rules
        .map(|(environment, broken)| Evidence::new(Source::Object, format!("{} ({environment})", broken.at), &format!("{}: {}", broken.rule, broken.message)))
        .collect();
    let found = survey.findings.iter().filter(|finding| findings.contains(&finding.code.as_str()) && concerns(finding, service, &survey.services));
    against.extend(found.flat_map(|finding| {
        let places = finding.evidence.iter().map(|place| Evidence::new(Source::File, format!("{}:{}", place.file, place.line), &finding.message));
        places.take(3).collect::<Vec<_>>()
    }));
    against
}

/// True where the finding is this service's to mend: it lies in its folder, or in nobody's and this is the first service.
fn concerns(finding: &Finding, service: Option<&Service>, all: &[Service]) -> bool {
    let Some(service) = service else { return false };
    let inside = |dir: &str, file: &str| dir == "." || file.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let Some(place) = finding.evidence.first() else { return all.first().is_some_and(|first| first.name == service.name) };
    // The deepest folder that holds the place owns it.
    let owner = all.iter().filter(|other| inside(&other.dir, &place.file)).max_by_key(|other| if other.dir == "." { 0 } else { other.dir.len() });
    match owner.or_else(|| all.first()) {
        Some(owner) => owner.dir == service.dir || owner.name == service.name,
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{Outcome, Place, Severity};
    use crate::survey::Principle;

    fn survey(principle: &str, findings: &[(&str, &str)]) -> Survey {
        let mut survey: Survey = serde_json::from_str(include_str!("../../tests/render/survey.json")).unwrap();
        survey.specs.principles =
            vec![Principle { title: "I. Law".into(), text: principle.into(), evidence: Place::new(".specify/memory/constitution.md", 3, "### I. Law") }];
        survey.findings = findings
            .iter()
            .map(|(code, file)| Finding {
                code: (*code).into(),
                severity: Severity::Warning,
                message: "it is there".into(),
                help: String::new(),
                evidence: vec![Place::new(*file, 7, "")],
                fix: None,
            })
            .collect();
        survey
    }

    fn outcomes(survey: &Survey, name: &str, broken: &[&'static str], objects: usize) -> Vec<(String, Outcome)> {
        let environment = EnvironmentName::parse("minikube").unwrap();
        let broken: Vec<_> = broken.iter().map(|rule| (&environment, Broken { rule, at: "Deployment/x".into(), message: "so".into() })).collect();
        let service = survey.services.iter().find(|service| service.name.as_str() == name);
        judge(survey, service, &broken, objects).into_iter().map(|check| (check.id, check.outcome)).collect()
    }

    fn check(survey: &Survey, name: &str, broken: &[&'static str], objects: usize, expect: &[(&str, Outcome)]) {
        let expect: Vec<_> = expect.iter().map(|(rule, outcome)| (format!("{PREFIX}{rule}"), *outcome)).collect();
        assert_eq!(outcomes(survey, name, broken, objects), expect);
    }

    #[test]
    fn a_principle_that_can_be_kept_is_a_check_and_another_is_not() {
        check(&survey("Containers run as non-root.", &[]), "api", &[], 5, &[("non_root", Outcome::Pass)]);
        check(&survey("Containers run as non-root.", &[]), "api", &["run_as_root"], 5, &[("non_root", Outcome::Fail)]);
        check(&survey("Containers run as non-root.", &[]), "api", &["resources"], 5, &[("non_root", Outcome::Pass)]);
        check(&survey("Containers run as non-root.", &[]), "api", &[], 0, &[("non_root", Outcome::NotRun)]);
        check(&survey("Write clearly.", &[]), "api", &["run_as_root"], 5, &[]);
    }

    #[test]
    fn a_finding_breaks_the_principle_where_its_file_lies() {
        let law = "Secrets are never committed.";
        check(&survey(law, &[("secret_default_in_code", "api/app/config.py")]), "api", &[], 5, &[("no_secrets_in_code", Outcome::Fail)]);
        check(&survey(law, &[("secret_default_in_code", "api/app/config.py")]), "web", &[], 5, &[("no_secrets_in_code", Outcome::Pass)]);
        check(&survey(law, &[("latest_tag", "api/Dockerfile")]), "api", &[], 5, &[("no_secrets_in_code", Outcome::Pass)]);
        check(&survey(law, &[("secret_in_tracked_file", "api/.env")]), "db", &[], 5, &[("no_secrets_in_code", Outcome::Pass)]);
    }

    #[test]
    fn a_finding_in_nobodys_folder_is_the_first_services() {
        let survey = survey("Secrets are never committed.", &[("secret_in_tracked_file", ".env")]);
        let first = survey.services.first().unwrap().name.to_string();
        let last = survey.services.last().unwrap().name.to_string();
        check(&survey, &first, &[], 5, &[("no_secrets_in_code", Outcome::Fail)]);
        check(&survey, &last, &[], 5, &[("no_secrets_in_code", Outcome::Pass)]);
    }

    #[test]
    fn a_secret_in_a_tracked_file_or_in_an_object_is_told() {
        let environment = EnvironmentName::parse("minikube").unwrap();
        let outcome = |findings: &[(&str, &str)], rule: Option<&'static str>| {
            let survey = survey("x", findings);
            let broken: Vec<_> = rule.iter().map(|rule| (&environment, Broken { rule, at: "ConfigMap/x".into(), message: "so".into() })).collect();
            no_secrets(&survey, survey.services.iter().find(|service| service.name.as_str() == "api"), &broken, 5).outcome
        };
        assert_eq!(outcome(&[], None), Outcome::Pass);
        assert_eq!(outcome(&[("secret_in_tracked_file", "api/.env")], None), Outcome::Fail);
        assert_eq!(outcome(&[("secret_in_tracked_file", "web/.env")], None), Outcome::Pass);
        assert_eq!(outcome(&[("no_resources", "api/x.yaml")], None), Outcome::Pass);
        assert_eq!(outcome(&[], Some("secret_in_config_map")), Outcome::Fail);
        assert_eq!(outcome(&[], Some("resources")), Outcome::Pass);
    }

    #[test]
    fn the_principle_is_quoted() {
        let survey = survey("Be kind. Containers run as non-root.", &[]);
        let checks = judge(&survey, survey.services.first(), &[], 5);
        assert_eq!(checks.first().map(|check| check.probed.as_str()), Some(".specify/memory/constitution.md · I. Law: “Containers run as non-root.”"));
        assert!(checks.iter().all(|check| check.required), "a violation refuses");
    }
}
