//! The tree on disk: which files count, what is passed over and why; it opens nothing but regular files inside the root.

use super::{Options, PassedOver, Skipped};
use crate::names::Digest;
use rayon::slice::ParallelSliceMut as _;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use zeroize::Zeroize as _;

/// Folders that hold what others wrote or what a build left behind.
const FOREIGN: &[(&str, &str)] = &[
    (".git", "version control"),
    (".hg", "version control"),
    (".svn", "version control"),
    ("node_modules", "installed packages"),
    ("bower_components", "installed packages"),
    ("jspm_packages", "installed packages"),
    ("site-packages", "installed packages"),
    (".venv", "virtual environment"),
    ("venv", "virtual environment"),
    (".virtualenv", "virtual environment"),
    ("__pycache__", "build output"),
    (".next", "build output"),
    (".nuxt", "build output"),
    (".output", "build output"),
    (".svelte-kit", "build output"),
    (".turbo", "build output"),
    (".cache", "build output"),
    (".gradle", "build output"),
    (".terraform", "installed packages"),
    (".mypy_cache", "build output"),
    (".pytest_cache", "build output"),
    (".ruff_cache", "build output"),
    (".tox", "virtual environment"),
    (".nox", "virtual environment"),
    (".landfall", "Landfall's own files"),
    ("third_party", "vendored"),
    ("coverage", "build output"),
];

/// Folders of tests and fixtures.
const TESTS: &[&str] =
    &["tests", "test", "__tests__", "__mocks__", "testdata", "fixtures", "__fixtures__", "e2e", "cypress", "playwright", "__snapshots__", "test-results"];

/// The files of the workspace, by their path relative to the root with `/`.
#[derive(Debug)]
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
    pub(crate) files: BTreeSet<String>,
    pub(crate) passed_over: Vec<PassedOver>,
    /// What the file system says of all of it, and when the last of it changed (since 1970); only where it was asked for.
    pub(crate) mark: Option<(Digest, Duration)>,
    /// Files that git ignores and code of the workspace imports all the same, as they were when they were taken in.
    adopted: BTreeMap<String, [u128; 4]>,
    /// Paths outside of the list that were asked for, and whether they were there.
    asked: Mutex<BTreeMap<String, bool>>,
    /// Read when something is asked for that only git's rules keep from the list.
    tracked: OnceLock<Tracked>,
    skipped: Mutex<Skipped>,
}

/// What git's index names, and the index as it was.
#[derive(Debug)]
struct Tracked {
    names: BTreeSet<String>,
    index: Option<(PathBuf, [u128; 4])>,
}

/// What a survey knows beyond the list of its files: by this a later look tells whether it still holds.
#[derive(Debug, Default)]
pub(crate) struct Beyond {
    asked: BTreeMap<String, bool>,
    adopted: BTreeMap<String, [u128; 4]>,
    index: Option<(PathBuf, [u128; 4])>,
}

impl Beyond {
    /// True where all of it is as it was.
    pub(crate) fn holds(&self, root: &Path) -> bool {
        let adopted = self.adopted.iter().map(|(path, state)| (root.join(path), state));
        let mut files = adopted.chain(self.index.iter().map(|(path, state)| (path.clone(), state)));
        self.asked.iter().all(|(path, there)| on_disk(root, path) == *there) && files.all(|(path, state)| state_of(&path) == *state)
    }

    /// When the last of it changed, since 1970.
    pub(crate) fn newest(&self) -> Duration {
        let states = self.adopted.values().chain(self.index.iter().map(|(_, state)| state));
        let newest = states.map(|[.., changed]| *changed).max().unwrap_or(0);
        Duration::from_nanos(u64::try_from(newest).unwrap_or(u64::MAX))
    }
}

/// Whether a fresh clone has a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Tracked,
    /// On this disk, but git ignores it.
    Ignored,
    Missing,
}

impl Tree {
    /// Lists the files under `root`; nothing is read yet.
    pub(crate) fn list(root: &Path, options: &Options) -> Self {
        Self::walk(root, options, false)
    }

    /// The same, with a mark by which a later walk tells whether anything changed.
    pub(crate) fn marked(root: &Path, options: &Options) -> Self {
        Self::walk(root, options, true)
    }

