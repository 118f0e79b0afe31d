//! The only code that touches the world: each file implements one port; it decides nothing.

pub mod kube;
