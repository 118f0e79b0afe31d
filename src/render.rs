//! A blueprint becomes files: Dockerfiles, ignore files and charts; the same blueprint gives the same bytes, and nothing here is written to disk.

mod dockerfile;
mod chart;
mod context;
mod compare;
mod sbom;
mod advice;
mod template;
mod yaml;

pub use advice::advice;
pub use chart::{CHARTS, ChartOptions, DIGEST, chart_folder, charts, digest_values, overlay};
pub use compare::{Action, By, FileChange, Lock, base, compare, diff, three_way_merge};
pub use context::{IgnoreRules, context_files, ignore_rules};
pub use dockerfile::{bases, dockerfiles, pinned};
pub use sbom::sbom;

use serde::{Deserialize, Serialize};

/// Version of the templates; it grows when a template changes what it writes.
pub const TEMPLATES: u32 = 1;

/// A file to write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenderedFile {
    /// Relative to the workspace, with `/`.
    pub path: String,
    pub text: String,
    /// Carries the executable bit.
    #[serde(default)]
    pub executable: bool,
}

impl RenderedFile {
    /// A plain file.
    pub fn new(path: String, text: String) -> Self {
        Self { path, text, executable: false }
    }
}
