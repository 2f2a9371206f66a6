//! The folder of one run.
//!
//! ```text
//! run.json                       what the run is: seed and config
//! events.jsonl, timing.jsonl     what it said; how long it took and where
//! tensorboard/                   the same for TensorBoard: `tensorboard --logdir <run>/tensorboard`
//! checkpoints/<name>/            see `checkpoint`
//! summary.json                   its results; a run that has one is finished
//! report.html, …                 whatever else it writes at its end
//! ```

mod error;
#[cfg(test)]
mod tests;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

pub use error::RunFolderError;

use crate::files::write_atomically;
use crate::trainer::events::{Event, EventError, Events, JsonLines, Mark, TensorBoard, read_events};
use error::io_error;

/// The file that makes a folder that of a run.
const RUN: &str = "run.json";
const EVENTS: &str = "events.jsonl";
const TIMING: &str = "timing.jsonl";
const TENSORBOARD: &str = "tensorboard";
const SUMMARY: &str = "summary.json";
const LOCK: &str = ".lock";

/// The folder of one run, held for this process as long as this value lives.
///
/// ```
/// use pspo::trainer::RunFolder;
/// use pspo::trainer::events::{Mark, metrics};
/// use serde_json::json;
///
/// # let dir = tempfile::tempdir()?;
/// # let path = dir.path().join("first");
/// let run = json!({ "seed": 7 });
/// let folder = RunFolder::create(&path, &run)?;
/// let mut events = folder.events(&Mark::default())?;
/// events.scalar("rl", 1, metrics::KL, 0.01)?;
/// let mark = events.mark()?; // goes into the checkpoint's state
/// events.scalar("rl", 2, metrics::KL, 0.02)?;
/// # drop((folder, events));
///
/// // Killed here, and resumed from the checkpoint: step 2 will be written again.
/// let folder = RunFolder::resume(&path, &run)?;
/// let events = folder.events(&mark)?;
/// assert_eq!(folder.read_events()?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    run: Value,
    /// Released by the system when the process ends, however it ends.
    _lock: File,
}

impl RunFolder {
    /// Makes a folder for a run; `run` says what it is, as seed and config do. Files of other kinds may
    /// be in it.
    ///
    /// # Errors
    /// [`RunFolderError::Occupied`] if it holds a run, finished or not.
    pub fn create(path: &Path, run: &Value) -> Result<Self, RunFolderError> {
        fs::create_dir_all(path.join(TENSORBOARD)).map_err(io_error(path))?;
        let lock = lock(path)?;
        if [RUN, EVENTS, SUMMARY].iter().any(|file| path.join(file).exists()) {
            let finished = path.join(SUMMARY).exists();
            return Err(RunFolderError::Occupied { path: path.to_owned(), finished });
        }
        let folder = Self { path: path.to_owned(), run: run.clone(), _lock: lock };
        folder.write_json(RUN, run)?;
        Ok(folder)
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// [`RunFolderError::NoRun`] if it holds none.
    pub fn open(path: &Path) -> Result<Self, RunFolderError> {
        if !path.join(RUN).is_file() {
            return Err(RunFolderError::NoRun(path.to_owned()));
        }
        let lock = lock(path)?;
        let run = read_json(&path.join(RUN))?;
        Ok(Self { path: path.to_owned(), run, _lock: lock })
    }

    /// Opens the folder of a run to go on with it, and checks that it is this one.
    ///
    /// # Errors
    /// [`RunFolderError::Other`] names the first key of `run` that differs.
    pub fn resume(path: &Path, run: &Value) -> Result<Self, RunFolderError> {
        let folder = Self::open(path)?;
        match difference("", &folder.run, run) {
            None => Ok(folder),
            Some((key, there, here)) => {
                Err(RunFolderError::Other { path: path.to_owned(), key, there, here })
            }
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the run is, as given to [`RunFolder::create`].
    pub fn run(&self) -> &Value {
        &self.run
    }

    /// Where the checkpoint of that name is.
    pub fn checkpoint(&self, name: &str) -> PathBuf {
        self.path.join("checkpoints").join(name)
    }

    /// The run's event logs, cut to where they were at a mark; all is cut at the default one.
    ///
    /// # Errors
    /// If a log holds less than the mark says, or cannot be opened.
    pub fn events(&self, at: &Mark) -> Result<Events, EventError> {
        let board = self.path.join(TENSORBOARD);
        fs::create_dir_all(&board).map_err(|source| EventError::Io { path: board.clone(), source })?;
        let board = board.join("events.out.tfevents.pspo");
        Ok(Events::default()
            .with(JsonLines::events(&self.path.join(EVENTS), at.records("events"))?)
            .with(JsonLines::timing(&self.path.join(TIMING), at.records("timing"))?)
            .with(TensorBoard::open(&board, at.records("tensorboard"))?))
    }

    /// The events logged so far, those of clocks left out.
    ///
    /// # Errors
    /// Those of [`read_events`].
    pub fn read_events(&self) -> Result<Vec<Event>, EventError> {
        read_events(&self.path.join(EVENTS))
    }

    /// Writes `summary.json`, whole or not at all. The run is finished with it.
    ///
    /// # Errors
    /// If the disk refuses, or the summary cannot be written as JSON.
    pub fn write_summary(&self, summary: &impl Serialize) -> Result<(), RunFolderError> {
        self.write_json(SUMMARY, summary)
    }

    /// The run's summary, once there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn summary(&self) -> Result<Option<Value>, RunFolderError> {
        let path = self.path.join(SUMMARY);
        if path.exists() { read_json(&path).map(Some) } else { Ok(None) }
    }

    /// Writes a file into the folder, such as `report.html`, whole or not at all, and returns its path.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, RunFolderError> {
        let path = self.path.join(name);
        write_atomically(&path, content).map_err(io_error(&path))?;
        Ok(path)
    }

    fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunFolderError> {
        let json = serde_json::to_vec_pretty(value);
        let mut json = json.map_err(|source| RunFolderError::Json { path: self.path.join(name), source })?;
        json.push(b'\n');
        self.write(name, &json).map(drop)
    }
}

fn lock(path: &Path) -> Result<File, RunFolderError> {
    let file = File::create(path.join(LOCK)).map_err(io_error(path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunFolderError::InUse(path.to_owned())),
        // Some network file systems have no locks: better to run there unguarded than not at all.
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(file),
        Err(TryLockError::Error(source)) => Err(io_error(path)(source)),
    }
}

fn read_json(path: &Path) -> Result<Value, RunFolderError> {
    let bytes = fs::read(path).map_err(io_error(path))?;
    serde_json::from_slice(&bytes).map_err(|source| RunFolderError::Json { path: path.to_owned(), source })
}

/// The first key at which two values differ, with both values as JSON.
fn difference(key: &str, there: &Value, here: &Value) -> Option<(String, String, String)> {
    if let (Value::Object(left), Value::Object(right)) = (there, here) {
        let keys = left.keys().chain(right.keys().filter(|key| !left.contains_key(*key)));
        return keys.into_iter().find_map(|part| {
            let key = if key.is_empty() { part.clone() } else { format!("{key}.{part}") };
            match (left.get(part), right.get(part)) {
                (Some(there), Some(here)) => difference(&key, there, here),
                (there, here) => Some((key, shown(there), shown(here))),
            }
        });
    }
    (there != here).then(|| (key.to_owned(), shown(Some(there)), shown(Some(here))))
}

fn shown(value: Option<&Value>) -> String {
    value.map_or_else(|| "not set".to_owned(), Value::to_string)
}
