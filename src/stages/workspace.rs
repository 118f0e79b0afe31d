//! Writes the plan's files into the workspace, each with its way back; a file that changed since the plan was made stops everything.

use crate::config::Folders;
use crate::engine::{Effect, Run};
use crate::failure::{Code, Failure};
use crate::journal::{StageName, Undo};
use crate::names::Digest;
use crate::plan::Plan;
use crate::render::{Lock, RenderedFile};
use serde_json::json;

/// Writes every file of the plan whose path `wanted` takes. Files that are as they shall be are not touched.
pub async fn write(run: &Run, plan: &Plan, files: &[RenderedFile], stage: StageName, wanted: impl Fn(&str) -> bool) -> Result<usize, Failure> {
    let mut written = Vec::new();
    for file in files.iter().filter(|file| wanted(&file.path)) {
        let Some(step) = plan.files.get(&file.path) else { continue };
        if Digest::of(&file.text) != step.after {
            return Err(Failure::internal(format!("the text of {} is not the planned one", file.path)));
        }
        let path = run.folders.workspace.join(&file.path);
        let now = match std::fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        let digest = now.as_ref().map(Digest::of);
        if digest.as_ref() == Some(&step.after) {
            written.push(file);
            continue;
        }
        if digest != step.before {
            return Err(Failure::new(Code::PlanStale, format!("{} changed after the plan was made", file.path))
                .help("call again: the new plan shows what would change now"));
        }
        let backup = match &now {
            Some(bytes) => {
                let name = format!("backup/files/{}", file.path);
                crate::files::write_private(&run.folders.operation(&run.id).join(&name), bytes)?;
                Some(name)
            }
            None => None,
        };
        let effect = Effect {
            key: format!("file/{}", file.path),
            text: format!("write {}", file.path),
            undo: Undo::File { path: file.path.clone(), backup },
            before: json!({ "sha256": step.before }),
        };
        run.effect(stage, &file.path, effect, async {
            crate::files::write_shared(&path, file.text.as_bytes())?;
            Ok(json!({ "sha256": step.after }))
        })
        .await?;
        written.push(file);
    }
    let persons = |path: &str| plan.files.get(path).is_some_and(|step| step.persons);
    let ours: Vec<_> = written.iter().filter(|file| !persons(&file.path)).map(|file| (*file).clone()).collect();
    note(run, stage, &ours).await?;
    Ok(written.len())
}

/// Notes what was written, with the way back: where the files are taken back, the lock that knows them goes back with them.
async fn note(run: &Run, stage: StageName, ours: &[RenderedFile]) -> Result<(), Failure> {
    let path = run.folders.workspace.join(Lock::FILE);
    let now = match std::fs::read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(Failure::file("read", &path, &error)),
    };
    let mut lock = Lock::load(&run.folders.workspace)?;
    ours.iter().for_each(|file| lock.wrote(file));
    if now.as_deref() == Some(lock.text()?.as_bytes()) || ours.is_empty() {
        return remember(&run.folders, ours);
    }
    let backup = match &now {
        Some(bytes) => {
            let name = format!("backup/files/{}.{}", Lock::FILE, stage.as_str());
            crate::files::write_private(&run.folders.operation(&run.id).join(&name), bytes)?;
            Some(name)
        }
        None => None,
    };
    let effect = Effect {
        key: format!("lock/{}", stage.as_str()),
        text: format!("note in {} what was written", Lock::FILE),
        undo: Undo::File { path: Lock::FILE.to_owned(), backup },
        before: json!({ "sha256": now.as_ref().map(Digest::of) }),
    };
    run.effect(stage, Lock::FILE, effect, async { remember(&run.folders, ours).map(|()| true) }).await.map(|_| ())
}

/// Notes what was written: the lock that goes into version control, and the copies that a three-way merge starts from.
pub fn remember(folders: &Folders, written: &[RenderedFile]) -> Result<(), Failure> {
    if written.is_empty() {
        return Ok(());
    }
    let mut lock = Lock::load(&folders.workspace)?;
    let before = lock.clone();
    for file in written {
        lock.wrote(file);
        let copy = folders.generated().join(&file.path);
        if std::fs::read(&copy).ok().as_deref() != Some(file.text.as_bytes()) {
            crate::files::write_private(&copy, file.text.as_bytes())?;
        }
    }
    if lock == before {
        return Ok(());
    }
    crate::files::write_shared(&folders.workspace.join(Lock::FILE), lock.text()?.as_bytes())
}
