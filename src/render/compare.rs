//! What writing would do to each file: a file that a person changed is a conflict, and it is shown, never overwritten.

use super::{RenderedFile, TEMPLATES};
use crate::failure::{Code, Failure};
use crate::names::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// `landfall.lock`: what we wrote last, by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    pub schema: u32,
    /// Version of the templates that wrote the files.
    pub templates: u32,
    /// path → SHA-256
    #[serde(default)]
    pub files: BTreeMap<String, Digest>,
}

impl Default for Lock {
    fn default() -> Self {
        Self { schema: 1, templates: TEMPLATES, files: BTreeMap::new() }
    }
}

impl Lock {
    /// The name of the file.
    pub const FILE: &str = "landfall.lock";

    /// Reads the workspace's lock; empty where there is none.
    pub fn load(workspace: &Path) -> Result<Self, Failure> {
        let path = workspace.join(Self::FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let bad = |why: String| {
            Failure::new(Code::ConfigInvalid, "read landfall.lock")
                .cause(why)
                .help("restore it from your version control, or remove it: every generated file is then compared as if a person had written it")
        };
        let lock: Self = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if lock.schema == 1 { Ok(lock) } else { Err(bad(format!("it has schema {}, this program knows 1", lock.schema))) }
    }

    /// The file's text.
    pub fn text(&self) -> Result<String, Failure> {
        let body = toml::to_string(self).map_err(|error| Failure::internal("write landfall.lock").cause(error))?;
        Ok(format!("# Written by Landfall: what it wrote last. Keep it in version control.\n{body}"))
    }

    /// Notes that this file was written.
    pub fn wrote(&mut self, file: &RenderedFile) {
        self.templates = TEMPLATES;
        self.files.insert(file.path.clone(), Digest::of(&file.text));
    }
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Create,
    Update,
    Unchanged,
    /// A person changed it, or it was never ours: nothing is written unless somebody decides.
    Conflict,
}

/// Whose text is on disk now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum By {
    Landfall,
    Person,
}

/// One file and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct FileChange {
    pub path: String,
    pub action: Action,
    pub by: By,
}

/// Compares what would be written with what is there. `generated` holds what we wrote last (`.landfall/generated`).
pub fn compare(files: &[RenderedFile], workspace: &Path, generated: &Path, lock: &Lock) -> Result<Vec<FileChange>, Failure> {
    files.iter().map(|file| Ok(judge(file, on_disk(workspace, &file.path)?, base(generated, &file.path, lock).as_deref(), lock))).collect()
}

/// What we wrote last at this path; None where it is not known, or is not what the lock says.
pub fn base(generated: &Path, path: &str, lock: &Lock) -> Option<String> {
    let text = std::fs::read_to_string(generated.join(path)).ok()?;
    lock.files.get(path).is_none_or(|digest| *digest == Digest::of(&text)).then_some(text)
}

/// What stands at a path of the workspace.
#[derive(Debug, PartialEq, Eq)]
enum OnDisk {
    Nothing,
    Text(String),
    /// A link, a folder, or bytes that are no text: not ours, whatever it is.
    Foreign,
}

fn on_disk(workspace: &Path, path: &str) -> Result<OnDisk, Failure> {
    let mut at = workspace.to_owned();
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        at.push(part);
        let last = parts.peek().is_none();
        match std::fs::symlink_metadata(&at) {
            Ok(facts) if facts.is_symlink() => return Ok(OnDisk::Foreign),
            Ok(facts) if last != facts.is_file() => return Ok(OnDisk::Foreign),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(OnDisk::Nothing),
            Err(error) => return Err(Failure::file("look at", &at, &error)),
        }
    }
    match std::fs::read_to_string(&at) {
        Ok(text) => Ok(OnDisk::Text(text)),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => Ok(OnDisk::Foreign),
        Err(error) => Err(Failure::file("read", &at, &error)),
    }
}

fn judge(file: &RenderedFile, found: OnDisk, base: Option<&str>, lock: &Lock) -> FileChange {
    let recorded = lock.files.get(&file.path);
    let ours = |text: &str| recorded.is_some_and(|digest| *digest == Digest::of(text)) || (recorded.is_none() && base == Some(text));
    let (action, by) = match found {
        OnDisk::Nothing => (Action::Create, By::Landfall),
        OnDisk::Foreign => (Action::Conflict, By::Person),
        OnDisk::Text(text) if text == file.text => (Action::Unchanged, By::Landfall),
        OnDisk::Text(text) if ours(&text) => (Action::Update, By::Landfall),
        // We would write what we wrote last: the person's change is the only one, and stays.
        OnDisk::Text(_) if recorded.is_some_and(|digest| *digest == Digest::of(&file.text)) => (Action::Unchanged, By::Person),
        OnDisk::Text(_) => (Action::Conflict, By::Person),
    };
    FileChange { path: file.path.clone(), action, by }
}

