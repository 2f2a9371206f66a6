//! Checkpoints: all that a run needs to go on, complete on disk or not there at all.
//!
//! A checkpoint folder holds numbered saves, the newest and the one before it:
//!
//! ```text
//! checkpoints/rl/
//!   save-000006/
//!   save-000007/
//!     checkpoint.json       state, names, shapes, sizes and checksums
//!     critic.safetensors    one file per group of tensors
//!     policy.safetensors
//! ```
//!
//! A save is written to `save-000008.tmp`, made durable and renamed to a name that was never used
//! before. A rename cannot be half done, so at no moment is there no complete newest save; a `.tmp`
//! that a killed writer leaves is never read, and the next save removes it.
//!
//! The same checkpoint gives the same bytes: nothing about the time, the machine or the process is in
//! them.

mod error;
mod manifest;
mod saves;
mod tensors;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use serde_json::Value;

pub use error::CheckpointError;

use crate::data::Parameters;
use crate::files::{parent, sync_dir};
use crate::model::EMBEDDING;
use error::io_error;
use manifest::{MANIFEST, Manifest};

/// Groups of named tensors and a state.
///
/// ```
/// use pspo::data::{Layout, Parameters};
/// use pspo::trainer::Checkpoint;
///
/// # let folder = tempfile::tempdir()?;
/// # let dir = folder.path().join("rl");
/// let mut layout = Layout::default();
/// layout.push("head.weight", &[2, 3]);
/// let policy = Parameters::zeros(layout);
///
/// let checkpoint = Checkpoint {
///     tensors: vec![("policy".to_owned(), policy)],
///     state: serde_json::json!({ "stage": "rl", "step": 40, "seed": 7 }),
/// };
/// checkpoint.save(&dir)?;
/// assert_eq!(Checkpoint::load(&dir)?, checkpoint);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Tensors by group, such as `policy`, `critic` and `policy.adam_m`: a file each.
    ///
    /// A group's name is of small letters, digits, `_`, `-` and `.`, and begins with a letter.
    pub tensors: Vec<(String, Parameters)>,
    /// Counters, seeds and whatever else is no tensor.
    pub state: Value,
}

impl Checkpoint {
    /// Saves beside what `dir` holds, and then removes all saves but this one and the one before it.
    ///
    /// When it returns, the save survives a loss of power. When it fails or is killed, the newest
    /// save that was there is there unchanged. Two processes must not save to one folder at once.
    ///
    /// # Errors
    /// If the disk refuses, a group's name is not one or is used twice, or a group has two tensors
    /// of one name, or one named `__metadata__`.
    pub fn save(&self, dir: &Path) -> Result<(), CheckpointError> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        sync_dir(parent(dir)).map_err(io_error("write", dir))?;
        saves::clean(dir)?;
        let number = saves::list(dir)?.last().map_or(1, |newest| newest.number + 1);
        let (unfinished, finished) = saves::paths(dir, number);
        fs::create_dir(&unfinished).map_err(io_error("create", &unfinished))?;

        let mut groups = Vec::new();
        for (name, parameters) in &self.tensors {
            if groups.iter().any(|group: &manifest::Group| group.name == *name) {
                return Err(CheckpointError::DuplicateGroup(name.clone()));
            }
            groups.push(tensors::write(&unfinished, name, parameters)?);
        }
        manifest::write(&unfinished, Manifest { groups, state: self.state.clone() })?;

        sync_dir(&unfinished).map_err(io_error("write", &unfinished))?;
        fs::rename(&unfinished, &finished).map_err(io_error("rename", &unfinished))?;
        sync_dir(dir).map_err(io_error("write", dir))?;
        saves::prune(dir)
    }

    /// Loads the newest save in `dir`; or `dir` itself, if it is one save.
    ///
    /// A damaged save is an error. It is never passed over in silence for an older one: that is what
    /// [`Checkpoint::roll_back`] is for.
    ///
    /// # Errors
    /// [`CheckpointError::NotFound`] if there is no save; [`CheckpointError::Damaged`] if a file is
    /// missing, shorter or longer than it was, or its content differs from its checksum.
    pub fn load(dir: &Path) -> Result<Self, CheckpointError> {
        if dir.join(MANIFEST).is_file() {
            return Self::read(dir);
        }
        match saves::list(dir)?.last() {
            Some(newest) => Self::read(&newest.path),
            None => Err(CheckpointError::NotFound { dir: dir.to_owned() }),
        }
    }

    /// Gives up the newest save in `dir` and loads the one before it.
    ///
    /// The newest is renamed to `save-….rejected` and kept, and only once the one before it has been
    /// found whole.
    ///
    /// # Errors
    /// [`CheckpointError::NoPrevious`] if there is no save before the newest, and all errors of
    /// [`Checkpoint::load`].
    pub fn roll_back(dir: &Path) -> Result<Self, CheckpointError> {
        match saves::list(dir)?.as_slice() {
            [] => Err(CheckpointError::NotFound { dir: dir.to_owned() }),
            [_] => Err(CheckpointError::NoPrevious { dir: dir.to_owned() }),
            [.., previous, newest] => {
                let checkpoint = Self::read(&previous.path)?;
                saves::reject(dir, newest)?;
                Ok(checkpoint)
            }
        }
    }

    /// Whether `dir` holds a save that [`Checkpoint::load`] would read.
    pub fn exists(dir: &Path) -> bool {
        dir.join(MANIFEST).is_file() || saves::list(dir).is_ok_and(|saves| !saves.is_empty())
    }

    /// One group's tensors.
    ///
    /// # Errors
    /// [`CheckpointError::NoGroup`] names the groups there are.
    pub fn group(&self, name: &str) -> Result<&Parameters, CheckpointError> {
        self.tensors.iter().find(|(group, _)| group == name).map(|(_, parameters)| parameters).ok_or_else(
            || {
                let known: Vec<_> = self.tensors.iter().map(|(group, _)| format!("`{group}`")).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                CheckpointError::NoGroup { name: name.to_owned(), known }
            },
        )
    }

    /// One group's tensors, which are a whole model's.
    ///
    /// # Errors
    /// As [`Checkpoint::group`], and [`CheckpointError::Part`] if a part of the model alone was trained, and so saved.
    pub fn model(&self, name: &str) -> Result<&Parameters, CheckpointError> {
        let parameters = self.group(name)?;
        match parameters.layout().iter().any(|(tensor, ..)| tensor == EMBEDDING) {
            true => Ok(parameters),
            false => Err(CheckpointError::Part { group: name.to_owned() }),
        }
    }

    fn read(save: &Path) -> Result<Self, CheckpointError> {
        let Manifest { groups, state } = manifest::read(save)?;
        let tensors = groups
            .into_iter()
            .map(|group| Ok((group.name.clone(), tensors::read(save, &group)?)))
            .collect::<Result<_, CheckpointError>>()?;
        Ok(Self { tensors, state })
    }
}
