//! Surveys that still hold: a workspace of which the file system says the same is not read again; it never guesses.

use super::walk::{Beyond, Tree};
use super::{Options, Survey};
use crate::failure::Failure;
use crate::names::Digest;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Workspaces that are remembered.
const KNOWN: usize = 8;

/// File systems count time in steps of up to this length: what changed within one step may change again in it, unseen.
const STEP: Duration = Duration::from_millis(40);

/// Surveys of a running server, by workspace.
///
/// A survey holds while every file that a walk lists has the path, size, inode, and times of change and modification that it had,
/// the same folders are passed over, and every other path that the survey asked for is there or missing as it was. The walk itself is done anew.
#[derive(Debug, Default)]
pub struct Cache {
    known: Mutex<Vec<Known>>,
    forgets: bool,
}

#[derive(Debug)]
struct Known {
    root: PathBuf,
    options: Options,
    mark: Digest,
    beyond: Beyond,
    survey: Arc<Survey>,
}

impl Cache {
    /// One that remembers nothing: a process that asks once need not be told how the file system looked.
    pub fn forgetful() -> Self {
        Self { forgets: true, ..Self::default() }
    }

    /// The survey of a folder: the known one where it still holds, else a new one. Fails as [`super::survey`] does.
    pub fn survey(&self, root: &Path, options: &Options) -> Result<Arc<Survey>, Failure> {
        let root = super::open(root)?;
        if self.forgets {
            return Ok(Arc::new(super::of_tree(Tree::list(&root, options), options)?.0));
        }
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let tree = Tree::marked(&root, options);
        let (mark, newest) = tree.mark.clone().unwrap_or_else(|| (Digest::of(b""), Duration::MAX));
        if let Some(survey) = self.still(&root, options, &mark) {
            return Ok(survey);
        }
        let (survey, beyond) = super::of_tree(tree, options)?;
        let survey = Arc::new(survey);
        if newest.max(beyond.newest()).saturating_add(STEP) < began {
            self.keep(Known { root, options: options.clone(), mark, beyond, survey: Arc::clone(&survey) });
        }
        Ok(survey)
    }

    fn still(&self, root: &Path, options: &Options, mark: &Digest) -> Option<Arc<Survey>> {
        let known = self.known.lock().ok()?;
        let found = known.iter().find(|known| known.root == root && known.options == *options && known.mark == *mark)?;
        found.beyond.holds(root).then(|| Arc::clone(&found.survey))
    }

    fn keep(&self, new: Known) {
        let Ok(mut known) = self.known.lock() else { return };
        known.retain(|old| old.root != new.root || old.options != new.options);
        if known.len() >= KNOWN {
            known.remove(0);
        }
        known.push(new);
    }
}
