//! Commands with a part of their own beside the tool: init, report and down.

use super::show::Screen;
use super::{Way, act, approve};
use crate::tools;
use landfall::ask;
use landfall::config::Config;
use landfall::failure::{Code, Failure};
use landfall::landfall::Landfall;
use landfall::names::AppName;
use std::path::{Path, PathBuf};

pub(super) async fn init(landfall: &Landfall, screen: &Screen, workspace: Option<String>, print: bool, force: bool) -> Result<u8, Failure> {
    let text = landfall.initial_config(workspace.as_deref()).await?;
    if print {
        screen.print(&text);
        return Ok(0);
    }
    let path = Path::new(workspace.as_deref().unwrap_or(".")).join(Config::FILE);
    if path.exists() && !force {
        return Err(Failure::new(Code::FileConflict, format!("{} is there already", path.display()))
            .help("landfall init --print shows a fresh one; --force replaces yours"));
    }
    std::fs::write(&path, &text).map_err(|error| Failure::file("write", &path, &error))?;
    screen.say(&format!("wrote {}; read it, then: landfall plan", path.display()));
    Ok(0)
}

pub(super) async fn report(landfall: &Landfall, screen: &Screen, ask: ask::DeploymentReport, output: Option<PathBuf>) -> Result<u8, Failure> {
    let reply = landfall.report(&ask).await?;
    if let Some(path) = output {
        let whole = reply.reply.resources.iter().find(|link| link.uri.starts_with("landfall://report/"));
        let text = match (whole, &reply.more.report) {
            (Some(link), _) => {
                let workspace = ask.workspace.as_deref().unwrap_or_default();
                crate::resources::whole(landfall, &link.uri, workspace).await?
            }
            (None, Some(report)) => report.markdown.clone(),
            (None, None) => return Err(Failure::new(Code::OperationNotFound, "there is no report to write").help("landfall deploy first")),
        };
        let end = if text.ends_with('\n') { "" } else { "\n" };
        std::fs::write(&path, format!("{text}{end}")).map_err(|error| Failure::file("write", &path, &error))?;
        screen.say(&format!("wrote {}", path.display()));
    }
    Ok(screen.reply::<tools::DeploymentReport>(&reply))
}

pub(super) async fn down(landfall: &Landfall, screen: &Screen, ask: ask::Rollback, way: Way, purge_data: bool) -> Result<u8, Failure> {
    if purge_data && !approve::at_terminal() {
        return Err(Failure::new(Code::ApprovalRequired, "--purge-data deletes data for good and asks at a terminal").help("run it in a terminal"));
    }
    let reply = match act::to_the_end::<tools::Rollback>(landfall, screen, ask.clone(), way).await {
        Ok(reply) => reply,
        // What is down already may still have data.
        Err(failure) if purge_data && failure.code == Code::NotDeployed => {
            return purge(landfall, screen, &ask, None).await;
        }
        Err(failure) => return Err(failure),
    };
    let Some(reply) = reply else { return Ok(130) };
    let code = screen.reply::<tools::Rollback>(&reply);
    if !purge_data || code != 0 {
        return Ok(code);
    }
    let app = reply.reply.target.as_ref().map(|target| target.app.clone());
    purge(landfall, screen, &ask, app).await
}

async fn purge(landfall: &Landfall, screen: &Screen, ask: &ask::Rollback, app: Option<String>) -> Result<u8, Failure> {
    let folder = ask.workspace.as_deref().unwrap_or(".");
    let app = app.or_else(|| Config::load(Path::new(folder)).ok().and_then(|config| config.app.name).map(String::from));
    let app = app.unwrap_or_else(|| AppName::from_folder(Path::new(folder)).to_string());
    screen.say("volumes with their data and the generated secrets are deleted for good");
    if !approve::typed(&app) {
        screen.say("declined: data stays");
        return Ok(4);
    }
    for deleted in landfall.purge_data(ask).await? {
        screen.say(&format!("deleted {deleted}"));
    }
    Ok(0)
}
