//! Why a run folder cannot be used.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A run folder cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RunFolderError {
    /// There is a run in it.
    #[error(
        "`{}` holds a run already, which is {}: resume it, or give another folder",
        path.display(),
        if *finished { "finished" } else { "not finished" },
    )]
    Occupied {
        /// The folder.
        path: PathBuf,
        /// Whether that run came to its end.
        finished: bool,
    },
    /// There is no run in it.
    #[error("`{}` holds no run: it has no `run.json`", .0.display())]
    NoRun(PathBuf),
    /// The run in it is another one.
    #[error(
        "`{}` holds another run: its `{key}` is {there}, not {here}. Give another folder, or resume \
         with the config that the run began with",
        path.display(),
    )]
    Other {
        /// The folder.
        path: PathBuf,
        /// The first key that differs, with dots between its parts.
        key: String,
        /// Its value in the folder.
        there: String,
        /// Its value here.
        here: String,
    },
    /// Another process works in it.
    #[error("another process is working in `{}`", .0.display())]
    InUse(PathBuf),
    /// A file of the folder does not hold what it should.
    #[error("`{}` cannot be read as JSON: {source}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The disk refuses.
    #[error("cannot use `{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// Tells an I/O error its file.
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> RunFolderError {
    move |source| RunFolderError::Io { path: path.to_owned(), source }
}
