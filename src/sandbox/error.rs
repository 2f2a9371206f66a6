//! [`SandboxError`].

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::Layer;

/// The sandbox itself failed; nothing is said about the program.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// A limit out of its bounds.
    #[error("the limit `{name}` = {value}: it must be {valid}")]
    Limit {
        /// Which limit.
        name: &'static str,
        /// Its value.
        value: String,
        /// What would be valid.
        valid: &'static str,
    },
    /// A layer that cannot be had here.
    #[error(
        "this system does not offer the sandbox's layer `{layer}`: {why}. Programs are not run without it \
         unless the config says so"
    )]
    MissingLayer {
        /// Which layer.
        layer: Layer,
        /// What was tried and how it failed.
        why: String,
    },
    /// None of the folders exists at which a new root could be put together.
    #[error("none of /tmp, /mnt, /var and /usr is a folder: the sandbox needs one to put its root together")]
    NoStage,
    /// A path that the kernel cannot be told.
    #[error("the path {0:?} has a NUL byte")]
    NulInPath(PathBuf),
    /// A file of the program's that is not in its folder.
    #[error("{0:?} is not the name of a file in the program's folder: it must be one, without `/`")]
    FileName(String),
    /// The program's files do not fit its folder.
    #[error("the program's files have {bytes} bytes together, where `disk_bytes` allows {most}")]
    FilesTooLarge {
        /// Bytes of all files.
        bytes: u64,
        /// What the limit allows.
        most: u64,
    },
    /// More folders and files of the host are to be readable than can be.
    #[error(
        "{paths} folders and files are to be readable, where at most {most} can be: name a folder that holds them"
    )]
    TooManyPaths {
        /// How many, those of the system included.
        paths: usize,
        /// How many can be.
        most: usize,
    },
    /// More files are to be laid out or brought out than can be.
    #[error("{files} files are to be laid out or brought out, where at most {most} can be")]
    TooManyFiles {
        /// How many.
        files: usize,
        /// How many can be.
        most: usize,
    },
    /// A fork server did not answer as it should.
    #[error("the fork server failed: {0}")]
    ForkServer(String),
    /// The system call filter cannot be built for this architecture.
    #[error("cannot build the system call filter: {0}")]
    Filter(String),
    /// The program cannot be started within the sandbox.
    #[error("cannot start {program:?} in the sandbox: {source}")]
    Start {
        /// Its path.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What stands between us and the program failed: a pipe, a process of the sandbox.
    #[error("the sandbox failed: {0}")]
    Io(#[from] io::Error),
    /// A process of the sandbox ended without telling how the program did.
    #[error("the sandbox ended without telling how the program did")]
    Vanished,
}

impl From<rustix::io::Errno> for SandboxError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}
