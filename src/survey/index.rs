//! What git tracks, by the names in its index; nothing else of git is read, and an index of another form tells nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Larger ones are not read.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The index of the work tree around a folder.
pub(crate) fn path(root: &Path) -> Option<PathBuf> {
    let top = root.ancestors().find(|folder| folder.join(".git").exists())?;
    let git = top.join(".git");
    if git.is_dir() {
        return Some(git.join("index"));
    }
    // A work tree beside its repository: a file says where that lies.
    let text = std::fs::read_to_string(&git).ok()?;
    Some(top.join(text.strip_prefix("gitdir:")?.trim()).join("index"))
}

/// The tracked files below a folder, by their paths from there.
pub(crate) fn tracked(root: &Path) -> BTreeSet<String> {
    let read = || {
        let index = path(root)?;
        let about = std::fs::metadata(&index).ok()?;
        let bytes = if about.is_file() && about.len() <= LIMIT { std::fs::read(index).ok()? } else { Vec::new() };
        names(&bytes)
    };
    let top = root.ancestors().find(|folder| folder.join(".git").exists()).unwrap_or(root);
    let below = root.strip_prefix(top).unwrap_or(Path::new("")).to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
    let prefix = if below.is_empty() { below } else { format!("{below}/") };
    read().unwrap_or_default().into_iter().filter_map(|name| name.strip_prefix(&prefix).map(str::to_owned)).collect()
}

/// The names of an index, in its versions two to four.
fn names(bytes: &[u8]) -> Option<Vec<String>> {
    let number = |at: usize| Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let version = number(4)?;
    if bytes.get(..4)? != b"DIRC" || !(2..=4).contains(&version) {
        return None;
    }
    let (mut out, mut name, mut at) = (Vec::new(), Vec::new(), 12);
    for _ in 0..number(8)? {
        let extended = version > 2 && bytes.get(at + 60)? & 0x40 != 0;
        let mut start = at + if extended { 64 } else { 62 };
        if version == 4 {
            let (cut, end) = cut(bytes, start)?;
            name.truncate(name.len().checked_sub(cut)?);
            start = end;
        } else {
            name.clear();
        }
        let length = bytes.get(start..)?.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(bytes.get(start..start + length)?);
        out.push(String::from_utf8_lossy(&name).into_owned());
        let end = start + length;
        // One to eight zeros fill up to a whole multiple of eight; the fourth version has one.
        at = if version == 4 { end + 1 } else { at + (end - at + 8) / 8 * 8 };
    }
    Some(out)
}

/// How many bytes of the name before a name leaves out, and where its own begin.
fn cut(bytes: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut byte = *bytes.get(at)?;
    let mut count = usize::from(byte & 0x7f);
    while byte & 0x80 != 0 {
        at += 1;
        byte = *bytes.get(at)?;
        count = count.checked_add(1)?.checked_mul(128)?.checked_add(usize::from(byte & 0x7f))?;
    }
    Some((count, at + 1))
}

/// An index of the second version with these names, for tests.
#[cfg(test)]
pub(crate) fn written(names: &[&str]) -> Vec<u8> {
    let mut out = [b"DIRC".as_slice(), &2u32.to_be_bytes(), &u32::try_from(names.len()).unwrap_or(0).to_be_bytes()].concat();
    for name in names {
        let mut entry = vec![1; 60];
        entry.extend([0, 0]);
        entry.extend(name.as_bytes());
        let filled = (entry.len() + 8) / 8 * 8;
        entry.resize(filled, 0);
        out.extend(entry);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_version() {
        let some = ["a/b/one.txt", "a/b/other.txt", "c"];
        assert_eq!(names(&written(&some)).unwrap(), some);
        let mut fourth = [b"DIRC".as_slice(), &4u32.to_be_bytes(), &3u32.to_be_bytes()].concat();
        for (cut, rest) in [(0, "a/b/one.txt"), (6, "ther.txt"), (12, "c")] {
            fourth.extend([1; 60]);
            fourth.extend([0, 0, cut]);
            fourth.extend(rest.as_bytes());
            fourth.push(0);
        }
        assert_eq!(names(&fourth).unwrap(), ["a/b/one.txt", "a/b/other.txt", "ac"]);
        for broken in [b"".as_slice(), b"DIRC", b"DIRC\0\0\0\x09\0\0\0\x01", &written(&some)[..90]] {
            assert_eq!(names(broken), None);
        }
    }

    #[test]
    fn what_git_tracks_is_there_though_a_rule_ignores_it() {
        use crate::survey::walk::{Presence, Tree};
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        write(".gitignore", b"proto/\nmade/\n");
        write("api/proto/a.proto", b"");
        write("api/made/b.proto", b"");
        let presence = |path: &str, root: &str| Tree::list(&folder.path().join(root), &crate::survey::Options::default()).presence(path);
        assert_eq!(presence("api/proto", ""), Presence::Ignored);
        write(".git/index", &written(&["api/proto/a.proto"]));
        assert_eq!(
            [presence("api/proto", ""), presence("api/proto/a.proto", ""), presence("api/made", "")],
            [Presence::Tracked, Presence::Tracked, Presence::Ignored]
        );
        assert_eq!([presence("proto", "api"), presence("made", "api")], [Presence::Tracked, Presence::Ignored]);
        // What the index names and the disk lacks is missing.
        write(".git/index", &written(&["api/gone.txt"]));
        assert_eq!(presence("api/gone.txt", ""), Presence::Missing);
    }
}
