//! The world behind the ports: programs, engines, clusters and peers; nothing here judges an application.

pub mod exec;
pub mod wire;
pub mod engine;
pub mod minikube;
pub mod proof;
pub mod buildkit_session;
pub mod docker;
pub mod helm;
pub mod kube;
pub mod mcp_peer;
pub mod scanner;
pub mod advisors;
pub mod clock;