    fn walk(root: &Path, options: &Options, marked: bool) -> Self {
        let in_git = root.ancestors().any(|folder| folder.join(".git").exists());
        let passed: std::sync::Arc<Mutex<BTreeMap<String, &'static str>>> = std::sync::Arc::default();
        let mut walk = ignore::WalkBuilder::new(root);
        walk.standard_filters(false).git_ignore(true).git_exclude(in_git).parents(in_git).require_git(false).follow_links(false);
        let (top, noted) = (root.to_path_buf(), std::sync::Arc::clone(&passed));
        walk.filter_entry(move |entry| {
            if entry.depth() == 0 || !entry.file_type().is_some_and(|kind| kind.is_dir()) {
                return true;
            }
            let Some(why) = foreign(entry.path()) else { return true };
            if let (Some(dir), Ok(mut noted)) = (relative(&top, entry.path()), noted.lock()) {
                noted.insert(dir, why);
            }
            false
        });
        // Two walkers: folders are read while others wait for the disk; more would only wait for each other.
        let (sender, receiver) = std::sync::mpsc::channel();
        walk.threads(2).build_parallel().run(|| {
            let mut found = Found { seen: Vec::new(), sender: sender.clone() };
            Box::new(move |entry| {
                found.seen.extend(seen(root, entry, marked));
                ignore::WalkState::Continue
            })
        });
        drop(sender);
        let (mut listed, mut skipped) = (Vec::new(), Skipped::default());
        for seen in receiver.into_iter().flatten() {
            match seen {
                Ok(path) => listed.push(path),
                Err(why) => note(&mut skipped, why, 0),
            }
        }
        let environments = environments(&mut listed);
        listed.par_sort_unstable_by(|left: &Listed, right: &Listed| left.path.cmp(&right.path));
        for _ in options.max_files..listed.len() {
            note(&mut skipped, "more files than the limit", 0);
        }
        listed.truncate(options.max_files);
        let marks = marked.then(|| marks(&listed));
        let files: BTreeSet<String> = listed.into_iter().map(|listed| listed.path).collect();
        let mut passed: BTreeMap<String, &'static str> = passed.lock().map(|noted| noted.clone()).unwrap_or_default();
        passed.retain(|dir, _| !environments.iter().any(|environment| within(dir, environment)));
        passed.extend(environments.into_iter().map(|dir| (dir, "virtual environment")));
        let passed_over: Vec<PassedOver> = passed.into_iter().map(|(dir, why)| PassedOver { dir, why: why.to_owned() }).collect();
        let mark = marks.map(|(mut bytes, newest)| {
            let rest = (&passed_over, &skipped, in_git);
            bytes.extend(format!("{rest:?}").into_bytes());
            (Digest::of(bytes), newest)
        });
        Self {
            root: root.to_path_buf(),
            files,
            passed_over,
            mark,
            adopted: BTreeMap::new(),
            asked: Mutex::default(),
            tracked: OnceLock::new(),
            skipped: Mutex::new(skipped),
        }
    }

    /// The text of a listed file; `None`, and counted, where it is too large, unreadable or not text. Invalid UTF-8 is replaced.
    pub(crate) fn read(&self, path: &str, options: &Options) -> Option<String> {
        let full = self.root.join(path);
        let mut file = match std::fs::File::open(&full) {
            Ok(file) => file,
            Err(_) => return self.skip("unreadable", 0),
        };
        let size = match file.metadata() {
            Ok(about) if about.is_file() => about.len(),
            Ok(_) => return self.skip("not a regular file", 0),
            Err(_) => return self.skip("unreadable", 0),
        };
        if size > options.max_file_bytes {
            return self.skip("larger than the limit", size);
        }
        let Ok(bytes) = content(&mut file, size) else { return self.skip("unreadable", size) };
        if bytes.get(..bytes.len().min(2048)).is_some_and(|head| head.contains(&0)) {
            return self.skip("binary", size);
        }
        let mut text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                error.into_bytes().zeroize();
                text
            }
        };
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        Some(text)
    }

    /// Counts a file that was not read.
    pub(crate) fn skip<T>(&self, why: &str, bytes: u64) -> Option<T> {
        if let Ok(mut skipped) = self.skipped.lock() {
            note(&mut skipped, why, bytes);
        }
        None
    }

    /// What was skipped until now.
    pub(crate) fn skipped(&self) -> Skipped {
        self.skipped.lock().map(|skipped| skipped.clone()).unwrap_or_default()
    }

    /// Takes in a regular file that git ignores.
    pub(crate) fn adopt(&mut self, path: &str) {
        if let Ok(about) = std::fs::metadata(self.root.join(path)) {
            self.adopted.insert(path.to_owned(), state(&about));
            self.files.insert(path.to_owned());
        }
    }

    /// What the survey learnt beyond the list.
    pub(crate) fn beyond(&self) -> Beyond {
        let index = self.tracked.get().and_then(|tracked| tracked.index.clone());
        Beyond { asked: self.asked.lock().map(|asked| asked.clone()).unwrap_or_default(), adopted: self.adopted.clone(), index }
    }

    /// True where this file is part of the workspace.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains(path)
    }

    /// True where at least one file lies under this folder.
    pub(crate) fn has_folder(&self, dir: &str) -> bool {
        dir == "." || self.under(dir).next().is_some()
    }

    /// The files under a folder, sorted.
    pub(crate) fn under<'tree>(&'tree self, dir: &str) -> impl Iterator<Item = &'tree str> + use<'tree> {
        let prefix = if dir == "." { String::new() } else { format!("{dir}/") };
        self.files.range(prefix.clone()..).take_while(move |path| path.starts_with(&prefix)).map(String::as_str)
    }

    /// Whether a fresh clone has this file or folder.
    pub(crate) fn presence(&self, path: &str) -> Presence {
        let path = path.trim_end_matches('/');
        let adopted = self.adopted.contains_key(path);
        if !adopted && (path == "." || path.is_empty() || self.has(path) || self.has_folder(path)) {
            return Presence::Tracked;
        }
        if !adopted && !self.on_disk(path) {
            return Presence::Missing;
        }
        // Folders that are passed over are not ignored by git, so a clone has them; so it has what was added by force.
        if (!adopted && self.is_passed_over(path)) || self.tracks(path) {
            return Presence::Tracked;
        }
        // An empty folder is on disk and in no clone, like an ignored one.
        Presence::Ignored
    }

    /// True for what only git's rules keep from the list.
    pub(crate) fn is_hidden(&self, path: &str) -> bool {
        !self.has(path) && self.on_disk(path) && !self.is_passed_over(path)
    }

    fn on_disk(&self, path: &str) -> bool {
        let there = on_disk(&self.root, path);
        if let Ok(mut asked) = self.asked.lock() {
            asked.insert(path.to_owned(), there);
        }
        there
    }

    fn is_passed_over(&self, path: &str) -> bool {
        self.passed_over.iter().any(|folder| within(path, &folder.dir))
    }

    /// True where git's index names this file, or one in this folder.
    fn tracks(&self, path: &str) -> bool {
        let tracked = self.tracked.get_or_init(|| {
            let index = super::index::path(&self.root).map(|path| (path.clone(), state_of(&path)));
            Tracked { names: super::index::tracked(&self.root), index }
        });
        let folder = format!("{path}/");
        let inside = |name: &String| name.starts_with(&folder);
        tracked.names.contains(path) || tracked.names.range(folder.clone()..).next().is_some_and(inside)
    }
}

