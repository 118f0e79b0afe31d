//! The server as its clients see it: a real process, spoken to over stdio and HTTP, raw and with rmcp's client.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    deprecated,
    reason = "tests may stop at the first surprise"
)]

#[path = "server/consent.rs"]
mod consent;
#[path = "server/conversations.rs"]
mod conversations;
#[path = "server/distribution.rs"]
mod distribution;
#[path = "server/http.rs"]
mod http;
#[path = "server/install.rs"]
mod install;
#[path = "server/lines.rs"]
mod lines;
#[path = "server/modern.rs"]
mod modern;
#[path = "server/news.rs"]
mod news;
#[path = "server/papers.rs"]
mod papers;
#[path = "server/program.rs"]
mod program;
#[path = "server/replies.rs"]
mod replies;
#[path = "server/resources.rs"]
mod resources;
#[path = "server/safety.rs"]
mod safety;
#[path = "server/shape.rs"]
mod shape;
#[path = "server/shop.rs"]
mod shop;
#[path = "server/stdio.rs"]
mod stdio;
