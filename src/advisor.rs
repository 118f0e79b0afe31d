//! What an advisor is told and what its answer may be: a bounded question made of facts, and the refusal of whatever is more than a proposal; it asks nobody.

pub mod brief;
pub mod answer;
pub mod dockerfile;
pub mod values;

pub use answer::{Proposal, read};
pub use brief::{Matter, prompt};
