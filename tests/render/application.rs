//! The application that the rendering is tested with, and strings that must stay strings.

use landfall::blueprint::{Blueprint, Wishes, draw};
use landfall::config::Config;
use landfall::names::{AppName, EnvironmentName, ServiceName};
use landfall::render::ChartOptions;
use landfall::survey::{Service, Survey};
use std::collections::BTreeMap;

pub(crate) fn survey() -> Survey {
    serde_json::from_str(include_str!("survey.json")).unwrap()
}

pub(crate) fn blueprint(survey: &Survey, toml: &str) -> Blueprint {
    let wishes = Wishes { backing: BTreeMap::from([("postgres".to_owned(), "in_cluster".to_owned())]), ..Wishes::default() };
    draw(survey, &Config::parse(&format!("schema = 1\n{toml}")).unwrap(), &AppName::parse("notes").unwrap(), &wishes).unwrap()
}

pub(crate) fn environments() -> ChartOptions {
    ChartOptions { environments: ["minikube", "prod"].map(|name| EnvironmentName::parse(name).unwrap()).to_vec() }
}

pub(crate) fn tags(blueprint: &Blueprint) -> BTreeMap<ServiceName, String> {
    blueprint.workloads.iter().map(|workload| (workload.name.clone(), "0123456789ab".to_owned())).collect()
}

pub(crate) fn service<'s>(survey: &'s mut Survey, name: &str) -> &'s mut Service {
    survey.services.iter_mut().find(|service| service.name.as_str() == name).unwrap()
}

pub(crate) const HOSTILE: &[&str] = &[
    "{{ .Release.Name }}",
    "}}{{ fail \"x\" }}",
    "a\nevil: true",
    "\"; rm -rf /; \"",
    "$(cat /etc/passwd)",
    "$$(HOME) ${HOME} `id`",
    "yes",
    "on",
    "0755",
    "1e3",
    "null",
    "# not a comment",
    "a: b\t- c",
    "\u{2028}\u{feff}\u{0}x",
    "'''",
    "*anchor &x !tag",
    "",
];