/// The first `size` bytes of a file, or as many as it has by now; where they are all there, nobody asks for its end.
fn content(file: &mut std::fs::File, size: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// A file as the walk found it.
struct Listed {
    path: String,
    /// Length, inode, modified and changed (nanoseconds since 1970); zeros where nobody asked.
    state: [u128; 4],
}

/// What one walker found: handed over when it ends, for every message would wake the receiver.
struct Found {
    seen: Vec<Result<Listed, &'static str>>,
    sender: std::sync::mpsc::Sender<Vec<Result<Listed, &'static str>>>,
}

impl Drop for Found {
    fn drop(&mut self) {
        // The receiver outlives every walker.
        let _ = self.sender.send(std::mem::take(&mut self.seen));
    }
}

/// Virtual environments of any name, taken out of the list: what is installed in them was passed over by its own name, so asking every folder would cost more.
fn environments(listed: &mut Vec<Listed>) -> BTreeSet<String> {
    let marks = listed.iter().filter(|file| base_of(&file.path) == "pyvenv.cfg").map(|file| dir_of(&file.path));
    let dirs: BTreeSet<String> = marks.filter(|dir| *dir != ".").map(str::to_owned).collect();
    if !dirs.is_empty() {
        listed.retain(|file| !dirs.iter().any(|dir| within(&file.path, dir)));
    }
    dirs
}

/// A file of the workspace, or why an entry is none; folders are nothing of their own.
fn seen(root: &Path, entry: Result<ignore::DirEntry, ignore::Error>, marked: bool) -> Option<Result<Listed, &'static str>> {
    let Ok(entry) = entry else { return Some(Err("unreadable")) };
    let kind = entry.file_type().filter(|kind| !kind.is_dir())?;
    let Some(path) = relative(root, entry.path()) else { return Some(Err("name is not UTF-8")) };
    if path.is_empty() {
        return None;
    }
    if kind.is_symlink() {
        match link_target(root, entry.path()) {
            Link::InsideFile => {}
            Link::InsideFolder => return None,
            Link::Outside => return Some(Err("link out of the workspace")),
            Link::Broken => return Some(Err("broken link")),
        }
    } else if !kind.is_file() {
        return Some(Err("not a regular file"));
    }
    // Through a link, as the file is read.
    let state = if marked { state_of(entry.path()) } else { [0; 4] };
    Some(Ok(Listed { path, state }))
}

/// The state of a file; zeros where there is none.
fn state_of(path: &Path) -> [u128; 4] {
    std::fs::metadata(path).map(|about| state(&about)).unwrap_or_default()
}

