//! `landfall` alone: what is here, and the next command.

use super::show::Screen;
use crate::story::{self, Block, Mark};
use landfall::ask;
use landfall::config::Config;
use landfall::failure::{Code, Failure};
use std::path::Path;

pub(super) async fn here(screen: &Screen) -> Result<u8, Failure> {
    let landfall = super::engine()?;
    let workspace = super::absolute(Path::new("."));
    let mut blocks = vec![Block::Title(format!("landfall {} in {workspace}", env!("CARGO_PKG_VERSION")))];
    let survey = landfall.analyze(&ask::AnalyzeProject { workspace: Some(workspace.clone()), path: None, detail: ask::Detail::Summary }).await;
    let operations = landfall.operations(Some(&workspace)).await.unwrap_or_default();
    let next = match &survey {
        Ok(reply) => {
            blocks.extend(super::look::facts(&reply.more));
            match operations.first() {
                Some(operation) if !operation.state.settled() => format!("landfall operations show {} --follow", operation.id),
                Some(_) => "landfall status".to_owned(),
                None if Path::new(&workspace).join(Config::FILE).exists() => "landfall up".to_owned(),
                None => "landfall plan, then landfall up".to_owned(),
            }
        }
        Err(failure) if failure.code == Code::NothingToDeploy => {
            blocks.push(Block::Line(Mark::Plain, "nothing to deploy in this folder".to_owned()));
            "landfall analyze DIR".to_owned()
        }
        Err(failure) => {
            blocks.push(Block::Line(Mark::Warning, failure.to_string()));
            if failure.help.is_empty() { "landfall doctor".to_owned() } else { failure.help.clone() }
        }
    };
    if let Some(operation) = operations.first() {
        blocks.push(story::operation(operation));
    }
    blocks.push(Block::title("Next"));
    blocks.push(Block::Line(Mark::Plain, next));
    blocks.push(Block::Line(Mark::Plain, "landfall --help for everything, landfall serve for MCP clients".to_owned()));
    screen.print(&screen.blocks(&blocks));
    Ok(0)
}
