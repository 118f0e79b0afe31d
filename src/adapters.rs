//! The world behind the ports: programs, engines, clusters and peers; nothing here judges what it sees.

pub mod exec;
pub mod clock;