#[cfg(unix)]
fn state(about: &std::fs::Metadata) -> [u128; 4] {
    use std::os::unix::fs::MetadataExt as _;
    let time = |seconds: i64, nanoseconds: i64| u128::try_from(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)).unwrap_or(0);
    [u128::from(about.len()), u128::from(about.ino()), time(about.mtime(), about.mtime_nsec()), time(about.ctime(), about.ctime_nsec())]
}

#[cfg(not(unix))]
fn state(about: &std::fs::Metadata) -> [u128; 4] {
    let modified = about.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos());
    [u128::from(about.len()), 0, modified, modified]
}

/// All states as bytes, and the newest change. Times of modification can be set by anybody, times of change only by the system.
fn marks(listed: &[Listed]) -> (Vec<u8>, Duration) {
    let mut bytes = Vec::with_capacity(listed.len() * 100);
    for file in listed {
        bytes.extend_from_slice(file.path.as_bytes());
        bytes.push(0);
        bytes.extend(file.state.iter().flat_map(|number| number.to_le_bytes()));
    }
    let newest = listed.iter().map(|Listed { state: [.., changed], .. }| *changed).max().unwrap_or(0);
    (bytes, Duration::from_nanos(u64::try_from(newest).unwrap_or(u64::MAX)))
}

/// True where something lies at a path, whatever it is.
pub(crate) fn on_disk(root: &Path, path: &str) -> bool {
    std::fs::symlink_metadata(root.join(path)).is_ok()
}

fn note(skipped: &mut Skipped, why: &str, bytes: u64) {
    skipped.files += 1;
    skipped.bytes += bytes;
    *skipped.reasons.entry(why.to_owned()).or_insert(0) += 1;
}

/// Why a folder is not looked into.
fn foreign(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_str()?;
    if let Some((_, why)) = FOREIGN.iter().find(|(folder, _)| *folder == name) {
        return Some(why);
    }
    if TESTS.contains(&name) {
        return Some("tests");
    }
    match name {
        "vendor" if path.join("modules.txt").is_file() || path.join("autoload.php").is_file() || path.join("bundle").is_dir() => Some("vendored"),
        "target" if path.join("CACHEDIR.TAG").is_file() || path.join("classes").is_dir() => Some("build output"),
        "dist" | "build" | "out" if path.parent().is_some_and(|parent| parent.join("package.json").is_file()) && path.join("index.html").is_file() => {
            Some("build output")
        }
        "Lib" | "lib" | "env" | ".env" if path.join("pyvenv.cfg").is_file() || path.join("site-packages").is_dir() => Some("virtual environment"),
        _ => None,
    }
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    if std::path::MAIN_SEPARATOR == '/' {
        // A walk puts its entries together from the root: what follows it is the rest, letter by letter.
        let rest = path.to_str()?.strip_prefix(root.to_str()?)?;
        return Some(rest.trim_start_matches('/').to_owned());
    }
    let rest = path.strip_prefix(root).ok()?;
    let parts: Option<Vec<&str>> = rest.components().map(|part| part.as_os_str().to_str()).collect();
    Some(parts?.join("/"))
}

enum Link {
    InsideFile,
    InsideFolder,
    Outside,
    Broken,
}

fn link_target(root: &Path, path: &Path) -> Link {
    let (Ok(target), Ok(root)) = (std::fs::canonicalize(path), std::fs::canonicalize(root)) else { return Link::Broken };
    if !target.starts_with(&root) {
        return Link::Outside;
    }
    match std::fs::metadata(&target) {
        Ok(about) if about.is_file() => Link::InsideFile,
        Ok(about) if about.is_dir() => Link::InsideFolder,
        // A link to a pipe or a device must not be opened.
        Ok(_) | Err(_) => Link::Broken,
    }
}

/// The folder of a path, `.` at the top.
pub(crate) fn dir_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(dir, _)| dir)
}

/// The last part of a path.
pub(crate) fn base_of(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// `dir/name`, without a leading `./`.
pub(crate) fn join(dir: &str, name: &str) -> String {
    let mut parts: Vec<&str> = if dir == "." { Vec::new() } else { dir.split('/').collect() };
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// True where one of these folders lies between `top` and a file below it.
pub(crate) fn below_one(path: &str, top: &str, dirs: &BTreeSet<&str>) -> bool {
    let mut dir = dir_of(path);
    while dir != top && dir != "." {
        if dirs.contains(dir) {
            return true;
        }
        dir = dir_of(dir);
    }
    false
}

/// True where `path` lies in `dir` or below.
pub(crate) fn within(path: &str, dir: &str) -> bool {
    dir == "." || path == dir || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}

/// The path as seen from `dir`.
pub(crate) fn below<'path>(path: &'path str, dir: &str) -> &'path str {
    if dir == "." { path } else { path.strip_prefix(dir).and_then(|rest| rest.strip_prefix('/')).unwrap_or(path) }
}
