//! A service on its way into the survey: its facts so far, and the files they come from.

use super::{Kind, Place, Port, Service};
use crate::names::ServiceName;
use std::collections::BTreeMap;

/// A service being put together.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) service: Service,
    /// Source files that belong to it.
    pub(crate) sources: Vec<String>,
    /// The file it begins in.
    pub(crate) entry: Option<String>,
    /// The manifest's own name.
    pub(crate) manifest_name: Option<String>,
    /// Told apart from others in its folder by this word.
    pub(crate) process: Option<String>,
    /// It is certain that this is to be deployed: it listens, serves pages, or somebody wrote down how to run it.
    pub(crate) certain: bool,
    /// The port is only what the framework takes by default.
    pub(crate) assumed_port: bool,
    /// What could not be decided.
    pub(crate) unknown: Vec<(String, Vec<Place>)>,
}

impl Draft {
    pub(crate) fn new(dir: &str, language: &str, kind: Kind) -> Self {
        let service = Service {
            name: ServiceName::slug("service", "service"),
            dir: dir.to_owned(),
            kind,
            language: language.to_owned(),
            language_version: None,
            framework: None,
            package_manager: None,
            install_command: None,
            build_command: None,
            start_command: None,
            ports: Vec::new(),
            health: None,
            env: Vec::new(),
            backing: Vec::new(),
            mcp: None,
            calls: Vec::new(),
            dockerfile: None,
            chart: None,
            compose_service: None,
            dependencies: BTreeMap::new(),
            build_facts: BTreeMap::new(),
            writes: Vec::new(),
            evidence: BTreeMap::new(),
        };
        Self { service, sources: Vec::new(), entry: None, manifest_name: None, process: None, certain: false, assumed_port: false, unknown: Vec::new() }
    }

    /// Notes where a field's fact was seen.
    pub(crate) fn shows(&mut self, field: &str, place: Place) {
        let places = self.service.evidence.entry(field.to_owned()).or_default();
        if !places.contains(&place) && places.len() < 5 {
            places.push(place);
        }
    }

    pub(crate) fn fact(&mut self, key: &str, value: impl Into<String>) {
        self.service.build_facts.insert(key.to_owned(), value.into());
    }

    /// Adds a port, or more evidence for one that is there.
    pub(crate) fn port(&mut self, port: u16, protocol: &str, place: Place) {
        if let Some(known) = self.service.ports.iter_mut().find(|known| known.port == port) {
            if !known.evidence.contains(&place) {
                known.evidence.push(place);
            }
            return;
        }
        self.service.ports.push(Port { port, protocol: protocol.to_owned(), evidence: vec![place] });
    }

    pub(crate) fn start(&mut self, command: impl Into<String>, place: Place) {
        self.service.start_command = Some(command.into());
        self.service.evidence.insert("start_command".to_owned(), vec![place]);
    }
}
