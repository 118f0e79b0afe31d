//! verify_mcp: whether the deployed MCP server really answers, from where its caller stands.

use super::{Effect, Offer};
use crate::story::{Block, Mark, word};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Verified, With};

#[derive(Debug)]
pub(crate) struct VerifyMcp;

impl Offer for VerifyMcp {
    type Ask = ask::VerifyMcp;
    type More = Verified;
    const NAME: &'static str = "verify_mcp";
    const TITLE: &'static str = "Verify deployed MCP server";
    const DESCRIPTION: &'static str = "Prove the MCP server of the deployed app: handshake, tools/list and real tools/call with the Host header its chatbot uses. Calls only read-only tools unless writes=with_cleanup is approved.";
    const EFFECT: Effect = Effect::Reads;
    const LOOKS_AT: &'static str = "the deployed MCP server and the API server of the profile";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.verify_mcp(ask).await
    }

    fn facts(more: &Verified) -> Vec<Block> {
        let mut blocks = Vec::new();
        if let Some(shape) = more.shape {
            blocks.push(Block::Line(Mark::Plain, format!("MCP in this workspace: {}", word(shape))));
        }
        if let Some(server) = &more.server {
            blocks.push(Block::Line(
                Mark::Good,
                format!("{} {} speaks {} at {} (Host: {})", server.name, server.version, server.protocol, server.path, server.host_header),
            ));
        }
        let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
        let rows = more
            .tools
            .iter()
            .map(|tool| {
                vec![
                    tool.name.clone(),
                    yes(tool.in_spec),
                    yes(tool.in_chatbot),
                    yes(tool.called),
                    tool.outcome.clone().unwrap_or_default(),
                    tool.ms.map(|ms| format!("{ms:.0}")).unwrap_or_default(),
                ]
            })
            .collect();
        blocks.extend(Block::table("Tools", &["tool", "in spec", "in chatbot", "called", "outcome", "ms"], rows));
        blocks
    }

    fn approve(ask: &mut Self::Ask, token: &str) -> bool {
        ask.approval = Some(token.to_owned());
        true
    }
}
