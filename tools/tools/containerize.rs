//! containerize: Dockerfiles, images, and the docker gate.

use super::{Effect, Offer};
use crate::story::{Block, short, size};
use landfall::ask;
use landfall::failure::Failure;
use landfall::landfall::Landfall;
use landfall::reply::{Containerized, With};

#[derive(Debug)]
pub(crate) struct Containerize;

impl Offer for Containerize {
    type Ask = ask::Containerize;
    type More = Containerized;
    const NAME: &'static str = "containerize";
    const TITLE: &'static str = "Containerize";
    const DESCRIPTION: &'static str = "Write a Dockerfile and .dockerignore per service and build the images where the cluster sees them, judged by the docker gate. until=files needs no engine; builds return an operation.";
    const EFFECT: Effect = Effect::Writes;
    const OPEN_WORLD: bool = true;
    const LOOKS_AT: &'static str = "the files of the workspace and the container engine";

    async fn call(landfall: &Landfall, ask: &Self::Ask) -> Result<With<Self::More>, Failure> {
        landfall.containerize(ask).await
    }

    fn facts(more: &Containerized) -> Vec<Block> {
        let rows = more
            .images
            .iter()
            .map(|image| {
                vec![
                    image.service.clone(),
                    image.reference.clone(),
                    size(image.size_bytes),
                    image.layers.to_string(),
                    short(&image.id).to_owned(),
                    image.on_nodes.join(" "),
                ]
            })
            .collect();
        Block::table("Images", &["service", "image", "size", "layers", "id", "on nodes"], rows)
    }

    fn approve(ask: &mut Self::Ask, token: &str) -> bool {
        ask.approval = Some(token.to_owned());
        true
    }
}