/// A unified diff of a file, `before` or `after` empty where it is created or removed; credentials are masked line by line.
pub fn diff(path: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let name = |prefix: &str, text: &str| if text.is_empty() { "/dev/null".to_owned() } else { format!("{prefix}/{path}") };
    let (old, new) = (name("a", before), name("b", after));
    let unified = similar::TextDiff::from_lines(before, after).unified_diff().context_radius(3).header(&old, &new).to_string();
    let lines: Vec<String> = unified.lines().map(crate::secret::redact).collect();
    lines.join("\n") + "\n"
}

/// Joins what we would write and what a person wrote, over what we wrote last. `Err` is the text with conflict marks.
pub fn three_way_merge(base: &str, ours: &str, theirs: &str) -> Result<String, String> {
    let mut merge = similar::TextMerge::from_lines(base, ours, theirs);
    merge.labels("written last", "landfall", "yours");
    let text = merge.to_string();
    if merge.is_conflicted() { Err(text) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        disk: Option<&'static str>,
        recorded: Option<&'static str>,
        base: Option<&'static str>,
    }

    fn check(case: &Case, expect: (Action, By)) {
        let folder = tempfile::tempdir().unwrap();
        let (workspace, generated) = (folder.path().join("w"), folder.path().join("g"));
        let put = |root: &Path, text: Option<&str>| {
            std::fs::create_dir_all(root.join("a")).unwrap();
            if let Some(text) = text {
                std::fs::write(root.join("a/Dockerfile"), text).unwrap();
            }
        };
        put(&workspace, case.disk);
        put(&generated, case.base);
        let file = RenderedFile::new("a/Dockerfile".to_owned(), "new".to_owned());
        let mut lock = Lock::default();
        lock.files.extend(case.recorded.map(|text| (file.path.clone(), Digest::of(text))));
        let change = compare(&[file], &workspace, &generated, &lock).unwrap().remove(0);
        assert_eq!((change.action, change.by), expect);
    }

    #[test]
    fn a_file_is_created_updated_or_left() {
        check(&Case { disk: None, recorded: None, base: None }, (Action::Create, By::Landfall));
        check(&Case { disk: None, recorded: Some("old"), base: Some("old") }, (Action::Create, By::Landfall));
        check(&Case { disk: Some("new"), recorded: Some("new"), base: Some("new") }, (Action::Unchanged, By::Landfall));
        check(&Case { disk: Some("old"), recorded: Some("old"), base: None }, (Action::Update, By::Landfall));
        check(&Case { disk: Some("old"), recorded: None, base: Some("old") }, (Action::Update, By::Landfall));
    }

    #[test]
    fn what_a_person_changed_is_never_overwritten() {
        check(&Case { disk: Some("mine"), recorded: Some("old"), base: Some("old") }, (Action::Conflict, By::Person));
        check(&Case { disk: Some("mine"), recorded: None, base: None }, (Action::Conflict, By::Person));
        check(&Case { disk: Some("mine"), recorded: Some("new"), base: Some("new") }, (Action::Unchanged, By::Person));
        // The copy in the records is not believed against the lock.
        check(&Case { disk: Some("mine"), recorded: Some("old"), base: Some("mine") }, (Action::Conflict, By::Person));
    }

    #[test]
    fn a_link_is_never_written_through() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/tmp", folder.path().join("a")).unwrap();
        let files = [RenderedFile::new("a/Dockerfile".to_owned(), "new".to_owned())];
        let changes = compare(&files, folder.path(), folder.path(), &Lock::default()).unwrap();
        assert_eq!(changes.first().map(|change| change.action), Some(Action::Conflict));
    }

    #[test]
    fn both_changes_are_kept_where_they_do_not_meet() {
        let base = "a\nb\nc\nd\ne\n";
        assert_eq!(three_way_merge(base, "A\nb\nc\nd\ne\n", "a\nb\nc\nd\nE\n"), Ok("A\nb\nc\nd\nE\n".to_owned()));
        assert_eq!(three_way_merge(base, base, "a\nc\n"), Ok("a\nc\n".to_owned()));
        let marked = three_way_merge(base, "a\nB1\nc\nd\ne\n", "a\nB2\nc\nd\ne\n").unwrap_err();
        for part in ["<<<<<<< landfall", "B1", "B2", ">>>>>>> yours"] {
            assert!(marked.contains(part), "{marked}");
        }
    }

    #[test]
    fn a_diff_is_unified_and_masks_credentials() {
        assert_eq!(diff("x", "a\n", "a\n"), "");
        assert_eq!(diff("x", "", "a\n"), "--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+a\n");
        let text = diff("x", "a\nDB_PASSWORD=hunter2horse\n", "a\nkey:\n  name: todo-values\n");
        assert!(!text.contains("hunter2horse") && text.contains("+  name: todo-values"), "{text}");
    }

    #[test]
    fn a_lock_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut lock = Lock::default();
        lock.wrote(&RenderedFile::new("a b/Dockerfile".to_owned(), "x".to_owned()));
        std::fs::write(folder.path().join(Lock::FILE), lock.text().unwrap()).unwrap();
        assert_eq!(Lock::load(folder.path()).unwrap(), lock);
        std::fs::write(folder.path().join(Lock::FILE), "schema = 2\ntemplates = 1\n").unwrap();
        assert_eq!(Lock::load(folder.path()).unwrap_err().code, Code::ConfigInvalid);
    }
}
