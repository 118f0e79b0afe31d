//! Writing files so that a crash leaves the old or the new one, never half of one, and reading them back; where they lie is decided elsewhere.

use crate::failure::Failure;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

/// Creates a folder that only its owner may enter.
pub fn private_folder(path: &Path) -> Result<(), Failure> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| Failure::file("create the folder", path, &error))
}

/// Replaces a file that only its owner may read.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, 0o600)
}

/// Replaces a file of the workspace, creating its folders.
pub fn write_shared(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    replace(path, bytes, 0o644)
}

fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
    let failed = |error: &std::io::Error| {
        let mut failure = Failure::file("write", path, error);
        if matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem) {
            failure.code = crate::failure::Code::WorkspaceReadOnly;
            failure.help = "make the folder writable, or copy the workspace to one that is, then call again".to_owned();
        }
        failure
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    }
    let mut noise = [0u8; 4];
    let _ = getrandom::fill(&mut noise);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let beside = path.with_file_name(format!(".{name}.{}", hex::encode(noise)));
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_data()?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|error| {
        let _ = std::fs::remove_file(&beside);
        failed(&error)
    })
}

/// Reads a JSON file back that Landfall wrote. What is no JSON of that shape any more is a fault of ours, not of the machine.
pub fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
    serde_json::from_slice(&text).map_err(|error| Failure::internal(format!("read {}", path.display())).cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_folder_that_takes_no_file_is_named_with_the_way_out() {
        let failure = write_shared(Path::new("/sys/landfall/deploy/charts/api/values.yaml"), b"").unwrap_err();
        assert_eq!(failure.code, crate::failure::Code::WorkspaceReadOnly, "{failure}");
        assert!(failure.message.contains("values.yaml") && failure.help.contains("writable"), "{failure:?}");
    }

    #[test]
    fn a_private_file_is_private_and_replaced_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        write_private(&path, b"one").unwrap();
        write_private(&path, b"two").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 1);
    }
}
