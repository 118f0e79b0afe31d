//! A bounded start of an image without network, rights or write access; the container is removed whatever happens.

use super::{ASK, bounded, is_absent, refused};
use crate::adapters::engine::{Engine, chain};
use crate::failure::{Code, Failure};
use crate::ports::{Started, TryStart};
use crate::secret::plain;
use bollard::errors::Error;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
    StartContainerOptions,
};
use futures::StreamExt as _;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Marks containers that only we make, so that what a killed process left can be found.
const LABEL: &str = "landfall.dev/trial";
/// No trial takes longer; an older container is nobody's.
const STALE: i64 = 900;
/// What is shown of the log: the end.
const LOG: usize = 16 * 1024;

/// Starts the image and watches it.
pub(super) async fn try_start(engine: &Engine, request: &TryStart) -> Result<Started, Failure> {
    let name = format!("landfall-trial-{}", crate::secret::noise::<6>()?);
    sweep(engine).await;
    let doing = format!("try to start {}", request.reference);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let container = Container { engine: engine.clone(), name: Some(name.clone()) };
    match bounded(&doing, ASK, engine.docker().create_container(Some(options), body(request))).await? {
        Ok(_) => {}
        Err(error) if is_absent(&error) => {
            return Err(Failure::new(Code::ProgramFailed, format!("{doing}: the engine does not have the image"))
                .cause(chain(&error))
                .help("build the image first"));
        }
        Err(error) => return Err(refused(&doing, engine, &error)),
    }
    match bounded(&doing, ASK, engine.docker().start_container(&name, None::<StartContainerOptions>)).await? {
        Ok(()) => {}
        // The engine is well; what it was told to start is not.
        Err(Error::DockerResponseServerError { message, .. }) => {
            let code = state(engine, &name, &doing).await.ok().and_then(|state| state.1).filter(|code| *code != 0);
            container.remove().await;
            return Ok(Started { exit_code: Some(code.unwrap_or(127)), log: String::new(), error: plain(&message, 600) });
        }
        Err(error) => return Err(refused(&doing, engine, &error)),
    }
    let end = tokio::time::Instant::now() + request.watch;
    let exit_code = loop {
        let (running, code) = state(engine, &name, &doing).await?;
        if !running {
            break code;
        }
        if tokio::time::Instant::now() >= end {
            break None;
        }
        tokio::time::sleep(Duration::from_millis(150)).await;
    };
    let log = tail(engine, &name).await;
    container.remove().await;
    Ok(Started { exit_code, log, error: String::new() })
}

fn body(request: &TryStart) -> ContainerCreateBody {
    let memory = |path: &String| (path.clone(), "rw,nosuid,nodev,size=64m,mode=1777".to_owned());
    ContainerCreateBody {
        image: Some(request.reference.to_string()),
        user: (!request.user.is_empty()).then(|| request.user.clone()),
        env: Some(request.env.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        cmd: request.command.as_ref().map(|command| command.iter().skip(1).cloned().collect()),
        entrypoint: request.command.as_ref().map(|command| command.iter().take(1).cloned().collect()),
        labels: Some(HashMap::from([(LABEL.to_owned(), "1".to_owned())])),
        network_disabled: Some(true),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            readonly_rootfs: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            tmpfs: Some(request.writable.iter().map(memory).collect()),
            pids_limit: Some(512),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Whether it runs, and its exit code where it does not.
async fn state(engine: &Engine, name: &str, doing: &str) -> Result<(bool, Option<i64>), Failure> {
    let seen = bounded(doing, ASK, engine.docker().inspect_container(name, None::<InspectContainerOptions>)).await?;
    let state = seen.map_err(|error| refused(doing, engine, &error))?.state.unwrap_or_default();
    Ok((state.running.unwrap_or_default(), state.exit_code))
}

/// The end of both streams in the order they were written.
async fn tail(engine: &Engine, name: &str) -> String {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail("500").build();
    let mut text = String::new();
    let reading = async {
        let mut lines = std::pin::pin!(engine.docker().logs(name, Some(options)));
        while let Some(Ok(line)) = lines.next().await {
            text.push_str(&String::from_utf8_lossy(line.as_ref()));
            if text.len() > 4 * LOG {
                cut(&mut text);
            }
        }
    };
    // A log that does not end is cut where it is.
    let _ = tokio::time::timeout(Duration::from_secs(5), reading).await;
    cut(&mut text);
    plain(&text, LOG)
}

fn cut(text: &mut String) {
    text.drain(..text.ceil_char_boundary(text.len().saturating_sub(LOG)));
}

/// Removes what killed processes of ours left; it is in nobody's way, so a failure is not told.
async fn sweep(engine: &Engine) {
    let filters = BTreeMap::from([("label".to_owned(), vec![LABEL.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters.into_iter().collect::<HashMap<_, _>>()).build();
    let Ok(Ok(found)) = tokio::time::timeout(Duration::from_secs(3), engine.docker().list_containers(Some(options))).await else { return };
    let now = jiff::Timestamp::now().as_second();
    for old in found.into_iter().filter(|container| container.created.is_some_and(|created| now - created > STALE)) {
        if let Some(id) = old.id {
            Container { engine: engine.clone(), name: Some(id) }.remove().await;
        }
    }
}

/// A container that is removed, in the background where the value is dropped.
struct Container {
    engine: Engine,
    name: Option<String>,
}

impl Container {
    async fn remove(mut self) {
        if let Some(name) = self.name.take() {
            delete(&self.engine, &name).await;
        }
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let (Some(name), Ok(runtime)) = (self.name.take(), tokio::runtime::Handle::try_current()) else { return };
        let engine = self.engine.clone();
        runtime.spawn(async move { delete(&engine, &name).await });
    }
}

async fn delete(engine: &Engine, name: &str) {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    // What stays is swept by the next trial.
    let _ = tokio::time::timeout(ASK, engine.docker().remove_container(name, Some(options))).await;
}
