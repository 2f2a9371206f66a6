//! The numbered saves in a checkpoint folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{CheckpointError, io_error};
use crate::files::sync_dir;

/// The newest, and one to go back to.
const KEPT: usize = 2;

const PREFIX: &str = "save-";
const UNFINISHED: &str = ".tmp";
const REJECTED: &str = ".rejected";

/// One complete save.
pub(super) struct Save {
    pub number: u64,
    pub path: PathBuf,
}

/// Where save `number` is written, and where it ends.
pub(super) fn paths(dir: &Path, number: u64) -> (PathBuf, PathBuf) {
    let name = format!("{PREFIX}{number:06}");
    (dir.join(format!("{name}{UNFINISHED}")), dir.join(name))
}

/// The complete saves in `dir`, oldest first; none if there is no such folder.
pub(super) fn list(dir: &Path) -> Result<Vec<Save>, CheckpointError> {
    let mut saves: Vec<_> = names(dir)?
        .into_iter()
        .filter_map(|name| {
            let digits = name.strip_prefix(PREFIX)?;
            let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
            Some(Save { number, path: dir.join(name) })
        })
        .collect();
    saves.sort_by_key(|save| save.number);
    Ok(saves)
}

/// Removes what a killed writer left.
pub(super) fn clean(dir: &Path) -> Result<(), CheckpointError> {
    for name in names(dir)? {
        if name.starts_with(PREFIX) && name.ends_with(UNFINISHED) {
            remove(&dir.join(name))?;
        }
    }
    Ok(())
}

/// Removes all saves but the newest ones.
pub(super) fn prune(dir: &Path) -> Result<(), CheckpointError> {
    let saves = list(dir)?;
    for save in &saves[..saves.len().saturating_sub(KEPT)] {
        // Renamed first: half removed under its own name it would look like a damaged save.
        let (unfinished, _) = paths(dir, save.number);
        fs::rename(&save.path, &unfinished).map_err(io_error("rename", &save.path))?;
        remove(&unfinished)?;
    }
    Ok(())
}

/// Takes a save out of the row, and keeps it.
pub(super) fn reject(dir: &Path, save: &Save) -> Result<(), CheckpointError> {
    let (_, path) = paths(dir, save.number);
    let named = |suffix: String| PathBuf::from(format!("{}{REJECTED}{suffix}", path.display()));
    let mut target = named(String::new());
    // The number is used again afterwards, and that save may come to be rejected too.
    let mut times = 1;
    while target.exists() {
        times += 1;
        target = named(format!("-{times}"));
    }
    fs::rename(&save.path, target).map_err(io_error("rename", &save.path))?;
    sync_dir(dir).map_err(io_error("write", dir))
}

fn remove(path: &Path) -> Result<(), CheckpointError> {
    fs::remove_dir_all(path).map_err(io_error("remove", path))
}

fn names(dir: &Path) -> Result<Vec<String>, CheckpointError> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error("read", dir))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(io_error("read", dir))?.file_name();
        names.extend(name.into_string().ok());
    }
    Ok(names)
}
