//! Landfall's engine: from a codebase to verified pods on a local Minikube, every claim backed by evidence; it knows no protocol and no terminal.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        reason = "tests may stop at the first surprise"
    )
)]

pub mod names;
pub mod failure;
pub mod secret;
pub mod quantity;
pub mod files;
pub mod evidence;
pub mod survey;
pub mod config;
pub mod blueprint;
pub mod render;
pub mod policy;
pub mod ask;
pub mod reply;
pub mod ports;
pub mod plan;
pub mod approval;
pub mod journal;
pub mod draft;
pub mod engine;
pub mod rollout;
pub mod probe;
pub mod advisor;
pub mod stages;
pub mod operation;
pub mod report;
pub mod landfall;
pub mod adapters;
